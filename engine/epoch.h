/* SPDX-License-Identifier: MIT
 *
 * epoch.h - tells the one writer when memory that it has unlinked can no longer be held by a reader.
 *
 * A reader is inside an epoch while it follows pointers that the writer may replace; that is short, never across a
 * wait for another reader. The writer unlinks first, then retires; what is retired is destroyed by a later
 * rd_epoch_collect, once every reader that was inside at the time has left. Nobody waits for anybody: a reader
 * that is preempted inside only delays the destruction. (Epoch-based reclamation: K. Fraser, "Practical
 * lock-freedom", 2004, section 5.2.3.)
 *
 * The clock and the places where readers announce themselves are the process's; what is retired is a store's. A
 * reader is inside one epoch at a time, on whichever store.
 *
 * Why nothing is destroyed too early. Let the writer unlink X, retire it at clock e (which makes the clock e + 1),
 * and collect. A reader enters by loading the clock (acquire), announcing it (rd_barrier_store) and only then
 * following pointers, which are stored and loaded with memory_order_seq_cst. At rd_barrier_run its announcement is
 *
 *   visible, and is e or less:      X is kept.
 *   visible, and is more than e:    its load of the clock saw what the writer had done before retiring: it cannot
 *                                   find X.
 *   not visible:                    it follows pointers behind the barrier, and cannot find X either;
 *                                   or the reader has left, and its leaving (release) was seen (acquire): it is
 *                                   done with X.
 */
#ifndef RD_ENGINE_EPOCH_H
#define RD_ENGINE_EPOCH_H

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/barrier.h"
#include "engine/seat.h"

#define RD_EPOCH_STANDING 32u /* readers without a seat that are inside at one moment; a further one yields */

/* Embedded in what is retired. destroy: false where it must live on for another reason, or is destroyed bit by
 * bit; it is asked again. */
struct rd_retired {
    struct rd_retired *next; /* writer */
    uint64_t epoch;          /* writer */
    bool (*destroy)(struct rd_retired *retired);
};

/* Of one store; the writer's. */
struct rd_epoch {
    struct rd_retired *oldest;
    struct rd_retired *newest;
    uint64_t left_by_all; /* what was retired at this epoch or before is held by no reader */
};

struct rd_epoch_place {
    alignas(64) atomic_uint_fast64_t epoch; /* 0: nobody is inside; else the epoch that its reader entered in */
};

/* This file's and epoch.c's. */
extern struct rd_epoch_place rd_epoch_places[RD_SEATS + RD_EPOCH_STANDING];
extern atomic_uint_fast64_t rd_epoch_now; /* starts at 1 */

void rd_epoch_init(struct rd_epoch *epoch);

/* Destroys all that is retired. No reader may be inside, and nothing may refuse for ever. */
void rd_epoch_deinit(struct rd_epoch *epoch);

/* Destroys what is retired and does not refuse. No reader may be inside. */
void rd_epoch_drain(struct rd_epoch *epoch);

/* Readers, any thread. Returns the place, to be handed to rd_epoch_exit by the same thread; below RD_SEATS it is
 * the thread's seat. */
unsigned rd_epoch_enter_standing(void);

static inline unsigned rd_epoch_enter(void)
{
    unsigned place = rd_seat();
    if (__builtin_expect(place == RD_SEATS, 0))
        return rd_epoch_enter_standing();
    atomic_uint_fast64_t *epoch = &rd_epoch_places[place].epoch;
    assert(atomic_load_explicit(epoch, memory_order_relaxed) == 0); /* one epoch at a time */
    rd_barrier_store(epoch, atomic_load_explicit(&rd_epoch_now, memory_order_acquire));
    return place;
}

static inline void rd_epoch_exit(unsigned place)
{
    atomic_store_explicit(&rd_epoch_places[place].epoch, 0, memory_order_release);
}

/* The writer alone. */
void rd_epoch_retire(struct rd_epoch *epoch, struct rd_retired *retired, bool (*destroy)(struct rd_retired *));
void rd_epoch_collect(struct rd_epoch *epoch);

/* retired was zeroed before. */
static inline bool rd_epoch_is_retired(const struct rd_retired *retired)
{
    return retired->destroy != NULL;
}

static inline bool rd_epoch_has_retired(const struct rd_epoch *epoch)
{
    return epoch->oldest != NULL;
}

#endif
