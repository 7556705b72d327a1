/* SPDX-License-Identifier: MIT
 *
 * bridge.h - the only place where writer threads meet a loop: a sink that puts finished operations on a list and
 * wakes the loop, which takes the whole list at once. It tells the loop, too, on which processor a
 * writer was after a sync (affinity.h).
 *
 * Lifetime: every operation whose sink this is must have been taken before rd_bridge_close, and every thread that
 * may deliver must have ended (its store be closed) before rd_bridge_deinit.
 */
#ifndef RD_SERVER_BRIDGE_H
#define RD_SERVER_BRIDGE_H

#include <uv.h>

#include "base/status.h"
#include "engine/engine.h"
#include "server/affinity.h"

struct rd_bridge {
    struct rd_sink sink; /* what operations carry; any thread delivers to it */
    uv_mutex_t lock; /* guards first, last and synced_on, and orders a delivery's wake before its being taken */
    struct rd_op *first; /* oldest; written by delivering threads and the loop */
    struct rd_op *last;
    int synced_on;   /* the processor of the last delivery, if small writes were synced; -1: they were not */
    uv_async_t wake; /* the loop's, as what is below */
    struct rd_affinity *affinity;       /* borrows; is told of that; NULL: nobody is */
    void (*complete)(struct rd_op *op); /* runs on the loop, once for each operation, in the order delivered */
};

/* Loop thread, or before the loop runs. */
enum rd_status rd_bridge_init(struct rd_bridge *bridge, uv_loop_t *loop,
                              void (*complete)(struct rd_op *op)) RD_MUST_CHECK;

/* Loop thread: closes the handle; the loop has to run once more. */
void rd_bridge_close(struct rd_bridge *bridge);

/* Any thread, after the loop has ended. */
void rd_bridge_deinit(struct rd_bridge *bridge);

#endif
