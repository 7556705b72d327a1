/* SPDX-License-Identifier: MIT
 *
 * store.c - the blocking client's operations on stores as a whole.
 */
#include "clients/c/convert.h"
#include "clients/c/exchange.h"

enum rdrive_status rdrive_list_stores(struct rdrive_client *client, struct rdrive_stores *ret_stores)
{
    struct rd_request request = rd_exchange_request(client, RD_OPCODE_STORES);
    struct rd_response response;
    enum rdrive_status status = rd_exchange(client, &request, &response);
    if (status != RDRIVE_OK)
        return status;
    return rd_convert_to_stores(&response, ret_stores)
               ? RDRIVE_OK
               : rd_exchange_fail(client, RD_NO_MEMORY, "no memory for the list of stores");
}

static enum rdrive_status ask_about_store(struct rdrive_client *client, struct rd_request *request,
                                          struct rdrive_store_info *ret_info)
{
    struct rd_response response;
    enum rdrive_status status = rd_exchange(client, request, &response);
    if (status == RDRIVE_OK && ret_info != NULL)
        rd_convert_to_info(&response.stores[0], ret_info); /* the reader has seen to it that there is one */
    return status;
}

enum rdrive_status rdrive_create_store(struct rdrive_client *client, const char *settings,
                                       struct rdrive_store_info *ret_info)
{
    struct rd_request request = rd_exchange_request(client, RD_OPCODE_CREATE);
    if (settings != NULL)
        request.settings = rd_slice_of_string(settings);
    return ask_about_store(client, &request, ret_info);
}

enum rdrive_status rdrive_info(struct rdrive_client *client, struct rdrive_store_info *ret_info)
{
    struct rd_request request = rd_exchange_request(client, RD_OPCODE_INFO);
    return ask_about_store(client, &request, ret_info);
}

enum rdrive_status rdrive_drop_store(struct rdrive_client *client, const char *confirm)
{
    struct rd_request request = rd_exchange_request(client, RD_OPCODE_DROP);
    request.confirm = rd_slice_of_string(confirm);
    struct rd_response response;
    return rd_exchange(client, &request, &response);
}

enum rdrive_status rdrive_reopen_store(struct rdrive_client *client, struct rdrive_store_info *ret_info)
{
    struct rd_request request = rd_exchange_request(client, RD_OPCODE_REOPEN);
    return ask_about_store(client, &request, ret_info);
}

enum rdrive_status rdrive_verify(struct rdrive_client *client, uint64_t from, uint64_t bytes_max,
                                 struct rdrive_verification *ret_verification)
{
    struct rd_request request = rd_exchange_request(client, RD_OPCODE_VERIFY);
    request.verify_from = from;
    request.verify_bytes_max = bytes_max;
    struct rd_response response;
    enum rdrive_status status = rd_exchange(client, &request, &response);
    if (status == RDRIVE_OK && !rd_convert_to_verification(&response, ret_verification))
        status = rd_exchange_fail(client, RD_NO_MEMORY, "no memory for the problems");
    return status;
}

enum rdrive_status rdrive_metrics(struct rdrive_client *client, struct rdrive_value *ret_text)
{
    struct rd_request request = rd_exchange_request(client, RD_OPCODE_METRICS);
    struct rd_response response;
    enum rdrive_status status = rd_exchange(client, &request, &response);
    if (status == RDRIVE_OK)
        rd_convert_to_text(&response, rd_binary_reader_take_body(&client->reader), ret_text);
    return status;
}

enum rdrive_status rdrive_compact(struct rdrive_client *client, struct rdrive_compaction *ret_compaction)
{
    struct rd_request request = rd_exchange_request(client, RD_OPCODE_COMPACT);
    struct rd_response response;
    enum rdrive_status status = rd_exchange(client, &request, &response);
    if (status == RDRIVE_OK && ret_compaction != NULL)
        rd_convert_to_compaction(&response, ret_compaction);
    return status;
}

enum rdrive_status rdrive_len(struct rdrive_client *client, uint64_t *ret_len)
{
    struct rdrive_store_info info;
    enum rdrive_status status = rdrive_info(client, &info);
    if (status == RDRIVE_OK)
        *ret_len = info.entries;
    return status;
}

enum rdrive_status rdrive_is_empty(struct rdrive_client *client, bool *ret_is_empty)
{
    uint64_t len = 0;
    enum rdrive_status status = rdrive_len(client, &len);
    if (status == RDRIVE_OK)
        *ret_is_empty = len == 0;
    return status;
}

enum rdrive_status rdrive_file_size(struct rdrive_client *client, uint64_t *ret_file_size)
{
    struct rdrive_store_info info;
    enum rdrive_status status = rdrive_info(client, &info);
    if (status == RDRIVE_OK)
        *ret_file_size = info.tail;
    return status;
}
