/* SPDX-License-Identifier: MIT */
#include "engine/mapping.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

/* 10,000 stores of this size fit into a 47-bit address space a dozen times over. */
#define LEN_MIN (UINT64_C(1) << 30)
#define GROWTH  4u

enum rd_status rd_mapping_create(const struct rd_io *io, int fd, uint64_t len, struct rd_mapping **ret_mapping,
                                 struct rd_error *ret_error)
{
    uint64_t room = LEN_MIN;
    while (room < len)
        room *= GROWTH;
    struct rd_mapping *mapping = calloc(1, sizeof *mapping);
    if (mapping == NULL)
        return rd_error_set(ret_error, RD_NO_MEMORY, ENOMEM, "cannot map the store");
    void *base = io->mmap(io->self, room, fd);
    if (base == MAP_FAILED && room > len) {
        room = len; /* little address space: as much as there is now */
        base = room == 0 ? MAP_FAILED : io->mmap(io->self, room, fd);
    }
    if (base == MAP_FAILED) {
        free(mapping);
        return rd_error_set(ret_error, RD_NO_MEMORY, errno, "cannot map %llu bytes of the store",
                            (unsigned long long)room);
    }
    mapping->guarded = rd_guard_add(base, room);
    if (mapping->guarded == NULL) {
        io->munmap(io->self, base, room);
        free(mapping);
        return rd_error_set(ret_error, RD_NO_MEMORY, ENOMEM, "cannot map the store");
    }
    mapping->base = base;
    mapping->len = room;
    mapping->io = io;
    atomic_init(&mapping->refs, 1);
    *ret_mapping = mapping;
    return RD_OK;
}

void rd_mapping_ref(struct rd_mapping *mapping, uint64_t count)
{
    atomic_fetch_add_explicit(&mapping->refs, count, memory_order_relaxed);
}

void rd_mapping_unref(struct rd_mapping *mapping, uint64_t count)
{
    if (mapping == NULL || count == 0)
        return;
    uint_fast64_t before = atomic_fetch_sub_explicit(&mapping->refs, count, memory_order_acq_rel);
    assert(before >= count);
    if (before != count)
        return;
    union {
        const void *readable;
        void *address;
    } base = {.readable = mapping->base};
    rd_guard_remove(mapping->guarded);
    mapping->io->munmap(mapping->io->self, base.address, mapping->len);
    free(mapping);
}
