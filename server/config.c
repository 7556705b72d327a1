/* SPDX-License-Identifier: MIT */
#include "server/config.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "protocol/json_settings.h"
#include "server/config_file.h"
#include "server/config_table.h"

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

static bool set_http_hosts(struct rd_config *config, const char *text)
{
    return rd_hosts_set_list(&config->http_hosts, text);
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

static bool set_durability(struct rd_config *config, const char *text)
{
    return rd_settings_parse_durability(text, &config->settings);
}

static bool set_tokens(struct rd_config *config, const char *text)
{
    return copy_text(text, config->tokens, sizeof config->tokens);
}

static bool set_insecure(struct rd_config *config, const char *text)
{
    config->insecure = strcmp(text, "true") == 0;
    return config->insecure || strcmp(text, "false") == 0;
}

static bool set_cpu_affinity(struct rd_config *config, const char *text)
{
    config->cpu_affinity = strcmp(text, "auto") == 0;
    return config->cpu_affinity || strcmp(text, "off") == 0;
}

static bool set_port_file(struct rd_config *config, const char *text)
{
    return copy_text(text, config->port_file, sizeof config->port_file);
}

static bool set_log_format(struct rd_config *config, const char *text)
{
    return rd_log_format_parse(rd_slice_of_string(text), &config->log_format);
}

static bool set_log_level(struct rd_config *config, const char *text)
{
    return rd_log_level_parse(rd_slice_of_string(text), &config->log_level);
}

/* A whole number of rd_config, and its bounds. */
struct number {
    size_t offset; /* of its uint64_t */
    uint64_t min;
    uint64_t max;
};

/* One row an option. The environment's name and the file's key follow from the flag's. */
struct option {
    const char *name;   /* of the flag, without its dashes */
    const char *form;   /* what a value looks like */
    const char *preset; /* the default; "" where there is none */
    const char *help;
    bool (*set)(struct rd_config *config, const char *text); /* NULL: it is a number */
    bool at_run_time;                                        /* a reload applies it */
    struct number number;
};

#define NUMBER(field, least, most)                                                                                \
    {                                                                                                             \
        .offset = offsetof(struct rd_config, field), .min = (least), .max = (most)                                \
    }
#define FIXED      false /* until the next start */
#define LIVE       true
#define KIB        UINT64_C(1024)
#define MIB        (KIB * 1024)
#define GIB        (MIB * 1024)
#define DAY_MS     86400000u
#define MODE_FORM  "sync|interval:MS|none"
#define LEVEL_FORM "error|warn|info|debug"
#define HOSTS_FORM "NAME,..."

static const struct option options[] = {
    {"data-dir", "DIR", "./data", "where the stores lie", set_data_dir, FIXED, {0}},
    {"listen", "HOST:PORT", "127.0.0.1:7401", "binary protocol; port 0 is a free one", set_listen, FIXED, {0}},
    {"http", "HOST:PORT", "127.0.0.1:7480", "HTTP; port 0 is a free one", set_http, FIXED, {0}},
    {"http-hosts",
     HOSTS_FORM,
     "",
     "by which names HTTP is asked for, where no token is",
     set_http_hosts,
     LIVE,
     {0}},
    {"redis", "HOST:PORT", "", "Redis protocol; port 0 is a free one", set_redis, FIXED, {0}},
    {"unix", "PATH", "", "a Unix socket, for the binary protocol and HTTP", set_unix, FIXED, {0}},
    {"tls-cert", "FILE", "", "PEM: certificate and chain; TCP speaks TLS 1.3 with it", set_tls_cert, LIVE, {0}},
    {"tls-key", "FILE", "", "PEM: the certificate's key", set_tls_key, LIVE, {0}},
    {"tokens", "FILE", "", "who may do what; without it nobody is asked", set_tokens, LIVE, {0}},
    {"insecure",
     RD_CONFIG_SWITCH,
     "false",
     "listen beyond this machine without --tokens",
     set_insecure,
     FIXED,
     {0}},
    {"loops", "N", "1", "event loop threads", NULL, FIXED, NUMBER(loops, 1, 256)},
    {"cpu-affinity",
     "auto|off",
     "auto",
     "whether one loop of two processors stays on one",
     set_cpu_affinity,
     FIXED,
     {0}},
    {"durability", MODE_FORM, "sync", "of stores with no setting of their own", set_durability, LIVE, {0}},
    {"port-file", "FILE", "", "written once everything listens", set_port_file, FIXED, {0}},
    {"connections-max", "N", "10000", "more are refused", NULL, LIVE, NUMBER(connections_max, 1, 1000000)},
    {"requests-max", "N", "1024", "of one connection, unanswered; then it is not read", NULL, LIVE,
     NUMBER(requests_max, 4, 65536)},
    {"connection-bytes-max", "BYTES", "128m", "of one connection's requests; then it is not read", NULL, LIVE,
     NUMBER(connection_bytes_max, MIB / 4, 1024 * MIB)},
    {"store-requests-max", "N", "65536", "writes to one store at a time; more are refused", NULL, LIVE,
     NUMBER(store_requests_max, 1, 1000000)},
    {"store-bytes-max", "BYTES", "256m", "of these; more are refused", NULL, LIVE,
     NUMBER(store_bytes_max, KIB, 64 * GIB)},
    {"request-bytes-max", "BYTES", "1g", "of all requests in memory; more are refused", NULL, LIVE,
     NUMBER(request_bytes_max, MIB / 4, 1024 * GIB)},
    {"spool-bytes-max", "BYTES", "1t", "of all uploads beside their stores; more are refused", NULL, LIVE,
     NUMBER(spool_bytes_max, MIB, 256 * 1024 * GIB)},
    {"frame-len-max", "BYTES", "80m", "of one request that is not streamed", NULL, LIVE,
     NUMBER(frame_len_max, KIB, GIB)},
    {"header-len-max", "BYTES", "64k", "of an HTTP request's head", NULL, LIVE, NUMBER(header_len_max, KIB, MIB)},
    {"key-len-max", "BYTES", "32k", "of one key", NULL, LIVE, NUMBER(key_len_max, 16, MIB)},
    {"value-len-max", "BYTES", "256t", "of one value", NULL, LIVE, NUMBER(value_len_max, 1, 256 * 1024 * GIB)},
    {"batch-count-max", "N", "100000", "items of one batch", NULL, LIVE, NUMBER(batch_count_max, 1, 10000000)},
    {"header-timeout-ms", "MS", "60000", "for a request's head, and a first request", NULL, LIVE,
     NUMBER(header_ms, 100, DAY_MS)},
    {"idle-timeout-ms", "MS", "0", "without a request; 0 is for ever", NULL, LIVE, NUMBER(idle_ms, 0, DAY_MS)},
    {"rate-min", "N", "200", "bytes a second that a request has to come with", NULL, LIVE,
     NUMBER(rate_min, 0, GIB)},
    {"rate-window-ms", "MS", "10000", "over which that is counted", NULL, LIVE,
     NUMBER(rate_window_ms, 100, DAY_MS)},
    {"stall-timeout-ms", "MS", "60000", "ends a request or an answer that makes no progress", NULL, LIVE,
     NUMBER(stall_ms, 100, DAY_MS)},
    {"compact-rate", "MIB", "64", "MiB a second that a compaction copies; 0 is no limit", NULL, LIVE,
     NUMBER(compact_rate, 0, MIB)},
    {"compact-dead-percent", "N", "0", "compacts a store of which so much is dead; 0 is never", NULL, LIVE,
     NUMBER(compact_dead_percent, 0, 99)},
    {"log-format", "text|json", "text", "of what goes to standard error", set_log_format, LIVE, {0}},
    {"slow-log-ms", "MS", "0", "requests that take so long are logged; 0 is none", NULL, LIVE,
     NUMBER(slow_log_ms, 0, DAY_MS)},
    {"log-level", LEVEL_FORM, "info", "how much goes to standard error", set_log_level, LIVE, {0}},
};
#define OPTION_COUNT (sizeof options / sizeof options[0])

/* What a value of a form has to be beside that, as it is told to who gave another one. */
static const struct {
    const char *form;
    const char *bounds;
} form_bounds[] = {
    {MODE_FORM, "MS from 1 to 3600000"}, {"HOST:PORT", "PORT from 0 to 65535, an IPv6 address in brackets"},
    {"PATH", "of at most 107 bytes"},    {"DIR", "of 1 to 4095 bytes"},
    {"FILE", "of at most 4095 bytes"},   {HOSTS_FORM, "names without ports, of at most 2047 bytes, or *"},
};
static_assert(RD_JSON_INTERVAL_MS_MAX == 3600000, "as the table above has it");
static_assert(sizeof((struct rd_config){0}).unix_path == 108 && RD_CONFIG_PATH_SIZE == 4096, "likewise");
static_assert(RD_HOSTS_LIST_SIZE == 2048, "likewise");
static_assert(OPTION_COUNT <= RD_CONFIG_VALUES_MAX, "each option's value has its place");

const size_t rd_config_option_count = OPTION_COUNT;

void rd_config_option_name(size_t i, enum rd_config_spelling spelling, char ret_name[RD_CONFIG_NAME_SIZE])
{
    static const char *const prefixes[] = {
        [RD_CONFIG_FLAG] = "--", [RD_CONFIG_VARIABLE] = "RDRIVE_", [RD_CONFIG_KEY] = ""};
    snprintf(ret_name, RD_CONFIG_NAME_SIZE, "%s%s", prefixes[spelling], options[i].name);
    for (char *at = ret_name + strlen(prefixes[spelling]); *at != '\0'; at++) {
        if (*at == '-' && spelling != RD_CONFIG_FLAG)
            *at = '_';
        else if (spelling == RD_CONFIG_VARIABLE && *at >= 'a' && *at <= 'z')
            *at = (char)(*at - 'a' + 'A');
    }
}

const char *rd_config_option_preset(size_t i)
{
    return options[i].preset;
}

const char *rd_config_option_form(size_t i)
{
    return options[i].form;
}

/* ---- one value -------------------------------------------------------------------------------------------- */

/* Digits, and behind them k, m, g or t for powers of 1024 where the form is BYTES. */
static bool parse_number(const struct option *option, const char *text, uint64_t *ret_number)
{
    static const char units[] = "kmgt";
    struct rd_slice digits = rd_slice_of_string(text);
    unsigned shift = 0;
    if (strcmp(option->form, "BYTES") == 0 && digits.len != 0) {
        const char *unit = strchr(units, text[digits.len - 1]);
        if (unit != NULL) {
            shift = 10 * (unsigned)(unit - units + 1);
            digits.len--;
        }
    }
    uint64_t number;
    if (!rd_text_parse_u64(digits, &number) || number > UINT64_MAX >> shift)
        return false;
    number <<= shift;
    if (number < option->number.min || number > option->number.max)
        return false;
    *ret_number = number;
    return true;
}

static bool set_number(const struct option *option, struct rd_config *config, const char *text)
{
    uint64_t number;
    if (!parse_number(option, text, &number))
        return false;
    memcpy((char *)config + option->number.offset, &number, sizeof number);
    return true;
}

/* "from 1 to 256", in the units that sizes are written in. */
static void describe_bounds(const struct option *option, char *to, size_t to_size)
{
    static const char units[] = "\0kmgt";
    uint64_t bounds[2] = {option->number.min, option->number.max};
    unsigned unit[2] = {0, 0};
    bool sizes = strcmp(option->form, "BYTES") == 0;
    for (unsigned i = 0; i < 2; i++)
        for (; sizes && bounds[i] != 0 && bounds[i] % 1024 == 0 && unit[i] < 4; unit[i]++)
            bounds[i] /= 1024;
    snprintf(to, to_size, "from %llu%.1s to %llu%.1s", (unsigned long long)bounds[0], &units[unit[0]],
             (unsigned long long)bounds[1], &units[unit[1]]);
}

static bool set_value(const struct option *option, struct rd_config *config, const char *text)
{
    return option->set != NULL ? option->set(config, text) : set_number(option, config, text);
}

static bool refuse_value(const struct option *option, const char *text, const char *where, struct rd_error *error)
{
    char bounds[64] = "";
    if (option->set == NULL)
        describe_bounds(option, bounds, sizeof bounds);
    for (size_t i = 0; i < sizeof form_bounds / sizeof form_bounds[0]; i++)
        if (strcmp(form_bounds[i].form, option->form) == 0)
            snprintf(bounds, sizeof bounds, "%s", form_bounds[i].bounds);
    (void)rd_error_set(error, RD_INVALID_ARGUMENT, 0, "%s: '%.60s' is not of the form %s%s%s", where, text,
                       option->form, bounds[0] != '\0' ? ", " : "", bounds);
    return false;
}

bool rd_config_option_set(size_t i, const char *text, const char *where, const char *origin,
                          struct rd_config *config, struct rd_error *error)
{
    if (!set_value(&options[i], config, text))
        return refuse_value(&options[i], text, where, error);
    struct rd_config_value *value = &config->values[i];
    char *copy = strdup(text);
    if (copy == NULL) {
        (void)rd_error_set(error, RD_NO_MEMORY, 0, "%s: no memory", where);
        return false;
    }
    free(value->text);
    value->text = copy;
    snprintf(value->origin, sizeof value->origin, "%s", origin);
    return true;
}

/* ---- life ------------------------------------------------------------------------------------------------- */

void rd_config_deinit(struct rd_config *config)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        free(config->values[i].text);
    free(config->stores);
}

/* ---- what can be said about it ---------------------------------------------------------------------------- */

void rd_config_help(struct rd_buffer *out)
{
    rd_buffer_append_string(out,
                            "usage: rdrived [--config FILE] [--check-config] [--FLAG VALUE ...]\n\n"
                            "Hosts key-value stores over a binary protocol, HTTP and the Redis protocol.\n\n");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        char name[RD_CONFIG_NAME_SIZE];
        char environment[RD_CONFIG_NAME_SIZE];
        char bounds[64] = "";
        rd_config_option_name(i, RD_CONFIG_FLAG, name);
        rd_config_option_name(i, RD_CONFIG_VARIABLE, environment);
        if (options[i].set == NULL)
            describe_bounds(&options[i], bounds, sizeof bounds);
        bool alone = strcmp(options[i].form, RD_CONFIG_SWITCH) == 0;
        rd_buffer_printf(out, "  %s%s%s%s\n      %s (%s%s%s%s%s)\n", name, alone ? "[=" : " ", options[i].form,
                         alone ? "]" : "", options[i].help, environment,
                         options[i].preset[0] != '\0' ? ", default " : "", options[i].preset,
                         bounds[0] != '\0' ? ", " : "", bounds);
    }
    rd_buffer_append_string(
        out,
        "  --config FILE\n      a JSON object of the same names with underscores: {\"data_dir\":\"/srv/x\"};\n"
        "      \"stores\":{\"NAME\":{...}} in it goes over what stores were given at their creation\n"
        "  --check-config\n      says what would be used, and from where; exit code 0, or 2 and what is wrong\n"
        "  --version\n  --help\n\n"
        "BYTES may end in k, m, g or t. Flags go over the environment, that over the file.\n"
        "Exit codes: 0 clean stop, 1 failure while running, 2 bad usage or config.\n");
}

static void describe_stores(const struct rd_config *config, struct rd_buffer *out)
{
    for (size_t i = 0; i < config->store_count; i++) {
        rd_buffer_printf(out, RD_CONFIG_STORES_KEY ".%s: ", config->stores[i].name);
        rd_settings_format(&config->stores[i].settings, out); /* with a newline at its end */
    }
}

void rd_config_describe(const struct rd_config *config, struct rd_buffer *out)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        char name[RD_CONFIG_NAME_SIZE];
        const struct rd_config_value *value = &config->values[i];
        rd_config_option_name(i, RD_CONFIG_KEY, name);
        bool given = value->text != NULL && value->text[0] != '\0';
        rd_buffer_printf(out, "%s: %s (%s)\n", name, given ? value->text : "none",
                         value->text != NULL ? value->origin : "default");
    }
    describe_stores(config, out);
}

const struct rd_settings *rd_config_find_store(const struct rd_config_store *stores, size_t count,
                                               const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(stores[i].name, name) == 0)
            return &stores[i].settings;
    return NULL;
}

static bool stores_differ(const struct rd_config *old, const struct rd_config *new)
{
    struct rd_buffer texts[2];
    const struct rd_config *configs[2] = {old, new};
    for (unsigned i = 0; i < 2; i++) {
        rd_buffer_init(&texts[i], 0);
        describe_stores(configs[i], &texts[i]);
    }
    bool differ = !rd_slice_equal(rd_buffer_slice(&texts[0]), rd_buffer_slice(&texts[1]));
    rd_buffer_deinit(&texts[0]);
    rd_buffer_deinit(&texts[1]);
    return differ;
}

static const char *text_of(const struct rd_config *config, size_t i)
{
    return config->values[i].text != NULL ? config->values[i].text : "";
}

void rd_config_compare(const struct rd_config *old, const struct rd_config *new,
                       void (*changed)(void *context, const char *name, bool at_run_time), void *context)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        char name[RD_CONFIG_NAME_SIZE];
        rd_config_option_name(i, RD_CONFIG_KEY, name);
        if (strcmp(text_of(old, i), text_of(new, i)) != 0)
            changed(context, name, options[i].at_run_time);
    }
    if (stores_differ(old, new))
        changed(context, RD_CONFIG_STORES_KEY, true);
}

void rd_config_adopt(struct rd_config *config, struct rd_config *fresh)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (!options[i].at_run_time)
            continue;
        struct rd_config_value value = config->values[i];
        config->values[i] = fresh->values[i];
        fresh->values[i] = value;
        /* It was taken once, so it is taken again. */
        (void)set_value(&options[i], config, text_of(config, i));
    }
    struct rd_config_store *stores = config->stores;
    size_t store_count = config->store_count;
    config->stores = fresh->stores;
    config->store_count = fresh->store_count;
    fresh->stores = stores;
    fresh->store_count = store_count;
}
