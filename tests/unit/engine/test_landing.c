/* SPDX-License-Identifier: MIT
 *
 * Long values whose length is announced: they are written where they will lie, give way to whatever else is to be
 * done, and what has come of them is lost by none of that.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

#include "engine/ahead.h"
#include "engine/spool.h"
#include "engine/store.h"
#include "tests/unit/engine/faults.h"
#include "tests/unit/engine/long_values.h"

#define PIECE_LEN ((size_t)64 << 10)
#define GAP_LEN   ((uint64_t)8 << 20)  /* before such a value, as ahead.c has it */
#define LITTLE    ((uint64_t)16 << 20) /* of memory: a long value is not to stay there */

/* The files beside the store's that were opened without a name. */
static atomic_uint unnamed_count;

static int watched_open(void *self, const char *path, int flags, mode_t mode)
{
    (void)self;
    if ((flags & O_TMPFILE) == O_TMPFILE)
        atomic_fetch_add(&unnamed_count, 1);
    return rd_io_system.open(NULL, path, flags, mode);
}

/* The most that the disk was given back by one call. */
static atomic_uint_fast64_t given_back_most;

static int watched_ftruncate(void *self, int fd, off_t len)
{
    (void)self;
    struct stat before;
    struct stat after;
    assert_int_equal(fstat(fd, &before), 0);
    int failed = rd_io_system.ftruncate(NULL, fd, len);
    assert_int_equal(fstat(fd, &after), 0);
    uint64_t given_back =
        after.st_blocks < before.st_blocks ? (uint64_t)(before.st_blocks - after.st_blocks) * 512 : 0;
    if (given_back > atomic_load(&given_back_most))
        atomic_store(&given_back_most, given_back);
    return failed;
}

struct scene {
    struct place place;
    struct rd_store *store;
    const struct rd_io *io;
    struct rd_buffer value;
    struct rd_spool *spool;
    uint64_t appended;
};

static void open_store(struct scene *scene, uint64_t memory_bytes, enum rd_durability durability)
{
    scene->store = store_open_with(scene->place.path, (struct rd_store_options){.create = true,
                                                                                .durability = durability,
                                                                                .durability_interval_ms = 1000,
                                                                                .memory_bytes = memory_bytes,
                                                                                .io = scene->io});
}

static void announce(struct scene *scene)
{
    assert_int_equal(rd_spool_create(scene->store, &scene->spool), RD_OK);
    rd_spool_announce(scene->spool, scene->value.len, RD_DURABILITY_DEFAULT);
    scene->appended = 0;
}

static void begin_with(struct scene *scene, uint64_t memory_bytes, enum rd_durability durability)
{
    atomic_store(&unnamed_count, 0);
    *scene = (struct scene){.place = place_create(), .value = long_value(3)};
    static struct rd_io watched;
    if (watched.open == NULL) {
        watched = rd_io_system;
        watched.open = watched_open;
        watched.ftruncate = watched_ftruncate;
    }
    scene->io = &watched;
    open_store(scene, memory_bytes, durability);
    put_short(scene->store, 0);
    announce(scene);
}

static void begin(struct scene *scene)
{
    begin_with(scene, 0, RD_DURABILITY_NONE);
}

static enum rd_status append_to(struct scene *scene, uint64_t end)
{
    enum rd_status status = RD_OK;
    while (status == RD_OK && scene->appended < end) {
        uint64_t left = end - scene->appended;
        size_t len = left < PIECE_LEN ? (size_t)left : PIECE_LEN;
        status = rd_spool_append(scene->spool, rd_slice(scene->value.data + scene->appended, len));
        scene->appended += len;
    }
    return status;
}

static enum rd_status submit(struct scene *scene, const char *name, struct rd_placement *placement)
{
    struct rd_entry entry = {.key = key(name)};
    struct rd_op op = {
        .kind = RD_OP_STREAM, .entries = &entry, .entry_count = 1, .spool = scene->spool, .placement = placement};
    enum rd_status status = rd_store_execute(scene->store, &op);
    rd_placement_destroy(placement);
    return status;
}

/* The rest of it comes, and it is committed. */
static void land_as(struct scene *scene, const char *name)
{
    assert_int_equal(append_to(scene, scene->value.len), RD_OK);
    struct rd_placement *placement = rd_spool_place(scene->spool, RD_DURABILITY_DEFAULT);
    assert_int_equal(submit(scene, name, placement), RD_OK);
    rd_spool_destroy(scene->spool);
    scene->spool = NULL;
    expect(scene->store, name, &scene->value);
}

static void write_some(struct scene *scene, uint64_t bytes)
{
    uint8_t payload[64 << 10] = {0};
    for (uint64_t written = 0; written < bytes; written += sizeof payload) {
        rd_store_u64le(payload, written);
        assert_int_equal(rd_store_write(scene->store, key("some"), rd_slice(payload, sizeof payload), NULL),
                         RD_OK);
    }
}

/* The store is what it should be, now and when it is opened again. */
static void end(struct scene *scene, unsigned fillers_wanted)
{
    rd_spool_destroy(scene->spool);
    rd_store_close(scene->store);
    unsigned fillers;
    check_chain(scene->place.path, &fillers);
    assert_int_equal(fillers, fillers_wanted);
    open_store(scene, 0, RD_DURABILITY_NONE);
    struct rd_value found;
    if (rd_store_find(scene->store, key("landed"), &found) == RD_OK) {
        rd_value_release(&found);
        expect(scene->store, "landed", &scene->value);
    }
    rd_store_close(scene->store);
    rd_buffer_deinit(&scene->value);
    place_remove(&scene->place);
}

static void it_is_written_once_where_it_will_lie(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    assert_int_equal(append_to(&scene, scene.value.len / 2), RD_OK);
    for (uint64_t i = 1; i < 100; i++)
        put_short(scene.store, i);
    land_as(&scene, "landed");
    assert_int_equal(atomic_load(&unnamed_count), 0);
    assert_int_equal(rd_store_len(scene.store), 101);
    end(&scene, 1);
}

static void what_memory_cannot_hold_lands_past_the_page_cache(void **state)
{
    (void)state;
    static const enum rd_durability modes[] = {RD_DURABILITY_NONE, RD_DURABILITY_INTERVAL, RD_DURABILITY_SYNC};
    for (unsigned i = 0; i < 3; i++) {
        struct scene scene;
        begin_with(&scene, LITTLE, modes[i]);
        assert_int_equal(append_to(&scene, scene.value.len / 2), RD_OK);
        assert_true(scene.spool->own.direct_end > scene.value.len / 4);
        put_short(scene.store, 1);
        land_as(&scene, "landed");
        assert_int_equal(atomic_load(&unnamed_count), 0);
        end(&scene, 1);
    }
}

static void nothing_is_lost_by_short_writes_that_reach_it(uint64_t memory_bytes, uint64_t landed)
{
    struct scene scene;
    begin_with(&scene, memory_bytes, RD_DURABILITY_NONE);
    assert_int_equal(append_to(&scene, landed), RD_OK);
    write_some(&scene, 2 * GAP_LEN);
    assert_true(rd_store_file_size(scene.store) > 2 * GAP_LEN + landed / 2);
    assert_int_equal(atomic_load(&unnamed_count), 0);
    assert_int_equal(append_to(&scene, landed + PIECE_LEN), RD_OK);
    assert_int_equal(atomic_load(&unnamed_count), 1);
    land_as(&scene, "landed");
    end(&scene, 3);
}

static void it_gives_way_to_short_writes(void **state)
{
    (void)state;
    nothing_is_lost_by_short_writes_that_reach_it(0, LONG_LEN / 2);
    nothing_is_lost_by_short_writes_that_reach_it(0, LONG_LEN / 2 + 12345);
    nothing_is_lost_by_short_writes_that_reach_it(LITTLE, LONG_LEN / 2 + 12345);
    nothing_is_lost_by_short_writes_that_reach_it(LITTLE, LONG_LEN - PIECE_LEN);
}

/* All of it is there, but for what was gathered. */
static void it_gives_way_at_the_last_moment(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct scene scene;
        begin_with(&scene, i % 2 == 0 ? 0 : LITTLE, RD_DURABILITY_NONE);
        assert_int_equal(append_to(&scene, scene.value.len), RD_OK);
        struct rd_placement *placement = NULL;
        if (i < 2)
            placement = rd_spool_place(scene.spool, RD_DURABILITY_DEFAULT);
        write_some(&scene, 2 * GAP_LEN);
        if (i >= 2)
            placement = rd_spool_place(scene.spool, RD_DURABILITY_DEFAULT);
        assert_int_equal(submit(&scene, "landed", placement), RD_OK);
        expect(scene.store, "landed", &scene.value);
        end(&scene, i < 2 ? 2 : 3);
    }
}

static void it_gives_way_to_a_value_that_is_there_already(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    assert_int_equal(append_to(&scene, scene.value.len / 2), RD_OK);
    struct rd_buffer other = long_value(4);
    struct rd_placement *placement = rd_store_place(scene.store, rd_buffer_slice(&other), RD_DURABILITY_DEFAULT);
    assert_non_null(placement);
    struct rd_entry entry = {.key = key("other"), .payload = rd_buffer_slice(&other)};
    struct rd_op op = {.kind = RD_OP_WRITE, .entries = &entry, .entry_count = 1, .placement = placement};
    assert_int_equal(rd_store_execute(scene.store, &op), RD_OK);
    rd_placement_destroy(placement);
    land_as(&scene, "landed");
    expect(scene.store, "other", &other);
    rd_buffer_deinit(&other);
    end(&scene, 4);
}

static void one_lands_at_a_time(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    assert_int_equal(append_to(&scene, scene.value.len / 2), RD_OK);
    struct rd_spool *first = scene.spool;
    announce(&scene);
    assert_int_equal(append_to(&scene, scene.value.len / 2), RD_OK);
    assert_int_equal(atomic_load(&unnamed_count), 1);
    struct rd_spool *second = scene.spool;
    scene.spool = first;
    scene.appended = scene.value.len / 2;
    land_as(&scene, "landed");
    scene.spool = second;
    scene.appended = scene.value.len / 2;
    land_as(&scene, "second");
    end(&scene, 2);
}

static void compaction_does_not_wait_for_it(uint64_t memory_bytes)
{
    struct scene scene;
    begin_with(&scene, memory_bytes, RD_DURABILITY_NONE);
    write_some(&scene, GAP_LEN / 2);
    assert_int_equal(append_to(&scene, scene.value.len / 2), RD_OK);
    assert_int_equal(rd_store_compact(scene.store, NULL, NULL), RD_OK);
    assert_true(rd_store_file_size(scene.store) < scene.value.len / 2);
    land_as(&scene, "landed");
    assert_int_equal(rd_store_len(scene.store), 3);
    end(&scene, 1);
}

static void it_gives_way_to_compaction(void **state)
{
    (void)state;
    compaction_does_not_wait_for_it(0);
    compaction_does_not_wait_for_it(LITTLE);
}

static void it_gives_way_where_it_would_take_too_long(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    scene.store->ahead.landing_ms_most = 60;
    assert_int_equal(append_to(&scene, scene.value.len / 2), RD_OK);
    const struct timespec pause = {.tv_nsec = 100000000};
    nanosleep(&pause, NULL);
    assert_true(rd_store_file_size(scene.store) < PIECE_LEN);
    put_short(scene.store, 1);
    assert_true(rd_store_file_size(scene.store) > scene.value.len / 2);
    land_as(&scene, "landed");
    end(&scene, 3);
}

/* For the sake of its last moments it does not, unless they do not end. */
static void it_is_not_late_at_its_end(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct scene scene;
        begin(&scene);
        assert_int_equal(append_to(&scene, scene.value.len - PIECE_LEN), RD_OK);
        scene.spool->landing->begun_ms -= i == 0 ? 40000 : 70000;
        put_short(scene.store, 1);
        land_as(&scene, "landed");
        assert_int_equal(atomic_load(&unnamed_count), i);
        end(&scene, i == 0 ? 1 : 3);
    }
}

static void what_is_given_up_leaves_nothing(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    uint64_t tail = rd_store_file_size(scene.store);
    assert_int_equal(append_to(&scene, scene.value.len / 2), RD_OK);
    rd_spool_destroy(scene.spool);
    scene.spool = NULL;
    put_short(scene.store, 1);
    rd_store_close(scene.store);
    struct stat found;
    assert_int_equal(stat(scene.place.path, &found), 0);
    assert_true((uint64_t)found.st_size < tail + 1024);
    open_store(&scene, 0, RD_DURABILITY_NONE);
    end(&scene, 0);
}

static void it_is_as_long_as_was_announced(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    assert_int_equal(append_to(&scene, scene.value.len), RD_OK);
    assert_int_equal(rd_spool_append(scene.spool, rd_slice("x", 1)), RD_INVALID_ARGUMENT);
    rd_spool_destroy(scene.spool);
    announce(&scene);
    assert_int_equal(append_to(&scene, scene.value.len - 1), RD_OK);
    assert_null(rd_spool_place(scene.spool, RD_DURABILITY_DEFAULT));
    assert_int_equal(submit(&scene, "landed", NULL), RD_INVALID_ARGUMENT);
    put_short(scene.store, 1);
    end(&scene, 0);
}

/* The file system takes its time to take gigabytes back, and the writer is not to wait for that. */
static void what_is_given_up_goes_bit_by_bit(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    scene.store->ahead.slice_len = 1 << 20;
    assert_int_equal(append_to(&scene, scene.value.len / 2), RD_OK);
    atomic_store(&given_back_most, 0);
    rd_spool_destroy(scene.spool);
    scene.spool = NULL;
    put_short(scene.store, 1);
    assert_true(atomic_load(&given_back_most) >= 1 << 19);
    assert_true(atomic_load(&given_back_most) <= 2 << 20);
    end(&scene, 0);
}

/* Nor what others could use of a quota, were it to give way. */
static void what_is_too_long_does_not_land(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    rd_spool_destroy(scene.spool);
    assert_int_equal(rd_spool_create(scene.store, &scene.spool), RD_OK);
    rd_spool_announce(scene.spool, ((uint64_t)4 << 30) + 1, RD_DURABILITY_DEFAULT);
    scene.appended = 0;
    assert_int_equal(append_to(&scene, 1 << 20), RD_OK);
    assert_int_equal(atomic_load(&unnamed_count), 1);
    for (unsigned i = 0; i < 2; i++) {
        rd_spool_destroy(scene.spool);
        struct rd_store_tuning tuning = {.durability = RD_DURABILITY_NONE,
                                         .quota_bytes = GAP_LEN + (i == 0 ? 2 : 1) * scene.value.len + (2 << 20)};
        rd_store_tune(scene.store, &tuning);
        announce(&scene);
        assert_int_equal(append_to(&scene, 1 << 20), RD_OK);
        assert_int_equal(atomic_load(&unnamed_count), 1 + i);
    }
    land_as(&scene, "landed");
    end(&scene, 1);
}

/* Until the file no longer runs ahead of its tail: a copy of what a thread writes to or cuts is no state that a
 * crash leaves. */
static void await_rest(const struct scene *scene)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    uint64_t deadline_ms = now_ms() + 20000;
    struct stat found;
    assert_int_equal(stat(scene->place.path, &found), 0);
    while ((uint64_t)found.st_size != rd_store_file_size(scene->store)) {
        assert_true(now_ms() < deadline_ms);
        nanosleep(&pause, NULL);
        assert_int_equal(stat(scene->place.path, &found), 0);
    }
}

/* With its holes, which tell what was landing. */
static void copy_file(const char *from_folder, const char *to_folder, const char *name)
{
    char *from = rd_path(from_folder, name);
    char *to = rd_path(to_folder, name);
    struct rd_buffer bytes = rd_file_read(from);
    int from_fd = open(from, O_RDONLY);
    int to_fd = open(to, O_WRONLY | O_CREAT, 0600);
    assert_true(from_fd >= 0 && to_fd >= 0);
    assert_int_equal(ftruncate(to_fd, (off_t)bytes.len), 0);
    off_t hole = 0;
    for (off_t data = lseek(from_fd, 0, SEEK_DATA); data >= 0; data = lseek(from_fd, hole, SEEK_DATA)) {
        hole = lseek(from_fd, data, SEEK_HOLE);
        assert_int_equal(pwrite(to_fd, bytes.data + data, (size_t)(hole - data), data), hole - data);
    }
    close(from_fd);
    close(to_fd);
    rd_buffer_deinit(&bytes);
    free(from);
    free(to);
}

static bool holds_torn_end(const char *folder)
{
    bool holds = false;
    DIR *files = opendir(folder);
    assert_non_null(files);
    for (const struct dirent *file = readdir(files); file != NULL; file = readdir(files))
        holds = holds || strstr(file->d_name, ".torn-") != NULL;
    closedir(files);
    return holds;
}

/* A crash: the file as it is while the value lands, opened by another. */
static void a_crash_keeps_what_was_committed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct scene scene;
        begin_with(&scene, i == 1 ? LITTLE : 0, RD_DURABILITY_SYNC);
        assert_int_equal(append_to(&scene, scene.value.len / 2), RD_OK);
        put_short(scene.store, 1);
        if (i == 2) {
            write_some(&scene, 2 * GAP_LEN);
            assert_int_equal(append_to(&scene, scene.value.len), RD_OK);
            await_rest(&scene);
        }
        struct place copy = place_create();
        copy_file(scene.place.folder, copy.folder, "store.rdr");
        copy_file(scene.place.folder, copy.folder, "store.rdr.meta");
        struct rd_store *store = store_open(copy.path);
        assert_int_equal(rd_store_len(store), i == 2 ? 3 : 2);
        assert_false(holds_torn_end(copy.folder));
        put_short(store, 9);
        rd_store_close(store);
        place_remove(&copy);
        land_as(&scene, "landed");
        end(&scene, i == 2 ? 3 : 1);
    }
}

static struct faults *begin_with_faults(struct scene *scene, enum rd_durability durability)
{
    begin(scene);
    struct faults *faults = faults_create();
    rd_spool_destroy(scene->spool);
    rd_store_close(scene->store);
    scene->io = &faults->io;
    open_store(scene, 0, durability);
    announce(scene);
    return faults;
}

static void *compact_in_vain(void *context)
{
    struct scene *scene = context;
    assert_int_equal(rd_store_compact(scene->store, NULL, NULL), RD_IO_ERROR);
    return NULL;
}

static uint64_t recorded_tail(const struct scene *scene)
{
    struct rd_meta meta;
    assert_true(rd_meta_read(&rd_io_system, scene->place.path, &meta));
    return meta.durable_tail;
}

/* Compaction has a value give way, and that group is the one whose sync fails: the next sync would succeed, as the
 * kernel tells of lost pages once, and what was answered would pass for durable. */
static void a_failed_sync_is_not_asked_for_again(void **state)
{
    (void)state;
    struct scene scene;
    struct faults *faults = begin_with_faults(&scene, RD_DURABILITY_INTERVAL);
    const struct rd_store_tuning tuning = {.durability = RD_DURABILITY_INTERVAL, .durability_interval_ms = 300};
    rd_store_tune(scene.store, &tuning);
    assert_int_equal(append_to(&scene, scene.value.len / 2), RD_OK);
    for (uint64_t i = 10; i < 20; i++)
        put_short(scene.store, i);
    uint64_t recorded = recorded_tail(&scene);
    pthread_t compacting;
    pthread_mutex_lock(&scene.store->writer.role);
    assert_int_equal(pthread_create(&compacting, NULL, compact_in_vain, &scene), 0);
    const struct timespec pause = {.tv_nsec = 600000000}; /* longer than the interval */
    nanosleep(&pause, NULL);
    faults_set(faults, CALL_FDATASYNC, 0, 1, EIO);
    pthread_mutex_unlock(&scene.store->writer.role);
    pthread_join(compacting, NULL);
    assert_int_equal(recorded_tail(&scene), recorded);
    assert_int_equal(rd_store_write(scene.store, key("short"), rd_slice("short", 5), NULL), RD_IO_ERROR);
    rd_spool_destroy(scene.spool);
    rd_store_close(scene.store);
    faults_destroy(faults);
    rd_buffer_deinit(&scene.value);
    place_remove(&scene.place);
}

/* What lands would make the file as long as it was, and hide it. */
static void others_who_cut_the_file_are_noticed(void **state)
{
    (void)state;
    struct scene scene;
    begin_with(&scene, 0, RD_DURABILITY_SYNC);
    for (uint64_t i = 1; i < 50; i++)
        put_short(scene.store, i);
    assert_int_equal(append_to(&scene, scene.value.len / 2), RD_OK);
    assert_int_equal(truncate(scene.place.path, 200), 0);
    assert_int_equal(append_to(&scene, scene.value.len), RD_IO_ERROR);
    assert_int_equal(rd_store_write(scene.store, key("short"), rd_slice("short", 5), NULL), RD_IO_ERROR);
    rd_spool_destroy(scene.spool);
    rd_store_close(scene.store);
    rd_buffer_deinit(&scene.value);
    place_remove(&scene.place);
}

/* The disk is full for a short write, which wants the file cut: what has landed goes with it. */
static void a_full_disk_costs_the_upload_and_nothing_else(void **state)
{
    (void)state;
    struct scene scene;
    struct faults *faults = begin_with_faults(&scene, RD_DURABILITY_NONE);
    assert_int_equal(append_to(&scene, scene.value.len / 2), RD_OK);
    faults_set(faults, CALL_PWRITEV, 0, 1, ENOSPC);
    assert_int_equal(rd_store_write(scene.store, key("short"), rd_slice("short", 5), NULL), RD_NO_SPACE);
    struct rd_spool *cut = scene.spool;
    announce(&scene);
    assert_int_equal(append_to(&scene, scene.value.len / 2), RD_OK);
    assert_int_equal(rd_spool_append(cut, rd_slice("more", 4)), RD_NO_SPACE);
    put_short(scene.store, 2);
    rd_spool_destroy(cut);
    land_as(&scene, "landed"); /* what the other has lost is none of its business */
    end(&scene, 1);
    faults_destroy(faults);
}

struct busy {
    pthread_t thread;
    struct scene *scene;
    atomic_bool *stop;
};

static void *write_short(void *context)
{
    struct busy *busy = context;
    while (!atomic_load(busy->stop))
        write_some(busy->scene, PIECE_LEN);
    return NULL;
}

static void *compact_often(void *context)
{
    struct busy *busy = context;
    const struct timespec pause = {.tv_nsec = 20000000};
    while (!atomic_load(busy->stop)) {
        assert_int_equal(rd_store_compact(busy->scene->store, NULL, NULL), RD_OK);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

/* Uploads that land, give way and are given up beside writers and compaction: whatever happens, each is whole. */
static void beside_writers_and_compaction_each_is_whole(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 4; round += SLOW ? 3 : 1) {
        struct scene scene;
        begin_with(&scene, round % 2 == 0 ? 0 : LITTLE, RD_DURABILITY_NONE);
        rd_spool_destroy(scene.spool);
        atomic_bool stop = false;
        struct busy busy[2];
        void *(*const run[2])(void *) = {write_short, round < 2 ? write_short : compact_often};
        for (unsigned i = 0; i < 2; i++) {
            busy[i] = (struct busy){.scene = &scene, .stop = &stop};
            assert_int_equal(pthread_create(&busy[i].thread, NULL, run[i], &busy[i]), 0);
        }
        for (unsigned i = 0; i < (SLOW ? 3 : 6); i++) {
            announce(&scene);
            if (i % 3 == 2) {
                assert_int_equal(append_to(&scene, scene.value.len / 3), RD_OK);
                rd_spool_destroy(scene.spool);
            } else {
                land_as(&scene, "landed");
            }
        }
        scene.spool = NULL;
        atomic_store(&stop, true);
        for (unsigned i = 0; i < 2; i++)
            pthread_join(busy[i].thread, NULL);
        assert_int_equal(rd_store_compact(scene.store, NULL, NULL), RD_OK);
        expect(scene.store, "landed", &scene.value);
        end(&scene, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_written_once_where_it_will_lie),
        cmocka_unit_test(what_memory_cannot_hold_lands_past_the_page_cache),
        cmocka_unit_test(it_gives_way_to_short_writes),
        cmocka_unit_test(it_gives_way_at_the_last_moment),
        cmocka_unit_test(it_gives_way_to_a_value_that_is_there_already),
        cmocka_unit_test(one_lands_at_a_time),
        cmocka_unit_test(it_gives_way_to_compaction),
        cmocka_unit_test(it_gives_way_where_it_would_take_too_long),
        cmocka_unit_test(it_is_not_late_at_its_end),
        cmocka_unit_test(what_is_given_up_leaves_nothing),
        cmocka_unit_test(what_is_given_up_goes_bit_by_bit),
        cmocka_unit_test(what_is_too_long_does_not_land),
        cmocka_unit_test(it_is_as_long_as_was_announced),
        cmocka_unit_test(a_crash_keeps_what_was_committed),
        cmocka_unit_test(a_failed_sync_is_not_asked_for_again),
        cmocka_unit_test(others_who_cut_the_file_are_noticed),
        cmocka_unit_test(a_full_disk_costs_the_upload_and_nothing_else),
        cmocka_unit_test(beside_writers_and_compaction_each_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
