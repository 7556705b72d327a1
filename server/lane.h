/* SPDX-License-Identifier: MIT
 *
 * lane.h - the order of one connection's requests to one store.
 *
 * Writes follow one another into the store's queue, which keeps their order. A read that comes while writes before
 * it are unfinished waits for them; so does a write behind a read that has yet to look at the store, on a pool
 * thread; whatever comes while something waits, waits behind it. Creating, dropping and reopening are done alone.
 * So requests of one connection to one store take effect in the order sent, and requests to different stores do
 * not wait for each other.
 *
 * A lane stands for a name, whether there is a store of that name or not, and remembers the registry's answer.
 *
 * Owned by the connection. The loop's thread only.
 */
#ifndef RD_SERVER_LANE_H
#define RD_SERVER_LANE_H

#include "server/call.h"
#include "server/stores.h"

struct rd_lane {
    struct rd_lane *next;          /* of the connection, last used first */
    struct rd_hosted *hosted;      /* a reference, or NULL: to be looked up */
    struct rd_usage *usage;        /* borrows; of hosted and this loop; NULL: to be looked up */
    unsigned account_count;        /* calls that are counted here: it stays until they are gone */
    struct rd_call *waiting_first; /* oldest */
    struct rd_call *waiting_last;
    unsigned call_count; /* waiting and running */
    unsigned writes_running;
    unsigned looks_running; /* reads that have not looked yet */
    bool exclusive_running;
    bool held;    /* nothing runs: the store is being made */
    bool pumping; /* the queue is being worked off further up the stack */
    size_t name_len;
    char name[RD_TEXT_STORE_NAME_LEN_MAX];
};

/* Finds or makes the lane for a name of legal length in a connection's list, and bounds the idle ones. NULL: no
 * memory. */
struct rd_lane *rd_lane_get(struct rd_lane **lanes, struct rd_slice name);

void rd_lanes_destroy(struct rd_lane **lanes);

/* Runs the NEW call now (rd_dispatch_run), or later when its turn comes. */
void rd_lane_enter(struct rd_lane *lane, struct rd_call *call, enum rd_call_mode mode);

/* A running call has others wait, whatever they are, until the lane is resumed. */
void rd_lane_hold(struct rd_lane *lane);
void rd_lane_resume(struct rd_lane *lane);

/* A running read is going to look at the store later: what changes the store waits until it has finished. */
void rd_lane_begin_look(struct rd_lane *lane, struct rd_call *call);

/* A running call has finished: runs what may run now. looked: it had begun a look. */
void rd_lane_leave(struct rd_lane *lane, enum rd_call_mode mode, bool looked);

/* Forgets the waiting calls, which the connection is about to destroy. */
void rd_lane_forget_waiting(struct rd_lane *lane);

/* One use of the store. RD_STORE_NOT_FOUND, RD_UNAVAILABLE. */
enum rd_status rd_lane_use(struct rd_lane *lane, struct rd_stores *stores, struct rd_hosted **ret_hosted,
                           struct rd_error *ret_error) RD_MUST_CHECK;

/* The reference that the lane keeps, looked up where needed; NULL: no such store. */
struct rd_hosted *rd_lane_hosted(struct rd_lane *lane, struct rd_stores *stores);

#endif
