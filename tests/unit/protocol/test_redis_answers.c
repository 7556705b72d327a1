/* SPDX-License-Identifier: MIT
 *
 * The Redis codec's answers: what each command's response looks like in RESP2 and RESP3, alone and inside EXEC. */
#include "tests/unit/protocol/redis_feed.h"

#include "protocol/redis_info.h"

/* The last request of these lines. */
static struct rd_request *request_of(const char *lines)
{
    struct rd_limits limits = test_limits();
    struct rd_decoder *decoder = rd_redis_codec.create(&limits);
    assert_non_null(decoder);
    struct rd_slice input = rd_slice_of_string(lines);
    struct rd_request *request = NULL;
    struct rd_request *last = NULL;
    while (rd_redis_codec.decode(decoder, &input, &request) == RD_DECODE_REQUEST) {
        rd_request_destroy(last);
        last = request;
    }
    rd_redis_codec.destroy(decoder);
    assert_non_null(last);
    return last;
}

/* As the server sends it: what encode appends, and the value with what stands behind it. */
static void expect_answer(const char *lines, const struct rd_response *response, const char *expected)
{
    struct rd_request *request = request_of(lines);
    struct rd_buffer out;
    rd_buffer_init(&out, 0);
    size_t value_len = rd_redis_codec.encode(request, response, &out);
    if (value_len != 0) {
        assert_int_equal(value_len, response->value.len);
        rd_buffer_append_slice(&out, response->value);
        rd_buffer_append_slice(&out, rd_redis_codec.behind_value);
    }
    rd_buffer_append_u8(&out, 0);
    assert_false(out.failed);
    if (strcmp((char *)out.data, expected) != 0)
        print_error("%s: %s instead of %s", lines, out.data, expected);
    assert_string_equal(out.data, expected);
    rd_buffer_deinit(&out);
    rd_request_destroy(request);
}

#define OF(...)         (&(struct rd_response){__VA_ARGS__})
#define FAILED(failure) OF(.status = failure, .message = "what was wrong")
#define TEXT(text)      rd_slice_of_string(text)
#define V3(line)        "HELLO 3\r\n" line "\r\n"
#define V2(line)        line "\r\n"

static void test_values(void **state)
{
    (void)state;
    expect_answer(V2("GET k"), OF(.value = TEXT("hello")), "$5\r\nhello\r\n");
    expect_answer(V3("GET k"), OF(.value = TEXT("hello")), "$5\r\nhello\r\n");
    expect_answer(V2("GET k"), FAILED(RD_KEY_NOT_FOUND), "$-1\r\n");
    expect_answer(V3("GET k"), FAILED(RD_KEY_NOT_FOUND), "_\r\n");
    expect_answer(V2("GET k"), FAILED(RD_STORE_NOT_FOUND), "$-1\r\n");
    expect_answer(V2("GET k"), FAILED(RD_CORRUPT), "-ERR what was wrong\r\n");
    expect_answer(V2("GET k"), OF(.status = RD_UNAVAILABLE), "-ERR unavailable\r\n");
    expect_answer(V2("GET k"), OF(.status = RD_CORRUPT, .message = "two\r\nlines"), "-ERR two  lines\r\n");

    expect_answer(V2("GETSET k v"), OF(.value = TEXT("old")), "$3\r\nold\r\n");
    expect_answer(V2("GETSET k v"), OF(.status = RD_OK), "$-1\r\n");
    expect_answer(V3("GETDEL k"), OF(.status = RD_OK), "_\r\n");
    expect_answer(V2("GETDEL k"), FAILED(RD_STORE_NOT_FOUND), "$-1\r\n");
    expect_answer(V2("SET k v GET"), OF(.value = TEXT("x")), "$1\r\nx\r\n");

    expect_answer(V2("GETRANGE k 0 1"), OF(.value = TEXT("he"), .partial = true), "$2\r\nhe\r\n");
    expect_answer(V2("GETRANGE k 5 1"), FAILED(RD_RANGE_NOT_SATISFIABLE), "$0\r\n\r\n");
    expect_answer(V3("GETRANGE k 5 1"), FAILED(RD_KEY_NOT_FOUND), "$0\r\n\r\n");
    expect_answer(V2("STRLEN k"), OF(.value_len = 104857600), ":104857600\r\n");
    expect_answer(V2("STRLEN k"), FAILED(RD_KEY_NOT_FOUND), ":0\r\n");
}

static void test_several_values(void **state)
{
    (void)state;
    struct rd_response_item items[] = {{.value = TEXT("one")}, {.status = RD_KEY_NOT_FOUND}, {.value = TEXT("")}};
    struct rd_response found = {.items = items, .item_count = 3};
    expect_answer(V2("MGET a b c"), &found, "*3\r\n$3\r\none\r\n$-1\r\n$0\r\n\r\n");
    expect_answer(V3("MGET a b c"), &found, "*3\r\n$3\r\none\r\n_\r\n$0\r\n\r\n");
    expect_answer(V2("MGET a b"), FAILED(RD_STORE_NOT_FOUND), "*2\r\n$-1\r\n$-1\r\n");
    expect_answer(V2("EXISTS a b c"), &found, ":2\r\n");
    expect_answer(V2("TOUCH a b"), FAILED(RD_STORE_NOT_FOUND), ":0\r\n");
    items[1].status = RD_CORRUPT;
    expect_answer(V2("MGET a b c"), &found, "-ERR the value does not match its checksum\r\n");
    expect_answer(V2("EXISTS a b c"), &found, ":3\r\n");
}

static void test_numbers_and_words(void **state)
{
    (void)state;
    expect_answer(V2("SET k v"), OF(.status = RD_OK), "+OK\r\n");
    expect_answer(V2("SET k v"), FAILED(RD_NO_SPACE), "-ERR what was wrong\r\n");
    expect_answer(V2("SET k v NX"), FAILED(RD_PRECONDITION_FAILED), "$-1\r\n");
    expect_answer(V3("SET k v XX"), FAILED(RD_PRECONDITION_FAILED), "_\r\n");
    expect_answer(V2("MSET k v"), OF(.status = RD_OK), "+OK\r\n");
    expect_answer(V2("SETNX k v"), OF(.status = RD_OK), ":1\r\n");
    expect_answer(V2("SETNX k v"), FAILED(RD_PRECONDITION_FAILED), ":0\r\n");
    expect_answer(V2("MSETNX k v"), FAILED(RD_PRECONDITION_FAILED), ":0\r\n");
    expect_answer(V2("DEL k"), OF(.count = 1), ":1\r\n");
    expect_answer(V2("DEL k l m"), OF(.count = 2), ":2\r\n");
    expect_answer(V2("DEL k"), FAILED(RD_STORE_NOT_FOUND), ":0\r\n");
    expect_answer(V2("EXISTS k"), OF(.found = true), ":1\r\n");
    expect_answer(V2("TYPE k"), OF(.found = true), "+string\r\n");
    expect_answer(V2("TYPE k"), OF(.found = false), "+none\r\n");
    expect_answer(V2("TYPE k"), FAILED(RD_STORE_NOT_FOUND), "+none\r\n");
    expect_answer(V2("RENAME a b"), OF(.status = RD_OK), "+OK\r\n");
    expect_answer(V2("RENAME a b"), FAILED(RD_KEY_NOT_FOUND), "-ERR no such key\r\n");
    expect_answer(V2("RENAME a b"), FAILED(RD_STORE_NOT_FOUND), "-ERR no such key\r\n");
    expect_answer(V2("RENAMENX a b"), OF(.status = RD_OK), ":1\r\n");
    expect_answer(V2("RENAMENX a b"), FAILED(RD_PRECONDITION_FAILED), ":0\r\n");
    expect_answer(V2("RENAMENX a b"), FAILED(RD_KEY_NOT_FOUND), "-ERR no such key\r\n");
    expect_answer(V2("RENAME a a"), OF(.found = true), "+OK\r\n");
    expect_answer(V2("RENAME a a"), OF(.found = false), "-ERR no such key\r\n");
    expect_answer(V2("RENAMENX a a"), OF(.found = true), ":0\r\n");
    expect_answer(V2("COPY a b"), OF(.status = RD_OK), ":1\r\n");
    expect_answer(V2("COPY a b"), FAILED(RD_PRECONDITION_FAILED), ":0\r\n");
    expect_answer(V2("MOVE a 1"), FAILED(RD_KEY_NOT_FOUND), ":0\r\n");
    expect_answer(V2("MOVE a 1"), FAILED(RD_CONFLICT), "-ERR what was wrong\r\n");
    expect_answer(V2("DBSIZE"), OF(.stores = &(struct rd_response_store){.entries = 7}, .store_count = 1),
                  ":7\r\n");
    expect_answer(V2("DBSIZE"), FAILED(RD_STORE_NOT_FOUND), ":0\r\n");
    expect_answer(V2("SAVE"), OF(.status = RD_OK), "+OK\r\n");
    expect_answer(V2("WATCH k"), OF(.status = RD_OK), "+OK\r\n");
    expect_answer(V2("BGREWRITEAOF"), OF(.status = RD_OK), "+Background append only file rewriting started\r\n");
    expect_answer(V2("BGREWRITEAOF"), FAILED(RD_STORE_NOT_FOUND),
                  "+Background append only file rewriting started\r\n");
    expect_answer(V2("BGREWRITEAOF"), OF(.status = RD_OVERLOADED, .compaction = {.under_way = true}),
                  "-ERR Background append only file rewriting already in progress\r\n");
    expect_answer(V2("BGREWRITEAOF"), FAILED(RD_OVERLOADED), "-ERR what was wrong\r\n");
    expect_answer(V2("BGREWRITEAOF"), FAILED(RD_NO_SPACE), "-ERR what was wrong\r\n");
}

static const struct rd_response_server server = {.now_us = 1700000000000042,
                                                 .started_s = 1699999990,
                                                 .saved_s = 1699999995,
                                                 .connection_id = 12,
                                                 .connection_s = 3,
                                                 .connections = 4,
                                                 .connections_max = 100,
                                                 .port = 6379,
                                                 .process_id = 99,
                                                 .peer = "127.0.0.1:5000",
                                                 .local = "127.0.0.1:6379"};

static void test_server(void **state)
{
    (void)state;
    struct rd_response response = {.server = &server};
    expect_answer(V2("TIME"), &response, "*2\r\n$10\r\n1700000000\r\n$2\r\n42\r\n");
    expect_answer(V2("LASTSAVE"), &response, ":1699999995\r\n");
    expect_answer(V2("CLIENT ID"), &response, ":12\r\n");
    expect_answer(V2("HELLO"), &response,
                  "*14\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n" RD_REDIS_VERSION
                  "\r\n$5\r\nproto\r\n:2\r\n$2\r\nid\r\n:12\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n"
                  "$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n");
    expect_answer(V2("HELLO 3"), &response,
                  "%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n" RD_REDIS_VERSION
                  "\r\n$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:12\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n"
                  "$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n");
    expect_answer(V2("CLIENT LIST"), &response,
                  "$136\r\nid=12 addr=127.0.0.1:5000 laddr=127.0.0.1:6379 age=3 name= flags=N db=0 multi=-1 "
                  "cmd=client|list user=default resp=2 lib-name= lib-ver=\n\r\n");
    expect_answer(V2("TIME"), FAILED(RD_NO_MEMORY), "-ERR what was wrong\r\n");
}

#define WRONGPASS "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
#define NOAUTH    "-NOAUTH Authentication required.\r\n"

static void test_tokens(void **state)
{
    (void)state;
    expect_answer(V2("AUTH t"), OF(.open = false), "+OK\r\n");
    expect_answer(V2("AUTH t"), OF(.open = true),
                  "-ERR AUTH <password> called without any password configured for the default user. Are you sure "
                  "your configuration is correct?\r\n");
    expect_answer(V2("AUTH default t"), OF(.open = true), "+OK\r\n");
    expect_answer(V2("AUTH t"), FAILED(RD_UNAUTHORIZED), WRONGPASS);
    expect_answer(V2("AUTH default t"), FAILED(RD_UNAUTHORIZED), WRONGPASS);
    expect_answer(V2("HELLO 3 AUTH default t"), FAILED(RD_UNAUTHORIZED), WRONGPASS);
    expect_answer(
        V2("HELLO 3"), FAILED(RD_UNAUTHORIZED),
        "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> "
        "AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol "
        "version at the same time\r\n");
    static const char *const lines[] = {V2("GET k"), V2("PING"), V2("SET k v NX"), V2("INFO"),
                                        "MULTI\r\nGET k\r\nEXEC\r\n"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        expect_answer(lines[i], FAILED(RD_UNAUTHORIZED), NOAUTH);
        expect_answer(lines[i], FAILED(RD_FORBIDDEN), "-NOPERM what was wrong\r\n");
    }
}

static void test_info(void **state)
{
    (void)state;
    struct rd_response_store stores[] = {{.name = TEXT("db12"), .entries = 3},
                                         {.name = TEXT("db4")},
                                         {.name = TEXT("default"), .entries = 5, .tail = 9, .compacting = true},
                                         {.name = TEXT("other"), .entries = 6, .state = RD_MESSAGE_STORE_FAILED}};
    struct rd_response response = {.server = &server, .stores = stores, .store_count = 4};
    expect_answer(
        V2("INFO keyspace"), &response,
        "$77\r\n# Keyspace\r\ndb0:keys=5,expires=0,avg_ttl=0\r\ndb12:keys=3,expires=0,avg_ttl=0\r\n\r\n");
    expect_answer(V3("INFO CLUSTER Replication"), &response,
                  "=84\r\ntxt:# Replication\r\nrole:master\r\nconnected_slaves:0\r\n\r\n# Cluster\r\n"
                  "cluster_enabled:0\r\n\r\n");
    expect_answer(V2("INFO nosuch"), &response, "$0\r\n\r\n");
    struct rd_request *request = request_of("INFO\r\n");
    struct rd_buffer out;
    rd_buffer_init(&out, 0);
    assert_int_equal(rd_redis_codec.encode(request, &response, &out), 0);
    rd_buffer_append_u8(&out, 0);
    static const char *const lines[] = {"redis_version:" RD_REDIS_VERSION "\r\n",
                                        "rdrive_version:" RD_VERSION "\r\n",
                                        "process_id:99\r\n",
                                        "tcp_port:6379\r\n",
                                        "uptime_in_seconds:10\r\n",
                                        "connected_clients:4\r\n",
                                        "maxclients:100\r\n",
                                        "rdb_last_save_time:1699999995\r\n",
                                        "aof_rewrite_in_progress:1\r\n",
                                        "# Keyspace\r\n",
                                        "store_default:keys=5,tail=9,file_size=0,dead_bytes=0,state=open\r\n",
                                        "store_other:keys=6,tail=0,file_size=0,dead_bytes=0,state=failed\r\n"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        assert_non_null(strstr((char *)out.data, lines[i]));
    rd_buffer_deinit(&out);
    rd_request_destroy(request);
}

static void test_exec(void **state)
{
    (void)state;
    struct rd_response_change changes[] = {
        {.applied = true}, {.applied = false}, {.applied = true}, {.applied = false}};
    struct rd_response_item looks[] = {{.value = TEXT("abc"), .len = 3},
                                       {.status = RD_KEY_NOT_FOUND},
                                       {.status = RD_CORRUPT},
                                       {.value = TEXT("old")}};
    struct rd_response response = {.changes = changes, .items = looks, .item_count = 4};
    expect_answer("MULTI\r\nSET a 1\r\nSET b 2 NX\r\nDEL c d\r\nPING\r\nGET e\r\nMGET f g\r\nEXEC\r\n", &response,
                  "*6\r\n+OK\r\n$-1\r\n:1\r\n+PONG\r\n$3\r\nabc\r\n*2\r\n$-1\r\n-ERR the value does not match its "
                  "checksum\r\n");
    expect_answer("MULTI\r\nSETNX a 1\r\nSETNX b 2\r\nMSET c 3 d 4\r\nEXEC\r\n", &response,
                  "*3\r\n:1\r\n:0\r\n+OK\r\n");
    expect_answer("MULTI\r\nGETSET a 1\r\nGETDEL b\r\nEXEC\r\n", &response, "*2\r\n$3\r\nabc\r\n$-1\r\n");
    expect_answer("HELLO 3\r\nMULTI\r\nGETRANGE a 1 5\r\nSTRLEN b\r\nEXISTS c d\r\nEXEC\r\n", &response,
                  "*3\r\n$2\r\nbc\r\n:0\r\n:2\r\n");
    expect_answer("MULTI\r\nTYPE a\r\nTYPE b\r\nGETRANGE c 0 1\r\nSTRLEN d\r\nEXEC\r\n",
                  OF(.items = looks, .item_count = 4),
                  "*4\r\n+string\r\n+none\r\n-ERR the value does not match its checksum\r\n:0\r\n");
    expect_answer("MULTI\r\nGETRANGE a 3 5\r\nGETRANGE b 0 0\r\nEXEC\r\n", &response,
                  "*2\r\n$0\r\n\r\n$0\r\n\r\n");
    expect_answer("MULTI\r\nEXEC\r\n", OF(.status = RD_OK), "*0\r\n");
    expect_answer("MULTI\r\nGET a\r\nDEL b\r\nEXEC\r\n", FAILED(RD_STORE_NOT_FOUND), "*2\r\n$-1\r\n:0\r\n");
    expect_answer("WATCH a\r\nMULTI\r\nGET a\r\nEXEC\r\n", FAILED(RD_PRECONDITION_FAILED), "*-1\r\n");
    expect_answer("HELLO 3\r\nWATCH a\r\nMULTI\r\nSET a 1\r\nEXEC\r\n", FAILED(RD_PRECONDITION_FAILED), "_\r\n");
    expect_answer("MULTI\r\nSET a 1\r\nEXEC\r\n", FAILED(RD_IO_ERROR), "-ERR what was wrong\r\n");
}

/* It is not made for everybody; who may not have it made has written nothing. */
static void test_writes_where_there_is_no_store(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "SET k v\r\n",
        "SET k v NX\r\n",
        "SET k v GET\r\n",
        "SETNX k v\r\n",
        "GETSET k v\r\n",
        "MSET k v\r\n",
        "MSETNX k v\r\n",
        "MULTI\r\nSET k v\r\nEXEC\r\n",
        "MULTI\r\nDEL a\r\nMSET k v\r\nGET b\r\nEXEC\r\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        expect_answer(lines[i], FAILED(RD_STORE_NOT_FOUND), "-ERR what was wrong\r\n");
}

/* Of a store that has gone meanwhile: what was watched and was there is not any more. */
static void test_exec_where_there_is_no_store(void **state)
{
    (void)state;
    static const struct {
        bool known;
        enum rd_message_condition_kind kind;
        const char *expected;
    } guards[] = {{true, RD_MESSAGE_IF_ABSENT, "*2\r\n$-1\r\n:0\r\n"},
                  {true, RD_MESSAGE_IF_VERSION, "*-1\r\n"},
                  {false, RD_MESSAGE_IF_ABSENT, "*-1\r\n"}};
    for (size_t i = 0; i < sizeof guards / sizeof guards[0]; i++) {
        struct rd_request *request = request_of("WATCH a b\r\nMULTI\r\nGET a\r\nDEL b\r\nEXEC\r\n");
        struct rd_buffer out;
        rd_buffer_init(&out, 0);
        request->guards->list[0].known = true;
        request->guards->list[0].condition.kind = RD_MESSAGE_IF_ABSENT;
        request->guards->list[1].known = guards[i].known;
        request->guards->list[1].condition.kind = guards[i].kind;
        assert_int_equal(rd_redis_codec.encode(request, FAILED(RD_STORE_NOT_FOUND), &out), 0);
        rd_buffer_append_u8(&out, 0);
        assert_string_equal(out.data, guards[i].expected);
        rd_buffer_deinit(&out);
        rd_request_destroy(request);
    }
}

#define TOO_LARGE "-ERR the answer would be too large; ask for less at a time\r\n"

/* What has been done is told, although a value that was read before it does not fit. */
static void test_exec_without_room_for_a_value(void **state)
{
    (void)state;
    char value[100] = {0};
    struct rd_response_change changes[] = {{.applied = true}};
    struct rd_response_item looks[] = {{.value = rd_slice(value, sizeof value)}, {.value = TEXT("abc")}};
    struct rd_response response = {.changes = changes, .items = looks, .item_count = 2};
    struct rd_request *request = request_of("MULTI\r\nGET a\r\nSET b 1\r\nGET c\r\nEXEC\r\n");
    struct rd_buffer out;
    rd_buffer_init(&out, sizeof value);
    assert_int_equal(rd_redis_codec.encode(request, &response, &out), 0);
    rd_buffer_append_u8(&out, 0);
    assert_false(out.failed);
    assert_string_equal(out.data, "*3\r\n" TOO_LARGE "+OK\r\n$3\r\nabc\r\n");
    rd_buffer_deinit(&out);
    rd_buffer_init(&out, 0);
    out.failed = true; /* there was no memory for the answer's head */
    (void)rd_redis_codec.encode(request, &response, &out);
    assert_true(out.failed);
    rd_buffer_deinit(&out);
    rd_request_destroy(request);
    request = request_of("MULTI\r\nGET a\r\nGET c\r\nEXEC\r\n"); /* nothing has been done */
    rd_buffer_init(&out, sizeof value);
    response.changes = NULL;
    (void)rd_redis_codec.encode(request, &response, &out);
    assert_true(out.failed);
    rd_buffer_deinit(&out);
    rd_request_destroy(request);
}

/* What a value's ends are taken for, against the rule written out byte by byte. */
static void test_ranges(void **state)
{
    (void)state;
    for (int64_t len = 0; len <= 5; len++) {
        for (int64_t from = -7; from <= 7; from++) {
            for (int64_t to = -7; to <= 7; to++) {
                int64_t begin = from < 0 ? (from + len < 0 ? 0 : from + len) : from;
                int64_t end = to < 0 ? to + len : to;
                uint64_t first = 99;
                uint64_t count = 0;
                int64_t expected_first = -1;
                int64_t expected_count = 0;
                for (int64_t i = 0; i < len; i++) {
                    if (i < begin || i > end)
                        continue;
                    expected_first = expected_first < 0 ? i : expected_first;
                    expected_count++;
                }
                struct rd_message_range range = {.kind = RD_MESSAGE_RANGE_BETWEEN, .from = from, .to = to};
                bool some = rd_message_range_cut(&range, (uint64_t)len, &first, &count);
                assert_int_equal(some, expected_count != 0);
                assert_int_equal(count, expected_count);
                assert_int_equal(first, some ? (uint64_t)expected_first : 99);
            }
        }
    }
    struct rd_message_range widest = {.kind = RD_MESSAGE_RANGE_BETWEEN, .from = INT64_MIN, .to = INT64_MAX};
    uint64_t first;
    uint64_t count;
    assert_true(rd_message_range_cut(&widest, 10, &first, &count));
    assert_int_equal(first, 0);
    assert_int_equal(count, 10);
}

static void test_numbers_of_databases(void **state)
{
    (void)state;
    static const struct {
        const char *store;
        int64_t number;
    } samples[] = {{"", 0},      {"default", 0}, {"db1", 1},  {"db123", 123}, {"db0", -1},
                   {"db01", -1}, {"db", -1},     {"dbx", -1}, {"other", -1},  {"db-1", -1}};
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++)
        assert_int_equal(rd_redis_info_database(TEXT(samples[i].store)), samples[i].number);
}

int main(void)
{
    seed_random();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_several_values),
        cmocka_unit_test(test_numbers_and_words),
        cmocka_unit_test(test_server),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_info),
        cmocka_unit_test(test_exec),
        cmocka_unit_test(test_writes_where_there_is_no_store),
        cmocka_unit_test(test_exec_where_there_is_no_store),
        cmocka_unit_test(test_exec_without_room_for_a_value),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_numbers_of_databases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
