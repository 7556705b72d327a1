/* SPDX-License-Identifier: MIT */
#include "server/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "protocol/http.h"
#include "server/conn.h"
#include "server/log.h"
#include "server/loop.h"

#define BACKLOG         1024
#define ACCEPT_MAX      64u /* in one turn of the loop */
#define BACK_OFF_MS     100u
#define REFUSED_MAX     64u   /* connections beyond the limit that are kept until they have read why they end */
#define LOG_INTERVAL_MS 1000u /* refused connections are logged no more often */

struct rd_listener {
    struct rd_listener *next; /* of the loop's */
    struct rd_loop *loop;     /* borrows */
    uv_poll_t poll;
    uv_timer_t back_off;
    unsigned handles_open; /* of the two */
    int fd;                /* owned */
    int spare_fd;          /* owned; given up to accept and close when descriptors have run out */
    bool is_unix;
    const struct rd_codec *codec; /* NULL: the first byte tells */
    struct rd_loop *targets;      /* borrows */
    unsigned target_count;
    unsigned target_next;
    uint64_t logged_ms; /* last refusal logged; 0: none */
};

/* ---- sockets ---------------------------------------------------------------------------------------------- */

static bool is_local(const struct sockaddr *address)
{
    if (address->sa_family == AF_UNIX)
        return true;
    if (address->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)address)->sin6_addr;
    return address->sa_family == AF_INET6 &&
           (IN6_IS_ADDR_LOOPBACK(v6) || (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == IN_LOOPBACKNET));
}

bool rd_socket_is_local(int fd)
{
    struct sockaddr_storage storage;
    socklen_t len = sizeof storage;
    return getsockname(fd, (struct sockaddr *)&storage, &len) == 0 && is_local((struct sockaddr *)&storage);
}

/* What its name stands for, the first of them: that one is bound. */
static int resolve(const struct rd_address *address, struct addrinfo **ret_info)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    return getaddrinfo(address->host, address->port, &hints, ret_info);
}

bool rd_address_is_exposed(const struct rd_address *address)
{
    struct addrinfo *info = NULL;
    if (address->host[0] == '\0' || resolve(address, &info) != 0)
        return false;
    bool exposed = !is_local(info->ai_addr);
    freeaddrinfo(info);
    return exposed;
}

/* On the loopback there is nothing that many senders share, and what paces them (bbr has a timer for each piece of
 * a long answer) only costs. Everywhere else it is what the machine was told to use, and a socket that was handed
 * over has what its unit says. Inherited by connections. */
static void send_unpaced(int fd)
{
    static const char algorithm[] = "reno"; /* in every kernel, and for everybody */
    if (rd_socket_is_local(fd))
        (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, algorithm, sizeof algorithm - 1);
}

static int open_bound(const struct addrinfo *info, bool reuse_port)
{
    int one = 1;
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        (reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) != 0) ||
        (info->ai_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) != 0) ||
        bind(fd, info->ai_addr, info->ai_addrlen) != 0) {
        int os_errno = errno;
        close(fd);
        errno = os_errno;
        return -1;
    }
    send_unpaced(fd);
    return fd;
}

/* The address that the socket got, for a further bind and as text. */
static bool bound_address(int fd, struct sockaddr_storage *ret_storage, socklen_t *ret_len,
                          char ret_text[RD_ADDRESS_TEXT_SIZE])
{
    char host[256];
    char port[16];
    *ret_len = sizeof *ret_storage;
    if (getsockname(fd, (struct sockaddr *)ret_storage, ret_len) != 0 ||
        getnameinfo((struct sockaddr *)ret_storage, *ret_len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return false;
    snprintf(ret_text, RD_ADDRESS_TEXT_SIZE, ret_storage->ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
    return true;
}

bool rd_socket_name(int fd, char ret_text[RD_ADDRESS_TEXT_SIZE])
{
    struct sockaddr_storage storage;
    socklen_t len = sizeof storage;
    if (getsockname(fd, (struct sockaddr *)&storage, &len) != 0)
        return false;
    if (storage.ss_family != AF_UNIX)
        return bound_address(fd, &storage, &len, ret_text);
    snprintf(ret_text, RD_ADDRESS_TEXT_SIZE, "%s", ((struct sockaddr_un *)&storage)->sun_path);
    return ret_text[0] != '\0';
}

static void close_all(int *fds, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        close(fds[i]);
}

/* fds[0] is the probe, bound without SO_REUSEPORT; it gives way to `count` sockets that share its address. */
static bool replace_probe(struct addrinfo *info, unsigned count, int *fds, char text[RD_ADDRESS_TEXT_SIZE])
{
    struct sockaddr_storage storage;
    struct addrinfo exact = *info;
    if (!bound_address(fds[0], &storage, &exact.ai_addrlen, text)) {
        close(fds[0]);
        return false;
    }
    exact.ai_addr = (struct sockaddr *)&storage;
    close(fds[0]);
    for (unsigned i = 0; i < count; i++) {
        fds[i] = open_bound(&exact, true);
        if (fds[i] < 0) {
            close_all(fds, i);
            return false;
        }
    }
    return true;
}

enum rd_status rd_socket_bind_tcp(const struct rd_address *address, unsigned count, int *ret_fds,
                                  char ret_text[RD_ADDRESS_TEXT_SIZE], struct rd_error *ret_error)
{
    struct addrinfo *info = NULL;
    int failure = resolve(address, &info);
    if (failure != 0)
        return rd_error_set(ret_error, RD_IO_ERROR, 0, "cannot listen on %.150s:%s: %s", address->host,
                            address->port, gai_strerror(failure));
    bool good = false;
    struct sockaddr_storage storage;
    socklen_t len;
    ret_fds[0] = open_bound(info, false);
    if (ret_fds[0] >= 0 && count == 1)
        good = bound_address(ret_fds[0], &storage, &len, ret_text);
    else if (ret_fds[0] >= 0)
        good = replace_probe(info, count, ret_fds, ret_text);
    int os_errno = errno;
    freeaddrinfo(info);
    if (!good)
        return rd_error_set(ret_error, RD_IO_ERROR, os_errno, "cannot listen on %.150s:%s", address->host,
                            address->port);
    return RD_OK;
}

/* Does a process take connections there? */
static bool is_live(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return true;
    bool refused = connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 && errno == ECONNREFUSED;
    close(fd);
    return !refused;
}

static bool remove_stale(const struct sockaddr_un *address)
{
    struct stat stat;
    if (lstat(address->sun_path, &stat) != 0)
        return errno == ENOENT;
    if (!S_ISSOCK(stat.st_mode) || is_live(address)) {
        errno = EADDRINUSE;
        return false;
    }
    return unlink(address->sun_path) == 0 || errno == ENOENT;
}

enum rd_status rd_socket_bind_unix(const char *path, int *ret_fd, struct rd_error *ret_error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    /* Until listen() nobody can connect, so the mode is right before it matters. */
    if (fd >= 0 && remove_stale(&address) && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
        chmod(path, 0660) == 0) {
        *ret_fd = fd;
        return RD_OK;
    }
    int os_errno = errno;
    if (fd >= 0)
        close(fd);
    return rd_error_set(ret_error, RD_IO_ERROR, os_errno, "cannot listen on %s", path);
}

enum rd_status rd_socket_listen(int fd, const char *text, struct rd_error *ret_error)
{
    if (listen(fd, BACKLOG) == 0)
        return RD_OK;
    return rd_error_set(ret_error, RD_IO_ERROR, errno, "cannot listen on %s", text);
}

/* ---- accepting -------------------------------------------------------------------------------------------- */

static void on_readable(uv_poll_t *poll, int status, int events);

static void log_refusal(struct rd_listener *listener, const char *reason)
{
    uint64_t now_ms = uv_now(&listener->loop->uv);
    if (listener->logged_ms != 0 && now_ms - listener->logged_ms < LOG_INTERVAL_MS)
        return;
    listener->logged_ms = now_ms;
    rd_log(RD_LOG_WARN, "connections refused: %s", reason);
}

static void on_back_off(uv_timer_t *timer)
{
    struct rd_listener *listener = timer->data;
    uv_poll_start(&listener->poll, UV_READABLE, on_readable);
}

/* Says so and closes, without a connection of our own to it: what the peer has sent by now is read, or closing
 * would throw the answer away with it. */
static void turn_away(const struct rd_listener *listener, int fd)
{
    uint8_t unread[4096];
    struct rd_buffer text;
    if (listener->loop->tls != NULL && !listener->is_unix) { /* without a handshake there is no saying anything */
        close(fd);
        return;
    }
    rd_buffer_init(&text, sizeof unread);
    const struct rd_codec *codec = listener->codec != NULL ? listener->codec : &rd_http_codec;
    codec->refuse_connection(&text);
    if (send(fd, text.data, text.len, MSG_NOSIGNAL | MSG_DONTWAIT) > 0 && shutdown(fd, SHUT_WR) == 0)
        (void)!recv(fd, unread, sizeof unread, MSG_DONTWAIT);
    rd_buffer_deinit(&text);
    close(fd);
}

/* Without a descriptor the kernel would announce the same connection for ever: take it with the spare, say so,
 * close it, and leave the socket alone for a while. */
static void refuse_for_want_of_descriptors(struct rd_listener *listener, int os_errno)
{
    log_refusal(listener, strerror(os_errno));
    rd_process_note(listener->loop->process, RD_REFUSED_DESCRIPTOR);
    if (listener->spare_fd >= 0)
        close(listener->spare_fd);
    int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        turn_away(listener, fd);
    listener->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    uv_poll_stop(&listener->poll);
    uv_timer_start(&listener->back_off, on_back_off, BACK_OFF_MS, 0);
}

static void give_to_loop(struct rd_listener *listener, int fd, bool refused)
{
    struct rd_loop *target = &listener->targets[listener->target_next];
    listener->target_next = (listener->target_next + 1) % listener->target_count;
    if (target == listener->loop) {
        rd_conn_open(target, fd, listener->is_unix, listener->codec, refused);
        return;
    }
    struct rd_accepted *accepted = malloc(sizeof *accepted);
    if (accepted == NULL) {
        log_refusal(listener, "no memory");
        close(fd);
        atomic_fetch_sub(listener->loop->connection_count, 1);
        return;
    }
    *accepted =
        (struct rd_accepted){.fd = fd, .is_unix = listener->is_unix, .codec = listener->codec, .refused = refused};
    rd_loop_hand_over(target, accepted);
}

/* False: no more for now. */
static bool accept_one(struct rd_listener *listener)
{
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            refuse_for_want_of_descriptors(listener, errno);
        return errno == EINTR || errno == ECONNABORTED;
    }
    unsigned count = atomic_fetch_add(listener->loop->connection_count, 1);
    unsigned count_max = listener->loop->tuning.connections_max;
    bool refused = count >= count_max;
    if (refused) {
        log_refusal(listener, "the limit of connections is reached");
        rd_process_note(listener->loop->process, RD_REFUSED_CONNECTION);
    }
    if (refused && count - count_max >= REFUSED_MAX) {
        atomic_fetch_sub(listener->loop->connection_count, 1);
        turn_away(listener, fd);
    } else {
        give_to_loop(listener, fd, refused);
    }
    return true;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct rd_listener *listener = poll->data;
    for (unsigned i = 0; i < ACCEPT_MAX && uv_is_active((uv_handle_t *)poll); i++)
        if (!accept_one(listener))
            break;
}

/* ---- life ------------------------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
    struct rd_listener *listener = handle->data;
    if (--listener->handles_open != 0)
        return;
    close(listener->fd);
    if (listener->spare_fd >= 0)
        close(listener->spare_fd);
    free(listener);
}

enum rd_status rd_listener_add(struct rd_loop *loop, const struct rd_listener_options *options)
{
    struct rd_listener *listener = calloc(1, sizeof *listener);
    if (listener == NULL || uv_poll_init(&loop->uv, &listener->poll, options->fd) != 0) {
        free(listener);
        close(options->fd);
        return RD_NO_MEMORY;
    }
    listener->loop = loop;
    listener->fd = options->fd;
    listener->is_unix = options->is_unix;
    listener->codec = options->codec;
    listener->targets = options->targets;
    listener->target_count = options->target_count;
    listener->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    listener->handles_open = 2;
    listener->poll.data = listener;
    listener->back_off.data = listener;
    uv_timer_init(&loop->uv, &listener->back_off);
    listener->next = loop->listeners;
    loop->listeners = listener;
    return uv_poll_start(&listener->poll, UV_READABLE, on_readable) == 0 ? RD_OK : RD_IO_ERROR;
}

void rd_listeners_close(struct rd_listener **list)
{
    while (*list != NULL) {
        struct rd_listener *listener = *list;
        *list = listener->next;
        uv_close((uv_handle_t *)&listener->poll, on_closed);
        uv_close((uv_handle_t *)&listener->back_off, on_closed);
    }
}
