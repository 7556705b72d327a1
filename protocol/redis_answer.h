/* SPDX-License-Identifier: MIT
 *
 * redis_answer.h - the encode half of the Redis codec: which answer a request is to get is noted in its
 * codec_flags when it is decoded, together with the protocol's version that was in force then.
 */
#ifndef RD_PROTOCOL_REDIS_ANSWER_H
#define RD_PROTOCOL_REDIS_ANSWER_H

#include "base/buffer.h"
#include "protocol/message.h"

enum rd_redis_answer {
    RD_REDIS_READY = 0,   /* request->value, which is a whole answer */
    RD_REDIS_OK,          /* OK */
    RD_REDIS_OK_IF,       /* OK, or null where the condition did not hold */
    RD_REDIS_VALUE,       /* the value, or null */
    RD_REDIS_BEFORE,      /* what the key held before the request, or null */
    RD_REDIS_VALUES,      /* an array of values and nulls */
    RD_REDIS_RANGE,       /* a part of the value, or an empty string */
    RD_REDIS_LENGTH,      /* of the value, or 0 */
    RD_REDIS_TYPE,        /* string, or none */
    RD_REDIS_FOUND,       /* how many of the keys are there */
    RD_REDIS_DELETED,     /* how many keys were there to delete */
    RD_REDIS_APPLIED,     /* 1, or 0 where the condition did not hold or the key is not there */
    RD_REDIS_RENAMED,     /* OK, or an error where the key is not there */
    RD_REDIS_RENAMED_IF,  /* 1 or 0, or an error where the key is not there */
    RD_REDIS_KEPT,        /* a key was renamed to itself: OK, or an error where it is not there */
    RD_REDIS_KEPT_IF,     /* the same: 0, or an error */
    RD_REDIS_COUNT,       /* of the keys in the store */
    RD_REDIS_SYNCED,      /* OK, and where there is no store nothing had to be done */
    RD_REDIS_REWRITING,   /* that it has begun; where there is no store nothing has to be rewritten */
    RD_REDIS_TIME,        /* seconds and microseconds */
    RD_REDIS_SAVED,       /* when */
    RD_REDIS_CLIENT_ID,   /* of the connection */
    RD_REDIS_CLIENT_LIST, /* of the connection alone; request->value is what its decoder knows of it */
    RD_REDIS_GREETING,    /* HELLO's */
    RD_REDIS_AUTHED,      /* OK, or an error where nobody is asked for a token */
    RD_REDIS_AUTHED_AS,   /* OK: a user was named, too */
    RD_REDIS_INFO,        /* the sections that request->value names, one a line */
    RD_REDIS_EXEC,        /* an array with the answers of request->parts, or null where a guard did not hold */
    RD_REDIS_ANSWER_COUNT
};

#define RD_REDIS_NO_AUTH_TEXT   "NOAUTH Authentication required."
#define RD_REDIS_WRONG_PASSWORD "WRONGPASS invalid username-password pair or user is disabled."

/* What codec_flags hold. */
#define RD_REDIS_FLAG_ANSWER 0xFFu /* enum rd_redis_answer */
#define RD_REDIS_FLAG_RESP3  0x100u
#define RD_REDIS_FLAG_SILENT 0x200u /* nothing at all is answered */

/* As struct rd_codec's encode says. Any thread. */
size_t rd_redis_answer_encode(const struct rd_request *request, const struct rd_response *response,
                              struct rd_buffer *out);

/* How many of a transaction's changes and looks are a part's own. */
void rd_redis_answer_share(const struct rd_request *part, size_t *ret_changes, size_t *ret_looks);

#endif
