/* SPDX-License-Identifier: MIT
 *
 * every_call - runs one script of 200 operations (script.h) again and again; in each run another system call
 * fails, in each of the ways it can, or another allocation. The same calls come in every run up to the one that
 * fails.
 *
 *   every_call [--stride N] [--seed N]    every Nth call and allocation; 1: all of them
 *   every_call --call N --failure KIND    that run alone; KIND: ENOSPC, EIO, EINTR, short
 *   every_call --allocation N             that run alone
 *   every_call --self-test                hides failures, and fails where none is noticed
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/crash/common.h"
#include "tests/crash/script.h"

#define SEED            4u
#define SELF_TEST_RUNS  40u
#define SHOWN_MAX       20u
#define RUN_SECONDS_MAX 60u /* of a run that takes some 20 ms */

struct options {
    uint64_t seed;
    size_t stride;
    size_t call; /* SIZE_MAX: all */
    size_t allocation;
    enum failure failure; /* NONE: all */
    bool self_test;
};

struct totals {
    size_t runs[FAILURE_COUNT]; /* NONE: of allocations */
    size_t findings;
    size_t refused;
    size_t read_only;
    char *folder;
    bool silent;
};

/* One run; which of its calls fails is in failing and in the allocator. */
static void run(const struct options *options, struct totals *totals, struct failing_io *failing, const char *what)
{
    struct script script;
    scratch_clear(totals->folder);
    die_names("every_call %s: ", what);
    die_unless_within(RUN_SECONDS_MAX);
    bool fine = script_run(&script, failing, totals->folder, options->seed);
    totals->refused += script.refused;
    totals->read_only += script.read_only;
    if (fine)
        return;
    totals->findings++;
    if (totals->findings <= SHOWN_MAX && !totals->silent)
        printf("FINDING %s (%s %s): %s\n", what, failing->failed ? call_names[failing->failed_call] : "-",
               failing->failed_name, script.finding);
}

static void run_failing_call(const struct options *options, struct totals *totals, size_t number,
                             enum failure failure)
{
    static struct failing_io failing; /* large */
    char what[64];
    snprintf(what, sizeof what, "--call %zu --failure %s", number, failure_names[failure]);
    failing_io_init(&failing, number, failure);
    allocations_begin(SIZE_MAX);
    totals->runs[failure]++;
    run(options, totals, &failing, what);
    if (!failing.failed)
        die("call %zu was never made", number);
    failing_io_deinit(&failing);
}

static void run_failing_allocation(const struct options *options, struct totals *totals, size_t number)
{
    static struct failing_io failing;
    char what[64];
    snprintf(what, sizeof what, "--allocation %zu", number);
    failing_io_init(&failing, SIZE_MAX, FAILURE_NONE);
    allocations_begin(number);
    totals->runs[FAILURE_NONE]++;
    run(options, totals, &failing, what);
    if (!allocations_failed())
        die("allocation %zu was never made", number);
    failing_io_deinit(&failing);
}

/* Without a failure: how many calls and allocations there are, and that the script itself is sound. */
static size_t run_unharmed(const struct options *options, struct totals *totals, struct failing_io *ret_failing)
{
    failing_io_init(ret_failing, SIZE_MAX, FAILURE_NONE);
    allocations_begin(SIZE_MAX);
    run(options, totals, ret_failing, "without a failure");
    if (totals->findings != 0)
        exit(1);
    failing_io_deinit(ret_failing);
    return allocations_count();
}

/* Runs in which calls of one kind fail and the engine is told that they did not. Returns how many were noticed. */
static size_t run_hidden(const struct options *options, const struct failing_io *unharmed, enum call call)
{
    static struct failing_io failing;
    struct totals totals = {.folder = scratch_create(), .silent = true};
    size_t runs = 0;
    for (size_t i = 0; i < unharmed->count; i++) {
        if (unharmed->seen[i] != call || runs == SELF_TEST_RUNS)
            continue;
        failing_io_init(&failing, i, FAILURE_EIO);
        failing.hidden = true;
        allocations_begin(SIZE_MAX);
        run(options, &totals, &failing, "--self-test");
        failing_io_deinit(&failing);
        runs++;
    }
    printf("every_call --self-test: %zu hidden failures of %s, %zu noticed\n", runs, call_names[call],
           totals.findings);
    scratch_remove(totals.folder);
    return totals.findings;
}

/* A rig that finds nothing may be one that cannot. */
static int self_test(const struct options *options, const struct failing_io *unharmed)
{
    size_t writes = run_hidden(options, unharmed, CALL_PWRITEV);
    size_t syncs = run_hidden(options, unharmed, CALL_FDATASYNC);
    return writes != 0 && syncs != 0 ? 0 : 1;
}

static bool is_chosen(const struct options *options, size_t number, size_t only)
{
    bool all = options->call == SIZE_MAX && options->allocation == SIZE_MAX;
    return all ? number % options->stride == 0 : number == only;
}

static struct options parse(int argc, char **argv)
{
    enum { OPTION_SEED = 1, STRIDE, CALL, ALLOCATION, FAILURE, SELF_TEST };
    static const struct option known[] = {
        {"seed", required_argument, NULL, OPTION_SEED},
        {"stride", required_argument, NULL, STRIDE},
        {"call", required_argument, NULL, CALL},
        {"allocation", required_argument, NULL, ALLOCATION},
        {"failure", required_argument, NULL, FAILURE},
        {"self-test", no_argument, NULL, SELF_TEST},
        {NULL, 0, NULL, 0},
    };
    struct options options = {.seed = SEED, .stride = 1, .call = SIZE_MAX, .allocation = SIZE_MAX};
    for (int found; (found = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (found == OPTION_SEED)
            options.seed = strtoull(optarg, NULL, 10);
        else if (found == STRIDE)
            options.stride = strtoull(optarg, NULL, 10);
        else if (found == CALL)
            options.call = strtoull(optarg, NULL, 10);
        else if (found == ALLOCATION)
            options.allocation = strtoull(optarg, NULL, 10);
        else if (found == SELF_TEST)
            options.self_test = true;
        else if (found != FAILURE)
            exit(2);
        for (int i = 0; found == FAILURE && i < FAILURE_COUNT; i++)
            if (strcmp(failure_names[i], optarg) == 0)
                options.failure = (enum failure)i;
    }
    if (options.stride == 0)
        exit(2);
    return options;
}

int main(int argc, char **argv)
{
    if (!rd_guard_install()) /* a write that is only said to have landed leaves the file short under its map */
        return 1;
    static struct failing_io unharmed;
    struct options options = parse(argc, argv);
    struct totals totals = {.folder = scratch_create()};
    double began = seconds_now();
    setvbuf(stdout, NULL, _IOLBF, 0);
    size_t allocation_count = run_unharmed(&options, &totals, &unharmed);
    printf("every_call: 200 operations make %zu system calls and %zu allocations\n", unharmed.count,
           allocation_count);
    if (options.self_test) {
        scratch_remove(totals.folder);
        return self_test(&options, &unharmed);
    }
    for (size_t i = 0; i < unharmed.count; i++)
        for (int failure = FAILURE_NONE + 1; failure < FAILURE_COUNT; failure++)
            if (is_chosen(&options, i, options.call) && failure_fits((enum failure)failure, unharmed.seen[i]) &&
                (options.failure == FAILURE_NONE || options.failure == (enum failure)failure))
                run_failing_call(&options, &totals, i, (enum failure)failure);
    for (size_t i = 0; i < allocation_count; i++)
        if (is_chosen(&options, i, options.allocation))
            run_failing_allocation(&options, &totals, i);
    printf("every_call: ENOSPC %zu, EIO %zu, EINTR %zu, short %zu, allocations %zu runs, %zu findings; %zu "
           "operations "
           "refused, %zu times read-only; %.1f s\n",
           totals.runs[FAILURE_ENOSPC], totals.runs[FAILURE_EIO], totals.runs[FAILURE_EINTR],
           totals.runs[FAILURE_SHORT], totals.runs[FAILURE_NONE], totals.findings, totals.refused,
           totals.read_only, seconds_now() - began);
    scratch_remove(totals.folder);
    return totals.findings == 0 ? 0 : 1;
}
