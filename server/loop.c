/* SPDX-License-Identifier: MIT */
#include "server/loop.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/page.h"
#include "server/call.h"
#include "server/conn.h"
#include "server/dispatch.h"
#include "server/listener.h"
#include "server/log.h"
#include "server/stores.h"
#include "server/systemd.h"
#include "server/tls.h"

#define SWEEP_MS          1000u
#define SWEEP_STOPPING_MS 100u
#define CLOCK_EVERY       4u  /* connections that are flushed by one reading of the clock: some 20 us */
#define EARLY_CALLS_MIN   64u /* a call and what it has are two kilobytes: they are still in the nearest caches */
#define WAITING_NS_MAX    2000000u /* in a turn, for those that have had their share of a long one */
#define STOP_UPLOADS_MS   4000u    /* a stopping daemon waits this long for half-received requests */
#define STOP_OUTPUT_MS    4000u    /* and for clients to take their answers: the fifth second is for checkpoints */

/* ---- work on libuv's threads ------------------------------------------------------------------------------- */

/* The first begins libuv's threads. */
int rd_loop_queue_work(struct rd_loop *loop, uv_work_t *work, uv_work_cb run, uv_after_work_cb after)
{
    if (!loop->has_queued_work)
        rd_affinity_before_thread(loop->bridge.affinity);
    loop->has_queued_work = true;
    return uv_queue_work(&loop->uv, work, run, after);
}

/* ---- the end of a turn ------------------------------------------------------------------------------------ */

void rd_loop_mark_store(struct rd_loop *loop, struct rd_hosted *hosted)
{
    /* Twice in the list is harmless, so only the likely case is looked for. */
    if (loop->dirty_store_count != 0 && loop->dirty_stores[loop->dirty_store_count - 1] == hosted)
        return;
    if (loop->dirty_store_count == loop->dirty_store_capacity) {
        size_t capacity = loop->dirty_store_capacity == 0 ? 16 : loop->dirty_store_capacity * 2;
        struct rd_hosted **list = realloc(loop->dirty_stores, capacity * sizeof(struct rd_hosted *));
        if (list == NULL) {
            rd_store_kick(hosted->store);
            return;
        }
        loop->dirty_stores = list;
        loop->dirty_store_capacity = capacity;
    }
    rd_hosted_use_again(hosted);
    loop->dirty_stores[loop->dirty_store_count++] = hosted;
}

static void kick_stores(struct rd_loop *loop)
{
    for (size_t i = 0; i < loop->dirty_store_count; i++) {
        rd_store_kick(loop->dirty_stores[i]->store);
        rd_hosted_unuse(loop->dirty_stores[i]);
    }
    loop->dirty_store_count = 0;
}

static void on_handle_closed(uv_handle_t *handle)
{
    (void)handle;
}

/* The last connection has gone and no more come: without handles, uv_run returns. */
static void close_handles(struct rd_loop *loop)
{
    loop->closed = true;
    rd_bridge_close(&loop->bridge);
    rd_pool_port_close(&loop->port);
    uv_close((uv_handle_t *)&loop->prepare, on_handle_closed);
    uv_close((uv_handle_t *)&loop->check, on_handle_closed);
    uv_close((uv_handle_t *)&loop->going_on, on_handle_closed);
    uv_close((uv_handle_t *)&loop->sweep, on_handle_closed);
    uv_close((uv_handle_t *)&loop->alive, on_handle_closed);
    if (loop->held)
        rd_affinity_close(&loop->affinity);
    for (int i = 0; loop->on_signal != NULL && i < RD_LOOP_SIGNALS; i++)
        uv_close((uv_handle_t *)&loop->signals[i], on_handle_closed);
    uv_mutex_lock(&loop->inbox_lock);
    loop->inbox_closed = true;
    uv_close((uv_handle_t *)&loop->control, on_handle_closed);
    uv_mutex_unlock(&loop->inbox_lock);
}

static void flush_conns(struct rd_loop *loop)
{
    struct rd_conn *conn;
    for (unsigned flushed = 0; (conn = rd_conn_take_dirty(&loop->dirty_conns)) != NULL; flushed++) {
        if (flushed % CLOCK_EVERY == 0)
            loop->clock_ns = 0;
        rd_conn_flush(conn);
    }
    loop->finished_calls = 0;
}

/* Stores are not kicked: a group is worth more the more it has. */
void rd_loop_answer_early(struct rd_loop *loop)
{
    if (loop->finished_calls + loop->gather.count < EARLY_CALLS_MIN)
        return;
    rd_gather_run(&loop->gather);
    flush_conns(loop);
}

/* Kicks first: writers start while the answers are sent. Flushing a connection may resume its input, once a turn,
 * and so give work to both lists once more. */
static void end_turn(struct rd_loop *loop)
{
    if (loop->closed)
        return;
    do {
        rd_gather_run(&loop->gather);
        kick_stores(loop);
        flush_conns(loop);
    } while (loop->gather.count != 0);
    kick_stores(loop);
    loop->clock_ns = 0;
    if (loop->stopping && loop->conn_count == 0)
        close_handles(loop);
}

/* The next thing is to wait for events. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct rd_loop *loop = prepare->data;
    end_turn(loop);
    loop->turn++;
    loop->taking_ns = 0;
    loop->turn_is_long = false;
    loop->waiting_before = loop->waiting.count;
}

static void on_going_on(uv_idle_t *going_on)
{
    (void)going_on;
}

void rd_loop_go_on(struct rd_loop *loop)
{
    uv_idle_start(&loop->going_on, on_going_on);
}

/* One, and where more than a share was read in this turn as many as that: or uploads would get a share each, and
 * all downloads one. */
static void take_from_line(struct rd_loop *loop)
{
    uint64_t shares = loop->turn_received / RD_CONN_TURN_LEN_MAX;
    loop->turn_received = 0;
    if (loop->line == NULL)
        return;
    do
        rd_conn_take_from_line(&loop->line);
    while (loop->line != NULL && shares-- > 1);
}

/* Those whose input had to wait for a turn, one after another as long as this one may take for them; who has come
 * in this one has had what it gives. */
static void serve_waiting(struct rd_loop *loop)
{
    if (loop->waiting_before == 0)
        return;
    uint64_t began_ns = uv_hrtime();
    do {
        rd_conn_end_wait(&loop->waiting);
        flush_conns(loop);
    } while (--loop->waiting_before != 0 && uv_hrtime() - began_ns < WAITING_NS_MAX);
    end_turn(loop);
}

/* A loop that had to wait for a page believed what no longer holds: memory is short. Looked at once a millisecond,
 * since asking takes as long as a small read. */
static void watch_faults(struct rd_loop *loop)
{
    uint64_t now_ms = uv_now(&loop->uv);
    struct rusage usage;
    if (now_ms == loop->faults_seen_ms || getrusage(RUSAGE_THREAD, &usage) != 0)
        return;
    if (usage.ru_majflt != loop->faults)
        rd_residency_doubt(now_ms);
    loop->faults = usage.ru_majflt;
    loop->faults_seen_ms = now_ms;
}

/* Long values that leave turn after turn keep the loop from sleeping, and so its processor from a client beside
 * it: it may have its answer, and nowhere else to take it. */
static void let_clients_in(struct rd_loop *loop, bool had_line)
{
    if (had_line && rd_loop_is_brief(loop))
        rd_courtesy_let_in(&loop->courtesy);
}

static void on_check(uv_check_t *check)
{
    struct rd_loop *loop = check->data;
    bool had_line = loop->line != NULL;
    take_from_line(loop);
    end_turn(loop);
    let_clients_in(loop, had_line);
    serve_waiting(loop);
    if (loop->line == NULL && loop->waiting.count == 0)
        uv_idle_stop(&loop->going_on);
    watch_faults(loop);
}

/* ---- connections ------------------------------------------------------------------------------------------ */

void rd_loop_conn_gone(struct rd_loop *loop)
{
    assert(loop->conn_count > 0);
    loop->conn_count--;
    atomic_fetch_sub(loop->connection_count, 1);
}

static void on_sweep(uv_timer_t *timer)
{
    struct rd_loop *loop = timer->data;
    struct rd_sweep sweep = {.now_ms = uv_now(&loop->uv)};
    loop->courtesy = (struct rd_courtesy){.crowded = false};
    rd_residency_settle(sweep.now_ms);
    if (loop->stopping) {
        sweep.end_uploads = sweep.now_ms - loop->stop_ms >= STOP_UPLOADS_MS;
        sweep.end_output = sweep.now_ms - loop->stop_ms >= STOP_OUTPUT_MS;
    }
    for (struct rd_conn *conn = loop->conns; conn != NULL;) {
        struct rd_conn *next = rd_conn_next(conn);
        rd_conn_sweep(conn, &sweep);
        conn = next;
    }
    rd_log_share_tell(&loop->log_share);
}

static void on_alive(uv_timer_t *timer)
{
    (void)timer;
    rd_systemd_notify("WATCHDOG=1");
}

/* ---- orders from other threads ---------------------------------------------------------------------------- */

static void begin_stop(struct rd_loop *loop)
{
    loop->stopping = true;
    loop->stop_ms = uv_now(&loop->uv);
    rd_listeners_close(&loop->listeners);
    for (struct rd_conn *conn = loop->conns; conn != NULL;) {
        struct rd_conn *next = rd_conn_next(conn);
        rd_conn_drain(conn);
        conn = next;
    }
    uv_timer_start(&loop->sweep, on_sweep, SWEEP_STOPPING_MS, SWEEP_STOPPING_MS);
}

static void take_inbox(struct rd_loop *loop)
{
    uv_mutex_lock(&loop->inbox_lock);
    struct rd_accepted *accepted = loop->inbox;
    loop->inbox = NULL;
    uv_mutex_unlock(&loop->inbox_lock);
    while (accepted != NULL) {
        struct rd_accepted *next = accepted->next;
        if (loop->stopping) {
            close(accepted->fd);
            atomic_fetch_sub(loop->connection_count, 1);
        } else {
            rd_conn_open(loop, accepted->fd, accepted->is_unix, accepted->codec, accepted->refused);
        }
        free(accepted);
        accepted = next;
    }
}

static void take_tuning(struct rd_loop *loop)
{
    uv_mutex_lock(&loop->inbox_lock);
    if (loop->tuned)
        loop->tuning = loop->next_tuning;
    atomic_store(&loop->process->connections_max, loop->tuning.connections_max);
    loop->tuned = false;
    uv_mutex_unlock(&loop->inbox_lock);
}

static void on_control(uv_async_t *control)
{
    struct rd_loop *loop = control->data;
    take_tuning(loop);
    if (atomic_load(&loop->stop_requested) && !loop->stopping)
        begin_stop(loop);
    take_inbox(loop);
}

void rd_loop_request_stop(struct rd_loop *loop)
{
    atomic_store(&loop->stop_requested, true);
    uv_mutex_lock(&loop->inbox_lock);
    if (!loop->inbox_closed)
        uv_async_send(&loop->control);
    uv_mutex_unlock(&loop->inbox_lock);
}

void rd_loop_tune(struct rd_loop *loop, const struct rd_loop_tuning *tuning)
{
    uv_mutex_lock(&loop->inbox_lock);
    loop->next_tuning = *tuning;
    loop->tuned = true;
    if (!loop->inbox_closed)
        uv_async_send(&loop->control);
    uv_mutex_unlock(&loop->inbox_lock);
}

void rd_loop_hand_over(struct rd_loop *loop, struct rd_accepted *accepted)
{
    uv_mutex_lock(&loop->inbox_lock);
    bool taken = !loop->inbox_closed;
    if (taken) {
        accepted->next = loop->inbox;
        loop->inbox = accepted;
        uv_async_send(&loop->control);
    }
    uv_mutex_unlock(&loop->inbox_lock);
    if (!taken) {
        close(accepted->fd);
        atomic_fetch_sub(loop->connection_count, 1);
        free(accepted);
    }
}

/* ---- life ------------------------------------------------------------------------------------------------- */

static void on_signal(uv_signal_t *signal, int number)
{
    struct rd_loop *loop = signal->data;
    loop->on_signal(number);
}

static int start_handles(struct rd_loop *loop)
{
    static const int signal_numbers[RD_LOOP_SIGNALS] = {SIGTERM, SIGINT, SIGHUP};
    int status = 0;
    status |= uv_prepare_init(&loop->uv, &loop->prepare);
    status |= uv_check_init(&loop->uv, &loop->check);
    status |= uv_idle_init(&loop->uv, &loop->going_on);
    status |= uv_timer_init(&loop->uv, &loop->sweep);
    status |= uv_timer_init(&loop->uv, &loop->alive);
    status |= uv_async_init(&loop->uv, &loop->control, on_control);
    if (loop->held)
        status |= rd_affinity_init(&loop->affinity, &loop->uv) != RD_OK;
    loop->bridge.affinity = loop->held ? &loop->affinity : NULL;
    loop->port.affinity = loop->bridge.affinity;
    loop->prepare.data = loop;
    loop->check.data = loop;
    loop->sweep.data = loop;
    loop->control.data = loop;
    if (status != 0)
        return status;
    status |= uv_prepare_start(&loop->prepare, on_prepare);
    status |= uv_check_start(&loop->check, on_check);
    status |= uv_timer_start(&loop->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    if (loop->alive_ms != 0)
        status |= uv_timer_start(&loop->alive, on_alive, 0, loop->alive_ms);
    for (int i = 0; loop->on_signal != NULL && i < RD_LOOP_SIGNALS; i++) {
        status |= uv_signal_init(&loop->uv, &loop->signals[i]);
        loop->signals[i].data = loop;
        status |= uv_signal_start(&loop->signals[i], on_signal, signal_numbers[i]);
    }
    return status;
}

static bool make_buffers(struct rd_loop *loop)
{
    loop->read_buffer = rd_page_alloc(RD_LOOP_READ_BUFFER_LEN);
    if (loop->tls == NULL)
        return loop->read_buffer != NULL;
    loop->sealed_buffer = rd_page_alloc(RD_LOOP_READ_BUFFER_LEN);
    loop->record_buffer = malloc(RD_TLS_RECORD_LEN_MAX);
    return loop->read_buffer != NULL && loop->sealed_buffer != NULL && loop->record_buffer != NULL;
}

static void free_buffers(struct rd_loop *loop)
{
    free(loop->record_buffer);
    free(loop->sealed_buffer);
    free(loop->read_buffer);
    loop->read_buffer = NULL;
}

enum rd_status rd_loop_init(struct rd_loop *loop)
{
    if (!make_buffers(loop))
        goto no_mutex;
    if (uv_mutex_init(&loop->inbox_lock) != 0)
        goto no_mutex;
    if (uv_loop_init(&loop->uv) != 0)
        goto no_loop;
    if (rd_bridge_init(&loop->bridge, &loop->uv, rd_dispatch_complete) != RD_OK)
        goto no_bridge;
    if (rd_pool_port_init(&loop->port, &loop->uv) != RD_OK)
        return RD_IO_ERROR; /* as below */
    if (start_handles(loop) != 0)
        return RD_IO_ERROR; /* the process is about to end; closing what is open would need the loop to run */
    return RD_OK;

no_bridge:
    uv_loop_close(&loop->uv);
no_loop:
    uv_mutex_destroy(&loop->inbox_lock);
no_mutex:
    free_buffers(loop);
    return RD_IO_ERROR;
}

void rd_loop_run(struct rd_loop *loop)
{
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void rd_loop_deinit(struct rd_loop *loop)
{
    if (loop->read_buffer == NULL)
        return;
    int status = uv_loop_close(&loop->uv);
    assert(status == 0);
    (void)status;
    rd_bridge_deinit(&loop->bridge);
    rd_pool_port_deinit(&loop->port);
    uv_mutex_destroy(&loop->inbox_lock);
    rd_pages_deinit(&loop->pages);
    rd_calls_free_spare(loop);
    rd_usage_deinit(&loop->counts.usage);
    free(loop->dirty_stores);
    free_buffers(loop);
}
