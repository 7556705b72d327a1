/* SPDX-License-Identifier: MIT
 *
 * http_feed.h - feeds bytes to the HTTP codec, cut in every way, and writes down what comes out as text: one line
 * a request. For the tests of the codec; everything in it belongs to the test that includes it. */
#ifndef RD_TESTS_HTTP_FEED_H
#define RD_TESTS_HTTP_FEED_H

#include "protocol/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/text.h"
#include "protocol/http_encode.h"

#define BYTES(text) text, sizeof text - 1
#define HOST        "Host: h\r\n"
#define JSON_TYPE   "Content-Type: application/json\r\n"
#define KEY_PUT     "PUT /v1/stores/s/keys/k HTTP/1.1\r\n" HOST
#define NEXT        "GET /healthz HTTP/1.1\r\n" HOST END
#define GET         "GET /healthz HTTP/1.1\r\n"
#define CHUNKED     KEY_PUT "Transfer-Encoding: chunked\r\n" END
#define END         "\r\n"

static uint64_t random_state;

/* Call it first in main. */
static void seed_random(void)
{
    const char *seed = getenv("RD_TEST_SEED");
    random_state = seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
    printf("seed: RD_TEST_SEED=%llu\n", (unsigned long long)random_state);
}

static uint32_t next_random(uint32_t below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % below;
}

/* ---- what was decoded, as text ------------------------------------------------------------------------------ */

static void dump_bytes(struct rd_buffer *log, struct rd_slice bytes)
{
    for (size_t i = 0; i < bytes.len && i < 64; i++) {
        if (bytes.data[i] > 0x20 && bytes.data[i] < 0x7f && bytes.data[i] != '\\')
            rd_buffer_append_u8(log, bytes.data[i]);
        else
            rd_buffer_printf(log, "\\%02x", bytes.data[i]);
    }
    uint32_t sum = 0;
    for (size_t i = 0; i < bytes.len; i++)
        sum = sum * 31 + bytes.data[i];
    if (bytes.len > 64)
        rd_buffer_printf(log, "..%zu:%08x", bytes.len, sum);
}

static void dump_key(struct rd_buffer *log, struct rd_message_key key)
{
    if (key.bytes.data == NULL && key.hash != 0)
        rd_buffer_printf(log, " #%016llx", (unsigned long long)key.hash);
    if (key.bytes.data == NULL)
        return;
    rd_buffer_append_string(log, " key=");
    dump_bytes(log, key.bytes);
}

static void dump_named(struct rd_buffer *log, const char *name, struct rd_slice bytes)
{
    if (bytes.len == 0)
        return;
    rd_buffer_printf(log, " %s=", name);
    dump_bytes(log, bytes);
}

static void dump_answer(struct rd_buffer *log, const struct rd_request *request)
{
    struct rd_response response = {.status = request->status};
    struct rd_buffer out;
    rd_buffer_init(&out, 0);
    snprintf(response.message, sizeof response.message, "%s", request->message);
    assert_int_equal(rd_http_codec.encode(request, &response, &out), 0);
    assert_false(out.failed);
    const char *text = (const char *)out.data;
    const char *body = memmem(text, out.len, "\r\n\r\n", 4);
    assert_non_null(body);
    const char *code = memmem(text, out.len, "\"code\":\"", 8);
    const char *allow = memmem(text, out.len, "Allow: ", 7);
    rd_buffer_printf(log, "%.3s", text + 9);
    if (code != NULL)
        rd_buffer_printf(log, " %.*s", (int)strcspn(code + 8, "\""), code + 8);
    if (allow != NULL)
        rd_buffer_printf(log, " allow=%.*s", (int)strcspn(allow + 7, "\r"), allow + 7);
    rd_buffer_deinit(&out);
}

static void dump_condition(struct rd_buffer *log, const char *name, struct rd_message_condition condition)
{
    static const char *const kinds[] = {"", "absent", "present", "version", "not_version"};
    if (condition.kind == RD_MESSAGE_IF_ANYTHING)
        return;
    rd_buffer_printf(log, " %s=%s", name, kinds[condition.kind]);
    if (condition.offset != 0 || condition.crc32 != 0)
        rd_buffer_printf(log, ":%llx-%08x", (unsigned long long)condition.offset, condition.crc32);
}

static void dump_number(struct rd_buffer *log, const char *before, uint64_t number)
{
    rd_buffer_append_string(log, before);
    if (number == UINT64_MAX)
        rd_buffer_append_string(log, "all");
    else
        rd_text_u64_encode(number, log);
}

/* What streams, conditions and moves have. */
static void dump_more(struct rd_buffer *log, const struct rd_request *request)
{
    assert_int_equal(request->streamed, request->opcode == RD_OPCODE_WRITE_STREAM);
    if (request->streamed)
        dump_number(log, " len=", request->stream_len);
    if ((request->codec_flags & RD_HTTP_FLAG_CLOSE) != 0)
        rd_buffer_append_string(log, " last");
    if (request->head_only)
        rd_buffer_append_string(log, " head");
    if (request->target_key.bytes.data != NULL || request->target_key.hash != 0) {
        rd_buffer_append_string(log, " to");
        dump_key(log, request->target_key);
    }
    dump_named(log, "target", request->target_store);
    dump_condition(log, "if", request->condition);
    dump_condition(log, "target_if", request->target_condition);
    dump_named(log, "not", request->not_versions);
    if (request->range.kind == RD_MESSAGE_RANGE_FROM)
        dump_number(log, " from=", request->range.first);
    if (request->range.kind != RD_MESSAGE_RANGE_NONE)
        dump_number(log, request->range.kind == RD_MESSAGE_RANGE_FROM ? "+" : " suffix=", request->range.len);
    dump_condition(log, "range_if", request->range_condition);
}

static void dump(struct rd_buffer *log, const struct rd_request *request, bool with_message)
{
    if (request->status != RD_OK) {
        dump_answer(log, request);
        if (with_message)
            rd_buffer_printf(log, " (%s)", request->message);
    } else {
        assert_null(request->message);
        rd_buffer_append_string(log, rd_operation_find(request->opcode)->name);
        bool continues = request->opcode == RD_OPCODE_CONTINUE;
        assert_int_equal(request->token_use, continues ? RD_MESSAGE_TOKEN_KEPT : RD_MESSAGE_TOKEN_ALONE);
        dump_named(log, "token", request->token);
        dump_named(log, "store", request->store);
        dump_key(log, request->key);
        dump_named(log, "value", request->value);
        dump_named(log, "confirm", request->confirm);
        dump_named(log, "settings", request->settings);
        for (size_t i = 0; i < request->item_count; i++) {
            rd_buffer_append_string(log, " [");
            dump_key(log, request->items[i].key);
            dump_named(log, "value", request->items[i].value);
            rd_buffer_append_string(log, " ]");
        }
        dump_more(log, request);
        if (request->allow_null_bytes)
            rd_buffer_append_string(log, " allow_null_bytes");
        if (request->durability != 0)
            rd_buffer_printf(log, " durability=%d", request->durability);
        if (request->after_offset != 0)
            rd_buffer_printf(log, " after=%llu", (unsigned long long)request->after_offset);
        if (request->limit != 0)
            rd_buffer_printf(log, " limit=%u", request->limit);
        if (request->verify_from != 0)
            dump_number(log, " from=", request->verify_from);
        if (request->verify_bytes_max != 0)
            dump_number(log, " bytes=", request->verify_bytes_max);
        if (request->verify_whole)
            rd_buffer_append_string(log, " whole");
        if (request->backup_from != 0)
            dump_number(log, " file_from=", request->backup_from);
        if (request->backup_generation != 0)
            rd_buffer_printf(log, " generation=%016llx", (unsigned long long)request->backup_generation);
        if (request->range_generation != 0)
            rd_buffer_printf(log, " range_generation=%016llx", (unsigned long long)request->range_generation);
    }
    rd_buffer_append_string(log, request->close_after ? " close\n" : "\n");
}

/* ---- feeding ------------------------------------------------------------------------------------------------ */

enum cut {
    CUT_WHOLE,
    CUT_BYTES,
    CUT_RANDOM,
    CUT_RANDOM_AND_FILL /* takes the place that fill_target offers */
};

struct feed {
    struct rd_decoder *decoder;
    struct rd_buffer log;
    struct rd_buffer chunk; /* pieces of a streamed body since the last line */
    bool with_message;
    bool closed;
    unsigned filled_count; /* how often fill_target had a place */
};

/* Pieces depend on the cuts, what they are together does not. */
static void flush_chunk(struct feed *feed)
{
    if (feed->chunk.len == 0)
        return;
    rd_buffer_append_string(&feed->log, "chunk=");
    dump_bytes(&feed->log, rd_buffer_slice(&feed->chunk));
    rd_buffer_append_string(&feed->log, "\n");
    rd_buffer_clear(&feed->chunk);
}

static void dump_part(struct feed *feed, const struct rd_stream_part *part, struct rd_slice input)
{
    assert_int_equal(part->id, 0);
    if (part->kind == RD_STREAM_CHUNK) {
        assert_true(part->bytes.len != 0 && part->bytes.data + part->bytes.len <= input.data);
        rd_buffer_append_slice(&feed->chunk, part->bytes);
        return;
    }
    flush_chunk(feed);
    assert_true(part->kind == RD_STREAM_END || part->kind == RD_STREAM_ABORT);
    assert_int_equal(part->status != RD_OK, part->kind == RD_STREAM_ABORT);
    rd_buffer_append_string(&feed->log, part->kind == RD_STREAM_END ? "end\n" : "abort ");
    if (part->kind == RD_STREAM_ABORT)
        rd_buffer_append_slice(&feed->log, part->bytes);
    if (part->kind == RD_STREAM_ABORT)
        rd_buffer_append_string(&feed->log, "\n");
}

static void drain(struct feed *feed, struct rd_slice input)
{
    for (;;) {
        struct rd_request *request;
        enum rd_decode result = rd_http_codec.decode(feed->decoder, &input, &request);
        if (result == RD_DECODE_PART) {
            assert_null(request);
            dump_part(feed, rd_http_codec.part(feed->decoder), input);
            continue;
        }
        if (result != RD_DECODE_REQUEST) {
            assert_null(request);
            feed->closed = result == RD_DECODE_CLOSED;
            assert_true(feed->closed || input.len == 0);
            return;
        }
        flush_chunk(feed);
        dump(&feed->log, request, feed->with_message);
        rd_request_destroy(request);
    }
}

/* In a block of its own, so that a read beyond it is noticed, and freed at once, so that a slice into it is. */
static void feed_piece(struct feed *feed, const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len == 0 ? 1 : len);
    assert_non_null(copy);
    memcpy(copy, data, len);
    drain(feed, rd_slice(copy, len));
    free(copy);
}

static void feed_all(struct feed *feed, const void *bytes, size_t len, enum cut cut)
{
    const uint8_t *data = bytes;
    while (len != 0 && !feed->closed) {
        size_t part = cut == CUT_WHOLE ? len : cut == CUT_BYTES ? 1 : 1 + next_random(len > 4000 ? 9000 : 60);
        part = part < len ? part : len;
        size_t room = 0;
        uint8_t *target = NULL;
        if (cut == CUT_RANDOM_AND_FILL)
            target = rd_http_codec.fill_target(feed->decoder, &room);
        if (room != 0) {
            part = part < room ? part : room;
            memcpy(target, data, part);
            rd_http_codec.fill_done(feed->decoder, part);
            drain(feed, rd_slice(NULL, 0));
            feed->filled_count++;
        } else {
            feed_piece(feed, data, part);
        }
        data += part;
        len -= part;
    }
}

static bool over_tls; /* what the connection is said to be */

static struct rd_limits test_limits(void)
{
    return (struct rd_limits){.body_len_max = 1u << 20,
                              .header_len_max = 2000,
                              .key_len_max = 1000,
                              .batch_count_max = 4,
                              .stream_threshold = 500000,
                              .stream_window = 1000,
                              .chunk_len_max = 1000,
                              .in_flight_max = 16,
                              .json_len_max = 1000,
                              .over_tls = over_tls};
}

/* Returns the log, to be freed. */
static char *feed_new(const void *bytes, size_t len, enum cut cut, bool with_message)
{
    struct rd_limits limits = test_limits();
    struct feed feed = {.decoder = rd_http_codec.create(&limits), .with_message = with_message};
    assert_non_null(feed.decoder);
    rd_buffer_init(&feed.log, 0);
    rd_buffer_init(&feed.chunk, 0);
    feed_all(&feed, bytes, len, cut);
    flush_chunk(&feed);
    rd_buffer_deinit(&feed.chunk);
    if (feed.closed)
        rd_buffer_append_string(&feed.log, "closed\n");
    else if (rd_http_codec.mid_request(feed.decoder))
        rd_buffer_append_string(&feed.log, "more\n");
    rd_http_codec.destroy(feed.decoder);
    rd_buffer_append_u8(&feed.log, 0);
    return (char *)feed.log.data;
}

static void expect_log(const char *name, const void *bytes, size_t len, const char *expected)
{
    bool with_message = strchr(expected, '(') != NULL;
    for (int round = 0; round < 12; round++) {
        enum cut cut = round == 0   ? CUT_WHOLE
                       : round == 1 ? CUT_BYTES
                       : round < 7  ? CUT_RANDOM
                                    : CUT_RANDOM_AND_FILL;
        char *log = feed_new(bytes, len, cut, with_message);
        if (strcmp(log, expected) != 0)
            print_error("%s (round %d):\n%s instead of\n%s", name, round, log, expected);
        assert_string_equal(log, expected);
        free(log);
    }
}

struct sample {
    const char *bytes;
    size_t len;
    const char *expected;
};

static void expect_samples(const struct sample *samples, size_t count)
{
    for (size_t i = 0; i < count; i++)
        expect_log(samples[i].bytes, samples[i].bytes, samples[i].len, samples[i].expected);
}

#endif
