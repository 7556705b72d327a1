/* SPDX-License-Identifier: MIT
 *
 * mapping.h - a store's file as memory. Read-only; writes go through the descriptor.
 *
 * More address space is mapped than the file has bytes: pages behind the file's end become readable as it grows,
 * so an append needs no new map and pointers stay valid. Only where the file outgrows the address space is a
 * larger mapping made, and the old one lives on until its last pin is gone. Bytes behind the published tail must
 * not be touched; a page of the file that cannot be read reads as zeros (guard.h). Once the store is open, the
 * kernel reads only what is touched, or asked for (residency.h).
 *
 * Pinned by values: the store retires a mapping that it has replaced (epoch.h), and it lives on until no pin is
 * left. Pins are counted where no other thread writes (seat.h), taken and released apart, since a value may be
 * released by another thread than the one that read it. Whether a mapping is pinned is asked rarely, and only once
 * no reader can come to it any more but by sharing a pin that is there. Then it is told rightly by first summing
 * what was released and then what was taken:
 *
 *   Were a pin left, follow whom it was shared from up to the first whose taking the sum has seen; there is one,
 *   since those that were no shares were all taken before the question. With equal sums its release was seen too,
 *   by an acquiring load, and so was all that came before the release, the sharing from it included, by the sum
 *   that came later. So the next one's taking was seen as well: a contradiction.
 *
 * (The same two sums tell the end of a grace period in Linux's sleepable RCU: P. McKenney, kernel/rcu/srcutree.c.)
 */
#ifndef RD_ENGINE_MAPPING_H
#define RD_ENGINE_MAPPING_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "engine/epoch.h"
#include "engine/guard.h"
#include "engine/io.h"
#include "engine/residency.h"
#include "engine/seat.h"

/* Written by the thread whose seat it is; the last one by all that stand. Both only grow. */
struct rd_pins {
    alignas(64) atomic_uint_fast64_t taken;
    atomic_uint_fast64_t released;
};

/* Where values lie that are held (rd_value_hold), by groups of regions: how many, and whether the group's memory
 * is being given back. Others share a place: they stay, too. */
#define RD_HELD_PLACES  256u
#define RD_HELD_LEAVING (1u << 31)

struct rd_mapping {
    const uint8_t *base;
    size_t len;                 /* bytes of address space, at least the file's size */
    const struct rd_io *io;     /* borrows */
    struct rd_guarded *guarded; /* owned */
    struct rd_residency residency;
    dev_t device; /* with inode: the file's */
    ino_t inode;
    atomic_bool direct_tried; /* whoever has set it opens the second descriptor */
    atomic_int direct_fd;     /* owned; -1: there is none, or none yet */
    struct rd_retired retired;
    size_t dropped; /* writer; once it is retired and not pinned: so many bytes have no pages any more */
    atomic_uint held[RD_HELD_PLACES]; /* any thread */
    struct rd_pins pins[RD_SEATS + 1];
};

/* Maps fd with room for at least len bytes and some growth. */
enum rd_status rd_mapping_create(const struct rd_io *io, int fd, uint64_t len, struct rd_mapping **ret_mapping,
                                 struct rd_error *ret_error) RD_MUST_CHECK;

/* Not pinned, and nobody can come to it. NULL is fine. */
void rd_mapping_destroy(struct rd_mapping *mapping);

/* Whether values hold it. To be believed once nobody can come to it any more. */
bool rd_mapping_is_pinned(const struct rd_mapping *mapping);

/* Has it destroyed, bit by bit, once no reader and no pin holds it. The writer; the store leads to it no more. */
void rd_mapping_retire(struct rd_mapping *mapping, struct rd_epoch *epoch);

/* Whether one that was retired is not destroyed yet. The writer. */
bool rd_mapping_any_retired(const struct rd_epoch *epoch);

/* Whether some page of it could not be read, so that zeros are there now. */
static inline bool rd_mapping_faulted(const struct rd_mapping *mapping)
{
    return rd_guard_faulted(mapping->guarded);
}

/* Whether nothing of it is to be read any more: too many pages of such maps could not be. */
static inline bool rd_mapping_is_spent(const struct rd_mapping *mapping)
{
    return rd_guard_is_spent(mapping->guarded);
}

/* A descriptor of its file by which reads go past the page cache (direct.h), opened when it is first asked for;
 * borrowed. -1: there is none; the file at `path` may be another by now. Any thread; the map is pinned. */
int rd_mapping_direct_fd(struct rd_mapping *mapping, const char *path);

/* Of a part of the map that is pinned. Any thread; for as many times as it was held it is to be let go. False:
 * some of it may be leaving memory at this moment. True: what is there from now on stays. */
bool rd_mapping_hold(struct rd_mapping *mapping, uint64_t begin, uint64_t end);
void rd_mapping_let_go(struct rd_mapping *mapping, uint64_t begin, uint64_t end);

/* Around the taking away of what is in the group of regions at `offset`, one thread at a time. False: something
 * there may be held. */
bool rd_mapping_begin_leaving(struct rd_mapping *mapping, uint64_t offset);
void rd_mapping_end_leaving(struct rd_mapping *mapping, uint64_t offset);

/* seat: the caller's (rd_epoch_enter's place or rd_seat()). Inside the epoch, or of a value that is pinned. */
static inline void rd_mapping_pin(struct rd_mapping *mapping, unsigned seat, uint64_t count)
{
    if (__builtin_expect(seat >= RD_SEATS, 0)) {
        atomic_fetch_add_explicit(&mapping->pins[RD_SEATS].taken, count, memory_order_relaxed);
        return;
    }
    atomic_uint_fast64_t *taken = &mapping->pins[seat].taken;
    atomic_store_explicit(taken, atomic_load_explicit(taken, memory_order_relaxed) + count, memory_order_relaxed);
}

/* Any thread. mapping NULL is fine. */
static inline void rd_mapping_unpin(struct rd_mapping *mapping, uint64_t count)
{
    if (mapping == NULL)
        return;
    unsigned seat = rd_seat();
    atomic_uint_fast64_t *released = &mapping->pins[seat].released;
    if (__builtin_expect(seat >= RD_SEATS, 0))
        atomic_fetch_add_explicit(released, count, memory_order_release);
    else
        atomic_store_explicit(released, atomic_load_explicit(released, memory_order_relaxed) + count,
                              memory_order_release);
}

#endif
