/* SPDX-License-Identifier: MIT */
#include "protocol/redis_ask.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/text.h"
#include "protocol/resp_put.h"

#define REFUSAL_SIZE 512u

bool rd_redis_ask_is(const struct rd_redis_ask *ask, size_t i, const char *word)
{
    struct rd_slice arg = rd_redis_ask_arg(ask, i);
    return arg.len == strlen(word) && strncasecmp((const char *)arg.data, word, arg.len) == 0;
}

static void set_answer(struct rd_redis_ask *ask, enum rd_redis_answer answer)
{
    uint32_t *flags = &ask->request->codec_flags;
    *flags = (*flags & ~RD_REDIS_FLAG_ANSWER) | (uint32_t)answer;
}

void rd_redis_ask_operation(struct rd_redis_ask *ask, enum rd_opcode opcode, enum rd_redis_answer answer)
{
    ask->request->opcode = opcode;
    set_answer(ask, answer);
}

void rd_redis_ask_reply(struct rd_redis_ask *ask, const char *text)
{
    rd_redis_ask_operation(ask, RD_OPCODE_PING, RD_REDIS_READY);
    ask->request->value = rd_slice_of_string(text);
}

void rd_redis_ask_reply_buffer(struct rd_redis_ask *ask, struct rd_buffer *buffer)
{
    struct rd_request *request = ask->request;
    rd_redis_ask_operation(ask, RD_OPCODE_PING, RD_REDIS_READY);
    if (buffer->failed) {
        request->status = RD_NO_MEMORY;
        request->message = "no memory for the answer";
        request->value = rd_slice_of_string("-ERR no memory for the answer\r\n");
        rd_buffer_deinit(buffer);
        return;
    }
    request->value = rd_buffer_slice(buffer);
    rd_request_set_body(request, buffer->data, buffer->len);
    rd_buffer_init(buffer, 0);
}

void rd_redis_ask_refuse(struct rd_redis_ask *ask, const char *format, ...)
{
    char text[REFUSAL_SIZE];
    struct rd_buffer answer;
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    rd_buffer_init(&answer, 0);
    rd_resp_put_error(&answer, rd_slice(text, len < 0                     ? 0
                                              : (size_t)len < sizeof text ? (size_t)len
                                                                          : sizeof text - 1));
    ask->request->status = RD_INVALID_ARGUMENT;
    ask->request->token_use = RD_MESSAGE_TOKEN_KEPT;
    ask->request->message = "the command is refused"; /* how, its answer says */
    rd_redis_ask_reply_buffer(ask, &answer);
}

bool rd_redis_ask_keep(struct rd_redis_ask *ask, size_t len)
{
    const struct rd_limits *limits = &ask->state->limits;
    struct rd_asking asking = {.opcode = ask->request->opcode, .store = &ask->request->store};
    struct rd_error error = {.status = RD_OK};
    bool full =
        limits->admit != NULL && limits->admit(limits->admit_context, &asking, len, &error) == RD_OVERLOADED;
    if (full)
        rd_redis_ask_refuse(ask, "ERR " RD_LIMITS_REFUSE);
    return !full;
}

bool rd_redis_ask_key(struct rd_redis_ask *ask, size_t i, struct rd_message_key *ret_key)
{
    struct rd_slice bytes = rd_redis_ask_arg(ask, i);
    if (bytes.len > ask->state->limits.key_len_max) {
        rd_redis_ask_refuse(ask, "ERR a key is longer than the %u bytes that this server takes",
                            (unsigned)ask->state->limits.key_len_max);
        return false;
    }
    *ret_key = (struct rd_message_key){.bytes = bytes};
    return true;
}

bool rd_redis_ask_value(struct rd_redis_ask *ask, size_t i, struct rd_slice *ret_value)
{
    struct rd_slice value = rd_redis_ask_arg(ask, i);
    if (value.len == 0) {
        rd_redis_ask_refuse(ask, "ERR an empty value cannot be stored, as the store's file has no place for it");
        return false;
    }
    if (value.len == 1 && value.data[0] == 0) {
        rd_redis_ask_refuse(ask, "ERR a value of one zero byte cannot be stored, as it marks a deleted key in the "
                                 "store's file");
        return false;
    }
    *ret_value = value;
    return true;
}

bool rd_redis_ask_integer(struct rd_redis_ask *ask, size_t i, int64_t *ret_value)
{
    if (rd_resp_parse_integer(rd_redis_ask_arg(ask, i), ret_value))
        return true;
    rd_redis_ask_refuse(ask, "ERR value is not an integer or out of range");
    return false;
}

bool rd_redis_ask_database(struct rd_redis_ask *ask, size_t i, char ret_store[64], size_t *ret_len)
{
    static const char first[] = "default";
    struct rd_slice text = rd_redis_ask_arg(ask, i);
    int64_t number;
    bool numbered = rd_resp_parse_integer(text, &number);
    if (numbered && (number < INT32_MIN || number > INT32_MAX)) {
        rd_redis_ask_refuse(ask, "ERR value is out of range, value must between %ld and %ld", (long)INT32_MIN,
                            (long)INT32_MAX);
        return false;
    }
    if (numbered && number < 0) {
        rd_redis_ask_refuse(ask, "ERR DB index is out of range");
        return false;
    }
    if (numbered) {
        *ret_len = number == 0 ? 0 : (size_t)snprintf(ret_store, 64, "db%ld", (long)number);
        return true;
    }
    if (!rd_text_is_store_name(text)) {
        rd_redis_ask_refuse(ask, "ERR a database is a number, or the name of a store: [A-Za-z0-9._-]{1,64}, no "
                                 "leading dot");
        return false;
    }
    if (rd_slice_equal(text, rd_slice_of_string(first))) {
        *ret_len = 0;
        return true;
    }
    memcpy(ret_store, text.data, text.len);
    *ret_len = text.len;
    return true;
}

static bool is_too_many(struct rd_redis_ask *ask, size_t count)
{
    if (count <= ask->state->limits.batch_count_max)
        return false;
    rd_redis_ask_refuse(ask, "ERR more keys than the %u that this server takes at once",
                        (unsigned)ask->state->limits.batch_count_max);
    return true;
}

bool rd_redis_ask_refuse_for_memory(struct rd_redis_ask *ask)
{
    rd_redis_ask_refuse(ask, "ERR no memory for the command");
    ask->request->status = RD_NO_MEMORY;
    return false;
}

bool rd_redis_ask_items(struct rd_redis_ask *ask, size_t count)
{
    struct rd_request *request = ask->request;
    if (is_too_many(ask, count))
        return false;
    request->items = calloc(count, sizeof *request->items);
    if (request->items == NULL)
        return rd_redis_ask_refuse_for_memory(ask);
    request->item_count = count;
    return true;
}

bool rd_redis_ask_transaction(struct rd_redis_ask *ask, size_t count, size_t look_count)
{
    struct rd_request *request = ask->request;
    if (is_too_many(ask, look_count) || !rd_redis_ask_items(ask, count))
        return false;
    request->changes = calloc(count, sizeof *request->changes);
    request->looks = calloc(look_count, sizeof *request->looks);
    if (request->changes == NULL || request->looks == NULL)
        return rd_redis_ask_refuse_for_memory(ask);
    request->look_count = look_count;
    request->opcode = RD_OPCODE_TRANSACTION;
    return true;
}
