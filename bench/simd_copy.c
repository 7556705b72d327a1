/* SPDX-License-Identifier: MIT
 *
 * simd_copy.c - per size class: rd_simd_copy's ways against memcpy, copies by how far behind the source the target
 * begins modulo a page, the hashing of keys in batches as the engine does it against plain XXH3, and the checksum
 * as the engine takes it against libdeflate's alone. Each figure is nanoseconds for one copy, hash or checksum,
 * the best of several rounds; sources and targets step through a buffer that fits the second-level cache (first
 * columns) and through one that does not (last columns), but for distances, where they stay. Usage:
 * bench-simd_copy
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libdeflate.h>
#include <xxhash.h>

#include "base/page.h"
#include "engine/digest.h"
#include "engine/engine.h"
#include "engine/simd_copy.h"

#define WARM_LEN             (256u << 10)
#define COLD_LEN             (256u << 20)
#define ROUNDS               7
#define BYTES_ROUND          (64u << 20) /* copied in one round */
#define DISTANCE_BYTES_ROUND (8u << 20)
#define HASH_COUNT           1024u
#define HASH_ROUNDS          200
#define KEY_LEN_MAX          256u
#define WAYS_MAX             6u

static const size_t copy_lens[] = {8, 16, 32, 64, 100, 128, 256, 512, 1024, 4096, 16384, 65536};
static const size_t crc_lens[] = {8, 64, 200, 256, 512, 1024, 4096, 65536, 1u << 20};
static const size_t far_lens[] = {1024, 2048, 4096, 65536};
static const size_t distances[] = {0, 1, 8, 15, 16, 31, 32, 64, RD_PAGE_LEN - 16};
static const size_t key_lens[] = {4, 8, 12, 16, 24, 32, 64, 128, 240, 256};
#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

static volatile uint64_t sink_hole;

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* ---- copying ---------------------------------------------------------------------------------------------- */

static void copy_memcpy(uint8_t *to, const uint8_t *from, size_t len)
{
    memcpy(to, from, len);
}

/* To 64-byte boundaries, as payloads lie in the file; from anywhere. */
static double time_copy(rd_simd_copy_fn *copy, uint8_t *to, const uint8_t *from, size_t buffer_len, size_t len)
{
    size_t step = (len + 20 + 63) / 64 * 64;
    size_t count = BYTES_ROUND / (len < 256 ? 256 : len);
    double best = 0;
    for (int round = 0; round < ROUNDS; round++) {
        size_t at = 0;
        double began = now_ns();
        for (size_t i = 0; i < count; i++) {
            copy(to + at, from + at + 5, len);
            at = at + 2 * step + 5 < buffer_len ? at + step : 0;
        }
        double each = (now_ns() - began) / (double)count;
        best = round == 0 || each < best ? each : best;
        sink_hole = to[len - 1];
    }
    return best;
}

static void bench_copies(uint8_t *to, const uint8_t *from)
{
    rd_simd_copy_fn *copies[WAYS_MAX] = {copy_memcpy};
    size_t way_count = 1;
    printf("%-8s %10s", "bytes", "memcpy");
    for (const struct rd_simd_copy *way = rd_simd_copies; way->name != NULL && way_count < WAYS_MAX; way++)
        if (way->supported()) {
            copies[way_count++] = way->copy;
            printf(" %10s", way->name);
        }
    printf("   ns a copy, in cache; then out of it\n");
    for (size_t i = 0; i < COUNT_OF(copy_lens); i++) {
        printf("%-8zu", copy_lens[i]);
        for (size_t way = 0; way < way_count; way++)
            printf(" %10.2f", time_copy(copies[way], to, from, WARM_LEN, copy_lens[i]));
        printf("  |");
        for (size_t way = 0; way < way_count; way++)
            printf(" %10.2f", time_copy(copies[way], to, from, COLD_LEN, copy_lens[i]));
        printf("\n");
    }
}

/* ---- distances -------------------------------------------------------------------------------------------- */

/* The copy that the kernel makes where the processor has fast short ones (fsrm). Elsewhere a plain one. */
static void copy_by_string(uint8_t *to, const uint8_t *from, size_t len)
{
#if defined(__x86_64__)
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(len) : : "memory");
#else
    memcpy(to, from, len);
#endif
}

static double time_distance(rd_simd_copy_fn *copy, uint8_t *to, const uint8_t *from, size_t len)
{
    size_t count = DISTANCE_BYTES_ROUND / len;
    double best = 0;
    for (int round = 0; round < ROUNDS; round++) {
        double began = now_ns();
        for (size_t i = 0; i < count; i++)
            copy(to, from, len);
        double each = (now_ns() - began) / (double)count;
        best = round == 0 || each < best ? each : best;
        sink_hole = to[len - 1];
    }
    return best;
}

/* to and from: begin with a page. */
static void bench_distances(uint8_t *to, const uint8_t *from)
{
    const struct {
        const char *name;
        rd_simd_copy_fn *copy;
    } ways[] = {{"memcpy", copy_memcpy}, {"rep movsb", copy_by_string}, {"engine's", rd_simd_copy_best()}};
    printf("\n%-8s %-10s", "bytes", "way");
    for (size_t i = 0; i < COUNT_OF(distances); i++)
        printf(" %9zu", distances[i]);
    printf("   ns a copy whose target begins so many bytes behind its source, modulo a page\n");
    for (size_t i = 0; i < COUNT_OF(far_lens); i++)
        for (size_t way = 0; way < COUNT_OF(ways); way++) {
            printf("%-8zu %-10s", far_lens[i], ways[way].name);
            for (size_t at = 0; at < COUNT_OF(distances); at++)
                printf(" %9.1f", time_distance(ways[way].copy, to + distances[at], from, far_lens[i]));
            printf("\n");
        }
}

/* ---- hashing ---------------------------------------------------------------------------------------------- */

static uint64_t hash_plain(const struct rd_slice *keys)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < HASH_COUNT; i++)
        sum += XXH3_64bits(keys[i].data, keys[i].len);
    return sum;
}

static uint64_t hash_engine(const struct rd_slice *keys)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < HASH_COUNT; i++)
        sum += rd_key_of_bytes(keys[i]).hash;
    return sum;
}

static double time_hash(uint64_t (*hash)(const struct rd_slice *), const struct rd_slice *keys)
{
    double best = 0;
    for (int round = 0; round < HASH_ROUNDS; round++) {
        double began = now_ns();
        sink_hole = hash(keys);
        double each = (now_ns() - began) / HASH_COUNT;
        best = round == 0 || each < best ? each : best;
    }
    return best;
}

static void bench_hashes(const uint8_t *bytes)
{
    static struct rd_slice keys[HASH_COUNT];
    printf("\n%-8s %10s %10s   ns a key, batches of %u\n", "bytes", "XXH3", "engine", HASH_COUNT);
    for (size_t i = 0; i < COUNT_OF(key_lens); i++) {
        for (size_t key = 0; key < HASH_COUNT; key++)
            keys[key] = rd_slice(bytes + key * (KEY_LEN_MAX - 7), key_lens[i]);
        printf("%-8zu %10.2f %10.2f\n", key_lens[i], time_hash(hash_plain, keys), time_hash(hash_engine, keys));
    }
}

/* ---- checksums -------------------------------------------------------------------------------------------- */

static double time_crc(uint32_t (*crc32)(uint32_t, struct rd_slice), const uint8_t *from, size_t buffer_len,
                       size_t len)
{
    size_t count = BYTES_ROUND / (len < 256 ? 256 : len);
    double best = 0;
    for (int round = 0; round < ROUNDS; round++) {
        size_t at = 0;
        uint32_t crc = 0;
        double began = now_ns();
        for (size_t i = 0; i < count; i++) {
            crc = crc32(crc, rd_slice(from + at, len));
            at = at + 2 * len < buffer_len ? at + len : 0;
        }
        double each = (now_ns() - began) / (double)count;
        best = round == 0 || each < best ? each : best;
        sink_hole = crc;
    }
    return best;
}

static uint32_t crc_libdeflate(uint32_t crc, struct rd_slice bytes)
{
    return libdeflate_crc32(crc, bytes.data, bytes.len);
}

static void bench_checksums(const uint8_t *from)
{
    printf("\n%-8s %10s %10s   ns a checksum, in cache; then out of it\n", "bytes", "libdeflate", "engine");
    for (size_t i = 0; i < COUNT_OF(crc_lens); i++) {
        size_t len = crc_lens[i];
        printf("%-8zu %10.2f %10.2f  | %10.2f %10.2f\n", len, time_crc(crc_libdeflate, from, WARM_LEN, len),
               time_crc(rd_crc32, from, WARM_LEN, len), time_crc(crc_libdeflate, from, COLD_LEN, len),
               time_crc(rd_crc32, from, COLD_LEN, len));
    }
}

int main(void)
{
    uint8_t *from = rd_page_alloc(COLD_LEN + 64);
    uint8_t *to = rd_page_alloc(COLD_LEN);
    if (from == NULL || to == NULL)
        return 1;
    for (size_t i = 0; i < COLD_LEN + 64; i++)
        from[i] = (uint8_t)(i * 7 + (i >> 9));
    memset(to, 0, COLD_LEN);
    bench_copies(to, from);
    bench_distances(to, from);
    bench_hashes(from);
    bench_checksums(from);
    free(from);
    free(to);
    return 0;
}
