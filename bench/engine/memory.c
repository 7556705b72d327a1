/* SPDX-License-Identifier: MIT
 *
 * memory.c - what a key costs in memory: the process's anonymous memory, which holds the index and all that goes
 * with it but not the mapped file, against the number of keys, at every load factor that a growing index passes
 * through; and the same after the store has been closed and opened again.
 */
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "bench/engine/bench.h"

#define COUNT_MIN  UINT64_C(200000)
#define COUNT_MAX  UINT64_C(5000000)
#define STEP_PARTS 50 /* a look each time the store has grown by a fiftieth */

/* smaps_rollup, because the figures of /proc/self/status lag behind by up to megabytes. */
static double anonymous_bytes(void)
{
    char line[256];
    unsigned long kib = 0;
    bool found = false;
    FILE *file = fopen("/proc/self/smaps_rollup", "re");
    if (file == NULL)
        bench_die("/proc/self/smaps_rollup");
    while (!found && fgets(line, sizeof line, file) != NULL)
        found = sscanf(line, "Anonymous: %lu kB", &kib) == 1;
    fclose(file);
    if (!found)
        bench_die("Anonymous in /proc/self/smaps_rollup");
    return (double)kib * 1024;
}

static double at_rest(double base, uint64_t count)
{
    struct rd_store *store = bench_open(false);
    if (rd_store_len(store) != count)
        bench_die("open");
    malloc_trim(0);
    double bytes = (anonymous_bytes() - base) / (double)count;
    rd_store_close(store);
    return bytes;
}

void bench_memory(void)
{
    malloc_trim(0);
    struct rd_store *store = bench_open(true);
    bench_fill(store, 0, BENCH_BATCH_COUNT); /* the static arrays and the writer's buffers are there now */
    double base = anonymous_bytes();
    double best = 0;
    double worst = 0;
    uint64_t count = BENCH_BATCH_COUNT;
    for (uint64_t next = COUNT_MIN; next <= COUNT_MAX; next += next / STEP_PARTS) {
        bench_fill(store, count, next - count);
        count = next;
        double bytes = (anonymous_bytes() - base) / (double)count;
        worst = bytes > worst ? bytes : worst;
        best = best == 0 || bytes < best ? bytes : best;
    }
    rd_store_close(store);
    bench_result("memory_growing_min", best);
    bench_result("memory_growing_max", worst);

    malloc_trim(0);
    base = anonymous_bytes();
    bench_result("memory_rest_5m", at_rest(base, count));
    store = bench_open(true);
    bench_fill(store, 0, BENCH_ENTRY_COUNT);
    rd_store_close(store);
    malloc_trim(0);
    base = anonymous_bytes();
    bench_result("memory_rest_1m", at_rest(base, BENCH_ENTRY_COUNT));
}
