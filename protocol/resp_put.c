/* SPDX-License-Identifier: MIT */
#include "protocol/resp_put.h"

void rd_resp_put_head(struct rd_buffer *out, char type, uint64_t number)
{
    uint8_t line[RD_RESP_HEAD_LEN_MAX];
    size_t at = sizeof line;
    line[--at] = '\n';
    line[--at] = '\r';
    do {
        line[--at] = (uint8_t)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    line[--at] = (uint8_t)type;
    rd_buffer_append(out, line + at, sizeof line - at);
}

void rd_resp_put_integer(struct rd_buffer *out, int64_t value)
{
    if (value >= 0) {
        rd_resp_put_head(out, ':', (uint64_t)value);
        return;
    }
    rd_buffer_append_u8(out, ':');
    rd_resp_put_head(out, '-', (uint64_t)0 - (uint64_t)value);
}

static void put_line_end(struct rd_buffer *out)
{
    rd_buffer_append(out, "\r\n", 2);
}

void rd_resp_put_bulk(struct rd_buffer *out, struct rd_slice bytes)
{
    rd_resp_put_head(out, '$', bytes.len);
    rd_buffer_append_slice(out, bytes);
    put_line_end(out);
}

void rd_resp_put_text(struct rd_buffer *out, const char *text)
{
    rd_resp_put_bulk(out, rd_slice_of_string(text));
}

void rd_resp_put_simple(struct rd_buffer *out, const char *text)
{
    rd_buffer_append_u8(out, '+');
    rd_buffer_append_string(out, text);
    put_line_end(out);
}

void rd_resp_put_null(struct rd_buffer *out, bool resp3)
{
    rd_buffer_append_string(out, resp3 ? "_\r\n" : "$-1\r\n");
}

void rd_resp_put_null_array(struct rd_buffer *out, bool resp3)
{
    rd_buffer_append_string(out, resp3 ? "_\r\n" : "*-1\r\n");
}

void rd_resp_put_array(struct rd_buffer *out, size_t count)
{
    rd_resp_put_head(out, '*', count);
}

void rd_resp_put_set(struct rd_buffer *out, size_t count, bool resp3)
{
    rd_resp_put_head(out, resp3 ? '~' : '*', count);
}

void rd_resp_put_map(struct rd_buffer *out, size_t count, bool resp3)
{
    rd_resp_put_head(out, resp3 ? '%' : '*', resp3 ? count : 2 * count);
}

void rd_resp_put_verbatim(struct rd_buffer *out, struct rd_slice text, bool resp3)
{
    static const char kind[] = "txt:";
    if (!resp3) {
        rd_resp_put_bulk(out, text);
        return;
    }
    rd_resp_put_head(out, '=', sizeof kind - 1 + text.len);
    rd_buffer_append(out, kind, sizeof kind - 1);
    rd_buffer_append_slice(out, text);
    put_line_end(out);
}

void rd_resp_put_error(struct rd_buffer *out, struct rd_slice text)
{
    rd_buffer_append_u8(out, '-');
    uint8_t *to = rd_buffer_reserve(out, text.len);
    for (size_t i = 0; to != NULL && i < text.len; i++)
        to[i] = text.data[i] == '\r' || text.data[i] == '\n' ? ' ' : text.data[i];
    if (to != NULL)
        rd_buffer_commit(out, text.len);
    put_line_end(out);
}
