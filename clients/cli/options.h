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

/* Options that go with some commands only. */
enum {
    RD_OPTION_KEY_FORM = 1u << 0, /* --key-hex, --hash */
    RD_OPTION_INPUT = 1u << 1,
    RD_OPTION_CONFIRM = 1u << 2,
    RD_OPTION_SETTINGS = 1u << 3,
    RD_OPTION_DURABILITY = 1u << 4,
    RD_OPTION_AFTER = 1u << 5,
    RD_OPTION_LIMIT = 1u << 6,
    RD_OPTION_TARGET = 1u << 7,
    RD_OPTION_RANGE = 1u << 8,
    RD_OPTION_CONDITION = 1u << 9, /* --if-absent, --if-present, --if-version */
    RD_OPTION_NO_BATCH_MARKER = 1u << 10,
    RD_OPTION_FULL = 1u << 11,
    RD_OPTION_FORCE = 1u << 12,
    RD_OPTION_WATCH = 1u << 13, /* --interval, --once */
    RD_OPTION_QUOTA = 1u << 14  /* --quota-bytes, --quota-entries, --read-only */
};

/* Borrows from argv and the environment. */
struct rd_options {
    const char *server;                    /* NULL: the client's default */
    const char *unix_path;                 /* NULL: none */
    bool tls;                              /* TLS with the server */
    const char *tls_ca;                    /* whom to believe, implies tls; NULL: whom the system does */
    const char *file_path;                 /* offline, on this store file; NULL: online */
    const char *token_path;                /* --token-file; NULL: none */
    const char *token;                     /* what is shown to the server; NULL: none. Not on the command line */
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
    bool no_batch_marker;                         /* create; with --file all that write */
    uint64_t quota_bytes;                         /* create, and so below; 0: none */
    uint64_t quota_entries;                       /* 0: none */
    bool read_only;                               /* the store takes no writes */
    bool full;                                    /* backup: not what is new, but all of it */
    bool force;                                   /* restore: over a file that holds something */
    bool json;
    bool help;
    bool version;
    enum rd_message_durability durability;
    uint64_t after_offset; /* iterate */
    uint64_t limit;        /* iterate; 0: all */
    uint32_t interval_ms;  /* top; 0: the default */
    bool once;             /* top */
    uint32_t timeout_ms;   /* of one request to a server; 0: the client's default. Not on the command line */
    unsigned given;        /* RD_OPTION_* that were */
    const char *command;   /* NULL: none given */
    char **args;           /* what follows the command */
    size_t arg_count;
};

/* What the environment says where options do not. */
struct rd_options_defaults {
    const char *server; /* NULL or "": none */
    const char *tls_ca; /* likewise; for a server over TCP */
};

/* False: what is wrong has been said on standard error. argv is reordered. */
bool rd_options_parse(int argc, char **argv, const struct rd_options_defaults *defaults,
                      struct rd_options *ret_options);

/* How the options of the lowest bit of RD_OPTION_* are written. */
const char *rd_options_text(unsigned bits);

#endif
