/* SPDX-License-Identifier: MIT */
#include "protocol/redis_multi.h"

#include <stdlib.h>

#include "protocol/guards.h"
#include "protocol/redis_command.h"

void rd_redis_multi_reset(struct rd_redis_multi *multi)
{
    while (multi->first != NULL) {
        struct rd_request *next = multi->first->next;
        rd_request_destroy(multi->first);
        multi->first = next;
    }
    *multi = (struct rd_redis_multi){.open = false};
}

void rd_redis_multi_unwatch(struct rd_redis_state *state)
{
    rd_guards_unref(state->watched);
    state->watched = NULL;
}

/* ---- queueing ---------------------------------------------------------------------------------------------- */

static size_t memory_of(const struct rd_request *request)
{
    return sizeof *request + request->body_len + request->look_count * sizeof *request->looks +
           request->item_count * (sizeof *request->items + sizeof *request->changes);
}

/* NULL, or why the request cannot be queued. */
static const char *queue_fault(const struct rd_redis_ask *ask, size_t changes, size_t looks)
{
    const struct rd_redis_multi *multi = &ask->state->multi;
    const struct rd_limits *limits = &ask->state->limits;
    if (multi->change_count + changes > limits->batch_count_max ||
        multi->look_count + looks > limits->batch_count_max)
        return "would give the transaction more keys than this server takes at once";
    if (multi->len + memory_of(ask->request) > limits->body_len_max)
        return "would make the transaction larger than this server takes";
    return NULL;
}

void rd_redis_multi_queue(struct rd_redis_ask *ask)
{
    struct rd_redis_multi *multi = &ask->state->multi;
    size_t changes;
    size_t looks;
    rd_redis_answer_share(ask->request, &changes, &looks);
    const char *fault = queue_fault(ask, changes, looks);
    if (fault != NULL) {
        multi->broken = true;
        rd_redis_ask_refuse(ask, "ERR %s %s", ask->command->name, fault);
        return;
    }
    if (!rd_redis_ask_keep(ask, memory_of(ask->request))) {
        multi->broken = true;
        return;
    }
    struct rd_request *queued = ask->request;
    multi->change_count += changes;
    multi->look_count += looks;
    multi->len += memory_of(queued);
    if (multi->last != NULL)
        multi->last->next = queued;
    else
        multi->first = queued;
    multi->last = queued;
    ask->request = rd_request_create(0);
    if (ask->request != NULL) {
        rd_redis_ask_reply(ask, "+QUEUED\r\n");
        ask->request->needs_token = true;
    }
}

/* ---- reads behind writes ----------------------------------------------------------------------------------- */

/* A key that a transaction names, and where. */
struct mention {
    struct rd_slice key; /* borrows */
    size_t place;        /* of the command in the queue */
    bool written;        /* else looked at */
};

static int compare_mentions(const void *one, const void *other)
{
    const struct mention *a = one;
    const struct mention *b = other;
    size_t len = a->key.len < b->key.len ? a->key.len : b->key.len;
    int order = len != 0 ? memcmp(a->key.data, b->key.data, len) : 0;
    if (order == 0)
        order = (a->key.len > b->key.len) - (a->key.len < b->key.len);
    if (order == 0)
        order = (a->place > b->place) - (a->place < b->place);
    return order;
}

static const struct rd_message_key *key_of(const struct rd_request *part, size_t i)
{
    return part->items != NULL ? &part->items[i].key : &part->key;
}

/* Whether all that is asked of that key is whether it is there, or how long its value is. */
static bool is_key_only(const struct rd_request *part, size_t i)
{
    return part->items != NULL ? part->items[i].key_only : part->opcode != RD_OPCODE_READ;
}

/* Writes down the keys of one command; returns how many. */
static size_t note_mentions(const struct rd_request *part, size_t place, struct mention *mentions)
{
    size_t changes;
    size_t looks;
    size_t count = 0;
    rd_redis_answer_share(part, &changes, &looks);
    for (size_t i = 0; i < changes; i++)
        mentions[count++] = (struct mention){.key = key_of(part, i)->bytes, .place = place, .written = true};
    for (size_t i = 0; i < looks; i++) {
        const struct rd_message_key *key = part->looks != NULL ? &part->looks[i].key : key_of(part, i);
        mentions[count++] = (struct mention){.key = key->bytes, .place = place};
    }
    return count;
}

/* Sorted by key and then by place, a key's first write comes in front of any read that would have to see it. */
static bool has_read_behind_write(const struct mention *mentions, size_t count)
{
    size_t written_at = SIZE_MAX; /* of the key under way: its first write's place */
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || !rd_slice_equal(mentions[i].key, mentions[i - 1].key))
            written_at = SIZE_MAX;
        if (mentions[i].written && written_at == SIZE_MAX)
            written_at = mentions[i].place;
        if (!mentions[i].written && written_at != SIZE_MAX && mentions[i].place > written_at)
            return true;
    }
    return false;
}

/* False: the request has been refused. */
static bool check_reads(struct rd_redis_ask *ask, const struct rd_redis_multi *multi)
{
    if (multi->change_count == 0 || multi->look_count == 0)
        return true;
    size_t capacity = multi->change_count + multi->look_count;
    struct mention *mentions = malloc(capacity * sizeof *mentions);
    if (mentions == NULL)
        return rd_redis_ask_refuse_for_memory(ask);
    size_t count = 0;
    size_t place = 0;
    for (const struct rd_request *part = multi->first; part != NULL; part = part->next)
        count += note_mentions(part, place++, mentions + count);
    qsort(mentions, count, sizeof *mentions, compare_mentions);
    bool refused = has_read_behind_write(mentions, count);
    free(mentions);
    if (refused)
        rd_redis_ask_refuse(ask,
                            "EXECABORT Transaction discarded because a read in it would have to see one of its "
                            "own writes, which cannot be done here");
    return !refused;
}

/* ---- EXEC -------------------------------------------------------------------------------------------------- */

static void copy_changes(const struct rd_request *part, size_t count, struct rd_message_item *items,
                         struct rd_message_change *changes)
{
    bool deletes = part->opcode == RD_OPCODE_DELETE || part->opcode == RD_OPCODE_BATCH_DELETE;
    for (size_t i = 0; i < count; i++) {
        items[i] = part->items != NULL ? part->items[i]
                                       : (struct rd_message_item){.key = part->key, .value = part->value};
        changes[i] = part->changes != NULL
                         ? part->changes[i]
                         : (struct rd_message_change){.deletes = deletes, .condition = part->condition};
    }
}

static void copy_looks(const struct rd_request *part, size_t count, struct rd_message_look *looks)
{
    for (size_t i = 0; i < count; i++)
        looks[i] = part->looks != NULL ? part->looks[i]
                                       : (struct rd_message_look){.key = *key_of(part, i),
                                                                  .value_wanted = true,
                                                                  .key_only = is_key_only(part, i)};
}

/* Room for everything, or false: the request has been refused. */
static bool make_room(struct rd_redis_ask *ask, const struct rd_redis_multi *multi)
{
    struct rd_request *request = ask->request;
    if (multi->change_count == 0)
        return multi->look_count == 0 || rd_redis_ask_items(ask, multi->look_count);
    if (!rd_redis_ask_items(ask, multi->change_count))
        return false;
    request->changes = calloc(multi->change_count, sizeof *request->changes);
    request->looks = calloc(multi->look_count + 1, sizeof *request->looks);
    if (request->changes == NULL || request->looks == NULL)
        return rd_redis_ask_refuse_for_memory(ask);
    return true;
}

/* Fills the request with what the queued ones ask for. Only reads: items are the keys, as in any batch_read. */
static void merge(struct rd_request *request, const struct rd_redis_multi *multi)
{
    size_t change = 0;
    size_t look = 0;
    bool writes = multi->change_count != 0;
    for (const struct rd_request *part = multi->first; part != NULL; part = part->next) {
        size_t changes;
        size_t looks;
        rd_redis_answer_share(part, &changes, &looks);
        if (writes) {
            copy_changes(part, changes, request->items + change, request->changes + change);
            copy_looks(part, looks, request->looks + look);
        } else {
            for (size_t i = 0; i < looks; i++)
                request->items[look + i] =
                    (struct rd_message_item){.key = *key_of(part, i), .key_only = is_key_only(part, i)};
        }
        request->creates_store |= part->creates_store;
        change += changes;
        look += looks;
    }
    request->look_count = writes ? look : 0;
}

static void exec(struct rd_redis_ask *ask, struct rd_redis_multi *multi)
{
    struct rd_request *request = ask->request;
    struct rd_redis_state *state = ask->state;
    if (state->watched != NULL && !rd_slice_equal(rd_guards_store(state->watched), request->store)) {
        rd_redis_ask_refuse(ask,
                            "EXECABORT Transaction discarded because the keys that are watched are of another "
                            "database");
        return;
    }
    if (!check_reads(ask, multi) || !make_room(ask, multi))
        return;
    merge(request, multi);
    request->guards = state->watched;
    state->watched = NULL;
    if (multi->change_count != 0)
        rd_redis_ask_operation(ask, RD_OPCODE_TRANSACTION, RD_REDIS_EXEC);
    else if (multi->look_count != 0 || request->guards != NULL)
        rd_redis_ask_operation(ask, RD_OPCODE_BATCH_READ, RD_REDIS_EXEC);
    else
        rd_redis_ask_operation(ask, RD_OPCODE_PING, RD_REDIS_EXEC);
    request->parts = multi->first;
    request->body_len += multi->len;
    multi->first = NULL;
}

void rd_redis_parse_exec(struct rd_redis_ask *ask)
{
    struct rd_redis_multi *multi = &ask->state->multi;
    if (!multi->open) {
        rd_redis_ask_refuse(ask, "ERR EXEC without MULTI");
        return;
    }
    if (multi->broken)
        rd_redis_ask_refuse(ask, "EXECABORT Transaction discarded because of previous errors.");
    else
        exec(ask, multi);
    rd_redis_multi_reset(multi);
    rd_redis_multi_unwatch(ask->state);
}

/* ---- the others -------------------------------------------------------------------------------------------- */

void rd_redis_parse_multi(struct rd_redis_ask *ask)
{
    if (ask->state->multi.open) {
        rd_redis_ask_refuse(ask, "ERR MULTI calls can not be nested");
        return;
    }
    ask->state->multi.open = true;
    rd_redis_ask_reply(ask, "+OK\r\n");
}

void rd_redis_parse_discard(struct rd_redis_ask *ask)
{
    if (!ask->state->multi.open) {
        rd_redis_ask_refuse(ask, "ERR DISCARD without MULTI");
        return;
    }
    rd_redis_multi_reset(&ask->state->multi);
    rd_redis_multi_unwatch(ask->state);
    rd_redis_ask_reply(ask, "+OK\r\n");
}

static bool may_watch(struct rd_redis_ask *ask)
{
    const struct rd_guards *watched = ask->state->watched;
    const struct rd_limits *limits = &ask->state->limits;
    size_t count = watched == NULL ? 0 : watched->count;
    size_t len = watched == NULL ? 0 : watched->len;
    if (ask->state->multi.open)
        rd_redis_ask_refuse(ask, "ERR WATCH inside MULTI is not allowed");
    else if (watched != NULL && !rd_slice_equal(rd_guards_store(watched), ask->request->store))
        rd_redis_ask_refuse(ask,
                            "ERR the keys that are watched already are of another database, and all must be of "
                            "one");
    else if (count + ask->arg_count - 1 > limits->batch_count_max ||
             len + ask->request->body_len > limits->body_len_max)
        rd_redis_ask_refuse(ask, "ERR more keys would be watched than this server takes");
    else
        return true;
    return false;
}

void rd_redis_parse_watch(struct rd_redis_ask *ask)
{
    struct rd_redis_state *state = ask->state;
    struct rd_message_key key;
    if (!may_watch(ask))
        return;
    for (size_t i = 1; i < ask->arg_count; i++)
        if (!rd_redis_ask_key(ask, i, &key))
            return;
    if (!rd_redis_ask_keep(ask, ask->request->body_len + (ask->arg_count - 1) * sizeof(struct rd_guard)))
        return;
    if (state->watched == NULL)
        state->watched = rd_guards_create(ask->request->store);
    bool added = state->watched != NULL;
    size_t first = added ? state->watched->count : 0;
    for (size_t i = 1; i < ask->arg_count && added; i++)
        added = rd_guards_add(state->watched, rd_redis_ask_arg(ask, i));
    if (!added) {
        rd_redis_ask_refuse_for_memory(ask);
        return;
    }
    ask->request->guards = rd_guards_ref(state->watched);
    ask->request->guard_first = first;
    ask->request->guard_count = ask->arg_count - 1;
}

/* Queued, it comes too late to have an effect: EXEC has judged what is watched by then. */
void rd_redis_parse_unwatch(struct rd_redis_ask *ask)
{
    if (!ask->state->multi.open)
        rd_redis_multi_unwatch(ask->state);
    rd_redis_ask_reply(ask, "+OK\r\n");
}
