/* SPDX-License-Identifier: MIT
 *
 * redis_info.h - what INFO and CLIENT LIST tell. Pure; any thread.
 */
#ifndef RD_PROTOCOL_REDIS_INFO_H
#define RD_PROTOCOL_REDIS_INFO_H

#include "base/buffer.h"
#include "protocol/message.h"

/* What clients are told, as they choose by it what to send: the Redis that this is like. */
#define RD_REDIS_VERSION "7.0.0"

/* Appends the sections that `names` lists, one a line and in lower case; none at all: the usual ones. */
void rd_redis_info_append(struct rd_slice names, const struct rd_response *response, struct rd_buffer *out);

/* Appends the line of the connection that asks; request->value is the part of it that its decoder knows. */
void rd_redis_info_append_client(const struct rd_request *request, const struct rd_response_server *server,
                                 struct rd_buffer *out);

/* The number of the database that a store is, or -1: db7 is 7, default is 0, and so is no name at all. */
int64_t rd_redis_info_database(struct rd_slice store);

#endif
