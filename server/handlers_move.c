/* SPDX-License-Identifier: MIT
 *
 * handlers_move.c - rename, copy, transfer: sequences of the engine's operations, none of which waits for another
 * store or for a loop.
 *
 *   rename     (a long value: verify, put it ahead) -> one atomic append
 *   copy       verify, put it ahead -> append to the target
 *   transfer   the same, always synced -> delete the version that was copied from the source
 *
 * Verifying and putting ahead a long value is a pool thread's work.
 *
 * The value is never copied into memory: the target's writer takes it from the source's map, where it is pinned.
 * At every moment of a transfer the value is in at least one of the two stores.
 */
#include "server/handlers.h"

#include <string.h>

#include "server/conn.h"
#include "server/loop.h"
#include "server/stores.h"
#include "server/terms.h"

#define VERIFY_HERE_MAX (256u << 10) /* longer values are verified on a pool thread */
#define RENAME_TRIES    4u           /* of a value that is replaced while it is being verified */

/* On a pool thread: verifies the value and, where it is long, puts it ahead in the store it goes to. */
static void prepare(struct rd_call *call)
{
    struct rd_hosted *goes_to = call->target != NULL ? call->target : call->hosted;
    call->error.status = rd_value_verify(&call->value);
    if (call->error.status == RD_OK)
        call->placement = rd_store_place(goes_to->store, call->value.payload);
}

/* ---- rename ----------------------------------------------------------------------------------------------- */

static void find_to_rename(struct rd_call *call);

static void complete_rename(struct rd_call *call)
{
    bool replaced_meanwhile = call->op.status == RD_PRECONDITION_FAILED && call->op.source_verified &&
                              call->request->condition.kind != RD_MESSAGE_IF_VERSION &&
                              call->request->target_condition.kind == RD_MESSAGE_IF_ANYTHING;
    rd_placement_destroy(call->placement);
    call->placement = NULL;
    rd_value_release(&call->value);
    if (replaced_meanwhile && ++call->tries < RENAME_TRIES)
        find_to_rename(call);
    else
        rd_handler_complete_write(call);
}

static void submit_rename(struct rd_call *call)
{
    const struct rd_request *request = call->request;
    if (call->error.status != RD_OK) {
        rd_handler_fail_read(call, call->error.status, call->value.offset);
        return;
    }
    struct rd_op *op = &call->op;
    op->kind = RD_OP_RENAME;
    op->durability = rd_terms_durability(request->durability);
    op->condition = rd_terms_condition(&request->condition);
    op->target_condition = rd_terms_condition(&request->target_condition);
    op->source_verified = false;
    if (call->value.pin != NULL) {
        /* What was verified is a version: the writer must find that one. */
        op->source_verified = true;
        op->condition =
            (struct rd_condition){.kind = RD_IF_VERSION, .offset = call->value.offset, .crc32 = call->value.crc32};
    }
    op->placement = call->placement;
    op->entries = call->entries;
    op->entry_count = 2;
    rd_handler_submit(call, call->hosted, complete_rename);
}

/* A short value, a missing one, or one that does not meet the condition is the writer's to judge. */
static void find_to_rename(struct rd_call *call)
{
    const struct rd_request *request = call->request;
    call->error.status = RD_OK;
    enum rd_status status = rd_store_find(call->hosted->store, call->entries[0].key, &call->value);
    bool verified_here = status == RD_OK && call->value.payload.len > VERIFY_HERE_MAX &&
                         rd_terms_condition_holds(&request->condition, &call->value);
    if (verified_here) {
        rd_call_start_work(call, prepare, submit_rename);
        return;
    }
    if (status == RD_OK)
        rd_value_release(&call->value);
    submit_rename(call);
}

void rd_run_rename(struct rd_call *call)
{
    const struct rd_request *request = call->request;
    call->entries[0] = (struct rd_entry){.key = rd_terms_key(&request->key)};
    call->entries[1] = (struct rd_entry){.key = rd_terms_key(&request->target_key)};
    if (call->entries[0].key.hash == call->entries[1].key.hash) {
        rd_call_fail(call, RD_CONFLICT, "a key cannot be renamed to itself");
        return;
    }
    find_to_rename(call);
}

/* ---- copy and transfer ------------------------------------------------------------------------------------ */

/* Uses of both stores. False: the call has been answered. */
static bool use_stores(struct rd_call *call)
{
    const struct rd_request *request = call->request;
    struct rd_slice names[2] = {rd_terms_store_name(request->store), rd_terms_store_name(request->target_store)};
    struct rd_hosted **uses[2] = {&call->hosted, &call->target};
    for (int i = 0; i < 2; i++) {
        struct rd_error error = {.status = RD_OK};
        struct rd_hosted *hosted = rd_stores_find(rd_call_stores(call), names[i]);
        enum rd_status status = hosted != NULL
                                    ? rd_hosted_use(hosted, &error)
                                    : rd_error_set(&error, RD_STORE_NOT_FOUND, 0, "there is no store '%.*s'",
                                                   (int)names[i].len, (const char *)names[i].data);
        if (status == RD_OK)
            *uses[i] = hosted; /* a use keeps the store; a reference keeps the struct that the use is in */
        rd_hosted_unref(hosted);
        if (status != RD_OK) {
            rd_call_fail_error(call, status, &error);
            return false;
        }
    }
    return true;
}

static void complete_tombstone(struct rd_call *call)
{
    if (call->op.status == RD_PRECONDITION_FAILED) {
        rd_call_fail(call, RD_CONFLICT,
                     "store '%s': the value was changed while it was transferred; the copy in '%s' stays, and so "
                     "does the newer value",
                     call->hosted->name, call->target->name);
        return;
    }
    if (call->op.status != RD_OK) {
        rd_handler_fail_op(call, call->hosted);
        return;
    }
    call->response.source_tail = call->op.tail;
    rd_call_finish(call);
}

static void complete_append(struct rd_call *call)
{
    struct rd_op *op = &call->op;
    if (op->status != RD_OK) {
        rd_handler_fail_op(call, call->target);
        return;
    }
    call->response.target_offset = op->offset;
    call->response.target_tail = op->tail;
    call->response.crc32 = op->crc32;
    if (call->request->opcode == RD_OPCODE_COPY) {
        rd_call_finish(call);
        return;
    }
    struct rd_condition unchanged = {
        .kind = RD_IF_VERSION, .offset = call->value.offset, .crc32 = call->value.crc32};
    rd_value_release(&call->value);
    call->entries[0].payload = rd_slice(NULL, 0);
    *op = (struct rd_op){
        .kind = RD_OP_DELETE, .condition = unchanged, .entries = call->entries, .entry_count = 1, .context = call};
    rd_handler_submit(call, call->hosted, complete_tombstone);
}

static void append_to_target(struct rd_call *call)
{
    if (call->error.status != RD_OK) {
        rd_handler_fail_read(call, call->error.status, call->value.offset);
        return;
    }
    call->entries[0].payload = call->value.payload;
    call->entries[0].crc32_known = true;
    call->entries[0].crc32 = call->value.crc32;
    struct rd_op *op = &call->op;
    op->kind = RD_OP_WRITE;
    op->durability = call->request->opcode == RD_OPCODE_TRANSFER ? RD_DURABILITY_SYNC
                                                                 : rd_terms_durability(call->request->durability);
    op->placement = call->placement;
    op->entries = call->entries;
    op->entry_count = 1;
    rd_handler_submit(call, call->target, complete_append);
}

static void run_copy(struct rd_call *call)
{
    if (!use_stores(call))
        return;
    if (call->hosted == call->target) {
        rd_call_fail(call, RD_CONFLICT, "source and target are the same store, '%s'", call->hosted->name);
        return;
    }
    call->entries[0] = (struct rd_entry){.key = rd_terms_key(&call->request->key)};
    enum rd_status status = rd_store_find(call->hosted->store, call->entries[0].key, &call->value);
    if (status != RD_OK)
        rd_handler_fail_read(call, status, RD_OFFSET_UNKNOWN);
    else if (call->value.payload.len > VERIFY_HERE_MAX)
        rd_call_start_work(call, prepare, append_to_target);
    else {
        call->error.status = rd_value_verify(&call->value);
        append_to_target(call);
    }
}

void rd_run_copy(struct rd_call *call)
{
    run_copy(call);
}

void rd_run_transfer(struct rd_call *call)
{
    run_copy(call);
}
