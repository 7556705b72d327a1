/* SPDX-License-Identifier: MIT */
#include "clients/bench/pipe.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "clients/c/tls.h"

#define IN_LEN       (64u << 10)
#define SEAL_LEN_MAX (64u << 10) /* plain bytes sealed before the socket is asked */

struct rd_pipe_tls {
    struct rd_tls_stream *stream; /* owned */
    size_t output_sent;           /* of the stream's output */
    struct rd_slice in_left;      /* of `in`; not unsealed yet */
    uint8_t in[IN_LEN];
};

/* ---- opening and closing ---------------------------------------------------------------------------------- */

/* 0: all of the output has left. */
static int flush(struct rd_pipe *pipe, int flags)
{
    struct rd_buffer *output = rd_tls_stream_output(pipe->tls->stream);
    while (pipe->tls->output_sent < output->len) {
        ssize_t sent = send(pipe->fd, output->data + pipe->tls->output_sent, output->len - pipe->tls->output_sent,
                            flags | MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            return -1;
        if (sent > 0)
            pipe->tls->output_sent += (size_t)sent;
    }
    rd_buffer_clear(output);
    pipe->tls->output_sent = 0;
    return 0;
}

static enum rd_status shake_hands(struct rd_pipe *pipe, struct rd_error *ret_error)
{
    struct rd_pipe_tls *tls = pipe->tls;
    for (;;) {
        size_t none;
        enum rd_tls_input input = rd_tls_stream_unseal(tls->stream, &tls->in_left, NULL, 0, &none);
        int flushed = flush(pipe, 0);
        if (input == RD_TLS_INPUT_FAILED)
            return rd_error_set(ret_error, RD_UNAVAILABLE, 0, "%s", rd_tls_stream_failure(tls->stream));
        if (rd_tls_stream_is_established(tls->stream))
            return RD_OK;
        ssize_t len = flushed == 0 ? recv(pipe->fd, tls->in, IN_LEN, 0) : -1;
        if (len == 0)
            return rd_error_set(ret_error, RD_UNAVAILABLE, 0, "the server closed the connection");
        if (len < 0 && errno != EINTR)
            return rd_error_set(ret_error, RD_UNAVAILABLE, errno, "TLS with the server");
        tls->in_left = rd_slice(tls->in, len > 0 ? (size_t)len : 0);
    }
}

static enum rd_status secure(struct rd_pipe *pipe, const struct rd_endpoint *endpoint, struct rd_error *ret_error)
{
    struct rd_slice host;
    struct rd_slice port;
    pipe->tls = malloc(sizeof *pipe->tls);
    if (pipe->tls == NULL || !rd_text_split_address(rd_slice_of_string(endpoint->server), &host, &port))
        return rd_error_set(ret_error, RD_NO_MEMORY, 0, "no memory for TLS");
    pipe->tls->stream = NULL;
    pipe->tls->output_sent = 0;
    pipe->tls->in_left = rd_slice(pipe->tls->in, 0);
    enum rd_status status = rd_tls_stream_create(endpoint->trust, host, NULL, &pipe->tls->stream, ret_error);
    return status == RD_OK ? shake_hands(pipe, ret_error) : status;
}

enum rd_status rd_pipe_open(struct rd_pipe *pipe, const struct rd_endpoint *endpoint, struct rd_error *ret_error)
{
    *pipe = (struct rd_pipe){.fd = -1};
    enum rd_status status = rd_endpoint_connect(endpoint, &pipe->fd, ret_error);
    if (status == RD_OK && endpoint->trust != NULL)
        status = secure(pipe, endpoint, ret_error);
    if (status != RD_OK)
        rd_pipe_close(pipe);
    return status;
}

void rd_pipe_close(struct rd_pipe *pipe)
{
    if (pipe->tls != NULL && pipe->tls->stream != NULL && rd_pipe_is_sent(pipe)) {
        rd_tls_stream_end(pipe->tls->stream);
        (void)flush(pipe, MSG_DONTWAIT); /* a courtesy */
    }
    if (pipe->tls != NULL)
        rd_tls_stream_destroy(pipe->tls->stream);
    free(pipe->tls);
    pipe->tls = NULL;
    if (pipe->fd >= 0)
        close(pipe->fd);
    pipe->fd = -1;
}

/* ---- bytes ------------------------------------------------------------------------------------------------ */

ssize_t rd_pipe_send(struct rd_pipe *pipe, const struct iovec *parts, size_t part_count, int flags)
{
    if (pipe->tls == NULL) {
        struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = part_count};
        return sendmsg(pipe->fd, &message, flags | MSG_NOSIGNAL);
    }
    if (flush(pipe, flags) != 0)
        return -1;
    size_t taken = 0;
    for (size_t i = 0; i < part_count && taken < SEAL_LEN_MAX; i++) {
        struct rd_slice part = rd_slice(parts[i].iov_base, parts[i].iov_len);
        part = rd_slice_take(&part, SEAL_LEN_MAX - taken);
        if (!rd_tls_stream_seal(pipe->tls->stream, part)) {
            errno = EPROTO;
            return -1;
        }
        taken += part.len;
    }
    if (flush(pipe, flags) != 0 && errno != EAGAIN && errno != EWOULDBLOCK)
        return -1;
    return (ssize_t)taken;
}

bool rd_pipe_is_sent(const struct rd_pipe *pipe)
{
    return pipe->tls == NULL || rd_tls_stream_output(pipe->tls->stream)->len == 0;
}

/* Unseals what is there. Negative: errno says why; 0: the end, and *ret_more false. */
static ssize_t unseal(struct rd_pipe *pipe, uint8_t *to, size_t len, bool *ret_more)
{
    struct rd_pipe_tls *tls = pipe->tls;
    size_t filled = 0;
    *ret_more = true;
    while (filled < len) {
        size_t some = 0;
        switch (rd_tls_stream_unseal(tls->stream, &tls->in_left, to + filled, len - filled, &some)) {
        case RD_TLS_INPUT_PLAIN:
            filled += some;
            continue;
        case RD_TLS_INPUT_MORE:
            return (ssize_t)filled;
        case RD_TLS_INPUT_ENDED:
            *ret_more = false;
            return (ssize_t)filled;
        case RD_TLS_INPUT_FAILED:
            errno = EPROTO;
            return -1;
        }
    }
    return (ssize_t)filled;
}

ssize_t rd_pipe_receive(struct rd_pipe *pipe, uint8_t *to, size_t len, int flags)
{
    if (pipe->tls == NULL)
        return recv(pipe->fd, to, len, flags);
    for (;;) {
        bool more;
        ssize_t filled = unseal(pipe, to, len, &more);
        if (filled != 0 || !more)
            return filled;
        ssize_t received = recv(pipe->fd, pipe->tls->in, IN_LEN, flags);
        if (received <= 0)
            return received;
        pipe->tls->in_left = rd_slice(pipe->tls->in, (size_t)received);
    }
}
