/* SPDX-License-Identifier: MIT
 *
 * config_load.c - where the options' values come from: the file, the environment, the flags.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/config_file.h"
#include "server/config_table.h"

/* ---- the file --------------------------------------------------------------------------------------------- */

struct reading {
    struct rd_config *config;
    const char *path;
};

static bool refuse_member(const struct rd_config_member *member, struct rd_error *error, const char *message,
                          const char *form)
{
    (void)rd_error_set(error, RD_INVALID_ARGUMENT, 0, "%s: %s%s", member->where, message, form);
    return false;
}

static bool take_member(void *context, const struct rd_config_member *member, struct rd_error *error)
{
    struct reading *reading = context;
    char origin[160];
    for (size_t i = 0; i < rd_config_option_count; i++) {
        char name[RD_CONFIG_NAME_SIZE];
        rd_config_option_name(i, RD_CONFIG_KEY, name);
        if (strcmp(name, member->key) != 0)
            continue;
        if (member->text == NULL ||
            (member->is_boolean && strcmp(rd_config_option_form(i), RD_CONFIG_SWITCH) != 0))
            return refuse_member(member, error, "must be a string of the form ", rd_config_option_form(i));
        snprintf(origin, sizeof origin, "%.140s:%u", reading->path, member->line);
        return rd_config_option_set(i, member->text, member->where, origin, reading->config, error);
    }
    return refuse_member(member, error, "no such setting", "");
}

/* Room for one more. It doubles whenever the count is a power of two: however many stores there are, a row is
 * copied once on average. */
static bool grow_stores(struct rd_config *config)
{
    size_t count = config->store_count;
    if ((count & (count - 1)) != 0)
        return true;
    struct rd_config_store *rows = realloc(config->stores, (count == 0 ? 1 : 2 * count) * sizeof *rows);
    if (rows != NULL)
        config->stores = rows;
    return rows != NULL;
}

/* The store's row, made where there is none. NULL: no memory. */
static struct rd_config_store *store_row(struct rd_config *config, const char *name)
{
    struct rd_config_store *last = config->store_count != 0 ? &config->stores[config->store_count - 1] : NULL;
    if (last != NULL && strcmp(last->name, name) == 0)
        return last;
    if (!grow_stores(config))
        return NULL;
    struct rd_config_store *row = &config->stores[config->store_count++];
    *row = (struct rd_config_store){.settings.durability = RD_DURABILITY_DEFAULT};
    snprintf(row->name, sizeof row->name, "%s", name);
    return row;
}

static bool take_store_setting(void *context, const char *store, struct rd_slice json, struct rd_error *error)
{
    struct reading *reading = context;
    struct rd_settings settings;
    if (rd_settings_parse(json, &settings, error) != RD_OK)
        return false;
    struct rd_config_store *row = store_row(reading->config, store);
    if (row == NULL) {
        (void)rd_error_set(error, RD_NO_MEMORY, 0, "no memory");
        return false;
    }
    rd_settings_overlay(&row->settings, &settings);
    return true;
}

static bool apply_file(const char *path, struct rd_config *config, struct rd_error *error)
{
    struct reading reading = {.config = config, .path = path};
    const struct rd_config_visitor visitor = {
        .context = &reading, .option = take_member, .store_setting = take_store_setting};
    return rd_config_file_read(path, &visitor, error);
}

/* ---- environment and flags -------------------------------------------------------------------------------- */

static bool apply_defaults(struct rd_config *config, struct rd_error *error)
{
    for (size_t i = 0; i < rd_config_option_count; i++)
        if (rd_config_option_preset(i)[0] != '\0' &&
            !rd_config_option_set(i, rd_config_option_preset(i), "default", "default", config, error))
            return false;
    return true;
}

static bool apply_environment(char *(*getenv_function)(const char *), struct rd_config *config,
                              struct rd_error *error)
{
    for (size_t i = 0; i < rd_config_option_count; i++) {
        char name[RD_CONFIG_NAME_SIZE];
        rd_config_option_name(i, RD_CONFIG_VARIABLE, name);
        const char *text = getenv_function(name);
        if (text != NULL && !rd_config_option_set(i, text, name, name, config, error))
            return false;
    }
    return true;
}

/* One flag of the command line, as `--name value` or `--name=value`. */
struct flag {
    size_t name_len;   /* of what follows the dashes */
    const char *name;  /* borrows argv; not terminated there where a '=' follows */
    const char *value; /* borrows argv; NULL: none given */
};

static bool flag_is(const struct flag *flag, const char *name)
{
    return flag->name_len == strlen(name) && memcmp(flag->name, name, flag->name_len) == 0;
}

/* Flags that take no value. */
static bool stands_alone(const struct flag *flag)
{
    return flag_is(flag, "help") || flag_is(flag, "version") || flag_is(flag, "check-config");
}

/* rd_config_option_count: none. */
static size_t option_of(const struct flag *flag)
{
    for (size_t i = 0; i < rd_config_option_count; i++) {
        char name[RD_CONFIG_NAME_SIZE];
        rd_config_option_name(i, RD_CONFIG_FLAG, name);
        if (flag_is(flag, name + strlen("--")))
            return i;
    }
    return rd_config_option_count;
}

static bool is_switch(const struct flag *flag)
{
    size_t i = option_of(flag);
    return i != rd_config_option_count && strcmp(rd_config_option_form(i), RD_CONFIG_SWITCH) == 0;
}

/* Takes the flag at argv[*at] and moves *at behind it; one with no value stays without. */
static bool take_flag(int argc, char *const *argv, int *at, struct flag *ret_flag)
{
    const char *text = argv[*at];
    if (strncmp(text, "--", 2) != 0 || text[2] == '\0')
        return false;
    text += 2;
    const char *equals = strchr(text, '=');
    *ret_flag = (struct flag){.name = text, .name_len = equals != NULL ? (size_t)(equals - text) : strlen(text)};
    (*at)++;
    if (stands_alone(ret_flag))
        return equals == NULL;
    if (equals != NULL)
        ret_flag->value = equals + 1;
    else if (is_switch(ret_flag))
        ret_flag->value = "true";
    else if (*at < argc)
        ret_flag->value = argv[(*at)++];
    return true;
}

static bool apply_flag(const struct flag *flag, struct rd_config *config, struct rd_error *error)
{
    char where[48];
    snprintf(where, sizeof where, "--%.*s", (int)(flag->name_len < 40 ? flag->name_len : 40), flag->name);
    if (stands_alone(flag))
        return true;
    size_t i = option_of(flag);
    bool is_option = i != rd_config_option_count;
    if (!is_option && !flag_is(flag, "config")) {
        (void)rd_error_set(error, RD_INVALID_ARGUMENT, 0, "%s: no such flag; --help lists them", where);
        return false;
    }
    if (flag->value == NULL) {
        (void)rd_error_set(error, RD_INVALID_ARGUMENT, 0, "%s: a value must follow", where);
        return false;
    }
    return !is_option || rd_config_option_set(i, flag->value, where, where, config, error);
}

/* What is asked for besides a plain start, and the config file's name: these are looked at before all else. */
static enum rd_config_outcome scan_flags(int argc, char *const *argv, const char **ret_path,
                                         struct rd_error *error)
{
    enum rd_config_outcome outcome = RD_CONFIG_RUN;
    for (int at = 1; at < argc;) {
        struct flag flag;
        const char *text = argv[at];
        if (!take_flag(argc, argv, &at, &flag)) {
            (void)rd_error_set(error, RD_INVALID_ARGUMENT, 0, "'%.60s' is not understood; --help lists the flags",
                               text);
            return RD_CONFIG_BAD;
        }
        if (flag_is(&flag, "help"))
            return RD_CONFIG_HELP;
        if (flag_is(&flag, "version"))
            return RD_CONFIG_VERSION;
        if (flag_is(&flag, "check-config"))
            outcome = RD_CONFIG_CHECK;
        if (flag_is(&flag, "config"))
            *ret_path = flag.value;
    }
    return outcome;
}

static bool apply_flags(int argc, char *const *argv, struct rd_config *config, struct rd_error *error)
{
    for (int at = 1; at < argc;) {
        struct flag flag;
        if (!take_flag(argc, argv, &at, &flag) || !apply_flag(&flag, config, error))
            return false;
    }
    return true;
}

enum rd_config_outcome rd_config_load(const struct rd_config_sources *sources, struct rd_config *ret_config,
                                      struct rd_error *ret_error)
{
    struct rd_config config = {.stores = NULL};
    const char *path = NULL;
    enum rd_config_outcome outcome = scan_flags(sources->argc, sources->argv, &path, ret_error);
    if (outcome != RD_CONFIG_RUN && outcome != RD_CONFIG_CHECK)
        return outcome;
    if (!apply_defaults(&config, ret_error) || (path != NULL && !apply_file(path, &config, ret_error)) ||
        !apply_environment(sources->getenv_function, &config, ret_error) ||
        !apply_flags(sources->argc, sources->argv, &config, ret_error)) {
        rd_config_deinit(&config);
        return RD_CONFIG_BAD;
    }
    if ((config.tls_cert[0] == '\0') != (config.tls_key[0] == '\0')) {
        (void)rd_error_set(ret_error, RD_INVALID_ARGUMENT, 0, "--tls-cert and --tls-key go together");
        rd_config_deinit(&config);
        return RD_CONFIG_BAD;
    }
    *ret_config = config;
    return outcome;
}
