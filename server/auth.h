/* SPDX-License-Identifier: MIT
 *
 * auth.h - whose requests these are: tokens as they are shown, held against the set in force, which can be
 * exchanged while the daemon runs.
 *
 *  1. The set in force is one reference in struct rd_auth. A loop keeps one of its own (rd_auth_view) and looks
 *     at one atomic number before it believes it, so that no request takes a lock but the first after an exchange.
 *  2. What was shown is kept by its SHA-256. After an exchange that is looked for anew: what was revoked ends on
 *     open connections too, at their next request.
 *  3. A connection that shows the same token with each request, as HTTP's do, is spared the hashing: a short token
 *     is kept as it is, too, for as long as the connection lasts.
 *
 * rd_auth_* of struct rd_auth: any thread, but an exchange, which is one thread's at a time. Views and identities:
 * their loop's thread.
 */
#ifndef RD_SERVER_AUTH_H
#define RD_SERVER_AUTH_H

#include "server/tokens.h"

struct rd_auth;

/* From the file at path; "": nobody is asked for a token, for good. RD_INVALID_ARGUMENT: *ret_error says what is
 * wrong with the file. */
enum rd_status rd_auth_create(const char *path, struct rd_auth **ret_auth,
                              struct rd_error *ret_error) RD_MUST_CHECK;

/* After all views are gone. NULL is fine. */
void rd_auth_destroy(struct rd_auth *auth);

/* Whether tokens are asked for. */
bool rd_auth_is_on(const struct rd_auth *auth);

/* An exchange, where tokens are asked for: what the file at path says now is kept until it is put in force or
 * discarded. Where the file is bad *ret_error says why, and nothing is kept. */
enum rd_status rd_auth_prepare(struct rd_auth *auth, const char *path, struct rd_error *ret_error) RD_MUST_CHECK;
void rd_auth_adopt(struct rd_auth *auth);

/* Where nothing is kept it does nothing. */
void rd_auth_discard(struct rd_auth *auth);

/* ---- on a loop -------------------------------------------------------------------------------------------- */

struct evp_md_ctx_st;
struct evp_md_st;

struct rd_auth_view {
    struct rd_auth *auth;      /* borrows */
    struct rd_tokens *tokens;  /* a reference, or NULL */
    uint64_t serial;           /* of that set; 0: none */
    struct evp_md_ctx_st *ctx; /* owned */
    struct evp_md_st *sha256;  /* owned */
};

/* RD_NO_MEMORY. Where no tokens are asked for nothing is allocated. */
enum rd_status rd_auth_view_init(struct rd_auth_view *view, struct rd_auth *auth) RD_MUST_CHECK;

/* A zeroed one is fine. */
void rd_auth_view_deinit(struct rd_auth_view *view);

#define RD_AUTH_KEPT_LEN_MAX 96u

/* Who somebody is; zeroed: nobody. */
struct rd_identity {
    bool shown; /* a token was, whether or not it is known */
    uint8_t digest[RD_TOKENS_DIGEST_LEN];
    uint8_t kept[RD_AUTH_KEPT_LEN_MAX]; /* the token itself */
    size_t kept_len;                    /* bytes; 0: it is longer */
    const struct rd_token *token;       /* of the view's set of that serial; NULL: not known */
    uint64_t serial;
};

/* Who shows this token, known or not; `before` is what the same connection has shown. False: no memory for it. */
bool rd_auth_identify(struct rd_auth_view *view, struct rd_slice token, const struct rd_identity *before,
                      struct rd_identity *ret_identity);

/* The identity's token by the set that is in force now; NULL: it is not in there. */
const struct rd_token *rd_auth_token(struct rd_auth_view *view, struct rd_identity *identity);

#endif
