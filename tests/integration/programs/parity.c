/* SPDX-License-Identifier: MIT
 *
 * parity.c - every operation of both faces of the client library, on a key given by its hash alone. For each a
 * line: face, operation, outcome. Usage: parity HOST:PORT STORE OTHER_STORE. Compiled and run by test_parity.py.
 */
#include <stdio.h>
#include <string.h>

#include <rdrive.h>
#include <rdrive_async.h>

static const char *store;
static const char *other_store;
static struct rdrive_key key;
static struct rdrive_key new_key;

/* ---- blocking --------------------------------------------------------------------------------------------- */

static int64_t give_once(void *context, void *to, size_t len_max)
{
    int *left = context;
    if (*left == 0 || len_max < 2)
        return 0;
    *left = 0;
    memcpy(to, "ab", 2);
    return 2;
}

static bool count_bytes(void *context, const void *bytes, size_t len)
{
    (void)bytes;
    *(size_t *)context += len;
    return true;
}

static void say(const char *face, const char *operation, enum rdrive_status status)
{
    printf("%s %s %s\n", face, operation, rdrive_status_name(status));
}

static void run_blocking_writes(struct rdrive_client *client)
{
    struct rdrive_entry entry = {key, "value", 5};
    int left = 1;
    say("blocking", "write", rdrive_write(client, key, "value", 5, NULL, NULL));
    say("blocking", "write_stream", rdrive_write_stream(client, key, give_once, &left, 2, NULL, NULL));
    say("blocking", "batch_write", rdrive_batch_write(client, &entry, 1, false, NULL, NULL));
    say("blocking", "rename", rdrive_rename(client, key, new_key, NULL, NULL));
    say("blocking", "copy", rdrive_copy(client, new_key, other_store, NULL));
    say("blocking", "transfer", rdrive_transfer(client, new_key, other_store, NULL));
    say("blocking", "delete", rdrive_delete(client, key, NULL, NULL));
    say("blocking", "batch_delete", rdrive_batch_delete(client, &key, 1, NULL, NULL));
    if (rdrive_write(client, key, "value", 5, NULL, NULL) != RDRIVE_OK)
        puts("blocking write failed");
}

static void run_blocking_reads(struct rdrive_client *client)
{
    struct rdrive_value value;
    struct rdrive_values values;
    struct rdrive_metadata metadata;
    struct rdrive_entries entries;
    struct rdrive_stores stores;
    struct rdrive_store_info info;
    size_t len = 0;
    size_t file_len = 0;
    bool exists = false;
    enum rdrive_status status = rdrive_read(client, key, &value);
    say("blocking", "read", status);
    if (status == RDRIVE_OK)
        rdrive_value_free(&value);
    say("blocking", "read_stream", rdrive_read_stream(client, key, NULL, count_bytes, &len, NULL));
    status = rdrive_batch_read(client, &key, 1, &values);
    say("blocking", "batch_read", status);
    if (status == RDRIVE_OK)
        rdrive_values_free(&values);
    say("blocking", "exists", rdrive_exists(client, key, &exists));
    say("blocking", "metadata", rdrive_read_metadata(client, key, &metadata));
    say("blocking", "last", rdrive_last(client, &metadata));
    status = rdrive_iterate(client, 0, 0, &entries);
    say("blocking", "iterate", status);
    if (status == RDRIVE_OK)
        rdrive_entries_free(&entries);
    status = rdrive_list_stores(client, &stores);
    say("blocking", "stores", status);
    if (status == RDRIVE_OK)
        rdrive_stores_free(&stores);
    say("blocking", "info", rdrive_info(client, &info));
    say("blocking", "compact", rdrive_compact(client, NULL));
    say("blocking", "reopen", rdrive_reopen_store(client, &info));
    struct rdrive_verification step;
    status = rdrive_verify(client, 0, 0, &step);
    say("blocking", "verify", status);
    if (status == RDRIVE_OK)
        rdrive_verification_free(&step);
    say("blocking", "backup", rdrive_backup(client, 0, 0, count_bytes, &file_len, NULL));
    say("blocking", "ping", rdrive_ping(client));
    status = rdrive_metrics(client, &value);
    say("blocking", "metrics", status);
    if (status == RDRIVE_OK)
        rdrive_value_free(&value);
    if (len != 5 || file_len == 0 || !exists)
        puts("blocking read wrong");
}

static int run_blocking(const char *server)
{
    struct rdrive_options options = {.server = server, .store = store};
    struct rdrive_client *client;
    if (rdrive_client_create(&options, &client) != RDRIVE_OK)
        return 1;
    run_blocking_writes(client);
    run_blocking_reads(client);
    if (rdrive_client_set_store(client, "parity-made") != RDRIVE_OK)
        return 1;
    say("blocking", "create", rdrive_create_store(client, NULL, NULL));
    say("blocking", "drop", rdrive_drop_store(client, "parity-made"));
    rdrive_client_destroy(client);
    return 0;
}

/* ---- asynchronous ----------------------------------------------------------------------------------------- */

static const enum rdrive_operation sequence[] = {
    RDRIVE_OP_PING,        RDRIVE_OP_CREATE,       RDRIVE_OP_DROP,     RDRIVE_OP_WRITE,
    RDRIVE_OP_DELETE,      RDRIVE_OP_WRITE_STREAM, RDRIVE_OP_READ,     RDRIVE_OP_READ_STREAM,
    RDRIVE_OP_BATCH_WRITE, RDRIVE_OP_BATCH_READ,   RDRIVE_OP_EXISTS,   RDRIVE_OP_METADATA,
    RDRIVE_OP_LAST,        RDRIVE_OP_ITERATE,      RDRIVE_OP_STORES,   RDRIVE_OP_INFO,
    RDRIVE_OP_RENAME,      RDRIVE_OP_COPY,         RDRIVE_OP_TRANSFER, RDRIVE_OP_BATCH_DELETE,
    RDRIVE_OP_VERIFY,      RDRIVE_OP_REOPEN,       RDRIVE_OP_BACKUP,   RDRIVE_OP_COMPACT,
    RDRIVE_OP_METRICS,
};
static size_t step;
static struct rdrive_connection *connection;
static struct rdrive_request request;
static struct rdrive_entry entry;

static void submit_next(void);

static void on_complete(struct rdrive_request *done)
{
    const char *name = rdrive_operation_name(done->operation);
    say("async", name != NULL ? name : "?", done->status);
    rdrive_request_free_results(done);
    step++;
    submit_next();
}

static void on_room(struct rdrive_request *upload)
{
    if (rdrive_stream_push(upload, "ab", 2) == 2)
        rdrive_stream_end(upload);
}

static void on_chunk(struct rdrive_request *download, const void *bytes, size_t len)
{
    (void)bytes;
    rdrive_stream_taken(download, len);
}

static void submit_next(void)
{
    if (step == sizeof sequence / sizeof sequence[0]) {
        rdrive_connection_close(connection, NULL);
        return;
    }
    enum rdrive_operation operation = sequence[step];
    bool makes = operation == RDRIVE_OP_CREATE || operation == RDRIVE_OP_DROP;
    bool moves = operation == RDRIVE_OP_COPY || operation == RDRIVE_OP_TRANSFER;
    entry = (struct rdrive_entry){key, "value", 5};
    request = (struct rdrive_request){
        .operation = operation,
        .on_complete = on_complete,
        .on_room = on_room,
        .on_chunk = on_chunk,
        .store = makes ? "parity-made" : NULL,
        .key = moves ? new_key : key,
        .target_key = new_key,
        .target_store = other_store,
        .value = "value",
        .value_len = 5,
        .entries = &entry,
        .keys = &key,
        .count = 1,
    };
    request.status = rdrive_submit(connection, &request);
    if (request.status != RDRIVE_OK)
        on_complete(&request);
}

static int run_async(const char *server)
{
    uv_loop_t loop;
    struct rdrive_connection_options options = {.server = server, .store = store};
    if (uv_loop_init(&loop) != 0 || rdrive_connection_create(&loop, &options, &connection) != RDRIVE_OK)
        return 1;
    submit_next();
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop) != 0;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    store = argv[2];
    other_store = argv[3];
    key = rdrive_key_of_hash(0x1234);
    new_key = rdrive_key_of_hash(0x5678);
    return run_blocking(argv[1]) + run_async(argv[1]);
}
