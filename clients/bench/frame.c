/* SPDX-License-Identifier: MIT */
#include "clients/bench/frame.h"

#include <stdlib.h>

#include "base/endian.h"

#define STAMP_LEN 8u /* bytes of a value that change */

static const char characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

uint8_t *rd_frame_make_text(size_t value_len, struct rd_random *random)
{
    size_t len = value_len + RD_FRAME_TEXT_SPARE;
    uint8_t *text = malloc(len);
    if (text == NULL)
        return NULL;
    uint64_t bits = 0;
    for (size_t i = 0; i < len; i++, bits >>= 6) {
        if (i % 10 == 0)
            bits = rd_random_next(random);
        text[i] = (uint8_t)characters[bits & 63];
    }
    return text;
}

void rd_frame_make(const struct rd_frame_form *form, const uint8_t *text, uint64_t id, struct rd_random *random,
                   uint8_t *to)
{
    memcpy(to, form->bytes.data, form->bytes.len);
    if (form->id_at != 0)
        rd_store_u64le(to + form->id_at, id);
    if (form->value_first == 0)
        return;
    for (uint32_t i = 0; i < form->entry_count; i++)
        memcpy(to + form->value_first + i * form->stride, text + rd_random_below(random, RD_FRAME_TEXT_SPARE),
               form->value_len);
}

/* Two digits at a time: half the divisions. */
static void put_digits(uint8_t *to, uint64_t number)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
                                "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
                                "8081828384858687888990919293949596979899";
    for (unsigned at = RD_FRAME_DIGIT_COUNT; at > 0; at -= 2, number /= 100)
        memcpy(to + at - 2, pairs + 2 * (number % 100), 2);
}

static void put_stamp(uint8_t *to, size_t len, uint64_t bits)
{
    for (size_t i = 0; i < len; i++, bits >>= 6)
        to[i] = (uint8_t)characters[bits & 63];
}

void rd_frame_renew(const struct rd_frame_form *form, uint64_t key_count, struct rd_random *keys,
                    struct rd_random *values, uint8_t *frame)
{
    uint8_t *digits = frame + form->digits_first;
    for (uint32_t i = 0; i < form->entry_count; i++, digits += form->stride)
        put_digits(digits, rd_random_below(keys, key_count));
    if (form->value_first == 0)
        return;
    size_t stamp_len = form->value_len < STAMP_LEN ? form->value_len : STAMP_LEN;
    uint8_t *value = frame + form->value_first;
    for (uint32_t i = 0; i < form->entry_count; i++, value += form->stride)
        put_stamp(value, stamp_len, rd_random_next(values));
}
