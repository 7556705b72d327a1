/* SPDX-License-Identifier: MIT
 *
 * placing.c - long values that are there already are copied into the store's file ahead of its tail (ahead.h).
 */
#include <errno.h>
#include <stdlib.h>

#include "engine/ahead.h"
#include "engine/direct.h"
#include "engine/record.h"
#include "engine/spool.h"
#include "engine/store.h"
#include "engine/writeback.h"

/* buffer: for what goes past the page cache, or NULL. */
static int copy_slice(struct rd_datafile *file, struct rd_slice payload, const struct rd_spool *spool, uint64_t at,
                      uint64_t len, uint64_t offset, uint8_t *buffer)
{
    if (spool != NULL)
        return rd_spool_copy(spool, at, len, file, offset, buffer);
    rd_residency_advise(payload.data + at, len); /* it may come from a store, and not be in memory */
    return rd_datafile_write_slice(file, offset, rd_slice(payload.data + at, len));
}

/* What was copied last took step_ns. There is no time to rest where short writes might reach the region before it
 * is full, or another long value that is on its way find it taken. */
static void rest(const struct rd_placement *placement, uint64_t step_ns)
{
    struct rd_store *store = placement->store;
    unsigned own = placement->spooled ? 1 : 0;
    bool alone = atomic_load_explicit(&store->long_spools, memory_order_relaxed) <= own;
    if (store->rest != NULL && alone && rd_store_file_size(store) < placement->hurried_from)
        store->rest(store->rest_context, step_ns);
}

/* At `offset`, of a value that memory cannot hold: to where whole blocks of the file end. */
static uint64_t short_step(uint64_t slice_len, uint64_t offset)
{
    uint64_t len = slice_len < RD_DIRECT_LEN ? slice_len : RD_DIRECT_LEN;
    uint64_t beyond = (offset + len) % RD_DIRECT_BLOCK_LEN;
    return beyond < len ? len - beyond : len;
}

/* value: what the payload is of, or NULL. Others may cut its file, and what is left of a page then reads as zeros:
 * each slice goes into its checksum once it has been copied. What is there then was there before. */
static int copy(struct rd_placement *placement, struct rd_datafile *file, struct rd_slice payload,
                struct rd_spool *spool, const struct rd_value *value)
{
    struct rd_store *store = placement->store;
    int failed = 0;
    uint32_t crc = 0;
    bool exceeds = rd_placement_exceeds_memory(placement);
    bool direct = spool != NULL && exceeds;
    uint8_t *buffer = direct ? rd_direct_take(store->memory_bytes) : NULL;
    struct rd_writeback writeback = rd_placement_writeback(placement);
    uint64_t len;
    for (uint64_t done = 0; failed == 0 && done < payload.len; done += len) {
        uint64_t begun_ns = rd_monotonic_ns();
        uint64_t offset = placement->begin + done;
        uint64_t step = exceeds ? short_step(store->ahead.slice_len, offset) : store->ahead.slice_len;
        len = payload.len - done < step ? payload.len - done : step;
        if (!rd_placement_enter(placement)) {
            failed = ECANCELED;
            break;
        }
        failed = copy_slice(file, payload, spool, done, len, offset, buffer);
        if (failed == 0)
            failed = rd_writeback_pace(&writeback, file, offset + len);
        rd_placement_leave(placement, failed != 0, 0, 0);
        if (failed == 0 && value != NULL)
            crc = rd_crc32(crc, rd_slice(payload.data + done, (size_t)len));
        if (failed == 0 && exceeds && done + len < payload.len)
            rest(placement, rd_monotonic_ns() - begun_ns);
    }
    rd_direct_give(buffer);
    if (failed == 0 && spool != NULL)
        failed = rd_spool_check(spool);
    return failed == 0 && value != NULL && crc != value->crc32 ? EFAULT : failed;
}

static int copy_and_sync(struct rd_placement *placement, struct rd_slice payload, struct rd_spool *spool,
                         const struct rd_value *value)
{
    const struct rd_io *io = placement->store->io;
    struct rd_datafile file = {.io = io, .fd = rd_placement_open(placement)};
    if (file.fd < 0)
        return EIO;
    int failed = copy(placement, &file, payload, spool, value);
    if (failed == 0 && placement->synced)
        failed = rd_datafile_sync(&file);
    io->close(io->self, file.fd);
    return failed;
}

static struct rd_placement *place(struct rd_store *store, struct rd_slice payload, struct rd_spool *spool,
                                  const struct rd_value *value, enum rd_durability durability)
{
    if (payload.len < store->ahead.placed_len_min)
        return NULL;
    struct rd_placement *placement = rd_placement_reserve(store, payload.len, durability, false);
    if (placement == NULL)
        return NULL;
    placement->spooled = spool != NULL;
    if (copy_and_sync(placement, payload, spool, value) == 0 && rd_placement_finish(placement))
        return placement;
    rd_placement_destroy(placement);
    return NULL;
}

struct rd_placement *rd_store_place(struct rd_store *store, struct rd_slice payload, enum rd_durability durability)
{
    return place(store, payload, NULL, NULL, durability);
}

enum rd_status rd_value_place(const struct rd_value *value, struct rd_store *store, enum rd_durability durability,
                              struct rd_placement **ret_placement)
{
    *ret_placement = place(store, value->payload, NULL, value, durability);
    return *ret_placement != NULL ? RD_OK : rd_value_verify(value);
}

struct rd_placement *rd_spool_place(struct rd_spool *spool, enum rd_durability durability)
{
    if (spool->own.fd < 0 || rd_spool_complete(spool) != RD_OK)
        return NULL;
    struct rd_placement *landed = spool->landing != NULL ? rd_spool_land(spool) : NULL;
    if (landed != NULL || spool->failed)
        return landed;
    return place(spool->store, rd_slice(NULL, spool->len), spool, NULL, durability);
}
