/* SPDX-License-Identifier: MIT */
#include "protocol/http_chunked.h"

#include "protocol/http_head.h"

#define SIZE_DIGITS_MAX 15u /* so that the size cannot overflow */

enum state {
    STATE_SIZE,      /* hex digits */
    STATE_EXTENSION, /* behind ';', up to CR */
    STATE_SIZE_LF,
    STATE_DATA,
    STATE_DATA_CR,
    STATE_DATA_LF,
    STATE_TRAILER, /* at the start of a line behind the last chunk */
    STATE_TRAILER_NAME,
    STATE_TRAILER_VALUE,
    STATE_TRAILER_LF,
    STATE_END_LF,
    STATE_BAD
};

void rd_http_chunked_init(struct rd_http_chunked *chunked, size_t overhead_len_max)
{
    *chunked = (struct rd_http_chunked){.state = STATE_SIZE, .overhead_len_max = overhead_len_max};
}

static int after_size_byte(struct rd_http_chunked *chunked, uint8_t c)
{
    int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (c >= 'A' && c <= 'F')
        digit = c - 'A' + 10;
    if (digit >= 0) {
        if (++chunked->digit_count > SIZE_DIGITS_MAX)
            return STATE_BAD;
        chunked->left = chunked->left << 4 | (uint64_t)digit;
        return STATE_SIZE;
    }
    if (chunked->digit_count == 0)
        return STATE_BAD;
    return c == '\r' ? STATE_SIZE_LF : c == ';' ? STATE_EXTENSION : STATE_BAD;
}

/* One byte of framing; returns the state behind it. */
static int step(struct rd_http_chunked *chunked, uint8_t c)
{
    switch (chunked->state) {
    case STATE_SIZE:
        return after_size_byte(chunked, c);
    case STATE_EXTENSION:
        return c == '\r' ? STATE_SIZE_LF : rd_http_is_value_byte(c) ? STATE_EXTENSION : STATE_BAD;
    case STATE_SIZE_LF:
        if (c != '\n')
            return STATE_BAD;
        return chunked->left == 0 ? STATE_TRAILER : STATE_DATA;
    case STATE_DATA_CR:
        return c == '\r' ? STATE_DATA_LF : STATE_BAD;
    case STATE_DATA_LF:
        chunked->digit_count = 0;
        return c == '\n' ? STATE_SIZE : STATE_BAD;
    case STATE_TRAILER:
        return c == '\r' ? STATE_END_LF : rd_http_is_token_byte(c) ? STATE_TRAILER_NAME : STATE_BAD;
    case STATE_TRAILER_NAME:
        return c == ':' ? STATE_TRAILER_VALUE : rd_http_is_token_byte(c) ? STATE_TRAILER_NAME : STATE_BAD;
    case STATE_TRAILER_VALUE:
        return c == '\r' ? STATE_TRAILER_LF : rd_http_is_value_byte(c) ? STATE_TRAILER_VALUE : STATE_BAD;
    case STATE_TRAILER_LF:
        return c == '\n' ? STATE_TRAILER : STATE_BAD;
    default:
        return STATE_BAD;
    }
}

static bool is_overhead(int state)
{
    return state == STATE_EXTENSION || state == STATE_TRAILER_NAME || state == STATE_TRAILER_VALUE;
}

static struct rd_slice take_data(struct rd_http_chunked *chunked, struct rd_slice *input)
{
    size_t len = chunked->left < input->len ? (size_t)chunked->left : input->len;
    chunked->left -= len;
    if (chunked->left == 0)
        chunked->state = STATE_DATA_CR;
    return rd_slice_take(input, len);
}

enum rd_http_chunk rd_http_chunked_next(struct rd_http_chunked *chunked, struct rd_slice *input,
                                        struct rd_slice *ret_data)
{
    while (input->len != 0) {
        if (chunked->state == STATE_DATA) {
            *ret_data = take_data(chunked, input);
            return RD_HTTP_CHUNK_DATA;
        }
        uint8_t c = rd_slice_take(input, 1).data[0];
        if (chunked->state == STATE_END_LF)
            return c == '\n' ? RD_HTTP_CHUNK_END : RD_HTTP_CHUNK_BAD;
        chunked->state = step(chunked, c);
        if (chunked->state == STATE_BAD)
            return RD_HTTP_CHUNK_BAD;
        if (is_overhead(chunked->state) && ++chunked->overhead_len > chunked->overhead_len_max)
            return RD_HTTP_CHUNK_TOO_LARGE;
        if (chunked->state == STATE_DATA)
            return RD_HTTP_CHUNK_SIZE;
    }
    return RD_HTTP_CHUNK_MORE;
}
