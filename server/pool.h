/* SPDX-License-Identifier: MIT
 *
 * pool.h - threads for reads that wait for the disk, or verify much, so that loops need not. Jobs are short: each
 * brings one request's values into memory, or verifies them. What takes long (spooling, verifying a store, opening
 * one) is libuv's pool's.
 *
 * Fair between stores: jobs are queued by store, a thread takes the next one of the store whose turn it is, and
 * one store never has all threads. Long bodies, whose parsing takes a second and more, have a queue of their own,
 * of which fewer run at a time.
 *
 *    loop                                   thread of the pool                        loop
 *    rd_pool_submit --> its store's queue --> job->work --> the port of the job's loop --> job->done
 *
 * Threads are started as they are needed, and stay. Not a part of the engine, since which thread does what is the
 * server's business.
 */
#ifndef RD_SERVER_POOL_H
#define RD_SERVER_POOL_H

#include <stdbool.h>
#include <uv.h>

#include "base/status.h"
#include "server/affinity.h"

struct rd_pool;
struct rd_job;

/* Where jobs that are done come back to a loop. */
struct rd_pool_port {
    uv_async_t wake;
    uv_mutex_t lock;      /* guards first and last, and orders a delivery's wake before its being taken */
    struct rd_job *first; /* oldest */
    struct rd_job *last;
    struct rd_affinity *affinity; /* borrows; of the loop, whose thread submits; NULL: it is never held */
};

/* The jobs of one store, or of one kind; zeroed at first, but for running_max. Lives as long as any of them. The
 * pool's. */
struct rd_pool_queue {
    struct rd_pool_queue *next; /* whose turn comes after */
    struct rd_job *first;
    struct rd_job *last;
    unsigned running;
    unsigned running_max; /* 0: as many as may run for one store */
    bool in_turn;         /* in the pool's list */
};

/* Owned by the caller, who leaves it alone from submit until done is called; without done, work's. */
struct rd_job {
    void (*work)(struct rd_job *job); /* on a thread of the pool; may wait */
    void (*done)(struct rd_job *job); /* on the loop of the port; NULL: work has freed the job, or keeps it */
    struct rd_pool_port *port;        /* borrows */
    struct rd_pool_queue *queue;      /* borrows, until done */
    struct rd_job *next;              /* the pool's */
};

enum rd_status rd_pool_create(struct rd_pool **ret_pool) RD_MUST_CHECK;

/* When no job is queued or running but such as have no done, which are waited for. NULL is fine. */
void rd_pool_destroy(struct rd_pool *pool);

/* The loop's thread. False: no thread could be started to take it, and it is the caller's again. */
bool rd_pool_submit(struct rd_pool *pool, struct rd_job *job) RD_MUST_CHECK;

/* Any thread: jobs that wait for a thread, and threads at work. */
void rd_pool_depth(struct rd_pool *pool, unsigned *ret_queued, unsigned *ret_running);

/* As of a bridge: initialised before the loop runs; closed on the loop when no job is out; then deinitialised when
 * the loop has ended. */
enum rd_status rd_pool_port_init(struct rd_pool_port *port, uv_loop_t *loop) RD_MUST_CHECK;
void rd_pool_port_close(struct rd_pool_port *port);
void rd_pool_port_deinit(struct rd_pool_port *port);

#endif
