/* SPDX-License-Identifier: MIT */
#include "protocol/redis_local.h"

#include <stdio.h>
#include <stdlib.h>

#include "protocol/redis_command.h"
#include "protocol/redis_multi.h"
#include "protocol/resp_put.h"

static bool is_resp3(const struct rd_redis_ask *ask)
{
    return ask->state->resp3;
}

static void reply_bulk(struct rd_redis_ask *ask, struct rd_slice bytes)
{
    struct rd_buffer answer;
    rd_buffer_init(&answer, 0);
    rd_resp_put_bulk(&answer, bytes);
    rd_redis_ask_reply_buffer(ask, &answer);
}

/* ---- the connection ---------------------------------------------------------------------------------------- */

void rd_redis_parse_ping(struct rd_redis_ask *ask)
{
    if (ask->arg_count == 1)
        rd_redis_ask_reply(ask, "+PONG\r\n");
    else if (ask->arg_count == 2)
        reply_bulk(ask, rd_redis_ask_arg(ask, 1));
    else
        rd_redis_ask_refuse(ask, "ERR wrong number of arguments for 'ping' command");
}

void rd_redis_parse_echo(struct rd_redis_ask *ask)
{
    reply_bulk(ask, rd_redis_ask_arg(ask, 1));
}

void rd_redis_parse_quit(struct rd_redis_ask *ask)
{
    rd_redis_ask_reply(ask, "+OK\r\n");
    ask->request->close_after = true;
}

void rd_redis_parse_reset(struct rd_redis_ask *ask)
{
    struct rd_redis_state *state = ask->state;
    rd_redis_multi_reset(&state->multi);
    rd_redis_multi_unwatch(state);
    state->resp3 = false;
    state->store_len = 0;
    state->name[0] = '\0';
    rd_redis_ask_reply(ask, "+RESET\r\n");
    ask->request->token_use = RD_MESSAGE_TOKEN_FORGOTTEN;
}

/* See struct rd_redis_before. */
static void keep_before(struct rd_redis_state *state)
{
    struct rd_redis_before *before = &state->before;
    before->kept = true;
    before->resp3 = state->resp3;
    before->store_len = state->store_len;
    memcpy(before->store, state->store, sizeof before->store);
}

void rd_redis_parse_select(struct rd_redis_ask *ask)
{
    keep_before(ask->state);
    if (rd_redis_ask_database(ask, 1, ask->state->store, &ask->state->store_len))
        rd_redis_ask_reply(ask, "+OK\r\n");
}

/* There is one user, `default`, whose passwords are the tokens. */
static bool is_known_user(const struct rd_redis_ask *ask, size_t i)
{
    return rd_slice_equal(rd_redis_ask_arg(ask, i), rd_slice_of_string("default"));
}

static void show_token(struct rd_redis_ask *ask, size_t i)
{
    ask->state->before.shows = true;
    ask->request->token_use = RD_MESSAGE_TOKEN_SHOWN;
    ask->request->token = rd_redis_ask_arg(ask, i);
}

void rd_redis_parse_auth(struct rd_redis_ask *ask)
{
    if (ask->arg_count > 3) {
        rd_redis_ask_refuse(ask, "ERR syntax error");
    } else if (ask->arg_count == 3 && !is_known_user(ask, 1)) {
        rd_redis_ask_refuse(ask, RD_REDIS_WRONG_PASSWORD);
    } else {
        show_token(ask, ask->arg_count - 1);
        if (ask->arg_count == 3)
            rd_redis_ask_operation(ask, RD_OPCODE_AUTH, RD_REDIS_AUTHED_AS);
    }
}

/* What may stand behind HELLO's version. False: the command has been refused. */
static bool take_hello_options(struct rd_redis_ask *ask)
{
    for (size_t i = 2; i < ask->arg_count; i++) {
        size_t more = ask->arg_count - 1 - i;
        if (rd_redis_ask_is(ask, i, "auth") && more >= 2) {
            if (!is_known_user(ask, i + 1)) {
                rd_redis_ask_refuse(ask, RD_REDIS_WRONG_PASSWORD);
                return false;
            }
            i += 2;
            show_token(ask, i);
        } else if (rd_redis_ask_is(ask, i, "setname") && more >= 1) {
            if (!rd_redis_client_set_name(ask, ++i))
                return false;
        } else {
            struct rd_slice option = rd_redis_ask_arg(ask, i);
            rd_redis_ask_refuse(ask, "ERR Syntax error in HELLO option '%.*s'",
                                (int)(option.len < 128 ? option.len : 128), (const char *)option.data);
            return false;
        }
    }
    return true;
}

void rd_redis_parse_hello(struct rd_redis_ask *ask)
{
    int64_t version = is_resp3(ask) ? 3 : 2;
    if (ask->arg_count > 1 && !rd_resp_parse_integer(rd_redis_ask_arg(ask, 1), &version)) {
        rd_redis_ask_refuse(ask, "ERR Protocol version is not an integer or out of range");
        return;
    }
    if (version != 2 && version != 3) {
        rd_redis_ask_refuse(ask, "NOPROTO unsupported protocol version");
        return;
    }
    if (!take_hello_options(ask))
        return;
    keep_before(ask->state);
    ask->state->resp3 = version == 3;
    ask->request->codec_flags &= ~RD_REDIS_FLAG_RESP3;
    ask->request->codec_flags |= version == 3 ? RD_REDIS_FLAG_RESP3 : 0;
}

/* ---- the server -------------------------------------------------------------------------------------------- */

/* The sections' names, as redis_info takes them. */
void rd_redis_parse_info(struct rd_redis_ask *ask)
{
    struct rd_buffer names;
    rd_buffer_init(&names, 0);
    for (size_t i = 1; i < ask->arg_count; i++) {
        struct rd_slice name = rd_redis_ask_arg(ask, i);
        for (size_t j = 0; j < name.len; j++)
            rd_buffer_append_u8(&names, rd_lower_case(name.data[j]));
        rd_buffer_append_u8(&names, '\n');
    }
    rd_redis_ask_reply_buffer(ask, &names);
    ask->request->with_stores = true;
    if (ask->request->status == RD_OK)
        rd_redis_ask_operation(ask, RD_OPCODE_SERVER, RD_REDIS_INFO);
}

/* Done once everything that was written before is on the disk, whatever was asked for then. */
void rd_redis_parse_save(struct rd_redis_ask *ask)
{
    ask->request->durability = RD_MESSAGE_DURABILITY_SYNC;
}

/* Compacts the database's store; nobody waits for the end of it. */
void rd_redis_parse_bgrewriteaof(struct rd_redis_ask *ask)
{
    ask->request->in_background = true;
}

/* There are no replicas to wait for. */
void rd_redis_parse_wait(struct rd_redis_ask *ask)
{
    int64_t replicas;
    int64_t timeout_ms;
    if (!rd_redis_ask_integer(ask, 1, &replicas))
        return;
    if (!rd_resp_parse_integer(rd_redis_ask_arg(ask, 2), &timeout_ms))
        rd_redis_ask_refuse(ask, "ERR timeout is not an integer or out of range");
    else if (timeout_ms < 0)
        rd_redis_ask_refuse(ask, "ERR timeout is negative");
    else
        rd_redis_ask_reply(ask, ":0\r\n");
}

/* ---- containers -------------------------------------------------------------------------------------------- */

static void upper_case(const char *name, char *to, size_t to_size)
{
    size_t i = 0;
    for (; name[i] != '\0' && i + 1 < to_size; i++)
        to[i] = name[i] >= 'a' && name[i] <= 'z' ? (char)(name[i] - 'a' + 'A') : name[i];
    to[i] = '\0';
}

void rd_redis_parse_container(struct rd_redis_ask *ask)
{
    char full[64];
    char upper[32];
    struct rd_slice word = rd_redis_ask_arg(ask, 1);
    int shown = (int)(word.len < 128 ? word.len : 128);
    int len = snprintf(full, sizeof full, "%s|%.*s", ask->command->name, shown, (const char *)word.data);
    const struct rd_redis_command *command = NULL;
    if ((size_t)len < sizeof full)
        command = rd_redis_command_find(rd_slice_of_string(full), true);
    if (command == NULL) {
        upper_case(ask->command->name, upper, sizeof upper);
        rd_redis_ask_refuse(ask, "ERR unknown subcommand '%.*s'. Try %s HELP.", shown, (const char *)word.data,
                            upper);
    } else if (!rd_redis_command_takes(command, ask->arg_count)) {
        rd_redis_ask_refuse(ask, "ERR wrong number of arguments for '%s' command", command->name);
    } else {
        ask->command = command;
        rd_redis_ask_operation(ask, command->opcode, command->answer);
        command->parse(ask);
    }
}

/* A line for each subcommand of the container that was asked. */
void rd_redis_parse_help(struct rd_redis_ask *ask)
{
    size_t container_len = (size_t)(strchr(ask->command->name, '|') - ask->command->name) + 1;
    char upper[32];
    struct rd_buffer lines;
    struct rd_buffer answer;
    size_t count = 0;
    rd_buffer_init(&lines, 0);
    rd_buffer_init(&answer, 0);
    for (size_t i = 0; i < rd_redis_command_count; i++) {
        const struct rd_redis_command *command = &rd_redis_commands[i];
        if (strncmp(command->name, ask->command->name, container_len) != 0)
            continue;
        upper_case(command->name + container_len, upper, sizeof upper);
        rd_buffer_printf(&lines, "+%s\r\n+    %s.\r\n", upper, command->summary);
        count += 2;
    }
    rd_resp_put_array(&answer, count);
    rd_buffer_append_slice(&answer, rd_buffer_slice(&lines));
    answer.failed |= lines.failed;
    rd_buffer_deinit(&lines);
    rd_redis_ask_reply_buffer(ask, &answer);
}
