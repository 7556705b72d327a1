/* SPDX-License-Identifier: MIT
 *
 * growth.c - no put may wait for the index or the map to grow: 20 M single puts of 8 bytes by a blocking caller,
 * who carries each out itself. The calls in which the writer grows are timed (the linker puts the functions below
 * in their place, Makefile), and what one put spends in them all is its wait for growing.
 *
 * A put as a whole takes longer at times, for reasons that are not the store's: it is told beside what as many
 * appends of 64 bytes take by hand, with no store at all, at the longest. And where the machine is a virtual one
 * it is stopped now and then, whatever it does: between any two puts about as much time goes to hashing keys,
 * which waits for nothing, and what that takes at the longest is the machine's.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/endian.h"
#include "bench/engine/bench.h"
#include "clients/bench/histogram.h"
#include "engine/store.h"

#define KEY_COUNT    UINT64_C(20000000)
#define NOTHING_KEYS 200u
#define APPEND_LEN   64u /* what a put takes of the file */

/* How many took longer than so many milliseconds. */
struct longer {
    const char *row;
    uint64_t ns;
    uint64_t count;
};

/* ---- the calls in which a writer grows -----------------------------------------------------------------------
 */

static atomic_bool timing;              /* else the other parts would pay for looking at the clock */
static atomic_uint_fast64_t growing_ns; /* of the put under way; the caller's, or the writer thread's for it */

enum rd_status real_map(struct rd_store *store, uint64_t tail,
                        struct rd_error *ret_error) __asm__("__real_rd_store_map");
enum rd_status timed_map(struct rd_store *store, uint64_t tail,
                         struct rd_error *ret_error) __asm__("__wrap_rd_store_map");
enum rd_status real_reserve(struct rd_plan *plan, struct rd_index *index,
                            const uint8_t *file) __asm__("__real_rd_plan_reserve");
enum rd_status timed_reserve(struct rd_plan *plan, struct rd_index *index,
                             const uint8_t *file) __asm__("__wrap_rd_plan_reserve");
void real_collect(struct rd_epoch *epoch) __asm__("__real_rd_epoch_collect");
void timed_collect(struct rd_epoch *epoch) __asm__("__wrap_rd_epoch_collect");

static uint64_t begin(void)
{
    return atomic_load_explicit(&timing, memory_order_relaxed) ? bench_now_ns() : 0;
}

static void end(uint64_t began_ns)
{
    if (began_ns != 0)
        atomic_fetch_add(&growing_ns, bench_now_ns() - began_ns);
}

/* The map of the file, as long as it is to be. */
enum rd_status timed_map(struct rd_store *store, uint64_t tail, struct rd_error *ret_error)
{
    uint64_t began_ns = begin();
    enum rd_status status = real_map(store, tail, ret_error);
    end(began_ns);
    return status;
}

/* Room in the index. */
enum rd_status timed_reserve(struct rd_plan *plan, struct rd_index *index, const uint8_t *file)
{
    uint64_t began_ns = begin();
    enum rd_status status = real_reserve(plan, index, file);
    end(began_ns);
    return status;
}

/* What both have outgrown goes. */
void timed_collect(struct rd_epoch *epoch)
{
    uint64_t began_ns = begin();
    real_collect(epoch);
    end(began_ns);
}

/* ---- the puts ------------------------------------------------------------------------------------------------
 */

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

static uint64_t max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void put_and_grow(void)
{
    static struct rd_histogram put_ns;
    put_ns = (struct rd_histogram){.count = 0};
    uint64_t all_ns = 0;
    uint64_t wait_ns_max = 0;
    uint64_t nothing_ns_max = 0;
    struct longer longer[] = {{.row = "growth_over_1", .ns = 1000000},
                              {.row = "growth_over_2", .ns = 2000000},
                              {.row = "growth_over_5", .ns = 5000000}};
    const size_t longer_count = sizeof longer / sizeof longer[0];
    struct rd_store *store = bench_open(true);
    atomic_store(&timing, true);
    for (uint64_t i = 0; i < KEY_COUNT; i++) {
        atomic_store(&growing_ns, 0);
        uint64_t began_ns = bench_now_ns();
        put(store, i);
        uint64_t done_ns = bench_now_ns();
        do_nothing();
        nothing_ns_max = max(nothing_ns_max, bench_now_ns() - done_ns);
        uint64_t wait_ns = atomic_load(&growing_ns);
        wait_ns_max = max(wait_ns_max, wait_ns);
        for (size_t n = 0; n < longer_count; n++)
            longer[n].count += wait_ns > longer[n].ns;
        rd_histogram_record(&put_ns, done_ns - began_ns);
        all_ns += done_ns - began_ns;
    }
    atomic_store(&timing, false);
    rd_store_close(store);
    bench_result("growth_rate", KEY_COUNT / ((double)all_ns / 1e9));
    bench_result("growth_wait_max", (double)wait_ns_max / 1e6);
    for (size_t n = 0; n < longer_count; n++)
        bench_result(longer[n].row, (double)longer[n].count);
    bench_result("growth_p9999", (double)rd_histogram_quantile(&put_ns, 0.9999) / 1e6);
    bench_result("growth_max", (double)put_ns.max / 1e6);
    bench_result("growth_nothing_max", (double)nothing_ns_max / 1e6);
}

/* ---- by hand -------------------------------------------------------------------------------------------------
 */

static void append_by_hand(void)
{
    char piece[APPEND_LEN];
    memset(piece, 'p', sizeof piece);
    uint64_t ns_max = 0;
    bench_clean();
    int fd = open(bench_path(BENCH_STORE_NAME), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        bench_die("a file to append to");
    for (uint64_t i = 0; i < KEY_COUNT; i++) {
        uint64_t began_ns = bench_now_ns();
        if (pwrite(fd, piece, sizeof piece, (off_t)(i * sizeof piece)) != (ssize_t)sizeof piece)
            bench_die("appending by hand");
        ns_max = max(ns_max, bench_now_ns() - began_ns);
        do_nothing();
    }
    close(fd);
    bench_result("growth_by_hand_max", (double)ns_max / 1e6);
}

void bench_growth(void)
{
    put_and_grow();
    append_by_hand();
    bench_clean();
}
