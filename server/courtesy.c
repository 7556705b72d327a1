/* SPDX-License-Identifier: MIT */
#include "server/courtesy.h"

#include <sched.h>
#include <uv.h>

#define CROWDED_NS 1000000u /* a processor that comes back later than that is wanted by others */

void rd_courtesy_let_in(struct rd_courtesy *courtesy)
{
    if (courtesy->crowded)
        return;
    uint64_t begun_ns = uv_hrtime();
    sched_yield();
    courtesy->crowded = uv_hrtime() - begun_ns >= CROWDED_NS;
}
