/* SPDX-License-Identifier: MIT
 *
 * config_file.h - the JSON file that the configuration may come from: its members in the file's order, each with
 * the line that its name stands on, so that whatever is wrong with one can be said with its place.
 *
 *   {"loops": 4, "stores": {"NAME": {"durability": "none"}}}
 *
 * What the names mean is config.c's. Blocks. Main thread, or loop 0's at a reload.
 */
#ifndef RD_SERVER_CONFIG_FILE_H
#define RD_SERVER_CONFIG_FILE_H

#include <stdbool.h>

#include "base/slice.h"
#include "base/status.h"

#define RD_CONFIG_STORES_KEY "stores" /* the member whose own members are stores */

struct rd_config_member {
    const char *key;  /* as it is known: "loops" */
    const char *text; /* a string, the digits of a whole number, "true" or "false"; NULL: none of these */
    bool is_boolean;
    unsigned line;     /* of the key, from 1 */
    const char *where; /* "FILE:LINE: loops": for messages */
};

/* Each is called with what a member says, and returns false, with *error filled in, to end the reading. */
struct rd_config_visitor {
    void *context; /* borrows */
    bool (*option)(void *context, const struct rd_config_member *member, struct rd_error *error);
    /* store: fit to be a store's name. json: an object with this one member. "FILE:LINE: stores.NAME.durability"
     * is put before the message. */
    bool (*store_setting)(void *context, const char *store, struct rd_slice json, struct rd_error *error);
};

/* False: *error says what and where. Members that stand twice, whatever the level, are mistakes too. */
bool rd_config_file_read(const char *path, const struct rd_config_visitor *visitor, struct rd_error *error);

#endif
