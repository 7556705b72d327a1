/* SPDX-License-Identifier: MIT
 *
 * binary_part.h - part frames, which carry values as streams: what the two halves of the binary protocol share.
 */
#ifndef RD_PROTOCOL_BINARY_PART_H
#define RD_PROTOCOL_BINARY_PART_H

#include "base/buffer.h"
#include "protocol/message.h"
#include "protocol/wire.h"

static_assert((int)RD_WIRE_PART_END - (int)RD_WIRE_PART_CHUNK == (int)RD_STREAM_END &&
                  (int)RD_WIRE_PART_ABORT - (int)RD_WIRE_PART_CHUNK == (int)RD_STREAM_ABORT &&
                  (int)RD_WIRE_PART_CREDIT - (int)RD_WIRE_PART_CHUNK == (int)RD_STREAM_CREDIT,
              "kinds and opcodes have one order");

/* opcode: one of which rd_wire_is_part says so. */
static inline enum rd_stream_part_kind rd_binary_part_kind(uint8_t opcode)
{
    return (enum rd_stream_part_kind)(opcode - RD_WIRE_PART_CHUNK);
}

/* Appends the header of a part frame whose body of body_len bytes is to follow. out->failed: it does not fit. */
void rd_binary_part_begin(const struct rd_stream_part *part, size_t body_len, struct rd_buffer *out);

/* Appends a whole part, but for a chunk's bytes, which are to follow at once. An ABORT is the client's. */
void rd_binary_part_encode(const struct rd_stream_part *part, struct rd_buffer *out);

#endif
