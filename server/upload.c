/* SPDX-License-Identifier: MIT */
#include "server/upload.h"

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "server/conn.h"
#include "server/courtesy.h"
#include "server/dispatch.h"
#include "server/handlers.h"
#include "server/loop.h"
#include "server/stores.h"
#include "server/terms.h"

#define SPOOL_MEMORY_LEN (256u << 10) /* that a spool keeps in memory, as engine.h says */
#define SPOOL_STEP_LEN   (256u << 10) /* worth waking a thread */
#define SPOOL_PIECE_LEN  (64u << 10)  /* before others are let in: some 20 us of a processor */
#define VALUE_TOO_LONG   "the value is longer than this server takes"
#define NOT_AS_ANNOUNCED "the stream has not as many bytes as it announced"

struct rd_upload {
    struct rd_spool *spool;    /* owned; the pool thread's while working */
    struct rd_buffer gathered; /* parts that are not on their way to the spool yet; ended, while working only */
    struct rd_buffer spooling; /* the pool thread's while working */
    struct rd_error error;     /* status not RD_OK: the upload has failed; the loop's */
    enum rd_status spooled;    /* of the last spooling; the pool thread's while working */
    bool working;              /* a pool thread makes the store, or has the spool */
    bool ended;                /* the last part is in: the call is in its lane */
    bool has_turn;             /* there it is alone, and waits for the pool thread at most */
    uint64_t progress_ms;      /* uv_now */
    uint64_t taken;            /* bytes that have come */
    uint64_t spool_charged;    /* bytes of the process's spool budget that are this upload's */
};

/* ---- giving a spool up: a long file's blocks take the file system its time, and not the loop's ------------ */

struct burial {
    uv_work_t work;
    struct rd_spool *spool;   /* owned */
    struct rd_hosted *hosted; /* one use: the spool is in its store's folder */
};

static void bury(uv_work_t *work)
{
    struct burial *burial = work->data;
    rd_spool_destroy(burial->spool);
}

static void after_burial(uv_work_t *work, int status)
{
    (void)status; /* work is never cancelled */
    struct burial *burial = work->data;
    rd_hosted_unuse(burial->hosted);
    free(burial);
}

/* False: no memory, or no thread. */
static bool start_burial(struct rd_call *call, struct rd_spool *spool)
{
    struct burial *burial = malloc(sizeof *burial);
    if (burial == NULL)
        return false;
    *burial = (struct burial){.work.data = burial, .spool = spool, .hosted = call->hosted};
    if (rd_loop_queue_work(rd_conn_loop(call->conn), &burial->work, bury, after_burial) != 0) {
        free(burial);
        return false;
    }
    rd_hosted_use_again(call->hosted);
    return true;
}

void rd_upload_leave_store(struct rd_call *call)
{
    if (call->upload == NULL)
        return;
    rd_budget_give(&rd_conn_loop(call->conn)->process->spools, call->upload->spool_charged);
    call->upload->spool_charged = 0;
    struct rd_spool *spool = call->upload->spool;
    call->upload->spool = NULL;
    bool has_file = spool != NULL && !rd_spool_stays_in_memory(spool, 0);
    if (!has_file || !start_burial(call, spool))
        rd_spool_destroy(spool);
}

void rd_upload_destroy(struct rd_call *call)
{
    struct rd_upload *upload = call->upload;
    if (upload == NULL)
        return;
    struct rd_loop_counts *counts = &rd_conn_loop(call->conn)->counts;
    rd_counter_sub(&counts->uploads, 1);
    rd_counter_sub(&counts->upload_bytes, upload->taken);
    rd_buffer_deinit(&upload->gathered);
    rd_buffer_deinit(&upload->spooling);
    free(upload);
}

bool rd_upload_is_working(const struct rd_call *call)
{
    return call->upload != NULL && call->upload->working;
}

uint64_t rd_upload_memory(const struct rd_call *call)
{
    const struct rd_upload *upload = call->upload;
    uint64_t in_spool = upload->taken < SPOOL_MEMORY_LEN ? upload->taken : SPOOL_MEMORY_LEN;
    return upload->gathered.capacity + upload->spooling.capacity + in_spool;
}

bool rd_upload_is_full(const struct rd_call *call)
{
    const struct rd_upload *upload = call->upload;
    return upload->gathered.len >= rd_conn_loop(call->conn)->tuning.limits.stream_window;
}

uint64_t rd_upload_progress_ms(const struct rd_call *call)
{
    return call->upload->progress_ms;
}

static void note_progress(const struct rd_call *call)
{
    call->upload->progress_ms = uv_now(&rd_conn_loop(call->conn)->uv);
}

/* No part is taken from here on; `whole`: none comes either. While a pool thread is at work the answer waits for
 * it. */
static void fail(struct rd_call *call, enum rd_status status, const char *message, bool whole)
{
    struct rd_upload *upload = call->upload;
    rd_error_set(&upload->error, status, 0, "%s", message);
    rd_buffer_clear(&upload->gathered);
    rd_conn_upload_over(call->conn, call, whole);
    if (!upload->working)
        rd_call_fail_error(call, status, &upload->error);
}

void rd_upload_fail(struct rd_call *call, enum rd_status status, const char *message)
{
    if (call->upload->error.status == RD_OK && !call->upload->ended)
        fail(call, status, message, false);
}

/* One that waits in its lane may wait there for the very request that waits for its use of the store to end. */
void rd_upload_withdraw(struct rd_call *call)
{
    static const char message[] = "the store is being reopened or dropped";
    struct rd_upload *upload = call->upload;
    if (upload->working || upload->has_turn)
        return;
    rd_upload_fail(call, RD_UNAVAILABLE, message);
    if (!upload->ended)
        return;
    if (upload->error.status == RD_OK)
        rd_error_set(&upload->error, RD_UNAVAILABLE, 0, "%s", message);
    rd_upload_leave_store(call);
    rd_hosted_unuse(call->hosted);
    call->hosted = NULL;
}

void rd_upload_refuse(struct rd_call *call, enum rd_status status, const struct rd_error *error)
{
    rd_conn_upload_over(call->conn, call, false);
    rd_call_fail_error(call, status, error);
}

static enum rd_status create_spool(const struct rd_call *call, struct rd_spool **ret_spool)
{
    uint64_t announced = call->request->stream_len;
    enum rd_status status = rd_spool_create(call->hosted->store, ret_spool);
    if (status == RD_OK && announced != UINT64_MAX)
        rd_spool_announce(*ret_spool, announced, rd_terms_durability(call->request->durability));
    return status;
}

/* Where the store is yet to be made, the spool comes with it. NULL: no memory. */
static struct rd_upload *create(const struct rd_call *call)
{
    struct rd_upload *upload = calloc(1, sizeof *upload);
    if (upload == NULL)
        return NULL;
    if (call->hosted != NULL && create_spool(call, &upload->spool) != RD_OK) {
        free(upload);
        return NULL;
    }
    rd_buffer_init(&upload->gathered, 0);
    rd_buffer_init(&upload->spooling, 0);
    struct rd_loop *loop = rd_conn_loop(call->conn);
    upload->progress_ms = uv_now(&loop->uv);
    rd_counter_add(&loop->counts.uploads, 1);
    return upload;
}

static void after_making(struct rd_call *call);

/* False: it has been refused. */
static bool may_begin(struct rd_call *call)
{
    const struct rd_loop *loop = rd_conn_loop(call->conn);
    uint64_t announced = call->request->stream_len;
    struct rd_error error = {.status = RD_OK};
    if (rd_conn_uploads_are_full(call->conn)) {
        rd_error_set(&error, RD_OVERLOADED, 0, "too many uploads on one connection");
    } else if (rd_conn_memory_is_full(call->conn)) {
        rd_process_note(loop->process, RD_REFUSED_MEMORY);
        rd_error_set(&error, RD_OVERLOADED, 0, RD_LIMITS_REFUSE);
    } else if (announced != UINT64_MAX && announced > loop->tuning.value_len_max) {
        rd_error_set(&error, RD_TOO_LARGE, 0, VALUE_TOO_LONG);
    }
    if (error.status != RD_OK)
        rd_upload_refuse(call, error.status, &error);
    return error.status == RD_OK;
}

/* What would be refused at its end need not come. True: it has been refused. */
static bool is_barred(struct rd_call *call)
{
    uint64_t announced = call->request->stream_len;
    enum rd_bar bar = rd_store_bars(call->hosted->store, announced != UINT64_MAX ? announced : 0);
    if (bar == RD_BAR_NONE)
        return false;
    rd_conn_upload_over(call->conn, call, false);
    rd_handler_fail_barred(call, call->hosted, bar);
    return true;
}

void rd_upload_begin(struct rd_call *call)
{
    struct rd_error error = {.status = RD_OK};
    if (!may_begin(call))
        return;
    enum rd_status status = rd_dispatch_use_store(call, &error);
    if (status == RD_OK && is_barred(call))
        return;
    bool makes = rd_dispatch_should_make(call, status);
    if (status != RD_OK && !makes) {
        rd_upload_refuse(call, status, &error);
        return;
    }
    call->upload = create(call);
    if (call->upload == NULL) {
        rd_upload_refuse(call, RD_NO_MEMORY, &(struct rd_error){.message = "no memory for the upload"});
        return;
    }
    call->state = RD_CALL_UPLOADING;
    rd_conn_upload_begun(call->conn, call);
    if (makes)
        call->upload->working = rd_dispatch_make_store(call, after_making);
}

/* ---- to the spool ----------------------------------------------------------------------------------------- */

/* On a pool thread: so that the append at the end holds nobody up. */
static void place(struct rd_call *call)
{
    call->placement = rd_spool_place(call->upload->spool, rd_terms_durability(call->request->durability));
}

static void submit(struct rd_call *call)
{
    const struct rd_request *request = call->request;
    call->entries[0] = (struct rd_entry){.key = rd_terms_key(&request->key)};
    struct rd_op *op = &call->op;
    op->kind = RD_OP_STREAM;
    op->durability = rd_terms_durability(request->durability);
    op->condition = rd_terms_condition(&request->condition);
    op->spool = call->upload->spool;
    op->placement = call->placement;
    op->entries = call->entries;
    op->entry_count = 1;
    rd_handler_submit(call, call->hosted, rd_handler_complete_write);
}

static void after_placing(struct rd_call *call)
{
    call->upload->working = false;
    if (rd_conn_is_closing(call->conn))
        rd_call_finish(call); /* into nothing */
    else
        submit(call);
}

/* It is this call's turn and everything is in the spool, or never will be. */
static void commit(struct rd_call *call)
{
    struct rd_upload *upload = call->upload;
    uint64_t announced = call->request->stream_len;
    if (upload->error.status != RD_OK) {
        rd_call_fail_error(call, upload->error.status, &upload->error);
    } else if (rd_spool_len(upload->spool) == 0) {
        rd_call_fail(call, RD_INVALID_ARGUMENT, "Payload cannot be empty.");
    } else if (announced != UINT64_MAX && rd_spool_len(upload->spool) != announced) {
        rd_call_fail(call, RD_INVALID_ARGUMENT, NOT_AS_ANNOUNCED);
    } else if (rd_spool_stays_in_memory(upload->spool, 0)) { /* too short to be worth a thread */
        submit(call);
    } else {
        upload->working = rd_call_start_work(call, place, after_placing);
    }
}

/* Its lane keeps what was sent behind the last part waiting until this call is done. */
void rd_run_write_stream(struct rd_call *call)
{
    call->upload->has_turn = true;
    if (!call->upload->working)
        commit(call);
}

static void after_spooling(struct rd_call *call);

/* On a pool thread. */
static void spool_gathered(struct rd_call *call)
{
    struct rd_upload *upload = call->upload;
    struct rd_slice left = rd_buffer_slice(&upload->spooling);
    struct rd_courtesy courtesy = {.crowded = false};
    do {
        upload->spooled = rd_spool_append(upload->spool, rd_slice_take(&left, SPOOL_PIECE_LEN));
        rd_courtesy_let_in(&courtesy);
    } while (left.len != 0 && upload->spooled == RD_OK);
}

static const char *spool_fault(enum rd_status status)
{
    return status == RD_NO_SPACE ? "no space for the upload" : "the upload cannot be kept";
}

/* A pool thread came back with bad news, or none came at all; an earlier failure goes over it. */
static void fail_at_work(struct rd_call *call, enum rd_status status, const char *message)
{
    struct rd_upload *upload = call->upload;
    if (upload->error.status != RD_OK)
        return;
    rd_error_set(&upload->error, status, 0, "%s", message);
    rd_buffer_clear(&upload->gathered);
    if (!upload->ended)
        rd_conn_upload_over(call->conn, call, false);
}

/* A thread is woken for so much at a time that it pays: but not where the peer may wait for the credit of less. */
static bool is_worth_spooling(const struct rd_call *call)
{
    uint32_t window = rd_conn_loop(call->conn)->tuning.limits.stream_window;
    size_t step_len = window < SPOOL_STEP_LEN ? window : SPOOL_STEP_LEN;
    bool all = call->upload->ended || rd_conn_uploads_have_credit(call->conn);
    return call->upload->gathered.len >= (all ? 1 : step_len);
}

/* False: no thread is to be had, and the upload has failed. Its answer is not given here: it may be in its lane,
 * and then has to wait there for its turn. */
static bool start_spooling(struct rd_call *call)
{
    struct rd_upload *upload = call->upload;
    struct rd_buffer empty = upload->spooling;
    upload->spooling = upload->gathered;
    upload->gathered = empty;
    enum rd_status status = rd_call_try_work(call, spool_gathered, after_spooling);
    upload->working = status == RD_OK;
    if (status == RD_OK)
        return true;
    rd_buffer_clear(&upload->spooling);
    fail_at_work(call, status, "no thread is to be had for the upload");
    return false;
}

/* No pool thread is at work. */
static void go_on(struct rd_call *call)
{
    struct rd_upload *upload = call->upload;
    if (is_worth_spooling(call) && start_spooling(call))
        return;
    if (upload->has_turn)
        commit(call);
    else if (upload->error.status != RD_OK && !upload->ended)
        rd_call_fail_error(call, upload->error.status, &upload->error);
}

static void after_spooling(struct rd_call *call)
{
    struct rd_upload *upload = call->upload;
    upload->working = false;
    note_progress(call); /* the peer may have waited for this */
    if (rd_conn_is_closing(call->conn)) {
        rd_call_finish(call); /* into nothing */
        return;
    }
    if (upload->spooled != RD_OK)
        fail_at_work(call, upload->spooled, spool_fault(upload->spooled));
    if (upload->error.status == RD_OK && !upload->ended)
        rd_conn_upload_credit(call->conn, call, upload->spooling.len);
    rd_buffer_clear(&upload->spooling);
    go_on(call);
}

/* The store that the value goes to had to be made first. */
static void after_making(struct rd_call *call)
{
    struct rd_upload *upload = call->upload;
    enum rd_status status = call->error.status;
    upload->working = false;
    note_progress(call);
    if (rd_conn_is_closing(call->conn)) {
        rd_call_finish(call); /* into nothing */
        return;
    }
    if (status == RD_OK)
        status = rd_dispatch_use_store(call, &call->error);
    if (status == RD_OK)
        status = create_spool(call, &upload->spool);
    if (status != RD_OK)
        fail_at_work(call, status, call->error.message[0] != '\0' ? call->error.message : rd_status_name(status));
    go_on(call);
}

/* Room for all that has come; false: the upload has failed. */
static bool charge_spool(struct rd_call *call)
{
    struct rd_upload *upload = call->upload;
    struct rd_process *process = rd_conn_loop(call->conn)->process;
    if (rd_budget_take(&process->spools, upload->taken - upload->spool_charged)) {
        upload->spool_charged = upload->taken;
        return true;
    }
    rd_process_note(process, RD_REFUSED_SPOOL);
    fail(call, RD_OVERLOADED, "the uploads under way take as much space as they may; try again later", false);
    return false;
}

/* Short values stay in memory: no thread is needed for these. */
static void spool_here(struct rd_call *call, struct rd_slice bytes)
{
    enum rd_status status = rd_spool_append(call->upload->spool, bytes);
    if (status != RD_OK)
        fail(call, status, spool_fault(status), false);
    else
        rd_conn_upload_credit(call->conn, call, bytes.len);
}

/* ---- parts ------------------------------------------------------------------------------------------------ */

/* False: the upload has failed. */
static bool is_within_limits(struct rd_call *call)
{
    const struct rd_loop *loop = rd_conn_loop(call->conn);
    if (call->upload->taken > loop->tuning.value_len_max) {
        fail(call, RD_TOO_LARGE, VALUE_TOO_LONG, false);
        return false;
    }
    if (call->upload->taken > call->request->stream_len) {
        fail(call, RD_INVALID_ARGUMENT, NOT_AS_ANNOUNCED, false);
        return false;
    }
    if (!rd_conn_memory_is_full(call->conn))
        return true;
    rd_process_note(loop->process, RD_REFUSED_MEMORY);
    fail(call, RD_OVERLOADED, RD_LIMITS_REFUSE, false);
    return false;
}

static void take_chunk(struct rd_call *call, struct rd_slice bytes)
{
    struct rd_upload *upload = call->upload;
    uint32_t window = rd_conn_loop(call->conn)->tuning.limits.stream_window;
    upload->taken += bytes.len;
    rd_counter_add(&rd_conn_loop(call->conn)->counts.upload_bytes, bytes.len);
    if (!is_within_limits(call))
        return;
    if (!upload->working && upload->gathered.len == 0 && rd_spool_stays_in_memory(upload->spool, bytes.len)) {
        spool_here(call, bytes);
        return;
    }
    /* A window, and what one read may bring beyond it where there is no credit to hold the peer to it. */
    if (upload->gathered.len + bytes.len > (size_t)window + RD_LOOP_READ_BUFFER_LEN) {
        fail(call, RD_TOO_LARGE, "more bytes of a stream were sent than its credit allows", false);
        return;
    }
    if (!charge_spool(call))
        return;
    rd_buffer_append_slice(&upload->gathered, bytes);
    if (upload->gathered.failed)
        fail(call, RD_NO_MEMORY, "no memory for the upload", false);
    else if (!upload->working)
        go_on(call);
}

/* The upload is not to be: as the peer wants it, or as the codec finds, which then says why. */
static void give_up(struct rd_call *call, const struct rd_stream_part *part)
{
    char message[128] = "the stream was aborted";
    bool reasoned = part->status != RD_OK && part->bytes.len != 0;
    if (reasoned)
        snprintf(message, sizeof message, "%.*s", (int)part->bytes.len, (const char *)part->bytes.data);
    fail(call, reasoned ? part->status : RD_INVALID_ARGUMENT, message, part->kind == RD_STREAM_END);
}

static void take_end(struct rd_call *call, const struct rd_stream_part *part)
{
    struct rd_upload *upload = call->upload;
    if (part->status != RD_OK) {
        give_up(call, part);
        return;
    }
    if (part->condition.kind != RD_MESSAGE_IF_ANYTHING)
        call->request->condition = part->condition;
    upload->ended = true;
    call->begun_ns = rd_loop_clock_ns(rd_conn_loop(call->conn));
    rd_conn_upload_over(call->conn, call, true);
    if (!upload->working)
        go_on(call);
    rd_dispatch_enter_lane(call, RD_CALL_EXCLUSIVE);
}

void rd_upload_take_part(struct rd_call *call, const struct rd_stream_part *part)
{
    struct rd_upload *upload = call->upload;
    note_progress(call);
    if (upload->error.status != RD_OK || upload->ended)
        return;
    switch (part->kind) {
    case RD_STREAM_CHUNK:
        take_chunk(call, part->bytes);
        break;
    case RD_STREAM_END:
        take_end(call, part);
        break;
    case RD_STREAM_ABORT:
        give_up(call, part);
        break;
    case RD_STREAM_CREDIT: /* flows the other way */
        break;
    }
}
