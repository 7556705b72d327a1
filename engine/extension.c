/* SPDX-License-Identifier: MIT */
#include "engine/extension.h"

#include <string.h>

#include "engine/queue.h"
#include "engine/record.h"
#include "engine/regions.h"
#include "engine/thread.h"

#define PAUSE_MS           1000u
#define GROUPS_MIN         16u
#define LEN_MIN            (UINT64_C(64) << 10)
#define LEN_MAX            (UINT64_C(1) << 20)
#define GROUPS_IN          8u /* so many like the last one have to fit in: each byte is written twice */
#define LEAD_LEN           (UINT64_C(256) << 10) /* a power of two */
#define LEAD_MS            100u                  /* in which it has to be used up */
#define LEAD_ENTRY_LEN_MAX 1024u                 /* on average */
#define BATCH_MIN          256u                  /* single writes' groups have half as many (writer.c) */
#define BESIDE_LEADS       4u /* the thread's is so many times as long, and may last as much longer */
#define PAGE_LEN           4096u

void rd_extension_init(struct rd_extension *extension)
{
    *extension = (struct rd_extension){
        .len = LEN_MIN, .groups_min = GROUPS_MIN, .lead_len = LEAD_LEN, .batch_min = BATCH_MIN};
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
    bool is_ahead = file->size > tail || extension->beside.running;
    if (extension->run < extension->groups_min || is_ahead || group_len > LEN_MAX / GROUPS_IN)
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

/* ---- by a thread ------------------------------------------------------------------------------------------ */

/* Begins at its file's size, and stops at the first failure. */
static void *extend_beside(void *context)
{
    struct rd_extension_beside *beside = context;
    beside->os_errno = write_ones(&beside->file, beside->file.size, beside->to - beside->file.size);
    atomic_store_explicit(&beside->done, true, memory_order_release);
    return NULL;
}

void rd_extension_end(struct rd_extension *extension, struct rd_datafile *file)
{
    struct rd_extension_beside *beside = &extension->beside;
    if (!beside->running)
        return;
    pthread_join(beside->thread, NULL);
    beside->running = false;
    file->size = beside->file.size;
    if (beside->os_errno == 0)
        extension->led_ms = rd_monotonic_ms();
    else
        extension->used_up_ms = 0; /* the disk may be full: to be earned anew */
}

/* The group fits in what there is, which a group like it will have used up before long. */
static void follow_up(struct rd_extension *extension, const struct rd_datafile *file)
{
    struct rd_extension_beside *beside = &extension->beside;
    uint64_t now_ms = rd_monotonic_ms();
    uint64_t to = file->size + BESIDE_LEADS * extension->lead_len;
    if (now_ms - extension->used_up_ms > BESIDE_LEADS * LEAD_MS || to > RD_TAIL_MAX)
        return;
    beside->file = *file;
    beside->to = to;
    atomic_store_explicit(&beside->done, false, memory_order_relaxed);
    beside->running = rd_thread_start(&beside->thread, extend_beside, beside);
    extension->used_up_ms = beside->running ? now_ms : 0;
}

/* ---- for groups that are not synced ----------------------------------------------------------------------- */

void rd_extension_lead(struct rd_extension *extension, struct rd_datafile *file, uint64_t tail, uint64_t end,
                       uint32_t entry_count)
{
    const struct rd_extension_beside *beside = &extension->beside;
    if (beside->running && (end > file->size || atomic_load_explicit(&beside->done, memory_order_acquire)))
        rd_extension_end(extension, file);
    uint64_t len = extension->lead_len;
    if (end <= file->size) {
        bool is_batch = entry_count >= extension->batch_min;
        if (is_batch && !beside->running && file->size % len == 0 && file->size - end < BESIDE_LEADS * len)
            follow_up(extension, file);
        return;
    }
    if (file->size == tail && end / len == tail / len)
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
