/* SPDX-License-Identifier: MIT
 *
 * newfile.h - the store's file that an offline command makes where there is none, and takes back where it fails.
 * One thread.
 */
#ifndef RD_CLIENTS_CLI_NEWFILE_H
#define RD_CLIENTS_CLI_NEWFILE_H

#include <stdbool.h>

/* Whether there is nothing at the path: what will be is the command's own. */
bool rd_newfile_is_to_be_made(const char *path);

/* Removes the file with its companions, where it holds nothing and no process has it open; else leaves all as it
 * is. For a file that was to be made, by a command that has failed, once the store is closed. Says nothing: what
 * is left over is an empty store. */
void rd_newfile_take_back(const char *path);

#endif
