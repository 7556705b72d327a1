/* SPDX-License-Identifier: MIT
 *
 * index.h - from key hash to the live entry's trailer. One writer, any number of readers without locks.
 *
 * Extendible hashing (Fagin et al., 1979): a directory chosen by the top bits of the mixed hash points to segments
 * of at most 4,096 slots (segment.h). A segment that fills up is split alone, so growing never stops the world and
 * never needs twice the memory.
 *
 * The full hash is not kept: it is compared in the trailer, which a read touches anyway. So calls take the map.
 *
 * A trailer may be damaged after its slot was made. Where the hash that a trailer carries could not have led to
 * its slot, the slot is a stray: whoever looks for a key and finds no other slot than a stray with the key's tag
 * gets that one, and sees by the trailer's hash that it is damaged.
 */
#ifndef RD_ENGINE_INDEX_H
#define RD_ENGINE_INDEX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/endian.h"
#include "base/status.h"
#include "engine/epoch.h"
#include "engine/mapping.h"
#include "engine/segment.h"
#include "engine/slab.h"

struct rd_index_directory {
    struct rd_retired retired;
    uint32_t depth;
    uint32_t shift;              /* 63 - depth */
    atomic_uintptr_t segments[]; /* by the top `depth` bits: words as in segment.h */
};

/* Stays where it was made: its memory leads back to it. */
struct rd_index {
    _Atomic(struct rd_index_directory *) directory; /* written by the writer */
    struct rd_epoch *epoch;                         /* borrows; guards what readers may hold */
    struct rd_slab slab;                            /* writer; of segments of the usual size */
    struct rd_index_tags *free_tags;                /* writer: pieces of the slab's blocks, for next tags */
    uint64_t seed;                                  /* constant */
    uint64_t random;                                /* writer: by which segments grow at different times */
    uint32_t round;             /* writer: numbers the passes of reservations; once it wraps, a segment may take
                                 * promises of long ago for new ones, and grows a little early */
    atomic_uint_fast64_t count; /* live keys; written by the writer */
    atomic_uint_fast64_t bytes; /* memory of segments and directory; written by the writer */
};

/* expected_count: keys to make room for at once; 0 is fine. */
enum rd_status rd_index_init(struct rd_index *index, struct rd_epoch *epoch,
                             uint64_t expected_count) RD_MUST_CHECK;

/* No reader may be inside, and nothing that it has retired may be left in the epoch. Fine on a zeroed index. */
void rd_index_deinit(struct rd_index *index);

/* ---- looking, readers inside the epoch and the writer; inline, since a read is little else ---- */

static inline uintptr_t rd_index_word(const struct rd_index *index, uint64_t mixed)
{
    struct rd_index_directory *directory = atomic_load_explicit(&index->directory, memory_order_seq_cst);
    return atomic_load_explicit(&directory->segments[mixed >> 1 >> directory->shift], memory_order_seq_cst);
}

static inline struct rd_located rd_index_locate(const struct rd_index *index, uint64_t mixed)
{
    return rd_located_of(rd_index_word(index, mixed));
}

/* Returns the trailer's offset, 0 where the key is not there; a stray's, whose trailer carries another hash. The
 * map is loaded after the slot has been, so that it covers what the slot names. */
uint64_t rd_index_find_past_others(const struct rd_index *index, _Atomic(struct rd_mapping *) *mapping,
                                   uint64_t key_hash);

RD_ALWAYS_INLINE uint64_t rd_index_find(const struct rd_index *index, _Atomic(struct rd_mapping *) *mapping,
                                        uint64_t key_hash)
{
    uint64_t mixed = rd_mix(index->seed, key_hash);
    struct rd_located in = rd_index_locate(index, mixed);
    uint64_t tag = rd_tag_of(in, mixed);
    uint32_t home = rd_home_of(in, mixed);
    uint64_t slot = atomic_load_explicit(&in.slots[home], memory_order_acquire);
    if (!rd_slot_has_tag(slot, tag)) { /* three quarters of all keys are in their very slot */
        slot = rd_segment_seek(in, home, tag);
        if (slot == 0)
            return 0;
    }
    const uint8_t *file = atomic_load_explicit(mapping, memory_order_seq_cst)->base;
    if (RD_LIKELY(rd_load_u64le(file + rd_slot_offset(slot)) == key_hash))
        return rd_slot_offset(slot);
    return rd_index_find_past_others(index, mapping, key_hash);
}

/* Where a key is looked for first, for looking at many keys: each step may wait for memory, and the waits of many
 * keys overlap. Valid inside one epoch. */
struct rd_index_spot {
    struct rd_located in;
    uint64_t tag;
    uint32_t home;
};

/* Pulls the slots towards the cache. Returns the key's hash as rd_mix makes it of the index's seed. */
RD_ALWAYS_INLINE uint64_t rd_index_approach(const struct rd_index *index, uint64_t key_hash,
                                            struct rd_index_spot *ret_spot)
{
    uint64_t mixed = rd_mix(index->seed, key_hash);
    struct rd_located in = rd_index_locate(index, mixed);
    ret_spot->in = in;
    ret_spot->tag = rd_tag_of(in, mixed);
    ret_spot->home = rd_home_of(in, mixed);
    __builtin_prefetch((void *)&in.slots[ret_spot->home]);
    return mixed;
}

/* The first trailer with the key's tag, which is nearly always the key's; 0: the key is not there. */
RD_ALWAYS_INLINE uint64_t rd_index_guess_at(const struct rd_index_spot *spot)
{
    return rd_slot_offset(rd_segment_seek(spot->in, spot->home, spot->tag));
}

/* Whether the key's live entry is the one with this trailer. The map is not looked at, and the tag must be the
 * key's: the trailer may be damaged, and the key none that was ever written. */
RD_ALWAYS_INLINE bool rd_index_holds_at(const struct rd_index_spot *spot, uint64_t trailer_offset)
{
    for (uint32_t line = rd_line_of(spot->home);; line = rd_line_behind(spot->in, line)) {
        uint32_t naming = rd_line_naming(&spot->in.slots[line], trailer_offset);
        if (RD_LIKELY(naming != 0)) {
            const atomic_uint_fast64_t *slot = &spot->in.slots[line + (uint32_t)__builtin_ctz(naming)];
            return rd_slot_has_tag(atomic_load_explicit(slot, memory_order_acquire), spot->tag);
        }
        if (RD_LIKELY(rd_line_look(&spot->in.slots[line], spot->tag) > RD_LINE_TAGGED))
            return false;
    }
}

/* The same by the key alone. */
static inline void rd_index_prefetch(const struct rd_index *index, uint64_t key_hash)
{
    struct rd_index_spot spot;
    rd_index_approach(index, key_hash, &spot);
}

static inline uint64_t rd_index_guess(const struct rd_index *index, uint64_t key_hash)
{
    struct rd_index_spot spot;
    rd_index_approach(index, key_hash, &spot);
    return rd_index_guess_at(&spot);
}

/* All trailers with the key's tag, which rd_index_find may look at. Returns how many there are; beyond `max` they
 * are only counted. Inside the epoch. */
size_t rd_index_guesses(const struct rd_index *index, uint64_t key_hash, uint64_t *ret_offsets, size_t max);

static inline bool rd_index_holds(const struct rd_index *index, uint64_t key_hash, uint64_t trailer_offset)
{
    struct rd_index_spot spot;
    rd_index_approach(index, key_hash, &spot);
    return rd_index_holds_at(&spot, trailer_offset);
}

/* ---- the writer alone ---- */

/* Making room, before anything is appended: rd_index_begin, then rd_index_promise for each key that is to be
 * added. Where one is refused, the index must grow: rd_index_reserve for each of these. Where that could not keep
 * count of what was promised before, it says so in *ret_lost, and all begins anew, with rd_index_reserve for every
 * key, until a pass keeps count. From then on as many keys can be added without memory. */
void rd_index_begin(struct rd_index *index);

RD_ALWAYS_INLINE bool rd_index_promise(const struct rd_index *index, const struct rd_index_spot *spot)
{
    return rd_segment_promise(rd_segment_with(spot->in), index->round);
}

enum rd_status rd_index_reserve(struct rd_index *index, const uint8_t *file, uint64_t key_hash,
                                bool *ret_lost) RD_MUST_CHECK;

/* As rd_index_find, without an epoch. A stray counts as the key's: putting and removing take it as well. */
uint64_t rd_index_lookup(const struct rd_index *index, const uint8_t *file, uint64_t key_hash);

/* Where the first slot of the key's own line that has its tag leads to, and that slot; 0: there is none. look: at
 * that line. */
RD_ALWAYS_INLINE uint64_t rd_index_tagged_by(const struct rd_index_spot *spot, uint32_t look, uint64_t *ret_place)
{
    if (RD_UNLIKELY((look & RD_LINE_TAGGED) == 0))
        return 0;
    uint32_t at = rd_line_of(spot->home) + (uint32_t)__builtin_ctz(look);
    *ret_place = rd_segment_place(spot->in, at, spot->tag);
    return rd_slot_offset(atomic_load_explicit(&spot->in.slots[at], memory_order_relaxed));
}

RD_ALWAYS_INLINE uint64_t rd_index_tagged_at(const struct rd_index_spot *spot, uint64_t *ret_place)
{
    return rd_index_tagged_by(spot, rd_line_look(&spot->in.slots[rd_line_of(spot->home)], spot->tag), ret_place);
}

/* The same from where rd_index_approach has led, if the index has not grown since. *ret_place: the slot that the
 * key has, or an empty one where it would go (segment.h); 0: neither was come across. */
RD_ALWAYS_INLINE uint64_t rd_index_lookup_at(const struct rd_index *index, const uint8_t *file,
                                             const struct rd_index_spot *spot, uint64_t key_hash,
                                             uint64_t *ret_place)
{
    uint32_t line = rd_line_of(spot->home);
    uint32_t look = rd_line_look(&spot->in.slots[line], spot->tag);
    uint32_t empty = look >> RD_LINE_SLOTS;
    if (RD_LIKELY(look == empty << RD_LINE_SLOTS && empty != 0)) {
        *ret_place =
            rd_segment_place(spot->in, line + rd_line_first(empty, spot->home % RD_LINE_SLOTS), spot->tag);
        return 0;
    }
    uint64_t offset = rd_index_tagged_by(spot, look, ret_place);
    if (RD_LIKELY(offset != 0 && rd_load_u64le(file + offset) == key_hash))
        return offset;
    *ret_place = 0;
    return rd_index_lookup(index, file, key_hash);
}

/* Points key_hash at a new trailer; room must have been reserved. Returns the old trailer's offset or 0. */
uint64_t rd_index_put(struct rd_index *index, const uint8_t *file, uint64_t key_hash, uint64_t trailer_offset);

/* The same for a key that is known to be there. place: as of rd_index_add. */
RD_ALWAYS_INLINE uint64_t rd_index_replace(struct rd_index *index, const uint8_t *file, uint64_t key_hash,
                                           uint64_t place, uint64_t trailer_offset)
{
    uint64_t old = rd_segment_exchange(place, trailer_offset);
    return RD_LIKELY(old != 0) ? old : rd_index_put(index, file, key_hash, trailer_offset);
}

/* The same for a key that is known not to be there. place: rd_index_lookup_at's, if nothing was collected since,
 * or 0. */
RD_ALWAYS_INLINE void rd_index_add(struct rd_index *index, uint64_t key_hash, uint64_t place,
                                   uint64_t trailer_offset)
{
    if (RD_UNLIKELY(!rd_segment_take(place, trailer_offset))) {
        struct rd_index_spot spot;
        rd_index_approach(index, key_hash, &spot);
        rd_segment_add(spot.in, spot.home, spot.tag, trailer_offset);
    }
    atomic_store_explicit(&index->count, atomic_load_explicit(&index->count, memory_order_relaxed) + 1,
                          memory_order_relaxed); /* one thread writes it: no locked instruction is needed */
}

/* Pulls what rd_index_add or rd_index_put will touch towards the cache. */
RD_ALWAYS_INLINE void rd_index_prefetch_place(const struct rd_index *index, uint64_t key_hash, uint64_t place)
{
    if (RD_LIKELY(place != 0))
        __builtin_prefetch((void *)rd_slot_at(place));
    else
        rd_index_prefetch(index, key_hash);
}

/* Returns the trailer's offset that was there, or 0. */
uint64_t rd_index_remove(struct rd_index *index, const uint8_t *file, uint64_t key_hash);

/* ---- as an image, which checkpoint.c keeps in a file: the writer, while nobody else looks ---- */

/* A segment. */
struct rd_index_part {
    uint32_t depth;     /* so many top bits all of its keys share */
    uint32_t slot_bits; /* 2^slot_bits slots, */
    void *slots;        /* of 8 bytes each; borrows */
};

uint32_t rd_index_depth(const struct rd_index *index);

/* The segment at place *at of the directory, 0 at first; moves *at on. False: there are no more. */
bool rd_index_next_part(const struct rd_index *index, size_t *at, struct rd_index_part *ret_part);

/* Makes an index that has no segments yet: they are all to be added, in the order that rd_index_next_part gave
 * them, before it is used for anything but rd_index_deinit. */
enum rd_status rd_index_restore(struct rd_index *index, struct rd_epoch *epoch, uint64_t seed,
                                uint32_t depth) RD_MUST_CHECK;

/* Adds one: `fill` writes the len bytes of its slots to where they stay. RD_CORRUPT: fill has failed, or what it
 * wrote cannot be the next segment of an index on a file of file_len bytes. */
typedef bool rd_index_fill_fn(void *context, void *slots, size_t len);
enum rd_status rd_index_restore_part(struct rd_index *index, size_t *at, struct rd_index_part part,
                                     uint64_t file_len, rd_index_fill_fn *fill, void *context) RD_MUST_CHECK;

/* Whether all segments are there, and slots spread over all of them lead to trailers that lead back: at most
 * `samples` of these are looked at. A single one that does not is passed over where its segment's next one does.
 */
bool rd_index_restored(struct rd_index *index, size_t at, const uint8_t *file, unsigned samples);

#endif
