/* SPDX-License-Identifier: MIT */
#include "engine/spool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/ahead.h"
#include "engine/direct.h"
#include "engine/record.h"
#include "engine/store.h"

#define MEMORY_LEN_MAX ((size_t)256 << 10)
#define TOLD_LEN       ((uint64_t)1 << 20) /* of what lands, so that the disk gets long pieces */
#define LANDED_LEN_MAX ((uint64_t)4 << 30) /* a restart looks through what has landed, and the gap before it */

enum rd_status rd_spool_create(struct rd_store *store, struct rd_spool **ret_spool)
{
    struct rd_spool *spool = calloc(1, sizeof *spool);
    if (spool == NULL)
        return RD_NO_MEMORY;
    spool->store = store;
    spool->own.fd = -1;
    spool->landed.fd = -1;
    spool->direct_from = UINT64_MAX;
    rd_buffer_init(&spool->memory, MEMORY_LEN_MAX);
    *ret_spool = spool;
    return RD_OK;
}

void rd_spool_announce(struct rd_spool *spool, uint64_t len, enum rd_durability durability)
{
    spool->announced = len;
    spool->durability = durability;
}

static void close_part(const struct rd_spool *spool, struct rd_spool_part *part)
{
    if (part->fd >= 0)
        spool->store->io->close(spool->store->io->self, part->fd);
    part->fd = -1;
}

/* Others have cut the store's file: what would be written next would make it long enough again, and hide that from
 * the writer. */
static bool is_cut(const struct rd_spool *spool)
{
    struct stat now;
    const struct rd_io *io = spool->store->io;
    return spool->landing != NULL && io->fstat(io->self, spool->own.fd, &now) == 0 &&
           (uint64_t)now.st_size < spool->own.base + spool->written_len;
}

/* The file system takes its time to take gigabytes back, and the writer is not to wait for that. */
static void give_landed_back(struct rd_spool *spool)
{
    const struct rd_io *io = spool->store->io;
    uint64_t step = spool->store->ahead.slice_len;
    uint64_t end = spool->own.base + spool->len;
    if (!rd_placement_begin_to_go(spool->landing) || is_cut(spool))
        return;
    while (end - spool->own.base > step && rd_placement_enter(spool->landing)) {
        end -= step;
        bool failed = io->ftruncate(io->self, spool->own.fd, (off_t)end) != 0;
        rd_placement_leave(spool->landing, failed, 0, 0);
    }
}

void rd_spool_destroy(struct rd_spool *spool)
{
    if (spool == NULL)
        return;
    if (spool->landing != NULL)
        give_landed_back(spool);
    rd_placement_destroy(spool->landing);
    close_part(spool, &spool->own);
    close_part(spool, &spool->landed);
    if (spool->counted)
        atomic_fetch_sub_explicit(&spool->store->long_spools, 1, memory_order_relaxed);
    rd_direct_give(spool->gathered);
    rd_buffer_deinit(&spool->memory);
    free(spool);
}

static enum rd_status status_of(int failed)
{
    return failed == 0 ? RD_OK : rd_status_of_errno(failed);
}

static struct rd_datafile file_of(const struct rd_spool *spool, const struct rd_spool_part *part)
{
    return (struct rd_datafile){.io = spool->store->io, .fd = part->fd};
}

bool rd_spool_stays_in_memory(const struct rd_spool *spool, uint64_t len)
{
    return spool->own.fd < 0 && spool->len <= MEMORY_LEN_MAX && len <= MEMORY_LEN_MAX - spool->len;
}

uint64_t rd_spool_len(const struct rd_spool *spool)
{
    return spool->len;
}

/* ---- to its file, at its end ------------------------------------------------------------------------------- */

static void note_written(struct rd_spool *spool)
{
    spool->written_len = spool->len;
    spool->written_crc32 = spool->crc32;
}

static void note(struct rd_spool *spool, struct rd_slice bytes)
{
    spool->crc32 = rd_crc32(spool->crc32, bytes);
    spool->len += bytes.len;
}

/* By the page cache. */
static int write_at(struct rd_spool *spool, struct rd_slice bytes, uint64_t at)
{
    struct rd_datafile file = file_of(spool, &spool->own);
    uint64_t offset = spool->own.base + at;
    int failed = rd_datafile_write_slice(&file, offset, bytes);
    bool told = spool->landing == NULL || offset + bytes.len - spool->writeback.started >= TOLD_LEN;
    return failed == 0 && told ? rd_writeback_pace(&spool->writeback, &file, offset + bytes.len) : failed;
}

static int write_out(struct rd_spool *spool, struct rd_slice bytes)
{
    int failed = write_at(spool, bytes, spool->len);
    note(spool, bytes);
    note_written(spool);
    return failed;
}

/* What was gathered goes by the page cache, and so does all that comes. */
static int give_up_gathering(struct rd_spool *spool)
{
    struct rd_datafile file = file_of(spool, &spool->own);
    struct rd_slice rest = rd_slice(spool->gathered, (size_t)(spool->len - spool->own.direct_end));
    int failed = rd_datafile_write_slice(&file, spool->own.base + spool->own.direct_end, rest);
    rd_direct_give(spool->gathered);
    spool->gathered = NULL;
    note_written(spool);
    return failed;
}

static int write_gathered(struct rd_spool *spool)
{
    struct rd_datafile file = file_of(spool, &spool->own);
    struct rd_slice blocks = rd_slice(spool->gathered, RD_DIRECT_LEN);
    int failed = rd_direct_write(&file, spool->own.base + spool->own.direct_end, blocks);
    if (failed == EINVAL)
        return give_up_gathering(spool);
    if (failed == 0)
        spool->own.direct_end += RD_DIRECT_LEN;
    note_written(spool);
    return failed;
}

static int gather(struct rd_spool *spool, struct rd_slice *bytes)
{
    int failed = 0;
    while (failed == 0 && bytes->len != 0 && spool->gathered != NULL) {
        size_t held = (size_t)(spool->len - spool->own.direct_end);
        struct rd_slice part = rd_slice_take(bytes, RD_DIRECT_LEN - held);
        memcpy(spool->gathered + held, part.data, part.len);
        note(spool, part);
        if (held + part.len == RD_DIRECT_LEN)
            failed = write_gathered(spool);
    }
    return failed;
}

/* The bytes that come next go past the page cache. */
static void begin_direct(struct rd_spool *spool)
{
    spool->own.direct_begin = spool->len;
    spool->own.direct_end = spool->len;
    spool->direct_from = UINT64_MAX;
    spool->gathered = rd_direct_take(spool->store->memory_bytes);
}

static int put(struct rd_spool *spool, struct rd_slice bytes)
{
    int failed = 0;
    if (spool->direct_from != UINT64_MAX && spool->len + bytes.len > spool->direct_from) {
        struct rd_slice before = rd_slice_take(&bytes, (size_t)(spool->direct_from - spool->len));
        failed = before.len != 0 ? write_out(spool, before) : 0;
        begin_direct(spool);
    }
    if (failed == 0 && spool->gathered != NULL)
        failed = gather(spool, &bytes);
    return failed == 0 && bytes.len != 0 ? write_out(spool, bytes) : failed;
}

/* ---- which file ------------------------------------------------------------------------------------------- */

/* The first place from `at` on where a block of its file begins. */
static uint64_t block_from(const struct rd_spool *spool, uint64_t at)
{
    return at + -(spool->own.base + at) % RD_DIRECT_BLOCK_LEN;
}

/* For what comes from here on. What was gathered for another file stays so: its place is a block's in both. */
static int open_unnamed(struct rd_spool *spool)
{
    spool->own.fd = rd_datafile_open_unnamed(&spool->store->file);
    if (spool->own.fd < 0)
        return errno;
    uint64_t first = spool->own.base + spool->landed_len;
    rd_writeback_init(&spool->writeback, RD_WRITEBACK_LATE, first, rd_writeback_bound(spool->store->memory_bytes),
                      true);
    if (spool->gathered == NULL) /* the disk gets what memory is not to keep */
        spool->direct_from = block_from(spool, spool->landed_len + rd_writeback_kept(&spool->writeback));
    return 0;
}

/* NULL: there is no place to land, as for a value that is short, or whose length nobody knows. */
static struct rd_placement *begin_landing(struct rd_spool *spool)
{
    struct rd_store *store = spool->store;
    if (spool->announced < store->ahead.placed_len_min || spool->announced > LANDED_LEN_MAX)
        return NULL;
    struct rd_placement *placement = rd_placement_reserve(store, spool->announced, spool->durability, true);
    if (placement == NULL)
        return NULL;
    spool->own.fd = rd_placement_open(placement);
    if (spool->own.fd >= 0 && rd_placement_enter(placement)) {
        spool->own.base = placement->begin;
        spool->writeback = rd_placement_writeback(placement);
        if (rd_placement_exceeds_memory(placement))
            spool->direct_from = block_from(spool, spool->len);
        return placement;
    }
    rd_placement_destroy(placement);
    close_part(spool, &spool->own);
    return NULL;
}

/* From memory to a file: the bytes so far go first. */
static int move_to_file(struct rd_spool *spool)
{
    spool->landing = begin_landing(spool);
    int failed = spool->landing == NULL ? open_unnamed(spool) : 0;
    if (failed == 0)
        failed = write_at(spool, rd_buffer_slice(&spool->memory), 0);
    rd_buffer_deinit(&spool->memory);
    note_written(spool);
    return failed;
}

static void leave(struct rd_spool *spool, bool failed)
{
    if (spool->landing != NULL)
        rd_placement_leave(spool->landing, failed, spool->written_len, spool->written_crc32);
}

/* It has had to give way: what has landed is behind the store's tail now, and what comes goes to a file of its
 * own. */
static enum rd_status fall_behind(struct rd_spool *spool)
{
    enum rd_status status = rd_placement_fate(spool->landing);
    if (status != RD_OK)
        return status;
    spool->landed = spool->own;
    spool->landed_len = spool->written_len;
    rd_placement_destroy(spool->landing);
    spool->landing = NULL;
    spool->own.base %= RD_DIRECT_BLOCK_LEN;
    spool->own.direct_begin = spool->own.direct_end;
    return status_of(open_unnamed(spool));
}

/* So that its file may be written to; until leave(), where that is the store's. */
static enum rd_status enter(struct rd_spool *spool)
{
    if (spool->landing == NULL || rd_placement_enter(spool->landing))
        return RD_OK;
    return fall_behind(spool);
}

static void count(struct rd_spool *spool)
{
    if (spool->counted || spool->landing != NULL || spool->own.direct_end == 0)
        return;
    spool->counted = true;
    atomic_fetch_add_explicit(&spool->store->long_spools, 1, memory_order_relaxed);
}

static enum rd_status append_to_file(struct rd_spool *spool, struct rd_slice bytes)
{
    bool first = spool->own.fd < 0;
    enum rd_status status = first ? status_of(move_to_file(spool)) : enter(spool);
    if (status == RD_OK && is_cut(spool))
        status = RD_IO_ERROR;
    if (status == RD_OK)
        status = status_of(put(spool, bytes));
    leave(spool, status != RD_OK);
    count(spool);
    return status;
}

static enum rd_status append_to_memory(struct rd_spool *spool, struct rd_slice bytes)
{
    rd_buffer_append_slice(&spool->memory, bytes);
    note(spool, bytes);
    return spool->memory.failed ? RD_NO_MEMORY : RD_OK;
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
    if (spool->announced != 0 && bytes.len > spool->announced - spool->len)
        return RD_INVALID_ARGUMENT;
    spool->one_zero_byte = spool->len == 0 && bytes.len == 1 && bytes.data[0] == 0;
    bool stays = rd_spool_stays_in_memory(spool, bytes.len);
    enum rd_status status = stays ? append_to_memory(spool, bytes) : append_to_file(spool, bytes);
    spool->failed = status != RD_OK;
    return status;
}

/* ---- whole ------------------------------------------------------------------------------------------------ */

static enum rd_status complete(struct rd_spool *spool)
{
    if (spool->gathered == NULL)
        return RD_OK;
    enum rd_status status = enter(spool);
    if (status == RD_OK)
        status = status_of(give_up_gathering(spool));
    leave(spool, status != RD_OK);
    return status;
}

enum rd_status rd_spool_complete(struct rd_spool *spool)
{
    if (spool->failed)
        return spool->completed != RD_OK ? spool->completed : RD_IO_ERROR;
    spool->completed = complete(spool);
    spool->failed = spool->completed != RD_OK;
    return spool->completed;
}

/* *ret_lies: it lies there, and need not give way at the last moment. */
static enum rd_status land(struct rd_spool *spool, bool *ret_lies)
{
    struct rd_placement *placement = spool->landing;
    if (spool->len != placement->len)
        return RD_INVALID_ARGUMENT;
    struct rd_datafile file = file_of(spool, &spool->own);
    if (placement->synced && rd_datafile_sync(&file) != 0)
        return RD_IO_ERROR;
    *ret_lies = rd_placement_finish(placement);
    return *ret_lies ? RD_OK : rd_placement_fate(placement);
}

struct rd_placement *rd_spool_land(struct rd_spool *spool)
{
    struct rd_placement *placement = spool->landing;
    bool lies = false;
    spool->completed = land(spool, &lies);
    spool->failed = spool->completed != RD_OK;
    spool->landing = NULL;
    if (lies)
        return placement;
    rd_placement_destroy(placement);
    return NULL;
}

/* ---- out of it again -------------------------------------------------------------------------------------- */

/* So it was written. */
static bool is_past_cache(const struct rd_spool_part *part, uint64_t at, uint64_t len)
{
    return at >= part->direct_begin && at + len <= part->direct_end;
}

void rd_spool_forget(const struct rd_spool *spool, uint64_t at, uint64_t len)
{
    struct rd_datafile file = file_of(spool, &spool->own);
    uint64_t offset = spool->own.base + at;
    if (offset + len <= spool->writeback.clean || is_past_cache(&spool->own, at, len))
        rd_datafile_drop_cache(&file, offset, len);
}

/* The kernel tells of any lost page of a file, once: also of those that it has written out by itself, which it
 * does with all that is older than half a minute. It is asked about a place behind the end, where there is nothing
 * to write and nothing to wait for. */
static int check_part(const struct rd_spool *spool, const struct rd_spool_part *part)
{
    if (part->fd < 0)
        return 0;
    struct rd_datafile file = file_of(spool, part);
    uint64_t behind = ((part->base + spool->len) / RD_LARGE_PAGE_LEN + 1) * RD_LARGE_PAGE_LEN;
    return rd_datafile_await_writeback(&file, behind, 1);
}

int rd_spool_check(struct rd_spool *spool)
{
    int failed = check_part(spool, &spool->landed);
    if (failed == 0)
        failed = check_part(spool, &spool->own);
    spool->failed = spool->failed || failed != 0;
    return failed;
}

static int copy_part(const struct rd_spool *spool, const struct rd_spool_part *part, uint64_t at, uint64_t len,
                     struct rd_datafile *file, uint64_t offset, uint8_t *buffer)
{
    struct rd_datafile from = file_of(spool, part);
    bool direct = buffer != NULL && is_past_cache(part, at, len);
    int failed = direct ? rd_direct_copy(file, &from, part->base + at, len, offset, buffer) : EINVAL;
    if (failed == EINVAL)
        failed = rd_datafile_copy_from(file, part->fd, part->base + at, len, offset);
    if (failed == 0 && !direct && part == &spool->own)
        rd_spool_forget(spool, at, len);
    return failed;
}

int rd_spool_copy(const struct rd_spool *spool, uint64_t at, uint64_t len, struct rd_datafile *file,
                  uint64_t offset, uint8_t *buffer)
{
    uint64_t landed = at < spool->landed_len ? spool->landed_len - at : 0;
    if (landed > len)
        landed = len;
    int failed = landed == 0 ? 0 : copy_part(spool, &spool->landed, at, landed, file, offset, buffer);
    if (failed == 0 && landed != len)
        failed = copy_part(spool, &spool->own, at + landed, len - landed, file, offset + landed, buffer);
    return failed;
}
