/* SPDX-License-Identifier: MIT
 *
 * async.c - the asynchronous face: a thousand writes on their way at once, over one connection that comes back by
 * itself.
 *
 *     cc async.c $(pkg-config --cflags --libs rdrive-client) -o async
 *     ./async 127.0.0.1:7401
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <rdrive_async.h>

#define COUNT 1000

/* Each request, and what its key and value lie in, which may go once it is submitted. */
static struct rdrive_request requests[COUNT];
static int completed_count;
static int failed_count;
static struct rdrive_connection *connection;

static void on_written(struct rdrive_request *request)
{
    if (request->status != RDRIVE_OK) {
        fprintf(stderr, "%s: %s\n", rdrive_status_name(request->status), request->message);
        failed_count++;
    }
    if (++completed_count == COUNT)
        rdrive_connection_close(connection, NULL);
}

static void on_state(struct rdrive_connection *changed, enum rdrive_connection_state state)
{
    if (state == RDRIVE_CONNECTION_WAITING)
        fprintf(stderr, "no connection: %s\n", rdrive_connection_error(changed));
}

static void submit(int number)
{
    char key[32];
    snprintf(key, sizeof key, "number-%d", number);
    requests[number] = (struct rdrive_request){
        .operation = RDRIVE_OP_WRITE,
        .on_complete = on_written,
        .key = rdrive_key_of_string(key),
        .value = key,
        .value_len = strlen(key),
        .timeout_ms = 10000,
    };
    enum rdrive_status status = rdrive_submit(connection, &requests[number]);
    if (status == RDRIVE_OK)
        return;
    requests[number].status = status; /* it was not taken, so nobody else will say so */
    on_written(&requests[number]);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN); /* libuv raises it where the server has gone away */
    uv_loop_t loop;
    if (uv_loop_init(&loop) != 0)
        return 1;
    struct rdrive_connection_options options = {
        .server = argc > 1 ? argv[1] : NULL, .reconnect = true, .on_state = on_state};
    if (rdrive_connection_create(&loop, &options, &connection) != RDRIVE_OK) {
        fprintf(stderr, "%s is not HOST:PORT\n", argv[1]);
        return 2;
    }
    for (int i = 0; i < COUNT; i++)
        submit(i);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    printf("%d written, %d failed\n", completed_count - failed_count, failed_count);
    return failed_count != 0;
}
