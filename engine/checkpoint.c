/* SPDX-License-Identifier: MIT */
#include "engine/checkpoint.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "engine/datafile.h"
#include "engine/digest.h"
#include "engine/queue.h"
#include "engine/record.h"

#define MAGIC        "RDRINDX\n"
#define VERSION      2u /* 1: slots of another layout */
#define ORDER_MARK   UINT32_C(0x01020304)
#define SAMPLE_COUNT 32u         /* slots that are held against the file: each may cost a read of the disk */
#define PARTS_MAX    256         /* written by one call */
#define STEP_LEN     (64u << 20) /* bytes written between syncs, so that none of these takes long */

enum {
    AT_VERSION = 8,
    AT_DEPTH = 12,
    AT_GENERATION = 16,
    AT_TAIL = 24,
    AT_ENTRY_COUNT = 32,
    AT_LAST_KEY = 40,
    AT_LAST_CRC = 48,
    AT_BYTE_ORDER = 52,
    AT_LIVE_BYTES = 56,
    AT_KEY_COUNT = 64,
    AT_SEED = 72,
    AT_PART_COUNT = 80,
    AT_BODY_HASH = 88,
    AT_HEADER_HASH = 120,
    HEADER_LEN = 128,
    PART_LEN = 2 /* of the table, for each part */
};
static_assert(AT_HEADER_HASH + sizeof(uint64_t) == HEADER_LEN, "the checksum is last");
static_assert(HEADER_LEN % 64 == 0, "the slots start on a cache line");
static_assert(sizeof(atomic_uint_fast64_t) == sizeof(uint64_t), "a slot in memory is a slot in the file");

/* What the header has beside rd_checkpoint. */
struct body {
    uint32_t depth;
    uint64_t key_count;
    uint64_t seed;
    uint64_t part_count;
    uint64_t hash;
};

static uint64_t table_len(uint64_t part_count)
{
    return (part_count * PART_LEN + 63) / 64 * 64;
}

static void encode_header(const struct rd_checkpoint *checkpoint, const struct body *body, uint8_t to[HEADER_LEN])
{
    uint32_t byte_order = ORDER_MARK;
    memset(to, 0, HEADER_LEN);
    memcpy(to, MAGIC, AT_VERSION);
    rd_store_u32le(to + AT_VERSION, VERSION);
    rd_store_u32le(to + AT_DEPTH, body->depth);
    rd_store_u64le(to + AT_GENERATION, checkpoint->generation);
    rd_store_u64le(to + AT_TAIL, checkpoint->tail);
    rd_store_u64le(to + AT_ENTRY_COUNT, checkpoint->entry_count);
    rd_store_u64le(to + AT_LAST_KEY, checkpoint->last_key);
    rd_store_u32le(to + AT_LAST_CRC, checkpoint->last_crc);
    memcpy(to + AT_BYTE_ORDER, &byte_order, sizeof byte_order);
    rd_store_u64le(to + AT_LIVE_BYTES, checkpoint->live_bytes);
    rd_store_u64le(to + AT_KEY_COUNT, body->key_count);
    rd_store_u64le(to + AT_SEED, body->seed);
    rd_store_u64le(to + AT_PART_COUNT, body->part_count);
    rd_store_u64le(to + AT_BODY_HASH, body->hash);
    rd_store_u64le(to + AT_HEADER_HASH, rd_hash64(0, rd_slice(to, AT_HEADER_HASH)));
}

static bool decode_header(const uint8_t from[HEADER_LEN], struct rd_checkpoint *ret_checkpoint,
                          struct body *ret_body)
{
    uint32_t byte_order = ORDER_MARK;
    if (memcmp(from, MAGIC, AT_VERSION) != 0 || rd_load_u32le(from + AT_VERSION) != VERSION ||
        memcmp(from + AT_BYTE_ORDER, &byte_order, sizeof byte_order) != 0 ||
        rd_load_u64le(from + AT_HEADER_HASH) != rd_hash64(0, rd_slice(from, AT_HEADER_HASH)))
        return false;
    *ret_checkpoint = (struct rd_checkpoint){.generation = rd_load_u64le(from + AT_GENERATION),
                                             .tail = rd_load_u64le(from + AT_TAIL),
                                             .entry_count = rd_load_u64le(from + AT_ENTRY_COUNT),
                                             .last_key = rd_load_u64le(from + AT_LAST_KEY),
                                             .last_crc = rd_load_u32le(from + AT_LAST_CRC),
                                             .live_bytes = rd_load_u64le(from + AT_LIVE_BYTES)};
    *ret_body = (struct body){.depth = rd_load_u32le(from + AT_DEPTH),
                              .key_count = rd_load_u64le(from + AT_KEY_COUNT),
                              .seed = rd_load_u64le(from + AT_SEED),
                              .part_count = rd_load_u64le(from + AT_PART_COUNT),
                              .hash = rd_load_u64le(from + AT_BODY_HASH)};
    return true;
}

static bool make_path(const char *path, const char *ending, char ret_path[PATH_MAX])
{
    int len = snprintf(ret_path, PATH_MAX, "%s%s", path, ending);
    return len > 0 && len < PATH_MAX;
}

/* ---- loading ------------------------------------------------------------------------------------------ */

struct reader {
    const struct rd_io *io;
    int fd;
    uint64_t offset; /* of what is read next */
    uint64_t len;    /* of the file */
    uint64_t hash;   /* of all that was read */
};

/* The next len bytes, all of them. */
static bool read_on(struct reader *reader, void *to, size_t len)
{
    uint8_t *at = to;
    size_t left = len;
    while (left != 0) {
        ssize_t got = reader->io->pread(reader->io->self, reader->fd, at, left, (off_t)reader->offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        left -= (size_t)got;
        reader->offset += (uint64_t)got;
    }
    reader->hash = rd_hash64(reader->hash, rd_slice(to, len));
    return true;
}

static bool fill_slots(void *context, void *slots, size_t len)
{
    return read_on(context, slots, len);
}

/* The entry that ends at the checkpoint's tail did so then, and no more was recorded than it says. */
static bool fits(const struct rd_checkpoint *checkpoint, const struct rd_checkpoint *wanted, const uint8_t *file,
                 uint64_t file_len)
{
    struct rd_record last;
    return checkpoint->generation == wanted->generation && checkpoint->tail != 0 &&
           checkpoint->tail <= wanted->tail && checkpoint->tail <= file_len &&
           checkpoint->entry_count <= wanted->entry_count && rd_record_parse(file, checkpoint->tail, &last) &&
           last.trailer.key_hash == checkpoint->last_key && last.trailer.crc32 == checkpoint->last_crc;
}

/* Nothing is allocated beyond what the file's own length can bear: an index takes less for its directory than for
 * its slots. */
static bool sizes_fit(struct reader *reader, const struct body *body)
{
    struct stat found;
    if (reader->io->fstat(reader->io->self, reader->fd, &found) != 0)
        return false;
    reader->len = (uint64_t)found.st_size;
    return body->part_count != 0 && body->part_count <= reader->len && body->depth < 32 &&
           UINT64_C(8) << body->depth <= reader->len;
}

/* NULL: no memory, or the file is shorter than its table. */
static uint8_t *read_table(struct reader *reader, uint64_t part_count)
{
    size_t len = (size_t)table_len(part_count);
    uint8_t *table = malloc(len);
    if (table != NULL && !read_on(reader, table, len)) {
        free(table);
        table = NULL;
    }
    return table;
}

static enum rd_status read_parts(struct reader *reader, const struct body *body, const uint8_t *table,
                                 struct rd_index *index, const uint8_t *file, uint64_t tail)
{
    enum rd_status status = RD_OK;
    size_t at = 0;
    for (uint64_t i = 0; status == RD_OK && i < body->part_count; i++) {
        struct rd_index_part part = {.depth = table[i * PART_LEN], .slot_bits = table[i * PART_LEN + 1]};
        if (part.slot_bits >= 32 || UINT64_C(8) << part.slot_bits > reader->len)
            return RD_CORRUPT;
        status = rd_index_restore_part(index, &at, part, tail, fill_slots, reader);
    }
    if (status != RD_OK)
        return status;
    uint8_t more;
    bool whole = reader->io->pread(reader->io->self, reader->fd, &more, 1, (off_t)reader->offset) == 0;
    bool good = whole && reader->hash == body->hash && index->count == body->key_count &&
                rd_index_restored(index, at, file, SAMPLE_COUNT);
    return good ? RD_OK : RD_CORRUPT;
}

static enum rd_status load(struct reader *reader, const uint8_t *file, uint64_t file_len,
                           const struct rd_checkpoint *wanted, struct rd_epoch *epoch, struct rd_index *index,
                           struct rd_checkpoint *checkpoint)
{
    uint8_t header[HEADER_LEN];
    struct body body;
    if (!read_on(reader, header, sizeof header) || !decode_header(header, checkpoint, &body))
        return RD_KEY_NOT_FOUND;
    if (!fits(checkpoint, wanted, file, file_len))
        return RD_CONFLICT;
    if (!sizes_fit(reader, &body))
        return RD_KEY_NOT_FOUND;
    reader->hash = 0;
    uint8_t *table = read_table(reader, body.part_count);
    if (table == NULL)
        return RD_KEY_NOT_FOUND;
    enum rd_status status = rd_index_restore(index, epoch, body.seed, body.depth);
    if (status == RD_OK)
        status = read_parts(reader, &body, table, index, file, checkpoint->tail);
    checkpoint->companion_len = reader->len;
    free(table);
    return status;
}

enum rd_status rd_checkpoint_load(const struct rd_io *io, const char *path, const uint8_t *file, uint64_t file_len,
                                  const struct rd_checkpoint *wanted, struct rd_epoch *epoch,
                                  struct rd_index *index, struct rd_checkpoint *ret_checkpoint)
{
    char index_path[PATH_MAX];
    *index = (struct rd_index){.directory = NULL};
    if (!make_path(path, ".index", index_path))
        return RD_KEY_NOT_FOUND;
    struct reader reader = {.io = io};
    reader.fd = io->open(io->self, index_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
    if (reader.fd < 0)
        return RD_KEY_NOT_FOUND;
    struct rd_checkpoint checkpoint;
    enum rd_status status = load(&reader, file, file_len, wanted, epoch, index, &checkpoint);
    io->close(io->self, reader.fd);
    if (status == RD_OK)
        *ret_checkpoint = checkpoint;
    else
        rd_index_deinit(index);
    return status == RD_CORRUPT ? RD_KEY_NOT_FOUND : status;
}

void rd_checkpoint_remove(const struct rd_io *io, const char *path)
{
    char index_path[PATH_MAX];
    if (make_path(path, ".index", index_path))
        (void)io->unlink(io->self, index_path);
}

/* ---- writing ------------------------------------------------------------------------------------------ */

struct writer {
    struct rd_datafile file;
    uint64_t offset; /* of what is written next */
    uint64_t hash;   /* of all that was written */
    uint64_t synced; /* bytes */
    uint64_t deadline_ms;
    struct iovec parts[PARTS_MAX];
    int part_count;
};

static int flush(struct writer *writer)
{
    uint64_t len = 0;
    for (int i = 0; i < writer->part_count; i++)
        len += writer->parts[i].iov_len;
    int failed = rd_datafile_write(&writer->file, writer->offset, writer->parts, writer->part_count);
    if (failed != 0)
        return failed;
    rd_datafile_start_writeback(&writer->file, writer->offset, len);
    writer->offset += len;
    writer->part_count = 0;
    if (rd_monotonic_ms() >= writer->deadline_ms)
        return ETIME;
    if (writer->offset - writer->synced < STEP_LEN)
        return 0;
    writer->synced = writer->offset;
    return rd_datafile_sync(&writer->file);
}

/* bytes: must stay until the next flush. */
static int put(struct writer *writer, void *bytes, size_t len)
{
    int failed = writer->part_count == PARTS_MAX ? flush(writer) : 0;
    writer->hash = rd_hash64(writer->hash, rd_slice(bytes, len));
    writer->parts[writer->part_count++] = (struct iovec){.iov_base = bytes, .iov_len = len};
    return failed;
}

/* NULL: no memory. */
static uint8_t *make_table(const struct rd_index *index, uint64_t *ret_part_count)
{
    struct rd_index_part part;
    uint64_t count = 0;
    for (size_t at = 0; rd_index_next_part(index, &at, &part);)
        count++;
    uint8_t *table = calloc(1, (size_t)table_len(count));
    if (table == NULL)
        return NULL;
    count = 0;
    for (size_t at = 0; rd_index_next_part(index, &at, &part); count++) {
        table[count * PART_LEN] = (uint8_t)part.depth;
        table[count * PART_LEN + 1] = (uint8_t)part.slot_bits;
    }
    *ret_part_count = count;
    return table;
}

/* The header last, so that what is cut short on the way has none. */
static int write_all(struct writer *writer, const struct rd_checkpoint *checkpoint, const struct rd_index *index)
{
    struct body body = {.depth = rd_index_depth(index), .key_count = index->count, .seed = index->seed};
    uint8_t *table = make_table(index, &body.part_count);
    if (table == NULL)
        return ENOMEM;
    writer->offset = HEADER_LEN;
    int failed = put(writer, table, (size_t)table_len(body.part_count));
    struct rd_index_part part;
    for (size_t at = 0; failed == 0 && rd_index_next_part(index, &at, &part);)
        failed = put(writer, part.slots, sizeof(uint64_t) << part.slot_bits);
    if (failed == 0)
        failed = flush(writer);
    free(table);
    if (failed != 0)
        return failed;
    uint8_t header[HEADER_LEN];
    body.hash = writer->hash;
    encode_header(checkpoint, &body, header);
    failed = rd_datafile_write_slice(&writer->file, 0, rd_slice(header, sizeof header));
    return failed != 0 ? failed : rd_datafile_sync(&writer->file);
}

int rd_checkpoint_write(const struct rd_io *io, const char *path, const struct rd_checkpoint *checkpoint,
                        const struct rd_index *index, uint64_t deadline_ms)
{
    char index_path[PATH_MAX];
    char new_path[PATH_MAX];
    if (!make_path(path, ".index", index_path) || !make_path(path, ".index.new", new_path))
        return ENAMETOOLONG;
    struct writer writer = {.file.io = io, .deadline_ms = deadline_ms};
    writer.file.fd = io->open(io->self, new_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (writer.file.fd < 0)
        return errno;
    rd_datafile_give_companion(io, writer.file.fd, path);
    int failed = write_all(&writer, checkpoint, index);
    io->close(io->self, writer.file.fd);
    if (failed == 0 && io->rename(io->self, new_path, index_path) != 0)
        failed = errno;
    if (failed != 0)
        io->unlink(io->self, new_path);
    return failed != 0 ? failed : rd_datafile_sync_folder(io, path);
}
