/* SPDX-License-Identifier: MIT
 *
 * distribution.h - how often values of which size have occurred, in buckets that double. One thread writes, any
 * thread takes a copy (counter.h).
 *
 * Bucket i counts the values up to and including 2^(first_bit + i) that no bucket before it does, the last one all
 * that are larger: exactly what a cumulative histogram with powers of two for bounds wants.
 */
#ifndef RD_BASE_DISTRIBUTION_H
#define RD_BASE_DISTRIBUTION_H

#include "base/counter.h"

#define RD_DISTRIBUTION_BUCKETS 24u /* the last one has no bound */

/* Bounds of the kinds that there are. */
#define RD_DISTRIBUTION_NS    12u /* nanoseconds: 4.1 us to 17 s */
#define RD_DISTRIBUTION_COUNT 0u  /* things: 1 to 4 million */

/* Zeroed means empty. */
struct rd_distribution {
    struct rd_counter counts[RD_DISTRIBUTION_BUCKETS];
    struct rd_counter sum;
};

/* A copy that stays as it is, or the sum of several. */
struct rd_distribution_copy {
    uint64_t counts[RD_DISTRIBUTION_BUCKETS];
    uint64_t sum;
};

static inline unsigned rd_distribution_bucket(uint64_t value, unsigned first_bit)
{
    uint64_t above = (value - (value != 0)) >> first_bit; /* 0: value <= 2^first_bit */
    unsigned bucket = above == 0 ? 0 : 64u - (unsigned)__builtin_clzll(above);
    return bucket < RD_DISTRIBUTION_BUCKETS ? bucket : RD_DISTRIBUTION_BUCKETS - 1;
}

/* The writer. */
static inline void rd_distribution_add(struct rd_distribution *distribution, unsigned first_bit, uint64_t value)
{
    rd_counter_add(&distribution->counts[rd_distribution_bucket(value, first_bit)], 1);
    rd_counter_add(&distribution->sum, value);
}

/* Adds what there is by now to a copy. */
static inline void rd_distribution_read(const struct rd_distribution *distribution,
                                        struct rd_distribution_copy *sum)
{
    for (unsigned i = 0; i < RD_DISTRIBUTION_BUCKETS; i++)
        sum->counts[i] += rd_counter_get(&distribution->counts[i]);
    sum->sum += rd_counter_get(&distribution->sum);
}

#endif
