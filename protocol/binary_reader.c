/* SPDX-License-Identifier: MIT
 *
 * binary_reader.c - the client's reader: bytes from a server to answers (binary_client.h).
 *
 * Bytes behind the fields of an answer that are known here are a newer server's additions and are left aside, but
 * for read, whose value is the rest, and for errors. A chunk of a stream is handed out as it comes and never
 * gathered. Everything else that does not fit breaks the reader for good: a stream of frames that has been misread
 * once cannot be trusted again.
 */
#include "protocol/binary_client.h"

#include <stdio.h>
#include <stdlib.h>

#include "protocol/binary_part.h"

/* Below this much the copy out of the caller's read buffer is cheaper than a read of its own. */
#define FILL_LEN_MIN (16u << 10)

/* ---- bodies ----------------------------------------------------------------------------------------------- */

struct parser {
    struct rd_wire_cursor cursor;
    struct rd_binary_reader *reader; /* borrows; its error keeps the first thing found wrong */
    struct rd_response *response;    /* borrows */
};

static bool fail(struct rd_binary_reader *reader, const char *error)
{
    if (reader->error == NULL)
        reader->error = error;
    return false;
}

/* Takes a row count that both the caller's limit and the bytes that are there can bear. */
static bool take_count(struct parser *parser, size_t row_len_min, size_t *ret_count)
{
    uint32_t count = rd_wire_take_u32(&parser->cursor);
    if (count > parser->reader->item_count_max)
        return fail(parser->reader, "an answer has more rows than this client takes");
    if (count > parser->cursor.left.len / row_len_min)
        return fail(parser->reader, "an answer's row count does not fit its body");
    *ret_count = count;
    return true;
}

static bool take_items(struct parser *parser, size_t row_len_min)
{
    size_t count = 0;
    if (!take_count(parser, row_len_min, &count))
        return false;
    if (count == 0)
        return true;
    parser->reader->items = calloc(count, sizeof *parser->reader->items);
    if (parser->reader->items == NULL)
        return fail(parser->reader, "no memory for an answer");
    parser->response->items = parser->reader->items;
    parser->response->item_count = count;
    return true;
}

static void take_durability(struct parser *parser)
{
    parser->response->durability = (enum rd_message_durability)rd_wire_take_u8(&parser->cursor);
    parser->response->durability_interval_ms = rd_wire_take_u32(&parser->cursor);
}

static void take_nothing(struct parser *parser)
{
    (void)parser;
}

static void take_write(struct parser *parser)
{
    struct rd_response *response = parser->response;
    response->offset = rd_wire_take_u64(&parser->cursor);
    response->tail = rd_wire_take_u64(&parser->cursor);
    response->crc32 = rd_wire_take_u32(&parser->cursor);
    response->key_hash = rd_wire_take_u64(&parser->cursor);
    response->replaced = rd_wire_take_u8(&parser->cursor) != 0;
    response->count = 1;
    take_durability(parser);
}

static void take_batch_write(struct parser *parser)
{
    parser->response->offset = rd_wire_take_u64(&parser->cursor);
    parser->response->tail = rd_wire_take_u64(&parser->cursor);
    parser->response->count = rd_wire_take_u64(&parser->cursor);
    take_durability(parser);
}

static void take_delete(struct parser *parser)
{
    parser->response->tail = rd_wire_take_u64(&parser->cursor);
    parser->response->found = rd_wire_take_u8(&parser->cursor) != 0;
    parser->response->count = parser->response->found ? 1 : 0;
    take_durability(parser);
}

static void take_batch_delete(struct parser *parser)
{
    parser->response->tail = rd_wire_take_u64(&parser->cursor);
    parser->response->count = rd_wire_take_u64(&parser->cursor);
    take_durability(parser);
}

static void take_read(struct parser *parser)
{
    struct rd_response *response = parser->response;
    response->offset = rd_wire_take_u64(&parser->cursor);
    response->crc32 = rd_wire_take_u32(&parser->cursor);
    response->key_hash = rd_wire_take_u64(&parser->cursor);
    response->prev_tail = rd_wire_take_u64(&parser->cursor);
    response->value = rd_wire_take_bytes(&parser->cursor, parser->cursor.left.len);
    response->value_len = response->value.len;
    response->found = true;
}

static void take_read_stream(struct parser *parser)
{
    struct rd_response *response = parser->response;
    response->offset = rd_wire_take_u64(&parser->cursor);
    response->crc32 = rd_wire_take_u32(&parser->cursor);
    response->key_hash = rd_wire_take_u64(&parser->cursor);
    response->prev_tail = rd_wire_take_u64(&parser->cursor);
    response->value_len = rd_wire_take_u64(&parser->cursor);
    response->range_first = rd_wire_take_u64(&parser->cursor);
    uint64_t len = rd_wire_take_u64(&parser->cursor);
    if (response->range_first > response->value_len || len > response->value_len - response->range_first ||
        len > SIZE_MAX)
        fail(parser->reader, "an answer has a range outside its value");
    response->value = rd_slice(NULL, (size_t)len);
    response->partial = len != response->value_len;
    response->found = true;
}

static void take_copy(struct parser *parser)
{
    parser->response->target_offset = rd_wire_take_u64(&parser->cursor);
    parser->response->target_tail = rd_wire_take_u64(&parser->cursor);
}

static void take_transfer(struct parser *parser)
{
    take_copy(parser);
    parser->response->source_tail = rd_wire_take_u64(&parser->cursor);
}

static void take_exists(struct parser *parser)
{
    parser->response->found = rd_wire_take_u8(&parser->cursor) != 0;
}

static void take_metadata(struct parser *parser)
{
    struct rd_response *response = parser->response;
    response->key_hash = rd_wire_take_u64(&parser->cursor);
    response->offset = rd_wire_take_u64(&parser->cursor);
    response->value_len = rd_wire_take_u64(&parser->cursor);
    response->prev_tail = rd_wire_take_u64(&parser->cursor);
    response->crc32 = rd_wire_take_u32(&parser->cursor);
    response->found = true;
}

static void take_batch_read(struct parser *parser)
{
    if (!take_items(parser, RD_WIRE_BATCH_READ_ROW_LEN_MIN))
        return;
    for (size_t i = 0; i < parser->response->item_count && !parser->cursor.cut; i++) {
        struct rd_response_item *item = &parser->reader->items[i];
        item->status = (enum rd_status)rd_wire_take_u16(&parser->cursor);
        if (item->status != RD_OK)
            continue;
        item->offset = rd_wire_take_u64(&parser->cursor);
        item->crc32 = rd_wire_take_u32(&parser->cursor);
        item->len = rd_wire_take_u32(&parser->cursor);
        item->value = rd_wire_take_bytes(&parser->cursor, (size_t)item->len);
    }
}

static void take_iterate(struct parser *parser)
{
    if (!take_items(parser, RD_WIRE_ENTRY_ROW_LEN))
        return;
    for (size_t i = 0; i < parser->response->item_count; i++) {
        struct rd_response_item *item = &parser->reader->items[i];
        item->key_hash = rd_wire_take_u64(&parser->cursor);
        item->offset = rd_wire_take_u64(&parser->cursor);
        item->len = rd_wire_take_u64(&parser->cursor);
        item->crc32 = rd_wire_take_u32(&parser->cursor);
    }
}

/* The rows of older servers end before one of these groups. */
static void take_newer_fields(struct rd_wire_cursor *row, struct rd_response_store *store)
{
    if (row->left.len < RD_WIRE_STORE_ROW_MORE_LEN)
        return;
    store->generation = rd_wire_take_u64(row);
    store->batch_marker = rd_wire_take_u8(row) != 0;
    if (row->left.len < RD_WIRE_STORE_ROW_QUOTA_LEN)
        return;
    store->quota_bytes = rd_wire_take_u64(row);
    store->quota_entries = rd_wire_take_u64(row);
    store->writes_barred = rd_wire_take_u8(row) != 0;
    if (row->left.len < RD_WIRE_STORE_ROW_NOW_LEN)
        return;
    store->compacting = rd_wire_take_u8(row) != 0;
}

static void take_store_row(struct parser *parser, struct rd_response_store *ret_store)
{
    size_t row_len = rd_wire_take_u16(&parser->cursor);
    struct rd_wire_cursor row = {.left = rd_wire_take_bytes(&parser->cursor, row_len)};
    uint8_t state = rd_wire_take_u8(&row);
    ret_store->state = (enum rd_message_store_state)state;
    ret_store->durability = (enum rd_message_durability)rd_wire_take_u8(&row);
    ret_store->durability_interval_ms = rd_wire_take_u32(&row);
    ret_store->entries = rd_wire_take_u64(&row);
    ret_store->tail = rd_wire_take_u64(&row);
    ret_store->file_size = rd_wire_take_u64(&row);
    ret_store->dead_bytes = rd_wire_take_u64(&row);
    size_t name_len = rd_wire_take_u8(&row);
    ret_store->name = rd_wire_take_bytes(&row, name_len);
    size_t reason_len = rd_wire_take_u16(&row);
    ret_store->reason = rd_wire_take_bytes(&row, reason_len);
    take_newer_fields(&row, ret_store);
    if (row.cut || state > RD_MESSAGE_STORE_FAILED)
        fail(parser->reader, "an answer has a store row that makes no sense");
}

static void take_stores(struct parser *parser)
{
    size_t count = 0;
    if (!take_count(parser, sizeof(uint16_t) + RD_WIRE_STORE_ROW_LEN, &count) || count == 0)
        return;
    parser->reader->stores = calloc(count, sizeof *parser->reader->stores);
    if (parser->reader->stores == NULL) {
        fail(parser->reader, "no memory for an answer");
        return;
    }
    parser->response->stores = parser->reader->stores;
    parser->response->store_count = count;
    for (size_t i = 0; i < count && parser->reader->error == NULL; i++)
        take_store_row(parser, &parser->reader->stores[i]);
}

static void take_one_store(struct parser *parser)
{
    take_stores(parser);
    if (parser->response->store_count != 1)
        fail(parser->reader, "an answer about one store has another number of rows");
}

static void take_problems(struct parser *parser, struct rd_response_verification *found)
{
    size_t count = 0;
    if (!take_count(parser, RD_WIRE_PROBLEM_ROW_LEN, &count) || count == 0)
        return;
    struct rd_response_problem *problems = calloc(count, sizeof *problems);
    parser->reader->problems = problems;
    if (problems == NULL) {
        fail(parser->reader, "no memory for an answer");
        return;
    }
    found->problems = problems;
    found->listed_count = count;
    for (size_t i = 0; i < count; i++) {
        problems[i].kind = (enum rd_message_problem_kind)rd_wire_take_u8(&parser->cursor);
        problems[i].live = rd_wire_take_u8(&parser->cursor) != 0;
        problems[i].offset = rd_wire_take_u64(&parser->cursor);
        problems[i].len = rd_wire_take_u64(&parser->cursor);
        problems[i].key_hash = rd_wire_take_u64(&parser->cursor);
    }
}

static void take_verify(struct parser *parser)
{
    struct rd_response_verification *found = &parser->response->verification;
    found->from = rd_wire_take_u64(&parser->cursor);
    found->next = rd_wire_take_u64(&parser->cursor);
    found->entries = rd_wire_take_u64(&parser->cursor);
    found->bytes = rd_wire_take_u64(&parser->cursor);
    found->problem_count = rd_wire_take_u64(&parser->cursor);
    take_problems(parser, found);
    if (found->next > found->from || found->listed_count > found->problem_count)
        fail(parser->reader, "an answer about a step of a look that makes no sense");
}

static void take_backup(struct parser *parser)
{
    struct rd_response *response = parser->response;
    response->generation = rd_wire_take_u64(&parser->cursor);
    response->tail = rd_wire_take_u64(&parser->cursor);
    response->range_first = rd_wire_take_u64(&parser->cursor);
    uint64_t len = rd_wire_take_u64(&parser->cursor);
    if (response->range_first > response->tail || len > response->tail - response->range_first || len > SIZE_MAX)
        fail(parser->reader, "an answer has bytes outside its file");
    response->value = rd_slice(NULL, (size_t)len);
}

static void take_text(struct parser *parser)
{
    parser->response->value = rd_wire_take_bytes(&parser->cursor, parser->cursor.left.len);
}

static void take_compact(struct parser *parser)
{
    struct rd_response_compaction *compaction = &parser->response->compaction;
    compaction->tail_before = rd_wire_take_u64(&parser->cursor);
    compaction->tail = rd_wire_take_u64(&parser->cursor);
    compaction->entries = rd_wire_take_u64(&parser->cursor);
    compaction->generation = rd_wire_take_u64(&parser->cursor);
    compaction->pause_us = rd_wire_take_u64(&parser->cursor);
}

static void take_limits(struct parser *parser)
{
    struct rd_limits *limits = &parser->response->limits;
    limits->body_len_max = rd_wire_take_u32(&parser->cursor);
    limits->key_len_max = rd_wire_take_u32(&parser->cursor);
    limits->batch_count_max = rd_wire_take_u32(&parser->cursor);
    limits->in_flight_max = rd_wire_take_u32(&parser->cursor);
    if (parser->cursor.left.len == 0)
        return; /* a server from before there were streams: zeros */
    limits->stream_window = rd_wire_take_u32(&parser->cursor);
    limits->chunk_len_max = rd_wire_take_u32(&parser->cursor);
}

static void take_error(struct parser *parser)
{
    size_t len = rd_wire_take_u16(&parser->cursor);
    struct rd_slice text = rd_wire_take_bytes(&parser->cursor, len);
    size_t len_max = sizeof parser->response->message - 1;
    if (text.len > len_max) {
        text.len = len_max;
        while (text.len != 0 && (text.data[text.len] & 0xC0) == 0x80) /* not in the middle of a character */
            text.len--;
    }
    if (text.len != 0)
        memcpy(parser->response->message, text.data, text.len);
    parser->response->message[text.len] = '\0';
}

typedef void take_function(struct parser *parser);
static take_function *const takers[] = {
    [RD_OPCODE_HELLO] = take_limits,
    [RD_OPCODE_PING] = take_nothing,
    [RD_OPCODE_AUTH] = take_nothing,
    [RD_OPCODE_METRICS] = take_text,
    [RD_OPCODE_WRITE] = take_write,
    [RD_OPCODE_BATCH_WRITE] = take_batch_write,
    [RD_OPCODE_DELETE] = take_delete,
    [RD_OPCODE_BATCH_DELETE] = take_batch_delete,
    [RD_OPCODE_WRITE_STREAM] = take_write,
    [RD_OPCODE_RENAME] = take_write,
    [RD_OPCODE_COPY] = take_copy,
    [RD_OPCODE_TRANSFER] = take_transfer,
    [RD_OPCODE_READ_STREAM] = take_read_stream,
    [RD_OPCODE_READ] = take_read,
    [RD_OPCODE_BATCH_READ] = take_batch_read,
    [RD_OPCODE_EXISTS] = take_exists,
    [RD_OPCODE_METADATA] = take_metadata,
    [RD_OPCODE_LAST] = take_metadata,
    [RD_OPCODE_ITERATE] = take_iterate,
    [RD_OPCODE_STORES] = take_stores,
    [RD_OPCODE_CREATE] = take_one_store,
    [RD_OPCODE_INFO] = take_one_store,
    [RD_OPCODE_DROP] = take_nothing,
    [RD_OPCODE_VERIFY] = take_verify,
    [RD_OPCODE_REOPEN] = take_one_store,
    [RD_OPCODE_BACKUP] = take_backup,
    [RD_OPCODE_COMPACT] = take_compact,
};

static bool parse_body(struct rd_binary_reader *reader, struct rd_response *ret_response)
{
    struct parser parser = {
        .cursor = {.left = rd_slice(reader->body, reader->header.body_len)},
        .reader = reader,
        .response = ret_response,
    };
    uint8_t opcode = reader->greeted ? reader->header.opcode : RD_OPCODE_HELLO;
    take_function *take = opcode < sizeof takers / sizeof takers[0] ? takers[opcode] : NULL;
    ret_response->status = (enum rd_status)reader->header.status;
    if (ret_response->status != RD_OK)
        take = take_error;
    if (take == NULL)
        return fail(reader, "an answer to an operation that does not exist");
    take(&parser);
    if (parser.cursor.cut)
        return fail(reader, "an answer's body ends in the middle of a field");
    return reader->error == NULL;
}

/* ---- frames ----------------------------------------------------------------------------------------------- */

static bool begin_hello(struct rd_binary_reader *reader)
{
    const uint8_t *head = reader->head;
    if (memcmp(head, RD_WIRE_MAGIC, RD_WIRE_MAGIC_LEN) != 0)
        return fail(reader, "this is not an rdrive server's binary port: wrong magic");
    reader->header = (struct rd_wire_header){
        .status = rd_load_u16le(head + RD_WIRE_HELLO_STATUS),
        .body_len = rd_load_u32le(head + RD_WIRE_HELLO_BODY_LEN),
        .opcode = RD_OPCODE_HELLO,
    };
    if (reader->header.status == RD_OK && rd_load_u16le(head + RD_WIRE_HELLO_VERSION) != RD_WIRE_VERSION)
        return fail(reader, "the server accepted a version that it was not asked for");
    return true;
}

/* An error answer may carry a part's opcode: to a part that the server could not bear. */
static bool is_part(const struct rd_binary_reader *reader)
{
    return reader->greeted && rd_wire_is_part(reader->header.opcode) && reader->header.status == RD_OK;
}

/* head is whole: checks it and makes room for the body. */
static bool begin_body(struct rd_binary_reader *reader)
{
    if (!reader->greeted) {
        if (!begin_hello(reader))
            return false;
    } else {
        reader->header = rd_wire_load_header(reader->head);
        if (reader->header.flags != 0)
            return fail(reader, "an answer has flags that this client does not know");
        if (reader->header.opcode == RD_OPCODE_HELLO)
            return fail(reader, "an answer to a hello that was not sent");
    }
    if (is_part(reader)) {
        reader->part =
            (struct rd_stream_part){.kind = rd_binary_part_kind(reader->header.opcode), .id = reader->header.id};
        if (reader->part.kind == RD_STREAM_CHUNK) {
            reader->chunk_left = reader->header.body_len;
            return true;
        }
    }
    if (reader->header.body_len > reader->body_len_max)
        return fail(reader, "an answer is longer than this client takes");
    if (reader->header.body_len != 0) {
        reader->body = malloc(reader->header.body_len);
        if (reader->body == NULL)
            return fail(reader, "no memory for an answer");
    }
    reader->body_got = 0;
    reader->in_body = true;
    return true;
}

/* Drops what the answer before borrowed. */
static void forget(struct rd_binary_reader *reader)
{
    free(reader->items);
    free(reader->stores);
    free(reader->problems);
    free(reader->body);
    reader->items = NULL;
    reader->stores = NULL;
    reader->problems = NULL;
    reader->body = NULL;
}

/* A part whose body is whole; of a chunk only the header is. */
static enum rd_binary_read end_part(struct rd_binary_reader *reader)
{
    struct rd_wire_cursor cursor = {.left = rd_slice(reader->body, reader->header.body_len)};
    if (reader->part.kind == RD_STREAM_CREDIT)
        reader->part.credit = rd_wire_take_u64(&cursor);
    if (reader->part.kind == RD_STREAM_ABORT) {
        reader->part.status = (enum rd_status)rd_wire_take_u16(&cursor);
        size_t len = rd_wire_take_u16(&cursor);
        reader->part.bytes = rd_wire_take_bytes(&cursor, len);
    }
    if (!cursor.cut)
        return RD_BINARY_READ_PART;
    fail(reader, "a part's body ends in the middle of a field");
    return RD_BINARY_READ_BROKEN;
}

static enum rd_binary_read end_body(struct rd_binary_reader *reader, struct rd_binary_answer *ret_answer)
{
    reader->in_body = false;
    if (is_part(reader))
        return end_part(reader);
    *ret_answer = (struct rd_binary_answer){
        .hello = !reader->greeted, .opcode = reader->header.opcode, .id = reader->header.id};
    if (!parse_body(reader, &ret_answer->response))
        return RD_BINARY_READ_BROKEN;
    if (ret_answer->response.status == RD_OK)
        reader->greeted = true;
    return RD_BINARY_READ_ANSWER;
}

/* False: the header is not whole yet, or makes no sense. */
static bool take_head(struct rd_binary_reader *reader, struct rd_slice *input)
{
    struct rd_slice part = rd_slice_take(input, sizeof reader->head - reader->head_len);
    if (part.len != 0)
        memcpy(reader->head + reader->head_len, part.data, part.len);
    reader->head_len += part.len;
    if (reader->head_len < sizeof reader->head)
        return false;
    reader->head_len = 0;
    return begin_body(reader);
}

/* RD_BINARY_READ_MORE: no bytes of the chunk are there. */
static enum rd_binary_read take_chunk(struct rd_binary_reader *reader, struct rd_slice *input)
{
    reader->part.bytes = rd_slice_take(input, reader->chunk_left);
    reader->chunk_left -= (uint32_t)reader->part.bytes.len;
    return reader->part.bytes.len == 0 ? RD_BINARY_READ_MORE : RD_BINARY_READ_PART;
}

enum rd_binary_read rd_binary_reader_next(struct rd_binary_reader *reader, struct rd_slice *input,
                                          struct rd_binary_answer *ret_answer)
{
    if (reader->error != NULL)
        return RD_BINARY_READ_BROKEN;
    if (!reader->in_body)
        forget(reader);
    while (!reader->in_body) {
        if (reader->chunk_left != 0)
            return take_chunk(reader, input);
        if (!take_head(reader, input))
            return reader->error != NULL ? RD_BINARY_READ_BROKEN : RD_BINARY_READ_MORE;
    }
    struct rd_slice part = rd_slice_take(input, reader->header.body_len - reader->body_got);
    if (part.len != 0)
        memcpy(reader->body + reader->body_got, part.data, part.len);
    reader->body_got += part.len;
    if (reader->body_got < reader->header.body_len)
        return RD_BINARY_READ_MORE;
    return end_body(reader, ret_answer);
}

const struct rd_stream_part *rd_binary_reader_part(const struct rd_binary_reader *reader)
{
    return &reader->part;
}

uint8_t *rd_binary_reader_fill_target(struct rd_binary_reader *reader, size_t *ret_len)
{
    size_t left = reader->in_body && reader->error == NULL ? reader->header.body_len - reader->body_got : 0;
    if (left < FILL_LEN_MIN) {
        *ret_len = 0;
        return NULL;
    }
    *ret_len = left;
    return reader->body + reader->body_got;
}

void rd_binary_reader_fill_done(struct rd_binary_reader *reader, size_t len)
{
    reader->body_got += len;
}

uint8_t *rd_binary_reader_take_body(struct rd_binary_reader *reader)
{
    uint8_t *body = reader->body;
    reader->body = NULL;
    return body;
}

void rd_binary_reader_init(struct rd_binary_reader *reader, uint32_t body_len_max, uint32_t item_count_max)
{
    *reader = (struct rd_binary_reader){.body_len_max = body_len_max, .item_count_max = item_count_max};
}

void rd_binary_reader_deinit(struct rd_binary_reader *reader)
{
    forget(reader);
}
