/* SPDX-License-Identifier: MIT
 *
 * async_requests.c - requests from submit to completion.
 *
 * Exactly once: a request is on the list by deadline from submit on, and only leave() takes it off, which is
 * always followed by one finish(). What is to complete many takes all of them off first, since callbacks may
 * submit, abort and close.
 */
#include <stdio.h>
#include <stdlib.h>

#include "clients/c/async.h"
#include "clients/c/convert.h"

#define FRAME_LEN_MAX ((size_t)INT32_MAX)

/* ---- the list by deadline, the table by id, the queue of those that wait ---------------------------------- */

static void on_deadline(uv_timer_t *timer)
{
    rd_async_expire(timer->data);
}

/* The timer is never set for later than the head's deadline; where it comes too early it is just set again. */
static void watch_head(struct rdrive_connection *connection)
{
    const struct rdrive_request *head = connection->first;
    if (head == NULL) {
        uv_timer_stop(&connection->deadline);
        return;
    }
    uint64_t now_ms = rd_async_now_ms();
    uint64_t left_ms = head->internal.deadline_ms > now_ms ? head->internal.deadline_ms - now_ms : 0;
    if (!uv_is_active((uv_handle_t *)&connection->deadline) ||
        uv_timer_get_due_in(&connection->deadline) > left_ms)
        uv_timer_start(&connection->deadline, on_deadline, left_ms, 0);
}

/* From the back, since most requests of a connection have one timeout. */
static void insert_by_deadline(struct rdrive_connection *connection, struct rdrive_request *request)
{
    struct rdrive_request *before = connection->last;
    while (before != NULL && before->internal.deadline_ms > request->internal.deadline_ms)
        before = before->internal.previous;
    struct rdrive_request *behind = before != NULL ? before->internal.next : connection->first;
    request->internal.previous = before;
    request->internal.next = behind;
    *(before != NULL ? &before->internal.next : &connection->first) = request;
    *(behind != NULL ? &behind->internal.previous : &connection->last) = request;
    if (before == NULL)
        watch_head(connection);
}

static void remove_by_deadline(struct rdrive_connection *connection, struct rdrive_request *request)
{
    struct rdrive_request *before = request->internal.previous;
    struct rdrive_request *behind = request->internal.next;
    *(before != NULL ? &before->internal.next : &connection->first) = behind;
    *(behind != NULL ? &behind->internal.previous : &connection->last) = before;
    request->internal.next = NULL;
    request->internal.previous = NULL;
}

static struct rdrive_request **bucket_of(struct rdrive_connection *connection, uint64_t id)
{
    return &connection->buckets[id % RD_ASYNC_BUCKET_COUNT];
}

static void insert_by_id(struct rdrive_connection *connection, struct rdrive_request *request)
{
    struct rdrive_request **bucket = bucket_of(connection, request->internal.id);
    request->internal.same_bucket = *bucket;
    *bucket = request;
}

static void remove_by_id(struct rdrive_connection *connection, struct rdrive_request *request)
{
    struct rdrive_request **at = bucket_of(connection, request->internal.id);
    while (*at != request)
        at = &(*at)->internal.same_bucket;
    *at = request->internal.same_bucket;
}

static void append_waiting(struct rdrive_connection *connection, struct rdrive_request *request)
{
    request->internal.same_bucket = NULL;
    if (connection->waiting_last != NULL)
        connection->waiting_last->internal.same_bucket = request;
    else
        connection->waiting_first = request;
    connection->waiting_last = request;
    connection->waiting_bytes += request->internal.frame_len;
}

static void remove_waiting(struct rdrive_connection *connection, struct rdrive_request *request)
{
    struct rdrive_request *before = NULL;
    struct rdrive_request *at = connection->waiting_first;
    while (at != request) {
        before = at;
        at = at->internal.same_bucket;
    }
    *(before != NULL ? &before->internal.same_bucket : &connection->waiting_first) = request->internal.same_bucket;
    if (connection->waiting_last == request)
        connection->waiting_last = before;
    connection->waiting_bytes -= request->internal.frame_len;
}

struct rdrive_request *rd_async_find(struct rdrive_connection *connection, uint64_t id)
{
    struct rdrive_request *request = *bucket_of(connection, id);
    while (request != NULL && request->internal.id != id)
        request = request->internal.same_bucket;
    if (request == NULL && (id == 0 || id > connection->last_id))
        rd_async_break(connection, "the server answered a request that was not asked");
    return request;
}

/* ---- completing ------------------------------------------------------------------------------------------- */

/* Off every list. A frame that is kept tells where it is. */
static void leave(struct rdrive_request *request)
{
    struct rdrive_connection *connection = request->internal.connection;
    remove_by_deadline(connection, request);
    if (request->internal.frame != NULL)
        remove_waiting(connection, request);
    else
        remove_by_id(connection, request);
    connection->request_count--;
    if (request->operation == RDRIVE_OP_WRITE_STREAM)
        connection->upload_count--;
    request->internal.state = RD_ASYNC_LEAVING;
}

static void finish(struct rdrive_request *request, enum rdrive_status status, const char *message)
{
    free(request->internal.frame);
    request->internal = (struct rdrive_private){.connection = NULL};
    request->status = status;
    snprintf(request->message, sizeof request->message, "%s", message != NULL ? message : "");
    request->on_complete(request);
}

void rd_async_complete(struct rdrive_request *request, enum rdrive_status status, const char *message)
{
    leave(request);
    finish(request, status, message);
}

void rd_async_complete_all(struct rdrive_connection *connection, bool sent_only, enum rdrive_status status,
                           const char *message)
{
    struct rdrive_request *leaving = NULL;
    struct rdrive_request **end = &leaving;
    struct rdrive_request *next;
    for (struct rdrive_request *request = connection->first; request != NULL; request = next) {
        next = request->internal.next;
        if (sent_only && request->internal.frame != NULL)
            continue;
        leave(request);
        *end = request;
        end = &request->internal.next;
    }
    while (leaving != NULL) {
        struct rdrive_request *request = leaving;
        leaving = request->internal.next;
        finish(request, status, message);
    }
}

static bool is_stream(const struct rdrive_request *request)
{
    return request->operation == RDRIVE_OP_WRITE_STREAM || rd_async_is_download(request);
}

/* Of a request that waited for the connection, or was given up. */
static const char *why_not(enum rdrive_status status)
{
    switch (status) {
    case RDRIVE_TOO_LARGE:
        return "the request is longer than the server takes at once";
    case RDRIVE_NO_MEMORY:
        return "no memory to send the request";
    default:
        return "the request was given up before it was sent or answered";
    }
}

void rd_async_expire(struct rdrive_connection *connection)
{
    uint64_t now_ms = rd_async_now_ms();
    while (connection->first != NULL && connection->first->internal.deadline_ms <= now_ms) {
        struct rdrive_request *request = connection->first;
        enum rd_async_state state = (enum rd_async_state)request->internal.state;
        bool waited = request->internal.frame != NULL;
        if (is_stream(request) && (state == RD_ASYNC_SENT || state == RD_ASYNC_ANSWERED))
            rd_async_send_part(request, RD_STREAM_ABORT, 0);
        if (request->status != RDRIVE_OK)
            rd_async_complete(request, request->status, why_not(request->status));
        else
            rd_async_complete(request, RDRIVE_TIMEOUT, waited ? "no connection in time" : "no answer in time");
    }
    watch_head(connection);
}

static uint64_t deadline_of(const struct rdrive_request *request)
{
    uint32_t timeout_ms =
        request->timeout_ms != 0 ? request->timeout_ms : request->internal.connection->options.request_timeout_ms;
    return rd_async_now_ms() + timeout_ms;
}

void rd_async_renew(struct rdrive_request *request)
{
    struct rdrive_connection *connection = request->internal.connection;
    remove_by_deadline(connection, request);
    request->internal.deadline_ms = deadline_of(request);
    insert_by_deadline(connection, request);
}

void rd_async_expire_now(struct rdrive_request *request)
{
    struct rdrive_connection *connection = request->internal.connection;
    remove_by_deadline(connection, request);
    request->internal.deadline_ms = 0;
    insert_by_deadline(connection, request);
}

/* ---- answers ---------------------------------------------------------------------------------------------- */

/* The parts of a download follow. */
static void begin_download(struct rdrive_connection *connection, struct rdrive_request *request,
                           const struct rd_response *response)
{
    if (request->internal.state == RD_ASYNC_ABORTED)
        return;
    if (request->internal.state == RD_ASYNC_ANSWERED) {
        rd_async_break(connection, "the server answered a request twice");
        return;
    }
    (void)rd_async_operation_find(request->operation)->take(&connection->reader, response, request);
    request->internal.left = response->value.len;
    request->internal.state = RD_ASYNC_ANSWERED;
    rd_async_renew(request);
}

void rd_async_take_answer(struct rdrive_connection *connection, const struct rd_binary_answer *answer)
{
    const struct rd_response *response = &answer->response;
    struct rdrive_request *request = rd_async_find(connection, answer->id);
    if (request == NULL)
        return; /* it timed out before */
    bool refused = response->status != RD_OK;
    if (!refused && request->operation == RDRIVE_OP_BATCH_READ && response->item_count != request->count) {
        rd_async_break(connection, "the server answered another number of keys than was asked");
        return;
    }
    if (answer->opcode != (uint8_t)request->operation && !(refused && rd_wire_is_part(answer->opcode))) {
        rd_async_break(connection, "the server answered another operation than was asked");
        return;
    }
    if (rd_async_is_download(request) && !refused) {
        begin_download(connection, request, response);
        return;
    }
    enum rd_async_state state = (enum rd_async_state)request->internal.state;
    if (request->operation == RDRIVE_OP_WRITE_STREAM && state == RD_ASYNC_SENT)
        rd_async_send_part(request, RD_STREAM_ABORT, 0); /* its last part: only then the id is free */
    enum rdrive_status status = (enum rdrive_status)response->status;
    const char *message = response->message[0] != '\0' ? response->message : rd_status_name(response->status);
    if (state == RD_ASYNC_ABORTED) {
        status = RDRIVE_ABORTED;
        message = "the stream was given up";
    }
    const struct rd_async_operation *operation = rd_async_operation_find(request->operation);
    if (status == RDRIVE_OK && operation->take != NULL &&
        !operation->take(&connection->reader, response, request)) {
        status = RDRIVE_NO_MEMORY;
        message = "no memory for the answer";
    }
    rd_async_complete(request, status, status == RDRIVE_OK ? NULL : message);
}

/* ---- submitting ------------------------------------------------------------------------------------------- */

static enum rdrive_status refuse(struct rdrive_request *request, enum rdrive_status status, const char *message)
{
    snprintf(request->message, sizeof request->message, "%s", message);
    return status;
}

static enum rdrive_status encode(struct rdrive_connection *connection, const struct rdrive_request *request,
                                 struct rd_buffer *out)
{
    const struct rd_async_operation *operation = rd_async_operation_find(request->operation);
    const char *store = request->store != NULL ? request->store : connection->store;
    struct rd_request message = {
        .opcode = (enum rd_opcode)request->operation,
        .id = connection->last_id + 1,
        .store = rd_slice_of_string(store),
        .key = rd_convert_key(request->key),
        .stream_credit = connection->options.stream_window,
    };
    size_t begin_len = out->len;
    size_t follow_len = 0;
    enum rd_status status = RD_NO_MEMORY;
    if (operation->fill == NULL || operation->fill(request, &message))
        status = rd_binary_encode_request(&message, out, &follow_len);
    if (status == RD_OK && follow_len != 0)
        rd_buffer_append_slice(out, message.value);
    free(message.items);
    if (out->failed) {
        out->failed = false;
        out->len = begin_len;
        status = RD_NO_MEMORY;
    }
    return (enum rdrive_status)status;
}

static enum rdrive_status check(struct rdrive_connection *connection, struct rdrive_request *request)
{
    if (rd_async_operation_find(request->operation) == NULL || request->on_complete == NULL)
        return refuse(request, RDRIVE_INVALID_ARGUMENT, "there is no such operation, or no on_complete");
    if (request->internal.connection != NULL)
        return refuse(request, RDRIVE_INVALID_ARGUMENT, "the request is submitted already, or was not zeroed");
    if (rd_async_is_download(request) && request->on_chunk == NULL)
        return refuse(request, RDRIVE_INVALID_ARGUMENT, "what comes in parts needs on_chunk");
    if (connection->closing || connection->state == RDRIVE_CONNECTION_CLOSED)
        return refuse(request, RDRIVE_UNAVAILABLE, "the connection is closed");
    if (connection->request_count >= connection->options.request_count_max)
        return refuse(request, RDRIVE_OVERLOADED, "as many requests as may be are pending");
    if (connection->state == RDRIVE_CONNECTION_OPEN && request->count > connection->limits.batch_count_max)
        return refuse(request, RDRIVE_TOO_LARGE, "a batch has more items than the server takes");
    return RDRIVE_OK;
}

/* Whether a frame that has just been encoded may go. */
static enum rdrive_status check_frame(struct rdrive_connection *connection, struct rdrive_request *request,
                                      size_t frame_len, size_t unsent_before)
{
    bool open = connection->state == RDRIVE_CONNECTION_OPEN;
    if (open && frame_len - RD_WIRE_HEADER_LEN > connection->limits.body_len_max)
        return refuse(request, RDRIVE_TOO_LARGE, "the request is longer than the server takes at once");
    if (frame_len > FRAME_LEN_MAX)
        return refuse(request, RDRIVE_TOO_LARGE, "the request is longer than this client sends at once");
    if (unsent_before != 0 && frame_len > connection->options.unsent_bytes_max - unsent_before)
        return refuse(request, RDRIVE_OVERLOADED, "as many bytes as may be wait to be sent");
    return RDRIVE_OK;
}

/* Its frame is in `out` of an open connection, or was. */
static void become_sent(struct rdrive_connection *connection, struct rdrive_request *request)
{
    request->internal.state = RD_ASYNC_SENT;
    insert_by_id(connection, request);
    if (request->operation == RDRIVE_OP_WRITE_STREAM && connection->limits.chunk_len_max != 0) {
        request->internal.credit = connection->limits.stream_window;
        request->internal.wants_room = true;
    }
}

static void take_request(struct rdrive_connection *connection, struct rdrive_request *request,
                         struct rd_buffer *frame)
{
    memset(&request->result, 0, sizeof request->result);
    request->status = RDRIVE_OK;
    request->message[0] = '\0';
    request->internal = (struct rdrive_private){.connection = connection, .id = ++connection->last_id};
    request->internal.deadline_ms = deadline_of(request);
    insert_by_deadline(connection, request);
    connection->request_count++;
    if (request->operation == RDRIVE_OP_WRITE_STREAM)
        connection->upload_count++;
    if (connection->state == RDRIVE_CONNECTION_OPEN) {
        become_sent(connection, request);
        rd_async_schedule(connection);
        return;
    }
    request->internal.state = RD_ASYNC_WAITING;
    request->internal.frame = frame->data;
    request->internal.frame_len = frame->len;
    append_waiting(connection, request);
}

enum rdrive_status rdrive_submit(struct rdrive_connection *connection, struct rdrive_request *request)
{
    enum rdrive_status status = check(connection, request);
    if (status != RDRIVE_OK)
        return status;
    struct rd_buffer kept;
    rd_buffer_init(&kept, 0);
    bool open = connection->state == RDRIVE_CONNECTION_OPEN;
    struct rd_buffer *out = open ? &connection->link.out : &kept;
    size_t begin_len = out->len;
    size_t unsent = rd_link_unsent(&connection->link) + connection->waiting_bytes;
    if (unsent != 0 && unsent >= connection->options.unsent_bytes_max)
        return refuse(request, RDRIVE_OVERLOADED, "as many bytes as may be wait to be sent");
    status = encode(connection, request, out);
    if (status != RDRIVE_OK)
        (void)refuse(request, status,
                     status == RDRIVE_NO_MEMORY ? "no memory for the request"
                                                : "the operation cannot carry this, or it does not fit a frame");
    else
        status = check_frame(connection, request, out->len - begin_len, unsent);
    if (status != RDRIVE_OK) {
        out->len = begin_len;
        rd_buffer_deinit(&kept);
        return status;
    }
    take_request(connection, request, &kept);
    return RDRIVE_OK;
}

/* Anything but RDRIVE_OK: it can never be sent, and has what it will complete with. */
static enum rdrive_status send_frame(struct rdrive_connection *connection, struct rdrive_request *request)
{
    struct rd_buffer *out = &connection->link.out;
    if (request->status != RDRIVE_OK)
        return request->status;
    if (request->internal.frame_len - RD_WIRE_HEADER_LEN > connection->limits.body_len_max)
        return RDRIVE_TOO_LARGE;
    rd_buffer_append(out, request->internal.frame, request->internal.frame_len);
    if (out->failed) {
        out->failed = false;
        return RDRIVE_NO_MEMORY;
    }
    free(request->internal.frame);
    request->internal.frame = NULL;
    become_sent(connection, request);
    return RDRIVE_OK;
}

void rd_async_send_waiting(struct rdrive_connection *connection)
{
    struct rdrive_request *request = connection->waiting_first;
    connection->waiting_first = NULL;
    connection->waiting_last = NULL;
    connection->waiting_bytes = 0;
    while (request != NULL) {
        struct rdrive_request *next = request->internal.same_bucket;
        request->status = send_frame(connection, request);
        if (request->status != RDRIVE_OK) {
            append_waiting(connection, request); /* it stays there, to be completed by its deadline: now */
            rd_async_expire_now(request);
        }
        request = next;
    }
    rd_async_schedule(connection);
}
