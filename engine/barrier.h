/* SPDX-License-Identifier: MIT
 *
 * barrier.h - a memory barrier whose cost lies on one side alone. Two threads that each store to a place of their
 * own and then look at the other's must not both find the old value there; that takes a full barrier between store
 * and load on both sides. Here one side (readers, many times a second) keeps only the compiler from reordering,
 * and the other (the writer, when it has something to free) has the kernel run a full barrier on every thread of
 * the process that is running: membarrier(2), MEMBARRIER_CMD_PRIVATE_EXPEDITED.
 *
 * Why it is enough: the kernel's barrier falls somewhere into each reader's sequence of instructions. A reader's
 * store before it is visible to the writer once rd_barrier_run has returned; a reader's load behind it sees what
 * the writer stored before it called. A thread that is not running has passed a barrier when it was switched out.
 * (M. Desnoyers et al., "User-level implementations of read-copy update", IEEE TPDS 23(2), 2012, section on
 * sys_membarrier; the same as liburcu's and folly's asymmetric fences.)
 *
 * Where the kernel does not have it, and under ThreadSanitizer, which does not know it, readers store with
 * memory_order_seq_cst, which orders the store before later seq_cst loads by the language's own rules.
 *
 * Why readers should have no barrier: on x86 it is a locked instruction, and behind one no load begins before all
 * that came earlier is done, so the cache misses of one read never overlap with those of the next.
 */
#ifndef RD_ENGINE_BARRIER_H
#define RD_ENGINE_BARRIER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

extern bool rd_barrier_is_remote; /* constant from the first rd_barrier_prepare on: the kernel runs barriers */

/* Before any other call of this file, as often as one likes. Any thread. */
void rd_barrier_prepare(void);

/* The cheap side: no seq_cst load that follows on this thread is done before the store is there for the other
 * side to see. */
static inline void rd_barrier_store(atomic_uint_fast64_t *place, uint64_t value)
{
    if (rd_barrier_is_remote) {
        atomic_store_explicit(place, value, memory_order_relaxed);
        atomic_signal_fence(memory_order_seq_cst);
    } else {
        atomic_store_explicit(place, value, memory_order_seq_cst);
    }
}

/* The dear side, some microseconds: between seq_cst stores and seq_cst loads of this thread. False where the
 * kernel has refused: then nothing is known of what other threads have stored. */
bool rd_barrier_run(void);

#endif
