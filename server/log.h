/* SPDX-License-Identifier: MIT
 *
 * log.h - lines on standard error: UTC time with milliseconds, level, message, and what it is about, as text
 *
 *   2026-01-31T12:00:00.123Z info  store a: created
 *   2026-01-31T12:00:00.123Z info  connection closed: it does not take its answers peer=10.0.0.1:4000 connection=7
 *
 * or as JSON, one object a line:
 *
 *   {"time":"2026-01-31T12:00:00.123Z","level":"info","store":"a","message":"created"}
 *
 * Any thread may log: a line is built on the caller's stack and leaves in one write. Only server/ logs.
 */
#ifndef RD_SERVER_LOG_H
#define RD_SERVER_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

enum rd_log_level { RD_LOG_ERROR, RD_LOG_WARN, RD_LOG_INFO, RD_LOG_DEBUG };
enum rd_log_format { RD_LOG_TEXT, RD_LOG_JSON };

/* "error", "warn", "info" or "debug"; "text" or "json". */
bool rd_log_level_parse(struct rd_slice text, enum rd_log_level *ret_level);
bool rd_log_format_parse(struct rd_slice text, enum rd_log_format *ret_format);

/* Lines above the level are dropped; `info` until it is set. Any thread. */
void rd_log_set_level(enum rd_log_level level);
void rd_log_set_format(enum rd_log_format format);

/* Lines of text begin with the level as the journal reads it, "<6>". Before other threads log. */
void rd_log_set_priorities(bool priorities);

/* What a line is about, beside its message: one word and a text or a number. */
struct rd_log_field {
    const char *name;
    const char *text; /* borrows; NULL: number */
    uint64_t number;
};

void rd_log(enum rd_log_level level, const char *format, ...) RD_PRINTF(2, 3);

/* Of a store: as text "store NAME: message". */
void rd_log_store(enum rd_log_level level, const char *store, const char *format, ...) RD_PRINTF(3, 4);

void rd_log_fields(enum rd_log_level level, const struct rd_log_field *fields, size_t count, const char *format,
                   ...) RD_PRINTF(4, 5);

#endif
