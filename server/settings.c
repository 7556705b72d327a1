/* SPDX-License-Identifier: MIT */
#include "server/settings.h"

#include <assert.h>

static_assert((int)RD_DURABILITY_DEFAULT == (int)RD_MESSAGE_DURABILITY_DEFAULT, "the same numbers");
static_assert((int)RD_DURABILITY_SYNC == (int)RD_MESSAGE_DURABILITY_SYNC, "the same numbers");
static_assert((int)RD_DURABILITY_INTERVAL == (int)RD_MESSAGE_DURABILITY_INTERVAL, "the same numbers");
static_assert((int)RD_DURABILITY_NONE == (int)RD_MESSAGE_DURABILITY_NONE, "the same numbers");

enum rd_status rd_settings_parse(struct rd_slice json, struct rd_settings *ret_settings,
                                 struct rd_error *ret_error)
{
    struct rd_json_settings settings;
    enum rd_status status = rd_json_settings_parse(json, &settings, ret_error);
    if (status == RD_OK)
        *ret_settings = (struct rd_settings){.durability = (enum rd_durability)settings.durability,
                                             .durability_interval_ms = settings.durability_interval_ms,
                                             .batch_marker_off = settings.batch_marker_off,
                                             .read_only = settings.read_only,
                                             .quota_bytes = settings.quota_bytes,
                                             .quota_entries = settings.quota_entries,
                                             .given = settings.given};
    return status;
}

static struct rd_json_settings to_json(const struct rd_settings *settings)
{
    return (struct rd_json_settings){.durability = (enum rd_message_durability)settings->durability,
                                     .durability_interval_ms = settings->durability_interval_ms,
                                     .batch_marker_off = settings->batch_marker_off,
                                     .read_only = settings->read_only,
                                     .quota_bytes = settings->quota_bytes,
                                     .quota_entries = settings->quota_entries,
                                     .given = settings->given};
}

void rd_settings_format(const struct rd_settings *settings, struct rd_buffer *out)
{
    struct rd_json_settings json = to_json(settings);
    rd_json_settings_encode(&json, out);
}

bool rd_settings_are_defaults(const struct rd_settings *settings)
{
    struct rd_json_settings json = to_json(settings);
    return rd_json_settings_are_defaults(&json);
}

bool rd_settings_parse_durability(const char *text, struct rd_settings *settings)
{
    struct rd_json_settings json;
    if (!rd_json_settings_parse_durability(text, &json))
        return false;
    settings->durability = (enum rd_durability)json.durability;
    settings->durability_interval_ms = json.durability_interval_ms;
    return true;
}

void rd_settings_overlay(struct rd_settings *settings, const struct rd_settings *over)
{
    if ((over->given & RD_JSON_SETTING_DURABILITY) != 0) {
        settings->durability = over->durability;
        settings->durability_interval_ms = over->durability_interval_ms;
    }
    if ((over->given & RD_JSON_SETTING_BATCH_MARKER) != 0)
        settings->batch_marker_off = over->batch_marker_off;
    if ((over->given & RD_JSON_SETTING_READ_ONLY) != 0)
        settings->read_only = over->read_only;
    if ((over->given & RD_JSON_SETTING_QUOTA_BYTES) != 0)
        settings->quota_bytes = over->quota_bytes;
    if ((over->given & RD_JSON_SETTING_QUOTA_ENTRIES) != 0)
        settings->quota_entries = over->quota_entries;
    settings->given |= over->given;
}
