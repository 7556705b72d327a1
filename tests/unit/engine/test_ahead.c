/* SPDX-License-Identifier: MIT
 *
 * Long values that are put ahead of the tail: what is written meanwhile, what the file then looks like, and what
 * is left when they are never committed.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "engine/ahead.h"
#include "engine/record.h"
#include "tests/unit/engine/long_values.h"

#define CUT_WITHIN_S 20

static enum rd_status commit(struct rd_store *store, const char *name, const struct rd_buffer *value,
                             struct rd_placement *placement, struct rd_condition condition)
{
    struct rd_entry entry = {.key = key(name), .payload = rd_buffer_slice(value)};
    struct rd_op op = {
        .kind = RD_OP_WRITE, .entries = &entry, .entry_count = 1, .condition = condition, .placement = placement};
    enum rd_status status = rd_store_execute(store, &op);
    rd_placement_destroy(placement);
    return status;
}

static const struct rd_condition anything = {.kind = RD_IF_ANYTHING};

static void short_writes_go_on_below_and_a_filler_closes_the_gap(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    struct rd_buffer value = long_value(1);
    put_short(store, 0);
    struct rd_placement *placement = rd_store_place(store, rd_buffer_slice(&value), RD_DURABILITY_DEFAULT);
    assert_non_null(placement);
    for (uint64_t i = 1; i < 100; i++)
        put_short(store, i);
    assert_int_equal(rd_store_len(store), 100);
    assert_int_equal(commit(store, "long", &value, placement, anything), RD_OK);
    put_short(store, 100);
    assert_int_equal(rd_store_len(store), 102);
    expect(store, "long", &value);
    uint64_t tail = rd_store_file_size(store);
    rd_store_close(store);

    unsigned fillers;
    assert_int_equal(check_chain(place.path, &fillers), 103);
    assert_int_equal(fillers, 1);
    store = store_open(place.path);
    assert_int_equal(rd_store_len(store), 102);
    assert_int_equal(rd_store_file_size(store), tail);
    assert_false(rd_store_exists(store, rd_key_of_hash(RD_RESERVED_KEY_HASH)));
    expect(store, "long", &value);
    struct rd_cursor *cursor;
    struct rd_value found;
    unsigned seen = 0;
    assert_int_equal(rd_cursor_open(store, 0, &cursor), RD_OK);
    for (; rd_cursor_next(cursor, &found); seen++)
        assert_true(found.key_hash != RD_RESERVED_KEY_HASH);
    rd_cursor_close(cursor);
    assert_int_equal(seen, 102);
    rd_store_close(store);
    rd_buffer_deinit(&value);
    place_remove(&place);
}

static void what_is_not_committed_leaves_nothing(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    struct rd_buffer value = long_value(2);
    put_short(store, 0);
    rd_placement_destroy(rd_store_place(store, rd_buffer_slice(&value), RD_DURABILITY_DEFAULT));
    put_short(store, 1);
    struct rd_placement *placement = rd_store_place(store, rd_buffer_slice(&value), RD_DURABILITY_DEFAULT);
    assert_non_null(placement);
    assert_int_equal(commit(store, "long", &value, placement, (struct rd_condition){.kind = RD_IF_PRESENT}),
                     RD_PRECONDITION_FAILED);
    uint64_t tail = rd_store_file_size(store);
    rd_store_close(store);
    struct rd_buffer file = rd_file_read(place.path);
    assert_int_equal(file.len, tail);
    rd_buffer_deinit(&file);
    unsigned fillers;
    assert_int_equal(check_chain(place.path, &fillers), 2);
    assert_int_equal(fillers, 0);
    rd_buffer_deinit(&value);
    place_remove(&place);
}

/* Notes when a file is cut. */
struct cuts {
    struct rd_io io;
    pthread_mutex_t lock;
    pthread_cond_t cut;
    off_t len; /* guarded by lock; -1: none was */
};

static int noted_ftruncate(void *self, int fd, off_t len)
{
    struct cuts *cuts = self;
    int result = rd_io_system.ftruncate(NULL, fd, len);
    pthread_mutex_lock(&cuts->lock);
    cuts->len = len;
    pthread_cond_signal(&cuts->cut);
    pthread_mutex_unlock(&cuts->lock);
    return result;
}

/* Nobody else may ever write, and until then the disk would have it. */
static void what_is_not_committed_is_cut_without_another_write(void **state)
{
    (void)state;
    struct cuts cuts = {
        .io = rd_io_system, .lock = PTHREAD_MUTEX_INITIALIZER, .cut = PTHREAD_COND_INITIALIZER, .len = -1};
    cuts.io.self = &cuts;
    cuts.io.ftruncate = noted_ftruncate;
    struct place place = place_create();
    struct rd_store *store = store_open_with(
        place.path, (struct rd_store_options){.create = true, .durability = RD_DURABILITY_NONE, .io = &cuts.io});
    struct rd_buffer value = long_value(9);
    put_short(store, 0);
    struct rd_placement *placement = rd_store_place(store, rd_buffer_slice(&value), RD_DURABILITY_DEFAULT);
    assert_non_null(placement);
    assert_int_equal(cuts.len, -1);
    assert_int_equal(commit(store, "long", &value, placement, (struct rd_condition){.kind = RD_IF_PRESENT}),
                     RD_PRECONDITION_FAILED);
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += CUT_WITHIN_S;
    int timed_out = 0;
    pthread_mutex_lock(&cuts.lock);
    while (cuts.len == -1 && timed_out == 0)
        timed_out = pthread_cond_timedwait(&cuts.cut, &cuts.lock, &deadline);
    pthread_mutex_unlock(&cuts.lock);
    assert_int_equal(timed_out, 0);
    struct stat found;
    assert_int_equal(stat(place.path, &found), 0);
    assert_int_equal(found.st_size, rd_store_file_size(store));
    rd_store_close(store);
    rd_buffer_deinit(&value);
    place_remove(&place);
}

static void one_region_at_a_time(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    struct rd_buffer first = long_value(3);
    struct rd_buffer second = long_value(4);
    struct rd_placement *placement = rd_store_place(store, rd_buffer_slice(&first), RD_DURABILITY_DEFAULT);
    assert_non_null(placement);
    assert_null(rd_store_place(store, rd_buffer_slice(&second), RD_DURABILITY_DEFAULT));
    /* Longer than the gap: the second takes the place, the first is appended like any other. */
    assert_int_equal(commit(store, "second", &second, NULL, anything), RD_OK);
    assert_int_equal(commit(store, "first", &first, placement, anything), RD_OK);
    expect(store, "first", &first);
    expect(store, "second", &second);
    rd_store_close(store);
    unsigned fillers;
    assert_int_equal(check_chain(place.path, &fillers), 2);
    assert_int_equal(fillers, 0);
    rd_buffer_deinit(&first);
    rd_buffer_deinit(&second);
    place_remove(&place);
}

static void streams_renames_and_copies_use_it(void **state)
{
    (void)state;
    struct place place = place_create();
    struct place other_place = place_create();
    struct rd_store *store = store_open(place.path);
    struct rd_store *other = store_open(other_place.path);
    struct rd_buffer value = long_value(5);
    assert_int_equal(commit(store, "a", &value,
                            rd_store_place(store, rd_buffer_slice(&value), RD_DURABILITY_DEFAULT), anything),
                     RD_OK);
    struct rd_value found;
    assert_int_equal(rd_store_find(store, key("a"), &found), RD_OK);
    struct rd_entry entries[2] = {{.key = key("a")}, {.key = key("b")}};
    struct rd_op op = {.kind = RD_OP_RENAME,
                       .entries = entries,
                       .entry_count = 2,
                       .condition = {.kind = RD_IF_VERSION, .offset = found.offset, .crc32 = found.crc32},
                       .source_verified = true,
                       .placement = rd_store_place(store, found.payload, RD_DURABILITY_DEFAULT)};
    assert_non_null(op.placement);
    assert_int_equal(rd_store_execute(store, &op), RD_OK);
    rd_placement_destroy(op.placement);
    rd_value_release(&found);
    expect(store, "b", &value);
    assert_false(rd_store_exists(store, key("a")));
    assert_int_equal(rd_store_copy(store, key("b"), other, NULL), RD_OK);
    expect(other, "b", &value);
    rd_store_close(store);
    rd_store_close(other);
    unsigned fillers;
    assert_int_equal(check_chain(place.path, &fillers), 6); /* with the marker of the rename */
    assert_int_equal(fillers, 2);
    check_chain(other_place.path, &fillers);
    assert_int_equal(fillers, 1);
    rd_buffer_deinit(&value);
    place_remove(&place);
    place_remove(&other_place);
}

struct busy {
    pthread_t thread;
    struct rd_store *store;
    const struct rd_buffer *value;
    unsigned number;
    atomic_bool *stop;
    unsigned written;
};

static void *write_short(void *context)
{
    struct busy *busy = context;
    uint8_t payload[4000];
    memset(payload, 'b', sizeof payload);
    while (!atomic_load(busy->stop)) {
        rd_store_u64le(payload, ++busy->written);
        struct rd_key own = rd_key_of_bytes(rd_slice(&busy->number, sizeof busy->number));
        assert_int_equal(rd_store_write(busy->store, own, rd_slice(payload, sizeof payload), NULL), RD_OK);
    }
    return NULL;
}

static void *write_long(void *context)
{
    struct busy *busy = context;
    char name[32];
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "long-%u-%d", busy->number, i);
        struct rd_placement *placement =
            rd_store_place(busy->store, rd_buffer_slice(busy->value), RD_DURABILITY_DEFAULT);
        if (i == 1 && busy->number == 0)
            rd_placement_destroy(placement); /* given up */
        else
            assert_int_equal(commit(busy->store, name, busy->value, placement, anything), RD_OK);
    }
    return NULL;
}

/* Regions that are taken, given up and taken back, while others write: whatever happens, the chain is whole. */
static void under_busy_writers_the_chain_stays_whole(void **state)
{
    (void)state;
    enum { SHORT = 3, LONG = 2 };
    struct place place = place_create();
    struct rd_store_options options = {.create = true, .durability = RD_DURABILITY_NONE};
    struct rd_store *store;
    assert_int_equal(rd_store_open(place.path, &options, &store, NULL), RD_OK);
    struct rd_buffer value = long_value(7);
    atomic_bool stop = false;
    struct busy busy[SHORT + LONG];
    for (unsigned i = 0; i < SHORT + LONG; i++) {
        busy[i] = (struct busy){.store = store, .value = &value, .number = i % SHORT, .stop = &stop};
        void *(*run)(void *) = i < SHORT ? write_short : write_long;
        assert_int_equal(pthread_create(&busy[i].thread, NULL, run, &busy[i]), 0);
    }
    for (unsigned i = SHORT; i < SHORT + LONG; i++)
        pthread_join(busy[i].thread, NULL);
    atomic_store(&stop, true);
    for (unsigned i = 0; i < SHORT; i++)
        pthread_join(busy[i].thread, NULL);
    assert_int_equal(rd_store_len(store), SHORT + 2 + 3);
    expect(store, "long-0-0", &value);
    expect(store, "long-1-2", &value);
    for (unsigned i = 0; i < SHORT; i++) {
        struct rd_value found;
        struct rd_key own = rd_key_of_bytes(rd_slice(&busy[i].number, sizeof busy[i].number));
        assert_int_equal(rd_store_read(store, own, &found), RD_OK);
        assert_int_equal(rd_load_u64le(found.payload.data), busy[i].written);
        rd_value_release(&found);
    }
    rd_store_close(store);
    unsigned fillers;
    unsigned entries = check_chain(place.path, &fillers);
    print_message("    %u entries, %u fillers\n", entries, fillers);
    rd_buffer_deinit(&value);
    place_remove(&place);
}

/* An operator renames the store's file and puts another one there, while it is served. */
static void nothing_is_put_into_another_file_of_that_name(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    struct rd_buffer value = long_value(8);
    put_short(store, 0);
    char *moved_path = rd_path(place.folder, "moved.rdr");
    struct rd_slice others = rd_slice_of_string("another store, restored from somewhere");
    assert_int_equal(rename(place.path, moved_path), 0);
    rd_file_write(place.path, others);
    struct rd_placement *placement = rd_store_place(store, rd_buffer_slice(&value), RD_DURABILITY_DEFAULT);
    assert_null(placement);
    assert_int_equal(commit(store, "long", &value, placement, anything), RD_OK);
    expect(store, "long", &value);
    expect_file(place.path, others);
    rd_store_close(store);
    expect_file(place.path, others);
    unsigned fillers;
    assert_int_equal(check_chain(moved_path, &fillers), 2);
    free(moved_path);
    rd_buffer_deinit(&value);
    place_remove(&place);
}

/* The process dies while a value lies ahead: the short writes below are all there, the value never was. */
static void a_crash_leaves_what_was_committed(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    struct rd_buffer value = long_value(6);
    put_short(store, 0);
    struct rd_placement *placement = rd_store_place(store, rd_buffer_slice(&value), RD_DURABILITY_DEFAULT);
    for (uint64_t i = 1; i < 10; i++)
        put_short(store, i);
    uint64_t tail = rd_store_file_size(store);
    struct rd_buffer file = rd_file_read(place.path);
    assert_true(file.len > tail + LONG_LEN);
    rd_placement_destroy(placement);
    rd_store_close(store);
    rd_file_write(place.path, rd_buffer_slice(&file));
    store = store_open(place.path);
    assert_int_equal(rd_store_file_size(store), tail);
    assert_int_equal(rd_store_len(store), 10);
    rd_store_close(store);
    rd_buffer_deinit(&file);
    rd_buffer_deinit(&value);
    place_remove(&place);
}

static blkcnt_t blocks_of(const char *path)
{
    struct stat found;
    assert_int_equal(stat(path, &found), 0);
    return found.st_blocks;
}

/* There a hole that is read takes memory, and where that is full, reading it is a fault of the disk. */
static void looking_at_a_store_on_tmpfs_fills_no_hole(void **state)
{
    (void)state;
    const char *parent = getenv("TMPDIR");
    char *before = parent == NULL ? NULL : strdup(parent);
    assert_int_equal(setenv("TMPDIR", "/dev/shm", 1), 0);
    struct place place = place_create();
    assert_int_equal(before == NULL ? unsetenv("TMPDIR") : setenv("TMPDIR", before, 1), 0);
    free(before);
    struct rd_store *store = store_open(place.path);
    struct rd_buffer value = long_value(7);
    put_short(store, 0);
    struct rd_placement *placement = rd_store_place(store, rd_buffer_slice(&value), RD_DURABILITY_DEFAULT);
    assert_int_equal(commit(store, "long", &value, placement, anything), RD_OK);
    blkcnt_t blocks = blocks_of(place.path);
    assert_true((uint64_t)blocks * 512 < LONG_LEN + (1u << 20));
    struct rd_verification found;
    assert_int_equal(rd_store_verify(store, 0, UINT64_MAX, &found), RD_OK);
    assert_int_equal(found.problem_count, 0);
    assert_int_equal(found.entries, 3);
    assert_int_equal(blocks_of(place.path), blocks);
    rd_store_close(store);
    remove_companion(place.path); /* so that all entries are looked at */
    store = store_open(place.path);
    expect(store, "long", &value);
    rd_store_close(store);
    assert_int_equal(blocks_of(place.path), blocks);
    rd_buffer_deinit(&value);
    place_remove(&place);
}

static void nobody_may_name_the_reserved_key(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    struct rd_key reserved = rd_key_of_hash(RD_RESERVED_KEY_HASH);
    struct rd_slice text = rd_slice_of_string("value");
    struct rd_entry entries[2] = {{.key = key("a"), .payload = text}, {.key = reserved, .payload = text}};
    assert_int_equal(rd_store_write(store, reserved, text, NULL), RD_INVALID_ARGUMENT);
    assert_int_equal(rd_store_batch_write(store, entries, 2, false, NULL), RD_INVALID_ARGUMENT);
    assert_int_equal(rd_store_delete(store, reserved, NULL), RD_INVALID_ARGUMENT);
    assert_int_equal(rd_store_rename(store, key("a"), reserved, NULL), RD_INVALID_ARGUMENT);
    assert_int_equal(rd_store_file_size(store), 0);
    rd_store_close(store);
    place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_writes_go_on_below_and_a_filler_closes_the_gap),
        cmocka_unit_test(what_is_not_committed_leaves_nothing),
        cmocka_unit_test(what_is_not_committed_is_cut_without_another_write),
        cmocka_unit_test(one_region_at_a_time),
        cmocka_unit_test(streams_renames_and_copies_use_it),
        cmocka_unit_test(under_busy_writers_the_chain_stays_whole),
        cmocka_unit_test(nothing_is_put_into_another_file_of_that_name),
        cmocka_unit_test(a_crash_leaves_what_was_committed),
        cmocka_unit_test(looking_at_a_store_on_tmpfs_fills_no_hole),
        cmocka_unit_test(nobody_may_name_the_reserved_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
