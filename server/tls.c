/* SPDX-License-Identifier: MIT */
#include "server/tls.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "base/regular_file.h"
#include "base/tls_pipe.h"

/* Above what is sealed between two visits to the socket. A peer that makes us answer without reading (asking for
 * new keys again and again) ends here. */
#define OUTPUT_LEN_MAX (1u << 20)

#define CERTIFICATE "the TLS certificate"
#define KEY         "the TLS key"

struct rd_tls {
    SSL_CTX *prepared; /* owned; NULL: none. Whoever prepares */
    uv_mutex_t lock;
    SSL_CTX *context; /* guarded by lock; one reference, sessions have their own */
};

struct rd_tls_session {
    SSL *ssl;                /* owned */
    struct rd_tls_pipe pipe; /* out: to be sent */
    const char *protocol;    /* for ALPN, NULL: none; constant */
    bool established;
    char failure[128]; /* "": none */
};

/* ---- what OpenSSL says ------------------------------------------------------------------------------------ */

/* The first of the thread's errors is the cause, those behind it are who passed it on. */
static void take_reason(char *to, size_t to_size)
{
    unsigned long code = ERR_peek_error();
    const char *reason = ERR_reason_error_string(code);
    if (code == 0)
        snprintf(to, to_size, "no reason is known");
    else if (ERR_SYSTEM_ERROR(code))
        snprintf(to, to_size, "%s", strerror(ERR_GET_REASON(code)));
    else if (ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_HTTP_REQUEST)
        snprintf(to, to_size, "plain HTTP was sent, and TLS is spoken here");
    else if (reason != NULL)
        snprintf(to, to_size, "%s", reason);
    else
        snprintf(to, to_size, "error %lx", code);
    ERR_clear_error();
}

/* ---- the certificate -------------------------------------------------------------------------------------- */

/* Instead of a question on the terminal. */
static int refuse_password(char *to, int to_size, int writes, void *user)
{
    (void)to;
    (void)to_size;
    (void)writes;
    (void)user;
    return -1;
}

/* Of the protocols that a client names ours has to be one: so a browser that was led to another protocol's port
 * gets nowhere. */
static int choose_protocol(SSL *ssl, const unsigned char **ret_name, unsigned char *ret_len,
                           const unsigned char *offered, unsigned offered_len, void *user)
{
    (void)user;
    const struct rd_tls_session *session = SSL_get_app_data(ssl);
    struct rd_slice rest = rd_slice(offered, offered_len);
    while (session->protocol != NULL && rest.len != 0) {
        size_t len = rest.data[0];
        rd_slice_take(&rest, 1);
        struct rd_slice name = rd_slice_take(&rest, len);
        if (!rd_slice_equal(name, rd_slice_of_string(session->protocol)))
            continue;
        *ret_name = name.data;
        *ret_len = (unsigned char)name.len;
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static bool set_terms(SSL_CTX *context)
{
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS); /* an idle connection keeps no room for records */
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_default_passwd_cb(context, refuse_password);
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
    return SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 && SSL_CTX_set_num_tickets(context, 0) == 1;
}

static enum rd_status fail_to_load(struct rd_error *ret_error, const char *what, const char *path)
{
    char reason[128];
    take_reason(reason, sizeof reason);
    return rd_error_set(ret_error, RD_INVALID_ARGUMENT, 0, "%s %.100s: %s", what, path, reason);
}

/* OpenSSL opens the files by itself, and would wait for whoever writes to a pipe. */
static enum rd_status look_at_file(const char *what, const char *path, struct rd_error *ret_error)
{
    int fd = rd_regular_file_open(path);
    if (fd < 0 && errno == 0)
        return rd_error_set(ret_error, RD_INVALID_ARGUMENT, 0, "%s %.100s: no regular file", what, path);
    if (fd < 0)
        return rd_error_set(ret_error, RD_INVALID_ARGUMENT, errno, "%s %.100s", what, path);
    close(fd);
    return RD_OK;
}

static enum rd_status load(const char *cert_path, const char *key_path, SSL_CTX **ret_context,
                           struct rd_error *ret_error)
{
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    enum rd_status status = look_at_file(CERTIFICATE, cert_path, ret_error);
    if (status == RD_OK)
        status = look_at_file(KEY, key_path, ret_error);
    if (status == RD_OK && (context == NULL || !set_terms(context)))
        status = rd_error_set(ret_error, RD_NO_MEMORY, 0, "TLS cannot be set up");
    else if (status == RD_OK && SSL_CTX_use_certificate_chain_file(context, cert_path) != 1)
        status = fail_to_load(ret_error, CERTIFICATE, cert_path);
    else if (status == RD_OK && (SSL_CTX_use_PrivateKey_file(context, key_path, SSL_FILETYPE_PEM) != 1 ||
                                 SSL_CTX_check_private_key(context) != 1))
        status = fail_to_load(ret_error, KEY, key_path);
    if (status == RD_OK)
        *ret_context = context;
    else
        SSL_CTX_free(context);
    ERR_clear_error();
    return status;
}

enum rd_status rd_tls_create(const char *cert_path, const char *key_path, struct rd_tls **ret_tls,
                             struct rd_error *ret_error)
{
    struct rd_tls *tls = calloc(1, sizeof *tls);
    if (tls == NULL || uv_mutex_init(&tls->lock) != 0) {
        free(tls);
        return rd_error_set(ret_error, RD_NO_MEMORY, 0, "no memory for TLS");
    }
    enum rd_status status = load(cert_path, key_path, &tls->context, ret_error);
    if (status == RD_OK)
        *ret_tls = tls;
    else
        rd_tls_destroy(tls);
    return status;
}

void rd_tls_destroy(struct rd_tls *tls)
{
    if (tls == NULL)
        return;
    rd_tls_discard(tls);
    SSL_CTX_free(tls->context);
    uv_mutex_destroy(&tls->lock);
    free(tls);
}

enum rd_status rd_tls_prepare(struct rd_tls *tls, const char *cert_path, const char *key_path,
                              struct rd_error *ret_error)
{
    rd_tls_discard(tls);
    return load(cert_path, key_path, &tls->prepared, ret_error);
}

void rd_tls_adopt(struct rd_tls *tls)
{
    if (tls->prepared == NULL)
        return;
    uv_mutex_lock(&tls->lock);
    SSL_CTX *old = tls->context;
    tls->context = tls->prepared;
    uv_mutex_unlock(&tls->lock);
    tls->prepared = NULL;
    SSL_CTX_free(old);
}

void rd_tls_discard(struct rd_tls *tls)
{
    SSL_CTX_free(tls->prepared);
    tls->prepared = NULL;
}

/* ---- a session -------------------------------------------------------------------------------------------- */

static SSL *make_ssl(struct rd_tls *tls)
{
    uv_mutex_lock(&tls->lock);
    SSL *ssl = SSL_new(tls->context);
    uv_mutex_unlock(&tls->lock);
    return ssl;
}

struct rd_tls_session *rd_tls_session_create(struct rd_tls *tls, const char *protocol)
{
    struct rd_tls_session *session = calloc(1, sizeof *session);
    SSL *ssl = make_ssl(tls);
    if (session == NULL || ssl == NULL || !rd_tls_pipe_attach(&session->pipe, ssl)) {
        SSL_free(ssl);
        free(session);
        return NULL;
    }
    session->ssl = ssl;
    session->protocol = protocol;
    rd_buffer_init(&session->pipe.out, OUTPUT_LEN_MAX);
    SSL_set_app_data(ssl, session);
    SSL_set_accept_state(ssl);
    return session;
}

void rd_tls_session_destroy(struct rd_tls_session *session)
{
    if (session == NULL)
        return;
    SSL_free(session->ssl);
    rd_buffer_deinit(&session->pipe.out);
    free(session);
}

static void fail(struct rd_tls_session *session)
{
    if (session->pipe.out.failed)
        snprintf(session->failure, sizeof session->failure, "its answers have no room");
    else
        take_reason(session->failure, sizeof session->failure);
}

enum rd_tls_outcome rd_tls_unseal(struct rd_tls_session *session, struct rd_slice *sealed, uint8_t *to,
                                  size_t len_max, size_t *ret_len)
{
    ERR_clear_error();
    session->pipe.in = *sealed;
    int result = SSL_read_ex(session->ssl, to, len_max, ret_len);
    *sealed = session->pipe.in;
    session->pipe.in = rd_slice(NULL, 0);
    session->established = session->established || SSL_is_init_finished(session->ssl) == 1;
    if (result == 1)
        return RD_TLS_PLAIN;
    switch (SSL_get_error(session->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return RD_TLS_MORE;
    case SSL_ERROR_ZERO_RETURN:
        return RD_TLS_ENDED;
    default:
        fail(session);
        return RD_TLS_FAILED;
    }
}

bool rd_tls_seal(struct rd_tls_session *session, struct rd_slice plain)
{
    assert(session->established);
    size_t taken;
    if (session->failure[0] != '\0')
        return false;
    ERR_clear_error();
    if (plain.len == 0 || SSL_write_ex(session->ssl, plain.data, plain.len, &taken) == 1)
        return true;
    fail(session);
    return false;
}

void rd_tls_end(struct rd_tls_session *session)
{
    if (!session->established || session->failure[0] != '\0')
        return;
    ERR_clear_error();
    (void)SSL_shutdown(session->ssl); /* fails only where its few bytes have no room */
    ERR_clear_error();
}

void rd_tls_take_output(struct rd_tls_session *session, struct rd_buffer *ret_output)
{
    struct rd_buffer empty = *ret_output;
    *ret_output = session->pipe.out;
    session->pipe.out = empty;
    session->pipe.out.len_max = OUTPUT_LEN_MAX;
}

bool rd_tls_is_established(const struct rd_tls_session *session)
{
    return session->established;
}

const char *rd_tls_failure(const struct rd_tls_session *session)
{
    return session->failure;
}
