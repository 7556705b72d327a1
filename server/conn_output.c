/* SPDX-License-Identifier: MIT
 *
 * conn_output.c - what goes out: finished calls are encoded, and everything of a turn leaves in one call, up to a
 * connection's share of a turn. Those that have more than that get in line, and one of them sends its share in
 * each turn (more where much comes in): so what others wait for is one share, however many take long values.
 */
#include <assert.h>
#include <stdio.h>
#include <sys/socket.h>
#include <uv.h>

#include "server/conn_state.h"
#include "server/log.h"
#include "server/loop.h"
#include "server/socket.h"

#define DOWNLOADS_LEN_LOW (128u << 10) /* chunks are added below this: with one more, LOW is not reached */
#define COPIED_VALUE_MAX  4096u        /* longer values leave from the map, longer texts from where they lie */
#define PROMPT_VALUE_MIN  (64u << 10)  /* and these without waiting for what else the turn brings */
#define PAGES_LEN_MIN     (64u << 10)  /* of values, pieces from this length on leave by their pages */

/* ---- output ----------------------------------------------------------------------------------------------- */

void rd_conn_take_finished(struct rd_conn *conn, struct rd_call *call)
{
    if (conn->state == RD_CONN_CLOSING) {
        rd_conn_remove_call(conn, call);
        return;
    }
    if (call->upload != NULL)
        rd_conn_forget_upload(conn, call); /* however it came to its end */
    if (!conn->codec->answers_in_order) {
        call->queue_next = NULL;
        if (conn->ready_first == NULL)
            conn->ready_first = call;
        else
            conn->ready_last->queue_next = call;
        conn->ready_last = call;
    }
    if (call->response.value.len >= PROMPT_VALUE_MIN)
        conn->prompt = true;
    rd_conn_mark_dirty(conn);
}

static struct rd_call *take_ready(struct rd_conn *conn)
{
    if (conn->codec == NULL)
        return NULL;
    if (conn->codec->answers_in_order) {
        struct rd_call *call = conn->calls_first;
        return call != NULL && call->state == RD_CALL_FINISHED ? call : NULL;
    }
    struct rd_call *call = conn->ready_first;
    if (call != NULL)
        conn->ready_first = call->queue_next;
    return call;
}

void rd_conn_refuse_answer(struct rd_call *call, enum rd_status status)
{
    const char *message = "the answer would be too large; ask for less at a time";
    if (status == RD_OVERLOADED)
        message = RD_LIMITS_REFUSE;
    if (status == RD_IO_ERROR)
        message = "the store's file cannot be read";
    call->response = (struct rd_response){.status = status};
    snprintf(call->response.message, sizeof call->response.message, "%s", message);
}

/* An answer that cannot be given becomes an error, in call->response too. False: not even that could be encoded.
 */
static bool encode_head(struct rd_conn *conn, struct rd_call *call, size_t *ret_value_len)
{
    struct rd_buffer *bytes = rd_outbox_begin(&conn->out, RD_CONN_ANSWER_LEN_MAX);
    *ret_value_len = conn->codec->encode(call->request, &call->response, bytes);
    size_t text_len = call->hosted == NULL && call->memory != NULL ? *ret_value_len : 0;
    if (!bytes->failed &&
        rd_conn_admit_answer(conn, call->request->opcode, bytes->len - conn->out.committed + text_len))
        return true;
    rd_conn_refuse_answer(call, bytes->failed ? RD_TOO_LARGE : RD_OVERLOADED);
    rd_outbox_rollback(&conn->out);
    bytes = rd_outbox_begin(&conn->out, RD_CONN_ANSWER_LEN_MAX);
    *ret_value_len = 0;
    (void)conn->codec->encode(call->request, &call->response, bytes);
    return !bytes->failed;
}

/* What the codec wants to stand behind a value, and the end of the answer. */
static bool close_value(struct rd_conn *conn)
{
    struct rd_buffer *bytes = &conn->out.filling.bytes;
    rd_buffer_append_slice(bytes, conn->codec->behind_value);
    rd_outbox_commit(&conn->out);
    return !bytes->failed;
}

static enum rd_clearance clearance_of(const struct rd_call *call)
{
    if (call->verify_while_sending)
        return RD_CLEARED_VERIFIED;
    return call->value.payload.len > RD_CALL_LOOK_MAX ? RD_CLEARED_IN_MEMORY : RD_CLEARED;
}

/* A scrape counts as one until it is sent, as long as its memory is held. False: no memory. */
static bool append_text(struct rd_conn *conn, struct rd_call *call)
{
    assert(call->value.payload.data == NULL);
    atomic_uint *held = call->scrapes ? &conn->loop->process->scrapes : NULL;
    if (!rd_outbox_append_text(&conn->out, call->response.value, call->memory, held))
        return false;
    call->memory = NULL;
    call->scrapes = false;
    return true;
}

/* False: no memory. */
static bool append_uncopied(struct rd_conn *conn, struct rd_call *call)
{
    if (call->hosted == NULL) /* in memory of the call's or constant */
        return append_text(conn, call);
    assert(call->response.value.len == call->value.payload.len);
    bool appended = rd_outbox_append_value(&conn->out, &call->value, call->hosted, clearance_of(call),
                                           rd_metrics_leaving(conn->loop, call));
    if (appended)
        call->hosted = NULL;
    return appended;
}

/* value_len: of what follows the encoded bytes. */
static void note_answer(struct rd_conn *conn, struct rd_call *call, size_t value_len)
{
    uint64_t now_ns = rd_loop_clock_ns(conn->loop);
    uint64_t slow_ns = conn->loop->tuning.slow_ns;
    rd_metrics_count_answer(conn->loop, call, value_len, now_ns);
    if (slow_ns != 0 && now_ns - call->begun_ns >= slow_ns)
        rd_slow_log_note(&conn->loop->slow_log, call, now_ns);
}

static bool encode(struct rd_conn *conn, struct rd_call *call)
{
    size_t value_len;
    if (conn->out.unsent == 0)
        conn->output_ms = uv_now(&conn->loop->uv);
    if (!encode_head(conn, call, &value_len))
        return false;
    bool in_parts = conn->codec->encode_part != NULL && rd_opcode_is_download(call->request->opcode) &&
                    call->response.status == RD_OK;
    if (!in_parts && value_len <= COPIED_VALUE_MAX) {
        conn->loop->brief_ms = uv_now(&conn->loop->uv);
        rd_process_note_brief(conn->loop->process, conn->loop->brief_ms);
    }
    note_answer(conn, call, in_parts ? call->response.value.len : value_len);
    if (value_len > COPIED_VALUE_MAX) {
        rd_outbox_commit(&conn->out);
        return append_uncopied(conn, call) && close_value(conn);
    }
    struct rd_buffer *bytes = &conn->out.filling.bytes;
    if (in_parts && !rd_download_begin(&conn->downloads, call, rd_metrics_leaving(conn->loop, call)))
        return false;
    if (conn->state != RD_CONN_OPEN)
        rd_conn_end_credit(conn);
    rd_buffer_append(bytes, call->response.value.data, value_len);
    if (value_len != 0)
        return close_value(conn);
    rd_outbox_commit(&conn->out);
    return !bytes->failed;
}

/* Takes the bytes. */
static bool append_encoded(struct rd_conn *conn, struct rd_call *call, struct rd_buffer *encoded)
{
    if (conn->out.unsent == 0)
        conn->output_ms = uv_now(&conn->loop->uv);
    note_answer(conn, call, 0);
    if (!rd_outbox_append_text(&conn->out, rd_buffer_slice(encoded), encoded->data, NULL))
        return false;
    rd_buffer_init(encoded, 0);
    return true;
}

static void close_for_memory(struct rd_conn *conn)
{
    rd_conn_log(conn, RD_LOG_ERROR, "connection closed: no memory for an answer");
    rd_conn_close(conn);
}

/* Less than requests may have unsent, or a paused connection would not be read again before downloads end. False:
 * no memory. */
static bool add_chunks(struct rd_conn *conn)
{
    bool failed = false;
    struct rd_download *waiting;
    while (conn->out.unsent < DOWNLOADS_LEN_LOW && conn->downloads.first != NULL &&
           rd_download_send_one(&conn->downloads, conn->codec, &conn->out, conn->loop->tuning.limits.chunk_len_max,
                                &waiting, &failed))
        if (waiting != NULL)
            rd_conn_fetch_download(conn, waiting);
    return !failed;
}

void rd_conn_take_encoded(struct rd_conn *conn, struct rd_call *call, enum rd_status status,
                          struct rd_buffer *encoded)
{
    if (status != RD_OK)
        rd_conn_refuse_answer(call, status);
    bool whole = status == RD_OK && encoded->len != 0;
    bool good = whole ? append_encoded(conn, call, encoded) : encode(conn, call);
    rd_conn_remove_call(conn, call);
    if (good)
        rd_conn_mark_dirty(conn); /* others may be ready behind it */
    else
        close_for_memory(conn);
}

void rd_conn_encode_ready(struct rd_conn *conn)
{
    struct rd_call *call;
    conn->prompt = false;
    while (conn->out.unsent < RD_CONN_UNSENT_LEN_HIGH && !conn->encoding && (call = take_ready(conn)) != NULL) {
        if (rd_conn_encode_apart(conn, call))
            break;
        bool good = encode(conn, call);
        rd_conn_remove_call(conn, call);
        if (!good) {
            close_for_memory(conn);
            return;
        }
    }
    if (!add_chunks(conn))
        close_for_memory(conn);
}

bool rd_conn_must_wait(const struct rd_conn *conn)
{
    bool others_wait = conn->loop->line != NULL && !conn->first_in_line;
    return rd_conn_turn_room(conn) == 0 || (others_wait && conn->out.unsent >= PROMPT_VALUE_MIN);
}

static size_t sent_in_turn(const struct rd_conn *conn)
{
    return conn->sent_turn == conn->loop->turn ? conn->sent_len : 0;
}

size_t rd_conn_turn_room(const struct rd_conn *conn)
{
    size_t share = rd_loop_is_brief(conn->loop) ? RD_CONN_BRIEF_LEN_MAX : RD_CONN_TURN_LEN_MAX;
    size_t sent = sent_in_turn(conn);
    return sent < share ? share - sent : 0;
}

void rd_conn_note_sent(struct rd_conn *conn, size_t len)
{
    conn->sent_len = sent_in_turn(conn) + len;
    conn->sent_turn = conn->loop->turn;
    conn->output_ms = uv_now(&conn->loop->uv);
    rd_counter_add(&conn->loop->counts.sent_bytes, len);
    rd_conn_fetch_ahead(conn);
}

static void on_written(uv_write_t *write, int status)
{
    struct rd_conn *conn = write->data;
    conn->writing = false;
    if (conn->state == RD_CONN_CLOSING)
        return;
    if (status != 0) {
        rd_conn_log(conn, RD_LOG_DEBUG, "connection lost: %s", uv_strerror(status));
        rd_conn_close(conn);
        return;
    }
    rd_outbox_sent(&conn->out, conn->write_len);
    rd_conn_note_sent(conn, conn->write_len);
    rd_conn_mark_dirty(conn);
}

bool rd_conn_peek_unsent(struct rd_conn *conn, size_t len_max, uv_buf_t ret_buffers[RD_OUTBOX_IOV_MAX],
                         unsigned *ret_count, size_t *ret_len)
{
    enum rd_status status = rd_outbox_peek(&conn->out, len_max, ret_buffers, ret_count, ret_len);
    if (status == RD_OK)
        return true;
    rd_conn_log(conn, RD_LOG_ERROR, "connection closed: %s",
                status == RD_CORRUPT ? "the value being sent does not match its checksum"
                                     : "the file of what is being sent cannot be read");
    rd_conn_close(conn);
    return false;
}

/* Hands what did not leave at once over to libuv, which waits for the socket; one such write at a time. In the
 * turn in which it can, it sends all of it, so that it is a share of that turn at most. */
static void start_write(struct rd_conn *conn)
{
    uv_buf_t buffers[RD_OUTBOX_IOV_MAX];
    unsigned count;
    if (!rd_conn_peek_unsent(conn, rd_conn_turn_room(conn), buffers, &count, &conn->write_len))
        return;
    conn->write.data = conn;
    int status = uv_write(&conn->write, &conn->uv.stream, buffers, count, on_written);
    if (status != 0) {
        rd_conn_log(conn, RD_LOG_DEBUG, "connection lost: %s", uv_strerror(status));
        rd_conn_close(conn);
        return;
    }
    conn->writing = true;
}

/* Whether the first long piece of what was peeked is to leave by its pages; what is before it goes with it. */
static bool leaves_by_pages(const struct rd_conn *conn, const uv_buf_t *buffers, unsigned count)
{
    unsigned lent = conn->out.lent;
    return conn->codec->takes_pages && conn->uv.handle.type == UV_TCP && lent < count &&
           buffers[lent].len >= PAGES_LEN_MIN && !conn->loop->pages.refused;
}

/* The same as rd_socket_send of the first `count` buffers, of which the last one is long. */
static ssize_t try_pages(struct rd_conn *conn, const uv_buf_t *buffers, unsigned count)
{
    size_t before = 0;
    for (unsigned i = 0; i + 1 < count; i++)
        before += buffers[i].len;
    ssize_t sent = before == 0 ? 0 : rd_socket_send(conn->socket, buffers, count - 1, MSG_MORE);
    if (sent < 0 || (size_t)sent < before)
        return sent;
    ssize_t value_sent = rd_pages_send(&conn->loop->pages, conn->socket, &buffers[count - 1]);
    if (before != 0)
        return sent + (value_sent > 0 ? value_sent : 0);
    return value_sent != 0 ? value_sent : rd_socket_send(conn->socket, &buffers[count - 1], 1, 0);
}

/* Sends what was peeked, or what of it leaves in one way: *len becomes that. Bytes, or an error of libuv's. */
static ssize_t try_send(struct rd_conn *conn, const uv_buf_t *buffers, unsigned count, size_t *len)
{
    if (!leaves_by_pages(conn, buffers, count))
        return rd_socket_send(conn->socket, buffers, count, 0);
    count = conn->out.lent + 1;
    *len = 0;
    for (unsigned i = 0; i < count; i++)
        *len += buffers[i].len;
    return try_pages(conn, buffers, count);
}

void rd_conn_send_unsent(struct rd_conn *conn)
{
    if (conn->tls != NULL) {
        rd_conn_tls_send(conn);
        return;
    }
    while (conn->state != RD_CONN_CLOSING && !conn->writing && !conn->fetching && conn->out.unsent != 0) {
        uv_buf_t buffers[RD_OUTBOX_IOV_MAX];
        unsigned count;
        size_t len;
        if (rd_conn_must_wait(conn)) {
            rd_conn_get_in_line(conn);
            return;
        }
        if (!rd_conn_peek_unsent(conn, rd_conn_turn_room(conn), buffers, &count, &len))
            return;
        if (len == 0) {
            rd_conn_fetch_unsent(conn);
            return;
        }
        ssize_t sent = try_send(conn, buffers, count, &len);
        if (sent < 0 && sent != UV_EAGAIN) {
            rd_conn_log(conn, RD_LOG_DEBUG, "connection lost: %s", uv_strerror((int)sent));
            rd_conn_close(conn);
            return;
        }
        if (sent > 0) {
            rd_outbox_sent(&conn->out, (size_t)sent);
            rd_conn_note_sent(conn, (size_t)sent);
        }
        if (sent >= 0 && (size_t)sent == len)
            rd_conn_encode_ready(conn); /* before any wait: with nothing unsent no event would bring us back */
        else
            start_write(conn);
    }
}

void rd_conn_send_promptly(struct rd_conn *conn)
{
    if (!conn->prompt || conn->state == RD_CONN_CLOSING)
        return;
    conn->loop->clock_ns = 0; /* the turn goes on; what is encoded now is not timed by its beginning */
    rd_conn_encode_ready(conn);
    rd_conn_send_unsent(conn);
}
