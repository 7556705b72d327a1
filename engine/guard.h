/* SPDX-License-Identifier: MIT
 *
 * guard.h - what happens when a page of a store's map cannot be read: the file was cut by others, or the disk
 * fails. The kernel then sends SIGBUS to the thread that touched it.
 *
 * The handler looks whether the address lies in a registered map; if so it puts a page of zeros there and notes
 * the fault, and the thread goes on. It reads zeros, which match no checksum and no key hash, and whoever finds
 * such a mismatch asks rd_guard_faulted before calling it damage: then it is RD_IO_ERROR. Any other address,
 * and a signal that was sent, gets what SIGBUS did before.
 *
 * A page of zeros by itself splits the map, and a process may have some 65,000 maps: one that has no more of them
 * can allocate no memory and start no thread, and the next such page ends it. So when many are there, maps that
 * have faulted are not to be read from any more (rd_guard_is_spent).
 *
 * Registering: any thread, under a lock of its own. The handler takes no lock and allocates nothing; the places of
 * the registry are never freed.
 */
#ifndef RD_ENGINE_GUARD_H
#define RD_ENGINE_GUARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

/* One map. begin is 0 while the place is free. */
struct rd_guarded {
    atomic_uintptr_t begin;
    atomic_uintptr_t end;
    atomic_uint faults;    /* pages of it that could not be read, since it was added */
    atomic_uint islands;   /* of these, that lay beside none that was met just before */
    atomic_uintptr_t last; /* the page that was met last; 0: none */
};

#define RD_GUARD_ISLANDS_MAX 8192u /* each is two maps more */

extern atomic_uint rd_guard_islands; /* of all maps; guard.c's */

/* NULL: no memory. */
struct rd_guarded *rd_guard_add(const void *base, size_t len);

/* Before the map goes. NULL is fine. */
void rd_guard_remove(struct rd_guarded *guarded);

static inline unsigned rd_guard_faults(const struct rd_guarded *guarded)
{
    return atomic_load_explicit(&guarded->faults, memory_order_acquire);
}

/* Whether nothing of it is to be touched any more. Any thread; costs a load where all is well. */
static inline bool rd_guard_is_spent(const struct rd_guarded *guarded)
{
    return RD_UNLIKELY(atomic_load_explicit(&rd_guard_islands, memory_order_relaxed) >= RD_GUARD_ISLANDS_MAX) &&
           rd_guard_faults(guarded) != 0;
}

/* Whether a page of it could not be read since it was added. */
static inline bool rd_guard_faulted(const struct rd_guarded *guarded)
{
    return rd_guard_faults(guarded) != 0;
}

#endif
