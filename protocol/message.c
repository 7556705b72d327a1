/* SPDX-License-Identifier: MIT */
#include "protocol/message.h"

#include <stdlib.h>

const struct rd_operation rd_operations[] = {
    {RD_OPCODE_HELLO, RD_CLASS_CONNECTION, true, "hello"},
    {RD_OPCODE_PING, RD_CLASS_CONNECTION, true, "ping"},
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
    {RD_OPCODE_STORES, RD_CLASS_ADMIN, true, "stores"},
    {RD_OPCODE_CREATE, RD_CLASS_ADMIN, true, "create"},
    {RD_OPCODE_INFO, RD_CLASS_READ, true, "info"},
    {RD_OPCODE_DROP, RD_CLASS_ADMIN, true, "drop"},
    {RD_OPCODE_VERIFY, RD_CLASS_READ, true, "verify"},
    {RD_OPCODE_REOPEN, RD_CLASS_ADMIN, true, "reopen"},
    {RD_OPCODE_HEALTH, RD_CLASS_CONNECTION, false, "health"},
    {RD_OPCODE_READY, RD_CLASS_CONNECTION, false, "ready"},
    {RD_OPCODE_CONTINUE, RD_CLASS_CONNECTION, false, "continue"},
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

struct rd_request *rd_request_create(size_t body_len)
{
    struct rd_request *request = calloc(1, sizeof *request);
    if (request == NULL)
        return NULL;
    if (body_len != 0) {
        request->body = malloc(body_len);
        if (request->body == NULL) {
            free(request);
            return NULL;
        }
    }
    request->body_len = body_len;
    return request;
}

void rd_request_destroy(struct rd_request *request)
{
    if (request == NULL)
        return;
    free(request->items);
    free(request->body);
    free(request);
}
