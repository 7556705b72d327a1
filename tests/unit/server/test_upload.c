/* SPDX-License-Identifier: MIT
 *
 * An upload for which no pool thread is to be had: it is answered once, when it may be, and nothing of it is
 * stored. Connection, dispatch, spool and thread pool are this test's own: a thread comes back when the test says
 * so, and none comes where it is to fail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/conn.h"
#include "server/dispatch.h"
#include "server/handlers.h"
#include "server/loop.h"
#include "server/stores.h"
#include "server/upload.h"

#define KIB          ((size_t)1 << 10)
#define IN_SPOOL_LEN (256 * KIB)

struct rd_spool {
    uint64_t len;
};

static struct rd_loop loop;
static struct rd_process process;
static struct rd_hosted hosted;
static struct rd_spool spool;
static uint8_t bytes[512 * KIB];

static bool has_credit;
static bool no_thread;
static uv_work_t *at_work; /* NULL: nobody is */
static uv_work_cb do_work;
static uv_after_work_cb after_work;
static unsigned answers;
static enum rd_status answer;
static unsigned submissions;
static unsigned entered;
static bool known; /* the connection hands parts on to it */

/* ---- what is wrapped -------------------------------------------------------------------------------------- */

#define WRAPPED(type, name, ...)                                                                                  \
    type __wrap_##name(__VA_ARGS__);                                                                              \
    type __wrap_##name(__VA_ARGS__)

WRAPPED(int, uv_queue_work, uv_loop_t *uv, uv_work_t *work, uv_work_cb work_cb, uv_after_work_cb after_work_cb)
{
    (void)uv;
    if (no_thread)
        return UV_ENOMEM;
    assert_null(at_work);
    at_work = work;
    do_work = work_cb;
    after_work = after_work_cb;
    return 0;
}

WRAPPED(struct rd_loop *, rd_conn_loop, const struct rd_conn *conn)
{
    (void)conn;
    return &loop;
}

WRAPPED(bool, rd_conn_is_closing, const struct rd_conn *conn)
{
    (void)conn;
    return false;
}

WRAPPED(bool, rd_conn_uploads_are_full, const struct rd_conn *conn)
{
    (void)conn;
    return false;
}

WRAPPED(bool, rd_conn_memory_is_full, const struct rd_conn *conn)
{
    (void)conn;
    return false;
}

WRAPPED(bool, rd_conn_uploads_have_credit, const struct rd_conn *conn)
{
    (void)conn;
    return has_credit;
}

WRAPPED(void, rd_conn_upload_begun, struct rd_conn *conn, struct rd_call *call)
{
    (void)conn;
    (void)call;
    known = true;
}

WRAPPED(void, rd_conn_upload_over, struct rd_conn *conn, struct rd_call *call, bool whole)
{
    (void)conn;
    (void)call;
    (void)whole;
    known = false;
}

WRAPPED(void, rd_conn_upload_credit, struct rd_conn *conn, const struct rd_call *call, uint64_t len)
{
    (void)conn;
    (void)call;
    (void)len;
}

WRAPPED(void, rd_conn_keep, struct rd_conn *conn)
{
    (void)conn;
}

WRAPPED(void, rd_conn_let_go, struct rd_conn *conn)
{
    (void)conn;
}

WRAPPED(void, rd_conn_run_barrier, struct rd_conn *conn, bool finished)
{
    (void)conn;
    (void)finished;
}

WRAPPED(void, rd_conn_take_finished, struct rd_conn *conn, struct rd_call *call)
{
    (void)conn;
    known = false;
    answers++;
    answer = call->response.status;
}

WRAPPED(enum rd_status, rd_dispatch_use_store, struct rd_call *call, struct rd_error *ret_error)
{
    (void)ret_error;
    call->hosted = &hosted;
    return RD_OK;
}

WRAPPED(void, rd_dispatch_enter_lane, struct rd_call *call, enum rd_call_mode mode)
{
    (void)mode;
    call->state = RD_CALL_WAITING;
    entered++;
}

WRAPPED(void, rd_hosted_unuse, struct rd_hosted *used)
{
    assert_ptr_equal(used, &hosted);
}

WRAPPED(enum rd_bar, rd_store_bars, struct rd_store *store, uint64_t payload_len)
{
    (void)store;
    (void)payload_len;
    return RD_BAR_NONE;
}

WRAPPED(void, rd_handler_submit, struct rd_call *call, struct rd_hosted *to, void (*on_complete)(struct rd_call *))
{
    (void)call;
    (void)to;
    (void)on_complete;
    submissions++;
}

WRAPPED(enum rd_status, rd_spool_create, struct rd_store *store, struct rd_spool **ret_spool)
{
    (void)store;
    spool.len = 0;
    *ret_spool = &spool;
    return RD_OK;
}

WRAPPED(enum rd_status, rd_spool_append, struct rd_spool *to, struct rd_slice more)
{
    to->len += more.len;
    return RD_OK;
}

WRAPPED(bool, rd_spool_stays_in_memory, const struct rd_spool *of, uint64_t len)
{
    return of->len + len <= IN_SPOOL_LEN;
}

WRAPPED(uint64_t, rd_spool_len, const struct rd_spool *of)
{
    return of->len;
}

WRAPPED(void, rd_spool_destroy, struct rd_spool *of)
{
    (void)of;
}

/* ---- an upload -------------------------------------------------------------------------------------------- */

static struct rd_call *begin(bool credit)
{
    loop = (struct rd_loop){.process = &process};
    loop.tuning.limits = RD_LIMITS_DEFAULT;
    loop.tuning.value_len_max = UINT64_MAX;
    atomic_store(&process.spools.max, UINT64_MAX / 2);
    atomic_store(&process.spools.used, 0);
    has_credit = credit;
    no_thread = false;
    at_work = NULL;
    answers = submissions = entered = 0;
    struct rd_request *request = rd_request_create(0);
    assert_non_null(request);
    request->opcode = RD_OPCODE_WRITE_STREAM;
    request->stream_len = UINT64_MAX; /* so nothing but the upload itself knows when some of it is missing */
    struct rd_call *call = rd_call_create(NULL, request);
    assert_non_null(call);
    rd_upload_begin(call);
    assert_int_equal(call->state, RD_CALL_UPLOADING);
    return call;
}

static void send_chunk(struct rd_call *call, size_t len)
{
    assert_true(len <= sizeof bytes);
    if (known)
        rd_upload_take_part(call,
                            &(struct rd_stream_part){.kind = RD_STREAM_CHUNK, .bytes = rd_slice(bytes, len)});
}

static void send_end(struct rd_call *call)
{
    if (known)
        rd_upload_take_part(call, &(struct rd_stream_part){.kind = RD_STREAM_END});
}

static void thread_comes_back(void)
{
    uv_work_t *work = at_work;
    assert_non_null(work);
    at_work = NULL;
    do_work(work);
    after_work(work, 0);
}

static void expect_one_refusal(struct rd_call *call)
{
    assert_null(at_work);
    assert_int_equal(answers, 1);
    assert_int_equal(answer, RD_UNAVAILABLE);
    assert_int_equal(submissions, 0);
    no_thread = true; /* nor for giving the spool up */
    rd_call_destroy(call);
    rd_calls_free_spare(&loop);
    assert_int_equal(atomic_load(&process.spools.used), 0);
}

/* What comes behind is nobody's. */
static void no_thread_while_parts_come(void **state)
{
    (void)state;
    for (int credit = 0; credit < 2; credit++) {
        struct rd_call *call = begin(credit != 0);
        no_thread = true;
        send_chunk(call, 300 * KIB);
        assert_int_equal(answers, 1);
        no_thread = false;
        send_chunk(call, 300 * KIB);
        send_end(call);
        assert_int_equal(entered, 0);
        expect_one_refusal(call);
    }
}

/* In its lane it waits for its turn, with the bad news too: whatever it is answered before, it would be run. */
static void no_thread_for_the_rest_while_it_waits_in_its_lane(void **state)
{
    (void)state;
    struct rd_call *call = begin(false);
    send_chunk(call, 300 * KIB);
    send_chunk(call, 100 * KIB);
    send_end(call);
    assert_int_equal(entered, 1);
    no_thread = true;
    thread_comes_back();
    assert_int_equal(answers, 0);
    rd_run_write_stream(call);
    expect_one_refusal(call);
}

static void no_thread_for_the_rest_when_it_has_its_turn(void **state)
{
    (void)state;
    struct rd_call *call = begin(false);
    send_chunk(call, 300 * KIB);
    send_chunk(call, 100 * KIB);
    send_end(call);
    rd_run_write_stream(call);
    no_thread = true;
    thread_comes_back();
    expect_one_refusal(call);
}

static void no_thread_at_the_end(void **state)
{
    (void)state;
    struct rd_call *call = begin(false);
    send_chunk(call, 250 * KIB); /* in memory */
    send_chunk(call, 200 * KIB); /* not worth a thread yet */
    assert_null(at_work);
    no_thread = true;
    send_end(call);
    if (entered != 0)
        rd_run_write_stream(call);
    expect_one_refusal(call);
}

/* Its next part may be late by so much that it waited for credit. */
static void the_time_that_a_thread_takes_is_not_the_peers(void **state)
{
    (void)state;
    struct rd_call *call = begin(true);
    send_chunk(call, 300 * KIB);
    assert_true(rd_upload_is_working(call));
    loop.uv.time += 5000;
    thread_comes_back();
    assert_false(rd_upload_is_working(call));
    assert_int_equal(rd_upload_progress_ms(call), 5000);
    rd_upload_fail(call, RD_UNAVAILABLE, "the test ends");
    assert_null(call->hosted);
    thread_comes_back(); /* which has given the spool up */
    expect_one_refusal(call);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_time_that_a_thread_takes_is_not_the_peers),
        cmocka_unit_test(no_thread_while_parts_come),
        cmocka_unit_test(no_thread_for_the_rest_while_it_waits_in_its_lane),
        cmocka_unit_test(no_thread_for_the_rest_when_it_has_its_turn),
        cmocka_unit_test(no_thread_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
