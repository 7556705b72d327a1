/* SPDX-License-Identifier: MIT
 *
 * rdrive_async.h - the C client's async face, on the caller's libuv loop. No thread is started; all of it is to be
 * called on the loop's thread, and all callbacks run there.
 *
 * Lifetimes
 *  1. A connection lives long: rdrive_connection_create to the callback of rdrive_connection_close. It must be
 * closed, and the loop run until that callback, before the loop can be.
 *  2. A request lives short and is the caller's: zero it, fill it in, submit it. From then until its completion
 *     callback it must stay where it is and be left alone. What it borrows (keys, values, names) is copied by
 *     rdrive_submit and may go at once.
 *  3. A request that was taken (RDRIVE_OK from rdrive_submit) completes exactly once, whatever happens: with an
 * answer, RDRIVE_TIMEOUT, RDRIVE_CONNECTION_LOST (the server died, or the connection was closed), or where no
 * server could be reached and none is looked for any more, RDRIVE_UNAVAILABLE. Never inside a call of the
 * caller's.
 *  4. In its completion callback a request is the caller's again: it may be freed, or zeroed and submitted anew.
 *     Results in it are freed with rdrive_request_free_results, or one by one as in rdrive.h.
 *  5. Any function may be called from any callback.
 *
 * Requests are pipelined and paired by id; all that are submitted in one turn of the loop leave in one write.
 * Those on one store take effect in the order submitted, a stream at its end. Nothing is retried: a request that
 * was sent when the connection broke ends with RDRIVE_CONNECTION_LOST. One that was submitted while there is no
 * connection waits for it, for as long as its timeout allows.
 *
 * libuv writes to sockets in a way that raises SIGPIPE where the other side is gone, and that ends a program. So
 * have it ignored, signal(SIGPIPE, SIG_IGN), as with anything else on libuv: what was under way then completes.
 */
#ifndef RD_CLIENTS_C_RDRIVE_ASYNC_H
#define RD_CLIENTS_C_RDRIVE_ASYNC_H

#include <uv.h>

#include "rdrive_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- a connection ----------------------------------------------------------------------------------------- */

struct rdrive_connection;

enum rdrive_connection_state {
    RDRIVE_CONNECTION_CONNECTING, /* resolving, connecting, the hello */
    RDRIVE_CONNECTION_OPEN,
    RDRIVE_CONNECTION_WAITING, /* the last attempt or connection failed; the next attempt follows */
    RDRIVE_CONNECTION_CLOSED   /* for good */
};

typedef void rdrive_state_cb(struct rdrive_connection *connection, enum rdrive_connection_state state);

/* Zeroed means the defaults. Everything is copied. */
struct rdrive_connection_options {
    const char *server;          /* "HOST:PORT" or "[IPV6]:PORT"; NULL: 127.0.0.1:7401 */
    const char *unix_path;       /* a Unix socket instead; NULL: none */
    const char *store;           /* of requests that name none; NULL: "default" */
    uint32_t connect_timeout_ms; /* of one attempt: connecting and the hello; 0: 5,000 */
    uint32_t request_timeout_ms; /* of requests that name none; 0: 60,000 */
    bool reconnect;              /* go on trying; otherwise the first failure closes the connection */
    uint32_t reconnect_min_ms;   /* the pause before the first new attempt, doubled by each failure; 0: 100 */
    uint32_t reconnect_max_ms;   /* its upper bound; 0: 10,000 */
    size_t unsent_bytes_max;     /* bytes that the socket has not taken, 1 GiB at most; 0: 64 MiB */
    uint32_t request_count_max;  /* requests that are not completed; 0: 65,536 */
    uint32_t answer_len_max;     /* bytes of one answer; 0: 1 GiB */
    bool tls;                    /* TLS 1.3, with a server that proves to be `server`; not over a Unix socket */
    const char *tls_ca;     /* a PEM file of the authorities to believe, which implies tls; NULL: the system's */
    uint32_t stream_window; /* bytes of one incoming stream that the caller has not taken; 0: 1 MiB */
    rdrive_state_cb *on_state; /* at every change but the first; may be NULL */
    void *data;                /* the caller's own, see rdrive_connection_data */
    const char *token;         /* shown to the server on every connection, 1 to 4,096 bytes; NULL: none */
};

/* Connects at once; requests may be submitted right away. options may be NULL. RDRIVE_INVALID_ARGUMENT (server is
 * not HOST:PORT; path, store name or token of no length that is taken; tls with unix_path), RDRIVE_NO_MEMORY. A
 * file of authorities that cannot be used fails the attempt to connect, with its reason. */
RDRIVE_API enum rdrive_status
rdrive_connection_create(uv_loop_t *loop, const struct rdrive_connection_options *options,
                         struct rdrive_connection **ret_connection) RDRIVE_MUST_CHECK;

/* What is pending completes with RDRIVE_CONNECTION_LOST, then on_closed (which may be NULL) gets what was given as
 * `data`, and the connection is gone. Waits for a name that is being resolved. To be called once. */
RDRIVE_API void rdrive_connection_close(struct rdrive_connection *connection, void (*on_closed)(void *data));

RDRIVE_API enum rdrive_connection_state rdrive_connection_state(const struct rdrive_connection *connection);
RDRIVE_API void *rdrive_connection_data(const struct rdrive_connection *connection);

/* Why the connection or the last attempt failed; "" before it ever did. Borrowed until the next failure. */
RDRIVE_API const char *rdrive_connection_error(const struct rdrive_connection *connection);

/* ---- requests --------------------------------------------------------------------------------------------- */

/* The protocol's numbers. */
enum rdrive_operation {
    RDRIVE_OP_PING = 0x02,
    RDRIVE_OP_METRICS = 0x04,
    RDRIVE_OP_WRITE = 0x10,
    RDRIVE_OP_WRITE_STREAM = 0x11,
    RDRIVE_OP_BATCH_WRITE = 0x12,
    RDRIVE_OP_RENAME = 0x13,
    RDRIVE_OP_COPY = 0x14,
    RDRIVE_OP_TRANSFER = 0x15,
    RDRIVE_OP_DELETE = 0x16,
    RDRIVE_OP_BATCH_DELETE = 0x17,
    RDRIVE_OP_READ = 0x20,
    RDRIVE_OP_BATCH_READ = 0x21,
    RDRIVE_OP_EXISTS = 0x22,
    RDRIVE_OP_METADATA = 0x23,
    RDRIVE_OP_LAST = 0x24,
    RDRIVE_OP_ITERATE = 0x25,
    RDRIVE_OP_READ_STREAM = 0x26,
    RDRIVE_OP_STORES = 0x30,
    RDRIVE_OP_CREATE = 0x31,
    RDRIVE_OP_INFO = 0x32,
    RDRIVE_OP_DROP = 0x33,
    RDRIVE_OP_VERIFY = 0x34,
    RDRIVE_OP_REOPEN = 0x35,
    RDRIVE_OP_COMPACT = 0x36,
    RDRIVE_OP_BACKUP = 0x37
};

/* Such as "batch_write"; NULL where this client has no such operation. */
RDRIVE_API const char *rdrive_operation_name(enum rdrive_operation operation);

struct rdrive_request;
typedef void rdrive_request_cb(struct rdrive_request *request);
typedef void rdrive_chunk_cb(struct rdrive_request *request, const void *bytes, size_t len);

struct rdrive_request {
    /* set before submit */
    enum rdrive_operation operation;
    rdrive_request_cb *on_complete;
    void *data;                         /* the caller's own */
    uint32_t timeout_ms;                /* to its completion, of a stream: without progress; 0: as connected */
    const char *store;                  /* NULL: the connection's */
    struct rdrive_key key;              /* all that work on one key; rename: the old one */
    struct rdrive_key target_key;       /* rename: the new one */
    const char *target_store;           /* copy, transfer */
    const void *value;                  /* write */
    size_t value_len;                   /* write, bytes */
    const struct rdrive_entry *entries; /* batch_write */
    const struct rdrive_key *keys;      /* batch_read, batch_delete */
    size_t count;                       /* of entries or keys */
    bool allow_null_bytes;              /* batch_write: a value of one zero byte deletes its key */
    enum rdrive_durability durability;  /* writes */
    struct rdrive_condition condition;  /* write, write_stream, delete; rename: on the old key */
    struct rdrive_condition target_condition; /* rename: on the new key */
    struct rdrive_range range;                /* read_stream */
    uint64_t after_offset;                    /* iterate: entries below this offset; 0: from the newest */
    uint32_t limit;                           /* iterate, up to 10,000; 0: as the server likes */
    const char *settings;                     /* create: JSON text; NULL: the defaults */
    uint64_t verify_from;                     /* verify: 0 to begin with, else the `next` of the step before */
    uint64_t verify_bytes_max;                /* verify: of one step; 0: as many as the server likes */
    uint64_t backup_from;                     /* backup: without the bytes of the file below */
    uint64_t backup_generation;               /* backup: only of that file; 0: whichever there is */
    uint64_t stream_len;                      /* write_stream: bytes that will come, where they are known; or 0 */
    rdrive_request_cb *on_room;               /* write_stream: more can be pushed; may be NULL */
    rdrive_chunk_cb *on_chunk;                /* read_stream, backup: bytes, which are gone when it returns */

    /* set at completion; results only where status is RDRIVE_OK */
    enum rdrive_status status;
    char message[192]; /* why it failed; "" otherwise */
    union {
        struct rdrive_written written;           /* writes, deletes, rename */
        struct rdrive_moved moved;               /* copy, transfer */
        struct rdrive_value value;               /* read; metrics: its text, as rdrive_metrics gives it; owned */
        struct rdrive_values values;             /* batch_read; owned */
        bool exists;                             /* exists */
        struct rdrive_metadata metadata;         /* metadata, last */
        struct rdrive_entries entries;           /* iterate; owned */
        struct rdrive_part part;                 /* read_stream; set before the first chunk */
        struct rdrive_backup backup;             /* backup; set before the first chunk */
        struct rdrive_stores stores;             /* stores; owned */
        struct rdrive_store_info info;           /* info, create, reopen */
        struct rdrive_compaction compaction;     /* compact */
        struct rdrive_verification verification; /* verify: one step, as rdrive_verify tells of it; owned */
    } result;

    /* the library's */
    struct rdrive_private {
        struct rdrive_connection *connection; /* NULL: not submitted, or completed */
        struct rdrive_request *next;          /* by deadline */
        struct rdrive_request *previous;
        struct rdrive_request *same_bucket;
        uint64_t id;
        uint64_t deadline_ms;
        uint8_t *frame; /* owned; until it is handed to a connection */
        size_t frame_len;
        uint64_t credit; /* write_stream: bytes that may be pushed; downloads: bytes to give back */
        uint64_t left;   /* downloads: bytes still to come */
        uint8_t state;
        bool wants_room;
    } internal;
};

/* RDRIVE_OK: taken, and will complete. Anything else: not taken, and left as it was but for `message`.
 * RDRIVE_OVERLOADED (a bound of the connection's is reached), RDRIVE_INVALID_ARGUMENT, RDRIVE_TOO_LARGE,
 * RDRIVE_NO_MEMORY, RDRIVE_UNAVAILABLE (the connection is closed). Never blocks. */
RDRIVE_API enum rdrive_status rdrive_submit(struct rdrive_connection *connection,
                                            struct rdrive_request *request) RDRIVE_MUST_CHECK;

/* Frees what result owns, after a completion. Safe to repeat. */
RDRIVE_API void rdrive_request_free_results(struct rdrive_request *request);

/* ---- streams ---------------------------------------------------------------------------------------------- */

/* write_stream: takes as many of the bytes as there is credit and room for, and tells how many; they are copied.
 * Where that is less than len, on_room is called once there is room again. Before the first on_room it takes none.
 */
RDRIVE_API size_t rdrive_stream_push(struct rdrive_request *request, const void *bytes, size_t len);

/* write_stream: the value is complete, and the answer comes with the completion. Nothing can be pushed after it.
 */
RDRIVE_API void rdrive_stream_end(struct rdrive_request *request);

/* read_stream, backup: so many bytes of what on_chunk brought have been used, in the callback or later; the server
 * sends as many more. Without it a stream stops after stream_window bytes. */
RDRIVE_API void rdrive_stream_taken(struct rdrive_request *request, size_t len);

/* Any of these streams: gives it up. It completes with RDRIVE_ABORTED, or as it had ended before that. */
RDRIVE_API void rdrive_stream_abort(struct rdrive_request *request);

#ifdef __cplusplus
}
#endif

#endif
