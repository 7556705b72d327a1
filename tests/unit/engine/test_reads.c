/* SPDX-License-Identifier: MIT
 *
 * Reads, cursors, values that outlive what they show, and who may open a store at the same time.
 */
#include <unistd.h>

#include "engine/record.h"
#include "tests/unit/engine/model.h"

static void read_and_find_tell_the_same(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    assert_true(rd_store_is_empty(store));
    assert_int_equal(rd_store_file_size(store), 0);
    put_text(store, "alpha", "Hello, store!");
    struct rd_written beta = put_text(store, "beta", "second");
    for (int by_hash = 0; by_hash < 2; by_hash++) {
        struct rd_key key = by_hash ? rd_key_of_hash(UINT64_C(0x28faff7f97dff641)) : key_named("beta");
        struct rd_value value;
        struct rd_value found;
        assert_int_equal(rd_store_read(store, key, &value), RD_OK);
        assert_int_equal(rd_store_find(store, key, &found), RD_OK);
        assert_int_equal(value.key_hash, UINT64_C(0x28faff7f97dff641));
        assert_int_equal(value.offset, 64);
        assert_int_equal(value.offset, beta.offset);
        assert_int_equal(value.prev_tail, 33);
        assert_int_equal(value.crc32, beta.crc32);
        assert_int_equal((uintptr_t)value.payload.data % 64, 0);
        assert_ptr_equal(found.payload.data, value.payload.data);
        assert_int_equal(found.payload.len, 6);
        assert_int_equal(found.crc32, value.crc32);
        assert_int_equal(found.prev_tail, value.prev_tail);
        assert_true(rd_store_exists(store, key));
        rd_value_release(&value);
        rd_value_release(&value); /* a second time is nothing */
        rd_value_release(&found);
    }
    struct rd_value untouched = {.offset = 7};
    assert_int_equal(rd_store_read(store, key_named("none"), &untouched), RD_KEY_NOT_FOUND);
    assert_int_equal(rd_store_find(store, key_named("none"), &untouched), RD_KEY_NOT_FOUND);
    assert_int_equal(untouched.offset, 7);
    struct rd_store_info info;
    rd_store_info(store, &info);
    assert_int_equal(info.entries, 2);
    assert_int_equal(info.tail, beta.tail);
    assert_int_equal(info.file_size, beta.tail);
    assert_int_equal(info.dead_bytes, 64 - 33);
    assert_int_equal(info.state, RD_STORE_OPEN);
    assert_string_equal(info.reason, "");
    rd_store_close(store);
    place_remove(&place);
}

static void batch_read_answers_in_the_order_asked(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    for (uint64_t i = 0; i < COUNT; i += 2)
        put(store, rd_key_of_hash(i), &i, sizeof i);
    struct rd_key *keys = calloc(COUNT + 1, sizeof *keys);
    struct rd_value *values = calloc(COUNT + 1, sizeof *values);
    enum rd_status *statuses = calloc(COUNT + 1, sizeof *statuses);
    for (uint64_t i = 0; i <= COUNT; i++)
        keys[i] = rd_key_of_hash(i == COUNT ? 0 : COUNT - 1 - i); /* one key twice */
    for (size_t count = 0; count <= COUNT + 1; count += count < 70 ? 1 : 133) {
        rd_store_batch_read(store, keys, count, values, statuses);
        for (size_t i = 0; i < count; i++) {
            bool there = keys[i].hash % 2 == 0;
            assert_int_equal(statuses[i], there ? RD_OK : RD_KEY_NOT_FOUND);
            if (there)
                assert_memory_equal(values[i].payload.data, &keys[i].hash, 8);
            else
                assert_null(values[i].payload.data);
        }
        rd_values_release(values, count);
    }
    free(keys);
    free(values);
    free(statuses);
    rd_store_close(store);
    place_remove(&place);
}

static void expect_last(struct rd_store *store, const char *text)
{
    struct rd_value value;
    if (text == NULL) {
        assert_int_equal(rd_store_read_last_entry(store, &value), RD_KEY_NOT_FOUND);
        return;
    }
    assert_int_equal(rd_store_read_last_entry(store, &value), RD_OK);
    assert_true(rd_slice_equal(value.payload, rd_slice_of_string(text)));
    rd_value_release(&value);
}

static void last_entry_is_the_live_one_with_the_highest_offset(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    expect_last(store, NULL);
    put_text(store, "a", "a1");
    put_text(store, "b", "b1");
    expect_last(store, "b1");
    put_text(store, "a", "a2");
    expect_last(store, "a2");
    assert_int_equal(rd_store_delete(store, key_named("a"), NULL), RD_OK);
    expect_last(store, "b1");
    for (int i = 0; i < 500; i++) { /* more dead entries than one block of the walk */
        put_text(store, "c", "c");
        assert_int_equal(rd_store_delete(store, key_named("c"), NULL), RD_OK);
    }
    expect_last(store, "b1");
    rd_store_close(store);
    store = store_open(place.path);
    expect_last(store, "b1");
    assert_int_equal(rd_store_delete(store, key_named("b"), NULL), RD_OK);
    expect_last(store, NULL);
    rd_store_close(store);
    place_remove(&place);
}

/* ---- cursors ---- */

/* What the model says is live below an offset, newest first, against what the cursor shows; up to `limit`. Returns
 * the offset of the last one shown, 0 where none was. */
static uint64_t check_page(struct rd_store *store, const struct model *model, uint64_t before, size_t limit,
                           size_t *ret_count)
{
    struct rd_cursor *cursor;
    assert_int_equal(rd_cursor_open(store, before, &cursor), RD_OK);
    uint64_t last = 0;
    size_t count = 0;
    for (size_t i = model->count; i > 0 && count < limit; i--) {
        const struct made *made = &model->entries[i - 1];
        if (made->tombstone || (before != 0 && made->payload_offset >= before) ||
            model_latest(model, model->count, made->hash) != i - 1)
            continue;
        struct rd_value value;
        if (!rd_cursor_next(cursor, &value))
            fail_msg("before %llu: nothing where offset %llu is due", (unsigned long long)before,
                     (unsigned long long)made->payload_offset);
        if (value.offset != made->payload_offset)
            fail_msg("before %llu: offset %llu is shown where %llu is due", (unsigned long long)before,
                     (unsigned long long)value.offset, (unsigned long long)made->payload_offset);
        assert_int_equal(value.payload.len, made->payload_len);
        assert_int_equal(value.key_hash, made->hash);
        last = value.offset;
        count++;
    }
    struct rd_value value;
    if (count < limit)
        assert_false(rd_cursor_next(cursor, &value));
    rd_cursor_close(cursor);
    *ret_count = count;
    return last;
}

static struct rd_store *open_model(const struct place *place, const struct model *model)
{
    write_model(place->path, model, model_tail(model));
    struct rd_store *store = store_open(place->path);
    assert_int_equal(rd_store_file_size(store), model_tail(model));
    return store;
}

static void pages_of_seven_show_exactly_the_live_entries(void **state)
{
    (void)state;
    random_begin();
    struct place place = place_create();
    struct model model;
    model_init(&model);
    for (uint64_t i = 0; i < 1000; i++) {
        model_add_random(&model, i, 1 + random_below(150));
        for (uint64_t dead = random_below(4); dead > 0; dead--)
            model_add_random(&model, 5000 + random_below(30), 1 + random_below(300));
        if (random_below(5) == 0)
            model_add(&model, 5000 + random_below(30), rd_slice(NULL, 0), true);
    }
    for (uint64_t i = 0; i < 30; i++)
        model_add(&model, 5000 + i, rd_slice(NULL, 0), true);
    struct rd_store *store = open_model(&place, &model);
    assert_int_equal(rd_store_len(store), 1000);
    size_t shown = 0;
    size_t count;
    uint64_t before = check_page(store, &model, 0, 7, &count);
    for (;; before = check_page(store, &model, before, 7, &count)) {
        shown += count;
        if (count < 7 || before == 0)
            break;
    }
    assert_int_equal(shown, 1000);
    rd_store_close(store);
    model_deinit(&model);
    place_remove(&place);
}

/* Values in which places that no entry begins at look like the end of one. */
static void model_fill_misleading(struct model *model, uint64_t entries)
{
    for (uint64_t i = 0; i < entries; i++) {
        uint8_t bytes[200] = {0};
        for (size_t at = random_below(40); at + 20 < sizeof bytes; at += 8 + random_below(30)) {
            size_t old = random_below(model->count + 1);
            rd_store_u64le(bytes + at, old == 0 ? 0 : model->entries[old - 1].end);
            rd_store_u32le(bytes + at + 8, (uint32_t)random_next() | 1);
            bytes[at + 11] |= 1;
        }
        model_add(model, random_below(entries), rd_slice(bytes, 150 + random_below(50)), false);
    }
}

static void a_cursor_starts_below_any_offset(void **state)
{
    (void)state;
    random_begin();
    for (int round = 0; round < 8; round++) {
        struct place place = place_create();
        struct model model;
        model_init(&model);
        model_fill(&model, 25, 150, 12);
        if (round % 2 != 0) /* and among zeros */
            for (uint64_t i = 0; i < 12; i++)
                model_add(&model, random_below(12), rd_slice((uint8_t[300]){1}, 100 + random_below(200)), false);
        struct rd_store *store = open_model(&place, &model);
        size_t count;
        for (uint64_t before = 1; before <= model_tail(&model) + 70; before++)
            check_page(store, &model, before, SIZE_MAX, &count);
        rd_store_close(store);
        model_deinit(&model);
        place_remove(&place);
    }
}

/* From one entry to the next, whatever lies in the values between. */
static void a_cursor_starts_below_any_entry(void **state)
{
    (void)state;
    random_begin();
    for (int round = 0; round < 8; round++) {
        struct place place = place_create();
        struct model model;
        model_init(&model);
        model_fill_misleading(&model, 40);
        struct rd_store *store = open_model(&place, &model);
        size_t count;
        for (size_t i = 1; i < model.count; i++)
            check_page(store, &model, model.entries[i].payload_offset, SIZE_MAX, &count);
        rd_store_close(store);
        model_deinit(&model);
        place_remove(&place);
    }
}

/* A page costs what it shows, not what lies above it. */
static void paging_through_many_entries_takes_seconds(void **state)
{
    (void)state;
    random_begin();
    struct place place = place_create();
    struct model model;
    model_init(&model);
    for (uint64_t i = 0; i < 100000; i++)
        model_add_random(&model, i, 20 + i % 60);
    struct rd_store *store = open_model(&place, &model);
    uint64_t begin = now_ms();
    uint64_t before = 0;
    uint64_t shown = 0;
    for (uint64_t page = 1; page != 0;) {
        struct rd_cursor *cursor;
        struct rd_value value;
        assert_int_equal(rd_cursor_open(store, before, &cursor), RD_OK);
        for (page = 0; page < 10 && rd_cursor_next(cursor, &value); page++)
            before = value.offset;
        rd_cursor_close(cursor);
        shown += page;
        if (before == 0)
            break;
    }
    uint64_t took = now_ms() - begin;
    print_message("    10,000 pages: %llu ms\n", (unsigned long long)took);
    assert_int_equal(shown, 100000);
    assert_true(took < 4000);
    rd_store_close(store);
    model_deinit(&model);
    place_remove(&place);
}

/* ---- pins ---- */

static void values_outlive_overwrites_and_deletes(void **state)
{
    (void)state;
    enum { PINNED = 2000 };
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    struct rd_value *values = calloc(PINNED, sizeof *values);
    for (uint64_t i = 0; i < PINNED; i++) {
        put_text(store, "k", "overwritten");
        put(store, key_named("k"), &i, sizeof i);
        assert_int_equal(rd_store_read(store, key_named("k"), &values[i]), RD_OK);
        if (i % 3 == 0)
            assert_int_equal(rd_store_delete(store, key_named("k"), NULL), RD_OK);
    }
    uint8_t *large = calloc(1, 1 << 20);
    large[0] = 1;
    for (int i = 0; i < 64; i++)
        put(store, key_named("large"), large, 1 << 20);
    free(large);
    for (uint64_t i = 0; i < PINNED; i++) {
        assert_int_equal(values[i].payload.len, sizeof i);
        assert_memory_equal(values[i].payload.data, &i, sizeof i);
        assert_int_equal(rd_value_verify(&values[i]), RD_OK);
    }
    rd_values_release(values, PINNED);
    free(values);
    rd_store_close(store);
    place_remove(&place);
}

/* ---- who else has it open ---- */

static void the_file_is_the_owner_s_alone(void **state)
{
    (void)state;
    mode_t before = umask(0);
    struct place place = place_create();
    rd_store_close(store_open(place.path));
    struct stat found;
    assert_int_equal(stat(place.path, &found), 0);
    assert_int_equal(found.st_mode & 07777, 0600);
    umask(before);
    place_remove(&place);
}

static void a_second_open_is_refused_by_any_name(void **state)
{
    (void)state;
    struct place place = place_create();
    char *symbolic = rd_path(place.folder, "symbolic.rdr");
    char *hard = rd_path(place.folder, "hard.rdr");
    struct rd_store *store = store_open(place.path);
    put_text(store, "k", "v");
    assert_int_equal(symlink(place.path, symbolic), 0);
    assert_int_equal(link(place.path, hard), 0);
    const char *names[] = {place.path, symbolic, hard};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(status_of_open(names[i], false), RD_UNAVAILABLE);
        assert_int_equal(status_of_open(names[i], true), RD_UNAVAILABLE);
    }
    expect_text(store, "k", "v");
    rd_store_close(store);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(status_of_open(names[i], false), RD_OK);
    free(symbolic);
    free(hard);
    place_remove(&place);
}

static void readers_share_a_file_and_change_nothing(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    put_text(store, "k", "v");
    rd_store_close(store);
    struct rd_store_options options = {.read_only = true, .create = true};
    struct rd_store *first = store_open_with(place.path, options);
    struct rd_store *second = store_open_with(place.path, options);
    assert_int_equal(status_of_open(place.path, false), RD_UNAVAILABLE);
    expect_text(first, "k", "v");
    expect_text(second, "k", "v");
    assert_int_equal(rd_store_write(first, key_named("k"), rd_slice_of_string("w"), NULL), RD_UNAVAILABLE);
    struct rd_store_info info;
    rd_store_info(first, &info);
    assert_int_equal(info.state, RD_STORE_READ_ONLY);
    assert_string_not_equal(info.reason, "");
    rd_store_close(first);
    rd_store_close(second);
    char *absent = rd_path(place.folder, "absent.rdr");
    struct rd_store *none = NULL;
    assert_int_equal(rd_store_open(absent, &options, &none, NULL), RD_IO_ERROR);
    assert_false(file_exists(absent));
    free(absent);
    place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_and_find_tell_the_same),
        cmocka_unit_test(batch_read_answers_in_the_order_asked),
        cmocka_unit_test(last_entry_is_the_live_one_with_the_highest_offset),
        cmocka_unit_test(pages_of_seven_show_exactly_the_live_entries),
        cmocka_unit_test(a_cursor_starts_below_any_offset),
        cmocka_unit_test(a_cursor_starts_below_any_entry),
        cmocka_unit_test(paging_through_many_entries_takes_seconds),
        cmocka_unit_test(values_outlive_overwrites_and_deletes),
        cmocka_unit_test(the_file_is_the_owner_s_alone),
        cmocka_unit_test(a_second_open_is_refused_by_any_name),
        cmocka_unit_test(readers_share_a_file_and_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
