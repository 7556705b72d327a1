/* SPDX-License-Identifier: MIT
 *
 * Configuration: which source goes over which, the forms of values, what is said about mistakes; settings of
 * stores. */
#include "server/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define ARGS_MAX 8

static const char *environment_loops;
static const char *environment_http;
static const char *environment_redis;

static char *fake_getenv(const char *name)
{
    if (strcmp(name, "RDRIVE_LOOPS") == 0)
        return (char *)(uintptr_t)environment_loops;
    if (strcmp(name, "RDRIVE_HTTP") == 0)
        return (char *)(uintptr_t)environment_http;
    if (strcmp(name, "RDRIVE_REDIS") == 0)
        return (char *)(uintptr_t)environment_redis;
    return NULL;
}

/* Arguments end with NULL. */
static enum rd_config_outcome load(const char *const *args, struct rd_config *config, struct rd_error *error)
{
    char *argv[ARGS_MAX + 2] = {(char *)(uintptr_t) "rdrived"};
    int argc = 1;
    for (; args[argc - 1] != NULL; argc++) {
        assert_true(argc <= ARGS_MAX);
        argv[argc] = (char *)(uintptr_t)args[argc - 1];
    }
    *error = (struct rd_error){.status = RD_OK};
    const struct rd_config_sources sources = {.argc = argc, .argv = argv, .getenv_function = fake_getenv};
    return rd_config_load(&sources, config, error);
}

#define LOAD(config, error, ...) load((const char *const[]){__VA_ARGS__, NULL}, config, error)

static int reset(void **state)
{
    (void)state;
    environment_loops = NULL;
    environment_http = NULL;
    environment_redis = NULL;
    return 0;
}

/* A file that goes when the test is over. */
static void write_file(const char *text, char path[64])
{
    strcpy(path, "/tmp/rdrive-config-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void test_defaults(void **state)
{
    (void)state;
    struct rd_config config;
    struct rd_error error;
    const char *const none[] = {NULL};
    assert_int_equal(load(none, &config, &error), RD_CONFIG_RUN);
    assert_string_equal(config.data_dir, "./data");
    assert_string_equal(config.listen.host, "127.0.0.1");
    assert_string_equal(config.listen.port, "7401");
    assert_string_equal(config.http.port, "7480");
    assert_string_equal(config.redis.host, "");
    assert_string_equal(config.unix_path, "");
    assert_int_equal(config.loops, 1);
    assert_int_equal(config.settings.durability, RD_DURABILITY_SYNC);
    assert_int_equal(config.log_level, RD_LOG_INFO);
    rd_config_deinit(&config);
}

static void test_flags_over_environment_over_file_over_defaults(void **state)
{
    (void)state;
    char path[64];
    write_file("{\"loops\": 2, \"http\": \"127.0.0.1:2\", \"listen\": \"127.0.0.1:3\"}", path);
    environment_loops = "3";
    environment_http = "127.0.0.1:4";
    struct rd_config config;
    struct rd_error error;
    assert_int_equal(LOAD(&config, &error, "--loops=4", "--config", path), RD_CONFIG_RUN);
    assert_int_equal(config.loops, 4);
    assert_string_equal(config.http.port, "4");
    assert_string_equal(config.listen.port, "3");
    assert_string_equal(config.data_dir, "./data");
    rd_config_deinit(&config);
    unlink(path);
}

static void test_addresses(void **state)
{
    (void)state;
    struct rd_config config;
    struct rd_error error;
    assert_int_equal(LOAD(&config, &error, "--listen", "[::1]:0"), RD_CONFIG_RUN);
    assert_string_equal(config.listen.host, "::1");
    assert_string_equal(config.listen.port, "0");
    rd_config_deinit(&config);

    static const char *const bad[] = {"",        "7401",      "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",
                                      "::1:80",  "[::1]",     "[]:80",     ":80",        "host:-1",
                                      "host:1 ", "host:1x2",  "[::1:7401", "host:+1",    "h]:0",
                                      "h[:0",    "[[::1]]:0", "a[::1]:0"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(LOAD(&config, &error, "--listen", bad[i]), RD_CONFIG_BAD);
        assert_non_null(strstr(error.message, "--listen"));
    }
}

/* Nobody gets the Redis protocol who did not ask for it. */
static void test_redis_is_off_unless_given(void **state)
{
    (void)state;
    struct rd_config config;
    struct rd_error error;
    environment_redis = "127.0.0.1:6379";
    assert_int_equal(LOAD(&config, &error, "--loops", "1"), RD_CONFIG_RUN);
    assert_string_equal(config.redis.host, "127.0.0.1");
    assert_string_equal(config.redis.port, "6379");
    rd_config_deinit(&config);
    assert_int_equal(LOAD(&config, &error, "--redis", ""), RD_CONFIG_RUN);
    assert_string_equal(config.redis.host, "");
    rd_config_deinit(&config);
    assert_int_equal(LOAD(&config, &error, "--redis", "6379"), RD_CONFIG_BAD);
    assert_non_null(strstr(error.message, "--redis"));
    environment_redis = "here";
    assert_int_equal(LOAD(&config, &error, "--loops", "1"), RD_CONFIG_BAD);
    assert_non_null(strstr(error.message, "RDRIVE_REDIS"));
}

static void test_durability(void **state)
{
    (void)state;
    struct rd_config config;
    struct rd_error error;
    assert_int_equal(LOAD(&config, &error, "--durability", "interval:250"), RD_CONFIG_RUN);
    assert_int_equal(config.settings.durability, RD_DURABILITY_INTERVAL);
    assert_int_equal(config.settings.durability_interval_ms, 250);
    rd_config_deinit(&config);
    assert_int_equal(LOAD(&config, &error, "--durability", "none"), RD_CONFIG_RUN);
    assert_int_equal(config.settings.durability, RD_DURABILITY_NONE);
    rd_config_deinit(&config);
    static const char *const bad[] = {"",     "Sync", "interval", "interval:", "interval:0", "interval:3600001",
                                      "none "};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(LOAD(&config, &error, "--durability", bad[i]), RD_CONFIG_BAD);
}

static void test_bad_flags(void **state)
{
    (void)state;
    struct rd_config config;
    struct rd_error error;
    static const struct {
        const char *args[2];
        const char *message;
    } rows[] = {
        {{"--colour", "red"}, "--colour"},
        {{"data", NULL}, "'data'"},
        {{"--", NULL}, "'--'"},
        {{"-h", NULL}, "'-h'"},
        {{"--loops", NULL}, "--loops: a value must follow"},
        {{"--loops", "0"}, "--loops: '0'"},
        {{"--loops", "257"}, "--loops"},
        {{"--log-level", "loud"}, "error|warn|info|debug"},
        {{"--config", NULL}, "--config: a value must follow"},
        {{"--config", "/nonexistent/file"}, "/nonexistent/file"},
        {{"--version=1", NULL}, "'--version=1'"},
        {{"--data-dir", ""}, "--data-dir"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(LOAD(&config, &error, rows[i].args[0], rows[i].args[1]), RD_CONFIG_BAD);
        assert_non_null(strstr(error.message, rows[i].message));
    }
    environment_loops = "many";
    assert_int_equal(LOAD(&config, &error, "--log-level", "info"), RD_CONFIG_BAD);
    assert_non_null(strstr(error.message, "RDRIVE_LOOPS"));
}

static void test_help_and_version_go_first(void **state)
{
    (void)state;
    struct rd_config config;
    struct rd_error error;
    assert_int_equal(LOAD(&config, &error, "--loops", "0", "--help"), RD_CONFIG_HELP);
    assert_int_equal(LOAD(&config, &error, "--version"), RD_CONFIG_VERSION);
    struct rd_buffer text;
    rd_buffer_init(&text, 0);
    rd_config_help(&text);
    rd_buffer_append_u8(&text, 0);
    assert_non_null(strstr((const char *)text.data, "--port-file FILE"));
    assert_non_null(strstr((const char *)text.data, "RDRIVE_PORT_FILE"));
    rd_buffer_deinit(&text);
}

static void test_mistakes_in_the_file_have_a_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *message;
    } rows[] = {
        {"{\n \"http\": \"h:1\",\n \"colour\": \"red\"}", ":3: colour: no such setting"},
        {"{\"http\": \"colour\",\n\"colour\": 1}", ":1: http"},
        {"{\n\n\"loops\": \"x\"}", ":3: loops"},
        {"{\n\"loops\": true}", ":2: loops: must be"},
        {"{\n\"loops\": 1,\n\"loops\": 2}", "duplicate"},
        {"{\n\"loops\": 1,\n", ":3:"},
        {"[]", "one JSON object"},
        {"", ":1:"},
    };
    struct rd_config config;
    struct rd_error error;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char path[64];
        write_file(rows[i].text, path);
        assert_int_equal(LOAD(&config, &error, "--config", path), RD_CONFIG_BAD);
        assert_non_null(strstr(error.message, path));
        assert_non_null(strstr(error.message, rows[i].message));
        unlink(path);
    }
}

/* The exact line of a member, whatever is around it: of keys spelled with escapes, of the same name elsewhere, in
 * strings, in arrays. */
static void test_lines_are_those_of_the_key(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *message;
    } rows[] = {
        {"{\"stores\":{\"a\":{\n\"durability\":\"never\"}}}",
         ":2: stores.a.durability: settings: durability must be"},
        {"{\"stores\":\n{\"a\":\n{\"colour\":1}}}", ":3: stores.a.colour: settings: there is no field"},
        {"{\"stores\":\n{\"a\":\n1}}", ":2: stores.a: must be an object"},
        {"{\n\"stores\":[]}", ":2: stores: must be an object"},
        {"{\"stores\":{\n\".a\":{\"durability\":\"none\"}}}", ":2: stores..a: a store's name is"},
        {"{\"stores\":{\"a\":{},\n\"a\":{}}}", ":2: duplicate"},
        {"{\"stores\":{\"loops\":{\n\"batch_marker\":true}},\n\"loops\":0}", ":3: loops: '0'"},
        {"{\"stores\":{\"a\":{\"durability\":\"sync\"},\n\"b\":{\n\"durability\":\"x\"}}}",
         ":3: stores.b.durability"},
        {"{\n\"l\\u006fops\": 0}", ":2: loops: '0'"},
        {"{\"unix\": \"\\\"loops\\\": {\",\n\"loops\": 0}", ":2: loops"},
        {"{\"unix\": \"loops\",\n\n\"loops\"\n:\n0}", ":3: loops"},
        {"{\n\"loops\": [{\"loops\":\n1}]}", ":2: loops: must be"},
        {"{\n\"log_level\": null}", ":2: log_level: must be"},
        {"{\n\"loops\": 1.5}", ":2: loops: must be"},
        {"{\n\"loops\": -1}", ":2: loops: '-1' is not of the form N, from 1 to 256"},
    };
    struct rd_config config;
    struct rd_error error;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char path[64];
        write_file(rows[i].text, path);
        assert_int_equal(LOAD(&config, &error, "--config", path), RD_CONFIG_BAD);
        assert_non_null(strstr(error.message, path));
        if (strstr(error.message, rows[i].message) == NULL)
            fail_msg("'%s' does not say '%s'", error.message, rows[i].message);
        unlink(path);
    }
}

static void test_settings_of_stores(void **state)
{
    (void)state;
    char path[64];
    write_file("{\"stores\": {\"a\": {\"durability\": \"interval:7\", \"batch_marker\": true}, \"b\": {}}}", path);
    struct rd_config config;
    struct rd_error error;
    assert_int_equal(LOAD(&config, &error, "--config", path), RD_CONFIG_RUN);
    const struct rd_settings *a = rd_config_find_store(config.stores, config.store_count, "a");
    assert_non_null(a);
    assert_int_equal(a->durability, RD_DURABILITY_INTERVAL);
    assert_null(rd_config_find_store(config.stores, config.store_count, "c"));

    struct rd_settings companion = {.durability = RD_DURABILITY_NONE, .batch_marker_off = true};
    rd_settings_overlay(&companion, a);
    assert_int_equal(companion.durability, RD_DURABILITY_INTERVAL);
    assert_int_equal(companion.durability_interval_ms, 7);
    assert_false(companion.batch_marker_off); /* `true` was said, though it is the default */
    rd_config_deinit(&config);
    unlink(path);
}

struct changes {
    char names[8][32];
    bool at_run_time[8];
    unsigned count;
};

static void note(void *context, const char *name, bool at_run_time)
{
    struct changes *changes = context;
    assert_true(changes->count < 8);
    snprintf(changes->names[changes->count], sizeof changes->names[0], "%s", name);
    changes->at_run_time[changes->count++] = at_run_time;
}

static void test_what_a_reload_changes(void **state)
{
    (void)state;
    char path[64];
    struct rd_config old;
    struct rd_config new;
    struct rd_error error;
    write_file("{\"loops\": 2, \"log_level\": \"debug\", \"unix\": \"x\", \"stores\": {\"a\": {\"durability\": "
               "\"none\"}}}",
               path);
    assert_int_equal(LOAD(&old, &error, "--data-dir", "here"), RD_CONFIG_RUN);
    assert_int_equal(LOAD(&new, &error, "--config", path, "--data-dir", "here"), RD_CONFIG_RUN);
    struct changes changes = {.count = 0};
    rd_config_compare(&old, &new, note, &changes);
    static const struct {
        const char *name;
        bool at_run_time;
    } expected[] = {{"unix", false}, {"loops", false}, {"log_level", true}, {"stores", true}};
    assert_int_equal(changes.count, sizeof expected / sizeof expected[0]);
    for (unsigned i = 0; i < changes.count; i++) {
        assert_string_equal(changes.names[i], expected[i].name);
        assert_int_equal(changes.at_run_time[i], expected[i].at_run_time);
    }

    rd_config_adopt(&old, &new);
    assert_int_equal(old.loops, 1);
    assert_string_equal(old.unix_path, "");
    assert_int_equal(old.log_level, RD_LOG_DEBUG);
    assert_non_null(rd_config_find_store(old.stores, old.store_count, "a"));
    rd_config_deinit(&old);
    rd_config_deinit(&new);
    unlink(path);
}

static void test_sources_are_told(void **state)
{
    (void)state;
    char path[64];
    write_file("{\n\"log_level\": \"warn\"}", path);
    environment_http = "127.0.0.1:4";
    struct rd_config config;
    struct rd_error error;
    assert_int_equal(LOAD(&config, &error, "--check-config", "--loops", "3", "--config", path), RD_CONFIG_CHECK);
    struct rd_buffer text;
    char wanted[96];
    rd_buffer_init(&text, 0);
    rd_config_describe(&config, &text);
    rd_buffer_append_u8(&text, 0);
    const char *said = (const char *)text.data;
    assert_non_null(strstr(said, "loops: 3 (--loops)\n"));
    assert_non_null(strstr(said, "http: 127.0.0.1:4 (RDRIVE_HTTP)\n"));
    assert_non_null(strstr(said, "data_dir: ./data (default)\n"));
    assert_non_null(strstr(said, "redis: none (default)\n"));
    snprintf(wanted, sizeof wanted, "log_level: warn (%s:2)\n", path);
    assert_non_null(strstr(said, wanted));
    rd_buffer_deinit(&text);
    rd_config_deinit(&config);
    unlink(path);
}

static void test_store_settings(void **state)
{
    (void)state;
    struct rd_settings settings = {.durability = RD_DURABILITY_NONE};
    struct rd_error error;
    assert_int_equal(rd_settings_parse(rd_slice(NULL, 0), &settings, &error), RD_OK);
    assert_int_equal(settings.durability, RD_DURABILITY_DEFAULT);
    assert_int_equal(rd_settings_parse(rd_slice_of_string("{}"), &settings, &error), RD_OK);
    assert_int_equal(settings.durability, RD_DURABILITY_DEFAULT);
    assert_false(settings.batch_marker_off);
    assert_int_equal(rd_settings_parse(rd_slice_of_string("{\"batch_marker\":true}"), &settings, &error), RD_OK);
    assert_false(settings.batch_marker_off);
    assert_int_equal(rd_settings_parse(rd_slice_of_string("{\"batch_marker\":false}"), &settings, &error), RD_OK);
    assert_true(settings.batch_marker_off);
    assert_int_equal(settings.durability, RD_DURABILITY_DEFAULT);

    static const char *const bad[] = {"[]",
                                      "{",
                                      "{\"durability\":1}",
                                      "{\"durability\":\"maybe\"}",
                                      "nul",
                                      "\"a\"",
                                      "{\"durability\":\"none\",\"durability\":\"sync\"}",
                                      "{\"batch_marker\":0}",
                                      "{\"batch_marker\":\"false\"}",
                                      "{\"batch_marker\":null,\"durability\":\"none\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(rd_settings_parse(rd_slice_of_string(bad[i]), &settings, &error), RD_INVALID_ARGUMENT);
    assert_int_equal(rd_settings_parse(rd_slice_of_string("{\"colour\":\"red\"}"), &settings, &error),
                     RD_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "'colour'"));
}

static void test_store_settings_survive_a_round_trip(void **state)
{
    (void)state;
    static const struct rd_settings rows[] = {
        {.durability = RD_DURABILITY_DEFAULT},
        {.durability = RD_DURABILITY_SYNC},
        {.durability = RD_DURABILITY_NONE},
        {.durability = RD_DURABILITY_INTERVAL, .durability_interval_ms = 3600000},
        {.durability = RD_DURABILITY_DEFAULT, .batch_marker_off = true},
        {.durability = RD_DURABILITY_INTERVAL, .durability_interval_ms = 1, .batch_marker_off = true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rd_buffer text;
        rd_buffer_init(&text, 0);
        rd_settings_format(&rows[i], &text);
        struct rd_settings settings;
        assert_int_equal(rd_settings_parse(rd_buffer_slice(&text), &settings, NULL), RD_OK);
        assert_int_equal(settings.durability, rows[i].durability);
        assert_int_equal(settings.durability_interval_ms, rows[i].durability_interval_ms);
        assert_int_equal(settings.batch_marker_off, rows[i].batch_marker_off);
        rd_buffer_deinit(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_defaults, reset),
        cmocka_unit_test_setup(test_flags_over_environment_over_file_over_defaults, reset),
        cmocka_unit_test_setup(test_addresses, reset),
        cmocka_unit_test_setup(test_redis_is_off_unless_given, reset),
        cmocka_unit_test_setup(test_durability, reset),
        cmocka_unit_test_setup(test_bad_flags, reset),
        cmocka_unit_test_setup(test_help_and_version_go_first, reset),
        cmocka_unit_test_setup(test_mistakes_in_the_file_have_a_line, reset),
        cmocka_unit_test_setup(test_lines_are_those_of_the_key, reset),
        cmocka_unit_test_setup(test_settings_of_stores, reset),
        cmocka_unit_test_setup(test_what_a_reload_changes, reset),
        cmocka_unit_test_setup(test_sources_are_told, reset),
        cmocka_unit_test_setup(test_store_settings, reset),
        cmocka_unit_test_setup(test_store_settings_survive_a_round_trip, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
