/* SPDX-License-Identifier: MIT
 *
 * bench.h - what the parts of the engine's benchmark share: a store to work on, keys, time, and the rows that
 * figures go to. Whatever fails ends the program. One thread, but where a part starts its own.
 */
#ifndef RD_BENCH_ENGINE_BENCH_H
#define RD_BENCH_ENGINE_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/engine.h"

#define BENCH_ENTRY_COUNT 1000000u
#define BENCH_BATCH_COUNT 1024u
#define BENCH_PASSES      5u /* of what is measured several times in a round */
#define BENCH_STORE_NAME  "bench-engine.rdr"

_Noreturn void bench_die(const char *what);

uint64_t bench_now_ns(void);
double bench_seconds_since(uint64_t began_ns);

/* In the folder that the command line names; name is the file's. The text is good until the next call. */
const char *bench_path(const char *name);

/* Sixteen bytes around the number, hashed: keys cost what they cost a caller. */
struct rd_key bench_key(uint64_t number);

/* Nothing is synced and reads are not verified, since the reference does neither. */
struct rd_store *bench_open(bool fresh);

/* Removes the store and its companions. */
void bench_clean(void);

/* At most BENCH_BATCH_COUNT entries of 8 bytes, their keys numbered from `first` on. */
struct bench_batch {
    struct rd_entry entries[BENCH_BATCH_COUNT];
    uint8_t payloads[BENCH_BATCH_COUNT][8];
};
void bench_batch_make(struct bench_batch *batch, uint64_t first, size_t count);

/* `count` entries of 8 bytes, in batches of BENCH_BATCH_COUNT, behind the `first` that are there. */
void bench_fill(struct rd_store *store, uint64_t first, uint64_t count);

/* xorshift64: never 0. */
uint64_t bench_random(uint64_t *state);
#define BENCH_RANDOM_SEED UINT64_C(88172645463325252)

/* Keeps the compiler from dropping what was read. */
void bench_use(uint64_t sum);

/* Works for a second, on a store of its own. */
void bench_warm(void);

/* What no index that names places in a file can surpass: of each key a look at a table and one at the file, where
 * that says, of memory as long as the index and the store that is there. Adds to the row "two_looks". */
void bench_two_looks(void);

/* What a map costs that was not looked at before, though its pages are in memory and in the page table: each page
 * of the store's file once, far from the one before. Where the machine is a virtual one without page tables of its
 * own in the processor, each is an exit to the machine under it. Adds to the row "first_looks". */
void bench_first_looks(void);

/* One that does nothing. Adds to the row "system_calls". */
void bench_system_calls(void);

/* What memory costs that was not there before, as a new file's and a growing index's: pages of 4 KiB that are
 * touched once and given back. Adds to the row "fresh_pages". */
void bench_fresh_pages(void);

/* One more figure of a row, which main.c's table must have: at most BENCH_PASSES in a round. */
void bench_result(const char *row, double value);

/* ---- the parts; each adds a figure, or BENCH_PASSES, to each of its rows ---- */

void bench_operations(void);
void bench_opening(void);
void bench_stream(void);
void bench_memory(void);
void bench_growth(void);

#endif
