/* SPDX-License-Identifier: MIT */
#include "protocol/redis.h"

#include <stdio.h>
#include <stdlib.h>

#include "protocol/guards.h"
#include "protocol/redis_answer.h"
#include "protocol/redis_command.h"
#include "protocol/redis_multi.h"
#include "protocol/redis_request.h"

#define NAMES_SHOWN 128u /* bytes of an unknown command's name, and of its arguments, in the answer */

struct rd_decoder {
    struct rd_redis_state state;
    struct rd_resp_scan scan;
    bool closed;
    bool streaming;  /* the command under way is a write_stream that was handed out */
    bool dropping;   /* it has been refused: the rest of it is read and forgotten */
    size_t admitted; /* bytes of the command under way that there is room for */
    struct rd_stream_part part;
};

static struct rd_decoder *create(const struct rd_limits *limits)
{
    struct rd_decoder *decoder = calloc(1, sizeof *decoder);
    if (decoder == NULL)
        return NULL;
    decoder->state.limits = *limits;
    rd_resp_scan_init(&decoder->scan, 2 * (size_t)limits->batch_count_max + 1, limits->body_len_max);
    return decoder;
}

static void destroy(struct rd_decoder *decoder)
{
    if (decoder == NULL)
        return;
    rd_resp_scan_deinit(&decoder->scan);
    rd_redis_multi_reset(&decoder->state.multi);
    rd_redis_multi_unwatch(&decoder->state);
    free(decoder);
}

/* ---- commands ---------------------------------------------------------------------------------------------- */

/* As Redis words it. */
static void refuse_unknown(struct rd_redis_ask *ask)
{
    struct rd_slice name = rd_redis_ask_arg(ask, 0);
    const char *reason = rd_redis_refusal(name);
    if (reason != NULL) {
        rd_redis_ask_refuse(ask, "ERR '%.*s' is not served: %s", (int)name.len, (const char *)name.data, reason);
        return;
    }
    char shown[2 * NAMES_SHOWN];
    size_t len = 0;
    for (size_t i = 1; i < ask->arg_count && len < NAMES_SHOWN; i++) {
        struct rd_slice arg = rd_redis_ask_arg(ask, i);
        size_t room = NAMES_SHOWN - len;
        int written = snprintf(shown + len, sizeof shown - len, "'%.*s' ", (int)(arg.len < room ? arg.len : room),
                               (const char *)arg.data);
        len += (size_t)written;
    }
    shown[len] = '\0';
    rd_redis_ask_refuse(ask, "ERR unknown command '%.*s', with args beginning with: %s",
                        (int)(name.len < NAMES_SHOWN ? name.len : NAMES_SHOWN), (const char *)name.data, shown);
}

/* What is refused before it is looked at ends the transaction it was sent in, also if it would not be queued. */
static void break_transaction(struct rd_redis_state *state)
{
    state->multi.broken = state->multi.open;
}

/* With EXEC the transaction goes too. */
static void refuse_arity(struct rd_redis_ask *ask)
{
    const char *name = ask->command->name;
    if (strcmp(name, "exec") != 0) {
        break_transaction(ask->state);
        rd_redis_ask_refuse(ask, "ERR wrong number of arguments for '%s' command", name);
        return;
    }
    rd_redis_multi_reset(&ask->state->multi);
    rd_redis_multi_unwatch(ask->state);
    rd_redis_ask_refuse(
        ask, "EXECABORT Transaction discarded because of: wrong number of arguments for '%s' command", name);
}

/* The command's row onto the request. */
static void begin(struct rd_redis_ask *ask)
{
    struct rd_redis_state *state = ask->state;
    struct rd_request *request = ask->request;
    state->before.kept = state->before.shows = false;
    request->needs_token = ask->command != NULL && (ask->command->flags & RD_REDIS_NO_AUTH) == 0;
    if (state->store_len != 0) {
        memcpy(request->detail, state->store, state->store_len);
        request->store = rd_slice(request->detail, state->store_len);
    }
    request->codec_flags = state->resp3 ? RD_REDIS_FLAG_RESP3 : 0;
    if (ask->command != NULL)
        rd_redis_ask_operation(ask, ask->command->opcode, ask->command->answer);
}

/* Refuses as the server does: with the operation that is refused, which it counts. */
static void refuse_operation(struct rd_redis_ask *ask, enum rd_opcode opcode, enum rd_status status,
                             const char *message)
{
    size_t size = strlen(message) + 1;
    rd_request_destroy(ask->request);
    ask->request = rd_request_create(size);
    if (ask->request == NULL)
        return;
    begin(ask);
    rd_redis_ask_operation(ask, opcode, RD_REDIS_READY);
    ask->request->status = status;
    ask->request->message = memcpy(ask->request->body, message, size);
}

static bool wants_values(const struct rd_request *request)
{
    for (size_t i = 0; i < request->look_count; i++)
        if (request->looks[i].value_wanted)
            return true;
    return false;
}

/* Who may not do it is told just that: neither what else is wrong with it, nor that it waits for EXEC. A long
 * command is refused so before it is whole, and its answer must not go by how its bytes have come. */
static void heed_token(struct rd_redis_ask *ask)
{
    const struct rd_limits *limits = &ask->state->limits;
    struct rd_slice store = rd_slice(ask->state->store, ask->state->store_len);
    struct rd_asking asking = {
        .opcode = ask->command->opcode,
        .store = &store,
        .values_too = ask->request->status == RD_OK && wants_values(ask->request),
    };
    struct rd_error error = {.status = RD_OK};
    if (limits->admit == NULL || (ask->command->flags & RD_REDIS_NO_AUTH) != 0)
        return;
    enum rd_status status = limits->admit(limits->admit_context, &asking, 0, &error);
    if (status != RD_FORBIDDEN && status != RD_UNAUTHORIZED)
        return;
    break_transaction(ask->state);
    refuse_operation(ask, asking.opcode, status, error.message);
}

static void parse_arguments(struct rd_redis_ask *ask, bool queues)
{
    ask->command->parse(ask);
    if (queues || ask->request->status != RD_OK)
        heed_token(ask);
}

static bool is_queued(const struct rd_redis_state *state, const struct rd_redis_command *command)
{
    return state->multi.open && (command == NULL || (command->flags & RD_REDIS_AT_ONCE) == 0);
}

static void parse(struct rd_redis_ask *ask)
{
    const struct rd_redis_command *command = ask->command;
    bool queues = is_queued(ask->state, command);
    if (command == NULL)
        refuse_unknown(ask);
    else if (!rd_redis_command_takes(command, ask->arg_count))
        refuse_arity(ask);
    else if (queues && (command->flags & RD_REDIS_NO_MULTI) != 0)
        rd_redis_ask_refuse(ask, "ERR Command not allowed inside a transaction");
    else if (queues && (command->flags & RD_REDIS_ALONE) != 0)
        rd_redis_ask_refuse(ask, "ERR '%s' cannot be part of a transaction here", command->name);
    else
        parse_arguments(ask, queues);
    if (!queues)
        return;
    if (ask->request != NULL && ask->request->status == RD_OK)
        rd_redis_multi_queue(ask);
    else
        ask->state->multi.broken = true;
}

static bool is_http_version(struct rd_slice arg)
{
    return rd_slice_equal(arg, rd_slice_of_string("HTTP/1.1")) ||
           rd_slice_equal(arg, rd_slice_of_string("HTTP/1.0"));
}

/* What a browser would send. The method is whatever a page says ("DEL /key HTTP/1.1" is a command, too), the
 * version is the browser's. */
static bool is_http(const struct rd_redis_ask *ask, bool typed)
{
    if (!typed)
        return false;
    return rd_redis_ask_is(ask, 0, "post") || rd_redis_ask_is(ask, 0, "host:") ||
           (ask->arg_count > 1 && is_http_version(rd_redis_ask_arg(ask, ask->arg_count - 1)));
}

/* Ends the connection once what was asked before is answered, and says nothing. */
static void end_silently(struct rd_request *request)
{
    request->opcode = RD_OPCODE_PING;
    request->codec_flags |= RD_REDIS_FLAG_SILENT;
    request->close_after = true;
}

static enum rd_decode hand_out(struct rd_decoder *decoder, struct rd_request *request,
                               struct rd_request **ret_request)
{
    decoder->closed = request == NULL || request->close_after;
    decoder->admitted = 0;
    *ret_request = request;
    return request == NULL ? RD_DECODE_CLOSED : RD_DECODE_REQUEST;
}

/* The arguments are whole, and lie in the request's body. */
static enum rd_decode take_command(struct rd_decoder *decoder, struct rd_request *request,
                                   struct rd_request **ret_request)
{
    struct rd_redis_ask ask = {
        .state = &decoder->state,
        .request = request,
        .args = decoder->scan.args,
        .arg_count = decoder->scan.arg_count,
    };
    bool http = is_http(&ask, decoder->scan.typed);
    ask.command = http ? NULL : rd_redis_command_find(rd_redis_ask_arg(&ask, 0), false);
    begin(&ask);
    if (http)
        end_silently(request);
    else
        parse(&ask);
    return hand_out(decoder, ask.request, ret_request);
}

/* A command that lies in the input: its arguments are copied, with what stands between them. */
static enum rd_decode take_whole(struct rd_decoder *decoder, struct rd_slice bytes,
                                 struct rd_request **ret_request)
{
    struct rd_resp_scan *scan = &decoder->scan;
    size_t first = scan->args[0].offset;
    struct rd_request *request = rd_request_create(bytes.len - first);
    if (request == NULL)
        return hand_out(decoder, NULL, ret_request);
    memcpy(request->body, bytes.data + first, bytes.len - first);
    for (size_t i = 0; i < scan->arg_count; i++)
        scan->args[i].offset -= first;
    enum rd_decode result = take_command(decoder, request, ret_request);
    rd_resp_scan_begin(scan);
    return result;
}

/* Makes the arguments that were gathered the body of a request. NULL: no memory. */
static struct rd_request *take_gathered(struct rd_decoder *decoder)
{
    struct rd_buffer *bytes = &decoder->scan.bytes;
    struct rd_request *request = rd_request_create(0);
    if (request == NULL)
        return NULL;
    rd_request_set_body(request, bytes->data, bytes->len);
    rd_buffer_init(bytes, bytes->len_max);
    return request;
}

/* ---- what does not fit, and what need not ------------------------------------------------------------------ */

/* What the command under way asks for, where its name is whole; NONE for one that gets no further than to its
 * number of arguments, or to MULTI. */
static enum rd_opcode opcode_under_way(const struct rd_decoder *decoder)
{
    const struct rd_resp_scan *scan = &decoder->scan;
    if (scan->arg_count < 2)
        return RD_OPCODE_NONE;
    struct rd_slice name = rd_slice(scan->bytes.data + scan->args[0].offset, scan->args[0].len);
    const struct rd_redis_command *command = rd_redis_command_find(name, false);
    bool inside = scan->phase == RD_RESP_IN_DATA || scan->phase == RD_RESP_IN_END;
    if (command == NULL || !rd_redis_command_takes(command, scan->arg_count + scan->args_left - (inside ? 1 : 0)))
        return RD_OPCODE_NONE;
    if (is_queued(&decoder->state, command) && (command->flags & (RD_REDIS_NO_MULTI | RD_REDIS_ALONE)) != 0)
        return RD_OPCODE_NONE;
    return command->opcode;
}

/* Answers the command under way before it is whole. What is there of it is forgotten, as the rest will be. */
static enum rd_decode refuse_rest(struct rd_decoder *decoder, enum rd_status status, const char *message,
                                  struct rd_request **ret_request)
{
    struct rd_redis_ask ask = {.state = &decoder->state};
    refuse_operation(&ask, opcode_under_way(decoder), status, message);
    decoder->dropping = true;
    rd_resp_scan_drop(&decoder->scan);
    break_transaction(&decoder->state);
    return hand_out(decoder, ask.request, ret_request);
}

/* In the rest of a command that has been answered it gets no answer of its own, which would pass for the next
 * command's. */
static enum rd_decode take_fault(struct rd_decoder *decoder, struct rd_request **ret_request)
{
    struct rd_redis_ask ask = {.state = &decoder->state, .request = rd_request_create(0)};
    if (ask.request != NULL && decoder->dropping) {
        end_silently(ask.request);
    } else if (ask.request != NULL) {
        begin(&ask);
        rd_redis_ask_refuse(&ask, "ERR %s", decoder->scan.fault);
        ask.request->status = decoder->scan.fault_status;
        ask.request->close_after = true;
    }
    return hand_out(decoder, ask.request, ret_request);
}

/* Whether the argument that begins is one whose value may come in parts, and should. */
static bool should_stream(const struct rd_decoder *decoder)
{
    const struct rd_resp_scan *scan = &decoder->scan;
    const struct rd_limits *limits = &decoder->state.limits;
    if (scan->arg_count != 3 || decoder->state.multi.open)
        return false;
    const struct rd_redis_command *command =
        rd_redis_command_find(rd_slice(scan->bytes.data + scan->args[0].offset, scan->args[0].len), false);
    if (command == NULL || (command->flags & RD_REDIS_STREAMS) == 0 || scan->args[1].len > limits->key_len_max)
        return false;
    bool last = scan->args_left == 1;
    return (last && scan->left > limits->stream_threshold) ||
           (scan->left > scan->bytes.len_max - scan->bytes.len &&
            rd_redis_command_takes(command, scan->arg_count - 1 + scan->args_left));
}

static enum rd_decode begin_stream(struct rd_decoder *decoder, struct rd_request **ret_request)
{
    struct rd_resp_scan *scan = &decoder->scan;
    struct rd_request *request = take_gathered(decoder);
    if (request == NULL)
        return hand_out(decoder, NULL, ret_request);
    struct rd_redis_ask ask = {
        .state = &decoder->state, .request = request, .args = scan->args, .arg_count = scan->arg_count};
    ask.command = rd_redis_command_find(rd_redis_ask_arg(&ask, 0), false);
    begin(&ask);
    request->opcode = RD_OPCODE_WRITE_STREAM;
    request->key = (struct rd_message_key){.bytes = rd_redis_ask_arg(&ask, 1)};
    request->streamed = true;
    request->stream_len = scan->left;
    request->creates_store = true;
    if (ask.command->answer == RD_REDIS_APPLIED)
        request->condition.kind = RD_MESSAGE_IF_ABSENT;
    scan->way = RD_RESP_HAND_OUT;
    scan->bytes.len_max = RD_LIMITS_FEW; /* what may stand behind the value are a few words */
    decoder->streaming = true;
    return hand_out(decoder, request, ret_request);
}

/* The rest of a streamed command is there: what stood behind the value. */
static enum rd_decode end_stream(struct rd_decoder *decoder)
{
    struct rd_resp_scan *scan = &decoder->scan;
    struct rd_redis_set_options options = {.get = false};
    struct rd_request rest = {.body = scan->bytes.data};
    struct rd_redis_ask ask = {
        .state = &decoder->state, .request = &rest, .args = scan->args, .arg_count = scan->arg_count};
    const char *fault = rd_redis_parse_set_options(&ask, 3, &options);
    if (fault == NULL && options.get)
        fault = "SET with GET does not take a value that long";
    decoder->part = (struct rd_stream_part){.kind = RD_STREAM_END, .condition = options.condition};
    if (fault != NULL) {
        decoder->part.status = RD_INVALID_ARGUMENT;
        decoder->part.bytes = rd_slice_of_string(fault);
    }
    decoder->streaming = false;
    scan->bytes.len_max = decoder->state.limits.body_len_max;
    rd_resp_scan_begin(scan);
    return RD_DECODE_PART;
}

/* What is malformed is its answer then; static text. */
static enum rd_decode break_stream(struct rd_decoder *decoder, enum rd_status status, const char *message)
{
    decoder->part =
        (struct rd_stream_part){.kind = RD_STREAM_ABORT, .status = status, .bytes = rd_slice_of_string(message)};
    decoder->closed = true;
    return RD_DECODE_PART;
}

/* Bytes of the command under way that are kept: a word may be shorter than what tells where it lies. */
static size_t kept_len(const struct rd_resp_scan *scan)
{
    return scan->bytes.len + scan->arg_count * sizeof *scan->args;
}

/* Asks for room for len bytes of the command under way; a few more than it was asked for before wait until they
 * are no longer few, as a long one may come in small pieces. RD_DECODE_MORE: there is. */
static enum rd_decode admit(struct rd_decoder *decoder, size_t len, struct rd_request **ret_request)
{
    const struct rd_redis_state *state = &decoder->state;
    struct rd_slice store = rd_slice(state->store, state->store_len);
    struct rd_asking asking = {.opcode = opcode_under_way(decoder), .store = &store};
    struct rd_error error = {.status = RD_OK};
    if (len <= decoder->admitted || !rd_limits_ask(&state->limits, len - decoder->admitted))
        return RD_DECODE_MORE;
    if (rd_limits_admit(&state->limits, &asking, len - decoder->admitted, &error) != RD_OK)
        return refuse_rest(decoder, error.status, error.message, ret_request);
    decoder->admitted = len;
    return RD_DECODE_MORE;
}

/* A long argument begins. RD_DECODE_MORE: go on. */
static enum rd_decode choose_way(struct rd_decoder *decoder, struct rd_request **ret_request)
{
    struct rd_resp_scan *scan = &decoder->scan;
    if (decoder->streaming)
        return break_stream(decoder, RD_INVALID_ARGUMENT, "syntax error");
    if (should_stream(decoder))
        return begin_stream(decoder, ret_request);
    if (scan->left > scan->bytes.len_max - scan->bytes.len)
        return refuse_rest(decoder, RD_TOO_LARGE, "the command is longer than this server takes", ret_request);
    return admit(decoder, kept_len(scan) + scan->left, ret_request);
}

/* ---- decoding ---------------------------------------------------------------------------------------------- */

static enum rd_decode end_command(struct rd_decoder *decoder, struct rd_request **ret_request)
{
    if (decoder->streaming)
        return end_stream(decoder);
    struct rd_request *request = take_gathered(decoder);
    if (request == NULL)
        return hand_out(decoder, NULL, ret_request);
    enum rd_decode result = take_command(decoder, request, ret_request);
    rd_resp_scan_begin(&decoder->scan);
    return result;
}

static enum rd_decode decode(struct rd_decoder *decoder, struct rd_slice *input, struct rd_request **ret_request)
{
    struct rd_resp_scan *scan = &decoder->scan;
    size_t len;
    *ret_request = NULL;
    if (decoder->closed)
        return RD_DECODE_CLOSED;
    if (input->len != 0 && !rd_resp_scan_is_inside(scan) && rd_resp_scan_whole(scan, *input, &len))
        return take_whole(decoder, rd_slice_take(input, len), ret_request);
    for (;;) {
        enum rd_decode result;
        switch (rd_resp_scan_next(scan, input)) {
        case RD_RESP_MORE: /* a line is as short as a head, and what is behind a stream is shorter */
            if (scan->way != RD_RESP_KEEP || scan->phase == RD_RESP_IN_INLINE || decoder->streaming)
                return RD_DECODE_MORE;
            return admit(decoder, kept_len(scan), ret_request);
        case RD_RESP_COMMAND:
            if (!decoder->dropping)
                return end_command(decoder, ret_request);
            decoder->dropping = false;
            rd_resp_scan_begin(scan);
            break;
        case RD_RESP_LONG:
            result = choose_way(decoder, ret_request);
            if (result != RD_DECODE_MORE)
                return result;
            break;
        case RD_RESP_PIECE:
            decoder->part = (struct rd_stream_part){.kind = RD_STREAM_CHUNK, .bytes = scan->piece};
            return RD_DECODE_PART;
        case RD_RESP_FAULT:
            return decoder->streaming ? break_stream(decoder, scan->fault_status, scan->fault)
                                      : take_fault(decoder, ret_request);
        }
    }
}

/* Nothing may be left of what somebody without a token has said: neither the protocol's version nor a database,
 * and least of all a transaction that the next command would fall into. But a token that is not known changes
 * nothing: who has shown a known one before goes on with that, and with what was watched. */
static void refused(struct rd_decoder *decoder)
{
    struct rd_redis_state *state = &decoder->state;
    const struct rd_redis_before *before = &state->before;
    if (!before->shows) {
        rd_redis_multi_reset(&state->multi);
        rd_redis_multi_unwatch(state);
    }
    if (!before->kept)
        return;
    state->resp3 = before->resp3;
    state->store_len = before->store_len;
    memcpy(state->store, before->store, sizeof state->store);
}

static size_t held(const struct rd_decoder *decoder)
{
    const struct rd_guards *watched = decoder->state.watched;
    return decoder->state.multi.len + (watched == NULL ? 0 : rd_guards_memory(watched));
}

static const struct rd_stream_part *part_of(const struct rd_decoder *decoder)
{
    return &decoder->part;
}

static uint8_t *fill_target(struct rd_decoder *decoder, size_t *ret_len)
{
    return rd_resp_scan_fill_target(&decoder->scan, ret_len);
}

static void fill_done(struct rd_decoder *decoder, size_t len)
{
    rd_resp_scan_fill_done(&decoder->scan, len);
}

static bool mid_request(const struct rd_decoder *decoder)
{
    return !decoder->closed && rd_resp_scan_is_inside(&decoder->scan);
}

/* A command's arguments are no head: a long one may be a whole batch. A line is one. */
static size_t head_len(const struct rd_decoder *decoder)
{
    if (!mid_request(decoder) || decoder->scan.arg_count != 0)
        return 0;
    return decoder->scan.bytes.len + 1;
}

/* As Redis words it. */
static void refuse_connection(struct rd_buffer *out)
{
    rd_buffer_append_string(out, "-ERR max number of clients reached\r\n");
}

const struct rd_codec rd_redis_codec = {
    .name = "redis",
    .answers_in_order = true,
    .skips_streams = true,
    .behind_value = {.data = (const uint8_t *)"\r\n", .len = 2},
    .create = create,
    .destroy = destroy,
    .decode = decode,
    .fill_target = fill_target,
    .fill_done = fill_done,
    .part = part_of,
    .encode_part = NULL, /* a value just follows its head */
    .refused = refused,
    .held = held,
    .mid_request = mid_request,
    .head_len = head_len,
    .refuse_connection = refuse_connection,
    .encode = rd_redis_answer_encode,
};
