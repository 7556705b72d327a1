/* SPDX-License-Identifier: MIT */
#include "engine/encoder.h"

#include <stdlib.h>
#include <string.h>

#include "engine/datafile.h"
#include "engine/engine.h"
#include "engine/plan.h"
#include "engine/record.h"

#define BUFFER_LEN_MAX      ((size_t)256 << 10) /* fits a level-2 cache */
#define COPIED_LEN_MAX      ((size_t)16 << 10)  /* larger payloads are written from where they lie */
#define VECTOR_COPY_LEN_MIN 64u                 /* below it a call costs more than it saves */

enum rd_status rd_encoder_init(struct rd_encoder *encoder)
{
    *encoder = (struct rd_encoder){.buffer = malloc(BUFFER_LEN_MAX), .copy = rd_simd_copy_best()};
    return encoder->buffer == NULL ? RD_NO_MEMORY : RD_OK;
}

void rd_encoder_deinit(struct rd_encoder *encoder)
{
    free(encoder->buffer);
    encoder->buffer = NULL;
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
    encoder->part_count = 0;
    encoder->buffer_len = 0;
    encoder->run_begin = 0;
    return failed;
}

static void put_payload(struct rd_encoder *encoder, struct rd_slice payload)
{
    if (payload.len > COPIED_LEN_MAX) {
        close_run(encoder);
        union {
            const void *readable;
            void *base;
        } from = {.readable = payload.data};
        encoder->parts[encoder->part_count++] = (struct iovec){.iov_base = from.base, .iov_len = payload.len};
        return;
    }
    uint8_t *to = encoder->buffer + encoder->buffer_len;
    if (payload.len < VECTOR_COPY_LEN_MIN)
        memcpy(to, payload.data, payload.len);
    else
        encoder->copy(to, payload.data, payload.len);
    encoder->buffer_len += payload.len;
}

static void put_entry(struct rd_encoder *encoder, struct rd_plan_entry *entry)
{
    size_t pad = (size_t)(entry->payload_offset - entry->prev_tail);
    memset(encoder->buffer + encoder->buffer_len, 0, pad);
    encoder->buffer_len += pad;
    put_payload(encoder, entry->payload);
    entry->crc32 = entry->tombstone ? RD_TOMBSTONE_CRC : rd_crc32(0, entry->payload);
    struct rd_trailer trailer = {
        .key_hash = entry->key_hash, .prev_tail = entry->prev_tail, .crc32 = entry->crc32};
    rd_trailer_encode(&trailer, encoder->buffer + encoder->buffer_len);
    encoder->buffer_len += RD_TRAILER_LEN;
}

int rd_encoder_write(struct rd_encoder *encoder, struct rd_datafile *file, struct rd_plan *plan, uint64_t tail)
{
    encoder->offset = tail;
    encoder->buffer_len = 0;
    encoder->run_begin = 0;
    encoder->part_count = 0;
    for (uint32_t i = 0; i < plan->entry_count; i++) {
        size_t most = RD_RECORD_ALIGN + COPIED_LEN_MAX + RD_TRAILER_LEN;
        if (encoder->buffer_len + most > BUFFER_LEN_MAX || encoder->part_count + 3 > RD_ENCODER_PARTS_MAX) {
            int failed = flush(encoder, file);
            if (failed != 0)
                return failed;
        }
        put_entry(encoder, &plan->entries[i]);
    }
    return flush(encoder, file);
}
