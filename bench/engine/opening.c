/* SPDX-License-Identifier: MIT
 *
 * opening.c - opening a store that was closed in order, its file in the page cache.
 */
#include <unistd.h>

#include "bench/engine/bench.h"

static void open_again(const char *row, uint64_t count)
{
    struct rd_store *store = bench_open(true);
    bench_fill(store, 0, count);
    rd_store_close(store);
    sync(); /* so that what is written back does not run beside the opening */
    uint64_t began = bench_now_ns();
    store = bench_open(false);
    bench_result(row, bench_seconds_since(began));
    if (rd_store_len(store) != count)
        bench_die("open");
    rd_store_close(store);
}

void bench_opening(void)
{
    open_again("open_1m", BENCH_ENTRY_COUNT);
    open_again("open_5m", 5 * BENCH_ENTRY_COUNT);
}
