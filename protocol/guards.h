/* SPDX-License-Identifier: MIT
 *
 * guards.h - versions that keys had when a connection looked at them, so that a later request of it takes effect
 * only where they are still the same.
 *
 * A decoder adds keys when it is asked to watch them; the request that it hands out for that shares the set, and
 * whoever serves it fills in what the keys hold. So a request that names the set may be decoded before that has
 * happened, as long as it is served afterwards. A guard that was never filled in holds for nothing.
 *
 * Counted references, one thread: that of the connection.
 */
#ifndef RD_PROTOCOL_GUARDS_H
#define RD_PROTOCOL_GUARDS_H

#include "protocol/message.h"

struct rd_guard {
    struct rd_slice key;                   /* owned */
    bool known;                            /* `condition` has been filled in */
    struct rd_message_condition condition; /* VERSION or ABSENT */
};

struct rd_guards {
    unsigned refs;
    char store[64]; /* of all of them */
    size_t store_len;
    struct rd_guard *list; /* owned */
    size_t count;
    size_t capacity;
    size_t len; /* bytes of all keys */
};

/* NULL: no memory, or a name that is too long for a store's. */
struct rd_guards *rd_guards_create(struct rd_slice store);
struct rd_guards *rd_guards_ref(struct rd_guards *guards);

/* NULL is fine. */
void rd_guards_unref(struct rd_guards *guards);

/* Copies the key. False: no memory. */
bool rd_guards_add(struct rd_guards *guards, struct rd_slice key);

/* Whether all of them hold where there is no key at all. NULL is fine. */
bool rd_guards_hold_without_keys(const struct rd_guards *guards);

/* Bytes. */
static inline size_t rd_guards_memory(const struct rd_guards *guards)
{
    return sizeof *guards + guards->capacity * sizeof *guards->list + guards->len;
}

static inline struct rd_slice rd_guards_store(const struct rd_guards *guards)
{
    return rd_slice(guards->store, guards->store_len);
}

#endif
