/* SPDX-License-Identifier: MIT */
#include "engine/writeback.h"

#include "engine/datafile.h"

#define MEMORY_SHARE    16u
#define BYTES_MAX_LEAST (UINT64_C(8) << 20) /* below, a disk that is fast would wait for us */
#define WINDOWS         8u                  /* waited for one by one, so that the disk always has some of them */
#define WINDOW_LEN_MAX  (UINT64_C(8) << 20)

uint64_t rd_writeback_bound(uint64_t memory_bytes)
{
    uint64_t share = memory_bytes / MEMORY_SHARE;
    return share < BYTES_MAX_LEAST ? BYTES_MAX_LEAST : share;
}

void rd_writeback_init(struct rd_writeback *writeback, enum rd_writeback_kind kind, uint64_t begin,
                       uint64_t bytes_max, bool forgets)
{
    *writeback = (struct rd_writeback){
        .kind = kind, .forgets = forgets, .bytes_max = bytes_max, .clean = begin, .started = begin};
}

static uint64_t window_len(const struct rd_writeback *writeback)
{
    uint64_t len = writeback->bytes_max / WINDOWS;
    return len < WINDOW_LEN_MAX ? len : WINDOW_LEN_MAX;
}

uint64_t rd_writeback_kept(const struct rd_writeback *writeback)
{
    return writeback->kind == RD_WRITEBACK_LATE ? writeback->bytes_max / 4 * 3 : 0;
}

/* The disk begins before the bound is met: then there is less to wait for, or nothing. */
static void start(struct rd_writeback *writeback, struct rd_datafile *file, uint64_t end)
{
    bool late = writeback->kind == RD_WRITEBACK_LATE;
    uint64_t kept = rd_writeback_kept(writeback);
    uint64_t step = late ? window_len(writeback) : end - writeback->started;
    while (end > writeback->started && end - writeback->started >= kept + step) {
        rd_datafile_start_writeback(file, writeback->started, step);
        writeback->started += step;
    }
}

int rd_writeback_pace(struct rd_writeback *writeback, struct rd_datafile *file, uint64_t end)
{
    start(writeback, file, end);
    uint64_t step = window_len(writeback);
    while (end - writeback->clean > writeback->bytes_max) {
        int failed = rd_datafile_await_writeback(file, writeback->clean, step);
        if (failed != 0)
            return failed;
        if (writeback->forgets)
            rd_datafile_drop_cache(file, writeback->clean, step);
        writeback->clean += step;
        if (writeback->started < writeback->clean)
            writeback->started = writeback->clean;
    }
    return 0;
}
