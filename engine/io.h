/* SPDX-License-Identifier: MIT
 *
 * io.h - the system calls that the engine makes on files, as a table that tests replace to fail, to count and to
 * record. Each behaves as its man page says: -1 and errno on failure, partial transfers and EINTR included; the
 * engine's own loops around them are in datafile.c.
 */
#ifndef RD_ENGINE_IO_H
#define RD_ENGINE_IO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

struct rd_io {
    void *self; /* handed to each call; a test's own state */
    int (*open)(void *self, const char *path, int flags, mode_t mode);
    int (*close)(void *self, int fd);
    int (*fstat)(void *self, int fd, struct stat *ret_stat); /* without st_rdev and the times (io.c) */
    int (*stat)(void *self, const char *path, struct stat *ret_stat);
    int (*flock)(void *self, int fd, int operation);
    int (*set_direct)(void *self, int fd, bool direct);          /* fcntl: O_DIRECT from now on, or no longer */
    off_t (*seek)(void *self, int fd, off_t offset, int whence); /* lseek: of SEEK_DATA and SEEK_HOLE */
    ssize_t (*pread)(void *self, int fd, void *to, size_t len, off_t offset);
    ssize_t (*pwritev)(void *self, int fd, const struct iovec *parts, int part_count, off_t offset);
    int (*ftruncate)(void *self, int fd, off_t len);
    int (*start_writeback)(void *self, int fd, off_t offset,
                           off_t len); /* sync_file_range: write out, do not wait */
    int (*await_writeback)(void *self, int fd, off_t offset, off_t len); /* sync_file_range: write out, and wait */
    int (*drop_cache)(void *self, int fd, off_t offset, off_t len); /* posix_fadvise DONTNEED; 0: to the end */
    ssize_t (*copy_range)(void *self, int from_fd, off_t from_offset, int to_fd, off_t to_offset,
                          size_t len);                      /* copy_file_range */
    int (*free_len)(void *self, int fd, uint64_t *ret_len); /* bytes that its file system has left for us */
    int (*fdatasync)(void *self, int fd);
    int (*fsync)(void *self, int fd);
    int (*fchown)(void *self, int fd, uid_t owner, gid_t group);
    int (*fchmod)(void *self, int fd, mode_t mode);
    ssize_t (*flistxattr)(void *self, int fd, char *to, size_t len);
    ssize_t (*fgetxattr)(void *self, int fd, const char *name, void *to, size_t len);
    int (*fsetxattr)(void *self, int fd, const char *name, const void *value, size_t len); /* made or replaced */
    int (*fremovexattr)(void *self, int fd, const char *name);
    int (*rename)(void *self, const char *from, const char *to);
    int (*unlink)(void *self, const char *path);
    void *(*mmap)(void *self, size_t len, int fd); /* shared, read-only, from offset 0 */
    int (*munmap)(void *self, void *address, size_t len);
};

/* The system's own calls. Any thread. */
extern const struct rd_io rd_io_system;

#endif
