/* SPDX-License-Identifier: MIT
 *
 * talk.h - as much of three protocols as it takes to answer: rdrive's binary one, redis's (GET and SET) and
 * memcached's text (get and set). Finds where each request ends, skips its key and value, and gives answers that
 * were made beforehand; of those only the binary ones are written to, a header each. What a client speaks is told
 * by its first byte. No input or output here.
 *
 * One thread.
 */
#ifndef RD_BENCH_ANSWER_ONLY_TALK_H
#define RD_BENCH_ANSWER_ONLY_TALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define BENCH_HEAD_LEN_MAX 512u /* a header, or a line: memcached's are the longest, with keys of 250 bytes */

enum bench_answer {
    BENCH_VALUE,
    BENCH_STORED,
    BENCH_OTHER, /* the binary protocol's hello; the others' refusal */
    BENCH_ANSWERS
};

/* A request that has come whole. */
struct bench_owed {
    uint64_t id;  /* the binary protocol's */
    uint64_t end; /* of the request in what all connections sent: bench_talk_take */
    enum bench_answer answer;
};

struct bench_dialect;

/* One connection's. Zeroed: nothing has come yet. */
struct bench_talk {
    const struct bench_dialect *dialect; /* NULL: nothing has come yet */
    uint64_t skip;                       /* bytes that nobody looks at */
    bool whole;                          /* with the last of them its request has come */
    bool greeted;                        /* binary: the hello is behind us */
    bool named;                          /* redis: so is the request's name */
    uint32_t parts;                      /* redis: strings of the request that are still to come */
    struct bench_owed next;              /* what the request is owed, once it is whole; its end not set */
    uint8_t head[BENCH_HEAD_LEN_MAX];    /* the beginning of one that came in pieces */
    size_t head_len;                     /* of that */
    struct bench_owed *owed;             /* owned; oldest first */
    size_t owed_first;                   /* before it all have been answered */
    size_t owed_count;
    size_t owed_capacity;
};

/* Makes the answers. False: no memory. They stay until the program ends. */
bool bench_talk_init(uint32_t value_len);

/* Takes what has come; `end` is where it ends in what all connections have sent so far. False: nothing that is
 * spoken here, or no memory for what is owed. */
bool bench_talk_take(struct bench_talk *talk, struct rd_slice bytes, uint64_t end);

/* The next bytes to send, of requests that end at or before `end`; empty: none. Good until the next call, for
 * whichever connection. */
struct rd_slice bench_talk_next(struct bench_talk *talk, uint64_t end);

static inline bool bench_talk_owes(const struct bench_talk *talk)
{
    return talk->owed_first != talk->owed_count;
}

void bench_talk_deinit(struct bench_talk *talk);

#endif
