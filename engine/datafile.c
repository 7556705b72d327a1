/* SPDX-License-Identifier: MIT */
#include "engine/datafile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#define OPEN_TRIES      16
#define ASIDE_NAMES_MAX 1000
#define COPY_STEP_LEN   ((size_t)64 << 10)
#define BLOCK_LEN_MAX   ((size_t)64 << 10)  /* of file systems */
#define WRITE_LEN_MAX   (UINT64_C(1) << 30) /* a single call transfers at most 2 GiB - 4 KiB on Linux */

static int open_folder_of(const struct rd_io *io, const char *path, int flags, mode_t mode)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL || slash == path ? 1 : (size_t)(slash - path);
    if (len >= sizeof folder) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(folder, slash == NULL ? "." : path, len);
    folder[len] = '\0';
    return io->open(io->self, folder, flags | O_CLOEXEC, mode);
}

int rd_datafile_sync_folder(const struct rd_io *io, const char *path)
{
    int fd = open_folder_of(io, path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return errno;
    int result = io->fsync(io->self, fd) == 0 ? 0 : errno;
    io->close(io->self, fd);
    return result;
}

/* Where the file system has no O_TMPFILE: a name that nobody else has, taken away at once. */
static int open_and_unlink(const struct rd_datafile *file)
{
    char path[PATH_MAX];
    for (int n = 0; n < ASIDE_NAMES_MAX; n++) {
        int len = snprintf(path, sizeof path, "%s.spool-%d", file->path, n);
        if (len < 0 || (size_t)len >= sizeof path) {
            errno = ENAMETOOLONG;
            return -1;
        }
        int fd = file->io->open(file->io->self, path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd >= 0)
            file->io->unlink(file->io->self, path);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

int rd_datafile_open_unnamed(const struct rd_datafile *file)
{
    int fd = open_folder_of(file->io, file->path, O_RDWR | O_TMPFILE, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT))
        fd = open_and_unlink(file);
    return fd;
}

/* The descriptor, or -1 with errno. Tells whether this call has made the file. */
static int open_or_create(const struct rd_io *io, const char *path, bool create, bool read_only, bool *ret_created)
{
    *ret_created = false;
    int flags = (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK;
    int fd = io->open(io->self, path, flags, 0);
    if (fd >= 0 || errno != ENOENT || !create || read_only)
        return fd;
    fd = io->open(io->self, path, flags | O_CREAT | O_EXCL, 0600);
    if (fd >= 0)
        *ret_created = true;
    else if (errno == EEXIST)
        fd = io->open(io->self, path, flags, 0);
    return fd;
}

/* The lock holds for the file that the descriptor has; the path may lead to another one by now. */
static bool is_still_at(const struct rd_io *io, const char *path, const struct stat *opened)
{
    struct stat now;
    return io->stat(io->self, path, &now) == 0 && now.st_dev == opened->st_dev && now.st_ino == opened->st_ino;
}

enum rd_status rd_datafile_open(struct rd_datafile *file, const struct rd_io *io, const char *path, bool create,
                                bool read_only, struct rd_error *ret_error)
{
    for (int tried = 0; tried < OPEN_TRIES; tried++) {
        bool created = false;
        int fd = open_or_create(io, path, create, read_only, &created);
        if (fd < 0)
            return rd_error_set(ret_error, RD_IO_ERROR, errno, "cannot open %s", path);
        struct stat opened;
        enum rd_status status = RD_OK;
        if (io->fstat(io->self, fd, &opened) != 0)
            status = rd_error_set(ret_error, RD_IO_ERROR, errno, "cannot examine %s", path);
        else if (!S_ISREG(opened.st_mode))
            status = rd_error_set(ret_error, RD_NOT_A_STORE, 0, "%s is not a regular file", path);
        else if (io->flock(io->self, fd, (read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0)
            status = errno == EWOULDBLOCK
                         ? rd_error_set(ret_error, RD_UNAVAILABLE, 0,
                                        "%s is open in another process; stop that one or go through it", path)
                         : rd_error_set(ret_error, RD_IO_ERROR, errno, "cannot lock %s", path);
        if (status == RD_OK && !is_still_at(io, path, &opened)) {
            io->close(io->self, fd);
            continue;
        }
        int sync_errno = 0;
        if (status == RD_OK && !read_only && (created || opened.st_size == 0)) { /* its maker may have died */
            sync_errno = io->fsync(io->self, fd) == 0 ? rd_datafile_sync_folder(io, path) : errno;
            if (sync_errno != 0)
                status = rd_error_set(ret_error, RD_IO_ERROR, sync_errno, "cannot sync the new file %s", path);
        }
        char *owned_path = status == RD_OK ? strdup(path) : NULL;
        if (status == RD_OK && owned_path == NULL)
            status = rd_error_set(ret_error, RD_NO_MEMORY, 0, "no memory to open %s", path);
        if (status != RD_OK) {
            io->close(io->self, fd);
            return status;
        }
        *file = (struct rd_datafile){
            .io = io, .path = owned_path, .fd = fd, .read_only = read_only, .size = (uint64_t)opened.st_size};
        return RD_OK;
    }
    return rd_error_set(ret_error, RD_UNAVAILABLE, 0, "%s is replaced again and again by another process", path);
}

void rd_datafile_close(struct rd_datafile *file)
{
    if (file->fd >= 0 && file->io != NULL) {
        (void)file->io->flock(file->io->self, file->fd,
                              LOCK_UN); /* a child by fork may have the descriptor, too */
        file->io->close(file->io->self, file->fd);
    }
    file->fd = -1;
    free(file->path);
    file->path = NULL;
}

void rd_datafile_forget(struct rd_datafile *file)
{
    file->fd = -1;
    rd_datafile_close(file);
}

/* How many parts one call may carry: never more than IOV_MAX, nor more bytes than the kernel takes at once. */
static int parts_for_one_call(const struct iovec *parts, int part_count)
{
    uint64_t len = 0;
    int count = 0;
    while (count < part_count && count < IOV_MAX && (count == 0 || len + parts[count].iov_len <= WRITE_LEN_MAX))
        len += parts[count++].iov_len;
    return count;
}

int rd_datafile_write(struct rd_datafile *file, uint64_t offset, struct iovec *parts, int part_count)
{
    while (part_count > 0) {
        if (parts->iov_len == 0) {
            parts++;
            part_count--;
            continue;
        }
        int count = parts_for_one_call(parts, part_count);
        ssize_t written = file->io->pwritev(file->io->self, file->fd, parts, count, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return errno;
        if (written == 0)
            return EIO; /* neither progress nor a reason: do not spin */
        offset += (uint64_t)written;
        if (offset > file->size)
            file->size = offset;
        size_t left = (size_t)written;
        while (part_count > 0 && left >= parts->iov_len) {
            left -= parts->iov_len;
            parts++;
            part_count--;
        }
        if (left > 0) {
            parts->iov_base = (uint8_t *)parts->iov_base + left;
            parts->iov_len -= left;
        }
    }
    return 0;
}

int rd_datafile_write_slice(struct rd_datafile *file, uint64_t offset, struct rd_slice bytes)
{
    union {
        const void *readable;
        void *base;
    } from = {.readable = bytes.data};
    struct iovec part = {.iov_base = from.base, .iov_len = bytes.len};
    return rd_datafile_write(file, offset, &part, 1);
}

int rd_datafile_read(const struct rd_datafile *file, uint64_t offset, uint8_t *to, size_t len, size_t wanted)
{
    for (size_t done = 0; done < wanted;) {
        ssize_t got = file->io->pread(file->io->self, file->fd, to + done, len - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0 ? EIO : errno;
        done += (size_t)got;
    }
    return 0;
}

static uint64_t seek(const struct rd_datafile *file, uint64_t from, uint64_t end, int whence)
{
    off_t found = file->io->seek(file->io->self, file->fd, (off_t)from, whence);
    return found < 0 || (uint64_t)found > end ? end : (uint64_t)found;
}

uint64_t rd_datafile_find_hole(const struct rd_datafile *file, uint64_t begin, uint64_t end, uint64_t hole_len)
{
    uint64_t data = begin;
    while (data < end) {
        uint64_t hole = seek(file, data, end, SEEK_HOLE);
        data = seek(file, hole, end, SEEK_DATA);
        if (data - hole >= hole_len)
            return hole;
    }
    return end;
}

/* For file systems that cannot copy inside the kernel. */
static ssize_t copy_through_memory(struct rd_datafile *file, int from_fd, uint64_t from_offset, uint64_t offset,
                                   size_t len_max)
{
    uint8_t bytes[COPY_STEP_LEN];
    size_t len = len_max < sizeof bytes ? len_max : sizeof bytes;
    ssize_t got = file->io->pread(file->io->self, from_fd, bytes, len, (off_t)from_offset);
    if (got <= 0)
        return got;
    struct iovec part = {.iov_base = bytes, .iov_len = (size_t)got};
    int failed = rd_datafile_write(file, offset, &part, 1);
    errno = failed;
    return failed == 0 ? got : -1;
}

static bool cannot_copy_inside(int os_errno)
{
    return os_errno == EXDEV || os_errno == EINVAL || os_errno == ENOSYS || os_errno == EOPNOTSUPP ||
           os_errno == EPERM;
}

int rd_datafile_copy_from(struct rd_datafile *file, int from_fd, uint64_t from_offset, uint64_t len,
                          uint64_t offset)
{
    const struct rd_io *io = file->io;
    bool inside = true;
    for (uint64_t done = 0; done < len;) {
        size_t step = len - done < WRITE_LEN_MAX ? (size_t)(len - done) : (size_t)WRITE_LEN_MAX;
        ssize_t copied;
        if (inside)
            copied = io->copy_range(io->self, from_fd, (off_t)(from_offset + done), file->fd,
                                    (off_t)(offset + done), step);
        else
            copied = copy_through_memory(file, from_fd, from_offset + done, offset + done, step);
        if (copied < 0 && errno == EINTR)
            continue;
        if (copied < 0 && inside && cannot_copy_inside(errno)) {
            inside = false;
            continue;
        }
        if (copied <= 0)
            return copied == 0 ? EIO : errno; /* 0: the source is shorter than it was */
        done += (uint64_t)copied;
        if (offset + done > file->size)
            file->size = offset + done;
    }
    return 0;
}

void rd_datafile_start_writeback(struct rd_datafile *file, uint64_t offset, uint64_t len)
{
    /* A hint: where it fails, the sync that follows has more to do. */
    (void)file->io->start_writeback(file->io->self, file->fd, (off_t)offset, (off_t)len);
}

int rd_datafile_await_writeback(struct rd_datafile *file, uint64_t offset, uint64_t len)
{
    if (file->io->await_writeback(file->io->self, file->fd, (off_t)offset, (off_t)len) == 0)
        return 0;
    return errno == ENOSYS ? 0 : errno; /* any other may be a lost page's, and is told once */
}

void rd_datafile_drop_cache(struct rd_datafile *file, uint64_t offset, uint64_t len)
{
    /* A hint as well. */
    (void)file->io->drop_cache(file->io->self, file->fd, (off_t)offset, (off_t)len);
}

void rd_datafile_read_anew(struct rd_datafile *file, uint64_t from)
{
    rd_datafile_drop_cache(file, from / RD_LARGE_PAGE_LEN * RD_LARGE_PAGE_LEN, 0); /* 0: to the end */
}

int rd_datafile_cut(struct rd_datafile *file, uint64_t size)
{
    struct stat now;
    if (file->io->fstat(file->io->self, file->fd, &now) != 0)
        return errno;
    if ((uint64_t)now.st_size < size)
        return EIO;
    while (file->io->ftruncate(file->io->self, file->fd, (off_t)size) != 0)
        if (errno != EINTR)
            return errno;
    file->size = size;
    return 0;
}

/* Never repeated after a failure: the kernel reports a lost page once and then forgets it. */
int rd_datafile_sync(struct rd_datafile *file)
{
    return file->io->fdatasync(file->io->self, file->fd) == 0 ? 0 : errno;
}

int rd_datafile_scrub(struct rd_datafile *file)
{
    uint8_t filling[BLOCK_LEN_MAX];
    uint64_t end = file->size;
    size_t len = (size_t)(-end % BLOCK_LEN_MAX);
    if (len == 0)
        return 0;
    /* Not zeros: where this is cut short, they would be the store's end to the reference. */
    memset(filling, 0xff, len);
    int failed = rd_datafile_write_slice(file, end, rd_slice(filling, len));
    if (failed == ENOSPC || failed == EDQUOT || failed == EFBIG)
        failed = 0; /* the block is shorter than that, and it is the file's already */
    if (failed == 0)
        failed = rd_datafile_sync(file);
    int not_cut = rd_datafile_cut(file, end);
    return failed != 0 ? failed : not_cut;
}

int rd_datafile_give_away(const struct rd_io *io, int fd, const struct stat *other, mode_t mode)
{
    struct stat made;
    if (io->fstat(io->self, fd, &made) != 0)
        return errno;
    bool given = (made.st_uid == other->st_uid && made.st_gid == other->st_gid) ||
                 io->fchown(io->self, fd, other->st_uid, other->st_gid) == 0;
    if (!given && made.st_uid != other->st_uid)
        return errno;
    if (!given)
        mode &= S_IRWXU;
    return (made.st_mode & 0777) == mode || io->fchmod(io->self, fd, mode) == 0 ? 0 : errno;
}

void rd_datafile_give_companion(const struct rd_io *io, int fd, const char *path)
{
    struct stat store;
    if (io->stat(io->self, path, &store) == 0)
        (void)!rd_datafile_give_away(io, fd, &store, S_IRUSR | S_IWUSR);
}

static int create_aside(struct rd_datafile *file, uint64_t offset, char *ret_path, size_t path_len_max)
{
    for (int n = 0; n < ASIDE_NAMES_MAX; n++) {
        int len = n == 0 ? snprintf(ret_path, path_len_max, "%s.torn-%llu", file->path, (unsigned long long)offset)
                         : snprintf(ret_path, path_len_max, "%s.torn-%llu.%d", file->path,
                                    (unsigned long long)offset, n);
        if (len < 0 || (size_t)len >= path_len_max) {
            errno = ENAMETOOLONG;
            return -1;
        }
        int fd = file->io->open(file->io->self, ret_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

enum rd_status rd_datafile_keep_aside(struct rd_datafile *file, uint64_t offset, struct rd_slice bytes,
                                      struct rd_error *ret_error)
{
    char path[PATH_MAX];
    int fd = create_aside(file, offset, path, sizeof path);
    if (fd < 0)
        return rd_error_set(ret_error, RD_IO_ERROR, errno, "cannot make a file for the torn end of %s",
                            file->path);
    rd_datafile_give_companion(file->io, fd, file->path);
    struct rd_datafile aside = {.io = file->io, .fd = fd};
    int failed = rd_datafile_write_slice(&aside, 0, bytes);
    if (failed == 0 && file->io->fsync(file->io->self, fd) != 0)
        failed = errno;
    file->io->close(file->io->self, fd);
    if (failed == 0)
        failed = rd_datafile_sync_folder(file->io, path);
    if (failed == 0)
        return RD_OK;
    file->io->unlink(file->io->self, path);
    return rd_error_set(ret_error, RD_IO_ERROR, failed, "cannot keep the torn end of %s in %s", file->path, path);
}
