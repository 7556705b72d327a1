/* SPDX-License-Identifier: MIT
 *
 * http.h - HTTP/1.1 and 1.0 as a codec (protocol/codec.h). docs/HTTP.md is its legal text.
 *
 * The head goes through http_head, the target through http_route, a chunked body through http_chunked, JSON
 * through json; responses are http_encode's. http.c keeps the order of these steps and owns the request under way.
 *
 *   HEAD --head with Content-Length: start_request--> BODY ----finish_request----> HEAD
 *   HEAD --head with chunked: start_request---------> CHUNKED --finish_request---> HEAD
 *   HEAD --refused, body small: refuse--------------> DISCARD --step_discard-----> HEAD
 *   any  --a request with close_after: hand_out-----> CLOSED
 *
 *  1. llhttp sees heads only. A Content-Length body is read straight into the request (fill_target), which
 * llhttp's callbacks do not allow; it pauses at the end of each head and starts afresh with the next.
 *  2. A request whose head is refused is handed out at once, in front of its body. A body of up to 64 KiB by its
 *     Content-Length is then discarded and the connection goes on; else the request has close_after.
 *  3. A request with close_after may leave bytes of its body unread: close the connection's sending side first and
 *     read on for a while, or the client may lose the answer to a reset.
 *  4. iterate: request->limit 0 stands for the server's default; dispatch puts the limit in force there, because
 *     encode tells by it whether there is more.
 */
#ifndef RD_PROTOCOL_HTTP_H
#define RD_PROTOCOL_HTTP_H

#include "protocol/codec.h"

extern const struct rd_codec rd_http_codec;

#endif
