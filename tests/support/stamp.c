/* SPDX-License-Identifier: MIT
 *
 *   | magic u64 | number u64 | len u64 | client u32 | key u32 | filling ... | XXH3-64 of all before it u64 |
 */
#include "tests/support/stamp.h"

#include <assert.h>
#include <string.h>

#include <xxhash.h>

#include "base/endian.h"
#include "tests/support/dice.h"

#define MAGIC        UINT64_C(0x706d617473206472)
#define HEAD_LEN     32u
#define CHECKSUM_LEN 8u

static_assert(HEAD_LEN + CHECKSUM_LEN == STAMP_LEN_MIN, "the shortest value has no filling");

/* The first entry of the example in docs/FORMAT.md, padded: as good as the beginning of a store. */
static const uint8_t entry_like[64] =
    "Hello, store!\x5a\xab\x25\xf6\xb5\x03\x69\xbe\0\0\0\0\0\0\0\0\x1a\x12\x97\xca";

static void fill_random(uint64_t seed, uint8_t *bytes, size_t len)
{
    struct dice dice = {seed};
    for (size_t at = 0; at < len; at += 8) {
        uint64_t word = dice_next(&dice);
        memcpy(bytes + at, &word, len - at < 8 ? len - at : 8);
    }
}

/* On the 64-byte boundaries of the value, hence of the file. */
static void fill_entry_like(uint8_t *bytes, size_t len)
{
    for (size_t at = 0; at < len; at++)
        bytes[at] = entry_like[(at + HEAD_LEN) % sizeof entry_like];
}

void stamp_fill(const struct stamp *stamp, uint8_t *bytes, size_t len)
{
    assert(len >= STAMP_LEN_MIN && stamp->number != 0);
    rd_store_u64le(bytes, MAGIC);
    rd_store_u64le(bytes + 8, stamp->number);
    rd_store_u64le(bytes + 16, len);
    rd_store_u32le(bytes + 24, stamp->client);
    rd_store_u32le(bytes + 28, stamp->key);
    uint8_t *filling = bytes + HEAD_LEN;
    size_t filling_len = len - HEAD_LEN - CHECKSUM_LEN;
    switch (stamp->number % 8) {
    case 0:
        memset(filling, 0, filling_len);
        break;
    case 1:
        memset(filling, 0xff, filling_len);
        break;
    case 2:
        fill_entry_like(filling, filling_len);
        break;
    default:
        fill_random(stamp->number, filling, filling_len);
    }
    rd_store_u64le(bytes + len - CHECKSUM_LEN, XXH3_64bits(bytes, len - CHECKSUM_LEN));
}

bool stamp_read(const uint8_t *bytes, size_t len, struct stamp *ret_stamp)
{
    if (len < STAMP_LEN_MIN || rd_load_u64le(bytes) != MAGIC || rd_load_u64le(bytes + 16) != len ||
        rd_load_u64le(bytes + len - CHECKSUM_LEN) != XXH3_64bits(bytes, len - CHECKSUM_LEN))
        return false;
    ret_stamp->number = rd_load_u64le(bytes + 8);
    ret_stamp->client = rd_load_u32le(bytes + 24);
    ret_stamp->key = rd_load_u32le(bytes + 28);
    return ret_stamp->number != 0;
}
