/* SPDX-License-Identifier: MIT
 *
 * The Redis codec's decoder and what comes as a command: input that is not the protocol, long values and keys,
 * commands that are refused before their end, many arguments, and anything at random. */
#include "tests/unit/protocol/redis_feed.h"

#include "protocol/redis_command.h"
#include "protocol/resp_scan.h"

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
        {BYTES("GET / HTTP/1.1\r\nHost: x\r\n"), "silence close\nclosed\n"},
        {BYTES("SET /k HTTP/1.1\r\n"), "silence close\nclosed\n"},
        {BYTES("\r\nDEL /k HTTP/1.0\r\nPING\r\n"), "silence close\nclosed\n"},
        {BYTES("*1\r\n$4\r\nPOST\r\n"), "-ERR unknown command 'POST', with args beginning with: \n"},
        {BYTES("\r\n*2\r\n$4\r\nECHO\r\n$8\r\nHTTP/1.1\r\n"), "$8\\0d\\0aHTTP/1.1\n"},
        {BYTES("ECHO HTTP/1\r\n"), "$6\\0d\\0aHTTP/1\n"},
        {BYTES("ECHO HTTP/1.1-draft\r\n"), "$14\\0d\\0aHTTP/1.1-draft\n"},
        {BYTES("ECHO HTTP/1.5\r\n"), "$8\\0d\\0aHTTP/1.5\n"},
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

/* Adds up what is asked for. */
static enum rd_status add_up(void *context, const struct rd_asking *asking, size_t len, struct rd_error *ret_error)
{
    size_t *sum = context;
    (void)asking;
    (void)ret_error;
    *sum += len;
    return RD_OK;
}

/* Of a command that comes in pieces of 100 bytes, and but for its last one, all is asked for but for a few bytes.
 */
static void expect_asked(struct rd_slice command, size_t kept_len)
{
    size_t asked = 0;
    struct rd_limits limits = test_limits();
    struct feed feed;
    limits.batch_count_max = 2000;
    limits.admit = add_up;
    limits.admit_context = &asked;
    feed_init(&feed, &limits);
    command.len--;
    while (command.len != 0) {
        struct rd_slice piece = rd_slice_take(&command, 100);
        feed_piece(&feed, piece.data, piece.len);
    }
    char *log = feed_end(&feed);
    assert_string_equal(log, "more\n");
    free(log);
    assert_in_range(asked, kept_len - RD_LIMITS_FEW, kept_len);
}

static void test_what_comes_in_small_pieces_is_asked_for(void **state)
{
    (void)state;
    struct rd_buffer command;
    rd_buffer_init(&command, 0);
    rd_buffer_printf(&command, "*4\r\n$3\r\nDEL\r\n$16000\r\n%016000d\r\n$16000\r\n%016000d\r\n$1\r\nk\r\n", 0, 0);
    expect_asked(rd_buffer_slice(&command), 32004 + 4 * sizeof(struct rd_resp_arg));
    rd_buffer_clear(&command);
    rd_buffer_append_string(&command, "*2001\r\n$3\r\nDEL\r\n"); /* of words that are shorter than their places */
    for (int i = 0; i < 2000; i++)
        rd_buffer_append_string(&command, "$0\r\n\r\n");
    expect_asked(rd_buffer_slice(&command), 3 + 2001 * sizeof(struct rd_resp_arg));
    rd_buffer_deinit(&command);
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
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_a_line_that_does_not_end),
        cmocka_unit_test(test_long_values),
        cmocka_unit_test(test_a_long_key_before_a_long_value),
        cmocka_unit_test(test_a_stream_that_breaks),
        cmocka_unit_test(test_a_command_that_is_refused_before_its_end),
        cmocka_unit_test(test_a_refusal_does_not_go_by_how_a_command_comes),
        cmocka_unit_test(test_short_commands_are_refused_when_they_are_queued),
        cmocka_unit_test(test_what_comes_in_small_pieces_is_asked_for),
        cmocka_unit_test(test_many_arguments),
        cmocka_unit_test(test_filling),
        cmocka_unit_test(test_random_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
