/* SPDX-License-Identifier: MIT
 *
 * mapping.h - a store's file as memory. Read-only; writes go through the descriptor.
 *
 * More address space is mapped than the file has bytes: pages behind the file's end become readable as it grows,
 * so an append needs no new map and pointers stay valid. Only where the file outgrows the address space is a
 * larger mapping made, and the old one lives on until its last pin is gone. Bytes behind the published tail must
 * not be touched; a page of the file that cannot be read reads as zeros (guard.h).
 *
 * Reference-counted: the store holds one reference, each pinned value one. Any thread.
 */
#ifndef RD_ENGINE_MAPPING_H
#define RD_ENGINE_MAPPING_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "engine/epoch.h"
#include "engine/guard.h"
#include "engine/io.h"

struct rd_mapping {
    const uint8_t *base;
    size_t len;                 /* bytes of address space, at least the file's size */
    const struct rd_io *io;     /* borrows */
    struct rd_guarded *guarded; /* owned */
    atomic_uint_fast64_t refs;
    struct rd_retired retired; /* the store's reference, given back when no reader can be about to pin */
};

/* Maps fd with room for at least len bytes and some growth. The caller owns the one reference. */
enum rd_status rd_mapping_create(const struct rd_io *io, int fd, uint64_t len, struct rd_mapping **ret_mapping,
                                 struct rd_error *ret_error) RD_MUST_CHECK;

/* Whether some page of it could not be read, so that zeros are there now. */
static inline bool rd_mapping_faulted(const struct rd_mapping *mapping)
{
    return rd_guard_faulted(mapping->guarded);
}

void rd_mapping_ref(struct rd_mapping *mapping, uint64_t count);
void rd_mapping_unref(struct rd_mapping *mapping, uint64_t count);

#endif
