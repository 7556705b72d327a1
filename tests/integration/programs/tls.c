/* SPDX-License-Identifier: MIT
 *
 * tls.c - the C client over TLS, one face at a time: `tls blocking|async SERVER CA VALUE_LEN` writes a value of
 * that length, reads it back and compares. Prints "same", or what went wrong. CA "-": the system's.
 */
#include <inttypes.h>
#include <rdrive.h>
#include <rdrive_async.h>
#include <stdio.h>
#include <stdlib.h>

struct run {
    struct rdrive_connection *connection;
    struct rdrive_request request;
    uint8_t *value;
    size_t value_len;
    bool same;
    char failure[512];
};

static void fail(struct run *run, enum rdrive_status status, const char *message)
{
    snprintf(run->failure, sizeof run->failure, "%s: %s", rdrive_status_name(status), message);
}

static void compare(struct run *run, const struct rdrive_value *read)
{
    run->same = read->len == run->value_len && memcmp(read->data, run->value, read->len) == 0;
}

static void run_blocking(struct run *run, const char *server, const char *ca)
{
    struct rdrive_options options = {.server = server, .tls = true, .tls_ca = ca};
    struct rdrive_client *client;
    struct rdrive_value read;
    struct rdrive_key key = rdrive_key_of_string("k");
    enum rdrive_status status = rdrive_client_create(&options, &client);
    if (status != RDRIVE_OK) {
        fail(run, status, "");
        return;
    }
    status = rdrive_write(client, key, run->value, run->value_len, NULL, NULL);
    if (status == RDRIVE_OK)
        status = rdrive_read(client, key, &read);
    if (status != RDRIVE_OK) {
        fail(run, status, rdrive_last_error(client));
    } else {
        compare(run, &read);
        rdrive_value_free(&read);
    }
    /* A connection that has waited is used again. */
    if (status == RDRIVE_OK && rdrive_ping(client) != RDRIVE_OK)
        fail(run, RDRIVE_IO_ERROR, rdrive_last_error(client));
    rdrive_client_destroy(client);
}

static void on_read(struct rdrive_request *request)
{
    struct run *run = request->data;
    enum rdrive_status status = request->status;
    if (status == RDRIVE_OK)
        compare(run, &request->result.value);
    else
        fail(run, status, rdrive_connection_error(run->connection));
    rdrive_request_free_results(request);
    rdrive_connection_close(run->connection, NULL);
}

static void on_written(struct rdrive_request *request)
{
    struct run *run = request->data;
    enum rdrive_status status = request->status;
    if (status != RDRIVE_OK) {
        fail(run, status, rdrive_connection_error(run->connection));
        rdrive_connection_close(run->connection, NULL);
        return;
    }
    *request = (struct rdrive_request){
        .operation = RDRIVE_OP_READ, .key = rdrive_key_of_string("k"), .on_complete = on_read, .data = run};
    if (rdrive_submit(run->connection, request) != RDRIVE_OK)
        abort();
}

static void run_async(struct run *run, const char *server, const char *ca)
{
    uv_loop_t loop;
    struct rdrive_connection_options options = {.server = server, .tls = true, .tls_ca = ca, .data = run};
    options.unsent_bytes_max = 256u << 20;
    if (uv_loop_init(&loop) != 0 || rdrive_connection_create(&loop, &options, &run->connection) != RDRIVE_OK)
        abort();
    run->request = (struct rdrive_request){.operation = RDRIVE_OP_WRITE,
                                           .key = rdrive_key_of_string("k"),
                                           .value = run->value,
                                           .value_len = run->value_len,
                                           .on_complete = on_written,
                                           .data = run};
    if (rdrive_submit(run->connection, &run->request) != RDRIVE_OK)
        abort();
    uv_run(&loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&loop) != 0)
        abort();
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    struct run run = {.value_len = strtoul(argv[4], NULL, 10)};
    const char *ca = strcmp(argv[3], "-") == 0 ? NULL : argv[3];
    run.value = malloc(run.value_len);
    if (run.value == NULL)
        return 2;
    for (size_t i = 0; i < run.value_len; i++)
        run.value[i] = (uint8_t)(i * 2654435761u >> 13);
    if (strcmp(argv[1], "async") == 0)
        run_async(&run, argv[2], ca);
    else
        run_blocking(&run, argv[2], ca);
    puts(run.failure[0] != '\0' ? run.failure : run.same ? "same" : "not the same");
    free(run.value);
    return run.failure[0] == '\0' && run.same ? 0 : 1;
}
