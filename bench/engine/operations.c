/* SPDX-License-Identifier: MIT
 *
 * operations.c - the storage benchmark of the reference library, with the same work, on our engine: 1 M writes of
 * 8 bytes in batches of 1,024, iteration over them, 1 M random single reads, 1 M batch reads of 1,024, and single
 * writes of 100 bytes by one blocking caller; besides, those with 64 under way, and the batches with 4.
 *
 * What takes a fraction of a second is measured in several passes: in one, others may have had the machine.
 */
#include <pthread.h>
#include <string.h>

#include "bench/engine/bench.h"

#define SINGLE_COUNT 200000u
#define SINGLE_LEN   100u

#define SINGLES_IN_FLIGHT 64u
#define BATCHES_IN_FLIGHT 4u
#define IN_FLIGHT_MAX     SINGLES_IN_FLIGHT

static uint8_t single_payload[SINGLE_LEN]; /* filled before the first use */

static void batch_write(void)
{
    struct rd_store *store = bench_open(true);
    uint64_t began = bench_now_ns();
    bench_fill(store, 0, BENCH_ENTRY_COUNT);
    bench_result("batch_write", BENCH_ENTRY_COUNT / bench_seconds_since(began));
    rd_store_close(store);
}

static void iterate(struct rd_store *store)
{
    uint64_t began = bench_now_ns();
    struct rd_cursor *cursor;
    struct rd_value value;
    uint64_t count = 0;
    uint64_t sum = 0;
    if (rd_cursor_open(store, 0, &cursor) != RD_OK)
        bench_die("cursor");
    while (rd_cursor_next(cursor, &value)) {
        sum += value.payload.data[0];
        count++;
    }
    rd_cursor_close(cursor);
    if (count != BENCH_ENTRY_COUNT)
        bench_die("iterate");
    bench_use(sum);
    bench_result("iterate", (double)count / bench_seconds_since(began));
}

static void random_read(struct rd_store *store)
{
    uint64_t state = BENCH_RANDOM_SEED;
    uint64_t sum = 0;
    uint64_t began = bench_now_ns();
    for (uint64_t i = 0; i < BENCH_ENTRY_COUNT; i++) {
        struct rd_value value;
        if (rd_store_read(store, bench_key(bench_random(&state) % BENCH_ENTRY_COUNT), &value) != RD_OK)
            bench_die("read");
        sum += value.payload.data[0];
        rd_value_release(&value);
    }
    bench_use(sum);
    bench_result("random_read", BENCH_ENTRY_COUNT / bench_seconds_since(began));
}

static void batch_read(struct rd_store *store)
{
    static struct rd_key keys[BENCH_BATCH_COUNT];
    static struct rd_value values[BENCH_BATCH_COUNT];
    static enum rd_status statuses[BENCH_BATCH_COUNT];
    uint64_t state = BENCH_RANDOM_SEED;
    uint64_t sum = 0;
    uint64_t done = 0;
    uint64_t began = bench_now_ns();
    for (; done < BENCH_ENTRY_COUNT; done += BENCH_BATCH_COUNT) {
        for (size_t i = 0; i < BENCH_BATCH_COUNT; i++)
            keys[i] = bench_key(bench_random(&state) % BENCH_ENTRY_COUNT);
        rd_store_batch_read(store, keys, BENCH_BATCH_COUNT, values, statuses);
        for (size_t i = 0; i < BENCH_BATCH_COUNT; i++)
            sum += values[i].payload.data[0];
        rd_values_release(values, BENCH_BATCH_COUNT);
    }
    bench_use(sum);
    bench_result("batch_read", (double)done / bench_seconds_since(began));
}

static void single_blocking(void)
{
    struct rd_store *store = bench_open(true);
    uint64_t began = bench_now_ns();
    for (uint64_t i = 0; i < SINGLE_COUNT; i++)
        if (rd_store_write(store, bench_key(i), rd_slice(single_payload, SINGLE_LEN), NULL) != RD_OK)
            bench_die("write");
    bench_result("single_blocking", SINGLE_COUNT / bench_seconds_since(began));
    rd_store_close(store);
}

/* Operations that come back are filled anew and submitted again. */
struct window {
    struct rd_sink sink;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct rd_op *done; /* guarded by lock */
};

static void window_deliver(struct rd_sink *sink, struct rd_op *first, struct rd_op *last)
{
    struct window *window = (struct window *)sink;
    pthread_mutex_lock(&window->lock);
    bool wake = window->done == NULL;
    last->next = window->done;
    window->done = first;
    pthread_mutex_unlock(&window->lock);
    if (wake)
        pthread_cond_signal(&window->wake);
}

static struct rd_op *window_take(struct window *window)
{
    pthread_mutex_lock(&window->lock);
    while (window->done == NULL)
        pthread_cond_wait(&window->wake, &window->lock);
    struct rd_op *done = window->done;
    window->done = NULL;
    pthread_mutex_unlock(&window->lock);
    return done;
}

/* What is kept under way in a window. */
struct work {
    const char *row;
    size_t in_flight;   /* operations; at most IN_FLIGHT_MAX */
    size_t batch_count; /* entries of an operation */
    uint64_t count;     /* of all entries */
    /* Makes operation `number` of those under way from `count` entries, whose keys are `first` and so on. */
    void (*make)(struct rd_op *op, size_t number, uint64_t first, size_t count);
};

static void make_single(struct rd_op *op, size_t number, uint64_t first, size_t count)
{
    static struct rd_entry entries[SINGLES_IN_FLIGHT];
    entries[number] = (struct rd_entry){.key = bench_key(first), .payload = rd_slice(single_payload, SINGLE_LEN)};
    *op = (struct rd_op){.kind = RD_OP_WRITE, .entries = &entries[number], .entry_count = count};
}

static void make_batch(struct rd_op *op, size_t number, uint64_t first, size_t count)
{
    static struct bench_batch batches[BATCHES_IN_FLIGHT];
    bench_batch_make(&batches[number], first, count);
    *op = (struct rd_op){.kind = RD_OP_BATCH_WRITE, .entries = batches[number].entries, .entry_count = count};
}

static void window_run(struct window *window, struct rd_store *store, const struct work *work)
{
    static struct rd_op ops[IN_FLIGHT_MAX];
    struct rd_op *free_ops = NULL;
    for (size_t i = 0; i < work->in_flight; i++) {
        ops[i].next = free_ops;
        free_ops = &ops[i];
    }
    for (uint64_t submitted = 0, completed = 0; completed < work->count;) {
        while (free_ops != NULL && submitted < work->count) {
            struct rd_op *op = free_ops;
            free_ops = op->next;
            uint64_t left = work->count - submitted;
            size_t count = left < work->batch_count ? (size_t)left : work->batch_count;
            work->make(op, (size_t)(op - ops), submitted, count);
            op->sink = &window->sink;
            submitted += count;
            if (rd_store_submit(store, op) != RD_OK)
                bench_die("submit");
        }
        rd_store_kick(store);
        for (struct rd_op *done = window_take(window), *next; done != NULL; done = next) {
            next = done->next;
            if (done->status != RD_OK)
                bench_die("write");
            completed += done->entry_count;
            done->next = free_ops;
            free_ops = done;
        }
    }
}

static void in_flight(const struct work *work)
{
    struct rd_store *store = bench_open(true);
    struct window window = {
        .sink.deliver = window_deliver, .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
    uint64_t began = bench_now_ns();
    window_run(&window, store, work);
    bench_result(work->row, (double)work->count / bench_seconds_since(began));
    rd_store_close(store);
}

static const struct work singles_in_flight = {
    .row = "single_in_flight",
    .in_flight = SINGLES_IN_FLIGHT,
    .batch_count = 1,
    .count = SINGLE_COUNT,
    .make = make_single,
};

static const struct work batches_in_flight = {
    .row = "batch_in_flight",
    .in_flight = BATCHES_IN_FLIGHT,
    .batch_count = BENCH_BATCH_COUNT,
    .count = BENCH_ENTRY_COUNT,
    .make = make_batch,
};

void bench_operations(void)
{
    memset(single_payload, 'x', sizeof single_payload);
    bench_warm();
    for (unsigned pass = 0; pass < BENCH_PASSES; pass++) {
        bench_fresh_pages();
        batch_write();
        struct rd_store *store = bench_open(false);
        iterate(store);
        random_read(store);
        batch_read(store);
        rd_store_close(store);
        bench_two_looks();
        bench_first_looks();
        bench_system_calls();
        in_flight(&batches_in_flight);
        single_blocking();
        in_flight(&singles_in_flight);
    }
}
