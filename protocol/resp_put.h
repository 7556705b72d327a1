/* SPDX-License-Identifier: MIT
 *
 * resp_put.h - answers of the Redis protocol as bytes, in its second and third version (`resp3`), where these
 * differ. Pure; any thread.
 */
#ifndef RD_PROTOCOL_RESP_PUT_H
#define RD_PROTOCOL_RESP_PUT_H

#include "base/buffer.h"

#define RD_RESP_HEAD_LEN_MAX 24 /* of a type, a number and its line's end */

/* Type, number, line end: the head of everything that has a length, and integers. */
void rd_resp_put_head(struct rd_buffer *out, char type, uint64_t number);

void rd_resp_put_integer(struct rd_buffer *out, int64_t value);
void rd_resp_put_bulk(struct rd_buffer *out, struct rd_slice bytes);
void rd_resp_put_text(struct rd_buffer *out, const char *text); /* a bulk string */
void rd_resp_put_simple(struct rd_buffer *out, const char *text);
void rd_resp_put_null(struct rd_buffer *out, bool resp3);
void rd_resp_put_null_array(struct rd_buffer *out, bool resp3);

/* What follows are `count` elements, or pairs of them. */
void rd_resp_put_array(struct rd_buffer *out, size_t count);
void rd_resp_put_set(struct rd_buffer *out, size_t count, bool resp3);
void rd_resp_put_map(struct rd_buffer *out, size_t count, bool resp3);

/* Text for people to read: a bulk string, or in version 3 a verbatim string. */
void rd_resp_put_verbatim(struct rd_buffer *out, struct rd_slice text, bool resp3);

/* `text` begins with its code ("ERR ..."); line ends in it become spaces. */
void rd_resp_put_error(struct rd_buffer *out, struct rd_slice text);

#endif
