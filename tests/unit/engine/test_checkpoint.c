/* SPDX-License-Identifier: MIT
 *
 * The companion that holds the index: what it holds, when it is believed, and what becomes of a store whose
 * checkpoint is stale, foreign or damaged.
 */
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/checkpoint.h"
#include "engine/digest.h"
#include "engine/record.h"
#include "tests/unit/engine/checkpoints.h"
#include "tests/unit/engine/faults.h"

/* ---- whether there is one ---- */

static void a_clean_stop_leaves_a_checkpoint_and_opening_follows_no_chain(void **state)
{
    (void)state;
    struct world world = world_create();
    make_checkpoint(&world);
    assert_false(follows_the_chain(&world));
    struct rd_store *store = store_open(world.place.path);
    check_world(&world, store);
    rd_store_close(store);
    remove(world.index_path);
    assert_true(follows_the_chain(&world));
    store = store_open(world.place.path);
    check_world(&world, store);
    rd_store_close(store);
    world_remove(&world);
}

/* ---- what is written when ---- */

static uint64_t inode_of(const char *path)
{
    struct stat found;
    assert_int_equal(stat(path, &found), 0);
    return found.st_ino;
}

static void it_is_written_where_it_is_worth_it(void **state)
{
    (void)state;
    struct world world = world_create();
    struct rd_store *store = store_open(world.place.path);
    write_keys(&world, store, 0, 1000);
    rd_store_close(store);
    assert_false(file_exists(world.index_path)); /* following a thousand entries takes no time */

    store = store_open(world.place.path);
    write_keys(&world, store, 0, KEY_COUNT);
    rd_store_close_by(store, 0);
    assert_false(file_exists(world.index_path)); /* no time for it */

    make_checkpoint(&world);
    uint64_t inode = inode_of(world.index_path);
    store = store_open(world.place.path);
    put_text(store, "one", "more");
    rd_store_close(store);
    assert_int_equal(inode_of(world.index_path), inode); /* a few entries above it cost less than a new one */
    assert_false(follows_the_chain(&world));
    assert_int_equal(rd_store_delete(store = store_open(world.place.path), key_named("one"), NULL), RD_OK);
    check_world(&world, store);
    write_keys(&world, store, 0, KEY_COUNT);
    rd_store_close(store);
    assert_int_not_equal(inode_of(world.index_path), inode);
    assert_false(follows_the_chain(&world));
    world_remove(&world);
}

/* Large values are few to a page: their number alone does not tell how long following them takes. */
static void it_is_written_for_few_but_long_values(void **state)
{
    (void)state;
    struct world world = world_create();
    struct rd_store *store = store_open(world.place.path);
    static uint8_t value[70000];
    for (uint64_t number = 0; number < 1100; number++)
        put(store, key_number(number), value, sizeof value);
    rd_store_close(store);
    assert_true(file_exists(world.index_path));
    world_remove(&world);
}

/* ---- sessions, and crashes above a checkpoint ---- */

/* As it would be found after the process was killed now. */
static struct place copy_of_now(const struct world *world)
{
    static const char *const names[] = {"store.rdr", "store.rdr.meta", "store.rdr.index"};
    return place_copy(&world->place, names, sizeof names / sizeof names[0]);
}

static void expect_same_figures(struct rd_store *one, struct rd_store *other)
{
    struct rd_store_info a;
    struct rd_store_info b;
    rd_store_info(one, &a);
    rd_store_info(other, &b);
    assert_int_equal(a.entries, b.entries);
    assert_int_equal(a.tail, b.tail);
    assert_int_equal(a.dead_bytes, b.dead_bytes);
    assert_int_equal(a.state, RD_STORE_OPEN);
    assert_int_equal(b.state, RD_STORE_OPEN);
}

static void expect_copy_shows_the_same(const struct world *world, struct rd_store *store, bool without_index)
{
    struct place copy = copy_of_now(world);
    char *index_path = rd_path(copy.folder, "store.rdr.index");
    if (without_index)
        remove(index_path);
    struct rd_store *copied = store_open(copy.path);
    check_world(world, copied);
    expect_same_figures(store, copied);
    rd_store_close(copied);
    free(index_path);
    place_remove(&copy);
}

static void sessions_and_crashes_show_what_was_written(void **state)
{
    (void)state;
    random_begin();
    struct world world = world_create();
    make_checkpoint(&world);
    for (int session = 0; session < (SLOW ? 3 : 8); session++) {
        struct rd_store *store = store_open(world.place.path);
        check_world(&world, store);
        for (int part = 0; part < 2; part++) {
            do_anything(&world, store, 1 + (unsigned)random_below(2000));
            if (random_below(3) == 0)
                write_keys(&world, store, random_below(KEY_COUNT), KEY_COUNT); /* makes the index grow */
            expect_copy_shows_the_same(&world, store, false);
        }
        expect_copy_shows_the_same(&world, store, true);
        rd_store_close(store);
    }
    world_remove(&world);
}

/* A crash tears what lies above the checkpoint, never what lies below. */
static void a_torn_end_above_it_is_cut(void **state)
{
    (void)state;
    struct world world = world_create();
    make_checkpoint(&world);
    struct rd_store *store = store_open(world.place.path);
    write_keys(&world, store, 5, 1);
    uint64_t kept = rd_store_file_size(store);
    put_text(store, "torn", "not all of this will be there");
    struct place copy = copy_of_now(&world);
    rd_store_close(store);
    struct rd_buffer bytes = rd_file_read(copy.path);
    rd_file_write(copy.path, rd_slice(bytes.data, bytes.len - 5));
    rd_buffer_deinit(&bytes);
    store = store_open(copy.path);
    assert_int_equal(rd_store_file_size(store), kept);
    check_world(&world, store);
    rd_store_close(store);
    place_remove(&copy);
    world_remove(&world);
}

/* ---- what is not believed ---- */

static void expect_ignored(const struct world *world, const char *what, uint64_t where)
{
    if (!follows_the_chain(world))
        fail_msg("%s at %llu: the checkpoint was believed", what, (unsigned long long)where);
    if (random_below(10) != 0)
        return;
    struct rd_store *store = store_open(world->place.path);
    check_world(world, store);
    rd_store_close_by(store, 0);
}

static void any_damage_has_it_ignored(void **state)
{
    (void)state;
    random_begin();
    struct world world = world_create();
    make_checkpoint(&world);
    struct rd_buffer bytes = rd_file_read(world.index_path);
    for (unsigned i = 0; i < (SLOW ? 40 : 160); i++) {
        uint64_t at = i < HEADER_LEN && !SLOW ? i : random_below(i % 3 == 0 ? HEADER_LEN + 64 : bytes.len);
        change_byte(world.index_path, at, (uint8_t)(1u << random_below(8)));
        expect_ignored(&world, "a changed bit", at);
        rd_file_write(world.index_path, rd_buffer_slice(&bytes));
    }
    for (unsigned i = 0; i < (SLOW ? 10 : 24); i++) {
        uint64_t len = i < 4 ? (uint64_t)i * 64 : i < 8 ? bytes.len - 1 - (i - 4) : random_below(bytes.len);
        rd_file_write(world.index_path, rd_slice(bytes.data, len));
        expect_ignored(&world, "cut", len);
    }
    rd_file_write(world.index_path, rd_buffer_slice(&bytes));
    int fd = open(world.index_path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
    expect_ignored(&world, "a byte more", bytes.len);
    rd_buffer_deinit(&bytes);
    world_remove(&world);
}

static void what_is_no_file_has_it_ignored(void **state)
{
    (void)state;
    struct world world = world_create();
    make_checkpoint(&world);
    char *aside = rd_path(world.place.folder, "aside");
    assert_int_equal(rename(world.index_path, aside), 0);
    assert_int_equal(symlink(aside, world.index_path), 0);
    expect_ignored(&world, "a symbolic link", 0);
    assert_int_equal(unlink(world.index_path), 0);
    assert_int_equal(mkfifo(world.index_path, 0600), 0);
    expect_ignored(&world, "a pipe", 0);
    assert_int_equal(unlink(world.index_path), 0);
    assert_int_equal(mkdir(world.index_path, 0700), 0);
    expect_ignored(&world, "a folder", 0);
    assert_int_equal(rmdir(world.index_path), 0);
    assert_int_equal(rename(aside, world.index_path), 0);
    assert_false(follows_the_chain(&world));
    free(aside);
    world_remove(&world);
}

static void copy_file(const char *from, const char *to)
{
    struct rd_buffer bytes = rd_file_read(from);
    rd_file_write(to, rd_buffer_slice(&bytes));
    rd_buffer_deinit(&bytes);
}

static void one_of_another_store_or_time_is_ignored(void **state)
{
    (void)state;
    random_begin();
    struct world world = world_create();
    struct world other = world_create();
    make_checkpoint(&world);
    make_checkpoint(&other); /* the same operations: only its generation tells it */
    copy_file(other.index_path, world.index_path);
    expect_ignored(&world, "another store's", 0);

    /* The file and its record go back in time, the checkpoint does not. */
    struct place before = copy_of_now(&other);
    struct rd_store *store = store_open(other.place.path);
    write_keys(&other, store, 0, KEY_COUNT);
    rd_store_close(store);
    char *index_before = rd_path(before.folder, "store.rdr.index");
    copy_file(other.index_path, index_before);
    struct world back = {
        .place = before, .index_path = index_before, .versions = world.versions, .link_end = other.link_end};
    expect_ignored(&back, "a later one", 0);
    place_remove(&before);
    free(index_before);
    world_remove(&other);
    world_remove(&world);
}

/* All with one value, in batches; the keys `swapped` and the one behind it in the wrong order. */
static void write_in_order(struct rd_store *store, uint64_t swapped)
{
    static struct rd_entry entries[BATCH];
    for (uint64_t first = 0; first < KEY_COUNT; first += BATCH) {
        for (uint64_t i = 0; i < BATCH; i++) {
            uint64_t number = first + i == swapped ? swapped + 1 : first + i == swapped + 1 ? swapped : first + i;
            entries[i] = (struct rd_entry){.key = key_number(number), .payload = rd_slice_of_string("a value")};
        }
        assert_int_equal(rd_store_batch_write(store, entries, BATCH, false, NULL), RD_OK);
    }
}

/* The file and its record go back in time, the checkpoint does not, and then the same is written anew, but for its
 * order: length, number of entries and last entry are what they were. */
static void one_that_was_left_behind_is_not_believed_later(void **state)
{
    (void)state;
    const uint64_t swapped = KEY_COUNT / 2 + 5;
    struct world world = world_create();
    struct rd_store *store = store_open(world.place.path);
    put_text(store, "first", "value");
    rd_store_close(store);
    struct place before = copy_of_now(&world);
    store = store_open(world.place.path);
    write_in_order(store, KEY_COUNT);
    rd_store_close(store);
    char *index_before = rd_path(before.folder, "store.rdr.index");
    copy_file(world.index_path, index_before);

    struct world back = {.place = before};
    store = store_open(before.path);
    write_in_order(store, swapped);
    struct place killed = copy_of_now(&back);
    rd_store_close(store);
    back.place = killed;
    store = store_open(killed.path); /* has all of it recorded */
    struct place again = copy_of_now(&back);
    rd_store_close(store);
    store = store_open(again.path);
    expect_text(store, "first", "value");
    for (uint64_t number = swapped; number < swapped + 2; number++)
        expect_bytes(store, key_number(number), "a value", 7);
    assert_int_equal(rd_store_len(store), KEY_COUNT + 1);
    rd_store_close(store);
    free(index_before);
    place_remove(&again);
    place_remove(&killed);
    place_remove(&before);
    world_remove(&world);
}

/* The file is another one, though it has the same length and last entry: both companions were left beside it. */
static void a_file_that_was_replaced_is_noticed(void **state)
{
    (void)state;
    random_begin();
    struct world world = world_create();
    make_checkpoint(&world);
    struct world other = world_create();
    struct rd_store *store = store_open(other.place.path);
    for (uint64_t first = 0; first < KEY_COUNT; first += BATCH)
        write_keys(&other, store, KEY_COUNT + first, BATCH);
    for (uint64_t number = 0; number < KEY_COUNT; number += 7)
        delete_key(&other, store, KEY_COUNT + number);
    rd_store_close(store);
    struct rd_buffer mine = rd_file_read(world.place.path);
    struct rd_buffer theirs = rd_file_read(other.place.path);
    assert_int_equal(mine.len, theirs.len);
    memcpy(theirs.data + theirs.len - RD_TOMBSTONE_LEN, mine.data + mine.len - RD_TOMBSTONE_LEN, RD_TOMBSTONE_LEN);
    rd_file_write(world.place.path, rd_buffer_slice(&theirs));
    rd_buffer_deinit(&mine);
    rd_buffer_deinit(&theirs);
    other.versions[KEY_COUNT + (KEY_COUNT - 1) / 7 * 7] = other.version; /* its tombstone is another key's now */
    store = store_open(world.place.path);
    struct rd_value value;
    assert_int_equal(rd_store_find(store, key_number(KEY_COUNT + 1), &value), RD_OK);
    rd_value_release(&value);
    rd_store_close(store);
    world_remove(&other);
    world_remove(&world);
}

/* ---- forged ones, whose checksums are right ---- */

static void seal(struct rd_buffer *bytes)
{
    uint64_t part_count = rd_load_u64le(bytes->data + 80);
    uint64_t table_len = (part_count * 2 + 63) / 64 * 64;
    if (part_count < bytes->len && HEADER_LEN + table_len < bytes->len) {
        const uint8_t *table = bytes->data + HEADER_LEN;
        uint64_t hash = rd_hash64(0, rd_slice(table, table_len));
        const uint8_t *at = table + table_len;
        for (uint64_t i = 0; i < part_count && table[2 * i + 1] < 30; i++) {
            uint64_t len = UINT64_C(8) << table[2 * i + 1];
            if (len > (uint64_t)(bytes->data + bytes->len - at))
                break;
            hash = rd_hash64(hash, rd_slice(at, len));
            at += len;
        }
        rd_store_u64le(bytes->data + 88, hash);
    }
    rd_store_u64le(bytes->data + 120, rd_hash64(0, rd_slice(bytes->data, 120)));
}

static void forge(struct rd_buffer *bytes)
{
    static const unsigned fields[] = {12, 24, 32, 56, 64, 72, 80};
    uint64_t table_len = rd_load_u64le(bytes->data + 80) * 2;
    uint8_t *slots = bytes->data + HEADER_LEN + (table_len + 63) / 64 * 64;
    uint64_t slot_count = (uint64_t)(bytes->data + bytes->len - slots) / 8;
    switch (random_below(4)) {
    case 0:
        rd_store_u64le(bytes->data + fields[random_below(7)], random_next() >> random_below(64));
        break;
    case 1:
        bytes->data[HEADER_LEN + random_below(table_len)] = (uint8_t)random_next();
        break;
    case 2: /* beyond the file */
        rd_store_u64le(slots + 8 * random_below(slot_count), random_next() | UINT64_C(1) << 47);
        break;
    default: /* no empty slot */
        for (uint64_t i = 0; i < slot_count; i++)
            if (rd_load_u64le(slots + 8 * i) == 0)
                rd_store_u64le(slots + 8 * i, UINT64_C(1) << 48);
    }
    seal(bytes);
}

/* What matters is that nothing is looked at where nothing is: sanitizers watch. */
static void a_forged_one_does_no_harm(void **state)
{
    (void)state;
    random_begin();
    struct world world = world_create();
    make_checkpoint(&world);
    struct rd_buffer bytes = rd_file_read(world.index_path);
    seal(&bytes);
    rd_file_write(world.index_path, rd_buffer_slice(&bytes));
    assert_false(follows_the_chain(&world)); /* sealing is what writing does */
    for (int round = 0; round < (SLOW ? 30 : 200); round++) {
        struct rd_buffer forged;
        rd_buffer_init(&forged, 0);
        rd_buffer_append_slice(&forged, rd_buffer_slice(&bytes));
        forge(&forged);
        rd_file_write(world.index_path, rd_buffer_slice(&forged));
        rd_buffer_deinit(&forged);
        struct rd_store *store = store_open(world.place.path);
        for (uint64_t number = 0; number < KEY_COUNT; number += 100) {
            struct rd_value value;
            if (rd_store_read(store, key_number(number), &value) == RD_OK)
                rd_value_release(&value);
        }
        rd_store_close_by(store, 0);
    }
    rd_buffer_deinit(&bytes);
    world_remove(&world);
}

/* Found by fuzzing: a directory of 2 GiB, for one segment. */
static void a_forged_depth_costs_no_memory(void **state)
{
    (void)state;
    struct world world = world_create();
    struct rusage before;
    struct rusage after;
    make_checkpoint(&world);
    struct rd_buffer bytes = rd_file_read(world.index_path);
    rd_store_u32le(bytes.data + 12, 28);
    memset(bytes.data + HEADER_LEN, 0, 2 * (size_t)rd_load_u64le(bytes.data + 80)); /* each takes all places */
    bytes.data[HEADER_LEN + 1] = 6;
    rd_store_u64le(bytes.data + 80, 1);
    seal(&bytes);
    rd_file_write(world.index_path, rd_buffer_slice(&bytes));
    assert_int_equal(getrusage(RUSAGE_SELF, &before), 0);
    struct rd_store *store = store_open(world.place.path);
    assert_int_equal(getrusage(RUSAGE_SELF, &after), 0);
    assert_true(after.ru_maxrss - before.ru_maxrss < 1 << 20); /* KiB */
    check_world(&world, store);
    rd_store_close(store);
    rd_buffer_deinit(&bytes);
    world_remove(&world);
}

/* Found by fuzzing: fewer slots than a segment has, or more than the file has bytes. */
static void a_forged_segment_is_not_believed(void **state)
{
    (void)state;
    static const uint8_t slot_bits[] = {0, 1, 5, 31, 32, 63, 64, 255};
    struct world world = world_create();
    make_checkpoint(&world);
    struct rd_buffer bytes = rd_file_read(world.index_path);
    for (size_t i = 0; i < sizeof slot_bits; i++) {
        bytes.data[HEADER_LEN + 1] = slot_bits[i];
        seal(&bytes);
        rd_file_write(world.index_path, rd_buffer_slice(&bytes));
        struct rd_store *store = store_open(world.place.path);
        check_world(&world, store);
        rd_store_close_by(store, 0);
    }
    rd_buffer_deinit(&bytes);
    world_remove(&world);
}

/* Its slots mean something else. */
static void one_of_another_version_is_ignored_and_replaced(void **state)
{
    (void)state;
    random_begin();
    struct world world = world_create();
    make_checkpoint(&world);
    struct rd_buffer bytes = rd_file_read(world.index_path);
    uint32_t version = rd_load_u32le(bytes.data + 8);
    for (uint32_t other = version - 1; other <= version + 1; other += 2) {
        rd_store_u32le(bytes.data + 8, other);
        seal(&bytes);
        rd_file_write(world.index_path, rd_buffer_slice(&bytes));
        expect_ignored(&world, "version", other);
    }
    uint64_t inode = inode_of(world.index_path);
    struct rd_store *store = store_open(world.place.path);
    check_world(&world, store);
    rd_store_close(store);
    assert_int_not_equal(inode_of(world.index_path), inode);
    assert_false(follows_the_chain(&world));
    rd_buffer_deinit(&bytes);
    world_remove(&world);
}

/* ---- failures while it is written or read ---- */

static void check_after_failure(struct world *world)
{
    char *new_path = rd_path(world->place.folder, "store.rdr.index.new");
    assert_false(file_exists(new_path));
    free(new_path);
    struct rd_store *store = store_open(world->place.path);
    check_world(world, store);
    rd_store_close_by(store, 0);
}

/* Each call that closing makes fails once; the store's own file and record have been written before. */
static void a_failure_to_write_it_costs_nothing_else(void **state)
{
    (void)state;
    static const enum call calls[] = {CALL_OPEN, CALL_PWRITEV, CALL_FDATASYNC, CALL_FSYNC};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        for (unsigned skip = 0; skip < 4; skip++) {
            struct world world = world_create();
            struct faults *faults = faults_create();
            faults->open_filter = ".index";
            struct rd_store *store = open_faulty(faults, world.place.path, RD_DURABILITY_NONE, 0);
            write_keys(&world, store, 0, KEY_COUNT);
            /* The record of the clean stop syncs twice, and the file once. */
            unsigned before = calls[i] == CALL_FSYNC ? 2 : calls[i] == CALL_OPEN ? 0 : 1;
            faults_set(faults, calls[i], before + skip, 1, ENOSPC);
            rd_store_close(store);
            check_after_failure(&world);
            faults_destroy(faults);
            world_remove(&world);
        }
    }
}

static void one_that_takes_too_long_is_given_up(void **state)
{
    (void)state;
    struct world world = world_create();
    static struct rd_epoch epoch;
    struct rd_index index;
    struct rd_checkpoint checkpoint = {.generation = 1, .tail = 21, .entry_count = 1};
    rd_epoch_init(&epoch);
    assert_int_equal(rd_index_init(&index, &epoch, KEY_COUNT), RD_OK);
    assert_int_equal(rd_checkpoint_write(&rd_io_system, world.place.path, &checkpoint, &index, 0), ETIME);
    assert_false(file_exists(world.index_path));
    assert_int_equal(rd_checkpoint_write(&rd_io_system, world.place.path, &checkpoint, &index, UINT64_MAX), 0);
    uint64_t inode = inode_of(world.index_path);
    assert_int_equal(rd_checkpoint_write(&rd_io_system, world.place.path, &checkpoint, &index, 0), ETIME);
    assert_int_equal(inode_of(world.index_path), inode);
    rd_index_deinit(&index);
    rd_epoch_deinit(&epoch);
    world_remove(&world);
}

static void one_that_cannot_be_opened_is_done_without(void **state)
{
    (void)state;
    struct world world = world_create();
    make_checkpoint(&world);
    struct faults *faults = faults_create();
    faults->open_filter = ".index";
    faults_set(faults, CALL_OPEN, 0, FOR_EVER, EMFILE);
    struct rd_store *store = open_faulty(faults, world.place.path, RD_DURABILITY_NONE, 0);
    check_world(&world, store);
    rd_store_close(store);
    faults_destroy(faults);
    assert_false(follows_the_chain(&world)); /* the old one is still good */
    world_remove(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clean_stop_leaves_a_checkpoint_and_opening_follows_no_chain),
        cmocka_unit_test(it_is_written_where_it_is_worth_it),
        cmocka_unit_test(it_is_written_for_few_but_long_values),
        cmocka_unit_test(sessions_and_crashes_show_what_was_written),
        cmocka_unit_test(a_torn_end_above_it_is_cut),
        cmocka_unit_test(any_damage_has_it_ignored),
        cmocka_unit_test(what_is_no_file_has_it_ignored),
        cmocka_unit_test(one_of_another_store_or_time_is_ignored),
        cmocka_unit_test(one_that_was_left_behind_is_not_believed_later),
        cmocka_unit_test(a_file_that_was_replaced_is_noticed),
        cmocka_unit_test(a_forged_one_does_no_harm),
        cmocka_unit_test(a_forged_depth_costs_no_memory),
        cmocka_unit_test(a_forged_segment_is_not_believed),
        cmocka_unit_test(one_of_another_version_is_ignored_and_replaced),
        cmocka_unit_test(a_failure_to_write_it_costs_nothing_else),
        cmocka_unit_test(one_that_takes_too_long_is_given_up),
        cmocka_unit_test(one_that_cannot_be_opened_is_done_without),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
