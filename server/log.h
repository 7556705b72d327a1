/* SPDX-License-Identifier: MIT
 *
 * log.h - lines on standard error: UTC time with milliseconds, level, message.
 *
 * Any thread may log: a line is built on the caller's stack and leaves in one write. Only server/ logs.
 */
#ifndef RD_SERVER_LOG_H
#define RD_SERVER_LOG_H

#include <stdbool.h>

#include "base/slice.h"
#include "base/status.h"

enum rd_log_level { RD_LOG_ERROR, RD_LOG_WARN, RD_LOG_INFO, RD_LOG_DEBUG };

/* "error", "warn", "info" or "debug". */
bool rd_log_level_parse(struct rd_slice text, enum rd_log_level *ret_level);

/* Lines above the level are dropped; `info` until it is set. Any thread. */
void rd_log_set_level(enum rd_log_level level);

void rd_log(enum rd_log_level level, const char *format, ...) RD_PRINTF(2, 3);

#endif
