/* SPDX-License-Identifier: MIT */
#include "server/dispatch.h"

#include <stdlib.h>

#include "base/text.h"
#include "server/conn.h"
#include "server/lane.h"
#include "server/loop.h"
#include "server/stores.h"

#define ITERATE_LIMIT_DEFAULT 1000u
#define ITERATE_LIMIT_MAX     10000u
#define VERIFY_AT_ONCE_MAX    (1u << 20) /* longer values are verified while they are sent */

struct handler {
    enum rd_call_mode mode;
    bool takes_key;   /* request->key */
    bool takes_items; /* request->items */
    bool needs_store; /* run with call->hosted in use */
    void (*run)(struct rd_call *call);
};

/* ---- requests to the engine's terms ----------------------------------------------------------------------- */

static struct rd_store *store_of(const struct rd_call *call)
{
    return call->hosted->store;
}

static struct rd_key key_of(const struct rd_message_key *key)
{
    return key->bytes.data != NULL ? rd_key_of_bytes(key->bytes) : rd_key_of_hash(key->hash);
}

static struct rd_slice store_name_of(const struct rd_call *call)
{
    struct rd_slice name = call->request->store;
    return name.len != 0 ? name : rd_slice_of_string(RD_STORE_NAME_DEFAULT);
}

static enum rd_durability durability_of(enum rd_message_durability durability)
{
    switch (durability) {
    case RD_MESSAGE_DURABILITY_SYNC:
        return RD_DURABILITY_SYNC;
    case RD_MESSAGE_DURABILITY_NONE:
        return RD_DURABILITY_NONE;
    case RD_MESSAGE_DURABILITY_DEFAULT:
    case RD_MESSAGE_DURABILITY_INTERVAL:
        break;
    }
    return RD_DURABILITY_DEFAULT;
}

static enum rd_message_durability message_durability_of(enum rd_durability durability)
{
    switch (durability) {
    case RD_DURABILITY_SYNC:
        return RD_MESSAGE_DURABILITY_SYNC;
    case RD_DURABILITY_INTERVAL:
        return RD_MESSAGE_DURABILITY_INTERVAL;
    case RD_DURABILITY_NONE:
        return RD_MESSAGE_DURABILITY_NONE;
    case RD_DURABILITY_DEFAULT:
        break;
    }
    return RD_MESSAGE_DURABILITY_DEFAULT;
}

/* NULL where the payload can be stored. */
static const char *payload_fault(struct rd_slice payload, bool allow_null_bytes)
{
    if (payload.len == 0)
        return "Payload cannot be empty.";
    if (payload.len == 1 && payload.data[0] == 0 && !allow_null_bytes)
        return "Payload cannot be a single zero byte: that is how a deleted key is marked.";
    return NULL;
}

static void fail_not_found(struct rd_call *call)
{
    rd_call_fail(call, RD_KEY_NOT_FOUND, "store '%s' has no such key", call->hosted->name);
}

static void fail_corrupt(struct rd_call *call, uint64_t offset)
{
    rd_call_fail(call, RD_CORRUPT, "store '%s': the value at offset %llu does not match its checksum",
                 call->hosted->name, (unsigned long long)offset);
}

/* ---- without a store -------------------------------------------------------------------------------------- */

static void run_hello(struct rd_call *call)
{
    call->response.limits = rd_conn_loop(call->conn)->limits;
    rd_call_finish(call);
}

static void run_ready(struct rd_call *call)
{
    char name[RD_STORE_NAME_LEN_MAX + 1];
    if (rd_stores_find_failed(rd_call_stores(call), name))
        rd_call_fail(call, RD_UNAVAILABLE, "store '%s' does not serve", name);
    else
        rd_call_finish(call);
}

/* ---- writes ----------------------------------------------------------------------------------------------- */

static void complete_write(struct rd_call *call)
{
    const struct rd_op *op = &call->op;
    if (op->status != RD_OK) {
        rd_call_fail(call, op->status, "store '%s': %s%s%s", call->hosted->name, rd_status_name(op->status),
                     op->os_errno != 0 ? ": " : "", op->os_errno != 0 ? strerror(op->os_errno) : "");
        return;
    }
    struct rd_response *response = &call->response;
    response->offset = op->offset;
    response->tail = op->tail;
    response->key_hash = call->entry.key.hash;
    response->value_len = call->entry.payload.len;
    response->count = op->count;
    response->crc32 = op->crc32;
    response->found = op->count != 0;
    response->replaced = op->replaced;
    response->durability = message_durability_of(op->durability_applied);
    response->durability_interval_ms = op->durability_interval_ms;
    rd_call_finish(call);
}

static void submit(struct rd_call *call, enum rd_op_kind kind, const struct rd_entry *entries, size_t count)
{
    struct rd_loop *loop = rd_conn_loop(call->conn);
    struct rd_op *op = &call->op;
    op->kind = kind;
    op->durability = durability_of(call->request->durability);
    op->allow_null_bytes = call->request->allow_null_bytes;
    op->entries = entries;
    op->entry_count = count;
    op->sink = &loop->bridge.sink;
    call->on_complete = complete_write;

    enum rd_status status = rd_store_submit(store_of(call), op);
    if (status == RD_OK)
        rd_loop_mark_store(loop, call->hosted);
    else if (status == RD_OVERLOADED)
        rd_call_fail(call, status, "store '%s': its queue of writes is full; try again later", call->hosted->name);
    else
        rd_call_fail(call, status, "store '%s': the write is refused: %s", call->hosted->name,
                     rd_status_name(status));
}

static void run_write(struct rd_call *call)
{
    const char *fault = payload_fault(call->request->value, false);
    if (fault != NULL) {
        rd_call_fail(call, RD_INVALID_ARGUMENT, "%s", fault);
        return;
    }
    call->entry = (struct rd_entry){.key = key_of(&call->request->key), .payload = call->request->value};
    submit(call, RD_OP_WRITE, &call->entry, 1);
}

static void run_delete(struct rd_call *call)
{
    call->entry = (struct rd_entry){.key = key_of(&call->request->key)};
    submit(call, RD_OP_DELETE, &call->entry, 1);
}

static void run_batch_change(struct rd_call *call, enum rd_op_kind kind)
{
    const struct rd_request *request = call->request;
    struct rd_entry *entries = rd_call_allocate(call, request->item_count, sizeof *entries);
    if (entries == NULL) {
        rd_call_fail(call, RD_NO_MEMORY, "no memory for the batch");
        return;
    }
    for (size_t i = 0; i < request->item_count; i++) {
        const struct rd_message_item *item = &request->items[i];
        const char *fault =
            kind == RD_OP_BATCH_WRITE ? payload_fault(item->value, request->allow_null_bytes) : NULL;
        if (fault != NULL) {
            rd_call_fail(call, RD_INVALID_ARGUMENT, "item %zu: %s", i, fault);
            return;
        }
        entries[i] = (struct rd_entry){.key = key_of(&item->key), .payload = item->value};
    }
    submit(call, kind, entries, request->item_count);
}

static void run_batch_write(struct rd_call *call)
{
    run_batch_change(call, RD_OP_BATCH_WRITE);
}

static void run_batch_delete(struct rd_call *call)
{
    run_batch_change(call, RD_OP_BATCH_DELETE);
}

/* ---- reads ------------------------------------------------------------------------------------------------ */

static void describe(const struct rd_value *value, struct rd_response *response)
{
    response->offset = value->offset;
    response->prev_tail = value->prev_tail;
    response->key_hash = value->key_hash;
    response->value_len = value->payload.len;
    response->crc32 = value->crc32;
    response->found = true;
}

static void run_read(struct rd_call *call)
{
    enum rd_status status = rd_store_find(store_of(call), key_of(&call->request->key), &call->value);
    if (status != RD_OK) {
        fail_not_found(call);
        return;
    }
    call->verify_while_sending = call->value.payload.len > VERIFY_AT_ONCE_MAX;
    if (!call->verify_while_sending && rd_value_verify(&call->value) != RD_OK) {
        fail_corrupt(call, call->value.offset);
        return;
    }
    describe(&call->value, &call->response);
    call->response.value = call->value.payload;
    rd_call_finish(call);
}

static void run_exists(struct rd_call *call)
{
    call->response.found = rd_store_exists(store_of(call), key_of(&call->request->key));
    rd_call_finish(call);
}

static void run_metadata(struct rd_call *call)
{
    if (rd_store_find(store_of(call), key_of(&call->request->key), &call->value) != RD_OK) {
        fail_not_found(call);
        return;
    }
    describe(&call->value, &call->response);
    rd_call_finish(call);
}

static void run_last(struct rd_call *call)
{
    if (rd_store_read_last_entry(store_of(call), &call->value) != RD_OK) {
        rd_call_fail(call, RD_KEY_NOT_FOUND, "store '%s' has no entries", call->hosted->name);
        return;
    }
    describe(&call->value, &call->response);
    rd_call_finish(call);
}

/* The arrays of one batch read, in one piece of memory. */
struct batch_read {
    struct rd_value value;
    struct rd_response_item item;
    struct rd_key key;
    enum rd_status status;
};

static void run_batch_read(struct rd_call *call)
{
    size_t count = call->request->item_count;
    struct rd_value *values = rd_call_allocate(call, count, sizeof(struct batch_read));
    if (values == NULL) {
        rd_call_fail(call, RD_NO_MEMORY, "no memory for the batch");
        return;
    }
    struct rd_response_item *items = (struct rd_response_item *)(values + count);
    struct rd_key *keys = (struct rd_key *)(items + count);
    enum rd_status *statuses = (enum rd_status *)(keys + count);
    for (size_t i = 0; i < count; i++)
        keys[i] = key_of(&call->request->items[i].key);

    rd_store_batch_read(store_of(call), keys, count, values, statuses);
    call->values = values;
    call->value_count = count;
    for (size_t i = 0; i < count; i++) {
        items[i] = (struct rd_response_item){.status = statuses[i], .key_hash = keys[i].hash};
        if (statuses[i] != RD_OK)
            continue;
        items[i].offset = values[i].offset;
        items[i].len = values[i].payload.len;
        items[i].crc32 = values[i].crc32;
        items[i].value = values[i].payload;
    }
    call->response.items = items;
    call->response.item_count = count;
    rd_call_finish(call);
}

/* On a pool thread: a walk touches the whole file. */
static void walk(struct rd_call *call)
{
    struct rd_cursor *cursor;
    call->error.status = rd_cursor_open(store_of(call), call->request->after_offset, &cursor);
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
    rd_cursor_close(cursor);
}

static void complete_iterate(struct rd_call *call)
{
    if (call->error.status != RD_OK)
        rd_call_fail_error(call, call->error.status, &call->error);
    else
        rd_call_finish(call);
}

static void run_iterate(struct rd_call *call)
{
    struct rd_request *request = call->request;
    if (request->limit == 0)
        request->limit = ITERATE_LIMIT_DEFAULT;
    if (request->limit > ITERATE_LIMIT_MAX) {
        rd_call_fail(call, RD_INVALID_ARGUMENT, "limit: at most %u entries at a time", ITERATE_LIMIT_MAX);
        return;
    }
    call->response.items = rd_call_allocate(call, request->limit, sizeof *call->response.items);
    if (call->response.items == NULL)
        rd_call_fail(call, RD_NO_MEMORY, "no memory for the entries");
    else
        rd_call_start_work(call, walk, complete_iterate);
}

/* ---- stores ----------------------------------------------------------------------------------------------- */

/* One row of a listing; the reason is kept beside it, as the response only borrows. */
struct listing {
    struct rd_response_store row;
    struct rd_store_info info;
};

static void describe_store(struct rd_hosted *hosted, struct rd_response_store *row, struct rd_store_info *info)
{
    *row = (struct rd_response_store){.name = rd_slice_of_string(hosted->name), .state = RD_MESSAGE_STORE_FAILED};
    if (rd_hosted_use(hosted, NULL) != RD_OK) {
        bool failed = atomic_load(&hosted->state) == RD_HOSTED_FAILED;
        row->reason = rd_slice_of_string(failed ? hosted->reason : "being dropped");
        return;
    }
    rd_store_info(hosted->store, info);
    rd_hosted_unuse(hosted);
    row->entries = info->entries;
    row->tail = info->tail;
    row->file_size = info->file_size;
    row->dead_bytes = info->dead_bytes;
    row->durability = message_durability_of(info->durability);
    row->durability_interval_ms = info->durability_interval_ms;
    row->state = info->state == RD_STORE_OPEN ? RD_MESSAGE_STORE_OPEN : RD_MESSAGE_STORE_READ_ONLY;
    row->reason = rd_slice_of_string(info->reason);
}

static void answer_with_stores(struct rd_call *call, struct rd_hosted *const *list, size_t count)
{
    struct rd_response_store *rows = rd_call_allocate(call, count, sizeof(struct listing));
    if (rows == NULL) {
        rd_call_fail(call, RD_NO_MEMORY, "no memory for the listing");
        return;
    }
    struct rd_store_info *infos = (struct rd_store_info *)(rows + count);
    for (size_t i = 0; i < count; i++)
        describe_store(list[i], &rows[i], &infos[i]);
    call->response.stores = rows;
    call->response.store_count = count;
    rd_call_finish(call);
}

static void run_stores(struct rd_call *call)
{
    call->listed = rd_stores_list(rd_call_stores(call), &call->listed_count);
    if (call->listed == NULL)
        rd_call_fail(call, RD_NO_MEMORY, "no memory for the listing");
    else
        answer_with_stores(call, call->listed, call->listed_count);
}

static void fail_no_store(struct rd_call *call)
{
    struct rd_slice name = store_name_of(call);
    rd_call_fail(call, RD_STORE_NOT_FOUND, "there is no store '%.*s'", (int)name.len, (const char *)name.data);
}

static void run_info(struct rd_call *call)
{
    call->listed = malloc(sizeof *call->listed);
    if (call->listed == NULL) {
        rd_call_fail(call, RD_NO_MEMORY, "no memory for the listing");
        return;
    }
    /* A reference of its own: the lane's may go before the answer is encoded. */
    call->listed[0] = rd_stores_find(rd_call_stores(call), store_name_of(call));
    call->listed_count = call->listed[0] != NULL;
    enum rd_hosted_state state =
        call->listed_count == 0 ? RD_HOSTED_GONE : (enum rd_hosted_state)atomic_load(&call->listed[0]->state);
    if (state != RD_HOSTED_SERVING && state != RD_HOSTED_FAILED)
        fail_no_store(call);
    else
        answer_with_stores(call, call->listed, 1);
}

/* On a pool thread. */
static void create_store(struct rd_call *call)
{
    struct rd_settings settings;
    call->error.status = rd_settings_parse(call->request->settings, &settings, &call->error);
    if (call->error.status == RD_OK)
        call->error.status = rd_stores_create(rd_call_stores(call), store_name_of(call), &settings, &call->error);
}

static void complete_create(struct rd_call *call)
{
    if (call->error.status != RD_OK)
        rd_call_fail_error(call, call->error.status, &call->error);
    else
        run_info(call);
}

static void run_create(struct rd_call *call)
{
    rd_call_start_work(call, create_store, complete_create);
}

/* On a pool thread. */
static void drop_store(struct rd_call *call)
{
    call->error.status = rd_stores_drop_finish(call->lane->hosted, rd_call_stores(call), &call->error);
}

static void complete_drop(struct rd_call *call)
{
    if (call->error.status != RD_OK)
        rd_call_fail_error(call, call->error.status, &call->error);
    else
        rd_call_finish(call);
}

/* The last use of the store has ended. */
static void go_on_with_drop(struct rd_call *call)
{
    rd_call_start_work(call, drop_store, complete_drop);
}

static void run_drop(struct rd_call *call)
{
    struct rd_hosted *hosted = rd_lane_hosted(call->lane, rd_call_stores(call));
    if (hosted == NULL) {
        fail_no_store(call);
        return;
    }
    if (!rd_slice_equal(call->request->confirm, rd_slice_of_string(hosted->name))) {
        rd_call_fail(call, RD_INVALID_ARGUMENT, "confirm: must be the store's name, '%s'", hosted->name);
        return;
    }
    call->op.sink = &rd_conn_loop(call->conn)->bridge.sink;
    call->on_complete = go_on_with_drop;
    struct rd_error error = {.status = RD_OK};
    enum rd_status status = rd_stores_drop_begin(hosted, rd_call_stores(call), &call->op, &error);
    if (status != RD_OK)
        rd_call_fail_error(call, status, &error);
}

/* ---- the table -------------------------------------------------------------------------------------------- */

static const struct handler handlers[256] = {
    [RD_OPCODE_HELLO] = {RD_CALL_FREE, false, false, false, run_hello},
    [RD_OPCODE_PING] = {RD_CALL_FREE, false, false, false, rd_call_finish},
    [RD_OPCODE_HEALTH] = {RD_CALL_FREE, false, false, false, rd_call_finish},
    [RD_OPCODE_READY] = {RD_CALL_FREE, false, false, false, run_ready},
    [RD_OPCODE_CONTINUE] = {RD_CALL_FREE, false, false, false, rd_call_finish},
    [RD_OPCODE_STORES] = {RD_CALL_FREE, false, false, false, run_stores},

    [RD_OPCODE_WRITE] = {RD_CALL_WRITE, true, false, true, run_write},
    [RD_OPCODE_DELETE] = {RD_CALL_WRITE, true, false, true, run_delete},
    [RD_OPCODE_BATCH_WRITE] = {RD_CALL_WRITE, false, true, true, run_batch_write},
    [RD_OPCODE_BATCH_DELETE] = {RD_CALL_WRITE, false, true, true, run_batch_delete},

    [RD_OPCODE_READ] = {RD_CALL_READ, true, false, true, run_read},
    [RD_OPCODE_EXISTS] = {RD_CALL_READ, true, false, true, run_exists},
    [RD_OPCODE_METADATA] = {RD_CALL_READ, true, false, true, run_metadata},
    [RD_OPCODE_LAST] = {RD_CALL_READ, false, false, true, run_last},
    [RD_OPCODE_BATCH_READ] = {RD_CALL_READ, false, true, true, run_batch_read},
    [RD_OPCODE_ITERATE] = {RD_CALL_READ, false, false, true, run_iterate},
    [RD_OPCODE_INFO] = {RD_CALL_READ, false, false, false, run_info},

    [RD_OPCODE_CREATE] = {RD_CALL_EXCLUSIVE, false, false, false, run_create},
    [RD_OPCODE_DROP] = {RD_CALL_EXCLUSIVE, false, false, false, run_drop},
};

/* NULL where there is no such operation. */
static const struct handler *handler_of(enum rd_opcode opcode)
{
    if ((unsigned)opcode >= sizeof handlers / sizeof handlers[0] || handlers[opcode].run == NULL)
        return NULL;
    return &handlers[opcode];
}

/* ---- on the way there ------------------------------------------------------------------------------------- */

/* NULL where nothing is wrong with the keys. */
static const char *key_fault(const struct rd_call *call, const struct handler *handler)
{
    const struct rd_request *request = call->request;
    const struct rd_limits *limits = &rd_conn_loop(call->conn)->limits;
    if (handler->takes_key && request->key.bytes.len > limits->key_len_max)
        return "the key is longer than this server takes";
    if (!handler->takes_items)
        return NULL;
    if (request->item_count > limits->batch_count_max)
        return "the batch has more items than this server takes";
    for (size_t i = 0; i < request->item_count; i++)
        if (request->items[i].key.bytes.len > limits->key_len_max)
            return "a key of the batch is longer than this server takes";
    return NULL;
}

static void send_through_lane(struct rd_call *call, const struct handler *handler)
{
    struct rd_slice name = store_name_of(call);
    if (!rd_text_is_store_name(name)) {
        rd_call_fail(call, RD_INVALID_ARGUMENT, "a store's name is [A-Za-z0-9._-]{1,64}, no leading dot");
        return;
    }
    const char *fault = key_fault(call, handler);
    if (fault != NULL) {
        rd_call_fail(call, RD_TOO_LARGE, "%s", fault);
        return;
    }
    struct rd_lane *lane = rd_lane_get(rd_conn_lanes(call->conn), name);
    if (lane == NULL)
        rd_call_fail(call, RD_NO_MEMORY, "no memory for the request");
    else
        rd_lane_enter(lane, call, handler->mode);
}

void rd_dispatch_call(struct rd_call *call)
{
    const struct rd_request *request = call->request;
    const struct handler *handler = handler_of(request->opcode);
    if (request->status != RD_OK) {
        rd_call_fail(call, request->status, "%s",
                     request->message != NULL ? request->message : rd_status_name(request->status));
    } else if (handler == NULL) {
        rd_call_fail(call, RD_UNSUPPORTED, "unknown operation");
    } else if (handler->mode == RD_CALL_FREE) {
        call->state = RD_CALL_RUNNING;
        handler->run(call);
    } else {
        send_through_lane(call, handler);
    }
}

void rd_dispatch_run(struct rd_call *call)
{
    const struct handler *handler = handler_of(call->request->opcode);
    if (handler->needs_store) {
        struct rd_error error = {.status = RD_OK};
        enum rd_status status = rd_lane_use(call->lane, rd_call_stores(call), &call->hosted, &error);
        if (status != RD_OK) {
            rd_call_fail_error(call, status, &error);
            return;
        }
    }
    handler->run(call);
}

void rd_dispatch_complete(struct rd_op *op)
{
    struct rd_call *call = op->context;
    call->on_complete(call);
}
