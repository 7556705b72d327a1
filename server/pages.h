/* SPDX-License-Identifier: MIT
 *
 * pages.h - what lies in a map of a file is sent without a copy: the socket is given the pages themselves, by way
 * of a pipe (vmsplice, splice), and the peer's kernel takes the bytes from there.
 *
 * For bytes that never change again, for as long as the machine runs: pages stay with the socket, and with it
 * alone, until the peer has acknowledged them, after the sender has forgotten them, and after the file is unlinked
 * or its map gone, and the kernel drops none meanwhile. Values of a store are such where all that shares their
 * pages is synced (rd_store_may_lend): nothing below the published tail is written again, and no hole is punched.
 *
 * The loop's thread only.
 */
#ifndef RD_SERVER_PAGES_H
#define RD_SERVER_PAGES_H

#include <stdbool.h>
#include <uv.h>

/* Zeroed: no pipe yet. */
struct rd_pages {
    int ends[2];  /* owned; while `open`; empty between calls */
    bool open;    /* there is a pipe */
    bool refused; /* the system does not let us: nothing is tried any more */
};

void rd_pages_deinit(struct rd_pages *pages);

/* Sends bytes by their pages. Returns how many the socket took, or UV_EAGAIN; 0: it cannot be done in this way,
 * and why is for a copy to find out. */
int rd_pages_send(struct rd_pages *pages, uv_os_fd_t socket, const uv_buf_t *bytes);

#endif
