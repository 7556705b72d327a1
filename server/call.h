/* SPDX-License-Identifier: MIT
 *
 * call.h - one request from its decoding to its encoded answer.
 *
 *    rd_call_create           rd_lane_enter              rd_dispatch_run            rd_call_finish
 *   --------------> NEW ----------------------> WAITING ----------------> RUNNING ---------------> FINISHED
 *                    |  no store in it, or bad                               ^                        |
 *                    +-------------------------------------------------------+     rd_conn_flush encodes, destroys
 *                    |                                                       |
 *                    +--- a streamed write: UPLOADING, until its last part ---+   (upload.c)
 *
 * A long body is parsed first: RUNNING on a pool thread, then NEW once more (deferred.c).
 *
 * A RUNNING call may be with a writer thread (its op) or a pool thread (rd_call_start_work, _read, _check,
 * _parse); until it is back on the loop nothing else touches it. A connection that closes destroys its WAITING and
 * FINISHED calls; RUNNING ones finish into nothing.
 *
 * Owned by the connection. The loop's thread only, but for the work function.
 */
#ifndef RD_SERVER_CALL_H
#define RD_SERVER_CALL_H

#include "engine/engine.h"
#include "protocol/message.h"
#include "server/pool.h"

struct rd_conn;
struct rd_hosted;
struct rd_lane;
struct rd_stores;
struct rd_upload;

/* So many bytes of a value are looked at before a read is answered: all of it is verified, or a part of it
 * touched. More leaves slice by slice (outbox.h). */
#define RD_CALL_LOOK_MAX (1u << 20)

#define RD_CALL_FETCHES_MAX                                                                                       \
    3u /* for one call: its trailer, the part of the value that is asked for, and one to spare */

enum rd_call_state { RD_CALL_NEW, RD_CALL_UPLOADING, RD_CALL_WAITING, RD_CALL_RUNNING, RD_CALL_FINISHED };

/* How a call stands to the others of its lane. */
enum rd_call_mode {
    RD_CALL_FREE,      /* in no lane */
    RD_CALL_READ,      /* sees every write before it */
    RD_CALL_WRITE,     /* the engine keeps the order of submission */
    RD_CALL_EXCLUSIVE, /* alone in its lane: create, drop, reopen, rename, watch */
    RD_CALL_UPLOAD,    /* in no lane while its parts come in, then a write */
    RD_CALL_BARRIER    /* alone on its connection, as it touches two stores: copy, transfer */
};

struct rd_call {
    struct rd_op op;             /* op.context is the call; the engine's while submitted */
    struct rd_conn *conn;        /* borrows; outlives the call */
    struct rd_call *prev, *next; /* among the connection's calls, in the order sent */
    struct rd_call *queue_next;  /* WAITING: in the lane; FINISHED: among the connection's ready calls */
    struct rd_request *request;  /* owned */
    struct rd_lane *lane;        /* borrows; NULL: none */
    struct rd_lane *account;     /* borrows; the lane it has been in, where its answer is counted; NULL: none */
    struct rd_hosted *hosted;    /* one use, while the call needs the store; NULL: none */
    enum rd_call_state state;
    enum rd_call_mode mode;
    uint64_t begun_ns;     /* rd_loop_clock_ns, when its last byte had come in */
    uint64_t submitted_ns; /* rd_loop_clock_ns, when its op was; 0: it was not */
    uint64_t number;       /* of the connection's requests, from 1 */
    bool scrapes;          /* counts among the process's scrapes */
    size_t cost;           /* bytes of memory that the request stands for */

    void (*on_complete)(struct rd_call *call); /* back on the loop after the op or the work */
    void (*work)(struct rd_call *call);        /* runs on a pool thread */
    struct rd_job job;                         /* of rd_call_start_read, _check and _parse */
    bool looking;                              /* its lane lets nothing change the store before it has finished */
    unsigned fetches;                          /* how often the pool has brought into memory what it looks at */

    struct rd_response response;    /* borrows from what follows and from the request */
    struct rd_value value;          /* owned; what response.value shows */
    bool verify_while_sending;      /* the value's checksum has not been looked at */
    struct rd_entry entries[2];     /* of a single write, delete or rename */
    struct rd_placement *placement; /* owned; a long value that lies ahead in the store it goes to */
    struct rd_upload *upload;       /* owned; of a streamed write */
    bool stream_cancelled;          /* read_stream: the reader has given it up before its answer was encoded */
    struct rd_hosted *target;       /* one use, of a copy's target; NULL: none */
    void *memory;                   /* owned; arrays of a batch or listing */
    struct rd_value *values;        /* owned pins, inside memory */
    size_t value_count;
    struct rd_look *looks; /* inside memory; of a transaction, with their pins */
    size_t look_count;
    struct rd_hosted **listed; /* owned references, borrowed by a listing */
    size_t listed_count;
    unsigned tries;        /* of a rename */
    uint64_t generation;   /* transfer: of the source's file, no later than its value was found there */
    struct rd_error error; /* of the work */
};

/* Takes the request. NULL: no memory, the request is destroyed. */
struct rd_call *rd_call_create(struct rd_conn *conn, struct rd_request *request);

/* What its request costs in memory as it is now, in bytes. */
size_t rd_call_weigh(const struct rd_call *call);

/* What a loop keeps of calls that are gone. */
struct rd_loop;
void rd_calls_free_spare(struct rd_loop *loop);

/* Releases all it holds. Not while RUNNING. The connection takes it out of its lists first. */
void rd_call_destroy(struct rd_call *call);

/* Ends a RUNNING or NEW call; the caller does not touch it afterwards. Where no value is in its answer its uses of
 * stores end, and all that it has of theirs is gone. */
void rd_call_finish(struct rd_call *call);

/* Fills status and message and finishes. */
void rd_call_fail(struct rd_call *call, enum rd_status status, const char *format, ...) RD_PRINTF(3, 4);

/* As rd_call_fail, from what a function below reported. */
void rd_call_fail_error(struct rd_call *call, enum rd_status status, const struct rd_error *error);

/* Runs work on a pool thread, then on_complete on the loop. False: it could not be started, and the call has been
 * answered. */
bool rd_call_start_work(struct rd_call *call, void (*work)(struct rd_call *call),
                        void (*on_complete)(struct rd_call *call));

/* The same, but where it cannot be started the call is as it was: NO_MEMORY or UNAVAILABLE. */
enum rd_status rd_call_try_work(struct rd_call *call, void (*work)(struct rd_call *call),
                                void (*on_complete)(struct rd_call *call)) RD_MUST_CHECK;

/* The same for a read of the store in call->hosted that waits for the disk, and is short (pool.h). */
void rd_call_start_read(struct rd_call *call, void (*work)(struct rd_call *call),
                        void (*on_complete)(struct rd_call *call));

/* The same for a look at values that it has pinned: nothing that is sent behind it waits. */
void rd_call_start_check(struct rd_call *call, void (*work)(struct rd_call *call),
                         void (*on_complete)(struct rd_call *call));

/* The same for a long body, of which few are parsed at a time; no store is needed. */
void rd_call_start_parse(struct rd_call *call, void (*work)(struct rd_call *call),
                         void (*on_complete)(struct rd_call *call));

/* Whether what is not in memory is to be fetched once more. It may be gone again each time: then the loop waits.
 */
static inline bool rd_call_may_fetch(const struct rd_call *call)
{
    return call->fetches < RD_CALL_FETCHES_MAX;
}

/* Zeroed memory that goes with the call; NULL: none, or an absurd size. Once per call. */
void *rd_call_allocate(struct rd_call *call, size_t count, size_t size);

struct rd_stores *rd_call_stores(const struct rd_call *call);

#endif
