/* SPDX-License-Identifier: MIT
 *
 * extension.h - a file that is written to often runs ahead of its tail with bytes 0xFF.
 *
 *     published tail                                  end of the file
 *   ...entries | FF FF FF FF FF FF FF FF FF FF FF FF FF |
 *
 * Not zeros: a zero-filled end would be the store's end to the reference. Ones hold nothing, to the reference and
 * to recovery (recovery.h, rule 6).
 *
 * Where writes are synced: so that the next short ones fall into blocks that the file has already, and their syncs
 * have no length and no blocks to commit, only data. Earned by a run of synced groups without a pause; written
 * behind a group before its sync, so that it costs no sync of its own; longer each time it was used up in one run.
 *
 * Where they are not: so that the page cache gets long folios. The kernel (6.x, ext4 and XFS) makes folios as long
 * as the write that first touches them, but not over a multiple of their length: of appends that begin anywhere it
 * makes many short ones, and a write, the writeback and the map pay for each. Earned by short entries that use up
 * what one extension gives them within a tenth of a second; then that is written before the group that goes past
 * the end.
 *
 * Either way with a write for each region (regions.h): a folio is given back as a whole, or not at all.
 *
 * Where batches come that fast, what one extension gives them is followed by a longer one that a short-lived
 * thread writes, so that the writer need not find memory for the pages:
 *
 *     tail      end of the group         file->size                  to
 *   ...|============|FF FF FF FF FF FF FF|FF FF FF .. .. .. .. .. .. |
 *                                         ----- the thread's ------>
 *
 * Below file->size the writer writes, at and above it the thread does, and neither crosses: file->size stays until
 * the writer has taken in what the thread has written. So before anything goes past it, and before the file is cut
 * or exchanged, rd_extension_end.
 *
 * Given up when the pause comes, when a long value is to be placed ahead (ahead.h, whose hole must be zeros), when
 * an append fails, and when the store is closed: then the file ends at its tail. Where there is no room for it,
 * there is none.
 *
 * The writer's alone, but for what the thread is given.
 */
#ifndef RD_ENGINE_EXTENSION_H
#define RD_ENGINE_EXTENSION_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/datafile.h"

/* A thread that extends the file. */
struct rd_extension_beside {
    bool running; /* the thread is to be joined; the writer's, as all where nothing else is said */
    pthread_t thread;
    struct rd_datafile file; /* the thread's view of the store's: descriptor and path are borrowed, size its own */
    uint64_t to;             /* constant while it runs */
    atomic_bool done;        /* by the thread, its last word */
    int os_errno;            /* the writer's from then on, as is file */
};

struct rd_extension {
    uint64_t synced_ms;  /* when the last group was synced; monotonic clock, as all */
    uint64_t led_ms;     /* when it was last written for a group that is not synced, or the thread joined */
    uint64_t used_up_ms; /* when such a group last went past the end, or past where one would have ended, or had it
                          * extended further; 0: not lately, or without success */
    uint32_t run;        /* synced groups without a pause */
    uint64_t len;        /* bytes, of the next one */
    uint32_t groups_min; /* that earn one; constant, fewer in tests */
    uint64_t lead_len;   /* bytes, of one for groups that are not synced; constant, fewer in tests */
    struct rd_extension_beside beside;
    uint32_t batch_min; /* entries of a group that is worth a thread; constant, fewer in tests */
};

void rd_extension_init(struct rd_extension *extension);

/* A group of so many bytes has been written up to `tail`, and is about to be synced: extends the file behind it
 * where that is earned, it is not longer already, and more groups like this one fit in. A write that fails is no
 * failure: what there is of it are ones. */
void rd_extension_advance(struct rd_extension *extension, struct rd_datafile *file, uint64_t tail,
                          uint64_t group_len);

/* A group of entry_count entries that is not synced is about to be written from `tail` to `end`: extends the file
 * beyond, or has a thread do it, where that is earned and not so already. A write that fails is no failure,
 * likewise. */
void rd_extension_lead(struct rd_extension *extension, struct rd_datafile *file, uint64_t tail, uint64_t end,
                       uint32_t entry_count);

/* Waits for the thread, where one extends the file. file->size is the file's from then on. */
void rd_extension_end(struct rd_extension *extension, struct rd_datafile *file);

/* When it is to be given up, if it is of no use before; monotonic clock. */
uint64_t rd_extension_pause_ms(const struct rd_extension *extension);

#endif
