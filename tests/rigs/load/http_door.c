/* SPDX-License-Identifier: MIT
 *
 * http_door.c - bytes to and from the socket; what they say is http_text.c's. What is asked while a write to the
 * socket is under way is gathered and leaves with the next one.
 */
#include "tests/rigs/load/http_door.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "tests/rigs/load/http_text.h"

#define PENDING_MAX 64u
#define READ_LEN    (256u << 10)

struct http_door {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    struct rd_buffer gathered;                   /* to be sent */
    struct rd_buffer leaving;                    /* with the socket */
    struct rd_buffer input;                      /* not understood yet */
    struct rdrive_request *pending[PENDING_MAX]; /* a ring, oldest at first */
    unsigned first;
    unsigned count;
    bool connected;
    bool writing;
    bool lost;
    void (*on_lost)(void *context);
    void *context;
    void (*on_closed)(void *context);
    void *closed_context;
};

static void complete_first(struct http_door *door, enum rdrive_status status)
{
    struct rdrive_request *request = door->pending[door->first % PENDING_MAX];
    door->first++;
    door->count--;
    request->status = status;
    request->on_complete(request);
}

static void lose(struct http_door *door)
{
    if (door->lost)
        return;
    door->lost = true;
    uv_read_stop((uv_stream_t *)&door->tcp);
    while (door->count != 0)
        complete_first(door, RDRIVE_CONNECTION_LOST);
    door->on_lost(door->context);
}

/* ---- out -------------------------------------------------------------------------------------------------- */

static void send_gathered(struct http_door *door);

static void on_written(uv_write_t *write, int status)
{
    struct http_door *door = write->data;
    door->writing = false;
    rd_buffer_clear(&door->leaving);
    if (status != 0)
        lose(door);
    else
        send_gathered(door);
}

static void send_gathered(struct http_door *door)
{
    if (!door->connected || door->writing || door->lost || door->gathered.len == 0)
        return;
    struct rd_buffer spent = door->leaving;
    door->leaving = door->gathered;
    door->gathered = spent;
    uv_buf_t bytes = uv_buf_init((char *)door->leaving.data, (unsigned)door->leaving.len);
    door->write.data = door;
    door->writing = uv_write(&door->write, (uv_stream_t *)&door->tcp, &bytes, 1, on_written) == 0;
}

enum rdrive_status http_door_submit(struct http_door *door, struct rdrive_request *request)
{
    if (door->lost)
        return RDRIVE_UNAVAILABLE;
    if (door->count == PENDING_MAX)
        return RDRIVE_OVERLOADED;
    memset(&request->result, 0, sizeof request->result);
    request->message[0] = '\0';
    http_text_ask(request, &door->gathered);
    if (door->gathered.failed)
        abort();
    door->pending[(door->first + door->count) % PENDING_MAX] = request;
    door->count++;
    send_gathered(door);
    return RDRIVE_OK;
}

bool http_door_is_up(const struct http_door *door)
{
    return !door->lost;
}

/* ---- in --------------------------------------------------------------------------------------------------- */

static void take_answers(struct http_door *door)
{
    struct rd_slice left = rd_buffer_slice(&door->input);
    while (door->count != 0 && !door->lost) {
        struct rdrive_request *request = door->pending[door->first % PENDING_MAX];
        enum rdrive_status status;
        size_t len = http_text_answer(left, request, &status);
        if (len == 0)
            break;
        (void)rd_slice_take(&left, len);
        complete_first(door, status);
    }
    rd_buffer_consume(&door->input, door->input.len - left.len);
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buffer)
{
    struct http_door *door = handle->data;
    (void)suggested;
    ret_buffer->base = (char *)rd_buffer_reserve(&door->input, READ_LEN);
    ret_buffer->len = ret_buffer->base != NULL ? READ_LEN : 0;
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buffer)
{
    struct http_door *door = stream->data;
    (void)buffer;
    if (len < 0) {
        lose(door);
        return;
    }
    rd_buffer_commit(&door->input, (size_t)len);
    take_answers(door);
}

/* ---- opening and closing ---------------------------------------------------------------------------------- */

static void on_connected(uv_connect_t *connect, int status)
{
    struct http_door *door = connect->data;
    if (status != 0 || uv_read_start((uv_stream_t *)&door->tcp, on_allocate, on_read) != 0) {
        lose(door);
        return;
    }
    door->connected = true;
    send_gathered(door);
}

static bool connect_to(struct http_door *door, const char *address)
{
    char host[64];
    int port = 0;
    struct sockaddr_in where;
    if (sscanf(address, "%63[^:]:%d", host, &port) != 2 || uv_ip4_addr(host, port, &where) != 0)
        return false;
    return uv_tcp_connect(&door->connect, &door->tcp, (const struct sockaddr *)&where, on_connected) == 0;
}

struct http_door *http_door_open(uv_loop_t *loop, const char *address, void (*on_lost)(void *context),
                                 void *context)
{
    struct http_door *door = calloc(1, sizeof *door);
    if (door == NULL || uv_tcp_init(loop, &door->tcp) != 0)
        abort();
    door->on_lost = on_lost;
    door->context = context;
    door->tcp.data = door;
    door->connect.data = door;
    rd_buffer_init(&door->gathered, 0);
    rd_buffer_init(&door->leaving, 0);
    rd_buffer_init(&door->input, 0);
    (void)uv_tcp_nodelay(&door->tcp, 1);
    if (!connect_to(door, address)) {
        fprintf(stderr, "no connection to %s\n", address);
        exit(2);
    }
    return door;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct http_door *door = handle->data;
    rd_buffer_deinit(&door->gathered);
    rd_buffer_deinit(&door->leaving);
    rd_buffer_deinit(&door->input);
    door->on_closed(door->closed_context);
    free(door);
}

void http_door_close(struct http_door *door, void (*on_closed)(void *context), void *context)
{
    door->on_closed = on_closed;
    door->closed_context = context;
    lose(door);
    uv_close((uv_handle_t *)&door->tcp, on_handle_closed);
}
