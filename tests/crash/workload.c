/* SPDX-License-Identifier: MIT */
#include "tests/crash/workload.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/store.h"
#include "tests/crash/values.h"

#define INTERVAL_MS        3600000u /* real time never gets there: the workload's clock does, in leaps */
#define PLACED_LEN_MIN     6000u
#define GAP_LEN_MIN        4096u
#define SLICE_LEN          4096u
#define RECORD_EVERY       60000u
#define CHECKPOINT_ENTRIES 1u
#define EXTENDED_FROM      3u
#define LEAD_LEN           4096u
#define BESIDE_FROM        2u /* entries */
#define HOLE_LEN           1000u
#define LANDED_LEN_MIN     (UINT64_C(257) << 10) /* a shorter spool stays in memory */
#define GROUP_COUNT_MAX    8u
#define ACTIONS_MIN        30u
#define ACTIONS_MAX        90u

const char *const workload_store_names[STORE_COUNT] = {"a.rdr", "b.rdr"};

/* ---- time --------------------------------------------------------------------------------------------- */

static atomic_uint_fast64_t clock_ms;

/* Begins where the machine's own clock is, since that is what the writer's waits end by. */
static void clock_begin(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    atomic_store(&clock_ms, (uint64_t)now.tv_sec * 1000 + INTERVAL_MS);
}

uint64_t __wrap_rd_monotonic_ms(void)
{
    return atomic_load(&clock_ms);
}

/* ---- opening and closing ------------------------------------------------------------------------------ */

struct rd_store_options workload_options(const struct workload *workload, uint32_t store, const struct rd_io *io)
{
    return (struct rd_store_options){.create = true,
                                     .durability = workload->durabilities[store],
                                     .durability_interval_ms = INTERVAL_MS,
                                     .batch_marker_off = workload->planted == PLANTED_NO_MARKER,
                                     .io = io};
}

void workload_make_small(struct rd_store *store)
{
    store->ahead.placed_len_min = PLACED_LEN_MIN;
    store->ahead.gap_len_min = GAP_LEN_MIN;
    store->ahead.slice_len = SLICE_LEN;
    store->ahead.hole_len = HOLE_LEN;
    store->writer.record_every_len = RECORD_EVERY;
    store->syncer.beside_len_min = 1;
    store->checkpoint_entries = CHECKPOINT_ENTRIES;
    store->extension.groups_min = EXTENDED_FROM;
    store->extension.lead_len = LEAD_LEN;
}

static void open_store(struct workload *workload, uint32_t number)
{
    char path[4096];
    struct rd_error error;
    struct rd_store_options options = workload_options(workload, number, &workload->recorder.io);
    snprintf(path, sizeof path, "%s/%s", workload->folder, workload_store_names[number]);
    if (rd_store_open(path, &options, &workload->stores[number], &error) != RD_OK)
        die("the workload cannot open %s: %s", path, error.message);
    struct rd_store *store = workload->stores[number];
    workload_make_small(store);
    store->extension.batch_min = BESIDE_FROM; /* nowhere else: its calls come when they come */
    history_settle(&workload->history, number, recorder_note(&workload->recorder));
}

static void close_store(struct workload *workload, uint32_t number)
{
    rd_store_close(workload->stores[number]);
    history_settle(&workload->history, number, recorder_note(&workload->recorder));
}

static bool is_idle(struct rd_store *store)
{
    const struct rd_sync_beside *beside = &store->syncer.beside;
    pthread_mutex_lock(&store->writer.role);
    const struct rd_extension_beside *extending = &store->extension.beside;
    bool syncs = beside->running && !atomic_load_explicit(&beside->done, memory_order_acquire);
    bool extends = extending->running && !atomic_load_explicit(&extending->done, memory_order_acquire);
    bool idle = !syncs && !extends && !rd_ahead_is_abandoned(&store->ahead);
    pthread_mutex_unlock(&store->writer.role);
    return idle;
}

/* The writer answers before it has put everything away, and may have begun a sync beside it, or an extension, or
 * have to take back what is ahead and was given up; the next thing that is done must come behind that. */
static void wait_until_idle(struct rd_store *store)
{
    while (!is_idle(store))
        sched_yield();
}

/* ---- submitting, answers ------------------------------------------------------------------------------ */

struct answers {
    struct rd_sink sink; /* first */
    struct workload *workload;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t count; /* guarded by lock */
};

static void take_answers(struct rd_sink *sink, struct rd_op *first, struct rd_op *last)
{
    struct answers *answers = (struct answers *)sink;
    size_t count = 0;
    for (struct rd_op *op = first;; op = op->next) {
        struct request *request = op->context;
        request->answered_at = recorder_note(&answers->workload->recorder);
        request->answered_ms = __wrap_rd_monotonic_ms();
        count++;
        if (op == last)
            break;
    }
    pthread_mutex_lock(&answers->lock);
    answers->count += count;
    pthread_cond_signal(&answers->changed);
    pthread_mutex_unlock(&answers->lock);
}

static void answers_init(struct answers *answers, struct workload *workload)
{
    *answers = (struct answers){.sink.deliver = take_answers, .workload = workload};
    pthread_mutex_init(&answers->lock, NULL);
    pthread_cond_init(&answers->changed, NULL);
}

static void answers_wait(struct answers *answers, size_t count)
{
    pthread_mutex_lock(&answers->lock);
    while (answers->count < count)
        pthread_cond_wait(&answers->changed, &answers->lock);
    pthread_mutex_unlock(&answers->lock);
    pthread_cond_destroy(&answers->changed);
    pthread_mutex_destroy(&answers->lock);
}

static void submit(struct answers *answers, struct request *request)
{
    struct workload *workload = answers->workload;
    request->op.sink = &answers->sink;
    request->submitted_at = recorder_note(&workload->recorder);
    enum rd_status status = rd_store_submit(workload->stores[request->store], &request->op);
    if (status != RD_OK)
        die("an operation was not taken: %s", rd_status_name(status));
}

/* What the request did goes into model and history. may_lack_space: the disk was full at that time. */
static void take_result(struct workload *workload, const struct request *request, bool may_lack_space)
{
    struct history *history = &workload->history;
    struct model *model = &workload->model;
    const struct rd_op *op = &request->op;
    history_add_answer(history, request->store,
                       (struct answer){.at = request->answered_at, .ms = request->answered_ms});
    if (may_lack_space && op->status == RD_NO_SPACE)
        return;
    enum rd_status expected = request_expect(request, model);
    if (op->status != expected)
        die("operation of kind %d answered %s, not %s", (int)op->kind, rd_status_name(op->status),
            rd_status_name(expected));
    struct change changes[REQUEST_ENTRIES_MAX];
    size_t count = expected == RD_OK ? request_changes(request, model, changes) : 0;
    const char *lie = expected == RD_OK ? request_lies(request, model, count) : NULL;
    if (lie != NULL)
        die("operation of kind %d does not tell the truth about %s", (int)op->kind, lie);
    if (count == 0)
        return;
    bool synced = op->durability_applied == RD_DURABILITY_SYNC;
    history_add_step(history, request->store,
                     (struct step){.submitted_at = request->submitted_at,
                                   .answered_at = request->answered_at,
                                   .durable_at = synced ? request->answered_at : NEVER,
                                   .answered_ms = request->answered_ms,
                                   .interval = op->durability_applied == RD_DURABILITY_INTERVAL,
                                   .tail = op->tail});
    for (size_t i = 0; i < count; i++)
        history_add_change(history, request->store, changes[i].key, changes[i].value);
    model_apply(model, request->store, changes, count);
}

/* ---- one operation, a group of them ------------------------------------------------------------------- */

static void begin_request(struct workload *workload, struct request *request, struct rd_store *store)
{
    if (request_begin(request, &workload->random, &workload->history, store) != RD_OK)
        die("a stream could not be spooled");
    if (request->op.kind == RD_OP_STREAM)
        request->op.placement = rd_spool_place(request->op.spool, request->op.durability);
    workload->placed += request->op.placement != NULL;
}

static void end_request(struct workload *workload, struct request *request)
{
    rd_placement_destroy(request->op.placement);
    wait_until_idle(workload->stores[request->store]);
    request_end(request);
}

static void run_blocking(struct workload *workload, struct request *request)
{
    request->submitted_at = recorder_note(&workload->recorder);
    enum rd_status status = rd_store_execute(workload->stores[request->store], &request->op);
    if (status != request->op.status)
        die("an operation was not taken: %s", rd_status_name(status));
    request->answered_at = recorder_note(&workload->recorder);
    request->answered_ms = __wrap_rd_monotonic_ms();
}

static void run_async(struct workload *workload, struct request *request)
{
    struct answers answers;
    answers_init(&answers, workload);
    submit(&answers, request);
    rd_store_kick(workload->stores[request->store]);
    answers_wait(&answers, 1);
}

static void do_single(struct workload *workload)
{
    struct request request;
    uint32_t number = (uint32_t)random_below(&workload->random, STORE_COUNT);
    struct rd_store *store = workload->stores[number];
    request_make(&request, &workload->random, &workload->history, &workload->model, number, store);
    begin_request(workload, &request, store);
    if (random_one_in(&workload->random, 2))
        run_blocking(workload, &request);
    else
        run_async(workload, &request);
    wait_until_idle(store);
    take_result(workload, &request, false);
    end_request(workload, &request);
}

/* The first is a group of its own; its write is held up until the others are queued, which makes them one. */
static void run_group(struct workload *workload, uint32_t number, struct request *requests, size_t count)
{
    struct answers answers;
    answers_init(&answers, workload);
    hold_close(&workload->recorder.writes);
    submit(&answers, &requests[0]);
    rd_store_kick(workload->stores[number]);
    hold_await(&workload->recorder.writes);
    for (size_t i = 1; i < count; i++)
        submit(&answers, &requests[i]);
    hold_open(&workload->recorder.writes);
    rd_store_kick(workload->stores[number]);
    answers_wait(&answers, count);
    wait_until_idle(workload->stores[number]);
}

/* commit: NULL, or one more request, which goes somewhere among the others. */
static void do_group(struct workload *workload, uint32_t number, struct request *commit, bool may_lack_space)
{
    struct request requests[GROUP_COUNT_MAX];
    struct random *random = &workload->random;
    struct rd_store *store = workload->stores[number];
    size_t count = 2 + random_below(random, GROUP_COUNT_MAX - 1);
    size_t commit_at = commit == NULL ? SIZE_MAX : 1 + random_below(random, count - 1);
    request_make_write(&requests[0], random, &workload->history, number, store, 1 + random_below(random, 100));
    for (size_t i = 1; i < count; i++) {
        if (i == commit_at) {
            requests[i] = *commit;
            requests[i].op.entries = requests[i].entries;
            requests[i].op.context = &requests[i];
            continue;
        }
        request_make(&requests[i], random, &workload->history, &workload->model, number, store);
        if (request_begin(&requests[i], random, &workload->history, store) != RD_OK)
            die("a stream could not be spooled");
    }
    run_group(workload, number, requests, count);
    for (size_t i = 0; i < count; i++) {
        take_result(workload, &requests[i], may_lack_space);
        request_end(&requests[i]);
    }
}

static void do_group_somewhere(struct workload *workload)
{
    do_group(workload, (uint32_t)random_below(&workload->random, STORE_COUNT), NULL, false);
}

static void do_group_on_a_full_disk(struct workload *workload)
{
    uint32_t number = (uint32_t)random_below(&workload->random, STORE_COUNT);
    uint64_t room = 150 + random_below(&workload->random, 6000); /* for the first, that waits */
    recorder_set_size_max(&workload->recorder, rd_store_file_size(workload->stores[number]) + room);
    do_group(workload, number, NULL, true);
    recorder_set_size_max(&workload->recorder, 0);
}

/* ---- between the stores ------------------------------------------------------------------------------- */

static void add_moved_step(struct workload *workload, uint32_t store, uint64_t tail, struct change change,
                           struct step step, enum rd_durability durability)
{
    step.durable_at = durability == RD_DURABILITY_SYNC ? step.answered_at : NEVER;
    step.interval = durability == RD_DURABILITY_INTERVAL;
    step.tail = tail;
    history_add_step(&workload->history, store, step);
    history_add_change(&workload->history, store, change.key, change.value);
    model_apply(&workload->model, store, &change, 1);
}

static void do_move(struct workload *workload, bool transfer)
{
    uint32_t from = (uint32_t)random_below(&workload->random, STORE_COUNT);
    uint32_t key = (uint32_t)random_below(&workload->random, KEY_COUNT);
    struct rd_store *source = workload->stores[from];
    struct rd_store *target = workload->stores[1 - from];
    struct rd_moved moved;
    struct step step = {.submitted_at = recorder_note(&workload->recorder)};
    enum rd_status status = transfer ? rd_store_transfer(source, key_of(key), target, &moved)
                                     : rd_store_copy(source, key_of(key), target, &moved);
    step.answered_at = recorder_note(&workload->recorder);
    step.answered_ms = __wrap_rd_monotonic_ms();
    wait_until_idle(source);
    wait_until_idle(target);
    int32_t value = workload->model.values[from][key];
    if (status != (value == ABSENT ? RD_KEY_NOT_FOUND : RD_OK))
        die("copy or transfer answered %s", rd_status_name(status));
    if (value == ABSENT)
        return;
    struct move move = {.source = from,
                        .source_step = workload->history.stores[from].count,
                        .target_step = workload->history.stores[1 - from].count};
    enum rd_durability target_durability = transfer ? RD_DURABILITY_SYNC : workload->durabilities[1 - from];
    add_moved_step(workload, 1 - from, moved.target.tail, (struct change){key, value}, step, target_durability);
    workload->moved++;
    if (!transfer)
        return;
    add_moved_step(workload, from, moved.source_tail, (struct change){key, ABSENT}, step,
                   workload->durabilities[from]);
    history_add_move(&workload->history, move);
}

static void do_copy(struct workload *workload)
{
    do_move(workload, false);
}

static void do_transfer(struct workload *workload)
{
    do_move(workload, true);
}

/* ---- values placed ahead of the tail ------------------------------------------------------------------ */

struct placing {
    struct workload *workload;
    uint32_t number;
    unsigned writes_left;
};

/* Small enough not to come close to the value that is being placed: that would wait for this very thread. */
static void write_meanwhile(void *context)
{
    struct placing *placing = context;
    if (placing->writes_left == 0)
        return;
    placing->writes_left--;
    struct workload *workload = placing->workload;
    struct request request;
    request_make_write(&request, &workload->random, &workload->history, placing->number,
                       workload->stores[placing->number], 1 + random_below(&workload->random, 100));
    request.op.durability = random_one_in(&workload->random, 2) ? RD_DURABILITY_SYNC : RD_DURABILITY_NONE;
    run_async(workload, &request);
    wait_until_idle(workload->stores[placing->number]);
    take_result(workload, &request, false);
}

static void write_alone(struct workload *workload, uint32_t number, size_t len)
{
    struct request request;
    request_make_write(&request, &workload->random, &workload->history, number, workload->stores[number], len);
    run_async(workload, &request);
    wait_until_idle(workload->stores[number]);
    take_result(workload, &request, false);
}

/* A long value is placed while short ones are written, and then committed: alone, or among others in a group, or
 * after one that needed its place, or never. */
static void do_placed(struct workload *workload)
{
    struct random *random = &workload->random;
    uint32_t number = (uint32_t)random_below(random, STORE_COUNT);
    struct placing placing = {workload, number, (unsigned)random_below(random, 4)};
    struct rd_store *store = workload->stores[number];
    struct request request;
    request_make_write(&request, random, &workload->history, number, store,
                       PLACED_LEN_MIN + random_below(random, 20000));
    workload->recorder.while_placing = write_meanwhile;
    workload->recorder.while_placing_context = &placing;
    request.op.placement = rd_store_place(store, request.entries[0].payload, request.op.durability);
    workload->recorder.while_placing = NULL;
    workload->placed += request.op.placement != NULL;
    wait_until_idle(store);
    for (uint64_t more = random_below(random, 3); more > 0; more--)
        write_alone(workload, number, 1 + random_below(random, random_one_in(random, 4) ? 5000 : 200));
    struct rd_placement *placement = request.op.placement;
    if (random_one_in(random, 3)) {
        do_group(workload, number, &request, false);
    } else if (!random_one_in(random, 5)) {
        run_async(workload, &request);
        wait_until_idle(store);
        take_result(workload, &request, false);
    }
    rd_placement_destroy(placement);
    wait_until_idle(store);
}

/* A long value lands while short ones are written, some of which reach it, and is then committed, or never. */
static void do_landed(struct workload *workload)
{
    struct random *random = &workload->random;
    uint32_t number = (uint32_t)random_below(random, STORE_COUNT);
    struct rd_store *store = workload->stores[number];
    bool reached = random_one_in(random, 2);
    struct request request;
    request_make_write(&request, random, &workload->history, number, store,
                       LANDED_LEN_MIN + random_below(random, 100000));
    struct rd_slice bytes = request.entries[0].payload;
    if (rd_spool_create(store, &request.op.spool) != RD_OK)
        die("no memory for a spool");
    rd_spool_announce(request.op.spool, bytes.len, request.op.durability);
    request.op.kind = RD_OP_STREAM;
    while (bytes.len != 0) {
        struct rd_slice piece = rd_slice_take(&bytes, 20000 + random_below(random, 50000));
        if (rd_spool_append(request.op.spool, piece) != RD_OK)
            die("a stream could not be spooled");
        if (random_one_in(random, 2))
            write_alone(workload, number, 1 + random_below(random, reached ? 5000 : 200));
    }
    request.op.placement = rd_spool_place(request.op.spool, request.op.durability);
    workload->landed += request.op.placement != NULL;
    wait_until_idle(store);
    if (random_one_in(random, 3))
        write_alone(workload, number, 1 + random_below(random, 5000));
    if (!random_one_in(random, 5)) {
        run_async(workload, &request);
        wait_until_idle(store);
        take_result(workload, &request, false);
    }
    end_request(workload, &request);
}

/* ---- all of it ---------------------------------------------------------------------------------------- */

static void do_reopen(struct workload *workload)
{
    uint32_t number = (uint32_t)random_below(&workload->random, STORE_COUNT);
    close_store(workload, number);
    open_store(workload, number);
}

/* All before is durable then: the new file was synced before it got the name. */
static void do_compact(struct workload *workload)
{
    struct rd_error error;
    uint32_t number = (uint32_t)random_below(&workload->random, STORE_COUNT);
    if (rd_store_compact(workload->stores[number], NULL, &error) != RD_OK)
        die("compacting %s: %s", workload_store_names[number], error.message);
    wait_until_idle(workload->stores[number]);
    history_settle(&workload->history, number, recorder_note(&workload->recorder));
    workload->compacted++;
}

static bool is_extended(struct rd_store *store)
{
    pthread_mutex_lock(&store->writer.role);
    bool extended = store->file.size > rd_writer_tail(store);
    pthread_mutex_unlock(&store->writer.role);
    return extended;
}

/* The writer looks at the clock where nothing is written; what runs ahead goes then. */
static void let_pause(struct rd_store *store)
{
    rd_queue_nudge(&store->queue);
    while (is_extended(store))
        sched_yield();
    wait_until_idle(store);
}

/* What is due for a sync by then has it before a group is held up: beside the writer, or with the write where the
 * whole interval has passed. */
static void do_wait(struct workload *workload)
{
    atomic_fetch_add(&clock_ms, INTERVAL_MS / 2 + random_below(&workload->random, INTERVAL_MS));
    bool pauses = random_one_in(&workload->random, 2);
    for (uint32_t i = 0; pauses && i < STORE_COUNT; i++)
        let_pause(workload->stores[i]);
    for (uint32_t i = 0; i < STORE_COUNT; i++)
        write_alone(workload, i, value_len(&workload->random, 0));
}

struct action {
    unsigned weight;
    void (*run)(struct workload *workload);
};

static const struct action actions[] = {
    {55, do_single}, {18, do_group_somewhere}, {5, do_copy}, {7, do_transfer},
    {6, do_placed},  {5, do_reopen},           {4, do_wait}, {4, do_group_on_a_full_disk},
    {5, do_compact}, {2, do_landed},
};

static void do_something(struct workload *workload)
{
    unsigned total = 0;
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
        total += actions[i].weight;
    uint64_t chosen = random_below(&workload->random, total);
    size_t i = 0;
    for (; chosen >= actions[i].weight; i++)
        chosen -= actions[i].weight;
    actions[i].run(workload);
}

/* The stores, still open, against the model. */
static void expect_model(const struct workload *workload, uint32_t number)
{
    for (uint32_t key = 0; key < KEY_COUNT; key++) {
        struct rd_value found;
        int32_t value = workload->model.values[number][key];
        enum rd_status status = rd_store_read(workload->stores[number], key_of(key), &found);
        if (status != (value == ABSENT ? RD_KEY_NOT_FOUND : RD_OK))
            die("reading a key of the open store answers %s", rd_status_name(status));
        if (value != ABSENT && !rd_slice_equal(found.payload, history_bytes(&workload->history, value)))
            die("a key of the open store has another value");
        if (value != ABSENT)
            rd_value_release(&found);
    }
}

void workload_run(struct workload *workload, uint64_t seed, size_t number, enum planted planted)
{
    static const enum rd_durability durabilities[] = {RD_DURABILITY_SYNC, RD_DURABILITY_INTERVAL,
                                                      RD_DURABILITY_NONE};
    *workload =
        (struct workload){.random = random_of(seed, number), .folder = scratch_create(), .planted = planted};
    struct log log;
    log_init(&log, &workload->nothing);
    recorder_init(&workload->recorder, log, planted);
    history_init(&workload->history);
    model_init(&workload->model);
    clock_begin();
    for (uint32_t i = 0; i < STORE_COUNT; i++) {
        workload->durabilities[i] = durabilities[random_below(&workload->random, 3)];
        open_store(workload, i);
        write_alone(workload, i, value_len(&workload->random, 0));
    }
    uint64_t count = ACTIONS_MIN + random_below(&workload->random, ACTIONS_MAX - ACTIONS_MIN);
    for (uint64_t i = 0; i < count; i++)
        do_something(workload);
    for (uint32_t i = 0; i < STORE_COUNT; i++) {
        expect_model(workload, i);
        close_store(workload, i);
    }
    history_finish(&workload->history, INTERVAL_MS);
    workload->further = history_value(&workload->history, rd_slice_of_string("written after the crash"));
}

void workload_deinit(struct workload *workload)
{
    recorder_deinit(&workload->recorder);
    history_deinit(&workload->history);
    scratch_remove(workload->folder);
}
