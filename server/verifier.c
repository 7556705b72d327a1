/* SPDX-License-Identifier: MIT */
#include "server/verifier.h"

#include "server/conn.h"
#include "server/handlers.h"
#include "server/loop.h"
#include "server/stores.h"
#include "server/terms.h"

#define STEP_BYTES_DEFAULT (UINT64_C(64) << 20)
#define STEP_BYTES_MAX     (UINT64_C(256) << 20)
#define WHOLE_STEP_BYTES   (UINT64_C(16) << 20) /* shorter, so that calls take turns more often */
#define WHOLE_LISTED_MAX   1000u                /* problems that a whole look lists */

static struct rd_verifier *verifier_of(const struct rd_call *call)
{
    return &rd_conn_loop(call->conn)->verifier;
}

static size_t listed_max(const struct rd_call *call)
{
    return call->request->verify_whole ? WHOLE_LISTED_MAX : RD_PROBLEMS_MAX;
}

/* ---- one step, on a pool thread --------------------------------------------------------------------------- */

static void add_step(struct rd_call *call, const struct rd_verification *found)
{
    struct rd_response_verification *sum = &call->response.verification;
    if (sum->bytes == 0)
        sum->from = found->from;
    sum->next = found->next;
    sum->entries += found->entries;
    sum->bytes += found->bytes;
    for (size_t i = 0; i < found->problem_count && sum->listed_count < listed_max(call); i++)
        sum->problems[sum->listed_count++] = rd_terms_problem(&found->problems[i]);
    sum->problem_count += found->problem_count;
    call->request->verify_from = found->next;
}

/* Where a step finds more than it can list, a shorter one is made of it, so that every problem is told. An entry
 * alone never has so many. */
static void look(struct rd_call *call)
{
    struct rd_verification found = {.from = call->request->verify_from};
    uint64_t bytes_max = call->request->verify_bytes_max;
    do {
        call->error.status = rd_store_verify(call->hosted->store, found.from, bytes_max, &found);
        bytes_max /= 2;
    } while (call->error.status == RD_OK && found.problem_count > RD_PROBLEMS_MAX && bytes_max != 0);
    if (call->error.status == RD_OK)
        add_step(call, &found);
}

/* ---- turns ------------------------------------------------------------------------------------------------ */

static void enqueue(struct rd_verifier *verifier, struct rd_call *call)
{
    call->queue_next = NULL;
    if (verifier->first == NULL)
        verifier->first = call;
    else
        verifier->last->queue_next = call;
    verifier->last = call;
}

/* True: the call has been answered, as its look is of no use any more or in the way. */
static bool gives_up(struct rd_call *call)
{
    char reason[RD_HOSTED_REASON_SIZE];
    rd_hosted_reason(call->hosted, reason);
    if (rd_conn_is_closing(call->conn))
        rd_call_finish(call); /* into nothing */
    else if (call->request->verify_whole && rd_conn_is_left(call->conn))
        rd_call_fail(call, RD_UNAVAILABLE, "the client has closed its side of the connection");
    else if (rd_conn_loop(call->conn)->stopping)
        rd_call_fail(call, RD_UNAVAILABLE, "the server stops");
    else if (reason[0] != '\0')
        rd_call_fail(call, RD_UNAVAILABLE, "store '%s' %.100s", call->hosted->name, reason);
    else
        return false;
    return true;
}

static void complete_step(struct rd_call *call);

static void go_on(struct rd_verifier *verifier)
{
    while (!verifier->working && verifier->first != NULL) {
        struct rd_call *call = verifier->first;
        verifier->first = call->queue_next;
        if (!gives_up(call))
            verifier->working = rd_call_start_work(call, look, complete_step);
    }
}

/* The store has been compacted: what was found lies nowhere any more. */
static void begin_anew(struct rd_call *call)
{
    struct rd_response_problem *problems = call->response.verification.problems;
    call->response.verification = (struct rd_response_verification){.problems = problems};
    call->request->verify_from = 0;
}

static void complete_step(struct rd_call *call)
{
    struct rd_verifier *verifier = verifier_of(call);
    verifier->working = false;
    bool moved = call->error.status == RD_CONFLICT || call->error.status == RD_INVALID_ARGUMENT;
    if (moved && call->request->verify_whole && call->request->verify_from != 0) {
        begin_anew(call);
        enqueue(verifier, call);
    } else if (call->error.status == RD_INVALID_ARGUMENT)
        rd_call_fail(call, RD_INVALID_ARGUMENT, "from: lies behind the end of store '%s'", call->hosted->name);
    else if (call->error.status == RD_CONFLICT)
        rd_call_fail(call, RD_CONFLICT, "from: no entry of store '%s' ends there; if it was compacted, begin anew",
                     call->hosted->name);
    else if (call->error.status != RD_OK)
        rd_handler_fail_read(call, call->error.status, 0);
    else if (call->request->verify_whole && call->response.verification.next != 0)
        enqueue(verifier, call);
    else
        rd_call_finish(call);
    go_on(verifier);
}

void rd_run_verify(struct rd_call *call)
{
    struct rd_request *request = call->request;
    if (request->verify_whole)
        request->verify_bytes_max = WHOLE_STEP_BYTES;
    else if (request->verify_bytes_max == 0)
        request->verify_bytes_max = STEP_BYTES_DEFAULT;
    else if (request->verify_bytes_max > STEP_BYTES_MAX)
        request->verify_bytes_max = STEP_BYTES_MAX;
    struct rd_response_verification *found = &call->response.verification;
    found->problems = rd_call_allocate(call, listed_max(call), sizeof *found->problems);
    if (found->problems == NULL) {
        rd_call_fail(call, RD_NO_MEMORY, "no memory for the problems");
        return;
    }
    enqueue(verifier_of(call), call);
    go_on(verifier_of(call));
}
