/* SPDX-License-Identifier: MIT */
#include "clients/c/secure.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/text.h"
#include "clients/c/tls.h"

#define IN_LEN       (64u << 10)
#define SEAL_LEN_MAX (64u << 10) /* plain bytes sealed before the socket is asked */

struct rd_secure {
    int fd;                       /* borrows */
    struct rd_tls_stream *stream; /* owned */
    struct rd_slice in_left;      /* of `in`; not unsealed yet */
    uint8_t in[IN_LEN];
};

static enum rd_status send_output(struct rd_secure *secure, int64_t deadline_ms, struct rd_error *ret_error)
{
    struct rd_buffer *output = rd_tls_stream_output(secure->stream);
    if (output->len == 0)
        return RD_OK;
    struct iovec part = {.iov_base = output->data, .iov_len = output->len};
    enum rd_status status = rd_socket_send(secure->fd, &part, 1, deadline_ms, ret_error);
    rd_buffer_clear(output);
    return status;
}

/* Some plain bytes, or with len 0 the end of the handshake. What TLS answers is sent before anything is waited
 * for. The end of the stream is a failure, with its words: nobody expects one. */
static enum rd_status unseal(struct rd_secure *secure, uint8_t *to, size_t len, int64_t deadline_ms,
                             size_t *ret_len, struct rd_error *ret_error)
{
    for (;;) {
        enum rd_tls_input input = rd_tls_stream_unseal(secure->stream, &secure->in_left, to, len, ret_len);
        enum rd_status status = send_output(secure, deadline_ms, ret_error);
        if (input == RD_TLS_INPUT_FAILED)
            return rd_error_set(ret_error, RD_IO_ERROR, 0, "%s", rd_tls_stream_failure(secure->stream));
        if (input == RD_TLS_INPUT_ENDED)
            return rd_error_set(ret_error, RD_IO_ERROR, 0, "the server closed the connection");
        if (status != RD_OK || input == RD_TLS_INPUT_PLAIN ||
            (len == 0 && rd_tls_stream_is_established(secure->stream)))
            return status;
        size_t received = 0;
        status = rd_socket_receive(secure->fd, secure->in, IN_LEN, deadline_ms, &received, ret_error);
        if (status != RD_OK)
            return status;
        secure->in_left = rd_slice(secure->in, received);
    }
}

enum rd_status rd_secure_open(int fd, struct rd_tls_trust *trust, const char *server, int64_t deadline_ms,
                              struct rd_secure **ret_secure, struct rd_error *ret_error)
{
    struct rd_slice host;
    struct rd_slice port;
    if (!rd_text_split_address(rd_slice_of_string(server), &host, &port))
        return rd_error_set(ret_error, RD_INVALID_ARGUMENT, 0, "\"%s\" is not HOST:PORT", server);
    struct rd_secure *secure = malloc(sizeof *secure);
    if (secure == NULL)
        return rd_error_set(ret_error, RD_NO_MEMORY, 0, "no memory for TLS");
    secure->fd = fd;
    secure->in_left = rd_slice(secure->in, 0);
    secure->stream = NULL;
    size_t none;
    enum rd_status status = rd_tls_stream_create(trust, host, NULL, &secure->stream, ret_error);
    if (status == RD_OK)
        status = unseal(secure, NULL, 0, deadline_ms, &none, ret_error);
    if (status == RD_OK) {
        *ret_secure = secure;
        return RD_OK;
    }
    rd_tls_stream_destroy(secure->stream);
    free(secure);
    if (status == RD_IO_ERROR && ret_error != NULL)
        ret_error->status = RD_UNAVAILABLE;
    return status == RD_IO_ERROR ? RD_UNAVAILABLE : status;
}

void rd_secure_close(struct rd_secure *secure)
{
    if (secure == NULL)
        return;
    rd_tls_stream_end(secure->stream);
    const struct rd_buffer *output = rd_tls_stream_output(secure->stream);
    if (output->len != 0) /* a courtesy: the server can do without */
        (void)!send(secure->fd, output->data, output->len, MSG_NOSIGNAL | MSG_DONTWAIT);
    rd_tls_stream_destroy(secure->stream);
    free(secure);
}

enum rd_status rd_secure_send(struct rd_secure *secure, const struct iovec *parts, size_t part_count,
                              int64_t deadline_ms, struct rd_error *ret_error)
{
    for (size_t i = 0; i < part_count; i++) {
        struct rd_slice rest = rd_slice(parts[i].iov_base, parts[i].iov_len);
        while (rest.len != 0) {
            if (!rd_tls_stream_seal(secure->stream, rd_slice_take(&rest, SEAL_LEN_MAX)))
                return rd_error_set(ret_error, RD_IO_ERROR, 0, "%s", rd_tls_stream_failure(secure->stream));
            if (rd_tls_stream_output(secure->stream)->len < SEAL_LEN_MAX)
                continue;
            enum rd_status status = send_output(secure, deadline_ms, ret_error);
            if (status != RD_OK)
                return status;
        }
    }
    return send_output(secure, deadline_ms, ret_error);
}

enum rd_status rd_secure_receive(struct rd_secure *secure, uint8_t *to, size_t len, int64_t deadline_ms,
                                 size_t *ret_len, struct rd_error *ret_error)
{
    size_t filled = 0;
    enum rd_status status = unseal(secure, to, len, deadline_ms, &filled, ret_error);
    if (status != RD_OK)
        return status;
    /* More that is here already; whatever else happens is met by the next call. */
    while (filled < len && secure->in_left.len != 0) {
        size_t more;
        if (rd_tls_stream_unseal(secure->stream, &secure->in_left, to + filled, len - filled, &more) !=
            RD_TLS_INPUT_PLAIN)
            break;
        filled += more;
    }
    *ret_len = filled;
    return RD_OK;
}

bool rd_secure_is_ready(struct rd_secure *secure)
{
    for (;;) {
        size_t none;
        if (rd_tls_stream_unseal(secure->stream, &secure->in_left, NULL, 0, &none) != RD_TLS_INPUT_MORE)
            return true;
        ssize_t received = recv(secure->fd, secure->in, IN_LEN, MSG_DONTWAIT);
        if (received == 0 || (received < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
            return true;
        if (received < 0)
            return false;
        secure->in_left = rd_slice(secure->in, (size_t)received);
    }
}
