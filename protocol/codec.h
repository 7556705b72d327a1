/* SPDX-License-Identifier: MIT
 *
 * codec.h - what a protocol is to the server: a table of functions that a listener carries.
 *
 * A codec turns bytes into requests and responses into bytes. It is pure: no I/O, no clock, no globals, and it
 * gives the same requests however the input is cut, down to single bytes. One decoder serves one connection, on
 * its thread.
 *
 * Bad input never ends in an abort or in silence: decode hands out a request whose `status` says what is wrong, to
 * be answered in its turn like any other. Where the connection cannot go on after it, the request has
 * `close_after` and decode returns RD_DECODE_CLOSED from then on.
 */
#ifndef RD_PROTOCOL_CODEC_H
#define RD_PROTOCOL_CODEC_H

#include "base/buffer.h"
#include "protocol/message.h"

struct rd_decoder; /* each codec has its own */

enum rd_decode {
    RD_DECODE_MORE,    /* all input is consumed and no request is complete */
    RD_DECODE_REQUEST, /* *ret_request is the caller's; input may be left: call again */
    RD_DECODE_PART,    /* a part of an earlier streamed request: see codec->part */
    RD_DECODE_CLOSED   /* this connection takes no further input */
};

struct rd_codec {
    const char *name;      /* "binary", "http", "redis" */
    bool answers_in_order; /* responses must leave in the order of their requests */
    bool skips_streams;    /* what is left of a stream that has been answered can be told from requests, so the
                            * connection may go on */
    bool takes_pages; /* its clients read long values in large pieces, for which pages are as good as copies */
    bool values_in_base64;        /* in answers with several of them */
    struct rd_slice behind_value; /* constant; what follows the bytes of a response's value; len 0: nothing */

    /* Owned by the caller; limits are copied. NULL: no memory. */
    struct rd_decoder *(*create)(const struct rd_limits *limits);
    void (*destroy)(struct rd_decoder *decoder);

    /* Consumes from *input, by moving it forward, up to the end of one request. Where memory runs out it behaves
     * as for any bad input (RD_NO_MEMORY, close_after); *ret_request is then NULL and only RD_DECODE_CLOSED is
     * left. */
    enum rd_decode (*decode)(struct rd_decoder *decoder, struct rd_slice *input, struct rd_request **ret_request);

    /* Where a large request body is under way: the place its next bytes belong, so that the socket can be read
     * into it without a copy. *ret_len is 0 where there is none. After reading n bytes there, call fill_done(n),
     * then decode with empty input. */
    uint8_t *(*fill_target)(struct rd_decoder *decoder, size_t *ret_len);
    void (*fill_done)(struct rd_decoder *decoder, size_t len);

    /* After RD_DECODE_PART: the part, valid until the next decode. A part is at most what was in the input. Where
     * a streamed body turns out malformed, its request gets RD_STREAM_ABORT, whose status and bytes (the message)
     * say why where they can, and then comes a request that says it too, or the connection is CLOSED. */
    const struct rd_stream_part *(*part)(const struct rd_decoder *decoder);

    /* Appends a part of a stream, but for a chunk's part->bytes, which are to follow at once. NULL: the codec has
     * no parts in that direction, since values just follow their heads. */
    void (*encode_part)(const struct rd_stream_part *part, struct rd_buffer *out);

    /* The request that was decoded last is refused for want of a known token: what it changed in the decoder is
     * taken back. NULL: requests change nothing there. */
    void (*refused)(struct rd_decoder *decoder);

    /* Bytes that the decoder keeps beyond the request under way. NULL: none, ever. */
    size_t (*held)(const struct rd_decoder *decoder);

    /* True where the decoder is inside a request: the connection is not idle. */
    bool (*mid_request)(const struct rd_decoder *decoder);

    /* Bytes kept of a request that has begun and of which it is not known yet what kind it is, or how long; at
     * least 1. 0: there is none. */
    size_t (*head_len)(const struct rd_decoder *decoder);

    /* Appends what a client is told that is one too many: before any request, and then the connection ends. */
    void (*refuse_connection)(struct rd_buffer *out);

    /* Appends the whole response but for the bytes of response->value, which are to follow at once. Returns how
     * many of these must follow: response->value.len or 0 (an error, an answer to HEAD). out->failed: does not
     * fit. */
    size_t (*encode)(const struct rd_request *request, const struct rd_response *response, struct rd_buffer *out);
};

#endif
