/* SPDX-License-Identifier: MIT
 *
 * check.h - rdrived --check-config: whether the daemon could start with what it is told, as far as that can be
 * known without binding a socket or opening a store.
 *
 * Main thread; no loop runs. Changes nothing on the disk.
 */
#ifndef RD_SERVER_CHECK_H
#define RD_SERVER_CHECK_H

#include "server/config.h"

/* What the configuration names outside of itself. A part of the server that reads files of its own adds a row to
 * the table in check.c. */
enum rd_status rd_check_config(const struct rd_config *config, struct rd_error *ret_error) RD_MUST_CHECK;

/* RD_FORBIDDEN, and what can be done about an address that strangers reach. */
enum rd_status rd_check_refuse_exposed(const char *address, struct rd_error *ret_error);

#endif
