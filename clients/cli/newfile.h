/* SPDX-License-Identifier: MIT
 *
 * newfile.h - the store's file that an offline command makes where there is none, and takes back where it fails.
 * One thread.
 */
#ifndef RD_CLIENTS_CLI_NEWFILE_H
#define RD_CLIENTS_CLI_NEWFILE_H

#include <stdbool.h>

/* Makes an empty file, of mode 0600, where there is nothing at the path. True: it is the caller's own, which no
 * other process has made meanwhile. False: errno tells why; EEXIST: there is something. */
bool rd_newfile_make(const char *path);

/* Removes the file with its companions, where it holds nothing and no process has it open; else leaves all as it
 * is. For a file that rd_newfile_make has made, by a command that has failed, once the store is closed. Says
 * nothing: what is left over is an empty store. */
void rd_newfile_take_back(const char *path);

#endif
