/* SPDX-License-Identifier: MIT
 *
 * history.h - what a workload asked two stores to do, in the order of submission, what it was answered, and so
 * what each store may hold after a crash at any moment: the state after some prefix of its steps, and after which
 * ones at least. It shares no code with the engine.
 *
 * A step is one operation that was answered with success and changed something. Others change nothing, and must be
 * seen nowhere.
 */
#ifndef RD_TESTS_CRASH_HISTORY_H
#define RD_TESTS_CRASH_HISTORY_H

#include "tests/crash/common.h"

#define STORE_COUNT 2u
#define KEY_COUNT   12u
#define ABSENT      (-1) /* in place of a value's number: the key is not there */
#define UNKNOWN     (-2) /* a value that nobody wrote */
#define NEVER       SIZE_MAX

struct change {
    uint32_t key;
    int32_t value; /* its number, or ABSENT */
};

/* Moments are indices into the log of calls: "before event number so and so". */
struct step {
    size_t change_first; /* into history->changes */
    size_t change_count;
    size_t submitted_at;
    size_t answered_at;
    size_t durable_at;    /* no power cut from here on undoes it; NEVER: the next clean stop or sync does that */
    uint64_t answered_ms; /* by the workload's clock */
    bool interval;        /* answered under RD_DURABILITY_INTERVAL */
    uint64_t tail;        /* of the store, behind it */
};

struct answer {
    size_t at;
    uint64_t ms;
};

struct store_history {
    struct step *steps; /* owned */
    size_t count;
    size_t capacity;
    struct answer *answers; /* owned; of operations that changed nothing too */
    size_t answer_count;
    size_t answer_capacity;
};

/* A transfer: where the source's step is in effect, the target's is. */
struct move {
    uint32_t source;
    size_t source_step;
    size_t target_step;
};

struct history {
    struct store_history stores[STORE_COUNT];
    struct change *changes; /* owned */
    size_t change_count;
    size_t change_capacity;
    struct move *moves; /* owned */
    size_t move_count;
    size_t move_capacity;
    struct value *values; /* owned; by number */
    size_t value_count;
    size_t value_capacity;
    uint32_t *value_slots; /* owned; hash table of numbers + 1 */
    size_t value_slot_count;
};

void history_init(struct history *history);
void history_deinit(struct history *history);

/* The number of a value: the same bytes have the same number. */
int32_t history_value(struct history *history, struct rd_slice bytes);
int32_t history_find_value(const struct history *history, struct rd_slice bytes); /* or UNKNOWN */
struct rd_slice history_bytes(const struct history *history, int32_t value);      /* borrows */

/* Adds a step with no changes, then its changes, in order. step's change_first and change_count are set here. */
size_t history_add_step(struct history *history, uint32_t store, struct step step);
void history_add_change(struct history *history, uint32_t store, uint32_t key, int32_t value);
void history_add_move(struct history *history, struct move move);
void history_add_answer(struct history *history, uint32_t store, struct answer answer);

/* The store was closed in order, or opened, at that moment: all before is durable. */
void history_settle(struct history *history, uint32_t store, size_t at);

/* Once all is over: which interval steps were durable since when, because something was answered later than
 * interval_ms behind them. */
void history_finish(struct history *history, uint64_t interval_ms);

/* What a store may be at one moment: after at least `low` and at most `high` steps. */
struct bounds {
    size_t low;
    size_t high;
};

struct bounds history_bounds(const struct history *history, uint32_t store, size_t at, bool power_cut);

/* The number of steps that ended at or below this length of the file, of those answered before `at`; what was
 * durable by then counts wherever it ended, since the file may be another one by now. */
size_t history_steps_within(const struct history *history, uint32_t store, size_t at, uint64_t len);

/* ret_states[i]: whether the store's values are those after bounds.low + i steps; bounds.high - bounds.low + 1 of
 * them. Returns how many are. */
size_t history_match(const struct history *history, uint32_t store, struct bounds bounds,
                     const int32_t values[KEY_COUNT], bool *ret_states);

/* Whether some pair of those states has, of each transfer whose source is gone, the target. */
bool history_moves_hold(const struct history *history, const struct bounds bounds[STORE_COUNT],
                        bool *const states[STORE_COUNT]);

#endif
