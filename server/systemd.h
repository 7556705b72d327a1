/* SPDX-License-Identifier: MIT
 *
 * systemd.h - what a service manager of systemd's kind and the daemon tell each other: sockets that it hands over,
 * readiness, the end, signs of life. Small enough to speak without a library: sd_listen_fds(3), sd_notify(3) and
 * sd_watchdog_enabled(3) document the environment and the datagrams.
 *
 * Where the environment names no manager every function does nothing. Main thread, before and after the loops, but
 * rd_systemd_notify, which any thread may call.
 */
#ifndef RD_SERVER_SYSTEMD_H
#define RD_SERVER_SYSTEMD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

#define RD_SYSTEMD_SOCKETS_MAX 8u

struct rd_systemd_sockets {
    unsigned count;
    struct {
        char name[64]; /* FileDescriptorName= of the socket unit, or the unit's own name */
        int fd;        /* owned; -1 once it was taken */
        unsigned port; /* of TCP */
        bool is_unix;
    } items[RD_SYSTEMD_SOCKETS_MAX];
};

/* Takes the sockets that were handed over, and the variables that told of them out of the environment.
 * RD_INVALID_ARGUMENT: more than are known here, a name too long, or no listening stream socket. */
enum rd_status rd_systemd_take_sockets(struct rd_systemd_sockets *ret_sockets,
                                       struct rd_error *ret_error) RD_MUST_CHECK;

/* The socket of that name, or else one that listens on that port (0: none does), now the caller's; -1 where there
 * is none. */
int rd_systemd_claim(struct rd_systemd_sockets *sockets, const char *name, unsigned port);

/* The first Unix socket, likewise. */
int rd_systemd_claim_unix(struct rd_systemd_sockets *sockets);

/* Closes what nobody claimed, and says how many these were. */
unsigned rd_systemd_close_unclaimed(struct rd_systemd_sockets *sockets);

/* state: lines such as "READY=1" and "STATUS=text". A manager that does not listen is no failure. */
void rd_systemd_notify(const char *state);

/* Whether what is written to that descriptor goes to the journal, which reads a line's priority from its
 * beginning. */
bool rd_systemd_is_journal(int fd);

/* How often a sign of life is due, half of what the manager waits for; 0: none is asked for. */
uint64_t rd_systemd_watchdog_ms(void);

#endif
