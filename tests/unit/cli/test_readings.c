/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "clients/cli/readings.h"
#include "clients/cli/top_show.h"

#define STORE(name, entries, synced)                                                                              \
    "rdrive_store_state{store=\"" name "\",state=\"open\"} 1\nrdrive_store_state{store=\"" name                   \
    "\",state=\"failed\"} 0\nrdrive_store_entries{store=\"" name "\"} " entries                                   \
    "\nrdrive_store_tail_bytes{store=\"" name "\"} 1000\nrdrive_store_dead_bytes{store=\"" name                   \
    "\"} 250\nrdrive_store_sync_duration_seconds_bucket{store=\"" name "\",le=\"0.001\"} " synced                 \
    "\nrdrive_store_sync_duration_seconds_bucket{store=\"" name "\",le=\"+Inf\"} " synced                         \
    "\nrdrive_store_sync_duration_seconds_count{store=\"" name "\"} " synced "\n"

static const char earlier[] =
    "rdrive_build_info{version=\"1.2\"} 1\nprocess_cpu_seconds_total 1\n"
    "process_start_time_seconds 1000\n"
    "rdrive_requests_total{store=\"a\",operation=\"read\",code=\"ok\"} 10\n"
    "rdrive_request_duration_seconds_bucket{store=\"a\",operation=\"read\",le=\"0.5\"} 10\n"
    "rdrive_request_duration_seconds_bucket{store=\"a\",operation=\"read\",le=\"1\"} 10\n"
    "rdrive_request_duration_seconds_bucket{store=\"a\",operation=\"read\",le=\"+Inf\"} 10\n"
    "rdrive_request_duration_seconds_sum{store=\"a\",operation=\"read\"} 1\n"
    "rdrive_request_duration_seconds_count{store=\"a\",operation=\"read\"} 10\n" STORE("a", "5", "0");
static const char later[] =
    "rdrive_build_info{version=\"1.2\"} 1\nprocess_cpu_seconds_total 2\n"
    "process_start_time_seconds 1000\n"
    "rdrive_read_jobs{state=\"queued\"} 2\nrdrive_read_jobs{state=\"running\"} 3\n"
    "rdrive_requests_total{store=\"\",operation=\"ping\",code=\"ok\"} 4\n"
    "rdrive_requests_total{store=\"a\",operation=\"read\",code=\"ok\"} 60\n"
    "rdrive_requests_total{store=\"a\",operation=\"read\",code=\"key_not_found\"} 10\n"
    "rdrive_requests_total{store=\"a\",operation=\"read\",code=\"io_error\"} 40\n"
    "rdrive_request_duration_seconds_bucket{store=\"a\",operation=\"read\",le=\"0.5\"} 10\n"
    "rdrive_request_duration_seconds_bucket{store=\"a\",operation=\"read\",le=\"1\"} 110\n"
    "rdrive_request_duration_seconds_bucket{store=\"a\",operation=\"read\",le=\"+Inf\"} 110\n"
    "rdrive_request_duration_seconds_sum{store=\"a\",operation=\"read\"} 76\n"
    "rdrive_request_duration_seconds_count{store=\"a\",operation=\"read\"} 110\n" STORE("a", "6", "8")
        STORE("b", "1", "0") "rdrive_store_compacting{store=\"a\"} 0\nrdrive_store_compacting{store=\"b\"} 1\n"
                             "rdrive_store_state{store=\"empty\",state=\"open\"} 1\n"
                             "rdrive_store_tail_bytes{store=\"empty\"} 0\n";

static struct rd_readings parse(const char *text)
{
    struct rd_readings readings;
    assert_int_equal(rd_readings_parse(rd_slice_of_string(text), &readings), RD_OK);
    return readings;
}

static void test_a_text_is_read(void **state)
{
    (void)state;
    struct rd_readings readings = parse(later);
    assert_string_equal(readings.process.version, "1.2");
    assert_true(readings.process.read_jobs == 5);
    assert_int_equal(readings.store_count, 3);
    assert_int_equal(readings.operation_count, 2);
    const struct rd_reading_store *store = rd_readings_store(&readings, "a");
    assert_non_null(store);
    assert_string_equal(store->state, "open");
    assert_true(store->entries == 6 && store->dead_bytes == 250 && store->sync_seconds.count == 8);
    const struct rd_reading_operation *operation = rd_readings_operation(&readings, "a", "read");
    assert_non_null(operation);
    assert_true(operation->answered == 70 && operation->failed == 40);
    assert_int_equal(operation->seconds.bucket_count, 3);
    assert_null(rd_readings_operation(&readings, "b", "read"));
    assert_null(rd_readings_store(&readings, "c"));
    rd_readings_deinit(&readings);
}

static void test_quantiles_of_what_lies_between(void **state)
{
    (void)state;
    struct rd_readings before = parse(earlier);
    struct rd_readings now = parse(later);
    const struct rd_reading_operation *old = rd_readings_operation(&before, "a", "read");
    const struct rd_reading_operation *new = rd_readings_operation(&now, "a", "read");
    struct rd_reading_histogram between = rd_readings_between(&new->seconds, &old->seconds);
    assert_true(between.count == 100 && between.sum == 75);
    assert_true(fabs(rd_readings_quantile(&between, 0.5) - 0.75) < 1e-9);
    assert_true(fabs(rd_readings_quantile(&between, 0.99) - 0.995) < 1e-9);
    /* A server that has begun anew has counted less: all of it is new. */
    between = rd_readings_between(&old->seconds, &new->seconds);
    assert_true(between.count == 10);
    assert_true(rd_readings_growth(3, 7) == 3 && rd_readings_growth(7, 3) == 4);
    rd_readings_deinit(&before);
    rd_readings_deinit(&now);
}

static void test_quantiles_at_the_ends(void **state)
{
    (void)state;
    struct rd_reading_histogram empty = {.count = 0};
    assert_true(rd_readings_quantile(&empty, 0.5) < 0);
    struct rd_reading_histogram above = {
        .bounds = {1, INFINITY}, .counts = {0, 5}, .bucket_count = 2, .count = 5, .sum = 50};
    assert_true(rd_readings_quantile(&above, 0.5) == 1);
    struct rd_reading_histogram without_buckets = {.count = 5};
    assert_true(rd_readings_quantile(&without_buckets, 0.5) == 0);
}

static void test_more_buckets_than_there_is_room_for(void **state)
{
    (void)state;
    char text[8192];
    size_t len = 0;
    for (int i = 0; i < 60; i++)
        len += (size_t)snprintf(text + len, sizeof text - len,
                                "rdrive_store_group_operations_bucket{store=\"a\",le=\"%d\"} %d\n", i, i);
    struct rd_readings readings = parse(text);
    assert_int_equal(readings.stores[0].group_operations.bucket_count, RD_READINGS_BUCKETS_MAX);
    rd_readings_deinit(&readings);
}

static struct rd_buffer shown(void (*show)(const struct rd_top_view *view, struct rd_buffer *out), unsigned rows)
{
    struct rd_readings before = parse(earlier);
    struct rd_readings now = parse(later);
    struct rd_top_view view = {.now = &now, .before = &before, .seconds = 2, .clock_s = 8200, .rows = rows};
    struct rd_buffer out;
    rd_buffer_init(&out, 0);
    show(&view, &out);
    rd_buffer_append_u8(&out, 0);
    assert_false(out.failed);
    rd_readings_deinit(&before);
    rd_readings_deinit(&now);
    return out;
}

static void test_the_table(void **state)
{
    (void)state;
    struct rd_buffer out = shown(rd_top_show_table, 0);
    const char *text = (const char *)out.data;
    assert_non_null(strstr(text, "rdrived 1.2, up 2 h 00 min, cpu 50 %"));
    assert_non_null(strstr(text, "a                    open              6        0 B   25 %"));
    assert_non_null(strstr(text, "b                    compacting        1        0 B   25 %"));
    assert_non_null(strstr(text, "empty                open              0        0 B      -"));
    assert_non_null(
        strstr(text, "a                    read                   50         20    750 ms    995 ms\n"));
    assert_non_null(strstr(text, "(none)               ping                    2"));
    assert_null(strstr(text, "more"));
    rd_buffer_deinit(&out);
    out = shown(rd_top_show_table, 11);
    assert_non_null(strstr((const char *)out.data, "and 2 more"));
    rd_buffer_deinit(&out);
}

static void test_json(void **state)
{
    (void)state;
    struct rd_buffer out = shown(rd_top_show_json, 0);
    const char *text = (const char *)out.data;
    assert_non_null(strstr(text, "{\"version\":\"1.2\",\"seconds\":2,\"uptime_seconds\":7200,\"cpu\":0.5,"));
    assert_non_null(strstr(text, "{\"store\":\"a\",\"operation\":\"read\",\"requests_per_second\":50,"
                                 "\"errors_per_second\":20,\"p50_seconds\":0.75,\"p99_seconds\":0.995}"));
    assert_non_null(strstr(text, "\"sync_p99_seconds\":null}],\"operations\""));
    assert_non_null(strstr(text, "{\"name\":\"a\",\"state\":\"open\",\"compacting\":false,"));
    assert_non_null(strstr(text, "{\"name\":\"b\",\"state\":\"open\",\"compacting\":true,"));
    assert_non_null(strstr(text, "\"dead_bytes\":250,\"dead_percent\":25,"));
    assert_non_null(strstr(text, "\"dead_bytes\":0,\"dead_percent\":null,"));
    rd_buffer_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_text_is_read),
        cmocka_unit_test(test_quantiles_of_what_lies_between),
        cmocka_unit_test(test_quantiles_at_the_ends),
        cmocka_unit_test(test_more_buckets_than_there_is_room_for),
        cmocka_unit_test(test_the_table),
        cmocka_unit_test(test_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
