/* SPDX-License-Identifier: MIT
 *
 * digest.c - the two digests of the format: XXH3-64 of keys (libxxhash) and CRC-32 of payloads (libdeflate). Both
 * libraries choose their SIMD code themselves. Pure; any thread.
 */
#include <libdeflate.h>

#define XXH_INLINE_ALL /* keys are short: a call across the library's border costs more than the hash */
#include <xxhash.h>

#include "base/endian.h"
#include "engine/engine.h"

uint32_t rd_crc32(uint32_t crc, struct rd_slice bytes)
{
    return libdeflate_crc32(crc, bytes.data, bytes.len);
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
