/* SPDX-License-Identifier: MIT
 *
 * slice.h - bytes that somebody else owns.
 */
#ifndef RD_BASE_SLICE_H
#define RD_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct rd_slice {
    const uint8_t *data; /* borrows; NULL only where a slice stands for "none" */
    size_t len;          /* bytes */
};

static inline struct rd_slice rd_slice(const void *data, size_t len)
{
    return (struct rd_slice){.data = data, .len = len};
}

static inline struct rd_slice rd_slice_of_string(const char *string)
{
    return rd_slice(string, strlen(string));
}

static inline bool rd_slice_equal(struct rd_slice a, struct rd_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Of names and tokens of protocols: A to Z alone have a lower case, whatever the locale. */
static inline uint8_t rd_lower_case(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

static inline bool rd_slice_equal_ignoring_case(struct rd_slice a, struct rd_slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (rd_lower_case(a.data[i]) != rd_lower_case(b.data[i]))
            return false;
    return true;
}

/* Skips up to len bytes and returns what was skipped. */
static inline struct rd_slice rd_slice_take(struct rd_slice *slice, size_t len)
{
    if (len > slice->len)
        len = slice->len;
    struct rd_slice taken = {.data = slice->data, .len = len};
    if (len != 0)
        slice->data += len;
    slice->len -= len;
    return taken;
}

#endif
