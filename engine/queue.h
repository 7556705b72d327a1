/* SPDX-License-Identifier: MIT
 *
 * queue.h - the bounded queue between submitters and a store's writer thread. One lock, held for a few
 * instructions.
 *
 * The bounds count operations from submit to completion, not only those that still wait.
 */
#ifndef RD_ENGINE_QUEUE_H
#define RD_ENGINE_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct rd_op;

struct rd_queue {
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t work;  /* the writer waits here */
    pthread_cond_t room;  /* blocking submitters wait here */
    struct rd_op *first;
    struct rd_op *last;
    uint64_t count; /* operations waiting or under way */
    uint64_t bytes; /* and what they hold */
    uint64_t count_max;
    uint64_t bytes_max;
    unsigned room_waiters;
    bool writer_sleeps;
    bool nudged;
    bool closing;
};

enum rd_status rd_queue_init(struct rd_queue *queue, uint64_t count_max, uint64_t bytes_max) RD_MUST_CHECK;
void rd_queue_deinit(struct rd_queue *queue);

/* Any thread. What is above them by now goes its way. */
void rd_queue_set_bounds(struct rd_queue *queue, uint64_t count_max, uint64_t bytes_max);

/* Any thread. RD_OVERLOADED where the bounds are reached; with wait_for_room it blocks instead. An operation
 * larger than bytes_max is taken where nothing else is there. */
enum rd_status rd_queue_put(struct rd_queue *queue, struct rd_op *op, bool wait_for_room) RD_MUST_CHECK;
void rd_queue_kick(struct rd_queue *queue);

/* Writer: takes all that waits; waits for it where there is none, until deadline_ms on the monotonic clock (0: for
 * ever). NULL: the deadline has come, or a nudge, or *ret_closing. */
struct rd_op *rd_queue_take(struct rd_queue *queue, uint64_t deadline_ms, bool *ret_closing);

/* A caller that acts as the writer (store.h): counts the operation as under way, without queueing it. False:
 * something is waiting or under way, and must come first. */
bool rd_queue_pass(struct rd_queue *queue, const struct rd_op *op);

/* Has the writer return from rd_queue_take with NULL, to look at its deadline again. */
void rd_queue_nudge(struct rd_queue *queue);

/* Writer: so many operations and bytes are complete. */
void rd_queue_done(struct rd_queue *queue, uint64_t count, uint64_t bytes);

/* The writer is to end once the queue is empty. */
void rd_queue_close(struct rd_queue *queue);

/* Any thread: operations waiting or under way, and what they hold. */
void rd_queue_depth(struct rd_queue *queue, uint64_t *ret_count, uint64_t *ret_bytes);

uint64_t rd_monotonic_ms(void);

/* For measuring how long something takes; deadlines are in milliseconds. */
uint64_t rd_monotonic_ns(void);

#endif
