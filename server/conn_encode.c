/* SPDX-License-Identifier: MIT
 *
 * conn_encode.c - answers whose encoding would hold the loop up are encoded by a thread of the pool: a millisecond
 * for each MiB of values, more for JSON. They leave from where they were encoded, a piece at a time as long texts
 * do, since a copy would take as long once more.
 *
 * Each connection has one at a time, and only when its turn to be sent has come: whoever takes no answers has one
 * of them in memory. Until then the call is RUNNING, and keeps what it answers with; the bytes are the job's, then
 * the outbox's, or are freed where the connection has closed meanwhile.
 */
#include <stdlib.h>

#include "server/conn_state.h"
#include "server/loop.h"

/* What is longer takes more than a connection's share of a turn anyway. */
#define LOOP_COST_MAX RD_CONN_TURN_LEN_MAX

/* Bytes of values that are copied as fast as what is beside them is put together. */
#define ITEM_COST   128u
#define CHANGE_COST 64u /* a command of a transaction that answers with no value */

struct encoding {
    struct rd_job job;
    struct rd_conn *conn; /* the call is in its list, so that it stays */
    struct rd_call *call;
    struct rd_buffer bytes; /* owned; the whole answer */
    bool lost;              /* values could not be read meanwhile: zeros stand for them */
};

static size_t values_len(const struct rd_codec *codec, const struct rd_response *response)
{
    size_t len = 0;
    for (size_t i = 0; i < response->item_count; i++)
        len += response->items[i].value.len;
    return codec->values_in_base64 ? len / 3 * 4 : len;
}

static bool is_long(const struct rd_call *call, size_t len)
{
    const struct rd_response *response = &call->response;
    uint64_t cost = len + (uint64_t)response->item_count * ITEM_COST + (uint64_t)response->store_count * ITEM_COST;
    if (response->changes != NULL)
        cost += (uint64_t)call->request->item_count * CHANGE_COST;
    return cost > LOOP_COST_MAX;
}

/* More of them than before: some of what was copied is zeros (guard.h). */
static uint64_t faults_of(const struct rd_call *call)
{
    uint64_t faults = 0;
    for (size_t i = 0; i < call->value_count; i++)
        faults += rd_value_faults(&call->values[i]);
    for (size_t i = 0; i < call->look_count; i++)
        faults += rd_value_faults(&call->looks[i].value);
    return faults;
}

/* On a thread of the pool; nobody else touches the call meanwhile. */
static void work(struct rd_job *job)
{
    struct encoding *encoding = (struct encoding *)(void *)job;
    const struct rd_call *call = encoding->call;
    uint64_t faults = faults_of(call);
    (void)encoding->conn->codec->encode(call->request, &call->response, &encoding->bytes);
    encoding->lost = faults_of(call) != faults;
}

/* What the values did not say of its length is asked for now. */
static enum rd_status judge(const struct encoding *encoding)
{
    const struct rd_call *call = encoding->call;
    size_t len = encoding->bytes.len;
    size_t counted = encoding->conn->encoding_len;
    if (encoding->lost)
        return RD_IO_ERROR;
    if (encoding->bytes.failed)
        return RD_TOO_LARGE;
    if (len > counted && !rd_conn_admit_answer(encoding->conn, call->request->opcode, len - counted))
        return RD_OVERLOADED;
    return RD_OK;
}

static void done(struct rd_job *job)
{
    struct encoding *encoding = (struct encoding *)(void *)job;
    struct rd_conn *conn = encoding->conn;
    rd_conn_keep(conn);
    conn->encoding = false;
    if (conn->state == RD_CONN_CLOSING)
        rd_conn_remove_call(conn, encoding->call);
    else
        rd_conn_take_encoded(conn, encoding->call, judge(encoding), &encoding->bytes);
    conn->encoding_len = 0;
    rd_buffer_deinit(&encoding->bytes);
    free(encoding);
    rd_conn_let_go(conn);
}

bool rd_conn_encode_apart(struct rd_conn *conn, struct rd_call *call)
{
    const struct rd_response *response = &call->response;
    if (response->item_count == 0 && response->store_count == 0 && response->changes == NULL)
        return false; /* as most answers are */
    size_t len = values_len(conn->codec, response);
    if (!is_long(call, len))
        return false;
    if (call->request->parts != NULL)
        len = 0; /* it may answer with parts of its values: how many bytes, is known once it is made */
    if (!rd_conn_admit_answer(conn, call->request->opcode, len)) {
        rd_conn_refuse_answer(call, RD_OVERLOADED);
        return false;
    }
    struct encoding *encoding = malloc(sizeof *encoding);
    if (encoding == NULL)
        return false;
    *encoding = (struct encoding){
        .job = {.work = work, .done = done, .port = &conn->loop->port, .queue = conn->loop->encodings},
        .conn = conn,
        .call = call,
    };
    rd_buffer_init(&encoding->bytes, RD_CONN_ANSWER_LEN_MAX);
    if (!rd_pool_submit(conn->loop->pool, &encoding->job)) {
        free(encoding); /* then it is the loop that takes its time */
        return false;
    }
    call->state = RD_CALL_RUNNING;
    conn->encoding = true;
    conn->encoding_len = len;
    return true;
}
