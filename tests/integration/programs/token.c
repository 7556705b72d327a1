/* SPDX-License-Identifier: MIT
 *
 * token.c - a token through the client library, for test_token_clients.py.
 *
 *   token HOST:PORT STORE blocking|async TOKEN|-
 *
 * Creates a client with the token (-: none), reads the key k and writes it, and prints a line for each: the
 * operation, its status, its message.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rdrive.h>
#include <rdrive_async.h>

static void say(const char *operation, enum rdrive_status status, const char *message)
{
    printf("%s %s %s\n", operation, rdrive_status_name(status), message != NULL ? message : "");
}

static int run_blocking(const char *server, const char *store, const char *token)
{
    struct rdrive_options options = {.server = server, .store = store, .token = token};
    struct rdrive_client *client;
    enum rdrive_status status = rdrive_client_create(&options, &client);
    if (status != RDRIVE_OK) {
        say("create", status, NULL);
        return 0;
    }
    struct rdrive_value value;
    status = rdrive_read(client, rdrive_key_of_string("k"), &value);
    say("read", status, rdrive_last_error(client));
    if (status == RDRIVE_OK)
        rdrive_value_free(&value);
    status = rdrive_write(client, rdrive_key_of_string("k"), "new", 3, NULL, NULL);
    say("write", status, rdrive_last_error(client));
    rdrive_client_destroy(client);
    return 0;
}

static unsigned to_come = 2;

static void on_complete(struct rdrive_request *request)
{
    struct rdrive_connection *connection = request->data;
    say(rdrive_operation_name(request->operation), request->status, request->message);
    rdrive_request_free_results(request);
    if (--to_come == 0)
        rdrive_connection_close(connection, NULL);
}

static int run_async(const char *server, const char *store, const char *token)
{
    uv_loop_t loop;
    struct rdrive_connection_options options = {.server = server, .store = store, .token = token};
    struct rdrive_connection *connection;
    if (uv_loop_init(&loop) != 0)
        return 1;
    enum rdrive_status status = rdrive_connection_create(&loop, &options, &connection);
    if (status != RDRIVE_OK) {
        say("create", status, NULL);
        return uv_loop_close(&loop) != 0;
    }
    struct rdrive_request read = {.operation = RDRIVE_OP_READ, .on_complete = on_complete, .data = connection};
    struct rdrive_request write = {.operation = RDRIVE_OP_WRITE, .on_complete = on_complete, .data = connection};
    read.key = rdrive_key_of_string("k");
    write.key = rdrive_key_of_string("k");
    write.value = "new";
    write.value_len = 3;
    if (rdrive_submit(connection, &read) != RDRIVE_OK || rdrive_submit(connection, &write) != RDRIVE_OK)
        return 1;
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop) != 0;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    const char *token = strcmp(argv[4], "-") != 0 ? argv[4] : NULL;
    return strcmp(argv[3], "async") == 0 ? run_async(argv[1], argv[2], token)
                                         : run_blocking(argv[1], argv[2], token);
}
