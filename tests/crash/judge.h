/* SPDX-License-Identifier: MIT
 *
 * judge.h - takes one state that a crash may leave of a workload's two stores, opens it with the real engine in a
 * folder of its own, and says what is wrong with it:
 *
 *   - each store opens, writable, and rd_store_verify finds nothing;
 *   - its values are those after some prefix of its steps: all that were durable (after a kill: answered), none
 * that was not submitted, no batch or rename in half; and all that were answered and whose bytes are in the file;
 *   - of a transfer's value at least one store has it;
 *   - bytes that were kept are as they were, bytes that were cut are beside the store (.torn-OFFSET);
 *   - a further write is taken, and is there after a reopening;
 *   - all this again where the opening itself, or that write, is cut off by a second crash.
 */
#ifndef RD_TESTS_CRASH_JUDGE_H
#define RD_TESTS_CRASH_JUDGE_H

#include "tests/crash/session.h"

struct crash_case {
    size_t point; /* in the workload's log */
    enum crash crash;
    bool midway; /* CRASH_KILLED: in the middle of a write */
    bool twice;  /* then once more, while it opens or writes */
    enum crash again;
};

struct judge {
    char *folder;     /* owned */
    const char *keep; /* borrows; where a state that is wrong is kept; NULL: nowhere */
    enum fate fate;   /* of the last state */
    char finding[FINDING_LEN];
    size_t cut;          /* over all states: stores that had something cut off */
    size_t before_serve; /* over all states: second crashes before both stores were open again */
};

void judge_init(struct judge *judge, const char *keep);
void judge_deinit(struct judge *judge);

/* False: judge->finding says what is wrong. */
bool judge_state(struct judge *judge, const struct workload *workload, const struct crash_case *crash_case,
                 struct random random);

#endif
