/* SPDX-License-Identifier: MIT
 *
 * readings.h - what one answer to `metrics` says, as numbers, and what lies between two of them. For rdrive top.
 *
 * One thread.
 */
#ifndef RD_CLIENTS_CLI_READINGS_H
#define RD_CLIENTS_CLI_READINGS_H

#include "base/slice.h"
#include "base/status.h"

#define RD_READINGS_BUCKETS_MAX 40u
#define RD_READINGS_NAME_SIZE   65u

/* Cumulative, as it comes. Zeroed: nothing was recorded. */
struct rd_reading_histogram {
    double bounds[RD_READINGS_BUCKETS_MAX]; /* the last one is infinite */
    double counts[RD_READINGS_BUCKETS_MAX]; /* so many were at most that */
    unsigned bucket_count;
    double count;
    double sum;
};

/* Of one operation of one store (or of none: ""). */
struct rd_reading_operation {
    char store[RD_READINGS_NAME_SIZE];
    char operation[32];
    double answered;
    double failed; /* with an error's code, which "not found" is not */
    struct rd_reading_histogram seconds;
};

struct rd_reading_store {
    char name[RD_READINGS_NAME_SIZE];
    char state[16]; /* "" where it was not told */
    double entries;
    double tail_bytes;
    double file_bytes;
    double live_bytes;
    double dead_bytes;
    double index_bytes;
    double queue_operations;
    double compacting; /* 1: it is being compacted */
    double appended_bytes;
    struct rd_reading_histogram group_operations;
    struct rd_reading_histogram sync_seconds;
};

/* Of the process. */
struct rd_reading_process {
    char version[32];
    double start_time_s; /* since 1970 */
    double cpu_s;
    double resident_bytes;
    double open_fds;
    double connections;
    double received_bytes;
    double sent_bytes;
    double uploads;
    double upload_bytes;
    double read_jobs; /* queued and running */
    double work_jobs;
};

struct rd_readings {
    struct rd_reading_process process;
    struct rd_reading_operation *operations; /* owned */
    size_t operation_count;
    struct rd_reading_store *stores; /* owned */
    size_t store_count;
};

/* Zero it first, or deinit it. RD_NO_MEMORY: it is empty. */
enum rd_status rd_readings_parse(struct rd_slice text, struct rd_readings *ret_readings) RD_MUST_CHECK;
void rd_readings_deinit(struct rd_readings *readings);

/* NULL where there was none. */
const struct rd_reading_operation *rd_readings_operation(const struct rd_readings *readings, const char *store,
                                                         const char *operation);
const struct rd_reading_store *rd_readings_store(const struct rd_readings *readings, const char *name);

/* What a count has grown by; where it has begun anew since: all of it. */
double rd_readings_growth(double now, double before);

/* The same for a histogram; before may be NULL. */
struct rd_reading_histogram rd_readings_between(const struct rd_reading_histogram *now,
                                                const struct rd_reading_histogram *before);

/* Where `part` (0 to 1) of what was recorded lies below, taken to be spread evenly within its bucket. Negative:
 * there is nothing. Above the last bound: that bound. */
double rd_readings_quantile(const struct rd_reading_histogram *histogram, double part);

#endif
