/* SPDX-License-Identifier: MIT */
#include "server/deferred.h"

#include "protocol/json.h"
#include "server/conn.h"
#include "server/dispatch.h"
#include "server/loop.h"

/* On a thread of the pool. A tree of a text takes more memory than the text, which the process has to have left.
 */
static void parse(struct rd_call *call)
{
    struct rd_request *request = call->request;
    struct rd_process *process = rd_conn_loop(call->conn)->process;
    uint64_t bytes = 0;
    if (rd_json_measure(request, &bytes) != RD_OK)
        return; /* the request says why */
    if (!rd_budget_take(&process->memory, bytes)) {
        rd_process_note(process, RD_REFUSED_MEMORY);
        request->status = RD_OVERLOADED;
        request->message = RD_LIMITS_REFUSE;
        return;
    }
    rd_json_parse_deferred(request); /* likewise */
    rd_budget_give(&process->memory, bytes);
}

static void go_on(struct rd_call *call)
{
    struct rd_conn *conn = call->conn;
    rd_conn_keep(conn);
    rd_conn_end_parse(conn, call);
    if (rd_conn_is_closing(conn)) {
        rd_call_finish(call); /* into nothing */
    } else {
        call->state = RD_CALL_NEW;
        rd_dispatch_call(call);
    }
    rd_conn_let_go(conn);
}

void rd_deferred_begin(struct rd_call *call)
{
    call->state = RD_CALL_RUNNING;
    rd_conn_begin_parse(call->conn);
    rd_call_start_parse(call, parse, go_on);
}
