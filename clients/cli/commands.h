/* SPDX-License-Identifier: MIT
 *
 * commands.h - the table of the rdrive program's commands. Most turn their arguments into one request, let the
 * backend carry it out, and print the response; the others have a function of their own.
 */
#ifndef RD_CLIENTS_CLI_COMMANDS_H
#define RD_CLIENTS_CLI_COMMANDS_H

#include "clients/cli/backend.h"
#include "clients/cli/print.h"

struct rd_run;

/* What a command's arguments are. */
enum rd_command_args {
    RD_ARGS_NONE,
    RD_ARGS_KEY,        /* KEY */
    RD_ARGS_KEY_VALUE,  /* KEY [VALUE] */
    RD_ARGS_TWO_KEYS,   /* KEY NEW_KEY */
    RD_ARGS_KEY_TARGET, /* KEY [TARGET] */
    RD_ARGS_STORE,      /* [STORE] */
    RD_ARGS_FOLDER,     /* DIR */
    RD_ARGS_FILE        /* FILE */
};

struct rd_command {
    const char *name;
    enum rd_command_args args;
    const char *help; /* one line */
    enum rd_opcode opcode;
    enum rd_backend_access access;
    unsigned takes;                                             /* RD_OPTION_*, beside those of every command */
    rd_print_function *print;                                   /* NULL where `run` prints */
    int (*run)(struct rd_run *run, struct rd_backend *backend); /* NULL: one request, one response */
};

extern const struct rd_command rd_commands[];
extern const size_t rd_command_count;

/* NULL where there is none of that name. */
const struct rd_command *rd_command_find(const char *name);

/* As the help shows them. */
const char *rd_command_args_text(const struct rd_command *command);

/* Runs a command and returns the program's exit code; what fails is said on standard error. */
int rd_command_run(const struct rd_command *command, const struct rd_options *options);

#endif
