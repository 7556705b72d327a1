/* SPDX-License-Identifier: MIT
 *
 * print.h - what commands print: for people by default, JSON with --json. All of it goes to standard output,
 * through stdio; main looks once at the end whether it got there.
 */
#ifndef RD_CLIENTS_CLI_PRINT_H
#define RD_CLIENTS_CLI_PRINT_H

#include "clients/cli/options.h"

/* Prints one response. NULL stands for a command that prints nothing. */
typedef void rd_print_function(const struct rd_response *response, bool json);

void rd_print_tail(const struct rd_response *response, bool json);
void rd_print_deleted(const struct rd_response *response, bool json);
void rd_print_copied(const struct rd_response *response, bool json);
void rd_print_transferred(const struct rd_response *response, bool json);
void rd_print_exists(const struct rd_response *response, bool json);
void rd_print_metadata(const struct rd_response *response, bool json);
void rd_print_len(const struct rd_response *response, bool json);
void rd_print_info(const struct rd_response *response, bool json);
void rd_print_compacted(const struct rd_response *response, bool json);
void rd_print_created(const struct rd_response *response, bool json);
void rd_print_dropped(const struct rd_response *response, bool json);
void rd_print_pong(const struct rd_response *response, bool json);
void rd_print_stores(const struct rd_response *response, bool json);
void rd_print_metrics(const struct rd_response *response, bool json);

/* A value, or the part of it that begins at response->range_first: as JSON. */
void rd_print_json_value(const struct rd_response *response);

/* JSON whether asked for or not. */
void rd_print_batch_written(const struct rd_response *response, bool json);
void rd_print_batch_deleted(const struct rd_response *response, bool json);
void rd_print_batch_values(const struct rd_response *response, bool json);

/* A walk comes in pages, so it is printed in three parts. next_offset: where a walk that was cut short would go
 * on; 0: it came to its end. */
void rd_print_entries_begin(bool json);
void rd_print_entries(const struct rd_response *response, bool is_first_page, bool json);
void rd_print_entries_end(uint64_t next_offset, bool json);

/* The name of any status that rdrive.h or the engine gives. */
const char *rd_cli_status_name(enum rd_status status);

#endif
