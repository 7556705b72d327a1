/* SPDX-License-Identifier: MIT
 *
 * What each durability promises, told from the order and the times of the system calls that were made.
 */
#include <stdatomic.h>
#include <unistd.h>

#include "engine/store.h"
#include "tests/unit/engine/faults.h"

static struct rd_op op_write(const struct rd_entry *entry, struct rd_sink *sink)
{
    return (struct rd_op){.kind = RD_OP_WRITE, .entries = entry, .entry_count = 1, .sink = sink};
}

/* Whether a write was made that no fdatasync has followed. */
static bool is_unsynced(struct faults *faults)
{
    pthread_mutex_lock(&faults->lock);
    bool unsynced = false;
    for (size_t i = 0; i < faults->event_count; i++) {
        if (faults->events[i].call == CALL_PWRITEV)
            unsynced = true;
        bool companion = faults->events[i].call == CALL_FSYNC && !faults->events[i].folder;
        if (faults->events[i].call == CALL_FDATASYNC || companion)
            unsynced = false;
    }
    pthread_mutex_unlock(&faults->lock);
    return unsynced;
}

/* A sink that looks at the calls made when its operations are delivered. */
struct watch {
    struct collector collector; /* first */
    struct faults *faults;
    unsigned answered_unsynced;
};

static void watch_deliver(struct rd_sink *sink, struct rd_op *first, struct rd_op *last)
{
    struct watch *watch = (struct watch *)sink;
    if (is_unsynced(watch->faults))
        watch->answered_unsynced++;
    collector_deliver(sink, first, last);
}

static void watch_init(struct watch *watch, struct faults *faults)
{
    collector_init(&watch->collector);
    watch->collector.sink.deliver = watch_deliver;
    watch->faults = faults;
    watch->answered_unsynced = 0;
}

enum { MANY = 3000 };

/* MANY writes with these durabilities in turn; returns how many deliveries found unsynced bytes. */
static unsigned write_many(struct rd_store *store, struct faults *faults, const enum rd_durability *durabilities,
                           size_t durability_count, const enum rd_durability *applied)
{
    struct watch watch;
    watch_init(&watch, faults);
    struct rd_entry entry = {.key = key_named("k"), .payload = rd_slice_of_string("value")};
    struct rd_op *ops = calloc(MANY, sizeof *ops);
    for (size_t i = 0; i < MANY; i++) {
        ops[i] = op_write(&entry, &watch.collector.sink);
        ops[i].durability = durabilities[i % durability_count];
        assert_int_equal(rd_store_submit(store, &ops[i]), RD_OK);
        if (i % 100 == 99)
            rd_store_kick(store);
    }
    rd_store_kick(store);
    collector_wait(&watch.collector, MANY);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(ops[i].status, RD_OK);
        if (applied != NULL)
            assert_int_equal(ops[i].durability_applied, applied[i % durability_count]);
    }
    free(ops);
    collector_deinit(&watch.collector);
    return watch.answered_unsynced;
}

static void sync_answers_after_an_fdatasync_that_covers_it(void **state)
{
    (void)state;
    struct place place = place_create();
    struct faults *faults = faults_create();
    struct rd_store *store = open_faulty(faults, place.path, RD_DURABILITY_SYNC, 0);
    static const enum rd_durability asked[] = {RD_DURABILITY_DEFAULT};
    static const enum rd_durability applied[] = {RD_DURABILITY_SYNC};
    assert_int_equal(write_many(store, faults, asked, 1, applied), 0);
    for (int i = 0; i < 50; i++) {
        put_text(store, "k", "v");
        assert_false(is_unsynced(faults));
    }
    rd_store_close(store);
    faults_destroy(faults);
    place_remove(&place);
}

static void many_writes_share_an_fdatasync(void **state)
{
    (void)state;
    struct place place = place_create();
    struct faults *faults = faults_create();
    struct rd_store *store = open_faulty(faults, place.path, RD_DURABILITY_SYNC, 0);
    struct watch watch;
    watch_init(&watch, faults);
    struct rd_entry entry = {.key = key_named("k"), .payload = rd_slice_of_string("value")};
    struct rd_op *ops = calloc(MANY, sizeof *ops);
    unsigned before = faults_count(faults, CALL_FDATASYNC);
    for (size_t i = 0; i < MANY; i++) {
        ops[i] = op_write(&entry, &watch.collector.sink);
        assert_int_equal(rd_store_submit(store, &ops[i]), RD_OK);
    }
    rd_store_kick(store);
    collector_wait(&watch.collector, MANY);
    assert_int_equal(watch.answered_unsynced, 0);
    /* The submitter may be held up meanwhile, and the writer begin. */
    assert_true(faults_count(faults, CALL_FDATASYNC) - before <= MANY / 100);
    rd_store_close(store);
    free(ops);
    collector_deinit(&watch.collector);
    faults_destroy(faults);
    place_remove(&place);
}

static void none_never_syncs_before_close(void **state)
{
    (void)state;
    struct place place = place_create();
    struct faults *faults = faults_create();
    struct rd_store *store = open_faulty(faults, place.path, RD_DURABILITY_NONE, 0);
    unsigned before = faults_count(faults, CALL_FDATASYNC);
    static const enum rd_durability asked[] = {RD_DURABILITY_DEFAULT};
    static const enum rd_durability applied[] = {RD_DURABILITY_NONE};
    (void)write_many(store, faults, asked, 1, applied);
    for (int i = 0; i < 50; i++)
        put_text(store, "k", "v");
    assert_int_equal(faults_count(faults, CALL_FDATASYNC), before);
    rd_store_close(store);
    assert_int_equal(faults_count(faults, CALL_FDATASYNC), before + 1);
    faults_destroy(faults);
    place_remove(&place);
}

static void an_operation_may_ask_for_more_or_less_than_its_store(void **state)
{
    (void)state;
    struct place place = place_create();
    struct faults *faults = faults_create();
    struct rd_entry entry = {.key = key_named("k"), .payload = rd_slice_of_string("value")};
    struct rd_store *store = open_faulty(faults, place.path, RD_DURABILITY_NONE, 0);
    struct rd_op op = op_write(&entry, NULL);
    op.durability = RD_DURABILITY_SYNC;
    assert_int_equal(run_async(store, &op), RD_OK);
    assert_int_equal(op.durability_applied, RD_DURABILITY_SYNC);
    assert_false(is_unsynced(faults));
    rd_store_close(store);
    store = open_faulty(faults, place.path, RD_DURABILITY_SYNC, 0);
    op = op_write(&entry, NULL);
    op.durability = RD_DURABILITY_NONE;
    assert_int_equal(run_async(store, &op), RD_OK);
    assert_int_equal(op.durability_applied, RD_DURABILITY_NONE);
    assert_true(is_unsynced(faults));
    op = op_write(&entry, NULL);
    op.durability = RD_DURABILITY_INTERVAL; /* of a store alone */
    assert_int_equal(run_async(store, &op), RD_INVALID_ARGUMENT);
    rd_store_close(store);
    assert_false(is_unsynced(faults));
    faults_destroy(faults);
    place_remove(&place);
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Deletes the key with these durabilities, in one group; the last finds nothing any more. */
static void delete_twice(struct rd_store *store, struct faults *faults, enum rd_durability first,
                         enum rd_durability second)
{
    struct watch watch;
    watch_init(&watch, faults);
    struct rd_entry entry = {.key = key_named("k")};
    struct rd_op ops[2];
    for (unsigned i = 0; i < 2; i++) {
        ops[i] = (struct rd_op){.kind = RD_OP_DELETE,
                                .entries = &entry,
                                .entry_count = 1,
                                .durability = i == 0 ? first : second,
                                .sink = &watch.collector.sink};
        assert_int_equal(rd_store_submit(store, &ops[i]), RD_OK);
    }
    rd_store_kick(store);
    collector_wait(&watch.collector, 2);
    assert_int_equal(ops[0].status, RD_OK);
    assert_int_equal(ops[1].status, RD_OK);
    assert_int_equal(ops[1].count, 0);
    assert_int_equal(ops[1].durability_applied, second);
    collector_deinit(&watch.collector);
}

static void that_a_key_is_gone_is_synced_too_where_that_is_asked_for(void **state)
{
    (void)state;
    struct place place = place_create();
    struct faults *faults = faults_create();
    struct rd_store *store = open_faulty(faults, place.path, RD_DURABILITY_SYNC, 0);
    put_text(store, "k", "v");
    delete_twice(store, faults, RD_DURABILITY_NONE, RD_DURABILITY_NONE);
    assert_true(is_unsynced(faults));
    assert_int_equal(rd_store_delete(store, key_named("k"), NULL), RD_OK); /* of a group before */
    assert_false(is_unsynced(faults));
    put_text(store, "k", "v");
    delete_twice(store, faults, RD_DURABILITY_NONE, RD_DURABILITY_SYNC); /* of the same group */
    assert_false(is_unsynced(faults));
    unsigned before = faults_count(faults, CALL_FDATASYNC);
    assert_int_equal(rd_store_delete(store, key_named("k"), NULL), RD_OK);
    assert_int_equal(faults_count(faults, CALL_FDATASYNC), before); /* everything is */
    rd_store_close(store);
    faults_destroy(faults);
    place_remove(&place);
}

/* Where somebody has asked for a file's times, Linux 6.13 and later give a write that comes in the same tick of
 * the clock a finer one, which its sync writes out; else both have the tick, as with earlier ones they always do.
 * Others on the machine push the tick on, and the second may come too late for it, hence the tries. */
static void synced_writes_do_not_ask_for_the_files_times(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store =
        store_open_with(place.path, (struct rd_store_options){.create = true, .durability = RD_DURABILITY_SYNC});
    bool is_tick = false;
    for (int i = 0; i < 500 && !is_tick; i++) {
        uint64_t tick = clock_ns(CLOCK_REALTIME_COARSE);
        while (clock_ns(CLOCK_REALTIME_COARSE) == tick)
            usleep(100);
        tick = clock_ns(CLOCK_REALTIME_COARSE);
        put_text(store, "k", "of this tick");
        put_text(store, "k", "too");
        struct stat found;
        assert_int_equal(stat(place.path, &found), 0);
        is_tick = clock_ns(CLOCK_REALTIME_COARSE) == tick &&
                  (uint64_t)found.st_mtim.tv_sec * 1000000000 + (uint64_t)found.st_mtim.tv_nsec == tick;
    }
    assert_true(is_tick);
    rd_store_close(store);
    place_remove(&place);
}

/* ---- interval ---- */

enum { INTERVAL_MS = 50, SLACK_MS = 1000 }; /* slack: the machine may be busy */

static void interval_syncs_by_itself(void **state)
{
    (void)state;
    struct place place = place_create();
    struct faults *faults = faults_create();
    struct rd_store *store = open_faulty(faults, place.path, RD_DURABILITY_INTERVAL, INTERVAL_MS);
    unsigned before = faults_count(faults, CALL_FDATASYNC);
    struct rd_entry entry = {.key = key_named("k"), .payload = rd_slice_of_string("value")};
    struct rd_op op = op_write(&entry, NULL);
    uint64_t begin = now_ms();
    assert_int_equal(run_async(store, &op), RD_OK);
    assert_int_equal(op.durability_applied, RD_DURABILITY_INTERVAL);
    assert_int_equal(op.durability_interval_ms, INTERVAL_MS);
    while (is_unsynced(faults) && now_ms() - begin < INTERVAL_MS + SLACK_MS)
        usleep(1000);
    assert_false(is_unsynced(faults));
    assert_int_equal(faults_count(faults, CALL_FDATASYNC), before + 1);
    usleep(3 * INTERVAL_MS * 1000); /* nothing new: nothing to sync */
    assert_int_equal(faults_count(faults, CALL_FDATASYNC), before + 1);
    rd_store_close(store);
    assert_int_equal(faults_count(faults, CALL_FDATASYNC), before + 1);
    faults_destroy(faults);
    place_remove(&place);
}

/* The writer thread sleeps until the extension that synced writes have earned is to be cut off, while a caller
 * commits its own write. */
static void interval_syncs_by_itself_though_the_writer_waits_for_something_later(void **state)
{
    (void)state;
    struct place place = place_create();
    struct faults *faults = faults_create();
    struct rd_store *store = open_faulty(faults, place.path, RD_DURABILITY_INTERVAL, INTERVAL_MS);
    struct rd_entry entry = {.key = key_named("k"), .payload = rd_slice_of_string("value")};
    struct rd_op op = op_write(&entry, NULL);
    op.durability = RD_DURABILITY_SYNC;
    store->extension.groups_min = 1;
    assert_int_equal(run_async(store, &op), RD_OK);
    assert_true(store->file.size > rd_store_file_size(store));
    usleep(20000); /* the writer thread goes to sleep */
    uint64_t begin = now_ms();
    put_text(store, "k", "v");
    assert_true(is_unsynced(faults));
    while (is_unsynced(faults) && now_ms() - begin < INTERVAL_MS + SLACK_MS)
        usleep(1000);
    assert_in_range(now_ms() - begin, INTERVAL_MS - 1, INTERVAL_MS + SLACK_MS / 2);
    rd_store_close(store);
    faults_destroy(faults);
    place_remove(&place);
}

static void interval_shares_an_fdatasync_among_many(void **state)
{
    (void)state;
    struct place place = place_create();
    struct faults *faults = faults_create();
    struct rd_store *store = open_faulty(faults, place.path, RD_DURABILITY_INTERVAL, INTERVAL_MS);
    unsigned before = faults_count(faults, CALL_FDATASYNC);
    uint64_t begin = now_ms();
    uint64_t writes = 0;
    for (; now_ms() - begin < 6 * INTERVAL_MS; writes++)
        put_text(store, "k", "v");
    uint64_t took = now_ms() - begin;
    unsigned syncs = faults_count(faults, CALL_FDATASYNC) - before;
    assert_in_range(syncs, 1, took / (INTERVAL_MS / 2) + 1); /* where they are much: beside the writer, by then */
    assert_true(writes > syncs);
    rd_store_close(store);
    faults_destroy(faults);
    place_remove(&place);
}

/* A sink that submits what it gets again, so that the queue is never empty. */
struct flood {
    struct rd_sink sink; /* first */
    struct rd_store *store;
    atomic_bool stop;
    atomic_uint pending;
};

static void flood_deliver(struct rd_sink *sink, struct rd_op *first, struct rd_op *last)
{
    struct flood *flood = (struct flood *)sink;
    (void)last;
    while (first != NULL) {
        struct rd_op *op = first;
        first = op->next;
        if (atomic_load(&flood->stop) || rd_store_submit(flood->store, op) != RD_OK)
            atomic_fetch_sub(&flood->pending, 1);
    }
    rd_store_kick(flood->store);
}

/* Operations that write nothing are answers too: none while an answered write is older than the interval. */
static void interval_holds_under_a_flood_that_writes_nothing(void **state)
{
    (void)state;
    enum { FLOOD = 8 };
    struct place place = place_create();
    struct faults *faults = faults_create();
    struct rd_store *store = open_faulty(faults, place.path, RD_DURABILITY_INTERVAL, INTERVAL_MS);
    struct flood flood = {.sink.deliver = flood_deliver, .store = store, .pending = FLOOD};
    struct rd_entry entry = {.key = key_named("missing")};
    struct rd_op ops[FLOOD];
    for (size_t i = 0; i < FLOOD; i++) {
        ops[i] = (struct rd_op){.kind = RD_OP_DELETE, .entries = &entry, .entry_count = 1, .sink = &flood.sink};
        assert_int_equal(rd_store_submit(store, &ops[i]), RD_OK);
    }
    rd_store_kick(store);
    uint64_t begin = now_ms();
    put_text(store, "k", "v");
    while (is_unsynced(faults) && now_ms() - begin < INTERVAL_MS + SLACK_MS)
        usleep(1000);
    bool unsynced = is_unsynced(faults);
    atomic_store(&flood.stop, true);
    while (atomic_load(&flood.pending) != 0)
        usleep(1000);
    assert_false(unsynced);
    rd_store_close(store);
    faults_destroy(faults);
    place_remove(&place);
}

/* ---- creation ---- */

static void creation_syncs_file_and_folder(void **state)
{
    (void)state;
    struct place place = place_create();
    struct faults *faults = faults_create();
    struct rd_store *store = open_faulty(faults, place.path, RD_DURABILITY_SYNC, 0);
    unsigned files = 0;
    unsigned folders = 0;
    for (size_t i = 0; i < faults->event_count; i++) {
        files += faults->events[i].call == CALL_FSYNC && !faults->events[i].folder;
        folders += faults->events[i].call == CALL_FSYNC && faults->events[i].folder;
    }
    assert_int_equal(files, 2);
    assert_int_equal(folders, 2); /* for the store, and for its companion */
    rd_store_close(store);
    place_remove(&place);

    place = place_create();
    for (unsigned skip = 0; skip < 2; skip++) {
        faults_set(faults, CALL_FSYNC, skip, 1, EIO);
        assert_int_equal(status_of_faulty_open(faults, place.path), RD_IO_ERROR);
        (void)unlink(place.path);
    }
    faults_destroy(faults);
    place_remove(&place);
}

/* Who made the file may have died before its folder was synced. */
static void an_empty_file_is_taken_for_a_new_one(void **state)
{
    (void)state;
    struct place place = place_create();
    rd_file_write(place.path, rd_slice("", 0));
    struct faults *faults = faults_create();
    struct rd_store *store = open_faulty(faults, place.path, RD_DURABILITY_SYNC, 0);
    unsigned folders = 0;
    for (size_t i = 0; i < faults->event_count; i++)
        folders += faults->events[i].call == CALL_FSYNC && faults->events[i].folder;
    assert_int_equal(folders, 2);
    rd_store_close(store);
    faults_destroy(faults);
    place_remove(&place);
}

/* ---- what lies behind the end ---- */

/* What was written at the end that a store had before it was opened. */
static uint64_t scrub_offset;
static uint64_t scrubbed_len;
static bool scrubbed_otherwise; /* with other bytes than 0xff */

static ssize_t pwritev_that_looks(void *self, int fd, const struct iovec *parts, int part_count, off_t offset)
{
    ssize_t written = faulty_pwritev(self, fd, parts, part_count, offset);
    const uint8_t *bytes = parts[0].iov_base;
    if (written <= 0 || (uint64_t)offset < scrub_offset)
        return written; /* a companion's, which is shorter */
    scrubbed_len += (uint64_t)written;
    for (size_t i = 0; i < parts[0].iov_len; i++)
        scrubbed_otherwise = scrubbed_otherwise || bytes[i] != 0xff;
    return written;
}

/* A store with a value of 5,000 bytes, and its companion if it was closed in order; returns where it ends. */
static uint64_t store_left_behind(const struct place *place, bool in_order)
{
    struct rd_store *store = store_open_with(place->path, (struct rd_store_options){.create = true});
    static uint8_t value[5000] = {1};
    assert_int_equal(rd_store_write(store, key_named("k"), rd_slice(value, sizeof value), NULL), RD_OK);
    uint64_t end = rd_store_file_size(store);
    rd_store_close(store);
    char *meta_path = rd_path(place->folder, "store.rdr.meta");
    assert_int_equal(in_order ? 0 : unlink(meta_path), 0);
    free(meta_path);
    scrub_offset = end;
    scrubbed_len = 0;
    scrubbed_otherwise = false;
    return end;
}

/* Of the calls on the store's file while it was opened: an fdatasync after the write, one after the cut. */
static void assert_scrub_is_synced(const struct faults *faults)
{
    static const enum call wanted[] = {CALL_PWRITEV, CALL_FDATASYNC, CALL_FTRUNCATE, CALL_FDATASYNC};
    size_t found = 0;
    for (size_t i = 0; i < faults->event_count && found < 4; i++)
        found += faults->events[i].call == wanted[found];
    assert_int_equal(found, 4);
}

/* A power cut may leave bytes behind the end, and the next one a length that covers them. */
static void after_a_crash_what_lies_behind_the_end_is_overwritten(void **state)
{
    (void)state;
    for (int full = 0; full < 2; full++) {
        struct place place = place_create();
        uint64_t end = store_left_behind(&place, false);
        struct faults *faults = faults_create();
        faults->io.pwritev = pwritev_that_looks;
        faults->size_max = full != 0 ? end + 100 : 0;
        struct rd_store *store = open_faulty(faults, place.path, RD_DURABILITY_SYNC, 0);
        assert_scrub_is_synced(faults);
        assert_false(scrubbed_otherwise);
        assert_int_equal(scrubbed_len, full != 0 ? 100 : 65536 - end % 65536);
        assert_int_equal(rd_store_file_size(store), end);
        struct stat now;
        assert_int_equal(stat(place.path, &now), 0);
        assert_int_equal(now.st_size, end);
        rd_store_close(store);
        faults_destroy(faults);
        place_remove(&place);
    }
}

static void after_a_stop_in_order_nothing_is(void **state)
{
    (void)state;
    struct place place = place_create();
    (void)store_left_behind(&place, true);
    struct faults *faults = faults_create();
    faults->io.pwritev = pwritev_that_looks;
    struct rd_store *store = open_faulty(faults, place.path, RD_DURABILITY_SYNC, 0);
    assert_int_equal(scrubbed_len, 0);
    assert_int_equal(faults_count(faults, CALL_FTRUNCATE), 0);
    rd_store_close(store);
    faults_destroy(faults);
    place_remove(&place);
}

static void a_disk_that_fails_there_keeps_the_store_closed(void **state)
{
    (void)state;
    static const enum call calls[] = {CALL_PWRITEV, CALL_FDATASYNC, CALL_FTRUNCATE};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        struct place place = place_create();
        (void)store_left_behind(&place, false);
        struct faults *faults = faults_create();
        faults_set(faults, calls[i], 0, FOR_EVER, EIO);
        assert_int_equal(status_of_faulty_open(faults, place.path), RD_IO_ERROR);
        faults_destroy(faults);
        struct rd_store *store = store_open(place.path); /* and nothing is lost */
        assert_int_equal(rd_store_len(store), 1);
        rd_store_close(store);
        place_remove(&place);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sync_answers_after_an_fdatasync_that_covers_it),
        cmocka_unit_test(many_writes_share_an_fdatasync),
        cmocka_unit_test(none_never_syncs_before_close),
        cmocka_unit_test(an_operation_may_ask_for_more_or_less_than_its_store),
        cmocka_unit_test(that_a_key_is_gone_is_synced_too_where_that_is_asked_for),
        cmocka_unit_test(synced_writes_do_not_ask_for_the_files_times),
        cmocka_unit_test(interval_syncs_by_itself),
        cmocka_unit_test(interval_syncs_by_itself_though_the_writer_waits_for_something_later),
        cmocka_unit_test(interval_shares_an_fdatasync_among_many),
        cmocka_unit_test(interval_holds_under_a_flood_that_writes_nothing),
        cmocka_unit_test(creation_syncs_file_and_folder),
        cmocka_unit_test(an_empty_file_is_taken_for_a_new_one),
        cmocka_unit_test(after_a_crash_what_lies_behind_the_end_is_overwritten),
        cmocka_unit_test(after_a_stop_in_order_nothing_is),
        cmocka_unit_test(a_disk_that_fails_there_keeps_the_store_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
