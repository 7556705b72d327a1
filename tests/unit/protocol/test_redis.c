/* SPDX-License-Identifier: MIT
 *
 * The Redis codec's decoder: every command as an array and as a typed line, cut in every way, and what it becomes;
 * the state of a connection. */
#include "tests/unit/protocol/redis_feed.h"

#include "protocol/redis_command.h"

#define EMPTY_VALUE "-ERR an empty value cannot be stored, as the store's file has no place for it"
#define NO_EXPIRY   "-ERR EX, PX, EXAT and PXAT are not taken: values do not expire here"
#define INTEGER     "-ERR value is not an integer or out of range"

/* ---- commands about keys ------------------------------------------------------------------------------------ */

static void test_reading(void **state)
{
    (void)state;
    expect_commands("GET k", "read key=k -> value\n");
    expect_commands("get k\ngEt k", "read key=k -> value\nread key=k -> value\n");
    expect_commands("MGET a", "batch_read [ key=a] -> values\n");
    expect_commands("MGET a b a", "batch_read [ key=a] [ key=b] [ key=a] -> values\n");
    expect_commands("EXISTS a", "exists key=a -> found\n");
    expect_commands("EXISTS a b a", "batch_read [tell key=a] [tell key=b] [tell key=a] -> found\n");
    expect_commands("TOUCH a\nTOUCH a b",
                    "exists key=a -> found\nbatch_read [tell key=a] [tell key=b] -> found\n");
    expect_commands("TYPE a", "exists key=a -> type\n");
    expect_commands("STRLEN a", "metadata key=a -> length\n");
    expect_commands("GETRANGE a 0 -1", "read key=a range=0..-1 -> range\n");
    expect_commands("SUBSTR a -3 9223372036854775807", "read key=a range=-3..9223372036854775807 -> range\n");
    expect_commands("GETRANGE a 0 1x\nGETRANGE a +1 1\nGETRANGE a 01 1\nGETRANGE a 9223372036854775808 1",
                    INTEGER "\n" INTEGER "\n" INTEGER "\n" INTEGER "\n");
    expect_commands("DBSIZE", "info -> count\n");
}

static void test_writing(void **state)
{
    (void)state;
    expect_commands("SET k v", "write key=k value=v creates -> ok_if\n");
    expect_commands("SET k v NX\nset k v xx keepttl", "write key=k value=v if=absent creates -> ok_if\n"
                                                      "write key=k value=v if=present creates -> ok_if\n");
    expect_commands("SET k v GET", "transaction <show key=k> [ key=k value=v] creates -> before\n");
    expect_commands("SET k v GET NX", "transaction <show key=k> [ key=k value=v if=absent] creates -> before\n");
    expect_commands(
        "SET k v NX XX\nSET k v EX\nSET k v KEEPTTL EX 1\nSET k v EX 1 PX 1\nSET k v what",
        "-ERR syntax error\n-ERR syntax error\n-ERR syntax error\n-ERR syntax error\n-ERR syntax error\n");
    expect_commands("SET k v EX 1\nSET k v PX 1 NX\nSET k v exat 1\nSET k v PXAT 1",
                    NO_EXPIRY "\n" NO_EXPIRY "\n" NO_EXPIRY "\n" NO_EXPIRY "\n");
    expect_commands("SETNX k v", "write key=k value=v if=absent creates -> applied\n");
    expect_commands("GETSET k v", "transaction <show key=k> [ key=k value=v] creates -> before\n");
    expect_commands("GETDEL k", "transaction <show key=k> [delete key=k] -> before\n");
    expect_commands("DEL k", "delete key=k -> deleted\n");
    expect_commands("DEL k l", "batch_delete [ key=k] [ key=l] -> deleted\n");
    expect_commands("UNLINK k\nUNLINK k l",
                    "delete key=k -> deleted\nbatch_delete [ key=k] [ key=l] -> deleted\n");
    expect_commands("MSET a 1 b 2", "batch_write [ key=a value=1] [ key=b value=2] creates -> ok\n");
    expect_commands("MSETNX a 1 b 2", "transaction < key=a if=absent> < key=b if=absent> [ key=a value=1] "
                                      "[ key=b value=2] creates -> applied\n");
    expect_commands("MSET a\nMSET a 1 b\nMSETNX a 1 b", "-ERR wrong number of arguments for 'mset' command\n"
                                                        "-ERR wrong number of arguments for 'mset' command\n"
                                                        "-ERR wrong number of arguments for 'msetnx' command\n");
    expect_commands("SAVE", "sync durability=1 -> synced\n");
    expect_commands("BGREWRITEAOF\nSELECT 3\nbgrewriteaof",
                    "compact in_background -> rewriting\n+OK\ncompact store=db3 in_background -> rewriting\n");
}

static void test_values_that_cannot_be_stored(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {BYTES("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n"), EMPTY_VALUE "\n"},
        {BYTES("SET k \"\"\r\n"), EMPTY_VALUE "\n"},
        {BYTES("MSET a 1 b ''\r\n"), EMPTY_VALUE "\n"},
        {BYTES("GETSET k ''\r\n"), EMPTY_VALUE "\n"},
        {BYTES("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\n\0\r\n"),
         "-ERR a value of one zero byte cannot be stored, as it marks a deleted key in the store's file\n"},
        {BYTES("SET k \"\\x00\\x00\"\r\n"), "write key=k value=\\00\\00 creates -> ok_if\n"},
        {BYTES("*2\r\n$3\r\nGET\r\n$0\r\n\r\n"), "read key= -> value\n"},
        {BYTES("GET \"\"\r\n"), "read key= -> value\n"},
        {BYTES("*3\r\n$3\r\nSET\r\n$2\r\n\r\n\r\n$4\r\n*1\r\n\r\n"),
         "write key=\\0d\\0a value=*1\\0d\\0a creates -> ok_if\n"},
    };
    expect_samples(samples, sizeof samples / sizeof samples[0]);
}

static void test_moving(void **state)
{
    (void)state;
    expect_commands("RENAME a b", "rename key=a to=b -> renamed\n");
    expect_commands("RENAMENX a b", "rename key=a to=b target_if=absent -> renamed_if\n");
    expect_commands("RENAME a a\nRENAMENX a a", "exists key=a to=a -> kept\nexists key=a to=a -> kept_if\n");
    expect_commands("COPY a b", "copy key=a to=b target_if=absent creates -> applied\n");
    expect_commands("COPY a b REPLACE", "copy key=a to=b creates -> applied\n");
    expect_commands("COPY a b DB 3", "copy key=a to=b target=db3 target_if=absent creates -> applied\n");
    expect_commands("COPY a a db other replace", "copy key=a to=a target=other creates -> applied\n");
    expect_commands("COPY a a\nCOPY a a DB 0\nMOVE a 0\nMOVE a default",
                    "-ERR source and destination objects are the same\n"
                    "-ERR source and destination objects are the same\n"
                    "-ERR source and destination objects are the same\n"
                    "-ERR source and destination objects are the same\n");
    expect_commands("COPY a b DB\nCOPY a b what\nCOPY a b DB -1", "-ERR syntax error\n-ERR syntax error\n"
                                                                  "-ERR DB index is out of range\n");
    expect_commands("MOVE a 3", "transfer key=a to=a target=db3 target_if=absent creates -> applied\n");
    expect_commands("SELECT 3\nMOVE a 0\nCOPY a b\nCOPY a a DB 3",
                    "+OK\ntransfer store=db3 key=a to=a target= target_if=absent creates -> applied\n"
                    "copy store=db3 key=a to=b target=db3 target_if=absent creates -> applied\n"
                    "-ERR source and destination objects are the same\n");
}

static void test_databases(void **state)
{
    (void)state;
    expect_commands("SELECT 7\nGET k\nSELECT 0\nGET k",
                    "+OK\nread store=db7 key=k -> value\n+OK\nread key=k -> value\n");
    expect_commands("SELECT some-store.1\nSET k v\nSELECT default\nGET k",
                    "+OK\nwrite store=some-store.1 key=k value=v creates -> ok_if\n+OK\nread key=k -> value\n");
    expect_commands("SELECT 2147483647\nGET k\nSELECT 2147483648\nSELECT -1\nGET k",
                    "+OK\nread store=db2147483647 key=k -> value\n"
                    "-ERR value is out of range, value must between -2147483648 and 2147483647\n"
                    "-ERR DB index is out of range\nread store=db2147483647 key=k -> value\n");
    expect_commands("SELECT a/b\nSELECT .hidden", "-ERR a database is a number, or the name of a store: "
                                                  "[A-Za-z0-9._-]{1,64}, no leading dot\n"
                                                  "-ERR a database is a number, or the name of a store: "
                                                  "[A-Za-z0-9._-]{1,64}, no leading dot\n");
    expect_commands("SELECT 5\nRESET\nGET k", "+OK\n+RESET\nread key=k -> value\n");
}

/* ---- the connection and the server -------------------------------------------------------------------------- */

static void test_connection(void **state)
{
    (void)state;
    expect_commands("PING\nPING hi\nECHO there", "+PONG\n$2\\0d\\0ahi\n$5\\0d\\0athere\n");
    expect_commands("PING a b\nECHO\nECHO a b", "-ERR wrong number of arguments for 'ping' command\n"
                                                "-ERR wrong number of arguments for 'echo' command\n"
                                                "-ERR wrong number of arguments for 'echo' command\n");
    expect_commands("QUIT\nGET k", "+OK close\nclosed\n");
    expect_commands("AUTH x\nAUTH default x\nAUTH you x\nAUTH a b c",
                    "auth token=x -> authed\nauth token=x -> authed_as\n"
                    "-WRONGPASS invalid username-password pair or user is disabled.\n-ERR syntax error\n");
    expect_commands("WAIT 1 100\nWAIT x 1\nWAIT 1 x\nWAIT 1 -1",
                    ":0\n" INTEGER "\n-ERR timeout is not an integer or out of range\n-ERR timeout is negative\n");
    expect_commands("TIME\nLASTSAVE\nCLIENT ID", "server -> time\nserver -> saved\nserver -> client_id\n");
    expect_commands("INFO\nINFO Server KEYSPACE", "server with_stores -> info\n"
                                                  "server value=server\\0akeyspace\\0a with_stores -> info\n");
}

static void test_hello(void **state)
{
    (void)state;
    expect_commands("HELLO\nGET k", "server -> greeting\nread key=k -> value\n");
    expect_commands("HELLO 3\nGET k\nHELLO\nHELLO 2\nGET k",
                    "server -> greeting resp3\nread key=k -> value resp3\nserver -> greeting resp3\n"
                    "server -> greeting\nread key=k -> value\n");
    expect_commands("HELLO 3 AUTH default any SETNAME me\nCLIENT GETNAME\nRESET\nCLIENT GETNAME\nGET k",
                    "server token=any -> greeting resp3\n$2\\0d\\0ame\n+RESET\n$-1\nread key=k -> value\n");
    expect_commands("HELLO 3\nCLIENT GETNAME", "server -> greeting resp3\n_\n");
    expect_commands("HELLO 4\nHELLO 1\nHELLO x\nHELLO 3 AUTH you any\nHELLO 3 AUTH default\nHELLO 3 what\nGET k",
                    "-NOPROTO unsupported protocol version\n-NOPROTO unsupported protocol version\n"
                    "-ERR Protocol version is not an integer or out of range\n"
                    "-WRONGPASS invalid username-password pair or user is disabled.\n"
                    "-ERR Syntax error in HELLO option 'AUTH'\n-ERR Syntax error in HELLO option 'what'\n"
                    "read key=k -> value\n");
}

static struct rd_request *decode_line(struct rd_decoder *decoder, const char *line)
{
    struct rd_slice input = rd_slice_of_string(line);
    struct rd_request *request = NULL;
    assert_int_equal(rd_redis_codec.decode(decoder, &input, &request), RD_DECODE_REQUEST);
    return request;
}

/* What was refused for want of a token leaves nothing behind; what had been said before it stays. */
static void test_what_is_refused_is_taken_back(void **state)
{
    (void)state;
    struct rd_limits limits = test_limits();
    struct rd_decoder *decoder = rd_redis_codec.create(&limits);
    assert_non_null(decoder);
    rd_request_destroy(decode_line(decoder, "SELECT 4\r\n"));
    static const char *const lines[] = {"MULTI\r\n", "SELECT other\r\n", "HELLO 3\r\n", "GET k\r\n",
                                        "WATCH k\r\n"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        rd_request_destroy(decode_line(decoder, lines[i]));
        rd_redis_codec.refused(decoder);
    }
    struct rd_request *request = decode_line(decoder, "GET k\r\n");
    assert_int_equal(request->opcode, RD_OPCODE_READ);
    assert_true(rd_slice_equal(request->store, rd_slice_of_string("db4")));
    assert_int_equal(request->codec_flags & RD_REDIS_FLAG_RESP3, 0);
    rd_request_destroy(request);
    rd_redis_codec.destroy(decoder);
}

/* Not what is watched, either: the next transaction is held against it. */
static void test_a_token_that_is_not_known_changes_nothing(void **state)
{
    (void)state;
    struct rd_limits limits = test_limits();
    struct rd_decoder *decoder = rd_redis_codec.create(&limits);
    assert_non_null(decoder);
    rd_request_destroy(decode_line(decoder, "WATCH k\r\n"));
    static const char *const lines[] = {"AUTH x\r\n", "HELLO 3 AUTH default x\r\n"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        rd_request_destroy(decode_line(decoder, lines[i]));
        rd_redis_codec.refused(decoder);
    }
    rd_request_destroy(decode_line(decoder, "MULTI\r\n"));
    rd_request_destroy(decode_line(decoder, "SET l v\r\n"));
    struct rd_request *request = decode_line(decoder, "EXEC\r\n");
    assert_int_equal(request->opcode, RD_OPCODE_TRANSACTION);
    assert_non_null(request->guards);
    assert_int_equal(request->guards->count, 1);
    assert_int_equal(request->codec_flags & RD_REDIS_FLAG_RESP3, 0);
    rd_request_destroy(request);
    rd_redis_codec.destroy(decoder);
}

static void test_which_commands_need_a_token(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        bool needed;
        enum rd_message_token_use use;
    } rows[] = {
        {"PING\r\n", true, RD_MESSAGE_TOKEN_KEPT},
        {"MULTI\r\n", true, RD_MESSAGE_TOKEN_KEPT},
        {"GET k\r\n", true, RD_MESSAGE_TOKEN_KEPT}, /* that it is queued */
        {"DISCARD\r\n", true, RD_MESSAGE_TOKEN_KEPT},
        {"AUTH x\r\n", false, RD_MESSAGE_TOKEN_SHOWN},
        {"HELLO 2 AUTH default x\r\n", false, RD_MESSAGE_TOKEN_SHOWN},
        {"HELLO 2 AUTH default x WHAT\r\n", false, RD_MESSAGE_TOKEN_KEPT},
        {"RESET\r\n", false, RD_MESSAGE_TOKEN_FORGOTTEN},
        {"QUIT\r\n", false, RD_MESSAGE_TOKEN_KEPT},
    };
    struct rd_limits limits = test_limits();
    struct rd_decoder *decoder = rd_redis_codec.create(&limits);
    assert_non_null(decoder);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rd_request *request = decode_line(decoder, rows[i].line);
        assert_int_equal(request->needs_token, rows[i].needed);
        assert_int_equal(request->token_use, rows[i].use);
        rd_request_destroy(request);
    }
    rd_redis_codec.destroy(decoder);
}

static void test_client(void **state)
{
    (void)state;
    expect_commands("CLIENT SETNAME me\nCLIENT GETNAME\nclient setname !~\nCLIENT getname",
                    "+OK\n$2\\0d\\0ame\n+OK\n$2\\0d\\0a!~\n");
    expect_log("spaces", BYTES("CLIENT SETNAME 'a b'\r\nCLIENT SETNAME ''\r\nCLIENT GETNAME\r\n"),
               "-ERR Client names cannot contain spaces, newlines or special characters.\n+OK\n$-1\n");
    expect_commands(
        "CLIENT SETINFO LIB-NAME lib\nCLIENT SETINFO lib-ver 1.2\nCLIENT SETINFO what x\nSELECT 4\n"
        "CLIENT LIST",
        "+OK\n+OK\n-ERR Unrecognized option 'what'\n+OK\nserver store=db4 value=name= flags=N db=4 multi=-1 "
        "cmd=client|list user=default resp=2 lib-name=lib lib-ver=1.2 -> client_list\n");
    expect_commands("CLIENT NO-EVICT on\nCLIENT NO-EVICT OFF\nCLIENT NO-EVICT x", "+OK\n+OK\n-ERR syntax error\n");
    expect_commands("CLIENT\nCLIENT what\nCLIENT ID x\nclient|id",
                    "-ERR wrong number of arguments for 'client' command\n"
                    "-ERR unknown subcommand 'what'. Try CLIENT HELP.\n"
                    "-ERR wrong number of arguments for 'client|id' command\n"
                    "-ERR unknown command 'client|id', with args beginning with: \n");
    expect_commands("CLIENT LIST ID 1",
                    "-ERR CLIENT LIST tells about its own connection, and takes no more than TYPE "
                    "normal\n");
}

static void test_catalog(void **state)
{
    (void)state;
    expect_commands("COMMAND COUNT x\nCOMMAND what\nCOMMAND LIST x",
                    "-ERR wrong number of arguments for 'command|count' command\n"
                    "-ERR unknown subcommand 'what'. Try COMMAND HELP.\n-ERR COMMAND LIST takes no filter here\n");
    expect_commands("COMMAND DOCS nosuch\nCOMMAND INFO nosuch", "*0\n*1\\0d\\0a$-1\n");
    expect_commands("COMMAND INFO get",
                    "*1\\0d\\0a*10\\0d\\0a$3\\0d\\0aget\\0d\\0a:2\\0d\\0a*2\\0d\\0a+readonly\\0d\\0a"
                    "+fast\\0d\\0a:1\\0d\\0a:1\\0d\\0a:1\\0d\\0a*3\\0d\\0a+@read\\0d\\0a+@string\\0d\\0a"
                    "+@fast\\0d\\0a*0\\0d\\0a*0\\0d\\0a*0\n");
    expect_commands("CONFIG GET save\nCONFIG GET nosuch\nCONFIG GET *AX*mem?ry\nCONFIG GET ma*ry\nCONFIG SET a b",
                    "*2\\0d\\0a$4\\0d\\0asave\\0d\\0a$0\\0d\\0a\n*0\n"
                    "*2\\0d\\0a$9\\0d\\0amaxmemory\\0d\\0a$1\\0d\\0a0\n"
                    "*2\\0d\\0a$9\\0d\\0amaxmemory\\0d\\0a$1\\0d\\0a0\n"
                    "-ERR unknown subcommand 'SET'. Try CONFIG HELP.\n");
}

static void test_commands_that_are_not_served(void **state)
{
    (void)state;
    expect_commands("KEYS *",
                    "-ERR 'KEYS' is not served: keys are not stored here, only what they hash to, so they "
                    "cannot be listed\n");
    expect_commands(
        "lpush a b\nexpire a 1\nzunionstore a 1 b",
        "-ERR 'lpush' is not served: values are strings here, and there are no other types of data\n"
        "-ERR 'expire' is not served: values do not expire here\n"
        "-ERR 'zunionstore' is not served: values are strings here, and there are no other types of data\n");
    expect_commands("what\nwhat a bc", "-ERR unknown command 'what', with args beginning with: \n"
                                       "-ERR unknown command 'what', with args beginning with: 'a' 'bc' \n");
    expect_log("line ends in a name", BYTES("*1\r\n$4\r\na\r\nb\r\n"),
               "-ERR unknown command 'a  b', with args beginning with: \n");
    char line[500];
    char expected[500];
    snprintf(line, sizeof line, "%0200d %0200d x\r\n", 0, 0);
    snprintf(expected, sizeof expected, "-ERR unknown command '%0128d', with args beginning with: '%0128d' ", 0,
             0);
    struct rd_buffer dumped;
    rd_buffer_init(&dumped, 0);
    dump_bytes(&dumped, rd_slice_of_string(expected));
    rd_buffer_append(&dumped, "\n", 2);
    expect_log("long words", line, strlen(line), (char *)dumped.data);
    rd_buffer_deinit(&dumped);
}

/* Every row parses what its arity allows at least, and refuses less and, where it says so, more. */
static void test_arity_of_every_command(void **state)
{
    (void)state;
    for (size_t i = 0; i < rd_redis_command_count; i++) {
        const struct rd_redis_command *command = &rd_redis_commands[i];
        bool sub = rd_redis_command_is_subcommand(command);
        size_t least = (size_t)(command->arity < 0 ? -command->arity : command->arity);
        assert_ptr_equal(rd_redis_command_find(rd_slice_of_string(command->name), true), command);
        assert_true((rd_redis_command_find(rd_slice_of_string(command->name), false) == NULL) == sub);
        assert_true(strlen(command->summary) > 4 && strlen(command->since) >= 5 && strlen(command->group) > 3);
        assert_null(rd_redis_refusal(rd_slice_of_string(command->name)));
        for (size_t count = least - 1; count <= least + 1; count++) {
            char line[200];
            char expected[200];
            snprintf(line, sizeof line, "%s", command->name);
            if (sub)
                *strchr(line, '|') = ' ';
            for (size_t arg = sub ? 2 : 1; arg < count; arg++)
                strcat(line, " 1");
            if (count < 1 + (size_t)sub)
                continue;
            snprintf(expected, sizeof expected, "-ERR wrong number of arguments for '%s' command\n",
                     command->name);
            strcat(line, "\r\n");
            char *log = feed_new(line, strlen(line), CUT_WHOLE);
            bool right = count == least || (command->arity < 0 && count > least);
            if (strcmp(command->name, "exec") == 0)
                snprintf(expected, sizeof expected,
                         "-EXECABORT Transaction discarded because of: wrong number of "
                         "arguments for 'exec' command\n");
            bool pairs = strcmp(command->name, "mset") == 0 || strcmp(command->name, "msetnx") == 0;
            if (!pairs && strcmp(command->name, "ping") != 0)
                assert_int_equal(strcmp(log, expected) != 0, right);
            free(log);
        }
    }
}

/* ---- typed lines -------------------------------------------------------------------------------------------- */

static void test_quotes(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {BYTES("  GET   k  \r\n"), "read key=k -> value\n"},
        {BYTES("GET\tk\n"), "read key=k -> value\n"},
        {BYTES("\r\n\n   \r\nPING\r\n"), "+PONG\n"},
        {BYTES("GET \"a b\"\r\n"), "read key=a b -> value\n"},
        {BYTES("GET 'a b'\r\n"), "read key=a b -> value\n"},
        {BYTES("GET \"\\n\\r\\t\\b\\a\\\\\\\"\\x41\\x4\\q\"\r\n"),
         "read key=\\0a\\0d\\09\\08\\07\\5c\"Ax4q -> value\n"},
        {BYTES("GET 'a\\'b\\n'\r\n"), "read key=a'b\\5cn -> value\n"},
        {BYTES("GET a\"b c\"\r\n"), "read key=ab c -> value\n"},
        {BYTES("GET \"a\"b\r\n"), "-ERR Protocol error: unbalanced quotes in request close\nclosed\n"},
        {BYTES("GET \"a\r\n"), "-ERR Protocol error: unbalanced quotes in request close\nclosed\n"},
        {BYTES("GET 'a\\'\r\n"), "-ERR Protocol error: unbalanced quotes in request close\nclosed\n"},
    };
    expect_samples(samples, sizeof samples / sizeof samples[0]);
}

int main(void)
{
    seed_random();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_writing),
        cmocka_unit_test(test_values_that_cannot_be_stored),
        cmocka_unit_test(test_moving),
        cmocka_unit_test(test_databases),
        cmocka_unit_test(test_connection),
        cmocka_unit_test(test_hello),
        cmocka_unit_test(test_what_is_refused_is_taken_back),
        cmocka_unit_test(test_a_token_that_is_not_known_changes_nothing),
        cmocka_unit_test(test_which_commands_need_a_token),
        cmocka_unit_test(test_client),
        cmocka_unit_test(test_catalog),
        cmocka_unit_test(test_commands_that_are_not_served),
        cmocka_unit_test(test_arity_of_every_command),
        cmocka_unit_test(test_quotes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
