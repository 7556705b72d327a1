/* SPDX-License-Identifier: MIT
 *
 * Invariants
 *  1. A slot goes from empty to an offset, from one offset of a key to another, or to deleted; a deleted slot may
 * be taken by another key. It never becomes empty again, so a probe that ends at an empty slot has seen all.
 *  2. A segment always has an empty slot.
 *  3. Segments and directories are replaced, never changed in shape; the old one is retired through the epoch.
 *  4. rd_index_put allocates nothing: room is made by rd_index_reserve, before anything is appended to the file.
 */
#include "engine/index.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "engine/mapping.h"
#include "engine/record.h"

#define SEGMENT_SLOTS_MIN   64u
#define SEGMENT_SLOTS_SPLIT 4096u /* 32 KiB: splitting one takes well under a millisecond */
#define DEPTH_MAX           28u   /* beyond it segments grow instead */
#define SLOT_BITS_MAX       31u   /* of a segment: slots are counted in 32 bits */
#define LOAD_NUMERATOR      3u
#define LOAD_DENOMINATOR    4u

#define OFFSET_MASK  ((UINT64_C(1) << 48) - 1)
#define SLOT_DELETED (UINT64_C(1) << 48)
#define TAG_SHIFT    20u /* above the bits that choose a slot, below those that choose a segment */

struct segment {
    struct rd_retired retired;
    uint32_t slot_mask; /* slots - 1 */
    uint32_t depth;     /* how many top bits all of its keys share */
    uint32_t used;      /* writer: slots that are not empty */
    uint32_t reserved;  /* writer: puts promised in round */
    uint64_t round;     /* writer */
    alignas(64) atomic_uint_fast64_t slots[];
};

struct rd_index_directory {
    struct rd_retired retired;
    uint32_t depth;
    atomic_uintptr_t segments[]; /* a segment's address, and in its low bits the logarithm of its slots */
};

static uint64_t mix(const struct rd_index *index, uint64_t key_hash)
{
    uint64_t mixed = (key_hash ^ index->seed) * UINT64_C(0x9e3779b97f4a7c15);
    mixed ^= mixed >> 32;
    mixed *= UINT64_C(0xd6e8feb86659fd93);
    return mixed ^ mixed >> 29;
}

static uint64_t tag_of(uint64_t mixed)
{
    return mixed >> TAG_SHIFT << 48;
}

/* What a probe needs is in the directory: the segment's own header is another cache miss, and only the writer's.
 */
struct located {
    struct segment *segment;
    uint32_t slot_mask;
};

#define SLOT_BITS_MASK ((uintptr_t)63) /* segments lie on 64-byte boundaries */

static uintptr_t directory_word(const struct segment *segment)
{
    return (uintptr_t)segment | (uintptr_t)__builtin_ctz(segment->slot_mask + 1);
}

static struct located located_of(uintptr_t word)
{
    return (struct located){.segment = (struct segment *)(word & ~SLOT_BITS_MASK),
                            .slot_mask = (UINT32_C(1) << (word & SLOT_BITS_MASK)) - 1};
}

static struct located locate(const struct rd_index *index, uint64_t mixed)
{
    struct rd_index_directory *directory = atomic_load_explicit(&index->directory, memory_order_seq_cst);
    size_t at = directory->depth == 0 ? 0 : mixed >> (64 - directory->depth);
    return located_of(atomic_load_explicit(&directory->segments[at], memory_order_seq_cst));
}

static struct segment *segment_of(const struct rd_index *index, uint64_t mixed)
{
    return locate(index, mixed).segment;
}

static bool is_offset_of(uint64_t slot, uint64_t tag)
{
    return ((slot ^ tag) >> 48) == 0 && (slot & OFFSET_MASK) != 0;
}

/* Whether a trailer with this hash cannot be the one that a slot with this tag was made for. */
static bool is_stray(const struct rd_index *index, const struct segment *segment, uint64_t tag,
                     uint64_t hash_found)
{
    uint64_t mixed = mix(index, hash_found);
    return tag_of(mixed) != tag || segment_of(index, mixed) != segment;
}

/* ---- memory ------------------------------------------------------------------------------------------- */

static size_t segment_bytes(uint64_t slot_count)
{
    return sizeof(struct segment) + slot_count * sizeof(atomic_uint_fast64_t);
}

static size_t directory_bytes(uint32_t depth)
{
    return sizeof(struct rd_index_directory) + ((size_t)1 << depth) * sizeof(struct segment *);
}

/* With slots that hold anything. */
static struct segment *segment_allocate(struct rd_index *index, uint64_t slot_count, uint32_t depth)
{
    static_assert(sizeof(struct segment) % 64 == 0, "slots start on a cache line");
    struct segment *segment = aligned_alloc(64, segment_bytes(slot_count));
    if (segment == NULL)
        return NULL;
    memset((void *)segment, 0, sizeof *segment);
    segment->slot_mask = (uint32_t)(slot_count - 1);
    segment->depth = depth;
    atomic_fetch_add_explicit(&index->bytes, segment_bytes(slot_count), memory_order_relaxed);
    return segment;
}

static struct segment *segment_create(struct rd_index *index, uint64_t slot_count, uint32_t depth)
{
    struct segment *segment = segment_allocate(index, slot_count, depth);
    if (segment != NULL)
        memset((void *)segment->slots, 0, slot_count * sizeof(atomic_uint_fast64_t));
    return segment;
}

static bool segment_destroy(struct rd_retired *retired)
{
    free((void *)((char *)retired - offsetof(struct segment, retired)));
    return true;
}

static void segment_retire(struct rd_index *index, struct segment *segment)
{
    atomic_fetch_sub_explicit(&index->bytes, segment_bytes((uint64_t)segment->slot_mask + 1),
                              memory_order_relaxed);
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
    for (size_t i = 0; i < (size_t)1 << depth; i++)
        atomic_init(&directory->segments[i], 0);
    atomic_fetch_add_explicit(&index->bytes, directory_bytes(depth), memory_order_relaxed);
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
    index->round = 1;
}

enum rd_status rd_index_init(struct rd_index *index, struct rd_epoch *epoch, uint64_t expected_count)
{
    uint64_t slot_count = SEGMENT_SLOTS_MIN;
    uint32_t depth = 0;
    while (slot_count < SEGMENT_SLOTS_SPLIT && slot_count / 2 < expected_count)
        slot_count *= 2;
    while (depth < DEPTH_MAX && (slot_count << depth) / 10 * 6 < expected_count)
        depth++;
    index_reset(index, epoch, random_seed());
    struct rd_index_directory *directory = directory_create(index, depth);
    if (directory == NULL)
        return RD_NO_MEMORY;
    atomic_store_explicit(&index->directory, directory, memory_order_seq_cst);
    for (size_t i = 0; i < (size_t)1 << depth; i++) {
        struct segment *segment = segment_create(index, slot_count, depth);
        if (segment == NULL) {
            rd_index_deinit(index);
            return RD_NO_MEMORY;
        }
        atomic_store_explicit(&directory->segments[i], directory_word(segment), memory_order_seq_cst);
    }
    return RD_OK;
}

void rd_index_deinit(struct rd_index *index)
{
    struct rd_index_directory *directory = atomic_load_explicit(&index->directory, memory_order_seq_cst);
    if (directory == NULL)
        return;
    struct segment *last = NULL;
    for (size_t i = 0; i < (size_t)1 << directory->depth; i++) {
        uintptr_t word = atomic_load_explicit(&directory->segments[i], memory_order_seq_cst);
        struct segment *segment = located_of(word).segment;
        if (segment == last)
            continue; /* a segment's places in the directory lie side by side */
        last = segment;
        free((void *)segment);
    }
    free(directory);
    atomic_store_explicit(&index->directory, NULL, memory_order_seq_cst);
}

/* ---- reading ------------------------------------------------------------------------------------------ */

uint64_t rd_index_find(const struct rd_index *index, _Atomic(struct rd_mapping *) *mapping, uint64_t key_hash)
{
    uint64_t mixed = mix(index, key_hash);
    uint64_t tag = tag_of(mixed);
    struct located in = locate(index, mixed);
    uint64_t stray = 0;
    for (uint32_t at = (uint32_t)mixed & in.slot_mask;; at = (at + 1) & in.slot_mask) {
        uint64_t slot = atomic_load_explicit(&in.segment->slots[at], memory_order_acquire);
        if (slot == 0)
            return stray;
        if (!is_offset_of(slot, tag))
            continue;
        const uint8_t *file = atomic_load_explicit(mapping, memory_order_seq_cst)->base;
        uint64_t hash_found = rd_load_u64le(file + (slot & OFFSET_MASK));
        if (hash_found == key_hash)
            return slot & OFFSET_MASK;
        if (is_stray(index, in.segment, tag, hash_found))
            stray = slot & OFFSET_MASK;
    }
}

void rd_index_prefetch(const struct rd_index *index, uint64_t key_hash)
{
    uint64_t mixed = mix(index, key_hash);
    struct located in = locate(index, mixed);
    __builtin_prefetch(&in.segment->slots[(uint32_t)mixed & in.slot_mask]);
}

uint64_t rd_index_guess(const struct rd_index *index, uint64_t key_hash)
{
    uint64_t mixed = mix(index, key_hash);
    uint64_t tag = tag_of(mixed);
    struct located in = locate(index, mixed);
    for (uint32_t at = (uint32_t)mixed & in.slot_mask;; at = (at + 1) & in.slot_mask) {
        uint64_t slot = atomic_load_explicit(&in.segment->slots[at], memory_order_relaxed);
        if (slot == 0)
            return 0;
        if (is_offset_of(slot, tag))
            return slot & OFFSET_MASK;
    }
}

bool rd_index_holds(const struct rd_index *index, uint64_t key_hash, uint64_t trailer_offset)
{
    uint64_t mixed = mix(index, key_hash);
    uint64_t wanted = tag_of(mixed) | trailer_offset;
    struct located in = locate(index, mixed);
    for (uint32_t at = (uint32_t)mixed & in.slot_mask;; at = (at + 1) & in.slot_mask) {
        uint64_t slot = atomic_load_explicit(&in.segment->slots[at], memory_order_acquire);
        if (slot == wanted)
            return true;
        if (slot == 0)
            return false;
    }
}

/* ---- writing ------------------------------------------------------------------------------------------ */

/* One thread writes the counter: no locked instruction is needed. */
static void bump(atomic_uint_fast64_t *counter, uint64_t by)
{
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, now + by, memory_order_relaxed);
}

/* The writer's own probe. Finds the key's slot, or a stray that may have been it; else, with *ret_free, where a
 * new key would go. */
static atomic_uint_fast64_t *writer_probe(const struct rd_index *index, const uint8_t *file, uint64_t mixed,
                                          uint64_t key_hash, atomic_uint_fast64_t **ret_free)
{
    struct located in = locate(index, mixed);
    uint64_t tag = tag_of(mixed);
    atomic_uint_fast64_t *free_slot = NULL;
    atomic_uint_fast64_t *stray = NULL;
    for (uint32_t at = (uint32_t)mixed & in.slot_mask;; at = (at + 1) & in.slot_mask) {
        atomic_uint_fast64_t *place = &in.segment->slots[at];
        uint64_t slot = atomic_load_explicit(place, memory_order_relaxed);
        if (slot == 0) {
            *ret_free = free_slot != NULL ? free_slot : place;
            return stray;
        }
        if (slot == SLOT_DELETED) {
            if (free_slot == NULL)
                free_slot = place;
        } else if (is_offset_of(slot, tag)) {
            uint64_t hash_found = rd_load_u64le(file + (slot & OFFSET_MASK));
            if (hash_found == key_hash)
                return place;
            if (is_stray(index, in.segment, tag, hash_found))
                stray = place;
        }
    }
}

/* Puts a slot that is known to be new into a segment that no reader sees yet. */
static void place_unseen(struct segment *segment, uint64_t mixed, uint64_t offset)
{
    uint32_t at = (uint32_t)mixed & segment->slot_mask;
    while (atomic_load_explicit(&segment->slots[at], memory_order_relaxed) != 0)
        at = (at + 1) & segment->slot_mask;
    atomic_store_explicit(&segment->slots[at], tag_of(mixed) | offset, memory_order_relaxed);
    segment->used++;
}

/* Moves the live slots of `from` to lower or upper, by the bit below `from`'s depth. The hashes lie in the
 * trailers, all over the file: each is asked for well before it is read. */
static void redistribute(const struct rd_index *index, const uint8_t *file, struct segment *from,
                         struct segment *lower, struct segment *upper)
{
    enum { AHEAD = 16 };
    uint32_t slot_count = from->slot_mask + 1;
    for (uint32_t i = 0; i < slot_count + AHEAD; i++) {
        if (i < slot_count) {
            uint64_t coming = atomic_load_explicit(&from->slots[i], memory_order_relaxed) & OFFSET_MASK;
            if (coming != 0)
                __builtin_prefetch(file + coming);
        }
        if (i < AHEAD)
            continue;
        uint64_t offset = atomic_load_explicit(&from->slots[i - AHEAD], memory_order_relaxed) & OFFSET_MASK;
        if (offset == 0)
            continue;
        uint64_t mixed = mix(index, rd_load_u64le(file + offset));
        bool goes_up = upper != lower && (mixed >> (63 - from->depth) & 1) != 0;
        place_unseen(goes_up ? upper : lower, mixed, offset);
    }
}

/* The segment's places in the directory: those whose top bits are the segment's. */
static void point_at(struct rd_index_directory *directory, uint64_t mixed, uint32_t depth, struct segment *segment)
{
    uint32_t free_bits = directory->depth - depth;
    size_t first = depth == 0 ? 0 : (size_t)(mixed >> (64 - depth)) << free_bits;
    for (size_t i = 0; i < (size_t)1 << free_bits; i++)
        atomic_store_explicit(&directory->segments[first + i], directory_word(segment), memory_order_seq_cst);
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
    atomic_fetch_sub_explicit(&index->bytes, directory_bytes(old->depth), memory_order_relaxed);
    rd_epoch_retire(index->epoch, &old->retired, directory_destroy);
    return RD_OK;
}

static uint32_t live_slots(const struct segment *segment)
{
    uint32_t live = 0;
    for (uint32_t i = 0; i <= segment->slot_mask; i++)
        live += (atomic_load_explicit(&segment->slots[i], memory_order_relaxed) & OFFSET_MASK) != 0;
    return live;
}

/* Same keys, another table: without the deleted slots, and with slot_count slots. */
static enum rd_status rebuild(struct rd_index *index, const uint8_t *file, uint64_t mixed, struct segment *old,
                              uint64_t slot_count)
{
    struct segment *new = segment_create(index, slot_count, old->depth);
    if (new == NULL)
        return RD_NO_MEMORY;
    redistribute(index, file, old, new, new);
    struct rd_index_directory *directory = atomic_load_explicit(&index->directory, memory_order_relaxed);
    point_at(directory, mixed, old->depth, new);
    segment_retire(index, old);
    return RD_OK;
}

static enum rd_status split(struct rd_index *index, const uint8_t *file, uint64_t mixed, struct segment *old)
{
    struct rd_index_directory *directory = atomic_load_explicit(&index->directory, memory_order_relaxed);
    if (directory->depth == old->depth) {
        enum rd_status status = double_directory(index);
        if (status != RD_OK)
            return status;
        directory = atomic_load_explicit(&index->directory, memory_order_relaxed);
    }
    uint64_t slot_count = (uint64_t)old->slot_mask + 1;
    struct segment *lower = segment_create(index, slot_count, old->depth + 1);
    struct segment *upper = segment_create(index, slot_count, old->depth + 1);
    if (lower == NULL || upper == NULL) {
        free((void *)lower);
        free((void *)upper);
        return RD_NO_MEMORY;
    }
    redistribute(index, file, old, lower, upper);
    uint64_t split_bit = UINT64_C(1) << (63 - old->depth);
    point_at(directory, mixed & ~split_bit, old->depth + 1, lower);
    point_at(directory, mixed | split_bit, old->depth + 1, upper);
    segment_retire(index, old);
    return RD_OK;
}

static enum rd_status grow(struct rd_index *index, const uint8_t *file, uint64_t mixed, struct segment *segment)
{
    uint64_t slot_count = (uint64_t)segment->slot_mask + 1;
    uint32_t live = live_slots(segment);
    if (live + segment->reserved <= slot_count / 2)
        return rebuild(index, file, mixed, segment, slot_count);
    if (slot_count < SEGMENT_SLOTS_SPLIT || segment->depth >= DEPTH_MAX)
        return rebuild(index, file, mixed, segment, slot_count * 2);
    return split(index, file, mixed, segment);
}

void rd_index_begin(struct rd_index *index)
{
    index->round++;
}

/* A grown segment starts with nothing promised, since which half a promise belongs to is not known: hence the
 * further pass. Passes end, because the keys of a group are distinct and each growth spreads them over more slots.
 */
enum rd_status rd_index_reserve(struct rd_index *index, const uint8_t *file, uint64_t key_hash, bool *ret_grew)
{
    uint64_t mixed = mix(index, key_hash);
    for (;;) {
        struct segment *segment = segment_of(index, mixed);
        if (segment->round != index->round) {
            segment->round = index->round;
            segment->reserved = 0;
        }
        uint64_t slot_count = (uint64_t)segment->slot_mask + 1;
        if (segment->used + segment->reserved < slot_count / LOAD_DENOMINATOR * LOAD_NUMERATOR) {
            segment->reserved++;
            return RD_OK;
        }
        enum rd_status status = grow(index, file, mixed, segment);
        if (status != RD_OK)
            return status;
        *ret_grew = true;
    }
}

uint64_t rd_index_lookup(struct rd_index *index, const uint8_t *file, uint64_t key_hash)
{
    uint64_t mixed = mix(index, key_hash);
    atomic_uint_fast64_t *free_slot = NULL;
    atomic_uint_fast64_t *place = writer_probe(index, file, mixed, key_hash, &free_slot);
    return place == NULL ? 0 : atomic_load_explicit(place, memory_order_relaxed) & OFFSET_MASK;
}

uint64_t rd_index_put(struct rd_index *index, const uint8_t *file, uint64_t key_hash, uint64_t trailer_offset)
{
    assert(trailer_offset != 0 && trailer_offset <= OFFSET_MASK);
    uint64_t mixed = mix(index, key_hash);
    struct segment *segment = segment_of(index, mixed);
    atomic_uint_fast64_t *free_slot = NULL;
    atomic_uint_fast64_t *place = writer_probe(index, file, mixed, key_hash, &free_slot);
    uint64_t old = 0;
    if (place != NULL) {
        old = atomic_load_explicit(place, memory_order_relaxed) & OFFSET_MASK;
    } else {
        place = free_slot;
        if (atomic_load_explicit(place, memory_order_relaxed) == 0) {
            segment->used++;
            assert(segment->used <= segment->slot_mask); /* invariant 2 */
        }
        bump(&index->count, 1);
    }
    atomic_store_explicit(place, tag_of(mixed) | trailer_offset, memory_order_release);
    return old;
}

uint64_t rd_index_remove(struct rd_index *index, const uint8_t *file, uint64_t key_hash)
{
    uint64_t mixed = mix(index, key_hash);
    atomic_uint_fast64_t *free_slot = NULL;
    atomic_uint_fast64_t *place = writer_probe(index, file, mixed, key_hash, &free_slot);
    if (place == NULL)
        return 0;
    uint64_t old = atomic_load_explicit(place, memory_order_relaxed) & OFFSET_MASK;
    atomic_store_explicit(place, SLOT_DELETED, memory_order_release);
    bump(&index->count, UINT64_MAX);
    return old;
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
    struct segment *segment =
        located_of(atomic_load_explicit(&directory->segments[*at], memory_order_relaxed)).segment;
    *ret_part = (struct rd_index_part){.depth = segment->depth,
                                       .slot_bits = (uint32_t)__builtin_ctz(segment->slot_mask + 1),
                                       .slots = (void *)segment->slots};
    *at += (size_t)1 << (directory->depth - segment->depth);
    return true;
}

enum rd_status rd_index_restore(struct rd_index *index, struct rd_epoch *epoch, uint64_t seed, uint32_t depth)
{
    index_reset(index, epoch, seed);
    if (depth > DEPTH_MAX)
        return RD_CORRUPT;
    struct rd_index_directory *directory = directory_create(index, depth);
    if (directory == NULL)
        return RD_NO_MEMORY;
    atomic_store_explicit(&index->directory, directory, memory_order_seq_cst);
    return RD_OK;
}

/* Counts what is in the slots. False: an offset is none, or there is no empty slot (invariant 2). */
static bool take_stock(struct rd_index *index, struct segment *segment, uint64_t file_len)
{
    uint64_t highest = 0;
    uint32_t used = 0;
    uint32_t live = 0;
    for (uint32_t i = 0; i <= segment->slot_mask; i++) {
        uint64_t slot = atomic_load_explicit(&segment->slots[i], memory_order_relaxed);
        uint64_t offset = slot & OFFSET_MASK;
        highest = offset > highest ? offset : highest;
        used += slot != 0;
        live += offset != 0;
    }
    segment->used = used;
    bump(&index->count, live);
    return used <= segment->slot_mask && (live == 0 || highest + RD_TRAILER_LEN <= file_len);
}

enum rd_status rd_index_restore_part(struct rd_index *index, size_t *at, struct rd_index_part part,
                                     uint64_t file_len, rd_index_fill_fn *fill, void *context)
{
    struct rd_index_directory *directory = atomic_load_explicit(&index->directory, memory_order_relaxed);
    size_t place_count = (size_t)1 << directory->depth;
    if (part.depth > directory->depth || part.slot_bits > SLOT_BITS_MAX)
        return RD_CORRUPT;
    uint64_t slot_count = UINT64_C(1) << part.slot_bits;
    if (slot_count < SEGMENT_SLOTS_MIN)
        return RD_CORRUPT;
    size_t places = (size_t)1 << (directory->depth - part.depth);
    if (*at % places != 0 || *at >= place_count)
        return RD_CORRUPT;
    struct segment *segment = segment_allocate(index, slot_count, part.depth);
    if (segment == NULL)
        return RD_NO_MEMORY;
    if (!fill(context, (void *)segment->slots, slot_count * sizeof(uint64_t)) ||
        !take_stock(index, segment, file_len)) {
        free((void *)segment);
        return RD_CORRUPT;
    }
    for (size_t i = 0; i < places; i++)
        atomic_store_explicit(&directory->segments[*at + i], directory_word(segment), memory_order_relaxed);
    *at += places;
    return RD_OK;
}

/* The first entry of a segment that has any. */
static uint64_t first_offset(const struct rd_index_part *part)
{
    const atomic_uint_fast64_t *slots = part->slots;
    for (size_t i = 0; i < (size_t)1 << part->slot_bits; i++) {
        uint64_t offset = atomic_load_explicit(&slots[i], memory_order_relaxed) & OFFSET_MASK;
        if (offset != 0)
            return offset;
    }
    return 0;
}

bool rd_index_restored(struct rd_index *index, size_t at, const uint8_t *file, unsigned samples)
{
    size_t place_count = (size_t)1 << rd_index_depth(index);
    if (at != place_count)
        return false;
    struct rd_index_part part;
    for (at = 0; rd_index_next_part(index, &at, &part);) {
        uint64_t offset = first_offset(&part);
        if (offset != 0 && rd_index_lookup(index, file, rd_load_u64le(file + offset)) != offset)
            return false;
        size_t step = place_count / samples;
        at = step == 0 ? at : (at + step - 1) / step * step; /* the next multiple, which may be inside a segment */
    }
    return true;
}
