/* SPDX-License-Identifier: MIT */
#include "engine/slab.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

#define BLOCKS_PER_CHUNK ((uint32_t)(RD_SLAB_CHUNK_LEN / RD_SLAB_BLOCK_LEN) - 1)
#define LARGE_CHUNKS     6u /* so many, and another one's unused part is little beside them */
#define SMALL_PAGE_LEN   ((size_t)4 << 10)

/* Of many chunks the next one's page is asked for when so many blocks of the newest are in use. What would lie
 * idle is much beside a few: each of these is full before a page is asked for, and as long as there are fewer none
 * is. */
#define ASKED_AT   (BLOCKS_PER_CHUNK / 2)
#define FEW_CHUNKS 4u

/* At a chunk's begin, in the place of the side of the block that is not there. */
struct rd_slab_chunk {
    struct rd_slab *slab;
    struct rd_slab_chunk *older;
    bool large; /* has a large page */
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

/* What a chunk takes that has small pages, with so many blocks that were ever in use. */
static uint64_t small_bytes(uint32_t taken)
{
    return RD_SLAB_SIDE_LEN * (BLOCKS_PER_CHUNK + 1) + taken * RD_SLAB_BLOCK_LEN;
}

/* ---- large pages ahead of their need ------------------------------------------------------------------- */

static void ask_for_spare(struct rd_slab *slab)
{
    if (rd_spare_prepare(&slab->spare, make_large_chunk))
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

/* One that has small pages and is worth a large one: full, or of many. */
static struct rd_slab_chunk *find_worthy(const struct rd_slab *slab)
{
    struct rd_slab_chunk *chunk = slab->small_count != 0 ? slab->newest : NULL;
    while (chunk != NULL &&
           (chunk->large || (chunk == slab->newest && slab->taken < BLOCKS_PER_CHUNK && !is_large(slab))))
        chunk = chunk->older;
    return chunk;
}

/* Readers look at the chunk meanwhile. Where the copy cannot take its place it stays as it is: mremap refuses
 * before it takes the old pages away. */
static void give_large_page(struct rd_slab *slab, struct rd_slab_chunk *chunk)
{
    void *copy = take_spare(slab);
    if (copy == NULL)
        return;
    memcpy(copy, chunk, RD_SLAB_CHUNK_LEN);
    ((struct rd_slab_chunk *)copy)->large = true;
    if (mremap(copy, RD_SLAB_CHUNK_LEN, RD_SLAB_CHUNK_LEN, MREMAP_MAYMOVE | MREMAP_FIXED, chunk) == MAP_FAILED) {
        munmap(copy, RD_SLAB_CHUNK_LEN);
        return;
    }
    slab->small_count--;
    slab->bytes += RD_SLAB_CHUNK_LEN - small_bytes(chunk == slab->newest ? slab->taken : BLOCKS_PER_CHUNK);
}

/* After a block was taken that was never in use. */
static void look_ahead(struct rd_slab *slab)
{
    struct rd_slab_chunk *worthy = find_worthy(slab);
    if (worthy != NULL && rd_spare_is_ready(&slab->spare)) {
        give_large_page(slab, worthy);
        worthy = find_worthy(slab);
    }
    bool soon = is_large(slab) && slab->taken >= ASKED_AT;
    if (slab->chunk_count >= FEW_CHUNKS && (worthy != NULL || soon))
        ask_for_spare(slab);
}

/* ---- blocks -------------------------------------------------------------------------------------------- */

static bool add_chunk(struct rd_slab *slab)
{
    bool expected = slab->expected_chunks != 0;
    slab->expected_chunks -= expected;
    void *memory = is_large(slab) && !expected ? take_spare(slab) : NULL;
    bool large = memory != NULL || expected;
    if (memory == NULL)
        memory = expected ? map_large_chunk() : map_chunk();
    if (memory == NULL)
        return false;
    struct rd_slab_chunk *chunk = memory;
    *chunk = (struct rd_slab_chunk){.slab = slab, .older = slab->newest, .large = large};
    slab->bytes += large ? RD_SLAB_CHUNK_LEN : small_bytes(0);
    slab->small_count += !large;
    slab->chunk_count++;
    slab->newest = chunk;
    slab->taken = 0;
    return true;
}

void rd_slab_expect(struct rd_slab *slab, uint64_t block_count)
{
    if (block_count >= LARGE_CHUNKS * BLOCKS_PER_CHUNK)
        slab->expected_chunks = (block_count + BLOCKS_PER_CHUNK - 1) / BLOCKS_PER_CHUNK;
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
    if (slab->expected_chunks == 0)
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
