/* SPDX-License-Identifier: MIT
 *
 * json_settings.h - a store's settings as JSON: the body of its creation, and NAME.rdr.settings.json, its
 * companion.
 *
 *   {"durability":"sync"|"interval:MS"|"none","batch_marker":true|false,"quota_bytes":N,"quota_entries":N,
 *    "read_only":true|false}                                                   each may be left out
 *
 * Pure. Thread-safe.
 */
#ifndef RD_PROTOCOL_JSON_SETTINGS_H
#define RD_PROTOCOL_JSON_SETTINGS_H

#include "base/buffer.h"
#include "protocol/message.h"

#define RD_JSON_SETTINGS_SUFFIX  ".settings.json" /* of the companion's name, behind the store file's */
#define RD_JSON_SETTINGS_LEN_MAX 4096u            /* bytes of a companion */

/* Bits of `given`: which fields were there. */
enum {
    RD_JSON_SETTING_DURABILITY = 1u << 0,
    RD_JSON_SETTING_BATCH_MARKER = 1u << 1,
    RD_JSON_SETTING_QUOTA_BYTES = 1u << 2,
    RD_JSON_SETTING_QUOTA_ENTRIES = 1u << 3,
    RD_JSON_SETTING_READ_ONLY = 1u << 4
};

struct rd_json_settings {
    enum rd_message_durability durability; /* DEFAULT: the server's */
    uint32_t durability_interval_ms;       /* with INTERVAL */
    bool batch_marker_off;
    bool read_only;
    uint64_t quota_bytes;   /* 0: none */
    uint64_t quota_entries; /* 0: none */
    unsigned given;         /* RD_JSON_SETTING_* */
};

/* No bytes at all are the defaults. Unknown and repeated fields are refused: RD_INVALID_ARGUMENT, and *ret_error
 * names the field. */
enum rd_status rd_json_settings_parse(struct rd_slice json, struct rd_json_settings *ret_settings,
                                      struct rd_error *ret_error) RD_MUST_CHECK;

/* Whether they say no more than no settings at all. */
bool rd_json_settings_are_defaults(const struct rd_json_settings *settings);

/* Appends what rd_json_settings_parse reads, and no field that has its default without having been given. */
void rd_json_settings_encode(const struct rd_json_settings *settings, struct rd_buffer *out);

#define RD_JSON_INTERVAL_MS_MAX 3600000u

/* "sync", "interval:MS" or "none" into *settings; false, and nothing is changed: it is none of these. */
bool rd_json_settings_parse_durability(const char *text, struct rd_json_settings *settings);

#endif
