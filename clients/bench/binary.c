/* SPDX-License-Identifier: MIT
 *
 * binary.c - the binary protocol for the generator. Requests are made by protocol's encoder, once each; answers
 * are taken apart here, because protocol's reader allocates and copies each body, which this program has no use
 * for.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "clients/bench/dialect.h"
#include "clients/bench/pipe.h"
#include "protocol/binary_client.h"

#define HELLO_LEN_MAX        (64u << 10)
#define BATCH_WRITE_COUNT    16u /* where the number of written entries is */
#define BATCH_READ_COUNT_LEN 4u
#define ERROR_HEAD_LEN       2u

/* ---- the hello -------------------------------------------------------------------------------------------- */

/* One answer of a connection's beginning; `what` is asked, for the errors. */
static enum rd_status read_answer(struct rd_pipe *pipe, struct rd_binary_reader *reader, const char *what,
                                  struct rd_binary_answer *ret_answer, struct rd_error *ret_error)
{
    enum rd_binary_read read = RD_BINARY_READ_MORE;
    while (read == RD_BINARY_READ_MORE) {
        uint8_t byte; /* one by one, so that nothing behind the answer is taken with it */
        ssize_t len = rd_pipe_receive(pipe, &byte, 1, 0);
        struct rd_slice input = rd_slice(&byte, 1);
        if (len == 1)
            read = rd_binary_reader_next(reader, &input, ret_answer);
        else if (len == 0)
            return rd_error_set(ret_error, RD_IO_ERROR, 0, "the server closed the connection at the %s", what);
        else if (errno != EINTR)
            return rd_error_set(ret_error, RD_IO_ERROR, errno, "no answer from the server to the %s", what);
    }
    if (read != RD_BINARY_READ_ANSWER)
        return rd_error_set(ret_error, RD_UNSUPPORTED, 0, "the server does not speak rdrive's protocol");
    if (ret_answer->response.status != RD_OK)
        return rd_error_set(ret_error, ret_answer->response.status, 0, "the server refused the %s: %.150s", what,
                            ret_answer->response.message);
    return RD_OK;
}

static enum rd_status read_greeting(struct rd_pipe *pipe, bool shows_token, struct rd_limits *ret_limits,
                                    struct rd_error *ret_error)
{
    struct rd_binary_reader reader;
    struct rd_binary_answer answer;
    rd_binary_reader_init(&reader, HELLO_LEN_MAX, 1);
    enum rd_status status = read_answer(pipe, &reader, "hello", &answer, ret_error);
    if (status == RD_OK)
        *ret_limits = answer.response.limits;
    if (status == RD_OK && shows_token)
        status = read_answer(pipe, &reader, "token", &answer, ret_error);
    rd_binary_reader_deinit(&reader);
    return status;
}

static enum rd_status hold_against(const struct rd_limits *limits, const struct rd_plan *plan,
                                   struct rd_error *ret_error)
{
    if (rd_plan_batches(plan) && plan->batch_count > limits->batch_count_max)
        return rd_error_set(ret_error, RD_TOO_LARGE, 0, "the server takes batches of at most %u entries",
                            (unsigned)limits->batch_count_max);
    /* An entry costs its value, the key and its length fields; the request some 100 bytes around them. */
    uint64_t entry_len = (rd_plan_writes(plan) ? plan->value_len : 0) + RD_FRAME_KEY_LEN + 9;
    if (plan->batch_count * entry_len + 100 > limits->body_len_max)
        return rd_error_set(ret_error, RD_TOO_LARGE, 0, "the server takes requests of at most %u bytes",
                            (unsigned)limits->body_len_max);
    return RD_OK;
}

static enum rd_status greet(struct rd_pipe *pipe, const struct rd_plan *plan, struct rd_error *ret_error)
{
    struct rd_buffer hello;
    struct rd_limits limits = RD_LIMITS_DEFAULT;
    rd_buffer_init(&hello, 0);
    rd_binary_encode_hello(&hello);
    if (plan->token != NULL) {
        size_t follow_len = 0;
        struct rd_request auth = {.opcode = RD_OPCODE_AUTH, .token = rd_slice_of_string(plan->token)};
        if (rd_binary_encode_request(&auth, &hello, &follow_len) != RD_OK)
            hello.failed = true;
    }
    struct iovec part = {.iov_base = hello.data, .iov_len = hello.len};
    ssize_t sent = hello.failed ? -1 : rd_pipe_send(pipe, &part, 1, 0);
    bool whole = sent >= 0 && (size_t)sent == hello.len;
    rd_buffer_deinit(&hello);
    if (!whole)
        return rd_error_set(ret_error, RD_IO_ERROR, errno, "cannot send the hello");
    enum rd_status status = read_greeting(pipe, plan->token != NULL, &limits, ret_error);
    return status != RD_OK ? status : hold_against(&limits, plan, ret_error);
}

/* ---- requests --------------------------------------------------------------------------------------------- */

static enum rd_opcode opcode_of(const struct rd_plan *plan, bool writes)
{
    if (rd_plan_batches(plan))
        return writes ? RD_OPCODE_BATCH_WRITE : RD_OPCODE_BATCH_READ;
    return writes ? RD_OPCODE_WRITE : RD_OPCODE_READ;
}

/* Encodes one request with a key and a value that stand for all others. On failure nothing is left to free. */
static enum rd_status encode(const struct rd_plan *plan, bool writes, size_t value_len, struct rd_buffer *bytes,
                             size_t *ret_follow_len)
{
    uint8_t *value = calloc(1, value_len + 1);
    struct rd_message_item *items = calloc(plan->batch_count, sizeof *items);
    struct rd_message_key key = {.bytes = rd_slice_of_string(RD_FRAME_KEY_ANY)};
    struct rd_request request = {.opcode = opcode_of(plan, writes),
                                 .store = rd_slice_of_string(plan->store),
                                 .key = key,
                                 .value = rd_slice(value, value_len),
                                 .items = items,
                                 .item_count = rd_plan_batches(plan) ? plan->batch_count : 0,
                                 .durability = plan->durability};
    for (uint32_t i = 0; items != NULL && i < plan->batch_count; i++)
        items[i] = (struct rd_message_item){.key = key, .value = request.value};
    enum rd_status status = RD_NO_MEMORY;
    if (value != NULL && items != NULL)
        status = rd_binary_encode_request(&request, bytes, ret_follow_len);
    free(items);
    free(value);
    return status;
}

static enum rd_status form(const struct rd_plan *plan, bool writes, const char *host,
                           struct rd_frame_form *ret_form)
{
    (void)host;
    struct rd_buffer *bytes = &ret_form->bytes;
    size_t follow_len = 0;
    enum rd_status status = encode(plan, writes, writes ? plan->value_len : 0, bytes, &follow_len);
    if (status != RD_OK)
        return status;

    /* The value of a single write follows its frame, from inside or from outside; a batch has all its values in
     * it, each with its length before it. Entries are at the frame's end, each with its key and value last. */
    bool batch_of_writes = writes && rd_plan_batches(plan);
    if (follow_len > RD_FRAME_VALUE_INSIDE_MAX)
        ret_form->value_outside_len = follow_len;
    else if (follow_len != 0 && rd_buffer_reserve(bytes, follow_len) != NULL)
        rd_buffer_commit(bytes, follow_len);
    size_t inside_len = writes && ret_form->value_outside_len == 0 ? plan->value_len : 0;
    size_t value_head_len = batch_of_writes ? sizeof(uint32_t) : 0;
    ret_form->entry_count = plan->batch_count;
    ret_form->stride = RD_WIRE_KEY_LEN_MIN + RD_FRAME_KEY_LEN + value_head_len + inside_len;
    size_t last = bytes->len - inside_len - value_head_len - RD_FRAME_DIGIT_COUNT;
    ret_form->digits_first = last - (plan->batch_count - 1) * ret_form->stride;
    ret_form->value_first = inside_len == 0 ? 0 : ret_form->digits_first + RD_FRAME_DIGIT_COUNT + value_head_len;
    ret_form->value_len = inside_len;
    ret_form->id_at = RD_WIRE_HEADER_ID;
    return bytes->failed ? RD_NO_MEMORY : RD_OK;
}

/* ---- answers ---------------------------------------------------------------------------------------------- */

/* The whole of an answer that is an error, with its head. */
static void take_error(struct rd_dialect_parser *parser, struct rd_wire_header header, struct rd_slice body)
{
    if (header.status == RD_KEY_NOT_FOUND && header.opcode == RD_OPCODE_READ) {
        parser->answer.done_count = 1;
        parser->answer.miss_count = 1;
        return;
    }
    struct rd_wire_cursor cursor = {.left = body};
    size_t text_len = rd_wire_take_u16(&cursor);
    struct rd_slice text = rd_slice_take(&cursor.left, text_len);
    parser->answer.error_count = parser->plan->batch_count;
    rd_dialect_note(parser, "%s: %.*s", rd_status_name((enum rd_status)header.status), (int)text.len,
                    (const char *)text.data);
}

/* How many bytes of an answer's body must be there before its head can be taken. */
static size_t head_len(struct rd_wire_header header)
{
    if (header.status != RD_OK)
        return header.body_len;
    if (header.opcode == RD_OPCODE_BATCH_WRITE)
        return RD_WIRE_BATCH_WRITE_ANSWER_LEN;
    return header.opcode == RD_OPCODE_BATCH_READ ? BATCH_READ_COUNT_LEN : 0;
}

static size_t body_len_min(struct rd_wire_header header)
{
    if (header.status == RD_OK && header.opcode == RD_OPCODE_WRITE)
        return RD_WIRE_WRITE_ANSWER_LEN;
    if (header.status == RD_OK && header.opcode == RD_OPCODE_READ)
        return RD_WIRE_READ_ANSWER_LEN;
    return head_len(header);
}

static bool was_asked(const struct rd_plan *plan, uint8_t opcode)
{
    return (rd_plan_writes(plan) && opcode == opcode_of(plan, true)) ||
           (rd_plan_reads(plan) && opcode == opcode_of(plan, false));
}

/* What the head of a good answer says. */
static enum rd_dialect_parse take_head(struct rd_dialect_parser *parser, struct rd_wire_header header,
                                       const uint8_t *body)
{
    const struct rd_plan *plan = parser->plan;
    if (header.opcode == RD_OPCODE_WRITE) {
        parser->answer.done_count = 1;
    } else if (header.opcode == RD_OPCODE_READ) {
        rd_dialect_take_value(parser, header.body_len - RD_WIRE_READ_ANSWER_LEN);
    } else if (header.opcode == RD_OPCODE_BATCH_WRITE) {
        if (rd_load_u64le(body + BATCH_WRITE_COUNT) != plan->batch_count)
            return rd_dialect_broken(parser, "not all of a batch was written");
        parser->answer.done_count = plan->batch_count;
    } else {
        parser->rows_left = rd_load_u32le(body);
        if (parser->rows_left != plan->batch_count)
            return rd_dialect_broken(parser, "not all of a batch was answered");
    }
    return RD_DIALECT_DONE;
}

/* Takes the head of an answer, and an error whole. */
static enum rd_dialect_parse begin(struct rd_dialect_parser *parser, struct rd_slice *input)
{
    if (input->len < RD_WIRE_HEADER_LEN)
        return RD_DIALECT_MORE;
    struct rd_wire_header header = rd_wire_load_header(input->data);
    if (header.flags != 0 || !was_asked(parser->plan, header.opcode))
        return rd_dialect_broken(parser, "an answer to what was not asked");
    if (header.body_len < body_len_min(header))
        return rd_dialect_broken(parser, "an answer that is too short");
    size_t needed = head_len(header);
    if (needed > RD_DIALECT_HEAD_LEN_MAX - RD_WIRE_HEADER_LEN)
        return rd_dialect_broken(parser, "an error that is too long");
    if (input->len < RD_WIRE_HEADER_LEN + needed)
        return RD_DIALECT_MORE;
    (void)rd_slice_take(input, RD_WIRE_HEADER_LEN);
    struct rd_slice head = rd_slice_take(input, needed);
    parser->answer = (struct rd_dialect_answer){.id = header.id};
    parser->rows_left = 0;
    parser->body_left = header.body_len - needed;
    parser->in_body = true;
    if (header.status == RD_OK)
        return take_head(parser, header, head.data);
    take_error(parser, header, head);
    return RD_DIALECT_DONE;
}

/* One row of a batch_read; its value is passed over once it is there, so a row is taken in one or two steps. */
static enum rd_dialect_parse take_row(struct rd_dialect_parser *parser, struct rd_slice *input)
{
    const size_t found_len = RD_WIRE_BATCH_READ_ROW_LEN_MIN + RD_WIRE_BATCH_READ_VALUE_HEAD_LEN;
    if (parser->body_left < RD_WIRE_BATCH_READ_ROW_LEN_MIN)
        return rd_dialect_broken(parser, "a batch's answer ends before its rows do");
    if (input->len < RD_WIRE_BATCH_READ_ROW_LEN_MIN)
        return RD_DIALECT_MORE;
    uint16_t status = rd_load_u16le(input->data);
    size_t len = status == RD_OK ? found_len : RD_WIRE_BATCH_READ_ROW_LEN_MIN;
    if (input->len < len)
        return RD_DIALECT_MORE;
    uint32_t value_len = status == RD_OK ? rd_load_u32le(input->data + found_len - sizeof value_len) : 0;
    if (parser->body_left < len + value_len)
        return rd_dialect_broken(parser, "a batch's answer ends before its rows do");
    if (status == RD_OK) {
        rd_dialect_take_value(parser, value_len);
    } else if (status == RD_KEY_NOT_FOUND) {
        parser->answer.done_count++;
        parser->answer.miss_count++;
    } else {
        rd_dialect_note(parser, "%s", rd_status_name((enum rd_status)status));
        parser->answer.error_count++;
    }
    (void)rd_slice_take(input, len);
    parser->body_left -= len;
    parser->value_left = value_len;
    parser->rows_left--;
    return RD_DIALECT_DONE;
}

/* Rows and their values, as far as they are there. */
static enum rd_dialect_parse take_rows(struct rd_dialect_parser *parser, struct rd_slice *input)
{
    for (;;) {
        size_t len = rd_slice_take(input, parser->value_left).len;
        parser->value_left -= (uint32_t)len;
        parser->body_left -= len;
        if (parser->value_left != 0)
            return RD_DIALECT_MORE;
        if (parser->rows_left == 0)
            return RD_DIALECT_DONE;
        enum rd_dialect_parse taken = take_row(parser, input);
        if (taken != RD_DIALECT_DONE)
            return taken;
    }
}

static enum rd_dialect_parse parse(struct rd_dialect_parser *parser, struct rd_slice *input,
                                   struct rd_dialect_answer *ret_answer)
{
    if (!parser->in_body) {
        enum rd_dialect_parse begun = begin(parser, input);
        if (begun != RD_DIALECT_DONE)
            return begun;
    }
    enum rd_dialect_parse taken = take_rows(parser, input);
    if (taken != RD_DIALECT_DONE)
        return taken;
    return rd_dialect_skip_body(parser, input) ? rd_dialect_end(parser, ret_answer) : RD_DIALECT_MORE;
}

const struct rd_dialect rd_dialect_binary = {.name = "binary", .greet = greet, .form = form, .parse = parse};
