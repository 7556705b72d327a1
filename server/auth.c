/* SPDX-License-Identifier: MIT */
#include "server/auth.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct rd_auth {
    bool on; /* tokens are asked for */
    pthread_mutex_t lock;
    struct rd_tokens *tokens;    /* guarded by lock; a reference; NULL where none are asked for */
    atomic_uint_fast64_t serial; /* of tokens; changed under lock, read by anybody; 0: never any */
    struct rd_tokens *prepared;  /* a reference, or NULL; of the thread that exchanges */
};

enum rd_status rd_auth_create(const char *path, struct rd_auth **ret_auth, struct rd_error *ret_error)
{
    struct rd_auth *auth = calloc(1, sizeof *auth);
    if (auth == NULL)
        return rd_error_set(ret_error, RD_NO_MEMORY, 0, "no memory for the tokens");
    auth->on = path[0] != '\0';
    pthread_mutex_init(&auth->lock, NULL);
    atomic_init(&auth->serial, 0);
    enum rd_status status = auth->on ? rd_auth_prepare(auth, path, ret_error) : RD_OK;
    if (status != RD_OK) {
        rd_auth_destroy(auth);
        return status;
    }
    if (auth->on)
        rd_auth_adopt(auth);
    *ret_auth = auth;
    return RD_OK;
}

void rd_auth_destroy(struct rd_auth *auth)
{
    if (auth == NULL)
        return;
    rd_tokens_unref(auth->prepared);
    rd_tokens_unref(auth->tokens);
    pthread_mutex_destroy(&auth->lock);
    free(auth);
}

bool rd_auth_is_on(const struct rd_auth *auth)
{
    return auth->on;
}

enum rd_status rd_auth_prepare(struct rd_auth *auth, const char *path, struct rd_error *ret_error)
{
    struct rd_tokens *tokens;
    enum rd_status status = rd_tokens_load(path, &tokens, ret_error);
    if (status != RD_OK)
        return status;
    rd_auth_discard(auth);
    auth->prepared = tokens;
    return RD_OK;
}

void rd_auth_adopt(struct rd_auth *auth)
{
    pthread_mutex_lock(&auth->lock);
    struct rd_tokens *before = auth->tokens;
    auth->tokens = auth->prepared;
    auth->prepared = NULL;
    atomic_fetch_add(&auth->serial, 1);
    pthread_mutex_unlock(&auth->lock);
    rd_tokens_unref(before); /* views may keep it for a while */
}

void rd_auth_discard(struct rd_auth *auth)
{
    rd_tokens_unref(auth->prepared);
    auth->prepared = NULL;
}

/* ---- on a loop -------------------------------------------------------------------------------------------- */

enum rd_status rd_auth_view_init(struct rd_auth_view *view, struct rd_auth *auth)
{
    struct rd_auth_view fresh = {.auth = auth};
    if (rd_auth_is_on(auth)) {
        fresh.ctx = EVP_MD_CTX_new();
        fresh.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
        if (fresh.ctx == NULL || fresh.sha256 == NULL) {
            rd_auth_view_deinit(&fresh);
            return RD_NO_MEMORY;
        }
    }
    *view = fresh;
    return RD_OK;
}

void rd_auth_view_deinit(struct rd_auth_view *view)
{
    EVP_MD_CTX_free(view->ctx);
    EVP_MD_free(view->sha256);
    rd_tokens_unref(view->tokens);
    *view = (struct rd_auth_view){.auth = NULL};
}

static void refresh(struct rd_auth_view *view)
{
    struct rd_auth *auth = view->auth;
    if (atomic_load(&auth->serial) == view->serial)
        return;
    rd_tokens_unref(view->tokens);
    pthread_mutex_lock(&auth->lock);
    view->tokens = rd_tokens_ref(auth->tokens);
    view->serial = atomic_load(&auth->serial);
    pthread_mutex_unlock(&auth->lock);
}

static bool is_the_same(const struct rd_identity *before, struct rd_slice token)
{
    return token.len != 0 && token.len == before->kept_len &&
           CRYPTO_memcmp(before->kept, token.data, token.len) == 0;
}

static void keep(struct rd_identity *identity, struct rd_slice token)
{
    if (token.len == 0 || token.len > sizeof identity->kept)
        return;
    memcpy(identity->kept, token.data, token.len);
    identity->kept_len = token.len;
}

bool rd_auth_identify(struct rd_auth_view *view, struct rd_slice token, const struct rd_identity *before,
                      struct rd_identity *ret_identity)
{
    struct rd_identity identity = {.shown = true};
    if (is_the_same(before, token)) {
        identity = *before;
        (void)rd_auth_token(view, &identity);
        *ret_identity = identity;
        return true;
    }
    if (EVP_DigestInit_ex(view->ctx, view->sha256, NULL) != 1 ||
        EVP_DigestUpdate(view->ctx, token.data, token.len) != 1 ||
        EVP_DigestFinal_ex(view->ctx, identity.digest, NULL) != 1)
        return false;
    keep(&identity, token);
    (void)rd_auth_token(view, &identity);
    *ret_identity = identity;
    return true;
}

const struct rd_token *rd_auth_token(struct rd_auth_view *view, struct rd_identity *identity)
{
    refresh(view);
    if (!identity->shown)
        return NULL;
    if (identity->serial != view->serial) {
        identity->token = rd_tokens_find(view->tokens, identity->digest);
        identity->serial = view->serial;
    }
    return identity->token;
}
