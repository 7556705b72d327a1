/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/distribution.h"

static void test_a_bucket_takes_its_bound_and_what_is_above_goes_to_the_next(void **state)
{
    (void)state;
    for (unsigned first_bit = 0; first_bit <= 16; first_bit += 4)
        for (unsigned i = 0; i + 1 < RD_DISTRIBUTION_BUCKETS; i++) {
            uint64_t bound = UINT64_C(1) << (first_bit + i);
            assert_int_equal(rd_distribution_bucket(bound, first_bit), i);
            assert_int_equal(rd_distribution_bucket(bound + 1, first_bit), i + 1);
        }
}

static void test_the_ends(void **state)
{
    (void)state;
    assert_int_equal(rd_distribution_bucket(0, RD_DISTRIBUTION_COUNT), 0);
    assert_int_equal(rd_distribution_bucket(0, RD_DISTRIBUTION_NS), 0);
    assert_int_equal(rd_distribution_bucket(1, RD_DISTRIBUTION_COUNT), 0);
    assert_int_equal(rd_distribution_bucket(2, RD_DISTRIBUTION_COUNT), 1);
    assert_int_equal(rd_distribution_bucket(UINT64_MAX, RD_DISTRIBUTION_COUNT), RD_DISTRIBUTION_BUCKETS - 1);
    assert_int_equal(rd_distribution_bucket(UINT64_MAX, RD_DISTRIBUTION_NS), RD_DISTRIBUTION_BUCKETS - 1);
}

static void test_copies_add_up(void **state)
{
    (void)state;
    static struct rd_distribution first;
    static struct rd_distribution second;
    struct rd_distribution_copy sum = {.sum = 0};
    rd_distribution_add(&first, RD_DISTRIBUTION_COUNT, 3);
    rd_distribution_add(&first, RD_DISTRIBUTION_COUNT, 4);
    rd_distribution_add(&second, RD_DISTRIBUTION_COUNT, 4);
    rd_distribution_add(&second, RD_DISTRIBUTION_COUNT, UINT64_C(1) << 40);
    rd_distribution_read(&first, &sum);
    rd_distribution_read(&second, &sum);
    assert_int_equal(sum.counts[2], 3);
    assert_int_equal(sum.counts[RD_DISTRIBUTION_BUCKETS - 1], 1);
    assert_int_equal(sum.sum, 11 + (UINT64_C(1) << 40));
}

static void test_a_counter_goes_down_as_well(void **state)
{
    (void)state;
    static struct rd_counter counter;
    rd_counter_add(&counter, 5);
    rd_counter_sub(&counter, 3);
    assert_int_equal(rd_counter_get(&counter), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_bucket_takes_its_bound_and_what_is_above_goes_to_the_next),
        cmocka_unit_test(test_the_ends),
        cmocka_unit_test(test_copies_add_up),
        cmocka_unit_test(test_a_counter_goes_down_as_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
