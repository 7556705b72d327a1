/* SPDX-License-Identifier: MIT
 *
 * test_binary_vectors.c - tests/vectors/binary.json, which other clients' tests run as well, through both halves
 * of the binary protocol; and the client's reader on answers that are cut, damaged or random.
 *
 * A vector of which the request is refused by the decoder is answered with what the decoder found. Of a stream
 * either side is a frame and parts: all parts of the client come before the server's first one here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/text.h"
#include "protocol/binary.h"
#include "protocol/binary_client.h"
#include "tests/unit/protocol/binary_vectors.h"

#define VECTORS_PATH   "tests/vectors/binary.json"
#define BODY_LEN_MAX   4096u
#define ITEM_COUNT_MAX 64u
static json_t *vectors;
static uint64_t random_state;

static uint64_t next_random(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return random_state >> 33;
}

static struct rd_buffer bytes_of(const json_t *vector, const char *field)
{
    const char *hex = json_string_value(json_object_get(vector, field));
    assert_non_null(hex);
    struct rd_buffer bytes;
    rd_buffer_init(&bytes, 0);
    uint8_t *to = rd_buffer_reserve(&bytes, strlen(hex) / 2);
    assert_non_null(to);
    assert_true(rd_text_hex_decode(rd_slice_of_string(hex), to));
    rd_buffer_commit(&bytes, strlen(hex) / 2);
    return bytes;
}

static const char *name_of(const json_t *vector)
{
    const char *name = json_string_value(json_object_get(vector, "name"));
    assert_non_null(name);
    return name;
}

static bool is_hello(const json_t *vector)
{
    return strncmp(name_of(vector), "hello", 5) == 0;
}

#define PART_COUNT_MAX 8

/* A request of a vector, and the parts that the client sends behind it. */
struct asked {
    struct rd_buffer bytes;
    struct rd_request *request; /* owned */
    struct rd_stream_part parts[PART_COUNT_MAX];
    size_t part_count;
};

static void asked_deinit(struct asked *asked)
{
    rd_request_destroy(asked->request);
    rd_buffer_deinit(&asked->bytes);
}

static void take_hello(struct rd_decoder *decoder)
{
    struct rd_buffer hello;
    rd_buffer_init(&hello, 0);
    rd_binary_encode_hello(&hello);
    struct rd_slice input = rd_buffer_slice(&hello);
    struct rd_request *request = NULL;
    assert_int_equal(rd_binary_codec.decode(decoder, &input, &request), RD_DECODE_REQUEST);
    rd_request_destroy(request);
    rd_buffer_deinit(&hello);
}

static struct asked decode_vector(const json_t *vector)
{
    struct rd_limits limits = RD_LIMITS_DEFAULT;
    struct rd_decoder *decoder = rd_binary_codec.create(&limits);
    assert_non_null(decoder);
    struct asked asked = {.bytes = bytes_of(vector, "request_hex")};
    if (!is_hello(vector))
        take_hello(decoder);
    struct rd_slice input = rd_buffer_slice(&asked.bytes);
    if (rd_binary_codec.decode(decoder, &input, &asked.request) != RD_DECODE_REQUEST)
        fail_msg("%s: no request", name_of(vector));
    enum rd_decode result = RD_DECODE_PART;
    while (result == RD_DECODE_PART && input.len != 0) {
        struct rd_request *none = NULL;
        result = rd_binary_codec.decode(decoder, &input, &none);
        assert_null(none);
        if (result != RD_DECODE_PART)
            break;
        assert_true(asked.part_count < PART_COUNT_MAX);
        asked.parts[asked.part_count] = *rd_binary_codec.part(decoder);
        assert_int_equal(asked.parts[asked.part_count++].id, asked.request->id);
    }
    assert_true(input.len == 0 || result == RD_DECODE_CLOSED);
    rd_binary_codec.destroy(decoder);
    return asked;
}

static struct rd_response response_of(const json_t *vector, const struct rd_request *request)
{
    struct rd_response response = {.status = request->status};
    if (request->status != RD_OK) {
        snprintf(response.message, sizeof response.message, "%s", request->message);
        return response;
    }
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
        if (strcmp(answers[i].name, name_of(vector)) == 0)
            return answers[i].response;
    fail_msg("%s: the test has no answer for it", name_of(vector));
    return response;
}

static struct stream stream_of(const json_t *vector)
{
    for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++)
        if (strcmp(streams[i].name, name_of(vector)) == 0)
            return streams[i];
    return (struct stream){.name = name_of(vector)};
}

static void append_part(uint64_t id, struct rd_stream_part part, struct rd_buffer *out)
{
    part.id = id;
    rd_binary_codec.encode_part(&part, out);
    if (part.kind == RD_STREAM_CHUNK)
        rd_buffer_append_slice(out, part.bytes);
}

static void append_answer(const struct rd_request *request, const struct rd_response *response,
                          struct rd_buffer *out)
{
    size_t follow_len = rd_binary_codec.encode(request, response, out);
    rd_buffer_append(out, response->value.data, follow_len);
    assert_false(out->failed);
}

static void assert_bytes(const json_t *vector, struct rd_slice got, struct rd_slice wanted)
{
    if (got.len != wanted.len || memcmp(got.data, wanted.data, got.len) != 0)
        fail_msg("%s: other bytes than recorded (%zu, recorded %zu)", name_of(vector), got.len, wanted.len);
}

static void append_parts(uint64_t id, const struct stream *stream, struct rd_buffer *out)
{
    for (size_t i = 0; i < stream->part_count; i++)
        append_part(id, stream->parts[i], out);
}

static void test_the_server_answers_each_vector_as_recorded(void **state)
{
    (void)state;
    size_t index;
    json_t *vector;
    json_array_foreach(vectors, index, vector)
    {
        struct asked asked = decode_vector(vector);
        struct rd_response response = response_of(vector, asked.request);
        struct stream stream = stream_of(vector);
        struct rd_buffer got;
        rd_buffer_init(&got, 0);
        if (stream.parts_first)
            append_parts(asked.request->id, &stream, &got);
        append_answer(asked.request, &response, &got);
        if (!stream.parts_first)
            append_parts(asked.request->id, &stream, &got);
        struct rd_buffer wanted = bytes_of(vector, "response_hex");
        assert_bytes(vector, rd_buffer_slice(&got), rd_buffer_slice(&wanted));
        rd_buffer_deinit(&wanted);
        rd_buffer_deinit(&got);
        asked_deinit(&asked);
    }
}

static void append_asked(const json_t *vector, const struct asked *asked, struct rd_buffer *out)
{
    size_t follow_len = 0;
    if (is_hello(vector))
        rd_binary_encode_hello(out);
    else
        assert_int_equal(rd_binary_encode_request(asked->request, out, &follow_len), RD_OK);
    rd_buffer_append(out, asked->request->value.data, follow_len);
    for (size_t i = 0; i < asked->part_count; i++) {
        rd_binary_encode_part(&asked->parts[i], out);
        rd_buffer_append_slice(out, asked->parts[i].bytes);
    }
    assert_false(out->failed);
}

static void test_the_client_asks_each_valid_vector_as_recorded(void **state)
{
    (void)state;
    size_t index;
    json_t *vector;
    json_array_foreach(vectors, index, vector)
    {
        struct asked asked = decode_vector(vector);
        /* what a ping carries is left out by decode: nobody needs it */
        if (asked.request->status == RD_OK && strcmp(name_of(vector), "ping with bytes") != 0) {
            struct rd_buffer got;
            rd_buffer_init(&got, 0);
            append_asked(vector, &asked, &got);
            assert_bytes(vector, rd_buffer_slice(&got), rd_buffer_slice(&asked.bytes));
            rd_buffer_deinit(&got);
        }
        asked_deinit(&asked);
    }
}

/* Feeds the reader parts of at most part_len_max bytes, each a heap block of its own; stops at the first answer.
 */
static enum rd_binary_read read_parts(struct rd_binary_reader *reader, struct rd_slice bytes, size_t part_len_max,
                                      struct rd_binary_answer *ret_answer)
{
    enum rd_binary_read result = RD_BINARY_READ_MORE;
    while (bytes.len != 0 && result == RD_BINARY_READ_MORE) {
        struct rd_slice part = rd_slice_take(&bytes, 1 + next_random() % part_len_max);
        size_t target_len = 0;
        uint8_t *target = rd_binary_reader_fill_target(reader, &target_len);
        uint8_t *copy = malloc(part.len);
        assert_non_null(copy);
        memcpy(copy, part.data, part.len);
        struct rd_slice input = rd_slice(copy, part.len);
        if (target != NULL && target_len >= part.len) {
            memcpy(target, copy, part.len);
            rd_binary_reader_fill_done(reader, part.len);
            input.len = 0;
        }
        result = rd_binary_reader_next(reader, &input, ret_answer);
        if (result == RD_BINARY_READ_MORE)
            assert_int_equal(input.len, 0);
        free(copy);
    }
    return result;
}

static void greet(struct rd_binary_reader *reader, uint32_t body_len_max)
{
    rd_binary_reader_init(reader, body_len_max, ITEM_COUNT_MAX);
    struct rd_buffer hello = bytes_of(json_array_get(vectors, 0), "response_hex");
    struct rd_binary_answer answer;
    assert_int_equal(read_parts(reader, rd_buffer_slice(&hello), 64, &answer), RD_BINARY_READ_ANSWER);
    assert_true(answer.hello);
    assert_int_equal(answer.response.limits.batch_count_max, 100000);
    rd_buffer_deinit(&hello);
}

/* What was read, written again: every field took part in it. Pieces of a chunk are put together. */
struct again {
    const struct rd_request *request; /* borrows */
    struct rd_buffer out;
    struct rd_buffer chunk;
    size_t answer_count;
};

static void again_take_part(struct again *again, const struct rd_binary_reader *reader)
{
    struct rd_stream_part part = *rd_binary_reader_part(reader);
    assert_int_equal(part.id, again->request->id);
    if (part.kind == RD_STREAM_CHUNK) {
        rd_buffer_append_slice(&again->chunk, part.bytes);
        if (reader->chunk_left != 0)
            return;
        part.bytes = rd_buffer_slice(&again->chunk);
    }
    append_part(part.id, part, &again->out);
    if (part.kind == RD_STREAM_CHUNK)
        rd_buffer_clear(&again->chunk);
}

static void again_take(struct again *again, struct rd_binary_reader *reader, struct rd_slice input)
{
    struct rd_binary_answer answer;
    for (;;) {
        switch (rd_binary_reader_next(reader, &input, &answer)) {
        case RD_BINARY_READ_MORE:
            assert_int_equal(input.len, 0);
            return;
        case RD_BINARY_READ_BROKEN:
            fail_msg("%s", reader->error);
            return;
        case RD_BINARY_READ_PART:
            again_take_part(again, reader);
            break;
        case RD_BINARY_READ_ANSWER:
            assert_int_equal(answer.id, again->request->id);
            assert_int_equal(answer.hello, again->request->opcode == RD_OPCODE_HELLO);
            append_answer(again->request, &answer.response, &again->out);
            again->answer_count++;
            break;
        }
    }
}

static struct again read_again(const json_t *vector, const struct rd_request *request, struct rd_slice bytes,
                               size_t part_len_max)
{
    struct again again = {.request = request};
    struct rd_binary_reader reader;
    rd_buffer_init(&again.out, 0);
    rd_buffer_init(&again.chunk, 0);
    if (is_hello(vector))
        rd_binary_reader_init(&reader, BODY_LEN_MAX, ITEM_COUNT_MAX);
    else
        greet(&reader, BODY_LEN_MAX);
    while (bytes.len != 0) {
        struct rd_slice part = rd_slice_take(&bytes, 1 + next_random() % part_len_max);
        uint8_t *copy = malloc(part.len);
        assert_non_null(copy);
        memcpy(copy, part.data, part.len);
        again_take(&again, &reader, rd_slice(copy, part.len));
        free(copy);
    }
    rd_binary_reader_deinit(&reader);
    rd_buffer_deinit(&again.chunk);
    return again;
}

static void test_the_client_reads_each_answer_however_it_is_cut(void **state)
{
    (void)state;
    static const size_t part_len_max[] = {1, 5, 1000};
    size_t index;
    json_t *vector;
    json_array_foreach(vectors, index, vector)
    {
        struct asked asked = decode_vector(vector);
        struct rd_buffer wanted = bytes_of(vector, "response_hex");
        for (size_t i = 0; i < 3; i++) {
            struct again again = read_again(vector, asked.request, rd_buffer_slice(&wanted), part_len_max[i]);
            assert_int_equal(again.answer_count, 1);
            assert_bytes(vector, rd_buffer_slice(&again.out), rd_buffer_slice(&wanted));
            rd_buffer_deinit(&again.out);
        }
        rd_buffer_deinit(&wanted);
        asked_deinit(&asked);
    }
}

/* Every answer with its body shortened to every length and the header saying so. */
static void test_an_answer_cut_at_every_byte_breaks_the_reader_or_is_whole(void **state)
{
    (void)state;
    size_t index;
    json_t *vector;
    json_array_foreach(vectors, index, vector)
    {
        struct rd_buffer bytes = bytes_of(vector, "response_hex");
        size_t len_at = is_hello(vector) ? RD_WIRE_HELLO_BODY_LEN : RD_WIRE_HEADER_BODY_LEN;
        uint8_t opcode = bytes.data[RD_WIRE_HEADER_OPCODE];
        bool takes_the_rest = opcode == RD_OPCODE_READ || opcode == RD_OPCODE_METRICS;
        if (!is_hello(vector)) /* without the parts behind it */
            bytes.len = RD_WIRE_HEADER_LEN + rd_load_u32le(bytes.data + RD_WIRE_HEADER_BODY_LEN);
        for (size_t len = RD_WIRE_HEADER_LEN; len < bytes.len; len++) {
            struct rd_binary_reader reader;
            if (is_hello(vector))
                rd_binary_reader_init(&reader, BODY_LEN_MAX, ITEM_COUNT_MAX);
            else
                greet(&reader, BODY_LEN_MAX);
            rd_store_u32le(bytes.data + len_at, (uint32_t)(len - RD_WIRE_HEADER_LEN));
            struct rd_binary_answer answer;
            enum rd_binary_read result = read_parts(&reader, rd_slice(bytes.data, len), 16, &answer);
            /* a hello may end behind its first four limits: such a server knows no streams */
            bool is_whole = is_hello(vector) && bytes.data[RD_WIRE_HELLO_STATUS] == 0 &&
                            len == RD_WIRE_HELLO_LEN + RD_WIRE_LIMITS_LEN_MIN;
            if (!takes_the_rest)
                assert_int_equal(result, is_whole ? RD_BINARY_READ_ANSWER : RD_BINARY_READ_BROKEN);
            assert_int_equal(reader.error != NULL, result == RD_BINARY_READ_BROKEN);
            rd_binary_reader_deinit(&reader);
        }
        rd_buffer_deinit(&bytes);
    }
}

static void test_newer_fields_behind_an_answer_are_left_aside(void **state)
{
    (void)state;
    size_t index;
    json_t *vector;
    json_array_foreach(vectors, index, vector)
    {
        struct rd_buffer bytes = bytes_of(vector, "response_hex");
        if (!is_hello(vector) && bytes.data[RD_WIRE_HEADER_OPCODE] != RD_OPCODE_READ) {
            bytes.len = RD_WIRE_HEADER_LEN + rd_load_u32le(bytes.data + RD_WIRE_HEADER_BODY_LEN);
            rd_buffer_append_string(&bytes, "newer");
            rd_store_u32le(bytes.data, (uint32_t)(bytes.len - RD_WIRE_HEADER_LEN));
            struct rd_binary_reader reader;
            greet(&reader, BODY_LEN_MAX);
            struct rd_binary_answer answer;
            bool is_part = rd_wire_is_part(bytes.data[RD_WIRE_HEADER_OPCODE]) &&
                           rd_wire_load_header(bytes.data).status == RD_OK;
            assert_int_equal(read_parts(&reader, rd_buffer_slice(&bytes), 16, &answer),
                             is_part ? RD_BINARY_READ_PART : RD_BINARY_READ_ANSWER);
            rd_binary_reader_deinit(&reader);
        }
        rd_buffer_deinit(&bytes);
    }
}

/* Rows as a server writes them that knows neither generation nor batch_marker, both, quotas too, compactions, or
 * more than we do. */
static void test_store_rows_of_other_servers(void **state)
{
    (void)state;
    enum { MARKER = RD_WIRE_HEADER_LEN + 6 + RD_WIRE_STORE_ROW_LEN + 8, NEWER_LEN = 3 };
    enum { WITH_QUOTA = RD_WIRE_STORE_ROW_MORE_LEN + RD_WIRE_STORE_ROW_QUOTA_LEN };
    enum { WITH_ALL = WITH_QUOTA + RD_WIRE_STORE_ROW_NOW_LEN };
    for (uint8_t more = 0; more <= WITH_ALL + NEWER_LEN; more++) {
        uint8_t bytes[MARKER - 8 + WITH_ALL + NEWER_LEN] = {[MARKER - 8] = 7,  [MARKER] = 1,
                                                            [MARKER + 1] = 5,  [MARKER + 9] = 6,
                                                            [MARKER + 17] = 1, [MARKER + 18] = 1};
        uint8_t row_len = RD_WIRE_STORE_ROW_LEN + more;
        struct rd_wire_header header = {.id = 1, .body_len = 6u + row_len, .opcode = RD_OPCODE_INFO};
        rd_wire_store_header(bytes, header);
        bytes[RD_WIRE_HEADER_LEN] = 1;
        bytes[RD_WIRE_HEADER_LEN + 4] = row_len;
        struct rd_binary_reader reader;
        greet(&reader, BODY_LEN_MAX);
        struct rd_binary_answer answer;
        struct rd_slice input = rd_slice(bytes, RD_WIRE_HEADER_LEN + header.body_len);
        assert_int_equal(read_parts(&reader, input, 16, &answer), RD_BINARY_READ_ANSWER);
        bool is_there = more >= RD_WIRE_STORE_ROW_MORE_LEN;
        assert_int_equal(answer.response.stores[0].generation, is_there ? 7 : 0);
        assert_int_equal(answer.response.stores[0].batch_marker, is_there);
        bool has_quota = more >= WITH_QUOTA;
        assert_int_equal(answer.response.stores[0].quota_bytes, has_quota ? 5 : 0);
        assert_int_equal(answer.response.stores[0].quota_entries, has_quota ? 6 : 0);
        assert_int_equal(answer.response.stores[0].writes_barred, has_quota);
        assert_int_equal(answer.response.stores[0].compacting, more >= WITH_ALL);
        rd_binary_reader_deinit(&reader);
    }
}

static enum rd_binary_read read_frame(uint8_t opcode, uint8_t flags, const void *body, size_t body_len)
{
    struct rd_buffer bytes;
    rd_buffer_init(&bytes, 0);
    uint8_t head[RD_WIRE_HEADER_LEN];
    rd_wire_store_header(
        head, (struct rd_wire_header){.id = 1, .body_len = (uint32_t)body_len, .opcode = opcode, .flags = flags});
    rd_buffer_append(&bytes, head, sizeof head);
    if (body != NULL)
        rd_buffer_append(&bytes, body, body_len);
    struct rd_binary_reader reader;
    greet(&reader, BODY_LEN_MAX);
    struct rd_binary_answer answer;
    enum rd_binary_read result = read_parts(&reader, rd_buffer_slice(&bytes), 1000, &answer);
    rd_binary_reader_deinit(&reader);
    rd_buffer_deinit(&bytes);
    return result;
}

static void test_hostile_answers_break_the_reader(void **state)
{
    (void)state;
    assert_int_equal(read_frame(RD_OPCODE_PING, 0, "", 0), RD_BINARY_READ_ANSWER);
    assert_int_equal(read_frame(RD_OPCODE_PING, 1, "", 0), RD_BINARY_READ_BROKEN);
    assert_int_equal(read_frame(RD_OPCODE_HELLO, 0, "", 0), RD_BINARY_READ_BROKEN);
    assert_int_equal(read_frame(0x7f, 0, "", 0), RD_BINARY_READ_BROKEN);
    assert_int_equal(read_frame(RD_OPCODE_READ, 0, NULL, BODY_LEN_MAX + 1), RD_BINARY_READ_BROKEN);
    assert_int_equal(read_frame(RD_OPCODE_READ, 0, NULL, UINT32_MAX), RD_BINARY_READ_BROKEN);
    assert_int_equal(read_frame(RD_OPCODE_BATCH_READ, 0, "\xff\xff\xff\xff", 4), RD_BINARY_READ_BROKEN);
    assert_int_equal(read_frame(RD_OPCODE_BATCH_READ, 0, "\2\0\0\0\4\0", 6), RD_BINARY_READ_BROKEN);
    assert_int_equal(read_frame(RD_OPCODE_ITERATE, 0, "\1\0\0\0", 4), RD_BINARY_READ_BROKEN);
    assert_int_equal(read_frame(RD_OPCODE_INFO, 0, "\0\0\0\0", 4), RD_BINARY_READ_BROKEN);
    assert_int_equal(read_frame(RD_OPCODE_STORES, 0, "\0\0\0\0", 4), RD_BINARY_READ_ANSWER);
    assert_int_equal(read_frame(RD_WIRE_PART_CHUNK, 0, "x", 1), RD_BINARY_READ_PART);
    assert_int_equal(read_frame(RD_WIRE_PART_CHUNK, 0, "", 0), RD_BINARY_READ_MORE);
    assert_int_equal(read_frame(RD_WIRE_PART_CHUNK, 1, "x", 1), RD_BINARY_READ_BROKEN);
    assert_int_equal(read_frame(RD_WIRE_PART_CHUNK, 0, NULL, UINT32_MAX), RD_BINARY_READ_MORE);
    assert_int_equal(read_frame(RD_WIRE_PART_END, 0, "", 0), RD_BINARY_READ_PART);
    assert_int_equal(read_frame(RD_WIRE_PART_CREDIT, 0, "1234567", 7), RD_BINARY_READ_BROKEN);
    assert_int_equal(read_frame(RD_WIRE_PART_ABORT, 0, "\0\0\2\0x", 5), RD_BINARY_READ_BROKEN);
    assert_int_equal(read_frame(RD_WIRE_PART_ABORT, 0, NULL, BODY_LEN_MAX + 1), RD_BINARY_READ_BROKEN);
    uint8_t range[RD_WIRE_READ_STREAM_ANSWER_LEN] = {[28] = 13, [36] = 7, [44] = 6};
    assert_int_equal(read_frame(RD_OPCODE_READ_STREAM, 0, range, sizeof range), RD_BINARY_READ_ANSWER);
    range[44] = 7;
    assert_int_equal(read_frame(RD_OPCODE_READ_STREAM, 0, range, sizeof range), RD_BINARY_READ_BROKEN);
    range[36] = 14;
    range[44] = 0;
    assert_int_equal(read_frame(RD_OPCODE_READ_STREAM, 0, range, sizeof range), RD_BINARY_READ_BROKEN);
    uint8_t file[RD_WIRE_BACKUP_ANSWER_LEN] = {[8] = 13, [16] = 7, [24] = 6};
    assert_int_equal(read_frame(RD_OPCODE_BACKUP, 0, file, sizeof file), RD_BINARY_READ_ANSWER);
    assert_int_equal(read_frame(RD_OPCODE_BACKUP, 0, file, sizeof file - 1), RD_BINARY_READ_BROKEN);
    file[24] = 7;
    assert_int_equal(read_frame(RD_OPCODE_BACKUP, 0, file, sizeof file), RD_BINARY_READ_BROKEN);
    file[16] = 14;
    file[24] = 0;
    assert_int_equal(read_frame(RD_OPCODE_BACKUP, 0, file, sizeof file), RD_BINARY_READ_BROKEN);
    enum { NEXT = 8, PROBLEM_COUNT = 32, LISTED = 40, VERIFY_LEN = RD_WIRE_VERIFY_ANSWER_LEN };
    uint8_t step[VERIFY_LEN + RD_WIRE_PROBLEM_ROW_LEN] = {
        [0] = 99, [NEXT] = 98, [PROBLEM_COUNT] = 1, [LISTED] = 1};
    assert_int_equal(read_frame(RD_OPCODE_VERIFY, 0, step, sizeof step), RD_BINARY_READ_ANSWER);
    assert_int_equal(read_frame(RD_OPCODE_VERIFY, 0, step, VERIFY_LEN), RD_BINARY_READ_BROKEN);
    step[PROBLEM_COUNT] = 0; /* fewer than are listed */
    assert_int_equal(read_frame(RD_OPCODE_VERIFY, 0, step, sizeof step), RD_BINARY_READ_BROKEN);
    step[PROBLEM_COUNT] = 1;
    step[NEXT] = 100; /* a step upwards: a client would never end */
    assert_int_equal(read_frame(RD_OPCODE_VERIFY, 0, step, sizeof step), RD_BINARY_READ_BROKEN);
}

static void test_long_values_go_straight_to_their_place(void **state)
{
    (void)state;
    static uint8_t value[200000];
    for (size_t i = 0; i < sizeof value; i++)
        value[i] = (uint8_t)next_random();
    struct rd_request request = {.opcode = RD_OPCODE_READ, .id = 5};
    struct rd_response response = {.value = {value, sizeof value}};
    struct rd_buffer bytes;
    rd_buffer_init(&bytes, 0);
    append_answer(&request, &response, &bytes);
    struct rd_binary_reader reader;
    greet(&reader, 1u << 20);
    struct rd_binary_answer answer;
    assert_int_equal(read_parts(&reader, rd_buffer_slice(&bytes), 5000, &answer), RD_BINARY_READ_ANSWER);
    assert_int_equal(answer.response.value.len, sizeof value);
    uint8_t *body = rd_binary_reader_take_body(&reader);
    rd_binary_reader_deinit(&reader);
    assert_memory_equal(body + RD_WIRE_READ_ANSWER_LEN, value, sizeof value);
    assert_ptr_equal(body + RD_WIRE_READ_ANSWER_LEN, answer.response.value.data);
    free(body);
    rd_buffer_deinit(&bytes);
}

static void test_a_value_beyond_a_frame_is_answered_too_large(void **state)
{
    (void)state;
    struct rd_request request = {.opcode = RD_OPCODE_READ, .id = 5};
    struct rd_response_item items[2] = {{.value = {beta_value, UINT32_MAX}}, {.value = {beta_value, UINT32_MAX}}};
    struct rd_response response = {.value = {beta_value, UINT32_MAX - 64u}, .items = items, .item_count = 2};
    struct rd_buffer out;
    rd_buffer_init(&out, 0);
    assert_int_equal(rd_binary_codec.encode(&request, &response, &out), 0);
    assert_int_equal(rd_wire_load_header(out.data).status, RD_TOO_LARGE);
    rd_buffer_append_u8(&out, 0);
    assert_non_null(strstr((char *)out.data + RD_WIRE_HEADER_LEN + sizeof(uint16_t), "read_stream"));
    response.value.len = UINT32_MAX - 64u - RD_WIRE_READ_ANSWER_LEN;
    rd_buffer_clear(&out);
    assert_int_equal(rd_binary_codec.encode(&request, &response, &out), response.value.len);
    assert_int_equal(rd_wire_load_header(out.data).status, RD_OK);
    request.opcode = RD_OPCODE_BATCH_READ;
    rd_buffer_clear(&out);
    rd_binary_codec.encode(&request, &response, &out);
    assert_int_equal(rd_wire_load_header(out.data).status, RD_TOO_LARGE);
    rd_buffer_deinit(&out);
}

/* Recorded answers with a few bytes changed, and bytes at random. */
static void test_damaged_and_random_answers_never_stop_the_reader(void **state)
{
    (void)state;
    for (int round = 0; round < 20000; round++) {
        const json_t *vector = json_array_get(vectors, next_random() % json_array_size(vectors));
        struct rd_buffer bytes = bytes_of(vector, "response_hex");
        size_t changes = round % 3 == 0 ? bytes.len : 1 + next_random() % 4;
        for (size_t i = 0; i < changes; i++)
            bytes.data[next_random() % bytes.len] = (uint8_t)(round % 2 == 0 ? next_random() : next_random() % 4);
        struct rd_binary_reader reader;
        if (is_hello(vector))
            rd_binary_reader_init(&reader, BODY_LEN_MAX, ITEM_COUNT_MAX);
        else
            greet(&reader, BODY_LEN_MAX);
        struct rd_binary_answer answer;
        struct rd_slice left = rd_buffer_slice(&bytes);
        enum rd_binary_read result = RD_BINARY_READ_MORE;
        while (left.len != 0 && result != RD_BINARY_READ_BROKEN) {
            struct rd_slice part = rd_slice_take(&left, 1 + next_random() % 64);
            result = read_parts(&reader, part, 64, &answer);
            assert_int_equal(reader.error != NULL, result == RD_BINARY_READ_BROKEN);
        }
        rd_binary_reader_deinit(&reader);
        rd_buffer_deinit(&bytes);
    }
}

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof beta_value; i++)
        beta_value[i] = (uint8_t)i;
    const char *seed = getenv("RD_TEST_SEED");
    random_state = seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
    print_message("seed %llu (RD_TEST_SEED)\n", (unsigned long long)random_state);
    json_error_t error;
    vectors = json_load_file(VECTORS_PATH, 0, &error);
    if (vectors == NULL)
        print_error("%s: %s (run from the repository's root)\n", VECTORS_PATH, error.text);
    return vectors == NULL || json_array_size(vectors) < sizeof answers / sizeof answers[0] ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    json_decref(vectors);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_server_answers_each_vector_as_recorded),
        cmocka_unit_test(test_the_client_asks_each_valid_vector_as_recorded),
        cmocka_unit_test(test_the_client_reads_each_answer_however_it_is_cut),
        cmocka_unit_test(test_an_answer_cut_at_every_byte_breaks_the_reader_or_is_whole),
        cmocka_unit_test(test_newer_fields_behind_an_answer_are_left_aside),
        cmocka_unit_test(test_store_rows_of_other_servers),
        cmocka_unit_test(test_hostile_answers_break_the_reader),
        cmocka_unit_test(test_long_values_go_straight_to_their_place),
        cmocka_unit_test(test_a_value_beyond_a_frame_is_answered_too_large),
        cmocka_unit_test(test_damaged_and_random_answers_never_stop_the_reader),
    };
    return cmocka_run_group_tests_name("binary vectors", tests, setup, teardown);
}
