/* SPDX-License-Identifier: MIT
 *
 * values.h - values that make recovery's work hard: runs of zeros and of 0xFF, whole stores, numbers that each
 * could be an entry's link, trailers of entries that never were.
 *
 * What none of them holds is a forged entry that names the very tail it will lie behind: torn at its end, the file
 * would be byte for byte that of a store in which this entry was written, and nothing could tell. A whole store as
 * the very first value is such a case, so a workload begins with another one.
 */
#ifndef RD_TESTS_CRASH_VALUES_H
#define RD_TESTS_CRASH_VALUES_H

#include "tests/crash/history.h"

/* Its number in the history. tail_max: forged links name tails below it; 0: nothing is forged. len: not 0. */
int32_t value_make(struct history *history, struct random *random, uint64_t tail_max, size_t len);

/* Mostly short; a few thousand bytes one time in six, up to 60,000 one time in forty. One time in six such that
 * the trailer of an entry at `tail` lies over the border of two sectors, which may not land together. */
size_t value_len(struct random *random, uint64_t tail);

#endif
