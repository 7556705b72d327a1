/* SPDX-License-Identifier: MIT */
#include "server/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#define PIPE_LEN                                                                                                  \
    (512 << 10) /* a share of a turn, which may begin and end within a page, in a power of two of pages */

static void close_pipe(struct rd_pages *pages)
{
    close(pages->ends[0]);
    close(pages->ends[1]);
    pages->open = false;
}

/* Descriptors that have run out come back; a limit of pipes does not. */
static bool open_pipe(struct rd_pages *pages)
{
    if (pages->open)
        return true;
    if (pages->refused || pipe2(pages->ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return false;
    pages->open = true;
    if (fcntl(pages->ends[1], F_SETPIPE_SZ, PIPE_LEN) >= 0)
        return true;
    pages->refused = true;
    close_pipe(pages);
    return false;
}

void rd_pages_deinit(struct rd_pages *pages)
{
    if (pages->open)
        close_pipe(pages);
}

int rd_pages_send(struct rd_pages *pages, uv_os_fd_t socket, const uv_buf_t *bytes)
{
    struct iovec piece = {.iov_base = bytes->base, .iov_len = bytes->len};
    if (!open_pipe(pages))
        return 0;
    ssize_t filled = vmsplice(pages->ends[1], &piece, 1, SPLICE_F_NONBLOCK);
    if (filled <= 0) { /* nothing is in the pipe: a page cannot be read, which a copy finds out, too */
        pages->refused = filled < 0 && (errno == EPERM || errno == ENOSYS);
        return 0;
    }
    ssize_t sent = splice(pages->ends[0], NULL, socket, NULL, (size_t)filled, SPLICE_F_NONBLOCK);
    int os_errno = errno;
    if (sent < filled)
        close_pipe(pages); /* with what the socket did not take */
    if (sent >= 0)
        return (int)sent;
    if (os_errno == EAGAIN)
        return UV_EAGAIN;
    pages->refused = os_errno == EPERM || os_errno == ENOSYS || os_errno == EINVAL;
    return 0;
}
