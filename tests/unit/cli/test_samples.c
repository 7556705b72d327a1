/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "clients/cli/samples.h"

static struct rd_sample first_of(const char *text)
{
    struct rd_slice left = rd_slice_of_string(text);
    struct rd_sample sample;
    assert_true(rd_samples_next(&left, &sample));
    return sample;
}

static void expect_label(const struct rd_sample *sample, const char *name, const char *value)
{
    char found[16];
    assert_true(rd_sample_label(sample, name, found, sizeof found));
    assert_string_equal(found, value);
}

static void test_names_labels_and_values(void **state)
{
    (void)state;
    struct rd_sample sample =
        first_of("# HELP x y\n# TYPE x counter\n\nx_total{a=\"1\",b_2=\"two words\"} 3.5 1700000\n");
    assert_true(rd_sample_is(&sample, "x_total"));
    assert_false(rd_sample_is(&sample, "x"));
    assert_true(sample.value == 3.5);
    expect_label(&sample, "a", "1");
    expect_label(&sample, "b_2", "two words");
    char none[4] = "x";
    assert_false(rd_sample_label(&sample, "b", none, sizeof none));
    assert_string_equal(none, "");
}

static void test_what_is_not_a_plain_number(void **state)
{
    (void)state;
    assert_true(isinf(first_of("x +Inf").value));
    assert_true(isnan(first_of("x NaN\n").value));
    assert_true(first_of("x{} 1e-06").value == 1e-6);
    assert_true(first_of("x\t 18446744073709551615 \r\n").value > 1.8e19);
}

static void test_escapes_and_braces_inside_of_values(void **state)
{
    (void)state;
    struct rd_sample sample = first_of("x{a=\"q\\\"}b\\\\\", le = \"+Inf\" , c=\"l\\nm\",} 1");
    expect_label(&sample, "a", "q\"}b\\");
    expect_label(&sample, "le", "+Inf");
    expect_label(&sample, "c", "l\nm");
}

static void test_a_long_value_is_cut(void **state)
{
    (void)state;
    struct rd_sample sample = first_of("x{a=\"0123456789abcdefghij\"} 1");
    expect_label(&sample, "a", "0123456789abcde");
}

static void test_what_is_malformed_is_left_out(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "x",           "x ",
        "{a=\"b\"} 1", "x{a=\"b} 1",
        "x{a=b} 1",    "x{a=\"b\" 1",
        "x one",       "x{a=\"b\\",
        "x 1.2.3",     "x 11111111111111111111111111111111111111111111111111111111111111111"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct rd_slice left = rd_slice_of_string(lines[i]);
        struct rd_sample sample;
        assert_false(rd_samples_next(&left, &sample));
        assert_int_equal(left.len, 0);
    }
    struct rd_sample sample = first_of("bad{ 1\ngood 2");
    assert_true(rd_sample_is(&sample, "good"));
}

/* However a text is cut, nothing behind its end is looked at: the sanitizers watch. */
static void test_a_text_that_ends_anywhere(void **state)
{
    (void)state;
    static const char text[] = "# c\nx{a=\"b\\\"c\",d=\"e\"} 1.5\ny 2\n";
    for (size_t len = 0; len < sizeof text; len++) {
        char *copy = test_malloc(len + 1);
        memcpy(copy, text, len);
        struct rd_slice left = rd_slice(copy, len);
        struct rd_sample sample;
        while (rd_samples_next(&left, &sample))
            assert_true(sample.name.len == 1);
        test_free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_labels_and_values),
        cmocka_unit_test(test_what_is_not_a_plain_number),
        cmocka_unit_test(test_escapes_and_braces_inside_of_values),
        cmocka_unit_test(test_a_long_value_is_cut),
        cmocka_unit_test(test_what_is_malformed_is_left_out),
        cmocka_unit_test(test_a_text_that_ends_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
