/* SPDX-License-Identifier: MIT
 *
 * faults.h - a table of system calls that counts, records and fails them as a test says. Calls come from the
 * store's threads and from the test's: all is under one lock.
 */
#ifndef RD_TESTS_ENGINE_FAULTS_H
#define RD_TESTS_ENGINE_FAULTS_H

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "engine/io.h"
#include "tests/unit/engine/fixture.h"

enum call { CALL_OPEN, CALL_FLOCK, CALL_PWRITEV, CALL_FTRUNCATE, CALL_FDATASYNC, CALL_FSYNC, CALL_MMAP, CALLS };

#define EVENTS_MAX 65536u
#define FOR_EVER   UINT_MAX

struct event {
    enum call call;
    uint64_t at_ms;
    bool folder; /* FSYNC: of a folder */
};

/* Calls number skip, skip + 1, ... of this kind fail, `times` of them. */
struct rule {
    unsigned skip;
    unsigned times;
    int os_errno;
};

struct faults {
    struct rd_io io;
    pthread_mutex_t lock; /* guards counts, rules and events; the rest is set while no call is under way */
    struct rule rules[CALLS];
    unsigned counts[CALLS];
    size_t write_len_max;    /* one pwritev takes no more; 0: as much as is given */
    bool interrupt_writes;   /* every second pwritev is EINTR */
    atomic_uint writes;      /* so many, while they are interrupted */
    uint64_t size_max;       /* the disk is full above; 0: it is not */
    const char *open_filter; /* rules of CALL_OPEN: only for paths that contain it */
    struct event *events;    /* owned */
    size_t event_count;
};

/* Whether this call is to fail; errno is set then. Records it if not. */
static bool fails(struct faults *faults, enum call call, bool folder)
{
    pthread_mutex_lock(&faults->lock);
    struct rule *rule = &faults->rules[call];
    unsigned number = faults->counts[call]++;
    bool failing = rule->times != 0 && number >= rule->skip;
    int os_errno = rule->os_errno;
    if (failing && rule->times != FOR_EVER)
        rule->times--;
    if (!failing && faults->event_count < EVENTS_MAX)
        faults->events[faults->event_count++] = (struct event){.call = call, .at_ms = now_ms(), .folder = folder};
    pthread_mutex_unlock(&faults->lock);
    if (failing)
        errno = os_errno;
    return failing;
}

static int faulty_open(void *self, const char *path, int flags, mode_t mode)
{
    struct faults *faults = self;
    if (faults->open_filter != NULL && strstr(path, faults->open_filter) != NULL &&
        fails(faults, CALL_OPEN, false))
        return -1;
    return rd_io_system.open(NULL, path, flags, mode);
}

static int faulty_flock(void *self, int fd, int operation)
{
    return fails(self, CALL_FLOCK, false) ? -1 : rd_io_system.flock(NULL, fd, operation);
}

static ssize_t faulty_pwritev(void *self, int fd, const struct iovec *parts, int part_count, off_t offset)
{
    struct faults *faults = self;
    if (faults->interrupt_writes && atomic_fetch_add(&faults->writes, 1) % 2 == 0) {
        errno = EINTR;
        return -1;
    }
    if (fails(faults, CALL_PWRITEV, false))
        return -1;
    uint64_t most = faults->write_len_max == 0 ? UINT64_MAX : faults->write_len_max;
    if (faults->size_max != 0 && (uint64_t)offset >= faults->size_max) {
        errno = ENOSPC;
        return -1;
    }
    if (faults->size_max != 0 && faults->size_max - (uint64_t)offset < most)
        most = faults->size_max - (uint64_t)offset;
    uint64_t given = 0;
    for (int i = 0; i < part_count; i++)
        given += parts[i].iov_len;
    if (given <= most)
        return rd_io_system.pwritev(NULL, fd, parts, part_count, offset);
    struct iovec first = parts[0];
    if (first.iov_len > most)
        first.iov_len = (size_t)most;
    return rd_io_system.pwritev(NULL, fd, &first, 1, offset);
}

static int faulty_ftruncate(void *self, int fd, off_t len)
{
    return fails(self, CALL_FTRUNCATE, false) ? -1 : rd_io_system.ftruncate(NULL, fd, len);
}

static int faulty_fdatasync(void *self, int fd)
{
    (void)fd; /* what is counted need not reach the disk */
    return fails(self, CALL_FDATASYNC, false) ? -1 : 0;
}

static int faulty_fsync(void *self, int fd)
{
    struct stat found = {0};
    (void)fstat(fd, &found);
    return fails(self, CALL_FSYNC, S_ISDIR(found.st_mode)) ? -1 : 0;
}

static void *faulty_mmap(void *self, size_t len, int fd)
{
    return fails(self, CALL_MMAP, false) ? MAP_FAILED : rd_io_system.mmap(NULL, len, fd);
}

static struct faults *faults_create(void)
{
    struct faults *faults = calloc(1, sizeof *faults);
    assert_non_null(faults);
    faults->events = calloc(EVENTS_MAX, sizeof *faults->events);
    assert_non_null(faults->events);
    faults->io = rd_io_system;
    faults->io.self = faults;
    faults->io.open = faulty_open;
    faults->io.flock = faulty_flock;
    faults->io.pwritev = faulty_pwritev;
    faults->io.ftruncate = faulty_ftruncate;
    faults->io.fdatasync = faulty_fdatasync;
    faults->io.fsync = faulty_fsync;
    faults->io.mmap = faulty_mmap;
    pthread_mutex_init(&faults->lock, NULL);
    return faults;
}

static void faults_destroy(struct faults *faults)
{
    pthread_mutex_destroy(&faults->lock);
    free(faults->events);
    free(faults);
}

/* From the next call of this kind on. */
UNUSED static void faults_set(struct faults *faults, enum call call, unsigned skip, unsigned times, int os_errno)
{
    pthread_mutex_lock(&faults->lock);
    faults->rules[call] = (struct rule){.skip = faults->counts[call] + skip, .times = times, .os_errno = os_errno};
    pthread_mutex_unlock(&faults->lock);
}

UNUSED static unsigned faults_count(struct faults *faults, enum call call)
{
    pthread_mutex_lock(&faults->lock);
    unsigned count = faults->counts[call];
    pthread_mutex_unlock(&faults->lock);
    return count;
}

UNUSED static struct rd_store *open_faulty(struct faults *faults, const char *path, enum rd_durability durability,
                                           uint32_t interval_ms)
{
    return store_open_with(path, (struct rd_store_options){.create = true,
                                                           .durability = durability,
                                                           .durability_interval_ms = interval_ms,
                                                           .io = &faults->io});
}

UNUSED static enum rd_status status_of_faulty_open(struct faults *faults, const char *path)
{
    struct rd_store_options options = {.create = true, .io = &faults->io};
    struct rd_store *store = NULL;
    struct rd_error error = {.status = RD_OK};
    enum rd_status status = rd_store_open(path, &options, &store, &error);
    if (status == RD_OK)
        rd_store_close(store);
    else
        assert_true(error.status == status && error.message[0] != '\0');
    return status;
}

#endif
