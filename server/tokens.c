/* SPDX-License-Identifier: MIT */
#include "server/tokens.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/regular_file.h"
#include "base/text.h"
#include "server/log.h"

#define FILE_LEN_MAX (1u << 20)

/* "sales": that store; "test-*": all whose names begin so; "*": all. */
struct pattern {
    char name[RD_TEXT_STORE_NAME_LEN_MAX];
    size_t len;
    bool prefix;
};

/* A row of the file, but for its sha256. */
struct rule {
    struct pattern *patterns; /* owned */
    size_t pattern_count;
    unsigned verbs;
};

struct rd_token {
    uint8_t digest[RD_TOKENS_DIGEST_LEN];
    struct rule *rules; /* owned */
    size_t rule_count;
};

struct rd_tokens {
    atomic_uint references;
    struct rd_token *list; /* owned */
    size_t count;
};

static const struct {
    enum rd_verb verb;
    const char *name;
} verbs[] = {{RD_VERB_READ, "read"}, {RD_VERB_WRITE, "write"}, {RD_VERB_ADMIN, "admin"}};
#define VERB_COUNT (sizeof verbs / sizeof verbs[0])

const char *rd_verb_name(enum rd_verb verb)
{
    for (size_t i = 0; i < VERB_COUNT; i++)
        if (verbs[i].verb == verb)
            return verbs[i].name;
    return "unknown";
}

/* ---- what a token may do ---------------------------------------------------------------------------------- */

static bool covers(const struct pattern *pattern, struct rd_slice store)
{
    if (pattern->prefix ? store.len < pattern->len : store.len != pattern->len)
        return false;
    return pattern->len == 0 || memcmp(pattern->name, store.data, pattern->len) == 0;
}

unsigned rd_token_verbs(const struct rd_token *token, struct rd_slice store)
{
    unsigned allowed = 0;
    for (size_t i = 0; i < token->rule_count; i++)
        for (size_t j = 0; j < token->rules[i].pattern_count; j++)
            if (covers(&token->rules[i].patterns[j], store))
                allowed |= token->rules[i].verbs;
    return allowed;
}

unsigned rd_token_verbs_everywhere(const struct rd_token *token)
{
    unsigned allowed = 0;
    for (size_t i = 0; i < token->rule_count; i++)
        for (size_t j = 0; j < token->rules[i].pattern_count; j++)
            if (token->rules[i].patterns[j].prefix && token->rules[i].patterns[j].len == 0)
                allowed |= token->rules[i].verbs;
    return allowed;
}

/* No branch hangs on whether a digest matches, nor on where it begins to differ. */
const struct rd_token *rd_tokens_find(const struct rd_tokens *tokens, const uint8_t digest[RD_TOKENS_DIGEST_LEN])
{
    size_t found = 0; /* its place, counted from 1 */
    for (size_t i = 0; i < tokens->count; i++) {
        size_t differs = CRYPTO_memcmp(tokens->list[i].digest, digest, RD_TOKENS_DIGEST_LEN) & 0xff;
        size_t same = (differs - 1) >> 8 & 1;
        found |= (0 - same) & (i + 1);
    }
    return found != 0 ? &tokens->list[found - 1] : NULL;
}

size_t rd_tokens_count(const struct rd_tokens *tokens)
{
    return tokens->count;
}

/* ---- life ------------------------------------------------------------------------------------------------- */

struct rd_tokens *rd_tokens_ref(struct rd_tokens *tokens)
{
    atomic_fetch_add(&tokens->references, 1);
    return tokens;
}

void rd_tokens_unref(struct rd_tokens *tokens)
{
    if (tokens == NULL || atomic_fetch_sub(&tokens->references, 1) != 1)
        return;
    for (size_t i = 0; i < tokens->count; i++) {
        for (size_t j = 0; j < tokens->list[i].rule_count; j++)
            free(tokens->list[i].rules[j].patterns);
        free(tokens->list[i].rules);
    }
    free(tokens->list);
    free(tokens);
}

/* ---- the file's text -------------------------------------------------------------------------------------- */

/* What is being read, and where. */
struct reading {
    const char *path;
    struct rd_slice text; /* known to be JSON, once there are rows */
    struct rd_tokens *tokens;
    size_t row;
    struct rd_error *error;
};

/* Of the row under way, or of a member in it; jansson does not tell. Members that are written with escapes are not
 * found, and their row stands in. */
static unsigned line_of(const struct reading *reading, const char *key)
{
    struct rd_slice text = reading->text;
    size_t row = 0;
    unsigned line = 1;
    unsigned row_line = 0;
    unsigned depth = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (depth == 1 && row == reading->row && row_line == 0 && c > ' ' && c != ',')
            row_line = line;
        if (c == '\n') {
            line++;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            depth--;
        } else if (c == ',' && depth == 1) {
            row++;
        } else if (c == '"') {
            size_t start = ++i;
            while (i < text.len && text.data[i] != '"')
                i += text.data[i] == '\\' ? 2 : 1;
            size_t after = i + 1;
            while (after < text.len && text.data[after] <= ' ')
                after++;
            bool is_key = depth == 2 && row == reading->row && after < text.len && text.data[after] == ':';
            if (is_key && i - start == strlen(key) && memcmp(text.data + start, key, i - start) == 0)
                return line;
        }
    }
    return row_line;
}

/* False, so that it can be handed on. */
static bool refuse(struct reading *reading, const char *key, const char *fault)
{
    (void)rd_error_set(reading->error, RD_INVALID_ARGUMENT, 0, "%.120s:%u: %.40s%s%s", reading->path,
                       line_of(reading, key), key, key[0] != '\0' ? ": " : "", fault);
    return false;
}

static bool refuse_for_memory(struct reading *reading)
{
    (void)rd_error_set(reading->error, RD_NO_MEMORY, 0, "%.120s: no memory for the tokens", reading->path);
    return false;
}

/* What a mistake on the way to sha256sum leaves; it would let everybody in who shows nothing. */
static bool is_of_nothing(const uint8_t digest[RD_TOKENS_DIGEST_LEN])
{
    static const uint8_t of_nothing[RD_TOKENS_DIGEST_LEN] = {
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
        0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55};
    return memcmp(digest, of_nothing, sizeof of_nothing) == 0;
}

static bool read_digest(struct reading *reading, const json_t *value, uint8_t digest[RD_TOKENS_DIGEST_LEN])
{
    const char *text = json_string_value(value);
    if (text == NULL || json_string_length(value) != (size_t)2 * RD_TOKENS_DIGEST_LEN ||
        !rd_text_hex_decode(rd_slice(text, (size_t)2 * RD_TOKENS_DIGEST_LEN), digest))
        return refuse(reading, "sha256", "must be the token's SHA-256, 64 hexadecimal digits");
    if (is_of_nothing(digest))
        return refuse(reading, "sha256", "is that of an empty token, which anybody has");
    return true;
}

static bool read_pattern(const json_t *value, struct pattern *ret_pattern)
{
    const char *text = json_string_value(value);
    size_t len = text != NULL ? json_string_length(value) : 0;
    bool prefix = len != 0 && text[len - 1] == '*';
    len -= prefix;
    if (text == NULL || len > RD_TEXT_STORE_NAME_LEN_MAX || (len == 0 && !prefix) ||
        (len != 0 && !rd_text_is_store_name(rd_slice(text, len))))
        return false;
    *ret_pattern = (struct pattern){.len = len, .prefix = prefix};
    memcpy(ret_pattern->name, text, len);
    return true;
}

static bool read_stores(struct reading *reading, const json_t *value, struct rule *rule)
{
    static const char form[] = "must be a list of stores' names, of their beginnings with a star, or of \"*\"";
    size_t count = json_array_size(value);
    if (count == 0)
        return refuse(reading, "stores", form);
    rule->patterns = calloc(count, sizeof *rule->patterns);
    if (rule->patterns == NULL)
        return refuse_for_memory(reading);
    rule->pattern_count = count;
    for (size_t i = 0; i < count; i++)
        if (!read_pattern(json_array_get(value, i), &rule->patterns[i]))
            return refuse(reading, "stores", form);
    return true;
}

static bool read_verbs(struct reading *reading, const json_t *value, struct rule *rule)
{
    size_t count = json_array_size(value);
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(value, i));
        size_t known = 0;
        while (known < VERB_COUNT && (text == NULL || strcmp(text, verbs[known].name) != 0))
            known++;
        if (known == VERB_COUNT)
            return refuse(reading, "verbs", "must be a list of \"read\", \"write\" and \"admin\"");
        rule->verbs |= (unsigned)verbs[known].verb;
    }
    return count != 0 || refuse(reading, "verbs", "must be a list of \"read\", \"write\" and \"admin\"");
}

/* The token with that digest, new where there is none. NULL: no memory. The list has room for it. */
static struct rd_token *token_of(struct rd_tokens *tokens, const uint8_t digest[RD_TOKENS_DIGEST_LEN])
{
    size_t i = 0;
    while (i < tokens->count && memcmp(tokens->list[i].digest, digest, RD_TOKENS_DIGEST_LEN) != 0)
        i++;
    struct rd_token *token = &tokens->list[i];
    struct rule *rules = realloc(token->rules, (token->rule_count + 1) * sizeof *rules);
    if (rules == NULL)
        return NULL;
    token->rules = rules;
    memcpy(token->digest, digest, RD_TOKENS_DIGEST_LEN);
    tokens->count += i == tokens->count;
    return token;
}

static bool check_members(struct reading *reading, json_t *row)
{
    const char *key;
    json_t *value;
    if (!json_is_object(row))
        return refuse(reading, "", "must be an object of sha256, stores and verbs");
    json_object_foreach(row, key, value)
    {
        if (strcmp(key, "sha256") != 0 && strcmp(key, "stores") != 0 && strcmp(key, "verbs") != 0)
            return refuse(reading, key, "no such field; there are sha256, stores and verbs");
    }
    return true;
}

static bool read_row(struct reading *reading, json_t *row)
{
    uint8_t digest[RD_TOKENS_DIGEST_LEN];
    struct rule rule = {.verbs = 0};
    if (!check_members(reading, row) || !read_digest(reading, json_object_get(row, "sha256"), digest))
        return false;
    bool good = read_stores(reading, json_object_get(row, "stores"), &rule) &&
                read_verbs(reading, json_object_get(row, "verbs"), &rule);
    if (good) {
        struct rd_token *token = token_of(reading->tokens, digest);
        good = token != NULL || refuse_for_memory(reading);
        if (good)
            token->rules[token->rule_count++] = rule;
    }
    if (!good)
        free(rule.patterns);
    return good;
}

static bool read_rows(struct reading *reading, const json_t *root)
{
    size_t count = json_array_size(root);
    if (!json_is_array(root) || count > RD_TOKENS_COUNT_MAX) {
        (void)rd_error_set(reading->error, RD_INVALID_ARGUMENT, 0,
                           "%.120s:1: must hold one JSON list of at most %u rows", reading->path,
                           RD_TOKENS_COUNT_MAX);
        return false;
    }
    if (count != 0)
        reading->tokens->list = calloc(count, sizeof *reading->tokens->list);
    if (count != 0 && reading->tokens->list == NULL)
        return refuse_for_memory(reading);
    for (reading->row = 0; reading->row < count; reading->row++)
        if (!read_row(reading, json_array_get(root, reading->row)))
            return false;
    return true;
}

enum rd_status rd_tokens_parse(const char *path, struct rd_slice text, struct rd_tokens **ret_tokens,
                               struct rd_error *ret_error)
{
    json_error_t json_error;
    json_t *root =
        json_loadb(text.len != 0 ? (const char *)text.data : "", text.len, JSON_REJECT_DUPLICATES, &json_error);
    if (root == NULL)
        return rd_error_set(ret_error, RD_INVALID_ARGUMENT, 0, "%.120s:%d: %.100s", path, json_error.line,
                            json_error.text);
    struct rd_error error = {.status = RD_OK};
    struct reading reading = {
        .path = path, .text = text, .tokens = calloc(1, sizeof *reading.tokens), .error = &error};
    if (reading.tokens == NULL) {
        json_decref(root);
        refuse_for_memory(&reading);
        *ret_error = error;
        return error.status;
    }
    atomic_init(&reading.tokens->references, 1);
    bool good = read_rows(&reading, root);
    json_decref(root);
    if (good) {
        *ret_tokens = reading.tokens;
        return RD_OK;
    }
    rd_tokens_unref(reading.tokens);
    *ret_error = error;
    return error.status;
}

/* ---- the file --------------------------------------------------------------------------------------------- */

static enum rd_status read_file(const char *path, int fd, struct rd_buffer *text, struct rd_error *ret_error)
{
    struct stat stat;
    if (fstat(fd, &stat) != 0)
        return rd_error_set(ret_error, RD_INVALID_ARGUMENT, errno, "--tokens: cannot read %.120s", path);
    if ((stat.st_mode & (S_IROTH | S_IWOTH)) != 0)
        rd_log(RD_LOG_WARN, "%s: everybody on this machine may read or change who may do what; chmod 600 it",
               path);
    uint8_t chunk[4096];
    ssize_t got;
    while ((got = read(fd, chunk, sizeof chunk)) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return rd_error_set(ret_error, RD_INVALID_ARGUMENT, errno, "--tokens: cannot read %.120s", path);
        rd_buffer_append(text, chunk, (size_t)got);
        if (text->failed)
            return rd_error_set(ret_error, RD_INVALID_ARGUMENT, 0, "--tokens: %.120s is above 1 MiB", path);
    }
    return RD_OK;
}

enum rd_status rd_tokens_load(const char *path, struct rd_tokens **ret_tokens, struct rd_error *ret_error)
{
    int fd = rd_regular_file_open(path);
    if (fd < 0)
        return rd_error_set(ret_error, RD_INVALID_ARGUMENT, errno,
                            errno != 0 ? "--tokens: cannot open %.120s" : "--tokens: %.120s is no regular file",
                            path);
    struct rd_buffer text;
    rd_buffer_init(&text, FILE_LEN_MAX);
    enum rd_status status = read_file(path, fd, &text, ret_error);
    if (status == RD_OK)
        status = rd_tokens_parse(path, rd_buffer_slice(&text), ret_tokens, ret_error);
    rd_buffer_deinit(&text);
    close(fd);
    return status;
}
