/* SPDX-License-Identifier: MIT */
#include "engine/epoch.h"

#include <sched.h>
#include <stddef.h>

#define DEINIT_TURNS_MAX (1u << 26) /* in which a map of 2^48 bytes is destroyed bit by bit */

struct rd_epoch_place rd_epoch_places[RD_SEATS + RD_EPOCH_STANDING];
alignas(64) atomic_uint_fast64_t rd_epoch_now = 1; /* alone on its line: every reader looks at it */

void rd_epoch_init(struct rd_epoch *epoch)
{
    rd_barrier_prepare();
    *epoch = (struct rd_epoch){0};
}

/* Of those retired before `earliest`, in order. */
static void destroy_before(struct rd_epoch *epoch, uint64_t earliest)
{
    struct rd_retired *kept = NULL;
    struct rd_retired **link = &epoch->oldest;
    while (*link != NULL && (*link)->epoch < earliest) {
        struct rd_retired *retired = *link;
        struct rd_retired *next = retired->next;
        if (retired->destroy(retired)) {
            *link = next;
        } else {
            kept = retired;
            link = &retired->next;
        }
    }
    if (*link == NULL)
        epoch->newest = kept;
}

void rd_epoch_drain(struct rd_epoch *epoch)
{
    destroy_before(epoch, UINT64_MAX);
}

void rd_epoch_deinit(struct rd_epoch *epoch)
{
    for (unsigned turn = 0; turn < DEINIT_TURNS_MAX && epoch->oldest != NULL; turn++)
        rd_epoch_drain(epoch);
    assert(epoch->oldest == NULL);
}

unsigned rd_epoch_enter_standing(void)
{
    for (unsigned tried = 0;; tried++) {
        unsigned place = RD_SEATS + tried % RD_EPOCH_STANDING;
        uint_fast64_t nobody = 0;
        uint_fast64_t now = atomic_load_explicit(&rd_epoch_now, memory_order_acquire);
        if (atomic_compare_exchange_strong_explicit(&rd_epoch_places[place].epoch, &nobody, now,
                                                    memory_order_seq_cst, memory_order_relaxed))
            return place;
        if (tried % RD_EPOCH_STANDING == RD_EPOCH_STANDING - 1)
            sched_yield();
    }
}

void rd_epoch_retire(struct rd_epoch *epoch, struct rd_retired *retired, bool (*destroy)(struct rd_retired *))
{
    retired->next = NULL;
    retired->destroy = destroy;
    retired->epoch = atomic_fetch_add_explicit(&rd_epoch_now, 1, memory_order_seq_cst);
    if (epoch->newest == NULL)
        epoch->oldest = retired;
    else
        epoch->newest->next = retired;
    epoch->newest = retired;
}

/* The epoch of the reader that has been inside longest. */
static uint64_t earliest_inside(void)
{
    uint64_t earliest = UINT64_MAX;
    for (unsigned i = 0; i < RD_SEATS + RD_EPOCH_STANDING; i++) {
        uint64_t entered = atomic_load_explicit(&rd_epoch_places[i].epoch, memory_order_seq_cst);
        if (entered != 0 && entered < earliest)
            earliest = entered;
    }
    return earliest;
}

void rd_epoch_collect(struct rd_epoch *epoch)
{
    if (epoch->oldest == NULL)
        return;
    if (epoch->newest->epoch > epoch->left_by_all) { /* else what is left only refuses to go */
        if (!rd_barrier_run())
            return;
        uint64_t earliest = earliest_inside();
        epoch->left_by_all = earliest <= epoch->newest->epoch ? earliest - 1 : epoch->newest->epoch;
    }
    destroy_before(epoch, epoch->left_by_all + 1);
}
