/* SPDX-License-Identifier: MIT
 *
 * Holding a loop's thread to a processor, on a machine of four of which it is given some. The kernel's side is the
 * test's own: a thread may run where its container (cpuset) and who spoke last of it (bound) both say.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "server/affinity.h"

#define ANYWHERE (~0u)

int __wrap_sched_setaffinity(pid_t thread, size_t len, const cpu_set_t *set);
int __wrap_sched_getaffinity(pid_t thread, size_t len, cpu_set_t *ret_set);

static unsigned cpuset; /* a bit for each processor */
static unsigned bound;

static unsigned may_run(void)
{
    return (cpuset & bound) != 0 ? cpuset & bound : cpuset;
}

int __wrap_sched_setaffinity(pid_t thread, size_t len, const cpu_set_t *set)
{
    (void)len;
    assert_int_equal(thread, 0);
    unsigned asked = 0;
    memcpy(&asked, set, sizeof asked);
    if ((asked & cpuset) == 0) {
        errno = EINVAL;
        return -1;
    }
    bound = asked;
    return 0;
}

int __wrap_sched_getaffinity(pid_t thread, size_t len, cpu_set_t *ret_set)
{
    assert_int_equal(thread, 0);
    unsigned now = may_run();
    memset(ret_set, 0, len);
    memcpy(ret_set, &now, sizeof now);
    return 0;
}

struct scene {
    uv_loop_t loop;
    struct rd_affinity affinity;
};

static void scene_begin(struct scene *scene, unsigned processors)
{
    cpuset = processors;
    bound = ANYWHERE;
    assert_int_equal(uv_loop_init(&scene->loop), 0);
    assert_int_equal(rd_affinity_init(&scene->affinity, &scene->loop), RD_OK);
}

static void scene_end(struct scene *scene)
{
    rd_affinity_close(&scene->affinity);
    uv_run(&scene->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&scene->loop), 0);
}

static void note(struct scene *scene, int processor, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        rd_affinity_note(&scene->affinity, processor);
}

/* Until the timer has run once: the loop has nothing else to do. */
static void decide(struct scene *scene)
{
    uv_run(&scene->loop, UV_RUN_ONCE);
}

static void it_is_held_where_most_syncs_end(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, 0x3);
    note(&scene, 0, 3);
    note(&scene, 1, 8);
    decide(&scene);
    assert_int_equal(may_run(), 0x2);
    decide(&scene);
    assert_int_equal(may_run(), 0x3);
    decide(&scene); /* nobody wrote */
    assert_int_equal(may_run(), 0x3);
    assert_false(uv_is_active((uv_handle_t *)&scene.affinity.timer));
    scene_end(&scene);
}

static void it_is_left_alone_otherwise(void **state)
{
    (void)state;
    static const struct {
        unsigned processors;
        int processor;
        unsigned notes;
    } rows[] = {{0x3, 1, 9}, {0xf, 1, 20}, {0x1, 0, 20}, {0x3, 2, 20}, {0x3, -1, 20}, {0x3, CPU_SETSIZE, 20}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scene scene;
        scene_begin(&scene, rows[i].processors);
        note(&scene, rows[i].processor, rows[i].notes);
        decide(&scene);
        assert_int_equal(may_run(), rows[i].processors);
        scene_end(&scene);
    }
}

static void it_gets_what_its_container_is_given_meanwhile(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, 0x3);
    note(&scene, 1, 20);
    decide(&scene);
    assert_int_equal(may_run(), 0x2);
    cpuset = 0xf;
    decide(&scene);
    assert_int_equal(may_run(), 0xf);
    cpuset = 0xc;
    assert_int_equal(may_run(), 0xc);
    scene_end(&scene);
}

static void what_others_say_of_it_stays(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, 0xf);
    bound = 0x6;
    note(&scene, 1, 20);
    decide(&scene);
    assert_int_equal(may_run(), 0x2);
    decide(&scene);
    assert_int_equal(may_run(), 0x6);
    note(&scene, 1, 20);
    decide(&scene);
    bound = 0x9; /* while it is held */
    decide(&scene);
    assert_int_equal(may_run(), 0x9);
    scene_end(&scene);
}

static void it_is_let_go_before_it_begins_a_thread_and_at_the_end(void **state)
{
    (void)state;
    struct scene scene;
    rd_affinity_before_thread(NULL);
    scene_begin(&scene, 0x3);
    note(&scene, 0, 20);
    rd_affinity_before_thread(&scene.affinity);
    decide(&scene);
    assert_int_equal(may_run(), 0x1);
    note(&scene, 0, 20);
    rd_affinity_before_thread(&scene.affinity);
    assert_int_equal(may_run(), 0x3);
    decide(&scene);
    assert_int_equal(may_run(), 0x1);
    scene_end(&scene);
    assert_int_equal(may_run(), 0x3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_held_where_most_syncs_end),
        cmocka_unit_test(it_is_left_alone_otherwise),
        cmocka_unit_test(it_gets_what_its_container_is_given_meanwhile),
        cmocka_unit_test(what_others_say_of_it_stays),
        cmocka_unit_test(it_is_let_go_before_it_begins_a_thread_and_at_the_end),
    };
    return cmocka_run_group_tests_name("affinity", tests, NULL, NULL);
}
