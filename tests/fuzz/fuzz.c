/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/endian.h"

void fuzz_fail(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    abort();
}

static void show(const char *name, const struct rd_buffer *buffer)
{
    fprintf(stderr, "---- %s, %zu bytes\n", name, buffer->len);
    fwrite(buffer->data, 1, buffer->len, stderr);
    fputc('\n', stderr);
}

void fuzz_check_same(const char *what, const struct rd_buffer *a, const struct rd_buffer *b)
{
    FUZZ_CHECK(!a->failed && !b->failed);
    if (rd_slice_equal(rd_buffer_slice(a), rd_buffer_slice(b)))
        return;
    show("one", a);
    show("the other", b);
    fuzz_fail(__FILE__, __LINE__, what);
}

static uint64_t take(struct rd_slice *input, size_t len)
{
    uint8_t bytes[sizeof(uint64_t)] = {0};
    struct rd_slice taken = rd_slice_take(input, len);
    if (taken.len != 0)
        memcpy(bytes, taken.data, taken.len);
    return rd_load_u64le(bytes);
}

uint8_t fuzz_take_u8(struct rd_slice *input)
{
    return (uint8_t)take(input, sizeof(uint8_t));
}

uint16_t fuzz_take_u16(struct rd_slice *input)
{
    return (uint16_t)take(input, sizeof(uint16_t));
}

uint32_t fuzz_take_u32(struct rd_slice *input)
{
    return (uint32_t)take(input, sizeof(uint32_t));
}

uint64_t fuzz_take_u64(struct rd_slice *input)
{
    return take(input, sizeof(uint64_t));
}

uint8_t *fuzz_copy(struct rd_slice bytes)
{
    uint8_t *copy = malloc(bytes.len == 0 ? 1 : bytes.len);
    FUZZ_CHECK(copy != NULL);
    if (bytes.len != 0)
        memcpy(copy, bytes.data, bytes.len);
    return copy;
}

bool fuzz_is_inside(struct rd_slice inner, struct rd_slice outer)
{
    if (inner.len == 0)
        return true; /* nobody looks where it points */
    return outer.len != 0 && inner.data >= outer.data && inner.len <= outer.len &&
           (size_t)(inner.data - outer.data) <= outer.len - inner.len;
}

/* The table of the Unicode standard (3.9, table 3-7): by the first byte, the second one's bounds and the length.
 */
static const struct {
    uint8_t first_min, first_max, second_min, second_max;
    size_t len;
} utf8_rows[] = {
    {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
    {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
    {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
};

static size_t utf8_len(struct rd_slice text)
{
    if (text.data[0] < 0x80)
        return 1;
    for (size_t i = 0; i < sizeof utf8_rows / sizeof utf8_rows[0]; i++) {
        if (text.data[0] < utf8_rows[i].first_min || text.data[0] > utf8_rows[i].first_max)
            continue;
        if (text.len < utf8_rows[i].len || text.data[1] < utf8_rows[i].second_min ||
            text.data[1] > utf8_rows[i].second_max)
            return 0;
        for (size_t at = 2; at < utf8_rows[i].len; at++)
            if ((text.data[at] & 0xc0) != 0x80)
                return 0;
        return utf8_rows[i].len;
    }
    return 0;
}

bool fuzz_is_utf8(struct rd_slice text)
{
    while (text.len != 0) {
        size_t len = utf8_len(text);
        if (len == 0)
            return false;
        rd_slice_take(&text, len);
    }
    return true;
}
