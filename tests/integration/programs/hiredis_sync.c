/* SPDX-License-Identifier: MIT
 *
 * hiredis_sync.c - the blocking face of hiredis against a server that is given as HOST PORT: each step as a
 * program would do it. Prints a line for each step that was right; ends with 1 at the first that was not. */
#include <hiredis/hiredis.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIPELINED 2000
#define LONG_LEN  (3u << 20)

static redisContext *context;

static void check(const char *step, int right)
{
    if (!right) {
        fprintf(stderr, "%s: %s\n", step, context->err != 0 ? context->errstr : "another answer");
        exit(1);
    }
    printf("%s\n", step);
}

/* Whether the answer is of that kind, and its text that one where it is not NULL. Frees it. */
static int is(redisReply *reply, int type, const char *text)
{
    int right = reply != NULL && reply->type == type && (text == NULL || strcmp(reply->str, text) == 0);
    freeReplyObject(reply);
    return right;
}

static void strings(void)
{
    static const char binary[] = "a\0b\r\n\xff";
    check("ping", is(redisCommand(context, "PING"), REDIS_REPLY_STATUS, "PONG"));
    check("set", is(redisCommand(context, "SET %s %s", "hiredis", "value"), REDIS_REPLY_STATUS, "OK"));
    check("get", is(redisCommand(context, "GET hiredis"), REDIS_REPLY_STRING, "value"));
    check("missing", is(redisCommand(context, "GET hiredis-none"), REDIS_REPLY_NIL, NULL));
    check("set binary", is(redisCommand(context, "SET %b %b", binary, sizeof binary, binary, sizeof binary),
                           REDIS_REPLY_STATUS, "OK"));
    redisReply *reply = redisCommand(context, "GET %b", binary, sizeof binary);
    check("get binary", reply != NULL && reply->type == REDIS_REPLY_STRING && reply->len == sizeof binary &&
                            memcmp(reply->str, binary, sizeof binary) == 0);
    freeReplyObject(reply);
    check("error", is(redisCommand(context, "LPUSH hiredis x"), REDIS_REPLY_ERROR, NULL));
    reply = redisCommand(context, "DEL hiredis hiredis-none");
    check("del", reply != NULL && reply->type == REDIS_REPLY_INTEGER && reply->integer == 1);
    freeReplyObject(reply);
}

static void transactions(void)
{
    check("multi", is(redisCommand(context, "MULTI"), REDIS_REPLY_STATUS, "OK"));
    check("queue", is(redisCommand(context, "SET hiredis-t 1"), REDIS_REPLY_STATUS, "QUEUED"));
    check("queue more", is(redisCommand(context, "SETNX hiredis-t 2"), REDIS_REPLY_STATUS, "QUEUED"));
    redisReply *reply = redisCommand(context, "EXEC");
    check("exec", reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
                      strcmp(reply->element[0]->str, "OK") == 0 && reply->element[1]->integer == 0);
    freeReplyObject(reply);
}

static void pipeline(void)
{
    for (int i = 0; i < PIPELINED; i++) {
        redisAppendCommand(context, "SET hiredis-%d %d", i, i);
        redisAppendCommand(context, "GET hiredis-%d", i);
    }
    int right = 1;
    for (int i = 0; i < PIPELINED && right; i++) {
        char expected[16];
        void *set = NULL;
        void *get = NULL;
        snprintf(expected, sizeof expected, "%d", i);
        right = redisGetReply(context, &set) == REDIS_OK && is(set, REDIS_REPLY_STATUS, "OK") &&
                redisGetReply(context, &get) == REDIS_OK && is(get, REDIS_REPLY_STRING, expected);
    }
    check("pipeline", right);
}

static void long_value(void)
{
    char *value = malloc(LONG_LEN);
    for (size_t i = 0; i < LONG_LEN; i++)
        value[i] = (char)(i * 7 >> 3);
    check("set long",
          is(redisCommand(context, "SET hiredis-long %b", value, (size_t)LONG_LEN), REDIS_REPLY_STATUS, "OK"));
    redisReply *reply = redisCommand(context, "GET hiredis-long");
    check("get long", reply != NULL && reply->type == REDIS_REPLY_STRING && reply->len == LONG_LEN &&
                          memcmp(reply->str, value, LONG_LEN) == 0);
    freeReplyObject(reply);
    free(value);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    context = redisConnect(argv[1], atoi(argv[2]));
    check("connect", context != NULL && context->err == 0);
    strings();
    transactions();
    pipeline();
    long_value();
    redisFree(context);
    return 0;
}
