/* SPDX-License-Identifier: MIT
 *
 * extension.h - a file that is synced often runs ahead of its tail with bytes 0xFF, so that the next short writes
 * fall into blocks that the file has already, and their syncs have no length and no blocks to commit: only data.
 *
 *     published tail                                  end of the file
 *   ...entries | FF FF FF FF FF FF FF FF FF FF FF FF FF |
 *
 * Not zeros: a zero-filled end would be the store's end to the reference. Ones hold nothing, to the reference and
 * to recovery (recovery.h, rule 6).
 *
 * Earned by a run of synced groups without a pause; written behind a group before its sync, so that it costs no
 * sync of its own; longer each time it was used up in one run. Given up when the pause comes, when a long value is
 * to be placed ahead (ahead.h, whose hole must be zeros), when an append fails, and when the store is closed: then
 * the file ends at its tail. Where there is no room for it, there is none.
 *
 * The writer's alone.
 */
#ifndef RD_ENGINE_EXTENSION_H
#define RD_ENGINE_EXTENSION_H

#include <stdbool.h>
#include <stdint.h>

struct rd_datafile;

struct rd_extension {
    uint64_t synced_ms;  /* when the last group was synced; monotonic clock */
    uint32_t run;        /* synced groups without a pause */
    uint64_t len;        /* bytes, of the next one */
    uint32_t groups_min; /* that earn one; constant, fewer in tests */
};

void rd_extension_init(struct rd_extension *extension);

/* A group of so many bytes has been written up to `tail`, and is about to be synced: extends the file behind it
 * where that is earned, it is not longer already, and more groups like this one fit in. scratch: scratch_len bytes
 * on a boundary of RD_RECORD_ALIGN, and more than that many, that may be overwritten. A write that fails is no
 * failure: what there is of it are ones. */
void rd_extension_advance(struct rd_extension *extension, struct rd_datafile *file, uint64_t tail,
                          uint64_t group_len, uint8_t *scratch, uint64_t scratch_len);

/* When it is to be given up, if no group is synced before; monotonic clock. */
uint64_t rd_extension_pause_ms(const struct rd_extension *extension);

#endif
