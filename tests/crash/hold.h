/* SPDX-License-Identifier: MIT
 *
 * hold.h - a gate in front of one call of an io table. A write that is held up there keeps the writer busy, so
 * that what is submitted meanwhile becomes one group, in every run.
 */
#ifndef RD_TESTS_CRASH_HOLD_H
#define RD_TESTS_CRASH_HOLD_H

#include <pthread.h>
#include <stdbool.h>

struct hold {
    pthread_mutex_t lock; /* guards both */
    pthread_cond_t changed;
    bool closed; /* who passes waits */
    bool held;   /* somebody does */
    bool missed; /* nobody will: what should have come was done without */
};

void hold_init(struct hold *hold);
void hold_deinit(struct hold *hold);

/* The test's thread: the next to pass waits, from close to open; await returns once it does, or is known not to.
 */
void hold_close(struct hold *hold);
void hold_await(struct hold *hold);
void hold_open(struct hold *hold);

/* The io table's call. */
void hold_pass(struct hold *hold);

/* Whoever sees that the call is not going to come. */
void hold_miss(struct hold *hold);

#endif
