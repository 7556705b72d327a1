/* SPDX-License-Identifier: MIT
 *
 * process.h - what all loops share beside the stores: a few facts, the two budgets that bound the daemon's memory
 * and spool space as a whole, and counts of what was refused or given up because of a limit.
 *
 * Any thread.
 */
#ifndef RD_SERVER_PROCESS_H
#define RD_SERVER_PROCESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct rd_loop;

/* So many bytes may be in use at a time. */
struct rd_budget {
    atomic_uint_fast64_t used;
    atomic_uint_fast64_t max; /* a reload changes it; what is in use above it goes as it would have gone */
};

/* False: less than `rest` would be left, and nothing was taken. */
static inline bool rd_budget_take_leaving(struct rd_budget *budget, uint64_t len, uint64_t rest)
{
    uint64_t used = atomic_fetch_add_explicit(&budget->used, len, memory_order_relaxed) + len;
    if (used + rest <= atomic_load_explicit(&budget->max, memory_order_relaxed))
        return true;
    atomic_fetch_sub_explicit(&budget->used, len, memory_order_relaxed);
    return false;
}

/* False: it would be more than there may be, and nothing was taken. */
static inline bool rd_budget_take(struct rd_budget *budget, uint64_t len)
{
    return rd_budget_take_leaving(budget, len, 0);
}

static inline void rd_budget_give(struct rd_budget *budget, uint64_t len)
{
    atomic_fetch_sub_explicit(&budget->used, len, memory_order_relaxed);
}

/* Where the caller's share was `before`, it is `now`: whatever the budget. */
static inline void rd_budget_adjust(struct rd_budget *budget, uint64_t before, uint64_t now)
{
    atomic_fetch_add_explicit(&budget->used, now - before, memory_order_relaxed); /* wraps where it falls */
}

/* Less than `rest` is left. */
static inline bool rd_budget_leaves_less(const struct rd_budget *budget, uint64_t rest)
{
    return atomic_load_explicit(&budget->used, memory_order_relaxed) + rest >
           atomic_load_explicit(&budget->max, memory_order_relaxed);
}

static inline bool rd_budget_is_full(const struct rd_budget *budget)
{
    return atomic_load_explicit(&budget->used, memory_order_relaxed) >=
           atomic_load_explicit(&budget->max, memory_order_relaxed);
}

/* What a limit has stood against. */
enum rd_refusal {
    RD_REFUSED_CONNECTION, /* connections_max */
    RD_REFUSED_DESCRIPTOR, /* no descriptor was left for a connection */
    RD_REFUSED_TOO_LARGE,  /* a request, key, value, batch or head */
    RD_REFUSED_MEMORY,     /* request_bytes_max */
    RD_REFUSED_QUEUE,      /* a store's store_bytes_max or store_requests_max */
    RD_REFUSED_SPOOL,      /* spool_bytes_max */
    RD_ENDED_HEADER,       /* header_timeout_ms */
    RD_ENDED_RATE,         /* rate_min */
    RD_ENDED_STALL,        /* stall_timeout_ms */
    RD_ENDED_IDLE,         /* idle_timeout_ms */
    RD_REFUSAL_COUNT
};

/* "connection", "descriptor" ... as metrics call them. */
const char *rd_refusal_name(enum rd_refusal refusal);

struct rd_process {
    atomic_uint_fast64_t connection_serial; /* of the connection that was opened last */
    atomic_uint_fast64_t saved_s;           /* since 1970: the last sync that was asked for; at first the start */
    uint64_t memory_bytes;                  /* that the process may use; never changes */
    uint64_t started_s;                     /* since 1970; never changes */
    struct rd_budget memory;                /* of requests, from their first byte to their answer's encoding */
    struct rd_budget spools;                /* of uploads that are beside their stores */
    atomic_uint_fast64_t refusals[RD_REFUSAL_COUNT];
    atomic_uint connections_max;   /* of all loops; a reload changes it */
    atomic_uint scrapes;           /* metrics that are being put together or wait to be sent */
    atomic_uint_fast64_t brief_ms; /* uv_now, when a loop gave the last brief answer; 0: never */
    atomic_bool resting;           /* a thread does: courtesy.h */
    const struct rd_loop *loops;   /* borrows; all of them; never changes */
    unsigned loop_count;           /* never changes */
};

/* now_ms: uv_now. Written once a millisecond, not with each answer: all loops look at it. */
static inline void rd_process_note_brief(struct rd_process *process, uint64_t now_ms)
{
    if (atomic_load_explicit(&process->brief_ms, memory_order_relaxed) != now_ms)
        atomic_store_explicit(&process->brief_ms, now_ms, memory_order_relaxed);
}

static inline void rd_process_note(struct rd_process *process, enum rd_refusal refusal)
{
    atomic_fetch_add_explicit(&process->refusals[refusal], 1, memory_order_relaxed);
}

#endif
