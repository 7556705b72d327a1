/* SPDX-License-Identifier: MIT
 *
 * Invariants, beside those of segment.c
 *  1. Segments and directories are replaced, never changed in shape; the old one is retired through the epoch.
 *  2. rd_index_put allocates nothing: room is made by rd_index_reserve, before anything is appended to the file.
 */
#include "engine/index.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "engine/mapping.h"
#include "engine/record.h"
#include "engine/segment.h"

#define SLOT_BITS_MAX (6u + RD_SEGMENT_SIZE_MAX)
#define FEW_PROMISED  64u /* in one segment */
#define STRAYS_MAX    1u  /* among the entries that are held against the file */

static uint64_t mix(const struct rd_index *index, uint64_t key_hash)
{
    return rd_mix(index->seed, key_hash);
}

static struct rd_segment *segment_of(const struct rd_index *index, uint64_t mixed)
{
    return rd_segment_with(rd_index_locate(index, mixed));
}

/* Whether a trailer with this hash cannot be the one that a slot of this segment with the key's tag was made for.
 * The directory is not asked: it may lead to newer segments by now. */
static bool is_stray(struct rd_located in, uint64_t mixed, uint64_t mixed_found)
{
    uint32_t depth = rd_segment_with(in)->depth;
    bool other_segment = depth != 0 && (mixed ^ mixed_found) >> (64 - depth) != 0;
    return other_segment || rd_tag_of(in, mixed_found) != rd_tag_of(in, mixed);
}

/* ---- memory ------------------------------------------------------------------------------------------- */

/* Of a segment that is not of the usual size, which the slab counts. */
static size_t other_bytes(uint64_t slot_count)
{
    return RD_SEGMENT_ALIGN + slot_count * sizeof(atomic_uint_fast64_t);
}

static size_t directory_bytes(uint32_t depth)
{
    return sizeof(struct rd_index_directory) + ((size_t)1 << depth) * sizeof(atomic_uintptr_t);
}

/* One thread writes the counter: no locked instruction is needed. */
static void count_bytes(struct rd_index *index, uint64_t more)
{
    atomic_store_explicit(&index->bytes, atomic_load_explicit(&index->bytes, memory_order_relaxed) + more,
                          memory_order_relaxed);
}

/* Segments fill up together, since hashes spread evenly. Each has a limit of its own, between one half and three
 * quarters of its slots, so that they do not all grow at once. */
static uint32_t choose_used_max(struct rd_index *index, uint64_t slot_count)
{
    index->random = index->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    uint64_t quarter = slot_count / 4;
    return (uint32_t)(2 * quarter + ((index->random >> 40) * (quarter + 1) >> 24));
}

/* A block of the slab. NULL: no memory. */
static void *take_block(struct rd_index *index)
{
    uint64_t bytes = index->slab.bytes;
    void *block = rd_slab_take(&index->slab);
    count_bytes(index, index->slab.bytes - bytes);
    return block;
}

/* The memory of one with slot_count slots: its header, which leads to them. */
static struct rd_segment *segment_memory(struct rd_index *index, uint64_t slot_count)
{
    if (slot_count == RD_SEGMENT_SLOTS_USUAL) {
        atomic_uint_fast64_t *slots = take_block(index);
        if (slots == NULL)
            return NULL;
        struct rd_segment *segment = rd_slab_side_of((void *)slots);
        *segment = (struct rd_segment){.slots = slots};
        return segment;
    }
    char *memory = aligned_alloc(RD_SEGMENT_ALIGN, other_bytes(slot_count));
    if (memory == NULL)
        return NULL;
    count_bytes(index, other_bytes(slot_count));
    struct rd_segment *segment = (struct rd_segment *)(void *)(memory + RD_SEGMENT_ALIGN) - 1;
    *segment = (struct rd_segment){.slots = (void *)(segment + 1)};
    return segment;
}

static void segment_free(struct rd_segment *segment)
{
    if (segment != NULL && segment->slot_bits == RD_SEGMENT_BITS_USUAL)
        rd_slab_give((void *)segment->slots);
    else if (segment != NULL)
        free((char *)(segment + 1) - RD_SEGMENT_ALIGN);
}

/* Room for the next tags of a segment of the usual size. Many segments need some at about the same time, and give
 * it back soon. It is neither asked of the system nor given back to it: either may wait until another processor
 * has forgotten a page, or until the machine under a virtual one has found one. */
struct rd_index_tags {
    struct rd_index_tags *next;
};

static void give_tags(struct rd_index *index, void *given)
{
    struct rd_index_tags *tags = given;
    if (tags == NULL)
        return;
    tags->next = index->free_tags;
    index->free_tags = tags;
}

/* All 0. NULL: no memory. */
static uint16_t *take_tags(struct rd_index *index)
{
    enum { LEN = RD_SEGMENT_SLOTS_USUAL * sizeof(uint16_t) };
    char *block = index->free_tags == NULL ? take_block(index) : NULL;
    for (size_t at = 0; block != NULL && at + LEN <= RD_SLAB_BLOCK_LEN; at += LEN)
        give_tags(index, block + at);
    struct rd_index_tags *tags = index->free_tags;
    if (tags == NULL)
        return NULL;
    index->free_tags = tags->next;
    return memset(tags, 0, LEN);
}

/* With slots that hold anything. */
static struct rd_segment *segment_allocate(struct rd_index *index, uint64_t slot_count, uint32_t depth)
{
    struct rd_segment *segment = segment_memory(index, slot_count);
    if (segment == NULL)
        return NULL;
    segment->slot_bits = (uint8_t)__builtin_ctzll(slot_count);
    segment->depth = (uint8_t)depth;
    segment->used_max = choose_used_max(index, slot_count);
    return segment;
}

static struct rd_segment *segment_create(struct rd_index *index, uint64_t slot_count, uint32_t depth)
{
    struct rd_segment *segment = segment_allocate(index, slot_count, depth);
    if (segment != NULL)
        memset((void *)segment->slots, 0, slot_count * sizeof(atomic_uint_fast64_t));
    return segment;
}

static bool segment_destroy(struct rd_retired *retired)
{
    segment_free((struct rd_segment *)((char *)retired - offsetof(struct rd_segment, retired)));
    return true;
}

static void segment_retire(struct rd_index *index, struct rd_segment *segment)
{
    uint64_t slot_count = (uint64_t)rd_segment_slot_mask(segment) + 1;
    give_tags(index, segment->next_tags);
    segment->next_tags = NULL;
    if (slot_count != RD_SEGMENT_SLOTS_USUAL)
        count_bytes(index, -other_bytes(slot_count));
    rd_epoch_retire(index->epoch, &segment->retired, segment_destroy);
}

static bool directory_destroy(struct rd_retired *retired)
{
    free((void *)((char *)retired - offsetof(struct rd_index_directory, retired)));
    return true;
}

static struct rd_index_directory *directory_create(struct rd_index *index, uint32_t depth)
{
    struct rd_index_directory *directory = malloc(directory_bytes(depth));
    if (directory == NULL)
        return NULL;
    directory->depth = depth;
    directory->shift = 63 - depth;
    for (size_t i = 0; i < (size_t)1 << depth; i++)
        atomic_init(&directory->segments[i], 0);
    count_bytes(index, directory_bytes(depth));
    return directory;
}

static uint64_t random_seed(void)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) == (ssize_t)sizeof seed)
        return seed;
    struct timespec now; /* early boot: any number will do, it is no secret that must hold for ever */
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_nsec << 32 ^ (uint64_t)now.tv_sec;
}

static void index_reset(struct rd_index *index, struct rd_epoch *epoch, uint64_t seed)
{
    atomic_init(&index->directory, NULL);
    atomic_init(&index->count, 0);
    atomic_init(&index->bytes, 0);
    index->epoch = epoch;
    index->seed = seed;
    index->random = seed;
    index->slab = (struct rd_slab){.free = NULL};
    index->free_tags = NULL;
    index->round = 1;
}

enum rd_status rd_index_init(struct rd_index *index, struct rd_epoch *epoch, uint64_t expected_count)
{
    uint64_t slot_count = RD_SEGMENT_SLOTS_MIN;
    uint32_t depth = 0;
    while (slot_count < RD_SEGMENT_SLOTS_USUAL && slot_count / 2 < expected_count)
        slot_count *= 2;
    while (depth < RD_SEGMENT_DEPTH_MAX && (slot_count << depth) / 10 * 6 < expected_count)
        depth++;
    index_reset(index, epoch, random_seed());
    rd_slab_expect(&index->slab, slot_count == RD_SEGMENT_SLOTS_USUAL ? UINT64_C(1) << depth : 0);
    struct rd_index_directory *directory = directory_create(index, depth);
    if (directory == NULL)
        return RD_NO_MEMORY;
    atomic_store_explicit(&index->directory, directory, memory_order_seq_cst);
    for (size_t i = 0; i < (size_t)1 << depth; i++) {
        struct rd_segment *segment = segment_create(index, slot_count, depth);
        if (segment == NULL) {
            rd_index_deinit(index);
            return RD_NO_MEMORY;
        }
        atomic_store_explicit(&directory->segments[i], rd_segment_word(segment), memory_order_seq_cst);
    }
    rd_slab_settle(&index->slab);
    return RD_OK;
}

void rd_index_deinit(struct rd_index *index)
{
    struct rd_index_directory *directory = atomic_load_explicit(&index->directory, memory_order_seq_cst);
    if (directory == NULL)
        return;
    uintptr_t last = 0; /* there is none yet, of one that is being restored */
    for (size_t i = 0; i < (size_t)1 << directory->depth; i++) {
        uintptr_t word = atomic_load_explicit(&directory->segments[i], memory_order_seq_cst);
        if (word == last)
            continue; /* a segment's places in the directory lie side by side */
        last = word;
        if (word != 0)
            segment_free(rd_segment_with(rd_located_of(word)));
    }
    free(directory);
    rd_slab_deinit(&index->slab);
    atomic_store_explicit(&index->directory, NULL, memory_order_seq_cst);
}

/* ---- looking ------------------------------------------------------------------------------------------ */

/* Where the first slot with the key's tag was another's, or a stray. */
uint64_t rd_index_find_past_others(const struct rd_index *index, _Atomic(struct rd_mapping *) *mapping,
                                   uint64_t key_hash)
{
    uint64_t mixed = mix(index, key_hash);
    struct rd_located in = rd_index_locate(index, mixed);
    uint64_t tag = rd_tag_of(in, mixed);
    uint64_t stray = 0;
    uint32_t line = rd_line_of(rd_home_of(in, mixed));
    for (;; line = rd_line_behind(in, line)) {
        uint32_t look = rd_line_look(&in.slots[line], tag);
        for (uint32_t tagged = look & RD_LINE_TAGGED; tagged != 0; tagged &= tagged - 1) {
            uint64_t slot =
                atomic_load_explicit(&in.slots[line + (uint32_t)__builtin_ctz(tagged)], memory_order_acquire);
            if (!rd_slot_has_tag(slot, tag))
                continue; /* removed just now */
            const uint8_t *file = atomic_load_explicit(mapping, memory_order_seq_cst)->base;
            uint64_t hash_found = rd_load_u64le(file + rd_slot_offset(slot));
            if (hash_found == key_hash)
                return rd_slot_offset(slot);
            if (is_stray(in, mixed, mix(index, hash_found)))
                stray = rd_slot_offset(slot);
        }
        if (look > RD_LINE_TAGGED)
            return stray;
    }
}

size_t rd_index_guesses(const struct rd_index *index, uint64_t key_hash, uint64_t *ret_offsets, size_t max)
{
    uint64_t mixed = mix(index, key_hash);
    struct rd_located in = rd_index_locate(index, mixed);
    uint64_t tag = rd_tag_of(in, mixed);
    uint32_t line = rd_line_of(rd_home_of(in, mixed));
    size_t count = 0;
    for (;; line = rd_line_behind(in, line)) {
        uint32_t look = rd_line_look(&in.slots[line], tag);
        for (uint32_t tagged = look & RD_LINE_TAGGED; tagged != 0; tagged &= tagged - 1, count++)
            if (count < max)
                ret_offsets[count] = rd_slot_offset(
                    atomic_load_explicit(&in.slots[line + (uint32_t)__builtin_ctz(tagged)], memory_order_acquire));
        if (look > RD_LINE_TAGGED)
            return count;
    }
}

/* ---- writing ------------------------------------------------------------------------------------------ */

/* One thread writes the counter: no locked instruction is needed. */
static void bump(atomic_uint_fast64_t *counter, uint64_t by)
{
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, now + by, memory_order_relaxed);
}

/* The writer's own probe. Finds the key's slot, or a stray that may have been it; NULL: there is none. */
static atomic_uint_fast64_t *writer_probe(const struct rd_index *index, const uint8_t *file,
                                          const struct rd_index_spot *spot, uint64_t key_hash)
{
    struct rd_located in = spot->in;
    uint64_t tag = spot->tag;
    atomic_uint_fast64_t *stray = NULL;
    uint32_t line = rd_line_of(spot->home);
    for (;; line = rd_line_behind(in, line)) {
        uint32_t look = rd_line_look(&in.slots[line], tag);
        for (uint32_t tagged = look & RD_LINE_TAGGED; tagged != 0; tagged &= tagged - 1) {
            atomic_uint_fast64_t *place = &in.slots[line + (uint32_t)__builtin_ctz(tagged)];
            uint64_t slot = atomic_load_explicit(place, memory_order_relaxed);
            uint64_t hash_found = rd_load_u64le(file + rd_slot_offset(slot));
            if (hash_found == key_hash)
                return place;
            if (is_stray(in, mix(index, key_hash), mix(index, hash_found)))
                stray = place;
        }
        if (look > RD_LINE_TAGGED)
            return stray;
    }
}

/* The segment's places in the directory: those whose top bits are the segment's. */
static void point_at(struct rd_index_directory *directory, uint64_t mixed, uint32_t depth,
                     struct rd_segment *segment)
{
    uint32_t free_bits = directory->depth - depth;
    size_t first = depth == 0 ? 0 : (size_t)(mixed >> (64 - depth)) << free_bits;
    for (size_t i = 0; i < (size_t)1 << free_bits; i++)
        atomic_store_explicit(&directory->segments[first + i], rd_segment_word(segment), memory_order_seq_cst);
}

static enum rd_status double_directory(struct rd_index *index)
{
    struct rd_index_directory *old = atomic_load_explicit(&index->directory, memory_order_relaxed);
    struct rd_index_directory *new = directory_create(index, old->depth + 1);
    if (new == NULL)
        return RD_NO_MEMORY;
    for (size_t i = 0; i < (size_t)1 << new->depth; i++) {
        uintptr_t word = atomic_load_explicit(&old->segments[i / 2], memory_order_relaxed);
        atomic_store_explicit(&new->segments[i], word, memory_order_relaxed);
    }
    atomic_store_explicit(&index->directory, new, memory_order_seq_cst);
    count_bytes(index, -directory_bytes(old->depth));
    rd_epoch_retire(index->epoch, &old->retired, directory_destroy);
    return RD_OK;
}

static void inherit_promises(const struct rd_segment *old, struct rd_segment *new)
{
    new->round = old->round;
    new->promised = old->promised > FEW_PROMISED ? 0 : old->promised;
}

/* Same keys, another table: without the deleted slots, and with slot_count slots. */
static enum rd_status rebuild(struct rd_index *index, const uint8_t *file, uint64_t mixed, struct rd_segment *old,
                              uint64_t slot_count)
{
    if (slot_count > (uint64_t)RD_SEGMENT_SLOTS_MIN << RD_SEGMENT_SIZE_MAX)
        return RD_NO_MEMORY;
    struct rd_segment *new = segment_allocate(index, slot_count, old->depth);
    if (new == NULL)
        return RD_NO_MEMORY;
    rd_segment_move(old, new, NULL, file, index->seed);
    inherit_promises(old, new);
    struct rd_index_directory *directory = atomic_load_explicit(&index->directory, memory_order_relaxed);
    point_at(directory, mixed, old->depth, new);
    segment_retire(index, old);
    return RD_OK;
}

static enum rd_status split(struct rd_index *index, const uint8_t *file, uint64_t mixed, struct rd_segment *old)
{
    struct rd_index_directory *directory = atomic_load_explicit(&index->directory, memory_order_relaxed);
    if (directory->depth == old->depth) {
        enum rd_status status = double_directory(index);
        if (status != RD_OK)
            return status;
        directory = atomic_load_explicit(&index->directory, memory_order_relaxed);
    }
    uint64_t slot_count = (uint64_t)rd_segment_slot_mask(old) + 1;
    struct rd_segment *lower = segment_allocate(index, slot_count, old->depth + 1);
    struct rd_segment *upper = segment_allocate(index, slot_count, old->depth + 1);
    if (lower == NULL || upper == NULL) {
        segment_free(lower);
        segment_free(upper);
        return RD_NO_MEMORY;
    }
    rd_segment_move(old, lower, upper, file, index->seed);
    inherit_promises(old, lower);
    inherit_promises(old, upper);
    uint64_t split_bit = UINT64_C(1) << (63 - old->depth);
    point_at(directory, mixed & ~split_bit, old->depth + 1, lower);
    point_at(directory, mixed | split_bit, old->depth + 1, upper);
    segment_retire(index, old);
    return RD_OK;
}

/* Before a split that gives all keys new tags. False: it is time for it. Room for one key more, whatever the limit
 * was: so a segment of an image that is beyond it already is foreseen bit by bit, too. */
static bool foresee(struct rd_index *index, const uint8_t *file, struct rd_segment *segment)
{
    uint32_t used_max = segment->used + segment->promised + 1;
    if (segment->slot_bits != RD_SEGMENT_BITS_USUAL || used_max >= RD_SEGMENT_SLOTS_USUAL / 8 * 7)
        return false;
    if (segment->next_tags == NULL)
        segment->next_tags = take_tags(index);
    if (segment->next_tags == NULL || !rd_segment_foresee(segment, file, index->seed))
        return false;
    segment->used_max = used_max;
    return true;
}

static enum rd_status grow(struct rd_index *index, const uint8_t *file, uint64_t mixed, struct rd_segment *segment)
{
    uint64_t slot_count = (uint64_t)rd_segment_slot_mask(segment) + 1;
    if (segment->used - segment->deleted + segment->promised <= segment->used_max / 4 * 3)
        return rebuild(index, file, mixed, segment, slot_count);
    if (slot_count < RD_SEGMENT_SLOTS_USUAL || segment->depth >= RD_SEGMENT_DEPTH_MAX)
        return rebuild(index, file, mixed, segment, slot_count * 2);
    if (rd_segment_leaves_window(segment->depth) && foresee(index, file, segment))
        return RD_OK;
    return split(index, file, mixed, segment);
}

void rd_index_begin(struct rd_index *index)
{
    index->round++;
}

/* What was promised in a segment that grows is promised in each part of it: more than is asked for, but few. Where
 * it is much, it is forgotten instead, and *ret_lost tells. Passes end, because the keys of a group are distinct
 * and each growth spreads them over more slots. */
enum rd_status rd_index_reserve(struct rd_index *index, const uint8_t *file, uint64_t key_hash, bool *ret_lost)
{
    uint64_t mixed = mix(index, key_hash);
    struct rd_segment *segment = segment_of(index, mixed);
    while (!rd_segment_promise(segment, index->round)) {
        uint32_t promised = segment->promised;
        enum rd_status status = grow(index, file, mixed, segment);
        if (status != RD_OK)
            return status;
        struct rd_segment *grown = segment_of(index, mixed);
        *ret_lost = *ret_lost || (grown != segment && promised > FEW_PROMISED);
        segment = grown;
    }
    return RD_OK;
}

uint64_t rd_index_lookup(const struct rd_index *index, const uint8_t *file, uint64_t key_hash)
{
    struct rd_index_spot spot;
    rd_index_approach(index, key_hash, &spot);
    atomic_uint_fast64_t *place = writer_probe(index, file, &spot, key_hash);
    return place == NULL ? 0 : rd_slot_offset(atomic_load_explicit(place, memory_order_relaxed));
}

uint64_t rd_index_put(struct rd_index *index, const uint8_t *file, uint64_t key_hash, uint64_t trailer_offset)
{
    struct rd_index_spot spot;
    rd_index_approach(index, key_hash, &spot);
    atomic_uint_fast64_t *place = writer_probe(index, file, &spot, key_hash);
    assert(trailer_offset != 0 && trailer_offset <= RD_SLOT_OFFSET_MASK);
    if (place == NULL) {
        rd_index_add(index, key_hash, 0, trailer_offset);
        return 0;
    }
    uint64_t old = atomic_load_explicit(place, memory_order_relaxed);
    bool at_home = rd_line_of(spot.home) == rd_line_of((uint32_t)(place - spot.in.slots));
    rd_segment_forget_tag(rd_segment_with(spot.in), place); /* it may have been a stray's */
    atomic_store_explicit(place, spot.tag | (at_home ? 0 : RD_SLOT_DISPLACED) | trailer_offset,
                          memory_order_release);
    return rd_slot_offset(old);
}

uint64_t rd_index_remove(struct rd_index *index, const uint8_t *file, uint64_t key_hash)
{
    struct rd_index_spot spot;
    rd_index_approach(index, key_hash, &spot);
    atomic_uint_fast64_t *place = writer_probe(index, file, &spot, key_hash);
    if (place == NULL)
        return 0;
    uint64_t old = atomic_load_explicit(place, memory_order_relaxed);
    atomic_store_explicit(place, RD_SLOT_DISPLACED, memory_order_release);
    rd_segment_forget_tag(rd_segment_with(spot.in), place);
    rd_segment_with(spot.in)->deleted++;
    bump(&index->count, UINT64_MAX);
    return rd_slot_offset(old);
}

/* ---- as an image -------------------------------------------------------------------------------------- */

uint32_t rd_index_depth(const struct rd_index *index)
{
    return atomic_load_explicit(&index->directory, memory_order_relaxed)->depth;
}

bool rd_index_next_part(const struct rd_index *index, size_t *at, struct rd_index_part *ret_part)
{
    struct rd_index_directory *directory = atomic_load_explicit(&index->directory, memory_order_relaxed);
    if (*at >= (size_t)1 << directory->depth)
        return false;
    struct rd_segment *segment =
        rd_segment_with(rd_located_of(atomic_load_explicit(&directory->segments[*at], memory_order_relaxed)));
    *ret_part = (struct rd_index_part){
        .depth = segment->depth, .slot_bits = segment->slot_bits, .slots = (void *)segment->slots};
    *at += (size_t)1 << (directory->depth - segment->depth);
    return true;
}

enum rd_status rd_index_restore(struct rd_index *index, struct rd_epoch *epoch, uint64_t seed, uint32_t depth)
{
    index_reset(index, epoch, seed);
    if (depth > RD_SEGMENT_DEPTH_MAX)
        return RD_CORRUPT;
    rd_slab_expect(&index->slab, UINT64_C(1) << depth >> 1); /* at least: not all segments are of that depth */
    struct rd_index_directory *directory = directory_create(index, depth);
    if (directory == NULL)
        return RD_NO_MEMORY;
    atomic_store_explicit(&index->directory, directory, memory_order_seq_cst);
    return RD_OK;
}

/* Counts what is in the slots. False: an offset or a tag is none, or there is no empty slot. */
static bool take_stock(struct rd_index *index, struct rd_segment *segment, uint64_t file_len)
{
    uint64_t highest = 0;
    uint32_t used = 0;
    uint32_t live = 0;
    bool good = true;
    for (uint32_t i = 0; i <= rd_segment_slot_mask(segment); i++) {
        uint64_t slot = atomic_load_explicit(&segment->slots[i], memory_order_relaxed);
        uint64_t offset = slot & RD_SLOT_OFFSET_MASK;
        highest = offset > highest ? offset : highest;
        used += slot != 0;
        live += offset != 0;
        good &= (slot >> RD_SLOT_TAG_SHIFT != 0) == (offset != 0);
    }
    segment->used = used;
    segment->deleted = used - live;
    bump(&index->count, live);
    return good && used <= rd_segment_slot_mask(segment) && (live == 0 || highest + RD_TRAILER_LEN <= file_len);
}

enum rd_status rd_index_restore_part(struct rd_index *index, size_t *at, struct rd_index_part part,
                                     uint64_t file_len, rd_index_fill_fn *fill, void *context)
{
    struct rd_index_directory *directory = atomic_load_explicit(&index->directory, memory_order_relaxed);
    size_t place_count = (size_t)1 << directory->depth;
    if (part.depth > directory->depth || part.slot_bits > SLOT_BITS_MAX)
        return RD_CORRUPT;
    uint64_t slot_count = UINT64_C(1) << part.slot_bits;
    if (slot_count < RD_SEGMENT_SLOTS_MIN)
        return RD_CORRUPT;
    size_t places = (size_t)1 << (directory->depth - part.depth);
    if (*at % places != 0 || *at >= place_count)
        return RD_CORRUPT;
    struct rd_segment *segment = segment_allocate(index, slot_count, part.depth);
    if (segment == NULL)
        return RD_NO_MEMORY;
    if (!fill(context, (void *)segment->slots, slot_count * sizeof(uint64_t)) ||
        !take_stock(index, segment, file_len)) {
        segment_free(segment);
        return RD_CORRUPT;
    }
    for (size_t i = 0; i < places; i++)
        atomic_store_explicit(&directory->segments[*at + i], rd_segment_word(segment), memory_order_relaxed);
    *at += places;
    return RD_OK;
}

/* Looks at a segment's entries until one of them leads back. Those before it are *strays; false: they are more
 * than STRAYS_MAX, or all that it has. */
static bool leads_back(const struct rd_index *index, const uint8_t *file, const struct rd_index_part *part,
                       unsigned *strays)
{
    const atomic_uint_fast64_t *slots = part->slots;
    bool all_lead_back = true;
    for (size_t i = 0; i < (size_t)1 << part->slot_bits; i++) {
        uint64_t offset = rd_slot_offset(atomic_load_explicit(&slots[i], memory_order_relaxed));
        if (offset == 0)
            continue;
        if (rd_index_lookup(index, file, rd_load_u64le(file + offset)) == offset)
            return true;
        all_lead_back = false;
        if (++*strays > STRAYS_MAX)
            return false;
    }
    return all_lead_back;
}

/* Of an image of another file hardly any entry leads back. One that does not may be damaged, and is left to who
 * looks for its key: built from the chain, the index would not have that key. */
bool rd_index_restored(struct rd_index *index, size_t at, const uint8_t *file, unsigned samples)
{
    size_t place_count = (size_t)1 << rd_index_depth(index);
    rd_slab_settle(&index->slab);
    if (at != place_count)
        return false;
    struct rd_index_part part;
    unsigned strays = 0;
    for (at = 0; rd_index_next_part(index, &at, &part);) {
        if (!leads_back(index, file, &part, &strays))
            return false;
        size_t step = place_count / samples;
        at = step == 0 ? at : (at + step - 1) / step * step; /* the next multiple, which may be inside a segment */
    }
    return true;
}
