/* SPDX-License-Identifier: MIT
 *
 * walk.h - what lives in a store's file, copied to the one that is to take its place (successor.h): each walk
 * takes what was added since the one before it. Which entries these are, and why both files hold the same after
 * the last one, is in compact.h.
 *
 * A walk goes down the chain, since that is how it is linked, and what it finds is copied upward, since that is
 * how a file is written. So as not to remember every entry, a first pass notes where every 65,536 entries end, and
 * a second one takes segment by segment from the lowest.
 *
 * One thread at a time: the compacting one, or the writer on an errand of its (rd_walk_as_writer).
 */
#ifndef RD_ENGINE_WALK_H
#define RD_ENGINE_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "engine/mapping.h"
#include "engine/successor.h"

struct rd_store;

struct rd_walk_marks {
    uint64_t *items; /* owned; ends of entries, from the highest to the lowest */
    size_t count;
    size_t capacity;
};

struct rd_walk {
    struct rd_store *store;         /* borrows */
    struct rd_successor *successor; /* borrows */
    struct rd_error *error;         /* borrows; filled by what fails */
    struct rd_mapping *mapping;     /* NULL: none is under way; pins, but as the writer */
    bool as_writer;                 /* it is the writer's */
    unsigned count;                 /* walks that are over */

    /* Over entries that end in (begin, end]. */
    uint64_t begin;
    uint64_t end;
    uint64_t noted_to; /* the first pass has come down to here */
    uint32_t noted;    /* entries since the last mark */
    struct rd_walk_marks marks;
    uint64_t low;   /* all that ends at or below is copied */
    uint64_t *ends; /* owned; of the entries of a segment that are to be copied, from the highest to the lowest */
    uint32_t end_count;
    uint64_t piece_done; /* bytes of the payload of the next one that are copied */
    uint64_t passed;     /* bytes read or written; the caller's to set back */
};

/* RD_NO_MEMORY; it is fine to deinit it then, or a zeroed one. */
enum rd_status rd_walk_init(struct rd_walk *walk, struct rd_store *store, struct rd_successor *successor,
                            struct rd_error *error) RD_MUST_CHECK;
void rd_walk_deinit(struct rd_walk *walk);

/* From what was copied up to the published tail, over the map that covers it. */
void rd_walk_begin(struct rd_walk *walk);

/* Goes on until passed_max bytes are passed, or it is over and what it has copied is flushed. RD_CORRUPT,
 * RD_NO_MEMORY, RD_NO_SPACE, RD_IO_ERROR. */
enum rd_status rd_walk_on(struct rd_walk *walk, uint64_t passed_max, bool *ret_over) RD_MUST_CHECK;

/* A whole one. */
enum rd_status rd_walk_at_once(struct rd_walk *walk) RD_MUST_CHECK;

/* The same on the writer's thread, up to what the writer itself has published. */
enum rd_status rd_walk_as_writer(struct rd_walk *walk) RD_MUST_CHECK;

/* Bytes of the file that no walk has been over yet. */
uint64_t rd_walk_left(const struct rd_walk *walk);

/* What could not be done with the new file; not every live entry can be reached. Each returns the status. */
enum rd_status rd_walk_fail(struct rd_walk *walk, int os_errno, const char *what);
enum rd_status rd_walk_fail_chain(struct rd_walk *walk);

#endif
