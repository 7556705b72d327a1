/* SPDX-License-Identifier: MIT */
#include "clients/bench/endpoint.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/text.h"

#define TIMEOUT_S 10

/* A socket whose waits end. */
static int make_socket(int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    struct timeval timeout = {.tv_sec = TIMEOUT_S};
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    return fd;
}

/* -1, and errno says why. */
static int connect_address(int family, const struct sockaddr *address, socklen_t len)
{
    int fd = make_socket(family);
    if (fd < 0 || connect(fd, address, len) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error == EINPROGRESS || error == EAGAIN ? ETIMEDOUT : error;
    return -1;
}

static enum rd_status connect_unix(const char *path, int *ret_fd, struct rd_error *ret_error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof address.sun_path)
        return rd_error_set(ret_error, RD_INVALID_ARGUMENT, 0, "\"%s\" is not a Unix socket's path", path);
    memcpy(address.sun_path, path, len);
    int fd = connect_address(AF_UNIX, (const struct sockaddr *)&address, sizeof address);
    if (fd < 0)
        return rd_error_set(ret_error, RD_UNAVAILABLE, errno, "cannot connect to %s", path);
    *ret_fd = fd;
    return RD_OK;
}

static enum rd_status connect_tcp(const char *server, int *ret_fd, struct rd_error *ret_error)
{
    struct rd_slice host_part;
    struct rd_slice port_part;
    if (!rd_text_split_address(rd_slice_of_string(server), &host_part, &port_part))
        return rd_error_set(ret_error, RD_INVALID_ARGUMENT, 0, "\"%s\" is not HOST:PORT", server);
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
        fd = connect_address(address->ai_family, address->ai_addr, address->ai_addrlen);
        error = errno;
    }
    freeaddrinfo(addresses);
    if (fd < 0)
        return rd_error_set(ret_error, RD_UNAVAILABLE, error, "cannot connect to %s", server);
    int on = 1; /* one small frame must not wait for another */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    *ret_fd = fd;
    return RD_OK;
}

enum rd_status rd_endpoint_connect(const struct rd_endpoint *endpoint, int *ret_fd, struct rd_error *ret_error)
{
    if (endpoint->unix_path != NULL)
        return connect_unix(endpoint->unix_path, ret_fd, ret_error);
    return connect_tcp(endpoint->server, ret_fd, ret_error);
}
