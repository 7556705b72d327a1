/* SPDX-License-Identifier: MIT
 *
 * async.h - what the files of the asynchronous face share: the connection, and who does what about it.
 *
 *   async.c             a connection's life: states, hello, reconnecting, closing
 *   async_requests.c    requests from submit to completion: ids, deadlines, answers
 *   async_streams.c     values in parts
 *   async_operations.c  the table of operations: public fields to a message, an answer to results
 *
 * Where a request is:
 *
 *   (the caller's) -- rdrive_submit --> WAITING (no connection yet; its frame is kept) --> SENT --> (completed)
 *                                  `--> SENT, where there is a connection                  SENT: by answer, by the
 * end of a download, by timeout, by the connection's end A SENT stream goes on to ENDED (upload: no more to push),
 * ANSWERED (download: parts follow), ABORTED (given up, its last answer or part is awaited). LEAVING: taken off
 * every list, its callback is next.
 *
 * Every request of a connection is in the list by deadline; a WAITING one also in the queue to be sent, any other
 * also in the table by id.
 *
 * Thread: the loop's.
 */
#ifndef RD_CLIENTS_C_ASYNC_H
#define RD_CLIENTS_C_ASYNC_H

#include "clients/c/link.h"
#include "clients/c/rdrive_async.h"
#include "protocol/binary_client.h"

#define RD_ASYNC_IN_LEN         (64u << 10)
#define RD_ASYNC_ITEM_COUNT_MAX (1u << 20) /* items of one request, rows of one answer */
#define RD_ASYNC_BUCKET_COUNT   1024u      /* a power of two */

enum rd_async_state {
    RD_ASYNC_NONE, /* zeroed: the caller's */
    RD_ASYNC_WAITING,
    RD_ASYNC_SENT,
    RD_ASYNC_ENDED,
    RD_ASYNC_ANSWERED,
    RD_ASYNC_ABORTED,
    RD_ASYNC_LEAVING
};

struct rdrive_connection {
    struct rd_link link;
    struct rdrive_connection_options options; /* with the defaults filled in */
    char *server;                             /* owned; NULL with unix_path */
    char *unix_path;                          /* owned */
    char *tls_ca;                             /* owned; NULL: the system's authorities, or no TLS */
    char *token;                              /* owned; NULL: none */
    char store[65];                           /* "": the store `default` */
    enum rdrive_connection_state state;
    bool was_open;     /* ever */
    bool closing;      /* rdrive_connection_close was called */
    char message[256]; /* why it failed last */
    void (*on_closed)(void *data);
    unsigned handle_count; /* of those below, not closed yet */
    uv_timer_t phase;      /* CONNECTING: the attempt's deadline; WAITING: the next attempt */
    uv_timer_t deadline;   /* of the request at the head of the list */
    uv_idle_t flush;       /* active: something is to be done before the loop waits again */
    uint32_t pause_ms;     /* before the next attempt */

    struct rd_binary_reader reader;
    struct rd_limits limits; /* of the connection that is open */
    uint8_t in[RD_ASYNC_IN_LEN];
    const uint8_t *fill_target; /* where the bytes under way go; NULL: into `in` */

    uint64_t auth_id; /* of the request that shows the token, while its answer is awaited; 0: it is not */
    uint64_t last_id;
    struct rdrive_request *first; /* by deadline */
    struct rdrive_request *last;
    struct rdrive_request *waiting_first; /* to be sent, in the order submitted; linked by same_bucket */
    struct rdrive_request *waiting_last;
    struct rdrive_request *buckets[RD_ASYNC_BUCKET_COUNT]; /* by id; linked by same_bucket */
    uint32_t request_count;
    uint32_t upload_count; /* of these, uploads */
    size_t waiting_bytes;  /* of the frames kept */
};

/* ---- async.c ---- */

/* Before the loop waits again: whatever is in link.out is sent and uploads that wait for room are told. */
void rd_async_schedule(struct rdrive_connection *connection);
void rd_async_break(struct rdrive_connection *connection, const char *message);
uint64_t rd_async_now_ms(void);

/* ---- async_requests.c ---- */

/* The connection is open: what waited is sent, in order. */
void rd_async_send_waiting(struct rdrive_connection *connection);
void rd_async_take_answer(struct rdrive_connection *connection, const struct rd_binary_answer *answer);

/* NULL: none. An id that was never given breaks the connection. */
struct rdrive_request *rd_async_find(struct rdrive_connection *connection, uint64_t id);

/* Completes a SENT one or a later state; results are in it. message may be NULL. */
void rd_async_complete(struct rdrive_request *request, enum rdrive_status status, const char *message);

/* Completes all, or all that were sent. */
void rd_async_complete_all(struct rdrive_connection *connection, bool sent_only, enum rdrive_status status,
                           const char *message);

/* Completes those whose time is up and sets the timer for the next. */
void rd_async_expire(struct rdrive_connection *connection);

/* A stream has made progress: its time starts anew. */
void rd_async_renew(struct rdrive_request *request);

/* It ends as if its time were up, with RDRIVE_ABORTED: for one that was never sent. */
void rd_async_expire_now(struct rdrive_request *request);

/* ---- async_streams.c ---- */

/* Whether its answer is followed by parts. */
static inline bool rd_async_is_download(const struct rdrive_request *request)
{
    return rd_opcode_is_download((enum rd_opcode)request->operation);
}

void rd_async_take_part(struct rdrive_connection *connection, const struct rd_stream_part *part);

/* Sends a part that has no bytes. */
void rd_async_send_part(struct rdrive_request *request, enum rd_stream_part_kind kind, uint64_t credit);
void rd_async_offer_room(struct rdrive_connection *connection);

/* ---- async_operations.c ---- */

struct rd_async_operation {
    const char *name;
    /* Fills the message beyond opcode, store and key. False: no memory. NULL: nothing to add. */
    bool (*fill)(const struct rdrive_request *request, struct rd_request *message);
    /* Takes the results of an answer with RD_OK. False: no memory. NULL: there are none. */
    bool (*take)(struct rd_binary_reader *reader, const struct rd_response *response,
                 struct rdrive_request *request);
};

/* NULL: there is none. */
const struct rd_async_operation *rd_async_operation_find(enum rdrive_operation operation);

#endif
