/* SPDX-License-Identifier: MIT
 *
 * async.c - a connection's life.
 *
 *   CONNECTING -- hello accepted (take_hello), and the token (take_auth) --> OPEN
 *   CONNECTING, OPEN -- a failure (on_down) ----> WAITING, where reconnecting is asked for, else CLOSED
 *   WAITING -- the pause is over (on_phase) ----> CONNECTING
 *   any -- rdrive_connection_close -------------> CLOSED, and gone once the loop has given every handle back
 *
 * No callback of the caller's runs inside a call of the caller's: the first attempt to connect and everything that
 * ends a connection go through the loop.
 */
#include "clients/c/async.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "clients/c/convert.h"

#define SERVER_DEFAULT   "127.0.0.1:7401"
#define UNSENT_BYTES_MAX (1u << 30)

uint64_t rd_async_now_ms(void)
{
    return uv_hrtime() / 1000000;
}

enum rdrive_connection_state rdrive_connection_state(const struct rdrive_connection *connection)
{
    return connection->state;
}

void *rdrive_connection_data(const struct rdrive_connection *connection)
{
    return connection->options.data;
}

const char *rdrive_connection_error(const struct rdrive_connection *connection)
{
    return connection->message;
}

static void set_state(struct rdrive_connection *connection, enum rdrive_connection_state state)
{
    if (connection->state == state)
        return;
    connection->state = state;
    if (connection->options.on_state != NULL)
        connection->options.on_state(connection, state);
}

void rd_async_break(struct rdrive_connection *connection, const char *message)
{
    rd_link_break(&connection->link, RD_IO_ERROR, message);
}

/* ---- what comes in ---------------------------------------------------------------------------------------- */

static void open_up(struct rdrive_connection *connection)
{
    connection->was_open = true;
    connection->pause_ms = connection->options.reconnect_min_ms;
    uv_timer_stop(&connection->phase);
    connection->state = RDRIVE_CONNECTION_OPEN; /* before the callback, in which requests may be submitted */
    rd_async_send_waiting(connection);
    if (connection->options.on_state != NULL)
        connection->options.on_state(connection, RDRIVE_CONNECTION_OPEN);
}

static void take_hello(struct rdrive_connection *connection, const struct rd_response *response)
{
    if (response->status != RD_OK) {
        char message[256];
        snprintf(message, sizeof message, "the server refused the connection: %s", response->message);
        rd_link_break(&connection->link, response->status, message);
        return;
    }
    connection->limits = response->limits;
    if (connection->auth_id == 0)
        open_up(connection);
}

static void take_auth(struct rdrive_connection *connection, const struct rd_response *response)
{
    connection->auth_id = 0;
    if (response->status == RD_OK) {
        open_up(connection);
        return;
    }
    char message[256];
    snprintf(message, sizeof message, "the server refused the token: %.200s", response->message);
    rd_link_break(&connection->link, response->status, message);
}

static void on_bytes(struct rd_link *link, const uint8_t *at, size_t len)
{
    struct rdrive_connection *connection = (struct rdrive_connection *)link;
    struct rd_slice input = rd_slice(at, len);
    if (at == connection->fill_target) {
        rd_binary_reader_fill_done(&connection->reader, len);
        input = rd_slice(connection->in, 0);
    }
    while (link->state == RD_LINK_UP) { /* a callback may have closed it */
        struct rd_binary_answer answer;
        switch (rd_binary_reader_next(&connection->reader, &input, &answer)) {
        case RD_BINARY_READ_ANSWER:
            if (answer.hello)
                take_hello(connection, &answer.response);
            else if (connection->auth_id != 0 && answer.id == connection->auth_id &&
                     answer.opcode == RD_OPCODE_AUTH)
                take_auth(connection, &answer.response);
            else
                rd_async_take_answer(connection, &answer);
            break;
        case RD_BINARY_READ_PART:
            rd_async_take_part(connection, rd_binary_reader_part(&connection->reader));
            break;
        case RD_BINARY_READ_BROKEN:
            rd_async_break(connection, connection->reader.error);
            return;
        case RD_BINARY_READ_MORE:
            return;
        }
    }
}

static uint8_t *on_room(struct rd_link *link, size_t *ret_len)
{
    struct rdrive_connection *connection = (struct rdrive_connection *)link;
    uint8_t *target = rd_binary_reader_fill_target(&connection->reader, ret_len);
    connection->fill_target = target;
    if (target != NULL)
        return target;
    *ret_len = sizeof connection->in;
    return connection->in;
}

/* ---- what goes out ---------------------------------------------------------------------------------------- */

static void on_flush(uv_idle_t *flush)
{
    struct rdrive_connection *connection = flush->data;
    uv_idle_stop(flush);
    if (connection->state != RDRIVE_CONNECTION_OPEN)
        return;
    rd_async_offer_room(connection);
    rd_link_flush(&connection->link);
}

/* An idle handle and not a prepare handle: while it is active the loop does not wait, so that what is submitted in
 * somebody else's prepare callback leaves at once as well. */
void rd_async_schedule(struct rdrive_connection *connection)
{
    if (!connection->closing)
        uv_idle_start(&connection->flush, on_flush);
}

static void on_sent(struct rd_link *link)
{
    struct rdrive_connection *connection = (struct rdrive_connection *)link;
    if (connection->upload_count != 0)
        rd_async_schedule(connection);
}

/* The token, right behind the preamble. */
static void append_auth(struct rdrive_connection *connection)
{
    size_t follow_len = 0;
    connection->auth_id = ++connection->last_id;
    struct rd_request request = {
        .opcode = RD_OPCODE_AUTH, .id = connection->auth_id, .token = rd_slice_of_string(connection->token)};
    if (rd_binary_encode_request(&request, &connection->link.out, &follow_len) != RD_OK)
        connection->link.out.failed = true;
}

static void on_connected(struct rd_link *link)
{
    struct rdrive_connection *connection = (struct rdrive_connection *)link;
    rd_binary_reader_init(&connection->reader, connection->options.answer_len_max, RD_ASYNC_ITEM_COUNT_MAX);
    rd_binary_encode_hello(&link->out);
    connection->auth_id = 0;
    if (connection->token != NULL)
        append_auth(connection);
    if (link->out.failed)
        rd_link_break(link, RD_NO_MEMORY, "no memory to connect");
    else
        rd_link_flush(link);
}

/* ---- attempts --------------------------------------------------------------------------------------------- */

static void on_phase(uv_timer_t *phase)
{
    struct rdrive_connection *connection = phase->data;
    if (connection->link.state != RD_LINK_IDLE) {
        rd_link_break(&connection->link, RD_TIMEOUT, "the connection could not be made in time");
        return;
    }
    uv_timer_start(phase, on_phase, connection->options.connect_timeout_ms, 0);
    set_state(connection, RDRIVE_CONNECTION_CONNECTING);
    if (!connection->closing)
        rd_link_start(&connection->link);
}

/* A pause between three quarters and all of what is due: many clients of one server do not come back at once. */
static uint64_t take_pause(struct rdrive_connection *connection)
{
    uint32_t pause_ms = connection->pause_ms;
    uint32_t max_ms = connection->options.reconnect_max_ms;
    connection->pause_ms = pause_ms > max_ms / 2 ? max_ms : pause_ms * 2;
    return pause_ms - uv_hrtime() / 1000 % (pause_ms / 4 + 1);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct rdrive_connection *connection = handle->data;
    if (--connection->handle_count != 0)
        return;
    rd_async_complete_all(connection, false, RDRIVE_CONNECTION_LOST, "the connection was closed");
    set_state(connection, RDRIVE_CONNECTION_CLOSED);
    void (*on_closed)(void *data) = connection->on_closed;
    void *data = connection->options.data;
    rd_link_deinit(&connection->link);
    free(connection->tls_ca);
    rd_convert_forget_token(connection->token);
    free(connection->server);
    free(connection->unix_path);
    free(connection);
    if (on_closed != NULL)
        on_closed(data);
}

static void close_handles(struct rdrive_connection *connection)
{
    uv_close((uv_handle_t *)&connection->phase, on_handle_closed);
    uv_close((uv_handle_t *)&connection->deadline, on_handle_closed);
    uv_close((uv_handle_t *)&connection->flush, on_handle_closed);
}

/* For requests that have waited for the connection in vain. */
static enum rdrive_status why_never_sent(const struct rdrive_connection *connection)
{
    if (connection->link.error.status == RD_UNAUTHORIZED)
        return RDRIVE_UNAUTHORIZED;
    return connection->was_open ? RDRIVE_CONNECTION_LOST : RDRIVE_UNAVAILABLE;
}

static void on_down(struct rd_link *link)
{
    struct rdrive_connection *connection = (struct rdrive_connection *)link;
    snprintf(connection->message, sizeof connection->message, "%s", link->error.message);
    rd_binary_reader_deinit(&connection->reader);
    connection->fill_target = NULL;
    uv_timer_stop(&connection->phase);
    uv_idle_stop(&connection->flush);
    if (connection->closing) {
        close_handles(connection);
        return;
    }
    bool goes_on = connection->options.reconnect;
    connection->state = goes_on ? RDRIVE_CONNECTION_WAITING : RDRIVE_CONNECTION_CLOSED;
    if (goes_on)
        uv_timer_start(&connection->phase, on_phase, take_pause(connection), 0);
    rd_async_complete_all(connection, true, RDRIVE_CONNECTION_LOST, connection->message);
    if (!goes_on)
        rd_async_complete_all(connection, false, why_never_sent(connection), connection->message);
    if (connection->options.on_state != NULL && !connection->closing)
        connection->options.on_state(connection, connection->state);
}

static const struct rd_link_events events = {
    .on_connected = on_connected,
    .on_room = on_room,
    .on_bytes = on_bytes,
    .on_sent = on_sent,
    .on_down = on_down,
};

/* ---- making and closing ----------------------------------------------------------------------------------- */

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static void set_options(struct rdrive_connection *connection, const struct rdrive_connection_options *options)
{
    struct rdrive_connection_options *own = &connection->options;
    *own = *options;
    own->server = NULL; /* copies are in the connection */
    own->unix_path = NULL;
    own->store = NULL;
    own->tls_ca = NULL;
    own->token = NULL;
    own->connect_timeout_ms = or_default(own->connect_timeout_ms, 5000);
    own->request_timeout_ms = or_default(own->request_timeout_ms, 60000);
    own->reconnect_min_ms = or_default(own->reconnect_min_ms, 100);
    own->reconnect_max_ms = or_default(own->reconnect_max_ms, 10000);
    if (own->reconnect_max_ms < own->reconnect_min_ms)
        own->reconnect_max_ms = own->reconnect_min_ms;
    own->request_count_max = or_default(own->request_count_max, 65536);
    own->answer_len_max = or_default(own->answer_len_max, 1u << 30);
    own->stream_window = or_default(own->stream_window, 1u << 20);
    if (own->unsent_bytes_max == 0)
        own->unsent_bytes_max = 64u << 20;
    if (own->unsent_bytes_max > UNSENT_BYTES_MAX)
        own->unsent_bytes_max = UNSENT_BYTES_MAX;
    connection->pause_ms = own->reconnect_min_ms;
}

static bool set_store(struct rdrive_connection *connection, const char *store)
{
    size_t len = store != NULL ? strlen(store) : 0;
    if (len >= sizeof connection->store)
        return false;
    if (len != 0)
        memcpy(connection->store, store, len);
    return true;
}

/* None of these three can fail: they only enter a handle into the loop's lists. */
static void init_handles(struct rdrive_connection *connection, uv_loop_t *loop)
{
    int failed = uv_timer_init(loop, &connection->phase) | uv_timer_init(loop, &connection->deadline) |
                 uv_idle_init(loop, &connection->flush);
    assert(failed == 0);
    (void)failed;
    connection->phase.data = connection;
    connection->deadline.data = connection;
    connection->flush.data = connection;
    connection->handle_count = 3;
}

enum rdrive_status rdrive_connection_create(uv_loop_t *loop, const struct rdrive_connection_options *options,
                                            struct rdrive_connection **ret_connection)
{
    static const struct rdrive_connection_options defaults;
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
    struct rdrive_connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL)
        return RDRIVE_NO_MEMORY;
    enum rdrive_status status = RDRIVE_INVALID_ARGUMENT;
    if (!set_store(connection, options->store))
        goto failed;
    set_options(connection, options);
    status = RDRIVE_NO_MEMORY;
    if (options->unix_path != NULL)
        connection->unix_path = strdup(options->unix_path);
    else
        connection->server = strdup(server);
    if (options->tls_ca != NULL)
        connection->tls_ca = strdup(options->tls_ca);
    if (options->token != NULL)
        connection->token = strdup(options->token);
    if ((connection->unix_path == NULL && connection->server == NULL) ||
        (options->tls_ca != NULL && connection->tls_ca == NULL) ||
        (options->token != NULL && connection->token == NULL))
        goto failed;
    const struct rd_link_target target = {.server = connection->server,
                                          .unix_path = connection->unix_path,
                                          .tls = tls,
                                          .tls_ca = connection->tls_ca};
    rd_link_init(&connection->link, loop, &events, &target);
    init_handles(connection, loop);
    uv_timer_start(&connection->phase, on_phase, 0, 0);
    *ret_connection = connection;
    return RDRIVE_OK;
failed:
    free(connection->tls_ca);
    rd_convert_forget_token(connection->token);
    free(connection->unix_path);
    free(connection->server);
    free(connection);
    return status;
}

void rdrive_connection_close(struct rdrive_connection *connection, void (*on_closed)(void *data))
{
    connection->closing = true;
    connection->on_closed = on_closed;
    if (connection->link.state == RD_LINK_IDLE) /* else on_down does it */
        close_handles(connection);
    else
        rd_link_break(&connection->link, RD_UNAVAILABLE, "the connection was closed");
}
