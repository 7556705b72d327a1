/* SPDX-License-Identifier: MIT
 *
 * rdrive.h - the C client of rdrive, a networked key-value server. This is its blocking face: each call sends one
 * request and waits for the answer. No thread and no event loop are started. rdrive_async.h is the other face.
 *
 * Caveats first
 *  1. A struct rdrive_client is used by one thread at a time. Use one per thread. After a fork() only one
 *     of the two processes may use it, or destroy it: two on one connection get each other's values.
 *  2. Keys are not stored, only their XXH3-64 hash: two keys with one hash share an entry.
 *  3. An empty value and the value of exactly one zero byte cannot be stored.
 *  4. Nothing is retried. Where a write ends in RDRIVE_TIMEOUT or RDRIVE_IO_ERROR it may or may not have taken
 *     effect.
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

#include "rdrive_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- a connection ----------------------------------------------------------------------------------------- */

struct rdrive_client;

/* Zeroed means the defaults. Everything is copied. */
struct rdrive_options {
    const char *server;          /* "HOST:PORT" or "[IPV6]:PORT"; NULL: 127.0.0.1:7401 */
    const char *unix_path;       /* a Unix socket instead; NULL: none */
    const char *store;           /* what the operations work on; NULL: "default" */
    uint32_t connect_timeout_ms; /* connecting and the hello; 0: 5,000 */
    uint32_t
        request_timeout_ms;  /* from the start of a call to its end, of a stream: without progress; 0: 60,000 */
    uint32_t answer_len_max; /* bytes of one answer; 0: 1 GiB */
    bool tls;                /* TLS 1.3, with a server that proves to be `server`; not over a Unix socket */
    const char *tls_ca;      /* a PEM file of the authorities to believe, which implies tls; NULL: the system's */
    const char *token;       /* shown to the server, 1 to 4,096 bytes; NULL: none */
};

/* Does not connect yet: the first operation does. options may be NULL. The client is owned by the caller.
 * RDRIVE_INVALID_ARGUMENT (server is not HOST:PORT; path, store name or token of no length that is taken; tls with
 * unix_path), RDRIVE_NO_MEMORY. A file of authorities that cannot be used fails the first operation, with its
 * reason. */
RDRIVE_API enum rdrive_status rdrive_client_create(const struct rdrive_options *options,
                                                   struct rdrive_client **ret_client) RDRIVE_MUST_CHECK;
/* NULL is fine. */
RDRIVE_API void rdrive_client_destroy(struct rdrive_client *client);

/* Connects now, where there is no connection. For those who want to know early. RDRIVE_UNAUTHORIZED, here and from
 * every operation: the server does not know the token, or asks for one. RDRIVE_FORBIDDEN, from an operation: the
 * token does not allow it there. */
RDRIVE_API enum rdrive_status rdrive_client_connect(struct rdrive_client *client) RDRIVE_MUST_CHECK;

/* Chooses the store that later calls work on; NULL: "default". Asks nobody whether it exists. */
RDRIVE_API enum rdrive_status rdrive_client_set_store(struct rdrive_client *client,
                                                      const char *store) RDRIVE_MUST_CHECK;

/* Why the last call on this client failed; "" after one that did not. Borrowed until the next call. */
RDRIVE_API const char *rdrive_last_error(const struct rdrive_client *client);

/* ---- writing ---------------------------------------------------------------------------------------------- */

/* Zeroed, or NULL in its place, means the defaults. */
struct rdrive_write_options {
    enum rdrive_durability durability;
    struct rdrive_condition condition;        /* write, write_stream, delete: on the key; rename: on the old one */
    struct rdrive_condition target_condition; /* rename: on the new key */
};

/* ret_written may be NULL in all of these. A condition that the operation does not carry: RDRIVE_INVALID_ARGUMENT.
 */
RDRIVE_API enum rdrive_status rdrive_write(struct rdrive_client *client, struct rdrive_key key, const void *value,
                                           size_t value_len, const struct rdrive_write_options *options,
                                           struct rdrive_written *ret_written) RDRIVE_MUST_CHECK;

/* Gives up to len_max bytes of a source: how many it wrote to `to`, 0 at the end, negative where it failed. */
typedef int64_t rdrive_read_fn(void *context, void *to, size_t len_max);

/* Reads the source to its end, 64 KiB at a time, and stores what it gave as one value of any size. `len`: how many
 * bytes that will be, UINT64_MAX where it is not known. It takes effect at its end: a source that fails
 * (RDRIVE_ABORTED) leaves nothing behind. */
RDRIVE_API enum rdrive_status rdrive_write_stream(struct rdrive_client *client, struct rdrive_key key,
                                                  rdrive_read_fn *read, void *context, uint64_t len,
                                                  const struct rdrive_write_options *options,
                                                  struct rdrive_written *ret_written) RDRIVE_MUST_CHECK;

/* All or nothing, visible at once. allow_null_bytes: a value of one zero byte deletes its key instead of failing.
 */
RDRIVE_API enum rdrive_status rdrive_batch_write(struct rdrive_client *client, const struct rdrive_entry *entries,
                                                 size_t count, bool allow_null_bytes,
                                                 const struct rdrive_write_options *options,
                                                 struct rdrive_written *ret_written) RDRIVE_MUST_CHECK;

/* A key that is not there is no error: ret_written->count is 0 then. */
RDRIVE_API enum rdrive_status rdrive_delete(struct rdrive_client *client, struct rdrive_key key,
                                            const struct rdrive_write_options *options,
                                            struct rdrive_written *ret_written) RDRIVE_MUST_CHECK;
RDRIVE_API enum rdrive_status rdrive_batch_delete(struct rdrive_client *client, const struct rdrive_key *keys,
                                                  size_t count, const struct rdrive_write_options *options,
                                                  struct rdrive_written *ret_written) RDRIVE_MUST_CHECK;

/* The value is under the new key and the old one is gone, at once. RDRIVE_KEY_NOT_FOUND; the same key twice:
 * RDRIVE_CONFLICT. */
RDRIVE_API enum rdrive_status rdrive_rename(struct rdrive_client *client, struct rdrive_key from,
                                            struct rdrive_key to, const struct rdrive_write_options *options,
                                            struct rdrive_written *ret_written) RDRIVE_MUST_CHECK;

/* Puts the value into another store of the server as well, or instead: at every moment of a transfer it is in one
 * of the two. Where the source changed meanwhile (RDRIVE_CONFLICT) the copy stays, and so does the newer value.
 * ret_moved may be NULL. */
RDRIVE_API enum rdrive_status rdrive_copy(struct rdrive_client *client, struct rdrive_key key, const char *target,
                                          struct rdrive_moved *ret_moved) RDRIVE_MUST_CHECK;
RDRIVE_API enum rdrive_status rdrive_transfer(struct rdrive_client *client, struct rdrive_key key,
                                              const char *target,
                                              struct rdrive_moved *ret_moved) RDRIVE_MUST_CHECK;

/* ---- reading ---------------------------------------------------------------------------------------------- */

/* RDRIVE_KEY_NOT_FOUND, RDRIVE_CORRUPT. To be freed with rdrive_value_free. */
RDRIVE_API enum rdrive_status rdrive_read(struct rdrive_client *client, struct rdrive_key key,
                                          struct rdrive_value *ret_value) RDRIVE_MUST_CHECK;

/* Takes len bytes, of which nothing stays. False: it failed, and no more is wanted. */
typedef bool rdrive_write_fn(void *context, const void *bytes, size_t len);

/* Hands a value of any size, or a part of it, to a function as it comes. On any status but RDRIVE_OK what was
 * handed out is not to be trusted: RDRIVE_CORRUPT may come behind it. RDRIVE_ABORTED: the function failed.
 * *ret_part is filled before the first bytes come. range and ret_part may be NULL. */
RDRIVE_API enum rdrive_status rdrive_read_stream(struct rdrive_client *client, struct rdrive_key key,
                                                 const struct rdrive_range *range, rdrive_write_fn *write,
                                                 void *context, struct rdrive_part *ret_part) RDRIVE_MUST_CHECK;

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
 * the server gives at once; more than it ever does, 10,000, is RDRIVE_INVALID_ARGUMENT). Go on with the last one's
 * offset until none come or it is 0. To be freed with rdrive_entries_free. */
RDRIVE_API enum rdrive_status rdrive_iterate(struct rdrive_client *client, uint64_t after_offset, uint32_t limit,
                                             struct rdrive_entries *ret_entries) RDRIVE_MUST_CHECK;

/* ---- stores ----------------------------------------------------------------------------------------------- */

/* To be freed with rdrive_stores_free. */
RDRIVE_API enum rdrive_status rdrive_list_stores(struct rdrive_client *client,
                                                 struct rdrive_stores *ret_stores) RDRIVE_MUST_CHECK;

/* Creates, tells about, drops the client's store. settings: JSON text such as
 * {"durability":"interval:200","batch_marker":false}, NULL: the defaults. ret_info may be NULL. confirm must be
 * the store's name. RDRIVE_CONFLICT: it exists. The store "default" cannot be dropped. */
RDRIVE_API enum rdrive_status rdrive_create_store(struct rdrive_client *client, const char *settings,
                                                  struct rdrive_store_info *ret_info) RDRIVE_MUST_CHECK;
RDRIVE_API enum rdrive_status rdrive_info(struct rdrive_client *client,
                                          struct rdrive_store_info *ret_info) RDRIVE_MUST_CHECK;
RDRIVE_API enum rdrive_status rdrive_drop_store(struct rdrive_client *client,
                                                const char *confirm) RDRIVE_MUST_CHECK;

/* Closes the store and opens it again, with all the recovery that a start of the server does: for one that has
 * become read-only or could not be opened, once the cause is gone. Requests under way are waited for, and those
 * that come meanwhile get RDRIVE_UNAVAILABLE, from everybody; so does a second one of these. Any other failure: it
 * does not serve now, and rdrive_last_error() says why. ret_info may be NULL. */
RDRIVE_API enum rdrive_status rdrive_reopen_store(struct rdrive_client *client,
                                                  struct rdrive_store_info *ret_info) RDRIVE_MUST_CHECK;

/* One step of a look at every entry of the store, newest first: checksums, and that entries follow one another.
 * from: 0 to begin with, else the `next` of the step before; a step ends with the entry that makes it bytes_max or
 * more (0: as many as the server likes). Damage is no failure: it is what the result tells. Nobody else waits. To
 * be freed with rdrive_verification_free.
 *
 *     struct rdrive_verification step = {.next = 0};
 *     do {
 *         status = rdrive_verify(client, step.next, 0, &step);
 *         ...step.problems...
 *         rdrive_verification_free(&step);      leaves next as it is
 *     } while (status == RDRIVE_OK && step.next != 0);
 */
RDRIVE_API enum rdrive_status rdrive_verify(struct rdrive_client *client, uint64_t from, uint64_t bytes_max,
                                            struct rdrive_verification *ret_verification) RDRIVE_MUST_CHECK;

/* Hands the store's file, as it is at that moment and as far as it is synced, to a function as it comes; writers
 * do not wait. All that was acknowledged before is in it, whatever its durability, and it opens like any store's
 * file. from: without the bytes below. generation: only where the file still has it; 0: whichever there is. So a
 * later call with from and generation of an earlier one brings what is new, and RDRIVE_PRECONDITION_FAILED says
 * that all has to be taken anew; RDRIVE_RANGE_NOT_SATISFIABLE: from is beyond the file's end. On any status but
 * RDRIVE_OK what was handed out is good as far as it goes. *ret_backup is filled before the first bytes come, and
 * may be NULL. RDRIVE_ABORTED: the function failed. */
RDRIVE_API enum rdrive_status rdrive_backup(struct rdrive_client *client, uint64_t from, uint64_t generation,
                                            rdrive_write_fn *write, void *context,
                                            struct rdrive_backup *ret_backup) RDRIVE_MUST_CHECK;

/* Has the store's file hold what lives alone: it is copied to a new file, which takes the old one's place, while
 * reads and writes go on. Takes as long as copying does, so give the client a timeout that is long enough; the
 * server finishes what it has begun. Offsets change, and so do versions. RDRIVE_OVERLOADED: the server is
 * compacting a store already. RDRIVE_NO_SPACE: the disk has no room for the copy. ret_compaction may be NULL. */
RDRIVE_API enum rdrive_status rdrive_compact(struct rdrive_client *client,
                                             struct rdrive_compaction *ret_compaction) RDRIVE_MUST_CHECK;

/* Parts of rdrive_info: live keys; whether there are none; the store's tail in bytes. */
RDRIVE_API enum rdrive_status rdrive_len(struct rdrive_client *client, uint64_t *ret_len) RDRIVE_MUST_CHECK;
RDRIVE_API enum rdrive_status rdrive_is_empty(struct rdrive_client *client, bool *ret_is_empty) RDRIVE_MUST_CHECK;
RDRIVE_API enum rdrive_status rdrive_file_size(struct rdrive_client *client,
                                               uint64_t *ret_file_size) RDRIVE_MUST_CHECK;

/* Asks for nothing but an answer. */
RDRIVE_API enum rdrive_status rdrive_ping(struct rdrive_client *client) RDRIVE_MUST_CHECK;

/* What the server counts and holds, of all stores: ret_text->data is UTF-8 text in Prometheus' format, without a
 * NUL behind it. To be freed with rdrive_value_free. */
RDRIVE_API enum rdrive_status rdrive_metrics(struct rdrive_client *client,
                                             struct rdrive_value *ret_text) RDRIVE_MUST_CHECK;

#ifdef __cplusplus
}
#endif

#endif
