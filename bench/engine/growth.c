/* SPDX-License-Identifier: MIT
 *
 * growth.c - no put may wait for the index or the map to grow: 20 M single puts of 8 bytes by a blocking caller,
 * each timed. Such a caller carries its write out itself, so its own processor time, without what other processes
 * take from it, is told beside the time on the clock; what the disk makes it wait is in the latter alone. (Where
 * the machine is a virtual one, what was taken from it is put to a thread's account late: then the clock is
 * right.)
 */
#include <time.h>

#include "base/endian.h"
#include "bench/engine/bench.h"
#include "clients/bench/histogram.h"

#define KEY_COUNT UINT64_C(20000000)

/* How many puts took longer than so many milliseconds, by their own processor time. */
struct longer {
    const char *row;
    uint64_t ns;
    uint64_t count;
};

static void count_longer(struct longer *longer, size_t longer_count, uint64_t own_ns)
{
    for (size_t i = 0; i < longer_count; i++)
        longer[i].count += own_ns > longer[i].ns;
}

static uint64_t processor_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void bench_growth(void)
{
    static struct rd_histogram clock_ns;
    static struct rd_histogram own_ns;
    clock_ns = (struct rd_histogram){.count = 0};
    own_ns = (struct rd_histogram){.count = 0};
    struct longer longer[] = {{.row = "growth_over_1", .ns = 1000000},
                              {.row = "growth_over_2", .ns = 2000000},
                              {.row = "growth_over_5", .ns = 5000000}};
    const size_t longer_count = sizeof longer / sizeof longer[0];
    struct rd_store *store = bench_open(true);
    uint64_t began = bench_now_ns();
    uint64_t own_before = processor_ns();
    uint64_t clock_before = began;
    for (uint64_t i = 0; i < KEY_COUNT; i++) {
        uint8_t payload[8];
        rd_store_u64le(payload, i + 1);
        if (rd_store_write(store, bench_key(i), rd_slice(payload, sizeof payload), NULL) != RD_OK)
            bench_die("write");
        uint64_t own = processor_ns();
        uint64_t clock = bench_now_ns();
        rd_histogram_record(&own_ns, own - own_before);
        count_longer(longer, longer_count, own - own_before);
        rd_histogram_record(&clock_ns, clock - clock_before);
        own_before = own;
        clock_before = clock;
    }
    bench_result("growth_rate", KEY_COUNT / bench_seconds_since(began));
    rd_store_close(store);
    bench_result("growth_p9999", (double)rd_histogram_quantile(&clock_ns, 0.9999) / 1e6);
    bench_result("growth_max", (double)clock_ns.max / 1e6);
    bench_result("growth_own_max", (double)own_ns.max / 1e6);
    for (size_t i = 0; i < longer_count; i++)
        bench_result(longer[i].row, (double)longer[i].count);
}
