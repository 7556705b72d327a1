/* SPDX-License-Identifier: MIT
 *
 * redis_catalog.c - COMMAND and CONFIG GET: what can be asked about the table of commands, and the settings that
 * clients look at.
 */
#include "protocol/redis_command.h"
#include "protocol/redis_local.h"
#include "protocol/resp_put.h"

/* ---- COMMAND ----------------------------------------------------------------------------------------------- */

struct flag_name {
    uint32_t flag;
    const char *name;
};

static const struct flag_name flag_names[] = {
    {RD_REDIS_WRITE, "write"},
    {RD_REDIS_READONLY, "readonly"},
    {RD_REDIS_DENYOOM, "denyoom"},
    {RD_REDIS_ADMIN, "admin"},
    {RD_REDIS_NOSCRIPT, "noscript"},
    {RD_REDIS_LOADING, "loading"},
    {RD_REDIS_STALE, "stale"},
    {RD_REDIS_SKIP_SLOWLOG, "skip_slowlog"},
    {RD_REDIS_FAST, "fast"},
    {RD_REDIS_NO_AUTH, "no_auth"},
    {RD_REDIS_NO_ASYNC_LOADING, "no_async_loading"},
    {RD_REDIS_NO_MULTI, "no_multi"},
    {RD_REDIS_ALLOW_BUSY, "allow_busy"},
};

/* Names and patterns taken by one command: an answer is made in one go, and must not keep others waiting. */
#define ARGS_MAX 1024u

#define SLOW (1u << 31) /* of what is not fast */

static const struct flag_name category_names[] = {
    {RD_REDIS_CAT_KEYSPACE, "@keyspace"},
    {RD_REDIS_READONLY, "@read"},
    {RD_REDIS_WRITE, "@write"},
    {RD_REDIS_CAT_STRING, "@string"},
    {RD_REDIS_ADMIN | RD_REDIS_CAT_ADMIN, "@admin"},
    {RD_REDIS_FAST, "@fast"},
    {SLOW, "@slow"},
    {RD_REDIS_CAT_DANGEROUS, "@dangerous"},
    {RD_REDIS_CAT_CONNECTION, "@connection"},
    {RD_REDIS_CAT_TRANSACTION, "@transaction"},
};
#define COUNT(list) (sizeof(list) / sizeof(list)[0])

static void put_flags(struct rd_buffer *out, uint32_t flags, const struct flag_name *names, size_t name_count,
                      bool resp3)
{
    size_t count = 0;
    for (size_t i = 0; i < name_count; i++)
        count += (flags & names[i].flag) != 0;
    rd_resp_put_set(out, count, resp3);
    for (size_t i = 0; i < name_count; i++)
        if ((flags & names[i].flag) != 0)
            rd_resp_put_simple(out, names[i].name);
}

/* Rows of subcommands stand behind that of their container. */
static size_t count_subcommands(const struct rd_redis_command *container)
{
    size_t len = strlen(container->name);
    const struct rd_redis_command *end = rd_redis_commands + rd_redis_command_count;
    const struct rd_redis_command *at = container + 1;
    while (at != end && strncmp(at->name, container->name, len) == 0 && at->name[len] == '|')
        at++;
    return (size_t)(at - container) - 1;
}

/* A container's elements end with the heads of its subcommands, which are rows of the same kind without any. */
static void put_info(struct rd_buffer *out, const struct rd_redis_command *command, bool resp3)
{
    uint32_t categories = command->flags | ((command->flags & RD_REDIS_FAST) != 0 ? 0 : SLOW);
    rd_resp_put_array(out, 10);
    rd_resp_put_text(out, command->name);
    rd_resp_put_integer(out, command->arity);
    put_flags(out, command->flags, flag_names, COUNT(flag_names), resp3);
    rd_resp_put_integer(out, command->first_key);
    rd_resp_put_integer(out, command->last_key);
    rd_resp_put_integer(out, command->key_step);
    put_flags(out, categories, category_names, COUNT(category_names), resp3);
    rd_resp_put_array(out, 0);
    rd_resp_put_array(out, 0);
    rd_resp_put_array(out, count_subcommands(command));
}

static void put_whole_info(struct rd_buffer *out, const struct rd_redis_command *command, bool resp3)
{
    put_info(out, command, resp3);
    size_t count = count_subcommands(command);
    for (size_t i = 1; i <= count; i++)
        put_info(out, command + i, resp3);
}

static void put_document(struct rd_buffer *out, const struct rd_redis_command *command, bool with_subcommands,
                         bool resp3)
{
    rd_resp_put_text(out, command->name);
    rd_resp_put_map(out, with_subcommands ? 5 : 4, resp3);
    rd_resp_put_text(out, "summary");
    rd_resp_put_text(out, command->summary);
    rd_resp_put_text(out, "since");
    rd_resp_put_text(out, command->since);
    rd_resp_put_text(out, "group");
    rd_resp_put_text(out, command->group);
    rd_resp_put_text(out, "complexity");
    rd_resp_put_text(out, command->complexity);
}

static void put_whole_document(struct rd_buffer *out, const struct rd_redis_command *command, bool resp3)
{
    size_t count = count_subcommands(command);
    put_document(out, command, count != 0, resp3);
    if (count == 0)
        return;
    rd_resp_put_text(out, "subcommands");
    rd_resp_put_map(out, count, resp3);
    for (size_t i = 1; i <= count; i++)
        put_document(out, command + i, false, resp3);
}

static size_t count_commands(void)
{
    size_t count = 0;
    for (size_t i = 0; i < rd_redis_command_count; i++)
        count += !rd_redis_command_is_subcommand(&rd_redis_commands[i]);
    return count;
}

typedef void put_function(struct rd_buffer *out, const struct rd_redis_command *command, bool resp3);

static void put_every(struct rd_buffer *out, put_function *put, bool resp3)
{
    for (size_t i = 0; i < rd_redis_command_count; i++)
        if (!rd_redis_command_is_subcommand(&rd_redis_commands[i]))
            put(out, &rd_redis_commands[i], resp3);
}

static void reply_every_info(struct rd_redis_ask *ask)
{
    struct rd_buffer answer;
    rd_buffer_init(&answer, 0);
    rd_resp_put_array(&answer, count_commands());
    put_every(&answer, put_whole_info, ask->state->resp3);
    rd_redis_ask_reply_buffer(ask, &answer);
}

static bool is_too_many(struct rd_redis_ask *ask)
{
    if (ask->arg_count <= ARGS_MAX)
        return false;
    rd_redis_ask_refuse(ask, "ERR more names than the %u that this server takes at once", ARGS_MAX);
    return true;
}

/* COMMAND alone, or with a second word. */
void rd_redis_parse_command(struct rd_redis_ask *ask)
{
    if (ask->arg_count == 1)
        reply_every_info(ask);
    else
        rd_redis_parse_container(ask);
}

void rd_redis_parse_command_info(struct rd_redis_ask *ask)
{
    struct rd_buffer answer;
    if (ask->arg_count == 2) {
        reply_every_info(ask);
        return;
    }
    if (is_too_many(ask))
        return;
    rd_buffer_init(&answer, 0);
    rd_resp_put_array(&answer, ask->arg_count - 2);
    for (size_t i = 2; i < ask->arg_count; i++) {
        const struct rd_redis_command *command = rd_redis_command_find(rd_redis_ask_arg(ask, i), true);
        if (command != NULL)
            put_whole_info(&answer, command, ask->state->resp3);
        else
            rd_resp_put_null(&answer, ask->state->resp3);
    }
    rd_redis_ask_reply_buffer(ask, &answer);
}

void rd_redis_parse_command_docs(struct rd_redis_ask *ask)
{
    struct rd_buffer answer;
    size_t found = 0;
    if (is_too_many(ask))
        return;
    rd_buffer_init(&answer, 0);
    for (size_t i = 2; i < ask->arg_count; i++)
        found += rd_redis_command_find(rd_redis_ask_arg(ask, i), true) != NULL;
    rd_resp_put_map(&answer, ask->arg_count == 2 ? count_commands() : found, ask->state->resp3);
    if (ask->arg_count == 2)
        put_every(&answer, put_whole_document, ask->state->resp3);
    for (size_t i = 2; i < ask->arg_count; i++) {
        const struct rd_redis_command *command = rd_redis_command_find(rd_redis_ask_arg(ask, i), true);
        if (command != NULL)
            put_whole_document(&answer, command, ask->state->resp3);
    }
    rd_redis_ask_reply_buffer(ask, &answer);
}

void rd_redis_parse_command_count(struct rd_redis_ask *ask)
{
    struct rd_buffer answer;
    rd_buffer_init(&answer, 0);
    rd_resp_put_integer(&answer, (int64_t)count_commands());
    rd_redis_ask_reply_buffer(ask, &answer);
}

void rd_redis_parse_command_list(struct rd_redis_ask *ask)
{
    struct rd_buffer answer;
    if (ask->arg_count != 2) {
        rd_redis_ask_refuse(ask, "ERR COMMAND LIST takes no filter here");
        return;
    }
    rd_buffer_init(&answer, 0);
    rd_resp_put_array(&answer, rd_redis_command_count);
    for (size_t i = 0; i < rd_redis_command_count; i++)
        rd_resp_put_text(&answer, rd_redis_commands[i].name);
    rd_redis_ask_reply_buffer(ask, &answer);
}

/* ---- CONFIG GET -------------------------------------------------------------------------------------------- */

#define SETTING_LEN_MAX 64u /* of a pattern; there are no longer names */

/* What is true of this server among what Redis can be set to. */
static const struct {
    const char *name;
    const char *value;
} settings[] = {
    {"appendonly", "yes"},
    {"databases", "2147483648"},
    {"maxmemory", "0"},
    {"maxmemory-policy", "noeviction"},
    {"proto-max-bulk-len", "536870912"},
    {"save", ""},
};

/* `*` and `?`. Goes back to the last `*` only, so the time is bounded by the product of the lengths. */
static bool matches(struct rd_slice pattern, const char *name)
{
    size_t at = 0;
    size_t star = SIZE_MAX;
    const char *star_name = NULL;
    while (*name != '\0') {
        if (at < pattern.len && pattern.data[at] == '*') {
            star = at++;
            star_name = name;
        } else if (at < pattern.len &&
                   (pattern.data[at] == '?' || rd_lower_case(pattern.data[at]) == (uint8_t)*name)) {
            at++;
            name++;
        } else if (star != SIZE_MAX) {
            at = star + 1;
            name = ++star_name;
        } else {
            return false;
        }
    }
    while (at < pattern.len && pattern.data[at] == '*')
        at++;
    return at == pattern.len;
}

/* The argument that asks for a setting. 0: none does. */
static size_t find_match(const struct rd_redis_ask *ask, const char *name)
{
    for (size_t i = 2; i < ask->arg_count; i++) {
        struct rd_slice pattern = rd_redis_ask_arg(ask, i);
        if (pattern.len <= SETTING_LEN_MAX && matches(pattern, name))
            return i;
    }
    return 0;
}

/* A name that is asked for in capitals is answered so. */
static void put_setting(struct rd_buffer *out, const struct rd_redis_ask *ask, size_t match, size_t setting)
{
    if (rd_redis_ask_is(ask, match, settings[setting].name))
        rd_resp_put_bulk(out, rd_redis_ask_arg(ask, match));
    else
        rd_resp_put_text(out, settings[setting].name);
    rd_resp_put_text(out, settings[setting].value);
}

void rd_redis_parse_config_get(struct rd_redis_ask *ask)
{
    struct rd_buffer answer;
    struct rd_buffer pairs;
    size_t count = 0;
    if (is_too_many(ask))
        return;
    rd_buffer_init(&answer, 0);
    rd_buffer_init(&pairs, 0);
    for (size_t i = 0; i < COUNT(settings); i++) {
        size_t match = find_match(ask, settings[i].name);
        if (match == 0)
            continue;
        put_setting(&pairs, ask, match, i);
        count++;
    }
    rd_resp_put_map(&answer, count, ask->state->resp3);
    rd_buffer_append_slice(&answer, rd_buffer_slice(&pairs));
    answer.failed |= pairs.failed;
    rd_buffer_deinit(&pairs);
    rd_redis_ask_reply_buffer(ask, &answer);
}
