/* SPDX-License-Identifier: MIT
 *
 * Files that the reference wrote, through our engine: opened, read back, recovered, and made again by replaying
 * the operations that made them. Run from the top of the tree. (Their sha256 sums are checked in
 * tests/integration.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/text.h"
#include "engine/engine.h"
#include "tests/support/golden.h"

/* Replaying these gives other bytes on purpose. */
static const struct {
    const char *name;
    const char *why;
} replay_differs[] = {
    {"mixed", "as deletes: no second tombstones for keys that an earlier session deleted"},
    {"deletes",
     "the reference writes a second tombstone for a key that an earlier session deleted; we write none"},
};

/* These hold operations that replay does not have yet. */
static const char *const replay_later[] = {"compact_after", "compact_then_write"};

/* Made along with copy_source, which copies into it. */
#define COPY_TARGET "copy_target"

static uint64_t u64_of(const json_t *row, const char *field)
{
    return (uint64_t)json_integer_value(json_object_get(row, field));
}

static uint32_t crc_of(const json_t *row, const char *field)
{
    return (uint32_t)strtoul(json_string_value(json_object_get(row, field)), NULL, 16);
}

static struct rd_key key_of(const char *hex, struct rd_buffer *ret_bytes)
{
    *ret_bytes = rd_bytes_of_hex(hex);
    return rd_key_of_bytes(rd_buffer_slice(ret_bytes));
}

static bool list_holds(const json_t *list, const char *hex)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item) if (strcmp(json_string_value(item), hex) == 0) return true;
    return false;
}

static void check_entry(struct rd_store *store, const json_t *root, const json_t *row)
{
    const char *key_hex = json_string_value(json_object_get(row, "key_hex"));
    struct rd_buffer key_bytes;
    struct rd_key key = key_of(key_hex, &key_bytes);
    uint64_t hash;
    assert_true(
        rd_text_parse_hash(rd_slice_of_string(json_string_value(json_object_get(row, "key_hash"))), &hash));
    assert_int_equal(key.hash, hash);
    struct rd_value value;
    if (list_holds(json_object_get(root, "corrupt_keys_hex"), key_hex)) {
        assert_int_equal(rd_store_read(store, key, &value), RD_CORRUPT);
        assert_true(rd_store_exists(store, key));
    } else {
        assert_int_equal(rd_store_read(store, key, &value), RD_OK);
        assert_int_equal(value.payload.len, u64_of(row, "len"));
        assert_int_equal(value.crc32, crc_of(row, "crc32"));
        assert_int_equal(rd_crc32(0, value.payload), crc_of(row, "crc32"));
        assert_int_equal((uintptr_t)value.payload.data % 64, 0);
        const char *payload_hex = json_string_value(json_object_get(row, "payload_hex"));
        if (payload_hex != NULL) {
            struct rd_buffer payload = rd_bytes_of_hex(payload_hex);
            assert_true(rd_slice_equal(rd_buffer_slice(&payload), value.payload));
            rd_buffer_deinit(&payload);
        }
        rd_value_release(&value);
        assert_int_equal(rd_store_read(store, rd_key_of_hash(hash), &value), RD_OK);
        rd_value_release(&value);
    }
    rd_buffer_deinit(&key_bytes);
}

static void check_absent(struct rd_store *store, const json_t *list)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        struct rd_buffer key_bytes;
        struct rd_key key = key_of(json_string_value(item), &key_bytes);
        struct rd_value value;
        assert_int_equal(rd_store_read(store, key, &value), RD_KEY_NOT_FOUND);
        assert_false(rd_store_exists(store, key));
        rd_buffer_deinit(&key_bytes);
    }
}

static uint64_t iterate(struct rd_store *store)
{
    struct rd_cursor *cursor;
    assert_int_equal(rd_cursor_open(store, 0, &cursor), RD_OK);
    uint64_t count = 0;
    uint64_t last = UINT64_MAX;
    struct rd_value value;
    while (rd_cursor_next(cursor, &value)) {
        assert_true(value.offset < last);
        last = value.offset;
        count++;
    }
    rd_cursor_close(cursor);
    return count;
}

static void check_store(const char *path, const json_t *root, bool read_only)
{
    struct rd_store *store;
    struct rd_error error;
    struct rd_store_options options = {.read_only = read_only};
    enum rd_status status = rd_store_open(path, &options, &store, &error);
    if (status != RD_OK)
        fail_msg("%s: %s", path, error.message);
    size_t i;
    json_t *row;
    json_t *entries = json_object_get(root, "entries");
    json_array_foreach(entries, i, row) check_entry(store, root, row);
    check_absent(store, json_object_get(root, "deleted_keys_hex"));
    check_absent(store, json_object_get(root, "absent_keys_hex"));
    assert_int_equal(rd_store_len(store), json_array_size(entries));
    assert_int_equal(iterate(store), json_array_size(entries));
    if (json_object_get(root, "live_count") != NULL)
        assert_int_equal(rd_store_len(store), u64_of(root, "live_count"));
    if (json_object_get(root, "ideal_recovered_length") != NULL) {
        assert_int_equal(rd_store_len(store), u64_of(root, "ideal_live_count"));
        assert_int_equal(rd_store_file_size(store), u64_of(root, "ideal_recovered_length"));
    }
    rd_store_close(store);
}

static void opens_and_reads(void **state)
{
    (void)state;
    char **names = rd_golden_names();
    size_t count = 0;
    for (; names[count] != NULL; count++) {
        json_t *root = rd_golden_load(names[count]);
        struct rd_buffer original = rd_golden_file(names[count]);
        char *folder = rd_scratch_create();
        char *path = rd_path(folder, "store.rdr");
        rd_file_write(path, rd_buffer_slice(&original));
        print_message("    %s\n", names[count]);

        check_store(path, root, true);
        struct rd_buffer after = rd_file_read(path);
        assert_true(rd_slice_equal(rd_buffer_slice(&after), rd_buffer_slice(&original)));
        rd_buffer_deinit(&after);

        check_store(path, root, false);
        after = rd_file_read(path);
        size_t kept = original.len;
        if (json_object_get(root, "ideal_recovered_length") != NULL)
            kept = (size_t)u64_of(root, "ideal_recovered_length");
        assert_int_equal(after.len, kept);
        assert_int_equal(kept == 0 ? 0 : memcmp(after.data, original.data, kept), 0);
        if (kept < original.len) { /* what was cut off lies beside the store */
            char *name = NULL;
            assert_true(asprintf(&name, "store.rdr.torn-%zu", kept) > 0);
            char *aside_path = rd_path(folder, name);
            struct rd_buffer aside = rd_file_read(aside_path);
            assert_int_equal(aside.len, original.len - kept);
            assert_memory_equal(aside.data, original.data + kept, aside.len);
            rd_buffer_deinit(&aside);
            free(aside_path);
            free(name);
        }
        rd_buffer_deinit(&after);
        rd_buffer_deinit(&original);
        free(path);
        rd_scratch_remove(folder);
        json_decref(root);
    }
    assert_int_equal(count, 70);
    rd_golden_names_free(names);
}

/* ---- replay ------------------------------------------------------------------------------------------- */

struct replay {
    const char *name;
    const json_t *root;
    struct rd_buffer original;
    struct rd_store *store;
    const char *path;
    struct rd_store *target; /* of copies */
    const char *differs;     /* why the bytes are not to be the same; NULL: they are */
};

static void check_tail(const struct replay *replay, const json_t *op, const struct rd_written *written)
{
    if (replay->differs == NULL)
        assert_int_equal(written->tail, u64_of(op, "tail_after"));
}

/* The row's own words for it, or, where it has none, what the original file holds at that place. */
static struct rd_buffer payload_of(struct replay *replay, const json_t *row)
{
    struct rd_buffer payload;
    if (rd_golden_payload(row, &payload))
        return payload;
    size_t i;
    json_t *link;
    json_array_foreach(json_object_get(replay->root, "chain"), i, link)
    {
        if (u64_of(link, "end") != u64_of(row, "tail_after"))
            continue;
        rd_buffer_init(&payload, 0);
        rd_buffer_append(&payload, replay->original.data + u64_of(link, "payload_start"),
                         u64_of(link, "payload_len"));
        return payload;
    }
    fail_msg("%s: a row without a payload", replay->name);
    return payload;
}

static void replay_write(struct replay *replay, const json_t *op)
{
    struct rd_buffer key_bytes;
    struct rd_key key = key_of(json_string_value(json_object_get(op, "key_hex")), &key_bytes);
    struct rd_buffer payload = payload_of(replay, op);
    struct rd_written written;
    assert_int_equal(rd_store_write(replay->store, key, rd_buffer_slice(&payload), &written), RD_OK);
    check_tail(replay, op, &written);
    rd_buffer_deinit(&payload);
    rd_buffer_deinit(&key_bytes);
}

static void replay_batch_write(struct replay *replay, const json_t *op, bool allow_null_bytes)
{
    const json_t *items = json_object_get(op, "items");
    size_t count = json_array_size(items);
    struct rd_entry *entries = calloc(count + 1, sizeof *entries);
    struct rd_buffer *held = calloc(2 * count + 1, sizeof *held);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(items, i);
        const char *key_hex = json_string_value(json_object_get(item, "key_hex"));
        entries[i].key = rd_key_of_hash(key_of(key_hex, &held[2 * i]).hash);
        held[2 * i + 1] = payload_of(replay, item);
        entries[i].payload = rd_buffer_slice(&held[2 * i + 1]);
    }
    struct rd_written written;
    assert_int_equal(rd_store_batch_write(replay->store, entries, count, allow_null_bytes, &written), RD_OK);
    check_tail(replay, op, &written);
    for (size_t i = 0; i < 2 * count; i++)
        rd_buffer_deinit(&held[i]);
    free(held);
    free(entries);
}

static void replay_delete(struct replay *replay, const json_t *op)
{
    struct rd_buffer key_bytes;
    struct rd_key key = key_of(json_string_value(json_object_get(op, "key_hex")), &key_bytes);
    struct rd_written written;
    assert_int_equal(rd_store_delete(replay->store, key, &written), RD_OK);
    check_tail(replay, op, &written);
    rd_buffer_deinit(&key_bytes);
}

static void replay_batch_delete(struct replay *replay, const json_t *op)
{
    const json_t *list = json_object_get(op, "keys_hex");
    size_t count = json_array_size(list);
    struct rd_key *keys = calloc(count + 1, sizeof *keys);
    for (size_t i = 0; i < count; i++) {
        struct rd_buffer bytes;
        keys[i] = rd_key_of_hash(key_of(json_string_value(json_array_get(list, i)), &bytes).hash);
        rd_buffer_deinit(&bytes);
    }
    struct rd_written written;
    assert_int_equal(rd_store_batch_delete(replay->store, keys, count, &written), RD_OK);
    check_tail(replay, op, &written);
    free(keys);
}

struct source {
    struct rd_slice left;
};

static int64_t read_source(void *context, uint8_t *to, size_t len_max)
{
    struct source *source = context;
    struct rd_slice taken = rd_slice_take(&source->left, len_max < 1000 ? len_max : 1000);
    memcpy(to, taken.data, taken.len);
    return (int64_t)taken.len;
}

static void replay_stream(struct replay *replay, const json_t *op)
{
    struct rd_buffer key_bytes;
    struct rd_key key = key_of(json_string_value(json_object_get(op, "key_hex")), &key_bytes);
    struct rd_buffer payload = payload_of(replay, op);
    struct source source = {.left = rd_buffer_slice(&payload)};
    struct rd_written written;
    assert_int_equal(rd_store_write_stream(replay->store, key, read_source, &source, &written), RD_OK);
    check_tail(replay, op, &written);
    rd_buffer_deinit(&payload);
    rd_buffer_deinit(&key_bytes);
}

static void replay_rename(struct replay *replay, const json_t *op)
{
    struct rd_buffer held[2];
    struct rd_key from = key_of(json_string_value(json_object_get(op, "old_hex")), &held[0]);
    struct rd_key to = key_of(json_string_value(json_object_get(op, "new_hex")), &held[1]);
    struct rd_written written;
    assert_int_equal(rd_store_rename(replay->store, from, to, &written), RD_OK);
    check_tail(replay, op, &written);
    rd_buffer_deinit(&held[0]);
    rd_buffer_deinit(&held[1]);
}

static void replay_copy(struct replay *replay, const json_t *op)
{
    struct rd_buffer held;
    struct rd_key key = key_of(json_string_value(json_object_get(op, "key_hex")), &held);
    struct rd_moved moved;
    assert_int_equal(rd_store_copy(replay->store, key, replay->target, &moved), RD_OK);
    assert_int_equal(moved.target.tail, u64_of(op, "returned"));
    rd_buffer_deinit(&held);
}

/* The reference answers with the source's tail; ours names both. */
static void replay_transfer(struct replay *replay, const json_t *op)
{
    struct rd_buffer held;
    struct rd_key key = key_of(json_string_value(json_object_get(op, "key_hex")), &held);
    struct rd_moved moved;
    assert_int_equal(rd_store_transfer(replay->store, key, replay->target, &moved), RD_OK);
    assert_int_equal(moved.source_tail, u64_of(op, "returned"));
    assert_true(moved.target.tail > 0);
    rd_buffer_deinit(&held);
}

static void open_for_replay(struct replay *replay)
{
    struct rd_store_options options = {.create = true, .durability = RD_DURABILITY_NONE, .batch_marker_off = true};
    assert_int_equal(rd_store_open(replay->path, &options, &replay->store, NULL), RD_OK);
}

static void replay_op(struct replay *replay, const json_t *op)
{
    const char *kind = json_string_value(json_object_get(op, "op"));
    if (strcmp(kind, "write") == 0) {
        replay_write(replay, op);
    } else if (strcmp(kind, "write_stream") == 0) {
        replay_stream(replay, op);
    } else if (strcmp(kind, "rename") == 0) {
        replay_rename(replay, op);
    } else if (strcmp(kind, "copy") == 0) {
        replay_copy(replay, op);
    } else if (strcmp(kind, "transfer") == 0) {
        replay_transfer(replay, op);
    } else if (strcmp(kind, "batch_write") == 0) {
        replay_batch_write(replay, op, false);
    } else if (strcmp(kind, "batch_write_with_key_hashes") == 0) {
        replay_batch_write(replay, op, json_is_true(json_object_get(op, "allow_null_bytes")));
    } else if (strcmp(kind, "delete") == 0) {
        replay_delete(replay, op);
    } else if (strcmp(kind, "batch_delete") == 0) {
        replay_batch_delete(replay, op);
    } else if (strcmp(kind, "reopen") == 0) {
        rd_store_close(replay->store);
        open_for_replay(replay);
    } else if (strcmp(kind, "note") != 0) {
        fail_msg("%s: unknown op %s", replay->name, kind);
    }
}

static const char *why_replay_differs(const char *name)
{
    for (size_t i = 0; i < sizeof replay_differs / sizeof replay_differs[0]; i++)
        if (strcmp(replay_differs[i].name, name) == 0)
            return replay_differs[i].why;
    return NULL;
}

static bool comes_later(const char *name)
{
    for (size_t i = 0; i < sizeof replay_later / sizeof replay_later[0]; i++)
        if (strcmp(replay_later[i], name) == 0)
            return true;
    return false;
}

static void fill_copy_target(struct rd_store *target)
{
    json_t *root = rd_golden_load(COPY_TARGET);
    struct replay replay = {.name = COPY_TARGET, .root = root, .store = target};
    size_t i;
    json_t *op;
    json_array_foreach(json_object_get(root, "ops"), i,
                       op) if (strcmp(json_string_value(json_object_get(op, "op")), "write") == 0)
        replay_write(&replay, op);
    json_decref(root);
}

static bool made_the_same(const char *path, const char *name)
{
    struct rd_buffer made = rd_file_read(path);
    struct rd_buffer original = rd_golden_file(name);
    bool same = rd_slice_equal(rd_buffer_slice(&made), rd_buffer_slice(&original));
    rd_buffer_deinit(&made);
    rd_buffer_deinit(&original);
    return same;
}

static void replay_file(const char *name, const json_t *root)
{
    char *folder = rd_scratch_create();
    char *path = rd_path(folder, "replay.rdr");
    const char *why = why_replay_differs(name);
    struct replay replay = {
        .name = name, .root = root, .original = rd_golden_file(name), .path = path, .differs = why};
    char *target_path = rd_path(folder, "target.rdr");
    struct rd_store_options options = {.create = true};
    assert_int_equal(rd_store_open(target_path, &options, &replay.target, NULL), RD_OK);
    if (strcmp(name, "copy_source") == 0)
        fill_copy_target(replay.target);
    open_for_replay(&replay);
    size_t i;
    json_t *op;
    json_array_foreach(json_object_get(root, "ops"), i, op) replay_op(&replay, op);
    rd_store_close(replay.store);
    rd_store_close(replay.target);
    bool same = made_the_same(path, name);
    if (strcmp(name, "copy_source") == 0)
        same = same && made_the_same(target_path, COPY_TARGET);
    print_message("    %s: %s\n", name, why == NULL ? "same bytes" : why);
    assert_int_equal(same, why == NULL);
    if (why != NULL) {
        check_store(path, root, false);
    }
    free(target_path);
    rd_buffer_deinit(&replay.original);
    free(path);
    rd_scratch_remove(folder);
}

static void replays_to_the_same_bytes(void **state)
{
    (void)state;
    char **names = rd_golden_names();
    size_t count = 0;
    for (size_t i = 0; names[i] != NULL; i++) {
        json_t *root = rd_golden_load(names[i]);
        const json_t *ops = json_object_get(root, "ops");
        bool made_by_ops = json_array_size(ops) != 0 || (ops != NULL && u64_of(root, "file_length") == 0);
        if (made_by_ops && !comes_later(names[i]) && strcmp(names[i], COPY_TARGET) != 0) {
            replay_file(names[i], root);
            count++;
        }
        json_decref(root);
    }
    assert_int_equal(count, 19);
    rd_golden_names_free(names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_and_reads),
        cmocka_unit_test(replays_to_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
