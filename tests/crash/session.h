/* SPDX-License-Identifier: MIT
 *
 * session.h - one opening of both stores on what a crash left: look at all there is, hold it against the history,
 * write one value more, stop in order. The first finding is kept; a session that found something ends early.
 */
#ifndef RD_TESTS_CRASH_SESSION_H
#define RD_TESTS_CRASH_SESSION_H

#include "tests/crash/disk.h"
#include "tests/crash/workload.h"

#define FINDING_LEN 512u

struct subject {
    /* set before: what the store must be */
    const struct image_file *left; /* borrows; the file that the crash left; NULL: none */
    struct bounds bounds;
    const struct subject *before; /* borrows; it was served in that session before, and must be as it was then */
    size_t crashed_at;            /* with before: when its session was cut off, in that session's log */

    /* what it is */
    const char *name;
    uint64_t tail;        /* as recovered */
    struct rd_slice torn; /* of left: what was cut off; NULL where it was nothing, or the file running ahead */
    bool was_cut;
    int32_t values[KEY_COUNT];
    size_t opened_at; /* in this session's log, 0 where there is none; NEVER: it did not come to that */
    size_t written_at;
    size_t answered_at;
};

struct session {
    const struct workload *workload;
    const char *folder;
    struct recorder *recorder; /* NULL: nothing is recorded */
    struct subject subjects[STORE_COUNT];
    struct rd_store *stores[STORE_COUNT];
    char finding[FINDING_LEN]; /* "": nothing is wrong */
};

/* False: session->finding says what is wrong. */
bool session_run(struct session *session);

/* Always false, so that a check reads `return session_wrong(...)`. */
bool session_wrong(struct session *session, const char *format, ...) RD_PRINTF(2, 3);

#endif
