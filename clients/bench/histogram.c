/* SPDX-License-Identifier: MIT */
#include "clients/bench/histogram.h"

static uint64_t bucket_end(unsigned bucket)
{
    if (bucket < 2 * RD_HISTOGRAM_HALF)
        return bucket;
    unsigned shift = bucket / RD_HISTOGRAM_HALF - 1;
    return (((uint64_t)bucket % RD_HISTOGRAM_HALF + RD_HISTOGRAM_HALF + 1) << shift) - 1;
}

uint64_t rd_histogram_quantile(const struct rd_histogram *histogram, double part)
{
    if (histogram->count == 0)
        return 0;
    double exact = part * (double)histogram->count;
    uint64_t rank = (uint64_t)exact;
    if ((double)rank < exact || rank == 0)
        rank++;
    uint64_t seen = 0;
    unsigned bucket = 0;
    for (; bucket < RD_HISTOGRAM_BUCKET_COUNT - 1; bucket++) {
        seen += histogram->buckets[bucket];
        if (seen >= rank)
            break;
    }
    uint64_t end = bucket_end(bucket);
    return end < histogram->max ? end : histogram->max;
}
