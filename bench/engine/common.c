/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/endian.h"
#include "bench/engine/bench.h"

static volatile uint64_t sink_hole;

void bench_die(const char *what)
{
    fprintf(stderr, "bench-engine: %s failed\n", what);
    exit(1);
}

void bench_use(uint64_t sum)
{
    sink_hole = sum;
}

uint64_t bench_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

double bench_seconds_since(uint64_t began_ns)
{
    return (double)(bench_now_ns() - began_ns) / 1e9;
}

struct rd_key bench_key(uint64_t number)
{
    uint8_t bytes[16];
    memcpy(bytes, "bench-k-", 8);
    rd_store_u64le(bytes + 8, number);
    return (struct rd_key){.hash = rd_key_of_bytes(rd_slice(bytes, sizeof bytes)).hash};
}

void bench_clean(void)
{
    static const char *const names[] = {BENCH_STORE_NAME, BENCH_STORE_NAME ".meta", BENCH_STORE_NAME ".index"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unlink(bench_path(names[i]));
}

struct rd_store *bench_open(bool fresh)
{
    struct rd_store_options options = {.create = true, .durability = RD_DURABILITY_NONE, .verify_reads_off = true};
    if (fresh)
        bench_clean();
    struct rd_store *store;
    struct rd_error error;
    if (rd_store_open(bench_path(BENCH_STORE_NAME), &options, &store, &error) != RD_OK)
        bench_die(error.message);
    return store;
}

void bench_batch_make(struct bench_batch *batch, uint64_t first, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        rd_store_u64le(batch->payloads[i], first + i + 1);
        batch->entries[i] =
            (struct rd_entry){.key = bench_key(first + i), .payload = rd_slice(batch->payloads[i], 8)};
    }
}

void bench_fill(struct rd_store *store, uint64_t first, uint64_t count)
{
    static struct bench_batch batch;
    for (uint64_t done = 0; done < count; done += BENCH_BATCH_COUNT) {
        size_t batch_count = count - done < BENCH_BATCH_COUNT ? (size_t)(count - done) : BENCH_BATCH_COUNT;
        bench_batch_make(&batch, first + done, batch_count);
        if (rd_store_batch_write(store, batch.entries, batch_count, false, NULL) != RD_OK)
            bench_die("batch_write");
    }
}

uint64_t bench_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}
