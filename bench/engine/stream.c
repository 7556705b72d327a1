/* SPDX-License-Identifier: MIT
 *
 * stream.c - one value of 1 GiB that comes in piece by piece: spooled, then put into the store. Page cache only,
 * as the reference does it; then synced, as the daemon does it unless it is told otherwise. The reference writes
 * it in one pass and lets nobody else in meanwhile; here short writes go on beside it, and the longest of them
 * tells how long they are held. cp of a file of the same length is the yardstick.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/engine/bench.h"
#include "clients/bench/histogram.h"

#define VALUE_LEN  (UINT64_C(1) << 30)
#define PIECE_LEN  (64u << 10) /* as write_stream takes them */
#define SOURCE_LEN (4u << 20)
#define PROBE_LEN  100u
#define GIB        ((double)(UINT64_C(1) << 30))

static uint8_t source[SOURCE_LEN];

static void fill_source(void)
{
    uint64_t state = BENCH_RANDOM_SEED;
    for (size_t at = 0; at < SOURCE_LEN; at += sizeof state) {
        (void)bench_random(&state);
        memcpy(source + at, &state, sizeof state);
    }
}

/* ---- the yardstick ---------------------------------------------------------------------------------------- */

static void write_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    for (uint64_t at = 0; at < VALUE_LEN; at += SOURCE_LEN)
        if (fd < 0 || write(fd, source, SOURCE_LEN) != SOURCE_LEN)
            bench_die("writing the file to copy");
    close(fd);
}

static void time_cp(void)
{
    char from[4096];
    char to[4096];
    snprintf(from, sizeof from, "%s", bench_path("bench-cp-from"));
    snprintf(to, sizeof to, "%s", bench_path("bench-cp-to"));
    write_file(from);
    sync();
    uint64_t began = bench_now_ns();
    pid_t child = fork();
    if (child == 0) {
        execlp("cp", "cp", "--reflink=never", from, to, (char *)NULL);
        _exit(127);
    }
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        bench_die("cp");
    bench_result("cp", VALUE_LEN / GIB / bench_seconds_since(began));
    unlink(from);
    unlink(to);
}

/* ---- others meanwhile ------------------------------------------------------------------------------------- */

struct prober {
    struct rd_store *store;
    enum rd_durability durability;
    atomic_bool stop;
    struct rd_histogram latency_ns; /* the thread's until it is joined */
};

/* One short write after another, with a pause so that they do not keep a processor to themselves. */
static void *probe(void *argument)
{
    struct prober *prober = argument;
    uint8_t payload[PROBE_LEN];
    memset(payload, 'p', sizeof payload);
    for (uint64_t number = 1; !atomic_load(&prober->stop); number++) {
        struct rd_entry entry = {.key = bench_key(number), .payload = rd_slice(payload, sizeof payload)};
        struct rd_op op = {
            .kind = RD_OP_WRITE, .entries = &entry, .entry_count = 1, .durability = prober->durability};
        uint64_t began = bench_now_ns();
        if (rd_store_execute(prober->store, &op) != RD_OK)
            bench_die("write");
        rd_histogram_record(&prober->latency_ns, bench_now_ns() - began);
        usleep(200);
    }
    return NULL;
}

/* ---- the stream ------------------------------------------------------------------------------------------- */

static struct rd_spool *spool_all(struct rd_store *store)
{
    struct rd_spool *spool;
    if (rd_spool_create(store, &spool) != RD_OK)
        bench_die("spool");
    for (uint64_t at = 0; at < VALUE_LEN; at += PIECE_LEN)
        if (rd_spool_append(spool, rd_slice(source + at % SOURCE_LEN, PIECE_LEN)) != RD_OK)
            bench_die("spool");
    return spool;
}

/* As the daemon does it: placed ahead, then committed. */
static void append(struct rd_store *store, struct rd_spool *spool, enum rd_durability durability)
{
    struct rd_entry entry = {.key = bench_key(0)};
    struct rd_op op = {
        .kind = RD_OP_STREAM, .entries = &entry, .entry_count = 1, .spool = spool, .durability = durability};
    op.placement = rd_spool_place(spool, durability);
    if (rd_store_execute(store, &op) != RD_OK)
        bench_die("stream");
    rd_placement_destroy(op.placement);
}

struct passes {
    double spooled; /* seconds */
    double both;
};

static struct passes stream_alone(enum rd_durability durability)
{
    struct rd_store *store = bench_open(true);
    sync();
    uint64_t began = bench_now_ns();
    struct rd_spool *spool = spool_all(store);
    struct passes passes = {.spooled = bench_seconds_since(began)};
    append(store, spool, durability);
    passes.both = bench_seconds_since(began);
    rd_spool_destroy(spool);
    rd_store_close(store);
    return passes;
}

/* What the others, whose writes are of the same durability, wait for. */
static const struct rd_histogram *stream_beside_others(enum rd_durability durability)
{
    static struct prober prober;
    memset(&prober, 0, sizeof prober);
    prober.store = bench_open(true);
    prober.durability = durability;
    sync();
    struct rd_spool *spool = spool_all(prober.store);
    pthread_t thread;
    if (pthread_create(&thread, NULL, probe, &prober) != 0)
        bench_die("thread");
    append(prober.store, spool, durability);
    atomic_store(&prober.stop, true);
    pthread_join(thread, NULL);
    rd_spool_destroy(spool);
    rd_store_close(prober.store);
    return &prober.latency_ns;
}

static void in_memory(void)
{
    struct passes passes = stream_alone(RD_DURABILITY_NONE);
    bench_result("stream", VALUE_LEN / GIB / passes.both);
    bench_result("stream_spool", VALUE_LEN / GIB / passes.spooled);
    bench_result("stream_append", VALUE_LEN / GIB / (passes.both - passes.spooled));
    const struct rd_histogram *held = stream_beside_others(RD_DURABILITY_NONE);
    bench_result("stream_held_p50", (double)rd_histogram_quantile(held, 0.5) / 1e9);
    bench_result("stream_held_p99", (double)rd_histogram_quantile(held, 0.99) / 1e9);
    bench_result("stream_held_max", (double)held->max / 1e9);
}

static void synced(void)
{
    struct passes passes = stream_alone(RD_DURABILITY_SYNC);
    bench_result("stream_sync", VALUE_LEN / GIB / passes.both);
    bench_result("stream_sync_append", VALUE_LEN / GIB / (passes.both - passes.spooled));
    const struct rd_histogram *held = stream_beside_others(RD_DURABILITY_SYNC);
    bench_result("stream_sync_held_p50", (double)rd_histogram_quantile(held, 0.5) / 1e9);
    bench_result("stream_sync_held_p99", (double)rd_histogram_quantile(held, 0.99) / 1e9);
    bench_result("stream_sync_held_max", (double)held->max / 1e9);
}

void bench_stream(void)
{
    fill_source();
    time_cp();
    in_memory();
    synced();
}
