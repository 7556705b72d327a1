/* SPDX-License-Identifier: MIT
 *
 * tls.h - TLS 1.3 between a socket and its protocol: the certificate in force, and a session for each connection.
 *
 * A session is a filter and does no I/O: what came from the socket goes in, what is to go to the socket is left in
 * a buffer. "Sealed" bytes are those on the wire, records with all that TLS adds; "plain" ones are the protocol's.
 *
 *   socket -> sealed -> rd_tls_unseal -> plain -> decoder
 *   outbox -> plain  -> rd_tls_seal   -> sealed (rd_tls_take_output) -> socket
 *
 * Nothing is renegotiated or resumed, and no data comes early: connections are long, a handshake is cheap beside
 * that, and so there is no ticket key to keep secret and no session that outlives a replaced certificate.
 *
 * Threads: rd_tls_create and rd_tls_destroy before and after the loops; a certificate is replaced on any thread,
 * while others begin sessions; a session is its loop's.
 */
#ifndef RD_SERVER_TLS_H
#define RD_SERVER_TLS_H

#include "base/buffer.h"
#include "base/status.h"

/* Plain bytes of one record; more of them are sealed as several. */
#define RD_TLS_RECORD_LEN_MAX (16u << 10)

struct rd_tls;
struct rd_tls_session;

/* PEM files: the certificate with its chain behind it, and its key, unencrypted. RD_INVALID_ARGUMENT names the
 * file and says why; RD_NO_MEMORY. */
enum rd_status rd_tls_create(const char *cert_path, const char *key_path, struct rd_tls **ret_tls,
                             struct rd_error *ret_error) RD_MUST_CHECK;

/* After all sessions; NULL is fine. */
void rd_tls_destroy(struct rd_tls *tls);

/* Another certificate for sessions that begin from rd_tls_adopt on; those under way keep what they began with.
 * Nothing has changed before that, and nothing will where the files cannot be used, or rd_tls_discard is called.
 * One thread at a time. */
enum rd_status rd_tls_prepare(struct rd_tls *tls, const char *cert_path, const char *key_path,
                              struct rd_error *ret_error) RD_MUST_CHECK;
void rd_tls_adopt(struct rd_tls *tls);
void rd_tls_discard(struct rd_tls *tls);

/* protocol: what ALPN calls the protocol spoken here, a constant; a client that asks for others alone is refused.
 * NULL: none has a name here. Owned by the caller; NULL: no memory. */
struct rd_tls_session *rd_tls_session_create(struct rd_tls *tls, const char *protocol);
void rd_tls_session_destroy(struct rd_tls_session *session);

enum rd_tls_outcome {
    RD_TLS_PLAIN, /* some plain bytes; there may be more: call again */
    RD_TLS_MORE,  /* *sealed is used up, and more is needed */
    RD_TLS_ENDED, /* the peer has said that no more comes; sealing goes on */
    RD_TLS_FAILED /* rd_tls_failure says why. What is left of the session is its output, an alert perhaps */
};

/* Moves *sealed over what was taken and writes up to len_max plain bytes to `to`. Output may come of it. */
enum rd_tls_outcome rd_tls_unseal(struct rd_tls_session *session, struct rd_slice *sealed, uint8_t *to,
                                  size_t len_max, size_t *ret_len);

/* Appends to the output. After the handshake only. False: it failed, as above. */
bool rd_tls_seal(struct rd_tls_session *session, struct rd_slice plain);

/* Says to the peer that no more comes, in the output. Nothing before the handshake or after a failure. */
void rd_tls_end(struct rd_tls_session *session);

/* Moves what is to be sent to an empty buffer, whose memory the session takes for what comes next. */
void rd_tls_take_output(struct rd_tls_session *session, struct rd_buffer *ret_output);

/* The handshake is over: bytes that were unsealed come from who holds the session's keys. */
bool rd_tls_is_established(const struct rd_tls_session *session);

/* "" where it has not failed. Borrowed. */
const char *rd_tls_failure(const struct rd_tls_session *session);

#endif
