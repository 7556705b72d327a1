/* SPDX-License-Identifier: MIT
 *
 * metrics.h - what the daemon counts of its requests and connections.
 *
 * Each loop counts for itself, by plain stores (base/counter.h), and whoever scrapes adds the loops up. What
 * belongs to a store hangs on its struct rd_hosted, one struct rd_usage for each loop that has served it, with a
 * row for each operation that has occurred: so a store that nobody uses costs a pointer, and one that goes takes
 * its counts along.
 *
 * A request is timed from the turn of its loop in which its last byte came in to the encoding of its answer:
 * waiting for the store's writer, for the disk and for slow readers of the answers before it is in it, sending it
 * is not. The clock is read once a turn and for every few connections that are given answers.
 */
#ifndef RD_SERVER_METRICS_H
#define RD_SERVER_METRICS_H

#include "base/distribution.h"
#include "protocol/message.h"

struct rd_call;
struct rd_hosted;
struct rd_loop;

/* Of one operation, by one loop. */
struct rd_usage_row {
    struct rd_counter answers[RD_STATUS_COUNT];
    struct rd_counter value_bytes; /* that these carry; of a backup: the file's */
    struct rd_distribution duration_ns;
};

/* Opcodes up to 0x3f, and those that are on no wire, 0x80 to 0x8f. */
#define RD_USAGE_ROWS 80u

/* Of one loop, of one store or of what has none. Zeroed means none. */
struct rd_usage {
    const struct rd_loop *loop;                         /* never changes; who writes */
    struct rd_usage *next;                              /* of the store's; never changes */
    _Atomic(struct rd_usage_row *) rows[RD_USAGE_ROWS]; /* owned; NULL: has not occurred */
};

/* Of one loop, which alone writes. */
struct rd_loop_counts {
    struct rd_usage usage; /* of requests without a store, or to one that is not there */
    struct rd_counter received_bytes;
    struct rd_counter sent_bytes;
    struct rd_counter accepted;     /* connections */
    struct rd_counter uploads;      /* under way */
    struct rd_counter upload_bytes; /* that these have brought so far */
    struct rd_counter backups;      /* that are being sent */
    struct rd_counter jobs;         /* of libuv's pool, queued or running, but for scrapes */
};

/* The opcode that a row stands for. */
enum rd_opcode rd_usage_opcode(size_t row);

/* What goes up and down with how many values like the call's are being sent; NULL: these are not counted. */
struct rd_counter *rd_metrics_leaving(struct rd_loop *loop, const struct rd_call *call);

/* The call's answer is about to leave, with value_len bytes of one value. now_ns: rd_loop_clock_ns. The loop's
 * thread. */
void rd_metrics_count_answer(struct rd_loop *loop, const struct rd_call *call, size_t value_len, uint64_t now_ns);

/* Frees the rows, not the usage. Nobody reads or writes it any more. */
void rd_usage_deinit(struct rd_usage *usage);

/* Frees a store's list. */
void rd_usages_destroy(struct rd_usage *first);

#endif
