/* SPDX-License-Identifier: MIT
 *
 * random.h - splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014): one
 * addition and three mixing steps a number, and any seed is a good one. Not for secrets.
 */
#ifndef RD_CLIENTS_BENCH_RANDOM_H
#define RD_CLIENTS_BENCH_RANDOM_H

#include <stdint.h>

struct rd_random {
    uint64_t state; /* the seed at first */
};

static inline uint64_t rd_random_next(struct rd_random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* Below `bound`, which is not 0. The upper half of a product in place of a division; what that favours is less
 * than bound / 2^64. */
static inline uint64_t rd_random_below(struct rd_random *random, uint64_t bound)
{
    __extension__ typedef unsigned __int128 wide;
    return (uint64_t)((wide)rd_random_next(random) * bound >> 64);
}

/* From 0 up to, not including, 1. */
static inline double rd_random_unit(struct rd_random *random)
{
    return (double)(rd_random_next(random) >> 11) * 0x1p-53;
}

#endif
