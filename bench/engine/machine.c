/* SPDX-License-Identifier: MIT
 *
 * machine.c - what the machine is worth at the moment, so that a figure of the engine's can be told from the
 * hour's.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/endian.h"
#include "bench/engine/bench.h"

#define WARM_SECONDS 1.0

#define TABLE_SLOTS (UINT64_C(1) << 21) /* 16 MiB: no longer than the index of so many keys */
#define TABLE_ALIGN ((size_t)2 << 20)

#define FRESH_LEN ((size_t)8 << 20)
#define PAGE_LEN  4096u

#define PAGE_STEP  UINT64_C(1000003) /* a prime: so each page is come to once */
#define CALL_COUNT 100000u

/* A machine that has rested is slow at first, in two ways where it is a virtual one: its processors for some half
 * second, and its memory, which the machine under it takes back where it is free for two seconds, so that the
 * first pages of a file have to be given anew. Those of a store that was just removed need not be. */
void bench_warm(void)
{
    uint64_t began = bench_now_ns();
    do {
        struct rd_store *store = bench_open(true);
        bench_fill(store, 0, BENCH_ENTRY_COUNT);
        rd_store_close(store);
    } while (bench_seconds_since(began) < WARM_SECONDS);
}

static void *map_store(size_t *ret_len)
{
    int fd = open(bench_path(BENCH_STORE_NAME), O_RDONLY | O_CLOEXEC);
    off_t len = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    void *map = len <= 0 ? MAP_FAILED : mmap(NULL, (size_t)len, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        bench_die("map");
    close(fd);
    *ret_len = (size_t)len;
    return map;
}

/* An offset of the file in each slot. */
static uint64_t *make_table(size_t file_len)
{
    uint64_t *table = aligned_alloc(TABLE_ALIGN, TABLE_SLOTS * sizeof *table);
    if (table == NULL)
        bench_die("memory");
    (void)madvise(table, TABLE_SLOTS * sizeof *table, MADV_HUGEPAGE); /* as the index has them */
    for (uint64_t i = 0; i < TABLE_SLOTS; i++)
        table[i] = file_len / TABLE_SLOTS * i / sizeof(uint64_t) * sizeof(uint64_t);
    return table;
}

static double look_rate(const uint64_t *table, const uint8_t *file)
{
    uint64_t state = BENCH_RANDOM_SEED;
    uint64_t sum = 0;
    uint64_t began = bench_now_ns();
    for (uint64_t i = 0; i < BENCH_ENTRY_COUNT; i++) {
        uint64_t hash = bench_key(bench_random(&state) % BENCH_ENTRY_COUNT).hash;
        sum += rd_load_u64le(file + table[hash % TABLE_SLOTS]);
    }
    bench_use(sum);
    return BENCH_ENTRY_COUNT / bench_seconds_since(began);
}

void bench_two_looks(void)
{
    size_t file_len;
    void *file = map_store(&file_len);
    uint64_t *table = make_table(file_len);
    (void)look_rate(table, file); /* maps the pages */
    bench_result("two_looks", look_rate(table, file));
    free(table);
    munmap(file, file_len);
}

void bench_first_looks(void)
{
    size_t file_len;
    const uint8_t *file = map_store(&file_len);
    size_t page_count = file_len / PAGE_LEN;
    (void)madvise((void *)file, file_len, MADV_POPULATE_READ);
    uint64_t sum = 0;
    uint64_t began = bench_now_ns();
    for (size_t i = 0; i < page_count; i++)
        sum += file[i * PAGE_STEP % page_count * PAGE_LEN];
    bench_result("first_looks", (double)page_count / bench_seconds_since(began));
    bench_use(sum);
    munmap((void *)file, file_len);
}

void bench_system_calls(void)
{
    uint64_t began = bench_now_ns();
    for (unsigned i = 0; i < CALL_COUNT; i++)
        bench_use((uint64_t)getppid());
    bench_result("system_calls", CALL_COUNT / bench_seconds_since(began));
}

void bench_fresh_pages(void)
{
    uint64_t began = bench_now_ns();
    uint8_t *fresh = mmap(NULL, FRESH_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fresh == MAP_FAILED)
        bench_die("memory");
    for (size_t at = 0; at < FRESH_LEN; at += PAGE_LEN)
        ((volatile uint8_t *)fresh)[at] = 1;
    munmap(fresh, FRESH_LEN);
    bench_result("fresh_pages", (double)(FRESH_LEN / PAGE_LEN) / bench_seconds_since(began));
}
