/* SPDX-License-Identifier: MIT
 *
 * A backup shows what is synced and no more, stays what it was while the store goes on, and names its file.
 */
#include "tests/unit/engine/faults.h"

static struct rd_backup backup_of(struct rd_store *store)
{
    struct rd_backup backup;
    rd_store_backup(store, &backup);
    return backup;
}

static uint64_t backup_len(struct rd_store *store)
{
    struct rd_backup backup = backup_of(store);
    uint64_t len = backup.value.payload.len;
    rd_value_release(&backup.value);
    return len;
}

static void expect_backup_is_file(struct rd_store *store, const char *path)
{
    struct rd_backup backup = backup_of(store);
    struct rd_buffer file = rd_file_read(path);
    assert_true(file.len >= backup.value.payload.len);
    assert_memory_equal(file.data, backup.value.payload.data, backup.value.payload.len);
    rd_buffer_deinit(&file);
    rd_value_release(&backup.value);
}

static void sync_all(struct rd_store *store)
{
    struct rd_op op = {.kind = RD_OP_SYNC};
    assert_int_equal(run_async(store, &op), RD_OK);
}

static void an_empty_store_has_no_bytes(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    struct rd_store_info info;
    rd_store_info(store, &info);
    struct rd_backup backup = backup_of(store);
    assert_int_equal(backup.value.payload.len, 0);
    assert_int_equal(backup.generation, info.generation);
    rd_value_release(&backup.value);
    rd_store_close(store);
    place_remove(&place);
}

static void what_is_not_synced_is_left_out(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    uint64_t tail = put_text(store, "a", "never synced").tail;
    assert_int_equal(backup_len(store), 0);
    sync_all(store);
    assert_int_equal(backup_len(store), tail);
    uint64_t more = put_text(store, "b", "not synced either").tail;
    assert_int_equal(backup_len(store), tail);
    sync_all(store);
    assert_int_equal(backup_len(store), more);
    expect_backup_is_file(store, place.path);
    rd_store_close(store);
    place_remove(&place);
}

static void a_sync_that_fails_adds_nothing(void **state)
{
    (void)state;
    struct place place = place_create();
    struct faults *faults = faults_create();
    struct rd_store *store = open_faulty(faults, place.path, RD_DURABILITY_NONE, 0);
    put_text(store, "a", "synced");
    sync_all(store);
    uint64_t tail = rd_store_file_size(store);
    put_text(store, "b", "lost with the next sync");
    faults->rules[CALL_FDATASYNC] =
        (struct rule){.skip = faults_count(faults, CALL_FDATASYNC), .times = FOR_EVER, .os_errno = EIO};
    struct rd_op op = {.kind = RD_OP_SYNC};
    assert_int_equal(run_async(store, &op), RD_IO_ERROR);
    assert_int_equal(backup_len(store), tail);
    rd_store_close(store);
    faults_destroy(faults);
    place_remove(&place);
}

/* Long enough that the mapping is replaced meanwhile. */
static void it_stays_while_the_store_goes_on(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    put_text(store, "a", "first");
    sync_all(store);
    struct rd_backup first = backup_of(store);
    struct rd_buffer copy;
    rd_buffer_init(&copy, 1 << 20);
    rd_buffer_append_slice(&copy, first.value.payload);
    static uint8_t filler[1 << 20];
    for (int i = 0; i < 40; i++) {
        filler[0] = (uint8_t)(i + 1);
        put(store, key_named("filler"), filler, sizeof filler);
    }
    sync_all(store);
    struct rd_backup second = backup_of(store);
    assert_int_equal(second.generation, first.generation);
    assert_true(second.value.payload.len > 40 * sizeof filler);
    assert_memory_equal(first.value.payload.data, copy.data, copy.len);
    assert_memory_equal(second.value.payload.data, copy.data, copy.len);
    assert_false(rd_value_is_lost(&second.value));
    rd_buffer_deinit(&copy);
    rd_value_release(&first.value);
    rd_value_release(&second.value);
    rd_store_close(store);
    place_remove(&place);
}

static void the_generation_is_the_files(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    struct rd_backup backup = backup_of(store);
    uint64_t generation = backup.generation;
    rd_value_release(&backup.value);
    put_text(store, "a", "b");
    rd_store_close(store);

    store = store_open_with(place.path, (struct rd_store_options){.read_only = true});
    backup = backup_of(store);
    assert_int_equal(backup.generation, generation);
    assert_int_equal(backup.value.payload.len, rd_store_file_size(store));
    rd_value_release(&backup.value);
    rd_store_close(store);
    place_remove(&place);
}

static void a_compaction_leaves_it_and_makes_another_generation(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    for (int i = 0; i < 100; i++)
        put_text(store, i % 2 == 0 ? "a" : "b", i < 98 ? "a value that is replaced" : "the last one");
    sync_all(store);
    struct rd_backup before = backup_of(store);
    struct rd_buffer copy;
    rd_buffer_init(&copy, 1 << 20);
    rd_buffer_append_slice(&copy, before.value.payload);
    assert_int_equal(rd_store_compact(store, NULL, NULL), RD_OK);
    struct rd_backup after = backup_of(store);
    assert_true(after.generation != before.generation);
    assert_int_equal(after.value.payload.len, rd_store_file_size(store));
    assert_true(after.value.payload.len < copy.len);
    assert_memory_equal(before.value.payload.data, copy.data, copy.len);
    expect_backup_is_file(store, place.path);
    rd_buffer_deinit(&copy);
    rd_value_release(&before.value);
    rd_value_release(&after.value);
    rd_store_close(store);
    place_remove(&place);
}

/* ---- beside writers ---- */

enum { WRITERS = 4, ROUNDS = SLOW ? 300 : 3000 };

struct writer {
    struct rd_store *store;
    pthread_t thread;
    unsigned number;
};

static void *write_on(void *context)
{
    struct writer *writer = context;
    uint8_t value[200];
    memset(value, (int)writer->number + 1, sizeof value);
    for (unsigned i = 0; i < ROUNDS; i++) {
        char key[32];
        snprintf(key, sizeof key, "%u-%u", writer->number, i);
        put(writer->store, key_named(key), value, 1 + i % sizeof value);
    }
    return NULL;
}

/* Each backup, saved as a file, is a store that opens whole and begins with the one before. */
static void backups_beside_writers_are_whole(void **state)
{
    (void)state;
    struct place place = place_create();
    char *copy_path = rd_path(place.folder, "copy.rdr");
    struct rd_store *store = store_open(place.path);
    struct writer writers[WRITERS];
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.store = store, .number = i};
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_on, &writers[i]), 0);
    }
    struct rd_buffer kept;
    rd_buffer_init(&kept, 64 << 20);
    for (int round = 0; round < 20; round++) {
        sync_all(store);
        struct rd_backup backup = backup_of(store);
        struct rd_slice bytes = backup.value.payload;
        assert_true(bytes.len >= kept.len);
        if (kept.len != 0)
            assert_memory_equal(bytes.data, kept.data, kept.len);
        rd_buffer_append_slice(&kept, rd_slice(bytes.data + kept.len, bytes.len - kept.len));
        rd_value_release(&backup.value);
        rd_file_write(copy_path, rd_buffer_slice(&kept));
        struct rd_store *copy = store_open_with(copy_path, (struct rd_store_options){.read_only = true});
        assert_int_equal(rd_store_file_size(copy), kept.len);
        rd_store_close(copy);
    }
    for (unsigned i = 0; i < WRITERS; i++)
        pthread_join(writers[i].thread, NULL);
    rd_buffer_deinit(&kept);
    rd_store_close(store);
    remove(copy_path);
    free(copy_path);
    place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_store_has_no_bytes),
        cmocka_unit_test(what_is_not_synced_is_left_out),
        cmocka_unit_test(a_sync_that_fails_adds_nothing),
        cmocka_unit_test(it_stays_while_the_store_goes_on),
        cmocka_unit_test(the_generation_is_the_files),
        cmocka_unit_test(a_compaction_leaves_it_and_makes_another_generation),
        cmocka_unit_test(backups_beside_writers_are_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
