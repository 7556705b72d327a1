/* SPDX-License-Identifier: MIT
 *
 * test_async.c - the asynchronous face against a server of the test's own, on a thread of its own, which speaks
 * the protocol through the server's codec and misbehaves as it is told. What is shown above all: every request
 * that was taken completes exactly once.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clients/c/rdrive_async.h"
#include "tests/support/fake.h"

#define VALUE_LEN FAKE_VALUE_LEN

/* ---- a client on a loop ----------------------------------------------------------------------------------- */

#define REQUEST_COUNT_MAX 2000u

struct client {
    uv_loop_t loop;
    struct rdrive_connection *connection;
    struct rdrive_request requests[REQUEST_COUNT_MAX];
    uint32_t completed[REQUEST_COUNT_MAX]; /* how often */
    uint32_t submitted_count;
    uint32_t completed_count;
    uint32_t status_counts[1100];
    uint32_t open_count;     /* how often the connection opened */
    uint32_t waiting_count;  /* ... and waited */
    uint32_t close_at;       /* completions after which the connection is closed; 0: after all of them */
    bool closed;             /* on_closed came */
    bool in_call;            /* a call of ours is under way: nothing may complete in it */
    uint64_t pushed_len;     /* bytes of the upload */
    uint64_t received_len;   /* bytes of the download */
    uint64_t give_up_at;     /* of either, bytes; 0: never */
    uint32_t resubmit_count; /* so many more are submitted from completions */
};

static void on_closed(void *data)
{
    ((struct client *)data)->closed = true;
}

static void close_connection(struct client *client)
{
    if (client->connection == NULL)
        return;
    client->in_call = true;
    rdrive_connection_close(client->connection, on_closed);
    client->in_call = false;
    client->connection = NULL;
}

static void on_state(struct rdrive_connection *connection, enum rdrive_connection_state state)
{
    struct client *client = rdrive_connection_data(connection);
    assert_false(client->in_call);
    assert_int_equal(rdrive_connection_state(connection), state);
    client->open_count += state == RDRIVE_CONNECTION_OPEN;
    client->waiting_count += state == RDRIVE_CONNECTION_WAITING;
    if (state == RDRIVE_CONNECTION_WAITING)
        assert_string_not_equal(rdrive_connection_error(connection), "");
}

static void submit(struct client *client, enum rdrive_operation operation);

static void on_complete(struct rdrive_request *request)
{
    struct client *client = request->data;
    assert_false(client->in_call);
    client->completed[request - client->requests]++;
    client->completed_count++;
    client->status_counts[request->status]++;
    assert_int_equal(request->message[0] == '\0', request->status == RDRIVE_OK);
    rdrive_request_free_results(request);
    if (client->resubmit_count != 0 && client->connection != NULL) {
        client->resubmit_count--;
        submit(client, RDRIVE_OP_PING);
    }
    if (client->completed_count == client->submitted_count || client->completed_count == client->close_at)
        close_connection(client);
}

static void on_room(struct rdrive_request *request)
{
    static const uint8_t bytes[200000];
    struct client *client = request->data;
    if (client->give_up_at != 0 && client->pushed_len >= client->give_up_at) {
        rdrive_stream_abort(request);
        return;
    }
    while (client->pushed_len < VALUE_LEN) {
        size_t left = VALUE_LEN - (size_t)client->pushed_len;
        size_t len = left < sizeof bytes ? left : sizeof bytes;
        size_t taken = rdrive_stream_push(request, bytes, len);
        client->pushed_len += taken;
        if (taken < len)
            return;
    }
    rdrive_stream_end(request);
}

static void on_chunk(struct rdrive_request *request, const void *bytes, size_t len)
{
    (void)bytes;
    struct client *client = request->data;
    bool backup = request->operation == RDRIVE_OP_BACKUP;
    assert_int_equal(backup ? request->result.backup.len : request->result.part.len, VALUE_LEN);
    client->received_len += len;
    if (client->give_up_at != 0 && client->received_len >= client->give_up_at)
        rdrive_stream_abort(request);
    else
        rdrive_stream_taken(request, len);
}

static void submit(struct client *client, enum rdrive_operation operation)
{
    struct rdrive_request *request = &client->requests[client->submitted_count];
    assert_true(client->submitted_count < REQUEST_COUNT_MAX);
    *request = (struct rdrive_request){
        .operation = operation,
        .on_complete = on_complete,
        .on_room = on_room,
        .on_chunk = on_chunk,
        .data = client,
        .key = rdrive_key_of_string("key"),
        .value = "value",
        .value_len = 5,
    };
    bool outer = client->in_call;
    client->in_call = true;
    assert_int_equal(rdrive_submit(client->connection, request), RDRIVE_OK);
    client->in_call = outer;
    client->submitted_count++;
}

static struct client *open_client(const struct fake_server *fake, bool reconnect, uint32_t timeout_ms)
{
    struct client *client = calloc(1, sizeof *client);
    assert_non_null(client);
    assert_int_equal(uv_loop_init(&client->loop), 0);
    char server[32];
    snprintf(server, sizeof server, "127.0.0.1:%d", fake->port);
    struct rdrive_connection_options options = {.server = server,
                                                .request_timeout_ms = timeout_ms,
                                                .connect_timeout_ms = timeout_ms,
                                                .reconnect = reconnect,
                                                .reconnect_min_ms = 5,
                                                .reconnect_max_ms = 20,
                                                .on_state = on_state,
                                                .data = client};
    assert_int_equal(rdrive_connection_create(&client->loop, &options, &client->connection), RDRIVE_OK);
    return client;
}

/* Runs until the connection is closed, and sees to it that each request completed exactly once. */
static void run(struct client *client)
{
    assert_int_equal(uv_run(&client->loop, UV_RUN_DEFAULT), 0);
    assert_true(client->closed);
    assert_int_equal(client->completed_count, client->submitted_count);
    for (uint32_t i = 0; i < client->submitted_count; i++)
        assert_int_equal(client->completed[i], 1);
    assert_int_equal(uv_loop_close(&client->loop), 0);
}

static const enum rdrive_operation plain[] = {RDRIVE_OP_WRITE, RDRIVE_OP_READ, RDRIVE_OP_PING, RDRIVE_OP_DELETE,
                                              RDRIVE_OP_EXISTS};

static void submit_many(struct client *client, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        submit(client, plain[i % 5]);
}

/* ---- tests ------------------------------------------------------------------------------------------------ */

static void check_manner(enum fake_manner manner, bool reconnect, uint32_t timeout_ms, uint32_t ok_count,
                         enum rdrive_status otherwise)
{
    struct fake_server fake = {.manner = manner};
    fake_start(&fake);
    struct client *client = open_client(&fake, reconnect, timeout_ms);
    submit_many(client, 100);
    run(client);
    fake_stop(&fake);
    assert_int_equal(client->status_counts[RDRIVE_OK], ok_count);
    assert_int_equal(client->status_counts[otherwise], 100 - ok_count);
    free(client);
}

static void test_many_requests_on_one_connection(void **state)
{
    (void)state;
    check_manner(FAKE_GOOD, false, 30000, 100, RDRIVE_TIMEOUT);
    check_manner(FAKE_DRIBBLE, false, 30000, 100, RDRIVE_TIMEOUT);
}

static void test_a_server_that_goes_away(void **state)
{
    (void)state;
    check_manner(FAKE_CLOSE_ON_TENTH, false, 30000, 9, RDRIVE_CONNECTION_LOST);
    check_manner(FAKE_HALF_ON_TENTH, false, 30000, 9, RDRIVE_CONNECTION_LOST);
    check_manner(FAKE_CLOSE_ON_TENTH, true, 30000, 9, RDRIVE_CONNECTION_LOST);
    check_manner(FAKE_HALF_ON_TENTH, true, 30000, 9, RDRIVE_CONNECTION_LOST);
}

static void test_a_server_that_talks_nonsense(void **state)
{
    (void)state;
    check_manner(FAKE_GARBAGE, false, 30000, 9, RDRIVE_CONNECTION_LOST);
    check_manner(FAKE_FOREIGN_ID, false, 30000, 0, RDRIVE_CONNECTION_LOST);
    check_manner(FAKE_OTHER_OPCODE, false, 30000, 0, RDRIVE_CONNECTION_LOST);
}

static void test_a_server_that_says_nothing(void **state)
{
    (void)state;
    check_manner(FAKE_SILENT, false, 100, 0, RDRIVE_TIMEOUT);
    check_manner(FAKE_SILENT, true, 100, 0, RDRIVE_TIMEOUT);
    check_manner(FAKE_MUTE, true, 100, 0, RDRIVE_TIMEOUT);
}

static void test_a_server_that_is_not_there(void **state)
{
    (void)state;
    struct fake_server fake = {.manner = FAKE_GOOD};
    fake_start(&fake);
    fake_stop(&fake); /* nobody listens on the port any more */
    struct client *client = open_client(&fake, false, 30000);
    submit_many(client, 10);
    run(client);
    assert_int_equal(client->status_counts[RDRIVE_UNAVAILABLE], 10);
    free(client);
    client = open_client(&fake, true, 100);
    submit_many(client, 10);
    run(client);
    assert_int_equal(client->status_counts[RDRIVE_TIMEOUT], 10);
    assert_true(client->waiting_count > 1);
    free(client);
}

static void test_a_server_that_refuses_the_hello(void **state)
{
    (void)state;
    check_manner(FAKE_REFUSE_HELLO, false, 30000, 0, RDRIVE_UNAVAILABLE);
    check_manner(FAKE_REFUSE_HELLO, true, 100, 0, RDRIVE_TIMEOUT);
}

static void test_requests_after_a_new_connection(void **state)
{
    (void)state;
    struct fake_server fake = {.manner = FAKE_CLOSE_ON_TENTH};
    fake_start(&fake);
    struct client *client = open_client(&fake, true, 30000);
    client->resubmit_count = 200; /* some of them while there is no connection */
    submit_many(client, 20);
    run(client);
    fake_stop(&fake);
    assert_int_equal(client->submitted_count, 220);
    assert_int_equal(client->status_counts[RDRIVE_OK] + client->status_counts[RDRIVE_CONNECTION_LOST], 220);
    assert_in_range(client->status_counts[RDRIVE_CONNECTION_LOST], 1, 40);
    assert_int_equal(client->open_count, 2);
    assert_int_equal(client->waiting_count, 1);
    assert_int_equal(fake.connection_count, 2);
    free(client);
}

static void test_closing_with_requests_pending(void **state)
{
    (void)state;
    struct fake_server fake = {.manner = FAKE_GOOD};
    fake_start(&fake);
    struct client *client = open_client(&fake, true, 30000);
    submit_many(client, 100);
    client->close_at = 30; /* in the middle of what one read brought */
    run(client);
    fake_stop(&fake);
    assert_int_equal(client->status_counts[RDRIVE_OK], 30);
    assert_int_equal(client->status_counts[RDRIVE_CONNECTION_LOST], 70);
    free(client);
}

static void test_closing_at_once(void **state)
{
    (void)state;
    struct fake_server fake = {.manner = FAKE_GOOD};
    fake_start(&fake);
    struct client *client = open_client(&fake, true, 30000);
    submit_many(client, 10);
    close_connection(client);
    assert_int_equal(client->completed_count, 0); /* not inside the call */
    run(client);
    fake_stop(&fake);
    assert_int_equal(client->status_counts[RDRIVE_CONNECTION_LOST], 10);
    free(client);
}

static void test_bounds(void **state)
{
    (void)state;
    struct fake_server fake = {.manner = FAKE_GOOD};
    fake_start(&fake);
    struct client *client = open_client(&fake, true, 30000);
    close_connection(client);
    run(client);
    free(client);
    client = calloc(1, sizeof *client);
    assert_non_null(client);
    assert_int_equal(uv_loop_init(&client->loop), 0);
    char server[32];
    snprintf(server, sizeof server, "127.0.0.1:%d", fake.port);
    struct rdrive_connection_options options = {
        .server = server, .unsent_bytes_max = 1000, .request_count_max = 5, .data = client};
    assert_int_equal(rdrive_connection_create(&client->loop, &options, &client->connection), RDRIVE_OK);
    static const uint8_t value[2000];
    struct rdrive_request big = {.operation = RDRIVE_OP_WRITE,
                                 .on_complete = on_complete,
                                 .data = client,
                                 .key = rdrive_key_of_string("k"),
                                 .value = value,
                                 .value_len = 600};
    submit(client, RDRIVE_OP_PING);
    client->requests[1] = big;
    assert_int_equal(rdrive_submit(client->connection, &client->requests[1]), RDRIVE_OK);
    client->submitted_count++;
    assert_int_equal(rdrive_submit(client->connection, &client->requests[1]), RDRIVE_INVALID_ARGUMENT); /* twice */
    assert_int_equal(rdrive_submit(client->connection, &big), RDRIVE_OVERLOADED);
    assert_string_not_equal(big.message, "");
    submit_many(client, 3);
    struct rdrive_request small = {.operation = RDRIVE_OP_PING, .on_complete = on_complete, .data = client};
    assert_int_equal(rdrive_submit(client->connection, &small), RDRIVE_OVERLOADED); /* the sixth */
    small.operation = (enum rdrive_operation)0x77;
    assert_int_equal(rdrive_submit(client->connection, &small), RDRIVE_INVALID_ARGUMENT);
    run(client);
    fake_stop(&fake);
    assert_int_equal(client->status_counts[RDRIVE_OK], 5);
    free(client);
}

/* Who reads as many values as there were keys must find them. */
static void test_a_batch_of_another_length(void **state)
{
    (void)state;
    const struct rdrive_key keys[] = {rdrive_key_of_string("a"), rdrive_key_of_string("b")};
    struct fake_server fake = {.manner = FAKE_GOOD}; /* answers none */
    fake_start(&fake);
    struct client *client = open_client(&fake, false, 30000);
    client->requests[0] = (struct rdrive_request){
        .operation = RDRIVE_OP_BATCH_READ, .on_complete = on_complete, .data = client, .keys = keys, .count = 2};
    assert_int_equal(rdrive_submit(client->connection, &client->requests[0]), RDRIVE_OK);
    client->submitted_count++;
    run(client);
    fake_stop(&fake);
    assert_int_equal(client->status_counts[RDRIVE_CONNECTION_LOST], 1);
    free(client);
}

static void on_too_large(struct rdrive_request *request)
{
    assert_int_equal(request->status, RDRIVE_TOO_LARGE);
    assert_non_null(strstr(request->message, "longer than the server takes"));
    on_complete(request);
}

/* What a server takes is known once it has said hello. */
static void test_one_that_waited_and_is_too_long(void **state)
{
    (void)state;
    struct fake_server fake = {.manner = FAKE_GOOD};
    fake_start(&fake);
    struct client *client = open_client(&fake, false, 30000);
    size_t value_len = (size_t)81 << 20; /* a MiB more than it takes */
    void *value = calloc(1, value_len);
    assert_non_null(value);
    client->requests[0] = (struct rdrive_request){.operation = RDRIVE_OP_WRITE,
                                                  .on_complete = on_too_large,
                                                  .data = client,
                                                  .key = rdrive_key_of_string("key"),
                                                  .value = value,
                                                  .value_len = value_len};
    assert_int_equal(rdrive_submit(client->connection, &client->requests[0]), RDRIVE_OK);
    free(value);
    client->submitted_count++;
    run(client);
    fake_stop(&fake);
    assert_int_equal(client->open_count, 1);
    free(client);
}

static void check_stream(enum fake_manner manner, enum rdrive_operation operation, uint64_t give_up_at,
                         enum rdrive_status expected, uint64_t len_expected)
{
    struct fake_server fake = {.manner = manner};
    fake_start(&fake);
    struct client *client = open_client(&fake, false, 30000);
    client->give_up_at = give_up_at;
    submit(client, operation);
    submit_many(client, 20); /* a stream is in nobody's way */
    run(client);
    fake_stop(&fake);
    assert_int_equal(client->requests[0].status, expected);
    if (operation == RDRIVE_OP_WRITE_STREAM && len_expected != 0)
        assert_int_equal(fake.uploaded_len, len_expected);
    if (operation != RDRIVE_OP_WRITE_STREAM && len_expected != 0)
        assert_int_equal(client->received_len, len_expected);
    if (operation == RDRIVE_OP_BACKUP && expected == RDRIVE_OK)
        assert_int_equal(client->requests[0].result.backup.generation, FAKE_GENERATION);
    if (manner == FAKE_GOOD)
        assert_int_equal(fake.aborted, expected == RDRIVE_ABORTED);
    free(client);
}

static void test_uploads(void **state)
{
    (void)state;
    check_stream(FAKE_GOOD, RDRIVE_OP_WRITE_STREAM, 0, RDRIVE_OK, VALUE_LEN);
    check_stream(FAKE_GOOD, RDRIVE_OP_WRITE_STREAM, 1 << 20, RDRIVE_ABORTED, 0);
    check_stream(FAKE_REFUSE_STREAM, RDRIVE_OP_WRITE_STREAM, 0, RDRIVE_NO_SPACE, 0);
}

static void test_downloads(void **state)
{
    (void)state;
    check_stream(FAKE_GOOD, RDRIVE_OP_READ_STREAM, 0, RDRIVE_OK, VALUE_LEN);
    check_stream(FAKE_GOOD, RDRIVE_OP_READ_STREAM, 1 << 20, RDRIVE_ABORTED, 0);
    check_stream(FAKE_BREAK_DOWNLOAD, RDRIVE_OP_READ_STREAM, 0, RDRIVE_CORRUPT, VALUE_LEN);
    check_stream(FAKE_GOOD, RDRIVE_OP_BACKUP, 0, RDRIVE_OK, VALUE_LEN);
    check_stream(FAKE_GOOD, RDRIVE_OP_BACKUP, 1 << 20, RDRIVE_ABORTED, 0);
    check_stream(FAKE_BREAK_DOWNLOAD, RDRIVE_OP_BACKUP, 0, RDRIVE_CORRUPT, VALUE_LEN);
}

static void test_downloads_of_another_length(void **state)
{
    (void)state;
    const enum fake_manner manners[] = {FAKE_CUT_DOWNLOAD, FAKE_LONG_DOWNLOAD};
    for (size_t i = 0; i < sizeof manners / sizeof manners[0]; i++) {
        struct fake_server fake = {.manner = manners[i]};
        fake_start(&fake);
        struct client *client = open_client(&fake, false, 30000);
        submit(client, RDRIVE_OP_READ_STREAM);
        run(client);
        fake_stop(&fake);
        assert_int_equal(client->requests[0].status, RDRIVE_CONNECTION_LOST);
        assert_in_range(client->received_len, 1, VALUE_LEN);
        free(client);
    }
}

static void test_streams_time_out(void **state)
{
    (void)state;
    struct fake_server fake = {.manner = FAKE_SILENT};
    fake_start(&fake);
    struct client *client = open_client(&fake, false, 100);
    submit(client, RDRIVE_OP_READ_STREAM);
    submit(client, RDRIVE_OP_WRITE_STREAM);
    run(client);
    fake_stop(&fake);
    assert_int_equal(client->status_counts[RDRIVE_TIMEOUT], 2);
    free(client);
}

static void test_addresses(void **state)
{
    (void)state;
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    struct rdrive_connection *connection = NULL;
    char path[300];
    memset(path, 'p', sizeof path);
    path[sizeof path - 1] = '\0';
    const struct rdrive_connection_options wrong[] = {
        {.server = "nowhere"}, {.server = "::1:80"}, {.unix_path = path}, {.unix_path = ""}, {.store = path}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(rdrive_connection_create(&loop, &wrong[i], &connection), RDRIVE_INVALID_ARGUMENT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN); /* as rdrive_async.h tells its users: the servers here go away */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_requests_on_one_connection),
        cmocka_unit_test(test_a_server_that_goes_away),
        cmocka_unit_test(test_a_server_that_talks_nonsense),
        cmocka_unit_test(test_a_server_that_says_nothing),
        cmocka_unit_test(test_a_server_that_is_not_there),
        cmocka_unit_test(test_a_server_that_refuses_the_hello),
        cmocka_unit_test(test_requests_after_a_new_connection),
        cmocka_unit_test(test_closing_with_requests_pending),
        cmocka_unit_test(test_closing_at_once),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_a_batch_of_another_length),
        cmocka_unit_test(test_one_that_waited_and_is_too_long),
        cmocka_unit_test(test_uploads),
        cmocka_unit_test(test_downloads),
        cmocka_unit_test(test_downloads_of_another_length),
        cmocka_unit_test(test_streams_time_out),
        cmocka_unit_test(test_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
