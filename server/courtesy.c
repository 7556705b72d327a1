/* SPDX-License-Identifier: MIT */
#include "server/courtesy.h"

#include <sched.h>
#include <time.h>
#include <uv.h>

#include "server/process.h"

#define CROWDED_NS  1000000u  /* a processor that comes back later than that is wanted by others */
#define REST_SHARE  3u        /* of the step before it */
#define REST_MAX_NS 20000000u /* whoever waits for the thread does not wait long */
#define BRIEF_MS    100u      /* behind a brief answer more of them are expected */

void rd_courtesy_let_in(struct rd_courtesy *courtesy)
{
    if (courtesy->crowded)
        return;
    uint64_t begun_ns = uv_hrtime();
    sched_yield();
    courtesy->crowded = uv_hrtime() - begun_ns >= CROWDED_NS;
}

void rd_courtesy_rest(struct rd_process *process, uint64_t step_ns)
{
    uint64_t brief_ms = atomic_load_explicit(&process->brief_ms, memory_order_relaxed);
    bool expected = brief_ms != 0 && uv_hrtime() / 1000000u <= brief_ms + BRIEF_MS;
    if (!expected || atomic_exchange_explicit(&process->resting, true, memory_order_relaxed))
        return;
    uint64_t rest_ns = step_ns < REST_MAX_NS / REST_SHARE ? step_ns * REST_SHARE : REST_MAX_NS;
    nanosleep(&(struct timespec){.tv_nsec = (long)rest_ns}, NULL); /* a signal makes it shorter */
    atomic_store_explicit(&process->resting, false, memory_order_relaxed);
}
