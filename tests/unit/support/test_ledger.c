/* SPDX-License-Identifier: MIT
 *
 * test_ledger.c - what the judge of crashes lets pass and what it does not: each rule broken once. And the stamps
 * that values carry.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/ledger.h"
#include "tests/support/stamp.h"

#define MS UINT64_C(1000000)

static const struct ledger_cut killed = {.power = false};
static const struct ledger_cut unplugged = {.power = true, .at_ns = 1000 * MS, .allowed_ns = 100 * MS};

static struct ledger ledger;
static struct ledger_outcome outcomes[LEDGER_STORE_COUNT_MAX];
static char text[512];

static int setup(void **state)
{
    (void)state;
    ledger_init(&ledger, 3, 4);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ledger_deinit(&ledger);
    return 0;
}

static bool settle(const struct ledger_cut *cut)
{
    text[0] = '\0';
    bool good = ledger_settle(&ledger, cut, outcomes, text, sizeof text);
    assert_true(good == (text[0] == '\0'));
    return good;
}

static void see(unsigned store, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    const uint64_t values[4] = {a, b, c, d};
    for (unsigned key = 0; key < 4; key++)
        ledger_saw(&ledger, store, key, values[key]);
}

static uint32_t write_one(unsigned store, unsigned key, uint64_t value)
{
    uint32_t deed = ledger_deed(&ledger, "write");
    ledger_effect(&ledger, deed, store, key, value);
    return deed;
}

static void answer(uint32_t deed, unsigned store, enum ledger_promise promise, uint64_t tail, uint64_t at_ms)
{
    ledger_answered(&ledger, deed, store, promise, tail, at_ms * MS);
}

/* Three writes of one key each, the first two answered. */
static void write_three(enum ledger_promise promise, uint64_t at_ms)
{
    answer(write_one(0, 0, 11), 0, promise, 100, at_ms);
    answer(write_one(0, 1, 12), 0, promise, 200, at_ms);
    (void)write_one(0, 2, 13);
}

static void test_what_was_answered_holds(void **state)
{
    (void)state;
    write_three(LEDGER_UNSYNCED, 1);
    assert_int_equal(ledger_now(&ledger, 0, 2), 13);
    see(0, 11, 12, 0, 0);
    assert_true(settle(&killed));
    assert_int_equal(outcomes[0].open_lost, 1);
    assert_int_equal(outcomes[0].open_kept, 0);
    assert_int_equal(outcomes[0].answered_lost, 0);
    assert_int_equal(outcomes[0].kept_tail_max, 200);
    assert_int_equal(ledger_now(&ledger, 0, 2), 0);
}

static void test_what_was_not_answered_may_hold(void **state)
{
    (void)state;
    write_three(LEDGER_UNSYNCED, 1);
    see(0, 11, 12, 13, 0);
    assert_true(settle(&killed));
    assert_int_equal(outcomes[0].open_kept, 1);
    /* And from now on it is known. */
    see(0, 11, 12, 0, 0);
    assert_false(settle(&killed));
}

static void test_an_answered_write_is_lost(void **state)
{
    (void)state;
    write_three(LEDGER_UNSYNCED, 1);
    see(0, 11, 0, 0, 0);
    assert_false(settle(&killed));
    assert_non_null(strstr(text, "of 3 operations 2 at least"));
}

static void test_out_of_order(void **state)
{
    (void)state;
    write_three(LEDGER_UNSYNCED, 1);
    (void)write_one(0, 3, 14);
    see(0, 11, 12, 0, 14);
    assert_false(settle(&killed));
}

static void test_a_value_that_was_overwritten(void **state)
{
    (void)state;
    answer(write_one(0, 0, 11), 0, LEDGER_SYNCED, 100, 1);
    answer(write_one(0, 0, 12), 0, LEDGER_SYNCED, 200, 1);
    see(0, 11, 0, 0, 0);
    assert_false(settle(&killed));
    see(0, 99, 0, 0, 0);
    assert_false(settle(&killed));
    see(0, 12, 0, 0, 0);
    assert_true(settle(&killed));
}

static void test_half_a_batch(void **state)
{
    (void)state;
    uint32_t batch = ledger_deed(&ledger, "batch_write");
    ledger_effect(&ledger, batch, 0, 0, 11);
    ledger_effect(&ledger, batch, 0, 1, 12);
    see(0, 11, 0, 0, 0);
    assert_false(settle(&killed));
    see(0, 0, 12, 0, 0);
    assert_false(settle(&unplugged));
    see(0, 0, 0, 0, 0);
    assert_true(settle(&killed));
}

static void test_half_a_rename(void **state)
{
    (void)state;
    answer(write_one(0, 0, 11), 0, LEDGER_SYNCED, 100, 1);
    uint32_t deed = ledger_deed(&ledger, "rename");
    ledger_effect(&ledger, deed, 0, 0, 0);
    ledger_effect(&ledger, deed, 0, 1, 11);
    see(0, 11, 11, 0, 0);
    assert_false(settle(&killed));
    see(0, 0, 0, 0, 0);
    assert_false(settle(&killed));
    see(0, 0, 11, 0, 0);
    assert_true(settle(&killed));
}

static void test_the_plug_and_the_promises(void **state)
{
    (void)state;
    write_three(LEDGER_SYNCED, 999);
    see(0, 11, 0, 0, 0);
    assert_false(settle(&unplugged));
    see(0, 11, 12, 0, 0);
    assert_true(settle(&unplugged));
    answer(write_one(0, 0, 14), 0, LEDGER_SYNCED, 300, 1000);
    see(0, 11, 12, 0, 0);
    assert_true(settle(&unplugged)); /* answered too late to be held to it */

    answer(write_one(1, 0, 21), 1, LEDGER_TIMED, 100, 850);
    answer(write_one(1, 1, 22), 1, LEDGER_TIMED, 200, 950);
    answer(write_one(1, 2, 23), 1, LEDGER_TIMED, 300, 960);
    see(1, 0, 0, 0, 0);
    assert_false(settle(&unplugged)); /* 150 ms old */
    see(1, 21, 0, 0, 0);
    assert_true(settle(&unplugged));
    assert_int_equal(outcomes[1].answered_lost, 2);
    assert_int_equal(outcomes[1].lost_first_ns, 950 * MS);
    assert_int_equal(outcomes[1].lost_last_ns, 960 * MS);
    assert_int_equal(outcomes[1].lost_tail_min, 200);
    assert_int_equal(outcomes[1].kept_tail_max, 100);

    answer(write_one(2, 0, 31), 2, LEDGER_UNSYNCED, 100, 1);
    answer(write_one(2, 1, 32), 2, LEDGER_UNSYNCED, 200, 1);
    see(2, 0, 32, 0, 0);
    assert_false(settle(&unplugged)); /* lost they may be, but not out of order */
    see(2, 0, 0, 0, 0);
    assert_true(settle(&unplugged));
    assert_int_equal(outcomes[2].answered_lost, 2);
}

static void test_what_is_synced_takes_along_what_was_before_it(void **state)
{
    (void)state;
    answer(write_one(2, 0, 31), 2, LEDGER_UNSYNCED, 100, 1);
    answer(write_one(2, 1, 32), 2, LEDGER_SYNCED, 200, 1);
    see(2, 31, 0, 0, 0);
    assert_false(settle(&unplugged));
    see(2, 31, 32, 0, 0);
    assert_true(settle(&unplugged));
}

/* A value in store 0, and a transfer of it to store 1 that nobody answered. */
static void move_one(void)
{
    answer(write_one(0, 0, 11), 0, LEDGER_SYNCED, 100, 1);
    uint32_t deed = ledger_transfer(&ledger, "transfer", 0, 1);
    ledger_effect(&ledger, deed, 1, 0, 11);
    ledger_effect(&ledger, deed, 0, 0, 0);
}

static void test_a_value_that_moves_is_somewhere(void **state)
{
    (void)state;
    const struct ledger_cut *cuts[] = {&killed, &unplugged};
    for (int i = 0; i < 2; i++) {
        move_one();
        see(0, 0, 0, 0, 0);
        see(1, 0, 0, 0, 0);
        assert_false(settle(cuts[i]));
        see(0, 11, 0, 0, 0);
        see(1, 11, 0, 0, 0);
        assert_true(settle(cuts[i])); /* in both */
        teardown(NULL);
        setup(NULL);
    }
    move_one();
    see(1, 11, 0, 0, 0);
    assert_true(settle(&killed));
}

static void test_a_copy_waits_for_what_was_sent_before_it(void **state)
{
    (void)state;
    answer(write_one(0, 0, 11), 0, LEDGER_SYNCED, 100, 1);
    (void)write_one(2, 0, 31);
    uint32_t deed = ledger_copy(&ledger, "copy");
    ledger_effect(&ledger, deed, 1, 0, 11);
    (void)write_one(0, 1, 12);
    see(0, 11, 12, 0, 0); /* sent behind the copy, of which there is nothing */
    see(2, 31, 0, 0, 0);
    assert_false(settle(&killed));
    see(0, 11, 0, 0, 0);
    see(1, 11, 0, 0, 0); /* the copy, but not what was sent before it */
    see(2, 0, 0, 0, 0);
    assert_false(settle(&killed));
    assert_true(settle(&unplugged)); /* stores are synced one by one */
}

static void test_the_same_state_twice(void **state)
{
    (void)state;
    answer(write_one(0, 0, 11), 0, LEDGER_UNSYNCED, 100, 1);
    uint32_t deed = ledger_deed(&ledger, "delete");
    ledger_effect(&ledger, deed, 0, 0, 0);
    answer(deed, 0, LEDGER_UNSYNCED, 121, 1);
    see(0, 0, 0, 0, 0);
    assert_true(settle(&unplugged)); /* both lost or both kept: nothing is said of either */
    assert_int_equal(outcomes[0].kept_tail_max, 0);
    assert_true(outcomes[0].lost_tail_min == UINT64_MAX);
}

static void test_tails_that_do_not_grow(void **state)
{
    (void)state;
    answer(write_one(0, 0, 11), 0, LEDGER_SYNCED, 200, 1);
    answer(write_one(0, 1, 12), 0, LEDGER_SYNCED, 200, 1);
    see(0, 11, 12, 0, 0);
    assert_false(settle(&killed));
}

static void test_stamps(void **state)
{
    (void)state;
    static uint8_t bytes[1000];
    for (uint64_t number = 1; number <= 16; number++) {
        size_t len = number == 16 ? STAMP_LEN_MIN : sizeof bytes - (size_t)number;
        struct stamp stamp = {.number = number, .client = 3, .key = 7};
        struct stamp found;
        stamp_fill(&stamp, bytes, len);
        assert_true(stamp_read(bytes, len, &found));
        assert_int_equal(found.number, number);
        assert_int_equal(found.client, 3);
        assert_int_equal(found.key, 7);
        assert_false(stamp_read(bytes, len - 1, &found));
        for (size_t at = 0; at < len; at += 1 + len / 50) {
            bytes[at] ^= 0x10;
            assert_false(stamp_read(bytes, len, &found));
            bytes[at] ^= 0x10;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_was_answered_holds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_was_not_answered_may_hold, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_answered_write_is_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(test_out_of_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_value_that_was_overwritten, setup, teardown),
        cmocka_unit_test_setup_teardown(test_half_a_batch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_half_a_rename, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_plug_and_the_promises, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_synced_takes_along_what_was_before_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_value_that_moves_is_somewhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_copy_waits_for_what_was_sent_before_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_same_state_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tails_that_do_not_grow, setup, teardown),
        cmocka_unit_test(test_stamps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
