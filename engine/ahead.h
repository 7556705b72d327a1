/* SPDX-License-Identifier: MIT
 *
 * ahead.h - long values are put some way ahead of the tail while short writes go on below, so that nobody waits
 * for their copying. When such a value is committed, one filler entry closes the gap and the value's own trailer
 * is written: a few bytes.
 *
 *        published tail             begin                                end
 *   ...entries |  short writes ...   |  the value, copied                 | trailer
 *              |<------ gap, a hole ------>|
 *   committed: [entries][filler: zeros of the hole, trailer][value][trailer]
 *
 * The filler is an ordinary entry with a reserved key hash, to the reference too; len and iteration skip it.
 *
 * At most one region at a time. Who does what:
 *
 *   rd_store_place (the caller's thread)        the writer
 *     RESERVE operation --------------------->  rd_ahead_reserve: FREE -> COPYING
 *     copies, syncs where that is wanted,
 *     on a descriptor of its own
 *     rd_ahead_stop_copying ----------------->  READY
 *     the value's operation ----------------->  rd_ahead_is_ready, then the commit: rd_ahead_release -> FREE
 *                                               short writes have come close, or an append failed: rd_ahead_evict
 *                                               waits for the copying to stop and cuts the file -> FREE
 *     rd_placement_destroy, not committed -->  rd_ahead_evict, at its next turn or when it has none
 *
 * An operation whose region was taken back is appended like any other: it only holds others up for longer.
 */
#ifndef RD_ENGINE_AHEAD_H
#define RD_ENGINE_AHEAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct rd_datafile;
struct rd_placement;

/* The operation by which a placing thread asks the writer for a region: entries[0].payload.len tells how long;
 * answers with its begin in op->offset. */
#define RD_OP_RESERVE ((enum rd_op_kind)(RD_OP_SYNC + 1))

/* Short writes keep so far from a region, bytes: the filler must fit between. */
#define RD_AHEAD_MARGIN 256u

struct rd_ahead {
    pthread_mutex_t lock;
    pthread_cond_t stopped;           /* copying has become false */
    bool copying;                     /* guarded by lock; the placing thread writes into the region */
    bool lost;                        /* guarded by lock; the region was taken back, or will be */
    bool abandoned;                   /* guarded by lock; its placement is gone */
    const struct rd_placement *owner; /* guarded by lock; compared only */
    bool active;                      /* writer */
    uint64_t begin;                   /* writer; a block's, or 64 behind it (rd_trailer_may_tear) */
    uint64_t len;                     /* writer; of the value */

    /* Constant, but that a test may make them smaller before the first operation, so that short values go the way
     * of long ones. Bytes. */
    uint64_t placed_len_min; /* shorter values are appended at once: that holds nobody for long */
    uint64_t gap_len_min;    /* between the tail and a region */
    uint64_t slice_len;      /* copied at a time; in between the region can be taken back */
};

void rd_ahead_init(struct rd_ahead *ahead);
void rd_ahead_deinit(struct rd_ahead *ahead);

/* ---- the writer ---- */

/* A region for a value of len bytes above tail, its trailer not above end_max. RD_OVERLOADED: there is one
 * already. RD_NO_SPACE. */
enum rd_status rd_ahead_reserve(struct rd_ahead *ahead, const struct rd_placement *owner, uint64_t tail,
                                uint64_t len, uint64_t end_max) RD_MUST_CHECK;

/* Whether the owner's value lies there, whole. */
bool rd_ahead_is_ready(struct rd_ahead *ahead, const struct rd_placement *owner);

bool rd_ahead_is_abandoned(struct rd_ahead *ahead);

/* It has become part of the store. */
void rd_ahead_release(struct rd_ahead *ahead);

/* Takes it back: waits for the copying to stop (a slice, and a rest, at most), cuts the file to tail. 0 or an
 * errno value. */
int rd_ahead_evict(struct rd_ahead *ahead, struct rd_datafile *file, uint64_t tail) RD_MUST_CHECK;

/* ---- the placing thread ---- */

bool rd_ahead_is_lost(struct rd_ahead *ahead);
void rd_ahead_stop_copying(struct rd_ahead *ahead, bool failed);
/* True: the writer has a region to take back. */
bool rd_ahead_abandon(struct rd_ahead *ahead, const struct rd_placement *owner);

/* The writer, before it delivers the operation. */
void rd_placement_commit(struct rd_placement *placement);

#endif
