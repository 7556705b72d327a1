/* SPDX-License-Identifier: MIT
 *
 * config.h - what the daemon is told: flags over environment over the JSON file over defaults. One table in
 * config.c drives all of them, their bounds and messages, --help and --check-config, and what a reload may change.
 *
 * Runs on the main thread before any loop, and on loop 0's at a reload.
 */
#ifndef RD_SERVER_CONFIG_H
#define RD_SERVER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"
#include "base/status.h"
#include "server/hosts.h"
#include "server/log.h"
#include "server/settings.h"

#define RD_CONFIG_PATH_SIZE  4096
#define RD_CONFIG_VALUES_MAX 64

struct rd_address {
    char host[256]; /* a name or a number, IPv6 without its brackets */
    char port[6];   /* decimal; "0" picks a free one */
};

/* What the file says of one store: it goes over what the store's companion says. */
struct rd_config_store {
    char name[65];
    struct rd_settings settings;
};

/* An option as it was given, for whoever asks where a value comes from and whether it has changed. */
struct rd_config_value {
    char *text;       /* owned */
    char origin[160]; /* "default", "FILE:LINE", "RDRIVE_LOOPS", "--loops" */
};

struct rd_config {
    char data_dir[RD_CONFIG_PATH_SIZE];
    struct rd_address listen; /* the binary protocol */
    struct rd_address http;
    struct rd_hosts http_hosts; /* its list; own is "" */
    struct rd_address redis;    /* host "": not served */
    char unix_path[108];        /* "": no Unix socket */
    uint64_t loops;
    bool cpu_affinity; /* a loop that is the only one may be held to one: affinity.h */
    uint64_t connections_max;
    uint64_t requests_max;         /* of one connection, not answered yet */
    uint64_t frame_len_max;        /* bytes of a request's body */
    uint64_t header_len_max;       /* bytes of an HTTP request's head */
    uint64_t key_len_max;          /* bytes */
    uint64_t value_len_max;        /* bytes */
    uint64_t batch_count_max;      /* items */
    uint64_t connection_bytes_max; /* of one connection's requests */
    uint64_t store_bytes_max;      /* of one store's writes, waiting or under way */
    uint64_t store_requests_max;   /* of these */
    uint64_t request_bytes_max;    /* of all requests */
    uint64_t spool_bytes_max;      /* of all uploads beside their stores */
    uint64_t header_ms;
    uint64_t idle_ms;  /* 0: no connection is too idle */
    uint64_t rate_min; /* bytes a second */
    uint64_t rate_window_ms;
    struct rd_settings settings;         /* of stores that have none of their own; never DEFAULT */
    uint64_t stall_ms;                   /* after so long without progress a request or an answer is given up */
    uint64_t compact_rate;               /* MiB that a compaction copies in a second; 0: no limit */
    uint64_t compact_dead_percent;       /* of a store's file, that have it compacted unasked; 0: never */
    char tls_cert[RD_CONFIG_PATH_SIZE];  /* "": TCP is plain */
    char tls_key[RD_CONFIG_PATH_SIZE];   /* "" likewise, and only then */
    char tokens[RD_CONFIG_PATH_SIZE];    /* who may do what; "": everybody everything */
    bool insecure;                       /* everybody who reaches a socket beyond this machine, too */
    char port_file[RD_CONFIG_PATH_SIZE]; /* "": none */
    enum rd_log_level log_level;
    enum rd_log_format log_format;
    uint64_t slow_log_ms; /* 0: no request is too slow */

    struct rd_config_store *stores; /* owned; in the file's order */
    size_t store_count;
    struct rd_config_value values[RD_CONFIG_VALUES_MAX]; /* one for each row of the table */
};

/* What a configuration is made from, kept for the next reload. */
struct rd_config_sources {
    int argc;
    char *const *argv;                      /* borrows; argv[0] is skipped */
    char *(*getenv_function)(const char *); /* getenv but in tests */
};

enum rd_config_outcome {
    RD_CONFIG_RUN,
    RD_CONFIG_CHECK, /* to be looked at only; *ret_config is filled in */
    RD_CONFIG_HELP,
    RD_CONFIG_VERSION,
    RD_CONFIG_BAD /* *ret_error says what and where */
};

/* After RUN and CHECK *ret_config is the caller's, to be deinitialised. */
enum rd_config_outcome rd_config_load(const struct rd_config_sources *sources, struct rd_config *ret_config,
                                      struct rd_error *ret_error) RD_MUST_CHECK;

void rd_config_deinit(struct rd_config *config);

/* Appends the text of --help. */
void rd_config_help(struct rd_buffer *out);

/* Appends every value in force, a line each, with where it comes from. */
void rd_config_describe(const struct rd_config *config, struct rd_buffer *out);

/* What the file says of a store; NULL: nothing. */
const struct rd_settings *rd_config_find_store(const struct rd_config_store *stores, size_t count,
                                               const char *name);

/* Calls changed(context, name, at_run_time) for each option whose value differs between the two; at_run_time: a
 * reload applies it. name: of the file's key. */
void rd_config_compare(const struct rd_config *old, const struct rd_config *new,
                       void (*changed)(void *context, const char *name, bool at_run_time), void *context);

/* Moves what a reload may change from `fresh` into *config, and what was there into `fresh`. */
void rd_config_adopt(struct rd_config *config, struct rd_config *fresh);

#endif
