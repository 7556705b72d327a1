/* SPDX-License-Identifier: MIT */
#include "server/conn.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "protocol/binary.h"
#include "protocol/http.h"
#include "server/dispatch.h"
#include "server/download.h"
#include "server/lane.h"
#include "server/log.h"
#include "server/loop.h"
#include "server/outbox.h"
#include "server/stores.h"
#include "server/upload.h"

#define TURN_INPUT_LEN_MAX  (256u << 10) /* taken from one connection in one turn of the loop */
#define TURN_OUTPUT_LEN_MAX (1u << 20)   /* likewise sent without waiting for the next turn */
#define UNSENT_LEN_HIGH     (1u << 20)   /* stops reading and encoding */
#define UNSENT_LEN_LOW      (512u << 10) /* reading goes on */
#define DOWNLOADS_LEN_LOW   (128u << 10) /* chunks are added below this: with one more, LOW is not reached */
#define COST_HIGH           (128u << 20) /* bytes of requests in flight; stops reading */
#define COST_LOW            (64u << 20)
#define ANSWER_LEN_MAX      (128u << 20) /* encoded bytes of one answer */
#define COPIED_VALUE_MAX    4096u        /* longer values leave from the map */
#define LINGER_MS           1000u
#define STREAM_PART         4u /* of the requests in flight so many may be uploads, and as many downloads */

enum conn_state { STATE_OPEN, STATE_ENDING, STATE_LINGERING, STATE_CLOSING };

struct rd_conn {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    struct rd_loop *loop;        /* borrows */
    struct rd_conn *prev, *next; /* of the loop's */
    struct rd_conn *dirty_next;
    bool dirty; /* in the loop's list of connections to flush */

    enum conn_state state;
    bool paused;     /* OPEN: a high-water mark was passed and no low one since */
    bool reading;    /* libuv reads for us */
    bool draining;   /* the daemon stops */
    bool peer_ended; /* end of file was read */
    bool writing;    /* `write` is under way */
    bool handle_closed;
    unsigned keep_count; /* callers up the stack that will still touch this */

    const struct rd_codec *codec; /* NULL until the first byte of a connection that may be either */
    struct rd_decoder *decoder;   /* owned; NULL likewise */
    struct rd_buffer pending;     /* input that came with what made us pause */
    size_t turn_len;              /* bytes read in this turn */

    struct rd_call *calls_first; /* owned; all, in the order sent */
    struct rd_call *calls_last;
    struct rd_call *ready_first; /* FINISHED ones in the order of finishing; unused where answers go in order */
    struct rd_call *ready_last;
    unsigned call_count;
    size_t cost;             /* of all calls, bytes */
    struct rd_lane *lanes;   /* owned */
    struct rd_call *uploads; /* UPLOADING ones, by queue_next */
    unsigned upload_count;
    struct rd_call *barrier; /* no request is taken until this one is done */
    struct rd_downloads downloads;

    struct rd_outbox out;
    uv_write_t write;
    size_t write_len; /* bytes of it */
    uv_shutdown_t shutdown;
    uint64_t input_ms;  /* last progress, uv_now */
    uint64_t output_ms; /* last progress, or when there first was something to send */
    uint64_t linger_ms; /* LINGERING since */
};

static void end_input(struct rd_conn *conn);
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer);
static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buffer);

/* ---- small things ----------------------------------------------------------------------------------------- */

struct rd_loop *rd_conn_loop(const struct rd_conn *conn)
{
    return conn->loop;
}

struct rd_lane **rd_conn_lanes(struct rd_conn *conn)
{
    return &conn->lanes;
}

struct rd_conn *rd_conn_next(const struct rd_conn *conn)
{
    return conn->next;
}

struct rd_conn *rd_conn_take_dirty(struct rd_conn **list)
{
    struct rd_conn *conn = *list;
    if (conn != NULL) {
        *list = conn->dirty_next;
        conn->dirty = false;
    }
    return conn;
}

static void mark_dirty(struct rd_conn *conn)
{
    if (conn->dirty || conn->state == STATE_CLOSING)
        return;
    conn->dirty = true;
    conn->dirty_next = conn->loop->dirty_conns;
    conn->loop->dirty_conns = conn;
}

bool rd_conn_is_closing(const struct rd_conn *conn)
{
    return conn->state == STATE_CLOSING;
}

static bool mid_request(const struct rd_conn *conn)
{
    if (conn->uploads != NULL)
        return true;
    return conn->decoder != NULL && conn->codec->mid_request(conn->decoder);
}

/* What a stop lets come in: the rest of a request, the credit of a download. */
static bool expects_input(const struct rd_conn *conn)
{
    return mid_request(conn) || conn->downloads.first != NULL;
}

static void start_reading(struct rd_conn *conn)
{
    if (conn->reading || conn->peer_ended)
        return;
    conn->input_ms = uv_now(&conn->loop->uv);
    conn->reading = uv_read_start(&conn->uv.stream, on_alloc, on_read) == 0;
    if (!conn->reading)
        rd_conn_close(conn);
}

static void stop_reading(struct rd_conn *conn)
{
    if (conn->reading)
        uv_read_stop(&conn->uv.stream);
    conn->reading = false;
}

/* ---- opening and closing ---------------------------------------------------------------------------------- */

static void free_if_done(struct rd_conn *conn)
{
    if (!conn->handle_closed || conn->calls_first != NULL || conn->keep_count != 0)
        return;
    assert(!conn->dirty);
    struct rd_loop *loop = conn->loop;
    if (conn->prev != NULL)
        conn->prev->next = conn->next;
    else
        loop->conns = conn->next;
    if (conn->next != NULL)
        conn->next->prev = conn->prev;
    rd_lanes_destroy(&conn->lanes);
    rd_buffer_deinit(&conn->pending);
    if (conn->decoder != NULL)
        conn->codec->destroy(conn->decoder);
    free(conn);
    rd_loop_conn_gone(loop);
}

void rd_conn_keep(struct rd_conn *conn)
{
    conn->keep_count++;
}

void rd_conn_let_go(struct rd_conn *conn)
{
    conn->keep_count--;
    free_if_done(conn);
}

static void on_closed(uv_handle_t *handle)
{
    struct rd_conn *conn = handle->data;
    conn->handle_closed = true;
    rd_outbox_deinit(&conn->out);
    rd_downloads_destroy(&conn->downloads);
    free_if_done(conn);
}

static void remove_call(struct rd_conn *conn, struct rd_call *call)
{
    if (call->prev != NULL)
        call->prev->next = call->next;
    else
        conn->calls_first = call->next;
    if (call->next != NULL)
        call->next->prev = call->prev;
    else
        conn->calls_last = call->prev;
    conn->call_count--;
    conn->cost -= call->cost;
    rd_call_destroy(call);
}

void rd_conn_close(struct rd_conn *conn)
{
    if (conn->state == STATE_CLOSING)
        return;
    conn->state = STATE_CLOSING;
    conn->reading = false;
    for (struct rd_lane *lane = conn->lanes; lane != NULL; lane = lane->next)
        rd_lane_forget_waiting(lane);
    conn->ready_first = NULL;
    conn->uploads = NULL;
    for (struct rd_call *call = conn->calls_first; call != NULL;) {
        struct rd_call *next = call->next;
        if (call->state == RD_CALL_WAITING || call->state == RD_CALL_FINISHED ||
            (call->state == RD_CALL_UPLOADING && !rd_upload_is_working(call)))
            remove_call(conn, call);
        call = next;
    }
    uv_close(&conn->uv.handle, on_closed);
}

static bool choose_codec(struct rd_conn *conn, const struct rd_codec *codec)
{
    conn->codec = codec;
    conn->decoder = codec->create(&conn->loop->limits);
    return conn->decoder != NULL;
}

static int open_handle(struct rd_conn *conn, int fd, bool is_unix)
{
    if (is_unix) {
        uv_pipe_init(&conn->loop->uv, &conn->uv.pipe, 0);
        return uv_pipe_open(&conn->uv.pipe, fd);
    }
    int status = uv_tcp_init(&conn->loop->uv, &conn->uv.tcp);
    if (status == 0)
        status = uv_tcp_open(&conn->uv.tcp, fd);
    if (status == 0) {
        (void)uv_tcp_nodelay(&conn->uv.tcp, 1); /* a hint: without it answers are only later */
        (void)uv_tcp_keepalive(&conn->uv.tcp, 1, 60);
    }
    return status;
}

void rd_conn_open(struct rd_loop *loop, int fd, bool is_unix, const struct rd_codec *codec)
{
    struct rd_conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL) {
        rd_log(RD_LOG_ERROR, "connection refused: no memory");
        close(fd);
        loop->conn_count++;
        rd_loop_conn_gone(loop);
        return;
    }
    conn->loop = loop;
    loop->conn_count++;
    conn->next = loop->conns;
    if (loop->conns != NULL)
        loop->conns->prev = conn;
    loop->conns = conn;
    rd_outbox_init(&conn->out);
    rd_buffer_init(&conn->pending, RD_LOOP_READ_BUFFER_LEN);

    int status = open_handle(conn, fd, is_unix);
    conn->uv.handle.data = conn;
    if (status != 0) {
        rd_log(RD_LOG_ERROR, "connection refused: %s", uv_strerror(status));
        close(fd);
        rd_conn_close(conn);
    } else if (codec != NULL && !choose_codec(conn, codec)) {
        rd_log(RD_LOG_ERROR, "connection refused: no memory");
        rd_conn_close(conn);
    } else {
        start_reading(conn);
    }
}

/* ---- uploads and barriers --------------------------------------------------------------------------------- */

bool rd_conn_uploads_are_full(const struct rd_conn *conn)
{
    return conn->upload_count >= conn->loop->limits.in_flight_max / STREAM_PART;
}

bool rd_conn_downloads_are_full(const struct rd_conn *conn)
{
    return conn->downloads.count >= conn->loop->limits.in_flight_max / STREAM_PART;
}

void rd_conn_upload_begun(struct rd_conn *conn, struct rd_call *call)
{
    call->queue_next = conn->uploads;
    conn->uploads = call;
    conn->upload_count++;
}

void rd_conn_upload_over(struct rd_conn *conn, struct rd_call *call, bool whole)
{
    struct rd_call **at = &conn->uploads;
    while (*at != NULL && *at != call)
        at = &(*at)->queue_next;
    if (*at != NULL) {
        *at = call->queue_next;
        conn->upload_count--;
    }
    if (!whole && conn->codec->answers_in_order) {
        call->request->close_after = true;
        end_input(conn);
    }
    mark_dirty(conn);
}

void rd_conn_upload_credit(struct rd_conn *conn, const struct rd_call *call, uint64_t len)
{
    mark_dirty(conn);
    if (conn->codec->encode_part == NULL || conn->state == STATE_CLOSING)
        return;
    struct rd_stream_part part = {.kind = RD_STREAM_CREDIT, .id = call->request->id, .credit = len};
    if (conn->out.unsent == 0)
        conn->output_ms = uv_now(&conn->loop->uv);
    struct rd_buffer *bytes = rd_outbox_begin(&conn->out, ANSWER_LEN_MAX);
    conn->codec->encode_part(&part, bytes);
    if (bytes->failed)
        rd_outbox_rollback(&conn->out); /* the peer waits, and its deadline ends it */
    else
        rd_outbox_commit(&conn->out);
}

/* Credit for a download, or its end, that came before its answer has left. */
static void note_early_part(struct rd_conn *conn, const struct rd_stream_part *part)
{
    struct rd_call *call = conn->calls_first;
    while (call != NULL && (call->request->opcode != RD_OPCODE_READ_STREAM || call->request->id != part->id))
        call = call->next;
    if (call == NULL)
        return;
    struct rd_request *request = call->request;
    if (part->kind == RD_STREAM_ABORT)
        call->stream_cancelled = true;
    else if (part->credit > UINT64_MAX - request->stream_credit)
        request->stream_credit = UINT64_MAX;
    else
        request->stream_credit += part->credit;
}

/* Parts of what has been answered already are left over: the peer could not know. */
static void take_part(struct rd_conn *conn, const struct rd_stream_part *part)
{
    struct rd_call *upload = conn->uploads;
    while (upload != NULL && upload->request->id != part->id)
        upload = upload->queue_next;
    if (upload != NULL) {
        rd_upload_take_part(upload, part);
        return;
    }
    bool of_reader = part->kind == RD_STREAM_CREDIT || part->kind == RD_STREAM_ABORT;
    if (of_reader && !rd_download_take_part(&conn->downloads, part))
        note_early_part(conn, part);
    mark_dirty(conn);
}

/* No further part will come. */
static void fail_uploads(struct rd_conn *conn, enum rd_status status, const char *message)
{
    for (struct rd_call *call = conn->uploads; call != NULL;) {
        struct rd_call *next = call->queue_next;
        rd_upload_fail(call, status, message);
        call = next;
    }
}

void rd_conn_set_barrier(struct rd_conn *conn, struct rd_call *call)
{
    call->mode = RD_CALL_BARRIER;
    call->state = RD_CALL_WAITING;
    conn->barrier = call;
    rd_conn_run_barrier(conn, false);
}

void rd_conn_run_barrier(struct rd_conn *conn, bool finished)
{
    if (finished) {
        conn->barrier = NULL;
        mark_dirty(conn);
    }
    struct rd_call *call = conn->barrier;
    if (call == NULL || call->state != RD_CALL_WAITING || conn->state == STATE_CLOSING)
        return;
    for (const struct rd_lane *lane = conn->lanes; lane != NULL; lane = lane->next)
        if (lane->call_count != 0)
            return;
    call->state = RD_CALL_RUNNING;
    rd_dispatch_run(call);
}

/* ---- input ------------------------------------------------------------------------------------------------ */

/* An upload whose protocol has no credit is held back by not reading. */
static bool upload_is_full(const struct rd_conn *conn)
{
    return conn->uploads != NULL && conn->codec->answers_in_order && rd_upload_is_full(conn->uploads);
}

static bool is_full(const struct rd_conn *conn)
{
    if (conn->barrier != NULL || upload_is_full(conn))
        return true;
    return conn->call_count >= conn->loop->limits.in_flight_max || conn->cost >= COST_HIGH ||
           conn->out.unsent >= UNSENT_LEN_HIGH;
}

static bool has_room(const struct rd_conn *conn)
{
    if (conn->barrier != NULL || upload_is_full(conn))
        return false;
    return conn->call_count <= conn->loop->limits.in_flight_max / 2 && conn->cost <= COST_LOW &&
           conn->out.unsent <= UNSENT_LEN_LOW;
}

static void pause_if_full(struct rd_conn *conn)
{
    if (conn->paused || !is_full(conn))
        return;
    conn->paused = true;
    stop_reading(conn);
}

/* For downloads that must not wait for what cannot come. */
static void end_credit(struct rd_conn *conn)
{
    if (conn->draining)
        rd_downloads_end_credit(&conn->downloads, RD_UNAVAILABLE, "the server stops");
    else
        rd_downloads_end_credit(&conn->downloads, RD_INVALID_ARGUMENT,
                                "the connection's input ended before the credit for the value had come");
}

/* OPEN -> ENDING. What is left of the input is dropped. */
static void end_input(struct rd_conn *conn)
{
    if (conn->state != STATE_OPEN)
        return;
    conn->state = STATE_ENDING;
    stop_reading(conn);
    rd_buffer_deinit(&conn->pending);
    rd_buffer_init(&conn->pending, RD_LOOP_READ_BUFFER_LEN);
    fail_uploads(conn, RD_INVALID_ARGUMENT, "the connection's input ended before the stream did");
    end_credit(conn);
    mark_dirty(conn);
}

static void take_request(struct rd_conn *conn, struct rd_request *request)
{
    if (request == NULL) /* no memory; the codec says CLOSED next */
        return;
    bool close_after = request->close_after;
    struct rd_call *call = rd_call_create(conn, request);
    if (call == NULL) {
        rd_log(RD_LOG_ERROR, "connection closed: no memory for a request");
        rd_conn_close(conn);
        return;
    }
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
        end_input(conn);
}

/* Moves *input over what was decoded; something is left where we have paused, or where it does not matter. */
static void consume(struct rd_conn *conn, struct rd_slice *input)
{
    while (conn->state == STATE_OPEN && !conn->paused) {
        if (conn->draining && !expects_input(conn)) {
            end_input(conn);
            return;
        }
        struct rd_request *request = NULL;
        switch (conn->codec->decode(conn->decoder, input, &request)) {
        case RD_DECODE_MORE:
            return;
        case RD_DECODE_PART:
            take_part(conn, conn->codec->part(conn->decoder));
            pause_if_full(conn);
            break;
        case RD_DECODE_CLOSED:
            end_input(conn);
            return;
        case RD_DECODE_REQUEST:
            take_request(conn, request);
            pause_if_full(conn);
            break;
        }
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    struct rd_conn *conn = handle->data;
    size_t len = 0;
    uint8_t *target = NULL;
    if (conn->state == STATE_OPEN && conn->decoder != NULL)
        target = conn->codec->fill_target(conn->decoder, &len);
    if (target == NULL || len == 0) {
        target = conn->loop->read_buffer;
        len = RD_LOOP_READ_BUFFER_LEN;
    }
    if (len > TURN_INPUT_LEN_MAX)
        len = TURN_INPUT_LEN_MAX;
    *buffer = uv_buf_init((char *)target, (unsigned)len);
}

static void on_read_end(struct rd_conn *conn, ssize_t status)
{
    conn->reading = false;
    conn->peer_ended = true;
    if (status == UV_EOF && conn->state == STATE_OPEN) {
        end_input(conn);
        return;
    }
    if (status != UV_EOF)
        rd_log(RD_LOG_DEBUG, "connection lost: %s", uv_strerror((int)status));
    rd_conn_close(conn);
}

static void take_input(struct rd_conn *conn, const uint8_t *data, size_t len)
{
    struct rd_slice input = rd_slice(data, len);
    if (conn->decoder == NULL && !choose_codec(conn, data[0] >= 0x80 ? &rd_binary_codec : &rd_http_codec)) {
        rd_conn_close(conn);
        return;
    }
    if (data != conn->loop->read_buffer) {
        conn->codec->fill_done(conn->decoder, len);
        input = rd_slice(data, 0);
    }
    consume(conn, &input);
    if (conn->state == STATE_OPEN && input.len != 0) {
        rd_buffer_append_slice(&conn->pending, input);
        if (conn->pending.failed)
            rd_conn_close(conn);
    }
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buffer)
{
    struct rd_conn *conn = stream->data;
    if (len == 0)
        return;
    if (len < 0) {
        on_read_end(conn, len);
        return;
    }
    conn->input_ms = uv_now(&conn->loop->uv);
    conn->turn_len += (size_t)len;
    if (conn->state == STATE_OPEN)
        take_input(conn, (const uint8_t *)buffer->base, (size_t)len);
    if (conn->turn_len >= TURN_INPUT_LEN_MAX)
        stop_reading(conn);
    mark_dirty(conn);
}

/* ---- output ----------------------------------------------------------------------------------------------- */

void rd_conn_take_finished(struct rd_conn *conn, struct rd_call *call)
{
    if (conn->state == STATE_CLOSING) {
        remove_call(conn, call);
        return;
    }
    if (!conn->codec->answers_in_order) {
        call->queue_next = NULL;
        if (conn->ready_first == NULL)
            conn->ready_first = call;
        else
            conn->ready_last->queue_next = call;
        conn->ready_last = call;
    }
    mark_dirty(conn);
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

/* False: not even an error could be encoded. */
static bool encode_head(struct rd_conn *conn, struct rd_call *call, size_t *ret_value_len)
{
    struct rd_buffer *bytes = rd_outbox_begin(&conn->out, ANSWER_LEN_MAX);
    *ret_value_len = conn->codec->encode(call->request, &call->response, bytes);
    if (!bytes->failed)
        return true;
    rd_outbox_rollback(&conn->out);
    struct rd_response error = {.status = RD_TOO_LARGE,
                                .message = "the answer would be too large; ask for less at a time"};
    bytes = rd_outbox_begin(&conn->out, ANSWER_LEN_MAX);
    *ret_value_len = 0;
    (void)conn->codec->encode(call->request, &error, bytes);
    return !bytes->failed;
}

static bool encode(struct rd_conn *conn, struct rd_call *call)
{
    size_t value_len;
    if (conn->out.unsent == 0)
        conn->output_ms = uv_now(&conn->loop->uv);
    if (!encode_head(conn, call, &value_len))
        return false;
    if (value_len > COPIED_VALUE_MAX) {
        assert(value_len == call->value.payload.len && call->hosted != NULL);
        rd_outbox_commit(&conn->out);
        if (!rd_outbox_append_value(&conn->out, &call->value, call->hosted, call->verify_while_sending))
            return false;
        call->hosted = NULL;
        return true;
    }
    struct rd_buffer *bytes = &conn->out.filling.bytes;
    if (call->request->opcode == RD_OPCODE_READ_STREAM && call->response.status == RD_OK &&
        !rd_download_begin(&conn->downloads, call))
        return false;
    if (conn->state != STATE_OPEN)
        end_credit(conn);
    rd_buffer_append(bytes, call->response.value.data, value_len);
    rd_outbox_commit(&conn->out);
    return !bytes->failed;
}

static void close_for_memory(struct rd_conn *conn)
{
    rd_log(RD_LOG_ERROR, "connection closed: no memory for an answer");
    rd_conn_close(conn);
}

static void encode_ready(struct rd_conn *conn)
{
    struct rd_call *call;
    while (conn->out.unsent < UNSENT_LEN_HIGH && (call = take_ready(conn)) != NULL) {
        bool good = encode(conn, call);
        remove_call(conn, call);
        if (!good) {
            close_for_memory(conn);
            return;
        }
    }
    bool failed = false;
    /* Less than requests may have unsent, or a paused connection would not be read again before they end. */
    while (
        conn->out.unsent < DOWNLOADS_LEN_LOW && conn->downloads.first != NULL &&
        rd_download_send_one(&conn->downloads, conn->codec, &conn->out, conn->loop->limits.chunk_len_max, &failed))
        continue;
    if (failed)
        close_for_memory(conn);
}

static void on_written(uv_write_t *write, int status)
{
    struct rd_conn *conn = write->data;
    conn->writing = false;
    if (conn->state == STATE_CLOSING)
        return;
    if (status != 0) {
        rd_log(RD_LOG_DEBUG, "connection lost: %s", uv_strerror(status));
        rd_conn_close(conn);
        return;
    }
    rd_outbox_sent(&conn->out, conn->write_len);
    conn->output_ms = uv_now(&conn->loop->uv);
    mark_dirty(conn);
}

/* What is next to be sent; closes the connection where that must not leave. */
static bool peek(struct rd_conn *conn, uv_buf_t buffers[RD_OUTBOX_IOV_MAX], unsigned *ret_count, size_t *ret_len)
{
    if (rd_outbox_peek(&conn->out, buffers, ret_count, ret_len) == RD_OK)
        return true;
    rd_log(RD_LOG_ERROR, "connection closed: the value being sent does not match its checksum");
    rd_conn_close(conn);
    return false;
}

/* Hands over to libuv, which waits for the socket; one such write at a time. */
static void start_write(struct rd_conn *conn)
{
    uv_buf_t buffers[RD_OUTBOX_IOV_MAX];
    unsigned count;
    if (conn->out.unsent == 0 || !peek(conn, buffers, &count, &conn->write_len))
        return;
    conn->write.data = conn;
    int status = uv_write(&conn->write, &conn->uv.stream, buffers, count, on_written);
    if (status != 0) {
        rd_log(RD_LOG_DEBUG, "connection lost: %s", uv_strerror(status));
        rd_conn_close(conn);
        return;
    }
    conn->writing = true;
}

static void send_unsent(struct rd_conn *conn)
{
    size_t turn_len = 0;
    while (conn->state != STATE_CLOSING && !conn->writing && conn->out.unsent != 0) {
        uv_buf_t buffers[RD_OUTBOX_IOV_MAX];
        unsigned count;
        size_t len;
        if (!peek(conn, buffers, &count, &len))
            return;
        int sent = uv_try_write(&conn->uv.stream, buffers, count);
        if (sent < 0 && sent != UV_EAGAIN) {
            rd_log(RD_LOG_DEBUG, "connection lost: %s", uv_strerror(sent));
            rd_conn_close(conn);
            return;
        }
        if (sent > 0) {
            rd_outbox_sent(&conn->out, (size_t)sent);
            conn->output_ms = uv_now(&conn->loop->uv);
            turn_len += (size_t)sent;
        }
        bool all_sent = sent >= 0 && (size_t)sent == len;
        if (all_sent)
            encode_ready(conn); /* before any wait: with nothing unsent no event would bring us back */
        if (conn->state != STATE_CLOSING && (!all_sent || turn_len >= TURN_OUTPUT_LEN_MAX))
            start_write(conn);
    }
}

/* ---- the end of a turn ------------------------------------------------------------------------------------ */

static void resume(struct rd_conn *conn)
{
    conn->turn_len = 0;
    if (conn->state != STATE_OPEN || (conn->paused && !has_room(conn)))
        return;
    /* Without input too: the decoder may have kept the end of a stream whose last bytes made us pause. */
    bool decode_again = conn->paused || conn->pending.len != 0;
    conn->paused = false;
    if (decode_again) {
        struct rd_slice input = rd_buffer_slice(&conn->pending);
        consume(conn, &input);
        if (conn->state == STATE_OPEN)
            rd_buffer_consume(&conn->pending, conn->pending.len - input.len);
        mark_dirty(conn);
    }
    if (conn->state == STATE_OPEN && !conn->paused)
        start_reading(conn);
}

static void on_shutdown(uv_shutdown_t *shutdown, int status)
{
    (void)shutdown;
    (void)status; /* the peer is gone: reading, or the sweep, ends this */
}

/* ENDING -> LINGERING. Closing with unread input would have the kernel reset the connection and the peer lose the
 * answers that are still on their way. */
static void linger(struct rd_conn *conn)
{
    if (conn->peer_ended || uv_shutdown(&conn->shutdown, &conn->uv.stream, on_shutdown) != 0) {
        rd_conn_close(conn);
        return;
    }
    conn->state = STATE_LINGERING;
    conn->linger_ms = uv_now(&conn->loop->uv);
    start_reading(conn);
}

static bool is_quiet(const struct rd_conn *conn)
{
    return conn->calls_first == NULL && conn->downloads.first == NULL && conn->out.unsent == 0 && !conn->writing;
}

static void settle(struct rd_conn *conn)
{
    if (conn->state == STATE_OPEN && conn->draining && !expects_input(conn))
        end_input(conn);
    if (conn->state == STATE_ENDING && is_quiet(conn))
        linger(conn);
    else if (conn->state == STATE_LINGERING && conn->turn_len != 0) {
        conn->turn_len = 0;
        start_reading(conn);
    }
}

void rd_conn_flush(struct rd_conn *conn)
{
    if (conn->state == STATE_CLOSING)
        return;
    encode_ready(conn);
    send_unsent(conn);
    resume(conn);
    settle(conn);
}

/* ---- stopping and deadlines ------------------------------------------------------------------------------- */

void rd_conn_drain(struct rd_conn *conn)
{
    conn->draining = true;
    if (conn->state == STATE_OPEN && is_quiet(conn) && !mid_request(conn))
        rd_conn_close(conn);
    else
        mark_dirty(conn);
}

/* Uploads whose parts have stopped coming although they may. */
static void sweep_uploads(struct rd_conn *conn, uint64_t now_ms)
{
    for (struct rd_call *call = conn->uploads; call != NULL;) {
        struct rd_call *next = call->queue_next;
        if (!rd_upload_is_working(call) && now_ms - rd_upload_progress_ms(call) >= conn->loop->stall_ms)
            rd_upload_fail(call, RD_TIMEOUT, "the stream's bytes did not come in time");
        call = next;
    }
}

void rd_conn_sweep(struct rd_conn *conn, const struct rd_sweep *sweep)
{
    const char *reason = NULL;
    bool unsent = conn->out.unsent != 0;
    if (conn->state == STATE_CLOSING)
        return;
    sweep_uploads(conn, sweep->now_ms);
    if (rd_downloads_sweep(&conn->downloads, sweep->now_ms, conn->loop->stall_ms))
        mark_dirty(conn);
    if (unsent && (sweep->end_output || sweep->now_ms - conn->output_ms >= conn->loop->stall_ms))
        reason = "it does not take its answers";
    else if (conn->reading && mid_request(conn) && sweep->now_ms - conn->input_ms >= conn->loop->stall_ms)
        reason = "its request does not arrive";
    if (reason != NULL) {
        rd_log(RD_LOG_INFO, "connection closed: %s", reason);
        rd_conn_close(conn);
    } else if (conn->state == STATE_LINGERING && sweep->now_ms - conn->linger_ms >= LINGER_MS) {
        rd_conn_close(conn);
    } else if (conn->state == STATE_OPEN && sweep->end_uploads) {
        end_input(conn);
    }
}
