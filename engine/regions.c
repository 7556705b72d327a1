/* SPDX-License-Identifier: MIT */
#include "engine/regions.h"

#include <assert.h>
#include <stdlib.h>

#define DISCARDED 0xfffeu
#define UNKNOWN   0xffffu

#define BLOCK_LEN     (RD_REGION_LEN * RD_REGIONS_PER_BLOCK)
#define LOOKED_AT_MAX 256u /* blocks, of one call: half a MiB of counts */
#define GROUP         (RD_REGION_GROUP_LEN / RD_REGION_LEN)

void rd_regions_deinit(struct rd_regions *regions)
{
    for (size_t i = 0; i < regions->block_count; i++)
        free(regions->blocks[i].live);
    free(regions->blocks);
    *regions = (struct rd_regions){.blocks = NULL};
}

/* ---- counting ------------------------------------------------------------------------------------------ */

static bool make_room(struct rd_regions *regions, size_t block_count)
{
    if (block_count <= regions->block_capacity)
        return true;
    size_t capacity = block_count < 16 ? 16 : block_count + block_count / 2;
    struct rd_region_block *blocks = realloc(regions->blocks, capacity * sizeof *blocks);
    if (blocks == NULL)
        return false;
    regions->blocks = blocks;
    regions->block_capacity = capacity;
    return true;
}

/* Regions that begin below `tail` hold what was not counted. */
static struct rd_region_block make_block(uint64_t number, uint64_t tail)
{
    uint64_t begin = number * BLOCK_LEN;
    struct rd_region_block block = {.live = NULL};
    if (begin + BLOCK_LEN <= tail)
        return block;
    block.live = calloc(RD_REGIONS_PER_BLOCK, sizeof *block.live);
    block.changed = block.live != NULL; /* of tombstones alone, it dies without a change */
    for (size_t i = 0; block.live != NULL && begin + i * RD_REGION_LEN < tail; i++)
        block.live[i] = UNKNOWN;
    return block;
}

void rd_regions_reserve(struct rd_regions *regions, uint64_t tail, uint64_t end)
{
    size_t block_count = (size_t)((end + BLOCK_LEN - 1) / BLOCK_LEN);
    if (block_count <= regions->block_count || !make_room(regions, block_count))
        return;
    while (regions->block_count < block_count) {
        regions->blocks[regions->block_count] = make_block(regions->block_count, tail);
        regions->block_count++;
    }
}

/* NULL: it is not counted. */
static inline uint16_t *find(struct rd_regions *regions, uint64_t number, struct rd_region_block **ret_block)
{
    uint64_t block_number = number / RD_REGIONS_PER_BLOCK;
    if (block_number >= regions->block_count)
        return NULL;
    struct rd_region_block *block = &regions->blocks[block_number];
    *ret_block = block;
    uint16_t *live = block->live == NULL ? NULL : &block->live[number % RD_REGIONS_PER_BLOCK];
    return live == NULL || *live >= DISCARDED ? NULL : live;
}

void rd_regions_add(struct rd_regions *regions, uint64_t begin, uint64_t end)
{
    struct rd_region_block *block;
    for (uint64_t number = begin / RD_REGION_LEN; number * RD_REGION_LEN < end; number++) {
        uint16_t *live = find(regions, number, &block);
        if (live != NULL)
            ++*live;
    }
}

void rd_regions_remove(struct rd_regions *regions, uint64_t begin, uint64_t end)
{
    struct rd_region_block *block;
    for (uint64_t number = begin / RD_REGION_LEN; number * RD_REGION_LEN < end; number++) {
        uint16_t *live = find(regions, number, &block);
        if (live == NULL || *live == 0 || --*live != 0) /* 0: the file has changed since that entry was added */
            continue;
        block->changed = true;
        regions->died++;
    }
}

/* ---- telling of the dead ------------------------------------------------------------------------------- */

static bool is_past(uint16_t live)
{
    return live == 0 || live == DISCARDED;
}

/* Dead regions in a row within one group, from *at on and below limit, of which some are new. False: there are
 * none. *at is behind them. */
static bool next_run(uint16_t *live, size_t *at, size_t limit, size_t *ret_begin)
{
    while (*at < limit) {
        size_t group_end = *at - *at % GROUP + GROUP;
        bool is_new = false;
        *ret_begin = *at;
        for (; *at < limit && *at < group_end && is_past(live[*at]); ++*at) {
            is_new = is_new || live[*at] == 0;
            live[*at] = DISCARDED;
        }
        if (is_new)
            return true;
        if (*at < limit && *at < group_end)
            ++*at; /* that one lives */
    }
    return false;
}

static bool is_all_discarded(const uint16_t *live)
{
    size_t at = 0;
    while (at < RD_REGIONS_PER_BLOCK && live[at] == DISCARDED)
        at++;
    return at == RD_REGIONS_PER_BLOCK;
}

static size_t take_of_block(struct rd_region_block *block, uint64_t offset, uint64_t end,
                            struct rd_region_run *runs, size_t runs_max)
{
    size_t limit = end - offset < BLOCK_LEN ? (size_t)((end - offset) / RD_REGION_LEN) : RD_REGIONS_PER_BLOCK;
    size_t count = 0;
    size_t at = 0;
    size_t begin;
    while (count < runs_max && next_run(block->live, &at, limit, &begin))
        runs[count++] =
            (struct rd_region_run){.begin = offset + begin * RD_REGION_LEN, .end = offset + at * RD_REGION_LEN};
    if (count < runs_max && limit == RD_REGIONS_PER_BLOCK) {
        block->changed = false;
        block->spent = is_all_discarded(block->live);
    }
    return count;
}

size_t rd_regions_take(struct rd_regions *regions, uint64_t end, struct rd_region_run *runs, size_t runs_max)
{
    size_t count = 0;
    regions->died = 0;
    for (size_t looked_at = 0; looked_at < LOOKED_AT_MAX && looked_at < regions->block_count; looked_at++) {
        if (regions->next >= regions->block_count)
            regions->next = 0;
        struct rd_region_block *block = &regions->blocks[regions->next];
        uint64_t offset = regions->next * BLOCK_LEN;
        if (block->spent && !block->changed) { /* and none of what was told then has come back */
            free(block->live);
            *block = (struct rd_region_block){.live = NULL};
        }
        if (block->live != NULL && block->changed && offset < end)
            count += take_of_block(block, offset, end, runs + count, runs_max - count);
        if (count == runs_max)
            break; /* there may be more in this one */
        regions->next++;
    }
    return count;
}

void rd_regions_give_back(struct rd_regions *regions, const struct rd_region_run *run)
{
    for (uint64_t number = run->begin / RD_REGION_LEN; number < run->end / RD_REGION_LEN; number++) {
        struct rd_region_block *block = &regions->blocks[number / RD_REGIONS_PER_BLOCK];
        uint16_t *live = &block->live[number % RD_REGIONS_PER_BLOCK];
        assert(*live == DISCARDED);
        *live = 0;
        block->changed = true;
    }
}
