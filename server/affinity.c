/* SPDX-License-Identifier: MIT */
#include "server/affinity.h"

#include <stdbool.h>
#include <string.h>

#define PROCESSORS 2     /* fewer are no choice, and more leave one free */
#define HELD_MS    1000u /* at a time */
#define FREE_MS    50u   /* time for some wakes, at each of which the scheduler chooses */
#define NOTES_MIN  10u   /* in between; fewer are no load to speak of */

/* ---- holding ---------------------------------------------------------------------------------------------- */

/* All processors there can be, if nobody has said less of this thread: then it gets those, too, that its container
 * or its machine is given while it is held. */
static cpu_set_t free_set_of(const cpu_set_t *now)
{
    cpu_set_t all;
    cpu_set_t most;
    memset(&all, 0xff, sizeof all);
    bool unbound = sched_setaffinity(0, sizeof all, &all) == 0 && sched_getaffinity(0, sizeof most, &most) == 0 &&
                   CPU_EQUAL(&most, now);
    return unbound ? all : *now;
}

/* Others may have changed where the thread may run meanwhile. */
static void hold(struct rd_affinity *affinity)
{
    cpu_set_t now;
    if (sched_getaffinity(0, sizeof now, &now) != 0 || CPU_COUNT(&now) != PROCESSORS ||
        !CPU_ISSET((size_t)affinity->favourite, &now))
        return;
    affinity->free_set = free_set_of(&now);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)affinity->favourite, &one);
    if (sched_setaffinity(0, sizeof one, &one) == 0)
        affinity->held = affinity->favourite;
    else
        (void)sched_setaffinity(0, sizeof affinity->free_set, &affinity->free_set);
}

static void let_go(struct rd_affinity *affinity)
{
    cpu_set_t now;
    bool ours = sched_getaffinity(0, sizeof now, &now) == 0 && CPU_COUNT(&now) == 1 &&
                CPU_ISSET((size_t)affinity->held, &now);
    if (ours)
        (void)sched_setaffinity(0, sizeof affinity->free_set, &affinity->free_set);
    affinity->held = -1;
}

static void on_timer(uv_timer_t *timer)
{
    struct rd_affinity *affinity = timer->data;
    if (affinity->held >= 0) {
        let_go(affinity);
        uv_timer_start(timer, on_timer, FREE_MS, 0);
        return;
    }
    if (affinity->notes >= NOTES_MIN) {
        hold(affinity);
        uv_timer_start(timer, on_timer, HELD_MS, 0);
    }
    affinity->notes = 0;
    affinity->lead = 0;
}

void rd_affinity_note(struct rd_affinity *affinity, int processor)
{
    if (processor < 0 || processor >= CPU_SETSIZE)
        return;
    if (affinity->lead == 0)
        affinity->favourite = processor;
    affinity->lead += affinity->favourite == processor ? 1u : -1u;
    if (affinity->notes++ == 0 && !uv_is_active((uv_handle_t *)&affinity->timer))
        uv_timer_start(&affinity->timer, on_timer, FREE_MS, 0);
}

void rd_affinity_before_thread(struct rd_affinity *affinity)
{
    if (affinity == NULL || affinity->held < 0)
        return;
    let_go(affinity);
    uv_timer_start(&affinity->timer, on_timer, FREE_MS, 0);
}

/* ---- life ------------------------------------------------------------------------------------------------- */

enum rd_status rd_affinity_init(struct rd_affinity *affinity, uv_loop_t *loop)
{
    *affinity = (struct rd_affinity){.held = -1};
    if (uv_timer_init(loop, &affinity->timer) != 0)
        return RD_IO_ERROR;
    affinity->timer.data = affinity;
    return RD_OK;
}

void rd_affinity_close(struct rd_affinity *affinity)
{
    if (affinity->held >= 0)
        let_go(affinity);
    uv_close((uv_handle_t *)&affinity->timer, NULL);
}
