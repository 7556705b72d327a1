/* SPDX-License-Identifier: MIT
 *
 * test_binary_vectors.c - tests/vectors/binary.json, which other clients' tests run as well, through both halves
 * of the binary protocol; and the client's reader on answers that are cut, damaged or random.
 *
 * A vector of which the request is refused by the decoder is answered with what the decoder found.
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

#define VECTORS_PATH   "tests/vectors/binary.json"
#define BODY_LEN_MAX   4096u
#define ITEM_COUNT_MAX 64u
#define ALPHA_HASH     0xbe6903b5f625ab5au
#define BETA_HASH      0x28faff7f97dff641u
#define ALPHA_CRC      0xca97121au
#define BETA_CRC       0x0da62e3cu
#define TEXT(text)                                                                                                \
    {                                                                                                             \
        .data = (const uint8_t *)(text), .len = sizeof(text) - 1                                                  \
    }
#define ALPHA_VALUE TEXT("Hello, store!")
#define BETA_VALUE                                                                                                \
    {                                                                                                             \
        .data = beta_value, .len = sizeof beta_value                                                              \
    }
#define SYNC         .durability = RD_MESSAGE_DURABILITY_SYNC
#define INTERVAL(ms) .durability = RD_MESSAGE_DURABILITY_INTERVAL, .durability_interval_ms = (ms)
#define NONE         .durability = RD_MESSAGE_DURABILITY_NONE

static uint8_t beta_value[40];

static struct rd_response_item read_items[] = {
    {.status = RD_OK, .offset = 0, .crc32 = ALPHA_CRC, .value = ALPHA_VALUE},
    {.status = RD_KEY_NOT_FOUND},
    {.status = RD_OK, .offset = 64, .crc32 = BETA_CRC, .value = BETA_VALUE},
    {.status = RD_CORRUPT},
};
static struct rd_response_item entry_items[] = {
    {.key_hash = BETA_HASH, .offset = 64, .len = 40, .crc32 = BETA_CRC},
    {.key_hash = ALPHA_HASH, .offset = 0, .len = 13, .crc32 = ALPHA_CRC},
};
static struct rd_response_store store_rows[] = {
    {.name = TEXT("default"), .entries = 2, .tail = 124, .file_size = 124, SYNC},
    {.name = TEXT("old"),
     .file_size = 4096,
     INTERVAL(500),
     .state = RD_MESSAGE_STORE_FAILED,
     .reason = TEXT("not a store")},
};
static struct rd_response_store new_row = {.name = TEXT("new"), INTERVAL(500)};

/* What the server would answer, by the vector's name. */
struct answer {
    const char *name;
    struct rd_response response;
};

static const struct answer answers[] = {
    {"hello",
     {.limits = {.body_len_max = 80u << 20,
                 .key_len_max = 32u << 10,
                 .batch_count_max = 100000,
                 .in_flight_max = 1024,
                 .stream_window = 1u << 20,
                 .chunk_len_max = 256u << 10}}},
    {"ping", {.status = RD_OK}},
    {"ping with bytes", {.status = RD_OK}},
    {"write", {.offset = 0, .tail = 33, .crc32 = ALPHA_CRC, .key_hash = ALPHA_HASH, SYNC}},
    {"write by hash, durability none",
     {.offset = 64, .tail = 124, .crc32 = BETA_CRC, .key_hash = BETA_HASH, .replaced = true, NONE}},
    {"write of an empty value", {.status = RD_INVALID_ARGUMENT, .message = "Payload cannot be empty."}},
    {"batch_write", {.offset = 64, .tail = 124, .count = 2, INTERVAL(250)}},
    {"batch_write that allows null bytes", {.offset = 124, .tail = 145, .count = 1, SYNC}},
    {"batch_write of nothing", {.tail = 145, SYNC}},
    {"delete", {.tail = 145, .found = true, SYNC}},
    {"delete of a missing key", {.tail = 145, NONE}},
    {"batch_delete", {.tail = 166, .count = 1, SYNC}},
    {"read", {.crc32 = ALPHA_CRC, .key_hash = ALPHA_HASH, .value = ALPHA_VALUE}},
    {"read by hash",
     {.offset = 64, .crc32 = BETA_CRC, .key_hash = BETA_HASH, .prev_tail = 33, .value = BETA_VALUE}},
    {"read of a missing key", {.status = RD_KEY_NOT_FOUND, .message = "no such key"}},
    {"read in a store that does not exist", {.status = RD_STORE_NOT_FOUND, .message = "no store \"nowhere\""}},
    {"batch_read", {.items = read_items, .item_count = 4}},
    {"exists", {.found = true}},
    {"exists, not", {.found = false}},
    {"metadata", {.key_hash = BETA_HASH, .offset = 64, .value_len = 40, .prev_tail = 33, .crc32 = BETA_CRC}},
    {"last", {.key_hash = BETA_HASH, .offset = 64, .value_len = 40, .prev_tail = 33, .crc32 = BETA_CRC}},
    {"last of an empty store", {.status = RD_KEY_NOT_FOUND, .message = "no entry lives"}},
    {"iterate", {.items = entry_items, .item_count = 2}},
    {"iterate, the end", {.status = RD_OK}},
    {"stores", {.stores = store_rows, .store_count = 2}},
    {"create", {.stores = &new_row, .store_count = 1}},
    {"create of a store that exists", {.status = RD_CONFLICT, .message = "the store exists"}},
    {"info", {.stores = store_rows, .store_count = 1}},
    {"drop", {.status = RD_OK}},
};

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

static struct rd_request *decode_vector(const json_t *vector)
{
    struct rd_limits limits = RD_LIMITS_DEFAULT;
    struct rd_decoder *decoder = rd_binary_codec.create(&limits);
    assert_non_null(decoder);
    struct rd_buffer bytes = bytes_of(vector, "request_hex");
    struct rd_request *request = NULL;
    if (!is_hello(vector)) {
        struct rd_buffer hello;
        rd_buffer_init(&hello, 0);
        rd_binary_encode_hello(&hello);
        struct rd_slice input = rd_buffer_slice(&hello);
        assert_int_equal(rd_binary_codec.decode(decoder, &input, &request), RD_DECODE_REQUEST);
        rd_request_destroy(request);
        rd_buffer_deinit(&hello);
    }
    struct rd_slice input = rd_buffer_slice(&bytes);
    if (rd_binary_codec.decode(decoder, &input, &request) != RD_DECODE_REQUEST)
        fail_msg("%s: no request", name_of(vector));
    rd_buffer_deinit(&bytes);
    rd_binary_codec.destroy(decoder);
    return request;
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

static void test_the_server_answers_each_vector_as_recorded(void **state)
{
    (void)state;
    size_t index;
    json_t *vector;
    json_array_foreach(vectors, index, vector)
    {
        struct rd_request *request = decode_vector(vector);
        struct rd_response response = response_of(vector, request);
        struct rd_buffer got;
        rd_buffer_init(&got, 0);
        append_answer(request, &response, &got);
        struct rd_buffer wanted = bytes_of(vector, "response_hex");
        assert_bytes(vector, rd_buffer_slice(&got), rd_buffer_slice(&wanted));
        rd_buffer_deinit(&wanted);
        rd_buffer_deinit(&got);
        rd_request_destroy(request);
    }
}

static void test_the_client_asks_each_valid_vector_as_recorded(void **state)
{
    (void)state;
    size_t index;
    json_t *vector;
    json_array_foreach(vectors, index, vector)
    {
        struct rd_request *request = decode_vector(vector);
        /* what a ping carries is left out by decode: nobody needs it */
        if (request->status == RD_OK && strcmp(name_of(vector), "ping with bytes") != 0) {
            struct rd_buffer got;
            rd_buffer_init(&got, 0);
            size_t follow_len = 0;
            if (is_hello(vector))
                rd_binary_encode_hello(&got);
            else
                assert_int_equal(rd_binary_encode_request(request, &got, &follow_len), RD_OK);
            rd_buffer_append(&got, request->value.data, follow_len);
            struct rd_buffer wanted = bytes_of(vector, "request_hex");
            assert_bytes(vector, rd_buffer_slice(&got), rd_buffer_slice(&wanted));
            rd_buffer_deinit(&wanted);
            rd_buffer_deinit(&got);
        }
        rd_request_destroy(request);
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

static void test_the_client_reads_each_answer_however_it_is_cut(void **state)
{
    (void)state;
    static const size_t part_len_max[] = {1, 5, 1000};
    size_t index;
    json_t *vector;
    json_array_foreach(vectors, index, vector)
    {
        struct rd_request *request = decode_vector(vector);
        struct rd_buffer wanted = bytes_of(vector, "response_hex");
        for (size_t i = 0; i < 3; i++) {
            struct rd_binary_reader reader;
            if (is_hello(vector))
                rd_binary_reader_init(&reader, BODY_LEN_MAX, ITEM_COUNT_MAX);
            else
                greet(&reader, BODY_LEN_MAX);
            struct rd_binary_answer answer;
            if (read_parts(&reader, rd_buffer_slice(&wanted), part_len_max[i], &answer) != RD_BINARY_READ_ANSWER)
                fail_msg("%s: %s", name_of(vector), reader.error);
            assert_int_equal(answer.hello, is_hello(vector));
            assert_int_equal(answer.id, request->id);
            /* what was read, written again: every field took part in it */
            struct rd_buffer again;
            rd_buffer_init(&again, 0);
            append_answer(request, &answer.response, &again);
            assert_bytes(vector, rd_buffer_slice(&again), rd_buffer_slice(&wanted));
            rd_buffer_deinit(&again);
            rd_binary_reader_deinit(&reader);
        }
        rd_buffer_deinit(&wanted);
        rd_request_destroy(request);
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
        bool is_read = bytes.data[RD_WIRE_HEADER_OPCODE] == RD_OPCODE_READ;
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
            if (!is_read)
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
            rd_buffer_append_string(&bytes, "newer");
            rd_store_u32le(bytes.data, (uint32_t)(bytes.len - RD_WIRE_HEADER_LEN));
            struct rd_binary_reader reader;
            greet(&reader, BODY_LEN_MAX);
            struct rd_binary_answer answer;
            assert_int_equal(read_parts(&reader, rd_buffer_slice(&bytes), 16, &answer), RD_BINARY_READ_ANSWER);
            rd_binary_reader_deinit(&reader);
        }
        rd_buffer_deinit(&bytes);
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
        enum rd_binary_read result = read_parts(&reader, rd_buffer_slice(&bytes), 64, &answer);
        assert_int_equal(reader.error != NULL, result == RD_BINARY_READ_BROKEN);
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
        cmocka_unit_test(test_hostile_answers_break_the_reader),
        cmocka_unit_test(test_long_values_go_straight_to_their_place),
        cmocka_unit_test(test_a_value_beyond_a_frame_is_answered_too_large),
        cmocka_unit_test(test_damaged_and_random_answers_never_stop_the_reader),
    };
    return cmocka_run_group_tests_name("binary vectors", tests, setup, teardown);
}
