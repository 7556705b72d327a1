/* SPDX-License-Identifier: MIT
 *
 * handlers_move.c - rename, copy, transfer: sequences of the engine's operations, none of which waits for another
 * store or for a loop.
 *
 *   rename     (a long value: verify, put it ahead) -> one atomic append; so is a copy within one store
 *   copy       (make the target) -> verify, put it ahead -> append to the target
 *   transfer   the same, always synced -> delete the version that was copied from the source; where the source was
 *              compacted meanwhile and the value is the same, the version that it has now
 *
 * Verifying and putting ahead a long value is a pool thread's work.
 *
 * The target's writer takes a value from the source's map, where it is pinned; of what it would copy from there (a
 * short one) it gets a copy that was made before and verified: others may cut the source's file meanwhile, and
 * what cannot be read any more reads as zeros. A long one is verified again as it is written, and not published
 * where it is not what it was. At every moment of a transfer the value is in at least one of the two stores.
 */
#include "server/handlers.h"

#include <errno.h>
#include <string.h>

#include "server/conn.h"
#include "server/dispatch.h"
#include "server/loop.h"
#include "server/stores.h"
#include "server/terms.h"

#define VERIFY_HERE_MAX (256u << 10) /* longer values are verified on a pool thread */
#define MOVE_TRIES      8u /* of a value that is replaced while it is being verified; then the writer does */

/* A transfer's target is on the disk before its source goes. */
static enum rd_durability durability_of(const struct rd_request *request)
{
    return request->opcode == RD_OPCODE_TRANSFER ? RD_DURABILITY_SYNC : rd_terms_durability(request->durability);
}

/* On a pool thread: verifies the value and, where it is long, puts it ahead in the store it goes to. */
static void prepare(struct rd_call *call)
{
    struct rd_hosted *goes_to = call->target != NULL ? call->target : call->hosted;
    call->error.status =
        rd_value_place(&call->value, goes_to->store, durability_of(call->request), &call->placement);
}

/* ---- within one store ------------------------------------------------------------------------------------- */

static void find_to_move(struct rd_call *call);

/* Whether the operation failed only because the version that was verified is no longer there. */
static bool is_outdated(struct rd_call *call)
{
    struct rd_value now;
    if (call->op.status != RD_PRECONDITION_FAILED || !call->op.source_verified ||
        call->request->condition.kind == RD_MESSAGE_IF_VERSION)
        return false;
    if (rd_store_find(call->hosted->store, call->entries[0].key, &now) != RD_OK)
        return true; /* and so the answer will be another one */
    bool same = now.offset == call->op.condition.offset && now.crc32 == call->op.condition.crc32;
    rd_value_release(&now);
    return !same;
}

static void complete_move(struct rd_call *call)
{
    bool outdated = is_outdated(call);
    call->tries++;
    rd_placement_destroy(call->placement);
    call->placement = NULL;
    rd_value_release(&call->value);
    if (!outdated)
        rd_handler_complete_write(call);
    else
        find_to_move(call);
}

static void submit_move(struct rd_call *call)
{
    const struct rd_request *request = call->request;
    if (call->error.status != RD_OK) {
        rd_handler_fail_read(call, call->error.status, call->value.offset);
        return;
    }
    struct rd_op *op = &call->op;
    op->kind = request->opcode == RD_OPCODE_RENAME ? RD_OP_RENAME : RD_OP_COPY;
    op->durability = durability_of(request);
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
    rd_handler_submit(call, call->hosted, complete_move);
}

/* A short value, a missing one, or one that does not meet the condition is the writer's to judge; and so is in the
 * end a long one that is replaced each time before the writer comes to it: others wait then while it is verified.
 */
static void find_to_move(struct rd_call *call)
{
    const struct rd_request *request = call->request;
    call->error.status = RD_OK;
    enum rd_status status = rd_handler_find_now(call, find_to_move);
    if (status == RD_UNAVAILABLE)
        return;
    bool verified_here = status == RD_OK && call->value.payload.len > VERIFY_HERE_MAX &&
                         call->tries < MOVE_TRIES && rd_terms_condition_holds(&request->condition, &call->value);
    if (verified_here) {
        rd_call_start_work(call, prepare, submit_move);
        return;
    }
    if (status == RD_OK)
        rd_value_release(&call->value);
    submit_move(call);
}

static void move_within(struct rd_call *call)
{
    const struct rd_request *request = call->request;
    call->entries[0] = (struct rd_entry){.key = rd_terms_key(&request->key)};
    call->entries[1] = (struct rd_entry){.key = rd_terms_key(&request->target_key)};
    if (call->entries[0].key.hash == call->entries[1].key.hash) {
        rd_call_fail(call, RD_CONFLICT, "a key cannot be renamed to itself");
        return;
    }
    find_to_move(call);
}

void rd_run_rename(struct rd_call *call)
{
    move_within(call);
}

/* ---- copy and transfer ------------------------------------------------------------------------------------ */

/* A use of the store of that name. */
static enum rd_status use_store(const struct rd_call *call, struct rd_slice name, struct rd_hosted **ret_hosted,
                                struct rd_error *ret_error)
{
    name = rd_terms_store_name(name);
    struct rd_hosted *hosted = rd_stores_find(rd_call_stores(call), name);
    if (hosted == NULL)
        return rd_error_set(ret_error, RD_STORE_NOT_FOUND, 0, "there is no store '%.*s'", (int)name.len,
                            (const char *)name.data);
    enum rd_status status = rd_hosted_use(hosted, ret_error);
    if (status == RD_OK)
        *ret_hosted = hosted; /* a use keeps the store; a reference keeps the struct that the use is in */
    rd_hosted_unref(hosted);
    return status;
}

static void note_generation(struct rd_call *call)
{
    struct rd_store_info info;
    rd_store_info(call->hosted->store, &info);
    call->generation = info.generation;
}

/* On a pool thread, as the next. What was copied stays what it was, unless its file does not. */
static void look_again(struct rd_call *call)
{
    call->error.status = rd_value_verify(&call->value) == RD_OK ? RD_CONFLICT : RD_IO_ERROR;
}

/* A compaction makes another version of a value that nobody has changed. */
static void find_again(struct rd_call *call)
{
    struct rd_value now;
    look_again(call);
    if (call->error.status != RD_CONFLICT ||
        rd_store_find(call->hosted->store, call->entries[0].key, &now) != RD_OK)
        return;
    if (now.crc32 == call->value.crc32 && rd_slice_equal(now.payload, call->value.payload)) {
        call->error.status = RD_OK;
        call->value.offset = now.offset; /* what is pinned stays the old file's */
    }
    rd_value_release(&now);
}

static void delete_copied(struct rd_call *call);

static void complete_tombstone(struct rd_call *call)
{
    if (call->op.status == RD_PRECONDITION_FAILED) {
        uint64_t generation = call->generation;
        note_generation(call);
        rd_call_start_work(call, call->generation != generation ? find_again : look_again, delete_copied);
        return;
    }
    if (call->op.status != RD_OK) {
        rd_handler_fail_op(call, call->hosted);
        return;
    }
    call->response.source_tail = call->op.tail;
    rd_call_finish(call);
}

/* The version that was copied. */
static void delete_copied(struct rd_call *call)
{
    if (call->error.status == RD_IO_ERROR) {
        rd_handler_fail_read(call, RD_IO_ERROR, call->value.offset);
        return;
    }
    if (call->error.status != RD_OK) {
        rd_call_fail(call, RD_CONFLICT,
                     "store '%s': the value was changed while it was transferred; the copy in '%s' stays, and so "
                     "does the newer value",
                     call->hosted->name, call->target->name);
        return;
    }
    struct rd_condition unchanged = {
        .kind = RD_IF_VERSION, .offset = call->value.offset, .crc32 = call->value.crc32};
    call->op = (struct rd_op){
        .kind = RD_OP_DELETE, .condition = unchanged, .entries = call->entries, .entry_count = 1, .context = call};
    rd_handler_submit(call, call->hosted, complete_tombstone);
}

/* Whether the source's file could not be read when a long value was written from there. */
static bool source_is_lost(const struct rd_call *call)
{
    if (call->memory != NULL)
        return false; /* a copy was written */
    return call->op.status == RD_OK ? rd_value_is_lost(&call->value) : call->op.os_errno == EFAULT;
}

static void complete_append(struct rd_call *call)
{
    struct rd_op *op = &call->op;
    if (source_is_lost(call)) {
        rd_handler_fail_read(call, RD_IO_ERROR, call->value.offset);
        return;
    }
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
    delete_copied(call);
}

static void append_to_target(struct rd_call *call)
{
    if (call->error.status != RD_OK) {
        rd_handler_fail_read(call, call->error.status, call->value.offset);
        return;
    }
    call->entries[1].payload =
        call->memory != NULL ? rd_slice(call->memory, call->value.payload.len) : call->value.payload;
    call->entries[1].crc32_known = true;
    call->entries[1].crc32 = call->value.crc32;
    struct rd_op *op = &call->op;
    op->kind = RD_OP_WRITE;
    op->durability = durability_of(call->request);
    op->condition = rd_terms_condition(&call->request->target_condition);
    op->placement = call->placement;
    op->entries = &call->entries[1];
    op->entry_count = 1;
    rd_handler_submit(call, call->target, complete_append);
}

/* On a thread of the pool. */
static void fetch_short(struct rd_call *call)
{
    rd_value_fetch(&call->value, 0, VERIFY_HERE_MAX, 0);
}

static void append_copy(struct rd_call *call)
{
    uint8_t *copy = rd_call_allocate(call, call->value.payload.len, 1);
    if (copy == NULL) {
        rd_call_fail(call, RD_NO_MEMORY, "no memory for the value");
        return;
    }
    call->error.status = rd_value_take(&call->value, copy);
    append_to_target(call);
}

/* The value is found and the target in use. */
static void copy_value(struct rd_call *call)
{
    if (call->value.payload.len > VERIFY_HERE_MAX) {
        rd_call_start_work(call, prepare, append_to_target);
        return;
    }
    if (rd_call_may_fetch(call) && !rd_value_is_in_memory(&call->value, 0, VERIFY_HERE_MAX)) {
        rd_call_start_read(call, fetch_short, copy_value);
        return;
    }
    if (call->value.payload.len <= RD_VALUE_SHORT_LEN_MAX) {
        append_copy(call);
        return;
    }
    call->error.status = rd_value_verify(&call->value);
    append_to_target(call);
}

static void after_making(struct rd_call *call)
{
    enum rd_status status = call->error.status;
    if (status == RD_OK)
        status = use_store(call, call->request->target_store, &call->target, &call->error);
    if (status == RD_OK)
        copy_value(call);
    else
        rd_call_fail_error(call, status, &call->error);
}

/* A target that is made is made for a value: one that is not there leaves no store behind. */
static void find_to_copy(struct rd_call *call)
{
    note_generation(call);
    enum rd_status status = rd_handler_find_now(call, find_to_copy);
    if (status == RD_UNAVAILABLE)
        return;
    if (status != RD_OK)
        rd_handler_fail_read(call, status, RD_OFFSET_UNKNOWN);
    else if (call->target == NULL)
        (void)rd_dispatch_make_store(call, after_making);
    else
        copy_value(call);
}

static void copy_to_other(struct rd_call *call)
{
    struct rd_error error = {.status = RD_OK};
    enum rd_status status = use_store(call, call->request->target_store, &call->target, &error);
    if (status == RD_OK || rd_dispatch_should_make(call, status))
        find_to_copy(call);
    else
        rd_call_fail_error(call, status, &error);
}

static void run_copy(struct rd_call *call)
{
    const struct rd_request *request = call->request;
    struct rd_error error = {.status = RD_OK};
    enum rd_status status = use_store(call, request->store, &call->hosted, &error);
    if (status != RD_OK) {
        rd_call_fail_error(call, status, &error);
        return;
    }
    call->op.status = request->opcode == RD_OPCODE_TRANSFER ? rd_store_takes_writes(call->hosted->store) : RD_OK;
    call->op.bar = call->op.status == RD_FORBIDDEN ? RD_BAR_WRITES : RD_BAR_NONE;
    if (call->op.status != RD_OK) { /* before anything is copied */
        rd_handler_fail_op(call, call->hosted);
        return;
    }
    bool other_key = rd_message_key_is_given(&request->target_key);
    if (rd_slice_equal(rd_terms_store_name(request->target_store), rd_terms_store_name(request->store))) {
        if (request->opcode == RD_OPCODE_COPY && other_key)
            move_within(call);
        else
            rd_call_fail(call, RD_CONFLICT, "source and target are the same store, '%s'", call->hosted->name);
        return;
    }
    struct rd_key source = rd_terms_key(&request->key);
    call->entries[0] = (struct rd_entry){.key = source};
    call->entries[1] = (struct rd_entry){.key = other_key ? rd_terms_key(&request->target_key) : source};
    copy_to_other(call);
}

void rd_run_copy(struct rd_call *call)
{
    run_copy(call);
}

void rd_run_transfer(struct rd_call *call)
{
    run_copy(call);
}
