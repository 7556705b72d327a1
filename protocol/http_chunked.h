/* SPDX-License-Identifier: MIT
 *
 * http_chunked.h - the chunked transfer coding (RFC 9112, 7.1), decoded strictly.
 *
 * llhttp 8.1.0 takes a bare LF in chunk framing; to notice that, one must know where each chunk ends, and knowing
 * it is all there is to do. So this is done here, byte for byte, and not by llhttp. Extensions and trailers are
 * checked for their form and thrown away; what all of them take together is bounded.
 */
#ifndef RD_PROTOCOL_HTTP_CHUNKED_H
#define RD_PROTOCOL_HTTP_CHUNKED_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct rd_http_chunked {
    int state;            /* http_chunked.c's own */
    uint64_t left;        /* bytes of the chunk under way; while its size is read: the size so far */
    unsigned digit_count; /* of the size */
    size_t overhead_len;  /* bytes of extensions and trailers so far */
    size_t overhead_len_max;
};

enum rd_http_chunk {
    RD_HTTP_CHUNK_MORE,     /* all input is consumed */
    RD_HTTP_CHUNK_SIZE,     /* chunked->left bytes are announced: now is the time to judge them */
    RD_HTTP_CHUNK_DATA,     /* *ret_data borrows from the input */
    RD_HTTP_CHUNK_END,      /* the body is complete, trailers included */
    RD_HTTP_CHUNK_BAD,      /* malformed */
    RD_HTTP_CHUNK_TOO_LARGE /* extensions and trailers exceed their bound */
};

void rd_http_chunked_init(struct rd_http_chunked *chunked, size_t overhead_len_max);

/* Consumes from *input up to the next event. */
enum rd_http_chunk rd_http_chunked_next(struct rd_http_chunked *chunked, struct rd_slice *input,
                                        struct rd_slice *ret_data);

#endif
