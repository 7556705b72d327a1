/* SPDX-License-Identifier: MIT */
#include "tests/rigs/load/http_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define CHUNK_LEN (64u << 10)

/* ---- asking ----------------------------------------------------------------------------------------------- */

static void append_condition(const struct rdrive_condition *condition, struct rd_buffer *out)
{
    if (condition->kind == RDRIVE_IF_ABSENT)
        rd_buffer_append_string(out, "If-None-Match: *\r\n");
    else if (condition->kind == RDRIVE_IF_PRESENT)
        rd_buffer_append_string(out, "If-Match: *\r\n");
    else if (condition->kind == RDRIVE_IF_VERSION)
        rd_buffer_printf(out, "If-Match: \"%" PRIx64 "-%08" PRIx32 "\"\r\n", condition->offset, condition->crc32);
}

static void begin(const struct rdrive_request *request, const char *method, const char *what,
                  struct rd_buffer *out)
{
    rd_buffer_printf(out, "%s /v1/stores/%s/%s", method, request->store, what);
}

static void end_line(const struct rdrive_request *request, struct rd_buffer *out)
{
    if (request->durability == RDRIVE_DURABILITY_SYNC)
        rd_buffer_append_string(out, "?durability=sync");
    else if (request->durability == RDRIVE_DURABILITY_NONE)
        rd_buffer_append_string(out, "?durability=none");
    rd_buffer_append_string(out, " HTTP/1.1\r\nHost: localhost\r\n");
    append_condition(&request->condition, out);
    append_condition(&request->target_condition, out);
}

static void begin_key(const struct rdrive_request *request, const char *method, struct rd_buffer *out)
{
    const uint8_t *key = request->key.data;
    begin(request, method, "keys/", out);
    for (size_t i = 0; i < request->key.len; i++)
        rd_buffer_printf(out, "%%%02x", key[i]);
    end_line(request, out);
}

static void append_chunked(const struct rdrive_request *request, struct rd_buffer *out)
{
    struct rd_slice left = rd_slice(request->value, request->value_len);
    rd_buffer_append_string(out, "Transfer-Encoding: chunked\r\n\r\n");
    while (left.len != 0) {
        struct rd_slice chunk = rd_slice_take(&left, CHUNK_LEN);
        rd_buffer_printf(out, "%zx\r\n", chunk.len);
        rd_buffer_append_slice(out, chunk);
        rd_buffer_append_string(out, "\r\n");
    }
    rd_buffer_append_string(out, "0\r\n\r\n");
}

static void append_base64(const char *name, const void *bytes, size_t len, struct rd_buffer *out)
{
    rd_buffer_printf(out, "\"%s_base64\":\"", name);
    rd_text_base64_encode(rd_slice(bytes, len), out);
    rd_buffer_append_string(out, "\"");
}

static void append_entries(const struct rdrive_request *request, struct rd_buffer *out)
{
    rd_buffer_append_string(out, "{\"entries\":[");
    for (size_t i = 0; i < request->count; i++) {
        const struct rdrive_entry *entry = &request->entries[i];
        rd_buffer_append_string(out, i == 0 ? "{" : ",{");
        append_base64("key", entry->key.data, entry->key.len, out);
        rd_buffer_append_string(out, ",");
        append_base64("value", entry->value, entry->value_len, out);
        rd_buffer_append_string(out, "}");
    }
    rd_buffer_printf(out, "],\"allow_null_bytes\":%s}", request->allow_null_bytes ? "true" : "false");
}

static void append_keys(const struct rdrive_request *request, struct rd_buffer *out)
{
    rd_buffer_append_string(out, "{\"keys\":[");
    for (size_t i = 0; i < request->count; i++) {
        rd_buffer_append_string(out, i == 0 ? "{" : ",{");
        append_base64("key", request->keys[i].data, request->keys[i].len, out);
        rd_buffer_append_string(out, "}");
    }
    rd_buffer_append_string(out, "]}");
}

static void append_body(const struct rdrive_request *request, struct rd_buffer *out)
{
    switch (request->operation) {
    case RDRIVE_OP_BATCH_WRITE:
        append_entries(request, out);
        return;
    case RDRIVE_OP_RENAME:
        rd_buffer_append_string(out, "{");
        append_base64("from", request->key.data, request->key.len, out);
        rd_buffer_append_string(out, ",");
        append_base64("to", request->target_key.data, request->target_key.len, out);
        rd_buffer_append_string(out, "}");
        return;
    case RDRIVE_OP_COPY:
    case RDRIVE_OP_TRANSFER:
        rd_buffer_append_string(out, "{");
        append_base64("key", request->key.data, request->key.len, out);
        rd_buffer_printf(out, ",\"target\":\"%s\"}", request->target_store);
        return;
    default:
        append_keys(request, out);
    }
}

static void ask_json(const struct rdrive_request *request, const char *what, struct rd_buffer *out)
{
    struct rd_buffer body;
    rd_buffer_init(&body, 0);
    append_body(request, &body);
    begin(request, "POST", what, out);
    end_line(request, out);
    rd_buffer_printf(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n", body.len);
    rd_buffer_append_slice(out, rd_buffer_slice(&body));
    rd_buffer_deinit(&body);
}

static const char *path_of(enum rdrive_operation operation)
{
    switch (operation) {
    case RDRIVE_OP_BATCH_WRITE:
        return "batch/write";
    case RDRIVE_OP_BATCH_READ:
        return "batch/read";
    case RDRIVE_OP_BATCH_DELETE:
        return "batch/delete";
    case RDRIVE_OP_RENAME:
        return "rename";
    case RDRIVE_OP_COPY:
        return "copy";
    default:
        return "transfer";
    }
}

void http_text_ask(const struct rdrive_request *request, struct rd_buffer *out)
{
    switch (request->operation) {
    case RDRIVE_OP_WRITE:
        begin_key(request, "PUT", out);
        rd_buffer_printf(out, "Content-Length: %zu\r\n\r\n", request->value_len);
        rd_buffer_append(out, request->value, request->value_len);
        return;
    case RDRIVE_OP_WRITE_STREAM:
        begin_key(request, "PUT", out);
        append_chunked(request, out);
        return;
    case RDRIVE_OP_DELETE:
    case RDRIVE_OP_READ:
    case RDRIVE_OP_EXISTS:
    case RDRIVE_OP_METADATA:
        begin_key(request,
                  request->operation == RDRIVE_OP_DELETE ? "DELETE"
                  : request->operation == RDRIVE_OP_READ ? "GET"
                                                         : "HEAD",
                  out);
        rd_buffer_append_string(out, "\r\n");
        return;
    default:
        ask_json(request, path_of(request->operation), out);
    }
}

/* ---- understanding ---------------------------------------------------------------------------------------- */

struct answer {
    unsigned code;
    struct rd_slice head;
    struct rd_slice body;
    size_t len;
};

static void give_up(const char *why, struct rd_slice bytes)
{
    fprintf(stderr, "an HTTP answer %s: %.*s\n", why, (int)(bytes.len < 400 ? bytes.len : 400),
            (const char *)bytes.data);
    exit(2);
}

/* What follows `name`; NULL: it is not there. */
static const char *behind(struct rd_slice text, const char *name)
{
    const char *at = memmem(text.data, text.len, name, strlen(name));
    return at != NULL ? at + strlen(name) : NULL;
}

static uint64_t number_behind(struct rd_slice text, const char *name, int base)
{
    const char *at = behind(text, name);
    if (at == NULL)
        give_up(name, text);
    return strtoull(at, NULL, base);
}

static bool split(struct rd_slice input, bool has_body, struct answer *ret_answer)
{
    const char *body = behind(input, "\r\n\r\n");
    if (body == NULL)
        return false;
    struct answer answer = {.head = rd_slice(input.data, (size_t)(body - (const char *)input.data))};
    if (answer.head.len < 16 || memcmp(input.data, "HTTP/1.1 ", 9) != 0)
        give_up("begins badly", input);
    answer.code = (unsigned)strtoul((const char *)input.data + 9, NULL, 10);
    size_t body_len = has_body ? (size_t)number_behind(answer.head, "\r\nContent-Length: ", 10) : 0;
    answer.len = answer.head.len + body_len;
    answer.body = rd_slice(body, body_len);
    *ret_answer = answer;
    return input.len >= answer.len;
}

static enum rdrive_status status_of(const struct answer *answer, bool has_body)
{
    if (answer->code < 300)
        return RDRIVE_OK;
    if (!has_body)
        return answer->code == 404 ? RDRIVE_KEY_NOT_FOUND : RDRIVE_UNAVAILABLE;
    const char *code = behind(answer->body, "\"code\":\"");
    for (int status = 1; code != NULL && status < 64; status++) {
        const char *name = rdrive_status_name((enum rdrive_status)status);
        if (strncmp(code, name, strlen(name)) == 0 && code[strlen(name)] == '"')
            return (enum rdrive_status)status;
    }
    give_up("is of an unknown kind", answer->body);
    return RDRIVE_INVALID_ARGUMENT;
}

static void take_durability(struct rd_slice head, struct rdrive_written *written)
{
    const char *text = behind(head, "\r\nRdrive-Durability: ");
    if (text == NULL)
        give_up("does not tell the durability", head);
    written->durability = RDRIVE_DURABILITY_SYNC;
    if (strncmp(text, "interval:", 9) == 0)
        written->durability = RDRIVE_DURABILITY_INTERVAL;
    else if (strncmp(text, "none", 4) == 0)
        written->durability = RDRIVE_DURABILITY_NONE;
}

static void take_written(const struct answer *answer, const struct rdrive_request *request,
                         struct rdrive_written *written)
{
    written->tail = number_behind(answer->body, "\"tail\":", 10);
    take_durability(answer->head, written);
    if (request->operation == RDRIVE_OP_DELETE)
        written->count = behind(answer->body, "\"deleted\":true") != NULL;
    else if (request->operation == RDRIVE_OP_BATCH_DELETE)
        written->count = number_behind(answer->body, "\"deleted\":", 10);
    else if (request->operation == RDRIVE_OP_BATCH_WRITE)
        written->count = number_behind(answer->body, "\"written\":", 10);
    else {
        written->offset = number_behind(answer->head, "\r\nRdrive-Offset: ", 10);
        written->crc32 = (uint32_t)number_behind(answer->head, "\r\nRdrive-Crc32: ", 16);
        written->replaced = answer->code == 200;
        written->count = 1;
    }
}

static void take_value(const struct answer *answer, struct rdrive_value *value)
{
    value->memory = malloc(answer->body.len);
    if (value->memory == NULL)
        abort();
    memcpy(value->memory, answer->body.data, answer->body.len);
    value->data = value->memory;
    value->len = answer->body.len;
    value->offset = number_behind(answer->head, "\r\nRdrive-Offset: ", 10);
    value->crc32 = (uint32_t)number_behind(answer->head, "\r\nRdrive-Crc32: ", 16);
}

/* {"values":[{"found":true,"value_base64":"..","offset":N},{"found":false}]} */
static void take_values(const struct answer *answer, size_t count, struct rdrive_values *values)
{
    struct rd_slice left = answer->body;
    uint8_t *memory = malloc(answer->body.len);
    values->memory = memory;
    values->items = calloc(count, sizeof *values->items);
    values->count = count;
    if (memory == NULL || values->items == NULL)
        abort();
    for (size_t i = 0; i < count; i++) {
        struct rdrive_value *value = &values->items[i];
        const char *found = behind(left, "{\"found\":");
        if (found == NULL)
            give_up("has too few values", answer->body);
        left = rd_slice(found, left.len - (size_t)((const uint8_t *)found - left.data));
        value->status = found[0] == 't' ? RDRIVE_OK : RDRIVE_KEY_NOT_FOUND;
        if (value->status != RDRIVE_OK)
            continue;
        const char *text = behind(left, "\"value_base64\":\"");
        const char *end = text != NULL ? strchr(text, '"') : NULL;
        size_t len = 0;
        if (end == NULL || !rd_text_base64_decode(rd_slice(text, (size_t)(end - text)), memory, &len))
            give_up("has a value that is none", left);
        value->data = memory;
        value->len = len;
        memory += len;
    }
}

static void take_moved(const struct answer *answer, bool transfer, struct rdrive_moved *moved)
{
    moved->target_offset = number_behind(answer->body, "\"target_offset\":", 10);
    moved->target_tail = number_behind(answer->body, "\"target_tail\":", 10);
    if (transfer)
        moved->source_tail = number_behind(answer->body, "\"source_tail\":", 10);
}

static void take_result(const struct answer *answer, struct rdrive_request *request)
{
    switch (request->operation) {
    case RDRIVE_OP_READ:
        take_value(answer, &request->result.value);
        return;
    case RDRIVE_OP_BATCH_READ:
        take_values(answer, request->count, &request->result.values);
        return;
    case RDRIVE_OP_COPY:
    case RDRIVE_OP_TRANSFER:
        take_moved(answer, request->operation == RDRIVE_OP_TRANSFER, &request->result.moved);
        return;
    case RDRIVE_OP_METADATA:
        request->result.metadata.offset = number_behind(answer->head, "\r\nRdrive-Offset: ", 10);
        request->result.metadata.crc32 = (uint32_t)number_behind(answer->head, "\r\nRdrive-Crc32: ", 16);
        request->result.metadata.len = number_behind(answer->head, "\r\nContent-Length: ", 10);
        return;
    case RDRIVE_OP_EXISTS:
        return;
    default:
        take_written(answer, request, &request->result.written);
    }
}

size_t http_text_answer(struct rd_slice input, struct rdrive_request *request, enum rdrive_status *ret_status)
{
    bool has_body = request->operation != RDRIVE_OP_EXISTS && request->operation != RDRIVE_OP_METADATA;
    struct answer answer;
    if (!split(input, has_body, &answer))
        return 0;
    enum rdrive_status status = status_of(&answer, has_body);
    if (request->operation == RDRIVE_OP_EXISTS && status != RDRIVE_UNAVAILABLE) {
        request->result.exists = status == RDRIVE_OK;
        status = RDRIVE_OK;
    } else if (status == RDRIVE_OK) {
        take_result(&answer, request);
    } else {
        snprintf(request->message, sizeof request->message, "%.*s",
                 (int)(answer.body.len < 180 ? answer.body.len : 180), (const char *)answer.body.data);
    }
    *ret_status = status;
    return answer.len;
}
