/* SPDX-License-Identifier: MIT
 *
 * JSON: bodies to requests, and responses to text.
 *
 *   input   | choice u8 | text |
 *
 * choice: which parser by its low bits, 0x80: low limits.
 *
 *  1. A body that is accepted is JSON; its request's slices lie in the request's body, its counts are within the
 *     limits, and the store that it was for is still named. Written as JSON again, in base64, it parses to the
 * same.
 *  2. One that is refused has a status and says why.
 *  3. What the encoders make of any bytes is one line of JSON, and a string in it reads back as those bytes where
 *     they are UTF-8. */
#include "protocol/json.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/text.h"
#include "tests/fuzz/answer.h"
#include "tests/fuzz/dump.h"
#include "tests/fuzz/feed.h"
#include "tests/fuzz/fuzz.h"

enum { CHOICE_LOW_LIMITS = 0x80 };

/* Integers go up to 2^64 - 1 here, and jansson's do not. */
#define FUZZ_JSON_STRICT (JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL)

static const struct parser {
    enum rd_opcode opcode;
    enum rd_status (*parse)(struct rd_slice text, const struct rd_limits *limits, struct rd_request *request);
} parsers[] = {
    {RD_OPCODE_BATCH_WRITE, rd_json_parse_batch_write},
    {RD_OPCODE_BATCH_READ, rd_json_parse_batch_read},
    {RD_OPCODE_BATCH_DELETE, rd_json_parse_batch_delete},
    {RD_OPCODE_RENAME, rd_json_parse_rename},
    {RD_OPCODE_COPY, rd_json_parse_copy},
};

static void (*const encoders[])(const struct rd_response *response, struct rd_buffer *out) = {
    rd_json_encode_written,      rd_json_encode_copied,        rd_json_encode_transferred,
    rd_json_encode_deleted,      rd_json_encode_batch_written, rd_json_encode_batch_deleted,
    rd_json_encode_batch_values, rd_json_encode_last,          rd_json_encode_store,
    rd_json_encode_stores,       rd_json_encode_entries,       rd_json_encode_verification,
    rd_json_encode_entries,
};

/* ---- bodies ------------------------------------------------------------------------------------------------ */

/* As the HTTP codec has it: the store's name and the text lie in one body. */
static struct rd_request *request_with(const struct parser *parser, struct rd_slice text)
{
    struct rd_request *request = rd_request_create(5 + text.len);
    FUZZ_CHECK(request != NULL);
    request->opcode = parser->opcode;
    memcpy(request->body, "store", 5);
    if (text.len != 0)
        memcpy(request->body + 5, text.data, text.len);
    request->store = rd_slice(request->body, 5);
    return request;
}

static enum rd_status parse(const struct parser *parser, struct rd_slice text, const struct rd_limits *limits,
                            struct rd_request **ret_request)
{
    struct rd_request *request = request_with(parser, text);
    enum rd_status status = parser->parse(rd_slice(request->body + 5, text.len), limits, request);
    FUZZ_CHECK(request->status == status && request->opcode == parser->opcode);
    FUZZ_CHECK(rd_slice_equal(request->store, rd_slice_of_string("store")));
    *ret_request = request;
    return status;
}

static void append_base64(const char *before, struct rd_slice bytes, struct rd_buffer *out)
{
    rd_buffer_append_string(out, before);
    rd_text_base64_encode(bytes, out);
    rd_buffer_append_string(out, "\"");
}

static void append_key(const char *name, const struct rd_message_key *key, struct rd_buffer *out)
{
    rd_buffer_printf(out, "\"%s_%s\":\"", name, key->bytes.data != NULL ? "base64" : "hash");
    if (key->bytes.data == NULL)
        rd_text_hex_u64_encode(key->hash, 16, out);
    else
        rd_text_base64_encode(key->bytes, out);
    rd_buffer_append_string(out, "\"");
}

static void write_again(const struct rd_request *request, struct rd_buffer *out)
{
    bool write = request->opcode == RD_OPCODE_BATCH_WRITE;
    rd_buffer_append_string(out, "{");
    if (request->opcode == RD_OPCODE_RENAME) {
        append_key("from", &request->key, out);
        rd_buffer_append_string(out, ",");
        append_key("to", &request->target_key, out);
    } else if (request->opcode == RD_OPCODE_COPY) {
        append_key("key", &request->key, out);
        rd_buffer_append_string(out, ",\"target\":");
        rd_json_append_string(request->target_store, out);
    } else {
        if (write)
            rd_buffer_printf(out, "\"allow_null_bytes\":%s,", request->allow_null_bytes ? "true" : "false");
        rd_buffer_append_string(out, write ? "\"entries\":[" : "\"keys\":[");
        for (size_t i = 0; i < request->item_count; i++) {
            rd_buffer_append_string(out, i == 0 ? "{" : ",{");
            append_key("key", &request->items[i].key, out);
            if (write)
                append_base64(",\"value_base64\":\"", request->items[i].value, out);
            rd_buffer_append_string(out, "}");
        }
        rd_buffer_append_string(out, "]");
    }
    rd_buffer_append_string(out, "}");
}

static void check_key(const struct rd_message_key *key, struct rd_slice body, const struct rd_limits *limits)
{
    FUZZ_CHECK(fuzz_is_inside(key->bytes, body) && key->bytes.len <= limits->key_len_max);
}

static void check_accepted(const struct parser *parser, const struct rd_request *request,
                           const struct rd_limits *limits)
{
    struct rd_slice body = rd_slice(request->body, request->body_len);
    struct rd_request *again;
    struct rd_buffer text;
    struct rd_buffer dump;
    struct rd_buffer dump_again;
    FUZZ_CHECK(fuzz_is_inside(request->store, body) && fuzz_is_inside(request->target_store, body));
    FUZZ_CHECK(request->item_count <= limits->batch_count_max);
    check_key(&request->key, body, limits);
    check_key(&request->target_key, body, limits);
    for (size_t i = 0; i < request->item_count; i++) {
        check_key(&request->items[i].key, body, limits);
        FUZZ_CHECK(fuzz_is_inside(request->items[i].value, body));
    }
    rd_buffer_init(&text, 0);
    rd_buffer_init(&dump, 0);
    rd_buffer_init(&dump_again, 0);
    write_again(request, &text);
    FUZZ_CHECK(parse(parser, rd_buffer_slice(&text), limits, &again) == RD_OK);
    fuzz_dump_request(request, &dump);
    fuzz_dump_request(again, &dump_again);
    fuzz_check_same("a body is another one once written", &dump, &dump_again);
    rd_request_destroy(again);
    rd_buffer_deinit(&dump_again);
    rd_buffer_deinit(&dump);
    rd_buffer_deinit(&text);
}

static void run_parser(const struct parser *parser, struct rd_slice text, const struct rd_limits *limits)
{
    struct rd_request *request;
    json_error_t error;
    json_t *root = json_loadb(text.len == 0 ? "" : (const char *)text.data, text.len,
                              JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    enum rd_status status = parse(parser, text, limits, &request);
    if (status == RD_OK) {
        FUZZ_CHECK(json_is_object(root) && request->message == NULL);
        check_accepted(parser, request, limits);
    } else {
        FUZZ_CHECK(status == RD_INVALID_ARGUMENT || status == RD_TOO_LARGE);
        FUZZ_CHECK(request->message != NULL && request->message[0] != '\0');
        FUZZ_CHECK(request->items == NULL && request->item_count == 0);
    }
    json_decref(root);
    rd_request_destroy(request);
}

/* ---- text -------------------------------------------------------------------------------------------------- */

static void check_line(struct rd_buffer *out)
{
    json_error_t error;
    FUZZ_CHECK(!out->failed && out->len != 0 && out->data[out->len - 1] == '\n');
    FUZZ_CHECK(memchr(out->data, '\n', out->len - 1) == NULL);
    json_t *root = json_loadb((const char *)out->data, out->len, FUZZ_JSON_STRICT, &error);
    FUZZ_CHECK(json_is_object(root));
    json_decref(root);
    rd_buffer_clear(out);
}

static void check_string(struct rd_slice text, struct rd_buffer *out)
{
    json_error_t error;
    rd_json_append_string(text, out);
    json_t *string = json_loadb((const char *)out->data, out->len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    FUZZ_CHECK(json_is_string(string));
    if (fuzz_is_utf8(text)) {
        struct rd_slice read = rd_slice(json_string_value(string), json_string_length(string));
        FUZZ_CHECK(rd_slice_equal(read, text));
    }
    json_decref(string);
    rd_buffer_clear(out);
}

static void run_encoders(struct rd_slice text, struct rd_buffer *out)
{
    struct rd_request request = {.opcode = RD_OPCODE_BATCH_READ, .item_count = FUZZ_ANSWER_ITEMS_MAX};
    struct rd_request stores = {.opcode = RD_OPCODE_INFO};
    struct rd_request verify = {.opcode = RD_OPCODE_VERIFY};
    struct fuzz_answer answer;
    struct fuzz_answer about;
    struct fuzz_answer found;
    fuzz_answer_make(&request, fuzz_seed_of(text), false, &answer);
    fuzz_answer_make(&stores, fuzz_seed_of(text), false, &about);
    fuzz_answer_make(&verify, fuzz_seed_of(text), false, &found);
    answer.response.verification = found.response.verification;
    answer.response.stores = about.response.stores;
    answer.response.store_count = about.response.store_count;
    about.stores[0].name = text;
    about.stores[0].reason = text;
    answer.items[0].value = text;
    for (size_t i = 0; i < sizeof encoders / sizeof encoders[0]; i++) {
        encoders[i](&answer.response, out);
        check_line(out);
    }
    rd_json_encode_error("code", text, out);
    check_line(out);
    check_string(text, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct rd_slice input = rd_slice(data, len);
    uint8_t choice = fuzz_take_u8(&input);
    struct rd_limits limits = fuzz_limits((choice & CHOICE_LOW_LIMITS) != 0);
    struct rd_buffer out;
    rd_buffer_init(&out, 0);
    run_parser(&parsers[(choice & 0x7f) % (sizeof parsers / sizeof parsers[0])], input, &limits);
    run_encoders(input, &out);
    rd_buffer_deinit(&out);
    return 0;
}
