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
#define BOUND     (8 * MIB) /* of a process with little memory */
#define STEP      MIB       /* appended at a time */
#define SLICE     (8 * MIB) /* placed at a time */
#define LONG_LEN  (40 * MIB)
#define FILES_MAX 1024

/* Of one descriptor. */
struct account {
    uint64_t begin; /* where its first long write went; 0: none did */
    uint64_t end;
    uint64_t awaited; /* all of it below was waited for */
    uint64_t started;
    uint64_t dropped;
    uint64_t unwritten_most;
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
    if ((uint64_t)(offset + len) <= account->awaited)
        return 0;
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

static struct accountant *accountant_create(void)
{
    struct accountant *accountant = calloc(1, sizeof *accountant);
    assert_non_null(accountant);
    pthread_mutex_init(&accountant->lock, NULL);
    accountant->io = rd_io_system;
    accountant->io.self = accountant;
    accountant->io.open = counted_open;
    accountant->io.pwritev = counted_pwritev;
    accountant->io.copy_range = counted_copy_range;
    accountant->io.start_writeback = counted_start;
    accountant->io.await_writeback = counted_await;
    accountant->io.drop_cache = counted_drop;
    accountant->io.fdatasync = no_sync;
    accountant->io.fsync = no_sync;
    return accountant;
}

static struct rd_store *open_counted(const struct accountant *accountant, const char *path, uint64_t memory_bytes)
{
    return store_open_with(path, (struct rd_store_options){.create = true,
                                                           .durability = RD_DURABILITY_NONE,
                                                           .memory_bytes = memory_bytes,
                                                           .io = &accountant->io});
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
    struct place place = place_create();
    struct accountant *accountant = accountant_create();
    struct rd_store *store = open_counted(accountant, place.path, 64 * MIB);
    struct rd_spool *spool;
    assert_int_equal(rd_spool_create(store, &spool), RD_OK);
    assert_int_equal(fill(spool, LONG_LEN), RD_OK);
    const struct account *account = account_of(accountant, spool->fd);
    assert_int_equal(account->end, LONG_LEN);
    assert_true(account->unwritten_most > BOUND / 2 && account->unwritten_most <= BOUND + STEP);
    assert_true(account->dropped >= LONG_LEN - BOUND && account->dropped == account->awaited);
    rd_spool_destroy(spool);
    rd_store_close(store);
    free(accountant);
    place_remove(&place);
}

/* It will be gone before the kernel would write it out by itself. */
static void a_spool_below_the_bound_is_not_the_disks(void **state)
{
    (void)state;
    struct place place = place_create();
    struct accountant *accountant = accountant_create();
    struct rd_store *store = open_counted(accountant, place.path, 1024 * MIB);
    struct rd_spool *spool;
    assert_int_equal(rd_spool_create(store, &spool), RD_OK);
    assert_int_equal(fill(spool, LONG_LEN), RD_OK);
    assert_int_equal(account_of(accountant, spool->fd)->started, 0);
    struct rd_placement *placement = rd_spool_place(spool);
    assert_non_null(placement);
    assert_int_equal(account_of(accountant, spool->fd)->dropped, 0); /* that would have the kernel write it out */
    rd_placement_destroy(placement);
    rd_spool_destroy(spool);
    rd_store_close(store);
    free(accountant);
    place_remove(&place);
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

/* The account that is left is of the descriptor that the value was placed through. */
static const struct account *account_of_placing(struct accountant *accountant, const struct rd_spool *spool)
{
    for (int fd = 0; fd < FILES_MAX; fd++)
        if (fd != spool->fd && accountant->files[fd].end >= LONG_LEN)
            return &accountant->files[fd];
    fail_msg("nothing was placed");
    return NULL;
}

/* forgotten: memory cannot hold the value. */
static void check_placing(uint64_t memory_bytes, bool forgotten)
{
    struct place place = place_create();
    struct accountant *accountant = accountant_create();
    struct rd_store *store = open_counted(accountant, place.path, memory_bytes);
    struct rd_spool *spool;
    assert_int_equal(rd_spool_create(store, &spool), RD_OK);
    assert_int_equal(fill(spool, LONG_LEN), RD_OK);
    struct rd_placement *placement = rd_spool_place(spool);
    assert_non_null(placement);
    const struct account *account = account_of_placing(accountant, spool);
    assert_int_equal(account->end - account->begin, LONG_LEN);
    assert_int_equal(account->started, account->end); /* the sync behind it has little to do */
    assert_true(account->unwritten_most <= BOUND + SLICE);
    assert_int_equal(account->dropped, forgotten ? account->awaited : account->begin);

    struct rd_entry entry = {.key = rd_key_of_hash(7)};
    struct rd_op op = {
        .kind = RD_OP_STREAM, .entries = &entry, .entry_count = 1, .spool = spool, .placement = placement};
    assert_int_equal(rd_store_execute(store, &op), RD_OK);
    expect_long(store, rd_key_of_hash(7));
    rd_placement_destroy(placement);
    rd_spool_destroy(spool);
    rd_store_close(store);
    free(accountant);
    place_remove(&place);
}

static void placing_waits_for_the_disk(void **state)
{
    (void)state;
    check_placing(128 * MIB, false);
}

static void what_memory_cannot_hold_is_forgotten_once_placed(void **state)
{
    (void)state;
    check_placing(64 * MIB, true);
}

/* The region ahead of the tail is another value's, so this one is appended by the writer. */
static void appending_waits_for_the_disk(void **state)
{
    (void)state;
    struct place place = place_create();
    struct accountant *accountant = accountant_create();
    struct rd_store *store = open_counted(accountant, place.path, 64 * MIB);
    struct rd_spool *spools[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(rd_spool_create(store, &spools[i]), RD_OK);
        assert_int_equal(fill(spools[i], LONG_LEN), RD_OK);
    }
    struct rd_placement *placement = rd_spool_place(spools[0]);
    assert_non_null(placement);
    assert_null(rd_spool_place(spools[1]));
    struct rd_entry entry = {.key = rd_key_of_hash(8)};
    struct rd_op op = {.kind = RD_OP_STREAM, .entries = &entry, .entry_count = 1, .spool = spools[1]};
    assert_int_equal(rd_store_execute(store, &op), RD_OK);
    const struct account *account = account_of(accountant, store->file.fd);
    assert_int_equal(account->end - account->begin, LONG_LEN);
    assert_true(account->unwritten_most >= SLICE && account->unwritten_most <= BOUND + SLICE);
    expect_long(store, rd_key_of_hash(8));
    rd_placement_destroy(placement);
    rd_spool_destroy(spools[0]);
    rd_spool_destroy(spools[1]);
    rd_store_close(store);
    free(accountant);
    place_remove(&place);
}

/* Its kernel may not tell of the lost page again, so the sync would find nothing wrong. */
static void a_disk_that_refuses_ends_the_spool(void **state)
{
    (void)state;
    struct place place = place_create();
    struct accountant *accountant = accountant_create();
    struct rd_store *store = open_counted(accountant, place.path, 64 * MIB);
    struct rd_spool *spool;
    assert_int_equal(rd_spool_create(store, &spool), RD_OK);
    assert_int_equal(fill(spool, BOUND), RD_OK);
    accountant->disk_errno = EIO;
    assert_int_equal(fill(spool, 2 * STEP), RD_IO_ERROR);
    accountant->disk_errno = 0;
    assert_int_equal(fill(spool, STEP), RD_IO_ERROR);
    assert_null(rd_spool_place(spool));
    rd_spool_destroy(spool);
    rd_store_close(store);
    free(accountant);
    place_remove(&place);
}

/* Its last pages were given to the disk and not waited for; they were lost, and zeros copied in their place. */
static void a_spool_that_the_disk_has_lost_is_not_the_stores(void **state)
{
    (void)state;
    for (int placed = 0; placed < 2; placed++) {
        struct place place = place_create();
        struct accountant *accountant = accountant_create();
        struct rd_store *store = open_counted(accountant, place.path, 64 * MIB);
        struct rd_spool *spool;
        assert_int_equal(rd_spool_create(store, &spool), RD_OK);
        assert_int_equal(fill(spool, LONG_LEN), RD_OK);
        accountant->refusing_fd = spool->fd;
        struct rd_entry entry = {.key = rd_key_of_hash(7)};
        struct rd_op op = {.kind = RD_OP_STREAM, .entries = &entry, .entry_count = 1, .spool = spool};
        if (placed != 0)
            assert_null(rd_spool_place(spool));
        else
            assert_int_equal(rd_store_execute(store, &op), RD_NO_SPACE);
        assert_int_equal(rd_store_execute(store, &op), RD_IO_ERROR);
        expect_status(store, rd_key_of_hash(7), RD_KEY_NOT_FOUND);
        put_text(store, "another", "value");
        rd_spool_destroy(spool);
        rd_store_close(store);
        free(accountant);
        place_remove(&place);
    }
}

static void a_disk_that_refuses_ends_the_placing(void **state)
{
    (void)state;
    struct place place = place_create();
    struct accountant *accountant = accountant_create();
    struct rd_store *store = open_counted(accountant, place.path, 64 * MIB);
    struct rd_spool *spool;
    assert_int_equal(rd_spool_create(store, &spool), RD_OK);
    assert_int_equal(fill(spool, LONG_LEN), RD_OK);
    accountant->disk_errno = EIO;
    assert_null(rd_spool_place(spool));
    rd_spool_destroy(spool);
    rd_store_close(store);
    free(accountant);
    place_remove(&place);
}

/* What was lost may be an answered write's, and no sync will tell of it: so the store is read-only, also where the
 * disk says that it is full (file systems that find blocks late, and disks that do). */
static void a_disk_that_refuses_ends_the_store_that_appends(void **state)
{
    (void)state;
    static uint8_t value[LONG_LEN];
    const int errnos[] = {EIO, ENOSPC, EDQUOT, EINVAL};
    for (size_t i = 0; i < sizeof errnos / sizeof *errnos; i++) {
        struct place place = place_create();
        struct accountant *accountant = accountant_create();
        struct rd_store *store = open_counted(accountant, place.path, 64 * MIB);
        put_text(store, "answered", "value");
        accountant->disk_errno = errnos[i];
        struct rd_entry entry = {.key = rd_key_of_hash(9), .payload = rd_slice(value, sizeof value)};
        struct rd_op op = {.kind = RD_OP_WRITE, .entries = &entry, .entry_count = 1};
        assert_int_equal(rd_store_execute(store, &op), RD_IO_ERROR);
        accountant->disk_errno = 0;
        struct rd_store_info info;
        rd_store_info(store, &info);
        assert_int_equal(info.state, RD_STORE_READ_ONLY);
        assert_int_equal(store->file.size, info.tail);
        expect_text(store, "answered", "value");
        rd_store_close(store);
        free(accountant);
        place_remove(&place);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bound_is_a_share_of_memory),
        cmocka_unit_test(a_spool_waits_for_the_disk_and_is_forgotten),
        cmocka_unit_test(a_spool_below_the_bound_is_not_the_disks),
        cmocka_unit_test(placing_waits_for_the_disk),
        cmocka_unit_test(what_memory_cannot_hold_is_forgotten_once_placed),
        cmocka_unit_test(appending_waits_for_the_disk),
        cmocka_unit_test(a_disk_that_refuses_ends_the_spool),
        cmocka_unit_test(a_spool_that_the_disk_has_lost_is_not_the_stores),
        cmocka_unit_test(a_disk_that_refuses_ends_the_placing),
        cmocka_unit_test(a_disk_that_refuses_ends_the_store_that_appends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
