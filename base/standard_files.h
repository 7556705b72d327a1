/* SPDX-License-Identifier: MIT
 *
 * standard_files.h - what a program does first, where its caller has closed one of the three: the next file to be
 * opened would get that number, so that what is printed or logged would go into a store's file or to a peer, and a
 * store's file would be read as the standard input.
 */
#ifndef RD_BASE_STANDARD_FILES_H
#define RD_BASE_STANDARD_FILES_H

#include <stdbool.h>

/* Opens something in the place of each that is closed that fails as that does: it cannot be read, or written. Says
 * on what there is of the standard error that it could not. */
bool rd_standard_files_hold(const char *program);

#endif
