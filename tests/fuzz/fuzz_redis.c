/* SPDX-License-Identifier: MIT
 *
 * The Redis protocol: bytes to requests, and an answer to each.
 *
 *   input   | choices u8 | cut count u8, cuts | bytes |
 *
 * choices: 1 low limits, 2 the bytes, if not few, are repeated to 20 KiB and more, 4 the third version is chosen
 * first, 8 they come inside a transaction.
 *
 * Besides what feed.h checks
 *  1. what a second reader of arrays, written apart, takes for so many commands gets as many requests, and no more
 *     where it finds the bytes malformed;
 *  2. an answer is one value of the version spoken, whatever texts are in it, and nothing stands behind it. */
#include <stdio.h>
#include <stdlib.h>

#include "protocol/redis.h"
#include "protocol/redis_answer.h"
#include "tests/fuzz/answer.h"
#include "tests/fuzz/feed.h"
#include "tests/fuzz/fuzz.h"

enum { CHOICE_LOW_LIMITS = 1, CHOICE_REPEAT = 2, CHOICE_RESP3 = 4, CHOICE_MULTI = 8 };

#define REPEATED_LEN  (20u << 10)
#define REPEATED_MIN  100u /* thousands of tiny commands take long and show nothing more */
#define BULK_LEN_MAX  (512u << 20)
#define LENGTH_DIGITS 32u

/* ---- answers (2) ------------------------------------------------------------------------------------------- */

static struct rd_slice take_line(struct rd_slice *bytes)
{
    const uint8_t *end = bytes->len != 0 ? memmem(bytes->data, bytes->len, "\r\n", 2) : NULL;
    FUZZ_CHECK(end != NULL);
    struct rd_slice line = rd_slice_take(bytes, (size_t)(end - bytes->data));
    rd_slice_take(bytes, 2);
    FUZZ_CHECK(memchr(line.data, '\r', line.len) == NULL && memchr(line.data, '\n', line.len) == NULL);
    return line;
}

static long long number_of(struct rd_slice line)
{
    char text[32] = {0};
    FUZZ_CHECK(line.len > 1 && line.len < sizeof text);
    memcpy(text, line.data + 1, line.len - 1);
    char *end;
    long long number = strtoll(text, &end, 10);
    FUZZ_CHECK(*end == '\0');
    return number;
}

/* One head, and how many values must follow it. */
static size_t take_value(struct rd_slice *bytes, bool resp3)
{
    struct rd_slice line = take_line(bytes);
    FUZZ_CHECK(line.len != 0);
    long long number;
    switch (line.data[0]) {
    case '+':
    case '-':
        FUZZ_CHECK(line.len > 1);
        return 0;
    case ':':
        (void)number_of(line);
        return 0;
    case '_':
        FUZZ_CHECK(resp3 && line.len == 1);
        return 0;
    case '=':
        FUZZ_CHECK(resp3 && number_of(line) >= 4);
        break;
    case '$':
        break;
    case '*':
        number = number_of(line);
        FUZZ_CHECK(number >= 0 || (number == -1 && !resp3));
        return number < 0 ? 0 : (size_t)number;
    case '~':
        FUZZ_CHECK(resp3 && number_of(line) >= 0);
        return (size_t)number_of(line);
    case '%':
        FUZZ_CHECK(resp3 && number_of(line) >= 0);
        return 2 * (size_t)number_of(line);
    default:
        FUZZ_CHECK(false);
    }
    number = number_of(line);
    FUZZ_CHECK(number >= 0 || (number == -1 && line.data[0] == '$' && !resp3));
    if (number < 0)
        return 0;
    FUZZ_CHECK(rd_slice_take(bytes, (size_t)number).len == (size_t)number);
    FUZZ_CHECK(take_line(bytes).len == 0);
    return 0;
}

static void check_one_value(struct rd_slice bytes, bool resp3)
{
    size_t left = 1;
    while (left != 0) {
        size_t more = take_value(&bytes, resp3);
        FUZZ_CHECK(more <= bytes.len);
        left += more - 1;
    }
    FUZZ_CHECK(bytes.len == 0);
}

/* ---- requests ---------------------------------------------------------------------------------------------- */

struct context {
    uint64_t seed;
    size_t request_count;
    bool ended; /* by what one of them asked for, or by what it was */
};

static const struct rd_response_server server = {.now_us = UINT64_MAX / 2,
                                                 .connection_id = UINT64_MAX >> 1,
                                                 .connections = UINT32_MAX,
                                                 .peer = "[::1]:65535",
                                                 .local = "127.0.0.1:1"};

static size_t look_count_of(const struct rd_request *request)
{
    return request->opcode == RD_OPCODE_BATCH_READ ? request->item_count : request->look_count;
}

/* What the server would have answered with: as many results as were asked for. */
static void answer_with_lists(const struct rd_request *request, struct fuzz_answer *made, struct rd_buffer *out)
{
    struct rd_response *response = &made->response;
    size_t looks = look_count_of(request);
    struct rd_response_item *items = calloc(looks + 1, sizeof *items);
    struct rd_response_change *changes = calloc(request->item_count + 1, sizeof *changes);
    FUZZ_CHECK(items != NULL && changes != NULL);
    for (size_t i = 0; i < looks; i++) {
        items[i].status = i % 3 == 0 ? RD_OK : i % 3 == 1 ? RD_KEY_NOT_FOUND : RD_CORRUPT;
        items[i].value = items[i].status == RD_OK ? rd_slice_of_string("a\r\nvalue") : rd_slice(NULL, 0);
        items[i].len = items[i].value.len;
    }
    for (size_t i = 0; i < request->item_count; i++)
        changes[i].applied = i % 2 == 0;
    response->server = &server;
    if (response->status == RD_OK) {
        response->items = items;
        response->item_count = looks;
        response->changes = changes;
    }
    size_t follow_len = rd_redis_codec.encode(request, response, out);
    FUZZ_CHECK(!out->failed && (follow_len == 0 || follow_len == response->value.len));
    if (follow_len != 0) {
        rd_buffer_append(out, response->value.data, follow_len);
        rd_buffer_append_slice(out, rd_redis_codec.behind_value);
    }
    free(items);
    free(changes);
}

static void answer(const struct rd_request *request, bool fail, struct context *context)
{
    struct fuzz_answer made;
    struct rd_buffer bytes;
    rd_buffer_init(&bytes, 0);
    fuzz_answer_make(request, context->seed++, fail, &made);
    made.response.not_modified = false; /* HTTP's alone */
    answer_with_lists(request, &made, &bytes);
    bool silent = (request->codec_flags & RD_REDIS_FLAG_SILENT) != 0;
    FUZZ_CHECK(silent == (bytes.len == 0));
    FUZZ_CHECK(!silent || request->close_after);
    if (!silent)
        check_one_value(rd_buffer_slice(&bytes), (request->codec_flags & RD_REDIS_FLAG_RESP3) != 0);
    rd_buffer_deinit(&bytes);
}

static void on_request(const struct rd_request *request, void *context_of)
{
    struct context *context = context_of;
    context->request_count++;
    context->ended |= request->close_after;
    answer(request, false, context);
    if (request->status == RD_OK)
        answer(request, true, context);
}

/* ---- a second reader (1) ----------------------------------------------------------------------------------- */

enum seen { SEEN_COMMAND, SEEN_NOTHING, SEEN_UNFINISHED, SEEN_BAD, SEEN_TYPED };

/* `kind`, digits, CR LF. */
static enum seen take_length(struct rd_slice *bytes, char kind, long long *ret_length)
{
    if (bytes->len == 0)
        return SEEN_UNFINISHED;
    if (*rd_slice_take(bytes, 1).data != (uint8_t)kind)
        return SEEN_BAD;
    char text[LENGTH_DIGITS + 1] = {0};
    size_t len = 0;
    for (;; len++) {
        if (bytes->len == 0)
            return SEEN_UNFINISHED;
        uint8_t c = *rd_slice_take(bytes, 1).data;
        if (c == '\n')
            return SEEN_BAD;
        if (c == '\r')
            break;
        if (len == LENGTH_DIGITS - 1)
            return bytes->len < 1 ? SEEN_TYPED : SEEN_BAD; /* too long by one or by two: of no interest here */
        text[len] = (char)c;
    }
    if (bytes->len == 0)
        return SEEN_UNFINISHED;
    if (*rd_slice_take(bytes, 1).data != '\n' || len == 0)
        return SEEN_BAD;
    char *end;
    char again[LENGTH_DIGITS + 1];
    *ret_length = strtoll(text, &end, 10);
    snprintf(again, sizeof again, "%lld", *ret_length);
    return *end == '\0' && strcmp(text, again) == 0 ? SEEN_COMMAND : SEEN_BAD;
}

static enum seen take_command(struct rd_slice *bytes, const struct rd_limits *limits)
{
    long long count;
    long long length;
    if (bytes->len != 0 && bytes->data[0] != '*')
        return SEEN_TYPED;
    enum seen seen = take_length(bytes, '*', &count);
    if (seen != SEEN_COMMAND)
        return seen;
    if (count <= 0)
        return SEEN_NOTHING;
    if (count > 2 * (long long)limits->batch_count_max + 1)
        return SEEN_BAD;
    for (; count != 0; count--) {
        seen = take_length(bytes, '$', &length);
        if (seen != SEEN_COMMAND)
            return seen;
        if (length < 0 || length > (long long)BULK_LEN_MAX)
            return SEEN_BAD;
        if (rd_slice_take(bytes, (size_t)length).len < (size_t)length)
            return SEEN_UNFINISHED;
        for (int i = 0; i < 2; i++) {
            if (bytes->len == 0)
                return SEEN_UNFINISHED;
            if (*rd_slice_take(bytes, 1).data != (uint8_t) "\r\n"[i])
                return SEEN_BAD;
        }
    }
    return SEEN_COMMAND;
}

/* Typed lines have rules of their own: from the first of them on nothing is said. */
static void hold_against_second_reader(const struct rd_limits *limits, struct rd_slice bytes)
{
    struct context context = {.seed = fuzz_seed_of(bytes)};
    struct fuzz_feed feed = {.codec = &rd_redis_codec,
                             .limits = limits,
                             .cut = FUZZ_CUT_WHOLE,
                             .on_request = on_request,
                             .context = &context};
    struct fuzz_fed all;
    fuzz_feed(&feed, bytes, &all);
    size_t commands = 0;
    enum seen seen = SEEN_NOTHING;
    while (bytes.len != 0 && (seen == SEEN_COMMAND || seen == SEEN_NOTHING)) {
        seen = take_command(&bytes, limits);
        commands += seen == SEEN_COMMAND;
    }
    if (context.ended && seen != SEEN_BAD)
        FUZZ_CHECK(all.closed);
    else if (seen == SEEN_COMMAND || seen == SEEN_NOTHING)
        FUZZ_CHECK(context.request_count == commands && !all.closed && !all.mid_request);
    else if (seen == SEEN_UNFINISHED) /* a value that comes in parts is asked for before it is there */
        FUZZ_CHECK(context.request_count - commands <= 1 && !all.closed && all.mid_request);
    else if (seen == SEEN_BAD)
        FUZZ_CHECK(all.closed && context.request_count <= commands + 1);
    fuzz_fed_deinit(&all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct rd_slice input = rd_slice(data, len);
    uint8_t choices = fuzz_take_u8(&input);
    struct rd_limits limits = fuzz_limits((choices & CHOICE_LOW_LIMITS) != 0);
    struct fuzz_feed feed = {.codec = &rd_redis_codec, .limits = &limits, .cut_lens = fuzz_take_cuts(&input)};
    struct rd_buffer bytes;
    rd_buffer_init(&bytes, 0);
    if ((choices & CHOICE_RESP3) != 0)
        rd_buffer_append_string(&bytes, "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n");
    if ((choices & CHOICE_MULTI) != 0)
        rd_buffer_append_string(&bytes, "*2\r\n$5\r\nWATCH\r\n$1\r\na\r\n*1\r\n$5\r\nMULTI\r\n");
    do
        rd_buffer_append_slice(&bytes, input);
    while ((choices & CHOICE_REPEAT) != 0 && input.len >= REPEATED_MIN && bytes.len < REPEATED_LEN);
    if ((choices & CHOICE_MULTI) != 0)
        rd_buffer_append_string(&bytes, "*1\r\n$4\r\nEXEC\r\n");
    hold_against_second_reader(&limits, rd_buffer_slice(&bytes));
    fuzz_feed_all_ways(&feed, rd_buffer_slice(&bytes));
    rd_buffer_deinit(&bytes);
    return 0;
}
