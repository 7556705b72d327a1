/* SPDX-License-Identifier: MIT
 *
 * System calls that fail: what becomes of the operation, of the store and of the file.
 */
#include <unistd.h>

#include "engine/record.h"
#include "tests/unit/engine/faults.h"

#define LARGE_LEN (200u << 10)

struct scene {
    struct place place;
    struct faults *faults;
    struct rd_store *store;
    uint8_t *large;
};

/* A store with one value, "kept". */
static struct scene scene_begin(enum rd_durability durability)
{
    struct scene scene = {.place = place_create(), .faults = faults_create(), .large = malloc(LARGE_LEN)};
    memset(scene.large, 'L', LARGE_LEN);
    scene.store = open_faulty(scene.faults, scene.place.path, durability, 0);
    put_text(scene.store, "kept", "value");
    return scene;
}

/* The file is a store with this tail, as a fresh open sees it too. */
static void scene_end(struct scene *scene, uint64_t tail, uint64_t live)
{
    rd_store_close(scene->store);
    struct stat found;
    assert_int_equal(stat(scene->place.path, &found), 0);
    assert_int_equal(found.st_size, tail);
    struct rd_store *store = store_open(scene->place.path);
    assert_int_equal(rd_store_file_size(store), tail);
    assert_int_equal(rd_store_len(store), live);
    expect_text(store, "kept", "value");
    rd_store_close(store);
    faults_destroy(scene->faults);
    free(scene->large);
    place_remove(&scene->place);
}

static uint64_t size_of(const struct scene *scene)
{
    struct stat found;
    assert_int_equal(stat(scene->place.path, &found), 0);
    return (uint64_t)found.st_size;
}

static void expect_read_only(struct scene *scene, const char *why)
{
    struct rd_store_info info;
    rd_store_info(scene->store, &info);
    assert_int_equal(info.state, RD_STORE_READ_ONLY);
    if (strstr(info.reason, why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", info.reason, why);
    expect_text(scene->store, "kept", "value");
    assert_int_equal(rd_store_len(scene->store), 1);
    assert_int_equal(rd_store_write(scene->store, key_named("x"), rd_slice_of_string("y"), NULL), RD_IO_ERROR);
    assert_int_equal(rd_store_delete(scene->store, key_named("kept"), NULL), RD_IO_ERROR);
}

/* ---- a full disk ---- */

static void no_space_fails_the_operation_and_not_the_store(void **state)
{
    (void)state;
    struct scene scene = scene_begin(RD_DURABILITY_SYNC);
    uint64_t tail = rd_store_file_size(scene.store);
    for (uint64_t room = 0; room < 200; room += 11) {
        scene.faults->size_max = tail + room;
        struct rd_entry entry = {.key = key_named("large"), .payload = rd_slice(scene.large, LARGE_LEN)};
        struct rd_op op = {.kind = RD_OP_WRITE, .entries = &entry, .entry_count = 1};
        assert_int_equal(run_async(scene.store, &op), RD_NO_SPACE);
        assert_int_equal(op.os_errno, ENOSPC);
        assert_int_equal(size_of(&scene), tail);
        assert_int_equal(rd_store_file_size(scene.store), tail);
        expect_missing(scene.store, "large");
    }
    scene.faults->size_max = 0;
    tail = put(scene.store, key_named("large"), scene.large, LARGE_LEN).tail;
    expect_bytes(scene.store, key_named("large"), scene.large, LARGE_LEN);
    scene_end(&scene, tail, 2);
}

/* Three operations in one group, of which the one in the middle does not fit. */
static void no_space_leaves_what_fits_of_a_group(void **state)
{
    (void)state;
    struct scene scene = scene_begin(RD_DURABILITY_SYNC);
    uint64_t tail = rd_store_file_size(scene.store);
    struct rd_entry entries[3] = {
        {.key = key_named("a"), .payload = rd_slice(scene.large, 100)},
        {.key = key_named("b"), .payload = rd_slice(scene.large, LARGE_LEN)},
        {.key = key_named("a"), .payload = rd_slice(scene.large, 200)},
    };
    struct rd_op ops[3] = {{0}};
    struct collector collector;
    collector_init(&collector);
    scene.faults->size_max = tail + 1000;
    for (size_t i = 0; i < 3; i++) {
        ops[i] = (struct rd_op){.kind = RD_OP_WRITE, .entries = &entries[i], .entry_count = 1};
        ops[i].sink = &collector.sink;
        assert_int_equal(rd_store_submit(scene.store, &ops[i]), RD_OK);
    }
    rd_store_kick(scene.store);
    collector_wait(&collector, 3);
    assert_ptr_equal(collector.first, &ops[0]);
    assert_ptr_equal(ops[0].next, &ops[1]);
    assert_ptr_equal(ops[1].next, &ops[2]);
    assert_int_equal(ops[0].status, RD_OK);
    assert_int_equal(ops[1].status, RD_NO_SPACE);
    assert_int_equal(ops[2].status, RD_OK);
    assert_false(ops[0].replaced);
    assert_true(ops[2].replaced);
    assert_true(ops[0].tail < ops[2].tail);
    expect_missing(scene.store, "b");
    expect_bytes(scene.store, key_named("a"), scene.large, 200);
    collector_deinit(&collector);
    scene_end(&scene, ops[2].tail, 2);
}

static void no_space_that_cannot_be_cut_back_makes_the_store_read_only(void **state)
{
    (void)state;
    struct scene scene = scene_begin(RD_DURABILITY_SYNC);
    uint64_t tail = rd_store_file_size(scene.store);
    scene.faults->size_max = tail + 100;
    faults_set(scene.faults, CALL_FTRUNCATE, 0, FOR_EVER, EIO);
    assert_int_equal(rd_store_write(scene.store, key_named("l"), rd_slice(scene.large, LARGE_LEN), NULL),
                     RD_IO_ERROR);
    expect_read_only(&scene, "cutting");
    rd_store_close(scene.store);
    scene.store = store_open(scene.place.path);
    scene_end(&scene, tail, 1);
}

/* ---- what must not be seen at all ---- */

static void run_some(struct rd_store *store, uint64_t seed)
{
    random_state = seed;
    uint8_t bytes[40000] = {0};
    for (int i = 0; i < 60; i++) {
        random_fill(bytes, 300);
        struct rd_entry entries[3];
        for (size_t k = 0; k < 3; k++)
            entries[k] = (struct rd_entry){
                .key = rd_key_of_hash(random_below(9)),
                .payload = rd_slice(bytes, 2 + random_below(i % 20 == 0 ? sizeof bytes - 2 : 300))};
        if (i % 5 == 4)
            assert_int_equal(rd_store_delete(store, entries[0].key, NULL), RD_OK);
        else
            assert_int_equal(rd_store_batch_write(store, entries, 3, false, NULL), RD_OK);
    }
}

static void short_and_interrupted_writes_are_invisible(void **state)
{
    (void)state;
    random_begin();
    uint64_t seed = random_next();
    static const size_t lens[] = {7, 64, 1000, 4096};
    struct place plain = place_create();
    struct rd_store *store = store_open(plain.path);
    run_some(store, seed);
    rd_store_close(store);
    struct rd_buffer expected = rd_file_read(plain.path);
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        struct place place = place_create();
        struct faults *faults = faults_create();
        faults->write_len_max = lens[i];
        faults->interrupt_writes = true;
        store = open_faulty(faults, place.path, RD_DURABILITY_NONE, 0);
        run_some(store, seed);
        rd_store_close(store);
        expect_file(place.path, rd_buffer_slice(&expected));
        faults_destroy(faults);
        place_remove(&place);
    }
    rd_buffer_deinit(&expected);
    place_remove(&plain);
}

/* ---- a broken disk ---- */

static void a_failed_write_makes_the_store_read_only(void **state)
{
    (void)state;
    for (unsigned skip = 0; skip < 4; skip++) {
        struct scene scene = scene_begin(RD_DURABILITY_SYNC);
        uint64_t tail = rd_store_file_size(scene.store);
        scene.faults->write_len_max = 1000;
        faults_set(scene.faults, CALL_PWRITEV, skip, 1, EIO);
        struct rd_entry entry = {.key = key_named("l"), .payload = rd_slice(scene.large, LARGE_LEN)};
        struct rd_op op = {.kind = RD_OP_WRITE, .entries = &entry, .entry_count = 1};
        assert_int_equal(run_async(scene.store, &op), RD_IO_ERROR);
        assert_int_equal(op.os_errno, EIO);
        expect_read_only(&scene, "writing failed");
        expect_missing(scene.store, "l");
        assert_int_equal(size_of(&scene), tail);
        scene_end(&scene, tail, 1);
    }
}

/* Returns how many of the operations could be queued: a writer that is still awake does not wait for the kick, and
 * once it has failed nothing is taken. */
static size_t fail_with_many_queued(size_t count)
{
    struct scene scene = scene_begin(RD_DURABILITY_SYNC);
    uint64_t tail = rd_store_file_size(scene.store);
    struct rd_entry entry = {.key = key_named("l"), .payload = rd_slice(scene.large, LARGE_LEN)};
    struct rd_op *ops = calloc(count, sizeof *ops);
    struct collector collector;
    size_t queued = 0;
    collector_init(&collector);
    faults_set(scene.faults, CALL_PWRITEV, 0, 1, EIO);
    for (enum rd_status status = RD_OK; status == RD_OK && queued < count; queued += status == RD_OK) {
        ops[queued] =
            (struct rd_op){.kind = RD_OP_WRITE, .entries = &entry, .entry_count = 1, .sink = &collector.sink};
        status = rd_store_submit(scene.store, &ops[queued]);
    }
    rd_store_kick(scene.store);
    collector_wait(&collector, queued);
    const struct rd_op *op = collector.first;
    for (size_t i = 0; i < queued; i++, op = op->next) {
        assert_ptr_equal(op, &ops[i]);
        assert_int_equal(op->status, RD_IO_ERROR);
    }
    expect_read_only(&scene, "writing failed");
    collector_deinit(&collector);
    free(ops);
    scene_end(&scene, tail, 1);
    return queued;
}

/* More than one group is queued when the first fails. */
static void what_is_queued_behind_a_failed_write_fails_too(void **state)
{
    (void)state;
    enum { COUNT = 120, TRIES = 100 }; /* of 200 KiB: three groups */
    size_t tries = 1;
    while (fail_with_many_queued(COUNT) < COUNT)
        assert_true(++tries <= TRIES);
}

/* A condition that fails by a write of the same group, which then does not land, has not been judged. */
static void what_was_judged_by_a_failed_write_fails_with_it(void **state)
{
    (void)state;
    enum { FIRST, UNKNOWN_KEY, BY_FIRST, INVALID, COUNT };
    struct scene scene = scene_begin(RD_DURABILITY_SYNC);
    uint64_t tail = rd_store_file_size(scene.store);
    struct rd_entry entries[COUNT] = {
        [FIRST] = {.key = key_named("x"), .payload = rd_slice(scene.large, LARGE_LEN)},
        [UNKNOWN_KEY] = {.key = key_named("nobody"), .payload = rd_slice_of_string("1")},
        [BY_FIRST] = {.key = key_named("x"), .payload = rd_slice_of_string("2")},
        [INVALID] = {.key = key_named("x"), .payload = rd_slice(NULL, 0)},
    };
    struct rd_op ops[COUNT] = {{0}};
    struct collector collector;
    collector_init(&collector);
    /* The condition on a key that nobody has comes first: what it is judged by is published. */
    static const size_t order[COUNT] = {UNKNOWN_KEY, FIRST, BY_FIRST, INVALID};
    for (size_t i = 0; i < COUNT; i++) {
        struct rd_op *op = &ops[order[i]];
        *op = (struct rd_op){
            .kind = RD_OP_WRITE, .entries = &entries[order[i]], .entry_count = 1, .sink = &collector.sink};
        op->condition.kind = order[i] == UNKNOWN_KEY ? RD_IF_PRESENT
                             : order[i] == BY_FIRST  ? RD_IF_ABSENT
                                                     : RD_IF_ANYTHING;
        assert_int_equal(rd_store_submit(scene.store, op), RD_OK);
    }
    faults_set(scene.faults, CALL_PWRITEV, 0, 1, EIO);
    rd_store_kick(scene.store);
    collector_wait(&collector, COUNT);
    assert_int_equal(ops[UNKNOWN_KEY].status, RD_PRECONDITION_FAILED);
    assert_int_equal(ops[FIRST].status, RD_IO_ERROR);
    assert_int_equal(ops[BY_FIRST].status, RD_IO_ERROR);
    assert_int_equal(ops[INVALID].status, RD_INVALID_ARGUMENT);
    expect_missing(scene.store, "x");
    collector_deinit(&collector);
    scene_end(&scene, tail, 1);
}

static void a_failed_sync_makes_the_store_read_only_and_is_not_repeated(void **state)
{
    (void)state;
    struct scene scene = scene_begin(RD_DURABILITY_SYNC);
    uint64_t tail = rd_store_file_size(scene.store);
    faults_set(scene.faults, CALL_FDATASYNC, 0, 1, EIO);
    unsigned before = faults_count(scene.faults, CALL_FDATASYNC);
    assert_int_equal(rd_store_write(scene.store, key_named("l"), rd_slice(scene.large, 100), NULL), RD_IO_ERROR);
    expect_read_only(&scene, "fdatasync failed");
    expect_missing(scene.store, "l");
    assert_int_equal(size_of(&scene), tail);
    rd_store_close(scene.store);
    assert_int_equal(faults_count(scene.faults, CALL_FDATASYNC), before + 1);
    scene.store = store_open(scene.place.path);
    scene_end(&scene, tail, 1);
}

static void a_failed_cut_after_a_failed_sync_is_named(void **state)
{
    (void)state;
    struct scene scene = scene_begin(RD_DURABILITY_SYNC);
    faults_set(scene.faults, CALL_FDATASYNC, 0, 1, EIO);
    faults_set(scene.faults, CALL_FTRUNCATE, 0, 1, EROFS);
    assert_int_equal(rd_store_write(scene.store, key_named("l"), rd_slice(scene.large, 100), NULL), RD_IO_ERROR);
    expect_read_only(&scene, "cutting the file back failed too");
    expect_missing(scene.store, "l");
    scene_end(&scene, size_of(&scene), 2); /* never answered, but whole: the next open may take it */
}

/* ---- opening ---- */

static void open_failures_leave_the_file_alone(void **state)
{
    (void)state;
    struct scene scene = scene_begin(RD_DURABILITY_SYNC);
    uint64_t tail = rd_store_file_size(scene.store);
    rd_store_close(scene.store);
    struct rd_buffer bytes = rd_file_read(scene.place.path);

    faults_set(scene.faults, CALL_MMAP, 0, FOR_EVER, ENOMEM);
    assert_int_equal(status_of_faulty_open(scene.faults, scene.place.path), RD_NO_MEMORY);
    faults_set(scene.faults, CALL_MMAP, 0, 1, ENOMEM); /* then as much as there is */
    assert_int_equal(status_of_faulty_open(scene.faults, scene.place.path), RD_OK);
    faults_set(scene.faults, CALL_MMAP, 0, 0, 0);
    faults_set(scene.faults, CALL_FLOCK, 0, 1, EWOULDBLOCK);
    assert_int_equal(status_of_faulty_open(scene.faults, scene.place.path), RD_UNAVAILABLE);
    faults_set(scene.faults, CALL_FLOCK, 0, 1, ENOLCK);
    assert_int_equal(status_of_faulty_open(scene.faults, scene.place.path), RD_IO_ERROR);
    faults_set(scene.faults, CALL_FDATASYNC, 0, 1, EIO);
    assert_int_equal(status_of_faulty_open(scene.faults, scene.place.path), RD_IO_ERROR);
    scene.faults->open_filter = "store.rdr";
    faults_set(scene.faults, CALL_OPEN, 0, 1, EACCES);
    assert_int_equal(status_of_faulty_open(scene.faults, scene.place.path), RD_IO_ERROR);
    expect_file(scene.place.path, rd_buffer_slice(&bytes));
    rd_buffer_deinit(&bytes);
    scene.store = open_faulty(scene.faults, scene.place.path, RD_DURABILITY_SYNC, 0);
    scene_end(&scene, tail, 1);
}

/* Little address space: each growth of the file needs a map of its own, and old values stay where they are. */
static void a_map_without_room_grows_with_the_file(void **state)
{
    (void)state;
    struct scene scene = scene_begin(RD_DURABILITY_NONE);
    rd_store_close(scene.store);
    faults_set(scene.faults, CALL_MMAP, 0, 1, ENOMEM);
    scene.store = open_faulty(scene.faults, scene.place.path, RD_DURABILITY_NONE, 0);
    struct rd_value value;
    assert_int_equal(rd_store_read(scene.store, key_named("kept"), &value), RD_OK);
    uint64_t tail = put(scene.store, key_named("l"), scene.large, LARGE_LEN).tail;
    assert_true(faults_count(scene.faults, CALL_MMAP) > 2);
    expect_bytes(scene.store, key_named("l"), scene.large, LARGE_LEN);
    assert_memory_equal(value.payload.data, "value", 5);
    rd_value_release(&value);
    scene_end(&scene, tail, 2);
}

/* ---- a torn end that cannot be kept ---- */

static void check_kept_nowhere(enum call call, unsigned skip, int os_errno, const char *open_filter)
{
    struct scene scene = scene_begin(RD_DURABILITY_SYNC);
    uint64_t tail = rd_store_file_size(scene.store);
    put(scene.store, key_named("l"), scene.large, 300);
    rd_store_close(scene.store);
    struct rd_buffer bytes = rd_file_read(scene.place.path);
    bytes.len -= 5;
    rd_file_write(scene.place.path, rd_buffer_slice(&bytes));
    remove_companion(scene.place.path);
    scene.faults->open_filter = open_filter;
    faults_set(scene.faults, call, skip, 1, os_errno);
    scene.store = open_faulty(scene.faults, scene.place.path, RD_DURABILITY_SYNC, 0);
    expect_read_only(&scene, "cannot be kept aside");
    expect_file(scene.place.path, rd_buffer_slice(&bytes));
    char *aside = NULL;
    assert_true(asprintf(&aside, "%s.torn-%llu", scene.place.path, (unsigned long long)tail) > 0);
    assert_false(file_exists(aside));
    rd_store_close(scene.store);
    expect_file(scene.place.path, rd_buffer_slice(&bytes));
    scene.store = store_open(scene.place.path);
    assert_true(file_exists(aside));
    free(aside);
    rd_buffer_deinit(&bytes);
    scene_end(&scene, tail, 1);
}

static void what_cannot_be_kept_aside_is_not_cut(void **state)
{
    (void)state;
    check_kept_nowhere(CALL_OPEN, 0, EACCES, ".torn-");
    check_kept_nowhere(CALL_PWRITEV, 0, ENOSPC, NULL);
    check_kept_nowhere(CALL_FSYNC, 0, EIO, NULL);
    check_kept_nowhere(CALL_FSYNC, 1, EIO, NULL); /* of the folder */
}

/* ---- a full disk, and a crash ---- */

static const char *const files_left[] = {"store.rdr", "store.rdr.meta"};
static const char *const batch_keys[] = {"a", "b", "c"};

/* How many keys of the batch are there, of a store that was killed when its file had so many bytes. */
static unsigned keys_of_batch_left(const struct place *place, uint64_t len)
{
    struct place left = place_copy(place, files_left, 2);
    assert_int_equal(truncate(left.path, (off_t)len), 0);
    struct rd_store *store = store_open(left.path);
    expect_text(store, "kept", "value");
    unsigned keys = 0;
    for (size_t i = 0; i < 3; i++)
        keys += rd_store_exists(store, key_named(batch_keys[i]));
    rd_store_close(store);
    place_remove(&left);
    return keys;
}

/* A disk that is full takes no new companion. The one that is there is as true as it was, and without one a batch
 * that is cut between two of its entries could not be told from a chain that is whole. */
static void a_full_disk_leaves_the_companion_that_is_there(void **state)
{
    (void)state;
    struct place first = place_create();
    struct rd_store *store = store_open(first.path);
    put_text(store, "kept", "value");
    rd_store_close(store);
    store = store_open(first.path);
    struct place killed = place_copy(&first, files_left, 2);
    rd_store_close(store);

    struct faults *faults = faults_create();
    faults->open_filter = ".meta.new";
    faults_set(faults, CALL_OPEN, 0, FOR_EVER, ENOSPC);
    store = open_faulty(faults, killed.path, RD_DURABILITY_NONE, 0);
    struct rd_entry entries[3];
    for (size_t i = 0; i < 3; i++)
        entries[i] = (struct rd_entry){.key = key_named(batch_keys[i]), .payload = rd_slice_of_string("value")};
    struct rd_written written;
    assert_int_equal(rd_store_batch_write(store, entries, 3, false, &written), RD_OK);
    uint64_t ends[3] = {0, 0, written.tail};
    for (size_t i = 0; i < 2; i++) {
        struct rd_value value;
        assert_int_equal(rd_store_find(store, entries[i].key, &value), RD_OK);
        ends[i] = value.offset + value.payload.len + RD_TRAILER_LEN;
        rd_value_release(&value);
    }
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(keys_of_batch_left(&killed, ends[i]), i == 2 ? 3 : 0);
    rd_store_close(store);
    faults_destroy(faults);
    place_remove(&killed);
    place_remove(&first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_space_fails_the_operation_and_not_the_store),
        cmocka_unit_test(no_space_leaves_what_fits_of_a_group),
        cmocka_unit_test(no_space_that_cannot_be_cut_back_makes_the_store_read_only),
        cmocka_unit_test(short_and_interrupted_writes_are_invisible),
        cmocka_unit_test(a_failed_write_makes_the_store_read_only),
        cmocka_unit_test(what_is_queued_behind_a_failed_write_fails_too),
        cmocka_unit_test(what_was_judged_by_a_failed_write_fails_with_it),
        cmocka_unit_test(a_failed_sync_makes_the_store_read_only_and_is_not_repeated),
        cmocka_unit_test(a_failed_cut_after_a_failed_sync_is_named),
        cmocka_unit_test(open_failures_leave_the_file_alone),
        cmocka_unit_test(a_map_without_room_grows_with_the_file),
        cmocka_unit_test(what_cannot_be_kept_aside_is_not_cut),
        cmocka_unit_test(a_full_disk_leaves_the_companion_that_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
