/* SPDX-License-Identifier: MIT
 *
 * Runs of the load generator against a server that misbehaves (tests/support/fake.h): what is counted, and that
 * every run ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "clients/bench/load.h"
#include "tests/support/fake.h"

#define REQUEST_COUNT 100u

static struct rd_load_result result;

static enum rd_status run(enum fake_manner manner, struct rd_plan plan, struct rd_error *ret_error)
{
    struct fake_server fake = {.manner = manner};
    char server[32];
    plan.store = "default";
    plan.client_count = 1; /* the fake serves one connection after another */
    plan.key_count = 10;
    plan.batch_count = 1;
    fake_start(&fake);
    snprintf(server, sizeof server, "127.0.0.1:%d", fake.port);
    struct rd_endpoint endpoint = {.server = server};
    enum rd_status status = rd_load_run(&plan, &rd_dialect_binary, &endpoint, NULL, &result, ret_error);
    fake_stop(&fake);
    return status;
}

static struct rd_plan plan_of(uint32_t depth)
{
    return (struct rd_plan){
        .op = RD_PLAN_GET, .depth = depth, .value_len = sizeof "of the fake" - 1, .request_max = REQUEST_COUNT};
}

static void counts_what_a_good_server_answers(void **state)
{
    (void)state;
    struct rd_error error;
    for (uint32_t depth = 1; depth <= 64; depth *= 4) {
        struct rd_plan plan = plan_of(depth);
        plan.value_len_given = true;
        assert_int_equal(run(FAKE_GOOD, plan, &error), RD_OK);
        assert_int_equal(result.op_count, REQUEST_COUNT);
        assert_int_equal(result.latency_ns.count, REQUEST_COUNT);
        assert_int_equal(result.value_bytes, REQUEST_COUNT * plan.value_len);
        assert_int_equal(result.error_count + result.miss_count + result.lost_count, 0);
    }
}

/* Larger than what a socket takes at once, several at a time. */
static void sends_long_values(void **state)
{
    (void)state;
    struct rd_error error;
    struct rd_plan plan = plan_of(3);
    plan.op = RD_PLAN_PUT;
    plan.value_len = (5u << 20) + 1;
    plan.request_max = 10;
    assert_int_equal(run(FAKE_GOOD, plan, &error), RD_OK);
    assert_int_equal(result.op_count, 10);
    assert_int_equal(result.value_bytes, 10 * plan.value_len);
    assert_int_equal(result.error_count, 0);
}

static void answers_in_pieces_are_answers(void **state)
{
    (void)state;
    struct rd_error error;
    assert_int_equal(run(FAKE_DRIBBLE, plan_of(5), &error), RD_OK);
    assert_int_equal(result.op_count, REQUEST_COUNT);
    assert_int_equal(result.error_count, 0);
}

static void a_value_of_another_length_is_an_error(void **state)
{
    (void)state;
    struct rd_error error;
    struct rd_plan plan = plan_of(1);
    plan.value_len_given = true;
    plan.value_len++;
    assert_int_equal(run(FAKE_GOOD, plan, &error), RD_OK);
    assert_int_equal(result.error_count, REQUEST_COUNT);
    assert_int_equal(result.op_count, 0);
    assert_int_equal(result.lost_count, 0);
}

/* The connection ends at the tenth request: nine were answered, those under way are errors, and the run is over.
 */
static void check_lost(enum fake_manner manner, uint32_t depth)
{
    struct rd_error error;
    assert_int_equal(run(manner, plan_of(depth), &error), RD_OK);
    assert_int_equal(result.op_count, 9);
    assert_int_equal(result.error_count, depth);
    assert_int_equal(result.lost_count, 1);
    assert_true(result.error[0] != '\0');
}

static void a_lost_connection_is_counted(void **state)
{
    (void)state;
    for (uint32_t depth = 1; depth <= 4; depth++) {
        check_lost(FAKE_CLOSE_ON_TENTH, depth);
        check_lost(FAKE_HALF_ON_TENTH, depth);
        check_lost(FAKE_GARBAGE, depth);
    }
}

static void an_answer_that_was_not_asked_for_is_not_taken(void **state)
{
    (void)state;
    struct rd_error error;
    static const enum fake_manner manners[] = {FAKE_FOREIGN_ID, FAKE_OTHER_OPCODE};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(run(manners[i], plan_of(1), &error), RD_OK);
        assert_int_equal(result.op_count, 0);
        assert_int_equal(result.lost_count, 1);
        assert_int_equal(result.error_count, 1);
    }
}

static void a_refused_hello_is_no_beginning(void **state)
{
    (void)state;
    struct rd_error error;
    assert_int_equal(run(FAKE_REFUSE_HELLO, plan_of(1), &error), RD_UNSUPPORTED);
    assert_true(error.message[0] != '\0');
}

/* The server hangs up early in a run of fixed rate: what would have been due after that was never sent, and is no
 * latency either. */
static void a_fixed_rate_ends_with_its_connections(void **state)
{
    (void)state;
    struct rd_error error;
    struct rd_plan plan = plan_of(1);
    plan.rate = 200;
    plan.request_max = UINT64_MAX;
    plan.seconds = 30;
    assert_int_equal(run(FAKE_CLOSE_ON_TENTH, plan, &error), RD_OK);
    assert_int_equal(result.op_count, 9);
    assert_int_equal(result.lost_count, 1);
    assert_true(result.seconds < plan.seconds / 2);
    assert_int_equal(result.latency_ns.count, result.op_count + result.late_count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_what_a_good_server_answers),
        cmocka_unit_test(sends_long_values),
        cmocka_unit_test(answers_in_pieces_are_answers),
        cmocka_unit_test(a_value_of_another_length_is_an_error),
        cmocka_unit_test(a_lost_connection_is_counted),
        cmocka_unit_test(an_answer_that_was_not_asked_for_is_not_taken),
        cmocka_unit_test(a_refused_hello_is_no_beginning),
        cmocka_unit_test(a_fixed_rate_ends_with_its_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
