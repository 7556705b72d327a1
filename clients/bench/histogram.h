/* SPDX-License-Identifier: MIT
 *
 * histogram.h - counts of values in log-linear buckets: each power of two is cut into 256 buckets of one width, so
 * that a value is known to 0.4 % whatever its size, recording takes a few instructions, and nothing allocates.
 * The algorithm is that of Gil Tene's HdrHistogram (http://hdrhistogram.org). Pure; one thread.
 */
#ifndef RD_CLIENTS_BENCH_HISTOGRAM_H
#define RD_CLIENTS_BENCH_HISTOGRAM_H

#include <assert.h>
#include <stdint.h>

enum {
    RD_HISTOGRAM_LINEAR_BITS = 9, /* values below 2^9 have a bucket each */
    RD_HISTOGRAM_VALUE_BITS = 42, /* larger values count as the largest; in nanoseconds 73 minutes */
    RD_HISTOGRAM_HALF = 1 << (RD_HISTOGRAM_LINEAR_BITS - 1), /* buckets of one power of two */
    RD_HISTOGRAM_BUCKET_COUNT = RD_HISTOGRAM_HALF * (RD_HISTOGRAM_VALUE_BITS - RD_HISTOGRAM_LINEAR_BITS + 2)
};

/* Zeroed means empty. */
struct rd_histogram {
    uint64_t count;
    uint64_t max; /* exact */
    uint64_t buckets[RD_HISTOGRAM_BUCKET_COUNT];
};

static inline unsigned rd_histogram_bucket(uint64_t value)
{
    const uint64_t value_max = (UINT64_C(1) << RD_HISTOGRAM_VALUE_BITS) - 1;
    if (value > value_max)
        value = value_max;
    if (value < UINT64_C(1) << RD_HISTOGRAM_LINEAR_BITS)
        return (unsigned)value;
    unsigned shift = 64 - RD_HISTOGRAM_LINEAR_BITS - (unsigned)__builtin_clzll(value);
    return shift * RD_HISTOGRAM_HALF + (unsigned)(value >> shift);
}

static inline void rd_histogram_record(struct rd_histogram *histogram, uint64_t value)
{
    histogram->count++;
    if (value > histogram->max)
        histogram->max = value;
    histogram->buckets[rd_histogram_bucket(value)]++;
}

/* The value that `part` (0 to 1) of all recorded ones do not exceed: the upper end of its bucket, at most max. 0
 * where there are none. */
uint64_t rd_histogram_quantile(const struct rd_histogram *histogram, double part);

#endif
