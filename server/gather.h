/* SPDX-License-Identifier: MIT
 *
 * gather.h - the single reads of a turn, looked at together, so that their cache misses overlap: a look alone
 * waits for memory three times, for the index, for the trailer and for the value, and most of its time is that.
 *
 * Until then a read is one that has yet to look (lane.h): a write behind it waits. Nothing is left gathered when a
 * turn has ended. The loop's thread only.
 */
#ifndef RD_SERVER_GATHER_H
#define RD_SERVER_GATHER_H

#include <stdbool.h>

#define RD_GATHER_MAX 64u /* as many misses as overlap; more than one processor has under way */

struct rd_call;

struct rd_gather {
    struct rd_call *calls[RD_GATHER_MAX]; /* borrows; RUNNING, in a lane, with their store in use */
    unsigned count;
    bool running; /* calls are being looked at, which may bring new ones */
};

/* Looks at the call before the turn ends, by rd_handler_look. It may be gone afterwards. */
void rd_gather_add(struct rd_gather *gather, struct rd_call *call);

/* Looks at all of them, and those that their answers let run. */
void rd_gather_run(struct rd_gather *gather);

#endif
