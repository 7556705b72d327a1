/* SPDX-License-Identifier: MIT
 *
 * engine.c - the storage benchmark of the reference library, with the same work, on our engine:
 *
 *   1 M writes of 8 bytes in batches of 1,024 · iteration over 1 M · 1 M random single reads · 1 M batch reads of
 *   1,024 · single writes of 100 bytes (one blocking caller, and 64 in flight) · opening 1 M and 5 M entries
 *
 * Reads are not verified and nothing is synced, since the reference does neither. Usage: engine [FOLDER]
 * (default: the current one). Prints one line a row, best of three rounds and all rounds.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/endian.h"
#include "engine/engine.h"

#define ROUNDS       3
#define ENTRY_COUNT  1000000u
#define BATCH_COUNT  1024u
#define SINGLE_COUNT 200000u
#define SINGLE_LEN   100u
#define IN_FLIGHT    64u

static char path[4096];
static volatile uint64_t sink_hole; /* keeps the compiler from dropping reads */

static void die(const char *what)
{
    fprintf(stderr, "bench: %s failed\n", what);
    exit(1);
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static struct rd_key key_number(uint64_t number)
{
    uint8_t bytes[16];
    memcpy(bytes, "bench-k-", 8);
    rd_store_u64le(bytes + 8, number);
    struct rd_key key = rd_key_of_bytes(rd_slice(bytes, sizeof bytes));
    return rd_key_of_hash(key.hash);
}

static struct rd_store *open_store(bool fresh)
{
    struct rd_store_options options = {.create = true, .durability = RD_DURABILITY_NONE, .verify_reads_off = true};
    if (fresh)
        unlink(path);
    struct rd_store *store;
    struct rd_error error;
    if (rd_store_open(path, &options, &store, &error) != RD_OK)
        die(error.message);
    return store;
}

static void fill(struct rd_store *store, uint64_t count)
{
    static struct rd_entry entries[BATCH_COUNT];
    static uint8_t payloads[BATCH_COUNT][8];
    for (uint64_t done = 0; done < count; done += BATCH_COUNT) {
        size_t batch = count - done < BATCH_COUNT ? (size_t)(count - done) : BATCH_COUNT;
        for (size_t i = 0; i < batch; i++) {
            rd_store_u64le(payloads[i], done + i + 1);
            entries[i] = (struct rd_entry){.key = key_number(done + i), .payload = rd_slice(payloads[i], 8)};
        }
        if (rd_store_batch_write(store, entries, batch, false, NULL) != RD_OK)
            die("batch_write");
    }
}

static double bench_batch_write(void)
{
    struct rd_store *store = open_store(true);
    double began = now_s();
    fill(store, ENTRY_COUNT);
    double rate = ENTRY_COUNT / (now_s() - began);
    rd_store_close(store);
    return rate;
}

static double bench_iterate(struct rd_store *store)
{
    double began = now_s();
    struct rd_cursor *cursor;
    struct rd_value value;
    uint64_t count = 0;
    uint64_t sum = 0;
    if (rd_cursor_open(store, 0, &cursor) != RD_OK)
        die("cursor");
    while (rd_cursor_next(cursor, &value)) {
        sum += value.payload.data[0];
        count++;
    }
    rd_cursor_close(cursor);
    if (count != ENTRY_COUNT)
        die("iterate");
    sink_hole = sum;
    return (double)count / (now_s() - began);
}

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static double bench_random_read(struct rd_store *store)
{
    uint64_t state = 88172645463325252u;
    uint64_t sum = 0;
    double began = now_s();
    for (uint64_t i = 0; i < ENTRY_COUNT; i++) {
        struct rd_value value;
        if (rd_store_read(store, key_number(random_next(&state) % ENTRY_COUNT), &value) != RD_OK)
            die("read");
        sum += value.payload.data[0];
        rd_value_release(&value);
    }
    sink_hole = sum;
    return ENTRY_COUNT / (now_s() - began);
}

static double bench_batch_read(struct rd_store *store)
{
    static struct rd_key keys[BATCH_COUNT];
    static struct rd_value values[BATCH_COUNT];
    static enum rd_status statuses[BATCH_COUNT];
    uint64_t state = 88172645463325252u;
    uint64_t sum = 0;
    uint64_t done = 0;
    double began = now_s();
    for (; done < ENTRY_COUNT; done += BATCH_COUNT) {
        for (size_t i = 0; i < BATCH_COUNT; i++)
            keys[i] = key_number(random_next(&state) % ENTRY_COUNT);
        rd_store_batch_read(store, keys, BATCH_COUNT, values, statuses);
        for (size_t i = 0; i < BATCH_COUNT; i++)
            sum += values[i].payload.data[0];
        rd_values_release(values, BATCH_COUNT);
    }
    sink_hole = sum;
    return (double)done / (now_s() - began);
}

static double bench_single_blocking(void)
{
    struct rd_store *store = open_store(true);
    uint8_t payload[SINGLE_LEN];
    memset(payload, 'x', sizeof payload);
    double began = now_s();
    for (uint64_t i = 0; i < SINGLE_COUNT; i++)
        if (rd_store_write(store, key_number(i), rd_slice(payload, sizeof payload), NULL) != RD_OK)
            die("write");
    double rate = SINGLE_COUNT / (now_s() - began);
    rd_store_close(store);
    return rate;
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

static double bench_single_in_flight(void)
{
    struct rd_store *store = open_store(true);
    static struct rd_op ops[IN_FLIGHT];
    static struct rd_entry entries[IN_FLIGHT];
    static uint8_t payload[SINGLE_LEN];
    struct window window = {
        .sink.deliver = window_deliver, .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
    memset(payload, 'x', sizeof payload);
    uint64_t submitted = 0;
    uint64_t completed = 0;
    struct rd_op *free_ops = NULL;
    for (size_t i = 0; i < IN_FLIGHT; i++) {
        ops[i].next = free_ops;
        free_ops = &ops[i];
    }
    double began = now_s();
    while (completed < SINGLE_COUNT) {
        while (free_ops != NULL && submitted < SINGLE_COUNT) {
            struct rd_op *op = free_ops;
            free_ops = op->next;
            struct rd_entry *entry = &entries[op - ops];
            *entry = (struct rd_entry){.key = key_number(submitted++), .payload = rd_slice(payload, SINGLE_LEN)};
            *op = (struct rd_op){.kind = RD_OP_WRITE, .entries = entry, .entry_count = 1, .sink = &window.sink};
            if (rd_store_submit(store, op) != RD_OK)
                die("submit");
        }
        rd_store_kick(store);
        struct rd_op *done = window_take(&window);
        while (done != NULL) {
            struct rd_op *next = done->next;
            completed++;
            done->next = free_ops;
            free_ops = done;
            done = next;
        }
    }
    double rate = SINGLE_COUNT / (now_s() - began);
    rd_store_close(store);
    return rate;
}

static double bench_open(uint64_t count)
{
    struct rd_store *store = open_store(true);
    fill(store, count);
    rd_store_close(store);
    sync();
    double began = now_s();
    store = open_store(false);
    double took = now_s() - began;
    if (rd_store_len(store) != count)
        die("open");
    rd_store_close(store);
    return took;
}

struct row {
    const char *name;
    const char *unit;
    double scale;
    double values[ROUNDS];
};

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return (left > right) - (left < right);
}

static void print_row(struct row *row)
{
    double sorted[ROUNDS];
    memcpy(sorted, row->values, sizeof sorted);
    qsort(sorted, ROUNDS, sizeof sorted[0], compare);
    printf("%-44s %10.3f %-5s (", row->name, sorted[ROUNDS / 2] * row->scale, row->unit);
    for (size_t i = 0; i < ROUNDS; i++)
        printf("%s%.3f", i == 0 ? "" : " ", row->values[i] * row->scale);
    printf(")\n");
}

int main(int argc, char **argv)
{
    snprintf(path, sizeof path, "%s/bench-engine.rdr", argc > 1 ? argv[1] : ".");
    struct row rows[] = {
        {"writes of 8 bytes, batches of 1,024", "M/s", 1e-6, {0}},
        {"iteration over 1 M", "M/s", 1e-6, {0}},
        {"1 M random single reads", "M/s", 1e-6, {0}},
        {"1 M batch reads of 1,024", "M/s", 1e-6, {0}},
        {"single writes of 100 bytes, 1 blocking", "k/s", 1e-3, {0}},
        {"single writes of 100 bytes, 64 in flight", "k/s", 1e-3, {0}},
        {"open, 1 M entries", "s", 1, {0}},
        {"open, 5 M entries", "s", 1, {0}},
    };
    for (size_t round = 0; round < ROUNDS; round++) {
        rows[0].values[round] = bench_batch_write();
        struct rd_store *store = open_store(false);
        rows[1].values[round] = bench_iterate(store);
        rows[2].values[round] = bench_random_read(store);
        rows[3].values[round] = bench_batch_read(store);
        rd_store_close(store);
        rows[4].values[round] = bench_single_blocking();
        rows[5].values[round] = bench_single_in_flight();
        rows[6].values[round] = bench_open(ENTRY_COUNT);
        rows[7].values[round] = bench_open(5 * ENTRY_COUNT);
    }
    unlink(path);
    printf("median of %d rounds (each round in brackets)\n", ROUNDS);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        print_row(&rows[i]);
    return 0;
}
