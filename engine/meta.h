/* SPDX-License-Identifier: MIT
 *
 * meta.h - PATH.meta, a store's companion that says what its file cannot: which generation it is, up to where it
 * was known to be on the disk, and whether it was closed in order. Replaced by rename, checksummed; one that is
 * missing or does not match its checksum is as good as none, and costs a longer look at the file.
 *
 *    0  magic, 8 bytes          32  last_key, u64
 *    8  version, u32 = 2        40  last_crc, u32
 *   12  flags, u32              44  entry_count, u64
 *   16  generation, u64         52  first_end, u64
 *   24  durable_tail, u64       60  crc32 of the 60 bytes before, u32
 *
 * last_key and last_crc repeat the trailer of the entry that ends at durable_tail, so that a companion that was
 * left beside another file is told from its own.
 */
#ifndef RD_ENGINE_META_H
#define RD_ENGINE_META_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "engine/io.h"

struct rd_meta {
    uint64_t generation;   /* random; new at creation */
    uint64_t durable_tail; /* every byte below it has been synced */
    uint64_t entry_count;  /* so many entries end at or below it, the engine's own included */
    uint64_t first_end;    /* where the file's first entry ends, recorded before it is written; 0: not known */
    uint64_t last_key;     /* the key hash of the entry that ends there; 0 where durable_tail is 0 */
    uint32_t last_crc;     /* and its checksum */
    bool clean;            /* nothing was written after durable_tail */
};

/* The companion of the store at `path`. False: there is none that can be believed. */
bool rd_meta_read(const struct rd_io *io, const char *path, struct rd_meta *ret_meta);

/* Durable when it returns 0. Otherwise an errno value, and there is the old companion or this one where the old
 * one is as true as it was (rd_meta_stays_true), none where it is not. */
int rd_meta_write(const struct rd_io *io, const char *path, const struct rd_meta *meta,
                  bool old_is_true) RD_MUST_CHECK;

/* Whether what it says of its file is true whatever is appended: that so much of it was synced. Not that nothing
 * came behind that, nor where a first entry was to end. */
static inline bool rd_meta_stays_true(const struct rd_meta *meta)
{
    return meta->durable_tail != 0 && !meta->clean;
}

/* Renames new_file to path, and the companion that belongs to it to its place: both are there when it returns 0.
 * An errno value otherwise: *ret_renamed tells whether path leads to the new file all the same, durably or not.
 * Where the companion cannot be written there is none, and meta->durable_tail becomes 0: nothing is recorded. A
 * crash leaves any of the two files beside any of the two companions, or one that is none. */
int rd_meta_exchange(const struct rd_io *io, const char *path, struct rd_meta *meta, const char *new_file,
                     bool *ret_renamed) RD_MUST_CHECK;

/* Takes it away where it is another file's. Durable when it returns 0; otherwise an errno value. */
int rd_meta_remove(const struct rd_io *io, const char *path) RD_MUST_CHECK;

/* A number for a new generation. */
uint64_t rd_meta_new_generation(void);

#endif
