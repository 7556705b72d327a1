/* SPDX-License-Identifier: MIT */
#include "tests/crash/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "tests/crash/common.h"

/* Files are told by their last part: all are in one folder. */
static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static struct recorder_fd *fd_of(struct recorder *recorder, int fd)
{
    if (fd < 0 || fd >= (int)FDS_MAX)
        die("descriptor %d is more than the recorder knows", fd);
    return &recorder->fds[fd];
}

static bool is_open(const struct recorder *recorder, uint32_t inode)
{
    for (size_t i = 0; i < FDS_MAX; i++)
        if (recorder->fds[i].inode == inode)
            return true;
    return false;
}

static bool is_store_file(const char *path)
{
    return strcmp(path + strlen(path) - strlen(".rdr"), ".rdr") == 0;
}

/* ---- names -------------------------------------------------------------------------------------------- */

static void note_opened(struct recorder *recorder, int fd, const char *path, int flags)
{
    struct log *log = &recorder->log;
    uint32_t name = log_name(log, last_part(path));
    uint32_t inode = recorder->leads_to[name];
    struct recorder_fd *entry = fd_of(recorder, fd);
    if (inode == NO_INODE) {
        if ((flags & O_CREAT) == 0)
            die("%s was there and should not be", path);
        inode = log->inode_count++;
        recorder->leads_to[name] = inode;
        log_add(log, (struct event){.kind = EVENT_CREATE, .inode = inode, .name = name});
    } else if ((flags & O_TRUNC) != 0) {
        log_add(log, (struct event){.kind = EVENT_RESIZE, .inode = inode});
    }
    entry->second = is_open(recorder, inode);
    entry->store_file = is_store_file(path);
    entry->inode = inode;
}

static int recording_open(void *self, const char *path, int flags, mode_t mode)
{
    struct recorder *recorder = self;
    pthread_mutex_lock(&recorder->lock);
    int fd = rd_io_system.open(NULL, path, flags, mode);
    int os_errno = errno;
    bool named = (flags & O_DIRECTORY) == 0; /* O_TMPFILE has that bit too */
    if (fd >= 0 && named)
        note_opened(recorder, fd, path, flags);
    pthread_mutex_unlock(&recorder->lock);
    errno = os_errno;
    return fd;
}

static int recording_close(void *self, int fd)
{
    struct recorder *recorder = self;
    pthread_mutex_lock(&recorder->lock);
    *fd_of(recorder, fd) = (struct recorder_fd){.inode = NO_INODE};
    int result = rd_io_system.close(NULL, fd);
    pthread_mutex_unlock(&recorder->lock);
    return result;
}

static int recording_rename(void *self, const char *from, const char *to)
{
    struct recorder *recorder = self;
    pthread_mutex_lock(&recorder->lock);
    int result = rd_io_system.rename(NULL, from, to);
    if (result == 0) {
        struct event event = {.kind = EVENT_RENAME,
                              .name = log_name(&recorder->log, last_part(from)),
                              .to_name = log_name(&recorder->log, last_part(to))};
        event.inode = recorder->leads_to[event.name];
        recorder->leads_to[event.to_name] = event.inode;
        recorder->leads_to[event.name] = NO_INODE;
        log_add(&recorder->log, event);
        for (size_t i = 0; i < FDS_MAX; i++)
            if (recorder->fds[i].inode == event.inode)
                recorder->fds[i].store_file = is_store_file(to);
    }
    pthread_mutex_unlock(&recorder->lock);
    return result;
}

static int recording_unlink(void *self, const char *path)
{
    struct recorder *recorder = self;
    pthread_mutex_lock(&recorder->lock);
    int result = rd_io_system.unlink(NULL, path);
    if (result == 0) {
        struct event event = {.kind = EVENT_UNLINK, .name = log_name(&recorder->log, last_part(path))};
        event.inode = recorder->leads_to[event.name];
        recorder->leads_to[event.name] = NO_INODE;
        log_add(&recorder->log, event);
    }
    pthread_mutex_unlock(&recorder->lock);
    return result;
}

/* ---- bytes -------------------------------------------------------------------------------------------- */

/* As many bytes as the full disk still takes; -1 with errno where it takes none. */
static ssize_t room_for(const struct recorder *recorder, int fd, uint64_t offset, size_t len)
{
    if (recorder->size_max == 0 || !recorder->fds[fd].store_file || offset + len <= recorder->size_max)
        return (ssize_t)len;
    if (offset < recorder->size_max)
        return (ssize_t)(recorder->size_max - offset);
    errno = ENOSPC;
    return -1;
}

/* Whether `while_placing` is to be called behind this write. */
static bool places(const struct recorder *recorder, int fd)
{
    return recorder->while_placing != NULL && recorder->fds[fd].second;
}

/* What opening writes behind the file's end, to overwrite what a power cut may have left there; and what makes the
 * file run ahead of its tail. */
static bool is_filling(const struct rd_buffer *bytes)
{
    for (size_t i = 0; i < bytes->len; i++)
        if (bytes->data[i] != 0xff)
            return false;
    return true;
}

static ssize_t write_up_to(struct recorder *recorder, int fd, const struct iovec *parts, int part_count,
                           off_t offset, size_t len_max)
{
    struct log *log = &recorder->log;
    uint32_t inode = fd_of(recorder, fd)->inode;
    struct rd_buffer bytes;
    rd_buffer_init(&bytes, 0);
    for (int i = 0; i < part_count; i++)
        rd_buffer_append(&bytes, parts[i].iov_base, parts[i].iov_len);
    if (bytes.failed)
        die("no memory for a write");
    struct iovec whole = {.iov_base = bytes.data, .iov_len = bytes.len < len_max ? bytes.len : len_max};
    ssize_t written = rd_io_system.pwritev(NULL, fd, &whole, 1, offset);
    int os_errno = errno;
    if (!is_filling(&bytes))
        fd_of(recorder, fd)->written = true;
    else
        recorder->extended += fd_of(recorder, fd)->written && fd_of(recorder, fd)->store_file;
    if (written > 0 && inode != NO_INODE)
        log_add_write(log, inode, (uint64_t)offset, rd_slice(bytes.data, (size_t)written));
    rd_buffer_deinit(&bytes);
    errno = os_errno;
    return written;
}

static ssize_t recording_pwritev(void *self, int fd, const struct iovec *parts, int part_count, off_t offset)
{
    struct recorder *recorder = self;
    size_t len = 0;
    for (int i = 0; i < part_count; i++)
        len += parts[i].iov_len;
    hold_pass(&recorder->writes);
    pthread_mutex_lock(&recorder->lock);
    ssize_t written = room_for(recorder, fd, (uint64_t)offset, len);
    if (written >= 0)
        written = write_up_to(recorder, fd, parts, part_count, offset, (size_t)written);
    int os_errno = errno;
    bool placing = places(recorder, fd);
    pthread_mutex_unlock(&recorder->lock);
    if (placing)
        recorder->while_placing(recorder->while_placing_context);
    errno = os_errno;
    return written;
}

/* copy_file_range, through memory: the log needs the bytes. */
static ssize_t recording_copy_range(void *self, int from_fd, off_t from_offset, int to_fd, off_t to_offset,
                                    size_t len)
{
    uint8_t bytes[64 << 10];
    ssize_t got = rd_io_system.pread(NULL, from_fd, bytes, len < sizeof bytes ? len : sizeof bytes, from_offset);
    if (got <= 0)
        return got;
    struct iovec part = {.iov_base = bytes, .iov_len = (size_t)got};
    return recording_pwritev(self, to_fd, &part, 1, to_offset);
}

static int recording_ftruncate(void *self, int fd, off_t len)
{
    struct recorder *recorder = self;
    pthread_mutex_lock(&recorder->lock);
    int result = rd_io_system.ftruncate(NULL, fd, len);
    if (result == 0 && fd_of(recorder, fd)->inode != NO_INODE)
        log_add(
            &recorder->log,
            (struct event){.kind = EVENT_RESIZE, .inode = fd_of(recorder, fd)->inode, .offset = (uint64_t)len});
    pthread_mutex_unlock(&recorder->lock);
    return result;
}

/* ---- syncs -------------------------------------------------------------------------------------------- */

static int sync_inode(struct recorder *recorder, int fd, enum planted forgets)
{
    pthread_mutex_lock(&recorder->lock);
    uint32_t inode = fd_of(recorder, fd)->inode;
    bool forgotten =
        recorder->planted == forgets || (recorder->planted == PLANTED_NO_OPEN_SYNC &&
                                         forgets == PLANTED_NO_DATA_SYNC && !fd_of(recorder, fd)->written);
    if (inode != NO_INODE && !forgotten)
        log_add(&recorder->log, (struct event){.kind = EVENT_SYNC, .inode = inode});
    pthread_mutex_unlock(&recorder->lock);
    return 0;
}

static int recording_fdatasync(void *self, int fd)
{
    return sync_inode(self, fd, PLANTED_NO_DATA_SYNC);
}

static int recording_fsync(void *self, int fd)
{
    struct recorder *recorder = self;
    struct stat found;
    if (fstat(fd, &found) != 0)
        return -1;
    if (!S_ISDIR(found.st_mode))
        return sync_inode(recorder, fd, PLANTED_NO_FILE_SYNC);
    pthread_mutex_lock(&recorder->lock);
    if (recorder->planted != PLANTED_NO_FOLDER_SYNC)
        log_add(&recorder->log, (struct event){.kind = EVENT_SYNC_FOLDER, .inode = NO_INODE});
    pthread_mutex_unlock(&recorder->lock);
    return 0;
}

/* ---- the table ---------------------------------------------------------------------------------------- */

void recorder_init(struct recorder *recorder, struct log log, enum planted planted)
{
    *recorder = (struct recorder){.io = rd_io_system, .log = log, .planted = planted};
    recorder->io.self = recorder;
    recorder->io.open = recording_open;
    recorder->io.close = recording_close;
    recorder->io.pwritev = recording_pwritev;
    recorder->io.copy_range = recording_copy_range;
    recorder->io.ftruncate = recording_ftruncate;
    recorder->io.fdatasync = recording_fdatasync;
    recorder->io.fsync = recording_fsync;
    recorder->io.rename = recording_rename;
    recorder->io.unlink = recording_unlink;
    log_names_at(&recorder->log, recorder->log.count, recorder->leads_to);
    for (size_t i = 0; i < FDS_MAX; i++)
        recorder->fds[i].inode = NO_INODE;
    pthread_mutex_init(&recorder->lock, NULL);
    hold_init(&recorder->writes);
}

void recorder_deinit(struct recorder *recorder)
{
    hold_deinit(&recorder->writes);
    pthread_mutex_destroy(&recorder->lock);
    log_deinit(&recorder->log);
}

size_t recorder_note(struct recorder *recorder)
{
    pthread_mutex_lock(&recorder->lock);
    size_t index = recorder->log.count;
    log_add(&recorder->log, (struct event){.kind = EVENT_NOTE, .inode = NO_INODE});
    pthread_mutex_unlock(&recorder->lock);
    return index;
}

void recorder_set_size_max(struct recorder *recorder, uint64_t size_max)
{
    pthread_mutex_lock(&recorder->lock);
    recorder->size_max = size_max;
    pthread_mutex_unlock(&recorder->lock);
}
