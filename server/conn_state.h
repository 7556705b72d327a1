/* SPDX-License-Identifier: MIT
 *
 * conn_state.h - the inside of a connection, shared by conn*.c and by nobody else:
 *
 *   conn.c          its life: opening, closing, the end of a turn, deadlines
 *   conn_input.c    reading, decoding, pausing
 *   conn_output.c   encoding and sending
 *   conn_encode.c   answers that are encoded beside the loop
 *   conn_streams.c  values in parts, and calls that must be alone
 *   conn_limits.c   its share of memory, how long it may take
 *   conn_fetch.c    values that have to be brought into memory before they are sent
 *   conn_tls.c      the same bytes, sealed: between the socket and the others where TLS is spoken
 */
#ifndef RD_SERVER_CONN_STATE_H
#define RD_SERVER_CONN_STATE_H

#include <uv.h>

#include "server/auth.h"
#include "server/conn.h"
#include "server/download.h"
#include "server/log.h"
#include "server/outbox.h"

#define RD_CONN_UNSENT_LEN_HIGH (1u << 20) /* bytes; stops reading and encoding */

enum rd_conn_state { RD_CONN_OPEN, RD_CONN_ENDING, RD_CONN_LINGERING, RD_CONN_CLOSING };

struct rd_conn {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    uv_os_fd_t socket;           /* the handle's */
    struct rd_loop *loop;        /* borrows */
    struct rd_conn *prev, *next; /* of the loop's */
    uint64_t serial;             /* that no other connection of the process has or had */
    uint64_t opened_ms;          /* uv_now */
    char peer[64]; /* HOST:PORT, for as long as the socket may no longer tell; "" where it has none */
    struct rd_conn *dirty_next;
    bool dirty; /* in the loop's list of connections to flush, or in its line */

    enum rd_conn_state state;
    bool paused;                        /* OPEN: a high-water mark was passed and no low one since */
    bool reading;                       /* libuv reads for us */
    bool draining;                      /* the daemon stops */
    bool peer_ended;                    /* end of file was read */
    bool writing;                       /* `write` is under way */
    bool fetching;                      /* what is next to be sent is being brought into memory */
    bool fetching_ahead;                /* what comes later, of the outbox, or of this download: */
    const struct rd_download *ahead_of; /* compared only; NULL: of the outbox */
    bool encoding;                      /* a ready call is being encoded beside the loop; those behind it wait */
    bool prompt;                        /* a long value is ready: it is sent before the turn ends */
    bool handle_closed;
    unsigned keep_count; /* callers up the stack that will still touch this */

    struct rd_conn_tls *tls; /* owned; NULL: the socket carries plain bytes */

    struct rd_identity identity;  /* whose requests come in */
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
    size_t admitted;         /* bytes of the request under way that the decoder has room for */
    size_t encoding_len;     /* bytes of the answer that is being encoded, as far as they are counted; or 0 */
    uint64_t charged;        /* bytes of the process's memory budget that are this connection's */
    struct rd_lane *lanes;   /* owned */
    struct rd_call *uploads; /* UPLOADING ones, by queue_next */
    unsigned upload_count;
    bool parsing;            /* nor until the body of the last one has been parsed */
    struct rd_call *barrier; /* no request is taken until this one is done */
    struct rd_downloads downloads;

    struct rd_outbox out;
    uint64_t sent_turn; /* the loop's turn in which `sent_len` bytes were sent */
    size_t sent_len;
    bool in_line;
    bool first_in_line;    /* it need not get in line once more */
    uint64_t resumed_turn; /* the loop's, in which it last went on with input that had to wait */
    uint64_t taking_turn;  /* the loop's turn in which `turn_taken` requests and parts were */
    unsigned turn_taken;
    bool shared_out; /* paused only as it has had its share of requests */
    bool waiting;    /* its input, for a turn to come; what it has to send does not */
    struct rd_conn *waiting_next;
    uv_write_t write;
    size_t write_len; /* bytes of it */
    uv_shutdown_t shutdown;
    uint64_t input_ms;   /* last progress, uv_now */
    uint64_t resumed_ms; /* the end of the last pause; 0: there was none */
    uint64_t output_ms;  /* last progress, or when there first was something to send */
    uint64_t linger_ms;  /* LINGERING since */
    uint64_t linger_len; /* bytes that have come meanwhile, and were thrown away */
    uint64_t head_ms;    /* since when a head is under way, or the first request is waited for; 0: neither */
    uint64_t rate_ms;    /* since when rate_bytes are counted; 0: no request is under way */
    uint64_t rate_bytes;
    bool requested; /* a request has come */
    uint64_t request_count;
    bool refused; /* one too many: it is told so, and ends */
};

/* ---- conn.c ---- */
/* A line of the log that names the connection. */
void rd_conn_log(const struct rd_conn *conn, enum rd_log_level level, const char *format, ...) RD_PRINTF(3, 4);
void rd_conn_mark_dirty(struct rd_conn *conn);
/* The same for a turn to come, in which it is one of the few in line that are served. Turns do not wait for events
 * meanwhile. */
void rd_conn_get_in_line(struct rd_conn *conn);
bool rd_conn_mid_request(const struct rd_conn *conn);
bool rd_conn_choose_codec(struct rd_conn *conn, const struct rd_codec *codec);
void rd_conn_remove_call(struct rd_conn *conn, struct rd_call *call);
/* Nothing outstanding, nothing unsent. */
bool rd_conn_is_quiet(const struct rd_conn *conn);
/* Whether there is input that has not been read, or not been come to: with it the peer is not idle, and closing
 * would reset the connection, with which answers on their way may be lost. Asks the kernel. */
bool rd_conn_has_unread(const struct rd_conn *conn);

/* ---- conn_input.c ---- */
bool rd_conn_expects_input(const struct rd_conn *conn);
void rd_conn_start_reading(struct rd_conn *conn);
void rd_conn_stop_reading(struct rd_conn *conn);
/* OPEN -> ENDING. What is left of the input is dropped. */
void rd_conn_end_input(struct rd_conn *conn);
/* Goes on after a pause or a full turn, where there is room. */
void rd_conn_resume(struct rd_conn *conn);
/* Where the next input is to go, and that it is there. */
uint8_t *rd_conn_input_room(struct rd_conn *conn, size_t *ret_len);
void rd_conn_take_input(struct rd_conn *conn, const uint8_t *data, size_t len);

/* Takes the request as if it had just been decoded. */
void rd_conn_take_request(struct rd_conn *conn, struct rd_request *request);

/* Gives the request an id in place of one that was not fit to be repeated. Without memory it has none. */
void rd_conn_make_trace(struct rd_conn *conn, struct rd_call *call);

/* ---- conn_limits.c ---- */
/* The loop's, that the process's memory is asked for, and how the connection came. */
struct rd_limits rd_conn_limits(struct rd_conn *conn);
/* Brings the process's account of the connection up to date; gives its share back. */
void rd_conn_charge(struct rd_conn *conn);
void rd_conn_discharge(struct rd_conn *conn);
/* Whether it is to be asked for no more, since it has more under way than a few requests and answers, and little
 * of the process's memory is left. */
bool rd_conn_must_ease(struct rd_conn *conn);
/* Of the input, bytes that it may be read at once. */
size_t rd_conn_read_len(const struct rd_conn *conn);
/* Whether an answer of so many bytes, values that leave from the map not counted, may lie here until it is taken.
 */
bool rd_conn_admit_answer(struct rd_conn *conn, enum rd_opcode opcode, size_t len);
/* So many bytes were read and decoded. */
void rd_conn_note_arrival(struct rd_conn *conn, size_t len);
/* Ends a request that takes too long, and a connection that has been idle for too long. */
void rd_conn_sweep_times(struct rd_conn *conn, uint64_t now_ms);
/* Says that there are too many connections, and ends this one. It has a codec. */
void rd_conn_refuse(struct rd_conn *conn);

/* ---- conn_output.c ---- */
void rd_conn_encode_ready(struct rd_conn *conn);
/* Gives the call an answer that says why its own cannot be given: RD_TOO_LARGE, RD_OVERLOADED or RD_IO_ERROR. */
void rd_conn_refuse_answer(struct rd_call *call, enum rd_status status);
/* Sends what was encoded, which it then takes, or where status is not RD_OK one that says so. Destroys the call.
 */
void rd_conn_take_encoded(struct rd_conn *conn, struct rd_call *call, enum rd_status status,
                          struct rd_buffer *encoded);
void rd_conn_send_unsent(struct rd_conn *conn);
/* Whether it has to get in line before it sends; bytes that may still be sent in this turn; that some were. */
bool rd_conn_must_wait(const struct rd_conn *conn);
size_t rd_conn_turn_room(const struct rd_conn *conn);
void rd_conn_note_sent(struct rd_conn *conn, size_t len);

/* ---- conn_encode.c ---- */
/* For a call that is ready and whose turn has come. True: its answer is long, and comes back by
 * rd_conn_take_encoded; nothing is encoded meanwhile. False: the caller is to encode what call->response has by
 * now. */
bool rd_conn_encode_apart(struct rd_conn *conn, struct rd_call *call);

/* ---- conn_fetch.c ---- */
/* Fetches the next slice of what is to be sent. */
void rd_conn_fetch_unsent(struct rd_conn *conn);
void rd_conn_fetch_ahead(struct rd_conn *conn); /* where something is wanted */
/* Fetches the next chunk of a download that waits for it. */
void rd_conn_fetch_download(struct rd_conn *conn, struct rd_download *download);

/* What is next to be sent, len_max bytes of it at most; false: closes the connection, as that must not leave. */
bool rd_conn_peek_unsent(struct rd_conn *conn, size_t len_max, uv_buf_t ret_buffers[RD_OUTBOX_IOV_MAX],
                         unsigned *ret_count, size_t *ret_len);

/* ---- conn_tls.c: for connections that have `tls` ---- */
/* False: no memory. */
bool rd_conn_tls_begin(struct rd_conn *conn);
void rd_conn_tls_destroy(struct rd_conn *conn);
/* Takes what came from the socket. */
void rd_conn_tls_take(struct rd_conn *conn, struct rd_slice sealed);
/* Goes on with what was kept when the connection paused. */
void rd_conn_tls_resume(struct rd_conn *conn);
/* Bytes of memory that the sealed input lies in that it keeps. */
size_t rd_conn_tls_kept(const struct rd_conn *conn);
/* Seals and sends what is unsent, and what TLS itself has to say. */
void rd_conn_tls_send(struct rd_conn *conn);
/* Tells the peer that no more comes, so that it can tell the end from a cut. */
void rd_conn_tls_end(struct rd_conn *conn);
/* The socket has ended: so did TLS, or it was cut. */
void rd_conn_tls_note_eof(struct rd_conn *conn);
/* True: the handshake took too long, as it has the time of a request's head, and the connection is closed. */
bool rd_conn_tls_sweep(struct rd_conn *conn, uint64_t now_ms);

/* ---- conn_streams.c ---- */
void rd_conn_take_part(struct rd_conn *conn, const struct rd_stream_part *part);
/* Takes it out of the list of uploads, if it is there. */
void rd_conn_forget_upload(struct rd_conn *conn, struct rd_call *call);
/* No further part will come. */
void rd_conn_fail_uploads(struct rd_conn *conn, enum rd_status status, const char *message);
void rd_conn_end_credit(struct rd_conn *conn);
void rd_conn_sweep_uploads(struct rd_conn *conn, uint64_t now_ms);
/* Ends streams of stores that somebody waits to close. True: a value of such a store does not leave, and only
 * closing the connection would end that. */
bool rd_conn_sweep_withdrawn(struct rd_conn *conn, const struct rd_sweep *sweep);

#endif
