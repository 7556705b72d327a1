/* SPDX-License-Identifier: MIT
 *
 * The load generator's histogram against sorted values, and its random numbers against the published ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clients/bench/histogram.h"
#include "clients/bench/random.h"

#define VALUE_COUNT 20000u

static struct rd_histogram histogram;

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static void empty_and_single(void **state)
{
    (void)state;
    memset(&histogram, 0, sizeof histogram);
    assert_int_equal(rd_histogram_quantile(&histogram, 0.5), 0);
    rd_histogram_record(&histogram, 123456789);
    assert_int_equal(rd_histogram_quantile(&histogram, 0), 123456789);
    assert_int_equal(rd_histogram_quantile(&histogram, 0.5), 123456789);
    assert_int_equal(rd_histogram_quantile(&histogram, 1), 123456789);
}

/* The first value above `from` that is in another bucket; 2^VALUE_BITS where there is none. */
static uint64_t end_of_bucket(uint64_t from)
{
    uint64_t low = from;
    uint64_t high = UINT64_C(1) << RD_HISTOGRAM_VALUE_BITS;
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        if (rd_histogram_bucket(middle) == rd_histogram_bucket(from))
            low = middle;
        else
            high = middle;
    }
    return high;
}

/* Buckets follow each other without a gap, and none is wider than 1/256 of what is in it. */
static void buckets_are_narrow(void **state)
{
    (void)state;
    uint64_t begin = 0;
    for (unsigned bucket = 0; bucket < RD_HISTOGRAM_BUCKET_COUNT; bucket++) {
        assert_int_equal(rd_histogram_bucket(begin), bucket);
        uint64_t width = end_of_bucket(begin) - begin;
        assert_true(width == 1 || width <= begin / RD_HISTOGRAM_HALF);
        begin += width;
    }
    assert_true(begin == UINT64_C(1) << RD_HISTOGRAM_VALUE_BITS);
    assert_int_equal(rd_histogram_bucket(UINT64_MAX), RD_HISTOGRAM_BUCKET_COUNT - 1);
}

/* Values of every size. */
static void quantiles_are_those_of_the_sorted_values(void **state)
{
    (void)state;
    static uint64_t values[VALUE_COUNT];
    static const double parts[] = {0, 0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 0.9999, 1};
    struct rd_random random = {1};
    memset(&histogram, 0, sizeof histogram);
    for (size_t i = 0; i < VALUE_COUNT; i++) {
        values[i] = rd_random_next(&random) >> (22 + rd_random_below(&random, 42));
        rd_histogram_record(&histogram, values[i]);
    }
    qsort(values, VALUE_COUNT, sizeof values[0], compare);
    assert_int_equal(histogram.count, VALUE_COUNT);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        size_t rank = (size_t)(parts[i] * VALUE_COUNT + 0.999999);
        uint64_t exact = values[rank == 0 ? 0 : rank - 1];
        uint64_t told = rd_histogram_quantile(&histogram, parts[i]);
        assert_true(told >= exact && told - exact <= exact / RD_HISTOGRAM_HALF);
    }
    assert_int_equal(rd_histogram_quantile(&histogram, 1), values[VALUE_COUNT - 1]);
}

/* splitmix64's first numbers for the seed 1234567, as its authors' code gives them. */
static void random_numbers(void **state)
{
    (void)state;
    struct rd_random random = {1234567};
    assert_true(rd_random_next(&random) == UINT64_C(6457827717110365317));
    assert_true(rd_random_next(&random) == UINT64_C(3203168211198807973));
    assert_true(rd_random_next(&random) == UINT64_C(9817491932198370423));
    unsigned seen[7] = {0};
    for (int i = 0; i < 70000; i++) {
        seen[rd_random_below(&random, 7)]++;
        double unit = rd_random_unit(&random);
        assert_true(unit >= 0 && unit < 1);
    }
    for (int i = 0; i < 7; i++)
        assert_in_range(seen[i], 9500, 10500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_and_single),
        cmocka_unit_test(buckets_are_narrow),
        cmocka_unit_test(quantiles_are_those_of_the_sorted_values),
        cmocka_unit_test(random_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
