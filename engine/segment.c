/* SPDX-License-Identifier: MIT
 *
 * Invariants
 *  1. A slot goes from empty to an offset, from one offset of a key to another, or to deleted; a deleted slot may
 *     be taken by another key. It never becomes empty again, so a probe that ends at an empty slot has seen all.
 *  2. A segment that readers see always has an empty slot.
 */
#include "engine/segment.h"

#include <stdalign.h>
#include <string.h>

#include "base/endian.h"

#define DISPLACED_BIT 48u
#define AHEAD         16u /* trailers asked for before they are read */
/* At a time: some dozen pages, each of which may have to be mapped, or to be read. */
#define FORESEEN_SLOTS 16u

static_assert(RD_SEGMENT_SLOTS_USUAL <= UINT16_MAX && RD_SEGMENT_SLOTS_USUAL % FORESEEN_SLOTS == 0,
              "of the usual size all slots can be foreseen");
static_assert(RD_SLOT_DISPLACED == UINT64_C(1) << DISPLACED_BIT, "one bit");

/* ---- moving ------------------------------------------------------------------------------------------- */

/* By what it is told where a key goes that is not displaced, and which tag it has there. */
enum telling {
    TELLING_TAG,      /* its own, which stays as it is */
    TELLING_NEXT_TAG, /* that which was foreseen, if it was */
    TELLING_TRAILER,
};

static enum telling what_tells(const struct rd_segment *from, const struct rd_segment *to)
{
    if (from->slot_bits != to->slot_bits)
        return TELLING_TRAILER;
    if (rd_segment_window(from->depth) == rd_segment_window(to->depth))
        return TELLING_TAG;
    return from->next_tags != NULL ? TELLING_NEXT_TAG : TELLING_TRAILER;
}

/* The bit of a tag by which keys go to the lower or the upper half of a segment. */
static unsigned splitting_bit(const struct rd_segment *from)
{
    return RD_SLOT_START_SHIFT - 1 - (from->depth - rd_segment_window(from->depth));
}

/* Into the line of its key's home: to the very slot that is its home, or to the first free one behind. */
static void settle(atomic_uint_fast64_t *line, uint64_t slot)
{
    uint64_t at = slot >> RD_SLOT_START_SHIFT;
    while (atomic_load_explicit(&line[at], memory_order_relaxed) != 0)
        at = (at + 1) % RD_LINE_SLOTS;
    atomic_store_explicit(&line[at], slot, memory_order_relaxed);
}

/* Of a line's keys that are not displaced: bit i is slot i's. */
struct sorted {
    uint32_t keys;   /* all of them */
    uint32_t upper;  /* go to the upper segment */
    uint32_t others; /* are not in the very slot that is their home */
};

/* Puts those keys of a line that are not displaced, and in the very slot that is their home, into the same slots
 * of two lines, by one bit of their tags. These are most, and no branch depends on them. Leaves nothing of what
 * was in the two lines. */

#if RD_LINE_BY_VECTORS

static inline struct sorted sort_line(const atomic_uint_fast64_t *from, atomic_uint_fast64_t *const to[2],
                                      unsigned tag_bit)
{
    const __m128i nothing = _mm_setzero_si128();
    const __m128i displaced = _mm_set1_epi32(1 << (DISPLACED_BIT - 32));
    const __m128i goes_up = _mm_set1_epi32(1 << (tag_bit - 32));
    __m128i place = _mm_set_epi32(1, 1, 0, 0);
    uint32_t empty = 0;
    uint32_t upper = 0;
    uint32_t home = 0;
    for (unsigned i = 0; i < RD_LINE_SLOTS; i += 2) {
        __m128i slots = _mm_load_si128((const __m128i *)(const void *)&from[i]);
        __m128i tags = _mm_shuffle_epi32(slots, _MM_SHUFFLE(3, 3, 1, 1)); /* each half has its slot's upper half */
        __m128i stays = _mm_cmpeq_epi32(_mm_and_si128(tags, displaced), nothing);
        slots = _mm_and_si128(slots, stays);
        tags = _mm_and_si128(tags, stays);
        __m128i down = _mm_cmpeq_epi32(_mm_and_si128(tags, goes_up), nothing);
        __m128i at_home = _mm_cmpeq_epi32(_mm_srli_epi32(tags, RD_SLOT_START_SHIFT - 32), place);
        __m128i kept = _mm_and_si128(slots, at_home);
        _mm_store_si128((__m128i *)(void *)&to[0][i], _mm_and_si128(down, kept));
        _mm_store_si128((__m128i *)(void *)&to[1][i], _mm_andnot_si128(down, kept));
        empty |= (uint32_t)_mm_movemask_pd(_mm_castsi128_pd(_mm_cmpeq_epi32(tags, nothing))) << i;
        upper |= (uint32_t)_mm_movemask_pd(_mm_castsi128_pd(down)) << i;
        home |= (uint32_t)_mm_movemask_pd(_mm_castsi128_pd(at_home)) << i;
        place = _mm_add_epi32(place, _mm_set1_epi32(2));
    }
    return (struct sorted){.keys = ~empty & 0xff, .upper = ~upper & 0xff, .others = ~(empty | home) & 0xff};
}

#else

/* All ones where that bit of the slot is set, else 0. */
static inline uint64_t mask_of_bit(uint64_t slot, unsigned bit)
{
    return -(slot >> bit & 1);
}

static inline struct sorted sort_line(const atomic_uint_fast64_t *from, atomic_uint_fast64_t *const to[2],
                                      unsigned tag_bit)
{
    struct sorted sorted = {0};
    for (unsigned i = 0; i < RD_LINE_SLOTS; i++) {
        uint64_t slot = atomic_load_explicit(&from[i], memory_order_relaxed);
        slot &= ~mask_of_bit(slot, DISPLACED_BIT); /* makes deleted ones empty, too */
        uint64_t up = mask_of_bit(slot, tag_bit);
        uint64_t at_home = -(uint64_t)(slot >> RD_SLOT_START_SHIFT == i);
        atomic_store_explicit(&to[0][i], slot & at_home & ~up, memory_order_relaxed);
        atomic_store_explicit(&to[1][i], slot & at_home & up, memory_order_relaxed);
        sorted.keys |= (uint32_t)(slot != 0) << i;
        sorted.upper |= (uint32_t)(up & 1) << i;
        sorted.others |= (uint32_t)(slot != 0) << i & (uint32_t)~at_home;
    }
    return sorted;
}

#endif

/* How many of the bits of each byte are set. */
static inline uint32_t count_by_bytes(uint32_t bytes)
{
    bytes -= bytes >> 1 & UINT32_C(0x55555555);
    bytes = (bytes & UINT32_C(0x33333333)) + (bytes >> 2 & UINT32_C(0x33333333));
    return (bytes + (bytes >> 4)) & UINT32_C(0x0f0f0f0f);
}

/* The others come behind those in their homes. Returns in the lowest byte how many keys there were, in the next
 * one how many of these went up. */
static uint32_t move_line(const atomic_uint_fast64_t *from, atomic_uint_fast64_t *const to[2], unsigned tag_bit)
{
    struct sorted sorted = sort_line(from, to, tag_bit);
    for (uint32_t others = sorted.others; others != 0; others &= others - 1) {
        uint64_t slot = atomic_load_explicit(&from[__builtin_ctz(others)], memory_order_relaxed);
        settle(to[slot >> tag_bit & 1], slot);
    }
    return count_by_bytes(sorted.keys | sorted.upper << 8);
}

/* All that are not displaced, by their tags. Leaves nothing of what was in the new slots. */
static void move_by_tags(const struct rd_segment *from, struct rd_segment *lower, struct rd_segment *upper)
{
    alignas(64) atomic_uint_fast64_t nowhere[RD_LINE_SLOTS];
    uint32_t key_count = 0;
    uint32_t upper_count = 0;
    unsigned tag_bit = upper == NULL ? DISPLACED_BIT /* 0 in all that move */ : splitting_bit(from);
    for (uint32_t line = 0; line <= rd_segment_slot_mask(from); line += RD_LINE_SLOTS) {
        atomic_uint_fast64_t *to[2] = {&lower->slots[line], upper == NULL ? nowhere : &upper->slots[line]};
        uint32_t counts = move_line(&from->slots[line], to, tag_bit);
        key_count += counts & 0xff;
        upper_count += counts >> 8;
    }
    lower->used += key_count - upper_count;
    if (upper != NULL)
        upper->used += upper_count;
}

/* Of a line's keys that are not displaced and whose next tags were foreseen: those in the very slot that is their
 * home, which come first, or the others. */
static void move_foreseen(const struct rd_segment *from, struct rd_segment *const to[2], uint32_t line,
                          bool at_home)
{
    unsigned tag_bit = splitting_bit(from);
    for (uint32_t i = line; i < line + RD_LINE_SLOTS; i++) {
        uint64_t slot = atomic_load_explicit(&from->slots[i], memory_order_relaxed);
        bool moves = from->next_tags[i] != 0 && (slot & RD_SLOT_DISPLACED) == 0;
        if (!moves || (slot >> RD_SLOT_START_SHIFT == i % RD_LINE_SLOTS) != at_home)
            continue;
        struct rd_segment *half = to[slot >> tag_bit & 1];
        settle(&half->slots[line], (uint64_t)from->next_tags[i] << RD_SLOT_TAG_SHIFT | rd_slot_offset(slot));
        half->used++;
    }
}

static void move_by_next_tags(const struct rd_segment *from, struct rd_segment *const to[2])
{
    for (uint32_t line = 0; line <= rd_segment_slot_mask(from); line += RD_LINE_SLOTS) {
        move_foreseen(from, to, line, true);
        move_foreseen(from, to, line, false);
    }
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

/* The home of a displaced key, which is in one of the lines before its own: in the very one before, where that
 * next to it has an empty slot, as it has had at all times. False: it may be in another one. */
static bool tell_home(const struct rd_segment *from, uint32_t at, uint64_t slot, uint32_t *ret_home)
{
    uint32_t mask = rd_segment_slot_mask(from);
    uint32_t line_before = (rd_line_of(at) - RD_LINE_SLOTS) & mask;
    uint32_t next_to_it = (line_before - RD_LINE_SLOTS) & mask;
    *ret_home = line_before + (uint32_t)(slot >> RD_SLOT_START_SHIFT);
    return rd_line_look(&from->slots[next_to_it], slot) >> RD_LINE_SLOTS != 0;
}

/* What was not moved line by line. tag: as it is where the key goes; 0: only its trailer tells. */
static void move_otherwise(const struct rd_segment *from, struct by_trailer *keys, uint32_t at, uint64_t slot,
                           uint64_t tag)
{
    uint32_t home;
    if (tag == 0 || !tell_home(from, at, slot, &home)) {
        push_by_trailer(keys, rd_slot_offset(slot));
        return;
    }
    const struct rd_segment *half = keys->to[slot >> splitting_bit(from) & 1];
    rd_segment_add(rd_located_of(rd_segment_word(half)), home, tag, rd_slot_offset(slot));
}

static void move_displaced(const struct rd_segment *from, struct by_trailer *keys)
{
    for (uint32_t line = 0; line <= rd_segment_slot_mask(from); line += RD_LINE_SLOTS)
        for (uint32_t away = rd_line_away(&from->slots[line]); away != 0; away &= away - 1) {
            uint32_t at = line + (uint32_t)__builtin_ctz(away);
            uint64_t slot = atomic_load_explicit(&from->slots[at], memory_order_relaxed);
            move_otherwise(from, keys, at, slot, slot & ~(RD_SLOT_OFFSET_MASK | RD_SLOT_DISPLACED));
        }
}

static void move_others(const struct rd_segment *from, struct by_trailer *keys, enum telling telling)
{
    for (uint32_t i = 0; i <= rd_segment_slot_mask(from); i++) {
        uint64_t slot = atomic_load_explicit(&from->slots[i], memory_order_relaxed);
        uint16_t next_tag = telling == TELLING_NEXT_TAG ? from->next_tags[i] : 0;
        bool is_moved = next_tag != 0 && (slot & RD_SLOT_DISPLACED) == 0;
        if (!is_moved && rd_slot_offset(slot) != 0)
            move_otherwise(from, keys, i, slot, (uint64_t)next_tag << RD_SLOT_TAG_SHIFT);
    }
}

static void clear(struct rd_segment *segment)
{
    if (segment != NULL)
        memset((void *)segment->slots, 0, sizeof segment->slots[0] << segment->slot_bits);
}

void rd_segment_move(const struct rd_segment *from, struct rd_segment *lower, struct rd_segment *upper,
                     const uint8_t *file, uint64_t seed)
{
    struct by_trailer keys = {
        .to = {lower, upper == NULL ? lower : upper}, .depth = from->depth, .file = file, .seed = seed};
    enum telling telling = what_tells(from, lower);
    if (telling == TELLING_TAG) {
        move_by_tags(from, lower, upper);
        move_displaced(from, &keys);
    } else {
        clear(lower);
        clear(upper);
        if (telling == TELLING_NEXT_TAG)
            move_by_next_tags(from, keys.to);
        move_others(from, &keys, telling);
    }
    for (unsigned i = 0; i < AHEAD; i++)
        push_by_trailer(&keys, 0);
}

/* ---- what a split needs, ahead of it ------------------------------------------------------------------- */

static uint64_t offset_at(const struct rd_segment *segment, uint32_t at)
{
    return rd_slot_offset(atomic_load_explicit(&segment->slots[at], memory_order_relaxed));
}

/* Of a trailer that is not that of the slot's key nothing is noted. */
static void foresee_slot(struct rd_segment *segment, uint32_t at, const uint8_t *file, uint64_t seed)
{
    uint64_t slot = atomic_load_explicit(&segment->slots[at], memory_order_relaxed);
    if (rd_slot_offset(slot) == 0)
        return;
    struct rd_located in = rd_located_of(rd_segment_word(segment));
    struct rd_located next = in;
    next.window = rd_segment_window(segment->depth + 1);
    uint64_t mixed = rd_mix(seed, rd_load_u64le(file + rd_slot_offset(slot)));
    if (rd_slot_has_tag(slot, rd_tag_of(in, mixed)))
        segment->next_tags[at] = (uint16_t)(rd_tag_of(next, mixed) >> RD_SLOT_TAG_SHIFT);
}

bool rd_segment_foresee(struct rd_segment *segment, const uint8_t *file, uint64_t seed)
{
    if (segment->foreseen == RD_SEGMENT_SLOTS_USUAL)
        return false;
    uint32_t end = segment->foreseen + FORESEEN_SLOTS;
    for (uint32_t i = segment->foreseen; i < end; i++)
        __builtin_prefetch(file + offset_at(segment, i));
    for (uint32_t i = segment->foreseen; i < end; i++)
        foresee_slot(segment, i, file, seed);
    segment->foreseen = (uint16_t)end;
    return true;
}
