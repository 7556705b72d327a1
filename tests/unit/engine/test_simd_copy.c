/* SPDX-License-Identifier: MIT
 *
 * Every way of copying that this processor supports: the same bytes as memcpy, and not one beside them. The source
 * ends at a page that cannot be read, so that reading too far ends the test.
 */
#include <sys/mman.h>

#include "engine/simd_copy.h"
#include "tests/unit/engine/fixture.h"

#define SHORT_LEN_MAX 300u
#define ALIGNMENTS    64u
#define MARGIN        128u
#define LARGE_LEN_MAX 70000u

struct room {
    uint8_t *source; /* page-aligned; source + source_len cannot be read */
    size_t source_len;
    uint8_t *target;
    uint8_t *expected;
    size_t target_len;
};

static struct room room_create(void)
{
    size_t page = 4096;
    struct room room = {.source_len = (LARGE_LEN_MAX / page + 2) * page};
    room.source = mmap(NULL, room.source_len + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(room.source != MAP_FAILED);
    assert_int_equal(mprotect(room.source + room.source_len, page, PROT_NONE), 0);
    random_fill(room.source, room.source_len);
    room.target_len = LARGE_LEN_MAX + ALIGNMENTS + 2 * MARGIN;
    room.target = aligned_alloc(64, (room.target_len + 63) / 64 * 64);
    room.expected = malloc(room.target_len);
    assert_non_null(room.target);
    assert_non_null(room.expected);
    memset(room.target, 0xee, room.target_len);
    memset(room.expected, 0xee, room.target_len);
    return room;
}

static void room_remove(struct room *room)
{
    munmap(room->source, room->source_len + 4096);
    free(room->target);
    free(room->expected);
}

static void check_one(struct room *room, rd_simd_copy_fn *copy, size_t to, const uint8_t *from, size_t len)
{
    size_t seen = 2 * MARGIN + to + len;
    copy(room->target + MARGIN + to, from, len);
    memcpy(room->expected + MARGIN + to, from, len);
    if (memcmp(room->target, room->expected, seen) != 0)
        fail_msg("length %zu, alignment of the target %zu, of the source %zu", len, to, (uintptr_t)from % 64);
    memset(room->target + MARGIN + to, 0xee, len);
    memset(room->expected + MARGIN + to, 0xee, len);
}

static void check_row(const struct rd_simd_copy *row)
{
    static const size_t large[] = {511, 512, 513, 4095, 4096, 4097, 16383, 16384, LARGE_LEN_MAX};
    struct room room = room_create();
    const uint8_t *source_end = room.source + room.source_len;
    for (size_t len = 0; len <= SHORT_LEN_MAX; len++) {
        for (size_t align = 0; align < ALIGNMENTS; align++) {
            check_one(&room, row->copy, align, source_end - len, len);
            check_one(&room, row->copy, 0, room.source + align, len);
            check_one(&room, row->copy, align, room.source + align, len);
            check_one(&room, row->copy, align, room.source + random_below(ALIGNMENTS), len);
        }
    }
    for (size_t i = 0; i < sizeof large / sizeof large[0]; i++) {
        for (size_t align = 0; align < ALIGNMENTS; align++) {
            check_one(&room, row->copy, align, room.source + random_below(ALIGNMENTS), large[i]);
            check_one(&room, row->copy, align, source_end - large[i], large[i]);
        }
    }
    room_remove(&room);
}

static void each_copies_as_memcpy_does(void **state)
{
    (void)state;
    random_begin();
    size_t checked = 0;
    for (const struct rd_simd_copy *row = rd_simd_copies; row->name != NULL; row++) {
        bool supported = row->supported() != 0;
        print_message("    %s: %s\n", row->name, supported ? "checked" : "not supported here");
        if (!supported)
            continue;
        check_row(row);
        checked++;
    }
    assert_true(checked > 0);
}

static void the_best_one_is_the_first_that_is_supported(void **state)
{
    (void)state;
    const struct rd_simd_copy *row = rd_simd_copies;
    while (!row->supported())
        row++;
    assert_true(rd_simd_copy_best() == row->copy);
    while (row[1].name != NULL)
        row++;
    assert_string_equal(row->name, "portable");
    assert_true(row->supported());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_copies_as_memcpy_does),
        cmocka_unit_test(the_best_one_is_the_first_that_is_supported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
