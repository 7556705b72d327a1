/* SPDX-License-Identifier: MIT
 *
 * What a thread extends of a file while fast batches come: when it does, and that ones are never written over an
 * entry, whatever comes meanwhile.
 */
#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#include "engine/record.h"
#include "engine/store.h"
#include "tests/unit/engine/faults.h"
#include "tests/unit/engine/groups.h"

#define LEAD_LEN    (256u << 10) /* the writer's own extension */
#define BATCH_COUNT 512u

static bool slow;        /* the file is extended so slowly that writes catch up with it */
static atomic_bool full; /* there is room for nothing else */

static ssize_t write_ones_slowly(void *self, int fd, const struct iovec *parts, int part_count, off_t offset)
{
    (void)self;
    const uint8_t *bytes = parts[0].iov_base;
    bool are_ones = parts[0].iov_len >= 4096 && bytes[0] == 0xff && memcmp(bytes, bytes + 1, 4095) == 0;
    if (slow && are_ones)
        usleep(5000);
    if (!are_ones && atomic_load(&full)) {
        errno = ENOSPC;
        return -1;
    }
    return rd_io_system.pwritev(NULL, fd, parts, part_count, offset);
}

/* A thread's extension is longer than the writer's own. */
static bool is_extended_far(struct rd_store *store, const char *path)
{
    return size_of(path) - rd_store_file_size(store) > LEAD_LEN;
}

struct batches {
    struct place place;
    struct faults *faults;
    struct rd_store *store;
    uint64_t count; /* of values written, of keys 0 and up */
};

static struct batches batches_begin(bool slowly)
{
    slow = slowly;
    struct batches batches = {.place = place_create(), .faults = faults_create()};
    batches.faults->io.pwritev = write_ones_slowly;
    batches.store = open_faulty(batches.faults, batches.place.path, RD_DURABILITY_NONE, 0);
    return batches;
}

/* A value is its number, time after time. */
static void put_numbered_batch(struct batches *batches)
{
    static uint64_t values[BATCH_COUNT][12];
    static struct rd_entry entries[BATCH_COUNT];
    for (size_t at = 0; at < BATCH_COUNT; at++) {
        for (size_t i = 0; i < 12; i++)
            values[at][i] = batches->count;
        entries[at] = (struct rd_entry){.key = key_number(batches->count++),
                                        .payload = rd_slice(values[at], sizeof values[at])};
    }
    assert_int_equal(rd_store_batch_write(batches->store, entries, BATCH_COUNT, false, NULL), RD_OK);
}

static void put_until_extended_far(struct batches *batches)
{
    uint64_t began = now_ms();
    while (!is_extended_far(batches->store, batches->place.path)) {
        assert_true(now_ms() - began < 60000);
        put_numbered_batch(batches);
    }
}

static void expect_numbered(struct rd_store *store, uint64_t count)
{
    for (uint64_t number = 0; number < count; number++) {
        uint64_t value[12];
        for (size_t i = 0; i < 12; i++)
            value[i] = number;
        expect_bytes(store, key_number(number), value, sizeof value);
    }
    static struct rd_verification found;
    assert_int_equal(rd_store_verify(store, 0, UINT64_MAX, &found), RD_OK);
    assert_int_equal(found.problem_count, 0);
}

static void batches_end(struct batches *batches)
{
    expect_numbered(batches->store, batches->count);
    uint64_t tail = rd_store_file_size(batches->store);
    rd_store_close(batches->store);
    assert_int_equal(size_of(batches->place.path), tail);
    struct rd_store *store = store_open(batches->place.path);
    assert_int_equal(rd_store_file_size(store), tail);
    expect_numbered(store, batches->count);
    rd_store_close(store);
    faults_destroy(batches->faults);
    place_remove(&batches->place);
}

static void fast_batches_have_it_extended_by_a_thread(void **state)
{
    (void)state;
    struct batches batches = batches_begin(false);
    put_until_extended_far(&batches);
    assert_true(size_of(batches.place.path) - rd_store_file_size(batches.store) <= 8 * LEAD_LEN);
    static const char *const names[] = {"store.rdr"};
    struct place copy = place_copy(&batches.place, names, 1); /* as a kill would leave it */
    uint64_t tail = rd_store_file_size(batches.store);
    struct rd_store *store = store_open(copy.path);
    assert_int_equal(rd_store_file_size(store), tail);
    expect_numbered(store, batches.count);
    rd_store_close(store);
    place_remove(&copy);
    uint64_t began = now_ms();
    while (size_of(batches.place.path) != tail) { /* a pause ends it */
        assert_true(now_ms() - began < 60000);
        usleep(5000);
    }
    put_until_extended_far(&batches);
    batches_end(&batches);
}

/* Never are ones written over an entry. */
static void writes_that_catch_up_with_the_thread_wait_for_it(void **state)
{
    (void)state;
    struct batches batches = batches_begin(true);
    for (unsigned again = 0; again < 10; again++) {
        put_until_extended_far(&batches);
        for (unsigned i = 0; i < 20; i++)
            put_numbered_batch(&batches);
    }
    batches_end(&batches);
}

static void put_as(struct rd_store *store, const char *name, struct rd_slice value, enum rd_durability durability)
{
    struct rd_entry entry = {.key = key_named(name), .payload = value};
    struct rd_op op = {.kind = RD_OP_WRITE, .durability = durability, .entries = &entry, .entry_count = 1};
    assert_int_equal(rd_store_execute(store, &op), RD_OK);
}

static void expect_size_told(struct batches *batches)
{
    bool told = false;
    for (int again = 0; again < 3 && !told; again++) { /* a pause may be over just then */
        struct rd_store_info info;
        rd_store_info(batches->store, &info);
        told = info.file_size == size_of(batches->place.path);
    }
    assert_true(told);
}

/* What each of them needs of the file's end, it finds. */
static void whatever_comes_behind_a_batch_waits_for_the_thread(void **state)
{
    (void)state;
    static uint8_t value[1500000];
    memset(value, 'l', sizeof value);
    for (int kind = 0; kind < 5; kind++) {
        struct batches batches = batches_begin(true);
        batches.store->ahead.placed_len_min = 100000;
        batches.store->ahead.gap_len_min = 8192;
        for (int again = 0; again < 3; again++) {
            put_until_extended_far(&batches);
            put_numbered_batch(&batches);
            if (kind == 0) {
                put_as(batches.store, "synced", rd_slice(value, sizeof value), RD_DURABILITY_SYNC);
            } else if (kind == 1) {
                struct rd_placement *placement =
                    rd_store_place(batches.store, rd_slice(value, sizeof value), RD_DURABILITY_DEFAULT);
                assert_non_null(placement);
                struct rd_entry entry = {.key = key_named("placed"), .payload = rd_slice(value, sizeof value)};
                struct rd_op op = {
                    .kind = RD_OP_WRITE, .entries = &entry, .entry_count = 1, .placement = placement};
                assert_int_equal(rd_store_execute(batches.store, &op), RD_OK);
                rd_placement_destroy(placement);
            } else if (kind == 2) {
                struct rd_compacted result;
                assert_int_equal(rd_store_compact(batches.store, &result, NULL), RD_OK);
            } else if (kind == 3) {
                put(batches.store, key_named("long"), value, sizeof value);
            } else {
                atomic_store(&full, true);
                assert_int_equal(rd_store_write(batches.store, key_named("short"), rd_slice(value, 10), NULL),
                                 RD_NO_SPACE);
                usleep(20000);
                assert_int_equal(size_of(batches.place.path), rd_store_file_size(batches.store));
                atomic_store(&full, false);
            }
            put(batches.store, key_named("short"), value, 10);
            expect_size_told(&batches);
        }
        batches_end(&batches);
    }
}

/* Where the thread begins to write, or has begun. */
static uint64_t border_of(struct rd_store *store)
{
    pthread_mutex_lock(&store->writer.role);
    uint64_t border = store->file.size;
    pthread_mutex_unlock(&store->writer.role);
    return border;
}

/* So that the last of these ends just there. */
static void put_up_to(struct rd_store *store, uint64_t border, enum rd_durability durability)
{
    static uint8_t value[100000];
    memset(value, 'u', sizeof value);
    assert_true(border > rd_store_file_size(store) + 1000);
    while (border - rd_store_file_size(store) > sizeof value)
        put_as(store, "filling", rd_slice(value, sizeof value / 2), durability);
    uint64_t begin = (rd_store_file_size(store) + RD_RECORD_ALIGN - 1) / RD_RECORD_ALIGN * RD_RECORD_ALIGN;
    put_as(store, "filling", rd_slice(value, border - RD_TRAILER_LEN - begin), durability);
    assert_int_equal(rd_store_file_size(store), border);
}

/* Nothing lies between the tail and what the thread has written, and still it is given up. */
static void a_pause_ends_what_the_thread_extends_from_the_tail_on(void **state)
{
    (void)state;
    struct batches batches = batches_begin(true);
    put_until_extended_far(&batches);
    uint64_t border = border_of(batches.store);
    put_up_to(batches.store, border, RD_DURABILITY_DEFAULT);
    uint64_t began = now_ms();
    do {
        assert_true(now_ms() - began < 60000);
        usleep(100000); /* longer than it takes the thread */
    } while (size_of(batches.place.path) != border);
    batches_end(&batches);
}

/* What would be extended for synced writes is just what the thread is extending. */
static void a_synced_write_that_ends_where_the_thread_begins_extends_nothing(void **state)
{
    (void)state;
    struct batches batches = batches_begin(true);
    batches.store->extension.groups_min = 1;
    put_until_extended_far(&batches);
    uint64_t border = border_of(batches.store);
    static uint8_t value[5000];
    memset(value, 's', sizeof value);
    put_up_to(batches.store, border, RD_DURABILITY_SYNC);
    for (int i = 0; i < 100; i++)
        put_as(batches.store, i % 2 == 0 ? "even" : "odd", rd_slice(value, sizeof value), RD_DURABILITY_SYNC);
    batches_end(&batches);
}

static void a_thread_that_meets_a_full_disk_fails_no_write(void **state)
{
    (void)state;
    struct place place = place_create();
    struct faults *faults = faults_create();
    uint64_t room = 3000000;
    faults->size_max = room;
    struct rd_store *store = open_faulty(faults, place.path, RD_DURABILITY_NONE, 0);
    struct batches batches = {.place = place, .faults = faults, .store = store};
    while (room - rd_store_file_size(store) > 100000)
        put_numbered_batch(&batches);
    struct rd_store_info info;
    rd_store_info(store, &info);
    assert_int_equal(info.state, RD_STORE_OPEN);
    static uint8_t value[200000];
    memset(value, 'f', sizeof value);
    assert_int_equal(rd_store_write(store, key_named("full"), rd_slice(value, sizeof value), NULL), RD_NO_SPACE);
    assert_int_equal(size_of(place.path), rd_store_file_size(store));
    batches_end(&batches);
}

/* The store is read-only then, with what was there before. */
static void a_write_that_fails_beside_the_thread_is_cut_with_it(void **state)
{
    (void)state;
    struct batches batches = batches_begin(true);
    put_until_extended_far(&batches);
    put_numbered_batch(&batches);
    uint64_t tail = rd_store_file_size(batches.store);
    faults_set(batches.faults, CALL_FDATASYNC, 0, 1, EIO);
    struct rd_entry entry = {.key = key_named("lost"), .payload = rd_slice_of_string("x")};
    struct rd_op op = {.kind = RD_OP_WRITE, .durability = RD_DURABILITY_SYNC, .entries = &entry, .entry_count = 1};
    assert_int_equal(rd_store_execute(batches.store, &op), RD_IO_ERROR);
    assert_int_equal(size_of(batches.place.path), tail);
    batches_end(&batches);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fast_batches_have_it_extended_by_a_thread),
        cmocka_unit_test(writes_that_catch_up_with_the_thread_wait_for_it),
        cmocka_unit_test(whatever_comes_behind_a_batch_waits_for_the_thread),
        cmocka_unit_test(a_pause_ends_what_the_thread_extends_from_the_tail_on),
        cmocka_unit_test(a_synced_write_that_ends_where_the_thread_begins_extends_nothing),
        cmocka_unit_test(a_thread_that_meets_a_full_disk_fails_no_write),
        cmocka_unit_test(a_write_that_fails_beside_the_thread_is_cut_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
