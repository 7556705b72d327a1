/* SPDX-License-Identifier: MIT
 *
 * tls_pipe.h - what OpenSSL has in place of a socket: it reads what was laid before it, and writes to a buffer.
 * For whoever moves the bytes on the wire himself, on either side of a connection.
 *
 * One thread at a time; different pipes, any threads.
 */
#ifndef RD_BASE_TLS_PIPE_H
#define RD_BASE_TLS_PIPE_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/slice.h"

struct ssl_st;

struct rd_tls_pipe {
    struct rd_slice in;   /* borrows; what it may read and has not read yet. Where there is nothing it waits */
    struct rd_buffer out; /* owned by who has the pipe; what it has written. Where it is full OpenSSL fails */
};

/* Has ssl read and write there, for as long as it lives. False: no memory. */
bool rd_tls_pipe_attach(struct rd_tls_pipe *pipe, struct ssl_st *ssl);

#endif
