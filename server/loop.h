/* SPDX-License-Identifier: MIT
 *
 * loop.h - one event loop: a thread, the connections and listeners that belong to it, its bridge to the writer
 * threads, and what is put off to the end of a turn.
 *
 * Everything that happened in one turn is passed on at its end: one kick for each store that was given operations,
 * one write for each connection that was given answers.
 *
 * Threads: all fields are the loop thread's but where noted; functions too.
 */
#ifndef RD_SERVER_LOOP_H
#define RD_SERVER_LOOP_H

#include <stdatomic.h>
#include <uv.h>

#include "protocol/codec.h"
#include "server/affinity.h"
#include "server/auth.h"
#include "server/bridge.h"
#include "server/conn.h"
#include "server/courtesy.h"
#include "server/gather.h"
#include "server/hosts.h"
#include "server/log_share.h"
#include "server/metrics.h"
#include "server/pages.h"
#include "server/pool.h"
#include "server/process.h"
#include "server/slow_log.h"
#include "server/verifier.h"

#define RD_LOOP_READ_BUFFER_LEN (128u << 10)
#define RD_LOOP_SIGNALS         3  /* SIGTERM, SIGINT, SIGHUP */
#define RD_LOOP_BRIEF_MS        10 /* after a brief answer others are taken to wait for more of them */

struct rd_call;
struct rd_compactor;
struct rd_conn;
struct rd_listener;
struct rd_stores;
struct rd_tls;

/* A connection accepted by one loop for another. */
struct rd_accepted {
    struct rd_accepted *next;
    int fd; /* owned */
    bool is_unix;
    const struct rd_codec *codec; /* NULL: the first byte tells */
    bool refused;                 /* one too many */
};

/* What a reload may change of a loop. */
struct rd_loop_tuning {
    struct rd_limits limits; /* of connections to come; what is counted is counted for those that are there, too */
    unsigned connections_max;
    size_t connection_bytes_max; /* that requests of one connection cost, at which it is not read any more */
    uint64_t value_len_max;      /* bytes of one value */
    uint64_t stall_ms;           /* after so long without progress a request or an answer is given up */
    uint64_t idle_ms;            /* after so long without a request a connection is closed; 0: never */
    uint64_t header_ms;          /* so long may a request's head take, and the first request to begin */
    uint64_t rate_min;           /* bytes a second that a request has to arrive with, over ... */
    uint64_t rate_window_ms;     /* ... so long at a time */
    uint64_t slow_ns;            /* a request that took so long is logged; 0: none is */
    struct rd_hosts http_hosts;
};

struct rd_loop {
    uv_loop_t uv;
    unsigned index;
    struct rd_stores *stores; /* borrows; shared, locks for itself */
    struct rd_loop_tuning tuning;
    atomic_uint *connection_count; /* borrows; of all loops */
    struct rd_process *process;    /* borrows */
    struct rd_tls *tls;            /* borrows; spoken by TCP connections; NULL: they are plain */
    struct rd_auth_view auth;      /* the server's; on this loop's thread while it runs */
    bool http_is_local;            /* the port of HTTP is bound to a loopback address */
    void (*on_signal)(int number); /* loop 0 only; NULL elsewhere */
    bool held;                     /* its thread, to a processor: affinity.h */
    uint64_t alive_ms;             /* how often the service manager wants a sign of life; 0: never */

    struct rd_bridge bridge;
    uv_prepare_t prepare;                 /* ends a turn: callbacks may also run between check and poll */
    uv_check_t check;                     /* ends a turn */
    uv_idle_t going_on;                   /* active: the next turn does not wait for anything */
    uint64_t turn;                        /* number of waits for events, so of turns */
    uint64_t turn_received;               /* bytes read in this one */
    uint64_t taking_ns;                   /* uv_hrtime at this one's first request; 0: there was none yet */
    struct rd_courtesy courtesy;          /* from one sweep to the next */
    bool turn_is_long;                    /* requests have been taken for as long as they may be */
    uv_timer_t sweep;                     /* deadlines of connections */
    uv_timer_t alive;                     /* loop 0; signs of life */
    struct rd_affinity affinity;          /* unless the thread is not held at all */
    bool has_queued_work;                 /* libuv's threads have begun */
    uv_async_t control;                   /* something is in the inbox, or stop_requested is set; any thread */
    uv_signal_t signals[RD_LOOP_SIGNALS]; /* loop 0 */

    uint8_t *read_buffer;   /* owned; RD_LOOP_READ_BUFFER_LEN, from a page on; holds nothing between callbacks */
    uint8_t *sealed_buffer; /* owned; likewise, for records; NULL without tls */
    uint8_t *record_buffer; /* owned; of RD_TLS_RECORD_LEN_MAX: what becomes one record; NULL without tls */
    struct rd_pages pages;  /* what sends long values */
    struct rd_log_share log_share; /* of connections */
    struct rd_call *spare_calls;   /* owned; memory of calls that are gone, for those to come */
    unsigned spare_call_count;
    struct rd_conn *conns;           /* owned; all of them */
    unsigned conn_count;             /* until they are freed */
    struct rd_gather gather;         /* reads that have yet to look */
    unsigned finished_calls;         /* since connections were flushed */
    struct rd_conn *dirty_conns;     /* to be flushed at the end of the turn */
    struct rd_conn *line;            /* those that have much to send: loop.c, take_from_line */
    struct rd_conn *line_last;       /* unless line is NULL */
    struct rd_conn_queue waiting;    /* those that have had their share of requests: loop.c, serve_waiting */
    unsigned waiting_before;         /* of these, how many did not come in this turn; the first ones */
    struct rd_hosted **dirty_stores; /* owned array, with one use each; to be kicked */
    size_t dirty_store_count;
    size_t dirty_store_capacity;
    struct rd_listener *listeners; /* owned */
    struct rd_verifier verifier;
    struct rd_pool *pool;            /* borrows; of all loops */
    struct rd_pool_queue *parses;    /* borrows; of all loops: long bodies of JSON */
    struct rd_pool_queue *encodings; /* borrows; of all loops: long answers */
    struct rd_pool_queue *disposals; /* borrows; of all loops: disposal.h */
    struct rd_compactor *compactor;  /* borrows; of all loops */
    struct rd_pool_port port;
    uint64_t faults_seen_ms; /* uv_now, when the thread's major faults were last looked at */
    long faults;             /* and how many there had been */

    struct rd_slow_log slow_log;
    uint64_t brief_ms; /* uv_now, when the last brief answer was given; 0: never */
    uint64_t clock_ns; /* what rd_loop_clock_ns answers in this turn; 0: not read yet */
    struct rd_loop_counts counts;

    bool stopping;
    bool closed;      /* the loop's own handles are closing */
    uint64_t stop_ms; /* uv_now when stopping began */

    uv_mutex_t inbox_lock;
    struct rd_accepted *inbox;         /* guarded by inbox_lock; owned nodes */
    bool inbox_closed;                 /* guarded by inbox_lock */
    struct rd_loop_tuning next_tuning; /* guarded by inbox_lock */
    bool tuned;                        /* guarded by inbox_lock; next_tuning is to be taken */
    atomic_bool stop_requested;        /* any thread */
};

/* The monotonic clock, as it was when a turn's first bytes came in, or its last few connections were flushed. */
static inline uint64_t rd_loop_clock_ns(struct rd_loop *loop)
{
    if (loop->clock_ns == 0)
        loop->clock_ns = uv_hrtime();
    return loop->clock_ns;
}

/* Whether there are clients to whom a tenth of a millisecond is much: long values leave in smaller pieces then. */
static inline bool rd_loop_is_brief(const struct rd_loop *loop)
{
    return uv_now(&loop->uv) - loop->brief_ms < RD_LOOP_BRIEF_MS;
}

/* Before the loop runs; the caller has set index, stores, pool, parses, encodings, disposals, tuning,
 * connection_count, process, tls, auth, http_is_local, on_signal, held and alive_ms in an otherwise zeroed struct,
 * which stays where it is. */
enum rd_status rd_loop_init(struct rd_loop *loop) RD_MUST_CHECK;

/* As uv_queue_work, which is not to be called: affinity.h says why. */
int rd_loop_queue_work(struct rd_loop *loop, uv_work_t *work, uv_work_cb run, uv_after_work_cb after);

/* Runs until rd_loop_request_stop and the end of all connections; then only rd_loop_deinit is left. */
void rd_loop_run(struct rd_loop *loop);

/* After the loop has ended and every store is closed, or after a start that failed. */
void rd_loop_deinit(struct rd_loop *loop);

/* Any thread. No new connections or requests; what was accepted is answered. */
void rd_loop_request_stop(struct rd_loop *loop);

/* Any thread. The loop goes by it from one of its next turns on. */
void rd_loop_tune(struct rd_loop *loop, const struct rd_loop_tuning *tuning);

/* Any thread. Takes *accepted (malloc) and its descriptor. */
void rd_loop_hand_over(struct rd_loop *loop, struct rd_accepted *accepted);

/* The store was given operations in this turn. */
void rd_loop_mark_store(struct rd_loop *loop, struct rd_hosted *hosted);

/* Answers what has been read so far where that is much, before the turn ends: of a thousand connections that have
 * sent 16 requests each, the first ones' calls would have left the caches when their answers are encoded. May
 * close any connection. For the beginning of a callback, when nothing is under way. */
void rd_loop_answer_early(struct rd_loop *loop);

/* The next turn begins at once. */
void rd_loop_go_on(struct rd_loop *loop);

/* A connection is freed. */
void rd_loop_conn_gone(struct rd_loop *loop);

#endif
