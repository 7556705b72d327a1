/* SPDX-License-Identifier: MIT */
#include "base/buffer.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/endian.h"

#define CAPACITY_MIN 256u

void rd_buffer_init(struct rd_buffer *buffer, size_t len_max)
{
    *buffer = (struct rd_buffer){.len_max = len_max};
}

void rd_buffer_deinit(struct rd_buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct rd_buffer){.len_max = buffer->len_max};
}

void rd_buffer_clear(struct rd_buffer *buffer)
{
    buffer->len = 0;
    buffer->failed = false;
}

static bool grow(struct rd_buffer *buffer, size_t needed)
{
    size_t capacity = buffer->capacity < CAPACITY_MIN ? CAPACITY_MIN : buffer->capacity;
    while (capacity < needed)
        capacity = capacity > SIZE_MAX / 2 ? needed : capacity * 2;
    uint8_t *data = realloc(buffer->data, capacity);
    if (data == NULL)
        return false;
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

uint8_t *rd_buffer_reserve(struct rd_buffer *buffer, size_t len)
{
    size_t len_max = buffer->len_max == 0 ? SIZE_MAX : buffer->len_max;
    if (buffer->failed || buffer->len > len_max || len > len_max - buffer->len)
        goto failed;
    if (buffer->data == NULL || buffer->len + len > buffer->capacity) {
        if (!grow(buffer, buffer->len + len))
            goto failed;
    }
    return buffer->data + buffer->len;
failed:
    buffer->failed = true;
    return NULL;
}

void rd_buffer_commit(struct rd_buffer *buffer, size_t len)
{
    assert(len <= buffer->capacity - buffer->len);
    buffer->len += len;
}

void rd_buffer_append(struct rd_buffer *buffer, const void *data, size_t len)
{
    uint8_t *to = rd_buffer_reserve(buffer, len);
    if (to == NULL)
        return;
    if (len != 0)
        memcpy(to, data, len);
    buffer->len += len;
}

void rd_buffer_append_slice(struct rd_buffer *buffer, struct rd_slice slice)
{
    rd_buffer_append(buffer, slice.data, slice.len);
}

void rd_buffer_append_string(struct rd_buffer *buffer, const char *string)
{
    rd_buffer_append(buffer, string, strlen(string));
}

void rd_buffer_append_u8(struct rd_buffer *buffer, uint8_t value)
{
    rd_buffer_append(buffer, &value, sizeof value);
}

void rd_buffer_append_u16le(struct rd_buffer *buffer, uint16_t value)
{
    uint8_t bytes[sizeof value];
    rd_store_u16le(bytes, value);
    rd_buffer_append(buffer, bytes, sizeof bytes);
}

void rd_buffer_append_u32le(struct rd_buffer *buffer, uint32_t value)
{
    uint8_t bytes[sizeof value];
    rd_store_u32le(bytes, value);
    rd_buffer_append(buffer, bytes, sizeof bytes);
}

void rd_buffer_append_u64le(struct rd_buffer *buffer, uint64_t value)
{
    uint8_t bytes[sizeof value];
    rd_store_u64le(bytes, value);
    rd_buffer_append(buffer, bytes, sizeof bytes);
}

void rd_buffer_printf(struct rd_buffer *buffer, const char *format, ...)
{
    va_list args;
    va_list again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    uint8_t *to = len < 0 ? NULL : rd_buffer_reserve(buffer, (size_t)len + 1);
    if (to != NULL) {
        vsnprintf((char *)to, (size_t)len + 1, format, again);
        buffer->len += (size_t)len;
    } else {
        buffer->failed = true;
    }
    va_end(again);
}

void rd_buffer_consume(struct rd_buffer *buffer, size_t len)
{
    assert(len <= buffer->len);
    buffer->len -= len;
    if (buffer->len != 0)
        memmove(buffer->data, buffer->data + len, buffer->len);
}
