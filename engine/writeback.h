/* SPDX-License-Identifier: MIT
 *
 * writeback.h - how much of a long value on its way into a file may be in memory alone. Without a bound a value
 * fills what memory the process may use with pages that cannot be given up before the disk has them, and whoever
 * needs a page then, a loop too, waits for the disk.
 *
 *     begin       clean                started                 end, as far as it is written
 *       | on the disk |  being written out |  not yet told of      |
 *                     |<------------- bytes_max at most ---------->|
 *
 * Bytes come in a row. Nothing here makes them durable: a sync does. One thread at a time.
 */
#ifndef RD_ENGINE_WRITEBACK_H
#define RD_ENGINE_WRITEBACK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct rd_datafile;

enum rd_writeback_kind {
    RD_WRITEBACK_LATE,  /* the file will soon be gone: the disk gets only what is above the bound */
    RD_WRITEBACK_EARLY, /* the disk gets all of it, and at once */
};

struct rd_writeback {
    enum rd_writeback_kind kind;
    bool forgets; /* what the disk has goes from memory */
    uint64_t bytes_max;
    uint64_t clean;   /* file position */
    uint64_t started; /* file position, not below clean */
};

/* What a process that may use so much memory should let be unwritten of one value. */
uint64_t rd_writeback_bound(uint64_t memory_bytes);

void rd_writeback_init(struct rd_writeback *writeback, enum rd_writeback_kind kind, uint64_t begin,
                       uint64_t bytes_max, bool forgets);

/* How much of a file of the late kind stays in memory alone, as long as the process's memory is not short: bytes.
 */
uint64_t rd_writeback_kept(const struct rd_writeback *writeback);

/* The file has been written up to `end`: waits until no more than bytes_max of that are unwritten. 0, or an errno
 * value where the disk has refused what it was given: the kernel may not say so again. */
int rd_writeback_pace(struct rd_writeback *writeback, struct rd_datafile *file, uint64_t end) RD_MUST_CHECK;

#endif
