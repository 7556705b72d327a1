/* SPDX-License-Identifier: MIT
 *
 * Memory made ready by a thread: none before it is asked for, one at a time, what was made is what is got, also
 * where that is nothing, and ending waits for what is under way.
 */
#include <semaphore.h>
#include <sched.h>

#include "engine/spare.h"
#include "tests/unit/engine/fixture.h"

static int things[2];
static atomic_uint made;
static sem_t may_make;

static void *make_thing(void)
{
    while (sem_wait(&may_make) != 0)
        ;
    return &things[atomic_fetch_add(&made, 1)];
}

static void *make_nothing(void)
{
    return NULL;
}

static void begin(void)
{
    atomic_store(&made, 0);
    assert_int_equal(sem_init(&may_make, 0, 0), 0);
}

static void wait_until_ready(struct rd_spare *spare)
{
    while (!rd_spare_is_ready(spare))
        sched_yield();
}

static void it_is_ready_when_its_thread_says_so(void **state)
{
    (void)state;
    struct rd_spare spare = {.under_way = false};
    begin();
    assert_false(rd_spare_is_ready(&spare));
    assert_true(rd_spare_prepare(&spare, make_thing));
    assert_false(rd_spare_is_ready(&spare)); /* nobody has let it go on */
    assert_false(rd_spare_prepare(&spare, make_thing));
    sem_post(&may_make);
    wait_until_ready(&spare);
    assert_false(rd_spare_prepare(&spare, make_thing));
    assert_ptr_equal(rd_spare_take(&spare), &things[0]);
    assert_false(rd_spare_is_ready(&spare));
    assert_true(rd_spare_prepare(&spare, make_thing));
    sem_post(&may_make);
    wait_until_ready(&spare);
    assert_ptr_equal(rd_spare_take(&spare), &things[1]);
    assert_int_equal(atomic_load(&made), 2);
}

static void what_cannot_be_made_is_ready_too(void **state)
{
    (void)state;
    struct rd_spare spare = {.under_way = false};
    assert_true(rd_spare_prepare(&spare, make_nothing));
    wait_until_ready(&spare);
    assert_null(rd_spare_take(&spare));
    assert_true(rd_spare_prepare(&spare, make_nothing));
    assert_null(rd_spare_end(&spare));
}

static void ending_waits_for_what_is_under_way(void **state)
{
    (void)state;
    struct rd_spare spare = {.under_way = false};
    begin();
    assert_null(rd_spare_end(&spare));
    assert_true(rd_spare_prepare(&spare, make_thing));
    sem_post(&may_make);
    assert_ptr_equal(rd_spare_end(&spare), &things[0]);
    assert_null(rd_spare_end(&spare));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_ready_when_its_thread_says_so),
        cmocka_unit_test(what_cannot_be_made_is_ready_too),
        cmocka_unit_test(ending_waits_for_what_is_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
