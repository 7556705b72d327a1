/* SPDX-License-Identifier: MIT
 *
 * redis_answer.c - responses as Redis words them. Each kind of answer is written in two ways: for a request of its
 * own, and as an element of what EXEC answers, where it comes from the transaction's results. A store that does
 * not exist yet is one without keys.
 *
 * The answers to GET and SET are the hot path. Pure, and without state.
 */
#include "protocol/redis_answer.h"

#include "protocol/guards.h"
#include "protocol/redis_info.h"
#include "protocol/resp_put.h"

#define LITERAL(out, text) rd_buffer_append(out, text, sizeof text - 1)
#define NO_SUCH_KEY        "-ERR no such key\r\n"

#define MISSING_KEY   (1u << RD_KEY_NOT_FOUND)
#define MISSING_STORE (1u << RD_STORE_NOT_FOUND)
#define MISSING       (MISSING_KEY | MISSING_STORE)
#define NOT_HELD      (1u << RD_PRECONDITION_FAILED)
#define NO_RANGE      (1u << RD_RANGE_NOT_SATISFIABLE)
#define BUSY          (1u << RD_OVERLOADED)

/* The results that belong to one part of a transaction; NULL: there is no such store. */
struct results {
    const struct rd_response_change *changes;
    const struct rd_response_item *looks;
};

static bool is_applied(struct results results, size_t i)
{
    return results.changes != NULL && results.changes[i].applied;
}

static bool is_resp3(const struct rd_request *request)
{
    return (request->codec_flags & RD_REDIS_FLAG_RESP3) != 0;
}

static void put_failure(struct rd_buffer *out, enum rd_status status, const char *message)
{
    struct rd_buffer text;
    rd_buffer_init(&text, 0);
    rd_buffer_printf(&text, "%s %s", status == RD_FORBIDDEN ? "NOPERM" : "ERR",
                     message[0] != '\0' ? message : rd_status_name(status));
    rd_resp_put_error(out, rd_buffer_slice(&text));
    out->failed |= text.failed;
    rd_buffer_deinit(&text);
}

/* As Redis words it, and its clients read it. */
static void put_unauthorized(struct rd_buffer *out, const struct rd_request *request)
{
    bool shown = request->token_use == RD_MESSAGE_TOKEN_SHOWN;
    bool greeting = (request->codec_flags & RD_REDIS_FLAG_ANSWER) == RD_REDIS_GREETING;
    if (shown)
        rd_resp_put_error(out, rd_slice_of_string(RD_REDIS_WRONG_PASSWORD));
    else if (greeting)
        LITERAL(out,
                "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> "
                "AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol "
                "version at the same time\r\n");
    else
        LITERAL(out, "-" RD_REDIS_NO_AUTH_TEXT "\r\n");
}

/* ---- values ------------------------------------------------------------------------------------------------ */

static void put_item(struct rd_buffer *out, const struct rd_response_item *item, bool resp3)
{
    if (item->status == RD_OK)
        rd_resp_put_bulk(out, item->value);
    else if (item->status == RD_KEY_NOT_FOUND)
        rd_resp_put_null(out, resp3);
    else
        put_failure(out, item->status, "the value does not match its checksum");
}

static const struct rd_response_item *item_of(const struct rd_response_item *looks, size_t i)
{
    static const struct rd_response_item missing = {.status = RD_KEY_NOT_FOUND};
    return looks == NULL ? &missing : &looks[i];
}

/* The head of what response->value follows. */
static size_t answer_value(const struct rd_request *request, const struct rd_response *response,
                           struct rd_buffer *out)
{
    if (response->status != RD_OK) {
        rd_resp_put_null(out, is_resp3(request));
        return 0;
    }
    rd_resp_put_head(out, '$', response->value.len);
    return response->value.len;
}

static void put_value(const struct rd_request *part, struct results results, struct rd_buffer *out)
{
    put_item(out, item_of(results.looks, 0), is_resp3(part));
}

/* A transaction of its own that found one value has it in response->value, to be sent without a copy. */
static size_t answer_before(const struct rd_request *request, const struct rd_response *response,
                            struct rd_buffer *out)
{
    if (response->value.data == NULL) {
        rd_resp_put_null(out, is_resp3(request));
        return 0;
    }
    return answer_value(request, response, out);
}

static void put_values(const struct rd_request *part, struct results results, struct rd_buffer *out)
{
    rd_resp_put_array(out, part->item_count);
    for (size_t i = 0; i < part->item_count; i++)
        put_item(out, item_of(results.looks, i), is_resp3(part));
}

static size_t answer_values(const struct rd_request *request, const struct rd_response *response,
                            struct rd_buffer *out)
{
    for (size_t i = 0; i < response->item_count; i++) {
        if (response->items[i].status == RD_OK || response->items[i].status == RD_KEY_NOT_FOUND)
            continue;
        put_item(out, &response->items[i], false); /* one answer, so one error */
        return 0;
    }
    put_values(request, (struct results){.looks = response->items}, out);
    return 0;
}

static size_t answer_range(const struct rd_request *request, const struct rd_response *response,
                           struct rd_buffer *out)
{
    if (response->status == RD_OK)
        return answer_value(request, response, out);
    rd_resp_put_bulk(out, rd_slice(NULL, 0));
    return 0;
}

static void put_range(const struct rd_request *part, struct results results, struct rd_buffer *out)
{
    const struct rd_response_item *item = item_of(results.looks, 0);
    uint64_t first = 0;
    uint64_t len = 0;
    if (item->status != RD_OK && item->status != RD_KEY_NOT_FOUND)
        put_item(out, item, false);
    else if (rd_message_range_cut(&part->range, item->value.len, &first, &len))
        rd_resp_put_bulk(out, rd_slice(item->value.data + first, (size_t)len));
    else
        rd_resp_put_bulk(out, rd_slice(NULL, 0));
}

/* ---- numbers and words ------------------------------------------------------------------------------------- */

static size_t answer_length(const struct rd_request *request, const struct rd_response *response,
                            struct rd_buffer *out)
{
    (void)request;
    rd_resp_put_head(out, ':', response->value_len);
    return 0;
}

static void put_length(const struct rd_request *part, struct results results, struct rd_buffer *out)
{
    (void)part;
    rd_resp_put_head(out, ':', item_of(results.looks, 0)->len);
}

static void put_type_of(struct rd_buffer *out, bool found)
{
    if (found)
        LITERAL(out, "+string\r\n");
    else
        LITERAL(out, "+none\r\n");
}

static size_t answer_type(const struct rd_request *request, const struct rd_response *response,
                          struct rd_buffer *out)
{
    (void)request;
    put_type_of(out, response->found);
    return 0;
}

static void put_type(const struct rd_request *part, struct results results, struct rd_buffer *out)
{
    (void)part;
    put_type_of(out, item_of(results.looks, 0)->status != RD_KEY_NOT_FOUND);
}

static void put_found(const struct rd_request *part, struct results results, struct rd_buffer *out)
{
    size_t changes;
    size_t count;
    uint64_t found = 0;
    rd_redis_answer_share(part, &changes, &count);
    for (size_t i = 0; i < count; i++)
        found += item_of(results.looks, i)->status != RD_KEY_NOT_FOUND;
    rd_resp_put_head(out, ':', found);
}

static size_t answer_found(const struct rd_request *request, const struct rd_response *response,
                           struct rd_buffer *out)
{
    if (request->opcode == RD_OPCODE_EXISTS)
        rd_resp_put_head(out, ':', response->found);
    else
        put_found(request, (struct results){.looks = response->items}, out);
    return 0;
}

static size_t answer_deleted(const struct rd_request *request, const struct rd_response *response,
                             struct rd_buffer *out)
{
    (void)request;
    rd_resp_put_head(out, ':', response->count);
    return 0;
}

static void put_deleted(const struct rd_request *part, struct results results, struct rd_buffer *out)
{
    size_t count;
    size_t looks;
    uint64_t deleted = 0;
    rd_redis_answer_share(part, &count, &looks);
    for (size_t i = 0; i < count; i++)
        deleted += is_applied(results, i);
    rd_resp_put_head(out, ':', deleted);
}

static size_t answer_applied(const struct rd_request *request, const struct rd_response *response,
                             struct rd_buffer *out)
{
    (void)request;
    rd_resp_put_head(out, ':', response->status == RD_OK);
    return 0;
}

static void put_applied(const struct rd_request *part, struct results results, struct rd_buffer *out)
{
    (void)part;
    rd_resp_put_head(out, ':', is_applied(results, 0));
}

static size_t answer_ok(const struct rd_request *request, const struct rd_response *response,
                        struct rd_buffer *out)
{
    if (response->status == RD_OK)
        LITERAL(out, "+OK\r\n");
    else
        rd_resp_put_null(out, is_resp3(request));
    return 0;
}

static void put_ok(const struct rd_request *part, struct results results, struct rd_buffer *out)
{
    bool held = (part->codec_flags & RD_REDIS_FLAG_ANSWER) == RD_REDIS_OK || is_applied(results, 0);
    answer_ok(part, &(struct rd_response){.status = held ? RD_OK : RD_PRECONDITION_FAILED}, out);
}

static size_t answer_renamed(const struct rd_request *request, const struct rd_response *response,
                             struct rd_buffer *out)
{
    bool conditional = (request->codec_flags & RD_REDIS_FLAG_ANSWER) == RD_REDIS_RENAMED_IF;
    if (response->status != RD_OK && response->status != RD_PRECONDITION_FAILED)
        LITERAL(out, NO_SUCH_KEY);
    else if (conditional)
        answer_applied(request, response, out);
    else
        answer_ok(request, response, out);
    return 0;
}

static size_t answer_kept(const struct rd_request *request, const struct rd_response *response,
                          struct rd_buffer *out)
{
    if (!response->found)
        LITERAL(out, NO_SUCH_KEY);
    else if ((request->codec_flags & RD_REDIS_FLAG_ANSWER) == RD_REDIS_KEPT_IF)
        LITERAL(out, ":0\r\n");
    else
        LITERAL(out, "+OK\r\n");
    return 0;
}

/* ---- about the server -------------------------------------------------------------------------------------- */

static size_t answer_count(const struct rd_request *request, const struct rd_response *response,
                           struct rd_buffer *out)
{
    (void)request;
    rd_resp_put_head(out, ':', response->store_count != 0 ? response->stores[0].entries : 0);
    return 0;
}

static size_t answer_synced(const struct rd_request *request, const struct rd_response *response,
                            struct rd_buffer *out)
{
    (void)request;
    (void)response;
    LITERAL(out, "+OK\r\n");
    return 0;
}

static size_t answer_rewriting(const struct rd_request *request, const struct rd_response *response,
                               struct rd_buffer *out)
{
    (void)request;
    if (response->status != RD_OVERLOADED)
        LITERAL(out, "+Background append only file rewriting started\r\n");
    else if (response->compaction.under_way)
        LITERAL(out, "-ERR Background append only file rewriting already in progress\r\n");
    else
        put_failure(out, response->status, response->message);
    return 0;
}

static size_t answer_time(const struct rd_request *request, const struct rd_response *response,
                          struct rd_buffer *out)
{
    (void)request;
    struct rd_buffer digits;
    rd_buffer_init(&digits, 0);
    rd_resp_put_array(out, 2);
    rd_buffer_printf(&digits, "%llu", (unsigned long long)(response->server->now_us / 1000000));
    rd_resp_put_bulk(out, rd_buffer_slice(&digits));
    rd_buffer_clear(&digits);
    rd_buffer_printf(&digits, "%llu", (unsigned long long)(response->server->now_us % 1000000));
    rd_resp_put_bulk(out, rd_buffer_slice(&digits));
    out->failed |= digits.failed;
    rd_buffer_deinit(&digits);
    return 0;
}

static size_t answer_saved(const struct rd_request *request, const struct rd_response *response,
                           struct rd_buffer *out)
{
    (void)request;
    rd_resp_put_head(out, ':', response->server->saved_s);
    return 0;
}

static size_t answer_client_id(const struct rd_request *request, const struct rd_response *response,
                               struct rd_buffer *out)
{
    (void)request;
    rd_resp_put_head(out, ':', response->server->connection_id);
    return 0;
}

static size_t answer_text(const struct rd_request *request, const struct rd_response *response,
                          struct rd_buffer *out)
{
    struct rd_buffer text;
    rd_buffer_init(&text, 0);
    if ((request->codec_flags & RD_REDIS_FLAG_ANSWER) == RD_REDIS_INFO)
        rd_redis_info_append(request->value, response, &text);
    else
        rd_redis_info_append_client(request, response->server, &text);
    rd_resp_put_verbatim(out, rd_buffer_slice(&text), is_resp3(request));
    out->failed |= text.failed;
    rd_buffer_deinit(&text);
    return 0;
}

static size_t answer_greeting(const struct rd_request *request, const struct rd_response *response,
                              struct rd_buffer *out)
{
    bool resp3 = is_resp3(request);
    rd_resp_put_map(out, 7, resp3);
    rd_resp_put_text(out, "server");
    rd_resp_put_text(out, "redis");
    rd_resp_put_text(out, "version");
    rd_resp_put_text(out, RD_REDIS_VERSION);
    rd_resp_put_text(out, "proto");
    rd_resp_put_integer(out, resp3 ? 3 : 2);
    rd_resp_put_text(out, "id");
    rd_resp_put_head(out, ':', response->server->connection_id);
    rd_resp_put_text(out, "mode");
    rd_resp_put_text(out, "standalone");
    rd_resp_put_text(out, "role");
    rd_resp_put_text(out, "master");
    rd_resp_put_text(out, "modules");
    rd_resp_put_array(out, 0);
    return 0;
}

static size_t answer_authed(const struct rd_request *request, const struct rd_response *response,
                            struct rd_buffer *out)
{
    bool named = (request->codec_flags & RD_REDIS_FLAG_ANSWER) == RD_REDIS_AUTHED_AS;
    if (response->open && !named)
        LITERAL(out,
                "-ERR AUTH <password> called without any password configured for the default user. Are you sure "
                "your configuration is correct?\r\n");
    else
        LITERAL(out, "+OK\r\n");
    return 0;
}

/* ---- transactions ------------------------------------------------------------------------------------------ */

static size_t answer_ready(const struct rd_request *request, const struct rd_response *response,
                           struct rd_buffer *out)
{
    (void)response;
    rd_buffer_append_slice(out, request->value);
    return 0;
}

static void put_ready(const struct rd_request *part, struct results results, struct rd_buffer *out)
{
    (void)results;
    rd_buffer_append_slice(out, part->value);
}

void rd_redis_answer_share(const struct rd_request *part, size_t *ret_changes, size_t *ret_looks)
{
    *ret_changes = 0;
    *ret_looks = 0;
    switch (part->opcode) {
    case RD_OPCODE_WRITE:
    case RD_OPCODE_DELETE:
        *ret_changes = 1;
        break;
    case RD_OPCODE_BATCH_WRITE:
    case RD_OPCODE_BATCH_DELETE:
        *ret_changes = part->item_count;
        break;
    case RD_OPCODE_READ:
    case RD_OPCODE_METADATA:
    case RD_OPCODE_EXISTS:
        *ret_looks = 1;
        break;
    case RD_OPCODE_BATCH_READ:
        *ret_looks = part->item_count;
        break;
    case RD_OPCODE_TRANSACTION:
        *ret_changes = part->item_count;
        *ret_looks = part->look_count;
        break;
    default: /* answered without the store */
        break;
    }
}

static size_t answer_exec(const struct rd_request *request, const struct rd_response *response,
                          struct rd_buffer *out);

typedef size_t answer_function(const struct rd_request *request, const struct rd_response *response,
                               struct rd_buffer *out);
typedef void put_function(const struct rd_request *part, struct results results, struct rd_buffer *out);

/* By kind. borne: bits of the statuses that are no error here. put: NULL where it is never part of a transaction.
 */
static const struct {
    answer_function *answer;
    put_function *put;
    uint32_t borne;
} rows[RD_REDIS_ANSWER_COUNT] = {
    [RD_REDIS_READY] = {answer_ready, put_ready, ~0u},
    [RD_REDIS_OK] = {answer_ok, put_ok, 0},
    [RD_REDIS_OK_IF] = {answer_ok, put_ok, NOT_HELD},
    [RD_REDIS_VALUE] = {answer_value, put_value, MISSING},
    [RD_REDIS_BEFORE] = {answer_before, put_value, MISSING},
    [RD_REDIS_VALUES] = {answer_values, put_values, MISSING},
    [RD_REDIS_RANGE] = {answer_range, put_range, MISSING | NO_RANGE},
    [RD_REDIS_LENGTH] = {answer_length, put_length, MISSING},
    [RD_REDIS_TYPE] = {answer_type, put_type, MISSING},
    [RD_REDIS_FOUND] = {answer_found, put_found, MISSING},
    [RD_REDIS_DELETED] = {answer_deleted, put_deleted, MISSING},
    [RD_REDIS_APPLIED] = {answer_applied, put_applied, MISSING | NOT_HELD},
    [RD_REDIS_RENAMED] = {answer_renamed, NULL, MISSING},
    [RD_REDIS_RENAMED_IF] = {answer_renamed, NULL, MISSING | NOT_HELD},
    [RD_REDIS_KEPT] = {answer_kept, NULL, MISSING},
    [RD_REDIS_KEPT_IF] = {answer_kept, NULL, MISSING},
    [RD_REDIS_COUNT] = {answer_count, NULL, MISSING},
    [RD_REDIS_SYNCED] = {answer_synced, NULL, MISSING_STORE},
    [RD_REDIS_REWRITING] = {answer_rewriting, NULL, MISSING_STORE | BUSY},
    [RD_REDIS_TIME] = {answer_time, NULL, 0},
    [RD_REDIS_SAVED] = {answer_saved, NULL, 0},
    [RD_REDIS_CLIENT_ID] = {answer_client_id, NULL, 0},
    [RD_REDIS_CLIENT_LIST] = {answer_text, NULL, 0},
    [RD_REDIS_GREETING] = {answer_greeting, NULL, 0},
    [RD_REDIS_AUTHED] = {answer_authed, NULL, 0},
    [RD_REDIS_AUTHED_AS] = {answer_authed, NULL, 0},
    [RD_REDIS_INFO] = {answer_text, NULL, 0},
    [RD_REDIS_EXEC] = {answer_exec, NULL, MISSING_STORE | NOT_HELD},
};

/* One element of what EXEC answers. Where others have taken effect it is no longer to be refused as a whole
 * because a value has no room in it: then this element says so. */
static void put_part(const struct rd_request *part, struct results results, struct rd_buffer *out)
{
    size_t before = out->len;
    if (out->failed) /* what is in front of it is not there, and an answer without that is none */
        return;
    rows[part->codec_flags & RD_REDIS_FLAG_ANSWER].put(part, results, out);
    if (!out->failed || results.changes == NULL)
        return;
    out->len = before;
    out->failed = false;
    put_failure(out, RD_TOO_LARGE, "the answer would be too large; ask for less at a time");
}

/* Whether what was watched is not as it was. In a store that is not there by now there is no key. */
static bool is_outdated(const struct rd_request *request, const struct rd_response *response)
{
    return response->status == RD_PRECONDITION_FAILED ||
           (response->status == RD_STORE_NOT_FOUND && !rd_guards_hold_without_keys(request->guards));
}

static size_t answer_exec(const struct rd_request *request, const struct rd_response *response,
                          struct rd_buffer *out)
{
    if (is_outdated(request, response)) {
        rd_resp_put_null_array(out, is_resp3(request));
        return 0;
    }
    struct results results = {.changes = response->changes, .looks = response->items};
    size_t count = 0;
    for (const struct rd_request *part = request->parts; part != NULL; part = part->next)
        count++;
    rd_resp_put_array(out, count);
    for (const struct rd_request *part = request->parts; part != NULL; part = part->next) {
        size_t changes;
        size_t looks;
        rd_redis_answer_share(part, &changes, &looks);
        put_part(part, results, out);
        if (results.changes != NULL)
            results.changes += changes;
        if (results.looks != NULL)
            results.looks += looks;
    }
    return 0;
}

/* Where there is no store, keys are not found and none is to be deleted; but a value that was to be written is not
 * there, and nobody is to take it for written. */
static bool writes_values(const struct rd_request *request)
{
    for (size_t i = 0; i < request->item_count && request->changes != NULL; i++)
        if (!request->changes[i].deletes)
            return true;
    return request->opcode == RD_OPCODE_WRITE || request->opcode == RD_OPCODE_WRITE_STREAM;
}

size_t rd_redis_answer_encode(const struct rd_request *request, const struct rd_response *response,
                              struct rd_buffer *out)
{
    uint32_t kind = request->codec_flags & RD_REDIS_FLAG_ANSWER;
    if ((request->codec_flags & RD_REDIS_FLAG_SILENT) != 0)
        return 0;
    if (response->status == RD_UNAUTHORIZED) {
        put_unauthorized(out, request);
        return 0;
    }
    if (response->status == RD_FORBIDDEN) {
        put_failure(out, response->status, response->message);
        return 0;
    }
    bool borne = (rows[kind].borne >> response->status & 1) != 0;
    if (kind == RD_REDIS_READY && request->value.len == 0)
        borne = false; /* it is not a command's: the connection has made it up */
    if (response->status == RD_STORE_NOT_FOUND && writes_values(request))
        borne = false;
    if (response->status != RD_OK && !borne) {
        put_failure(out, response->status, response->message);
        return 0;
    }
    return rows[kind].answer(request, response, out);
}
