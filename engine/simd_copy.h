/* SPDX-License-Identifier: MIT
 *
 * simd_copy.h - copies small payloads into the write buffer with AVX2, NEON, or portable C; who does chooses once.
 *
 * What wins, and at which lengths, bench-simd_copy tells. AVX-512 did not: from 64 bytes on memcpy was faster
 * where it matters, in the cache.
 */
#ifndef RD_ENGINE_SIMD_COPY_H
#define RD_ENGINE_SIMD_COPY_H

#include <stddef.h>
#include <stdint.h>

typedef void rd_simd_copy_fn(uint8_t *to, const uint8_t *from, size_t len);

/* One way of copying that this build knows. */
struct rd_simd_copy {
    const char *name; /* "avx2", "neon", "portable" */
    rd_simd_copy_fn *copy;
    int (*supported)(void); /* by the processor that runs */
};

/* Best first; ends with a row whose name is NULL. For tests and benchmarks. */
extern const struct rd_simd_copy rd_simd_copies[];

/* The best one that the processor supports. Any thread. */
rd_simd_copy_fn *rd_simd_copy_best(void);

#endif
