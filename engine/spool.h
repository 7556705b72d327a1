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
 * A value whose length is announced lands (ahead.h): its file is the store's, and the bytes lie where the value is
 * to, so that none is copied at its end. Where it has to give way to others, what has landed stays there, and the
 * rest goes to a file beside the store, as all of a value does whose length nobody knows:
 *
 *     0                     landed.len                 len
 *     | in the store's file | in a file of its own     |
 *
 * One thread at a time: the uploader's until the operation is submitted, then the writer's.
 */
#ifndef RD_ENGINE_SPOOL_H
#define RD_ENGINE_SPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "engine/engine.h"
#include "engine/writeback.h"

struct rd_datafile;
struct rd_placement;
struct rd_store;

/* Bytes of the value in a file. Places are the value's, but where another is named. */
struct rd_spool_part {
    int fd;                /* owned; -1: there is none */
    uint64_t base;         /* file position of the value's first byte, though that may be in the other part */
    uint64_t direct_begin; /* from here */
    uint64_t direct_end;   /* to here nothing is in the page cache */
};

struct rd_spool {
    struct rd_store *store;        /* borrows */
    struct rd_buffer memory;       /* all bytes, as long as own.fd is -1 */
    struct rd_spool_part own;      /* all bytes from landed_len on: an unlinked file's, or the store's */
    struct rd_spool_part landed;   /* of the store's file, below its tail: the bytes up to landed_len */
    uint64_t landed_len;           /* 0: there are none */
    struct rd_writeback writeback; /* of own */
    uint64_t len;
    uint64_t
        direct_from; /* the place from which own goes past the page cache; UINT64_MAX: from none, or it does */
    uint64_t written_len;          /* so many bytes are in own or landed */
    uint32_t written_crc32;        /* of these */
    uint32_t crc32;                /* of all */
    uint8_t *gathered;             /* owned; of rd_direct_take, bytes from direct_end on; NULL: there are none */
    uint64_t announced;            /* 0: its length is not known */
    enum rd_durability durability; /* constant; with announced */
    struct rd_placement *landing;  /* owned; own is in its region; NULL: it is not, or all of it has landed */
    bool counted;                  /* among the store's long_spools */
    bool one_zero_byte;            /* the bytes so far are exactly one zero */
    bool failed;
    enum rd_status completed; /* not RD_OK: what failed when it was */
};

/* No more is appended: all of it is in memory or in its files now. Else the spool has failed,
 * and the next call says the same. */
enum rd_status rd_spool_complete(struct rd_spool *spool) RD_MUST_CHECK;

/* The value, complete, lies where it was to land: the caller's to destroy. NULL: it does not; the spool's files
 * have it, or it has failed. */
struct rd_placement *rd_spool_land(struct rd_spool *spool);

/* Copies a range of its files to another one, past the page cache where that is how it came there. buffer: of
 * rd_direct_take, or NULL. 0 or an errno value. */
int rd_spool_copy(const struct rd_spool *spool, uint64_t at, uint64_t len, struct rd_datafile *file,
                  uint64_t offset, uint8_t *buffer) RD_MUST_CHECK;

/* A range of its own file was read for the last time, as far as one knows. What the disk does not have stays in
 * memory: it need never have it. */
void rd_spool_forget(const struct rd_spool *spool, uint64_t at, uint64_t len);

/* Its files were read. 0, or an errno value where the disk has lost some of what it was given: memory may have
 * forgotten that, and something else was read. The spool has failed then. */
int rd_spool_check(struct rd_spool *spool) RD_MUST_CHECK;

#endif
