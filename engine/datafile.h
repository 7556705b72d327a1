/* SPDX-License-Identifier: MIT
 *
 * datafile.h - the file of a store: opened, locked, created durably, appended to, cut, synced. Loops around
 * partial and interrupted calls are here and nowhere else. Knows no entries.
 *
 * Used by one thread at a time: the one that opens the store, then the writer; but for rd_datafile_sync and
 * rd_datafile_drop_cache, which may run beside (syncer.h, discard.h). A thread with a copy of the struct, which
 * borrows descriptor and path, may write where the writer does not (extension.h).
 */
#ifndef RD_ENGINE_DATAFILE_H
#define RD_ENGINE_DATAFILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/slice.h"
#include "base/status.h"
#include "engine/io.h"

/* No part of a file that the kernel keeps in one piece is larger. */
#define RD_LARGE_PAGE_LEN (UINT64_C(2) << 20)

struct rd_datafile {
    const struct rd_io *io; /* borrows */
    char *path;             /* owned */
    int fd;                 /* -1: closed */
    bool read_only;
    uint64_t size; /* bytes, as the file is now */
};

/* Opens and locks: exclusively, or shared where read_only. create: makes the file, 0600, and syncs its folder.
 * RD_UNAVAILABLE: somebody else has it open. RD_NOT_A_STORE: not a regular file. */
enum rd_status rd_datafile_open(struct rd_datafile *file, const struct rd_io *io, const char *path, bool create,
                                bool read_only, struct rd_error *ret_error) RD_MUST_CHECK;
void rd_datafile_close(struct rd_datafile *file); /* and unlocks, whoever else has the descriptor by a fork */

/* Somebody else has its descriptor now. */
void rd_datafile_forget(struct rd_datafile *file);

/* Writes all parts at `offset`. parts is changed on the way. On failure some bytes may be in the file: the caller
 * cuts them off. 0 or an errno value. */
int rd_datafile_write(struct rd_datafile *file, uint64_t offset, struct iovec *parts,
                      int part_count) RD_MUST_CHECK;

/* As rd_datafile_write, of one piece. */
int rd_datafile_write_slice(struct rd_datafile *file, uint64_t offset, struct rd_slice bytes) RD_MUST_CHECK;

/* len bytes, or as many as there are, if these are `wanted` at least. EIO: they are not. 0 or an errno value. */
int rd_datafile_read(const struct rd_datafile *file, uint64_t offset, uint8_t *to, size_t len,
                     size_t wanted) RD_MUST_CHECK;

/* From `begin` on, where the first hole of hole_len bytes is, not above `end`; `end` where there is none, or the
 * file system tells of none. */
uint64_t rd_datafile_find_hole(const struct rd_datafile *file, uint64_t begin, uint64_t end, uint64_t hole_len);

/* Copies len bytes of another descriptor to `offset`: inside the kernel where it can. 0 or an
 * errno value. */
int rd_datafile_copy_from(struct rd_datafile *file, int from_fd, uint64_t from_offset, uint64_t len,
                          uint64_t offset) RD_MUST_CHECK;

/* Asks the kernel to begin writing a range out, so that a later sync has less to wait for. */
void rd_datafile_start_writeback(struct rd_datafile *file, uint64_t offset, uint64_t len);

/* Has a range written out and waits for that, which makes it durable only where the file's blocks were before. 0,
 * also where the file system cannot, or an errno value: the disk has refused something of the file. */
int rd_datafile_await_writeback(struct rd_datafile *file, uint64_t offset, uint64_t len) RD_MUST_CHECK;

/* Lets memory forget a range that is written out. */
void rd_datafile_drop_cache(struct rd_datafile *file, uint64_t offset, uint64_t len);

/* Lets memory forget what lies at `from` and behind, so that it is read anew. The kernel keeps or forgets a large
 * page as a whole, and keeps one that is mapped: so before anything there is looked at. */
void rd_datafile_read_anew(struct rd_datafile *file, uint64_t from);

/* An unlinked file, read and written, in the store's folder. The descriptor, or -1 with errno. */
int rd_datafile_open_unnamed(const struct rd_datafile *file) RD_MUST_CHECK;

/* Never makes it longer: EIO where it is shorter already. 0 or an errno value. */
int rd_datafile_cut(struct rd_datafile *file, uint64_t size) RD_MUST_CHECK;
int rd_datafile_sync(struct rd_datafile *file) RD_MUST_CHECK;

/* Overwrites, on the disk, what lies behind the file's end in its last block. A power cut may have left bytes
 * there whose length it did not leave; a second one may leave a length and not the bytes that belong to it, and
 * what comes to light then are those of before the first. The file is as long as it was, but not synced. 0 or an
 * errno value. */
int rd_datafile_scrub(struct rd_datafile *file) RD_MUST_CHECK;

/* Syncs the folder in which `path` lies, so that names made or changed in it last. 0 or an errno value. */
int rd_datafile_sync_folder(const struct rd_io *io, const char *path) RD_MUST_CHECK;

/* Gives a file that was made beside another one to whom that belongs, as far as we may: root may do offline what a
 * daemon's user is to open. Its permissions become `mode`, but for the group's and others' where it has come to
 * another group. EPERM where it stays ours and is not to; 0 or an errno value. */
int rd_datafile_give_away(const struct rd_io *io, int fd, const struct stat *other, mode_t mode) RD_MUST_CHECK;

/* The same for a companion of the store at `path`. Where it fails nothing is lost but time: a companion that
 * cannot be read is as good as none. */
void rd_datafile_give_companion(const struct rd_io *io, int fd, const char *path);

/* Writes bytes to a new file beside the store, PATH.torn-OFFSET or the first PATH.torn-OFFSET.N that is free, and
 * syncs file and folder. */
enum rd_status rd_datafile_keep_aside(struct rd_datafile *file, uint64_t offset, struct rd_slice bytes,
                                      struct rd_error *ret_error) RD_MUST_CHECK;

#endif
