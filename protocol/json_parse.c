/* SPDX-License-Identifier: MIT
 *
 * json_parse.c - JSON bodies to requests. */
#include "protocol/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/text.h"

#define DEPTH_MAX 3u /* {"entries":[{ is as deep as it gets */

/* What jansson takes, above what it is asked for: an object with its table of eight buckets and its pairs' list; a
 * pair of such a table with what it points to, or an array's element, and the item that it becomes. */
#define OBJECT_COST 272u
#define NODE_COST   (176u + sizeof(struct rd_message_item))

struct parse {
    const struct rd_limits *limits; /* borrows */
    struct rd_request *request;     /* borrows; gets the message */
    const char *list_name;          /* "entries" or "keys"; NULL: the body is no list */
    size_t index;                   /* of the item under way */
    struct rd_message_item *items;  /* owned until it is the request's */
    bool in_place;        /* the text is the end of the request's body, and what it says takes its place */
    uint8_t *bytes;       /* owned until it is the request's body; in place, that body */
    size_t bytes_len;     /* used */
    size_t bytes_len_max; /* allocated: no text decodes to more bytes than it has */
};

struct rd_json_deferred {
    struct rd_slice text; /* the end of the request's body */
    struct rd_limits limits;
};

static enum rd_status fail(struct parse *parse, enum rd_status status, const char *format, ...) RD_PRINTF(3, 4);
static enum rd_status fail(struct parse *parse, enum rd_status status, const char *format, ...)
{
    struct rd_request *request = parse->request;
    va_list args;
    va_start(args, format);
    vsnprintf(request->detail, sizeof request->detail, format, args);
    va_end(args);
    request->message = request->detail;
    request->status = status;
    return status;
}

static enum rd_status fail_item(struct parse *parse, enum rd_status status, const char *what, const char *field)
{
    if (parse->list_name == NULL)
        return fail(parse, status, "%s%.60s", what, field);
    return fail(parse, status, "%s[%zu]: %s%.60s", parse->list_name, parse->index, what, field);
}

/* What a text is made of. */
struct shape {
    uint64_t comma_count;
    uint64_t open_count; /* of objects and arrays */
    size_t longest;      /* bytes of the longest string */
};

/* The first quote from that byte on which no backslash takes for its own, or the text's end. */
static size_t end_of_string(struct rd_slice text, size_t at)
{
    while (at < text.len && text.data[at] != '"')
        at += text.data[at] == '\\' ? 2 : 1;
    return at < text.len ? at : text.len;
}

/* A tree takes many times the memory of a text like [[],[],[]; so what cannot be a batch is refused before there
 * is one. Only counts: whether the text is JSON is for jansson to say. */
static enum rd_status check_shape(struct parse *parse, struct rd_slice text, struct shape *ret_shape)
{
    uint64_t items_max = parse->list_name == NULL ? 0 : parse->limits->batch_count_max;
    uint64_t commas_max = 4 * items_max + 16;
    struct shape shape = {.longest = 0};
    unsigned depth = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c == '"') {
            size_t end = end_of_string(text, i + 1);
            shape.longest = end - i > shape.longest ? end - i : shape.longest;
            i = end;
        } else if (c == '{' || c == '[') {
            shape.open_count++;
            if (++depth > DEPTH_MAX)
                return fail(parse, RD_INVALID_ARGUMENT, "the JSON is nested too deeply");
        } else if (c == '}' || c == ']') {
            depth -= depth > 0;
        } else if (c == ',' && ++shape.comma_count > commas_max) {
            if (parse->list_name == NULL)
                return fail(parse, RD_INVALID_ARGUMENT, "the JSON has too many fields");
            return fail(parse, RD_TOO_LARGE, "more than %u %s", parse->limits->batch_count_max, parse->list_name);
        }
    }
    *ret_shape = shape;
    return RD_OK;
}

static enum rd_status copy_text(struct parse *parse, const char *field, const json_t *value,
                                struct rd_slice *ret_bytes)
{
    size_t len = json_string_length(value);
    uint8_t *to = parse->bytes + parse->bytes_len;
    if (len > parse->bytes_len_max - parse->bytes_len)
        return fail_item(parse, RD_NO_MEMORY, "does not fit: ", field);
    memcpy(to, json_string_value(value), len);
    parse->bytes_len += len;
    *ret_bytes = rd_slice(to, len);
    return RD_OK;
}

static enum rd_status copy_base64(struct parse *parse, const char *field, const json_t *value,
                                  struct rd_slice *ret_bytes)
{
    struct rd_slice text = rd_slice(json_string_value(value), json_string_length(value));
    uint8_t *to = parse->bytes + parse->bytes_len;
    size_t len = 0;
    if (text.len > parse->bytes_len_max - parse->bytes_len)
        return fail_item(parse, RD_NO_MEMORY, "does not fit: ", field);
    if (!rd_text_base64_decode(text, to, &len))
        return fail_item(parse, RD_INVALID_ARGUMENT, "not padded base64: ", field);
    parse->bytes_len += len;
    *ret_bytes = rd_slice(to, len);
    return RD_OK;
}

static enum rd_status take_text(struct parse *parse, const char *field, const json_t *value, bool base64,
                                struct rd_slice *ret_bytes)
{
    if (!json_is_string(value))
        return fail_item(parse, RD_INVALID_ARGUMENT, "not a string: ", field);
    return base64 ? copy_base64(parse, field, value, ret_bytes) : copy_text(parse, field, value, ret_bytes);
}

static enum rd_status take_key(struct parse *parse, const char *field, const json_t *value, bool base64,
                               struct rd_message_key *ret_key)
{
    struct rd_slice bytes;
    enum rd_status status = take_text(parse, field, value, base64, &bytes);
    if (status != RD_OK)
        return status;
    if (bytes.len > parse->limits->key_len_max) {
        char what[64];
        snprintf(what, sizeof what, "the key is longer than %u bytes", parse->limits->key_len_max);
        return fail_item(parse, RD_TOO_LARGE, what, "");
    }
    *ret_key = (struct rd_message_key){.bytes = bytes};
    return RD_OK;
}

static enum rd_status take_hash(struct parse *parse, const char *field, const json_t *value,
                                struct rd_message_key *ret_key)
{
    uint64_t hash;
    if (!json_is_string(value) ||
        !rd_text_parse_hash(rd_slice(json_string_value(value), json_string_length(value)), &hash))
        return fail_item(parse, RD_INVALID_ARGUMENT, "not 16 hex digits: ", field);
    *ret_key = (struct rd_message_key){.hash = hash};
    return RD_OK;
}

/* One field of an item; counts what it is, so that two forms of one thing are noticed. */
static enum rd_status take_field(struct parse *parse, const char *field, const json_t *value, bool with_value,
                                 unsigned *key_count, unsigned *value_count, struct rd_message_item *item)
{
    bool key = strcmp(field, "key") == 0;
    if (key || strcmp(field, "key_base64") == 0) {
        *key_count += 1;
        return take_key(parse, field, value, !key, &item->key);
    }
    if (strcmp(field, "key_hash") == 0) {
        *key_count += 1;
        return take_hash(parse, field, value, &item->key);
    }
    bool text = strcmp(field, "value") == 0;
    if (with_value && (text || strcmp(field, "value_base64") == 0)) {
        *value_count += 1;
        return take_text(parse, field, value, !text, &item->value);
    }
    return fail_item(parse, RD_INVALID_ARGUMENT, "unknown field: ", field);
}

static enum rd_status take_item(struct parse *parse, json_t *source, bool with_value, struct rd_message_item *item)
{
    unsigned key_count = 0;
    unsigned value_count = with_value ? 0 : 1;
    if (!with_value && json_is_string(source))
        return take_key(parse, "key", source, false, &item->key);
    if (!json_is_object(source))
        return fail_item(parse, RD_INVALID_ARGUMENT, with_value ? "not an object" : "neither string nor object",
                         "");
    for (void *at = json_object_iter(source); at != NULL; at = json_object_iter_next(source, at)) {
        enum rd_status status = take_field(parse, json_object_iter_key(at), json_object_iter_value(at), with_value,
                                           &key_count, &value_count, item);
        if (status != RD_OK)
            return status;
    }
    if (key_count != 1)
        return fail_item(parse, RD_INVALID_ARGUMENT, "needs one of key, key_base64, key_hash", "");
    if (value_count != 1)
        return fail_item(parse, RD_INVALID_ARGUMENT, "needs one of value, value_base64", "");
    return RD_OK;
}

static enum rd_status take_items(struct parse *parse, const json_t *list, bool with_value)
{
    size_t count = json_array_size(list);
    if (count > parse->limits->batch_count_max)
        return fail(parse, RD_TOO_LARGE, "more than %u %s", parse->limits->batch_count_max, parse->list_name);
    parse->items = calloc(count == 0 ? 1 : count, sizeof *parse->items);
    if (parse->items == NULL)
        return fail(parse, RD_NO_MEMORY, "no memory for the batch");
    for (parse->index = 0; parse->index < count; parse->index++) {
        enum rd_status status =
            take_item(parse, json_array_get(list, parse->index), with_value, &parse->items[parse->index]);
        if (status != RD_OK)
            return status;
    }
    return RD_OK;
}

/* The fields of the whole: the list, and allow_null_bytes with a batch of values. */
static enum rd_status take_root(struct parse *parse, json_t *root, bool with_value, bool *ret_allow,
                                const json_t **ret_list)
{
    const json_t *list = NULL;
    bool allow = false;
    if (!json_is_object(root))
        return fail(parse, RD_INVALID_ARGUMENT, "the body must be a JSON object");
    for (void *at = json_object_iter(root); at != NULL; at = json_object_iter_next(root, at)) {
        const char *field = json_object_iter_key(at);
        const json_t *value = json_object_iter_value(at);
        if (strcmp(field, parse->list_name) == 0) {
            list = value;
        } else if (with_value && strcmp(field, "allow_null_bytes") == 0) {
            if (!json_is_boolean(value))
                return fail(parse, RD_INVALID_ARGUMENT, "allow_null_bytes must be true or false");
            allow = json_is_true(value);
        } else {
            return fail(parse, RD_INVALID_ARGUMENT, "unknown field: %.60s", field);
        }
    }
    if (!json_is_array(list))
        return fail(parse, RD_INVALID_ARGUMENT, "%s must be given, as an array", parse->list_name);
    *ret_allow = allow;
    *ret_list = list;
    return RD_OK;
}

/* What the head has said of the request: it moves with the body. */
static size_t head_len(const struct rd_request *request)
{
    return request->store.len + request->token.len;
}

/* Makes the bytes the request's body, into which the store's name and the token move. */
static void hand_over_bytes(struct parse *parse)
{
    struct rd_request *request = parse->request;
    if (parse->in_place)
        return;
    if (request->store.len != 0)
        memcpy(parse->bytes, request->store.data, request->store.len);
    if (request->token.len != 0)
        memcpy(parse->bytes + request->store.len, request->token.data, request->token.len);
    rd_request_set_body(request, parse->bytes, parse->bytes_len_max);
    request->store.data = parse->bytes;
    request->token.data = parse->bytes + request->store.len;
    parse->bytes = NULL;
}

static void hand_over(struct parse *parse, size_t count, bool allow_null_bytes)
{
    struct rd_request *request = parse->request;
    hand_over_bytes(parse);
    free(request->items);
    request->items = parse->items;
    request->item_count = count;
    request->allow_null_bytes = allow_null_bytes;
    parse->items = NULL;
}

/* The tree has a copy of every string, so that the text is not needed any more and they may lie in its place. */
static bool take_place(struct parse *parse, struct rd_slice text)
{
    struct rd_request *request = parse->request;
    parse->in_place = request->body != NULL && text.len <= request->body_len &&
                      text.data == request->body + (request->body_len - text.len);
    parse->bytes_len = parse->in_place ? request->body_len - text.len : head_len(request);
    parse->bytes_len_max = parse->bytes_len + text.len;
    parse->bytes = parse->in_place ? request->body : malloc(parse->bytes_len_max);
    return parse->bytes != NULL;
}

static void release(struct parse *parse, json_t *root)
{
    free(parse->items);
    if (!parse->in_place)
        free(parse->bytes);
    json_decref(root);
}

/* Makes room for the bytes and a tree of the text; *ret_root is to be released. */
static enum rd_status load(struct parse *parse, struct rd_slice text, json_t **ret_root)
{
    json_error_t error;
    struct shape shape;
    enum rd_status status = parse->request->deferred != NULL ? RD_OK : check_shape(parse, text, &shape);
    if (status != RD_OK)
        return status;
    if (text.len == 0)
        return fail(parse, RD_INVALID_ARGUMENT, "the body is empty, JSON is needed");
    json_t *root = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (root == NULL && error.text[0] == '\0') /* of whatever else is wrong jansson says what it is */
        return fail(parse, RD_NO_MEMORY, "no memory for the body");
    if (root == NULL)
        return fail(parse, RD_INVALID_ARGUMENT, "JSON, line %d, column %d: %.80s", error.line, error.column,
                    error.text);
    if (!take_place(parse, text)) {
        json_decref(root);
        return fail(parse, RD_NO_MEMORY, "no memory for the body");
    }
    *ret_root = root;
    return RD_OK;
}

static enum rd_status parse_batch(struct rd_slice text, const struct rd_limits *limits, const char *list_name,
                                  bool with_value, struct rd_request *request)
{
    struct parse parse = {.limits = limits, .request = request, .list_name = list_name};
    json_t *root = NULL;
    const json_t *list = NULL;
    bool allow_null_bytes = false;
    enum rd_status status = load(&parse, text, &root);
    if (status == RD_OK)
        status = take_root(&parse, root, with_value, &allow_null_bytes, &list);
    if (status == RD_OK)
        status = take_items(&parse, list, with_value);
    if (status == RD_OK)
        hand_over(&parse, json_array_size(list), allow_null_bytes);
    release(&parse, root);
    return status;
}

/* ---- rename, copy, transfer -------------------------------------------------------------------------------- */

/* A key that an object names in one of three forms. */
struct named_key {
    const char *name; /* of the field; _base64 or _hash may follow */
    unsigned count;   /* how many of the forms were there */
    struct rd_message_key key;
};

/* *ret_taken: the field was a form of this key. */
static enum rd_status take_named_key(struct parse *parse, const char *field, const json_t *value,
                                     struct named_key *named, bool *ret_taken)
{
    size_t name_len = strlen(named->name);
    const char *form = strncmp(field, named->name, name_len) == 0 ? field + name_len : "?";
    bool hash = strcmp(form, "_hash") == 0;
    bool base64 = strcmp(form, "_base64") == 0;
    *ret_taken = hash || base64 || form[0] == '\0';
    if (!*ret_taken)
        return RD_OK;
    named->count++;
    return hash ? take_hash(parse, field, value, &named->key) : take_key(parse, field, value, base64, &named->key);
}

static enum rd_status check_named_key(struct parse *parse, const struct named_key *named)
{
    if (named->count == 1)
        return RD_OK;
    return fail(parse, RD_INVALID_ARGUMENT, "needs one of %s, %s_base64, %s_hash", named->name, named->name,
                named->name);
}

/* target_store NULL: both keys are named; else the first one and, as "target", a store. */
static enum rd_status take_move(struct parse *parse, json_t *root, struct named_key keys[2],
                                struct rd_slice *target_store)
{
    if (!json_is_object(root))
        return fail(parse, RD_INVALID_ARGUMENT, "the body must be a JSON object");
    for (void *at = json_object_iter(root); at != NULL; at = json_object_iter_next(root, at)) {
        const char *field = json_object_iter_key(at);
        const json_t *value = json_object_iter_value(at);
        bool taken = false;
        enum rd_status status = take_named_key(parse, field, value, &keys[0], &taken);
        if (!taken && target_store == NULL)
            status = take_named_key(parse, field, value, &keys[1], &taken);
        if (!taken && target_store != NULL && strcmp(field, "target") == 0) {
            taken = true;
            status = take_text(parse, field, value, false, target_store);
        }
        if (status != RD_OK)
            return status;
        if (!taken)
            return fail(parse, RD_INVALID_ARGUMENT, "unknown field: %.60s", field);
    }
    enum rd_status status = check_named_key(parse, &keys[0]);
    if (status == RD_OK && target_store == NULL)
        status = check_named_key(parse, &keys[1]);
    if (status == RD_OK && target_store != NULL && target_store->len == 0)
        status = fail(parse, RD_INVALID_ARGUMENT, "target must be given: the store to write to");
    return status;
}

enum rd_status rd_json_parse_rename(struct rd_slice text, const struct rd_limits *limits,
                                    struct rd_request *request)
{
    struct parse parse = {.limits = limits, .request = request};
    struct named_key keys[2] = {{.name = "from"}, {.name = "to"}};
    json_t *root = NULL;
    enum rd_status status = load(&parse, text, &root);
    if (status == RD_OK)
        status = take_move(&parse, root, keys, NULL);
    if (status == RD_OK) {
        hand_over_bytes(&parse);
        request->key = keys[0].key;
        request->target_key = keys[1].key;
    }
    release(&parse, root);
    return status;
}

enum rd_status rd_json_parse_copy(struct rd_slice text, const struct rd_limits *limits, struct rd_request *request)
{
    struct parse parse = {.limits = limits, .request = request};
    struct named_key keys[2] = {{.name = "key"}, {.name = ""}};
    struct rd_slice target_store = {0};
    json_t *root = NULL;
    enum rd_status status = load(&parse, text, &root);
    if (status == RD_OK)
        status = take_move(&parse, root, keys, &target_store);
    if (status == RD_OK) {
        hand_over_bytes(&parse);
        request->key = keys[0].key;
        request->target_store = target_store;
    }
    release(&parse, root);
    return status;
}

/* ---- batches ----------------------------------------------------------------------------------------------- */

enum rd_status rd_json_parse_batch_write(struct rd_slice text, const struct rd_limits *limits,
                                         struct rd_request *request)
{
    return parse_batch(text, limits, "entries", true, request);
}

enum rd_status rd_json_parse_batch_read(struct rd_slice text, const struct rd_limits *limits,
                                        struct rd_request *request)
{
    return parse_batch(text, limits, "keys", false, request);
}

enum rd_status rd_json_parse_batch_delete(struct rd_slice text, const struct rd_limits *limits,
                                          struct rd_request *request)
{
    return parse_batch(text, limits, "keys", false, request);
}

/* ---- whichever it is, now or later ------------------------------------------------------------------------- */

static const char *list_name_of(enum rd_opcode opcode)
{
    if (opcode == RD_OPCODE_BATCH_WRITE)
        return "entries";
    return opcode == RD_OPCODE_BATCH_READ || opcode == RD_OPCODE_BATCH_DELETE ? "keys" : NULL;
}

enum rd_status rd_json_parse(struct rd_slice text, const struct rd_limits *limits, struct rd_request *request)
{
    switch (request->opcode) {
    case RD_OPCODE_BATCH_WRITE:
        return rd_json_parse_batch_write(text, limits, request);
    case RD_OPCODE_BATCH_READ:
        return rd_json_parse_batch_read(text, limits, request);
    case RD_OPCODE_BATCH_DELETE:
        return rd_json_parse_batch_delete(text, limits, request);
    case RD_OPCODE_RENAME:
        return rd_json_parse_rename(text, limits, request);
    default:
        return rd_json_parse_copy(text, limits, request);
    }
}

enum rd_status rd_json_defer(struct rd_slice text, const struct rd_limits *limits, struct rd_request *request)
{
    struct parse parse = {.request = request};
    request->deferred = malloc(sizeof *request->deferred);
    if (request->deferred == NULL)
        return fail(&parse, RD_NO_MEMORY, "no memory for the body");
    *request->deferred = (struct rd_json_deferred){.text = text, .limits = *limits};
    return RD_OK;
}

enum rd_status rd_json_measure(struct rd_request *request, uint64_t *ret_bytes)
{
    const struct rd_json_deferred *deferred = request->deferred;
    struct parse parse = {
        .limits = &deferred->limits, .request = request, .list_name = list_name_of(request->opcode)};
    struct shape shape;
    enum rd_status status = check_shape(&parse, deferred->text, &shape);
    if (status != RD_OK)
        return status;
    /* The longest string is in a buffer beside, which doubles as it grows. */
    uint64_t strings_len = deferred->text.len + 2 * (uint64_t)shape.longest;
    *ret_bytes = strings_len + shape.open_count * OBJECT_COST + (shape.comma_count + shape.open_count) * NODE_COST;
    return RD_OK;
}

void rd_json_parse_deferred(struct rd_request *request)
{
    struct rd_json_deferred *deferred = request->deferred;
    request->status = rd_json_parse(deferred->text, &deferred->limits, request);
    request->deferred = NULL;
    free(deferred);
}

void rd_json_init(void)
{
    json_object_seed(0);
}
