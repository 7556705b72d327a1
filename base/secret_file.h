/* SPDX-License-Identifier: MIT
 *
 * secret_file.h - a secret that programs are told by a file, since command lines are seen by everybody.
 */
#ifndef RD_BASE_SECRET_FILE_H
#define RD_BASE_SECRET_FILE_H

#include <stddef.h>

#include "base/status.h"

/* The file's one line, without its end, as text. RD_INVALID_ARGUMENT: it cannot be read, is empty, has more than a
 * line or a zero byte, or does not fit; *ret_error says which. */
enum rd_status rd_secret_file_read(const char *path, char *to, size_t to_size,
                                   struct rd_error *ret_error) RD_MUST_CHECK;

/* The secret of the file at `path`, in `to`; without one (NULL) what the environment says, which is borrowed. NULL
 * and "" there are none: *ret_secret is NULL then. */
enum rd_status rd_secret_find(const char *path, const char *environment, char *to, size_t to_size,
                              const char **ret_secret, struct rd_error *ret_error) RD_MUST_CHECK;

#endif
