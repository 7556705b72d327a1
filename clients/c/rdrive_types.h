/* SPDX-License-Identifier: MIT
 *
 * rdrive_types.h - what both faces of the C client (rdrive.h, rdrive_async.h) speak of: outcomes, keys, conditions
 * and results. Include one of these instead.
 */
#ifndef RD_CLIENTS_C_RDRIVE_TYPES_H
#define RD_CLIENTS_C_RDRIVE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RDRIVE_API        __attribute__((visibility("default")))
#define RDRIVE_MUST_CHECK __attribute__((warn_unused_result))

/* The numbers below 1,000 are those of the protocol; a newer server may send others. */
enum rdrive_status {
    RDRIVE_OK = 0,
    RDRIVE_INVALID_ARGUMENT = 1, /* the request itself can never succeed */
    RDRIVE_UNAUTHORIZED = 2,
    RDRIVE_FORBIDDEN = 3,
    RDRIVE_KEY_NOT_FOUND = 4,
    RDRIVE_STORE_NOT_FOUND = 5,
    RDRIVE_TIMEOUT = 7,  /* no answer in time */
    RDRIVE_CONFLICT = 8, /* the store exists already, one key or store named twice, or the source has changed */
    RDRIVE_KEY_COLLISION = 9,
    RDRIVE_PRECONDITION_FAILED = 10, /* a condition does not hold; nothing has changed */
    RDRIVE_TOO_LARGE = 11,
    RDRIVE_RANGE_NOT_SATISFIABLE = 13,
    RDRIVE_OVERLOADED = 14,  /* a limit is reached: try again later */
    RDRIVE_IO_ERROR = 16,    /* the server's disk, or in the blocking face the connection: the message tells */
    RDRIVE_CORRUPT = 17,     /* the stored bytes do not match their checksum */
    RDRIVE_UNAVAILABLE = 18, /* no server there, or the store or the server does not serve now */
    RDRIVE_NO_SPACE = 19,
    RDRIVE_UNSUPPORTED = 20, /* the server knows neither the operation nor the protocol's version */
    RDRIVE_NO_MEMORY = 21,
    RDRIVE_NOT_A_STORE = 22,

    /* the client's own */
    RDRIVE_CONNECTION_LOST = 1000, /* before the answer came: a write may or may not have taken effect */
    RDRIVE_ABORTED = 1001          /* a stream that the caller, or the caller's function, gave up */
};

/* The lower-case name, such as "key_not_found". Never NULL. */
RDRIVE_API const char *rdrive_status_name(enum rdrive_status status);

/* ---- keys ------------------------------------------------------------------------------------------------- */

struct rdrive_key {
    const void *data; /* borrows; NULL: only the hash is known */
    size_t len;       /* bytes; 0 is a key like any other */
    uint64_t hash;    /* XXH3-64, seed 0; where data is NULL */
};

/* The empty key may be given as NULL, 0. */
static inline struct rdrive_key rdrive_key_of_bytes(const void *data, size_t len)
{
    struct rdrive_key key = {data != NULL ? data : "", len, 0};
    return key;
}

static inline struct rdrive_key rdrive_key_of_string(const char *string)
{
    return rdrive_key_of_bytes(string, strlen(string));
}

/* The caller answers for the hash. Every operation takes such a key. */
static inline struct rdrive_key rdrive_key_of_hash(uint64_t hash)
{
    struct rdrive_key key = {NULL, 0, hash};
    return key;
}

/* ---- conditions and ranges -------------------------------------------------------------------------------- */

/* What must hold for an operation to take effect; the server judges it in the order of the store's writes. Where
 * it does not hold the answer is RDRIVE_PRECONDITION_FAILED. Zeroed: anything. */
enum rdrive_condition_kind {
    RDRIVE_IF_ANYTHING = 0,
    RDRIVE_IF_ABSENT = 1,
    RDRIVE_IF_PRESENT = 2,
    RDRIVE_IF_VERSION = 3 /* the value is still the one with this offset and checksum */
};

struct rdrive_condition {
    enum rdrive_condition_kind kind;
    uint64_t offset; /* with RDRIVE_IF_VERSION */
    uint32_t crc32;  /* with RDRIVE_IF_VERSION */
};

/* Which bytes of a value. Zeroed: all of them. Beyond the value's end: RDRIVE_RANGE_NOT_SATISFIABLE. */
enum rdrive_range_kind {
    RDRIVE_RANGE_ALL = 0,
    RDRIVE_RANGE_FROM = 1,  /* `first`, and `len` bytes from there or as many as there are */
    RDRIVE_RANGE_SUFFIX = 2 /* the last `len` bytes, or all where there are fewer */
};

struct rdrive_range {
    enum rdrive_range_kind kind;
    uint64_t first; /* bytes */
    uint64_t len;   /* bytes; UINT64_MAX: to the end */
};

/* ---- results ---------------------------------------------------------------------------------------------- */

enum rdrive_durability {
    RDRIVE_DURABILITY_DEFAULT = 0, /* what the store is set to */
    RDRIVE_DURABILITY_SYNC = 1,    /* answered once it is on the disk */
    RDRIVE_DURABILITY_INTERVAL =
        2, /* a store's setting: never older than so many ms on the disk; not to be asked for */
    RDRIVE_DURABILITY_NONE = 3 /* answered once the server's kernel has it */
};

struct rdrive_written {
    uint64_t offset;                   /* where the (last) value lies in the store's file; of deletes: 0 */
    uint64_t tail;                     /* the store's new end */
    uint64_t count;                    /* entries written, or keys that were there to delete */
    uint64_t key_hash;                 /* write, write_stream, rename: of the (new) key */
    uint32_t crc32;                    /* write, write_stream, rename: of the value */
    bool replaced;                     /* write, write_stream, rename: the (new) key had a value before */
    enum rdrive_durability durability; /* what was in force; never DEFAULT */
    uint32_t durability_interval_ms;
};

/* Of copy and transfer. */
struct rdrive_moved {
    uint64_t target_offset; /* where the copy lies in the target's file */
    uint64_t target_tail;   /* the target's new end */
    uint64_t source_tail;   /* transfer: the source's end behind its tombstone */
};

struct rdrive_entry {
    struct rdrive_key key;
    const void *value; /* borrows */
    size_t value_len;  /* bytes */
};

struct rdrive_value {
    enum rdrive_status status; /* of a batch: RDRIVE_OK, RDRIVE_KEY_NOT_FOUND or RDRIVE_CORRUPT */
    const uint8_t *data;       /* lives until the free function */
    size_t len;                /* bytes */
    uint64_t offset;           /* where it lies in the store's file; with crc32 it is the value's version */
    uint32_t crc32;
    uint64_t key_hash;  /* read alone */
    uint64_t prev_tail; /* read alone */
    void *memory;       /* owned; what data points into (of a batch: NULL) */
};

struct rdrive_values {
    struct rdrive_value *items; /* owned; in the order asked */
    size_t count;
    void *memory; /* owned; what the items point into */
};

struct rdrive_metadata {
    uint64_t key_hash;
    uint64_t offset;    /* of the value in the store's file */
    uint64_t len;       /* of the whole value, bytes */
    uint64_t prev_tail; /* where the entry before it ends; 0 from iterate */
    uint32_t crc32;     /* of the whole value */
};

/* What a read_stream brings: `len` bytes of the value, from `first` on. */
struct rdrive_part {
    struct rdrive_metadata metadata;
    uint64_t first; /* bytes */
    uint64_t len;   /* bytes */
};

/* What a backup brings: `len` bytes of the store's file, from `first` on. */
struct rdrive_backup {
    uint64_t generation; /* of the file; below `tail` it stays what it is as long as this does */
    uint64_t tail;       /* bytes that the file had at that moment */
    uint64_t first;
    uint64_t len; /* bytes */
};

struct rdrive_entries {
    struct rdrive_metadata *items; /* owned; newest first */
    size_t count;
};

enum rdrive_store_state { RDRIVE_STORE_OPEN = 0, RDRIVE_STORE_READ_ONLY = 1, RDRIVE_STORE_FAILED = 2 };

struct rdrive_store_info {
    char name[65];
    uint64_t entries;    /* live keys */
    uint64_t tail;       /* bytes up to the end of the last entry */
    uint64_t file_size;  /* bytes that the file takes */
    uint64_t dead_bytes; /* of the tail, those that no live entry uses */
    enum rdrive_durability durability;
    uint32_t durability_interval_ms;
    enum rdrive_store_state state;
    char reason[192];       /* why it is not open; "" otherwise */
    uint64_t generation;    /* random, new with the store's file; 0: it failed, or the server does not tell */
    bool batch_marker;      /* a batch takes effect as a whole or not at all, over a crash too */
    uint64_t quota_bytes;   /* what the tail may come to; 0: no quota */
    uint64_t quota_entries; /* live keys; 0: no quota */
    bool read_only;         /* its settings take no writes */
    bool compacting;        /* a compaction of it is under way */
};

enum rdrive_problem_kind {
    RDRIVE_PROBLEM_PAYLOAD = 1, /* a value's bytes do not match their checksum */
    RDRIVE_PROBLEM_PAD = 2,     /* bytes between entries are not zeros; no value is lost by it */
    RDRIVE_PROBLEM_BATCH = 3,   /* a batch's marker counts entries that are not there */
    RDRIVE_PROBLEM_CHAIN = 4    /* these bytes cannot be told apart into entries */
};                              /* a newer server may tell of others */

struct rdrive_problem {
    enum rdrive_problem_kind kind;
    bool live;         /* a key's value */
    uint64_t offset;   /* where the damaged bytes begin in the store's file */
    uint64_t len;      /* bytes */
    uint64_t key_hash; /* 0 with RDRIVE_PROBLEM_CHAIN */
};

/* One step of a look at a store's entries, newest first. */
struct rdrive_verification {
    uint64_t from;                   /* the end of the newest entry that was looked at */
    uint64_t next;                   /* where the next step goes on; 0: the file's beginning was reached */
    uint64_t entries;                /* looked at, those of deleted and replaced values included */
    uint64_t bytes;                  /* of the file that was looked at */
    uint64_t problem_count;          /* 0: nothing is wrong */
    struct rdrive_problem *problems; /* owned; the first `listed_count` of them */
    size_t listed_count;
};

/* What a compaction has done. */
struct rdrive_compaction {
    uint64_t tail_before;     /* the store's end in the file that was left */
    uint64_t tail;            /* and in the one that took its place */
    uint64_t entries;         /* live keys */
    uint64_t reclaimed_bytes; /* that the file is shorter by */
    uint64_t generation;      /* of the new file */
    uint64_t pause_us;        /* the longest time for which writes were held up */
};

struct rdrive_stores {
    struct rdrive_store_info *items; /* owned */
    size_t count;
};

/* Safe on zeroed and on freed results; they zero what they are given, but for what a verification has counted. */
RDRIVE_API void rdrive_value_free(struct rdrive_value *value);
RDRIVE_API void rdrive_values_free(struct rdrive_values *values);
RDRIVE_API void rdrive_entries_free(struct rdrive_entries *entries);
RDRIVE_API void rdrive_stores_free(struct rdrive_stores *stores);
RDRIVE_API void rdrive_verification_free(struct rdrive_verification *verification);

#ifdef __cplusplus
}
#endif

#endif
