/* SPDX-License-Identifier: MIT
 *
 * http.c - HTTP for the generator: requests on connections that stay open, several under way where the depth says
 * so. An answer must have the form that docs/HTTP.md promises: a status line of HTTP/1.1, header lines that end in
 * CR LF, one Content-Length.
 */
#include <stdio.h>
#include <strings.h>

#include "base/text.h"
#include "clients/bench/dialect.h"

#define STATUS_LINE   "HTTP/1.1 200 "
#define STATUS_AT     9u
#define STATUS_DIGITS 3u
#define BEFORE_VALUE  "\",\"value\":\"" /* between a batch entry's key and its value */
#define FOUND         "\"found\":"      /* of each row of a batch's answer; true or false follows */
#define FAILED        "\"error\":"
#define PATTERN_LEN   (sizeof FOUND - 1)
static_assert(sizeof FOUND == sizeof FAILED, "both are looked for in one pass");

/* ---- requests --------------------------------------------------------------------------------------------- */

/* Where a value will be. */
static void append_placeholder(struct rd_buffer *bytes, size_t len)
{
    uint8_t *value = rd_buffer_reserve(bytes, len);
    if (value == NULL)
        return;
    memset(value, 'x', len);
    rd_buffer_commit(bytes, len);
}

/* Everything up to the first digit of the first key. */
static void append_entry_head(struct rd_buffer *bytes)
{
    rd_buffer_append_string(bytes, "{\"key\":\"" RD_FRAME_KEY_PREFIX);
}

/* An entry from its digits on, its comma or the list's end included. */
static void append_entry_rest(struct rd_buffer *bytes, const struct rd_plan *plan, bool writes)
{
    rd_buffer_append_string(bytes, RD_FRAME_DIGITS_ANY);
    if (writes) {
        rd_buffer_append_string(bytes, BEFORE_VALUE);
        append_placeholder(bytes, plan->value_len);
    }
    rd_buffer_append_string(bytes, "\"}");
}

static void append_batch(struct rd_buffer *body, const struct rd_plan *plan, bool writes,
                         struct rd_frame_form *form)
{
    rd_buffer_append_string(body, writes ? "{\"entries\":[" : "{\"keys\":[");
    for (uint32_t i = 0; i < plan->batch_count; i++) {
        size_t begin = body->len;
        append_entry_head(body);
        if (i == 0)
            form->digits_first = body->len;
        append_entry_rest(body, plan, writes);
        rd_buffer_append_string(body, i + 1 < plan->batch_count ? "," : "]");
        form->stride = body->len - begin;
    }
    rd_buffer_append_string(body, "}");
    if (writes) {
        form->value_first = form->digits_first + RD_FRAME_DIGIT_COUNT + sizeof BEFORE_VALUE - 1;
        form->value_len = plan->value_len;
    }
}

static const char *durability_query(const struct rd_plan *plan)
{
    switch (plan->durability) {
    case RD_MESSAGE_DURABILITY_SYNC:
        return "?durability=sync";
    case RD_MESSAGE_DURABILITY_NONE:
        return "?durability=none";
    default:
        return "";
    }
}

static void append_token(struct rd_buffer *bytes, const struct rd_plan *plan)
{
    if (plan->token != NULL)
        rd_buffer_printf(bytes, "Authorization: Bearer %s\r\n", plan->token);
}

static enum rd_status form_batch(const struct rd_plan *plan, bool writes, const char *host,
                                 struct rd_frame_form *ret_form)
{
    struct rd_buffer body;
    rd_buffer_init(&body, 0);
    append_batch(&body, plan, writes, ret_form);
    rd_buffer_printf(&ret_form->bytes,
                     "POST /v1/stores/%s/batch/%s%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n",
                     plan->store, writes ? "write" : "read", writes ? durability_query(plan) : "", host);
    append_token(&ret_form->bytes, plan);
    rd_buffer_printf(&ret_form->bytes, "Content-Length: %zu\r\n\r\n", body.len);
    size_t head_len = ret_form->bytes.len;
    rd_buffer_append_slice(&ret_form->bytes, rd_buffer_slice(&body));
    ret_form->digits_first += head_len;
    if (writes)
        ret_form->value_first += head_len;
    bool failed = body.failed;
    rd_buffer_deinit(&body);
    return failed ? RD_NO_MEMORY : RD_OK;
}

static void form_single(const struct rd_plan *plan, bool writes, const char *host, struct rd_frame_form *ret_form)
{
    struct rd_buffer *bytes = &ret_form->bytes;
    rd_buffer_printf(bytes, "%s /v1/stores/%s/keys/" RD_FRAME_KEY_PREFIX, writes ? "PUT" : "GET", plan->store);
    ret_form->digits_first = bytes->len;
    rd_buffer_printf(bytes, RD_FRAME_DIGITS_ANY "%s HTTP/1.1\r\nHost: %s\r\n",
                     writes ? durability_query(plan) : "", host);
    append_token(bytes, plan);
    if (writes)
        rd_buffer_printf(bytes, "Content-Length: %zu\r\n", plan->value_len);
    rd_buffer_append_string(bytes, "\r\n");
    if (!writes)
        return;
    if (plan->value_len > RD_FRAME_VALUE_INSIDE_MAX) {
        ret_form->value_outside_len = plan->value_len;
        return;
    }
    ret_form->value_first = bytes->len;
    ret_form->value_len = plan->value_len;
    append_placeholder(bytes, plan->value_len);
}

static enum rd_status form(const struct rd_plan *plan, bool writes, const char *host,
                           struct rd_frame_form *ret_form)
{
    ret_form->entry_count = plan->batch_count;
    enum rd_status status = RD_OK;
    if (rd_plan_batches(plan))
        status = form_batch(plan, writes, host, ret_form);
    else
        form_single(plan, writes, host, ret_form);
    return ret_form->bytes.failed ? RD_NO_MEMORY : status;
}

/* ---- answers ---------------------------------------------------------------------------------------------- */

static bool line_is(struct rd_slice name, const char *wanted)
{
    return name.len == strlen(wanted) && strncasecmp((const char *)name.data, wanted, name.len) == 0;
}

static struct rd_slice trim(struct rd_slice text)
{
    while (text.len != 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        (void)rd_slice_take(&text, 1);
    while (text.len != 0 && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t'))
        text.len--;
    return text;
}

/* One header line, without its end. */
static bool take_header(struct rd_dialect_parser *parser, struct rd_slice line, bool *len_seen)
{
    const uint8_t *colon = memchr(line.data, ':', line.len);
    if (colon == NULL)
        return false;
    struct rd_slice name = rd_slice(line.data, (size_t)(colon - line.data));
    struct rd_slice value = trim(rd_slice(colon + 1, line.len - name.len - 1));
    if (line_is(name, "content-length")) {
        bool first = !*len_seen;
        *len_seen = true;
        return first && rd_text_parse_u64(value, &parser->body_left);
    }
    if (line_is(name, "connection"))
        parser->answer.last = line_is(value, "close");
    return !line_is(name, "transfer-encoding");
}

/* The head without the empty line at its end. */
static enum rd_dialect_parse take_head(struct rd_dialect_parser *parser, struct rd_slice head)
{
    struct rd_slice line = rd_slice_take(&head, sizeof STATUS_LINE - 1);
    uint64_t status = 0;
    if (line.len != sizeof STATUS_LINE - 1 || memcmp(line.data, STATUS_LINE, STATUS_AT) != 0 ||
        !rd_text_parse_u64(rd_slice(line.data + STATUS_AT, STATUS_DIGITS), &status) || status < 200)
        return rd_dialect_broken(parser, "no status line of HTTP/1.1");
    bool len_seen = false;
    bool status_line = true; /* the rest of it */
    parser->answer = (struct rd_dialect_answer){.id = 0};
    while (head.len != 0) {
        const uint8_t *end = memchr(head.data, '\n', head.len);
        size_t len = end == NULL ? head.len : (size_t)(end - head.data);
        if (len == 0 || head.data[len - 1] != '\r')
            return rd_dialect_broken(parser, "a header line that does not end in CR LF");
        if (!status_line && !take_header(parser, rd_slice(head.data, len - 1), &len_seen))
            return rd_dialect_broken(parser, "a header that is malformed or not expected");
        status_line = false;
        (void)rd_slice_take(&head, len + 1);
    }
    if (!len_seen)
        return rd_dialect_broken(parser, "an answer without Content-Length");
    parser->status = (unsigned)status;
    parser->in_body = true;
    return RD_DIALECT_DONE;
}

static bool is_good(const struct rd_dialect_parser *parser)
{
    return parser->status == 200 || (parser->writes && parser->status == 201);
}

static enum rd_dialect_parse begin(struct rd_dialect_parser *parser, struct rd_slice *input)
{
    const uint8_t *end = memmem(input->data, input->len, "\r\n\r\n", 4);
    if (end == NULL)
        return input->len < RD_DIALECT_HEAD_LEN_MAX ? RD_DIALECT_MORE
                                                    : rd_dialect_broken(parser, "a head without an end");
    struct rd_slice head = rd_slice_take(input, (size_t)(end - input->data) + 4);
    head.len -= 2;
    enum rd_dialect_parse taken = take_head(parser, head);
    if (taken != RD_DIALECT_DONE)
        return taken;
    const struct rd_plan *plan = parser->plan;
    if (is_good(parser) && parser->writes)
        parser->answer.done_count = plan->batch_count;
    else if (is_good(parser) && !rd_plan_batches(plan))
        rd_dialect_take_value(parser, parser->body_left);
    return RD_DIALECT_DONE;
}

/* An error's message, for people; all of the body is there. */
static void take_error(struct rd_dialect_parser *parser, struct rd_slice body)
{
    static const char before[] = "\"message\":\"";
    if (parser->status == 404 && memmem(body.data, body.len, "\"key_not_found\"", 15) != NULL) {
        parser->answer.done_count = 1;
        parser->answer.miss_count = 1;
        return;
    }
    const uint8_t *text = memmem(body.data, body.len, before, sizeof before - 1);
    size_t len = 0;
    if (text != NULL) {
        text += sizeof before - 1;
        const uint8_t *end = memchr(text, '"', body.len - (size_t)(text - body.data));
        len = end == NULL ? 0 : (size_t)(end - text);
    }
    parser->answer.error_count = parser->plan->batch_count;
    rd_dialect_note(parser, "HTTP status %u: %.*s", parser->status, (int)len,
                    text == NULL ? "" : (const char *)text);
}

/* Counts the rows that begin in what is there of a batch's answer. What may be the start of another one stays. */
static bool take_rows(struct rd_dialect_parser *parser, struct rd_slice *input)
{
    size_t here = input->len < parser->body_left ? input->len : (size_t)parser->body_left;
    bool whole = here == parser->body_left;
    if (!whole && here <= PATTERN_LEN)
        return false;
    size_t len = whole ? here : here - PATTERN_LEN; /* a row that begins in these has its true or false here too */
    for (const uint8_t *at = input->data, *end = at + len; at < end; at++) {
        at = memchr(at, '"', (size_t)(end - at));
        if (at == NULL)
            break;
        size_t left = here - (size_t)(at - input->data);
        if (left > PATTERN_LEN && memcmp(at, FOUND, PATTERN_LEN) == 0) {
            parser->answer.done_count++;
            if (at[PATTERN_LEN] == 'f')
                parser->answer.miss_count++;
        } else if (left > PATTERN_LEN && memcmp(at, FAILED, PATTERN_LEN) == 0) {
            rd_dialect_note(parser, "an entry of a batch could not be read");
            parser->answer.done_count--;
            parser->answer.error_count++;
        }
    }
    (void)rd_slice_take(input, len);
    parser->body_left -= len;
    return parser->body_left == 0;
}

/* The values come in base64, between other things: what they add up to is told from how many there are. */
static enum rd_dialect_parse end_batch_read(struct rd_dialect_parser *parser, struct rd_dialect_answer *ret_answer)
{
    struct rd_dialect_answer *answer = &parser->answer;
    if (answer->done_count + answer->error_count != parser->plan->batch_count)
        return rd_dialect_broken(parser, "not all of a batch was answered");
    answer->value_bytes = (answer->done_count - answer->miss_count) * (uint64_t)parser->plan->value_len;
    return rd_dialect_end(parser, ret_answer);
}

static enum rd_dialect_parse parse(struct rd_dialect_parser *parser, struct rd_slice *input,
                                   struct rd_dialect_answer *ret_answer)
{
    if (!parser->in_body) {
        enum rd_dialect_parse begun = begin(parser, input);
        if (begun != RD_DIALECT_DONE)
            return begun;
    }
    if (!is_good(parser)) {
        if (parser->body_left > RD_DIALECT_HEAD_LEN_MAX)
            return rd_dialect_broken(parser, "an error that is too long");
        if (input->len < parser->body_left)
            return RD_DIALECT_MORE;
        take_error(parser, rd_slice_take(input, (size_t)parser->body_left));
        return rd_dialect_end(parser, ret_answer);
    }
    if (rd_plan_batches(parser->plan) && !parser->writes)
        return take_rows(parser, input) ? end_batch_read(parser, ret_answer) : RD_DIALECT_MORE;
    return rd_dialect_skip_body(parser, input) ? rd_dialect_end(parser, ret_answer) : RD_DIALECT_MORE;
}

const struct rd_dialect rd_dialect_http = {.name = "http", .answers_in_order = true, .form = form, .parse = parse};
