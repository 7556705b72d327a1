/* SPDX-License-Identifier: MIT
 *
 * conn_tls.c - a connection's bytes where TLS is spoken: between the socket and conn_input.c and conn_output.c,
 * which see plain bytes only.
 *
 * In: records are unsealed to where plain input would have been read to, as far as the connection takes it; what
 * it does not take when it pauses is kept sealed, and at most one read's worth, since a paused connection is not
 * read.
 *
 * Out: some of what is unsent is sealed, sent, and only then counted as sent: so all that is unsent is what the
 * limits and deadlines of conn*.c see, and at most SEAL_LEN_MAX of it lies here as records.
 */
#include <stdlib.h>
#include <uv.h>

#include "protocol/http.h"
#include "server/conn_state.h"
#include "server/log.h"
#include "server/loop.h"
#include "server/socket.h"
#include "server/tls.h"

#define SEAL_LEN_MAX (7u * RD_TLS_RECORD_LEN_MAX) /* plain bytes sealed before the socket is asked */
#define FIRST_LEN    8u                           /* the longest HTTP method and a space */
#define KEEP_LEN_MAX (16u << 10)                  /* an empty buffer above this gives its memory back */

struct rd_conn_tls {
    struct rd_tls_session *session; /* owned */
    uint8_t first[FIRST_LEN];       /* what has come from the peer at first ... */
    size_t first_len;               /* ... so many bytes */
    bool held;                      /* input waits in `kept` or in the session, as the connection paused */
    struct rd_buffer kept;          /* sealed input */
    struct rd_buffer leaving;       /* records being sent */
    size_t leaving_sent;            /* of leaving.len */
    size_t sealed_len;              /* what is unsent and lies in `leaving`, in plain bytes */
};

bool rd_conn_tls_begin(struct rd_conn *conn)
{
    struct rd_conn_tls *tls = calloc(1, sizeof *tls);
    if (tls == NULL)
        return false;
    tls->session = rd_tls_session_create(conn->loop->tls, conn->codec == &rd_http_codec ? "http/1.1" : NULL);
    if (tls->session == NULL) {
        free(tls);
        return false;
    }
    rd_buffer_init(&tls->kept, RD_LOOP_READ_BUFFER_LEN);
    rd_buffer_init(&tls->leaving, 0);
    conn->tls = tls;
    return true;
}

void rd_conn_tls_destroy(struct rd_conn *conn)
{
    struct rd_conn_tls *tls = conn->tls;
    if (tls == NULL)
        return;
    rd_tls_session_destroy(tls->session);
    rd_buffer_deinit(&tls->kept);
    rd_buffer_deinit(&tls->leaving);
    free(tls);
    conn->tls = NULL;
}

static void log_end(const struct rd_conn *conn, enum rd_log_level level, const char *reason)
{
    struct rd_response_server about;
    if (level == RD_LOG_INFO && !rd_log_share_take(&conn->loop->log_share, uv_now(&conn->loop->uv)))
        return;
    rd_conn_describe(conn, &about);
    rd_log(level, "TLS with %s ended: %s", about.peer, reason);
}

void rd_conn_tls_note_eof(struct rd_conn *conn)
{
    if (conn->state != RD_CONN_OPEN)
        return;
    if (rd_tls_is_established(conn->tls->session))
        log_end(conn, RD_LOG_DEBUG, "the connection was cut, without a close_notify");
    else if (conn->tls->first_len != 0)
        log_end(conn, RD_LOG_INFO, "the peer left during the handshake");
}

bool rd_conn_tls_sweep(struct rd_conn *conn, uint64_t now_ms)
{
    if (rd_tls_is_established(conn->tls->session) || now_ms - conn->opened_ms < conn->loop->tuning.header_ms)
        return false;
    log_end(conn, RD_LOG_INFO, "the handshake takes too long");
    rd_process_note(conn->loop->process, RD_ENDED_HEADER);
    rd_conn_close(conn);
    return true;
}

/* ---- input ------------------------------------------------------------------------------------------------ */

static void note_first(struct rd_conn_tls *tls, struct rd_slice sealed)
{
    struct rd_slice first = rd_slice_take(&sealed, FIRST_LEN - tls->first_len);
    memcpy(tls->first + tls->first_len, first.data, first.len);
    tls->first_len += first.len;
}

/* As far as it has come: a handshake fails at its fifth byte. None begins with a letter. */
static bool is_plain_http(const struct rd_conn_tls *tls)
{
    static const char *const methods[] = {"GET ", "HEAD ", "PUT ", "POST ", "DELETE ", "OPTIONS ", "PATCH "};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        size_t len = strlen(methods[i]);
        if (memcmp(tls->first, methods[i], len < tls->first_len ? len : tls->first_len) == 0)
            return true;
    }
    return false;
}

/* Somebody has typed http:// for https://, and is told so in the clear: nothing was sealed yet. It is all that is
 * ever said without TLS here, and whatever was asked is not looked at. */
static void answer_plainly(struct rd_conn *conn)
{
    struct rd_request *request = rd_request_create(0);
    if (request == NULL) {
        rd_conn_end_input(conn);
        return;
    }
    request->opcode = RD_OPCODE_NONE;
    request->status = RD_INVALID_ARGUMENT;
    request->message = "this port speaks TLS: https:// and not http://";
    request->close_after = true;
    rd_conn_tls_destroy(conn);
    rd_conn_take_request(conn, request);
}

/* The session is of no more use, but for the alert that tells the peer why. Where there is nothing else to answer
 * the connection ends as any other, so that the alert arrives. */
static void give_up(struct rd_conn *conn)
{
    log_end(conn, RD_LOG_INFO, rd_tls_failure(conn->tls->session));
    if (rd_tls_is_established(conn->tls->session)) {
        rd_conn_tls_send(conn);
        rd_conn_close(conn);
    } else if (conn->codec == &rd_http_codec && is_plain_http(conn->tls)) {
        answer_plainly(conn);
    } else {
        rd_conn_end_input(conn);
    }
}

static void unseal(struct rd_conn *conn, struct rd_slice *sealed)
{
    while (conn->state == RD_CONN_OPEN && !conn->paused) {
        size_t room_len;
        size_t len;
        uint8_t *room = rd_conn_input_room(conn, &room_len);
        enum rd_tls_outcome outcome = rd_tls_unseal(conn->tls->session, sealed, room, room_len, &len);
        if (conn->refused && rd_tls_is_established(conn->tls->session)) {
            rd_conn_refuse(conn);
            return;
        }
        switch (outcome) {
        case RD_TLS_PLAIN:
            rd_conn_take_input(conn, room, len);
            break;
        case RD_TLS_MORE:
            return;
        case RD_TLS_ENDED:
            rd_conn_end_input(conn);
            return;
        case RD_TLS_FAILED:
            give_up(conn);
            return;
        }
    }
    conn->tls->held = conn->paused;
}

void rd_conn_tls_take(struct rd_conn *conn, struct rd_slice sealed)
{
    struct rd_conn_tls *tls = conn->tls;
    if (tls->first_len < FIRST_LEN)
        note_first(tls, sealed);
    unseal(conn, &sealed);
    if (conn->state != RD_CONN_OPEN)
        return; /* and TLS may be over */
    rd_buffer_append_slice(&tls->kept, sealed);
    if (tls->kept.failed)
        rd_conn_close(conn);
}

void rd_conn_tls_resume(struct rd_conn *conn)
{
    struct rd_conn_tls *tls = conn->tls;
    if (!tls->held || conn->paused)
        return;
    tls->held = false;
    struct rd_slice sealed = rd_buffer_slice(&tls->kept);
    unseal(conn, &sealed);
    rd_buffer_consume(&tls->kept, tls->kept.len - sealed.len);
    if (tls->kept.len == 0)
        rd_buffer_deinit(&tls->kept);
    rd_conn_mark_dirty(conn);
}

size_t rd_conn_tls_kept(const struct rd_conn *conn)
{
    return conn->tls->kept.capacity;
}

/* ---- output ----------------------------------------------------------------------------------------------- */

/* A record is sealed from where its bytes lie, if one piece fills it or is the last; smaller ones are gathered. */
static bool seal_pieces(struct rd_conn *conn, const uv_buf_t *pieces, unsigned count, size_t *ret_len)
{
    struct rd_tls_session *session = conn->tls->session;
    uint8_t *record = conn->loop->record_buffer; /* the read buffer may hold input: answers leave in mid-turn */
    size_t gathered = 0;
    size_t len = 0;
    for (unsigned i = 0; i < count; i++) {
        struct rd_slice piece = rd_slice(pieces[i].base, pieces[i].len);
        while (piece.len != 0) {
            bool in_place = gathered == 0 && (piece.len >= RD_TLS_RECORD_LEN_MAX || i + 1 == count);
            struct rd_slice part = rd_slice_take(&piece, RD_TLS_RECORD_LEN_MAX - gathered);
            len += part.len;
            if (!in_place) {
                memcpy(record + gathered, part.data, part.len);
                gathered += part.len;
                if (gathered < RD_TLS_RECORD_LEN_MAX)
                    continue;
                part = rd_slice(record, gathered);
                gathered = 0;
            }
            if (!rd_tls_seal(session, part))
                return false;
        }
    }
    *ret_len = len;
    return rd_tls_seal(session, rd_slice(record, gathered));
}

/* False: the connection is closed. */
static bool seal_unsent(struct rd_conn *conn)
{
    uv_buf_t pieces[RD_OUTBOX_IOV_MAX];
    unsigned count;
    size_t len;
    if (!rd_conn_peek_unsent(conn, SEAL_LEN_MAX, pieces, &count, &len))
        return false;
    if (len == 0) {
        rd_conn_fetch_unsent(conn);
        return true;
    }
    uint64_t faults = rd_outbox_faults(&conn->out);
    bool sealed = seal_pieces(conn, pieces, count, &conn->tls->sealed_len);
    if (sealed && rd_outbox_faults(&conn->out) == faults)
        return true;
    log_end(conn, RD_LOG_INFO,
            sealed ? "the value being sent cannot be read" : rd_tls_failure(conn->tls->session));
    rd_conn_close(conn);
    return false;
}

static bool can_seal(const struct rd_conn *conn)
{
    const struct rd_tls_session *session = conn->tls->session;
    return !conn->fetching && rd_tls_is_established(session) && rd_tls_failure(session)[0] == '\0';
}

/* Puts into `leaving` what is to be sent next. False: nothing is. */
static bool next_records(struct rd_conn *conn)
{
    struct rd_conn_tls *tls = conn->tls;
    if (conn->out.unsent != 0 && can_seal(conn) && !seal_unsent(conn))
        return false;
    rd_tls_take_output(tls->session, &tls->leaving);
    tls->leaving_sent = 0;
    return tls->leaving.len != 0;
}

/* False: some are left. */
static bool note_sent(struct rd_conn *conn, size_t len)
{
    struct rd_conn_tls *tls = conn->tls;
    rd_conn_note_sent(conn, len);
    tls->leaving_sent += len;
    if (tls->leaving_sent < tls->leaving.len)
        return false;
    if (tls->leaving.capacity > KEEP_LEN_MAX)
        rd_buffer_deinit(&tls->leaving);
    else
        rd_buffer_clear(&tls->leaving);
    rd_outbox_sent(&conn->out, tls->sealed_len);
    tls->sealed_len = 0;
    return true;
}

/* What may leave in this turn of the records that are made. */
static uv_buf_t leaving_share(const struct rd_conn *conn)
{
    const struct rd_conn_tls *tls = conn->tls;
    size_t rest = tls->leaving.len - tls->leaving_sent;
    size_t room = rd_conn_turn_room(conn);
    return uv_buf_init((char *)tls->leaving.data + tls->leaving_sent, (unsigned)(rest < room ? rest : room));
}

static void lose(struct rd_conn *conn, int status)
{
    rd_conn_log(conn, RD_LOG_DEBUG, "connection lost: %s", uv_strerror(status));
    rd_conn_close(conn);
}

static void on_written(uv_write_t *write, int status)
{
    struct rd_conn *conn = write->data;
    conn->writing = false;
    if (conn->state == RD_CONN_CLOSING)
        return;
    if (status != 0) {
        lose(conn, status);
        return;
    }
    (void)note_sent(conn, conn->write_len);
    rd_conn_mark_dirty(conn);
}

static void start_write(struct rd_conn *conn)
{
    uv_buf_t share = leaving_share(conn);
    conn->write.data = conn;
    conn->write_len = share.len;
    int status = uv_write(&conn->write, &conn->uv.stream, &share, 1, on_written);
    if (status != 0)
        lose(conn, status);
    else
        conn->writing = true;
}

void rd_conn_tls_send(struct rd_conn *conn)
{
    struct rd_conn_tls *tls = conn->tls;
    while (conn->state != RD_CONN_CLOSING && !conn->writing && (tls->leaving.len != 0 || next_records(conn))) {
        if (rd_conn_must_wait(conn)) {
            rd_conn_get_in_line(conn);
            return;
        }
        uv_buf_t share = leaving_share(conn);
        ssize_t sent = rd_socket_send(conn->socket, &share, 1, 0);
        if (sent < 0 && sent != UV_EAGAIN) {
            lose(conn, (int)sent);
            return;
        }
        if (note_sent(conn, sent > 0 ? (size_t)sent : 0))
            rd_conn_encode_ready(conn); /* before any wait: with nothing unsent no event would bring us back */
        else if (sent < 0 || (size_t)sent != share.len)
            start_write(conn);
    }
}

void rd_conn_tls_end(struct rd_conn *conn)
{
    rd_tls_end(conn->tls->session);
    conn->sent_len = 0; /* its few bytes wait for no other turn: in this one the socket is shut down */
    rd_conn_tls_send(conn);
}
