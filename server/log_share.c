/* SPDX-License-Identifier: MIT */
#include "server/log_share.h"

#include "server/log.h"

bool rd_log_share_take(struct rd_log_share *share, uint64_t now_ms)
{
    uint64_t full_ms = share->full_ms > now_ms ? share->full_ms : now_ms;
    bool has_room = full_ms + RD_LOG_SHARE_EACH_MS <= now_ms + (uint64_t)RD_LOG_SHARE_BURST * RD_LOG_SHARE_EACH_MS;
    share->left_out += !has_room;
    share->full_ms = full_ms + (has_room ? RD_LOG_SHARE_EACH_MS : 0);
    return has_room;
}

void rd_log_share_tell(struct rd_log_share *share)
{
    if (share->left_out != 0)
        rd_log(RD_LOG_INFO, "%llu more lines about connections that ended were left out",
               (unsigned long long)share->left_out);
    share->left_out = 0;
}
