/* SPDX-License-Identifier: MIT */
#include "protocol/resp_scan.h"

#include <stdio.h>
#include <stdlib.h>

#define ARGS_KEPT    1024u       /* of the list, between commands */
#define BYTES_KEPT   (16u << 10) /* of the buffer, between commands */
#define ARGS_MIN     16u
#define WHOLE_DIGITS 9u /* of a length in rd_resp_scan_whole; more is left to the other way */

void rd_resp_scan_init(struct rd_resp_scan *scan, size_t arg_count_max, size_t bytes_len_max)
{
    *scan = (struct rd_resp_scan){.arg_count_max = arg_count_max};
    rd_buffer_init(&scan->bytes, bytes_len_max);
}

void rd_resp_scan_deinit(struct rd_resp_scan *scan)
{
    free(scan->args);
    rd_buffer_deinit(&scan->bytes);
}

void rd_resp_scan_begin(struct rd_resp_scan *scan)
{
    if (scan->arg_capacity > ARGS_KEPT) {
        free(scan->args);
        scan->args = NULL;
        scan->arg_capacity = 0;
    }
    if (scan->bytes.capacity > BYTES_KEPT)
        rd_buffer_deinit(&scan->bytes);
    rd_buffer_clear(&scan->bytes);
    scan->arg_count = 0;
    scan->way = RD_RESP_KEEP;
    scan->phase = RD_RESP_START;
    scan->line_len = 0;
}

void rd_resp_scan_drop(struct rd_resp_scan *scan)
{
    rd_buffer_deinit(&scan->bytes);
    scan->way = RD_RESP_DROP;
}

bool rd_resp_scan_is_inside(const struct rd_resp_scan *scan)
{
    return scan->phase != RD_RESP_START && scan->phase != RD_RESP_IN_FAULT;
}

bool rd_resp_parse_integer(struct rd_slice text, int64_t *ret_value)
{
    struct rd_slice digits = text;
    bool negative = digits.len != 0 && digits.data[0] == '-';
    if (negative)
        (void)rd_slice_take(&digits, 1);
    bool leading_zero = digits.len != 0 && digits.data[0] == '0';
    if (digits.len == 0 || (leading_zero && (digits.len > 1 || negative)))
        return false;
    uint64_t limit = negative ? (uint64_t)INT64_MAX + 1 : INT64_MAX;
    uint64_t value = 0;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(digits.data[i] - '0');
        if (value > (limit - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (negative)
        *ret_value = value == limit ? INT64_MIN : -(int64_t)value;
    else
        *ret_value = (int64_t)value;
    return true;
}

/* The place of one more argument. NULL: no memory. */
static struct rd_resp_arg *add_arg(struct rd_resp_scan *scan)
{
    if (scan->arg_count == scan->arg_capacity) {
        size_t capacity = scan->arg_capacity == 0 ? ARGS_MIN : scan->arg_capacity * 2;
        struct rd_resp_arg *args = realloc(scan->args, capacity * sizeof *args);
        if (args == NULL)
            return NULL;
        scan->args = args;
        scan->arg_capacity = capacity;
    }
    return &scan->args[scan->arg_count++];
}

/* ---- whole commands ---------------------------------------------------------------------------------------- */

/* A length line of the given kind at `at`, plain and not too long. NULL: anything else. */
static const uint8_t *take_plain_length(const uint8_t *at, const uint8_t *end, uint8_t kind, size_t *ret_len)
{
    if (at == end || *at++ != kind)
        return NULL;
    const uint8_t *first = at;
    size_t len = 0;
    while (at != end && *at >= '0' && *at <= '9' && at - first < (ptrdiff_t)WHOLE_DIGITS)
        len = len * 10 + (size_t)(*at++ - '0');
    if (at == first || (*first == '0' && at - first > 1) || end - at < 2 || at[0] != '\r' || at[1] != '\n')
        return NULL;
    *ret_len = len;
    return at + 2;
}

bool rd_resp_scan_whole(struct rd_resp_scan *scan, struct rd_slice input, size_t *ret_len)
{
    size_t count;
    const uint8_t *end = input.data + input.len;
    const uint8_t *at = take_plain_length(input.data, end, '*', &count);
    if (at == NULL || count == 0 || count > scan->arg_count_max)
        return false;
    size_t room = scan->bytes.len_max;
    scan->typed = false;
    scan->arg_count = 0;
    for (size_t i = 0; i < count; i++) {
        size_t len;
        at = take_plain_length(at, end, '$', &len);
        if (at == NULL || len >= RD_RESP_LONG_LEN || len > room || (size_t)(end - at) < len + 2 ||
            at[len] != '\r' || at[len + 1] != '\n')
            return false;
        room -= len;
        struct rd_resp_arg *arg = add_arg(scan);
        if (arg == NULL)
            return false;
        *arg = (struct rd_resp_arg){.offset = (size_t)(at - input.data), .len = len};
        at += len + 2;
    }
    *ret_len = (size_t)(at - input.data);
    return true;
}

/* ---- piece by piece ---------------------------------------------------------------------------------------- */

static enum rd_resp_event fail(struct rd_resp_scan *scan, const char *fault)
{
    scan->fault = fault;
    scan->fault_status = RD_INVALID_ARGUMENT;
    scan->phase = RD_RESP_IN_FAULT;
    return RD_RESP_FAULT;
}

static enum rd_resp_event fail_for_memory(struct rd_resp_scan *scan)
{
    fail(scan, "no memory for the command");
    scan->fault_status = RD_NO_MEMORY;
    return RD_RESP_FAULT;
}

/* Gathers a line up to its CR LF. RD_RESP_COMMAND: it is whole, without its end. */
static enum rd_resp_event take_line(struct rd_resp_scan *scan, struct rd_slice *input, const char *too_long)
{
    while (input->len != 0) {
        char c = (char)*rd_slice_take(input, 1).data;
        bool behind_cr = scan->line_len != 0 && scan->line[scan->line_len - 1] == '\r';
        if (behind_cr && c == '\n') {
            scan->line_len--;
            return RD_RESP_COMMAND;
        }
        if (behind_cr || c == '\n')
            return fail(scan, "Protocol error: a line ends in CR LF");
        if (scan->line_len == sizeof scan->line)
            return fail(scan, too_long);
        scan->line[scan->line_len++] = c;
    }
    return RD_RESP_MORE;
}

static bool parse_line(struct rd_resp_scan *scan, int64_t *ret_value)
{
    struct rd_slice text = rd_slice(scan->line, scan->line_len);
    scan->line_len = 0;
    return rd_resp_parse_integer(text, ret_value);
}

static enum rd_resp_event begin_array(struct rd_resp_scan *scan)
{
    int64_t count;
    if (!parse_line(scan, &count) || count > (int64_t)scan->arg_count_max)
        return fail(scan, "Protocol error: invalid multibulk length");
    scan->args_left = count > 0 ? (size_t)count : 0;
    scan->phase = count > 0 ? RD_RESP_AT_ARG : RD_RESP_START;
    return RD_RESP_MORE;
}

static enum rd_resp_event begin_arg(struct rd_resp_scan *scan)
{
    int64_t len;
    if (!parse_line(scan, &len) || len < 0 || len > (int64_t)RD_RESP_BULK_LEN_MAX)
        return fail(scan, "Protocol error: invalid bulk length");
    scan->left = (size_t)len;
    scan->phase = RD_RESP_IN_DATA;
    if (scan->way == RD_RESP_DROP)
        return RD_RESP_MORE;
    struct rd_resp_arg *arg = add_arg(scan);
    if (arg == NULL)
        return fail_for_memory(scan);
    *arg = (struct rd_resp_arg){.offset = scan->bytes.len, .len = (size_t)len};
    bool tell = scan->left >= RD_RESP_LONG_LEN || scan->left > scan->bytes.len_max - scan->bytes.len;
    return tell && scan->way == RD_RESP_KEEP ? RD_RESP_LONG : RD_RESP_MORE;
}

static enum rd_resp_event step_at_arg(struct rd_resp_scan *scan, struct rd_slice *input)
{
    uint8_t c = *rd_slice_take(input, 1).data;
    if (c != '$') {
        snprintf(scan->fault_text, sizeof scan->fault_text, "Protocol error: expected '$', got '%c'", c);
        return fail(scan, scan->fault_text);
    }
    scan->phase = RD_RESP_IN_LEN;
    return RD_RESP_MORE;
}

/* A bulk string's bytes, on the way that was chosen for it. */
static enum rd_resp_event step_data(struct rd_resp_scan *scan, struct rd_slice *input)
{
    struct rd_slice piece = rd_slice_take(input, scan->left);
    scan->left -= piece.len;
    if (scan->left == 0) {
        scan->phase = RD_RESP_IN_END;
        scan->line_len = 0;
    }
    if (scan->way == RD_RESP_HAND_OUT) {
        scan->piece = piece;
        return piece.len != 0 ? RD_RESP_PIECE : RD_RESP_MORE;
    }
    if (scan->way == RD_RESP_KEEP)
        rd_buffer_append_slice(&scan->bytes, piece);
    return scan->bytes.failed ? fail_for_memory(scan) : RD_RESP_MORE;
}

/* The CR LF behind a bulk string. RD_RESP_COMMAND: it was the last. */
static enum rd_resp_event step_end(struct rd_resp_scan *scan, struct rd_slice *input)
{
    uint8_t c = *rd_slice_take(input, 1).data;
    if (c != "\r\n"[scan->line_len++])
        return fail(scan, "Protocol error: a bulk string is longer than its length says");
    if (scan->line_len < 2)
        return RD_RESP_MORE;
    scan->line_len = 0;
    if (scan->way == RD_RESP_HAND_OUT)
        scan->way = RD_RESP_KEEP;
    scan->phase = --scan->args_left == 0 ? RD_RESP_START : RD_RESP_AT_ARG;
    return scan->args_left == 0 ? RD_RESP_COMMAND : RD_RESP_MORE;
}

/* ---- inline commands --------------------------------------------------------------------------------------- */

/* The line being taken apart where it lies: words only get shorter when they are unquoted. */
struct split {
    uint8_t *line;
    size_t len;
    size_t from; /* the next byte to be read */
    size_t to;   /* the next one to be written */
};

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || c == '\0';
}

static bool hex_digit(uint8_t c, uint8_t *ret_value)
{
    if (c >= '0' && c <= '9')
        *ret_value = (uint8_t)(c - '0');
    else if (c >= 'a' && c <= 'f')
        *ret_value = (uint8_t)(c - 'a' + 10);
    else if (c >= 'A' && c <= 'F')
        *ret_value = (uint8_t)(c - 'A' + 10);
    else
        return false;
    return true;
}

/* What stands behind a backslash between double quotes. */
static uint8_t unescape(struct split *split)
{
    static const char letters[] = "nrtba";
    static const uint8_t meanings[] = {'\n', '\r', '\t', '\b', '\a'};
    uint8_t high;
    uint8_t low;
    uint8_t c = split->line[split->from++];
    if (c == 'x' && split->len - split->from >= 2 && hex_digit(split->line[split->from], &high) &&
        hex_digit(split->line[split->from + 1], &low)) {
        split->from += 2;
        return (uint8_t)(high << 4 | low);
    }
    const char *letter = c != '\0' ? strchr(letters, c) : NULL;
    return letter != NULL ? meanings[letter - letters] : c;
}

/* Up to the closing quote, behind which a word ends. */
static bool unquote(struct split *split, uint8_t quote)
{
    while (split->from < split->len) {
        uint8_t c = split->line[split->from++];
        bool more = split->from < split->len;
        if (c == quote)
            return !more || is_space(split->line[split->from]);
        if (c == '\\' && more && quote == '"')
            c = unescape(split);
        else if (c == '\\' && more && split->line[split->from] == quote)
            c = split->line[split->from++];
        split->line[split->to++] = c;
    }
    return false;
}

/* False: a quote is not closed as it should be. */
static bool split_word(struct split *split)
{
    while (split->from < split->len && !is_space(split->line[split->from])) {
        uint8_t c = split->line[split->from++];
        if (c == '"' || c == '\'')
            return unquote(split, c);
        split->line[split->to++] = c;
    }
    return true;
}

static enum rd_resp_event split_line(struct rd_resp_scan *scan)
{
    struct split split = {.line = scan->bytes.data, .len = scan->bytes.len};
    for (;;) {
        while (split.from < split.len && is_space(split.line[split.from]))
            split.from++;
        if (split.from == split.len)
            break;
        size_t word = split.to;
        if (!split_word(&split))
            return fail(scan, "Protocol error: unbalanced quotes in request");
        struct rd_resp_arg *arg = add_arg(scan);
        if (arg == NULL)
            return fail_for_memory(scan);
        *arg = (struct rd_resp_arg){.offset = word, .len = split.to - word};
    }
    scan->phase = RD_RESP_START;
    if (scan->arg_count != 0)
        return RD_RESP_COMMAND;
    rd_buffer_clear(&scan->bytes);
    return RD_RESP_MORE;
}

static enum rd_resp_event step_inline(struct rd_resp_scan *scan, struct rd_slice *input)
{
    const uint8_t *end = memchr(input->data, '\n', input->len);
    struct rd_slice part = rd_slice_take(input, end == NULL ? input->len : (size_t)(end - input->data) + 1);
    if (part.len > RD_RESP_INLINE_LEN_MAX - scan->bytes.len)
        return fail(scan, "Protocol error: too big inline request");
    rd_buffer_append_slice(&scan->bytes, part);
    if (scan->bytes.failed)
        return fail_for_memory(scan);
    return end == NULL ? RD_RESP_MORE : split_line(scan);
}

/* ---- the steps --------------------------------------------------------------------------------------------- */

static enum rd_resp_event step_start(struct rd_resp_scan *scan, struct rd_slice *input)
{
    scan->arg_count = 0;
    scan->typed = input->data[0] != '*';
    if (scan->typed) {
        scan->phase = RD_RESP_IN_INLINE;
        return RD_RESP_MORE;
    }
    (void)rd_slice_take(input, 1);
    scan->phase = RD_RESP_IN_COUNT;
    return RD_RESP_MORE;
}

static enum rd_resp_event step_line(struct rd_resp_scan *scan, struct rd_slice *input)
{
    bool count = scan->phase == RD_RESP_IN_COUNT;
    enum rd_resp_event event = take_line(scan, input,
                                         count ? "Protocol error: too big mbulk count string"
                                               : "Protocol error: too big bulk count string");
    if (event != RD_RESP_COMMAND)
        return event;
    return count ? begin_array(scan) : begin_arg(scan);
}

/* One move with at least one byte of input, but for the end of a bulk string that was filled in place. */
static enum rd_resp_event step(struct rd_resp_scan *scan, struct rd_slice *input)
{
    switch (scan->phase) {
    case RD_RESP_START:
        return step_start(scan, input);
    case RD_RESP_IN_COUNT:
    case RD_RESP_IN_LEN:
        return step_line(scan, input);
    case RD_RESP_AT_ARG:
        return step_at_arg(scan, input);
    case RD_RESP_IN_DATA:
        return step_data(scan, input);
    case RD_RESP_IN_END:
        return step_end(scan, input);
    case RD_RESP_IN_INLINE:
        return step_inline(scan, input);
    case RD_RESP_IN_FAULT:
        break;
    }
    return RD_RESP_FAULT;
}

enum rd_resp_event rd_resp_scan_next(struct rd_resp_scan *scan, struct rd_slice *input)
{
    while (input->len != 0 || scan->phase == RD_RESP_IN_FAULT) {
        enum rd_resp_event event = step(scan, input);
        if (event != RD_RESP_MORE)
            return event;
    }
    return RD_RESP_MORE;
}

/* ---- filling in place -------------------------------------------------------------------------------------- */

uint8_t *rd_resp_scan_fill_target(struct rd_resp_scan *scan, size_t *ret_len)
{
    *ret_len = 0;
    if (scan->phase != RD_RESP_IN_DATA || scan->way != RD_RESP_KEEP || scan->left < RD_RESP_LONG_LEN)
        return NULL;
    uint8_t *target = rd_buffer_reserve(&scan->bytes, scan->left);
    if (target != NULL)
        *ret_len = scan->left;
    return target;
}

void rd_resp_scan_fill_done(struct rd_resp_scan *scan, size_t len)
{
    rd_buffer_commit(&scan->bytes, len);
    scan->left -= len;
}
