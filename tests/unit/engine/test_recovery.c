/* SPDX-License-Identifier: MIT
 *
 * Recovery: stores cut, zero-filled and followed by garbage at every place that a crash or a bad disk could
 * choose. What is expected comes from a model of the store, not from the code under test.
 */
#include "engine/record.h"
#include "engine/recovery.h"
#include "tests/unit/engine/model.h"

static void examine_to(struct rd_slice file, uint64_t tail, const char *what, uint64_t where)
{
    struct rd_recovery recovery;
    enum rd_status status = rd_recovery_examine(file, NULL, &recovery);
    if (status != RD_OK || recovery.damaged || recovery.tail != tail)
        fail_msg("%s at %llu: status %d, damaged %d, tail %llu instead of %llu", what, (unsigned long long)where,
                 status, recovery.damaged, (unsigned long long)recovery.tail, (unsigned long long)tail);
}

/* A copy of exactly len bytes, so that a sanitizer sees a look behind the end. */
static void examine_copy_to(struct rd_slice file, uint64_t tail, const char *what, uint64_t where)
{
    uint8_t *copy = malloc(file.len + (file.len == 0));
    if (file.len != 0)
        memcpy(copy, file.data, file.len);
    examine_to(rd_slice(copy, file.len), tail, what, where);
    free(copy);
}

/* ---- torn ends ---- */

static void cut_at_every_byte(void **state)
{
    (void)state;
    random_begin();
    for (int round = 0; round < (SLOW ? 6 : 24); round++) {
        struct model model;
        model_init(&model);
        model_fill(&model, 3 + random_below(12), round % 2 == 0 ? 40 : 300, 8);
        for (uint64_t len = 0; len <= model_tail(&model); len++) {
            size_t whole = model_whole_entries(&model, len);
            uint64_t tail = whole == 0 ? 0 : model.entries[whole - 1].end;
            examine_copy_to(rd_slice(model.bytes.data, len), tail, "cut", len);
        }
        model_deinit(&model);
    }
}

static void cut_at_random_places_of_large_stores(void **state)
{
    (void)state;
    random_begin();
    for (int round = 0; round < 12; round++) {
        struct model model;
        model_init(&model);
        model_fill(&model, 50 + random_below(300), 1u << (4 + random_below(13)), 40);
        uint64_t first_end = model.entries[0].end;
        for (int i = 0; i < 60; i++) {
            uint64_t len = first_end + random_below(model_tail(&model) - first_end + 1);
            size_t whole = model_whole_entries(&model, len);
            examine_copy_to(rd_slice(model.bytes.data, len), model.entries[whole - 1].end, "cut", len);
        }
        model_deinit(&model);
    }
}

static char *aside_path(const struct place *place, uint64_t offset, int n)
{
    char *path = NULL;
    int len = n == 0 ? asprintf(&path, "%s.torn-%llu", place->path, (unsigned long long)offset)
                     : asprintf(&path, "%s.torn-%llu.%d", place->path, (unsigned long long)offset, n);
    assert_true(len > 0);
    return path;
}

/* Ones at a file's end are how it runs ahead of its tail: they are not kept. */
static void expect_aside(const struct place *place, uint64_t offset, int n, struct rd_slice bytes)
{
    while (bytes.len != 0 && bytes.data[bytes.len - 1] == 0xff)
        bytes.len--;
    char *path = aside_path(place, offset, n);
    assert_int_equal(file_exists(path), bytes.len != 0);
    if (bytes.len == 0) {
        free(path);
        return;
    }
    expect_file(path, bytes);
    struct stat found;
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(found.st_mode & 07777, 0600);
    free(path);
}

static void open_shows_what_is_whole_and_keeps_what_is_cut(void **state)
{
    (void)state;
    random_begin();
    for (int round = 0; round < 60; round++) {
        struct model model;
        struct place place = place_create();
        model_init(&model);
        model_fill(&model, 4 + random_below(30), 200, 10);
        uint64_t len = model.entries[1].end + random_below(model_tail(&model) - model.entries[1].end + 1);
        size_t whole = model_whole_entries(&model, len);
        uint64_t tail = model.entries[whole - 1].end;
        write_model(place.path, &model, len);
        struct rd_slice torn = rd_slice(model.bytes.data + tail, len - tail);

        struct rd_store *store = store_open_with(place.path, (struct rd_store_options){.read_only = true});
        check_store(store, &model, whole, NONE);
        rd_store_close(store);
        expect_file(place.path, rd_slice(model.bytes.data, len));

        store = store_open(place.path);
        check_store(store, &model, whole, NONE);
        assert_int_equal(rd_store_file_size(store), tail);
        rd_store_close(store);
        expect_file(place.path, rd_slice(model.bytes.data, tail));
        if (torn.len != 0) { /* and the same tear once more */
            expect_aside(&place, tail, 0, torn);
            write_model(place.path, &model, len);
            rd_store_close(store_open(place.path));
            expect_aside(&place, tail, 0, torn);
            expect_aside(&place, tail, 1, torn);
        }
        model_deinit(&model);
        place_remove(&place);
    }
}

static void a_repaired_store_is_written_to_and_opens_again(void **state)
{
    (void)state;
    random_begin();
    struct model model;
    struct place place = place_create();
    model_init(&model);
    model_fill(&model, 20, 200, 30);
    write_model(place.path, &model, model_tail(&model) - 7);
    struct rd_store *store = store_open(place.path);
    put_text(store, "after", "the repair");
    rd_store_close(store);
    store = store_open(place.path);
    uint64_t live = check_entries(store, &model, model.count - 1, NONE);
    assert_int_equal(rd_store_len(store), live + 1);
    expect_text(store, "after", "the repair");
    rd_store_close(store);
    model_deinit(&model);
    place_remove(&place);
}

/* ---- what may lie behind the last whole entry ---- */

/* How many of the model's entries the bytes hold, byte for byte: a cut filled up with zeros may restore one. */
static uint64_t whole_tail(const struct model *model, struct rd_slice file)
{
    uint64_t same = 0;
    while (same < file.len && same < model->bytes.len && file.data[same] == model->bytes.data[same])
        same++;
    size_t whole = model_whole_entries(model, same);
    return whole == 0 ? 0 : model->entries[whole - 1].end;
}

/* The file ends in what would be links down to the entry before: without a record of what was durable these cannot
 * be told from whole entries with damaged payloads, which are never cut. */
static bool ends_in_links(struct rd_slice file, uint64_t before)
{
    uint64_t end = file.len;
    while (end >= before + RD_TOMBSTONE_LEN && end >= RD_TOMBSTONE_LEN) {
        uint64_t prev_tail = rd_load_u64le(file.data + end - 12);
        if (prev_tail > end - RD_TOMBSTONE_LEN)
            return false;
        end = prev_tail;
    }
    return end == before && file.len != before;
}

enum filling { ZEROS, ONES, GARBAGE, ZEROS_THEN_GARBAGE, FILLINGS };

static void fill(uint8_t *to, size_t len, enum filling filling)
{
    memset(to, filling == ONES ? 0xff : 0, len);
    if (filling == GARBAGE)
        random_fill(to, len);
    if (filling == ZEROS_THEN_GARBAGE && len > 1)
        random_fill(to + len / 2, len - len / 2);
}

static void filled_tails(void **state)
{
    (void)state;
    random_begin();
    for (int round = 0; round < 400; round++) {
        struct model model;
        model_init(&model);
        model_fill(&model, 2 + random_below(20), 150, 8);
        uint64_t floor = model.entries[0].end;
        uint64_t kept = round % 2 == 0 ? model_tail(&model) : floor + random_below(model_tail(&model) - floor + 1);
        size_t more = round % 5 == 0 ? random_below(20000) : random_below(200);
        uint8_t *file = malloc(kept + more + 1);
        memcpy(file, model.bytes.data, kept);
        fill(file + kept, more, (enum filling)(round / 2 % FILLINGS));
        struct rd_slice slice = rd_slice(file, kept + more);
        uint64_t tail = whole_tail(&model, slice);
        if (tail == slice.len || !ends_in_links(slice, tail))
            examine_copy_to(slice, tail, "filled", kept);
        free(file);
        model_deinit(&model);
    }
}

static void check_filled_open(enum filling filling, size_t more, bool expect_kept)
{
    struct model model;
    struct place place = place_create();
    model_init(&model);
    model_fill(&model, 10, 100, 8);
    uint64_t tail = model_tail(&model);
    uint8_t *behind = malloc(more);
    fill(behind, more, filling);
    if (filling == GARBAGE)
        behind[more - 1] &= 0x7f; /* not by chance all 0xff */
    struct rd_buffer file;
    rd_buffer_init(&file, 0);
    rd_buffer_append(&file, model.bytes.data, tail);
    rd_buffer_append(&file, behind, more);
    rd_file_write(place.path, rd_buffer_slice(&file));

    struct rd_store *store = store_open(place.path);
    check_store(store, &model, model.count, NONE);
    rd_store_close(store);
    expect_file(place.path, rd_slice(model.bytes.data, tail));
    if (expect_kept) {
        expect_aside(&place, tail, 0, rd_slice(behind, more));
    } else {
        char *path = aside_path(&place, tail, 0);
        assert_false(file_exists(path));
        free(path);
    }
    rd_buffer_deinit(&file);
    free(behind);
    model_deinit(&model);
    place_remove(&place);
}

static void zeros_behind_the_end_are_cut_and_kept(void **state)
{
    (void)state;
    random_begin();
    for (size_t more = 1; more < 100; more += 3)
        check_filled_open(ZEROS, more, true);
    check_filled_open(ZEROS, 100000, true);
}

static void ones_behind_the_end_are_cut_and_not_kept(void **state)
{
    (void)state;
    random_begin();
    for (size_t more = 1; more < 100; more += 3)
        check_filled_open(ONES, more, false);
    check_filled_open(ONES, 100000, false);
}

/* Found by fuzzing: the checksum ends in three bytes 0xff, and without two of them the file is one entry as well.
 */
static void ones_at_the_end_of_a_checksum_belong_to_it(void **state)
{
    (void)state;
    struct model model;
    model_init(&model);
    model_add(&model, 0x01ff, rd_slice("\xff\xff\xff", 3), false);
    assert_int_equal(rd_crc32(0, rd_slice("\xff\xff\xff", 3)), 0xffffff00);
    assert_int_equal(rd_crc32(0, rd_slice("\xff", 1)), 0xff000000);
    examine_copy_to(rd_slice(model.bytes.data, 23), 23, "a checksum of ones", 23);
    model_deinit(&model);
}

static void garbage_behind_the_end_is_cut_and_kept(void **state)
{
    (void)state;
    random_begin();
    for (size_t more = 1; more < 100; more += 3)
        check_filled_open(GARBAGE, more, true);
    check_filled_open(GARBAGE, 100000, true);
}

/* ---- files that are no stores ---- */

static void check_refused(struct rd_slice bytes)
{
    struct place place = place_create();
    rd_file_write(place.path, bytes);
    assert_int_equal(status_of_open(place.path, false), RD_NOT_A_STORE);
    assert_int_equal(status_of_open(place.path, true), RD_NOT_A_STORE);
    expect_file(place.path, bytes);
    char *path = aside_path(&place, 0, 0);
    assert_false(file_exists(path));
    free(path);
    place_remove(&place);
}

static void other_files_are_refused_and_left_alone(void **state)
{
    (void)state;
    random_begin();
    size_t len = 1 << 20;
    uint8_t *bytes = malloc(len);
    memset(bytes, 'x', 4096);
    check_refused(rd_slice(bytes, 4096));
    random_fill(bytes, len);
    check_refused(rd_slice(bytes, len));
    memset(bytes, 0, len);
    bytes[len / 2] = 1;
    check_refused(rd_slice(bytes, len));
    free(bytes);
    struct rd_buffer program = rd_file_read("/bin/ls");
    check_refused(rd_buffer_slice(&program));
    rd_buffer_deinit(&program);
}

static void check_opens_empty(struct rd_slice bytes, bool kept)
{
    struct place place = place_create();
    rd_file_write(place.path, bytes);
    struct rd_store *store = store_open_with(place.path, (struct rd_store_options){.read_only = true});
    assert_true(rd_store_is_empty(store));
    rd_store_close(store);
    expect_file(place.path, bytes);
    store = store_open(place.path);
    assert_true(rd_store_is_empty(store));
    assert_int_equal(rd_store_file_size(store), 0);
    put_text(store, "k", "v");
    rd_store_close(store);
    store = store_open(place.path);
    expect_text(store, "k", "v");
    rd_store_close(store);
    if (kept)
        expect_aside(&place, 0, 0, bytes);
    place_remove(&place);
}

static void zeros_and_small_files_are_empty_stores(void **state)
{
    (void)state;
    random_begin();
    size_t len = 1 << 20;
    uint8_t *bytes = calloc(1, len);
    check_opens_empty(rd_slice(bytes, len), true);
    check_opens_empty(rd_slice(bytes, 1), true);
    check_opens_empty(rd_slice(bytes, 0), false);
    random_fill(bytes, 4095);
    bytes[4094] = 1; /* not 0xff, which would be room ahead */
    check_opens_empty(rd_slice(bytes, 4095), true);
    check_opens_empty(rd_slice(bytes, 20), true);
    free(bytes);
}

static void what_is_no_file_is_refused(void **state)
{
    (void)state;
    struct place place = place_create();
    assert_int_equal(status_of_open(place.folder, true), RD_NOT_A_STORE);
    assert_int_equal(status_of_open(place.path, false), RD_IO_ERROR); /* not there, not to be made */
    assert_false(file_exists(place.path));
    place_remove(&place);
}

/* ---- values that look like more than they are ---- */

/* A store whose last value is `value`, cut at every step-th byte of it and at all of the last 64. */
static void cut_through(struct model *model, struct rd_slice value, size_t step)
{
    uint64_t before = model_tail(model);
    model_add(model, 77, value, false);
    for (uint64_t len = before; len < model_tail(model);) {
        struct rd_slice file = rd_slice(model->bytes.data, len);
        if (!ends_in_links(file, before))
            examine_copy_to(file, before, "inside a value", len - before);
        len += model_tail(model) - len <= 64 ? 1 : step;
    }
    examine_copy_to(rd_buffer_slice(&model->bytes), model_tail(model), "whole", 0);
}

static void a_torn_value_that_is_a_store_is_not_believed(void **state)
{
    (void)state;
    random_begin();
    for (int round = 0; round < (SLOW ? 2 : 8); round++) {
        struct model inner;
        struct model middle;
        struct model outer;
        model_init(&inner);
        model_init(&middle);
        model_init(&outer);
        model_fill(&inner, 15, 60, 5);
        model_fill(&middle, 3, 60, 5);
        model_add(&middle, 5, rd_buffer_slice(&inner.bytes), false);
        model_fill(&outer, 1 + random_below(6), 60, 5);
        cut_through(&outer, round % 2 == 0 ? rd_buffer_slice(&inner.bytes) : rd_buffer_slice(&middle.bytes), 1);
        model_deinit(&inner);
        model_deinit(&middle);
        model_deinit(&outer);
    }
}

static void torn_counters_are_not_believed(void **state)
{
    (void)state;
    random_begin();
    struct model model;
    model_init(&model);
    model_fill(&model, 30, 100, 8);
    struct rd_buffer counters;
    rd_buffer_init(&counters, 0);
    for (uint64_t i = 0; i < (SLOW ? 1000 : 3000); i++)
        rd_buffer_append_u64le(&counters, i);
    cut_through(&model, rd_buffer_slice(&counters), 4);
    rd_buffer_deinit(&counters);
    model_deinit(&model);
}

/* Trailers that lead to each of the tails before, with checksums of what lies right before them. */
static void torn_trailers_to_old_tails_are_not_believed(void **state)
{
    (void)state;
    random_begin();
    struct model model;
    model_init(&model);
    model_fill(&model, 30, 100, 8);
    struct rd_buffer forged;
    rd_buffer_init(&forged, 0);
    for (size_t i = 0; i + 1 < model.count; i++) {
        uint8_t bytes[40];
        random_fill(bytes, sizeof bytes);
        uint8_t crc_of = (uint8_t)(i % sizeof bytes + 1);
        rd_buffer_append(&forged, bytes, sizeof bytes);
        rd_buffer_append_u64le(&forged, model.entries[i].hash);
        rd_buffer_append_u64le(&forged, model.entries[i].end);
        rd_buffer_append_u32le(&forged, rd_crc32(0, rd_slice(bytes + sizeof bytes - crc_of, crc_of)));
    }
    cut_through(&model, rd_buffer_slice(&forged), 1);
    rd_buffer_deinit(&forged);
    model_deinit(&model);
}

/* ---- how long it may take ---- */

#define EXAMINE_MS_MAX (SLOW ? 30000u : 4000u)
#define LARGE_LEN      ((SLOW ? 16u : 64u) << 20)

static void timed(struct rd_slice file, uint64_t tail, const char *what)
{
    uint64_t begin = now_ms();
    examine_to(file, tail, what, 0);
    uint64_t took = now_ms() - begin;
    print_message("    %s: %llu ms\n", what, (unsigned long long)took);
    assert_true(took <= EXAMINE_MS_MAX);
}

static void large_files_are_examined_in_seconds(void **state)
{
    (void)state;
    random_begin();
    struct model model;
    model_init(&model);
    while (model_tail(&model) < LARGE_LEN)
        model_add_random(&model, random_next(), 1 + random_below(200000));
    uint64_t before = model.entries[model.count - 2].end;
    timed(rd_slice(model.bytes.data, model_tail(&model) - 1), before, "a large file, torn");
    uint64_t tail = model_tail(&model);
    size_t zeros = LARGE_LEN / 4;
    memset(rd_buffer_reserve(&model.bytes, zeros), 0, zeros);
    rd_buffer_commit(&model.bytes, zeros);
    timed(rd_buffer_slice(&model.bytes), tail, "zeros behind it, a quarter as many");
    model_deinit(&model);
}

/* Each counter that is one of the tails makes its place look like the end of an entry. */
static void many_small_entries_and_torn_counters_take_seconds(void **state)
{
    (void)state;
    random_begin();
    struct model model;
    model_init(&model);
    for (uint64_t i = 0; i < 100000; i++)
        model_add_random(&model, i, 20);
    uint64_t tail = model_tail(&model);
    for (uint64_t i = 0; i < LARGE_LEN / 16; i++)
        rd_buffer_append_u64le(&model.bytes, i);
    timed(rd_buffer_slice(&model.bytes), tail, "100,000 small entries and counters");
    model_deinit(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_at_every_byte),
        cmocka_unit_test(cut_at_random_places_of_large_stores),
        cmocka_unit_test(open_shows_what_is_whole_and_keeps_what_is_cut),
        cmocka_unit_test(a_repaired_store_is_written_to_and_opens_again),
        cmocka_unit_test(filled_tails),
        cmocka_unit_test(zeros_behind_the_end_are_cut_and_kept),
        cmocka_unit_test(ones_behind_the_end_are_cut_and_not_kept),
        cmocka_unit_test(ones_at_the_end_of_a_checksum_belong_to_it),
        cmocka_unit_test(garbage_behind_the_end_is_cut_and_kept),
        cmocka_unit_test(other_files_are_refused_and_left_alone),
        cmocka_unit_test(zeros_and_small_files_are_empty_stores),
        cmocka_unit_test(what_is_no_file_is_refused),
        cmocka_unit_test(a_torn_value_that_is_a_store_is_not_believed),
        cmocka_unit_test(torn_counters_are_not_believed),
        cmocka_unit_test(torn_trailers_to_old_tails_are_not_believed),
        cmocka_unit_test(large_files_are_examined_in_seconds),
        cmocka_unit_test(many_small_entries_and_torn_counters_take_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
