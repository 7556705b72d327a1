/* SPDX-License-Identifier: MIT
 *
 * redis_command.h - the one table of the Redis commands that are served: how each is parsed, and what COMMAND and
 * docs/REDIS.md say of it. The tests walk it through COMMAND. What Redis has beyond it is refused with a reason
 * (rd_redis_refusal).
 *
 * Constant; any thread.
 */
#ifndef RD_PROTOCOL_REDIS_COMMAND_H
#define RD_PROTOCOL_REDIS_COMMAND_H

#include "protocol/redis_ask.h"

/* Flags as COMMAND lists them, in its order; then its categories, in theirs; then what only matters here. */
enum rd_redis_flag {
    RD_REDIS_WRITE = 1 << 0,
    RD_REDIS_READONLY = 1 << 1,
    RD_REDIS_DENYOOM = 1 << 2,
    RD_REDIS_ADMIN = 1 << 3,
    RD_REDIS_NOSCRIPT = 1 << 4,
    RD_REDIS_LOADING = 1 << 5,
    RD_REDIS_STALE = 1 << 6,
    RD_REDIS_SKIP_SLOWLOG = 1 << 7,
    RD_REDIS_FAST = 1 << 8,
    RD_REDIS_NO_AUTH = 1 << 9,
    RD_REDIS_NO_ASYNC_LOADING = 1 << 10,
    RD_REDIS_NO_MULTI = 1 << 11,
    RD_REDIS_ALLOW_BUSY = 1 << 12,

    RD_REDIS_CAT_KEYSPACE = 1 << 13,
    RD_REDIS_CAT_STRING = 1 << 14,
    RD_REDIS_CAT_DANGEROUS = 1 << 15,
    RD_REDIS_CAT_CONNECTION = 1 << 16,
    RD_REDIS_CAT_TRANSACTION = 1 << 17,
    RD_REDIS_CAT_ADMIN = 1 << 18, /* also of what has the flag */

    RD_REDIS_AT_ONCE = 1 << 19, /* is never queued by MULTI */
    RD_REDIS_ALONE = 1 << 20,   /* cannot be queued by MULTI here, though Redis does it */
    RD_REDIS_STREAMS = 1 << 21  /* the second argument may be longer than a request: it comes in parts */
};

struct rd_redis_command {
    const char *name; /* lower case; "client|id" for a subcommand */
    int arity;        /* with the name; below 0: at least so many */
    uint32_t flags;
    int first_key; /* where keys stand among the arguments, as COMMAND says it */
    int last_key;
    int key_step;
    void (*parse)(struct rd_redis_ask *ask);
    enum rd_opcode opcode;       /* what the request begins as, and ... */
    enum rd_redis_answer answer; /* ... how it is answered, unless parse decides otherwise */
    const char *group;
    const char *since; /* the version of Redis that brought it */
    const char *complexity;
    const char *summary;
};

extern const struct rd_redis_command rd_redis_commands[];
extern const size_t rd_redis_command_count;

/* By a name in either case; subcommands by "client|id" only where `with_subcommands`. NULL: there is none. */
const struct rd_redis_command *rd_redis_command_find(struct rd_slice name, bool with_subcommands);

static inline bool rd_redis_command_is_subcommand(const struct rd_redis_command *command)
{
    return strchr(command->name, '|') != NULL;
}

/* Whether so many arguments, with the name, are right. */
bool rd_redis_command_takes(const struct rd_redis_command *command, size_t arg_count);

/* Why a command that Redis has is not served, as a sentence; NULL: Redis has no such command either. */
const char *rd_redis_refusal(struct rd_slice name);

#endif
