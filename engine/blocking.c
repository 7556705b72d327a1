/* SPDX-License-Identifier: MIT
 *
 * blocking.c - the blocking face: each call submits one operation and sleeps until the writer delivers it.
 */
#include <stdlib.h>

#include "engine/store.h"

struct waiter {
    struct rd_sink sink;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool done; /* guarded by lock */
};

static void deliver(struct rd_sink *sink, struct rd_op *first, struct rd_op *last)
{
    struct waiter *waiter = (struct waiter *)sink; /* its first member */
    (void)first;
    (void)last;
    pthread_mutex_lock(&waiter->lock);
    waiter->done = true;
    pthread_cond_signal(&waiter->wake); /* under the lock: afterwards the waiter may be gone */
    pthread_mutex_unlock(&waiter->lock);
}

static enum rd_status submit_and_wait(struct rd_store *store, struct rd_op *op, struct rd_written *ret_written)
{
    struct waiter waiter = {
        .sink.deliver = deliver, .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
    op->sink = &waiter.sink;
    enum rd_status status = rd_store_enqueue(store, op, true);
    if (status == RD_OK) {
        rd_store_kick(store);
        pthread_mutex_lock(&waiter.lock);
        while (!waiter.done)
            pthread_cond_wait(&waiter.wake, &waiter.lock);
        pthread_mutex_unlock(&waiter.lock);
        status = op->status;
    }
    pthread_cond_destroy(&waiter.wake);
    pthread_mutex_destroy(&waiter.lock);
    if (status == RD_OK && ret_written != NULL)
        *ret_written = (struct rd_written){.offset = op->offset,
                                           .tail = op->tail,
                                           .count = op->count,
                                           .crc32 = op->crc32,
                                           .replaced = op->replaced};
    return status;
}

enum rd_status rd_store_write(struct rd_store *store, struct rd_key key, struct rd_slice payload,
                              struct rd_written *ret_written)
{
    struct rd_entry entry = {.key = key, .payload = payload};
    struct rd_op op = {.kind = RD_OP_WRITE, .entries = &entry, .entry_count = 1};
    return submit_and_wait(store, &op, ret_written);
}

enum rd_status rd_store_batch_write(struct rd_store *store, const struct rd_entry *entries, size_t count,
                                    bool allow_null_bytes, struct rd_written *ret_written)
{
    struct rd_op op = {
        .kind = RD_OP_BATCH_WRITE, .entries = entries, .entry_count = count, .allow_null_bytes = allow_null_bytes};
    return submit_and_wait(store, &op, ret_written);
}

enum rd_status rd_store_delete(struct rd_store *store, struct rd_key key, struct rd_written *ret_written)
{
    struct rd_entry entry = {.key = key};
    struct rd_op op = {.kind = RD_OP_DELETE, .entries = &entry, .entry_count = 1};
    return submit_and_wait(store, &op, ret_written);
}

enum rd_status rd_store_batch_delete(struct rd_store *store, const struct rd_key *keys, size_t count,
                                     struct rd_written *ret_written)
{
    struct rd_entry *entries = calloc(count == 0 ? 1 : count, sizeof *entries);
    if (entries == NULL)
        return RD_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        entries[i].key = keys[i];
    struct rd_op op = {.kind = RD_OP_BATCH_DELETE, .entries = entries, .entry_count = count};
    enum rd_status status = submit_and_wait(store, &op, ret_written);
    free(entries);
    return status;
}
