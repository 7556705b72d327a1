/* SPDX-License-Identifier: MIT
 *
 * Invariants
 *  1. A slot goes from empty to an offset, from one offset of a key to another, or to deleted; a deleted slot may
 *     be taken by another key. It never becomes empty again, so a probe that ends at an empty slot has seen all.
 *  2. A segment that readers see always has an empty slot.
 */
#include "engine/segment.h"

#include <string.h>

#include "base/endian.h"

#define DISPLACED_BIT 48u
#define AHEAD         16u /* trailers asked for before they are read */

static_assert(RD_SLOT_DISPLACED == UINT64_C(1) << DISPLACED_BIT, "one bit");

/* ---- moving ------------------------------------------------------------------------------------------- */

/* Whether a slot that is not displaced tells by itself where in them it goes. */
static bool slots_tell(const struct rd_segment *from, const struct rd_segment *to)
{
    return from->slot_mask == to->slot_mask && rd_segment_window(from->depth) == rd_segment_window(to->depth);
}

/* All ones where that bit of the slot is set, else 0. */
static inline uint64_t mask_of_bit(uint64_t slot, unsigned bit)
{
    return -(slot >> bit & 1);
}

/* Sorts the keys of a line that are not displaced into two lines, by one bit of their tags. Those in the very slot
 * that is their home stay in it: these are most, and no branch depends on them. The others come behind. */
static void move_line(const atomic_uint_fast64_t *from, atomic_uint_fast64_t *const to[2], unsigned tag_bit,
                      uint32_t counts[2])
{
    unsigned others = 0;
    unsigned keys = 0;
    unsigned ups = 0;
#pragma GCC unroll 8
    for (unsigned i = 0; i < RD_LINE_SLOTS; i++) {
        uint64_t slot = atomic_load_explicit(&from[i], memory_order_relaxed);
        slot &= ~mask_of_bit(slot, DISPLACED_BIT); /* those come later; this makes deleted ones empty, too */
        uint64_t up = mask_of_bit(slot, tag_bit);
        uint64_t at_home = -(uint64_t)(slot >> RD_SLOT_START_SHIFT == i);
        atomic_store_explicit(&to[0][i], slot & at_home & ~up, memory_order_relaxed);
        atomic_store_explicit(&to[1][i], slot & at_home & up, memory_order_relaxed);
        keys += slot != 0;
        ups += (unsigned)up & 1;
        others |= (unsigned)(slot != 0) << i & (unsigned)~at_home;
    }
    counts[0] += keys - ups;
    counts[1] += ups;
    for (; others != 0; others &= others - 1) {
        uint64_t slot = atomic_load_explicit(&from[__builtin_ctz(others)], memory_order_relaxed);
        atomic_uint_fast64_t *line = to[slot >> tag_bit & 1];
        uint64_t at = slot >> RD_SLOT_START_SHIFT;
        while (atomic_load_explicit(&line[at], memory_order_relaxed) != 0)
            at = (at + 1) % RD_LINE_SLOTS;
        atomic_store_explicit(&line[at], slot, memory_order_relaxed);
    }
}

/* All that are not displaced, by their tags. Leaves nothing of what was in the new slots. */
static void move_by_tags(const struct rd_segment *from, struct rd_segment *lower, struct rd_segment *upper)
{
    atomic_uint_fast64_t nowhere[RD_LINE_SLOTS];
    uint32_t window = rd_segment_window(from->depth);
    uint32_t counts[2] = {0, 0};
    uint32_t tag_bit = upper == NULL ? DISPLACED_BIT /* 0 in all that move */
                                     : RD_SLOT_START_SHIFT - 1 - (from->depth - window);
    for (uint32_t line = 0; line <= from->slot_mask; line += RD_LINE_SLOTS) {
        atomic_uint_fast64_t *to[2] = {&lower->slots[line], upper == NULL ? nowhere : &upper->slots[line]};
        move_line(&from->slots[line], to, tag_bit, counts);
    }
    lower->used += counts[0];
    if (upper != NULL)
        upper->used += counts[1];
}

/* Keys whose hashes lie in the trailers, all over the file: each is asked for well before it is read. */
struct by_trailer {
    struct rd_segment *to[2];
    uint32_t depth;
    const uint8_t *file;
    uint64_t seed;
    uint64_t coming[AHEAD];
    unsigned count; /* of all that came */
};

static void add_by_trailer(struct by_trailer *keys, uint64_t offset)
{
    if (offset == 0)
        return;
    uint64_t mixed = rd_mix(keys->seed, rd_load_u64le(keys->file + offset));
    struct rd_located in = rd_located_of(rd_segment_word(keys->to[mixed >> (63 - keys->depth) & 1]));
    rd_segment_add(in, rd_home_of(in, mixed), rd_tag_of(in, mixed), offset);
}

/* offset 0: none; so many of these as there are places make the last ones come out. */
static void push_by_trailer(struct by_trailer *keys, uint64_t offset)
{
    uint64_t *place = &keys->coming[keys->count++ % AHEAD];
    uint64_t earlier = *place;
    *place = offset;
    __builtin_prefetch(keys->file + offset);
    add_by_trailer(keys, earlier);
}

static void move_by_trailers(const struct rd_segment *from, struct by_trailer *keys, bool displaced_alone)
{
    for (uint32_t i = 0; i <= from->slot_mask; i++) {
        uint64_t slot = atomic_load_explicit(&from->slots[i], memory_order_relaxed);
        if (displaced_alone && (slot & RD_SLOT_DISPLACED) == 0)
            continue;
        if (rd_slot_offset(slot) != 0)
            push_by_trailer(keys, rd_slot_offset(slot));
    }
    for (unsigned i = 0; i < AHEAD; i++)
        push_by_trailer(keys, 0);
}

static void clear(struct rd_segment *segment)
{
    if (segment != NULL)
        memset((void *)segment->slots, 0, ((size_t)segment->slot_mask + 1) * sizeof segment->slots[0]);
}

void rd_segment_move(const struct rd_segment *from, struct rd_segment *lower, struct rd_segment *upper,
                     const uint8_t *file, uint64_t seed)
{
    bool tell = slots_tell(from, lower);
    if (tell) {
        move_by_tags(from, lower, upper);
    } else {
        clear(lower);
        clear(upper);
    }
    struct by_trailer keys = {
        .to = {lower, upper == NULL ? lower : upper}, .depth = from->depth, .file = file, .seed = seed};
    move_by_trailers(from, &keys, tell);
}
