/* SPDX-License-Identifier: MIT
 *
 * linear.h - is a history of one register linearizable? An exact answer, after Wing and Gong with Lowe's
 * just-in-time order: all that could be the register's state, together with which of the unfinished steps have
 * taken effect already, is carried from event to event; a step is made to take effect no sooner than its end asks
 * for it. Equal possibilities are kept once, which is what makes long histories cheap.
 *
 * Histories of a key each are enough: registers that are linearizable one by one are so together.
 *
 * Pure. No thread of its own.
 */
#ifndef RD_TESTS_SUPPORT_LINEAR_H
#define RD_TESTS_SUPPORT_LINEAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the register must hold for the step to have gone as its answer says. 0 stands for nothing. */
enum linear_need { LINEAR_ANYTHING, LINEAR_EQUAL, LINEAR_UNEQUAL };

struct linear_step {
    uint64_t begin_ns; /* not later than the request was sent */
    uint64_t end_ns;   /* not sooner than the answer came; no answer: when it could not have an effect any more */
    bool optional;     /* no answer came: it may have taken effect, where its need was met, or not */
    bool sets;
    enum linear_need need;
    uint64_t operand; /* of need */
    uint64_t value;   /* of sets; 0: nothing is there any more */
};

enum linear_verdict {
    LINEAR_YES,
    LINEAR_NO,
    LINEAR_TOO_WIDE /* more than LINEAR_OVERLAP_MAX steps at one time, or more possibilities than fit: not judged
                     */
};

#define LINEAR_OVERLAP_MAX 64u

/* The register is empty at first. *ret_step: where it is not linearizable, the step at whose end nothing was
 * possible any more. */
enum linear_verdict linear_check(const struct linear_step *steps, size_t count, size_t *ret_step);

#endif
