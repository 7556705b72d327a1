/* SPDX-License-Identifier: MIT
 *
 * load.h - a run: all its connections on one thread and one epoll.
 *
 * Closed loop: each connection has `depth` requests under way, and an answer starts the next. Latency counts from
 * that start. Fixed rate: request number n is due n / rate seconds after the beginning, whatever the server does.
 * Latency counts from then, so that a server that stops for a second does not hide the requests which it kept from
 * being sent (Gil Tene calls that mistake coordinated omission).
 */
#ifndef RD_CLIENTS_BENCH_LOAD_H
#define RD_CLIENTS_BENCH_LOAD_H

#include "clients/bench/dialect.h"
#include "clients/bench/endpoint.h"
#include "clients/bench/histogram.h"

struct rd_load_result {
    uint64_t op_count;    /* entries written, read or missed */
    uint64_t miss_count;  /* of these, keys that were not there */
    uint64_t error_count; /* entries that failed, or whose answer never came */
    uint64_t value_bytes; /* of the values written and read */
    uint64_t late_count;  /* fixed rate: requests that were due and not sent at the end; in the histogram they have
                           * the time that they had waited */
    uint32_t lost_count;  /* connections that did not last */
    double seconds;       /* from the first request to the last answer; fixed rate: to when no more is due */
    char error[256];      /* the first failure; "": none */
    struct rd_histogram latency_ns; /* of requests */
};

/* Looks at a run that is under way, some times a second; seconds is the time up to now. */
typedef void rd_load_watch(const struct rd_plan *plan, const struct rd_load_result *so_far);

/* Runs to the end. *ret_result, which is filled whenever the run has begun, is large: not for the stack. watch may
 * be NULL. Failure: there were not all connections to begin with. */
enum rd_status rd_load_run(const struct rd_plan *plan, const struct rd_dialect *dialect,
                           const struct rd_endpoint *endpoint, rd_load_watch *watch,
                           struct rd_load_result *ret_result, struct rd_error *ret_error) RD_MUST_CHECK;

#endif
