/* SPDX-License-Identifier: MIT
 *
 * log_share.h - how many lines a minute strangers can cause, who need no token to be told off: RD_LOG_SHARE_BURST
 * at once, then one each RD_LOG_SHARE_EACH_MS. The others are counted, and the log is told how many there were.
 *
 * Zeroed at first. One thread.
 */
#ifndef RD_SERVER_LOG_SHARE_H
#define RD_SERVER_LOG_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#define RD_LOG_SHARE_BURST   100u
#define RD_LOG_SHARE_EACH_MS 200u

struct rd_log_share {
    uint64_t full_ms;  /* when there will be room for a whole burst again */
    uint64_t left_out; /* lines, since it was told */
};

/* now_ms: uv_now. False: this line is to be left out. */
bool rd_log_share_take(struct rd_log_share *share, uint64_t now_ms);

/* Once in a while: tells how many were left out, where any were. */
void rd_log_share_tell(struct rd_log_share *share);

#endif
