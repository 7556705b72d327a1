/* SPDX-License-Identifier: MIT
 *
 * forward.h - how far whole entries lead up from a tail that is beyond doubt. Pure.
 *
 * An entry's length is not stored, so its end is not known from its beginning: every byte is a candidate for one,
 * and is believed where the link names a tail that was reached, the pad is zero and the checksum matches. The
 * checksums are carried on, or combined from those of the file's beginning, so that the whole costs one pass and
 * not one for each candidate.
 */
#ifndef RD_ENGINE_FORWARD_H
#define RD_ENGINE_FORWARD_H

#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

/* *ret_end: the highest tail that is reached; begin where there is none. RD_NO_MEMORY. */
enum rd_status rd_forward_reach(struct rd_slice file, uint64_t begin, uint64_t *ret_end) RD_MUST_CHECK;

#endif
