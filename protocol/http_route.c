/* SPDX-License-Identifier: MIT */
#include "protocol/http_route.h"

#include "base/text.h"

enum resource {
    RESOURCE_NONE,
    RESOURCE_HEALTH,
    RESOURCE_READY,
    RESOURCE_METRICS,
    RESOURCE_PAGE,
    RESOURCE_STORES,
    RESOURCE_STORE,
    RESOURCE_KEY,
    RESOURCE_HASH,
    RESOURCE_BATCH_WRITE,
    RESOURCE_BATCH_READ,
    RESOURCE_BATCH_DELETE,
    RESOURCE_RENAME,
    RESOURCE_COPY,
    RESOURCE_TRANSFER,
    RESOURCE_LAST,
    RESOURCE_ENTRIES,
    RESOURCE_VERIFY,
    RESOURCE_REOPEN,
    RESOURCE_COMPACT,
    RESOURCE_BACKUP
};

/* Query parameters, by their row in `parameters`. */
enum {
    PARAMETER_DURABILITY = 1u << 0,
    PARAMETER_CONFIRM = 1u << 1,
    PARAMETER_AFTER = 1u << 2,
    PARAMETER_LIMIT = 1u << 3,
    PARAMETER_FROM = 1u << 4,
    PARAMETER_BYTES_MAX = 1u << 5,
    PARAMETER_BACKUP_FROM = 1u << 6,
    PARAMETER_GENERATION = 1u << 7,
    PARAMETER_STORE = 1u << 8
};

/* HEAD is answered wherever GET is: by a row of its own that stands before that of GET, or else by that. */
static const struct {
    enum resource resource;
    enum rd_http_method method;
    enum rd_opcode opcode;
    unsigned parameters; /* that it takes */
} operations[] = {
    {RESOURCE_HEALTH, RD_HTTP_GET, RD_OPCODE_HEALTH, 0},
    {RESOURCE_READY, RD_HTTP_GET, RD_OPCODE_READY, PARAMETER_STORE},
    {RESOURCE_METRICS, RD_HTTP_GET, RD_OPCODE_METRICS, 0},
    {RESOURCE_PAGE, RD_HTTP_GET, RD_OPCODE_PAGE, 0},
    {RESOURCE_STORES, RD_HTTP_GET, RD_OPCODE_STORES, 0},
    {RESOURCE_STORE, RD_HTTP_GET, RD_OPCODE_INFO, 0},
    {RESOURCE_STORE, RD_HTTP_PUT, RD_OPCODE_CREATE, 0},
    {RESOURCE_STORE, RD_HTTP_DELETE, RD_OPCODE_DROP, PARAMETER_CONFIRM},
    {RESOURCE_KEY, RD_HTTP_HEAD, RD_OPCODE_METADATA, 0},
    {RESOURCE_KEY, RD_HTTP_GET, RD_OPCODE_READ, 0},
    {RESOURCE_KEY, RD_HTTP_PUT, RD_OPCODE_WRITE, PARAMETER_DURABILITY},
    {RESOURCE_KEY, RD_HTTP_DELETE, RD_OPCODE_DELETE, PARAMETER_DURABILITY},
    {RESOURCE_HASH, RD_HTTP_HEAD, RD_OPCODE_METADATA, 0},
    {RESOURCE_HASH, RD_HTTP_GET, RD_OPCODE_READ, 0},
    {RESOURCE_HASH, RD_HTTP_PUT, RD_OPCODE_WRITE, PARAMETER_DURABILITY},
    {RESOURCE_HASH, RD_HTTP_DELETE, RD_OPCODE_DELETE, PARAMETER_DURABILITY},
    {RESOURCE_BATCH_WRITE, RD_HTTP_POST, RD_OPCODE_BATCH_WRITE, PARAMETER_DURABILITY},
    {RESOURCE_BATCH_READ, RD_HTTP_POST, RD_OPCODE_BATCH_READ, 0},
    {RESOURCE_BATCH_DELETE, RD_HTTP_POST, RD_OPCODE_BATCH_DELETE, PARAMETER_DURABILITY},
    {RESOURCE_RENAME, RD_HTTP_POST, RD_OPCODE_RENAME, PARAMETER_DURABILITY},
    {RESOURCE_COPY, RD_HTTP_POST, RD_OPCODE_COPY, 0},
    {RESOURCE_TRANSFER, RD_HTTP_POST, RD_OPCODE_TRANSFER, 0},
    {RESOURCE_LAST, RD_HTTP_GET, RD_OPCODE_LAST, 0},
    {RESOURCE_ENTRIES, RD_HTTP_GET, RD_OPCODE_ITERATE, PARAMETER_AFTER | PARAMETER_LIMIT},
    {RESOURCE_VERIFY, RD_HTTP_POST, RD_OPCODE_VERIFY, PARAMETER_FROM | PARAMETER_BYTES_MAX},
    {RESOURCE_REOPEN, RD_HTTP_POST, RD_OPCODE_REOPEN, 0},
    {RESOURCE_COMPACT, RD_HTTP_POST, RD_OPCODE_COMPACT, 0},
    {RESOURCE_BACKUP, RD_HTTP_GET, RD_OPCODE_BACKUP, PARAMETER_BACKUP_FROM | PARAMETER_GENERATION},
};
#define OPERATION_COUNT (sizeof operations / sizeof operations[0])

struct place {
    const char *path; /* as a whole */
    enum resource resource;
};

static const struct place roots[] = {
    {"/", RESOURCE_PAGE},           {"/healthz", RESOURCE_HEALTH},   {"/readyz", RESOURCE_READY},
    {"/metrics", RESOURCE_METRICS}, {"/v1/stores", RESOURCE_STORES},
};

/* What may follow /v1/stores/{store}. */
static const struct place leaves[] = {
    {"/batch/write", RESOURCE_BATCH_WRITE},
    {"/batch/read", RESOURCE_BATCH_READ},
    {"/batch/delete", RESOURCE_BATCH_DELETE},
    {"/last", RESOURCE_LAST},
    {"/entries", RESOURCE_ENTRIES},
    {"/rename", RESOURCE_RENAME},
    {"/copy", RESOURCE_COPY},
    {"/transfer", RESOURCE_TRANSFER},
    {"/verify", RESOURCE_VERIFY},
    {"/reopen", RESOURCE_REOPEN},
    {"/compact", RESOURCE_COMPACT},
    {"/backup", RESOURCE_BACKUP},
};

static bool skip(struct rd_slice *text, const char *prefix)
{
    size_t len = strlen(prefix);
    if (text->len < len || memcmp(text->data, prefix, len) != 0)
        return false;
    rd_slice_take(text, len);
    return true;
}

/* Takes up to `end` (which stays) or all of it. */
static struct rd_slice take_until(struct rd_slice *text, char end)
{
    const uint8_t *found = text->len == 0 ? NULL : memchr(text->data, end, text->len);
    return rd_slice_take(text, found == NULL ? text->len : (size_t)(found - text->data));
}

static enum resource find_place(const struct place *places, size_t count, struct rd_slice path)
{
    for (size_t i = 0; i < count; i++)
        if (rd_slice_equal(path, rd_slice_of_string(places[i].path)))
            return places[i].resource;
    return RESOURCE_NONE;
}

static enum resource split_path(struct rd_slice path, struct rd_slice *ret_store, struct rd_slice *ret_key)
{
    if (!skip(&path, "/v1/stores/"))
        return find_place(roots, sizeof roots / sizeof roots[0], path);
    *ret_store = take_until(&path, '/');
    if (ret_store->len == 0)
        return RESOURCE_NONE;
    if (path.len == 0)
        return RESOURCE_STORE;
    bool by_key = skip(&path, "/keys/");
    if (by_key || skip(&path, "/hashes/")) {
        *ret_key = path;
        return by_key ? RESOURCE_KEY : RESOURCE_HASH;
    }
    return find_place(leaves, sizeof leaves / sizeof leaves[0], path);
}

/* ---- percent-encoding -------------------------------------------------------------------------------------- */

static bool check_text(struct rd_slice raw, struct rd_http_text *ret_text, struct rd_http_problem *problem)
{
    uint8_t byte;
    size_t len = 0;
    for (size_t i = 0; i < raw.len; i++, len++) {
        if (raw.data[i] != '%')
            continue;
        if (raw.len - i < 3 || !rd_text_hex_decode(rd_slice(raw.data + i + 1, 2), &byte))
            return rd_http_problem_set(problem, RD_INVALID_ARGUMENT, "a %% that two hex digits do not follow");
        i += 2;
    }
    *ret_text = (struct rd_http_text){.raw = raw, .len = len};
    return true;
}

uint8_t *rd_http_text_decode(struct rd_http_text text, uint8_t *to)
{
    for (size_t i = 0; i < text.raw.len; i++) {
        *to = text.raw.data[i];
        if (*to == '%') {
            rd_text_hex_decode(rd_slice(text.raw.data + i + 1, 2), to);
            i += 2;
        }
        to++;
    }
    return to;
}

/* ---- query ------------------------------------------------------------------------------------------------- */

static bool take_durability(struct rd_slice value, struct rd_http_route *route, struct rd_http_problem *problem)
{
    if (rd_slice_equal(value, rd_slice_of_string("sync")))
        route->durability = RD_MESSAGE_DURABILITY_SYNC;
    else if (rd_slice_equal(value, rd_slice_of_string("none")))
        route->durability = RD_MESSAGE_DURABILITY_NONE;
    else
        return rd_http_problem_set(problem, RD_INVALID_ARGUMENT, "durability must be none or sync");
    return true;
}

static bool take_confirm(struct rd_slice value, struct rd_http_route *route, struct rd_http_problem *problem)
{
    return check_text(value, &route->confirm, problem);
}

static bool take_after(struct rd_slice value, struct rd_http_route *route, struct rd_http_problem *problem)
{
    if (!rd_text_parse_u64(value, &route->after_offset))
        return rd_http_problem_set(problem, RD_INVALID_ARGUMENT, "after must be an offset");
    return true;
}

static bool take_limit(struct rd_slice value, struct rd_http_route *route, struct rd_http_problem *problem)
{
    uint64_t limit;
    if (!rd_text_parse_u64(value, &limit) || limit == 0 || limit > UINT32_MAX)
        return rd_http_problem_set(problem, RD_INVALID_ARGUMENT, "limit must be a number from 1");
    route->limit = (uint32_t)limit;
    return true;
}

static bool take_from(struct rd_slice value, struct rd_http_route *route, struct rd_http_problem *problem)
{
    route->in_steps = true;
    if (!rd_text_parse_u64(value, &route->verify_from))
        return rd_http_problem_set(problem, RD_INVALID_ARGUMENT, "from must be 0 or the next of an answer");
    return true;
}

static bool take_bytes_max(struct rd_slice value, struct rd_http_route *route, struct rd_http_problem *problem)
{
    route->in_steps = true;
    if (!rd_text_parse_u64(value, &route->verify_bytes_max) || route->verify_bytes_max == 0)
        return rd_http_problem_set(problem, RD_INVALID_ARGUMENT, "limit must be a number of bytes from 1");
    return true;
}

static bool take_backup_from(struct rd_slice value, struct rd_http_route *route, struct rd_http_problem *problem)
{
    if (!rd_text_parse_u64(value, &route->backup_from))
        return rd_http_problem_set(problem, RD_INVALID_ARGUMENT, "from must be an offset in the file");
    return true;
}

static bool take_generation(struct rd_slice value, struct rd_http_route *route, struct rd_http_problem *problem)
{
    if (!rd_text_parse_hash(value, &route->generation) || route->generation == 0)
        return rd_http_problem_set(problem, RD_INVALID_ARGUMENT,
                                   "generation must be 16 hex digits, as Rdrive-Generation has them");
    return true;
}

static bool take_store(struct rd_slice value, struct rd_http_route *route, struct rd_http_problem *problem)
{
    if (value.len == 0)
        return rd_http_problem_set(problem, RD_INVALID_ARGUMENT, "store must be a store's name");
    return check_text(value, &route->store, problem);
}

/* A name may stand for several: they are of different operations. */
static const struct {
    const char *name;
    bool (*take)(struct rd_slice value, struct rd_http_route *route, struct rd_http_problem *problem);
} parameters[] = {
    {"durability", take_durability},
    {"confirm", take_confirm},
    {"after", take_after},
    {"limit", take_limit},
    {"from", take_from},
    {"limit", take_bytes_max},
    {"from", take_backup_from},
    {"generation", take_generation},
    {"store", take_store},
};

static bool take_parameter(struct rd_slice name, struct rd_slice value, unsigned allowed, unsigned *seen,
                           struct rd_http_route *route, struct rd_http_problem *problem)
{
    int shown_len = name.len < 48 ? (int)name.len : 48;
    const char *shown = (const char *)name.data;
    for (size_t i = 0; i < sizeof parameters / sizeof parameters[0]; i++) {
        unsigned bit = 1u << i;
        if ((allowed & bit) == 0 || !rd_slice_equal(name, rd_slice_of_string(parameters[i].name)))
            continue;
        if ((*seen & bit) != 0)
            return rd_http_problem_set(problem, RD_INVALID_ARGUMENT, "query parameter given twice: %.*s",
                                       shown_len, shown);
        *seen |= bit;
        return parameters[i].take(value, route, problem);
    }
    return rd_http_problem_set(problem, RD_INVALID_ARGUMENT, "unknown query parameter: %.*s", shown_len, shown);
}

static bool take_query(struct rd_slice query, unsigned allowed, struct rd_http_route *route,
                       struct rd_http_problem *problem)
{
    unsigned seen = 0;
    while (query.len != 0) {
        struct rd_slice pair = take_until(&query, '&');
        rd_slice_take(&query, 1);
        if (pair.len == 0)
            continue;
        struct rd_slice name = take_until(&pair, '=');
        rd_slice_take(&pair, 1);
        if (!take_parameter(name, pair, allowed, &seen, route, problem))
            return false;
    }
    return true;
}

/* ---- the whole --------------------------------------------------------------------------------------------- */

/* The methods of a row, 1 << method for each. */
static uint32_t methods_of(size_t row)
{
    enum rd_http_method method = operations[row].method;
    return 1u << method | (method == RD_HTTP_GET ? 1u << RD_HTTP_HEAD : 0);
}

static bool find_operation(enum resource resource, enum rd_http_method method, size_t *ret_index,
                           struct rd_http_problem *problem)
{
    uint32_t allow = 0;
    for (size_t i = 0; i < OPERATION_COUNT; i++) {
        if (operations[i].resource != resource)
            continue;
        if ((methods_of(i) >> method & 1) != 0) {
            *ret_index = i;
            return true;
        }
        allow |= methods_of(i);
    }
    problem->allow = allow;
    return rd_http_problem_set(problem, RD_METHOD_NOT_ALLOWED, "this path does not take this method");
}

bool rd_http_route_find(enum rd_http_method method, struct rd_slice path, struct rd_slice query,
                        struct rd_http_route *ret_route, struct rd_http_problem *problem)
{
    struct rd_http_route route = {0};
    struct rd_slice store = {0};
    struct rd_slice key = {0};
    if (rd_slice_equal(path, rd_slice_of_string("*"))) {
        problem->allow = (1u << RD_HTTP_METHOD_COUNT) - 1;
        return rd_http_problem_set(problem, RD_METHOD_NOT_ALLOWED, "OPTIONS is not offered");
    }
    enum resource resource = split_path(path, &store, &key);
    if (resource == RESOURCE_NONE) {
        problem->refusal = RD_HTTP_REFUSAL_PATH;
        return rd_http_problem_set(problem, RD_INVALID_ARGUMENT, "there is nothing at this path");
    }
    size_t index = 0;
    if (!find_operation(resource, method, &index, problem))
        return false;
    route.opcode = operations[index].opcode;
    route.by_hash = resource == RESOURCE_HASH;
    if (route.by_hash && !rd_text_parse_hash(key, &route.hash))
        return rd_http_problem_set(problem, RD_INVALID_ARGUMENT, "a key hash must be 16 hex digits");
    if (!check_text(store, &route.store, problem))
        return false;
    if (!route.by_hash && !check_text(key, &route.key, problem))
        return false;
    if (!take_query(query, operations[index].parameters, &route, problem))
        return false;
    *ret_route = route;
    return true;
}
