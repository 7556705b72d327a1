/* SPDX-License-Identifier: MIT
 *
 * Files under a store that behave as not every file system and not every neighbour does: copies that the kernel
 * cannot make, no unnamed files, names as long as they get, files that change places while they are opened; and
 * more stores, and more keys, than fit the first of what the engine makes for them.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "tests/unit/engine/fixture.h"

#define LONG_VALUE_LEN ((size_t)700 << 10) /* above what a spool keeps in memory */

/* What the system's calls do otherwise in a test. Used from the writer's thread too, but one call at a time. */
static struct {
    int copy_errno;           /* copies inside the kernel fail so; 0: they find nothing left; EINTR: they work */
    unsigned copy_interrupts; /* so many are interrupted first */
    bool unnamed_missing;     /* the file system has no O_TMPFILE */
    bool rename_fails;
    bool hidden_once;           /* the store's file is not there when it is looked for first */
    unsigned swap_count;        /* so often another file takes the store's place once it is open ... */
    struct rd_slice swap_bytes; /* ... and holds this */
    const char *swap_path;      /* where it is made */
} odd;

static ssize_t odd_copy(void *self, int from_fd, off_t from_offset, int to_fd, off_t to_offset, size_t len)
{
    if (odd.copy_interrupts > 0) {
        odd.copy_interrupts--;
        errno = EINTR;
        return -1;
    }
    errno = odd.copy_errno;
    if (odd.copy_errno == EINTR)
        return rd_io_system.copy_range(self, from_fd, from_offset, to_fd, to_offset, len);
    return odd.copy_errno == 0 ? 0 : -1;
}

static int odd_open(void *self, const char *path, int flags, mode_t mode)
{
    if (odd.unnamed_missing && (flags & O_TMPFILE) == O_TMPFILE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    if (odd.hidden_once) {
        odd.hidden_once = false;
        errno = ENOENT;
        return -1;
    }
    return rd_io_system.open(self, path, flags, mode);
}

static int odd_stat(void *self, const char *path, struct stat *ret_stat)
{
    if (odd.swap_count > 0) {
        odd.swap_count--;
        rd_file_write(odd.swap_path, odd.swap_bytes);
        assert_int_equal(rename(odd.swap_path, path), 0);
    }
    return rd_io_system.stat(self, path, ret_stat);
}

static int odd_rename(void *self, const char *from, const char *to)
{
    errno = EACCES;
    return odd.rename_fails ? -1 : rd_io_system.rename(self, from, to);
}

static const struct rd_io *odd_io(void)
{
    static struct rd_io io;
    memset(&odd, 0, sizeof odd);
    io = rd_io_system;
    io.fdatasync = no_sync;
    io.fsync = no_sync;
    io.copy_range = odd_copy;
    io.open = odd_open;
    io.stat = odd_stat;
    io.rename = odd_rename;
    return &io;
}

static struct rd_store *open_on(const struct rd_io *io, const char *path)
{
    return store_open_with(path,
                           (struct rd_store_options){.create = true, .durability = RD_DURABILITY_NONE, .io = io});
}

static int64_t read_slice(void *context, uint8_t *to, size_t len_max)
{
    struct rd_slice taken = rd_slice_take(context, len_max);
    if (taken.len != 0)
        memcpy(to, taken.data, taken.len);
    return (int64_t)taken.len;
}

static enum rd_status stream(struct rd_store *store, const char *key, struct rd_slice value)
{
    return rd_store_write_stream(store, key_named(key), read_slice, &value, NULL);
}

static uint8_t *long_value(void)
{
    uint8_t *value = malloc(LONG_VALUE_LEN);
    assert_non_null(value);
    random_fill(value, LONG_VALUE_LEN);
    return value;
}

static unsigned file_count(const char *folder)
{
    char *command = NULL;
    unsigned count = 0;
    assert_true(asprintf(&command, "ls -A '%s' | wc -l", folder) > 0);
    FILE *listing = popen(command, "r");
    assert_non_null(listing);
    assert_int_equal(fscanf(listing, "%u", &count), 1);
    pclose(listing);
    free(command);
    return count;
}

/* ---- what a file system may lack ---- */

static void values_are_copied_where_the_kernel_cannot(void **state)
{
    (void)state;
    static const int causes[] = {EXDEV, EINVAL, ENOSYS, EOPNOTSUPP, EPERM, EINTR};
    random_begin();
    uint8_t *value = long_value();
    for (size_t i = 0; i < sizeof causes / sizeof causes[0]; i++) {
        struct place place = place_create();
        struct rd_store *store = open_on(odd_io(), place.path);
        odd.copy_errno = causes[i];
        odd.copy_interrupts = 2;
        assert_int_equal(stream(store, "k", rd_slice(value, LONG_VALUE_LEN)), RD_OK);
        assert_int_equal(odd.copy_interrupts, 0);
        expect_bytes(store, key_named("k"), value, LONG_VALUE_LEN);
        rd_store_close(store);
        store = store_open(place.path);
        expect_bytes(store, key_named("k"), value, LONG_VALUE_LEN);
        rd_store_close(store);
        place_remove(&place);
    }
    free(value);
}

/* Rule 4: what is copied has become shorter than it was, or cannot be read. */
static void a_copy_that_fails_leaves_the_store_as_it_was(void **state)
{
    (void)state;
    static const int causes[] = {0, EIO, EBADF};
    random_begin();
    uint8_t *value = long_value();
    for (size_t i = 0; i < sizeof causes / sizeof causes[0]; i++) {
        struct place place = place_create();
        struct rd_store *store = open_on(odd_io(), place.path);
        put_text(store, "before", "value");
        odd.copy_errno = causes[i];
        assert_int_equal(stream(store, "k", rd_slice(value, LONG_VALUE_LEN)), RD_IO_ERROR);
        expect_missing(store, "k");
        expect_text(store, "before", "value");
        rd_store_close(store);
        store = store_open(place.path);
        assert_int_equal(rd_store_len(store), 1);
        expect_text(store, "before", "value");
        put_text(store, "after", "value");
        rd_store_close(store);
        place_remove(&place);
    }
    free(value);
}

static void an_upload_needs_no_unnamed_file(void **state)
{
    (void)state;
    random_begin();
    struct place place = place_create();
    struct rd_store *store = open_on(odd_io(), place.path);
    uint8_t *value = long_value();
    char *taken = rd_path(place.folder, "store.rdr.spool-0");
    odd.unnamed_missing = true;
    odd.copy_errno = EINTR; /* which passes: copying works here */
    rd_file_write(taken, rd_slice_of_string("somebody else's"));
    unsigned before = file_count(place.folder);
    assert_int_equal(stream(store, "k", rd_slice(value, LONG_VALUE_LEN)), RD_OK);
    expect_bytes(store, key_named("k"), value, LONG_VALUE_LEN);
    assert_int_equal(file_count(place.folder), before); /* while the store is open: nothing has a name */
    expect_file(taken, rd_slice_of_string("somebody else's"));
    rd_store_close(store);
    free(taken);
    free(value);
    place_remove(&place);
}

/* ---- who else is there ---- */

/* Locked is the file that was opened; the name leads to another one by then. */
static void a_file_that_is_replaced_while_it_is_opened_is_opened_anew(void **state)
{
    (void)state;
    struct place place = place_create();
    char *other = rd_path(place.folder, "other");
    struct rd_store *store = store_open(place.path);
    put_text(store, "k", "old");
    rd_store_close(store);
    store = store_open(other);
    put_text(store, "k", "new");
    rd_store_close(store);
    struct rd_buffer bytes = rd_file_read(other);
    const struct rd_io *io = odd_io();
    odd.swap_bytes = rd_buffer_slice(&bytes);
    odd.swap_path = other;
    odd.swap_count = 1;
    store = open_on(io, place.path);
    expect_text(store, "k", "new");
    rd_store_close(store);
    rd_buffer_deinit(&bytes);
    free(other);
    place_remove(&place);
}

static void a_file_that_is_replaced_again_and_again_is_given_up(void **state)
{
    (void)state;
    struct place place = place_create();
    char *other = rd_path(place.folder, "other");
    const struct rd_io *io = odd_io();
    struct rd_store_options options = {.create = true, .io = io};
    struct rd_store *store = NULL;
    struct rd_error error;
    odd.swap_path = other;
    odd.swap_count = UINT_MAX;
    assert_int_equal(rd_store_open(place.path, &options, &store, &error), RD_UNAVAILABLE);
    assert_non_null(strstr(error.message, "replaced"));
    assert_null(store);
    odd.swap_count = 0;
    rd_store_close(open_on(io, place.path)); /* nothing was left locked */
    free(other);
    place_remove(&place);
}

/* It was not there, and then it could not be made, since somebody else had made it. */
static void a_file_that_another_makes_meanwhile_is_opened(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    put_text(store, "k", "value");
    rd_store_close(store);
    const struct rd_io *io = odd_io();
    odd.hidden_once = true;
    store = open_on(io, place.path);
    assert_false(odd.hidden_once);
    expect_text(store, "k", "value");
    rd_store_close(store);
    place_remove(&place);
}

/* ---- names ---- */

/* Folders in folders, so that the store's path has just so many bytes. */
static struct place place_of_len(size_t path_len)
{
    struct place place = {.folder = rd_scratch_create()};
    char path[PATH_MAX + 1];
    size_t len = (size_t)snprintf(path, sizeof path, "%s", place.folder);
    while (path_len - len > 1 + NAME_MAX) {
        size_t name_len = path_len - len - 1 > 2 * NAME_MAX ? NAME_MAX : (path_len - len) / 2;
        path[len++] = '/';
        memset(path + len, 'f', name_len);
        path[len += name_len] = '\0';
        assert_int_equal(mkdir(path, 0700), 0);
    }
    path[len++] = '/';
    memset(path + len, 's', path_len - len);
    path[path_len] = '\0';
    place.path = strdup(path);
    return place;
}

static void remove_deep(struct place *place)
{
    char *command = NULL;
    assert_true(asprintf(&command, "rm -r '%s'", place->folder) > 0);
    assert_int_equal(system(command), 0);
    free(command);
    free(place->path);
    free(place->folder);
}

static void a_path_as_long_as_there_can_be_leaves_no_room_for_companions(void **state)
{
    (void)state;
    struct place place = place_of_len(PATH_MAX - 1);
    struct rd_store *store = store_open(place.path);
    put_text(store, "k", "value");
    uint64_t tail = put_text(store, "other", "value").tail;
    rd_store_close(store);
    assert_int_equal(truncate(place.path, (off_t)tail - 1), 0);
    /* A torn end that cannot be kept aside is not cut. */
    store = store_open(place.path);
    struct rd_store_info info;
    rd_store_info(store, &info);
    assert_int_equal(info.state, RD_STORE_READ_ONLY);
    assert_non_null(strstr(info.reason, "kept aside"));
    expect_text(store, "k", "value");
    rd_store_close(store);
    struct rd_buffer file = rd_file_read(place.path);
    assert_int_equal(file.len, tail - 1);
    rd_buffer_deinit(&file);
    remove_deep(&place);
}

static void a_path_that_is_too_long_is_an_error(void **state)
{
    (void)state;
    char path[2 * PATH_MAX];
    struct rd_store *store = NULL;
    struct rd_error error;
    struct rd_store_options options = {.create = true};
    memset(path, 'p', sizeof path - 1);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    assert_int_equal(rd_store_open(path, &options, &store, &error), RD_IO_ERROR);
    assert_int_equal(error.os_errno, ENAMETOOLONG);
    assert_null(store);
}

/* A young store's tells where its first entry is to end, which may be another by now: better none. One that tells
 * how much of the file was synced is true for ever. */
static void a_companion_that_cannot_be_replaced_is_removed_or_stays_true(void **state)
{
    (void)state;
    struct place place = place_create();
    char *meta = rd_path(place.folder, "store.rdr.meta");
    struct rd_store *store = open_on(odd_io(), place.path);
    put_text(store, "k", "value");
    assert_true(file_exists(meta));
    odd.rename_fails = true;
    rd_store_close(store);
    assert_false(file_exists(meta));
    assert_int_equal(file_count(place.folder), 1);
    store = open_on(odd_io(), place.path);
    odd.rename_fails = true;
    expect_text(store, "k", "value");
    put_text(store, "k", "more");
    rd_store_close(store);
    assert_true(file_exists(meta));
    assert_int_equal(file_count(place.folder), 2);
    store = store_open(place.path);
    expect_text(store, "k", "more");
    rd_store_close(store);
    free(meta);
    place_remove(&place);
}

/* ---- many ---- */

static void many_stores_are_open_at_once(void **state)
{
    (void)state;
    enum { STORES = 600 };
    static struct rd_store *stores[STORES];
    struct place place = place_create();
    assert_true(rd_guard_install());
    for (int i = 0; i < STORES; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d.rdr", i);
        char *path = rd_path(place.folder, name);
        stores[i] = store_open(path);
        put_text(stores[i], "name", name);
        if (i == STORES - 1) /* others cut it, under its map */
            assert_int_equal(truncate(path, 0), 0);
        free(path);
    }
    for (int i = 0; i < STORES - 1; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d.rdr", i);
        expect_text(stores[i], "name", name);
    }
    expect_status(stores[STORES - 1], key_named("name"), RD_IO_ERROR);
    for (int i = 0; i < STORES; i++)
        rd_store_close(stores[i]);
    place_remove(&place);
}

/* More than an index is sized by when the store is opened; some of them gone, some written twice. */
static void many_keys_are_all_there_again(void **state)
{
    (void)state;
    enum { BATCHES = 160, BATCH = 1024 };
    static struct rd_entry entries[BATCH];
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    uint8_t value[8];
    for (uint64_t batch = 0; batch < BATCHES; batch++) {
        for (uint64_t i = 0; i < BATCH; i++) {
            uint64_t number = batch * BATCH + i;
            entries[i] = (struct rd_entry){.key = rd_key_of_hash((number + 1) * UINT64_C(0x9e3779b97f4a7c15)),
                                           .payload = rd_slice(value, sizeof value)};
        }
        memcpy(value, &batch, sizeof batch);
        value[7] = 1; /* not the zeros of the first batch */
        assert_int_equal(rd_store_batch_write(store, entries, BATCH, false, NULL), RD_OK);
    }
    assert_int_equal(rd_store_delete(store, entries[7].key, NULL), RD_OK);
    put(store, entries[8].key, "again", 5);
    assert_int_equal(rd_store_len(store), BATCHES * BATCH - 1);
    rd_store_close(store);
    store = store_open(place.path);
    assert_int_equal(rd_store_len(store), BATCHES * BATCH - 1);
    for (uint64_t number = 0; number < BATCHES * BATCH; number++) {
        struct rd_key key = rd_key_of_hash((number + 1) * UINT64_C(0x9e3779b97f4a7c15));
        assert_int_equal(rd_store_exists(store, key), number != (BATCHES - 1) * BATCH + 7);
    }
    expect_bytes(store, entries[8].key, "again", 5);
    expect_bytes(store, entries[9].key, value, sizeof value);
    rd_store_close(store);
    place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_copied_where_the_kernel_cannot),
        cmocka_unit_test(a_copy_that_fails_leaves_the_store_as_it_was),
        cmocka_unit_test(an_upload_needs_no_unnamed_file),
        cmocka_unit_test(a_file_that_is_replaced_while_it_is_opened_is_opened_anew),
        cmocka_unit_test(a_file_that_is_replaced_again_and_again_is_given_up),
        cmocka_unit_test(a_file_that_another_makes_meanwhile_is_opened),
        cmocka_unit_test(a_path_as_long_as_there_can_be_leaves_no_room_for_companions),
        cmocka_unit_test(a_path_that_is_too_long_is_an_error),
        cmocka_unit_test(a_companion_that_cannot_be_replaced_is_removed_or_stays_true),
        cmocka_unit_test(many_stores_are_open_at_once),
        cmocka_unit_test(many_keys_are_all_there_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
