/* SPDX-License-Identifier: MIT
 *
 * redis.h - the Redis protocol (RESP2, RESP3, inline commands) as a codec. docs/REDIS.md tells what differs from
 * Redis.
 *
 *   resp_scan       bytes to arguments
 *   redis_command   the table of commands: how each is parsed, answered and described
 *   redis_request, redis_multi, redis_local, redis_client, redis_catalog
 *                   arguments to requests (redis_ask holds what they share)
 *   redis_answer    responses to bytes (resp_put, redis_info)
 *
 * Guarantees
 *  1. Every command gets exactly one answer, in the order sent, but for what HTTP begins with (`POST`, `Host:`):
 * the connection then ends in silence, so that a web page cannot talk to this port.
 *  2. A command that is refused has no effect, and the connection goes on behind it. Bytes that are not the
 * protocol are answered as Redis answers them, and end the connection.
 *  3. SET and SETNX with a value that is longer than limits.stream_threshold, or than a request may be, are handed
 *     out as a write_stream with id 0 and parts; options behind the value come with its END.
 *  4. Anything else that does not fit limits.body_len_max is read to its end, and refused.
 */
#ifndef RD_PROTOCOL_REDIS_H
#define RD_PROTOCOL_REDIS_H

#include "protocol/codec.h"

extern const struct rd_codec rd_redis_codec;

#endif
