/* SPDX-License-Identifier: MIT
 *
 * handlers_metrics.c - requests about how the daemon is: ready, its metrics, the status page.
 */
#include "base/text.h"
#include "server/conn.h"
#include "server/gate.h"
#include "server/handlers.h"
#include "server/loop.h"
#include "server/scrape.h"
#include "server/status_page.h"
#include "server/stores.h"

#define SCRAPES_MAX  8u          /* at a time: with many stores each takes some MiB until it has been sent */
#define TEXT_LEN_MAX (96u << 20) /* bytes */

static void answer_for_one(struct rd_call *call, struct rd_slice name)
{
    struct rd_error error = {.status = RD_OK};
    if (!rd_gate_may_see(call, name)) { /* whether there is such a store is told to nobody else */
        rd_call_fail(call, RD_FORBIDDEN, "one store's readiness is told to those who may do something in it");
        return;
    }
    struct rd_hosted *hosted = rd_stores_find(rd_call_stores(call), name);
    enum rd_status status = RD_STORE_NOT_FOUND;
    if (hosted != NULL)
        status = rd_hosted_use(hosted, &error);
    else if (!rd_text_is_store_name(name))
        status =
            rd_error_set(&error, RD_INVALID_ARGUMENT, 0, "a store's name is [A-Za-z0-9._-]{1,64}, no leading dot");
    else
        rd_error_set(&error, status, 0, "there is no store '%.*s'", (int)name.len, (const char *)name.data);
    if (status == RD_OK)
        rd_hosted_unuse(hosted);
    rd_hosted_unref(hosted);
    if (status == RD_OK)
        rd_call_finish(call);
    else
        rd_call_fail_error(call, status, &error);
}

void rd_run_ready(struct rd_call *call)
{
    char name[RD_TEXT_STORE_NAME_LEN_MAX + 1];
    if (call->request->store.len != 0)
        answer_for_one(call, call->request->store);
    else if (!rd_stores_find_unserved(rd_call_stores(call), name))
        rd_call_finish(call);
    else if (rd_gate_may_see(call, rd_slice_of_string(name)))
        rd_call_fail(call, RD_UNAVAILABLE, "store '%s' does not serve", name);
    else
        rd_call_fail(call, RD_UNAVAILABLE, "not every store serves");
}

/* On a pool thread: it takes a millisecond and more where stores are many. */
static void scrape(struct rd_call *call)
{
    struct rd_buffer text;
    rd_buffer_init(&text, TEXT_LEN_MAX);
    call->error.status = rd_scrape(rd_conn_loop(call->conn), &text);
    call->memory = text.data;
    call->response.value = rd_buffer_slice(&text); /* leaves from there, a piece at a time (outbox.h) */
}

static void complete_metrics(struct rd_call *call)
{
    if (call->error.status != RD_OK)
        rd_call_fail(call, call->error.status, "no memory for the metrics");
    else
        rd_call_finish(call);
}

void rd_run_metrics(struct rd_call *call)
{
    struct rd_process *process = rd_conn_loop(call->conn)->process;
    call->scrapes = true;
    if (atomic_fetch_add(&process->scrapes, 1) >= SCRAPES_MAX)
        rd_call_fail(call, RD_OVERLOADED, "the metrics are being asked for too often at a time");
    else
        rd_call_start_work(call, scrape, complete_metrics);
}

void rd_run_page(struct rd_call *call)
{
    call->response.value = rd_slice(rd_status_page, rd_status_page_len);
    rd_call_finish(call);
}
