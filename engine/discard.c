/* SPDX-License-Identifier: MIT */
#include "engine/discard.h"

#include <stdlib.h>

#include "engine/store.h"
#include "engine/thread.h"

#define DIED_MIN    256u  /* regions: 16 MiB */
#define RUNS_MAX    8192u /* of one thread */
#define GAP_MAX     (4 * RD_REGION_LEN)
#define AT_ONCE_MAX (UINT64_C(32) << 20) /* a few milliseconds, that ending it may have to wait for */

void rd_discard_init(struct rd_discard *discard)
{
    *discard = (struct rd_discard){.died_min = DIED_MIN};
}

void rd_discard_deinit(struct rd_discard *discard)
{
    rd_discard_end(discard);
    rd_regions_deinit(&discard->regions);
}

/* Runs come in the order of the file, but for those of its front that may follow those of its end. */
static bool is_near(const struct rd_region_run *run, const struct rd_region_run *next)
{
    return next->begin >= run->end && next->begin - run->end <= GAP_MAX;
}

/* How many of the runs are given back at once: those that are near to each other, but not more than that. */
static size_t count_near(const struct rd_region_run *runs, size_t runs_max)
{
    size_t count = 1;
    while (count < runs_max && is_near(&runs[count - 1], &runs[count]) &&
           runs[count].end - runs[0].begin <= AT_ONCE_MAX)
        count++;
    return count;
}

/* The kernel leaves a page that is mapped, so out of the map first. That stops other processors, as they may know
 * the map: so once for runs that are near to each other, though it costs what lies between them a fault. What was
 * given back is empty afterwards. */
static void discard_some(struct rd_discard *discard, struct rd_region_run *runs, size_t count)
{
    rd_residency_unmap(&discard->mapping->residency, runs[0].begin, runs[count - 1].end - runs[0].begin);
    for (size_t i = 0; i < count; i++) {
        uint64_t len = runs[i].end - runs[i].begin;
        if (!rd_mapping_begin_leaving(discard->mapping, runs[i].begin))
            continue;
        rd_datafile_drop_cache(discard->file, runs[i].begin, len);
        rd_residency_unnote(&discard->mapping->residency, runs[i].begin, len);
        rd_mapping_end_leaving(discard->mapping, runs[i].begin);
        runs[i].end = runs[i].begin;
    }
}

static void *run(void *context)
{
    struct rd_discard *discard = context;
    struct rd_region_run *runs = discard->runs;
    size_t i = 0;
    while (i < discard->run_count && !atomic_load_explicit(&discard->stops, memory_order_relaxed)) {
        size_t count = count_near(runs + i, discard->run_count - i);
        discard_some(discard, runs + i, count);
        i += count;
    }
    atomic_store_explicit(&discard->done, true, memory_order_release);
    return NULL;
}

/* Where there is no memory, or no thread, what was taken stays until the kernel needs its memory. */
static void begin(struct rd_store *store)
{
    struct rd_discard *discard = &store->discard;
    discard->runs = malloc(RUNS_MAX * sizeof *discard->runs);
    if (discard->runs == NULL)
        return;
    discard->run_count = rd_regions_take(&discard->regions, discard->synced_tail, discard->runs, RUNS_MAX);
    discard->file = &store->file;
    discard->mapping = rd_writer_mapping(store);
    atomic_store_explicit(&discard->stops, false, memory_order_relaxed);
    atomic_store_explicit(&discard->done, false, memory_order_relaxed);
    discard->under_way = discard->run_count != 0 && rd_thread_start(&discard->thread, run, discard);
    if (discard->under_way) {
        rd_mapping_pin(discard->mapping, rd_seat(), 1);
    } else {
        free(discard->runs);
        discard->runs = NULL;
    }
}

static void join(struct rd_discard *discard)
{
    pthread_join(discard->thread, NULL);
    discard->under_way = false;
    for (size_t i = 0; i < discard->run_count; i++)
        rd_regions_give_back(&discard->regions, &discard->runs[i]);
    rd_mapping_unpin(discard->mapping, 1);
    free(discard->runs);
    discard->runs = NULL;
}

void rd_discard_advance(struct rd_store *store)
{
    struct rd_discard *discard = &store->discard;
    if (discard->under_way) {
        if (atomic_load_explicit(&discard->done, memory_order_acquire))
            join(discard);
        return;
    }
    uint64_t synced_tail = atomic_load_explicit(&store->syncer.synced_tail, memory_order_relaxed);
    if (discard->regions.died < discard->died_min || discard->synced_tail == synced_tail ||
        rd_mapping_any_retired(&store->epoch))
        return;
    discard->synced_tail = synced_tail;
    begin(store);
}

void rd_discard_end(struct rd_discard *discard)
{
    if (!discard->under_way)
        return;
    atomic_store_explicit(&discard->stops, true, memory_order_relaxed);
    join(discard);
}

void rd_discard_forget(struct rd_discard *discard)
{
    rd_discard_end(discard);
    rd_regions_deinit(&discard->regions);
    discard->synced_tail = 0;
}
