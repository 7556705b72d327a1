/* SPDX-License-Identifier: MIT
 *
 * server.h - the daemon from its configuration to its exit code: sockets, stores, loops, port file, signals.
 *
 * One per process, since signals are.
 */
#ifndef RD_SERVER_SERVER_H
#define RD_SERVER_SERVER_H

#include "server/config.h"

/* Serves until SIGTERM or SIGINT; SIGHUP has *config, made from `sources`, read anew (reload.h). Returns the exit
 * code: 0 after a clean stop, 1 where it could not start, 2 where the certificate, its key or the tokens cannot be
 * used, or tokens are missing; why is logged. A second signal to stop ends the process with 1 at once. Main
 * thread. */
int rd_server_run(struct rd_config *config, const struct rd_config_sources *sources);

#endif
