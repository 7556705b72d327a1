/* SPDX-License-Identifier: MIT
 *
 * scale.c - what more keys cost: one store that grows to each number of keys named, and at each the throughput of
 * batched writes, single reads, batched reads and looks for keys that are not there, and the memory that is taken.
 *
 *     bench-scale FOLDER COUNT...
 *
 * Values are 100 bytes, keys in random order but for the order they are written in; nothing is synced, reads are
 * not verified. A figure is the median of short slices, so that what others do on the machine for a moment does
 * not count. Each number of keys prints a line of JSON; 50 M want some 7 GiB of disk, and should fit into memory.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/endian.h"
#include "engine/engine.h"

#define VALUE_LEN   100u
#define BATCH_COUNT 1024u
#define SLICES      600u /* that are timed at each number of keys; one is a batch, */
#define SLICE_READS 500u /* or so many single reads */

static char store_path[4096];
static volatile uint64_t sink_hole; /* keeps the compiler from dropping what was read */

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "bench-scale: %s\n", what);
    exit(1);
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint64_t random_next(void)
{
    static uint64_t state = UINT64_C(88172645463325252);
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static struct rd_key key_number(uint64_t number)
{
    uint8_t bytes[16] = "scale-k-";
    rd_store_u64le(bytes + 8, number);
    return rd_key_of_hash(rd_key_of_bytes(rd_slice(bytes, sizeof bytes)).hash);
}

/* ---- slices ---- */

struct slices {
    double *seconds; /* owned */
    size_t count;
    size_t capacity;
};

static void slices_add(struct slices *slices, double took)
{
    if (slices->count == slices->capacity) {
        slices->capacity = slices->capacity == 0 ? 1024 : 2 * slices->capacity;
        slices->seconds = realloc(slices->seconds, slices->capacity * sizeof *slices->seconds);
        if (slices->seconds == NULL)
            die("no memory");
    }
    slices->seconds[slices->count++] = took;
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return (left > right) - (left < right);
}

/* The median slice's rate, of `each` operations in one; and the slowest slice's time. */
static double slices_rate(struct slices *slices, double each, double *ret_worst_ms)
{
    if (slices->count == 0)
        die("nothing was measured");
    qsort(slices->seconds, slices->count, sizeof *slices->seconds, compare);
    *ret_worst_ms = slices->seconds[slices->count - 1] * 1e3;
    double rate = each / slices->seconds[slices->count / 2];
    free(slices->seconds);
    *slices = (struct slices){0};
    return rate;
}

/* ---- memory ---- */

/* Of /proc/self/smaps_rollup. */
static uint64_t memory_bytes(const char *field)
{
    char line[256];
    uint64_t kib = UINT64_MAX;
    FILE *file = fopen("/proc/self/smaps_rollup", "re");
    if (file == NULL)
        die("cannot open /proc/self/smaps_rollup");
    size_t len = strlen(field);
    while (kib == UINT64_MAX && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, field, len) == 0 && line[len] == ':')
            kib = strtoull(line + len + 1, NULL, 10);
    fclose(file);
    if (kib == UINT64_MAX)
        die("a field of /proc/self/smaps_rollup is missing");
    return kib * 1024;
}

/* ---- the work ---- */

static struct rd_store *open_store(void)
{
    struct rd_store_options options = {.create = true, .durability = RD_DURABILITY_NONE, .verify_reads_off = true};
    struct rd_store *store;
    struct rd_error error;
    if (rd_store_open(store_path, &options, &store, &error) != RD_OK)
        die(error.message);
    return store;
}

static void remove_store(void)
{
    static const char *const endings[] = {"", ".meta", ".index"};
    char path[sizeof store_path + 8];
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        snprintf(path, sizeof path, "%s%s", store_path, endings[i]);
        unlink(path);
    }
}

static void grow(struct rd_store *store, uint64_t from, uint64_t to, struct slices *slices)
{
    static struct rd_entry entries[BATCH_COUNT];
    static uint8_t payloads[BATCH_COUNT][VALUE_LEN];
    for (uint64_t done = from; done < to;) {
        size_t count = to - done < BATCH_COUNT ? (size_t)(to - done) : BATCH_COUNT;
        for (size_t i = 0; i < count; i++) {
            memset(payloads[i], 'x', VALUE_LEN);
            rd_store_u64le(payloads[i], done + i);
            entries[i] =
                (struct rd_entry){.key = key_number(done + i), .payload = rd_slice(payloads[i], VALUE_LEN)};
        }
        double began = seconds();
        if (rd_store_batch_write(store, entries, count, false, NULL) != RD_OK)
            die("a write failed");
        if (count == BATCH_COUNT)
            slices_add(slices, seconds() - began);
        done += count;
    }
}

/* Keys below `count`, or above: those are not there. */
static double read_singly(struct rd_store *store, uint64_t count, bool absent)
{
    struct slices slices = {0};
    double worst_ms;
    uint64_t sum = 0;
    for (unsigned slice = 0; slice < SLICES; slice++) {
        double began = seconds();
        for (unsigned i = 0; i < SLICE_READS; i++) {
            struct rd_value value;
            enum rd_status status =
                rd_store_read(store, key_number(random_next() % count + (absent ? count : 0)), &value);
            if (status != (absent ? RD_KEY_NOT_FOUND : RD_OK))
                die("a read failed");
            sum += absent ? 1 : value.payload.data[0];
            if (!absent)
                rd_value_release(&value);
        }
        slices_add(&slices, seconds() - began);
    }
    sink_hole = sum;
    return slices_rate(&slices, SLICE_READS, &worst_ms);
}

static double read_batches(struct rd_store *store, uint64_t count)
{
    static struct rd_key keys[BATCH_COUNT];
    static struct rd_value values[BATCH_COUNT];
    static enum rd_status statuses[BATCH_COUNT];
    struct slices slices = {0};
    double worst_ms;
    uint64_t sum = 0;
    for (unsigned slice = 0; slice < SLICES; slice++) {
        double began = seconds();
        for (size_t i = 0; i < BATCH_COUNT; i++)
            keys[i] = key_number(random_next() % count);
        rd_store_batch_read(store, keys, BATCH_COUNT, values, statuses);
        for (size_t i = 0; i < BATCH_COUNT; i++)
            sum += statuses[i] == RD_OK ? values[i].payload.data[0] : 0;
        rd_values_release(values, BATCH_COUNT);
        slices_add(&slices, seconds() - began);
    }
    sink_hole = sum;
    return slices_rate(&slices, BATCH_COUNT, &worst_ms);
}

static void measure(struct rd_store *store, uint64_t from, uint64_t count, uint64_t base_bytes)
{
    struct slices slices = {0};
    double worst_ms;
    double began = seconds();
    grow(store, from, count, &slices);
    double took = seconds() - began;
    double write_rate = slices_rate(&slices, BATCH_COUNT, &worst_ms);
    uint64_t own_bytes = memory_bytes("Anonymous") - base_bytes;
    (void)read_batches(store, count); /* what is touched first has yet to be mapped */
    double read_rate = read_singly(store, count, false);
    double absent_rate = read_singly(store, count, true);
    double batch_rate = read_batches(store, count);
    printf("{\"keys\":%" PRIu64 ",\"batch_writes_per_s\":%.0f,\"batch_writes_whole_per_s\":%.0f,"
           "\"worst_batch_write_ms\":%.3f,\"reads_per_s\":%.0f,\"absent_reads_per_s\":%.0f,"
           "\"batch_reads_per_s\":%.0f,\"index_bytes_per_key\":%.2f,\"rss_bytes\":%" PRIu64
           ",\"file_bytes\":%" PRIu64 "}\n",
           count, write_rate, (double)(count - from) / took, worst_ms, read_rate, absent_rate, batch_rate,
           (double)own_bytes / (double)count, memory_bytes("Rss"), rd_store_file_size(store));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fputs("usage: bench-scale FOLDER COUNT...\n", stderr);
        return 2;
    }
    snprintf(store_path, sizeof store_path, "%s/bench-scale.rdr", argv[1]);
    remove_store();
    struct rd_store *store = open_store();
    struct slices warm = {0};
    uint64_t count = BATCH_COUNT;
    grow(store, 0, count, &warm); /* the static arrays and the writer's buffers are there now */
    free(warm.seconds);
    uint64_t base_bytes = memory_bytes("Anonymous");
    for (int i = 2; i < argc; i++) {
        uint64_t next = strtoull(argv[i], NULL, 10);
        if (next <= count)
            die("each count must be more than the one before");
        measure(store, count, next, base_bytes);
        count = next;
    }
    rd_store_close(store);
    double began = seconds();
    store = open_store();
    printf("{\"opened_keys\":%" PRIu64 ",\"open_s\":%.4f}\n", rd_store_len(store), seconds() - began);
    rd_store_close(store);
    remove_store();
    return 0;
}
