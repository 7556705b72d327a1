/* SPDX-License-Identifier: MIT
 *
 * top_show.h - what rdrive top shows of two readings, as a table or as JSON. Pure.
 */
#ifndef RD_CLIENTS_CLI_TOP_SHOW_H
#define RD_CLIENTS_CLI_TOP_SHOW_H

#include "base/buffer.h"
#include "clients/cli/readings.h"

struct rd_top_view {
    const struct rd_readings *now;
    const struct rd_readings *before;
    double seconds; /* between the two */
    double clock_s; /* since 1970, for how long the server has been up */
    unsigned rows;  /* lines that there is room for; 0: any number */
};

/* Stores and operations, the busiest first. */
void rd_top_show_table(const struct rd_top_view *view, struct rd_buffer *out);

/* One line: rates a second, latencies and sync times in seconds (null where nothing was done). */
void rd_top_show_json(const struct rd_top_view *view, struct rd_buffer *out);

#endif
