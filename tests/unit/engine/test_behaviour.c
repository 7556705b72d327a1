/* SPDX-License-Identifier: MIT
 *
 * docs/FORMAT.md, "What the operations do", row by row, each through the blocking call and through submit and
 * completion.
 */
#include "engine/record.h"
#include "tests/unit/engine/fixture.h"

typedef enum rd_status run_fn(struct rd_store *store, struct rd_op *op);

struct scene {
    struct place place;
    struct rd_store *store;
    run_fn *run;
};

/* Each row runs once for each face, on a store of its own. */
static void both_faces(void (*row)(struct scene *scene))
{
    static run_fn *const faces[] = {run_blocking, run_async};
    for (size_t i = 0; i < 2; i++) {
        struct scene scene = {.place = place_create(), .run = faces[i]};
        scene.store = store_open(scene.place.path);
        row(&scene);
        rd_store_close(scene.store);
        place_remove(&scene.place);
    }
}

#define ROW(name)                                                                                                 \
    static void name##_row(struct scene *scene);                                                                  \
    static void name(void **state)                                                                                \
    {                                                                                                             \
        (void)state;                                                                                              \
        both_faces(name##_row);                                                                                   \
    }                                                                                                             \
    static void name##_row(struct scene *scene)

static void reopen(struct scene *scene)
{
    rd_store_close(scene->store);
    scene->store = store_open(scene->place.path);
}

static struct rd_entry entry_of(const char *key, const void *data, size_t len)
{
    return (struct rd_entry){.key = key_named(key), .payload = rd_slice(data, len)};
}

static struct rd_op run(struct scene *scene, enum rd_op_kind kind, const struct rd_entry *entries, size_t count,
                        enum rd_status expected)
{
    struct rd_op op = {.kind = kind, .entries = entries, .entry_count = count};
    assert_int_equal(scene->run(scene->store, &op), expected);
    return op;
}

static struct rd_op run_write(struct scene *scene, const char *key, const char *text)
{
    struct rd_entry entry = entry_of(key, text, strlen(text));
    return run(scene, RD_OP_WRITE, &entry, 1, RD_OK);
}

/* The file's bytes do not change while the operation runs and fails. */
static void run_without_effect(struct scene *scene, enum rd_op_kind kind, const struct rd_entry *entries,
                               size_t count, enum rd_status expected)
{
    struct rd_buffer before = rd_file_read(scene->place.path);
    uint64_t tail = rd_store_file_size(scene->store);
    uint64_t len = rd_store_len(scene->store);
    (void)run(scene, kind, entries, count, expected);
    expect_file(scene->place.path, rd_buffer_slice(&before));
    assert_int_equal(rd_store_file_size(scene->store), tail);
    assert_int_equal(rd_store_len(scene->store), len);
    rd_buffer_deinit(&before);
}

static const uint8_t zeros[1000];

ROW(return_value_of_a_write_names_offset_and_tail)
{
    struct rd_op op = run_write(scene, "alpha", "Hello, store!");
    assert_int_equal(op.offset, 0);
    assert_int_equal(op.tail, 33);
    assert_int_equal(op.crc32, 0xca97121a);
    assert_int_equal(op.count, 1);
    assert_false(op.replaced);
    op = run_write(scene, "alpha", "again");
    assert_int_equal(op.offset, 64);
    assert_int_equal(op.tail, 64 + 5 + 20);
    assert_true(op.replaced);
    assert_int_equal(rd_store_file_size(scene->store), op.tail);
    struct rd_entry entry = entry_of("alpha", NULL, 0);
    uint64_t tail = op.tail;
    op = run(scene, RD_OP_DELETE, &entry, 1, RD_OK);
    assert_int_equal(op.offset, 0);
    assert_int_equal(op.tail, tail + 21);
    assert_int_equal(op.count, 1);
}

ROW(return_value_of_a_batch_is_of_its_last_entry)
{
    struct rd_entry entries[] = {entry_of("a", "1", 1), entry_of("b", "22", 2), entry_of("c", "333", 3)};
    struct rd_op op = run(scene, RD_OP_BATCH_WRITE, entries, 3, RD_OK);
    assert_int_equal(op.offset, 192); /* the first one lies behind the batch's marker */
    assert_int_equal(op.tail, 192 + 3 + 20);
    assert_int_equal(op.count, 3);
    assert_int_equal(op.crc32, rd_crc32(0, entries[2].payload));
}

ROW(write_empty_payload_is_refused)
{
    run_write(scene, "k", "v");
    struct rd_entry entry = entry_of("k", "", 0);
    run_without_effect(scene, RD_OP_WRITE, &entry, 1, RD_INVALID_ARGUMENT);
    entry.payload = rd_slice(NULL, 0);
    run_without_effect(scene, RD_OP_WRITE, &entry, 1, RD_INVALID_ARGUMENT);
    expect_text(scene->store, "k", "v");
}

ROW(write_one_zero_byte_is_refused)
{
    run_write(scene, "k", "v");
    struct rd_entry entry = entry_of("k", zeros, 1);
    run_without_effect(scene, RD_OP_WRITE, &entry, 1, RD_INVALID_ARGUMENT);
    expect_text(scene->store, "k", "v");
}

ROW(write_two_or_more_zero_bytes_is_accepted)
{
    for (size_t len = 2; len <= sizeof zeros; len = len < 70 ? len + 1 : 2 * len) {
        struct rd_entry entry = entry_of("k", zeros, len);
        run(scene, RD_OP_WRITE, &entry, 1, RD_OK);
        expect_bytes(scene->store, entry.key, zeros, len);
        reopen(scene);
        expect_bytes(scene->store, entry.key, zeros, len);
    }
    assert_int_equal(rd_store_len(scene->store), 1);
}

ROW(empty_key_is_accepted)
{
    run_write(scene, "", "nameless");
    struct rd_entry entry = entry_of("", NULL, 0);
    expect_text(scene->store, "", "nameless");
    reopen(scene);
    expect_text(scene->store, "", "nameless");
    expect_bytes(scene->store, rd_key_of_hash(UINT64_C(0x2d06800538d394c2)), "nameless", 8);
    assert_int_equal(run(scene, RD_OP_DELETE, &entry, 1, RD_OK).count, 1);
    expect_missing(scene->store, "");
}

ROW(empty_batch_is_ok_and_writes_nothing)
{
    run_without_effect(scene, RD_OP_BATCH_WRITE, NULL, 0, RD_OK);
    run_write(scene, "k", "v");
    run_without_effect(scene, RD_OP_BATCH_WRITE, NULL, 0, RD_OK);
    run_without_effect(scene, RD_OP_BATCH_DELETE, NULL, 0, RD_OK);
    struct rd_op op = run(scene, RD_OP_BATCH_WRITE, NULL, 0, RD_OK);
    assert_int_equal(op.count, 0);
    assert_int_equal(op.tail, rd_store_file_size(scene->store));
}

ROW(batch_with_one_invalid_item_writes_nothing)
{
    run_write(scene, "b", "old");
    for (size_t bad = 0; bad < 3; bad++) {
        for (size_t len = 0; len < 2; len++) {
            struct rd_entry entries[] = {entry_of("a", "1", 1), entry_of("b", "2", 1), entry_of("c", "3", 1)};
            entries[bad].payload = rd_slice(zeros, len);
            run_without_effect(scene, RD_OP_BATCH_WRITE, entries, 3, RD_INVALID_ARGUMENT);
        }
    }
    expect_missing(scene->store, "a");
    expect_text(scene->store, "b", "old");
}

ROW(batch_with_one_key_twice_writes_both_and_the_last_wins)
{
    struct rd_entry entries[] = {entry_of("k", "first", 5), entry_of("x", "y", 1), entry_of("k", "last", 4)};
    struct rd_op op = run(scene, RD_OP_BATCH_WRITE, entries, 3, RD_OK);
    assert_int_equal(op.count, 3);
    assert_int_equal(op.tail, 192 + 4 + 20);
    for (int again = 0; again < 2; again++) {
        expect_text(scene->store, "k", "last");
        assert_int_equal(rd_store_len(scene->store), 2);
        reopen(scene);
    }
}

static struct rd_op run_nulls(struct scene *scene, const struct rd_entry *entries, size_t count)
{
    struct rd_op op = {
        .kind = RD_OP_BATCH_WRITE, .allow_null_bytes = true, .entries = entries, .entry_count = count};
    assert_int_equal(scene->run(scene->store, &op), RD_OK);
    return op;
}

ROW(hashed_batch_tombstone_then_write_leaves_the_key_present)
{
    struct rd_entry entries[] = {entry_of("k", zeros, 1), entry_of("k", "alive", 5)};
    for (int there = 0; there < 2; there++) {
        entries[0].key = entries[1].key = rd_key_of_hash(100 + (uint64_t)there);
        if (there == 1)
            put(scene->store, entries[0].key, "old", 3);
        run_nulls(scene, entries, 2);
        for (int again = 0; again < 2; again++) {
            expect_bytes(scene->store, entries[0].key, "alive", 5);
            assert_int_equal(rd_store_len(scene->store), (uint64_t)there + 1);
            reopen(scene);
        }
    }
}

ROW(hashed_batch_write_then_tombstone_leaves_the_key_absent)
{
    struct rd_entry entries[] = {entry_of("k", "dead", 4), entry_of("k", zeros, 1)};
    run_nulls(scene, entries, 2);
    put_text(scene->store, "k2", "old");
    entries[0].key = entries[1].key = key_named("k2");
    run_nulls(scene, entries, 2);
    for (int again = 0; again < 2; again++) {
        expect_missing(scene->store, "k");
        expect_missing(scene->store, "k2");
        assert_true(rd_store_is_empty(scene->store));
        reopen(scene);
    }
}

ROW(delete_of_a_missing_key_writes_nothing)
{
    struct rd_entry missing = entry_of("missing", NULL, 0);
    run_without_effect(scene, RD_OP_DELETE, &missing, 1, RD_OK);
    run_write(scene, "k", "v");
    run_without_effect(scene, RD_OP_DELETE, &missing, 1, RD_OK);
    struct rd_op op = run(scene, RD_OP_DELETE, &missing, 1, RD_OK);
    assert_int_equal(op.count, 0);
    assert_int_equal(op.tail, rd_store_file_size(scene->store));
    struct rd_entry entry = entry_of("k", NULL, 0);
    assert_int_equal(run(scene, RD_OP_DELETE, &entry, 1, RD_OK).count, 1);
    run_without_effect(scene, RD_OP_DELETE, &entry, 1, RD_OK);
}

ROW(delete_of_a_key_deleted_in_an_earlier_session_writes_nothing)
{
    run_write(scene, "k", "v");
    struct rd_entry entry = entry_of("k", NULL, 0);
    run(scene, RD_OP_DELETE, &entry, 1, RD_OK);
    reopen(scene);
    run_without_effect(scene, RD_OP_DELETE, &entry, 1, RD_OK);
    run_without_effect(scene, RD_OP_BATCH_DELETE, &entry, 1, RD_OK);
}

/* What lies in the unused payload of a delete is nobody's business. */
ROW(delete_does_not_look_at_a_payload)
{
    run_write(scene, "k", "v");
    struct rd_entry entry = {.key = key_named("k"), .payload = {.data = NULL, .len = SIZE_MAX / 2}};
    assert_int_equal(run(scene, RD_OP_DELETE, &entry, 1, RD_OK).count, 1);
}

ROW(batch_delete_with_one_key_twice_writes_one_tombstone)
{
    run_write(scene, "a", "1");
    run_write(scene, "b", "2");
    uint64_t tail = rd_store_file_size(scene->store);
    struct rd_entry entries[] = {entry_of("a", NULL, 0), entry_of("missing", NULL, 0), entry_of("b", NULL, 0),
                                 entry_of("a", NULL, 0)};
    struct rd_op op = run(scene, RD_OP_BATCH_DELETE, entries, 4, RD_OK);
    assert_int_equal(op.count, 2);
    assert_int_equal(op.tail, tail + 3 * RD_TOMBSTONE_LEN); /* with the batch's marker */
    assert_true(rd_store_is_empty(scene->store));
    run_without_effect(scene, RD_OP_BATCH_DELETE, entries, 4, RD_OK);
}

static void flip(const char *path, uint64_t at)
{
    struct rd_buffer file = rd_file_read(path);
    file.data[at] ^= 0x10;
    rd_file_write(path, rd_buffer_slice(&file));
    rd_buffer_deinit(&file);
}

ROW(a_payload_whose_checksum_fails_answers_corrupt)
{
    run_write(scene, "bad", "payload");
    run_write(scene, "good", "payload");
    rd_store_close(scene->store);
    flip(scene->place.path, 3);
    scene->store = store_open(scene->place.path);
    expect_status(scene->store, key_named("bad"), RD_CORRUPT);
    expect_text(scene->store, "good", "payload");
    assert_true(rd_store_exists(scene->store, key_named("bad")));
    assert_int_equal(rd_store_len(scene->store), 2);
    struct rd_key keys[] = {key_named("good"), key_named("bad"), key_named("none")};
    struct rd_value values[3];
    enum rd_status statuses[3];
    rd_store_batch_read(scene->store, keys, 3, values, statuses);
    assert_int_equal(statuses[0], RD_OK);
    assert_int_equal(statuses[1], RD_CORRUPT);
    assert_int_equal(statuses[2], RD_KEY_NOT_FOUND);
    assert_null(values[1].payload.data);
    rd_values_release(values, 3);
    run_write(scene, "bad", "mended"); /* the store stays writable */
    expect_text(scene->store, "bad", "mended");
    rd_store_close(scene->store);
    struct rd_store_options unverified = {.verify_reads_off = true};
    scene->store = store_open_with(scene->place.path, unverified);
    expect_text(scene->store, "good", "payload");
}

ROW(len_after_a_reopen_counts_live_keys)
{
    char name[16];
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "key%d", i % 200);
        run_write(scene, name, "value");
    }
    for (int i = 0; i < 200; i += 3) {
        snprintf(name, sizeof name, "key%d", i);
        struct rd_entry entry = entry_of(name, NULL, 0);
        run(scene, RD_OP_DELETE, &entry, 1, RD_OK);
    }
    for (int again = 0; again < 2; again++) {
        assert_int_equal(rd_store_len(scene->store), 200 - 67);
        assert_false(rd_store_is_empty(scene->store));
        reopen(scene);
    }
}

ROW(durability_is_named)
{
    static const struct {
        struct rd_store_options options;
        enum rd_durability applied;
        uint32_t interval_ms;
    } rows[] = {
        {{.durability = RD_DURABILITY_DEFAULT}, RD_DURABILITY_SYNC, 0},
        {{.durability = RD_DURABILITY_SYNC}, RD_DURABILITY_SYNC, 0},
        {{.durability = RD_DURABILITY_INTERVAL}, RD_DURABILITY_INTERVAL, 1000},
        {{.durability = RD_DURABILITY_INTERVAL, .durability_interval_ms = 70}, RD_DURABILITY_INTERVAL, 70},
        {{.durability = RD_DURABILITY_NONE}, RD_DURABILITY_NONE, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        rd_store_close(scene->store);
        scene->store = store_open_with(scene->place.path, rows[i].options);
        struct rd_store_info info;
        rd_store_info(scene->store, &info);
        assert_int_equal(info.durability, rows[i].applied);
        assert_int_equal(info.durability_interval_ms, rows[i].interval_ms);
        struct rd_entry entry = entry_of("k", "v", 1);
        struct rd_op op = {.kind = RD_OP_WRITE, .entries = &entry, .entry_count = 1};
        assert_int_equal(run_async(scene->store, &op), RD_OK);
        assert_int_equal(op.durability_applied, rows[i].applied);
        assert_int_equal(op.durability_interval_ms, rows[i].interval_ms);
    }
}

static void malformed_operations_are_not_taken(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    struct collector collector;
    collector_init(&collector);
    struct rd_entry entries[2] = {entry_of("k", "v", 1), entry_of("l", "v", 1)};
    struct rd_op good = {.kind = RD_OP_WRITE, .entries = entries, .entry_count = 1, .sink = &collector.sink};
    struct rd_op bad[6] = {good, good, good, good, good, good};
    bad[0].sink = NULL;
    bad[1].entries = NULL;
    bad[2].entry_count = 2;
    bad[3].entry_count = 0;
    bad[4].kind = (enum rd_op_kind)99;
    bad[5].durability = (enum rd_durability)99;
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(rd_store_submit(store, &bad[i]), RD_INVALID_ARGUMENT);
    rd_store_kick(store);
    rd_store_close(store);
    assert_int_equal(collector.count, 0);
    collector_deinit(&collector);
    place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(return_value_of_a_write_names_offset_and_tail),
        cmocka_unit_test(return_value_of_a_batch_is_of_its_last_entry),
        cmocka_unit_test(write_empty_payload_is_refused),
        cmocka_unit_test(write_one_zero_byte_is_refused),
        cmocka_unit_test(write_two_or_more_zero_bytes_is_accepted),
        cmocka_unit_test(empty_key_is_accepted),
        cmocka_unit_test(empty_batch_is_ok_and_writes_nothing),
        cmocka_unit_test(batch_with_one_invalid_item_writes_nothing),
        cmocka_unit_test(batch_with_one_key_twice_writes_both_and_the_last_wins),
        cmocka_unit_test(hashed_batch_tombstone_then_write_leaves_the_key_present),
        cmocka_unit_test(hashed_batch_write_then_tombstone_leaves_the_key_absent),
        cmocka_unit_test(delete_of_a_missing_key_writes_nothing),
        cmocka_unit_test(delete_of_a_key_deleted_in_an_earlier_session_writes_nothing),
        cmocka_unit_test(delete_does_not_look_at_a_payload),
        cmocka_unit_test(batch_delete_with_one_key_twice_writes_one_tombstone),
        cmocka_unit_test(a_payload_whose_checksum_fails_answers_corrupt),
        cmocka_unit_test(len_after_a_reopen_counts_live_keys),
        cmocka_unit_test(durability_is_named),
        cmocka_unit_test(malformed_operations_are_not_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
