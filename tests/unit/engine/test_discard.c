/* SPDX-License-Identifier: MIT
 *
 * Memory of what was replaced is given back: as mincore tells of the file's pages, and as the system calls do,
 * whose table here keeps account of what was asked for.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/store.h"
#include "tests/unit/engine/fixture.h"

enum {
    KEYS = 64,
    VALUE_LEN = 128 << 10, /* two regions */
    PATIENCE_MS = 20000,
};

#define ENTRY_LEN ((uint64_t)VALUE_LEN + 64) /* pad and trailer, between two values */

/* ---- what the disk and the kernel are asked ---- */

struct account {
    struct rd_io io;
    atomic_uint_fast64_t synced; /* bytes that the file had at the latest sync */
    atomic_uint_fast64_t lowest; /* that was dropped */
    atomic_uint drops;
    atomic_bool held; /* a drop waits */
    atomic_bool waiting;
};

static int counted_fdatasync(void *self, int fd)
{
    struct account *account = self;
    struct stat now;
    assert_int_equal(fstat(fd, &now), 0);
    int failed = rd_io_system.fdatasync(NULL, fd);
    atomic_store(&account->synced, (uint64_t)now.st_size);
    return failed;
}

static int counted_drop(void *self, int fd, off_t offset, off_t len)
{
    struct account *account = self;
    if (len == 0) /* an opening's */
        return 0;
    assert_true((uint64_t)(offset + len) <= atomic_load(&account->synced));
    if ((uint64_t)offset < atomic_load(&account->lowest))
        atomic_store(&account->lowest, (uint64_t)offset);
    atomic_fetch_add(&account->drops, 1);
    while (atomic_load(&account->held)) {
        atomic_store(&account->waiting, true);
        usleep(1000);
    }
    return rd_io_system.drop_cache(NULL, fd, offset, len);
}

/* ---- a store with values ---- */

struct scene {
    struct place place;
    struct account account;
    struct rd_store *store;
};

static void set_died_min(struct rd_store *store, uint64_t died_min)
{
    pthread_mutex_lock(&store->writer.role);
    store->discard.died_min = died_min;
    pthread_mutex_unlock(&store->writer.role);
}

static void scene_open(struct scene *scene, enum rd_durability durability)
{
    atomic_store(&scene->account.lowest, UINT64_MAX);
    atomic_store(&scene->account.drops, 0);
    scene->store = store_open_with(scene->place.path, (struct rd_store_options){.create = true,
                                                                                .durability = durability,
                                                                                .durability_interval_ms = 100,
                                                                                .io = &scene->account.io});
    set_died_min(scene->store, 1);
}

static struct scene *scene_begin(enum rd_durability durability)
{
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    scene->place = place_create();
    scene->account.io = rd_io_system;
    scene->account.io.self = &scene->account;
    scene->account.io.fdatasync = counted_fdatasync;
    scene->account.io.drop_cache = counted_drop;
    scene_open(scene, durability);
    return scene;
}

static void scene_end(struct scene *scene)
{
    rd_store_close(scene->store);
    place_remove(&scene->place);
    free(scene);
}

static struct rd_key key_number(unsigned number)
{
    char name[16];
    snprintf(name, sizeof name, "key %u", number);
    return rd_key_of_bytes(rd_slice_of_string(name));
}

static const uint8_t *value_of(unsigned number, unsigned version)
{
    static uint8_t value[VALUE_LEN];
    for (size_t i = 0; i < sizeof value; i++)
        value[i] = (uint8_t)(i * 7 + number * 31 + version * 101 + 1);
    return value;
}

static uint64_t put_number(struct scene *scene, unsigned number, unsigned version)
{
    return put(scene->store, key_number(number), value_of(number, version), VALUE_LEN).offset;
}

static void put_all(struct scene *scene, unsigned version)
{
    for (unsigned number = 0; number < KEYS; number++)
        put_number(scene, number, version);
}

static void expect_all(struct scene *scene, unsigned first, unsigned behind, unsigned version)
{
    for (unsigned number = first; number < behind; number++)
        expect_bytes(scene->store, key_number(number), value_of(number, version), VALUE_LEN);
}

/* ---- what of the file is in memory ---- */

static uint64_t resident(const struct scene *scene, uint64_t begin, uint64_t end)
{
    size_t page_len = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char there[(KEYS * ENTRY_LEN) / 4096];
    int fd = open(scene->place.path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    void *map = mmap(NULL, end - begin, PROT_READ, MAP_SHARED, fd, (off_t)begin);
    close(fd);
    assert_ptr_not_equal(map, MAP_FAILED);
    size_t pages = (end - begin + page_len - 1) / page_len;
    assert_true(pages <= sizeof there);
    assert_int_equal(mincore(map, end - begin, there), 0);
    munmap(map, end - begin);
    uint64_t count = 0;
    for (size_t i = 0; i < pages; i++)
        count += there[i] & 1;
    return count * page_len;
}

/* Writes go on, so that the writer comes by. */
static void wait_until_gone(struct scene *scene, uint64_t begin, uint64_t end)
{
    uint64_t since_ms = now_ms();
    while (resident(scene, begin, end) != 0) {
        assert_true(now_ms() - since_ms < PATIENCE_MS);
        put_text(scene->store, "tick", "tock");
        usleep(1000);
    }
}

/* ---- tests ---- */

static void dead_regions_go_and_live_ones_stay(void **state)
{
    (void)state;
    struct scene *scene = scene_begin(RD_DURABILITY_SYNC);
    put_all(scene, 1);
    uint64_t end = KEYS * ENTRY_LEN;
    uint64_t border = KEYS / 2 * ENTRY_LEN / RD_REGION_LEN * RD_REGION_LEN; /* of whole dead regions below */
    assert_int_equal(resident(scene, 0, end), (end + 4095) / 4096 * 4096);
    for (unsigned number = 0; number < KEYS / 2; number++)
        put_number(scene, number, 2);
    wait_until_gone(scene, 0, border);
    uint64_t kept = end - border - RD_REGION_LEN;
    assert_int_equal(resident(scene, border + RD_REGION_LEN, border + RD_REGION_LEN + kept),
                     (kept + 4095) / 4096 * 4096);
    expect_all(scene, 0, KEYS / 2, 2);
    expect_all(scene, KEYS / 2, KEYS, 1);
    scene_end(scene);
}

static void a_value_that_is_held_can_still_be_read(void **state)
{
    (void)state;
    struct scene *scene = scene_begin(RD_DURABILITY_SYNC);
    put_all(scene, 1);
    struct rd_value value;
    assert_int_equal(rd_store_read(scene->store, key_number(3), &value), RD_OK);
    put_all(scene, 2);
    wait_until_gone(scene, 0, KEYS * ENTRY_LEN / RD_REGION_LEN * RD_REGION_LEN);
    assert_true(rd_slice_equal(value.payload, rd_slice(value_of(3, 1), VALUE_LEN)));
    assert_int_equal(rd_value_verify(&value), RD_OK);
    rd_value_release(&value);
    scene_end(scene);
}

/* For whoever must not wait for the disk. */
static void what_is_held_stays(void **state)
{
    (void)state;
    struct scene *scene = scene_begin(RD_DURABILITY_SYNC);
    put_all(scene, 1);
    struct rd_value value;
    assert_int_equal(rd_store_read(scene->store, key_number(0), &value), RD_OK);
    assert_true(rd_value_hold(&value, 0, VALUE_LEN));
    put_all(scene, 2);
    wait_until_gone(scene, RD_REGION_GROUP_LEN, KEYS * ENTRY_LEN / RD_REGION_LEN * RD_REGION_LEN);
    assert_int_equal(resident(scene, 0, RD_REGION_GROUP_LEN), RD_REGION_GROUP_LEN);
    assert_true(rd_value_is_in_memory(&value, 0, VALUE_LEN));
    rd_value_let_go(&value, 0, VALUE_LEN);
    put_number(scene, 0, 3); /* something has to die, or nobody looks */
    put_number(scene, 1, 3);
    wait_until_gone(scene, 0, RD_REGION_GROUP_LEN);
    rd_value_release(&value);
    scene_end(scene);
}

/* Batches of short values, fast, so that the file runs ahead of its tail (extension.h): the kernel makes folios as
 * long as what is written then, and gives back whole ones alone. One value lives in every 256 KiB of them. */
static void short_values_that_live_keep_little_of_what_is_dead(void **state)
{
    (void)state;
    enum { BATCH = 512, BATCHES = 96, BATCHES_EACH = 4 }; /* 64 KiB in the file, each */
    static uint8_t value[100];
    static struct rd_entry entries[BATCH];
    memset(value, 'v', sizeof value);
    struct scene *scene = scene_begin(RD_DURABILITY_NONE);
    bool extended = false;
    struct rd_store_info info;
    for (unsigned batch = 0; batch < BATCHES; batch++) {
        for (unsigned i = 0; i < BATCH; i++)
            entries[i] = (struct rd_entry){.key = key_number(i), .payload = rd_slice(value, sizeof value)};
        if (batch % BATCHES_EACH == 1)
            entries[7].key = key_number(BATCH + batch);
        assert_int_equal(rd_store_batch_write(scene->store, entries, BATCH, false, NULL), RD_OK);
        rd_store_info(scene->store, &info);
        extended = extended || info.file_size > info.tail;
    }
    assert_true(extended);
    uint64_t len = info.tail / RD_REGION_LEN * RD_REGION_LEN;
    assert_true(len <= KEYS * ENTRY_LEN);
    uint64_t since_ms = now_ms();
    while (resident(scene, 0, len) > len / 2) {
        assert_true(now_ms() - since_ms < PATIENCE_MS);
        put_number(scene, 0, 1);
        put_number(scene, 0, 2);
        struct rd_op op = {.kind = RD_OP_SYNC};
        assert_int_equal(rd_store_execute(scene->store, &op), RD_OK);
        usleep(10000);
    }
    scene_end(scene);
}

/* Who holds it meanwhile is told, and who does so later finds it gone. */
static void nothing_is_held_while_it_goes(void **state)
{
    (void)state;
    struct scene *scene = scene_begin(RD_DURABILITY_SYNC);
    struct rd_value value;
    put_number(scene, 0, 1);
    assert_int_equal(rd_store_read(scene->store, key_number(0), &value), RD_OK);
    assert_true(rd_value_hold(&value, 0, VALUE_LEN));
    assert_true(rd_value_is_in_memory(&value, 0, VALUE_LEN));
    rd_value_let_go(&value, 0, VALUE_LEN);
    atomic_store(&scene->account.held, true);
    put_number(scene, 0, 2);
    while (!atomic_load(&scene->account.waiting))
        usleep(1000);
    assert_false(rd_value_hold(&value, 0, VALUE_LEN));
    rd_value_let_go(&value, 0, VALUE_LEN);
    atomic_store(&scene->account.held, false);
    wait_until_gone(scene, 0, VALUE_LEN);
    while (!rd_value_hold(&value, 0, VALUE_LEN)) { /* the thread's last step */
        rd_value_let_go(&value, 0, VALUE_LEN);
        usleep(1000);
    }
    assert_false(rd_value_is_in_memory(&value, 0, VALUE_LEN));
    rd_value_let_go(&value, 0, VALUE_LEN);
    rd_value_release(&value);
    scene_end(scene);
}

/* As if the file had become longer than the map. */
static void grow_map(struct rd_store *store)
{
    pthread_mutex_lock(&store->writer.role);
    assert_int_equal(rd_store_map(store, rd_writer_mapping(store)->len + 1, NULL), RD_OK);
    pthread_mutex_unlock(&store->writer.role);
}

static bool is_under_way(struct rd_store *store)
{
    pthread_mutex_lock(&store->writer.role);
    bool under_way = store->discard.under_way;
    pthread_mutex_unlock(&store->writer.role);
    return under_way;
}

/* What was found in memory by a map that was replaced is there as long as something is read by that map. */
static void nothing_goes_while_an_earlier_map_is_read(void **state)
{
    (void)state;
    struct scene *scene = scene_begin(RD_DURABILITY_SYNC);
    put_all(scene, 1);
    struct rd_value value;
    assert_int_equal(rd_store_read(scene->store, key_number(3), &value), RD_OK);
    assert_true(rd_value_is_in_memory(&value, 0, VALUE_LEN));
    assert_true(rd_value_hold(&value, 0, VALUE_LEN));
    grow_map(scene->store);
    for (unsigned version = 2; version <= 3; version++) {
        put_all(scene, version);
        assert_false(is_under_way(scene->store));
    }
    assert_int_equal(atomic_load(&scene->account.drops), 0);
    assert_int_equal(resident(scene, 0, KEYS * ENTRY_LEN), KEYS * ENTRY_LEN);
    assert_true(rd_value_is_in_memory(&value, 0, VALUE_LEN));
    rd_value_let_go(&value, 0, VALUE_LEN);
    rd_value_release(&value);
    wait_until_gone(scene, 0, KEYS * ENTRY_LEN / RD_REGION_LEN * RD_REGION_LEN);
    expect_all(scene, 0, KEYS, 3);
    scene_end(scene);
}

/* Walks, compaction and recovery read dead entries, too. */
static void the_whole_file_can_still_be_read(void **state)
{
    (void)state;
    struct scene *scene = scene_begin(RD_DURABILITY_INTERVAL);
    for (unsigned version = 1; version <= 3; version++)
        put_all(scene, version);
    wait_until_gone(scene, 0, KEYS * ENTRY_LEN / RD_REGION_LEN * RD_REGION_LEN);
    assert_int_equal(rd_store_compact(scene->store, NULL, NULL), RD_OK);
    expect_all(scene, 0, KEYS, 3);
    atomic_store(&scene->account.lowest, UINT64_MAX);
    uint64_t tail = rd_store_file_size(scene->store);
    put_all(scene, 4);
    put_all(scene, 5);
    wait_until_gone(scene, (tail + ENTRY_LEN) / RD_REGION_LEN * RD_REGION_LEN + RD_REGION_LEN,
                    (tail + (KEYS - 2) * ENTRY_LEN) / RD_REGION_LEN * RD_REGION_LEN);
    assert_true(atomic_load(&scene->account.lowest) >= tail / RD_REGION_LEN * RD_REGION_LEN);
    expect_all(scene, 0, KEYS, 5);
    rd_store_close(scene->store);
    remove_companion(scene->place.path);
    scene_open(scene, RD_DURABILITY_SYNC);
    expect_all(scene, 0, KEYS, 5);
    scene_end(scene);
}

static void nothing_goes_before_it_is_synced(void **state)
{
    (void)state;
    struct scene *scene = scene_begin(RD_DURABILITY_NONE);
    put_all(scene, 1);
    put_all(scene, 2);
    put_all(scene, 3);
    assert_int_equal(atomic_load(&scene->account.drops), 0);
    struct rd_op op = {.kind = RD_OP_SYNC};
    assert_int_equal(run_async(scene->store, &op), RD_OK);
    wait_until_gone(scene, 0, 2 * KEYS * ENTRY_LEN / RD_REGION_LEN / 2 * RD_REGION_LEN);
    expect_all(scene, 0, KEYS, 3);
    scene_end(scene);
}

static void what_was_there_at_opening_stays(void **state)
{
    (void)state;
    struct scene *scene = scene_begin(RD_DURABILITY_SYNC);
    put_all(scene, 1);
    rd_store_close(scene->store);
    scene_open(scene, RD_DURABILITY_SYNC);
    uint64_t tail = rd_store_file_size(scene->store);
    put_all(scene, 2);
    put_all(scene, 3);
    uint64_t first = (tail + RD_REGION_LEN - 1) / RD_REGION_LEN * RD_REGION_LEN;
    wait_until_gone(scene, first, (tail + (KEYS - 1) * ENTRY_LEN) / RD_REGION_LEN * RD_REGION_LEN);
    assert_int_equal(atomic_load(&scene->account.lowest), first);
    scene_end(scene);
}

/* ---- counts of a store that does everything ---- */

#define COUNTED_ROUNDS (SLOW ? 400u : 1500u)
#define COUNTED_KEYS   40u
#define PLACED_LEN     ((size_t)300000)

static uint8_t counted_bytes[2 * PLACED_LEN];

static struct rd_slice random_value(void)
{
    size_t len = 2 + random_below(random_below(8) == 0 ? (uint64_t)3 * RD_REGION_LEN : 300);
    return rd_slice(counted_bytes + random_below(len), len);
}

static struct rd_key random_key(void)
{
    return key_number((unsigned)random_below(COUNTED_KEYS));
}

/* The same key may come twice. */
static void write_some(struct rd_store *store)
{
    struct rd_entry entries[8] = {{.crc32_known = false}};
    for (size_t i = 0; i < 8; i++) {
        entries[i].key = random_key();
        entries[i].payload = random_value();
    }
    assert_int_equal(rd_store_batch_write(store, entries, 8, false, NULL), RD_OK);
}

static int64_t give_bytes(void *context, uint8_t *to, size_t len_max)
{
    size_t *left = context;
    size_t len = *left < len_max ? *left : len_max;
    memset(to, 'x', len);
    *left -= len;
    return (int64_t)len;
}

/* Where something was placed ahead meanwhile, behind a filler. */
static void write_long(struct rd_store *store)
{
    size_t len = PLACED_LEN + random_below(PLACED_LEN);
    assert_int_equal(rd_store_write_stream(store, random_key(), give_bytes, &len, NULL), RD_OK);
}

static void move_one(struct rd_store *store, enum rd_op_kind kind)
{
    struct rd_entry entries[2] = {{.key = random_key()}, {.key = random_key()}};
    struct rd_op op = {.kind = kind, .entries = entries, .entry_count = 2};
    enum rd_status status = rd_store_execute(store, &op);
    assert_true(status == RD_OK || status == RD_KEY_NOT_FOUND || status == RD_CONFLICT);
}

static void do_something(struct rd_store *store)
{
    switch (random_below(8)) {
    case 0:
        assert_int_equal(rd_store_delete(store, random_key(), NULL), RD_OK);
        break;
    case 1:
        move_one(store, RD_OP_RENAME);
        break;
    case 2:
        move_one(store, RD_OP_COPY);
        break;
    case 3:
        write_some(store);
        break;
    case 4:
        if (random_below(8) == 0)
            write_long(store);
        break;
    default:
        assert_int_equal(rd_store_write(store, random_key(), random_value(), NULL), RD_OK);
        break;
    }
}

/* How many live entries touch each region. */
static uint16_t *count_live(struct rd_store *store, size_t region_count)
{
    uint16_t *live = calloc(region_count, sizeof *live);
    struct rd_cursor *cursor;
    struct rd_value value;
    assert_non_null(live);
    assert_int_equal(rd_cursor_open(store, 0, &cursor), RD_OK);
    while (rd_cursor_next(cursor, &value)) {
        uint64_t end = value.offset + value.payload.len + RD_TRAILER_LEN;
        for (uint64_t at = value.offset / RD_REGION_LEN; at * RD_REGION_LEN < end; at++)
            live[at]++;
    }
    assert_int_equal(rd_cursor_status(cursor), RD_OK);
    rd_cursor_close(cursor);
    return live;
}

/* Returns how many regions are counted. */
static size_t compare_counts(struct rd_store *store)
{
    const struct rd_regions *regions = &store->discard.regions;
    size_t region_count = (size_t)(rd_store_file_size(store) / RD_REGION_LEN) + 1;
    size_t counted = 0;
    uint16_t *live = count_live(store, region_count);
    pthread_mutex_lock(&store->writer.role);
    for (size_t i = 0; i < region_count && i / RD_REGIONS_PER_BLOCK < regions->block_count; i++) {
        const uint16_t *counts = regions->blocks[i / RD_REGIONS_PER_BLOCK].live;
        if (counts == NULL || counts[i % RD_REGIONS_PER_BLOCK] == UINT16_MAX)
            continue; /* it was there before */
        assert_int_equal(counts[i % RD_REGIONS_PER_BLOCK], live[i]);
        counted++;
    }
    pthread_mutex_unlock(&store->writer.role);
    free(live);
    return counted;
}

static void counts_are_those_of_what_lives(void **state)
{
    (void)state;
    random_begin();
    random_fill(counted_bytes, sizeof counted_bytes);
    struct scene *scene = scene_begin(RD_DURABILITY_NONE);
    set_died_min(scene->store, UINT64_MAX);
    pthread_mutex_lock(&scene->store->writer.role);
    scene->store->ahead.placed_len_min = PLACED_LEN;
    pthread_mutex_unlock(&scene->store->writer.role);
    for (unsigned round = 1; round <= COUNTED_ROUNDS; round++) {
        do_something(scene->store);
        if (round == COUNTED_ROUNDS / 2) {
            size_t counted = compare_counts(scene->store);
            print_message("    %zu regions are counted\n", counted);
            assert_true(counted > COUNTED_ROUNDS / 100);
            assert_int_equal(rd_store_compact(scene->store, NULL, NULL), RD_OK);
        } else if (round % (COUNTED_ROUNDS / 20) == 0) {
            (void)compare_counts(scene->store);
        }
    }
    /* A compacted file has few regions that were not there before. */
    assert_true(compare_counts(scene->store) > 0);
    scene_end(scene);
}

/* ---- closing ---- */

static void *close_store(void *context)
{
    rd_store_close(context);
    return NULL;
}

/* Has what died until now given back, and closes the store while the first run is. Returns how many runs there
 * were. */
static size_t close_meanwhile(struct scene *scene)
{
    set_died_min(scene->store, 1);
    atomic_store(&scene->account.held, true);
    put_text(scene->store, "tick", "tock");
    while (!atomic_load(&scene->account.waiting))
        usleep(1000);
    size_t run_count = scene->store->discard.run_count;
    pthread_t closer;
    assert_int_equal(pthread_create(&closer, NULL, close_store, scene->store), 0);
    while (!atomic_load(&scene->store->discard.stops))
        usleep(1000);
    atomic_store(&scene->account.held, false);
    assert_int_equal(pthread_join(closer, NULL), 0);
    return run_count;
}

/* What is left to be given back is the kernel's then. */
static void closing_waits_for_one_run_alone(void **state)
{
    (void)state;
    struct scene *scene = scene_begin(RD_DURABILITY_SYNC);
    set_died_min(scene->store, UINT64_MAX);
    put_all(scene, 1);
    for (unsigned number = 0; number < KEYS; number++)
        if (number % 8 >= 3) /* runs that are too far from each other to be taken out of the map at once */
            put_number(scene, number, 2);
    assert_int_equal(close_meanwhile(scene), KEYS / 8);
    assert_int_equal(atomic_load(&scene->account.drops), 1);
    scene_open(scene, RD_DURABILITY_SYNC);
    expect_all(scene, 0, 3, 1);
    expect_all(scene, 3, 8, 2);
    scene_end(scene);
}

/* However much died in a row. */
static void closing_waits_for_a_part_of_a_long_stretch(void **state)
{
    (void)state;
    struct scene *scene = scene_begin(RD_DURABILITY_SYNC);
    set_died_min(scene->store, UINT64_MAX);
    for (unsigned version = 1; version <= 8; version++)
        put_all(scene, version);
    size_t run_count = close_meanwhile(scene);
    assert_true(run_count * RD_REGION_GROUP_LEN > (uint64_t)48 << 20);
    assert_true(atomic_load(&scene->account.drops) * RD_REGION_GROUP_LEN <= (uint64_t)32 << 20);
    scene_open(scene, RD_DURABILITY_SYNC);
    expect_all(scene, 0, KEYS, 8);
    scene_end(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dead_regions_go_and_live_ones_stay),
        cmocka_unit_test(a_value_that_is_held_can_still_be_read),
        cmocka_unit_test(what_is_held_stays),
        cmocka_unit_test(short_values_that_live_keep_little_of_what_is_dead),
        cmocka_unit_test(nothing_is_held_while_it_goes),
        cmocka_unit_test(nothing_goes_while_an_earlier_map_is_read),
        cmocka_unit_test(the_whole_file_can_still_be_read),
        cmocka_unit_test(nothing_goes_before_it_is_synced),
        cmocka_unit_test(what_was_there_at_opening_stays),
        cmocka_unit_test(counts_are_those_of_what_lives),
        cmocka_unit_test(closing_waits_for_one_run_alone),
        cmocka_unit_test(closing_waits_for_a_part_of_a_long_stretch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
