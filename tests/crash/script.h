/* SPDX-License-Identifier: MIT
 *
 * script.h - some 200 operations on two stores, the same in every run, through an io table of which one call may
 * fail, with an allocator of which one call may. After each operation:
 *
 *   - it was answered once, with success, with what its conditions say, or with a status that names what failed,
 *     and the last only where something failed while it was under way;
 *   - what was answered with success is there, nothing else is;
 *   - a write or fdatasync of a store's file that failed, but for a full disk, has made that store read-only, its
 *     file as long as its tail; nothing else has; closed and opened again it goes on.
 *
 * At the end the stores are closed: no descriptor, mapping or memory is left; and opened by the system's own calls
 * they hold what they should.
 */
#ifndef RD_TESTS_CRASH_SCRIPT_H
#define RD_TESTS_CRASH_SCRIPT_H

#include "tests/crash/failing.h"
#include "tests/crash/request.h"

#define SCRIPT_FINDING_LEN 256u

struct script {
    struct failing_io *failing; /* borrows */
    char *folder;               /* borrows; empty at first */
    uint64_t seed;
    struct rd_store *stores[STORE_COUNT];
    struct model model;
    struct history values;      /* only for its values */
    struct random random;       /* of the operation that is under way */
    bool failed_before;         /* whatever fails had failed when it began */
    bool reopened[STORE_COUNT]; /* by the operation that is under way */
    bool compacts[STORE_COUNT]; /* likewise */
    size_t operations;
    size_t refused;   /* operations that were answered with what failed */
    size_t read_only; /* times that a store became so */
    char finding[SCRIPT_FINDING_LEN];
};

/* False: script->finding says what is wrong. */
bool script_run(struct script *script, struct failing_io *failing, char *folder, uint64_t seed);

#endif
