/* SPDX-License-Identifier: MIT */
#include "server/config.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "protocol/json_settings.h"

#define CONFIG_FILE_LEN_MAX (1u << 20)
#define STALL_MS_MIN        100u
#define STALL_MS_MAX        (24u * 3600u * 1000u)
#define LOOPS_MAX           256u

static_assert((int)RD_DURABILITY_DEFAULT == (int)RD_MESSAGE_DURABILITY_DEFAULT, "the same numbers");
static_assert((int)RD_DURABILITY_SYNC == (int)RD_MESSAGE_DURABILITY_SYNC, "the same numbers");
static_assert((int)RD_DURABILITY_INTERVAL == (int)RD_MESSAGE_DURABILITY_INTERVAL, "the same numbers");
static_assert((int)RD_DURABILITY_NONE == (int)RD_MESSAGE_DURABILITY_NONE, "the same numbers");

/* ---- values ----------------------------------------------------------------------------------------------- */

static bool copy_text(const char *text, char *to, size_t to_size)
{
    size_t len = strlen(text);
    if (len >= to_size)
        return false;
    memcpy(to, text, len + 1);
    return true;
}

/* HOST:PORT, [IPV6]:PORT. */
static bool parse_address(const char *text, struct rd_address *ret_address)
{
    const char *host = text;
    const char *colon = strrchr(text, ':');
    if (colon == NULL)
        return false;
    size_t host_len = (size_t)(colon - text);
    if (text[0] == '[') {
        if (host_len < 3 || colon[-1] != ']')
            return false;
        host++;
        host_len -= 2;
    } else if (memchr(text, ':', host_len) != NULL) {
        return false;
    }
    uint64_t port;
    if (!rd_text_parse_u64(rd_slice_of_string(colon + 1), &port) || port > 65535)
        return false;
    if (host_len == 0 || host_len >= sizeof ret_address->host || memchr(host, '[', host_len) != NULL ||
        memchr(host, ']', host_len) != NULL)
        return false;
    memcpy(ret_address->host, host, host_len);
    ret_address->host[host_len] = '\0';
    snprintf(ret_address->port, sizeof ret_address->port, "%u", (unsigned)port);
    return true;
}

/* ---- the table -------------------------------------------------------------------------------------------- */

static bool set_data_dir(struct rd_config *config, const char *text)
{
    return text[0] != '\0' && copy_text(text, config->data_dir, sizeof config->data_dir);
}

static bool set_listen(struct rd_config *config, const char *text)
{
    return parse_address(text, &config->listen);
}

static bool set_http(struct rd_config *config, const char *text)
{
    return parse_address(text, &config->http);
}

static bool set_redis(struct rd_config *config, const char *text)
{
    if (text[0] != '\0')
        return parse_address(text, &config->redis);
    config->redis = (struct rd_address){.host = ""};
    return true;
}

static bool set_unix(struct rd_config *config, const char *text)
{
    return copy_text(text, config->unix_path, sizeof config->unix_path);
}

static bool set_tls_cert(struct rd_config *config, const char *text)
{
    return copy_text(text, config->tls_cert, sizeof config->tls_cert);
}

static bool set_tls_key(struct rd_config *config, const char *text)
{
    return copy_text(text, config->tls_key, sizeof config->tls_key);
}

static bool set_loops(struct rd_config *config, const char *text)
{
    uint64_t loops;
    if (!rd_text_parse_u64(rd_slice_of_string(text), &loops) || loops == 0 || loops > LOOPS_MAX)
        return false;
    config->loops = (uint32_t)loops;
    return true;
}

static bool set_durability(struct rd_config *config, const char *text)
{
    struct rd_json_settings settings;
    if (!rd_json_settings_parse_durability(text, &settings))
        return false;
    config->settings.durability = (enum rd_durability)settings.durability;
    config->settings.durability_interval_ms = settings.durability_interval_ms;
    return true;
}

static bool set_port_file(struct rd_config *config, const char *text)
{
    return copy_text(text, config->port_file, sizeof config->port_file);
}

static bool set_stall_timeout(struct rd_config *config, const char *text)
{
    uint64_t timeout_ms;
    if (!rd_text_parse_u64(rd_slice_of_string(text), &timeout_ms) || timeout_ms < STALL_MS_MIN ||
        timeout_ms > STALL_MS_MAX)
        return false;
    config->stall_ms = timeout_ms;
    return true;
}

static bool set_log_level(struct rd_config *config, const char *text)
{
    return rd_log_level_parse(rd_slice_of_string(text), &config->log_level);
}

/* One row an option. The environment's name and the file's key follow from the flag's. */
struct option {
    const char *name;   /* of the flag, without its dashes */
    const char *form;   /* what a value looks like */
    const char *preset; /* the default; "" where there is none */
    const char *help;
    bool (*set)(struct rd_config *config, const char *text);
};

static const struct option options[] = {
    {"data-dir", "DIR", "./data", "where the stores lie", set_data_dir},
    {"listen", "HOST:PORT", "127.0.0.1:7401", "the binary protocol; port 0 picks a free one", set_listen},
    {"http", "HOST:PORT", "127.0.0.1:7480", "HTTP; port 0 picks a free one", set_http},
    {"redis", "HOST:PORT", "", "the Redis protocol; off unless given, port 0 picks a free one", set_redis},
    {"unix", "PATH", "", "a Unix socket, for the binary protocol and HTTP", set_unix},
    {"tls-cert", "FILE", "", "PEM: certificate and chain; TCP speaks TLS 1.3 with it", set_tls_cert},
    {"tls-key", "FILE", "", "PEM: the certificate's key", set_tls_key},
    {"loops", "N", "1", "event loop threads", set_loops},
    {"durability", "sync|interval:MS|none", "sync", "of stores with no setting of their own", set_durability},
    {"port-file", "FILE", "", "written once everything listens", set_port_file},
    {"stall-timeout-ms", "MS", "60000", "ends a request or an answer that makes no progress", set_stall_timeout},
    {"log-level", "error|warn|info|debug", "info", "how much goes to standard error", set_log_level},
};
#define OPTION_COUNT (sizeof options / sizeof options[0])

/* "data-dir" with '-' as `dash`, in upper case if asked. */
static void derive_name(const struct option *option, const char *prefix, char dash, bool upper, char *to,
                        size_t to_size)
{
    snprintf(to, to_size, "%s%s", prefix, option->name);
    for (char *at = to + strlen(prefix); *at != '\0'; at++) {
        if (*at == '-')
            *at = dash;
        else if (upper && *at >= 'a' && *at <= 'z')
            *at = (char)(*at - 'a' + 'A');
    }
}

/* `where` names the source for the error: "--loops", "RDRIVE_LOOPS", "FILE:3: loops". */
static bool apply(const struct option *option, const char *text, const char *where, struct rd_config *config,
                  struct rd_error *error)
{
    if (option->set(config, text))
        return true;
    (void)rd_error_set(error, RD_INVALID_ARGUMENT, 0, "%s: '%.60s' is not of the form %s", where, text,
                       option->form);
    return false;
}

/* ---- the file --------------------------------------------------------------------------------------------- */

/* The line of a top-level key in text that is known to be valid JSON; 0 where it is written with escapes. */
static unsigned line_of_key(struct rd_slice text, const char *key)
{
    unsigned line = 1;
    unsigned depth = 0;
    size_t key_len = strlen(key);
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c == '\n') {
            line++;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            depth--;
        } else if (c == '"') {
            size_t start = ++i;
            while (i < text.len && text.data[i] != '"')
                i += text.data[i] == '\\' ? 2 : 1;
            size_t after = i + 1;
            while (after < text.len && strchr(" \t\r\n", text.data[after]) != NULL)
                after++;
            bool is_key = depth == 1 && after < text.len && text.data[after] == ':';
            if (is_key && i - start == key_len && memcmp(text.data + start, key, key_len) == 0)
                return line;
        }
    }
    return 0;
}

static bool apply_member(const char *path, struct rd_slice text, const char *key, const json_t *value,
                         struct rd_config *config, struct rd_error *error)
{
    char where[192];
    snprintf(where, sizeof where, "%.120s:%u: %.50s", path, line_of_key(text, key), key);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        char name[32];
        derive_name(&options[i], "", '_', false, name, sizeof name);
        if (strcmp(name, key) != 0)
            continue;
        if (json_is_string(value))
            return apply(&options[i], json_string_value(value), where, config, error);
        if (json_is_integer(value)) {
            char digits[32];
            snprintf(digits, sizeof digits, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
            return apply(&options[i], digits, where, config, error);
        }
        (void)rd_error_set(error, RD_INVALID_ARGUMENT, 0, "%s: must be a string of the form %s", where,
                           options[i].form);
        return false;
    }
    (void)rd_error_set(error, RD_INVALID_ARGUMENT, 0, "%s: no such setting", where);
    return false;
}

static bool apply_json(const char *path, struct rd_slice text, struct rd_config *config, struct rd_error *error)
{
    json_error_t json_error;
    json_t *root =
        json_loadb(text.len != 0 ? (const char *)text.data : "", text.len, JSON_REJECT_DUPLICATES, &json_error);
    if (root == NULL) {
        (void)rd_error_set(error, RD_INVALID_ARGUMENT, 0, "%s:%d: %s", path, json_error.line, json_error.text);
        return false;
    }
    bool good = json_is_object(root);
    if (!good)
        (void)rd_error_set(error, RD_INVALID_ARGUMENT, 0, "%s:1: must hold one JSON object", path);
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value)
    {
        if (!good)
            break;
        good = apply_member(path, text, key, value, config, error);
    }
    json_decref(root);
    return good;
}

static bool apply_file(const char *path, struct rd_config *config, struct rd_error *error)
{
    struct rd_buffer text;
    rd_buffer_init(&text, CONFIG_FILE_LEN_MAX);
    bool good = false;
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        (void)rd_error_set(error, RD_INVALID_ARGUMENT, errno, "--config: cannot open %s", path);
        goto done;
    }
    char chunk[4096];
    size_t len;
    while ((len = fread(chunk, 1, sizeof chunk, file)) != 0 && !text.failed)
        rd_buffer_append(&text, chunk, len);
    if (ferror(file) || text.failed) {
        (void)rd_error_set(error, RD_INVALID_ARGUMENT, 0, "--config: cannot read %s, or it is above 1 MiB", path);
        goto done;
    }
    good = apply_json(path, rd_buffer_slice(&text), config, error);
done:
    if (file != NULL)
        fclose(file);
    rd_buffer_deinit(&text);
    return good;
}

/* ---- environment and flags -------------------------------------------------------------------------------- */

static bool apply_defaults(struct rd_config *config, struct rd_error *error)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (options[i].preset[0] != '\0' && !apply(&options[i], options[i].preset, options[i].name, config, error))
            return false;
    return true;
}

static bool apply_environment(char *(*getenv_function)(const char *), struct rd_config *config,
                              struct rd_error *error)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        char name[48];
        derive_name(&options[i], "RDRIVE_", '_', true, name, sizeof name);
        const char *text = getenv_function(name);
        if (text != NULL && !apply(&options[i], text, name, config, error))
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
    if (flag_is(ret_flag, "help") || flag_is(ret_flag, "version"))
        return equals == NULL;
    if (equals != NULL)
        ret_flag->value = equals + 1;
    else if (*at < argc)
        ret_flag->value = argv[(*at)++];
    return true;
}

static bool apply_flag(const struct flag *flag, struct rd_config *config, struct rd_error *error)
{
    char where[48];
    snprintf(where, sizeof where, "--%.*s", (int)(flag->name_len < 40 ? flag->name_len : 40), flag->name);
    bool known = flag_is(flag, "config");
    const struct option *option = NULL;
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (flag_is(flag, options[i].name))
            option = &options[i];
    if (option == NULL && !known) {
        (void)rd_error_set(error, RD_INVALID_ARGUMENT, 0, "%s: no such flag; --help lists them", where);
        return false;
    }
    if (flag->value == NULL) {
        (void)rd_error_set(error, RD_INVALID_ARGUMENT, 0, "%s: a value must follow", where);
        return false;
    }
    return option == NULL || apply(option, flag->value, where, config, error);
}

/* What is asked for besides a plain start, and the config file's name: these are looked at before all else. */
static enum rd_config_outcome scan_flags(int argc, char *const *argv, const char **ret_path,
                                         struct rd_error *error)
{
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
        if (flag_is(&flag, "config"))
            *ret_path = flag.value;
    }
    return RD_CONFIG_RUN;
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

enum rd_config_outcome rd_config_load(int argc, char *const *argv, char *(*getenv_function)(const char *),
                                      struct rd_config *ret_config, struct rd_error *ret_error)
{
    struct rd_config config = {.loops = 0};
    const char *path = NULL;
    enum rd_config_outcome outcome = scan_flags(argc, argv, &path, ret_error);
    if (outcome != RD_CONFIG_RUN)
        return outcome;
    if (!apply_defaults(&config, ret_error) || (path != NULL && !apply_file(path, &config, ret_error)) ||
        !apply_environment(getenv_function, &config, ret_error) || !apply_flags(argc, argv, &config, ret_error))
        return RD_CONFIG_BAD;
    if ((config.tls_cert[0] == '\0') != (config.tls_key[0] == '\0')) {
        (void)rd_error_set(ret_error, RD_INVALID_ARGUMENT, 0, "--tls-cert and --tls-key go together");
        return RD_CONFIG_BAD;
    }
    *ret_config = config;
    return RD_CONFIG_RUN;
}

void rd_config_help(struct rd_buffer *out)
{
    rd_buffer_append_string(out,
                            "usage: rdrived [--config FILE] [--FLAG VALUE ...]\n\n"
                            "Hosts key-value stores over a binary protocol, HTTP and the Redis protocol.\n\n");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        char name[32];
        char environment[48];
        derive_name(&options[i], "--", '-', false, name, sizeof name);
        derive_name(&options[i], "RDRIVE_", '_', true, environment, sizeof environment);
        rd_buffer_printf(out, "  %s %s\n      %s (%s%s%s)\n", name, options[i].form, options[i].help, environment,
                         options[i].preset[0] != '\0' ? ", default " : "", options[i].preset);
    }
    rd_buffer_append_string(
        out, "  --config FILE\n      a JSON object of the same names with underscores: {\"data_dir\":\"/srv/x\"}\n"
             "  --version\n  --help\n\n"
             "Flags go over the environment, that over the file. Exit codes: 0 clean stop,\n"
             "1 failure while running, 2 bad usage or config.\n");
}

/* ---- settings of a store ---------------------------------------------------------------------------------- */

enum rd_status rd_settings_parse(struct rd_slice json, struct rd_settings *ret_settings,
                                 struct rd_error *ret_error)
{
    struct rd_json_settings settings;
    enum rd_status status = rd_json_settings_parse(json, &settings, ret_error);
    if (status == RD_OK)
        *ret_settings = (struct rd_settings){.durability = (enum rd_durability)settings.durability,
                                             .durability_interval_ms = settings.durability_interval_ms,
                                             .batch_marker_off = settings.batch_marker_off};
    return status;
}

void rd_settings_format(const struct rd_settings *settings, struct rd_buffer *out)
{
    struct rd_json_settings json = {.durability = (enum rd_message_durability)settings->durability,
                                    .durability_interval_ms = settings->durability_interval_ms,
                                    .batch_marker_off = settings->batch_marker_off};
    rd_json_settings_encode(&json, out);
}
