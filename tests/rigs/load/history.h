/* SPDX-License-Identifier: MIT
 *
 * history.h - what many clients did to few keys, key by key, and whether each key's part of it is linearizable.
 */
#ifndef RD_TESTS_RIGS_HISTORY_H
#define RD_TESTS_RIGS_HISTORY_H

#include "tests/support/dice.h"
#include "tests/support/linear.h"

#define HISTORY_KEY_COUNT 21u

struct history_key {
    struct linear_step *steps; /* owned; those with an answer in the order in which they ended */
    size_t count;
    size_t capacity;
};

struct history {
    struct history_key keys[HISTORY_KEY_COUNT];
};

void history_add(struct history *history, unsigned key, struct linear_step step);
void history_deinit(struct history *history);

/* False: `text` says which key, and where. */
bool history_judge(const struct history *history, char *text, size_t size);

/* Alters one answer at a time, puts it right again, and returns how many of the alterations the judge found: a
 * read or a condition that met a value which had been overwritten before the request was sent. */
unsigned history_plant(struct history *history, struct dice *dice, unsigned rounds);

#endif
