/* SPDX-License-Identifier: MIT */
#include "server/terms.h"

#include "server/stores.h"

struct rd_key rd_terms_key(const struct rd_message_key *key)
{
    return key->bytes.data != NULL ? rd_key_of_bytes(key->bytes) : rd_key_of_hash(key->hash);
}

enum rd_durability rd_terms_durability(enum rd_message_durability durability)
{
    switch (durability) {
    case RD_MESSAGE_DURABILITY_SYNC:
        return RD_DURABILITY_SYNC;
    case RD_MESSAGE_DURABILITY_NONE:
        return RD_DURABILITY_NONE;
    case RD_MESSAGE_DURABILITY_DEFAULT:
    case RD_MESSAGE_DURABILITY_INTERVAL:
        break;
    }
    return RD_DURABILITY_DEFAULT;
}

enum rd_message_durability rd_terms_message_durability(enum rd_durability durability)
{
    switch (durability) {
    case RD_DURABILITY_SYNC:
        return RD_MESSAGE_DURABILITY_SYNC;
    case RD_DURABILITY_INTERVAL:
        return RD_MESSAGE_DURABILITY_INTERVAL;
    case RD_DURABILITY_NONE:
        return RD_MESSAGE_DURABILITY_NONE;
    case RD_DURABILITY_DEFAULT:
        break;
    }
    return RD_MESSAGE_DURABILITY_DEFAULT;
}

struct rd_condition rd_terms_condition(const struct rd_message_condition *condition)
{
    struct rd_condition engine = {.offset = condition->offset, .crc32 = condition->crc32};
    switch (condition->kind) {
    case RD_MESSAGE_IF_ABSENT:
        engine.kind = RD_IF_ABSENT;
        break;
    case RD_MESSAGE_IF_PRESENT:
        engine.kind = RD_IF_PRESENT;
        break;
    case RD_MESSAGE_IF_VERSION:
        engine.kind = RD_IF_VERSION;
        break;
    case RD_MESSAGE_IF_ANYTHING:
    case RD_MESSAGE_IF_NOT_VERSION: /* of reads only */
        engine.kind = RD_IF_ANYTHING;
        break;
    }
    return engine;
}

struct rd_slice rd_terms_store_name(struct rd_slice name)
{
    return name.len != 0 ? name : rd_slice_of_string(RD_STORE_NAME_DEFAULT);
}

struct rd_response_problem rd_terms_problem(const struct rd_problem *problem)
{
    static const enum rd_message_problem_kind kinds[] = {
        [RD_PROBLEM_PAYLOAD] = RD_MESSAGE_PROBLEM_PAYLOAD,
        [RD_PROBLEM_PAD] = RD_MESSAGE_PROBLEM_PAD,
        [RD_PROBLEM_BATCH] = RD_MESSAGE_PROBLEM_BATCH,
        [RD_PROBLEM_CHAIN] = RD_MESSAGE_PROBLEM_CHAIN,
    };
    return (struct rd_response_problem){.kind = kinds[problem->kind],
                                        .live = problem->live,
                                        .offset = problem->offset,
                                        .len = problem->len,
                                        .key_hash = problem->key_hash};
}

void rd_terms_describe(const struct rd_value *value, struct rd_response *response)
{
    response->offset = value->offset;
    response->prev_tail = value->prev_tail;
    response->key_hash = value->key_hash;
    response->value_len = value->payload.len;
    response->crc32 = value->crc32;
    response->found = true;
}

bool rd_terms_condition_holds(const struct rd_message_condition *condition, const struct rd_value *value)
{
    bool same = value->offset == condition->offset && value->crc32 == condition->crc32;
    switch (condition->kind) {
    case RD_MESSAGE_IF_VERSION:
        return same;
    case RD_MESSAGE_IF_NOT_VERSION:
        return !same;
    case RD_MESSAGE_IF_ABSENT:
        return false;
    case RD_MESSAGE_IF_ANYTHING:
    case RD_MESSAGE_IF_PRESENT:
        break;
    }
    return true;
}

enum rd_status rd_terms_cut(const struct rd_message_range *range, struct rd_value *value,
                            struct rd_response *response)
{
    uint64_t first;
    uint64_t count;
    if (range->kind == RD_MESSAGE_RANGE_NONE)
        return RD_OK;
    response->value_len = value->payload.len;
    if (!rd_message_range_cut(range, value->payload.len, &first, &count))
        return RD_RANGE_NOT_SATISFIABLE;
    value->payload = rd_slice(value->payload.data + first, (size_t)count);
    response->partial = true;
    response->range_first = first;
    return RD_OK;
}
