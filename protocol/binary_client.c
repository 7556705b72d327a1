/* SPDX-License-Identifier: MIT
 *
 * binary_client.c - requests to frames. binary_reader.c has the way back. Pure, and without state.
 *
 * A frame's body length is only known at its end: the header is reserved first and filled in last, and a frame
 * that turns out not to fit is taken back whole.
 */
#include "protocol/binary_client.h"

#include "protocol/binary_part.h"
#include "protocol/binary_request.h"

void rd_binary_encode_hello(struct rd_buffer *out)
{
    rd_buffer_append(out, RD_WIRE_MAGIC, RD_WIRE_MAGIC_LEN);
    rd_buffer_append_u16le(out, RD_WIRE_VERSION);
    rd_buffer_append_u16le(out, 0);
    rd_buffer_append_u32le(out, 0);
}

/* What a body is being written to. */
struct writer {
    struct rd_buffer *out; /* borrows */
    enum rd_status status; /* the first thing that failed */
};

static void put_name(struct writer *writer, struct rd_slice name)
{
    if (name.len > UINT8_MAX) {
        writer->status = RD_INVALID_ARGUMENT;
        return;
    }
    rd_buffer_append_u8(writer->out, (uint8_t)name.len);
    rd_buffer_append_slice(writer->out, name);
}

static void put_len_and_bytes(struct writer *writer, struct rd_slice bytes)
{
    if (bytes.len > UINT32_MAX) {
        writer->status = RD_TOO_LARGE;
        return;
    }
    rd_buffer_append_u32le(writer->out, (uint32_t)bytes.len);
    rd_buffer_append_slice(writer->out, bytes);
}

static void put_key(struct writer *writer, const struct rd_message_key *key)
{
    if (key->bytes.data == NULL) {
        rd_buffer_append_u8(writer->out, RD_WIRE_KEY_HASH);
        rd_buffer_append_u64le(writer->out, key->hash);
        return;
    }
    rd_buffer_append_u8(writer->out, RD_WIRE_KEY_BYTES);
    put_len_and_bytes(writer, key->bytes);
}

static void put_count(struct writer *writer, size_t count)
{
    if (count > UINT32_MAX) {
        writer->status = RD_TOO_LARGE;
        return;
    }
    rd_buffer_append_u32le(writer->out, (uint32_t)count);
}

static void put_store(struct writer *writer, const struct rd_request *request)
{
    put_name(writer, request->store);
}

static void put_nothing(struct writer *writer, const struct rd_request *request)
{
    (void)writer;
    (void)request;
}

static void put_token(struct writer *writer, const struct rd_request *request)
{
    if (request->token.len == 0 || request->token.len > RD_WIRE_TOKEN_LEN_MAX)
        writer->status = RD_INVALID_ARGUMENT;
    else
        rd_buffer_append_slice(writer->out, request->token);
}

static void put_key_request(struct writer *writer, const struct rd_request *request)
{
    put_store(writer, request);
    put_key(writer, &request->key);
}

static void put_store_and_durability(struct writer *writer, const struct rd_request *request)
{
    put_store(writer, request);
    rd_buffer_append_u8(writer->out, (uint8_t)request->durability);
}

static void put_condition(struct writer *writer, const struct rd_message_condition *condition)
{
    if (condition->kind == RD_MESSAGE_IF_ANYTHING)
        return;
    bool version = condition->kind == RD_MESSAGE_IF_VERSION;
    rd_buffer_append_u8(writer->out, (uint8_t)condition->kind);
    rd_buffer_append_u64le(writer->out, version ? condition->offset : 0);
    rd_buffer_append_u32le(writer->out, version ? condition->crc32 : 0);
}

/* write and delete alike: a write's value follows behind. */
static void put_change(struct writer *writer, const struct rd_request *request)
{
    put_store(writer, request);
    put_condition(writer, &request->condition);
    rd_buffer_append_u8(writer->out, (uint8_t)request->durability);
    put_key(writer, &request->key);
}

static void put_write_stream(struct writer *writer, const struct rd_request *request)
{
    put_change(writer, request);
    rd_buffer_append_u64le(writer->out, request->stream_len);
}

static void put_rename(struct writer *writer, const struct rd_request *request)
{
    put_store(writer, request);
    put_condition(writer, &request->condition);
    put_condition(writer, &request->target_condition);
    rd_buffer_append_u8(writer->out, (uint8_t)request->durability);
    put_key(writer, &request->key);
    put_key(writer, &request->target_key);
}

static void put_copy(struct writer *writer, const struct rd_request *request)
{
    put_key_request(writer, request);
    put_name(writer, request->target_store);
}

static void put_read_stream(struct writer *writer, const struct rd_request *request)
{
    static const uint8_t kinds[] = {
        [RD_MESSAGE_RANGE_NONE] = RD_WIRE_RANGE_ALL,
        [RD_MESSAGE_RANGE_FROM] = RD_WIRE_RANGE_FROM,
        [RD_MESSAGE_RANGE_SUFFIX] = RD_WIRE_RANGE_SUFFIX,
    };
    const struct rd_message_range *range = &request->range;
    put_key_request(writer, request);
    rd_buffer_append_u8(writer->out, kinds[range->kind]);
    rd_buffer_append_u64le(writer->out, range->kind == RD_MESSAGE_RANGE_FROM ? range->first : 0);
    rd_buffer_append_u64le(writer->out, range->kind == RD_MESSAGE_RANGE_NONE ? UINT64_MAX : range->len);
    rd_buffer_append_u64le(writer->out, request->stream_credit);
}

static void put_batch_write(struct writer *writer, const struct rd_request *request)
{
    put_store_and_durability(writer, request);
    rd_buffer_append_u8(writer->out, request->allow_null_bytes);
    put_count(writer, request->item_count);
    for (size_t i = 0; i < request->item_count && writer->status == RD_OK && !writer->out->failed; i++) {
        put_key(writer, &request->items[i].key);
        put_len_and_bytes(writer, request->items[i].value);
    }
}

static void put_keys(struct writer *writer, const struct rd_request *request)
{
    put_count(writer, request->item_count);
    for (size_t i = 0; i < request->item_count && writer->status == RD_OK && !writer->out->failed; i++)
        put_key(writer, &request->items[i].key);
}

static void put_batch_delete(struct writer *writer, const struct rd_request *request)
{
    put_store_and_durability(writer, request);
    put_keys(writer, request);
}

static void put_batch_read(struct writer *writer, const struct rd_request *request)
{
    put_store(writer, request);
    put_keys(writer, request);
}

static void put_iterate(struct writer *writer, const struct rd_request *request)
{
    put_store(writer, request);
    rd_buffer_append_u64le(writer->out, request->after_offset);
    rd_buffer_append_u32le(writer->out, request->limit);
}

static void put_create(struct writer *writer, const struct rd_request *request)
{
    put_store(writer, request);
    put_len_and_bytes(writer, request->settings);
}

static void put_drop(struct writer *writer, const struct rd_request *request)
{
    put_store(writer, request);
    put_name(writer, request->confirm);
}

static void put_verify(struct writer *writer, const struct rd_request *request)
{
    put_store(writer, request);
    rd_buffer_append_u64le(writer->out, request->verify_from);
    rd_buffer_append_u64le(writer->out, request->verify_bytes_max);
}

static void put_backup(struct writer *writer, const struct rd_request *request)
{
    put_store(writer, request);
    rd_buffer_append_u64le(writer->out, request->backup_from);
    rd_buffer_append_u64le(writer->out, request->backup_generation);
    rd_buffer_append_u64le(writer->out, request->stream_credit);
}

typedef void put_function(struct writer *writer, const struct rd_request *request);
static put_function *const putters[] = {
    [RD_OPCODE_PING] = put_nothing,
    [RD_OPCODE_AUTH] = put_token,
    [RD_OPCODE_METRICS] = put_nothing,
    [RD_OPCODE_WRITE] = put_change,
    [RD_OPCODE_WRITE_STREAM] = put_write_stream,
    [RD_OPCODE_BATCH_WRITE] = put_batch_write,
    [RD_OPCODE_RENAME] = put_rename,
    [RD_OPCODE_COPY] = put_copy,
    [RD_OPCODE_TRANSFER] = put_copy,
    [RD_OPCODE_DELETE] = put_change,
    [RD_OPCODE_BATCH_DELETE] = put_batch_delete,
    [RD_OPCODE_READ] = put_key_request,
    [RD_OPCODE_BATCH_READ] = put_batch_read,
    [RD_OPCODE_EXISTS] = put_key_request,
    [RD_OPCODE_METADATA] = put_key_request,
    [RD_OPCODE_LAST] = put_store,
    [RD_OPCODE_ITERATE] = put_iterate,
    [RD_OPCODE_READ_STREAM] = put_read_stream,
    [RD_OPCODE_STORES] = put_nothing,
    [RD_OPCODE_CREATE] = put_create,
    [RD_OPCODE_INFO] = put_store,
    [RD_OPCODE_DROP] = put_drop,
    [RD_OPCODE_VERIFY] = put_verify,
    [RD_OPCODE_REOPEN] = put_store,
    [RD_OPCODE_BACKUP] = put_backup,
    [RD_OPCODE_COMPACT] = put_store,
};

/* The flags of the request's frame. False: it asks for what its operation cannot carry. */
static bool find_flags(const struct rd_request *request, uint8_t *ret_flags)
{
    uint8_t flags = 0;
    if (request->condition.kind != RD_MESSAGE_IF_ANYTHING)
        flags |= RD_WIRE_FLAG_CONDITION;
    if (request->target_condition.kind != RD_MESSAGE_IF_ANYTHING)
        flags |= RD_WIRE_FLAG_TARGET_CONDITION;
    bool ranged = request->range.kind != RD_MESSAGE_RANGE_NONE;
    if ((flags & ~rd_binary_request_flags((uint8_t)request->opcode)) != 0 ||
        request->condition.kind > RD_MESSAGE_IF_VERSION ||
        request->target_condition.kind > RD_MESSAGE_IF_VERSION ||
        (ranged && request->opcode != RD_OPCODE_READ_STREAM) || request->range.kind > RD_MESSAGE_RANGE_SUFFIX)
        return false;
    *ret_flags = flags;
    return true;
}

enum rd_status rd_binary_encode_request(const struct rd_request *request, struct rd_buffer *out,
                                        size_t *ret_follow_len)
{
    size_t opcode = (size_t)request->opcode;
    put_function *put = opcode < sizeof putters / sizeof putters[0] ? putters[opcode] : NULL;
    uint8_t flags = 0;
    if (put == NULL || !find_flags(request, &flags))
        return RD_INVALID_ARGUMENT;

    size_t begin = out->len;
    struct writer writer = {.out = out};
    if (rd_buffer_reserve(out, RD_WIRE_HEADER_LEN) != NULL)
        rd_buffer_commit(out, RD_WIRE_HEADER_LEN);
    put(&writer, request);
    if (out->failed && writer.status == RD_OK)
        writer.status = RD_NO_MEMORY;
    if (writer.status != RD_OK)
        goto refused;

    size_t follow_len = request->opcode == RD_OPCODE_WRITE ? request->value.len : 0;
    size_t here_len = out->len - begin - RD_WIRE_HEADER_LEN;
    if (here_len > UINT32_MAX || follow_len > UINT32_MAX - here_len) {
        writer.status = RD_TOO_LARGE;
        goto refused;
    }
    rd_wire_store_header(out->data + begin, (struct rd_wire_header){.id = request->id,
                                                                    .body_len = (uint32_t)(here_len + follow_len),
                                                                    .opcode = (uint8_t)opcode,
                                                                    .flags = flags});
    *ret_follow_len = follow_len;
    return RD_OK;
refused:
    out->len = begin;
    return writer.status;
}

void rd_binary_encode_part(const struct rd_stream_part *part, struct rd_buffer *out)
{
    rd_binary_part_encode(part, out);
}
