/* SPDX-License-Identifier: MIT */
#include "tests/crash/script.h"

#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/store.h"
#include "tests/crash/values.h"
#include "tests/crash/workload.h"

#define OPERATIONS     200u
#define GROUP_COUNT    4u
#define PLACED_LEN_MIN 6000u

static const char *const names[STORE_COUNT] = {"a.rdr", "b.rdr"};

static bool wrong(struct script *script, const char *format, ...) RD_PRINTF(2, 3);

/* Always false, so that a check reads `return wrong(...)`. */
static bool wrong(struct script *script, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (script->finding[0] == '\0')
        vsnprintf(script->finding, sizeof script->finding, format, args);
    va_end(args);
    return false;
}

/* ---- what failed -------------------------------------------------------------------------------------- */

static bool anything_failed(const struct script *script)
{
    return script->failing->failed || allocations_failed();
}

static bool failed_now(const struct script *script)
{
    return !script->failed_before && anything_failed(script);
}

/* Calls that are taken up again where they were interrupted, or whose failure is nobody's business. */
static bool is_passed_over(const struct failing_io *failing)
{
    enum call call = failing->failed_call;
    bool transfers = call == CALL_PREAD || call == CALL_PWRITEV || call == CALL_COPY_RANGE;
    if (failing->failure == FAILURE_SHORT)
        return true;
    if (failing->failure == FAILURE_EINTR && (transfers || call == CALL_FTRUNCATE))
        return true;
    return call == CALL_CLOSE || call == CALL_MUNMAP || call == CALL_START_WRITEBACK || call == CALL_DROP_CACHE;
}

/* What an operation may be answered with while that failed; RD_OK: with nothing but the truth of its conditions.
 */
static enum rd_status honest_status(const struct script *script)
{
    const struct failing_io *failing = script->failing;
    if (allocations_failed())
        return RD_NO_MEMORY;
    if (is_passed_over(failing))
        return RD_OK;
    if (failing->failed_call == CALL_MMAP)
        return RD_NO_MEMORY;
    bool fills = failing->failed_call == CALL_PWRITEV || failing->failed_call == CALL_COPY_RANGE ||
                 failing->failed_call == CALL_OPEN;
    return failing->failure == FAILURE_ENOSPC && fills ? RD_NO_SPACE : RD_IO_ERROR;
}

/* A failure after which a store must not go on. */
static bool breaks(const struct script *script, uint32_t number)
{
    const struct failing_io *failing = script->failing;
    if (allocations_failed() || failing->failed_file != FILE_STORE || failing->failed_filling ||
        is_passed_over(failing) || strcmp(failing->failed_name, names[number]) != 0)
        return false;
    bool writes = failing->failed_call == CALL_PWRITEV || failing->failed_call == CALL_COPY_RANGE;
    return failing->failed_call == CALL_FDATASYNC || (writes && failing->failure != FAILURE_ENOSPC);
}

/* One after which it need not: what the file is could not be found out, or not be put right. */
static bool may_break(const struct script *script, uint32_t number)
{
    enum call call = script->failing->failed_call;
    bool renamed = script->compacts[number] && (call == CALL_FSYNC || call == CALL_OPEN);
    return script->failing->failed && (call == CALL_FTRUNCATE || call == CALL_FSTAT || renamed);
}

/* ---- looking ------------------------------------------------------------------------------------------ */

/* Counted: a map remembers which of its pages were there, in memory that goes with it. */
static enum rd_status read_counted(struct rd_store *store, uint32_t key, struct rd_value *ret_value)
{
    allocations_arm();
    enum rd_status status = rd_store_read(store, key_of(key), ret_value);
    allocations_disarm();
    return status;
}

static bool holds_model(struct script *script, uint32_t number)
{
    uint64_t live = 0;
    for (uint32_t key = 0; key < KEY_COUNT; key++) {
        struct rd_value found;
        int32_t value = script->model.values[number][key];
        enum rd_status status = read_counted(script->stores[number], key, &found);
        bool same = status == (value == ABSENT ? RD_KEY_NOT_FOUND : RD_OK);
        if (status == RD_OK) {
            same = same && rd_slice_equal(found.payload, history_bytes(&script->values, value));
            rd_value_release(&found);
        }
        if (!same)
            return wrong(script, "%s: key %u answers %s, or another value", names[number], key,
                         rd_status_name(status));
        live += value != ABSENT;
    }
    if (rd_store_len(script->stores[number]) != live)
        return wrong(script, "%s: %llu keys, not %llu", names[number],
                     (unsigned long long)rd_store_len(script->stores[number]), (unsigned long long)live);
    return true;
}

static void path_of(const struct script *script, uint32_t number, char ret_path[4096])
{
    snprintf(ret_path, 4096, "%s/%s", script->folder, names[number]);
}

static uint64_t size_of(const struct script *script, uint32_t number)
{
    char path[4096];
    struct stat found;
    path_of(script, number, path);
    return stat(path, &found) == 0 ? (uint64_t)found.st_size : UINT64_MAX;
}

/* ---- opening and closing ------------------------------------------------------------------------------ */

static enum rd_status open_once(struct script *script, uint32_t number)
{
    static const enum rd_durability durabilities[STORE_COUNT] = {RD_DURABILITY_SYNC, RD_DURABILITY_NONE};
    struct rd_store_options options = {
        .create = true, .durability = durabilities[number], .io = &script->failing->io};
    struct rd_error error = {.status = RD_OK};
    char path[4096];
    path_of(script, number, path);
    allocations_arm();
    enum rd_status status = rd_store_open(path, &options, &script->stores[number], &error);
    allocations_disarm();
    if (status != RD_OK)
        script->stores[number] = NULL;
    if (status != RD_OK && (error.status != status || error.message[0] == '\0'))
        wrong(script, "%s: opening fails and does not say why", names[number]);
    return status;
}

static void close_store(struct script *script, uint32_t number)
{
    allocations_arm();
    rd_store_close(script->stores[number]);
    allocations_disarm();
    script->stores[number] = NULL;
}

static bool is_open(struct script *script, uint32_t number)
{
    struct rd_store_info info;
    rd_store_info(script->stores[number], &info);
    return info.state == RD_STORE_OPEN;
}

/* Fails at most once, and only where something failed: with another status, or by being read-only where a torn end
 * could not be put away. */
static bool open_store(struct script *script, uint32_t number)
{
    bool before = anything_failed(script);
    enum rd_status status = open_once(script, number);
    bool failed = !before && anything_failed(script);
    if (status == RD_OK && !is_open(script, number) && failed) {
        close_store(script, number);
        status = RD_IO_ERROR;
    }
    if (status != RD_OK && failed) {
        if (status != RD_NO_MEMORY && status != RD_IO_ERROR && status != RD_NO_SPACE)
            return wrong(script, "%s: opening answers %s", names[number], rd_status_name(status));
        script->refused++;
        status = open_once(script, number);
    }
    if (status != RD_OK)
        return wrong(script, "%s does not open: %s", names[number], rd_status_name(status));
    if (!is_open(script, number))
        return wrong(script, "%s opens read-only", names[number]);
    workload_make_small(script->stores[number]);
    return holds_model(script, number);
}

/* What a process leaves that was killed in the middle of a write. */
static void leave_torn_end(struct script *script, uint32_t number)
{
    uint8_t noise[700];
    char path[4096];
    random_fill(&script->random, noise, sizeof noise);
    path_of(script, number, path);
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    size_t len = 1 + random_below(&script->random, sizeof noise);
    if (fd < 0 || write(fd, noise, len) != (ssize_t)len)
        die("cannot write %s", path);
    close(fd);
}

/* ---- after an operation ------------------------------------------------------------------------------- */

static bool go_on_after_break(struct script *script, uint32_t number)
{
    struct rd_entry entry = {.key = key_of(0), .payload = rd_slice_of_string("refused")};
    struct rd_op op = {.kind = RD_OP_WRITE, .entries = &entry, .entry_count = 1};
    script->read_only++;
    if (size_of(script, number) != rd_store_file_size(script->stores[number]))
        return wrong(script, "%s: the file was not cut back to its tail", names[number]);
    if (rd_store_execute(script->stores[number], &op) != RD_IO_ERROR)
        return wrong(script, "%s takes a write though it is read-only", names[number]);
    if (!holds_model(script, number))
        return false;
    close_store(script, number);
    return open_store(script, number);
}

/* The state that each store must be in, and all that it holds where something failed. */
static bool check_stores(struct script *script)
{
    if (!failed_now(script))
        return true;
    for (uint32_t i = 0; i < STORE_COUNT; i++) {
        bool broken = breaks(script, i) && !script->reopened[i];
        bool open = is_open(script, i);
        if (broken && open)
            return wrong(script, "%s goes on after its %s failed", names[i],
                         call_names[script->failing->failed_call]);
        if (!broken && !open && !may_break(script, i))
            return wrong(script, "%s is read-only without need", names[i]);
        if (!holds_model(script, i) || (!open && !go_on_after_break(script, i)))
            return false;
    }
    return true;
}

/* Holds an answer against the model, and the model to it. */
static bool take_answer(struct script *script, const struct request *request)
{
    enum rd_status status = request->op.status;
    enum rd_status expected = request_expect(request, &script->model);
    script->operations++;
    if (status != expected && failed_now(script) && status == honest_status(script) && status != RD_OK) {
        script->refused++;
        return true;
    }
    if (status != expected)
        return wrong(script, "an operation of kind %d answers %s, not %s", (int)request->op.kind,
                     rd_status_name(status), rd_status_name(expected));
    struct change changes[REQUEST_ENTRIES_MAX];
    size_t count = expected == RD_OK ? request_changes(request, &script->model, changes) : 0;
    const char *lie = expected == RD_OK ? request_lies(request, &script->model, count) : NULL;
    if (lie != NULL)
        return wrong(script, "an operation of kind %d does not tell the truth about %s", (int)request->op.kind,
                     lie);
    model_apply(&script->model, request->store, changes, count);
    return true;
}

/* ---- submitting --------------------------------------------------------------------------------------- */

struct answers {
    struct rd_sink sink; /* first */
    struct hold *writes;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t count;  /* guarded by lock */
    size_t doubly; /* guarded by lock; operations that were answered before */
};

static void take_answers(struct rd_sink *sink, struct rd_op *first, struct rd_op *last)
{
    struct answers *answers = (struct answers *)sink;
    pthread_mutex_lock(&answers->lock);
    for (struct rd_op *op = first;; op = op->next) {
        struct request *request = op->context;
        answers->doubly += request->answered_at != NEVER;
        request->answered_at = 0;
        answers->count++;
        if (op == last)
            break;
    }
    pthread_cond_signal(&answers->changed);
    hold_miss(answers->writes);
    pthread_mutex_unlock(&answers->lock);
}

static void answers_init(struct answers *answers, struct script *script)
{
    *answers = (struct answers){.sink.deliver = take_answers, .writes = &script->failing->writes};
    pthread_mutex_init(&answers->lock, NULL);
    pthread_cond_init(&answers->changed, NULL);
}

static void answers_wait(struct answers *answers, size_t count)
{
    pthread_mutex_lock(&answers->lock);
    while (answers->count < count)
        pthread_cond_wait(&answers->changed, &answers->lock);
    pthread_mutex_unlock(&answers->lock);
}

/* What is ahead and given up goes without another operation. */
static void wait_until_idle(struct rd_store *store)
{
    bool idle = false;
    while (!idle) {
        pthread_mutex_lock(&store->writer.role);
        idle = !rd_ahead_is_abandoned(&store->ahead);
        pthread_mutex_unlock(&store->writer.role);
        if (!idle)
            sched_yield();
    }
}

static bool all_were_answered_once(struct script *script, struct answers *answers, size_t count)
{
    bool once = answers->count == count && answers->doubly == 0;
    pthread_cond_destroy(&answers->changed);
    pthread_mutex_destroy(&answers->lock);
    return once || wrong(script, "%zu operations were answered %zu times", count, answers->count);
}

/* Those that the store does not take have their status already. */
static size_t submit(struct answers *answers, struct rd_store *store, struct request *request)
{
    request->op.sink = &answers->sink;
    enum rd_status status = rd_store_submit(store, &request->op);
    if (status != RD_OK)
        request->op.status = status;
    return status == RD_OK;
}

static bool run_async(struct script *script, struct request *request)
{
    struct rd_store *store = script->stores[request->store];
    struct answers answers;
    answers_init(&answers, script);
    allocations_arm();
    size_t taken = submit(&answers, store, request);
    rd_store_kick(store);
    answers_wait(&answers, taken);
    wait_until_idle(store);
    allocations_disarm();
    return all_were_answered_once(script, &answers, taken);
}

static void run_blocking(struct script *script, struct request *request)
{
    allocations_arm();
    request->op.status = rd_store_execute(script->stores[request->store], &request->op);
    wait_until_idle(script->stores[request->store]);
    allocations_disarm();
}

/* A stream whose spool fails is no operation. False: there is none. */
static bool begin_request(struct script *script, struct request *request)
{
    struct rd_store *store = script->stores[request->store];
    allocations_arm();
    enum rd_status status = request_begin(request, &script->random, &script->values, store);
    if (status == RD_OK && request->op.kind == RD_OP_STREAM)
        request->op.placement = rd_spool_place(request->op.spool, request->op.durability);
    allocations_disarm();
    if (status != RD_OK && !(failed_now(script) && status == honest_status(script)))
        wrong(script, "a spool answers %s", rd_status_name(status));
    return status == RD_OK;
}

static void end_request(struct script *script, struct request *request)
{
    allocations_arm();
    rd_placement_destroy(request->op.placement);
    wait_until_idle(script->stores[request->store]);
    request_end(request);
    allocations_disarm();
}

/* ---- operations --------------------------------------------------------------------------------------- */

static bool do_single(struct script *script)
{
    struct request request;
    uint32_t number = (uint32_t)random_below(&script->random, STORE_COUNT);
    request_make(&request, &script->random, &script->values, &script->model, number, script->stores[number]);
    if (!begin_request(script, &request))
        return script->finding[0] == '\0';
    bool fine = true;
    if (random_one_in(&script->random, 2))
        run_blocking(script, &request);
    else
        fine = run_async(script, &request);
    fine = fine && take_answer(script, &request);
    end_request(script, &request);
    return fine;
}

/* One write, and behind it some operations that are one group. */
static bool do_group(struct script *script)
{
    struct request requests[GROUP_COUNT];
    struct answers answers;
    bool taken[GROUP_COUNT];
    uint32_t number = (uint32_t)random_below(&script->random, STORE_COUNT);
    struct rd_store *store = script->stores[number];
    size_t count = 0;
    request_make_write(&requests[0], &script->random, &script->values, number, store, 50);
    for (size_t i = 1; i < GROUP_COUNT; i++)
        request_make(&requests[i], &script->random, &script->values, &script->model, number, store);
    answers_init(&answers, script);
    for (size_t i = 0; i < GROUP_COUNT; i++)
        taken[i] =
            begin_request(script, &requests[i]); /* a long value is put somewhere first, which takes writes */
    hold_close(&script->failing->writes);
    for (size_t i = 0; i < GROUP_COUNT; i++) {
        allocations_arm();
        count += taken[i] ? submit(&answers, store, &requests[i]) : 0;
        if (i == 0) {
            rd_store_kick(store);
            if (count == 1)
                hold_await(&script->failing->writes);
        }
        allocations_disarm();
    }
    allocations_arm();
    hold_open(&script->failing->writes);
    rd_store_kick(store);
    answers_wait(&answers, count);
    wait_until_idle(store);
    allocations_disarm();
    bool fine = all_were_answered_once(script, &answers, count);
    for (size_t i = 0; i < GROUP_COUNT; i++) {
        fine = fine && (!taken[i] || take_answer(script, &requests[i]));
        if (taken[i])
            end_request(script, &requests[i]);
    }
    return fine;
}

/* Of a transfer that failed the copy may stay. */
static bool do_move(struct script *script, bool transfer)
{
    uint32_t from = (uint32_t)random_below(&script->random, STORE_COUNT);
    uint32_t key = (uint32_t)random_below(&script->random, KEY_COUNT);
    struct rd_store *source = script->stores[from];
    struct rd_store *target = script->stores[1 - from];
    struct rd_value copied;
    allocations_arm();
    enum rd_status status = transfer ? rd_store_transfer(source, key_of(key), target, NULL)
                                     : rd_store_copy(source, key_of(key), target, NULL);
    wait_until_idle(source);
    wait_until_idle(target);
    allocations_disarm();
    int32_t value = script->model.values[from][key];
    enum rd_status expected = value == ABSENT ? RD_KEY_NOT_FOUND : RD_OK;
    script->operations++;
    bool refused = status != expected && failed_now(script) && status == honest_status(script);
    script->refused += refused;
    if (status != expected && !refused)
        return wrong(script, "copy or transfer answers %s", rd_status_name(status));
    bool there = status == RD_OK;
    if (refused && transfer && value != ABSENT && read_counted(target, key, &copied) == RD_OK) {
        there = rd_slice_equal(copied.payload, history_bytes(&script->values, value));
        rd_value_release(&copied);
    }
    struct change put = {key, value};
    struct change take = {key, ABSENT};
    model_apply(&script->model, 1 - from, &put, there ? 1 : 0);
    model_apply(&script->model, from, &take, status == RD_OK && transfer ? 1 : 0);
    return true;
}

static bool do_copy(struct script *script)
{
    return do_move(script, false);
}

static bool do_transfer(struct script *script)
{
    return do_move(script, true);
}

/* A value that is placed ahead, and what is written before it is committed. */
static bool do_placed(struct script *script)
{
    struct random *random = &script->random;
    uint32_t number = (uint32_t)random_below(random, STORE_COUNT);
    struct rd_store *store = script->stores[number];
    struct request request;
    struct request between;
    request_make_write(&request, random, &script->values, number, store,
                       PLACED_LEN_MIN + random_below(random, 9000));
    request_make_write(&between, random, &script->values, number, store, random_one_in(random, 3) ? 5000 : 50);
    allocations_arm();
    request.op.placement = rd_store_place(store, request.entries[0].payload, request.op.durability);
    allocations_disarm();
    bool fine = run_async(script, &between) && take_answer(script, &between);
    fine = fine && run_async(script, &request) && take_answer(script, &request);
    end_request(script, &request);
    return fine;
}

static bool do_reopen(struct script *script)
{
    uint32_t number = (uint32_t)random_below(&script->random, STORE_COUNT);
    close_store(script, number);
    if (random_one_in(&script->random, 2))
        leave_torn_end(script, number);
    script->operations++;
    script->reopened[number] = true;
    return open_store(script, number);
}

static bool walk(struct script *script, uint32_t number)
{
    struct rd_cursor *cursor = NULL;
    struct rd_value value;
    uint64_t walked = 0;
    allocations_arm();
    enum rd_status status = rd_cursor_open(script->stores[number], 0, &cursor);
    while (status == RD_OK && rd_cursor_next(cursor, &value))
        walked++;
    if (status == RD_OK)
        rd_cursor_close(cursor);
    allocations_disarm();
    if (status != RD_OK)
        return (failed_now(script) && status == honest_status(script)) ||
               wrong(script, "a cursor answers %s", rd_status_name(status));
    return walked == rd_store_len(script->stores[number]) || wrong(script, "a cursor leaves keys out");
}

static bool do_walk(struct script *script)
{
    script->operations++;
    return walk(script, (uint32_t)random_below(&script->random, STORE_COUNT));
}

/* The cursor holds the old view until all calls are made, so that their order is the same in every run. */
static bool do_compact(struct script *script)
{
    uint32_t number = (uint32_t)random_below(&script->random, STORE_COUNT);
    struct rd_store *store = script->stores[number];
    struct rd_cursor *cursor = NULL;
    struct rd_error error = {.status = RD_OK};
    if (rd_cursor_open(store, 0, &cursor) != RD_OK)
        die("no memory for a cursor");
    script->compacts[number] = true;
    allocations_arm();
    enum rd_status status = rd_store_compact(store, NULL, &error);
    pthread_mutex_lock(&store->writer.role);
    allocations_disarm(); /* what was not counted when it was taken */
    rd_cursor_close(cursor);
    allocations_arm();
    rd_epoch_collect(&store->epoch);
    rd_departures_wait(&store->departures);
    pthread_mutex_unlock(&store->writer.role);
    allocations_disarm();
    script->operations++;
    if (status == RD_OK)
        return walk(script, number);
    bool known = status == RD_IO_ERROR || status == RD_NO_SPACE || status == RD_NO_MEMORY;
    script->refused++;
    return (known && failed_now(script) && honest_status(script) != RD_OK && error.status == status) ||
           wrong(script, "compacting %s answers %s", names[number], rd_status_name(status));
}

typedef bool action_fn(struct script *script);

static bool do_something(struct script *script)
{
    static action_fn *const actions[] = {do_single,   do_single, do_single, do_single, do_single, do_single,
                                         do_group,    do_copy,   do_placed, do_reopen, do_walk,   do_compact,
                                         do_transfer, do_single, do_single, do_single};
    return actions[random_below(&script->random, sizeof actions / sizeof actions[0])](script);
}

/* ---- all of it ---------------------------------------------------------------------------------------- */

static bool nothing_is_left(struct script *script)
{
    const struct failing_io *failing = script->failing;
    if (failing->open_fds == 0 && failing->maps == 0 && allocations_live() == 0)
        return true;
    return wrong(script, "left behind: %ld descriptors, %ld mappings, %ld allocations", failing->open_fds,
                 failing->maps, allocations_live());
}

/* The system's own calls see what was promised. */
static bool holds_at_last(struct script *script, uint32_t number)
{
    struct rd_error error;
    char path[4096];
    path_of(script, number, path);
    if (rd_store_open(path, NULL, &script->stores[number], &error) != RD_OK)
        return wrong(script, "%s does not open at last: %.100s", names[number], error.message);
    bool fine = (is_open(script, number) || wrong(script, "%s is read-only at last", names[number])) &&
                holds_model(script, number);
    rd_store_close(script->stores[number]);
    return fine;
}

static bool run_all(struct script *script)
{
    bool fine = true;
    for (uint32_t i = 0; fine && i < STORE_COUNT; i++)
        fine = open_store(script, i);
    for (uint64_t i = 0; fine && script->operations < OPERATIONS; i++) {
        script->random = random_of(script->seed, i);
        script->failed_before = anything_failed(script);
        script->reopened[0] = script->reopened[1] = false;
        script->compacts[0] = script->compacts[1] = false;
        fine = do_something(script) && check_stores(script);
    }
    for (uint32_t i = 0; i < STORE_COUNT; i++)
        close_store(script, i);
    fine = fine && nothing_is_left(script);
    for (uint32_t i = 0; fine && i < STORE_COUNT; i++)
        fine = holds_at_last(script, i);
    return fine;
}

bool script_run(struct script *script, struct failing_io *failing, char *folder, uint64_t seed)
{
    *script = (struct script){.failing = failing, .folder = folder, .seed = seed};
    model_init(&script->model);
    history_init(&script->values);
    bool fine = run_all(script);
    history_deinit(&script->values);
    return fine;
}
