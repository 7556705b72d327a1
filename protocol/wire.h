/* SPDX-License-Identifier: MIT
 *
 * wire.h - the binary protocol's bytes, drawn once. docs/PROTOCOL.md is the legal text, bodies included.
 *
 * All integers are little-endian. A connection opens with the client's preamble, which is answered, and then
 * carries frames both ways:
 *
 *   preamble        0        8         10         12      16
 *                   | magic  | version | reserved | flags |
 *                   |  8     | u16 = 1 | u16 = 0  | u32=0 |
 *
 *   hello answer    0        8         10       12         16
 *                   | magic  | version | status | body_len | body: the limits, or an error body
 *                   |  8     | u16 = 1 | u16    | u32      |
 *
 *   frame           0          4        5       6        8      16
 *                   | body_len | opcode | flags | status | id   | body
 *                   | u32      | u8     | u8    | u16    | u64  | body_len bytes
 *
 *   error body      | message_len u16 | UTF-8 |      of every answer whose status is not 0
 *
 *   condition       | kind u8 | offset u64 | crc32 u32 |      behind a request's store, as its flags say
 *
 * A value that comes or goes as a stream travels in part frames between the others: the header with a part's
 * opcode, flags and status 0 and the request's id, and behind it
 *
 *   chunk 0x40      | bytes of the value          end 0x41    | nothing
 *   credit 0x43     | bytes u64                   abort 0x42  | nothing, or from the server: status u16, error
 * body
 *
 * The magic's first byte is above 0x7f, which no HTTP method is: one Unix socket can serve both protocols.
 *
 * Reading goes through a cursor that never passes the end of its bytes, writing through put helpers into room that
 * the caller has reserved. Nothing here allocates.
 */
#ifndef RD_PROTOCOL_WIRE_H
#define RD_PROTOCOL_WIRE_H

#include <assert.h>

#include "base/endian.h"
#include "base/slice.h"

#define RD_WIRE_MAGIC     "\xD2RDRIVE\n"
#define RD_WIRE_MAGIC_LEN 8u
#define RD_WIRE_VERSION   1u
static_assert(sizeof RD_WIRE_MAGIC - 1 == RD_WIRE_MAGIC_LEN, "the magic has eight bytes");

enum {
    RD_WIRE_PREAMBLE_VERSION = 8,
    RD_WIRE_PREAMBLE_RESERVED = 10,
    RD_WIRE_PREAMBLE_FLAGS = 12,
    RD_WIRE_PREAMBLE_LEN = 16,

    RD_WIRE_HELLO_VERSION = 8,
    RD_WIRE_HELLO_STATUS = 10,
    RD_WIRE_HELLO_BODY_LEN = 12,
    RD_WIRE_HELLO_LEN = 16, /* of the hello answer's head */

    RD_WIRE_HEADER_BODY_LEN = 0,
    RD_WIRE_HEADER_OPCODE = 4,
    RD_WIRE_HEADER_FLAGS = 5,
    RD_WIRE_HEADER_STATUS = 6,
    RD_WIRE_HEADER_ID = 8,
    RD_WIRE_HEADER_LEN = 16
};
static_assert(RD_WIRE_PREAMBLE_FLAGS + sizeof(uint32_t) == RD_WIRE_PREAMBLE_LEN, "the preamble has no gap");
static_assert(RD_WIRE_HELLO_BODY_LEN + sizeof(uint32_t) == RD_WIRE_HELLO_LEN, "the hello answer has no gap");
static_assert(RD_WIRE_HEADER_ID + sizeof(uint64_t) == RD_WIRE_HEADER_LEN, "the frame header has no gap");
static_assert((int)RD_WIRE_PREAMBLE_LEN == (int)RD_WIRE_HEADER_LEN, "one head buffer holds either");

/* Bytes of the fixed parts of bodies. */
enum {
    RD_WIRE_LIMITS_LEN = 24,                /* hello: body_len_max, key_len_max, batch_count_max, in_flight_max,
                                             * stream_window, chunk_len_max */
    RD_WIRE_LIMITS_LEN_MIN = 16,            /* of a server without streams: the first four */
    RD_WIRE_WRITE_ANSWER_LEN = 34,          /* offset, tail, crc32, key_hash, replaced, durability, interval_ms */
    RD_WIRE_BATCH_WRITE_ANSWER_LEN = 29,    /* offset, tail, count, durability, interval_ms */
    RD_WIRE_DELETE_ANSWER_LEN = 14,         /* tail, found, durability, interval_ms */
    RD_WIRE_BATCH_DELETE_ANSWER_LEN = 21,   /* tail, count, durability, interval_ms */
    RD_WIRE_READ_ANSWER_LEN = 28,           /* offset, crc32, key_hash, prev_tail; the value follows */
    RD_WIRE_READ_STREAM_ANSWER_LEN = 52,    /* offset, crc32, key_hash, prev_tail, value_len, first, len */
    RD_WIRE_COPY_ANSWER_LEN = 16,           /* target_offset, target_tail */
    RD_WIRE_TRANSFER_ANSWER_LEN = 24,       /* target_offset, target_tail, source_tail */
    RD_WIRE_METADATA_LEN = 36,              /* key_hash, offset, len, prev_tail, crc32 */
    RD_WIRE_BATCH_READ_ROW_LEN_MIN = 2,     /* status; where it is 0: */
    RD_WIRE_BATCH_READ_VALUE_HEAD_LEN = 16, /* offset, crc32, len; the value follows */
    RD_WIRE_ENTRY_ROW_LEN = 28,             /* iterate: key_hash, offset, len, crc32 */
    RD_WIRE_VERIFY_ANSWER_LEN = 44, /* from, next, entries, bytes, problem_count, the number of rows that follow */
    RD_WIRE_COMPACTION_LEN = 40,    /* tail_before, tail, entries, generation, pause_us */
    RD_WIRE_PROBLEM_ROW_LEN = 26,   /* kind, live, offset, len, key_hash */
    RD_WIRE_BACKUP_ANSWER_LEN = 32, /* generation, tail, first, len */
    RD_WIRE_STORE_ROW_LEN = 41,     /* a store row's fixed part and its two length fields, without row_len */
    RD_WIRE_STORE_ROW_MORE_LEN = 9, /* generation and batch_marker at its end; older servers' rows lack them */
    RD_WIRE_STORE_ROW_QUOTA_LEN = 17, /* behind these: quota_bytes, quota_entries, read_only; likewise */
    RD_WIRE_STORE_ROW_NOW_LEN = 1,    /* behind these: compacting; likewise */
    RD_WIRE_KEY_LEN_MIN = 5,          /* the shortest key: the empty one */
    RD_WIRE_PING_LEN_MAX = 64,
    RD_WIRE_TOKEN_LEN_MAX = 4096
};

/* Keys on the wire. */
enum {
    RD_WIRE_KEY_BYTES = 0, /* u32 len, bytes */
    RD_WIRE_KEY_HASH = 1   /* u64 */
};

/* A request's flags. */
enum {
    RD_WIRE_FLAG_CONDITION = 0x01,       /* a condition block follows the store; rename: on the source */
    RD_WIRE_FLAG_TARGET_CONDITION = 0x02 /* rename: one on the target behind it */
};

/* The opcodes of part frames. */
enum {
    RD_WIRE_PART_CHUNK = 0x40,
    RD_WIRE_PART_END = 0x41,
    RD_WIRE_PART_ABORT = 0x42,
    RD_WIRE_PART_CREDIT = 0x43,
    RD_WIRE_PART_CREDIT_LEN = 8
};

static inline bool rd_wire_is_part(uint8_t opcode)
{
    return opcode >= RD_WIRE_PART_CHUNK && opcode <= RD_WIRE_PART_CREDIT;
}

/* Ranges on the wire. */
enum { RD_WIRE_RANGE_ALL = 0, RD_WIRE_RANGE_FROM = 1, RD_WIRE_RANGE_SUFFIX = 2 };

struct rd_wire_header {
    uint64_t id;
    uint32_t body_len; /* bytes */
    uint16_t status;   /* enum rd_status; 0 in requests */
    uint8_t opcode;    /* enum rd_opcode, a part's, or a number that is neither */
    uint8_t flags;     /* RD_WIRE_FLAG_* in requests, else 0 */
};

static inline struct rd_wire_header rd_wire_load_header(const uint8_t *from)
{
    return (struct rd_wire_header){
        .id = rd_load_u64le(from + RD_WIRE_HEADER_ID),
        .body_len = rd_load_u32le(from + RD_WIRE_HEADER_BODY_LEN),
        .status = rd_load_u16le(from + RD_WIRE_HEADER_STATUS),
        .opcode = from[RD_WIRE_HEADER_OPCODE],
        .flags = from[RD_WIRE_HEADER_FLAGS],
    };
}

static inline void rd_wire_store_header(uint8_t *to, struct rd_wire_header header)
{
    rd_store_u32le(to + RD_WIRE_HEADER_BODY_LEN, header.body_len);
    to[RD_WIRE_HEADER_OPCODE] = header.opcode;
    to[RD_WIRE_HEADER_FLAGS] = header.flags;
    rd_store_u16le(to + RD_WIRE_HEADER_STATUS, header.status);
    rd_store_u64le(to + RD_WIRE_HEADER_ID, header.id);
}

/* Each stores one integer and returns where the next one goes. */
static inline uint8_t *rd_wire_put_u8(uint8_t *to, uint8_t value)
{
    *to = value;
    return to + 1;
}

static inline uint8_t *rd_wire_put_u16(uint8_t *to, uint16_t value)
{
    rd_store_u16le(to, value);
    return to + sizeof value;
}

static inline uint8_t *rd_wire_put_u32(uint8_t *to, uint32_t value)
{
    rd_store_u32le(to, value);
    return to + sizeof value;
}

static inline uint8_t *rd_wire_put_u64(uint8_t *to, uint64_t value)
{
    rd_store_u64le(to, value);
    return to + sizeof value;
}

static inline uint8_t *rd_wire_put_bytes(uint8_t *to, struct rd_slice bytes)
{
    if (bytes.len != 0)
        memcpy(to, bytes.data, bytes.len);
    return to + bytes.len;
}

/* A walk over a body. Taking more than is left gives zeros (or an empty slice) and sets `cut`, so that a parser
 * may take several fields and look once. */
struct rd_wire_cursor {
    struct rd_slice left; /* borrows */
    bool cut;
};

static inline struct rd_slice rd_wire_take_bytes(struct rd_wire_cursor *cursor, size_t len)
{
    if (len > cursor->left.len) {
        cursor->cut = true;
        cursor->left.len = 0; /* so that later fields are zeros too, not bytes of this one */
        return rd_slice(cursor->left.data, 0);
    }
    return rd_slice_take(&cursor->left, len);
}

static inline uint8_t rd_wire_take_u8(struct rd_wire_cursor *cursor)
{
    struct rd_slice taken = rd_wire_take_bytes(cursor, sizeof(uint8_t));
    return taken.len == 0 ? 0 : taken.data[0];
}

static inline uint16_t rd_wire_take_u16(struct rd_wire_cursor *cursor)
{
    struct rd_slice taken = rd_wire_take_bytes(cursor, sizeof(uint16_t));
    return taken.len == 0 ? 0 : rd_load_u16le(taken.data);
}

static inline uint32_t rd_wire_take_u32(struct rd_wire_cursor *cursor)
{
    struct rd_slice taken = rd_wire_take_bytes(cursor, sizeof(uint32_t));
    return taken.len == 0 ? 0 : rd_load_u32le(taken.data);
}

static inline uint64_t rd_wire_take_u64(struct rd_wire_cursor *cursor)
{
    struct rd_slice taken = rd_wire_take_bytes(cursor, sizeof(uint64_t));
    return taken.len == 0 ? 0 : rd_load_u64le(taken.data);
}

#endif
