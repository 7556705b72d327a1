/* SPDX-License-Identifier: MIT
 *
 * workload.h - random work on two real stores in one folder, recorded call by call (recorder.h) and answer by
 * answer (history.h). The same seed and number make the same log, writer threads or not: operations that are to be
 * one group are queued while the write before them is held up, and the clock by which interval syncs are due goes
 * on when the workload says so.
 *
 * The stores' limits for what is long are made small, so that short values are placed ahead and companions are
 * brought forward now and then.
 */
#ifndef RD_TESTS_CRASH_WORKLOAD_H
#define RD_TESTS_CRASH_WORKLOAD_H

#include "tests/crash/recorder.h"
#include "tests/crash/request.h"

extern const char *const workload_store_names[STORE_COUNT];

struct workload {
    struct recorder recorder;
    struct history history;
    struct model model;
    struct random random;
    struct image nothing; /* what the folder holds at first */
    char *folder;         /* owned */
    enum planted planted;
    struct rd_store *stores[STORE_COUNT];
    enum rd_durability durabilities[STORE_COUNT];
    int32_t further;  /* a value that none of its operations wrote, for those who judge */
    size_t moved;     /* copies and transfers that were done */
    size_t placed;    /* values that were placed ahead */
    size_t landed;    /* values that landed there */
    size_t compacted; /* times that a store was */
};

/* Does all of it; the stores are closed afterwards. Ends the program where the stores' answers are wrong. */
void workload_run(struct workload *workload, uint64_t seed, size_t number, enum planted planted);
void workload_deinit(struct workload *workload);

/* How a workload's stores are opened, by it and by those who judge what a crash left. */
struct rd_store_options workload_options(const struct workload *workload, uint32_t store, const struct rd_io *io);

/* After opening, before the first operation: the store takes short values for long ones, and few for many. */
void workload_make_small(struct rd_store *store);

/* By the engine's clock (--wrap=rd_monotonic_ms). */
uint64_t __wrap_rd_monotonic_ms(void);

#endif
