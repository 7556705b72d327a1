/* SPDX-License-Identifier: MIT */
#include "protocol/http_encode.h"

#include "base/text.h"
#include "protocol/http_head.h"
#include "protocol/json.h"

#define LITERAL(out, text) rd_buffer_append(out, text, sizeof text - 1)
#define LENGTH_DIGITS_MAX  20u

static const struct {
    const char *line; /* the status line behind the version */
} lines[RD_STATUS_COUNT] = {
    [RD_OK] = {"200 OK"},
    [RD_INVALID_ARGUMENT] = {"400 Bad Request"},
    [RD_UNAUTHORIZED] = {"401 Unauthorized"},
    [RD_FORBIDDEN] = {"403 Forbidden"},
    [RD_KEY_NOT_FOUND] = {"404 Not Found"},
    [RD_STORE_NOT_FOUND] = {"404 Not Found"},
    [RD_METHOD_NOT_ALLOWED] = {"405 Method Not Allowed"},
    [RD_TIMEOUT] = {"408 Request Timeout"},
    [RD_CONFLICT] = {"409 Conflict"},
    [RD_KEY_COLLISION] = {"409 Conflict"},
    [RD_PRECONDITION_FAILED] = {"412 Precondition Failed"},
    [RD_TOO_LARGE] = {"413 Content Too Large"},
    [RD_UNSUPPORTED_MEDIA_TYPE] = {"415 Unsupported Media Type"},
    [RD_RANGE_NOT_SATISFIABLE] = {"416 Range Not Satisfiable"},
    [RD_OVERLOADED] = {"429 Too Many Requests"},
    [RD_HEADER_TOO_LARGE] = {"431 Request Header Fields Too Large"},
    [RD_IO_ERROR] = {"500 Internal Server Error"},
    [RD_CORRUPT] = {"500 Internal Server Error"},
    [RD_UNAVAILABLE] = {"503 Service Unavailable"},
    [RD_NO_SPACE] = {"507 Insufficient Storage"},
    [RD_UNSUPPORTED] = {"501 Not Implemented"},
    [RD_NO_MEMORY] = {"503 Service Unavailable"},
    [RD_NOT_A_STORE] = {"503 Service Unavailable"},
};

/* What enum rd_status has no number for. */
static const struct {
    const char *line;
    const char *code;
} refusals[] = {
    [RD_HTTP_REFUSAL_NONE] = {NULL, NULL},
    [RD_HTTP_REFUSAL_PATH] = {"404 Not Found", "not_found"},
    [RD_HTTP_REFUSAL_EXPECTATION] = {"417 Expectation Failed", "expectation_failed"},
};

static const char *const method_names[RD_HTTP_METHOD_COUNT] = {
    [RD_HTTP_GET] = "GET",   [RD_HTTP_HEAD] = "HEAD",     [RD_HTTP_PUT] = "PUT",
    [RD_HTTP_POST] = "POST", [RD_HTTP_DELETE] = "DELETE",
};

static const char *line_of(enum rd_status status)
{
    return (unsigned)status < RD_STATUS_COUNT ? lines[status].line : "500 Internal Server Error";
}

static void append_header(struct rd_buffer *out, const char *name, const char *value)
{
    rd_buffer_append_string(out, name);
    LITERAL(out, ": ");
    rd_buffer_append_string(out, value);
    LITERAL(out, "\r\n");
}

static void append_start(const struct rd_request *request, const char *line, struct rd_buffer *out)
{
    LITERAL(out, "HTTP/1.1 ");
    rd_buffer_append_string(out, line);
    LITERAL(out, "\r\n");
    if (request->close_after)
        LITERAL(out, "Connection: close\r\n");
    else if ((request->codec_flags & RD_HTTP_FLAG_KEEP_1_0) != 0)
        LITERAL(out, "Connection: keep-alive\r\n");
}

/* What names the version of a value: to be found in every answer to PUT, GET and HEAD of a key. */
static void append_version(const struct rd_response *response, struct rd_buffer *out)
{
    unsigned digit_count = 1;
    while (digit_count < 16 && response->offset >> (4 * digit_count) != 0)
        digit_count++;
    LITERAL(out, "ETag: \"");
    rd_text_hex_u64_encode(response->offset, digit_count, out);
    LITERAL(out, "-");
    rd_text_hex_u64_encode(response->crc32, 8, out);
    LITERAL(out, "\"\r\nRdrive-Offset: ");
    rd_text_u64_encode(response->offset, out);
    LITERAL(out, "\r\nRdrive-Crc32: ");
    rd_text_hex_u64_encode(response->crc32, 8, out);
    LITERAL(out, "\r\nRdrive-Key-Hash: ");
    rd_text_hex_u64_encode(response->key_hash, 16, out);
    LITERAL(out, "\r\n");
}

static void append_durability(const struct rd_response *response, struct rd_buffer *out)
{
    LITERAL(out, "Rdrive-Durability: ");
    rd_json_append_durability(response->durability, response->durability_interval_ms, out);
    LITERAL(out, "\r\n");
}

static size_t encode_value(const struct rd_request *request, const struct rd_response *response,
                           struct rd_buffer *out)
{
    bool head = request->opcode == RD_OPCODE_METADATA;
    append_start(request, lines[RD_OK].line, out);
    LITERAL(out, "Content-Type: application/octet-stream\r\nX-Content-Type-Options: nosniff\r\n");
    append_version(response, out);
    LITERAL(out, "Content-Length: ");
    rd_text_u64_encode(head ? response->value_len : response->value.len, out);
    LITERAL(out, "\r\n\r\n");
    return head ? 0 : response->value.len;
}

static void append_json(const struct rd_request *request, const struct rd_response *response,
                        struct rd_buffer *out)
{
    switch (request->opcode) {
    case RD_OPCODE_WRITE:
        rd_json_encode_written(response, out);
        break;
    case RD_OPCODE_DELETE:
        rd_json_encode_deleted(response, out);
        break;
    case RD_OPCODE_BATCH_WRITE:
        rd_json_encode_batch_written(response, out);
        break;
    case RD_OPCODE_BATCH_DELETE:
        rd_json_encode_batch_deleted(response, out);
        break;
    case RD_OPCODE_BATCH_READ:
        rd_json_encode_batch_values(response, out);
        break;
    case RD_OPCODE_LAST:
        rd_json_encode_last(response, out);
        break;
    case RD_OPCODE_ITERATE:
        rd_json_encode_entries(response, request->limit, out);
        break;
    case RD_OPCODE_STORES:
        rd_json_encode_stores(response, out);
        break;
    case RD_OPCODE_CREATE:
    case RD_OPCODE_INFO:
        rd_json_encode_store(response, out);
        break;
    case RD_OPCODE_DROP:
        LITERAL(out, "{\"dropped\":true}\n");
        break;
    default:
        LITERAL(out, "{\"status\":\"ok\"}\n");
        break;
    }
}

static void append_error(const struct rd_request *request, const struct rd_response *response,
                         struct rd_buffer *out)
{
    uint32_t refusal = request->codec_flags >> RD_HTTP_FLAG_REFUSAL_SHIFT & 0xff;
    bool refused = refusal != RD_HTTP_REFUSAL_NONE && request->status == response->status;
    const char *code = refused ? refusals[refusal].code : rd_status_name(response->status);
    rd_json_encode_error(code, rd_slice_of_string(response->message), out);
}

static void append_allow(const struct rd_request *request, struct rd_buffer *out)
{
    uint32_t allow = request->codec_flags >> RD_HTTP_FLAG_ALLOW_SHIFT;
    const char *before = "Allow: ";
    for (size_t i = 0; i < RD_HTTP_METHOD_COUNT; i++) {
        if ((allow >> i & 1) == 0)
            continue;
        rd_buffer_append_string(out, before);
        rd_buffer_append_string(out, method_names[i]);
        before = ", ";
    }
    LITERAL(out, "\r\n");
}

/* Everything up to Content-Length; no other header follows it. */
static void append_json_head(const struct rd_request *request, const struct rd_response *response,
                             struct rd_buffer *out)
{
    uint32_t refusal = request->codec_flags >> RD_HTTP_FLAG_REFUSAL_SHIFT & 0xff;
    const char *line = line_of(response->status);
    const struct rd_operation *operation = rd_operation_find(request->opcode);
    if (response->status != RD_OK && response->status == request->status && refusal != RD_HTTP_REFUSAL_NONE)
        line = refusals[refusal].line;
    else if (response->status == RD_OK &&
             (request->opcode == RD_OPCODE_CREATE || (request->opcode == RD_OPCODE_WRITE && !response->replaced)))
        line = "201 Created";
    append_start(request, line, out);
    append_header(out, "Content-Type", "application/json");
    if (response->status == RD_METHOD_NOT_ALLOWED)
        append_allow(request, out);
    if (response->status == RD_OVERLOADED)
        append_header(out, "Retry-After", "1");
    if (response->status != RD_OK)
        return;
    if (request->opcode == RD_OPCODE_WRITE)
        append_version(response, out);
    if (operation != NULL && operation->class == RD_CLASS_WRITE)
        append_durability(response, out);
}

/* The length is known once the body is there: room is left for the longest number, and what it does not need is
 * closed again. That moves small bodies by a few bytes, and spares measuring the large ones. */
static void encode_json(const struct rd_request *request, const struct rd_response *response,
                        struct rd_buffer *out)
{
    append_json_head(request, response, out);
    LITERAL(out, "Content-Length: ");
    size_t gap_at = out->len;
    if (rd_buffer_reserve(out, LENGTH_DIGITS_MAX + 4) == NULL)
        return;
    rd_buffer_commit(out, LENGTH_DIGITS_MAX + 4);
    size_t body_at = out->len;
    if (response->status == RD_OK)
        append_json(request, response, out);
    else
        append_error(request, response, out);
    if (out->failed)
        return;
    size_t body_len = out->len - body_at;
    out->len = gap_at;
    rd_text_u64_encode(body_len, out);
    LITERAL(out, "\r\n\r\n");
    if ((request->codec_flags & RD_HTTP_FLAG_HEAD) != 0)
        return;
    memmove(out->data + out->len, out->data + body_at, body_len);
    out->len += body_len;
}

size_t rd_http_encode(const struct rd_request *request, const struct rd_response *response, struct rd_buffer *out)
{
    if (request->opcode == RD_OPCODE_CONTINUE && response->status == RD_OK) {
        LITERAL(out, "HTTP/1.1 100 Continue\r\n\r\n");
        return 0;
    }
    bool value = request->opcode == RD_OPCODE_READ || request->opcode == RD_OPCODE_METADATA;
    if (value && response->status == RD_OK)
        return encode_value(request, response, out);
    encode_json(request, response, out);
    return 0;
}
