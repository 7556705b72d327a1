/* SPDX-License-Identifier: MIT
 *
 * binary_request.c - the bodies of requests: one parser for each. A count or a length is believed only after the
 * bytes that it announces are known to be there. Pure, and without state.
 */
#include "protocol/binary_request.h"

#include <stdlib.h>

#include "protocol/wire.h"

struct parser {
    struct rd_wire_cursor cursor;
    const struct rd_limits *limits; /* borrows */
    struct rd_request *request;     /* borrows; its status keeps the first thing found wrong */
    uint8_t flags;                  /* of the frame; only such as the operation may carry */
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

/* Which value of a condition's kind stands for what is the same here and there, but for the kinds that never
 * travel. */
static void parse_condition(struct parser *parser, uint8_t flag, struct rd_message_condition *ret_condition)
{
    if ((parser->flags & flag) == 0)
        return;
    uint8_t kind = rd_wire_take_u8(&parser->cursor);
    uint64_t offset = rd_wire_take_u64(&parser->cursor);
    uint32_t crc32 = rd_wire_take_u32(&parser->cursor);
    switch (kind) {
    case RD_MESSAGE_IF_ABSENT:
    case RD_MESSAGE_IF_PRESENT:
        ret_condition->kind = (enum rd_message_condition_kind)kind;
        return;
    case RD_MESSAGE_IF_VERSION:
        *ret_condition =
            (struct rd_message_condition){.kind = RD_MESSAGE_IF_VERSION, .offset = offset, .crc32 = crc32};
        return;
    default:
        fail(parser, RD_INVALID_ARGUMENT, "a condition's kind is 1 (absent), 2 (present) or 3 (version)");
    }
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

/* What write, write_stream and delete begin with. */
static void parse_change(struct parser *parser)
{
    parse_store(parser);
    parse_condition(parser, RD_WIRE_FLAG_CONDITION, &parser->request->condition);
    parse_durability(parser);
    parse_key(parser, &parser->request->key);
}

static void parse_write(struct parser *parser)
{
    parse_change(parser);
    parser->request->value = rd_wire_take_bytes(&parser->cursor, parser->cursor.left.len);
}

static void parse_write_stream(struct parser *parser)
{
    parse_change(parser);
    parser->request->stream_len = rd_wire_take_u64(&parser->cursor);
}

static void parse_rename(struct parser *parser)
{
    parse_store(parser);
    parse_condition(parser, RD_WIRE_FLAG_CONDITION, &parser->request->condition);
    parse_condition(parser, RD_WIRE_FLAG_TARGET_CONDITION, &parser->request->target_condition);
    parse_durability(parser);
    parse_key(parser, &parser->request->key);
    parse_key(parser, &parser->request->target_key);
}

/* copy and transfer */
static void parse_copy(struct parser *parser)
{
    parse_key_request(parser);
    size_t len = rd_wire_take_u8(&parser->cursor);
    parser->request->target_store = rd_wire_take_bytes(&parser->cursor, len);
}

static void parse_read_stream(struct parser *parser)
{
    parse_key_request(parser);
    uint8_t kind = rd_wire_take_u8(&parser->cursor);
    uint64_t first = rd_wire_take_u64(&parser->cursor);
    uint64_t len = rd_wire_take_u64(&parser->cursor);
    parser->request->stream_credit = rd_wire_take_u64(&parser->cursor);
    struct rd_message_range *range = &parser->request->range;
    if (kind == RD_WIRE_RANGE_FROM)
        *range = (struct rd_message_range){.kind = RD_MESSAGE_RANGE_FROM, .first = first, .len = len};
    else if (kind == RD_WIRE_RANGE_SUFFIX)
        *range = (struct rd_message_range){.kind = RD_MESSAGE_RANGE_SUFFIX, .len = len};
    else if (kind != RD_WIRE_RANGE_ALL)
        fail(parser, RD_INVALID_ARGUMENT, "a range's kind is 0 (all), 1 (from) or 2 (suffix)");
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

static void parse_verify(struct parser *parser)
{
    parse_store(parser);
    parser->request->verify_from = rd_wire_take_u64(&parser->cursor);
    parser->request->verify_bytes_max = rd_wire_take_u64(&parser->cursor);
}

static void parse_backup(struct parser *parser)
{
    parse_store(parser);
    parser->request->backup_from = rd_wire_take_u64(&parser->cursor);
    parser->request->backup_generation = rd_wire_take_u64(&parser->cursor);
    parser->request->stream_credit = rd_wire_take_u64(&parser->cursor);
}

static void parse_ping(struct parser *parser)
{
    size_t len = parser->cursor.left.len;
    if (len > RD_WIRE_PING_LEN_MAX)
        fail(parser, RD_INVALID_ARGUMENT, "a ping carries at most 64 bytes");
    (void)rd_wire_take_bytes(&parser->cursor, len);
}

static void parse_auth(struct parser *parser)
{
    size_t len = parser->cursor.left.len;
    if (len == 0 || len > RD_WIRE_TOKEN_LEN_MAX)
        fail(parser, RD_INVALID_ARGUMENT, RD_BINARY_TOKEN_LEN);
    parser->request->token_use = RD_MESSAGE_TOKEN_SHOWN;
    parser->request->token = rd_wire_take_bytes(&parser->cursor, len);
}

static void parse_nothing(struct parser *parser)
{
    (void)parser;
}

#define CONDITION RD_WIRE_FLAG_CONDITION

/* By opcode; parse is NULL where it is not a request that travels in a frame. */
typedef void parse_function(struct parser *parser);
static const struct {
    parse_function *parse;
    uint8_t flags; /* that it may carry */
} rows[] = {
    [RD_OPCODE_PING] = {parse_ping, 0},
    [RD_OPCODE_AUTH] = {parse_auth, 0},
    [RD_OPCODE_METRICS] = {parse_nothing, 0},
    [RD_OPCODE_WRITE] = {parse_write, CONDITION},
    [RD_OPCODE_WRITE_STREAM] = {parse_write_stream, CONDITION},
    [RD_OPCODE_BATCH_WRITE] = {parse_batch_write, 0},
    [RD_OPCODE_RENAME] = {parse_rename, CONDITION | RD_WIRE_FLAG_TARGET_CONDITION},
    [RD_OPCODE_COPY] = {parse_copy, 0},
    [RD_OPCODE_TRANSFER] = {parse_copy, 0},
    [RD_OPCODE_DELETE] = {parse_change, CONDITION},
    [RD_OPCODE_BATCH_DELETE] = {parse_batch_delete, 0},
    [RD_OPCODE_READ] = {parse_key_request, 0},
    [RD_OPCODE_BATCH_READ] = {parse_batch_read, 0},
    [RD_OPCODE_EXISTS] = {parse_key_request, 0},
    [RD_OPCODE_METADATA] = {parse_key_request, 0},
    [RD_OPCODE_LAST] = {parse_store, 0},
    [RD_OPCODE_ITERATE] = {parse_iterate, 0},
    [RD_OPCODE_READ_STREAM] = {parse_read_stream, 0},
    [RD_OPCODE_STORES] = {parse_nothing, 0},
    [RD_OPCODE_CREATE] = {parse_create, 0},
    [RD_OPCODE_INFO] = {parse_store, 0},
    [RD_OPCODE_DROP] = {parse_drop, 0},
    [RD_OPCODE_VERIFY] = {parse_verify, 0},
    [RD_OPCODE_REOPEN] = {parse_store, 0},
    [RD_OPCODE_BACKUP] = {parse_backup, 0},
    [RD_OPCODE_COMPACT] = {parse_store, 0},
};
#define ROW_COUNT (sizeof rows / sizeof rows[0])

bool rd_binary_request_exists(uint8_t opcode)
{
    return opcode < ROW_COUNT && rows[opcode].parse != NULL;
}

uint8_t rd_binary_request_flags(uint8_t opcode)
{
    return opcode < ROW_COUNT ? rows[opcode].flags : 0;
}

void rd_binary_request_parse(const struct rd_limits *limits, uint8_t flags, struct rd_request *request)
{
    struct parser parser = {
        .cursor = {.left = rd_slice(request->body, request->body_len)},
        .limits = limits,
        .request = request,
        .flags = flags,
    };
    rows[request->opcode].parse(&parser);
    if (parser.cursor.cut)
        fail(&parser, RD_INVALID_ARGUMENT, "the body ends in the middle of a field");
    else if (parser.cursor.left.len != 0)
        fail(&parser, RD_INVALID_ARGUMENT, "the body goes on behind its last field");
    request->streamed = request->opcode == RD_OPCODE_WRITE_STREAM && request->status == RD_OK;
}
