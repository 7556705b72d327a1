/* SPDX-License-Identifier: MIT
 *
 * socket.h - connecting, sending and receiving with a deadline. Deadlines are milliseconds of the monotonic clock.
 * No function raises SIGPIPE. Any thread; a descriptor is used by one at a time.
 */
#ifndef RD_CLIENTS_C_SOCKET_H
#define RD_CLIENTS_C_SOCKET_H

#include <sys/uio.h>

#include "base/slice.h"
#include "base/status.h"

int64_t rd_socket_now_ms(void);

/* Tries each address of the name in turn. *ret_fd is owned by the caller. RD_UNAVAILABLE (nobody listens, no such
 * name), RD_TIMEOUT, RD_INVALID_ARGUMENT. */
enum rd_status rd_socket_connect_tcp(const char *server, int64_t deadline_ms, int *ret_fd,
                                     struct rd_error *ret_error) RD_MUST_CHECK;
enum rd_status rd_socket_connect_unix(const char *path, int64_t deadline_ms, int *ret_fd,
                                      struct rd_error *ret_error) RD_MUST_CHECK;

/* Sends everything; parts are changed on the way. RD_TIMEOUT, RD_IO_ERROR. */
enum rd_status rd_socket_send(int fd, struct iovec *parts, size_t part_count, int64_t deadline_ms,
                              struct rd_error *ret_error) RD_MUST_CHECK;

/* Receives at least one byte. RD_TIMEOUT, RD_IO_ERROR (the end of the stream is one). */
enum rd_status rd_socket_receive(int fd, uint8_t *to, size_t len, int64_t deadline_ms, size_t *ret_len,
                                 struct rd_error *ret_error) RD_MUST_CHECK;

/* True where the other side has hung up, or has sent what nobody asked for: nothing is to be sent there any more.
 */
bool rd_socket_is_stale(int fd);

#endif
