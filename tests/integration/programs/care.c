/* SPDX-License-Identifier: MIT
 *
 * care.c - verify, reopen and compact through the client library, for test_verify.py, test_reopen.py and
 * test_compact.py.
 *
 *   care HOST:PORT STORE blocking|async verify|reopen|compact [BYTES_MAX]
 *
 * verify prints a line for each problem and one for the whole look, reopen prints state, entries and reason,
 * compact what it has done. What fails is printed as "failed", its status and its message.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rdrive.h>
#include <rdrive_async.h>

static uint64_t entries;
static uint64_t bytes;
static uint64_t problem_count;
static int exit_code;

static void add_step(struct rdrive_verification *step)
{
    for (size_t i = 0; i < step->listed_count; i++) {
        const struct rdrive_problem *problem = &step->problems[i];
        printf("problem %d %d %" PRIu64 " %" PRIu64 " %016" PRIx64 "\n", (int)problem->kind, problem->live,
               problem->offset, problem->len, problem->key_hash);
    }
    entries += step->entries;
    bytes += step->bytes;
    problem_count += step->problem_count;
    if (step->next == 0)
        printf("whole %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", entries, bytes, problem_count);
}

static void print_info(const struct rdrive_store_info *info)
{
    static const char *const states[] = {"open", "read_only", "failed"};
    printf("info %s %" PRIu64 " %s\n", states[info->state], info->entries, info->reason);
}

static void print_compaction(const struct rdrive_compaction *done)
{
    printf("compacted %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %016" PRIx64 "\n",
           done->tail_before, done->tail, done->entries, done->reclaimed_bytes, done->pause_us, done->generation);
}

static void fail(enum rdrive_status status, const char *message)
{
    printf("failed %s %s\n", rdrive_status_name(status), message);
    exit_code = 3;
}

/* ---- blocking --------------------------------------------------------------------------------------------- */

static enum rdrive_status verify(struct rdrive_client *client, uint64_t bytes_max)
{
    struct rdrive_verification step = {.next = 0};
    enum rdrive_status status;
    do {
        status = rdrive_verify(client, step.next, bytes_max, &step);
        if (status == RDRIVE_OK)
            add_step(&step);
        rdrive_verification_free(&step);
    } while (status == RDRIVE_OK && step.next != 0);
    return status;
}

static enum rdrive_status reopen(struct rdrive_client *client)
{
    struct rdrive_store_info info;
    enum rdrive_status status = rdrive_reopen_store(client, &info);
    if (status == RDRIVE_OK)
        print_info(&info);
    return status;
}

static enum rdrive_status compact(struct rdrive_client *client)
{
    struct rdrive_compaction done;
    enum rdrive_status status = rdrive_compact(client, &done);
    if (status == RDRIVE_OK)
        print_compaction(&done);
    return status;
}

static int run_blocking(const char *server, const char *store, enum rdrive_operation operation, uint64_t bytes_max)
{
    struct rdrive_options options = {.server = server, .store = store};
    struct rdrive_client *client;
    if (rdrive_client_create(&options, &client) != RDRIVE_OK)
        return 1;
    enum rdrive_status status = operation == RDRIVE_OP_REOPEN    ? reopen(client)
                                : operation == RDRIVE_OP_COMPACT ? compact(client)
                                                                 : verify(client, bytes_max);
    if (status != RDRIVE_OK)
        fail(status, rdrive_last_error(client));
    rdrive_client_destroy(client);
    return exit_code;
}

/* ---- asynchronous ----------------------------------------------------------------------------------------- */

static struct rdrive_connection *connection;
static struct rdrive_request request;

static void submit(void)
{
    enum rdrive_status status = rdrive_submit(connection, &request);
    if (status == RDRIVE_OK)
        return;
    fail(status, request.message);
    rdrive_connection_close(connection, NULL);
}

static void on_complete(struct rdrive_request *done)
{
    bool verifies = done->operation == RDRIVE_OP_VERIFY;
    uint64_t next = verifies && done->status == RDRIVE_OK ? done->result.verification.next : 0;
    if (done->status != RDRIVE_OK)
        fail(done->status, done->message);
    else if (verifies)
        add_step(&done->result.verification);
    else if (done->operation == RDRIVE_OP_COMPACT)
        print_compaction(&done->result.compaction);
    else
        print_info(&done->result.info);
    rdrive_request_free_results(done);
    if (next == 0) {
        rdrive_connection_close(connection, NULL);
        return;
    }
    request.verify_from = next;
    submit();
}

static int run_async(const char *server, const char *store, enum rdrive_operation operation, uint64_t bytes_max)
{
    uv_loop_t loop;
    struct rdrive_connection_options options = {.server = server, .store = store};
    if (uv_loop_init(&loop) != 0 || rdrive_connection_create(&loop, &options, &connection) != RDRIVE_OK)
        return 1;
    request =
        (struct rdrive_request){.operation = operation, .on_complete = on_complete, .verify_bytes_max = bytes_max};
    submit();
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop) != 0 ? 1 : exit_code;
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    enum rdrive_operation operation = strcmp(argv[4], "reopen") == 0    ? RDRIVE_OP_REOPEN
                                      : strcmp(argv[4], "compact") == 0 ? RDRIVE_OP_COMPACT
                                                                        : RDRIVE_OP_VERIFY;
    uint64_t bytes_max = argc > 5 ? strtoull(argv[5], NULL, 10) : 0;
    return (strcmp(argv[3], "async") == 0 ? run_async : run_blocking)(argv[1], argv[2], operation, bytes_max);
}
