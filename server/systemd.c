/* SPDX-License-Identifier: MIT */
#include "server/systemd.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/slice.h"
#include "base/text.h"

#define FIRST_FD 3 /* SD_LISTEN_FDS_START */

static bool read_number(const char *name, uint64_t *ret_number)
{
    const char *text = getenv(name);
    return text != NULL && rd_text_parse_u64(rd_slice_of_string(text), ret_number);
}

/* Variables that name a process are of use to that one alone: a manager's environment may be inherited. */
static bool is_for_us(const char *pid_name)
{
    uint64_t pid;
    return read_number(pid_name, &pid) && pid == (uint64_t)getpid();
}

/* ---- sockets ---------------------------------------------------------------------------------------------- */

static bool is_listening_stream(int fd)
{
    int value = 0;
    socklen_t len = sizeof value;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &len) != 0 || value != SOCK_STREAM)
        return false;
    len = sizeof value;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &len) == 0 && value != 0;
}

/* 0 where it is no TCP socket. */
static unsigned port_of(int fd, bool *ret_is_unix)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_storage storage;
    } address;
    socklen_t len = sizeof address;
    *ret_is_unix = false;
    if (getsockname(fd, &address.any, &len) != 0)
        return 0;
    *ret_is_unix = address.any.sa_family == AF_UNIX;
    if (address.any.sa_family == AF_INET)
        return ntohs(address.v4.sin_port);
    return address.any.sa_family == AF_INET6 ? ntohs(address.v6.sin6_port) : 0;
}

/* Takes the next name of a list with colons between; "" where it has none. False: too long. */
static bool next_name(const char **list, char *to, size_t to_size)
{
    size_t len = strcspn(*list, ":");
    if (len >= to_size)
        return false;
    memcpy(to, *list, len);
    to[len] = '\0';
    *list += len + ((*list)[len] == ':' ? 1 : 0);
    return true;
}

static enum rd_status take_one(struct rd_systemd_sockets *sockets, const char **names, struct rd_error *ret_error)
{
    int fd = FIRST_FD + (int)sockets->count;
    if (sockets->count == RD_SYSTEMD_SOCKETS_MAX ||
        !next_name(names, sockets->items[sockets->count].name, sizeof sockets->items[0].name))
        return rd_error_set(ret_error, RD_INVALID_ARGUMENT, 0,
                            "the service manager hands over a socket too many, or one with too long a name");
    if (!is_listening_stream(fd))
        return rd_error_set(ret_error, RD_INVALID_ARGUMENT, 0,
                            "descriptor %d of the service manager is no listening stream socket", fd);
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
        return rd_error_set(ret_error, RD_IO_ERROR, errno, "descriptor %d of the service manager", fd);
    sockets->items[sockets->count].fd = fd;
    sockets->items[sockets->count].port = port_of(fd, &sockets->items[sockets->count].is_unix);
    sockets->count++;
    return RD_OK;
}

enum rd_status rd_systemd_take_sockets(struct rd_systemd_sockets *ret_sockets, struct rd_error *ret_error)
{
    struct rd_systemd_sockets sockets = {.count = 0};
    uint64_t count = 0;
    if (is_for_us("LISTEN_PID") && !read_number("LISTEN_FDS", &count))
        return rd_error_set(ret_error, RD_INVALID_ARGUMENT, 0, "LISTEN_FDS is no number");
    const char *names = getenv("LISTEN_FDNAMES");
    if (names == NULL)
        names = "";
    enum rd_status status = RD_OK;
    while (status == RD_OK && sockets.count < count)
        status = take_one(&sockets, &names, ret_error);
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    if (status == RD_OK)
        *ret_sockets = sockets;
    return status;
}

static int take(struct rd_systemd_sockets *sockets, unsigned i)
{
    int fd = sockets->items[i].fd;
    sockets->items[i].fd = -1;
    return fd;
}

int rd_systemd_claim(struct rd_systemd_sockets *sockets, const char *name, unsigned port)
{
    for (unsigned i = 0; i < sockets->count; i++)
        if (sockets->items[i].fd >= 0 && strcmp(sockets->items[i].name, name) == 0)
            return take(sockets, i);
    for (unsigned i = 0; i < sockets->count && port != 0; i++)
        if (sockets->items[i].fd >= 0 && sockets->items[i].port == port)
            return take(sockets, i);
    return -1;
}

int rd_systemd_claim_unix(struct rd_systemd_sockets *sockets)
{
    for (unsigned i = 0; i < sockets->count; i++)
        if (sockets->items[i].fd >= 0 && sockets->items[i].is_unix)
            return take(sockets, i);
    return -1;
}

unsigned rd_systemd_close_unclaimed(struct rd_systemd_sockets *sockets)
{
    unsigned closed = 0;
    for (unsigned i = 0; i < sockets->count; i++) {
        if (sockets->items[i].fd < 0)
            continue;
        close(sockets->items[i].fd);
        sockets->items[i].fd = -1;
        closed++;
    }
    return closed;
}

/* ---- notifications ---------------------------------------------------------------------------------------- */

void rd_systemd_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (path == NULL || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof address.sun_path)
        return;
    memcpy(address.sun_path, path, strlen(path));
    if (path[0] == '@')
        address.sun_path[0] = '\0'; /* the abstract namespace */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&address, len);
    close(fd);
}

uint64_t rd_systemd_watchdog_ms(void)
{
    uint64_t timeout_us;
    bool ours = getenv("WATCHDOG_PID") == NULL || is_for_us("WATCHDOG_PID");
    if (!ours || !read_number("WATCHDOG_USEC", &timeout_us) || timeout_us == 0)
        return 0;
    uint64_t half_ms = timeout_us / 2000;
    return half_ms == 0 ? 1 : half_ms;
}

bool rd_systemd_is_journal(int fd)
{
    const char *stream = getenv("JOURNAL_STREAM"); /* DEVICE:INODE */
    unsigned long long device;
    unsigned long long inode;
    struct stat now;
    return stream != NULL && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(fd, &now) == 0 &&
           now.st_dev == (dev_t)device && now.st_ino == (ino_t)inode;
}
