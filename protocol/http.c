/* SPDX-License-Identifier: MIT */
#include "protocol/http.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/http_ask.h"
#include "protocol/http_chunked.h"
#include "protocol/http_encode.h"
#include "protocol/http_head.h"
#include "protocol/json.h"

#define DISCARD_LEN_MAX    (64u << 10) /* bytes of a refused request's body that are read to keep the connection */
#define REQUEST_ID_LEN_MAX 64u
#define HEAD_CAPACITY_MAX  (4u << 10) /* of the head buffer between requests */

/* What a body of no stated length stands for before its first chunk: enough to be asked for. */
#define GATHERED_LEN (RD_LIMITS_FEW + 1)

#define OVERHEAD_TOO_LONG "chunk extensions or trailers are too long"
#define CHUNKS_MALFORMED  "malformed chunked body"

/* Below that the connection's own buffer serves, and may bring the next request. */
#define FILL_LEN_MIN (16u << 10)

enum state {
    STATE_HEAD,
    STATE_BODY,
    STATE_CHUNKED,
    STATE_STREAM_BEGIN, /* its 100 Continue is handed out, the request itself is next */
    STATE_STREAM,
    STATE_STREAM_CHUNKED,
    STATE_BROKEN, /* a streamed body's ABORT is handed out, the reason is next */
    STATE_DISCARD,
    STATE_CLOSED
};

enum step {
    STEP_MORE,    /* all input is consumed */
    STEP_AGAIN,   /* the state has changed */
    STEP_REQUEST, /* *ret_request is filled */
    STEP_PART     /* decoder->part is filled */
};

struct rd_decoder {
    struct rd_limits limits;
    enum state state;
    struct rd_http_scan scan;   /* of the head under way */
    struct rd_buffer head;      /* its bytes, where it comes in pieces; else empty */
    struct rd_request *request; /* owned; under way in BODY and CHUNKED */
    bool by_hash;               /* that request's key is a hash */
    size_t names_len;           /* bytes of decoded names, which lie in front of the content */
    size_t token_len;           /* of these, the token, which is the last */
    size_t content_len;         /* BODY: to come in all */
    size_t content_received;    /* BODY: of these, there */
    size_t discard_len;         /* DISCARD: still to come */
    struct rd_http_chunked chunked;
    struct rd_buffer chunks;      /* CHUNKED: the names and the content so far */
    size_t admitted;              /* CHUNKED: bytes of the content that there is room for */
    bool stream_chunked;          /* STREAM_BEGIN: which way the body comes */
    bool stream_closes;           /* the streamed request is the connection's last */
    uint64_t stream_left;         /* STREAM: bytes to come; STREAM_CHUNKED: bytes that may still come */
    struct rd_stream_part part;   /* the last one */
    enum rd_status broken_status; /* BROKEN */
    const char *broken_message;   /* BROKEN; static text */
};

static struct rd_decoder *create(const struct rd_limits *limits)
{
    struct rd_decoder *decoder = calloc(1, sizeof *decoder);
    if (decoder == NULL)
        return NULL;
    decoder->limits = *limits;
    rd_buffer_init(&decoder->head, 0);
    rd_buffer_init(&decoder->chunks, 0);
    return decoder;
}

static void destroy(struct rd_decoder *decoder)
{
    if (decoder == NULL)
        return;
    rd_request_destroy(decoder->request);
    rd_buffer_deinit(&decoder->head);
    rd_buffer_deinit(&decoder->chunks);
    free(decoder);
}

/* ---- handing out ------------------------------------------------------------------------------------------- */

static enum step hand_out(struct rd_decoder *decoder, struct rd_request *request, enum state next,
                          struct rd_request **ret_request)
{
    decoder->state = request->close_after ? STATE_CLOSED : next;
    *ret_request = request;
    return STEP_REQUEST;
}

/* Not even an answer can be made. */
static enum step give_up(struct rd_decoder *decoder)
{
    rd_request_destroy(decoder->request);
    decoder->request = NULL;
    decoder->state = STATE_CLOSED;
    return STEP_AGAIN;
}

static bool is_fit_id(struct rd_slice id)
{
    for (size_t i = 0; i < id.len; i++) {
        uint8_t c = id.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && c != '-' && c != '_' && c != '.')
            return false;
    }
    return id.len != 0 && id.len <= REQUEST_ID_LEN_MAX;
}

/* Without memory the request has no id: that is no reason to refuse it. */
static void take_id(struct rd_request *request, const struct rd_http_head *head)
{
    if (head->request_id.data == NULL)
        return;
    request->trace_wanted = true;
    if (is_fit_id(head->request_id))
        request->trace = strndup((const char *)head->request_id.data, head->request_id.len);
}

/* What goes for the answer whatever becomes of the request. */
static void note_head(struct rd_request *request, const struct rd_http_head *head)
{
    request->head_only = head->method == RD_HTTP_HEAD;
    if (head->http_1_0 && head->keep_alive)
        request->codec_flags |= RD_HTTP_FLAG_KEEP_1_0;
    take_id(request, head);
}

/* Hands the request out as one that only carries the problem. It may be NULL, for want of memory; head is NULL
 * where the message cannot be followed further. */
static enum step refuse_request(struct rd_decoder *decoder, struct rd_request *request,
                                const struct rd_http_head *head, const struct rd_http_problem *problem,
                                struct rd_request **ret_request)
{
    if (request == NULL)
        return give_up(decoder);
    request->status = problem->status;
    snprintf(request->detail, sizeof request->detail, "%s", problem->message);
    request->message = request->detail;
    request->codec_flags =
        (uint32_t)problem->refusal << RD_HTTP_FLAG_REFUSAL_SHIFT | problem->allow << RD_HTTP_FLAG_ALLOW_SHIFT;
    if (head != NULL)
        note_head(request, head);
    bool may_discard = head != NULL && !head->chunked && head->content_len <= DISCARD_LEN_MAX &&
                       (head->content_len == 0 || !head->expect_continue);
    request->close_after = problem->close || !may_discard || !head->keep_alive;
    decoder->discard_len = may_discard ? (size_t)head->content_len : 0;
    return hand_out(decoder, request, STATE_DISCARD, ret_request);
}

static enum step refuse(struct rd_decoder *decoder, const struct rd_http_head *head,
                        const struct rd_http_problem *problem, struct rd_request **ret_request)
{
    return refuse_request(decoder, rd_request_create(0), head, problem, ret_request);
}

/* The message under way turned out to be malformed. */
static enum step refuse_body(struct rd_decoder *decoder, enum rd_status status, const char *message,
                             struct rd_request **ret_request)
{
    struct rd_http_problem problem = {.close = true};
    rd_http_problem_set(&problem, status, "%s", message);
    rd_request_destroy(decoder->request);
    decoder->request = NULL;
    rd_buffer_deinit(&decoder->chunks);
    return refuse(decoder, NULL, &problem, ret_request);
}

/* ---- starting and finishing a request ---------------------------------------------------------------------- */

/* What is long is left to be parsed where nobody else waits. */
static enum rd_status take_json(const struct rd_decoder *decoder, struct rd_slice content,
                                struct rd_request *request)
{
    if (content.len > decoder->limits.json_len_max)
        return rd_json_defer(content, &decoder->limits, request);
    return rd_json_parse(content, &decoder->limits, request);
}

static enum step finish_request(struct rd_decoder *decoder, size_t content_len, struct rd_request **ret_request)
{
    struct rd_request *request = decoder->request;
    decoder->request = NULL;
    struct rd_slice content = {0};
    if (request->body != NULL)
        content = rd_slice(request->body + decoder->names_len, content_len);
    if (request->opcode == RD_OPCODE_WRITE)
        request->value = content;
    else if (request->opcode == RD_OPCODE_CREATE)
        request->settings = content;
    else if (rd_http_needs_json(request->opcode))
        request->status = take_json(decoder, content, request);
    return hand_out(decoder, request, STATE_HEAD, ret_request);
}

/* What is refused by its head, with all by which it can be told whether it might be done. NULL: no memory. */
static struct rd_request *request_of_head(const struct rd_http_ask *ask)
{
    struct rd_request *request = rd_request_create(ask->route.store.len + ask->token.len);
    if (request == NULL)
        return NULL;
    request->opcode = ask->route.opcode;
    request->token_use = RD_MESSAGE_TOKEN_ALONE;
    if (request->body != NULL) {
        uint8_t *token = rd_http_text_decode(ask->route.store, request->body);
        request->store = rd_slice(request->body, ask->route.store.len);
        request->token = rd_slice(token, ask->token.len);
        if (ask->token.len != 0)
            memcpy(token, ask->token.data, ask->token.len);
    }
    return request;
}

/* 100 Continue is a request of its own, so that its answer waits for those before it. */
static enum step hand_out_continue(struct rd_decoder *decoder, struct rd_request **ret_request)
{
    struct rd_request *request = rd_request_create(0);
    if (request == NULL)
        return give_up(decoder);
    request->opcode = RD_OPCODE_CONTINUE;
    *ret_request = request;
    return STEP_REQUEST;
}

/* Hands the request out and goes on to its body. */
static enum step begin_stream(struct rd_decoder *decoder, struct rd_request **ret_request)
{
    decoder->state = decoder->stream_chunked ? STATE_STREAM_CHUNKED : STATE_STREAM;
    *ret_request = decoder->request;
    decoder->request = NULL;
    return STEP_REQUEST;
}

static enum step start_stream(struct rd_decoder *decoder, const struct rd_http_head *head,
                              struct rd_request **ret_request)
{
    struct rd_request *request = decoder->request;
    request->opcode = RD_OPCODE_WRITE_STREAM;
    request->streamed = true;
    request->stream_len = head->chunked ? UINT64_MAX : head->content_len;
    request->close_after = false;
    request->codec_flags |= head->keep_alive ? 0 : RD_HTTP_FLAG_CLOSE;
    rd_http_bind_names(request, decoder->by_hash);
    rd_http_chunked_init(&decoder->chunked, decoder->limits.header_len_max);
    decoder->stream_chunked = head->chunked;
    decoder->stream_closes = !head->keep_alive;
    decoder->stream_left = head->chunked ? RD_HTTP_STREAM_LEN_MAX : head->content_len;
    if (!head->expect_continue)
        return begin_stream(decoder, ret_request);
    decoder->state = STATE_STREAM_BEGIN;
    return hand_out_continue(decoder, ret_request);
}

/* False: no memory. */
static bool start_chunked(struct rd_decoder *decoder, const struct rd_http_ask *ask)
{
    rd_buffer_init(&decoder->chunks, decoder->names_len + decoder->limits.body_len_max);
    uint8_t *names = rd_buffer_reserve(&decoder->chunks, decoder->names_len);
    if (names == NULL)
        return false;
    rd_http_ask_write_names(ask, names);
    rd_buffer_commit(&decoder->chunks, decoder->names_len);
    decoder->admitted = GATHERED_LEN;
    rd_http_chunked_init(&decoder->chunked, decoder->limits.header_len_max);
    decoder->state = STATE_CHUNKED;
    return true;
}

static enum step start_request(struct rd_decoder *decoder, const struct rd_http_head *head,
                               struct rd_request **ret_request)
{
    struct rd_http_problem problem = {0};
    struct rd_http_ask ask = {0};
    if (!rd_http_ask_find(head, &decoder->limits, &ask, &problem))
        return refuse(decoder, head, &problem, ret_request);
    bool gathered = head->chunked && !ask.streamed;
    size_t content_len = ask.streamed || gathered ? 0 : (size_t)head->content_len;
    bool has_body = head->chunked || head->content_len != 0;
    if (has_body && !rd_http_ask_admit(&ask, &decoder->limits, gathered ? GATHERED_LEN : content_len, &problem))
        return refuse_request(decoder, request_of_head(&ask), head, &problem, ret_request);
    decoder->names_len = ask.names_len;
    decoder->token_len = ask.token.len;
    decoder->request = rd_request_create(gathered ? 0 : decoder->names_len + content_len);
    if (decoder->request == NULL) {
        problem.close = true;
        rd_http_problem_set(&problem, RD_NO_MEMORY, "no memory for the body");
        return refuse(decoder, head, &problem, ret_request);
    }
    struct rd_request *request = decoder->request;
    decoder->by_hash = ask.route.by_hash;
    rd_http_ask_note(&ask, request);
    note_head(request, head);
    request->close_after = !head->keep_alive;
    if (request->body != NULL)
        rd_http_ask_write_names(&ask, request->body);
    if (ask.streamed)
        return start_stream(decoder, head, ret_request);
    if (gathered) {
        if (!start_chunked(decoder, &ask))
            return give_up(decoder);
    } else {
        rd_http_bind_names(request, decoder->by_hash);
        if (content_len == 0)
            return finish_request(decoder, 0, ret_request);
        decoder->content_len = content_len;
        decoder->content_received = 0;
        decoder->state = STATE_BODY;
    }
    return head->expect_continue ? hand_out_continue(decoder, ret_request) : STEP_AGAIN;
}

/* ---- the steps --------------------------------------------------------------------------------------------- */

static void forget_head(struct rd_decoder *decoder)
{
    decoder->scan = (struct rd_http_scan){0};
    rd_buffer_clear(&decoder->head);
    if (decoder->head.capacity > HEAD_CAPACITY_MAX)
        rd_buffer_deinit(&decoder->head);
}

static enum step take_head(struct rd_decoder *decoder, struct rd_slice bytes, struct rd_request **ret_request)
{
    struct rd_http_problem problem = {0};
    struct rd_http_head head;
    if (!rd_http_head_parse(bytes, decoder->limits.over_tls, &head, &problem))
        return refuse(decoder, NULL, &problem, ret_request);
    return start_request(decoder, &head, ret_request);
}

/* A head that lies in the input as a whole is used there; one in pieces is gathered in decoder->head. */
static enum step step_head(struct rd_decoder *decoder, struct rd_slice *input, struct rd_request **ret_request)
{
    size_t head_len_max = decoder->limits.header_len_max;
    size_t before_len = decoder->head.len;
    size_t len = 0;
    if (input->len == 0)
        return STEP_MORE;
    struct rd_slice bytes = *input;
    if (before_len != 0) {
        size_t room = head_len_max - before_len;
        rd_buffer_append(&decoder->head, input->data, input->len < room ? input->len : room);
        if (decoder->head.failed)
            return give_up(decoder);
        bytes = rd_buffer_slice(&decoder->head);
    }
    struct rd_http_problem problem = {0};
    enum rd_http_scanned scanned = rd_http_head_scan(&decoder->scan, bytes, head_len_max, &len, &problem);
    if (scanned == RD_HTTP_SCANNED_BAD)
        return refuse(decoder, NULL, &problem, ret_request);
    if (scanned == RD_HTTP_SCANNED_MORE) {
        if (before_len == 0)
            rd_buffer_append_slice(&decoder->head, *input);
        rd_slice_take(input, input->len);
        return decoder->head.failed ? give_up(decoder) : STEP_MORE;
    }
    rd_slice_take(input, len - before_len);
    enum step step = STEP_AGAIN;
    if (scanned == RD_HTTP_SCANNED_HEAD)
        step = take_head(decoder, rd_slice(bytes.data, len), ret_request);
    forget_head(decoder);
    return step;
}

static enum step step_body(struct rd_decoder *decoder, struct rd_slice *input, struct rd_request **ret_request)
{
    struct rd_slice part = rd_slice_take(input, decoder->content_len - decoder->content_received);
    if (part.len != 0) {
        memcpy(decoder->request->body + decoder->names_len + decoder->content_received, part.data, part.len);
        decoder->content_received += part.len;
    }
    if (decoder->content_received < decoder->content_len)
        return STEP_MORE;
    return finish_request(decoder, decoder->content_len, ret_request);
}

static enum step finish_chunked(struct rd_decoder *decoder, struct rd_request **ret_request)
{
    struct rd_buffer *chunks = &decoder->chunks;
    size_t content_len = chunks->len - decoder->names_len;
    uint8_t *fitted = realloc(chunks->data, chunks->len);
    rd_request_set_body(decoder->request, fitted == NULL ? chunks->data : fitted, chunks->len);
    rd_buffer_init(chunks, 0);
    rd_http_bind_names(decoder->request, decoder->by_hash);
    return finish_request(decoder, content_len, ret_request);
}

/* The chunk that begins, with the names as they lie in front of those that are there. Small ones are asked for
 * together: however many there are, only the last few bytes are not. */
static enum rd_status admit_chunk(struct rd_decoder *decoder, struct rd_error *ret_error)
{
    size_t len = decoder->chunks.len - decoder->names_len + (size_t)decoder->chunked.left;
    size_t more = len > decoder->admitted ? len - decoder->admitted : 0;
    const uint8_t *names = decoder->chunks.data;
    struct rd_slice store = rd_slice(names, decoder->request->store.len);
    struct rd_slice token = rd_slice(names + decoder->names_len - decoder->token_len, decoder->token_len);
    struct rd_asking asking = {.opcode = decoder->request->opcode, .token = &token, .store = &store};
    if (!rd_limits_ask(&decoder->limits, more))
        return RD_OK;
    enum rd_status status = rd_limits_admit(&decoder->limits, &asking, more, ret_error);
    if (status == RD_OK)
        decoder->admitted = len;
    return status;
}

static enum step step_chunked(struct rd_decoder *decoder, struct rd_slice *input, struct rd_request **ret_request)
{
    for (;;) {
        struct rd_slice data;
        struct rd_error error = {.status = RD_OK};
        switch (rd_http_chunked_next(&decoder->chunked, input, &data)) {
        case RD_HTTP_CHUNK_MORE:
            return STEP_MORE;
        case RD_HTTP_CHUNK_SIZE:
            if (decoder->chunked.left > decoder->chunks.len_max - decoder->chunks.len)
                return refuse_body(decoder, RD_TOO_LARGE, "the body is longer than this server takes",
                                   ret_request);
            if (admit_chunk(decoder, &error) != RD_OK)
                return refuse_body(decoder, error.status, error.message, ret_request);
            break;
        case RD_HTTP_CHUNK_DATA:
            rd_buffer_append_slice(&decoder->chunks, data);
            if (decoder->chunks.failed)
                return refuse_body(decoder, RD_NO_MEMORY, "no memory for the body", ret_request);
            break;
        case RD_HTTP_CHUNK_END:
            return finish_chunked(decoder, ret_request);
        case RD_HTTP_CHUNK_TOO_LARGE:
            return refuse_body(decoder, RD_HEADER_TOO_LARGE, OVERHEAD_TOO_LONG, ret_request);
        default:
            return refuse_body(decoder, RD_INVALID_ARGUMENT, CHUNKS_MALFORMED, ret_request);
        }
    }
}

/* ---- streamed bodies --------------------------------------------------------------------------------------- */

static enum step hand_out_bytes(struct rd_decoder *decoder, struct rd_slice bytes)
{
    decoder->part = (struct rd_stream_part){.kind = RD_STREAM_CHUNK, .bytes = bytes};
    decoder->stream_left -= bytes.len;
    return STEP_PART;
}

static enum step end_stream(struct rd_decoder *decoder)
{
    decoder->part = (struct rd_stream_part){.kind = RD_STREAM_END};
    decoder->state = decoder->stream_closes ? STATE_CLOSED : STATE_HEAD;
    return STEP_PART;
}

static enum step break_stream(struct rd_decoder *decoder, enum rd_status status, const char *message)
{
    decoder->part =
        (struct rd_stream_part){.kind = RD_STREAM_ABORT, .status = status, .bytes = rd_slice_of_string(message)};
    decoder->broken_status = status;
    decoder->broken_message = message;
    decoder->state = STATE_BROKEN;
    return STEP_PART;
}

static enum step step_stream(struct rd_decoder *decoder, struct rd_slice *input)
{
    if (decoder->stream_left == 0)
        return end_stream(decoder);
    if (input->len == 0)
        return STEP_MORE;
    size_t len = decoder->stream_left < input->len ? (size_t)decoder->stream_left : input->len;
    return hand_out_bytes(decoder, rd_slice_take(input, len));
}

static enum step step_stream_chunked(struct rd_decoder *decoder, struct rd_slice *input)
{
    for (;;) {
        struct rd_slice data;
        switch (rd_http_chunked_next(&decoder->chunked, input, &data)) {
        case RD_HTTP_CHUNK_MORE:
            return STEP_MORE;
        case RD_HTTP_CHUNK_SIZE:
            if (decoder->chunked.left > decoder->stream_left)
                return break_stream(decoder, RD_TOO_LARGE, "the body is longer than a store can be");
            break;
        case RD_HTTP_CHUNK_DATA:
            return hand_out_bytes(decoder, data);
        case RD_HTTP_CHUNK_END:
            return end_stream(decoder);
        case RD_HTTP_CHUNK_TOO_LARGE:
            return break_stream(decoder, RD_HEADER_TOO_LARGE, OVERHEAD_TOO_LONG);
        default:
            return break_stream(decoder, RD_INVALID_ARGUMENT, CHUNKS_MALFORMED);
        }
    }
}

/* ---- decoding ---------------------------------------------------------------------------------------------- */

static enum step step_discard(struct rd_decoder *decoder, struct rd_slice *input)
{
    decoder->discard_len -= rd_slice_take(input, decoder->discard_len).len;
    if (decoder->discard_len != 0)
        return STEP_MORE;
    decoder->state = STATE_HEAD;
    return STEP_AGAIN;
}

static enum rd_decode decode(struct rd_decoder *decoder, struct rd_slice *input, struct rd_request **ret_request)
{
    static const enum rd_decode results[] = {
        [STEP_MORE] = RD_DECODE_MORE, [STEP_REQUEST] = RD_DECODE_REQUEST, [STEP_PART] = RD_DECODE_PART};
    *ret_request = NULL;
    for (;;) {
        enum step step = STEP_MORE;
        switch (decoder->state) {
        case STATE_HEAD:
            step = step_head(decoder, input, ret_request);
            break;
        case STATE_BODY:
            step = step_body(decoder, input, ret_request);
            break;
        case STATE_CHUNKED:
            step = step_chunked(decoder, input, ret_request);
            break;
        case STATE_STREAM_BEGIN:
            step = begin_stream(decoder, ret_request);
            break;
        case STATE_STREAM:
            step = step_stream(decoder, input);
            break;
        case STATE_STREAM_CHUNKED:
            step = step_stream_chunked(decoder, input);
            break;
        case STATE_BROKEN:
            step = refuse_body(decoder, decoder->broken_status, decoder->broken_message, ret_request);
            break;
        case STATE_DISCARD:
            step = step_discard(decoder, input);
            break;
        case STATE_CLOSED:
            return RD_DECODE_CLOSED;
        }
        if (step != STEP_AGAIN)
            return results[step];
    }
}

static uint8_t *fill_target(struct rd_decoder *decoder, size_t *ret_len)
{
    size_t left = decoder->state == STATE_BODY ? decoder->content_len - decoder->content_received : 0;
    *ret_len = left >= FILL_LEN_MIN ? left : 0;
    if (*ret_len == 0)
        return NULL;
    return decoder->request->body + decoder->names_len + decoder->content_received;
}

static void fill_done(struct rd_decoder *decoder, size_t len)
{
    assert(decoder->state == STATE_BODY && len <= decoder->content_len - decoder->content_received);
    decoder->content_received += len;
}

static const struct rd_stream_part *part_of(const struct rd_decoder *decoder)
{
    return &decoder->part;
}

static bool mid_request(const struct rd_decoder *decoder)
{
    if (decoder->state == STATE_HEAD)
        return decoder->head.len != 0;
    if (decoder->state == STATE_DISCARD)
        return decoder->discard_len != 0;
    return decoder->state != STATE_CLOSED;
}

static size_t head_len(const struct rd_decoder *decoder)
{
    return decoder->state == STATE_HEAD ? decoder->head.len : 0;
}

const struct rd_codec rd_http_codec = {
    .name = "http",
    .answers_in_order = true,
    .values_in_base64 = true,
    .create = create,
    .destroy = destroy,
    .decode = decode,
    .fill_target = fill_target,
    .fill_done = fill_done,
    .part = part_of,
    .encode_part = NULL, /* a value just follows its head */
    .mid_request = mid_request,
    .head_len = head_len,
    .refuse_connection = rd_http_refuse_connection,
    .encode = rd_http_encode,
};
