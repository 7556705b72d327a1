/* SPDX-License-Identifier: MIT
 *
 * offline.c - commands carried out on a store's file, through engine.h, without a server. Commands that read open
 * the file read-only and change nothing about it.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "clients/cli/backend.h"
#include "clients/cli/companion.h"
#include "clients/cli/newfile.h"
#include "clients/cli/owner.h"
#include "engine/engine.h"

#define STEP_LEN      (64u << 10)
#define AHEAD_LEN     (4u << 20) /* asked for before it is read from the map */
#define VERIFY_BYTES  (UINT64_C(64) << 20)
#define ITERATE_LIMIT 10000u /* rows at a time where the request names no number */

static_assert((int)RD_DURABILITY_SYNC == (int)RD_MESSAGE_DURABILITY_SYNC, "the same numbers");
static_assert((int)RD_DURABILITY_INTERVAL == (int)RD_MESSAGE_DURABILITY_INTERVAL, "the same numbers");
static_assert((int)RD_DURABILITY_NONE == (int)RD_MESSAGE_DURABILITY_NONE, "the same numbers");

struct offline {
    struct rd_backend backend; /* first, so that one pointer is both */
    struct rd_store *store;    /* owned */
    const char *file_path;     /* borrows from the command line */
    struct rd_owner owner;     /* of it */
    const char *target_path;   /* copy, transfer; borrows from the command line */
    struct rd_error error;     /* of the operation under way, where it knows more than its status */
    struct rd_slice name;      /* of the file, without folder and .rdr; borrows from the command line */

    /* the last answer's; owned */
    struct rd_value *values;
    size_t value_count;
    struct rd_response_item *items;
    struct rd_store_info info;
    struct rd_response_store row;
    struct rd_verification step;
    struct rd_response_problem problems[RD_PROBLEMS_MAX];
};

static void forget(struct offline *offline)
{
    rd_values_release(offline->values, offline->value_count);
    free(offline->values);
    free(offline->items);
    offline->values = NULL;
    offline->value_count = 0;
    offline->items = NULL;
    offline->error = (struct rd_error){.status = RD_OK};
}

static bool make_values(struct offline *offline, size_t count)
{
    offline->values = calloc(count + 1, sizeof *offline->values);
    if (offline->values == NULL)
        return false;
    offline->value_count = count;
    return true;
}

static struct rd_key key_of(const struct rd_message_key *key)
{
    return key->bytes.data == NULL ? rd_key_of_hash(key->hash) : rd_key_of_bytes(key->bytes);
}

static struct rd_condition condition_of(struct rd_message_condition condition)
{
    return (struct rd_condition){
        .kind = (enum rd_condition_kind)condition.kind, .offset = condition.offset, .crc32 = condition.crc32};
}

/* What the engine's blocking calls tell by a status alone, in words. */
static const char *explain(enum rd_status status)
{
    switch (status) {
    case RD_KEY_NOT_FOUND:
        return "no such key in the file";
    case RD_CORRUPT:
        return "the stored bytes do not match their checksum";
    case RD_INVALID_ARGUMENT:
        return "no value is empty or exactly one zero byte, and the engine's own key hash is nobody's";
    case RD_UNAVAILABLE:
        return "the store is read-only: see info";
    case RD_IO_ERROR:
        return "the file cannot be read or written";
    case RD_NO_SPACE:
        return "there is no room for it: the file system is full, or the store's quota is used up";
    case RD_FORBIDDEN:
        return "the store's settings take no writes";
    case RD_CONFLICT:
        return "source and target are one key or one store, or the source has changed";
    case RD_PRECONDITION_FAILED:
        return "the condition does not hold; nothing has changed";
    case RD_RANGE_NOT_SATISFIABLE:
        return "the range begins behind the value's end";
    default:
        return rd_status_name(status);
    }
}

/* A quota and the store's settings are not the disk's fault. */
static enum rd_status fail_op(struct offline *offline, const struct rd_op *op, enum rd_status status)
{
    static const char *const bars[] = {
        [RD_BAR_WRITES] = "the store's settings take no writes",
        [RD_BAR_BYTES] = "the store's quota of bytes is used up",
        [RD_BAR_ENTRIES] = "the store's quota of entries is used up",
    };
    if (op->bar != RD_BAR_NONE)
        return rd_error_set(&offline->error, status, 0, "%s", bars[op->bar]);
    if (op->os_errno != 0)
        return rd_error_set(&offline->error, status, op->os_errno, "the file cannot be written");
    return status;
}

/* What any operation that writes has in common: op has its kind and whatever is its own. */
static enum rd_status run_op(struct offline *offline, const struct rd_request *request,
                             const struct rd_entry *entries, size_t entry_count, struct rd_op *op,
                             struct rd_response *response)
{
    op->entries = entries;
    op->entry_count = entry_count;
    op->durability = (enum rd_durability)request->durability;
    op->condition = condition_of(request->condition);
    op->target_condition = condition_of(request->target_condition);
    enum rd_status status = rd_store_execute(offline->store, op);
    if (status != RD_OK)
        return fail_op(offline, op, status);
    response->offset = op->offset;
    response->tail = op->tail;
    response->count = op->count;
    response->found = op->count != 0;
    response->crc32 = op->crc32;
    response->replaced = op->replaced;
    return RD_OK;
}

static enum rd_status do_write(struct offline *offline, const struct rd_request *request,
                               struct rd_response *response)
{
    struct rd_entry entry = {.key = key_of(&request->key), .payload = request->value};
    struct rd_op op = {.kind = RD_OP_WRITE};
    response->key_hash = entry.key.hash;
    return run_op(offline, request, &entry, 1, &op, response);
}

static enum rd_status do_delete(struct offline *offline, const struct rd_request *request,
                                struct rd_response *response)
{
    struct rd_entry entry = {.key = key_of(&request->key)};
    struct rd_op op = {.kind = RD_OP_DELETE};
    return run_op(offline, request, &entry, 1, &op, response);
}

static enum rd_status do_rename(struct offline *offline, const struct rd_request *request,
                                struct rd_response *response)
{
    struct rd_entry entries[2] = {{.key = key_of(&request->key)}, {.key = key_of(&request->target_key)}};
    struct rd_op op = {.kind = RD_OP_RENAME};
    response->key_hash = entries[1].key.hash;
    return run_op(offline, request, entries, 2, &op, response);
}

/* As its settings say, but for its durability. */
static enum rd_status open_store(const char *path, const struct rd_json_settings *settings,
                                 struct rd_store_options *options, struct rd_store **ret_store,
                                 struct rd_error *ret_error)
{
    options->batch_marker_off = settings->batch_marker_off;
    enum rd_status status = rd_store_open(path, options, ret_store, ret_error);
    if (status == RD_OK)
        rd_store_tune(*ret_store, &(struct rd_store_tuning){.durability = options->durability,
                                                            .quota_bytes = settings->quota_bytes,
                                                            .quota_entries = settings->quota_entries,
                                                            .writes_barred = settings->read_only});
    return status;
}

/* Whatever their names: the store is open, and opening its file once more would only tell that it is. */
static bool are_one_file(const char *a, const char *b)
{
    struct stat one;
    struct stat other;
    return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

/* copy and transfer; the target is another file. */
static enum rd_status do_move(struct offline *offline, const struct rd_request *request,
                              struct rd_response *response)
{
    struct rd_key key = key_of(&request->key);
    struct rd_value value;
    if (are_one_file(offline->file_path, offline->target_path))
        return rd_error_set(&offline->error, RD_CONFLICT, 0, "source and target are the same store, %s",
                            offline->target_path);
    enum rd_status status = rd_store_find(offline->store, key, &value);
    if (status != RD_OK)
        return status; /* before a store is made for it */
    rd_value_release(&value);
    struct rd_store_options options = {.create = true};
    struct rd_json_settings settings = rd_companion_load(offline->target_path);
    struct rd_store *target = NULL;
    struct rd_owner owner = rd_owner_of(offline->target_path);
    bool made_file = rd_newfile_make(offline->target_path);
    struct rd_moved moved = {.source_tail = 0};
    status = open_store(offline->target_path, &settings, &options, &target, &offline->error);
    if (status == RD_OK)
        status = request->opcode == RD_OPCODE_COPY ? rd_store_copy(offline->store, key, target, &moved)
                                                   : rd_store_transfer(offline->store, key, target, &moved);
    rd_store_close(target);
    if (made_file && status != RD_OK)
        rd_newfile_take_back(offline->target_path);
    rd_owner_give(&owner, offline->target_path);
    response->target_offset = moved.target.offset;
    response->target_tail = moved.target.tail;
    response->source_tail = moved.source_tail;
    return status;
}

static enum rd_status do_batch(struct offline *offline, const struct rd_request *request,
                               struct rd_response *response)
{
    size_t count = request->item_count;
    struct rd_entry *entries = calloc(count + 1, sizeof *entries);
    if (entries == NULL)
        return RD_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        entries[i] = (struct rd_entry){.key = key_of(&request->items[i].key), .payload = request->items[i].value};
    struct rd_op op = {.kind = request->opcode == RD_OPCODE_BATCH_WRITE ? RD_OP_BATCH_WRITE : RD_OP_BATCH_DELETE,
                       .allow_null_bytes = request->allow_null_bytes};
    enum rd_status status = run_op(offline, request, entries, count, &op, response);
    free(entries);
    return status;
}

/* NULL: no memory. To be freed by the caller. */
static struct rd_key *keys_of(const struct rd_request *request)
{
    struct rd_key *keys = calloc(request->item_count + 1, sizeof *keys);
    for (size_t i = 0; keys != NULL && i < request->item_count; i++)
        keys[i] = key_of(&request->items[i].key);
    return keys;
}

static enum rd_status set_value(enum rd_status status, const struct rd_value *value, struct rd_response *response)
{
    if (status != RD_OK)
        return status;
    response->value_len = value->payload.len;
    response->offset = value->offset;
    response->prev_tail = value->prev_tail;
    response->key_hash = value->key_hash;
    response->crc32 = value->crc32;
    return RD_OK;
}

static enum rd_status do_metadata(struct offline *offline, const struct rd_request *request,
                                  struct rd_response *response)
{
    if (!make_values(offline, 1))
        return RD_NO_MEMORY;
    enum rd_status status = rd_store_find(offline->store, key_of(&request->key), &offline->values[0]);
    return set_value(status, &offline->values[0], response);
}

static enum rd_status do_last(struct offline *offline, const struct rd_request *request,
                              struct rd_response *response)
{
    (void)request;
    if (!make_values(offline, 1))
        return RD_NO_MEMORY;
    return set_value(rd_store_read_last_entry(offline->store, &offline->values[0]), &offline->values[0], response);
}

static enum rd_status do_exists(struct offline *offline, const struct rd_request *request,
                                struct rd_response *response)
{
    response->found = rd_store_exists(offline->store, key_of(&request->key));
    return RD_OK;
}

static struct rd_response_item item_of(enum rd_status status, const struct rd_value *value)
{
    return (struct rd_response_item){
        .status = status,
        .key_hash = value->key_hash,
        .offset = value->offset,
        .len = value->payload.len,
        .crc32 = value->crc32,
        .value = value->payload,
    };
}

static enum rd_status do_batch_read(struct offline *offline, const struct rd_request *request,
                                    struct rd_response *response)
{
    size_t count = request->item_count;
    struct rd_key *keys = keys_of(request);
    enum rd_status *statuses = calloc(count + 1, sizeof *statuses);
    offline->items = calloc(count + 1, sizeof *offline->items);
    enum rd_status status = RD_NO_MEMORY;
    if (keys == NULL || statuses == NULL || offline->items == NULL || !make_values(offline, count))
        goto done;
    rd_store_batch_read(offline->store, keys, count, offline->values, statuses);
    for (size_t i = 0; i < count; i++)
        offline->items[i] = item_of(statuses[i], &offline->values[i]);
    response->items = offline->items;
    response->item_count = count;
    status = RD_OK;
done:
    free(statuses);
    free(keys);
    return status;
}

static enum rd_status do_iterate(struct offline *offline, const struct rd_request *request,
                                 struct rd_response *response)
{
    size_t limit = request->limit != 0 ? request->limit : ITERATE_LIMIT;
    offline->items = calloc(limit, sizeof *offline->items);
    struct rd_cursor *cursor = NULL;
    if (offline->items == NULL)
        return RD_NO_MEMORY;
    enum rd_status status = rd_cursor_open(offline->store, request->after_offset, &cursor);
    if (status != RD_OK)
        return status;
    size_t count = 0;
    struct rd_value value;
    while (count < limit && rd_cursor_next(cursor, &value)) {
        offline->items[count] = item_of(RD_OK, &value);
        offline->items[count].value = rd_slice(NULL, 0); /* it goes with the cursor */
        count++;
    }
    status = rd_cursor_status(cursor);
    rd_cursor_close(cursor);
    response->items = offline->items;
    response->item_count = count;
    return status;
}

/* create as well: the file was made when it was opened. */
static enum rd_status do_info(struct offline *offline, const struct rd_request *request,
                              struct rd_response *response)
{
    (void)request;
    rd_store_info(offline->store, &offline->info);
    const struct rd_store_info *info = &offline->info;
    bool is_open = info->state == RD_STORE_OPEN;
    offline->row = (struct rd_response_store){
        .name = offline->name,
        .entries = info->entries,
        .tail = info->tail,
        .file_size = info->file_size,
        .dead_bytes = info->dead_bytes,
        .durability = (enum rd_message_durability)info->durability,
        .durability_interval_ms = info->durability_interval_ms,
        .state = is_open ? RD_MESSAGE_STORE_OPEN : RD_MESSAGE_STORE_READ_ONLY,
        .reason = rd_slice_of_string(info->reason),
        .generation = info->generation,
        .batch_marker = info->batch_marker,
        .quota_bytes = info->quota_bytes,
        .quota_entries = info->quota_entries,
        .writes_barred = info->writes_barred,
    };
    response->stores = &offline->row;
    response->store_count = 1;
    return RD_OK;
}

static struct rd_response_problem problem_of(const struct rd_problem *problem)
{
    static const enum rd_message_problem_kind kinds[] = {
        [RD_PROBLEM_PAYLOAD] = RD_MESSAGE_PROBLEM_PAYLOAD,
        [RD_PROBLEM_PAD] = RD_MESSAGE_PROBLEM_PAD,
        [RD_PROBLEM_BATCH] = RD_MESSAGE_PROBLEM_BATCH,
        [RD_PROBLEM_CHAIN] = RD_MESSAGE_PROBLEM_CHAIN,
    };
    return (struct rd_response_problem){.kind = kinds[problem->kind],
                                        .live = problem->live,
                                        .offset = problem->offset,
                                        .len = problem->len,
                                        .key_hash = problem->key_hash};
}

/* Where a step finds more than it can list, a shorter one is made of it. */
static enum rd_status do_verify(struct offline *offline, const struct rd_request *request,
                                struct rd_response *response)
{
    struct rd_verification *step = &offline->step;
    uint64_t bytes_max = request->verify_bytes_max != 0 ? request->verify_bytes_max : VERIFY_BYTES;
    step->from = request->verify_from;
    do {
        enum rd_status status = rd_store_verify(offline->store, step->from, bytes_max, step);
        if (status != RD_OK)
            return status;
        bytes_max /= 2;
    } while (step->problem_count > RD_PROBLEMS_MAX && bytes_max != 0);
    size_t count = step->problem_count < RD_PROBLEMS_MAX ? (size_t)step->problem_count : RD_PROBLEMS_MAX;
    for (size_t i = 0; i < count; i++)
        offline->problems[i] = problem_of(&step->problems[i]);
    response->verification = (struct rd_response_verification){
        .from = step->from,
        .next = step->next,
        .entries = step->entries,
        .bytes = step->bytes,
        .problem_count = step->problem_count,
        .problems = offline->problems,
        .listed_count = count,
    };
    return RD_OK;
}

static enum rd_status do_compact(struct offline *offline, const struct rd_request *request,
                                 struct rd_response *response)
{
    (void)request;
    struct rd_compacted done;
    enum rd_status status = rd_store_compact(offline->store, &done, &offline->error);
    if (status == RD_OK)
        response->compaction = (struct rd_response_compaction){.tail_before = done.tail_before,
                                                               .tail = done.tail,
                                                               .entries = done.entries,
                                                               .generation = done.generation,
                                                               .pause_us = done.pause_us};
    return status;
}

typedef enum rd_status do_function(struct offline *offline, const struct rd_request *request,
                                   struct rd_response *response);
/* NULL: needs a server. */
static do_function *const doers[] = {
    [RD_OPCODE_WRITE] = do_write,        [RD_OPCODE_BATCH_WRITE] = do_batch,
    [RD_OPCODE_RENAME] = do_rename,      [RD_OPCODE_COPY] = do_move,
    [RD_OPCODE_TRANSFER] = do_move,      [RD_OPCODE_DELETE] = do_delete,
    [RD_OPCODE_BATCH_DELETE] = do_batch, [RD_OPCODE_BATCH_READ] = do_batch_read,
    [RD_OPCODE_EXISTS] = do_exists,      [RD_OPCODE_METADATA] = do_metadata,
    [RD_OPCODE_LAST] = do_last,          [RD_OPCODE_ITERATE] = do_iterate,
    [RD_OPCODE_CREATE] = do_info,        [RD_OPCODE_INFO] = do_info,
    [RD_OPCODE_VERIFY] = do_verify,      [RD_OPCODE_COMPACT] = do_compact,
};

static enum rd_status give_answer(const struct offline *offline, enum rd_status status,
                                  const struct rd_response *response, struct rd_response *ret_response,
                                  struct rd_error *ret_error)
{
    if (status != RD_OK && offline->error.status == status)
        return rd_error_set(ret_error, status, 0, "%s", offline->error.message); /* errno is in it */
    if (status != RD_OK)
        return rd_error_set(ret_error, status, 0, "%s", explain(status));
    *ret_response = *response;
    return RD_OK;
}

static enum rd_status execute(struct rd_backend *backend, const struct rd_request *request,
                              struct rd_response *ret_response, struct rd_error *ret_error)
{
    struct offline *offline = (struct offline *)backend;
    size_t opcode = (size_t)request->opcode;
    forget(offline);
    if (opcode >= sizeof doers / sizeof doers[0] || doers[opcode] == NULL)
        return rd_error_set(ret_error, RD_UNSUPPORTED, 0, "this command needs a server");
    struct rd_response response = {.status = RD_OK};
    return give_answer(offline, doers[opcode](offline, request, &response), &response, ret_response, ret_error);
}

/* ---- streams ---------------------------------------------------------------------------------------------- */

static enum rd_status fill_spool(struct rd_spool *spool, rd_source_function *source, void *context,
                                 struct offline *offline)
{
    static uint8_t step[STEP_LEN];
    for (;;) {
        int64_t got = source(context, step, sizeof step);
        if (got == 0)
            return RD_OK;
        if (got < 0 || (uint64_t)got > sizeof step)
            return rd_error_set(&offline->error, RD_IO_ERROR, 0,
                                "the source of the value failed; nothing was stored");
        enum rd_status status = rd_spool_append(spool, rd_slice(step, (size_t)got));
        if (status != RD_OK)
            return status;
    }
}

static enum rd_status write_stream(struct rd_backend *backend, const struct rd_request *request,
                                   rd_source_function *source, void *context, struct rd_response *ret_response,
                                   struct rd_error *ret_error)
{
    struct offline *offline = (struct offline *)backend;
    forget(offline);
    struct rd_spool *spool = NULL;
    struct rd_response response = {.status = RD_OK};
    enum rd_status status = rd_spool_create(offline->store, &spool);
    if (status == RD_OK)
        status = fill_spool(spool, source, context, offline);
    if (status == RD_OK) {
        struct rd_entry entry = {.key = key_of(&request->key)};
        struct rd_op op = {.kind = RD_OP_STREAM, .spool = spool};
        response.key_hash = entry.key.hash;
        status = run_op(offline, request, &entry, 1, &op, &response);
    }
    rd_spool_destroy(spool);
    return give_answer(offline, status, &response, ret_response, ret_error);
}

/* The bytes that a range asks for. False: it begins behind the end. */
static bool cut_range(struct rd_message_range range, struct rd_slice *value, uint64_t *ret_first)
{
    uint64_t first = 0;
    uint64_t len = value->len;
    if (range.kind == RD_MESSAGE_RANGE_FROM) {
        first = range.first;
        len = range.len;
    } else if (range.kind == RD_MESSAGE_RANGE_SUFFIX) {
        len = range.len < value->len ? range.len : value->len;
        first = value->len - len;
    }
    if (first >= value->len || len == 0)
        return false;
    (void)rd_slice_take(value, (size_t)first);
    if (len < value->len)
        value->len = (size_t)len;
    *ret_first = first;
    return true;
}

/* That piece of the value's payload. Where the file cannot be read zeros stand in its place: those of a step that
 * was fetched are not passed on, and one that is lost after that is still told of. */
static enum rd_status pass_on(struct offline *offline, const struct rd_value *value, struct rd_slice left,
                              rd_sink_function *sink, void *context)
{
    uint64_t total_len = left.len;
    while (left.len != 0) {
        rd_value_fetch(value, (uint64_t)(left.data - value->payload.data), STEP_LEN, AHEAD_LEN);
        struct rd_slice step = rd_slice_take(&left, STEP_LEN);
        if (rd_value_is_lost(value))
            return RD_IO_ERROR;
        if (!sink(context, step.data, step.len, total_len))
            return rd_error_set(&offline->error, RD_IO_ERROR, 0, "not all of it was taken");
    }
    return rd_value_is_lost(value) ? RD_IO_ERROR : RD_OK;
}

static enum rd_status read_stream(struct rd_backend *backend, const struct rd_request *request,
                                  rd_sink_function *sink, void *context, struct rd_response *ret_response,
                                  struct rd_error *ret_error)
{
    struct offline *offline = (struct offline *)backend;
    struct rd_response response = {.status = RD_OK};
    forget(offline);
    enum rd_status status = RD_NO_MEMORY;
    if (make_values(offline, 1))
        status = rd_store_read(offline->store, key_of(&request->key), &offline->values[0]);
    struct rd_slice left = status == RD_OK ? offline->values[0].payload : rd_slice(NULL, 0);
    status = set_value(status, &offline->values[0], &response);
    if (status == RD_OK && !cut_range(request->range, &left, &response.range_first))
        status = RD_RANGE_NOT_SATISFIABLE;
    if (status == RD_OK)
        status = pass_on(offline, &offline->values[0], left, sink, context);
    return give_answer(offline, status, &response, ret_response, ret_error);
}

static enum rd_status take_backup(struct rd_backend *backend, const struct rd_request *request,
                                  rd_sink_function *sink, void *context, struct rd_response *ret_response,
                                  struct rd_error *ret_error)
{
    struct offline *offline = (struct offline *)backend;
    struct rd_backup backup;
    forget(offline);
    rd_store_backup(offline->store, &backup);
    struct rd_slice *file = &backup.value.payload;
    struct rd_response response = {
        .generation = backup.generation, .tail = file->len, .range_first = request->backup_from};
    enum rd_status status = RD_OK;
    if (request->backup_generation != 0 && request->backup_generation != backup.generation)
        status = rd_error_set(&offline->error, RD_PRECONDITION_FAILED, 0, "the file is of another generation");
    else if (request->backup_from > file->len)
        status = rd_error_set(&offline->error, RD_RANGE_NOT_SATISFIABLE, 0, "the file has %llu bytes",
                              (unsigned long long)file->len);
    if (status == RD_OK) {
        *ret_response = response;
        struct rd_slice left = *file;
        (void)rd_slice_take(&left, (size_t)request->backup_from);
        status = pass_on(offline, &backup.value, left, sink, context);
    }
    rd_value_release(&backup.value);
    return give_answer(offline, status, &response, ret_response, ret_error);
}

static void destroy(struct rd_backend *backend)
{
    struct offline *offline = (struct offline *)backend;
    forget(offline);
    rd_store_close(offline->store);
    rd_owner_give(&offline->owner, offline->file_path);
    free(offline);
}

static const struct rd_backend_calls calls = {.execute = execute,
                                              .write_stream = write_stream,
                                              .read_stream = read_stream,
                                              .backup = take_backup,
                                              .destroy = destroy};

static struct rd_slice name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    struct rd_slice name = rd_slice_of_string(slash != NULL ? slash + 1 : path);
    if (name.len > 4 && memcmp(name.data + name.len - 4, ".rdr", 4) == 0)
        name.len -= 4;
    return name;
}

/* The store's settings as its companion has them; for a new store the companion is written. */
static enum rd_status settle(const struct rd_options *options, enum rd_backend_access access,
                             struct rd_json_settings *ret_settings, struct rd_error *ret_error)
{
    struct rd_json_settings settings = {.durability = RD_MESSAGE_DURABILITY_DEFAULT};
    if (access != RD_BACKEND_MAKE_NEW)
        settings = rd_companion_load(options->file_path);
    settings.batch_marker_off = settings.batch_marker_off || options->no_batch_marker;
    if ((options->given & RD_OPTION_QUOTA) != 0) {
        settings.quota_bytes = options->quota_bytes;
        settings.quota_entries = options->quota_entries;
        settings.read_only = options->read_only;
    }
    *ret_settings = settings;
    return access == RD_BACKEND_MAKE_NEW ? rd_companion_save(options->file_path, &settings, ret_error) : RD_OK;
}

enum rd_status rd_offline_create(const struct rd_options *options, enum rd_backend_access access, bool *ret_made,
                                 struct rd_backend **ret_backend, struct rd_error *ret_error)
{
    *ret_made = false;
    struct stat file;
    if (access == RD_BACKEND_MAKE_NEW && lstat(options->file_path, &file) == 0)
        return rd_error_set(ret_error, RD_CONFLICT, 0, "%s exists already", options->file_path);
    struct rd_owner owner = rd_owner_of(options->file_path);
    struct rd_json_settings settings;
    enum rd_status status = settle(options, access, &settings, ret_error);
    if (status != RD_OK)
        return status;
    struct offline *offline = calloc(1, sizeof *offline);
    if (offline == NULL)
        return rd_error_set(ret_error, RD_NO_MEMORY, 0, "no memory to start with");
    offline->backend.calls = &calls;
    offline->file_path = options->file_path;
    offline->owner = owner;
    offline->target_path = options->target;
    offline->name = name_of(options->file_path);
    struct rd_store_options store_options = {
        .durability = (enum rd_durability)options->durability,
        .create = access == RD_BACKEND_MAKE || access == RD_BACKEND_MAKE_NEW,
        .read_only = access == RD_BACKEND_READ,
    };
    bool made = store_options.create && rd_newfile_make(options->file_path);
    *ret_made = made && access == RD_BACKEND_MAKE;
    if (access == RD_BACKEND_MAKE_NEW && !made && errno == EEXIST) /* since we looked */
        status = rd_error_set(ret_error, RD_CONFLICT, 0, "%s exists already", options->file_path);
    else
        status = open_store(options->file_path, &settings, &store_options, &offline->store, ret_error);
    if (status != RD_OK) {
        if (made && access == RD_BACKEND_MAKE_NEW)
            rd_newfile_take_back(options->file_path);
        struct rd_json_settings none = {.durability = RD_MESSAGE_DURABILITY_DEFAULT};
        if (access == RD_BACKEND_MAKE_NEW && rd_companion_save(options->file_path, &none, NULL) != RD_OK)
            fprintf(stderr, "rdrive: %s" RD_JSON_SETTINGS_SUFFIX " is left\n", options->file_path);
        free(offline);
        return status;
    }
    *ret_backend = &offline->backend;
    return RD_OK;
}
