/* SPDX-License-Identifier: MIT */
#include "tests/crash/values.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "engine/engine.h"

#define TRAILER_LEN 20u

enum content { NOISE, ZEROS, ONES, A_STORE, LINKS, TRAILERS, HALF_ZEROS, CONTENTS };

/* [pad][payload][hash][prev_tail][crc], as a store begins that lies at the beginning of a file. */
static void fill_with_a_store(struct rd_buffer *to, struct random *random, size_t len)
{
    static const uint8_t zeros[64];
    uint64_t prev_tail = 0;
    while (to->len < len) {
        uint8_t payload[96];
        size_t payload_len = 2 + random_below(random, sizeof payload - 2);
        random_fill(random, payload, payload_len);
        rd_buffer_append(to, zeros, (size_t)(-prev_tail % 64));
        rd_buffer_append(to, payload, payload_len);
        rd_buffer_append_u64le(to, random_next(random));
        rd_buffer_append_u64le(to, prev_tail);
        rd_buffer_append_u32le(to, rd_crc32(0, rd_slice(payload, payload_len)));
        prev_tail = to->len;
    }
}

/* Trailers whose links lead to where entries may have ended; the checksums are of the bytes in between. */
static void fill_with_trailers(struct rd_buffer *to, struct random *random, uint64_t tail_max, size_t len)
{
    size_t begin = 0;
    while (to->len < len) {
        uint8_t noise[64];
        size_t noise_len = 2 + random_below(random, sizeof noise - 2);
        random_fill(random, noise, noise_len);
        rd_buffer_append(to, noise, noise_len);
        uint32_t crc = rd_crc32(0, rd_slice(to->data + begin, to->len - begin));
        rd_buffer_append_u64le(to, random_next(random));
        rd_buffer_append_u64le(to, random_below(random, tail_max));
        rd_buffer_append_u32le(to, crc);
        begin = to->len;
    }
}

static void fill(struct rd_buffer *to, struct random *random, uint64_t tail_max, size_t len)
{
    enum content content = random_one_in(random, 2) ? NOISE : (enum content)random_below(random, CONTENTS);
    bool forges = content == A_STORE || content == TRAILERS || content == LINKS;
    if (len == 1 || (forges && tail_max == 0))
        content = NOISE;
    if (content == A_STORE)
        fill_with_a_store(to, random, len);
    if (content == TRAILERS)
        fill_with_trailers(to, random, tail_max, len);
    for (uint64_t link = random_below(random, tail_max + 1); content == LINKS && to->len < len; link += 8)
        rd_buffer_append_u64le(to, link);
    if (to->len < len) {
        size_t more = len - to->len;
        uint8_t *rest = rd_buffer_reserve(to, more);
        memset(rest, content == ONES ? 0xff : 0, more);
        if (content == NOISE)
            random_fill(random, rest, more);
        if (content == HALF_ZEROS)
            random_fill(random, rest, more / 2);
        rd_buffer_commit(to, more);
    }
    to->len = len;
    if (len == 1 && to->data[0] == 0)
        to->data[0] = 1; /* a zero byte cannot be stored */
}

int32_t value_make(struct history *history, struct random *random, uint64_t tail_max, size_t len)
{
    struct rd_buffer bytes;
    rd_buffer_init(&bytes, 0);
    fill(&bytes, random, tail_max, len);
    if (bytes.failed)
        die("no memory for a value");
    int32_t value = history_value(history, rd_buffer_slice(&bytes));
    rd_buffer_deinit(&bytes);
    return value;
}

static size_t some_len(struct random *random)
{
    if (random_one_in(random, 40))
        return 1 + random_below(random, 60000);
    if (random_one_in(random, 6))
        return 1 + random_below(random, 6000);
    return 1 + random_below(random, 200);
}

size_t value_len(struct random *random, uint64_t tail)
{
    size_t len = some_len(random);
    if (!random_one_in(random, 6))
        return len;
    uint64_t payload = (tail + 63) / 64 * 64;
    uint64_t unit = random_one_in(random, 2) ? 512 : 4096;
    uint64_t border = (payload + len + 1 + TRAILER_LEN) / unit * unit + unit;
    return (size_t)(border - 1 - random_below(random, TRAILER_LEN - 1) - payload);
}
