/* SPDX-License-Identifier: MIT
 *
 * inspect.h - looks at every key of every client in a daemon that has been started again, and judges.
 */
#ifndef RD_TESTS_RIGS_INSPECT_H
#define RD_TESTS_RIGS_INSPECT_H

#include "tests/rigs/load/client.h"

struct findings {
    uint64_t kept;          /* parts of operations that were not answered and did take effect */
    uint64_t gone;          /* that were not answered and did not */
    uint64_t answered_gone; /* that were answered, under a promise that lets them go in a power cut */
    uint64_t entries;       /* live, in all stores */
    char text[1024];        /* what is wrong */
};

/* False: something is wrong. */
bool inspect(uv_loop_t *loop, const char *address, struct client *clients, unsigned client_count,
             const struct ledger_cut *cut, struct findings *ret_findings);

#endif
