/* SPDX-License-Identifier: MIT */
#include "engine/slab.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#define BLOCKS_PER_CHUNK ((uint32_t)(RD_SLAB_CHUNK_LEN / RD_SLAB_BLOCK_LEN) - 1)
#define LARGE_CHUNKS     6u /* so many, and another one's unused part is little beside them */

/* At a chunk's begin, in the place of the side of the block that is not there. */
struct rd_slab_chunk {
    struct rd_slab *slab;
    struct rd_slab_chunk *older;
    bool large; /* has a large page from the beginning */
};

struct rd_slab_block {
    struct rd_slab_block *next;
};

static_assert(sizeof(struct rd_slab_chunk) <= RD_SLAB_SIDE_LEN, "fits into a side");
static_assert((BLOCKS_PER_CHUNK + 1) * RD_SLAB_SIDE_LEN <= RD_SLAB_BLOCK_LEN, "sides fit before the first block");

/* On a boundary of its own length: what is mapped around it goes back. */
static struct rd_slab_chunk *map_chunk(void)
{
    size_t len = RD_SLAB_CHUNK_LEN;
    char *around = mmap(NULL, 2 * len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (around == MAP_FAILED)
        return NULL;
    size_t before = -(uintptr_t)around & (len - 1);
    if (before != 0)
        munmap(around, before);
    munmap(around + before + len, len - before);
    return (struct rd_slab_chunk *)(void *)(around + before);
}

/* Where there is none to be had it stays as it is: mremap refuses before it takes the old pages away. */
static void give_large_page(struct rd_slab_chunk *chunk)
{
    void *copy = map_chunk();
    if (copy == NULL)
        return;
    if (madvise(copy, RD_SLAB_CHUNK_LEN, MADV_HUGEPAGE) != 0) {
        munmap(copy, RD_SLAB_CHUNK_LEN);
        return;
    }
    memcpy(copy, chunk, RD_SLAB_CHUNK_LEN);
    if (mremap(copy, RD_SLAB_CHUNK_LEN, RD_SLAB_CHUNK_LEN, MREMAP_MAYMOVE | MREMAP_FIXED, chunk) == MAP_FAILED)
        munmap(copy, RD_SLAB_CHUNK_LEN);
}

static bool add_chunk(struct rd_slab *slab)
{
    struct rd_slab_chunk *chunk = map_chunk();
    if (chunk == NULL)
        return false;
    slab->large = slab->large || slab->bytes >= LARGE_CHUNKS * RD_SLAB_CHUNK_LEN;
    if (slab->large)
        (void)madvise(chunk, RD_SLAB_CHUNK_LEN, MADV_HUGEPAGE); /* small pages do as well, but slower */
    *chunk = (struct rd_slab_chunk){.slab = slab, .older = slab->newest, .large = slab->large};
    slab->bytes += slab->large ? RD_SLAB_CHUNK_LEN : RD_SLAB_SIDE_LEN * (BLOCKS_PER_CHUNK + 1);
    slab->newest = chunk;
    slab->taken = 0;
    return true;
}

void rd_slab_expect(struct rd_slab *slab, uint64_t block_count)
{
    slab->large = block_count >= LARGE_CHUNKS * BLOCKS_PER_CHUNK;
}

void *rd_slab_take(struct rd_slab *slab)
{
    struct rd_slab_block *block = slab->free;
    if (block != NULL) {
        slab->free = block->next;
        return block;
    }
    if ((slab->newest == NULL || slab->taken == BLOCKS_PER_CHUNK) && !add_chunk(slab))
        return NULL;
    struct rd_slab_chunk *chunk = slab->newest;
    char *fresh = (char *)chunk + ++slab->taken * RD_SLAB_BLOCK_LEN;
    if (!chunk->large) {
        slab->bytes += RD_SLAB_BLOCK_LEN;
        if (slab->taken == BLOCKS_PER_CHUNK)
            give_large_page(chunk);
    }
    return fresh;
}

void rd_slab_give(void *block)
{
    struct rd_slab_chunk *chunk = (struct rd_slab_chunk *)((uintptr_t)block & ~(RD_SLAB_CHUNK_LEN - 1));
    struct rd_slab_block *given = block;
    given->next = chunk->slab->free;
    chunk->slab->free = given;
}

void rd_slab_deinit(struct rd_slab *slab)
{
    for (struct rd_slab_chunk *chunk = slab->newest; chunk != NULL;) {
        struct rd_slab_chunk *older = chunk->older;
        munmap(chunk, RD_SLAB_CHUNK_LEN);
        chunk = older;
    }
    *slab = (struct rd_slab){.free = NULL};
}
