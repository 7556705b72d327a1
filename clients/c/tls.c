/* SPDX-License-Identifier: MIT */
#include "clients/c/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/tls_pipe.h"

#define HOST_LEN_MAX 255u

struct rd_tls_trust {
    SSL_CTX *context; /* one reference; streams have their own */
};

struct rd_tls_stream {
    SSL *ssl;                /* owned */
    struct rd_tls_pipe pipe; /* out: to be sent */
    bool established;
    char host[HOST_LEN_MAX + 1];
    char failure[200]; /* "": none */
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
    else if (reason != NULL)
        snprintf(to, to_size, "%s", reason);
    else
        snprintf(to, to_size, "error %lx", code);
    ERR_clear_error();
}

static void fail(struct rd_tls_stream *stream)
{
    char reason[128];
    long verdict = SSL_get_verify_result(stream->ssl);
    bool plain = ERR_GET_LIB(ERR_peek_error()) == ERR_LIB_SSL &&
                 ERR_GET_REASON(ERR_peek_error()) == SSL_R_WRONG_VERSION_NUMBER;
    take_reason(reason, sizeof reason);
    if (!stream->established && verdict != X509_V_OK)
        snprintf(stream->failure, sizeof stream->failure, "the certificate of %.60s is not believed: %s",
                 stream->host, X509_verify_cert_error_string(verdict));
    else if (!stream->established && plain)
        snprintf(stream->failure, sizeof stream->failure, "the server does not speak TLS");
    else
        snprintf(stream->failure, sizeof stream->failure, "TLS with the server failed: %s", reason);
}

/* ---- trust ------------------------------------------------------------------------------------------------ */

static enum rd_status load_authorities(SSL_CTX *context, const char *ca_path, struct rd_error *ret_error)
{
    int loaded =
        ca_path != NULL ? SSL_CTX_load_verify_file(context, ca_path) : SSL_CTX_set_default_verify_paths(context);
    if (loaded == 1)
        return RD_OK;
    char reason[128];
    take_reason(reason, sizeof reason);
    return rd_error_set(ret_error, RD_INVALID_ARGUMENT, 0, "the certificates to believe, %.100s: %s",
                        ca_path != NULL ? ca_path : "the system's", reason);
}

enum rd_status rd_tls_trust_create(const char *ca_path, struct rd_tls_trust **ret_trust,
                                   struct rd_error *ret_error)
{
    ERR_clear_error();
    struct rd_tls_trust *trust = calloc(1, sizeof *trust);
    if (trust == NULL)
        return rd_error_set(ret_error, RD_NO_MEMORY, 0, "no memory for TLS");
    trust->context = SSL_CTX_new(TLS_client_method());
    enum rd_status status = RD_OK;
    if (trust->context == NULL || SSL_CTX_set_min_proto_version(trust->context, TLS1_3_VERSION) != 1)
        status = rd_error_set(ret_error, RD_NO_MEMORY, 0, "TLS cannot be set up");
    else
        status = load_authorities(trust->context, ca_path, ret_error);
    if (status != RD_OK) {
        rd_tls_trust_destroy(trust);
        return status;
    }
    SSL_CTX_set_verify(trust->context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(trust->context, SSL_SESS_CACHE_OFF);
    *ret_trust = trust;
    return RD_OK;
}

void rd_tls_trust_destroy(struct rd_tls_trust *trust)
{
    if (trust == NULL)
        return;
    SSL_CTX_free(trust->context);
    free(trust);
}

/* ---- a stream --------------------------------------------------------------------------------------------- */

/* Addresses stand in certificates as such, and are not sent as a name. */
static bool expect_host(SSL *ssl, const char *host)
{
    uint8_t address[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static bool offer_protocol(SSL *ssl, const char *protocol)
{
    uint8_t list[64];
    size_t len = protocol != NULL ? strlen(protocol) : 0;
    if (len == 0 || len >= sizeof list)
        return len == 0;
    list[0] = (uint8_t)len;
    memcpy(list + 1, protocol, len);
    return SSL_set_alpn_protos(ssl, list, (unsigned)len + 1) == 0;
}

static bool attach(struct rd_tls_trust *trust, struct rd_tls_stream *stream)
{
    stream->ssl = SSL_new(trust->context);
    if (stream->ssl == NULL || !rd_tls_pipe_attach(&stream->pipe, stream->ssl))
        return false;
    SSL_set_connect_state(stream->ssl);
    return true;
}

enum rd_status rd_tls_stream_create(struct rd_tls_trust *trust, struct rd_slice host, const char *protocol,
                                    struct rd_tls_stream **ret_stream, struct rd_error *ret_error)
{
    if (host.len > HOST_LEN_MAX)
        return rd_error_set(ret_error, RD_INVALID_ARGUMENT, 0, "the server's name is too long");
    ERR_clear_error();
    struct rd_tls_stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL || !attach(trust, stream)) {
        rd_tls_stream_destroy(stream);
        return rd_error_set(ret_error, RD_NO_MEMORY, 0, "no memory for TLS");
    }
    memcpy(stream->host, host.data, host.len);
    rd_buffer_init(&stream->pipe.out, 0);
    if (!expect_host(stream->ssl, stream->host) || !offer_protocol(stream->ssl, protocol)) {
        rd_tls_stream_destroy(stream);
        return rd_error_set(ret_error, RD_INVALID_ARGUMENT, 0, "\"%.100s\" cannot be a server's name", host.data);
    }
    (void)SSL_do_handshake(stream->ssl); /* to be continued with the first input; what failed fails then, too */
    ERR_clear_error();
    *ret_stream = stream;
    return RD_OK;
}

void rd_tls_stream_destroy(struct rd_tls_stream *stream)
{
    if (stream == NULL)
        return;
    SSL_free(stream->ssl);
    rd_buffer_deinit(&stream->pipe.out);
    free(stream);
}

enum rd_tls_input rd_tls_stream_unseal(struct rd_tls_stream *stream, struct rd_slice *sealed, uint8_t *to,
                                       size_t len_max, size_t *ret_len)
{
    uint8_t byte;
    size_t len = 0;
    if (stream->failure[0] != '\0')
        return RD_TLS_INPUT_FAILED;
    ERR_clear_error();
    stream->pipe.in = *sealed;
    int result = len_max != 0 ? SSL_read_ex(stream->ssl, to, len_max, &len)
                              : SSL_peek_ex(stream->ssl, &byte, sizeof byte, &len);
    *sealed = stream->pipe.in;
    stream->pipe.in = rd_slice(NULL, 0);
    stream->established = stream->established || SSL_is_init_finished(stream->ssl) == 1;
    if (result == 1) {
        *ret_len = len_max != 0 ? len : 0;
        return RD_TLS_INPUT_PLAIN;
    }
    switch (SSL_get_error(stream->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return RD_TLS_INPUT_MORE;
    case SSL_ERROR_ZERO_RETURN:
        return RD_TLS_INPUT_ENDED;
    default:
        fail(stream);
        return RD_TLS_INPUT_FAILED;
    }
}

bool rd_tls_stream_seal(struct rd_tls_stream *stream, struct rd_slice plain)
{
    size_t taken;
    if (stream->failure[0] != '\0')
        return false;
    ERR_clear_error();
    if (plain.len == 0 || SSL_write_ex(stream->ssl, plain.data, plain.len, &taken) == 1)
        return true;
    fail(stream);
    return false;
}

void rd_tls_stream_end(struct rd_tls_stream *stream)
{
    if (!stream->established || stream->failure[0] != '\0')
        return;
    ERR_clear_error();
    (void)SSL_shutdown(stream->ssl); /* fails only where there is no memory for its few bytes */
    ERR_clear_error();
}

struct rd_buffer *rd_tls_stream_output(struct rd_tls_stream *stream)
{
    return &stream->pipe.out;
}

bool rd_tls_stream_is_established(const struct rd_tls_stream *stream)
{
    return stream->established;
}

const char *rd_tls_stream_failure(const struct rd_tls_stream *stream)
{
    return stream->failure;
}
