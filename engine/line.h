/* SPDX-License-Identifier: MIT
 *
 * line.h - a cache line of the index: eight slots of 8 bytes, each naming the trailer of a live entry, looked at
 * all at once.
 *
 *    63   61 60        49 48          47                    0
 *   | start | more hash | displaced |  trailer's offset     |
 *
 *   all 0: empty
 *   offset and tag 0, displaced: deleted
 *
 * `start` and `more hash` are the tag, never 0, which tells keys apart before their trailers are looked at;
 * `start` is the number of the slot in the line that the key is put into first, where that is free.
 *
 * One look answers for a line as a whole, so what comes next hardly ever depends on which slot it was: a processor
 * that has guessed a branch wrong goes on to no other look, and its miss, before this one's line has come. (The
 * same in another shape: N. Bronson, X. Shi, "Open-sourcing F14", 2019.)
 *
 * Readers take no lock; the writer alone changes slots, each by one store of 8 bytes. A look loads pieces of 16
 * bytes, of which the processor loads each half at once; what it found in a slot is then loaded again, as an
 * atomic.
 */
#ifndef RD_ENGINE_LINE_H
#define RD_ENGINE_LINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

#if defined(__SSE2__) && !defined(RD_THREAD_SANITIZER)
#include <emmintrin.h>
#define RD_LINE_BY_VECTORS 1
#else
#define RD_LINE_BY_VECTORS 0
#endif

#define RD_LINE_SLOTS 8u

#define RD_SLOT_OFFSET_MASK     ((UINT64_C(1) << 48) - 1)
#define RD_SLOT_DISPLACED_SHIFT 48u
#define RD_SLOT_DISPLACED       (UINT64_C(1) << RD_SLOT_DISPLACED_SHIFT) /* alone: deleted */
#define RD_SLOT_TAG_SHIFT       49u
#define RD_SLOT_START_SHIFT     61u
#define RD_SLOT_HASH_MASK       (UINT64_C(0xfff) << RD_SLOT_TAG_SHIFT)

#define RD_LINE_TAGGED ((UINT32_C(1) << RD_LINE_SLOTS) - 1) /* of what rd_line_look returns */

static inline uint64_t rd_slot_offset(uint64_t slot)
{
    return slot & RD_SLOT_OFFSET_MASK;
}

static inline bool rd_slot_has_tag(uint64_t slot, uint64_t tag)
{
    return (slot ^ tag) >> RD_SLOT_TAG_SHIFT == 0;
}

/* `line` lies on a boundary of 64 bytes. Bit i of what these return is slot i's:
 *
 *   rd_line_look     it has the tag; and bit i + 8: it is empty
 *   rd_line_free     it is empty or deleted
 *   rd_line_naming   it names the trailer at this offset
 *   rd_line_away     it names one, and is displaced
 *
 * What names a trailer has a tag: so the upper halves tell what is empty and what is free. */

#if RD_LINE_BY_VECTORS

RD_ALWAYS_INLINE __m128i rd_line_pick(__m128i first, __m128i second, const int odd)
{
    __m128 a = _mm_castsi128_ps(first);
    __m128 b = _mm_castsi128_ps(second);
    return _mm_castps_si128(odd ? _mm_shuffle_ps(a, b, _MM_SHUFFLE(3, 1, 3, 1))
                                : _mm_shuffle_ps(a, b, _MM_SHUFFLE(2, 0, 2, 0)));
}

/* The upper or the lower halves of the slots, four to a vector. */
RD_ALWAYS_INLINE void rd_line_load(const atomic_uint_fast64_t *line, const int upper, __m128i ret_halves[2])
{
    const __m128i *from = (const __m128i *)(const void *)line;
    for (int i = 0; i < 2; i++)
        ret_halves[i] = rd_line_pick(_mm_load_si128(&from[2 * i]), _mm_load_si128(&from[2 * i + 1]), upper);
    atomic_signal_fence(memory_order_acquire); /* the processor keeps the order of loads; the compiler must, too */
}

/* Of lanes that are all ones or all zeros: eight words. */
RD_ALWAYS_INLINE __m128i rd_line_words(const __m128i lanes[2])
{
    return _mm_packs_epi32(lanes[0], lanes[1]);
}

RD_ALWAYS_INLINE uint32_t rd_line_bits(__m128i first, __m128i second)
{
    return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(first, second));
}

RD_ALWAYS_INLINE uint32_t rd_line_look(const atomic_uint_fast64_t *line, uint64_t tag)
{
    __m128i upper[2];
    __m128i tagged[2];
    __m128i empty[2];
    rd_line_load(line, 1, upper);
    __m128i wanted = _mm_set1_epi32((int)(tag >> RD_SLOT_TAG_SHIFT));
    for (int i = 0; i < 2; i++) {
        tagged[i] = _mm_cmpeq_epi32(_mm_srli_epi32(upper[i], RD_SLOT_TAG_SHIFT - 32), wanted);
        empty[i] = _mm_cmpeq_epi32(_mm_srli_epi32(upper[i], RD_SLOT_DISPLACED_SHIFT - 32), _mm_setzero_si128());
    }
    return rd_line_bits(rd_line_words(tagged), rd_line_words(empty));
}

RD_ALWAYS_INLINE uint32_t rd_line_free(const atomic_uint_fast64_t *line)
{
    __m128i upper[2];
    rd_line_load(line, 1, upper);
    for (int i = 0; i < 2; i++)
        upper[i] = _mm_cmpeq_epi32(_mm_srli_epi32(upper[i], RD_SLOT_TAG_SHIFT - 32), _mm_setzero_si128());
    return rd_line_bits(rd_line_words(upper), _mm_setzero_si128());
}

RD_ALWAYS_INLINE uint32_t rd_line_naming(const atomic_uint_fast64_t *line, uint64_t offset)
{
    __m128i halves[2];
    __m128i lower[2];
    rd_line_load(line, 1, halves);
    rd_line_load(line, 0, lower);
    __m128i wanted_lower = _mm_set1_epi32((int)(uint32_t)offset);
    __m128i wanted_upper = _mm_set1_epi32((int)(offset >> 32 << 16)); /* what is above an offset is shifted out */
    for (int i = 0; i < 2; i++)
        halves[i] = _mm_and_si128(_mm_cmpeq_epi32(_mm_slli_epi32(halves[i], 16), wanted_upper),
                                  _mm_cmpeq_epi32(lower[i], wanted_lower));
    return rd_line_bits(rd_line_words(halves), _mm_setzero_si128());
}

RD_ALWAYS_INLINE uint32_t rd_line_away(const atomic_uint_fast64_t *line)
{
    __m128i upper[2];
    rd_line_load(line, 1, upper);
    const __m128i displaced = _mm_set1_epi32(1);
    for (int i = 0; i < 2; i++) {
        __m128i above = _mm_srli_epi32(upper[i], RD_SLOT_DISPLACED_SHIFT - 32);
        __m128i marked = _mm_cmpeq_epi32(_mm_and_si128(above, displaced), displaced);
        upper[i] = _mm_andnot_si128(_mm_cmpeq_epi32(above, displaced), marked);
    }
    return rd_line_bits(rd_line_words(upper), _mm_setzero_si128());
}

#else

#define RD_LINE_COLLECT(line, condition)                                                                          \
    uint32_t bits = 0;                                                                                            \
    for (uint32_t i = 0; i < RD_LINE_SLOTS; i++) {                                                                \
        uint64_t slot = atomic_load_explicit(&(line)[i], memory_order_acquire);                                   \
        bits |= (uint32_t)(condition) << i;                                                                       \
    }                                                                                                             \
    return bits

RD_ALWAYS_INLINE uint32_t rd_line_look(const atomic_uint_fast64_t *line, uint64_t tag)
{
    RD_LINE_COLLECT(line, rd_slot_has_tag(slot, tag) | (slot == 0) << RD_LINE_SLOTS);
}

RD_ALWAYS_INLINE uint32_t rd_line_free(const atomic_uint_fast64_t *line)
{
    RD_LINE_COLLECT(line, rd_slot_offset(slot) == 0);
}

RD_ALWAYS_INLINE uint32_t rd_line_naming(const atomic_uint_fast64_t *line, uint64_t offset)
{
    RD_LINE_COLLECT(line, rd_slot_offset(slot) == offset);
}

RD_ALWAYS_INLINE uint32_t rd_line_away(const atomic_uint_fast64_t *line)
{
    RD_LINE_COLLECT(line, (slot & RD_SLOT_DISPLACED) != 0 && slot != RD_SLOT_DISPLACED);
}

#endif

#endif
