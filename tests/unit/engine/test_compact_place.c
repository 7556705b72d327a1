/* SPDX-License-Identifier: MIT
 *
 * Where a compaction puts its new file, and whose it is then.
 */
#include <errno.h>
#include <unistd.h>

#include "engine/store.h"
#include "tests/unit/engine/fixture.h"

/* ---- the place -------------------------------------------------------------------------------------------- */

/* Ours is moved away, and something that was never looked at lies in its place. Where it is armed that comes
 * between the two moments for which the writer is held up, with the sync of the new file. */
struct taker {
    struct rd_io io;
    const struct rd_store *store; /* borrows; NULL: it is not armed */
    const char *path;             /* borrows, as the next */
    const char *moved;
};

static void take_place(struct taker *taker)
{
    assert_int_equal(rename(taker->path, taker->moved), 0);
    rd_file_write(taker->path, rd_slice_of_string("somebody's"));
    taker->store = NULL;
}

static int take_at_sync(void *self, int fd)
{
    struct taker *taker = self;
    if (taker->store != NULL && taker->store->compaction_holds)
        take_place(taker);
    return rd_io_system.fdatasync(NULL, fd);
}

static void others_take_its_place(bool late)
{
    struct place place = place_create();
    char *moved = rd_path(place.folder, "moved");
    struct taker taker = {.io = rd_io_system, .path = place.path, .moved = moved};
    taker.io.self = &taker;
    taker.io.fdatasync = take_at_sync;
    struct rd_store *store =
        store_open_with(place.path, (struct rd_store_options){.create = true, .io = &taker.io});
    put_text(store, "key", "old");
    put_text(store, "key", "new");
    struct rd_compaction *compaction;
    assert_int_equal(rd_compaction_begin(store, &compaction, NULL), RD_OK);
    if (late)
        taker.store = store;
    else
        take_place(&taker);
    enum rd_status status = RD_OK;
    bool done = false;
    for (uint64_t bytes; status == RD_OK && !done;)
        status = rd_compaction_step(compaction, 1, &bytes, &done, NULL);
    assert_int_equal(status, RD_IO_ERROR);
    assert_null(taker.store);
    rd_compaction_end(compaction);
    expect_file(place.path, rd_slice_of_string("somebody's"));
    put_text(store, "key", "newer");
    expect_text(store, "key", "newer");
    rd_store_close(store);
    free(moved);
    place_remove(&place);
}

static void what_others_put_in_its_place_stays(void **state)
{
    (void)state;
    others_take_its_place(false);
    others_take_its_place(true);
}

/* ---- the owner -------------------------------------------------------------------------------------------- */

static void expect_owner(const struct place *place, const char *name, uid_t owner, gid_t group, mode_t mode)
{
    char *path = rd_path(place->folder, name);
    struct stat found;
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(found.st_uid, owner);
    assert_int_equal(found.st_gid, group);
    assert_int_equal(found.st_mode & 0777, mode);
    free(path);
}

/* Root may do offline what a daemon's user is to open; nobody else may give files away. */
static void the_new_file_belongs_to_whom_the_old_one_does(void **state)
{
    (void)state;
    struct place place = place_create();
    bool root = geteuid() == 0;
    uid_t owner = root ? 12345 : geteuid();
    gid_t group = root ? 54321 : getegid();
    struct rd_store *store = store_open(place.path);
    put_text(store, "key", "old");
    put_text(store, "key", "new");
    assert_int_equal(chmod(place.path, 0664), 0);
    assert_int_equal(chown(place.path, owner, group), 0);
    mode_t mask = umask(0077);
    assert_int_equal(rd_store_compact(store, NULL, NULL), RD_OK);
    umask(mask);
    expect_owner(&place, "store.rdr", owner, group, 0664);
    expect_owner(&place, "store.rdr.meta", owner, group, 0600);
    store->checkpoint_entries = 1;
    rd_store_close(store);
    expect_owner(&place, "store.rdr.meta", owner, group, 0600);
    expect_owner(&place, "store.rdr.index", owner, group, 0600);
    place_remove(&place);
}

/* The store's file seems to be somebody else's, and nothing can be given away. */
struct stranger {
    struct rd_io io;
    ino_t file;
    bool owns; /* else only its group is another one */
};

static int fstat_of_stranger(void *self, int fd, struct stat *ret_stat)
{
    const struct stranger *stranger = self;
    int result = rd_io_system.fstat(NULL, fd, ret_stat);
    if (result == 0 && ret_stat->st_ino == stranger->file) {
        ret_stat->st_gid++;
        ret_stat->st_uid += stranger->owns;
    }
    return result;
}

static int no_fchown(void *self, int fd, uid_t owner, gid_t group)
{
    (void)self;
    (void)fd;
    (void)owner;
    (void)group;
    errno = EPERM;
    return -1;
}

static void compact_for_stranger(bool owns, enum rd_status expected, mode_t mode)
{
    struct place place = place_create();
    struct stranger stranger = {.io = rd_io_system, .owns = owns};
    stranger.io.self = &stranger;
    stranger.io.fstat = fstat_of_stranger;
    stranger.io.fchown = no_fchown;
    struct rd_store *store =
        store_open_with(place.path, (struct rd_store_options){.create = true, .io = &stranger.io});
    put_text(store, "key", "value");
    struct stat found;
    assert_int_equal(stat(place.path, &found), 0);
    stranger.file = found.st_ino;
    assert_int_equal(chmod(place.path, 0664), 0);
    assert_int_equal(rd_store_compact(store, NULL, NULL), expected);
    expect_owner(&place, "store.rdr", geteuid(), found.st_gid, mode);
    char *leftover = rd_path(place.folder, "store.rdr.compact");
    assert_int_equal(access(leftover, F_OK), -1);
    put_text(store, "key", "goes on");
    expect_text(store, "key", "goes on");
    rd_store_close(store);
    free(leftover);
    place_remove(&place);
}

/* Another group is not let in by what the old one was allowed; a file that its owner could not open is not made.
 */
static void who_may_give_nothing_away_keeps_it_closed(void **state)
{
    (void)state;
    compact_for_stranger(false, RD_OK, 0600);
    compact_for_stranger(true, RD_IO_ERROR, 0664);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_others_put_in_its_place_stays),
        cmocka_unit_test(the_new_file_belongs_to_whom_the_old_one_does),
        cmocka_unit_test(who_may_give_nothing_away_keeps_it_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
