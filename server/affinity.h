/* SPDX-License-Identifier: MIT
 *
 * affinity.h - where a loop's thread runs while writes are synced on a machine of two processors.
 *
 * A loop, a writer and a client of the same machine are one too many for two processors. The loop sleeps while the
 * disk syncs, is woken for each few requests, and the scheduler has it run now here and now there: if it comes to
 * run on one processor and the client on the one that the disk interrupts, the writer, which is woken there, waits
 * behind the client, and so does everybody who waits for the sync. So the loop is held to the processor on which
 * the writer mostly finds itself after a sync. The client, and the writer when it has to, go to the other.
 * bench/BOUNDS.md has figures. With more processors one is free anyway, and nothing is done; nor with long values
 * and batches, of which loop and writer copy so much that each wants a processor.
 *
 * It is held for a second at a time. Then the scheduler may have it elsewhere for a moment, so that it does not
 * stay beside what others have bound to its processor meanwhile, and what others say of its affinity (taskset)
 * goes over what is done here. Where fewer writes are synced it is left alone.
 *
 * A thread inherits the affinity of who begins it, for life. So the loop's is let go before it begins one.
 *
 * Threads: all of it is the loop's.
 */
#ifndef RD_SERVER_AFFINITY_H
#define RD_SERVER_AFFINITY_H

#include <sched.h>
#include <uv.h>

#include "base/status.h"

struct rd_affinity {
    uv_timer_t timer;   /* active while writes are synced */
    cpu_set_t free_set; /* where the thread may run once it is let go; has a meaning while it is held */
    int held;           /* the number of the processor; -1: the thread is not held */
    unsigned notes;     /* since it was last decided on; the two below are of these */
    int favourite;      /* the processor of most of them, if one has more than half */
    unsigned lead; /* of that one over the others (R. Boyer, J S. Moore: MJRTY, a fast majority vote algorithm) */
};

/* Before the loop runs. RD_IO_ERROR: libuv has no memory. */
enum rd_status rd_affinity_init(struct rd_affinity *affinity, uv_loop_t *loop) RD_MUST_CHECK;

/* A writer that had synced small writes was on that processor afterwards. */
void rd_affinity_note(struct rd_affinity *affinity, int processor);

/* The loop's thread is about to begin another: it may run where it may for a moment. NULL is fine. */
void rd_affinity_before_thread(struct rd_affinity *affinity);

/* On the loop, whose end waits for it. The thread may run where it might before; nothing is noted any more. */
void rd_affinity_close(struct rd_affinity *affinity);

#endif
