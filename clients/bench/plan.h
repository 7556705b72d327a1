/* SPDX-License-Identifier: MIT
 *
 * plan.h - what a run is to do: the command line, checked and in numbers. Plain data, not changed by the run.
 */
#ifndef RD_CLIENTS_BENCH_PLAN_H
#define RD_CLIENTS_BENCH_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/message.h"

enum rd_plan_op { RD_PLAN_PUT, RD_PLAN_GET, RD_PLAN_MIXED, RD_PLAN_BATCH_PUT, RD_PLAN_BATCH_GET };

struct rd_plan {
    enum rd_plan_op op;
    const char *store; /* borrows; never NULL */
    const char *token; /* borrows; shown to the server; NULL: none. Not on the command line */
    uint32_t client_count;
    uint32_t depth;       /* requests of one connection that are under way at most */
    size_t value_len;     /* bytes */
    bool value_len_given; /* what is read must have this length too */
    uint64_t key_count;   /* keys are those below it */
    uint32_t batch_count; /* entries of one request; 1 but for batches */
    uint64_t request_max; /* requests to send; UINT64_MAX: as many as there is time for */
    double seconds;       /* how long requests are sent; 0: until request_max */
    double rate;          /* requests a second; 0: each as soon as there is room for it */
    double read_ratio;    /* mixed */
    enum rd_message_durability durability;
    uint64_t seed;
};

static inline bool rd_plan_reads(const struct rd_plan *plan)
{
    return plan->op == RD_PLAN_GET || plan->op == RD_PLAN_MIXED || plan->op == RD_PLAN_BATCH_GET;
}

static inline bool rd_plan_writes(const struct rd_plan *plan)
{
    return plan->op == RD_PLAN_PUT || plan->op == RD_PLAN_MIXED || plan->op == RD_PLAN_BATCH_PUT;
}

static inline bool rd_plan_batches(const struct rd_plan *plan)
{
    return plan->op == RD_PLAN_BATCH_PUT || plan->op == RD_PLAN_BATCH_GET;
}

#endif
