/* SPDX-License-Identifier: MIT
 *
 * JSON bodies: what is accepted, what is refused and with which words, and strings of any bytes as text. */
#include "protocol/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define TEXT(text) rd_slice(text, sizeof text - 1)

typedef enum rd_status parse_fn(struct rd_slice text, const struct rd_limits *limits, struct rd_request *request);

static const struct rd_limits limits = {
    .body_len_max = 1000, .header_len_max = 1000, .key_len_max = 8, .batch_count_max = 3, .in_flight_max = 1};

/* As the HTTP codec has it: the store's name and the text lie in one body. */
static struct rd_request *request_with(struct rd_slice text, struct rd_slice *ret_text)
{
    struct rd_request *request = rd_request_create(5 + text.len);
    assert_non_null(request);
    memcpy(request->body, "store", 5);
    memcpy(request->body + 5, text.data, text.len);
    request->store = rd_slice(request->body, 5);
    *ret_text = rd_slice(request->body + 5, text.len);
    return request;
}

static struct rd_request *accept(parse_fn *parse, struct rd_slice text, size_t count)
{
    struct rd_slice inside;
    struct rd_request *request = request_with(text, &inside);
    enum rd_status status = parse(inside, &limits, request);
    if (status != RD_OK)
        print_error("%.*s: %s\n", (int)text.len, text.data, request->message);
    assert_int_equal(status, RD_OK);
    assert_int_equal(request->status, RD_OK);
    assert_int_equal(request->item_count, count);
    assert_true(rd_slice_equal(request->store, TEXT("store")));
    return request;
}

static void refuse(parse_fn *parse, struct rd_slice text, enum rd_status expected, const char *message)
{
    struct rd_slice inside;
    struct rd_request *request = request_with(text, &inside);
    assert_int_equal(parse(inside, &limits, request), expected);
    assert_int_equal(request->status, expected);
    assert_string_equal(request->message, message);
    assert_int_equal(request->item_count, 0);
    assert_true(rd_slice_equal(request->store, TEXT("store")));
    rd_request_destroy(request);
}

static void expect_key(const struct rd_request *request, size_t index, struct rd_slice key)
{
    assert_non_null(request->items[index].key.bytes.data);
    assert_true(rd_slice_equal(request->items[index].key.bytes, key));
}

static void test_batch_write(void **state)
{
    (void)state;
    struct rd_request *request = accept(rd_json_parse_batch_write,
                                        TEXT(" {\"allow_null_bytes\":true,\"entries\":[{\"value\":"
                                             "\"\\u0000\\u00fc\\ud83d\\ude00\\\"\",\"key\":\"\"},"
                                             "{\"key_base64\":\"/wA=\",\"value_base64\":\"\"},"
                                             "{\"key_hash\":\"FEDCBA9876543210\",\"value\":\"{[,\"}]} \r\n"),
                                        3);
    assert_true(request->allow_null_bytes);
    expect_key(request, 0, TEXT(""));
    assert_true(rd_slice_equal(request->items[0].value, TEXT("\0\xc3\xbc\xf0\x9f\x98\x80\"")));
    expect_key(request, 1, TEXT("\xff\0"));
    assert_int_equal(request->items[1].value.len, 0);
    assert_null(request->items[2].key.bytes.data);
    assert_true(request->items[2].key.hash == 0xfedcba9876543210);
    assert_true(rd_slice_equal(request->items[2].value, TEXT("{[,")));
    rd_request_destroy(request);
    request = accept(rd_json_parse_batch_write, TEXT("{\"entries\":[]}"), 0);
    assert_false(request->allow_null_bytes);
    rd_request_destroy(request);
}

static void test_batch_keys(void **state)
{
    (void)state;
    struct rd_request *request = accept(
        rd_json_parse_batch_read, TEXT("{\"keys\":[\"a\\u0000\",{\"key\":\"a\"},{\"key_base64\":\"//8=\"}]}"), 3);
    expect_key(request, 0, TEXT("a\0"));
    expect_key(request, 1, TEXT("a"));
    expect_key(request, 2, TEXT("\xff\xff"));
    rd_request_destroy(request);
    request = accept(rd_json_parse_batch_delete,
                     TEXT("{\"keys\":[{\"key_hash\":\"0000000000000000\"},\"12345678\"]}"), 2);
    assert_null(request->items[0].key.bytes.data);
    assert_true(request->items[0].key.hash == 0);
    expect_key(request, 1, TEXT("12345678"));
    rd_request_destroy(request);
}

/* What the text says is put where it was: no second body is made. */
static void test_in_place(void **state)
{
    (void)state;
    struct rd_slice inside;
    struct rd_slice text = TEXT("{\"entries\":[{\"value\":\"\\u0041v\",\"key\":\"a\"}]}");
    struct rd_request *request = request_with(text, &inside);
    uint8_t *body = request->body;
    size_t body_len = request->body_len;
    assert_int_equal(rd_json_parse_batch_write(inside, &limits, request), RD_OK);
    assert_ptr_equal(request->body, body);
    assert_int_equal(request->body_len, body_len);
    assert_ptr_equal(request->items[0].value.data, inside.data);
    assert_true(rd_slice_equal(request->items[0].value, TEXT("Av")));
    expect_key(request, 0, TEXT("a"));
    assert_true(rd_slice_equal(request->store, TEXT("store")));
    rd_request_destroy(request);
}

/* ---- later -------------------------------------------------------------------------------------------------- */

static struct rd_request *defer(enum rd_opcode opcode, struct rd_slice text)
{
    struct rd_slice inside;
    struct rd_request *request = request_with(text, &inside);
    request->opcode = opcode;
    assert_int_equal(rd_json_defer(inside, &limits, request), RD_OK);
    assert_non_null(request->deferred);
    assert_int_equal(request->item_count, 0);
    return request;
}

static void test_deferred(void **state)
{
    (void)state;
    uint64_t bytes = 0;
    struct rd_request *request =
        defer(RD_OPCODE_BATCH_WRITE, TEXT("{\"entries\":[{\"key\":\"a\",\"value\":\"b\\\"c\"}]}"));
    assert_int_equal(rd_json_measure(request, &bytes), RD_OK);
    assert_true(bytes > request->body_len);
    rd_json_parse_deferred(request);
    assert_int_equal(request->status, RD_OK);
    assert_null(request->deferred);
    assert_int_equal(request->item_count, 1);
    assert_true(rd_slice_equal(request->items[0].value, TEXT("b\"c")));
    rd_request_destroy(request);

    request = defer(RD_OPCODE_COPY, TEXT("{\"key\":\"a\",\"target\":\"other\"}"));
    assert_int_equal(rd_json_measure(request, &bytes), RD_OK);
    rd_json_parse_deferred(request);
    assert_int_equal(request->status, RD_OK);
    assert_true(rd_slice_equal(request->target_store, TEXT("other")));
    rd_request_destroy(request);

    rd_request_destroy(defer(RD_OPCODE_RENAME, TEXT("{}"))); /* never parsed */
}

static void test_deferred_refusals(void **state)
{
    (void)state;
    uint64_t bytes = 0;
    struct rd_request *request = defer(RD_OPCODE_BATCH_READ, TEXT("{\"keys\":[[[[]]]]}"));
    assert_int_equal(rd_json_measure(request, &bytes), RD_INVALID_ARGUMENT);
    assert_int_equal(request->status, RD_INVALID_ARGUMENT);
    assert_string_equal(request->message, "the JSON is nested too deeply");
    rd_request_destroy(request);
    request = defer(RD_OPCODE_BATCH_DELETE, TEXT("{\"keys\":[1]}"));
    assert_int_equal(rd_json_measure(request, &bytes), RD_OK);
    rd_json_parse_deferred(request);
    assert_int_equal(request->status, RD_INVALID_ARGUMENT);
    assert_string_equal(request->message, "keys[0]: neither string nor object");
    assert_null(request->deferred);
    rd_request_destroy(request);
}

/* However it is written, what is foretold grows with what parsing makes. */
static void test_measures(void **state)
{
    (void)state;
    uint64_t bytes = 0, strings = 0, objects = 0;
    struct rd_request *request = defer(RD_OPCODE_BATCH_READ, TEXT("{\"keys\":[\"aaaaaaa\"]}"));
    assert_int_equal(rd_json_measure(request, &bytes), RD_OK);
    rd_request_destroy(request);
    request = defer(RD_OPCODE_BATCH_READ, TEXT("{\"keys\":[\"a\",\"\",\"\"]}"));
    assert_int_equal(rd_json_measure(request, &strings), RD_OK);
    rd_request_destroy(request);
    request = defer(RD_OPCODE_BATCH_READ, TEXT("{\"keys\":[{},{},{}]  }"));
    assert_int_equal(rd_json_measure(request, &objects), RD_OK);
    rd_request_destroy(request);
    assert_true(strings >= bytes + 2 * sizeof(struct rd_message_item));
    assert_true(objects >= strings + 3 * 200);
}

/* Without a body of its own, as the CLI has it. */
static void test_text_from_elsewhere(void **state)
{
    (void)state;
    struct rd_request *request = rd_request_create(0);
    assert_non_null(request);
    assert_int_equal(rd_json_parse_batch_read(TEXT("{\"keys\":[\"k\"]}"), &limits, request), RD_OK);
    assert_int_equal(request->store.len, 0);
    expect_key(request, 0, TEXT("k"));
    rd_request_destroy(request);
}

#define ENTRIES(items) TEXT("{\"entries\":[" items "]}")
#define KEYS(items)    TEXT("{\"keys\":[" items "]}")
#define GOOD_ENTRY     "{\"key\":\"a\",\"value\":\"b\"},"

static void test_refused_entries(void **state)
{
    (void)state;
    const struct {
        struct rd_slice text;
        enum rd_status status;
        const char *message;
    } cases[] = {
        {TEXT("[]"), RD_INVALID_ARGUMENT, "the body must be a JSON object"},
        {TEXT("{}"), RD_INVALID_ARGUMENT, "entries must be given, as an array"},
        {TEXT("{\"entries\":{}}"), RD_INVALID_ARGUMENT, "entries must be given, as an array"},
        {TEXT("{\"entries\":[],\"x\":1}"), RD_INVALID_ARGUMENT, "unknown field: x"},
        {TEXT("{\"keys\":[]}"), RD_INVALID_ARGUMENT, "unknown field: keys"},
        {TEXT("{\"entries\":[],\"allow_null_bytes\":1}"), RD_INVALID_ARGUMENT,
         "allow_null_bytes must be true or false"},
        {ENTRIES("\"a\""), RD_INVALID_ARGUMENT, "entries[0]: not an object"},
        {ENTRIES(GOOD_ENTRY "null"), RD_INVALID_ARGUMENT, "entries[1]: not an object"},
        {ENTRIES("{\"value\":\"b\"}"), RD_INVALID_ARGUMENT, "entries[0]: needs one of key, key_base64, key_hash"},
        {ENTRIES(GOOD_ENTRY "{\"key\":\"a\"}"), RD_INVALID_ARGUMENT,
         "entries[1]: needs one of value, value_base64"},
        {ENTRIES("{\"key\":\"a\",\"key_base64\":\"YQ==\",\"value\":\"b\"}"), RD_INVALID_ARGUMENT,
         "entries[0]: needs one of key, key_base64, key_hash"},
        {ENTRIES("{\"key\":\"a\",\"value\":\"b\",\"value_base64\":\"YQ==\"}"), RD_INVALID_ARGUMENT,
         "entries[0]: needs one of value, value_base64"},
        {ENTRIES("{\"key\":1,\"value\":\"b\"}"), RD_INVALID_ARGUMENT, "entries[0]: not a string: key"},
        {ENTRIES("{\"key\":\"a\",\"value\":1}"), RD_INVALID_ARGUMENT, "entries[0]: not a string: value"},
        {ENTRIES("{\"key\":\"a\",\"value_base64\":null}"), RD_INVALID_ARGUMENT,
         "entries[0]: not a string: value_base64"},
        {ENTRIES("{\"key\":\"a\",\"value_base64\":\"YQ\"}"), RD_INVALID_ARGUMENT,
         "entries[0]: not padded base64: value_base64"},
        {ENTRIES("{\"key_base64\":\"Y Q=\",\"value\":\"b\"}"), RD_INVALID_ARGUMENT,
         "entries[0]: not padded base64: key_base64"},
        {ENTRIES("{\"key_hash\":\"123\",\"value\":\"b\"}"), RD_INVALID_ARGUMENT,
         "entries[0]: not 16 hex digits: key_hash"},
        {ENTRIES("{\"key_hash\":1,\"value\":\"b\"}"), RD_INVALID_ARGUMENT,
         "entries[0]: not 16 hex digits: key_hash"},
        {ENTRIES("{\"key\":\"a\",\"value\":\"b\",\"ttl\":1}"), RD_INVALID_ARGUMENT,
         "entries[0]: unknown field: ttl"},
        {ENTRIES("{\"key\":\"123456789\",\"value\":\"b\"}"), RD_TOO_LARGE,
         "entries[0]: the key is longer than 8 bytes"},
        {ENTRIES(GOOD_ENTRY GOOD_ENTRY GOOD_ENTRY "1"), RD_TOO_LARGE, "more than 3 entries"},
        {ENTRIES("1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1"), RD_TOO_LARGE,
         "more than 3 entries"},
        {ENTRIES("{\"key\":[\"a\"],\"value\":\"b\"}"), RD_INVALID_ARGUMENT, "the JSON is nested too deeply"},
        {TEXT(""), RD_INVALID_ARGUMENT, "the body is empty, JSON is needed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        refuse(rd_json_parse_batch_write, cases[i].text, cases[i].status, cases[i].message);
}

static void test_refused_keys(void **state)
{
    (void)state;
    refuse(rd_json_parse_batch_read, KEYS("\"a\",1"), RD_INVALID_ARGUMENT, "keys[1]: neither string nor object");
    refuse(rd_json_parse_batch_read, KEYS("{}"), RD_INVALID_ARGUMENT,
           "keys[0]: needs one of key, key_base64, key_hash");
    refuse(rd_json_parse_batch_read, KEYS("{\"key\":\"a\",\"value\":\"b\"}"), RD_INVALID_ARGUMENT,
           "keys[0]: unknown field: value");
    refuse(rd_json_parse_batch_delete, KEYS("\"a\",\"a\",\"a\",\"a\""), RD_TOO_LARGE, "more than 3 keys");
    refuse(rd_json_parse_batch_delete, KEYS("\"123456789\""), RD_TOO_LARGE,
           "keys[0]: the key is longer than 8 bytes");
    refuse(rd_json_parse_batch_delete, TEXT("{\"keys\":[],\"allow_null_bytes\":true}"), RD_INVALID_ARGUMENT,
           "unknown field: allow_null_bytes");
}

static void test_moves(void **state)
{
    (void)state;
    struct rd_request *request =
        accept(rd_json_parse_rename, TEXT("{\"to_base64\":\"/wA=\",\"from\":\"a\\u0000\"}"), 0);
    assert_true(rd_slice_equal(request->key.bytes, TEXT("a\0")));
    assert_true(rd_slice_equal(request->target_key.bytes, TEXT("\xff\0")));
    rd_request_destroy(request);
    request = accept(rd_json_parse_rename, TEXT("{\"from_hash\":\"FEDCBA9876543210\",\"to\":\"\"}"), 0);
    assert_null(request->key.bytes.data);
    assert_true(request->key.hash == 0xfedcba9876543210);
    assert_non_null(request->target_key.bytes.data);
    assert_int_equal(request->target_key.bytes.len, 0);
    rd_request_destroy(request);
    request = accept(rd_json_parse_copy, TEXT("{\"target\":\"other\",\"key_base64\":\"\"}"), 0);
    assert_non_null(request->key.bytes.data);
    assert_true(rd_slice_equal(request->target_store, TEXT("other")));
    rd_request_destroy(request);
}

static void test_refused_moves(void **state)
{
    (void)state;
    const struct {
        parse_fn *parse;
        struct rd_slice text;
        enum rd_status status;
        const char *message;
    } cases[] = {
        {rd_json_parse_rename, TEXT("[]"), RD_INVALID_ARGUMENT, "the body must be a JSON object"},
        {rd_json_parse_rename, TEXT("{}"), RD_INVALID_ARGUMENT, "needs one of from, from_base64, from_hash"},
        {rd_json_parse_rename, TEXT("{\"from\":\"a\"}"), RD_INVALID_ARGUMENT,
         "needs one of to, to_base64, to_hash"},
        {rd_json_parse_rename, TEXT("{\"from\":\"a\",\"to\":\"b\",\"to_hash\":\"0123456789abcdef\"}"),
         RD_INVALID_ARGUMENT, "needs one of to, to_base64, to_hash"},
        {rd_json_parse_rename, TEXT("{\"from\":\"a\",\"to\":1}"), RD_INVALID_ARGUMENT, "not a string: to"},
        {rd_json_parse_rename, TEXT("{\"from_base64\":\"a\",\"to\":\"b\"}"), RD_INVALID_ARGUMENT,
         "not padded base64: from_base64"},
        {rd_json_parse_rename, TEXT("{\"from\":\"a\",\"to_hash\":\"1\"}"), RD_INVALID_ARGUMENT,
         "not 16 hex digits: to_hash"},
        {rd_json_parse_rename, TEXT("{\"from\":\"123456789\",\"to\":\"b\"}"), RD_TOO_LARGE,
         "the key is longer than 8 bytes"},
        {rd_json_parse_rename, TEXT("{\"from\":\"a\",\"to\":\"b\",\"target\":\"c\"}"), RD_INVALID_ARGUMENT,
         "unknown field: target"},
        {rd_json_parse_rename, TEXT("{\"fromage\":\"a\",\"to\":\"b\"}"), RD_INVALID_ARGUMENT,
         "unknown field: fromage"},
        {rd_json_parse_rename, TEXT(""), RD_INVALID_ARGUMENT, "the body is empty, JSON is needed"},
        {rd_json_parse_rename, TEXT("[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]"), RD_INVALID_ARGUMENT,
         "the JSON has too many fields"},
        {rd_json_parse_copy, TEXT("{\"key\":\"a\"}"), RD_INVALID_ARGUMENT,
         "target must be given: the store to write to"},
        {rd_json_parse_copy, TEXT("{\"key\":\"a\",\"target\":\"\"}"), RD_INVALID_ARGUMENT,
         "target must be given: the store to write to"},
        {rd_json_parse_copy, TEXT("{\"key\":\"a\",\"target\":null}"), RD_INVALID_ARGUMENT, "not a string: target"},
        {rd_json_parse_copy, TEXT("{\"target\":\"b\"}"), RD_INVALID_ARGUMENT,
         "needs one of key, key_base64, key_hash"},
        {rd_json_parse_copy, TEXT("{\"key\":\"a\",\"target\":\"b\",\"to\":\"c\"}"), RD_INVALID_ARGUMENT,
         "unknown field: to"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        refuse(cases[i].parse, cases[i].text, cases[i].status, cases[i].message);
}

/* What jansson refuses; its words are its own, the place and the status are ours. */
static void test_refused_text(void **state)
{
    (void)state;
    const struct rd_slice cases[] = {
        TEXT("{"),
        TEXT("{\"keys\":[\"a\"]"),
        TEXT("{\"keys\":[\"a\",]}"),
        TEXT("{\"keys\":[]} x"),
        TEXT("{\"keys\":[]}{}"),
        TEXT("{\"keys\":[],\"keys\":[]}"),
        KEYS("{\"key\":\"a\",\"key\":\"b\"}"),
        KEYS("\"\xff\""),
        KEYS("\"\\ud800\""),
        KEYS("\"\\x\""),
        KEYS("'a'"),
        KEYS("\"a\nb\""),
        KEYS("NaN"),
        KEYS("01"),
        TEXT("\0{\"keys\":[]}"),
        TEXT("{\"keys\":[]}\0"),
        TEXT("]]]]}}}}"),
        TEXT("\""),
        TEXT("\"\\"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rd_slice inside;
        struct rd_request *request = request_with(cases[i], &inside);
        if (rd_json_parse_batch_read(inside, &limits, request) != RD_INVALID_ARGUMENT)
            fail_msg("accepted: %.*s", (int)cases[i].len, cases[i].data);
        assert_memory_equal(request->message, "JSON, line ", 11);
        rd_request_destroy(request);
    }
}

/* A tree of these would take a thousand times the text's memory. */
static void test_deep_and_wide_text_is_refused_early(void **state)
{
    (void)state;
    static char text[200000];
    memset(text, '[', sizeof text);
    refuse(rd_json_parse_batch_read, rd_slice(text, sizeof text), RD_INVALID_ARGUMENT,
           "the JSON is nested too deeply");
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = "[],"[i % 3];
    refuse(rd_json_parse_batch_read, rd_slice(text, sizeof text), RD_TOO_LARGE, "more than 3 keys");
}

static void expect_encoded(struct rd_slice text, const char *expected)
{
    struct rd_buffer out;
    rd_buffer_init(&out, 0);
    rd_json_append_string(text, &out);
    rd_buffer_append_u8(&out, 0);
    assert_false(out.failed);
    assert_string_equal((char *)out.data, expected);
    rd_buffer_deinit(&out);
}

#define FFFD "\xef\xbf\xbd"

static void test_strings(void **state)
{
    (void)state;
    expect_encoded(TEXT(""), "\"\"");
    expect_encoded(TEXT("plain / text \x7f"), "\"plain / text \x7f\"");
    expect_encoded(TEXT("\"\\\b\f\n\r\t"), "\"\\\"\\\\\\b\\f\\n\\r\\t\"");
    expect_encoded(TEXT("\0\x01\x1f"), "\"\\u0000\\u0001\\u001f\"");
    expect_encoded(TEXT("\xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf"),
                   "\"\xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf\"");
    expect_encoded(TEXT("a\x80z"), "\"a" FFFD "z\"");
    expect_encoded(TEXT("\xc3"), "\"" FFFD "\"");
    expect_encoded(TEXT("\xc3\""), "\"" FFFD "\\\"\"");
    expect_encoded(TEXT("\xc0\xaf"), "\"" FFFD FFFD "\"");                   /* overlong */
    expect_encoded(TEXT("\xe0\x80\xaf"), "\"" FFFD FFFD FFFD "\"");          /* overlong */
    expect_encoded(TEXT("\xed\xa0\x80"), "\"" FFFD FFFD FFFD "\"");          /* a surrogate */
    expect_encoded(TEXT("\xf4\x90\x80\x80"), "\"" FFFD FFFD FFFD FFFD "\""); /* beyond U+10FFFF */
    expect_encoded(TEXT("\xff\xfe"), "\"" FFFD FFFD "\"");
}

static void test_numbers(void **state)
{
    (void)state;
    struct rd_buffer out;
    struct rd_response response = {.offset = UINT64_MAX, .tail = 10};
    rd_buffer_init(&out, 0);
    rd_json_encode_written(&response, &out);
    rd_json_append_durability(RD_MESSAGE_DURABILITY_INTERVAL, UINT32_MAX, &out);
    rd_buffer_append_u8(&out, 0);
    assert_string_equal((char *)out.data, "{\"offset\":18446744073709551615,\"tail\":10}\ninterval:4294967295");
    rd_buffer_deinit(&out);
}

/* The text is cut at every byte: nothing is read beyond its end, and nothing but the whole is accepted. */
static void test_cut_text(void **state)
{
    (void)state;
    static const char text[] =
        "{\"entries\":[{\"key\":\"a\\u0041\",\"value_base64\":\"YWI=\"}],\"allow_null_bytes\":false}";
    for (size_t len = 0; len < sizeof text - 1; len++) {
        struct rd_slice inside;
        struct rd_request *request = request_with(rd_slice(text, len), &inside);
        assert_int_equal(rd_json_parse_batch_write(inside, &limits, request), RD_INVALID_ARGUMENT);
        rd_request_destroy(request);
    }
    rd_request_destroy(accept(rd_json_parse_batch_write, rd_slice(text, sizeof text - 1), 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batch_write),
        cmocka_unit_test(test_batch_keys),
        cmocka_unit_test(test_in_place),
        cmocka_unit_test(test_deferred),
        cmocka_unit_test(test_deferred_refusals),
        cmocka_unit_test(test_measures),
        cmocka_unit_test(test_text_from_elsewhere),
        cmocka_unit_test(test_refused_entries),
        cmocka_unit_test(test_refused_keys),
        cmocka_unit_test(test_moves),
        cmocka_unit_test(test_refused_moves),
        cmocka_unit_test(test_refused_text),
        cmocka_unit_test(test_deep_and_wide_text_is_refused_early),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_cut_text),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
