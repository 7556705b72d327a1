/* SPDX-License-Identifier: MIT
 *
 * pipe.h - a connection's bytes: a socket, and TLS over it where that is asked for. Sending and receiving are as
 * sendmsg and recv are, with their flags and errno. One thread.
 */
#ifndef RD_CLIENTS_BENCH_PIPE_H
#define RD_CLIENTS_BENCH_PIPE_H

#include <sys/types.h>
#include <sys/uio.h>

#include "base/slice.h"
#include "clients/bench/endpoint.h"

struct rd_pipe_tls;

struct rd_pipe {
    int fd;                  /* owned; -1: none */
    struct rd_pipe_tls *tls; /* owned; NULL: plain bytes */
};

/* Connects, and has the server prove who it is; blocking. On failure there is nothing to close. */
enum rd_status rd_pipe_open(struct rd_pipe *pipe, const struct rd_endpoint *endpoint,
                            struct rd_error *ret_error) RD_MUST_CHECK;

/* Safe to repeat. */
void rd_pipe_close(struct rd_pipe *pipe);

/* How many of the parts' bytes were taken, if not sent yet; -1: errno says why. */
ssize_t rd_pipe_send(struct rd_pipe *pipe, const struct iovec *parts, size_t part_count, int flags);

/* False: some of what was taken has not been sent, and rd_pipe_send is to be called again, with no parts perhaps.
 */
bool rd_pipe_is_sent(const struct rd_pipe *pipe);

/* How many bytes came; 0: the end; -1: errno says why. */
ssize_t rd_pipe_receive(struct rd_pipe *pipe, uint8_t *to, size_t len, int flags);

#endif
