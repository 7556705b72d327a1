/* SPDX-License-Identifier: MIT */
#include "engine/spare.h"
#include "engine/thread.h"

#include <assert.h>
#include <stddef.h>

static void *run(void *context)
{
    struct rd_spare *spare = context;
    spare->memory = spare->make();
    atomic_store_explicit(&spare->is_ready, true, memory_order_release);
    return NULL;
}

bool rd_spare_prepare(struct rd_spare *spare, void *(*make)(void))
{
    if (spare->under_way)
        return false;
    spare->make = make;
    atomic_store_explicit(&spare->is_ready, false, memory_order_relaxed);
    spare->under_way = rd_thread_start(&spare->thread, run, spare);
    return spare->under_way;
}

void *rd_spare_take(struct rd_spare *spare)
{
    assert(rd_spare_is_ready(spare));
    return rd_spare_end(spare);
}

void *rd_spare_end(struct rd_spare *spare)
{
    if (!spare->under_way)
        return NULL;
    pthread_join(spare->thread, NULL);
    spare->under_way = false;
    return spare->memory;
}
