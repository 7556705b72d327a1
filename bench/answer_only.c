/* SPDX-License-Identifier: MIT
 *
 * answer_only.c - a server that only answers: it looks at each frame's header, skips its body, and sends an answer
 * made beforehand. What rdrive-bench reaches against it is rdrive-bench's own ceiling (and the kernel's), since
 * no server of this protocol can do less.
 *
 * Knows the hello, write and read. Usage: bench-answer-only [VALUE_LEN]; prints its address on loopback, serves
 * until it is killed. One thread; sends block, which is good enough for a peer that always reads.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/message.h"
#include "protocol/wire.h"

#define INPUT_LEN     (256u << 10)
#define VALUE_LEN_MAX (1u << 20)
#define EVENTS_MAX    256

struct conn {
    int fd;
    bool greeted;
    uint32_t body_left; /* bytes of a frame's body to skip */
    uint8_t head[RD_WIRE_HEADER_LEN];
    size_t head_len; /* bytes of head that are there */
};

static uint8_t input[INPUT_LEN];
static uint8_t *output; /* answers of one turn of one connection */
static size_t output_len;
static size_t output_len_max;
static uint32_t value_len = 100;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void send_output(int fd)
{
    for (size_t at = 0; at < output_len;) {
        ssize_t sent = send(fd, output + at, output_len - at, MSG_NOSIGNAL);
        struct pollfd wait = {.fd = fd, .events = POLLOUT};
        if (sent > 0)
            at += (size_t)sent;
        else if (errno == EAGAIN)
            (void)poll(&wait, 1, -1);
        else if (errno != EINTR)
            break; /* the next receive says so too */
    }
    output_len = 0;
}

static uint8_t *answer(struct conn *conn, size_t len)
{
    if (output_len + len > output_len_max)
        send_output(conn->fd);
    uint8_t *to = output + output_len;
    output_len += len;
    return to;
}

static void answer_hello(struct conn *conn)
{
    struct rd_limits limits = RD_LIMITS_DEFAULT;
    uint8_t *to = answer(conn, RD_WIRE_HELLO_LEN + RD_WIRE_LIMITS_LEN);
    to = rd_wire_put_bytes(to, rd_slice(RD_WIRE_MAGIC, RD_WIRE_MAGIC_LEN));
    to = rd_wire_put_u16(to, RD_WIRE_VERSION);
    to = rd_wire_put_u16(to, RD_OK);
    to = rd_wire_put_u32(to, RD_WIRE_LIMITS_LEN);
    to = rd_wire_put_u32(to, limits.body_len_max);
    to = rd_wire_put_u32(to, limits.key_len_max);
    to = rd_wire_put_u32(to, limits.batch_count_max);
    to = rd_wire_put_u32(to, limits.in_flight_max);
    to = rd_wire_put_u32(to, limits.stream_window);
    rd_wire_put_u32(to, limits.chunk_len_max);
    conn->greeted = true;
}

/* The body's bytes are whatever the buffer holds: nobody looks at them. */
static void answer_head(struct conn *conn)
{
    if (!conn->greeted) {
        answer_hello(conn);
        return;
    }
    struct rd_wire_header header = rd_wire_load_header(conn->head);
    conn->body_left = header.body_len;
    bool reads = header.opcode == RD_OPCODE_READ;
    if (!reads && header.opcode != RD_OPCODE_WRITE) {
        fprintf(stderr, "bench-answer-only: opcode %u is not known here\n", header.opcode);
        exit(1);
    }
    header.body_len = reads ? RD_WIRE_READ_ANSWER_LEN + value_len : RD_WIRE_WRITE_ANSWER_LEN;
    rd_wire_store_header(answer(conn, RD_WIRE_HEADER_LEN + header.body_len), header);
}

static void take(struct conn *conn, struct rd_slice bytes)
{
    while (bytes.len != 0) {
        conn->body_left -= (uint32_t)rd_slice_take(&bytes, conn->body_left).len;
        struct rd_slice more = rd_slice_take(&bytes, RD_WIRE_HEADER_LEN - conn->head_len);
        memcpy(conn->head + conn->head_len, more.data, more.len);
        conn->head_len += more.len;
        if (conn->head_len == RD_WIRE_HEADER_LEN) {
            conn->head_len = 0;
            answer_head(conn);
        }
    }
}

static void on_input(struct conn *conn)
{
    ssize_t len = recv(conn->fd, input, sizeof input, MSG_DONTWAIT);
    if (len > 0) {
        take(conn, rd_slice(input, (size_t)len));
        send_output(conn->fd);
    } else if (len == 0 || (errno != EAGAIN && errno != EINTR)) {
        close(conn->fd);
        free(conn);
    }
}

static void on_connection(int epoll_fd, int listener)
{
    struct conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL)
        die("calloc");
    conn->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
    if (conn->fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, conn->fd, &event) != 0)
        die("accept");
}

static int listen_on_loopback(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        die("listen");
    printf("127.0.0.1:%u\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        value_len = (uint32_t)strtoul(argv[1], NULL, 10);
    if (value_len > VALUE_LEN_MAX)
        value_len = VALUE_LEN_MAX;
    output_len_max = INPUT_LEN + RD_WIRE_HEADER_LEN + RD_WIRE_READ_ANSWER_LEN + value_len;
    output = calloc(1, output_len_max);
    int listener = listen_on_loopback();
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    if (output == NULL || epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event) != 0)
        die("epoll");
    for (;;) {
        struct epoll_event events[EVENTS_MAX];
        int count = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == NULL)
                on_connection(epoll_fd, listener);
            else
                on_input(events[i].data.ptr);
        }
    }
}
