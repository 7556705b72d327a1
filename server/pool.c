/* SPDX-License-Identifier: MIT */
#include "server/pool.h"

#include <pthread.h>
#include <stdlib.h>

#define THREADS_MAX       8u
#define STORE_THREADS_MAX 6u /* at work for one store */

struct rd_pool {
    pthread_mutex_t lock; /* guards all below, and every queue */
    pthread_cond_t work;
    struct rd_pool_queue *first; /* stores that have a job which may be taken, in the order of their turns */
    struct rd_pool_queue *last;
    pthread_t threads[THREADS_MAX];
    unsigned thread_count;
    unsigned idle;   /* threads, those among them that have been woken included */
    unsigned queued; /* jobs */
    bool ending;
};

/* ---- whose turn it is; the lock is held --------------------------------------------------------------- */

static void give_turn(struct rd_pool *pool, struct rd_pool_queue *queue)
{
    unsigned running_max = queue->running_max != 0 ? queue->running_max : STORE_THREADS_MAX;
    if (queue->in_turn || queue->first == NULL || queue->running >= running_max)
        return;
    queue->in_turn = true;
    queue->next = NULL;
    if (pool->last == NULL)
        pool->first = queue;
    else
        pool->last->next = queue;
    pool->last = queue;
    pthread_cond_signal(&pool->work);
}

/* The oldest job of the first store, which then goes to the end. */
static struct rd_job *take(struct rd_pool *pool)
{
    struct rd_pool_queue *queue = pool->first;
    pool->first = queue->next;
    if (pool->first == NULL)
        pool->last = NULL;
    queue->in_turn = false;
    struct rd_job *job = queue->first;
    queue->first = job->next;
    if (queue->first == NULL)
        queue->last = NULL;
    queue->running++;
    pool->queued--;
    give_turn(pool, queue);
    return job;
}

/* ---- threads ------------------------------------------------------------------------------------------ */

/* The wake is sent under the lock: a loop that has taken a job thereby knows that the thread is done with the
 * port. */
static void deliver(struct rd_job *job)
{
    struct rd_pool_port *port = job->port;
    job->next = NULL;
    uv_mutex_lock(&port->lock);
    if (port->first == NULL) {
        port->first = job;
        uv_async_send(&port->wake);
    } else {
        port->last->next = job;
    }
    port->last = job;
    uv_mutex_unlock(&port->lock);
}

static void *run(void *context)
{
    struct rd_pool *pool = context;
    pthread_mutex_lock(&pool->lock);
    while (!pool->ending || pool->first != NULL) {
        if (pool->first == NULL) {
            pool->idle++;
            pthread_cond_wait(&pool->work, &pool->lock);
            pool->idle--;
            continue;
        }
        struct rd_job *job = take(pool);
        struct rd_pool_queue *queue = job->queue;
        bool comes_back = job->done != NULL; /* else there may be no job any more once its work is done */
        pthread_mutex_unlock(&pool->lock);
        job->work(job);
        pthread_mutex_lock(&pool->lock);
        queue->running--;
        give_turn(pool, queue);
        pthread_mutex_unlock(&pool->lock);
        if (comes_back)
            deliver(job); /* the queue may be gone from now on */
        pthread_mutex_lock(&pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Starts one more where no other is free for a further job. False: there is no thread at all. */
static bool have_thread(struct rd_pool *pool, struct rd_affinity *affinity)
{
    if (pool->idle <= pool->queued && pool->thread_count < THREADS_MAX) {
        pthread_t *thread = &pool->threads[pool->thread_count];
        rd_affinity_before_thread(affinity);
        if (pthread_create(thread, NULL, run, pool) == 0) {
            pthread_setname_np(*thread, "rdrived-read");
            pool->thread_count++;
        }
    }
    return pool->thread_count != 0;
}

bool rd_pool_submit(struct rd_pool *pool, struct rd_job *job)
{
    struct rd_pool_queue *queue = job->queue;
    pthread_mutex_lock(&pool->lock);
    bool taken = have_thread(pool, job->port->affinity);
    if (taken) {
        job->next = NULL;
        if (queue->last == NULL)
            queue->first = job;
        else
            queue->last->next = job;
        queue->last = job;
        pool->queued++;
        give_turn(pool, queue);
    }
    pthread_mutex_unlock(&pool->lock);
    return taken;
}

void rd_pool_depth(struct rd_pool *pool, unsigned *ret_queued, unsigned *ret_running)
{
    pthread_mutex_lock(&pool->lock);
    *ret_queued = pool->queued;
    *ret_running = pool->thread_count - pool->idle;
    pthread_mutex_unlock(&pool->lock);
}

enum rd_status rd_pool_create(struct rd_pool **ret_pool)
{
    struct rd_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL)
        return RD_NO_MEMORY;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    *ret_pool = pool;
    return RD_OK;
}

void rd_pool_destroy(struct rd_pool *pool)
{
    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->ending = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->thread_count; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

/* ---- ports -------------------------------------------------------------------------------------------- */

static void on_wake(uv_async_t *wake)
{
    struct rd_pool_port *port = wake->data;
    uv_mutex_lock(&port->lock);
    struct rd_job *job = port->first;
    port->first = NULL;
    port->last = NULL;
    uv_mutex_unlock(&port->lock);
    while (job != NULL) {
        struct rd_job *next = job->next; /* done may free or submit it again */
        job->done(job);
        job = next;
    }
}

enum rd_status rd_pool_port_init(struct rd_pool_port *port, uv_loop_t *loop)
{
    *port = (struct rd_pool_port){.first = NULL};
    if (uv_mutex_init(&port->lock) != 0)
        return RD_NO_MEMORY;
    if (uv_async_init(loop, &port->wake, on_wake) != 0) {
        uv_mutex_destroy(&port->lock);
        return RD_IO_ERROR;
    }
    port->wake.data = port;
    return RD_OK;
}

void rd_pool_port_close(struct rd_pool_port *port)
{
    uv_close((uv_handle_t *)&port->wake, NULL);
}

void rd_pool_port_deinit(struct rd_pool_port *port)
{
    uv_mutex_destroy(&port->lock);
}
