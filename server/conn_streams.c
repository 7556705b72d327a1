/* SPDX-License-Identifier: MIT
 *
 * conn_streams.c - values that come or go in parts, and calls that must be alone on their connection.
 */
#include <uv.h>

#include "server/conn_state.h"
#include "server/dispatch.h"
#include "server/lane.h"
#include "server/loop.h"
#include "server/stores.h"
#include "server/upload.h"

#define WITHDRAWAL_MS 10000u /* streams of a store that is to be closed have so long to end */
#define STREAM_PART   4u     /* of the requests in flight so many may be uploads, and as many downloads */

/* ---- uploads and barriers --------------------------------------------------------------------------------- */

bool rd_conn_uploads_are_full(const struct rd_conn *conn)
{
    return conn->upload_count >= conn->loop->tuning.limits.in_flight_max / STREAM_PART;
}

bool rd_conn_uploads_have_credit(const struct rd_conn *conn)
{
    return !conn->codec->answers_in_order;
}

bool rd_conn_downloads_are_full(const struct rd_conn *conn)
{
    return conn->downloads.count >= conn->loop->tuning.limits.in_flight_max / STREAM_PART;
}

void rd_conn_upload_begun(struct rd_conn *conn, struct rd_call *call)
{
    call->queue_next = conn->uploads;
    conn->uploads = call;
    conn->upload_count++;
}

void rd_conn_forget_upload(struct rd_conn *conn, struct rd_call *call)
{
    struct rd_call **at = &conn->uploads;
    while (*at != NULL && *at != call)
        at = &(*at)->queue_next;
    if (*at == NULL)
        return;
    *at = call->queue_next;
    conn->upload_count--;
}

void rd_conn_upload_over(struct rd_conn *conn, struct rd_call *call, bool whole)
{
    rd_conn_forget_upload(conn, call);
    if (!whole && conn->codec->answers_in_order && !conn->codec->skips_streams) {
        call->request->close_after = true;
        rd_conn_end_input(conn);
    }
    rd_conn_mark_dirty(conn);
}

void rd_conn_upload_credit(struct rd_conn *conn, const struct rd_call *call, uint64_t len)
{
    rd_conn_mark_dirty(conn);
    if (conn->codec->encode_part == NULL || conn->state == RD_CONN_CLOSING)
        return;
    struct rd_stream_part part = {.kind = RD_STREAM_CREDIT, .id = call->request->id, .credit = len};
    if (conn->out.unsent == 0)
        conn->output_ms = uv_now(&conn->loop->uv);
    struct rd_buffer *bytes = rd_outbox_begin(&conn->out, RD_CONN_ANSWER_LEN_MAX);
    conn->codec->encode_part(&part, bytes);
    if (bytes->failed)
        rd_outbox_rollback(&conn->out); /* the peer waits, and its deadline ends it */
    else
        rd_outbox_commit(&conn->out);
}

/* Credit for a download, or its end, that came before its answer has left. */
static void note_early_part(struct rd_conn *conn, const struct rd_stream_part *part)
{
    struct rd_call *call = conn->calls_first;
    while (call != NULL && (!rd_opcode_is_download(call->request->opcode) || call->request->id != part->id))
        call = call->next;
    if (call == NULL)
        return;
    struct rd_request *request = call->request;
    if (part->kind == RD_STREAM_ABORT)
        call->stream_cancelled = true;
    else if (part->credit > UINT64_MAX - request->stream_credit)
        request->stream_credit = UINT64_MAX;
    else
        request->stream_credit += part->credit;
}

/* Parts of what has been answered already are left over: the peer could not know. */
void rd_conn_take_part(struct rd_conn *conn, const struct rd_stream_part *part)
{
    struct rd_call *upload = conn->uploads;
    while (upload != NULL && upload->request->id != part->id)
        upload = upload->queue_next;
    if (upload != NULL) {
        rd_upload_take_part(upload, part);
        return;
    }
    bool of_reader = part->kind == RD_STREAM_CREDIT || part->kind == RD_STREAM_ABORT;
    if (of_reader && !rd_download_take_part(&conn->downloads, part))
        note_early_part(conn, part);
    rd_conn_mark_dirty(conn);
}

/* No further part will come. */
void rd_conn_fail_uploads(struct rd_conn *conn, enum rd_status status, const char *message)
{
    for (struct rd_call *call = conn->uploads; call != NULL;) {
        struct rd_call *next = call->queue_next;
        rd_upload_fail(call, status, message);
        call = next;
    }
}

void rd_conn_set_barrier(struct rd_conn *conn, struct rd_call *call)
{
    call->mode = RD_CALL_BARRIER;
    call->state = RD_CALL_WAITING;
    conn->barrier = call;
    rd_conn_run_barrier(conn, false);
}

void rd_conn_run_barrier(struct rd_conn *conn, bool finished)
{
    if (finished) {
        conn->barrier = NULL;
        rd_conn_mark_dirty(conn);
    }
    struct rd_call *call = conn->barrier; /* one that waits is gone once the connection closes */
    if (conn->state == RD_CONN_CLOSING || call == NULL || call->state != RD_CALL_WAITING)
        return;
    for (const struct rd_lane *lane = conn->lanes; lane != NULL; lane = lane->next)
        if (lane->call_count != 0)
            return;
    call->state = RD_CALL_RUNNING;
    rd_dispatch_run(call);
}

/* For downloads that must not wait for what cannot come. */
void rd_conn_end_credit(struct rd_conn *conn)
{
    if (conn->draining)
        rd_downloads_end_credit(&conn->downloads, RD_UNAVAILABLE, "the server stops");
    else
        rd_downloads_end_credit(&conn->downloads, RD_INVALID_ARGUMENT,
                                "the connection's input ended before the credit for the value had come");
}

/* Since when the peer could have sent more of it: its connection is read, and what has come was taken. */
static uint64_t awaited_since_ms(const struct rd_conn *conn, const struct rd_call *upload)
{
    uint64_t progress_ms = rd_upload_progress_ms(upload);
    return progress_ms > conn->resumed_ms ? progress_ms : conn->resumed_ms;
}

/* Uploads whose parts have stopped coming although they may: not where they are not read, as the connection
 * pauses, nor where the peer waits for what has come to be taken. */
void rd_conn_sweep_uploads(struct rd_conn *conn, uint64_t now_ms)
{
    for (struct rd_call *call = conn->uploads; call != NULL;) {
        struct rd_call *next = call->queue_next;
        bool may_come = !conn->paused && !rd_upload_is_working(call);
        if (may_come && now_ms - awaited_since_ms(conn, call) >= conn->loop->tuning.stall_ms) {
            rd_upload_fail(call, RD_TIMEOUT, "the stream's bytes did not come in time");
            if (conn->codec->answers_in_order) /* what is behind them does not come either */
                rd_conn_end_input(conn);
        }
        call = next;
    }
}

/* As long as one that has stalled, but not so long that whoever waits would give up first. */
static uint64_t withdrawal_grace_ms(const struct rd_conn *conn)
{
    return conn->loop->tuning.stall_ms < WITHDRAWAL_MS ? conn->loop->tuning.stall_ms : WITHDRAWAL_MS;
}

static bool waits_for_uses(const struct rd_call *call)
{
    enum rd_opcode opcode = call->request->opcode;
    return call->state != RD_CALL_FINISHED && (opcode == RD_OPCODE_DROP || opcode == RD_OPCODE_REOPEN);
}

/* Whether an answer keeps a store from being closed that should have been by now. A drop waits for as long as
 * readers take, but not for an answer that stands behind another drop or reopen: that may wait for this one. */
static bool withholds_store(const struct rd_conn *conn, const struct rd_call *call, bool behind_withdrawal,
                            const struct rd_sweep *sweep)
{
    if (sweep->end_output)
        return rd_hosted_is_overdue(call->hosted, sweep->now_ms, 0, true);
    bool with_drops = behind_withdrawal && conn->codec->answers_in_order;
    return rd_hosted_is_overdue(call->hosted, sweep->now_ms, 2 * withdrawal_grace_ms(conn), with_drops);
}

bool rd_conn_sweep_withdrawn(struct rd_conn *conn, const struct rd_sweep *sweep)
{
    uint64_t grace_ms = withdrawal_grace_ms(conn);
    bool stuck = rd_outbox_is_overdue(&conn->out, sweep->now_ms, 2 * grace_ms);
    bool behind_withdrawal = false;
    for (struct rd_call *call = conn->calls_first; call != NULL; call = call->next) {
        behind_withdrawal = behind_withdrawal || waits_for_uses(call);
        if (call->hosted == NULL)
            continue;
        if (call->state == RD_CALL_FINISHED) /* its answer does not leave either */
            stuck = stuck || withholds_store(conn, call, behind_withdrawal, sweep);
        else if (call->upload != NULL && rd_hosted_is_overdue(call->hosted, sweep->now_ms, grace_ms, true))
            rd_upload_withdraw(call);
    }
    if (rd_downloads_withdraw(&conn->downloads, sweep->now_ms, grace_ms))
        rd_conn_mark_dirty(conn);
    return stuck;
}
