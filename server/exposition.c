/* SPDX-License-Identifier: MIT */
#include "server/exposition.h"

#include <stdio.h>

#include "base/text.h"

#define LITERAL(out, text) rd_buffer_append(out, text, sizeof text - 1)

void rd_exposition_begin(struct rd_buffer *out, const struct rd_family *family)
{
    static const char *const types[] = {
        [RD_FAMILY_COUNTER] = "counter", [RD_FAMILY_GAUGE] = "gauge", [RD_FAMILY_HISTOGRAM] = "histogram"};
    LITERAL(out, "# HELP ");
    rd_buffer_append_string(out, family->name);
    LITERAL(out, " ");
    rd_buffer_append_string(out, family->help);
    LITERAL(out, "\n# TYPE ");
    rd_buffer_append_string(out, family->name);
    LITERAL(out, " ");
    rd_buffer_append_string(out, types[family->type]);
    LITERAL(out, "\n");
}

static void append_escaped(struct rd_buffer *out, const char *value)
{
    for (const char *at = value; *at != '\0'; at++) {
        if (*at == '\n')
            LITERAL(out, "\\n");
        else if (*at == '"')
            LITERAL(out, "\\\"");
        else if (*at == '\\')
            LITERAL(out, "\\\\");
        else
            rd_buffer_append_u8(out, (uint8_t)*at);
    }
}

static void append_label(struct rd_buffer *out, const char *name, const char *value, bool *is_first)
{
    if (name == NULL)
        return;
    rd_buffer_append_string(out, *is_first ? "{" : ",");
    rd_buffer_append_string(out, name);
    LITERAL(out, "=\"");
    append_escaped(out, value);
    LITERAL(out, "\"");
    *is_first = false;
}

/* le: of a bucket, NULL for others. */
static void append_name(struct rd_buffer *out, const struct rd_family *family, const char *suffix,
                        const struct rd_labels *labels, const char *le)
{
    bool is_first = true;
    rd_buffer_append_string(out, family->name);
    rd_buffer_append_string(out, suffix);
    for (unsigned i = 0; labels != NULL && i < RD_LABELS_MAX; i++)
        append_label(out, labels->pairs[i].name, labels->pairs[i].value, &is_first);
    append_label(out, le == NULL ? NULL : "le", le, &is_first);
    rd_buffer_append_string(out, is_first ? " " : "} ");
}

static void append_u64(struct rd_buffer *out, uint64_t value)
{
    rd_text_u64_encode(value, out);
    LITERAL(out, "\n");
}

void rd_exposition_u64(struct rd_buffer *out, const struct rd_family *family, const struct rd_labels *labels,
                       uint64_t value)
{
    append_name(out, family, "", labels, NULL);
    append_u64(out, value);
}

void rd_exposition_double(struct rd_buffer *out, const struct rd_family *family, const struct rd_labels *labels,
                          double value)
{
    append_name(out, family, "", labels, NULL);
    rd_buffer_printf(out, "%.15g\n", value);
}

void rd_exposition_histogram(struct rd_buffer *out, const struct rd_family *family, const struct rd_labels *labels,
                             const struct rd_distribution_copy *values, unsigned first_bit, double per_unit)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < RD_DISTRIBUTION_BUCKETS; i++)
        count += values->counts[i];
    if (count == 0)
        return;
    count = 0;
    for (unsigned i = 0; i < RD_DISTRIBUTION_BUCKETS; i++) {
        char le[32] = "+Inf";
        if (i + 1 < RD_DISTRIBUTION_BUCKETS)
            snprintf(le, sizeof le, "%.10g", (double)(UINT64_C(1) << (first_bit + i)) / per_unit);
        count += values->counts[i];
        append_name(out, family, "_bucket", labels, le);
        append_u64(out, count);
    }
    append_name(out, family, "_sum", labels, NULL);
    rd_buffer_printf(out, "%.15g\n", (double)values->sum / per_unit);
    append_name(out, family, "_count", labels, NULL);
    append_u64(out, count);
}
