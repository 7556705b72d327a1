/* SPDX-License-Identifier: MIT */
#include "clients/bench/channel.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/page.h"

#define PARTS_MAX 256u /* pieces of memory that one system call sends */

/* ---- what channels share ---------------------------------------------------------------------------------- */

enum rd_status rd_channel_traffic_init(struct rd_channel_traffic *traffic, const struct rd_plan *plan,
                                       const struct rd_dialect *dialect, const char *host,
                                       struct rd_error *ret_error)
{
    *traffic = (struct rd_channel_traffic){.plan = plan,
                                           .dialect = dialect,
                                           .keys = {plan->seed},
                                           .choices = {~plan->seed},
                                           .values = {plan->seed ^ 1}};
    for (int writes = 0; writes < 2; writes++)
        rd_buffer_init(&traffic->forms[writes].bytes, 0);
    traffic->text = rd_frame_make_text(plan->value_len, &traffic->values);
    traffic->input = rd_page_alloc(RD_DIALECT_HEAD_LEN_MAX + RD_CHANNEL_INPUT_LEN);
    if (traffic->text == NULL || traffic->input == NULL)
        return rd_error_set(ret_error, RD_NO_MEMORY, 0, "no memory");
    enum rd_status status = RD_OK;
    if (rd_plan_reads(plan))
        status = dialect->form(plan, false, host, &traffic->forms[false]);
    if (status == RD_OK && rd_plan_writes(plan))
        status = dialect->form(plan, true, host, &traffic->forms[true]);
    if (status != RD_OK)
        return rd_error_set(ret_error, status, 0, "such a request cannot be made: %s", rd_status_name(status));
    return RD_OK;
}

void rd_channel_traffic_deinit(struct rd_channel_traffic *traffic)
{
    for (int writes = 0; writes < 2; writes++)
        rd_buffer_deinit(&traffic->forms[writes].bytes);
    free(traffic->text);
    free(traffic->input);
}

/* ---- a channel's life ------------------------------------------------------------------------------------- */

static bool make_slots(struct rd_channel *channel, struct rd_channel_traffic *traffic)
{
    uint32_t depth = traffic->plan->depth;
    uint32_t order_len = 1;
    while (order_len < depth)
        order_len *= 2;
    channel->order_mask = order_len - 1;
    channel->order = calloc(order_len, sizeof channel->order[0]);
    channel->free_slots = calloc(depth, sizeof channel->free_slots[0]);
    channel->slots = calloc(depth, sizeof channel->slots[0]);
    if (channel->order == NULL || channel->free_slots == NULL || channel->slots == NULL)
        return false;
    for (uint32_t i = 0; i < depth; i++)
        channel->free_slots[channel->free_count++] = depth - 1 - i;
    for (int writes = 0; writes < 2; writes++) {
        const struct rd_frame_form *form = &traffic->forms[writes];
        if (form->bytes.len == 0)
            continue;
        uint8_t *frames = calloc(depth, form->bytes.len);
        channel->frames[writes] = frames;
        if (frames == NULL)
            return false;
        for (uint32_t i = 0; i < depth; i++)
            rd_frame_make(form, traffic->text, i, &traffic->values, frames + i * form->bytes.len);
    }
    return true;
}

enum rd_status rd_channel_open(struct rd_channel *channel, struct rd_channel_traffic *traffic,
                               const struct rd_endpoint *endpoint, struct rd_error *ret_error)
{
    *channel = (struct rd_channel){.pipe.fd = -1, .parser = {.plan = traffic->plan}};
    rd_buffer_init(&channel->kept, RD_DIALECT_HEAD_LEN_MAX);
    enum rd_status status = rd_pipe_open(&channel->pipe, endpoint, ret_error);
    if (status != RD_OK)
        return status;
    if (traffic->dialect->greet != NULL)
        status = traffic->dialect->greet(&channel->pipe, traffic->plan, ret_error);
    if (status == RD_OK && !make_slots(channel, traffic))
        status = rd_error_set(ret_error, RD_NO_MEMORY, 0, "no memory");
    return status;
}

void rd_channel_close(struct rd_channel *channel)
{
    rd_pipe_close(&channel->pipe);
    rd_buffer_deinit(&channel->kept);
    free(channel->order);
    free(channel->free_slots);
    free(channel->slots);
    free(channel->frames[false]);
    free(channel->frames[true]);
}

/* ---- requests --------------------------------------------------------------------------------------------- */

static bool next_writes(struct rd_channel_traffic *traffic)
{
    const struct rd_plan *plan = traffic->plan;
    if (plan->op == RD_PLAN_MIXED)
        return rd_random_unit(&traffic->choices) >= plan->read_ratio;
    return rd_plan_writes(plan);
}

void rd_channel_start(struct rd_channel *channel, struct rd_channel_traffic *traffic, uint64_t begin_ns)
{
    assert(channel->free_count != 0);
    uint32_t number = channel->free_slots[--channel->free_count];
    struct rd_channel_slot *slot = &channel->slots[number];
    bool writes = next_writes(traffic);
    const struct rd_frame_form *form = &traffic->forms[writes];
    *slot = (struct rd_channel_slot){.begin_ns = begin_ns, .state = RD_CHANNEL_QUEUED, .writes = writes};
    if (form->value_outside_len != 0)
        slot->value_at = (size_t)rd_random_below(&traffic->values, RD_FRAME_TEXT_SPARE);
    rd_frame_renew(form, traffic->plan->key_count, &traffic->keys, &traffic->values,
                   channel->frames[writes] + number * form->bytes.len);
    channel->order[channel->queued_end++ & channel->order_mask] = number;
}

/* ---- sending ---------------------------------------------------------------------------------------------- */

/* Adds a piece, or makes the last one longer where this one lies behind it: frames of neighbouring slots do. */
static size_t add_part(struct iovec *parts, size_t count, const uint8_t *data, size_t len)
{
    if (count != 0 && (const uint8_t *)parts[count - 1].iov_base + parts[count - 1].iov_len == data) {
        parts[count - 1].iov_len += len;
        return count;
    }
    parts[count] = (struct iovec){.iov_base = (void *)(uintptr_t)data, .iov_len = len};
    return count + 1;
}

/* What is queued, from the first unsent byte on. */
static size_t collect(const struct rd_channel *channel, const struct rd_channel_traffic *traffic,
                      struct iovec parts[PARTS_MAX])
{
    size_t count = 0;
    size_t skip = channel->sent_len;
    for (uint64_t at = channel->sent_end; at != channel->queued_end && count + 2 <= PARTS_MAX; at++) {
        uint32_t number = channel->order[at & channel->order_mask];
        const struct rd_channel_slot *slot = &channel->slots[number];
        const struct rd_frame_form *form = &traffic->forms[slot->writes];
        size_t len = form->bytes.len;
        size_t skipped = skip < len ? skip : len;
        if (skipped < len)
            count = add_part(parts, count, channel->frames[slot->writes] + number * len + skipped, len - skipped);
        if (form->value_outside_len != 0)
            count = add_part(parts, count, traffic->text + slot->value_at + (skip - skipped),
                             form->value_outside_len - (skip - skipped));
        skip = 0;
    }
    return count;
}

static void mark_sent(struct rd_channel *channel, const struct rd_channel_traffic *traffic, size_t len)
{
    channel->sent_len += len;
    while (channel->sent_end != channel->queued_end) {
        struct rd_channel_slot *slot = &channel->slots[channel->order[channel->sent_end & channel->order_mask]];
        const struct rd_frame_form *form = &traffic->forms[slot->writes];
        size_t whole_len = form->bytes.len + form->value_outside_len;
        if (channel->sent_len < whole_len)
            return;
        channel->sent_len -= whole_len;
        slot->state = RD_CHANNEL_SENT;
        channel->sent_end++;
    }
}

static bool fail(struct rd_channel *channel, const char *what)
{
    rd_dialect_note(&channel->parser, "%s: %s", what, strerror(errno));
    return false;
}

bool rd_channel_send(struct rd_channel *channel, const struct rd_channel_traffic *traffic)
{
    channel->blocked = false;
    while (channel->sent_end != channel->queued_end || !rd_pipe_is_sent(&channel->pipe)) {
        struct iovec parts[PARTS_MAX];
        size_t part_count = collect(channel, traffic, parts);
        ssize_t sent = rd_pipe_send(&channel->pipe, parts, part_count, MSG_DONTWAIT);
        if (sent >= 0) {
            mark_sent(channel, traffic, (size_t)sent);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            channel->blocked = true;
            return true;
        } else if (errno != EINTR) {
            return fail(channel, "connection lost");
        }
    }
    return true;
}

/* ---- answers ---------------------------------------------------------------------------------------------- */

bool rd_channel_receive(struct rd_channel *channel, struct rd_channel_traffic *traffic, struct rd_slice *ret_input)
{
    size_t kept_len = channel->kept.len;
    ssize_t received;
    do {
        received = rd_pipe_receive(&channel->pipe, traffic->input + kept_len, RD_CHANNEL_INPUT_LEN, MSG_DONTWAIT);
    } while (received < 0 && errno == EINTR);
    if (received == 0) {
        rd_dialect_note(&channel->parser, "the server closed the connection");
        return false;
    }
    if (received < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
        return fail(channel, "connection lost");
    if (received < 0) {
        *ret_input = rd_slice(traffic->input, 0);
        return true;
    }
    if (kept_len != 0)
        memcpy(traffic->input, channel->kept.data, kept_len);
    rd_buffer_clear(&channel->kept);
    *ret_input = rd_slice(traffic->input, kept_len + (size_t)received);
    return true;
}

/* The slot of the answer that comes next, where answers come in order. NULL: none is expected. */
static struct rd_channel_slot *oldest(struct rd_channel *channel)
{
    if (channel->answered_end == channel->queued_end)
        return NULL;
    return &channel->slots[channel->order[channel->answered_end & channel->order_mask]];
}

static enum rd_dialect_parse keep(struct rd_channel *channel, struct rd_slice input)
{
    if (input.len != 0)
        rd_buffer_append_slice(&channel->kept, input);
    return channel->kept.failed ? rd_dialect_broken(&channel->parser, "an answer's head is too long")
                                : RD_DIALECT_MORE;
}

enum rd_dialect_parse rd_channel_next(struct rd_channel *channel, const struct rd_channel_traffic *traffic,
                                      struct rd_slice *input, struct rd_dialect_answer *ret_answer,
                                      const struct rd_channel_slot **ret_slot)
{
    struct rd_channel_slot *slot = NULL;
    if (traffic->dialect->answers_in_order) {
        slot = oldest(channel);
        channel->parser.writes = slot != NULL && slot->writes;
    }
    if (input->len == 0)
        return RD_DIALECT_MORE;
    struct rd_dialect_answer answer;
    enum rd_dialect_parse parsed = traffic->dialect->parse(&channel->parser, input, &answer);
    if (parsed != RD_DIALECT_DONE)
        return parsed == RD_DIALECT_MORE ? keep(channel, *input) : parsed;
    if (!traffic->dialect->answers_in_order && answer.id < traffic->plan->depth)
        slot = &channel->slots[answer.id];
    if (slot == NULL || slot->state == RD_CHANNEL_FREE)
        return rd_dialect_broken(&channel->parser, "an answer to no request");
    if (slot->state == RD_CHANNEL_QUEUED) /* refused half way: what is left of the request has no place to go */
        return answer.error_count != 0 ? RD_DIALECT_BROKEN
                                       : rd_dialect_broken(&channel->parser, "answered before it was sent");
    slot->state = RD_CHANNEL_FREE;
    channel->free_slots[channel->free_count++] = (uint32_t)(slot - channel->slots);
    channel->answered_end++;
    *ret_answer = answer;
    *ret_slot = slot;
    return RD_DIALECT_DONE;
}
