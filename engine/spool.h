/* SPDX-License-Identifier: MIT
 *
 * spool.h - the engine's own view of a spool; callers see engine.h's functions.
 *
 * The checksum is taken as the bytes come in, so that the writer neither reads nor waits for the value when it
 * appends it. What is so long that the disk has to take most of it goes there past the page cache (direct.h), from
 * bytes that are gathered first:
 *
 *     0                     direct_begin               direct_end           len
 *     | by the page cache   | past it                  | gathered; or, once  |
 *     |                     |                          | whole, in the file  |
 *
 * One thread at a time: the uploader's until the operation is submitted, then the writer's.
 */
#ifndef RD_ENGINE_SPOOL_H
#define RD_ENGINE_SPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "engine/writeback.h"

struct rd_datafile;
struct rd_store;

struct rd_spool {
    struct rd_store *store;        /* borrows */
    struct rd_buffer memory;       /* all bytes, as long as fd is -1 */
    int fd;                        /* the unlinked file with all bytes, or -1 */
    struct rd_writeback writeback; /* of that file */
    uint64_t len;
    uint8_t *gathered;     /* owned; of rd_direct_take, bytes from direct_end on; NULL: there are none */
    uint64_t direct_begin; /* whole blocks, as direct_end; from here */
    uint64_t direct_end;   /* to here nothing is in the page cache */
    uint32_t crc32;
    bool one_zero_byte; /* the bytes so far are exactly one zero */
    bool failed;
    enum rd_status completed; /* not RD_OK: what failed when it was */
};

/* No more is appended: all of it is in memory or in its file now. Else the spool has failed,
 * and the next call says the same. */
enum rd_status rd_spool_complete(struct rd_spool *spool) RD_MUST_CHECK;

/* Copies a range of its file to another one, past the page cache where that is how it came there. buffer: of
 * rd_direct_take, or NULL. 0 or an errno value. */
int rd_spool_copy(const struct rd_spool *spool, uint64_t at, uint64_t len, struct rd_datafile *file,
                  uint64_t offset, uint8_t *buffer) RD_MUST_CHECK;

/* A range of its file was read for the last time, as far as one knows. What the disk does not have stays in
 * memory: it need never have it. */
void rd_spool_forget(const struct rd_spool *spool, uint64_t offset, uint64_t len);

/* Its file was read. 0, or an errno value where the disk has lost some of what it was given: memory may have
 * forgotten that, and something else was read. The spool has failed then. */
int rd_spool_check(struct rd_spool *spool) RD_MUST_CHECK;

#endif
