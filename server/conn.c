/* SPDX-License-Identifier: MIT
 *
 * conn.c - a connection from its opening to its end.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "server/conn_state.h"
#include "server/lane.h"
#include "server/log.h"
#include "server/loop.h"
#include "server/upload.h"

#define LINGER_MS         1000u        /* whatever comes meanwhile */
#define LINGER_SILENCE_MS 5000u        /* after that, of a peer that had more to send: since the last of it */
#define LINGER_LEN_MAX    (256u << 20) /* and bytes, in all */

/* ---- small things ----------------------------------------------------------------------------------------- */

/* "" where the socket has no such address. */
static void address_text(const struct rd_conn *conn, bool of_peer, char *to, size_t to_size)
{
    struct sockaddr_storage storage;
    int len = sizeof storage;
    char host[INET6_ADDRSTRLEN];
    to[0] = '\0';
    if (conn->uv.handle.type != UV_TCP)
        return;
    struct sockaddr *address = (struct sockaddr *)&storage;
    int status = of_peer ? uv_tcp_getpeername(&conn->uv.tcp, address, &len)
                         : uv_tcp_getsockname(&conn->uv.tcp, address, &len);
    if (status != 0 || uv_ip_name(address, host, sizeof host) != 0)
        return;
    bool v6 = storage.ss_family == AF_INET6;
    in_port_t port =
        v6 ? ((struct sockaddr_in6 *)&storage)->sin6_port : ((struct sockaddr_in *)&storage)->sin_port;
    snprintf(to, to_size, v6 ? "[%s]:%u" : "%s:%u", host, (unsigned)ntohs(port));
}

void rd_conn_describe(const struct rd_conn *conn, struct rd_response_server *ret_server)
{
    ret_server->connection_id = conn->serial;
    ret_server->connection_s = (uv_now(&conn->loop->uv) - conn->opened_ms) / 1000;
    snprintf(ret_server->peer, sizeof ret_server->peer, "%s", conn->peer);
    address_text(conn, false, ret_server->local, sizeof ret_server->local);
    const char *colon = strrchr(ret_server->local, ':');
    ret_server->port = colon != NULL ? (uint32_t)strtoul(colon + 1, NULL, 10) : 0;
}

struct rd_identity *rd_conn_identity(struct rd_conn *conn)
{
    return &conn->identity;
}

void rd_conn_take_back(struct rd_conn *conn)
{
    if (conn->codec->refused != NULL)
        conn->codec->refused(conn->decoder);
}

void rd_conn_identify(const struct rd_conn *conn, struct rd_conn_identity *ret_identity)
{
    ret_identity->serial = conn->serial;
    snprintf(ret_identity->peer, sizeof ret_identity->peer, "%s", conn->peer);
}

void rd_conn_request_id(const struct rd_conn *conn, const struct rd_call *call,
                        char ret_id[RD_CONN_REQUEST_ID_SIZE])
{
    const struct rd_request *request = call->request;
    if (request->trace != NULL)
        snprintf(ret_id, RD_CONN_REQUEST_ID_SIZE, "%s", request->trace);
    else
        snprintf(ret_id, RD_CONN_REQUEST_ID_SIZE, "%llu-%llu", (unsigned long long)conn->serial,
                 (unsigned long long)(conn->codec->answers_in_order ? call->number : request->id));
}

void rd_conn_make_trace(struct rd_conn *conn, struct rd_call *call)
{
    char id[RD_CONN_REQUEST_ID_SIZE];
    rd_conn_request_id(conn, call, id);
    call->request->trace = strdup(id);
}

void rd_conn_log(const struct rd_conn *conn, enum rd_log_level level, const char *format, ...)
{
    struct rd_conn_identity identity;
    char message[256];
    va_list args;
    if (level == RD_LOG_INFO && !rd_log_share_take(&conn->loop->log_share, uv_now(&conn->loop->uv)))
        return;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    rd_conn_identify(conn, &identity);
    struct rd_log_field fields[] = {{.name = "connection", .number = identity.serial},
                                    {.name = "peer", .text = identity.peer}};
    rd_log_fields(level, fields, identity.peer[0] != '\0' ? 2 : 1, "%s", message);
}

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

void rd_conn_mark_dirty(struct rd_conn *conn)
{
    if (conn->dirty || conn->state == RD_CONN_CLOSING)
        return;
    conn->dirty = true;
    conn->dirty_next = conn->loop->dirty_conns;
    conn->loop->dirty_conns = conn;
}

/* Kept until its turn comes: it may be closed before. */
void rd_conn_get_in_line(struct rd_conn *conn)
{
    struct rd_loop *loop = conn->loop;
    if (conn->dirty)
        return; /* it is flushed in this turn, and then comes here again */
    conn->dirty = true;
    conn->in_line = true;
    conn->dirty_next = NULL;
    if (loop->line == NULL)
        loop->line = conn;
    else
        loop->line_last->dirty_next = conn;
    loop->line_last = conn;
    rd_conn_keep(conn);
    rd_loop_go_on(loop);
}

void rd_conn_take_from_line(struct rd_conn **line)
{
    struct rd_conn *conn = rd_conn_take_dirty(line);
    conn->in_line = false;
    conn->first_in_line = true;
    conn->output_ms = uv_now(&conn->loop->uv); /* the peer is not to be blamed */
    rd_conn_mark_dirty(conn);
    rd_conn_let_go(conn);
}

bool rd_conn_is_closing(const struct rd_conn *conn)
{
    return conn->state == RD_CONN_CLOSING;
}

/* The next byte that nobody has read: whether it has come; 0: the peer sends no more; < 0: errno. */
static ssize_t peek(const struct rd_conn *conn)
{
    uint8_t byte;
    return recv(conn->socket, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT);
}

/* Where nothing more is to be read libuv does not watch the socket, so it is asked itself. */
bool rd_conn_is_left(const struct rd_conn *conn)
{
    if (conn->state == RD_CONN_CLOSING || conn->peer_ended)
        return true;
    ssize_t got = peek(conn);
    return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

bool rd_conn_has_unread(const struct rd_conn *conn)
{
    return conn->paused || peek(conn) > 0;
}

static bool decoder_waits(const struct rd_conn *conn)
{
    return conn->decoder != NULL && conn->codec->mid_request(conn->decoder);
}

bool rd_conn_mid_request(const struct rd_conn *conn)
{
    return conn->uploads != NULL || decoder_waits(conn);
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
    rd_conn_discharge(conn);
    rd_lanes_destroy(&conn->lanes);
    rd_buffer_deinit(&conn->pending);
    if (conn->decoder != NULL)
        conn->codec->destroy(conn->decoder);
    rd_conn_tls_destroy(conn);
    explicit_bzero(&conn->identity, sizeof conn->identity); /* a token may be in it */
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

void rd_conn_remove_call(struct rd_conn *conn, struct rd_call *call)
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
    if (conn->state == RD_CONN_CLOSING)
        return;
    conn->state = RD_CONN_CLOSING;
    conn->reading = false;
    for (struct rd_lane *lane = conn->lanes; lane != NULL; lane = lane->next)
        rd_lane_forget_waiting(lane);
    conn->ready_first = NULL;
    conn->uploads = NULL;
    for (struct rd_call *call = conn->calls_first; call != NULL;) {
        struct rd_call *next = call->next;
        bool idle =
            call->state == RD_CALL_WAITING || call->state == RD_CALL_FINISHED || call->state == RD_CALL_UPLOADING;
        if (idle && !rd_upload_is_working(call))
            rd_conn_remove_call(conn, call);
        else if (idle)
            call->lane = NULL; /* forgotten there; the pool thread still has it */
        call = next;
    }
    uv_close(&conn->uv.handle, on_closed);
}

bool rd_conn_choose_codec(struct rd_conn *conn, const struct rd_codec *codec)
{
    struct rd_limits limits = rd_conn_limits(conn);
    conn->codec = codec;
    conn->decoder = codec->create(&limits);
    return conn->decoder != NULL;
}

static int open_handle(struct rd_conn *conn, int fd, bool is_unix)
{
    conn->socket = fd;
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

void rd_conn_open(struct rd_loop *loop, int fd, bool is_unix, const struct rd_codec *codec, bool refused)
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
    conn->serial = atomic_fetch_add(&loop->process->connection_serial, 1) + 1;
    conn->opened_ms = uv_now(&loop->uv);
    conn->head_ms = conn->opened_ms;
    conn->refused = refused;
    rd_counter_add(&loop->counts.accepted, 1);
    loop->conn_count++;
    conn->next = loop->conns;
    if (loop->conns != NULL)
        loop->conns->prev = conn;
    loop->conns = conn;
    rd_outbox_init(&conn->out, loop);
    rd_buffer_init(&conn->pending, RD_LOOP_READ_BUFFER_LEN);

    int status = open_handle(conn, fd, is_unix);
    conn->uv.handle.data = conn;
    if (status == 0)
        address_text(conn, true, conn->peer, sizeof conn->peer);
    if (status != 0) {
        rd_conn_log(conn, RD_LOG_ERROR, "connection refused: %s", uv_strerror(status));
        close(fd);
        rd_conn_close(conn);
    } else if ((codec != NULL && !rd_conn_choose_codec(conn, codec)) ||
               (loop->tls != NULL && !is_unix && !rd_conn_tls_begin(conn))) {
        rd_conn_log(conn, RD_LOG_ERROR, "connection refused: no memory");
        rd_conn_close(conn);
    } else if (refused && codec != NULL && conn->tls == NULL) { /* else after the handshake */
        rd_conn_refuse(conn);
    } else {
        rd_conn_start_reading(conn);
    }
}

/* ---- the end of a turn ------------------------------------------------------------------------------------ */

static void on_shutdown(uv_shutdown_t *shutdown, int status)
{
    (void)shutdown;
    (void)status; /* the peer is gone: reading, or the sweep, ends this */
}

/* ENDING -> LINGERING. Closing with unread input would have the kernel reset the connection and the peer lose the
 * answers that are still on their way. */
static void linger(struct rd_conn *conn)
{
    if (conn->tls != NULL)
        rd_conn_tls_end(conn);
    if (conn->state == RD_CONN_CLOSING)
        return;
    if (conn->peer_ended || uv_shutdown(&conn->shutdown, &conn->uv.stream, on_shutdown) != 0) {
        rd_conn_close(conn);
        return;
    }
    conn->state = RD_CONN_LINGERING;
    conn->linger_ms = uv_now(&conn->loop->uv);
    rd_conn_start_reading(conn);
}

bool rd_conn_is_quiet(const struct rd_conn *conn)
{
    return conn->calls_first == NULL && conn->downloads.first == NULL && conn->out.unsent == 0 && !conn->writing;
}

static void settle(struct rd_conn *conn)
{
    if (conn->state == RD_CONN_OPEN && conn->draining && !rd_conn_expects_input(conn))
        rd_conn_end_input(conn);
    if (conn->state == RD_CONN_ENDING && rd_conn_is_quiet(conn))
        linger(conn);
    else if (conn->state == RD_CONN_LINGERING)
        rd_conn_start_reading(conn); /* where a turn's share was read */
}

void rd_conn_flush(struct rd_conn *conn)
{
    if (conn->state == RD_CONN_CLOSING)
        return;
    rd_conn_encode_ready(conn);
    rd_conn_send_unsent(conn);
    conn->first_in_line = false;
    rd_conn_resume(conn);
    settle(conn);
    rd_conn_charge(conn);
}

/* ---- stopping and deadlines ------------------------------------------------------------------------------- */

void rd_conn_drain(struct rd_conn *conn)
{
    conn->draining = true;
    bool idle = conn->state == RD_CONN_OPEN && rd_conn_is_quiet(conn) && !rd_conn_mid_request(conn) &&
                !rd_conn_has_unread(conn);
    if (idle && conn->tls != NULL)
        rd_conn_tls_end(conn);
    if (idle)
        rd_conn_close(conn);
    else
        rd_conn_mark_dirty(conn);
}

/* The peer is not to be blamed where it is this side that does not go on: others are served before, the disk has
 * yet to bring what is next, or it has yet to take what uploads have sent, which have deadlines of their own. */
static const char *find_stall(const struct rd_conn *conn, const struct rd_sweep *sweep)
{
    uint64_t stall_ms = conn->loop->tuning.stall_ms;
    bool may_send = !conn->in_line && !conn->fetching;
    if (conn->out.unsent != 0 && (sweep->end_output || (may_send && sweep->now_ms - conn->output_ms >= stall_ms)))
        return "it does not take its answers";
    if (conn->state == RD_CONN_OPEN && conn->reading && decoder_waits(conn) &&
        sweep->now_ms - conn->input_ms >= stall_ms)
        return "its request does not arrive";
    return NULL;
}

/* A peer that sends all of a request before it looks for the answer may be at it for long, over a slow link. It is
 * read on for, but no longer than it might have taken for a head, nor where its place is wanted: by a newcomer
 * that is, or would be, one too many, or as the daemon stops. */
static bool linger_is_over(const struct rd_conn *conn, uint64_t now_ms)
{
    const struct rd_loop *loop = conn->loop;
    uint64_t lingered_ms = now_ms - conn->linger_ms;
    bool wanted = conn->draining || atomic_load(loop->connection_count) >= loop->tuning.connections_max;
    if (lingered_ms < LINGER_MS)
        return false;
    return wanted || conn->linger_len == 0 || conn->linger_len >= LINGER_LEN_MAX ||
           now_ms - conn->input_ms >= LINGER_SILENCE_MS || lingered_ms >= loop->tuning.header_ms;
}

void rd_conn_sweep(struct rd_conn *conn, const struct rd_sweep *sweep)
{
    if (conn->state == RD_CONN_CLOSING || (conn->tls != NULL && rd_conn_tls_sweep(conn, sweep->now_ms)))
        return;
    rd_conn_sweep_uploads(conn, sweep->now_ms);
    bool withholds = rd_conn_sweep_withdrawn(conn, sweep);
    if (rd_downloads_sweep(&conn->downloads, sweep->now_ms, conn->loop->tuning.stall_ms,
                           conn->paused ? sweep->now_ms : conn->resumed_ms))
        rd_conn_mark_dirty(conn);
    const char *reason = find_stall(conn, sweep);
    if (reason == NULL && withholds)
        reason = "an answer that it does not take keeps a store from being reopened or dropped";
    if (reason != NULL) {
        rd_conn_log(conn, RD_LOG_INFO, "connection closed: %s", reason);
        rd_process_note(conn->loop->process, RD_ENDED_STALL);
        rd_conn_close(conn);
    } else if (conn->state == RD_CONN_LINGERING && (sweep->end_output || linger_is_over(conn, sweep->now_ms))) {
        rd_conn_close(conn);
    } else if (conn->state == RD_CONN_OPEN && sweep->end_uploads) {
        rd_conn_fail_uploads(conn, RD_UNAVAILABLE, "the server stops, and the value has not come to its end");
        rd_conn_end_input(conn);
    } else {
        rd_conn_sweep_times(conn, sweep->now_ms);
    }
}
