/* SPDX-License-Identifier: MIT */
#include "tests/rigs/load/history.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

void history_add(struct history *history, unsigned key, struct linear_step step)
{
    struct history_key *steps = &history->keys[key];
    if (steps->count == steps->capacity) {
        steps->capacity = steps->capacity == 0 ? 1024 : 2 * steps->capacity;
        steps->steps = realloc(steps->steps, steps->capacity * sizeof step);
        if (steps->steps == NULL)
            abort();
    }
    steps->steps[steps->count++] = step;
}

void history_deinit(struct history *history)
{
    for (unsigned key = 0; key < HISTORY_KEY_COUNT; key++)
        free(history->keys[key].steps);
    *history = (struct history){0};
}

static enum linear_verdict verdict_of(const struct history *history, unsigned key, size_t *ret_step)
{
    return linear_check(history->keys[key].steps, history->keys[key].count, ret_step);
}

static const char *name_of(enum linear_need need)
{
    return need == LINEAR_EQUAL ? "found" : need == LINEAR_UNEQUAL ? "did not find" : "whatever was there but";
}

bool history_judge(const struct history *history, char *text, size_t size)
{
    for (unsigned key = 0; key < HISTORY_KEY_COUNT; key++) {
        size_t number = 0;
        enum linear_verdict verdict = verdict_of(history, key, &number);
        if (verdict == LINEAR_YES)
            continue;
        const struct linear_step *step = &history->keys[key].steps[number];
        snprintf(text, size,
                 verdict == LINEAR_NO ? "key %u is not linearizable: step %zu, from %" PRIu64 " to %" PRIu64
                                        " ns, %s %" PRIu64 ", sets %d to %" PRIu64
                                      : "key %u: too much at one time to be judged",
                 key, number, step->begin_ns, step->end_ns, name_of(step->need), step->operand, step->sets,
                 step->value);
        return false;
    }
    return true;
}

/* ---- planting --------------------------------------------------------------------------------------------- */

/* The step's last predecessor, before `at`, that surely set something; count: there is none. */
static size_t setter_before(const struct linear_step *steps, size_t count, size_t at, uint64_t begin_ns)
{
    while (at > 0) {
        const struct linear_step *step = &steps[--at];
        if (step->sets && !step->optional && step->end_ns < begin_ns)
            return at;
    }
    return count;
}

/* A value that was there and had been overwritten when the step began; 0: none is found. */
static uint64_t stale_value(const struct linear_step *steps, size_t count, size_t number)
{
    size_t later = setter_before(steps, count, number, steps[number].begin_ns);
    size_t earlier = later;
    do {
        if (earlier == count)
            return 0;
        earlier = setter_before(steps, count, earlier, steps[later].begin_ns);
    } while (earlier == count || steps[earlier].value == 0);
    return steps[earlier].value;
}

static bool plant_one(struct history *history, struct dice *dice)
{
    for (;;) {
        unsigned key = (unsigned)dice_below(dice, HISTORY_KEY_COUNT);
        struct linear_step *steps = history->keys[key].steps;
        size_t count = history->keys[key].count;
        size_t number = (size_t)dice_below(dice, count + 1);
        if (number == count || steps[number].need != LINEAR_EQUAL || steps[number].optional)
            continue;
        uint64_t stale = stale_value(steps, count, number);
        if (stale == 0)
            continue;
        uint64_t operand = steps[number].operand;
        size_t found;
        steps[number].operand = stale;
        enum linear_verdict verdict = verdict_of(history, key, &found);
        steps[number].operand = operand;
        return verdict == LINEAR_NO;
    }
}

unsigned history_plant(struct history *history, struct dice *dice, unsigned rounds)
{
    unsigned found = 0;
    for (unsigned i = 0; i < rounds; i++)
        found += plant_one(history, dice);
    return found;
}
