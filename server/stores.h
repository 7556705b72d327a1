/* SPDX-License-Identifier: MIT
 *
 * stores.h - the registry: which stores the daemon hosts, by name, and who is using them.
 *
 * Three counts keep a store alive as long as needed and no longer:
 *  1. A reference keeps the struct rd_hosted. Lanes hold one between requests, so that a lookup under the
 * registry's lock is needed only once for each connection and store.
 *  2. A use keeps the open engine store. Every request holds one from its turn until its answer, and every value
 * that an answer pins holds one until its last byte is sent.
 *  3. The registry has one use of its own while the store serves, given up when the store is withdrawn: to be
 *     dropped, or to be closed and opened again. Whoever gives up the last use wakes the one who withdrew it. From
 *     zero the count rises only when a store begins to serve.
 *
 * States; the function that makes each move:
 *
 *                  rd_stores_create,             rd_stores_drop_begin
 *                  rd_stores_open                                        rd_stores_drop_finish
 *       CREATING ------------------> SERVING ----------------> DROPPING -----------------------> GONE
 *        |    |                       |   ^                        |
 *        |    |                 begin |   | finish                 | files cannot be unlinked
 *        |    |                       v   |                        v
 *        |    |    rd_stores_reopen_: REOPENING --- finish ----> FAILED <---+
 *        |    |                           ^----------- begin ------+        |
 *        |    +---- rd_stores_open -----------------------------------------+
 *        +--------- rd_stores_create ----------------------------------------------------------> GONE
 *
 * What is under way when a store is withdrawn goes on; streams that take too long are ended
 * (rd_hosted_is_overdue), so that a slow client does not keep a store from being reopened.
 *
 * Threads: any, unless a function says that it blocks; such must not run on a loop.
 */
#ifndef RD_SERVER_STORES_H
#define RD_SERVER_STORES_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/slice.h"
#include "base/status.h"
#include "base/text.h"
#include "engine/engine.h"
#include "server/config.h"
#include "server/pool.h"

#define RD_STORE_NAME_DEFAULT "default"
#define RD_HOSTED_REASON_SIZE 256

struct rd_stores;
struct rd_usage;

enum rd_hosted_state {
    RD_HOSTED_CREATING,
    RD_HOSTED_SERVING,
    RD_HOSTED_FAILED,
    RD_HOSTED_REOPENING,
    RD_HOSTED_DROPPING,
    RD_HOSTED_GONE /* no longer in the registry; the name may stand for another store by now */
};

struct rd_hosted {
    char name[RD_TEXT_STORE_NAME_LEN_MAX + 1]; /* never changes */
    struct rd_settings settings;               /* as its companion has them; written like `store` */
    atomic_uint refs;
    atomic_uint uses;                  /* the registry's own included */
    atomic_int state;                  /* enum rd_hosted_state; written under the registry's lock */
    struct rd_store *store;            /* owned; written only while nobody uses it and nobody can */
    _Atomic(struct rd_usage *) usages; /* owned, to be freed with it; each loop adds its own */
    struct rd_pool_queue reads;        /* the pool's: reads that wait for the disk */
    uint64_t closed_tail;              /* bytes; what it had when it was last closed; written likewise */
    struct rd_op *wake_op;             /* borrows; written before the registry's use is given up */
    atomic_uint_fast64_t withdrawn_ms; /* uv_now; since when it is REOPENING or DROPPING */
    pthread_mutex_t reason_lock;
    char reason[RD_HOSTED_REASON_SIZE]; /* guarded by reason_lock; why it is FAILED */
};

/* Opens the folder (made 0700 where missing) and every store in it, and creates `default`. A store that cannot be
 * opened is logged and kept as FAILED. Blocks. */
enum rd_status rd_stores_open(const struct rd_config *config, struct rd_stores **ret_stores,
                              struct rd_error *ret_error) RD_MUST_CHECK;

/* What config says of stores is in force from now on, for those that are open too, as far as that is possible;
 * what is not is logged. Does not block. */
enum rd_status rd_stores_configure(struct rd_stores *stores, const struct rd_config *config,
                                   struct rd_error *ret_error) RD_MUST_CHECK;

/* Closes, and so syncs, every store. Nothing may be in use. Blocks. NULL is fine. */
void rd_stores_close(struct rd_stores *stores);

/* A new reference, or NULL. */
struct rd_hosted *rd_stores_find(struct rd_stores *stores, struct rd_slice name);

/* References to all that are listed, sorted by name, in an array the caller owns; NULL: no memory. */
struct rd_hosted **rd_stores_list(struct rd_stores *stores, size_t *ret_count);

/* The name of a store that does not serve is copied to ret_name; false where all serve. */
bool rd_stores_find_unserved(struct rd_stores *stores, char ret_name[RD_TEXT_STORE_NAME_LEN_MAX + 1]);

/* Makes a store and its file. RD_CONFLICT where there is one. Blocks. */
enum rd_status rd_stores_create(struct rd_stores *stores, struct rd_slice name, const struct rd_settings *settings,
                                struct rd_error *ret_error) RD_MUST_CHECK;

/* Makes a store as the daemon's defaults want it, where there is none, and waits where somebody else is making it.
 * RD_UNAVAILABLE: it is being dropped. Blocks. */
enum rd_status rd_stores_ensure(struct rd_stores *stores, struct rd_slice name,
                                struct rd_error *ret_error) RD_MUST_CHECK;

/* Withdraws a store. From RD_OK on it takes no new use, and `op` is delivered to its sink when the last one ends;
 * the caller holds a reference until the matching finish. now_ms: uv_now. RD_UNAVAILABLE: it is being reopened.
 * RD_CONFLICT: it is being created or dropped. Only a store that serves can be dropped, one that FAILED can be
 * reopened too. */
enum rd_status rd_stores_drop_begin(struct rd_hosted *hosted, struct rd_stores *stores, struct rd_op *op,
                                    uint64_t now_ms, struct rd_error *ret_error) RD_MUST_CHECK;
enum rd_status rd_stores_reopen_begin(struct rd_hosted *hosted, struct rd_stores *stores, struct rd_op *op,
                                      uint64_t now_ms, struct rd_error *ret_error) RD_MUST_CHECK;

/* Closes, unlinks the file and its companions, syncs the folder. After the op was delivered. Blocks. */
enum rd_status rd_stores_drop_finish(struct rd_hosted *hosted, struct rd_stores *stores,
                                     struct rd_error *ret_error) RD_MUST_CHECK;

/* Closes the store, reads its settings anew, and opens it with all the recovery that a start does: it serves
 * again, or it is FAILED, for the reason that is returned. After the op was delivered. Blocks. */
enum rd_status rd_stores_reopen_finish(struct rd_hosted *hosted, struct rd_stores *stores,
                                       struct rd_error *ret_error) RD_MUST_CHECK;

/* NULL is fine. */
void rd_hosted_unref(struct rd_hosted *hosted);

/* RD_STORE_NOT_FOUND, or RD_UNAVAILABLE with the reason. */
enum rd_status rd_hosted_use(struct rd_hosted *hosted, struct rd_error *ret_error) RD_MUST_CHECK;

/* One more use, where the caller has one. */
void rd_hosted_use_again(struct rd_hosted *hosted);
void rd_hosted_unuse(struct rd_hosted *hosted);

/* Neither coming nor going: there is something to be told about it. */
bool rd_hosted_is_listed(const struct rd_hosted *hosted);

/* Why it does not serve; "" where it does. */
void rd_hosted_reason(struct rd_hosted *hosted, char ret_reason[RD_HOSTED_REASON_SIZE]);

/* Whether somebody has waited for grace_ms for the uses of the store to end: to reopen it, or, where
 * with_drops is set, to drop it. */
bool rd_hosted_is_overdue(const struct rd_hosted *hosted, uint64_t now_ms, uint64_t grace_ms, bool with_drops);

#endif
