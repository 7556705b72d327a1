/* SPDX-License-Identifier: MIT
 *
 * What the daemon is told at its start, and a store's settings.
 *
 *   input   | choice u8 | text |
 *
 * choice % 3: 0 the text is a config file; 1 it is settings; 2 it is words, each ended by a NUL: arguments up to
 * an empty one, then values of the environment, one for each option in turn.
 *
 *  1. What is accepted is within its bounds, whichever way it came; a daemon could start with it.
 *  2. What is refused is explained, and leaves the outputs alone.
 *  3. Settings that are written and read again are the same. */
#include "server/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/text.h"
#include "tests/fuzz/fuzz.h"

#define WORDS_MAX 16

static const char *const variables[] = {
    "RDRIVE_DATA_DIR", "RDRIVE_LISTEN",     "RDRIVE_HTTP",      "RDRIVE_UNIX",
    "RDRIVE_LOOPS",    "RDRIVE_DURABILITY", "RDRIVE_PORT_FILE", "RDRIVE_STALL_TIMEOUT_MS",
    "RDRIVE_LOG_LEVEL"};
#define VARIABLE_COUNT (sizeof variables / sizeof variables[0])

static char *environment[VARIABLE_COUNT]; /* NULL: not set */

static char *fuzz_getenv(const char *name)
{
    for (size_t i = 0; i < VARIABLE_COUNT; i++)
        if (strcmp(name, variables[i]) == 0)
            return environment[i];
    return NULL;
}

/* ---- what is accepted -------------------------------------------------------------------------------------- */

static void check_settings(const struct rd_settings *settings, bool may_be_default)
{
    bool interval = settings->durability == RD_DURABILITY_INTERVAL;
    FUZZ_CHECK((unsigned)settings->durability <= RD_DURABILITY_NONE);
    FUZZ_CHECK(may_be_default || settings->durability != RD_DURABILITY_DEFAULT);
    FUZZ_CHECK((settings->durability_interval_ms != 0) == interval);
    FUZZ_CHECK(settings->durability_interval_ms <= 3600000);
}

static void check_address(const struct rd_address *address)
{
    uint64_t port = UINT64_MAX;
    FUZZ_CHECK(memchr(address->host, 0, sizeof address->host) != NULL && address->host[0] != '\0');
    FUZZ_CHECK(memchr(address->port, 0, sizeof address->port) != NULL);
    FUZZ_CHECK(rd_text_parse_u64(rd_slice_of_string(address->port), &port) && port <= 65535);
    FUZZ_CHECK(strchr(address->host, '[') == NULL && strchr(address->host, ']') == NULL);
}

static void check_config(const struct rd_config *config)
{
    FUZZ_CHECK(memchr(config->data_dir, 0, sizeof config->data_dir) != NULL && config->data_dir[0] != '\0');
    FUZZ_CHECK(memchr(config->unix_path, 0, sizeof config->unix_path) != NULL);
    FUZZ_CHECK(memchr(config->port_file, 0, sizeof config->port_file) != NULL);
    check_address(&config->listen);
    check_address(&config->http);
    check_settings(&config->settings, false);
    FUZZ_CHECK(config->loops >= 1 && config->loops <= 256);
    FUZZ_CHECK(config->stall_ms >= 100 && config->stall_ms <= UINT64_C(24) * 3600 * 1000);
    FUZZ_CHECK((unsigned)config->log_level <= RD_LOG_DEBUG);
    FUZZ_CHECK(config->connections_max >= 1 && config->connections_max <= 1000000);
    for (size_t i = 0; i < config->store_count; i++) {
        FUZZ_CHECK(rd_text_is_store_name(rd_slice_of_string(config->stores[i].name)));
        check_settings(&config->stores[i].settings, true);
    }
}

static void load(int argc, char *const *argv)
{
    static struct rd_config config;
    static struct rd_config untouched;
    struct rd_error error = {.status = RD_OK};
    memset(&config, 0xa5, sizeof config);
    memset(&untouched, 0xa5, sizeof untouched);
    const struct rd_config_sources sources = {.argc = argc, .argv = argv, .getenv_function = fuzz_getenv};
    enum rd_config_outcome outcome = rd_config_load(&sources, &config, &error);
    if (outcome == RD_CONFIG_RUN || outcome == RD_CONFIG_CHECK) {
        FUZZ_CHECK(error.status == RD_OK);
        check_config(&config);
        rd_config_deinit(&config);
        return;
    }
    FUZZ_CHECK(memcmp(&config, &untouched, sizeof config) == 0);
    FUZZ_CHECK((outcome == RD_CONFIG_BAD) == (error.status != RD_OK));
    FUZZ_CHECK(memchr(error.message, 0, sizeof error.message) != NULL);
    FUZZ_CHECK(outcome != RD_CONFIG_BAD || error.message[0] != '\0');
}

/* ---- the three ways ---------------------------------------------------------------------------------------- */

static void run_file(struct rd_slice text)
{
    char path[64];
    char program[] = "rdrived";
    char flag[] = "--config";
    int fd = memfd_create("config", MFD_CLOEXEC);
    FUZZ_CHECK(fd >= 0 && write(fd, text.data, text.len) == (ssize_t)text.len);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    char *argv[] = {program, flag, path, NULL};
    load(3, argv);
    close(fd);
}

static void run_words(struct rd_slice text)
{
    char program[] = "rdrived";
    char *argv[WORDS_MAX + 2] = {program};
    int argc = 1;
    size_t variable = 0;
    bool arguments = true;
    char *copy = (char *)fuzz_copy(rd_slice(text.data, text.len));
    char *end = copy + text.len;
    for (char *at = copy; at < end;) {
        char *stop = memchr(at, 0, (size_t)(end - at));
        if (stop == NULL)
            break; /* a word without its end */
        if (arguments && *at == '\0')
            arguments = false;
        else if (arguments && argc <= WORDS_MAX)
            argv[argc++] = at;
        else if (!arguments && variable < VARIABLE_COUNT)
            environment[variable++] = *at == '\0' ? NULL : at;
        at = stop + 1;
    }
    load(argc, argv);
    memset(environment, 0, sizeof environment);
    free(copy);
}

static void run_settings(struct rd_slice text)
{
    struct rd_settings settings = {.durability = RD_DURABILITY_NONE, .durability_interval_ms = 77};
    struct rd_settings again;
    struct rd_error error = {.status = RD_OK};
    struct rd_buffer written;
    enum rd_status status = rd_settings_parse(text, &settings, &error);
    if (status != RD_OK) {
        FUZZ_CHECK(status == RD_INVALID_ARGUMENT && error.status == status && error.message[0] != '\0');
        FUZZ_CHECK(settings.durability == RD_DURABILITY_NONE && settings.durability_interval_ms == 77);
        return;
    }
    check_settings(&settings, true);
    rd_buffer_init(&written, 0);
    rd_settings_format(&settings, &written);
    FUZZ_CHECK(rd_settings_parse(rd_buffer_slice(&written), &again, &error) == RD_OK);
    FUZZ_CHECK(again.durability == settings.durability &&
               again.durability_interval_ms == settings.durability_interval_ms &&
               again.batch_marker_off == settings.batch_marker_off && again.read_only == settings.read_only &&
               again.quota_bytes == settings.quota_bytes && again.quota_entries == settings.quota_entries);
    rd_buffer_deinit(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct rd_slice input = rd_slice(data, len);
    uint8_t choice = fuzz_take_u8(&input) % 3;
    uint8_t *copy = fuzz_copy(input);
    if (choice == 0)
        run_file(rd_slice(copy, input.len));
    else if (choice == 1)
        run_settings(rd_slice(copy, input.len));
    else
        run_words(rd_slice(copy, input.len));
    free(copy);
    return 0;
}
