/* SPDX-License-Identifier: MIT
 *
 * counter.h - a number that one thread writes and any thread reads, without a locked instruction. Whoever hands
 * the writer's role to another thread orders that by other means (a mutex, say).
 */
#ifndef RD_BASE_COUNTER_H
#define RD_BASE_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

/* Zeroed means 0. */
struct rd_counter {
    atomic_uint_fast64_t value;
};

/* The writer. */
static inline void rd_counter_add(struct rd_counter *counter, uint64_t more)
{
    uint64_t value = atomic_load_explicit(&counter->value, memory_order_relaxed);
    atomic_store_explicit(&counter->value, value + more, memory_order_relaxed);
}

/* The writer; for what goes up and down. */
static inline void rd_counter_sub(struct rd_counter *counter, uint64_t less)
{
    rd_counter_add(counter, 0 - less);
}

static inline uint64_t rd_counter_get(const struct rd_counter *counter)
{
    return atomic_load_explicit(&counter->value, memory_order_relaxed);
}

#endif
