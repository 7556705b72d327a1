/* SPDX-License-Identifier: MIT */
#include "engine/view.h"

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
