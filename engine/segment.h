/* SPDX-License-Identifier: MIT
 *
 * segment.h - one table of the index: lines of eight slots (line.h).
 *
 * A key's home is one slot of one line. It is looked for in that line and, while a line has no empty slot, in the
 * line behind; so all but a few are found in one cache line. One that is not in its home's line is marked as
 * displaced. All lines that it was put past are full for ever.
 *
 * A tag has the bits of the hash that come behind those that choose the segment, as they were in the first segment
 * of a window of depths: so a split finds in the slots where each key goes, and reads no trailer but those of
 * some displaced keys, whose homes may be in more lines than one. Each split leaves one bit less to tell keys
 * apart; a split into the next window, from some 65,000 keys on, 17 million and 4 billion, gives all keys new
 * tags, which are in their trailers. These lie all over the file, on pages that perhaps nobody has looked at
 * through the map yet, and that may not be in memory: so before such a split the new tags are foreseen, those of a
 * few slots with each key that would have made the segment split, and it grows a little beyond its limit
 * meanwhile.
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
#include "engine/line.h"
#include "engine/slab.h"

#define RD_SEGMENT_BITS_MIN    6u
#define RD_SEGMENT_SLOTS_MIN   (1u << RD_SEGMENT_BITS_MIN)
#define RD_SEGMENT_BITS_USUAL  12u
#define RD_SEGMENT_SLOTS_USUAL (1u << RD_SEGMENT_BITS_USUAL) /* 32 KiB: a split takes some ten microseconds */
#define RD_SEGMENT_SIZE_MAX    15u /* logarithm of the most slots, less that of the fewest */
#define RD_SEGMENT_DEPTH_MAX   28u

/* A segment's header. Of one of the usual size it is at the side of its slots (slab.h), of another before them. */
struct rd_segment {
    struct rd_retired retired;
    atomic_uint_fast64_t *slots; /* constant; on a boundary of RD_SEGMENT_ALIGN */
    uint16_t *next_tags;         /* writer, the index's: by slots, their keys' tags in the next window, without
                                  * the offset's bits; 0: not known. NULL: none is */
    uint16_t foreseen;           /* writer: slots below it were looked at for that */
    uint8_t slot_bits;           /* constant: of 2^slot_bits slots */
    uint8_t depth;               /* constant: how many top bits all of its keys share */
    uint32_t used_max;           /* writer: then it grows */
    uint32_t used;               /* writer: slots that are not empty */
    uint32_t deleted;            /* writer: of these, slots that name nothing */
    uint32_t promised;           /* writer: puts promised in round */
    uint32_t round;              /* writer */
};

static_assert(sizeof(struct rd_segment) == RD_SLAB_SIDE_LEN, "fits at the side");
static_assert(RD_SEGMENT_SLOTS_USUAL * sizeof(atomic_uint_fast64_t) == RD_SLAB_BLOCK_LEN, "fills a block");

static inline uint32_t rd_segment_slot_mask(const struct rd_segment *segment)
{
    return (UINT32_C(1) << segment->slot_bits) - 1;
}

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

/* Whether a split at this depth gives all keys new tags. */
static inline bool rd_segment_leaves_window(uint32_t depth)
{
    return rd_segment_window(depth) != rd_segment_window(depth + 1);
}

static inline uintptr_t rd_segment_word(const struct rd_segment *segment)
{
    uint32_t size = segment->slot_bits - RD_SEGMENT_BITS_MIN;
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

/* mixed: the key's hash, mixed. What would be 0 has its lowest bit set, which no split goes by. */
static inline uint64_t rd_tag_of(struct rd_located in, uint64_t mixed)
{
    uint64_t tag = mixed << RD_SLOT_START_SHIFT | ((mixed << in.window >> 3) & RD_SLOT_HASH_MASK);
    return tag | (uint64_t)(tag == 0) << RD_SLOT_TAG_SHIFT;
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

static inline uint32_t rd_line_behind(struct rd_located in, uint32_t line)
{
    return (line + RD_LINE_SLOTS) & in.slot_mask;
}

/* What the first slot with this tag holds; 0: there is none. It may hold something else when it is loaded. */
RD_ALWAYS_INLINE uint64_t rd_segment_seek(struct rd_located in, uint32_t home, uint64_t tag)
{
    for (uint32_t line = rd_line_of(home);; line = rd_line_behind(in, line)) {
        uint32_t look = rd_line_look(&in.slots[line], tag);
        if ((look & RD_LINE_TAGGED) != 0)
            return atomic_load_explicit(&in.slots[line + (uint32_t)__builtin_ctz(look)], memory_order_acquire);
        if (RD_LIKELY(look != 0))
            return 0;
    }
}

/* ---- the writer alone ---------------------------------------------------------------------------------- */

/* Promises room for one more key, in the pass that `round` names. False: the segment must grow. */
RD_ALWAYS_INLINE bool rd_segment_promise(struct rd_segment *segment, uint32_t round)
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

/* The first bit that is set from `start` on, the first ones coming behind the last. */
static inline uint32_t rd_line_first(uint32_t bits, uint32_t start)
{
    uint32_t turned = (bits | bits << RD_LINE_SLOTS) >> start;
    return (start + (uint32_t)__builtin_ctz(turned)) % RD_LINE_SLOTS;
}

/* Puts a key that is not there into the first line from its home's on that has a free slot. */
RD_ALWAYS_INLINE void rd_segment_add(struct rd_located in, uint32_t home, uint64_t tag, uint64_t offset)
{
    struct rd_segment *segment = rd_segment_with(in);
    uint32_t line = rd_line_of(home);
    uint32_t free_slots = rd_line_free(&in.slots[line]);
    while (RD_UNLIKELY(free_slots == 0)) {
        line = rd_line_behind(in, line);
        free_slots = rd_line_free(&in.slots[line]);
        tag |= RD_SLOT_DISPLACED;
    }
    atomic_uint_fast64_t *slot = &in.slots[line + rd_line_first(free_slots, home % RD_LINE_SLOTS)];
    bool was_empty = atomic_load_explicit(slot, memory_order_relaxed) == 0;
    segment->used += was_empty;
    segment->deleted -= !was_empty;
    assert(segment->used <= rd_segment_slot_mask(segment)); /* an empty one must be left */
    atomic_store_explicit(slot, tag | offset, memory_order_release);
}

/* A place is a slot's address and the tag of the key that has it or may take it, in one word; 0: none, as always
 * of a segment that is not of the usual size. It is good until what was retired is collected, whatever has become
 * of the slot. */
RD_ALWAYS_INLINE uint64_t rd_segment_place(struct rd_located in, uint32_t at, uint64_t tag)
{
    if (RD_UNLIKELY(in.slot_mask != RD_SEGMENT_SLOTS_USUAL - 1))
        return 0;
    return tag | (uintptr_t)&in.slots[at];
}

static inline atomic_uint_fast64_t *rd_slot_at(uint64_t place)
{
    return (atomic_uint_fast64_t *)(uintptr_t)(place & RD_SLOT_OFFSET_MASK);
}

static inline uint64_t rd_slot_tag_in(uint64_t place)
{
    return place & ~RD_SLOT_OFFSET_MASK;
}

/* Puts a key that is not there into the empty slot of its home's line that was found for it. False: there is no
 * place, or it is none any more; rd_segment_add does it. */
RD_ALWAYS_INLINE bool rd_segment_take(uint64_t place, uint64_t offset)
{
    if (RD_UNLIKELY(place == 0))
        return false;
    atomic_uint_fast64_t *slot = rd_slot_at(place);
    struct rd_segment *segment = rd_slab_side_of((void *)slot);
    bool is_good = atomic_load_explicit(slot, memory_order_relaxed) == 0 && segment->deleted == 0 &&
                   !rd_epoch_is_retired(&segment->retired);
    if (RD_UNLIKELY(!is_good))
        return false;
    segment->used++;
    assert(segment->used <= rd_segment_slot_mask(segment)); /* an empty one must be left */
    atomic_store_explicit(slot, rd_slot_tag_in(place) | offset, memory_order_release);
    return true;
}

/* Points the slot that the key has had since its place was found at another offset. Returns the one before; 0:
 * there is no place, the segment was replaced, or the slot was taken from the key: as a stray, which it can become
 * while others change the file. */
RD_ALWAYS_INLINE uint64_t rd_segment_exchange(uint64_t place, uint64_t offset)
{
    if (RD_UNLIKELY(place == 0))
        return 0;
    atomic_uint_fast64_t *slot = rd_slot_at(place);
    const struct rd_segment *segment = rd_slab_side_of((void *)slot);
    if (RD_UNLIKELY(rd_epoch_is_retired(&segment->retired)))
        return 0;
    uint64_t old = atomic_load_explicit(slot, memory_order_relaxed);
    if (RD_UNLIKELY(!rd_slot_has_tag(old, place)))
        return 0;
    atomic_store_explicit(slot, (old & ~RD_SLOT_OFFSET_MASK) | offset, memory_order_release);
    return rd_slot_offset(old);
}

/* Before a split that gives all keys new tags: looks at the trailers of the next few slots, and notes the tags in
 * next_tags, where all were 0 at first. False: there are no slots left. What the split does not find there it
 * reads itself. Of a segment of the usual size. */
bool rd_segment_foresee(struct rd_segment *segment, const uint8_t *file, uint64_t seed);

/* The slot is another key's from now on, or nobody's. */
static inline void rd_segment_forget_tag(struct rd_segment *segment, const atomic_uint_fast64_t *slot)
{
    if (RD_UNLIKELY(segment->next_tags != NULL))
        segment->next_tags[slot - segment->slots] = 0;
}

/* Moves all keys to segments that no reader sees yet, whose slots hold anything and whose used is 0: to lower or
 * upper, by the bit below its depth; upper may be NULL. */
void rd_segment_move(const struct rd_segment *from, struct rd_segment *lower, struct rd_segment *upper,
                     const uint8_t *file, uint64_t seed);

#endif
