/* SPDX-License-Identifier: MIT */
#include "protocol/http_ask.h"

#include "base/text.h"

bool rd_http_needs_json(enum rd_opcode opcode)
{
    return opcode == RD_OPCODE_BATCH_WRITE || opcode == RD_OPCODE_BATCH_READ || opcode == RD_OPCODE_BATCH_DELETE ||
           opcode == RD_OPCODE_RENAME || opcode == RD_OPCODE_COPY || opcode == RD_OPCODE_TRANSFER;
}

static bool is_streamed(const struct rd_http_head *head, const struct rd_limits *limits, enum rd_opcode opcode)
{
    return opcode == RD_OPCODE_WRITE && (head->chunked || head->content_len > limits->stream_threshold ||
                                         head->content_len > limits->body_len_max);
}

static bool check_body(const struct rd_http_head *head, const struct rd_limits *limits, enum rd_opcode opcode,
                       struct rd_http_problem *problem)
{
    bool has_body = head->chunked || head->content_len != 0;
    bool takes_json = rd_http_needs_json(opcode) || opcode == RD_OPCODE_CREATE;
    uint64_t len_max = opcode == RD_OPCODE_WRITE ? RD_HTTP_STREAM_LEN_MAX : limits->body_len_max;
    if (has_body && !takes_json && opcode != RD_OPCODE_WRITE)
        return rd_http_problem_set(problem, RD_INVALID_ARGUMENT, "this request takes no body");
    if ((rd_http_needs_json(opcode) || (takes_json && has_body)) && !head->type_json)
        return rd_http_problem_set(problem, RD_UNSUPPORTED_MEDIA_TYPE,
                                   "the body must be JSON and its Content-Type application/json");
    if (head->content_len > len_max) {
        problem->close = true;
        return rd_http_problem_set(problem, RD_TOO_LARGE, "the body is longer than %llu bytes",
                                   (unsigned long long)len_max);
    }
    return true;
}

/* What the query says of a backup and what the headers say must go together. */
static bool check_backup(const struct rd_http_ask *ask, struct rd_http_problem *problem)
{
    uint64_t generation = ask->route.generation;
    uint64_t matched = ask->conditions.generation;
    if (ask->route.opcode != RD_OPCODE_BACKUP)
        return true;
    if (generation != 0 && matched != 0 && generation != matched)
        return rd_http_problem_set(problem, RD_PRECONDITION_FAILED,
                                   "generation and If-Match name different files");
    if (ask->route.backup_from != 0 && ask->conditions.range.kind != RD_MESSAGE_RANGE_NONE)
        return rd_http_problem_set(problem, RD_INVALID_ARGUMENT, "give from or a Range header, not both");
    return true;
}

/* RFC 6750: the scheme in any case, one space or more, and a token of these bytes. Other schemes, and what is
 * malformed, are no token: the answer says what is asked for. */
static struct rd_slice bearer_token(struct rd_slice authorization)
{
    static const char scheme[] = "bearer";
    struct rd_slice rest = authorization;
    struct rd_slice first = rd_slice_take(&rest, sizeof scheme - 1);
    if (!rd_http_equals_ignoring_case(first, scheme) || rest.len == 0 || rest.data[0] != ' ')
        return (struct rd_slice){.len = 0};
    while (rest.len != 0 && rest.data[0] == ' ')
        rd_slice_take(&rest, 1);
    for (size_t i = 0; i < rest.len; i++)
        if (rest.data[i] <= ' ' || rest.data[i] >= 0x7f)
            return (struct rd_slice){.len = 0};
    return rest;
}

static bool check_host(const struct rd_http_head *head, const struct rd_limits *limits,
                       struct rd_http_problem *problem)
{
    struct rd_error error; /* every request comes here: it is filled in where it is needed */
    if (limits->admit_host == NULL || head->host.len == 0)
        return true;
    enum rd_status status = limits->admit_host(limits->admit_context, head->host, head->from_browser, &error);
    if (status == RD_OK)
        return true;
    problem->refusal = RD_HTTP_REFUSAL_HOST;
    return rd_http_problem_set(problem, status, "%s", error.message);
}

bool rd_http_ask_find(const struct rd_http_head *head, const struct rd_limits *limits, struct rd_http_ask *ret_ask,
                      struct rd_http_problem *problem)
{
    struct rd_http_ask ask = {0};
    if (!check_host(head, limits, problem))
        return false;
    if (head->origin_foreign)
        return rd_http_problem_set(problem, RD_FORBIDDEN, "requests from another web site are not served");
    if (head->expect_unknown) {
        problem->refusal = RD_HTTP_REFUSAL_EXPECTATION;
        problem->close = true;
        return rd_http_problem_set(problem, RD_INVALID_ARGUMENT, "the only expectation met is: 100-continue");
    }
    if (!rd_http_route_find(head->method, head->path, head->query, &ask.route, problem))
        return false;
    if (ask.route.key.len > limits->key_len_max)
        return rd_http_problem_set(problem, RD_TOO_LARGE, "the key is longer than %u bytes", limits->key_len_max);
    if (!check_body(head, limits, ask.route.opcode, problem) ||
        !rd_http_conditions_find(head, ask.route.opcode, &ask.conditions, problem) || !check_backup(&ask, problem))
        return false;
    ask.streamed = is_streamed(head, limits, ask.route.opcode);
    ask.token = bearer_token(head->authorization);
    ask.names_len = ask.route.store.len + ask.route.key.len + ask.route.confirm.len +
                    ask.conditions.not_versions.len + ask.token.len;
    *ret_ask = ask;
    return true;
}

bool rd_http_ask_admit(const struct rd_http_ask *ask, const struct rd_limits *limits, size_t len,
                       struct rd_http_problem *problem)
{
    uint8_t name[RD_TEXT_STORE_NAME_LEN_MAX];
    struct rd_slice store = rd_slice(name, ask->route.store.len);
    struct rd_asking asking = {.opcode = ask->route.opcode, .token = &ask->token};
    struct rd_error error = {.status = RD_OK};
    if (limits->admit == NULL)
        return true;
    if (store.len <= sizeof name) { /* a longer name is no store's */
        rd_http_text_decode(ask->route.store, name);
        asking.store = &store;
    }
    size_t room = rd_limits_ask(limits, len) ? len : 0;
    enum rd_status status = limits->admit(limits->admit_context, &asking, room, &error);
    return status == RD_OK || rd_http_problem_set(problem, status, "%s", error.message);
}

/* Names lie in front of the content, in this order: store, key, confirm, tags, token. */
void rd_http_ask_write_names(const struct rd_http_ask *ask, uint8_t *to)
{
    to = rd_http_text_decode(ask->route.store, to);
    to = rd_http_text_decode(ask->route.key, to);
    to = rd_http_text_decode(ask->route.confirm, to);
    struct rd_slice tags = ask->conditions.not_versions;
    if (tags.len != 0)
        memcpy(to, tags.data, tags.len);
    if (ask->token.len != 0)
        memcpy(to + tags.len, ask->token.data, ask->token.len);
}

void rd_http_ask_note(const struct rd_http_ask *ask, struct rd_request *request)
{
    const struct rd_http_route *route = &ask->route;
    const struct rd_http_conditions *conditions = &ask->conditions;
    request->opcode = route->opcode;
    request->store.len = route->store.len;
    request->key.bytes.len = route->key.len;
    request->key.hash = route->hash;
    request->confirm.len = route->confirm.len;
    request->durability = route->durability;
    request->after_offset = route->after_offset;
    request->limit = route->limit;
    request->verify_from = route->verify_from;
    request->verify_bytes_max = route->verify_bytes_max;
    request->backup_from = route->backup_from;
    request->backup_generation = route->generation != 0 ? route->generation : conditions->generation;
    request->range_generation = conditions->range_generation;
    request->verify_whole = route->opcode == RD_OPCODE_VERIFY && !route->in_steps;
    request->condition = conditions->condition;
    request->target_condition = conditions->target_condition;
    request->range = conditions->range;
    request->range_condition = conditions->range_condition;
    request->not_versions.len = conditions->not_versions.len;
    request->token_use = RD_MESSAGE_TOKEN_ALONE;
    request->token.len = ask->token.len;
}

static bool has_key(enum rd_opcode opcode)
{
    return opcode == RD_OPCODE_WRITE || opcode == RD_OPCODE_WRITE_STREAM || opcode == RD_OPCODE_DELETE ||
           opcode == RD_OPCODE_READ || opcode == RD_OPCODE_METADATA;
}

void rd_http_bind_names(struct rd_request *request, bool by_hash)
{
    if (request->body == NULL)
        return; /* no names, no content */
    const uint8_t *at = request->body;
    request->store.data = at;
    at += request->store.len;
    if (has_key(request->opcode) && !by_hash)
        request->key.bytes.data = at;
    at += request->key.bytes.len;
    request->confirm.data = at;
    at += request->confirm.len;
    request->not_versions.data = at;
    at += request->not_versions.len;
    request->token.data = at;
}
