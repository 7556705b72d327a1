/* SPDX-License-Identifier: MIT */
#include "clients/cli/options.h"

#include <assert.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

#include "base/text.h"

#define INTERVAL_S_MIN 0.1
#define INTERVAL_S_MAX 3600.0

static_assert(sizeof((struct sockaddr_un){.sun_family = 0}).sun_path == 108, "as --unix says");

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

static bool take_only_condition(struct rd_message_condition condition, struct rd_options *options)
{
    if (options->condition.kind != RD_MESSAGE_IF_ANYTHING) {
        fputs("rdrive: give one of --if-present and --if-version\n", stderr);
        return false;
    }
    options->condition = condition;
    return true;
}

/* ---- what goes beyond its own field ------------------------------------------------------------------------ */

static bool take_tls_ca(const char *value, struct rd_options *options)
{
    options->tls = true;
    options->tls_ca = value;
    return true;
}

static bool take_durability(const char *value, struct rd_options *options)
{
    return parse_durability(value, &options->durability);
}

static bool take_range(const char *value, struct rd_options *options)
{
    return parse_range(value, &options->range);
}

static bool take_if_absent(const char *value, struct rd_options *options)
{
    (void)value;
    options->target_condition.kind = RD_MESSAGE_IF_ABSENT;
    return true;
}

static bool take_if_present(const char *value, struct rd_options *options)
{
    (void)value;
    return take_only_condition((struct rd_message_condition){.kind = RD_MESSAGE_IF_PRESENT}, options);
}

static bool take_if_version(const char *value, struct rd_options *options)
{
    struct rd_message_condition condition;
    return parse_version(value, &condition) && take_only_condition(condition, options);
}

static bool take_interval(const char *value, struct rd_options *options)
{
    return parse_interval(value, &options->interval_ms);
}

/* ---- the table --------------------------------------------------------------------------------------------- */

enum kind { KIND_FLAG, KIND_TEXT, KIND_NUMBER, KIND_OTHER };

/* The option is in a field of struct rd_options. */
#define FLAG(field)     KIND_FLAG, offsetof(struct rd_options, field), NULL
#define TEXT(field)     KIND_TEXT, offsetof(struct rd_options, field), NULL
#define NUMBER(field)   KIND_NUMBER, offsetof(struct rd_options, field), NULL
#define OTHER(function) KIND_OTHER, 0, function

static const struct row {
    const char *name;
    bool takes_value;
    enum kind kind;
    size_t at; /* of the field */
    bool (*take)(const char *value, struct rd_options *options);
    unsigned bit;     /* RD_OPTION_*; 0: it goes with every command */
    const char *text; /* how these are written */
} rows[] = {
    {"server", true, TEXT(server), 0, NULL},
    {"unix", true, TEXT(unix_path), 0, NULL},
    {"tls", false, FLAG(tls), 0, NULL},
    {"tls-ca", true, OTHER(take_tls_ca), 0, NULL},
    {"file", true, TEXT(file_path), 0, NULL},
    {"token-file", true, TEXT(token_path), 0, NULL},
    {"store", true, TEXT(store), 0, NULL},
    {"key-hex", false, FLAG(key_hex), RD_OPTION_KEY_FORM, "--key-hex and --hash do"},
    {"hash", false, FLAG(key_hash), RD_OPTION_KEY_FORM, "--key-hex and --hash do"},
    {"f", true, TEXT(input_path), RD_OPTION_INPUT, "-f does"},
    {"confirm", true, TEXT(confirm), RD_OPTION_CONFIRM, "--confirm does"},
    {"settings", true, TEXT(settings), RD_OPTION_SETTINGS, "--settings does"},
    {"durability", true, OTHER(take_durability), RD_OPTION_DURABILITY, "--durability does"},
    {"after", true, NUMBER(after_offset), RD_OPTION_AFTER, "--after does"},
    {"limit", true, NUMBER(limit), RD_OPTION_LIMIT, "--limit does"},
    {"target", true, TEXT(target), RD_OPTION_TARGET, "--target does"},
    {"range", true, OTHER(take_range), RD_OPTION_RANGE, "--range does"},
    {"if-absent", false, OTHER(take_if_absent), RD_OPTION_CONDITION, "conditions do"},
    {"if-present", false, OTHER(take_if_present), RD_OPTION_CONDITION, "conditions do"},
    {"if-version", true, OTHER(take_if_version), RD_OPTION_CONDITION, "conditions do"},
    {"no-batch-marker", false, FLAG(no_batch_marker), RD_OPTION_NO_BATCH_MARKER, "--no-batch-marker does"},
    {"quota-bytes", true, NUMBER(quota_bytes), RD_OPTION_QUOTA, "quotas and --read-only do"},
    {"quota-entries", true, NUMBER(quota_entries), RD_OPTION_QUOTA, "quotas and --read-only do"},
    {"read-only", false, FLAG(read_only), RD_OPTION_QUOTA, "quotas and --read-only do"},
    {"full", false, FLAG(full), RD_OPTION_FULL, "--full does"},
    {"force", false, FLAG(force), RD_OPTION_FORCE, "--force does"},
    {"interval", true, OTHER(take_interval), RD_OPTION_WATCH, "--interval and --once do"},
    {"once", false, FLAG(once), RD_OPTION_WATCH, "--interval and --once do"},
    {"json", false, FLAG(json), 0, NULL},
    {"help", false, FLAG(help), 0, NULL},
    {"version", false, FLAG(version), 0, NULL},
};
#define ROW_COUNT (sizeof rows / sizeof rows[0])

const char *rd_options_text(unsigned bits)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        if ((rows[i].bit & bits) != 0)
            return rows[i].text;
    return "";
}

static const struct row *row_named(const char *name)
{
    size_t i = 0;
    while (strcmp(rows[i].name, name) != 0)
        i++;
    return &rows[i];
}

static bool set(const struct row *row, const char *value, struct rd_options *options)
{
    char *field = (char *)options + row->at;
    options->given |= row->bit;
    if (row->takes_value && value[0] == '\0') {
        fprintf(stderr, "rdrive: -%s%s takes a value, and not an empty one\n", row->name[1] != '\0' ? "-" : "",
                row->name);
        return false;
    }
    switch (row->kind) {
    case KIND_FLAG:
        *(bool *)field = true;
        return true;
    case KIND_TEXT:
        *(const char **)(void *)field = value;
        return true;
    case KIND_NUMBER:
        return parse_number(row->name, value, (uint64_t *)(void *)field);
    case KIND_OTHER:
        break;
    }
    return row->take(value, options);
}

/* Long options give their row's number, above every character. False: getopt_long has said what is wrong. */
static bool set_all(int argc, char **argv, struct rd_options *options)
{
    enum { FIRST = 256 };
    struct option long_options[ROW_COUNT + 1] = {{.name = NULL}};
    size_t count = 0;
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (rows[i].name[1] != '\0')
            long_options[count++] =
                (struct option){.name = rows[i].name,
                                .has_arg = rows[i].takes_value ? required_argument : no_argument,
                                .val = FIRST + (int)i};
    for (;;) {
        int option = getopt_long(argc, argv, "f:h", long_options, NULL);
        if (option < 0)
            return true;
        const struct row *row = NULL;
        if (option >= FIRST)
            row = &rows[option - FIRST];
        else if (option == 'f' || option == 'h')
            row = row_named(option == 'f' ? "f" : "help");
        if (row == NULL || !set(row, optarg, options))
            return false;
    }
}

static bool fits_together(const struct rd_options *options, bool server_given)
{
    const char *wrong = NULL;
    if (server_given + (options->unix_path != NULL) + (options->file_path != NULL) > 1)
        wrong = "give one of --server, --unix and --file";
    else if (options->unix_path != NULL &&
             strlen(options->unix_path) >= sizeof((struct sockaddr_un){.sun_family = 0}).sun_path)
        wrong = "--unix takes a path of at most 107 bytes";
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
    if (!set_all(argc, argv, &options))
        return false;
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
