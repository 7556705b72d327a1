/* SPDX-License-Identifier: MIT
 *
 * index.h - from key hash to the live entry's trailer. One writer, any number of readers without locks.
 *
 * Extendible hashing (Fagin et al., 1979): a directory chosen by the top bits of the mixed hash points to segments
 * of at most 4,096 slots with linear probing. A segment that fills up is split alone, so growing never stops the
 * world and never needs twice the memory. A slot is 8 bytes:
 *
 *    63      48 47                    0
 *   |   tag    |   trailer's offset    |      0: never used; offset 0 with tag 1: deleted
 *
 * The full hash is not kept: it is compared in the trailer, which a read touches anyway. So calls take the map.
 *
 * Key hashes may be chosen by the caller (…_with_key_hash), hence they are mixed with a seed of the index's own
 * before they choose a segment, slot and tag.
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

#include "base/status.h"
#include "engine/epoch.h"

struct rd_index_directory;

struct rd_index {
    _Atomic(struct rd_index_directory *) directory; /* written by the writer */
    struct rd_epoch *epoch;                         /* borrows; guards what readers may hold */
    uint64_t seed;                                  /* constant */
    uint64_t round;                                 /* writer: numbers the passes of reservations */
    atomic_uint_fast64_t count;                     /* live keys; written by the writer */
    atomic_uint_fast64_t bytes;                     /* memory of segments and directory; written by the writer */
};

/* expected_count: keys to make room for at once; 0 is fine. */
enum rd_status rd_index_init(struct rd_index *index, struct rd_epoch *epoch,
                             uint64_t expected_count) RD_MUST_CHECK;

/* No reader may be inside. Fine on a zeroed index. */
void rd_index_deinit(struct rd_index *index);

/* Readers, inside the epoch. Returns the trailer's offset, 0 where the key is not there; a stray's, whose trailer
 * carries another hash. The map is loaded after the slot has been, so that it covers what the slot names. */
struct rd_mapping;
uint64_t rd_index_find(const struct rd_index *index, _Atomic(struct rd_mapping *) *mapping, uint64_t key_hash);

/* Whether the key's live entry is the one with this trailer. Readers, inside the epoch; the map is not looked at.
 */
bool rd_index_holds(const struct rd_index *index, uint64_t key_hash, uint64_t trailer_offset);

/* Pulls the slots of key_hash towards the cache. Readers and writer. */
void rd_index_prefetch(const struct rd_index *index, uint64_t key_hash);

/* The trailer that a find of key_hash would look at first, 0 where none: for prefetching it. Inside the epoch. */
uint64_t rd_index_guess(const struct rd_index *index, uint64_t key_hash);

/* ---- the writer alone ---- */

/* Making room, before anything is appended: rd_index_begin, then rd_index_reserve once for each key that a put
 * will add; where any of these grew the index, the same again, until a pass grows nothing. From then on as many
 * puts need no memory. */
void rd_index_begin(struct rd_index *index);
enum rd_status rd_index_reserve(struct rd_index *index, const uint8_t *file, uint64_t key_hash,
                                bool *ret_grew) RD_MUST_CHECK;

/* As rd_index_find, without an epoch. A stray counts as the key's: putting and removing take it as well. */
uint64_t rd_index_lookup(struct rd_index *index, const uint8_t *file, uint64_t key_hash);

/* Points key_hash at a new trailer; room must have been reserved. Returns the old trailer's offset or 0. */
uint64_t rd_index_put(struct rd_index *index, const uint8_t *file, uint64_t key_hash, uint64_t trailer_offset);

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
 * `samples` of these are looked at. */
bool rd_index_restored(struct rd_index *index, size_t at, const uint8_t *file, unsigned samples);

#endif
