/* SPDX-License-Identifier: MIT
 *
 * test_stream.c - the blocking face's streams against a server that misbehaves (tests/support/fake.h), and that
 * the connection is good for the next call whenever it can be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clients/c/rdrive.h"
#include "tests/support/fake.h"

struct ends {
    uint64_t given_len; /* bytes */
    uint64_t given_max;
    uint64_t taken_len;
    uint64_t fails_at; /* of either, bytes; 0: never */
};

static int64_t give(void *context, void *to, size_t len_max)
{
    struct ends *ends = context;
    if (ends->fails_at != 0 && ends->given_len >= ends->fails_at)
        return -1;
    uint64_t left = ends->given_max - ends->given_len;
    size_t len = left < len_max ? (size_t)left : len_max;
    memset(to, 'x', len);
    ends->given_len += len;
    return (int64_t)len;
}

static bool take(void *context, const void *bytes, size_t len)
{
    struct ends *ends = context;
    (void)bytes;
    ends->taken_len += len;
    return ends->fails_at == 0 || ends->taken_len < ends->fails_at;
}

static struct rdrive_client *connect_to(const struct fake_server *fake, uint32_t timeout_ms)
{
    char server[32];
    snprintf(server, sizeof server, "127.0.0.1:%d", fake->port);
    struct rdrive_options options = {.server = server, .request_timeout_ms = timeout_ms};
    struct rdrive_client *client = NULL;
    assert_int_equal(rdrive_client_create(&options, &client), RDRIVE_OK);
    return client;
}

/* connection_count: of the stream and of the ping behind it. */
static void check_upload(enum fake_manner manner, uint64_t fails_at, enum rdrive_status expected,
                         uint32_t connection_count)
{
    struct fake_server fake = {.manner = manner};
    fake_start(&fake);
    struct rdrive_client *client = connect_to(&fake, 30000);
    struct ends ends = {.given_max = FAKE_VALUE_LEN, .fails_at = fails_at};
    struct rdrive_written written = {.tail = 42};
    assert_int_equal(
        rdrive_write_stream(client, rdrive_key_of_string("k"), give, &ends, UINT64_MAX, NULL, &written), expected);
    assert_int_equal(rdrive_last_error(client)[0] == '\0', expected == RDRIVE_OK);
    assert_int_equal(written.tail, expected == RDRIVE_OK ? FAKE_VALUE_LEN : 42);
    assert_int_equal(rdrive_ping(client), RDRIVE_OK);
    rdrive_client_destroy(client);
    fake_stop(&fake);
    assert_int_equal(fake.connection_count, connection_count);
    assert_int_equal(fake.aborted, expected != RDRIVE_OK);
}

static void test_uploads(void **state)
{
    (void)state;
    check_upload(FAKE_GOOD, 0, RDRIVE_OK, 1);
    check_upload(FAKE_GOOD, 200000, RDRIVE_ABORTED, 1);
    check_upload(FAKE_REFUSE_STREAM, 0, RDRIVE_NO_SPACE, 1);
}

static void check_download(enum fake_manner manner, uint64_t fails_at, enum rdrive_status expected)
{
    struct fake_server fake = {.manner = manner};
    fake_start(&fake);
    struct rdrive_client *client = connect_to(&fake, 30000);
    struct ends ends = {.fails_at = fails_at};
    struct rdrive_part part = {.len = 0};
    assert_int_equal(rdrive_read_stream(client, rdrive_key_of_string("k"), NULL, take, &ends, &part), expected);
    assert_int_equal(rdrive_last_error(client)[0] == '\0', expected == RDRIVE_OK);
    assert_int_equal(part.len, FAKE_VALUE_LEN);
    if (expected == RDRIVE_OK)
        assert_int_equal(ends.taken_len, FAKE_VALUE_LEN);
    assert_int_equal(rdrive_ping(client), RDRIVE_OK);
    rdrive_client_destroy(client);
    fake_stop(&fake);
}

static void test_downloads(void **state)
{
    (void)state;
    check_download(FAKE_GOOD, 0, RDRIVE_OK);
    check_download(FAKE_GOOD, 200000, RDRIVE_ABORTED);
    check_download(FAKE_BREAK_DOWNLOAD, 0, RDRIVE_CORRUPT);
    check_download(FAKE_CUT_DOWNLOAD, 0, RDRIVE_IO_ERROR);
    check_download(FAKE_LONG_DOWNLOAD, 0, RDRIVE_IO_ERROR);
}

static void check_backup(enum fake_manner manner, uint64_t fails_at, enum rdrive_status expected)
{
    struct fake_server fake = {.manner = manner};
    fake_start(&fake);
    struct rdrive_client *client = connect_to(&fake, 30000);
    struct ends ends = {.fails_at = fails_at};
    struct rdrive_backup head = {.len = 0};
    assert_int_equal(rdrive_backup(client, 100, FAKE_GENERATION, take, &ends, &head), expected);
    assert_int_equal(head.generation, FAKE_GENERATION);
    assert_int_equal(head.first, 100);
    assert_int_equal(head.len, FAKE_VALUE_LEN);
    assert_int_equal(head.tail, 100 + FAKE_VALUE_LEN);
    if (expected == RDRIVE_OK)
        assert_int_equal(ends.taken_len, FAKE_VALUE_LEN);
    assert_int_equal(rdrive_ping(client), RDRIVE_OK);
    rdrive_client_destroy(client);
    fake_stop(&fake);
}

static void test_backups(void **state)
{
    (void)state;
    check_backup(FAKE_GOOD, 0, RDRIVE_OK);
    check_backup(FAKE_GOOD, 200000, RDRIVE_ABORTED);
    check_backup(FAKE_BREAK_DOWNLOAD, 0, RDRIVE_CORRUPT);
    check_backup(FAKE_CUT_DOWNLOAD, 0, RDRIVE_IO_ERROR);
    check_backup(FAKE_LONG_DOWNLOAD, 0, RDRIVE_IO_ERROR);
}

static void test_a_server_that_says_nothing(void **state)
{
    (void)state;
    struct fake_server fake = {.manner = FAKE_SILENT};
    fake_start(&fake);
    struct rdrive_client *client = connect_to(&fake, 100);
    struct ends ends = {.given_max = 8u << 20}; /* more than the first credit */
    assert_int_equal(rdrive_write_stream(client, rdrive_key_of_string("k"), give, &ends, UINT64_MAX, NULL, NULL),
                     RDRIVE_TIMEOUT);
    assert_in_range(ends.given_len, 1, 1u << 20);
    assert_int_equal(rdrive_read_stream(client, rdrive_key_of_string("k"), NULL, take, &ends, NULL),
                     RDRIVE_TIMEOUT);
    rdrive_client_destroy(client);
    fake_stop(&fake);
}

static void test_nobody_is_there(void **state)
{
    (void)state;
    struct fake_server fake = {.manner = FAKE_GOOD};
    fake_start(&fake);
    fake_stop(&fake);
    struct rdrive_client *client = connect_to(&fake, 30000);
    struct ends ends = {.given_max = 1};
    assert_int_equal(rdrive_write_stream(client, rdrive_key_of_string("k"), give, &ends, 1, NULL, NULL),
                     RDRIVE_UNAVAILABLE);
    assert_int_equal(ends.given_len, 0); /* the source is as it was */
    assert_int_equal(rdrive_read_stream(client, rdrive_key_of_string("k"), NULL, take, &ends, NULL),
                     RDRIVE_UNAVAILABLE);
    rdrive_client_destroy(client);
}

static void test_conditions_where_they_do_not_belong(void **state)
{
    (void)state;
    struct fake_server fake = {.manner = FAKE_GOOD};
    fake_start(&fake);
    struct rdrive_client *client = connect_to(&fake, 30000);
    struct rdrive_key key = rdrive_key_of_string("k");
    struct rdrive_write_options options = {.condition = {.kind = RDRIVE_IF_ABSENT}};
    assert_int_equal(rdrive_batch_delete(client, &key, 1, &options, NULL), RDRIVE_INVALID_ARGUMENT);
    options = (struct rdrive_write_options){.target_condition = {.kind = RDRIVE_IF_ABSENT}};
    assert_int_equal(rdrive_delete(client, key, &options, NULL), RDRIVE_INVALID_ARGUMENT);
    options = (struct rdrive_write_options){.condition = {.kind = (enum rdrive_condition_kind)9}};
    assert_int_equal(rdrive_delete(client, key, &options, NULL), RDRIVE_INVALID_ARGUMENT);
    assert_int_equal(rdrive_ping(client), RDRIVE_OK);
    rdrive_client_destroy(client);
    fake_stop(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uploads),         cmocka_unit_test(test_downloads),
        cmocka_unit_test(test_backups),         cmocka_unit_test(test_a_server_that_says_nothing),
        cmocka_unit_test(test_nobody_is_there), cmocka_unit_test(test_conditions_where_they_do_not_belong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
