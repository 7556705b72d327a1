/* SPDX-License-Identifier: MIT
 *
 * binary_answer.c - responses to frames. Each body's length is known before its first byte is written, so a frame
 * takes one reservation and is written once, front to back. What a u32 length cannot say is answered with
 * too_large.
 *
 * The answers to write and read are the hot path. Pure, and without state.
 */
#include "protocol/binary_answer.h"

#include "protocol/binary_part.h"
#include "protocol/wire.h"

/* Leaves room for what comes in front of a value. */
#define BODY_LEN_MAX (UINT32_MAX - 64u)

static void encode_error(const struct rd_request *request, enum rd_status status, const char *message,
                         struct rd_buffer *out);

static uint8_t wire_opcode(const struct rd_request *request)
{
    return (uint8_t)(request->opcode == RD_OPCODE_NONE ? request->codec_flags : request->opcode);
}

/* Reserves and commits a frame of which here_len bytes of body are written now and value_len follow elsewhere.
 * Returns where the body begins. NULL: it does not fit, and out->failed or an error answer says so. */
static uint8_t *begin(const struct rd_request *request, uint64_t here_len, uint64_t value_len,
                      struct rd_buffer *out)
{
    if (here_len > BODY_LEN_MAX || value_len > BODY_LEN_MAX - here_len) {
        encode_error(request, RD_TOO_LARGE, "the answer does not fit a frame: ask for less at once", out);
        return NULL;
    }
    size_t len = RD_WIRE_HEADER_LEN + (size_t)here_len;
    uint8_t *to = rd_buffer_reserve(out, len);
    if (to == NULL)
        return NULL;
    rd_wire_store_header(to, (struct rd_wire_header){.id = request->id,
                                                     .body_len = (uint32_t)(here_len + value_len),
                                                     .opcode = wire_opcode(request)});
    rd_buffer_commit(out, len);
    return to + RD_WIRE_HEADER_LEN;
}

static uint8_t *put_error_body(uint8_t *to, struct rd_slice message)
{
    to = rd_wire_put_u16(to, (uint16_t)message.len);
    return rd_wire_put_bytes(to, message);
}

static void encode_error(const struct rd_request *request, enum rd_status status, const char *message,
                         struct rd_buffer *out)
{
    struct rd_slice text = rd_slice_of_string(message);
    size_t body_len = sizeof(uint16_t) + text.len;
    uint8_t *to = rd_buffer_reserve(out, RD_WIRE_HEADER_LEN + body_len);
    if (to == NULL)
        return;
    rd_wire_store_header(to, (struct rd_wire_header){.id = request->id,
                                                     .body_len = (uint32_t)body_len,
                                                     .status = (uint16_t)status,
                                                     .opcode = wire_opcode(request)});
    put_error_body(to + RD_WIRE_HEADER_LEN, text);
    rd_buffer_commit(out, RD_WIRE_HEADER_LEN + body_len);
}

static void encode_hello(const struct rd_response *response, struct rd_buffer *out)
{
    struct rd_slice message = rd_slice_of_string(response->message);
    bool ok = response->status == RD_OK;
    size_t body_len = ok ? RD_WIRE_LIMITS_LEN : sizeof(uint16_t) + message.len;
    uint8_t *to = rd_buffer_reserve(out, RD_WIRE_HELLO_LEN + body_len);
    if (to == NULL)
        return;
    memcpy(to, RD_WIRE_MAGIC, RD_WIRE_MAGIC_LEN);
    to = rd_wire_put_u16(to + RD_WIRE_MAGIC_LEN, RD_WIRE_VERSION);
    to = rd_wire_put_u16(to, (uint16_t)response->status);
    to = rd_wire_put_u32(to, (uint32_t)body_len);
    if (ok) {
        to = rd_wire_put_u32(to, response->limits.body_len_max);
        to = rd_wire_put_u32(to, response->limits.key_len_max);
        to = rd_wire_put_u32(to, response->limits.batch_count_max);
        to = rd_wire_put_u32(to, response->limits.in_flight_max);
        to = rd_wire_put_u32(to, response->limits.stream_window);
        rd_wire_put_u32(to, response->limits.chunk_len_max);
    } else {
        put_error_body(to, message);
    }
    rd_buffer_commit(out, RD_WIRE_HELLO_LEN + body_len);
}

/* ---- one function for each body: returns how many bytes of response->value follow ----------------------- */

static size_t encode_nothing(const struct rd_request *request, const struct rd_response *response,
                             struct rd_buffer *out)
{
    (void)response;
    begin(request, 0, 0, out);
    return 0;
}

static uint8_t *put_durability(uint8_t *to, const struct rd_response *response)
{
    to = rd_wire_put_u8(to, (uint8_t)response->durability);
    return rd_wire_put_u32(to, response->durability_interval_ms);
}

static size_t encode_write(const struct rd_request *request, const struct rd_response *response,
                           struct rd_buffer *out)
{
    uint8_t *to = begin(request, RD_WIRE_WRITE_ANSWER_LEN, 0, out);
    if (to == NULL)
        return 0;
    to = rd_wire_put_u64(to, response->offset);
    to = rd_wire_put_u64(to, response->tail);
    to = rd_wire_put_u32(to, response->crc32);
    to = rd_wire_put_u64(to, response->key_hash);
    to = rd_wire_put_u8(to, response->replaced);
    put_durability(to, response);
    return 0;
}

static size_t encode_batch_write(const struct rd_request *request, const struct rd_response *response,
                                 struct rd_buffer *out)
{
    uint8_t *to = begin(request, RD_WIRE_BATCH_WRITE_ANSWER_LEN, 0, out);
    if (to == NULL)
        return 0;
    to = rd_wire_put_u64(to, response->offset);
    to = rd_wire_put_u64(to, response->tail);
    to = rd_wire_put_u64(to, response->count);
    put_durability(to, response);
    return 0;
}

static size_t encode_delete(const struct rd_request *request, const struct rd_response *response,
                            struct rd_buffer *out)
{
    uint8_t *to = begin(request, RD_WIRE_DELETE_ANSWER_LEN, 0, out);
    if (to == NULL)
        return 0;
    to = rd_wire_put_u64(to, response->tail);
    to = rd_wire_put_u8(to, response->found);
    put_durability(to, response);
    return 0;
}

static size_t encode_batch_delete(const struct rd_request *request, const struct rd_response *response,
                                  struct rd_buffer *out)
{
    uint8_t *to = begin(request, RD_WIRE_BATCH_DELETE_ANSWER_LEN, 0, out);
    if (to == NULL)
        return 0;
    to = rd_wire_put_u64(to, response->tail);
    to = rd_wire_put_u64(to, response->count);
    put_durability(to, response);
    return 0;
}

static size_t encode_read(const struct rd_request *request, const struct rd_response *response,
                          struct rd_buffer *out)
{
    if (response->value.len > BODY_LEN_MAX - RD_WIRE_READ_ANSWER_LEN) {
        encode_error(request, RD_TOO_LARGE, "the value does not fit a frame: use read_stream", out);
        return 0;
    }
    uint8_t *to = begin(request, RD_WIRE_READ_ANSWER_LEN, response->value.len, out);
    if (to == NULL)
        return 0;
    to = rd_wire_put_u64(to, response->offset);
    to = rd_wire_put_u32(to, response->crc32);
    to = rd_wire_put_u64(to, response->key_hash);
    rd_wire_put_u64(to, response->prev_tail);
    return response->value.len;
}

/* The value's bytes leave in parts. */
static size_t encode_read_stream(const struct rd_request *request, const struct rd_response *response,
                                 struct rd_buffer *out)
{
    uint8_t *to = begin(request, RD_WIRE_READ_STREAM_ANSWER_LEN, 0, out);
    if (to == NULL)
        return 0;
    to = rd_wire_put_u64(to, response->offset);
    to = rd_wire_put_u32(to, response->crc32);
    to = rd_wire_put_u64(to, response->key_hash);
    to = rd_wire_put_u64(to, response->prev_tail);
    to = rd_wire_put_u64(to, response->value_len);
    to = rd_wire_put_u64(to, response->range_first);
    rd_wire_put_u64(to, response->value.len);
    return 0;
}

static size_t encode_copy(const struct rd_request *request, const struct rd_response *response,
                          struct rd_buffer *out)
{
    bool transfer = request->opcode == RD_OPCODE_TRANSFER;
    uint8_t *to = begin(request, transfer ? RD_WIRE_TRANSFER_ANSWER_LEN : RD_WIRE_COPY_ANSWER_LEN, 0, out);
    if (to == NULL)
        return 0;
    to = rd_wire_put_u64(to, response->target_offset);
    to = rd_wire_put_u64(to, response->target_tail);
    if (transfer)
        rd_wire_put_u64(to, response->source_tail);
    return 0;
}

static size_t encode_exists(const struct rd_request *request, const struct rd_response *response,
                            struct rd_buffer *out)
{
    uint8_t *to = begin(request, 1, 0, out);
    if (to != NULL)
        rd_wire_put_u8(to, response->found);
    return 0;
}

static size_t encode_metadata(const struct rd_request *request, const struct rd_response *response,
                              struct rd_buffer *out)
{
    uint8_t *to = begin(request, RD_WIRE_METADATA_LEN, 0, out);
    if (to == NULL)
        return 0;
    to = rd_wire_put_u64(to, response->key_hash);
    to = rd_wire_put_u64(to, response->offset);
    to = rd_wire_put_u64(to, response->value_len);
    to = rd_wire_put_u64(to, response->prev_tail);
    rd_wire_put_u32(to, response->crc32);
    return 0;
}

static size_t encode_batch_read(const struct rd_request *request, const struct rd_response *response,
                                struct rd_buffer *out)
{
    uint64_t len = sizeof(uint32_t);
    for (size_t i = 0; i < response->item_count; i++) {
        const struct rd_response_item *item = &response->items[i];
        len += RD_WIRE_BATCH_READ_ROW_LEN_MIN;
        if (item->status == RD_OK)
            len += RD_WIRE_BATCH_READ_VALUE_HEAD_LEN + (uint64_t)item->value.len;
    }
    uint8_t *to = begin(request, len, 0, out);
    if (to == NULL)
        return 0;
    to = rd_wire_put_u32(to, (uint32_t)response->item_count);
    for (size_t i = 0; i < response->item_count; i++) {
        const struct rd_response_item *item = &response->items[i];
        to = rd_wire_put_u16(to, (uint16_t)item->status);
        if (item->status != RD_OK)
            continue;
        to = rd_wire_put_u64(to, item->offset);
        to = rd_wire_put_u32(to, item->crc32);
        to = rd_wire_put_u32(to, (uint32_t)item->value.len);
        to = rd_wire_put_bytes(to, item->value);
    }
    return 0;
}

static size_t encode_iterate(const struct rd_request *request, const struct rd_response *response,
                             struct rd_buffer *out)
{
    uint64_t len = sizeof(uint32_t) + (uint64_t)response->item_count * RD_WIRE_ENTRY_ROW_LEN;
    uint8_t *to = begin(request, len, 0, out);
    if (to == NULL)
        return 0;
    to = rd_wire_put_u32(to, (uint32_t)response->item_count);
    for (size_t i = 0; i < response->item_count; i++) {
        const struct rd_response_item *item = &response->items[i];
        to = rd_wire_put_u64(to, item->key_hash);
        to = rd_wire_put_u64(to, item->offset);
        to = rd_wire_put_u64(to, item->len);
        to = rd_wire_put_u32(to, item->crc32);
    }
    return 0;
}

#define ABORT_MESSAGE_LEN_MAX 1024u

/* A name, reason or message that its length field cannot say would be a bug of ours, but it comes from outside:
 * cut it. */
static struct rd_slice cut(struct rd_slice text, size_t len_max)
{
    return rd_slice(text.data, text.len < len_max ? text.len : len_max);
}

#define STORE_NAME_LEN_MAX   255u
#define STORE_REASON_LEN_MAX 1024u

static size_t store_row_len(const struct rd_response_store *store)
{
    return RD_WIRE_STORE_ROW_LEN + cut(store->name, STORE_NAME_LEN_MAX).len +
           cut(store->reason, STORE_REASON_LEN_MAX).len + RD_WIRE_STORE_ROW_MORE_LEN +
           RD_WIRE_STORE_ROW_QUOTA_LEN + RD_WIRE_STORE_ROW_NOW_LEN;
}

static uint8_t *put_store_row(uint8_t *to, const struct rd_response_store *store)
{
    struct rd_slice name = cut(store->name, STORE_NAME_LEN_MAX);
    struct rd_slice reason = cut(store->reason, STORE_REASON_LEN_MAX);
    to = rd_wire_put_u16(to, (uint16_t)store_row_len(store));
    to = rd_wire_put_u8(to, (uint8_t)store->state);
    to = rd_wire_put_u8(to, (uint8_t)store->durability);
    to = rd_wire_put_u32(to, store->durability_interval_ms);
    to = rd_wire_put_u64(to, store->entries);
    to = rd_wire_put_u64(to, store->tail);
    to = rd_wire_put_u64(to, store->file_size);
    to = rd_wire_put_u64(to, store->dead_bytes);
    to = rd_wire_put_u8(to, (uint8_t)name.len);
    to = rd_wire_put_bytes(to, name);
    to = rd_wire_put_u16(to, (uint16_t)reason.len);
    to = rd_wire_put_bytes(to, reason);
    to = rd_wire_put_u64(to, store->generation);
    to = rd_wire_put_u8(to, store->batch_marker);
    to = rd_wire_put_u64(to, store->quota_bytes);
    to = rd_wire_put_u64(to, store->quota_entries);
    to = rd_wire_put_u8(to, store->writes_barred);
    return rd_wire_put_u8(to, store->compacting);
}

static size_t encode_stores(const struct rd_request *request, const struct rd_response *response,
                            struct rd_buffer *out)
{
    uint64_t len = sizeof(uint32_t);
    for (size_t i = 0; i < response->store_count; i++)
        len += sizeof(uint16_t) + store_row_len(&response->stores[i]);
    uint8_t *to = begin(request, len, 0, out);
    if (to == NULL)
        return 0;
    to = rd_wire_put_u32(to, (uint32_t)response->store_count);
    for (size_t i = 0; i < response->store_count; i++)
        to = put_store_row(to, &response->stores[i]);
    return 0;
}

static size_t encode_verify(const struct rd_request *request, const struct rd_response *response,
                            struct rd_buffer *out)
{
    const struct rd_response_verification *found = &response->verification;
    uint64_t len = RD_WIRE_VERIFY_ANSWER_LEN + (uint64_t)found->listed_count * RD_WIRE_PROBLEM_ROW_LEN;
    uint8_t *to = begin(request, len, 0, out);
    if (to == NULL)
        return 0;
    to = rd_wire_put_u64(to, found->from);
    to = rd_wire_put_u64(to, found->next);
    to = rd_wire_put_u64(to, found->entries);
    to = rd_wire_put_u64(to, found->bytes);
    to = rd_wire_put_u64(to, found->problem_count);
    to = rd_wire_put_u32(to, (uint32_t)found->listed_count);
    for (size_t i = 0; i < found->listed_count; i++) {
        const struct rd_response_problem *problem = &found->problems[i];
        to = rd_wire_put_u8(to, (uint8_t)problem->kind);
        to = rd_wire_put_u8(to, problem->live);
        to = rd_wire_put_u64(to, problem->offset);
        to = rd_wire_put_u64(to, problem->len);
        to = rd_wire_put_u64(to, problem->key_hash);
    }
    return 0;
}

/* The file's bytes leave in parts. */
static size_t encode_backup(const struct rd_request *request, const struct rd_response *response,
                            struct rd_buffer *out)
{
    uint8_t *to = begin(request, RD_WIRE_BACKUP_ANSWER_LEN, 0, out);
    if (to == NULL)
        return 0;
    to = rd_wire_put_u64(to, response->generation);
    to = rd_wire_put_u64(to, response->tail);
    to = rd_wire_put_u64(to, response->range_first);
    rd_wire_put_u64(to, response->value.len);
    return 0;
}

static size_t encode_text(const struct rd_request *request, const struct rd_response *response,
                          struct rd_buffer *out)
{
    return begin(request, 0, response->value.len, out) == NULL ? 0 : response->value.len;
}

static size_t encode_compact(const struct rd_request *request, const struct rd_response *response,
                             struct rd_buffer *out)
{
    const struct rd_response_compaction *compaction = &response->compaction;
    uint8_t *to = begin(request, RD_WIRE_COMPACTION_LEN, 0, out);
    if (to == NULL)
        return 0;
    to = rd_wire_put_u64(to, compaction->tail_before);
    to = rd_wire_put_u64(to, compaction->tail);
    to = rd_wire_put_u64(to, compaction->entries);
    to = rd_wire_put_u64(to, compaction->generation);
    rd_wire_put_u64(to, compaction->pause_us);
    return 0;
}

typedef size_t encode_function(const struct rd_request *request, const struct rd_response *response,
                               struct rd_buffer *out);
static encode_function *const encoders[] = {
    [RD_OPCODE_PING] = encode_nothing,
    [RD_OPCODE_AUTH] = encode_nothing,
    [RD_OPCODE_METRICS] = encode_text,
    [RD_OPCODE_WRITE] = encode_write,
    [RD_OPCODE_WRITE_STREAM] = encode_write,
    [RD_OPCODE_BATCH_WRITE] = encode_batch_write,
    [RD_OPCODE_RENAME] = encode_write,
    [RD_OPCODE_COPY] = encode_copy,
    [RD_OPCODE_TRANSFER] = encode_copy,
    [RD_OPCODE_DELETE] = encode_delete,
    [RD_OPCODE_BATCH_DELETE] = encode_batch_delete,
    [RD_OPCODE_READ] = encode_read,
    [RD_OPCODE_BATCH_READ] = encode_batch_read,
    [RD_OPCODE_EXISTS] = encode_exists,
    [RD_OPCODE_METADATA] = encode_metadata,
    [RD_OPCODE_LAST] = encode_metadata,
    [RD_OPCODE_ITERATE] = encode_iterate,
    [RD_OPCODE_READ_STREAM] = encode_read_stream,
    [RD_OPCODE_STORES] = encode_stores,
    [RD_OPCODE_CREATE] = encode_stores,
    [RD_OPCODE_INFO] = encode_stores,
    [RD_OPCODE_DROP] = encode_nothing,
    [RD_OPCODE_VERIFY] = encode_verify,
    [RD_OPCODE_REOPEN] = encode_stores,
    [RD_OPCODE_BACKUP] = encode_backup,
    [RD_OPCODE_COMPACT] = encode_compact,
};

size_t rd_binary_answer_encode(const struct rd_request *request, const struct rd_response *response,
                               struct rd_buffer *out)
{
    if (request->opcode == RD_OPCODE_HELLO) {
        encode_hello(response, out);
        return 0;
    }
    if (response->status != RD_OK) {
        encode_error(request, response->status, response->message, out);
        return 0;
    }
    size_t opcode = (size_t)request->opcode;
    encode_function *encode = opcode < sizeof encoders / sizeof encoders[0] ? encoders[opcode] : NULL;
    assert(encode != NULL); /* the decoder gives every other request a status */
    return encode(request, response, out);
}

/* ---- parts ------------------------------------------------------------------------------------------------ */

void rd_binary_answer_encode_part(const struct rd_stream_part *part, struct rd_buffer *out)
{
    if (part->kind == RD_STREAM_ABORT) {
        struct rd_slice message = cut(part->bytes, ABORT_MESSAGE_LEN_MAX);
        rd_binary_part_begin(part, 2 * sizeof(uint16_t) + message.len, out);
        rd_buffer_append_u16le(out, (uint16_t)part->status);
        rd_buffer_append_u16le(out, (uint16_t)message.len);
        rd_buffer_append_slice(out, message);
        return;
    }
    rd_binary_part_encode(part, out);
}

void rd_binary_answer_refuse_connection(struct rd_buffer *out)
{
    static const struct rd_response response = {.status = RD_OVERLOADED,
                                                .message = "the server has as many connections as it takes"};
    encode_hello(&response, out);
}
