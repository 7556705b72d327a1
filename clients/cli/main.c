/* SPDX-License-Identifier: MIT
 *
 * main.c - the rdrive program: one command, one exit code.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/secret_file.h"
#include "base/standard_files.h"
#include "clients/cli/commands.h"
#include "engine/engine.h"

static void print_help(void)
{
    puts("rdrive - read and write the stores of an rdrive server, or a store's file without one\n"
         "\n"
         "usage: rdrive [OPTIONS] COMMAND [ARGUMENTS]\n"
         "\n"
         "commands");
    for (size_t i = 0; i < rd_command_count; i++)
        printf("  %-12s %-12s %s\n", rd_commands[i].name, rd_command_args_text(&rd_commands[i]),
               rd_commands[i].help);
    puts("\n"
         "where\n"
         "  --server HOST:PORT   the server; else RDRIVE_SERVER; else 127.0.0.1:7401\n"
         "  --unix PATH          the server's Unix socket\n"
         "  --tls                speak TLS with the server, whose certificate the system has to believe\n"
         "  --tls-ca FILE        the same, with the authorities in this file; else RDRIVE_TLS_CA\n"
         "  --token-file FILE    the token that is shown to the server; else RDRIVE_TOKEN\n"
         "  --store NAME         the store; else default\n"
         "  --file PATH          offline: a store's file; commands that read leave it as it is\n"
         "\n"
         "how\n"
         "  --key-hex            KEY is given in hex\n"
         "  --hash               KEY is 16 hex digits: the XXH3-64 hash in place of a key\n"
         "  -f FILE              the value, or the JSON of a batch command, from a file\n"
         "  --target TARGET      copy, transfer: the other store, or with --file its file\n"
         "  --range FIRST-LAST   read: these bytes; also FIRST- and -COUNT\n"
         "  --if-absent          write, delete, rename: only where the (new) key is not there\n"
         "  --if-present         write, delete, rename: only where the (old) key is there\n"
         "  --if-version OFFSET-CRC  the same, and has this version: hex, as in an ETag\n"
         "  --durability sync|none   when a write is answered; else as the store is set\n"
         "  --after OFFSET       iterate: entries below this offset\n"
         "  --limit N            iterate: so many entries at most\n"
         "  --settings JSON      create: such as '{\"durability\":\"interval:200\"}'\n"
         "  --no-batch-marker    create: batches of this store get no marker; with --file also of any one write\n"
         "  --quota-bytes N      create: what the file may come to; 0 is no quota\n"
         "  --quota-entries N    create: how many keys may live; 0 is no quota\n"
         "  --read-only          create: the store takes no writes until its settings are changed\n"
         "  --confirm STORE      drop: the store's name again\n"
         "  --full               backup: all of it anew\n"
         "  --force              restore: over a file that holds something\n"
         "  --interval SECONDS   top: between two looks; else 2, with --once 1\n"
         "  --once               top: look twice, print, and end\n"
         "  --json               print JSON, as the HTTP interface answers it\n"
         "  --help, --version\n"
         "  --                   what follows is no option, even where it begins with -\n"
         "\n"
         "Without --json, write and rename print the store's new tail, copy and transfer the target's, delete, "
         "create\n"
         "and drop nothing, and read the value's bytes and nothing else. Batch commands read and print the HTTP\n"
         "interface's JSON. import leaves symbolic links, special files and what cannot be a value (no bytes, or "
         "one\n"
         "zero byte) out and says so.\n"
         "\n"
         "exit codes: 0 done, 1 failed (of verify: something is damaged), 2 wrong usage, 3 no such key or store");
}

/* What was printed may still be in a buffer, and the disk or the pipe behind it full. */
static int flush_output(int code)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    fprintf(stderr, "rdrive: cannot write to standard output: %s\n",
            errno != 0 ? strerror(errno) : "an earlier write failed");
    return RD_EXIT_FAILED;
}

#define TOKEN_SIZE 4099u /* the longest that a server takes, and a line's end */

/* False: what is wrong has been said. */
static bool find_token(struct rd_options *options, char token[TOKEN_SIZE])
{
    struct rd_error error;
    enum rd_status status =
        rd_secret_find(options->token_path, getenv("RDRIVE_TOKEN"), token, TOKEN_SIZE, &options->token, &error);
    if (status != RD_OK)
        fprintf(stderr, "rdrive: --token-file: %s\n", error.message);
    return status == RD_OK;
}

int main(int argc, char **argv)
{
    if (!rd_standard_files_hold("rdrive"))
        return RD_EXIT_FAILED;
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error to report, not a way to die */
    signal(SIGXFSZ, SIG_IGN); /* and so is a limit of files' sizes: no_space */
    (void)rd_guard_install(); /* without it a failing disk ends an offline command as it would any program */
    struct rd_options options;
    struct rd_options_defaults defaults = {.server = getenv("RDRIVE_SERVER"), .tls_ca = getenv("RDRIVE_TLS_CA")};
    if (!rd_options_parse(argc, argv, &defaults, &options))
        return RD_EXIT_USAGE;
    if (options.help || options.version) {
        if (options.help)
            print_help();
        else
            puts("rdrive " RD_VERSION);
        return flush_output(RD_EXIT_DONE);
    }
    if (options.command == NULL) {
        fputs("rdrive: no command given; rdrive --help lists them\n", stderr);
        return RD_EXIT_USAGE;
    }
    const struct rd_command *command = rd_command_find(options.command);
    if (command == NULL) {
        fprintf(stderr, "rdrive: there is no command \"%s\"; rdrive --help lists them\n", options.command);
        return RD_EXIT_USAGE;
    }
    char token[TOKEN_SIZE];
    if (!find_token(&options, token))
        return RD_EXIT_USAGE;
    return flush_output(rd_command_run(command, &options));
}
