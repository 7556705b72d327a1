/* SPDX-License-Identifier: MIT */
#include "server/slow_log.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"
#include "server/call.h"
#include "server/conn.h"
#include "server/log.h"
#include "server/terms.h"

#define FIELDS_MAX 16

struct fields {
    struct rd_log_field items[FIELDS_MAX];
    size_t count;
};

static void add_text(struct fields *fields, const char *name, const char *text)
{
    fields->items[fields->count++] = (struct rd_log_field){.name = name, .text = text};
}

static void add_number(struct fields *fields, const char *name, uint64_t number)
{
    fields->items[fields->count++] = (struct rd_log_field){.name = name, .number = number};
}

/* False: there have been as many as there may be. */
static bool may_log(struct rd_slow_log *log, uint64_t now_ns)
{
    uint64_t second = now_ns / 1000000000;
    if (log->second != second) {
        log->second = second;
        log->lines = 0;
    }
    if (log->lines == RD_SLOW_LOG_LINES) {
        log->skipped++;
        return false;
    }
    log->lines++;
    return true;
}

/* What the writer noted, where one was asked for it. */
static void add_writer(struct fields *fields, const struct rd_call *call)
{
    const struct rd_op *op = &call->op;
    if (call->submitted_ns == 0 || op->begun_ns == 0)
        return;
    add_number(fields, "queue_us",
               op->begun_ns > call->submitted_ns ? (op->begun_ns - call->submitted_ns) / 1000 : 0);
    add_number(fields, "sync_us", op->sync_ns / 1000);
}

static void add_request(struct fields *fields, const struct rd_call *call, char hash[17])
{
    const struct rd_request *request = call->request;
    if (rd_message_key_is_given(&request->key) && request->item_count == 0) {
        snprintf(hash, 17, "%016" PRIx64, rd_terms_key(&request->key).hash);
        add_text(fields, "key_hash", hash);
    }
    if (request->item_count != 0)
        add_number(fields, "items", request->item_count);
    add_number(fields, "request_bytes", request->body_len);
    add_number(fields, "value_bytes",
               call->response.value_len != 0 ? call->response.value_len : request->value.len);
}

void rd_slow_log_note(struct rd_slow_log *log, const struct rd_call *call, uint64_t now_ns)
{
    const struct rd_operation *operation = rd_operation_find(call->request->opcode);
    struct fields fields = {.count = 0};
    struct rd_conn_identity identity;
    char store[65];
    char hash[17];
    char request_id[RD_CONN_REQUEST_ID_SIZE];
    if (operation == NULL || !may_log(log, now_ns))
        return;
    struct rd_slice name = rd_terms_store_name(call->request->store);
    rd_conn_identify(call->conn, &identity);
    rd_conn_request_id(call->conn, call, request_id);
    bool is_legal = name.len < sizeof store && rd_text_is_store_name(name); /* another might look like fields */
    snprintf(store, sizeof store, "%.*s", is_legal ? (int)name.len : 1, is_legal ? (const char *)name.data : "?");
    add_text(&fields, "operation", operation->name);
    if (operation->class != RD_CLASS_CONNECTION)
        add_text(&fields, "store", store);
    add_text(&fields, "status", rd_status_name(call->response.status));
    add_number(&fields, "duration_us", (now_ns - call->begun_ns) / 1000);
    add_writer(&fields, call);
    add_request(&fields, call, hash);
    add_text(&fields, "request", request_id);
    if (identity.peer[0] != '\0')
        add_text(&fields, "peer", identity.peer);
    if (log->skipped != 0)
        add_number(&fields, "skipped", log->skipped);
    log->skipped = 0;
    rd_log_fields(RD_LOG_WARN, fields.items, fields.count, "slow request");
}
