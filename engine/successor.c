/* SPDX-License-Identifier: MIT */
#include "engine/successor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "engine/attributes.h"

#define BUFFER_LEN  ((size_t)1 << 20)
#define PENDING_MAX 16384u

struct rd_successor_entry {
    uint64_t key_hash;
    uint64_t trailer_offset;
    bool tombstone;
};

static bool make_path(const char *path, char ret_path[PATH_MAX])
{
    int len = snprintf(ret_path, PATH_MAX, "%s.compact", path);
    return len > 0 && len < PATH_MAX;
}

void rd_successor_remove_leftover(const struct rd_io *io, const char *path)
{
    char left_path[PATH_MAX];
    if (make_path(path, left_path))
        (void)io->unlink(io->self, left_path);
}

/* ---- beginning and ending ------------------------------------------------------------------------------ */

enum rd_status rd_successor_check_place(const struct rd_io *io, const char *path, int store_fd,
                                        struct rd_error *ret_error)
{
    struct stat store_file;
    struct stat found;
    if (io->fstat(io->self, store_fd, &store_file) != 0)
        return rd_error_set(ret_error, RD_IO_ERROR, errno, "cannot examine %s", path);
    int fd = io->open(io->self, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0 && errno == ELOOP)
        return rd_error_set(ret_error, RD_IO_ERROR, ELOOP, "%s is to be compacted by the name of its file", path);
    if (fd < 0)
        return rd_error_set(ret_error, RD_IO_ERROR, errno, "cannot open %s", path);
    int failed = io->fstat(io->self, fd, &found) == 0 ? 0 : errno;
    io->close(io->self, fd);
    if (failed != 0)
        return rd_error_set(ret_error, RD_IO_ERROR, failed, "cannot examine %s", path);
    if (found.st_dev != store_file.st_dev || found.st_ino != store_file.st_ino)
        return rd_error_set(ret_error, RD_IO_ERROR, 0, "others have put another file in the place of %s", path);
    return RD_OK;
}

static enum rd_status status_of(int failed)
{
    if (failed == ENOMEM)
        return RD_NO_MEMORY;
    return failed == ENOSPC || failed == EDQUOT ? RD_NO_SPACE : RD_IO_ERROR;
}

/* Locked before it has the store's name, so that there is no moment at which that name leads to a file that
 * somebody else could take. */
static enum rd_status make_file(struct rd_successor *successor, const struct rd_io *io, const char *path,
                                int store_fd, struct rd_error *ret_error)
{
    char new_path[PATH_MAX];
    if (!make_path(path, new_path))
        return rd_error_set(ret_error, RD_IO_ERROR, ENAMETOOLONG, "cannot compact %s", path);
    enum rd_status status = rd_successor_check_place(io, path, store_fd, ret_error);
    if (status != RD_OK)
        return status;
    rd_successor_remove_leftover(io, path);
    int fd = io->open(io->self, new_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        int failed = errno;
        return rd_error_set(ret_error, status_of(failed), failed, "cannot make %s", new_path);
    }
    successor->file = (struct rd_datafile){.io = io, .path = strdup(new_path), .fd = fd};
    if (successor->file.path == NULL) {
        (void)io->unlink(io->self, new_path);
        return rd_error_set(ret_error, RD_NO_MEMORY, 0, "no memory to compact %s", path);
    }
    if (io->flock(io->self, fd, LOCK_EX | LOCK_NB) != 0)
        return rd_error_set(ret_error, RD_IO_ERROR, errno, "cannot lock %s", new_path);
    int failed = rd_attributes_take_over(io, store_fd, fd);
    if (failed != 0)
        return rd_error_set(ret_error, status_of(failed), failed, "cannot make %s whose and what %s is", new_path,
                            path);
    return RD_OK;
}

enum rd_status rd_successor_begin(struct rd_successor *successor, const struct rd_io *io, const char *path,
                                  int store_fd, uint64_t expected_keys, uint64_t expected_len,
                                  struct rd_error *ret_error)
{
    *successor = (struct rd_successor){.file.fd = -1};
    rd_epoch_init(&successor->epoch);
    enum rd_status status = make_file(successor, io, path, store_fd, ret_error);
    if (status != RD_OK)
        return status;
    successor->view = rd_view_create();
    successor->buffer = aligned_alloc(RD_RECORD_ALIGN, BUFFER_LEN + RD_RECORD_ALIGN);
    successor->pending = calloc(PENDING_MAX, sizeof *successor->pending);
    if (successor->view == NULL || successor->buffer == NULL || successor->pending == NULL ||
        rd_index_init(&successor->view->index, &successor->epoch, expected_keys) != RD_OK)
        return rd_error_set(ret_error, RD_NO_MEMORY, 0, "no memory to compact %s", path);
    struct rd_mapping *mapping;
    status = rd_mapping_create(io, successor->file.fd, expected_len, &mapping, ret_error);
    if (status == RD_OK) {
        rd_residency_expect(mapping->base, mapping->len, true);
        atomic_store_explicit(&successor->view->mapping, mapping, memory_order_relaxed);
    }
    return status;
}

void rd_successor_end(struct rd_successor *successor)
{
    if (successor->file.path != NULL)
        (void)successor->file.io->unlink(successor->file.io->self, successor->file.path);
    rd_epoch_deinit(&successor->epoch);
    rd_view_destroy(successor->view);
    rd_datafile_close(&successor->file);
    free(successor->buffer);
    free(successor->pending);
    *successor = (struct rd_successor){.file.fd = -1};
}

/* ---- appending ----------------------------------------------------------------------------------------- */

static struct rd_mapping *mapping_of(const struct rd_successor *successor)
{
    return atomic_load_explicit(&successor->view->mapping, memory_order_relaxed);
}

/* Longer than was expected: nobody else looks at the map yet. */
static int make_map_cover(struct rd_successor *successor)
{
    struct rd_mapping *old = mapping_of(successor);
    struct rd_mapping *mapping;
    if (successor->file.size <= old->len)
        return 0;
    if (rd_mapping_create(successor->file.io, successor->file.fd, successor->file.size, &mapping, NULL) != RD_OK)
        return ENOMEM;
    rd_residency_expect(mapping->base, mapping->len, true);
    atomic_store_explicit(&successor->view->mapping, mapping, memory_order_relaxed);
    rd_mapping_destroy(old);
    return 0;
}

static uint64_t entry_bytes(const uint8_t *file, uint64_t trailer_offset)
{
    struct rd_record record;
    bool whole = rd_record_parse(file, trailer_offset + RD_TRAILER_LEN, &record);
    return whole ? record.payload_len + RD_TRAILER_LEN : 0;
}

static int index_entry(struct rd_successor *successor, const uint8_t *file, const struct rd_successor_entry *entry)
{
    struct rd_index *index = &successor->view->index;
    uint64_t old;
    if (entry->tombstone) {
        old = rd_index_remove(index, file, entry->key_hash);
    } else {
        bool grew = false;
        rd_index_begin(index);
        if (rd_index_reserve(index, file, entry->key_hash, &grew) != RD_OK)
            return ENOMEM;
        old = rd_index_put(index, file, entry->key_hash, entry->trailer_offset);
        successor->live_bytes += entry_bytes(file, entry->trailer_offset);
    }
    if (old != 0)
        successor->live_bytes -= entry_bytes(file, old);
    return 0;
}

/* What is pending lies in the file: its trailers can be read. */
static int index_pending(struct rd_successor *successor)
{
    enum { AHEAD = 8 };
    int failed = make_map_cover(successor);
    const uint8_t *file = mapping_of(successor)->base;
    for (uint32_t i = 0; failed == 0 && i < successor->pending_count; i++) {
        if (i + AHEAD < successor->pending_count)
            rd_index_prefetch(&successor->view->index, successor->pending[i + AHEAD].key_hash);
        failed = index_entry(successor, file, &successor->pending[i]);
    }
    successor->pending_count = 0;
    rd_epoch_collect(&successor->epoch);
    return failed;
}

static uint8_t *buffer_begin(const struct rd_successor *successor)
{
    return successor->buffer + successor->file.size % RD_RECORD_ALIGN;
}

int rd_successor_flush(struct rd_successor *successor)
{
    uint64_t offset = successor->file.size;
    size_t len = successor->buffer_len;
    int failed = rd_datafile_write_slice(&successor->file, offset, rd_slice(buffer_begin(successor), len));
    if (failed != 0)
        return failed;
    rd_datafile_start_writeback(&successor->file, offset, len);
    successor->unsynced_len += len;
    successor->buffer_len = 0;
    return index_pending(successor);
}

/* bytes.data NULL: zeros. */
static int put(struct rd_successor *successor, struct rd_slice bytes)
{
    for (uint64_t done = 0; done < bytes.len;) {
        if (successor->buffer_len == BUFFER_LEN) {
            int failed = rd_successor_flush(successor);
            if (failed != 0)
                return failed;
        }
        uint64_t room = BUFFER_LEN - successor->buffer_len;
        size_t len = (size_t)(bytes.len - done < room ? bytes.len - done : room);
        uint8_t *to = buffer_begin(successor) + successor->buffer_len;
        if (bytes.data == NULL)
            memset(to, 0, len);
        else
            memcpy(to, bytes.data + done, len);
        successor->buffer_len += len;
        done += len;
    }
    return 0;
}

/* The entry is whole in the buffer, or before it. */
static int close_entry(struct rd_successor *successor, const struct rd_record *record, uint64_t payload_offset)
{
    uint8_t bytes[RD_TRAILER_LEN];
    struct rd_trailer trailer = record->trailer;
    trailer.prev_tail = successor->tail;
    if (record->tombstone)
        trailer.crc32 = RD_TOMBSTONE_CRC;
    rd_trailer_encode(&trailer, bytes);
    int failed = put(successor, rd_slice(bytes, sizeof bytes));
    if (failed != 0)
        return failed;
    uint64_t trailer_offset = payload_offset + record->payload_len;
    successor->pending[successor->pending_count++] = (struct rd_successor_entry){
        .key_hash = trailer.key_hash, .trailer_offset = trailer_offset, .tombstone = record->tombstone};
    successor->tail = trailer_offset + RD_TRAILER_LEN;
    successor->entry_count++;
    return successor->pending_count == PENDING_MAX ? rd_successor_flush(successor) : 0;
}

/* A tombstone is made anew: a damaged one is told by where it lies, and that changes. */
int rd_successor_append(struct rd_successor *successor, const uint8_t *from, const struct rd_record *record,
                        uint64_t first, uint64_t len)
{
    uint64_t offset = record->tombstone ? successor->tail : rd_record_align(successor->tail);
    const uint8_t *payload = record->tombstone ? NULL : from + record->payload_offset + first;
    int failed = first == 0 ? put(successor, rd_slice(NULL, offset - successor->tail)) : 0;
    if (failed == 0)
        failed = put(successor, rd_slice(payload, len));
    if (failed == 0 && first + len == record->payload_len)
        failed = close_entry(successor, record, offset);
    return failed;
}

bool rd_successor_holds(struct rd_successor *successor, uint64_t key_hash)
{
    return rd_index_lookup(&successor->view->index, mapping_of(successor)->base, key_hash) != 0;
}

int rd_successor_sync(struct rd_successor *successor)
{
    int failed = rd_datafile_sync(&successor->file);
    if (failed == 0)
        successor->unsynced_len = 0;
    return failed;
}
