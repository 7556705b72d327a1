/* SPDX-License-Identifier: MIT */
#include "engine/mapping.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/regions.h"

/* 10,000 stores of this size fit into a 47-bit address space a dozen times over. */
#define LEN_MIN (UINT64_C(1) << 30)
#define GROWTH  4u

/* Giving up the pages of a whole map takes 30 to 50 ms a GiB, which a write would wait for. */
#define DROPPED_AT_ONCE ((size_t)8 << 20)

enum rd_status rd_mapping_create(const struct rd_io *io, int fd, uint64_t len, struct rd_mapping **ret_mapping,
                                 struct rd_error *ret_error)
{
    uint64_t room = LEN_MIN;
    while (room < len)
        room *= GROWTH;
    struct rd_mapping *mapping = aligned_alloc(alignof(struct rd_mapping), sizeof *mapping);
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
    memset((void *)mapping, 0, sizeof *mapping);
    atomic_init(&mapping->direct_fd, -1);
    struct stat file;
    if (io->fstat(io->self, fd, &file) == 0) { /* else it is no file that could be opened again */
        mapping->device = file.st_dev;
        mapping->inode = file.st_ino;
    }
    mapping->guarded = rd_guard_add(base, room);
    if (mapping->guarded == NULL || !rd_residency_init(&mapping->residency, base, room)) {
        rd_guard_remove(mapping->guarded);
        io->munmap(io->self, base, room);
        free(mapping);
        return rd_error_set(ret_error, RD_NO_MEMORY, ENOMEM, "cannot map the store");
    }
    mapping->base = base;
    mapping->len = room;
    mapping->io = io;
    *ret_mapping = mapping;
    return RD_OK;
}

/* In this order; see mapping.h. */
bool rd_mapping_is_pinned(const struct rd_mapping *mapping)
{
    uint64_t released = 0;
    uint64_t taken = 0;
    for (unsigned seat = 0; seat <= RD_SEATS; seat++)
        released += atomic_load_explicit(&mapping->pins[seat].released, memory_order_acquire);
    for (unsigned seat = 0; seat <= RD_SEATS; seat++)
        taken += atomic_load_explicit(&mapping->pins[seat].taken, memory_order_acquire);
    return taken != released;
}

/* How many places from the first one on: each once at most. */
static unsigned places_of(uint64_t begin, uint64_t end, unsigned *ret_first)
{
    uint64_t count = (end - 1) / RD_REGION_GROUP_LEN - begin / RD_REGION_GROUP_LEN + 1;
    *ret_first = (unsigned)(begin / RD_REGION_GROUP_LEN % RD_HELD_PLACES);
    return count < RD_HELD_PLACES ? (unsigned)count : RD_HELD_PLACES;
}

/* Whoever comes behind the end of a leaving sees what was forgotten by it. */
bool rd_mapping_hold(struct rd_mapping *mapping, uint64_t begin, uint64_t end)
{
    unsigned first;
    unsigned count = places_of(begin, end, &first);
    unsigned before = 0;
    for (unsigned i = 0; i < count; i++)
        before |= atomic_fetch_add_explicit(&mapping->held[(first + i) % RD_HELD_PLACES], 1, memory_order_acquire);
    return (before & RD_HELD_LEAVING) == 0;
}

void rd_mapping_let_go(struct rd_mapping *mapping, uint64_t begin, uint64_t end)
{
    unsigned first;
    unsigned count = places_of(begin, end, &first);
    for (unsigned i = 0; i < count; i++)
        atomic_fetch_sub_explicit(&mapping->held[(first + i) % RD_HELD_PLACES], 1, memory_order_relaxed);
}

static atomic_uint *place_at(struct rd_mapping *mapping, uint64_t offset)
{
    return &mapping->held[offset / RD_REGION_GROUP_LEN % RD_HELD_PLACES];
}

bool rd_mapping_begin_leaving(struct rd_mapping *mapping, uint64_t offset)
{
    unsigned held = 0;
    return atomic_compare_exchange_strong_explicit(place_at(mapping, offset), &held, RD_HELD_LEAVING,
                                                   memory_order_relaxed, memory_order_relaxed);
}

void rd_mapping_end_leaving(struct rd_mapping *mapping, uint64_t offset)
{
    atomic_fetch_and_explicit(place_at(mapping, offset), ~RD_HELD_LEAVING, memory_order_release);
}

static bool is_file_of(const struct rd_mapping *mapping, int fd)
{
    struct stat file;
    return mapping->io->fstat(mapping->io->self, fd, &file) == 0 && file.st_dev == mapping->device &&
           file.st_ino == mapping->inode;
}

int rd_mapping_direct_fd(struct rd_mapping *mapping, const char *path)
{
    const struct rd_io *io = mapping->io;
    if (atomic_exchange_explicit(&mapping->direct_tried, true, memory_order_relaxed))
        return atomic_load_explicit(&mapping->direct_fd, memory_order_acquire);
    int fd = io->open(io->self, path, O_RDONLY | O_DIRECT | O_NONBLOCK | O_CLOEXEC, 0);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) {
        atomic_store_explicit(&mapping->direct_tried, false, memory_order_relaxed); /* there may be one later */
        return -1;
    }
    if (fd >= 0 && !is_file_of(mapping, fd)) {
        io->close(io->self, fd);
        fd = -1;
    }
    atomic_store_explicit(&mapping->direct_fd, fd, memory_order_release);
    return fd;
}

void rd_mapping_destroy(struct rd_mapping *mapping)
{
    if (mapping == NULL)
        return;
    assert(!rd_mapping_is_pinned(mapping)); /* values are released before their store is closed */
    union {
        const void *readable;
        void *address;
    } base = {.readable = mapping->base};
    int direct_fd = atomic_load_explicit(&mapping->direct_fd, memory_order_acquire);
    if (direct_fd >= 0)
        mapping->io->close(mapping->io->self, direct_fd);
    rd_guard_remove(mapping->guarded);
    rd_residency_deinit(&mapping->residency);
    mapping->io->munmap(mapping->io->self, base.address, mapping->len);
    free(mapping);
}

/* Gives up some more of its pages. False: there are none left. */
static bool drop_more(struct rd_mapping *mapping)
{
    size_t left = mapping->len - mapping->dropped;
    if (left == 0)
        return false;
    union {
        const void *readable;
        void *address;
    } from = {.readable = mapping->base + mapping->dropped};
    size_t len = left < DROPPED_AT_ONCE ? left : DROPPED_AT_ONCE;
    (void)madvise(from.address, len, MADV_DONTNEED); /* where it fails, destroying takes longer */
    rd_residency_drop(&mapping->residency, mapping->dropped, len);
    mapping->dropped += len;
    return true;
}

static bool destroy_unpinned(struct rd_retired *retired)
{
    struct rd_mapping *mapping = (struct rd_mapping *)((char *)retired - offsetof(struct rd_mapping, retired));
    if (rd_mapping_is_pinned(mapping) || drop_more(mapping))
        return false;
    rd_mapping_destroy(mapping);
    return true;
}

void rd_mapping_retire(struct rd_mapping *mapping, struct rd_epoch *epoch)
{
    rd_epoch_retire(epoch, &mapping->retired, destroy_unpinned);
}

bool rd_mapping_any_retired(const struct rd_epoch *epoch)
{
    const struct rd_retired *retired = epoch->oldest;
    while (retired != NULL && retired->destroy != destroy_unpinned)
        retired = retired->next;
    return retired != NULL;
}
