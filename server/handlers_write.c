/* SPDX-License-Identifier: MIT
 *
 * handlers_write.c - requests that change a store.
 */
#include "server/handlers.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "server/conn.h"
#include "server/log.h"
#include "server/loop.h"
#include "server/stores.h"
#include "server/terms.h"

#define FULL_DISK_EVERY_MS 60000u
#define NULL_PAYLOAD       "Payload cannot be a single zero byte: that is how a deleted key is marked."

/* NULL where the payload can be stored. */
static const char *payload_fault(struct rd_slice payload, bool allow_null_bytes)
{
    if (payload.len == 0)
        return "Payload cannot be empty.";
    if (payload.len == 1 && payload.data[0] == 0 && !allow_null_bytes)
        return NULL_PAYLOAD;
    return NULL;
}

void rd_handler_fail_barred(struct rd_call *call, const struct rd_hosted *hosted, enum rd_bar bar)
{
    struct rd_store_info info;
    rd_store_info(hosted->store, &info);
    if (bar == RD_BAR_WRITES)
        rd_call_fail(call, RD_FORBIDDEN, "store '%s': its settings take no writes", hosted->name);
    else if (bar == RD_BAR_BYTES)
        rd_call_fail(call, RD_NO_SPACE,
                     "store '%s': its quota of %" PRIu64 " bytes is used up, of which it has %" PRIu64,
                     hosted->name, info.quota_bytes, info.tail);
    else
        rd_call_fail(call, RD_NO_SPACE, "store '%s': its quota of %" PRIu64 " entries is used up", hosted->name,
                     info.quota_entries);
}

/* Each client is told, but that is the operator's to hear of, too: once in a while. */
static void log_full_disk(const struct rd_call *call, struct rd_hosted *hosted)
{
    uint64_t now_ms = uv_now(&rd_conn_loop(call->conn)->uv);
    uint_fast64_t told_ms = atomic_load(&hosted->full_told_ms);
    bool is_time = told_ms == 0 || now_ms >= told_ms + FULL_DISK_EVERY_MS;
    if (is_time && atomic_compare_exchange_strong(&hosted->full_told_ms, &told_ms, now_ms))
        rd_log_store(RD_LOG_WARN, hosted->name, "a write was refused, for there is no room: %s",
                     strerror(call->op.os_errno));
}

void rd_handler_fail_op(struct rd_call *call, struct rd_hosted *hosted)
{
    const struct rd_op *op = &call->op;
    if (op->bar != RD_BAR_NONE) {
        rd_handler_fail_barred(call, hosted, op->bar);
        return;
    }
    if (op->status == RD_NO_SPACE && op->os_errno != 0)
        log_full_disk(call, hosted);
    if (op->status == RD_INVALID_ARGUMENT && op->kind == RD_OP_STREAM) { /* all else has been refused before */
        rd_call_fail(call, op->status, NULL_PAYLOAD);
        return;
    }
    rd_call_fail(call, op->status, "store '%s': %s%s%s", hosted->name, rd_status_name(op->status),
                 op->os_errno != 0 ? ": " : "", op->os_errno != 0 ? strerror(op->os_errno) : "");
}

void rd_handler_complete_write(struct rd_call *call)
{
    const struct rd_op *op = &call->op;
    if (op->status != RD_OK) {
        rd_handler_fail_op(call, call->hosted);
        return;
    }
    struct rd_response *response = &call->response;
    response->offset = op->offset;
    response->tail = op->tail;
    response->key_hash = call->entries[op->kind == RD_OP_RENAME || op->kind == RD_OP_COPY ? 1 : 0].key.hash;
    response->count = op->count;
    response->crc32 = op->crc32;
    response->found = op->count != 0;
    response->replaced = op->replaced;
    response->durability = rd_terms_message_durability(op->durability_applied);
    response->durability_interval_ms = op->durability_interval_ms;
    rd_call_finish(call);
}

enum rd_status rd_handler_offer(struct rd_call *call, struct rd_hosted *hosted,
                                void (*on_complete)(struct rd_call *call))
{
    struct rd_loop *loop = rd_conn_loop(call->conn);
    call->op.sink = &loop->bridge.sink;
    call->on_complete = on_complete;
    enum rd_status status = rd_store_submit(hosted->store, &call->op);
    call->submitted_ns = rd_loop_clock_ns(loop);
    if (status == RD_OK)
        rd_loop_mark_store(loop, hosted);
    else if (status == RD_OVERLOADED)
        rd_process_note(loop->process, RD_REFUSED_QUEUE);
    return status;
}

void rd_handler_refuse(struct rd_call *call, const struct rd_hosted *hosted, enum rd_status status)
{
    if (status == RD_OVERLOADED)
        rd_call_fail(call, status, "store '%s': its queue of writes is full; try again later", hosted->name);
    else
        rd_call_fail(call, status, "store '%s': the write is refused: %s", hosted->name, rd_status_name(status));
}

void rd_handler_submit(struct rd_call *call, struct rd_hosted *hosted, void (*on_complete)(struct rd_call *call))
{
    enum rd_status status = rd_handler_offer(call, hosted, on_complete);
    if (status != RD_OK)
        rd_handler_refuse(call, hosted, status);
}

/* An operation on the call's own store, as its request wants it. */
static void submit(struct rd_call *call, enum rd_op_kind kind, const struct rd_entry *entries, size_t count)
{
    const struct rd_request *request = call->request;
    struct rd_op *op = &call->op;
    op->kind = kind;
    op->durability = rd_terms_durability(request->durability);
    op->condition = rd_terms_condition(&request->condition);
    op->allow_null_bytes = request->allow_null_bytes;
    op->entries = entries;
    op->entry_count = count;
    rd_handler_submit(call, call->hosted, rd_handler_complete_write);
}

static void complete_sync(struct rd_call *call)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (call->op.status == RD_OK)
        atomic_store(&rd_conn_loop(call->conn)->process->saved_s, (uint64_t)now.tv_sec);
    rd_handler_complete_write(call);
}

void rd_run_sync(struct rd_call *call)
{
    call->op.kind = RD_OP_SYNC;
    rd_handler_submit(call, call->hosted, complete_sync);
}

void rd_run_write(struct rd_call *call)
{
    const char *fault = payload_fault(call->request->value, false);
    if (fault != NULL) {
        rd_call_fail(call, RD_INVALID_ARGUMENT, "%s", fault);
        return;
    }
    call->entries[0] =
        (struct rd_entry){.key = rd_terms_key(&call->request->key), .payload = call->request->value};
    submit(call, RD_OP_WRITE, call->entries, 1);
}

void rd_run_delete(struct rd_call *call)
{
    call->entries[0] = (struct rd_entry){.key = rd_terms_key(&call->request->key)};
    submit(call, RD_OP_DELETE, call->entries, 1);
}

static void run_batch_change(struct rd_call *call, enum rd_op_kind kind)
{
    const struct rd_request *request = call->request;
    struct rd_entry *entries = rd_call_allocate(call, request->item_count, sizeof *entries);
    if (entries == NULL) {
        rd_call_fail(call, RD_NO_MEMORY, "no memory for the batch");
        return;
    }
    for (size_t i = 0; i < request->item_count; i++) {
        const struct rd_message_item *item = &request->items[i];
        const char *fault =
            kind == RD_OP_BATCH_WRITE ? payload_fault(item->value, request->allow_null_bytes) : NULL;
        if (fault != NULL) {
            rd_call_fail(call, RD_INVALID_ARGUMENT, "item %zu: %s", i, fault);
            return;
        }
        entries[i] = (struct rd_entry){.key = rd_terms_key(&item->key), .payload = item->value};
    }
    submit(call, kind, entries, request->item_count);
}

void rd_run_batch_write(struct rd_call *call)
{
    run_batch_change(call, RD_OP_BATCH_WRITE);
}

void rd_run_batch_delete(struct rd_call *call)
{
    run_batch_change(call, RD_OP_BATCH_DELETE);
}
