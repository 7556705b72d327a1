/* SPDX-License-Identifier: MIT */
#include "server/process_stats.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void read_memory(struct rd_process_stats *stats)
{
    unsigned long long size = 0;
    unsigned long long resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return;
    uint64_t page_len = (uint64_t)sysconf(_SC_PAGESIZE);
    if (fscanf(file, "%llu %llu", &size, &resident) == 2) {
        stats->virtual_bytes = size * page_len;
        stats->resident_bytes = resident * page_len;
    }
    fclose(file);
}

/* Linux tells the number as the folder's size since 6.2; before, the names have to be counted. */
static uint64_t count_open_fds(void)
{
    struct stat stat_of;
    if (stat("/proc/self/fd", &stat_of) == 0 && stat_of.st_size > 0)
        return (uint64_t)stat_of.st_size;
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL)
        return 0;
    uint64_t count = 0;
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count - 1; /* the folder's own */
}

void rd_process_stats_read(struct rd_process_stats *ret_stats)
{
    struct rd_process_stats stats = {.open_fds = count_open_fds()};
    struct rusage usage;
    struct rlimit limit;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        stats.cpu_seconds = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        stats.fds_max = limit.rlim_cur;
    read_memory(&stats);
    *ret_stats = stats;
}
