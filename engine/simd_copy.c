/* SPDX-License-Identifier: MIT
 *
 * The last, partial vector is copied by one unaligned vector that ends where the data ends and overlaps what was
 * copied before it, so there is no loop over single bytes for lengths of a vector or more.
 */
#include "engine/simd_copy.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

static void copy_portable(uint8_t *to, const uint8_t *from, size_t len)
{
    memcpy(to, from, len);
}

static int always(void)
{
    return 1;
}

#if defined(__x86_64__)

__attribute__((target("avx2"))) static void copy_avx2(uint8_t *to, const uint8_t *from, size_t len)
{
    enum { STEP = 32 };
    if (len < STEP) {
        memcpy(to, from, len);
        return;
    }
    for (size_t i = 0; i + STEP <= len; i += STEP)
        _mm256_storeu_si256((__m256i *)(void *)(to + i),
                            _mm256_loadu_si256((const __m256i *)(const void *)(from + i)));
    const uint8_t *last = from + len - STEP;
    _mm256_storeu_si256((__m256i *)(void *)(to + len - STEP),
                        _mm256_loadu_si256((const __m256i *)(const void *)last));
}

static int has_avx2(void)
{
    return __builtin_cpu_supports("avx2");
}

#elif defined(__aarch64__)

static void copy_neon(uint8_t *to, const uint8_t *from, size_t len)
{
    enum { STEP = 16 };
    if (len < STEP) {
        memcpy(to, from, len);
        return;
    }
    for (size_t i = 0; i + STEP <= len; i += STEP)
        vst1q_u8(to + i, vld1q_u8(from + i));
    vst1q_u8(to + len - STEP, vld1q_u8(from + len - STEP));
}

#endif

const struct rd_simd_copy rd_simd_copies[] = {
#if defined(__x86_64__)
    {"avx2", copy_avx2, has_avx2},
#elif defined(__aarch64__)
    {"neon", copy_neon, always},
#endif
    {"portable", copy_portable, always},
    {NULL, NULL, NULL},
};

rd_simd_copy_fn *rd_simd_copy_best(void)
{
    const struct rd_simd_copy *row = rd_simd_copies;
    while (!row->supported())
        row++;
    return row->copy;
}
