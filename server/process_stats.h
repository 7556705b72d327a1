/* SPDX-License-Identifier: MIT
 *
 * process_stats.h - what the operating system says of this process. Any thread; reads /proc.
 */
#ifndef RD_SERVER_PROCESS_STATS_H
#define RD_SERVER_PROCESS_STATS_H

#include <stdint.h>

/* 0 where it cannot be told. */
struct rd_process_stats {
    double cpu_seconds; /* of all threads, in user space and in the kernel */
    uint64_t resident_bytes;
    uint64_t virtual_bytes;
    uint64_t open_fds;
    uint64_t fds_max;
};

void rd_process_stats_read(struct rd_process_stats *ret_stats);

#endif
