/* SPDX-License-Identifier: MIT */
#include "engine/ahead.h"

#include <fcntl.h>
#include <stdlib.h>

#include "engine/direct.h"
#include "engine/record.h"
#include "engine/store.h"
#include "engine/writeback.h"

#define PLACED_LEN_MIN    (UINT64_C(16) << 20)
#define GAP_LEN_MIN       (UINT64_C(4) << 20)
#define GAP_SHARE         16u /* of the value's length, for what is written while it is copied */
#define LANDING_GAP_TIMES 2u  /* such a gap: what comes over a network takes longer */
#define SLICE_LEN         (UINT64_C(8) << 20)
#define MEMORY_SHARE      2u                   /* a value above this share of memory is not to stay there */
#define UNWRITTEN_MAX     (UINT64_C(32) << 20) /* of what is to be synced: a writer's sync meanwhile waits for it */
#define LANDING_MS_MOST   UINT64_C(30000)
#define LATE_SHARE        15u /* of that: sooner nobody knows how long it will take; and the end of it may take it */
#define LATE_TIMES        2u /* that, and it gives way however little is missing */

void rd_ahead_init(struct rd_ahead *ahead)
{
    *ahead = (struct rd_ahead){.placed_len_min = PLACED_LEN_MIN,
                               .gap_len_min = GAP_LEN_MIN,
                               .slice_len = SLICE_LEN,
                               .hole_len = RD_AHEAD_HOLE_LEN,
                               .landing_ms_most = LANDING_MS_MOST};
    pthread_mutex_init(&ahead->lock, NULL);
    pthread_cond_init(&ahead->changed, NULL);
}

void rd_ahead_deinit(struct rd_ahead *ahead)
{
    pthread_cond_destroy(&ahead->changed);
    pthread_mutex_destroy(&ahead->lock);
}

/* ---- the writer ---- */

static uint64_t gap_len(const struct rd_ahead *ahead, const struct rd_placement *owner)
{
    uint64_t gap = owner->len / GAP_SHARE < ahead->gap_len_min ? ahead->gap_len_min : owner->len / GAP_SHARE;
    return owner->landing ? LANDING_GAP_TIMES * gap : gap;
}

enum rd_status rd_ahead_reserve(struct rd_ahead *ahead, struct rd_placement *owner, uint64_t tail,
                                uint64_t end_max)
{
    uint64_t len = owner->len;
    if (ahead->active)
        return RD_OVERLOADED;
    if (len > RD_TAIL_MAX)
        return RD_NO_SPACE;
    uint64_t gap = gap_len(ahead, owner);
    if (tail + gap + len > RD_TAIL_MAX - RD_AHEAD_MARGIN - RD_DIRECT_BLOCK_LEN)
        return RD_NO_SPACE;
    uint64_t begin = (tail + gap + RD_DIRECT_BLOCK_LEN - 1) / RD_DIRECT_BLOCK_LEN * RD_DIRECT_BLOCK_LEN;
    if (rd_trailer_may_tear(begin + len)) /* the disk may have the value before its trailer is written */
        begin += RD_RECORD_ALIGN;
    uint64_t dead_len = owner->landing ? len : 0; /* at most, where it has to give way, beside the value itself */
    if (begin + len + dead_len + RD_TRAILER_LEN > end_max)
        return RD_NO_SPACE;
    ahead->active = true;
    ahead->landing = owner->landing;
    ahead->begin = begin;
    pthread_mutex_lock(&ahead->lock);
    ahead->owner = owner;
    ahead->entered = false;
    ahead->whole = false;
    ahead->lost = false;
    ahead->failed = false;
    ahead->abandoned = false;
    pthread_mutex_unlock(&ahead->lock);
    return RD_OK;
}

bool rd_ahead_is_ready(struct rd_ahead *ahead, const struct rd_placement *owner)
{
    if (!ahead->active || owner == NULL)
        return false;
    pthread_mutex_lock(&ahead->lock);
    bool ready = ahead->owner == owner && ahead->whole && !ahead->lost;
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

bool rd_ahead_is_landing(struct rd_ahead *ahead)
{
    if (!ahead->active || !ahead->landing)
        return false;
    pthread_mutex_lock(&ahead->lock);
    bool landing = !ahead->whole && !ahead->lost;
    pthread_mutex_unlock(&ahead->lock);
    return landing;
}

static bool is_late(const struct rd_placement *owner, double elapsed_ms, double most_ms)
{
    double rest_ms = elapsed_ms * (double)(owner->len - owner->landed) / (double)(owner->landed + 1);
    double known_ms = most_ms / LATE_SHARE;
    bool is_slow = elapsed_ms + rest_ms > most_ms && rest_ms > known_ms;
    return elapsed_ms >= known_ms && (is_slow || elapsed_ms > LATE_TIMES * most_ms);
}

bool rd_ahead_is_late(struct rd_ahead *ahead)
{
    if (!ahead->active || !ahead->landing)
        return false;
    uint64_t now_ms = rd_monotonic_ms();
    bool late = false;
    pthread_mutex_lock(&ahead->lock);
    if (!ahead->abandoned && !ahead->whole && !ahead->lost && !ahead->owner->goes)
        late = is_late(ahead->owner, (double)(now_ms - ahead->owner->begun_ms), (double)ahead->landing_ms_most);
    pthread_mutex_unlock(&ahead->lock);
    return late;
}

void rd_ahead_release(struct rd_ahead *ahead)
{
    ahead->active = false;
    pthread_mutex_lock(&ahead->lock);
    ahead->owner = NULL;
    pthread_cond_broadcast(&ahead->changed);
    pthread_mutex_unlock(&ahead->lock);
}

/* The lock is held. Nobody is in it afterwards, and nobody comes in. */
static void close_region(struct rd_ahead *ahead)
{
    ahead->lost = true;
    while (ahead->entered)
        pthread_cond_wait(&ahead->changed, &ahead->lock);
}

void rd_ahead_drop(struct rd_ahead *ahead, enum rd_status why)
{
    if (!ahead->active)
        return;
    pthread_mutex_lock(&ahead->lock);
    close_region(ahead);
    if (!ahead->abandoned)
        ahead->owner->fate = why;
    pthread_mutex_unlock(&ahead->lock);
    rd_ahead_release(ahead);
}

int rd_ahead_evict(struct rd_ahead *ahead, struct rd_datafile *file, uint64_t tail, enum rd_status why)
{
    if (!ahead->active)
        return 0;
    rd_ahead_drop(ahead, why);
    return rd_datafile_cut(file, tail);
}

bool rd_ahead_close(struct rd_ahead *ahead, uint64_t *ret_landed, uint32_t *ret_crc32)
{
    pthread_mutex_lock(&ahead->lock);
    close_region(ahead);
    bool landed =
        ahead->landing && !ahead->failed && !ahead->abandoned && !ahead->owner->goes && ahead->owner->landed != 0;
    if (landed) {
        *ret_landed = ahead->owner->landed;
        *ret_crc32 = ahead->owner->landed_crc32;
    }
    pthread_mutex_unlock(&ahead->lock);
    return landed;
}

void rd_placement_commit(struct rd_placement *placement)
{
    placement->committed = true;
}

/* ---- the placing or landing thread ---- */

/* A sync that is asked for would otherwise be the writer's, which holds others up for as long as it takes. So
 * where the store's writes are synced, one value that need not be is synced as well. */
static bool needs_sync(const struct rd_store *store, enum rd_durability durability)
{
    uint32_t interval_ms;
    bool asked = durability != RD_DURABILITY_DEFAULT && durability != RD_DURABILITY_NONE;
    return asked || rd_store_durability(store, &interval_ms) != RD_DURABILITY_NONE;
}

struct rd_placement *rd_placement_reserve(struct rd_store *store, uint64_t len, enum rd_durability durability,
                                          bool landing)
{
    struct rd_placement *placement = calloc(1, sizeof *placement);
    if (placement == NULL)
        return NULL;
    placement->store = store;
    placement->len = len;
    placement->landing = landing;
    placement->synced = needs_sync(store, durability);
    placement->begun_ms = rd_monotonic_ms();
    struct rd_entry wanted = {.payload = rd_slice(NULL, len), .crc32_known = true};
    struct rd_op op = {.kind = RD_OP_RESERVE, .entries = &wanted, .entry_count = 1, .placement = placement};
    if (rd_store_execute(store, &op) != RD_OK) {
        free(placement);
        return NULL;
    }
    placement->begin = op.offset;
    uint64_t tail = rd_store_file_size(store);
    placement->hurried_from = tail + (op.offset > tail ? op.offset - tail : 0) / 2;
    return placement;
}

bool rd_placement_exceeds_memory(const struct rd_placement *placement)
{
    return placement->len > placement->store->memory_bytes / MEMORY_SHARE;
}

struct rd_writeback rd_placement_writeback(const struct rd_placement *placement)
{
    uint64_t bound = rd_writeback_bound(placement->store->memory_bytes);
    bool forgets = rd_placement_exceeds_memory(placement);
    struct rd_writeback writeback;
    if (placement->synced)
        rd_writeback_init(&writeback, RD_WRITEBACK_EARLY, placement->begin,
                          bound < UNWRITTEN_MAX ? bound : UNWRITTEN_MAX, forgets);
    else
        rd_writeback_init(&writeback, RD_WRITEBACK_LATE, placement->begin, bound, forgets);
    return writeback;
}

bool rd_placement_enter(struct rd_placement *placement)
{
    struct rd_ahead *ahead = &placement->store->ahead;
    pthread_mutex_lock(&ahead->lock);
    bool may = ahead->owner == placement && !ahead->lost;
    ahead->entered = ahead->entered || may;
    pthread_mutex_unlock(&ahead->lock);
    return may;
}

void rd_placement_leave(struct rd_placement *placement, bool failed, uint64_t landed, uint32_t crc32)
{
    struct rd_ahead *ahead = &placement->store->ahead;
    pthread_mutex_lock(&ahead->lock);
    if (ahead->owner == placement) {
        ahead->entered = false;
        ahead->lost = ahead->lost || failed;
        ahead->failed = ahead->failed || failed;
        placement->landed = landed;
        placement->landed_crc32 = crc32;
        pthread_cond_broadcast(&ahead->changed);
    }
    pthread_mutex_unlock(&ahead->lock);
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

static int open_own_file(const struct rd_store *store)
{
    int fd = store->io->open(store->io->self, store->file.path, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0 || is_own_file(store, fd))
        return fd;
    store->io->close(store->io->self, fd);
    return -1;
}

int rd_placement_open(struct rd_placement *placement)
{
    if (!rd_placement_enter(placement))
        return -1;
    int fd = open_own_file(placement->store);
    rd_placement_leave(placement, fd < 0, 0, 0);
    return fd;
}

bool rd_placement_begin_to_go(struct rd_placement *placement)
{
    struct rd_ahead *ahead = &placement->store->ahead;
    pthread_mutex_lock(&ahead->lock);
    bool may = ahead->owner == placement && !ahead->lost;
    placement->goes = placement->goes || may;
    pthread_mutex_unlock(&ahead->lock);
    return may;
}

bool rd_placement_finish(struct rd_placement *placement)
{
    struct rd_ahead *ahead = &placement->store->ahead;
    pthread_mutex_lock(&ahead->lock);
    bool own = ahead->owner == placement && !ahead->lost;
    ahead->whole = ahead->whole || own;
    pthread_mutex_unlock(&ahead->lock);
    return own;
}

enum rd_status rd_placement_fate(struct rd_placement *placement)
{
    struct rd_ahead *ahead = &placement->store->ahead;
    pthread_mutex_lock(&ahead->lock);
    while (ahead->owner == placement)
        pthread_cond_wait(&ahead->changed, &ahead->lock);
    enum rd_status fate = placement->fate;
    pthread_mutex_unlock(&ahead->lock);
    return fate;
}

enum rd_status rd_placement_loss(struct rd_placement *placement)
{
    if (placement == NULL || !placement->landing)
        return RD_OK;
    struct rd_ahead *ahead = &placement->store->ahead;
    pthread_mutex_lock(&ahead->lock);
    enum rd_status fate = placement->fate;
    pthread_mutex_unlock(&ahead->lock);
    return fate;
}

/* True: the writer has a region to take back. */
static bool abandon(struct rd_placement *placement)
{
    struct rd_ahead *ahead = &placement->store->ahead;
    pthread_mutex_lock(&ahead->lock);
    bool owned = ahead->owner == placement;
    ahead->abandoned = ahead->abandoned || owned;
    pthread_mutex_unlock(&ahead->lock);
    return owned;
}

void rd_placement_destroy(struct rd_placement *placement)
{
    if (placement == NULL)
        return;
    struct rd_store *store = placement->store;
    if (!placement->committed && abandon(placement))
        rd_queue_nudge(&store->queue); /* what it takes of the disk goes now, not with the next write */
    free(placement);
}
