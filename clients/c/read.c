/* SPDX-License-Identifier: MIT
 *
 * read.c - the blocking client's operations that read, but for read_stream (stream.c). Values are not copied: a
 * result takes over the memory that the answer was received into.
 */
#include <stdlib.h>

#include "clients/c/convert.h"
#include "clients/c/exchange.h"

enum rdrive_status rdrive_read(struct rdrive_client *client, struct rdrive_key key, struct rdrive_value *ret_value)
{
    struct rd_request request = rd_exchange_request(client, RD_OPCODE_READ);
    request.key = rd_convert_key(key);
    struct rd_response response;
    enum rdrive_status status = rd_exchange(client, &request, &response);
    if (status == RDRIVE_OK)
        rd_convert_to_value(&response, rd_binary_reader_take_body(&client->reader), ret_value);
    return status;
}

enum rdrive_status rdrive_batch_read(struct rdrive_client *client, const struct rdrive_key *keys, size_t count,
                                     struct rdrive_values *ret_values)
{
    struct rd_request request = rd_exchange_request(client, RD_OPCODE_BATCH_READ);
    if (!rd_convert_keys(keys, count, &request))
        return rd_exchange_fail(client, RD_NO_MEMORY, "no memory for the batch");
    struct rd_response response;
    enum rdrive_status status = rd_exchange(client, &request, &response);
    free(request.items);
    if (status != RDRIVE_OK)
        return status;
    if (response.item_count != count) {
        rd_exchange_disconnect(client);
        return rd_exchange_fail(client, RD_IO_ERROR, "the server answered another number of keys than was asked");
    }
    uint8_t *memory = rd_binary_reader_take_body(&client->reader);
    if (rd_convert_to_values(&response, memory, ret_values))
        return RDRIVE_OK;
    free(memory);
    return rd_exchange_fail(client, RD_NO_MEMORY, "no memory for the values");
}

enum rdrive_status rdrive_exists(struct rdrive_client *client, struct rdrive_key key, bool *ret_exists)
{
    struct rd_request request = rd_exchange_request(client, RD_OPCODE_EXISTS);
    request.key = rd_convert_key(key);
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
        rd_convert_to_metadata(&response, ret_metadata);
    return status;
}

enum rdrive_status rdrive_read_metadata(struct rdrive_client *client, struct rdrive_key key,
                                        struct rdrive_metadata *ret_metadata)
{
    struct rd_request request = rd_exchange_request(client, RD_OPCODE_METADATA);
    request.key = rd_convert_key(key);
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
    if (status == RDRIVE_OK && !rd_convert_to_entries(&response, ret_entries))
        status = rd_exchange_fail(client, RD_NO_MEMORY, "no memory for the entries");
    return status;
}
