/* SPDX-License-Identifier: MIT
 *
 * Syncs beside the writer: writes go on meanwhile, the interval's promise holds whatever a sync takes, and one
 * that fails ends the answers. The disk's syncs are let go by the test.
 */
#include <stdatomic.h>
#include <unistd.h>

#include "engine/store.h"
#include "tests/unit/engine/faults.h"

enum { INTERVAL_MS = 1000, SLACK_MS = 5000 };

/* ---- syncs that wait ---- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool held;        /* syncs of the disk wait */
    unsigned waiting; /* so many do */
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void gate_set(bool held)
{
    pthread_mutex_lock(&gate.lock);
    gate.held = held;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static unsigned gate_waiting(void)
{
    pthread_mutex_lock(&gate.lock);
    unsigned waiting = gate.waiting;
    pthread_mutex_unlock(&gate.lock);
    return waiting;
}

static int gated_fdatasync(void *self, int fd)
{
    pthread_mutex_lock(&gate.lock);
    gate.waiting++;
    while (gate.held)
        pthread_cond_wait(&gate.changed, &gate.lock);
    gate.waiting--;
    pthread_mutex_unlock(&gate.lock);
    return faulty_fdatasync(self, fd);
}

static void *open_gate_later(void *context)
{
    (void)context;
    usleep(50000);
    gate_set(false);
    return NULL;
}

/* ---- a store with a sync under way ---- */

struct scene {
    struct place place;
    struct faults *faults;
    struct rd_store *store;
    struct collector collector; /* of submit */
    uint64_t submitted;
    uint64_t since_ms; /* when "first" was written, or a little before */
    unsigned syncs;    /* of the disk, before the one that is under way */
};

static void scene_close(struct scene *scene)
{
    rd_store_close(scene->store);
    scene->store = NULL;
}

static void scene_end(struct scene *scene)
{
    if (scene->store != NULL)
        scene_close(scene);
    collector_deinit(&scene->collector);
    faults_destroy(scene->faults);
    place_remove(&scene->place);
}

/* Half the interval has passed when it returns, and the rest has not. */
static void scene_begin_once(struct scene *scene)
{
    *scene = (struct scene){.place = place_create(), .faults = faults_create()};
    collector_init(&scene->collector);
    scene->faults->io.fdatasync = gated_fdatasync;
    scene->store = open_faulty(scene->faults, scene->place.path, RD_DURABILITY_INTERVAL, INTERVAL_MS);
    scene->store->syncer.beside_len_min = 1;
    scene->syncs = faults_count(scene->faults, CALL_FDATASYNC);
    gate_set(true);
    scene->since_ms = now_ms();
    put_text(scene->store, "first", "value");
    for (int i = 0; gate_waiting() == 0; i++) {
        put_text(scene->store, "before", "value");
        usleep(1000);
        assert_true(now_ms() - scene->since_ms < INTERVAL_MS + SLACK_MS);
    }
}

/* Again where the machine was so busy that nothing can be told. */
static struct scene scene_begin(void)
{
    struct scene scene;
    scene_begin_once(&scene);
    while (now_ms() - scene.since_ms > INTERVAL_MS * 7 / 10) {
        gate_set(false);
        scene_end(&scene);
        scene_begin_once(&scene);
    }
    assert_in_range(now_ms() - scene.since_ms, INTERVAL_MS / 2, INTERVAL_MS);
    return scene;
}

static void submit(struct scene *scene, struct rd_op *op, const struct rd_entry *entry,
                   enum rd_durability durability)
{
    *op = (struct rd_op){.kind = RD_OP_WRITE,
                         .durability = durability,
                         .entries = entry,
                         .entry_count = 1,
                         .sink = &scene->collector.sink};
    assert_int_equal(rd_store_submit(scene->store, op), RD_OK);
    rd_store_kick(scene->store);
    scene->submitted++;
}

static bool is_answered(struct scene *scene)
{
    pthread_mutex_lock(&scene->collector.lock);
    bool answered = scene->collector.count == scene->submitted;
    pthread_mutex_unlock(&scene->collector.lock);
    return answered;
}

static void wait_for_answers(struct scene *scene)
{
    collector_wait(&scene->collector, scene->submitted);
}

static void expect_read_only(struct scene *scene)
{
    struct rd_store_info info;
    rd_store_info(scene->store, &info);
    assert_int_equal(info.state, RD_STORE_READ_ONLY);
    assert_non_null(strstr(info.reason, "fdatasync failed"));
    expect_text(scene->store, "first", "value");
    expect_text(scene->store, "before", "value");
}

/* Neither by the next write nor by closing. */
static void expect_no_sync_after(struct scene *scene, unsigned count)
{
    assert_int_equal(rd_store_write(scene->store, key_named("late"), rd_slice_of_string("v"), NULL), RD_IO_ERROR);
    assert_int_equal(faults_count(scene->faults, CALL_FDATASYNC), count);
    scene_close(scene);
    assert_int_equal(faults_count(scene->faults, CALL_FDATASYNC), count);
}

static const struct rd_entry *an_entry(void)
{
    static struct rd_entry entry;
    entry = (struct rd_entry){.key = key_named("beside"), .payload = rd_slice_of_string("value")};
    return &entry;
}

/* ---- tests ---- */

static void writes_are_answered_beside_a_sync_until_the_interval_has_passed(void **state)
{
    (void)state;
    struct scene scene = scene_begin();
    struct rd_op ops[2];
    submit(&scene, &ops[0], an_entry(), RD_DURABILITY_DEFAULT);
    while (!is_answered(&scene) && now_ms() - scene.since_ms < INTERVAL_MS)
        usleep(1000);
    assert_true(is_answered(&scene));
    assert_int_equal(gate_waiting(), 1);
    assert_int_equal(faults_count(scene.faults, CALL_FDATASYNC), scene.syncs);

    while (now_ms() - scene.since_ms < INTERVAL_MS + 50)
        usleep(1000);
    submit(&scene, &ops[1], an_entry(), RD_DURABILITY_DEFAULT);
    usleep(100000);
    assert_false(is_answered(&scene));
    gate_set(false);
    wait_for_answers(&scene);
    assert_int_equal(ops[1].status, RD_OK);

    /* The first of the two came after the sync had begun: it is owed one more, and so is the second. */
    uint64_t begin = now_ms();
    while (faults_count(scene.faults, CALL_FDATASYNC) < scene.syncs + 2 &&
           now_ms() - begin < INTERVAL_MS + SLACK_MS)
        usleep(1000);
    assert_true(faults_count(scene.faults, CALL_FDATASYNC) >= scene.syncs + 2);
    scene_end(&scene);
}

static void a_sync_beside_that_fails_ends_the_answers_and_is_not_repeated(void **state)
{
    (void)state;
    struct scene scene = scene_begin();
    faults_set(scene.faults, CALL_FDATASYNC, 0, 1, EIO);
    gate_set(false);
    enum { MOST = 2000 };
    struct rd_op *ops = calloc(MOST, sizeof *ops);
    size_t count = 0;
    do { /* those that come before it has failed are answered in the ordinary way */
        assert_true(count < MOST);
        submit(&scene, &ops[count++], an_entry(), RD_DURABILITY_DEFAULT);
        wait_for_answers(&scene);
        usleep(500);
    } while (ops[count - 1].status == RD_OK);
    assert_int_equal(ops[count - 1].status, RD_IO_ERROR);
    assert_int_equal(ops[count - 1].os_errno, EIO);
    assert_int_equal(rd_store_exists(scene.store, key_named("beside")), count > 1);
    expect_read_only(&scene);
    expect_no_sync_after(&scene, scene.syncs + 1);
    free(ops);
    scene_end(&scene);
}

/* Nothing is answered out of order: what was queued before the failure was known fails too. */
static void what_is_overdue_waits_for_a_sync_and_fails_with_it(void **state)
{
    (void)state;
    struct scene scene = scene_begin();
    faults_set(scene.faults, CALL_FDATASYNC, 0, 1, EIO);
    while (now_ms() - scene.since_ms < INTERVAL_MS + 10)
        usleep(1000);
    struct rd_op ops[20];
    for (size_t i = 0; i < 20; i++)
        submit(&scene, &ops[i], an_entry(), RD_DURABILITY_DEFAULT);
    usleep(50000);
    assert_int_equal(scene.collector.count, 0);
    gate_set(false);
    wait_for_answers(&scene);
    const struct rd_op *op = scene.collector.first;
    for (size_t i = 0; i < 20; i++, op = op->next) {
        assert_ptr_equal(op, &ops[i]);
        assert_int_equal(op->status, RD_IO_ERROR);
    }
    expect_missing(scene.store, "beside");
    expect_read_only(&scene);
    expect_no_sync_after(&scene, scene.syncs + 1);
    scene_end(&scene);
}

/* The disk refuses what the writer waits for while it appends a long value, and the sync beside finds nothing. */
static int refusing_await(void *self, int fd, off_t offset, off_t len)
{
    (void)self;
    (void)fd;
    (void)offset;
    (void)len;
    gate_set(false);
    while (gate_waiting() != 0)
        usleep(1000);
    usleep(10000); /* its thread ends */
    errno = EIO;
    return -1;
}

static void a_sync_beside_counts_for_nothing_where_the_writer_was_told_of_the_lost_page(void **state)
{
    (void)state;
    enum { LONG_LEN = 24 << 20 };
    struct scene scene = scene_begin();
    scene.faults->io.await_writeback = refusing_await;
    scene.store->writer.encoder.unwritten_max = 1 << 20;
    uint64_t synced_tail = scene.store->syncer.synced_tail;
    uint8_t *value = calloc(1, LONG_LEN);
    assert_non_null(value);
    struct rd_entry entry = {.key = key_named("long"), .payload = rd_slice(value, LONG_LEN)};
    struct rd_op ops[2] = {{.kind = RD_OP_WRITE, .entries = &entry}, {.kind = RD_OP_WRITE, .entries = an_entry()}};
    for (size_t i = 0; i < 2; i++) {
        ops[i].entry_count = 1;
        ops[i].sink = &scene.collector.sink;
        assert_int_equal(rd_store_submit(scene.store, &ops[i]), RD_OK);
        scene.submitted++;
    }
    rd_store_kick(scene.store);
    wait_for_answers(&scene);
    assert_int_equal(ops[0].status, RD_IO_ERROR);
    assert_int_equal(ops[1].status, RD_IO_ERROR);
    assert_int_equal(scene.store->syncer.synced_tail, synced_tail);
    struct rd_backup backup;
    rd_store_backup(scene.store, &backup);
    assert_int_equal(backup.value.payload.len, synced_tail);
    rd_value_release(&backup.value);
    scene_end(&scene);
    free(value);
}

static void a_synced_write_waits_for_the_sync_beside_and_has_one_of_its_own(void **state)
{
    (void)state;
    for (int failing = 0; failing < 2; failing++) {
        struct scene scene = scene_begin();
        struct rd_op op;
        if (failing != 0)
            faults_set(scene.faults, CALL_FDATASYNC, 0, 1, EIO);
        submit(&scene, &op, an_entry(), RD_DURABILITY_SYNC);
        usleep(50000);
        assert_false(is_answered(&scene));
        assert_int_equal(gate_waiting(), 1); /* one at a time: the kernel tells a lost page to one of them alone */
        gate_set(false);
        wait_for_answers(&scene);
        assert_int_equal(op.status, failing != 0 ? RD_IO_ERROR : RD_OK);
        assert_int_equal(faults_count(scene.faults, CALL_FDATASYNC), scene.syncs + (failing != 0 ? 1 : 2));
        if (failing != 0) {
            expect_missing(scene.store, "beside");
            expect_read_only(&scene);
            expect_no_sync_after(&scene, scene.syncs + 1);
        }
        scene_end(&scene);
    }
}

/* What was published while a sync was under way is synced too before the file changes hands. */
static void closing_and_compacting_wait_for_it(void **state)
{
    (void)state;
    for (int compacting = 0; compacting < 2; compacting++) {
        struct scene scene = scene_begin();
        put_text(scene.store, "beside", "value");
        pthread_t opener;
        assert_int_equal(pthread_create(&opener, NULL, open_gate_later, NULL), 0);
        if (compacting != 0)
            assert_int_equal(rd_store_compact(scene.store, NULL, NULL), RD_OK);
        scene_close(&scene);
        pthread_join(opener, NULL);
        assert_true(faults_count(scene.faults, CALL_FDATASYNC) >= scene.syncs + 2);
        struct rd_store *store = store_open(scene.place.path);
        assert_int_equal(rd_store_len(store), 3);
        expect_text(store, "beside", "value");
        rd_store_close(store);
        scene_end(&scene);
    }
}

/* ---- the promise, whatever a sync takes ---- */

enum { PROMISE_MS = 50, SYNC_MS = 300, LATE_MS = 150, FLOOD = 8, ANSWERS_MAX = 1 << 20 };

struct answer {
    uint64_t end; /* of the write in the file */
    uint64_t at_ms;
};

static struct promise {
    struct rd_sink sink; /* first */
    struct rd_store *store;
    pthread_mutex_t lock; /* guards the next four */
    uint64_t written_end;
    uint64_t durable_end;
    unsigned syncs;
    unsigned broken;        /* answers while an answered, unsynced write was older than the interval */
    struct answer *answers; /* owned; delivering thread: answered, not known to be synced: [first, last) */
    size_t first;
    size_t last;
    atomic_bool stop;
    atomic_uint pending;
} promise;

static ssize_t noting_pwritev(void *self, int fd, const struct iovec *parts, int part_count, off_t offset)
{
    ssize_t written = rd_io_system.pwritev(self, fd, parts, part_count, offset);
    pthread_mutex_lock(&promise.lock);
    if (written > 0 && (uint64_t)(offset + written) > promise.written_end)
        promise.written_end = (uint64_t)(offset + written);
    pthread_mutex_unlock(&promise.lock);
    return written;
}

static int slow_fdatasync(void *self, int fd)
{
    (void)self;
    (void)fd;
    pthread_mutex_lock(&promise.lock);
    uint64_t covered = promise.written_end;
    unsigned number = promise.syncs++;
    pthread_mutex_unlock(&promise.lock);
    usleep(number % 3 == 0 ? 1000 : SYNC_MS * 1000);
    pthread_mutex_lock(&promise.lock);
    if (covered > promise.durable_end)
        promise.durable_end = covered;
    pthread_mutex_unlock(&promise.lock);
    return 0;
}

static void promise_deliver(struct rd_sink *sink, struct rd_op *first, struct rd_op *last)
{
    (void)sink;
    (void)last;
    uint64_t now = now_ms();
    pthread_mutex_lock(&promise.lock);
    while (promise.first < promise.last && promise.answers[promise.first].end <= promise.durable_end)
        promise.first++;
    if (promise.first < promise.last && now - promise.answers[promise.first].at_ms > PROMISE_MS + LATE_MS)
        promise.broken++;
    pthread_mutex_unlock(&promise.lock);
    while (first != NULL) {
        struct rd_op *op = first;
        first = op->next;
        if (promise.last < ANSWERS_MAX)
            promise.answers[promise.last++] =
                (struct answer){.end = op->offset + op->entries[0].payload.len, .at_ms = now};
        if (atomic_load(&promise.stop) || promise.last == ANSWERS_MAX ||
            rd_store_submit(promise.store, op) != RD_OK)
            atomic_fetch_sub(&promise.pending, 1);
    }
    rd_store_kick(promise.store);
}

static void nothing_is_answered_while_an_answered_write_is_unsynced_for_too_long(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_io io = rd_io_system;
    io.pwritev = noting_pwritev;
    io.fdatasync = slow_fdatasync;
    promise.sink.deliver = promise_deliver;
    promise.answers = calloc(ANSWERS_MAX, sizeof *promise.answers);
    pthread_mutex_init(&promise.lock, NULL);
    atomic_store(&promise.pending, FLOOD);
    promise.store = store_open_with(place.path, (struct rd_store_options){.create = true,
                                                                          .durability = RD_DURABILITY_INTERVAL,
                                                                          .durability_interval_ms = PROMISE_MS,
                                                                          .io = &io});
    promise.store->syncer.beside_len_min = 1;
    static uint8_t value[64];
    struct rd_entry entry = {.key = key_named("k"), .payload = rd_slice(value, sizeof value)};
    struct rd_op ops[FLOOD];
    for (size_t i = 0; i < FLOOD; i++) {
        ops[i] = (struct rd_op){.kind = RD_OP_WRITE, .entries = &entry, .entry_count = 1, .sink = &promise.sink};
        assert_int_equal(rd_store_submit(promise.store, &ops[i]), RD_OK);
    }
    rd_store_kick(promise.store);
    usleep(3000000);
    atomic_store(&promise.stop, true);
    while (atomic_load(&promise.pending) != 0)
        usleep(1000);
    rd_store_close(promise.store);
    assert_in_range(promise.syncs, 5, 3000 / SYNC_MS * 3 + 5);
    assert_true(promise.last > 1000);
    assert_int_equal(promise.broken, 0);
    free(promise.answers);
    place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_are_answered_beside_a_sync_until_the_interval_has_passed),
        cmocka_unit_test(a_sync_beside_that_fails_ends_the_answers_and_is_not_repeated),
        cmocka_unit_test(what_is_overdue_waits_for_a_sync_and_fails_with_it),
        cmocka_unit_test(a_sync_beside_counts_for_nothing_where_the_writer_was_told_of_the_lost_page),
        cmocka_unit_test(a_synced_write_waits_for_the_sync_beside_and_has_one_of_its_own),
        cmocka_unit_test(closing_and_compacting_wait_for_it),
        cmocka_unit_test(nothing_is_answered_while_an_answered_write_is_unsynced_for_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
