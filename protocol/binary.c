/* SPDX-License-Identifier: MIT
 *
 * binary.c - the binary protocol's server side: frames to requests and parts (the decoder's state machine).
 * binary_request.c has the bodies of requests, binary_answer.c the way back.
 *
 * Guarantees
 *  1. However the input is cut, the requests are the same, and so are the parts' bytes.
 *  2. Every frame but a part gets exactly one request, with the frame's id; one that is refused by its header is
 *     handed out at once and its body is skipped. A malformed part ends the connection, since what it belongs to
 *     can no longer be made whole.
 *  3. Parts are handed out whether or not there is a stream with their id: the server keeps the streams.
 *
 * The decoder's moves (in brackets the function that makes them):
 *
 *   HELLO  -- preamble fits (take_hello) ---------> HEADER, after another version HELLO
 *   HEADER -- header of a request (begin_frame) --> BODY   -- whole (take_body) --------> HEADER
 *   HEADER -- that of a long one (begin_frame) ---> STORE  -- admitted (admit_body) ----> BODY
 *   HEADER -- header of a chunk (begin_part) -----> CHUNK  -- all handed out (decode) --> HEADER
 *   HEADER -- header of a credit (begin_part) ----> CREDIT -- whole (take_credit) ------> HEADER
 *   HEADER, STORE -- refused (refuse_frame) ------> SKIP   -- skipped (decode) ---------> HEADER
 *   any    -- a request with close_after ---------> CLOSED
 *
 * It runs on the thread of the connection's loop and does no I/O.
 */
#include "protocol/binary.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "protocol/binary_answer.h"
#include "protocol/binary_part.h"
#include "protocol/binary_request.h"
#include "protocol/wire.h"

/* A frame whose body is longer than so many times the limit is not worth reading to its end. */
#define SKIP_FACTOR 4u

/* Below this much the copy out of the loop's read buffer is cheaper than a read of its own. */
#define FILL_LEN_MIN (16u << 10)

enum phase {
    PHASE_HELLO,  /* head gathers a preamble */
    PHASE_HEADER, /* head gathers a frame header */
    PHASE_STORE,  /* start gathers the name of the store in which something long is asked */
    PHASE_BODY,   /* request->body is being filled */
    PHASE_CHUNK,  /* chunk_left bytes are handed out as they come */
    PHASE_CREDIT, /* head gathers a credit's number */
    PHASE_SKIP,   /* skip_len bytes are thrown away */
    PHASE_CLOSED
};

struct rd_decoder {
    struct rd_limits limits;
    enum phase phase;
    uint8_t head[RD_WIRE_HEADER_LEN];
    size_t head_len;                               /* bytes of head that are there */
    struct rd_wire_header header;                  /* of the request's frame under way */
    uint8_t start[1 + RD_TEXT_STORE_NAME_LEN_MAX]; /* STORE: the body's first bytes: a length and a name */
    size_t start_len;                              /* bytes of it that are there */
    struct rd_request *request;                    /* owned; PHASE_BODY only */
    size_t body_got;                               /* bytes of request->body that are there */
    size_t skip_len;                               /* bytes */
    size_t chunk_left;                             /* bytes */
    struct rd_stream_part part;                    /* the last one that was handed out, or is under way */
};

/* ---- frames ----------------------------------------------------------------------------------------------- */

/* Fills the first len bytes of head from the input. False: not whole yet. */
static bool take_head(struct rd_decoder *decoder, size_t len, struct rd_slice *input)
{
    struct rd_slice part = rd_slice_take(input, len - decoder->head_len);
    if (part.len != 0)
        memcpy(decoder->head + decoder->head_len, part.data, part.len);
    decoder->head_len += part.len;
    if (decoder->head_len < len)
        return false;
    decoder->head_len = 0;
    return true;
}

static enum rd_decode hand_out(struct rd_decoder *decoder, struct rd_request *request,
                               struct rd_request **ret_request)
{
    if (request == NULL || request->close_after)
        decoder->phase = PHASE_CLOSED;
    *ret_request = request;
    return request == NULL ? RD_DECODE_CLOSED : RD_DECODE_REQUEST;
}

static enum rd_decode take_hello(struct rd_decoder *decoder, struct rd_request **ret_request)
{
    const uint8_t *head = decoder->head;
    struct rd_request *request = rd_request_create(0);
    if (request == NULL)
        return hand_out(decoder, NULL, ret_request);
    request->opcode = RD_OPCODE_HELLO;
    if (memcmp(head, RD_WIRE_MAGIC, RD_WIRE_MAGIC_LEN) != 0) {
        request->status = RD_INVALID_ARGUMENT;
        request->message = "this is not the rdrive protocol: wrong magic";
        request->close_after = true;
    } else if (rd_load_u16le(head + RD_WIRE_PREAMBLE_VERSION) != RD_WIRE_VERSION) {
        request->status = RD_UNSUPPORTED;
        request->message = "this server speaks version 1 of the protocol";
    } else if (rd_load_u16le(head + RD_WIRE_PREAMBLE_RESERVED) != 0 ||
               rd_load_u32le(head + RD_WIRE_PREAMBLE_FLAGS) != 0) {
        request->status = RD_INVALID_ARGUMENT;
        request->message = "reserved bytes and flags of the hello must be 0";
    } else {
        decoder->phase = PHASE_HEADER;
    }
    return hand_out(decoder, request, ret_request);
}

/* Answers a frame by what is there of it. The rest is skipped where it is of bearable length. */
static enum rd_decode refuse_frame(struct rd_decoder *decoder, struct rd_wire_header header, enum rd_status status,
                                   const char *message, struct rd_request **ret_request)
{
    struct rd_request *request = rd_request_create(0);
    if (request == NULL)
        return hand_out(decoder, NULL, ret_request);
    request->opcode = rd_binary_request_exists(header.opcode) ? (enum rd_opcode)header.opcode : RD_OPCODE_NONE;
    request->codec_flags = header.opcode;
    request->id = header.id;
    request->status = status;
    snprintf(request->detail, sizeof request->detail, "%s", message);
    request->message = request->detail;
    request->close_after =
        rd_wire_is_part(header.opcode) || header.body_len > (uint64_t)decoder->limits.body_len_max * SKIP_FACTOR;
    decoder->phase = PHASE_SKIP;
    decoder->skip_len = header.body_len - decoder->start_len;
    decoder->start_len = 0;
    return hand_out(decoder, request, ret_request);
}

static enum rd_decode begin_part(struct rd_decoder *decoder, struct rd_wire_header header,
                                 struct rd_request **ret_request)
{
    struct rd_stream_part part = {.kind = rd_binary_part_kind(header.opcode), .id = header.id};
    bool chunk = part.kind == RD_STREAM_CHUNK;
    size_t len_wanted = part.kind == RD_STREAM_CREDIT ? RD_WIRE_PART_CREDIT_LEN : 0;
    if (chunk && header.body_len > decoder->limits.chunk_len_max)
        return refuse_frame(decoder, header, RD_TOO_LARGE, "the chunk is longer than the server takes",
                            ret_request);
    if (!chunk && header.body_len != len_wanted)
        return refuse_frame(decoder, header, RD_INVALID_ARGUMENT, "a part's body has another length", ret_request);
    if (header.flags != 0 || header.status != 0)
        return refuse_frame(decoder, header, RD_INVALID_ARGUMENT, "flags and status of a part must be 0",
                            ret_request);
    decoder->part = part;
    decoder->chunk_left = header.body_len;
    if (chunk || part.kind == RD_STREAM_CREDIT) {
        decoder->phase = chunk ? PHASE_CHUNK : PHASE_CREDIT;
        return RD_DECODE_MORE;
    }
    return RD_DECODE_PART;
}

/* Makes room for the body, the first bytes of which may have been gathered. */
static enum rd_decode begin_body(struct rd_decoder *decoder, struct rd_request **ret_request)
{
    const struct rd_wire_header *header = &decoder->header;
    struct rd_request *request = rd_request_create(header->body_len);
    if (request == NULL)
        return refuse_frame(decoder, *header, RD_NO_MEMORY, "no memory for the body", ret_request);
    request->opcode = (enum rd_opcode)header->opcode;
    request->codec_flags = header->opcode;
    request->id = header->id;
    if (decoder->start_len != 0)
        memcpy(request->body, decoder->start, decoder->start_len);
    decoder->request = request;
    decoder->body_got = decoder->start_len;
    decoder->start_len = 0;
    decoder->phase = PHASE_BODY;
    return RD_DECODE_MORE;
}

/* A long body waits for whether it may come: at its header for who sends it, behind the store's name, where its
 * operation has one, for what is asked there. */
static enum rd_decode begin_request(struct rd_decoder *decoder, struct rd_request **ret_request)
{
    const struct rd_wire_header *header = &decoder->header;
    const struct rd_limits *limits = &decoder->limits;
    struct rd_asking asking = {.opcode = (enum rd_opcode)header->opcode};
    struct rd_error error = {.status = RD_OK};
    if (!rd_limits_ask(limits, header->body_len))
        return begin_body(decoder, ret_request);
    bool has_store = rd_operation_has_store(rd_operation_find(asking.opcode));
    size_t len = has_store ? 0 : header->body_len;
    if (limits->admit(limits->admit_context, &asking, len, &error) != RD_OK)
        return refuse_frame(decoder, *header, error.status, error.message, ret_request);
    if (!has_store)
        return begin_body(decoder, ret_request);
    decoder->phase = PHASE_STORE;
    return RD_DECODE_MORE;
}

/* How much of the body is gathered: none of a name that is too long for any store. */
static size_t start_wanted(const struct rd_decoder *decoder)
{
    size_t name_len = decoder->start_len == 0 ? 0 : decoder->start[0];
    return name_len > RD_TEXT_STORE_NAME_LEN_MAX ? 1 : 1 + name_len;
}

/* False: the name is not whole yet. */
static bool take_store(struct rd_decoder *decoder, struct rd_slice *input)
{
    while (decoder->start_len < start_wanted(decoder)) {
        struct rd_slice part = rd_slice_take(input, start_wanted(decoder) - decoder->start_len);
        if (part.len == 0)
            return false;
        memcpy(decoder->start + decoder->start_len, part.data, part.len);
        decoder->start_len += part.len;
    }
    return true;
}

static enum rd_decode admit_body(struct rd_decoder *decoder, struct rd_request **ret_request)
{
    struct rd_slice store = rd_slice(decoder->start + 1, decoder->start_len - 1);
    struct rd_asking asking = {.opcode = (enum rd_opcode)decoder->header.opcode};
    struct rd_error error = {.status = RD_OK};
    if (store.len == decoder->start[0])
        asking.store = &store;
    if (rd_limits_admit(&decoder->limits, &asking, decoder->header.body_len, &error) != RD_OK)
        return refuse_frame(decoder, decoder->header, error.status, error.message, ret_request);
    return begin_body(decoder, ret_request);
}

static enum rd_decode begin_frame(struct rd_decoder *decoder, struct rd_request **ret_request)
{
    struct rd_wire_header header = rd_wire_load_header(decoder->head);
    if (rd_wire_is_part(header.opcode))
        return begin_part(decoder, header, ret_request);
    if (header.body_len > decoder->limits.body_len_max)
        return refuse_frame(decoder, header, RD_TOO_LARGE, "the body is longer than the server takes",
                            ret_request);
    if (!rd_binary_request_exists(header.opcode))
        return refuse_frame(decoder, header, RD_UNSUPPORTED, "this server does not know the operation",
                            ret_request);
    uint8_t flags_known = rd_binary_request_flags(header.opcode);
    if (header.status != 0 || (header.flags != 0 && flags_known == 0))
        return refuse_frame(decoder, header, RD_INVALID_ARGUMENT, "flags and status of a request must be 0",
                            ret_request);
    if ((header.flags & ~flags_known) != 0)
        return refuse_frame(decoder, header, RD_INVALID_ARGUMENT, "a flag that the operation does not have",
                            ret_request);
    if (header.opcode == RD_OPCODE_AUTH && header.body_len > RD_WIRE_TOKEN_LEN_MAX)
        return refuse_frame(decoder, header, RD_INVALID_ARGUMENT, RD_BINARY_TOKEN_LEN, ret_request);
    decoder->header = header;
    return begin_request(decoder, ret_request);
}

/* RD_DECODE_MORE: the body is not whole yet. */
static enum rd_decode take_body(struct rd_decoder *decoder, struct rd_slice *input,
                                struct rd_request **ret_request)
{
    struct rd_request *request = decoder->request;
    struct rd_slice part = rd_slice_take(input, request->body_len - decoder->body_got);
    if (part.len != 0)
        memcpy(request->body + decoder->body_got, part.data, part.len);
    decoder->body_got += part.len;
    if (decoder->body_got < request->body_len)
        return RD_DECODE_MORE;
    rd_binary_request_parse(&decoder->limits, decoder->header.flags, request);
    decoder->request = NULL;
    decoder->phase = PHASE_HEADER;
    return hand_out(decoder, request, ret_request);
}

/* RD_DECODE_MORE: no bytes of the chunk are there. */
static enum rd_decode take_chunk(struct rd_decoder *decoder, struct rd_slice *input)
{
    decoder->part.bytes = rd_slice_take(input, decoder->chunk_left);
    decoder->chunk_left -= decoder->part.bytes.len;
    return decoder->part.bytes.len == 0 ? RD_DECODE_MORE : RD_DECODE_PART;
}

static enum rd_decode take_credit(struct rd_decoder *decoder)
{
    decoder->part.credit = rd_load_u64le(decoder->head);
    decoder->phase = PHASE_HEADER;
    return RD_DECODE_PART;
}

/* One move. *ret_again: there may be another one in what is left of the input. */
static enum rd_decode step(struct rd_decoder *decoder, struct rd_slice *input, struct rd_request **ret_request,
                           bool *ret_again)
{
    switch (decoder->phase) {
    case PHASE_HELLO:
        return take_head(decoder, sizeof decoder->head, input) ? take_hello(decoder, ret_request) : RD_DECODE_MORE;
    case PHASE_HEADER:
        *ret_again = take_head(decoder, sizeof decoder->head, input);
        return *ret_again ? begin_frame(decoder, ret_request) : RD_DECODE_MORE;
    case PHASE_STORE:
        *ret_again = take_store(decoder, input);
        return *ret_again ? admit_body(decoder, ret_request) : RD_DECODE_MORE;
    case PHASE_BODY:
        return take_body(decoder, input, ret_request);
    case PHASE_CHUNK:
        if (decoder->chunk_left != 0)
            return take_chunk(decoder, input);
        break;
    case PHASE_CREDIT:
        return take_head(decoder, RD_WIRE_PART_CREDIT_LEN, input) ? take_credit(decoder) : RD_DECODE_MORE;
    case PHASE_SKIP:
        decoder->skip_len -= rd_slice_take(input, decoder->skip_len).len;
        if (decoder->skip_len != 0)
            return RD_DECODE_MORE;
        break;
    case PHASE_CLOSED:
        return RD_DECODE_CLOSED;
    }
    decoder->phase = PHASE_HEADER;
    *ret_again = true;
    return RD_DECODE_MORE;
}

static enum rd_decode decode(struct rd_decoder *decoder, struct rd_slice *input, struct rd_request **ret_request)
{
    *ret_request = NULL;
    for (;;) {
        bool again = false;
        enum rd_decode result = step(decoder, input, ret_request, &again);
        if (result != RD_DECODE_MORE || !again)
            return result;
    }
}

static const struct rd_stream_part *part_of(const struct rd_decoder *decoder)
{
    return &decoder->part;
}

static struct rd_decoder *create(const struct rd_limits *limits)
{
    struct rd_decoder *decoder = calloc(1, sizeof *decoder);
    if (decoder == NULL)
        return NULL;
    decoder->limits = *limits;
    decoder->phase = PHASE_HELLO;
    return decoder;
}

static void destroy(struct rd_decoder *decoder)
{
    if (decoder == NULL)
        return;
    rd_request_destroy(decoder->request);
    free(decoder);
}

static uint8_t *fill_target(struct rd_decoder *decoder, size_t *ret_len)
{
    size_t left = decoder->phase == PHASE_BODY ? decoder->request->body_len - decoder->body_got : 0;
    if (left < FILL_LEN_MIN) {
        *ret_len = 0;
        return NULL;
    }
    *ret_len = left;
    return decoder->request->body + decoder->body_got;
}

static void fill_done(struct rd_decoder *decoder, size_t len)
{
    decoder->body_got += len;
}

static bool mid_request(const struct rd_decoder *decoder)
{
    return decoder->head_len != 0 || decoder->phase == PHASE_STORE || decoder->phase == PHASE_BODY ||
           decoder->phase == PHASE_CREDIT || (decoder->phase == PHASE_CHUNK && decoder->chunk_left != 0) ||
           (decoder->phase == PHASE_SKIP && decoder->skip_len != 0);
}

static size_t head_len(const struct rd_decoder *decoder)
{
    return decoder->phase == PHASE_HELLO || decoder->head_len != 0;
}

const struct rd_codec rd_binary_codec = {
    .name = "binary",
    .answers_in_order = false,
    .takes_pages = true,
    .create = create,
    .destroy = destroy,
    .decode = decode,
    .fill_target = fill_target,
    .fill_done = fill_done,
    .part = part_of,
    .encode_part = rd_binary_answer_encode_part,
    .mid_request = mid_request,
    .head_len = head_len,
    .refuse_connection = rd_binary_answer_refuse_connection,
    .encode = rd_binary_answer_encode,
};
