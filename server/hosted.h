/* SPDX-License-Identifier: MIT
 *
 * hosted.h - one store that the daemon hosts, and who is using it. The registry (stores.h) makes it, and makes the
 * moves between its states.
 *
 * Three counts keep a store alive as long as needed and no longer:
 *  1. A reference keeps the struct rd_hosted. Lanes hold one between requests, so that a lookup under the
 *     registry's lock is needed only once for each connection and store.
 *  2. A use keeps the open engine store. Every request holds one from its turn until its answer, and every value
 *     that an answer pins holds one until its last byte is sent.
 *  3. The registry has one use of its own while the store serves, given up when the store is withdrawn: to be
 *     dropped, or to be closed and opened again. Whoever gives up the last use wakes the one who withdrew it. From
 *     zero the count rises only when a store begins to serve.
 *
 * Threads: any; nothing here blocks.
 */
#ifndef RD_SERVER_HOSTED_H
#define RD_SERVER_HOSTED_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/status.h"
#include "base/text.h"
#include "engine/engine.h"
#include "server/config.h"
#include "server/pool.h"

#define RD_HOSTED_REASON_SIZE 256

struct rd_usage;

/* Which moves there are is drawn in stores.h. */
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
    struct rd_pool_queue reads;        /* the pool's: reads that wait for the disk, or verify much */
    uint64_t closed_tail;              /* bytes; what it had when it was last closed; written likewise */
    struct rd_op *wake_op;             /* borrows; written before the registry's use is given up */
    atomic_uint_fast64_t withdrawn_ms; /* uv_now; since when it is REOPENING or DROPPING */
    atomic_uint_fast64_t full_told_ms; /* uv_now; when the log was last told that the disk is full; 0: never */
    pthread_mutex_t reason_lock;
    char reason[RD_HOSTED_REASON_SIZE]; /* guarded by reason_lock; why it is FAILED */
};

/* CREATING, with one reference and no use. NULL: no memory. */
struct rd_hosted *rd_hosted_create(const char *name);

void rd_hosted_ref(struct rd_hosted *hosted);

/* NULL is fine. */
void rd_hosted_unref(struct rd_hosted *hosted);

static inline enum rd_hosted_state rd_hosted_state(const struct rd_hosted *hosted)
{
    return (enum rd_hosted_state)atomic_load(&hosted->state);
}

/* RD_STORE_NOT_FOUND, or RD_UNAVAILABLE with the reason. */
enum rd_status rd_hosted_use(struct rd_hosted *hosted, struct rd_error *ret_error) RD_MUST_CHECK;

/* Why it cannot be used in that state, which is not SERVING. */
enum rd_status rd_hosted_refuse(struct rd_hosted *hosted, enum rd_hosted_state state, struct rd_error *ret_error);

/* One more use, where the caller has one. */
void rd_hosted_use_again(struct rd_hosted *hosted);
void rd_hosted_unuse(struct rd_hosted *hosted);

/* Delivers its wake_op: the last use has ended. */
void rd_hosted_wake(struct rd_hosted *hosted);

/* Neither coming nor going: there is something to be told about it. */
bool rd_hosted_is_listed(const struct rd_hosted *hosted);

/* Why it does not serve; "" where it does. */
void rd_hosted_reason(struct rd_hosted *hosted, char ret_reason[RD_HOSTED_REASON_SIZE]);
void rd_hosted_set_reason(struct rd_hosted *hosted, const struct rd_error *error);

/* Whether somebody has waited for grace_ms for the uses of the store to end: to reopen it, or, where
 * with_drops is set, to drop it. */
bool rd_hosted_is_overdue(const struct rd_hosted *hosted, uint64_t now_ms, uint64_t grace_ms, bool with_drops);

#endif
