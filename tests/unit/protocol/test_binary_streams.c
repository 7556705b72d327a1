/* SPDX-License-Identifier: MIT
 *
 * test_binary_streams.c - values in parts on the binary protocol: what the decoder makes of part frames between
 * others, however the input is cut, and of malformed ones.
 */
#include "tests/unit/protocol/binary_feed.h"

static void append_part(struct rd_buffer *out, struct rd_stream_part part)
{
    rd_binary_encode_part(&part, out);
    rd_buffer_append_slice(out, part.bytes);
    assert_false(out->failed);
}

static void expect_log(struct rd_buffer *bytes, const char *expected)
{
    for (int round = 0; round < 10; round++) {
        enum cut cut = round < CUT_COUNT ? (enum cut)round : CUT_AT_RANDOM;
        struct requests requests = decode_bytes(rd_buffer_slice(bytes), cut, &small_limits);
        assert_string_equal((char *)requests.log.data, expected);
        assert_int_equal(requests.closed, strstr(expected, "close") != NULL);
        requests_deinit(&requests);
    }
    rd_buffer_deinit(bytes);
}

static struct rd_buffer greeted(void)
{
    struct rd_buffer bytes;
    rd_buffer_init(&bytes, 0);
    rd_binary_encode_hello(&bytes);
    return bytes;
}

static void test_two_uploads_and_other_requests_between_each_other(void **state)
{
    (void)state;
    struct rd_buffer bytes = greeted();
    struct rd_request upload = {
        .opcode = RD_OPCODE_WRITE_STREAM, .id = 1, .key = KEY("a"), .stream_len = UINT64_MAX};
    append_request(&bytes, &upload);
    upload.id = 2;
    append_request(&bytes, &upload);
    append_part(&bytes, (struct rd_stream_part){.id = 1, .bytes = TEXT("one")});
    append_part(&bytes, (struct rd_stream_part){.id = 2, .bytes = TEXT("two")});
    append_part(&bytes, (struct rd_stream_part){.id = 1, .bytes = TEXT("-and")});
    append_part(&bytes, (struct rd_stream_part){.id = 1, .bytes = TEXT("-more")});
    append_frame(&bytes, RD_OPCODE_PING, 3, rd_slice("", 0));
    append_part(&bytes, (struct rd_stream_part){.id = 1}); /* no bytes */
    append_part(&bytes, (struct rd_stream_part){.kind = RD_STREAM_END, .id = 1});
    struct rd_request download = {.opcode = RD_OPCODE_READ_STREAM, .id = 4, .key = KEY("a"), .stream_credit = 5};
    append_request(&bytes, &download);
    append_part(&bytes, (struct rd_stream_part){.kind = RD_STREAM_CREDIT, .id = 4, .credit = UINT64_MAX});
    append_part(&bytes, (struct rd_stream_part){.kind = RD_STREAM_ABORT, .id = 2});
    append_part(&bytes, (struct rd_stream_part){.kind = RD_STREAM_END, .id = 99}); /* of no stream */
    append_frame(&bytes, RD_OPCODE_PING, 5, rd_slice("", 0));
    expect_log(&bytes, "hello 0\nwrite_stream 1\nwrite_stream 2\nchunk 1 one\nchunk 2 two\nchunk 1 -and-more\n"
                       "ping 3\nend 1\nread_stream 4\ncredit 4 18446744073709551615\nabort 2\nend 99\nping 5\n");
}

static void test_a_chunk_of_the_limit_passes_and_one_byte_more_does_not(void **state)
{
    (void)state;
    static const uint8_t letters[] = "abcdefghijklmnopqrstuvwxyzabcdefg";
    struct rd_buffer bytes = greeted();
    append_frame(&bytes, RD_WIRE_PART_CHUNK, 7, rd_slice(letters, 32));
    append_frame(&bytes, RD_WIRE_PART_CHUNK, 8, rd_slice(letters, 33));
    append_frame(&bytes, RD_OPCODE_PING, 9, rd_slice("", 0));
    expect_log(&bytes, "hello 0\nchunk 7 abcdefghijklmnopqrstuvwxyzabcdef\nnone 8 too_large close\n");
}

static void test_malformed_parts_are_answered_and_end_the_connection(void **state)
{
    (void)state;
    static const struct {
        uint8_t opcode;
        uint8_t flags;
        struct rd_slice body;
    } rows[] = {
        {RD_WIRE_PART_CHUNK, 1, TEXT("x")},
        {RD_WIRE_PART_CHUNK, 0x80, TEXT("")},
        {RD_WIRE_PART_END, 1, TEXT("")},
        {RD_WIRE_PART_END, 0, TEXT("x")},
        {RD_WIRE_PART_ABORT, 0, TEXT("\0\0\0\0")},
        {RD_WIRE_PART_CREDIT, 0, TEXT("")},
        {RD_WIRE_PART_CREDIT, 0, TEXT("1234567")},
        {RD_WIRE_PART_CREDIT, 0, TEXT("123456789")},
        {RD_WIRE_PART_CREDIT, 2, TEXT("12345678")},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rd_buffer bytes = greeted();
        append_flagged_frame(&bytes, rows[i].opcode, rows[i].flags, 6, rows[i].body);
        append_frame(&bytes, RD_OPCODE_PING, 7, rd_slice("", 0));
        struct requests requests = decode_bytes(rd_buffer_slice(&bytes), CUT_NOWHERE, &small_limits);
        assert_int_equal(requests.count, 2);
        struct rd_buffer answer;
        rd_buffer_init(&answer, 0);
        struct rd_response response = {.status = requests.list[1]->status, .message = "no"};
        rd_binary_codec.encode(requests.list[1], &response, &answer);
        assert_int_equal(rd_wire_load_header(answer.data).opcode, rows[i].opcode);
        rd_buffer_deinit(&answer);
        requests_deinit(&requests);
        expect_log(&bytes, "hello 0\nnone 6 invalid_argument close\n");
    }
}

static void test_a_part_cut_at_every_byte_waits(void **state)
{
    (void)state;
    struct rd_buffer bytes = greeted();
    append_part(&bytes, (struct rd_stream_part){.id = 1, .bytes = TEXT("four")});
    append_part(&bytes, (struct rd_stream_part){.kind = RD_STREAM_CREDIT, .id = 1, .credit = 9});
    append_part(&bytes, (struct rd_stream_part){.kind = RD_STREAM_END, .id = 1});
    size_t hello_len = RD_WIRE_PREAMBLE_LEN;
    size_t chunk_end = hello_len + RD_WIRE_HEADER_LEN + 4;
    size_t credit_end = chunk_end + RD_WIRE_HEADER_LEN + RD_WIRE_PART_CREDIT_LEN;
    for (size_t len = hello_len; len <= bytes.len; len++) {
        struct requests requests = decode_bytes(rd_slice(bytes.data, len), CUT_NOWHERE, &small_limits);
        bool between = len == hello_len || len == chunk_end || len == credit_end || len == bytes.len;
        assert_int_equal(requests.mid_request, !between);
        assert_int_equal(strstr((char *)requests.log.data, "credit") != NULL, len >= credit_end);
        requests_deinit(&requests);
    }
    rd_buffer_deinit(&bytes);
}

/* Its parts are under way all the same; that the request is not `streamed` says that nobody waits for them. */
static void test_a_refused_upload_expects_no_parts(void **state)
{
    (void)state;
    struct rd_buffer bytes = greeted();
    struct rd_request upload = {.opcode = RD_OPCODE_WRITE_STREAM, .id = 1, .key = KEY("much too long")};
    append_request(&bytes, &upload);
    append_part(&bytes, (struct rd_stream_part){.id = 1, .bytes = TEXT("x")});
    struct requests requests = decode_bytes(rd_buffer_slice(&bytes), CUT_EVERYWHERE, &small_limits);
    assert_int_equal(requests.list[1]->status, RD_TOO_LARGE);
    assert_false(requests.list[1]->streamed);
    requests_deinit(&requests);
    expect_log(&bytes, "hello 0\nwrite_stream 1 too_large\nchunk 1 x\n");
}

static void test_random_parts_are_the_same_however_they_are_cut(void **state)
{
    (void)state;
    for (int round = 0; round < 3000; round++) {
        struct rd_buffer bytes = greeted();
        for (int frames = 0; frames < 6; frames++) {
            static const uint8_t letters[] = "0123456789abcdefghijklmnopqrstuvwxyz";
            uint8_t opcode = (uint8_t)(RD_WIRE_PART_CHUNK + next_random() % 5);
            size_t len = opcode == RD_WIRE_PART_CREDIT ? 8 : opcode == RD_WIRE_PART_CHUNK ? next_random() % 33 : 0;
            if (next_random() % 16 == 0)
                len = next_random() % 36;
            append_flagged_frame(&bytes, opcode, next_random() % 32 == 0, next_random() % 3,
                                 rd_slice(letters, len));
        }
        struct requests whole = decode_bytes(rd_buffer_slice(&bytes), CUT_NOWHERE, &small_limits);
        char *log = strdup((char *)whole.log.data);
        requests_deinit(&whole);
        expect_log(&bytes, log);
        free(log);
    }
}

static void test_the_server_encodes_parts_within_its_bounds(void **state)
{
    (void)state;
    static const uint8_t long_message[5000];
    struct rd_buffer out;
    rd_buffer_init(&out, 0);
    struct rd_stream_part part = {
        .kind = RD_STREAM_ABORT, .id = 1, .status = RD_CORRUPT, .bytes = {long_message, sizeof long_message}};
    rd_binary_codec.encode_part(&part, &out);
    assert_false(out.failed);
    assert_int_equal(rd_wire_load_header(out.data).body_len, out.len - RD_WIRE_HEADER_LEN);
    assert_true(out.len < 2000);
    rd_buffer_deinit(&out);
    for (size_t len_max = 1; len_max < 30; len_max++) {
        rd_buffer_init(&out, len_max);
        part.bytes.len = 10;
        rd_binary_codec.encode_part(&part, &out);
        assert_true(out.failed && out.len <= len_max);
        rd_buffer_deinit(&out);
    }
}

static int setup(void **state)
{
    (void)state;
    seed_random();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_uploads_and_other_requests_between_each_other),
        cmocka_unit_test(test_a_chunk_of_the_limit_passes_and_one_byte_more_does_not),
        cmocka_unit_test(test_malformed_parts_are_answered_and_end_the_connection),
        cmocka_unit_test(test_a_part_cut_at_every_byte_waits),
        cmocka_unit_test(test_a_refused_upload_expects_no_parts),
        cmocka_unit_test(test_random_parts_are_the_same_however_they_are_cut),
        cmocka_unit_test(test_the_server_encodes_parts_within_its_bounds),
    };
    return cmocka_run_group_tests_name("binary streams", tests, setup, NULL);
}
