/* SPDX-License-Identifier: MIT */
#include "clients/cli/readings.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "clients/cli/samples.h"

/* ---- finding and making rows ------------------------------------------------------------------------------- */

/* Room for one more, whose size is given, zeroed. NULL: no memory. Capacities are powers of two. */
static void *grow(void **list, size_t *count, size_t size)
{
    if ((*count & (*count - 1)) == 0) {
        void *larger = realloc(*list, (*count == 0 ? 1 : *count * 2) * size);
        if (larger == NULL)
            return NULL;
        *list = larger;
    }
    void *row = (char *)*list + *count * size;
    memset(row, 0, size);
    (*count)++;
    return row;
}

/* Samples of one store or operation mostly follow one another, so the search goes from the last one found. */
struct rows {
    struct rd_readings *readings;
    size_t store_at;
    size_t operation_at;
};

static struct rd_reading_store *store_row(struct rows *rows, const char *name)
{
    struct rd_readings *readings = rows->readings;
    for (size_t i = 0; i < readings->store_count; i++) {
        size_t at = (rows->store_at + i) % readings->store_count;
        if (strcmp(readings->stores[at].name, name) == 0) {
            rows->store_at = at;
            return &readings->stores[at];
        }
    }
    void *list = readings->stores;
    struct rd_reading_store *row = grow(&list, &readings->store_count, sizeof *row);
    readings->stores = list;
    if (row != NULL)
        snprintf(row->name, sizeof row->name, "%s", name);
    return row;
}

static struct rd_reading_operation *operation_row(struct rows *rows, const char *store, const char *operation)
{
    struct rd_readings *readings = rows->readings;
    for (size_t i = 0; i < readings->operation_count; i++) {
        size_t at = (rows->operation_at + i) % readings->operation_count;
        struct rd_reading_operation *row = &readings->operations[at];
        if (strcmp(row->store, store) == 0 && strcmp(row->operation, operation) == 0) {
            rows->operation_at = at;
            return row;
        }
    }
    void *list = readings->operations;
    struct rd_reading_operation *row = grow(&list, &readings->operation_count, sizeof *row);
    readings->operations = list;
    if (row != NULL) {
        snprintf(row->store, sizeof row->store, "%s", store);
        snprintf(row->operation, sizeof row->operation, "%s", operation);
    }
    return row;
}

/* ---- samples to numbers ------------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    size_t offset; /* of a double; samples of one name are added up */
} process_numbers[] = {
    {"process_start_time_seconds", offsetof(struct rd_reading_process, start_time_s)},
    {"process_cpu_seconds_total", offsetof(struct rd_reading_process, cpu_s)},
    {"process_resident_memory_bytes", offsetof(struct rd_reading_process, resident_bytes)},
    {"process_open_fds", offsetof(struct rd_reading_process, open_fds)},
    {"rdrive_connections", offsetof(struct rd_reading_process, connections)},
    {"rdrive_received_bytes_total", offsetof(struct rd_reading_process, received_bytes)},
    {"rdrive_sent_bytes_total", offsetof(struct rd_reading_process, sent_bytes)},
    {"rdrive_uploads", offsetof(struct rd_reading_process, uploads)},
    {"rdrive_upload_bytes", offsetof(struct rd_reading_process, upload_bytes)},
    {"rdrive_read_jobs", offsetof(struct rd_reading_process, read_jobs)},
    {"rdrive_work_jobs", offsetof(struct rd_reading_process, work_jobs)},
};

static const struct {
    const char *name;
    size_t offset;
} store_numbers[] = {
    {"rdrive_store_entries", offsetof(struct rd_reading_store, entries)},
    {"rdrive_store_tail_bytes", offsetof(struct rd_reading_store, tail_bytes)},
    {"rdrive_store_file_bytes", offsetof(struct rd_reading_store, file_bytes)},
    {"rdrive_store_live_bytes", offsetof(struct rd_reading_store, live_bytes)},
    {"rdrive_store_dead_bytes", offsetof(struct rd_reading_store, dead_bytes)},
    {"rdrive_store_index_bytes", offsetof(struct rd_reading_store, index_bytes)},
    {"rdrive_store_queue_operations", offsetof(struct rd_reading_store, queue_operations)},
    {"rdrive_store_compacting", offsetof(struct rd_reading_store, compacting)},
    {"rdrive_store_appended_bytes_total", offsetof(struct rd_reading_store, appended_bytes)},
};

static void add_to(void *row, size_t offset, double value)
{
    double *number = (double *)(void *)((char *)row + offset);
    *number += value;
}

/* Whether the sample is one of a histogram with this name; takes it. */
static bool take_histogram(const struct rd_sample *sample, const char *name,
                           struct rd_reading_histogram *histogram)
{
    size_t name_len = strlen(name);
    if (sample->name.len <= name_len || memcmp(sample->name.data, name, name_len) != 0)
        return false;
    struct rd_slice suffix = rd_slice(sample->name.data + name_len, sample->name.len - name_len);
    char bound[32];
    if (rd_slice_equal(suffix, rd_slice_of_string("_sum"))) {
        histogram->sum = sample->value;
    } else if (rd_slice_equal(suffix, rd_slice_of_string("_count"))) {
        histogram->count = sample->value;
    } else if (rd_slice_equal(suffix, rd_slice_of_string("_bucket"))) {
        if (!rd_sample_label(sample, "le", bound, sizeof bound) ||
            histogram->bucket_count == RD_READINGS_BUCKETS_MAX)
            return true;
        histogram->bounds[histogram->bucket_count] = strtod(bound, NULL);
        histogram->counts[histogram->bucket_count++] = sample->value;
    } else {
        return false;
    }
    return true;
}

static bool take_process(const struct rd_sample *sample, struct rd_reading_process *process)
{
    if (rd_sample_is(sample, "rdrive_build_info"))
        return rd_sample_label(sample, "version", process->version, sizeof process->version);
    for (size_t i = 0; i < sizeof process_numbers / sizeof process_numbers[0]; i++)
        if (rd_sample_is(sample, process_numbers[i].name)) {
            add_to(process, process_numbers[i].offset, sample->value);
            return true;
        }
    return false;
}

static void take_store(const struct rd_sample *sample, struct rd_reading_store *row)
{
    if (rd_sample_is(sample, "rdrive_store_state")) {
        if (sample->value > 0)
            rd_sample_label(sample, "state", row->state, sizeof row->state);
        return;
    }
    for (size_t i = 0; i < sizeof store_numbers / sizeof store_numbers[0]; i++)
        if (rd_sample_is(sample, store_numbers[i].name)) {
            add_to(row, store_numbers[i].offset, sample->value);
            return;
        }
    if (!take_histogram(sample, "rdrive_store_group_operations", &row->group_operations))
        (void)take_histogram(sample, "rdrive_store_sync_duration_seconds", &row->sync_seconds);
}

/* A key that is not there, and a condition that does not hold, are answers and not errors. */
static bool is_answer(const char *code)
{
    return strcmp(code, "ok") == 0 || strcmp(code, "key_not_found") == 0 ||
           strcmp(code, "precondition_failed") == 0;
}

static void take_operation(const struct rd_sample *sample, struct rd_reading_operation *row)
{
    char code[32];
    if (!rd_sample_is(sample, "rdrive_requests_total")) {
        (void)take_histogram(sample, "rdrive_request_duration_seconds", &row->seconds);
        return;
    }
    rd_sample_label(sample, "code", code, sizeof code);
    if (is_answer(code))
        row->answered += sample->value;
    else
        row->failed += sample->value;
}

static bool take(struct rows *rows, const struct rd_sample *sample)
{
    char store[RD_READINGS_NAME_SIZE];
    char operation[32];
    if (take_process(sample, &rows->readings->process) || !rd_sample_label(sample, "store", store, sizeof store))
        return true;
    if (rd_sample_label(sample, "operation", operation, sizeof operation)) {
        struct rd_reading_operation *row = operation_row(rows, store, operation);
        if (row != NULL)
            take_operation(sample, row);
        return row != NULL;
    }
    struct rd_reading_store *row = store_row(rows, store);
    if (row != NULL)
        take_store(sample, row);
    return row != NULL;
}

enum rd_status rd_readings_parse(struct rd_slice text, struct rd_readings *ret_readings)
{
    struct rd_readings readings = {.store_count = 0};
    struct rows rows = {.readings = &readings};
    struct rd_sample sample;
    while (rd_samples_next(&text, &sample)) {
        if (take(&rows, &sample))
            continue;
        rd_readings_deinit(&readings);
        return RD_NO_MEMORY;
    }
    *ret_readings = readings;
    return RD_OK;
}

void rd_readings_deinit(struct rd_readings *readings)
{
    free(readings->operations);
    free(readings->stores);
    *readings = (struct rd_readings){.store_count = 0};
}

/* ---- two of them ------------------------------------------------------------------------------------------- */

const struct rd_reading_operation *rd_readings_operation(const struct rd_readings *readings, const char *store,
                                                         const char *operation)
{
    for (size_t i = 0; i < readings->operation_count; i++)
        if (strcmp(readings->operations[i].store, store) == 0 &&
            strcmp(readings->operations[i].operation, operation) == 0)
            return &readings->operations[i];
    return NULL;
}

const struct rd_reading_store *rd_readings_store(const struct rd_readings *readings, const char *name)
{
    for (size_t i = 0; i < readings->store_count; i++)
        if (strcmp(readings->stores[i].name, name) == 0)
            return &readings->stores[i];
    return NULL;
}

double rd_readings_growth(double now, double before)
{
    return now >= before ? now - before : now;
}

struct rd_reading_histogram rd_readings_between(const struct rd_reading_histogram *now,
                                                const struct rd_reading_histogram *before)
{
    struct rd_reading_histogram between = *now;
    if (before == NULL || before->bucket_count != now->bucket_count || before->count > now->count)
        return between;
    for (unsigned i = 0; i < now->bucket_count; i++)
        between.counts[i] = now->counts[i] - before->counts[i];
    between.count = now->count - before->count;
    between.sum = now->sum - before->sum;
    return between;
}

double rd_readings_quantile(const struct rd_reading_histogram *histogram, double part)
{
    double rank = part * histogram->count;
    double low = 0;
    double below = 0;
    if (histogram->count <= 0)
        return -1;
    for (unsigned i = 0; i < histogram->bucket_count; i++) {
        double bound = histogram->bounds[i];
        if (histogram->counts[i] >= rank && histogram->counts[i] > below)
            return isinf(bound) ? low : low + (bound - low) * (rank - below) / (histogram->counts[i] - below);
        low = bound;
        below = histogram->counts[i];
    }
    return low;
}
