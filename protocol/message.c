/* SPDX-License-Identifier: MIT */
#include "protocol/message.h"

#include <stdlib.h>

#include "protocol/guards.h"

const struct rd_operation rd_operations[] = {
    {RD_OPCODE_HELLO, RD_CLASS_CONNECTION, true, "hello"},
    {RD_OPCODE_PING, RD_CLASS_CONNECTION, true, "ping"},
    {RD_OPCODE_AUTH, RD_CLASS_CONNECTION, true, "auth"},
    {RD_OPCODE_METRICS, RD_CLASS_OVERALL, true, "metrics"},
    {RD_OPCODE_WRITE, RD_CLASS_WRITE, true, "write"},
    {RD_OPCODE_WRITE_STREAM, RD_CLASS_WRITE, true, "write_stream"},
    {RD_OPCODE_BATCH_WRITE, RD_CLASS_WRITE, true, "batch_write"},
    {RD_OPCODE_RENAME, RD_CLASS_WRITE, true, "rename"},
    {RD_OPCODE_COPY, RD_CLASS_WRITE, true, "copy"},
    {RD_OPCODE_TRANSFER, RD_CLASS_WRITE, true, "transfer"},
    {RD_OPCODE_DELETE, RD_CLASS_WRITE, true, "delete"},
    {RD_OPCODE_BATCH_DELETE, RD_CLASS_WRITE, true, "batch_delete"},
    {RD_OPCODE_READ, RD_CLASS_READ, true, "read"},
    {RD_OPCODE_BATCH_READ, RD_CLASS_READ, true, "batch_read"},
    {RD_OPCODE_EXISTS, RD_CLASS_READ, true, "exists"},
    {RD_OPCODE_METADATA, RD_CLASS_READ, true, "metadata"},
    {RD_OPCODE_LAST, RD_CLASS_READ, true, "last"},
    {RD_OPCODE_ITERATE, RD_CLASS_READ, true, "iterate"},
    {RD_OPCODE_READ_STREAM, RD_CLASS_READ, true, "read_stream"},
    {RD_OPCODE_STORES, RD_CLASS_LISTING, true, "stores"},
    {RD_OPCODE_CREATE, RD_CLASS_ADMIN, true, "create"},
    {RD_OPCODE_INFO, RD_CLASS_READ, true, "info"},
    {RD_OPCODE_DROP, RD_CLASS_ADMIN, true, "drop"},
    {RD_OPCODE_VERIFY, RD_CLASS_ADMIN, true, "verify"},
    {RD_OPCODE_REOPEN, RD_CLASS_ADMIN, true, "reopen"},
    {RD_OPCODE_COMPACT, RD_CLASS_ADMIN, true, "compact"},
    {RD_OPCODE_BACKUP, RD_CLASS_ADMIN, true, "backup"},
    {RD_OPCODE_HEALTH, RD_CLASS_CONNECTION, false, "health"},
    {RD_OPCODE_READY, RD_CLASS_CONNECTION, false, "ready"},
    {RD_OPCODE_CONTINUE, RD_CLASS_CONNECTION, false, "continue"},
    {RD_OPCODE_SERVER, RD_CLASS_LISTING, false, "server"},
    {RD_OPCODE_SYNC, RD_CLASS_WRITE, false, "sync"},
    {RD_OPCODE_TRANSACTION, RD_CLASS_WRITE, false, "transaction"},
    {RD_OPCODE_WATCH, RD_CLASS_READ, false, "watch"},
    {RD_OPCODE_PAGE, RD_CLASS_CONNECTION, false, "page"},
};
const size_t rd_operation_count = sizeof rd_operations / sizeof rd_operations[0];

const struct rd_operation *rd_operation_find(enum rd_opcode opcode)
{
    for (size_t i = 0; i < rd_operation_count; i++)
        if (rd_operations[i].opcode == opcode)
            return &rd_operations[i];
    return NULL;
}

const char *rd_message_problem_name(enum rd_message_problem_kind kind)
{
    static const char *const names[] = {
        [RD_MESSAGE_PROBLEM_PAYLOAD] = "payload",
        [RD_MESSAGE_PROBLEM_PAD] = "pad",
        [RD_MESSAGE_PROBLEM_BATCH] = "batch",
        [RD_MESSAGE_PROBLEM_CHAIN] = "chain",
    };
    size_t number = (size_t)kind;
    return number < sizeof names / sizeof names[0] && names[number] != NULL ? names[number] : "unknown";
}

/* Below 0 an end counts from the value's end; both are moved into the value where they can be. */
static bool cut_between(const struct rd_message_range *range, uint64_t value_len, uint64_t *first, uint64_t *len)
{
    int64_t end = value_len > INT64_MAX ? INT64_MAX : (int64_t)value_len;
    int64_t from = range->from < 0 ? range->from + end : range->from;
    int64_t to = range->to < 0 ? range->to + end : range->to;
    from = from < 0 ? 0 : from;
    to = to >= end ? end - 1 : to;
    if (from > to)
        return false;
    *first = (uint64_t)from;
    *len = (uint64_t)(to - from) + 1;
    return true;
}

bool rd_message_range_cut(const struct rd_message_range *range, uint64_t value_len, uint64_t *ret_first,
                          uint64_t *ret_len)
{
    uint64_t first = 0;
    uint64_t len = range->len;
    switch (range->kind) {
    case RD_MESSAGE_RANGE_NONE:
        len = value_len;
        break;
    case RD_MESSAGE_RANGE_FROM:
        first = range->first;
        break;
    case RD_MESSAGE_RANGE_SUFFIX:
        first = len < value_len ? value_len - len : 0;
        break;
    case RD_MESSAGE_RANGE_BETWEEN:
        if (!cut_between(range, value_len, &first, &len))
            return false;
        break;
    }
    if (first >= value_len || len == 0)
        return false;
    *ret_first = first;
    *ret_len = len > value_len - first ? value_len - first : len;
    return true;
}

struct rd_request *rd_request_create(size_t body_len)
{
    if (body_len > SIZE_MAX - sizeof(struct rd_request))
        return NULL;
    struct rd_request *request = malloc(sizeof *request + body_len);
    if (request == NULL)
        return NULL;
    *request = (struct rd_request){.body_len = body_len};
    if (body_len != 0)
        request->body = (uint8_t *)(request + 1);
    return request;
}

static void free_body(struct rd_request *request)
{
    if (request->body != (uint8_t *)(request + 1))
        free(request->body);
}

void rd_request_set_body(struct rd_request *request, uint8_t *body, size_t body_len)
{
    free_body(request);
    request->body = body;
    request->body_len = body_len;
}

static void destroy_one(struct rd_request *request)
{
    free(request->deferred);
    free(request->trace);
    free(request->items);
    free(request->changes);
    free(request->looks);
    rd_guards_unref(request->guards);
    free_body(request);
    free(request);
}

void rd_request_destroy(struct rd_request *request)
{
    if (request == NULL)
        return;
    for (struct rd_request *part = request->parts; part != NULL;) {
        struct rd_request *next = part->next;
        destroy_one(part); /* parts have no parts */
        part = next;
    }
    destroy_one(request);
}
