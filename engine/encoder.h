/* SPDX-License-Identifier: MIT
 *
 * encoder.h - turns a plan into bytes at the end of the file: small payloads are copied into one write buffer with
 * their pads and trailers, large ones are written from where they lie. Whenever the buffer or the list of parts is
 * full, one pwritev sends what there is.
 *
 * Bytes lie in the buffer as they will in the file, by their offsets modulo RD_RECORD_ALIGN: the kernel copies by
 * `rep movsb`, which some processors do a byte at a time where the target begins just behind the source, modulo
 * the size of a page (AMD Zen 4: 25 times slower at distances of 1 to 15 bytes; bench-simd_copy shows it).
 *
 * The writer's alone.
 */
#ifndef RD_ENGINE_ENCODER_H
#define RD_ENGINE_ENCODER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/status.h"
#include "engine/simd_copy.h"

struct rd_datafile;
struct rd_plan;

#define RD_ENCODER_PARTS_MAX  256
#define RD_ENCODER_BUFFER_LEN ((size_t)256 << 10) /* fits a level-2 cache */

struct rd_encoder {
    uint8_t *buffer;   /* owned; RD_ENCODER_BUFFER_LEN, on a boundary of RD_RECORD_ALIGN */
    size_t buffer_len; /* bytes in use */
    size_t run_begin;  /* where the bytes begin that are not in a part yet */
    struct iovec parts[RD_ENCODER_PARTS_MAX];
    int part_count;
    bool synced;            /* the group is going to be, at once; set by the writer */
    uint64_t offset;        /* where in the file the next call writes */
    uint64_t unwritten_max; /* bytes of a long payload (writeback.h); constant */
    rd_simd_copy_fn *copy;
};

enum rd_status rd_encoder_init(struct rd_encoder *encoder, uint64_t unwritten_max) RD_MUST_CHECK;
void rd_encoder_deinit(struct rd_encoder *encoder);

/* Writes the plan's entries at `tail`, filling in their crc32. 0 or an errno value; on failure some bytes may be
 * in the file. */
int rd_encoder_write(struct rd_encoder *encoder, struct rd_datafile *file, struct rd_plan *plan,
                     uint64_t tail) RD_MUST_CHECK;

#endif
