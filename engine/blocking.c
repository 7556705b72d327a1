/* SPDX-License-Identifier: MIT
 *
 * blocking.c - the blocking face: each call submits one operation and sleeps until the writer delivers it.
 */
#include <stdlib.h>

#include "engine/store.h"

#define STREAM_STEP_LEN ((size_t)64 << 10)

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

static void submit_and_wait(struct rd_store *store, struct rd_op *op, struct waiter *waiter,
                            enum rd_status *ret_status)
{
    *ret_status = rd_queue_put(&store->queue, op, true);
    if (*ret_status != RD_OK)
        return;
    rd_store_kick(store);
    pthread_mutex_lock(&waiter->lock);
    while (!waiter->done)
        pthread_cond_wait(&waiter->wake, &waiter->lock);
    pthread_mutex_unlock(&waiter->lock);
}

enum rd_status rd_store_execute(struct rd_store *store, struct rd_op *op)
{
    struct waiter waiter = {
        .sink.deliver = deliver, .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
    op->sink = &waiter.sink;
    /* The operation lies on the stack of a thread that others wait for, or that is the writer for the time. */
    int cancelling;
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancelling);
    enum rd_status status = rd_store_admit(store, op);
    if (status == RD_OK && !rd_writer_commit_here(store, op))
        submit_and_wait(store, op, &waiter, &status);
    pthread_cond_destroy(&waiter.wake);
    pthread_mutex_destroy(&waiter.lock);
    (void)pthread_setcancelstate(cancelling, &cancelling);
    return status == RD_OK ? op->status : status;
}

static enum rd_status execute(struct rd_store *store, struct rd_op *op, struct rd_written *ret_written)
{
    enum rd_status status = rd_store_execute(store, op);
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
    return execute(store, &op, ret_written);
}

enum rd_status rd_store_batch_write(struct rd_store *store, const struct rd_entry *entries, size_t count,
                                    bool allow_null_bytes, struct rd_written *ret_written)
{
    struct rd_op op = {
        .kind = RD_OP_BATCH_WRITE, .entries = entries, .entry_count = count, .allow_null_bytes = allow_null_bytes};
    return execute(store, &op, ret_written);
}

enum rd_status rd_store_delete(struct rd_store *store, struct rd_key key, struct rd_written *ret_written)
{
    struct rd_entry entry = {.key = key};
    struct rd_op op = {.kind = RD_OP_DELETE, .entries = &entry, .entry_count = 1};
    return execute(store, &op, ret_written);
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
    enum rd_status status = execute(store, &op, ret_written);
    free(entries);
    return status;
}

enum rd_status rd_store_rename(struct rd_store *store, struct rd_key from, struct rd_key to,
                               struct rd_written *ret_written)
{
    struct rd_entry entries[2] = {{.key = from}, {.key = to}};
    struct rd_op op = {.kind = RD_OP_RENAME, .entries = entries, .entry_count = 2};
    return execute(store, &op, ret_written);
}

/* ---- streams ------------------------------------------------------------------------------------------ */

static enum rd_status read_all(struct rd_spool *spool, rd_read_fn *read, void *context)
{
    uint8_t *step = malloc(STREAM_STEP_LEN);
    if (step == NULL)
        return RD_NO_MEMORY;
    enum rd_status status = RD_OK;
    int64_t got = 1;
    while (status == RD_OK && got != 0) {
        got = read(context, step, STREAM_STEP_LEN);
        if (got < 0 || got > (int64_t)STREAM_STEP_LEN)
            status = RD_IO_ERROR;
        else
            status = rd_spool_append(spool, rd_slice(step, (size_t)got));
    }
    free(step);
    return status;
}

enum rd_status rd_store_write_stream(struct rd_store *store, struct rd_key key, rd_read_fn *read, void *context,
                                     struct rd_written *ret_written)
{
    struct rd_spool *spool;
    enum rd_status status = rd_spool_create(store, &spool);
    if (status != RD_OK)
        return status;
    status = read_all(spool, read, context);
    if (status == RD_OK) {
        struct rd_entry entry = {.key = key};
        struct rd_op op = {.kind = RD_OP_STREAM,
                           .entries = &entry,
                           .entry_count = 1,
                           .spool = spool,
                           .placement = rd_spool_place(spool, RD_DURABILITY_DEFAULT)};
        status = execute(store, &op, ret_written);
        rd_placement_destroy(op.placement);
    }
    rd_spool_destroy(spool);
    return status;
}

/* ---- between stores ----------------------------------------------------------------------------------- */

/* Appends a verified payload, which is the pinned value's or a copy of it, to the target. placement: NULL: none */
static enum rd_status append_value(const struct rd_value *value, struct rd_slice payload, struct rd_key key,
                                   struct rd_store *target, enum rd_durability durability,
                                   struct rd_placement *placement, struct rd_written *ret_written)
{
    struct rd_entry entry = {.key = key, .payload = payload, .crc32_known = true, .crc32 = value->crc32};
    struct rd_op op = {.kind = RD_OP_WRITE,
                       .durability = durability,
                       .entries = &entry,
                       .entry_count = 1,
                       .placement = placement};
    return execute(target, &op, ret_written);
}

/* The target's writer would copy a short value from the source's map, and zeros where others have cut that file
 * since it was verified. What is copied before it is verified takes no one's place but as it was. */
static enum rd_status append_short(const struct rd_value *value, struct rd_key key, struct rd_store *target,
                                   enum rd_durability durability, struct rd_written *ret_written)
{
    uint8_t *copy = malloc(value->payload.len);
    if (copy == NULL)
        return RD_NO_MEMORY;
    enum rd_status status = rd_value_take(value, copy);
    if (status == RD_OK)
        status =
            append_value(value, rd_slice(copy, value->payload.len), key, target, durability, NULL, ret_written);
    free(copy);
    return status;
}

/* A long one is written from where it lies, and verified again as it is. */
static enum rd_status append_long(const struct rd_value *value, struct rd_key key, struct rd_store *target,
                                  enum rd_durability durability, struct rd_written *ret_written)
{
    struct rd_placement *placement;
    enum rd_status status = rd_value_place(value, target, durability, &placement);
    if (status == RD_OK)
        status = append_value(value, value->payload, key, target, durability, placement, ret_written);
    rd_placement_destroy(placement);
    return status == RD_OK && rd_value_is_lost(value) ? RD_IO_ERROR : status;
}

/* *ret_value is what was copied, to be released; also where that failed, unless it was not found. */
static enum rd_status copy_value(struct rd_store *source, struct rd_key key, struct rd_store *target,
                                 enum rd_durability durability, struct rd_moved *moved, struct rd_value *ret_value)
{
    if (source == target)
        return RD_CONFLICT;
    enum rd_status status = rd_store_find(source, key, ret_value);
    if (status != RD_OK)
        return status;
    return ret_value->payload.len <= RD_VALUE_SHORT_LEN_MAX
               ? append_short(ret_value, key, target, durability, &moved->target)
               : append_long(ret_value, key, target, durability, &moved->target);
}

enum rd_status rd_store_copy(struct rd_store *source, struct rd_key key, struct rd_store *target,
                             struct rd_moved *ret_moved)
{
    struct rd_moved moved = {0};
    struct rd_value value = {.pin = NULL};
    enum rd_status status = copy_value(source, key, target, RD_DURABILITY_DEFAULT, &moved, &value);
    rd_value_release(&value);
    if (status == RD_OK && ret_moved != NULL)
        *ret_moved = moved;
    return status;
}

/* That version. Where it is not what it was, its file is not either. */
static enum rd_status delete_copied(struct rd_store *source, struct rd_key key, const struct rd_value *value,
                                    struct rd_moved *moved)
{
    struct rd_condition version = {.kind = RD_IF_VERSION, .offset = value->offset, .crc32 = value->crc32};
    struct rd_entry entry = {.key = key};
    struct rd_op op = {.kind = RD_OP_DELETE, .condition = version, .entries = &entry, .entry_count = 1};
    enum rd_status status = rd_store_execute(source, &op);
    moved->source_tail = op.tail;
    if (status != RD_PRECONDITION_FAILED)
        return status;
    return rd_value_verify(value) == RD_OK ? RD_CONFLICT : RD_IO_ERROR;
}

enum rd_status rd_store_transfer(struct rd_store *source, struct rd_key key, struct rd_store *target,
                                 struct rd_moved *ret_moved)
{
    struct rd_moved moved = {0};
    struct rd_value value = {.pin = NULL};
    enum rd_status status = rd_store_takes_writes(source); /* before anything is copied */
    if (status == RD_OK)
        status = copy_value(source, key, target, RD_DURABILITY_SYNC, &moved, &value);
    if (status == RD_OK)
        status = delete_copied(source, key, &value, &moved);
    rd_value_release(&value);
    if (status == RD_OK && ret_moved != NULL)
        *ret_moved = moved;
    return status;
}
