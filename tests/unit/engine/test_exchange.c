/* SPDX-License-Identifier: MIT
 *
 * The moment at which a new file takes the place of the old one: what a crash leaves of it, and what must be known
 * before.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

#include "engine/record.h"
#include "engine/store.h"
#include "tests/unit/engine/faults.h"
#include "tests/unit/engine/fixture.h"

static void path_of(const struct place *place, const char *ending, char ret_path[PATH_MAX])
{
    assert_true(snprintf(ret_path, PATH_MAX, "%s%s", place->path, ending) < PATH_MAX);
}

/* ---- the old file beside the new companion ---- */

static void keep(const struct place *place, const char *ending, const char *kept)
{
    char from[PATH_MAX];
    char to[PATH_MAX];
    path_of(place, ending, from);
    path_of(place, kept, to);
    assert_int_equal(link(from, to), 0);
}

static void bring_back(const struct place *place, const char *ending, const char *kept)
{
    char from[PATH_MAX];
    char to[PATH_MAX];
    path_of(place, kept, from);
    path_of(place, ending, to);
    assert_int_equal(rename(from, to), 0);
}

static void damage(const struct place *place, uint64_t offset)
{
    int fd = open(place->path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "\x5a", 1, (off_t)offset), 1);
    close(fd);
}

/* An empty file's companion says nothing of where an entry ends: it must not be taken for the old file's, whose
 * entries would then be cut at the first that is damaged, and the tombstones behind it with them. */
static void an_old_file_without_entries_stays_so(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    put_text(store, "first", "sound");
    damage(&place, put_text(store, "second", "damaged behind our back").offset);
    put_text(store, "third", "sound, too");
    assert_int_equal(rd_store_delete(store, key_named("second"), NULL), RD_OK);
    assert_int_equal(rd_store_delete(store, key_named("first"), NULL), RD_OK);
    assert_int_equal(rd_store_delete(store, key_named("third"), NULL), RD_OK);
    keep(&place, "", ".kept");
    struct rd_compacted result;
    assert_int_equal(rd_store_compact(store, &result, NULL), RD_OK);
    assert_int_equal(result.tail, 0);
    keep(&place, ".meta", ".kept-meta");
    rd_store_close(store);
    bring_back(&place, "", ".kept");
    bring_back(&place, ".meta", ".kept-meta");
    store = store_open(place.path);
    expect_missing(store, "first");
    assert_int_equal(rd_store_len(store), 0);
    put_text(store, "fourth", "goes on");
    rd_store_close(store);
    store = store_open(place.path);
    expect_text(store, "fourth", "goes on");
    assert_int_equal(rd_store_len(store), 1);
    rd_store_close(store);
    place_remove(&place);
}

/* What is written to a new file without entries is found again after a kill, whatever its companion said before.
 */
static void an_empty_new_file_is_filled_again(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    put_text(store, "gone", "not for long");
    assert_int_equal(rd_store_delete(store, key_named("gone"), NULL), RD_OK);
    struct rd_compacted result;
    assert_int_equal(rd_store_compact(store, &result, NULL), RD_OK);
    put_text(store, "key", "value");
    keep(&place, "", ".kept");
    keep(&place, ".meta", ".kept-meta");
    rd_store_close(store);
    bring_back(&place, "", ".kept");
    bring_back(&place, ".meta", ".kept-meta");
    store = store_open(place.path);
    expect_text(store, "key", "value");
    expect_missing(store, "gone");
    rd_store_close(store);
    place_remove(&place);
}

/* ---- the new file beside the old companion ---- */

static char checkpoint_path[PATH_MAX];
static bool renamed;

static int rename_without_checkpoint(void *self, const char *from, const char *to)
{
    (void)self;
    if (strstr(from, ".compact") != NULL) {
        renamed = true;
        assert_false(file_exists(checkpoint_path));
    }
    return rename(from, to);
}

/* A checkpoint tells where the old file's entries lie. Beside the new file and the old companion it is told from a
 * right one by the old file's length alone, and the new one may be as long. */
static void the_old_checkpoint_is_gone_before(void **state)
{
    (void)state;
    struct place place = place_create();
    path_of(&place, ".index", checkpoint_path);
    renamed = false;
    struct faults *faults = faults_create();
    faults->io.rename = rename_without_checkpoint;
    struct rd_store *store = open_faulty(faults, place.path, RD_DURABILITY_SYNC, 0);
    store->checkpoint_entries = 1;
    put_text(store, "dead", "value");
    put_text(store, "key", "value");
    assert_int_equal(rd_store_delete(store, key_named("dead"), NULL), RD_OK);
    rd_store_close(store);
    assert_true(file_exists(checkpoint_path));
    store = open_faulty(faults, place.path, RD_DURABILITY_SYNC, 0);
    store->checkpoint_entries = 1;
    assert_int_equal(rd_store_compact(store, NULL, NULL), RD_OK);
    assert_true(renamed);
    expect_text(store, "key", "value");
    rd_store_close(store);
    assert_true(file_exists(checkpoint_path)); /* the new file's */
    store = store_open(place.path);
    expect_text(store, "key", "value");
    rd_store_close(store);
    faults_destroy(faults);
    place_remove(&place);
}

static int keep_companion(void *self, const char *path)
{
    (void)self;
    if (strstr(path, ".meta") == NULL)
        return unlink(path);
    errno = EIO;
    return -1;
}

/* A young store's companion says no more than where its first entry ends: beside the new file, whose first entry
 * is another, all would be cut. It must have been replaced or removed before. */
static void a_companion_that_stays_bars_the_exchange(void **state)
{
    (void)state;
    struct place place = place_create();
    struct faults *faults = faults_create();
    faults->io.unlink = keep_companion;
    struct rd_store *store = open_faulty(faults, place.path, RD_DURABILITY_NONE, 0);
    put_text(store, "dead", "a value that was the first");
    put_text(store, "key", "value");
    assert_int_equal(rd_store_delete(store, key_named("dead"), NULL), RD_OK);
    struct rd_store_info before;
    rd_store_info(store, &before);
    faults_set(faults, CALL_FSYNC, 0, FOR_EVER, EIO);
    struct rd_error error = {.status = RD_OK};
    assert_int_equal(rd_store_compact(store, NULL, &error), RD_IO_ERROR);
    assert_non_null(strstr(error.message, "companion"));
    faults_set(faults, CALL_FSYNC, 0, 0, 0);
    struct rd_store_info after;
    rd_store_info(store, &after);
    assert_int_equal(after.state, RD_STORE_OPEN);
    assert_true(after.generation == before.generation && after.tail == before.tail);
    assert_int_equal(rd_store_compact(store, NULL, NULL), RD_OK);
    expect_text(store, "key", "value");
    expect_missing(store, "dead");
    rd_store_close(store);
    faults_destroy(faults);
    place_remove(&place);
}

/* ---- the name ---- */

/* In the place of a link, or of another file, the new file would not be this store. */
static void only_the_stores_own_name_is_given_to_the_new_file(void **state)
{
    (void)state;
    struct place place = place_create();
    char link_path[PATH_MAX];
    char moved_path[PATH_MAX];
    path_of(&place, ".link", link_path);
    path_of(&place, ".moved", moved_path);
    rd_store_close(store_open(place.path));
    assert_int_equal(symlink(place.path, link_path), 0);
    struct rd_store *store = store_open(link_path);
    put_text(store, "key", "value");
    struct rd_error error = {.status = RD_OK};
    assert_int_equal(rd_store_compact(store, NULL, &error), RD_IO_ERROR);
    assert_int_equal(error.os_errno, ELOOP);
    put_text(store, "more", "value");
    rd_store_close(store);

    store = store_open(place.path);
    expect_text(store, "more", "value");
    assert_int_equal(rename(place.path, moved_path), 0);
    assert_int_equal(rd_store_compact(store, NULL, &error), RD_IO_ERROR);
    int fd = open(place.path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(rd_store_compact(store, NULL, &error), RD_IO_ERROR);
    assert_non_null(strstr(error.message, "another file"));
    put_text(store, "again", "value");
    assert_int_equal(rename(moved_path, place.path), 0);
    assert_int_equal(rd_store_compact(store, NULL, &error), RD_OK);
    expect_text(store, "again", "value");
    rd_store_close(store);
    place_remove(&place);
}

/* ---- a page that cannot be read ---- */

#define PAGE_LEN 4096u
#define LONG_LEN (8u * PAGE_LEN)

static uint64_t unreadable_at; /* the page of the next map that cannot be read; 0: none */
static int empty_fd;

/* Maps no more than is needed, so that the next append needs another map. */
static void *map_tightly(void *self, size_t len, int fd)
{
    (void)self;
    struct stat found;
    assert_int_equal(fstat(fd, &found), 0);
    if (len > (size_t)found.st_size + LONG_LEN + PAGE_LEN) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    char *base = rd_io_system.mmap(NULL, len, fd);
    if (base != MAP_FAILED && unreadable_at != 0)
        assert_true(mmap(base + unreadable_at, PAGE_LEN, PROT_READ, MAP_SHARED | MAP_FIXED, empty_fd, 0) ==
                    base + unreadable_at);
    unreadable_at = 0;
    return base;
}

static void open_empty(const struct place *place)
{
    char path[PATH_MAX];
    path_of(place, ".empty", path);
    empty_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(empty_fd >= 0);
    assert_int_equal(unlink(path), 0);
}

/* The map that a walk looks at may have been replaced when the walk is over: what could not be read there is no
 * less missing. */
static void what_an_earlier_map_could_not_read_is_not_copied(void **state)
{
    (void)state;
    assert_true(rd_guard_install());
    struct place place = place_create();
    static uint8_t bytes[LONG_LEN];
    memset(bytes, 'x', sizeof bytes);
    struct rd_store *store = store_open(place.path);
    struct rd_written written = put(store, key_named("long"), bytes, sizeof bytes);
    rd_store_close(store);

    open_empty(&place);
    struct faults *faults = faults_create();
    faults->io.mmap = map_tightly;
    unreadable_at = (written.offset + 2 * PAGE_LEN) / PAGE_LEN * PAGE_LEN;
    store = open_faulty(faults, place.path, RD_DURABILITY_SYNC, 0);
    struct rd_compaction *compaction;
    assert_int_equal(rd_compaction_begin(store, &compaction, NULL), RD_OK);
    put(store, key_named("longer"), bytes, sizeof bytes); /* this takes another map */
    uint64_t moved;
    bool done = false;
    struct rd_error error = {.status = RD_OK};
    enum rd_status status = RD_OK;
    while (status == RD_OK && !done)
        status = rd_compaction_step(compaction, UINT64_MAX, &moved, &done, &error);
    assert_int_equal(status, RD_IO_ERROR);
    rd_compaction_end(compaction);
    expect_bytes(store, key_named("long"), bytes, sizeof bytes);
    rd_store_close(store);
    close(empty_fd);
    faults_destroy(faults);
    place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_old_file_without_entries_stays_so),
        cmocka_unit_test(an_empty_new_file_is_filled_again),
        cmocka_unit_test(the_old_checkpoint_is_gone_before),
        cmocka_unit_test(a_companion_that_stays_bars_the_exchange),
        cmocka_unit_test(only_the_stores_own_name_is_given_to_the_new_file),
        cmocka_unit_test(what_an_earlier_map_could_not_read_is_not_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
