/* SPDX-License-Identifier: MIT
 *
 * frame.h - the bytes of a request, made once and used again and again: between two uses only the digits of its
 * keys and the first bytes of its values change. That is what makes the generator faster than what it measures.
 *
 * A key is "key:" and twelve digits, as redis-benchmark has them. Values are of 64 characters that mean nothing to
 * JSON, so that one text serves every protocol.
 */
#ifndef RD_CLIENTS_BENCH_FRAME_H
#define RD_CLIENTS_BENCH_FRAME_H

#include <assert.h>

#include "base/buffer.h"
#include "clients/bench/plan.h"
#include "clients/bench/random.h"

#define RD_FRAME_KEY_PREFIX  "key:"
#define RD_FRAME_DIGIT_COUNT 12u
#define RD_FRAME_DIGITS_ANY  "000000000000" /* until they are drawn */
#define RD_FRAME_KEY_ANY     RD_FRAME_KEY_PREFIX RD_FRAME_DIGITS_ANY
#define RD_FRAME_KEY_LEN     (sizeof RD_FRAME_KEY_ANY - 1)
static_assert(sizeof RD_FRAME_DIGITS_ANY - 1 == RD_FRAME_DIGIT_COUNT,
              "a placeholder is as long as what it is for");

/* Longer values are not copied into each frame but sent from the one text, and only the place in it varies. */
#define RD_FRAME_VALUE_INSIDE_MAX (16u << 10)
#define RD_FRAME_TEXT_SPARE       (64u << 10) /* by how much the text is longer than a value */

/* What all frames of one kind have in common. */
struct rd_frame_form {
    struct rd_buffer bytes;   /* owned; a whole frame, but for a value that is outside */
    size_t value_outside_len; /* bytes that follow behind; 0: none */
    uint32_t entry_count;     /* keys, and values where it writes */
    size_t digits_first;      /* where the first key's digits are ... */
    size_t value_first;       /* ... and the first value inside; 0: none */
    size_t stride;            /* from one entry to the next */
    size_t value_len;         /* bytes of a value inside */
    size_t id_at;             /* where a u64 that tells frames apart is; 0: there is none */
};

/* Random characters, value_len + RD_FRAME_TEXT_SPARE of them; owned by the caller, free(). NULL: no memory. */
uint8_t *rd_frame_make_text(size_t value_len, struct rd_random *random);

/* Copies the form to `to` and gives it its id and values. */
void rd_frame_make(const struct rd_frame_form *form, const uint8_t *text, uint64_t id, struct rd_random *random,
                   uint8_t *to);

/* Draws the next keys, and changes the values where there are any. */
void rd_frame_renew(const struct rd_frame_form *form, uint64_t key_count, struct rd_random *keys,
                    struct rd_random *values, uint8_t *frame);

#endif
