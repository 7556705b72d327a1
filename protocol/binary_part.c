/* SPDX-License-Identifier: MIT */
#include "protocol/binary_part.h"

void rd_binary_part_begin(const struct rd_stream_part *part, size_t body_len, struct rd_buffer *out)
{
    assert(body_len <= UINT32_MAX); /* who sends a stream cuts it into chunks */
    uint8_t *to = rd_buffer_reserve(out, RD_WIRE_HEADER_LEN);
    if (to == NULL)
        return;
    rd_wire_store_header(to, (struct rd_wire_header){.id = part->id,
                                                     .body_len = (uint32_t)body_len,
                                                     .opcode = (uint8_t)(RD_WIRE_PART_CHUNK + part->kind)});
    rd_buffer_commit(out, RD_WIRE_HEADER_LEN);
}

void rd_binary_part_encode(const struct rd_stream_part *part, struct rd_buffer *out)
{
    switch (part->kind) {
    case RD_STREAM_CHUNK:
        rd_binary_part_begin(part, part->bytes.len, out);
        return;
    case RD_STREAM_CREDIT:
        rd_binary_part_begin(part, RD_WIRE_PART_CREDIT_LEN, out);
        rd_buffer_append_u64le(out, part->credit);
        return;
    case RD_STREAM_END:
    case RD_STREAM_ABORT:
        rd_binary_part_begin(part, 0, out);
        return;
    }
}
