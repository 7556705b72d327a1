/* SPDX-License-Identifier: MIT
 *
 * handlers_transaction.c - requests that take effect only where several keys are as they were: transactions, and
 * the versions that a connection watches for them.
 *
 * The engine judges a transaction's looks and guards in the order of its queue, and hands out the values that it
 * saw there, pinned. So nothing is tried again, and what is answered is what was replaced.
 */
#include "server/handlers.h"

#include "protocol/guards.h"
#include "server/lane.h"
#include "server/stores.h"
#include "server/terms.h"

/* ---- transactions ----------------------------------------------------------------------------------------- */

/* Beside each of the request's items, in one piece of memory with the looks. */
struct changed {
    struct rd_entry entry;
    struct rd_change change;
    struct rd_response_change result;
};

struct looked {
    struct rd_look look;
    struct rd_response_item item; /* of the request's own looks */
};

struct arrays {
    struct rd_look *looks; /* the request's, and behind them one for each guard */
    struct rd_entry *entries;
    struct rd_change *changes;
    struct rd_response_item *items;
    struct rd_response_change *results;
};

static size_t look_count_of(const struct rd_request *request)
{
    return request->look_count + (request->guards != NULL ? request->guards->count : 0);
}

static struct arrays arrays_of(const struct rd_call *call)
{
    const struct rd_request *request = call->request;
    struct arrays arrays = {.looks = call->memory};
    arrays.entries = (struct rd_entry *)(arrays.looks + look_count_of(request));
    arrays.changes = (struct rd_change *)(arrays.entries + request->item_count);
    arrays.items = (struct rd_response_item *)(arrays.changes + request->item_count);
    arrays.results = (struct rd_response_change *)(arrays.items + request->look_count);
    return arrays;
}

/* False: a guard can never hold. */
static bool fill_looks(const struct rd_request *request, struct rd_look *looks)
{
    size_t count = 0;
    for (size_t i = 0; i < request->look_count; i++)
        looks[count++] = (struct rd_look){.key = rd_terms_key(&request->looks[i].key),
                                          .condition = rd_terms_condition(&request->looks[i].condition),
                                          .value_wanted = request->looks[i].value_wanted};
    for (size_t i = 0; request->guards != NULL && i < request->guards->count; i++) {
        const struct rd_guard *guard = &request->guards->list[i];
        if (!guard->known)
            return false;
        looks[count++] = (struct rd_look){.key = rd_key_of_bytes(guard->key),
                                          .condition = rd_terms_condition(&guard->condition)};
    }
    return true;
}

static void fill_changes(const struct rd_request *request, const struct arrays *arrays)
{
    for (size_t i = 0; i < request->item_count; i++) {
        const struct rd_message_item *item = &request->items[i];
        arrays->entries[i] = (struct rd_entry){.key = rd_terms_key(&item->key), .payload = item->value};
        arrays->changes[i] = (struct rd_change){.deletes = request->changes[i].deletes,
                                                .condition = rd_terms_condition(&request->changes[i].condition)};
    }
}

static void fill_item(const struct rd_look *look, bool key_only, struct rd_response_item *ret_item)
{
    const struct rd_value *value = &look->value;
    *ret_item = (struct rd_response_item){.status = RD_KEY_NOT_FOUND, .key_hash = look->key.hash};
    if (value->payload.data == NULL)
        return;
    ret_item->status = key_only ? RD_OK : rd_value_verify(value);
    ret_item->offset = value->offset;
    ret_item->len = value->payload.len;
    ret_item->crc32 = value->crc32;
    if (!key_only)
        ret_item->value = value->payload;
}

/* The only value that is asked for leaves without a copy. False: the call has been answered. */
static bool answer_with_value(struct rd_call *call, struct rd_look *look)
{
    if (look->value.payload.data == NULL)
        return true;
    call->value = look->value;
    look->value = (struct rd_value){.pin = NULL};
    if (!rd_handler_verify(call))
        return false;
    rd_terms_describe(&call->value, &call->response);
    call->response.value = call->value.payload;
    return true;
}

static void fail_for_condition(struct rd_call *call)
{
    rd_call_fail(call, RD_PRECONDITION_FAILED, "store '%s': a key is not as the request wants it",
                 call->hosted->name);
}

/* Whether that look's value is there and its bytes are to be read. */
static bool reads_value(const struct rd_call *call, size_t i)
{
    return !call->request->looks[i].key_only && arrays_of(call).looks[i].value.payload.data != NULL;
}

static bool looks_are_in_memory(const struct rd_call *call)
{
    const struct rd_look *looks = arrays_of(call).looks;
    for (size_t i = 0; i < call->request->look_count; i++)
        if (reads_value(call, i) && !rd_value_is_in_memory(&looks[i].value, 0, UINT64_MAX))
            return false;
    return true;
}

/* On a thread of the pool. */
static void fetch_looks(struct rd_call *call)
{
    const struct rd_look *looks = arrays_of(call).looks;
    for (size_t i = 0; i < call->request->look_count; i++)
        if (reads_value(call, i))
            rd_value_fetch(&looks[i].value, 0, UINT64_MAX, 0);
}

static uint64_t bytes_wanted(const struct rd_call *call)
{
    const struct rd_look *looks = arrays_of(call).looks;
    uint64_t len = 0;
    for (size_t i = 0; i < call->request->look_count; i++)
        len += reads_value(call, i) ? looks[i].value.payload.len : 0;
    return len;
}

static void fill_items(struct rd_call *call)
{
    struct arrays arrays = arrays_of(call);
    for (size_t i = 0; i < call->request->look_count; i++)
        fill_item(&arrays.looks[i], call->request->looks[i].key_only, &arrays.items[i]);
}

/* item_count: of the looks that are answered one by one. */
static void finish_changes(struct rd_call *call, size_t item_count)
{
    struct arrays arrays = arrays_of(call);
    for (size_t i = 0; i < call->request->item_count; i++)
        arrays.results[i] =
            (struct rd_response_change){.found = arrays.changes[i].found, .applied = arrays.changes[i].applied};
    call->response.items = arrays.items;
    call->response.item_count = item_count;
    call->response.changes = arrays.results;
    rd_handler_complete_write(call);
}

static void finish_transaction(struct rd_call *call)
{
    finish_changes(call, call->request->look_count);
}

static void complete_transaction(struct rd_call *call)
{
    const struct rd_request *request = call->request;
    const struct rd_op *op = &call->op;
    if (op->status == RD_PRECONDITION_FAILED) {
        fail_for_condition(call);
        return;
    }
    if (op->status != RD_OK) {
        rd_handler_fail_op(call, call->hosted);
        return;
    }
    if (rd_call_may_fetch(call) && !looks_are_in_memory(call)) {
        rd_call_start_read(call, fetch_looks, complete_transaction);
        return;
    }
    bool one_value = request->look_count == 1 && request->parts == NULL && request->looks[0].value_wanted;
    if (!one_value)
        rd_handler_check(call, bytes_wanted(call), fill_items, finish_transaction);
    else if (answer_with_value(call, &arrays_of(call).looks[0]))
        finish_changes(call, 0);
}

void rd_run_transaction(struct rd_call *call)
{
    const struct rd_request *request = call->request;
    size_t looks = look_count_of(request);
    if (rd_call_allocate(call, 1, looks * sizeof(struct looked) + request->item_count * sizeof(struct changed)) ==
        NULL) {
        rd_call_fail(call, RD_NO_MEMORY, "no memory for the transaction");
        return;
    }
    struct arrays arrays = arrays_of(call);
    if (!fill_looks(request, arrays.looks)) {
        fail_for_condition(call);
        return;
    }
    fill_changes(request, &arrays);
    call->looks = arrays.looks;
    call->look_count = looks;
    struct rd_op *op = &call->op;
    op->kind = RD_OP_TRANSACTION;
    op->durability = rd_terms_durability(request->durability);
    op->entries = arrays.entries;
    op->entry_count = request->item_count;
    op->changes = arrays.changes;
    op->looks = arrays.looks;
    op->look_count = looks;
    rd_handler_submit(call, call->hosted, complete_transaction);
}

/* ---- watching --------------------------------------------------------------------------------------------- */

struct watched {
    struct rd_value value;
    struct rd_key key;
    enum rd_status status;
};

static void note_version(struct rd_guard *guard, const struct rd_value *value)
{
    guard->known = true;
    guard->condition = (struct rd_message_condition){.kind = RD_MESSAGE_IF_ABSENT};
    if (value != NULL)
        guard->condition = (struct rd_message_condition){
            .kind = RD_MESSAGE_IF_VERSION, .offset = value->offset, .crc32 = value->crc32};
}

static struct rd_guard *guards_of(const struct rd_call *call)
{
    return call->request->guards->list + call->request->guard_first;
}

struct watched_arrays {
    size_t count;
    struct rd_value *values;
    struct rd_key *keys;
    enum rd_status *statuses;
};

static struct watched_arrays watched_of(const struct rd_call *call)
{
    struct watched_arrays arrays = {.count = call->request->guard_count, .values = call->memory};
    arrays.keys = (struct rd_key *)(arrays.values + arrays.count);
    arrays.statuses = (enum rd_status *)(arrays.keys + arrays.count);
    return arrays;
}

/* One look at all of them; of few keys by the loop, of many on a thread of the pool. */
static void find_versions(struct rd_call *call)
{
    struct watched_arrays arrays = watched_of(call);
    rd_store_batch_find(call->hosted->store, arrays.keys, arrays.count, arrays.values, arrays.statuses);
}

static void note_versions(struct rd_call *call)
{
    size_t count = call->request->guard_count;
    struct rd_guard *guards = guards_of(call);
    struct watched_arrays arrays = watched_of(call);
    struct rd_value *values = arrays.values;
    const enum rd_status *statuses = arrays.statuses;
    for (size_t i = 0; i < count; i++) {
        if (statuses[i] == RD_OK || statuses[i] == RD_KEY_NOT_FOUND)
            note_version(&guards[i], statuses[i] == RD_OK ? &values[i] : NULL);
    }
    enum rd_status status = RD_OK;
    for (size_t i = 0; i < count && status == RD_OK; i++)
        status = statuses[i] == RD_KEY_NOT_FOUND ? RD_OK : statuses[i];
    rd_values_release(values, count);
    if (status != RD_OK)
        rd_handler_fail_read(call, status, RD_OFFSET_UNKNOWN);
    else
        rd_call_finish(call);
}

static bool versions_are_in_memory(const struct rd_call *call)
{
    struct watched_arrays arrays = watched_of(call);
    return rd_store_holds_in_memory(call->hosted->store, arrays.keys, arrays.count, 0);
}

/* On a thread of the pool. */
static void fetch_versions(struct rd_call *call)
{
    struct watched_arrays arrays = watched_of(call);
    rd_store_fetch(call->hosted->store, arrays.keys, arrays.count, 0);
}

/* Likewise. The guards are the decoder's too, which may add to them meanwhile: only the loop looks at them. */
static void fetch_and_find_versions(struct rd_call *call)
{
    if (!versions_are_in_memory(call))
        fetch_versions(call);
    find_versions(call);
}

static void find_and_note_versions(struct rd_call *call)
{
    find_versions(call);
    note_versions(call);
}

static void watch_keys(struct rd_call *call)
{
    size_t count = call->request->guard_count;
    const struct rd_guard *guards = guards_of(call);
    if (rd_call_allocate(call, count, sizeof(struct watched)) == NULL) {
        rd_call_fail(call, RD_NO_MEMORY, "no memory for the keys");
        return;
    }
    struct rd_key *keys = watched_of(call).keys;
    for (size_t i = 0; i < count; i++)
        keys[i] = rd_key_of_bytes(guards[i].key);
    if (count > RD_HANDLER_FIND_COUNT_MAX)
        rd_call_start_read(call, fetch_and_find_versions, note_versions);
    else if (versions_are_in_memory(call))
        find_and_note_versions(call);
    else
        rd_call_start_read(call, fetch_versions, find_and_note_versions);
}

/* In a store that is not there, no key is. */
void rd_run_watch(struct rd_call *call)
{
    struct rd_error error = {.status = RD_OK};
    enum rd_status status = rd_lane_use(call->lane, rd_call_stores(call), &call->hosted, &error);
    if (status == RD_OK) {
        watch_keys(call);
    } else if (status == RD_STORE_NOT_FOUND) {
        for (size_t i = 0; i < call->request->guard_count; i++)
            note_version(&guards_of(call)[i], NULL);
        rd_call_finish(call);
    } else {
        rd_call_fail_error(call, status, &error);
    }
}
