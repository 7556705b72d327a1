/* SPDX-License-Identifier: MIT
 *
 * progress.h - a line on standard error that shows how far long work has come: only on a terminal, and only once
 * the work has taken half a second. One thread.
 */
#ifndef RD_CLIENTS_CLI_PROGRESS_H
#define RD_CLIENTS_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct rd_progress {
    bool enabled;
    bool shown;         /* the line is there */
    uint64_t total_len; /* bytes; UINT64_MAX: not known */
    uint64_t done_len;  /* bytes */
    int64_t started_ms; /* monotonic clock */
    int64_t shown_last_ms;
};

/* keeps_out: another stream is the terminal's, which the line would disturb. */
void rd_progress_begin(struct rd_progress *progress, uint64_t total_len, bool keeps_out);
void rd_progress_add(struct rd_progress *progress, uint64_t len);

/* Takes the line away. */
void rd_progress_end(struct rd_progress *progress);

#endif
