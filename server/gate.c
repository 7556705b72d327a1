/* SPDX-License-Identifier: MIT */
#include "server/gate.h"

#include "server/conn.h"
#include "server/loop.h"
#include "server/terms.h"
#include "server/upload.h"

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

bool rd_gate_knows(struct rd_conn *conn, const struct rd_slice *token)
{
    struct rd_auth_view *view = &rd_conn_loop(conn)->auth;
    struct rd_identity shown = {.shown = false};
    if (!rd_auth_is_on(view->auth))
        return true;
    if (token == NULL)
        return rd_auth_token(view, rd_conn_identity(conn)) != NULL;
    return token->len != 0 && rd_auth_identify(view, *token, rd_conn_identity(conn), &shown) &&
           shown.token != NULL;
}

/* ---- refusals --------------------------------------------------------------------------------------------- */

/* A body that is still to come is not waited for. False, so that it can be handed on. */
static bool refuse(struct rd_call *call, const struct rd_error *error)
{
    struct rd_request *request = call->request;
    if (error->status == RD_UNAUTHORIZED)
        rd_conn_take_back(call->conn);
    if (request->opcode == RD_OPCODE_WRITE_STREAM || request->opcode == RD_OPCODE_CONTINUE)
        rd_upload_refuse(call, error->status, error);
    else
        rd_call_fail_error(call, error->status, error);
    return false;
}

static bool refuse_unknown(struct rd_call *call)
{
    struct rd_error error;
    bool shown = rd_conn_identity(call->conn)->shown;
    (void)rd_error_set(&error, RD_UNAUTHORIZED, 0, "%s",
                       shown ? "the token is not known here" : "this server asks for a token");
    return refuse(call, &error);
}

static bool refuse_verb(struct rd_call *call, enum rd_verb verb, struct rd_slice store)
{
    struct rd_error error;
    if (store.len == 0)
        (void)rd_error_set(&error, RD_FORBIDDEN, 0, "the token does not allow %s in every store",
                           rd_verb_name(verb));
    else
        (void)rd_error_set(&error, RD_FORBIDDEN, 0, "the token does not allow %s in store '%.*s'",
                           rd_verb_name(verb), (int)(store.len < 64 ? store.len : 64), (const char *)store.data);
    return refuse(call, &error);
}

/* ---- who asks --------------------------------------------------------------------------------------------- */

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
        return refuse(call, &(struct rd_error){.status = RD_NO_MEMORY, .message = "no memory for the token"});
    if (request->token_use == RD_MESSAGE_TOKEN_SHOWN && shown.token == NULL)
        return refuse(call,
                      &(struct rd_error){.status = RD_UNAUTHORIZED, .message = "the token is not known here"});
    *identity = shown;
    return true;
}

/* ---- what it may do --------------------------------------------------------------------------------------- */

/* One call is judged by one token from here on: looked for again it might have been revoked meanwhile, by another
 * thread, and be NULL. */

/* False: the call has been answered. */
static bool allow(struct rd_call *call, const struct rd_token *token, struct rd_slice store, unsigned wanted)
{
    struct rd_slice name = rd_terms_store_name(store);
    unsigned missing = wanted & ~rd_token_verbs(token, name);
    return missing == 0 || refuse_verb(call, (enum rd_verb)(missing & (0 - missing)), name);
}

static bool returns_values(const struct rd_request *request)
{
    for (size_t i = 0; i < request->look_count; i++)
        if (request->looks[i].value_wanted)
            return true;
    return false;
}

static unsigned verbs_in_source(const struct rd_request *request, const struct rd_operation *operation)
{
    static const unsigned by_class[] = {
        [RD_CLASS_READ] = RD_VERB_READ, [RD_CLASS_WRITE] = RD_VERB_WRITE, [RD_CLASS_ADMIN] = RD_VERB_ADMIN};
    if (operation->opcode == RD_OPCODE_COPY)
        return RD_VERB_READ;
    if (operation->opcode == RD_OPCODE_TRANSFER)
        return RD_VERB_READ | RD_VERB_WRITE;
    return by_class[operation->class] | (returns_values(request) ? RD_VERB_READ : 0u);
}

static bool allow_in_stores(struct rd_call *call, const struct rd_token *token,
                            const struct rd_operation *operation)
{
    struct rd_request *request = call->request;
    bool moves = request->opcode == RD_OPCODE_COPY || request->opcode == RD_OPCODE_TRANSFER;
    if (!allow(call, token, request->store, verbs_in_source(request, operation)) ||
        (moves && !allow(call, token, request->target_store, RD_VERB_WRITE)))
        return false;
    struct rd_slice written = rd_terms_store_name(moves ? request->target_store : request->store);
    if ((rd_token_verbs(token, written) & RD_VERB_ADMIN) == 0)
        request->creates_store = false;
    return true;
}

static bool allow_everywhere(struct rd_call *call, const struct rd_token *token)
{
    bool may = (rd_token_verbs_everywhere(token) & RD_VERB_READ) != 0;
    return may || refuse_verb(call, RD_VERB_READ, (struct rd_slice){.len = 0});
}

bool rd_gate_admit(struct rd_call *call)
{
    const struct rd_request *request = call->request;
    if (!rd_auth_is_on(view_of(call)->auth))
        return true;
    const struct rd_operation *operation =
        rd_operation_find(request->opcode == RD_OPCODE_CONTINUE ? request->continues : request->opcode);
    if (operation == NULL)
        return true;
    bool bound_to_none = operation->class == RD_CLASS_CONNECTION;
    if (bound_to_none && request->status != RD_OK)
        return true; /* malformed, and of no store */
    if (!identify(call))
        return false;
    if (bound_to_none && !request->needs_token)
        return true;
    const struct rd_token *token = token_of(call);
    if (token == NULL)
        return refuse_unknown(call);
    switch (operation->class) {
    case RD_CLASS_OVERALL:
        return allow_everywhere(call, token);
    case RD_CLASS_READ:
    case RD_CLASS_WRITE:
    case RD_CLASS_ADMIN:
        return allow_in_stores(call, token, operation);
    case RD_CLASS_CONNECTION:
    case RD_CLASS_LISTING:
        break;
    }
    return true;
}
