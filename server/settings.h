/* SPDX-License-Identifier: MIT
 *
 * settings.h - the settings of a store, in the engine's terms: what was given at its creation and is kept in its
 * companion, what the config file says of it, and what follows from both.
 *
 * Pure. Any thread.
 */
#ifndef RD_SERVER_SETTINGS_H
#define RD_SERVER_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"
#include "base/status.h"
#include "engine/engine.h"
#include "protocol/json_settings.h"

struct rd_settings {
    enum rd_durability durability;   /* DEFAULT: as the daemon's --durability says */
    uint32_t durability_interval_ms; /* with RD_DURABILITY_INTERVAL */
    bool batch_marker_off;           /* of a store: batches get no marker */
    bool read_only;                  /* of a store: it takes no writes */
    uint64_t quota_bytes;            /* of a store's file, up to its tail; 0: none */
    uint64_t quota_entries;          /* live keys; 0: none */
    unsigned given;                  /* RD_JSON_SETTING_*: what was said, be it the default */
};

/* See protocol/json_settings.h. */
enum rd_status rd_settings_parse(struct rd_slice json, struct rd_settings *ret_settings,
                                 struct rd_error *ret_error) RD_MUST_CHECK;

/* Appends what rd_settings_parse reads. */
void rd_settings_format(const struct rd_settings *settings, struct rd_buffer *out);

/* Whether they say no more than no settings at all. */
bool rd_settings_are_defaults(const struct rd_settings *settings);

/* "sync", "interval:MS" or "none". */
bool rd_settings_parse_durability(const char *text, struct rd_settings *settings);

/* What `over` was given goes over what *settings has. */
void rd_settings_overlay(struct rd_settings *settings, const struct rd_settings *over);

#endif
