/* SPDX-License-Identifier: MIT
 *
 * report.h - what a run is said to have done: a few lines, or one JSON object; and a line while it goes on.
 */
#ifndef RD_CLIENTS_BENCH_REPORT_H
#define RD_CLIENTS_BENCH_REPORT_H

#include <stdio.h>

#include "clients/bench/load.h"
#include "clients/bench/options.h"

void rd_report_text(const struct rd_options *options, const struct rd_load_result *result, FILE *to);
void rd_report_json(const struct rd_options *options, const struct rd_load_result *result, FILE *to);

/* Overwrites one line of standard error, which is a terminal. An rd_load_watch. */
void rd_report_progress(const struct rd_plan *plan, const struct rd_load_result *so_far);

/* Takes that line away. */
void rd_report_progress_end(void);

#endif
