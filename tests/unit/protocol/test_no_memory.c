/* SPDX-License-Identifier: MIT
 *
 * Every allocation that a conversation makes fails once, jansson's among them: each request is what it would have
 * been, or says that there was no memory, or the connection ends; a reader breaks, and stays so. Nothing is lost
 * or read that is not there, which the address sanitizer sees.
 *
 * Linked with --wrap for malloc, calloc and realloc (Makefile). */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "protocol/binary.h"
#include "protocol/binary_client.h"
#include "protocol/http.h"
#include "protocol/redis.h"

#define TEXT(text) rd_slice(text, sizeof text - 1)
#define NEVER      UINT_MAX
#define ROUNDS_MAX 1000u

void *__real_malloc(size_t len);
void *__real_calloc(size_t count, size_t len);
void *__real_realloc(void *old, size_t len);
void *__wrap_malloc(size_t len);
void *__wrap_calloc(size_t count, size_t len);
void *__wrap_realloc(void *old, size_t len);

static unsigned until_failure = NEVER; /* allocations that succeed before one fails */
static bool failed;

static bool fails(void)
{
    if (until_failure == NEVER)
        return false;
    if (until_failure-- > 0)
        return false;
    until_failure = NEVER;
    failed = true;
    return true;
}

void *__wrap_malloc(size_t len)
{
    return fails() ? NULL : __real_malloc(len);
}

void *__wrap_calloc(size_t count, size_t len)
{
    return fails() ? NULL : __real_calloc(count, len);
}

void *__wrap_realloc(void *old, size_t len)
{
    return fails() ? NULL : __real_realloc(old, len);
}

/* Some strings that jansson has no memory for are malformed to it, and so to us. */
static bool failed_in_json;
static unsigned told_of_json; /* the others are told as what they are */

static void *json_malloc(size_t len)
{
    void *block = __wrap_malloc(len);
    failed_in_json |= block == NULL;
    return block;
}

/* ---- what came of it --------------------------------------------------------------------------------------- */

#define LINES_MAX 24

struct outcome {
    char lines[LINES_MAX][80];
    size_t count;
    bool closed; /* or broken */
};

/* What is noted must not allocate. */
static char *next_line(struct outcome *outcome)
{
    assert_true(outcome->count < LINES_MAX);
    return outcome->lines[outcome->count++];
}

static void note_request(struct outcome *outcome, const struct rd_request *request)
{
    char *line = next_line(outcome);
    if (request->status != RD_OK)
        snprintf(line, sizeof outcome->lines[0], "%s", rd_status_name(request->status));
    else
        snprintf(line, sizeof outcome->lines[0], "%02x %zu %zu %.*s", (unsigned)request->opcode,
                 request->item_count, request->value.len, (int)request->store.len,
                 (const char *)request->store.data);
    assert_true(request->status == RD_OK || request->message != NULL);
}

static void drain(const struct rd_codec *codec, struct rd_decoder *decoder, struct rd_slice piece,
                  struct outcome *outcome)
{
    for (;;) {
        struct rd_request *request = NULL;
        enum rd_decode result = codec->decode(decoder, &piece, &request);
        if (result == RD_DECODE_REQUEST) {
            assert_non_null(request);
            note_request(outcome, request);
            rd_request_destroy(request);
        } else if (result == RD_DECODE_PART) {
            const struct rd_stream_part *part = codec->part(decoder);
            if (part->kind != RD_STREAM_CHUNK)
                snprintf(next_line(outcome), sizeof outcome->lines[0], "part %d", (int)part->kind);
        } else {
            assert_null(request);
            outcome->closed = result == RD_DECODE_CLOSED;
            return;
        }
    }
}

/* Of whoever talks. NULL: who may what is not asked. */
static enum rd_status (*admit)(void *context, const struct rd_asking *asking, size_t len,
                               struct rd_error *ret_error);

static void talk(const struct rd_codec *codec, struct rd_slice bytes, size_t piece_len, struct outcome *outcome)
{
    struct rd_limits limits = RD_LIMITS_DEFAULT;
    limits.stream_threshold = 16u << 10; /* so that long values need not be very long */
    limits.admit = admit;
    struct rd_decoder *decoder = codec->create(&limits);
    *outcome = (struct outcome){.closed = decoder == NULL};
    while (bytes.len != 0 && !outcome->closed)
        drain(codec, decoder, rd_slice_take(&bytes, piece_len), outcome);
    codec->destroy(decoder);
}

static void listen(const struct rd_codec *codec, struct rd_slice bytes, size_t piece_len, struct outcome *outcome)
{
    struct rd_binary_reader reader;
    struct rd_binary_answer answer;
    (void)codec;
    *outcome = (struct outcome){.closed = false};
    rd_binary_reader_init(&reader, 1u << 20, 100);
    while (bytes.len != 0 && !outcome->closed) {
        struct rd_slice piece = rd_slice_take(&bytes, piece_len);
        enum rd_binary_read result;
        while ((result = rd_binary_reader_next(&reader, &piece, &answer)) == RD_BINARY_READ_ANSWER)
            snprintf(next_line(outcome), sizeof outcome->lines[0], "%02x %d %zu %zu", answer.opcode,
                     (int)answer.response.status, answer.response.item_count, answer.response.store_count);
        outcome->closed = result == RD_BINARY_READ_BROKEN;
    }
    if (outcome->closed) {
        struct rd_slice more = TEXT("more");
        assert_int_equal(rd_binary_reader_next(&reader, &more, &answer), RD_BINARY_READ_BROKEN);
        assert_string_equal(reader.error, "no memory for an answer");
    }
    rd_binary_reader_deinit(&reader);
}

/* What a line may become behind one that there was no memory for. NULL: nothing else than it is. */
static const char *consequence;

/* Each line is as expected, or one tells of the failure, unless it could be borne; none is missing but at a
 * connection's end. */
static void expect_like(const struct outcome *outcome, const struct outcome *expected, unsigned round)
{
    size_t told = 0;
    for (size_t i = 0; i < outcome->count; i++) {
        const char *line = outcome->lines[i];
        if (i < expected->count && strcmp(line, expected->lines[i]) == 0)
            continue;
        if (told == 1 && consequence != NULL && strcmp(line, consequence) == 0)
            continue;
        told++;
        told_of_json += failed_in_json && strcmp(line, "no_memory") == 0;
        if (strcmp(line, "no_memory") != 0 && !(failed_in_json && strcmp(line, "invalid_argument") == 0))
            fail_msg("allocation %u, line %zu: %s", round, i, line);
    }
    assert_true(told <= 1);
    assert_true(outcome->closed || outcome->count == expected->count);
}

typedef void converse(const struct rd_codec *codec, struct rd_slice bytes, size_t piece_len,
                      struct outcome *outcome);

static void fail_each(converse *run, const struct rd_codec *codec, struct rd_slice bytes, size_t expected_count)
{
    static const size_t piece_lens[] = {SIZE_MAX, 1, 37};
    static struct outcome expected;
    static struct outcome outcome;
    for (size_t i = 0; i < sizeof piece_lens / sizeof piece_lens[0]; i++) {
        run(codec, bytes, piece_lens[i], &expected);
        assert_false(expected.closed);
        assert_int_equal(expected.count, expected_count);
        unsigned round = 0;
        do {
            failed = failed_in_json = false;
            until_failure = round;
            run(codec, bytes, piece_lens[i], &outcome);
            until_failure = NEVER;
            expect_like(&outcome, &expected, round);
        } while (failed && ++round < ROUNDS_MAX);
        assert_true(round > 5 && round < ROUNDS_MAX);
    }
}

/* ---- conversations ----------------------------------------------------------------------------------------- */

#define HOST "Host: h\r\n"
#define JSON HOST "Content-Type: application/json\r\n"

static void test_http(void **state)
{
    (void)state;
    fail_each(talk, &rd_http_codec,
              TEXT("PUT /v1/stores/s/keys/k HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nvalue"
                   "GET /nowhere HTTP/1.1\r\n" HOST "\r\n"
                   "PUT /v1/stores/s/keys/k HTTP/1.1\r\n" HOST
                   "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
                   "POST /v1/stores/s/batch/write HTTP/1.1\r\n" JSON "Content-Length: 41\r\n\r\n"
                   "{\"entries\":[{\"key\":\"a\",\"value\":\"first\"}]}"
                   "POST /v1/stores/s/batch/read HTTP/1.1\r\n" JSON "Transfer-Encoding: chunked\r\n\r\n"
                   "7\r\n{\"keys\"\r\nc\r\n:[\"a\",\"bcd\"]\r\n1\r\n}\r\n0\r\n\r\n"
                   "POST /v1/stores/s/rename HTTP/1.1\r\n" JSON
                   "Content-Length: 21\r\n\r\n{\"from\":\"a\",\"to\":\"b\"}"
                   "DELETE /v1/stores/s/keys/k HTTP/1.1\r\n" HOST "\r\n"),
              9);
    assert_true(told_of_json > 5);
}

#define COMMAND "*1\r\n$7\r\nCOMMAND\r\n"

/* A command that could not be queued ends its transaction. */
static void test_redis(void **state)
{
    (void)state;
    struct rd_buffer bytes;
    rd_buffer_init(&bytes, 0);
    rd_buffer_append_string(&bytes, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nvalue\r\n" COMMAND
                                    "SET k v NX\r\nMSET a 1 b 2\r\nMSETNX a 1 b 2\r\nDEL a b\r\nGETDEL k\r\n"
                                    "HELLO 3 SETNAME me\r\nCOMMAND INFO get\r\nCLIENT LIST\r\nWHAT is this\r\n"
                                    "WATCH a b c d e\r\nMULTI\r\nSET a 1\r\nMGET c d\r\nEXEC\r\n"
                                    "MULTI\r\nGET a\r\nEXEC\r\nSET k v GET NX\r\n");
    rd_buffer_printf(&bytes, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%0*d\r\n", 20000, 20000, 7);
    rd_buffer_printf(&bytes, "*2\r\n$4\r\nECHO\r\n$%d\r\n%0*d\r\n", 20000, 20000, 7);
    consequence = "invalid_argument";
    fail_each(talk, &rd_redis_codec, rd_buffer_slice(&bytes), 23);
    consequence = NULL;
    rd_buffer_deinit(&bytes);
}

static enum rd_status forbid(void *context, const struct rd_asking *asking, size_t len, struct rd_error *ret_error)
{
    (void)context;
    (void)asking;
    (void)len;
    return rd_error_set(ret_error, RD_FORBIDDEN, 0, "not there");
}

/* Of somebody who may do nothing: malformed, to be queued, at once, and long. */
static void test_redis_refusals(void **state)
{
    (void)state;
    struct rd_buffer bytes;
    rd_buffer_init(&bytes, 0);
    rd_buffer_append_string(&bytes, "SET k v FOO\r\nMULTI\r\nSET a 1\r\nMGET b c\r\nWATCH d\r\nGET\r\nEXEC\r\n");
    rd_buffer_printf(&bytes, "*2\r\n$4\r\nECHO\r\n$%d\r\n%0*d\r\n", 20000, 20000, 7);
    admit = forbid;
    fail_each(talk, &rd_redis_codec, rd_buffer_slice(&bytes), 8);
    admit = NULL;
    rd_buffer_deinit(&bytes);
}

static void append_frame(struct rd_buffer *out, const struct rd_request *request)
{
    size_t follow_len = 0;
    assert_int_equal(rd_binary_encode_request(request, out, &follow_len), RD_OK);
    rd_buffer_append(out, request->value.data, follow_len);
}

static void test_binary(void **state)
{
    (void)state;
    struct rd_message_item items[] = {{.key = {.bytes = TEXT("a")}, .value = TEXT("1")},
                                      {.key = {.hash = 7}, .value = TEXT("22")}};
    struct rd_request requests[] = {
        {.opcode = RD_OPCODE_WRITE,
         .id = 1,
         .store = TEXT("s"),
         .key = {.bytes = TEXT("k")},
         .value = TEXT("value")},
        {.opcode = RD_OPCODE_BATCH_WRITE, .id = 2, .store = TEXT("s"), .items = items, .item_count = 2},
        {.opcode = RD_OPCODE_BATCH_READ, .id = 3, .store = TEXT("s"), .items = items, .item_count = 2},
        {.opcode = RD_OPCODE_LAST, .id = 4, .store = TEXT("s")},
    };
    struct rd_buffer bytes;
    rd_buffer_init(&bytes, 0);
    rd_binary_encode_hello(&bytes);
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++)
        append_frame(&bytes, &requests[i]);
    rd_buffer_append(&bytes, "\0\0\0\0\xee\0\0\0\5\0\0\0\0\0\0\0", RD_WIRE_HEADER_LEN); /* no operation */
    append_frame(&bytes, &requests[3]);
    fail_each(talk, &rd_binary_codec, rd_buffer_slice(&bytes), 7);
    rd_buffer_deinit(&bytes);
}

static void test_reader(void **state)
{
    (void)state;
    struct rd_response_item items[] = {{.status = RD_OK, .value = TEXT("1")}, {.status = RD_KEY_NOT_FOUND}};
    struct rd_response_store stores[] = {{.name = TEXT("s")}, {.name = TEXT("t")}};
    struct rd_response_problem problems[] = {{.kind = RD_MESSAGE_PROBLEM_PAD, .len = 3}};
    struct rd_response response = {.limits = RD_LIMITS_DEFAULT,
                                   .items = items,
                                   .item_count = 2,
                                   .stores = stores,
                                   .store_count = 2,
                                   .verification = {.problem_count = 1, .listed_count = 1, .problems = problems}};
    static const enum rd_opcode opcodes[] = {RD_OPCODE_HELLO, RD_OPCODE_BATCH_READ, RD_OPCODE_STORES,
                                             RD_OPCODE_VERIFY, RD_OPCODE_ITERATE};
    struct rd_buffer bytes;
    rd_buffer_init(&bytes, 0);
    for (size_t i = 0; i < sizeof opcodes / sizeof opcodes[0]; i++) {
        struct rd_request request = {.opcode = opcodes[i]};
        assert_int_equal(rd_binary_codec.encode(&request, &response, &bytes), 0);
    }
    fail_each(listen, NULL, rd_buffer_slice(&bytes), 5);
    rd_buffer_deinit(&bytes);
}

int main(void)
{
    json_set_alloc_funcs(json_malloc, free);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http),           cmocka_unit_test(test_binary), cmocka_unit_test(test_redis),
        cmocka_unit_test(test_redis_refusals), cmocka_unit_test(test_reader),
    };
    return cmocka_run_group_tests_name("no_memory", tests, NULL, NULL);
}
