/* SPDX-License-Identifier: MIT */
#include "server/dispatch.h"

#include "base/text.h"
#include "server/conn.h"
#include "server/deferred.h"
#include "server/gate.h"
#include "server/handlers.h"
#include "server/lane.h"
#include "server/loop.h"
#include "server/stores.h"
#include "server/terms.h"
#include "server/upload.h"

struct handler {
    enum rd_call_mode mode;
    bool takes_key;   /* request->key */
    bool takes_items; /* request->items */
    bool needs_store; /* run with call->hosted in use */
    void (*run)(struct rd_call *call);
};

/* ---- the table -------------------------------------------------------------------------------------------- */

static const struct handler handlers[256] = {
    [RD_OPCODE_HELLO] = {RD_CALL_FREE, false, false, false, rd_run_hello},
    [RD_OPCODE_PING] = {RD_CALL_FREE, false, false, false, rd_call_finish},
    [RD_OPCODE_AUTH] = {RD_CALL_FREE, false, false, false, rd_run_auth},
    [RD_OPCODE_HEALTH] = {RD_CALL_FREE, false, false, false, rd_call_finish},
    [RD_OPCODE_READY] = {RD_CALL_FREE, false, false, false, rd_run_ready},
    [RD_OPCODE_CONTINUE] = {RD_CALL_FREE, false, false, false, rd_call_finish},
    [RD_OPCODE_METRICS] = {RD_CALL_FREE, false, false, false, rd_run_metrics},
    [RD_OPCODE_PAGE] = {RD_CALL_FREE, false, false, false, rd_run_page},
    [RD_OPCODE_STORES] = {RD_CALL_FREE, false, false, false, rd_run_stores},
    [RD_OPCODE_SERVER] = {RD_CALL_FREE, false, false, false, rd_run_server},

    [RD_OPCODE_RENAME] = {RD_CALL_EXCLUSIVE, true, false, true, rd_run_rename},
    [RD_OPCODE_COPY] = {RD_CALL_BARRIER, true, false, false, rd_run_copy},
    [RD_OPCODE_TRANSFER] = {RD_CALL_BARRIER, true, false, false, rd_run_transfer},
    [RD_OPCODE_WRITE_STREAM] = {RD_CALL_UPLOAD, true, false, false, rd_run_write_stream},
    [RD_OPCODE_WRITE] = {RD_CALL_WRITE, true, false, true, rd_run_write},
    [RD_OPCODE_DELETE] = {RD_CALL_WRITE, true, false, true, rd_run_delete},
    [RD_OPCODE_BATCH_WRITE] = {RD_CALL_WRITE, false, true, true, rd_run_batch_write},
    [RD_OPCODE_BATCH_DELETE] = {RD_CALL_WRITE, false, true, true, rd_run_batch_delete},
    [RD_OPCODE_TRANSACTION] = {RD_CALL_WRITE, false, true, true, rd_run_transaction},
    [RD_OPCODE_SYNC] = {RD_CALL_WRITE, false, false, true, rd_run_sync},

    [RD_OPCODE_READ] = {RD_CALL_READ, true, false, true, rd_run_read},
    [RD_OPCODE_READ_STREAM] = {RD_CALL_READ, true, false, true, rd_run_read},
    [RD_OPCODE_EXISTS] = {RD_CALL_READ, true, false, true, rd_run_look},
    [RD_OPCODE_METADATA] = {RD_CALL_READ, true, false, true, rd_run_look},
    [RD_OPCODE_LAST] = {RD_CALL_READ, false, false, true, rd_run_last},
    [RD_OPCODE_BATCH_READ] = {RD_CALL_READ, false, true, true, rd_run_batch_read},
    [RD_OPCODE_ITERATE] = {RD_CALL_READ, false, false, true, rd_run_iterate},
    [RD_OPCODE_WATCH] = {RD_CALL_EXCLUSIVE, false, false, false, rd_run_watch}, /* an EXEC behind it goes by it */
    [RD_OPCODE_INFO] = {RD_CALL_READ, false, false, false, rd_run_info},

    [RD_OPCODE_CREATE] = {RD_CALL_EXCLUSIVE, false, false, false, rd_run_create},
    [RD_OPCODE_DROP] = {RD_CALL_EXCLUSIVE, false, false, false, rd_run_drop},
    [RD_OPCODE_REOPEN] = {RD_CALL_EXCLUSIVE, false, false, false, rd_run_reopen},
    [RD_OPCODE_COMPACT] = {RD_CALL_READ, false, false, true, rd_run_compact},
    [RD_OPCODE_VERIFY] = {RD_CALL_READ, false, false, true, rd_run_verify},
    [RD_OPCODE_BACKUP] = {RD_CALL_READ, false, false, true, rd_run_backup},
};

/* NULL where there is no such operation. */
static const struct handler *handler_of(enum rd_opcode opcode)
{
    if ((unsigned)opcode >= sizeof handlers / sizeof handlers[0] || handlers[opcode].run == NULL)
        return NULL;
    return &handlers[opcode];
}

/* What answers with as much as there is: for the head alone that is not gone through. */
static bool is_long(enum rd_opcode opcode)
{
    return opcode == RD_OPCODE_ITERATE || opcode == RD_OPCODE_STORES || opcode == RD_OPCODE_METRICS;
}

static void run(struct rd_call *call, const struct handler *handler)
{
    call->response.body_unmade = call->request->head_only && is_long(call->request->opcode);
    if (call->response.body_unmade)
        rd_call_finish(call);
    else
        handler->run(call);
}

/* ---- on the way there ------------------------------------------------------------------------------------- */

/* NULL where nothing is wrong with the keys. */
static const char *key_fault(const struct rd_call *call, const struct handler *handler)
{
    const struct rd_request *request = call->request;
    const struct rd_limits *limits = &rd_conn_loop(call->conn)->tuning.limits;
    uint64_t value_len_max = rd_conn_loop(call->conn)->tuning.value_len_max;
    if (request->value.len > value_len_max)
        return "the value is longer than this server takes";
    if (handler->takes_key &&
        (request->key.bytes.len > limits->key_len_max || request->target_key.bytes.len > limits->key_len_max))
        return "the key is longer than this server takes";
    if (!handler->takes_items)
        return NULL;
    if (request->item_count > limits->batch_count_max)
        return "the batch has more items than this server takes";
    for (size_t i = 0; i < request->item_count; i++)
        if (request->items[i].key.bytes.len > limits->key_len_max)
            return "a key of the batch is longer than this server takes";
    for (size_t i = 0; i < request->item_count; i++)
        if (request->items[i].value.len > value_len_max)
            return "a value of the batch is longer than this server takes";
    for (size_t i = 0; i < request->look_count; i++)
        if (request->looks[i].key.bytes.len > limits->key_len_max)
            return "a key of the transaction is longer than this server takes";
    return NULL;
}

/* Names, keys and numbers that no store would take. False: the call has been answered. */
static bool is_legal(struct rd_call *call, const struct handler *handler)
{
    const struct rd_request *request = call->request;
    bool two_stores = handler->mode == RD_CALL_BARRIER;
    if (!rd_text_is_store_name(rd_terms_store_name(request->store)) ||
        (two_stores && !rd_text_is_store_name(rd_terms_store_name(request->target_store)))) {
        rd_call_fail(call, RD_INVALID_ARGUMENT, "a store's name is [A-Za-z0-9._-]{1,64}, no leading dot");
        return false;
    }
    if (request->limit > RD_HANDLER_ITERATE_LIMIT_MAX) {
        rd_call_fail(call, RD_INVALID_ARGUMENT, "limit: at most %u entries at a time",
                     RD_HANDLER_ITERATE_LIMIT_MAX);
        return false;
    }
    const char *fault = key_fault(call, handler);
    if (fault != NULL)
        rd_call_fail(call, RD_TOO_LARGE, "%s", fault);
    return fault == NULL;
}

/* The call's lane, or NULL: it has been answered. */
static struct rd_lane *lane_of(struct rd_call *call)
{
    struct rd_lane *lane = rd_lane_get(rd_conn_lanes(call->conn), rd_terms_store_name(call->request->store));
    if (lane == NULL)
        rd_call_fail(call, RD_NO_MEMORY, "no memory for the request");
    return lane;
}

void rd_dispatch_enter_lane(struct rd_call *call, enum rd_call_mode mode)
{
    struct rd_lane *lane = lane_of(call);
    if (lane != NULL)
        rd_lane_enter(lane, call, mode);
}

enum rd_status rd_dispatch_use_store(struct rd_call *call, struct rd_error *ret_error)
{
    struct rd_lane *lane = rd_lane_get(rd_conn_lanes(call->conn), rd_terms_store_name(call->request->store));
    if (lane == NULL)
        return rd_error_set(ret_error, RD_NO_MEMORY, 0, "no memory for the request");
    return rd_lane_use(lane, rd_call_stores(call), &call->hosted, ret_error);
}

/* ---- stores that are made when they are first written ------------------------------------------------------ */

static struct rd_slice created_name(const struct rd_call *call)
{
    const struct rd_request *request = call->request;
    bool of_target = request->opcode == RD_OPCODE_COPY || request->opcode == RD_OPCODE_TRANSFER;
    return rd_terms_store_name(of_target ? request->target_store : request->store);
}

/* On a pool thread. */
static void make_store(struct rd_call *call)
{
    call->error.status = rd_stores_ensure(rd_call_stores(call), created_name(call), &call->error);
}

bool rd_dispatch_should_make(const struct rd_call *call, enum rd_status status)
{
    if (!call->request->creates_store || (status != RD_STORE_NOT_FOUND && status != RD_UNAVAILABLE))
        return false;
    struct rd_hosted *hosted = rd_stores_find(rd_call_stores(call), created_name(call));
    enum rd_hosted_state state = hosted == NULL ? RD_HOSTED_CREATING : rd_hosted_state(hosted);
    rd_hosted_unref(hosted);
    return state == RD_HOSTED_CREATING || state == RD_HOSTED_SERVING;
}

bool rd_dispatch_make_store(struct rd_call *call, void (*on_made)(struct rd_call *call))
{
    return rd_call_start_work(call, make_store, on_made);
}

/* Its lane is held, so that what was sent behind it does not come before it. */
static void run_after_making(struct rd_call *call)
{
    struct rd_conn *conn = call->conn;
    struct rd_lane *lane = call->lane;
    rd_conn_keep(conn);
    enum rd_status status = call->error.status;
    if (status == RD_OK)
        status = rd_lane_use(lane, rd_call_stores(call), &call->hosted, &call->error);
    if (status == RD_OK)
        handler_of(call->request->opcode)->run(call);
    else
        rd_call_fail_error(call, status, &call->error);
    rd_lane_resume(lane);
    rd_conn_let_go(conn);
}

static void make_store_and_run(struct rd_call *call)
{
    struct rd_lane *lane = call->lane;
    rd_lane_hold(lane);
    if (!rd_dispatch_make_store(call, run_after_making))
        rd_lane_resume(lane);
}

/* ---- the way ----------------------------------------------------------------------------------------------- */

void rd_dispatch_call(struct rd_call *call)
{
    const struct rd_request *request = call->request;
    const struct handler *handler = handler_of(request->opcode);
    if (!rd_gate_admit(call))
        return;
    if (request->status != RD_OK) {
        rd_call_fail(call, request->status, "%s",
                     request->message != NULL ? request->message : rd_status_name(request->status));
    } else if (handler == NULL) {
        rd_call_fail(call, RD_UNSUPPORTED, "unknown operation");
    } else if (handler->mode == RD_CALL_FREE) {
        call->state = RD_CALL_RUNNING;
        run(call, handler);
    } else if (is_legal(call, handler)) {
        if (request->deferred != NULL)
            rd_deferred_begin(call);
        else if (handler->mode == RD_CALL_UPLOAD)
            rd_upload_begin(call);
        else if (handler->mode == RD_CALL_BARRIER)
            rd_conn_set_barrier(call->conn, call);
        else
            rd_dispatch_enter_lane(call, handler->mode);
    }
}

void rd_dispatch_run(struct rd_call *call)
{
    const struct handler *handler = handler_of(call->request->opcode);
    if (handler->needs_store) {
        struct rd_error error = {.status = RD_OK};
        enum rd_status status = rd_lane_use(call->lane, rd_call_stores(call), &call->hosted, &error);
        if (status != RD_OK && rd_dispatch_should_make(call, status)) {
            make_store_and_run(call);
            return;
        }
        if (status != RD_OK) {
            rd_call_fail_error(call, status, &error);
            return;
        }
    }
    run(call, handler);
}

void rd_dispatch_run_again(struct rd_call *call)
{
    handler_of(call->request->opcode)->run(call);
}

void rd_dispatch_complete(struct rd_op *op)
{
    struct rd_call *call = op->context;
    call->on_complete(call);
}
