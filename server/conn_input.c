/* SPDX-License-Identifier: MIT
 *
 * conn_input.c - what comes in: reading, decoding, and pausing where a limit is reached.
 */
#include <uv.h>

#include "protocol/binary.h"
#include "protocol/http.h"
#include "server/conn_state.h"
#include "server/dispatch.h"
#include "server/log.h"
#include "server/loop.h"
#include "server/socket.h"
#include "server/upload.h"

#define UNSENT_LEN_LOW   (512u << 10) /* reading goes on */
#define PENDING_KEPT_MAX (16u << 10)  /* an empty buffer above this gives its memory back */
#define SHARE_MIN        16u          /* requests and parts of a connection in a turn, however long that takes */

/* What a stop lets come in: the rest of a request, the credit of a download. */
bool rd_conn_expects_input(const struct rd_conn *conn)
{
    return rd_conn_mid_request(conn) || conn->downloads.first != NULL;
}

static void give_no_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer);
static void on_readable(uv_stream_t *stream, ssize_t status, const uv_buf_t *buffer);

void rd_conn_start_reading(struct rd_conn *conn)
{
    if (conn->reading || conn->peer_ended)
        return;
    conn->input_ms = uv_now(&conn->loop->uv);
    conn->reading = uv_read_start(&conn->uv.stream, give_no_buffer, on_readable) == 0;
    if (!conn->reading)
        rd_conn_close(conn);
}

void rd_conn_stop_reading(struct rd_conn *conn)
{
    if (conn->reading)
        uv_read_stop(&conn->uv.stream);
    conn->reading = false;
}

/* ---- input ------------------------------------------------------------------------------------------------ */

/* An upload whose protocol has no credit is held back by not reading. */
static bool upload_is_full(const struct rd_conn *conn)
{
    return conn->uploads != NULL && conn->codec->answers_in_order && rd_upload_is_full(conn->uploads);
}

/* Where a turn has taken long, each connection has a few requests more in it, so that none gets nothing. */
static bool share_is_used(const struct rd_conn *conn)
{
    return conn->loop->turn_is_long && conn->taking_turn == conn->loop->turn && conn->turn_taken >= SHARE_MIN;
}

/* A request, or a part of a stream: that may be as short as its sender likes. */
static void count_taken(struct rd_conn *conn)
{
    struct rd_loop *loop = conn->loop;
    if (conn->taking_turn != loop->turn) {
        conn->taking_turn = loop->turn;
        conn->turn_taken = 0;
    }
    if (conn->turn_taken++ % SHARE_MIN != 0)
        return;
    uint64_t now_ns = uv_hrtime();
    if (loop->taking_ns == 0)
        loop->taking_ns = now_ns;
    loop->turn_is_long = now_ns - loop->taking_ns >= RD_CONN_TURN_NS_MAX;
}

static bool is_full(struct rd_conn *conn)
{
    if (conn->barrier != NULL || conn->parsing || upload_is_full(conn) || rd_conn_must_ease(conn))
        return true;
    return conn->call_count >= conn->loop->tuning.limits.in_flight_max ||
           conn->cost >= conn->loop->tuning.connection_bytes_max || conn->out.unsent >= RD_CONN_UNSENT_LEN_HIGH;
}

static bool has_room(struct rd_conn *conn)
{
    if (conn->barrier != NULL || conn->parsing || upload_is_full(conn) || rd_conn_must_ease(conn))
        return false;
    return conn->call_count <= conn->loop->tuning.limits.in_flight_max / 2 &&
           conn->cost <= conn->loop->tuning.connection_bytes_max / 2 && conn->out.unsent <= UNSENT_LEN_LOW;
}

static void pause_input(struct rd_conn *conn)
{
    conn->paused = true;
    rd_conn_stop_reading(conn);
}

static void pause_if_full(struct rd_conn *conn)
{
    if (!conn->paused && is_full(conn))
        pause_input(conn);
}

void rd_conn_begin_parse(struct rd_conn *conn)
{
    conn->parsing = true;
}

void rd_conn_end_parse(struct rd_conn *conn, struct rd_call *call)
{
    conn->parsing = false;
    conn->cost -= call->cost;
    call->cost = rd_call_weigh(call);
    conn->cost += call->cost;
    rd_conn_mark_dirty(conn);
}

/* OPEN -> ENDING. What is left of the input is dropped. */
void rd_conn_end_input(struct rd_conn *conn)
{
    if (conn->state != RD_CONN_OPEN)
        return;
    conn->state = RD_CONN_ENDING;
    rd_conn_stop_reading(conn);
    rd_buffer_deinit(&conn->pending);
    rd_buffer_init(&conn->pending, RD_LOOP_READ_BUFFER_LEN);
    rd_conn_fail_uploads(conn, RD_INVALID_ARGUMENT, "the connection's input ended before the stream did");
    rd_conn_end_credit(conn);
    rd_conn_mark_dirty(conn);
}

/* Where requests hold as much memory as they may, those that need some are refused: a stream when it begins. */
static void refuse_if_full(const struct rd_conn *conn, struct rd_request *request)
{
    if (request->status != RD_OK || request->streamed || !rd_conn_memory_is_full(conn))
        return;
    const struct rd_operation *operation = rd_operation_find(request->opcode);
    if (operation == NULL || operation->class == RD_CLASS_CONNECTION)
        return;
    request->status = RD_OVERLOADED;
    request->message = RD_LIMITS_REFUSE;
    rd_process_note(conn->loop->process, RD_REFUSED_MEMORY);
}

void rd_conn_take_request(struct rd_conn *conn, struct rd_request *request)
{
    bool body_follows = request != NULL && request->opcode == RD_OPCODE_CONTINUE;
    if (!body_follows) /* for which there is room */
        conn->admitted = 0;
    conn->requested = true;
    conn->head_ms = 0;
    if (request == NULL) /* no memory; the codec says CLOSED next */
        return;
    refuse_if_full(conn, request);
    conn->request_count++;
    count_taken(conn);
    bool close_after = request->close_after;
    struct rd_call *call = rd_call_create(conn, request);
    if (call == NULL) {
        rd_conn_log(conn, RD_LOG_ERROR, "connection closed: no memory for a request");
        rd_conn_close(conn);
        return;
    }
    call->number = conn->request_count;
    if (request->trace_wanted && request->trace == NULL)
        rd_conn_make_trace(conn, call);
    call->prev = conn->calls_last;
    if (conn->calls_last != NULL)
        conn->calls_last->next = call;
    else
        conn->calls_first = call;
    conn->calls_last = call;
    conn->call_count++;
    conn->cost += call->cost;
    rd_dispatch_call(call);
    if (close_after)
        rd_conn_end_input(conn);
}

/* Moves *input over what was decoded; something is left where we have paused, or where it does not matter. */
static void consume(struct rd_conn *conn, struct rd_slice *input)
{
    while (conn->state == RD_CONN_OPEN && !conn->paused) {
        if (conn->draining && !rd_conn_expects_input(conn)) {
            rd_conn_end_input(conn);
            return;
        }
        if (input->len != 0 && share_is_used(conn)) {
            conn->shared_out = true;
            pause_input(conn);
            return;
        }
        struct rd_request *request = NULL;
        switch (conn->codec->decode(conn->decoder, input, &request)) {
        case RD_DECODE_MORE:
            return;
        case RD_DECODE_PART:
            count_taken(conn);
            rd_conn_take_part(conn, conn->codec->part(conn->decoder));
            pause_if_full(conn);
            break;
        case RD_DECODE_CLOSED:
            rd_conn_end_input(conn);
            return;
        case RD_DECODE_REQUEST:
            rd_conn_take_request(conn, request);
            pause_if_full(conn);
            break;
        }
    }
}

uint8_t *rd_conn_input_room(struct rd_conn *conn, size_t *ret_len)
{
    size_t len = 0;
    uint8_t *target = NULL;
    if (conn->state == RD_CONN_OPEN && conn->decoder != NULL)
        target = conn->codec->fill_target(conn->decoder, &len);
    if (target == NULL || len == 0) {
        target = conn->loop->read_buffer;
        len = rd_conn_read_len(conn);
    }
    *ret_len = len < RD_CONN_TURN_LEN_MAX ? len : RD_CONN_TURN_LEN_MAX;
    return target;
}

static void on_read_end(struct rd_conn *conn, ssize_t status)
{
    rd_conn_stop_reading(conn);
    conn->peer_ended = true;
    if (conn->tls != NULL)
        rd_conn_tls_note_eof(conn);
    if (status == UV_EOF && conn->state == RD_CONN_OPEN) {
        rd_conn_end_input(conn);
        return;
    }
    if (status != UV_EOF)
        rd_conn_log(conn, RD_LOG_DEBUG, "connection lost: %s", uv_strerror((int)status));
    rd_conn_close(conn);
}

void rd_conn_take_input(struct rd_conn *conn, const uint8_t *data, size_t len)
{
    struct rd_slice input = rd_slice(data, len);
    if (conn->decoder == NULL &&
        !rd_conn_choose_codec(conn, data[0] >= 0x80 ? &rd_binary_codec : &rd_http_codec)) {
        rd_conn_close(conn);
        return;
    }
    if (conn->refused) {
        rd_conn_refuse(conn);
        return;
    }
    if (data != conn->loop->read_buffer) {
        conn->codec->fill_done(conn->decoder, len);
        input = rd_slice(data, 0);
    }
    consume(conn, &input);
    if (conn->state == RD_CONN_OPEN && input.len != 0) {
        rd_buffer_append_slice(&conn->pending, input);
        rd_conn_charge(conn);
        if (conn->pending.failed)
            rd_conn_close(conn);
    }
    if (conn->state == RD_CONN_OPEN)
        rd_conn_note_arrival(conn, len); /* what TLS adds is no part of a request */
}

/* Where the next bytes go, and how many may come before a turn's share is full; never none. */
static uv_buf_t receive_room(struct rd_conn *conn)
{
    size_t len = conn->tls != NULL ? rd_conn_read_len(conn) : 0;
    uint8_t *target = conn->tls != NULL ? conn->loop->sealed_buffer : rd_conn_input_room(conn, &len);
    size_t left =
        conn->turn_len < RD_CONN_TURN_LEN_MAX ? RD_CONN_TURN_LEN_MAX - conn->turn_len : RD_CONN_TURN_LEN_MAX;
    return uv_buf_init((char *)target, (unsigned)(len < left ? len : left));
}

static void take_received(struct rd_conn *conn, const uint8_t *data, size_t len)
{
    conn->input_ms = uv_now(&conn->loop->uv);
    conn->turn_len += len;
    conn->loop->turn_received += len;
    rd_counter_add(&conn->loop->counts.received_bytes, len);
    if (conn->state == RD_CONN_OPEN && conn->tls != NULL)
        rd_conn_tls_take(conn, rd_slice(data, len));
    else if (conn->state == RD_CONN_OPEN)
        rd_conn_take_input(conn, data, len);
    else if (conn->state == RD_CONN_LINGERING)
        conn->linger_len += len;
    if (conn->turn_len >= RD_CONN_TURN_LEN_MAX)
        rd_conn_stop_reading(conn);
    rd_conn_mark_dirty(conn);
}

/* Whether more may be there: the buffer was filled. */
static bool receive(struct rd_conn *conn)
{
    uv_buf_t room = receive_room(conn);
    ssize_t len = rd_socket_receive(conn->socket, room.base, room.len);
    if (len == UV_EAGAIN)
        return false;
    if (len < 0) {
        on_read_end(conn, len);
        return false;
    }
    take_received(conn, (const uint8_t *)room.base, (size_t)len);
    return (size_t)len == room.len;
}

/* libuv is given no buffer: as it documents, it then reads nothing, and says so by UV_ENOBUFS. */
static void give_no_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)handle;
    (void)suggested;
    *buffer = uv_buf_init(NULL, 0);
}

static void on_readable(uv_stream_t *stream, ssize_t status, const uv_buf_t *buffer)
{
    (void)buffer;
    struct rd_conn *conn = stream->data;
    if (status != UV_ENOBUFS) {
        on_read_end(conn, status);
        return;
    }
    rd_loop_answer_early(conn->loop);
    while (conn->reading && receive(conn))
        ;
}

/* Kept until its turn comes: it may be closed before. */
static void wait_for_turn(struct rd_conn *conn)
{
    struct rd_conn_queue *waiting = &conn->loop->waiting;
    conn->waiting = true;
    conn->waiting_next = NULL;
    if (waiting->count++ == 0)
        waiting->first = conn;
    else
        waiting->last->waiting_next = conn;
    waiting->last = conn;
    rd_conn_keep(conn);
    rd_loop_go_on(conn->loop);
}

void rd_conn_end_wait(struct rd_conn_queue *waiting)
{
    struct rd_conn *conn = waiting->first;
    waiting->first = conn->waiting_next;
    waiting->count--;
    conn->waiting = false;
    rd_conn_mark_dirty(conn);
    rd_conn_let_go(conn);
}

/* Who had but used its share has been stopped by no limit. */
static bool may_go_on(struct rd_conn *conn)
{
    return !conn->paused || (conn->shared_out ? !is_full(conn) : has_room(conn));
}

void rd_conn_resume(struct rd_conn *conn)
{
    conn->turn_len = 0;
    if (conn->state != RD_CONN_OPEN || conn->waiting || !may_go_on(conn))
        return;
    /* Without input too: the decoder may have kept the end of a stream whose last bytes made us pause. */
    bool decode_again = conn->paused || conn->pending.len != 0;
    if (decode_again && (share_is_used(conn) || conn->resumed_turn == conn->loop->turn)) {
        wait_for_turn(conn); /* or thousands of short requests, of many connections, would be one turn */
        return;
    }
    if (decode_again)
        conn->resumed_turn = conn->loop->turn;
    if (conn->paused)
        conn->resumed_ms = uv_now(&conn->loop->uv);
    conn->paused = false;
    conn->shared_out = false;
    if (decode_again) {
        struct rd_slice input = rd_buffer_slice(&conn->pending);
        consume(conn, &input);
        if (conn->state == RD_CONN_OPEN)
            rd_buffer_consume(&conn->pending, conn->pending.len - input.len);
        if (conn->pending.len == 0 && conn->pending.capacity > PENDING_KEPT_MAX)
            rd_buffer_deinit(&conn->pending);
        rd_conn_mark_dirty(conn);
    }
    if (conn->tls != NULL)
        rd_conn_tls_resume(conn);
    if (conn->state == RD_CONN_OPEN && !conn->paused)
        rd_conn_start_reading(conn);
}
