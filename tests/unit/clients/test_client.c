/* SPDX-License-Identifier: MIT
 *
 * test_client.c - the blocking client against a small server of the test's own, which speaks the protocol through
 * the server's codec, one connection after another, and misbehaves as it is told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "clients/c/rdrive.h"
#include "protocol/binary.h"

enum manner {
    MANNER_GOOD,
    MANNER_DRIBBLE,  /* sends every answer byte by byte */
    MANNER_HANG_UP,  /* closes instead of the first answer; good on the next connection */
    MANNER_SILENT,   /* answers the hello and nothing else */
    MANNER_MUTE,     /* accepts, says nothing */
    MANNER_OTHER_ID, /* answers another request than was asked */
    MANNER_OTHER_OPCODE,
    MANNER_OTHER_VERSION, /* refuses the hello */
    MANNER_HTTP,          /* is no rdrive server at all */
    MANNER_CLOSE_AFTER    /* answers well, then closes */
};

struct fake {
    enum manner manner;
    int listen_fd;
    int port;
    pthread_t thread;
    size_t connection_count; /* written by the thread; read after the join, or between calls that wait for it */
    uint32_t body_len_max;   /* what the hello states, bytes */
    struct rd_response response; /* what every request is answered with */
    struct rd_request *last;     /* owned; what was asked last */
};

static void send_all(int fd, const struct rd_buffer *bytes, bool dribble)
{
    size_t done = 0;
    while (done < bytes->len) {
        ssize_t sent = send(fd, bytes->data + done, dribble ? 1 : bytes->len - done, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        done += (size_t)sent;
    }
}

/* False: the connection ends here. */
static bool answer(struct fake *fake, int fd, struct rd_request *request)
{
    struct rd_response response = fake->response;
    if (request->opcode == RD_OPCODE_HELLO) {
        response = (struct rd_response){.status = RD_OK, .limits = RD_LIMITS_DEFAULT};
        response.limits.body_len_max = fake->body_len_max;
        if (fake->manner == MANNER_OTHER_VERSION)
            response = (struct rd_response){.status = RD_UNSUPPORTED, .message = "version 7 only"};
    } else if (fake->manner == MANNER_SILENT) {
        return true;
    } else if (fake->manner == MANNER_HANG_UP && fake->connection_count == 1) {
        return false;
    }
    if (fake->manner == MANNER_OTHER_ID)
        request->id++;
    if (fake->manner == MANNER_OTHER_OPCODE && request->opcode == RD_OPCODE_READ)
        request->opcode = RD_OPCODE_PING;
    struct rd_buffer out;
    rd_buffer_init(&out, 0);
    size_t follow_len = rd_binary_codec.encode(request, &response, &out);
    rd_buffer_append(&out, response.value.data, follow_len);
    send_all(fd, &out, fake->manner == MANNER_DRIBBLE);
    rd_buffer_deinit(&out);
    return fake->manner != MANNER_CLOSE_AFTER || request->opcode == RD_OPCODE_HELLO;
}

static void serve(struct fake *fake, int fd)
{
    struct rd_limits limits = RD_LIMITS_DEFAULT;
    struct rd_decoder *decoder = rd_binary_codec.create(&limits);
    uint8_t bytes[4096];
    bool goes_on = decoder != NULL;
    while (goes_on) {
        ssize_t got = recv(fd, bytes, sizeof bytes, 0);
        if (got <= 0)
            break;
        struct rd_slice input = rd_slice(bytes, (size_t)got);
        struct rd_request *request;
        while (goes_on && rd_binary_codec.decode(decoder, &input, &request) == RD_DECODE_REQUEST) {
            if (fake->manner != MANNER_MUTE)
                goes_on = answer(fake, fd, request);
            rd_request_destroy(fake->last);
            fake->last = request;
        }
    }
    rd_binary_codec.destroy(decoder);
}

static void *run_fake(void *argument)
{
    struct fake *fake = argument;
    for (;;) {
        int fd = accept(fake->listen_fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        fake->connection_count++;
        if (fake->manner == MANNER_HTTP)
            (void)send(fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28, MSG_NOSIGNAL);
        serve(fake, fd);
        close(fd);
    }
}

static void start(struct fake *fake, const char *unix_path)
{
    if (fake->body_len_max == 0)
        fake->body_len_max = 80u << 20;
    fake->listen_fd = socket(unix_path != NULL ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fake->listen_fd >= 0);
    if (unix_path != NULL) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        snprintf(address.sun_path, sizeof address.sun_path, "%s", unix_path);
        assert_int_equal(bind(fake->listen_fd, (struct sockaddr *)&address, sizeof address), 0);
    } else {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof address;
        assert_int_equal(bind(fake->listen_fd, (struct sockaddr *)&address, sizeof address), 0);
        assert_int_equal(getsockname(fake->listen_fd, (struct sockaddr *)&address, &len), 0);
        fake->port = ntohs(address.sin_port);
    }
    assert_int_equal(listen(fake->listen_fd, 8), 0);
    assert_int_equal(pthread_create(&fake->thread, NULL, run_fake, fake), 0);
}

/* The thread is gone afterwards, and what it kept is the test's. */
static void stop(struct fake *fake)
{
    shutdown(fake->listen_fd, SHUT_RDWR); /* wakes accept */
    pthread_join(fake->thread, NULL);
    close(fake->listen_fd);
}

static void finish(struct fake *fake)
{
    rd_request_destroy(fake->last);
}

static struct rdrive_client *connect_to(const struct fake *fake, uint32_t request_timeout_ms)
{
    char server[32];
    snprintf(server, sizeof server, "127.0.0.1:%d", fake->port);
    struct rdrive_options options = {.server = server,
                                     .store = "photos",
                                     .request_timeout_ms = request_timeout_ms,
                                     .connect_timeout_ms = request_timeout_ms};
    struct rdrive_client *client = NULL;
    assert_int_equal(rdrive_client_create(&options, &client), RDRIVE_OK);
    return client;
}

static void test_a_write_carries_its_value_and_comes_back_with_its_numbers(void **state)
{
    (void)state;
    static uint8_t value[3000000];
    memset(value, 'v', sizeof value);
    struct fake fake = {.manner = MANNER_DRIBBLE,
                        .response = {.offset = 64,
                                     .tail = 128,
                                     .crc32 = 7,
                                     .key_hash = 9,
                                     .replaced = true,
                                     .durability = RD_MESSAGE_DURABILITY_INTERVAL,
                                     .durability_interval_ms = 250}};
    start(&fake, NULL);
    struct rdrive_client *client = connect_to(&fake, 10000);
    struct rdrive_written written;
    assert_int_equal(rdrive_write(client, rdrive_key_of_bytes("a\0b", 3), value, sizeof value,
                                  &(struct rdrive_write_options){.durability = RDRIVE_DURABILITY_NONE}, &written),
                     RDRIVE_OK);
    assert_int_equal(written.offset, 64);
    assert_int_equal(written.tail, 128);
    assert_int_equal(written.crc32, 7);
    assert_int_equal(written.key_hash, 9);
    assert_int_equal(written.count, 1);
    assert_true(written.replaced);
    assert_int_equal(written.durability, RDRIVE_DURABILITY_INTERVAL);
    assert_int_equal(written.durability_interval_ms, 250);
    assert_string_equal(rdrive_last_error(client), "");
    rdrive_client_destroy(client);
    stop(&fake);
    assert_int_equal(fake.connection_count, 1);
    finish(&fake);
}

static void test_requests_say_what_the_call_said(void **state)
{
    (void)state;
    struct fake fake = {.manner = MANNER_GOOD, .response = {.count = 2, .tail = 5}};
    start(&fake, NULL);
    struct rdrive_client *client = connect_to(&fake, 10000);
    struct rdrive_entry entries[] = {{rdrive_key_of_string("one"), "1", 1}, {rdrive_key_of_hash(77), "\0", 1}};
    struct rdrive_written written;
    assert_int_equal(rdrive_batch_write(client, entries, 2, true,
                                        &(struct rdrive_write_options){.durability = RDRIVE_DURABILITY_SYNC},
                                        &written),
                     RDRIVE_OK);
    assert_int_equal(written.count, 2);
    rdrive_client_destroy(client);
    stop(&fake);
    assert_int_equal(fake.last->opcode, RD_OPCODE_BATCH_WRITE);
    assert_true(fake.last->allow_null_bytes);
    assert_int_equal(fake.last->durability, RD_MESSAGE_DURABILITY_SYNC);
    assert_int_equal(fake.last->item_count, 2);
    assert_memory_equal(fake.last->items[0].key.bytes.data, "one", 3);
    assert_int_equal(fake.last->items[1].key.hash, 77);
    finish(&fake);
}

static void test_a_read_owns_its_value_beyond_the_next_call(void **state)
{
    (void)state;
    static uint8_t value[1000000];
    memset(value, 'r', sizeof value);
    struct fake fake = {.response = {.offset = 3, .prev_tail = 2, .value = {value, sizeof value}}};
    start(&fake, NULL);
    struct rdrive_client *client = connect_to(&fake, 10000);
    struct rdrive_value first = {.data = NULL};
    struct rdrive_value second = {.data = NULL};
    assert_int_equal(rdrive_read(client, rdrive_key_of_string("k"), &first), RDRIVE_OK);
    assert_int_equal(rdrive_read(client, rdrive_key_of_bytes(NULL, 0), &second), RDRIVE_OK);
    rdrive_client_destroy(client);
    assert_int_equal(first.len, sizeof value);
    assert_memory_equal(first.data, value, sizeof value);
    assert_memory_equal(second.data, value, sizeof value);
    assert_int_equal(first.prev_tail, 2);
    rdrive_value_free(&first);
    rdrive_value_free(&second);
    rdrive_value_free(&second);
    stop(&fake);
    assert_int_equal(fake.last->opcode, RD_OPCODE_READ);
    assert_int_equal(fake.last->store.len, 6);
    assert_non_null(fake.last->key.bytes.data);
    assert_int_equal(fake.last->key.bytes.len, 0);
    finish(&fake);
}

static void test_batches_and_walks(void **state)
{
    (void)state;
    struct rd_response_item items[3] = {
        {.status = RD_OK, .offset = 64, .len = 2, .crc32 = 5, .key_hash = 6, .value = {(const uint8_t *)"ab", 2}},
        {.status = RD_KEY_NOT_FOUND},
        {.status = RD_CORRUPT},
    };
    struct fake fake = {.response = {.items = items, .item_count = 3}};
    start(&fake, NULL);
    struct rdrive_client *client = connect_to(&fake, 10000);
    struct rdrive_key keys[3] = {rdrive_key_of_string("a"), rdrive_key_of_hash(1), rdrive_key_of_string("")};
    struct rdrive_values values;
    assert_int_equal(rdrive_batch_read(client, keys, 3, &values), RDRIVE_OK);
    assert_int_equal(values.count, 3);
    assert_memory_equal(values.items[0].data, "ab", 2);
    assert_int_equal(values.items[1].status, RDRIVE_KEY_NOT_FOUND);
    assert_int_equal(values.items[2].status, RDRIVE_CORRUPT);
    rdrive_values_free(&values);

    struct rdrive_entries entries;
    assert_int_equal(rdrive_iterate(client, 0, 0, &entries), RDRIVE_OK);
    assert_int_equal(entries.count, 3);
    assert_int_equal(entries.items[0].key_hash, 6);
    assert_int_equal(entries.items[0].len, 2);
    rdrive_entries_free(&entries);

    /* two answers to three keys */
    assert_int_equal(rdrive_batch_read(client, keys, 2, &values), RDRIVE_IO_ERROR);
    assert_string_not_equal(rdrive_last_error(client), "");
    rdrive_client_destroy(client);
    stop(&fake);
    finish(&fake);
}

static void test_stores_and_what_is_made_of_info(void **state)
{
    (void)state;
    struct rd_response_store row = {.name = {(const uint8_t *)"photos", 6},
                                    .entries = 4,
                                    .tail = 99,
                                    .file_size = 128,
                                    .dead_bytes = 3,
                                    .durability = RD_MESSAGE_DURABILITY_NONE,
                                    .state = RD_MESSAGE_STORE_FAILED,
                                    .reason = {(const uint8_t *)"because", 7},
                                    .generation = UINT64_C(0xfedcba9876543210),
                                    .batch_marker = true,
                                    .quota_bytes = 4096,
                                    .quota_entries = 7,
                                    .writes_barred = true,
                                    .compacting = true};
    struct fake fake = {.response = {.stores = &row, .store_count = 1}};
    start(&fake, NULL);
    struct rdrive_client *client = connect_to(&fake, 10000);
    struct rdrive_store_info info;
    assert_int_equal(rdrive_info(client, &info), RDRIVE_OK);
    assert_string_equal(info.name, "photos");
    assert_string_equal(info.reason, "because");
    assert_int_equal(info.state, RDRIVE_STORE_FAILED);
    assert_true(info.generation == UINT64_C(0xfedcba9876543210));
    assert_true(info.batch_marker);
    assert_int_equal(info.quota_bytes, 4096);
    assert_int_equal(info.quota_entries, 7);
    assert_true(info.read_only);
    assert_true(info.compacting);
    uint64_t number = 0;
    bool is_empty = true;
    assert_int_equal(rdrive_len(client, &number), RDRIVE_OK);
    assert_int_equal(number, 4);
    assert_int_equal(rdrive_file_size(client, &number), RDRIVE_OK);
    assert_int_equal(number, 99);
    assert_int_equal(rdrive_is_empty(client, &is_empty), RDRIVE_OK);
    assert_false(is_empty);
    struct rdrive_stores stores;
    assert_int_equal(rdrive_list_stores(client, &stores), RDRIVE_OK);
    assert_int_equal(stores.count, 1);
    rdrive_stores_free(&stores);
    assert_int_equal(rdrive_create_store(client, "{}", &info), RDRIVE_OK);
    assert_int_equal(rdrive_drop_store(client, "photos"), RDRIVE_OK);
    rdrive_client_destroy(client);
    stop(&fake);
    assert_int_equal(fake.last->opcode, RD_OPCODE_DROP);
    assert_int_equal(fake.last->confirm.len, 6);
    assert_int_equal(fake.connection_count, 1);
    finish(&fake);
}

static void test_steps_of_a_look_and_a_reopen(void **state)
{
    (void)state;
    struct rd_response_problem problems[] = {
        {.kind = RD_MESSAGE_PROBLEM_PAYLOAD, .live = true, .offset = 64, .len = 5, .key_hash = 9},
        {.kind = (enum rd_message_problem_kind)77, .offset = 1, .len = 2, .key_hash = 3}, /* of a newer server */
    };
    struct rd_response_store row = {.name = {(const uint8_t *)"photos", 6}, .entries = 4};
    struct fake fake = {.response = {.verification = {.from = 900,
                                                      .next = 128,
                                                      .entries = 7,
                                                      .bytes = 772,
                                                      .problem_count = 3,
                                                      .problems = problems,
                                                      .listed_count = 2},
                                     .stores = &row,
                                     .store_count = 1}};
    start(&fake, NULL);
    struct rdrive_client *client = connect_to(&fake, 10000);
    struct rdrive_store_info info;
    assert_int_equal(rdrive_reopen_store(client, NULL), RDRIVE_OK);
    assert_int_equal(rdrive_reopen_store(client, &info), RDRIVE_OK);
    assert_string_equal(info.name, "photos");
    struct rdrive_verification step;
    assert_int_equal(rdrive_verify(client, 900, 64, &step), RDRIVE_OK);
    assert_int_equal(step.from, 900);
    assert_int_equal(step.entries, 7);
    assert_int_equal(step.bytes, 772);
    assert_int_equal(step.problem_count, 3);
    assert_int_equal(step.listed_count, 2);
    assert_int_equal(step.problems[0].kind, RDRIVE_PROBLEM_PAYLOAD);
    assert_true(step.problems[0].live);
    assert_int_equal(step.problems[0].offset, 64);
    assert_int_equal(step.problems[0].len, 5);
    assert_int_equal(step.problems[0].key_hash, 9);
    assert_int_equal(step.problems[1].kind, 77);
    rdrive_verification_free(&step);
    rdrive_verification_free(&step);
    assert_int_equal(step.next, 128);
    rdrive_client_destroy(client);
    stop(&fake);
    assert_int_equal(fake.last->opcode, RD_OPCODE_VERIFY);
    assert_int_equal(fake.last->verify_from, 900);
    assert_int_equal(fake.last->verify_bytes_max, 64);
    finish(&fake);
}

static void test_a_refusal_keeps_the_connection_and_tells_why(void **state)
{
    (void)state;
    struct fake fake = {.response = {.status = RD_KEY_NOT_FOUND, .message = "not here"}};
    start(&fake, NULL);
    struct rdrive_client *client = connect_to(&fake, 10000);
    struct rdrive_value value = {.len = 42};
    assert_int_equal(rdrive_read(client, rdrive_key_of_string("k"), &value), RDRIVE_KEY_NOT_FOUND);
    assert_int_equal(value.len, 42); /* outputs stay as they are */
    assert_string_equal(rdrive_last_error(client), "not here");
    assert_int_equal(rdrive_ping(client), RDRIVE_KEY_NOT_FOUND);
    rdrive_client_destroy(client);
    stop(&fake);
    assert_int_equal(fake.connection_count, 1);
    finish(&fake);
}

static void test_a_lost_connection_is_an_error_once(void **state)
{
    (void)state;
    struct fake fake = {.manner = MANNER_HANG_UP};
    start(&fake, NULL);
    struct rdrive_client *client = connect_to(&fake, 10000);
    assert_int_equal(rdrive_ping(client), RDRIVE_IO_ERROR);
    assert_string_not_equal(rdrive_last_error(client), "");
    assert_int_equal(rdrive_ping(client), RDRIVE_OK);
    assert_string_equal(rdrive_last_error(client), "");
    rdrive_client_destroy(client);
    stop(&fake);
    assert_int_equal(fake.connection_count, 2);
    finish(&fake);
}

static void test_a_connection_that_was_closed_meanwhile_is_made_anew(void **state)
{
    (void)state;
    struct fake fake = {.manner = MANNER_CLOSE_AFTER};
    start(&fake, NULL);
    struct rdrive_client *client = connect_to(&fake, 10000);
    assert_int_equal(rdrive_ping(client), RDRIVE_OK);
    /* The end of the stream is on its way and may come before the next request or behind it. */
    enum rdrive_status status = rdrive_ping(client);
    assert_true(status == RDRIVE_OK || status == RDRIVE_IO_ERROR);
    rdrive_client_destroy(client);
    stop(&fake);
    finish(&fake);
}

static void test_misbehaving_servers(void **state)
{
    (void)state;
    static const struct {
        enum manner manner;
        enum rdrive_status status;
        uint32_t timeout_ms;
    } rows[] = {
        {MANNER_SILENT, RDRIVE_TIMEOUT, 50},       {MANNER_MUTE, RDRIVE_TIMEOUT, 50},
        {MANNER_OTHER_ID, RDRIVE_IO_ERROR, 10000}, {MANNER_OTHER_OPCODE, RDRIVE_IO_ERROR, 10000},
        {MANNER_HTTP, RDRIVE_IO_ERROR, 10000},     {MANNER_OTHER_VERSION, RDRIVE_UNSUPPORTED, 10000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fake fake = {.manner = rows[i].manner};
        start(&fake, NULL);
        struct rdrive_client *client = connect_to(&fake, rows[i].timeout_ms);
        struct rdrive_value value;
        assert_int_equal(rdrive_read(client, rdrive_key_of_string("k"), &value), rows[i].status);
        assert_string_not_equal(rdrive_last_error(client), "");
        rdrive_client_destroy(client);
        stop(&fake);
        finish(&fake);
    }
}

static void test_what_the_server_would_refuse_is_not_sent(void **state)
{
    (void)state;
    struct fake fake = {.body_len_max = 1000};
    start(&fake, NULL);
    struct rdrive_client *client = connect_to(&fake, 10000);
    uint8_t value[1000] = {1};
    assert_int_equal(rdrive_write(client, rdrive_key_of_string("k"), value, sizeof value, NULL, NULL),
                     RDRIVE_TOO_LARGE);
    assert_int_equal(rdrive_ping(client), RDRIVE_OK);
    rdrive_client_destroy(client);
    stop(&fake);
    assert_int_equal(fake.last->opcode, RD_OPCODE_PING);
    assert_int_equal(fake.connection_count, 1);
    finish(&fake);
}

static void test_unix_sockets(void **state)
{
    (void)state;
    char folder[] = "/tmp/rdrive-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char path[64];
    snprintf(path, sizeof path, "%s/socket", folder);
    struct rdrive_options options = {.unix_path = path};
    struct rdrive_client *client = NULL;
    assert_int_equal(rdrive_client_create(&options, &client), RDRIVE_OK);
    assert_int_equal(rdrive_client_connect(client), RDRIVE_UNAVAILABLE);
    struct fake fake = {.manner = MANNER_GOOD};
    start(&fake, path);
    assert_int_equal(rdrive_client_connect(client), RDRIVE_OK);
    assert_int_equal(rdrive_ping(client), RDRIVE_OK);
    rdrive_client_destroy(client);
    stop(&fake);
    unlink(path);
    rmdir(folder);
    finish(&fake);
}

static void test_bad_addresses_and_names(void **state)
{
    (void)state;
    static const char *const servers[] = {"", "host", ":1", "host:", "::1:7401", "[]:1", "[::1]"};
    struct rdrive_client *client = NULL;
    for (size_t i = 0; i < sizeof servers / sizeof servers[0]; i++) {
        struct rdrive_options options = {.server = servers[i]};
        assert_int_equal(rdrive_client_create(&options, &client), RDRIVE_INVALID_ARGUMENT);
    }
    struct rdrive_options options = {.server = "[::1]:1"};
    assert_int_equal(rdrive_client_create(&options, &client), RDRIVE_OK);
    assert_int_equal(rdrive_client_set_store(client, "photos"), RDRIVE_OK);
    char name[66] = {0};
    memset(name, 'n', 65);
    assert_int_equal(rdrive_client_set_store(client, name), RDRIVE_INVALID_ARGUMENT);
    assert_int_equal(rdrive_client_connect(client), RDRIVE_UNAVAILABLE);
    rdrive_client_destroy(client);
    rdrive_client_destroy(NULL);
    char path[109] = {0};
    memset(path, 'p', sizeof path - 1);
    options = (struct rdrive_options){.unix_path = path};
    assert_int_equal(rdrive_client_create(&options, &client), RDRIVE_INVALID_ARGUMENT);
    options = (struct rdrive_options){.unix_path = ""};
    assert_int_equal(rdrive_client_create(&options, &client), RDRIVE_INVALID_ARGUMENT);
    path[107] = '\0';
    options = (struct rdrive_options){.unix_path = path};
    assert_int_equal(rdrive_client_create(&options, &client), RDRIVE_OK);
    assert_int_equal(rdrive_client_connect(client), RDRIVE_UNAVAILABLE);
    rdrive_client_destroy(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_write_carries_its_value_and_comes_back_with_its_numbers),
        cmocka_unit_test(test_requests_say_what_the_call_said),
        cmocka_unit_test(test_a_read_owns_its_value_beyond_the_next_call),
        cmocka_unit_test(test_batches_and_walks),
        cmocka_unit_test(test_stores_and_what_is_made_of_info),
        cmocka_unit_test(test_steps_of_a_look_and_a_reopen),
        cmocka_unit_test(test_a_refusal_keeps_the_connection_and_tells_why),
        cmocka_unit_test(test_a_lost_connection_is_an_error_once),
        cmocka_unit_test(test_a_connection_that_was_closed_meanwhile_is_made_anew),
        cmocka_unit_test(test_misbehaving_servers),
        cmocka_unit_test(test_what_the_server_would_refuse_is_not_sent),
        cmocka_unit_test(test_unix_sockets),
        cmocka_unit_test(test_bad_addresses_and_names),
    };
    return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
