/* SPDX-License-Identifier: MIT
 *
 * config_table.h - the inside of the configuration, shared by config.c, which has the table of options, and
 * config_load.c, which finds their values. An option is named by its place in the table.
 */
#ifndef RD_SERVER_CONFIG_TABLE_H
#define RD_SERVER_CONFIG_TABLE_H

#include "server/config.h"

#define RD_CONFIG_NAME_SIZE 48

enum rd_config_spelling {
    RD_CONFIG_FLAG,     /* "--data-dir" */
    RD_CONFIG_VARIABLE, /* "RDRIVE_DATA_DIR" */
    RD_CONFIG_KEY       /* "data_dir" */
};

extern const size_t rd_config_option_count;

void rd_config_option_name(size_t i, enum rd_config_spelling spelling, char ret_name[RD_CONFIG_NAME_SIZE]);

/* "" where it has no default. */
const char *rd_config_option_preset(size_t i);

/* The form of an option whose flag may stand alone, and says true then. */
#define RD_CONFIG_SWITCH "true|false"

/* What a value looks like: "HOST:PORT". */
const char *rd_config_option_form(size_t i);

/* Takes the value. where names the place for messages: "--loops", "FILE:3: loops"; origin for rd_config_describe.
 */
bool rd_config_option_set(size_t i, const char *text, const char *where, const char *origin,
                          struct rd_config *config, struct rd_error *error);

#endif
