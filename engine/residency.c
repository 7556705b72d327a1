/* SPDX-License-Identifier: MIT */
#include "engine/residency.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/engine.h"
#include "engine/guard.h"

#define PAGE_SHIFT      12u
#define PAGES_PER_CHUNK (RD_RESIDENCY_CHUNK_LEN / RD_RESIDENCY_PAGE_LEN)
#define ASKED_MAX       256u /* pages that one call asks for */
#define QUIET_MS        10000u
#define ALARM_MS        1000u /* the same, where nothing was found to be gone: it was a page of something else */
#define COUNTED_MAX     (UINT64_C(64) << 10)  /* bytes of a read whose use counts */
#define DESCENT_LEN     (UINT64_C(4) << 20)   /* asked for at a time, when half of what was before is left */
#define ADVISED_MAX     (UINT64_C(256) << 10) /* bytes of one call */

static_assert(RD_RESIDENCY_PAGE_LEN == 1u << PAGE_SHIFT, "a page's number is its offset, shifted");

/* ---- believing and doubting --------------------------------------------------------------------------- */

static atomic_bool doubting;
static atomic_bool gone_seen;         /* a page was found to be gone since the last settling */
static atomic_bool gone_found;        /* before that, since doubting began */
static atomic_uint_fast64_t doubts;   /* how often doubting has ended */
static atomic_uint_fast64_t quiet_ms; /* since when nothing was gone, as the caller's clock goes */

void rd_residency_doubt(uint64_t now_ms)
{
    atomic_store_explicit(&quiet_ms, now_ms, memory_order_relaxed);
    if (!atomic_exchange_explicit(&doubting, true, memory_order_relaxed))
        atomic_store_explicit(&gone_seen, false, memory_order_relaxed); /* cold pages are found at any time */
}

void rd_residency_settle(uint64_t now_ms)
{
    if (!atomic_load_explicit(&doubting, memory_order_relaxed))
        return;
    if (atomic_exchange_explicit(&gone_seen, false, memory_order_relaxed)) {
        atomic_store_explicit(&gone_found, true, memory_order_relaxed);
        atomic_store_explicit(&quiet_ms, now_ms, memory_order_relaxed);
        return;
    }
    uint64_t needed_ms = atomic_load_explicit(&gone_found, memory_order_relaxed) ? QUIET_MS : ALARM_MS;
    if (now_ms - atomic_load_explicit(&quiet_ms, memory_order_relaxed) >= needed_ms) {
        atomic_store_explicit(&gone_found, false, memory_order_relaxed);
        atomic_fetch_add_explicit(&doubts, 1, memory_order_relaxed);
        atomic_store_explicit(&doubting, false, memory_order_relaxed);
    }
}

/* ---- what is known ------------------------------------------------------------------------------------ */

bool rd_residency_init(struct rd_residency *residency, const uint8_t *base, size_t len)
{
    size_t chunk_count = (size_t)((len + RD_RESIDENCY_CHUNK_LEN - 1) / RD_RESIDENCY_CHUNK_LEN);
    *residency = (struct rd_residency){.base = base, .chunk_count = chunk_count, .len = len};
    residency->chunks = calloc(chunk_count, sizeof *residency->chunks);
    return residency->chunks != NULL;
}

/* The second map is given back. */
static void uncount(struct rd_residency *residency)
{
    union {
        const void *readable;
        void *address;
    } counted = {.readable = atomic_load_explicit(&residency->counted, memory_order_acquire)};
    if (counted.address == NULL)
        return;
    rd_guard_remove(atomic_load_explicit(&residency->counted_guard, memory_order_relaxed));
    (void)munmap(counted.address, residency->len);
}

void rd_residency_deinit(struct rd_residency *residency)
{
    uncount(residency);
    for (size_t i = 0; i < residency->chunk_count; i++)
        free((void *)atomic_load_explicit(&residency->chunks[i], memory_order_acquire));
    free((void *)residency->chunks);
    *residency = (struct rd_residency){.base = NULL};
}

/* NULL: no memory. */
static struct rd_residency_chunk *make_chunk(struct rd_residency *residency, uint64_t number)
{
    struct rd_residency_chunk *chunk = calloc(1, sizeof *chunk);
    struct rd_residency_chunk *there = NULL;
    if (chunk == NULL || atomic_compare_exchange_strong_explicit(&residency->chunks[number], &there, chunk,
                                                                 memory_order_acq_rel, memory_order_acquire))
        return chunk;
    free((void *)chunk);
    return there;
}

static void note(struct rd_residency *residency, uint64_t page)
{
    uint64_t number = page / PAGES_PER_CHUNK;
    struct rd_residency_chunk *chunk = atomic_load_explicit(&residency->chunks[number], memory_order_acquire);
    if (chunk == NULL)
        chunk = make_chunk(residency, number);
    if (chunk != NULL)
        atomic_fetch_or_explicit(&chunk->words[page % PAGES_PER_CHUNK / 64], UINT64_C(1) << page % 64,
                                 memory_order_relaxed);
}

static bool is_noted(const struct rd_residency *residency, uint64_t page)
{
    const struct rd_residency_chunk *chunk =
        atomic_load_explicit(&residency->chunks[page / PAGES_PER_CHUNK], memory_order_acquire);
    return chunk != NULL &&
           (atomic_load_explicit(&chunk->words[page % PAGES_PER_CHUNK / 64], memory_order_relaxed) >> page % 64 &
            1) != 0;
}

/* Two threads may do so at once, and one of them may note a page in between: it is asked for once more. */
static void forget(struct rd_residency *residency, uint64_t now)
{
    for (size_t i = 0; i < residency->chunk_count; i++) {
        struct rd_residency_chunk *chunk = atomic_load_explicit(&residency->chunks[i], memory_order_acquire);
        for (size_t word = 0; chunk != NULL && word < RD_RESIDENCY_WORDS; word++)
            atomic_store_explicit(&chunk->words[word], 0, memory_order_relaxed);
    }
    atomic_store_explicit(&residency->doubts, now, memory_order_relaxed);
}

/* ---- asking ------------------------------------------------------------------------------------------- */

static size_t system_page_len(void)
{
    static atomic_size_t known;
    size_t len = atomic_load_explicit(&known, memory_order_relaxed);
    if (len == 0) {
        len = (size_t)sysconf(_SC_PAGESIZE);
        atomic_store_explicit(&known, len, memory_order_relaxed);
    }
    return len;
}

static void advise(const uint8_t *bytes, uint64_t len, int advice)
{
    union {
        const void *readable;
        void *address;
    } from = {.readable = bytes - (uintptr_t)bytes % system_page_len()};
    if (len != 0) /* a hint: where it fails, the faults that follow read what they need */
        (void)madvise(from.address, (size_t)(bytes + len - (const uint8_t *)from.readable), advice);
}

void rd_residency_expect(const uint8_t *base, uint64_t len, bool scattered)
{
    advise(base, len, scattered ? MADV_RANDOM : MADV_NORMAL);
}

/* Of what one call asks for the kernel reads no more than the device takes at once, or its read-ahead, if that is
 * more; the rest would be read page by page. */
void rd_residency_advise(const uint8_t *bytes, uint64_t len)
{
    for (uint64_t at = 0; at < len; at += ADVISED_MAX)
        advise(bytes + at, len - at < ADVISED_MAX ? len - at : ADVISED_MAX, MADV_WILLNEED);
}

/* At most ASKED_MAX pages from `page` on. */
static bool ask_some(struct rd_residency *residency, uint64_t page, uint64_t count, bool remember)
{
    size_t page_len = system_page_len();
    unsigned char there[ASKED_MAX + 1]; /* of the system's pages, which may be longer */
    uint64_t first = (page << PAGE_SHIFT) / page_len * page_len;
    uint64_t end = (page + count) << PAGE_SHIFT;
    union {
        const void *readable;
        void *address;
    } from = {.readable = residency->base + first};
    if (mincore(from.address, (size_t)(end - first), there) != 0)
        return true;
    bool all = true;
    for (uint64_t i = page; i < page + count; i++) {
        bool held = (there[((i << PAGE_SHIFT) - first) / page_len] & 1) != 0;
        all = all && held;
        if (held && remember)
            note(residency, i);
    }
    return all;
}

/* Of no length before, so that it is a copy: of the same pages, and without the file's descriptor. */
static void make_counted(struct rd_residency *residency)
{
    union {
        const void *readable;
        void *address;
    } from = {.readable = residency->base};
    if (atomic_exchange_explicit(&residency->counted_tried, true, memory_order_relaxed))
        return;
    uint8_t *counted = mremap(from.address, 0, residency->len, MREMAP_MAYMOVE);
    if (counted == MAP_FAILED)
        return;
    struct rd_guarded *guard = rd_guard_add(counted, residency->len);
    if (guard == NULL || madvise(counted, residency->len, MADV_NORMAL) != 0) {
        rd_guard_remove(guard);
        (void)munmap(counted, residency->len);
        return;
    }
    atomic_store_explicit(&residency->counted_guard, guard, memory_order_relaxed);
    atomic_store_explicit(&residency->counted, counted, memory_order_release);
}

/* These pages are there and about to be read. */
static void count_use(struct rd_residency *residency, uint64_t first, uint64_t last)
{
    if (atomic_load_explicit(&residency->counted, memory_order_acquire) == NULL)
        make_counted(residency);
    const volatile uint8_t *counted = atomic_load_explicit(&residency->counted, memory_order_acquire);
    for (uint64_t page = first; page <= last && counted != NULL; page++)
        (void)counted[page << PAGE_SHIFT];
}

static bool ask(struct rd_residency *residency, uint64_t first, uint64_t last, bool remember)
{
    for (uint64_t page = first; page <= last; page += ASKED_MAX) {
        uint64_t count = last - page + 1 < ASKED_MAX ? last - page + 1 : ASKED_MAX;
        if (!ask_some(residency, page, count, remember)) {
            atomic_store_explicit(&gone_seen, true, memory_order_relaxed);
            return false;
        }
    }
    return true;
}

bool rd_residency_holds(struct rd_residency *residency, uint64_t offset, uint64_t len)
{
    if (len == 0)
        return true;
    uint64_t first = offset >> PAGE_SHIFT;
    uint64_t last = (offset + len - 1) >> PAGE_SHIFT;
    if (atomic_load_explicit(&doubting, memory_order_relaxed)) {
        bool held = ask(residency, first, last, false);
        if (held && len <= COUNTED_MAX)
            count_use(residency, first, last);
        return held;
    }
    uint64_t now = atomic_load_explicit(&doubts, memory_order_relaxed);
    if (atomic_load_explicit(&residency->doubts, memory_order_relaxed) != now)
        forget(residency, now);
    while (first <= last && is_noted(residency, first))
        first++;
    return first > last || ask(residency, first, last, true);
}

void rd_residency_want(struct rd_residency *residency, uint64_t offset, uint64_t len)
{
    if (!rd_residency_holds(residency, offset, len))
        rd_residency_advise(residency->base + offset, len);
}

static void unnote(struct rd_residency *residency, uint64_t page)
{
    struct rd_residency_chunk *chunk =
        atomic_load_explicit(&residency->chunks[page / PAGES_PER_CHUNK], memory_order_acquire);
    if (chunk != NULL)
        atomic_fetch_and_explicit(&chunk->words[page % PAGES_PER_CHUNK / 64], ~(UINT64_C(1) << page % 64),
                                  memory_order_relaxed);
}

void rd_residency_forget(struct rd_residency *residency, uint64_t offset, uint64_t len)
{
    uint64_t page_len = system_page_len();
    uint64_t first = (offset + page_len - 1) / page_len * page_len;
    uint64_t end = (offset + len) / page_len * page_len;
    if (end <= first)
        return;
    union {
        const void *readable;
        void *address;
    } from = {.readable = residency->base + first};
    (void)madvise(from.address, (size_t)(end - first), MADV_PAGEOUT); /* a hint */
    for (uint64_t page = first >> PAGE_SHIFT; page < end >> PAGE_SHIFT; page++)
        unnote(residency, page);
}

void rd_residency_drop(struct rd_residency *residency, uint64_t offset, uint64_t len)
{
    union {
        const void *readable;
        void *address;
    } from = {.readable = atomic_load_explicit(&residency->counted, memory_order_acquire)};
    if (from.address != NULL) /* where it fails, giving back the map takes longer */
        (void)madvise((uint8_t *)from.address + offset, len, MADV_DONTNEED);
}

void rd_residency_unnote(struct rd_residency *residency, uint64_t offset, uint64_t len)
{
    for (uint64_t page = offset >> PAGE_SHIFT; page < (offset + len) >> PAGE_SHIFT; page++)
        unnote(residency, page);
}

void rd_residency_unmap(struct rd_residency *residency, uint64_t offset, uint64_t len)
{
    advise(residency->base + offset, len, MADV_DONTNEED);
    rd_residency_drop(residency, offset, len);
}

void rd_residency_descend(struct rd_residency *residency, struct rd_descent *descent, uint64_t end)
{
    bool goes_on = descent->begun && descent->asked <= end;
    if (goes_on && end - descent->asked > DESCENT_LEN / 2)
        return;
    uint64_t high = goes_on ? descent->asked : end;
    uint64_t low = high > DESCENT_LEN ? high - DESCENT_LEN : 0;
    rd_residency_want(residency, low, high - low);
    *descent = (struct rd_descent){.begun = true, .asked = low};
}
