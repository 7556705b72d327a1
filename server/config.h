/* SPDX-License-Identifier: MIT
 *
 * config.h - what the daemon is told at its start: flags over environment over the JSON file over defaults. One
 * table in config.c drives all of them and --help. Also the settings of a store, in the engine's terms.
 *
 * Runs on the main thread before any loop; rd_settings_* run on any thread.
 */
#ifndef RD_SERVER_CONFIG_H
#define RD_SERVER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"
#include "base/status.h"
#include "engine/engine.h"
#include "server/log.h"

#define RD_CONFIG_PATH_SIZE 4096

struct rd_settings {
    enum rd_durability durability;   /* DEFAULT: as the daemon's --durability says */
    uint32_t durability_interval_ms; /* with RD_DURABILITY_INTERVAL */
    bool batch_marker_off;           /* of a store: batches get no marker */
};

struct rd_address {
    char host[256]; /* a name or a number, IPv6 without its brackets */
    char port[6];   /* decimal; "0" picks a free one */
};

struct rd_config {
    char data_dir[RD_CONFIG_PATH_SIZE];
    struct rd_address listen; /* the binary protocol */
    struct rd_address http;
    struct rd_address redis; /* host "": not served */
    char unix_path[108];     /* "": no Unix socket */
    uint32_t loops;
    struct rd_settings settings;         /* of stores that have none of their own; never DEFAULT */
    uint64_t stall_ms;                   /* after so long without progress a request or an answer is given up */
    char tls_cert[RD_CONFIG_PATH_SIZE];  /* "": TCP is plain */
    char tls_key[RD_CONFIG_PATH_SIZE];   /* "" likewise, and only then */
    char port_file[RD_CONFIG_PATH_SIZE]; /* "": none */
    enum rd_log_level log_level;
};

enum rd_config_outcome {
    RD_CONFIG_RUN,
    RD_CONFIG_HELP,
    RD_CONFIG_VERSION,
    RD_CONFIG_BAD /* *ret_error says what and where */
};

/* getenv_function is getenv but in tests. argv[0] is skipped. */
enum rd_config_outcome rd_config_load(int argc, char *const *argv, char *(*getenv_function)(const char *),
                                      struct rd_config *ret_config, struct rd_error *ret_error) RD_MUST_CHECK;

/* Appends the text of --help. */
void rd_config_help(struct rd_buffer *out);

/* The settings of a store, in the engine's terms: see protocol/json_settings.h. */
enum rd_status rd_settings_parse(struct rd_slice json, struct rd_settings *ret_settings,
                                 struct rd_error *ret_error) RD_MUST_CHECK;

/* Appends what rd_settings_parse reads. */
void rd_settings_format(const struct rd_settings *settings, struct rd_buffer *out);

#endif
