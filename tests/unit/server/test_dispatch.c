/* SPDX-License-Identifier: MIT
 *
 * A request that has its store made, and could not use it: between the two looks others may have made the store,
 * and nobody is to be told that it is being made. What there is when it is looked at again is this test's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/call.h"
#include "server/conn.h"
#include "server/dispatch.h"
#include "server/hosted.h"
#include "server/loop.h"
#include "server/stores.h"

static struct rd_loop loop;
static struct rd_process process;
static struct rd_hosted hosted;
static struct rd_hosted *found; /* NULL: there is no such store */
static int references;

#define WRAPPED(type, name, ...)                                                                                  \
    type __wrap_##name(__VA_ARGS__);                                                                              \
    type __wrap_##name(__VA_ARGS__)

WRAPPED(struct rd_loop *, rd_conn_loop, const struct rd_conn *conn)
{
    (void)conn;
    return &loop;
}

WRAPPED(struct rd_hosted *, rd_stores_find, struct rd_stores *stores, struct rd_slice name)
{
    (void)stores;
    assert_true(rd_slice_equal(name, rd_slice_of_string("db2")));
    references += found != NULL;
    return found;
}

WRAPPED(void, rd_hosted_unref, struct rd_hosted *of)
{
    references -= of != NULL;
}

static bool should_make(bool creates_store, enum rd_status status)
{
    loop = (struct rd_loop){.process = &process};
    struct rd_request *request = rd_request_create(0);
    assert_non_null(request);
    request->opcode = RD_OPCODE_WRITE;
    request->store = rd_slice_of_string("db2");
    request->creates_store = creates_store;
    struct rd_call *call = rd_call_create(NULL, request);
    assert_non_null(call);
    bool makes = rd_dispatch_should_make(call, status);
    rd_call_destroy(call);
    rd_calls_free_spare(&loop);
    assert_int_equal(references, 0);
    return makes;
}

static bool should_make_in(enum rd_hosted_state state, enum rd_status status)
{
    found = &hosted;
    atomic_store(&hosted.state, (int)state);
    return should_make(true, status);
}

static void what_is_missing_is_made(void **state)
{
    (void)state;
    found = NULL;
    assert_true(should_make(true, RD_STORE_NOT_FOUND));
    assert_true(should_make(true, RD_UNAVAILABLE)); /* it has been dropped since */
    assert_false(should_make(false, RD_STORE_NOT_FOUND));
    assert_false(should_make(true, RD_NO_MEMORY));
}

static void who_comes_while_others_make_it_waits(void **state)
{
    (void)state;
    assert_true(should_make_in(RD_HOSTED_CREATING, RD_UNAVAILABLE));
    assert_true(should_make_in(RD_HOSTED_CREATING, RD_STORE_NOT_FOUND));
}

static void what_others_have_made_since_is_used(void **state)
{
    (void)state;
    assert_true(should_make_in(RD_HOSTED_SERVING, RD_UNAVAILABLE));
    assert_true(should_make_in(RD_HOSTED_SERVING, RD_STORE_NOT_FOUND));
}

static void what_does_not_serve_is_not_made(void **state)
{
    (void)state;
    assert_false(should_make_in(RD_HOSTED_FAILED, RD_UNAVAILABLE));
    assert_false(should_make_in(RD_HOSTED_REOPENING, RD_UNAVAILABLE));
    assert_false(should_make_in(RD_HOSTED_DROPPING, RD_STORE_NOT_FOUND));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_missing_is_made),
        cmocka_unit_test(who_comes_while_others_make_it_waits),
        cmocka_unit_test(what_others_have_made_since_is_used),
        cmocka_unit_test(what_does_not_serve_is_not_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
