/* SPDX-License-Identifier: MIT */
#include "protocol/redis_command.h"

#include "protocol/redis_local.h"
#include "protocol/redis_multi.h"
#include "protocol/redis_request.h"

/* The flags, by shorter names. */
#define WRITE            RD_REDIS_WRITE
#define READONLY         RD_REDIS_READONLY
#define DENYOOM          RD_REDIS_DENYOOM
#define ADMIN            RD_REDIS_ADMIN
#define SKIP_SLOWLOG     RD_REDIS_SKIP_SLOWLOG
#define FAST             RD_REDIS_FAST
#define NO_AUTH          RD_REDIS_NO_AUTH
#define NO_ASYNC_LOADING RD_REDIS_NO_ASYNC_LOADING
#define NO_MULTI         RD_REDIS_NO_MULTI
#define ALLOW_BUSY       RD_REDIS_ALLOW_BUSY
#define AT_ONCE          RD_REDIS_AT_ONCE
#define ALONE            RD_REDIS_ALONE
#define STREAMS          RD_REDIS_STREAMS
#define NOSCRIPT         RD_REDIS_NOSCRIPT
#define ANY_TIME         (RD_REDIS_LOADING | RD_REDIS_STALE)
#define NO_SCRIPT        (NOSCRIPT | ANY_TIME)
#define CAT_ADMIN        RD_REDIS_CAT_ADMIN
#define KEYSPACE         RD_REDIS_CAT_KEYSPACE
#define STRING           RD_REDIS_CAT_STRING
#define DANGEROUS        RD_REDIS_CAT_DANGEROUS
#define CONNECTION       RD_REDIS_CAT_CONNECTION
#define TRANSACTION      RD_REDIS_CAT_TRANSACTION

/* What is asked most comes first, since a name is looked for from the front; subcommands stand behind their
 * container. */
const struct rd_redis_command rd_redis_commands[] = {
    {"get", 2, READONLY | FAST | STRING, 1, 1, 1, rd_redis_parse_key, RD_OPCODE_READ, RD_REDIS_VALUE, "string",
     "1.0.0", "O(1)", "The value of a key"},
    {"set", -3, WRITE | DENYOOM | STREAMS | STRING, 1, 1, 1, rd_redis_parse_set, RD_OPCODE_WRITE, RD_REDIS_OK_IF,
     "string", "1.0.0", "O(1)", "Writes a key's value"},
    {"mget", -2, READONLY | FAST | STRING, 1, -1, 1, rd_redis_parse_keys, RD_OPCODE_BATCH_READ, RD_REDIS_VALUES,
     "string", "1.0.0", "O(N) in the number of keys", "The values of several keys, as one look"},
    {"mset", -3, WRITE | DENYOOM | STRING, 1, -1, 2, rd_redis_parse_mset, RD_OPCODE_BATCH_WRITE, RD_REDIS_OK,
     "string", "1.0.1", "O(N) in the number of keys", "Writes several keys as one"},
    {"ping", -1, FAST | CONNECTION, 0, 0, 0, rd_redis_parse_ping, RD_OPCODE_PING, RD_REDIS_READY, "connection",
     "1.0.0", "O(1)", "Answers PONG, or its argument"},
    {"del", -2, WRITE | KEYSPACE, 1, -1, 1, rd_redis_parse_keys, RD_OPCODE_BATCH_DELETE, RD_REDIS_DELETED,
     "generic", "1.0.0", "O(N) in the number of keys", "Deletes keys as one; answers how many were there"},
    {"exists", -2, READONLY | FAST | KEYSPACE, 1, -1, 1, rd_redis_parse_keys, RD_OPCODE_BATCH_READ, RD_REDIS_FOUND,
     "generic", "1.0.0", "O(N) in the number of keys", "How many of the keys are there"},
    {"setnx", 3, WRITE | DENYOOM | FAST | STREAMS | STRING, 1, 1, 1, rd_redis_parse_setnx, RD_OPCODE_WRITE,
     RD_REDIS_APPLIED, "string", "1.0.0", "O(1)", "Writes a key's value where there is none"},
    {"getset", 3, WRITE | DENYOOM | FAST | STRING, 1, 1, 1, rd_redis_parse_getset, RD_OPCODE_WRITE,
     RD_REDIS_BEFORE, "string", "1.0.0", "O(1)", "Writes a key's value; answers the old one"},
    {"getdel", 2, WRITE | FAST | STRING, 1, 1, 1, rd_redis_parse_getdel, RD_OPCODE_DELETE, RD_REDIS_BEFORE,
     "string", "6.2.0", "O(1)", "Deletes a key; answers its value"},
    {"getrange", 4, READONLY | STRING, 1, 1, 1, rd_redis_parse_getrange, RD_OPCODE_READ, RD_REDIS_RANGE, "string",
     "2.4.0", "O(N) in the bytes that are answered", "A part of a key's value"},
    {"substr", 4, READONLY | STRING, 1, 1, 1, rd_redis_parse_getrange, RD_OPCODE_READ, RD_REDIS_RANGE, "string",
     "1.0.0", "O(N) in the bytes that are answered", "The older name of GETRANGE"},
    {"strlen", 2, READONLY | FAST | STRING, 1, 1, 1, rd_redis_parse_key, RD_OPCODE_METADATA, RD_REDIS_LENGTH,
     "string", "2.2.0", "O(1)", "How many bytes a key's value has"},
    {"msetnx", -3, WRITE | DENYOOM | ALONE | STRING, 1, -1, 2, rd_redis_parse_msetnx, RD_OPCODE_TRANSACTION,
     RD_REDIS_APPLIED, "string", "1.0.1", "O(N) in the number of keys",
     "Writes several keys as one where none of them is there"},
    {"unlink", -2, WRITE | FAST | KEYSPACE, 1, -1, 1, rd_redis_parse_keys, RD_OPCODE_BATCH_DELETE,
     RD_REDIS_DELETED, "generic", "4.0.0", "O(N) in the number of keys", "The same as DEL"},
    {"touch", -2, READONLY | FAST | KEYSPACE, 1, -1, 1, rd_redis_parse_keys, RD_OPCODE_BATCH_READ, RD_REDIS_FOUND,
     "generic", "3.2.1", "O(N) in the number of keys", "The same as EXISTS"},
    {"type", 2, READONLY | FAST | KEYSPACE, 1, 1, 1, rd_redis_parse_key, RD_OPCODE_EXISTS, RD_REDIS_TYPE,
     "generic", "1.0.0", "O(1)", "string, or none where there is no such key"},
    {"rename", 3, WRITE | ALONE | KEYSPACE, 1, 2, 1, rd_redis_parse_rename, RD_OPCODE_RENAME, RD_REDIS_RENAMED,
     "generic", "1.0.0", "O(N) in the bytes of the value", "Moves a value to another key"},
    {"renamenx", 3, WRITE | FAST | ALONE | KEYSPACE, 1, 2, 1, rd_redis_parse_rename, RD_OPCODE_RENAME,
     RD_REDIS_RENAMED_IF, "generic", "1.0.0", "O(N) in the bytes of the value",
     "Moves a value to another key where that has none"},
    {"copy", -3, WRITE | DENYOOM | ALONE | KEYSPACE, 1, 2, 1, rd_redis_parse_copy, RD_OPCODE_COPY,
     RD_REDIS_APPLIED, "generic", "6.2.0", "O(N) in the bytes of the value",
     "Copies a value to another key, in this or in another database"},
    {"move", 3, WRITE | FAST | ALONE | KEYSPACE, 1, 1, 1, rd_redis_parse_move, RD_OPCODE_TRANSFER,
     RD_REDIS_APPLIED, "generic", "1.0.0", "O(N) in the bytes of the value", "Moves a key to another database"},
    {"multi", 1, NO_SCRIPT | FAST | ALLOW_BUSY | AT_ONCE | TRANSACTION, 0, 0, 0, rd_redis_parse_multi,
     RD_OPCODE_PING, RD_REDIS_READY, "transactions", "1.2.0", "O(1)",
     "Begins a transaction: what follows is queued"},
    {"exec", 1, NO_SCRIPT | SKIP_SLOWLOG | AT_ONCE | TRANSACTION, 0, 0, 0, rd_redis_parse_exec, RD_OPCODE_PING,
     RD_REDIS_READY, "transactions", "1.2.0", "That of the commands in it", "Does what is queued as one"},
    {"discard", 1, NO_SCRIPT | FAST | ALLOW_BUSY | AT_ONCE | TRANSACTION, 0, 0, 0, rd_redis_parse_discard,
     RD_OPCODE_PING, RD_REDIS_READY, "transactions", "2.0.0", "O(N) in the number of commands queued",
     "Forgets what is queued"},
    {"watch", -2, NO_SCRIPT | FAST | ALLOW_BUSY | AT_ONCE | TRANSACTION, 1, -1, 1, rd_redis_parse_watch,
     RD_OPCODE_WATCH, RD_REDIS_OK, "transactions", "2.2.0", "O(N) in the number of keys",
     "Has the next EXEC done only where the keys are unchanged"},
    {"unwatch", 1, NO_SCRIPT | FAST | ALLOW_BUSY | TRANSACTION, 0, 0, 0, rd_redis_parse_unwatch, RD_OPCODE_PING,
     RD_REDIS_READY, "transactions", "2.2.0", "O(1)", "Forgets what is watched"},
    {"select", 2, ANY_TIME | FAST | ALONE | CONNECTION, 0, 0, 0, rd_redis_parse_select, RD_OPCODE_PING,
     RD_REDIS_READY, "connection", "1.0.0", "O(1)", "Chooses the database: a number, or a store's name"},
    {"echo", 2, ANY_TIME | FAST | CONNECTION, 0, 0, 0, rd_redis_parse_echo, RD_OPCODE_PING, RD_REDIS_READY,
     "connection", "1.0.0", "O(1)", "Answers its argument"},
    {"quit", -1, NO_SCRIPT | FAST | NO_AUTH | ALLOW_BUSY | AT_ONCE | CONNECTION, 0, 0, 0, rd_redis_parse_quit,
     RD_OPCODE_PING, RD_REDIS_READY, "connection", "1.0.0", "O(1)", "Ends the connection"},
    {"reset", 1, NO_SCRIPT | FAST | NO_AUTH | ALLOW_BUSY | AT_ONCE | CONNECTION, 0, 0, 0, rd_redis_parse_reset,
     RD_OPCODE_PING, RD_REDIS_READY, "connection", "6.2.0", "O(1)",
     "Puts the connection into the state that it began with"},
    {"hello", -1, NO_SCRIPT | FAST | NO_AUTH | ALLOW_BUSY | ALONE | CONNECTION, 0, 0, 0, rd_redis_parse_hello,
     RD_OPCODE_SERVER, RD_REDIS_GREETING, "connection", "6.0.0", "O(1)",
     "Chooses the protocol's version; answers what the server is"},
    {"auth", -2, NO_SCRIPT | FAST | NO_AUTH | ALLOW_BUSY | ALONE | CONNECTION, 0, 0, 0, rd_redis_parse_auth,
     RD_OPCODE_AUTH, RD_REDIS_AUTHED, "connection", "1.0.0", "O(N) in the number of tokens",
     "Shows a token, which goes for the connection from here on"},
    {"client", -2, ALONE, 0, 0, 0, rd_redis_parse_container, RD_OPCODE_PING, RD_REDIS_READY, "connection", "2.4.0",
     "That of its subcommand", "About connections"},
    {"client|getname", 2, NO_SCRIPT | ALONE | CONNECTION, 0, 0, 0, rd_redis_parse_client_getname, RD_OPCODE_PING,
     RD_REDIS_READY, "connection", "2.6.9", "O(1)", "The connection's name"},
    {"client|help", 2, ANY_TIME | ALONE | CONNECTION, 0, 0, 0, rd_redis_parse_help, RD_OPCODE_PING, RD_REDIS_READY,
     "connection", "5.0.0", "O(1)", "This list"},
    {"client|id", 2, NO_SCRIPT | ALONE | CONNECTION, 0, 0, 0, rd_redis_parse_nothing, RD_OPCODE_SERVER,
     RD_REDIS_CLIENT_ID, "connection", "5.0.0", "O(1)", "The connection's number"},
    {"client|list", -2, ADMIN | NO_SCRIPT | ALONE | DANGEROUS | CONNECTION, 0, 0, 0, rd_redis_parse_client_list,
     RD_OPCODE_SERVER, RD_REDIS_CLIENT_LIST, "connection", "2.4.0", "O(1)",
     "What is known of the connection that asks"},
    {"client|no-evict", 3, ADMIN | NO_SCRIPT | ALONE | DANGEROUS | CONNECTION, 0, 0, 0,
     rd_redis_parse_client_no_evict, RD_OPCODE_PING, RD_REDIS_READY, "connection", "7.0.0", "O(1)",
     "Taken, and without effect"},
    {"client|setinfo", 4, NO_SCRIPT | ALONE | CONNECTION, 0, 0, 0, rd_redis_parse_client_setinfo, RD_OPCODE_PING,
     RD_REDIS_READY, "connection", "7.2.0", "O(1)", "Names the client's library and its version"},
    {"client|setname", 3, NO_SCRIPT | ALONE | CONNECTION, 0, 0, 0, rd_redis_parse_client_setname, RD_OPCODE_PING,
     RD_REDIS_READY, "connection", "2.6.9", "O(1)", "Names the connection"},
    {"command", -1, ANY_TIME | CONNECTION, 0, 0, 0, rd_redis_parse_command, RD_OPCODE_PING, RD_REDIS_READY,
     "server", "2.8.13", "O(N) in the number of commands", "What is known of the commands"},
    {"command|count", 2, ANY_TIME | CONNECTION, 0, 0, 0, rd_redis_parse_command_count, RD_OPCODE_PING,
     RD_REDIS_READY, "server", "2.8.13", "O(1)", "How many commands there are"},
    {"command|docs", -2, ANY_TIME | CONNECTION, 0, 0, 0, rd_redis_parse_command_docs, RD_OPCODE_PING,
     RD_REDIS_READY, "server", "7.0.0", "O(N) in the number of commands", "What commands are for"},
    {"command|help", 2, ANY_TIME | CONNECTION, 0, 0, 0, rd_redis_parse_help, RD_OPCODE_PING, RD_REDIS_READY,
     "server", "5.0.0", "O(1)", "This list"},
    {"command|info", -2, ANY_TIME | CONNECTION, 0, 0, 0, rd_redis_parse_command_info, RD_OPCODE_PING,
     RD_REDIS_READY, "server", "2.8.13", "O(N) in the number of commands", "How commands are called"},
    {"command|list", -2, ANY_TIME | CONNECTION, 0, 0, 0, rd_redis_parse_command_list, RD_OPCODE_PING,
     RD_REDIS_READY, "server", "7.0.0", "O(N) in the number of commands", "The commands' names"},
    {"info", -1, ANY_TIME | ALONE | DANGEROUS, 0, 0, 0, rd_redis_parse_info, RD_OPCODE_SERVER, RD_REDIS_INFO,
     "server", "1.0.0", "O(N) in the number of stores", "About the server and its stores"},
    {"config", -2, 0, 0, 0, 0, rd_redis_parse_container, RD_OPCODE_PING, RD_REDIS_READY, "server", "2.0.0",
     "That of its subcommand", "About settings"},
    {"config|get", -3, ADMIN | NO_SCRIPT | DANGEROUS, 0, 0, 0, rd_redis_parse_config_get, RD_OPCODE_PING,
     RD_REDIS_READY, "server", "2.0.0", "O(N) in the number of settings", "Settings that clients ask for"},
    {"config|help", 2, ANY_TIME, 0, 0, 0, rd_redis_parse_help, RD_OPCODE_PING, RD_REDIS_READY, "server", "5.0.0",
     "O(1)", "This list"},
    {"dbsize", 1, READONLY | FAST | ALONE | KEYSPACE, 0, 0, 0, rd_redis_parse_nothing, RD_OPCODE_INFO,
     RD_REDIS_COUNT, "server", "1.0.0", "O(1)", "How many keys the database has"},
    {"time", 1, ANY_TIME | FAST | ALONE, 0, 0, 0, rd_redis_parse_nothing, RD_OPCODE_SERVER, RD_REDIS_TIME,
     "server", "2.6.0", "O(1)", "The server's clock"},
    {"save", 1, ADMIN | NOSCRIPT | NO_ASYNC_LOADING | NO_MULTI | DANGEROUS, 0, 0, 0, rd_redis_parse_save,
     RD_OPCODE_SYNC, RD_REDIS_SYNCED, "server", "1.0.0", "O(N) in the bytes that are not on the disk yet",
     "Answers when what was written to the database is on the disk"},
    {"bgrewriteaof", 1, ADMIN | NOSCRIPT | NO_ASYNC_LOADING | ALONE | DANGEROUS, 0, 0, 0,
     rd_redis_parse_bgrewriteaof, RD_OPCODE_COMPACT, RD_REDIS_REWRITING, "server", "1.0.0",
     "O(N) in the bytes of the database, behind the answer",
     "Begins to copy what lives in the database to a file without the rest"},
    {"lastsave", 1, CAT_ADMIN | ANY_TIME | FAST | ALONE | DANGEROUS, 0, 0, 0, rd_redis_parse_nothing,
     RD_OPCODE_SERVER, RD_REDIS_SAVED, "server", "1.0.0", "O(1)", "When SAVE was last done"},
    {"wait", 3, NOSCRIPT | CONNECTION, 0, 0, 0, rd_redis_parse_wait, RD_OPCODE_PING, RD_REDIS_READY, "generic",
     "3.0.0", "O(1)", "Answers 0, as there are no replicas"},
};
const size_t rd_redis_command_count = sizeof rd_redis_commands / sizeof rd_redis_commands[0];

bool rd_redis_command_takes(const struct rd_redis_command *command, size_t arg_count)
{
    return command->arity >= 0 ? arg_count == (size_t)command->arity : arg_count >= (size_t)-command->arity;
}

/* Longer than any name. */
#define NAME_LEN_MAX 32u

const struct rd_redis_command *rd_redis_command_find(struct rd_slice name, bool with_subcommands)
{
    char lower[NAME_LEN_MAX];
    if (name.len == 0 || name.len >= sizeof lower)
        return NULL;
    for (size_t i = 0; i < name.len; i++)
        lower[i] = (char)rd_lower_case(name.data[i]);
    lower[name.len] = '\0';
    if (memchr(lower, '\0', name.len) != NULL || (!with_subcommands && strchr(lower, '|') != NULL))
        return NULL;
    for (size_t i = 0; i < rd_redis_command_count; i++)
        if (rd_redis_commands[i].name[0] == lower[0] && strcmp(rd_redis_commands[i].name, lower) == 0)
            return &rd_redis_commands[i];
    return NULL;
}
