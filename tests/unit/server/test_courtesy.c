/* SPDX-License-Identifier: MIT
 *
 * Letting others in between steps: the processor is given away each time while it comes back soon, and not once
 * more in a job when it does not. The clock is the test's own, and moves only while others have the processor.
 * Resting behind steps: where others were given brief answers, and one thread at a time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "server/courtesy.h"
#include "server/process.h"

int __wrap_sched_yield(void);
uint64_t __wrap_uv_hrtime(void);
int __wrap_nanosleep(const struct timespec *wanted, struct timespec *left);

static uint64_t now_ns = 12345;
static uint64_t away_ns; /* how long others keep it */
static unsigned yield_count;

int __wrap_sched_yield(void)
{
    yield_count++;
    now_ns += away_ns;
    return 0;
}

uint64_t __wrap_uv_hrtime(void)
{
    return now_ns;
}

static uint64_t rested_ns;
static struct rd_process *rests_meanwhile; /* another thread of its would rest, too */

int __wrap_nanosleep(const struct timespec *wanted, struct timespec *left)
{
    (void)left;
    rested_ns += (uint64_t)wanted->tv_sec * 1000000000u + (uint64_t)wanted->tv_nsec;
    if (rests_meanwhile != NULL)
        rd_courtesy_rest(rests_meanwhile, 1000000);
    return 0;
}

/* Nanoseconds. */
static uint64_t rest_behind(struct rd_process *process, uint64_t step_ns)
{
    rested_ns = 0;
    rd_courtesy_rest(process, step_ns);
    return rested_ns;
}

static void let_in(struct rd_courtesy *courtesy, uint64_t for_ns)
{
    away_ns = for_ns;
    rd_courtesy_let_in(courtesy);
}

static void whoever_is_soon_done_is_let_in_each_time(void **state)
{
    (void)state;
    struct rd_courtesy courtesy = {.crowded = false};
    yield_count = 0;
    for (unsigned i = 0; i < 100; i++)
        let_in(&courtesy, i % 2 == 0 ? 0 : 999999);
    assert_int_equal(yield_count, 100);
}

static void whoever_computes_is_let_in_once_in_a_job(void **state)
{
    (void)state;
    for (unsigned job = 0; job < 3; job++) {
        struct rd_courtesy courtesy = {.crowded = false};
        yield_count = 0;
        let_in(&courtesy, 80000);
        let_in(&courtesy, 1000000);
        for (unsigned i = 0; i < 20; i++)
            let_in(&courtesy, 0);
        assert_int_equal(yield_count, 2);
    }
}

static void a_rest_is_as_long_as_three_steps_within_bounds(void **state)
{
    (void)state;
    now_ns = 5000000000;
    struct rd_process process = {.loop_count = 0};
    rd_process_note_brief(&process, 5000);
    assert_int_equal(rest_behind(&process, 1000000), 3000000);
    assert_int_equal(rest_behind(&process, 6000000), 18000000);
    assert_int_equal(rest_behind(&process, 7000000), 20000000);
    assert_int_equal(rest_behind(&process, UINT64_MAX), 20000000);
}

static void nobody_rests_where_nobody_gets_brief_answers(void **state)
{
    (void)state;
    now_ns = 50000000; /* the clock may be as young as that */
    struct rd_process process = {.loop_count = 0};
    assert_int_equal(rest_behind(&process, 1000000), 0);
    now_ns = 5000000000;
    rd_process_note_brief(&process, 4901);
    assert_int_equal(rest_behind(&process, 1000000), 3000000);
    now_ns += 2000000;
    assert_int_equal(rest_behind(&process, 1000000), 0);
    rd_process_note_brief(&process, 5002);
    assert_int_equal(rest_behind(&process, 1000000), 3000000);
}

static void one_thread_rests_at_a_time(void **state)
{
    (void)state;
    now_ns = 5000000000;
    struct rd_process process = {.loop_count = 0};
    rd_process_note_brief(&process, 5000);
    rests_meanwhile = &process;
    assert_int_equal(rest_behind(&process, 1000000), 3000000);
    rests_meanwhile = NULL;
    assert_int_equal(rest_behind(&process, 1000000), 3000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_is_soon_done_is_let_in_each_time),
        cmocka_unit_test(whoever_computes_is_let_in_once_in_a_job),
        cmocka_unit_test(a_rest_is_as_long_as_three_steps_within_bounds),
        cmocka_unit_test(nobody_rests_where_nobody_gets_brief_answers),
        cmocka_unit_test(one_thread_rests_at_a_time),
    };
    return cmocka_run_group_tests_name("courtesy", tests, NULL, NULL);
}
