/* SPDX-License-Identifier: MIT
 *
 * samples.h - reads Prometheus' text format, version 0.0.4, sample by sample. What it does not understand it
 * leaves out: comments, lines that are malformed.
 *
 * Pure; nothing is allocated.
 */
#ifndef RD_CLIENTS_CLI_SAMPLES_H
#define RD_CLIENTS_CLI_SAMPLES_H

#include "base/slice.h"

/* Borrows from the text. */
struct rd_sample {
    struct rd_slice name;
    struct rd_slice labels; /* what stands between the braces */
    double value;           /* may be infinite, or no number */
};

/* Moves *text behind the next sample. False: there is none. */
bool rd_samples_next(struct rd_slice *text, struct rd_sample *ret_sample);

bool rd_sample_is(const struct rd_sample *sample, const char *name);

/* The value of a label, unescaped and cut to fit, ended by a NUL. False: the sample has no such label; `to` is
 * empty then. */
bool rd_sample_label(const struct rd_sample *sample, const char *name, char *to, size_t to_size);

#endif
