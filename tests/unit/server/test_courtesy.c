/* SPDX-License-Identifier: MIT
 *
 * Letting others in between steps: the processor is given away each time while it comes back soon, and not once
 * more in a job when it does not. The clock is the test's own, and moves only while others have the processor.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/courtesy.h"

int __wrap_sched_yield(void);
uint64_t __wrap_uv_hrtime(void);

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_is_soon_done_is_let_in_each_time),
        cmocka_unit_test(whoever_computes_is_let_in_once_in_a_job),
    };
    return cmocka_run_group_tests_name("courtesy", tests, NULL, NULL);
}
