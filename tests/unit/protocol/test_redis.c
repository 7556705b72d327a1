/* SPDX-License-Identifier: MIT
 *
 * The Redis codec's decoder: every command as an array and as a typed line, cut in every way, and what it becomes;
 * long values, the state of a connection, and input that is not the protocol. */
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

/* ---- what is not the protocol ------------------------------------------------------------------------------- */

static void test_malformed(void **state)
{
    (void)state;
#define BULK_LENGTH "-ERR Protocol error: invalid bulk length close\nclosed\n"
#define TOO_LONG    "-ERR the command is longer than this server takes\n"
#define MULTIBULK   "-ERR Protocol error: invalid multibulk length close\nclosed\n"
#define LINE_END    "-ERR Protocol error: a line ends in CR LF close\nclosed\n"
    static const struct sample samples[] = {
        {BYTES("*0\r\n*-1\r\n*-7\r\nPING\r\n"), "+PONG\n"},
        {BYTES("*1000000000\r\n"), MULTIBULK},
        {BYTES("*10\r\n"), MULTIBULK}, /* one more than batch_count_max pairs and a name */
        {BYTES("*9223372036854775808\r\n"), MULTIBULK},
        {BYTES("*\r\n"), MULTIBULK},
        {BYTES("*01\r\n"), MULTIBULK},
        {BYTES("*+1\r\n"), MULTIBULK},
        {BYTES("* 1\r\n"), MULTIBULK},
        {BYTES("*1a\r\n"), MULTIBULK},
        {BYTES("*99999999999999999999999999999999"), "more\n"},
        {BYTES("*999999999999999999999999999999999"),
         "-ERR Protocol error: too big mbulk count string close\nclosed\n"},
        {BYTES("*1\r\n$-7\r\n"), BULK_LENGTH},
        {BYTES("*1\r\n$-1\r\n"), BULK_LENGTH},
        {BYTES("*1\r\n$9999999999\r\n"), BULK_LENGTH},
        {BYTES("*1\r\n$536870913\r\n"), BULK_LENGTH},
        {BYTES("*1\r\n$536870912\r\n"), TOO_LONG "more\n"},
        {BYTES("*1\r\n$\r\n"), BULK_LENGTH},
        {BYTES("*1\r\n$1 \r\n"), BULK_LENGTH},
        {BYTES("*1\r\n$999999999999999999999999999999999"),
         "-ERR Protocol error: too big bulk count string close\nclosed\n"},
        {BYTES("*1\r\n:1\r\n"), "-ERR Protocol error: expected '$', got ':' close\nclosed\n"},
        {BYTES("*1\r\nx"), "-ERR Protocol error: expected '$', got 'x' close\nclosed\n"},
        {BYTES("*1\r\n\r"), "-ERR Protocol error: expected '$', got ' ' close\nclosed\n"},
        {BYTES("*1\n$4\r\nPING\r\n"), LINE_END},
        {BYTES("*1\r$4\r\nPING\r\n"), LINE_END},
        {BYTES("*1\r\n$4\nPING\r\n"), LINE_END},
        {BYTES("*1\r\n$4\r\nPINGPING"),
         "-ERR Protocol error: a bulk string is longer than its length says close\nclosed\n"},
        {BYTES("*1\r\n$4\r\nPING\rX"),
         "-ERR Protocol error: a bulk string is longer than its length says close\nclosed\n"},
        {BYTES("*1\r\n$4\r\nPING\n"),
         "-ERR Protocol error: a bulk string is longer than its length says close\nclosed\n"},
        {BYTES("PING\r\n*1\r\nx"), "+PONG\n-ERR Protocol error: expected '$', got 'x' close\nclosed\n"},
        {BYTES("*1\r\n$4\r\nPI"), "more\n"},
        {BYTES("*2\r\n$3\r\nGET\r\n"), "more\n"},
        {BYTES("*"), "more\n"},
        {BYTES("PING"), "more\n"},
        {BYTES(""), ""},
        {BYTES("*1\r\n$0\r\n\r\n"), "-ERR unknown command '', with args beginning with: \n"},
        {BYTES("POST / HTTP/1.1\r\nHost: x\r\n"), "silence close\nclosed\n"},
        {BYTES("Host: x\r\nPING\r\n"), "silence close\nclosed\n"},
        {BYTES("GET / HTTP/1.1\r\nHost: x\r\n"),
         "-ERR wrong number of arguments for 'get' command\nsilence close\nclosed\n"},
    };
    expect_samples(samples, sizeof samples / sizeof samples[0]);
}

static void test_a_line_that_does_not_end(void **state)
{
    (void)state;
    for (size_t more = 0; more <= 1; more++) {
        size_t len = RD_RESP_INLINE_LEN_MAX + more;
        char *line = malloc(len);
        assert_non_null(line);
        memset(line, 'x', len);
        expect_log("a long line", line, len,
                   more == 0 ? "more\n" : "-ERR Protocol error: too big inline request close\nclosed\n");
        free(line);
    }
}

/* ---- long arguments ----------------------------------------------------------------------------------------- */

/* One command of these words; the one at `long_at` is so many letters. */
static void append_long(struct rd_buffer *out, const char *const *words, size_t count, size_t long_at,
                        size_t long_len)
{
    rd_buffer_printf(out, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++) {
        size_t len = i == long_at ? long_len : strlen(words[i]);
        rd_buffer_printf(out, "$%zu\r\n", len);
        uint8_t *to = rd_buffer_reserve(out, len);
        assert_non_null(to);
        for (size_t j = 0; j < len; j++)
            to[j] = i == long_at ? (uint8_t)('a' + j % 26) : (uint8_t)words[i][j];
        rd_buffer_commit(out, len);
        rd_buffer_append_string(out, "\r\n");
    }
}

#define WORDS(...) (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)

static void dump_letters(struct rd_buffer *out, const char *before, size_t len, const char *after)
{
    struct rd_buffer letters;
    rd_buffer_init(&letters, 0);
    for (size_t j = 0; j < len; j++)
        rd_buffer_append_u8(&letters, (uint8_t)('a' + j % 26));
    rd_buffer_append_string(out, before);
    dump_bytes(out, rd_buffer_slice(&letters));
    rd_buffer_append_string(out, after);
    rd_buffer_deinit(&letters);
}

/* expected: what comes before the letters and after them. */
static void expect_long(const char *const *words, size_t count, size_t long_at, size_t long_len,
                        const char *before, const char *after)
{
    struct rd_buffer bytes;
    struct rd_buffer expected;
    rd_buffer_init(&bytes, 0);
    rd_buffer_init(&expected, 0);
    append_long(&bytes, words, count, long_at, long_len);
    rd_buffer_append_string(&bytes, "PING\r\n");
    if (before != NULL)
        dump_letters(&expected, before, long_len, after);
    else
        rd_buffer_append_string(&expected, after);
    rd_buffer_append_string(&expected, "+PONG\n");
    rd_buffer_append_u8(&expected, 0);
    expect_log(words[0], bytes.data, bytes.len, (char *)expected.data);
    rd_buffer_deinit(&bytes);
    rd_buffer_deinit(&expected);
}

static void test_long_values(void **state)
{
    (void)state;
    size_t threshold = test_limits().stream_threshold;
    size_t most = test_limits().body_len_max;
    expect_long(WORDS("SET", "k", "v"), 2, threshold, "write key=k value=", " creates -> ok_if\n");
    expect_long(WORDS("SET", "k", "v"), 2, threshold + 1,
                "write_stream key=k len=500001 creates -> ok_if\nchunk=", "\nend\n");
    expect_long(WORDS("SETNX", "k", "v"), 2, threshold + 1,
                "write_stream key=k if=absent len=500001 creates -> applied\nchunk=", "\nend\n");
    expect_long(WORDS("SET", "k", "v", "NX"), 2, threshold + 1,
                "write key=k value=", " if=absent creates -> ok_if\n");
    expect_long(WORDS("SET", "k", "v", "nx", "KEEPTTL"), 2, most,
                "write_stream key=k len=1048576 creates -> ok_if\nchunk=", "\nend if=absent\n");
    expect_long(WORDS("SET", "k", "v", "XX"), 2, most,
                "write_stream key=k len=1048576 creates -> ok_if\nchunk=", "\nend if=present\n");
    expect_long(WORDS("SET", "k", "v", "GET"), 2, most, "write_stream key=k len=1048576 creates -> ok_if\nchunk=",
                "\nend refused=SET with GET does not take a value that long\n");
    expect_long(WORDS("SET", "k", "v", "EX", "1"), 2, most,
                "write_stream key=k len=1048576 creates -> ok_if\nchunk=",
                "\nend refused=EX, PX, EXAT and PXAT are not taken: values do not expire here\n");
    expect_long(WORDS("SET", "k", "v", "what"), 2, most,
                "write_stream key=k len=1048576 creates -> ok_if\nchunk=", "\nend refused=syntax error\n");
    expect_long(WORDS("GETSET", "k", "v"), 2, threshold + 1,
                "transaction <show key=k> [ key=k value=", "] creates -> before\n");
    expect_long(WORDS("GETSET", "k", "v"), 2, most, NULL, TOO_LONG);
    expect_long(WORDS("MSET", "k", "v", "l", "w"), 2, most, NULL, TOO_LONG);
    expect_long(WORDS("SETNX", "k", "v", "w"), 2, most, NULL, TOO_LONG);
    expect_long(WORDS("what", "k", "v"), 2, most, NULL, TOO_LONG);
    expect_long(WORDS("name"), 0, most + 1, NULL, TOO_LONG);
    expect_long(WORDS("GET", "k"), 1, 1001, NULL,
                "-ERR a key is longer than the 1000 bytes that this server takes\n");
    expect_long(WORDS("SET", "k", "v"), 1, 1001, NULL,
                "-ERR a key is longer than the 1000 bytes that this server takes\n");
    expect_long(WORDS("GET", "k"), 1, 1000, "read key=", " -> value\n");
}

static void test_a_long_key_before_a_long_value(void **state)
{
    (void)state;
    struct rd_buffer bytes;
    rd_buffer_init(&bytes, 0);
    rd_buffer_printf(&bytes, "*3\r\n$3\r\nSET\r\n$1001\r\n%01001d\r\n$1048576\r\n%01048576d\r\nPING\r\n", 0, 0);
    expect_log("a long key", bytes.data, bytes.len, TOO_LONG "+PONG\n");
    rd_buffer_deinit(&bytes);
}

/* A SET of count words whose value of len digits is streamed, and what stands behind it, which ends the
 * connection: there is one answer, which says why. */
static void expect_break(int count, int len, const char *behind, const char *why)
{
    struct rd_buffer bytes;
    struct rd_buffer digits;
    struct rd_buffer expected;
    rd_buffer_init(&bytes, 0);
    rd_buffer_init(&digits, 0);
    rd_buffer_init(&expected, 0);
    rd_buffer_printf(&digits, "%0*d", len, 7);
    rd_buffer_printf(&bytes, "*%d\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n", count, len);
    rd_buffer_append_slice(&bytes, rd_buffer_slice(&digits));
    rd_buffer_printf(&bytes, "%sPING\r\n", behind);
    rd_buffer_printf(&expected, "write_stream key=k len=%d creates -> ok_if\nchunk=", len);
    dump_bytes(&expected, rd_buffer_slice(&digits));
    rd_buffer_printf(&expected, "\nabort refused=%s\nclosed\n", why);
    rd_buffer_append_u8(&expected, 0);
    expect_log("a broken stream", bytes.data, bytes.len, (char *)expected.data);
    rd_buffer_deinit(&expected);
    rd_buffer_deinit(&digits);
    rd_buffer_deinit(&bytes);
}

static void test_a_stream_that_breaks(void **state)
{
    (void)state;
    char words[8192];
    expect_break(3, 500001, "X", "Protocol error: a bulk string is longer than its length says");
    /* No option is that long, whether it is told by one or by all of them. */
    expect_break(4, 1 << 20, "\r\n$500000\r\n", "syntax error");
    snprintf(words, sizeof words, "\r\n$4000\r\n%04000d\r\n$97\r\n", 0);
    expect_break(5, 1 << 20, words, "syntax error");
}

/* Somebody who may write nothing, and whose word is not heeded for what is short and in order. */
static enum rd_status forbid_writes(void *context, const struct rd_asking *asking, size_t len,
                                    struct rd_error *ret_error)
{
    (void)context;
    assert_true(len == 0 || len > RD_LIMITS_FEW);
    if (asking->opcode != RD_OPCODE_WRITE && asking->opcode != RD_OPCODE_BATCH_WRITE)
        return RD_OK;
    return rd_error_set(ret_error, RD_FORBIDDEN, 0, "not there");
}

/* Somebody who may write, and read nothing. */
static enum rd_status forbid_reads(void *context, const struct rd_asking *asking, size_t len,
                                   struct rd_error *ret_error)
{
    (void)context;
    (void)len;
    if (asking->opcode != RD_OPCODE_READ && asking->opcode != RD_OPCODE_WATCH && !asking->values_too)
        return RD_OK;
    return rd_error_set(ret_error, RD_FORBIDDEN, 0, "not to be read");
}

typedef enum rd_status (*admit_function)(void *, const struct rd_asking *, size_t, struct rd_error *);

/* `first` and the rest, and between them a command in two pieces, cut at `at`; in one piece where that is its
 * length. */
static void expect_refused(admit_function admit, const char *first, struct rd_slice command, const char *rest,
                           size_t at, const char *expected)
{
    struct rd_limits limits = test_limits();
    struct feed feed;
    limits.admit = admit;
    feed_init(&feed, &limits);
    feed_all(&feed, first, strlen(first), CUT_WHOLE);
    feed_piece(&feed, command.data, at);
    if (at < command.len)
        feed_piece(&feed, command.data + at, command.len - at);
    feed_all(&feed, rest, strlen(rest), CUT_WHOLE);
    char *log = feed_end(&feed);
    assert_string_equal(log, expected);
    free(log);
}

/* Wherever it is cut: the commands around it are answered in their order, and it once. */
static void test_a_command_that_is_refused_before_its_end(void **state)
{
    (void)state;
    struct rd_buffer set;
    rd_buffer_init(&set, 0);
    rd_buffer_printf(&set, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$16384\r\n%016384d\r\n", 7);
    for (size_t at = 1; at < set.len; at++)
        expect_refused(forbid_writes, "PING\r\n", rd_buffer_slice(&set), "GET k\r\n*1\r\n$4\r\nPING\r\n", at,
                       "+PONG\n-NOPERM not there\nread key=k -> value\n+PONG\n");
    set.data[set.len - 1] = 'X';
    for (size_t at = 1; at < set.len; at++) /* malformed behind its answer: the end, and no second answer */
        expect_refused(forbid_writes, "PING\r\n", rd_buffer_slice(&set), "PING\r\n", at,
                       "+PONG\n-NOPERM not there\nsilence close\nclosed\n");
    rd_buffer_deinit(&set);
}

/* Of such a length that it is asked for before it is whole, unless it comes whole. */
#define LONG_VALUE "$8000\r\n%08000d\r\n"

static const char no_words[] = "";

/* Whether its beginning has been refused or it was whole by then makes no difference. */
static void test_a_refusal_does_not_go_by_how_a_command_comes(void **state)
{
    (void)state;
    static const char aborted[] = "-EXECABORT Transaction discarded because of previous errors.\n";
    static const struct {
        admit_function admit;
        bool queued;
        const char *format; /* of a number that is the long value */
        const char *answer;
    } commands[] = {
        {forbid_writes, true, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n" LONG_VALUE, "-NOPERM not there\n"},
        {forbid_writes, true, "*4\r\n$3\r\nSET\r\n$1\r\nk\r\n" LONG_VALUE "$3\r\nFOO\r\n", "-NOPERM not there\n"},
        {forbid_writes, true, "*5\r\n$4\r\nMSET\r\n$1\r\nk\r\n" LONG_VALUE "$1\r\nl\r\n$1\r\nv\r\n",
         "-NOPERM not there\n"},
        {forbid_writes, false, "*4\r\n$3\r\nSET\r\n$1\r\nk\r\n" LONG_VALUE "$3\r\nFOO\r\n", "-NOPERM not there\n"},
        {forbid_writes, true, "*4\r\n$6\r\nGETSET\r\n$1\r\nk\r\n" LONG_VALUE "$1\r\nl\r\n",
         "-ERR wrong number of arguments for 'getset' command\n"},
        {forbid_writes, false, "*4\r\n$6\r\nGETSET\r\n$1\r\nk\r\n" LONG_VALUE "$1\r\nl\r\n",
         "-ERR wrong number of arguments for 'getset' command\n"},
        {forbid_reads, true, "*3\r\n$6\r\nGETSET\r\n$1\r\nk\r\n" LONG_VALUE, "-NOPERM not to be read\n"},
        {forbid_reads, true, "*4\r\n$3\r\nSET\r\n$1\r\nk\r\n" LONG_VALUE "$3\r\nGET\r\n",
         "-NOPERM not to be read\n"},
        {forbid_reads, true, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n" LONG_VALUE, "+QUEUED\n"},
        {forbid_reads, true, "*2\r\n$5\r\nWATCH\r\n" LONG_VALUE, "-NOPERM not to be read\n"},
        {forbid_reads, true, "*2\r\n$5\r\nMULTI\r\n" LONG_VALUE,
         "-ERR wrong number of arguments for 'multi' command\n"},
    };
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        bool refused = commands[i].answer[0] == '-';
        struct rd_buffer command;
        struct rd_buffer expected;
        rd_buffer_init(&command, 0);
        rd_buffer_init(&expected, 0);
        rd_buffer_printf(&command, commands[i].format, 7);
        rd_buffer_printf(&expected, "%s%s%s+PONG\n%c", commands[i].queued ? "+OK\n" : no_words, commands[i].answer,
                         !commands[i].queued ? no_words
                         : refused           ? aborted
                                             : "+OK\n",
                         0);
        for (size_t at = 1; at <= command.len; at++)
            expect_refused(commands[i].admit, commands[i].queued ? "MULTI\r\n" : no_words,
                           rd_buffer_slice(&command),
                           !commands[i].queued ? "PING\r\n"
                           : refused           ? "EXEC\r\nPING\r\n"
                                               : "DISCARD\r\nPING\r\n",
                           at, (const char *)expected.data);
        rd_buffer_deinit(&command);
        rd_buffer_deinit(&expected);
    }
}

/* Short ones come to no limit, and are refused when they are queued all the same. */
static void test_short_commands_are_refused_when_they_are_queued(void **state)
{
    (void)state;
    expect_refused(forbid_reads, "MULTI\r\nSET a 1\r\n", rd_slice_of_string("GET k\r\n"), "DEL b\r\nEXEC\r\n", 7,
                   "+OK\n+QUEUED\n-NOPERM not to be read\n+QUEUED\n"
                   "-EXECABORT Transaction discarded because of previous errors.\n");
    expect_refused(forbid_reads, "MULTI\r\nSET a 1\r\n", rd_slice_of_string("WATCH k\r\n"), "EXEC\r\nPING\r\n", 9,
                   "+OK\n+QUEUED\n-NOPERM not to be read\n"
                   "-EXECABORT Transaction discarded because of previous errors.\n+PONG\n");
}

static void test_many_arguments(void **state)
{
    (void)state;
    expect_commands("MSET a 1 b 2 c 3 d 4", "batch_write [ key=a value=1] [ key=b value=2] [ key=c value=3] "
                                            "[ key=d value=4] creates -> ok\n");
    expect_commands("DEL a b c d\nDEL a b c d e", "batch_delete [ key=a] [ key=b] [ key=c] [ key=d] -> deleted\n"
                                                  "-ERR more keys than the 4 that this server takes at once\n");
    /* Typed lines have no count in front, so they come further. */
    expect_log("a long line", BYTES("MSET a 1 b 2 c 3 d 4 e 5\r\nPING\r\n"),
               "-ERR more keys than the 4 that this server takes at once\n+PONG\n");
}

/* Megabytes are read into their place, where the socket could put them. */
static void test_filling(void **state)
{
    (void)state;
    struct rd_limits limits = test_limits();
    struct feed feed;
    struct rd_buffer bytes;
    rd_buffer_init(&bytes, 0);
    feed_init(&feed, &limits);
    append_long(&bytes, WORDS("MSET", "a", "v", "b", "w"), 2, 400000);
    feed_all(&feed, bytes.data, bytes.len, CUT_RANDOM_AND_FILL);
    assert_true(feed.filled_count > 10);
    assert_int_equal(memcmp(feed.log.data, "batch_write [ key=a value=abc", 29), 0);
    rd_redis_codec.destroy(feed.decoder);
    rd_buffer_deinit(&feed.log);
    rd_buffer_deinit(&feed.chunk);
    rd_buffer_deinit(&bytes);
}

/* Random bytes, made of what the protocol is made of, never end in anything but requests, parts and an end; and
 * how they are cut makes no difference. */
static void test_random_input(void **state)
{
    (void)state;
    static const char *const pieces[] = {"*",
                                         "$",
                                         "\r\n",
                                         "\r",
                                         "\n",
                                         "1",
                                         "3",
                                         "4",
                                         "0",
                                         "-1",
                                         "GET",
                                         "SET",
                                         "k",
                                         "x",
                                         "PING",
                                         "\"",
                                         "'",
                                         "\\",
                                         " ",
                                         "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n",
                                         "*1\r\n$4\r\nPING\r\n",
                                         "MULTI\r\n",
                                         "EXEC\r\n",
                                         "*2\r\n$4\r\nMGET\r\n$1\r\na\r\n"};
    enum { COUNT = sizeof pieces / sizeof pieces[0] };
    for (int round = 0; round < 3000; round++) {
        struct rd_buffer bytes;
        rd_buffer_init(&bytes, 0);
        for (uint32_t i = next_random(30); i > 0; i--)
            rd_buffer_append_string(&bytes, pieces[next_random(COUNT)]);
        char *whole = feed_new(bytes.data, bytes.len, CUT_WHOLE);
        char *single = feed_new(bytes.data, bytes.len, CUT_BYTES);
        char *cut = feed_new(bytes.data, bytes.len, CUT_RANDOM);
        assert_string_equal(whole, single);
        assert_string_equal(whole, cut);
        free(whole);
        free(single);
        free(cut);
        rd_buffer_deinit(&bytes);
    }
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
        cmocka_unit_test(test_which_commands_need_a_token),
        cmocka_unit_test(test_client),
        cmocka_unit_test(test_catalog),
        cmocka_unit_test(test_commands_that_are_not_served),
        cmocka_unit_test(test_arity_of_every_command),
        cmocka_unit_test(test_quotes),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_a_line_that_does_not_end),
        cmocka_unit_test(test_long_values),
        cmocka_unit_test(test_a_long_key_before_a_long_value),
        cmocka_unit_test(test_a_stream_that_breaks),
        cmocka_unit_test(test_a_command_that_is_refused_before_its_end),
        cmocka_unit_test(test_a_refusal_does_not_go_by_how_a_command_comes),
        cmocka_unit_test(test_short_commands_are_refused_when_they_are_queued),
        cmocka_unit_test(test_many_arguments),
        cmocka_unit_test(test_filling),
        cmocka_unit_test(test_random_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
