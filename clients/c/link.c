/* SPDX-License-Identifier: MIT
 *
 * link.c - see link.h. One address is tried at a time, each with a socket of its own: libuv gives a handle back
 * only in its close callback, which is therefore where the next step is taken.
 */
#include "clients/c/link.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/text.h"
#include "clients/c/socket.h"
#include "clients/c/tls.h"

#define NAME_LEN_MAX    255u
#define KEPT_LEN_MAX    (1u << 20) /* bytes; a larger buffer is given back once it is empty */
#define KEEPALIVE_AFTER 60u        /* s */
#define SEALED_LEN      (64u << 10)

static void try_next_address(struct rd_link *link);

void rd_link_init(struct rd_link *link, uv_loop_t *loop, const struct rd_link_events *events,
                  const struct rd_link_target *target)
{
    *link = (struct rd_link){.loop = loop, .events = events, .target = *target};
    rd_buffer_init(&link->out, 0);
    rd_buffer_init(&link->sending, 0);
}

void rd_link_deinit(struct rd_link *link)
{
    rd_buffer_deinit(&link->out);
    rd_buffer_deinit(&link->sending);
    rd_tls_trust_destroy(link->trust);
    free(link->sealed);
}

size_t rd_link_unsent(const struct rd_link *link)
{
    return link->out.len + link->sending.len;
}

/* ---- the end ---------------------------------------------------------------------------------------------- */

/* Nothing of the loop's refers to the link any more. */
static void go_down(struct rd_link *link)
{
    if (link->addresses != NULL)
        uv_freeaddrinfo(link->addresses);
    link->addresses = NULL;
    link->next_address = NULL;
    rd_buffer_deinit(&link->out);
    rd_buffer_deinit(&link->sending);
    link->state = RD_LINK_IDLE;
    link->events->on_down(link);
}

static void on_socket_closed(uv_handle_t *handle)
{
    struct rd_link *link = handle->data;
    link->has_socket = false;
    rd_tls_stream_destroy(link->stream);
    link->stream = NULL;
    if (link->state == RD_LINK_ENDING)
        go_down(link);
    else
        try_next_address(link);
}

static void close_socket(struct rd_link *link)
{
    if (!uv_is_closing(&link->socket.handle))
        uv_close(&link->socket.handle, on_socket_closed);
}

/* A courtesy, where the socket takes it: the server can do without. */
static void end_stream(struct rd_link *link)
{
    if (link->stream == NULL || link->writing)
        return;
    rd_tls_stream_end(link->stream);
    struct rd_buffer *output = rd_tls_stream_output(link->stream);
    uv_buf_t bytes = uv_buf_init((char *)output->data, (unsigned)output->len);
    if (output->len != 0)
        (void)uv_try_write(&link->socket.stream, &bytes, 1);
}

void rd_link_break(struct rd_link *link, enum rd_status status, const char *message)
{
    if (link->state == RD_LINK_IDLE || link->state == RD_LINK_ENDING)
        return;
    bool resolving = link->state == RD_LINK_RESOLVING;
    end_stream(link);
    rd_error_set(&link->error, status, 0, "%s", message);
    link->state = RD_LINK_ENDING;
    if (resolving)
        (void)uv_cancel((uv_req_t *)&link->resolve); /* where it is too late, its callback just takes its time */
    else
        close_socket(link);
}

/* ---- the beginning ---------------------------------------------------------------------------------------- */

static void on_room(uv_handle_t *handle, size_t suggested_len, uv_buf_t *ret_room)
{
    (void)suggested_len;
    struct rd_link *link = handle->data;
    size_t len = SEALED_LEN;
    uint8_t *at = link->stream != NULL ? link->sealed : link->events->on_room(link, &len);
    *ret_room = uv_buf_init((char *)at, len < UINT32_MAX ? (unsigned)len : UINT32_MAX);
}

/* The handshake is over, and the server is believed. */
static void go_up(struct rd_link *link)
{
    link->state = RD_LINK_UP;
    link->events->on_connected(link);
}

/* One step of what came: to the handshake, or to whoever uses the link. False: nothing is left to be done. */
static bool unseal_some(struct rd_link *link, struct rd_slice *sealed)
{
    bool up = link->state == RD_LINK_UP;
    size_t room_len = 0;
    size_t len = 0;
    uint8_t *room = up ? link->events->on_room(link, &room_len) : NULL;
    enum rd_tls_input input = rd_tls_stream_unseal(link->stream, sealed, room, room_len, &len);
    rd_link_flush(link);
    if (link->state != RD_LINK_UP && link->state != RD_LINK_SECURING)
        return false;
    if (input == RD_TLS_INPUT_FAILED)
        rd_link_break(link, up ? RD_IO_ERROR : RD_UNAVAILABLE, rd_tls_stream_failure(link->stream));
    else if (input == RD_TLS_INPUT_ENDED)
        rd_link_break(link, RD_IO_ERROR, "the server closed the connection");
    else if (!up && rd_tls_stream_is_established(link->stream))
        go_up(link);
    else if (input == RD_TLS_INPUT_PLAIN)
        link->events->on_bytes(link, room, len);
    else
        return false;
    return true;
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *room)
{
    struct rd_link *link = stream->data;
    if (len > 0 && link->stream != NULL) {
        struct rd_slice sealed = rd_slice(room->base, (size_t)len);
        while ((link->state == RD_LINK_UP || link->state == RD_LINK_SECURING) && unseal_some(link, &sealed))
            continue;
        return;
    }
    if (len > 0 && link->state == RD_LINK_UP) {
        link->events->on_bytes(link, (const uint8_t *)room->base, (size_t)len);
        return;
    }
    char message[128] = "the server closed the connection";
    if (len < 0 && len != UV_EOF)
        snprintf(message, sizeof message, "the connection broke: %s", uv_strerror((int)len));
    if (len < 0)
        rd_link_break(link, RD_IO_ERROR, message);
}

/* False: link->error says why. */
static bool start_stream(struct rd_link *link)
{
    struct rd_slice host = {.len = 0};
    struct rd_slice port;
    if (link->sealed == NULL)
        link->sealed = malloc(SEALED_LEN);
    if (link->sealed == NULL) {
        rd_error_set(&link->error, RD_NO_MEMORY, 0, "no memory for TLS");
        return false;
    }
    (void)rd_text_split_address(rd_slice_of_string(link->target.server), &host, &port); /* as before connecting */
    return rd_tls_stream_create(link->trust, host, NULL, &link->stream, &link->error) == RD_OK;
}

static void on_connected(uv_connect_t *connect, int result)
{
    struct rd_link *link = connect->data;
    if (link->state != RD_LINK_CONNECTING)
        return; /* it is being closed */
    if (result == 0 && link->target.unix_path == NULL) {
        (void)uv_tcp_nodelay(&link->socket.tcp, 1); /* where these are refused, they only cost time */
        (void)uv_tcp_keepalive(&link->socket.tcp, 1, KEEPALIVE_AFTER);
    }
    if (result == 0)
        result = uv_read_start(&link->socket.stream, on_room, on_read);
    if (result != 0) {
        rd_error_set(&link->error, RD_UNAVAILABLE, 0, "cannot connect to %s (is rdrived running there?): %s",
                     link->target.unix_path != NULL ? link->target.unix_path : link->target.server,
                     uv_strerror(result));
        close_socket(link);
        return;
    }
    if (!link->target.tls) {
        go_up(link);
    } else if (start_stream(link)) {
        link->state = RD_LINK_SECURING;
        rd_link_flush(link);
    } else {
        close_socket(link);
    }
}

static void connect_to(struct rd_link *link, const struct sockaddr *address)
{
    link->state = RD_LINK_CONNECTING;
    int result = uv_tcp_init(link->loop, &link->socket.tcp);
    if (result == 0) {
        link->has_socket = true;
        link->socket.handle.data = link;
        link->connect.data = link;
        result = uv_tcp_connect(&link->connect, &link->socket.tcp, address, on_connected);
    }
    if (result == 0)
        return;
    rd_error_set(&link->error, RD_UNAVAILABLE, 0, "cannot connect to %s: %s", link->target.server,
                 uv_strerror(result));
    if (link->has_socket)
        close_socket(link);
    else
        go_down(link);
}

static void try_next_address(struct rd_link *link)
{
    const struct addrinfo *address = link->next_address;
    if (address == NULL) {
        go_down(link);
        return;
    }
    link->next_address = address->ai_next;
    connect_to(link, address->ai_addr);
}

static void on_resolved(uv_getaddrinfo_t *resolve, int result, struct addrinfo *addresses)
{
    struct rd_link *link = resolve->data;
    link->addresses = addresses;
    link->next_address = addresses;
    if (link->state == RD_LINK_ENDING) {
        go_down(link);
        return;
    }
    if (result != 0)
        rd_error_set(&link->error, RD_UNAVAILABLE, 0, "cannot resolve %s: %s", link->target.server,
                     uv_strerror(result));
    try_next_address(link);
}

static void start_unix(struct rd_link *link)
{
    link->state = RD_LINK_CONNECTING;
    int result = uv_pipe_init(link->loop, &link->socket.pipe, 0);
    if (result != 0) {
        rd_error_set(&link->error, RD_UNAVAILABLE, 0, "cannot make a socket: %s", uv_strerror(result));
        go_down(link);
        return;
    }
    link->has_socket = true;
    link->socket.handle.data = link;
    link->connect.data = link;
    uv_pipe_connect(&link->connect, &link->socket.pipe, link->target.unix_path, on_connected);
}

/* An address in digits needs no thread of the pool. */
static bool start_numeric(struct rd_link *link, const char *host, struct rd_slice port_text)
{
    uint64_t port = 0;
    if (!rd_text_parse_u64(port_text, &port) || port > UINT16_MAX)
        return false;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (uv_ip4_addr(host, (int)port, &v4) == 0)
        connect_to(link, (const struct sockaddr *)&v4);
    else if (uv_ip6_addr(host, (int)port, &v6) == 0)
        connect_to(link, (const struct sockaddr *)&v6);
    else
        return false;
    return true;
}

static void start_tcp(struct rd_link *link)
{
    struct rd_slice host_part = {.len = 0};
    struct rd_slice port_part = {.len = 0};
    char host[NAME_LEN_MAX + 1];
    char port[NAME_LEN_MAX + 1];
    if (!rd_text_split_address(rd_slice_of_string(link->target.server), &host_part, &port_part)) {
        rd_error_set(&link->error, RD_INVALID_ARGUMENT, 0, "\"%s\" is not HOST:PORT", link->target.server);
        go_down(link);
        return;
    }
    snprintf(host, sizeof host, "%.*s", (int)host_part.len, (const char *)host_part.data);
    snprintf(port, sizeof port, "%.*s", (int)port_part.len, (const char *)port_part.data);
    if (start_numeric(link, host, port_part))
        return;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    link->state = RD_LINK_RESOLVING;
    link->resolve.data = link;
    int result = uv_getaddrinfo(link->loop, &link->resolve, on_resolved, host, port, &hints);
    if (result == 0)
        return;
    rd_error_set(&link->error, RD_UNAVAILABLE, 0, "cannot resolve %s: %s", link->target.server,
                 uv_strerror(result));
    go_down(link);
}

void rd_link_start(struct rd_link *link)
{
    link->error = (struct rd_error){.status = RD_OK};
    link->writing = false;
    if (link->target.tls && link->trust == NULL &&
        rd_tls_trust_create(link->target.tls_ca, &link->trust, &link->error) != RD_OK) {
        go_down(link);
        return;
    }
    if (link->target.unix_path != NULL)
        start_unix(link);
    else
        start_tcp(link);
}

/* ---- sending ---------------------------------------------------------------------------------------------- */

static void give_back(struct rd_buffer *empty)
{
    if (empty->capacity > KEPT_LEN_MAX)
        rd_buffer_deinit(empty);
    else
        rd_buffer_clear(empty);
}

static void on_written(uv_write_t *write, int result)
{
    struct rd_link *link = write->data;
    link->writing = false;
    if (link->state != RD_LINK_UP && link->state != RD_LINK_SECURING)
        return;
    give_back(&link->sending);
    if (result != 0) {
        char message[128];
        snprintf(message, sizeof message, "the connection broke while sending: %s", uv_strerror(result));
        rd_link_break(link, RD_IO_ERROR, message);
        return;
    }
    rd_link_flush(link);
    if (link->state == RD_LINK_UP)
        link->events->on_sent(link);
}

/* The socket does not take all of it now: what is left waits, and `leaving` is free for more. */
static int send_rest(struct rd_link *link, struct rd_buffer *leaving, size_t sent_len)
{
    struct rd_buffer empty = link->sending;
    link->sending = *leaving;
    *leaving = empty;
    rd_buffer_clear(leaving);
    uv_buf_t rest = uv_buf_init((char *)link->sending.data + sent_len, (unsigned)(link->sending.len - sent_len));
    link->write.data = link;
    int result = uv_write(&link->write, &link->socket.stream, &rest, 1, on_written);
    link->writing = result == 0;
    return result;
}

/* What is to go to the socket next: `out`, or the records that it was made into. NULL: the link is broken. */
static struct rd_buffer *next_leaving(struct rd_link *link)
{
    if (link->stream == NULL)
        return &link->out;
    if (link->state == RD_LINK_UP && link->out.len != 0) {
        if (!rd_tls_stream_seal(link->stream, rd_buffer_slice(&link->out))) {
            rd_link_break(link, RD_IO_ERROR, rd_tls_stream_failure(link->stream));
            return NULL;
        }
        give_back(&link->out);
    }
    return rd_tls_stream_output(link->stream);
}

void rd_link_flush(struct rd_link *link)
{
    if ((link->state != RD_LINK_UP && link->state != RD_LINK_SECURING) || link->writing)
        return;
    struct rd_buffer *leaving = next_leaving(link);
    if (leaving == NULL || leaving->len == 0)
        return;
    size_t len = leaving->len < UINT32_MAX / 2 ? leaving->len : UINT32_MAX / 2;
    uv_buf_t bytes = uv_buf_init((char *)leaving->data, (unsigned)len);
    int result = uv_try_write(&link->socket.stream, &bytes, 1);
    size_t sent_len = result > 0 ? (size_t)result : 0;
    if (result == UV_EAGAIN)
        result = 0;
    if (result >= 0 && sent_len < leaving->len)
        result = send_rest(link, leaving, sent_len);
    else
        give_back(leaving);
    if (result < 0) {
        char message[128];
        snprintf(message, sizeof message, "the connection broke while sending: %s", uv_strerror(result));
        rd_link_break(link, RD_IO_ERROR, message);
    }
}
