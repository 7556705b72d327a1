/* SPDX-License-Identifier: MIT
 *
 * layout.h - the entries of a store's file, taken apart by a second reading of docs/FORMAT.md: it shares no code
 * with the engine but the checksum. For files that are known to be whole.
 */
#ifndef RD_TESTS_CRASH_LAYOUT_H
#define RD_TESTS_CRASH_LAYOUT_H

#include "tests/crash/common.h"

enum entry_kind { ENTRY_VALUE, ENTRY_TOMBSTONE, ENTRY_MARKER, ENTRY_FILLER };

struct entry {
    enum entry_kind kind;
    uint64_t begin; /* where the one before it ends */
    uint64_t payload;
    uint64_t trailer;
    uint64_t end;
    uint64_t hash;
    uint32_t batch_count; /* of a marker: so many entries behind it are one batch */
    bool own;             /* the engine's: a marker, a filler, a spacer */
    bool latest;          /* of its key */
};

struct layout {
    struct entry *entries; /* owned; in the order of the file */
    size_t count;
};

/* Ends the program where the bytes are not a whole store. */
void layout_read(struct layout *layout, struct rd_slice file);
void layout_deinit(struct layout *layout);

/* Where in an entry a byte lies. */
enum region {
    REGION_PAD,
    REGION_PAYLOAD,      /* of a value that lives */
    REGION_PAYLOAD_DEAD, /* of one that was replaced or deleted; of a short filler */
    REGION_HOLE,         /* of a filler so long that its zeros are told by its checksum, and not read */
    REGION_TOMBSTONE,    /* the zero byte of a tombstone or a marker */
    REGION_HASH,
    REGION_LINK,
    REGION_CHECKSUM,
    REGION_COUNT_FIELD, /* of a marker, in the checksum's place */
    REGION_COUNT
};

extern const char *const region_names[REGION_COUNT];

const struct entry *layout_entry_at(const struct layout *layout, uint64_t offset);
enum region layout_region_at(const struct layout *layout, uint64_t offset);

#endif
