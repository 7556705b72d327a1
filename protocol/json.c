/* SPDX-License-Identifier: MIT */
#include "protocol/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "base/text.h"

#define DEPTH_MAX          3u /* {"entries":[{ is as deep as it gets */
#define LITERAL(out, text) rd_buffer_append(out, text, sizeof text - 1)

/* ---- parsing ----------------------------------------------------------------------------------------------- */

struct parse {
    const struct rd_limits *limits; /* borrows */
    struct rd_request *request;     /* borrows; gets the message */
    const char *list_name;          /* "entries" or "keys" */
    size_t index;                   /* of the item under way */
    struct rd_message_item *items;  /* owned until it is the request's */
    uint8_t *bytes;                 /* owned until it is the request's body */
    size_t bytes_len;               /* used */
    size_t bytes_len_max;           /* allocated: no text decodes to more bytes than it has */
};

static enum rd_status fail(struct parse *parse, enum rd_status status, const char *format, ...) RD_PRINTF(3, 4);
static enum rd_status fail(struct parse *parse, enum rd_status status, const char *format, ...)
{
    struct rd_request *request = parse->request;
    va_list args;
    va_start(args, format);
    vsnprintf(request->detail, sizeof request->detail, format, args);
    va_end(args);
    request->message = request->detail;
    request->status = status;
    return status;
}

static enum rd_status fail_item(struct parse *parse, enum rd_status status, const char *what, const char *field)
{
    return fail(parse, status, "%s[%zu]: %s%.60s", parse->list_name, parse->index, what, field);
}

/* A tree takes many times the memory of a text like [[],[],[]; so what cannot be a batch is refused before there
 * is one. Only counts: whether the text is JSON is for jansson to say. */
static enum rd_status check_shape(struct parse *parse, struct rd_slice text)
{
    uint64_t commas_max = 4 * (uint64_t)parse->limits->batch_count_max + 16;
    uint64_t comma_count = 0;
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > DEPTH_MAX)
                return fail(parse, RD_INVALID_ARGUMENT, "the JSON is nested too deeply");
        } else if (c == '}' || c == ']') {
            depth -= depth > 0;
        } else if (c == ',' && ++comma_count > commas_max) {
            return fail(parse, RD_TOO_LARGE, "more than %u %s", parse->limits->batch_count_max, parse->list_name);
        }
    }
    return RD_OK;
}

static enum rd_status copy_text(struct parse *parse, const json_t *value, struct rd_slice *ret_bytes)
{
    size_t len = json_string_length(value);
    uint8_t *to = parse->bytes + parse->bytes_len;
    if (len > parse->bytes_len_max - parse->bytes_len)
        return fail(parse, RD_NO_MEMORY, "%s[%zu] does not fit", parse->list_name, parse->index);
    memcpy(to, json_string_value(value), len);
    parse->bytes_len += len;
    *ret_bytes = rd_slice(to, len);
    return RD_OK;
}

static enum rd_status copy_base64(struct parse *parse, const char *field, const json_t *value,
                                  struct rd_slice *ret_bytes)
{
    struct rd_slice text = rd_slice(json_string_value(value), json_string_length(value));
    uint8_t *to = parse->bytes + parse->bytes_len;
    size_t len = 0;
    if (text.len > parse->bytes_len_max - parse->bytes_len)
        return fail(parse, RD_NO_MEMORY, "%s[%zu] does not fit", parse->list_name, parse->index);
    if (!rd_text_base64_decode(text, to, &len))
        return fail_item(parse, RD_INVALID_ARGUMENT, "not padded base64: ", field);
    parse->bytes_len += len;
    *ret_bytes = rd_slice(to, len);
    return RD_OK;
}

static enum rd_status take_text(struct parse *parse, const char *field, const json_t *value, bool base64,
                                struct rd_slice *ret_bytes)
{
    if (!json_is_string(value))
        return fail_item(parse, RD_INVALID_ARGUMENT, "not a string: ", field);
    return base64 ? copy_base64(parse, field, value, ret_bytes) : copy_text(parse, value, ret_bytes);
}

static enum rd_status take_key(struct parse *parse, const char *field, const json_t *value, bool base64,
                               struct rd_message_key *ret_key)
{
    struct rd_slice bytes;
    enum rd_status status = take_text(parse, field, value, base64, &bytes);
    if (status != RD_OK)
        return status;
    if (bytes.len > parse->limits->key_len_max)
        return fail(parse, RD_TOO_LARGE, "%s[%zu]: the key is longer than %u bytes", parse->list_name,
                    parse->index, parse->limits->key_len_max);
    *ret_key = (struct rd_message_key){.bytes = bytes};
    return RD_OK;
}

static enum rd_status take_hash(struct parse *parse, const json_t *value, struct rd_message_key *ret_key)
{
    uint64_t hash;
    if (!json_is_string(value) ||
        !rd_text_parse_hash(rd_slice(json_string_value(value), json_string_length(value)), &hash))
        return fail_item(parse, RD_INVALID_ARGUMENT, "not 16 hex digits: ", "key_hash");
    *ret_key = (struct rd_message_key){.hash = hash};
    return RD_OK;
}

/* One field of an item; counts what it is, so that two forms of one thing are noticed. */
static enum rd_status take_field(struct parse *parse, const char *field, const json_t *value, bool with_value,
                                 unsigned *key_count, unsigned *value_count, struct rd_message_item *item)
{
    bool key = strcmp(field, "key") == 0;
    if (key || strcmp(field, "key_base64") == 0) {
        *key_count += 1;
        return take_key(parse, field, value, !key, &item->key);
    }
    if (strcmp(field, "key_hash") == 0) {
        *key_count += 1;
        return take_hash(parse, value, &item->key);
    }
    bool text = strcmp(field, "value") == 0;
    if (with_value && (text || strcmp(field, "value_base64") == 0)) {
        *value_count += 1;
        return take_text(parse, field, value, !text, &item->value);
    }
    return fail_item(parse, RD_INVALID_ARGUMENT, "unknown field: ", field);
}

static enum rd_status take_item(struct parse *parse, json_t *source, bool with_value, struct rd_message_item *item)
{
    unsigned key_count = 0;
    unsigned value_count = with_value ? 0 : 1;
    if (!with_value && json_is_string(source))
        return take_key(parse, "key", source, false, &item->key);
    if (!json_is_object(source))
        return fail_item(parse, RD_INVALID_ARGUMENT, with_value ? "not an object" : "neither string nor object",
                         "");
    for (void *at = json_object_iter(source); at != NULL; at = json_object_iter_next(source, at)) {
        enum rd_status status = take_field(parse, json_object_iter_key(at), json_object_iter_value(at), with_value,
                                           &key_count, &value_count, item);
        if (status != RD_OK)
            return status;
    }
    if (key_count != 1)
        return fail_item(parse, RD_INVALID_ARGUMENT, "needs one of key, key_base64, key_hash", "");
    if (value_count != 1)
        return fail_item(parse, RD_INVALID_ARGUMENT, "needs one of value, value_base64", "");
    return RD_OK;
}

static enum rd_status take_items(struct parse *parse, const json_t *list, bool with_value)
{
    size_t count = json_array_size(list);
    if (count > parse->limits->batch_count_max)
        return fail(parse, RD_TOO_LARGE, "more than %u %s", parse->limits->batch_count_max, parse->list_name);
    parse->items = calloc(count == 0 ? 1 : count, sizeof *parse->items);
    if (parse->items == NULL)
        return fail(parse, RD_NO_MEMORY, "no memory for the batch");
    for (parse->index = 0; parse->index < count; parse->index++) {
        enum rd_status status =
            take_item(parse, json_array_get(list, parse->index), with_value, &parse->items[parse->index]);
        if (status != RD_OK)
            return status;
    }
    return RD_OK;
}

/* The fields of the whole: the list, and allow_null_bytes with a batch of values. */
static enum rd_status take_root(struct parse *parse, json_t *root, bool with_value, bool *ret_allow,
                                const json_t **ret_list)
{
    const json_t *list = NULL;
    bool allow = false;
    if (!json_is_object(root))
        return fail(parse, RD_INVALID_ARGUMENT, "the body must be a JSON object");
    for (void *at = json_object_iter(root); at != NULL; at = json_object_iter_next(root, at)) {
        const char *field = json_object_iter_key(at);
        const json_t *value = json_object_iter_value(at);
        if (strcmp(field, parse->list_name) == 0) {
            list = value;
        } else if (with_value && strcmp(field, "allow_null_bytes") == 0) {
            if (!json_is_boolean(value))
                return fail(parse, RD_INVALID_ARGUMENT, "allow_null_bytes must be true or false");
            allow = json_is_true(value);
        } else {
            return fail(parse, RD_INVALID_ARGUMENT, "unknown field: %.60s", field);
        }
    }
    if (!json_is_array(list))
        return fail(parse, RD_INVALID_ARGUMENT, "%s must be given, as an array", parse->list_name);
    *ret_allow = allow;
    *ret_list = list;
    return RD_OK;
}

/* Makes the items the request's, and the store's name move into the new body. */
static void hand_over(struct parse *parse, size_t count, bool allow_null_bytes)
{
    struct rd_request *request = parse->request;
    if (request->store.len != 0)
        memcpy(parse->bytes, request->store.data, request->store.len);
    free(request->body);
    free(request->items);
    request->store.data = parse->bytes;
    request->body = parse->bytes;
    request->body_len = parse->bytes_len_max;
    request->items = parse->items;
    request->item_count = count;
    request->allow_null_bytes = allow_null_bytes;
    parse->bytes = NULL;
    parse->items = NULL;
}

static enum rd_status parse_batch(struct rd_slice text, const struct rd_limits *limits, const char *list_name,
                                  bool with_value, struct rd_request *request)
{
    struct parse parse = {.limits = limits, .request = request, .list_name = list_name};
    json_t *root = NULL;
    const json_t *list = NULL;
    bool allow_null_bytes = false;
    json_error_t error;
    enum rd_status status = check_shape(&parse, text);
    if (status != RD_OK)
        return status;
    parse.bytes_len = request->store.len;
    parse.bytes_len_max = request->store.len + text.len;
    root = text.len == 0
               ? NULL
               : json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (root == NULL)
        return text.len == 0 ? fail(&parse, RD_INVALID_ARGUMENT, "the body is empty, JSON is needed")
                             : fail(&parse, RD_INVALID_ARGUMENT, "JSON, line %d, column %d: %.80s", error.line,
                                    error.column, error.text);
    parse.bytes = malloc(parse.bytes_len_max);
    if (parse.bytes == NULL)
        status = fail(&parse, RD_NO_MEMORY, "no memory for the batch");
    if (status == RD_OK)
        status = take_root(&parse, root, with_value, &allow_null_bytes, &list);
    if (status == RD_OK)
        status = take_items(&parse, list, with_value);
    if (status == RD_OK)
        hand_over(&parse, json_array_size(list), allow_null_bytes);
    free(parse.items);
    free(parse.bytes);
    json_decref(root);
    return status;
}

enum rd_status rd_json_parse_batch_write(struct rd_slice text, const struct rd_limits *limits,
                                         struct rd_request *request)
{
    return parse_batch(text, limits, "entries", true, request);
}

enum rd_status rd_json_parse_batch_read(struct rd_slice text, const struct rd_limits *limits,
                                        struct rd_request *request)
{
    return parse_batch(text, limits, "keys", false, request);
}

enum rd_status rd_json_parse_batch_delete(struct rd_slice text, const struct rd_limits *limits,
                                          struct rd_request *request)
{
    return parse_batch(text, limits, "keys", false, request);
}

/* ---- encoding: parts --------------------------------------------------------------------------------------- */

/* Bytes of the well-formed UTF-8 sequence at the start of text, or 0. */
static size_t utf8_len(struct rd_slice text)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t first = text.data[0];
    size_t len = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf8 ? 4 : 0;
    if (len <= 1 || len > text.len)
        return len <= 1 ? len : 0;
    uint32_t code = first & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((text.data[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (text.data[i] & 0x3f);
    }
    bool surrogate = code >= 0xd800 && code <= 0xdfff;
    return code < least[len] || surrogate || code > 0x10ffff ? 0 : len;
}

static void append_escape(uint8_t c, struct rd_buffer *out)
{
    static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (size_t i = 0; i + 1 < sizeof shorts; i += 2) {
        if ((uint8_t)shorts[i] == c) {
            LITERAL(out, "\\");
            rd_buffer_append_u8(out, (uint8_t)shorts[i + 1]);
            return;
        }
    }
    LITERAL(out, "\\u00");
    rd_text_hex_u64_encode(c, 2, out);
}

void rd_json_append_string(struct rd_slice text, struct rd_buffer *out)
{
    LITERAL(out, "\"");
    while (text.len != 0) {
        size_t plain = 0;
        while (plain < text.len && text.data[plain] >= 0x20 && text.data[plain] < 0x80 &&
               text.data[plain] != '"' && text.data[plain] != '\\')
            plain++;
        rd_buffer_append_slice(out, rd_slice_take(&text, plain));
        if (text.len == 0)
            break;
        size_t len = utf8_len(text);
        if (len > 1)
            rd_buffer_append_slice(out, rd_slice_take(&text, len));
        else if (len == 1)
            append_escape(rd_slice_take(&text, 1).data[0], out);
        else {
            LITERAL(out, "\xef\xbf\xbd");
            rd_slice_take(&text, 1);
        }
    }
    LITERAL(out, "\"");
}

void rd_json_append_durability(enum rd_message_durability durability, uint32_t interval_ms, struct rd_buffer *out)
{
    if (durability == RD_MESSAGE_DURABILITY_INTERVAL) {
        LITERAL(out, "interval:");
        rd_text_u64_encode(interval_ms, out);
        return;
    }
    rd_buffer_append_string(out, durability == RD_MESSAGE_DURABILITY_NONE ? "none" : "sync");
}

/* `before` is the text up to the number: {"tail": */
static void append_number(const char *before, uint64_t value, struct rd_buffer *out)
{
    rd_buffer_append_string(out, before);
    rd_text_u64_encode(value, out);
}

static void append_hash(const char *before, uint64_t hash, unsigned digit_count, struct rd_buffer *out)
{
    rd_buffer_append_string(out, before);
    rd_text_hex_u64_encode(hash, digit_count, out);
}

static void append_state(const struct rd_response_store *store, struct rd_buffer *out)
{
    static const char *const names[] = {
        [RD_MESSAGE_STORE_OPEN] = "open",
        [RD_MESSAGE_STORE_READ_ONLY] = "read_only",
        [RD_MESSAGE_STORE_FAILED] = "failed",
    };
    LITERAL(out, ",\"state\":\"");
    rd_buffer_append_string(out, names[store->state]);
    LITERAL(out, "\"");
    if (store->state != RD_MESSAGE_STORE_OPEN) {
        LITERAL(out, ",\"reason\":");
        rd_json_append_string(store->reason, out);
    }
}

/* ---- encoding: bodies -------------------------------------------------------------------------------------- */

void rd_json_encode_written(const struct rd_response *response, struct rd_buffer *out)
{
    append_number("{\"offset\":", response->offset, out);
    append_number(",\"tail\":", response->tail, out);
    LITERAL(out, "}\n");
}

void rd_json_encode_deleted(const struct rd_response *response, struct rd_buffer *out)
{
    rd_buffer_append_string(out, response->found ? "{\"deleted\":true" : "{\"deleted\":false");
    append_number(",\"tail\":", response->tail, out);
    LITERAL(out, "}\n");
}

void rd_json_encode_batch_written(const struct rd_response *response, struct rd_buffer *out)
{
    append_number("{\"written\":", response->count, out);
    append_number(",\"tail\":", response->tail, out);
    LITERAL(out, "}\n");
}

void rd_json_encode_batch_deleted(const struct rd_response *response, struct rd_buffer *out)
{
    append_number("{\"deleted\":", response->count, out);
    append_number(",\"tail\":", response->tail, out);
    LITERAL(out, "}\n");
}

void rd_json_encode_batch_values(const struct rd_response *response, struct rd_buffer *out)
{
    LITERAL(out, "{\"values\":[");
    for (size_t i = 0; i < response->item_count && !out->failed; i++) {
        const struct rd_response_item *item = &response->items[i];
        if (i != 0)
            LITERAL(out, ",");
        if (item->status == RD_KEY_NOT_FOUND) {
            LITERAL(out, "{\"found\":false}");
        } else if (item->status != RD_OK) {
            LITERAL(out, "{\"found\":true,\"error\":\"");
            rd_buffer_append_string(out, rd_status_name(item->status));
            LITERAL(out, "\"}");
        } else {
            LITERAL(out, "{\"found\":true,\"value_base64\":\"");
            rd_text_base64_encode(item->value, out);
            append_number("\",\"offset\":", item->offset, out);
            LITERAL(out, "}");
        }
    }
    LITERAL(out, "]}\n");
}

void rd_json_encode_last(const struct rd_response *response, struct rd_buffer *out)
{
    append_hash("{\"key_hash\":\"", response->key_hash, 16, out);
    append_number("\",\"offset\":", response->offset, out);
    append_number(",\"length\":", response->value_len, out);
    append_hash(",\"crc32\":\"", response->crc32, 8, out);
    append_number("\",\"prev_tail\":", response->prev_tail, out);
    LITERAL(out, "}\n");
}

void rd_json_encode_entries(const struct rd_response *response, uint32_t limit, struct rd_buffer *out)
{
    const struct rd_response_item *item = response->items;
    LITERAL(out, "{\"entries\":[");
    for (size_t i = 0; i < response->item_count && !out->failed; i++, item++) {
        append_hash(i == 0 ? "{\"hash\":\"" : ",{\"hash\":\"", item->key_hash, 16, out);
        append_number("\",\"offset\":", item->offset, out);
        append_number(",\"length\":", item->len, out);
        append_hash(",\"crc32\":\"", item->crc32, 8, out);
        LITERAL(out, "\"}");
    }
    bool is_full = response->item_count != 0 && response->item_count >= limit;
    uint64_t next_offset = is_full ? response->items[response->item_count - 1].offset : 0;
    if (next_offset == 0) { /* nothing lies below offset 0, and asking for it would begin anew */
        LITERAL(out, "],\"next\":null}\n");
        return;
    }
    append_number("],\"next\":", next_offset, out);
    LITERAL(out, "}\n");
}

void rd_json_encode_store(const struct rd_response *response, struct rd_buffer *out)
{
    if (response->store_count == 0) {
        LITERAL(out, "{}\n");
        return;
    }
    const struct rd_response_store *store = &response->stores[0];
    LITERAL(out, "{\"name\":");
    rd_json_append_string(store->name, out);
    append_number(",\"entries\":", store->entries, out);
    append_number(",\"tail\":", store->tail, out);
    append_number(",\"file_size\":", store->file_size, out);
    append_number(",\"dead_bytes\":", store->dead_bytes, out);
    LITERAL(out, ",\"durability\":\"");
    rd_json_append_durability(store->durability, store->durability_interval_ms, out);
    LITERAL(out, "\"");
    append_state(store, out);
    LITERAL(out, "}\n");
}

void rd_json_encode_stores(const struct rd_response *response, struct rd_buffer *out)
{
    LITERAL(out, "{\"stores\":[");
    for (size_t i = 0; i < response->store_count && !out->failed; i++) {
        const struct rd_response_store *store = &response->stores[i];
        rd_buffer_append_string(out, i == 0 ? "{\"name\":" : ",{\"name\":");
        rd_json_append_string(store->name, out);
        append_number(",\"entries\":", store->entries, out);
        append_number(",\"file_size\":", store->file_size, out);
        append_state(store, out);
        LITERAL(out, "}");
    }
    LITERAL(out, "]}\n");
}

void rd_json_encode_error(const char *code, struct rd_slice message, struct rd_buffer *out)
{
    LITERAL(out, "{\"error\":{\"code\":\"");
    rd_buffer_append_string(out, code);
    LITERAL(out, "\",\"message\":");
    rd_json_append_string(message, out);
    LITERAL(out, "}}\n");
}
