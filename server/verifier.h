/* SPDX-License-Identifier: MIT
 *
 * verifier.h - looks at stores' entries for damage, beside everything else: step by step on the pool, and of each
 * loop one step at a time, so that the pool's other threads stay free for uploads and the like. Calls take turns.
 *
 * A step is bounded in bytes. A whole look (HTTP) is a sequence of steps in one call; between any two it gives up
 * where its connection is gone, the daemon stops, or the store is withdrawn.
 *
 * The loop's thread only, but for a step itself.
 */
#ifndef RD_SERVER_VERIFIER_H
#define RD_SERVER_VERIFIER_H

#include <stdbool.h>

struct rd_call;

/* One for each loop; zeroed to begin with. */
struct rd_verifier {
    struct rd_call *first; /* RUNNING calls whose step is to come, by queue_next */
    struct rd_call *last;
    bool working; /* a pool thread has one more */
};

#endif
