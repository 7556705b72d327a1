/* SPDX-License-Identifier: MIT
 *
 * load.c - fills the index of a store that is being opened, by walking its chain from the newest entry to the
 * oldest.
 *
 * The first entry met for a key is its latest. A tombstone takes the key's place in the index like a value, so
 * that older values find it taken, and is removed at the end.
 *
 * Where the index was read from a checkpoint, the entries above it are collected downward and then applied upward,
 * as the writer did.
 */
#include <stdlib.h>

#include "engine/record.h"
#include "engine/store.h"

#define SAMPLE_COUNT 65536u /* newest entries by which the index is sized */
#define BLOCK_COUNT  64u    /* entries whose index slots are prefetched together */

struct tombstones {
    uint64_t *hashes; /* owned */
    size_t count;
    size_t capacity;
};

static bool remember(struct tombstones *tombstones, uint64_t key_hash)
{
    if (tombstones->count == tombstones->capacity) {
        size_t capacity = tombstones->capacity == 0 ? 64 : tombstones->capacity * 2;
        uint64_t *hashes = realloc(tombstones->hashes, capacity * sizeof *hashes);
        if (hashes == NULL)
            return false;
        tombstones->hashes = hashes;
        tombstones->capacity = capacity;
    }
    tombstones->hashes[tombstones->count++] = key_hash;
    return true;
}

static enum rd_status add_record(struct rd_store *store, const uint8_t *file, const struct rd_record *record,
                                 struct tombstones *tombstones, uint64_t *live_bytes)
{
    uint64_t key_hash = record->trailer.key_hash;
    if (key_hash == RD_RESERVED_KEY_HASH)
        return RD_OK; /* the engine's own entry */
    if (rd_index_lookup(rd_writer_index(store), file, key_hash) != 0)
        return RD_OK;
    bool lost = false;
    rd_index_begin(rd_writer_index(store));
    enum rd_status status = rd_index_reserve(rd_writer_index(store), file, key_hash, &lost);
    if (status != RD_OK)
        return status;
    rd_index_put(rd_writer_index(store), file, key_hash, record->trailer_offset);
    if (!record->tombstone)
        *live_bytes += record->payload_len + RD_TRAILER_LEN;
    else if (!remember(tombstones, key_hash))
        return RD_NO_MEMORY;
    return RD_OK;
}

/* Reads the next entries down from *end. Fewer than BLOCK_COUNT: the chain has ended. */
static unsigned read_block(const struct rd_store *store, const uint8_t *file, uint64_t *end,
                           struct rd_record *records)
{
    unsigned count = 0;
    while (count < BLOCK_COUNT && *end != 0 && rd_record_parse(file, *end, &records[count])) {
        *end = rd_store_chain_next(store, records[count].trailer.prev_tail);
        rd_index_prefetch(rd_writer_index(store), records[count].trailer.key_hash);
        count++;
    }
    return count;
}

/* What has been loaded so far. */
struct load {
    struct tombstones tombstones;
    uint64_t live_bytes;
    uint64_t records;
    uint64_t end; /* the next entry ends here; 0: all is loaded */
};

/* From load->end down; stops after record_max records. */
static enum rd_status load_some(struct rd_store *store, const uint8_t *file, struct load *load,
                                uint64_t record_max)
{
    struct rd_record records[BLOCK_COUNT];
    enum rd_status status = RD_OK;
    unsigned count = BLOCK_COUNT;
    while (status == RD_OK && count == BLOCK_COUNT && load->records < record_max) {
        count = read_block(store, file, &load->end, records);
        for (unsigned i = 0; status == RD_OK && i < count; i++)
            status = add_record(store, file, &records[i], &load->tombstones, &load->live_bytes);
        load->records += count;
        rd_epoch_collect(&store->epoch);
    }
    return status;
}

/* Entries of the whole chain. The companion says how many end at or below the tail that it recorded; those above
 * are counted, as all are where there is none: recovery has just been over them for much longer. */
static uint64_t count_entries(const struct rd_store *store, const uint8_t *file, uint64_t tail)
{
    const struct rd_meta *meta = &store->meta;
    uint64_t count = 0;
    uint64_t end = tail;
    struct rd_record record;
    while (end > meta->durable_tail && rd_record_parse(file, end, &record)) {
        end = rd_store_chain_next(store, record.trailer.prev_tail);
        count++;
    }
    return end == meta->durable_tail ? count + meta->entry_count : count;
}

/* Keys that the whole chain may hold, judged by how many of its newest entries' keys differ. By how long these are
 * one cannot judge: below a few short ones there may lie nothing but long ones. */
static uint64_t estimate_keys(const struct rd_store *store, const uint8_t *file, const struct load *load,
                              uint64_t tail)
{
    uint64_t distinct = atomic_load_explicit(&rd_writer_index(store)->count, memory_order_relaxed);
    return count_entries(store, file, tail) * distinct / load->records;
}

/* Growing step by step reads each trailer again for every doubling: a large index is made in its size at once, and
 * the sample that told the size is loaded anew. */
static enum rd_status presize(struct rd_store *store, const uint8_t *file, struct load *load, uint64_t tail)
{
    uint64_t expected = load->end == 0 ? 0 : estimate_keys(store, file, load, tail);
    if (expected < 2 * SAMPLE_COUNT)
        return RD_OK;
    rd_epoch_drain(&store->epoch);
    rd_index_deinit(rd_writer_index(store));
    free(load->tombstones.hashes);
    *load = (struct load){.end = tail};
    return rd_index_init(rd_writer_index(store), &store->epoch, expected);
}

static enum rd_status load_all(struct rd_store *store, const uint8_t *file, uint64_t tail)
{
    struct load load = {.end = tail};
    enum rd_status status = load_some(store, file, &load, SAMPLE_COUNT);
    if (status == RD_OK && load.records >= SAMPLE_COUNT)
        status = presize(store, file, &load, tail);
    if (status == RD_OK)
        status = load_some(store, file, &load, UINT64_MAX);
    if (status == RD_OK && load.end != 0)
        status = RD_CORRUPT;
    for (size_t i = 0; status == RD_OK && i < load.tombstones.count; i++)
        rd_index_remove(rd_writer_index(store), file, load.tombstones.hashes[i]);
    free(load.tombstones.hashes);
    store->entry_count = load.records;
    atomic_store_explicit(&store->live_bytes, load.live_bytes, memory_order_relaxed);
    return status;
}

/* ---- above a checkpoint ------------------------------------------------------------------------------- */

/* The ends of entries, from the newest to the oldest. */
struct ends {
    uint64_t *items; /* owned */
    size_t count;
    size_t capacity;
};

static bool add_end(struct ends *ends, uint64_t end)
{
    if (ends->count == ends->capacity) {
        size_t capacity = ends->capacity == 0 ? 1024 : ends->capacity * 2;
        uint64_t *items = realloc(ends->items, capacity * sizeof *items);
        if (items == NULL)
            return false;
        ends->items = items;
        ends->capacity = capacity;
    }
    ends->items[ends->count++] = end;
    return true;
}

static enum rd_status collect_above(const uint8_t *file, uint64_t tail, uint64_t begin, struct ends *ends)
{
    struct rd_record record;
    while (tail > begin && rd_record_parse(file, tail, &record)) {
        if (!add_end(ends, tail))
            return RD_NO_MEMORY;
        tail = record.trailer.prev_tail;
    }
    return tail == begin ? RD_OK : RD_CORRUPT;
}

/* Not for a key that is there: growing may read many trailers, and the disk with them. */
static enum rd_status make_room(struct rd_store *store, const uint8_t *file, uint64_t key_hash)
{
    bool lost = false;
    if (rd_index_lookup(rd_writer_index(store), file, key_hash) != 0)
        return RD_OK;
    rd_index_begin(rd_writer_index(store));
    return rd_index_reserve(rd_writer_index(store), file, key_hash, &lost);
}

static enum rd_status apply(struct rd_store *store, const uint8_t *file, const struct rd_record *record,
                            uint64_t *live_bytes)
{
    uint64_t key_hash = record->trailer.key_hash;
    if (key_hash == RD_RESERVED_KEY_HASH)
        return RD_OK; /* the engine's own entry */
    uint64_t old;
    if (record->tombstone) {
        old = rd_index_remove(rd_writer_index(store), file, key_hash);
    } else {
        enum rd_status status = make_room(store, file, key_hash);
        if (status != RD_OK)
            return status;
        old = rd_index_put(rd_writer_index(store), file, key_hash, record->trailer_offset);
        *live_bytes += record->payload_len + RD_TRAILER_LEN;
    }
    if (old != 0)
        *live_bytes -= rd_store_entry_bytes(file, old);
    return RD_OK;
}

static enum rd_status apply_all(struct rd_store *store, const uint8_t *file, const struct ends *ends,
                                uint64_t *live_bytes)
{
    enum rd_status status = RD_OK;
    for (size_t left = ends->count; status == RD_OK && left != 0; left--) {
        struct rd_record record;
        if (left > BLOCK_COUNT)
            rd_index_prefetch(rd_writer_index(store),
                              rd_load_u64le(file + ends->items[left - 1 - BLOCK_COUNT] - RD_TRAILER_LEN));
        status = rd_record_parse(file, ends->items[left - 1], &record) ? apply(store, file, &record, live_bytes)
                                                                       : RD_CORRUPT;
        rd_epoch_collect(&store->epoch);
    }
    return status;
}

static enum rd_status load_above(struct rd_store *store, const uint8_t *file, uint64_t tail)
{
    const struct rd_checkpoint *checkpoint = &store->checkpoint;
    struct ends ends = {.count = 0};
    uint64_t live_bytes = checkpoint->live_bytes;
    enum rd_status status = collect_above(file, tail, checkpoint->tail, &ends);
    if (status == RD_OK)
        status = apply_all(store, file, &ends, &live_bytes);
    store->entry_count = checkpoint->entry_count + ends.count;
    atomic_store_explicit(&store->live_bytes, live_bytes, memory_order_relaxed);
    free(ends.items);
    return status;
}

enum rd_status rd_store_load(struct rd_store *store, uint64_t tail)
{
    const uint8_t *file = rd_writer_mapping(store)->base;
    enum rd_status status = store->checkpoint.tail != 0 ? load_above(store, file, tail) : RD_CORRUPT;
    if (status != RD_OK) {
        rd_epoch_drain(&store->epoch);
        rd_index_deinit(rd_writer_index(store));
        store->checkpoint.tail = 0;
        status = rd_index_init(rd_writer_index(store), &store->epoch, 0);
        if (status == RD_OK)
            status = load_all(store, file, tail);
    }
    atomic_store_explicit(&rd_writer_view(store)->tail, tail, memory_order_release);
    return status;
}
