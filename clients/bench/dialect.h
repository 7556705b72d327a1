/* SPDX-License-Identifier: MIT
 *
 * dialect.h - what the generator must know of a protocol: how a request looks, and what an answer says. A dialect
 * does no I/O of its own but in `greet`, and never looks at the bytes of a value.
 *
 * Thread: any, one connection's parser by one at a time.
 */
#ifndef RD_CLIENTS_BENCH_DIALECT_H
#define RD_CLIENTS_BENCH_DIALECT_H

#include "base/status.h"
#include "clients/bench/frame.h"

struct rd_pipe;

/* An answer's head, or an error as a whole, may be this long: what a connection keeps until more has come. */
#define RD_DIALECT_HEAD_LEN_MAX (16u << 10)

/* What one answer says. */
struct rd_dialect_answer {
    uint64_t id;         /* of the request; where answers come in order it means nothing */
    uint32_t done_count; /* entries written, or found or missed */
    uint32_t miss_count; /* of these, keys that were not there */
    uint32_t
        error_count; /* entries that the server refused or failed at, or gave in a form that is not expected */
    uint64_t value_bytes; /* of the values read */
    bool last;            /* the server closes the connection behind it */
};

enum rd_dialect_parse {
    RD_DIALECT_MORE,  /* no answer is complete; what is left of the input is to be given again, with more */
    RD_DIALECT_DONE,  /* one is */
    RD_DIALECT_BROKEN /* this is no answer; parser->message says what. For good */
};

/* One connection's place in what comes in. Zeroed but for `plan` at first. */
struct rd_dialect_parser {
    const struct rd_plan *plan; /* borrows */
    char message[192];          /* why something failed, the last time */
    bool writes;                /* what is answered next; set by the caller where answers come in order */

    /* the dialect's own */
    bool in_body;
    uint64_t body_left;  /* bytes of the answer under way that have not been passed over */
    uint32_t rows_left;  /* of a batch's answer ... */
    uint32_t value_left; /* ... and bytes of the last row's value */
    unsigned status;     /* HTTP: of the answer under way */
    struct rd_dialect_answer answer;
};

struct rd_dialect {
    const char *name;
    bool answers_in_order; /* else by id, which is below the depth */

    /* A fresh connection's first exchange, blocking. NULL: there is none. */
    enum rd_status (*greet)(struct rd_pipe *pipe, const struct rd_plan *plan, struct rd_error *ret_error);

    /* Fills *ret_form, whose bytes are an initialised and empty buffer. `host` is the server's address. */
    enum rd_status (*form)(const struct rd_plan *plan, bool writes, const char *host,
                           struct rd_frame_form *ret_form);

    /* Moves *input over what it took, up to the end of one answer. */
    enum rd_dialect_parse (*parse)(struct rd_dialect_parser *parser, struct rd_slice *input,
                                   struct rd_dialect_answer *ret_answer);
};

/* Keeps why something failed. */
void rd_dialect_note(struct rd_dialect_parser *parser, const char *format, ...) RD_PRINTF(2, 3);

/* The same with a fixed text, and returns BROKEN, so that a failing line reads `return rd_dialect_broken(...)`. */
enum rd_dialect_parse rd_dialect_broken(struct rd_dialect_parser *parser, const char *message);

/* Counts a value of so many bytes, which is an error where the plan wants another length. */
void rd_dialect_take_value(struct rd_dialect_parser *parser, uint64_t len);

/* Passes over what is there of the body. True: that was all of it. */
bool rd_dialect_skip_body(struct rd_dialect_parser *parser, struct rd_slice *input);

/* The answer under way is complete. */
enum rd_dialect_parse rd_dialect_end(struct rd_dialect_parser *parser, struct rd_dialect_answer *ret_answer);

extern const struct rd_dialect rd_dialect_binary;
extern const struct rd_dialect rd_dialect_http;

#endif
