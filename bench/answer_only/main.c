/* SPDX-License-Identifier: MIT
 *
 * main.c - a server that only answers: it sees where each request ends, and sends an answer that was made
 * beforehand. What a load generator reaches against it is the generator's own ceiling (and the kernel's), since no
 * server of that protocol can do less. With --file it also appends all that it receives to a file before it
 * answers, and syncs it, at once or every so many milliseconds: the least that a write which is kept can be.
 *
 * Usage: bench-answer_only [--file PATH [--beside] [--every MS]] [VALUE_LEN]; prints its address on loopback,
 * serves until it is killed. One thread, with --beside another one that appends, with --every another one that
 * syncs. A connection's answers leave by one call, a long one too: shares of 256 or 512 KiB by turns, and pages
 * handed over (sendfile), are no faster or slower. Sends block, which is good enough for a peer that always reads.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "bench/answer_only/journal.h"
#include "bench/answer_only/talk.h"

#define INPUT_LEN     ((size_t)256 << 10)
#define VALUE_LEN_MAX (64ul << 20)
#define EVENTS_MAX    256
#define EVERY_MS_MAX  60000u

struct conn {
    int fd; /* -1: closed */
    struct bench_talk talk;
    struct conn *next; /* in the list of those that are owed something, while they are in it */
    bool waits;        /* in the list */
};

static struct bench_journal *journal; /* NULL: nothing is kept */
static struct conn *first_waiting;    /* for what they sent to be kept */
static struct conn **last_waiting = &first_waiting;

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

static void free_conn(struct conn *conn)
{
    bench_talk_deinit(&conn->talk);
    free(conn);
}

/* One that waits is freed when its wait ends. */
static void close_conn(struct conn *conn)
{
    close(conn->fd);
    conn->fd = -1;
    if (!conn->waits)
        free_conn(conn);
}

/* ---- answers ---------------------------------------------------------------------------------------------- */

static void send_bytes(int fd, struct rd_slice bytes)
{
    while (bytes.len != 0) {
        ssize_t sent = send(fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        struct pollfd wait = {.fd = fd, .events = POLLOUT};
        if (sent > 0)
            (void)rd_slice_take(&bytes, (size_t)sent);
        else if (errno == EAGAIN)
            (void)poll(&wait, 1, -1);
        else if (errno != EINTR)
            break; /* the next receive says so too */
    }
}

static void answer(struct conn *conn, uint64_t end)
{
    struct rd_slice bytes;
    while ((bytes = bench_talk_next(&conn->talk, end)).len != 0)
        send_bytes(conn->fd, bytes);
}

static void wait_until_kept(struct conn *conn)
{
    if (conn->waits)
        return;
    conn->waits = true;
    conn->next = NULL;
    *last_waiting = conn;
    last_waiting = &conn->next;
}

static void answer_kept(uint64_t kept)
{
    struct conn *conn = first_waiting;
    first_waiting = NULL;
    last_waiting = &first_waiting;
    while (conn != NULL) {
        struct conn *next = conn->next;
        conn->waits = false;
        if (conn->fd >= 0)
            answer(conn, kept);
        if (conn->fd < 0)
            free_conn(conn);
        else if (bench_talk_owes(&conn->talk))
            wait_until_kept(conn);
        conn = next;
    }
}

/* ---- input ------------------------------------------------------------------------------------------------ */

static void take(struct conn *conn, struct rd_slice bytes)
{
    if (journal != NULL)
        bench_journal_received(journal, bytes.len);
    if (!bench_talk_take(&conn->talk, bytes, journal != NULL ? journal->received : 0)) {
        fputs("bench-answer_only: a request that is not known here\n", stderr);
        exit(1);
    }
    if (journal == NULL)
        answer(conn, UINT64_MAX);
    else
        wait_until_kept(conn);
}

static void on_input(struct conn *conn)
{
    static uint8_t input[INPUT_LEN];
    size_t room = sizeof input;
    uint8_t *to = journal != NULL ? bench_journal_room(journal, &room) : input;
    ssize_t len = recv(conn->fd, to, room < INPUT_LEN ? room : INPUT_LEN, MSG_DONTWAIT);
    if (len > 0)
        take(conn, rd_slice(to, (size_t)len));
    else if (len == 0 || (errno != EAGAIN && errno != EINTR))
        close_conn(conn);
}

/* ---- connections ------------------------------------------------------------------------------------------ */

static void watch(int epoll_fd, int fd, void *what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        die("epoll");
}

static void on_connection(int epoll_fd, int listener)
{
    struct conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL)
        die("calloc");
    conn->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (conn->fd < 0)
        die("accept");
    watch(epoll_fd, conn->fd, conn);
}

/* Without pacing and delays, as rdrived's listeners on the loopback. */
static int listen_on_loopback(void)
{
    static const char algorithm[] = "reno";
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, algorithm, sizeof algorithm - 1);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        die("listen");
    printf("127.0.0.1:%u\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static _Noreturn void serve(void)
{
    int listener = listen_on_loopback();
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    watch(epoll_fd, listener, NULL);
    if (journal != NULL && journal->beside)
        watch(epoll_fd, journal->done_fd, journal);
    for (;;) {
        struct epoll_event events[EVENTS_MAX];
        eventfd_t wakes;
        int count = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == NULL)
                on_connection(epoll_fd, listener);
            else if (events[i].data.ptr == journal)
                (void)eventfd_read(journal->done_fd, &wakes);
            else
                on_input(events[i].data.ptr);
        }
        if (journal != NULL)
            answer_kept(bench_journal_end_turn(journal));
    }
}

/* ---- the command line ------------------------------------------------------------------------------------- */

static _Noreturn void refuse(void)
{
    fputs("usage: bench-answer_only [--file PATH [--beside] [--every MS]] [VALUE_LEN]\n", stderr);
    exit(2);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"file", required_argument, NULL, 'f'},
                                            {"beside", no_argument, NULL, 'b'},
                                            {"every", required_argument, NULL, 'e'},
                                            {NULL, 0, NULL, 0}};
    static struct bench_journal kept;
    const char *path = NULL;
    bool beside = false;
    uint64_t every_ms = 0;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'f')
            path = optarg;
        else if (option == 'b')
            beside = true;
        else if (option != 'e' || !rd_text_parse_u64(rd_slice_of_string(optarg), &every_ms) || every_ms == 0)
            refuse();
    }
    uint64_t value_len = 100;
    bool understood =
        optind == argc || (optind + 1 == argc && rd_text_parse_u64(rd_slice_of_string(argv[optind]), &value_len));
    bool wants_file = beside || every_ms != 0;
    if (!understood || value_len > VALUE_LEN_MAX || every_ms > EVERY_MS_MAX || (wants_file && path == NULL))
        refuse();
    if (!bench_talk_init((uint32_t)value_len))
        die("the answers");
    if (path != NULL) {
        bench_journal_open(&kept, path, beside, (unsigned)every_ms);
        journal = &kept;
    }
    serve();
}
