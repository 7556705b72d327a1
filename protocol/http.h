/* SPDX-License-Identifier: MIT
 *
 * http.h - HTTP/1.1 and 1.0 as a codec (protocol/codec.h). docs/HTTP.md is its legal text.
 *
 * The head goes through http_head, and what it asks for through http_ask; a chunked body goes through
 * http_chunked, JSON through json; responses are http_encode's. http.c keeps the order of these steps and owns the
 * request under way.
 *
 *   HEAD -- head with Content-Length (start_request) --> BODY    -- finish_request --> HEAD
 *   HEAD -- head with chunked (start_request) ---------> CHUNKED -- finish_request --> HEAD
 *   HEAD -- head of a streamed PUT (start_stream) -----> STREAM, STREAM_CHUNKED -- end_stream ---> HEAD
 *   STREAM_CHUNKED -- malformed (break_stream) --------> BROKEN  -- refuse_body -----> CLOSED
 *   HEAD -- refused, body small (refuse) --------------> DISCARD -- step_discard ----> HEAD
 *   any  -- a request with close_after (hand_out) -----> CLOSED
 *
 *  1. llhttp sees heads only. A Content-Length body is read straight into the request (fill_target), which
 *     llhttp's callbacks do not allow; it pauses at the end of each head and starts afresh with the next.
 *  2. A request whose head is refused is handed out at once, in front of its body. A body of up to 64 KiB by its
 *     Content-Length is then discarded and the connection goes on; else the request has close_after.
 *  3. A request with close_after may leave bytes of its body unread: close the connection's sending side first and
 *     read on for a while, or the client may lose the answer to a reset.
 *  4. iterate: request->limit 0 stands for the server's default; dispatch puts the limit in force there, because
 *     encode tells by it whether there is more.
 *  5. A PUT of a value that is chunked, or longer than limits.stream_threshold, is handed out at once as a
 * streamed write_stream with id 0, and its body as parts that borrow from the input; the next request is not
 * decoded before its END. Where it is the connection's last, it has no close_after, since its body is still to
 * come: decode returns RD_DECODE_CLOSED behind the END, and its answer says "Connection: close".
 *  6. Where a streamed body is malformed its ABORT has the status and, in `bytes`, the message that belong into
 * the answer; the request that follows has them too, for a server that has answered already or cannot say it.
 *  7. JSON longer than limits.json_len_max is not parsed: the request is handed out with it as `deferred`
 * (json.h), and what the body says, the target of a copy included, is not there yet.
 */
#ifndef RD_PROTOCOL_HTTP_H
#define RD_PROTOCOL_HTTP_H

#include "protocol/codec.h"

extern const struct rd_codec rd_http_codec;

#endif
