/* SPDX-License-Identifier: MIT
 *
 * secure.h - TLS over a connected socket, with deadlines: what socket.h does with plain bytes. One thread at a
 * time.
 */
#ifndef RD_CLIENTS_C_SECURE_H
#define RD_CLIENTS_C_SECURE_H

#include "clients/c/socket.h"

struct rd_secure;
struct rd_tls_trust;

/* Has the server prove that it is `server` (HOST:PORT). The socket stays the caller's and must stay open.
 * RD_UNAVAILABLE: it does not, or speaks no TLS; RD_TIMEOUT, RD_IO_ERROR, RD_NO_MEMORY. */
enum rd_status rd_secure_open(int fd, struct rd_tls_trust *trust, const char *server, int64_t deadline_ms,
                              struct rd_secure **ret_secure, struct rd_error *ret_error) RD_MUST_CHECK;

/* Says good-bye where that takes no time. NULL is fine. */
void rd_secure_close(struct rd_secure *secure);

/* As rd_socket_send and rd_socket_receive. */
enum rd_status rd_secure_send(struct rd_secure *secure, const struct iovec *parts, size_t part_count,
                              int64_t deadline_ms, struct rd_error *ret_error) RD_MUST_CHECK;
enum rd_status rd_secure_receive(struct rd_secure *secure, uint8_t *to, size_t len, int64_t deadline_ms,
                                 size_t *ret_len, struct rd_error *ret_error) RD_MUST_CHECK;

/* True where receiving would not wait: there is something, or the connection is over. What TLS has for itself is
 * taken meanwhile. */
bool rd_secure_is_ready(struct rd_secure *secure);

#endif
