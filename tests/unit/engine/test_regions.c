/* SPDX-License-Identifier: MIT
 *
 * Which regions of a file are told to be dead: against a model that remembers each entry, and at the borders.
 */
#include "engine/regions.h"
#include "tests/unit/engine/fixture.h"

#define REGION    RD_REGION_LEN
#define BLOCK     (RD_REGION_LEN * RD_REGIONS_PER_BLOCK)
#define GROUP_LEN RD_REGION_GROUP_LEN
#define RUNS      128u

/* All that is told now: region by region into `told`, of `count` regions. How many runs. */
static size_t take_all(struct rd_regions *regions, uint64_t end, uint8_t *told, size_t count)
{
    struct rd_region_run runs[RUNS];
    size_t all = 0;
    for (;;) {
        size_t got = rd_regions_take(regions, end, runs, RUNS);
        for (size_t i = 0; i < got; i++) {
            assert_true(runs[i].begin < runs[i].end && runs[i].end <= end);
            assert_int_equal(runs[i].begin % REGION + runs[i].end % REGION, 0);
            for (uint64_t number = runs[i].begin / REGION; number < runs[i].end / REGION; number++) {
                assert_true(number < count);
                told[number] = 1;
            }
        }
        all += got;
        if (got == 0)
            return all;
    }
}

static void a_region_dies_with_its_last_entry(void **state)
{
    (void)state;
    struct rd_regions regions = {.blocks = NULL};
    struct rd_region_run runs[RUNS];
    rd_regions_reserve(&regions, 0, 4 * REGION);
    for (uint64_t number = 0; number < 4; number++)
        rd_regions_add(&regions, number * REGION, (number + 1) * REGION);
    rd_regions_add(&regions, 2 * REGION - 64, 2 * REGION + 1); /* one more, on both sides of a border */
    assert_int_equal(rd_regions_take(&regions, 4 * REGION, runs, RUNS), 0);
    rd_regions_remove(&regions, 0, REGION);
    rd_regions_remove(&regions, REGION, 2 * REGION);
    rd_regions_remove(&regions, 2 * REGION, 3 * REGION);
    assert_int_equal(regions.died, 1);
    assert_int_equal(rd_regions_take(&regions, REGION - 1, runs, RUNS), 0); /* not synced up to its end */
    assert_int_equal(rd_regions_take(&regions, 4 * REGION, runs, RUNS), 1);
    assert_true(runs[0].begin == 0 && runs[0].end == REGION);
    rd_regions_remove(&regions, 2 * REGION - 64, 2 * REGION + 1);
    assert_int_equal(regions.died, 2);
    assert_int_equal(rd_regions_take(&regions, 4 * REGION, runs, RUNS), 1);
    assert_true(runs[0].begin == 0 &&
                runs[0].end == 3 * REGION); /* with the one before, as memory may be shared */
    assert_int_equal(rd_regions_take(&regions, 4 * REGION, runs, RUNS), 0);
    rd_regions_deinit(&regions);
}

static void runs_reach_over_what_was_told_but_within_their_group(void **state)
{
    (void)state;
    struct rd_regions regions = {.blocks = NULL};
    struct rd_region_run runs[RUNS];
    rd_regions_reserve(&regions, 0, BLOCK);
    rd_regions_add(&regions, 40 * REGION, 41 * REGION);
    assert_int_equal(rd_regions_take(&regions, 96 * REGION, runs, RUNS), 4); /* nothing lives in the others */
    assert_true(runs[0].begin == 0 && runs[0].end == GROUP_LEN);
    assert_true(runs[1].begin == GROUP_LEN && runs[1].end == 40 * REGION);
    assert_true(runs[2].begin == 41 * REGION && runs[2].end == 2 * GROUP_LEN);
    assert_true(runs[3].begin == 2 * GROUP_LEN && runs[3].end == 3 * GROUP_LEN);
    rd_regions_remove(&regions, 40 * REGION, 41 * REGION);
    assert_int_equal(rd_regions_take(&regions, 96 * REGION, runs, RUNS), 1);
    assert_true(runs[0].begin == GROUP_LEN && runs[0].end == 2 * GROUP_LEN);
    rd_regions_deinit(&regions);
}

static void what_is_given_back_is_told_again(void **state)
{
    (void)state;
    struct rd_regions regions = {.blocks = NULL};
    struct rd_region_run runs[RUNS];
    rd_regions_reserve(&regions, 0, BLOCK);
    assert_int_equal(rd_regions_take(&regions, BLOCK, runs, RUNS), BLOCK / GROUP_LEN);
    struct rd_region_run run = runs[3];
    rd_regions_give_back(&regions, &run);
    assert_int_equal(rd_regions_take(&regions, BLOCK, runs, RUNS), 1);
    assert_true(runs[0].begin == run.begin && runs[0].end == run.end);
    assert_int_equal(rd_regions_take(&regions, BLOCK, runs, RUNS), 0);
    rd_regions_deinit(&regions);
}

static void what_was_there_before_is_never_told(void **state)
{
    (void)state;
    struct rd_regions regions = {.blocks = NULL};
    struct rd_region_run runs[RUNS];
    uint64_t tail = 3 * BLOCK + 5 * REGION + 64;
    rd_regions_remove(&regions, 0, REGION); /* nothing is counted yet */
    rd_regions_reserve(&regions, tail, tail + 4 * REGION);
    assert_null(regions.blocks[2].live);
    rd_regions_remove(&regions, 0, tail);
    rd_regions_add(&regions, tail, tail + 64);
    rd_regions_remove(&regions, tail, tail + 64);
    assert_int_equal(regions.died, 0);
    assert_int_equal(rd_regions_take(&regions, tail + 4 * REGION, runs, RUNS), 1);
    assert_int_equal(runs[0].begin, 3 * BLOCK + 6 * REGION); /* the first that was counted from its beginning */
    assert_int_equal(runs[0].end, 3 * BLOCK + 9 * REGION);
    rd_regions_deinit(&regions);
    assert_null(regions.blocks);
}

/* An entry that is not there any more as it was added: the file is not ours alone to change. */
static void counts_do_not_go_below_nothing(void **state)
{
    (void)state;
    struct rd_regions regions = {.blocks = NULL};
    struct rd_region_run runs[RUNS];
    rd_regions_reserve(&regions, 0, 2 * REGION);
    rd_regions_add(&regions, REGION, REGION + 64);
    rd_regions_remove(&regions, 0, REGION + 64);
    rd_regions_remove(&regions, 0, REGION + 64);
    assert_int_equal(rd_regions_take(&regions, 2 * REGION, runs, RUNS), 1);
    assert_int_equal(runs[0].end, 2 * REGION);
    rd_regions_remove(&regions, 0, 2 * REGION);
    assert_int_equal(rd_regions_take(&regions, 2 * REGION, runs, RUNS), 0);
    rd_regions_deinit(&regions);
}

static void a_block_that_is_dead_takes_no_memory(void **state)
{
    (void)state;
    struct rd_regions regions = {.blocks = NULL};
    struct rd_region_run runs[RUNS];
    rd_regions_reserve(&regions, 0, 2 * BLOCK);
    rd_regions_add(&regions, BLOCK - 64, BLOCK + 64);
    for (int i = 0; i < 3; i++)
        (void)rd_regions_take(&regions, 2 * BLOCK, runs, RUNS);
    assert_non_null(regions.blocks[0].live);
    assert_non_null(regions.blocks[1].live);
    rd_regions_remove(&regions, BLOCK - 64, BLOCK + 64);
    assert_int_equal(rd_regions_take(&regions, 2 * BLOCK, runs, RUNS), 2);
    assert_non_null(regions.blocks[0].live); /* something may be given back */
    assert_int_equal(rd_regions_take(&regions, 2 * BLOCK, runs, RUNS), 0);
    assert_null(regions.blocks[0].live);
    assert_null(regions.blocks[1].live);
    rd_regions_deinit(&regions);
}

/* More blocks than one call looks at, and more runs than it may give. */
static void calls_go_on_where_the_last_one_stopped(void **state)
{
    (void)state;
    enum { BLOCKS = 600 };
    struct rd_regions regions = {.blocks = NULL};
    uint64_t end = BLOCKS * BLOCK;
    rd_regions_reserve(&regions, 0, end);
    for (uint64_t number = 0; number < end / REGION; number += 16)
        rd_regions_add(&regions, number * REGION, number * REGION + 64);
    struct rd_region_run runs[RUNS];
    uint8_t *told = calloc(end / REGION, 1);
    uint64_t missing = end / REGION - end / REGION / 16;
    for (unsigned calls = 0; missing != 0; calls++) {
        assert_true(calls < BLOCKS * (RD_REGIONS_PER_BLOCK / 16 / RUNS + 1) + 3);
        size_t got = rd_regions_take(&regions, end, runs, RUNS);
        for (size_t i = 0; i < got; i++)
            for (uint64_t number = runs[i].begin / REGION; number < runs[i].end / REGION; number++) {
                assert_true(number % 16 != 0 && !told[number]);
                told[number] = 1;
                missing--;
            }
    }
    free(told);
    rd_regions_deinit(&regions);
}

/* ---- against a model ---- */

enum { ENTRIES = 6000 };

struct model_entry {
    uint64_t begin;
    uint64_t end;
    bool lives;
};

static struct model_entry model[ENTRIES];

static uint64_t a_length(void)
{
    return random_below(20) == 0 ? 1 + random_below(8 * REGION) : 21 + random_below(8000);
}

/* told: 1 where a region was told of. All that are dead below `end` are, and none in which something lives. */
static void compare(const uint8_t *told, size_t entry_count, uint64_t end, size_t region_count)
{
    uint8_t *lives = calloc(region_count, 1);
    for (size_t i = 0; i < entry_count; i++)
        for (uint64_t number = model[i].begin / REGION; model[i].lives && number * REGION < model[i].end; number++)
            lives[number] = 1;
    for (size_t number = 0; number < region_count; number++)
        if ((number + 1) * REGION <= end)
            assert_int_equal(told[number], !lives[number]);
        else
            assert_int_equal(told[number], 0);
    free(lives);
}

static void it_is_what_a_model_says(void **state)
{
    (void)state;
    random_begin();
    for (int round = 0; round < 8; round++) {
        struct rd_regions regions = {.blocks = NULL};
        size_t region_count = ENTRIES * (8 * REGION / 20 + 8000) / REGION + RD_REGIONS_PER_BLOCK;
        uint8_t *told = calloc(region_count, 1);
        uint64_t tail = 0;
        uint64_t end = 0;
        for (size_t count = 0; count < ENTRIES;) {
            uint64_t begin = (tail + 63) / 64 * 64;
            model[count] = (struct model_entry){.begin = begin, .end = begin + a_length(), .lives = true};
            rd_regions_reserve(&regions, tail, model[count].end);
            rd_regions_add(&regions, begin, model[count].end);
            tail = model[count++].end;
            struct model_entry *old = &model[random_below(count)];
            if (old->lives && random_below(10) != 0) {
                rd_regions_remove(&regions, old->begin, old->end);
                old->lives = false;
            }
            if (random_below(500) == 0 || count == ENTRIES) {
                end = count == ENTRIES ? tail : end + random_below(tail - end + 1);
                (void)take_all(&regions, end, told, region_count);
                compare(told, count, end, region_count);
            }
        }
        free(told);
        rd_regions_deinit(&regions);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_region_dies_with_its_last_entry),
        cmocka_unit_test(runs_reach_over_what_was_told_but_within_their_group),
        cmocka_unit_test(what_is_given_back_is_told_again),
        cmocka_unit_test(what_was_there_before_is_never_told),
        cmocka_unit_test(counts_do_not_go_below_nothing),
        cmocka_unit_test(a_block_that_is_dead_takes_no_memory),
        cmocka_unit_test(calls_go_on_where_the_last_one_stopped),
        cmocka_unit_test(it_is_what_a_model_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
