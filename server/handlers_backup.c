/* SPDX-License-Identifier: MIT
 *
 * handlers_backup.c - a store's file as it is at one moment, for whoever keeps copies of it. Over HTTP it leaves
 * like a value, over the binary protocol in parts (download.c); nothing of it is checked on the way, since it
 * carries its own checksums.
 */
#include "server/handlers.h"

#include <stdarg.h>
#include <stdio.h>

#include "server/conn.h"
#include "server/stores.h"
#include "server/terms.h"

/* Says of which file it speaks. Not rd_call_fail, which would forget it. */
static void refuse(struct rd_call *call, enum rd_status status, const char *format, ...) RD_PRINTF(3, 4);
static void refuse(struct rd_call *call, enum rd_status status, const char *format, ...)
{
    struct rd_response *response = &call->response;
    va_list args;
    va_start(args, format);
    vsnprintf(response->message, sizeof response->message, format, args);
    va_end(args);
    response->status = status;
    response->value_len = response->tail;
    rd_call_finish(call);
}

/* Cuts the file down to what is asked for. False: that lies behind its end. */
static bool cut(struct rd_call *call)
{
    const struct rd_request *request = call->request;
    struct rd_response *response = &call->response;
    struct rd_slice *file = &call->value.payload;
    bool ranged = request->range_generation == 0 || request->range_generation == response->generation;
    if (ranged && request->range.kind != RD_MESSAGE_RANGE_NONE)
        return rd_terms_cut(&request->range, &call->value, response) == RD_OK;
    if (request->backup_from > file->len)
        return false;
    (void)rd_slice_take(file, (size_t)request->backup_from);
    response->range_first = request->backup_from;
    return true;
}

static void finish(struct rd_call *call)
{
    uint64_t len = call->value.payload.len;
    if (rd_value_touch(&call->value, 0, len < RD_CALL_LOOK_MAX ? len : RD_CALL_LOOK_MAX) != RD_OK) {
        rd_handler_fail_read(call, RD_IO_ERROR, RD_OFFSET_UNKNOWN);
        return;
    }
    call->response.value = call->value.payload;
    rd_call_finish(call);
}

/* On a thread of the pool. */
static void fetch(struct rd_call *call)
{
    rd_value_fetch(&call->value, 0, RD_CALL_LOOK_MAX, 0);
}

/* Everything that was acknowledged before is synced, or never will be. */
static void show(struct rd_call *call)
{
    struct rd_backup backup;
    rd_store_backup(call->hosted->store, &backup);
    call->value = backup.value;
    call->response.generation = backup.generation;
    call->response.tail = backup.value.payload.len;
    uint64_t wanted = call->request->backup_generation;
    if (wanted != 0 && wanted != backup.generation)
        refuse(call, RD_PRECONDITION_FAILED, "store '%s' is of generation %016llx by now: take all of it anew",
               call->hosted->name, (unsigned long long)backup.generation);
    else if (!cut(call))
        refuse(call, RD_RANGE_NOT_SATISFIABLE, "the file of store '%s' has %llu bytes", call->hosted->name,
               (unsigned long long)call->response.tail);
    else if (rd_value_is_in_memory(&call->value, 0, RD_CALL_LOOK_MAX))
        finish(call);
    else
        rd_call_start_read(call, fetch, finish);
}

/* A sync that fails leaves the store read-only: what it could not sync is lost to a reopening, and the rest is
 * shown. */
static void complete_sync(struct rd_call *call)
{
    if (call->op.status == RD_OK || call->op.status == RD_IO_ERROR)
        show(call);
    else
        rd_handler_fail_op(call, call->hosted);
}

void rd_run_backup(struct rd_call *call)
{
    if (rd_conn_downloads_are_full(call->conn)) {
        rd_call_fail(call, RD_OVERLOADED, "too many downloads on one connection");
        return;
    }
    call->op.kind = RD_OP_SYNC;
    enum rd_status status = rd_handler_offer(call, call->hosted, complete_sync);
    if (status == RD_OVERLOADED)
        rd_handler_refuse(call, call->hosted, status);
    else if (status != RD_OK)
        show(call); /* read-only */
}
