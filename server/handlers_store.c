/* SPDX-License-Identifier: MIT
 *
 * handlers_store.c - requests about stores, and those that need none.
 */
#include "server/handlers.h"

#include <stdlib.h>

#include "server/conn.h"
#include "server/lane.h"
#include "server/loop.h"
#include "server/stores.h"
#include "server/terms.h"

/* ---- without a store -------------------------------------------------------------------------------------- */

void rd_run_hello(struct rd_call *call)
{
    call->response.limits = rd_conn_loop(call->conn)->limits;
    rd_call_finish(call);
}

void rd_run_ready(struct rd_call *call)
{
    char name[RD_STORE_NAME_LEN_MAX + 1];
    if (rd_stores_find_failed(rd_call_stores(call), name))
        rd_call_fail(call, RD_UNAVAILABLE, "store '%s' does not serve", name);
    else
        rd_call_finish(call);
}

/* ---- stores ----------------------------------------------------------------------------------------------- */

/* One row of a listing; the reason is kept beside it, as the response only borrows. */
struct listing {
    struct rd_response_store row;
    struct rd_store_info info;
};

static void describe_store(struct rd_hosted *hosted, struct rd_response_store *row, struct rd_store_info *info)
{
    *row = (struct rd_response_store){.name = rd_slice_of_string(hosted->name), .state = RD_MESSAGE_STORE_FAILED};
    if (rd_hosted_use(hosted, NULL) != RD_OK) {
        bool failed = atomic_load(&hosted->state) == RD_HOSTED_FAILED;
        row->reason = rd_slice_of_string(failed ? hosted->reason : "being dropped");
        return;
    }
    rd_store_info(hosted->store, info);
    rd_hosted_unuse(hosted);
    row->entries = info->entries;
    row->tail = info->tail;
    row->file_size = info->file_size;
    row->dead_bytes = info->dead_bytes;
    row->durability = rd_terms_message_durability(info->durability);
    row->durability_interval_ms = info->durability_interval_ms;
    row->state = info->state == RD_STORE_OPEN ? RD_MESSAGE_STORE_OPEN : RD_MESSAGE_STORE_READ_ONLY;
    row->reason = rd_slice_of_string(info->reason);
    row->generation = info->generation;
}

static void answer_with_stores(struct rd_call *call, struct rd_hosted *const *list, size_t count)
{
    struct rd_response_store *rows = rd_call_allocate(call, count, sizeof(struct listing));
    if (rows == NULL) {
        rd_call_fail(call, RD_NO_MEMORY, "no memory for the listing");
        return;
    }
    struct rd_store_info *infos = (struct rd_store_info *)(rows + count);
    for (size_t i = 0; i < count; i++)
        describe_store(list[i], &rows[i], &infos[i]);
    call->response.stores = rows;
    call->response.store_count = count;
    rd_call_finish(call);
}

void rd_run_stores(struct rd_call *call)
{
    call->listed = rd_stores_list(rd_call_stores(call), &call->listed_count);
    if (call->listed == NULL)
        rd_call_fail(call, RD_NO_MEMORY, "no memory for the listing");
    else
        answer_with_stores(call, call->listed, call->listed_count);
}

static void fail_no_store(struct rd_call *call)
{
    struct rd_slice name = rd_terms_store_name(call->request->store);
    rd_call_fail(call, RD_STORE_NOT_FOUND, "there is no store '%.*s'", (int)name.len, (const char *)name.data);
}

void rd_run_info(struct rd_call *call)
{
    call->listed = malloc(sizeof *call->listed);
    if (call->listed == NULL) {
        rd_call_fail(call, RD_NO_MEMORY, "no memory for the listing");
        return;
    }
    /* A reference of its own: the lane's may go before the answer is encoded. */
    call->listed[0] = rd_stores_find(rd_call_stores(call), rd_terms_store_name(call->request->store));
    call->listed_count = call->listed[0] != NULL;
    enum rd_hosted_state state =
        call->listed_count == 0 ? RD_HOSTED_GONE : (enum rd_hosted_state)atomic_load(&call->listed[0]->state);
    if (state != RD_HOSTED_SERVING && state != RD_HOSTED_FAILED)
        fail_no_store(call);
    else
        answer_with_stores(call, call->listed, 1);
}

/* On a pool thread. */
static void create_store(struct rd_call *call)
{
    struct rd_settings settings;
    call->error.status = rd_settings_parse(call->request->settings, &settings, &call->error);
    if (call->error.status == RD_OK)
        call->error.status = rd_stores_create(rd_call_stores(call), rd_terms_store_name(call->request->store),
                                              &settings, &call->error);
}

static void complete_create(struct rd_call *call)
{
    if (call->error.status != RD_OK)
        rd_call_fail_error(call, call->error.status, &call->error);
    else
        rd_run_info(call);
}

void rd_run_create(struct rd_call *call)
{
    rd_call_start_work(call, create_store, complete_create);
}

/* On a pool thread. */
static void drop_store(struct rd_call *call)
{
    call->error.status = rd_stores_drop_finish(call->lane->hosted, rd_call_stores(call), &call->error);
}

static void complete_drop(struct rd_call *call)
{
    if (call->error.status != RD_OK)
        rd_call_fail_error(call, call->error.status, &call->error);
    else
        rd_call_finish(call);
}

/* The last use of the store has ended. */
static void go_on_with_drop(struct rd_call *call)
{
    rd_call_start_work(call, drop_store, complete_drop);
}

void rd_run_drop(struct rd_call *call)
{
    struct rd_hosted *hosted = rd_lane_hosted(call->lane, rd_call_stores(call));
    if (hosted == NULL) {
        fail_no_store(call);
        return;
    }
    if (!rd_slice_equal(call->request->confirm, rd_slice_of_string(hosted->name))) {
        rd_call_fail(call, RD_INVALID_ARGUMENT, "confirm: must be the store's name, '%s'", hosted->name);
        return;
    }
    call->op.sink = &rd_conn_loop(call->conn)->bridge.sink;
    call->on_complete = go_on_with_drop;
    struct rd_error error = {.status = RD_OK};
    enum rd_status status = rd_stores_drop_begin(hosted, rd_call_stores(call), &call->op, &error);
    if (status != RD_OK)
        rd_call_fail_error(call, status, &error);
}
