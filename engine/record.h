/* SPDX-License-Identifier: MIT
 *
 * record.h - the layout of a store file, drawn once. Pure: no I/O, no state.
 *
 *   entry      = [pad: zero bytes][payload][key_hash u64][prev_tail u64][crc u32]
 *   tombstone  = [0x00]                    [key_hash u64][prev_tail u64][crc u32]     21 bytes, never padded
 *
 *   prev_tail                payload_offset        trailer_offset                     end (the next prev_tail)
 *       |<-- pad, 0..63 zeros -->|<---- payload ---->|<-- hash 8 -><- prev 8 -><- crc 4 ->|
 *
 *   marker     = [0x00]     [RD_RESERVED_KEY_HASH][prev_tail u64][count u32]     21 bytes, never padded
 *
 * A marker stands before a batch of two or more entries; count is how many follow that are one batch with it. To
 * the reference it is a tombstone of a key that nobody has.
 *
 *   spacer     = a tombstone, or a value of two zero bytes, with RD_RESERVED_KEY_HASH
 *
 * A spacer stands before an entry whose trailer would otherwise lie over the border of two sectors, with nothing
 * but zeros before it in the lower one: torn there, it would be a sound entry of another key, since no checksum
 * covers the hash.
 *
 * Integers are little-endian. payload_offset is a multiple of 64. The entries form one backward chain from the end
 * of the file to offset 0. The crc is CRC-32 with the zlib polynomial over the payload alone. Source of the
 * format: the Rust library simd-r-drive, 0.15 and later (docs/FORMAT.md).
 */
#ifndef RD_ENGINE_RECORD_H
#define RD_ENGINE_RECORD_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/endian.h"

#define RD_RECORD_ALIGN  64u
#define RD_TRAILER_LEN   20u
#define RD_TOMBSTONE_LEN 21u
#define RD_TOMBSTONE_CRC 0xd202ef8du /* crc32 of one zero byte */
#define RD_RESERVED_KEY_HASH                                                                                      \
    UINT64_C(0x6472697665000001)              /* of the engine's own entries; no operation may name it */
#define RD_TAIL_MAX ((UINT64_C(1) << 48) - 1) /* the index keeps offsets in 48 bits */

static_assert((RD_RECORD_ALIGN & (RD_RECORD_ALIGN - 1)) == 0, "alignment is a power of two");
static_assert(RD_TRAILER_LEN == 8 + 8 + 4, "trailer: hash, prev_tail, crc");
static_assert(RD_TOMBSTONE_LEN == 1 + RD_TRAILER_LEN, "tombstone: one zero byte and a trailer");

struct rd_trailer {
    uint64_t key_hash;
    uint64_t prev_tail;
    uint32_t crc32;
};

/* One entry as it lies in the file; offsets are absolute. */
struct rd_record {
    struct rd_trailer trailer;
    uint64_t payload_offset;
    uint64_t payload_len;
    uint64_t trailer_offset;
    bool tombstone;
    bool marker; /* of a batch; trailer.crc32 is the number of entries that follow and belong to it */
};

static inline uint64_t rd_record_align(uint64_t offset)
{
    return (offset + (RD_RECORD_ALIGN - 1)) & ~(uint64_t)(RD_RECORD_ALIGN - 1);
}

/* A filler (ahead.h) is a hole in the file as long as nobody copies it, and there are file systems that fill a
 * hole when it is read: tmpfs. So long zeros of the engine's own are told by their checksum alone. */
#define RD_HOLE_LEN_MIN 4096u

static inline bool rd_record_may_be_hole(const struct rd_record *record)
{
    return record->trailer.key_hash == RD_RESERVED_KEY_HASH && record->payload_len >= RD_HOLE_LEN_MIN;
}

/* What a disk writes whole or not at all. */
#define RD_SECTOR_LEN 512u

/* Whether a trailer lies over the border of two sectors, so that a power cut may keep its second part alone. */
static inline bool rd_trailer_may_tear(uint64_t trailer_offset)
{
    return trailer_offset % RD_SECTOR_LEN > RD_SECTOR_LEN - RD_TRAILER_LEN;
}

static inline struct rd_trailer rd_trailer_decode(const uint8_t *from)
{
    return (struct rd_trailer){
        .key_hash = rd_load_u64le(from), .prev_tail = rd_load_u64le(from + 8), .crc32 = rd_load_u32le(from + 16)};
}

static inline void rd_trailer_encode(const struct rd_trailer *trailer, uint8_t *to)
{
    rd_store_u64le(to, trailer->key_hash);
    rd_store_u64le(to + 8, trailer->prev_tail);
    rd_store_u32le(to + 16, trailer->crc32);
}

/* Where the payload of an entry begins whose trailer lies at trailer_offset; trailer_offset: it cannot be one. */
static inline uint64_t rd_record_payload_offset(uint64_t prev_tail, uint64_t trailer_offset)
{
    if (prev_tail >= trailer_offset)
        return trailer_offset;
    bool shortest = trailer_offset + RD_TRAILER_LEN - prev_tail == RD_TOMBSTONE_LEN;
    uint64_t payload_offset = shortest ? prev_tail : rd_record_align(prev_tail);
    return payload_offset < trailer_offset ? payload_offset : trailer_offset;
}

/* Of such an entry, payload and trailer; 0: it cannot be one. */
static inline uint64_t rd_record_bytes(uint64_t prev_tail, uint64_t trailer_offset)
{
    uint64_t payload_offset = rd_record_payload_offset(prev_tail, trailer_offset);
    return payload_offset == trailer_offset ? 0 : trailer_offset - payload_offset + RD_TRAILER_LEN;
}

/* Reads the entry whose last byte lies just before `end`. A zero byte where a value might lie is a tombstone only
 * by its checksum: it may be what became of a value of one byte. Where no value can lie, 21 bytes are a tombstone
 * whatever their first byte has become. False where these bytes cannot be an entry. Looks at the trailer, and for
 * a payload of one byte at that byte; pads and checksums are the caller's to check. file: at least `end` readable
 * bytes. */
static inline bool rd_record_parse(const uint8_t *file, uint64_t end, struct rd_record *ret_record)
{
    if (end < RD_TOMBSTONE_LEN)
        return false;
    uint64_t trailer_offset = end - RD_TRAILER_LEN;
    struct rd_record record = {.trailer = rd_trailer_decode(file + trailer_offset),
                               .trailer_offset = trailer_offset};
    uint64_t prev_tail = record.trailer.prev_tail;
    bool aligned = prev_tail % RD_RECORD_ALIGN == 0;
    bool shortest = end - prev_tail == RD_TOMBSTONE_LEN;
    record.payload_offset = rd_record_payload_offset(prev_tail, trailer_offset);
    if (record.payload_offset == trailer_offset)
        return false;
    record.payload_len = trailer_offset - record.payload_offset;
    if (shortest) {
        bool zero = file[prev_tail] == 0;
        bool own = record.trailer.key_hash == RD_RESERVED_KEY_HASH;
        record.tombstone = !aligned || (zero && (own || record.trailer.crc32 == RD_TOMBSTONE_CRC));
        record.marker = record.tombstone && own && record.trailer.crc32 != RD_TOMBSTONE_CRC;
    }
    *ret_record = record;
    return true;
}

#endif
