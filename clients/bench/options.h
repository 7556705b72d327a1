/* SPDX-License-Identifier: MIT
 *
 * options.h - the rdrive-bench program's command line.
 */
#ifndef RD_CLIENTS_BENCH_OPTIONS_H
#define RD_CLIENTS_BENCH_OPTIONS_H

#include <stdio.h>

#include "clients/bench/endpoint.h"
#include "clients/bench/plan.h"

/* Borrows from argv and the environment. */
struct rd_options {
    struct rd_plan plan;
    struct rd_endpoint endpoint;
    const char *token_path; /* NULL: none */
    bool http;
    bool tls;
    const char *tls_ca; /* implies tls; NULL: whom the system believes */
    bool json;
    bool help;    /* nothing else has been looked at */
    bool version; /* likewise */
};

/* False: what is wrong has been said on standard error. server_default: the environment's, or NULL. */
bool rd_options_parse(int argc, char **argv, const char *server_default, struct rd_options *ret_options);

void rd_options_help(FILE *to);

/* "batch-put" and the like. */
const char *rd_options_op_name(enum rd_plan_op op);

#endif
