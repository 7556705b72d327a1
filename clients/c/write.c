/* SPDX-License-Identifier: MIT
 *
 * write.c - the blocking client's operations that write, but for write_stream (stream.c).
 */
#include <stdlib.h>

#include "clients/c/convert.h"
#include "clients/c/exchange.h"

static enum rdrive_status change(struct rdrive_client *client, struct rd_request *request,
                                 const struct rdrive_write_options *options, struct rdrive_written *ret_written)
{
    rd_exchange_set_options(request, options);
    struct rd_response response;
    enum rdrive_status status = rd_exchange(client, request, &response);
    if (status == RDRIVE_OK && ret_written != NULL)
        rd_convert_to_written(&response, ret_written);
    return status;
}

enum rdrive_status rdrive_write(struct rdrive_client *client, struct rdrive_key key, const void *value,
                                size_t value_len, const struct rdrive_write_options *options,
                                struct rdrive_written *ret_written)
{
    struct rd_request request = rd_exchange_request(client, RD_OPCODE_WRITE);
    request.key = rd_convert_key(key);
    request.value = rd_slice(value, value_len);
    return change(client, &request, options, ret_written);
}

enum rdrive_status rdrive_delete(struct rdrive_client *client, struct rdrive_key key,
                                 const struct rdrive_write_options *options, struct rdrive_written *ret_written)
{
    struct rd_request request = rd_exchange_request(client, RD_OPCODE_DELETE);
    request.key = rd_convert_key(key);
    return change(client, &request, options, ret_written);
}

enum rdrive_status rdrive_rename(struct rdrive_client *client, struct rdrive_key from, struct rdrive_key to,
                                 const struct rdrive_write_options *options, struct rdrive_written *ret_written)
{
    struct rd_request request = rd_exchange_request(client, RD_OPCODE_RENAME);
    request.key = rd_convert_key(from);
    request.target_key = rd_convert_key(to);
    return change(client, &request, options, ret_written);
}

enum rdrive_status rdrive_batch_write(struct rdrive_client *client, const struct rdrive_entry *entries,
                                      size_t count, bool allow_null_bytes,
                                      const struct rdrive_write_options *options,
                                      struct rdrive_written *ret_written)
{
    struct rd_request request = rd_exchange_request(client, RD_OPCODE_BATCH_WRITE);
    request.allow_null_bytes = allow_null_bytes;
    if (!rd_convert_entries(entries, count, &request))
        return rd_exchange_fail(client, RD_NO_MEMORY, "no memory for the batch");
    enum rdrive_status status = change(client, &request, options, ret_written);
    free(request.items);
    return status;
}

enum rdrive_status rdrive_batch_delete(struct rdrive_client *client, const struct rdrive_key *keys, size_t count,
                                       const struct rdrive_write_options *options,
                                       struct rdrive_written *ret_written)
{
    struct rd_request request = rd_exchange_request(client, RD_OPCODE_BATCH_DELETE);
    if (!rd_convert_keys(keys, count, &request))
        return rd_exchange_fail(client, RD_NO_MEMORY, "no memory for the batch");
    enum rdrive_status status = change(client, &request, options, ret_written);
    free(request.items);
    return status;
}

static enum rdrive_status move(struct rdrive_client *client, enum rd_opcode opcode, struct rdrive_key key,
                               const char *target, struct rdrive_moved *ret_moved)
{
    struct rd_request request = rd_exchange_request(client, opcode);
    request.key = rd_convert_key(key);
    request.target_store = rd_slice_of_string(target);
    struct rd_response response;
    enum rdrive_status status = rd_exchange(client, &request, &response);
    if (status == RDRIVE_OK && ret_moved != NULL)
        rd_convert_to_moved(&response, ret_moved);
    return status;
}

enum rdrive_status rdrive_copy(struct rdrive_client *client, struct rdrive_key key, const char *target,
                               struct rdrive_moved *ret_moved)
{
    return move(client, RD_OPCODE_COPY, key, target, ret_moved);
}

enum rdrive_status rdrive_transfer(struct rdrive_client *client, struct rdrive_key key, const char *target,
                                   struct rdrive_moved *ret_moved)
{
    return move(client, RD_OPCODE_TRANSFER, key, target, ret_moved);
}
