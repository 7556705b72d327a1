/* SPDX-License-Identifier: MIT
 *
 * http_text.h - requests of the client library's kind as HTTP (docs/HTTP.md), and answers back. Pure. It believes
 * the daemon: what does not look like its answers ends the program.
 */
#ifndef RD_TESTS_RIGS_HTTP_TEXT_H
#define RD_TESTS_RIGS_HTTP_TEXT_H

#include "base/buffer.h"
#include "clients/c/rdrive_async.h"

void http_text_ask(const struct rdrive_request *request, struct rd_buffer *out);

/* Bytes of the answer, once they are all there; 0: more are to come. Fills in request->result. */
size_t http_text_answer(struct rd_slice input, struct rdrive_request *request, enum rdrive_status *ret_status);

#endif
