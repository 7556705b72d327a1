/* SPDX-License-Identifier: MIT */
#include "engine/view.h"
#include "engine/thread.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct rd_view *rd_view_create(void)
{
    struct rd_view *view = malloc(sizeof *view);
    if (view != NULL)
        memset((void *)view, 0, sizeof *view);
    return view;
}

void rd_view_destroy(struct rd_view *view)
{
    if (view == NULL)
        return;
    assert(atomic_load_explicit(&view->pins, memory_order_acquire) == 0); /* a cursor outlives its store */
    rd_index_deinit(&view->index);
    rd_mapping_destroy(atomic_load_explicit(&view->mapping, memory_order_relaxed));
    free((void *)view);
}

/* ---- departing ----------------------------------------------------------------------------------------- */

void rd_departures_wait(struct rd_departures *departures)
{
    if (departures->under_way)
        pthread_join(departures->thread, NULL);
    departures->under_way = false;
}

static void *destroy(void *view)
{
    rd_view_destroy(view);
    return NULL;
}

static bool depart(struct rd_retired *retired)
{
    struct rd_view *view = (struct rd_view *)((char *)retired - offsetof(struct rd_view, retired));
    if (atomic_load_explicit(&view->pins, memory_order_acquire) != 0 ||
        rd_mapping_is_pinned(atomic_load_explicit(&view->mapping, memory_order_relaxed)))
        return false;
    struct rd_departures *departures = view->departures;
    rd_departures_wait(departures);
    departures->under_way = rd_thread_start(&departures->thread, destroy, view);
    if (!departures->under_way)
        rd_view_destroy(view);
    return true;
}

void rd_view_retire(struct rd_view *view, struct rd_epoch *epoch, struct rd_departures *departures)
{
    view->departures = departures;
    rd_epoch_retire(epoch, &view->retired, depart);
}
