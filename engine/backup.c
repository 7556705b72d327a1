/* SPDX-License-Identifier: MIT
 *
 * backup.c - the file as a whole, pinned like a value. What is above the synced tail is left out: a power cut may
 * take it away, and other bytes of the same generation may come to stand there.
 */
#include "engine/store.h"

void rd_store_backup(struct rd_store *store, struct rd_backup *ret_backup)
{
    unsigned place = rd_epoch_enter();
    pthread_mutex_lock(&store->publish_lock); /* generation, tail and mapping are of one publication */
    const struct rd_view *view = rd_reader_view(store);
    uint64_t tail = atomic_load_explicit(&view->tail, memory_order_acquire);
    uint64_t synced_tail = atomic_load_explicit(&store->syncer.synced_tail, memory_order_acquire);
    struct rd_mapping *mapping = rd_view_mapping(view);
    uint64_t generation = view->generation;
    rd_mapping_pin(mapping, place, 1);
    pthread_mutex_unlock(&store->publish_lock);
    rd_epoch_exit(place);
    *ret_backup = (struct rd_backup){
        .value = {.payload = rd_slice(mapping->base, (size_t)(synced_tail < tail ? synced_tail : tail)),
                  .pin = mapping},
        .generation = generation,
    };
}

bool rd_value_is_lost(const struct rd_value *value)
{
    return value->pin != NULL && rd_mapping_faulted(value->pin);
}
