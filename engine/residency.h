/* SPDX-License-Identifier: MIT
 *
 * residency.h - which pages of a map are in memory, so that a thread that must not wait for the disk can tell
 * beforehand.
 *
 * The kernel is asked (mincore) once for a page, which takes about a microsecond; that it was there is then
 * remembered as a bit, which takes nothing. Pages that are used stay where memory is not short. Where it is, they
 * go without a word: then whoever meets the disk where it did not expect it says so (rd_residency_doubt), and for
 * as long as pages are found to be gone the kernel is asked each time. Once that has ended, what was remembered is
 * forgotten. Where none is found it ends soon: what was met was a page of the program, as a rule.
 *
 *               rd_residency_doubt              rd_residency_settle, quiet for some time
 *   BELIEVING ----------------------> DOUBTING ------------------------------------------> BELIEVING,
 *                                                                                          knowing nothing
 *
 * That state is the process's, as memory is. Any thread; nothing here waits.
 *
 * A map that is advised as scattered has a price: since Linux 6.3 the kernel does not count the use of pages
 * through it, and where memory is short it gives up those that are read all the time as readily as those that were
 * read once. So while there is doubt, pages that are there and about to be read are touched through a second map
 * of the same file as well, whose use counts. Only for short reads: those of long values would push out what
 * others need.
 */
#ifndef RD_ENGINE_RESIDENCY_H
#define RD_ENGINE_RESIDENCY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rd_guarded;

#define RD_RESIDENCY_PAGE_LEN  4096u /* no page is smaller */
#define RD_RESIDENCY_CHUNK_LEN (UINT64_C(64) << 20)
#define RD_RESIDENCY_WORDS     (RD_RESIDENCY_CHUNK_LEN / RD_RESIDENCY_PAGE_LEN / 64)

/* A bit for each page of one chunk of the map. */
struct rd_residency_chunk {
    atomic_uint_fast64_t words[RD_RESIDENCY_WORDS];
};

struct rd_residency {
    const uint8_t *base;
    _Atomic(struct rd_residency_chunk *) *chunks; /* owned, as those that it leads to are; made when asked for */
    size_t chunk_count;
    size_t len;                  /* bytes mapped */
    atomic_uint_fast64_t doubts; /* how often the process had doubted when the bits were last wiped */

    atomic_bool counted_tried;                  /* whoever has set it makes the second map */
    _Atomic(const uint8_t *) counted;           /* owned; the second map; NULL: there is none, or none yet */
    _Atomic(struct rd_guarded *) counted_guard; /* of that */
};

/* False: no memory. */
bool rd_residency_init(struct rd_residency *residency, const uint8_t *base, size_t len);

/* Fine on a zeroed one. */
void rd_residency_deinit(struct rd_residency *residency);

/* Whether these bytes of the map are in memory, as far as is known; where the kernel will not say, they are. They
 * lie below the end of the file. */
bool rd_residency_holds(struct rd_residency *residency, uint64_t offset, uint64_t len);

/* How a map is going to be read. Scattered: the kernel reads no more than the page that is touched, so that a
 * small value costs one read, and no thread has to begin others' reads. Whoever reads much in a row then asks for
 * it beforehand. */
void rd_residency_expect(const uint8_t *base, uint64_t len, bool scattered);

/* Gives up the pages of a range that is not read any more, as far as they are the second map's. */
void rd_residency_drop(struct rd_residency *residency, uint64_t offset, uint64_t len);

/* Has the kernel begin to read these bytes of a map, or of any memory. */
void rd_residency_advise(const uint8_t *bytes, uint64_t len);

/* The same, where they are not all in memory. */
void rd_residency_want(struct rd_residency *residency, uint64_t offset, uint64_t len);

/* Has the kernel give up the pages that lie within these bytes of the map; that they were there is forgotten, too.
 */
void rd_residency_forget(struct rd_residency *residency, uint64_t offset, uint64_t len);

/* Takes these bytes, of whole pages, out of the maps, so that the kernel can give them up. */
void rd_residency_unmap(struct rd_residency *residency, uint64_t offset, uint64_t len);

/* Forgets that these pages were in memory. */
void rd_residency_unnote(struct rd_residency *residency, uint64_t offset, uint64_t len);

/* For walks from a map's end to its beginning: asks for what lies below `end` well before it is read. Zero it
 * first. */
struct rd_descent {
    bool begun;
    uint64_t asked; /* bytes from here on were asked for */
};
void rd_residency_descend(struct rd_residency *residency, struct rd_descent *descent, uint64_t end);

#endif
