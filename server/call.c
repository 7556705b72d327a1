/* SPDX-License-Identifier: MIT */
#include "server/call.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "protocol/guards.h"
#include "server/conn.h"
#include "server/disposal.h"
#include "server/lane.h"
#include "server/loop.h"
#include "server/stores.h"
#include "server/upload.h"

#define SPARE_CALLS_MAX 1024u /* that a loop keeps: a megabyte and a half */

/* What an item of a batch costs beside its bytes: the arrays in the request, the call and the engine. */
#define ITEM_COST (sizeof(struct rd_message_item) + sizeof(struct rd_entry) + sizeof(struct rd_value) + 64)
#define LOOK_COST (sizeof(struct rd_message_look) + sizeof(struct rd_look) + 64)

/* A call is larger than what the allocator gives out quickly, and every request needs one. */
static struct rd_call *take_spare(struct rd_loop *loop)
{
    struct rd_call *call = loop->spare_calls;
    if (call == NULL)
        return malloc(sizeof *call);
    loop->spare_calls = call->next;
    loop->spare_call_count--;
    return call;
}

static void give_back(struct rd_loop *loop, struct rd_call *call)
{
    if (loop->spare_call_count == SPARE_CALLS_MAX) {
        free(call);
        return;
    }
    call->next = loop->spare_calls;
    loop->spare_calls = call;
    loop->spare_call_count++;
}

void rd_calls_free_spare(struct rd_loop *loop)
{
    while (loop->spare_calls != NULL)
        free(take_spare(loop));
}

size_t rd_call_weigh(const struct rd_call *call)
{
    const struct rd_request *request = call->request;
    return sizeof *call + request->body_len + request->item_count * ITEM_COST + request->look_count * LOOK_COST;
}

struct rd_call *rd_call_create(struct rd_conn *conn, struct rd_request *request)
{
    struct rd_loop *loop = rd_conn_loop(conn);
    struct rd_call *call = take_spare(loop);
    if (call == NULL) {
        rd_request_destroy(request);
        return NULL;
    }
    memset((void *)call, 0, sizeof *call);
    call->conn = conn;
    call->request = request;
    call->op.context = call;
    call->begun_ns = rd_loop_clock_ns(loop);
    call->cost = rd_call_weigh(call);
    return call;
}

/* Gives up its uses of stores, and before them what it has of theirs. */
static void leave_stores(struct rd_call *call)
{
    rd_value_release(&call->value);
    rd_values_release(call->values, call->value_count);
    call->value_count = 0;
    for (size_t i = 0; i < call->look_count; i++)
        rd_value_release(&call->looks[i].value);
    call->look_count = 0;
    rd_placement_destroy(call->placement);
    call->placement = NULL;
    rd_upload_leave_store(call);
    if (call->target != NULL)
        rd_hosted_unuse(call->target);
    call->target = NULL;
    if (call->hosted != NULL)
        rd_hosted_unuse(call->hosted);
    call->hosted = NULL;
}

/* Of a call that is gone: what its request says, and its arrays. */
struct remains {
    struct rd_request *request;
    void *memory;
};

static void free_remains(void *object)
{
    struct remains *remains = object;
    rd_request_destroy(remains->request);
    free(remains->memory);
    free(remains);
}

static void dispose_of_remains(struct rd_call *call)
{
    struct remains *remains = call->cost < RD_DISPOSAL_LEN_MIN ? NULL : malloc(sizeof *remains);
    if (remains == NULL) {
        rd_request_destroy(call->request);
        free(call->memory);
        return;
    }
    *remains = (struct remains){.request = call->request, .memory = call->memory};
    rd_guards_unref(call->request->guards); /* the decoder has them too */
    call->request->guards = NULL;
    rd_dispose(rd_conn_loop(call->conn), remains, free_remains);
}

void rd_call_destroy(struct rd_call *call)
{
    leave_stores(call);
    rd_upload_destroy(call);
    for (size_t i = 0; i < call->listed_count; i++)
        rd_hosted_unref(call->listed[i]);
    free(call->listed);
    if (call->account != NULL)
        call->account->account_count--;
    if (call->scrapes)
        atomic_fetch_sub(&rd_conn_loop(call->conn)->process->scrapes, 1);
    dispose_of_remains(call);
    give_back(rd_conn_loop(call->conn), call);
}

/* Whether its answer has values, which are their store's until they have left. */
static bool answers_with_values(const struct rd_call *call)
{
    const struct rd_response *response = &call->response;
    return response->status == RD_OK && (response->value.data != NULL || response->item_count != 0 ||
                                         rd_opcode_is_download(call->request->opcode));
}

/* Its answer may have to wait for one that waits for a store's uses to end. */
void rd_call_finish(struct rd_call *call)
{
    if (!answers_with_values(call))
        leave_stores(call);
    struct rd_lane *lane = call->lane;
    struct rd_conn *conn = call->conn;
    enum rd_call_mode mode = call->mode;
    bool looked = call->looking;
    enum rd_status status = call->response.status;
    if (status == RD_TOO_LARGE || status == RD_HEADER_TOO_LARGE)
        rd_process_note(rd_conn_loop(conn)->process, RD_REFUSED_TOO_LARGE);
    call->state = RD_CALL_FINISHED;
    call->lane = NULL;
    rd_conn_loop(conn)->finished_calls++;
    rd_conn_keep(conn);
    rd_conn_take_finished(conn, call);
    if (lane != NULL)
        rd_lane_leave(lane, mode, looked);
    rd_conn_run_barrier(conn, mode == RD_CALL_BARRIER);
    rd_conn_let_go(conn);
}

void rd_call_fail(struct rd_call *call, enum rd_status status, const char *format, ...)
{
    struct rd_response response = {.status = status};
    va_list args;
    va_start(args, format);
    vsnprintf(response.message, sizeof response.message, format, args);
    va_end(args);
    call->response = response;
    rd_call_finish(call);
}

void rd_call_fail_error(struct rd_call *call, enum rd_status status, const struct rd_error *error)
{
    rd_call_fail(call, status, "%.191s", error->message[0] != '\0' ? error->message : rd_status_name(status));
}

void *rd_call_allocate(struct rd_call *call, size_t count, size_t size)
{
    call->memory = calloc(count != 0 ? count : 1, size);
    return call->memory;
}

struct rd_stores *rd_call_stores(const struct rd_call *call)
{
    return rd_conn_loop(call->conn)->stores;
}

/* ---- work on a pool thread -------------------------------------------------------------------------------- */

static void run_work(uv_work_t *work)
{
    struct rd_call *call = work->data;
    call->work(call);
}

static void after_work(uv_work_t *work, int status)
{
    (void)status; /* work is never cancelled */
    struct rd_call *call = work->data;
    free(work);
    rd_counter_sub(&rd_conn_loop(call->conn)->counts.jobs, !call->scrapes);
    call->on_complete(call);
}

enum rd_status rd_call_try_work(struct rd_call *call, void (*work)(struct rd_call *call),
                                void (*on_complete)(struct rd_call *call))
{
    uv_work_t *request = malloc(sizeof *request);
    if (request == NULL)
        return RD_NO_MEMORY;
    request->data = call;
    call->work = work;
    call->on_complete = on_complete;
    struct rd_loop *loop = rd_conn_loop(call->conn);
    if (rd_loop_queue_work(loop, request, run_work, after_work) != 0) {
        free(request);
        return RD_UNAVAILABLE;
    }
    rd_counter_add(&loop->counts.jobs, !call->scrapes);
    return RD_OK;
}

bool rd_call_start_work(struct rd_call *call, void (*work)(struct rd_call *call),
                        void (*on_complete)(struct rd_call *call))
{
    enum rd_status status = rd_call_try_work(call, work, on_complete);
    if (status != RD_OK)
        rd_call_fail(call, status,
                     status == RD_NO_MEMORY ? "no memory for the request" : "the request cannot be started");
    return status == RD_OK;
}

static struct rd_call *call_of(struct rd_job *job)
{
    return (struct rd_call *)(void *)((char *)job - offsetof(struct rd_call, job));
}

static void run_job(struct rd_job *job)
{
    struct rd_call *call = call_of(job);
    call->work(call);
}

static void after_job(struct rd_job *job)
{
    struct rd_call *call = call_of(job);
    call->on_complete(call);
}

static void start_job(struct rd_call *call, struct rd_pool_queue *queue, void (*work)(struct rd_call *call),
                      void (*on_complete)(struct rd_call *call))
{
    struct rd_loop *loop = rd_conn_loop(call->conn);
    call->work = work;
    call->on_complete = on_complete;
    call->job = (struct rd_job){.work = run_job, .done = after_job, .port = &loop->port, .queue = queue};
    if (rd_pool_submit(loop->pool, &call->job))
        return;
    run_job(&call->job); /* no thread is to be had: better late than not at all */
    after_job(&call->job);
}

void rd_call_start_check(struct rd_call *call, void (*work)(struct rd_call *call),
                         void (*on_complete)(struct rd_call *call))
{
    start_job(call, &call->hosted->reads, work, on_complete);
}

void rd_call_start_parse(struct rd_call *call, void (*work)(struct rd_call *call),
                         void (*on_complete)(struct rd_call *call))
{
    start_job(call, rd_conn_loop(call->conn)->parses, work, on_complete);
}

void rd_call_start_read(struct rd_call *call, void (*work)(struct rd_call *call),
                        void (*on_complete)(struct rd_call *call))
{
    if (call->mode == RD_CALL_READ)
        rd_lane_begin_look(call->lane, call);
    call->fetches++;
    rd_call_start_check(call, work, on_complete);
}
