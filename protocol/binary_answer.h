/* SPDX-License-Identifier: MIT
 *
 * binary_answer.h - the encode half of the binary codec: one response to one frame (or to the hello answer).
 */
#ifndef RD_PROTOCOL_BINARY_ANSWER_H
#define RD_PROTOCOL_BINARY_ANSWER_H

#include "base/buffer.h"
#include "protocol/message.h"

/* As struct rd_codec's encode says. Any thread. */
size_t rd_binary_answer_encode(const struct rd_request *request, const struct rd_response *response,
                               struct rd_buffer *out);

/* As struct rd_codec's encode_part says. An ABORT states part->status and, as its message, part->bytes. Any
 * thread. */
void rd_binary_answer_encode_part(const struct rd_stream_part *part, struct rd_buffer *out);

/* The answer to a hello that may not even have been sent: no more connections are taken. */
void rd_binary_answer_refuse_connection(struct rd_buffer *out);

#endif
