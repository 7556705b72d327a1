/* SPDX-License-Identifier: MIT
 *
 * digest.c - the two digests of the format: XXH3-64 of keys (libxxhash) and CRC-32 of payloads (libdeflate). Both
 * libraries choose their SIMD code themselves. Pure; any thread.
 */
#include <libdeflate.h>

#define XXH_INLINE_ALL /* keys are short: a call across the library's border costs more than the hash */
#include <xxhash.h>

#include "base/endian.h"
#include "engine/digest.h"
#include "engine/engine.h"

uint32_t rd_crc32(uint32_t crc, struct rd_slice bytes)
{
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
