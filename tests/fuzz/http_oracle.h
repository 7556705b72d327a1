/* SPDX-License-Identifier: MIT
 *
 * http_oracle.h - where an HTTP message ends, by the letter of RFC 9112 read strictly (docs/HTTP.md), written
 * apart from the codec and as plainly as it goes: what the codec is held against.
 */
#ifndef RD_TESTS_FUZZ_HTTP_ORACLE_H
#define RD_TESTS_FUZZ_HTTP_ORACLE_H

#include "base/slice.h"

enum fuzz_http_verdict {
    FUZZ_HTTP_UNFINISHED, /* more bytes may make it a message */
    FUZZ_HTTP_HEAD_BAD,   /* its end cannot be trusted: it must be refused, and the connection must end */
    FUZZ_HTTP_BODY_BAD,   /* so, but what is wrong is in the body: the request may have been handed out before */
    FUZZ_HTTP_MESSAGE     /* *ret_len bytes are one message, blank lines in front of it included */
};

/* The first message of a connection. */
enum fuzz_http_verdict fuzz_http_judge(struct rd_slice bytes, size_t *ret_len);

#endif
