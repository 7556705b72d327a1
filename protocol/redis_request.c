/* SPDX-License-Identifier: MIT */
#include "protocol/redis_request.h"

#include "protocol/redis_command.h"

#define SYNTAX_ERROR "syntax error"

static const struct rd_message_condition absent = {.kind = RD_MESSAGE_IF_ABSENT};

void rd_redis_parse_nothing(struct rd_redis_ask *ask)
{
    (void)ask;
}

/* ---- looking ----------------------------------------------------------------------------------------------- */

void rd_redis_parse_key(struct rd_redis_ask *ask)
{
    (void)rd_redis_ask_key(ask, 1, &ask->request->key);
}

/* One key has an operation of its own, which is cheaper. */
static bool take_single(struct rd_redis_ask *ask)
{
    if (ask->arg_count != 2)
        return false;
    switch (ask->command->opcode) {
    case RD_OPCODE_BATCH_DELETE:
        ask->request->opcode = RD_OPCODE_DELETE;
        break;
    case RD_OPCODE_BATCH_READ:
        if (ask->command->answer != RD_REDIS_FOUND)
            return false;
        ask->request->opcode = RD_OPCODE_EXISTS;
        break;
    default:
        return false;
    }
    rd_redis_parse_key(ask);
    return true;
}

void rd_redis_parse_keys(struct rd_redis_ask *ask)
{
    struct rd_request *request = ask->request;
    if (take_single(ask) || !rd_redis_ask_items(ask, ask->arg_count - 1))
        return;
    for (size_t i = 0; i < request->item_count; i++) {
        request->items[i].key_only = ask->command->answer == RD_REDIS_FOUND;
        if (!rd_redis_ask_key(ask, i + 1, &request->items[i].key))
            return;
    }
}

void rd_redis_parse_getrange(struct rd_redis_ask *ask)
{
    struct rd_message_range *range = &ask->request->range;
    if (!rd_redis_ask_key(ask, 1, &ask->request->key) || !rd_redis_ask_integer(ask, 2, &range->from) ||
        !rd_redis_ask_integer(ask, 3, &range->to))
        return;
    range->kind = RD_MESSAGE_RANGE_BETWEEN;
}

/* ---- writing ----------------------------------------------------------------------------------------------- */

const char *rd_redis_parse_set_options(const struct rd_redis_ask *ask, size_t from,
                                       struct rd_redis_set_options *ret_options)
{
    struct rd_redis_set_options options = {.get = false};
    bool expires = false;
    bool keeps = false;
    for (size_t i = from; i < ask->arg_count; i++) {
        bool nx = rd_redis_ask_is(ask, i, "nx");
        if (nx || rd_redis_ask_is(ask, i, "xx")) {
            enum rd_message_condition_kind kind = nx ? RD_MESSAGE_IF_ABSENT : RD_MESSAGE_IF_PRESENT;
            if (options.condition.kind != RD_MESSAGE_IF_ANYTHING && options.condition.kind != kind)
                return SYNTAX_ERROR;
            options.condition.kind = kind;
        } else if (rd_redis_ask_is(ask, i, "get")) {
            options.get = true;
        } else if (rd_redis_ask_is(ask, i, "keepttl") && !expires) {
            keeps = true;
        } else if ((rd_redis_ask_is(ask, i, "ex") || rd_redis_ask_is(ask, i, "px") ||
                    rd_redis_ask_is(ask, i, "exat") || rd_redis_ask_is(ask, i, "pxat")) &&
                   i + 1 < ask->arg_count && !expires && !keeps) {
            expires = true;
            i++;
        } else {
            return SYNTAX_ERROR;
        }
    }
    if (expires)
        return "EX, PX, EXAT and PXAT are not taken: values do not expire here";
    *ret_options = options;
    return NULL;
}

/* One change of the key that is argument 1, and its value before that. */
static void exchange(struct rd_redis_ask *ask, bool deletes, struct rd_message_condition condition)
{
    struct rd_request *request = ask->request;
    struct rd_message_item item = {.value = {.len = 0}};
    if (!rd_redis_ask_key(ask, 1, &item.key) || (!deletes && !rd_redis_ask_value(ask, 2, &item.value)) ||
        !rd_redis_ask_transaction(ask, 1, 1))
        return;
    request->items[0] = item;
    request->changes[0] = (struct rd_message_change){.deletes = deletes, .condition = condition};
    request->looks[0] = (struct rd_message_look){.key = item.key, .value_wanted = true};
    request->creates_store = !deletes;
    rd_redis_ask_operation(ask, RD_OPCODE_TRANSACTION, RD_REDIS_BEFORE);
}

static void write_value(struct rd_redis_ask *ask, struct rd_message_condition condition)
{
    struct rd_request *request = ask->request;
    if (!rd_redis_ask_key(ask, 1, &request->key) || !rd_redis_ask_value(ask, 2, &request->value))
        return;
    request->condition = condition;
    request->creates_store = true;
}

void rd_redis_parse_set(struct rd_redis_ask *ask)
{
    struct rd_redis_set_options options = {.get = false};
    const char *fault = ask->arg_count > 3 ? rd_redis_parse_set_options(ask, 3, &options) : NULL;
    if (fault != NULL)
        rd_redis_ask_refuse(ask, "ERR %s", fault);
    else if (options.get)
        exchange(ask, false, options.condition);
    else
        write_value(ask, options.condition);
}

void rd_redis_parse_setnx(struct rd_redis_ask *ask)
{
    write_value(ask, absent);
}

void rd_redis_parse_getset(struct rd_redis_ask *ask)
{
    exchange(ask, false, (struct rd_message_condition){.kind = RD_MESSAGE_IF_ANYTHING});
}

void rd_redis_parse_getdel(struct rd_redis_ask *ask)
{
    exchange(ask, true, (struct rd_message_condition){.kind = RD_MESSAGE_IF_ANYTHING});
}

/* The pairs behind the command's name into the request's items. False: the command has been refused. */
static bool take_pairs(struct rd_redis_ask *ask)
{
    struct rd_request *request = ask->request;
    for (size_t i = 0; i < request->item_count; i++)
        if (!rd_redis_ask_key(ask, 2 * i + 1, &request->items[i].key) ||
            !rd_redis_ask_value(ask, 2 * i + 2, &request->items[i].value))
            return false;
    request->creates_store = true;
    return true;
}

static bool is_paired(struct rd_redis_ask *ask)
{
    if (ask->arg_count % 2 != 0)
        return true;
    rd_redis_ask_refuse(ask, "ERR wrong number of arguments for '%s' command", ask->command->name);
    return false;
}

void rd_redis_parse_mset(struct rd_redis_ask *ask)
{
    if (is_paired(ask) && rd_redis_ask_items(ask, (ask->arg_count - 1) / 2))
        (void)take_pairs(ask);
}

void rd_redis_parse_msetnx(struct rd_redis_ask *ask)
{
    size_t count = (ask->arg_count - 1) / 2;
    if (!is_paired(ask) || !rd_redis_ask_transaction(ask, count, count) || !take_pairs(ask))
        return;
    for (size_t i = 0; i < count; i++)
        ask->request->looks[i] = (struct rd_message_look){.key = ask->request->items[i].key, .condition = absent};
}

/* ---- moving ------------------------------------------------------------------------------------------------ */

void rd_redis_parse_rename(struct rd_redis_ask *ask)
{
    struct rd_request *request = ask->request;
    bool conditional = ask->command->answer == RD_REDIS_RENAMED_IF;
    if (!rd_redis_ask_key(ask, 1, &request->key) || !rd_redis_ask_key(ask, 2, &request->target_key))
        return;
    if (rd_slice_equal(request->key.bytes, request->target_key.bytes))
        rd_redis_ask_operation(ask, RD_OPCODE_EXISTS, conditional ? RD_REDIS_KEPT_IF : RD_REDIS_KEPT);
    else if (conditional)
        request->target_condition = absent;
}

/* Where the target's name is kept: behind that of the request's own store. */
static char *target_name(struct rd_redis_ask *ask)
{
    return ask->request->detail + sizeof ask->request->detail / 2;
}

static bool take_target(struct rd_redis_ask *ask, size_t i)
{
    size_t len;
    if (!rd_redis_ask_database(ask, i, target_name(ask), &len))
        return false;
    ask->request->target_store = rd_slice(target_name(ask), len);
    return true;
}

/* From a key to itself there is nothing to move. */
static bool goes_elsewhere(struct rd_redis_ask *ask)
{
    const struct rd_request *request = ask->request;
    if (!rd_slice_equal(request->target_store, request->store) ||
        !rd_slice_equal(request->target_key.bytes, request->key.bytes))
        return true;
    rd_redis_ask_refuse(ask, "ERR source and destination objects are the same");
    return false;
}

void rd_redis_parse_copy(struct rd_redis_ask *ask)
{
    struct rd_request *request = ask->request;
    bool replace = false;
    request->target_store = request->store;
    if (!rd_redis_ask_key(ask, 1, &request->key) || !rd_redis_ask_key(ask, 2, &request->target_key))
        return;
    for (size_t i = 3; i < ask->arg_count; i++) {
        if (rd_redis_ask_is(ask, i, "replace")) {
            replace = true;
        } else if (rd_redis_ask_is(ask, i, "db") && i + 1 < ask->arg_count) {
            if (!take_target(ask, ++i))
                return;
        } else {
            rd_redis_ask_refuse(ask, "ERR " SYNTAX_ERROR);
            return;
        }
    }
    if (!goes_elsewhere(ask))
        return;
    if (!replace)
        request->target_condition = absent;
    request->creates_store = true;
}

void rd_redis_parse_move(struct rd_redis_ask *ask)
{
    struct rd_request *request = ask->request;
    if (!rd_redis_ask_key(ask, 1, &request->key) || !take_target(ask, 2))
        return;
    request->target_key = request->key;
    if (!goes_elsewhere(ask))
        return;
    request->target_condition = absent;
    request->creates_store = true;
}
