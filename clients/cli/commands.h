/* SPDX-License-Identifier: MIT
 *
 * commands.h - the table of the rdrive program's commands. Each turns its arguments into one request, lets the
 * backend carry it out, and prints the response.
 */
#ifndef RD_CLIENTS_CLI_COMMANDS_H
#define RD_CLIENTS_CLI_COMMANDS_H

#include "clients/cli/backend.h"
#include "clients/cli/print.h"

struct rd_command {
    const char *name;
    const char *args; /* as the help shows them */
    const char *help; /* one line */
    enum rd_opcode opcode;
    enum rd_backend_access access;
    bool takes_key;   /* the first argument is a key */
    bool takes_store; /* the first argument, if there is one, is the store's name */
    size_t arg_count_min;
    size_t arg_count_max;
    rd_print_function *print;
};

extern const struct rd_command rd_commands[];
extern const size_t rd_command_count;

/* NULL where there is none of that name. */
const struct rd_command *rd_command_find(const char *name);

/* Runs a command and returns the program's exit code; what fails is said on standard error. */
int rd_command_run(const struct rd_command *command, const struct rd_options *options);

#endif
