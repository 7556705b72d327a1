/* SPDX-License-Identifier: MIT
 *
 * A store's file that others cut or remove while it is open: reads and writes end with RD_IO_ERROR, nothing is
 * written behind the new end, and what can still be read is.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/engine/fixture.h"

#define LONG_LEN ((size_t)1 << 20)

struct scene {
    struct place place;
    struct rd_store *store;
    uint64_t kept_tail; /* below it lies "kept"; above it "lost", which is long, and "last" */
};

static struct scene scene_begin(enum rd_durability durability)
{
    assert_true(rd_guard_install()); /* in each test: the test runner takes the signal over before it */
    struct scene scene = {.place = place_create()};
    scene.store =
        store_open_with(scene.place.path, (struct rd_store_options){.create = true, .durability = durability});
    scene.kept_tail = put_text(scene.store, "kept", "value").tail;
    uint8_t *long_value = malloc(LONG_LEN);
    memset(long_value, 'L', LONG_LEN);
    put(scene.store, key_named("lost"), long_value, LONG_LEN);
    free(long_value);
    put_text(scene.store, "last", "value");
    return scene;
}

static void scene_end(struct scene *scene)
{
    rd_store_close(scene->store);
    place_remove(&scene->place);
}

static void expect_read_only(struct scene *scene)
{
    struct rd_store_info info;
    rd_store_info(scene->store, &info);
    assert_int_equal(info.state, RD_STORE_READ_ONLY);
    assert_true(info.reason[0] != '\0');
    assert_int_equal(rd_store_write(scene->store, key_named("x"), rd_slice_of_string("y"), NULL), RD_IO_ERROR);
}

static uint64_t size_of(const struct scene *scene)
{
    struct stat found;
    assert_int_equal(stat(scene->place.path, &found), 0);
    return (uint64_t)found.st_size;
}

static void reads_of_what_was_cut_are_io_errors(void **state)
{
    (void)state;
    struct scene scene = scene_begin(RD_DURABILITY_SYNC);
    assert_int_equal(truncate(scene.place.path, (off_t)scene.kept_tail), 0);
    expect_status(scene.store, key_named("lost"), RD_IO_ERROR);
    expect_status(scene.store, key_named("last"), RD_IO_ERROR);
    expect_text(scene.store, "kept", "value");
    struct rd_key keys[] = {key_named("kept"), key_named("lost"), key_named("missing")};
    struct rd_value values[3];
    enum rd_status statuses[3];
    rd_store_batch_read(scene.store, keys, 3, values, statuses);
    assert_int_equal(statuses[0], RD_OK);
    assert_int_equal(statuses[1], RD_IO_ERROR);
    assert_int_equal(statuses[2], RD_IO_ERROR); /* nobody can tell */
    rd_values_release(values, 3);
    struct rd_verification found;
    assert_int_equal(rd_store_verify(scene.store, 0, UINT64_MAX, &found), RD_IO_ERROR);
    expect_read_only(&scene);
    assert_int_equal(size_of(&scene), scene.kept_tail);
    scene_end(&scene);
}

static void a_walk_says_why_it_ends(void **state)
{
    (void)state;
    struct scene scene = scene_begin(RD_DURABILITY_SYNC);
    struct rd_cursor *cursor;
    struct rd_value value;
    assert_int_equal(truncate(scene.place.path, (off_t)scene.kept_tail), 0);
    assert_int_equal(rd_cursor_open(scene.store, 0, &cursor), RD_OK);
    while (rd_cursor_next(cursor, &value))
        ;
    assert_int_equal(rd_cursor_status(cursor), RD_IO_ERROR);
    rd_cursor_close(cursor);
    assert_int_equal(rd_store_read_last_entry(scene.store, &value), RD_IO_ERROR);
    expect_read_only(&scene);
    scene_end(&scene);
}

static void a_pinned_value_outlives_the_cut(void **state)
{
    (void)state;
    struct scene scene = scene_begin(RD_DURABILITY_SYNC);
    struct rd_value value;
    assert_int_equal(rd_store_find(scene.store, key_named("lost"), &value), RD_OK);
    assert_int_equal(rd_value_touch(&value, 0, LONG_LEN), RD_OK);
    assert_int_equal(truncate(scene.place.path, (off_t)scene.kept_tail), 0);
    assert_int_equal(rd_value_touch(&value, LONG_LEN / 2, 10), RD_IO_ERROR);
    assert_int_equal(rd_value_verify(&value), RD_IO_ERROR);
    rd_value_release(&value);
    scene_end(&scene);
}

static void a_write_does_not_fill_the_hole(void **state)
{
    (void)state;
    struct scene scene = scene_begin(RD_DURABILITY_SYNC);
    assert_int_equal(truncate(scene.place.path, (off_t)scene.kept_tail), 0);
    assert_int_equal(rd_store_write(scene.store, key_named("new"), rd_slice_of_string("y"), NULL), RD_IO_ERROR);
    assert_int_equal(size_of(&scene), scene.kept_tail);
    expect_read_only(&scene);
    scene_end(&scene);
}

static void a_judgement_on_what_was_cut_is_no_judgement(void **state)
{
    (void)state;
    struct scene scene = scene_begin(RD_DURABILITY_NONE);
    assert_int_equal(truncate(scene.place.path, 0), 0);
    struct rd_entry entry = {.key = key_named("last"), .payload = rd_slice_of_string("y")};
    struct rd_op op = {
        .kind = RD_OP_WRITE, .entries = &entry, .entry_count = 1, .condition = {.kind = RD_IF_ABSENT}};
    assert_int_equal(rd_store_execute(scene.store, &op), RD_IO_ERROR);
    assert_int_equal(size_of(&scene), 0);
    expect_read_only(&scene);
    scene_end(&scene);
}

static void a_removed_file_takes_no_more_writes(void **state)
{
    (void)state;
    struct scene scene = scene_begin(RD_DURABILITY_SYNC);
    assert_int_equal(unlink(scene.place.path), 0);
    assert_int_equal(rd_store_write(scene.store, key_named("new"), rd_slice_of_string("y"), NULL), RD_IO_ERROR);
    expect_read_only(&scene);
    expect_text(scene.store, "kept", "value");
    scene_end(&scene);
}

/* ---- others who handle the signal ---- */

static void *host_page; /* that the host's handler makes readable, and nothing else */
static atomic_uint host_calls;

static void handle_for_host(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    atomic_fetch_add(&host_calls, 1);
    long page_len = sysconf(_SC_PAGESIZE);
    if (info->si_code <= 0)
        return; /* sent */
    if (info->si_addr != host_page ||
        mmap(host_page, (size_t)page_len, PROT_READ, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
        abort();
}

/* A page behind the end of a file of the host's own. */
static void make_host_page(const char *folder)
{
    char path[300];
    snprintf(path, sizeof path, "%s/host", folder);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    host_page = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(host_page, MAP_FAILED);
    assert_int_equal(close(fd), 0);
    assert_int_equal(unlink(path), 0);
}

static void what_is_the_hosts_goes_to_its_handler_each_time(void **state)
{
    (void)state;
    struct sigaction before;
    struct sigaction action = {.sa_sigaction = handle_for_host, .sa_flags = SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    assert_int_equal(sigaction(SIGBUS, &action, &before), 0);
    atomic_store(&host_calls, 0);
    struct scene scene = scene_begin(RD_DURABILITY_SYNC);
    for (unsigned i = 1; i <= 2; i++) {
        make_host_page(scene.place.folder);
        assert_int_equal(*(const volatile uint8_t *)host_page, 0);
        assert_int_equal(munmap(host_page, (size_t)sysconf(_SC_PAGESIZE)), 0);
        assert_int_equal(atomic_load(&host_calls), 2 * i - 1);
        assert_int_equal(raise(SIGBUS), 0);
        assert_int_equal(atomic_load(&host_calls), 2 * i);
    }
    assert_int_equal(truncate(scene.place.path, (off_t)scene.kept_tail), 0);
    expect_status(scene.store, key_named("lost"), RD_IO_ERROR);
    assert_int_equal(atomic_load(&host_calls), 4);
    scene_end(&scene);
    assert_int_equal(sigaction(SIGBUS, &before, NULL), 0);
}

/* Each page that is read by itself takes two maps of the 65,530 that a process may have by default. Values of more
 * than a page, so that no two trailers share one, and read so that no page is met beside the last. */
static void a_store_of_any_size_may_be_cut(void **state)
{
    (void)state;
    enum { COUNT = 40000, STEP = 7919, BLOCK = 50 };
    static uint8_t value[8000] = {1};
    assert_true(rd_guard_install());
    struct place place = place_create();
    struct rd_store *store =
        store_open_with(place.path, (struct rd_store_options){.create = true, .durability = RD_DURABILITY_NONE});
    for (uint64_t i = 1; i <= COUNT; i++)
        put(store, rd_key_of_hash(i << 40), value, sizeof value);
    assert_int_equal(truncate(place.path, 0), 0);
    for (uint64_t i = 0; i < COUNT; i++)
        expect_status(store, rd_key_of_hash((i * STEP % COUNT + 1) << 40), RD_IO_ERROR);
    struct rd_key keys[BLOCK];
    struct rd_value values[BLOCK];
    enum rd_status statuses[BLOCK];
    for (uint64_t i = 0; i < COUNT; i++) {
        keys[i % BLOCK] = rd_key_of_hash((i * STEP % COUNT + 1) << 40);
        if (i % BLOCK != BLOCK - 1)
            continue;
        rd_store_fetch(store, keys, BLOCK, sizeof value);
        rd_store_batch_read(store, keys, BLOCK, values, statuses);
        for (size_t k = 0; k < BLOCK; k++)
            assert_int_equal(statuses[k], RD_IO_ERROR);
        assert_false(rd_store_exists(store, keys[0]));
        assert_true(rd_store_holds_in_memory(store, keys, BLOCK, sizeof value)); /* nobody is to wait for it */
        assert_int_equal(rd_store_find_now(store, keys[0], &values[0]), RD_IO_ERROR);
    }
    struct rd_cursor *cursor;
    assert_int_equal(rd_cursor_open(store, 12345, &cursor), RD_OK);
    assert_false(rd_cursor_next(cursor, &values[0]));
    assert_int_equal(rd_cursor_status(cursor), RD_IO_ERROR);
    rd_cursor_close(cursor);
    rd_store_close(store);

    store = store_open(place.path); /* another map, and those of the first are no more */
    put_text(store, "k", "v");
    expect_text(store, "k", "v");
    rd_store_close(store);
    place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_of_what_was_cut_are_io_errors),
        cmocka_unit_test(a_walk_says_why_it_ends),
        cmocka_unit_test(a_pinned_value_outlives_the_cut),
        cmocka_unit_test(a_write_does_not_fill_the_hole),
        cmocka_unit_test(a_judgement_on_what_was_cut_is_no_judgement),
        cmocka_unit_test(a_removed_file_takes_no_more_writes),
        cmocka_unit_test(what_is_the_hosts_goes_to_its_handler_each_time),
        cmocka_unit_test(a_store_of_any_size_may_be_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
