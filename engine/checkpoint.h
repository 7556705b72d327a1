/* SPDX-License-Identifier: MIT
 *
 * checkpoint.h - PATH.index, a store's companion that holds its index as it was at one tail, so that opening need
 * not follow the chain of entries down to the file's beginning: what it holds is read straight to where it stays,
 * and only the entries above that tail are looked at.
 *
 *   0       8         12      16           24     32            40         48         52           56           64
 *   | magic | version | depth | generation | tail | entry_count | last_key | last_crc | byte_order | live_bytes |
 *   | 8     | u32 = 2 | u32   | u64        | u64  | u64         | u64      | u32      | u32        | u64        |
 *
 *   64          72     80           88          96      120           128
 *   | key_count | seed | part_count | body_hash | zeros | header_hash |
 *   | u64       | u64  | u64        | u64       |       | u64         |
 *
 *   128: a table of two bytes for each part (a segment of the index): depth u8, slot_bits u8; zeros up to the next
 *        multiple of 64
 *   then the slots of each part, 2^slot_bits of 8 bytes, and the file ends
 *
 * body_hash covers table and slots, header_hash the 120 bytes before it; both are XXH3-64. Slots are in the
 * machine's own byte order (segment.h draws one; version 1 had others), which byte_order (u32 01020304, stored in
 * it too) tells, as they are copied and not converted; everything else is little-endian. last_key and last_crc
 * repeat the trailer of the entry that ends at tail.
 *
 * It is believed where all of that holds, where generation is that of PATH.meta (which is another after compaction
 * and restore), where tail and entry_count are not beyond what PATH.meta recorded, and where slots spread over all
 * segments lead to trailers whose hashes lead back, all but one, which may be damaged. Otherwise it is as good as
 * none: the index is built from the chain. It is written to a new file, synced and renamed; where that fails, or
 * takes too long, there is none.
 *
 * Opener and closer of a store; nobody else looks at the index meanwhile.
 */
#ifndef RD_ENGINE_CHECKPOINT_H
#define RD_ENGINE_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "engine/index.h"
#include "engine/io.h"

struct rd_checkpoint {
    uint64_t generation;
    uint64_t tail;        /* the index holds what lives in the entries up to here; 0: there is no checkpoint */
    uint64_t entry_count; /* so many entries end at or below it, the engine's own included */
    uint64_t last_key;    /* of the entry that ends there */
    uint32_t last_crc;
    uint64_t live_bytes;    /* of the keys that live there: payloads and trailers */
    uint64_t companion_len; /* bytes of the companion that this was loaded from */
};

/* Reads the companion of the store at `path` into *index, which is zeroed or not initialised; `file` is the
 * store's map, of file_len bytes. wanted: what PATH.meta recorded; a checkpoint fits where it has that generation,
 * and a tail and entry_count not above these. RD_KEY_NOT_FOUND: there is none that can be believed; *index is as
 * rd_index_deinit leaves it. RD_NO_MEMORY likewise; RD_CONFLICT too: it is whole, but another file's, or of a time
 * that this one has not come to. What is written to it from now on might make it seem to fit. */
enum rd_status rd_checkpoint_load(const struct rd_io *io, const char *path, const uint8_t *file, uint64_t file_len,
                                  const struct rd_checkpoint *wanted, struct rd_epoch *epoch,
                                  struct rd_index *index, struct rd_checkpoint *ret_checkpoint) RD_MUST_CHECK;

/* Durable when it returns 0; otherwise an errno value, ETIME where deadline_ms on the monotonic clock came first,
 * and what was there before still is. */
int rd_checkpoint_write(const struct rd_io *io, const char *path, const struct rd_checkpoint *checkpoint,
                        const struct rd_index *index, uint64_t deadline_ms) RD_MUST_CHECK;

/* Takes it away where there is one, since it is not going to fit. Not durable by itself. */
void rd_checkpoint_remove(const struct rd_io *io, const char *path);

#endif
