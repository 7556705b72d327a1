/* SPDX-License-Identifier: MIT
 *
 * redis_request.h - the commands that look at keys or change them, as requests. Each function finds its command's
 * row applied to the request, and so many arguments as that allows.
 *
 * Pure; on the decoder's thread.
 */
#ifndef RD_PROTOCOL_REDIS_REQUEST_H
#define RD_PROTOCOL_REDIS_REQUEST_H

#include "protocol/redis_ask.h"

void rd_redis_parse_nothing(struct rd_redis_ask *ask);
void rd_redis_parse_key(struct rd_redis_ask *ask);
void rd_redis_parse_keys(struct rd_redis_ask *ask);
void rd_redis_parse_set(struct rd_redis_ask *ask);
void rd_redis_parse_setnx(struct rd_redis_ask *ask);
void rd_redis_parse_getset(struct rd_redis_ask *ask);
void rd_redis_parse_getdel(struct rd_redis_ask *ask);
void rd_redis_parse_getrange(struct rd_redis_ask *ask);
void rd_redis_parse_mset(struct rd_redis_ask *ask);
void rd_redis_parse_msetnx(struct rd_redis_ask *ask);
void rd_redis_parse_rename(struct rd_redis_ask *ask);
void rd_redis_parse_copy(struct rd_redis_ask *ask);
void rd_redis_parse_move(struct rd_redis_ask *ask);

/* What may stand behind SET's value. */
struct rd_redis_set_options {
    struct rd_message_condition condition;
    bool get; /* the old value is asked for */
};

/* Reads them from argument `from` on. NULL, or what is wrong with them. */
const char *rd_redis_parse_set_options(const struct rd_redis_ask *ask, size_t from,
                                       struct rd_redis_set_options *ret_options);

#endif
