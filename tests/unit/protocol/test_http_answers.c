/* SPDX-License-Identifier: MIT
 *
 * The HTTP codec's answers, byte for byte, and into buffers of every size that is too small. */
#include "protocol/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void expect_answer(const struct rd_request *request, const struct rd_response *response, size_t value_len,
                          const char *expected)
{
    struct rd_buffer out;
    rd_buffer_init(&out, 0);
    rd_buffer_append_string(&out, "earlier"); /* what is there stays */
    assert_int_equal(rd_http_codec.encode(request, response, &out), value_len);
    assert_false(out.failed);
    size_t len = out.len;
    rd_buffer_append_u8(&out, 0);
    assert_memory_equal(out.data, "earlier", 7);
    assert_string_equal((char *)out.data + 7, expected);
    for (size_t len_max = 0; len_max < len; len_max++) {
        struct rd_buffer small;
        rd_buffer_init(&small, len_max + 1);
        rd_http_codec.encode(request, response, &small);
        assert_true(small.len <= len_max + 1);
        if (len_max + 1 < len - 7)
            assert_true(small.failed);
        rd_buffer_deinit(&small);
    }
    rd_buffer_deinit(&out);
}

/* The head is what stands in front of Content-Length, which comes last. */
static void expect_json(const struct rd_request *request, const struct rd_response *response, const char *head,
                        const char *body)
{
    char expected[1024];
    snprintf(expected, sizeof expected, "%sContent-Length: %zu\r\n\r\n%s", head, strlen(body), body);
    expect_answer(request, response, 0, expected);
}

#define OK_JSON "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
#define VERSION                                                                                                   \
    "ETag: \"1f40-00abcdef\"\r\nRdrive-Offset: 8000\r\nRdrive-Crc32: 00abcdef\r\n"                                \
    "Rdrive-Key-Hash: 0000beef00000001\r\n"
#define VALUE_HEAD                                                                                                \
    "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nX-Content-Type-Options: nosniff\r\n"            \
    "Accept-Ranges: bytes\r\n" VERSION

static const struct rd_response base_response = {
    .offset = 8000,
    .tail = 9000,
    .prev_tail = 7990,
    .key_hash = 0x0000beef00000001,
    .crc32 = 0xabcdef,
    .value_len = 5,
    .count = 2,
    .found = true,
    .durability = RD_MESSAGE_DURABILITY_SYNC,
};

static void test_answers_to_values(void **state)
{
    (void)state;
    struct rd_request request = {.opcode = RD_OPCODE_READ};
    struct rd_response response = base_response;
    response.value = rd_slice("hello", 5);
    expect_answer(&request, &response, 5, VALUE_HEAD "Content-Length: 5\r\n\r\n");
    request.opcode = RD_OPCODE_METADATA;
    request.head_only = true;
    response.value = rd_slice(NULL, 0);
    expect_answer(&request, &response, 0, VALUE_HEAD "Content-Length: 5\r\n\r\n");
    response.offset = 0;
    response.crc32 = 0xffffffff;
    response.value_len = UINT64_MAX;
    response.key_hash = UINT64_MAX;
    expect_answer(
        &request, &response, 0,
        "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nX-Content-Type-Options: nosniff\r\n"
        "Accept-Ranges: bytes\r\nETag: \"0-ffffffff\"\r\nRdrive-Offset: 0\r\nRdrive-Crc32: ffffffff\r\n"
        "Rdrive-Key-Hash: ffffffffffffffff\r\nContent-Length: 18446744073709551615\r\n\r\n");
}

static void test_answers_to_ranges(void **state)
{
    (void)state;
    struct rd_request request = {.opcode = RD_OPCODE_READ};
    struct rd_response response = base_response;
    response.value_len = 13;
    response.partial = true;
    response.range_first = 7;
    response.value = rd_slice("store!", 6);
    expect_answer(&request, &response, 6,
                  "HTTP/1.1 206 Partial Content\r\nContent-Type: application/octet-stream\r\n"
                  "X-Content-Type-Options: nosniff\r\nAccept-Ranges: bytes\r\n" VERSION
                  "Content-Range: bytes 7-12/13\r\nContent-Length: 6\r\n\r\n");
    response = (struct rd_response){.status = RD_RANGE_NOT_SATISFIABLE, .value_len = 13, .message = "m"};
    expect_json(&request, &response,
                "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Type: application/json\r\n"
                "Content-Range: bytes */13\r\n",
                "{\"error\":{\"code\":\"range_not_satisfiable\",\"message\":\"m\"}}\n");
}

#define NOT_MODIFIED "HTTP/1.1 304 Not Modified\r\n" VERSION "\r\n"

static void test_answers_that_nothing_changed(void **state)
{
    (void)state;
    struct rd_request request = {.opcode = RD_OPCODE_READ};
    struct rd_response response = base_response;
    response.not_modified = true;
    expect_answer(&request, &response, 0, NOT_MODIFIED);
    response.not_modified = false;
    response.value = rd_slice("hello", 5);
    static const char *const lists[] = {"*", "\"1f40-00abcdef\"", "W/\"1f40-00abcdef\"",
                                        "\"a\",\"b,\" ,W/\"c\", \"0-00000000\",,\"1f40-00abcdef\""};
    static const char *const others[] = {"", "\"a\"", "\"1f40-00abcdee\", \"1f41-00abcdef\"", "\"1F40-00ABCDEF\""};
    for (size_t i = 0; i < 4; i++) {
        request.not_versions = rd_slice_of_string(lists[i]);
        expect_answer(&request, &response, 0, NOT_MODIFIED);
        request.not_versions = rd_slice_of_string(others[i]);
        expect_answer(&request, &response, 5, VALUE_HEAD "Content-Length: 5\r\n\r\n");
    }
    /* the tags come before the range, and behind every other error */
    request.not_versions = rd_slice_of_string("*");
    response.status = RD_RANGE_NOT_SATISFIABLE;
    expect_answer(&request, &response, 0, NOT_MODIFIED);
    response = (struct rd_response){.status = RD_KEY_NOT_FOUND};
    expect_json(&request, &response, "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\n",
                "{\"error\":{\"code\":\"key_not_found\",\"message\":\"\"}}\n");
    request.opcode = RD_OPCODE_METADATA;
    response = base_response;
    expect_answer(&request, &response, 0, NOT_MODIFIED);
}

static void test_answers_to_moves(void **state)
{
    (void)state;
    struct rd_request request = {.opcode = RD_OPCODE_RENAME};
    struct rd_response response = base_response;
    response.target_offset = 64;
    response.target_tail = 100;
    response.source_tail = UINT64_MAX;
    expect_json(&request, &response, OK_JSON VERSION "Rdrive-Durability: sync\r\n",
                "{\"offset\":8000,\"tail\":9000}\n");
    request.opcode = RD_OPCODE_COPY;
    expect_json(&request, &response, OK_JSON, "{\"target_offset\":64,\"target_tail\":100}\n");
    request.opcode = RD_OPCODE_TRANSFER;
    expect_json(&request, &response, OK_JSON,
                "{\"target_offset\":64,\"target_tail\":100,\"source_tail\":18446744073709551615}\n");
    response = (struct rd_response){.status = RD_PRECONDITION_FAILED};
    expect_json(&request, &response, "HTTP/1.1 412 Precondition Failed\r\nContent-Type: application/json\r\n",
                "{\"error\":{\"code\":\"precondition_failed\",\"message\":\"\"}}\n");
}

static void test_answers_that_are_text(void **state)
{
    (void)state; /* which follows the head from where it lies */
    struct rd_request request = {.opcode = RD_OPCODE_METRICS};
    struct rd_response response = {.value = rd_slice_of_string("up 1\n")};
    expect_answer(&request, &response, 5,
                  "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
                  "X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nContent-Length: 5\r\n\r\n");
    request.opcode = RD_OPCODE_PAGE;
    expect_answer(&request, &response, 5,
                  "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"
                  "X-Content-Type-Options: nosniff\r\nCache-Control: no-cache\r\n"
                  "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; "
                  "script-src 'unsafe-inline'; connect-src 'self'; img-src data:; base-uri 'none'; "
                  "form-action 'none'; frame-ancestors 'none'\r\nReferrer-Policy: no-referrer\r\n"
                  "Content-Length: 5\r\n\r\n");
    response = (struct rd_response){.status = RD_OVERLOADED, .message = "later"};
    expect_json(&request, &response,
                "HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nRetry-After: 1\r\n",
                "{\"error\":{\"code\":\"overloaded\",\"message\":\"later\"}}\n");
}

static void test_answers_to_streams(void **state)
{
    (void)state;
    struct rd_request request = {.opcode = RD_OPCODE_WRITE_STREAM, .streamed = true, .codec_flags = 4};
    struct rd_response response = base_response;
    expect_json(&request, &response,
                "HTTP/1.1 201 Created\r\nConnection: close\r\nContent-Type: application/json\r\n" VERSION
                "Rdrive-Durability: sync\r\n",
                "{\"offset\":8000,\"tail\":9000}\n");
    request.codec_flags = 0;
    response.replaced = true;
    expect_json(&request, &response, OK_JSON VERSION "Rdrive-Durability: sync\r\n",
                "{\"offset\":8000,\"tail\":9000}\n");
}

static void test_answers_to_writes(void **state)
{
    (void)state;
    struct rd_request request = {.opcode = RD_OPCODE_WRITE};
    struct rd_response response = base_response;
    expect_json(&request, &response,
                "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n" VERSION "Rdrive-Durability: sync\r\n",
                "{\"offset\":8000,\"tail\":9000}\n");
    response.replaced = true;
    response.durability = RD_MESSAGE_DURABILITY_INTERVAL;
    response.durability_interval_ms = 250;
    request.close_after = true;
    expect_json(&request, &response,
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\n" VERSION
                "Rdrive-Durability: interval:250\r\n",
                "{\"offset\":8000,\"tail\":9000}\n");
    request = (struct rd_request){.opcode = RD_OPCODE_DELETE, .codec_flags = 2};
    response.durability = RD_MESSAGE_DURABILITY_NONE;
    expect_json(&request, &response,
                "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Type: application/json\r\n"
                "Rdrive-Durability: none\r\n",
                "{\"deleted\":true,\"tail\":9000}\n");
    request.codec_flags = 0;
    response.found = false;
    expect_json(&request, &response, OK_JSON "Rdrive-Durability: none\r\n", "{\"deleted\":false,\"tail\":9000}\n");
    request.opcode = RD_OPCODE_BATCH_WRITE;
    expect_json(&request, &response, OK_JSON "Rdrive-Durability: none\r\n", "{\"written\":2,\"tail\":9000}\n");
    request.opcode = RD_OPCODE_BATCH_DELETE;
    expect_json(&request, &response, OK_JSON "Rdrive-Durability: none\r\n", "{\"deleted\":2,\"tail\":9000}\n");
}

static void test_answers_to_reads(void **state)
{
    (void)state;
    struct rd_response_item items[] = {
        {.status = RD_OK,
         .key_hash = 1,
         .offset = 64,
         .len = 3,
         .crc32 = 7,
         .value = {(const uint8_t *)"\0\xff"
                                    "a",
                   3}},
        {.status = RD_KEY_NOT_FOUND},
        {.status = RD_CORRUPT, .key_hash = 0xabc, .offset = 0, .len = 1, .crc32 = 0xffffffff},
    };
    struct rd_request request = {.opcode = RD_OPCODE_BATCH_READ};
    struct rd_response response = base_response;
    response.items = items;
    response.item_count = 3;
    expect_json(&request, &response, OK_JSON,
                "{\"values\":[{\"found\":true,\"value_base64\":\"AP9h\",\"offset\":64},"
                "{\"found\":false},{\"found\":true,\"error\":\"corrupt\"}]}\n");
    items[1] = items[2];
    response.item_count = 2;
    request = (struct rd_request){.opcode = RD_OPCODE_ITERATE, .limit = 2};
    const char *entries =
        "{\"entries\":[{\"hash\":\"0000000000000001\",\"offset\":64,\"length\":3,\"crc32\":\"00000007\"},"
        "{\"hash\":\"0000000000000abc\",\"offset\":0,\"length\":1,\"crc32\":\"ffffffff\"}],\"next\":";
    char expected[512];
    snprintf(expected, sizeof expected, "%snull}\n", entries);
    expect_json(&request, &response, OK_JSON, expected);
    items[1].offset = 4096;
    response.more = true;
    expect_json(
        &request, &response, OK_JSON,
        "{\"entries\":[{\"hash\":\"0000000000000001\",\"offset\":64,\"length\":3,\"crc32\":\"00000007\"},"
        "{\"hash\":\"0000000000000abc\",\"offset\":4096,\"length\":1,\"crc32\":\"ffffffff\"}],\"next\":4096}\n");
    response.item_count = 0;
    response.more = false;
    expect_json(&request, &response, OK_JSON, "{\"entries\":[],\"next\":null}\n");
    request.opcode = RD_OPCODE_BATCH_READ;
    expect_json(&request, &response, OK_JSON, "{\"values\":[]}\n");
    request.opcode = RD_OPCODE_LAST;
    expect_json(&request, &response, OK_JSON,
                "{\"key_hash\":\"0000beef00000001\",\"offset\":8000,\"length\":5,"
                "\"crc32\":\"00abcdef\",\"prev_tail\":7990}\n");
}

static void test_answers_about_stores(void **state)
{
    (void)state;
    struct rd_response_store stores[] = {
        {.name = rd_slice_of_string("default"),
         .entries = 1,
         .tail = 2,
         .file_size = 3,
         .dead_bytes = 4,
         .durability = RD_MESSAGE_DURABILITY_INTERVAL,
         .durability_interval_ms = 5,
         .generation = UINT64_C(0x00cdef0123456789),
         .batch_marker = true,
         .quota_bytes = 4096,
         .quota_entries = 7,
         .writes_barred = true,
         .compacting = true},
        {.name = rd_slice_of_string("x"),
         .durability = RD_MESSAGE_DURABILITY_NONE,
         .state = RD_MESSAGE_STORE_FAILED,
         .reason = rd_slice_of_string("\"why\"\n")},
    };
    struct rd_request request = {.opcode = RD_OPCODE_STORES};
    struct rd_response response = base_response;
    response.stores = stores;
    response.store_count = 2;
    expect_json(&request, &response, OK_JSON,
                "{\"stores\":[{\"name\":\"default\",\"entries\":1,\"file_size\":3,"
                "\"state\":\"open\"},{\"name\":\"x\",\"entries\":0,\"file_size\":0,\"state\":\"failed\","
                "\"reason\":\"\\\"why\\\"\\n\"}]}\n");
    response.store_count = 0;
    expect_json(&request, &response, OK_JSON, "{\"stores\":[]}\n");
    response.store_count = 1;
    request.opcode = RD_OPCODE_CREATE;
    expect_json(&request, &response, "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n",
                "{\"name\":\"default\",\"entries\":1,\"tail\":2,\"file_size\":3,\"dead_bytes\":4,"
                "\"durability\":\"interval:5\",\"batch_marker\":true,\"quota_bytes\":4096,\"quota_entries\":7,"
                "\"read_only\":true,\"compacting\":true,\"generation\":\"00cdef0123456789\","
                "\"state\":\"open\"}\n");
    response.stores = stores + 1;
    stores[1].state = RD_MESSAGE_STORE_READ_ONLY;
    request.opcode = RD_OPCODE_INFO;
    expect_json(&request, &response, OK_JSON,
                "{\"name\":\"x\",\"entries\":0,\"tail\":0,\"file_size\":0,"
                "\"dead_bytes\":0,\"durability\":\"none\",\"batch_marker\":false,\"quota_bytes\":0,\"quota_"
                "entries\":0,\"read_only\":false,\"compacting\":false,\"generation\":\"0000000000000000\","
                "\"state\":\"read_only\",\"reason\":\"\\\"why\\\"\\n\"}\n");
    request.opcode = RD_OPCODE_REOPEN;
    expect_json(&request, &response, OK_JSON,
                "{\"name\":\"x\",\"entries\":0,\"tail\":0,\"file_size\":0,"
                "\"dead_bytes\":0,\"durability\":\"none\",\"batch_marker\":false,\"quota_bytes\":0,\"quota_"
                "entries\":0,\"read_only\":false,\"compacting\":false,\"generation\":\"0000000000000000\","
                "\"state\":\"read_only\",\"reason\":\"\\\"why\\\"\\n\"}\n");
    request.opcode = RD_OPCODE_DROP;
    expect_json(&request, &response, OK_JSON, "{\"dropped\":true}\n");
    request.opcode = RD_OPCODE_HEALTH;
    expect_json(&request, &response, OK_JSON, "{\"status\":\"ok\"}\n");
    request.opcode = RD_OPCODE_CONTINUE;
    expect_answer(&request, &response, 0, "HTTP/1.1 100 Continue\r\n\r\n");
}

static void test_answers_to_compact(void **state)
{
    (void)state;
    struct rd_request request = {.opcode = RD_OPCODE_COMPACT};
    struct rd_response response = {
        .compaction = {
            .tail_before = 900, .tail = 500, .entries = 7, .generation = UINT64_C(0xabcdef), .pause_us = 4200}};
    expect_json(&request, &response, OK_JSON,
                "{\"tail_before\":900,\"tail\":500,\"entries\":7,\"reclaimed_bytes\":400,\"pause_us\":4200,"
                "\"generation\":\"0000000000abcdef\"}\n");
}

static void test_answers_to_verify(void **state)
{
    (void)state;
    struct rd_response_problem problems[] = {
        {.kind = RD_MESSAGE_PROBLEM_PAYLOAD, .live = true, .offset = 64, .len = 5, .key_hash = 0xabc},
        {.kind = RD_MESSAGE_PROBLEM_PAD, .offset = 33, .len = 31, .key_hash = 0xabc},
        {.kind = RD_MESSAGE_PROBLEM_BATCH, .offset = 8, .len = 1, .key_hash = UINT64_MAX},
        {.kind = RD_MESSAGE_PROBLEM_CHAIN, .len = 8},
    };
    struct rd_request request = {.opcode = RD_OPCODE_VERIFY};
    struct rd_response response = {.verification = {.from = 900, .next = 128, .entries = 7, .bytes = 772}};
    expect_json(&request, &response, OK_JSON,
                "{\"ok\":true,\"entries\":7,\"bytes\":772,\"from\":900,\"next\":128,\"problem_count\":0,"
                "\"problems\":[]}\n");
    response.verification.problem_count = 1001;
    response.verification.problems = problems;
    response.verification.listed_count = 4;
    expect_json(&request, &response, OK_JSON,
                "{\"ok\":false,\"entries\":7,\"bytes\":772,\"from\":900,\"next\":128,\"problem_count\":1001,"
                "\"problems\":[{\"kind\":\"payload\",\"live\":true,\"offset\":64,\"length\":5,"
                "\"key_hash\":\"0000000000000abc\"},"
                "{\"kind\":\"pad\",\"live\":false,\"offset\":33,\"length\":31,"
                "\"key_hash\":\"0000000000000abc\"},"
                "{\"kind\":\"batch\",\"live\":false,\"offset\":8,\"length\":1,"
                "\"key_hash\":\"ffffffffffffffff\"},"
                "{\"kind\":\"chain\",\"live\":false,\"offset\":0,\"length\":8,"
                "\"key_hash\":\"0000000000000000\"}]}\n");
}

#define BACKUP_HEAD                                                                                               \
    "Content-Type: application/octet-stream\r\nX-Content-Type-Options: nosniff\r\n"                               \
    "Content-Disposition: attachment; filename=\"s.rdr\"\r\nCache-Control: no-store\r\nAccept-Ranges: bytes\r\n"  \
    "ETag: \"0000beef00000001-1f41\"\r\nRdrive-Generation: 0000beef00000001\r\n"

/* As to GET; of what was not made there is no length. */
static void test_answers_to_head(void **state)
{
    (void)state;
    static const char text_head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
                                    "X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n\r\n";
    struct rd_request request = {.opcode = RD_OPCODE_HEALTH, .head_only = true};
    struct rd_response response = {.status = RD_OK};
    expect_answer(&request, &response, 0, OK_JSON "Content-Length: 16\r\n\r\n");
    response.value = rd_slice_of_string("up 1\n");
    request.opcode = RD_OPCODE_METRICS;
    expect_answer(&request, &response, 0,
                  "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
                  "X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nContent-Length: 5\r\n\r\n");
    response = (struct rd_response){.body_unmade = true};
    expect_answer(&request, &response, 0, text_head);
    request.opcode = RD_OPCODE_ITERATE;
    expect_answer(&request, &response, 0, OK_JSON "\r\n");
    request.opcode = RD_OPCODE_STORES;
    expect_answer(&request, &response, 0, OK_JSON "\r\n");
}

static void test_answers_to_backup(void **state)
{
    (void)state;
    struct rd_request request = {.opcode = RD_OPCODE_BACKUP, .store = rd_slice_of_string("s")};
    struct rd_response response = {.generation = UINT64_C(0xbeef00000001),
                                   .tail = 8001,
                                   .range_first = 7996,
                                   .value = rd_slice_of_string("bytes")};
    expect_answer(&request, &response, 5,
                  "HTTP/1.1 200 OK\r\n" BACKUP_HEAD
                  "Rdrive-Offset: 7996\r\nRdrive-Tail: 8001\r\nContent-Length: 5\r\n\r\n");
    response.partial = true;
    response.value_len = 8001;
    expect_answer(&request, &response, 5,
                  "HTTP/1.1 206 Partial Content\r\n" BACKUP_HEAD
                  "Rdrive-Offset: 7996\r\nRdrive-Tail: 8001\r\nContent-Range: bytes 7996-8000/8001\r\n"
                  "Content-Length: 5\r\n\r\n");
    response.partial = false;
    request.head_only = true;
    expect_answer(&request, &response, 0,
                  "HTTP/1.1 200 OK\r\n" BACKUP_HEAD
                  "Rdrive-Offset: 7996\r\nRdrive-Tail: 8001\r\nContent-Length: 5\r\n\r\n");
    request.head_only = false;
    response = (struct rd_response){
        .status = RD_PRECONDITION_FAILED, .message = "another", .generation = UINT64_C(0xbeef00000001)};
    expect_json(&request, &response,
                "HTTP/1.1 412 Precondition Failed\r\nContent-Type: application/json\r\n"
                "Rdrive-Generation: 0000beef00000001\r\n",
                "{\"error\":{\"code\":\"precondition_failed\",\"message\":\"another\"}}\n");
}

static void test_answers_of_errors(void **state)
{
    (void)state;
    static const char *const expected[RD_STATUS_COUNT] = {
        [RD_INVALID_ARGUMENT] = "400",
        [RD_UNAUTHORIZED] = "401",
        [RD_FORBIDDEN] = "403",
        [RD_KEY_NOT_FOUND] = "404",
        [RD_STORE_NOT_FOUND] = "404",
        [RD_METHOD_NOT_ALLOWED] = "405",
        [RD_TIMEOUT] = "408",
        [RD_CONFLICT] = "409",
        [RD_KEY_COLLISION] = "409",
        [RD_PRECONDITION_FAILED] = "412",
        [RD_TOO_LARGE] = "413",
        [RD_UNSUPPORTED_MEDIA_TYPE] = "415",
        [RD_RANGE_NOT_SATISFIABLE] = "416",
        [RD_OVERLOADED] = "429",
        [RD_HEADER_TOO_LARGE] = "431",
        [RD_IO_ERROR] = "500",
        [RD_CORRUPT] = "500",
        [RD_UNAVAILABLE] = "503",
        [RD_NO_SPACE] = "507",
        [RD_UNSUPPORTED] = "501",
        [RD_NO_MEMORY] = "503",
        [RD_NOT_A_STORE] = "503",
    };
    struct rd_request request = {.opcode = RD_OPCODE_READ};
    for (enum rd_status status = RD_INVALID_ARGUMENT; status < RD_STATUS_COUNT; status++) {
        struct rd_response response = {.status = status, .message = "m", .value = {(const uint8_t *)"unused", 6}};
        struct rd_buffer out;
        rd_buffer_init(&out, 0);
        assert_int_equal(rd_http_codec.encode(&request, &response, &out), 0);
        assert_memory_equal(out.data, "HTTP/1.1 ", 9);
        assert_memory_equal(out.data + 9, expected[status], 3);
        static const char challenge[] = "\r\nWWW-Authenticate: Bearer realm=\"rdrive\"\r\n";
        assert_int_equal(memmem(out.data, out.len, challenge, sizeof challenge - 1) != NULL,
                         status == RD_UNAUTHORIZED);
        rd_buffer_deinit(&out);
    }
    struct rd_response response = {.status = RD_KEY_NOT_FOUND, .message = "no \"such\"\x01 \xff key"};
    expect_json(
        &request, &response, "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\n",
        "{\"error\":{\"code\":\"key_not_found\",\"message\":\"no \\\"such\\\"\\u0001 \xef\xbf\xbd key\"}}\n");
    request.head_only = true;
    expect_answer(&request, &response, 0,
                  "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 73\r\n\r\n");
    request.head_only = false;
    response = (struct rd_response){.status = RD_OVERLOADED};
    expect_json(&request, &response,
                "HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nRetry-After: 1\r\n",
                "{\"error\":{\"code\":\"overloaded\",\"message\":\"\"}}\n");
    response = (struct rd_response){.status = RD_UNAVAILABLE, .message = "is being reopened"};
    expect_json(&request, &response,
                "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n",
                "{\"error\":{\"code\":\"unavailable\",\"message\":\"is being reopened\"}}\n");
    response = (struct rd_response){.status = RD_METHOD_NOT_ALLOWED, .message = "m"};
    expect_json(&request, &response,
                "HTTP/1.1 405 Method Not Allowed\r\nContent-Type: application/json\r\nAllow: \r\n",
                "{\"error\":{\"code\":\"method_not_allowed\",\"message\":\"m\"}}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_to_values),
        cmocka_unit_test(test_answers_to_writes),
        cmocka_unit_test(test_answers_to_reads),
        cmocka_unit_test(test_answers_about_stores),
        cmocka_unit_test(test_answers_to_compact),
        cmocka_unit_test(test_answers_to_verify),
        cmocka_unit_test(test_answers_of_errors),
        cmocka_unit_test(test_answers_to_ranges),
        cmocka_unit_test(test_answers_that_nothing_changed),
        cmocka_unit_test(test_answers_to_backup),
        cmocka_unit_test(test_answers_to_head),
        cmocka_unit_test(test_answers_to_moves),
        cmocka_unit_test(test_answers_that_are_text),
        cmocka_unit_test(test_answers_to_streams),
    };
    return cmocka_run_group_tests_name("http_answers", tests, NULL, NULL);
}
