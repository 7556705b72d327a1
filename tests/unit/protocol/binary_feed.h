/* SPDX-License-Identifier: MIT
 *
 * binary_feed.h - feeds bytes to the binary codec, cut in every way, and keeps what comes out. For the tests of
 * the codec; everything in it belongs to the test that includes it. */
#ifndef RD_TESTS_BINARY_FEED_H
#define RD_TESTS_BINARY_FEED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "protocol/binary.h"
#include "protocol/binary_client.h"

#define REQUEST_COUNT_MAX 64

static uint64_t random_state;

static uint64_t next_random(void)
{
    uint64_t z = (random_state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void seed_random(void)
{
    const char *seed = getenv("RD_TEST_SEED");
    random_state = seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
    print_message("seed %llu (RD_TEST_SEED)\n", (unsigned long long)random_state);
}

enum cut { CUT_NOWHERE, CUT_EVERYWHERE, CUT_AT_RANDOM, CUT_FILL, CUT_COUNT };

static size_t part_len(enum cut cut, size_t left)
{
    size_t len = left;
    if (cut == CUT_EVERYWHERE)
        len = 1;
    else if (cut == CUT_AT_RANDOM)
        len = 1 + next_random() % 40;
    else if (cut == CUT_FILL)
        len = 1 + next_random() % 9000;
    return len < left ? len : left;
}

/* ---- the server's half: bytes to requests ---------------------------------------------------------------------
 */

struct requests {
    struct rd_request *list[REQUEST_COUNT_MAX];
    struct rd_buffer log; /* what came, a line each, pieces of one chunk after another put together; terminated */
    uint64_t chunk_id;    /* of the line under way */
    bool in_chunk;
    size_t count;
    bool closed;
    bool mid_request;
};

static void requests_deinit(struct requests *requests)
{
    for (size_t i = 0; i < requests->count; i++)
        rd_request_destroy(requests->list[i]);
    rd_buffer_deinit(&requests->log);
}

static void end_chunk_line(struct requests *requests)
{
    if (requests->in_chunk)
        rd_buffer_append_string(&requests->log, "\n");
    requests->in_chunk = false;
}

static void log_part(struct requests *requests, const struct rd_stream_part *part)
{
    static const char *const names[] = {"chunk", "end", "abort", "credit"};
    if (part->kind == RD_STREAM_CHUNK && requests->in_chunk && requests->chunk_id == part->id) {
        rd_buffer_append_slice(&requests->log, part->bytes);
        return;
    }
    end_chunk_line(requests);
    rd_buffer_printf(&requests->log, "%s %llu", names[part->kind], (unsigned long long)part->id);
    if (part->kind == RD_STREAM_CREDIT)
        rd_buffer_printf(&requests->log, " %llu", (unsigned long long)part->credit);
    requests->in_chunk = part->kind == RD_STREAM_CHUNK;
    requests->chunk_id = part->id;
    rd_buffer_append_string(&requests->log, requests->in_chunk ? " " : "\n");
    if (requests->in_chunk)
        rd_buffer_append_slice(&requests->log, part->bytes);
}

static void log_request(struct requests *requests, const struct rd_request *request)
{
    const struct rd_operation *operation = rd_operation_find(request->opcode);
    end_chunk_line(requests);
    rd_buffer_printf(&requests->log, "%s %llu", operation == NULL ? "none" : operation->name,
                     (unsigned long long)request->id);
    if (request->status != RD_OK)
        rd_buffer_printf(&requests->log, " %s", rd_status_name(request->status));
    rd_buffer_append_string(&requests->log, request->close_after ? " close\n" : "\n");
}

static void drain(struct rd_decoder *decoder, struct rd_slice *part, struct requests *requests)
{
    for (;;) {
        struct rd_request *request = NULL;
        enum rd_decode result = rd_binary_codec.decode(decoder, part, &request);
        requests->closed = result == RD_DECODE_CLOSED;
        if (result == RD_DECODE_PART) {
            const struct rd_stream_part *taken = rd_binary_codec.part(decoder);
            assert_null(request);
            assert_true(taken->kind != RD_STREAM_CHUNK || taken->bytes.data + taken->bytes.len <= part->data);
            log_part(requests, taken);
            continue;
        }
        if (result != RD_DECODE_REQUEST) {
            assert_null(request);
            if (result == RD_DECODE_MORE)
                assert_int_equal(part->len, 0);
            return;
        }
        assert_non_null(request);
        assert_true(requests->count < REQUEST_COUNT_MAX);
        requests->list[requests->count++] = request;
        log_request(requests, request);
    }
}

static struct requests decode_bytes(struct rd_slice bytes, enum cut cut, const struct rd_limits *limits)
{
    struct requests requests = {.count = 0};
    rd_buffer_init(&requests.log, 0);
    struct rd_decoder *decoder = rd_binary_codec.create(limits);
    assert_non_null(decoder);
    while (bytes.len != 0 && !requests.closed) {
        size_t target_len = 0;
        uint8_t *target = cut == CUT_FILL ? rd_binary_codec.fill_target(decoder, &target_len) : NULL;
        size_t len = part_len(cut, target == NULL || target_len > bytes.len ? bytes.len : target_len);
        struct rd_slice part = rd_slice_take(&bytes, len);
        /* a heap copy of just this part, so that reading past it is seen by the address sanitizer */
        uint8_t *copy = malloc(part.len);
        assert_non_null(copy);
        memcpy(copy, part.data, part.len);
        if (target != NULL) {
            memcpy(target, copy, part.len);
            rd_binary_codec.fill_done(decoder, part.len);
            part.len = 0;
        }
        part.data = copy;
        drain(decoder, &part, &requests);
        free(copy);
    }
    end_chunk_line(&requests);
    rd_buffer_append_u8(&requests.log, 0);
    requests.mid_request = rd_binary_codec.mid_request(decoder);
    rd_binary_codec.destroy(decoder);
    return requests;
}

static void append_request(struct rd_buffer *out, const struct rd_request *request)
{
    size_t follow_len = 0;
    assert_int_equal(rd_binary_encode_request(request, out, &follow_len), RD_OK);
    rd_buffer_append(out, request->value.data, follow_len);
    assert_false(out->failed);
}

static void append_flagged_frame(struct rd_buffer *out, uint8_t opcode, uint8_t flags, uint64_t id,
                                 struct rd_slice body)
{
    uint8_t head[RD_WIRE_HEADER_LEN];
    rd_wire_store_header(
        head, (struct rd_wire_header){.id = id, .body_len = (uint32_t)body.len, .opcode = opcode, .flags = flags});
    rd_buffer_append(out, head, sizeof head);
    rd_buffer_append_slice(out, body);
}

static void append_frame(struct rd_buffer *out, uint8_t opcode, uint64_t id, struct rd_slice body)
{
    append_flagged_frame(out, opcode, 0, id, body);
}

#define TEXT(text)                                                                                                \
    {                                                                                                             \
        .data = (const uint8_t *)(text), .len = sizeof(text) - 1                                                  \
    }
#define KEY(text)                                                                                                 \
    {                                                                                                             \
        .bytes = TEXT(text)                                                                                       \
    }

static const struct rd_limits small_limits = {.body_len_max = 256,
                                              .key_len_max = 8,
                                              .batch_count_max = 4,
                                              .in_flight_max = 4,
                                              .header_len_max = 1,
                                              .stream_threshold = 1,
                                              .stream_window = 64,
                                              .chunk_len_max = 32};

#endif
