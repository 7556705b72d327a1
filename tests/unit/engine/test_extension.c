/* SPDX-License-Identifier: MIT
 *
 * A file that runs ahead of its tail with bytes 0xFF: when it does, what it costs, what a crash leaves of it, and
 * that nothing of it is ever taken for an entry, nor an entry's own bytes for it.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/record.h"
#include "engine/store.h"
#include "tests/unit/engine/faults.h"

#define EARNING 20u /* more synced groups than earn it */

static uint64_t size_of(const char *path)
{
    struct stat found;
    assert_int_equal(stat(path, &found), 0);
    return (uint64_t)found.st_size;
}

static struct rd_store *open_counting(struct faults *faults, const char *path)
{
    return open_faulty(faults, path, RD_DURABILITY_SYNC, 0);
}

static struct rd_key key_number(uint64_t number)
{
    return rd_key_of_hash((number + 1) * UINT64_C(0x9e3779b97f4a7c15));
}

static void put_number(struct rd_store *store, uint64_t number)
{
    char text[32];
    put(store, key_number(number), text,
        (size_t)snprintf(text, sizeof text, "value %llu", (unsigned long long)number));
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
    struct place copy = place_create();
    for (size_t i = 0; i < (with_companion ? 2 : 1); i++) {
        char *from = rd_path(place->folder, names[i]);
        char *to = rd_path(copy.folder, names[i]);
        struct rd_buffer bytes = rd_file_read(from);
        rd_file_write(to, rd_buffer_slice(&bytes));
        rd_buffer_deinit(&bytes);
        free(from);
        free(to);
    }
    return copy;
}

/* ---- when it is there ---- */

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

/* ---- regions that are filled up ---- */

#define GROUP      10u
#define GROUP_LEN  (GROUP * (4000 + 32) - 12) /* bytes of a new file; most of a region */
#define REGION_LEN 65536u

/* So many values at once, which the writer takes as one group. */
static void put_group_of(struct rd_store *store, uint64_t first, size_t count, size_t len)
{
    static uint8_t value[20000];
    memset(value, 'v', sizeof value);
    assert_true(count <= GROUP && len <= sizeof value);
    struct rd_entry entries[GROUP];
    struct rd_op ops[GROUP];
    struct collector collector;
    collector_init(&collector);
    for (size_t i = 0; i < count; i++) {
        entries[i] = (struct rd_entry){.key = key_number(first + i), .payload = rd_slice(value, len)};
        ops[i] =
            (struct rd_op){.kind = RD_OP_WRITE, .entries = &entries[i], .entry_count = 1, .sink = &collector.sink};
        assert_int_equal(rd_store_submit(store, &ops[i]), RD_OK);
    }
    rd_store_kick(store);
    collector_wait(&collector, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(ops[i].status, RD_OK);
    collector_deinit(&collector);
}

static void put_group(struct rd_store *store, uint64_t first)
{
    put_group_of(store, first, GROUP, 4000);
}

static void expect_group(struct rd_store *store, uint64_t first)
{
    static uint8_t value[4000];
    memset(value, 'v', sizeof value);
    for (uint64_t number = first; number < first + GROUP; number++)
        expect_bytes(store, key_number(number), value, sizeof value);
}

static void a_group_that_is_not_synced_fills_up_its_region(void **state)
{
    (void)state;
    struct place place = place_create();
    struct faults *faults = faults_create();
    struct rd_store *store = open_faulty(faults, place.path, RD_DURABILITY_NONE, 0);
    put_group(store, 0);
    assert_int_equal(rd_store_file_size(store), GROUP_LEN);
    assert_int_equal(size_of(place.path), REGION_LEN);
    expect_ones_above(place.path, GROUP_LEN);
    put_number(store, GROUP);
    assert_int_equal(size_of(place.path), REGION_LEN); /* it fell into what was there */
    unsigned writes = faults_count(faults, CALL_PWRITEV);
    put_group(store, GROUP + 1);
    assert_int_equal(faults_count(faults, CALL_PWRITEV) - writes, 1); /* the same that writes the group */
    assert_int_equal(size_of(place.path), 2 * REGION_LEN);
    uint64_t tail = rd_store_file_size(store);
    expect_ones_above(place.path, tail);
    struct place copy = copy_of_now(&place, true);
    rd_store_close(store);
    assert_int_equal(size_of(place.path), tail);
    store = store_open(copy.path); /* as a crash would have left it */
    assert_int_equal(rd_store_file_size(store), tail);
    assert_int_equal(size_of(copy.path), tail);
    expect_group(store, 0);
    expect_group(store, GROUP + 1);
    rd_store_close(store);
    faults_destroy(faults);
    place_remove(&place);
    place_remove(&copy);
}

/* Of one operation, long as it may be: it would be refused for want of room that it does not need. */
static void a_single_write_does_not(void **state)
{
    (void)state;
    struct place place = place_create();
    struct faults *faults = faults_create();
    struct rd_store *store = open_faulty(faults, place.path, RD_DURABILITY_NONE, 0);
    static uint8_t value[50000];
    memset(value, 'v', sizeof value);
    put(store, key_number(0), value, sizeof value);
    assert_int_equal(size_of(place.path), rd_store_file_size(store));
    rd_store_close(store);
    faults_destroy(faults);
    place_remove(&place);
}

static void a_pause_ends_what_was_filled_up(void **state)
{
    (void)state;
    struct place place = place_create();
    struct faults *faults = faults_create();
    struct rd_store *store = open_faulty(faults, place.path, RD_DURABILITY_NONE, 0);
    put_group(store, 0);
    uint64_t began = now_ms();
    while (size_of(place.path) != GROUP_LEN) {
        assert_true(now_ms() - began < 60000);
        usleep(5000);
    }
    assert_true(now_ms() - began > 500);
    expect_group(store, 0);
    rd_store_close(store);
    faults_destroy(faults);
    place_remove(&place);
}

/* The group fits, its region does not. */
static void on_a_full_disk_nothing_is_filled_up(void **state)
{
    (void)state;
    struct place place = place_create();
    struct faults *faults = faults_create();
    struct rd_store *store = open_faulty(faults, place.path, RD_DURABILITY_NONE, 0);
    faults->size_max = GROUP_LEN + 1000;
    put_group(store, 0);
    assert_int_equal(size_of(place.path), GROUP_LEN);
    faults->size_max = 0;
    put_group(store, GROUP);
    assert_int_equal(size_of(place.path), 2 * REGION_LEN);
    expect_group(store, 0);
    expect_group(store, GROUP);
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

/* ---- a lost group, and what ran ahead of it ---- */

#define PAGE_LEN  4096u
#define SAFE      3u /* short values that were synced before the group */
#define LOSSES    150u
#define KEYS      (SAFE + 1 + GROUP)
#define PAGES_MAX 64u

/* A store's file and companion while a group that was not synced lies in it, and its region is filled up. */
struct left {
    struct rd_buffer file;
    struct rd_buffer meta;
    uint64_t synced; /* below it nothing can be lost */
    uint64_t tail;
};

/* What opening such a file comes to. */
struct outcome {
    enum rd_status opened;
    enum rd_store_state state;
    uint64_t tail;
    enum rd_status reads[KEYS];
};

/* safe: so many short values are synced before. The group's values are so short that each page holds a trailer, or
 * so long that most hold none. */
static struct left leave_group(uint64_t safe, bool long_values)
{
    struct place place = place_create();
    struct faults *faults = faults_create();
    struct rd_store *store = open_faulty(faults, place.path, RD_DURABILITY_NONE, 0);
    store->writer.record_every_len = 1;
    for (uint64_t number = 0; number < safe; number++)
        put_number(store, number);
    struct rd_op sync = {.kind = RD_OP_SYNC};
    assert_int_equal(rd_store_execute(store, &sync), RD_OK);
    struct left left = {.synced = rd_store_file_size(store)};
    put_group_of(store, SAFE + 1, long_values ? 2 : GROUP, long_values ? 20000 : 4000);
    left.tail = rd_store_file_size(store);
    left.file = rd_file_read(place.path);
    char *meta_path = rd_path(place.folder, "store.rdr.meta");
    left.meta = rd_file_read(meta_path);
    free(meta_path);
    assert_true(left.tail - left.synced >= REGION_LEN / 2);
    assert_int_equal(left.file.len, REGION_LEN);
    rd_store_close(store);
    faults_destroy(faults);
    place_remove(&place);
    return left;
}

static void left_deinit(struct left *left)
{
    rd_buffer_deinit(&left->file);
    rd_buffer_deinit(&left->meta);
}

/* lost: bit i is set where page i never got to the disk, but for what was synced. */
static struct outcome outcome_of(const struct left *left, uint64_t lost, bool with_ones, bool with_companion)
{
    struct place place = place_create();
    struct rd_buffer file;
    rd_buffer_init(&file, 0);
    rd_buffer_append(&file, left->file.data, with_ones ? left->file.len : (size_t)left->tail);
    for (uint64_t at = left->synced; at < file.len; at++)
        if ((lost >> at / PAGE_LEN & 1) != 0)
            file.data[at] = 0;
    rd_file_write(place.path, rd_buffer_slice(&file));
    rd_buffer_deinit(&file);
    char *meta_path = rd_path(place.folder, "store.rdr.meta");
    if (with_companion)
        rd_file_write(meta_path, rd_buffer_slice(&left->meta));
    free(meta_path);
    struct outcome outcome = {.opened = RD_OK};
    struct rd_store *store = NULL;
    struct rd_io io = rd_io_system;
    io.fdatasync = no_sync;
    io.fsync = no_sync;
    outcome.opened = rd_store_open(place.path, &(struct rd_store_options){.io = &io}, &store, NULL);
    for (uint64_t number = 0; outcome.opened == RD_OK && number < KEYS; number++) {
        struct rd_value value;
        outcome.reads[number] = rd_store_read(store, key_number(number), &value);
        if (outcome.reads[number] == RD_OK)
            rd_value_release(&value);
    }
    if (outcome.opened == RD_OK) {
        struct rd_store_info info;
        rd_store_info(store, &info);
        outcome.state = info.state;
        outcome.tail = info.tail;
    }
    rd_store_close(store);
    place_remove(&place);
    return outcome;
}

/* With ones above it a loss comes to what it comes to without them; but for a last value that would be answered as
 * damaged, where nothing tells that it was not synced: it may be cut, and is kept aside. */
static bool is_alike(const struct outcome *with, const struct outcome *without)
{
    bool cut = false;
    for (uint64_t number = 0; number < KEYS; number++) {
        bool here = without->reads[number] == RD_CORRUPT && with->reads[number] == RD_KEY_NOT_FOUND;
        if (with->reads[number] != without->reads[number] && !here)
            return false;
        cut = cut || here;
    }
    return with->opened == without->opened && with->state == without->state &&
           (cut ? with->tail < without->tail : with->tail == without->tail);
}

/* Beside its companion a store loses nothing that was synced, serves nothing else, and goes on. */
static void check_recovered(const struct left *left, const struct outcome *outcome, uint64_t safe)
{
    assert_int_equal(outcome->opened, RD_OK);
    assert_int_equal(outcome->state, RD_STORE_OPEN);
    assert_true(outcome->tail >= left->synced);
    for (uint64_t number = 0; number < KEYS; number++)
        assert_true(outcome->reads[number] == RD_OK ||
                    (number >= safe && outcome->reads[number] == RD_KEY_NOT_FOUND));
}

static void check_loss(const struct left *left, uint64_t safe, uint64_t lost)
{
    for (int with_companion = 0; with_companion < 2; with_companion++) {
        struct outcome with = outcome_of(left, lost, true, with_companion != 0);
        struct outcome without = outcome_of(left, lost, false, with_companion != 0);
        if (!is_alike(&with, &without))
            fail_msg("pages %llx lost, companion %d: opens %d, state %d, tail %llu; without ones %d, %d, %llu",
                     (unsigned long long)lost, with_companion, (int)with.opened, (int)with.state,
                     (unsigned long long)with.tail, (int)without.opened, (int)without.state,
                     (unsigned long long)without.tail);
        if (with_companion != 0)
            check_recovered(left, &with, safe);
    }
}

static void check_losses(uint64_t safe, bool long_values)
{
    struct left left = leave_group(safe, long_values);
    uint64_t all = (UINT64_C(1) << (left.file.len + PAGE_LEN - 1) / PAGE_LEN) - 1;
    uint64_t of_group = (UINT64_C(1) << (left.tail + PAGE_LEN - 1) / PAGE_LEN) - 1;
    check_loss(&left, safe, 0);
    check_loss(&left, safe, of_group);
    check_loss(&left, safe, all);
    for (uint64_t page = 0; page < REGION_LEN / PAGE_LEN; page++) {
        check_loss(&left, safe, UINT64_C(1) << page);
        check_loss(&left, safe, all & ~(UINT64_C(1) << page));
        check_loss(&left, safe, of_group & ~(UINT64_C(1) << page));
    }
    for (unsigned i = 0; i < LOSSES; i++)
        check_loss(&left, safe, random_next() & (i % 2 == 0 ? all : of_group));
    left_deinit(&left);
}

static void a_lost_group_is_lost_alike_with_ones_above_it(void **state)
{
    (void)state;
    random_begin();
    check_losses(SAFE, false);
    check_losses(SAFE, true);
}

/* Then there is no entry in the file at all, and where its companion is missing nothing tells that it is a store.
 */
static void a_first_group_that_is_lost_leaves_an_empty_store(void **state)
{
    (void)state;
    random_begin();
    check_losses(0, false);
    check_losses(0, true);
}

/* ---- what memory keeps past a failed sync ---- */

/* A file as the kernel has it in memory, and what stays of that where it is told to forget. */
struct memory {
    const char *path;
    uint64_t durable;
    unsigned asked;
    bool stayed; /* something at the durable tail, or above it */
};

static bool any_in_memory(const char *path, uint64_t from)
{
    size_t len = (size_t)size_of(path);
    unsigned char pages[PAGES_MAX] = {0};
    assert_true(len > from && len <= sizeof pages * PAGE_LEN);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *map = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(map, MAP_FAILED);
    assert_int_equal(mincore(map, len, pages), 0);
    munmap(map, len);
    close(fd);
    bool any = false;
    for (uint64_t page = from / PAGE_LEN; page * PAGE_LEN < len; page++)
        any = any || (pages[page] & 1) != 0;
    return any;
}

/* Again for a while, since the kernel leaves what somebody else looks at in that moment. */
static int watched_drop(void *self, int fd, off_t offset, off_t len)
{
    struct memory *memory = self;
    uint64_t began = now_ms();
    memory->asked++;
    do {
        assert_int_equal(rd_io_system.drop_cache(NULL, fd, offset, len), 0);
        memory->stayed = any_in_memory(memory->path, memory->durable);
    } while (memory->stayed && now_ms() - began < 5000);
    return 0;
}

/* On the disk that holds this program, since a temporary folder may be memory itself. */
static struct place place_on_disk(void)
{
    char folder[4096];
    ssize_t len = readlink("/proc/self/exe", folder, sizeof folder - 32);
    assert_true(len > 0);
    folder[len] = '\0';
    strcpy(strrchr(folder, '/'), "/extension-XXXXXX");
    assert_non_null(mkdtemp(folder));
    struct place place = {.folder = strdup(folder)};
    place.path = rd_path(place.folder, "store.rdr");
    return place;
}

static void write_synced(const char *path, struct rd_slice bytes)
{
    rd_file_write(path, bytes);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(fsync(fd), 0);
    close(fd);
}

/* A group may lie in one piece of memory with what was synced before it: in the region that was filled up. Where
 * its sync fails, the kernel takes it for written; it is gone with the next power cut. */
static void what_was_not_synced_is_read_anew(void **state)
{
    (void)state;
    struct left left = leave_group(SAFE, false);
    struct place place = place_on_disk();
    char *meta_path = rd_path(place.folder, "store.rdr.meta");
    write_synced(place.path, rd_buffer_slice(&left.file));
    write_synced(meta_path, rd_buffer_slice(&left.meta));
    struct memory memory = {.path = place.path, .durable = left.synced};
    struct rd_io io = rd_io_system;
    io.self = &memory;
    io.drop_cache = watched_drop;
    struct rd_store *store = store_open_with(place.path, (struct rd_store_options){.io = &io});
    assert_int_equal(memory.asked, 1);
    assert_false(memory.stayed);
    expect_group(store, SAFE + 1);
    rd_store_close(store);
    free(meta_path);
    left_deinit(&left);
    place_remove(&place);
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
        cmocka_unit_test(long_groups_do_not_earn_it),
        cmocka_unit_test(it_grows_with_use_to_a_megabyte),
        cmocka_unit_test(a_pause_ends_it),
        cmocka_unit_test(a_long_value_is_placed_ahead_of_the_tail_alone),
        cmocka_unit_test(a_group_that_is_not_synced_fills_up_its_region),
        cmocka_unit_test(a_single_write_does_not),
        cmocka_unit_test(a_pause_ends_what_was_filled_up),
        cmocka_unit_test(on_a_full_disk_nothing_is_filled_up),
        cmocka_unit_test(nothing_of_it_is_kept),
        cmocka_unit_test(a_torn_entry_before_it_is_cut),
        cmocka_unit_test(what_is_kept_aside_ends_where_it_begins),
        cmocka_unit_test(a_lost_group_is_lost_alike_with_ones_above_it),
        cmocka_unit_test(a_first_group_that_is_lost_leaves_an_empty_store),
        cmocka_unit_test(what_was_not_synced_is_read_anew),
        cmocka_unit_test(an_entry_that_ends_in_ones_is_whole),
        cmocka_unit_test(a_trailer_behind_ones_does_not_lie_over_a_border),
        cmocka_unit_test(a_full_disk_is_done_without),
        cmocka_unit_test(a_failure_to_extend_fails_no_write),
        cmocka_unit_test(a_failed_sync_cuts_it_off_as_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
