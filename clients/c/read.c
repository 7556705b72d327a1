/* SPDX-License-Identifier: MIT
 *
 * read.c - the blocking client's operations that read. Values are not copied: a result takes over the memory that
 * the answer was received into.
 */
#include <stdlib.h>

#include "clients/c/exchange.h"

enum rdrive_status rdrive_read(struct rdrive_client *client, struct rdrive_key key, struct rdrive_value *ret_value)
{
    struct rd_request request = rd_exchange_request(client, RD_OPCODE_READ);
    request.key = rd_exchange_key(key);
    struct rd_response response;
    enum rdrive_status status = rd_exchange(client, &request, &response);
    if (status != RDRIVE_OK)
        return status;
    *ret_value = (struct rdrive_value){
        .data = response.value.data,
        .len = response.value.len,
        .offset = response.offset,
        .crc32 = response.crc32,
        .key_hash = response.key_hash,
        .prev_tail = response.prev_tail,
        .memory = rd_binary_reader_take_body(&client->reader),
    };
    return RDRIVE_OK;
}

enum rdrive_status rdrive_batch_read(struct rdrive_client *client, const struct rdrive_key *keys, size_t count,
                                     struct rdrive_values *ret_values)
{
    struct rd_request request = rd_exchange_request(client, RD_OPCODE_BATCH_READ);
    struct rdrive_value *items = calloc(count != 0 ? count : 1, sizeof *items);
    if (items == NULL || !rd_exchange_set_keys(&request, keys, count)) {
        free(items);
        return rd_exchange_fail(client, RD_NO_MEMORY, "no memory for the batch");
    }
    struct rd_response response;
    enum rdrive_status status = rd_exchange(client, &request, &response);
    free(request.items);
    if (status == RDRIVE_OK && response.item_count != count) {
        rd_exchange_disconnect(client);
        status =
            rd_exchange_fail(client, RD_IO_ERROR, "the server answered another number of keys than was asked");
    }
    if (status != RDRIVE_OK) {
        free(items);
        return status;
    }
    for (size_t i = 0; i < count; i++)
        items[i] = (struct rdrive_value){
            .status = (enum rdrive_status)response.items[i].status,
            .data = response.items[i].value.data,
            .len = response.items[i].value.len,
            .offset = response.items[i].offset,
            .crc32 = response.items[i].crc32,
        };
    *ret_values = (struct rdrive_values){
        .items = items, .count = count, .memory = rd_binary_reader_take_body(&client->reader)};
    return RDRIVE_OK;
}

enum rdrive_status rdrive_exists(struct rdrive_client *client, struct rdrive_key key, bool *ret_exists)
{
    struct rd_request request = rd_exchange_request(client, RD_OPCODE_EXISTS);
    request.key = rd_exchange_key(key);
    struct rd_response response;
    enum rdrive_status status = rd_exchange(client, &request, &response);
    if (status == RDRIVE_OK)
        *ret_exists = response.found;
    return status;
}

static enum rdrive_status read_metadata(struct rdrive_client *client, struct rd_request *request,
                                        struct rdrive_metadata *ret_metadata)
{
    struct rd_response response;
    enum rdrive_status status = rd_exchange(client, request, &response);
    if (status == RDRIVE_OK)
        *ret_metadata = (struct rdrive_metadata){
            .key_hash = response.key_hash,
            .offset = response.offset,
            .len = response.value_len,
            .prev_tail = response.prev_tail,
            .crc32 = response.crc32,
        };
    return status;
}

enum rdrive_status rdrive_read_metadata(struct rdrive_client *client, struct rdrive_key key,
                                        struct rdrive_metadata *ret_metadata)
{
    struct rd_request request = rd_exchange_request(client, RD_OPCODE_METADATA);
    request.key = rd_exchange_key(key);
    return read_metadata(client, &request, ret_metadata);
}

enum rdrive_status rdrive_last(struct rdrive_client *client, struct rdrive_metadata *ret_metadata)
{
    struct rd_request request = rd_exchange_request(client, RD_OPCODE_LAST);
    return read_metadata(client, &request, ret_metadata);
}

enum rdrive_status rdrive_iterate(struct rdrive_client *client, uint64_t after_offset, uint32_t limit,
                                  struct rdrive_entries *ret_entries)
{
    struct rd_request request = rd_exchange_request(client, RD_OPCODE_ITERATE);
    request.after_offset = after_offset;
    request.limit = limit < RD_EXCHANGE_ITEM_COUNT_MAX ? limit : RD_EXCHANGE_ITEM_COUNT_MAX;
    struct rd_response response;
    enum rdrive_status status = rd_exchange(client, &request, &response);
    if (status != RDRIVE_OK)
        return status;
    size_t count = response.item_count;
    struct rdrive_metadata *items = calloc(count != 0 ? count : 1, sizeof *items);
    if (items == NULL)
        return rd_exchange_fail(client, RD_NO_MEMORY, "no memory for the entries");
    for (size_t i = 0; i < count; i++)
        items[i] = (struct rdrive_metadata){
            .key_hash = response.items[i].key_hash,
            .offset = response.items[i].offset,
            .len = response.items[i].len,
            .crc32 = response.items[i].crc32,
        };
    *ret_entries = (struct rdrive_entries){.items = items, .count = count};
    return RDRIVE_OK;
}

void rdrive_value_free(struct rdrive_value *value)
{
    free(value->memory);
    *value = (struct rdrive_value){.data = NULL};
}

void rdrive_values_free(struct rdrive_values *values)
{
    free(values->items);
    free(values->memory);
    *values = (struct rdrive_values){.items = NULL};
}

void rdrive_entries_free(struct rdrive_entries *entries)
{
    free(entries->items);
    *entries = (struct rdrive_entries){.items = NULL};
}
