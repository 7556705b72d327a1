/* SPDX-License-Identifier: MIT
 *
 * test_linear.c - the judge of histories is judged: by histories whose verdict is plain, and by small random ones
 * against a search through every order there is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "tests/support/dice.h"
#include "tests/support/linear.h"

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

/* ---- steps as their answers tell them --------------------------------------------------------------------- */

static struct linear_step at(uint64_t begin_ns, uint64_t end_ns, struct linear_step step)
{
    step.begin_ns = begin_ns;
    step.end_ns = end_ns;
    return step;
}

static struct linear_step saw(uint64_t value)
{
    return (struct linear_step){.need = LINEAR_EQUAL, .operand = value};
}

static struct linear_step wrote(uint64_t value)
{
    return (struct linear_step){.sets = true, .value = value};
}

static struct linear_step swapped(uint64_t expected, uint64_t value)
{
    return (struct linear_step){.need = LINEAR_EQUAL, .operand = expected, .sets = true, .value = value};
}

static struct linear_step refused(uint64_t expected)
{
    return (struct linear_step){.need = LINEAR_UNEQUAL, .operand = expected};
}

static struct linear_step maybe(struct linear_step step)
{
    step.optional = true;
    return step;
}

static enum linear_verdict verdict_of(const struct linear_step *steps, size_t count)
{
    size_t step = 0;
    return linear_check(steps, count, &step);
}

#define assert_linear(...)                                                                                        \
    do {                                                                                                          \
        struct linear_step steps[] = {__VA_ARGS__};                                                               \
        assert_int_equal(verdict_of(steps, COUNT_OF(steps)), LINEAR_YES);                                         \
    } while (0)

#define assert_not_linear(guilty, ...)                                                                            \
    do {                                                                                                          \
        struct linear_step steps[] = {__VA_ARGS__};                                                               \
        size_t step = SIZE_MAX;                                                                                   \
        assert_int_equal(linear_check(steps, COUNT_OF(steps), &step), LINEAR_NO);                                 \
        assert_int_equal(step, guilty);                                                                           \
    } while (0)

/* ---- plain ones ------------------------------------------------------------------------------------------- */

static void test_one_after_another(void **state)
{
    (void)state;
    assert_int_equal(verdict_of(NULL, 0), LINEAR_YES);
    assert_linear(at(1, 2, saw(0)), at(3, 4, wrote(7)), at(5, 6, saw(7)), at(7, 8, wrote(0)), at(9, 10, saw(0)));
    assert_linear(at(1, 2, refused(3)), at(3, 4, swapped(0, 3)), at(5, 6, refused(0)), at(7, 8, swapped(3, 4)),
                  at(9, 10, saw(4)));
}

static void test_a_stale_read(void **state)
{
    (void)state;
    assert_not_linear(2, at(1, 2, wrote(1)), at(3, 4, wrote(2)), at(5, 6, saw(1)));
    assert_not_linear(1, at(1, 2, wrote(1)), at(3, 4, saw(0)));
    /* Two reads that see one write, the earlier read the later value. */
    assert_not_linear(2, at(1, 9, wrote(1)), at(2, 3, saw(1)), at(4, 5, saw(0)));
}

static void test_a_lost_update(void **state)
{
    (void)state;
    /* Two that both found version 1, one after the other or at one time. */
    assert_not_linear(2, at(1, 2, wrote(1)), at(3, 4, swapped(1, 2)), at(5, 6, swapped(1, 3)));
    struct linear_step both[] = {at(1, 2, wrote(1)), at(3, 5, swapped(1, 2)), at(4, 6, swapped(1, 3))};
    assert_int_equal(verdict_of(both, COUNT_OF(both)), LINEAR_NO);
    /* Two that both created what was not there. */
    struct linear_step created[] = {at(1, 3, swapped(0, 1)), at(2, 4, swapped(0, 2))};
    assert_int_equal(verdict_of(created, COUNT_OF(created)), LINEAR_NO);
    /* An acknowledged write that nobody finds. */
    assert_not_linear(2, at(1, 2, wrote(1)), at(3, 4, wrote(2)), at(5, 6, saw(1)), at(7, 8, saw(1)));
}

static void test_a_condition_that_was_judged_wrongly(void **state)
{
    (void)state;
    assert_not_linear(1, at(1, 2, wrote(1)), at(3, 4, refused(1)));
    assert_not_linear(0, at(1, 2, refused(0)));
    assert_not_linear(1, at(1, 2, wrote(1)), at(3, 4, swapped(0, 2)));
}

static void test_a_value_that_nobody_wrote(void **state)
{
    (void)state;
    assert_not_linear(1, at(1, 2, wrote(1)), at(3, 4, saw(5)));
    assert_not_linear(0, at(1, 2, saw(1)), at(3, 4, wrote(1)));
}

static void test_what_overlaps_may_go_either_way(void **state)
{
    (void)state;
    assert_linear(at(1, 4, wrote(1)), at(2, 3, saw(0)));
    assert_linear(at(1, 4, wrote(1)), at(2, 3, saw(1)));
    assert_linear(at(1, 9, wrote(1)), at(1, 9, wrote(2)), at(2, 3, saw(2)), at(4, 5, saw(1)));
    assert_linear(at(1, 9, wrote(1)), at(1, 9, wrote(2)), at(2, 3, saw(1)), at(4, 5, saw(2)));
    /* Back to the first one there is no way. */
    assert_not_linear(4, at(1, 9, wrote(1)), at(1, 9, wrote(2)), at(2, 3, saw(2)), at(4, 5, saw(1)),
                      at(6, 7, saw(2)));
    /* What ends when another begins overlaps it. */
    assert_linear(at(1, 2, wrote(1)), at(2, 3, saw(0)));
}

static void test_no_answer_is_either_or(void **state)
{
    (void)state;
    assert_linear(at(1, 2, maybe(wrote(1))), at(3, 4, saw(1)));
    assert_linear(at(1, 2, maybe(wrote(1))), at(3, 4, saw(0)));
    assert_linear(at(1, 8, maybe(wrote(1))), at(2, 3, saw(0)), at(4, 5, saw(1)));
    assert_linear(at(1, 2, wrote(5)), at(3, 4, maybe(swapped(5, 6))), at(5, 6, saw(6)));
    assert_linear(at(1, 2, wrote(5)), at(3, 4, maybe(swapped(9, 6))), at(5, 6, saw(5)));
    /* Not both, not later than it could have been, and not where its condition never held. */
    assert_not_linear(2, at(1, 8, maybe(wrote(1))), at(2, 3, saw(1)), at(4, 5, saw(0)));
    assert_not_linear(2, at(1, 3, maybe(wrote(1))), at(4, 5, saw(0)), at(6, 7, saw(1)));
    assert_not_linear(2, at(1, 2, wrote(5)), at(3, 4, maybe(swapped(9, 6))), at(5, 6, saw(6)));
}

static void test_more_at_once_than_is_judged(void **state)
{
    (void)state;
    struct linear_step steps[LINEAR_OVERLAP_MAX + 1];
    for (size_t i = 0; i < COUNT_OF(steps); i++)
        steps[i] = at(1, 2, saw(0));
    assert_int_equal(verdict_of(steps, LINEAR_OVERLAP_MAX), LINEAR_YES);
    assert_int_equal(verdict_of(steps, LINEAR_OVERLAP_MAX + 1), LINEAR_TOO_WIDE);
}

/* ---- random ones, against every order --------------------------------------------------------------------- */

#define SMALL_COUNT 6

static bool is_allowed(const struct linear_step *step, uint64_t value)
{
    if (step->need == LINEAR_EQUAL)
        return value == step->operand;
    return step->need == LINEAR_ANYTHING || value != step->operand;
}

/* Whether some order of what is left explains the rest: tried one by one, the plain way. */
static bool has_order(const struct linear_step *steps, size_t count, unsigned left, uint64_t value)
{
    if (left == 0)
        return true;
    for (size_t i = 0; i < count; i++) {
        if ((left & 1u << i) == 0)
            continue;
        bool is_first = true;
        for (size_t j = 0; j < count; j++)
            is_first = is_first && ((left & 1u << j) == 0 || steps[j].end_ns >= steps[i].begin_ns);
        if (!is_first)
            continue;
        unsigned rest = left & ~(1u << i);
        if (steps[i].optional && has_order(steps, count, rest, value))
            return true;
        uint64_t then = steps[i].sets ? steps[i].value : value;
        if (is_allowed(&steps[i], value) && has_order(steps, count, rest, then))
            return true;
    }
    return false;
}

static struct linear_step random_step(struct dice *dice, uint64_t value)
{
    uint64_t begin_ns = dice_below(dice, 20);
    struct linear_step step = {.begin_ns = begin_ns,
                               .end_ns = begin_ns + dice_below(dice, 8),
                               .optional = dice_chance(dice, 20),
                               .sets = dice_chance(dice, 50),
                               .need = (enum linear_need)dice_below(dice, 3),
                               .operand = dice_below(dice, 4)};
    step.value = step.sets && !dice_chance(dice, 20) ? value : 0;
    return step;
}

static void test_against_every_order(void **state)
{
    (void)state;
    const char *given = getenv("RD_TEST_SEED");
    struct dice dice = {given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL)};
    print_message("    RD_TEST_SEED=%llu\n", (unsigned long long)dice.state);
    unsigned linear_count = 0;
    for (int round = 0; round < 3000; round++) {
        struct linear_step steps[SMALL_COUNT];
        for (size_t i = 0; i < SMALL_COUNT; i++)
            steps[i] = random_step(&dice, i + 1);
        bool wanted = has_order(steps, SMALL_COUNT, (1u << SMALL_COUNT) - 1, 0);
        assert_int_equal(verdict_of(steps, SMALL_COUNT), wanted ? LINEAR_YES : LINEAR_NO);
        linear_count += wanted;
    }
    assert_in_range(linear_count, 300, 2700); /* else the histories are of one kind, and say little */
}

/* ---- long ones -------------------------------------------------------------------------------------------- */

#define LONG_COUNT   4000
#define CLIENT_COUNT 16

/* A real register, and clients that wait: each step's effect lies at a random time between its ends. */
static void make_long(struct dice *dice, struct linear_step *steps)
{
    uint64_t free_ns[CLIENT_COUNT] = {0};
    uint64_t value = 0;
    for (uint64_t i = 0; i < LONG_COUNT; i++) {
        uint64_t now_ns = 100 * (i + 1);
        uint64_t *client = &free_ns[dice_below(dice, CLIENT_COUNT)];
        uint64_t earliest = now_ns > 2000 ? now_ns - 2000 : 0;
        uint64_t begin_ns = *client + 1 > earliest ? *client + 1 : earliest;
        if (begin_ns > now_ns)
            begin_ns = now_ns;
        struct linear_step step = dice_chance(dice, 50) ? saw(value) : wrote(i + 1);
        if (!step.sets && dice_chance(dice, 30))
            step = swapped(value, i + 1);
        steps[i] = at(begin_ns, now_ns + dice_below(dice, 1000), step);
        *client = steps[i].end_ns;
        value = step.sets ? step.value : value;
    }
}

static void test_a_long_history(void **state)
{
    (void)state;
    struct dice dice = {2026};
    struct linear_step *steps = calloc(LONG_COUNT, sizeof *steps);
    assert_non_null(steps);
    make_long(&dice, steps);
    assert_int_equal(verdict_of(steps, LONG_COUNT), LINEAR_YES);
    /* One answer from long ago in the middle of it. */
    size_t altered = LONG_COUNT / 2;
    while (steps[altered].need != LINEAR_EQUAL)
        altered++;
    steps[altered].operand = 1;
    assert_int_equal(verdict_of(steps, LONG_COUNT), LINEAR_NO);
    free(steps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_after_another),
        cmocka_unit_test(test_a_stale_read),
        cmocka_unit_test(test_a_lost_update),
        cmocka_unit_test(test_a_condition_that_was_judged_wrongly),
        cmocka_unit_test(test_a_value_that_nobody_wrote),
        cmocka_unit_test(test_what_overlaps_may_go_either_way),
        cmocka_unit_test(test_no_answer_is_either_or),
        cmocka_unit_test(test_more_at_once_than_is_judged),
        cmocka_unit_test(test_against_every_order),
        cmocka_unit_test(test_a_long_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
