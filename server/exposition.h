/* SPDX-License-Identifier: MIT
 *
 * exposition.h - Prometheus' text format, version 0.0.4: families of samples, appended to a buffer.
 *
 * The samples of a family follow its head, without another one's between them. Where memory runs out the buffer
 * says so at the end (`failed`). Pure.
 */
#ifndef RD_SERVER_EXPOSITION_H
#define RD_SERVER_EXPOSITION_H

#include "base/buffer.h"
#include "base/distribution.h"

enum rd_family_type { RD_FAMILY_COUNTER, RD_FAMILY_GAUGE, RD_FAMILY_HISTOGRAM };

struct rd_family {
    const char *name; /* with its unit, and _total where it is a counter */
    enum rd_family_type type;
    const char *help;
};

/* Labels of a sample; those with a NULL name are left out. */
#define RD_LABELS_MAX 3u
struct rd_labels {
    struct {
        const char *name;
        const char *value;
    } pairs[RD_LABELS_MAX];
};

void rd_exposition_begin(struct rd_buffer *out, const struct rd_family *family);

/* labels may be NULL: none. */
void rd_exposition_u64(struct rd_buffer *out, const struct rd_family *family, const struct rd_labels *labels,
                       uint64_t value);
void rd_exposition_double(struct rd_buffer *out, const struct rd_family *family, const struct rd_labels *labels,
                          double value);

/* All buckets, the sum and the count of a histogram; nothing where it is empty. Values are first_bit's
 * (distribution.h), and so many of them make one of the family's unit: 1e9 for nanoseconds in a family of seconds.
 */
void rd_exposition_histogram(struct rd_buffer *out, const struct rd_family *family, const struct rd_labels *labels,
                             const struct rd_distribution_copy *values, unsigned first_bit, double per_unit);

#endif
