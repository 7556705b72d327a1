/* SPDX-License-Identifier: MIT */
#include "protocol/http_encode.h"

#include "base/text.h"
#include "protocol/http_condition.h"
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
    [RD_HTTP_REFUSAL_HOST] = {"421 Misdirected Request", "misdirected"},
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
    if (request->trace != NULL)
        append_header(out, "X-Request-Id", request->trace);
    if (request->close_after || (request->codec_flags & RD_HTTP_FLAG_CLOSE) != 0)
        LITERAL(out, "Connection: close\r\n");
    else if ((request->codec_flags & RD_HTTP_FLAG_KEEP_1_0) != 0)
        LITERAL(out, "Connection: keep-alive\r\n");
}

/* What names the version of a value: to be found in every answer to PUT, GET and HEAD of a key. */
static void append_version(const struct rd_response *response, struct rd_buffer *out)
{
    LITERAL(out, "ETag: ");
    rd_http_append_tag(response->offset, response->crc32, out);
    LITERAL(out, "\r\nRdrive-Offset: ");
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

/* "bytes 7-12/13": of a value that has a byte there. */
static void append_content_range(const struct rd_response *response, struct rd_buffer *out)
{
    LITERAL(out, "Content-Range: bytes ");
    rd_text_u64_encode(response->range_first, out);
    LITERAL(out, "-");
    rd_text_u64_encode(response->range_first + response->value.len - 1, out);
    LITERAL(out, "/");
    rd_text_u64_encode(response->value_len, out);
    LITERAL(out, "\r\n");
}

static size_t encode_value(const struct rd_request *request, const struct rd_response *response,
                           struct rd_buffer *out)
{
    bool head = request->opcode == RD_OPCODE_METADATA;
    bool partial = !head && response->partial;
    append_start(request, partial ? "206 Partial Content" : lines[RD_OK].line, out);
    LITERAL(out, "Content-Type: application/octet-stream\r\nX-Content-Type-Options: nosniff\r\n"
                 "Accept-Ranges: bytes\r\n");
    append_version(response, out);
    if (partial)
        append_content_range(response, out);
    LITERAL(out, "Content-Length: ");
    rd_text_u64_encode(head ? response->value_len : response->value.len, out);
    LITERAL(out, "\r\n\r\n");
    return head ? 0 : response->value.len;
}

static void append_generation(const struct rd_response *response, struct rd_buffer *out)
{
    LITERAL(out, "Rdrive-Generation: ");
    rd_text_hex_u64_encode(response->generation, 16, out);
    LITERAL(out, "\r\n");
}

/* A store's file, or the end of it. The tag names the file as long as it is now. */
static size_t encode_backup(const struct rd_request *request, const struct rd_response *response,
                            struct rd_buffer *out)
{
    append_start(request, response->partial ? "206 Partial Content" : lines[RD_OK].line, out);
    LITERAL(out, "Content-Type: application/octet-stream\r\nX-Content-Type-Options: nosniff\r\n"
                 "Content-Disposition: attachment; filename=\"");
    rd_buffer_append_slice(out, request->store);
    LITERAL(out, ".rdr\"\r\nCache-Control: no-store\r\nAccept-Ranges: bytes\r\nETag: ");
    rd_http_append_file_tag(response->generation, response->tail, out);
    LITERAL(out, "\r\n");
    append_generation(response, out);
    LITERAL(out, "Rdrive-Offset: ");
    rd_text_u64_encode(response->range_first, out);
    LITERAL(out, "\r\nRdrive-Tail: ");
    rd_text_u64_encode(response->tail, out);
    LITERAL(out, "\r\n");
    if (response->partial)
        append_content_range(response, out);
    LITERAL(out, "Content-Length: ");
    rd_text_u64_encode(response->value.len, out);
    LITERAL(out, "\r\n\r\n");
    return response->value.len;
}

/* A list of tags comes before the range in HTTP's order, so it may turn that error as well. */
static bool is_not_modified(const struct rd_request *request, const struct rd_response *response)
{
    if (response->status == RD_OK && response->not_modified)
        return true;
    return (response->status == RD_OK || response->status == RD_RANGE_NOT_SATISFIABLE) &&
           request->not_versions.len != 0 &&
           rd_http_tags_name(request->not_versions, response->offset, response->crc32);
}

static void encode_not_modified(const struct rd_request *request, const struct rd_response *response,
                                struct rd_buffer *out)
{
    append_start(request, "304 Not Modified", out);
    append_version(response, out);
    LITERAL(out, "\r\n");
}

static void append_json(const struct rd_request *request, const struct rd_response *response,
                        struct rd_buffer *out)
{
    switch (request->opcode) {
    case RD_OPCODE_WRITE:
    case RD_OPCODE_WRITE_STREAM:
    case RD_OPCODE_RENAME:
        rd_json_encode_written(response, out);
        break;
    case RD_OPCODE_COPY:
        rd_json_encode_copied(response, out);
        break;
    case RD_OPCODE_TRANSFER:
        rd_json_encode_transferred(response, out);
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
        rd_json_encode_entries(response, out);
        break;
    case RD_OPCODE_STORES:
        rd_json_encode_stores(response, out);
        break;
    case RD_OPCODE_COMPACT:
        rd_json_encode_compaction(response, out);
        break;
    case RD_OPCODE_VERIFY:
        rd_json_encode_verification(response, out);
        break;
    case RD_OPCODE_CREATE:
    case RD_OPCODE_REOPEN:
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
    const char *before = "";
    LITERAL(out, "Allow: ");
    for (size_t i = 0; i < RD_HTTP_METHOD_COUNT; i++) {
        if ((allow >> i & 1) == 0)
            continue;
        rd_buffer_append_string(out, before);
        rd_buffer_append_string(out, method_names[i]);
        before = ", ";
    }
    LITERAL(out, "\r\n");
}

/* The headers that are this operation's own. */
static void append_written(const struct rd_request *request, const struct rd_response *response,
                           struct rd_buffer *out)
{
    const struct rd_operation *operation = rd_operation_find(request->opcode);
    bool versioned = request->opcode == RD_OPCODE_WRITE || request->opcode == RD_OPCODE_WRITE_STREAM ||
                     request->opcode == RD_OPCODE_RENAME;
    bool moved = request->opcode == RD_OPCODE_COPY || request->opcode == RD_OPCODE_TRANSFER;
    if (versioned)
        append_version(response, out);
    if (operation != NULL && operation->class == RD_CLASS_WRITE && !moved)
        append_durability(response, out);
}

static const char *json_line(const struct rd_request *request, const struct rd_response *response)
{
    uint32_t refusal = request->codec_flags >> RD_HTTP_FLAG_REFUSAL_SHIFT & 0xff;
    bool write = request->opcode == RD_OPCODE_WRITE || request->opcode == RD_OPCODE_WRITE_STREAM;
    if (response->status != RD_OK && response->status == request->status && refusal != RD_HTTP_REFUSAL_NONE)
        return refusals[refusal].line;
    if (response->status == RD_OK && (request->opcode == RD_OPCODE_CREATE || (write && !response->replaced)))
        return "201 Created";
    return line_of(response->status);
}

/* Everything up to Content-Length; no other header follows it. */
static void append_json_head(const struct rd_request *request, const struct rd_response *response,
                             struct rd_buffer *out)
{
    append_start(request, json_line(request, response), out);
    append_header(out, "Content-Type", "application/json");
    if (response->status == RD_METHOD_NOT_ALLOWED)
        append_allow(request, out);
    if (response->status == RD_UNAUTHORIZED)
        append_header(out, "WWW-Authenticate", "Bearer realm=\"rdrive\"");
    if (response->status == RD_OVERLOADED || response->status == RD_UNAVAILABLE)
        append_header(out, "Retry-After", "1");
    if (response->status == RD_RANGE_NOT_SATISFIABLE) {
        LITERAL(out, "Content-Range: bytes */");
        rd_text_u64_encode(response->value_len, out);
        LITERAL(out, "\r\n");
    }
    if (response->status == RD_OK)
        append_written(request, response, out);
    else if (request->opcode == RD_OPCODE_BACKUP && response->generation != 0)
        append_generation(response, out);
}

/* The length is known once the body is there: room is left for the longest number, and what it does not need is
 * closed again. That moves small bodies by a few bytes, and spares measuring the large ones. */
static void encode_json(const struct rd_request *request, const struct rd_response *response,
                        struct rd_buffer *out)
{
    append_json_head(request, response, out);
    if (response->body_unmade) {
        LITERAL(out, "\r\n");
        return;
    }
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
    if (request->head_only)
        return;
    memmove(out->data + out->len, out->data + body_at, body_len);
    out->len += body_len;
}

/* The page holds its own styles and script, asks nobody but the server that it came from, and is shown in no other
 * page. */
static void append_page_policy(struct rd_buffer *out)
{
    append_header(out, "Content-Security-Policy",
                  "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
                  "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    append_header(out, "Referrer-Policy", "no-referrer");
}

static size_t encode_text(const struct rd_request *request, const struct rd_response *response,
                          struct rd_buffer *out)
{
    bool page = request->opcode == RD_OPCODE_PAGE;
    append_start(request, lines[RD_OK].line, out);
    append_header(out, "Content-Type",
                  page ? "text/html; charset=utf-8" : "text/plain; version=0.0.4; charset=utf-8");
    append_header(out, "X-Content-Type-Options", "nosniff");
    append_header(out, "Cache-Control", page ? "no-cache" : "no-store");
    if (page)
        append_page_policy(out);
    if (!response->body_unmade) {
        LITERAL(out, "Content-Length: ");
        rd_text_u64_encode(response->value.len, out);
        LITERAL(out, "\r\n");
    }
    LITERAL(out, "\r\n");
    return response->value.len;
}

/* What is encoded, of a value the head alone. Bytes of it that belong behind the head. */
static size_t encode(const struct rd_request *request, const struct rd_response *response, struct rd_buffer *out)
{
    if (request->opcode == RD_OPCODE_CONTINUE && response->status == RD_OK) {
        LITERAL(out, "HTTP/1.1 100 Continue\r\n\r\n");
        return 0;
    }
    bool value = request->opcode == RD_OPCODE_READ || request->opcode == RD_OPCODE_METADATA;
    if (value && is_not_modified(request, response)) {
        encode_not_modified(request, response, out);
        return 0;
    }
    if (value && response->status == RD_OK)
        return encode_value(request, response, out);
    if (request->opcode == RD_OPCODE_BACKUP && response->status == RD_OK)
        return encode_backup(request, response, out);
    bool text = request->opcode == RD_OPCODE_METRICS || request->opcode == RD_OPCODE_PAGE;
    if (text && response->status == RD_OK)
        return encode_text(request, response, out);
    encode_json(request, response, out);
    return 0;
}

size_t rd_http_encode(const struct rd_request *request, const struct rd_response *response, struct rd_buffer *out)
{
    size_t value_len = encode(request, response, out);
    return request->head_only ? 0 : value_len;
}

void rd_http_refuse_connection(struct rd_buffer *out)
{
    static const struct rd_request request = {.close_after = true};
    static const struct rd_response response = {.status = RD_UNAVAILABLE,
                                                .message = "the server has as many connections as it takes"};
    encode_json(&request, &response, out);
}
