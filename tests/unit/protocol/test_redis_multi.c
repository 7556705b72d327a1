/* SPDX-License-Identifier: MIT
 *
 * The Redis codec's transactions: what MULTI queues, what EXEC makes of it, and what WATCH leaves for it. */
#include "tests/unit/protocol/redis_feed.h"

static void test_writes_become_one(void **state)
{
    (void)state;
    expect_commands(
        "MULTI\nSET a 1\nDEL b c\nSETNX d 2\nEXEC\nGET a",
        "+OK\n+QUEUED\n+QUEUED\n+QUEUED\n"
        "transaction [ key=a value=1] [delete key=b] [delete key=c] [ key=d value=2 if=absent] creates "
        "-> exec\nread key=a -> value\n");
    expect_commands("MULTI\nMSET e 3 f 4\nSET g 5 XX\nDEL h\nEXEC",
                    "+OK\n+QUEUED\n+QUEUED\n+QUEUED\ntransaction [ key=e value=3] [ key=f value=4] "
                    "[ key=g value=5 if=present] [delete key=h] creates -> exec\n");
    expect_commands("MULTI\nDEL a\nEXEC", "+OK\n+QUEUED\ntransaction [delete key=a] -> exec\n");
}

static void test_reads_become_one_look(void **state)
{
    (void)state;
    expect_commands(
        "MULTI\nGET a\nMGET b c\nSTRLEN d\nEXISTS a b\nTYPE e\nGETRANGE f 1 2\nEXISTS g\nEXEC",
        "+OK\n+QUEUED\n+QUEUED\n+QUEUED\n-ERR exists would give the transaction more keys than this server "
        "takes at once\n-ERR type would give the transaction more keys than this server takes at once\n"
        "-ERR getrange would give the transaction more keys than this server takes at once\n"
        "-ERR exists would give the transaction more keys than this server takes at once\n"
        "-EXECABORT Transaction discarded because of previous errors.\n");
    expect_commands(
        "MULTI\nGET a\nMGET b c\nSTRLEN d\nEXEC",
        "+OK\n+QUEUED\n+QUEUED\n+QUEUED\nbatch_read [ key=a] [ key=b] [ key=c] [tell key=d] -> exec\n");
    expect_commands(
        "MULTI\nEXISTS a b\nTYPE e\nGETRANGE f 1 2\nEXEC",
        "+OK\n+QUEUED\n+QUEUED\n+QUEUED\nbatch_read [tell key=a] [tell key=b] [tell key=e] [ key=f] -> exec\n");
}

static void test_looks_come_before_changes(void **state)
{
    (void)state;
    expect_commands(
        "MULTI\nGET a\nSET a 1\nGETSET b 2\nGETDEL c\nSET d 3 NX GET\nEXEC",
        "+OK\n+QUEUED\n+QUEUED\n+QUEUED\n+QUEUED\n+QUEUED\n"
        "transaction <show key=a> <show key=b> <show key=c> <show key=d> [ key=a value=1] [ key=b value=2] "
        "[delete key=c] [ key=d value=3 if=absent] creates -> exec\n");
    expect_commands("MULTI\nSTRLEN a\nEXISTS b c\nTYPE d\nDEL e\nEXEC",
                    "+OK\n+QUEUED\n+QUEUED\n+QUEUED\n+QUEUED\ntransaction <tell key=a> <tell key=b> <tell key=c> "
                    "<tell key=d> [delete key=e] -> exec\n");
}

#define READ_BEHIND_WRITE                                                                                         \
    "-EXECABORT Transaction discarded because a read in it would have to see one of its own writes, which "       \
    "cannot "                                                                                                     \
    "be done here\n"

static void test_a_read_behind_a_write_is_refused(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "MULTI\nSET a 1\nGET a\nEXEC",         "MULTI\nDEL a\nEXISTS a\nEXEC",
        "MULTI\nSET a 1\nMGET b a\nEXEC",      "MULTI\nSET a 1\nGETSET a 2\nEXEC",
        "MULTI\nGETDEL a\nGET a\nEXEC",        "MULTI\nMSET x 1 a 2\nSTRLEN a\nEXEC",
        "MULTI\nGETSET a 1\nGETSET a 2\nEXEC",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        char lines[200];
        snprintf(lines, sizeof lines, "%s\nGET a", refused[i]);
        expect_commands(lines, "+OK\n+QUEUED\n+QUEUED\n" READ_BEHIND_WRITE "read key=a -> value\n");
    }
    static const struct {
        const char *lines;
        const char *last;
    } allowed[] = {
        {"MULTI\nGET a\nSET a 1\nEXEC", "transaction <show key=a> [ key=a value=1] creates -> exec\n"},
        {"MULTI\nSET aa 1\nGET a\nEXEC", "transaction <show key=a> [ key=aa value=1] creates -> exec\n"},
        {"MULTI\nSET a 1\nGET aa\nEXEC", "transaction <show key=aa> [ key=a value=1] creates -> exec\n"},
        {"MULTI\nSET a 1\nDEL a\nEXEC", "transaction [ key=a value=1] [delete key=a] creates -> exec\n"},
        {"MULTI\nDEL a\nSETNX a 1\nEXEC",
         "transaction [delete key=a] [ key=a value=1 if=absent] creates -> exec\n"},
    };
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++) {
        char expected[200];
        snprintf(expected, sizeof expected, "+OK\n+QUEUED\n+QUEUED\n%s", allowed[i].last);
        expect_commands(allowed[i].lines, expected);
    }
}

static void test_what_needs_no_store(void **state)
{
    (void)state;
    expect_commands("MULTI\nEXEC", "+OK\nping -> exec\n");
    expect_commands("MULTI\nPING\nECHO x\nEXEC", "+OK\n+QUEUED\n+QUEUED\nping -> exec\n");
    expect_commands("MULTI\nPING\nGET a\nEXEC", "+OK\n+QUEUED\n+QUEUED\nbatch_read [ key=a] -> exec\n");
}

static void test_what_cannot_be_queued(void **state)
{
    (void)state;
#define ABORTED "-EXECABORT Transaction discarded because of previous errors.\n"
    expect_commands("MULTI\nSET a 1\nwhat\nSET b 2\nEXEC\nGET a",
                    "+OK\n+QUEUED\n-ERR unknown command 'what', with args beginning with: \n+QUEUED\n" ABORTED
                    "read key=a -> value\n");
    expect_commands("MULTI\nGET\nEXEC", "+OK\n-ERR wrong number of arguments for 'get' command\n" ABORTED);
    expect_commands("MULTI\nSET a 1 EX\nEXEC", "+OK\n-ERR syntax error\n" ABORTED);
    expect_commands("MULTI\nSAVE\nEXEC", "+OK\n-ERR Command not allowed inside a transaction\n" ABORTED);
    static const char *const alone[] = {
        "SELECT 1", "HELLO 3",      "CLIENT SETNAME x", "AUTH x", "RENAME a b", "COPY a b",
        "MOVE a 1", "RENAMENX a b", "MSETNX a 1",       "DBSIZE", "TIME",       "CLIENT LIST",
        "INFO",     "LASTSAVE",     "BGREWRITEAOF"};
    for (size_t i = 0; i < sizeof alone / sizeof alone[0]; i++) {
        char lines[200];
        char expected[200];
        char name[32];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(alone[i], " "), alone[i]);
        for (char *c = name; *c != '\0'; c++)
            *c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
        snprintf(lines, sizeof lines, "MULTI\n%s\nEXEC\nGET a\nCLIENT GETNAME", alone[i]);
        snprintf(expected, sizeof expected,
                 "+OK\n-ERR '%s' cannot be part of a transaction here\n" ABORTED "read key=a -> value\n$-1\n",
                 name);
        expect_commands(lines, expected);
    }
}

static void test_order_of_commands(void **state)
{
    (void)state;
    expect_commands(
        "EXEC\nDISCARD\nMULTI\nMULTI\nDISCARD\nEXEC",
        "-ERR EXEC without MULTI\n-ERR DISCARD without MULTI\n+OK\n-ERR MULTI calls can not be nested\n+OK\n"
        "-ERR EXEC without MULTI\n");
    expect_commands("MULTI\nSET a 1\nDISCARD\nGET a", "+OK\n+QUEUED\n+OK\nread key=a -> value\n");
    expect_commands("MULTI\nSET a 1\nRESET\nEXEC", "+OK\n+QUEUED\n+RESET\n-ERR EXEC without MULTI\n");
    expect_commands("MULTI\nSET a 1\nQUIT", "+OK\n+QUEUED\n+OK close\nclosed\n");
    expect_commands(
        "MULTI\nMULTI\nSET a 1\nEXEC",
        "+OK\n-ERR MULTI calls can not be nested\n+QUEUED\ntransaction [ key=a value=1] creates -> exec\n");
}

static void test_watching(void **state)
{
    (void)state;
    expect_commands(
        "WATCH a\nMULTI\nUNWATCH\nSET a 1\nEXEC",
        "watch guards *a -> ok\n+OK\n+QUEUED\n+QUEUED\ntransaction [ key=a value=1] guards a creates -> "
        "exec\n");
    expect_commands("WATCH a b\nWATCH c\nMULTI\nSET a 1\nEXEC\nMULTI\nSET a 1\nEXEC",
                    "watch guards *a *b -> ok\nwatch guards a b *c -> ok\n+OK\n+QUEUED\n"
                    "transaction [ key=a value=1] guards a b c creates -> exec\n+OK\n+QUEUED\n"
                    "transaction [ key=a value=1] creates -> exec\n");
    expect_commands("WATCH a\nMULTI\nGET b\nEXEC",
                    "watch guards *a -> ok\n+OK\n+QUEUED\nbatch_read [ key=b] guards a -> exec\n");
    expect_commands("WATCH a\nMULTI\nEXEC", "watch guards *a -> ok\n+OK\nbatch_read guards a -> exec\n");
    expect_commands("WATCH a\nUNWATCH\nMULTI\nSET a 1\nEXEC",
                    "watch guards *a -> ok\n+OK\n+OK\n+QUEUED\ntransaction [ key=a value=1] creates -> exec\n");
    expect_commands(
        "WATCH a\nMULTI\nDISCARD\nMULTI\nSET a 1\nEXEC",
        "watch guards *a -> ok\n+OK\n+OK\n+OK\n+QUEUED\ntransaction [ key=a value=1] creates -> exec\n");
    expect_commands("WATCH a\nMULTI\nwhat\nEXEC\nMULTI\nSET a 1\nEXEC",
                    "watch guards *a -> ok\n+OK\n-ERR unknown command 'what', with args beginning with: \n" ABORTED
                    "+OK\n+QUEUED\ntransaction [ key=a value=1] creates -> exec\n");
    expect_commands("MULTI\nWATCH a\nSET a 1\nEXEC", "+OK\n-ERR WATCH inside MULTI is not allowed\n+QUEUED\n"
                                                     "transaction [ key=a value=1] creates -> exec\n");
}

static void test_watching_in_several_databases(void **state)
{
    (void)state;
    expect_commands(
        "SELECT 2\nWATCH a\nSELECT 3\nWATCH b\nMULTI\nSET a 1\nEXEC\nMULTI\nSET a 1\nEXEC",
        "+OK\nwatch store=db2 guards *a -> ok\n+OK\n-ERR the keys that are watched already are of another "
        "database, and all must be of one\n+OK\n+QUEUED\n-EXECABORT Transaction discarded because the keys "
        "that are watched are of another database\n+OK\n+QUEUED\n"
        "transaction store=db3 [ key=a value=1] creates -> exec\n");
    expect_commands("SELECT 2\nWATCH a\nSELECT 3\nSELECT 2\nMULTI\nSET a 1\nEXEC",
                    "+OK\nwatch store=db2 guards *a -> ok\n+OK\n+OK\n+OK\n+QUEUED\n"
                    "transaction store=db2 [ key=a value=1] guards a creates -> exec\n");
}

static void test_limits_of_a_transaction(void **state)
{
    (void)state;
    expect_commands("WATCH a b c d\nWATCH e\nMULTI\nEXEC",
                    "watch guards *a *b *c *d -> ok\n-ERR more keys would be watched than this server takes\n+OK\n"
                    "batch_read guards a b c d -> exec\n");
    expect_commands("WATCH a b\nWATCH c d\nWATCH e", "watch guards *a *b -> ok\nwatch guards a b *c *d -> ok\n"
                                                     "-ERR more keys would be watched than this server takes\n");
    expect_commands("WATCH a b c d e", "-ERR more keys would be watched than this server takes\n");
    expect_commands(
        "MULTI\nMSET a 1 b 2 c 3 d 4\nSET e 5\nEXEC",
        "+OK\n+QUEUED\n-ERR set would give the transaction more keys than this server takes at once\n" ABORTED);
    /* Two values of more than half of what a request may have. */
    struct rd_buffer bytes;
    rd_buffer_init(&bytes, 0);
    rd_buffer_append_string(&bytes, "MULTI\r\n");
    for (int i = 0; i < 2; i++)
        rd_buffer_printf(&bytes, "*3\r\n$3\r\nSET\r\n$1\r\n%d\r\n$600000\r\n%0600000d\r\n", i, i);
    rd_buffer_append_string(&bytes, "EXEC\r\nPING\r\n");
    expect_log("a large transaction", bytes.data, bytes.len,
               "+OK\n+QUEUED\n-ERR set would make the transaction larger than this server takes\n" ABORTED
               "+PONG\n");
    rd_buffer_clear(&bytes);
    rd_buffer_printf(&bytes, "MULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1100000\r\n%01100000d\r\nEXEC\r\n", 0);
    expect_log("a value that cannot stream", bytes.data, bytes.len,
               "+OK\n-ERR the command is longer than this server takes\n" ABORTED);
    rd_buffer_deinit(&bytes);
}

/* A transaction that is never finished is not forgotten either. */
static void test_ends_in_the_middle(void **state)
{
    (void)state;
    expect_commands("WATCH a\nMULTI\nSET a 1\nGET b", "watch guards *a -> ok\n+OK\n+QUEUED\n+QUEUED\n");
}

/* EXEC's request outlives its decoder, and owns all it names. */
static void test_a_request_outlives_its_decoder(void **state)
{
    (void)state;
    struct rd_limits limits = test_limits();
    struct rd_decoder *decoder = rd_redis_codec.create(&limits);
    struct rd_slice input = rd_slice_of_string("WATCH a\r\nMULTI\r\nSET k value\r\nGET other\r\nEXEC\r\n");
    struct rd_request *request = NULL;
    struct rd_request *exec = NULL;
    while (rd_redis_codec.decode(decoder, &input, &request) == RD_DECODE_REQUEST) {
        rd_request_destroy(exec);
        exec = request;
    }
    rd_redis_codec.destroy(decoder);
    assert_non_null(exec);
    struct rd_buffer log;
    rd_buffer_init(&log, 0);
    dump(&log, exec);
    rd_buffer_append_u8(&log, 0);
    assert_string_equal(log.data, "transaction <show key=other> [ key=k value=value] guards a creates -> exec\n");
    rd_buffer_deinit(&log);
    rd_request_destroy(exec);
}

int main(void)
{
    seed_random();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writes_become_one),
        cmocka_unit_test(test_reads_become_one_look),
        cmocka_unit_test(test_looks_come_before_changes),
        cmocka_unit_test(test_a_read_behind_a_write_is_refused),
        cmocka_unit_test(test_what_needs_no_store),
        cmocka_unit_test(test_what_cannot_be_queued),
        cmocka_unit_test(test_order_of_commands),
        cmocka_unit_test(test_watching),
        cmocka_unit_test(test_watching_in_several_databases),
        cmocka_unit_test(test_limits_of_a_transaction),
        cmocka_unit_test(test_ends_in_the_middle),
        cmocka_unit_test(test_a_request_outlives_its_decoder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
