/* SPDX-License-Identifier: MIT
 *
 * How large an index opening makes where it has to follow the chain: as large as the keys ask for, whatever the
 * newest entries look like.
 */
#include <fcntl.h>
#include <unistd.h>

#include "base/endian.h"
#include "engine/digest.h"
#include "engine/record.h"
#include "tests/unit/engine/fixture.h"

#define LONG_LEN        (UINT64_C(128) << 20)
#define SHORT_LEN       8u
#define SHORT_COUNT     70000u /* more than the newest ones by which it is judged */
#define LINE_LEN        64u    /* with pad and trailer */
#define INDEX_BYTES_MAX (UINT64_C(8) << 20)

static struct rd_key short_key(uint64_t number)
{
    return rd_key_of_hash((number + 1) * UINT64_C(0x9e3779b97f4a7c15));
}

static void put_entry(uint8_t *to, uint64_t number, uint64_t prev_tail)
{
    rd_store_u64le(to, number);
    struct rd_trailer trailer = {
        .key_hash = short_key(number).hash, .prev_tail = prev_tail, .crc32 = rd_crc32(0, rd_slice(to, SHORT_LEN))};
    rd_trailer_encode(&trailer, to + SHORT_LEN);
}

/* One long value, a hole of zeros, and above it many short ones. */
static void make_file(const char *path)
{
    struct rd_trailer first = {.key_hash = key_named("long").hash, .crc32 = rd_crc32_of_zeros(LONG_LEN)};
    uint8_t trailer[RD_TRAILER_LEN];
    rd_trailer_encode(&first, trailer);
    uint64_t tail = LONG_LEN + RD_TRAILER_LEN;
    uint64_t begin = rd_record_align(tail);
    uint8_t *lines = calloc(SHORT_COUNT, LINE_LEN);
    assert_non_null(lines);
    for (uint64_t i = 0; i < SHORT_COUNT; i++) {
        put_entry(lines + i * LINE_LEN, i, tail);
        tail = begin + i * LINE_LEN + SHORT_LEN + RD_TRAILER_LEN;
    }
    size_t len = (size_t)(tail - begin);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(pwrite(fd, trailer, sizeof trailer, (off_t)LONG_LEN), sizeof trailer);
    assert_int_equal(pwrite(fd, lines, len, (off_t)begin), len);
    close(fd);
    free(lines);
}

/* All keys are there, and opening has followed the chain and made no more room for them than they take. */
static void open_and_check(const char *path)
{
    struct rd_store *store = store_open(path);
    struct rd_store_stats stats;
    struct rd_value value;
    rd_store_stats(store, &stats);
    assert_int_equal(stats.checkpoint_bytes, 0);
    assert_int_equal(rd_store_len(store), SHORT_COUNT + 1);
    assert_in_range(stats.index_bytes, 1, INDEX_BYTES_MAX);
    assert_int_equal(rd_store_find(store, key_named("long"), &value), RD_OK);
    assert_int_equal(value.payload.len, LONG_LEN);
    rd_value_release(&value);
    for (uint64_t i = 0; i < SHORT_COUNT; i += 97)
        assert_true(rd_store_exists(store, short_key(i)));
    rd_store_close(store);
}

static void few_long_values_below_many_short_ones_take_no_room(void **state)
{
    (void)state;
    struct place place = place_create();
    make_file(place.path);
    open_and_check(place.path); /* there is no companion */
    char *index_path = rd_path(place.folder, "store.rdr.index");
    assert_int_equal(remove(index_path), 0);
    open_and_check(place.path); /* there is one that tells how many entries there are */
    free(index_path);
    place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_long_values_below_many_short_ones_take_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
