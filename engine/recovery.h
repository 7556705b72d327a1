/* SPDX-License-Identifier: MIT
 *
 * recovery.h - finds out what of a file is a store. Pure: looks at bytes, decides, changes nothing.
 *
 * Kept is the longest whole prefix. An entry is whole where it follows the one before it without a gap, its pad is
 * zero and its checksum matches; a batch is whole where all entries that its marker counts are. The rules:
 *
 *  0. Where a companion says up to where the file was synced, and the links from there lead to 0 over as many
 *     entries as it says: after a clean stop all of it is taken as it is. Otherwise only what lies above is looked
 *     at, and cut at the first entry or batch that is not whole. So a trailer forged inside a torn value must name
 *     the recorded tail, and no old entry is ever cut. A file's first entry must end where the companion says that
 *     it was to end: so a value that is itself a store, and is torn, is not taken for the outer one.
 *  1. Without a companion, or with one that does not fit: a chain of whole entries from the file's end to 0 is
 *     taken as it is.
 *  2. Otherwise entries are followed forward from 0, each with its checksum. What they reach is the trusted tail.
 *  3. Beyond the trusted tail an entry is only believed where its checksum matches and the chain down from it
 *     passes through the trusted tail: then what lies between is a damaged payload, not a torn end.
 *  4. The chain from the very end of the file is also believed where only payloads in it are damaged: it must pass
 *     through the trusted tail, or have one more entry whose checksum matches. A damaged payload is the reads'
 *     business (RD_CORRUPT).
 *  5. Where a chain above the trusted tail is sound but does not lead down to it, a link is damaged: nothing is
 *     cut, the range between is named, and the store opens read-only.
 *  6. Bytes 0xFF at the file's end are the file running ahead of its tail (extension.h): nothing to keep, whatever
 *     lies before them. Of an entry at most its checksum ends in such bytes.
 *  7. Where a companion does not fit, what lies below the tail that it names is not cut all the same: it is named
 *     as damaged, and the store opens read-only.
 *
 * Without a companion a file whose first value is itself a store, and damaged, is taken for the inner one as far
 * as that reaches: what is between its end and the next entry of the outer one is then named as damaged (rule 5).
 *
 * A zero-filled end looks like "a first entry" (prev_tail 0) at each of its bytes, and a value that is itself a
 * store is full of entries of its own: neither has a matching checksum at the place where the outer chain would
 * need it.
 */
#ifndef RD_ENGINE_RECOVERY_H
#define RD_ENGINE_RECOVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

struct rd_recovery {
    uint64_t tail; /* end of the last entry that is kept; 0: an empty store */
    bool damaged;  /* entries in [damage_begin, damage_end) cannot be told apart */
    uint64_t damage_begin;
    uint64_t damage_end;
    bool hint_fits;    /* the companion is the file's: it ends, or ended, where that says */
    uint64_t rest_end; /* of what follows the tail and is not 0xFF to the file's end; the tail: nothing does */
};

/* What a companion recorded of the file. */
struct rd_recovery_hint {
    uint64_t durable_tail; /* everything below it was synced */
    uint64_t entry_count;  /* so many entries, the engine's own included */
    uint64_t first_end;    /* where durable_tail is 0: the first entry was to end here; 0: not known */
    uint64_t last_key;     /* of the entry that ends there */
    uint32_t last_crc;
    bool clean;           /* and nothing was written after it */
    uint64_t known_tail;  /* a checkpoint's, at or below durable_tail; 0: none */
    uint64_t known_count; /* so many of the entries end at or below it */
};

/* hint: NULL where there is no companion. RD_NOT_A_STORE: no whole entry and no companion, and neither empty,
 * under 4,096 bytes nor all zeros or ones, page by page. RD_NO_MEMORY. */
enum rd_status rd_recovery_examine(struct rd_slice file, const struct rd_recovery_hint *hint,
                                   struct rd_recovery *ret_recovery) RD_MUST_CHECK;

#endif
