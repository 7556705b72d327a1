/* SPDX-License-Identifier: MIT
 *
 * common.h - what the programs in tests/crash share: random numbers that a seed repeats, memory that is there or
 * ends the program, and the end of a program that cannot go on. No test framework: these programs count what they
 * find.
 */
#ifndef RD_TESTS_CRASH_COMMON_H
#define RD_TESTS_CRASH_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

/* ---- random numbers (splitmix64) ---- */

struct random {
    uint64_t state;
};

uint64_t random_next(struct random *random);
uint64_t random_below(struct random *random, uint64_t bound); /* bound: not 0 */
bool random_one_in(struct random *random, uint64_t times);
void random_fill(struct random *random, uint8_t *to, size_t len);

/* Numbers of their own for each `stream` of one seed, so that the 700th state needs none of the 699 before it. */
struct random random_of(uint64_t seed, uint64_t stream);

/* RD_TEST_SEED, or the time. */
uint64_t random_seed(void);

/* ---- the rest ---- */

/* The program itself is wrong, or the machine has no memory or disk for it. */
void die(const char *format, ...) RD_PRINTF(1, 2) __attribute__((noreturn));

/* What die says first from now on: where the program is, and how to get there again. */
void die_names(const char *format, ...) RD_PRINTF(1, 2);

/* Ends the program, as die does, unless it is called again within so many seconds: something waits for ever. */
void die_unless_within(unsigned seconds);

void *allocate(size_t count, size_t size);                            /* zeroed; never NULL */
void *grow(void *items, size_t count, size_t *capacity, size_t size); /* room for one more than count */

/* A new empty folder, in memory where the system has such a place; owned. */
char *scratch_create(void);
void scratch_clear(const char *folder); /* removes the files in it */
void scratch_remove(char *folder);

double seconds_now(void); /* monotonic */

#endif
