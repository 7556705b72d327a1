/* SPDX-License-Identifier: MIT
 *
 * async_streams.c - values in parts. Credit of an upload is the server's, and what may be pushed is also bounded
 * by the bytes that the socket has not taken yet; credit of a download is the caller's (rdrive_stream_taken).
 */
#include <stdio.h>

#include "clients/c/async.h"

static bool is_upload(const struct rdrive_request *request)
{
    return request->operation == RDRIVE_OP_WRITE_STREAM;
}

/* What is appended where memory has run out could leave a frame behind without its bytes: the connection ends. */
static void append_part(struct rdrive_connection *connection, const struct rd_stream_part *part)
{
    struct rd_buffer *out = &connection->link.out;
    if (connection->link.state != RD_LINK_UP)
        return; /* it ends anyway */
    rd_binary_encode_part(part, out);
    rd_buffer_append_slice(out, part->bytes);
    if (out->failed)
        rd_link_break(&connection->link, RD_NO_MEMORY, "no memory for a stream");
    rd_async_schedule(connection);
}

void rd_async_send_part(struct rdrive_request *request, enum rd_stream_part_kind kind, uint64_t credit)
{
    struct rd_stream_part part = {.kind = kind, .id = request->internal.id, .credit = credit};
    append_part(request->internal.connection, &part);
}

/* ---- uploads ---------------------------------------------------------------------------------------------- */

/* Bytes that can be pushed now. */
static size_t room_of(const struct rdrive_request *request)
{
    const struct rdrive_connection *connection = request->internal.connection;
    size_t unsent = rd_link_unsent(&connection->link);
    size_t max = connection->options.unsent_bytes_max;
    uint64_t room = unsent < max ? max - unsent : 0;
    if (connection->link.state != RD_LINK_UP)
        return 0;
    return (size_t)(request->internal.credit < room ? request->internal.credit : room);
}

static void offer_room(struct rdrive_request *request)
{
    if (!is_upload(request) || request->internal.state != RD_ASYNC_SENT || !request->internal.wants_room ||
        room_of(request) == 0)
        return;
    request->internal.wants_room = false;
    if (request->on_room != NULL)
        request->on_room(request);
}

/* No request leaves the list here: callbacks may submit, push and abort, but nothing completes inside of these.
 * They may move requests within the list, so that some are passed over; whatever does that schedules another
 * round. */
void rd_async_offer_room(struct rdrive_connection *connection)
{
    if (connection->upload_count == 0)
        return;
    struct rdrive_request *next;
    for (struct rdrive_request *request = connection->first; request != NULL; request = next) {
        next = request->internal.next;
        offer_room(request);
    }
}

size_t rdrive_stream_push(struct rdrive_request *request, const void *bytes, size_t len)
{
    struct rdrive_connection *connection = request->internal.connection;
    if (connection == NULL || !is_upload(request) || request->internal.state != RD_ASYNC_SENT)
        return 0;
    size_t room = room_of(request);
    struct rd_slice left = rd_slice(bytes, len < room ? len : room);
    size_t taken_len = left.len;
    while (left.len != 0) {
        struct rd_stream_part part = {.kind = RD_STREAM_CHUNK,
                                      .id = request->internal.id,
                                      .bytes = rd_slice_take(&left, connection->limits.chunk_len_max)};
        append_part(connection, &part);
    }
    request->internal.credit -= taken_len;
    if (taken_len < len)
        request->internal.wants_room = true;
    if (taken_len != 0)
        rd_async_renew(request);
    return taken_len;
}

void rdrive_stream_end(struct rdrive_request *request)
{
    if (request->internal.connection == NULL || !is_upload(request) || request->internal.state != RD_ASYNC_SENT)
        return;
    request->internal.state = RD_ASYNC_ENDED;
    rd_async_send_part(request, RD_STREAM_END, 0);
    rd_async_renew(request);
}

/* ---- downloads -------------------------------------------------------------------------------------------- */

void rdrive_stream_taken(struct rdrive_request *request, size_t len)
{
    struct rdrive_connection *connection = request->internal.connection;
    if (connection == NULL || !rd_async_is_download(request) || request->internal.state != RD_ASYNC_ANSWERED)
        return;
    request->internal.credit += len;
    rd_async_renew(request);
    /* In halves of the window: a credit for every chunk would cost a frame each. */
    if (request->internal.credit < (connection->options.stream_window + 1) / 2 || request->internal.left == 0)
        return;
    rd_async_send_part(request, RD_STREAM_CREDIT, request->internal.credit);
    request->internal.credit = 0;
}

static void take_chunk(struct rdrive_connection *connection, struct rdrive_request *request, struct rd_slice bytes)
{
    if (bytes.len > request->internal.left) {
        rd_async_break(connection, "the server sent more bytes of a stream than it announced");
        return;
    }
    request->internal.left -= bytes.len;
    rd_async_renew(request);
    request->on_chunk(request, bytes.data, bytes.len);
}

static void end_download(struct rdrive_connection *connection, struct rdrive_request *request,
                         const struct rd_stream_part *part)
{
    if (request->internal.state == RD_ASYNC_ABORTED || (part->kind == RD_STREAM_ABORT && part->status == RD_OK)) {
        rd_async_complete(request, RDRIVE_ABORTED, "the stream was given up");
    } else if (part->kind == RD_STREAM_ABORT) {
        char message[192];
        snprintf(message, sizeof message, "%.*s", (int)(part->bytes.len < 190 ? part->bytes.len : 190),
                 part->bytes.len != 0 ? (const char *)part->bytes.data : "");
        rd_async_complete(request, (enum rdrive_status)part->status, message);
    } else if (request->internal.left != 0) {
        rd_async_break(connection, "the server sent fewer bytes of a stream than it announced");
    } else {
        rd_async_complete(request, RDRIVE_OK, NULL);
    }
}

/* ---- both ------------------------------------------------------------------------------------------------- */

static void take_credit(struct rdrive_request *request, uint64_t credit)
{
    uint64_t had = request->internal.credit;
    request->internal.credit = credit > UINT64_MAX - had ? UINT64_MAX : had + credit;
    if (request->internal.state != RD_ASYNC_SENT)
        return;
    rd_async_renew(request);
    offer_room(request);
}

void rd_async_take_part(struct rdrive_connection *connection, const struct rd_stream_part *part)
{
    struct rdrive_request *request = rd_async_find(connection, part->id);
    if (request == NULL)
        return; /* of a stream that has ended */
    enum rd_async_state state = (enum rd_async_state)request->internal.state;
    if (is_upload(request) && part->kind == RD_STREAM_CREDIT)
        take_credit(request, part->credit);
    else if (!rd_async_is_download(request) || part->kind == RD_STREAM_CREDIT ||
             (state != RD_ASYNC_ANSWERED && state != RD_ASYNC_ABORTED))
        rd_async_break(connection, "the server sent a part that fits no stream");
    else if (part->kind != RD_STREAM_CHUNK)
        end_download(connection, request, part);
    else if (state == RD_ASYNC_ANSWERED)
        take_chunk(connection, request, part->bytes);
}

void rdrive_stream_abort(struct rdrive_request *request)
{
    enum rd_async_state state = (enum rd_async_state)request->internal.state;
    if (request->internal.connection == NULL)
        return;
    if (state == RD_ASYNC_WAITING) {
        request->internal.state = RD_ASYNC_ABORTED;
        request->status = RDRIVE_ABORTED;
        rd_async_expire_now(request);
    } else if ((is_upload(request) && state == RD_ASYNC_SENT) ||
               (rd_async_is_download(request) && (state == RD_ASYNC_SENT || state == RD_ASYNC_ANSWERED))) {
        request->internal.state = RD_ASYNC_ABORTED;
        request->status = RDRIVE_ABORTED;
        rd_async_send_part(request, RD_STREAM_ABORT, 0);
        rd_async_renew(request);
    }
}
