/* SPDX-License-Identifier: MIT */
#include "engine/publish.h"

#include "engine/record.h"
#include "engine/store.h"

static void count_group(struct rd_store *store, const struct rd_plan *plan)
{
    struct rd_store_counts *counts = &store->counts;
    rd_distribution_add(&counts->group_operations, RD_DISTRIBUTION_COUNT, plan->step_count);
    rd_counter_add(&counts->appended_bytes, plan->tail - rd_writer_tail(store));
}

/* The entry with that trailer lives no longer. Returns its bytes, 0 where they cannot be told. */
static uint64_t bury(struct rd_store *store, uint64_t trailer_offset)
{
    uint64_t bytes = rd_trailers_entry_bytes(&store->writer.plan.trailers, trailer_offset);
    if (bytes == 0)
        bytes = rd_store_entry_bytes(rd_writer_mapping(store)->base, trailer_offset);
    uint64_t end = trailer_offset + RD_TRAILER_LEN;
    if (bytes != 0)
        rd_regions_remove(&store->discard.regions, end - bytes, end);
    return bytes;
}

/* Returns by how many bytes more keys live. */
RD_ALWAYS_INLINE int64_t publish_entry(struct rd_store *store, const struct rd_plan_entry *entry)
{
    struct rd_index *index = rd_writer_index(store);
    const uint8_t *file = rd_writer_mapping(store)->base;
    uint64_t trailer_offset = entry->payload_offset + entry->payload.len;
    int64_t grown = entry->tombstone ? 0 : (int64_t)(entry->payload.len + RD_TRAILER_LEN);
    if (!entry->tombstone)
        rd_regions_add(&store->discard.regions, entry->payload_offset, trailer_offset + RD_TRAILER_LEN);
    uint64_t old = 0;
    if (!entry->in_index && !entry->tombstone)
        rd_index_add(index, entry->key_hash, entry->place, trailer_offset);
    else if (!entry->tombstone)
        old = rd_index_replace(index, file, entry->key_hash, entry->place, trailer_offset);
    else if (entry->in_index)
        old = rd_index_remove(index, file, entry->key_hash);
    return old == 0 ? grown : grown - (int64_t)bury(store, old);
}

/* The trailer that the entry's key has had, which its slot leads to. */
RD_ALWAYS_INLINE void prefetch_buried(const struct rd_store *store, const struct rd_plan_entry *entry)
{
    if (!entry->in_index || entry->place == 0)
        return;
    uint64_t slot = atomic_load_explicit(rd_slot_at(entry->place), memory_order_relaxed);
    __builtin_prefetch(rd_writer_mapping(store)->base + rd_slot_offset(slot));
}

static int64_t publish_entries(struct rd_store *store, const struct rd_plan *plan)
{
    enum { AHEAD = 16, BURIED_AHEAD = 8 };
    struct rd_index *index = rd_writer_index(store);
    int64_t grown = 0;
    for (uint32_t i = 0; i < plan->entry_count; i++) {
        if (i + AHEAD < plan->entry_count)
            rd_index_prefetch_place(index, plan->entries[i + AHEAD].key_hash, plan->entries[i + AHEAD].place);
        if (i + BURIED_AHEAD < plan->entry_count)
            prefetch_buried(store, &plan->entries[i + BURIED_AHEAD]);
        if (!plan->entries[i].superseded)
            grown += publish_entry(store, &plan->entries[i]);
    }
    return grown;
}

void rd_publish(struct rd_store *store, const struct rd_plan *plan)
{
    count_group(store, plan);
    uint64_t live_bytes = atomic_load_explicit(&store->live_bytes, memory_order_relaxed);
    uint64_t publication = atomic_load_explicit(&store->publications, memory_order_relaxed);
    pthread_mutex_lock(&store->publish_lock);
    atomic_store_explicit(&store->publications, publication + 1, memory_order_seq_cst);
    live_bytes += (uint64_t)publish_entries(store, plan);
    store->entry_count += plan->entry_count;
    atomic_store_explicit(&store->live_bytes, live_bytes, memory_order_relaxed);
    atomic_store_explicit(&store->file_size, store->file.size, memory_order_relaxed);
    atomic_store_explicit(&rd_writer_view(store)->tail, plan->tail, memory_order_release);
    atomic_store_explicit(&store->publications, publication + 2, memory_order_seq_cst);
    pthread_mutex_unlock(&store->publish_lock);
    /* To collect is to wait for every processor that runs a thread of this process, and one on which memory is
     * being made ready may be held by the machine under it, for 10 ms at a time. What was outgrown stays until
     * then. */
    if (!rd_spare_is_being_made(&rd_writer_index(store)->slab.spare))
        rd_epoch_collect(&store->epoch);
}
