/* SPDX-License-Identifier: MIT
 *
 * A file that runs ahead of its tail with bytes 0xFF: when it does, what it costs, what a crash leaves of it, and
 * that nothing of it is ever taken for an entry, nor an entry's own bytes for it.
 */
#include <unistd.h>

#include "engine/record.h"
#include "engine/store.h"
#include "tests/unit/engine/faults.h"
#include "tests/unit/engine/groups.h"

#define EARNING 20u /* more synced groups than earn it */

static struct rd_store *open_counting(struct faults *faults, const char *path)
{
    return open_faulty(faults, path, RD_DURABILITY_SYNC, 0);
}

static void earn(struct rd_store *store)
{
    for (uint64_t number = 0; number < EARNING; number++)
        put_number(store, number);
}

static void expect_earned(struct rd_store *store)
{
    assert_int_equal(rd_store_len(store), EARNING);
    for (uint64_t number = 0; number < EARNING; number++) {
        char text[32];
        int len = snprintf(text, sizeof text, "value %llu", (unsigned long long)number);
        expect_bytes(store, key_number(number), text, (size_t)len);
    }
}

static void expect_ones_above(const char *path, uint64_t tail)
{
    struct rd_buffer file = rd_file_read(path);
    assert_true(file.len > tail);
    for (uint64_t at = tail; at < file.len; at++)
        assert_int_equal(file.data[at], 0xff);
    rd_buffer_deinit(&file);
}

static struct place copy_of_now(const struct place *place, bool with_companion)
{
    static const char *const names[] = {"store.rdr", "store.rdr.meta"};
    return place_copy(place, names, with_companion ? 2 : 1);
}

/* ---- when it is there, of what is synced ---- */

static void a_run_of_synced_writes_earns_it_and_closing_ends_it(void **state)
{
    (void)state;
    struct place place = place_create();
    struct faults *faults = faults_create();
    struct rd_store *store = open_counting(faults, place.path);
    unsigned syncs = faults_count(faults, CALL_FDATASYNC);
    earn(store);
    assert_int_equal(faults_count(faults, CALL_FDATASYNC) - syncs, EARNING); /* none of its own */
    uint64_t tail = rd_store_file_size(store);
    expect_ones_above(place.path, tail);
    struct rd_store_info info;
    rd_store_info(store, &info);
    assert_int_equal(info.tail, tail);
    assert_int_equal(info.file_size, size_of(place.path));
    uint64_t size = info.file_size;
    put_number(store, EARNING - 1);
    assert_int_equal(size_of(place.path), size); /* it fell into what was there */
    tail = rd_store_file_size(store);
    rd_store_close(store);
    assert_int_equal(size_of(place.path), tail);
    store = store_open(place.path);
    expect_earned(store);
    rd_store_close(store);
    faults_destroy(faults);
    place_remove(&place);
}

static void what_is_not_synced_does_not_earn_it(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    earn(store);
    assert_int_equal(size_of(place.path), rd_store_file_size(store));
    rd_store_close(store);
    place_remove(&place);
}

/* Each byte of it is written twice. */
static void long_groups_do_not_earn_it(void **state)
{
    (void)state;
    struct place place = place_create();
    struct faults *faults = faults_create();
    struct rd_store *store = open_counting(faults, place.path);
    static uint8_t value[200000];
    for (uint64_t number = 0; number < EARNING; number++)
        put(store, key_number(number), value, sizeof value);
    assert_int_equal(size_of(place.path), rd_store_file_size(store));
    rd_store_close(store);
    faults_destroy(faults);
    place_remove(&place);
}

static void it_grows_with_use_to_a_megabyte(void **state)
{
    (void)state;
    struct place place = place_create();
    struct faults *faults = faults_create();
    struct rd_store *store = open_counting(faults, place.path);
    static uint8_t value[5000];
    uint64_t longest = 0;
    for (uint64_t number = 0; number < 1000; number++) {
        put(store, key_number(number), value, sizeof value);
        uint64_t ahead = size_of(place.path) - rd_store_file_size(store);
        longest = ahead > longest ? ahead : longest;
    }
    assert_int_equal(longest, 1 << 20);
    rd_store_close(store);
    faults_destroy(faults);
    place_remove(&place);
}

static void a_pause_ends_it(void **state)
{
    (void)state;
    struct place place = place_create();
    struct faults *faults = faults_create();
    struct rd_store *store = open_counting(faults, place.path);
    earn(store);
    uint64_t tail = rd_store_file_size(store);
    assert_true(size_of(place.path) > tail);
    uint64_t began = now_ms();
    while (size_of(place.path) != tail) {
        assert_true(now_ms() - began < 60000);
        usleep(5000);
    }
    struct rd_store_info info;
    do
        rd_store_info(store, &info); /* told a moment after it has happened */
    while (info.file_size != tail && now_ms() - began < 60000);
    assert_int_equal(info.file_size, tail);
    put_number(store, EARNING);
    assert_int_equal(size_of(place.path), rd_store_file_size(store)); /* to be earned anew */
    rd_store_close(store);
    faults_destroy(faults);
    place_remove(&place);
}

/* The hole before what is placed ahead has to be zeros. */
static void a_long_value_is_placed_ahead_of_the_tail_alone(void **state)
{
    (void)state;
    struct place place = place_create();
    struct faults *faults = faults_create();
    struct rd_store *store = open_counting(faults, place.path);
    store->ahead.placed_len_min = 100000;
    store->ahead.gap_len_min = 8192;
    static uint8_t value[300000];
    random_begin();
    random_fill(value, sizeof value);
    earn(store);
    assert_true(size_of(place.path) > rd_store_file_size(store));
    struct rd_placement *placement = rd_store_place(store, rd_slice(value, sizeof value), RD_DURABILITY_DEFAULT);
    assert_non_null(placement);
    put_number(store, EARNING - 1);
    struct rd_entry entry = {.key = key_named("long"), .payload = rd_slice(value, sizeof value)};
    struct rd_op op = {.kind = RD_OP_WRITE, .entries = &entry, .entry_count = 1, .placement = placement};
    assert_int_equal(rd_store_execute(store, &op), RD_OK);
    rd_placement_destroy(placement);
    expect_bytes(store, key_named("long"), value, sizeof value);
    static struct rd_verification found;
    assert_int_equal(rd_store_verify(store, 0, UINT64_MAX, &found), RD_OK);
    assert_int_equal(found.problem_count, 0);
    earn(store); /* and afterwards it is earned as before */
    expect_ones_above(place.path, rd_store_file_size(store));
    rd_store_close(store);
    faults_destroy(faults);
    place_remove(&place);
}

/* ---- when it is there, of what is not synced ---- */

#define LEAD_LEN (256u << 10)

/* Batches of 512 entries of 128 bytes in the file, which are 64 KiB: before each one a pause. */
static void put_batches(struct rd_store *store, unsigned count, useconds_t pause_us)
{
    static uint8_t value[100];
    static struct rd_entry entries[512];
    static uint64_t number;
    memset(value, 'v', sizeof value);
    for (unsigned i = 0; i < count; i++) {
        usleep(pause_us);
        for (size_t at = 0; at < 512; at++)
            entries[at] = (struct rd_entry){.key = key_number(number++), .payload = rd_slice(value, sizeof value)};
        assert_int_equal(rd_store_batch_write(store, entries, 512, false, NULL), RD_OK);
    }
}

/* How much of the file's length a run of fast batches has added; a machine that does not run meanwhile may have it
 * earned late. */
static void lead(struct rd_store *store, const char *path)
{
    uint64_t began = now_ms();
    while (size_of(path) == rd_store_file_size(store)) {
        assert_true(now_ms() - began < 60000);
        put_batches(store, 1, 0);
    }
}

static void fast_writes_of_short_values_earn_it_without_a_sync(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    store->extension.batch_min = UINT32_MAX;
    put_batches(store, 1, 0);
    assert_int_equal(size_of(place.path), rd_store_file_size(store)); /* it is not fast yet */
    lead(store, place.path);
    uint64_t size = size_of(place.path);
    assert_int_equal(size % LEAD_LEN, 0);
    assert_true(size - rd_store_file_size(store) <= LEAD_LEN);
    expect_ones_above(place.path, rd_store_file_size(store));
    struct place copy = copy_of_now(&place, false); /* as a kill would leave it */
    uint64_t tail = rd_store_file_size(store);
    uint64_t len = rd_store_len(store);
    put_number(store, 0);
    assert_int_equal(size_of(place.path), size); /* it fell into what was there */
    uint64_t began = now_ms();
    while (size_of(place.path) != rd_store_file_size(store)) { /* a pause ends it */
        assert_true(now_ms() - began < 60000);
        usleep(5000);
    }
    lead(store, place.path);
    rd_store_close(store);
    store = store_open(place.path);
    assert_int_equal(size_of(place.path), rd_store_file_size(store));
    rd_store_close(store);
    store = store_open(copy.path);
    assert_int_equal(rd_store_file_size(store), tail);
    assert_int_equal(rd_store_len(store), len);
    rd_store_close(store);
    place_remove(&copy);
    place_remove(&place);
}

static void slow_writes_do_not(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    for (unsigned i = 0; i < 12; i++) {
        put_batches(store, 1, 40000); /* 64 KiB: 256 of them take longer than a tenth of a second */
        assert_int_equal(size_of(place.path), rd_store_file_size(store));
    }
    rd_store_close(store);
    place_remove(&place);
}

/* A folio is given back as a whole, when all of its values are dead. */
static void longer_values_do_not(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    static uint8_t value[2000];
    memset(value, 'v', sizeof value);
    for (uint64_t number = 0; number < 1000; number++) {
        put(store, key_number(number), value, sizeof value);
        assert_int_equal(size_of(place.path), rd_store_file_size(store));
    }
    rd_store_close(store);
    place_remove(&place);
}

/* What was taken for it is given back, and what fits is written. */
static void a_disk_that_is_full_without_a_sync_is_done_without(void **state)
{
    (void)state;
    struct place place = place_create();
    struct faults *faults = faults_create();
    struct rd_store *store = open_faulty(faults, place.path, RD_DURABILITY_NONE, 0);
    store->extension.batch_min = UINT32_MAX;
    lead(store, place.path);
    faults->size_max = rd_store_file_size(store) + 700000;
    uint64_t room = 700000;
    static uint8_t value[100];
    memset(value, 'v', sizeof value);
    enum rd_status status = RD_OK;
    while (room >= 128 && status == RD_OK) {
        uint64_t tail = rd_store_file_size(store);
        status = rd_store_write(store, key_number(room), rd_slice(value, sizeof value), NULL);
        room -= rd_store_file_size(store) - tail;
    }
    assert_in_range(room, 0, 256);
    struct rd_store_info info;
    rd_store_info(store, &info);
    assert_int_equal(info.state, RD_STORE_OPEN);
    rd_store_close(store);
    faults_destroy(faults);
    place_remove(&place);
}

/* ---- what a crash leaves ---- */

static void nothing_of_it_is_kept(void **state)
{
    (void)state;
    for (int with_companion = 0; with_companion < 2; with_companion++) {
        struct place place = place_create();
        struct faults *faults = faults_create();
        struct rd_store *store = open_counting(faults, place.path);
        earn(store);
        uint64_t tail = rd_store_file_size(store);
        struct place copy = copy_of_now(&place, with_companion != 0);
        assert_true(size_of(copy.path) > tail);
        rd_store_close(store);
        store = store_open(copy.path);
        assert_int_equal(rd_store_file_size(store), tail);
        assert_int_equal(size_of(copy.path), tail);
        expect_earned(store);
        rd_store_close(store);
        char *aside = NULL;
        assert_true(asprintf(&aside, "%s.torn-%llu", copy.path, (unsigned long long)tail) > 0);
        assert_false(file_exists(aside));
        free(aside);
        faults_destroy(faults);
        place_remove(&place);
        place_remove(&copy);
    }
}

/* The last entry lacks any number of its last bytes, or any of its sectors: ones are there instead. */
static void a_torn_entry_before_it_is_cut(void **state)
{
    (void)state;
    struct place place = place_create();
    struct faults *faults = faults_create();
    struct rd_store *store = open_counting(faults, place.path);
    earn(store);
    uint64_t kept = rd_store_file_size(store);
    static uint8_t value[1500];
    memset(value, 'v', sizeof value);
    put(store, key_named("torn"), value, sizeof value);
    uint64_t tail = rd_store_file_size(store);
    struct place copy = copy_of_now(&place, true);
    rd_store_close(store);
    struct rd_buffer bytes = rd_file_read(copy.path);
    char *meta_path = rd_path(copy.folder, "store.rdr.meta");
    struct rd_buffer meta = rd_file_read(meta_path);
    for (uint64_t from = kept; from<tail; from += tail - from> 40 ? 37 : 1) {
        for (int sector = 0; sector < 2; sector++) {
            struct rd_buffer torn;
            rd_buffer_init(&torn, 0);
            rd_buffer_append_slice(&torn, rd_buffer_slice(&bytes));
            uint64_t end = sector == 0 ? tail : from / RD_SECTOR_LEN * RD_SECTOR_LEN + RD_SECTOR_LEN;
            memset(torn.data + from, 0xff, (size_t)((end < tail ? end : tail) - from));
            rd_file_write(copy.path, rd_buffer_slice(&torn));
            rd_file_write(meta_path, rd_buffer_slice(&meta));
            rd_buffer_deinit(&torn);
            store = store_open(copy.path);
            assert_int_equal(rd_store_file_size(store), kept);
            expect_earned(store);
            rd_store_close(store);
        }
    }
    rd_buffer_deinit(&bytes);
    rd_buffer_deinit(&meta);
    free(meta_path);
    faults_destroy(faults);
    place_remove(&place);
    place_remove(&copy);
}

/* What is kept aside of a torn end goes as far as it holds anything. */
static void what_is_kept_aside_ends_where_it_begins(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    earn(store);
    uint64_t tail = rd_store_file_size(store);
    struct place copy = copy_of_now(&place, true);
    rd_store_close(store);
    struct rd_buffer bytes = rd_file_read(copy.path);
    static uint8_t more[70000];
    memset(more, 0xff, sizeof more);
    memcpy(more, "half an entry\xff\xff of some value", 30);
    rd_buffer_append(&bytes, more, sizeof more);
    rd_file_write(copy.path, rd_buffer_slice(&bytes));
    rd_buffer_deinit(&bytes);
    store = store_open(copy.path);
    assert_int_equal(rd_store_file_size(store), tail);
    rd_store_close(store);
    char *aside = NULL;
    assert_true(asprintf(&aside, "%s.torn-%llu", copy.path, (unsigned long long)tail) > 0);
    expect_file(aside, rd_slice(more, 30));
    free(aside);
    place_remove(&place);
    place_remove(&copy);
}

/* ---- entries that end in ones themselves ---- */

/* A value whose checksum's last bytes, as they lie in the file, are ones. */
static uint64_t value_with_crc_ending_in_ones(unsigned bytes)
{
    uint32_t mask = bytes == 4 ? UINT32_MAX : ~(UINT32_MAX >> 8 * bytes);
    for (uint64_t value = 1;; value++)
        if ((rd_crc32(0, rd_slice(&value, sizeof value)) & mask) == mask)
            return value;
}

static void expect_survives(const void *value, size_t len)
{
    for (int with_companion = 0; with_companion < 2; with_companion++) {
        struct place place = place_create();
        struct faults *faults = faults_create();
        struct rd_store *store = open_counting(faults, place.path);
        earn(store);
        put(store, key_named("ones"), value, len);
        uint64_t tail = rd_store_file_size(store);
        struct place copy = copy_of_now(&place, with_companion != 0);
        assert_true(size_of(copy.path) > tail);
        rd_store_close(store);
        store = store_open(copy.path);
        assert_int_equal(rd_store_file_size(store), tail);
        expect_bytes(store, key_named("ones"), value, len);
        rd_store_close(store);
        /* The same without anything behind it. */
        store = store_open(place.path);
        expect_bytes(store, key_named("ones"), value, len);
        rd_store_close(store);
        faults_destroy(faults);
        place_remove(&place);
        place_remove(&copy);
    }
}

static void an_entry_that_ends_in_ones_is_whole(void **state)
{
    (void)state;
    for (unsigned bytes = 1; bytes <= (SLOW ? 2 : 3); bytes++) {
        uint64_t value = value_with_crc_ending_in_ones(bytes);
        expect_survives(&value, sizeof value);
    }
    static const uint8_t four_ones[4] = {0xff, 0xff, 0xff, 0xff}; /* their checksum is all ones */
    assert_int_equal(rd_crc32(0, rd_slice(four_ones, 4)), UINT32_MAX);
    expect_survives(four_ones, sizeof four_ones);
    static uint8_t many_ones[3000];
    memset(many_ones, 0xff, sizeof many_ones);
    expect_survives(many_ones, sizeof many_ones);
}

/* How many of some trailers lie over the border of two sectors. */
static unsigned trailers_over_borders(struct rd_store *store, const uint8_t *value)
{
    unsigned found = 0;
    for (size_t round = 0; round < 400; round++) {
        size_t len = 450 + round * 7 % 90;
        struct rd_written written = put(store, key_named("border"), value, len);
        found += rd_trailer_may_tear(written.offset + len);
    }
    return found;
}

/* Of such a trailer a power cut may keep the upper sector alone, with ones in the lower one, as they were. If the
 * payload was all ones there, its checksum would match, and the hash be another: such an entry is moved up. */
static void a_trailer_behind_ones_does_not_lie_over_a_border(void **state)
{
    (void)state;
    struct place place = place_create();
    struct faults *faults = faults_create();
    struct rd_store *store = open_counting(faults, place.path);
    static uint8_t ones[1024];
    static uint8_t others[1024];
    memset(ones, 0xff, sizeof ones);
    memset(others, 'o', sizeof others);
    assert_int_not_equal(trailers_over_borders(store, others), 0);
    assert_int_equal(trailers_over_borders(store, ones), 0);
    rd_store_close(store);
    faults_destroy(faults);
    place_remove(&place);
}

/* ---- failures ---- */

/* The group fits, what would run ahead of it does not. */
static void a_full_disk_is_done_without(void **state)
{
    (void)state;
    struct place place = place_create();
    struct faults *faults = faults_create();
    struct rd_store *store = open_counting(faults, place.path);
    faults->size_max = 20000;
    uint64_t number = 0;
    static uint8_t value[100];
    enum rd_status status;
    while ((status = rd_store_write(store, key_number(number), rd_slice(value, sizeof value), NULL)) == RD_OK)
        number++;
    assert_int_equal(status, RD_NO_SPACE);
    assert_in_range(number, 20000 / 128 - 2, 20000 / 120);
    assert_int_equal(size_of(place.path), rd_store_file_size(store));
    struct rd_store_info info;
    rd_store_info(store, &info);
    assert_int_equal(info.state, RD_STORE_OPEN);
    faults->size_max = 0;
    earn(store);
    expect_ones_above(place.path, rd_store_file_size(store));
    rd_store_close(store);
    faults_destroy(faults);
    place_remove(&place);
}

static void a_failure_to_extend_fails_no_write(void **state)
{
    (void)state;
    struct place place = place_create();
    struct faults *faults = faults_create();
    struct rd_store *store = open_counting(faults, place.path);
    put_number(store, 0); /* the first one records its end, too */
    for (uint64_t number = 1; number < 15; number++)
        put_number(store, number);
    faults_set(faults, CALL_PWRITEV, 1, 1, EIO); /* the second of the next group */
    earn(store);
    struct rd_store_info info;
    rd_store_info(store, &info);
    assert_int_equal(info.state, RD_STORE_OPEN);
    expect_earned(store);
    rd_store_close(store);
    faults_destroy(faults);
    place_remove(&place);
}

static void a_failed_sync_cuts_it_off_as_well(void **state)
{
    (void)state;
    struct place place = place_create();
    struct faults *faults = faults_create();
    struct rd_store *store = open_counting(faults, place.path);
    earn(store);
    uint64_t tail = rd_store_file_size(store);
    faults_set(faults, CALL_FDATASYNC, 0, 1, EIO);
    assert_int_equal(rd_store_write(store, key_named("lost"), rd_slice_of_string("x"), NULL), RD_IO_ERROR);
    assert_int_equal(size_of(place.path), tail);
    struct rd_store_info info;
    rd_store_info(store, &info);
    assert_int_equal(info.file_size, tail);
    expect_earned(store);
    rd_store_close(store);
    faults_destroy(faults);
    place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_of_synced_writes_earns_it_and_closing_ends_it),
        cmocka_unit_test(what_is_not_synced_does_not_earn_it),
        cmocka_unit_test(fast_writes_of_short_values_earn_it_without_a_sync),
        cmocka_unit_test(slow_writes_do_not),
        cmocka_unit_test(longer_values_do_not),
        cmocka_unit_test(a_disk_that_is_full_without_a_sync_is_done_without),
        cmocka_unit_test(long_groups_do_not_earn_it),
        cmocka_unit_test(it_grows_with_use_to_a_megabyte),
        cmocka_unit_test(a_pause_ends_it),
        cmocka_unit_test(a_long_value_is_placed_ahead_of_the_tail_alone),
        cmocka_unit_test(nothing_of_it_is_kept),
        cmocka_unit_test(a_torn_entry_before_it_is_cut),
        cmocka_unit_test(what_is_kept_aside_ends_where_it_begins),
        cmocka_unit_test(an_entry_that_ends_in_ones_is_whole),
        cmocka_unit_test(a_trailer_behind_ones_does_not_lie_over_a_border),
        cmocka_unit_test(a_full_disk_is_done_without),
        cmocka_unit_test(a_failure_to_extend_fails_no_write),
        cmocka_unit_test(a_failed_sync_cuts_it_off_as_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
