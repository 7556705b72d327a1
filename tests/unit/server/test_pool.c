/* SPDX-License-Identifier: MIT
 *
 * The pool of threads for reads that wait: every job comes back to its loop once, and no store has all threads.
 */
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "server/pool.h"

#define JOB_COUNT 500u

struct scene {
    uv_loop_t loop;
    struct rd_pool *pool;
    struct rd_pool_port port;
    struct rd_pool_queue queues[3];
    unsigned left; /* jobs that are not done */
};

struct task {
    struct rd_job job;
    struct scene *scene;
    sem_t *started; /* posted when work begins; NULL: not */
    sem_t *gate;    /* waited for in work; NULL: not */
    pthread_t worker;
    unsigned worked;
    unsigned done;
};

static void scene_begin(struct scene *scene)
{
    *scene = (struct scene){.left = 0};
    assert_int_equal(uv_loop_init(&scene->loop), 0);
    assert_int_equal(rd_pool_create(&scene->pool), RD_OK);
    assert_int_equal(rd_pool_port_init(&scene->port, &scene->loop), RD_OK);
}

static void scene_end(struct scene *scene)
{
    uv_run(&scene->loop, UV_RUN_DEFAULT);
    assert_int_equal(scene->left, 0);
    rd_pool_destroy(scene->pool);
    assert_int_equal(uv_loop_close(&scene->loop), 0);
    rd_pool_port_deinit(&scene->port);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(scene->queues[i].running, 0);
}

static void work(struct rd_job *job)
{
    struct task *task = (struct task *)(void *)job;
    if (task->started != NULL)
        sem_post(task->started);
    if (task->gate != NULL)
        while (sem_wait(task->gate) != 0)
            continue;
    task->worker = pthread_self();
    task->worked++;
}

static void done(struct rd_job *job)
{
    struct task *task = (struct task *)(void *)job;
    task->done++;
    assert_int_equal(task->worked, task->done);
    assert_false(pthread_equal(task->worker, pthread_self()));
    if (--task->scene->left == 0)
        rd_pool_port_close(&task->scene->port);
}

static void submit(struct scene *scene, struct task *task, size_t queue)
{
    task->scene = scene;
    task->job = (struct rd_job){.work = work, .done = done, .port = &scene->port, .queue = &scene->queues[queue]};
    scene->left++;
    assert_true(rd_pool_submit(scene->pool, &task->job));
}

static void every_job_comes_back_once(void **state)
{
    (void)state;
    struct scene scene;
    static struct task tasks[JOB_COUNT];
    scene_begin(&scene);
    for (unsigned i = 0; i < JOB_COUNT; i++)
        submit(&scene, &tasks[i], i % 3);
    scene_end(&scene);
    for (unsigned i = 0; i < JOB_COUNT; i++)
        assert_int_equal(tasks[i].done, 1);
}

/* A hundred jobs of one store wait for ever, as on a disk that hangs; the other store's go on. */
static void a_store_that_hangs_does_not_hold_the_others(void **state)
{
    (void)state;
    struct scene scene;
    sem_t gate;
    sem_t started;
    static struct task stuck[100];
    static struct task others[100];
    sem_init(&gate, 0, 0);
    sem_init(&started, 0, 0);
    scene_begin(&scene);
    for (unsigned i = 0; i < 100; i++) {
        stuck[i].gate = &gate;
        submit(&scene, &stuck[i], 0);
    }
    for (unsigned i = 0; i < 100; i++) {
        others[i].started = &started;
        submit(&scene, &others[i], 1);
    }
    for (unsigned i = 0; i < 100; i++) /* would wait in vain, and be ended by the runner, if it did */
        while (sem_wait(&started) != 0)
            continue;
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(stuck[i].worked, 0);
    for (unsigned i = 0; i < 100; i++)
        sem_post(&gate);
    scene_end(&scene);
    sem_destroy(&gate);
    sem_destroy(&started);
}

/* Where threads are free, jobs do not wait for each other: four meet at one place. */
static pthread_barrier_t meeting;

static void meet(struct rd_job *job)
{
    pthread_barrier_wait(&meeting);
    work(job);
}

static void jobs_run_side_by_side(void **state)
{
    (void)state;
    struct scene scene;
    static struct task tasks[4];
    pthread_barrier_init(&meeting, NULL, 4);
    scene_begin(&scene);
    for (unsigned i = 0; i < 4; i++) {
        tasks[i].scene = &scene;
        tasks[i].job =
            (struct rd_job){.work = meet, .done = done, .port = &scene.port, .queue = &scene.queues[i % 2]};
        scene.left++;
        assert_true(rd_pool_submit(scene.pool, &tasks[i].job));
    }
    scene_end(&scene);
    pthread_barrier_destroy(&meeting);
}

/* Jobs of a kind of which few may run: two hang, the third and what is behind it wait for one of them. */
static void no_more_of_a_queue_run_than_may(void **state)
{
    (void)state;
    struct scene scene;
    sem_t gate;
    sem_t started;
    int value = -1;
    static struct task few[20];
    static struct task others[100];
    sem_init(&gate, 0, 0);
    sem_init(&started, 0, 0);
    scene_begin(&scene);
    scene.queues[0].running_max = 2;
    for (unsigned i = 0; i < 20; i++) {
        few[i].gate = &gate;
        few[i].started = &started;
        submit(&scene, &few[i], 0);
    }
    for (unsigned i = 0; i < 2; i++)
        while (sem_wait(&started) != 0)
            continue;
    sem_t others_started;
    sem_init(&others_started, 0, 0);
    for (unsigned i = 0; i < 100; i++) {
        others[i].started = &others_started;
        submit(&scene, &others[i], 1);
    }
    for (unsigned i = 0; i < 100;
         i++) /* all threads but two are there for them, and would begin others of the few */
        while (sem_wait(&others_started) != 0)
            continue;
    assert_int_equal(sem_getvalue(&started, &value), 0);
    assert_int_equal(value, 0);
    for (unsigned i = 0; i < 20; i++)
        sem_post(&gate);
    scene_end(&scene);
    sem_destroy(&gate);
    sem_destroy(&started);
    sem_destroy(&others_started);
}

static atomic_uint gone;

static void work_and_go(struct rd_job *job)
{
    free(job);
    atomic_fetch_add(&gone, 1);
}

/* Of one queue, of which one runs at a time; the pool is ended while they wait. */
static void jobs_that_do_not_come_back_are_all_done(void **state)
{
    (void)state;
    struct rd_pool *pool;
    struct rd_pool_port port = {.first = NULL};
    struct rd_pool_queue queue = {.running_max = 1};
    assert_int_equal(rd_pool_create(&pool), RD_OK);
    for (unsigned i = 0; i < JOB_COUNT; i++) {
        struct rd_job *job = calloc(1, sizeof *job);
        assert_non_null(job);
        *job = (struct rd_job){.work = work_and_go, .port = &port, .queue = &queue};
        assert_true(rd_pool_submit(pool, job));
    }
    rd_pool_destroy(pool);
    assert_int_equal(atomic_load(&gone), JOB_COUNT);
    assert_int_equal(queue.running, 0);
}

static void a_pool_without_work_ends(void **state)
{
    (void)state;
    struct rd_pool *pool;
    assert_int_equal(rd_pool_create(&pool), RD_OK);
    rd_pool_destroy(pool);
    rd_pool_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_job_comes_back_once),
        cmocka_unit_test(a_store_that_hangs_does_not_hold_the_others),
        cmocka_unit_test(jobs_run_side_by_side),
        cmocka_unit_test(no_more_of_a_queue_run_than_may),
        cmocka_unit_test(jobs_that_do_not_come_back_are_all_done),
        cmocka_unit_test(a_pool_without_work_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
