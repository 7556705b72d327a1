/* SPDX-License-Identifier: MIT
 *
 * digest.h - arithmetic on CRC-32 values, so that the checksum of a long stretch need not read it: a checksum is a
 * polynomial modulo the CRC's, and appending bytes multiplies it. (R. Black and M. Adler describe the method in
 * zlib's crc32_combine.) Also the checksum of companions. Pure; any thread. The store's own digests are in
 * engine.h.
 */
#ifndef RD_ENGINE_DIGEST_H
#define RD_ENGINE_DIGEST_H

#include <stdint.h>

#include "base/slice.h"

/* XXH3-64 of the bytes, seeded with that of what comes before them; 0 for the first. */
uint64_t rd_hash64(uint64_t before, struct rd_slice bytes);

/* The checksum of a few bytes, from tables: up to some 16 that is faster than finding out how to do it best for
 * many. After rd_crc32_prepare, which once is enough for and which any thread may call. */
void rd_crc32_prepare(void);
uint32_t rd_crc32_of_few(struct rd_slice bytes);

/* What appending one zero byte multiplies a checksum's register with. */
#define RD_CRC32_ZERO_BYTE (UINT32_C(1) << 23)

/* Of two polynomials; the highest bit is x^0. */
uint32_t rd_crc32_multiply(uint32_t a, uint32_t b);

/* The checksum of len zero bytes, in logarithmic time. */
uint32_t rd_crc32_of_zeros(uint64_t len);

#endif
