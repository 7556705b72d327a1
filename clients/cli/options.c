/* SPDX-License-Identifier: MIT */
#include "clients/cli/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"

#define INTERVAL_S_MIN 0.1
#define INTERVAL_S_MAX 3600.0

enum {
    OPTION_SERVER = 256, /* above every character, so that no long option has a short name by accident */
    OPTION_UNIX,
    OPTION_TLS,
    OPTION_TLS_CA,
    OPTION_FILE,
    OPTION_TOKEN_FILE,
    OPTION_STORE,
    OPTION_CONFIRM,
    OPTION_SETTINGS,
    OPTION_KEY_HEX,
    OPTION_HASH,
    OPTION_JSON,
    OPTION_DURABILITY,
    OPTION_AFTER,
    OPTION_LIMIT,
    OPTION_TARGET,
    OPTION_RANGE,
    OPTION_IF_ABSENT,
    OPTION_IF_PRESENT,
    OPTION_IF_VERSION,
    OPTION_NO_BATCH_MARKER,
    OPTION_QUOTA_BYTES,
    OPTION_QUOTA_ENTRIES,
    OPTION_READ_ONLY,
    OPTION_FULL,
    OPTION_FORCE,
    OPTION_INTERVAL,
    OPTION_ONCE,
    OPTION_HELP,
    OPTION_VERSION
};

static const struct option long_options[] = {
    {"server", required_argument, NULL, OPTION_SERVER},
    {"unix", required_argument, NULL, OPTION_UNIX},
    {"tls", no_argument, NULL, OPTION_TLS},
    {"tls-ca", required_argument, NULL, OPTION_TLS_CA},
    {"file", required_argument, NULL, OPTION_FILE},
    {"token-file", required_argument, NULL, OPTION_TOKEN_FILE},
    {"store", required_argument, NULL, OPTION_STORE},
    {"confirm", required_argument, NULL, OPTION_CONFIRM},
    {"settings", required_argument, NULL, OPTION_SETTINGS},
    {"key-hex", no_argument, NULL, OPTION_KEY_HEX},
    {"hash", no_argument, NULL, OPTION_HASH},
    {"json", no_argument, NULL, OPTION_JSON},
    {"durability", required_argument, NULL, OPTION_DURABILITY},
    {"after", required_argument, NULL, OPTION_AFTER},
    {"limit", required_argument, NULL, OPTION_LIMIT},
    {"target", required_argument, NULL, OPTION_TARGET},
    {"range", required_argument, NULL, OPTION_RANGE},
    {"if-absent", no_argument, NULL, OPTION_IF_ABSENT},
    {"if-present", no_argument, NULL, OPTION_IF_PRESENT},
    {"if-version", required_argument, NULL, OPTION_IF_VERSION},
    {"no-batch-marker", no_argument, NULL, OPTION_NO_BATCH_MARKER},
    {"quota-bytes", required_argument, NULL, OPTION_QUOTA_BYTES},
    {"quota-entries", required_argument, NULL, OPTION_QUOTA_ENTRIES},
    {"read-only", no_argument, NULL, OPTION_READ_ONLY},
    {"full", no_argument, NULL, OPTION_FULL},
    {"force", no_argument, NULL, OPTION_FORCE},
    {"interval", required_argument, NULL, OPTION_INTERVAL},
    {"once", no_argument, NULL, OPTION_ONCE},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

static const struct {
    int option;
    unsigned bit;
    const char *text;
} limited[] = {
    {OPTION_KEY_HEX, RD_OPTION_KEY_FORM, "--key-hex and --hash do"},
    {OPTION_HASH, RD_OPTION_KEY_FORM, "--key-hex and --hash do"},
    {'f', RD_OPTION_INPUT, "-f does"},
    {OPTION_CONFIRM, RD_OPTION_CONFIRM, "--confirm does"},
    {OPTION_SETTINGS, RD_OPTION_SETTINGS, "--settings does"},
    {OPTION_DURABILITY, RD_OPTION_DURABILITY, "--durability does"},
    {OPTION_AFTER, RD_OPTION_AFTER, "--after does"},
    {OPTION_LIMIT, RD_OPTION_LIMIT, "--limit does"},
    {OPTION_TARGET, RD_OPTION_TARGET, "--target does"},
    {OPTION_RANGE, RD_OPTION_RANGE, "--range does"},
    {OPTION_IF_ABSENT, RD_OPTION_CONDITION, "conditions do"},
    {OPTION_IF_PRESENT, RD_OPTION_CONDITION, "conditions do"},
    {OPTION_IF_VERSION, RD_OPTION_CONDITION, "conditions do"},
    {OPTION_NO_BATCH_MARKER, RD_OPTION_NO_BATCH_MARKER, "--no-batch-marker does"},
    {OPTION_QUOTA_BYTES, RD_OPTION_QUOTA, "quotas and --read-only do"},
    {OPTION_QUOTA_ENTRIES, RD_OPTION_QUOTA, "quotas and --read-only do"},
    {OPTION_READ_ONLY, RD_OPTION_QUOTA, "quotas and --read-only do"},
    {OPTION_FULL, RD_OPTION_FULL, "--full does"},
    {OPTION_FORCE, RD_OPTION_FORCE, "--force does"},
    {OPTION_INTERVAL, RD_OPTION_WATCH, "--interval and --once do"},
    {OPTION_ONCE, RD_OPTION_WATCH, "--interval and --once do"},
};
#define LIMITED_COUNT (sizeof limited / sizeof limited[0])

static unsigned bit_of(int option)
{
    for (size_t i = 0; i < LIMITED_COUNT; i++)
        if (limited[i].option == option)
            return limited[i].bit;
    return 0;
}

const char *rd_options_text(unsigned bits)
{
    for (size_t i = 0; i < LIMITED_COUNT; i++)
        if ((limited[i].bit & bits) != 0)
            return limited[i].text;
    return "";
}

static bool parse_number(const char *name, const char *text, uint64_t *ret_number)
{
    if (rd_text_parse_u64(rd_slice_of_string(text), ret_number))
        return true;
    fprintf(stderr, "rdrive: --%s takes a number, not \"%s\"\n", name, text);
    return false;
}

/* Seconds, with a fraction or without. */
static bool parse_interval(const char *text, uint32_t *ret_interval_ms)
{
    char *end;
    double seconds = strtod(text, &end);
    if (end == text || *end != '\0' || !(seconds >= INTERVAL_S_MIN && seconds <= INTERVAL_S_MAX)) {
        fprintf(stderr, "rdrive: --interval takes seconds from %g to %g, not \"%s\"\n", INTERVAL_S_MIN,
                INTERVAL_S_MAX, text);
        return false;
    }
    *ret_interval_ms = (uint32_t)(seconds * 1000);
    return true;
}

static bool parse_durability(const char *text, enum rd_message_durability *ret_durability)
{
    if (strcmp(text, "sync") == 0)
        *ret_durability = RD_MESSAGE_DURABILITY_SYNC;
    else if (strcmp(text, "none") == 0)
        *ret_durability = RD_MESSAGE_DURABILITY_NONE;
    else {
        fprintf(stderr, "rdrive: --durability of a write is sync or none, not \"%s\"\n", text);
        return false;
    }
    return true;
}

/* FIRST-LAST, FIRST- or -COUNT, as HTTP's Range has them. */
static bool parse_range(const char *text, struct rd_message_range *ret_range)
{
    const char *dash = strchr(text, '-');
    uint64_t first = 0;
    uint64_t last = UINT64_MAX - 1;
    bool has_first = dash != NULL && dash != text;
    bool has_last = dash != NULL && dash[1] != '\0';
    bool fits = (has_first || has_last) &&
                (!has_first || rd_text_parse_u64(rd_slice(text, (size_t)(dash - text)), &first)) &&
                (!has_last || rd_text_parse_u64(rd_slice_of_string(dash + 1), &last)) && last != UINT64_MAX &&
                (!has_first || first <= last);
    if (!fits) {
        fprintf(stderr, "rdrive: --range takes FIRST-LAST, FIRST- or -COUNT, not \"%s\"\n", text);
        return false;
    }
    if (!has_first)
        *ret_range = (struct rd_message_range){.kind = RD_MESSAGE_RANGE_SUFFIX, .len = last};
    else
        *ret_range = (struct rd_message_range){
            .kind = RD_MESSAGE_RANGE_FROM, .first = first, .len = has_last ? last - first + 1 : UINT64_MAX};
    return true;
}

/* Up to 16 hex digits. */
static bool parse_hex(const char *text, size_t len, size_t len_max, uint64_t *ret_value)
{
    char padded[17] = "0000000000000000";
    if (len == 0 || len > len_max)
        return false;
    memcpy(padded + 16 - len, text, len);
    return rd_text_parse_hash(rd_slice(padded, 16), ret_value);
}

/* OFFSET-CRC, both in hex, as an ETag holds them. */
static bool parse_version(const char *text, struct rd_message_condition *ret_condition)
{
    const char *dash = strchr(text, '-');
    uint64_t offset = 0;
    uint64_t crc32 = 0;
    if (dash == NULL || !parse_hex(text, (size_t)(dash - text), 16, &offset) ||
        !parse_hex(dash + 1, strlen(dash + 1), 8, &crc32)) {
        fprintf(stderr, "rdrive: --if-version takes OFFSET-CRC in hex, as in an ETag, not \"%s\"\n", text);
        return false;
    }
    *ret_condition =
        (struct rd_message_condition){.kind = RD_MESSAGE_IF_VERSION, .offset = offset, .crc32 = (uint32_t)crc32};
    return true;
}

static bool set_condition(int option, const char *value, struct rd_options *options)
{
    struct rd_message_condition condition = {.kind = RD_MESSAGE_IF_PRESENT};
    if (option == OPTION_IF_ABSENT) {
        options->target_condition.kind = RD_MESSAGE_IF_ABSENT;
        return true;
    }
    if (option == OPTION_IF_VERSION && !parse_version(value, &condition))
        return false;
    if (options->condition.kind != RD_MESSAGE_IF_ANYTHING) {
        fputs("rdrive: give one of --if-present and --if-version\n", stderr);
        return false;
    }
    options->condition = condition;
    return true;
}

static bool set_option(int option, const char *value, struct rd_options *options)
{
    switch (option) {
    case OPTION_SERVER:
        options->server = value;
        return true;
    case OPTION_UNIX:
        options->unix_path = value;
        return true;
    case OPTION_TLS:
        options->tls = true;
        return true;
    case OPTION_TLS_CA:
        options->tls = true;
        options->tls_ca = value;
        return true;
    case OPTION_FILE:
        options->file_path = value;
        return true;
    case OPTION_TOKEN_FILE:
        options->token_path = value;
        return true;
    case OPTION_STORE:
        options->store = value;
        return true;
    case OPTION_CONFIRM:
        options->confirm = value;
        return true;
    case OPTION_SETTINGS:
        options->settings = value;
        return true;
    case 'f':
        options->input_path = value;
        return true;
    case OPTION_KEY_HEX:
        options->key_hex = true;
        return true;
    case OPTION_HASH:
        options->key_hash = true;
        return true;
    case OPTION_JSON:
        options->json = true;
        return true;
    case OPTION_DURABILITY:
        return parse_durability(value, &options->durability);
    case OPTION_AFTER:
        return parse_number("after", value, &options->after_offset);
    case OPTION_LIMIT:
        return parse_number("limit", value, &options->limit);
    case OPTION_TARGET:
        options->target = value;
        return true;
    case OPTION_RANGE:
        return parse_range(value, &options->range);
    case OPTION_IF_ABSENT:
    case OPTION_IF_PRESENT:
    case OPTION_IF_VERSION:
        return set_condition(option, value, options);
    case OPTION_NO_BATCH_MARKER:
        options->no_batch_marker = true;
        return true;
    case OPTION_QUOTA_BYTES:
        return parse_number("quota-bytes", value, &options->quota_bytes);
    case OPTION_QUOTA_ENTRIES:
        return parse_number("quota-entries", value, &options->quota_entries);
    case OPTION_READ_ONLY:
        options->read_only = true;
        return true;
    case OPTION_FULL:
        options->full = true;
        return true;
    case OPTION_FORCE:
        options->force = true;
        return true;
    case OPTION_INTERVAL:
        return parse_interval(value, &options->interval_ms);
    case OPTION_ONCE:
        options->once = true;
        return true;
    case 'h':
    case OPTION_HELP:
        options->help = true;
        return true;
    case OPTION_VERSION:
        options->version = true;
        return true;
    default:
        return false; /* getopt_long has said why */
    }
}

static bool fits_together(const struct rd_options *options, bool server_given)
{
    const char *wrong = NULL;
    if (server_given + (options->unix_path != NULL) + (options->file_path != NULL) > 1)
        wrong = "give one of --server, --unix and --file";
    else if (options->file_path != NULL && options->store != NULL)
        wrong = "--file names a store's file: --store has no meaning beside it";
    else if (options->tls && (options->unix_path != NULL || options->file_path != NULL))
        wrong = "TLS is spoken with a server over TCP: --tls has no meaning beside --unix and --file";
    else if (options->file_path != NULL && options->token_path != NULL)
        wrong = "a store's file asks for no token: --token-file has no meaning beside --file";
    else if (options->key_hex && options->key_hash)
        wrong = "give one of --key-hex and --hash";
    if (wrong != NULL)
        fprintf(stderr, "rdrive: %s\n", wrong);
    return wrong == NULL;
}

static const char *given_or_none(const char *text)
{
    return text != NULL && text[0] != '\0' ? text : NULL;
}

static void take_defaults(const struct rd_options_defaults *defaults, struct rd_options *options)
{
    if (options->server == NULL)
        options->server = given_or_none(defaults->server);
    if (options->tls_ca == NULL && options->unix_path == NULL && options->file_path == NULL)
        options->tls_ca = given_or_none(defaults->tls_ca);
    options->tls = options->tls || options->tls_ca != NULL;
}

bool rd_options_parse(int argc, char **argv, const struct rd_options_defaults *defaults,
                      struct rd_options *ret_options)
{
    struct rd_options options = {.server = NULL};
    for (;;) {
        int option = getopt_long(argc, argv, "f:h", long_options, NULL);
        if (option < 0)
            break;
        if (!set_option(option, optarg, &options))
            return false;
        options.given |= bit_of(option);
    }
    if (!fits_together(&options, options.server != NULL))
        return false;
    take_defaults(defaults, &options);
    if (optind < argc) {
        options.command = argv[optind];
        options.args = argv + optind + 1;
        options.arg_count = (size_t)(argc - optind - 1);
    }
    *ret_options = options;
    return true;
}
