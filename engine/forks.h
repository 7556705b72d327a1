/* SPDX-License-Identifier: MIT
 *
 * forks.h - whether this process is the one that opened a store. A child by fork has copies of the store's memory,
 * its descriptors, and none of its threads: what it wrote would go where the parent writes.
 */
#ifndef RD_ENGINE_FORKS_H
#define RD_ENGINE_FORKS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

extern atomic_uint_fast32_t rd_forks_now; /* this file's and forks.c's */

/* Before a number is kept. False: forks cannot be told of. Any thread. */
bool rd_forks_prepare(void);

/* Forks that lie between this process and the first that called rd_forks_prepare: another number in each child
 * than in its parent. */
static inline uint32_t rd_forks(void)
{
    return (uint32_t)atomic_load_explicit(&rd_forks_now, memory_order_relaxed);
}

#endif
