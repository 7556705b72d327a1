/* SPDX-License-Identifier: MIT
 *
 * The binary protocol as the server meets it: bytes to requests, and an answer to each.
 *
 *   input   | choices u8 | cut count u8, cuts | what a client sends |
 *
 * choices: 1 low limits, 2 a preamble goes in front, 4 the bytes are repeated to 20 KiB and more.
 *
 * Besides what feed.h checks: a request that is accepted comes back the same from the client's encoder and another
 * decoder, and what the encoder makes of an answer is what the client's reader makes of its bytes. */
#include <stdlib.h>

#include "protocol/binary.h"
#include "protocol/binary_client.h"
#include "tests/fuzz/answer.h"
#include "tests/fuzz/dump.h"
#include "tests/fuzz/feed.h"
#include "tests/fuzz/fuzz.h"

enum { CHOICE_LOW_LIMITS = 1, CHOICE_PREAMBLE = 2, CHOICE_REPEAT = 4 };

#define REPEATED_LEN (20u << 10)

struct context {
    uint64_t seed;
    struct rd_buffer answers; /* as on the wire, the hello's first */
    struct rd_buffer told;    /* what they say */
};

/* ---- requests again ---------------------------------------------------------------------------------------- */

static void keep_dump(const struct rd_request *request, void *out)
{
    if (request->opcode != RD_OPCODE_HELLO)
        fuzz_dump_request(request, out);
}

static void check_round_trip(const struct rd_request *request)
{
    struct rd_limits limits = RD_LIMITS_DEFAULT;
    struct rd_buffer bytes;
    struct rd_buffer dump;
    struct rd_buffer again;
    struct fuzz_fed fed;
    size_t follow_len = 0;
    rd_buffer_init(&bytes, 0);
    rd_buffer_init(&dump, 0);
    rd_buffer_init(&again, 0);
    rd_binary_encode_hello(&bytes);
    FUZZ_CHECK(rd_binary_encode_request(request, &bytes, &follow_len) == RD_OK);
    FUZZ_CHECK(follow_len == (request->opcode == RD_OPCODE_WRITE ? request->value.len : 0));
    rd_buffer_append(&bytes, request->value.data, follow_len);
    struct fuzz_feed feed = {
        .codec = &rd_binary_codec, .limits = &limits, .on_request = keep_dump, .context = &again};
    fuzz_feed(&feed, rd_buffer_slice(&bytes), &fed);
    fuzz_dump_request(request, &dump);
    fuzz_check_same("a request is another one once encoded", &dump, &again);
    FUZZ_CHECK(!fed.closed && !fed.mid_request);
    fuzz_fed_deinit(&fed);
    rd_buffer_deinit(&again);
    rd_buffer_deinit(&dump);
    rd_buffer_deinit(&bytes);
}

/* ---- answers ----------------------------------------------------------------------------------------------- */

/* A frame with the hello's number is refused, and no client of ours takes such an answer. */
static bool no_client_asks_this(const struct rd_request *request)
{
    return request->opcode == RD_OPCODE_NONE && request->codec_flags == RD_OPCODE_HELLO;
}

static void answer(const struct rd_request *request, bool fail, struct context *context)
{
    struct fuzz_answer made;
    fuzz_answer_make(request, context->seed++, fail, &made);
    size_t before = context->answers.len;
    size_t follow_len = rd_binary_codec.encode(request, &made.response, &context->answers);
    FUZZ_CHECK(context->answers.len >= before + RD_WIRE_HEADER_LEN);
    bool has_value = request->opcode == RD_OPCODE_READ || request->opcode == RD_OPCODE_METRICS;
    bool value_follows = has_value && made.response.status == RD_OK;
    FUZZ_CHECK(follow_len == (value_follows ? made.response.value.len : 0));
    rd_buffer_append(&context->answers, made.response.value.data, follow_len);
    uint8_t opcode = (uint8_t)(request->opcode == RD_OPCODE_NONE ? request->codec_flags : request->opcode);
    rd_buffer_printf(&context->told, "%llu ", (unsigned long long)request->id);
    fuzz_dump_response((enum rd_opcode)opcode, &made.response, &context->told);
}

static void on_request(const struct rd_request *request, void *context_of)
{
    struct context *context = context_of;
    bool hello = request->opcode == RD_OPCODE_HELLO;
    if (request->status == RD_OK && !hello)
        check_round_trip(request);
    if (no_client_asks_this(request))
        return;
    answer(request, false, context);
    if (request->status == RD_OK && !hello)
        answer(request, true, context);
}

static void read_answers(const struct context *context)
{
    struct rd_binary_reader reader;
    struct rd_binary_answer read;
    struct rd_buffer told;
    struct rd_slice input = rd_buffer_slice(&context->answers);
    rd_buffer_init(&told, 0);
    rd_binary_reader_init(&reader, UINT32_MAX, UINT32_MAX);
    while (input.len != 0) {
        bool greeted = reader.greeted;
        FUZZ_CHECK(rd_binary_reader_next(&reader, &input, &read) == RD_BINARY_READ_ANSWER);
        FUZZ_CHECK(read.hello == !greeted);
        rd_buffer_printf(&told, "%llu ", (unsigned long long)read.id);
        fuzz_dump_response((enum rd_opcode)read.opcode, &read.response, &told);
    }
    fuzz_check_same("a client reads another answer", &context->told, &told);
    rd_binary_reader_deinit(&reader);
    rd_buffer_deinit(&told);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct rd_slice input = rd_slice(data, len);
    struct context context = {.seed = fuzz_seed_of(input)};
    uint8_t choices = fuzz_take_u8(&input);
    struct rd_limits limits = fuzz_limits((choices & CHOICE_LOW_LIMITS) != 0);
    limits.admit = fuzz_admit;
    struct fuzz_feed feed = {.codec = &rd_binary_codec,
                             .limits = &limits,
                             .cut_lens = fuzz_take_cuts(&input),
                             .on_request = on_request,
                             .context = &context};
    struct rd_buffer bytes;
    rd_buffer_init(&bytes, 0);
    rd_buffer_init(&context.answers, 0);
    rd_buffer_init(&context.told, 0);
    if ((choices & CHOICE_PREAMBLE) != 0)
        rd_binary_encode_hello(&bytes);
    do
        rd_buffer_append_slice(&bytes, input);
    while ((choices & CHOICE_REPEAT) != 0 && input.len != 0 && bytes.len < REPEATED_LEN);
    fuzz_feed_all_ways(&feed, rd_buffer_slice(&bytes));
    read_answers(&context);
    rd_buffer_deinit(&context.told);
    rd_buffer_deinit(&context.answers);
    rd_buffer_deinit(&bytes);
    return 0;
}
