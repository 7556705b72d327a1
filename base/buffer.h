/* SPDX-License-Identifier: MIT
 *
 * buffer.h - a growing byte buffer with a hard upper bound.
 *
 * A failed append (no memory, or beyond len_max) changes nothing and sets `failed`, which stays set until
 * rd_buffer_clear: an encoder may append many times and check once at its end.
 */
#ifndef RD_BASE_BUFFER_H
#define RD_BASE_BUFFER_H

#include "base/slice.h"

struct rd_buffer {
    uint8_t *data;   /* owned */
    size_t len;      /* bytes in use */
    size_t capacity; /* bytes allocated */
    size_t len_max;  /* bytes; 0: no bound but memory */
    bool failed;     /* an append did not fit */
};

void rd_buffer_init(struct rd_buffer *buffer, size_t len_max);
void rd_buffer_deinit(struct rd_buffer *buffer);

/* Empties the buffer and keeps its memory. */
void rd_buffer_clear(struct rd_buffer *buffer);

/* Makes room for len more bytes and returns where they go (to be followed by rd_buffer_commit), or NULL. */
uint8_t *rd_buffer_reserve(struct rd_buffer *buffer, size_t len);
void rd_buffer_commit(struct rd_buffer *buffer, size_t len);

void rd_buffer_append(struct rd_buffer *buffer, const void *data, size_t len);
void rd_buffer_append_slice(struct rd_buffer *buffer, struct rd_slice slice);
void rd_buffer_append_string(struct rd_buffer *buffer, const char *string);
void rd_buffer_append_u8(struct rd_buffer *buffer, uint8_t value);
void rd_buffer_append_u16le(struct rd_buffer *buffer, uint16_t value);
void rd_buffer_append_u32le(struct rd_buffer *buffer, uint32_t value);
void rd_buffer_append_u64le(struct rd_buffer *buffer, uint64_t value);
void rd_buffer_printf(struct rd_buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Drops the first len bytes (len <= buffer->len) and moves the rest to the front. */
void rd_buffer_consume(struct rd_buffer *buffer, size_t len);

static inline struct rd_slice rd_buffer_slice(const struct rd_buffer *buffer)
{
    return rd_slice(buffer->data, buffer->len);
}

#endif
