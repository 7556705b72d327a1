/* SPDX-License-Identifier: MIT
 *
 * stream.c - values of any size through the asynchronous face: a value of 64 MiB is pushed as the server takes it,
 * and read again as it comes; at no time is more than a window of it in memory.
 *
 *     cc stream.c $(pkg-config --cflags --libs rdrive-client) -o stream
 *     ./stream 127.0.0.1:7401
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <rdrive_async.h>

#define VALUE_LEN (64u << 20)
#define STEP_LEN  (64u << 10)

static struct rdrive_connection *connection;
static struct rdrive_request upload;
static struct rdrive_request download;
static size_t pushed_len;
static size_t received_len;
static int failed;

static unsigned char byte_at(size_t position)
{
    return (unsigned char)(position * 31 + (position >> 16));
}

static void end(struct rdrive_request *request)
{
    if (request->status != RDRIVE_OK) {
        fprintf(stderr, "%s: %s\n", rdrive_status_name(request->status), request->message);
        failed = 1;
    }
    rdrive_connection_close(connection, NULL);
}

/* ---- and back --------------------------------------------------------------------------------------------- */

static void on_chunk(struct rdrive_request *request, const void *bytes, size_t len)
{
    const unsigned char *chunk = bytes;
    for (size_t i = 0; i < len; i++)
        failed |= chunk[i] != byte_at(received_len + i);
    received_len += len;
    rdrive_stream_taken(request, len); /* only now does the server send as much again */
}

static void on_read(struct rdrive_request *request)
{
    if (request->status == RDRIVE_OK)
        printf("read %zu bytes of %llu\n", received_len, (unsigned long long)request->result.part.metadata.len);
    end(request);
}

/* ---- there ------------------------------------------------------------------------------------------------ */

static void on_written(struct rdrive_request *request)
{
    if (request->status != RDRIVE_OK) {
        end(request);
        return;
    }
    printf("wrote %zu bytes\n", pushed_len);
    download = (struct rdrive_request){.operation = RDRIVE_OP_READ_STREAM,
                                       .on_complete = on_read,
                                       .on_chunk = on_chunk,
                                       .key = rdrive_key_of_string("large")};
    download.status = rdrive_submit(connection, &download);
    if (download.status != RDRIVE_OK)
        end(&download);
}

static void on_room(struct rdrive_request *request)
{
    unsigned char step[STEP_LEN];
    while (pushed_len < VALUE_LEN) {
        for (size_t i = 0; i < sizeof step; i++)
            step[i] = byte_at(pushed_len + i);
        size_t left = VALUE_LEN - pushed_len;
        size_t len = left < sizeof step ? left : sizeof step;
        size_t taken = rdrive_stream_push(request, step, len);
        pushed_len += taken;
        if (taken < len)
            return; /* called again when there is room */
    }
    rdrive_stream_end(request);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN); /* libuv raises it where the server has gone away */
    uv_loop_t loop;
    if (uv_loop_init(&loop) != 0)
        return 1;
    struct rdrive_connection_options options = {.server = argc > 1 ? argv[1] : NULL};
    if (rdrive_connection_create(&loop, &options, &connection) != RDRIVE_OK) {
        fprintf(stderr, "%s is not HOST:PORT\n", argv[1]);
        return 2;
    }
    upload = (struct rdrive_request){.operation = RDRIVE_OP_WRITE_STREAM,
                                     .on_complete = on_written,
                                     .on_room = on_room,
                                     .key = rdrive_key_of_string("large"),
                                     .stream_len = VALUE_LEN};
    upload.status = rdrive_submit(connection, &upload);
    if (upload.status != RDRIVE_OK)
        end(&upload);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    return failed;
}
