/* SPDX-License-Identifier: MIT
 *
 * socket.c - sockets with deadlines: every wait is a poll() that ends with the deadline, and every interrupted or
 * partial call is taken up again.
 */
#include "clients/c/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

int64_t rd_socket_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits for `events`, or for the deadline (RD_TIMEOUT). */
static enum rd_status wait_for(int fd, short events, int64_t deadline_ms, struct rd_error *ret_error)
{
    for (;;) {
        int64_t left_ms = deadline_ms - rd_socket_now_ms();
        if (left_ms <= 0)
            return rd_error_set(ret_error, RD_TIMEOUT, 0, "no answer in time");
        struct pollfd entry = {.fd = fd, .events = events};
        int ready = poll(&entry, 1, left_ms < INT_MAX ? (int)left_ms : INT_MAX);
        if (ready > 0)
            return RD_OK;
        if (ready < 0 && errno != EINTR)
            return rd_error_set(ret_error, RD_IO_ERROR, errno, "cannot wait for the connection");
    }
}

/* Connects one socket. On failure errno tells; ETIMEDOUT also where the deadline passed. */
static int connect_address(const struct addrinfo *address, int64_t deadline_ms)
{
    int fd = socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->ai_protocol);
    if (fd < 0)
        return -1;
    int error = 0;
    if (connect(fd, address->ai_addr, address->ai_addrlen) != 0) {
        error = errno;
        if (error == EINPROGRESS || error == EINTR) {
            error = ETIMEDOUT;
            socklen_t len = sizeof error;
            if (wait_for(fd, POLLOUT, deadline_ms, NULL) == RD_OK &&
                getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
                error = errno;
        }
    }
    if (error != 0) {
        close(fd);
        errno = error;
        return -1;
    }
    int on = 1; /* one small frame must not wait for another; where it is refused, it only costs time */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

enum rd_status rd_socket_connect_tcp(const char *server, int64_t deadline_ms, int *ret_fd,
                                     struct rd_error *ret_error)
{
    struct rd_slice host_part;
    struct rd_slice port_part;
    if (!rd_text_split_address(rd_slice_of_string(server), &host_part, &port_part))
        return rd_error_set(ret_error, RD_INVALID_ARGUMENT, 0,
                            "\"%s\" is not a server's address: give HOST:PORT or [IPV6]:PORT", server);
    char host[RD_TEXT_HOST_LEN_MAX + 1];
    char port[RD_TEXT_PORT_LEN_MAX + 1];
    snprintf(host, sizeof host, "%.*s", (int)host_part.len, (const char *)host_part.data);
    snprintf(port, sizeof port, "%.*s", (int)port_part.len, (const char *)port_part.data);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *addresses = NULL;
    int result = getaddrinfo(host, port, &hints, &addresses);
    if (result != 0)
        return rd_error_set(ret_error, RD_UNAVAILABLE, 0, "cannot resolve %s: %s", server, gai_strerror(result));
    int fd = -1;
    int error = 0;
    for (const struct addrinfo *address = addresses; address != NULL && fd < 0; address = address->ai_next) {
        fd = connect_address(address, deadline_ms);
        error = errno;
    }
    freeaddrinfo(addresses);
    if (fd < 0)
        return rd_error_set(ret_error, error == ETIMEDOUT ? RD_TIMEOUT : RD_UNAVAILABLE, error,
                            "cannot connect to %s (is rdrived running there?)", server);
    *ret_fd = fd;
    return RD_OK;
}

/* A full backlog makes a non-blocking connect to a Unix socket fail instead of wait, so this one blocks, for as
 * long as SO_SNDTIMEO says. */
enum rd_status rd_socket_connect_unix(const char *path, int64_t deadline_ms, int *ret_fd,
                                      struct rd_error *ret_error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof address.sun_path)
        return rd_error_set(ret_error, RD_INVALID_ARGUMENT, 0,
                            "\"%s\" is not a Unix socket's path: at most %zu bytes", path,
                            sizeof address.sun_path - 1);
    memcpy(address.sun_path, path, len);
    int64_t left_ms = deadline_ms - rd_socket_now_ms();
    if (left_ms <= 0)
        return rd_error_set(ret_error, RD_TIMEOUT, 0, "no time left to connect to %s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return rd_error_set(ret_error, RD_UNAVAILABLE, errno, "cannot make a socket");
    struct timeval timeout = {.tv_sec = left_ms / 1000, .tv_usec = (left_ms % 1000) * 1000};
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    int result;
    do {
        result = connect(fd, (const struct sockaddr *)&address, sizeof address);
    } while (result != 0 && errno == EINTR);
    if (result != 0) {
        int error = errno;
        close(fd);
        return rd_error_set(ret_error, error == EAGAIN ? RD_TIMEOUT : RD_UNAVAILABLE, error,
                            "cannot connect to %s (is rdrived running there?)", path);
    }
    *ret_fd = fd;
    return RD_OK;
}

/* Moves past what has been sent; returns how many parts are left, those at the end of `parts`. */
static size_t skip_sent(struct iovec **parts, size_t part_count, size_t sent)
{
    while (part_count != 0 && sent >= (*parts)->iov_len) {
        sent -= (*parts)->iov_len;
        (*parts)++;
        part_count--;
    }
    if (part_count != 0) {
        (*parts)->iov_base = (uint8_t *)(*parts)->iov_base + sent;
        (*parts)->iov_len -= sent;
    }
    return part_count;
}

enum rd_status rd_socket_send(int fd, struct iovec *parts, size_t part_count, int64_t deadline_ms,
                              struct rd_error *ret_error)
{
    part_count = skip_sent(&parts, part_count, 0);
    while (part_count != 0) {
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = part_count};
        ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            part_count = skip_sent(&parts, part_count, (size_t)sent);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            enum rd_status status = wait_for(fd, POLLOUT, deadline_ms, ret_error);
            if (status != RD_OK)
                return status;
        } else if (errno != EINTR) {
            return rd_error_set(ret_error, RD_IO_ERROR, errno, "the connection broke while sending");
        }
    }
    return RD_OK;
}

enum rd_status rd_socket_receive(int fd, uint8_t *to, size_t len, int64_t deadline_ms, size_t *ret_len,
                                 struct rd_error *ret_error)
{
    for (;;) {
        ssize_t received = recv(fd, to, len, MSG_DONTWAIT);
        if (received > 0) {
            *ret_len = (size_t)received;
            return RD_OK;
        }
        if (received == 0)
            return rd_error_set(ret_error, RD_IO_ERROR, 0, "the server closed the connection");
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            enum rd_status status = wait_for(fd, POLLIN, deadline_ms, ret_error);
            if (status != RD_OK)
                return status;
        } else if (errno != EINTR) {
            return rd_error_set(ret_error, RD_IO_ERROR, errno, "the connection broke while receiving");
        }
    }
}

bool rd_socket_is_stale(int fd)
{
    uint8_t byte;
    ssize_t received;
    do {
        received = recv(fd, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT);
    } while (received < 0 && errno == EINTR);
    return received >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}
