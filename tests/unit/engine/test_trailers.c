/* SPDX-License-Identifier: MIT
 *
 * Values that are long enough for their trailers to be read when they are replaced, not looked at in the map: what
 * lives, and how much of the file it takes, is the same, whatever reading comes to.
 */
#include <errno.h>

#include "engine/record.h"
#include "tests/unit/engine/fixture.h"

#define KEYS      700u
#define BATCH_MAX 400u /* more than are kept of a group (trailers.h) */
#define ROUNDS    (SLOW ? 6u : 20u)

/* What a pread of a trailer's length is answered with; others go through. */
enum answer { IT_IS_READ, IT_FAILS, IT_IS_SHORT, EVERY_SECOND_FAILS };

static struct {
    struct rd_io io;
    enum answer answer;
    atomic_uint count; /* of trailers that were asked for */
} disk;

static ssize_t answering_pread(void *self, int fd, void *to, size_t len, off_t offset)
{
    (void)self;
    if (len != RD_TRAILER_LEN)
        return rd_io_system.pread(NULL, fd, to, len, offset);
    unsigned number = atomic_fetch_add(&disk.count, 1);
    if (disk.answer == IT_FAILS || (disk.answer == EVERY_SECOND_FAILS && number % 2 == 0)) {
        errno = EIO;
        return -1;
    }
    if (disk.answer == IT_IS_SHORT)
        return 0;
    return rd_io_system.pread(NULL, fd, to, len, offset);
}

static struct rd_store *open_on(const char *path, enum answer answer)
{
    disk.io = rd_io_system;
    disk.io.pread = answering_pread;
    disk.io.fdatasync = no_sync;
    disk.io.fsync = no_sync;
    disk.answer = answer;
    atomic_store(&disk.count, 0);
    return store_open_with(
        path, (struct rd_store_options){.create = true, .durability = RD_DURABILITY_NONE, .io = &disk.io});
}

/* Around the length from which on trailers are read, and far from it. */
static size_t random_len(void)
{
    static const size_t lens[] = {2, 100, 2020, 2027, 2028, 2029, 2048, 4096, 4097, 20000};
    return lens[random_below(sizeof lens / sizeof lens[0])];
}

struct model {
    size_t len[KEYS]; /* 0: the key is not there */
    uint8_t fill[KEYS];
};

static struct rd_key key_of(uint32_t number)
{
    uint8_t name[8];
    rd_store_u64le(name, number);
    return rd_key_of_bytes(rd_slice(name, sizeof name));
}

static void expect_model(struct rd_store *store, const struct model *model)
{
    static uint8_t expected[20000];
    uint64_t live = 0;
    uint64_t live_bytes = 0;
    for (uint32_t i = 0; i < KEYS; i++) {
        if (model->len[i] == 0) {
            expect_status(store, key_of(i), RD_KEY_NOT_FOUND);
            continue;
        }
        memset(expected, model->fill[i], model->len[i]);
        expect_bytes(store, key_of(i), expected, model->len[i]);
        live++;
        live_bytes += model->len[i] + RD_TRAILER_LEN;
    }
    struct rd_store_info info;
    rd_store_info(store, &info);
    assert_int_equal(info.entries, live);
    assert_int_equal(info.tail - info.dead_bytes, live_bytes);
}

/* A key may be in a batch more than once. */
static void write_some(struct rd_store *store, struct model *model)
{
    static uint8_t payloads[BATCH_MAX][20000];
    static struct rd_entry entries[BATCH_MAX];
    size_t count = 1 + random_below(BATCH_MAX);
    for (size_t i = 0; i < count; i++) {
        uint32_t number = (uint32_t)random_below(KEYS);
        model->len[number] = random_len();
        model->fill[number] = (uint8_t)(1 + random_below(255));
        memset(payloads[i], model->fill[number], model->len[number]);
        entries[i] =
            (struct rd_entry){.key = key_of(number), .payload = rd_slice(payloads[i], model->len[number])};
    }
    enum rd_status status = count == 1 ? rd_store_write(store, entries[0].key, entries[0].payload, NULL)
                                       : rd_store_batch_write(store, entries, count, false, NULL);
    assert_int_equal(status, RD_OK);
}

static void delete_some(struct rd_store *store, struct model *model)
{
    for (unsigned i = 0; i < 20; i++) {
        uint32_t number = (uint32_t)random_below(KEYS);
        assert_int_equal(rd_store_delete(store, key_of(number), NULL), RD_OK);
        model->len[number] = 0;
    }
}

static void check_with(enum answer answer)
{
    static struct model model;
    memset(&model, 0, sizeof model);
    random_begin();
    struct place place = place_create();
    struct rd_store *store = open_on(place.path, answer);
    for (unsigned round = 0; round < ROUNDS; round++) {
        write_some(store, &model);
        delete_some(store, &model);
        expect_model(store, &model);
        if (round % 5 == 4) { /* at the same places others lie from now on */
            assert_int_equal(rd_store_compact(store, NULL, NULL), RD_OK);
            expect_model(store, &model);
        }
    }
    assert_true(atomic_load(&disk.count) > 100); /* it was asked */
    rd_store_close(store);
    store = store_open(place.path);
    expect_model(store, &model);
    rd_store_close(store);
    place_remove(&place);
}

static void what_lives_is_told_by_what_was_read(void **state)
{
    (void)state;
    check_with(IT_IS_READ);
}

static void where_reading_fails_the_map_tells(void **state)
{
    (void)state;
    check_with(IT_FAILS);
    check_with(IT_IS_SHORT);
    check_with(EVERY_SECOND_FAILS);
}

/* After a compaction another, shorter entry ends where one that was replaced before had ended. */
static void what_was_read_is_forgotten_with_the_group(void **state)
{
    (void)state;
    static uint8_t payload[4096];
    memset(payload, 'f', sizeof payload);
    struct place place = place_create();
    struct rd_store *store = open_on(place.path, IT_IS_READ);
    assert_int_equal(put(store, key_of(0), payload, 4096).offset, 0);
    put(store, key_of(1), payload, 2000);
    put(store, key_of(2), payload, 2048);
    put(store, key_of(0), payload, 4096);
    assert_int_equal(atomic_load(&disk.count), 1);
    assert_int_equal(rd_store_delete(store, key_of(0), NULL), RD_OK);
    assert_int_equal(rd_store_compact(store, NULL, NULL), RD_OK);
    struct rd_value value;
    assert_int_equal(rd_store_read(store, key_of(2), &value), RD_OK);
    assert_int_equal(value.offset + value.payload.len, 4096);
    rd_value_release(&value);
    assert_int_equal(rd_store_delete(store, key_of(2), NULL), RD_OK);
    struct rd_store_info info;
    rd_store_info(store, &info);
    assert_int_equal(info.tail - info.dead_bytes, 2000 + RD_TRAILER_LEN);
    rd_store_close(store);
    place_remove(&place);
}

/* count keys from `first` on, which are new. */
static void write_new(struct rd_store *store, uint32_t first, uint32_t count, size_t len)
{
    static uint8_t payload[4096];
    static struct rd_entry entries[BATCH_MAX];
    memset(payload, 'n', len);
    for (uint32_t done = 0; done < count; done += BATCH_MAX) {
        for (uint32_t i = 0; i < BATCH_MAX; i++)
            entries[i] = (struct rd_entry){.key = key_of(first + done + i), .payload = rd_slice(payload, len)};
        assert_int_equal(rd_store_batch_write(store, entries, BATCH_MAX, false, NULL), RD_OK);
    }
}

/* Of 50,000 new keys some ten have the tag of one that is there, in the same line: its trailer is read. */
static void a_key_with_the_tag_of_another_replaces_nothing(void **state)
{
    (void)state;
    uint32_t there = 100000;
    uint32_t new = SLOW ? 12000 : 48000;
    struct place place = place_create();
    struct rd_store *store = open_on(place.path, IT_IS_READ);
    write_new(store, 0, there, 64);
    write_new(store, there, new, 2048);
    struct rd_store_info info;
    rd_store_info(store, &info);
    assert_int_equal(info.entries, there + new);
    assert_int_equal(info.tail - info.dead_bytes, there * (64 + RD_TRAILER_LEN) + new *(2048 + RD_TRAILER_LEN));
    rd_store_close(store);
    place_remove(&place);
}

/* How many trailers are read by so many writes of that length, each of a key that lives. */
static unsigned trailers_read(size_t len, uint32_t count)
{
    static uint8_t payload[4096];
    struct place place = place_create();
    struct rd_store *store = open_on(place.path, IT_IS_READ);
    memset(payload, 'v', len);
    for (uint32_t i = 0; i < count; i++)
        put(store, key_of(i), payload, len);
    atomic_store(&disk.count, 0);
    for (uint32_t i = 0; i < count; i++)
        put(store, key_of(i), payload, len);
    unsigned read = atomic_load(&disk.count);
    rd_store_close(store);
    place_remove(&place);
    return read;
}

/* Those of keys that are not in a line of their own are looked at. */
static void only_those_that_have_a_page_nearly_alone_are_read(void **state)
{
    (void)state;
    assert_in_range(trailers_read(4096, 1000), 800, 1000);
    assert_in_range(trailers_read(2028, 1000), 800, 1000);
    assert_int_equal(trailers_read(2027, 1000), 0);
    assert_int_equal(trailers_read(100, 1000), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_lives_is_told_by_what_was_read),
        cmocka_unit_test(where_reading_fails_the_map_tells),
        cmocka_unit_test(what_was_read_is_forgotten_with_the_group),
        cmocka_unit_test(a_key_with_the_tag_of_another_replaces_nothing),
        cmocka_unit_test(only_those_that_have_a_page_nearly_alone_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
