/* SPDX-License-Identifier: MIT
 *
 * ahead.h - long values lie some way ahead of the tail while short writes go on below, so that nobody waits for
 * them. When such a value is committed, one filler entry closes the gap and the value's own trailer is written: a
 * few bytes.
 *
 *        published tail             begin                                end
 *   ...entries |  short writes ...   |  the value                        | trailer
 *              |<------ gap, a hole ------>|
 *   committed: [entries][filler: zeros of the hole, trailer][value][trailer]
 *
 * The filler is an ordinary entry with a reserved key hash, to the reference too; len and iteration skip it.
 *
 * At most one region at a time. A value comes there in one of two ways: it is placed, when all of it is known
 * (placing.c), or it lands there part by part as it comes in (landing.h). Who does what:
 *
 *   the placing or landing thread               the writer
 *     RESERVE operation --------------------->  rd_ahead_reserve: FREE -> FILLING
 *     rd_placement_enter, writes into it, on
 *     a descriptor of its own,
 *     rd_placement_leave; over and over
 *     rd_placement_finish ------------------->  WHOLE
 *     the value's operation ----------------->  rd_ahead_is_ready, then the commit: rd_ahead_release -> FREE
 *                                               short writes have come close, or an append failed: rd_ahead_evict
 *                                               waits until nobody is in it and cuts the file -> FREE
 *     rd_placement_destroy, not committed -->  rd_ahead_evict, at its next turn or when it has none
 *
 * An operation whose value was placed and whose region was taken back is appended like any other: it only holds
 * others up for longer. What has landed is nowhere else, so it is not cut but leapt over (rd_ahead_close):
 *
 *   tail               begin         landed
 *     | gap             | of the value | what was to come
 *   leapt: [filler][entry of the engine's own] tail
 *
 * It stays in the file as dead bytes, of which its uploader makes the value in the end; compaction drops them.
 * Only where the disk is full, and an append has failed, is it cut, and the upload fails.
 */
#ifndef RD_ENGINE_AHEAD_H
#define RD_ENGINE_AHEAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "engine/engine.h"
#include "engine/writeback.h"

struct rd_datafile;
struct rd_store;

/* The operation by which such a thread asks the writer for a region: entries[0].payload.len tells how long;
 * answers with its begin in op->offset. */
#define RD_OP_RESERVE ((enum rd_op_kind)(RD_OP_SYNC + 1))

/* Short writes keep so far from a region, bytes: the filler must fit between. */
#define RD_AHEAD_MARGIN 256u

/* From one in which a value lands they keep twice as far: by the hole between, which is as long as this at least,
 * what a crash leaves of it is told from a torn end, and is not kept aside when the file is cut. */
#define RD_AHEAD_HOLE_LEN (UINT64_C(1) << 20)

/* Owned by the placing or landing thread, and by the call that commits it. */
struct rd_placement {
    struct rd_store *store; /* borrows */
    uint64_t begin;
    uint64_t len;          /* constant; of the value */
    uint64_t hurried_from; /* constant; with the tail here, short writes have taken half of the gap */
    bool landing;          /* constant; its bytes are nowhere else */
    bool spooled;          /* constant; what is copied is a spool */
    bool synced;           /* is to be; constant */
    uint64_t begun_ms;     /* constant; when it began to land */
    uint64_t landed;       /* guarded by the ahead's lock; so many of its bytes are in the file */
    uint32_t landed_crc32; /* guarded by the ahead's lock; of these */
    enum rd_status fate;   /* guarded by the ahead's lock; RD_OK, or why the file was cut and they are gone */
    bool goes;             /* guarded by the ahead's lock; they are being given back */
    bool committed;        /* written by the writer before the operation is delivered */
};

struct rd_ahead {
    pthread_mutex_t lock;
    pthread_cond_t changed;     /* entered has become false, or owner NULL */
    bool entered;               /* guarded by lock; somebody writes into the region */
    bool whole;                 /* guarded by lock; the value lies there */
    bool lost;                  /* guarded by lock; the region was taken back, or will be */
    bool failed;                /* guarded by lock; what was to be written there could not be */
    bool abandoned;             /* guarded by lock; its placement is gone */
    struct rd_placement *owner; /* guarded by lock; borrows, where it is not abandoned; then compared only */
    bool active;                /* writer */
    bool landing;               /* writer; the owner's */
    uint64_t begin;             /* writer; a block's, or 64 behind it (rd_trailer_may_tear) */

    /* Constant, but that a test may make them smaller before the first operation, so that short values go the way
     * of long ones. Bytes. */
    uint64_t placed_len_min;  /* shorter values are appended at once: that holds nobody for long */
    uint64_t gap_len_min;     /* between the tail and a region */
    uint64_t slice_len;       /* copied at a time; in between the region can be taken back */
    uint64_t hole_len;        /* RD_AHEAD_HOLE_LEN */
    uint64_t landing_ms_most; /* who would take longer to land gives way; likewise constant */
};

void rd_ahead_init(struct rd_ahead *ahead);
void rd_ahead_deinit(struct rd_ahead *ahead);

/* ---- the writer ---- */

/* A region for the owner's value above tail, its trailer not above end_max. RD_OVERLOADED: there is one already.
 * RD_NO_SPACE. */
enum rd_status rd_ahead_reserve(struct rd_ahead *ahead, struct rd_placement *owner, uint64_t tail,
                                uint64_t end_max) RD_MUST_CHECK;

/* Whether the owner's value lies there, whole. */
bool rd_ahead_is_ready(struct rd_ahead *ahead, const struct rd_placement *owner);

bool rd_ahead_is_abandoned(struct rd_ahead *ahead);

/* Whether a value is landing, and will be for a while. */
bool rd_ahead_is_landing(struct rd_ahead *ahead);

/* Whether one is landing so slowly that it is not to have the file's end to itself for so long: by how long all of
 * it would take, but not for the sake of the last moments of it, unless these do not end. */
bool rd_ahead_is_late(struct rd_ahead *ahead);

/* What is in it has become part of the store, or dead bytes of its file. */
void rd_ahead_release(struct rd_ahead *ahead);

/* Takes it back, and leaves the file alone. why: as with rd_ahead_evict. */
void rd_ahead_drop(struct rd_ahead *ahead, enum rd_status why);

/* Takes it back: waits until nobody is in it (a slice at most), cuts the file to tail. why: what an upload that
 * has landed there fails with. 0 or an errno value. */
int rd_ahead_evict(struct rd_ahead *ahead, struct rd_datafile *file, uint64_t tail,
                   enum rd_status why) RD_MUST_CHECK;

/* Takes back a region in which something has landed, for it to be leapt over, and then released: waits until
 * nobody is in it. False: nothing has, or who landed it is gone, and it can be cut. */
bool rd_ahead_close(struct rd_ahead *ahead, uint64_t *ret_landed, uint32_t *ret_crc32);

/* The operation's value was committed; before the operation is delivered. */
void rd_placement_commit(struct rd_placement *placement);

/* ---- the placing or landing thread ---- */

/* Has the writer reserve a region for a value of that length. durability: the operation's; what lies there is to
 * be synced unless that and the store's own are RD_DURABILITY_NONE. NULL: there is none to be had. */
struct rd_placement *rd_placement_reserve(struct rd_store *store, uint64_t len, enum rd_durability durability,
                                          bool landing) RD_MUST_CHECK;

/* Whether memory is not to keep the value. */
bool rd_placement_exceeds_memory(const struct rd_placement *placement);

/* At which pace the disk gets what goes by the page cache. */
struct rd_writeback rd_placement_writeback(const struct rd_placement *placement);

/* A descriptor of the store's file of one's own, to write into the region; -1: it cannot be had, or the region was
 * taken back. A sync that fails on it is reported to the writer's as well. The writer's is not exchanged as long
 * as there is a region (compact.h). */
int rd_placement_open(struct rd_placement *placement);

/* Until rd_placement_leave the region stays. False: it was taken back. */
bool rd_placement_enter(struct rd_placement *placement) RD_MUST_CHECK;

/* Fine where it was not entered, as the region was taken back. failed: the value will not be whole. landed, crc32:
 * of one that is landing, as it is now. */
void rd_placement_leave(struct rd_placement *placement, bool failed, uint64_t landed, uint32_t crc32);

/* What has landed is not wanted any more: it need not be leapt over, and may be cut from its end on while the
 * region is entered. False: the region was taken back. */
bool rd_placement_begin_to_go(struct rd_placement *placement) RD_MUST_CHECK;

/* The value lies there. False: the region was taken back. */
bool rd_placement_finish(struct rd_placement *placement) RD_MUST_CHECK;

/* The region is being taken back: waits until it was. RD_OK: what has landed lies where it did. */
enum rd_status rd_placement_fate(struct rd_placement *placement) RD_MUST_CHECK;

/* Whether what has landed there is gone; a value that was placed is elsewhere, too. RD_OK, or why. NULL is fine.
 */
enum rd_status rd_placement_loss(struct rd_placement *placement);

#endif
