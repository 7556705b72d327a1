/* SPDX-License-Identifier: MIT
 *
 * hosts.h - the names by which HTTP may ask for this server.
 *
 * A web page can have the name that it came from stand for 127.0.0.1 (DNS rebinding): to a browser this server is
 * then where the page came from. What still tells them apart is the Host header, which scripts cannot change, and
 * which names the page's host. An address there was not looked up, so nobody has made it stand for anything;
 * `localhost` and what ends in it never leave the machine.
 *
 * Pure, but for rd_hosts_learn_own. Any thread.
 */
#ifndef RD_SERVER_HOSTS_H
#define RD_SERVER_HOSTS_H

#include <stdbool.h>

#include "base/slice.h"

#define RD_HOSTS_LIST_SIZE 2048
#define RD_HOSTS_NAME_SIZE 256

struct rd_hosts {
    char list[RD_HOSTS_LIST_SIZE]; /* "NAME,NAME", or "*" for all; "": none was given */
    char own[RD_HOSTS_NAME_SIZE];  /* the machine's; "": not known */
};

/* Takes the list, in which no name stands for nothing. False: it is none, or too long, and *hosts is as it was. */
bool rd_hosts_set_list(struct rd_hosts *hosts, const char *list);

/* Asks the system for the machine's own name. */
void rd_hosts_learn_own(struct rd_hosts *hosts);

/* Whether a Host header, whatever its port, is an address, `localhost`, a name below it, the machine's own, or one
 * of the list; also where it is empty, as no browser's is. */
bool rd_hosts_have(const struct rd_hosts *hosts, struct rd_slice host);

#endif
