/* SPDX-License-Identifier: MIT
 *
 * epoch.h - tells the one writer when memory that it has unlinked can no longer be held by a reader.
 *
 * A reader is inside an epoch while it follows pointers that the writer may replace; that is short, never across a
 * wait. The writer unlinks first, then retires; what is retired is destroyed by a later rd_epoch_collect, once
 * every reader that was inside at the time has left. Nobody waits for anybody: a reader that is preempted inside
 * only delays the destruction. (Epoch-based reclamation: K. Fraser, "Practical lock-freedom", 2004,
 * section 5.2.3.)
 *
 * The pointers that lead to retired memory are stored and loaded with memory_order_seq_cst: a reader that enters
 * after the writer has looked at the slots must see the new pointer.
 */
#ifndef RD_ENGINE_EPOCH_H
#define RD_ENGINE_EPOCH_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#define RD_EPOCH_SLOTS 32u /* readers inside at one moment; a further one yields until a slot is free */

/* Embedded in what is retired. */
struct rd_retired {
    struct rd_retired *next; /* writer */
    uint64_t epoch;          /* writer */
    void (*destroy)(struct rd_retired *retired);
};

struct rd_epoch_slot {
    alignas(64) atomic_uint_fast64_t epoch; /* 0: free; else the epoch that its reader entered in */
};

struct rd_epoch {
    struct rd_epoch_slot slots[RD_EPOCH_SLOTS];
    alignas(64) atomic_uint_fast64_t now; /* written by the writer; starts at 1 */
    struct rd_retired *oldest;            /* writer */
    struct rd_retired *newest;            /* writer */
};

void rd_epoch_init(struct rd_epoch *epoch);

/* Destroys all that is retired. No reader may be inside. */
void rd_epoch_deinit(struct rd_epoch *epoch);

/* Readers, any thread. Returns the slot, to be handed to rd_epoch_exit by the same thread. */
unsigned rd_epoch_enter(struct rd_epoch *epoch);

static inline void rd_epoch_exit(struct rd_epoch *epoch, unsigned slot)
{
    atomic_store_explicit(&epoch->slots[slot].epoch, 0, memory_order_release);
}

/* The writer alone. */
void rd_epoch_retire(struct rd_epoch *epoch, struct rd_retired *retired, void (*destroy)(struct rd_retired *));
void rd_epoch_collect(struct rd_epoch *epoch);

#endif
