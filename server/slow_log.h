/* SPDX-License-Identifier: MIT
 *
 * slow_log.h - requests that took long, in the log: what was asked of which store, the key's hash, sizes, and
 * where the time went. Never a key's bytes and never a value.
 *
 * A slow disk makes every request slow: at most RD_SLOW_LOG_LINES a second are logged for each loop, and how many
 * were left out is told with the next.
 *
 * Owned by the loop, on whose thread it runs.
 */
#ifndef RD_SERVER_SLOW_LOG_H
#define RD_SERVER_SLOW_LOG_H

#include <stdint.h>

#define RD_SLOW_LOG_LINES 10u

struct rd_call;

struct rd_slow_log {
    uint64_t second;  /* that `lines` were logged in */
    unsigned lines;   /* in that second */
    uint64_t skipped; /* since the last line */
};

/* A call whose answer has just been encoded, and took at least as long as the loop's slow_ns. */
void rd_slow_log_note(struct rd_slow_log *log, const struct rd_call *call, uint64_t now_ns);

#endif
