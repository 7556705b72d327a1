/* SPDX-License-Identifier: MIT
 *
 * convert.c - the public types to messages and back, and the functions that free results. Values are not copied: a
 * result takes over the memory that the answer was received into.
 */
#include "clients/c/convert.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "protocol/wire.h"

/* The public headers stand alone, so they say these again. */
#define SAME(name)                                                                                                \
    static_assert((int)RDRIVE_##name == (int)RD_##name, "rdrive_types.h and base/status.h agree on " #name)
SAME(OK);
SAME(INVALID_ARGUMENT);
SAME(UNAUTHORIZED);
SAME(FORBIDDEN);
SAME(KEY_NOT_FOUND);
SAME(STORE_NOT_FOUND);
SAME(TIMEOUT);
SAME(CONFLICT);
SAME(KEY_COLLISION);
SAME(PRECONDITION_FAILED);
SAME(TOO_LARGE);
SAME(RANGE_NOT_SATISFIABLE);
SAME(OVERLOADED);
SAME(IO_ERROR);
SAME(CORRUPT);
SAME(UNAVAILABLE);
SAME(NO_SPACE);
SAME(UNSUPPORTED);
SAME(NO_MEMORY);
SAME(NOT_A_STORE);
#undef SAME
#define SAME(ours, theirs) static_assert((int)RDRIVE_##ours == (int)RD_MESSAGE_##theirs, "the same numbers")
SAME(DURABILITY_SYNC, DURABILITY_SYNC);
SAME(DURABILITY_INTERVAL, DURABILITY_INTERVAL);
SAME(DURABILITY_NONE, DURABILITY_NONE);
SAME(IF_ANYTHING, IF_ANYTHING);
SAME(IF_ABSENT, IF_ABSENT);
SAME(IF_PRESENT, IF_PRESENT);
SAME(IF_VERSION, IF_VERSION);
SAME(RANGE_ALL, RANGE_NONE);
SAME(RANGE_FROM, RANGE_FROM);
SAME(RANGE_SUFFIX, RANGE_SUFFIX);
SAME(PROBLEM_PAYLOAD, PROBLEM_PAYLOAD);
SAME(PROBLEM_PAD, PROBLEM_PAD);
SAME(PROBLEM_BATCH, PROBLEM_BATCH);
SAME(PROBLEM_CHAIN, PROBLEM_CHAIN);

const char *rdrive_status_name(enum rdrive_status status)
{
    if (status == RDRIVE_CONNECTION_LOST)
        return "connection_lost";
    return status == RDRIVE_ABORTED ? "aborted" : rd_status_name((enum rd_status)status);
}

/* ---- to messages ------------------------------------------------------------------------------------------ */

struct rd_message_key rd_convert_key(struct rdrive_key key)
{
    return (struct rd_message_key){.bytes = {.data = key.data, .len = key.len}, .hash = key.hash};
}

struct rd_message_condition rd_convert_condition(struct rdrive_condition condition)
{
    return (struct rd_message_condition){.kind = (enum rd_message_condition_kind)condition.kind,
                                         .offset = condition.offset,
                                         .crc32 = condition.crc32};
}

struct rd_message_range rd_convert_range(struct rdrive_range range)
{
    return (struct rd_message_range){
        .kind = (enum rd_message_range_kind)range.kind, .first = range.first, .len = range.len};
}

static bool make_items(size_t count, struct rd_request *request)
{
    request->items = calloc(count != 0 ? count : 1, sizeof *request->items);
    if (request->items == NULL)
        return false;
    request->item_count = count;
    return true;
}

bool rd_convert_keys(const struct rdrive_key *keys, size_t count, struct rd_request *request)
{
    if (!make_items(count, request))
        return false;
    for (size_t i = 0; i < count; i++)
        request->items[i].key = rd_convert_key(keys[i]);
    return true;
}

bool rd_convert_entries(const struct rdrive_entry *entries, size_t count, struct rd_request *request)
{
    if (!make_items(count, request))
        return false;
    for (size_t i = 0; i < count; i++) {
        request->items[i].key = rd_convert_key(entries[i].key);
        request->items[i].value = rd_slice(entries[i].value, entries[i].value_len);
    }
    return true;
}

/* ---- from messages ---------------------------------------------------------------------------------------- */

void rd_convert_to_written(const struct rd_response *response, struct rdrive_written *ret_written)
{
    *ret_written = (struct rdrive_written){
        .offset = response->offset,
        .tail = response->tail,
        .count = response->count,
        .key_hash = response->key_hash,
        .crc32 = response->crc32,
        .replaced = response->replaced,
        .durability = (enum rdrive_durability)response->durability,
        .durability_interval_ms = response->durability_interval_ms,
    };
}

void rd_convert_to_moved(const struct rd_response *response, struct rdrive_moved *ret_moved)
{
    *ret_moved = (struct rdrive_moved){.target_offset = response->target_offset,
                                       .target_tail = response->target_tail,
                                       .source_tail = response->source_tail};
}

void rd_convert_to_metadata(const struct rd_response *response, struct rdrive_metadata *ret_metadata)
{
    *ret_metadata = (struct rdrive_metadata){
        .key_hash = response->key_hash,
        .offset = response->offset,
        .len = response->value_len,
        .prev_tail = response->prev_tail,
        .crc32 = response->crc32,
    };
}

void rd_convert_to_part(const struct rd_response *response, struct rdrive_part *ret_part)
{
    rd_convert_to_metadata(response, &ret_part->metadata);
    ret_part->first = response->range_first;
    ret_part->len = response->value.len;
}

void rd_convert_to_backup(const struct rd_response *response, struct rdrive_backup *ret_backup)
{
    *ret_backup = (struct rdrive_backup){.generation = response->generation,
                                         .tail = response->tail,
                                         .first = response->range_first,
                                         .len = response->value.len};
}

/* Copies what fits; the rest of a text that is too long is of no use to a reader. */
static void copy_text(struct rd_slice text, char *to, size_t to_len)
{
    size_t len = text.len < to_len ? text.len : to_len - 1;
    if (len != 0)
        memcpy(to, text.data, len);
    to[len] = '\0';
}

void rd_convert_to_info(const struct rd_response_store *store, struct rdrive_store_info *ret_info)
{
    *ret_info = (struct rdrive_store_info){
        .entries = store->entries,
        .tail = store->tail,
        .file_size = store->file_size,
        .dead_bytes = store->dead_bytes,
        .durability = (enum rdrive_durability)store->durability,
        .durability_interval_ms = store->durability_interval_ms,
        .state = (enum rdrive_store_state)store->state,
        .generation = store->generation,
        .batch_marker = store->batch_marker,
        .quota_bytes = store->quota_bytes,
        .quota_entries = store->quota_entries,
        .read_only = store->writes_barred,
        .compacting = store->compacting,
    };
    copy_text(store->name, ret_info->name, sizeof ret_info->name);
    copy_text(store->reason, ret_info->reason, sizeof ret_info->reason);
}

void rd_convert_to_value(const struct rd_response *response, uint8_t *memory, struct rdrive_value *ret_value)
{
    *ret_value = (struct rdrive_value){
        .data = response->value.data,
        .len = response->value.len,
        .offset = response->offset,
        .crc32 = response->crc32,
        .key_hash = response->key_hash,
        .prev_tail = response->prev_tail,
        .memory = memory,
    };
}

void rd_convert_to_text(const struct rd_response *response, uint8_t *memory, struct rdrive_value *ret_text)
{
    *ret_text = (struct rdrive_value){.data = response->value.data, .len = response->value.len, .memory = memory};
}

bool rd_convert_to_values(const struct rd_response *response, uint8_t *memory, struct rdrive_values *ret_values)
{
    size_t count = response->item_count;
    struct rdrive_value *items = calloc(count != 0 ? count : 1, sizeof *items);
    if (items == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        items[i] = (struct rdrive_value){
            .status = (enum rdrive_status)response->items[i].status,
            .data = response->items[i].value.data,
            .len = response->items[i].value.len,
            .offset = response->items[i].offset,
            .crc32 = response->items[i].crc32,
        };
    *ret_values = (struct rdrive_values){.items = items, .count = count, .memory = memory};
    return true;
}

bool rd_convert_to_entries(const struct rd_response *response, struct rdrive_entries *ret_entries)
{
    size_t count = response->item_count;
    struct rdrive_metadata *items = calloc(count != 0 ? count : 1, sizeof *items);
    if (items == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        items[i] = (struct rdrive_metadata){
            .key_hash = response->items[i].key_hash,
            .offset = response->items[i].offset,
            .len = response->items[i].len,
            .crc32 = response->items[i].crc32,
        };
    *ret_entries = (struct rdrive_entries){.items = items, .count = count};
    return true;
}

bool rd_convert_to_stores(const struct rd_response *response, struct rdrive_stores *ret_stores)
{
    size_t count = response->store_count;
    struct rdrive_store_info *items = calloc(count != 0 ? count : 1, sizeof *items);
    if (items == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        rd_convert_to_info(&response->stores[i], &items[i]);
    *ret_stores = (struct rdrive_stores){.items = items, .count = count};
    return true;
}

void rd_convert_to_compaction(const struct rd_response *response, struct rdrive_compaction *ret_compaction)
{
    const struct rd_response_compaction *done = &response->compaction;
    *ret_compaction = (struct rdrive_compaction){
        .tail_before = done->tail_before,
        .tail = done->tail,
        .entries = done->entries,
        .reclaimed_bytes = done->tail < done->tail_before ? done->tail_before - done->tail : 0,
        .generation = done->generation,
        .pause_us = done->pause_us,
    };
}

bool rd_convert_to_verification(const struct rd_response *response, struct rdrive_verification *ret_verification)
{
    const struct rd_response_verification *found = &response->verification;
    size_t count = found->listed_count;
    struct rdrive_problem *problems = calloc(count != 0 ? count : 1, sizeof *problems);
    if (problems == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        problems[i] = (struct rdrive_problem){
            .kind = (enum rdrive_problem_kind)found->problems[i].kind,
            .live = found->problems[i].live,
            .offset = found->problems[i].offset,
            .len = found->problems[i].len,
            .key_hash = found->problems[i].key_hash,
        };
    *ret_verification = (struct rdrive_verification){
        .from = found->from,
        .next = found->next,
        .entries = found->entries,
        .bytes = found->bytes,
        .problem_count = found->problem_count,
        .problems = problems,
        .listed_count = count,
    };
    return true;
}

/* ---- freeing ---------------------------------------------------------------------------------------------- */

void rdrive_value_free(struct rdrive_value *value)
{
    free(value->memory);
    *value = (struct rdrive_value){.data = NULL};
}

void rdrive_values_free(struct rdrive_values *values)
{
    free(values->items);
    free(values->memory);
    *values = (struct rdrive_values){.items = NULL};
}

void rdrive_entries_free(struct rdrive_entries *entries)
{
    free(entries->items);
    *entries = (struct rdrive_entries){.items = NULL};
}

void rdrive_stores_free(struct rdrive_stores *stores)
{
    free(stores->items);
    *stores = (struct rdrive_stores){.items = NULL};
}

/* What was counted stays, so that a loop of steps can free first and then look where to go on. */
void rdrive_verification_free(struct rdrive_verification *verification)
{
    free(verification->problems);
    verification->problems = NULL;
    verification->listed_count = 0;
}

bool rd_convert_token_is_good(const char *token)
{
    return token == NULL || (token[0] != '\0' && strlen(token) <= RD_WIRE_TOKEN_LEN_MAX);
}

bool rd_convert_socket_path_is_good(const char *path)
{
    size_t len = strlen(path);
    return len != 0 && len < sizeof((struct sockaddr_un){.sun_family = 0}).sun_path;
}

void rd_convert_forget_token(char *token)
{
    if (token != NULL)
        explicit_bzero(token, strlen(token));
    free(token);
}
