/* SPDX-License-Identifier: MIT
 *
 * HTTP: bytes to requests, and an answer to each.
 *
 *   input   | choices u8 | cut count u8, cuts | bytes |
 *
 * choices: 1 low limits, 2 the bytes are repeated to 20 KiB and more, 4 a request follows them; from bit 3 on
 * where in a message they are put, by the table `frames`.
 *
 * Besides what feed.h checks
 *  1. what the oracle says cannot be trusted is refused, and ends the connection;
 *  2. what the oracle says is one message is taken as one: what follows is read as if it came first;
 *  3. nothing is done before the message that asks for it is whole, but for a streamed body;
 *  4. an answer is one well-formed message, whatever texts are in it. */
#include <jansson.h>
#include <stdlib.h>

#include "protocol/http.h"
#include "protocol/http_encode.h"
#include "tests/fuzz/answer.h"
#include "tests/fuzz/dump.h"
#include "tests/fuzz/feed.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/http_oracle.h"

enum { CHOICE_LOW_LIMITS = 1, CHOICE_REPEAT = 2, CHOICE_FOLLOWED = 4, CHOICE_FRAME_SHIFT = 3 };

#define REPEATED_LEN (20u << 10)

#define HOST "Host: h\r\n"
#define GET  "GET /v1/stores/s/keys/k HTTP/1.1\r\n" HOST
#define PUT  "PUT /v1/stores/s/keys/k HTTP/1.1\r\n" HOST
#define JSON " HTTP/1.1\r\n" HOST "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"

/* Where the bytes go. */
static const struct {
    const char *before;
    const char *after;
    bool chunk; /* they are the data of one chunk */
} frames[] = {
    {"", "", false},
    {PUT "Transfer-Encoding: chunked\r\n\r\n", "", false},
    {GET, "\r\n\r\n", false},
    {PUT, "\r\nContent-Length: 3\r\n\r\nabc", false},
    {"GET ", " HTTP/1.1\r\n" HOST "\r\n", false},
    {GET "Range: ", "\r\nIf-Range: \"1f40-00abcdef\"\r\n\r\n", false},
    {GET "If-None-Match: ", "\r\n\r\n", false},
    {PUT "If-Match: ", "\r\n\r\n", false},
    {"POST /v1/stores/s/batch/write" JSON, "\r\n0\r\n\r\n", true},
    {"POST /v1/stores/s/batch/read" JSON, "\r\n0\r\n\r\n", true},
    {"POST /v1/stores/s/rename" JSON, "\r\n0\r\n\r\n", true},
    {"POST /v1/stores/s/copy" JSON, "\r\n0\r\n\r\n", true},
};
#define FRAME_COUNT (sizeof frames / sizeof frames[0])

/* ---- answers (4) ------------------------------------------------------------------------------------------- */

struct head {
    unsigned status;
    unsigned length_count;
    unsigned long long content_len;
    bool json;
    bool closes;
};

static void check_line(struct rd_slice line, struct head *head)
{
    for (size_t i = 0; i < line.len; i++)
        FUZZ_CHECK(line.data[i] >= 0x20 && line.data[i] != 0x7f);
    char text[256] = {0};
    memcpy(text, line.data, line.len < sizeof text - 1 ? line.len : sizeof text - 1);
    FUZZ_CHECK(strstr(text, ": ") != NULL);
    unsigned long long number;
    if (sscanf(text, "Content-Length: %llu", &number) == 1) {
        head->content_len = number;
        head->length_count++;
    }
    head->json |= strcmp(text, "Content-Type: application/json") == 0;
    head->closes |= strcmp(text, "Connection: close") == 0;
}

static struct head check_head(struct rd_slice bytes)
{
    struct head head = {0};
    char start[32] = {0};
    memcpy(start, bytes.data, bytes.len < sizeof start - 1 ? bytes.len : sizeof start - 1);
    FUZZ_CHECK(sscanf(start, "HTTP/1.1 %3u ", &head.status) == 1);
    bool first = true;
    while (bytes.len != 0) {
        const uint8_t *end = memmem(bytes.data, bytes.len, "\r\n", 2);
        FUZZ_CHECK(end != NULL);
        struct rd_slice line = rd_slice_take(&bytes, (size_t)(end - bytes.data));
        rd_slice_take(&bytes, 2);
        if (!first && line.len != 0)
            check_line(line, &head);
        first = false;
    }
    return head;
}

static void check_json(struct rd_slice body)
{
    json_error_t error;
    size_t flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL; /* up to 2^64 - 1 */
    json_t *root = json_loadb((const char *)body.data, body.len, flags, &error);
    FUZZ_CHECK(json_is_object(root));
    FUZZ_CHECK(body.data[body.len - 1] == '\n' && memchr(body.data, '\n', body.len - 1) == NULL);
    json_decref(root);
}

static void check_answer(const struct rd_request *request, struct rd_slice bytes, size_t follow_len)
{
    const uint8_t *end = memmem(bytes.data, bytes.len, "\r\n\r\n", 4);
    FUZZ_CHECK(end != NULL);
    struct rd_slice text = rd_slice_take(&bytes, (size_t)(end - bytes.data) + 4);
    struct head head = check_head(text);
    bool bare = head.status == 100 || head.status == 304;
    bool to_head = request->opcode == RD_OPCODE_METADATA || request->head_only;
    FUZZ_CHECK(head.length_count == (bare ? 0 : 1));
    FUZZ_CHECK(bytes.len + follow_len == (bare || to_head ? 0 : head.content_len));
    if (head.json && bytes.len != 0)
        check_json(bytes);
    if (head.status != 100)
        FUZZ_CHECK(head.closes == (request->close_after || (request->codec_flags & RD_HTTP_FLAG_CLOSE) != 0));
}

/* ---- requests ---------------------------------------------------------------------------------------------- */

struct context {
    uint64_t seed;
    unsigned request_count;
    bool last_was_refused;
    bool done_early; /* accepted, and neither streamed nor a mere 100 Continue */
};

static void answer(const struct rd_request *request, bool fail, struct context *context)
{
    struct fuzz_answer made;
    struct rd_buffer bytes;
    rd_buffer_init(&bytes, 0);
    fuzz_answer_make(request, context->seed++, fail, &made);
    size_t follow_len = rd_http_codec.encode(request, &made.response, &bytes);
    FUZZ_CHECK(!bytes.failed);
    check_answer(request, rd_buffer_slice(&bytes), follow_len);
    rd_buffer_deinit(&bytes);
}

static void on_request(const struct rd_request *request, void *context_of)
{
    struct context *context = context_of;
    bool refused = request->status != RD_OK;
    context->request_count++;
    context->last_was_refused = refused;
    context->done_early |= !refused && !request->streamed && request->opcode != RD_OPCODE_CONTINUE;
    answer(request, false, context);
    if (!refused)
        answer(request, true, context);
}

/* ---- the oracle (1 to 3) ----------------------------------------------------------------------------------- */

/* The first `len` bytes are one message. */
static void check_framing(const struct rd_limits *limits, struct rd_slice bytes, size_t len,
                          const struct fuzz_fed *all)
{
    struct fuzz_feed feed = {.codec = &rd_http_codec, .limits = limits, .cut = FUZZ_CUT_WHOLE};
    struct fuzz_fed message;
    struct fuzz_fed rest;
    fuzz_feed(&feed, rd_slice_take(&bytes, len), &message);
    FUZZ_CHECK(message.closed || !message.mid_request);
    FUZZ_CHECK(message.log.len != 0);
    if (!message.closed) {
        fuzz_feed(&feed, bytes, &rest);
        rd_buffer_append_slice(&message.log, rd_buffer_slice(&rest.log));
        FUZZ_CHECK(all->closed == rest.closed);
        fuzz_fed_deinit(&rest);
    }
    fuzz_check_same("a message is not taken as one", &all->log, &message.log);
    fuzz_fed_deinit(&message);
}

static void hold_against_oracle(const struct rd_limits *limits, struct rd_slice bytes)
{
    struct context context = {.seed = fuzz_seed_of(bytes)};
    struct fuzz_feed feed = {.codec = &rd_http_codec,
                             .limits = limits,
                             .cut = FUZZ_CUT_WHOLE,
                             .on_request = on_request,
                             .context = &context};
    struct fuzz_fed all;
    size_t len = 0;
    fuzz_feed(&feed, bytes, &all);
    switch (fuzz_http_judge(bytes, &len)) {
    case FUZZ_HTTP_UNFINISHED:
        FUZZ_CHECK(!context.done_early);
        break;
    case FUZZ_HTTP_HEAD_BAD:
        FUZZ_CHECK(all.closed && context.request_count == 1 && context.last_was_refused);
        break;
    case FUZZ_HTTP_BODY_BAD:
        FUZZ_CHECK(all.closed && context.last_was_refused && !context.done_early);
        break;
    case FUZZ_HTTP_MESSAGE:
        check_framing(limits, bytes, len, &all);
        break;
    }
    fuzz_fed_deinit(&all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct rd_slice input = rd_slice(data, len);
    uint8_t choices = fuzz_take_u8(&input);
    struct rd_limits limits = fuzz_limits((choices & CHOICE_LOW_LIMITS) != 0);
    struct fuzz_feed feed = {.codec = &rd_http_codec, .limits = &limits, .cut_lens = fuzz_take_cuts(&input)};
    size_t frame = (choices >> CHOICE_FRAME_SHIFT) % FRAME_COUNT;
    struct rd_buffer bytes;
    rd_buffer_init(&bytes, 0);
    rd_buffer_append_string(&bytes, frames[frame].before);
    if (frames[frame].chunk && input.len != 0)
        rd_buffer_printf(&bytes, "%zx\r\n", input.len);
    do
        rd_buffer_append_slice(&bytes, input);
    while ((choices & CHOICE_REPEAT) != 0 && !frames[frame].chunk && input.len != 0 && bytes.len < REPEATED_LEN);
    rd_buffer_append_string(&bytes, frames[frame].after);
    if ((choices & CHOICE_FOLLOWED) != 0)
        rd_buffer_append_string(&bytes, "GET /healthz HTTP/1.1\r\n" HOST "\r\n");
    hold_against_oracle(&limits, rd_buffer_slice(&bytes));
    limits.admit = fuzz_admit;
    fuzz_feed_all_ways(&feed, rd_buffer_slice(&bytes));
    rd_buffer_deinit(&bytes);
    return 0;
}
