/* SPDX-License-Identifier: MIT
 *
 * Quotas and barred writes, which the writer judges in queue order: to the byte and to the entry, alone and in
 * groups, with nothing left of what was refused. Durability that changes while the store is open. */
#include <stdio.h>

#include "engine/record.h"
#include "tests/unit/engine/fixture.h"

static struct rd_store *open_tuned(const char *path, const struct rd_store_tuning *tuning)
{
    struct rd_store_options options = {.create = true, .durability = RD_DURABILITY_NONE};
    struct rd_store *store = NULL;
    assert_int_equal(rd_store_open(path, &options, &store, NULL), RD_OK);
    rd_store_tune(store, tuning);
    return store;
}

static struct rd_key key_of(unsigned number)
{
    return rd_key_of_hash(0x1000 + number);
}

static enum rd_status try_put(struct rd_store *store, unsigned number, size_t len)
{
    static uint8_t bytes[1 << 20];
    memset(bytes, 'v', sizeof bytes);
    return rd_store_write(store, key_of(number), rd_slice(bytes, len), NULL);
}

static void test_bytes_to_the_last_one(void **state)
{
    (void)state;
    struct place place = place_create();
    /* 64 bytes of payload begin at 0 and at 128: 64 + 20, pad, 64 + 20. */
    uint64_t two = 128 + 64 + RD_TRAILER_LEN;
    struct rd_store *store = open_tuned(place.path, &(struct rd_store_tuning){.quota_bytes = two});
    assert_int_equal(try_put(store, 1, 64), RD_OK);
    assert_int_equal(try_put(store, 2, 65), RD_NO_SPACE);
    assert_int_equal(rd_store_bars(store, 65), RD_BAR_NONE); /* it counts the payload alone */
    assert_int_equal(try_put(store, 2, 64), RD_OK);
    assert_int_equal(rd_store_file_size(store), two);
    assert_int_equal(try_put(store, 1, 1), RD_NO_SPACE); /* also over a key that is there */
    assert_int_equal(rd_store_bars(store, 1), RD_BAR_BYTES);
    assert_int_equal(rd_store_rename(store, key_of(1), key_of(3), NULL), RD_NO_SPACE);
    assert_int_equal(rd_store_file_size(store), two);

    /* Tombstones have a reserve of their own. */
    struct rd_written written;
    assert_int_equal(rd_store_delete(store, key_of(1), &written), RD_OK);
    assert_int_equal(written.count, 1);
    assert_int_equal(try_put(store, 1, 1), RD_NO_SPACE);
    struct rd_store_info info;
    rd_store_info(store, &info);
    assert_int_equal(info.quota_bytes, two);
    assert_int_equal(info.state, RD_STORE_OPEN);
    rd_store_tune(store, &(struct rd_store_tuning){.quota_bytes = 0});
    assert_int_equal(try_put(store, 1, 1), RD_OK);
    rd_store_close(store);
    place_remove(&place);
}

static void test_the_reserve_of_deletes_ends(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = open_tuned(place.path, &(struct rd_store_tuning){.quota_bytes = 0});
    assert_int_equal(try_put(store, 1, 100), RD_OK);
    assert_int_equal(try_put(store, 2, RD_QUOTA_RESERVE), RD_OK);
    rd_store_tune(store, &(struct rd_store_tuning){.quota_bytes = 100});
    assert_int_equal(rd_store_delete(store, key_of(1), NULL), RD_NO_SPACE);
    assert_int_equal(rd_store_delete(store, key_of(3), NULL), RD_OK); /* which is not there: nothing is written */
    assert_true(rd_store_exists(store, key_of(1)));
    rd_store_close(store);
    place_remove(&place);
}

static void test_entries_to_the_last_one(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = open_tuned(place.path, &(struct rd_store_tuning){.quota_entries = 3});
    struct rd_slice value = rd_slice_of_string("v");
    struct rd_entry four[4];
    for (unsigned i = 0; i < 4; i++)
        four[i] = (struct rd_entry){.key = key_of(i), .payload = value};
    assert_int_equal(rd_store_batch_write(store, four, 4, false, NULL), RD_NO_SPACE);
    assert_int_equal(rd_store_len(store), 0);
    assert_int_equal(rd_store_file_size(store), 0);
    assert_int_equal(rd_store_batch_write(store, four, 3, false, NULL), RD_OK);
    assert_int_equal(try_put(store, 9, 1), RD_NO_SPACE);
    assert_int_equal(try_put(store, 2, 7), RD_OK);
    assert_int_equal(rd_store_rename(store, key_of(2), key_of(8), NULL), RD_OK);
    assert_int_equal(rd_store_delete(store, key_of(0), NULL), RD_OK);
    assert_int_equal(try_put(store, 9, 1), RD_OK);
    assert_int_equal(try_put(store, 10, 1), RD_NO_SPACE);

    /* One that has too many already may have fewer, and the same. */
    rd_store_tune(store, &(struct rd_store_tuning){.quota_entries = 1});
    assert_int_equal(try_put(store, 9, 2), RD_OK);
    assert_int_equal(rd_store_delete(store, key_of(9), NULL), RD_OK);
    assert_int_equal(try_put(store, 9, 2), RD_NO_SPACE);
    rd_store_close(store);
    place_remove(&place);
}

/* ---- groups ----------------------------------------------------------------------------------------------- */

#define OPS 64

static void run_all(struct rd_store *store, struct rd_op *ops, unsigned count)
{
    struct collector collector;
    collector_init(&collector);
    for (unsigned i = 0; i < count; i++) {
        ops[i].sink = &collector.sink;
        assert_int_equal(rd_store_submit(store, &ops[i]), RD_OK);
    }
    rd_store_kick(store);
    collector_wait(&collector, count);
    collector_deinit(&collector);
}

/* Of a group, in queue order: what is refused leaves no trace for those behind it, which replace, delete, look. */
static void test_a_group_is_judged_in_order(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = open_tuned(place.path, &(struct rd_store_tuning){.quota_entries = 2});
    struct rd_slice value = rd_slice_of_string("value");
    static const struct {
        enum rd_op_kind kind;
        unsigned key;
        enum rd_condition_kind condition;
        enum rd_status status;
        uint64_t count;
    } rows[] = {
        {RD_OP_WRITE, 1, RD_IF_ANYTHING, RD_OK, 1},
        {RD_OP_WRITE, 2, RD_IF_ANYTHING, RD_OK, 1},
        {RD_OP_WRITE, 3, RD_IF_ANYTHING, RD_NO_SPACE, 0},
        {RD_OP_DELETE, 3, RD_IF_ANYTHING, RD_OK, 0},
        {RD_OP_WRITE, 3, RD_IF_PRESENT, RD_PRECONDITION_FAILED, 0},
        {RD_OP_WRITE, 2, RD_IF_PRESENT, RD_OK, 1},
        {RD_OP_DELETE, 1, RD_IF_PRESENT, RD_OK, 1},
        {RD_OP_WRITE, 3, RD_IF_ABSENT, RD_OK, 1},
        {RD_OP_WRITE, 1, RD_IF_ABSENT, RD_NO_SPACE, 0},
        {RD_OP_WRITE, 3, RD_IF_PRESENT, RD_OK, 1},
        {RD_OP_DELETE, 2, RD_IF_ANYTHING, RD_OK, 1},
        {RD_OP_WRITE, 2, RD_IF_ANYTHING, RD_OK, 1},
        {RD_OP_WRITE, 4, RD_IF_ANYTHING, RD_NO_SPACE, 0},
    };
    enum { COUNT = sizeof rows / sizeof rows[0] };
    struct rd_entry entries[COUNT];
    struct rd_op ops[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        entries[i] = (struct rd_entry){.key = key_of(rows[i].key), .payload = value};
        ops[i] = (struct rd_op){
            .kind = rows[i].kind, .entries = &entries[i], .entry_count = 1, .condition.kind = rows[i].condition};
    }
    run_all(store, ops, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        if (ops[i].status != rows[i].status || ops[i].count != rows[i].count)
            fail_msg("operation %u: %s, %u", i, rd_status_name(ops[i].status), (unsigned)ops[i].count);
        assert_int_equal(ops[i].bar, rows[i].status == RD_NO_SPACE ? RD_BAR_ENTRIES : RD_BAR_NONE);
    }
    assert_int_equal(rd_store_len(store), 2);
    rd_store_close(store);

    /* And the file holds no more than that. */
    store = open_tuned(place.path, &(struct rd_store_tuning){.quota_entries = 2});
    assert_int_equal(rd_store_len(store), 2);
    assert_true(rd_store_exists(store, key_of(2)) && rd_store_exists(store, key_of(3)));
    rd_store_close(store);
    place_remove(&place);
}

/* What many threads may do at once: never one byte more. */
static void test_random_groups_stay_within(void **state)
{
    (void)state;
    struct place place = place_create();
    random_begin();
    uint64_t quota_bytes = 40000;
    uint64_t quota_entries = 20;
    struct rd_store *store = open_tuned(
        place.path, &(struct rd_store_tuning){.quota_bytes = quota_bytes, .quota_entries = quota_entries});
    static uint8_t bytes[600];
    memset(bytes, 'v', sizeof bytes);
    unsigned refused = 0;
    bool live[64] = {false};
    for (unsigned round = 0; round < 40; round++) {
        struct rd_entry entries[OPS];
        struct rd_op ops[OPS];
        for (unsigned i = 0; i < OPS; i++) {
            unsigned pick = (unsigned)random_below(1u << 30);
            entries[i] = (struct rd_entry){.key = key_of(pick % 64), .payload = rd_slice(bytes, 1 + pick % 600)};
            ops[i] = (struct rd_op){.kind = (pick >> 10) % 3 == 0 ? RD_OP_DELETE : RD_OP_WRITE,
                                    .entries = &entries[i],
                                    .entry_count = 1,
                                    .context = &live[pick % 64]};
        }
        run_all(store, ops, OPS);
        uint64_t count = 0;
        for (unsigned i = 0; i < OPS; i++) {
            bool *is_live = ops[i].context;
            refused += ops[i].status == RD_NO_SPACE;
            assert_true(ops[i].status == RD_OK || ops[i].status == RD_NO_SPACE);
            if (ops[i].kind == RD_OP_WRITE)
                assert_int_equal(ops[i].status == RD_OK && ops[i].replaced, ops[i].status == RD_OK && *is_live);
            if (ops[i].status == RD_OK)
                *is_live = ops[i].kind == RD_OP_WRITE;
            if (ops[i].kind == RD_OP_WRITE && ops[i].status == RD_OK)
                assert_true(ops[i].tail <= quota_bytes);
        }
        for (unsigned i = 0; i < 64; i++) {
            count += live[i];
            assert_int_equal(rd_store_exists(store, key_of(i)), live[i]);
        }
        assert_int_equal(rd_store_len(store), count);
        assert_true(count <= quota_entries);
    }
    assert_true(refused > 100);
    rd_store_close(store);
    place_remove(&place);
}

/* ---- what else can be changed ----------------------------------------------------------------------------- */

static void test_barred_writes(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = open_tuned(place.path, &(struct rd_store_tuning){.quota_bytes = 0});
    assert_int_equal(try_put(store, 1, 10), RD_OK);
    rd_store_tune(store, &(struct rd_store_tuning){.writes_barred = true});
    assert_int_equal(try_put(store, 1, 10), RD_FORBIDDEN);
    assert_int_equal(rd_store_delete(store, key_of(1), NULL), RD_FORBIDDEN);
    assert_int_equal(rd_store_rename(store, key_of(1), key_of(2), NULL), RD_FORBIDDEN);
    assert_int_equal(rd_store_bars(store, 0), RD_BAR_WRITES);
    struct rd_op sync = {.kind = RD_OP_SYNC};
    assert_int_equal(rd_store_execute(store, &sync), RD_OK);
    struct rd_look look = {.key = key_of(1), .value_wanted = true};
    struct rd_op looking = {.kind = RD_OP_TRANSACTION, .looks = &look, .look_count = 1};
    assert_int_equal(rd_store_execute(store, &looking), RD_OK);
    assert_int_equal(look.value.payload.len, 10);
    rd_value_release(&look.value);
    struct rd_store_info info;
    rd_store_info(store, &info);
    assert_int_equal(info.state, RD_STORE_READ_ONLY);
    assert_string_equal(info.reason, "its settings take no writes");
    rd_store_tune(store, &(struct rd_store_tuning){.writes_barred = false});
    assert_int_equal(try_put(store, 1, 11), RD_OK);
    rd_store_close(store);
    place_remove(&place);
}

static void test_durability_changes(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = open_tuned(place.path, &(struct rd_store_tuning){.durability = RD_DURABILITY_NONE});
    static const struct rd_store_tuning rows[] = {
        {.durability = RD_DURABILITY_INTERVAL, .durability_interval_ms = 50},
        {.durability = RD_DURABILITY_SYNC},
        {.durability = RD_DURABILITY_NONE},
        {.durability = RD_DURABILITY_INTERVAL, .durability_interval_ms = 3600000},
        {.durability = RD_DURABILITY_DEFAULT},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        rd_store_tune(store, &rows[i]);
        struct rd_entry entry = {.key = key_of(i), .payload = rd_slice_of_string("v")};
        struct rd_op op = {.kind = RD_OP_WRITE, .entries = &entry, .entry_count = 1};
        assert_int_equal(rd_store_execute(store, &op), RD_OK);
        enum rd_durability wanted =
            rows[i].durability == RD_DURABILITY_DEFAULT ? RD_DURABILITY_SYNC : rows[i].durability;
        assert_int_equal(op.durability_applied, wanted);
        assert_int_equal(op.durability_interval_ms, rows[i].durability_interval_ms);
    }
    rd_store_close(store);
    place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_to_the_last_one),     cmocka_unit_test(test_the_reserve_of_deletes_ends),
        cmocka_unit_test(test_entries_to_the_last_one),   cmocka_unit_test(test_a_group_is_judged_in_order),
        cmocka_unit_test(test_random_groups_stay_within), cmocka_unit_test(test_barred_writes),
        cmocka_unit_test(test_durability_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
