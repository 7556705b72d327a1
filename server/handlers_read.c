/* SPDX-License-Identifier: MIT
 *
 * handlers_read.c - requests that look at a store.
 */
#include "server/handlers.h"

#include <stdio.h>

#include "protocol/guards.h"
#include "server/conn.h"
#include "server/dispatch.h"
#include "server/gather.h"
#include "server/lane.h"
#include "server/loop.h"
#include "server/stores.h"
#include "server/terms.h"

#define ITERATE_LIMIT_DEFAULT 1000u

void rd_handler_fail_read(struct rd_call *call, enum rd_status status, uint64_t offset)
{
    const char *name = call->hosted->name;
    if (status == RD_KEY_NOT_FOUND)
        rd_call_fail(call, status, "store '%s' has no such key", name);
    else if (status == RD_CORRUPT && offset == RD_OFFSET_UNKNOWN)
        rd_call_fail(call, status, "store '%s': the entry or the way to it is damaged; verify tells where", name);
    else if (status == RD_CORRUPT)
        rd_call_fail(call, status, "store '%s': the value at offset %llu does not match its checksum", name,
                     (unsigned long long)offset);
    else
        rd_call_fail(call, status, "store '%s': its file cannot be read; others cut it, or the disk fails", name);
}

/* Judges the conditions of a read. False: the call has been answered. */
static bool passes_conditions(struct rd_call *call)
{
    const struct rd_message_condition *condition = &call->request->condition;
    if (rd_terms_condition_holds(condition, &call->value))
        return true;
    rd_terms_describe(&call->value, &call->response);
    if (condition->kind == RD_MESSAGE_IF_NOT_VERSION) {
        call->response.not_modified = true;
        rd_call_finish(call);
    } else {
        rd_call_fail(call, RD_PRECONDITION_FAILED, "store '%s': the value is another version", call->hosted->name);
    }
    return false;
}

/* On a thread of the pool. */
static void fetch_entry(struct rd_call *call)
{
    struct rd_key key = rd_terms_key(&call->request->key);
    rd_store_fetch(call->hosted->store, &key, 1, RD_CALL_LOOK_MAX);
}

enum rd_status rd_handler_find_now(struct rd_call *call, void (*again)(struct rd_call *call))
{
    struct rd_store *store = call->hosted->store;
    struct rd_key key = rd_terms_key(&call->request->key);
    if (!rd_call_may_fetch(call))
        return rd_store_find(store, key, &call->value);
    enum rd_status status = rd_store_find_now(store, key, &call->value);
    if (status == RD_UNAVAILABLE)
        rd_call_start_read(call, fetch_entry, again);
    return status;
}

/* Finds the value into call->value. False: the call has been answered, or will run again. */
static bool find(struct rd_call *call)
{
    enum rd_status status = rd_handler_find_now(call, rd_dispatch_run_again);
    if (status == RD_OK)
        return passes_conditions(call);
    if (status == RD_UNAVAILABLE)
        return false;
    bool conditional = call->request->condition.kind == RD_MESSAGE_IF_VERSION ||
                       call->request->condition.kind == RD_MESSAGE_IF_PRESENT;
    if (status == RD_KEY_NOT_FOUND && conditional)
        rd_call_fail(call, RD_PRECONDITION_FAILED, "store '%s' has no such key", call->hosted->name);
    else
        rd_handler_fail_read(call, status, RD_OFFSET_UNKNOWN);
    return false;
}

/* Cuts the value down to the range that is asked for. False: the call has been answered. */
static bool cut_range(struct rd_call *call)
{
    const struct rd_request *request = call->request;
    if (!rd_terms_condition_holds(&request->range_condition, &call->value))
        return true;
    uint64_t len = call->value.payload.len;
    if (rd_terms_cut(&request->range, &call->value, &call->response) == RD_OK)
        return true;
    call->response = (struct rd_response){.status = RD_RANGE_NOT_SATISFIABLE, .value_len = len};
    snprintf(call->response.message, sizeof call->response.message, "the value has %llu bytes",
             (unsigned long long)len);
    rd_call_finish(call);
    return false;
}

/* On a thread of the pool. */
static void fetch_payload(struct rd_call *call)
{
    rd_value_fetch(&call->value, 0, RD_CALL_LOOK_MAX, 0);
}

/* A part of a value cannot be verified; a long one is verified while it is sent. */
bool rd_handler_verify(struct rd_call *call)
{
    uint64_t len = call->value.payload.len; /* of the part, where one was asked for */
    enum rd_status status = RD_OK;
    if (call->response.partial) {
        status = rd_value_touch(&call->value, 0, len < RD_CALL_LOOK_MAX ? len : RD_CALL_LOOK_MAX);
    } else {
        call->verify_while_sending = len > RD_CALL_LOOK_MAX;
        if (!call->verify_while_sending)
            status = rd_value_verify(&call->value);
    }
    if (status != RD_OK)
        rd_handler_fail_read(call, status, call->value.offset);
    return status == RD_OK;
}

void rd_handler_check(struct rd_call *call, uint64_t bytes, void (*check)(struct rd_call *call),
                      void (*finish)(struct rd_call *call))
{
    if (bytes > RD_CALL_LOOK_MAX) {
        rd_call_start_check(call, check, finish);
        return;
    }
    check(call);
    finish(call);
}

static void finish_read(struct rd_call *call)
{
    if (!rd_handler_verify(call))
        return;
    call->response.value = call->value.payload;
    rd_call_finish(call);
}

/* read, and read_stream, whose value leaves in parts (download.c) once the answer has been encoded. */
void rd_run_read(struct rd_call *call)
{
    if (call->request->opcode == RD_OPCODE_READ_STREAM && rd_conn_downloads_are_full(call->conn))
        rd_call_fail(call, RD_OVERLOADED, "too many downloads on one connection");
    else
        rd_gather_add(&rd_conn_loop(call->conn)->gather, call);
}

/* exists and metadata */
void rd_run_look(struct rd_call *call)
{
    rd_gather_add(&rd_conn_loop(call->conn)->gather, call);
}

static void look_and_read(struct rd_call *call)
{
    if (!find(call))
        return;
    rd_terms_describe(&call->value, &call->response);
    if (!cut_range(call))
        return;
    if (!rd_call_may_fetch(call) || rd_value_is_in_memory(&call->value, 0, RD_CALL_LOOK_MAX))
        finish_read(call);
    else
        rd_call_start_read(call, fetch_payload, finish_read);
}

static void look_whether_it_exists(struct rd_call *call)
{
    enum rd_status status = rd_handler_find_now(call, rd_dispatch_run_again);
    if (status == RD_UNAVAILABLE)
        return;
    if (status != RD_OK && status != RD_KEY_NOT_FOUND) {
        rd_handler_fail_read(call, status, RD_OFFSET_UNKNOWN);
        return;
    }
    call->response.found = status == RD_OK;
    rd_call_finish(call);
}

static void look_and_describe(struct rd_call *call)
{
    if (!find(call))
        return;
    rd_terms_describe(&call->value, &call->response);
    rd_call_finish(call);
}

void rd_handler_look(struct rd_call *call)
{
    if (call->request->opcode == RD_OPCODE_EXISTS)
        look_whether_it_exists(call);
    else if (call->request->opcode == RD_OPCODE_METADATA)
        look_and_describe(call);
    else
        look_and_read(call);
}

/* On a thread of the pool: many dead entries may lie above it. */
static void find_last(struct rd_call *call)
{
    call->error.status = rd_store_read_last_entry(call->hosted->store, &call->value);
}

static void complete_last(struct rd_call *call)
{
    enum rd_status status = call->error.status;
    if (status != RD_OK) {
        if (status == RD_KEY_NOT_FOUND)
            rd_call_fail(call, status, "store '%s' has no entries", call->hosted->name);
        else
            rd_handler_fail_read(call, status, RD_OFFSET_UNKNOWN);
        return;
    }
    rd_terms_describe(&call->value, &call->response);
    rd_call_finish(call);
}

void rd_run_last(struct rd_call *call)
{
    rd_call_start_read(call, find_last, complete_last);
}

/* The arrays of one batch read, in one piece of memory; behind the keys that are asked for come those of guards.
 */
struct batch_read {
    struct rd_value value;
    struct rd_response_item item;
    struct rd_key key;
    enum rd_status status;
};

struct batch_arrays {
    size_t count;
    struct rd_value *values;
    struct rd_response_item *items;
    struct rd_key *keys;
    enum rd_status *statuses;
};

static size_t guard_count(const struct rd_request *request)
{
    return request->guards != NULL ? request->guards->count : 0;
}

static bool guard_holds(const struct rd_guard *guard, enum rd_status status, const struct rd_value *value)
{
    bool absent = guard->condition.kind == RD_MESSAGE_IF_ABSENT;
    if (!guard->known || absent != (status == RD_KEY_NOT_FOUND))
        return false;
    return absent || (status == RD_OK && rd_terms_condition_holds(&guard->condition, value));
}

/* False: the call has been answered. */
static bool guards_hold(struct rd_call *call, const struct rd_value *values, const enum rd_status *statuses)
{
    const struct rd_request *request = call->request;
    for (size_t i = 0; i < guard_count(request); i++) {
        size_t at = request->item_count + i;
        if (guard_holds(&request->guards->list[i], statuses[at], &values[at]))
            continue;
        rd_call_fail(call, RD_PRECONDITION_FAILED, "store '%s': a key is not as the request wants it",
                     call->hosted->name);
        return false;
    }
    return true;
}

/* What the look found of one key. */
static void fill_item(bool key_only, const struct rd_value *value, enum rd_status status, uint64_t key_hash,
                      struct rd_response_item *ret_item)
{
    if (status == RD_OK && !key_only)
        status = rd_value_verify(value);
    *ret_item = (struct rd_response_item){.status = status, .key_hash = key_hash};
    if (status != RD_OK)
        return;
    ret_item->offset = value->offset;
    ret_item->len = value->payload.len;
    ret_item->crc32 = value->crc32;
    if (!key_only)
        ret_item->value = value->payload;
}

static struct batch_arrays arrays_of(const struct rd_call *call)
{
    struct batch_arrays arrays = {.count = call->request->item_count + guard_count(call->request),
                                  .values = call->memory};
    arrays.items = (struct rd_response_item *)(arrays.values + arrays.count);
    arrays.keys = (struct rd_key *)(arrays.items + arrays.count);
    arrays.statuses = (enum rd_status *)(arrays.keys + arrays.count);
    return arrays;
}

static void fill_keys(const struct rd_request *request, struct rd_key *keys)
{
    for (size_t i = 0; i < request->item_count; i++)
        keys[i] = rd_terms_key(&request->items[i].key);
    for (size_t i = 0; i < guard_count(request); i++)
        keys[request->item_count + i] = rd_key_of_bytes(request->guards->list[i].key);
}

/* Of the values whose bytes are asked for. */
static uint64_t bytes_wanted(const struct rd_call *call)
{
    struct batch_arrays arrays = arrays_of(call);
    uint64_t len = 0;
    for (size_t i = 0; i < call->request->item_count; i++)
        if (arrays.statuses[i] == RD_OK && !call->request->items[i].key_only)
            len += arrays.values[i].payload.len;
    return len;
}

/* The values are copied into the answer, and whether it has room for them is judged before they are checked: so
 * many bytes would keep the loop from all others for seconds. A transaction may answer with parts of its values,
 * and is judged by what it answers. False: the call has been answered. */
static bool fits_answer(struct rd_call *call, uint64_t len)
{
    if (len <= RD_CONN_ANSWER_LEN_MAX || call->request->parts != NULL)
        return true;
    rd_call_fail(call, RD_TOO_LARGE, "the answer would be too large; ask for less at a time");
    return false;
}

/* The values of a request are checked at once, so many bytes on a thread. */
static void fill_items(struct rd_call *call)
{
    struct batch_arrays arrays = arrays_of(call);
    for (size_t i = 0; i < call->request->item_count; i++)
        fill_item(call->request->items[i].key_only, &arrays.values[i], arrays.statuses[i], arrays.keys[i].hash,
                  &arrays.items[i]);
}

static void finish_batch(struct rd_call *call)
{
    const struct rd_request *request = call->request;
    struct batch_arrays arrays = arrays_of(call);
    for (size_t i = 0; i < request->item_count; i++) {
        if (arrays.items[i].status == RD_IO_ERROR) {
            rd_handler_fail_read(call, RD_IO_ERROR, RD_OFFSET_UNKNOWN);
            return;
        }
    }
    call->response.items = arrays.items;
    call->response.item_count = request->item_count;
    rd_call_finish(call);
}

/* Of few keys by the loop, of many on a thread of the pool. */
static void find_batch(struct rd_call *call)
{
    struct batch_arrays arrays = arrays_of(call);
    rd_store_batch_find(call->hosted->store, arrays.keys, arrays.count, arrays.values, arrays.statuses);
    call->values = arrays.values;
    call->value_count = arrays.count;
}

static void answer_found(struct rd_call *call)
{
    struct batch_arrays arrays = arrays_of(call);
    if (!guards_hold(call, arrays.values, arrays.statuses))
        return;
    uint64_t len = bytes_wanted(call);
    if (fits_answer(call, len))
        rd_handler_check(call, len, fill_items, finish_batch);
}

static void answer_batch(struct rd_call *call)
{
    find_batch(call);
    answer_found(call);
}

/* Of key i; guards are held against versions alone. */
static uint64_t payload_len_wanted(const struct rd_request *request, size_t i)
{
    return i < request->item_count && !request->items[i].key_only ? UINT64_MAX : 0;
}

/* How many keys there are in a row, from that one on, of which the same is wanted. */
static size_t run_count(const struct rd_request *request, size_t from, size_t count)
{
    size_t to = from + 1;
    while (to < count && payload_len_wanted(request, to) == payload_len_wanted(request, from))
        to++;
    return to - from;
}

static bool batch_is_in_memory(const struct rd_call *call)
{
    struct batch_arrays arrays = arrays_of(call);
    for (size_t at = 0, run; at < arrays.count; at += run) {
        run = run_count(call->request, at, arrays.count);
        if (!rd_store_holds_in_memory(call->hosted->store, arrays.keys + at, run,
                                      payload_len_wanted(call->request, at)))
            return false;
    }
    return true;
}

/* On a thread of the pool. */
static void fetch_batch(struct rd_call *call)
{
    struct batch_arrays arrays = arrays_of(call);
    for (size_t at = 0, run; at < arrays.count; at += run) {
        run = run_count(call->request, at, arrays.count);
        rd_store_fetch(call->hosted->store, arrays.keys + at, run, payload_len_wanted(call->request, at));
    }
}

/* Likewise. What EXEC has taken of watched keys its connection's decoder does not touch any more. */
static void fetch_and_find_batch(struct rd_call *call)
{
    fill_keys(call->request, arrays_of(call).keys);
    if (!batch_is_in_memory(call))
        fetch_batch(call);
    find_batch(call);
}

void rd_run_batch_read(struct rd_call *call)
{
    const struct rd_request *request = call->request;
    size_t count = request->item_count + guard_count(request);
    if (rd_call_allocate(call, count, sizeof(struct batch_read)) == NULL) {
        rd_call_fail(call, RD_NO_MEMORY, "no memory for the batch");
        return;
    }
    if (count > RD_HANDLER_FIND_COUNT_MAX) {
        rd_call_start_read(call, fetch_and_find_batch, answer_found);
        return;
    }
    fill_keys(request, arrays_of(call).keys);
    if (batch_is_in_memory(call))
        answer_batch(call);
    else
        rd_call_start_read(call, fetch_batch, answer_batch);
}

/* On a pool thread: a walk touches the whole file. */
static void walk(struct rd_call *call)
{
    struct rd_cursor *cursor;
    call->error.status = rd_cursor_open(call->hosted->store, call->request->after_offset, &cursor);
    if (call->error.status != RD_OK)
        return;
    struct rd_response *response = &call->response;
    struct rd_value value;
    while (response->item_count < call->request->limit && rd_cursor_next(cursor, &value))
        response->items[response->item_count++] = (struct rd_response_item){
            .status = RD_OK,
            .key_hash = value.key_hash,
            .offset = value.offset,
            .len = value.payload.len,
            .crc32 = value.crc32,
        };
    response->more = response->item_count == call->request->limit && rd_cursor_next(cursor, &value);
    call->error.status = rd_cursor_status(cursor);
    if (call->error.status != RD_OK)
        rd_error_set(&call->error, call->error.status, 0, "store '%s': %s", call->hosted->name,
                     call->error.status == RD_CORRUPT ? "a link between its entries is damaged; verify tells where"
                                                      : "its file cannot be read");
    rd_cursor_close(cursor);
}

static void complete_iterate(struct rd_call *call)
{
    if (call->error.status != RD_OK)
        rd_call_fail_error(call, call->error.status, &call->error);
    else
        rd_call_finish(call);
}

void rd_run_iterate(struct rd_call *call)
{
    struct rd_request *request = call->request;
    if (request->limit == 0)
        request->limit = ITERATE_LIMIT_DEFAULT;
    call->response.items = rd_call_allocate(call, request->limit, sizeof *call->response.items);
    if (call->response.items == NULL)
        rd_call_fail(call, RD_NO_MEMORY, "no memory for the entries");
    else {
        rd_lane_begin_look(call->lane, call);
        rd_call_start_work(call, walk, complete_iterate);
    }
}
