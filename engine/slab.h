/* SPDX-License-Identifier: MIT
 *
 * slab.h - memory for the index's segments, which are all of one size once there are many, and for what is noted
 * before their splits (index.c): blocks out of chunks of 2 MiB, so that the kernel can back each chunk with one
 * page. An index is looked at in random places, and with small pages most looks miss the processor's cache of page
 * tables too.
 *
 *   | owner and link | a side of 64 bytes for each block |  unused  | block 1 | block 2 | ... | block 63 |
 *   |<------------------------ 32 KiB ------------------------->|
 *
 * What belongs to a block and is looked at without it lies at its side: the sides of many blocks share a page.
 *
 * A chunk has its large page from the beginning or not at all: where the index is going to be large at once, and
 * where it has grown so large that one chunk more is little beside it. To clear such a page takes 0.4 ms, and ten
 * times that where the machine under a virtual one has to find the memory first: so the next chunk is made ready
 * ahead by a thread (spare.h); where that has not finished, small pages do. A block that is given back is the next
 * one taken, since it is in the cache. Chunks are kept until the end.
 *
 * (A chunk in use could be copied to a large page and replaced by it as a whole, by mremap. But that waits until
 * every other processor has forgotten the old pages, and of a virtual machine that is not running one for its
 * turn: puts of 7 and 10 ms were seen; with MADV_COLLAPSE, which waits for more, of 300 ms.)
 *
 * The writer's alone.
 */
#ifndef RD_ENGINE_SLAB_H
#define RD_ENGINE_SLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/spare.h"

#define RD_SLAB_CHUNK_LEN ((size_t)2 << 20)
#define RD_SLAB_BLOCK_LEN ((size_t)32 << 10)
#define RD_SLAB_SIDE_LEN  ((size_t)64)

struct rd_slab_block;
struct rd_slab_chunk;

struct rd_slab {
    struct rd_slab_block *free;   /* given back; the last one first */
    struct rd_slab_chunk *newest; /* owned, as are those it links to */
    struct rd_spare spare;        /* owned; of the length of a chunk */
    uint64_t bytes;               /* memory that it has from the system, the spare's included */
    uint32_t chunk_count;
    uint32_t taken; /* blocks of the newest chunk that were ever in use */
    bool at_once;   /* many blocks are being taken now, and nobody waits for one of them */
};

/* So many blocks or more are going to be taken at once, until it is settled. */
void rd_slab_expect(struct rd_slab *slab, uint64_t block_count);
void rd_slab_settle(struct rd_slab *slab);

/* On a boundary of its length; holds anything, as does its side. NULL: no memory. */
void *rd_slab_take(struct rd_slab *slab);

void rd_slab_give(void *block);

/* Gives all memory back, blocks in use included. Fine on a zeroed slab. */
void rd_slab_deinit(struct rd_slab *slab);

static inline void *rd_slab_side_of(const void *block)
{
    uintptr_t chunk = (uintptr_t)block & ~(RD_SLAB_CHUNK_LEN - 1);
    uintptr_t number = ((uintptr_t)block & (RD_SLAB_CHUNK_LEN - 1)) / RD_SLAB_BLOCK_LEN;
    return (void *)(chunk + number * RD_SLAB_SIDE_LEN);
}

#endif
