/* SPDX-License-Identifier: MIT
 *
 * binary.c - the binary protocol's server side: frames to requests (the decoder's state machine and one parser for
 * each body) and responses to frames. binary_answer.c has the answers' bodies.
 *
 * Guarantees
 *  1. However the input is cut, the requests are the same.
 *  2. Every frame gets exactly one request, with the frame's id; one that is refused by its header is handed out
 * at once and its body is skipped.
 *  3. A count or a length is believed only after the bytes that it announces are known to be there.
 *
 * The decoder's moves (in brackets the function that makes them):
 *
 *   HELLO --preamble fits (take_hello)--> HEADER --header fits (begin_frame)--> BODY --whole (finish_body)-->
 * HEADER |  ^ other version                    |  ^                                 |
 *     +--+                                  |  +--- skipped (skip_body) --- SKIP <--- refused (refuse_frame)
 *     +--- wrong magic ---> CLOSED <--------+ body too long to skip
 *
 * It runs on the thread of the connection's loop and does no I/O.
 */
#include "protocol/binary.h"

#include <stdlib.h>

#include "protocol/binary_answer.h"
#include "protocol/wire.h"

/* A frame whose body is longer than so many times the limit is not worth reading to its end. */
#define SKIP_FACTOR 4u

/* Below this much the copy out of the loop's read buffer is cheaper than a read of its own. */
#define FILL_LEN_MIN (16u << 10)

enum phase {
    PHASE_HELLO,  /* head gathers a preamble */
    PHASE_HEADER, /* head gathers a frame header */
    PHASE_BODY,   /* request->body is being filled */
    PHASE_SKIP,   /* skip_len bytes are thrown away */
    PHASE_CLOSED
};

struct rd_decoder {
    struct rd_limits limits;
    enum phase phase;
    uint8_t head[RD_WIRE_HEADER_LEN];
    size_t head_len;            /* bytes of head that are there */
    struct rd_request *request; /* owned; PHASE_BODY only */
    size_t body_got;            /* bytes of request->body that are there */
    size_t skip_len;            /* bytes */
};

/* ---- bodies ----------------------------------------------------------------------------------------------- */

struct parser {
    struct rd_wire_cursor cursor;
    const struct rd_limits *limits; /* borrows */
    struct rd_request *request;     /* borrows; its status keeps the first thing found wrong */
};

static void fail(struct parser *parser, enum rd_status status, const char *message)
{
    if (parser->request->status != RD_OK)
        return;
    parser->request->status = status;
    parser->request->message = message;
}

static void parse_store(struct parser *parser)
{
    size_t len = rd_wire_take_u8(&parser->cursor);
    parser->request->store = rd_wire_take_bytes(&parser->cursor, len);
}

static void parse_durability(struct parser *parser)
{
    uint8_t durability = rd_wire_take_u8(&parser->cursor);
    switch (durability) {
    case RD_MESSAGE_DURABILITY_DEFAULT:
    case RD_MESSAGE_DURABILITY_SYNC:
    case RD_MESSAGE_DURABILITY_NONE:
        parser->request->durability = (enum rd_message_durability)durability;
        return;
    default:
        fail(parser, RD_INVALID_ARGUMENT, "the durability of a write is 0 (the store's), 1 (sync) or 3 (none)");
    }
}

static void parse_key(struct parser *parser, struct rd_message_key *ret_key)
{
    uint8_t form = rd_wire_take_u8(&parser->cursor);
    if (form == RD_WIRE_KEY_HASH) {
        ret_key->hash = rd_wire_take_u64(&parser->cursor);
        return;
    }
    if (form != RD_WIRE_KEY_BYTES) {
        fail(parser, RD_INVALID_ARGUMENT, "a key's form is 0 (bytes) or 1 (hash)");
        return;
    }
    uint32_t len = rd_wire_take_u32(&parser->cursor);
    if (len > parser->limits->key_len_max) {
        fail(parser, RD_TOO_LARGE, "a key is longer than the server takes");
        return;
    }
    ret_key->bytes = rd_wire_take_bytes(&parser->cursor, len);
}

/* Takes a count and makes room for so many items, each of which is at least item_len_min bytes in the body. */
static bool parse_count(struct parser *parser, size_t item_len_min)
{
    uint32_t count = rd_wire_take_u32(&parser->cursor);
    if (count > parser->limits->batch_count_max) {
        fail(parser, RD_TOO_LARGE, "a batch has more items than the server takes");
        return false;
    }
    if (count > parser->cursor.left.len / item_len_min) {
        fail(parser, RD_INVALID_ARGUMENT, "a batch's count does not fit its body");
        return false;
    }
    if (count == 0)
        return true;
    parser->request->items = calloc(count, sizeof *parser->request->items);
    if (parser->request->items == NULL) {
        fail(parser, RD_NO_MEMORY, "no memory for the batch");
        return false;
    }
    parser->request->item_count = count;
    return true;
}

static void parse_key_request(struct parser *parser)
{
    parse_store(parser);
    parse_key(parser, &parser->request->key);
}

static void parse_write(struct parser *parser)
{
    parse_store(parser);
    parse_durability(parser);
    parse_key(parser, &parser->request->key);
    parser->request->value = rd_wire_take_bytes(&parser->cursor, parser->cursor.left.len);
}

static void parse_delete(struct parser *parser)
{
    parse_store(parser);
    parse_durability(parser);
    parse_key(parser, &parser->request->key);
}

static bool parsing(const struct parser *parser)
{
    return parser->request->status == RD_OK && !parser->cursor.cut;
}

static void parse_batch_write(struct parser *parser)
{
    parse_store(parser);
    parse_durability(parser);
    uint8_t allow_null_bytes = rd_wire_take_u8(&parser->cursor);
    if (allow_null_bytes > 1)
        fail(parser, RD_INVALID_ARGUMENT, "allow_null_bytes is 0 or 1");
    parser->request->allow_null_bytes = allow_null_bytes == 1;
    if (!parse_count(parser, RD_WIRE_KEY_LEN_MIN + sizeof(uint32_t)))
        return;
    for (size_t i = 0; i < parser->request->item_count && parsing(parser); i++) {
        struct rd_message_item *item = &parser->request->items[i];
        parse_key(parser, &item->key);
        uint32_t value_len = rd_wire_take_u32(&parser->cursor);
        item->value = rd_wire_take_bytes(&parser->cursor, value_len);
    }
}

static void parse_keys(struct parser *parser)
{
    if (!parse_count(parser, RD_WIRE_KEY_LEN_MIN))
        return;
    for (size_t i = 0; i < parser->request->item_count && parsing(parser); i++)
        parse_key(parser, &parser->request->items[i].key);
}

static void parse_batch_delete(struct parser *parser)
{
    parse_store(parser);
    parse_durability(parser);
    parse_keys(parser);
}

static void parse_batch_read(struct parser *parser)
{
    parse_store(parser);
    parse_keys(parser);
}

static void parse_iterate(struct parser *parser)
{
    parse_store(parser);
    parser->request->after_offset = rd_wire_take_u64(&parser->cursor);
    parser->request->limit = rd_wire_take_u32(&parser->cursor);
}

static void parse_create(struct parser *parser)
{
    parse_store(parser);
    uint32_t len = rd_wire_take_u32(&parser->cursor);
    parser->request->settings = rd_wire_take_bytes(&parser->cursor, len);
}

static void parse_drop(struct parser *parser)
{
    parse_store(parser);
    size_t len = rd_wire_take_u8(&parser->cursor);
    parser->request->confirm = rd_wire_take_bytes(&parser->cursor, len);
}

static void parse_ping(struct parser *parser)
{
    size_t len = parser->cursor.left.len;
    if (len > RD_WIRE_PING_LEN_MAX)
        fail(parser, RD_INVALID_ARGUMENT, "a ping carries at most 64 bytes");
    (void)rd_wire_take_bytes(&parser->cursor, len);
}

static void parse_nothing(struct parser *parser)
{
    (void)parser;
}

/* By opcode; NULL: not a request that travels in a frame. */
typedef void parse_function(struct parser *parser);
static parse_function *const parsers[] = {
    [RD_OPCODE_PING] = parse_ping,
    [RD_OPCODE_WRITE] = parse_write,
    [RD_OPCODE_BATCH_WRITE] = parse_batch_write,
    [RD_OPCODE_DELETE] = parse_delete,
    [RD_OPCODE_BATCH_DELETE] = parse_batch_delete,
    [RD_OPCODE_READ] = parse_key_request,
    [RD_OPCODE_BATCH_READ] = parse_batch_read,
    [RD_OPCODE_EXISTS] = parse_key_request,
    [RD_OPCODE_METADATA] = parse_key_request,
    [RD_OPCODE_LAST] = parse_store,
    [RD_OPCODE_ITERATE] = parse_iterate,
    [RD_OPCODE_STORES] = parse_nothing,
    [RD_OPCODE_CREATE] = parse_create,
    [RD_OPCODE_INFO] = parse_store,
    [RD_OPCODE_DROP] = parse_drop,
};

static parse_function *find_parser(uint8_t opcode)
{
    return opcode < sizeof parsers / sizeof parsers[0] ? parsers[opcode] : NULL;
}

static void parse_body(const struct rd_limits *limits, struct rd_request *request)
{
    struct parser parser = {
        .cursor = {.left = rd_slice(request->body, request->body_len)},
        .limits = limits,
        .request = request,
    };
    find_parser((uint8_t)request->opcode)(&parser);
    if (parser.cursor.cut)
        fail(&parser, RD_INVALID_ARGUMENT, "the body ends in the middle of a field");
    else if (parser.cursor.left.len != 0)
        fail(&parser, RD_INVALID_ARGUMENT, "the body goes on behind its last field");
}

/* ---- frames ----------------------------------------------------------------------------------------------- */

/* Fills head from the input. False: not whole yet. */
static bool take_head(struct rd_decoder *decoder, struct rd_slice *input)
{
    struct rd_slice part = rd_slice_take(input, sizeof decoder->head - decoder->head_len);
    if (part.len != 0)
        memcpy(decoder->head + decoder->head_len, part.data, part.len);
    decoder->head_len += part.len;
    if (decoder->head_len < sizeof decoder->head)
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

/* Answers a frame by its header alone. The body is skipped where it is of bearable length. */
static enum rd_decode refuse_frame(struct rd_decoder *decoder, struct rd_wire_header header, enum rd_status status,
                                   const char *message, struct rd_request **ret_request)
{
    struct rd_request *request = rd_request_create(0);
    if (request == NULL)
        return hand_out(decoder, NULL, ret_request);
    request->opcode = find_parser(header.opcode) == NULL ? RD_OPCODE_NONE : (enum rd_opcode)header.opcode;
    request->codec_flags = header.opcode;
    request->id = header.id;
    request->status = status;
    request->message = message;
    request->close_after = header.body_len > (uint64_t)decoder->limits.body_len_max * SKIP_FACTOR;
    decoder->phase = PHASE_SKIP;
    decoder->skip_len = header.body_len;
    return hand_out(decoder, request, ret_request);
}

static enum rd_decode begin_frame(struct rd_decoder *decoder, struct rd_request **ret_request)
{
    struct rd_wire_header header = rd_wire_load_header(decoder->head);
    if (header.body_len > decoder->limits.body_len_max)
        return refuse_frame(decoder, header, RD_TOO_LARGE, "the body is longer than the server takes",
                            ret_request);
    if (find_parser(header.opcode) == NULL)
        return refuse_frame(decoder, header, RD_UNSUPPORTED, "this server does not know the operation",
                            ret_request);
    if (header.flags != 0 || header.status != 0)
        return refuse_frame(decoder, header, RD_INVALID_ARGUMENT, "flags and status of a request must be 0",
                            ret_request);
    struct rd_request *request = rd_request_create(header.body_len);
    if (request == NULL)
        return refuse_frame(decoder, header, RD_NO_MEMORY, "no memory for the body", ret_request);
    request->opcode = (enum rd_opcode)header.opcode;
    request->codec_flags = header.opcode;
    request->id = header.id;
    decoder->request = request;
    decoder->body_got = 0;
    decoder->phase = PHASE_BODY;
    return RD_DECODE_MORE;
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
    parse_body(&decoder->limits, request);
    decoder->request = NULL;
    decoder->phase = PHASE_HEADER;
    return hand_out(decoder, request, ret_request);
}

static enum rd_decode decode(struct rd_decoder *decoder, struct rd_slice *input, struct rd_request **ret_request)
{
    *ret_request = NULL;
    for (;;) {
        enum rd_decode result = RD_DECODE_MORE;
        switch (decoder->phase) {
        case PHASE_HELLO:
            if (!take_head(decoder, input))
                return RD_DECODE_MORE;
            return take_hello(decoder, ret_request);
        case PHASE_HEADER:
            if (!take_head(decoder, input))
                return RD_DECODE_MORE;
            result = begin_frame(decoder, ret_request);
            break;
        case PHASE_BODY:
            return take_body(decoder, input, ret_request);
        case PHASE_SKIP:
            decoder->skip_len -= rd_slice_take(input, decoder->skip_len).len;
            if (decoder->skip_len != 0)
                return RD_DECODE_MORE;
            decoder->phase = PHASE_HEADER;
            break;
        case PHASE_CLOSED:
            return RD_DECODE_CLOSED;
        }
        if (result != RD_DECODE_MORE)
            return result;
    }
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
    return decoder->head_len != 0 || decoder->phase == PHASE_BODY ||
           (decoder->phase == PHASE_SKIP && decoder->skip_len != 0);
}

const struct rd_codec rd_binary_codec = {
    .name = "binary",
    .answers_in_order = false,
    .create = create,
    .destroy = destroy,
    .decode = decode,
    .fill_target = fill_target,
    .fill_done = fill_done,
    .mid_request = mid_request,
    .encode = rd_binary_answer_encode,
};
