/* SPDX-License-Identifier: MIT
 *
 * Batches and renames that a crash cuts short: rule 3 of docs/ARCHITECTURE.md. Every state that a torn append can
 * leave is opened.
 */
#include "engine/record.h"
#include "tests/unit/engine/fixture.h"

struct scene {
    struct place place;
    struct rd_store *store;
    struct rd_buffer meta; /* the companion as it was written at opening */
};

static struct scene scene_begin(bool batch_marker_off)
{
    struct scene scene = {.place = place_create()};
    scene.store =
        store_open_with(scene.place.path, (struct rd_store_options){.create = true,
                                                                    .durability = RD_DURABILITY_NONE,
                                                                    .batch_marker_off = batch_marker_off});
    char *meta_path = rd_path(scene.place.folder, "store.rdr.meta");
    scene.meta = rd_file_read(meta_path);
    free(meta_path);
    put_text(scene.store, "old", "before the batch");
    put_text(scene.store, "gone", "deleted by the batch");
    return scene;
}

static void scene_end(struct scene *scene)
{
    rd_buffer_deinit(&scene->meta);
    place_remove(&scene->place);
}

/* The file's first len bytes, as a crash leaves them: beside the companion of the opening. */
static struct rd_store *open_torn(struct scene *scene, const struct rd_buffer *file, uint64_t len)
{
    char *meta_path = rd_path(scene->place.folder, "store.rdr.meta");
    rd_file_write(meta_path, rd_buffer_slice(&scene->meta));
    free(meta_path);
    rd_file_write(scene->place.path, rd_slice(file->data, len));
    return store_open(scene->place.path);
}

typedef void change_fn(struct rd_store *store);
typedef void expect_fn(struct rd_store *store, bool done);

/* Tears the append of `change` at every byte: the store is as before it, or as after it at its very end. */
static void check_every_tear(change_fn *change, expect_fn *expect)
{
    struct scene scene = scene_begin(false);
    uint64_t before = rd_store_file_size(scene.store);
    change(scene.store);
    uint64_t after = rd_store_file_size(scene.store);
    assert_true(after > before);
    rd_store_close(scene.store);
    struct rd_buffer file = rd_file_read(scene.place.path);
    for (uint64_t len = before; len <= after; len++) {
        struct rd_store *store = open_torn(&scene, &file, len);
        assert_int_equal(rd_store_file_size(store), len == after ? after : before);
        expect_text(store, "old", "before the batch");
        expect(store, len == after);
        put_text(store, "next", "a further write");
        rd_store_close(store);
    }
    rd_buffer_deinit(&file);
    scene_end(&scene);
}

static void write_three(struct rd_store *store)
{
    struct rd_entry entries[] = {{.key = key_named("a"), .payload = rd_slice_of_string("first")},
                                 {.key = key_named("b"), .payload = rd_slice_of_string("second")},
                                 {.key = key_named("a"), .payload = rd_slice_of_string("third")}};
    assert_int_equal(rd_store_batch_write(store, entries, 3, false, NULL), RD_OK);
}

static void expect_three(struct rd_store *store, bool done)
{
    assert_int_equal(rd_store_len(store), done ? 4 : 2);
    if (!done) {
        expect_missing(store, "a");
        expect_missing(store, "b");
        return;
    }
    expect_text(store, "a", "third");
    expect_text(store, "b", "second");
}

static void a_torn_batch_write_is_absent(void **state)
{
    (void)state;
    check_every_tear(write_three, expect_three);
}

static void delete_both(struct rd_store *store)
{
    put_text(store, "x", "1"); /* torn away by most tears too */
    struct rd_key keys[] = {key_named("gone"), key_named("x"), key_named("missing")};
    struct rd_written written;
    assert_int_equal(rd_store_batch_delete(store, keys, 3, &written), RD_OK);
    assert_int_equal(written.count, 2);
}

static void a_torn_batch_delete_is_absent(void **state)
{
    (void)state;
    struct scene scene = scene_begin(false);
    delete_both(scene.store);
    uint64_t after = rd_store_file_size(scene.store);
    rd_store_close(scene.store);
    struct rd_buffer file = rd_file_read(scene.place.path);
    uint64_t written = after - 3 * RD_TOMBSTONE_LEN; /* where the marker begins */
    for (uint64_t len = written; len <= after; len++) {
        struct rd_store *store = open_torn(&scene, &file, len);
        assert_int_equal(rd_store_len(store), len == after ? 1 : 3);
        assert_int_equal(rd_store_exists(store, key_named("gone")), len != after);
        assert_int_equal(rd_store_exists(store, key_named("x")), len != after);
        rd_store_close(store);
    }
    rd_buffer_deinit(&file);
    scene_end(&scene);
}

static void rename_it(struct rd_store *store)
{
    assert_int_equal(rd_store_rename(store, key_named("gone"), key_named("new"), NULL), RD_OK);
}

static void expect_renamed(struct rd_store *store, bool done)
{
    assert_int_equal(rd_store_len(store), 2);
    expect_missing(store, done ? "gone" : "new");
    expect_text(store, done ? "new" : "gone", "deleted by the batch");
}

static void a_torn_rename_leaves_the_old_key_alone(void **state)
{
    (void)state;
    check_every_tear(rename_it, expect_renamed);
}

/* ---- what is written ---------------------------------------------------------------------------------- */

static struct rd_record entry_at(const struct rd_buffer *file, uint64_t end)
{
    struct rd_record record;
    assert_true(rd_record_parse(file->data, end, &record));
    return record;
}

static void only_operations_of_two_entries_have_a_marker(void **state)
{
    (void)state;
    struct scene scene = scene_begin(false);
    struct rd_entry entry = {.key = key_named("a"), .payload = rd_slice_of_string("1")};
    uint64_t tail = rd_store_file_size(scene.store);
    struct rd_written written;
    assert_int_equal(rd_store_batch_write(scene.store, &entry, 1, false, &written), RD_OK);
    assert_int_equal(written.offset, (tail + 63) / 64 * 64);
    struct rd_key keys[] = {key_named("missing"), key_named("a"), key_named("a")};
    tail = written.tail;
    assert_int_equal(rd_store_batch_delete(scene.store, keys, 3, &written), RD_OK);
    assert_int_equal(written.count, 1);
    assert_int_equal(written.tail, tail + RD_TOMBSTONE_LEN);
    assert_int_equal(rd_store_batch_delete(scene.store, keys, 3, &written), RD_OK);
    assert_int_equal(written.tail, tail + RD_TOMBSTONE_LEN);
    write_three(scene.store);
    uint64_t marked = rd_store_file_size(scene.store);
    rd_store_close(scene.store);
    struct rd_buffer file = rd_file_read(scene.place.path);
    uint64_t end = marked;
    for (int i = 0; i < 3; i++)
        end = entry_at(&file, end).trailer.prev_tail;
    struct rd_record marker = entry_at(&file, end);
    assert_true(marker.marker);
    assert_int_equal(marker.trailer.crc32, 3);
    assert_int_equal(marker.trailer.prev_tail, tail + RD_TOMBSTONE_LEN);
    rd_buffer_deinit(&file);
    scene_end(&scene);
}

/* A group may hold several batches of one key, and a write before them; each keeps its own marker. */
static void markers_of_one_group_do_not_mix(void **state)
{
    (void)state;
    struct scene scene = scene_begin(false);
    enum { BATCHES = 20 };
    struct collector collector;
    collector_init(&collector);
    struct rd_entry entries[BATCHES][2];
    struct rd_op ops[BATCHES];
    char text[BATCHES];
    for (size_t i = 0; i < BATCHES; i++) {
        text[i] = (char)('a' + i);
        entries[i][0] = (struct rd_entry){.key = key_named("k"), .payload = rd_slice(&text[i], 1)};
        entries[i][1] =
            (struct rd_entry){.key = key_named(i % 2 == 0 ? "even" : "odd"), .payload = rd_slice(&text[i], 1)};
        ops[i] = (struct rd_op){.kind = i % 3 == 2 ? RD_OP_BATCH_DELETE : RD_OP_BATCH_WRITE,
                                .entries = entries[i],
                                .entry_count = 2,
                                .sink = &collector.sink};
        assert_int_equal(rd_store_submit(scene.store, &ops[i]), RD_OK);
    }
    rd_store_kick(scene.store);
    collector_wait(&collector, BATCHES);
    collector_deinit(&collector);
    uint64_t after = rd_store_file_size(scene.store);
    rd_store_close(scene.store);
    struct rd_buffer file = rd_file_read(scene.place.path);
    struct rd_verification found;
    for (uint64_t len = ops[0].tail; len <= after; len += len + 16 > after && len != after ? after - len : 16) {
        struct rd_store *store = open_torn(&scene, &file, len);
        uint64_t tail = rd_store_file_size(store);
        bool at_a_border = false;
        for (size_t i = 0; i < BATCHES; i++)
            at_a_border = at_a_border || ops[i].tail == tail;
        assert_true(at_a_border);
        assert_int_equal(rd_store_verify(store, 0, UINT64_MAX, &found), RD_OK);
        assert_int_equal(found.problem_count, 0);
        rd_store_close(store);
    }
    rd_buffer_deinit(&file);
    scene_end(&scene);
}

static void without_a_marker_the_file_is_the_reference_s(void **state)
{
    (void)state;
    struct scene scene = scene_begin(true);
    uint64_t tail = rd_store_file_size(scene.store);
    write_three(scene.store);
    rename_it(scene.store);
    struct rd_store_info info;
    rd_store_info(scene.store, &info);
    assert_false(info.batch_marker);
    rd_store_close(scene.store);
    struct rd_buffer file = rd_file_read(scene.place.path);
    for (uint64_t end = file.len; end > tail; end = entry_at(&file, end).trailer.prev_tail)
        assert_true(entry_at(&file, end).trailer.key_hash != RD_RESERVED_KEY_HASH);
    rd_buffer_deinit(&file);
    scene_end(&scene);
}

static void nobody_may_name_the_reserved_key(void **state)
{
    (void)state;
    struct scene scene = scene_begin(false);
    struct rd_key reserved = rd_key_of_hash(RD_RESERVED_KEY_HASH);
    assert_int_equal(rd_store_write(scene.store, reserved, rd_slice_of_string("x"), NULL), RD_INVALID_ARGUMENT);
    assert_int_equal(rd_store_delete(scene.store, reserved, NULL), RD_INVALID_ARGUMENT);
    assert_int_equal(rd_store_rename(scene.store, key_named("old"), reserved, NULL), RD_INVALID_ARGUMENT);
    rd_store_close(scene.store);
    scene_end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_torn_batch_write_is_absent),
        cmocka_unit_test(a_torn_batch_delete_is_absent),
        cmocka_unit_test(a_torn_rename_leaves_the_old_key_alone),
        cmocka_unit_test(only_operations_of_two_entries_have_a_marker),
        cmocka_unit_test(markers_of_one_group_do_not_mix),
        cmocka_unit_test(without_a_marker_the_file_is_the_reference_s),
        cmocka_unit_test(nobody_may_name_the_reserved_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
