/* SPDX-License-Identifier: MIT
 *
 * options.h - the rdrive program's command line, read once. Options and arguments may stand in any order; what
 * follows `--` is never an option.
 */
#ifndef RD_CLIENTS_CLI_OPTIONS_H
#define RD_CLIENTS_CLI_OPTIONS_H

#include "protocol/message.h"

/* The program's exit codes. */
enum { RD_EXIT_DONE = 0, RD_EXIT_FAILED = 1, RD_EXIT_USAGE = 2, RD_EXIT_NOT_FOUND = 3 };

/* Borrows from argv and the environment. */
struct rd_options {
    const char *server;                    /* NULL: the client's default */
    const char *unix_path;                 /* NULL: none */
    const char *file_path;                 /* offline, on this store file; NULL: online */
    const char *store;                     /* NULL: default */
    const char *input_path;                /* -f; NULL: none */
    const char *confirm;                   /* drop; NULL: none */
    const char *settings;                  /* create: JSON text; NULL: defaults */
    const char *target;                    /* copy, transfer: a store, with --file a store's file; NULL: none */
    struct rd_message_range range;         /* read */
    struct rd_message_condition condition; /* on the key; rename: on the old one */
    struct rd_message_condition target_condition; /* --if-absent, which rename takes for the new key */
    bool key_hex;                                 /* keys are given in hex */
    bool key_hash;                                /* a hash is given in place of a key */
    bool json;
    bool help;
    bool version;
    enum rd_message_durability durability;
    uint64_t after_offset; /* iterate */
    uint64_t limit;        /* iterate; 0: all */
    const char *command;   /* NULL: none given */
    char **args;           /* what follows the command */
    size_t arg_count;
};

/* False: what is wrong has been said on standard error. server_default: the environment's, or NULL. argv is
 * reordered. */
bool rd_options_parse(int argc, char **argv, const char *server_default, struct rd_options *ret_options);

#endif
