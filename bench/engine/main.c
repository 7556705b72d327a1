/* SPDX-License-Identifier: MIT
 *
 * main.c - the storage engine's benchmark: which parts run, how often, and how the figures are printed.
 *
 *     bench-engine [--json] [--rounds N] [--only PART]... [FOLDER]
 *
 * Works in FOLDER (default: the current one), which wants some 5 GiB. Nothing is synced on the way and reads are
 * not verified, as in the reference. Prints each row's median and all its figures; with --json one object for
 * bench/compare.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/engine/bench.h"

#define ROUNDS_MAX 99

struct row {
    const char *key;
    const char *name;
    const char *unit;
    double scale; /* from the figure to the unit */
    double values[ROUNDS_MAX * BENCH_PASSES];
    size_t count;
};

static struct row rows[] = {
    {.key = "batch_write", .name = "writes of 8 bytes, batches of 1,024", .unit = "M/s", .scale = 1e-6},
    {.key = "fresh_pages", .name = "  fresh pages of memory, by hand", .unit = "k/s", .scale = 1e-3},
    {.key = "batch_in_flight", .name = "  the same, 4 batches in flight", .unit = "M/s", .scale = 1e-6},
    {.key = "iterate", .name = "iteration over 1 M", .unit = "M/s", .scale = 1e-6},
    {.key = "random_read", .name = "1 M random single reads", .unit = "M/s", .scale = 1e-6},
    {.key = "two_looks", .name = "  two dependent looks by hand", .unit = "M/s", .scale = 1e-6},
    {.key = "first_looks", .name = "  first looks at mapped pages by hand", .unit = "M/s", .scale = 1e-6},
    {.key = "system_calls", .name = "  system calls that do nothing", .unit = "M/s", .scale = 1e-6},
    {.key = "batch_read", .name = "1 M batch reads of 1,024", .unit = "M/s", .scale = 1e-6},
    {.key = "single_blocking", .name = "writes of 100 bytes, 1 blocking", .unit = "k/s", .scale = 1e-3},
    {.key = "single_in_flight", .name = "writes of 100 bytes, 64 in flight", .unit = "k/s", .scale = 1e-3},
    {.key = "open_1m", .name = "open, 1 M entries", .unit = "s", .scale = 1},
    {.key = "open_5m", .name = "open, 5 M entries", .unit = "s", .scale = 1},
    {.key = "cp", .name = "cp of 1 GiB", .unit = "GiB/s", .scale = 1},
    {.key = "stream", .name = "stream of 1 GiB, both passes", .unit = "GiB/s", .scale = 1},
    {.key = "stream_spool", .name = "  its first pass, spooling", .unit = "GiB/s", .scale = 1},
    {.key = "stream_append", .name = "  its second pass, appending", .unit = "GiB/s", .scale = 1},
    {.key = "stream_held_p50", .name = "  100-byte writes beside it, p50", .unit = "ms", .scale = 1e3},
    {.key = "stream_held_p99", .name = "  100-byte writes beside it, p99", .unit = "ms", .scale = 1e3},
    {.key = "stream_held_max", .name = "  100-byte writes beside it, worst", .unit = "ms", .scale = 1e3},
    {.key = "stream_sync", .name = "the same, synced: both passes", .unit = "GiB/s", .scale = 1},
    {.key = "stream_sync_append", .name = "  its second pass", .unit = "GiB/s", .scale = 1},
    {.key = "stream_sync_held_p50", .name = "  synced 100-byte writes beside it, p50", .unit = "ms", .scale = 1e3},
    {.key = "stream_sync_held_p99", .name = "  synced 100-byte writes beside it, p99", .unit = "ms", .scale = 1e3},
    {.key = "stream_sync_held_max",
     .name = "  synced 100-byte writes beside it, worst",
     .unit = "ms",
     .scale = 1e3},
    {.key = "memory_growing_min", .name = "memory a key, growing to 5 M, least", .unit = "B", .scale = 1},
    {.key = "memory_growing_max", .name = "memory a key, growing to 5 M, most", .unit = "B", .scale = 1},
    {.key = "memory_rest_1m", .name = "memory a key, 1 M, opened again", .unit = "B", .scale = 1},
    {.key = "memory_rest_5m", .name = "memory a key, 5 M, opened again", .unit = "B", .scale = 1},
    {.key = "growth_rate", .name = "single puts up to 20 M keys", .unit = "k/s", .scale = 1e-3},
    {.key = "growth_wait_max", .name = "  the longest wait for growing", .unit = "ms", .scale = 1},
    {.key = "growth_over_1", .name = "  of these, longer than 1 ms", .unit = "puts", .scale = 1},
    {.key = "growth_over_2", .name = "  of these, longer than 2 ms", .unit = "puts", .scale = 1},
    {.key = "growth_over_5", .name = "  of these, longer than 5 ms", .unit = "puts", .scale = 1},
    {.key = "growth_p9999", .name = "  a put, p99.99", .unit = "ms", .scale = 1},
    {.key = "growth_max", .name = "  the longest put", .unit = "ms", .scale = 1},
    {.key = "growth_by_hand_max", .name = "  as many appends by hand, the longest", .unit = "ms", .scale = 1},
    {.key = "growth_nothing_max", .name = "  doing nothing between puts, the longest", .unit = "ms", .scale = 1},
};
#define ROW_COUNT (sizeof rows / sizeof rows[0])

static const struct part {
    const char *name;
    void (*run)(void);
} parts[] = {
    {"operations", bench_operations}, {"opening", bench_opening}, {"stream", bench_stream},
    {"memory", bench_memory},         {"growth", bench_growth},
};
#define PART_COUNT (sizeof parts / sizeof parts[0])

static const char *folder = ".";

const char *bench_path(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

void bench_result(const char *key, double value)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (strcmp(rows[i].key, key) == 0) {
            rows[i].values[rows[i].count++] = value;
            return;
        }
    bench_die(key);
}

/* ---- printing --------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return (left > right) - (left < right);
}

static double median(const struct row *row)
{
    double sorted[ROUNDS_MAX * BENCH_PASSES];
    memcpy(sorted, row->values, row->count * sizeof sorted[0]);
    qsort(sorted, row->count, sizeof sorted[0], compare);
    size_t middle = row->count / 2;
    return row->count % 2 != 0 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

static void print_values(const struct row *row, const char *separator)
{
    for (size_t i = 0; i < row->count; i++)
        printf("%s%.3f", i == 0 ? "" : separator, row->values[i] * row->scale);
}

static void print_text(const struct row *row)
{
    printf("%-38s %10.3f %-5s (", row->name, median(row) * row->scale, row->unit);
    print_values(row, " ");
    printf(")\n");
}

static void print_json(const struct row *row, bool first)
{
    printf("%s{\"key\":\"%s\",\"unit\":\"%s\",\"values\":[", first ? "" : ",", row->key, row->unit);
    print_values(row, ",");
    printf("]}");
}

static void print_rows(bool json)
{
    bool first = true;
    printf(json ? "{\"rows\":[" : "medians (all figures in brackets)\n");
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (rows[i].count == 0)
            continue;
        if (json)
            print_json(&rows[i], first);
        else
            print_text(&rows[i]);
        first = false;
    }
    if (json)
        printf("]}\n");
}

/* ---- the command line ------------------------------------------------------------------------------------- */

static _Noreturn void usage(void)
{
    fputs("usage: bench-engine [--json] [--rounds N] [--only PART]... [FOLDER]\nparts:", stderr);
    for (size_t i = 0; i < PART_COUNT; i++)
        fprintf(stderr, " %s", parts[i].name);
    fputs("\n", stderr);
    exit(2);
}

static size_t part_named(const char *name)
{
    for (size_t i = 0; i < PART_COUNT; i++)
        if (strcmp(parts[i].name, name) == 0)
            return i;
    usage();
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"rounds", required_argument, NULL, 'r'},
                                            {"only", required_argument, NULL, 'o'},
                                            {NULL, 0, NULL, 0}};
    bool json = false;
    bool chosen[PART_COUNT] = {false};
    bool any = false;
    long rounds = 3;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) >= 0;) {
        if (option == 'j')
            json = true;
        else if (option == 'r')
            rounds = strtol(optarg, NULL, 10);
        else if (option == 'o')
            any = chosen[part_named(optarg)] = true;
        else
            usage();
    }
    if (rounds < 1 || rounds > ROUNDS_MAX || argc - optind > 1)
        usage();
    if (optind < argc)
        folder = argv[optind];
    for (long round = 0; round < rounds; round++)
        for (size_t i = 0; i < PART_COUNT; i++)
            if (chosen[i] || !any)
                parts[i].run();
    bench_clean();
    print_rows(json);
    return 0;
}
