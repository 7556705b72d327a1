/* SPDX-License-Identifier: MIT
 *
 * plan.h - what a group of operations will append, before a byte of it is written.
 *
 * Operations are judged in queue order, each on what the index holds and on what the group has planned so far: a
 * delete behind a write of the same group sees that write. Judging writes nothing and publishes nothing, so a
 * group whose append fails can be thrown away.
 *
 * The writer's alone.
 */
#ifndef RD_ENGINE_PLAN_H
#define RD_ENGINE_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"
#include "engine/trailers.h"

struct rd_datafile;
struct rd_index;
struct rd_op;
struct rd_spool;

struct rd_plan_entry {
    uint64_t key_hash;
    struct rd_slice payload; /* borrows; of a tombstone: one zero byte; data NULL: the bytes are in spool */
    struct rd_spool *spool;  /* borrows */
    uint64_t prev_tail;
    uint64_t payload_offset;
    uint64_t place; /* of the key in the index, if it is known; 0 */
    uint32_t crc32; /* known beforehand, or set when the entry is encoded */
    bool crc32_known;
    bool pinned; /* the payload is a stored value, whose file others may cut: verified as it is written */
    bool tombstone;
    bool in_index;   /* the key was live before this group */
    bool refused;    /* the index has promised no room for it */
    bool in_place;   /* the payload lies there already: only the trailer is to be written */
    bool superseded; /* a later entry of the group has the same key, or it is the engine's own: never published */
    uint32_t previous; /* index + 1 of the group's entry before it with the same key; 0: none */
};

/* One operation of the group and the entries that are its own. */
struct rd_plan_step {
    struct rd_op *op;
    uint32_t first; /* into entries */
    uint32_t count;
};

#define RD_PLAN_STEPS_MAX 4096u /* operations in one group */

struct rd_plan {
    struct rd_plan_entry *entries; /* owned */
    struct rd_plan_step *steps;    /* owned */
    uint32_t *latest;              /* owned; hash table by key: index + 1 of its latest entry, 0: free */
    uint32_t entry_count;
    uint32_t entry_capacity;
    uint32_t step_count;  /* at most RD_PLAN_STEPS_MAX */
    uint32_t latest_mask; /* slots that this group uses - 1; twice entry_capacity are there */
    uint64_t seed;        /* of the index: callers may choose their keys' hashes, but do not know it */
    uint64_t placed_at;   /* where the value of the operation being judged lies already; 0: nowhere */
    bool refused;         /* the index has no room for some entry */
    bool placed;          /* the group commits what lies ahead */
    bool batch_marker;    /* constant: entries of one operation are held together by a marker */
    uint64_t tail;        /* where the group will end */

    bool bounded; /* what follows is to be heeded; set by the writer for each group */
    bool writes_barred;
    uint64_t quota_bytes;   /* UINT64_MAX: none */
    uint64_t quota_entries; /* UINT64_MAX: none */
    uint64_t live;          /* keys, behind the group so far; where it is bounded */

    struct rd_trailers trailers; /* of what the group replaces */
};

/* file: the store's, borrowed. */
enum rd_status rd_plan_init(struct rd_plan *plan, const struct rd_datafile *file, bool batch_marker) RD_MUST_CHECK;
void rd_plan_deinit(struct rd_plan *plan);

/* Starts a group that is appended at `tail`. */
void rd_plan_begin(struct rd_plan *plan, struct rd_index *index, uint64_t tail);

/* Judges op as the group's next. Sets op->status and the results that are known now (count, replaced). An
 * operation that fails adds no entries, only its step. file: the map, up to the published tail. placed_at: where
 * the operation's value lies ahead of the tail already, or 0. */
void rd_plan_add(struct rd_plan *plan, struct rd_index *index, const uint8_t *file, struct rd_op *op,
                 uint64_t placed_at);

/* Adds, to a group that has nothing else, what closes the gap before `begin` and makes dead bytes of the len that
 * lie there with that checksum (ahead.h), zeros behind them. RD_NO_MEMORY. */
enum rd_status rd_plan_leap(struct rd_plan *plan, uint64_t begin, uint64_t len, uint32_t crc32) RD_MUST_CHECK;

/* Room in the index for all that the plan adds, or RD_NO_MEMORY. */
enum rd_status rd_plan_reserve(struct rd_plan *plan, struct rd_index *index, const uint8_t *file) RD_MUST_CHECK;

#endif
