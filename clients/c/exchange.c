/* SPDX-License-Identifier: MIT
 *
 * exchange.c - the blocking client's connection: connect, hello, then one request and one answer at a time.
 *
 * Whatever breaks the order of the stream - a timeout, a lost connection, an answer that is none or belongs to
 * another request - closes the connection, so that the next call starts on a clean one. An answer that merely says
 * no does not.
 */
#include "clients/c/exchange.h"

#include <unistd.h>

#include "clients/c/convert.h"
#include "clients/c/secure.h"
#include "clients/c/socket.h"
#include "clients/c/tls.h"

struct rd_request rd_exchange_request(const struct rdrive_client *client, enum rd_opcode opcode)
{
    return (struct rd_request){.opcode = opcode, .store = rd_slice_of_string(client->store)};
}

void rd_exchange_set_options(struct rd_request *request, const struct rdrive_write_options *options)
{
    if (options == NULL)
        return;
    request->durability = (enum rd_message_durability)options->durability;
    request->condition = rd_convert_condition(options->condition);
    request->target_condition = rd_convert_condition(options->target_condition);
}

enum rdrive_status rd_exchange_fail(struct rdrive_client *client, enum rd_status status, const char *message)
{
    return (enum rdrive_status)rd_error_set(&client->error, status, 0, "%s", message);
}

/* ---- bytes, plain or through TLS -------------------------------------------------------------------------- */

static enum rd_status send_parts(struct rdrive_client *client, struct iovec *parts, size_t part_count,
                                 int64_t deadline_ms)
{
    if (client->secure != NULL)
        return rd_secure_send(client->secure, parts, part_count, deadline_ms, &client->error);
    return rd_socket_send(client->fd, parts, part_count, deadline_ms, &client->error);
}

static enum rd_status receive_some(struct rdrive_client *client, uint8_t *to, size_t len, int64_t deadline_ms,
                                   size_t *ret_len)
{
    if (client->secure != NULL)
        return rd_secure_receive(client->secure, to, len, deadline_ms, ret_len, &client->error);
    return rd_socket_receive(client->fd, to, len, deadline_ms, ret_len, &client->error);
}

/* Something is there to be received, or nothing more will come. */
static bool is_ready(const struct rdrive_client *client)
{
    return client->secure != NULL ? rd_secure_is_ready(client->secure) : rd_socket_is_stale(client->fd);
}

static enum rd_status secure(struct rdrive_client *client, int64_t deadline_ms)
{
    enum rd_status status = RD_OK;
    if (client->trust == NULL)
        status = rd_tls_trust_create(client->tls_ca, &client->trust, &client->error);
    if (status == RD_OK)
        status = rd_secure_open(client->fd, client->trust, client->server, deadline_ms, &client->secure,
                                &client->error);
    return status;
}

void rd_exchange_disconnect(struct rdrive_client *client)
{
    rd_secure_close(client->secure);
    client->secure = NULL;
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
    client->in_left.len = 0;
    rd_binary_reader_deinit(&client->reader);
}

/* Receives until an answer is whole, or a part or a piece of one is there (*ret_is_part). */
static enum rd_status receive_next(struct rdrive_client *client, int64_t deadline_ms,
                                   struct rd_binary_answer *ret_answer, bool *ret_is_part)
{
    for (;;) {
        switch (rd_binary_reader_next(&client->reader, &client->in_left, ret_answer)) {
        case RD_BINARY_READ_ANSWER:
            *ret_is_part = false;
            return RD_OK;
        case RD_BINARY_READ_PART:
            *ret_is_part = true;
            return RD_OK;
        case RD_BINARY_READ_BROKEN:
            return rd_error_set(&client->error, RD_IO_ERROR, 0, "the server's answer makes no sense: %s",
                                client->reader.error);
        case RD_BINARY_READ_MORE:
            break;
        }
        size_t target_len = 0;
        uint8_t *target = rd_binary_reader_fill_target(&client->reader, &target_len);
        size_t len = 0;
        enum rd_status status = receive_some(client, target != NULL ? target : client->in,
                                             target != NULL ? target_len : RD_EXCHANGE_IN_LEN, deadline_ms, &len);
        if (status != RD_OK)
            return status;
        if (target != NULL)
            rd_binary_reader_fill_done(&client->reader, len);
        else
            client->in_left = rd_slice(client->in, len);
    }
}

/* Receives what comes next for a request. Parts of streams that were given up may still be under way. */
static enum rd_status receive_for(struct rdrive_client *client, const struct rd_request *request,
                                  int64_t deadline_ms, struct rd_binary_answer *ret_answer, bool *ret_is_part)
{
    for (;;) {
        enum rd_status status = receive_next(client, deadline_ms, ret_answer, ret_is_part);
        if (status != RD_OK)
            return status;
        uint64_t id = *ret_is_part ? rd_binary_reader_part(&client->reader)->id : ret_answer->id;
        if (*ret_is_part && id < request->id)
            continue;
        bool fits = *ret_is_part || ret_answer->opcode == (uint8_t)request->opcode ||
                    (rd_wire_is_part(ret_answer->opcode) && ret_answer->response.status != RD_OK);
        if (id == request->id && fits)
            return RD_OK;
        return rd_error_set(&client->error, RD_IO_ERROR, 0, "the server answered a request that was not asked");
    }
}

/* What a connection begins with: the preamble, and behind it at once the token. */
static enum rd_status encode_greeting(struct rdrive_client *client)
{
    size_t follow_len = 0;
    rd_buffer_clear(&client->out);
    rd_binary_encode_hello(&client->out);
    enum rd_status status = client->out.failed ? RD_NO_MEMORY : RD_OK;
    if (status == RD_OK && client->token != NULL) {
        struct rd_request request = {
            .opcode = RD_OPCODE_AUTH, .id = ++client->last_id, .token = rd_slice_of_string(client->token)};
        status = rd_binary_encode_request(&request, &client->out, &follow_len);
    }
    if (status != RD_OK)
        return rd_error_set(&client->error, status, 0, "no memory to connect");
    return RD_OK;
}

/* The answer to the token. */
static enum rd_status take_auth(struct rdrive_client *client, int64_t deadline_ms)
{
    const struct rd_request request = {.opcode = RD_OPCODE_AUTH, .id = client->last_id};
    struct rd_binary_answer answer;
    bool is_part = false; /* never of an auth */
    enum rd_status status = receive_for(client, &request, deadline_ms, &answer, &is_part);
    if (status == RD_OK && answer.response.status != RD_OK)
        status = rd_error_set(&client->error, answer.response.status, 0, "the server refused the token: %s",
                              answer.response.message);
    return status;
}

static enum rd_status say_hello(struct rdrive_client *client, int64_t deadline_ms)
{
    enum rd_status status = encode_greeting(client);
    if (status != RD_OK)
        return status;
    struct iovec part = {.iov_base = client->out.data, .iov_len = client->out.len};
    status = send_parts(client, &part, 1, deadline_ms);
    if (client->token != NULL)
        explicit_bzero(client->out.data, client->out.len);
    if (status != RD_OK)
        return status;
    struct rd_binary_answer answer;
    bool is_part = false; /* never before the hello */
    status = receive_next(client, deadline_ms, &answer, &is_part);
    if (status != RD_OK)
        return status;
    if (answer.response.status != RD_OK)
        return rd_error_set(&client->error, answer.response.status, 0, "the server refused the connection: %s",
                            answer.response.message);
    client->limits = answer.response.limits;
    return client->token != NULL ? take_auth(client, deadline_ms) : RD_OK;
}

enum rd_status rd_exchange_connect(struct rdrive_client *client)
{
    if (client->fd >= 0 && !is_ready(client)) /* else it is over, or says what nobody asked for */
        return RD_OK;
    rd_exchange_disconnect(client);
    int64_t deadline_ms = rd_socket_now_ms() + client->connect_timeout_ms;
    enum rd_status status =
        client->unix_path != NULL
            ? rd_socket_connect_unix(client->unix_path, deadline_ms, &client->fd, &client->error)
            : rd_socket_connect_tcp(client->server, deadline_ms, &client->fd, &client->error);
    if (status != RD_OK)
        return status;
    rd_binary_reader_init(&client->reader, client->answer_len_max, RD_EXCHANGE_ITEM_COUNT_MAX);
    client->in_left = rd_slice(client->in, 0);
    if (client->tls)
        status = secure(client, deadline_ms);
    if (status == RD_OK)
        status = say_hello(client, deadline_ms);
    if (status != RD_OK)
        rd_exchange_disconnect(client);
    return status;
}

/* Encodes the frame into client->out and holds it against the server's limits, so that what would be refused is
 * not sent in the first place. */
static enum rd_status encode(struct rdrive_client *client, struct rd_request *request, size_t *ret_follow_len)
{
    rd_buffer_clear(&client->out);
    if (request->item_count > RD_EXCHANGE_ITEM_COUNT_MAX || request->item_count > client->limits.batch_count_max)
        return rd_error_set(&client->error, RD_TOO_LARGE, 0, "a batch of %zu items: the server takes at most %u",
                            request->item_count, (unsigned)client->limits.batch_count_max);
    request->id = ++client->last_id;
    enum rd_status status = rd_binary_encode_request(request, &client->out, ret_follow_len);
    if (status != RD_OK)
        return rd_error_set(&client->error, status, 0, "the request does not fit a frame of the protocol");
    size_t body_len = client->out.len - RD_WIRE_HEADER_LEN + *ret_follow_len;
    if (body_len > client->limits.body_len_max)
        return rd_error_set(&client->error, RD_TOO_LARGE, 0,
                            "a request of %zu bytes: the server takes at most %u at once", body_len,
                            (unsigned)client->limits.body_len_max);
    return RD_OK;
}

static enum rd_status send_and_receive(struct rdrive_client *client, const struct rd_request *request,
                                       size_t follow_len, int64_t deadline_ms, struct rd_binary_answer *ret_answer)
{
    struct iovec parts[2] = {
        {.iov_base = client->out.data, .iov_len = client->out.len},
        {.iov_base = (void *)(uintptr_t)request->value.data, .iov_len = follow_len}, /* sendmsg only reads it */
    };
    enum rd_status status = send_parts(client, parts, 2, deadline_ms);
    if (status == RD_TIMEOUT)
        return status;
    /* A server that hangs up in the middle of a request may have said why before: look for its answer. */
    struct rd_error sending = client->error;
    bool sent = status == RD_OK;
    bool is_part = false;
    status = receive_for(client, request, deadline_ms, ret_answer, &is_part);
    if (status == RD_OK && is_part)
        status = rd_error_set(&client->error, RD_IO_ERROR, 0, "the server sent a part of no stream");
    if (status != RD_OK) {
        if (!sent)
            client->error = sending;
        return client->error.status;
    }
    if (!sent) { /* the rest of the request was never sent: what was answered is the end of this connection */
        client->error = sending;
        if (ret_answer->response.status != RD_OK)
            rd_error_set(&client->error, ret_answer->response.status, 0, "%s", ret_answer->response.message);
        return client->error.status;
    }
    return RD_OK;
}

enum rd_status rd_exchange_refused(struct rdrive_client *client, const struct rd_response *response)
{
    const char *message = response->message[0] != '\0' ? response->message : rd_status_name(response->status);
    return rd_error_set(&client->error, response->status, 0, "%s", message);
}

enum rdrive_status rd_exchange(struct rdrive_client *client, struct rd_request *request,
                               struct rd_response *ret_response)
{
    int64_t deadline_ms = rd_socket_now_ms() + client->request_timeout_ms;
    client->error = (struct rd_error){.status = RD_OK};
    enum rd_status status = rd_exchange_connect(client);
    if (status != RD_OK)
        return (enum rdrive_status)status;
    size_t follow_len = 0;
    status = encode(client, request, &follow_len);
    if (status != RD_OK)
        return (enum rdrive_status)status;
    struct rd_binary_answer answer;
    status = send_and_receive(client, request, follow_len, deadline_ms, &answer);
    if (status != RD_OK) {
        rd_exchange_disconnect(client);
        return (enum rdrive_status)status;
    }
    if (answer.response.status != RD_OK)
        return (enum rdrive_status)rd_exchange_refused(client, &answer.response);
    *ret_response = answer.response;
    return RDRIVE_OK;
}

/* ---- streams ---------------------------------------------------------------------------------------------- */

static int64_t deadline_of(const struct rdrive_client *client)
{
    return rd_socket_now_ms() + client->request_timeout_ms;
}

enum rd_status rd_exchange_begin(struct rdrive_client *client, struct rd_request *request)
{
    client->error = (struct rd_error){.status = RD_OK};
    enum rd_status status = rd_exchange_connect(client);
    if (status != RD_OK)
        return status;
    size_t follow_len = 0;
    status = encode(client, request, &follow_len);
    if (status != RD_OK)
        return status;
    struct iovec part = {.iov_base = client->out.data, .iov_len = client->out.len};
    return send_parts(client, &part, 1, deadline_of(client));
}

enum rd_status rd_exchange_send_part(struct rdrive_client *client, const struct rd_stream_part *part)
{
    rd_buffer_clear(&client->out);
    rd_binary_encode_part(part, &client->out);
    if (client->out.failed)
        return rd_error_set(&client->error, RD_NO_MEMORY, 0, "no memory for a part");
    struct iovec parts[2] = {
        {.iov_base = client->out.data, .iov_len = client->out.len},
        {.iov_base = (void *)(uintptr_t)part->bytes.data, .iov_len = part->bytes.len}, /* only read */
    };
    return send_parts(client, parts, 2, deadline_of(client));
}

enum rd_status rd_exchange_receive(struct rdrive_client *client, const struct rd_request *request,
                                   struct rd_binary_answer *ret_answer, bool *ret_is_part)
{
    return receive_for(client, request, deadline_of(client), ret_answer, ret_is_part);
}

bool rd_exchange_has_input(const struct rdrive_client *client)
{
    return client->in_left.len != 0 || is_ready(client);
}
