/* SPDX-License-Identifier: MIT
 *
 * binary_client.h - the binary protocol's client side: requests to frames, and a reader that turns what comes back
 * into answers. Pure: no I/O. The bytes are drawn in wire.h; the server's side is binary.h.
 *
 * The reader trusts the server no more than the server trusts its clients: lengths and counts are held against the
 * bytes that are there and against limits of its own.
 *
 * Thread: a reader belongs to one connection and is used by one thread at a time.
 */
#ifndef RD_PROTOCOL_BINARY_CLIENT_H
#define RD_PROTOCOL_BINARY_CLIENT_H

#include "base/buffer.h"
#include "protocol/message.h"
#include "protocol/wire.h"

/* Appends the preamble, the first thing that a connection carries. */
void rd_binary_encode_hello(struct rd_buffer *out);

/* Appends the frame of a request but for the bytes of request->value, of which *ret_follow_len (write only, else
 * 0) are to follow at once. The request's body and status play no part. On failure nothing is appended:
 * RD_INVALID_ARGUMENT (no such operation on the wire, a name beyond 255 bytes, a condition or range that the
 * operation cannot carry), RD_TOO_LARGE (beyond a frame), RD_NO_MEMORY (or out->len_max reached; out->failed is
 * set). */
enum rd_status rd_binary_encode_request(const struct rd_request *request, struct rd_buffer *out,
                                        size_t *ret_follow_len) RD_MUST_CHECK;

/* Appends a part of a stream, but for a chunk's part->bytes, which are to follow at once and may be at most as
 * many as the hello's chunk_len_max. out->failed: it does not fit. */
void rd_binary_encode_part(const struct rd_stream_part *part, struct rd_buffer *out);

/* The answers to read_stream and backup tell of the bytes that come in parts: response.value has their number and
 * no data, the range begins at response.range_first; of a read, response.partial says whether it is less than all.
 */
struct rd_binary_answer {
    bool hello;                  /* the answer to the preamble; opcode and id mean nothing */
    uint8_t opcode;              /* as in the request */
    uint64_t id;                 /* as in the request */
    struct rd_response response; /* borrows from the reader, until its next call */
};

enum rd_binary_read {
    RD_BINARY_READ_MORE, /* all input is consumed and no answer is complete, nor a part there */
    RD_BINARY_READ_ANSWER,
    RD_BINARY_READ_PART,  /* *ret_answer is left alone; see rd_binary_reader_part */
    RD_BINARY_READ_BROKEN /* what came is no answer of this protocol; reader->error says what. For good. */
};

struct rd_binary_reader {
    uint32_t body_len_max;   /* bytes of one answer's body */
    uint32_t item_count_max; /* rows of one answer */
    const char *error;       /* static text, with RD_BINARY_READ_BROKEN */

    /* the reader's own */
    bool greeted; /* the hello was accepted: frames from here on */
    bool in_body;
    uint8_t head[RD_WIRE_HEADER_LEN];
    size_t head_len;                      /* bytes of head that are there */
    struct rd_wire_header header;         /* of the body under way; of a hello answer only body_len and status */
    uint8_t *body;                        /* owned; NULL: taken, or none yet */
    size_t body_got;                      /* bytes of body that are there */
    struct rd_response_item *items;       /* owned */
    struct rd_response_store *stores;     /* owned */
    struct rd_response_problem *problems; /* owned */
    uint32_t chunk_left;                  /* bytes of a chunk under way */
    struct rd_stream_part part;           /* the last one, or the one under way */
};

/* Allocates nothing yet. */
void rd_binary_reader_init(struct rd_binary_reader *reader, uint32_t body_len_max, uint32_t item_count_max);
void rd_binary_reader_deinit(struct rd_binary_reader *reader);

/* Consumes from *input, by moving it forward, up to the end of one answer or part. What the answer or part before
 * it borrowed is gone with this call. */
enum rd_binary_read rd_binary_reader_next(struct rd_binary_reader *reader, struct rd_slice *input,
                                          struct rd_binary_answer *ret_answer);

/* After RD_BINARY_READ_PART: the part, until the next call. A chunk is handed out in pieces, each at most what was
 * in the input, whose bytes it borrows. An ABORT has the status and, in `bytes`, the message of a value that ended
 * early; CREDIT is for a write_stream. Ids are the server's word: they may be of streams that have ended. */
const struct rd_stream_part *rd_binary_reader_part(const struct rd_binary_reader *reader);

/* Where a long body is under way: the place its next bytes belong, so that the socket can be read into it without
 * a copy. After reading n bytes there call fill_done(n), then next with empty input. *ret_len is 0 otherwise. */
uint8_t *rd_binary_reader_fill_target(struct rd_binary_reader *reader, size_t *ret_len);
void rd_binary_reader_fill_done(struct rd_binary_reader *reader, size_t len);

/* The memory that the slices of the last answer point into: owned by the caller from now on, to be given to
 * free(). */
uint8_t *rd_binary_reader_take_body(struct rd_binary_reader *reader);

#endif
