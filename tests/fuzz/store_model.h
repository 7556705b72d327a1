/* SPDX-License-Identifier: MIT
 *
 * store_model.h - a store's file as an input tells it: entries, and then what happened to the file. Written apart
 * from the engine, of which it has only the checksum.
 */
#ifndef RD_TESTS_FUZZ_STORE_MODEL_H
#define RD_TESTS_FUZZ_STORE_MODEL_H

#include "base/buffer.h"
#include "engine/meta.h"

#define FUZZ_MODEL_ENTRIES_MAX 64
#define FUZZ_MODEL_KEY_COUNT   8u /* keys are this many hashes from here on */
#define FUZZ_MODEL_KEY_BASE    UINT64_C(0xa1b2c3d400000000)

struct fuzz_model {
    struct rd_buffer whole;   /* the file in good order */
    struct rd_buffer damaged; /* and as it is found */
    struct {
        uint64_t end;
        bool inside;  /* a batch goes on behind it */
        bool damaged; /* its checksum does not match */
    } entries[FUZZ_MODEL_ENTRIES_MAX];
    size_t entry_count;
    size_t recorded; /* entries that a companion says are on the disk */
};

/* Takes the entries, each begun by a byte of which bits 0 to 2 say what it is, up to 0xff or the end:
 *   0 to 2 | key u8, len u8, first u8 | a value; bits 3 and 4: its length times 1, 4, 16, 64
 *   3      | key u8                   | a value that is the file so far
 *   4      | key u8                   | a tombstone
 *   5      | key u8, len u8, first u8 | a value whose checksum does not match
 *   6      | count u8                 | a batch's marker: the next two or three entries belong to it
 *   7      |                          | recorded: all so far is on the disk
 * and then what happened to the file, in the same way:
 *   0 | at u16, len u8, bytes | overwritten          3 | len u8 | zeros behind it, eight times as many
 *   1 | at u16                | cut to that length   4 | len u8 | 0xff behind it, as many
 *   2 | at u16, bit u8        | a bit flipped        5 | len u8, bytes | bytes behind it */
void fuzz_model_take(struct rd_slice *input, struct fuzz_model *ret_model);
void fuzz_model_deinit(struct fuzz_model *model);

/* The length up to which nothing of the file has changed. */
uint64_t fuzz_model_untouched(const struct fuzz_model *model);

/* How far whole entries reach at or below `limit`, batches being whole or not there. Of the first `believed` ones
 * the checksum plays no part. */
uint64_t fuzz_model_whole_below(const struct fuzz_model *model, uint64_t limit, size_t believed);

/* The end of the last entry that a companion says is on the disk. */
uint64_t fuzz_model_recorded_tail(const struct fuzz_model *model);

/* What a companion would record of the file in good order. */
struct rd_meta fuzz_model_meta(const struct fuzz_model *model, bool clean);

/* Fills in the key and checksum of the entry that would end at `end` of the file. */
void fuzz_note_trailer(struct rd_slice file, uint64_t end, struct rd_meta *meta);

#endif
