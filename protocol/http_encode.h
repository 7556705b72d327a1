/* SPDX-License-Identifier: MIT
 *
 * http_encode.h - responses as HTTP/1.1, and what the decoder notes in rd_request.codec_flags for that.
 */
#ifndef RD_PROTOCOL_HTTP_ENCODE_H
#define RD_PROTOCOL_HTTP_ENCODE_H

#include "base/buffer.h"
#include "protocol/message.h"

/* codec_flags: bits 0 to 7 are flags, 8 to 15 enum rd_http_refusal, 16 and up the methods for Allow. */
#define RD_HTTP_FLAG_KEEP_1_0      2u /* an HTTP/1.0 client that asked for keep-alive is told that it got it */
#define RD_HTTP_FLAG_CLOSE         4u /* a streamed write is the last request, though its body is still to come */
#define RD_HTTP_FLAG_REFUSAL_SHIFT 8
#define RD_HTTP_FLAG_ALLOW_SHIFT   16

/* As rd_codec.encode in protocol/codec.h. */
size_t rd_http_encode(const struct rd_request *request, const struct rd_response *response, struct rd_buffer *out);

/* As rd_codec.refuse_connection there. */
void rd_http_refuse_connection(struct rd_buffer *out);

#endif
