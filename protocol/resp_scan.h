/* SPDX-License-Identifier: MIT
 *
 * resp_scan.h - requests of the Redis protocol as bytes: arrays of bulk strings, and commands typed inline.
 *
 * Two ways to the same arguments. rd_resp_scan_whole takes a command that lies in the input from its first byte to
 * its last, which is nearly always so; rd_resp_scan_next takes what comes, byte by byte if need be, and is the
 * only one that finds fault. The first one is a short cut and no more: where it declines, the second decides.
 *
 * Strict: lengths are decimal without sign or leading zeros, lines end in CR LF and so do bulk strings. What Redis
 * ignores is ignored (`*0`, `*-1`, an empty line), what Redis refuses is refused in its words.
 *
 *   START   -- '*' (step_start) ------> IN_COUNT -- a line (begin_array) --> AT_ARG
 *   START   -- else (step_start) -----> IN_INLINE -- a line (split_line) --> START
 *   AT_ARG  -- '$' (step_at_arg) -----> IN_LEN -- a line (begin_arg) ------> IN_DATA
 *   IN_DATA -- its bytes (step_data) -> IN_END -- CR LF (step_end) --------> AT_ARG; behind the last one START
 *   any     -- malformed (fail) ------> IN_FAULT, for good
 *
 * Pure. Owned by one decoder, on its thread.
 */
#ifndef RD_PROTOCOL_RESP_SCAN_H
#define RD_PROTOCOL_RESP_SCAN_H

#include "base/buffer.h"
#include "base/status.h"

#define RD_RESP_BULK_LEN_MAX   (512u << 20) /* as Redis has it by default */
#define RD_RESP_INLINE_LEN_MAX (64u << 10)
#define RD_RESP_LONG_LEN       (16u << 10) /* of a bulk string: its beginning is told, and it is filled in place */

struct rd_resp_arg {
    size_t offset; /* from the first byte of the input that it was found in, or of scan->bytes */
    size_t len;
};

enum rd_resp_event {
    RD_RESP_MORE,    /* all input is consumed */
    RD_RESP_COMMAND, /* args are whole */
    RD_RESP_LONG,  /* a bulk string of scan->left bytes begins, which is long or more than bytes.len_max can hold:
                      before going on the caller may choose another way for it */
    RD_RESP_PIECE, /* scan->piece is the next of a bulk string that is handed out */
    RD_RESP_FAULT  /* scan->fault says what is wrong, and nothing more comes */
};

/* What becomes of arguments from here on. */
enum rd_resp_way {
    RD_RESP_KEEP,     /* they are put into bytes */
    RD_RESP_HAND_OUT, /* this one is handed out piece by piece; those behind it are kept */
    RD_RESP_DROP      /* they are read and forgotten, to the command's end; args have none of them */
};

enum rd_resp_phase {
    RD_RESP_START,
    RD_RESP_IN_COUNT,
    RD_RESP_AT_ARG,
    RD_RESP_IN_LEN,
    RD_RESP_IN_DATA,
    RD_RESP_IN_END,
    RD_RESP_IN_INLINE,
    RD_RESP_IN_FAULT
};

struct rd_resp_scan {
    struct rd_resp_arg *args; /* owned; arg_count of them are there */
    size_t arg_count;
    size_t arg_capacity;
    size_t arg_count_max;
    struct rd_buffer bytes; /* rd_resp_scan_next: the arguments that are kept, one behind the other */
    enum rd_resp_phase phase;
    enum rd_resp_way way;
    bool typed;       /* the command came as a line */
    size_t args_left; /* of the array, with the one under way */
    size_t left;      /* bytes of the bulk string under way that are still to come */
    char line[32];    /* of a length, so far */
    size_t line_len;
    struct rd_slice piece; /* borrows from the input */
    const char *fault;     /* static text, or fault_text */
    enum rd_status fault_status;
    char fault_text[40];
};

/* Commands may have arg_count_max arguments; bytes_len_max of these are kept. */
void rd_resp_scan_init(struct rd_resp_scan *scan, size_t arg_count_max, size_t bytes_len_max);
void rd_resp_scan_deinit(struct rd_resp_scan *scan);

/* Between two commands only. True: the input begins with a whole command of *ret_len bytes, of short arguments
 * alone, and args are its own. */
bool rd_resp_scan_whole(struct rd_resp_scan *scan, struct rd_slice input, size_t *ret_len);

/* Consumes from *input up to the next event. */
enum rd_resp_event rd_resp_scan_next(struct rd_resp_scan *scan, struct rd_slice *input);

/* What is there of the array under way is forgotten, and the rest of it will be (RD_RESP_DROP). */
void rd_resp_scan_drop(struct rd_resp_scan *scan);

/* Behind a command: makes ready for the next one. `bytes` may have been taken by then. */
void rd_resp_scan_begin(struct rd_resp_scan *scan);

/* Where the next bytes of a long argument belong (len bytes at most; NULL: none is under way), and how many have
 * been put there. */
uint8_t *rd_resp_scan_fill_target(struct rd_resp_scan *scan, size_t *ret_len);
void rd_resp_scan_fill_done(struct rd_resp_scan *scan, size_t len);

/* Whether a command has begun and is not whole. */
bool rd_resp_scan_is_inside(const struct rd_resp_scan *scan);

/* A decimal integer as Redis reads one: no plus, no leading zeros, no spaces. */
bool rd_resp_parse_integer(struct rd_slice text, int64_t *ret_value);

#endif
