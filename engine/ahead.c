/* SPDX-License-Identifier: MIT */
#include "engine/ahead.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "engine/direct.h"
#include "engine/record.h"
#include "engine/spool.h"
#include "engine/store.h"
#include "engine/writeback.h"

#define PLACED_LEN_MIN (UINT64_C(16) << 20)
#define GAP_LEN_MIN    (UINT64_C(4) << 20)
#define GAP_SHARE      16u /* of the value's length, for what is written while it is copied */
#define SLICE_LEN      (UINT64_C(8) << 20)
#define MEMORY_SHARE   2u                   /* a value above this share of memory is not to stay there */
#define UNWRITTEN_MAX  (UINT64_C(32) << 20) /* of what is to be synced: a writer's sync meanwhile waits for it */

void rd_ahead_init(struct rd_ahead *ahead)
{
    *ahead =
        (struct rd_ahead){.placed_len_min = PLACED_LEN_MIN, .gap_len_min = GAP_LEN_MIN, .slice_len = SLICE_LEN};
    pthread_mutex_init(&ahead->lock, NULL);
    pthread_cond_init(&ahead->stopped, NULL);
}

void rd_ahead_deinit(struct rd_ahead *ahead)
{
    pthread_cond_destroy(&ahead->stopped);
    pthread_mutex_destroy(&ahead->lock);
}

/* ---- the writer ---- */

enum rd_status rd_ahead_reserve(struct rd_ahead *ahead, const struct rd_placement *owner, uint64_t tail,
                                uint64_t len, uint64_t end_max)
{
    if (ahead->active)
        return RD_OVERLOADED;
    uint64_t gap = len / GAP_SHARE < ahead->gap_len_min ? ahead->gap_len_min : len / GAP_SHARE;
    if (len > RD_TAIL_MAX || tail + gap + len > RD_TAIL_MAX - RD_AHEAD_MARGIN - RD_DIRECT_BLOCK_LEN)
        return RD_NO_SPACE;
    uint64_t begin = (tail + gap + RD_DIRECT_BLOCK_LEN - 1) / RD_DIRECT_BLOCK_LEN * RD_DIRECT_BLOCK_LEN;
    if (rd_trailer_may_tear(begin + len)) /* the disk may have the value before its trailer is written */
        begin += RD_RECORD_ALIGN;
    if (begin + len + RD_TRAILER_LEN > end_max)
        return RD_NO_SPACE;
    ahead->active = true;
    ahead->begin = begin;
    ahead->len = len;
    pthread_mutex_lock(&ahead->lock);
    ahead->owner = owner;
    ahead->copying = true;
    ahead->lost = false;
    ahead->abandoned = false;
    pthread_mutex_unlock(&ahead->lock);
    return RD_OK;
}

bool rd_ahead_is_ready(struct rd_ahead *ahead, const struct rd_placement *owner)
{
    if (!ahead->active || owner == NULL)
        return false;
    pthread_mutex_lock(&ahead->lock);
    bool ready = ahead->owner == owner && !ahead->copying && !ahead->lost;
    pthread_mutex_unlock(&ahead->lock);
    return ready;
}

bool rd_ahead_is_abandoned(struct rd_ahead *ahead)
{
    if (!ahead->active)
        return false;
    pthread_mutex_lock(&ahead->lock);
    bool abandoned = ahead->abandoned;
    pthread_mutex_unlock(&ahead->lock);
    return abandoned;
}

void rd_ahead_release(struct rd_ahead *ahead)
{
    ahead->active = false;
    pthread_mutex_lock(&ahead->lock);
    ahead->owner = NULL;
    pthread_mutex_unlock(&ahead->lock);
}

int rd_ahead_evict(struct rd_ahead *ahead, struct rd_datafile *file, uint64_t tail)
{
    if (!ahead->active)
        return 0;
    pthread_mutex_lock(&ahead->lock);
    ahead->lost = true;
    while (ahead->copying)
        pthread_cond_wait(&ahead->stopped, &ahead->lock);
    pthread_mutex_unlock(&ahead->lock);
    rd_ahead_release(ahead);
    return rd_datafile_cut(file, tail);
}

/* ---- the placing thread ---- */

bool rd_ahead_is_lost(struct rd_ahead *ahead)
{
    pthread_mutex_lock(&ahead->lock);
    bool lost = ahead->lost;
    pthread_mutex_unlock(&ahead->lock);
    return lost;
}

void rd_ahead_stop_copying(struct rd_ahead *ahead, bool failed)
{
    pthread_mutex_lock(&ahead->lock);
    ahead->copying = false;
    ahead->lost = ahead->lost || failed;
    pthread_cond_signal(&ahead->stopped);
    pthread_mutex_unlock(&ahead->lock);
}

bool rd_ahead_abandon(struct rd_ahead *ahead, const struct rd_placement *owner)
{
    pthread_mutex_lock(&ahead->lock);
    bool owned = ahead->owner == owner;
    ahead->abandoned = ahead->abandoned || owned;
    pthread_mutex_unlock(&ahead->lock);
    return owned;
}

/* ---- placing ---- */

struct rd_placement {
    struct rd_store *store; /* borrows */
    uint64_t begin;
    uint64_t hurried_from; /* constant; with the tail here, short writes have taken half of the gap */
    bool spooled;          /* constant; what is copied is a spool */
    bool synced;           /* is to be; constant */
    bool committed;        /* written by the writer before the operation is delivered */
};

void rd_placement_commit(struct rd_placement *placement)
{
    placement->committed = true;
}

/* buffer: for what goes past the page cache, or NULL. */
static int copy_slice(struct rd_datafile *file, struct rd_slice payload, const struct rd_spool *spool, uint64_t at,
                      uint64_t len, uint64_t offset, uint8_t *buffer)
{
    if (spool != NULL)
        return rd_spool_copy(spool, at, len, file, offset, buffer);
    rd_residency_advise(payload.data + at, len); /* it may come from a store, and not be in memory */
    return rd_datafile_write_slice(file, offset, rd_slice(payload.data + at, len));
}

static bool exceeds_memory(const struct rd_store *store, uint64_t len)
{
    return len > store->memory_bytes / MEMORY_SHARE;
}

static struct rd_writeback writeback_of(const struct rd_placement *placement, uint64_t len)
{
    uint64_t bound = rd_writeback_bound(placement->store->memory_bytes);
    bool forgets = exceeds_memory(placement->store, len);
    struct rd_writeback writeback;
    if (placement->synced)
        rd_writeback_init(&writeback, RD_WRITEBACK_EARLY, placement->begin,
                          bound < UNWRITTEN_MAX ? bound : UNWRITTEN_MAX, forgets);
    else
        rd_writeback_init(&writeback, RD_WRITEBACK_LATE, placement->begin, bound, forgets);
    return writeback;
}

/* What was copied last took step_ns. There is no time to rest where short writes might reach the region before it
 * is full, or another long value that is on its way find it taken. */
static void rest(const struct rd_placement *placement, uint64_t step_ns)
{
    struct rd_store *store = placement->store;
    unsigned own = placement->spooled ? 1 : 0;
    bool alone = atomic_load_explicit(&store->long_spools, memory_order_relaxed) <= own;
    if (store->rest != NULL && alone && rd_store_file_size(store) < placement->hurried_from)
        store->rest(store->rest_context, step_ns);
}

/* At `offset`, of a value that memory cannot hold: to where whole blocks of the file end. */
static uint64_t short_step(uint64_t slice_len, uint64_t offset)
{
    uint64_t len = slice_len < RD_DIRECT_LEN ? slice_len : RD_DIRECT_LEN;
    uint64_t beyond = (offset + len) % RD_DIRECT_BLOCK_LEN;
    return beyond < len ? len - beyond : len;
}

/* value: what the payload is of, or NULL. Others may cut its file, and what is left of a page then reads as zeros:
 * each slice goes into its checksum once it has been copied. What is there then was there before. */
static int copy(struct rd_placement *placement, struct rd_datafile *file, struct rd_slice payload,
                struct rd_spool *spool, const struct rd_value *value)
{
    struct rd_store *store = placement->store;
    int failed = 0;
    uint32_t crc = 0;
    bool exceeds = exceeds_memory(store, payload.len);
    bool direct = spool != NULL && exceeds;
    uint8_t *buffer = direct ? rd_direct_take(store->memory_bytes) : NULL;
    struct rd_writeback writeback = writeback_of(placement, payload.len);
    uint64_t len;
    for (uint64_t done = 0; failed == 0 && done < payload.len; done += len) {
        uint64_t begun_ns = rd_monotonic_ns();
        uint64_t offset = placement->begin + done;
        uint64_t step = exceeds ? short_step(store->ahead.slice_len, offset) : store->ahead.slice_len;
        len = payload.len - done < step ? payload.len - done : step;
        if (rd_ahead_is_lost(&store->ahead))
            failed = ECANCELED;
        else
            failed = copy_slice(file, payload, spool, done, len, offset, buffer);
        if (failed == 0)
            failed = rd_writeback_pace(&writeback, file, offset + len);
        if (failed == 0 && value != NULL)
            crc = rd_crc32(crc, rd_slice(payload.data + done, (size_t)len));
        if (failed == 0 && exceeds && done + len < payload.len)
            rest(placement, rd_monotonic_ns() - begun_ns);
    }
    rd_direct_give(buffer);
    if (failed == 0 && spool != NULL)
        failed = rd_spool_check(spool);
    return failed == 0 && value != NULL && crc != value->crc32 ? EFAULT : failed;
}

/* Others may have put another file in the place of the store's: nothing is to be written to that one. */
static bool is_own_file(const struct rd_store *store, int fd)
{
    const struct rd_io *io = store->io;
    struct stat opened;
    struct stat own;
    return io->fstat(io->self, fd, &opened) == 0 && io->fstat(io->self, store->file.fd, &own) == 0 &&
           opened.st_dev == own.st_dev && opened.st_ino == own.st_ino;
}

/* A descriptor of its own: a sync that fails here is reported to the writer's descriptor as well. The writer's is
 * not exchanged as long as there is a region (compact.h). */
static int copy_and_sync(struct rd_placement *placement, struct rd_slice payload, struct rd_spool *spool,
                         const struct rd_value *value)
{
    struct rd_store *store = placement->store;
    struct rd_datafile file = {.io = store->io, .fd = -1};
    file.fd = store->io->open(store->io->self, store->file.path, O_RDWR | O_CLOEXEC, 0);
    if (file.fd < 0)
        return EIO;
    int failed = is_own_file(store, file.fd) ? copy(placement, &file, payload, spool, value) : EIO;
    if (failed == 0 && placement->synced)
        failed = rd_datafile_sync(&file);
    store->io->close(store->io->self, file.fd);
    return failed;
}

/* A sync that is asked for would otherwise be the writer's, which holds others up for as long as it takes. So
 * where the store's writes are synced, one value that need not be is synced as well. */
static bool needs_sync(const struct rd_store *store, enum rd_durability durability)
{
    uint32_t interval_ms;
    bool asked = durability != RD_DURABILITY_DEFAULT && durability != RD_DURABILITY_NONE;
    return asked || rd_store_durability(store, &interval_ms) != RD_DURABILITY_NONE;
}

static struct rd_placement *place(struct rd_store *store, struct rd_slice payload, struct rd_spool *spool,
                                  const struct rd_value *value, enum rd_durability durability)
{
    if (payload.len < store->ahead.placed_len_min)
        return NULL;
    struct rd_placement *placement = calloc(1, sizeof *placement);
    if (placement == NULL)
        return NULL;
    placement->store = store;
    placement->spooled = spool != NULL;
    placement->synced = needs_sync(store, durability);
    struct rd_entry wanted = {.payload = rd_slice(NULL, payload.len), .crc32_known = true};
    struct rd_op op = {.kind = RD_OP_RESERVE, .entries = &wanted, .entry_count = 1, .placement = placement};
    if (rd_store_execute(store, &op) != RD_OK) {
        free(placement);
        return NULL;
    }
    placement->begin = op.offset;
    uint64_t tail = rd_store_file_size(store);
    placement->hurried_from = tail + (op.offset > tail ? op.offset - tail : 0) / 2;
    int failed = copy_and_sync(placement, payload, spool, value);
    rd_ahead_stop_copying(&store->ahead, failed != 0);
    if (failed == 0)
        return placement;
    rd_placement_destroy(placement);
    return NULL;
}

struct rd_placement *rd_store_place(struct rd_store *store, struct rd_slice payload, enum rd_durability durability)
{
    return place(store, payload, NULL, NULL, durability);
}

enum rd_status rd_value_place(const struct rd_value *value, struct rd_store *store, enum rd_durability durability,
                              struct rd_placement **ret_placement)
{
    *ret_placement = place(store, value->payload, NULL, value, durability);
    return *ret_placement != NULL ? RD_OK : rd_value_verify(value);
}

struct rd_placement *rd_spool_place(struct rd_spool *spool, enum rd_durability durability)
{
    if (spool->fd < 0 || rd_spool_complete(spool) != RD_OK)
        return NULL;
    return place(spool->store, rd_slice(NULL, spool->len), spool, NULL, durability);
}

void rd_placement_destroy(struct rd_placement *placement)
{
    if (placement == NULL)
        return;
    struct rd_store *store = placement->store;
    if (!placement->committed && rd_ahead_abandon(&store->ahead, placement))
        rd_queue_nudge(&store->queue); /* what it takes of the disk goes now, not with the next write */
    free(placement);
}
