/* SPDX-License-Identifier: MIT
 *
 * outbox.h - what one connection still has to send: encoded bytes, and between them values that are sent from the
 * store's map without a copy and stay pinned until their last byte has left; likewise long texts from where they
 * were put together.
 *
 * Two batches: answers are encoded into `filling` while `sending` belongs to the socket, and the two change places
 * when the latter is empty. So the bytes under a write never move, and everything that was answered during one
 * turn of the loop leaves in one call.
 *
 * Long values leave slice by slice: one that is not in memory has to be fetched first, since the loop must not
 * wait for the disk: into the map, or into a portion, which is memory of its own. They can be verified on the way,
 * as much at a time as is about to leave; the last bytes are let go only if the checksum holds.
 *
 * The loop's thread only.
 */
#ifndef RD_SERVER_OUTBOX_H
#define RD_SERVER_OUTBOX_H

#include <stdatomic.h>
#include <uv.h>

#include "base/buffer.h"
#include "base/counter.h"
#include "engine/engine.h"

#define RD_OUTBOX_IOV_MAX 64

/* Of a portion; once that has left it is time for the next one. */
#define RD_PORTION_SENT_SHARE 4u

struct rd_hosted;
struct rd_loop;
struct rd_outbox_value;

/* When the bytes of a value may leave. */
enum rd_clearance {
    RD_CLEARED,           /* at once: they have just been looked at */
    RD_CLEARED_IN_MEMORY, /* slice by slice, as each is in memory */
    RD_CLEARED_VERIFIED   /* likewise, and the last one only if the checksum holds */
};

struct rd_outbox_batch {
    struct rd_buffer bytes;         /* encoded answers without their values */
    struct rd_outbox_value *values; /* owned; in the order of their places */
    size_t value_count;
    size_t value_capacity;
    size_t bytes_sent;  /* of bytes.len */
    size_t values_sent; /* of value_count, whole ones, released */
};

struct rd_outbox {
    struct rd_loop *loop; /* borrows; for disposal.h; NULL: none */
    struct rd_outbox_batch filling;
    struct rd_outbox_batch sending;
    size_t committed; /* bytes of filling that are whole answers */
    size_t unsent;    /* bytes in both, values included */
    size_t text_len;  /* bytes of texts in both, sent or not, that have memory of their own */
    unsigned lent;    /* of the buffers peeked last, the first one whose pages may be lent (rd_store_may_lend) */
};

void rd_outbox_init(struct rd_outbox *outbox, struct rd_loop *loop);
void rd_outbox_deinit(struct rd_outbox *outbox);

/* Where to encode the next answer; rd_outbox_commit then counts what was appended, rd_outbox_rollback drops it. At
 * most len_max bytes may be appended. */
struct rd_buffer *rd_outbox_begin(struct rd_outbox *outbox, size_t len_max);
void rd_outbox_commit(struct rd_outbox *outbox);
void rd_outbox_rollback(struct rd_outbox *outbox);

/* Puts the value behind what was committed so far. Takes *value and one use of `hosted` where it returns true;
 * false: no memory. leaving: borrows; one more as long as the value is in here; may be NULL. */
bool rd_outbox_append_value(struct rd_outbox *outbox, struct rd_value *value, struct rd_hosted *hosted,
                            enum rd_clearance clearance, struct rd_counter *leaving);

/* The same for bytes of a portion, of which it takes one use more. */
bool rd_outbox_append_portion(struct rd_outbox *outbox, struct rd_portion *portion, size_t first, size_t len,
                              struct rd_hosted *hosted);

/* The same for a text that lies in `memory`, which is freed when the last byte has left, or is constant (memory
 * NULL). It leaves slice by slice like a value, so that nobody waits for all of it. Takes memory where it returns
 * true. held: borrows; one less when the text is gone; may be NULL. */
bool rd_outbox_append_text(struct rd_outbox *outbox, struct rd_slice text, void *memory, atomic_uint *held);

/* Bytes of answers that it holds, texts included, values not counted; 0 where they are few. */
size_t rd_outbox_memory(const struct rd_outbox *outbox);

/* The same of encoded answers alone, however few, and as far as they have not left: an empty batch keeps its bytes
 * until it is filled again. Above 0 only where something is unsent. */
static inline size_t rd_outbox_encoded(const struct rd_outbox *outbox)
{
    return outbox->filling.bytes.len + outbox->sending.bytes.len - outbox->sending.bytes_sent;
}

/* Whether it holds a value whose store somebody has waited to reopen for grace_ms. */
bool rd_outbox_is_overdue(const struct rd_outbox *outbox, uint64_t now_ms, uint64_t grace_ms);

/* Fills at most RD_OUTBOX_IOV_MAX buffers with what is to be sent next, len_max (not 0) bytes of it at most.
 * Verifies no more than these. RD_CORRUPT: a value fails, RD_IO_ERROR: its file cannot be read; no more may be
 * sent. *ret_len 0, though something is unsent: the next slice has to be fetched first. May be called again
 * without anything having been sent. Tells in `lent` which buffer's pages may go with it; RD_OUTBOX_IOV_MAX:
 * none's. */
enum rd_status rd_outbox_peek(struct rd_outbox *outbox, size_t len_max, uv_buf_t *ret_buffers, unsigned *ret_count,
                              size_t *ret_len) RD_MUST_CHECK;

/* Sum of rd_value_faults over the values that the last peek told of: for who reads them itself, where the kernel
 * would have refused. */
uint64_t rd_outbox_faults(const struct rd_outbox *outbox);

/* The value whose next slice has to be fetched, after a peek that said so; borrowed. */
const struct rd_value *rd_outbox_waiting(const struct rd_outbox *outbox, struct rd_hosted **ret_hosted,
                                         uint64_t *ret_first);

/* Its bytes up to `end` have been fetched: into the portion, of which it takes one use more, or, where that is
 * NULL, into the map. */
void rd_outbox_fetched(struct rd_outbox *outbox, uint64_t end, struct rd_portion *portion);

/* A value that leaves from a portion, and where the next one is to begin; borrowed. NULL: none is wanted yet. */
const struct rd_value *rd_outbox_ahead(const struct rd_outbox *outbox, struct rd_hosted **ret_hosted,
                                       uint64_t *ret_first);

/* It was read: takes one use more, where it still goes on from there. of: compared only. */
void rd_outbox_fetched_ahead(struct rd_outbox *outbox, const struct rd_value *of, uint64_t first,
                             struct rd_portion *portion);

/* len bytes of what was last peeked have left. */
void rd_outbox_sent(struct rd_outbox *outbox, size_t len);

#endif
