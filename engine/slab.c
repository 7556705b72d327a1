/* SPDX-License-Identifier: MIT */
#include "engine/slab.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

#define BLOCKS_PER_CHUNK ((uint32_t)(RD_SLAB_CHUNK_LEN / RD_SLAB_BLOCK_LEN) - 1)
#define LARGE_CHUNKS     3u                     /* so many, and another two are little beside them */
#define ASKED_AT         (BLOCKS_PER_CHUNK / 4) /* blocks of the newest chunk in use: the next one is made ready */
#define SMALL_PAGE_LEN   ((size_t)4 << 10)

/* At a chunk's begin, in the place of the side of the block that is not there. */
struct rd_slab_chunk {
    struct rd_slab *slab;
    struct rd_slab_chunk *older;
    bool large; /* has a large page, where the kernel had one */
};

struct rd_slab_block {
    struct rd_slab_block *next;
};

static_assert(sizeof(struct rd_slab_chunk) <= RD_SLAB_SIDE_LEN, "fits into a side");
static_assert((BLOCKS_PER_CHUNK + 1) * RD_SLAB_SIDE_LEN <= RD_SLAB_BLOCK_LEN, "sides fit before the first block");

/* On a boundary of its own length: what is mapped around it goes back. */
static void *map_chunk(void)
{
    size_t len = RD_SLAB_CHUNK_LEN;
    char *around = mmap(NULL, 2 * len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (around == MAP_FAILED)
        return NULL;
    size_t before = -(uintptr_t)around & (len - 1);
    if (before != 0)
        munmap(around, before);
    munmap(around + before + len, len - before);
    return around + before;
}

static void *map_large_chunk(void)
{
    void *chunk = map_chunk();
    if (chunk != NULL)
        (void)madvise(chunk, RD_SLAB_CHUNK_LEN, MADV_HUGEPAGE); /* small pages do as well, but slower */
    return chunk;
}

/* With its memory. On the spare's thread. */
static void *make_large_chunk(void)
{
    char *chunk = map_large_chunk();
    for (size_t at = 0; chunk != NULL && at < RD_SLAB_CHUNK_LEN; at += SMALL_PAGE_LEN)
        *(volatile char *)&chunk[at] = 0;
    return chunk;
}

static bool is_large(const struct rd_slab *slab)
{
    return slab->chunk_count >= LARGE_CHUNKS;
}

/* ---- chunks ahead of their need ------------------------------------------------------------------------ */

static void look_ahead(struct rd_slab *slab)
{
    bool soon = is_large(slab) && !slab->at_once && slab->taken >= ASKED_AT;
    if (soon && rd_spare_prepare(&slab->spare, make_large_chunk))
        slab->bytes += RD_SLAB_CHUNK_LEN;
}

/* NULL: there is none yet. */
static void *take_spare(struct rd_slab *slab)
{
    if (!rd_spare_is_ready(&slab->spare))
        return NULL;
    slab->bytes -= RD_SLAB_CHUNK_LEN;
    return rd_spare_take(&slab->spare);
}

/* ---- blocks -------------------------------------------------------------------------------------------- */

static bool add_chunk(struct rd_slab *slab)
{
    void *memory = slab->at_once ? map_large_chunk() : take_spare(slab);
    bool large = memory != NULL;
    if (memory == NULL)
        memory = map_chunk();
    if (memory == NULL)
        return false;
    struct rd_slab_chunk *chunk = memory;
    *chunk = (struct rd_slab_chunk){.slab = slab, .older = slab->newest, .large = large};
    slab->bytes += large ? RD_SLAB_CHUNK_LEN : RD_SLAB_SIDE_LEN * (BLOCKS_PER_CHUNK + 1);
    slab->chunk_count++;
    slab->newest = chunk;
    slab->taken = 0;
    return true;
}

void rd_slab_expect(struct rd_slab *slab, uint64_t block_count)
{
    slab->at_once = block_count >= LARGE_CHUNKS * BLOCKS_PER_CHUNK;
}

void rd_slab_settle(struct rd_slab *slab)
{
    slab->at_once = false;
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
    if (!chunk->large)
        slab->bytes += RD_SLAB_BLOCK_LEN;
    look_ahead(slab);
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
    void *spare = rd_spare_end(&slab->spare);
    if (spare != NULL)
        munmap(spare, RD_SLAB_CHUNK_LEN);
    for (struct rd_slab_chunk *chunk = slab->newest; chunk != NULL;) {
        struct rd_slab_chunk *older = chunk->older;
        munmap(chunk, RD_SLAB_CHUNK_LEN);
        chunk = older;
    }
    *slab = (struct rd_slab){.free = NULL};
}
