/* SPDX-License-Identifier: MIT
 *
 * segment.h - one table of the index: slots of 8 bytes, each naming the trailer of a live entry.
 *
 *    63   61 60        49 48          47                    0
 *   | start | more hash | displaced |  trailer's offset     |    0: never used; offset 0, displaced: deleted
 *
 * A key's home is one slot of one line (8 slots, a cache line): `start` is its number in the line. A key is looked
 * for from its home to the line's end, then from the line's beginning, and then in the lines behind in the same
 * order; so all but a few are found in one cache line. One that is not in its home's line is marked as displaced.
 *
 * `start` and `more hash` are the tag, which tells keys apart before their trailers are looked at. It has the bits
 * of the hash that come behind those that choose the segment, as they were in the first segment of a window of
 * depths: so a split finds in the slots where each key goes, and reads no trailer but those of displaced keys.
 * Each split leaves one bit less to tell keys apart; a split into the next window, at some 160,000 keys, 42
 * million and 11 billion, reads all trailers and has new tags.
 *
 * Readers take no lock; the writer alone changes slots.
 */
#ifndef RD_ENGINE_SEGMENT_H
#define RD_ENGINE_SEGMENT_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "engine/epoch.h"
#include "engine/slab.h"

#define RD_LINE_SLOTS          8u
#define RD_SEGMENT_SLOTS_MIN   64u
#define RD_SEGMENT_SLOTS_USUAL 4096u /* 32 KiB: a split takes some ten microseconds */
#define RD_SEGMENT_SIZE_MAX    15u   /* logarithm of the most slots, less that of the fewest */
#define RD_SEGMENT_DEPTH_MAX   28u

#define RD_SLOT_OFFSET_MASK ((UINT64_C(1) << 48) - 1)
#define RD_SLOT_DISPLACED   (UINT64_C(1) << 48) /* alone: deleted */
#define RD_SLOT_TAG_SHIFT   49u
#define RD_SLOT_START_SHIFT 61u
#define RD_SLOT_HASH_MASK   (UINT64_C(0xfff) << RD_SLOT_TAG_SHIFT)

/* A segment's header. Of one of the usual size it is at the side of its slots (slab.h), of another before them. */
struct rd_segment {
    struct rd_retired retired;
    atomic_uint_fast64_t *slots; /* constant; on a boundary of RD_SEGMENT_ALIGN */
    uint32_t slot_mask;          /* constant: slots - 1 */
    uint32_t depth;              /* constant: how many top bits all of its keys share */
    uint32_t used_max;           /* constant: then it grows */
    uint32_t used;               /* writer: slots that are not empty */
    uint32_t deleted;            /* writer: of these, slots that name nothing */
    uint32_t promised;           /* writer: puts promised in round */
    uint64_t round;              /* writer */
};

static_assert(sizeof(struct rd_segment) == RD_SLAB_SIDE_LEN, "fits at the side");
static_assert(RD_SEGMENT_SLOTS_USUAL * sizeof(atomic_uint_fast64_t) == RD_SLAB_BLOCK_LEN, "fills a block");

/* Key hashes may be chosen by the caller (…_with_key_hash), so no bit of theirs is used as it is. */
static inline uint64_t rd_mix(uint64_t seed, uint64_t key_hash)
{
    uint64_t mixed = (key_hash ^ seed) * UINT64_C(0x9e3779b97f4a7c15);
    mixed ^= mixed >> 32;
    mixed *= UINT64_C(0xd6e8feb86659fd93);
    return mixed ^ mixed >> 29;
}

/* ---- what leads to a segment --------------------------------------------------------------------------- */

/* A word of the directory: where the slots are, and in the low bits what else a probe must know, since the header
 * is another cache miss. Bits 0..4: the window that their tags are from; 5..8: the logarithm of the slots, less
 * that of the fewest. */
#define RD_SEGMENT_ALIGN 512u

struct rd_located {
    atomic_uint_fast64_t *slots;
    uint32_t slot_mask;
    uint32_t window; /* how many top bits of a hash lie above what its tag has */
};

/* The first depth of the window that a depth is in: 0, 6, 14, 22. */
static inline uint32_t rd_segment_window(uint32_t depth)
{
    return depth < 6 ? 0 : (depth + 2) / 8 * 8 - 2;
}

static inline uintptr_t rd_segment_word(const struct rd_segment *segment)
{
    uint32_t size = (uint32_t)__builtin_ctz((segment->slot_mask + 1) / RD_SEGMENT_SLOTS_MIN);
    return (uintptr_t)segment->slots | size << 5 | rd_segment_window(segment->depth);
}

static inline struct rd_located rd_located_of(uintptr_t word)
{
    return (struct rd_located){.slots = (atomic_uint_fast64_t *)(word & ~(uintptr_t)(RD_SEGMENT_ALIGN - 1)),
                               .slot_mask = (RD_SEGMENT_SLOTS_MIN << (word >> 5 & 15)) - 1,
                               .window = word & 31};
}

static inline struct rd_segment *rd_segment_with(struct rd_located in)
{
    if (RD_LIKELY(in.slot_mask == RD_SEGMENT_SLOTS_USUAL - 1))
        return rd_slab_side_of((void *)in.slots);
    return (struct rd_segment *)(void *)in.slots - 1;
}

/* ---- slots --------------------------------------------------------------------------------------------- */

/* mixed: the key's hash, mixed. */
static inline uint64_t rd_tag_of(struct rd_located in, uint64_t mixed)
{
    return mixed << RD_SLOT_START_SHIFT | ((mixed << in.window >> 3) & RD_SLOT_HASH_MASK);
}

static inline uint32_t rd_home_of(struct rd_located in, uint64_t mixed)
{
    return (uint32_t)mixed & in.slot_mask;
}

/* The number of the first slot of the line that a slot is in. */
static inline uint32_t rd_line_of(uint32_t at)
{
    return at & ~(RD_LINE_SLOTS - 1);
}

/* Where to look after `at`, when `looked` slots have been looked at. */
static inline uint32_t rd_slot_next(struct rd_located in, uint32_t at, uint32_t looked)
{
    uint32_t next = rd_line_of(at) | ((at + 1) & (RD_LINE_SLOTS - 1));
    return RD_UNLIKELY(looked % RD_LINE_SLOTS == 0) ? (next + RD_LINE_SLOTS) & in.slot_mask : next;
}

static inline uint64_t rd_slot_offset(uint64_t slot)
{
    return slot & RD_SLOT_OFFSET_MASK;
}

/* Whether it names the trailer of a key with this tag. */
static inline bool rd_slot_has_tag(uint64_t slot, uint64_t tag)
{
    return (slot ^ tag) >> RD_SLOT_TAG_SHIFT == 0 && rd_slot_offset(slot) != 0;
}

/* ---- the writer alone ---------------------------------------------------------------------------------- */

/* Promises room for one more key, in the pass that `round` names. False: the segment must grow. */
RD_ALWAYS_INLINE bool rd_segment_promise(struct rd_segment *segment, uint64_t round)
{
    if (segment->round != round) {
        segment->round = round;
        segment->promised = 0;
    }
    if (segment->used + segment->promised >= segment->used_max)
        return false;
    segment->promised++;
    return true;
}

/* Puts a key that is not there into the first slot from its home on that is empty or deleted. */
RD_ALWAYS_INLINE void rd_segment_add(struct rd_located in, uint32_t home, uint64_t tag, uint64_t offset)
{
    struct rd_segment *segment = rd_segment_with(in);
    uint32_t at = home;
    uint32_t looked = 1;
    uint64_t there = atomic_load_explicit(&in.slots[at], memory_order_relaxed);
    for (; rd_slot_offset(there) != 0; there = atomic_load_explicit(&in.slots[at], memory_order_relaxed))
        at = rd_slot_next(in, at, looked++);
    segment->used += there == 0;
    segment->deleted -= there != 0;
    assert(segment->used <= segment->slot_mask); /* an empty one must be left */
    uint64_t displaced = looked > RD_LINE_SLOTS ? RD_SLOT_DISPLACED : 0;
    atomic_store_explicit(&in.slots[at], tag | displaced | offset, memory_order_release);
}

/* Moves all keys to segments that no reader sees yet, whose slots hold anything and whose used is 0: to lower or
 * upper, by the bit below its depth; upper may be NULL. */
void rd_segment_move(const struct rd_segment *from, struct rd_segment *lower, struct rd_segment *upper,
                     const uint8_t *file, uint64_t seed);

#endif
