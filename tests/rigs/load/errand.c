/* SPDX-License-Identifier: MIT */
#include "tests/rigs/load/errand.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/stamp.h"

#define LARGE_LEN (17u << 20) /* above what is put ahead of the tail */

const char *const store_names[STORE_COUNT] = {"synced", "timed", "unsynced"};

/* ---- keepers ---------------------------------------------------------------------------------------------- */

void keeper_init(struct keeper *keeper, uint32_t number, bool http, uint64_t *stamp_number)
{
    *keeper = (struct keeper){.number = number, .http = http, .stamp_number = stamp_number};
    ledger_init(&keeper->ledger, STORE_COUNT, KEY_COUNT);
    for (unsigned key = 0; key < KEY_COUNT; key++) {
        int len = snprintf(keeper->names[key], NAME_SIZE, "client %u, key %0*u", number, (int)(key * 5 + 1), key);
        keeper->name_lens[key] = (size_t)len;
        for (unsigned store = 0; store < STORE_COUNT; store++)
            keeper->versions[store][key].deed = NO_DEED;
    }
}

static struct rdrive_key key_of(const struct keeper *keeper, unsigned key)
{
    return rdrive_key_of_bytes(keeper->names[key], keeper->name_lens[key]);
}

static uint64_t held(const struct errand *errand, unsigned store, unsigned key)
{
    return ledger_now(&errand->keeper->ledger, store, key);
}

/* ---- choosing --------------------------------------------------------------------------------------------- */

static unsigned roll(struct errand *errand, unsigned bound)
{
    return (unsigned)dice_below(&errand->keeper->dice, bound);
}

static bool chance(struct errand *errand, unsigned percent)
{
    return dice_chance(&errand->keeper->dice, percent);
}

/* Mostly short, as values are; a few that take several pages and so can be torn. */
static size_t random_len(struct errand *errand)
{
    unsigned kind = roll(errand, 100);
    if (kind < 60)
        return STAMP_LEN_MIN + roll(errand, 400);
    if (kind < 88)
        return STAMP_LEN_MIN + roll(errand, 5000);
    if (kind < 99)
        return STAMP_LEN_MIN + roll(errand, 30000);
    return STAMP_LEN_MIN + roll(errand, 250000);
}

static uint64_t make_value(struct errand *errand, unsigned key, uint8_t *bytes, size_t len)
{
    struct stamp stamp = {.number = ++*errand->keeper->stamp_number, .client = errand->keeper->number, .key = key};
    stamp_fill(&stamp, bytes, len);
    return stamp.number;
}

static void add_effect(struct errand *errand, unsigned store, unsigned key, uint64_t value)
{
    assert(errand->effect_count < EFFECT_MAX);
    errand->effects[errand->effect_count++] = (struct effect){store, key, value};
}

/* Whether it will hold is what the ledger says when the request takes its turn: now, or at a stream's end. */
static bool condition_holds(const struct errand *errand, const struct rdrive_condition *condition, unsigned key)
{
    const struct version *version = &errand->keeper->versions[errand->store][key];
    bool present = held(errand, errand->store, key) != 0;
    switch (condition->kind) {
    case RDRIVE_IF_ABSENT:
        return !present;
    case RDRIVE_IF_PRESENT:
        return present;
    case RDRIVE_IF_VERSION:
        return present && version->known && version->offset == condition->offset &&
               version->crc32 == condition->crc32;
    default:
        return true;
    }
}

static struct rdrive_condition random_condition(struct errand *errand, unsigned key, bool may_be_absent)
{
    const struct version *version = &errand->keeper->versions[errand->store][key];
    unsigned kind = roll(errand, 100);
    if (kind < 10 && may_be_absent)
        return (struct rdrive_condition){.kind = RDRIVE_IF_ABSENT};
    if (kind < 18)
        return (struct rdrive_condition){.kind = RDRIVE_IF_PRESENT};
    if (kind < 40 && version->known && !errand->keeper->ledger.tails_shift)
        return (struct rdrive_condition){RDRIVE_IF_VERSION, version->offset + (chance(errand, 25) ? 64 : 0),
                                         version->crc32};
    return (struct rdrive_condition){.kind = RDRIVE_IF_ANYTHING};
}

static void expect_write(struct errand *errand, uint64_t value)
{
    unsigned key = errand->keys[0];
    errand->effect_count = 0;
    errand->wanted = RDRIVE_PRECONDITION_FAILED;
    if (!condition_holds(errand, &errand->request.condition, key))
        return;
    errand->wanted = RDRIVE_OK;
    errand->replaced = held(errand, errand->store, key) != 0;
    errand->count_is_known = true;
    errand->count = 1;
    add_effect(errand, errand->store, key, value);
}

static void choose_write(struct errand *errand, size_t len)
{
    unsigned key = errand->keys[0];
    errand->value_len = len;
    errand->value = malloc(len);
    if (errand->value == NULL)
        abort();
    errand->seen[0] = make_value(errand, key, errand->value, len);
    errand->request.value = errand->value;
    errand->request.value_len = len;
    errand->request.condition = random_condition(errand, key, true);
    expect_write(errand, errand->seen[0]);
}

static void choose_delete(struct errand *errand)
{
    unsigned key = errand->keys[0];
    bool present = held(errand, errand->store, key) != 0;
    errand->request.condition = random_condition(errand, key, true);
    if (!condition_holds(errand, &errand->request.condition, key)) {
        errand->wanted = RDRIVE_PRECONDITION_FAILED;
        return;
    }
    errand->count_is_known = true;
    errand->count = present;
    if (present)
        add_effect(errand, errand->store, key, 0);
}

static void choose_rename(struct errand *errand)
{
    unsigned from = errand->keys[0];
    unsigned to = (from + 1 + roll(errand, KEY_COUNT - 1)) % KEY_COUNT;
    struct rdrive_request *request = &errand->request;
    request->target_key = key_of(errand->keeper, to);
    request->condition = random_condition(errand, from, false);
    if (chance(errand, 15))
        request->target_condition.kind = RDRIVE_IF_ABSENT;
    errand->keys[1] = to;
    if (held(errand, errand->store, from) == 0) {
        /* A missing key is told before a condition on it fails. */
        request->condition.kind = RDRIVE_IF_ANYTHING;
        request->target_condition.kind = RDRIVE_IF_ANYTHING;
        errand->wanted = RDRIVE_KEY_NOT_FOUND;
        return;
    }
    if (!condition_holds(errand, &request->condition, from) ||
        !condition_holds(errand, &request->target_condition, to)) {
        errand->wanted = RDRIVE_PRECONDITION_FAILED;
        return;
    }
    errand->replaced = held(errand, errand->store, to) != 0;
    add_effect(errand, errand->store, to, held(errand, errand->store, from));
    add_effect(errand, errand->store, from, 0);
}

static void choose_move(struct errand *errand)
{
    unsigned key = errand->keys[0];
    uint64_t value = held(errand, errand->store, key);
    errand->target_store = (errand->store + 1 + roll(errand, STORE_COUNT - 1)) % STORE_COUNT;
    errand->request.target_store = store_names[errand->target_store];
    errand->request.durability = RDRIVE_DURABILITY_DEFAULT;
    if (value == 0) {
        errand->wanted = RDRIVE_KEY_NOT_FOUND;
        return;
    }
    add_effect(errand, errand->target_store, key, value);
    if (errand->request.operation == RDRIVE_OP_TRANSFER)
        add_effect(errand, errand->store, key, 0);
}

/* Any keys, some of them twice. */
static size_t choose_keys(struct errand *errand)
{
    size_t count = 2 + roll(errand, chance(errand, 30) ? BATCH_MAX - 1 : 6);
    for (size_t i = 0; i < count; i++) {
        errand->keys[i] = roll(errand, KEY_COUNT);
        errand->key_list[i] = key_of(errand->keeper, errand->keys[i]);
    }
    errand->request.keys = errand->key_list;
    errand->request.count = count;
    return count;
}

static void choose_batch_write(struct errand *errand)
{
    static const uint8_t zero = 0;
    size_t count = choose_keys(errand);
    bool deletes = chance(errand, 20);
    size_t lens[BATCH_MAX];
    for (size_t i = 0; i < count; i++) {
        lens[i] = random_len(errand);
        errand->value_len += lens[i];
    }
    errand->value = malloc(errand->value_len);
    if (errand->value == NULL)
        abort();
    uint8_t *at = errand->value;
    for (size_t i = 0; i < count; i++, at += lens[i - 1]) {
        bool deletes_this = deletes && chance(errand, 30);
        uint64_t value = deletes_this ? 0 : make_value(errand, errand->keys[i], at, lens[i]);
        errand->entries[i] =
            (struct rdrive_entry){errand->key_list[i], deletes_this ? &zero : at, deletes_this ? 1 : lens[i]};
        add_effect(errand, errand->store, errand->keys[i], value);
    }
    errand->request.entries = errand->entries;
    errand->request.allow_null_bytes = deletes;
    errand->count_is_known = !deletes;
    errand->count = count;
}

static void choose_batch_delete(struct errand *errand)
{
    size_t count = choose_keys(errand);
    errand->count_is_known = true;
    for (size_t i = 0; i < count; i++) {
        bool present = held(errand, errand->store, errand->keys[i]) != 0;
        for (size_t j = 0; j < i; j++)
            present = present && errand->keys[j] != errand->keys[i];
        errand->count += present;
        if (present)
            add_effect(errand, errand->store, errand->keys[i], 0);
    }
}

static void choose_read(struct errand *errand)
{
    errand->seen[0] = held(errand, errand->store, errand->keys[0]);
    if (errand->seen[0] == 0 && errand->request.operation != RDRIVE_OP_EXISTS)
        errand->wanted = RDRIVE_KEY_NOT_FOUND;
}

static void choose_batch_read(struct errand *errand)
{
    size_t count = choose_keys(errand);
    for (size_t i = 0; i < count; i++)
        errand->seen[i] = held(errand, errand->store, errand->keys[i]);
}

/* Of a hundred. */
static enum rdrive_operation random_operation(struct errand *errand)
{
    static const struct {
        unsigned share;
        enum rdrive_operation operation;
    } shares[] = {
        {32, RDRIVE_OP_WRITE},       {6, RDRIVE_OP_WRITE_STREAM}, {10, RDRIVE_OP_DELETE},
        {14, RDRIVE_OP_BATCH_WRITE}, {5, RDRIVE_OP_BATCH_DELETE}, {9, RDRIVE_OP_RENAME},
        {3, RDRIVE_OP_COPY},         {5, RDRIVE_OP_TRANSFER},     {7, RDRIVE_OP_READ},
        {5, RDRIVE_OP_BATCH_READ},   {2, RDRIVE_OP_EXISTS},
    };
    unsigned left = roll(errand, 100);
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        if (left < shares[i].share)
            return shares[i].operation;
        left -= shares[i].share;
    }
    return RDRIVE_OP_METADATA;
}

static void choose_rest(struct errand *errand, bool large)
{
    switch (errand->request.operation) {
    case RDRIVE_OP_WRITE:
        choose_write(errand, random_len(errand));
        return;
    case RDRIVE_OP_WRITE_STREAM:
        choose_write(errand, large ? LARGE_LEN : random_len(errand) * (chance(errand, 30) ? 20 : 1));
        errand->streams = !errand->keeper->http;
        return;
    case RDRIVE_OP_DELETE:
        choose_delete(errand);
        return;
    case RDRIVE_OP_RENAME:
        choose_rename(errand);
        return;
    case RDRIVE_OP_COPY:
    case RDRIVE_OP_TRANSFER:
        choose_move(errand);
        return;
    case RDRIVE_OP_BATCH_WRITE:
        choose_batch_write(errand);
        return;
    case RDRIVE_OP_BATCH_DELETE:
        choose_batch_delete(errand);
        return;
    case RDRIVE_OP_BATCH_READ:
        choose_batch_read(errand);
        return;
    default:
        choose_read(errand);
    }
}

void errand_choose(struct errand *errand, bool large)
{
    struct keeper *keeper = errand->keeper;
    *errand = (struct errand){.keeper = keeper, .busy = true, .deed = NO_DEED};
    errand->store = roll(errand, STORE_COUNT);
    errand->keys[0] = roll(errand, KEY_COUNT);
    errand->request.operation = large ? RDRIVE_OP_WRITE_STREAM : random_operation(errand);
    errand->request.store = store_names[errand->store];
    errand->request.key = key_of(keeper, errand->keys[0]);
    if (errand->request.operation < RDRIVE_OP_READ && chance(errand, 12))
        errand->request.durability = chance(errand, 25) ? RDRIVE_DURABILITY_SYNC : RDRIVE_DURABILITY_NONE;
    choose_rest(errand, large);
}

/* ---- sent ------------------------------------------------------------------------------------------------- */

static uint32_t note_deed(struct errand *errand)
{
    struct ledger *ledger = &errand->keeper->ledger;
    const char *what = rdrive_operation_name(errand->request.operation);
    if (errand->request.operation == RDRIVE_OP_TRANSFER)
        return ledger_transfer(ledger, what, errand->store, errand->target_store);
    return errand->request.operation == RDRIVE_OP_COPY ? ledger_copy(ledger, what) : ledger_deed(ledger, what);
}

void errand_sent(struct errand *errand)
{
    struct keeper *keeper = errand->keeper;
    if (errand->request.operation == RDRIVE_OP_WRITE_STREAM)
        expect_write(errand, errand->seen[0]);
    if (errand->effect_count == 0)
        return;
    errand->deed = note_deed(errand);
    for (unsigned i = 0; i < errand->effect_count; i++) {
        const struct effect *effect = &errand->effects[i];
        struct version *version = &keeper->versions[effect->store][effect->key];
        ledger_effect(&keeper->ledger, errand->deed, effect->store, effect->key, effect->value);
        *version = (struct version){.deed = errand->deed};
    }
}

/* ---- judging ---------------------------------------------------------------------------------------------- */

static bool complain(const struct errand *errand, char *text, size_t size, const char *what, uint64_t got,
                     uint64_t wanted)
{
    snprintf(text, size, "client %u (%s), %s in %s, key %u: %s %" PRIu64 " in place of %" PRIu64 " %s",
             errand->keeper->number, errand->keeper->http ? "HTTP" : "binary",
             rdrive_operation_name(errand->request.operation), errand->request.store, errand->keys[0], what, got,
             wanted, errand->request.message);
    return false;
}

static bool is_value(const struct errand *errand, const struct rdrive_value *value, uint64_t number, char *text,
                     size_t size)
{
    struct stamp stamp = {.number = 0};
    if (!stamp_read(value->data, value->len, &stamp) || stamp.client != errand->keeper->number)
        return complain(errand, text, size, "a value that nobody sent, of length", value->len, number);
    return stamp.number == number || complain(errand, text, size, "value", stamp.number, number);
}

static bool judge_values(const struct errand *errand, char *text, size_t size)
{
    const struct rdrive_values *values = &errand->request.result.values;
    for (size_t i = 0; i < errand->request.count; i++) {
        const struct rdrive_value *value = &values->items[i];
        enum rdrive_status wanted = errand->seen[i] != 0 ? RDRIVE_OK : RDRIVE_KEY_NOT_FOUND;
        if (value->status != wanted)
            return complain(errand, text, size, "a batch's item with status", value->status, wanted);
        if (wanted == RDRIVE_OK && !is_value(errand, value, errand->seen[i], text, size))
            return false;
    }
    return true;
}

static enum ledger_promise promise_of(enum rdrive_durability durability)
{
    return durability == RDRIVE_DURABILITY_SYNC       ? LEDGER_SYNCED
           : durability == RDRIVE_DURABILITY_INTERVAL ? LEDGER_TIMED
                                                      : LEDGER_UNSYNCED;
}

static bool judge_written(struct errand *errand, uint64_t now_ns, char *text, size_t size)
{
    const struct rdrive_written *written = &errand->request.result.written;
    enum rdrive_operation operation = errand->request.operation;
    enum ledger_promise asked = errand->request.durability == RDRIVE_DURABILITY_DEFAULT
                                    ? (enum ledger_promise)errand->store
                                    : promise_of(errand->request.durability);
    enum ledger_promise promise = promise_of(written->durability);
    bool tells_replaced = operation == RDRIVE_OP_WRITE || operation == RDRIVE_OP_WRITE_STREAM ||
                          (operation == RDRIVE_OP_RENAME && !errand->keeper->http);
    if (promise > asked) /* a group that is synced for one of its operations is synced for all */
        return complain(errand, text, size, "durability", promise, asked);
    if (errand->count_is_known && written->count != errand->count)
        return complain(errand, text, size, "count", written->count, errand->count);
    if (tells_replaced && written->replaced != errand->replaced)
        return complain(errand, text, size, "replaced", written->replaced, errand->replaced);
    if (errand->deed == NO_DEED)
        return true;
    ledger_answered(&errand->keeper->ledger, errand->deed, errand->store, promise, written->tail, now_ns);
    struct version *version = &errand->keeper->versions[errand->store][errand->effects[0].key];
    bool has_version =
        operation == RDRIVE_OP_WRITE || operation == RDRIVE_OP_WRITE_STREAM || operation == RDRIVE_OP_RENAME;
    if (has_version && version->deed == errand->deed)
        *version = (struct version){true, errand->deed, written->offset, written->crc32};
    return true;
}

/* The target of a transfer is always synced, the rest as the stores are set. */
static bool judge_moved(struct errand *errand, uint64_t now_ns)
{
    const struct rdrive_moved *moved = &errand->request.result.moved;
    struct ledger *ledger = &errand->keeper->ledger;
    bool transfer = errand->request.operation == RDRIVE_OP_TRANSFER;
    ledger_answered(ledger, errand->deed, errand->target_store,
                    transfer ? LEDGER_SYNCED : (enum ledger_promise)errand->target_store, moved->target_tail,
                    now_ns);
    if (transfer)
        ledger_answered(ledger, errand->deed, errand->store, (enum ledger_promise)errand->store,
                        moved->source_tail, now_ns);
    return true;
}

bool errand_judge(struct errand *errand, uint64_t now_ns, char *text, size_t size)
{
    const struct rdrive_request *request = &errand->request;
    if (request->status != errand->wanted)
        return complain(errand, text, size, "status", request->status, errand->wanted);
    if (request->status != RDRIVE_OK)
        return true;
    switch (request->operation) {
    case RDRIVE_OP_READ:
        return is_value(errand, &request->result.value, errand->seen[0], text, size);
    case RDRIVE_OP_BATCH_READ:
        return judge_values(errand, text, size);
    case RDRIVE_OP_EXISTS:
        return request->result.exists == (errand->seen[0] != 0) ||
               complain(errand, text, size, "exists", request->result.exists, errand->seen[0] != 0);
    case RDRIVE_OP_METADATA:
        return true;
    case RDRIVE_OP_COPY:
    case RDRIVE_OP_TRANSFER:
        return judge_moved(errand, now_ns);
    default:
        return judge_written(errand, now_ns, text, size);
    }
}

void errand_clear(struct errand *errand)
{
    rdrive_request_free_results(&errand->request);
    free(errand->value);
    errand->value = NULL;
    errand->busy = false;
}
