/* SPDX-License-Identifier: MIT
 *
 * reload.h - SIGHUP: the configuration is read anew, from the same flags and environment and from what is in the
 * file by now, and what can change while the daemon runs does.
 *
 *   read -> prepare all steps ---------------> apply all steps -> say what needs a restart
 *             |  one cannot be, or a mistake      (cannot fail)
 *             +--> discard what is prepared; nothing has changed
 *
 * A part of the server with files of its own to read again adds a step to the table in reload.c. Loop 0's thread.
 */
#ifndef RD_SERVER_RELOAD_H
#define RD_SERVER_RELOAD_H

#include "server/config.h"

struct rd_auth;
struct rd_compactor;
struct rd_loop;
struct rd_process;
struct rd_stores;
struct rd_tls;

struct rd_reload {
    struct rd_config *config;                /* borrows; in force, what is new is moved into it */
    const struct rd_config_sources *sources; /* borrows */
    struct rd_stores *stores;                /* borrows */
    struct rd_compactor *compactor;          /* borrows */
    struct rd_tls *tls;                      /* borrows; NULL: TCP is plain */
    struct rd_auth *auth;                    /* borrows */
    struct rd_loop *loops;                   /* borrows */
    unsigned loop_count;
    struct rd_process *process; /* borrows */
};

/* What came of it is logged, and told to the service manager. */
void rd_reload_run(struct rd_reload *reload);

/* What config says of compactions, and of loops, for those that are about to begin. */
struct rd_compactor_tuning rd_reload_compactor_tuning(const struct rd_config *config);
struct rd_loop_tuning rd_reload_loop_tuning(const struct rd_config *config);
void rd_reload_budgets(struct rd_process *process, const struct rd_config *config);

#endif
