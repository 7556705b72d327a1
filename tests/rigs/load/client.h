/* SPDX-License-Identifier: MIT
 *
 * client.h - one client of the load: a connection that is kept busy with errands until it is lost.
 */
#ifndef RD_TESTS_RIGS_CLIENT_H
#define RD_TESTS_RIGS_CLIENT_H

#include "tests/rigs/load/door.h"
#include "tests/rigs/load/errand.h"

#define DEPTH_MAX 16u

struct client {
    struct keeper keeper;
    struct errand errands[DEPTH_MAX]; /* under way, or free */
    unsigned depth;                   /* how many at a time */
    struct door *door;
    bool over;     /* nothing more is sent */
    bool large;    /* the next errand is a long upload */
    uint64_t sent; /* errands since client_start */
    uint64_t answered;
    uint64_t trouble_ns; /* when the daemon first said that its disk does not do as it should; 0: never */
    char trouble[256];
    uint64_t complaint_ns;          /* when */
    char complaint[512];            /* the first answer that was wrong; "": none */
    void (*on_lost)(void *context); /* the connection */
    void *context;
};

/* keeper is set; its ledger is settled. */
void client_start(struct client *client, uv_loop_t *loop, const char *address, bool large);

/* After on_lost. */
void client_stop(struct client *client);

uint64_t client_now_ns(void); /* CLOCK_MONOTONIC, which other processes read too */

#endif
