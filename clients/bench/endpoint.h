/* SPDX-License-Identifier: MIT
 *
 * endpoint.h - where a run's connections go. Any thread.
 */
#ifndef RD_CLIENTS_BENCH_ENDPOINT_H
#define RD_CLIENTS_BENCH_ENDPOINT_H

#include "base/status.h"

struct rd_tls_trust;

/* Borrows. */
struct rd_endpoint {
    const char *server;         /* HOST:PORT or [IPV6]:PORT; unused with unix_path */
    const char *unix_path;      /* a Unix socket; NULL: TCP */
    struct rd_tls_trust *trust; /* TLS, and whom to believe; NULL: plain bytes */
};

/* Connects, blocking; what is sent and received there later gives up after ten seconds where it may wait. *ret_fd
 * is owned by the caller. */
enum rd_status rd_endpoint_connect(const struct rd_endpoint *endpoint, int *ret_fd,
                                   struct rd_error *ret_error) RD_MUST_CHECK;

#endif
