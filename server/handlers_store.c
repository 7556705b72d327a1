/* SPDX-License-Identifier: MIT
 *
 * handlers_store.c - requests about stores, and those that need none.
 */
#include "server/handlers.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "server/compactor.h"
#include "server/conn.h"
#include "server/gate.h"
#include "server/lane.h"
#include "server/loop.h"
#include "server/stores.h"
#include "server/terms.h"

/* ---- without a store -------------------------------------------------------------------------------------- */

void rd_run_hello(struct rd_call *call)
{
    call->response.limits = rd_conn_loop(call->conn)->tuning.limits;
    rd_call_finish(call);
}

/* The token has been looked at on the way here. */
void rd_run_auth(struct rd_call *call)
{
    call->response.open = !rd_auth_is_on(rd_conn_loop(call->conn)->auth.auth);
    rd_call_finish(call);
}

/* ---- stores ----------------------------------------------------------------------------------------------- */

/* What a row of a listing borrows. */
struct described {
    struct rd_store_info info;
    char reason[RD_HOSTED_REASON_SIZE];
};
#define ROW_SIZE (sizeof(struct rd_response_store) + sizeof(struct described))

static void describe_store(struct rd_hosted *hosted, struct rd_response_store *row, struct described *described)
{
    *row = (struct rd_response_store){.name = rd_slice_of_string(hosted->name), .state = RD_MESSAGE_STORE_FAILED};
    while (rd_hosted_use(hosted, NULL) != RD_OK) {
        rd_hosted_reason(hosted, described->reason);
        row->reason = rd_slice_of_string(described->reason);
        if (row->reason.len != 0)
            return;
        /* None: it serves again by now. */
    }
    struct rd_store_info *info = &described->info;
    rd_store_info(hosted->store, info);
    rd_hosted_unuse(hosted);
    row->entries = info->entries;
    row->tail = info->tail;
    row->file_size = info->file_size;
    row->dead_bytes = info->dead_bytes;
    row->durability = rd_terms_message_durability(info->durability);
    row->durability_interval_ms = info->durability_interval_ms;
    row->state = info->state == RD_STORE_OPEN ? RD_MESSAGE_STORE_OPEN : RD_MESSAGE_STORE_READ_ONLY;
    row->reason = rd_slice_of_string(info->reason);
    row->generation = info->generation;
    row->batch_marker = info->batch_marker;
    row->quota_bytes = info->quota_bytes;
    row->quota_entries = info->quota_entries;
    row->writes_barred = info->writes_barred;
    row->compacting = info->compacting;
}

/* memory has room for count rows of a listing. */
static void list_stores(struct rd_call *call, void *memory, struct rd_hosted *const *list, size_t count)
{
    struct rd_response_store *rows = memory;
    struct described *described = (struct described *)(rows + count);
    for (size_t i = 0; i < count; i++)
        describe_store(list[i], &rows[i], &described[i]);
    call->response.stores = rows;
    call->response.store_count = count;
}

static void answer_with_stores(struct rd_call *call, struct rd_hosted *const *list, size_t count)
{
    void *rows = rd_call_allocate(call, count, ROW_SIZE);
    if (rows == NULL) {
        rd_call_fail(call, RD_NO_MEMORY, "no memory for the listing");
        return;
    }
    list_stores(call, rows, list, count);
    rd_call_finish(call);
}

/* All stores that whoever asks may know of, in call->listed, which stays NULL where there is no memory. */
static void take_listed(struct rd_call *call)
{
    size_t count;
    size_t kept = 0;
    call->listed = rd_stores_list(rd_call_stores(call), &count);
    for (size_t i = 0; call->listed != NULL && i < count; i++) {
        if (rd_gate_may_see(call, rd_slice_of_string(call->listed[i]->name)))
            call->listed[kept++] = call->listed[i];
        else
            rd_hosted_unref(call->listed[i]);
    }
    call->listed_count = kept;
}

void rd_run_stores(struct rd_call *call)
{
    take_listed(call);
    if (call->listed == NULL)
        rd_call_fail(call, RD_NO_MEMORY, "no memory for the listing");
    else
        answer_with_stores(call, call->listed, call->listed_count);
}

static void describe_server(struct rd_call *call, struct rd_response_server *ret_server)
{
    struct rd_loop *loop = rd_conn_loop(call->conn);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    *ret_server = (struct rd_response_server){
        .now_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000,
        .started_s = loop->process->started_s,
        .saved_s = atomic_load(&loop->process->saved_s),
        .connections = atomic_load(loop->connection_count),
        .connections_max = loop->tuning.connections_max,
        .process_id = getpid(),
    };
    rd_conn_describe(call->conn, ret_server);
}

void rd_run_server(struct rd_call *call)
{
    bool with_stores = call->request->with_stores;
    if (with_stores)
        take_listed(call);
    struct rd_response_server *server = NULL;
    if (!with_stores || call->listed != NULL)
        server = rd_call_allocate(call, 1, sizeof *server + call->listed_count * ROW_SIZE);
    if (server == NULL) {
        rd_call_fail(call, RD_NO_MEMORY, "no memory for the answer");
        return;
    }
    describe_server(call, server);
    call->response.server = server;
    list_stores(call, server + 1, call->listed, call->listed_count);
    rd_call_finish(call);
}

static void fail_no_store(struct rd_call *call)
{
    struct rd_slice name = rd_terms_store_name(call->request->store);
    rd_call_fail(call, RD_STORE_NOT_FOUND, "there is no store '%.*s'", (int)name.len, (const char *)name.data);
}

void rd_run_info(struct rd_call *call)
{
    call->listed = malloc(sizeof *call->listed);
    if (call->listed == NULL) {
        rd_call_fail(call, RD_NO_MEMORY, "no memory for the listing");
        return;
    }
    /* A reference of its own: the lane's may go before the answer is encoded. */
    call->listed[0] = rd_stores_find(rd_call_stores(call), rd_terms_store_name(call->request->store));
    call->listed_count = call->listed[0] != NULL;
    if (call->listed_count == 0 || !rd_hosted_is_listed(call->listed[0]))
        fail_no_store(call);
    else
        answer_with_stores(call, call->listed, 1);
}

/* On a pool thread. */
static void create_store(struct rd_call *call)
{
    struct rd_settings settings;
    call->error.status = rd_settings_parse(call->request->settings, &settings, &call->error);
    if (call->error.status == RD_OK)
        call->error.status = rd_stores_create(rd_call_stores(call), rd_terms_store_name(call->request->store),
                                              &settings, &call->error);
}

static void complete_create(struct rd_call *call)
{
    if (call->error.status != RD_OK)
        rd_call_fail_error(call, call->error.status, &call->error);
    else
        rd_run_info(call);
}

void rd_run_create(struct rd_call *call)
{
    rd_call_start_work(call, create_store, complete_create);
}

/* ---- dropping and reopening ------------------------------------------------------------------------------- */

typedef enum rd_status begin_function(struct rd_hosted *hosted, struct rd_stores *stores, struct rd_op *op,
                                      uint64_t now_ms, struct rd_error *ret_error);

/* Takes the store out of service; `go_on` runs once its last use has ended. */
static void withdraw(struct rd_call *call, struct rd_hosted *hosted, begin_function *begin,
                     void (*go_on)(struct rd_call *call))
{
    struct rd_loop *loop = rd_conn_loop(call->conn);
    call->op.sink = &loop->bridge.sink;
    call->on_complete = go_on;
    struct rd_error error = {.status = RD_OK};
    enum rd_status status = begin(hosted, loop->stores, &call->op, uv_now(&loop->uv), &error);
    if (status != RD_OK)
        rd_call_fail_error(call, status, &error);
}

/* On a pool thread. */
static void drop_store(struct rd_call *call)
{
    call->error.status = rd_stores_drop_finish(call->lane->hosted, rd_call_stores(call), &call->error);
}

static void complete_drop(struct rd_call *call)
{
    if (call->error.status != RD_OK)
        rd_call_fail_error(call, call->error.status, &call->error);
    else
        rd_call_finish(call);
}

static void go_on_with_drop(struct rd_call *call)
{
    rd_call_start_work(call, drop_store, complete_drop);
}

void rd_run_drop(struct rd_call *call)
{
    struct rd_hosted *hosted = rd_lane_hosted(call->lane, rd_call_stores(call));
    if (hosted == NULL)
        fail_no_store(call);
    else if (!rd_slice_equal(call->request->confirm, rd_slice_of_string(hosted->name)))
        rd_call_fail(call, RD_INVALID_ARGUMENT, "confirm: must be the store's name, '%s'", hosted->name);
    else
        withdraw(call, hosted, rd_stores_drop_begin, go_on_with_drop);
}

/* On a pool thread. */
static void reopen_store(struct rd_call *call)
{
    call->error.status = rd_stores_reopen_finish(call->lane->hosted, rd_call_stores(call), &call->error);
}

static void complete_reopen(struct rd_call *call)
{
    if (call->error.status != RD_OK)
        rd_call_fail_error(call, call->error.status, &call->error);
    else
        rd_run_info(call);
}

static void go_on_with_reopen(struct rd_call *call)
{
    rd_call_start_work(call, reopen_store, complete_reopen);
}

void rd_run_reopen(struct rd_call *call)
{
    struct rd_hosted *hosted = rd_lane_hosted(call->lane, rd_call_stores(call));
    if (hosted == NULL)
        fail_no_store(call);
    else
        withdraw(call, hosted, rd_stores_reopen_begin, go_on_with_reopen);
}

/* ---- compacting ------------------------------------------------------------------------------------------- */

static void complete_compact(struct rd_call *call)
{
    const struct rd_compactor_job *job = call->memory;
    if (job->error.status != RD_OK) {
        rd_call_fail_error(call, job->error.status, &job->error);
        return;
    }
    call->response.compaction = (struct rd_response_compaction){
        .tail_before = job->result.tail_before,
        .tail = job->result.tail,
        .entries = job->result.entries,
        .generation = job->result.generation,
        .pause_us = job->result.pause_us,
    };
    rd_call_finish(call);
}

static void fail_compacting(struct rd_call *call)
{
    call->response = (struct rd_response){.status = RD_OVERLOADED,
                                          .message = "a store is being compacted; one at a time",
                                          .compaction = {.under_way = true}};
    rd_call_finish(call);
}

void rd_run_compact(struct rd_call *call)
{
    struct rd_loop *loop = rd_conn_loop(call->conn);
    struct rd_compactor_job *job = rd_call_allocate(call, 1, sizeof *job);
    if (job == NULL) {
        rd_call_fail(call, RD_NO_MEMORY, "no memory for the request");
        return;
    }
    job->hosted = call->hosted;
    job->op = &call->op;
    job->in_background = call->request->in_background;
    call->op.sink = &loop->bridge.sink;
    call->on_complete = complete_compact;
    enum rd_status status = rd_compactor_submit(loop->compactor, job);
    if (status == RD_OVERLOADED)
        fail_compacting(call);
    else if (status != RD_OK)
        rd_call_fail(call, status, "the server stops");
}
