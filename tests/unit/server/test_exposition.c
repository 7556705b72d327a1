/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "server/exposition.h"

static struct rd_buffer out;

static int setup(void **state)
{
    (void)state;
    rd_buffer_init(&out, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rd_buffer_deinit(&out);
    return 0;
}

static void expect(const char *text)
{
    rd_buffer_append_u8(&out, 0);
    assert_false(out.failed);
    assert_string_equal((char *)out.data, text);
}

static void test_numbers(void **state)
{
    (void)state;
    struct rd_family family = {"things_total", RD_FAMILY_COUNTER, "Things."};
    struct rd_labels labels = {{{"store", "a"}, {"code", "ok"}}};
    rd_exposition_begin(&out, &family);
    rd_exposition_u64(&out, &family, NULL, UINT64_MAX);
    rd_exposition_u64(&out, &family, &labels, 0);
    rd_exposition_double(&out, &family, NULL, 0.25);
    expect("# HELP things_total Things.\n# TYPE things_total counter\nthings_total 18446744073709551615\n"
           "things_total{store=\"a\",code=\"ok\"} 0\nthings_total 0.25\n");
}

static void test_values_of_labels_are_escaped(void **state)
{
    (void)state;
    struct rd_family family = {"up", RD_FAMILY_GAUGE, "Whether."};
    struct rd_labels labels = {{{"text", "a\"b\\c\nd"}}};
    rd_exposition_u64(&out, &family, &labels, 1);
    expect("up{text=\"a\\\"b\\\\c\\nd\"} 1\n");
}

static void test_a_histogram_is_cumulative_and_in_its_unit(void **state)
{
    (void)state;
    struct rd_family family = {"took_seconds", RD_FAMILY_HISTOGRAM, "How long."};
    struct rd_labels labels = {{{"store", "a"}}};
    struct rd_distribution_copy values = {.sum = 1500000000};
    values.counts[0] = 2;
    values.counts[1] = 1;
    values.counts[RD_DISTRIBUTION_BUCKETS - 1] = 4;
    rd_exposition_histogram(&out, &family, &labels, &values, RD_DISTRIBUTION_NS, 1e9);
    rd_buffer_append_u8(&out, 0);
    const char *text = (const char *)out.data;
    const char *begins = "took_seconds_bucket{store=\"a\",le=\"4.096e-06\"} 2\n"
                         "took_seconds_bucket{store=\"a\",le=\"8.192e-06\"} 3\n";
    const char *ends = "took_seconds_bucket{store=\"a\",le=\"17.17986918\"} 3\n"
                       "took_seconds_bucket{store=\"a\",le=\"+Inf\"} 7\n"
                       "took_seconds_sum{store=\"a\"} 1.5\ntook_seconds_count{store=\"a\"} 7\n";
    assert_int_equal(strncmp(text, begins, strlen(begins)), 0);
    assert_string_equal(text + strlen(text) - strlen(ends), ends);
}

static void test_an_empty_histogram_is_left_out(void **state)
{
    (void)state;
    struct rd_family family = {"took_seconds", RD_FAMILY_HISTOGRAM, "How long."};
    struct rd_distribution_copy values = {.sum = 0};
    rd_exposition_histogram(&out, &family, NULL, &values, RD_DISTRIBUTION_NS, 1e9);
    expect("");
}

static void test_a_buffer_that_is_full_says_so(void **state)
{
    (void)state;
    struct rd_family family = {"things", RD_FAMILY_GAUGE, "Things."};
    rd_buffer_init(&out, 16);
    rd_exposition_begin(&out, &family);
    assert_true(out.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_numbers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_values_of_labels_are_escaped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_histogram_is_cumulative_and_in_its_unit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_empty_histogram_is_left_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_buffer_that_is_full_says_so, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
