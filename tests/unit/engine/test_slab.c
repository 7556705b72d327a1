/* SPDX-License-Identifier: MIT
 *
 * Blocks of the slab: each on its boundary, each to itself with its side, given back ones used again, and what it
 * says it takes is what it takes.
 */
#include <sched.h>

#include "engine/slab.h"
#include "tests/unit/engine/fixture.h"

#define BLOCKS      600u /* ten chunks: the later ones have large pages from the beginning */
#define SIDE_WORDS  (RD_SLAB_SIDE_LEN / sizeof(uint64_t))
#define BLOCK_WORDS (RD_SLAB_BLOCK_LEN / sizeof(uint64_t))

static void mark(void *block, uint64_t number)
{
    uint64_t *side = rd_slab_side_of(block);
    uint64_t *words = block;
    for (size_t i = 0; i < SIDE_WORDS; i++)
        side[i] = number;
    for (size_t i = 0; i < BLOCK_WORDS; i++)
        words[i] = number;
}

static bool has_mark(const void *block, uint64_t number)
{
    const uint64_t *side = rd_slab_side_of(block);
    const uint64_t *words = block;
    bool good = true;
    for (size_t i = 0; i < SIDE_WORDS; i++)
        good = good && side[i] == number;
    for (size_t i = 0; i < BLOCK_WORDS; i++)
        good = good && words[i] == number;
    return good;
}

static void blocks_and_their_sides_do_not_overlap(void **state)
{
    (void)state;
    struct rd_slab slab = {.free = NULL};
    void *blocks[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = rd_slab_take(&slab);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % RD_SLAB_BLOCK_LEN, 0);
        mark(blocks[i], i + 1);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        assert_true(has_mark(blocks[i], i + 1));
    rd_slab_deinit(&slab);
}

static void a_chunk_of_many_is_made_ready_before_it_is_needed(void **state)
{
    (void)state;
    enum { CHUNK_BLOCKS = RD_SLAB_CHUNK_LEN / RD_SLAB_BLOCK_LEN - 1, FIRST = 3 * CHUNK_BLOCKS };
    struct rd_slab slab = {.free = NULL};
    for (size_t i = 1; i <= FIRST; i++) {
        mark(rd_slab_take(&slab), i);
        assert_true(i > FIRST - CHUNK_BLOCKS || !slab.spare.under_way); /* much beside so few */
    }
    for (size_t chunks = 1; chunks <= 3; chunks++) {
        assert_true(slab.spare.under_way);
        while (!rd_spare_is_ready(&slab.spare))
            sched_yield();
        uint64_t bytes = slab.bytes;
        void *block = rd_slab_take(&slab);
        assert_false(slab.spare.under_way);
        assert_int_equal((uintptr_t)block % RD_SLAB_CHUNK_LEN, RD_SLAB_BLOCK_LEN);
        assert_int_equal(slab.bytes, bytes); /* it was counted before */
        mark(block, chunks);
        for (size_t i = 1; i < CHUNK_BLOCKS; i++)
            mark(rd_slab_take(&slab), i);
        assert_true(has_mark(block, chunks));
    }
    rd_slab_deinit(&slab);
}

static void what_is_taken_at_once_has_large_pages(void **state)
{
    (void)state;
    enum { CHUNK_BLOCKS = RD_SLAB_CHUNK_LEN / RD_SLAB_BLOCK_LEN - 1 };
    struct rd_slab slab = {.free = NULL};
    rd_slab_expect(&slab, BLOCKS / 3 * 2); /* it may be more in the end */
    for (size_t i = 1; i <= BLOCKS; i++) {
        mark(rd_slab_take(&slab), i);
        assert_int_equal(slab.bytes, (i + CHUNK_BLOCKS - 1) / CHUNK_BLOCKS * RD_SLAB_CHUNK_LEN);
    }
    assert_false(slab.spare.under_way);
    rd_slab_settle(&slab);
    mark(rd_slab_take(&slab), 1);
    assert_true(slab.spare.under_way);
    rd_slab_deinit(&slab);
}

static void one_that_was_given_back_is_the_next_one_taken(void **state)
{
    (void)state;
    struct rd_slab slab = {.free = NULL};
    void *first = rd_slab_take(&slab);
    void *second = rd_slab_take(&slab);
    mark(second, 2);
    rd_slab_give(first);
    uint64_t bytes = slab.bytes;
    assert_ptr_equal(rd_slab_take(&slab), first);
    assert_int_equal(slab.bytes, bytes);
    rd_slab_give(second);
    rd_slab_give(first);
    assert_ptr_equal(rd_slab_take(&slab), first);
    assert_ptr_equal(rd_slab_take(&slab), second);
    rd_slab_deinit(&slab);
}

static void it_counts_little_more_than_its_blocks(void **state)
{
    (void)state;
    struct rd_slab slab = {.free = NULL};
    for (size_t i = 1; i <= BLOCKS; i++) {
        assert_non_null(rd_slab_take(&slab));
        assert_true(slab.bytes >= i * RD_SLAB_BLOCK_LEN);
        size_t more = i <= 3 * 63 ? i * RD_SLAB_BLOCK_LEN / 32 + RD_SLAB_BLOCK_LEN : 2 * RD_SLAB_CHUNK_LEN;
        size_t spare = i <= 2 * 63 ? 0 : RD_SLAB_CHUNK_LEN; /* a large page, ahead of its need */
        assert_true(slab.bytes <= i * RD_SLAB_BLOCK_LEN + more + spare);
    }
    rd_slab_deinit(&slab);
    assert_int_equal(slab.bytes, 0);
    rd_slab_deinit(&slab); /* fine on one that has nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_and_their_sides_do_not_overlap),
        cmocka_unit_test(a_chunk_of_many_is_made_ready_before_it_is_needed),
        cmocka_unit_test(what_is_taken_at_once_has_large_pages),
        cmocka_unit_test(one_that_was_given_back_is_the_next_one_taken),
        cmocka_unit_test(it_counts_little_more_than_its_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
