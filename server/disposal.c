/* SPDX-License-Identifier: MIT */
#include "server/disposal.h"

#include <stdlib.h>

#include "server/loop.h"
#include "server/pool.h"

struct disposal {
    struct rd_job job;
    void *object;
    void (*destroy)(void *object);
};

/* On a thread of the pool, where nothing comes back from. */
static void work(struct rd_job *job)
{
    struct disposal *disposal = (struct disposal *)(void *)job;
    disposal->destroy(disposal->object);
    free(disposal);
}

void rd_dispose(struct rd_loop *loop, void *object, void (*destroy)(void *object))
{
    struct disposal *disposal = malloc(sizeof *disposal);
    if (disposal == NULL) {
        destroy(object);
        return;
    }
    *disposal = (struct disposal){
        .job = {.work = work, .port = &loop->port, .queue = loop->disposals},
        .object = object,
        .destroy = destroy,
    };
    if (!rd_pool_submit(loop->pool, &disposal->job))
        work(&disposal->job);
}

void rd_dispose_memory(struct rd_loop *loop, void *memory, size_t len)
{
    if (loop != NULL && memory != NULL && len >= RD_DISPOSAL_LEN_MIN)
        rd_dispose(loop, memory, free);
    else
        free(memory);
}
