/* SPDX-License-Identifier: MIT
 *
 * crash_states - builds the states that a disk may be left in at any moment of random work on two stores, opens
 * each, and counts what is wrong (judge.h). A seed and a number name a state: it is the same in every run.
 *
 *   crash_states [--states N] [--seed N]    N states; RD_TEST_SEED is the seed where none is given, else the time
 *   crash_states --seed N --state K         that one alone
 *   crash_states --self-test                plants bugs, one after another, and fails where one is not found
 *   crash_states --plant NAME               with one of these bugs
 *   crash_states --keep FOLDER              leaves the files of the last wrong state there
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/crash/judge.h"

#define STATES_DEFAULT      2000u
#define STATES_PER_WORKLOAD 50u
#define STATES_SELF_TEST    6000u /* a planted bug must be found among so many */
#define SHOWN_MAX           20u   /* violations that are printed */
#define STATE_SECONDS_MAX   120u  /* of a state, or a workload, that takes some milliseconds */
#define STREAM_OF_STATES    UINT64_C(0x5374617465730000)

static const char *const planted_names[PLANTED_COUNT] = {"nothing",        "no-data-sync", "no-file-sync",
                                                         "no-folder-sync", "no-open-sync", "no-marker"};

struct options {
    uint64_t seed;
    uint64_t states;
    uint64_t only; /* UINT64_MAX: all of them */
    enum planted planted;
    const char *keep;
    bool self_test;
    bool stop_at_first;
    bool silent;
};

struct counts {
    uint64_t states;
    uint64_t violations;
    uint64_t killed;
    uint64_t midway;
    uint64_t ordered;
    uint64_t any;
    uint64_t twice;
    uint64_t workloads;
    uint64_t events;
    uint64_t placed;
    uint64_t landed;
    uint64_t compacted;
    uint64_t moved;
    uint64_t extended;
};

/* ---- choosing a state --------------------------------------------------------------------------------- */

static size_t next_of_kind(const struct log *log, size_t from, enum event_kind kind)
{
    while (from < log->count && log->events[from].kind != kind)
        from++;
    return from;
}

/* Anywhere; or right behind an answer, or before or behind a sync, where promises change. */
static size_t choose_point(const struct log *log, struct random *random)
{
    size_t point = random_below(random, log->count + 1);
    uint64_t where = random_below(random, 6);
    if (where == 0)
        point = next_of_kind(log, point, EVENT_NOTE) + 1;
    if (where == 1)
        point = next_of_kind(log, point, random_one_in(random, 2) ? EVENT_SYNC : EVENT_SYNC_FOLDER) +
                random_below(random, 2);
    return point > log->count ? log->count : point;
}

static struct crash_case choose_case(const struct log *log, struct random *random)
{
    static const enum crash crashes[] = {CRASH_KILLED, CRASH_POWER_ORDERED, CRASH_POWER_ORDERED, CRASH_POWER_ANY,
                                         CRASH_POWER_ANY};
    struct crash_case chosen = {.point = choose_point(log, random),
                                .crash = crashes[random_below(random, 5)],
                                .twice = random_one_in(random, 3),
                                .again = (enum crash)random_below(random, CRASH_COUNT)};
    chosen.midway = chosen.crash == CRASH_KILLED && random_one_in(random, 2);
    if (chosen.midway)
        chosen.point = next_of_kind(log, chosen.point, EVENT_WRITE);
    return chosen;
}

static void count_case(struct counts *counts, const struct crash_case *chosen)
{
    counts->states++;
    counts->killed += chosen->crash == CRASH_KILLED && !chosen->midway;
    counts->midway += chosen->midway;
    counts->ordered += chosen->crash == CRASH_POWER_ORDERED;
    counts->any += chosen->crash == CRASH_POWER_ANY;
    counts->twice += chosen->twice;
}

/* ---- running ------------------------------------------------------------------------------------------ */

static void report(const struct options *options, const struct judge *judge, const struct log *log, uint64_t state,
                   const struct crash_case *chosen)
{
    char before[160] = "the beginning";
    char after[160];
    if (chosen->point > 0)
        log_describe(log, chosen->point - 1, before, sizeof before);
    log_describe(log, chosen->point, after, sizeof after);
    printf(
        "VIOLATION seed %llu state %llu: %s\n  %s%s%s%s, unsynced pages %s; point %zu of %zu, between \"%s\" and "
        "\"%s\"\n  again with: crash_states --seed %llu --state %llu\n",
        (unsigned long long)options->seed, (unsigned long long)state, judge->finding, crash_names[chosen->crash],
        chosen->midway ? " midway" : "", chosen->twice ? ", then " : "",
        chosen->twice ? crash_names[chosen->again] : "", fate_names[judge->fate], chosen->point, log->count,
        before, after, (unsigned long long)options->seed, (unsigned long long)state);
}

/* The states of one workload. */
static void run_states(const struct options *options, uint64_t number, uint64_t begin, uint64_t end,
                       struct judge *judge, struct counts *counts)
{
    struct workload workload;
    die_names("crash_states --seed %llu, workload %llu: ", (unsigned long long)options->seed,
              (unsigned long long)number);
    die_unless_within(STATE_SECONDS_MAX);
    workload_run(&workload, options->seed, number, options->planted);
    const struct log *log = &workload.recorder.log;
    counts->workloads++;
    counts->events += log->count;
    counts->placed += workload.placed;
    counts->landed += workload.landed;
    counts->compacted += workload.compacted;
    counts->moved += workload.moved;
    counts->extended += workload.recorder.extended;
    for (uint64_t state = begin; state < end; state++) {
        struct random random = random_of(options->seed ^ STREAM_OF_STATES, state);
        struct crash_case chosen = choose_case(log, &random);
        count_case(counts, &chosen);
        die_names("crash_states --seed %llu --state %llu: ", (unsigned long long)options->seed,
                  (unsigned long long)state);
        die_unless_within(STATE_SECONDS_MAX);
        if (judge_state(judge, &workload, &chosen, random))
            continue;
        counts->violations++;
        if (counts->violations <= SHOWN_MAX && !options->silent)
            report(options, judge, log, state, &chosen);
        if (options->stop_at_first)
            break;
    }
    workload_deinit(&workload);
}

static void print(const struct options *options, const struct counts *counts, const struct judge *judge,
                  double seconds)
{
    printf("crash_states: seed %llu: %llu states, %llu violations | killed %llu, killed midway %llu, power cut "
           "ordered %llu, any %llu; %llu crashed again, %zu of them while opening; %zu torn ends cut | %llu "
           "workloads, %llu events, %llu placed ahead, %llu landed, %llu run ahead, %llu compactions, %llu moved "
           "between stores | "
           "%.1f s\n",
           (unsigned long long)options->seed, (unsigned long long)counts->states,
           (unsigned long long)counts->violations, (unsigned long long)counts->killed,
           (unsigned long long)counts->midway, (unsigned long long)counts->ordered,
           (unsigned long long)counts->any, (unsigned long long)counts->twice, judge->before_serve, judge->cut,
           (unsigned long long)counts->workloads, (unsigned long long)counts->events,
           (unsigned long long)counts->placed, (unsigned long long)counts->landed,
           (unsigned long long)counts->extended, (unsigned long long)counts->compacted,
           (unsigned long long)counts->moved, seconds);
}

/* ret_finding: what was wrong with the last state. */
static struct counts run(const struct options *options, char ret_finding[FINDING_LEN])
{
    struct counts counts = {0};
    struct judge judge;
    double began = seconds_now();
    judge_init(&judge, options->keep);
    bool one = options->only != UINT64_MAX;
    uint64_t begin = one ? options->only : 0;
    uint64_t end = one ? options->only + 1 : options->states;
    while (begin < end && !(options->stop_at_first && counts.violations != 0)) {
        uint64_t number = begin / STATES_PER_WORKLOAD;
        uint64_t stop = (number + 1) * STATES_PER_WORKLOAD;
        run_states(options, number, begin, stop < end ? stop : end, &judge, &counts);
        begin = stop;
    }
    snprintf(ret_finding, FINDING_LEN, "%s", judge.finding);
    if (!options->silent)
        print(options, &counts, &judge, seconds_now() - began);
    judge_deinit(&judge);
    return counts;
}

/* A rig that finds nothing may be one that cannot. */
static int self_test(struct options options)
{
    int missed = 0;
    char finding[FINDING_LEN];
    options.silent = true;
    options.states = STATES_SELF_TEST;
    options.stop_at_first = true;
    for (int planted = PLANTED_NOTHING + 1; planted < PLANTED_COUNT; planted++) {
        options.planted = (enum planted)planted;
        struct counts counts = run(&options, finding);
        missed += counts.violations == 0;
        printf("planted %s: %s in %llu states%s%s\n", planted_names[planted],
               counts.violations == 0 ? "NOT FOUND" : "found", (unsigned long long)counts.states,
               counts.violations == 0 ? "" : ": ", counts.violations == 0 ? "" : finding);
    }
    printf("crash_states --self-test: %d planted bugs, %d not found\n", PLANTED_COUNT - 1, missed);
    return missed == 0 ? 0 : 1;
}

/* ---- the command line --------------------------------------------------------------------------------- */

static enum planted planted_of(const char *name)
{
    for (int i = 0; i < PLANTED_COUNT; i++)
        if (strcmp(name, planted_names[i]) == 0)
            return (enum planted)i;
    die("no such bug: %s", name);
}

static struct options parse(int argc, char **argv)
{
    enum { SEED = 1, STATES, STATE, PLANT, KEEP, SELF_TEST };
    static const struct option known[] = {
        {"seed", required_argument, NULL, SEED},
        {"states", required_argument, NULL, STATES},
        {"state", required_argument, NULL, STATE},
        {"plant", required_argument, NULL, PLANT},
        {"keep", required_argument, NULL, KEEP},
        {"self-test", no_argument, NULL, SELF_TEST},
        {NULL, 0, NULL, 0},
    };
    struct options options = {.seed = random_seed(), .states = STATES_DEFAULT, .only = UINT64_MAX};
    for (int found; (found = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (found) {
        case SEED:
            options.seed = strtoull(optarg, NULL, 10);
            break;
        case STATES:
            options.states = strtoull(optarg, NULL, 10);
            break;
        case STATE:
            options.only = strtoull(optarg, NULL, 10);
            break;
        case PLANT:
            options.planted = planted_of(optarg);
            break;
        case KEEP:
            options.keep = optarg;
            break;
        case SELF_TEST:
            options.self_test = true;
            break;
        default:
            exit(2);
        }
    }
    return options;
}

int main(int argc, char **argv)
{
    struct options options = parse(argc, argv);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (options.keep != NULL && mkdir(options.keep, 0700) != 0)
        fprintf(stderr, "%s is there already\n", options.keep);
    printf("RD_TEST_SEED=%llu\n", (unsigned long long)options.seed);
    if (options.self_test)
        return self_test(options);
    char finding[FINDING_LEN];
    return run(&options, finding).violations == 0 ? 0 : 1;
}
