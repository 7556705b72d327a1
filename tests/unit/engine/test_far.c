/* SPDX-License-Identifier: MIT
 *
 * Files that are longer than 32 bits count, and longer than 40 bits: a hole is the store's first value, and
 * whatever is done afterwards is done on both sides of the border.
 */
#include <unistd.h>

#include "engine/ahead.h"
#include "engine/digest.h"
#include "engine/meta.h"
#include "engine/record.h"
#include "engine/store.h"
#include "tests/unit/engine/fixture.h"

#define KEYS     200u
#define HOLE     UINT64_C(0x401e)
#define LONG_LEN ((size_t)300 << 10)

static struct rd_key key_of(uint64_t number)
{
    return rd_key_of_hash(UINT64_C(0xfa0000) + number);
}

/* A store with one value of zeros that ends so far below the border, and a companion that vouches for it. */
static void make_hole(const char *path, uint64_t border)
{
    uint64_t len = border - 2000;
    struct rd_trailer trailer = {.key_hash = HOLE, .prev_tail = 0, .crc32 = rd_crc32_of_zeros(len)};
    uint8_t bytes[RD_TRAILER_LEN];
    rd_trailer_encode(&trailer, bytes);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(ftruncate(fileno(file), (off_t)len), 0);
    assert_int_equal(pwrite(fileno(file), bytes, sizeof bytes, (off_t)len), sizeof bytes);
    assert_int_equal(fclose(file), 0);
    struct rd_meta meta = {.generation = 7,
                           .durable_tail = len + RD_TRAILER_LEN,
                           .entry_count = 1,
                           .last_key = HOLE,
                           .last_crc = trailer.crc32,
                           .clean = true};
    assert_int_equal(rd_meta_write(&rd_io_system, path, &meta, false), 0);
}

static void fill(uint8_t *bytes, size_t len, uint64_t number)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(number * 31 + i + 1);
}

static size_t len_of(uint64_t number)
{
    return 2 + number * 7 % 150;
}

static void write_all(struct rd_store *store, uint64_t border)
{
    uint8_t bytes[256];
    uint64_t below = 0;
    for (uint64_t i = 0; i < KEYS; i++) {
        fill(bytes, len_of(i), i);
        below += put(store, key_of(i), bytes, len_of(i)).tail <= border;
    }
    assert_in_range(below, 5, KEYS / 2); /* the border is among them */
}

static void expect_all(struct rd_store *store)
{
    uint8_t bytes[256];
    for (uint64_t i = 0; i < KEYS; i++) {
        fill(bytes, len_of(i), i);
        if (i % 10 == 3)
            expect_status(store, key_of(i), RD_KEY_NOT_FOUND);
        else
            expect_bytes(store, key_of(i % 10 == 4 ? KEYS + i : i), bytes, len_of(i));
    }
}

static void delete_and_rename_some(struct rd_store *store)
{
    for (uint64_t i = 0; i < KEYS; i++) {
        if (i % 10 == 3)
            assert_int_equal(rd_store_delete(store, key_of(i), NULL), RD_OK);
        if (i % 10 == 4)
            assert_int_equal(rd_store_rename(store, key_of(i), key_of(KEYS + i), NULL), RD_OK);
    }
}

/* One that lies ahead, with a filler before it. */
static void place_one(struct rd_store *store, const uint8_t *bytes)
{
    store->ahead.placed_len_min = LONG_LEN;
    struct rd_entry entry = {.key = key_of(999), .payload = rd_slice(bytes, LONG_LEN)};
    struct rd_op op = {.kind = RD_OP_WRITE,
                       .entries = &entry,
                       .entry_count = 1,
                       .placement = rd_store_place(store, entry.payload, RD_DURABILITY_DEFAULT)};
    assert_non_null(op.placement);
    assert_int_equal(rd_store_execute(store, &op), RD_OK);
    rd_placement_destroy(op.placement);
}

static unsigned count_by_cursor(struct rd_store *store)
{
    struct rd_cursor *cursor;
    struct rd_value value;
    unsigned count = 0;
    assert_int_equal(rd_cursor_open(store, 0, &cursor), RD_OK);
    while (rd_cursor_next(cursor, &value))
        count++;
    assert_int_equal(rd_cursor_status(cursor), RD_OK);
    rd_cursor_close(cursor);
    return count;
}

static void work_at(uint64_t border)
{
    struct place place = place_create();
    make_hole(place.path, border);
    uint8_t *bytes = malloc(LONG_LEN);
    fill(bytes, LONG_LEN, 5);
    struct rd_store *store = store_open(place.path);
    write_all(store, border);
    delete_and_rename_some(store);
    place_one(store, bytes);
    unsigned live = KEYS - KEYS / 10 + 2;
    for (unsigned round = 0; round < 2; round++) {
        expect_all(store);
        expect_bytes(store, key_of(999), bytes, LONG_LEN);
        assert_int_equal(count_by_cursor(store), live);
        rd_store_close(store);
        store = store_open(place.path);
        assert_int_equal(rd_store_len(store), live);
    }
    struct rd_value hole;
    assert_int_equal(rd_store_find(store, rd_key_of_hash(HOLE), &hole), RD_OK);
    assert_int_equal(hole.payload.len, border - 2000);
    rd_value_release(&hole);
    assert_int_equal(rd_store_delete(store, rd_key_of_hash(HOLE), NULL), RD_OK);
    struct rd_store_info info;
    rd_store_info(store, &info);
    assert_true(info.dead_bytes > border - 2000 && info.tail > border);
    struct rd_compacted done;
    assert_int_equal(rd_store_compact(store, &done, NULL), RD_OK);
    assert_true(done.tail < 2 * LONG_LEN);
    expect_all(store);
    expect_bytes(store, key_of(999), bytes, LONG_LEN);
    rd_store_close(store);
    free(bytes);
    place_remove(&place);
}

static void at_4_gib(void **state)
{
    (void)state;
    work_at(UINT64_C(1) << 32);
}

#ifdef RD_THREAD_SANITIZER
#define FAR_BITS 37 /* it leaves less room for addresses */
#else
#define FAR_BITS 40
#endif

static void at_1_tib(void **state)
{
    (void)state;
    work_at(UINT64_C(1) << FAR_BITS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_4_gib),
        cmocka_unit_test(at_1_tib),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
