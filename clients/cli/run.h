/* SPDX-License-Identifier: MIT
 *
 * run.h - one run of a command: what it was given, and how it fails.
 */
#ifndef RD_CLIENTS_CLI_RUN_H
#define RD_CLIENTS_CLI_RUN_H

#include "clients/cli/backend.h"
#include "clients/cli/commands.h"
#include "clients/cli/input.h"

struct rd_run {
    const struct rd_command *command; /* borrows */
    const struct rd_options *options; /* borrows */
    struct rd_request *request;       /* owned */
    struct rd_buffer keys[2];         /* keys given in hex, decoded */
    struct rd_buffer text;            /* the JSON of a batch command, or of a new store's settings */
    struct rd_input input;            /* write: where the value comes from */
    struct rd_error error;
};

/* Each says it on standard error and returns the program's exit code: of wrong usage, and of run->error. */
int rd_run_fail_usage(const struct rd_run *run, const char *message);
int rd_run_fail(const struct rd_run *run);

/* Commands that are more than a request and its answer. Each returns the exit code. */
int rd_run_write(struct rd_run *run, struct rd_backend *backend);   /* value.c */
int rd_run_read(struct rd_run *run, struct rd_backend *backend);    /* value.c */
int rd_run_verify(struct rd_run *run, struct rd_backend *backend);  /* verify.c */
int rd_run_top(struct rd_run *run, struct rd_backend *backend);     /* top.c */
int rd_run_import(struct rd_run *run, struct rd_backend *backend);  /* import.c */
int rd_run_backup(struct rd_run *run, struct rd_backend *backend);  /* backup.c */
int rd_run_restore(struct rd_run *run, struct rd_backend *backend); /* restore.c; the backend is NULL */
int rd_run_iterate(struct rd_run *run, struct rd_backend *backend); /* commands.c */
int rd_run_exists(struct rd_run *run, struct rd_backend *backend);  /* commands.c */

#endif
