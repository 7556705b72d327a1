/* SPDX-License-Identifier: MIT */
#include "server/process.h"

const char *rd_refusal_name(enum rd_refusal refusal)
{
    static const char *const names[RD_REFUSAL_COUNT] = {
        [RD_REFUSED_CONNECTION] = "connection", [RD_REFUSED_DESCRIPTOR] = "descriptor",
        [RD_REFUSED_TOO_LARGE] = "too_large",   [RD_REFUSED_MEMORY] = "memory",
        [RD_REFUSED_QUEUE] = "queue",           [RD_REFUSED_SPOOL] = "spool",
        [RD_ENDED_HEADER] = "header_timeout",   [RD_ENDED_RATE] = "rate",
        [RD_ENDED_STALL] = "stall_timeout",     [RD_ENDED_IDLE] = "idle_timeout",
    };
    return names[refusal];
}
