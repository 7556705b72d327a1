/* SPDX-License-Identifier: MIT
 *
 * compactor.h - compacts stores beside everything else, on a thread of its own: those that it is asked to, and
 * those of which too much is dead. One at a time, since all stores lie in one folder and so on one disk; at a rate
 * that leaves the disk to others.
 *
 * It gives up, between two steps, where the daemon stops, or the store is withdrawn to be reopened or dropped. Not
 * where the one who asked has gone: what is copied by then would be copied again.
 */
#ifndef RD_SERVER_COMPACTOR_H
#define RD_SERVER_COMPACTOR_H

#include "base/status.h"
#include "engine/engine.h"

struct rd_compactor;
struct rd_hosted;
struct rd_stores;

struct rd_compactor_tuning {
    uint64_t rate;         /* bytes copied in a second; 0: as many as there can be */
    uint64_t dead_percent; /* of a file, that have it compacted unasked; 0: none is */
};

/* Owned by the caller, who leaves it alone from submit until the op is delivered. Zero it first. */
struct rd_compactor_job {
    struct rd_hosted *hosted; /* in use until then */
    struct rd_op *op;         /* delivered to its sink when it is over ... */
    bool in_background;       /* ... or as soon as it has begun: how it ends is in the log */

    /* set then; the result where it is over */
    struct rd_error error;      /* status RD_OK: */
    struct rd_compacted result; /* this is what was done */
};

/* stores: borrows. */
enum rd_status rd_compactor_create(struct rd_stores *stores, struct rd_compactor_tuning tuning,
                                   struct rd_compactor **ret_compactor) RD_MUST_CHECK;

/* Any thread. Holds from the next step on. */
void rd_compactor_tune(struct rd_compactor *compactor, struct rd_compactor_tuning tuning);

/* Any thread. RD_OVERLOADED: a store is being compacted. RD_UNAVAILABLE: the daemon stops. */
enum rd_status rd_compactor_submit(struct rd_compactor *compactor, struct rd_compactor_job *job) RD_MUST_CHECK;

/* Any thread. What is under way ends soon, and nothing begins. */
void rd_compactor_stop(struct rd_compactor *compactor);

/* Blocks until its thread has ended. Before the stores are closed. NULL is fine. */
void rd_compactor_destroy(struct rd_compactor *compactor);

#endif
