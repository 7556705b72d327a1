/* SPDX-License-Identifier: MIT */
#include "server/gate.h"

#include "server/conn.h"
#include "server/loop.h"
#include "server/terms.h"
#include "server/upload.h"

#define NO_MEMORY "no memory for the token"

static struct rd_auth_view *view_of(const struct rd_call *call)
{
    return &rd_conn_loop(call->conn)->auth;
}

static const struct rd_token *token_of(const struct rd_call *call)
{
    return rd_auth_token(view_of(call), rd_conn_identity(call->conn));
}

bool rd_gate_may_see(struct rd_call *call, struct rd_slice store)
{
    if (!rd_auth_is_on(view_of(call)->auth))
        return true;
    const struct rd_token *token = token_of(call);
    return token != NULL && rd_token_verbs(token, store) != 0;
}

/* ---- refusals --------------------------------------------------------------------------------------------- */

/* A body that is still to come is not waited for. False, so that it can be handed on. */
static bool refuse(struct rd_call *call, const struct rd_error *error)
{
    struct rd_request *request = call->request;
    if (error->status == RD_UNAUTHORIZED)
        rd_conn_take_back(call->conn);
    if (request->opcode == RD_OPCODE_WRITE_STREAM)
        rd_upload_refuse(call, error->status, error);
    else
        rd_call_fail_error(call, error->status, error);
    return false;
}

/* ---- who asks --------------------------------------------------------------------------------------------- */

static enum rd_status judge_unknown(const struct rd_identity *identity, struct rd_error *ret_error)
{
    return rd_error_set(ret_error, RD_UNAUTHORIZED, 0, "%s",
                        identity->shown ? "the token is not known here" : "this server asks for a token");
}

/* Takes what the request says about that. False: it has been answered. */
static bool identify(struct rd_call *call)
{
    struct rd_request *request = call->request;
    struct rd_identity *identity = rd_conn_identity(call->conn);
    struct rd_identity shown = {.shown = false};
    if (request->token_use == RD_MESSAGE_TOKEN_KEPT)
        return true;
    bool shows = request->token_use == RD_MESSAGE_TOKEN_SHOWN || request->token.len != 0;
    if (shows && request->token_use != RD_MESSAGE_TOKEN_FORGOTTEN &&
        !rd_auth_identify(view_of(call), request->token, identity, &shown))
        return refuse(call, &(struct rd_error){.status = RD_NO_MEMORY, .message = NO_MEMORY});
    if (request->token_use == RD_MESSAGE_TOKEN_SHOWN && shown.token == NULL)
        return refuse(call,
                      &(struct rd_error){.status = RD_UNAUTHORIZED, .message = "the token is not known here"});
    *identity = shown;
    return true;
}

/* ---- what it may do --------------------------------------------------------------------------------------- */

/* One call is judged by one token from here on: looked for again it might have been revoked meanwhile, by another
 * thread, and be NULL. */

static enum rd_status forbid(enum rd_verb verb, struct rd_slice store, struct rd_error *ret_error)
{
    if (store.len == 0)
        return rd_error_set(ret_error, RD_FORBIDDEN, 0, "the token does not allow %s in every store",
                            rd_verb_name(verb));
    return rd_error_set(ret_error, RD_FORBIDDEN, 0, "the token does not allow %s in store '%.*s'",
                        rd_verb_name(verb), (int)(store.len < 64 ? store.len : 64), (const char *)store.data);
}

static enum rd_status judge_store(const struct rd_token *token, struct rd_slice store, unsigned wanted,
                                  struct rd_error *ret_error)
{
    struct rd_slice name = rd_terms_store_name(store);
    unsigned missing = wanted & ~rd_token_verbs(token, name);
    return missing == 0 ? RD_OK : forbid((enum rd_verb)(missing & (0 - missing)), name, ret_error);
}

static unsigned verbs_in_source(const struct rd_operation *operation)
{
    static const unsigned by_class[] = {
        [RD_CLASS_READ] = RD_VERB_READ, [RD_CLASS_WRITE] = RD_VERB_WRITE, [RD_CLASS_ADMIN] = RD_VERB_ADMIN};
    if (operation->opcode == RD_OPCODE_COPY)
        return RD_VERB_READ;
    if (operation->opcode == RD_OPCODE_TRANSFER)
        return RD_VERB_READ | RD_VERB_WRITE;
    return by_class[operation->class];
}

/* By what can be told of every request before its body: the operation, and the store. */
static enum rd_status judge(const struct rd_token *token, const struct rd_operation *operation,
                            struct rd_slice store, struct rd_error *ret_error)
{
    if (rd_operation_has_store(operation))
        return judge_store(token, store, verbs_in_source(operation), ret_error);
    if (operation->class == RD_CLASS_OVERALL && (rd_token_verbs_everywhere(token) & RD_VERB_READ) == 0)
        return forbid(RD_VERB_READ, (struct rd_slice){.len = 0}, ret_error);
    return RD_OK;
}

static bool returns_values(const struct rd_request *request)
{
    for (size_t i = 0; i < request->look_count; i++)
        if (request->looks[i].value_wanted)
            return true;
    return false;
}

/* By the rest of it. */
static enum rd_status judge_more(const struct rd_token *token, struct rd_request *request,
                                 struct rd_error *ret_error)
{
    bool moves = request->opcode == RD_OPCODE_COPY || request->opcode == RD_OPCODE_TRANSFER;
    struct rd_slice written = moves ? request->target_store : request->store;
    if ((rd_token_verbs(token, rd_terms_store_name(written)) & RD_VERB_ADMIN) == 0)
        request->creates_store = false;
    if (moves)
        return judge_store(token, request->target_store, RD_VERB_WRITE, ret_error);
    return returns_values(request) ? judge_store(token, request->store, RD_VERB_READ, ret_error) : RD_OK;
}

enum rd_status rd_gate_foresee(struct rd_conn *conn, const struct rd_asking *asking, struct rd_error *ret_error)
{
    struct rd_auth_view *view = &rd_conn_loop(conn)->auth;
    if (!rd_auth_is_on(view->auth))
        return RD_OK;
    struct rd_identity shown = {.shown = false};
    struct rd_identity *identity = rd_conn_identity(conn);
    if (asking->token != NULL) {
        if (asking->token->len != 0 && !rd_auth_identify(view, *asking->token, identity, &shown))
            return rd_error_set(ret_error, RD_NO_MEMORY, 0, NO_MEMORY);
        identity = &shown;
    }
    const struct rd_token *token = rd_auth_token(view, identity);
    const struct rd_operation *operation = rd_operation_find(asking->opcode);
    if (token == NULL)
        return judge_unknown(identity, ret_error);
    if (operation == NULL || asking->store == NULL)
        return RD_OK;
    enum rd_status status = judge(token, operation, *asking->store, ret_error);
    if (status == RD_OK && asking->values_too)
        status = judge_store(token, *asking->store, RD_VERB_READ, ret_error);
    return status;
}

bool rd_gate_admit(struct rd_call *call)
{
    struct rd_request *request = call->request;
    if (!rd_auth_is_on(view_of(call)->auth))
        return true;
    const struct rd_operation *operation = rd_operation_find(request->opcode);
    if (operation == NULL)
        return true;
    bool bound_to_none = operation->class == RD_CLASS_CONNECTION;
    if (bound_to_none && request->status != RD_OK)
        return true; /* malformed, and of no store */
    if (!identify(call))
        return false;
    if (bound_to_none && !request->needs_token)
        return true;
    struct rd_error error = {.status = RD_OK};
    const struct rd_token *token = token_of(call);
    if (token == NULL) {
        (void)judge_unknown(rd_conn_identity(call->conn), &error);
        return refuse(call, &error);
    }
    if (request->status != RD_OK && request->store.data == NULL)
        return true; /* refused before it had named one */
    enum rd_status status = judge(token, operation, request->store, &error);
    bool is_whole = request->status == RD_OK && request->deferred == NULL; /* else it comes once more */
    if (status == RD_OK && is_whole && rd_operation_has_store(operation))
        status = judge_more(token, request, &error);
    return status == RD_OK || refuse(call, &error);
}
