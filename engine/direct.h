/* SPDX-License-Identifier: MIT
 *
 * direct.h - parts of long values that go between memory and the disk past the page cache (O_DIRECT, open(2)).
 *
 * For values that memory cannot hold anyway. Through the page cache each of their pages is allocated, entered,
 * written out or found to be read, and given up again, on processors that others wait for; and it takes the place
 * of a page that somebody will read again.
 *
 * The file's offset, the length and the address are multiples of RD_DIRECT_BLOCK_LEN. The kernel sees to it that
 * this and the page cache agree. Where a file system cannot, it is EINVAL, with nothing changed that the same
 * transfer by the page cache does not put right: that is the caller's to do.
 */
#ifndef RD_ENGINE_DIRECT_H
#define RD_ENGINE_DIRECT_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

struct rd_datafile;

#define RD_DIRECT_BLOCK_LEN 4096u /* no disk's block is longer */
#define RD_DIRECT_LEN       ((size_t)1 << 20)

/* RD_DIRECT_LEN bytes for such parts; to be given back. Of a process that may use so much memory they are few:
 * NULL, then the page cache is the way. Any thread. */
uint8_t *rd_direct_take(uint64_t memory_bytes);

/* NULL is fine. Any thread. */
void rd_direct_give(uint8_t *bytes);

/* 0 or an errno value. Nobody else uses what was opened, by whatever descriptor, meanwhile. */
int rd_direct_write(struct rd_datafile *file, uint64_t offset, struct rd_slice blocks) RD_MUST_CHECK;

/* The same: len bytes, or as many as the file has, if these are `wanted` at least, or it fails. */
int rd_direct_read(struct rd_datafile *file, uint64_t offset, uint8_t *to, size_t len,
                   size_t wanted) RD_MUST_CHECK;

/* Copies len bytes from any offset to any other, but what fills no block of the target, which goes by the page
 * cache. The source's blocks are whole. buffer: of rd_direct_take. 0 or an errno value. */
int rd_direct_copy(struct rd_datafile *file, struct rd_datafile *from, uint64_t from_offset, uint64_t len,
                   uint64_t offset, uint8_t *buffer) RD_MUST_CHECK;

#endif
