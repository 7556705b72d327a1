/* SPDX-License-Identifier: MIT
 *
 * store_files.h - the data folder as the registry sees it: which files are stores, the settings kept beside a
 * store, what goes when a store is dropped. It opens no store.
 *
 * Everything here blocks. Any thread; a name is handled by one thread at a time.
 */
#ifndef RD_SERVER_STORE_FILES_H
#define RD_SERVER_STORE_FILES_H

#include "base/slice.h"
#include "base/status.h"
#include "server/config.h"

/* Opens the folder, making it (0700) where it is missing. */
enum rd_status rd_store_files_open_folder(const char *path, int *ret_folder_fd,
                                          struct rd_error *ret_error) RD_MUST_CHECK;

/* Calls found(context, name) for each store file; a false from it ends the walk with RD_NO_MEMORY. Logs what looks
 * like a store and is refused. */
enum rd_status rd_store_files_scan(int folder_fd, bool (*found)(void *context, const char *name), void *context,
                                   struct rd_error *ret_error) RD_MUST_CHECK;

/* Is there anything of that name? */
bool rd_store_files_exist(int folder_fd, const char *name);

/* Whether it is a regular file: a symbolic link in its place must not be followed. RD_IO_ERROR: it is missing;
 * RD_NOT_A_STORE: it is something else. data_dir is the folder's path, for the message. */
enum rd_status rd_store_files_check(int folder_fd, const char *name, const char *data_dir,
                                    struct rd_error *ret_error) RD_MUST_CHECK;

/* Writes NAME.rdr.settings.json atomically and syncs it; removes it where all settings are defaults. */
enum rd_status rd_store_files_save_settings(int folder_fd, const char *name, const struct rd_settings *settings,
                                            struct rd_error *ret_error) RD_MUST_CHECK;

/* No file means defaults. One that cannot be understood is logged and means the safest: sync. */
struct rd_settings rd_store_files_load_settings(int folder_fd, const char *name);

/* Unlinks NAME.rdr, then its companions NAME.rdr.*, and syncs the folder. Fails only where NAME.rdr stays. */
enum rd_status rd_store_files_remove(int folder_fd, const char *name, struct rd_error *ret_error) RD_MUST_CHECK;

#endif
