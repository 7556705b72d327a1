/* SPDX-License-Identifier: MIT */
#include "tests/crash/history.h"

#include <stdlib.h>
#include <string.h>

struct value {
    uint8_t *data; /* owned */
    size_t len;
};

void history_init(struct history *history)
{
    *history = (struct history){.value_slot_count = 1024};
    history->value_slots = allocate(history->value_slot_count, sizeof *history->value_slots);
}

void history_deinit(struct history *history)
{
    for (uint32_t i = 0; i < STORE_COUNT; i++) {
        free(history->stores[i].steps);
        free(history->stores[i].answers);
    }
    for (size_t i = 0; i < history->value_count; i++)
        free(history->values[i].data);
    free(history->values);
    free(history->value_slots);
    free(history->changes);
    free(history->moves);
}

/* ---- values ------------------------------------------------------------------------------------------- */

static uint64_t fnv1a(struct rd_slice bytes)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < bytes.len; i++)
        hash = (hash ^ bytes.data[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* Where the value is, or would go. */
static uint32_t *value_slot(const struct history *history, struct rd_slice bytes)
{
    size_t mask = history->value_slot_count - 1;
    for (size_t at = fnv1a(bytes) & mask;; at = (at + 1) & mask) {
        uint32_t found = history->value_slots[at];
        if (found == 0 || rd_slice_equal(history_bytes(history, (int32_t)(found - 1)), bytes))
            return &history->value_slots[at];
    }
}

int32_t history_find_value(const struct history *history, struct rd_slice bytes)
{
    uint32_t found = *value_slot(history, bytes);
    return found == 0 ? UNKNOWN : (int32_t)(found - 1);
}

struct rd_slice history_bytes(const struct history *history, int32_t value)
{
    return rd_slice(history->values[value].data, history->values[value].len);
}

int32_t history_value(struct history *history, struct rd_slice bytes)
{
    uint32_t *slot = value_slot(history, bytes);
    if (*slot != 0)
        return (int32_t)(*slot - 1);
    if (2 * history->value_count >= history->value_slot_count)
        die("more values than a history holds");
    history->values =
        grow(history->values, history->value_count, &history->value_capacity, sizeof *history->values);
    struct value *value = &history->values[history->value_count++];
    *value = (struct value){.data = allocate(bytes.len, 1), .len = bytes.len};
    memcpy(value->data, bytes.data, bytes.len);
    *slot = (uint32_t)history->value_count;
    return (int32_t)(history->value_count - 1);
}

/* ---- writing it down ---------------------------------------------------------------------------------- */

size_t history_add_step(struct history *history, uint32_t store, struct step step)
{
    struct store_history *of = &history->stores[store];
    of->steps = grow(of->steps, of->count, &of->capacity, sizeof *of->steps);
    step.change_first = history->change_count;
    step.change_count = 0;
    of->steps[of->count] = step;
    return of->count++;
}

void history_add_change(struct history *history, uint32_t store, uint32_t key, int32_t value)
{
    struct store_history *of = &history->stores[store];
    history->changes =
        grow(history->changes, history->change_count, &history->change_capacity, sizeof *history->changes);
    history->changes[history->change_count++] = (struct change){.key = key, .value = value};
    of->steps[of->count - 1].change_count++;
}

void history_add_move(struct history *history, struct move move)
{
    history->moves = grow(history->moves, history->move_count, &history->move_capacity, sizeof *history->moves);
    history->moves[history->move_count++] = move;
}

void history_add_answer(struct history *history, uint32_t store, struct answer answer)
{
    struct store_history *of = &history->stores[store];
    of->answers = grow(of->answers, of->answer_count, &of->answer_capacity, sizeof *of->answers);
    of->answers[of->answer_count++] = answer;
}

static void make_durable(struct step *step, size_t at)
{
    if (at < step->durable_at)
        step->durable_at = at;
}

void history_settle(struct history *history, uint32_t store, size_t at)
{
    struct store_history *of = &history->stores[store];
    for (size_t i = 0; i < of->count; i++)
        make_durable(&of->steps[i], at);
}

void history_finish(struct history *history, uint64_t interval_ms)
{
    for (uint32_t store = 0; store < STORE_COUNT; store++) {
        struct store_history *of = &history->stores[store];
        for (size_t i = 0; i < of->count; i++)
            for (size_t k = 0; of->steps[i].interval && k < of->answer_count; k++)
                if (of->answers[k].ms >= of->steps[i].answered_ms + interval_ms)
                    make_durable(&of->steps[i], of->answers[k].at);
    }
}

/* ---- judging by it ------------------------------------------------------------------------------------ */

struct bounds history_bounds(const struct history *history, uint32_t store, size_t at, bool power_cut)
{
    const struct store_history *of = &history->stores[store];
    struct bounds bounds = {.low = 0};
    for (size_t i = 0; i < of->count; i++) {
        const struct step *step = &of->steps[i];
        if ((power_cut ? step->durable_at : step->answered_at) < at)
            bounds.low = i + 1;
        if (step->submitted_at < at)
            bounds.high = i + 1;
    }
    return bounds;
}

size_t history_steps_within(const struct history *history, uint32_t store, size_t at, uint64_t len)
{
    const struct store_history *of = &history->stores[store];
    size_t count = 0;
    while (count < of->count && of->steps[count].answered_at < at &&
           (of->steps[count].tail <= len || of->steps[count].durable_at <= at))
        count++;
    return count;
}

static void apply(const struct history *history, const struct step *step, int32_t values[KEY_COUNT])
{
    for (size_t i = 0; i < step->change_count; i++) {
        const struct change *change = &history->changes[step->change_first + i];
        values[change->key] = change->value;
    }
}

size_t history_match(const struct history *history, uint32_t store, struct bounds bounds,
                     const int32_t values[KEY_COUNT], bool *ret_states)
{
    const struct store_history *of = &history->stores[store];
    int32_t now[KEY_COUNT];
    for (uint32_t key = 0; key < KEY_COUNT; key++)
        now[key] = ABSENT;
    size_t matches = 0;
    for (size_t count = 0; count <= bounds.high; count++) {
        if (count > 0)
            apply(history, &of->steps[count - 1], now);
        if (count < bounds.low)
            continue;
        ret_states[count - bounds.low] = memcmp(now, values, sizeof now) == 0;
        matches += ret_states[count - bounds.low];
    }
    return matches;
}

static bool pair_holds(const struct history *history, const size_t counts[STORE_COUNT])
{
    for (size_t i = 0; i < history->move_count; i++) {
        const struct move *move = &history->moves[i];
        bool gone = counts[move->source] > move->source_step;
        bool there = counts[1 - move->source] > move->target_step;
        if (gone && !there)
            return false;
    }
    return true;
}

bool history_moves_hold(const struct history *history, const struct bounds bounds[STORE_COUNT],
                        bool *const states[STORE_COUNT])
{
    for (size_t a = bounds[0].low; a <= bounds[0].high; a++)
        for (size_t b = bounds[1].low; states[0][a - bounds[0].low] && b <= bounds[1].high; b++)
            if (states[1][b - bounds[1].low] && pair_holds(history, (const size_t[]){a, b}))
                return true;
    return false;
}
