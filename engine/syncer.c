/* SPDX-License-Identifier: MIT */
#include "engine/syncer.h"

#include "engine/store.h"
#include "engine/thread.h"

#define BESIDE_LEN_MIN (UINT64_C(1) << 20)

void rd_syncer_init(struct rd_syncer *syncer)
{
    *syncer = (struct rd_syncer){.beside_len_min = BESIDE_LEN_MIN};
}

/* ---- what is asked for -------------------------------------------------------------------------------- */

void rd_syncer_heed_tuning(struct rd_store *store)
{
    struct rd_syncer *syncer = &store->syncer;
    uint32_t interval_ms;
    syncer->durability = rd_store_durability(store, &interval_ms);
    if (syncer->durability == RD_DURABILITY_INTERVAL)
        syncer->interval_ms = interval_ms;
    syncer->group_ns = 0;
}

enum rd_durability rd_syncer_durability_of(const struct rd_store *store, const struct rd_op *op)
{
    return op->durability == RD_DURABILITY_DEFAULT ? store->syncer.durability : op->durability;
}

bool rd_syncer_is_asked(const struct rd_store *store, const struct rd_op *op)
{
    return op->kind == RD_OP_SYNC || rd_syncer_durability_of(store, op) == RD_DURABILITY_SYNC;
}

bool rd_syncer_is_overdue(const struct rd_store *store)
{
    const struct rd_syncer *syncer = &store->syncer;
    return syncer->debt.owed && rd_monotonic_ms() - syncer->debt.since_ms >= syncer->interval_ms;
}

bool rd_syncer_group_wants_sync(const struct rd_store *store, const struct rd_plan *plan)
{
    if (rd_syncer_is_overdue(store))
        return true;
    bool any_unsynced = store->syncer.unsynced || plan->entry_count != 0;
    for (uint32_t i = 0; i < plan->step_count; i++) {
        const struct rd_op *op = plan->steps[i].op;
        /* Who asks for what is so already, as one that deletes what is gone, is told of it as of a change. */
        bool told = op->status == RD_OK && op->entry_count != 0 && any_unsynced;
        if ((plan->steps[i].count != 0 || op->kind == RD_OP_SYNC || told) && rd_syncer_is_asked(store, op))
            return true;
    }
    return false;
}

/* ---- what is owed ------------------------------------------------------------------------------------- */

void rd_syncer_note_unsynced(struct rd_store *store, const struct rd_plan *plan)
{
    struct rd_syncer *syncer = &store->syncer;
    struct rd_debt *debt = syncer->beside.running ? &syncer->beside.later : &syncer->debt;
    syncer->unsynced = true;
    for (uint32_t i = 0; i < plan->step_count && !debt->owed; i++)
        if (plan->steps[i].count != 0 &&
            rd_syncer_durability_of(store, plan->steps[i].op) == RD_DURABILITY_INTERVAL)
            *debt = (struct rd_debt){.owed = true, .since_ms = rd_monotonic_ms()};
}

static void note_synced_to(struct rd_store *store, uint64_t tail, uint64_t entry_count)
{
    struct rd_syncer *syncer = &store->syncer;
    syncer->synced_tail = tail;
    syncer->synced_entries = entry_count;
    syncer->unsynced = false;
    syncer->debt = (struct rd_debt){.owed = false};
}

void rd_syncer_note_synced(struct rd_store *store)
{
    note_synced_to(store, rd_writer_tail(store), store->entry_count);
}

static void count_sync(struct rd_store *store, uint64_t took_ns, int failed)
{
    rd_distribution_add(&store->counts.sync_ns, RD_DISTRIBUTION_NS, took_ns);
    if (failed != 0)
        rd_counter_add(&store->counts.sync_failures, 1);
}

/* ---- on the writer's thread --------------------------------------------------------------------------- */

int rd_syncer_sync(struct rd_store *store, const struct rd_plan *plan)
{
    int failed = rd_syncer_end(store);
    if (failed != 0)
        return failed;
    uint64_t begun_ns = rd_monotonic_ns();
    failed = rd_datafile_sync(&store->file);
    uint64_t took_ns = rd_monotonic_ns() - begun_ns;
    store->syncer.group_ns += took_ns;
    count_sync(store, took_ns, failed);
    if (failed == 0 && plan != NULL)
        note_synced_to(store, plan->tail, store->entry_count + plan->entry_count);
    else if (failed == 0)
        rd_syncer_note_synced(store);
    return failed;
}

/* ---- beside it ---------------------------------------------------------------------------------------- */

/* The descriptor stays: whoever exchanges it (compact.c) has the store synced first, and no group between. */
static void *sync_beside(void *context)
{
    struct rd_store *store = context;
    struct rd_sync_beside *beside = &store->syncer.beside;
    uint64_t begun_ns = rd_monotonic_ns();
    beside->os_errno = rd_datafile_sync(&store->file);
    beside->took_ns = rd_monotonic_ns() - begun_ns;
    atomic_store_explicit(&beside->done, true, memory_order_release);
    return NULL;
}

static bool is_time(const struct rd_store *store)
{
    const struct rd_syncer *syncer = &store->syncer;
    return syncer->debt.owed && !syncer->beside.running &&
           rd_writer_tail(store) - syncer->synced_tail >= syncer->beside_len_min &&
           rd_monotonic_ms() - syncer->debt.since_ms >= syncer->interval_ms / 2;
}

void rd_syncer_begin(struct rd_store *store)
{
    struct rd_sync_beside *beside = &store->syncer.beside;
    if (!is_time(store) || rd_writer_file_is_lost(store))
        return;
    beside->tail = rd_writer_tail(store);
    beside->entry_count = store->entry_count;
    beside->later = (struct rd_debt){.owed = false};
    atomic_store_explicit(&beside->done, false, memory_order_relaxed);
    /* Without a thread the writer will do it, when it must. */
    beside->running = rd_thread_start(&beside->thread, sync_beside, store);
}

int rd_syncer_end(struct rd_store *store)
{
    struct rd_syncer *syncer = &store->syncer;
    struct rd_sync_beside *beside = &syncer->beside;
    if (!beside->running)
        return 0;
    uint64_t begun_ns = rd_monotonic_ns();
    pthread_join(beside->thread, NULL);
    beside->running = false;
    syncer->group_ns += rd_monotonic_ns() - begun_ns;
    count_sync(store, beside->took_ns, beside->os_errno);
    if (beside->os_errno != 0)
        return beside->os_errno;
    /* What the writer failed with meanwhile may have been this sync's failure, which is told once. */
    if (atomic_load_explicit(&store->state, memory_order_relaxed) != RD_STORE_OPEN)
        return 0;
    note_synced_to(store, beside->tail, beside->entry_count);
    syncer->unsynced = rd_writer_tail(store) != beside->tail;
    syncer->debt = beside->later;
    return 0;
}

int rd_syncer_catch_up(struct rd_store *store)
{
    const struct rd_sync_beside *beside = &store->syncer.beside;
    if (!beside->running)
        return 0;
    bool done = atomic_load_explicit(&beside->done, memory_order_acquire);
    return done || rd_syncer_is_overdue(store) ? rd_syncer_end(store) : 0;
}
