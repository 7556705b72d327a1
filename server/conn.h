/* SPDX-License-Identifier: MIT
 *
 * conn.h - one connection: reads, feeds the decoder, keeps the calls, sends the answers.
 *
 *            bytes, requests
 *              +------+
 *              v      |   end_input: end of file, a request with close_after, draining at a request's border
 *   open ---> OPEN ---+------------------------------> ENDING (no more input; answers still leave)
 *              ^  |                                       |
 *     resume   |  | pause: a limit is reached             | settle: nothing outstanding, nothing unsent
 *              |  v                                       v
 *             (paused; undecoded input is kept)        LINGERING (our side shut; discards until the peer ends)
 *                                                         |
 *     rd_conn_close, from any state: error, deadline,     | on_linger_read, rd_conn_sweep
 *     checksum failure, stop                              v
 *                     +---------------------------------> CLOSING ---> freed by free_if_done: handle closed,
 *                                                                      no call running
 *
 * Limits: requests in flight, the bytes these cost, unsent output (each stops reading until a low-water mark),
 * input per turn of the loop.
 *
 * Order of answers: that of the requests where the codec asks for it, else as they finish. Encoding is put off
 * while much is unsent, so a connection holds at most the high-water mark and one answer in encoded bytes.
 *
 * Owned by the loop, on whose thread everything here runs.
 */
#ifndef RD_SERVER_CONN_H
#define RD_SERVER_CONN_H

#include "protocol/codec.h"
#include "server/call.h"

#define RD_CONN_TURN_LEN_MAX   (256u << 10) /* bytes read, and bytes sent, in one turn of the loop */
#define RD_CONN_BRIEF_LEN_MAX  (80u << 10)  /* the latter where others wait for brief answers: 64 KiB and a head */
#define RD_CONN_TURN_NS_MAX    10000000u    /* for which a turn takes requests and parts; then a few of each */
#define RD_CONN_ANSWER_LEN_MAX (128u << 20) /* encoded bytes of one answer */

struct rd_loop;

/* Takes the descriptor (closed on failure, which is logged). codec NULL: the first byte tells. refused: it is one
 * too many, is told so and ends. */
void rd_conn_open(struct rd_loop *loop, int fd, bool is_unix, const struct rd_codec *codec, bool refused);

/* No more answers, no more requests. Safe to repeat. */
void rd_conn_close(struct rd_conn *conn);

/* The daemon stops: takes no request that has not begun to arrive; closes at once where nothing is outstanding. */
void rd_conn_drain(struct rd_conn *conn);

/* What rd_conn_sweep may end by force, beside what has made no progress for long. */
struct rd_sweep {
    uint64_t now_ms;  /* uv_now */
    bool end_uploads; /* half-received requests */
    bool end_output;  /* unsent answers, and lingering for who has not closed */
};
void rd_conn_sweep(struct rd_conn *conn, const struct rd_sweep *sweep);

/* It is the turn of the first one of those that have much to send: has it flushed, unless it was closed meanwhile.
 */
void rd_conn_take_from_line(struct rd_conn **line);

/* Those whose input waits for a turn to come, linked by their waiting_next; each is kept. Zeroed: nobody. */
struct rd_conn_queue {
    struct rd_conn *first;
    struct rd_conn *last; /* unless first is NULL */
    unsigned count;
};

/* The first one goes on, once it is flushed; unless it was closed meanwhile. There must be one. */
void rd_conn_end_wait(struct rd_conn_queue *waiting);

/* The end of a turn: encodes what is ready, sends, goes on reading. */
void rd_conn_flush(struct rd_conn *conn);

/* For call.c: the call is FINISHED; it may be gone afterwards. */
void rd_conn_take_finished(struct rd_conn *conn, struct rd_call *call);

/* Sends what is ready before the turn ends, where a long value is: it has just been verified, so the kernel's copy
 * finds it in the processor's cache, and its reader is busy with it while the next request is looked at. Not from
 * inside rd_call_finish. May close the connection. */
void rd_conn_send_promptly(struct rd_conn *conn);

/* Keeps a connection in memory across calls that may close it. */
void rd_conn_keep(struct rd_conn *conn);
void rd_conn_let_go(struct rd_conn *conn);

/* Whether no further stream of that direction may begin: each of them is kept for as long as its peer likes. */
bool rd_conn_uploads_are_full(const struct rd_conn *conn);
bool rd_conn_downloads_are_full(const struct rd_conn *conn);

/* Whether uploads are given credit; else they are held back by not reading. */
bool rd_conn_uploads_have_credit(const struct rd_conn *conn);

/* For upload.c: an upload begins; it has had its last part or has failed (`whole` tells whether all of its parts
 * came: where they did not and the codec does not skip the rest, the connection ends after the answer);
 * so many of its bytes are safe, so the peer may send as many more. */
void rd_conn_upload_begun(struct rd_conn *conn, struct rd_call *call);
void rd_conn_upload_over(struct rd_conn *conn, struct rd_call *call, bool whole);
void rd_conn_upload_credit(struct rd_conn *conn, const struct rd_call *call, uint64_t len);

/* A call that is to run when everything before it on the connection is done, and before anything behind it. */
void rd_conn_set_barrier(struct rd_conn *conn, struct rd_call *call);

/* Runs it if its time has come; `finished`: it has had it. */
void rd_conn_run_barrier(struct rd_conn *conn, bool finished);

/* For deferred.c: the call's body is being parsed, and no further request is taken; it is parsed, so that the
 * call's cost is another. */
void rd_conn_begin_parse(struct rd_conn *conn);
void rd_conn_end_parse(struct rd_conn *conn, struct rd_call *call);

/* Whether requests hold as much memory as they may, of all connections. */
bool rd_conn_memory_is_full(const struct rd_conn *conn);

/* Who a connection is, for the log. */
struct rd_conn_identity {
    uint64_t serial; /* that no other connection of the process has or had */
    char peer[64];   /* HOST:PORT; "" where it has none */
};
void rd_conn_identify(const struct rd_conn *conn, struct rd_conn_identity *ret_identity);

/* What tells the request from all others in the log: its X-Request-Id, or CONNECTION-NUMBER, where the number is
 * the frame's id, or counts the connection's requests. */
#define RD_CONN_REQUEST_ID_SIZE 65
void rd_conn_request_id(const struct rd_conn *conn, const struct rd_call *call,
                        char ret_id[RD_CONN_REQUEST_ID_SIZE]);

bool rd_conn_is_closing(const struct rd_conn *conn);

/* Whether the peer has closed its side, or is gone: for work that nobody may be waiting for any more. */
bool rd_conn_is_left(const struct rd_conn *conn);

/* Who the peer is, as far as it has shown; for gate.c to change. */
struct rd_identity;
struct rd_identity *rd_conn_identity(struct rd_conn *conn);

/* A request is refused for want of a known token: what its decoder has made of it is taken back. */
void rd_conn_take_back(struct rd_conn *conn);

struct rd_loop *rd_conn_loop(const struct rd_conn *conn);
struct rd_lane **rd_conn_lanes(struct rd_conn *conn);
struct rd_conn *rd_conn_next(const struct rd_conn *conn);

/* Fills in what is known of the connection itself. */
void rd_conn_describe(const struct rd_conn *conn, struct rd_response_server *ret_server);

/* For the loop's list of connections that are to be flushed. */
struct rd_conn *rd_conn_take_dirty(struct rd_conn **list);

#endif
