/* SPDX-License-Identifier: MIT
 *
 * socket.h - a connection's bytes, from and to its socket at once, in place of libuv's read(2) and write(2): those
 * go by way of the file system's layer first, which costs a small request more than answering it
 * (bench/RECORD.md). libuv stays in charge of when there is something to read, and of what the socket does not
 * take at once.
 *
 * The loop's thread only. Sockets do not block.
 */
#ifndef RD_SERVER_SOCKET_H
#define RD_SERVER_SOCKET_H

#include <uv.h>

/* Bytes read, at most len; UV_EOF where there are none any more; UV_EAGAIN or another error of libuv's. */
ssize_t rd_socket_receive(uv_os_fd_t socket, void *to, size_t len);

/* As uv_try_write, of a stream that has no write under way: bytes that the socket took, UV_EAGAIN or another error
 * of libuv's. flags: send(2)'s, such as MSG_MORE. */
ssize_t rd_socket_send(uv_os_fd_t socket, const uv_buf_t *buffers, unsigned count, int flags);

#endif
