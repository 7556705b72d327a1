/* SPDX-License-Identifier: MIT
 *
 * regions.h - which parts of a store's file hold nothing that lives any more: the file in regions of 64 KiB, and
 * how many live entries touch each. Counts only; what is done with the dead ones is discard.h's.
 *
 *     0             1 .. 1024          DISCARDED                 UNKNOWN
 *     nobody        so many live       dead, and told of         in the file before counting began
 *
 * An entry takes 64 bytes at least, so a region has 1,024 of them and what hangs over from the one before. Below
 * the tail no entry is added, so what is dead there stays dead. Counting begins where the file ends when it is
 * opened, or has been compacted: what is in it by then would have to be read to be counted. Counts lie in blocks
 * of 1,024 (64 MiB of file); where there is no memory for one, its regions are unknown, which costs nothing but
 * what could have been given back.
 *
 * The writer's alone.
 */
#ifndef RD_ENGINE_REGIONS_H
#define RD_ENGINE_REGIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RD_REGION_LEN        (UINT64_C(64) << 10)
#define RD_REGIONS_PER_BLOCK 1024u
#define RD_REGION_GROUP_LEN  (UINT64_C(2) << 20) /* as long as the kernel's large pages */

struct rd_region_block {
    uint16_t *live; /* owned; RD_REGIONS_PER_BLOCK; NULL: all are unknown, or discarded */
    bool changed;   /* a region may have died in it that was not told of */
    bool spent;     /* all were told of, and the memory goes with the next call that comes by */
};

/* Part of the file, of whole regions, within one group. */
struct rd_region_run {
    uint64_t begin;
    uint64_t end;
};

struct rd_regions {
    struct rd_region_block *blocks; /* owned */
    size_t block_count;
    size_t block_capacity;
    size_t next;   /* the block to look at first */
    uint64_t died; /* regions, since dead ones were last taken; those between the tail and a dead entry too */
};

/* Back to the beginning, and fine on a zeroed one. Zeroed, nothing is counted yet. */
void rd_regions_deinit(struct rd_regions *regions);

/* Entries are about to be added from `tail` to `end`. What is below `tail` and not counted yet never will be. */
void rd_regions_reserve(struct rd_regions *regions, uint64_t tail, uint64_t end);

/* An entry, or what it takes of the file, lives from now on; or lives no longer. */
void rd_regions_add(struct rd_regions *regions, uint64_t begin, uint64_t end);
void rd_regions_remove(struct rd_regions *regions, uint64_t begin, uint64_t end);

/* Dead regions that end at or below `end`, as runs, not told of before; a run may reach over some that were, so
 * that memory which was given to several at once is all within it. At most runs_max, and from a part of the file
 * at a time, so that a large one takes no long look; the next call goes on. How many runs. */
size_t rd_regions_take(struct rd_regions *regions, uint64_t end, struct rd_region_run *runs, size_t runs_max);

/* A run of the last call's is to be told again, when more has died. */
void rd_regions_give_back(struct rd_regions *regions, const struct rd_region_run *run);

#endif
