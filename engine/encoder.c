/* SPDX-License-Identifier: MIT */
#include "engine/encoder.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "engine/datafile.h"
#include "engine/digest.h"
#include "engine/engine.h"
#include "engine/plan.h"
#include "engine/record.h"
#include "engine/residency.h"
#include "engine/spool.h"
#include "engine/writeback.h"

#define COPIED_LEN_MAX      RD_VALUE_SHORT_LEN_MAX
#define SLICE_LEN           ((uint64_t)8 << 20) /* of a large payload: written, then handed to the disk at once */
#define EARLY_LEN_MIN       ((size_t)256 << 10)
#define PAGE_LEN            4096u
#define SHORT_LEN_MAX       16u
#define VECTOR_COPY_LEN_MIN 64u  /* below it a call costs more than it saves */
#define VECTOR_COPY_LEN_MAX 127u /* above it memcpy is as fast or faster */

enum rd_status rd_encoder_init(struct rd_encoder *encoder, uint64_t unwritten_max)
{
    rd_crc32_prepare();
    *encoder = (struct rd_encoder){.buffer = aligned_alloc(RD_RECORD_ALIGN, RD_ENCODER_BUFFER_LEN),
                                   .unwritten_max = unwritten_max,
                                   .copy = rd_simd_copy_best()};
    return encoder->buffer == NULL ? RD_NO_MEMORY : RD_OK;
}

void rd_encoder_deinit(struct rd_encoder *encoder)
{
    free(encoder->buffer);
    encoder->buffer = NULL;
}

/* What comes next in the buffer goes to that offset of the file. */
static void begin_run(struct rd_encoder *encoder, uint64_t file_offset)
{
    encoder->buffer_len += (size_t)(file_offset - encoder->buffer_len) % RD_RECORD_ALIGN;
    encoder->run_begin = encoder->buffer_len;
}

/* With nothing in it, for what comes at encoder->offset. */
static void restart(struct rd_encoder *encoder)
{
    encoder->part_count = 0;
    encoder->buffer_len = 0;
    begin_run(encoder, encoder->offset);
}

/* Makes the bytes since run_begin a part. */
static void close_run(struct rd_encoder *encoder)
{
    size_t len = encoder->buffer_len - encoder->run_begin;
    if (len == 0)
        return;
    encoder->parts[encoder->part_count++] =
        (struct iovec){.iov_base = encoder->buffer + encoder->run_begin, .iov_len = len};
    encoder->run_begin = encoder->buffer_len;
}

static int flush(struct rd_encoder *encoder, struct rd_datafile *file)
{
    close_run(encoder);
    uint64_t len = 0;
    for (int i = 0; i < encoder->part_count; i++)
        len += encoder->parts[i].iov_len;
    int failed = rd_datafile_write(file, encoder->offset, encoder->parts, encoder->part_count);
    encoder->offset += len;
    restart(encoder);
    return failed;
}

/* len: 1..16. Two copies that overlap, of a size that the compiler knows. */
static inline void copy_short(uint8_t *to, const uint8_t *from, size_t len)
{
    if (len >= 8) {
        memcpy(to, from, 8);
        memcpy(to + len - 8, from + len - 8, 8);
    } else if (len >= 4) {
        memcpy(to, from, 4);
        memcpy(to + len - 4, from + len - 4, 4);
    } else {
        to[0] = from[0];
        to[len / 2] = from[len / 2];
        to[len - 1] = from[len - 1];
    }
}

/* file_offset: where it begins. */
static void put_part(struct rd_encoder *encoder, struct rd_slice payload, uint64_t file_offset)
{
    union {
        const void *readable;
        void *base;
    } from = {.readable = payload.data};
    close_run(encoder);
    encoder->parts[encoder->part_count++] = (struct iovec){.iov_base = from.base, .iov_len = payload.len};
    begin_run(encoder, file_offset + payload.len);
}

/* Of a stored value the kernel refuses what cannot be read, but where others have cut its file the rest of a page
 * reads as zeros. So it is verified once it has been written: what is there then was there before. crc: of all its
 * bytes by now. */
static int judge_pinned(const struct rd_plan_entry *entry, uint32_t crc)
{
    return entry->pinned && crc != entry->crc32 ? EFAULT : 0;
}

/* Slice by slice, so that the disk works while the next slice is copied and the sync at the end finds little to
 * do. */
static int put_large(struct rd_encoder *encoder, struct rd_datafile *file, const struct rd_plan_entry *entry)
{
    int failed = flush(encoder, file);
    struct rd_writeback writeback;
    rd_writeback_init(&writeback, RD_WRITEBACK_EARLY, encoder->offset, encoder->unwritten_max, false);
    uint32_t crc = 0;
    for (uint64_t done = 0; failed == 0 && done < entry->payload.len; done += SLICE_LEN) {
        uint64_t left = entry->payload.len - done;
        uint64_t len = left < SLICE_LEN ? left : SLICE_LEN;
        if (entry->spool != NULL) {
            failed = rd_spool_copy(entry->spool, done, len, file, encoder->offset, NULL);
            encoder->offset += len;
        } else {
            rd_residency_advise(entry->payload.data + done,
                                len); /* it may come from a store, and not be in memory */
            struct rd_slice slice = rd_slice(entry->payload.data + done, len);
            put_part(encoder, slice, encoder->offset);
            failed = flush(encoder, file);
            if (failed == 0 && entry->pinned)
                crc = rd_crc32(crc, slice);
        }
        /* A disk that refuses has not run full, whatever it says: what it lost may have been answered long ago,
         * and the sync that would tell of it finds nothing any more. */
        if (failed == 0 && rd_writeback_pace(&writeback, file, encoder->offset) != 0)
            failed = EIO;
    }
    if (failed == 0 && entry->spool != NULL)
        failed = rd_spool_check(entry->spool);
    restart(encoder);
    return failed != 0 ? failed : judge_pinned(entry, crc);
}

/* Of a group that is synced: the disk begins with it while its checksum is taken, and the next one is copied. Not
 * with its last page, which the trailer is still to go to. */
static int put_part_early(struct rd_encoder *encoder, struct rd_datafile *file, const struct rd_plan_entry *entry)
{
    put_part(encoder, entry->payload, entry->payload_offset);
    bool early = encoder->synced && entry->payload.len >= EARLY_LEN_MIN;
    if (!early && !entry->pinned)
        return 0;
    int failed = flush(encoder, file);
    uint64_t end = encoder->offset / PAGE_LEN * PAGE_LEN;
    if (failed == 0 && early)
        rd_datafile_start_writeback(file, entry->payload_offset, end - entry->payload_offset);
    return failed == 0 && entry->pinned ? judge_pinned(entry, rd_crc32(0, entry->payload)) : failed;
}

static bool is_copied(const struct rd_plan_entry *entry)
{
    return entry->payload.len <= COPIED_LEN_MAX && entry->spool == NULL && !entry->in_place;
}

static void put_trailer(struct rd_encoder *encoder, const struct rd_plan_entry *entry)
{
    struct rd_trailer trailer = {
        .key_hash = entry->key_hash, .prev_tail = entry->prev_tail, .crc32 = entry->crc32};
    rd_trailer_encode(&trailer, encoder->buffer + encoder->buffer_len);
    encoder->buffer_len += RD_TRAILER_LEN;
}

/* The pad is less than a line: a whole one of zeros is put there, which the payload then covers. */
static inline void put_pad(struct rd_encoder *encoder, const struct rd_plan_entry *entry)
{
    memset(encoder->buffer + encoder->buffer_len, 0, RD_RECORD_ALIGN);
    encoder->buffer_len += (size_t)(entry->payload_offset - entry->prev_tail);
}

static inline void put_copied(struct rd_encoder *encoder, struct rd_plan_entry *entry)
{
    struct rd_slice payload = entry->payload;
    put_pad(encoder, entry);
    uint8_t *to = encoder->buffer + encoder->buffer_len;
    if (payload.len <= SHORT_LEN_MAX)
        copy_short(to, payload.data, payload.len);
    else if (payload.len < VECTOR_COPY_LEN_MIN || payload.len > VECTOR_COPY_LEN_MAX)
        memcpy(to, payload.data, payload.len);
    else
        encoder->copy(to, payload.data, payload.len);
    encoder->buffer_len += payload.len;
    if (!entry->crc32_known)
        entry->crc32 = payload.len <= SHORT_LEN_MAX ? rd_crc32_of_few(payload) : rd_crc32(0, payload);
    entry->crc32_known = true;
    put_trailer(encoder, entry);
}

/* A short one lies in the buffer, before its trailer. */
static RD_COLD int judge_copied(const struct rd_encoder *encoder, const struct rd_plan_entry *entry)
{
    const uint8_t *copy = encoder->buffer + encoder->buffer_len - RD_TRAILER_LEN - entry->payload.len;
    return judge_pinned(entry, rd_crc32(0, rd_slice(copy, entry->payload.len)));
}

static int put_where_it_lies(struct rd_encoder *encoder, struct rd_datafile *file, struct rd_plan_entry *entry)
{
    int failed = 0;
    if (entry->in_place) {
        failed = flush(encoder, file);
        encoder->offset = entry->payload_offset + entry->payload.len;
        restart(encoder);
    } else {
        put_pad(encoder, entry);
        if (entry->spool != NULL || entry->payload.len > SLICE_LEN)
            failed = put_large(encoder, file, entry);
        else
            failed = put_part_early(encoder, file, entry);
    }
    if (!entry->crc32_known)
        entry->crc32 = rd_crc32(0, entry->payload);
    entry->crc32_known = true;
    put_trailer(encoder, entry);
    return failed;
}

int rd_encoder_write(struct rd_encoder *encoder, struct rd_datafile *file, struct rd_plan *plan, uint64_t tail)
{
    encoder->offset = tail;
    restart(encoder);
    int failed = 0;
    for (uint32_t i = 0; i < plan->entry_count && failed == 0; i++) {
        struct rd_plan_entry *entry = &plan->entries[i];
        size_t most = 2 * RD_RECORD_ALIGN + COPIED_LEN_MAX + RD_TRAILER_LEN; /* a pad, and how a run begins */
        if (encoder->buffer_len + most > RD_ENCODER_BUFFER_LEN || encoder->part_count + 3 > RD_ENCODER_PARTS_MAX)
            failed = flush(encoder, file);
        if (failed == 0 && is_copied(entry)) {
            put_copied(encoder, entry);
            if (RD_UNLIKELY(entry->pinned))
                failed = judge_copied(encoder, entry);
        } else if (failed == 0) {
            failed = put_where_it_lies(encoder, file, entry);
        }
    }
    return failed != 0 ? failed : flush(encoder, file);
}
