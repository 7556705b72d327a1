/* SPDX-License-Identifier: MIT
 *
 * client.c - making a client, choosing its store, and the operations that write.
 */
#include "clients/c/rdrive.h"

#include <assert.h>
#include <stdlib.h>

#include "base/text.h"
#include "clients/c/exchange.h"
#include "clients/c/socket.h"

#define SERVER_DEFAULT             "127.0.0.1:7401"
#define CONNECT_TIMEOUT_MS_DEFAULT 5000u
#define REQUEST_TIMEOUT_MS_DEFAULT 60000u
#define ANSWER_LEN_MAX_DEFAULT     (1u << 30)

/* rdrive.h stands alone, so it says these again. */
#define SAME(name)                                                                                                \
    static_assert((int)RDRIVE_##name == (int)RD_##name, "rdrive.h and base/status.h agree on " #name)
SAME(OK);
SAME(INVALID_ARGUMENT);
SAME(UNAUTHORIZED);
SAME(FORBIDDEN);
SAME(KEY_NOT_FOUND);
SAME(STORE_NOT_FOUND);
SAME(TIMEOUT);
SAME(CONFLICT);
SAME(KEY_COLLISION);
SAME(PRECONDITION_FAILED);
SAME(TOO_LARGE);
SAME(OVERLOADED);
SAME(IO_ERROR);
SAME(CORRUPT);
SAME(UNAVAILABLE);
SAME(NO_SPACE);
SAME(UNSUPPORTED);
SAME(NO_MEMORY);
SAME(NOT_A_STORE);
static_assert((int)RDRIVE_DURABILITY_SYNC == (int)RD_MESSAGE_DURABILITY_SYNC, "the same numbers");
static_assert((int)RDRIVE_DURABILITY_INTERVAL == (int)RD_MESSAGE_DURABILITY_INTERVAL, "the same numbers");
static_assert((int)RDRIVE_DURABILITY_NONE == (int)RD_MESSAGE_DURABILITY_NONE, "the same numbers");

const char *rdrive_status_name(enum rdrive_status status)
{
    return rd_status_name((enum rd_status)status);
}

const char *rdrive_last_error(const struct rdrive_client *client)
{
    return client->error.status == RD_OK ? "" : client->error.message;
}

static bool copy_store(const char *store, char to[65])
{
    size_t len = store == NULL ? 0 : strlen(store);
    if (len > 64)
        return false;
    memset(to, 0, 65);
    if (len != 0)
        memcpy(to, store, len);
    return true;
}

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value != 0 ? value : otherwise;
}

enum rdrive_status rdrive_client_create(const struct rdrive_options *options, struct rdrive_client **ret_client)
{
    static const struct rdrive_options defaults;
    if (options == NULL)
        options = &defaults;
    const char *server = options->server != NULL ? options->server : SERVER_DEFAULT;
    struct rd_slice host;
    struct rd_slice port;
    if (options->unix_path == NULL && !rd_socket_split_address(rd_slice_of_string(server), &host, &port))
        return RDRIVE_INVALID_ARGUMENT;
    struct rdrive_client *client = calloc(1, sizeof *client);
    if (client == NULL)
        return RDRIVE_NO_MEMORY;
    client->fd = -1;
    enum rdrive_status status = RDRIVE_INVALID_ARGUMENT;
    if (!copy_store(options->store, client->store))
        goto failed;
    client->connect_timeout_ms = or_default(options->connect_timeout_ms, CONNECT_TIMEOUT_MS_DEFAULT);
    client->request_timeout_ms = or_default(options->request_timeout_ms, REQUEST_TIMEOUT_MS_DEFAULT);
    client->answer_len_max = or_default(options->answer_len_max, ANSWER_LEN_MAX_DEFAULT);
    rd_buffer_init(&client->out, 0);
    status = RDRIVE_NO_MEMORY;
    client->in = malloc(RD_EXCHANGE_IN_LEN);
    if (options->unix_path != NULL)
        client->unix_path = strdup(options->unix_path);
    else
        client->server = strdup(server);
    if (client->in == NULL || (client->unix_path == NULL && client->server == NULL))
        goto failed;
    *ret_client = client;
    return RDRIVE_OK;
failed:
    rdrive_client_destroy(client);
    return status;
}

void rdrive_client_destroy(struct rdrive_client *client)
{
    if (client == NULL)
        return;
    rd_exchange_disconnect(client);
    rd_buffer_deinit(&client->out);
    free(client->in);
    free(client->server);
    free(client->unix_path);
    free(client);
}

enum rdrive_status rdrive_client_connect(struct rdrive_client *client)
{
    client->error = (struct rd_error){.status = RD_OK};
    return (enum rdrive_status)rd_exchange_connect(client);
}

enum rdrive_status rdrive_client_set_store(struct rdrive_client *client, const char *store)
{
    client->error = (struct rd_error){.status = RD_OK};
    if (!copy_store(store, client->store))
        return rd_exchange_fail(client, RD_INVALID_ARGUMENT, "a store's name has at most 64 bytes");
    return RDRIVE_OK;
}

enum rdrive_status rdrive_ping(struct rdrive_client *client)
{
    struct rd_request request = rd_exchange_request(client, RD_OPCODE_PING);
    struct rd_response response;
    return rd_exchange(client, &request, &response);
}

/* ---- writing ---------------------------------------------------------------------------------------------- */

static enum rdrive_status change(struct rdrive_client *client, struct rd_request *request,
                                 enum rdrive_durability durability, struct rdrive_written *ret_written)
{
    request->durability = (enum rd_message_durability)durability;
    struct rd_response response;
    enum rdrive_status status = rd_exchange(client, request, &response);
    if (status != RDRIVE_OK || ret_written == NULL)
        return status;
    *ret_written = (struct rdrive_written){
        .offset = response.offset,
        .tail = response.tail,
        .count = response.count,
        .key_hash = response.key_hash,
        .crc32 = response.crc32,
        .replaced = response.replaced,
        .durability = (enum rdrive_durability)response.durability,
        .durability_interval_ms = response.durability_interval_ms,
    };
    return RDRIVE_OK;
}

enum rdrive_status rdrive_write(struct rdrive_client *client, struct rdrive_key key, const void *value,
                                size_t value_len, enum rdrive_durability durability,
                                struct rdrive_written *ret_written)
{
    struct rd_request request = rd_exchange_request(client, RD_OPCODE_WRITE);
    request.key = rd_exchange_key(key);
    request.value = rd_slice(value, value_len);
    return change(client, &request, durability, ret_written);
}

enum rdrive_status rdrive_delete(struct rdrive_client *client, struct rdrive_key key,
                                 enum rdrive_durability durability, struct rdrive_written *ret_written)
{
    struct rd_request request = rd_exchange_request(client, RD_OPCODE_DELETE);
    request.key = rd_exchange_key(key);
    return change(client, &request, durability, ret_written);
}

enum rdrive_status rdrive_batch_write(struct rdrive_client *client, const struct rdrive_entry *entries,
                                      size_t count, bool allow_null_bytes, enum rdrive_durability durability,
                                      struct rdrive_written *ret_written)
{
    struct rd_request request = rd_exchange_request(client, RD_OPCODE_BATCH_WRITE);
    request.allow_null_bytes = allow_null_bytes;
    request.items = calloc(count != 0 ? count : 1, sizeof *request.items);
    if (request.items == NULL)
        return rd_exchange_fail(client, RD_NO_MEMORY, "no memory for the batch");
    request.item_count = count;
    for (size_t i = 0; i < count; i++) {
        request.items[i].key = rd_exchange_key(entries[i].key);
        request.items[i].value = rd_slice(entries[i].value, entries[i].value_len);
    }
    enum rdrive_status status = change(client, &request, durability, ret_written);
    free(request.items);
    return status;
}

enum rdrive_status rdrive_batch_delete(struct rdrive_client *client, const struct rdrive_key *keys, size_t count,
                                       enum rdrive_durability durability, struct rdrive_written *ret_written)
{
    struct rd_request request = rd_exchange_request(client, RD_OPCODE_BATCH_DELETE);
    if (!rd_exchange_set_keys(&request, keys, count))
        return rd_exchange_fail(client, RD_NO_MEMORY, "no memory for the batch");
    enum rdrive_status status = change(client, &request, durability, ret_written);
    free(request.items);
    return status;
}
