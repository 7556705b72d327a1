/* SPDX-License-Identifier: MIT
 *
 * channel.h - one connection of a run and the requests that are under way on it, each in a slot of its own. A slot
 * keeps its frame for good, so that starting a request writes a few digits and no more.
 *
 * Where a slot is:
 *
 *   FREE -- start --> QUEUED -- send, its last byte --> SENT -- its answer --> FREE
 *
 * Thread: one. No function blocks but rd_channel_open.
 */
#ifndef RD_CLIENTS_BENCH_CHANNEL_H
#define RD_CLIENTS_BENCH_CHANNEL_H

#include "clients/bench/dialect.h"
#include "clients/bench/pipe.h"

#define RD_CHANNEL_INPUT_LEN (256u << 10) /* bytes taken from a socket at a time */

/* What all channels of a run share. */
struct rd_channel_traffic {
    const struct rd_plan *plan;       /* borrows */
    const struct rd_dialect *dialect; /* borrows */
    struct rd_frame_form forms[2];    /* of requests that read, and that write */
    uint8_t *text;                    /* owned; values come from it */
    uint8_t *input;                   /* owned; what was kept of one channel, and what came just now */
    struct rd_random keys;
    struct rd_random choices; /* whether to read or to write: apart, so that every op draws the same keys */
    struct rd_random values;
};

/* RD_NO_MEMORY, or what the dialect says. On failure, too, it is to be freed with deinit. */
enum rd_status rd_channel_traffic_init(struct rd_channel_traffic *traffic, const struct rd_plan *plan,
                                       const struct rd_dialect *dialect, const char *host,
                                       struct rd_error *ret_error) RD_MUST_CHECK;
void rd_channel_traffic_deinit(struct rd_channel_traffic *traffic);

enum rd_channel_slot_state { RD_CHANNEL_FREE, RD_CHANNEL_QUEUED, RD_CHANNEL_SENT };

struct rd_channel_slot {
    uint64_t begin_ns; /* when the request was, or was meant to be, started */
    enum rd_channel_slot_state state;
    bool writes;
    size_t value_at; /* of a value outside: where in the text it begins */
};

struct rd_channel {
    struct rd_pipe pipe;           /* owned; its fd is -1 where there is none any more */
    bool blocked;                  /* the socket took less than there is */
    bool dirty;                    /* the caller's: there is something to send */
    uint32_t free_count;           /* of slots */
    uint32_t *free_slots;          /* owned; a stack */
    struct rd_channel_slot *slots; /* owned; as many as the plan's depth */
    uint8_t *frames[2];            /* owned; one a slot, of requests that read, and that write */
    uint32_t *order;               /* owned; a ring of slots in the order started */
    uint32_t order_mask;
    uint64_t queued_end; /* positions in the ring, counted on and on */
    uint64_t sent_end;
    uint64_t answered_end; /* where answers come in order */
    size_t sent_len;       /* bytes of the request at sent_end that are sent already */
    struct rd_buffer kept; /* input that is no whole answer yet */
    struct rd_dialect_parser parser;
};

/* Connects and greets. On failure, too, the channel is to be closed. */
enum rd_status rd_channel_open(struct rd_channel *channel, struct rd_channel_traffic *traffic,
                               const struct rd_endpoint *endpoint, struct rd_error *ret_error) RD_MUST_CHECK;
void rd_channel_close(struct rd_channel *channel);

/* Takes a free slot, of which there must be one, and queues its next request. */
void rd_channel_start(struct rd_channel *channel, struct rd_channel_traffic *traffic, uint64_t begin_ns);

/* Sends what is queued, as far as the socket takes it. False: the connection is lost, parser.message says why. */
bool rd_channel_send(struct rd_channel *channel, const struct rd_channel_traffic *traffic);

/* Receives what is there, up to RD_CHANNEL_INPUT_LEN. *ret_input is all that is to be parsed. False: lost. */
bool rd_channel_receive(struct rd_channel *channel, struct rd_channel_traffic *traffic,
                        struct rd_slice *ret_input);

/* The next answer in *input and the slot it is for, which is free from then on. MORE: what is left of *input was
 * kept. BROKEN: parser.message says why. */
enum rd_dialect_parse rd_channel_next(struct rd_channel *channel, const struct rd_channel_traffic *traffic,
                                      struct rd_slice *input, struct rd_dialect_answer *ret_answer,
                                      const struct rd_channel_slot **ret_slot);

#endif
