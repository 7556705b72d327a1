/* SPDX-License-Identifier: MIT
 *
 * store_steps.h - what is done to an open store, as an input tells it: writes, the steps of a compaction between
 * them, openings and crashes; held against a model that knows what each key holds and in which order it was
 * written.
 */
#ifndef RD_TESTS_FUZZ_STORE_STEPS_H
#define RD_TESTS_FUZZ_STORE_STEPS_H

#include "base/slice.h"
#include "engine/engine.h"

/* Takes steps, each a byte of which bits 0 to 2 say what it is; the keys are those of store_model.h:
 *   0 | key u8, len u8, first u8 | a value is written; bits 3 and 4: its length times 1, 4, 16, 64
 *   1 | key u8, len u8, first u8 | the same under this key and the next two, as a batch
 *   2 | key u8                   | a key is deleted
 *   3 | from u8, to u8           | a key is renamed
 *   4 |                          | a compaction begins; one that is under way is given up
 *   5 | len u8                   | it goes on for so many bytes, eight times as many
 *   6 |                          | it is carried to its end, begun where none is under way
 *   7 |                          | the store is closed and opened again; bit 3: as a process that is killed leaves
 * it
 *
 *  1. A step's status is what the model says.
 *  2. Behind each compaction and each opening the store shows the model's values, damaged ones too, in the order
 * in which they were written, and agrees with itself.
 *  3. A compaction during which nothing was written leaves a file of what lives and nothing else.
 *
 * Takes the store, which `open` opens again; returns the one that is open at the end, after a last look. */
struct rd_store *fuzz_steps_run(struct rd_slice input, struct rd_store *store, struct rd_store *(*open)(void));

#endif
