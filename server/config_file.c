/* SPDX-License-Identifier: MIT */
#include "server/config_file.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/regular_file.h"
#include "base/text.h"

#define FILE_LEN_MAX (1u << 20)
#define WHERE_SIZE   208

/* A file that is known to be valid JSON. */
struct source {
    const char *path;
    struct rd_slice text; /* borrows */
    const struct rd_config_visitor *visitor;
    struct rd_error *error;
};

/* ---- lines ------------------------------------------------------------------------------------------------ */

/* Whether a string as it stands in the file, quotes included, is this key: escapes may spell it. */
static bool spells(struct rd_slice quoted, const char *key)
{
    json_t *string = json_loadb((const char *)quoted.data, quoted.len, JSON_DECODE_ANY, NULL);
    bool same = json_is_string(string) && strcmp(json_string_value(string), key) == 0;
    json_decref(string);
    return same;
}

/* Behind the string that begins at text.data[at]. */
static size_t skip_string(struct rd_slice text, size_t at)
{
    for (at++; at < text.len && text.data[at] != '"'; at++)
        at += text.data[at] == '\\';
    return at + 1;
}

static bool is_key(struct rd_slice text, size_t after)
{
    while (after < text.len && strchr(" \t\r\n", text.data[after]) != NULL)
        after++;
    return after < text.len && text.data[after] == ':';
}

/* The line of the key that names path[0] -> path[1] -> ... -> path[path_len - 1]; 0: there is none. */
static unsigned line_of(struct rd_slice text, const char *const *path, unsigned path_len)
{
    unsigned line = 1;
    unsigned depth = 0;
    unsigned matched = 0; /* so many names of the path lead to where we are */
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        line += c == '\n';
        depth += c == '{' || c == '[';
        depth -= c == '}' || c == ']';
        if (c != '"')
            continue;
        size_t after = skip_string(text, i);
        if (is_key(text, after)) {
            if (depth <= matched)
                matched = depth - 1;
            if (depth == matched + 1 && spells(rd_slice(text.data + i, after - i), path[matched]) &&
                ++matched == path_len)
                return line;
        }
        i = after - 1;
    }
    return 0;
}

/* ---- members ---------------------------------------------------------------------------------------------- */

static bool refuse(struct source *source, const char *where, const char *message)
{
    (void)rd_error_set(source->error, RD_INVALID_ARGUMENT, 0, "%s: %s", where, message);
    return false;
}

/* "FILE:LINE: a.b.c" of the member at path. */
static unsigned find_place(const struct source *source, const char *const *path, unsigned path_len,
                           char where[WHERE_SIZE])
{
    unsigned line = line_of(source->text, path, path_len);
    size_t len = (size_t)snprintf(where, WHERE_SIZE, "%.110s:%u: ", source->path, line);
    for (unsigned i = 0; i < path_len && len < WHERE_SIZE; i++)
        len += (size_t)snprintf(where + len, WHERE_SIZE - len, "%s%.40s", i == 0 ? "" : ".", path[i]);
    return line;
}

/* The member of that key with its value as text, where it has one; digits: room for a number's. */
static struct rd_config_member describe(const char *key, const json_t *value, char digits[32])
{
    struct rd_config_member member = {.key = key, .is_boolean = json_is_boolean(value)};
    if (json_is_string(value)) {
        member.text = json_string_value(value);
    } else if (member.is_boolean) {
        member.text = json_is_true(value) ? "true" : "false";
    } else if (json_is_integer(value)) {
        snprintf(digits, 32, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        member.text = digits;
    }
    return member;
}

static bool visit_option(struct source *source, const char *key, const json_t *value)
{
    char digits[32];
    char where[WHERE_SIZE];
    struct rd_config_member member = describe(key, value, digits);
    member.line = find_place(source, &key, 1, where);
    member.where = where;
    return source->visitor->option(source->visitor->context, &member, source->error);
}

/* The place is looked for where something is wrong with it alone: for each setting of many stores the search would
 * take as long as they are many. */
static bool visit_store_setting(struct source *source, const char *store, const char *key, json_t *value)
{
    struct rd_error why = {.message = "no memory"};
    char where[WHERE_SIZE];
    json_t *alone = json_pack("{sO}", key, value);
    char *json = alone != NULL ? json_dumps(alone, JSON_COMPACT) : NULL;
    json_decref(alone);
    bool good = json != NULL &&
                source->visitor->store_setting(source->visitor->context, store, rd_slice_of_string(json), &why);
    free(json);
    if (good)
        return true;
    find_place(source, (const char *const[]){RD_CONFIG_STORES_KEY, store, key}, 3, where);
    return refuse(source, where, why.message);
}

static bool visit_store(struct source *source, const char *store, json_t *settings)
{
    char where[WHERE_SIZE];
    if (!rd_text_is_store_name(rd_slice_of_string(store))) {
        find_place(source, (const char *const[]){RD_CONFIG_STORES_KEY, store}, 2, where);
        return refuse(source, where, "a store's name is [A-Za-z0-9._-]{1,64}, no leading dot");
    }
    if (!json_is_object(settings)) {
        find_place(source, (const char *const[]){RD_CONFIG_STORES_KEY, store}, 2, where);
        return refuse(source, where, "must be an object of a store's settings");
    }
    bool good = true;
    const char *key;
    json_t *value;
    json_object_foreach(settings, key, value)
    {
        good = good && visit_store_setting(source, store, key, value);
    }
    return good;
}

static bool visit_stores(struct source *source, json_t *stores)
{
    char where[WHERE_SIZE];
    if (!json_is_object(stores)) {
        find_place(source, (const char *const[]){RD_CONFIG_STORES_KEY}, 1, where);
        return refuse(source, where, "must be an object whose names are those of stores");
    }
    bool good = true;
    const char *name;
    json_t *settings;
    json_object_foreach(stores, name, settings)
    {
        good = good && visit_store(source, name, settings);
    }
    return good;
}

static bool visit(struct source *source)
{
    json_error_t json_error;
    const char *text = source->text.len != 0 ? (const char *)source->text.data : "";
    json_t *root = json_loadb(text, source->text.len, JSON_REJECT_DUPLICATES, &json_error);
    if (root == NULL) {
        (void)rd_error_set(source->error, RD_INVALID_ARGUMENT, 0, "%.110s:%d: %.120s", source->path,
                           json_error.line, json_error.text);
        return false;
    }
    bool good = json_is_object(root);
    if (!good)
        (void)rd_error_set(source->error, RD_INVALID_ARGUMENT, 0, "%.110s:1: must hold one JSON object",
                           source->path);
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value)
    {
        if (good && strcmp(key, RD_CONFIG_STORES_KEY) == 0)
            good = visit_stores(source, value);
        else if (good)
            good = visit_option(source, key, value);
    }
    json_decref(root);
    return good;
}

/* ---- the file --------------------------------------------------------------------------------------------- */

bool rd_config_file_read(const char *path, const struct rd_config_visitor *visitor, struct rd_error *error)
{
    struct rd_buffer text;
    rd_buffer_init(&text, FILE_LEN_MAX);
    bool good = false;
    FILE *file = NULL;
    int fd = rd_regular_file_open(path);
    if (fd < 0 || (file = fdopen(fd, "r")) == NULL) {
        (void)rd_error_set(error, RD_INVALID_ARGUMENT, errno,
                           errno != 0 ? "--config: cannot open %.150s" : "--config: %.150s is no regular file",
                           path);
        if (fd >= 0)
            close(fd);
        goto done;
    }
    char chunk[4096];
    size_t len;
    while ((len = fread(chunk, 1, sizeof chunk, file)) != 0 && !text.failed)
        rd_buffer_append(&text, chunk, len);
    if (ferror(file) || text.failed) {
        (void)rd_error_set(error, RD_INVALID_ARGUMENT, 0, "--config: cannot read %.150s, or it is above 1 MiB",
                           path);
        goto done;
    }
    struct source source = {.path = path, .text = rd_buffer_slice(&text), .visitor = visitor, .error = error};
    good = visit(&source);
done:
    if (file != NULL)
        fclose(file);
    rd_buffer_deinit(&text);
    return good;
}
