/* SPDX-License-Identifier: MIT
 *
 * online.c - commands carried out by a server, through rdrive.h. What rdrive.h answers is kept until the next
 * call, and the response points into it.
 */
#include <stdlib.h>

#include "clients/c/rdrive.h"
#include "clients/cli/backend.h"

struct online {
    struct rd_backend backend;    /* first, so that one pointer is both */
    struct rdrive_client *client; /* owned */

    /* the last answer's; owned */
    struct rdrive_values values;
    struct rdrive_entries entries;
    struct rdrive_stores stores;
    struct rdrive_store_info info;
    struct rdrive_verification verification;
    struct rdrive_value text;
    struct rd_response_item *items;
    struct rd_response_store *rows;
    struct rd_response_problem *problems;
};

static void forget(struct online *online)
{
    rdrive_values_free(&online->values);
    rdrive_entries_free(&online->entries);
    rdrive_stores_free(&online->stores);
    rdrive_verification_free(&online->verification);
    rdrive_value_free(&online->text);
    free(online->items);
    free(online->rows);
    free(online->problems);
    online->items = NULL;
    online->rows = NULL;
    online->problems = NULL;
}

static struct rdrive_key key_of(const struct rd_message_key *key)
{
    return (struct rdrive_key){.data = key->bytes.data, .len = key->bytes.len, .hash = key->hash};
}

static struct rdrive_condition condition_of(struct rd_message_condition condition)
{
    return (struct rdrive_condition){
        .kind = (enum rdrive_condition_kind)condition.kind, .offset = condition.offset, .crc32 = condition.crc32};
}

static struct rdrive_write_options options_of(const struct rd_request *request)
{
    return (struct rdrive_write_options){
        .durability = (enum rdrive_durability)request->durability,
        .condition = condition_of(request->condition),
        .target_condition = condition_of(request->target_condition),
    };
}

static void set_written(const struct rdrive_written *written, struct rd_response *response)
{
    response->offset = written->offset;
    response->tail = written->tail;
    response->count = written->count;
    response->found = written->count != 0;
    response->key_hash = written->key_hash;
    response->crc32 = written->crc32;
    response->replaced = written->replaced;
    response->durability = (enum rd_message_durability)written->durability;
    response->durability_interval_ms = written->durability_interval_ms;
}

static enum rdrive_status do_write(struct online *online, const struct rd_request *request,
                                   struct rd_response *response)
{
    struct rdrive_write_options options = options_of(request);
    struct rdrive_written written;
    enum rdrive_status status = rdrive_write(online->client, key_of(&request->key), request->value.data,
                                             request->value.len, &options, &written);
    if (status == RDRIVE_OK)
        set_written(&written, response);
    return status;
}

static enum rdrive_status do_delete(struct online *online, const struct rd_request *request,
                                    struct rd_response *response)
{
    struct rdrive_write_options options = options_of(request);
    struct rdrive_written written;
    enum rdrive_status status = rdrive_delete(online->client, key_of(&request->key), &options, &written);
    if (status == RDRIVE_OK)
        set_written(&written, response);
    return status;
}

static enum rdrive_status do_rename(struct online *online, const struct rd_request *request,
                                    struct rd_response *response)
{
    struct rdrive_write_options options = options_of(request);
    struct rdrive_written written;
    enum rdrive_status status =
        rdrive_rename(online->client, key_of(&request->key), key_of(&request->target_key), &options, &written);
    if (status == RDRIVE_OK)
        set_written(&written, response);
    return status;
}

/* copy and transfer. The target's name comes from the command line, so it ends in the NUL that rdrive.h asks for.
 */
static enum rdrive_status do_move(struct online *online, const struct rd_request *request,
                                  struct rd_response *response)
{
    const char *target = (const char *)request->target_store.data;
    struct rdrive_moved moved;
    enum rdrive_status status = request->opcode == RD_OPCODE_COPY
                                    ? rdrive_copy(online->client, key_of(&request->key), target, &moved)
                                    : rdrive_transfer(online->client, key_of(&request->key), target, &moved);
    if (status != RDRIVE_OK)
        return status;
    response->target_offset = moved.target_offset;
    response->target_tail = moved.target_tail;
    response->source_tail = moved.source_tail;
    return RDRIVE_OK;
}

static enum rdrive_status do_batch_write(struct online *online, const struct rd_request *request,
                                         struct rd_response *response)
{
    size_t count = request->item_count;
    struct rdrive_entry *entries = calloc(count + 1, sizeof *entries);
    if (entries == NULL)
        return RDRIVE_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        entries[i] = (struct rdrive_entry){.key = key_of(&request->items[i].key),
                                           .value = request->items[i].value.data,
                                           .value_len = request->items[i].value.len};
    struct rdrive_write_options options = options_of(request);
    struct rdrive_written written;
    enum rdrive_status status =
        rdrive_batch_write(online->client, entries, count, request->allow_null_bytes, &options, &written);
    free(entries);
    if (status == RDRIVE_OK)
        set_written(&written, response);
    return status;
}

/* NULL: no memory. To be freed by the caller. */
static struct rdrive_key *keys_of(const struct rd_request *request)
{
    struct rdrive_key *keys = calloc(request->item_count + 1, sizeof *keys);
    for (size_t i = 0; keys != NULL && i < request->item_count; i++)
        keys[i] = key_of(&request->items[i].key);
    return keys;
}

static enum rdrive_status do_batch_delete(struct online *online, const struct rd_request *request,
                                          struct rd_response *response)
{
    struct rdrive_key *keys = keys_of(request);
    if (keys == NULL)
        return RDRIVE_NO_MEMORY;
    struct rdrive_write_options options = options_of(request);
    struct rdrive_written written;
    enum rdrive_status status = rdrive_batch_delete(online->client, keys, request->item_count, &options, &written);
    free(keys);
    if (status == RDRIVE_OK)
        set_written(&written, response);
    return status;
}

static enum rdrive_status do_batch_read(struct online *online, const struct rd_request *request,
                                        struct rd_response *response)
{
    size_t count = request->item_count;
    struct rdrive_key *keys = keys_of(request);
    online->items = calloc(count + 1, sizeof *online->items);
    enum rdrive_status status = RDRIVE_NO_MEMORY;
    if (keys != NULL && online->items != NULL)
        status = rdrive_batch_read(online->client, keys, count, &online->values);
    free(keys);
    if (status != RDRIVE_OK)
        return status;
    for (size_t i = 0; i < count; i++) {
        const struct rdrive_value *value = &online->values.items[i];
        online->items[i] = (struct rd_response_item){.status = (enum rd_status)value->status,
                                                     .offset = value->offset,
                                                     .len = value->len,
                                                     .crc32 = value->crc32,
                                                     .value = rd_slice(value->data, value->len)};
    }
    response->items = online->items;
    response->item_count = count;
    return RDRIVE_OK;
}

static enum rdrive_status do_exists(struct online *online, const struct rd_request *request,
                                    struct rd_response *response)
{
    return rdrive_exists(online->client, key_of(&request->key), &response->found);
}

static void set_metadata(const struct rdrive_metadata *metadata, struct rd_response *response)
{
    response->key_hash = metadata->key_hash;
    response->offset = metadata->offset;
    response->value_len = metadata->len;
    response->prev_tail = metadata->prev_tail;
    response->crc32 = metadata->crc32;
}

static enum rdrive_status do_metadata(struct online *online, const struct rd_request *request,
                                      struct rd_response *response)
{
    struct rdrive_metadata metadata;
    enum rdrive_status status = request->opcode == RD_OPCODE_LAST
                                    ? rdrive_last(online->client, &metadata)
                                    : rdrive_read_metadata(online->client, key_of(&request->key), &metadata);
    if (status == RDRIVE_OK)
        set_metadata(&metadata, response);
    return status;
}

static enum rdrive_status do_iterate(struct online *online, const struct rd_request *request,
                                     struct rd_response *response)
{
    enum rdrive_status status =
        rdrive_iterate(online->client, request->after_offset, request->limit, &online->entries);
    if (status != RDRIVE_OK)
        return status;
    size_t count = online->entries.count;
    online->items = calloc(count + 1, sizeof *online->items);
    if (online->items == NULL)
        return RDRIVE_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const struct rdrive_metadata *entry = &online->entries.items[i];
        online->items[i] = (struct rd_response_item){
            .key_hash = entry->key_hash, .offset = entry->offset, .len = entry->len, .crc32 = entry->crc32};
    }
    response->items = online->items;
    response->item_count = count;
    return RDRIVE_OK;
}

static enum rdrive_status set_rows(struct online *online, const struct rdrive_store_info *infos, size_t count,
                                   struct rd_response *response)
{
    online->rows = calloc(count + 1, sizeof *online->rows);
    if (online->rows == NULL)
        return RDRIVE_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        online->rows[i] = (struct rd_response_store){
            .name = rd_slice_of_string(infos[i].name),
            .entries = infos[i].entries,
            .tail = infos[i].tail,
            .file_size = infos[i].file_size,
            .dead_bytes = infos[i].dead_bytes,
            .durability = (enum rd_message_durability)infos[i].durability,
            .durability_interval_ms = infos[i].durability_interval_ms,
            .state = (enum rd_message_store_state)infos[i].state,
            .reason = rd_slice_of_string(infos[i].reason),
            .generation = infos[i].generation,
            .batch_marker = infos[i].batch_marker,
            .quota_bytes = infos[i].quota_bytes,
            .quota_entries = infos[i].quota_entries,
            .writes_barred = infos[i].read_only,
            .compacting = infos[i].compacting,
        };
    response->stores = online->rows;
    response->store_count = count;
    return RDRIVE_OK;
}

static enum rdrive_status do_stores(struct online *online, const struct rd_request *request,
                                    struct rd_response *response)
{
    (void)request;
    enum rdrive_status status = rdrive_list_stores(online->client, &online->stores);
    if (status != RDRIVE_OK)
        return status;
    return set_rows(online, online->stores.items, online->stores.count, response);
}

static enum rdrive_status do_metrics(struct online *online, const struct rd_request *request,
                                     struct rd_response *response)
{
    (void)request;
    enum rdrive_status status = rdrive_metrics(online->client, &online->text);
    if (status == RDRIVE_OK)
        response->value = rd_slice(online->text.data, online->text.len);
    return status;
}

/* The settings come from the command line, so they end in the NUL that rdrive.h asks for. */
static enum rdrive_status do_create(struct online *online, const struct rd_request *request,
                                    struct rd_response *response)
{
    const char *settings = (const char *)request->settings.data;
    enum rdrive_status status = rdrive_create_store(online->client, settings, &online->info);
    return status != RDRIVE_OK ? status : set_rows(online, &online->info, 1, response);
}

static enum rdrive_status do_info(struct online *online, const struct rd_request *request,
                                  struct rd_response *response)
{
    (void)request;
    enum rdrive_status status = rdrive_info(online->client, &online->info);
    return status != RDRIVE_OK ? status : set_rows(online, &online->info, 1, response);
}

static enum rdrive_status do_reopen(struct online *online, const struct rd_request *request,
                                    struct rd_response *response)
{
    (void)request;
    enum rdrive_status status = rdrive_reopen_store(online->client, &online->info);
    return status != RDRIVE_OK ? status : set_rows(online, &online->info, 1, response);
}

static enum rdrive_status do_verify(struct online *online, const struct rd_request *request,
                                    struct rd_response *response)
{
    struct rdrive_verification *step = &online->verification;
    enum rdrive_status status =
        rdrive_verify(online->client, request->verify_from, request->verify_bytes_max, step);
    if (status != RDRIVE_OK)
        return status;
    online->problems = calloc(step->listed_count + 1, sizeof *online->problems);
    if (online->problems == NULL)
        return RDRIVE_NO_MEMORY;
    for (size_t i = 0; i < step->listed_count; i++) {
        const struct rdrive_problem *problem = &step->problems[i];
        online->problems[i] = (struct rd_response_problem){.kind = (enum rd_message_problem_kind)problem->kind,
                                                           .live = problem->live,
                                                           .offset = problem->offset,
                                                           .len = problem->len,
                                                           .key_hash = problem->key_hash};
    }
    response->verification = (struct rd_response_verification){
        .from = step->from,
        .next = step->next,
        .entries = step->entries,
        .bytes = step->bytes,
        .problem_count = step->problem_count,
        .problems = online->problems,
        .listed_count = step->listed_count,
    };
    return RDRIVE_OK;
}

static enum rdrive_status do_compact(struct online *online, const struct rd_request *request,
                                     struct rd_response *response)
{
    (void)request;
    struct rdrive_compaction done;
    enum rdrive_status status = rdrive_compact(online->client, &done);
    if (status == RDRIVE_OK)
        response->compaction = (struct rd_response_compaction){.tail_before = done.tail_before,
                                                               .tail = done.tail,
                                                               .entries = done.entries,
                                                               .generation = done.generation,
                                                               .pause_us = done.pause_us};
    return status;
}

/* As do_create about the NUL. */
static enum rdrive_status do_drop(struct online *online, const struct rd_request *request,
                                  struct rd_response *response)
{
    (void)response;
    return rdrive_drop_store(online->client, (const char *)request->confirm.data);
}

static enum rdrive_status do_ping(struct online *online, const struct rd_request *request,
                                  struct rd_response *response)
{
    (void)request;
    (void)response;
    return rdrive_ping(online->client);
}

typedef enum rdrive_status do_function(struct online *online, const struct rd_request *request,
                                       struct rd_response *response);
static do_function *const doers[] = {
    [RD_OPCODE_PING] = do_ping,
    [RD_OPCODE_WRITE] = do_write,
    [RD_OPCODE_BATCH_WRITE] = do_batch_write,
    [RD_OPCODE_RENAME] = do_rename,
    [RD_OPCODE_COPY] = do_move,
    [RD_OPCODE_TRANSFER] = do_move,
    [RD_OPCODE_DELETE] = do_delete,
    [RD_OPCODE_BATCH_DELETE] = do_batch_delete,
    [RD_OPCODE_BATCH_READ] = do_batch_read,
    [RD_OPCODE_EXISTS] = do_exists,
    [RD_OPCODE_METADATA] = do_metadata,
    [RD_OPCODE_LAST] = do_metadata,
    [RD_OPCODE_ITERATE] = do_iterate,
    [RD_OPCODE_METRICS] = do_metrics,
    [RD_OPCODE_STORES] = do_stores,
    [RD_OPCODE_CREATE] = do_create,
    [RD_OPCODE_INFO] = do_info,
    [RD_OPCODE_DROP] = do_drop,
    [RD_OPCODE_VERIFY] = do_verify,
    [RD_OPCODE_REOPEN] = do_reopen,
    [RD_OPCODE_COMPACT] = do_compact,
};

static enum rd_status give_answer(const struct online *online, enum rdrive_status status,
                                  const struct rd_response *response, struct rd_response *ret_response,
                                  struct rd_error *ret_error)
{
    if (status != RDRIVE_OK) {
        const char *message = rdrive_last_error(online->client);
        return rd_error_set(ret_error, (enum rd_status)status, 0, "%s",
                            message[0] != '\0' ? message : rdrive_status_name(status));
    }
    *ret_response = *response;
    return RD_OK;
}

static enum rd_status execute(struct rd_backend *backend, const struct rd_request *request,
                              struct rd_response *ret_response, struct rd_error *ret_error)
{
    struct online *online = (struct online *)backend;
    forget(online);
    struct rd_response response = {.status = RD_OK};
    enum rdrive_status status = doers[request->opcode](online, request, &response);
    return give_answer(online, status, &response, ret_response, ret_error);
}

static enum rd_status write_stream(struct rd_backend *backend, const struct rd_request *request,
                                   rd_source_function *source, void *context, struct rd_response *ret_response,
                                   struct rd_error *ret_error)
{
    struct online *online = (struct online *)backend;
    struct rdrive_write_options options = options_of(request);
    struct rdrive_written written;
    struct rd_response response = {.status = RD_OK};
    enum rdrive_status status = rdrive_write_stream(online->client, key_of(&request->key), source, context,
                                                    request->stream_len, &options, &written);
    if (status == RDRIVE_OK)
        set_written(&written, &response);
    return give_answer(online, status, &response, ret_response, ret_error);
}

struct download {
    rd_sink_function *sink;
    void *context;
    struct rdrive_part part; /* filled before the first bytes come */
};

static bool pass_on(void *context, const void *bytes, size_t len)
{
    struct download *download = context;
    return download->sink(download->context, bytes, len, download->part.len);
}

static enum rd_status read_stream(struct rd_backend *backend, const struct rd_request *request,
                                  rd_sink_function *sink, void *context, struct rd_response *ret_response,
                                  struct rd_error *ret_error)
{
    struct online *online = (struct online *)backend;
    struct download download = {.sink = sink, .context = context};
    struct rdrive_range range = {.kind = (enum rdrive_range_kind)request->range.kind,
                                 .first = request->range.first,
                                 .len = request->range.len};
    struct rd_response response = {.status = RD_OK};
    enum rdrive_status status =
        rdrive_read_stream(online->client, key_of(&request->key), &range, pass_on, &download, &download.part);
    if (status == RDRIVE_OK)
        set_metadata(&download.part.metadata, &response);
    response.range_first = download.part.first;
    return give_answer(online, status, &response, ret_response, ret_error);
}

struct backup {
    rd_sink_function *sink;
    void *context;
    struct rdrive_backup head;        /* filled before the first bytes come */
    struct rd_response *ret_response; /* borrows */
};

static struct rd_response response_of_backup(const struct rdrive_backup *head)
{
    return (struct rd_response){.generation = head->generation, .tail = head->tail, .range_first = head->first};
}

static bool pass_on_file(void *context, const void *bytes, size_t len)
{
    struct backup *backup = context;
    *backup->ret_response = response_of_backup(&backup->head);
    return backup->sink(backup->context, bytes, len, backup->head.len);
}

static enum rd_status take_backup(struct rd_backend *backend, const struct rd_request *request,
                                  rd_sink_function *sink, void *context, struct rd_response *ret_response,
                                  struct rd_error *ret_error)
{
    struct online *online = (struct online *)backend;
    struct backup backup = {.sink = sink, .context = context, .ret_response = ret_response};
    enum rdrive_status status = rdrive_backup(online->client, request->backup_from, request->backup_generation,
                                              pass_on_file, &backup, &backup.head);
    struct rd_response response = response_of_backup(&backup.head);
    return give_answer(online, status, &response, ret_response, ret_error);
}

static void destroy(struct rd_backend *backend)
{
    struct online *online = (struct online *)backend;
    forget(online);
    rdrive_client_destroy(online->client);
    free(online);
}

static const struct rd_backend_calls calls = {.execute = execute,
                                              .write_stream = write_stream,
                                              .read_stream = read_stream,
                                              .backup = take_backup,
                                              .destroy = destroy};

enum rd_status rd_online_create(const struct rd_options *options, struct rd_backend **ret_backend,
                                struct rd_error *ret_error)
{
    struct online *online = calloc(1, sizeof *online);
    if (online == NULL)
        return rd_error_set(ret_error, RD_NO_MEMORY, 0, "no memory to start with");
    online->backend.calls = &calls;
    struct rdrive_options client_options = {
        .server = options->server,
        .unix_path = options->unix_path,
        .store = options->store,
        .tls = options->tls,
        .tls_ca = options->tls_ca,
        .request_timeout_ms = options->timeout_ms,
        .token = options->token,
    };
    enum rdrive_status status = rdrive_client_create(&client_options, &online->client);
    if (status != RDRIVE_OK) {
        free(online);
        return rd_error_set(ret_error, (enum rd_status)status, 0,
                            "--server (or RDRIVE_SERVER) takes HOST:PORT or [IPV6]:PORT, --store a name of at "
                            "most 64 bytes, and a token has at most 4096 bytes");
    }
    *ret_backend = &online->backend;
    return RD_OK;
}
