/* SPDX-License-Identifier: MIT */
#include "tests/crash/failing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/crash/common.h"

const char *const call_names[CALL_COUNT] = {
    [CALL_OPEN] = "open",
    [CALL_CLOSE] = "close",
    [CALL_FSTAT] = "fstat",
    [CALL_STAT] = "stat",
    [CALL_FLOCK] = "flock",
    [CALL_SEEK] = "lseek",
    [CALL_PREAD] = "pread",
    [CALL_PWRITEV] = "pwritev",
    [CALL_FTRUNCATE] = "ftruncate",
    [CALL_START_WRITEBACK] = "sync_file_range",
    [CALL_AWAIT_WRITEBACK] = "sync_file_range, waiting",
    [CALL_DROP_CACHE] = "posix_fadvise",
    [CALL_FREE_LEN] = "fstatvfs",
    [CALL_COPY_RANGE] = "copy_file_range",
    [CALL_FDATASYNC] = "fdatasync",
    [CALL_FSYNC] = "fsync",
    [CALL_FCHOWN] = "fchown",
    [CALL_FCHMOD] = "fchmod",
    [CALL_FLISTXATTR] = "flistxattr",
    [CALL_FGETXATTR] = "fgetxattr",
    [CALL_FSETXATTR] = "fsetxattr",
    [CALL_FREMOVEXATTR] = "fremovexattr",
    [CALL_RENAME] = "rename",
    [CALL_UNLINK] = "unlink",
    [CALL_MMAP] = "mmap",
    [CALL_MUNMAP] = "munmap",
};
const char *const failure_names[FAILURE_COUNT] = {"none", "ENOSPC", "EIO", "EINTR", "short"};

bool failure_fits(enum failure failure, enum call call)
{
    bool transfers = call == CALL_PREAD || call == CALL_PWRITEV || call == CALL_COPY_RANGE;
    return failure != FAILURE_NONE && (failure != FAILURE_SHORT || transfers);
}

/* ---- calls -------------------------------------------------------------------------------------------- */

static void note_failed(struct failing_io *failing, enum call call, int fd, const char *path)
{
    failing->failed = true;
    failing->failed_call = call;
    failing->failed_file = fd >= 0 ? failing->fds[fd] : FILE_NONE;
    const char *name = fd >= 0 ? failing->fd_names[fd] : path == NULL ? "" : path;
    snprintf(failing->failed_name, sizeof failing->failed_name, "%s", name);
}

/* How this call is to fail. errno is set where it is not to be short. fd: -1 where it has a path, or neither. */
static enum failure next(struct failing_io *failing, enum call call, int fd, const char *path)
{
    static const int numbers[FAILURE_COUNT] = {
        [FAILURE_ENOSPC] = ENOSPC, [FAILURE_EIO] = EIO, [FAILURE_EINTR] = EINTR};
    pthread_mutex_lock(&failing->lock);
    if (failing->count == FAILING_CALLS_MAX || fd >= (int)FAILING_FDS_MAX)
        die("more system calls or descriptors than the rig knows");
    failing->seen[failing->count] = call;
    bool fails = failing->count++ == failing->fail_at && failure_fits(failing->failure, call);
    if (fails)
        note_failed(failing, call, fd, path);
    pthread_mutex_unlock(&failing->lock);
    if (fails && failing->failure != FAILURE_SHORT)
        errno = numbers[failing->failure];
    return fails ? failing->failure : FAILURE_NONE;
}

static bool ends_in(const char *name, const char *ending)
{
    size_t len = strlen(name);
    return len >= strlen(ending) && strcmp(name + len - strlen(ending), ending) == 0;
}

/* A store's file that is open already is opened by who places a value. */
static enum file_kind kind_of(const struct failing_io *failing, const char *name, int flags)
{
    if ((flags & O_DIRECTORY) != 0)
        return FILE_UNNAMED;
    if (!ends_in(name, ".rdr"))
        return FILE_COMPANION;
    for (size_t i = 0; i < FAILING_FDS_MAX; i++)
        if (failing->fds[i] == FILE_STORE && strcmp(failing->fd_names[i], name) == 0)
            return FILE_PLACING;
    return FILE_STORE;
}

static int failing_open(void *self, const char *path, int flags, mode_t mode)
{
    struct failing_io *failing = self;
    if (next(failing, CALL_OPEN, -1, path) != FAILURE_NONE)
        return -1;
    int fd = rd_io_system.open(NULL, path, flags, mode);
    if (fd < 0 || fd >= (int)FAILING_FDS_MAX)
        return fd;
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    pthread_mutex_lock(&failing->lock);
    failing->open_fds++;
    failing->fds[fd] = kind_of(failing, name, flags);
    snprintf(failing->fd_names[fd], sizeof failing->fd_names[fd], "%.60s", name);
    pthread_mutex_unlock(&failing->lock);
    return fd;
}

/* As Linux does it: a close that fails has closed. */
static int failing_close(void *self, int fd)
{
    struct failing_io *failing = self;
    bool fails = next(failing, CALL_CLOSE, fd, NULL) != FAILURE_NONE;
    int os_errno = errno;
    pthread_mutex_lock(&failing->lock);
    failing->open_fds--;
    failing->fds[fd] = FILE_NONE;
    pthread_mutex_unlock(&failing->lock);
    int result = rd_io_system.close(NULL, fd);
    errno = os_errno;
    return fails ? -1 : result;
}

static int failing_fstat(void *self, int fd, struct stat *ret_stat)
{
    return next(self, CALL_FSTAT, fd, NULL) != FAILURE_NONE ? -1 : rd_io_system.fstat(NULL, fd, ret_stat);
}

static int failing_stat(void *self, const char *path, struct stat *ret_stat)
{
    return next(self, CALL_STAT, -1, path) != FAILURE_NONE ? -1 : rd_io_system.stat(NULL, path, ret_stat);
}

static int failing_flock(void *self, int fd, int operation)
{
    return next(self, CALL_FLOCK, fd, NULL) != FAILURE_NONE ? -1 : rd_io_system.flock(NULL, fd, operation);
}

/* Never fails by itself: what a file system that has none of it answers is not a fault. */
static int failing_set_direct(void *self, int fd, bool direct)
{
    (void)self;
    return rd_io_system.set_direct(NULL, fd, direct);
}

static off_t failing_seek(void *self, int fd, off_t offset, int whence)
{
    return next(self, CALL_SEEK, fd, NULL) != FAILURE_NONE ? -1 : rd_io_system.seek(NULL, fd, offset, whence);
}

static size_t half(size_t len)
{
    return len < 2 ? len : len / 2;
}

static ssize_t failing_pread(void *self, int fd, void *to, size_t len, off_t offset)
{
    enum failure failure = next(self, CALL_PREAD, fd, NULL);
    if (failure != FAILURE_NONE && failure != FAILURE_SHORT)
        return -1;
    return rd_io_system.pread(NULL, fd, to, failure == FAILURE_SHORT ? half(len) : len, offset);
}

static size_t len_of(const struct iovec *parts, int part_count)
{
    size_t len = 0;
    for (int i = 0; i < part_count; i++)
        len += parts[i].iov_len;
    return len;
}

/* What a file runs ahead of its tail with: nobody misses it. */
static bool is_filling(const struct iovec *parts, int part_count)
{
    for (int i = 0; i < part_count; i++)
        for (size_t at = 0; at < parts[i].iov_len; at++)
            if (((const uint8_t *)parts[i].iov_base)[at] != 0xff)
                return false;
    return true;
}

/* Short: half of the first part that has anything in it. */
static ssize_t failing_pwritev(void *self, int fd, const struct iovec *parts, int part_count, off_t offset)
{
    struct failing_io *failing = self;
    hold_pass(&failing->writes);
    enum failure failure = next(failing, CALL_PWRITEV, fd, NULL);
    if (failure == FAILURE_NONE)
        return rd_io_system.pwritev(NULL, fd, parts, part_count, offset);
    failing->failed_filling = is_filling(parts, part_count);
    if (failure != FAILURE_SHORT)
        return failing->hidden ? (ssize_t)len_of(parts, part_count) : -1;
    int first = 0;
    while (first + 1 < part_count && parts[first].iov_len == 0)
        first++;
    struct iovec part = {.iov_base = parts[first].iov_base, .iov_len = half(parts[first].iov_len)};
    return rd_io_system.pwritev(NULL, fd, &part, 1, offset);
}

static int failing_ftruncate(void *self, int fd, off_t len)
{
    return next(self, CALL_FTRUNCATE, fd, NULL) != FAILURE_NONE ? -1 : rd_io_system.ftruncate(NULL, fd, len);
}

static int failing_start_writeback(void *self, int fd, off_t offset, off_t len)
{
    return next(self, CALL_START_WRITEBACK, fd, NULL) != FAILURE_NONE
               ? -1
               : rd_io_system.start_writeback(NULL, fd, offset, len);
}

static int failing_await_writeback(void *self, int fd, off_t offset, off_t len)
{
    return next(self, CALL_AWAIT_WRITEBACK, fd, NULL) != FAILURE_NONE
               ? -1
               : rd_io_system.await_writeback(NULL, fd, offset, len);
}

static int failing_drop_cache(void *self, int fd, off_t offset, off_t len)
{
    return next(self, CALL_DROP_CACHE, fd, NULL) != FAILURE_NONE ? -1
                                                                 : rd_io_system.drop_cache(NULL, fd, offset, len);
}

static int failing_free_len(void *self, int fd, uint64_t *ret_len)
{
    return next(self, CALL_FREE_LEN, fd, NULL) != FAILURE_NONE ? -1 : rd_io_system.free_len(NULL, fd, ret_len);
}

static ssize_t failing_copy_range(void *self, int from_fd, off_t from_offset, int to_fd, off_t to_offset,
                                  size_t len)
{
    enum failure failure = next(self, CALL_COPY_RANGE, to_fd, NULL);
    if (failure != FAILURE_NONE && failure != FAILURE_SHORT)
        return -1;
    return rd_io_system.copy_range(NULL, from_fd, from_offset, to_fd, to_offset,
                                   failure == FAILURE_SHORT ? half(len) : len);
}

/* Nobody will cut this machine's power: a sync that does not fail does nothing. */
static int failing_fdatasync(void *self, int fd)
{
    struct failing_io *failing = self;
    return next(failing, CALL_FDATASYNC, fd, NULL) != FAILURE_NONE && !failing->hidden ? -1 : 0;
}

static int failing_fsync(void *self, int fd)
{
    return next(self, CALL_FSYNC, fd, NULL) != FAILURE_NONE ? -1 : 0;
}

static int failing_fchown(void *self, int fd, uid_t owner, gid_t group)
{
    return next(self, CALL_FCHOWN, fd, NULL) != FAILURE_NONE ? -1 : rd_io_system.fchown(NULL, fd, owner, group);
}

static int failing_fchmod(void *self, int fd, mode_t mode)
{
    return next(self, CALL_FCHMOD, fd, NULL) != FAILURE_NONE ? -1 : rd_io_system.fchmod(NULL, fd, mode);
}

static ssize_t failing_flistxattr(void *self, int fd, char *to, size_t len)
{
    return next(self, CALL_FLISTXATTR, fd, NULL) != FAILURE_NONE ? -1 : rd_io_system.flistxattr(NULL, fd, to, len);
}

static ssize_t failing_fgetxattr(void *self, int fd, const char *name, void *to, size_t len)
{
    return next(self, CALL_FGETXATTR, fd, NULL) != FAILURE_NONE ? -1
                                                                : rd_io_system.fgetxattr(NULL, fd, name, to, len);
}

static int failing_fsetxattr(void *self, int fd, const char *name, const void *value, size_t len)
{
    return next(self, CALL_FSETXATTR, fd, NULL) != FAILURE_NONE
               ? -1
               : rd_io_system.fsetxattr(NULL, fd, name, value, len);
}

static int failing_fremovexattr(void *self, int fd, const char *name)
{
    return next(self, CALL_FREMOVEXATTR, fd, NULL) != FAILURE_NONE ? -1
                                                                   : rd_io_system.fremovexattr(NULL, fd, name);
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* A store's new file goes by the old one's name from now on, and the old one by none. */
static void note_renamed(struct failing_io *failing, const char *from, const char *to)
{
    pthread_mutex_lock(&failing->lock);
    for (size_t i = 0; i < FAILING_FDS_MAX; i++) {
        if (failing->fds[i] == FILE_STORE && strcmp(failing->fd_names[i], to) == 0)
            failing->fds[i] = FILE_UNNAMED;
        if (failing->fds[i] != FILE_COMPANION || strcmp(failing->fd_names[i], from) != 0)
            continue;
        failing->fds[i] = FILE_STORE;
        snprintf(failing->fd_names[i], sizeof failing->fd_names[i], "%.60s", to);
    }
    pthread_mutex_unlock(&failing->lock);
}

static int failing_rename(void *self, const char *from, const char *to)
{
    if (next(self, CALL_RENAME, -1, from) != FAILURE_NONE)
        return -1;
    int result = rd_io_system.rename(NULL, from, to);
    if (result == 0 && ends_in(to, ".rdr"))
        note_renamed(self, last_part(from), last_part(to));
    return result;
}

static int failing_unlink(void *self, const char *path)
{
    return next(self, CALL_UNLINK, -1, path) != FAILURE_NONE ? -1 : rd_io_system.unlink(NULL, path);
}

static void count_map(struct failing_io *failing, long change)
{
    pthread_mutex_lock(&failing->lock);
    failing->maps += change;
    pthread_mutex_unlock(&failing->lock);
}

static void *failing_mmap(void *self, size_t len, int fd)
{
    if (next(self, CALL_MMAP, fd, NULL) != FAILURE_NONE)
        return MAP_FAILED;
    void *address = rd_io_system.mmap(NULL, len, fd);
    if (address != MAP_FAILED)
        count_map(self, 1);
    return address;
}

static int failing_munmap(void *self, void *address, size_t len)
{
    bool fails = next(self, CALL_MUNMAP, -1, NULL) != FAILURE_NONE;
    count_map(self, -1);
    int result = rd_io_system.munmap(NULL, address, len);
    return fails ? -1 : result;
}

void failing_io_init(struct failing_io *failing, size_t fail_at, enum failure failure)
{
    *failing = (struct failing_io){.fail_at = fail_at, .failure = failure};
    failing->io = (struct rd_io){.self = failing,
                                 .open = failing_open,
                                 .close = failing_close,
                                 .fstat = failing_fstat,
                                 .stat = failing_stat,
                                 .flock = failing_flock,
                                 .set_direct = failing_set_direct,
                                 .seek = failing_seek,
                                 .pread = failing_pread,
                                 .pwritev = failing_pwritev,
                                 .ftruncate = failing_ftruncate,
                                 .start_writeback = failing_start_writeback,
                                 .await_writeback = failing_await_writeback,
                                 .drop_cache = failing_drop_cache,
                                 .copy_range = failing_copy_range,
                                 .free_len = failing_free_len,
                                 .fdatasync = failing_fdatasync,
                                 .fsync = failing_fsync,
                                 .fchown = failing_fchown,
                                 .fchmod = failing_fchmod,
                                 .flistxattr = failing_flistxattr,
                                 .fgetxattr = failing_fgetxattr,
                                 .fsetxattr = failing_fsetxattr,
                                 .fremovexattr = failing_fremovexattr,
                                 .rename = failing_rename,
                                 .unlink = failing_unlink,
                                 .mmap = failing_mmap,
                                 .munmap = failing_munmap};
    hold_init(&failing->writes);
    pthread_mutex_init(&failing->lock, NULL);
}

void failing_io_deinit(struct failing_io *failing)
{
    pthread_mutex_destroy(&failing->lock);
    hold_deinit(&failing->writes);
}

/* ---- allocations -------------------------------------------------------------------------------------- */

void *__real_malloc(size_t len);
void *__real_calloc(size_t count, size_t len);
void *__real_realloc(void *memory, size_t len);
void *__real_aligned_alloc(size_t alignment, size_t len);
void __real_free(void *memory);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *context);

void *__wrap_malloc(size_t len);
void *__wrap_calloc(size_t count, size_t len);
void *__wrap_realloc(void *memory, size_t len);
void *__wrap_aligned_alloc(size_t alignment, size_t len);
char *__wrap_strdup(const char *text);
void __wrap_free(void *memory);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *context);

static struct {
    atomic_bool armed;
    atomic_bool failed;
    atomic_size_t count;
    atomic_size_t fail_at;
    atomic_long live;
} allocations = {.fail_at = SIZE_MAX};

static _Thread_local bool
    thread_is_rigs; /* all others are the engine's, whose memory may come and go at any time */

static bool is_counted(void)
{
    return !thread_is_rigs || atomic_load(&allocations.armed);
}

static bool fails_now(void)
{
    if (!atomic_load(&allocations.armed) ||
        atomic_fetch_add(&allocations.count, 1) != atomic_load(&allocations.fail_at))
        return false;
    atomic_store(&allocations.failed, true);
    errno = ENOMEM;
    return true;
}

static void *count_live(void *memory)
{
    if (memory != NULL && is_counted())
        atomic_fetch_add(&allocations.live, 1);
    return memory;
}

void *__wrap_malloc(size_t len)
{
    return fails_now() ? NULL : count_live(__real_malloc(len));
}

void *__wrap_calloc(size_t count, size_t len)
{
    return fails_now() ? NULL : count_live(__real_calloc(count, len));
}

void *__wrap_realloc(void *memory, size_t len)
{
    if (fails_now())
        return NULL;
    void *moved = __real_realloc(memory, len);
    return memory == NULL ? count_live(moved) : moved;
}

void *__wrap_aligned_alloc(size_t alignment, size_t len)
{
    return fails_now() ? NULL : count_live(__real_aligned_alloc(alignment, len));
}

char *__wrap_strdup(const char *text)
{
    size_t len = strlen(text) + 1;
    char *copy = __wrap_malloc(len);
    if (copy != NULL)
        memcpy(copy, text, len);
    return copy;
}

void __wrap_free(void *memory)
{
    if (memory != NULL && is_counted())
        atomic_fetch_sub(&allocations.live, 1);
    __real_free(memory);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context)
{
    return fails_now() ? EAGAIN : __real_pthread_create(thread, attributes, run, context);
}

void allocations_begin(size_t fail_at)
{
    atomic_store(&allocations.failed, false);
    atomic_store(&allocations.count, 0);
    atomic_store(&allocations.fail_at, fail_at);
    atomic_store(&allocations.live, 0);
    thread_is_rigs = true;
}

void allocations_arm(void)
{
    atomic_store(&allocations.armed, true);
}

void allocations_disarm(void)
{
    atomic_store(&allocations.armed, false);
}

size_t allocations_count(void)
{
    return atomic_load(&allocations.count);
}

bool allocations_failed(void)
{
    return atomic_load(&allocations.failed);
}

long allocations_live(void)
{
    return atomic_load(&allocations.live);
}
