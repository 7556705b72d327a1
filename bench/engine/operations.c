/* SPDX-License-Identifier: MIT
 *
 * operations.c - the storage benchmark of the reference library, with the same work, on our engine: 1 M writes of
 * 8 bytes in batches of 1,024, iteration over them, 1 M random single reads, 1 M batch reads of 1,024, and single
 * writes of 100 bytes by one blocking caller; besides, those with 64 under way.
 */
#include <pthread.h>
#include <string.h>

#include "bench/engine/bench.h"

#define SINGLE_COUNT 200000u
#define SINGLE_LEN   100u
#define IN_FLIGHT    64u

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
    uint8_t payload[SINGLE_LEN];
    memset(payload, 'x', sizeof payload);
    uint64_t began = bench_now_ns();
    for (uint64_t i = 0; i < SINGLE_COUNT; i++)
        if (rd_store_write(store, bench_key(i), rd_slice(payload, sizeof payload), NULL) != RD_OK)
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

static void window_run(struct window *window, struct rd_store *store)
{
    static struct rd_op ops[IN_FLIGHT];
    static struct rd_entry entries[IN_FLIGHT];
    static uint8_t payload[SINGLE_LEN];
    struct rd_op *free_ops = NULL;
    memset(payload, 'x', sizeof payload);
    for (size_t i = 0; i < IN_FLIGHT; i++) {
        ops[i].next = free_ops;
        free_ops = &ops[i];
    }
    for (uint64_t submitted = 0, completed = 0; completed < SINGLE_COUNT;) {
        while (free_ops != NULL && submitted < SINGLE_COUNT) {
            struct rd_op *op = free_ops;
            free_ops = op->next;
            struct rd_entry *entry = &entries[op - ops];
            *entry = (struct rd_entry){.key = bench_key(submitted++), .payload = rd_slice(payload, SINGLE_LEN)};
            *op = (struct rd_op){.kind = RD_OP_WRITE, .entries = entry, .entry_count = 1, .sink = &window->sink};
            if (rd_store_submit(store, op) != RD_OK)
                bench_die("submit");
        }
        rd_store_kick(store);
        for (struct rd_op *done = window_take(window), *next; done != NULL; done = next) {
            next = done->next;
            completed++;
            done->next = free_ops;
            free_ops = done;
        }
    }
}

static void single_in_flight(void)
{
    struct rd_store *store = bench_open(true);
    struct window window = {
        .sink.deliver = window_deliver, .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
    uint64_t began = bench_now_ns();
    window_run(&window, store);
    bench_result("single_in_flight", SINGLE_COUNT / bench_seconds_since(began));
    rd_store_close(store);
}

void bench_operations(void)
{
    batch_write();
    struct rd_store *store = bench_open(false);
    iterate(store);
    random_read(store);
    batch_read(store);
    rd_store_close(store);
    single_blocking();
    single_in_flight();
}
