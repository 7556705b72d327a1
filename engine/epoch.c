/* SPDX-License-Identifier: MIT */
#include "engine/epoch.h"

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>

void rd_epoch_init(struct rd_epoch *epoch)
{
    for (unsigned i = 0; i < RD_EPOCH_SLOTS; i++)
        atomic_init(&epoch->slots[i].epoch, 0);
    atomic_init(&epoch->now, 1);
    epoch->oldest = NULL;
    epoch->newest = NULL;
}

static void destroy_oldest(struct rd_epoch *epoch)
{
    struct rd_retired *retired = epoch->oldest;
    epoch->oldest = retired->next;
    if (epoch->oldest == NULL)
        epoch->newest = NULL;
    retired->destroy(retired);
}

void rd_epoch_deinit(struct rd_epoch *epoch)
{
    while (epoch->oldest != NULL)
        destroy_oldest(epoch);
}

/* Each thread starts at the slot that it used last, so that threads spread out and stay apart. */
unsigned rd_epoch_enter(struct rd_epoch *epoch)
{
    static atomic_uint threads;
    static _Thread_local unsigned preferred = UINT32_MAX;

    if (preferred == UINT32_MAX)
        preferred = atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) % RD_EPOCH_SLOTS;
    for (unsigned tried = 0;; tried++) {
        unsigned slot = (preferred + tried) % RD_EPOCH_SLOTS;
        uint_fast64_t free_slot = 0;
        uint_fast64_t now = atomic_load_explicit(&epoch->now, memory_order_seq_cst);
        if (atomic_compare_exchange_strong_explicit(&epoch->slots[slot].epoch, &free_slot, now,
                                                    memory_order_seq_cst, memory_order_relaxed)) {
            preferred = slot;
            return slot;
        }
        if (tried % RD_EPOCH_SLOTS == RD_EPOCH_SLOTS - 1)
            sched_yield();
    }
}

void rd_epoch_retire(struct rd_epoch *epoch, struct rd_retired *retired, void (*destroy)(struct rd_retired *))
{
    retired->next = NULL;
    retired->destroy = destroy;
    retired->epoch = atomic_fetch_add_explicit(&epoch->now, 1, memory_order_seq_cst);
    if (epoch->newest == NULL)
        epoch->oldest = retired;
    else
        epoch->newest->next = retired;
    epoch->newest = retired;
}

void rd_epoch_collect(struct rd_epoch *epoch)
{
    if (epoch->oldest == NULL)
        return;
    uint_fast64_t earliest = UINT64_MAX;
    for (unsigned i = 0; i < RD_EPOCH_SLOTS; i++) {
        uint_fast64_t entered = atomic_load_explicit(&epoch->slots[i].epoch, memory_order_seq_cst);
        if (entered != 0 && entered < earliest)
            earliest = entered;
    }
    while (epoch->oldest != NULL && epoch->oldest->epoch < earliest)
        destroy_oldest(epoch);
}
