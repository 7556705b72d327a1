/* SPDX-License-Identifier: MIT
 *
 * redis_feed.h - feeds bytes to the Redis codec, cut in every way, and writes down what comes out as text: one
 * line a request. For the tests of the codec; everything in it belongs to the test that includes it. */
#ifndef RD_TESTS_REDIS_FEED_H
#define RD_TESTS_REDIS_FEED_H

#include "protocol/redis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/text.h"
#include "protocol/guards.h"
#include "protocol/redis_answer.h"

#define UNUSED      __attribute__((unused))
#define BYTES(text) text, sizeof text - 1

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
    for (size_t i = 0; i < bytes.len && i < 160; i++) {
        if (bytes.data[i] >= 0x20 && bytes.data[i] < 0x7f && bytes.data[i] != '\\')
            rd_buffer_append_u8(log, bytes.data[i]);
        else
            rd_buffer_printf(log, "\\%02x", bytes.data[i]);
    }
    uint32_t sum = 0;
    for (size_t i = 0; i < bytes.len; i++)
        sum = sum * 31 + bytes.data[i];
    if (bytes.len > 160)
        rd_buffer_printf(log, "..%zu:%08x", bytes.len, sum);
}

static void dump_named(struct rd_buffer *log, const char *name, struct rd_slice bytes)
{
    if (bytes.data == NULL)
        return;
    rd_buffer_printf(log, " %s=", name);
    dump_bytes(log, bytes);
}

static void dump_condition(struct rd_buffer *log, const char *name, struct rd_message_condition condition)
{
    static const char *const kinds[] = {"", "absent", "present", "version", "not_version"};
    if (condition.kind != RD_MESSAGE_IF_ANYTHING)
        rd_buffer_printf(log, " %s=%s", name, kinds[condition.kind]);
}

static void dump_lists(struct rd_buffer *log, const struct rd_request *request)
{
    for (size_t i = 0; i < request->look_count; i++) {
        const char *wanted = request->looks[i].key_only ? " <tell" : " <show";
        rd_buffer_append_string(log, request->looks[i].value_wanted ? wanted : " <");
        dump_named(log, "key", request->looks[i].key.bytes);
        dump_condition(log, "if", request->looks[i].condition);
        rd_buffer_append_string(log, ">");
    }
    for (size_t i = 0; i < request->item_count; i++) {
        const struct rd_message_change *change = request->changes != NULL ? &request->changes[i] : NULL;
        rd_buffer_append_string(log, change != NULL && change->deletes ? " [delete" : " [");
        if (request->items[i].key_only)
            rd_buffer_append_string(log, "tell");
        dump_named(log, "key", request->items[i].key.bytes);
        dump_named(log, "value", request->items[i].value);
        if (change != NULL)
            dump_condition(log, "if", change->condition);
        rd_buffer_append_string(log, "]");
    }
    if (request->guards == NULL)
        return;
    rd_buffer_append_string(log, " guards");
    for (size_t i = 0; i < request->guards->count; i++) {
        bool own = i >= request->guard_first && i < request->guard_first + request->guard_count;
        rd_buffer_append_string(log, own ? " *" : " ");
        dump_bytes(log, request->guards->list[i].key);
    }
}

static void dump_rest(struct rd_buffer *log, const struct rd_request *request)
{
    dump_named(log, "to", request->target_key.bytes);
    if (request->target_store.data != NULL && request->opcode != RD_OPCODE_RENAME)
        dump_named(log, "target", request->target_store);
    dump_condition(log, "if", request->condition);
    dump_condition(log, "target_if", request->target_condition);
    if (request->range.kind == RD_MESSAGE_RANGE_BETWEEN)
        rd_buffer_printf(log, " range=%lld..%lld", (long long)request->range.from, (long long)request->range.to);
    if (request->streamed)
        rd_buffer_printf(log, " len=%llu", (unsigned long long)request->stream_len);
    if (request->with_stores)
        rd_buffer_append_string(log, " with_stores");
    if (request->durability != 0)
        rd_buffer_printf(log, " durability=%d", request->durability);
    if (request->creates_store)
        rd_buffer_append_string(log, " creates");
    if (request->in_background)
        rd_buffer_append_string(log, " in_background");
}

/* A ready answer as it would be sent. */
static void dump_answer(struct rd_buffer *log, const struct rd_request *request)
{
    struct rd_response response = {.status = request->status};
    if (request->message != NULL)
        snprintf(response.message, sizeof response.message, "%s", request->message);
    struct rd_buffer out;
    rd_buffer_init(&out, 0);
    assert_int_equal(rd_redis_codec.encode(request, &response, &out), 0);
    assert_false(out.failed);
    struct rd_slice text = rd_buffer_slice(&out);
    if (text.len >= 2 && memcmp(text.data + text.len - 2, "\r\n", 2) == 0)
        text.len -= 2;
    dump_bytes(log, text);
    if (text.len == 0)
        rd_buffer_append_string(log, "silence");
    rd_buffer_deinit(&out);
}

static const char *const answer_names[RD_REDIS_ANSWER_COUNT] = {
    [RD_REDIS_OK] = "ok",
    [RD_REDIS_OK_IF] = "ok_if",
    [RD_REDIS_VALUE] = "value",
    [RD_REDIS_BEFORE] = "before",
    [RD_REDIS_VALUES] = "values",
    [RD_REDIS_RANGE] = "range",
    [RD_REDIS_LENGTH] = "length",
    [RD_REDIS_TYPE] = "type",
    [RD_REDIS_FOUND] = "found",
    [RD_REDIS_DELETED] = "deleted",
    [RD_REDIS_APPLIED] = "applied",
    [RD_REDIS_RENAMED] = "renamed",
    [RD_REDIS_RENAMED_IF] = "renamed_if",
    [RD_REDIS_KEPT] = "kept",
    [RD_REDIS_KEPT_IF] = "kept_if",
    [RD_REDIS_COUNT] = "count",
    [RD_REDIS_SYNCED] = "synced",
    [RD_REDIS_REWRITING] = "rewriting",
    [RD_REDIS_TIME] = "time",
    [RD_REDIS_SAVED] = "saved",
    [RD_REDIS_CLIENT_ID] = "client_id",
    [RD_REDIS_CLIENT_LIST] = "client_list",
    [RD_REDIS_GREETING] = "greeting",
    [RD_REDIS_AUTHED] = "authed",
    [RD_REDIS_AUTHED_AS] = "authed_as",
    [RD_REDIS_INFO] = "info",
    [RD_REDIS_EXEC] = "exec",
};

static void dump(struct rd_buffer *log, const struct rd_request *request)
{
    uint32_t answer = request->codec_flags & RD_REDIS_FLAG_ANSWER;
    if (answer == RD_REDIS_READY) {
        assert_true(request->opcode == RD_OPCODE_PING || request->status != RD_OK);
        dump_answer(log, request);
    } else {
        assert_int_equal(request->status, RD_OK);
        rd_buffer_printf(log, "%s", rd_operation_find(request->opcode)->name);
        if (request->store.len != 0)
            dump_named(log, "store", request->store);
        assert_int_equal(request->token_use,
                         request->token.data != NULL ? RD_MESSAGE_TOKEN_SHOWN : RD_MESSAGE_TOKEN_KEPT);
        dump_named(log, "token", request->token);
        dump_named(log, "key", request->key.bytes);
        dump_named(log, "value", request->value);
        dump_lists(log, request);
        dump_rest(log, request);
        rd_buffer_printf(log, " -> %s", answer_names[answer]);
        if ((request->codec_flags & RD_REDIS_FLAG_RESP3) != 0)
            rd_buffer_append_string(log, " resp3");
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
    struct rd_buffer chunk; /* pieces of a streamed value since the last line */
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
    rd_buffer_append_string(&feed->log, part->kind == RD_STREAM_END ? "end" : "abort");
    dump_condition(&feed->log, "if", part->condition);
    if (part->status != RD_OK)
        dump_named(&feed->log, "refused", part->bytes);
    rd_buffer_append_string(&feed->log, "\n");
}

static void drain(struct feed *feed, struct rd_slice input)
{
    for (;;) {
        struct rd_request *request;
        enum rd_decode result = rd_redis_codec.decode(feed->decoder, &input, &request);
        if (result == RD_DECODE_PART) {
            assert_null(request);
            dump_part(feed, rd_redis_codec.part(feed->decoder), input);
            continue;
        }
        if (result != RD_DECODE_REQUEST) {
            assert_null(request);
            feed->closed = result == RD_DECODE_CLOSED;
            assert_true(feed->closed || input.len == 0);
            return;
        }
        flush_chunk(feed);
        dump(&feed->log, request);
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
            target = rd_redis_codec.fill_target(feed->decoder, &room);
        if (room != 0) {
            part = part < room ? part : room;
            memcpy(target, data, part);
            rd_redis_codec.fill_done(feed->decoder, part);
            drain(feed, rd_slice(data, 0));
            feed->filled_count++;
        } else {
            feed_piece(feed, data, part);
        }
        data += part;
        len -= part;
    }
}

static struct rd_limits test_limits(void)
{
    return (struct rd_limits){.body_len_max = 1u << 20,
                              .header_len_max = 2000,
                              .key_len_max = 1000,
                              .batch_count_max = 4,
                              .stream_threshold = 500000,
                              .stream_window = 1000,
                              .chunk_len_max = 1000,
                              .in_flight_max = 16};
}

static void feed_init(struct feed *feed, const struct rd_limits *limits)
{
    *feed = (struct feed){.decoder = rd_redis_codec.create(limits)};
    assert_non_null(feed->decoder);
    rd_buffer_init(&feed->log, 0);
    rd_buffer_init(&feed->chunk, 0);
}

/* Returns the log, to be freed. */
static char *feed_end(struct feed *feed)
{
    flush_chunk(feed);
    rd_buffer_deinit(&feed->chunk);
    if (feed->closed)
        rd_buffer_append_string(&feed->log, "closed\n");
    else if (rd_redis_codec.mid_request(feed->decoder))
        rd_buffer_append_string(&feed->log, "more\n");
    rd_redis_codec.destroy(feed->decoder);
    rd_buffer_append_u8(&feed->log, 0);
    return (char *)feed->log.data;
}

/* Likewise. */
static char *feed_new(const void *bytes, size_t len, enum cut cut)
{
    struct rd_limits limits = test_limits();
    struct feed feed;
    feed_init(&feed, &limits);
    feed_all(&feed, bytes, len, cut);
    return feed_end(&feed);
}

UNUSED static void expect_log(const char *name, const void *bytes, size_t len, const char *expected)
{
    for (int round = 0; round < 12; round++) {
        enum cut cut = round == 0   ? CUT_WHOLE
                       : round == 1 ? CUT_BYTES
                       : round < 7  ? CUT_RANDOM
                                    : CUT_RANDOM_AND_FILL;
        char *log = feed_new(bytes, len, cut);
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

UNUSED static void expect_samples(const struct sample *samples, size_t count)
{
    for (size_t i = 0; i < count; i++)
        expect_log(samples[i].bytes, samples[i].bytes, samples[i].len, samples[i].expected);
}

/* ---- commands, a line each, their words with single spaces between -------------------------------------------
 */

UNUSED static void append_array(struct rd_buffer *out, const char *line, size_t len)
{
    unsigned count = 1;
    for (size_t i = 0; i < len; i++)
        count += line[i] == ' ';
    rd_buffer_printf(out, "*%u\r\n", count);
    for (size_t i = 0; i <= len; i++) {
        size_t word = i;
        while (i < len && line[i] != ' ')
            i++;
        rd_buffer_printf(out, "$%zu\r\n%.*s\r\n", i - word, (int)(i - word), line + word);
    }
}

/* The same requests whether the commands come as arrays or as typed lines. */
UNUSED static void expect_commands(const char *lines, const char *expected)
{
    struct rd_buffer arrays;
    struct rd_buffer typed;
    rd_buffer_init(&arrays, 0);
    rd_buffer_init(&typed, 0);
    for (const char *line = lines; *line != '\0';) {
        size_t len = strcspn(line, "\n");
        append_array(&arrays, line, len);
        rd_buffer_printf(&typed, "%.*s\r\n", (int)len, line);
        line += len + (line[len] == '\n');
    }
    assert_false(arrays.failed || typed.failed);
    expect_log(lines, arrays.data, arrays.len, expected);
    expect_log(lines, typed.data, typed.len, expected);
    rd_buffer_deinit(&arrays);
    rd_buffer_deinit(&typed);
}

#endif
