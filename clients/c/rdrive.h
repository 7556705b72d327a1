/* SPDX-License-Identifier: MIT
 *
 * rdrive.h - the C client of rdrive, a networked key-value server. This is its blocking face: each call sends one
 * request and waits for the answer. No thread and no event loop are started.
 *
 * Caveats first
 *  1. A struct rdrive_client is used by one thread at a time. Use one per thread.
 *  2. Keys are not stored, only their XXH3-64 hash: two keys with one hash share an entry.
 *  3. An empty value and the value of exactly one zero byte cannot be stored.
 *  4. Nothing is retried. Where a write ends in RDRIVE_TIMEOUT or RDRIVE_IO_ERROR it may or may not have taken
 * effect.
 *  5. After such a failure the connection is closed; the next call connects anew.
 *  6. Names are resolved with getaddrinfo(), which takes the time it takes: no timeout of ours covers it.
 *
 * Every function that can fail returns enum rdrive_status and leaves its ret_* outputs untouched on failure;
 * rdrive_last_error() then tells what, where and what to do. SIGPIPE is never raised.
 *
 *     struct rdrive_client *client;
 *     if (rdrive_client_create(NULL, &client) != RDRIVE_OK)
 *         ...
 *     struct rdrive_value value;
 *     if (rdrive_read(client, rdrive_key_of_string("alpha"), &value) == RDRIVE_OK) {
 *         fwrite(value.data, 1, value.len, stdout);
 *         rdrive_value_free(&value);
 *     }
 *     rdrive_client_destroy(client);
 */
#ifndef RDRIVE_H
#define RDRIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RDRIVE_API        __attribute__((visibility("default")))
#define RDRIVE_MUST_CHECK __attribute__((warn_unused_result))

/* The numbers are those of the protocol; a newer server may send others. */
enum rdrive_status {
    RDRIVE_OK = 0,
    RDRIVE_INVALID_ARGUMENT = 1, /* the request itself can never succeed */
    RDRIVE_UNAUTHORIZED = 2,
    RDRIVE_FORBIDDEN = 3,
    RDRIVE_KEY_NOT_FOUND = 4,
    RDRIVE_STORE_NOT_FOUND = 5,
    RDRIVE_TIMEOUT = 7,  /* no answer in time */
    RDRIVE_CONFLICT = 8, /* the store exists already, or what was read has changed */
    RDRIVE_KEY_COLLISION = 9,
    RDRIVE_PRECONDITION_FAILED = 10,
    RDRIVE_TOO_LARGE = 11,
    RDRIVE_OVERLOADED = 14,  /* a limit is reached: try again later */
    RDRIVE_IO_ERROR = 16,    /* the server's disk, or the connection: rdrive_last_error() tells */
    RDRIVE_CORRUPT = 17,     /* the stored bytes do not match their checksum */
    RDRIVE_UNAVAILABLE = 18, /* no server there, or the store or the server does not serve now */
    RDRIVE_NO_SPACE = 19,
    RDRIVE_UNSUPPORTED = 20, /* the server knows neither the operation nor the protocol's version */
    RDRIVE_NO_MEMORY = 21,
    RDRIVE_NOT_A_STORE = 22
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

/* The caller answers for the hash. */
static inline struct rdrive_key rdrive_key_of_hash(uint64_t hash)
{
    struct rdrive_key key = {NULL, 0, hash};
    return key;
}

/* ---- a connection ----------------------------------------------------------------------------------------- */

struct rdrive_client;

/* Zeroed means the defaults. Everything is copied. */
struct rdrive_options {
    const char *server;          /* "HOST:PORT" or "[IPV6]:PORT"; NULL: 127.0.0.1:7401 */
    const char *unix_path;       /* a Unix socket instead; NULL: none */
    const char *store;           /* what the operations work on; NULL: "default" */
    uint32_t connect_timeout_ms; /* connecting and the hello; 0: 5,000 */
    uint32_t request_timeout_ms; /* from the start of a call to its end; 0: 60,000 */
    uint32_t answer_len_max;     /* bytes of one answer; 0: 1 GiB */
};

/* Does not connect yet: the first operation does. options may be NULL. The client is owned by the caller.
 * RDRIVE_INVALID_ARGUMENT (server is not HOST:PORT, path or store name too long), RDRIVE_NO_MEMORY. */
RDRIVE_API enum rdrive_status rdrive_client_create(const struct rdrive_options *options,
                                                   struct rdrive_client **ret_client) RDRIVE_MUST_CHECK;
/* NULL is fine. */
RDRIVE_API void rdrive_client_destroy(struct rdrive_client *client);

/* Connects now, where there is no connection. For those who want to know early. */
RDRIVE_API enum rdrive_status rdrive_client_connect(struct rdrive_client *client) RDRIVE_MUST_CHECK;

/* Chooses the store that later calls work on; NULL: "default". Asks nobody whether it exists. */
RDRIVE_API enum rdrive_status rdrive_client_set_store(struct rdrive_client *client,
                                                      const char *store) RDRIVE_MUST_CHECK;

/* Why the last call on this client failed; "" after one that did not. Borrowed until the next call. */
RDRIVE_API const char *rdrive_last_error(const struct rdrive_client *client);

/* ---- writing ---------------------------------------------------------------------------------------------- */

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
    uint64_t key_hash;                 /* write */
    uint32_t crc32;                    /* write: of the value */
    bool replaced;                     /* write: the key had a value before */
    enum rdrive_durability durability; /* what was in force; never DEFAULT */
    uint32_t durability_interval_ms;
};

struct rdrive_entry {
    struct rdrive_key key;
    const void *value; /* borrows */
    size_t value_len;  /* bytes */
};

/* ret_written may be NULL in all of these. */
RDRIVE_API enum rdrive_status rdrive_write(struct rdrive_client *client, struct rdrive_key key, const void *value,
                                           size_t value_len, enum rdrive_durability durability,
                                           struct rdrive_written *ret_written) RDRIVE_MUST_CHECK;

/* All or nothing, visible at once. allow_null_bytes: a value of one zero byte deletes its key instead of failing.
 */
RDRIVE_API enum rdrive_status rdrive_batch_write(struct rdrive_client *client, const struct rdrive_entry *entries,
                                                 size_t count, bool allow_null_bytes,
                                                 enum rdrive_durability durability,
                                                 struct rdrive_written *ret_written) RDRIVE_MUST_CHECK;

/* A key that is not there is no error: ret_written->count is 0 then. */
RDRIVE_API enum rdrive_status rdrive_delete(struct rdrive_client *client, struct rdrive_key key,
                                            enum rdrive_durability durability,
                                            struct rdrive_written *ret_written) RDRIVE_MUST_CHECK;
RDRIVE_API enum rdrive_status rdrive_batch_delete(struct rdrive_client *client, const struct rdrive_key *keys,
                                                  size_t count, enum rdrive_durability durability,
                                                  struct rdrive_written *ret_written) RDRIVE_MUST_CHECK;

/* ---- reading ---------------------------------------------------------------------------------------------- */

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
    uint64_t len;       /* of the value, bytes */
    uint64_t prev_tail; /* where the entry before it ends; 0 from iterate */
    uint32_t crc32;
};

struct rdrive_entries {
    struct rdrive_metadata *items; /* owned; newest first */
    size_t count;
};

/* RDRIVE_KEY_NOT_FOUND, RDRIVE_CORRUPT. To be freed with rdrive_value_free. */
RDRIVE_API enum rdrive_status rdrive_read(struct rdrive_client *client, struct rdrive_key key,
                                          struct rdrive_value *ret_value) RDRIVE_MUST_CHECK;

/* One consistent look at many keys; each has its own status. To be freed with rdrive_values_free. */
RDRIVE_API enum rdrive_status rdrive_batch_read(struct rdrive_client *client, const struct rdrive_key *keys,
                                                size_t count, struct rdrive_values *ret_values) RDRIVE_MUST_CHECK;

RDRIVE_API enum rdrive_status rdrive_exists(struct rdrive_client *client, struct rdrive_key key,
                                            bool *ret_exists) RDRIVE_MUST_CHECK;
RDRIVE_API enum rdrive_status rdrive_read_metadata(struct rdrive_client *client, struct rdrive_key key,
                                                   struct rdrive_metadata *ret_metadata) RDRIVE_MUST_CHECK;

/* The live entry with the highest offset; RDRIVE_KEY_NOT_FOUND where none lives. Read it by its hash. */
RDRIVE_API enum rdrive_status rdrive_last(struct rdrive_client *client,
                                          struct rdrive_metadata *ret_metadata) RDRIVE_MUST_CHECK;

/* Live entries with offsets below after_offset, newest first (0: from the newest), at most `limit` (0: as many as
 * the server gives at once). Go on with the last one's offset until none come. To be freed with
 * rdrive_entries_free. */
RDRIVE_API enum rdrive_status rdrive_iterate(struct rdrive_client *client, uint64_t after_offset, uint32_t limit,
                                             struct rdrive_entries *ret_entries) RDRIVE_MUST_CHECK;

/* Safe on zeroed and on freed results; they zero what they are given. */
RDRIVE_API void rdrive_value_free(struct rdrive_value *value);
RDRIVE_API void rdrive_values_free(struct rdrive_values *values);
RDRIVE_API void rdrive_entries_free(struct rdrive_entries *entries);

/* ---- stores ----------------------------------------------------------------------------------------------- */

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
    char reason[192]; /* why it is not open; "" otherwise */
};

struct rdrive_stores {
    struct rdrive_store_info *items; /* owned */
    size_t count;
};

/* To be freed with rdrive_stores_free. */
RDRIVE_API enum rdrive_status rdrive_list_stores(struct rdrive_client *client,
                                                 struct rdrive_stores *ret_stores) RDRIVE_MUST_CHECK;
RDRIVE_API void rdrive_stores_free(struct rdrive_stores *stores);

/* Creates, tells about, drops the client's store. settings: JSON text, NULL: the defaults. ret_info may be NULL.
 * confirm must be the store's name. RDRIVE_CONFLICT: it exists. The store "default" cannot be dropped. */
RDRIVE_API enum rdrive_status rdrive_create_store(struct rdrive_client *client, const char *settings,
                                                  struct rdrive_store_info *ret_info) RDRIVE_MUST_CHECK;
RDRIVE_API enum rdrive_status rdrive_info(struct rdrive_client *client,
                                          struct rdrive_store_info *ret_info) RDRIVE_MUST_CHECK;
RDRIVE_API enum rdrive_status rdrive_drop_store(struct rdrive_client *client,
                                                const char *confirm) RDRIVE_MUST_CHECK;

/* Parts of rdrive_info: live keys; whether there are none; the store's tail in bytes. */
RDRIVE_API enum rdrive_status rdrive_len(struct rdrive_client *client, uint64_t *ret_len) RDRIVE_MUST_CHECK;
RDRIVE_API enum rdrive_status rdrive_is_empty(struct rdrive_client *client, bool *ret_is_empty) RDRIVE_MUST_CHECK;
RDRIVE_API enum rdrive_status rdrive_file_size(struct rdrive_client *client,
                                               uint64_t *ret_file_size) RDRIVE_MUST_CHECK;

/* Asks for nothing but an answer. */
RDRIVE_API enum rdrive_status rdrive_ping(struct rdrive_client *client) RDRIVE_MUST_CHECK;

#ifdef __cplusplus
}
#endif

#endif
