/* SPDX-License-Identifier: MIT */
#include "server/gather.h"

#include <string.h>

#include "server/conn.h"
#include "server/handlers.h"
#include "server/lane.h"
#include "server/stores.h"
#include "server/terms.h"

/* Has the processor fetch what the looks will touch, store by store. */
static void approach(struct rd_call *const *calls, unsigned count)
{
    struct rd_key keys[RD_GATHER_MAX];
    for (unsigned i = 0; i < count;) {
        struct rd_store *store = calls[i]->hosted->store;
        unsigned key_count = 0;
        for (; i < count && calls[i]->hosted->store == store; i++)
            keys[key_count++] = rd_terms_key(&calls[i]->request->key);
        if (key_count > 1)
            rd_store_approach(store, keys, key_count);
    }
}

static void look(struct rd_call *call)
{
    struct rd_conn *conn = call->conn;
    rd_conn_keep(conn);
    rd_handler_look(call);
    rd_conn_send_promptly(conn);
    rd_conn_let_go(conn);
}

void rd_gather_run(struct rd_gather *gather)
{
    struct rd_call *calls[RD_GATHER_MAX];
    if (gather->running)
        return;
    gather->running = true;
    while (gather->count != 0) {
        unsigned count = gather->count;
        memcpy(calls, gather->calls, count * sizeof calls[0]);
        gather->count = 0;
        approach(calls, count);
        for (unsigned i = 0; i < count; i++)
            look(calls[i]);
    }
    gather->running = false;
}

void rd_gather_add(struct rd_gather *gather, struct rd_call *call)
{
    rd_lane_begin_look(call->lane, call);
    if (gather->count == RD_GATHER_MAX)
        rd_gather_run(gather);
    if (gather->count == RD_GATHER_MAX)
        look(call); /* inside the run: no deeper */
    else
        gather->calls[gather->count++] = call;
}
