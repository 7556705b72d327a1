/* SPDX-License-Identifier: MIT
 *
 * view.h - what readers of a store look at: an index and the map that its offsets mean, which belong together.
 * They come to both by one pointer, so that compaction (compact.h) exchanges the whole at once.
 *
 *   store --view--> { index, mapping, tail, generation }
 *
 * The map may grow within a view, as the file does. A reader that stays longer than one lookup, and goes on asking
 * the index, pins the view; whoever only needs bytes pins the mapping (mapping.h).
 */
#ifndef RD_ENGINE_VIEW_H
#define RD_ENGINE_VIEW_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/epoch.h"
#include "engine/index.h"
#include "engine/mapping.h"

/* Views that go: a large map takes long to give up, and its file's blocks with it, so that is a thread's own. Of
 * one store; the writer's. */
struct rd_departures {
    pthread_t thread;
    bool under_way; /* or over, but not joined yet */
};

#define RD_VIEW_RESUMES 16u

struct rd_view {
    struct rd_index index;
    _Atomic(struct rd_mapping *) mapping; /* owned; covers every published entry; written by the writer */
    atomic_uint_fast64_t tail;            /* published; written by the writer */
    uint64_t generation;                  /* of the file; constant once the store is open */
    atomic_uint_fast64_t
        resumes[RD_VIEW_RESUMES]; /* where steps of looks at it ended, the latest ones (verify.c) */
    atomic_uint resume_count;
    atomic_uint pins;
    struct rd_retired retired;
    struct rd_departures *departures; /* borrows; once it is retired */
};

/* Without an index and a map yet. NULL: no memory. */
struct rd_view *rd_view_create(void);

/* Neither it nor its map is pinned, and nobody can come to it. NULL and half-built is fine. */
void rd_view_destroy(struct rd_view *view);

/* Has it destroyed, and its map with it, once no reader and no pin holds them. The writer; nobody comes to it any
 * more. */
void rd_view_retire(struct rd_view *view, struct rd_epoch *epoch, struct rd_departures *departures);

/* Until what goes has gone. The writer, and the closer after it. */
void rd_departures_wait(struct rd_departures *departures);

/* Inside the epoch. */
static inline void rd_view_pin(struct rd_view *view)
{
    atomic_fetch_add_explicit(&view->pins, 1, memory_order_relaxed);
}

/* Any thread. */
static inline void rd_view_unpin(struct rd_view *view)
{
    atomic_fetch_sub_explicit(&view->pins, 1, memory_order_release);
}

/* Readers, inside the epoch. */
static inline struct rd_mapping *rd_view_mapping(const struct rd_view *view)
{
    return atomic_load_explicit(&view->mapping, memory_order_seq_cst);
}

#endif
