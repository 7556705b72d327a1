/* SPDX-License-Identifier: MIT */
#include "clients/cli/progress.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define QUIET_MS 500 /* shorter work shows nothing */
#define PAUSE_MS 100
#define BAR_LEN  30u

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void rd_progress_begin(struct rd_progress *progress, uint64_t total_len, bool keeps_out)
{
    int64_t now = now_ms();
    *progress = (struct rd_progress){.enabled = !keeps_out && isatty(STDERR_FILENO) == 1,
                                     .total_len = total_len,
                                     .started_ms = now,
                                     .shown_last_ms = now};
}

static void show(struct rd_progress *progress, int64_t now)
{
    double mib = (double)progress->done_len / (1 << 20);
    double seconds = (double)(now - progress->started_ms) / 1000;
    char bar[BAR_LEN + 1] = "";
    if (progress->total_len != UINT64_MAX && progress->total_len != 0) {
        double part = (double)progress->done_len / (double)progress->total_len;
        unsigned filled = part < 1 ? (unsigned)(part * BAR_LEN) : BAR_LEN;
        for (unsigned i = 0; i < BAR_LEN; i++)
            bar[i] = i < filled ? '#' : '.';
        fprintf(stderr, "\r[%s] %3.0f %%  %.1f of %.1f MiB, %.1f MiB/s \033[K", bar, part * 100, mib,
                (double)progress->total_len / (1 << 20), mib / seconds);
    } else {
        fprintf(stderr, "\r%.1f MiB, %.1f MiB/s \033[K", mib, mib / seconds);
    }
    fflush(stderr);
    progress->shown = true;
    progress->shown_last_ms = now;
}

void rd_progress_add(struct rd_progress *progress, uint64_t len)
{
    progress->done_len += len;
    if (!progress->enabled)
        return;
    int64_t now = now_ms();
    if (now - progress->started_ms >= QUIET_MS && now - progress->shown_last_ms >= PAUSE_MS)
        show(progress, now);
}

void rd_progress_end(struct rd_progress *progress)
{
    if (progress->shown)
        fputs("\r\033[K", stderr);
    progress->shown = false;
}
