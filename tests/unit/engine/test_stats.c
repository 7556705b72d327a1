/* SPDX-License-Identifier: MIT
 *
 * What a store counts of its writer: groups, syncs, bytes, and what waits; of compactions, and of its opening.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "engine/store.h"
#include "tests/unit/engine/faults.h"

#define COUNT 16u

static struct rd_store_stats stats_of(struct rd_store *store)
{
    struct rd_store_stats stats;
    rd_store_stats(store, &stats);
    return stats;
}

static uint64_t count_of(const struct rd_distribution_copy *copy)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < RD_DISTRIBUTION_BUCKETS; i++)
        count += copy->counts[i];
    return count;
}

static void a_group_is_counted_with_its_operations_bytes_and_sync(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store =
        store_open_with(place.path, (struct rd_store_options){.create = true, .durability = RD_DURABILITY_SYNC});
    struct rd_store_stats before = stats_of(store);
    assert_int_equal(count_of(&before.group_operations) + count_of(&before.sync_ns) + before.appended_bytes, 0);
    put_text(store, "a", "one");
    put_text(store, "b", "two");
    struct rd_store_stats after = stats_of(store);
    assert_int_equal(count_of(&after.group_operations), 2);
    assert_int_equal(after.group_operations.counts[0], 2); /* of one operation each */
    assert_int_equal(after.group_operations.sum, 2);
    assert_int_equal(count_of(&after.sync_ns), 2);
    assert_true(after.sync_ns.sum > 0);
    assert_int_equal(after.appended_bytes, rd_store_file_size(store));
    assert_int_equal(after.queue_operations + after.queue_bytes, 0);
    assert_true(after.index_bytes > 0 && after.mapped_bytes >= after.appended_bytes);
    assert_int_equal(after.sync_failures, 0);
    rd_store_close(store);
    place_remove(&place);
}

/* Nothing is appended, so there is no group: neither for a condition that does not hold, nor for a missing key. */
static void what_appends_nothing_is_no_group(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    assert_int_equal(rd_store_delete(store, key_named("nobody"), NULL), RD_OK);
    struct rd_store_stats stats = stats_of(store);
    assert_int_equal(count_of(&stats.group_operations), 0);
    put_text(store, "a", "one");
    stats = stats_of(store);
    assert_int_equal(count_of(&stats.group_operations), 1);
    assert_int_equal(count_of(&stats.sync_ns), 0); /* durability none */
    rd_store_close(store);
    place_remove(&place);
}

/* The writer, which has its role taken away meanwhile, may have come for the first ones before the others. */
static void what_waits_shows_until_it_is_done(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    struct collector collector;
    collector_init(&collector);
    static struct rd_op ops[COUNT];
    static struct rd_entry entries[COUNT];
    pthread_mutex_lock(&store->writer.role);
    for (unsigned i = 0; i < COUNT; i++) {
        entries[i] =
            (struct rd_entry){.key = rd_key_of_hash(i + 1000), .payload = rd_slice_of_string("0123456789")};
        ops[i] =
            (struct rd_op){.kind = RD_OP_WRITE, .entries = &entries[i], .entry_count = 1, .sink = &collector.sink};
        assert_int_equal(rd_store_submit(store, &ops[i]), RD_OK);
    }
    rd_store_kick(store);
    struct rd_store_stats stats = stats_of(store);
    assert_int_equal(stats.queue_operations, COUNT);
    assert_true(stats.queue_bytes >= COUNT * 10);
    pthread_mutex_unlock(&store->writer.role);
    collector_wait(&collector, COUNT);
    stats = stats_of(store);
    assert_int_equal(stats.queue_operations + stats.queue_bytes, 0);
    assert_in_range(count_of(&stats.group_operations), 1, 2);
    assert_int_equal(stats.group_operations.sum, COUNT);
    collector_deinit(&collector);
    rd_store_close(store);
    place_remove(&place);
}

static void a_sync_that_fails_is_counted_as_such(void **state)
{
    (void)state;
    struct place place = place_create();
    struct faults *faults = faults_create();
    struct rd_store *store = open_faulty(faults, place.path, RD_DURABILITY_SYNC, 0);
    put_text(store, "kept", "value");
    faults_set(faults, CALL_FDATASYNC, 0, 1, EIO);
    assert_int_equal(rd_store_write(store, key_named("lost"), rd_slice_of_string("value"), NULL), RD_IO_ERROR);
    struct rd_store_stats stats = stats_of(store);
    assert_int_equal(stats.sync_failures, 1);
    assert_int_equal(count_of(&stats.group_operations), 1); /* the one that landed */
    rd_store_close(store);
    faults_destroy(faults);
    place_remove(&place);
}

/* Replaced values are what a compaction takes away; one that is given up, or finds no room, has failed. */
static void compactions_are_counted_by_what_came_of_them(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    for (unsigned i = 0; i < COUNT; i++)
        put_text(store, "a", "value");
    struct rd_store_stats stats = stats_of(store);
    assert_int_equal(stats.compactions_done + stats.compactions_failed + stats.last_compaction_ns, 0);

    struct rd_compaction *compaction;
    struct rd_store_info info;
    assert_int_equal(rd_compaction_begin(store, &compaction, NULL), RD_OK);
    rd_store_info(store, &info);
    assert_true(info.compacting);
    rd_compaction_end(compaction);
    rd_store_info(store, &info);
    assert_false(info.compacting);
    stats = stats_of(store);
    assert_int_equal(stats.compactions_done, 0);
    assert_int_equal(stats.compactions_failed, 1);
    assert_int_equal(stats.compaction_saved_bytes + stats.last_compaction_ns, 0);

    struct rd_compacted result;
    assert_int_equal(rd_store_compact(store, &result, NULL), RD_OK);
    stats = stats_of(store);
    assert_int_equal(stats.compactions_done, 1);
    assert_int_equal(stats.compactions_failed, 1);
    assert_true(result.tail < result.tail_before);
    assert_int_equal(stats.compaction_saved_bytes, result.tail_before - result.tail);
    assert_int_equal(stats.last_compaction_pause_us, result.pause_us);
    assert_true(stats.last_compaction_ns >= 1000 * stats.last_compaction_pause_us);
    rd_store_close(store);
    place_remove(&place);
}

static void an_opening_tells_its_time_and_what_it_took_the_index_from(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    struct rd_store_stats stats = stats_of(store);
    assert_true(stats.opening_ns > 0 && stats.opening_ns < UINT64_C(3600000000000));
    assert_int_equal(stats.checkpoint_bytes, 0);
    for (unsigned i = 0; i < COUNT; i++)
        put_text(store, "a", "value");
    store->checkpoint_entries = COUNT;
    rd_store_close(store);
    char companion[4096];
    struct stat found;
    snprintf(companion, sizeof companion, "%s.index", place.path);
    assert_int_equal(stat(companion, &found), 0);
    store = store_open(place.path);
    stats = stats_of(store);
    assert_int_equal(stats.checkpoint_bytes, found.st_size);
    rd_store_close(store);
    assert_int_equal(unlink(companion), 0);
    store = store_open(place.path);
    stats = stats_of(store);
    assert_int_equal(stats.checkpoint_bytes, 0);
    rd_store_close(store);
    place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_is_counted_with_its_operations_bytes_and_sync),
        cmocka_unit_test(what_appends_nothing_is_no_group),
        cmocka_unit_test(what_waits_shows_until_it_is_done),
        cmocka_unit_test(a_sync_that_fails_is_counted_as_such),
        cmocka_unit_test(compactions_are_counted_by_what_came_of_them),
        cmocka_unit_test(an_opening_tells_its_time_and_what_it_took_the_index_from),
    };
    return cmocka_run_group_tests_name("stats", tests, NULL, NULL);
}
