/* SPDX-License-Identifier: MIT
 *
 * tls.h - TLS 1.3 as a client speaks it: whom to believe, and the two ends of a stream without its socket. What
 * came from the socket goes in, what is to go to it comes out; "sealed" bytes are those on the wire.
 *
 * A server is believed if its certificate leads to an authority of the trust, is valid now and names the host that
 * was asked for: by name, or by address where the host is one.
 *
 * Threads: a trust is used by one thread at a time, a stream likewise.
 */
#ifndef RD_CLIENTS_C_TLS_H
#define RD_CLIENTS_C_TLS_H

#include "base/buffer.h"
#include "base/status.h"

struct rd_tls_trust;
struct rd_tls_stream;

/* ca_path: a PEM file of authorities (or of the server's own certificate); NULL: those that the system believes.
 * RD_INVALID_ARGUMENT says what is wrong with the file. */
enum rd_status rd_tls_trust_create(const char *ca_path, struct rd_tls_trust **ret_trust,
                                   struct rd_error *ret_error) RD_MUST_CHECK;
void rd_tls_trust_destroy(struct rd_tls_trust *trust); /* NULL is fine; streams may go on */

/* protocol: what ALPN is to ask for; NULL: nothing. Its output is the beginning of the handshake. Owned by the
 * caller. RD_NO_MEMORY, RD_INVALID_ARGUMENT. */
enum rd_status rd_tls_stream_create(struct rd_tls_trust *trust, struct rd_slice host, const char *protocol,
                                    struct rd_tls_stream **ret_stream, struct rd_error *ret_error) RD_MUST_CHECK;
void rd_tls_stream_destroy(struct rd_tls_stream *stream); /* NULL is fine */

enum rd_tls_input {
    RD_TLS_INPUT_PLAIN, /* some plain bytes; there may be more: call again */
    RD_TLS_INPUT_MORE,  /* *sealed is used up, and more is needed */
    RD_TLS_INPUT_ENDED, /* the server has said that no more comes */
    RD_TLS_INPUT_FAILED /* rd_tls_stream_failure says why; what output there is should be sent still */
};

/* Moves *sealed over what was taken and writes up to len_max plain bytes to `to`; len_max 0: only looks whether
 * there are some. Output may come of it. */
enum rd_tls_input rd_tls_stream_unseal(struct rd_tls_stream *stream, struct rd_slice *sealed, uint8_t *to,
                                       size_t len_max, size_t *ret_len);

/* Appends to the output; once the stream is established. False: it failed, as above. */
bool rd_tls_stream_seal(struct rd_tls_stream *stream, struct rd_slice plain);

/* Says that no more comes, in the output. Nothing where that would make no sense. */
void rd_tls_stream_end(struct rd_tls_stream *stream);

/* What is to be sent: the caller takes from its front, or swaps it for an empty one. */
struct rd_buffer *rd_tls_stream_output(struct rd_tls_stream *stream);

/* The server is believed: from now on plain bytes go both ways. */
bool rd_tls_stream_is_established(const struct rd_tls_stream *stream);

/* "" where it has not failed. Borrowed. */
const char *rd_tls_stream_failure(const struct rd_tls_stream *stream);

#endif
