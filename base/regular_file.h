/* SPDX-License-Identifier: MIT
 *
 * regular_file.h - files that a program reads again while it runs. Opening one never waits: a pipe without a
 * writer would hold up whoever opens it for as long as nobody comes.
 */
#ifndef RD_BASE_REGULAR_FILE_H
#define RD_BASE_REGULAR_FILE_H

#include "base/status.h"

/* A descriptor to read from, which is the caller's. Negative: errno says why, or is 0 where there is something
 * else than a regular file (or a link to one). */
int rd_regular_file_open(const char *path) RD_MUST_CHECK;

#endif
