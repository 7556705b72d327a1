/* SPDX-License-Identifier: MIT
 *
 * feed.h - bytes through a codec's decoder, cut in one way or another, and what came of it as text. Whatever the
 * cuts, the text has to be the same; and whatever the bytes, what codec.h promises is checked on the way:
 *
 *  1. where more is wanted all input is consumed;
 *  2. a request's slices lie in what it owns, its sizes are within the limits, one that is refused says why;
 *  3. nothing comes after a request with close_after, and CLOSED stays;
 *  4. a part's bytes lie in what it consumed of the input.
 */
#ifndef RD_TESTS_FUZZ_FEED_H
#define RD_TESTS_FUZZ_FEED_H

#include "base/buffer.h"
#include "protocol/codec.h"

enum fuzz_cut {
    FUZZ_CUT_WHOLE,
    FUZZ_CUT_BYTES,
    FUZZ_CUT_CHOSEN, /* as cut_lens says, over and over; a place that fill_target offers is taken */
    FUZZ_CUT_COUNT
};

struct fuzz_feed {
    const struct rd_codec *codec;
    const struct rd_limits *limits;
    enum fuzz_cut cut;
    struct rd_slice cut_lens;                                            /* borrows; from 128 on times 64 */
    void (*on_request)(const struct rd_request *request, void *context); /* NULL: nobody wants them */
    void *context;
};

struct fuzz_fed {
    struct rd_buffer log; /* a line a request, part or run of chunks */
    bool closed;
    bool mid_request;
    bool continued; /* a request was RD_OPCODE_CONTINUE */
};

/* ret_fed: to be given to fuzz_fed_deinit. */
void fuzz_feed(const struct fuzz_feed *feed, struct rd_slice bytes, struct fuzz_fed *ret_fed);
void fuzz_fed_deinit(struct fuzz_fed *fed);

/* Feeds in each of the ways, with on_request in the first alone, and holds them against each other. */
void fuzz_feed_all_ways(struct fuzz_feed *feed, struct rd_slice bytes);

/* Limits so low that short inputs reach them, or those of the daemon. */
struct rd_limits fuzz_limits(bool low);

/* To be limits.admit, of decoders that ask the same however the input is cut: refuses what is asked of a store
 * whose name has an odd length. */
enum rd_status fuzz_admit(void *context, const struct rd_asking *asking, size_t len, struct rd_error *ret_error);

/* Takes a count and so many lengths of cuts. */
struct rd_slice fuzz_take_cuts(struct rd_slice *input);

#endif
