/* SPDX-License-Identifier: MIT
 *
 * trailers.h - trailers of entries that a group replaces, read from the file and not looked at in its map.
 *
 * A look at a page of the map that nobody has looked at before is dear: the kernel enters the page into the page
 * table, and where a virtual machine has that table kept twice, the look itself is an exit to the machine under
 * it, though the page is in memory. Values that are short share a page, and one look pays for them all. A value
 * that has its trailer on a page nearly of its own makes one such look for each time it is replaced; to read these
 * 20 bytes costs less (bench/RECORD.md).
 *
 * What was read is kept until the next group, as publishing wants to know how long the replaced entry was. There
 * is room for so many; the map has the others, and all that could not be read.
 *
 * The writer's alone.
 */
#ifndef RD_ENGINE_TRAILERS_H
#define RD_ENGINE_TRAILERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/record.h"

#define RD_TRAILERS_KEPT_LOG2 8u
#define RD_TRAILERS_KEPT      (1u << RD_TRAILERS_KEPT_LOG2)

/* Of an entry with its trailer, in bytes: from here on no more than two trailers are on a page of 4 KiB. */
#define RD_TRAILERS_APART_LEN ((size_t)2048)

struct rd_datafile;

struct rd_trailers {
    const struct rd_datafile *file; /* borrows */
    bool any;                       /* of `kept` is not empty */
    struct {
        uint64_t offset; /* of the trailer; 0: empty */
        uint64_t prev_tail;
    } kept[RD_TRAILERS_KEPT]; /* each at a place of its offset's */
};

void rd_trailers_init(struct rd_trailers *trailers, const struct rd_datafile *file);

/* Before a group: the file may be another one since the last. */
void rd_trailers_forget(struct rd_trailers *trailers);

/* Whether a value of so many bytes probably replaces one whose trailer is better read. */
static inline bool rd_trailers_are_apart(size_t payload_len)
{
    return payload_len >= RD_TRAILERS_APART_LEN - RD_TRAILER_LEN;
}

/* Whether the entry with its trailer there has that key. False, too, where it cannot be read: the map will tell.
 */
bool rd_trailers_name(struct rd_trailers *trailers, uint64_t trailer_offset, uint64_t key_hash);

/* The entry's payload and trailer, in bytes; 0: it was not read, or its place has been taken. */
uint64_t rd_trailers_entry_bytes(const struct rd_trailers *trailers, uint64_t trailer_offset);

#endif
