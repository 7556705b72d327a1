/* SPDX-License-Identifier: MIT
 *
 * client.c - making a client and choosing its store.
 */
#include "clients/c/rdrive.h"

#include <stdlib.h>

#include "base/text.h"
#include "clients/c/convert.h"
#include "clients/c/exchange.h"
#include "clients/c/tls.h"

#define SERVER_DEFAULT             "127.0.0.1:7401"
#define CONNECT_TIMEOUT_MS_DEFAULT 5000u
#define REQUEST_TIMEOUT_MS_DEFAULT 60000u
#define ANSWER_LEN_MAX_DEFAULT     (1u << 30)

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
    bool tls = options->tls || options->tls_ca != NULL;
    if (tls && options->unix_path != NULL)
        return RDRIVE_INVALID_ARGUMENT;
    if (options->unix_path != NULL ? !rd_convert_socket_path_is_good(options->unix_path)
                                   : !rd_text_split_address(rd_slice_of_string(server), &host, &port))
        return RDRIVE_INVALID_ARGUMENT;
    if (!rd_convert_token_is_good(options->token))
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
    client->tls = tls;
    status = RDRIVE_NO_MEMORY;
    if (options->tls_ca != NULL && (client->tls_ca = strdup(options->tls_ca)) == NULL)
        goto failed;
    client->in = malloc(RD_EXCHANGE_IN_LEN);
    if (options->unix_path != NULL)
        client->unix_path = strdup(options->unix_path);
    else
        client->server = strdup(server);
    if (options->token != NULL)
        client->token = strdup(options->token);
    if (client->in == NULL || (options->token != NULL && client->token == NULL) ||
        (client->unix_path == NULL && client->server == NULL))
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
    rd_tls_trust_destroy(client->trust);
    rd_buffer_deinit(&client->out);
    free(client->tls_ca);
    free(client->in);
    rd_convert_forget_token(client->token);
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
