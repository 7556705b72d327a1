/* SPDX-License-Identifier: MIT
 *
 * courtesy.h - a thread that has the kernel do much at a time lets those in who wait for its processor.
 *
 * The kernel takes a millisecond and more for all that is asked for or forgotten at a time, and its scheduler lets
 * a thread have its processor for as long, whoever else waits for it: a loop, or a client. So whoever waits is let
 * in between steps. Those who compute, and so keep the processor once they have it, get it once in a job, or there
 * would be little left for reading: to yield is to give a whole slice away. A loop that is busy for long does the
 * same, and its jobs are what it does between two sweeps.
 */
#ifndef RD_SERVER_COURTESY_H
#define RD_SERVER_COURTESY_H

#include <stdbool.h>
#include <stdint.h>

/* Of one job; zeroed at its beginning. The thread that works on it. */
struct rd_courtesy {
    bool crowded; /* others compute on the processor */
};

/* Between two steps. */
void rd_courtesy_let_in(struct rd_courtesy *courtesy);

struct rd_process;

/* Behind a step that kept the disk busy for step_ns, on behalf of one who can wait: where others were given brief
 * answers just now, this thread sleeps three times as long. A disk that is kept busy without a pause takes from
 * them even where they read nothing of it: what moves its bytes shares the processors of a virtual machine. One
 * thread at a time: those that may wait are few, and others want them, too. */
void rd_courtesy_rest(struct rd_process *process, uint64_t step_ns);

#endif
