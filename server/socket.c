/* SPDX-License-Identifier: MIT */
#include "server/socket.h"

#include <errno.h>
#include <sys/socket.h>

ssize_t rd_socket_receive(uv_os_fd_t socket, void *to, size_t len)
{
    ssize_t got;
    do
        got = recv(socket, to, len, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return uv_translate_sys_error(errno);
    return got == 0 ? UV_EOF : got;
}

ssize_t rd_socket_send(uv_os_fd_t socket, const uv_buf_t *buffers, unsigned count, int flags)
{
    /* uv_buf_t is laid out as struct iovec (uv/unix.h). */
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)buffers, .msg_iovlen = count};
    flags |= MSG_DONTWAIT | MSG_NOSIGNAL;
    ssize_t sent;
    do
        sent = count == 1 ? send(socket, buffers->base, buffers->len, flags) : sendmsg(socket, &message, flags);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return errno == ENOBUFS ? UV_EAGAIN : uv_translate_sys_error(errno);
    return sent;
}
