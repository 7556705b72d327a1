/* SPDX-License-Identifier: MIT
 *
 * syncer.h - what a store's durability asks of its writer: which groups are synced, what of those answered is not
 * on the disk yet and since when, and the syncs themselves.
 *
 * Under RD_DURABILITY_INTERVAL much may be unsynced when a sync is due, and writing that out takes a while. So
 * where it is much, a sync begins when half the interval has passed, on a thread of its own, and the writer goes
 * on appending beside it:
 *
 *     answered        half the interval        the interval
 *        |-------------------|----------------------|
 *                            |== sync beside ==|      what came meanwhile is owed from here on
 *                            |== sync beside =======|~~|   not done in time: nothing is answered until it is
 *
 * It covers what was published when it began. It is the only sync while it runs: the kernel reports a lost page to
 * one caller alone, so whoever wants a sync waits for it first and fails with it, and does not try again.
 *
 * The writer's alone, but where noted.
 */
#ifndef RD_ENGINE_SYNCER_H
#define RD_ENGINE_SYNCER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "engine/engine.h"

struct rd_plan;

/* What was answered under RD_DURABILITY_INTERVAL and is not synced. */
struct rd_debt {
    bool owed;
    uint64_t since_ms; /* the oldest of it; monotonic clock */
};

/* A sync beside the writer. */
struct rd_sync_beside {
    bool running;         /* its thread is to be joined */
    pthread_t thread;     /* where it is */
    uint64_t tail;        /* it covers every byte below; constant while it runs */
    uint64_t entry_count; /* so many entries; likewise */
    struct rd_debt later; /* of what was answered since it began */
    atomic_bool done;     /* by its thread; the two below are the writer's from then on */
    int os_errno;
    uint64_t took_ns;
};

struct rd_syncer {
    enum rd_durability durability;    /* of the group under way; never DEFAULT */
    uint32_t interval_ms;             /* the last one in force: what was answered under it is still to be synced */
    uint64_t group_ns;                /* that the group under way has waited for syncs; 0: not at all */
    atomic_uint_fast64_t synced_tail; /* every byte below it has been synced; any thread may look */
    uint64_t synced_entries;          /* so many entries end at or below it */
    bool unsynced;                    /* bytes of published entries may not be on the disk yet */
    struct rd_debt debt;
    struct rd_sync_beside beside;
    uint64_t beside_len_min; /* unsynced bytes that are worth a thread; constant, fewer in tests */
};

void rd_syncer_init(struct rd_syncer *syncer);

/* What a group is held to does not change under it: looked up before each. */
void rd_syncer_heed_tuning(struct rd_store *store);

enum rd_durability rd_syncer_durability_of(const struct rd_store *store, const struct rd_op *op);

/* Whether the operation has its group synced, if it writes at all. */
bool rd_syncer_is_asked(const struct rd_store *store, const struct rd_op *op);
bool rd_syncer_is_overdue(const struct rd_store *store);
bool rd_syncer_group_wants_sync(const struct rd_store *store, const struct rd_plan *plan);

/* The plan is in the file, and its operations are about to be answered without a sync. */
void rd_syncer_note_unsynced(struct rd_store *store, const struct rd_plan *plan);

/* All that is published has been synced. */
void rd_syncer_note_synced(struct rd_store *store);

/* Syncs the file. plan: what was appended and is not published yet, or NULL. 0 or an errno value; the store has to
 * be made read-only then. */
int rd_syncer_sync(struct rd_store *store, const struct rd_plan *plan) RD_MUST_CHECK;

/* Between two groups: begins a sync beside the writer where it is time. What others have cut is not synced. */
void rd_syncer_begin(struct rd_store *store);

/* Before a group: takes note of a sync beside the writer that is done, and waits for one that is overdue. 0 or an
 * errno value, as of rd_syncer_sync. */
int rd_syncer_catch_up(struct rd_store *store) RD_MUST_CHECK;

/* The same, waiting in any case. No thread is left. */
int rd_syncer_end(struct rd_store *store) RD_MUST_CHECK;

#endif
