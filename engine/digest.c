/* SPDX-License-Identifier: MIT
 *
 * digest.c - the two digests of the format: XXH3-64 of keys (libxxhash) and CRC-32 of payloads (libdeflate, and
 * for longer ones ISA-L where there is one). The libraries choose their SIMD code themselves. Pure; any thread.
 */
#include <libdeflate.h>
#include <pthread.h>
#ifdef RD_HAVE_ISAL
#include <isa-l/crc.h>
#endif

#define XXH_INLINE_ALL /* keys are short: a call across the library's border costs more than the hash */
#include <xxhash.h>

#include "base/endian.h"
#include "engine/digest.h"
#include "engine/engine.h"

/* From here on ISA-L's is ahead: it folds 256 bytes at a time where the processor has VPCLMULQDQ
 * (build/bin/bench-simd_copy compares them). */
#define ISAL_LEN_MIN 256u

uint32_t rd_crc32(uint32_t crc, struct rd_slice bytes)
{
#ifdef RD_HAVE_ISAL
    if (bytes.len >= ISAL_LEN_MIN)
        return crc32_gzip_refl(crc, bytes.data, bytes.len);
#endif
    return libdeflate_crc32(crc, bytes.data, bytes.len);
}

uint64_t rd_hash64(uint64_t before, struct rd_slice bytes)
{
    return XXH3_64bits_withSeed(bytes.data, bytes.len, before);
}

struct rd_key rd_key_of_bytes(struct rd_slice bytes)
{
    static const uint8_t empty[1];
    if (bytes.data == NULL)
        bytes = rd_slice(empty, 0);
    return (struct rd_key){.bytes = bytes, .hash = XXH3_64bits(bytes.data, bytes.len)};
}

struct rd_key rd_key_of_hash(uint64_t hash)
{
    return (struct rd_key){.hash = hash};
}

void rd_key_namespaced(struct rd_slice namespace_bytes, struct rd_slice key, uint8_t ret_key[16])
{
    rd_store_u64le(ret_key, rd_key_of_bytes(namespace_bytes).hash);
    rd_store_u64le(ret_key + 8, rd_key_of_bytes(key).hash);
}

#define CRC_POLYNOMIAL UINT32_C(0xedb88320) /* bit-reversed, as in the right-shifting form */

uint32_t rd_crc32_multiply(uint32_t a, uint32_t b)
{
    uint32_t product = 0;
    for (uint32_t bit = UINT32_C(1) << 31; bit != 0; bit >>= 1) {
        product ^= (a & bit) != 0 ? b : 0;
        b = b >> 1 ^ ((b & 1) != 0 ? CRC_POLYNOMIAL : 0);
    }
    return product;
}

uint32_t rd_crc32_of_zeros(uint64_t len)
{
    uint32_t power = RD_CRC32_ZERO_BYTE;
    uint32_t crc = UINT32_MAX; /* the register before the first byte */
    for (; len != 0; len >>= 1) {
        if ((len & 1) != 0)
            crc = rd_crc32_multiply(power, crc);
        power = rd_crc32_multiply(power, power);
    }
    return ~crc;
}

/* ---- of a few bytes (slicing by 8: M. Kounavis, F. Berry, "A systematic approach to building high performance
 * software-based CRC generators", 2005) ---- */

static uint32_t few_tables[8][256]; /* what a byte adds that is followed by so many more */

static void make_tables(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ ((crc & 1) != 0 ? CRC_POLYNOMIAL : 0);
        few_tables[0][byte] = crc;
    }
    for (uint32_t byte = 0; byte < 256; byte++)
        for (size_t behind = 1; behind < 8; behind++) {
            uint32_t crc = few_tables[behind - 1][byte];
            few_tables[behind][byte] = few_tables[0][crc & 0xff] ^ crc >> 8;
        }
}

void rd_crc32_prepare(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, make_tables);
}

uint32_t rd_crc32_of_few(struct rd_slice bytes)
{
    const uint8_t *at = bytes.data;
    size_t left = bytes.len;
    uint32_t crc = UINT32_MAX;
    for (; left >= 8; left -= 8, at += 8) {
        uint64_t word = rd_load_u64le(at) ^ crc;
        crc = few_tables[7][word & 0xff] ^ few_tables[6][word >> 8 & 0xff] ^ few_tables[5][word >> 16 & 0xff] ^
              few_tables[4][word >> 24 & 0xff] ^ few_tables[3][word >> 32 & 0xff] ^
              few_tables[2][word >> 40 & 0xff] ^ few_tables[1][word >> 48 & 0xff] ^ few_tables[0][word >> 56];
    }
    for (; left != 0; left--, at++)
        crc = few_tables[0][(crc ^ *at) & 0xff] ^ crc >> 8;
    return ~crc;
}
