/* SPDX-License-Identifier: MIT
 *
 * The companion that records up to where a store was synced, and what recovery makes of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/endian.h"
#include "engine/engine.h"
#include "engine/io.h"
#include "engine/meta.h"
#include "tests/support/golden.h"

struct place {
    char *folder;
    char *path;
};

static struct place place_create(void)
{
    struct place place = {.folder = rd_scratch_create()};
    place.path = rd_path(place.folder, "store.rdr");
    return place;
}

static void place_remove(struct place *place)
{
    free(place->path);
    rd_scratch_remove(place->folder);
}

static struct rd_store *open_store(const struct place *place)
{
    struct rd_store_options options = {.create = true};
    struct rd_store *store;
    assert_int_equal(rd_store_open(place->path, &options, &store, NULL), RD_OK);
    return store;
}

static struct rd_key key_named(const char *name)
{
    return rd_key_of_bytes(rd_slice_of_string(name));
}

static uint64_t put(struct rd_store *store, const char *key, const char *value)
{
    struct rd_written written;
    assert_int_equal(rd_store_write(store, key_named(key), rd_slice_of_string(value), &written), RD_OK);
    return written.tail;
}

static struct rd_meta meta_of(const struct place *place)
{
    struct rd_meta meta;
    assert_true(rd_meta_read(&rd_io_system, place->path, &meta));
    return meta;
}

/* As a crash leaves it: the companion that was written at opening beside the file of later. */
static void crash(const struct place *place, struct rd_store *store, size_t cut)
{
    char *meta_path = rd_path(place->folder, "store.rdr.meta");
    struct rd_buffer meta = rd_file_read(meta_path);
    rd_store_close(store);
    rd_file_write(meta_path, rd_buffer_slice(&meta));
    struct rd_buffer file = rd_file_read(place->path);
    rd_file_write(place->path, rd_slice(file.data, file.len - cut));
    rd_buffer_deinit(&file);
    rd_buffer_deinit(&meta);
    free(meta_path);
}

static void a_clean_stop_is_recorded_and_the_generation_stays(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = open_store(&place);
    struct rd_meta first = meta_of(&place);
    assert_false(first.clean);
    assert_int_equal(first.durable_tail, 0);
    uint64_t tail = put(store, "a", "value");
    rd_store_close(store);
    struct rd_meta closed = meta_of(&place);
    assert_true(closed.clean);
    assert_int_equal(closed.durable_tail, tail);
    assert_int_equal(closed.generation, first.generation);
    store = open_store(&place);
    assert_false(meta_of(&place).clean);
    struct rd_store_info info;
    rd_store_info(store, &info);
    assert_int_equal(info.generation, first.generation);
    rd_store_close(store);
    place_remove(&place);
}

/* The first thing that a new store is given is long, and torn: it is a store all the same. */
static void a_torn_first_value_leaves_an_empty_store(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = open_store(&place);
    char *value = malloc(100001);
    memset(value, 'v', 100000);
    value[100000] = '\0';
    put(store, "long", value);
    free(value);
    crash(&place, store, 50);
    store = open_store(&place);
    assert_true(rd_store_is_empty(store));
    assert_int_equal(rd_store_file_size(store), 0);
    rd_store_close(store);
    char *aside = rd_path(place.folder, "store.rdr.torn-0");
    assert_int_equal(access(aside, F_OK), 0);
    free(aside);
    place_remove(&place);
}

static void above_the_recorded_tail_is_cut_at_the_first_entry_that_fails(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = open_store(&place);
    put(store, "a", "recorded");
    rd_store_close(store);
    store = open_store(&place);
    uint64_t whole = put(store, "b", "whole");
    put(store, "c", "damaged by the crash");
    put(store, "d", "whole, but behind it");
    crash(&place, store, 0);
    struct rd_buffer file = rd_file_read(place.path);
    file.data[(whole + 63) / 64 * 64] ^= 1;
    rd_file_write(place.path, rd_buffer_slice(&file));
    rd_buffer_deinit(&file);
    store = open_store(&place);
    assert_int_equal(rd_store_len(store), 2);
    assert_int_equal(rd_store_file_size(store), whole);
    rd_store_close(store);
    place_remove(&place);
}

static void at_or_below_it_nothing_is_cut(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = open_store(&place);
    put(store, "a", "damaged later");
    put(store, "b", "value");
    rd_store_close(store);
    store = open_store(&place);
    uint64_t tail = put(store, "c", "value");
    crash(&place, store, 0);
    struct rd_buffer file = rd_file_read(place.path);
    file.data[0] ^= 1;
    rd_file_write(place.path, rd_buffer_slice(&file));
    rd_buffer_deinit(&file);
    store = open_store(&place);
    assert_int_equal(rd_store_file_size(store), tail);
    struct rd_value value;
    assert_int_equal(rd_store_read(store, key_named("a"), &value), RD_CORRUPT);
    assert_true(rd_store_exists(store, key_named("b")) && rd_store_exists(store, key_named("c")));
    rd_store_close(store);
    place_remove(&place);
}

/* Trailer bytes inside a torn value that name an older tail than the recorded one. */
static void a_trailer_forged_inside_a_torn_value_is_not_believed(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = open_store(&place);
    uint64_t old = put(store, "a", "old");
    uint64_t recorded = put(store, "b", "newer");
    rd_store_close(store);
    struct rd_buffer file = rd_file_read(place.path);
    struct rd_buffer forged;
    rd_buffer_init(&forged, 0);
    rd_buffer_append_slice(&forged, rd_buffer_slice(&file));
    uint64_t payload = (old + 63) / 64 * 64;
    while (forged.len % 64 != 0)
        rd_buffer_append_u8(&forged, 0);
    rd_buffer_append_string(&forged, "a long value that was being written");
    uint32_t crc = rd_crc32(0, rd_slice(forged.data + payload, forged.len - payload));
    rd_buffer_append_u64le(&forged, key_named("c").hash);
    rd_buffer_append_u64le(&forged, old);
    rd_buffer_append_u32le(&forged, crc);
    rd_file_write(place.path, rd_buffer_slice(&forged));
    store = open_store(&place);
    assert_int_equal(rd_store_file_size(store), recorded);
    assert_true(rd_store_exists(store, key_named("b")));
    assert_false(rd_store_exists(store, key_named("c")));
    rd_store_close(store);
    rd_buffer_deinit(&forged);
    rd_buffer_deinit(&file);
    place_remove(&place);
}

static void a_companion_that_does_not_fit_is_passed_over(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = open_store(&place);
    put(store, "a", "value");
    rd_store_close(store);
    struct rd_meta meta = {.generation = 7, .durable_tail = 1 << 20, .clean = true};
    assert_int_equal(rd_meta_write(&rd_io_system, place.path, &meta, false), 0);
    store = open_store(&place);
    assert_true(rd_store_exists(store, key_named("a")));
    rd_store_close(store);
    char *meta_path = rd_path(place.folder, "store.rdr.meta");
    struct rd_buffer bytes = rd_file_read(meta_path);
    bytes.data[17] ^= 1;
    rd_file_write(meta_path, rd_buffer_slice(&bytes));
    assert_false(rd_meta_read(&rd_io_system, place.path, &meta));
    store = open_store(&place);
    assert_true(rd_store_exists(store, key_named("a")));
    rd_store_close(store);
    rd_buffer_deinit(&bytes);
    free(meta_path);
    place_remove(&place);
}

/* Values of one length lie at one distance, so that a flipped link may lead to another genuine entry. */
static void a_link_to_another_genuine_entry_is_noticed(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = open_store(&place);
    char value[101] = {0};
    memset(value, 'v', 100);
    char key[3] = "k0";
    uint64_t tails[10];
    for (int i = 0; i < 10; i++) {
        key[1] = (char)('0' + i);
        tails[i] = put(store, key, value);
    }
    rd_store_close(store);
    struct rd_buffer file = rd_file_read(place.path);
    for (int with_companion = 1; with_companion >= 0; with_companion--) {
        struct rd_buffer flipped;
        rd_buffer_init(&flipped, 0);
        rd_buffer_append_slice(&flipped, rd_buffer_slice(&file));
        flipped.data[tails[6] - 12] ^= 0x80; /* the seventh entry's link, from the sixth's end to the fifth's */
        assert_int_equal(rd_load_u64le(flipped.data + tails[6] - 12), tails[4]);
        rd_file_write(place.path, rd_buffer_slice(&flipped));
        store = open_store(&place);
        struct rd_store_info info;
        rd_store_info(store, &info);
        assert_int_equal(info.state, RD_STORE_READ_ONLY);
        for (int i = 0; i < 10; i++) {
            key[1] = (char)('0' + i);
            assert_int_equal(rd_store_exists(store, key_named(key)), i != 6);
        }
        struct rd_verification found;
        assert_int_equal(rd_store_verify(store, 0, UINT64_MAX, &found), RD_OK);
        assert_int_equal(found.problem_count, 1);
        assert_int_equal(found.problems[0].kind, RD_PROBLEM_CHAIN);
        assert_int_equal(found.problems[0].offset, tails[5]);
        assert_int_equal(found.problems[0].len, tails[6] - tails[5]);
        rd_store_close(store);
        rd_buffer_deinit(&flipped);
        char *meta_path = rd_path(place.folder, "store.rdr.meta");
        assert_int_equal(unlink(meta_path), with_companion ? 0 : -1);
        free(meta_path);
    }
    rd_buffer_deinit(&file);
    place_remove(&place);
}

/* Cut by others, in the middle of an entry, after it had been synced. */
static void what_was_durable_is_not_cut_where_its_end_is_missing(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = open_store(&place);
    put(store, "a", "value");
    uint64_t tail = put(store, "b", "another");
    rd_store_close(store);
    assert_int_equal(truncate(place.path, (off_t)tail - 3), 0);
    store = open_store(&place);
    struct rd_store_info info;
    rd_store_info(store, &info);
    assert_int_equal(info.state, RD_STORE_READ_ONLY);
    assert_non_null(strstr(info.reason, "damaged"));
    assert_true(rd_store_exists(store, key_named("a")));
    rd_store_close(store);
    struct rd_buffer file = rd_file_read(place.path);
    assert_int_equal(file.len, tail - 3);
    rd_buffer_deinit(&file);
    place_remove(&place);
}

/* As erased blocks of a flash memory read. Found by fuzzing: it was taken for room ahead of the tail. */
static void what_was_durable_and_has_become_ones_is_not_cut(void **state)
{
    (void)state;
    for (int whole_file = 0; whole_file < 2; whole_file++) {
        struct place place = place_create();
        struct rd_store *store = open_store(&place);
        uint64_t first = put(store, "a", "value");
        uint64_t tail = put(store, "b", "another");
        rd_store_close(store);
        struct rd_buffer file = rd_file_read(place.path);
        uint64_t begin = whole_file ? 0 : first;
        memset(file.data + begin, 0xff, tail - begin);
        rd_file_write(place.path, rd_buffer_slice(&file));
        store = open_store(&place);
        struct rd_store_info info;
        rd_store_info(store, &info);
        assert_int_equal(info.state, RD_STORE_READ_ONLY);
        assert_non_null(strstr(info.reason, "damaged"));
        assert_int_equal(rd_store_exists(store, key_named("a")), !whole_file);
        rd_store_close(store);
        struct rd_buffer after = rd_file_read(place.path);
        assert_true(rd_slice_equal(rd_buffer_slice(&after), rd_buffer_slice(&file)));
        rd_buffer_deinit(&after);
        rd_buffer_deinit(&file);
        place_remove(&place);
    }
}

/* Alone it does not bear a chain out, since any tombstone's checksum is the same; the companion does. */
static void a_tombstone_behind_a_damaged_link_still_deletes(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = open_store(&place);
    put(store, "deleted", "first");
    put(store, "kept", "second");
    uint64_t hit = put(store, "lost", "third");
    assert_int_equal(rd_store_delete(store, key_named("deleted"), NULL), RD_OK);
    rd_store_close(store);
    struct rd_buffer bytes = rd_file_read(place.path);
    bytes.data[hit - 6] ^= 0x10; /* high in its link */
    rd_file_write(place.path, rd_buffer_slice(&bytes));
    store = open_store(&place);
    struct rd_store_info info;
    rd_store_info(store, &info);
    assert_int_equal(info.state, RD_STORE_READ_ONLY);
    assert_false(rd_store_exists(store, key_named("deleted")));
    assert_true(rd_store_exists(store, key_named("kept")));
    rd_store_close(store);
    struct rd_buffer after = rd_file_read(place.path);
    assert_true(rd_slice_equal(rd_buffer_slice(&after), rd_buffer_slice(&bytes)));
    rd_buffer_deinit(&after);
    rd_buffer_deinit(&bytes);
    place_remove(&place);
}

/* Every tear of a first value that is a store itself: the outer store is empty, or has that one value. */
static void a_torn_first_value_that_is_a_store_is_not_taken_for_one(void **state)
{
    (void)state;
    struct place inner_place = place_create();
    struct rd_store *store = open_store(&inner_place);
    put(store, "inner", "value");
    put(store, "another", "inner value");
    rd_store_close(store);
    struct rd_buffer inner = rd_file_read(inner_place.path);

    struct place place = place_create();
    char *meta_path = rd_path(place.folder, "store.rdr.meta");
    store = open_store(&place);
    struct rd_written written;
    assert_int_equal(rd_store_write(store, key_named("outer"), rd_buffer_slice(&inner), &written), RD_OK);
    struct rd_buffer meta = rd_file_read(meta_path); /* of before the write was synced */
    rd_store_close(store);
    struct rd_buffer file = rd_file_read(place.path);
    for (uint64_t len = 0; len <= file.len; len++) {
        rd_file_write(meta_path, rd_buffer_slice(&meta));
        rd_file_write(place.path, rd_slice(file.data, len));
        store = open_store(&place);
        assert_int_equal(rd_store_len(store), len == file.len);
        assert_int_equal(rd_store_exists(store, key_named("outer")), len == file.len);
        assert_false(rd_store_exists(store, key_named("inner")));
        rd_store_close(store);
    }
    rd_buffer_deinit(&file);
    rd_buffer_deinit(&meta);
    rd_buffer_deinit(&inner);
    free(meta_path);
    place_remove(&inner_place);
    place_remove(&place);
}

/* An administrator puts another file in the place of an empty store's: its damage is not a torn end. */
static void a_file_put_in_place_of_an_empty_store_is_looked_at_alone(void **state)
{
    (void)state;
    struct place other = place_create();
    struct rd_store *store = open_store(&other);
    put(store, "a", "damaged");
    uint64_t tail = put(store, "b", "value");
    rd_store_close(store);
    struct rd_buffer file = rd_file_read(other.path);
    file.data[0] ^= 1;
    struct place place = place_create();
    rd_store_close(open_store(&place));
    rd_file_write(place.path, rd_buffer_slice(&file));
    store = open_store(&place);
    assert_int_equal(rd_store_file_size(store), tail);
    struct rd_value value;
    assert_int_equal(rd_store_read(store, key_named("a"), &value), RD_CORRUPT);
    assert_true(rd_store_exists(store, key_named("b")));
    rd_store_close(store);
    rd_buffer_deinit(&file);
    place_remove(&other);
    place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clean_stop_is_recorded_and_the_generation_stays),
        cmocka_unit_test(a_torn_first_value_leaves_an_empty_store),
        cmocka_unit_test(above_the_recorded_tail_is_cut_at_the_first_entry_that_fails),
        cmocka_unit_test(at_or_below_it_nothing_is_cut),
        cmocka_unit_test(a_trailer_forged_inside_a_torn_value_is_not_believed),
        cmocka_unit_test(a_companion_that_does_not_fit_is_passed_over),
        cmocka_unit_test(a_link_to_another_genuine_entry_is_noticed),
        cmocka_unit_test(a_torn_first_value_that_is_a_store_is_not_taken_for_one),
        cmocka_unit_test(a_file_put_in_place_of_an_empty_store_is_looked_at_alone),
        cmocka_unit_test(a_tombstone_behind_a_damaged_link_still_deletes),
        cmocka_unit_test(what_was_durable_is_not_cut_where_its_end_is_missing),
        cmocka_unit_test(what_was_durable_and_has_become_ones_is_not_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
