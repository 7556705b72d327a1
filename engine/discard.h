/* SPDX-License-Identifier: MIT
 *
 * discard.h - gives back the memory that holds parts of the file in which nothing lives any more (regions.h). The
 * kernel keeps pages by when they were last used, and of a store whose values are replaced the dead ones were all
 * used just now: without this they push out what lives, and each append goes to memory that nobody had used yet.
 *
 * Nothing is taken away but from memory: whoever reads a value that was replaced, or the whole file, has it come
 * back from the disk. But what is held (rd_value_hold) stays, for those who must not wait. Only what is synced is
 * given back, since the kernel would begin to write out the rest; so never while nothing is synced at all. And
 * nothing while values hold an earlier map of the file, which has grown: what that map knows to be in memory, and
 * who reads there, is not looked at.
 *
 *   NONE --enough has died, and a sync has come since--> UNDER WAY, on a thread of its own --> NONE
 *
 * The writer's alone, but for what its thread is lent.
 */
#ifndef RD_ENGINE_DISCARD_H
#define RD_ENGINE_DISCARD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/regions.h"

struct rd_datafile;
struct rd_mapping;
struct rd_store;

struct rd_discard {
    struct rd_regions regions; /* owned */
    uint64_t died_min;         /* regions that are worth a thread; constant, fewer in tests */
    uint64_t synced_tail;      /* when dead ones were last taken */
    bool under_way;            /* or done, but not joined: until then the thread has what is below */
    pthread_t thread;
    struct rd_datafile *file;   /* borrows */
    struct rd_mapping *mapping; /* pins */
    struct rd_region_run *runs; /* owned */
    size_t run_count;
    atomic_bool stops; /* by the writer: leaves the rest of them as they are */
    atomic_bool done;  /* by the thread, its last word */
};

void rd_discard_init(struct rd_discard *discard);
void rd_discard_deinit(struct rd_discard *discard);

/* Between two groups: begins where it is worth it, and takes note of what is done. */
void rd_discard_advance(struct rd_store *store);

/* No thread is left. Before the file is exchanged or closed. */
void rd_discard_end(struct rd_discard *discard);

/* Another file is the store's: nothing is known of it. */
void rd_discard_forget(struct rd_discard *discard);

#endif
