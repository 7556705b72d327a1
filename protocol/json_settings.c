/* SPDX-License-Identifier: MIT */
#include "protocol/json_settings.h"

#include <jansson.h>
#include <string.h>

#include "base/text.h"
#include "protocol/json.h"

#define INTERVAL_MS_MAX 3600000u

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
             interval_ms <= INTERVAL_MS_MAX)
        durability = RD_MESSAGE_DURABILITY_INTERVAL;
    else
        return false;
    settings->durability = durability;
    settings->durability_interval_ms = (uint32_t)interval_ms;
    return true;
}

static enum rd_status parse_member(const char *key, const json_t *value, struct rd_json_settings *settings,
                                   struct rd_error *error)
{
    if (strcmp(key, "durability") == 0) {
        settings->given |= RD_JSON_SETTING_DURABILITY;
        if (json_is_string(value) && rd_json_settings_parse_durability(json_string_value(value), settings))
            return RD_OK;
        return rd_error_set(error, RD_INVALID_ARGUMENT, 0,
                            "settings: durability must be \"sync\", \"interval:MS\" or \"none\"");
    }
    if (strcmp(key, "batch_marker") == 0) {
        if (!json_is_boolean(value))
            return rd_error_set(error, RD_INVALID_ARGUMENT, 0, "settings: batch_marker must be true or false");
        settings->batch_marker_off = json_is_false(value);
        settings->given |= RD_JSON_SETTING_BATCH_MARKER;
        return RD_OK;
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
        if (!json_is_object(root))
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

void rd_json_settings_encode(const struct rd_json_settings *settings, struct rd_buffer *out)
{
    const char *separator = "{";
    if (settings->durability != RD_MESSAGE_DURABILITY_DEFAULT) {
        rd_buffer_printf(out, "%s\"durability\":\"", separator);
        rd_json_append_durability(settings->durability, settings->durability_interval_ms, out);
        rd_buffer_append_string(out, "\"");
        separator = ",";
    }
    if (settings->batch_marker_off || (settings->given & RD_JSON_SETTING_BATCH_MARKER) != 0) {
        rd_buffer_printf(out, "%s\"batch_marker\":%s", separator, settings->batch_marker_off ? "false" : "true");
        separator = ",";
    }
    rd_buffer_append_string(out, *separator == '{' ? "{}\n" : "}\n");
}
