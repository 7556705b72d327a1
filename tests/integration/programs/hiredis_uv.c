/* SPDX-License-Identifier: MIT
 *
 * hiredis_uv.c - hiredis on a libuv loop, with its own adapter, against HOST PORT: many commands in flight, each
 * answered by a callback in the order sent. Prints how many; ends with 1 at the first wrong answer. */
#include <hiredis/adapters/libuv.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <uv.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMMANDS 5000

static intptr_t answered;

static void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static void on_set(redisAsyncContext *context, void *reply, void *number)
{
    const redisReply *answer = reply;
    (void)context;
    if (answer == NULL || answer->type != REDIS_REPLY_STATUS || (intptr_t)number != answered++ / 2)
        fail("set");
}

static void on_get(redisAsyncContext *context, void *reply, void *number)
{
    const redisReply *answer = reply;
    char expected[32];
    snprintf(expected, sizeof expected, "value %ld", (long)(intptr_t)number);
    if (answer == NULL || answer->type != REDIS_REPLY_STRING || strcmp(answer->str, expected) != 0 ||
        (intptr_t)number != answered++ / 2)
        fail("get");
    if ((intptr_t)number == COMMANDS - 1)
        redisAsyncDisconnect(context);
}

static void on_connect(const redisAsyncContext *context, int status)
{
    if (status != REDIS_OK)
        fail(context->errstr);
}

static void on_disconnect(const redisAsyncContext *context, int status)
{
    if (status != REDIS_OK)
        fail(context->errstr);
    printf("%ld answers\n", (long)answered);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    uv_loop_t *loop = uv_default_loop();
    redisAsyncContext *context = redisAsyncConnect(argv[1], atoi(argv[2]));
    if (context == NULL || context->err != 0)
        fail("connect");
    redisLibuvAttach(context, loop);
    redisAsyncSetConnectCallback(context, on_connect);
    redisAsyncSetDisconnectCallback(context, on_disconnect);
    for (intptr_t i = 0; i < COMMANDS; i++) {
        char value[32];
        snprintf(value, sizeof value, "value %ld", (long)i);
        redisAsyncCommand(context, on_set, (void *)i, "SET uv-%d %s", (int)i, value);
        redisAsyncCommand(context, on_get, (void *)i, "GET uv-%d", (int)i);
    }
    uv_run(loop, UV_RUN_DEFAULT);
    return answered == 2 * COMMANDS ? 0 : 1;
}
