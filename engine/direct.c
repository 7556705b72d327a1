/* SPDX-License-Identifier: MIT */
#include "engine/direct.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/datafile.h"

static_assert(2 * RD_DIRECT_LEN == RD_LARGE_PAGE_LEN, "two of them fill a large page");

#define MEMORY_SHARE 16u /* of the process's memory, at most */
#define PAIRS_MOST   32u

/* Two buffers in one large page: of many small ones the kernel makes a list for each transfer, which takes more of
 * a processor than all the rest of it, and the disk longer. */
struct pair {
    uint8_t *bytes; /* owned; NULL: it is not there */
    bool taken[2];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct pair pairs[PAIRS_MOST]; /* guarded by lock */

static unsigned pairs_max(uint64_t memory_bytes)
{
    uint64_t share = memory_bytes / MEMORY_SHARE / RD_LARGE_PAGE_LEN;
    if (share < 1)
        return 1;
    return share < PAIRS_MOST ? (unsigned)share : PAIRS_MOST;
}

/* The first that has a free one; those that are not there come last. */
static struct pair *choose(unsigned count)
{
    struct pair *chosen = NULL;
    for (struct pair *pair = pairs; pair < pairs + count; pair++) {
        if (pair->bytes != NULL && !(pair->taken[0] && pair->taken[1]))
            return pair;
        if (pair->bytes == NULL && chosen == NULL)
            chosen = pair;
    }
    return chosen;
}

/* A map of its own, or freeing it would have malloc keep larger pieces than it should. */
static bool provide(struct pair *pair)
{
    if (pair->bytes != NULL)
        return true;
    uint8_t *map = mmap(NULL, 2 * RD_LARGE_PAGE_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        return false;
    size_t before = (size_t)(-(uintptr_t)map % RD_LARGE_PAGE_LEN);
    if (before != 0)
        munmap(map, before);
    munmap(map + before + RD_LARGE_PAGE_LEN, RD_LARGE_PAGE_LEN - before);
    pair->bytes = map + before;
    (void)madvise(pair->bytes, RD_LARGE_PAGE_LEN, MADV_HUGEPAGE); /* small pages do as well, but slower */
    return true;
}

uint8_t *rd_direct_take(uint64_t memory_bytes)
{
    uint8_t *bytes = NULL;
    pthread_mutex_lock(&lock);
    struct pair *pair = choose(pairs_max(memory_bytes));
    if (pair != NULL && provide(pair)) {
        unsigned half = pair->taken[0] ? 1 : 0;
        pair->taken[half] = true;
        bytes = pair->bytes + half * RD_DIRECT_LEN;
    }
    pthread_mutex_unlock(&lock);
    return bytes;
}

/* The first pair is kept, or a single transfer after another would have the kernel clear a large page each time.
 */
static void give_back(struct pair *pair, const uint8_t *bytes)
{
    pair->taken[bytes == pair->bytes ? 0 : 1] = false;
    if (pair == pairs || pair->taken[0] || pair->taken[1])
        return;
    munmap(pair->bytes, RD_LARGE_PAGE_LEN);
    pair->bytes = NULL;
}

void rd_direct_give(uint8_t *bytes)
{
    if (bytes == NULL)
        return;
    pthread_mutex_lock(&lock);
    for (struct pair *pair = pairs; pair < pairs + PAIRS_MOST; pair++) {
        if (pair->bytes != NULL && (bytes == pair->bytes || bytes == pair->bytes + RD_DIRECT_LEN)) {
            give_back(pair, bytes);
            break;
        }
    }
    pthread_mutex_unlock(&lock);
}

static int set(const struct rd_datafile *file, bool direct)
{
    return file->io->set_direct(file->io->self, file->fd, direct) == 0 ? 0 : errno;
}

/* Past the page cache for the time of one call, if this succeeds. */
static int begin(const struct rd_datafile *file)
{
    return set(file, true) == 0 ? 0 : EINVAL;
}

/* result: of that call. A descriptor that stayed as it is would refuse what is no whole block. */
static int end(const struct rd_datafile *file, int result)
{
    int failed = set(file, false);
    if (result == EOPNOTSUPP)
        result = EINVAL;
    return result != 0 ? result : failed;
}

int rd_direct_write(struct rd_datafile *file, uint64_t offset, struct rd_slice blocks)
{
    int failed = begin(file);
    return failed != 0 ? failed : end(file, rd_datafile_write_slice(file, offset, blocks));
}

int rd_direct_read(struct rd_datafile *file, uint64_t offset, uint8_t *to, size_t len, size_t wanted)
{
    int failed = begin(file);
    return failed != 0 ? failed : end(file, rd_datafile_read(file, offset, to, len, wanted));
}

/* Whole blocks of the target; of the source they may begin anywhere. */
static int copy_blocks(struct rd_datafile *file, struct rd_datafile *from, uint64_t from_offset, size_t len,
                       uint64_t offset, uint8_t *buffer)
{
    size_t before = from_offset % RD_DIRECT_BLOCK_LEN;
    size_t behind = before == 0 ? 0 : RD_DIRECT_BLOCK_LEN - before;
    int failed = rd_direct_read(from, from_offset - before, buffer, before + len + behind, before + len);
    if (failed != 0)
        return failed;
    if (before != 0)
        memmove(buffer, buffer + before, len);
    return rd_direct_write(file, offset, rd_slice(buffer, len));
}

int rd_direct_copy(struct rd_datafile *file, struct rd_datafile *from, uint64_t from_offset, uint64_t len,
                   uint64_t offset, uint8_t *buffer)
{
    uint64_t done = -offset % RD_DIRECT_BLOCK_LEN;
    if (done > len)
        done = len;
    int failed = rd_datafile_copy_from(file, from->fd, from_offset, done, offset);
    bool shifted = (from_offset + done) % RD_DIRECT_BLOCK_LEN != 0;
    size_t step_max = RD_DIRECT_LEN - (shifted ? RD_DIRECT_BLOCK_LEN : 0);
    while (failed == 0 && len - done >= RD_DIRECT_BLOCK_LEN) {
        uint64_t left = (len - done) / RD_DIRECT_BLOCK_LEN * RD_DIRECT_BLOCK_LEN;
        size_t step = left < step_max ? (size_t)left : step_max;
        failed = copy_blocks(file, from, from_offset + done, step, offset + done, buffer);
        done += step;
    }
    return failed != 0 ? failed
                       : rd_datafile_copy_from(file, from->fd, from_offset + done, len - done, offset + done);
}
