/* SPDX-License-Identifier: MIT
 *
 * growth.c - no put may wait for the index or the map to grow: 20 M single puts of 8 bytes by a blocking caller,
 * each timed. Such a caller carries its write out itself, so its own processor time, without what other processes
 * take from it, is told beside the time on the clock; what the disk makes it wait is in the latter alone.
 *
 * Where the machine is a virtual one, what the machine under it takes is in both: in the first as if it had been
 * used, and perhaps only at a later look, by which time the clock may have moved by a microsecond. So of the two
 * the smaller counts. And between any two puts about as much time goes to hashing keys, which waits for nothing:
 * what that takes at the longest is the machine's.
 */
#include <time.h>

#include "base/endian.h"
#include "bench/engine/bench.h"
#include "clients/bench/histogram.h"

#define KEY_COUNT    UINT64_C(20000000)
#define NOTHING_KEYS 200u

/* How many took longer than so many milliseconds. */
struct longer {
    const char *row;
    uint64_t ns;
    uint64_t count;
};

struct instant {
    uint64_t own_ns;
    uint64_t clock_ns;
};

static struct instant now(void)
{
    struct timespec own;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &own);
    return (struct instant){.own_ns = (uint64_t)own.tv_sec * 1000000000u + (uint64_t)own.tv_nsec,
                            .clock_ns = bench_now_ns()};
}

static uint64_t own_ns_between(struct instant begin, struct instant end)
{
    uint64_t own_ns = end.own_ns - begin.own_ns;
    uint64_t clock_ns = end.clock_ns - begin.clock_ns;
    return own_ns < clock_ns ? own_ns : clock_ns;
}

static void count_longer(struct longer *longer, size_t longer_count, uint64_t own_ns)
{
    for (size_t i = 0; i < longer_count; i++)
        longer[i].count += own_ns > longer[i].ns;
}

static void put(struct rd_store *store, uint64_t number)
{
    uint8_t payload[8];
    rd_store_u64le(payload, number + 1);
    if (rd_store_write(store, bench_key(number), rd_slice(payload, sizeof payload), NULL) != RD_OK)
        bench_die("write");
}

static void do_nothing(void)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < NOTHING_KEYS; i++)
        sum += bench_key(i).hash;
    bench_use(sum);
}

void bench_growth(void)
{
    static struct rd_histogram clock_ns;
    clock_ns = (struct rd_histogram){.count = 0};
    uint64_t put_ns = 0;
    uint64_t put_ns_max = 0;
    uint64_t nothing_ns_max = 0;
    struct longer longer[] = {{.row = "growth_over_1", .ns = 1000000},
                              {.row = "growth_over_2", .ns = 2000000},
                              {.row = "growth_over_5", .ns = 5000000}};
    const size_t longer_count = sizeof longer / sizeof longer[0];
    struct rd_store *store = bench_open(true);
    for (uint64_t i = 0; i < KEY_COUNT; i++) {
        struct instant before = now();
        put(store, i);
        struct instant between = now();
        do_nothing();
        struct instant behind = now();
        uint64_t own_ns = own_ns_between(before, between);
        uint64_t nothing_ns = own_ns_between(between, behind);
        put_ns += between.clock_ns - before.clock_ns;
        put_ns_max = own_ns > put_ns_max ? own_ns : put_ns_max;
        nothing_ns_max = nothing_ns > nothing_ns_max ? nothing_ns : nothing_ns_max;
        count_longer(longer, longer_count, own_ns);
        rd_histogram_record(&clock_ns, between.clock_ns - before.clock_ns);
    }
    rd_store_close(store);
    bench_result("growth_rate", KEY_COUNT / ((double)put_ns / 1e9));
    bench_result("growth_p9999", (double)rd_histogram_quantile(&clock_ns, 0.9999) / 1e6);
    bench_result("growth_max", (double)clock_ns.max / 1e6);
    bench_result("growth_own_max", (double)put_ns_max / 1e6);
    for (size_t i = 0; i < longer_count; i++)
        bench_result(longer[i].row, (double)longer[i].count);
    bench_result("growth_nothing_max", (double)nothing_ns_max / 1e6);
}
