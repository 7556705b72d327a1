/* SPDX-License-Identifier: MIT
 *
 * The HTTP codec's decoder: values that come in parts, conditions and ranges, rename, copy and transfer. */
#include "tests/unit/protocol/http_feed.h"

#define LONG_PUT(more) KEY_PUT "Content-Length: 500001\r\n" more END
#define KEY_GET        "GET /v1/stores/s/keys/k HTTP/1.1\r\n" HOST
#define KEY_HEAD       "HEAD /v1/stores/s/keys/k HTTP/1.1\r\n" HOST
#define KEY_DELETE     "DELETE /v1/stores/s/keys/k HTTP/1.1\r\n" HOST
#define HASH_PUT       "PUT /v1/stores/s/hashes/00000000000000ff HTTP/1.1\r\n" HOST
#define POST(leaf)     "POST /v1/stores/s/" leaf " HTTP/1.1\r\n" HOST JSON_TYPE
#define TAG            "\"1f40-00abcdef\""
#define TAG_0          "\"0-ffffffff\""

/* ---- streams ------------------------------------------------------------------------------------------------ */

static const struct sample streams[] = {
    {BYTES(CHUNKED "3\r\nabc\r\n0\r\n\r\n" NEXT), "write_stream store=s key=k len=all\nchunk=abc\nend\nhealth\n"},
    {BYTES(CHUNKED "3\r\nabc\r\n2\r\nde\r\n"), "write_stream store=s key=k len=all\nchunk=abcde\nmore\n"},
    {BYTES(CHUNKED), "write_stream store=s key=k len=all\nmore\n"},
    {BYTES(LONG_PUT("") "abc"), "write_stream store=s key=k len=500001\nchunk=abc\nmore\n"},
    {BYTES(LONG_PUT("Expect: 100-continue\r\n")), "continue\nwrite_stream store=s key=k len=500001\nmore\n"},
    {BYTES(HASH_PUT "If-None-Match: *\r\nContent-Length: 281474976710655\r\n" END "x"),
     "write_stream store=s #00000000000000ff len=281474976710655 if=absent\nchunk=x\nmore\n"},
    {BYTES("PUT /v1/stores/s/keys/?durability=none HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END
           "0\r\n\r\n"),
     "write_stream store=s key= len=all durability=3\nend\n"},
    {BYTES(KEY_PUT "Connection: close\r\nTransfer-Encoding: chunked\r\n" END "1\r\nx\r\n0\r\n\r\n" NEXT),
     "write_stream store=s key=k len=all last\nchunk=x\nend\nclosed\n"},
    {BYTES("PUT /v1/stores/s/keys/k HTTP/1.0\r\nContent-Length: 500001\r\n" END "x"),
     "write_stream store=s key=k len=500001 last\nchunk=x\nmore\n"},
    {BYTES("PUT /nope HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END "1\r\n"),
     "404 not_found close\nclosed\n"},
    {BYTES(KEY_PUT "If-Match: \"x\"\r\nContent-Length: 500001\r\nExpect: 100-continue\r\n" END),
     "412 precondition_failed close\nclosed\n"},
};

static void test_streams(void **state)
{
    (void)state;
    expect_samples(streams, sizeof streams / sizeof streams[0]);
}

/* The threshold itself is still read into the request; one byte more is not, and memory stays out of it. */
static void test_threshold(void **state)
{
    (void)state;
    for (uint32_t extra = 0; extra <= 1; extra++) {
        uint32_t len = test_limits().stream_threshold + extra;
        struct rd_buffer bytes;
        struct rd_buffer expected;
        rd_buffer_init(&bytes, 0);
        rd_buffer_init(&expected, 0);
        rd_buffer_printf(&bytes, KEY_PUT "Content-Length: %u\r\n" END, len);
        uint32_t sum = 0;
        for (uint32_t i = 0; i < len; i++) {
            rd_buffer_append_u8(&bytes, (uint8_t)('a' + i % 26));
            sum = sum * 31 + 'a' + i % 26;
        }
        rd_buffer_append_string(&bytes, NEXT);
        const char *alphabet = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl";
        rd_buffer_printf(&expected,
                         extra == 0 ? "write store=s key=k value=%s..%u:%08x\nhealth\n"
                                    : "write_stream store=s key=k len=500001\nchunk=%s..%u:%08x\nend\nhealth\n",
                         alphabet, len, sum);
        rd_buffer_append_u8(&expected, 0);
        for (enum cut cut = CUT_WHOLE; cut <= CUT_RANDOM_AND_FILL; cut++) {
            char *log = feed_new(bytes.data, bytes.len, cut, false);
            assert_string_equal(log, (char *)expected.data);
            free(log);
        }
        rd_buffer_deinit(&bytes);
        rd_buffer_deinit(&expected);
    }
}

static void test_mid_request_of_a_stream(void **state)
{
    (void)state;
    struct rd_limits limits = test_limits();
    struct feed feed = {.decoder = rd_http_codec.create(&limits)};
    size_t room = 1;
    rd_buffer_init(&feed.log, 0);
    rd_buffer_init(&feed.chunk, 0);
    feed_all(&feed, BYTES(CHUNKED), CUT_BYTES);
    assert_true(rd_http_codec.mid_request(feed.decoder));
    assert_null(rd_http_codec.fill_target(feed.decoder, &room));
    assert_int_equal(room, 0);
    feed_all(&feed, BYTES("1\r\nx\r\n0\r\n\r\n"), CUT_BYTES);
    assert_false(rd_http_codec.mid_request(feed.decoder));
    feed_all(&feed, BYTES(KEY_PUT "Content-Length: 500001\r\nExpect: 100-continue\r\n" END), CUT_BYTES);
    assert_true(rd_http_codec.mid_request(feed.decoder));
    rd_http_codec.destroy(feed.decoder); /* with a stream under way */
    rd_buffer_deinit(&feed.log);
    rd_buffer_deinit(&feed.chunk);
    assert_null(rd_http_codec.encode_part);
}

/* ---- conditions --------------------------------------------------------------------------------------------- */

#define WRITE_IF(header, expected)                                                                                \
    {                                                                                                             \
        BYTES(KEY_PUT header "\r\n" END NEXT), expected "\nhealth\n"                                              \
    }
#define READ_IF(header, expected)                                                                                 \
    {                                                                                                             \
        BYTES(KEY_GET header "\r\n" END NEXT), expected "\nhealth\n"                                              \
    }
#define NO_VERSION        "412 precondition_failed (If-Match names no version of this server)"
#define MALFORMED(header) "400 invalid_argument (malformed " header " header: \"*\", or tags in double quotes)"
#define WRITES            "write store=s key=k"
#define READS             "read store=s key=k"

static const struct sample conditions[] = {
    WRITE_IF("If-Match: *", WRITES " if=present"),
    WRITE_IF("If-Match: " TAG, WRITES " if=version:1f40-00abcdef"),
    WRITE_IF("If-Match: , \"foreign\",\t" TAG " ,", WRITES " if=version:1f40-00abcdef"),
    WRITE_IF("If-Match: \"ffffffffffffffff-00000000\"", WRITES " if=version:ffffffffffffffff-00000000"),
    WRITE_IF("If-Match: W/" TAG, NO_VERSION),
    WRITE_IF("If-Match: \"foreign\"", NO_VERSION),
    WRITE_IF("If-Match: \"\"", NO_VERSION),
    WRITE_IF("If-Match: \"1F40-00abcdef\"", NO_VERSION),
    WRITE_IF("If-Match: \"01f40-00abcdef\"", NO_VERSION),
    WRITE_IF("If-Match: \"10000000000000000-00abcdef\"", NO_VERSION),
    WRITE_IF("If-Match: \"1f40-0abcdef\"", NO_VERSION),
    WRITE_IF("If-Match: \"1f40_00abcdef\"", NO_VERSION),
    WRITE_IF("If-Match: \"-00abcdef\"", NO_VERSION),
    WRITE_IF("If-Match: " TAG "," TAG_0, "400 invalid_argument (If-Match may name one version only)"),
    WRITE_IF("If-Match: 1f40-00abcdef", MALFORMED("If-Match")),
    WRITE_IF("If-Match:", MALFORMED("If-Match")),
    WRITE_IF("If-Match: ,", MALFORMED("If-Match")),
    WRITE_IF("If-Match: \"open", MALFORMED("If-Match")),
    WRITE_IF("If-Match: " TAG TAG, MALFORMED("If-Match")),
    WRITE_IF("If-Match: *, " TAG, MALFORMED("If-Match")),
    WRITE_IF("If-None-Match: *", WRITES " if=absent"),
    WRITE_IF("If-None-Match: " TAG, "400 invalid_argument (If-None-Match must be * here)"),
    WRITE_IF("If-None-Match: *\r\nIf-Match: *",
             "400 invalid_argument (If-Match and If-None-Match exclude each other)"),
    WRITE_IF("If-Modified-Since: Sat, 29 Oct 1994 19:43:31 GMT\r\nIf-Range: " TAG "\r\nRange: bytes=0-1", WRITES),
    {BYTES(KEY_DELETE "If-Match: " TAG_0 "\r\n" END), "delete store=s key=k if=version:0-ffffffff\n"},
    {BYTES(KEY_DELETE "If-None-Match: *\r\n" END), "delete store=s key=k if=absent\n"},
    READ_IF("If-Match: " TAG, READS " if=version:1f40-00abcdef"),
    READ_IF("If-Match: *", READS " if=present"),
    READ_IF("If-Match: \"foreign\"", NO_VERSION),
    READ_IF("If-None-Match: " TAG, READS " if=not_version:1f40-00abcdef"),
    READ_IF("If-None-Match: W/" TAG, READS " if=not_version:1f40-00abcdef"),
    READ_IF("If-None-Match: \"foreign\"", READS),
    READ_IF("If-None-Match: \"a\", \"b,\"", READS),
    READ_IF("If-None-Match: *", READS " not=*"),
    READ_IF("If-None-Match: " TAG ",W/" TAG_0, READS " not=" TAG ",W/" TAG_0),
    READ_IF("If-None-Match: " TAG "\r\nIf-Match: *", READS " if=present not=" TAG),
    READ_IF("If-None-Match: nonsense", MALFORMED("If-None-Match")),
    {BYTES(KEY_HEAD "If-None-Match: " TAG "\r\nRange: bytes=0-1\r\n" END),
     "metadata store=s key=k head if=not_version:1f40-00abcdef\n"},
    {BYTES("GET /v1/stores/s HTTP/1.1\r\n" HOST "If-None-Match: *\r\n" END), "info store=s\n"},
    {BYTES("PUT /v1/stores/s HTTP/1.1\r\n" HOST "If-None-Match: *\r\n" END),
     "400 invalid_argument (this request takes neither If-Match nor If-None-Match)\n"},
    {BYTES(POST("copy") "If-Match: *\r\nContent-Length: 2\r\n" END "{}" NEXT),
     "400 invalid_argument (this request takes neither If-Match nor If-None-Match)\nhealth\n"},
};

static void test_conditions(void **state)
{
    (void)state;
    expect_samples(conditions, sizeof conditions / sizeof conditions[0]);
}

static const struct sample ranges[] = {
    READ_IF("Range: bytes=0-0", READS " from=0+1"),
    READ_IF("Range: bytes=7-12", READS " from=7+6"),
    READ_IF("Range: Bytes=7-", READS " from=7+all"),
    READ_IF("Range: bytes=-100", READS " suffix=100"),
    READ_IF("Range: bytes=-0", READS " suffix=0"),
    READ_IF("Range: bytes=0-18446744073709551615", READS " from=0+all"),
    READ_IF("Range: bytes=1-99999999999999999999999", READS " from=1+all"),
    READ_IF("Range: bytes=99999999999999999999999-", READS " from=all+all"),
    READ_IF("Range: bytes=-99999999999999999999999", READS " suffix=all"),
    READ_IF("Range: bytes=0-0,2-3", READS),
    READ_IF("Range: bytes=5-4", READS),
    READ_IF("Range: bytes=-", READS),
    READ_IF("Range: bytes=", READS),
    READ_IF("Range: bytes", READS),
    READ_IF("Range:", READS),
    READ_IF("Range: bytes= 0-1", READS),
    READ_IF("Range: bytes=0-1x", READS),
    READ_IF("Range: bytes=--1", READS),
    READ_IF("Range: items=0-1", READS),
    READ_IF("Range: bytes=0-1\r\nRange: bytes=0-1", READS),
    READ_IF("Range: bytes=0-1\r\nIf-Range: " TAG, READS " from=0+2 range_if=version:1f40-00abcdef"),
    READ_IF("Range: bytes=0-1\r\nIf-Range: W/" TAG, READS),
    READ_IF("Range: bytes=0-1\r\nIf-Range: \"foreign\"", READS),
    READ_IF("Range: bytes=0-1\r\nIf-Range: Sat, 29 Oct 1994 19:43:31 GMT", READS),
    READ_IF("Range: bytes=0-1\r\nIf-Range: " TAG ", " TAG_0, READS),
    READ_IF("Range: bytes=0-1\r\nIf-Range:", READS),
    READ_IF("If-Range: " TAG, READS),
    {BYTES("GET /v1/stores HTTP/1.1\r\n" HOST "Range: bytes=0-1\r\n" END), "stores\n"},
};

static void test_ranges(void **state)
{
    (void)state;
    expect_samples(ranges, sizeof ranges / sizeof ranges[0]);
}

/* ---- rename, copy, transfer --------------------------------------------------------------------------------- */

static const struct sample moves[] = {
    {BYTES(POST("rename") "Content-Length: 21\r\n" END "{\"from\":\"a\",\"to\":\"b\"}" NEXT),
     "rename store=s key=a to key=b\nhealth\n"},
    {BYTES("POST /v1/stores/s/rename?durability=none HTTP/1.1\r\n" HOST JSON_TYPE "If-Match: " TAG
           "\r\nIf-None-Match: *\r\nTransfer-Encoding: chunked\r\n" END
           "34\r\n{\"from_hash\":\"00000000000000ab\",\"to_base64\":\"AP8=\" }\r\n0\r\n\r\n"),
     "rename store=s #00000000000000ab to key=\\00\\ff if=version:1f40-00abcdef target_if=absent durability=3\n"},
    {BYTES(POST("copy") "Content-Length: 29\r\n" END "{\"key\":\"\",\"target\":\"other\"}  "),
     "copy store=s key= target=other\n"},
    {BYTES(POST("transfer") "Content-Length: 45\r\n" END "{\"target\":\"o\",\"key_hash\":\"0123456789abcdef\" }"),
     "transfer store=s #0123456789abcdef target=o\n"},
    {BYTES(POST("rename") "Content-Length: 12\r\n" END "{\"from\":\"a\"}" NEXT),
     "400 invalid_argument (needs one of to, to_base64, to_hash)\nhealth\n"},
    {BYTES(POST("copy") END NEXT), "400 invalid_argument (the body is empty, JSON is needed)\nhealth\n"},
    {BYTES("POST /v1/stores/s/transfer HTTP/1.1\r\n" HOST "Content-Length: 2\r\n" END "{}" NEXT),
     "415 unsupported_media_type\nhealth\n"},
    {BYTES("GET /v1/stores/s/rename HTTP/1.1\r\n" HOST END NEXT), "405 method_not_allowed allow=POST\nhealth\n"},
    {BYTES("POST /v1/stores/s/copy?durability=none HTTP/1.1\r\n" HOST END NEXT),
     "400 invalid_argument (unknown query parameter: durability)\nhealth\n"},
};

static void test_moves(void **state)
{
    (void)state;
    expect_samples(moves, sizeof moves / sizeof moves[0]);
}

/* ---- chance ------------------------------------------------------------------------------------------------- */

static void mutate(struct rd_buffer *bytes)
{
    static const char spice[] = "\r\n \";,-*=/W\"0af";
    for (uint32_t changes = 1 + next_random(3); changes > 0; changes--)
        bytes->data[next_random((uint32_t)bytes->len)] = (uint8_t)spice[next_random(sizeof spice - 1)];
}

static void test_mutated(void **state)
{
    (void)state;
    static const struct {
        const struct sample *samples;
        uint32_t count;
    } sets[] = {{streams, sizeof streams / sizeof streams[0]},
                {conditions, sizeof conditions / sizeof conditions[0]},
                {ranges, sizeof ranges / sizeof ranges[0]},
                {moves, sizeof moves / sizeof moves[0]}};
    for (int round = 0; round < 6000; round++) {
        uint32_t set = next_random(4);
        const struct sample *sample = &sets[set].samples[next_random(sets[set].count)];
        struct rd_buffer bytes;
        rd_buffer_init(&bytes, 0);
        rd_buffer_append(&bytes, sample->bytes, sample->len);
        mutate(&bytes);
        char *whole = feed_new(bytes.data, bytes.len, CUT_WHOLE, true);
        for (enum cut cut = CUT_BYTES; cut <= CUT_RANDOM_AND_FILL; cut++) {
            char *log = feed_new(bytes.data, bytes.len, cut, true);
            assert_string_equal(log, whole);
            free(log);
        }
        free(whole);
        rd_buffer_deinit(&bytes);
    }
}

int main(void)
{
    seed_random();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_threshold),
        cmocka_unit_test(test_mid_request_of_a_stream),
        cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_moves),
        cmocka_unit_test(test_mutated),
    };
    return cmocka_run_group_tests_name("http_streams", tests, NULL, NULL);
}
