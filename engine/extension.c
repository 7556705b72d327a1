/* SPDX-License-Identifier: MIT */
#include "engine/extension.h"

#include <string.h>

#include "engine/datafile.h"
#include "engine/queue.h"
#include "engine/record.h"

#define PAUSE_MS   1000u
#define GROUPS_MIN 16u
#define LEN_MIN    (UINT64_C(64) << 10)
#define LEN_MAX    (UINT64_C(1) << 20)
#define GROUPS_IN  8u /* so many like the last one have to fit in: each byte is written twice */
#define PARTS_MAX  64

void rd_extension_init(struct rd_extension *extension)
{
    *extension = (struct rd_extension){.len = LEN_MIN, .groups_min = GROUPS_MIN};
}

/* As many ones as fit into PARTS_MAX parts of the scratch, each from where it lies as the file does (encoder.h
 * says why). */
static int write_ones(struct rd_datafile *file, uint64_t offset, uint64_t len, uint8_t *scratch,
                      uint64_t scratch_len)
{
    struct iovec parts[PARTS_MAX];
    int part_count = 0;
    uint64_t end = offset;
    memset(scratch, 0xff, (size_t)(scratch_len < len + RD_RECORD_ALIGN ? scratch_len : len + RD_RECORD_ALIGN));
    while (len != 0 && part_count < PARTS_MAX) {
        uint64_t begin = end % RD_RECORD_ALIGN;
        uint64_t part_len = len < scratch_len - begin ? len : scratch_len - begin;
        parts[part_count++] = (struct iovec){.iov_base = scratch + begin, .iov_len = (size_t)part_len};
        end += part_len;
        len -= part_len;
    }
    return rd_datafile_write(file, offset, parts, part_count);
}

void rd_extension_advance(struct rd_extension *extension, struct rd_datafile *file, uint64_t tail,
                          uint64_t group_len, uint8_t *scratch, uint64_t scratch_len)
{
    uint64_t now_ms = rd_monotonic_ms();
    if (now_ms - extension->synced_ms >= PAUSE_MS) {
        extension->run = 0;
        extension->len = LEN_MIN;
    }
    extension->synced_ms = now_ms;
    extension->run += extension->run < UINT32_MAX;
    if (extension->run < extension->groups_min || file->size > tail || group_len > LEN_MAX / GROUPS_IN)
        return;
    while (extension->len < group_len * GROUPS_IN)
        extension->len *= 2;
    if (tail + extension->len > RD_TAIL_MAX)
        return;
    /* Where it fails, the disk may be full, and the next groups need what is left: it is earned anew. */
    if (write_ones(file, tail, extension->len, scratch, scratch_len) != 0)
        extension->run = 0;
    else if (extension->len < LEN_MAX)
        extension->len *= 2;
}

uint64_t rd_extension_pause_ms(const struct rd_extension *extension)
{
    return extension->synced_ms + PAUSE_MS;
}
