/* SPDX-License-Identifier: MIT
 *
 * redis_multi.h - MULTI, EXEC, DISCARD, WATCH and UNWATCH.
 *
 * What is queued is parsed at once and kept as the requests that it would have been. EXEC puts them together into
 * one: a transaction where anything is written, else one look at all keys. Its looks come before its changes, so
 * it is refused where a command that reads stands behind one that writes the same key.
 *
 * Pure; on the decoder's thread.
 */
#ifndef RD_PROTOCOL_REDIS_MULTI_H
#define RD_PROTOCOL_REDIS_MULTI_H

#include "protocol/redis_ask.h"

void rd_redis_parse_multi(struct rd_redis_ask *ask);
void rd_redis_parse_exec(struct rd_redis_ask *ask);
void rd_redis_parse_discard(struct rd_redis_ask *ask);
void rd_redis_parse_watch(struct rd_redis_ask *ask);
void rd_redis_parse_unwatch(struct rd_redis_ask *ask);

/* Takes ask->request into the queue and puts another one in its place, which says so; or refuses it. NULL where
 * there is no memory for that other one. */
void rd_redis_multi_queue(struct rd_redis_ask *ask);

/* Forgets what is queued, and that anything should be. */
void rd_redis_multi_reset(struct rd_redis_multi *multi);

/* Forgets what is watched. */
void rd_redis_multi_unwatch(struct rd_redis_state *state);

#endif
