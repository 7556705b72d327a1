/* SPDX-License-Identifier: MIT
 *
 * companion.h - PATH.settings.json, what a server keeps of a store's settings beside its file, for work on the
 * file without one. One thread.
 */
#ifndef RD_CLIENTS_CLI_COMPANION_H
#define RD_CLIENTS_CLI_COMPANION_H

#include "base/status.h"
#include "protocol/json_settings.h"

/* The settings of the store at `path`. None, or none that can be understood, which is said on standard error, are
 * the defaults. */
struct rd_json_settings rd_companion_load(const char *path);

/* Writes them for a store that is about to be made. Where they are the defaults there is to be no companion: what
 * an earlier store has left there goes. Synced, but for the folder. */
enum rd_status rd_companion_save(const char *path, const struct rd_json_settings *settings,
                                 struct rd_error *ret_error) RD_MUST_CHECK;

#endif
