/* SPDX-License-Identifier: MIT */
#include "tests/crash/request.h"

#include <stdio.h>

#include "tests/crash/values.h"

#define STREAM_IN_MEMORY_MAX ((size_t)256 << 10) /* longer ones are spooled to a file */

void model_init(struct model *model)
{
    *model = (struct model){.last_instance = 0};
    for (uint32_t store = 0; store < STORE_COUNT; store++)
        for (uint32_t key = 0; key < KEY_COUNT; key++)
            model->values[store][key] = ABSENT;
}

static const char *const key_names[KEY_COUNT] = {"",      "a", "b", "c", "key-4", "key-5",
                                                 "key-6", "g", "h", "i", "j",     "the last key of all of them"};

struct rd_key key_of(uint32_t key)
{
    return rd_key_of_bytes(rd_slice_of_string(key_names[key]));
}

uint32_t key_with_hash(uint64_t hash)
{
    uint32_t key = 0;
    while (key < KEY_COUNT && key_of(key).hash != hash)
        key++;
    return key;
}

/* ---- making one --------------------------------------------------------------------------------------- */

static void add_key(struct request *request, uint32_t key)
{
    size_t at = request->op.entry_count++;
    request->keys[at] = key;
    request->entries[at] = (struct rd_entry){.key = key_of(key)};
    request->values[at] = ABSENT;
}

static void add_value(struct request *request, const struct history *history, uint32_t key, int32_t value)
{
    static const uint8_t null_byte[1] = {0};
    add_key(request, key);
    size_t at = request->op.entry_count - 1;
    request->values[at] = value;
    request->entries[at].payload = value == ABSENT ? rd_slice(null_byte, 1) : history_bytes(history, value);
}

/* A key that lives, where there is one among four tries: operations on missing keys teach little. */
static uint32_t some_key(struct random *random, const struct model *model, uint32_t store)
{
    uint32_t key = 0;
    for (int tried = 0; tried < 4; tried++) {
        key = (uint32_t)random_below(random, KEY_COUNT);
        if (model->values[store][key] != ABSENT)
            break;
    }
    return key;
}

static struct rd_condition some_condition(struct random *random)
{
    if (!random_one_in(random, 4))
        return (struct rd_condition){.kind = RD_IF_ANYTHING};
    return (struct rd_condition){.kind = (enum rd_condition_kind)(1 + random_below(random, 3))};
}

/* The version that the condition names is the one that is there now, or one that never was. */
static void fill_condition(struct request *request, struct random *random, const struct model *model,
                           struct rd_store *store)
{
    struct rd_condition condition = some_condition(random);
    struct rd_value value;
    if (condition.kind == RD_IF_VERSION && rd_store_find(store, request->entries[0].key, &value) == RD_OK) {
        bool stale = random_one_in(random, 3);
        condition.offset = value.offset + (stale ? 64 : 0);
        condition.crc32 = value.crc32;
        request->condition_instance = stale ? 0 : model->instances[request->store][request->keys[0]];
        rd_value_release(&value);
    }
    request->op.condition = condition;
}

static enum rd_op_kind some_kind(struct random *random)
{
    static const enum rd_op_kind kinds[] = {RD_OP_WRITE,       RD_OP_WRITE,       RD_OP_WRITE,  RD_OP_WRITE,
                                            RD_OP_BATCH_WRITE, RD_OP_BATCH_WRITE, RD_OP_DELETE, RD_OP_BATCH_DELETE,
                                            RD_OP_RENAME,      RD_OP_RENAME,      RD_OP_STREAM};
    return kinds[random_below(random, sizeof kinds / sizeof kinds[0])];
}

static void fill_batch(struct request *request, struct random *random, struct history *history,
                       const struct model *model, uint64_t tail)
{
    size_t count = 1 + random_below(random, REQUEST_ENTRIES_MAX);
    bool writes = request->op.kind == RD_OP_BATCH_WRITE;
    request->op.allow_null_bytes = writes && random_one_in(random, 3);
    for (size_t i = 0; i < count; i++) {
        uint32_t key =
            writes ? (uint32_t)random_below(random, KEY_COUNT) : some_key(random, model, request->store);
        if (!writes)
            add_key(request, key);
        else if (request->op.allow_null_bytes && random_one_in(random, 4))
            add_value(request, history, key, ABSENT);
        else
            add_value(request, history, key, value_make(history, random, tail, value_len(random, tail)));
    }
}

static void fill_stream(struct request *request, struct random *random, struct history *history,
                        const struct model *model, uint64_t tail)
{
    size_t len = value_len(random, tail);
    if (random_one_in(random, 8))
        len = STREAM_IN_MEMORY_MAX + random_below(random, 10000);
    add_key(request, some_key(random, model, request->store));
    request->values[0] = value_make(history, random, tail, len);
}

static void fill_rename(struct request *request, struct random *random, const struct model *model)
{
    add_key(request, some_key(random, model, request->store));
    add_key(request, (uint32_t)random_below(random, KEY_COUNT));
    if (random_one_in(random, 4))
        request->op.target_condition.kind = random_one_in(random, 2) ? RD_IF_ABSENT : RD_IF_PRESENT;
}

static void begin(struct request *request, enum rd_op_kind kind, uint32_t store_number)
{
    *request = (struct request){.store = store_number, .answered_at = NEVER};
    request->op.kind = kind;
    request->op.entries = request->entries;
    request->op.context = request;
}

void request_make(struct request *request, struct random *random, struct history *history,
                  const struct model *model, uint32_t store_number, struct rd_store *store)
{
    static const enum rd_durability durabilities[] = {RD_DURABILITY_DEFAULT, RD_DURABILITY_DEFAULT,
                                                      RD_DURABILITY_SYNC, RD_DURABILITY_NONE};
    uint64_t tail = rd_store_file_size(store);
    begin(request, some_kind(random), store_number);
    request->op.durability = durabilities[random_below(random, 4)];
    switch (request->op.kind) {
    case RD_OP_WRITE: {
        bool empty = random_one_in(random, 50);
        int32_t value = empty ? ABSENT : value_make(history, random, tail, value_len(random, tail));
        add_value(request, history, (uint32_t)random_below(random, KEY_COUNT), value);
        break;
    }
    case RD_OP_BATCH_WRITE:
    case RD_OP_BATCH_DELETE:
        fill_batch(request, random, history, model, tail);
        return;
    case RD_OP_DELETE:
        add_key(request, some_key(random, model, store_number));
        break;
    case RD_OP_STREAM:
        fill_stream(request, random, history, model, tail);
        break;
    case RD_OP_RENAME:
        fill_rename(request, random, model);
        break;
    case RD_OP_COPY: /* these three are not among some_kind's */
    case RD_OP_TRANSACTION:
    case RD_OP_SYNC:
        break;
    }
    fill_condition(request, random, model, store);
}

void request_make_write(struct request *request, struct random *random, struct history *history,
                        uint32_t store_number, struct rd_store *store, size_t len)
{
    begin(request, RD_OP_WRITE, store_number);
    int32_t value = value_make(history, random, rd_store_file_size(store), len);
    add_value(request, history, (uint32_t)random_below(random, KEY_COUNT), value);
}

enum rd_status request_begin(struct request *request, struct random *random, const struct history *history,
                             struct rd_store *store)
{
    if (request->op.kind != RD_OP_STREAM)
        return RD_OK;
    enum rd_status status = rd_spool_create(store, &request->op.spool);
    if (status != RD_OK)
        return status;
    struct rd_slice bytes = history_bytes(history, request->values[0]);
    while (status == RD_OK && bytes.len != 0)
        status = rd_spool_append(request->op.spool, rd_slice_take(&bytes, 1 + random_below(random, 100000)));
    if (status != RD_OK)
        request_end(request);
    return status;
}

void request_end(struct request *request)
{
    if (request->op.kind == RD_OP_STREAM)
        rd_spool_destroy(request->op.spool);
    request->op.spool = NULL;
}

/* ---- judging it --------------------------------------------------------------------------------------- */

static bool holds(const struct rd_condition *condition, bool live, bool same_version)
{
    switch (condition->kind) {
    case RD_IF_ANYTHING:
        return true;
    case RD_IF_ABSENT:
        return !live;
    case RD_IF_PRESENT:
        return live;
    case RD_IF_VERSION:
        return live && same_version;
    }
    return false;
}

static bool lives(const struct request *request, const struct model *model, size_t entry)
{
    return model->values[request->store][request->keys[entry]] != ABSENT;
}

enum rd_status request_expect(const struct request *request, const struct model *model)
{
    const struct rd_op *op = &request->op;
    bool writes_null = op->kind == RD_OP_WRITE && request->values[0] == ABSENT;
    if (writes_null)
        return RD_INVALID_ARGUMENT;
    if (op->kind == RD_OP_BATCH_WRITE || op->kind == RD_OP_BATCH_DELETE)
        return RD_OK;
    bool live = lives(request, model, 0);
    bool same = request->condition_instance == model->instances[request->store][request->keys[0]];
    if (op->kind == RD_OP_RENAME && request->keys[0] == request->keys[1])
        return RD_CONFLICT;
    if (op->kind == RD_OP_RENAME && !live)
        return op->condition.kind == RD_IF_ANYTHING ? RD_KEY_NOT_FOUND : RD_PRECONDITION_FAILED;
    if (!holds(&op->condition, live, same))
        return RD_PRECONDITION_FAILED;
    if (op->kind == RD_OP_RENAME && !holds(&op->target_condition, lives(request, model, 1), false))
        return RD_PRECONDITION_FAILED;
    return RD_OK;
}

static bool is_among(const struct change *changes, size_t count, uint32_t key)
{
    for (size_t i = 0; i < count; i++)
        if (changes[i].key == key)
            return true;
    return false;
}

size_t request_changes(const struct request *request, const struct model *model,
                       struct change ret_changes[REQUEST_ENTRIES_MAX])
{
    size_t count = 0;
    bool deletes = request->op.kind == RD_OP_DELETE || request->op.kind == RD_OP_BATCH_DELETE;
    if (request->op.kind == RD_OP_RENAME) {
        ret_changes[0] = (struct change){request->keys[1], model->values[request->store][request->keys[0]]};
        ret_changes[1] = (struct change){request->keys[0], ABSENT};
        return 2;
    }
    for (size_t i = 0; i < request->op.entry_count; i++) {
        uint32_t key = request->keys[i];
        if (deletes && (!lives(request, model, i) || is_among(ret_changes, count, key)))
            continue;
        ret_changes[count++] = (struct change){key, deletes ? ABSENT : request->values[i]};
    }
    return count;
}

void model_apply(struct model *model, uint32_t store, const struct change *changes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        model->values[store][changes[i].key] = changes[i].value;
        model->instances[store][changes[i].key] = ++model->last_instance;
    }
}

const char *request_lies(const struct request *request, const struct model *model, size_t change_count)
{
    const struct rd_op *op = &request->op;
    bool rename = op->kind == RD_OP_RENAME;
    if (op->count != (rename ? 1 : change_count))
        return "the number of keys";
    bool may_replace = rename || op->kind == RD_OP_WRITE || op->kind == RD_OP_STREAM;
    if (may_replace && op->replaced != lives(request, model, rename ? 1 : 0))
        return "whether a value was replaced";
    if (change_count != 0 && op->durability == RD_DURABILITY_SYNC && op->durability_applied != RD_DURABILITY_SYNC)
        return "that it was synced";
    return NULL;
}
