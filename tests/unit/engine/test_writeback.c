/* SPDX-License-Identifier: MIT
 *
 * How much of a long value on its way into a store is in memory alone: as the system calls tell, whose table here
 * keeps account of what was written and what was waited for.
 */
#include <errno.h>

#include "engine/spool.h"
#include "engine/store.h"
#include "engine/writeback.h"
#include "tests/unit/engine/fixture.h"

#define MIB       (UINT64_C(1) << 20)
#define BOUND     (8 * MIB)    /* of a process with little memory */
#define STEP      MIB          /* appended at a time */
#define SLICE     (8 * MIB)    /* placed at a time */
#define SYNC_MAX  (32 * MIB)   /* of a placed value, unwritten: a sync beside it waits for that */
#define PLENTY    (4096 * MIB) /* of memory: the bound is above LONG_LEN */
#define LONG_LEN  (64 * MIB)
#define FILES_MAX 1024

/* Of one descriptor. */
struct account {
    uint64_t begin; /* where its first long write went; 0: none did */
    uint64_t end;
    uint64_t awaited; /* all of it below was waited for */
    uint64_t started;
    uint64_t dropped;
    uint64_t unwritten_most;
    unsigned syncs;
};

struct accountant {
    struct rd_io io;
    pthread_mutex_t lock; /* guards the rest */
    struct account files[FILES_MAX];
    int disk_errno;  /* what the disk says to all that it is to write; 0: it works */
    int refusing_fd; /* one that it has lost pages of, with ENOSPC; 0: none */
};

static struct account *account_of(struct accountant *accountant, int fd)
{
    assert_in_range(fd, 0, FILES_MAX - 1);
    return &accountant->files[fd];
}

static void note_written(struct accountant *accountant, int fd, uint64_t offset, uint64_t len)
{
    struct account *account = account_of(accountant, fd);
    pthread_mutex_lock(&accountant->lock);
    if (account->end == 0)
        *account = (struct account){.begin = offset, .awaited = offset, .started = offset, .dropped = offset};
    account->end = offset + len;
    uint64_t unwritten = account->end - account->awaited;
    if (unwritten > account->unwritten_most)
        account->unwritten_most = unwritten;
    pthread_mutex_unlock(&accountant->lock);
}

static int counted_open(void *self, const char *path, int flags, mode_t mode)
{
    struct accountant *accountant = self;
    int fd = rd_io_system.open(NULL, path, flags, mode);
    if (fd >= 0)
        *account_of(accountant, fd) = (struct account){.end = 0};
    return fd;
}

static ssize_t counted_pwritev(void *self, int fd, const struct iovec *parts, int part_count, off_t offset)
{
    ssize_t written = rd_io_system.pwritev(NULL, fd, parts, part_count, offset);
    if (written >= (ssize_t)(256 << 10)) /* of a value */
        note_written(self, fd, (uint64_t)offset, (uint64_t)written);
    return written;
}

static ssize_t counted_copy_range(void *self, int from_fd, off_t from_offset, int to_fd, off_t to_offset,
                                  size_t len)
{
    ssize_t copied = rd_io_system.copy_range(NULL, from_fd, from_offset, to_fd, to_offset, len);
    if (copied > 0)
        note_written(self, to_fd, (uint64_t)to_offset, (uint64_t)copied);
    return copied;
}

static int counted_start(void *self, int fd, off_t offset, off_t len)
{
    struct account *account = account_of(self, fd);
    if (account->end != 0) {
        assert_int_equal((uint64_t)offset, account->started);
        account->started += (uint64_t)len;
    }
    return 0;
}

static int counted_await(void *self, int fd, off_t offset, off_t len)
{
    struct accountant *accountant = self;
    struct account *account = account_of(accountant, fd);
    if (accountant->disk_errno != 0) {
        errno = accountant->disk_errno;
        return -1;
    }
    if (accountant->refusing_fd != 0 && accountant->refusing_fd == fd) {
        accountant->refusing_fd = 0; /* a kernel tells once */
        errno = ENOSPC;
        return -1;
    }
    if ((uint64_t)(offset + len) <= account->awaited || (uint64_t)offset >= account->end)
        return 0; /* there is nothing to wait for */
    assert_int_equal((uint64_t)offset, account->awaited);
    assert_true((uint64_t)(offset + len) <= account->started); /* the disk has long begun */
    account->awaited += (uint64_t)len;
    return 0;
}

static int counted_drop(void *self, int fd, off_t offset, off_t len)
{
    struct account *account = account_of(self, fd);
    if (account->end != 0 && (uint64_t)offset == account->dropped) {
        assert_true((uint64_t)(offset + len) <= account->awaited); /* or the kernel would write it out */
        account->dropped += (uint64_t)len;
    }
    return 0;
}

static int counted_sync(void *self, int fd)
{
    struct accountant *accountant = self;
    pthread_mutex_lock(&accountant->lock);
    account_of(accountant, fd)->syncs++;
    pthread_mutex_unlock(&accountant->lock);
    return 0;
}

/* The page cache is what this is about. */
static int no_direct(void *self, int fd, bool direct)
{
    (void)self;
    (void)fd;
    (void)direct;
    errno = EINVAL;
    return -1;
}

static struct accountant *accountant_create(void)
{
    struct accountant *accountant = calloc(1, sizeof *accountant);
    assert_non_null(accountant);
    pthread_mutex_init(&accountant->lock, NULL);
    accountant->io = rd_io_system;
    accountant->io.self = accountant;
    accountant->io.open = counted_open;
    accountant->io.set_direct = no_direct;
    accountant->io.pwritev = counted_pwritev;
    accountant->io.copy_range = counted_copy_range;
    accountant->io.start_writeback = counted_start;
    accountant->io.await_writeback = counted_await;
    accountant->io.drop_cache = counted_drop;
    accountant->io.fdatasync = counted_sync;
    accountant->io.fsync = no_sync;
    return accountant;
}

/* A store on such a table, and a spool of it. */
struct scene {
    struct place place;
    struct accountant *accountant;
    struct rd_store *store;
    struct rd_spool *spool;
};

static struct scene scene_of(uint64_t memory_bytes, enum rd_durability durability)
{
    struct scene scene = {.place = place_create(), .accountant = accountant_create()};
    scene.store = store_open_with(scene.place.path, (struct rd_store_options){.create = true,
                                                                              .durability = durability,
                                                                              .memory_bytes = memory_bytes,
                                                                              .io = &scene.accountant->io});
    assert_int_equal(rd_spool_create(scene.store, &scene.spool), RD_OK);
    return scene;
}

/* One that needs not be synced, in so much memory. */
static struct scene scene_in(uint64_t memory_bytes)
{
    return scene_of(memory_bytes, RD_DURABILITY_NONE);
}

static void scene_end(struct scene *scene)
{
    rd_spool_destroy(scene->spool);
    rd_store_close(scene->store);
    pthread_mutex_destroy(&scene->accountant->lock);
    free(scene->accountant);
    place_remove(&scene->place);
}

static enum rd_status fill(struct rd_spool *spool, uint64_t len)
{
    static uint8_t step[STEP];
    enum rd_status status = RD_OK;
    for (uint64_t done = 0; done < len && status == RD_OK; done += STEP) {
        memset(step, (int)(done / STEP) + 1, sizeof step);
        status = rd_spool_append(spool, rd_slice(step, sizeof step));
    }
    return status;
}

static void a_bound_is_a_share_of_memory(void **state)
{
    (void)state;
    assert_int_equal(rd_writeback_bound(1 << 20), BOUND);
    assert_int_equal(rd_writeback_bound(256 * MIB), 16 * MIB);
    assert_int_equal(rd_writeback_bound(24576 * MIB), 1536 * MIB);
}

static void a_spool_waits_for_the_disk_and_is_forgotten(void **state)
{
    (void)state;
    struct scene scene = scene_in(64 * MIB);
    assert_int_equal(fill(scene.spool, LONG_LEN), RD_OK);
    const struct account *account = account_of(scene.accountant, scene.spool->own.fd);
    assert_int_equal(account->end, LONG_LEN);
    assert_true(account->unwritten_most > BOUND / 2 && account->unwritten_most <= BOUND + STEP);
    assert_true(account->dropped >= LONG_LEN - BOUND && account->dropped == account->awaited);
    scene_end(&scene);
}

/* It will be gone before the kernel would write it out by itself. */
static void a_spool_below_the_bound_is_not_the_disks(void **state)
{
    (void)state;
    struct scene scene = scene_in(PLENTY);
    assert_int_equal(fill(scene.spool, LONG_LEN), RD_OK);
    const struct account *account = account_of(scene.accountant, scene.spool->own.fd);
    assert_int_equal(account->started, 0);
    struct rd_placement *placement = rd_spool_place(scene.spool, RD_DURABILITY_DEFAULT);
    assert_non_null(placement);
    assert_int_equal(account->dropped, 0); /* that would have the kernel write it out */
    rd_placement_destroy(placement);
    scene_end(&scene);
}

static void expect_long(struct rd_store *store, struct rd_key key)
{
    struct rd_value found;
    assert_int_equal(rd_store_read(store, key, &found), RD_OK);
    assert_int_equal(found.payload.len, LONG_LEN);
    for (uint64_t at = 0; at < LONG_LEN; at += STEP / 2)
        assert_int_equal(found.payload.data[at], at / STEP + 1);
    rd_value_release(&found);
}

static void commit(struct scene *scene, struct rd_placement *placement)
{
    struct rd_entry entry = {.key = rd_key_of_hash(7)};
    struct rd_op op = {
        .kind = RD_OP_STREAM, .entries = &entry, .entry_count = 1, .spool = scene->spool, .placement = placement};
    assert_int_equal(rd_store_execute(scene->store, &op), RD_OK);
    rd_placement_destroy(placement);
    expect_long(scene->store, rd_key_of_hash(7));
}

/* The account that is left is of the descriptor that the value was placed through. */
static const struct account *account_of_placing(struct accountant *accountant, const struct rd_spool *spool)
{
    for (int fd = 0; fd < FILES_MAX; fd++)
        if (fd != spool->own.fd && accountant->files[fd].end >= LONG_LEN)
            return &accountant->files[fd];
    fail_msg("nothing was placed");
    return NULL;
}

/* forgotten: memory cannot hold the value. */
static void check_placing(uint64_t memory_bytes, enum rd_durability durability, bool forgotten)
{
    struct scene scene = scene_in(memory_bytes);
    assert_int_equal(fill(scene.spool, LONG_LEN), RD_OK);
    struct rd_placement *placement = rd_spool_place(scene.spool, durability);
    assert_non_null(placement);
    const struct account *account = account_of_placing(scene.accountant, scene.spool);
    assert_int_equal(account->end - account->begin, LONG_LEN);
    assert_true(account->unwritten_most <= BOUND + SLICE);
    assert_int_equal(account->dropped, forgotten ? account->awaited : account->begin);
    if (durability == RD_DURABILITY_SYNC)
        assert_int_equal(account->started, account->end); /* the sync behind it has little to do */
    commit(&scene, placement);
    scene_end(&scene);
}

static void placing_waits_for_the_disk(void **state)
{
    (void)state;
    check_placing(128 * MIB, RD_DURABILITY_SYNC, false);
    check_placing(128 * MIB, RD_DURABILITY_NONE, false);
}

static void what_memory_cannot_hold_is_forgotten_once_placed(void **state)
{
    (void)state;
    check_placing(64 * MIB, RD_DURABILITY_SYNC, true);
    check_placing(64 * MIB, RD_DURABILITY_NONE, true);
}

/* The writer has no long sync to do where anybody may ask for one, and nobody waits for the disk where none does.
 */
static void a_value_is_synced_where_it_is_placed_if_any_sync_is_wanted(void **state)
{
    (void)state;
    static const struct {
        enum rd_durability store, operation;
        bool synced;
    } cases[] = {
        {RD_DURABILITY_SYNC, RD_DURABILITY_DEFAULT, true},     {RD_DURABILITY_SYNC, RD_DURABILITY_NONE, true},
        {RD_DURABILITY_INTERVAL, RD_DURABILITY_DEFAULT, true}, {RD_DURABILITY_INTERVAL, RD_DURABILITY_NONE, true},
        {RD_DURABILITY_NONE, RD_DURABILITY_SYNC, true},        {RD_DURABILITY_NONE, RD_DURABILITY_NONE, false},
        {RD_DURABILITY_NONE, RD_DURABILITY_DEFAULT, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scene scene = scene_of(PLENTY, cases[i].store);
        assert_int_equal(fill(scene.spool, LONG_LEN), RD_OK);
        struct rd_placement *placement = rd_spool_place(scene.spool, cases[i].operation);
        assert_non_null(placement);
        const struct account *account = account_of_placing(scene.accountant, scene.spool);
        assert_int_equal(account->syncs, cases[i].synced ? 1 : 0);
        assert_int_equal(account->started, cases[i].synced ? account->end : account->begin);
        assert_true(account->unwritten_most <= (cases[i].synced ? SYNC_MAX + SLICE : LONG_LEN));
        commit(&scene, placement);
        scene_end(&scene);
    }
}

/* The region ahead of the tail is another value's, so this one is appended by the writer. */
static void appending_waits_for_the_disk(void **state)
{
    (void)state;
    struct scene scene = scene_in(64 * MIB);
    struct rd_spool *first;
    assert_int_equal(rd_spool_create(scene.store, &first), RD_OK);
    assert_int_equal(fill(first, LONG_LEN), RD_OK);
    assert_int_equal(fill(scene.spool, LONG_LEN), RD_OK);
    struct rd_placement *placement = rd_spool_place(first, RD_DURABILITY_DEFAULT);
    assert_non_null(placement);
    assert_null(rd_spool_place(scene.spool, RD_DURABILITY_DEFAULT));
    commit(&scene, NULL);
    const struct account *account = account_of(scene.accountant, scene.store->file.fd);
    assert_int_equal(account->end - account->begin, LONG_LEN);
    assert_true(account->unwritten_most >= SLICE && account->unwritten_most <= BOUND + SLICE);
    rd_placement_destroy(placement);
    rd_spool_destroy(first);
    scene_end(&scene);
}

/* Its kernel may not tell of the lost page again, so the sync would find nothing wrong. */
static void a_disk_that_refuses_ends_the_spool(void **state)
{
    (void)state;
    struct scene scene = scene_in(64 * MIB);
    assert_int_equal(fill(scene.spool, BOUND), RD_OK);
    scene.accountant->disk_errno = EIO;
    assert_int_equal(fill(scene.spool, 2 * STEP), RD_IO_ERROR);
    scene.accountant->disk_errno = 0;
    assert_int_equal(fill(scene.spool, STEP), RD_IO_ERROR);
    assert_null(rd_spool_place(scene.spool, RD_DURABILITY_DEFAULT));
    scene_end(&scene);
}

/* They were lost, and zeros copied in their place: pages that were given to the disk and not waited for, or that
 * it was never told of and the kernel wrote out by itself. */
static void a_spool_that_the_disk_has_lost_is_not_the_stores(void **state)
{
    (void)state;
    static const struct {
        uint64_t len;
        bool placed;
    } cases[] = {{LONG_LEN, false}, {LONG_LEN, true}, {MIB, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scene scene = scene_in(64 * MIB);
        assert_int_equal(fill(scene.spool, cases[i].len), RD_OK);
        assert_int_equal(scene.spool->writeback.started == 0, cases[i].len == MIB);
        scene.accountant->refusing_fd = scene.spool->own.fd;
        struct rd_entry entry = {.key = rd_key_of_hash(7)};
        struct rd_op op = {.kind = RD_OP_STREAM, .entries = &entry, .entry_count = 1, .spool = scene.spool};
        if (cases[i].placed)
            assert_null(rd_spool_place(scene.spool, RD_DURABILITY_DEFAULT));
        else
            assert_int_equal(rd_store_execute(scene.store, &op), RD_NO_SPACE);
        assert_int_equal(rd_store_execute(scene.store, &op), RD_IO_ERROR);
        expect_status(scene.store, rd_key_of_hash(7), RD_KEY_NOT_FOUND);
        put_text(scene.store, "another", "value");
        scene_end(&scene);
    }
}

static void a_disk_that_refuses_ends_the_placing(void **state)
{
    (void)state;
    static const enum rd_durability durabilities[] = {RD_DURABILITY_NONE, RD_DURABILITY_SYNC};
    for (size_t i = 0; i < sizeof durabilities / sizeof *durabilities; i++) {
        struct scene scene = scene_in(64 * MIB);
        assert_int_equal(fill(scene.spool, LONG_LEN), RD_OK);
        scene.accountant->disk_errno = EIO;
        assert_null(rd_spool_place(scene.spool, durabilities[i]));
        scene_end(&scene);
    }
}

/* What was lost may be an answered write's, and no sync will tell of it: so the store is read-only, also where the
 * disk says that it is full (file systems that find blocks late, and disks that do). */
static void a_disk_that_refuses_ends_the_store_that_appends(void **state)
{
    (void)state;
    static uint8_t value[LONG_LEN];
    const int errnos[] = {EIO, ENOSPC, EDQUOT, EINVAL};
    for (size_t i = 0; i < sizeof errnos / sizeof *errnos; i++) {
        struct scene scene = scene_in(64 * MIB);
        put_text(scene.store, "answered", "value");
        scene.accountant->disk_errno = errnos[i];
        struct rd_entry entry = {.key = rd_key_of_hash(9), .payload = rd_slice(value, sizeof value)};
        struct rd_op op = {.kind = RD_OP_WRITE, .entries = &entry, .entry_count = 1};
        assert_int_equal(rd_store_execute(scene.store, &op), RD_IO_ERROR);
        scene.accountant->disk_errno = 0;
        struct rd_store_info info;
        rd_store_info(scene.store, &info);
        assert_int_equal(info.state, RD_STORE_READ_ONLY);
        assert_int_equal(scene.store->file.size, info.tail);
        expect_text(scene.store, "answered", "value");
        scene_end(&scene);
    }
}

/* ---- values that are appended with others ---- */

struct early {
    struct rd_io io;
    uint64_t begun; /* bytes that the disk was told of before the sync */
    uint64_t last;
};

static int note_begun(void *self, int fd, off_t offset, off_t len)
{
    struct early *early = self;
    (void)fd;
    early->begun += (uint64_t)len;
    early->last = (uint64_t)(offset + len);
    return 0;
}

/* How much the disk is told of while two values of a MiB are appended by one group. */
static struct early append_two(enum rd_durability durability)
{
    struct place place = place_create();
    struct early early = {.io = rd_io_system};
    early.io.self = &early;
    early.io.start_writeback = note_begun;
    early.io.fdatasync = no_sync;
    struct rd_store *store = store_open_with(
        place.path, (struct rd_store_options){.create = true, .durability = durability, .io = &early.io});
    uint8_t *bytes = calloc(1, MIB);
    assert_non_null(bytes);
    bytes[0] = 1;
    struct rd_entry entries[2] = {{.key = rd_key_of_hash(1), .payload = rd_slice(bytes, MIB)},
                                  {.key = rd_key_of_hash(2), .payload = rd_slice(bytes, MIB)}};
    struct rd_written written;
    assert_int_equal(rd_store_batch_write(store, entries, 2, false, &written), RD_OK);
    for (uint64_t key = 1; key <= 2; key++)
        expect_bytes(store, rd_key_of_hash(key), bytes, MIB);
    free(bytes);
    rd_store_close(store);
    place_remove(&place);
    assert_true(early.last < written.tail);
    return early;
}

static void the_disk_begins_with_a_value_before_the_next_is_copied(void **state)
{
    (void)state;
    struct early early = append_two(RD_DURABILITY_SYNC);
    assert_in_range(early.begun, 2 * (MIB - 4096), 2 * MIB); /* all but their last pages, where trailers go */
    assert_int_equal(early.last % 4096, 0);
    assert_int_equal(append_two(RD_DURABILITY_NONE).begun, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bound_is_a_share_of_memory),
        cmocka_unit_test(a_spool_waits_for_the_disk_and_is_forgotten),
        cmocka_unit_test(a_spool_below_the_bound_is_not_the_disks),
        cmocka_unit_test(placing_waits_for_the_disk),
        cmocka_unit_test(what_memory_cannot_hold_is_forgotten_once_placed),
        cmocka_unit_test(a_value_is_synced_where_it_is_placed_if_any_sync_is_wanted),
        cmocka_unit_test(appending_waits_for_the_disk),
        cmocka_unit_test(a_disk_that_refuses_ends_the_spool),
        cmocka_unit_test(a_spool_that_the_disk_has_lost_is_not_the_stores),
        cmocka_unit_test(a_disk_that_refuses_ends_the_placing),
        cmocka_unit_test(a_disk_that_refuses_ends_the_store_that_appends),
        cmocka_unit_test(the_disk_begins_with_a_value_before_the_next_is_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
