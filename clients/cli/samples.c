/* SPDX-License-Identifier: MIT */
#include "clients/cli/samples.h"

#include <stdlib.h>

#define NUMBER_LEN_MAX 64u

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r';
}

static void skip_spaces(struct rd_slice *text)
{
    while (text->len != 0 && is_space(text->data[0]))
        rd_slice_take(text, 1);
}

static bool is_name_byte(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
           byte == '_' || byte == ':';
}

static struct rd_slice take_name(struct rd_slice *text)
{
    size_t len = 0;
    while (len < text->len && is_name_byte(text->data[len]))
        len++;
    return rd_slice_take(text, len);
}

static bool take_byte(struct rd_slice *text, uint8_t byte)
{
    skip_spaces(text);
    if (text->len == 0 || text->data[0] != byte)
        return false;
    rd_slice_take(text, 1);
    return true;
}

/* What stands between two quotes, escapes included. */
static bool take_quoted(struct rd_slice *text, struct rd_slice *ret_quoted)
{
    if (!take_byte(text, '"'))
        return false;
    size_t len = 0;
    while (len < text->len && text->data[len] != '"')
        len += text->data[len] == '\\' && len + 1 < text->len ? 2 : 1;
    if (len >= text->len)
        return false;
    *ret_quoted = rd_slice_take(text, len);
    rd_slice_take(text, 1);
    return true;
}

/* One pair and the comma behind it. False: there is none. */
static bool take_pair(struct rd_slice *labels, struct rd_slice *ret_name, struct rd_slice *ret_value)
{
    skip_spaces(labels);
    *ret_name = take_name(labels);
    if (ret_name->len == 0 || !take_byte(labels, '=') || !take_quoted(labels, ret_value))
        return false;
    (void)take_byte(labels, ',');
    return true;
}

/* Up to the closing brace, which may stand in a value as well. */
static bool take_labels(struct rd_slice *line, struct rd_slice *ret_labels)
{
    struct rd_slice rest = *line;
    struct rd_slice name;
    struct rd_slice value;
    while (take_pair(&rest, &name, &value))
        continue;
    skip_spaces(&rest);
    if (rest.len == 0 || rest.data[0] != '}')
        return false;
    *ret_labels = rd_slice_take(line, line->len - rest.len);
    rd_slice_take(line, 1);
    return true;
}

static bool take_value(struct rd_slice *line, double *ret_value)
{
    char number[NUMBER_LEN_MAX + 1];
    skip_spaces(line);
    size_t len = 0;
    while (len < line->len && !is_space(line->data[len]))
        len++;
    if (len == 0 || len > NUMBER_LEN_MAX)
        return false;
    memcpy(number, line->data, len);
    number[len] = '\0';
    char *end;
    *ret_value = strtod(number, &end); /* knows +Inf and NaN, in the C locale that the program stays in */
    return end == number + len;
}

static bool parse_line(struct rd_slice line, struct rd_sample *ret_sample)
{
    struct rd_sample sample = {.value = 0};
    skip_spaces(&line);
    sample.name = take_name(&line);
    if (sample.name.len == 0)
        return false;
    if (line.len != 0 && line.data[0] == '{') {
        rd_slice_take(&line, 1);
        if (!take_labels(&line, &sample.labels))
            return false;
    }
    if (!take_value(&line, &sample.value))
        return false; /* a time may follow the value; it is not used */
    *ret_sample = sample;
    return true;
}

bool rd_samples_next(struct rd_slice *text, struct rd_sample *ret_sample)
{
    while (text->len != 0) {
        const uint8_t *end = memchr(text->data, '\n', text->len);
        struct rd_slice line = rd_slice_take(text, end == NULL ? text->len : (size_t)(end - text->data));
        rd_slice_take(text, 1);
        if (parse_line(line, ret_sample))
            return true;
    }
    return false;
}

bool rd_sample_is(const struct rd_sample *sample, const char *name)
{
    return rd_slice_equal(sample->name, rd_slice_of_string(name));
}

static void unescape(struct rd_slice value, char *to, size_t to_size)
{
    size_t len = 0;
    for (size_t i = 0; i < value.len && len + 1 < to_size; i++) {
        char byte = (char)value.data[i];
        if (byte == '\\' && i + 1 < value.len) {
            byte = (char)value.data[++i];
            byte = byte == 'n' ? '\n' : byte;
        }
        to[len++] = byte;
    }
    to[len] = '\0';
}

bool rd_sample_label(const struct rd_sample *sample, const char *name, char *to, size_t to_size)
{
    struct rd_slice labels = sample->labels;
    struct rd_slice label;
    struct rd_slice value;
    to[0] = '\0';
    while (take_pair(&labels, &label, &value)) {
        if (!rd_slice_equal(label, rd_slice_of_string(name)))
            continue;
        unescape(value, to, to_size);
        return true;
    }
    return false;
}
