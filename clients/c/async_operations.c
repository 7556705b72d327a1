/* SPDX-License-Identifier: MIT
 *
 * async_operations.c - the asynchronous face's table of operations.
 */
#include <assert.h>
#include <stdlib.h>

#include "clients/c/async.h"
#include "clients/c/convert.h"

/* ---- public fields to a message --------------------------------------------------------------------------- */

static struct rd_slice slice_of(const char *text)
{
    return text != NULL ? rd_slice_of_string(text) : rd_slice(NULL, 0);
}

static bool fill_change(const struct rdrive_request *request, struct rd_request *message)
{
    message->durability = (enum rd_message_durability)request->durability;
    message->condition = rd_convert_condition(request->condition);
    message->target_condition = rd_convert_condition(request->target_condition);
    return true;
}

static bool fill_write(const struct rdrive_request *request, struct rd_request *message)
{
    message->value = rd_slice(request->value, request->value_len);
    return fill_change(request, message);
}

static bool fill_write_stream(const struct rdrive_request *request, struct rd_request *message)
{
    message->stream_len = request->stream_len != 0 ? request->stream_len : UINT64_MAX;
    return fill_change(request, message);
}

static bool fill_rename(const struct rdrive_request *request, struct rd_request *message)
{
    message->target_key = rd_convert_key(request->target_key);
    return fill_change(request, message);
}

static bool fill_batch_write(const struct rdrive_request *request, struct rd_request *message)
{
    message->allow_null_bytes = request->allow_null_bytes;
    return fill_change(request, message) && rd_convert_entries(request->entries, request->count, message);
}

static bool fill_keys(const struct rdrive_request *request, struct rd_request *message)
{
    return rd_convert_keys(request->keys, request->count, message);
}

static bool fill_batch_delete(const struct rdrive_request *request, struct rd_request *message)
{
    return fill_change(request, message) && fill_keys(request, message);
}

static bool fill_move(const struct rdrive_request *request, struct rd_request *message)
{
    message->target_store = slice_of(request->target_store);
    return true;
}

static bool fill_read_stream(const struct rdrive_request *request, struct rd_request *message)
{
    message->range = rd_convert_range(request->range);
    return true;
}

static bool fill_iterate(const struct rdrive_request *request, struct rd_request *message)
{
    message->after_offset = request->after_offset;
    message->limit = request->limit < RD_ASYNC_ITEM_COUNT_MAX ? request->limit : RD_ASYNC_ITEM_COUNT_MAX;
    return true;
}

static bool fill_create(const struct rdrive_request *request, struct rd_request *message)
{
    message->settings = slice_of(request->settings);
    return true;
}

static bool fill_verify(const struct rdrive_request *request, struct rd_request *message)
{
    message->verify_from = request->verify_from;
    message->verify_bytes_max = request->verify_bytes_max;
    return true;
}

static bool fill_backup(const struct rdrive_request *request, struct rd_request *message)
{
    message->backup_from = request->backup_from;
    message->backup_generation = request->backup_generation;
    return true;
}

/* Who asks for it in a program has made up their mind: the store's name is its own confirmation. */
static bool fill_drop(const struct rdrive_request *request, struct rd_request *message)
{
    (void)request;
    message->confirm = message->store.len != 0 ? message->store : rd_slice_of_string("default");
    return true;
}

/* ---- answers to results ----------------------------------------------------------------------------------- */

static bool take_written(struct rd_binary_reader *reader, const struct rd_response *response,
                         struct rdrive_request *request)
{
    (void)reader;
    rd_convert_to_written(response, &request->result.written);
    return true;
}

static bool take_moved(struct rd_binary_reader *reader, const struct rd_response *response,
                       struct rdrive_request *request)
{
    (void)reader;
    rd_convert_to_moved(response, &request->result.moved);
    return true;
}

static bool take_value(struct rd_binary_reader *reader, const struct rd_response *response,
                       struct rdrive_request *request)
{
    rd_convert_to_value(response, rd_binary_reader_take_body(reader), &request->result.value);
    return true;
}

static bool take_text(struct rd_binary_reader *reader, const struct rd_response *response,
                      struct rdrive_request *request)
{
    rd_convert_to_text(response, rd_binary_reader_take_body(reader), &request->result.value);
    return true;
}

static bool take_values(struct rd_binary_reader *reader, const struct rd_response *response,
                        struct rdrive_request *request)
{
    uint8_t *memory = rd_binary_reader_take_body(reader);
    if (rd_convert_to_values(response, memory, &request->result.values))
        return true;
    free(memory);
    return false;
}

static bool take_exists(struct rd_binary_reader *reader, const struct rd_response *response,
                        struct rdrive_request *request)
{
    (void)reader;
    request->result.exists = response->found;
    return true;
}

static bool take_metadata(struct rd_binary_reader *reader, const struct rd_response *response,
                          struct rdrive_request *request)
{
    (void)reader;
    rd_convert_to_metadata(response, &request->result.metadata);
    return true;
}

static bool take_part(struct rd_binary_reader *reader, const struct rd_response *response,
                      struct rdrive_request *request)
{
    (void)reader;
    rd_convert_to_part(response, &request->result.part);
    return true;
}

static bool take_backup(struct rd_binary_reader *reader, const struct rd_response *response,
                        struct rdrive_request *request)
{
    (void)reader;
    rd_convert_to_backup(response, &request->result.backup);
    return true;
}

static bool take_entries(struct rd_binary_reader *reader, const struct rd_response *response,
                         struct rdrive_request *request)
{
    (void)reader;
    return rd_convert_to_entries(response, &request->result.entries);
}

static bool take_stores(struct rd_binary_reader *reader, const struct rd_response *response,
                        struct rdrive_request *request)
{
    (void)reader;
    return rd_convert_to_stores(response, &request->result.stores);
}

static bool take_verification(struct rd_binary_reader *reader, const struct rd_response *response,
                              struct rdrive_request *request)
{
    (void)reader;
    return rd_convert_to_verification(response, &request->result.verification);
}

static bool take_compaction(struct rd_binary_reader *reader, const struct rd_response *response,
                            struct rdrive_request *request)
{
    (void)reader;
    rd_convert_to_compaction(response, &request->result.compaction);
    return true;
}

/* The reader has seen to it that there is one row. */
static bool take_info(struct rd_binary_reader *reader, const struct rd_response *response,
                      struct rdrive_request *request)
{
    (void)reader;
    rd_convert_to_info(&response->stores[0], &request->result.info);
    return true;
}

/* ---- the table -------------------------------------------------------------------------------------------- */

static const struct rd_async_operation operations[] = {
    [RDRIVE_OP_PING] = {"ping", NULL, NULL},
    [RDRIVE_OP_METRICS] = {"metrics", NULL, take_text},
    [RDRIVE_OP_WRITE] = {"write", fill_write, take_written},
    [RDRIVE_OP_WRITE_STREAM] = {"write_stream", fill_write_stream, take_written},
    [RDRIVE_OP_BATCH_WRITE] = {"batch_write", fill_batch_write, take_written},
    [RDRIVE_OP_RENAME] = {"rename", fill_rename, take_written},
    [RDRIVE_OP_COPY] = {"copy", fill_move, take_moved},
    [RDRIVE_OP_TRANSFER] = {"transfer", fill_move, take_moved},
    [RDRIVE_OP_DELETE] = {"delete", fill_change, take_written},
    [RDRIVE_OP_BATCH_DELETE] = {"batch_delete", fill_batch_delete, take_written},
    [RDRIVE_OP_READ] = {"read", NULL, take_value},
    [RDRIVE_OP_BATCH_READ] = {"batch_read", fill_keys, take_values},
    [RDRIVE_OP_EXISTS] = {"exists", NULL, take_exists},
    [RDRIVE_OP_METADATA] = {"metadata", NULL, take_metadata},
    [RDRIVE_OP_LAST] = {"last", NULL, take_metadata},
    [RDRIVE_OP_ITERATE] = {"iterate", fill_iterate, take_entries},
    [RDRIVE_OP_READ_STREAM] = {"read_stream", fill_read_stream, take_part},
    [RDRIVE_OP_STORES] = {"stores", NULL, take_stores},
    [RDRIVE_OP_CREATE] = {"create", fill_create, take_info},
    [RDRIVE_OP_INFO] = {"info", NULL, take_info},
    [RDRIVE_OP_DROP] = {"drop", fill_drop, NULL},
    [RDRIVE_OP_VERIFY] = {"verify", fill_verify, take_verification},
    [RDRIVE_OP_REOPEN] = {"reopen", NULL, take_info},
    [RDRIVE_OP_BACKUP] = {"backup", fill_backup, take_backup},
    [RDRIVE_OP_COMPACT] = {"compact", NULL, take_compaction},
};

#define SAME(name) static_assert((int)RDRIVE_OP_##name == (int)RD_OPCODE_##name, "the protocol's numbers")
SAME(PING);
SAME(METRICS);
SAME(WRITE);
SAME(WRITE_STREAM);
SAME(BATCH_WRITE);
SAME(RENAME);
SAME(COPY);
SAME(TRANSFER);
SAME(DELETE);
SAME(BATCH_DELETE);
SAME(READ);
SAME(BATCH_READ);
SAME(EXISTS);
SAME(METADATA);
SAME(LAST);
SAME(ITERATE);
SAME(READ_STREAM);
SAME(STORES);
SAME(CREATE);
SAME(INFO);
SAME(DROP);
SAME(VERIFY);
SAME(REOPEN);
SAME(BACKUP);
SAME(COMPACT);

const struct rd_async_operation *rd_async_operation_find(enum rdrive_operation operation)
{
    size_t number = (size_t)operation;
    if (number >= sizeof operations / sizeof operations[0] || operations[number].name == NULL)
        return NULL;
    return &operations[number];
}

const char *rdrive_operation_name(enum rdrive_operation operation)
{
    const struct rd_async_operation *row = rd_async_operation_find(operation);
    return row != NULL ? row->name : NULL;
}

void rdrive_request_free_results(struct rdrive_request *request)
{
    if (request->status != RDRIVE_OK)
        return;
    if (request->operation == RDRIVE_OP_READ || request->operation == RDRIVE_OP_METRICS)
        rdrive_value_free(&request->result.value);
    else if (request->operation == RDRIVE_OP_BATCH_READ)
        rdrive_values_free(&request->result.values);
    else if (request->operation == RDRIVE_OP_ITERATE)
        rdrive_entries_free(&request->result.entries);
    else if (request->operation == RDRIVE_OP_STORES)
        rdrive_stores_free(&request->result.stores);
    else if (request->operation == RDRIVE_OP_VERIFY)
        rdrive_verification_free(&request->result.verification);
}
