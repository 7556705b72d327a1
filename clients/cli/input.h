/* SPDX-License-Identifier: MIT
 *
 * input.h - values and JSON from a file or from standard input, in memory.
 */
#ifndef RD_CLIENTS_CLI_INPUT_H
#define RD_CLIENTS_CLI_INPUT_H

#include "base/buffer.h"
#include "base/status.h"

/* Appends all of path, or of standard input where path is NULL. RD_TOO_LARGE: more than out->len_max bytes. */
enum rd_status rd_input_read(const char *path, struct rd_buffer *out, struct rd_error *ret_error) RD_MUST_CHECK;

#endif
