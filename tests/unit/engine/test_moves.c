/* SPDX-License-Identifier: MIT
 *
 * Rename, copy, transfer, streams and conditions, as docs/FORMAT.md and engine.h promise them.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/engine/fixture.h"

struct pair {
    struct place source_place;
    struct place target_place;
    struct rd_store *source;
    struct rd_store *target;
};

static struct pair pair_open(void)
{
    struct pair pair = {.source_place = place_create(), .target_place = place_create()};
    pair.source = store_open(pair.source_place.path);
    pair.target = store_open(pair.target_place.path);
    return pair;
}

static void pair_close(struct pair *pair)
{
    rd_store_close(pair->source);
    rd_store_close(pair->target);
    place_remove(&pair->source_place);
    place_remove(&pair->target_place);
}

static struct rd_slice text(const char *string)
{
    return rd_slice_of_string(string);
}

static struct rd_key key(const char *name)
{
    return rd_key_of_bytes(text(name));
}

static struct rd_written put_value(struct rd_store *store, const char *name, struct rd_slice value)
{
    struct rd_written written;
    assert_int_equal(rd_store_write(store, key(name), value, &written), RD_OK);
    return written;
}

static void expect(struct rd_store *store, const char *name, struct rd_slice value)
{
    struct rd_value found;
    assert_int_equal(rd_store_read(store, key(name), &found), RD_OK);
    assert_true(rd_slice_equal(found.payload, value));
    rd_value_release(&found);
}

static void expect_absent(struct rd_store *store, const char *name)
{
    struct rd_value found;
    assert_int_equal(rd_store_read(store, key(name), &found), RD_KEY_NOT_FOUND);
}

static struct rd_condition version_of(const struct rd_written *written)
{
    return (struct rd_condition){.kind = RD_IF_VERSION, .offset = written->offset, .crc32 = written->crc32};
}

/* ---- rename ---- */

static void rename_moves_the_newest_value_and_says_where(void **state)
{
    (void)state;
    struct pair pair = pair_open();
    put_value(pair.source, "old", text("first"));
    struct rd_written before = put_value(pair.source, "old", text("second"));
    struct rd_written written;
    assert_int_equal(rd_store_rename(pair.source, key("old"), key("new"), &written), RD_OK);
    expect(pair.source, "new", text("second"));
    expect_absent(pair.source, "old");
    struct rd_value found;
    assert_int_equal(rd_store_find(pair.source, key("new"), &found), RD_OK);
    assert_int_equal(written.offset, found.offset);
    assert_int_equal(written.crc32, before.crc32);
    assert_int_equal(written.tail, rd_store_file_size(pair.source));
    assert_int_equal(written.count, 1);
    assert_false(written.replaced);
    rd_value_release(&found);
    assert_int_equal(rd_store_len(pair.source), 1);
    pair_close(&pair);
}

static void rename_to_itself_is_refused_even_where_missing(void **state)
{
    (void)state;
    struct pair pair = pair_open();
    assert_int_equal(rd_store_rename(pair.source, key("k"), key("k"), NULL), RD_CONFLICT);
    put_value(pair.source, "k", text("value"));
    uint64_t tail = rd_store_file_size(pair.source);
    assert_int_equal(rd_store_rename(pair.source, key("k"), key("k"), NULL), RD_CONFLICT);
    assert_int_equal(rd_store_file_size(pair.source), tail);
    pair_close(&pair);
}

static void rename_of_a_missing_key_writes_nothing(void **state)
{
    (void)state;
    struct pair pair = pair_open();
    assert_int_equal(rd_store_rename(pair.source, key("no"), key("k"), NULL), RD_KEY_NOT_FOUND);
    assert_int_equal(rd_store_file_size(pair.source), 0);
    pair_close(&pair);
}

static void rename_onto_an_existing_key_overwrites(void **state)
{
    (void)state;
    struct pair pair = pair_open();
    put_value(pair.source, "a", text("from a"));
    put_value(pair.source, "b", text("old b"));
    struct rd_written written;
    assert_int_equal(rd_store_rename(pair.source, key("a"), key("b"), &written), RD_OK);
    assert_true(written.replaced);
    expect(pair.source, "b", text("from a"));
    expect_absent(pair.source, "a");
    pair_close(&pair);
}

static void zeros_can_be_renamed_copied_and_transferred(void **state)
{
    (void)state;
    struct pair pair = pair_open();
    static const uint8_t zeros[70000];
    put_value(pair.source, "z", rd_slice(zeros, 2));
    put_value(pair.source, "long", rd_slice(zeros, sizeof zeros));
    assert_int_equal(rd_store_rename(pair.source, key("z"), key("y"), NULL), RD_OK);
    assert_int_equal(rd_store_copy(pair.source, key("y"), pair.target, NULL), RD_OK);
    assert_int_equal(rd_store_transfer(pair.source, key("long"), pair.target, NULL), RD_OK);
    expect(pair.target, "y", rd_slice(zeros, 2));
    expect(pair.target, "long", rd_slice(zeros, sizeof zeros));
    pair_close(&pair);
}

/* ---- copy and transfer ---- */

static void copy_and_transfer_name_both_stores_offsets(void **state)
{
    (void)state;
    struct pair pair = pair_open();
    put_value(pair.source, "k", text("value"));
    struct rd_moved moved;
    assert_int_equal(rd_store_copy(pair.source, key("k"), pair.target, &moved), RD_OK);
    assert_int_equal(moved.target.tail, rd_store_file_size(pair.target));
    expect(pair.source, "k", text("value"));
    assert_int_equal(rd_store_transfer(pair.source, key("k"), pair.target, &moved), RD_OK);
    assert_int_equal(moved.target.offset, 64);
    assert_int_equal(moved.target.tail, rd_store_file_size(pair.target));
    assert_int_equal(moved.source_tail, rd_store_file_size(pair.source));
    expect(pair.target, "k", text("value"));
    expect_absent(pair.source, "k");
    pair_close(&pair);
}

static void the_same_store_and_missing_keys_are_refused(void **state)
{
    (void)state;
    struct pair pair = pair_open();
    put_value(pair.source, "k", text("value"));
    assert_int_equal(rd_store_copy(pair.source, key("k"), pair.source, NULL), RD_CONFLICT);
    assert_int_equal(rd_store_transfer(pair.source, key("k"), pair.source, NULL), RD_CONFLICT);
    assert_int_equal(rd_store_copy(pair.source, key("no"), pair.target, NULL), RD_KEY_NOT_FOUND);
    assert_int_equal(rd_store_transfer(pair.source, key("no"), pair.target, NULL), RD_KEY_NOT_FOUND);
    assert_int_equal(rd_store_file_size(pair.target), 0);
    pair_close(&pair);
}

/* A second handle on the file, by whatever name, is refused by the lock. */
static void a_symlink_or_hard_link_to_the_source_is_no_target(void **state)
{
    (void)state;
    struct pair pair = pair_open();
    char *links[2] = {rd_path(pair.target_place.folder, "symlink.rdr"),
                      rd_path(pair.source_place.folder, "hard.rdr")};
    assert_int_equal(symlink(pair.source_place.path, links[0]), 0);
    assert_int_equal(link(pair.source_place.path, links[1]), 0);
    for (int i = 0; i < 2; i++) {
        struct rd_store *store;
        assert_int_equal(rd_store_open(links[i], NULL, &store, NULL), RD_UNAVAILABLE);
        unlink(links[i]);
        free(links[i]);
    }
    pair_close(&pair);
}

static void a_damaged_value_is_neither_renamed_copied_nor_transferred(void **state)
{
    (void)state;
    struct pair pair = pair_open();
    put_value(pair.source, "k", text("value"));
    put_value(pair.source, "other", text("value"));
    rd_store_close(pair.source);
    struct rd_buffer file = rd_file_read(pair.source_place.path);
    file.data[1] ^= 4;
    rd_file_write(pair.source_place.path, rd_buffer_slice(&file));
    rd_buffer_deinit(&file);
    pair.source = store_open(pair.source_place.path);
    uint64_t tail = rd_store_file_size(pair.source);
    assert_int_equal(rd_store_rename(pair.source, key("k"), key("n"), NULL), RD_CORRUPT);
    assert_int_equal(rd_store_copy(pair.source, key("k"), pair.target, NULL), RD_CORRUPT);
    assert_int_equal(rd_store_transfer(pair.source, key("k"), pair.target, NULL), RD_CORRUPT);
    assert_int_equal(rd_store_file_size(pair.source), tail);
    assert_int_equal(rd_store_file_size(pair.target), 0);
    pair_close(&pair);
}

/* What could not be deleted afterwards is not copied either. */
static void a_source_that_takes_no_writes_is_not_transferred_from(void **state)
{
    (void)state;
    struct pair pair = pair_open();
    put_value(pair.source, "k", text("value"));
    rd_store_close(pair.source);
    struct rd_store_options options = {.read_only = true};
    assert_int_equal(rd_store_open(pair.source_place.path, &options, &pair.source, NULL), RD_OK);
    assert_int_equal(rd_store_takes_writes(pair.source), RD_UNAVAILABLE);
    assert_int_equal(rd_store_transfer(pair.source, key("k"), pair.target, NULL), RD_UNAVAILABLE);
    assert_int_equal(rd_store_file_size(pair.target), 0);
    assert_int_equal(rd_store_copy(pair.source, key("k"), pair.target, NULL), RD_OK);
    rd_store_close(pair.source);

    pair.source = store_open(pair.source_place.path);
    assert_int_equal(rd_store_takes_writes(pair.source), RD_OK);
    assert_int_equal(unlink(pair.source_place.path), 0); /* a sync finds it, and the store fails */
    struct rd_entry entry = {.key = key("k"), .payload = text("newer")};
    struct rd_op op = {.kind = RD_OP_WRITE, .durability = RD_DURABILITY_SYNC, .entries = &entry, .entry_count = 1};
    assert_int_equal(rd_store_execute(pair.source, &op), RD_IO_ERROR);
    assert_int_equal(rd_store_takes_writes(pair.source), RD_IO_ERROR);
    uint64_t tail = rd_store_file_size(pair.target);
    assert_int_equal(rd_store_transfer(pair.source, key("k"), pair.target, NULL), RD_IO_ERROR);
    assert_int_equal(rd_store_file_size(pair.target), tail);
    pair_close(&pair);
}

/* ---- streams ---- */

struct source {
    uint64_t left;
    uint64_t fails_at; /* bytes left; UINT64_MAX: never */
    uint8_t byte;
};

static int64_t read_source(void *context, uint8_t *to, size_t len_max)
{
    struct source *source = context;
    assert_int_equal(len_max, 65536);
    if (source->left <= source->fails_at && source->fails_at != UINT64_MAX)
        return -1;
    size_t len = source->left < len_max ? (size_t)source->left : len_max;
    memset(to, source->byte, len);
    source->left -= len;
    return (int64_t)len;
}

static enum rd_status stream(struct rd_store *store, const char *name, struct source source)
{
    return rd_store_write_stream(store, key(name), read_source, &source, NULL);
}

/* ---- a source whose file is cut while it is copied ---- */

#define LOST_LEN   ((size_t)100 << 10) /* written from where it lies, and not from a copy */
#define COPIED_LEN ((size_t)1000)
#define PLACED_LEN ((size_t)17 << 20)

/* The target's calls. Once armed, the next look at the target's file cuts the source's: the value has been
 * verified by then, and is not written yet. */
struct cutting {
    struct rd_io io;
    const char *path; /* borrows */
    off_t len;        /* that the file is left */
    atomic_bool armed;
};

static int cut_at_fstat(void *self, int fd, struct stat *ret_stat)
{
    struct cutting *cutting = self;
    if (atomic_exchange(&cutting->armed, false))
        assert_int_equal(truncate(cutting->path, cutting->len), 0);
    return rd_io_system.fstat(NULL, fd, ret_stat);
}

/* The blocking copy, or a transfer, of a value that lies at the file's beginning; then the target is as it was,
 * but for the copy where it is whole. */
static void cut_while_copied(size_t len, off_t left, bool transfers, enum rd_status expected)
{
    assert_true(rd_guard_install());
    struct pair pair = {.source_place = place_create(), .target_place = place_create()};
    struct cutting cutting = {.io = rd_io_system, .path = pair.source_place.path, .len = left};
    cutting.io.self = &cutting;
    cutting.io.fstat = cut_at_fstat;
    uint8_t *bytes = malloc(len);
    memset(bytes, 'v', len);
    pair.source = store_open(pair.source_place.path);
    pair.target =
        store_open_with(pair.target_place.path, (struct rd_store_options){.create = true, .io = &cutting.io});
    put_value(pair.source, "k", rd_slice(bytes, len));
    put_value(pair.target, "k", text("earlier"));
    put_value(pair.target, "other", text("before"));
    atomic_store(&cutting.armed, true);
    enum rd_status status = transfers ? rd_store_transfer(pair.source, key("k"), pair.target, NULL)
                                      : rd_store_copy(pair.source, key("k"), pair.target, NULL);
    assert_int_equal(status, expected);
    assert_false(atomic_load(&cutting.armed));

    struct rd_store_info info;
    rd_store_info(pair.target, &info);
    assert_int_equal(info.state, RD_STORE_OPEN);
    expect(pair.target, "k", len == COPIED_LEN ? rd_slice(bytes, len) : text("earlier"));
    assert_int_equal(rd_store_len(pair.target), 2);
    put_value(pair.target, "other", text("after"));
    expect(pair.target, "other", text("after"));
    free(bytes);
    pair_close(&pair);
}

static void a_source_that_is_lost_is_not_the_target_s_fault(void **state)
{
    (void)state;
    cut_while_copied(LOST_LEN, 0, false, RD_IO_ERROR);
    cut_while_copied(LOST_LEN, 0, true, RD_IO_ERROR);
    cut_while_copied(LOST_LEN, LOST_LEN / 2, false, RD_IO_ERROR);
}

/* What was verified is what is written, also where what is left of a page reads as zeros and no fault tells of it.
 * A transfer does not get to its end: nothing is deleted in a file that is cut. */
static void zeros_of_a_source_that_is_lost_are_no_copy(void **state)
{
    (void)state;
    cut_while_copied(COPIED_LEN, 0, false, RD_OK);
    cut_while_copied(COPIED_LEN, COPIED_LEN / 2, false, RD_OK);
    cut_while_copied(COPIED_LEN, 0, true, RD_IO_ERROR);
    cut_while_copied(COPIED_LEN, COPIED_LEN / 2, true, RD_IO_ERROR);
}

/* Nor of a long one, which is written from where it lies: appended, or placed ahead. */
static void zeros_in_the_last_page_are_no_copy_of_a_long_value(void **state)
{
    (void)state;
    static const size_t lens[] = {LOST_LEN, (size_t)9 << 20};
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++)
        for (unsigned transfers = 0; transfers <= 1; transfers++)
            cut_while_copied(lens[i], (off_t)lens[i] - 100, transfers, RD_IO_ERROR);
    cut_while_copied(PLACED_LEN, PLACED_LEN - 100, false, RD_CORRUPT); /* as a reader of it would be told */
    cut_while_copied(PLACED_LEN, PLACED_LEN - 100, true, RD_CORRUPT);
}

/* The others of its group are tried again without it. */
static void a_payload_that_is_gone_fails_alone(void **state)
{
    (void)state;
    enum { COUNT = 3 };
    static const char *const names[COUNT] = {"before", "gone", "behind"};
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    void *gone = mmap(NULL, LOST_LEN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(gone, MAP_FAILED);
    struct collector collector;
    collector_init(&collector);
    struct rd_entry entries[COUNT];
    struct rd_op ops[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        entries[i] = (struct rd_entry){.key = key(names[i]), .payload = text("value")};
        ops[i] =
            (struct rd_op){.kind = RD_OP_WRITE, .entries = &entries[i], .entry_count = 1, .sink = &collector.sink};
    }
    entries[1].payload = rd_slice(gone, LOST_LEN);
    entries[1].crc32_known = true;
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(rd_store_submit(store, &ops[i]), RD_OK);
    rd_store_kick(store);
    collector_wait(&collector, COUNT);
    collector_deinit(&collector);
    assert_int_equal(ops[0].status, RD_OK);
    assert_int_equal(ops[1].status, RD_IO_ERROR);
    assert_int_equal(ops[1].os_errno, EFAULT);
    assert_int_equal(ops[2].status, RD_OK);
    rd_store_close(store);
    store = store_open(place.path);
    expect(store, "before", text("value"));
    expect_absent(store, "gone");
    expect(store, "behind", text("value"));
    rd_store_close(store);
    assert_int_equal(munmap(gone, LOST_LEN), 0);
    place_remove(&place);
}

static void a_stream_of_any_length_is_one_value(void **state)
{
    (void)state;
    struct pair pair = pair_open();
    static const uint64_t lens[] = {1, 65535, 65536, 262144, 262145, 3000000, 20000000};
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        struct source source = {.left = lens[i], .fails_at = UINT64_MAX, .byte = 's'};
        assert_int_equal(stream(pair.source, "s", source), RD_OK);
        struct rd_value value;
        assert_int_equal(rd_store_read(pair.source, key("s"), &value), RD_OK);
        assert_int_equal(value.payload.len, lens[i]);
        assert_int_equal(value.payload.data[lens[i] - 1], 's');
        rd_value_release(&value);
    }
    pair_close(&pair);
}

static void a_stream_that_cannot_be_stored_leaves_nothing(void **state)
{
    (void)state;
    struct pair pair = pair_open();
    struct source empty = {.left = 0, .fails_at = UINT64_MAX};
    struct source one_zero = {.left = 1, .fails_at = UINT64_MAX};
    struct source fails = {.left = 3000000, .fails_at = 100000, .byte = 'f'};
    assert_int_equal(stream(pair.source, "s", empty), RD_INVALID_ARGUMENT);
    assert_int_equal(stream(pair.source, "s", one_zero), RD_INVALID_ARGUMENT);
    assert_int_equal(stream(pair.source, "s", fails), RD_IO_ERROR);
    assert_int_equal(rd_store_file_size(pair.source), 0);
    struct source zeros = {.left = 2, .fails_at = UINT64_MAX};
    assert_int_equal(stream(pair.source, "s", zeros), RD_OK);
    pair_close(&pair);
}

/* ---- conditions ---- */

static enum rd_status execute(struct rd_store *store, enum rd_op_kind kind, struct rd_condition condition)
{
    struct rd_entry entries[2] = {{.key = key("k"), .payload = text("new")}, {.key = key("n")}};
    struct rd_op op = {
        .kind = kind, .entries = entries, .entry_count = kind == RD_OP_RENAME ? 2 : 1, .condition = condition};
    return rd_store_execute(store, &op);
}

static void conditions_are_judged_on_the_key(void **state)
{
    (void)state;
    struct pair pair = pair_open();
    struct rd_condition absent = {.kind = RD_IF_ABSENT};
    struct rd_condition present = {.kind = RD_IF_PRESENT};
    static const enum rd_op_kind kinds[] = {RD_OP_WRITE, RD_OP_DELETE, RD_OP_RENAME};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(execute(pair.source, kinds[i], present), RD_PRECONDITION_FAILED);
    assert_int_equal(rd_store_file_size(pair.source), 0);
    assert_int_equal(execute(pair.source, RD_OP_WRITE, absent), RD_OK);
    assert_int_equal(execute(pair.source, RD_OP_WRITE, absent), RD_PRECONDITION_FAILED);
    assert_int_equal(execute(pair.source, RD_OP_WRITE, present), RD_OK);
    struct rd_written first = put_value(pair.source, "k", text("first"));
    struct rd_written second = put_value(pair.source, "k", text("second"));
    uint64_t tail = rd_store_file_size(pair.source);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(execute(pair.source, kinds[i], version_of(&first)), RD_PRECONDITION_FAILED);
    assert_int_equal(rd_store_file_size(pair.source), tail);
    assert_int_equal(execute(pair.source, RD_OP_RENAME, version_of(&second)), RD_OK);
    expect(pair.source, "n", text("second"));
    pair_close(&pair);
}

static void a_rename_may_ask_for_a_free_target(void **state)
{
    (void)state;
    struct pair pair = pair_open();
    put_value(pair.source, "k", text("value"));
    put_value(pair.source, "n", text("taken"));
    struct rd_entry entries[2] = {{.key = key("k")}, {.key = key("n")}};
    struct rd_op op = {
        .kind = RD_OP_RENAME, .entries = entries, .entry_count = 2, .target_condition = {.kind = RD_IF_ABSENT}};
    assert_int_equal(rd_store_execute(pair.source, &op), RD_PRECONDITION_FAILED);
    assert_int_equal(rd_store_delete(pair.source, key("n"), NULL), RD_OK);
    assert_int_equal(rd_store_execute(pair.source, &op), RD_OK);
    expect(pair.source, "n", text("value"));
    pair_close(&pair);
}

struct creator {
    pthread_t thread;
    struct rd_store *store;
    enum rd_status status;
};

static void *create_if_absent(void *context)
{
    struct creator *creator = context;
    creator->status = execute(creator->store, RD_OP_WRITE, (struct rd_condition){.kind = RD_IF_ABSENT});
    return NULL;
}

static void of_100_creators_one_wins(void **state)
{
    (void)state;
    struct pair pair = pair_open();
    static struct creator creators[100];
    for (size_t i = 0; i < 100; i++) {
        creators[i].store = pair.source;
        assert_int_equal(pthread_create(&creators[i].thread, NULL, create_if_absent, &creators[i]), 0);
    }
    size_t winners = 0;
    for (size_t i = 0; i < 100; i++) {
        pthread_join(creators[i].thread, NULL);
        assert_true(creators[i].status == RD_OK || creators[i].status == RD_PRECONDITION_FAILED);
        winners += creators[i].status == RD_OK;
    }
    assert_int_equal(winners, 1);
    assert_int_equal(rd_store_file_size(pair.source), 23);
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rename_moves_the_newest_value_and_says_where),
        cmocka_unit_test(rename_to_itself_is_refused_even_where_missing),
        cmocka_unit_test(rename_of_a_missing_key_writes_nothing),
        cmocka_unit_test(rename_onto_an_existing_key_overwrites),
        cmocka_unit_test(zeros_can_be_renamed_copied_and_transferred),
        cmocka_unit_test(copy_and_transfer_name_both_stores_offsets),
        cmocka_unit_test(the_same_store_and_missing_keys_are_refused),
        cmocka_unit_test(a_symlink_or_hard_link_to_the_source_is_no_target),
        cmocka_unit_test(a_damaged_value_is_neither_renamed_copied_nor_transferred),
        cmocka_unit_test(a_source_that_takes_no_writes_is_not_transferred_from),
        cmocka_unit_test(a_source_that_is_lost_is_not_the_target_s_fault),
        cmocka_unit_test(zeros_of_a_source_that_is_lost_are_no_copy),
        cmocka_unit_test(zeros_in_the_last_page_are_no_copy_of_a_long_value),
        cmocka_unit_test(a_payload_that_is_gone_fails_alone),
        cmocka_unit_test(a_stream_of_any_length_is_one_value),
        cmocka_unit_test(a_stream_that_cannot_be_stored_leaves_nothing),
        cmocka_unit_test(conditions_are_judged_on_the_key),
        cmocka_unit_test(a_rename_may_ask_for_a_free_target),
        cmocka_unit_test(of_100_creators_one_wins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
