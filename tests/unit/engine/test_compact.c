/* SPDX-License-Identifier: MIT
 *
 * Compaction: what lives is the same afterwards, in the same order and with the same bytes, whatever is written
 * and read meanwhile; and whatever fails, the store is as it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "engine/checkpoint.h"
#include "engine/record.h"
#include "engine/store.h"
#include "tests/unit/engine/faults.h"
#include "tests/unit/engine/fixture.h"

#define KEYS    400u
#define LEN_MAX 3000u
#define ROUNDS  (SLOW ? 4u : 20u)

/* ---- what the test knows of each key ---- */

struct known {
    uint8_t *bytes; /* owned; NULL: the key does not live */
    size_t len;
    uint64_t order; /* of its last write */
};

static struct known known[KEYS];
static uint64_t written_count;

static struct rd_key key_of(uint64_t number)
{
    return rd_key_of_hash(UINT64_C(0xc0ffee0000000000) + number);
}

static void forget(uint64_t number)
{
    free(known[number].bytes);
    known[number] = (struct known){.bytes = NULL};
}

static void forget_all(void)
{
    for (uint64_t i = 0; i < KEYS; i++)
        forget(i);
}

static void remember(uint64_t number, const uint8_t *bytes, size_t len)
{
    forget(number);
    known[number] = (struct known){.bytes = malloc(len), .len = len, .order = ++written_count};
    memcpy(known[number].bytes, bytes, len);
}

static void write_one(struct rd_store *store, uint64_t number, size_t len)
{
    uint8_t *bytes = malloc(len);
    random_fill(bytes, len);
    bytes[0] |= 1; /* not one zero byte */
    put(store, key_of(number), bytes, len);
    remember(number, bytes, len);
    free(bytes);
}

static void delete_one(struct rd_store *store, uint64_t number)
{
    assert_int_equal(rd_store_delete(store, key_of(number), NULL), RD_OK);
    forget(number);
}

static void write_batch(struct rd_store *store)
{
    enum { COUNT = 5 };
    uint8_t bytes[COUNT][64];
    struct rd_entry entries[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        uint64_t number = random_below(KEYS);
        size_t len = 2 + (size_t)random_below(sizeof bytes[i] - 2);
        random_fill(bytes[i], len);
        entries[i] = (struct rd_entry){.key = key_of(number), .payload = rd_slice(bytes[i], len)};
        remember(number, bytes[i], len);
    }
    assert_int_equal(rd_store_batch_write(store, entries, COUNT, false, NULL), RD_OK);
}

static void rename_one(struct rd_store *store)
{
    uint64_t from = random_below(KEYS);
    uint64_t to = random_below(KEYS);
    if (from == to || known[from].bytes == NULL)
        return;
    assert_int_equal(rd_store_rename(store, key_of(from), key_of(to), NULL), RD_OK);
    remember(to, known[from].bytes, known[from].len);
    forget(from);
}

static void change_something(struct rd_store *store)
{
    switch (random_below(8)) {
    case 0:
    case 1:
        delete_one(store, random_below(KEYS));
        break;
    case 2:
        write_batch(store);
        break;
    case 3:
        rename_one(store);
        break;
    default:
        write_one(store, random_below(KEYS), 1 + (size_t)random_below(LEN_MAX));
    }
}

static uint64_t live_count(void)
{
    uint64_t count = 0;
    for (uint64_t i = 0; i < KEYS; i++)
        count += known[i].bytes != NULL;
    return count;
}

/* Each key holds what was written last, and a walk shows each of them once, the last written first. */
static void check_all(struct rd_store *store)
{
    assert_int_equal(rd_store_len(store), live_count());
    for (uint64_t i = 0; i < KEYS; i++) {
        if (known[i].bytes == NULL)
            expect_status(store, key_of(i), RD_KEY_NOT_FOUND);
        else
            expect_bytes(store, key_of(i), known[i].bytes, known[i].len);
    }
    struct rd_cursor *cursor;
    struct rd_value value;
    uint64_t shown = 0;
    uint64_t order = UINT64_MAX;
    assert_int_equal(rd_cursor_open(store, 0, &cursor), RD_OK);
    for (; rd_cursor_next(cursor, &value); shown++) {
        const struct known *one = &known[value.key_hash - key_of(0).hash];
        assert_true(rd_slice_equal(value.payload, rd_slice(one->bytes, one->len)));
        assert_true(one->order < order);
        order = one->order;
    }
    assert_int_equal(rd_cursor_status(cursor), RD_OK);
    assert_int_equal(shown, live_count());
    rd_cursor_close(cursor);
}

/* Every entry of the file is sound, and their number is what the store believes. */
static void check_file(struct rd_store *store)
{
    struct rd_verification found;
    assert_int_equal(rd_store_verify(store, 0, UINT64_MAX, &found), RD_OK);
    assert_int_equal(found.problem_count, 0);
    assert_int_equal(found.next, 0);
}

static bool has_successor(const struct place *place)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s.compact", place->path);
    return file_exists(path);
}

static struct rd_compacted compact(struct rd_store *store)
{
    struct rd_compacted result;
    struct rd_error error = {.status = RD_OK};
    if (rd_store_compact(store, &result, &error) != RD_OK)
        fail_msg("%s", error.message);
    return result;
}

/* ---- the same entries ---- */

static void what_lives_is_the_same(void **state)
{
    (void)state;
    random_begin();
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct place place = place_create();
        struct rd_store *store = store_open(place.path);
        for (unsigned i = 0; i < 1500; i++)
            change_something(store);
        struct rd_store_info before;
        struct rd_store_info after;
        rd_store_info(store, &before);
        struct rd_compacted result = compact(store);
        rd_store_info(store, &after);
        assert_int_equal(result.tail_before, before.tail);
        assert_int_equal(result.tail, after.tail);
        assert_int_equal(result.entries, live_count());
        assert_int_equal(result.generation, after.generation);
        assert_true(after.generation != before.generation);
        assert_true(after.tail < before.tail);
        assert_true(after.dead_bytes < after.entries * RD_RECORD_ALIGN);
        assert_int_equal(after.file_size, after.tail);
        assert_false(has_successor(&place));
        check_all(store);
        check_file(store);
        for (unsigned i = 0; i < 50; i++)
            change_something(store);
        rd_store_close(store);
        if (round % 2 == 0)
            remove_companion(place.path);
        store = store_open(place.path);
        check_all(store);
        check_file(store);
        rd_store_close(store);
        forget_all();
        place_remove(&place);
    }
}

/* Writes, deletes, batches and renames between any two steps, however small. */
static void what_changes_between_steps_is_in_the_new_file(void **state)
{
    (void)state;
    random_begin();
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct place place = place_create();
        struct rd_store *store = store_open(place.path);
        for (unsigned i = 0; i < 600; i++)
            change_something(store);
        struct rd_compaction *compaction;
        assert_int_equal(rd_compaction_begin(store, &compaction, NULL), RD_OK);
        bool done = false;
        unsigned steps = 0;
        for (; !done; steps++) {
            uint64_t bytes;
            assert_int_equal(rd_compaction_step(compaction, 1 + random_below(20000), &bytes, &done, NULL), RD_OK);
            for (uint64_t changes = done ? 0 : random_below(12); changes != 0; changes--)
                change_something(store);
        }
        assert_true(steps > 10);
        rd_compaction_end(compaction);
        check_all(store);
        check_file(store);
        compact(store);
        check_all(store);
        rd_store_close(store);
        store = store_open(place.path);
        check_all(store);
        rd_store_close(store);
        forget_all();
        place_remove(&place);
    }
}

/* The engine's own entries hold together what a crash could tear: in a file that was synced whole there is none.
 */
static void the_new_file_has_values_alone(void **state)
{
    (void)state;
    random_begin();
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    for (unsigned i = 0; i < 300; i++)
        write_batch(store);
    compact(store);
    struct rd_verification found;
    assert_int_equal(rd_store_verify(store, 0, UINT64_MAX, &found), RD_OK);
    assert_int_equal(found.entries, live_count());
    rd_store_close(store);
    forget_all();
    place_remove(&place);
}

static void an_empty_file_is_left_as_it_is(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    struct rd_store_info before;
    rd_store_info(store, &before);
    struct rd_compacted result = compact(store);
    assert_int_equal(result.tail, 0);
    assert_int_equal(result.generation, before.generation);
    rd_store_close(store);
    place_remove(&place);
}

static void a_store_without_entries_becomes_empty(void **state)
{
    (void)state;
    random_begin();
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    write_one(store, 1, 5000);
    delete_one(store, 1);
    assert_int_equal(compact(store).tail, 0);
    check_all(store);
    write_one(store, 2, 5000);
    check_all(store);
    rd_store_close(store);
    store = store_open(place.path);
    check_all(store);
    rd_store_close(store);
    forget_all();
    place_remove(&place);
}

/* ---- versions, values and walks of before ---- */

static void versions_of_before_do_not_match(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    put_text(store, "other", "goes");
    struct rd_written written = put_text(store, "key", "value");
    assert_int_equal(rd_store_delete(store, key_named("other"), NULL), RD_OK);
    compact(store);
    struct rd_entry entry = {.key = key_named("key")};
    struct rd_op op = {
        .kind = RD_OP_DELETE,
        .condition = {.kind = RD_IF_VERSION, .offset = written.offset, .crc32 = written.crc32},
        .entries = &entry,
        .entry_count = 1,
    };
    assert_int_equal(rd_store_execute(store, &op), RD_PRECONDITION_FAILED);
    struct rd_value value;
    assert_int_equal(rd_store_find(store, key_named("key"), &value), RD_OK);
    op.condition.offset = value.offset;
    rd_value_release(&value);
    assert_int_equal(rd_store_execute(store, &op), RD_OK);
    expect_missing(store, "key");
    rd_store_close(store);
    place_remove(&place);
}

static void who_reads_the_old_file_keeps_it(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    put_text(store, "a", "first");
    put_text(store, "a", "second");
    put_text(store, "b", "third");
    struct rd_value value;
    struct rd_cursor *cursor;
    assert_int_equal(rd_store_read(store, key_named("a"), &value), RD_OK);
    assert_int_equal(rd_cursor_open(store, 0, &cursor), RD_OK);
    for (unsigned i = 0; i < 3; i++) {
        compact(store);
        put_text(store, "a", "later");
        assert_int_equal(rd_store_delete(store, key_named("b"), NULL), RD_OK);
        put_text(store, "b", "later");
    }
    assert_true(rd_slice_equal(value.payload, rd_slice_of_string("second")));
    assert_int_equal(rd_value_verify(&value), RD_OK);
    struct rd_value shown;
    assert_true(rd_cursor_next(cursor, &shown));
    assert_true(rd_slice_equal(shown.payload, rd_slice_of_string("third")));
    assert_true(rd_cursor_next(cursor, &shown));
    assert_true(rd_slice_equal(shown.payload, rd_slice_of_string("second")));
    assert_false(rd_cursor_next(cursor, &shown));
    assert_int_equal(rd_cursor_status(cursor), RD_OK);
    expect_text(store, "a", "later");
    rd_value_release(&value);
    rd_cursor_close(cursor);
    rd_store_close(store);
    place_remove(&place);
}

/* A look goes on where its last step ended, also between steps of others, and not in another file. */
static void a_look_does_not_go_on_in_the_new_file(void **state)
{
    (void)state;
    random_begin();
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    for (unsigned i = 0; i < 300; i++)
        change_something(store);
    struct rd_verification first;
    struct rd_verification step;
    assert_int_equal(rd_store_verify(store, 0, 5000, &first), RD_OK);
    assert_true(first.next != 0);
    step.next = 0;
    for (unsigned i = 0; i < 3 * RD_VIEW_RESUMES; i++) {
        assert_int_equal(rd_store_verify(store, step.next, 1, &step), RD_OK);
        assert_int_equal(step.problem_count, 0);
    }
    assert_int_equal(rd_store_verify(store, first.next, 5000, &step), RD_OK);
    assert_int_equal(step.problem_count, 0);
    delete_one(store, random_below(KEYS));
    struct rd_compacted result = compact(store);
    for (uint64_t from = 1; from <= result.tail; from++) {
        enum rd_status status = rd_store_verify(store, from, 1, &step);
        assert_true(status == RD_CONFLICT || (status == RD_OK && step.problem_count == 0));
    }
    assert_int_equal(rd_store_verify(store, result.tail + 1, 1, &step), RD_INVALID_ARGUMENT);
    rd_store_close(store);
    forget_all();
    place_remove(&place);
}

/* ---- damage ---- */

static void a_corrupt_value_is_carried_over_as_it_is(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    put_text(store, "gone", "dead bytes before it");
    struct rd_written written = put_text(store, "bad", "some value");
    put_text(store, "good", "another");
    assert_int_equal(rd_store_delete(store, key_named("gone"), NULL), RD_OK);
    rd_store_close(store);
    int fd = open(place.path, O_RDWR);
    assert_int_equal(pwrite(fd, "S", 1, (off_t)written.offset), 1);
    close(fd);
    store = store_open(place.path);
    compact(store);
    expect_status(store, key_named("bad"), RD_CORRUPT);
    expect_text(store, "good", "another");
    struct rd_value value;
    assert_int_equal(rd_store_find(store, key_named("bad"), &value), RD_OK);
    assert_int_equal(value.crc32, written.crc32);
    assert_true(rd_slice_equal(value.payload, rd_slice_of_string("Some value")));
    assert_true(value.offset < written.offset);
    rd_value_release(&value);
    rd_store_close(store);
    remove_companion(place.path);
    store = store_open(place.path);
    expect_status(store, key_named("bad"), RD_CORRUPT);
    expect_text(store, "good", "another");
    rd_store_close(store);
    place_remove(&place);
}

/* A key whose trailer is damaged behind the index's back cannot be found over the chain: it must not get lost. */
static void what_the_chain_does_not_show_is_not_lost(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    struct rd_written written = put_text(store, "bad", "some value");
    put_text(store, "good", "another");
    int fd = open(place.path, O_RDWR);
    uint64_t trailer_offset = written.offset + strlen("some value");
    assert_int_equal(pwrite(fd, "\xa5\x5a", 2, (off_t)trailer_offset), 2);
    close(fd);
    expect_status(store, key_named("bad"), RD_CORRUPT);
    struct rd_error error;
    assert_int_equal(rd_store_compact(store, NULL, &error), RD_CORRUPT);
    assert_non_null(strstr(error.message, "verify"));
    assert_false(has_successor(&place));
    expect_status(store, key_named("bad"), RD_CORRUPT);
    put_text(store, "good", "goes on");
    rd_store_close(store);
    place_remove(&place);
}

/* ---- long values ---- */

/* A value that lies ahead of the old file's tail is committed there before the new file takes over, and none is
 * put ahead meanwhile. */
static void a_value_that_lies_ahead_is_not_lost(void **state)
{
    (void)state;
    enum { LEN = 200000 };
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    store->ahead.placed_len_min = LEN;
    store->ahead.gap_len_min = 4096;
    put_text(store, "a", "first");
    put_text(store, "a", "second");
    uint8_t *bytes = malloc(LEN);
    memset(bytes, 7, LEN);
    struct rd_placement *placement = rd_store_place(store, rd_slice(bytes, LEN), RD_DURABILITY_DEFAULT);
    assert_non_null(placement);

    struct rd_compaction *compaction;
    bool done = false;
    uint64_t copied;
    assert_int_equal(rd_compaction_begin(store, &compaction, NULL), RD_OK);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(rd_compaction_step(compaction, UINT64_MAX, &copied, &done, NULL), RD_OK);
    assert_false(done);
    struct rd_entry entry = {.key = key_named("long"), .payload = rd_slice(bytes, LEN)};
    struct rd_op op = {.kind = RD_OP_WRITE, .entries = &entry, .entry_count = 1, .placement = placement};
    assert_int_equal(rd_store_execute(store, &op), RD_OK);
    rd_placement_destroy(placement);
    assert_null(rd_store_place(store, rd_slice(bytes, LEN), RD_DURABILITY_DEFAULT));
    while (!done)
        assert_int_equal(rd_compaction_step(compaction, UINT64_MAX, &copied, &done, NULL), RD_OK);
    rd_compaction_end(compaction);
    expect_bytes(store, key_named("long"), bytes, LEN);
    expect_text(store, "a", "second");

    placement = rd_store_place(store, rd_slice(bytes, LEN), RD_DURABILITY_DEFAULT);
    assert_non_null(placement);
    op.placement = placement;
    assert_int_equal(rd_store_execute(store, &op), RD_OK);
    rd_placement_destroy(placement);
    rd_store_close(store);
    store = store_open(place.path);
    expect_bytes(store, key_named("long"), bytes, LEN);
    expect_text(store, "a", "second");
    free(bytes);
    rd_store_close(store);
    place_remove(&place);
}

/* ---- one at a time, and given up ---- */

static void one_at_a_time_and_given_up_at_any_step(void **state)
{
    (void)state;
    random_begin();
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    for (unsigned i = 0; i < 300; i++)
        change_something(store);
    struct rd_store_info before;
    rd_store_info(store, &before);
    for (unsigned steps = 0; steps < 8; steps++) {
        struct rd_compaction *compaction;
        struct rd_compaction *second = NULL;
        struct rd_store_info info;
        bool done = false;
        assert_int_equal(rd_compaction_begin(store, &compaction, NULL), RD_OK);
        assert_int_equal(rd_compaction_begin(store, &second, NULL), RD_OVERLOADED);
        rd_store_info(store, &info);
        assert_true(info.compacting);
        for (unsigned i = 0; i < steps; i++) {
            uint64_t bytes;
            assert_int_equal(rd_compaction_step(compaction, 1000, &bytes, &done, NULL), RD_OK);
        }
        assert_false(done);
        rd_compaction_end(compaction);
        assert_false(has_successor(&place));
        rd_store_info(store, &info);
        assert_false(info.compacting);
        assert_int_equal(info.generation, before.generation);
        check_all(store);
    }
    rd_store_close(store);
    forget_all();
    place_remove(&place);
}

static void what_was_cut_short_is_removed_at_opening(void **state)
{
    (void)state;
    struct place place = place_create();
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s.compact", place.path);
    rd_store_close(store_open(place.path));
    rd_file_write(path, rd_slice_of_string("left over"));
    assert_int_equal(status_of_open(place.path, true), RD_OK);
    assert_true(file_exists(path)); /* opened to be read: nothing changes */
    struct rd_store *store = store_open(place.path);
    assert_false(file_exists(path));
    rd_store_close(store);
    place_remove(&place);
}

static void a_store_that_is_read_only_is_refused(void **state)
{
    (void)state;
    struct place place = place_create();
    rd_store_close(store_open(place.path));
    struct rd_store *store = store_open_with(place.path, (struct rd_store_options){.read_only = true});
    struct rd_error error;
    assert_int_equal(rd_store_compact(store, NULL, &error), RD_UNAVAILABLE);
    rd_store_close(store);
    place_remove(&place);
}

/* Somebody else must find the new file locked, too. */
static void the_new_file_is_locked(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    put_text(store, "a", "b");
    compact(store);
    assert_int_equal(status_of_open(place.path, false), RD_UNAVAILABLE);
    assert_int_equal(status_of_open(place.path, true), RD_UNAVAILABLE);
    rd_store_close(store);
    assert_int_equal(status_of_open(place.path, false), RD_OK);
    place_remove(&place);
}

/* ---- failures ---- */

static uint64_t free_len_told;

static int told_free_len(void *self, int fd, uint64_t *ret_len)
{
    (void)self;
    (void)fd;
    *ret_len = free_len_told;
    return 0;
}

static void without_space_it_is_refused(void **state)
{
    (void)state;
    random_begin();
    struct place place = place_create();
    struct faults *faults = faults_create();
    faults->io.free_len = told_free_len;
    struct rd_store *store = open_faulty(faults, place.path, RD_DURABILITY_NONE, 0);
    for (unsigned i = 0; i < 300; i++)
        change_something(store);
    free_len_told = 100000;
    struct rd_error error;
    assert_int_equal(rd_store_compact(store, NULL, &error), RD_NO_SPACE);
    assert_non_null(strstr(error.message, "free"));
    assert_false(has_successor(&place));
    check_all(store);
    free_len_told = UINT64_C(1) << 40;
    compact(store);
    check_all(store);
    rd_store_close(store);
    faults_destroy(faults);
    forget_all();
    place_remove(&place);
}

/* Each call of each kind that a compaction makes fails in turn, until it makes no more: the store serves what it
 * did, takes writes, and opens again. But where the folder cannot be synced behind the rename: then it is
 * read-only, and serves the same. */
static void fail_each(enum call call, int os_errno, enum rd_status expected)
{
    for (unsigned skip = 0;; skip++) {
        struct place place = place_create();
        struct faults *faults = faults_create();
        faults->open_filter = ".compact";
        struct rd_store *store = open_faulty(faults, place.path, RD_DURABILITY_NONE, 0);
        for (unsigned i = 0; i < 200; i++)
            change_something(store);
        faults_set(faults, call, skip, 1, os_errno);
        struct rd_error error = {.status = RD_OK};
        enum rd_status status = rd_store_compact(store, NULL, &error);
        assert_true(status == RD_OK || status == expected);
        assert_int_equal(error.status, status);
        bool failed = faults->rules[call].times == 0;
        faults_set(faults, call, 0, 0, 0);
        check_all(store);
        assert_false(has_successor(&place));
        struct rd_store_info info;
        rd_store_info(store, &info);
        assert_true(info.state == RD_STORE_OPEN ||
                    (status == RD_IO_ERROR && (call == CALL_FSYNC || call == CALL_FDATASYNC)));
        if (info.state == RD_STORE_OPEN) {
            for (unsigned i = 0; i < 20; i++)
                change_something(store);
            compact(store);
            check_all(store);
        }
        rd_store_close(store);
        store = store_open(place.path);
        check_all(store);
        rd_store_close(store);
        faults_destroy(faults);
        forget_all();
        place_remove(&place);
        if (!failed)
            break;
    }
}

static void whatever_fails_the_store_is_as_it_was(void **state)
{
    (void)state;
    random_begin();
    fail_each(CALL_OPEN, EACCES, RD_IO_ERROR);
    fail_each(CALL_OPEN, ENOSPC, RD_NO_SPACE);
    fail_each(CALL_FLOCK, EIO, RD_IO_ERROR);
    fail_each(CALL_PWRITEV, ENOSPC, RD_NO_SPACE);
    fail_each(CALL_PWRITEV, EIO, RD_IO_ERROR);
    fail_each(CALL_FDATASYNC, EIO, RD_IO_ERROR);
    fail_each(CALL_FSYNC, EIO, RD_IO_ERROR);
    fail_each(CALL_MMAP, ENOMEM, RD_NO_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_lives_is_the_same),
        cmocka_unit_test(what_changes_between_steps_is_in_the_new_file),
        cmocka_unit_test(the_new_file_has_values_alone),
        cmocka_unit_test(an_empty_file_is_left_as_it_is),
        cmocka_unit_test(a_store_without_entries_becomes_empty),
        cmocka_unit_test(versions_of_before_do_not_match),
        cmocka_unit_test(who_reads_the_old_file_keeps_it),
        cmocka_unit_test(a_look_does_not_go_on_in_the_new_file),
        cmocka_unit_test(a_corrupt_value_is_carried_over_as_it_is),
        cmocka_unit_test(what_the_chain_does_not_show_is_not_lost),
        cmocka_unit_test(a_value_that_lies_ahead_is_not_lost),
        cmocka_unit_test(one_at_a_time_and_given_up_at_any_step),
        cmocka_unit_test(what_was_cut_short_is_removed_at_opening),
        cmocka_unit_test(a_store_that_is_read_only_is_refused),
        cmocka_unit_test(the_new_file_is_locked),
        cmocka_unit_test(without_space_it_is_refused),
        cmocka_unit_test(whatever_fails_the_store_is_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
