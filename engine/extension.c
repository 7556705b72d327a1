/* SPDX-License-Identifier: MIT */
#include "engine/extension.h"

#include <pthread.h>
#include <string.h>

#include "engine/datafile.h"
#include "engine/queue.h"
#include "engine/record.h"
#include "engine/regions.h"

#define PAUSE_MS           1000u
#define GROUPS_MIN         16u
#define LEN_MIN            (UINT64_C(64) << 10)
#define LEN_MAX            (UINT64_C(1) << 20)
#define GROUPS_IN          8u /* so many like the last one have to fit in: each byte is written twice */
#define LEAD_LEN           (UINT64_C(256) << 10) /* a power of two */
#define LEAD_MS            100u                  /* in which it has to be used up */
#define LEAD_ENTRY_LEN_MAX 1024u                 /* on average */
#define PAGE_LEN           4096u

void rd_extension_init(struct rd_extension *extension)
{
    *extension = (struct rd_extension){.len = LEN_MIN, .groups_min = GROUPS_MIN, .lead_len = LEAD_LEN};
}

static _Alignas(PAGE_LEN) uint8_t ones[RD_REGION_LEN];

static void make_ones(void)
{
    memset(ones, 0xff, sizeof ones);
}

/* A write for each region of the file, so that the page cache has a folio for each at the most: one that reaches
 * into a region in which something lives stays in memory as a whole (discard.h). Each from where it lies as the
 * file does (encoder.h says why). */
static int write_ones(struct rd_datafile *file, uint64_t offset, uint64_t len)
{
    static pthread_once_t made = PTHREAD_ONCE_INIT;
    pthread_once(&made, make_ones);
    int failed = 0;
    while (failed == 0 && len != 0) {
        uint64_t begin = offset % sizeof ones;
        uint64_t part_len = len < sizeof ones - begin ? len : sizeof ones - begin;
        failed = rd_datafile_write_slice(file, offset, rd_slice(ones + begin, (size_t)part_len));
        offset += part_len;
        len -= part_len;
    }
    return failed;
}

void rd_extension_advance(struct rd_extension *extension, struct rd_datafile *file, uint64_t tail,
                          uint64_t group_len)
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
    if (write_ones(file, tail, extension->len) != 0)
        extension->run = 0;
    else if (extension->len < LEN_MAX)
        extension->len *= 2;
}

void rd_extension_lead(struct rd_extension *extension, struct rd_datafile *file, uint64_t tail, uint64_t end,
                       uint32_t entry_count)
{
    uint64_t len = extension->lead_len;
    if (end <= file->size || (file->size == tail && end / len == tail / len))
        return;
    uint64_t now_ms = rd_monotonic_ms();
    bool soon = now_ms - extension->used_up_ms <= LEAD_MS;
    extension->used_up_ms = now_ms;
    uint64_t to = (end / len + 1) * len;
    if (!soon || end - tail > len || (end - tail) / entry_count > LEAD_ENTRY_LEN_MAX || to > RD_TAIL_MAX)
        return;
    if (write_ones(file, file->size, to - file->size) == 0)
        extension->led_ms = now_ms;
}

uint64_t rd_extension_pause_ms(const struct rd_extension *extension)
{
    bool synced_last = extension->synced_ms > extension->led_ms;
    return (synced_last ? extension->synced_ms : extension->led_ms) + PAUSE_MS;
}
