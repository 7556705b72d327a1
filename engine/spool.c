/* SPDX-License-Identifier: MIT */
#include "engine/spool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/direct.h"
#include "engine/record.h"
#include "engine/store.h"

#define MEMORY_LEN_MAX ((size_t)256 << 10)

enum rd_status rd_spool_create(struct rd_store *store, struct rd_spool **ret_spool)
{
    struct rd_spool *spool = calloc(1, sizeof *spool);
    if (spool == NULL)
        return RD_NO_MEMORY;
    spool->store = store;
    spool->fd = -1;
    rd_buffer_init(&spool->memory, MEMORY_LEN_MAX);
    rd_writeback_init(&spool->writeback, RD_WRITEBACK_LATE, 0, rd_writeback_bound(store->memory_bytes), true);
    *ret_spool = spool;
    return RD_OK;
}

void rd_spool_destroy(struct rd_spool *spool)
{
    if (spool == NULL)
        return;
    if (spool->fd >= 0)
        spool->store->io->close(spool->store->io->self, spool->fd);
    if (spool->direct_begin != 0)
        atomic_fetch_sub_explicit(&spool->store->long_spools, 1, memory_order_relaxed);
    rd_direct_give(spool->gathered);
    rd_buffer_deinit(&spool->memory);
    free(spool);
}

/* So it was written. */
static bool is_past_cache(const struct rd_spool *spool, uint64_t offset, uint64_t len)
{
    return offset >= spool->direct_begin && offset + len <= spool->direct_end;
}

void rd_spool_forget(const struct rd_spool *spool, uint64_t offset, uint64_t len)
{
    struct rd_datafile file = {.io = spool->store->io, .fd = spool->fd};
    if (offset + len <= spool->writeback.clean || is_past_cache(spool, offset, len))
        rd_datafile_drop_cache(&file, offset, len);
}

/* The kernel tells of any lost page of a file, once: also of those that it has written out by itself, which it
 * does with all that is older than half a minute. It is asked about a place behind the end, where there is nothing
 * to write and nothing to wait for. */
int rd_spool_check(struct rd_spool *spool)
{
    struct rd_datafile file = {.io = spool->store->io, .fd = spool->fd};
    uint64_t behind = (spool->len / RD_LARGE_PAGE_LEN + 1) * RD_LARGE_PAGE_LEN;
    int failed = rd_datafile_await_writeback(&file, behind, 1);
    spool->failed = spool->failed || failed != 0;
    return failed;
}

bool rd_spool_stays_in_memory(const struct rd_spool *spool, uint64_t len)
{
    return spool->fd < 0 && len <= MEMORY_LEN_MAX - spool->len;
}

uint64_t rd_spool_len(const struct rd_spool *spool)
{
    return spool->len;
}

static int write_out(struct rd_spool *spool, struct rd_slice bytes, uint64_t offset)
{
    struct rd_datafile file = {.io = spool->store->io, .fd = spool->fd};
    int failed = rd_datafile_write_slice(&file, offset, bytes);
    return failed != 0 ? failed : rd_writeback_pace(&spool->writeback, &file, offset + bytes.len);
}

/* From memory to a file: the bytes so far go first. */
static int move_to_file(struct rd_spool *spool)
{
    spool->fd = rd_datafile_open_unnamed(&spool->store->file);
    if (spool->fd < 0)
        return errno;
    int failed = write_out(spool, rd_buffer_slice(&spool->memory), 0);
    rd_buffer_deinit(&spool->memory);
    return failed;
}

/* From where on its file is written past the page cache: the disk gets what memory is not to keep. */
static uint64_t direct_from(const struct rd_spool *spool)
{
    uint64_t kept = rd_writeback_kept(&spool->writeback);
    return (kept + RD_DIRECT_BLOCK_LEN - 1) / RD_DIRECT_BLOCK_LEN * RD_DIRECT_BLOCK_LEN;
}

/* What was gathered goes by the page cache, and so does all that comes. */
static int give_up_gathering(struct rd_spool *spool, size_t len)
{
    struct rd_datafile file = {.io = spool->store->io, .fd = spool->fd};
    int failed = rd_datafile_write_slice(&file, spool->direct_end, rd_slice(spool->gathered, len));
    rd_direct_give(spool->gathered);
    spool->gathered = NULL;
    return failed;
}

static int write_gathered(struct rd_spool *spool)
{
    struct rd_datafile file = {.io = spool->store->io, .fd = spool->fd};
    int failed = rd_direct_write(&file, spool->direct_end, rd_slice(spool->gathered, RD_DIRECT_LEN));
    if (failed == EINVAL)
        return give_up_gathering(spool, RD_DIRECT_LEN);
    if (failed == 0)
        spool->direct_end += RD_DIRECT_LEN;
    return failed;
}

/* bytes: from `at` on, which is what follows direct_end and what was gathered. */
static int gather(struct rd_spool *spool, struct rd_slice bytes, uint64_t at)
{
    int failed = 0;
    while (failed == 0 && bytes.len != 0 && spool->gathered != NULL) {
        size_t held = (size_t)(at - spool->direct_end);
        struct rd_slice part = rd_slice_take(&bytes, RD_DIRECT_LEN - held);
        memcpy(spool->gathered + held, part.data, part.len);
        at += part.len;
        if (held + part.len == RD_DIRECT_LEN)
            failed = write_gathered(spool);
    }
    return failed == 0 && bytes.len != 0 ? write_out(spool, bytes, at) : failed;
}

/* Of a file, at its end. */
static int put(struct rd_spool *spool, struct rd_slice bytes)
{
    uint64_t begin = direct_from(spool);
    uint64_t at = spool->len;
    if (spool->direct_begin == 0 && at <= begin && at + bytes.len > begin) {
        struct rd_slice before = rd_slice_take(&bytes, (size_t)(begin - at));
        int failed = before.len != 0 ? write_out(spool, before, at) : 0;
        if (failed != 0)
            return failed;
        at = begin;
        spool->direct_begin = begin;
        spool->direct_end = begin;
        atomic_fetch_add_explicit(&spool->store->long_spools, 1, memory_order_relaxed);
        spool->gathered = rd_direct_take(spool->store->memory_bytes);
    }
    return spool->gathered != NULL ? gather(spool, bytes, at) : write_out(spool, bytes, at);
}

enum rd_status rd_spool_complete(struct rd_spool *spool)
{
    if (spool->failed)
        return spool->completed != RD_OK ? spool->completed : RD_IO_ERROR;
    int failed = spool->gathered == NULL ? 0 : give_up_gathering(spool, (size_t)(spool->len - spool->direct_end));
    spool->failed = failed != 0;
    spool->completed = failed != 0 ? rd_status_of_errno(failed) : RD_OK;
    return spool->completed;
}

int rd_spool_copy(const struct rd_spool *spool, uint64_t at, uint64_t len, struct rd_datafile *file,
                  uint64_t offset, uint8_t *buffer)
{
    struct rd_datafile from = {.io = spool->store->io, .fd = spool->fd};
    bool direct = buffer != NULL && is_past_cache(spool, at, len);
    int failed = direct ? rd_direct_copy(file, &from, at, len, offset, buffer) : EINVAL;
    if (failed == EINVAL)
        failed = rd_datafile_copy_from(file, spool->fd, at, len, offset);
    if (failed == 0 && !direct)
        rd_spool_forget(spool, at, len);
    return failed;
}

enum rd_status rd_spool_append(struct rd_spool *spool, struct rd_slice bytes)
{
    if (spool->failed)
        return RD_IO_ERROR;
    if (bytes.len == 0)
        return RD_OK;
    spool->failed = true;
    if (bytes.len > RD_TAIL_MAX - spool->len)
        return RD_TOO_LARGE;
    int failed = 0;
    if (spool->fd < 0 && !rd_spool_stays_in_memory(spool, bytes.len))
        failed = move_to_file(spool);
    if (failed == 0 && spool->fd >= 0)
        failed = put(spool, bytes);
    if (failed != 0)
        return rd_status_of_errno(failed);
    if (spool->fd < 0) {
        rd_buffer_append_slice(&spool->memory, bytes);
        if (spool->memory.failed)
            return RD_NO_MEMORY;
    }
    spool->one_zero_byte = spool->len == 0 && bytes.len == 1 && bytes.data[0] == 0;
    spool->crc32 = rd_crc32(spool->crc32, bytes);
    spool->len += bytes.len;
    spool->failed = false;
    return RD_OK;
}
