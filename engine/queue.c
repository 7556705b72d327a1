/* SPDX-License-Identifier: MIT */
#include "engine/queue.h"

#include <time.h>

#include "engine/engine.h"

enum rd_status rd_queue_init(struct rd_queue *queue, uint64_t count_max, uint64_t bytes_max)
{
    *queue = (struct rd_queue){.count_max = count_max, .bytes_max = bytes_max};
    pthread_condattr_t monotonic;
    if (pthread_condattr_init(&monotonic) != 0)
        return RD_NO_MEMORY;
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    int failed = pthread_mutex_init(&queue->lock, NULL);
    if (failed == 0 && (failed = pthread_cond_init(&queue->work, &monotonic)) != 0)
        pthread_mutex_destroy(&queue->lock);
    if (failed == 0 && (failed = pthread_cond_init(&queue->room, NULL)) != 0) {
        pthread_cond_destroy(&queue->work);
        pthread_mutex_destroy(&queue->lock);
    }
    pthread_condattr_destroy(&monotonic);
    return failed == 0 ? RD_OK : RD_NO_MEMORY;
}

void rd_queue_deinit(struct rd_queue *queue)
{
    pthread_cond_destroy(&queue->room);
    pthread_cond_destroy(&queue->work);
    pthread_mutex_destroy(&queue->lock);
}

void rd_queue_set_bounds(struct rd_queue *queue, uint64_t count_max, uint64_t bytes_max)
{
    pthread_mutex_lock(&queue->lock);
    queue->count_max = count_max;
    queue->bytes_max = bytes_max;
    pthread_mutex_unlock(&queue->lock);
    pthread_cond_broadcast(&queue->room);
}

static bool has_room(const struct rd_queue *queue, uint64_t bytes)
{
    if (queue->count == 0)
        return true;
    return queue->count < queue->count_max && queue->bytes + bytes <= queue->bytes_max;
}

enum rd_status rd_queue_put(struct rd_queue *queue, struct rd_op *op, bool wait_for_room)
{
    pthread_mutex_lock(&queue->lock);
    queue->room_waiters++;
    while (wait_for_room && !has_room(queue, op->queued_bytes))
        pthread_cond_wait(&queue->room, &queue->lock);
    queue->room_waiters--;
    bool taken = has_room(queue, op->queued_bytes);
    if (taken) {
        op->next = NULL;
        if (queue->last == NULL)
            queue->first = op;
        else
            queue->last->next = op;
        queue->last = op;
        queue->count++;
        queue->bytes += op->queued_bytes;
    }
    pthread_mutex_unlock(&queue->lock);
    return taken ? RD_OK : RD_OVERLOADED;
}

void rd_queue_kick(struct rd_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    bool wake = queue->writer_sleeps && queue->first != NULL;
    if (wake)
        queue->writer_sleeps = false; /* one wake-up is enough */
    pthread_mutex_unlock(&queue->lock);
    if (wake)
        pthread_cond_signal(&queue->work);
}

struct rd_op *rd_queue_take(struct rd_queue *queue, uint64_t deadline_ms, bool *ret_closing)
{
    struct timespec deadline = {.tv_sec = (time_t)(deadline_ms / 1000),
                                .tv_nsec = (long)(deadline_ms % 1000) * 1000000};
    pthread_mutex_lock(&queue->lock);
    int timed_out = 0;
    while (queue->first == NULL && !queue->closing && !queue->nudged && timed_out == 0) {
        queue->writer_sleeps = true;
        if (deadline_ms == 0)
            pthread_cond_wait(&queue->work, &queue->lock);
        else
            timed_out = pthread_cond_timedwait(&queue->work, &queue->lock, &deadline);
    }
    queue->writer_sleeps = false;
    queue->nudged = false;
    struct rd_op *first = queue->first;
    queue->first = NULL;
    queue->last = NULL;
    *ret_closing = queue->closing;
    pthread_mutex_unlock(&queue->lock);
    return first;
}

bool rd_queue_pass(struct rd_queue *queue, const struct rd_op *op)
{
    pthread_mutex_lock(&queue->lock);
    bool passes = queue->count == 0 && !queue->closing;
    if (passes) {
        queue->count = 1;
        queue->bytes += op->queued_bytes;
    }
    pthread_mutex_unlock(&queue->lock);
    return passes;
}

void rd_queue_nudge(struct rd_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->nudged = true;
    pthread_mutex_unlock(&queue->lock);
    pthread_cond_signal(&queue->work);
}

void rd_queue_done(struct rd_queue *queue, uint64_t count, uint64_t bytes)
{
    pthread_mutex_lock(&queue->lock);
    queue->count -= count;
    queue->bytes -= bytes;
    bool wake = queue->room_waiters != 0;
    pthread_mutex_unlock(&queue->lock);
    if (wake)
        pthread_cond_broadcast(&queue->room);
}

void rd_queue_close(struct rd_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closing = true;
    pthread_mutex_unlock(&queue->lock);
    pthread_cond_signal(&queue->work);
}

void rd_queue_depth(struct rd_queue *queue, uint64_t *ret_count, uint64_t *ret_bytes)
{
    pthread_mutex_lock(&queue->lock);
    *ret_count = queue->count;
    *ret_bytes = queue->bytes;
    pthread_mutex_unlock(&queue->lock);
}

uint64_t rd_monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t rd_monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}
