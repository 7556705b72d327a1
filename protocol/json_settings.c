/* SPDX-License-Identifier: MIT */
#include "protocol/json_settings.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "protocol/json.h"

bool rd_json_settings_parse_durability(const char *text, struct rd_json_settings *settings)
{
    static const char interval[] = "interval:";
    enum rd_message_durability durability;
    uint64_t interval_ms = 0;
    if (strcmp(text, "sync") == 0)
        durability = RD_MESSAGE_DURABILITY_SYNC;
    else if (strcmp(text, "none") == 0)
        durability = RD_MESSAGE_DURABILITY_NONE;
    else if (strncmp(text, interval, sizeof interval - 1) == 0 &&
             rd_text_parse_u64(rd_slice_of_string(text + sizeof interval - 1), &interval_ms) && interval_ms > 0 &&
             interval_ms <= RD_JSON_INTERVAL_MS_MAX)
        durability = RD_MESSAGE_DURABILITY_INTERVAL;
    else
        return false;
    settings->durability = durability;
    settings->durability_interval_ms = (uint32_t)interval_ms;
    return true;
}

static enum rd_status take_flag(const char *key, const json_t *value, bool *ret_flag, struct rd_error *error)
{
    if (!json_is_boolean(value))
        return rd_error_set(error, RD_INVALID_ARGUMENT, 0, "settings: %s must be true or false", key);
    *ret_flag = json_is_true(value);
    return RD_OK;
}

static enum rd_status take_quota(const char *key, const json_t *value, uint64_t *ret_quota, struct rd_error *error)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return rd_error_set(error, RD_INVALID_ARGUMENT, 0,
                            "settings: %s must be a whole number, and 0 where there is none", key);
    *ret_quota = (uint64_t)json_integer_value(value);
    return RD_OK;
}

static enum rd_status parse_member(const char *key, const json_t *value, struct rd_json_settings *settings,
                                   struct rd_error *error)
{
    if (strcmp(key, "durability") == 0) {
        settings->given |= RD_JSON_SETTING_DURABILITY;
        if (json_is_string(value) && rd_json_settings_parse_durability(json_string_value(value), settings))
            return RD_OK;
        return rd_error_set(error, RD_INVALID_ARGUMENT, 0,
                            "settings: durability must be \"sync\", \"interval:MS\" (MS from 1 to %u) or \"none\"",
                            RD_JSON_INTERVAL_MS_MAX);
    }
    if (strcmp(key, "batch_marker") == 0) {
        bool marked = false;
        enum rd_status status = take_flag(key, value, &marked, error);
        settings->batch_marker_off = !marked;
        settings->given |= RD_JSON_SETTING_BATCH_MARKER;
        return status;
    }
    if (strcmp(key, "read_only") == 0) {
        settings->given |= RD_JSON_SETTING_READ_ONLY;
        return take_flag(key, value, &settings->read_only, error);
    }
    if (strcmp(key, "quota_bytes") == 0) {
        settings->given |= RD_JSON_SETTING_QUOTA_BYTES;
        return take_quota(key, value, &settings->quota_bytes, error);
    }
    if (strcmp(key, "quota_entries") == 0) {
        settings->given |= RD_JSON_SETTING_QUOTA_ENTRIES;
        return take_quota(key, value, &settings->quota_entries, error);
    }
    return rd_error_set(error, RD_INVALID_ARGUMENT, 0, "settings: there is no field '%.60s'", key);
}

enum rd_status rd_json_settings_parse(struct rd_slice json, struct rd_json_settings *ret_settings,
                                      struct rd_error *ret_error)
{
    struct rd_json_settings settings = {.durability = RD_MESSAGE_DURABILITY_DEFAULT};
    enum rd_status status = RD_OK;
    if (json.len != 0) {
        json_error_t json_error;
        json_t *root = json_loadb((const char *)json.data, json.len, JSON_REJECT_DUPLICATES, &json_error);
        if (root == NULL)
            status = rd_error_set(ret_error, RD_INVALID_ARGUMENT, 0, "settings: JSON, line %d, column %d: %.80s",
                                  json_error.line, json_error.column, json_error.text);
        else if (!json_is_object(root))
            status = rd_error_set(ret_error, RD_INVALID_ARGUMENT, 0, "settings: must be one JSON object");
        const char *key;
        json_t *value;
        json_object_foreach(root, key, value)
        {
            if (status == RD_OK)
                status = parse_member(key, value, &settings, ret_error);
        }
        json_decref(root);
    }
    if (status == RD_OK)
        *ret_settings = settings;
    return status;
}

bool rd_json_settings_are_defaults(const struct rd_json_settings *settings)
{
    return settings->durability == RD_MESSAGE_DURABILITY_DEFAULT && !settings->batch_marker_off &&
           !settings->read_only && settings->quota_bytes == 0 && settings->quota_entries == 0;
}

/* A number, or a word of JSON. */
static void append_member(const char *key, const char *text, const char **separator, struct rd_buffer *out)
{
    rd_buffer_printf(out, "%s\"%s\":%s", *separator, key, text);
    *separator = ",";
}

static void append_quota(const char *key, uint64_t quota, bool given, const char **separator,
                         struct rd_buffer *out)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%" PRIu64, quota);
    if (quota != 0 || given)
        append_member(key, digits, separator, out);
}

void rd_json_settings_encode(const struct rd_json_settings *settings, struct rd_buffer *out)
{
    const char *separator = "{";
    unsigned given = settings->given;
    if (settings->durability != RD_MESSAGE_DURABILITY_DEFAULT) {
        append_member("durability", "\"", &separator, out);
        rd_json_append_durability(settings->durability, settings->durability_interval_ms, out);
        rd_buffer_append_string(out, "\"");
    }
    if (settings->batch_marker_off || (given & RD_JSON_SETTING_BATCH_MARKER) != 0)
        append_member("batch_marker", settings->batch_marker_off ? "false" : "true", &separator, out);
    append_quota("quota_bytes", settings->quota_bytes, (given & RD_JSON_SETTING_QUOTA_BYTES) != 0, &separator,
                 out);
    append_quota("quota_entries", settings->quota_entries, (given & RD_JSON_SETTING_QUOTA_ENTRIES) != 0,
                 &separator, out);
    if (settings->read_only || (given & RD_JSON_SETTING_READ_ONLY) != 0)
        append_member("read_only", settings->read_only ? "true" : "false", &separator, out);
    rd_buffer_append_string(out, *separator == '{' ? "{}\n" : "}\n");
}
