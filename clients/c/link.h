/* SPDX-License-Identifier: MIT
 *
 * link.h - a socket of the asynchronous client on a libuv loop: resolving, connecting to one address after the
 * other, bytes both ways, and the end of it. It knows nothing of the protocol.
 *
 *   IDLE -- rd_link_start --> RESOLVING --> CONNECTING --(on_connected)--> UP
 *                                               `--> SECURING (with TLS) ---^
 *   any but IDLE -- a failure, rd_link_break --> ENDING --(on_down)--> IDLE
 *
 * Thread: the loop's. Callbacks come from the loop or from rd_link_start, never from rd_link_break.
 */
#ifndef RD_CLIENTS_C_LINK_H
#define RD_CLIENTS_C_LINK_H

#include <uv.h>

#include "base/buffer.h"
#include "base/status.h"

struct rd_link;
struct rd_tls_stream;
struct rd_tls_trust;

/* What to connect to; all is borrowed. */
struct rd_link_target {
    const char *server;    /* HOST:PORT as rd_text_split_address takes it; NULL: unix_path */
    const char *unix_path; /* a Unix socket */
    bool tls;              /* not over a Unix socket */
    const char *tls_ca;    /* a PEM file; NULL: the system's authorities */
};

struct rd_link_events {
    void (*on_connected)(struct rd_link *link);
    uint8_t *(*on_room)(struct rd_link *link, size_t *ret_len);            /* where the next bytes are to go */
    void (*on_bytes)(struct rd_link *link, const uint8_t *at, size_t len); /* they are there */
    void (*on_sent)(struct rd_link *link);                                 /* a write that had to wait is done */
    void (*on_down)(struct rd_link *link); /* link->error says why; it may be started again */
};

enum rd_link_state {
    RD_LINK_IDLE,
    RD_LINK_RESOLVING,
    RD_LINK_CONNECTING,
    RD_LINK_SECURING,
    RD_LINK_UP,
    RD_LINK_ENDING
};

struct rd_link {
    uv_loop_t *loop;                     /* borrows */
    const struct rd_link_events *events; /* borrows */
    struct rd_link_target target;
    enum rd_link_state state;
    bool has_socket; /* socket is open or being closed */
    bool writing;    /* `sending` is the loop's */
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } socket;
    uv_getaddrinfo_t resolve;
    uv_connect_t connect;
    uv_write_t write;
    struct addrinfo *addresses;          /* owned */
    const struct addrinfo *next_address; /* to be tried */
    struct rd_buffer out;                /* what is to be sent; whoever uses the link appends */
    struct rd_buffer sending;            /* what waits for the socket */
    struct rd_tls_trust *trust;          /* owned; NULL until it is needed first */
    struct rd_tls_stream *stream;        /* owned; NULL: plain bytes */
    uint8_t *sealed;                     /* owned; what comes from the socket where there is a stream */
    struct rd_error error;
};

void rd_link_init(struct rd_link *link, uv_loop_t *loop, const struct rd_link_events *events,
                  const struct rd_link_target *target);

/* IDLE only. */
void rd_link_deinit(struct rd_link *link);

/* From IDLE. Not to be called where a callback would come at the wrong time: a failure may end in on_down at once.
 */
void rd_link_start(struct rd_link *link);

/* Ends it for the reason given; on_down follows. Nothing in IDLE and ENDING. */
void rd_link_break(struct rd_link *link, enum rd_status status, const char *message);

/* Sends what is in `out`, as far as the socket takes it; the rest follows by itself. UP only, else nothing. */
void rd_link_flush(struct rd_link *link);

/* Bytes that the socket has not taken. */
size_t rd_link_unsent(const struct rd_link *link);

#endif
