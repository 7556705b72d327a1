/* SPDX-License-Identifier: MIT */
#include "server/lane.h"

#include <stdlib.h>

#include "server/dispatch.h"

#define LANES_KEPT 16 /* a connection's lanes beyond this go when they are idle */

static void lane_destroy(struct rd_lane *lane)
{
    rd_hosted_unref(lane->hosted);
    free(lane);
}

static void drop_idle_lanes(struct rd_lane **lanes)
{
    unsigned kept = 0;
    struct rd_lane **at = lanes;
    while (*at != NULL) {
        struct rd_lane *lane = *at;
        if (lane->call_count == 0 && lane->account_count == 0 && !lane->pumping && ++kept > LANES_KEPT) {
            *at = lane->next;
            lane_destroy(lane);
        } else {
            at = &lane->next;
        }
    }
}

struct rd_lane *rd_lane_get(struct rd_lane **lanes, struct rd_slice name)
{
    for (struct rd_lane **at = lanes; *at != NULL; at = &(*at)->next) {
        struct rd_lane *lane = *at;
        if (!rd_slice_equal(rd_slice(lane->name, lane->name_len), name))
            continue;
        *at = lane->next;
        lane->next = *lanes;
        *lanes = lane;
        return lane;
    }
    drop_idle_lanes(lanes);
    struct rd_lane *lane = calloc(1, sizeof *lane);
    if (lane == NULL)
        return NULL;
    memcpy(lane->name, name.data, name.len);
    lane->name_len = name.len;
    lane->next = *lanes;
    *lanes = lane;
    return lane;
}

void rd_lanes_destroy(struct rd_lane **lanes)
{
    while (*lanes != NULL) {
        struct rd_lane *lane = *lanes;
        *lanes = lane->next;
        lane_destroy(lane);
    }
}

static bool may_run(const struct rd_lane *lane, enum rd_call_mode mode)
{
    if (lane->held || lane->exclusive_running || (mode != RD_CALL_READ && lane->looks_running != 0))
        return false;
    return mode == RD_CALL_WRITE || lane->writes_running == 0;
}

static void run(struct rd_lane *lane, struct rd_call *call)
{
    lane->writes_running += call->mode == RD_CALL_WRITE;
    if (call->mode == RD_CALL_EXCLUSIVE)
        lane->exclusive_running = true;
    call->state = RD_CALL_RUNNING;
    rd_dispatch_run(call);
}

void rd_lane_enter(struct rd_lane *lane, struct rd_call *call, enum rd_call_mode mode)
{
    call->lane = lane;
    call->account = lane;
    call->mode = mode;
    lane->account_count++;
    lane->call_count++;
    if (lane->waiting_first == NULL && may_run(lane, mode)) {
        run(lane, call);
        return;
    }
    call->state = RD_CALL_WAITING;
    call->queue_next = NULL;
    if (lane->waiting_first == NULL)
        lane->waiting_first = call;
    else
        lane->waiting_last->queue_next = call;
    lane->waiting_last = call;
}

/* Calls that finish at once come back here from inside run(): only the outermost goes on with the queue, so that
 * the stack does not grow with the input. */
static void pump(struct rd_lane *lane)
{
    if (lane->pumping)
        return;
    lane->pumping = true;
    while (lane->waiting_first != NULL && may_run(lane, lane->waiting_first->mode)) {
        struct rd_call *call = lane->waiting_first;
        lane->waiting_first = call->queue_next;
        run(lane, call);
    }
    lane->pumping = false;
}

void rd_lane_leave(struct rd_lane *lane, enum rd_call_mode mode, bool looked)
{
    lane->call_count--;
    lane->looks_running -= looked;
    lane->writes_running -= mode == RD_CALL_WRITE;
    if (mode == RD_CALL_EXCLUSIVE)
        lane->exclusive_running = false;
    pump(lane);
}

void rd_lane_begin_look(struct rd_lane *lane, struct rd_call *call)
{
    lane->looks_running += !call->looking;
    call->looking = true;
}

void rd_lane_hold(struct rd_lane *lane)
{
    lane->held = true;
}

void rd_lane_resume(struct rd_lane *lane)
{
    lane->held = false;
    pump(lane);
}

void rd_lane_forget_waiting(struct rd_lane *lane)
{
    for (struct rd_call *call = lane->waiting_first; call != NULL; call = call->queue_next)
        lane->call_count--;
    lane->waiting_first = NULL;
}

struct rd_hosted *rd_lane_hosted(struct rd_lane *lane, struct rd_stores *stores)
{
    if (lane->hosted != NULL && atomic_load(&lane->hosted->state) == RD_HOSTED_GONE) {
        rd_hosted_unref(lane->hosted);
        lane->hosted = NULL;
        lane->usage = NULL;
    }
    if (lane->hosted == NULL)
        lane->hosted = rd_stores_find(stores, rd_slice(lane->name, lane->name_len));
    return lane->hosted;
}

enum rd_status rd_lane_use(struct rd_lane *lane, struct rd_stores *stores, struct rd_hosted **ret_hosted,
                           struct rd_error *ret_error)
{
    struct rd_hosted *hosted = rd_lane_hosted(lane, stores);
    if (hosted == NULL)
        return rd_error_set(ret_error, RD_STORE_NOT_FOUND, 0, "there is no store '%.*s'", (int)lane->name_len,
                            lane->name);
    enum rd_status status = rd_hosted_use(hosted, ret_error);
    if (status == RD_OK)
        *ret_hosted = hosted;
    return status;
}
