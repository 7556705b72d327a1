/* SPDX-License-Identifier: MIT */
#include "server/bridge.h"

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>

#define SHORT_LEN (UINT64_C(16) << 10)
#define FEW       16u /* entries */

/* Operations that were synced, and are small: with long values the writer copies as much as the loop, of batches
 * it judges and publishes as much as the loop decodes, and is better off on the other processor. Their first
 * speaks for all. */
static bool tells_where_to_be(const struct rd_op *first)
{
    return first->durability_applied == RD_DURABILITY_SYNC && first->payload_bytes < SHORT_LEN &&
           first->entry_count <= FEW;
}

/* The wake is sent under the lock: a loop that has taken an operation thereby knows that its deliverer is done
 * with the handle, so the handle can be closed once no operation is outstanding. */
static void deliver(struct rd_sink *sink, struct rd_op *first, struct rd_op *last)
{
    struct rd_bridge *bridge = (struct rd_bridge *)(void *)((char *)sink - offsetof(struct rd_bridge, sink));
    last->next = NULL;
    int processor = tells_where_to_be(first) ? sched_getcpu() : -1;
    uv_mutex_lock(&bridge->lock);
    if (bridge->first == NULL) {
        bridge->first = first;
        uv_async_send(&bridge->wake);
    } else {
        bridge->last->next = first;
    }
    bridge->last = last;
    bridge->synced_on = processor;
    uv_mutex_unlock(&bridge->lock);
}

static void on_wake(uv_async_t *wake)
{
    struct rd_bridge *bridge = wake->data;
    uv_mutex_lock(&bridge->lock);
    struct rd_op *op = bridge->first;
    bridge->first = NULL;
    bridge->last = NULL;
    int synced_on = bridge->synced_on;
    uv_mutex_unlock(&bridge->lock);

    if (bridge->affinity != NULL && synced_on >= 0)
        rd_affinity_note(bridge->affinity, synced_on);
    while (op != NULL) {
        struct rd_op *next = op->next; /* completing may free or resubmit it */
        bridge->complete(op);
        op = next;
    }
}

enum rd_status rd_bridge_init(struct rd_bridge *bridge, uv_loop_t *loop, void (*complete)(struct rd_op *op))
{
    *bridge = (struct rd_bridge){.sink.deliver = deliver, .complete = complete};
    if (uv_mutex_init(&bridge->lock) != 0)
        return RD_NO_MEMORY;
    if (uv_async_init(loop, &bridge->wake, on_wake) != 0) {
        uv_mutex_destroy(&bridge->lock);
        return RD_IO_ERROR;
    }
    bridge->wake.data = bridge;
    return RD_OK;
}

void rd_bridge_close(struct rd_bridge *bridge)
{
    uv_close((uv_handle_t *)&bridge->wake, NULL);
}

void rd_bridge_deinit(struct rd_bridge *bridge)
{
    uv_mutex_destroy(&bridge->lock);
}
