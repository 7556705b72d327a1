/* SPDX-License-Identifier: MIT
 *
 * Offline commands beside another process, which does its work at the moment between a command's look at a path
 * and its opening of the file.
 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "clients/cli/commands.h"
#include "clients/cli/companion.h"
#include "clients/cli/newfile.h"
#include "engine/engine.h"

static const char *awaited; /* where the other process makes a store; NULL: nowhere */

static void other_process_makes_a_store(void)
{
    const char *path = awaited;
    struct rd_store_options options = {.create = true};
    struct rd_store *store;
    awaited = NULL;
    if (path == NULL)
        return;
    assert_int_equal(rd_store_open(path, &options, &store, NULL), RD_OK);
    rd_store_close(store);
}

struct rd_json_settings __real_rd_companion_load(const char *path);
struct rd_json_settings __wrap_rd_companion_load(const char *path);
struct rd_json_settings __wrap_rd_companion_load(const char *path)
{
    other_process_makes_a_store();
    return __real_rd_companion_load(path);
}

enum rd_status __real_rd_companion_save(const char *path, const struct rd_json_settings *settings,
                                        struct rd_error *ret_error);
enum rd_status __wrap_rd_companion_save(const char *path, const struct rd_json_settings *settings,
                                        struct rd_error *ret_error);
enum rd_status __wrap_rd_companion_save(const char *path, const struct rd_json_settings *settings,
                                        struct rd_error *ret_error)
{
    other_process_makes_a_store();
    return __real_rd_companion_save(path, settings, ret_error);
}

struct place {
    char folder[PATH_MAX];
    char path[PATH_MAX + 16];
};

static struct place place_create(void)
{
    const char *root = getenv("TMPDIR");
    struct place place;
    snprintf(place.folder, sizeof place.folder, "%s/rdrive-offline-XXXXXX", root != NULL ? root : "/tmp");
    assert_non_null(mkdtemp(place.folder));
    snprintf(place.path, sizeof place.path, "%s/some.rdr", place.folder);
    return place;
}

static void place_remove(const struct place *place)
{
    char companion[PATH_MAX + 32];
    snprintf(companion, sizeof companion, "%s.meta", place->path);
    (void)unlink(companion);
    (void)unlink(place->path);
    assert_int_equal(rmdir(place->folder), 0);
}

static int run(const struct place *place, const char *command, char **args, size_t arg_count)
{
    struct rd_options options = {
        .file_path = place->path, .command = command, .args = args, .arg_count = arg_count};
    return rd_command_run(rd_command_find(command), &options);
}

static bool is_there(const char *path)
{
    struct stat file;
    return lstat(path, &file) == 0;
}

static void test_a_command_that_fails_leaves_a_store_that_another_has_made(void **state)
{
    (void)state;
    char *args[] = {"key", ""};
    struct place place = place_create();
    assert_int_equal(run(&place, "write", args, 2), RD_EXIT_FAILED);
    assert_false(is_there(place.path)); /* its own */
    awaited = place.path;
    assert_int_equal(run(&place, "write", args, 2), RD_EXIT_FAILED);
    assert_null(awaited);
    assert_true(is_there(place.path));
    place_remove(&place);
}

static void test_create_makes_the_file_itself_or_fails(void **state)
{
    (void)state;
    struct place place = place_create();
    awaited = place.path;
    assert_int_equal(run(&place, "create", NULL, 0), RD_EXIT_FAILED);
    assert_null(awaited);
    assert_true(is_there(place.path));
    place_remove(&place);
}

static void write_one_value(const char *path)
{
    struct rd_store_options options = {.create = true};
    struct rd_store *store;
    assert_int_equal(rd_store_open(path, &options, &store, NULL), RD_OK);
    assert_int_equal(rd_store_write(store, rd_key_of_hash(1), rd_slice_of_string("value"), NULL), RD_OK);
    rd_store_close(store);
}

static void test_what_is_taken_back(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store;
    assert_true(rd_newfile_make(place.path));
    assert_false(rd_newfile_make(place.path));
    assert_int_equal(rd_store_open(place.path, &(struct rd_store_options){.read_only = true}, &store, NULL),
                     RD_OK);
    rd_newfile_take_back(place.path);
    assert_true(is_there(place.path)); /* somebody reads it */
    rd_store_close(store);
    rd_newfile_take_back(place.path);
    assert_int_equal(rmdir(place.folder), 0); /* nothing is left over */
    assert_false(rd_newfile_make(place.path));
    place = place_create();
    assert_true(rd_newfile_make(place.path));
    write_one_value(place.path);
    rd_newfile_take_back(place.path);
    assert_true(is_there(place.path));
    assert_int_equal(unlink(place.path), 0);
    assert_int_equal(symlink("nowhere", place.path), 0);
    assert_false(rd_newfile_make(place.path));
    rd_newfile_take_back(place.path);
    assert_true(is_there(place.path));
    place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_command_that_fails_leaves_a_store_that_another_has_made),
        cmocka_unit_test(test_create_makes_the_file_itself_or_fails),
        cmocka_unit_test(test_what_is_taken_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
