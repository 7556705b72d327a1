/* SPDX-License-Identifier: MIT */
#include "engine/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

static int io_open(void *self, const char *path, int flags, mode_t mode)
{
    (void)self;
    return open(path, flags, mode);
}

static int io_close(void *self, int fd)
{
    (void)self;
    return close(fd);
}

/* fstat asks for the times, too. Since Linux 6.13 whoever asks has the next write take a new, fine-grained one,
 * which dirties the inode; without a journal, fdatasync writes that out: two writes to the disk instead of one,
 * each waited for. Looking at a file between its writes must not do that (writer.c does, before each sync). */
static int io_fstat(void *self, int fd, struct stat *ret_stat)
{
    (void)self;
    const unsigned asked =
        STATX_TYPE | STATX_MODE | STATX_NLINK | STATX_UID | STATX_GID | STATX_INO | STATX_SIZE | STATX_BLOCKS;
    struct statx found;
    if (statx(fd, "", AT_EMPTY_PATH, asked, &found) != 0 || (found.stx_mask & asked) != asked)
        return fstat(fd, ret_stat);
    *ret_stat = (struct stat){.st_dev = makedev(found.stx_dev_major, found.stx_dev_minor),
                              .st_ino = found.stx_ino,
                              .st_mode = found.stx_mode,
                              .st_nlink = found.stx_nlink,
                              .st_uid = found.stx_uid,
                              .st_gid = found.stx_gid,
                              .st_size = (off_t)found.stx_size,
                              .st_blksize = (blksize_t)found.stx_blksize,
                              .st_blocks = (blkcnt_t)found.stx_blocks};
    return 0;
}

static int io_stat(void *self, const char *path, struct stat *ret_stat)
{
    (void)self;
    return stat(path, ret_stat);
}

static int io_flock(void *self, int fd, int operation)
{
    (void)self;
    return flock(fd, operation);
}

static int io_set_direct(void *self, int fd, bool direct)
{
    (void)self;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -1;
    return fcntl(fd, F_SETFL, direct ? flags | O_DIRECT : flags & ~O_DIRECT);
}

static off_t io_seek(void *self, int fd, off_t offset, int whence)
{
    (void)self;
    return lseek(fd, offset, whence);
}

static ssize_t io_pread(void *self, int fd, void *to, size_t len, off_t offset)
{
    (void)self;
    return pread(fd, to, len, offset);
}

static ssize_t io_pwritev(void *self, int fd, const struct iovec *parts, int part_count, off_t offset)
{
    (void)self;
    return pwritev(fd, parts, part_count, offset);
}

static int io_ftruncate(void *self, int fd, off_t len)
{
    (void)self;
    return ftruncate(fd, len);
}

static int io_start_writeback(void *self, int fd, off_t offset, off_t len)
{
    (void)self;
    return sync_file_range(fd, offset, len, SYNC_FILE_RANGE_WRITE);
}

static int io_await_writeback(void *self, int fd, off_t offset, off_t len)
{
    (void)self;
    return sync_file_range(fd, offset, len,
                           SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
}

static int io_drop_cache(void *self, int fd, off_t offset, off_t len)
{
    (void)self;
    int failed = posix_fadvise(fd, offset, len, POSIX_FADV_DONTNEED);
    errno = failed;
    return failed == 0 ? 0 : -1;
}

static ssize_t io_copy_range(void *self, int from_fd, off_t from_offset, int to_fd, off_t to_offset, size_t len)
{
    (void)self;
    return copy_file_range(from_fd, &from_offset, to_fd, &to_offset, len, 0);
}

static int io_free_len(void *self, int fd, uint64_t *ret_len)
{
    (void)self;
    struct statvfs found;
    if (fstatvfs(fd, &found) != 0)
        return -1;
    *ret_len = (uint64_t)found.f_bavail * found.f_frsize;
    return 0;
}

static int io_fdatasync(void *self, int fd)
{
    (void)self;
    return fdatasync(fd);
}

static int io_fsync(void *self, int fd)
{
    (void)self;
    return fsync(fd);
}

static int io_fchown(void *self, int fd, uid_t owner, gid_t group)
{
    (void)self;
    return fchown(fd, owner, group);
}

static int io_fchmod(void *self, int fd, mode_t mode)
{
    (void)self;
    return fchmod(fd, mode);
}

static ssize_t io_flistxattr(void *self, int fd, char *to, size_t len)
{
    (void)self;
    return flistxattr(fd, to, len);
}

static ssize_t io_fgetxattr(void *self, int fd, const char *name, void *to, size_t len)
{
    (void)self;
    return fgetxattr(fd, name, to, len);
}

static int io_fsetxattr(void *self, int fd, const char *name, const void *value, size_t len)
{
    (void)self;
    return fsetxattr(fd, name, value, len, 0);
}

static int io_fremovexattr(void *self, int fd, const char *name)
{
    (void)self;
    return fremovexattr(fd, name);
}

static int io_rename(void *self, const char *from, const char *to)
{
    (void)self;
    return rename(from, to);
}

static int io_unlink(void *self, const char *path)
{
    (void)self;
    return unlink(path);
}

static void *io_mmap(void *self, size_t len, int fd)
{
    (void)self;
    return mmap(NULL, len, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, 0);
}

static int io_munmap(void *self, void *address, size_t len)
{
    (void)self;
    return munmap(address, len);
}

const struct rd_io rd_io_system = {
    .self = NULL,
    .open = io_open,
    .close = io_close,
    .fstat = io_fstat,
    .stat = io_stat,
    .flock = io_flock,
    .set_direct = io_set_direct,
    .seek = io_seek,
    .pread = io_pread,
    .pwritev = io_pwritev,
    .ftruncate = io_ftruncate,
    .start_writeback = io_start_writeback,
    .await_writeback = io_await_writeback,
    .drop_cache = io_drop_cache,
    .copy_range = io_copy_range,
    .free_len = io_free_len,
    .fdatasync = io_fdatasync,
    .fsync = io_fsync,
    .fchown = io_fchown,
    .fchmod = io_fchmod,
    .flistxattr = io_flistxattr,
    .fgetxattr = io_fgetxattr,
    .fsetxattr = io_fsetxattr,
    .fremovexattr = io_fremovexattr,
    .rename = io_rename,
    .unlink = io_unlink,
    .mmap = io_mmap,
    .munmap = io_munmap,
};
