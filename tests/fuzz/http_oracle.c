/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/http_oracle.h"

#include <stdlib.h>
#include <strings.h>

#define CRLF "\r\n"

/* What of a head says where the message ends. */
struct framing {
    unsigned host_count;
    unsigned length_count;
    unsigned coding_count;
    bool http_1_0;
    bool chunked;
    uint64_t content_len;
};

static bool starts_with(struct rd_slice text, const char *prefix)
{
    return text.len >= strlen(prefix) && memcmp(text.data, prefix, strlen(prefix)) == 0;
}

/* Takes a line off; false: there is no whole one. A bare LF, and a bare CR, end up in *ret_line. */
static bool take_line(struct rd_slice *text, struct rd_slice *ret_line)
{
    const uint8_t *end = text->len == 0 ? NULL : memmem(text->data, text->len, CRLF, 2);
    if (end == NULL)
        return false;
    *ret_line = rd_slice_take(text, (size_t)(end - text->data));
    rd_slice_take(text, 2);
    return true;
}

static bool has_control(struct rd_slice text, bool tab_is_fine)
{
    for (size_t i = 0; i < text.len; i++)
        if ((text.data[i] < 0x20 && !(tab_is_fine && text.data[i] == '\t')) || text.data[i] == 0x7f)
            return true;
    return false;
}

static bool is_token(struct rd_slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] <= 0x20 || text.data[i] >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", text.data[i]) != NULL)
            return false;
    return text.len != 0;
}

static bool request_line_is_good(struct rd_slice line, struct framing *framing)
{
    const uint8_t *first = line.len == 0 ? NULL : memchr(line.data, ' ', line.len);
    const uint8_t *last = line.len == 0 ? NULL : memrchr(line.data, ' ', line.len);
    if (has_control(line, false) || first == NULL || first == last)
        return false;
    struct rd_slice method = rd_slice(line.data, (size_t)(first - line.data));
    struct rd_slice target = rd_slice(first + 1, (size_t)(last - first - 1));
    struct rd_slice version = rd_slice(last + 1, (size_t)(line.data + line.len - last - 1));
    framing->http_1_0 = rd_slice_equal(version, rd_slice_of_string("HTTP/1.0"));
    return is_token(method) && target.len != 0 && memchr(target.data, ' ', target.len) == NULL &&
           (framing->http_1_0 || rd_slice_equal(version, rd_slice_of_string("HTTP/1.1")));
}

static bool equals_any_case(struct rd_slice text, const char *word)
{
    return text.len == strlen(word) && strncasecmp((const char *)text.data, word, text.len) == 0;
}

static bool take_number(struct rd_slice text, uint64_t *ret_number)
{
    uint64_t number = 0;
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < '0' || text.data[i] > '9' || __builtin_mul_overflow(number, 10u, &number) ||
            __builtin_add_overflow(number, (uint64_t)(text.data[i] - '0'), &number))
            return false;
    *ret_number = number;
    return text.len != 0;
}

static bool header_is_good(struct rd_slice line, struct framing *framing)
{
    const uint8_t *colon = memchr(line.data, ':', line.len);
    if (has_control(line, true) || colon == NULL)
        return false;
    struct rd_slice name = rd_slice(line.data, (size_t)(colon - line.data));
    struct rd_slice value = rd_slice(colon + 1, (size_t)(line.data + line.len - colon - 1));
    while (value.len != 0 && strchr(" \t", value.data[0]) != NULL)
        rd_slice_take(&value, 1);
    while (value.len != 0 && strchr(" \t", value.data[value.len - 1]) != NULL)
        value.len--;
    if (!is_token(name))
        return false;
    framing->host_count += equals_any_case(name, "host");
    if (equals_any_case(name, "content-length")) {
        framing->length_count++;
        return take_number(value, &framing->content_len);
    }
    if (equals_any_case(name, "transfer-encoding")) {
        framing->coding_count++;
        framing->chunked = true;
        return equals_any_case(value, "chunked");
    }
    return true;
}

static bool counts_are_good(const struct framing *framing)
{
    return framing->host_count <= 1 && (framing->host_count == 1 || framing->http_1_0) &&
           framing->length_count + framing->coding_count <= 1 && !(framing->http_1_0 && framing->chunked);
}

/* A size in up to 15 hex digits, then nothing or an extension. */
static bool take_size(struct rd_slice line, uint64_t *ret_size)
{
    char digits[17] = {0};
    size_t count = 0;
    while (count < line.len && count < 16 && line.data[count] != 0 &&
           strchr("0123456789abcdefABCDEF", line.data[count]) != NULL)
        count++;
    if (count == 0 || count == 16 || has_control(line, true) || (count < line.len && line.data[count] != ';'))
        return false;
    memcpy(digits, line.data, count);
    *ret_size = strtoull(digits, NULL, 16);
    return true;
}

static bool trailer_is_good(struct rd_slice line)
{
    const uint8_t *colon = memchr(line.data, ':', line.len);
    return colon != NULL && !has_control(line, true) && is_token(rd_slice(line.data, (size_t)(colon - line.data)));
}

/* Moves *text behind a chunked body. */
static enum fuzz_http_verdict skip_chunks(struct rd_slice *text)
{
    struct rd_slice line;
    uint64_t size = 1;
    while (size != 0) {
        if (!take_line(text, &line))
            return FUZZ_HTTP_UNFINISHED;
        if (!take_size(line, &size))
            return FUZZ_HTTP_BODY_BAD;
        if (size != 0 && (size > text->len || text->len - size < 2))
            return FUZZ_HTTP_UNFINISHED;
        rd_slice_take(text, size);
        if (size != 0 && !starts_with(rd_slice_take(text, 2), CRLF))
            return FUZZ_HTTP_BODY_BAD;
    }
    for (;;) {
        if (!take_line(text, &line))
            return FUZZ_HTTP_UNFINISHED;
        if (line.len == 0)
            return FUZZ_HTTP_MESSAGE;
        if (!trailer_is_good(line))
            return FUZZ_HTTP_BODY_BAD;
    }
}

static enum fuzz_http_verdict skip_head(struct rd_slice *text, struct framing *framing)
{
    struct rd_slice line;
    while (starts_with(*text, CRLF))
        rd_slice_take(text, 2);
    if (!take_line(text, &line))
        return FUZZ_HTTP_UNFINISHED;
    bool good = request_line_is_good(line, framing);
    for (;;) {
        if (!take_line(text, &line))
            return FUZZ_HTTP_UNFINISHED;
        if (line.len == 0)
            return good && counts_are_good(framing) ? FUZZ_HTTP_MESSAGE : FUZZ_HTTP_HEAD_BAD;
        good = header_is_good(line, framing) && good;
    }
}

enum fuzz_http_verdict fuzz_http_judge(struct rd_slice bytes, size_t *ret_len)
{
    struct rd_slice text = bytes;
    struct framing framing = {0};
    enum fuzz_http_verdict verdict = skip_head(&text, &framing);
    if (verdict != FUZZ_HTTP_MESSAGE)
        return verdict;
    if (framing.chunked)
        verdict = skip_chunks(&text);
    else if (framing.content_len > text.len)
        verdict = FUZZ_HTTP_UNFINISHED;
    else
        rd_slice_take(&text, framing.content_len);
    *ret_len = bytes.len - text.len;
    return verdict;
}
