/* SPDX-License-Identifier: MIT */
#include "engine/meta.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/endian.h"
#include "engine/datafile.h"
#include "engine/engine.h"

#define MAGIC      "RDRMETA\n"
#define VERSION    2u
#define FLAG_CLEAN 1u

enum {
    AT_VERSION = 8,
    AT_FLAGS = 12,
    AT_GENERATION = 16,
    AT_DURABLE_TAIL = 24,
    AT_LAST_KEY = 32,
    AT_LAST_CRC = 40,
    AT_ENTRY_COUNT = 44,
    AT_FIRST_END = 52,
    AT_CRC = 60,
    META_LEN = 64
};
static_assert(AT_CRC + sizeof(uint32_t) == META_LEN, "the checksum is last");

static void encode(const struct rd_meta *meta, uint8_t to[META_LEN])
{
    memset(to, 0, META_LEN);
    memcpy(to, MAGIC, AT_VERSION);
    rd_store_u32le(to + AT_VERSION, VERSION);
    rd_store_u32le(to + AT_FLAGS, meta->clean ? FLAG_CLEAN : 0);
    rd_store_u64le(to + AT_GENERATION, meta->generation);
    rd_store_u64le(to + AT_DURABLE_TAIL, meta->durable_tail);
    rd_store_u64le(to + AT_LAST_KEY, meta->last_key);
    rd_store_u32le(to + AT_LAST_CRC, meta->last_crc);
    rd_store_u64le(to + AT_ENTRY_COUNT, meta->entry_count);
    rd_store_u64le(to + AT_FIRST_END, meta->first_end);
    rd_store_u32le(to + AT_CRC, rd_crc32(0, rd_slice(to, AT_CRC)));
}

static bool decode(const uint8_t from[META_LEN], struct rd_meta *ret_meta)
{
    if (memcmp(from, MAGIC, AT_VERSION) != 0 || rd_load_u32le(from + AT_VERSION) != VERSION ||
        rd_load_u32le(from + AT_CRC) != rd_crc32(0, rd_slice(from, AT_CRC)))
        return false;
    *ret_meta = (struct rd_meta){.generation = rd_load_u64le(from + AT_GENERATION),
                                 .durable_tail = rd_load_u64le(from + AT_DURABLE_TAIL),
                                 .entry_count = rd_load_u64le(from + AT_ENTRY_COUNT),
                                 .first_end = rd_load_u64le(from + AT_FIRST_END),
                                 .last_key = rd_load_u64le(from + AT_LAST_KEY),
                                 .last_crc = rd_load_u32le(from + AT_LAST_CRC),
                                 .clean = (rd_load_u32le(from + AT_FLAGS) & FLAG_CLEAN) != 0};
    return true;
}

/* PATH + ending; false: too long. */
static bool companion_path(const char *path, const char *ending, char ret_path[PATH_MAX])
{
    int len = snprintf(ret_path, PATH_MAX, "%s%s", path, ending);
    return len > 0 && len < PATH_MAX;
}

bool rd_meta_read(const struct rd_io *io, const char *path, struct rd_meta *ret_meta)
{
    char meta_path[PATH_MAX];
    uint8_t bytes[META_LEN];
    if (!companion_path(path, ".meta", meta_path))
        return false;
    int fd = io->open(io->self, meta_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0)
        return false;
    ssize_t got = io->pread(io->self, fd, bytes, sizeof bytes, 0);
    io->close(io->self, fd);
    return got == (ssize_t)sizeof bytes && decode(bytes, ret_meta);
}

/* Leaves it open, but where it cannot be opened. */
static int open_new(const struct rd_io *io, const char *path, const char *new_path, const struct rd_meta *meta,
                    int *ret_fd)
{
    uint8_t bytes[META_LEN];
    encode(meta, bytes);
    int fd = io->open(io->self, new_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return errno;
    *ret_fd = fd;
    rd_datafile_give_companion(io, fd, path);
    struct rd_datafile file = {.io = io, .fd = fd};
    return rd_datafile_write_slice(&file, 0, rd_slice(bytes, sizeof bytes));
}

static int write_new(const struct rd_io *io, const char *path, const char *new_path, const struct rd_meta *meta)
{
    int fd = -1;
    int failed = open_new(io, path, new_path, meta, &fd);
    if (fd < 0)
        return failed;
    if (failed == 0 && io->fsync(io->self, fd) != 0)
        failed = errno;
    io->close(io->self, fd);
    return failed;
}

int rd_meta_write(const struct rd_io *io, const char *path, const struct rd_meta *meta, bool old_is_true)
{
    char meta_path[PATH_MAX];
    char new_path[PATH_MAX];
    if (!companion_path(path, ".meta", meta_path) || !companion_path(path, ".meta.new", new_path))
        return ENAMETOOLONG;
    int failed = write_new(io, path, new_path, meta);
    if (failed == 0 && io->rename(io->self, new_path, meta_path) != 0)
        failed = errno;
    if (failed == 0)
        failed = rd_datafile_sync_folder(io, path);
    if (failed != 0)
        io->unlink(io->self, new_path);
    if (failed != 0 && !old_is_true)
        io->unlink(io->self, meta_path);
    return failed;
}

/* The companion is synced behind its rename, so that one commit of a journal takes both names and its bytes. Where
 * it cannot be written there is none, rather than the old one. */
int rd_meta_exchange(const struct rd_io *io, const char *path, struct rd_meta *meta, const char *new_file,
                     bool *ret_renamed)
{
    char meta_path[PATH_MAX];
    char new_path[PATH_MAX];
    *ret_renamed = false;
    if (!companion_path(path, ".meta", meta_path) || !companion_path(path, ".meta.new", new_path))
        return ENAMETOOLONG;
    int fd = -1;
    int no_companion = open_new(io, path, new_path, meta, &fd);
    int failed = io->rename(io->self, new_file, path) == 0 ? 0 : errno;
    *ret_renamed = failed == 0;
    if (failed == 0 && no_companion == 0 && io->rename(io->self, new_path, meta_path) != 0)
        no_companion = errno;
    if (failed == 0 && no_companion == 0 && io->fsync(io->self, fd) != 0)
        no_companion = errno;
    if (fd >= 0)
        io->close(io->self, fd);
    if (failed != 0 || no_companion != 0)
        io->unlink(io->self, new_path);
    if (failed == 0 && no_companion != 0) {
        io->unlink(io->self, meta_path);
        meta->durable_tail = 0;
    }
    return failed != 0 ? failed : rd_datafile_sync_folder(io, path);
}

int rd_meta_remove(const struct rd_io *io, const char *path)
{
    char meta_path[PATH_MAX];
    if (!companion_path(path, ".meta", meta_path))
        return ENAMETOOLONG;
    if (io->unlink(io->self, meta_path) != 0 && errno != ENOENT)
        return errno;
    return rd_datafile_sync_folder(io, path);
}

uint64_t rd_meta_new_generation(void)
{
    uint64_t generation;
    if (getrandom(&generation, sizeof generation, GRND_NONBLOCK) == (ssize_t)sizeof generation)
        return generation;
    struct timespec now; /* early boot: it need only differ from the one before */
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
