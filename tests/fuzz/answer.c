/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/answer.h"

#include <stdio.h>

#define TEXT(text)                                                                                                \
    {                                                                                                             \
        .data = (const uint8_t *)(text), .len = sizeof(text) - 1                                                  \
    }

static const struct rd_slice texts[] = {
    TEXT("a"),
    TEXT("\r\nSet-Cookie: x\r\n\r\n"),
    TEXT("\"\\\b\f\n\r\t\x01\x1f\x7f/"),
    TEXT("\0"),
    TEXT("caf\xc3\xa9"),
    TEXT("\xff\xfe\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80"),
    TEXT("\xf0\x9f\x98"),
    TEXT("0123456789abcdef0123456789abcdef"),
};

uint64_t fuzz_seed_of(struct rd_slice input)
{
    uint64_t seed = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < input.len; i++)
        seed = (seed ^ input.data[i]) * UINT64_C(0x100000001b3);
    return seed;
}

static uint64_t next_random(struct fuzz_answer *answer)
{
    uint64_t z = (answer->random_state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* Often 0, 1 or the largest. */
static uint64_t next_number(struct fuzz_answer *answer)
{
    uint64_t random = next_random(answer);
    return random % 4 == 0 ? 0 : random % 4 == 1 ? UINT64_MAX - (random >> 63) : random >> (random % 64);
}

static struct rd_slice next_text(struct fuzz_answer *answer)
{
    return texts[next_random(answer) % (sizeof texts / sizeof texts[0])];
}

static enum rd_message_durability next_durability(struct fuzz_answer *answer)
{
    return (enum rd_message_durability)(1 + next_random(answer) % 3);
}

static void fill_items(struct fuzz_answer *answer, size_t wanted)
{
    static const enum rd_status statuses[] = {RD_OK, RD_KEY_NOT_FOUND, RD_CORRUPT, RD_OK};
    answer->response.items = answer->items;
    answer->response.item_count = wanted < FUZZ_ANSWER_ITEMS_MAX ? wanted : FUZZ_ANSWER_ITEMS_MAX;
    for (size_t i = 0; i < answer->response.item_count; i++)
        answer->items[i] = (struct rd_response_item){.status = statuses[next_random(answer) % 4],
                                                     .key_hash = next_number(answer),
                                                     .offset = next_number(answer),
                                                     .len = next_number(answer),
                                                     .crc32 = (uint32_t)next_number(answer),
                                                     .value = next_text(answer)};
}

static void fill_stores(struct fuzz_answer *answer, size_t count)
{
    answer->response.stores = answer->stores;
    answer->response.store_count = count;
    for (size_t i = 0; i < count; i++) {
        struct rd_response_store *store = &answer->stores[i];
        *store = (struct rd_response_store){.name = next_text(answer),
                                            .entries = next_number(answer),
                                            .tail = next_number(answer),
                                            .file_size = next_number(answer),
                                            .dead_bytes = next_number(answer),
                                            .durability = next_durability(answer),
                                            .durability_interval_ms = (uint32_t)next_number(answer),
                                            .state = (enum rd_message_store_state)(next_random(answer) % 3),
                                            .generation = next_number(answer),
                                            .batch_marker = next_random(answer) % 2 == 0,
                                            .quota_bytes = next_random(answer),
                                            .quota_entries = next_random(answer),
                                            .writes_barred = next_random(answer) % 2 == 0,
                                            .compacting = next_random(answer) % 2 == 0};
        if (store->state != RD_MESSAGE_STORE_OPEN)
            store->reason = next_text(answer);
    }
}

static void fill_verification(struct fuzz_answer *answer)
{
    struct rd_response_verification *found = &answer->response.verification;
    found->from = next_number(answer);
    found->next = found->from - (found->from == 0 ? 0 : next_random(answer) % found->from);
    found->entries = next_number(answer);
    found->bytes = next_number(answer);
    found->listed_count = next_random(answer) % (FUZZ_ANSWER_PROBLEMS + 1);
    found->problem_count = found->listed_count + next_random(answer) % 3;
    found->problems = answer->problems;
    for (size_t i = 0; i < found->listed_count; i++)
        answer->problems[i] =
            (struct rd_response_problem){.kind = (enum rd_message_problem_kind)(1 + next_random(answer) % 5),
                                         .live = next_random(answer) % 2 == 0,
                                         .offset = next_number(answer),
                                         .len = next_number(answer),
                                         .key_hash = next_number(answer)};
}

/* A value, and the part of it that was asked for. */
static void fill_value(const struct rd_request *request, struct fuzz_answer *answer)
{
    struct rd_response *response = &answer->response;
    response->not_modified = request->condition.kind == RD_MESSAGE_IF_NOT_VERSION && next_random(answer) % 2 == 0;
    if (response->not_modified)
        return;
    response->value = next_text(answer);
    response->value_len = response->value.len;
    if (request->range.kind == RD_MESSAGE_RANGE_NONE || response->value.len < 2)
        return;
    response->partial = true;
    response->range_first = 1;
    response->value = rd_slice(response->value.data + 1, response->value.len - 1);
}

/* The end of a file that begins somewhere. */
static void fill_backup(const struct rd_request *request, struct fuzz_answer *answer)
{
    struct rd_response *response = &answer->response;
    response->generation = next_number(answer);
    response->value = next_text(answer);
    response->range_first = next_number(answer) / 2;
    response->tail = response->range_first + response->value.len;
    response->value_len = response->tail;
    response->partial = request->range.kind != RD_MESSAGE_RANGE_NONE && response->value.len != 0;
}

static void fill(const struct rd_request *request, struct fuzz_answer *answer)
{
    struct rd_response *response = &answer->response;
    response->offset = next_number(answer);
    response->tail = next_number(answer);
    response->prev_tail = next_number(answer);
    response->key_hash = next_number(answer);
    response->value_len = next_number(answer);
    response->count = next_number(answer);
    response->crc32 = (uint32_t)next_number(answer);
    response->target_offset = next_number(answer);
    response->target_tail = next_number(answer);
    response->source_tail = next_number(answer);
    response->more = next_random(answer) % 2 == 0;
    response->found = next_random(answer) % 2 == 0;
    response->replaced = next_random(answer) % 2 == 0;
    response->durability = next_durability(answer);
    response->durability_interval_ms = (uint32_t)next_number(answer);
    response->limits = RD_LIMITS_DEFAULT;
    if (request->opcode == RD_OPCODE_READ || request->opcode == RD_OPCODE_READ_STREAM)
        fill_value(request, answer);
    else if (request->opcode == RD_OPCODE_METRICS || request->opcode == RD_OPCODE_PAGE)
        response->value = next_text(answer);
    else if (request->opcode == RD_OPCODE_BACKUP)
        fill_backup(request, answer);
    else if (request->opcode == RD_OPCODE_BATCH_READ)
        fill_items(answer, request->item_count);
    else if (request->opcode == RD_OPCODE_ITERATE)
        fill_items(answer, request->limit == 0 ? FUZZ_ANSWER_ITEMS_MAX : request->limit);
    else if (request->opcode == RD_OPCODE_STORES)
        fill_stores(answer, next_random(answer) % (FUZZ_ANSWER_STORES_MAX + 1));
    else if (request->opcode == RD_OPCODE_VERIFY)
        fill_verification(answer);
    else if (request->opcode == RD_OPCODE_COMPACT)
        response->compaction = (struct rd_response_compaction){.tail_before = next_number(answer),
                                                               .tail = next_number(answer),
                                                               .entries = next_number(answer),
                                                               .generation = next_number(answer),
                                                               .pause_us = next_number(answer),
                                                               .under_way = next_random(answer) % 2 == 0};
    else if (request->opcode == RD_OPCODE_INFO || request->opcode == RD_OPCODE_CREATE ||
             request->opcode == RD_OPCODE_REOPEN)
        fill_stores(answer, 1);
}

void fuzz_answer_make(const struct rd_request *request, uint64_t seed, bool fail, struct fuzz_answer *ret_answer)
{
    *ret_answer = (struct fuzz_answer){.random_state = seed};
    struct rd_response *response = &ret_answer->response;
    response->status = request->status;
    if (request->status != RD_OK) {
        snprintf(response->message, sizeof response->message, "%s", request->message);
    } else if (fail) {
        response->status = (enum rd_status)(1 + next_random(ret_answer) % (RD_STATUS_COUNT - 1));
        response->value_len = next_number(ret_answer);
        struct rd_slice message = next_text(ret_answer);
        memcpy(response->message, message.data, message.len);
    } else {
        fill(request, ret_answer);
    }
}
