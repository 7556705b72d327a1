/* SPDX-License-Identifier: MIT */
#include "server/outbox.h"

#include <stdlib.h>

#include "server/disposal.h"
#include "server/stores.h"

/* Of shorter ones each wakes a reader again, which costs more than what a warm cache saves. */
#define SLICE_LEN (1u << 20)

#define KEEP_LEN_MAX (64u << 10) /* an empty batch that grew above this gives its memory back */

struct rd_outbox_value {
    size_t place;               /* bytes of the batch that go before it */
    struct rd_value value;      /* owned */
    struct rd_hosted *hosted;   /* one use; NULL: it is a text */
    void *memory;               /* owned; a text's */
    struct rd_counter *leaving; /* borrows; one of it is this one; or NULL */
    atomic_uint *held;          /* borrows; of a text, one of it is this one; or NULL */
    size_t sent;                /* of value.payload.len */
    enum rd_clearance clearance;
    size_t slice;     /* what is in memory, and held until it has left, goes from here */
    size_t slice_end; /* to here */
    size_t cleared;   /* bytes that may be sent, of these slice_end */
    uint32_t crc32;   /* over `cleared` bytes, where the value is verified */
    uint64_t fetched; /* bytes that were brought into memory: it is not asked again whether they are there */
    struct rd_portion *portion; /* one use; the value's bytes from portion_begin on; NULL: they are in the map */
    size_t portion_begin;
    size_t portion_end;
    struct rd_portion *next; /* one use; what follows the portion; NULL: it is not there yet */
};

/* That it holds in memory. */
static size_t text_len(const struct rd_outbox_value *value)
{
    return value->memory != NULL ? value->value.payload.len : 0;
}

/* One use of it becomes the value's. */
static void take_portion(struct rd_outbox_value *value, struct rd_portion *portion, size_t begin)
{
    value->portion = portion;
    value->portion_begin = begin;
    value->portion_end = begin + portion->bytes.len;
}

/* Of what is held; it has left, or nothing of it is wanted any more. A portion is memory of its own. */
static void let_slice_go(struct rd_outbox_value *value)
{
    struct rd_portion *next = value->next;
    if (value->portion == NULL)
        rd_value_let_go(&value->value, value->slice, value->slice_end - value->slice);
    rd_portion_release(value->portion);
    value->portion = NULL;
    value->next = NULL;
    value->slice = value->slice_end;
    if (next != NULL)
        take_portion(value, next, value->portion_end);
}

/* Of the slice. */
static const uint8_t *bytes_at(const struct rd_outbox_value *value, size_t at)
{
    return value->portion == NULL ? value->value.payload.data + at
                                  : value->portion->bytes.data + (at - value->portion_begin);
}

static void value_deinit(struct rd_outbox *outbox, struct rd_outbox_value *value)
{
    rd_portion_release(value->next);
    value->next = NULL;
    let_slice_go(value);
    rd_value_release(&value->value);
    if (value->hosted != NULL)
        rd_hosted_unuse(value->hosted);
    if (value->leaving != NULL)
        rd_counter_sub(value->leaving, 1);
    rd_dispose_memory(outbox->loop, value->memory, value->value.payload.len);
    if (value->held != NULL)
        atomic_fetch_sub(value->held, 1);
}

static void batch_deinit(struct rd_outbox *outbox, struct rd_outbox_batch *batch)
{
    for (size_t i = batch->values_sent; i < batch->value_count; i++)
        value_deinit(outbox, &batch->values[i]);
    free(batch->values);
    rd_buffer_deinit(&batch->bytes);
    *batch = (struct rd_outbox_batch){.value_count = 0};
}

static bool batch_is_empty(const struct rd_outbox_batch *batch)
{
    return batch->bytes_sent == batch->bytes.len && batch->values_sent == batch->value_count;
}

/* For a batch that is empty. */
static void batch_reset(struct rd_outbox_batch *batch)
{
    if (batch->bytes.capacity > KEEP_LEN_MAX) {
        rd_buffer_deinit(&batch->bytes);
        rd_buffer_init(&batch->bytes, 0);
    } else {
        rd_buffer_clear(&batch->bytes);
    }
    batch->bytes_sent = 0;
    batch->value_count = 0;
    batch->values_sent = 0;
}

/* What a long one has allocated ahead was never touched, and is no memory yet. */
static size_t batch_memory(const struct rd_outbox_batch *batch)
{
    return batch->bytes.len > KEEP_LEN_MAX ? batch->bytes.len : 0;
}

size_t rd_outbox_memory(const struct rd_outbox *outbox)
{
    return batch_memory(&outbox->filling) + batch_memory(&outbox->sending) + outbox->text_len;
}

void rd_outbox_init(struct rd_outbox *outbox, struct rd_loop *loop)
{
    *outbox = (struct rd_outbox){.loop = loop};
    rd_buffer_init(&outbox->filling.bytes, 0);
    rd_buffer_init(&outbox->sending.bytes, 0);
}

void rd_outbox_deinit(struct rd_outbox *outbox)
{
    batch_deinit(outbox, &outbox->filling);
    batch_deinit(outbox, &outbox->sending);
    outbox->unsent = 0;
    outbox->text_len = 0;
}

struct rd_buffer *rd_outbox_begin(struct rd_outbox *outbox, size_t len_max)
{
    struct rd_buffer *bytes = &outbox->filling.bytes;
    outbox->committed = bytes->len;
    bytes->len_max = bytes->len + len_max;
    return bytes;
}

void rd_outbox_commit(struct rd_outbox *outbox)
{
    outbox->unsent += outbox->filling.bytes.len - outbox->committed;
    outbox->committed = outbox->filling.bytes.len;
}

/* What was rolled back may have been long, and its memory is not to stay either. */
void rd_outbox_rollback(struct rd_outbox *outbox)
{
    struct rd_buffer *bytes = &outbox->filling.bytes;
    bytes->len = outbox->committed;
    bytes->failed = false;
    if (bytes->capacity - bytes->len <= KEEP_LEN_MAX)
        return;
    uint8_t *fitted = realloc(bytes->data, bytes->len + 1);
    if (fitted == NULL)
        return;
    bytes->data = fitted;
    bytes->capacity = bytes->len + 1;
}

/* value: but for its place. False: no memory. */
static bool append(struct rd_outbox *outbox, const struct rd_outbox_value *value)
{
    struct rd_outbox_batch *batch = &outbox->filling;
    if (batch->value_count == batch->value_capacity) {
        size_t capacity = batch->value_capacity == 0 ? 4 : batch->value_capacity * 2;
        struct rd_outbox_value *values = realloc(batch->values, capacity * sizeof *values);
        if (values == NULL)
            return false;
        batch->values = values;
        batch->value_capacity = capacity;
    }
    batch->values[batch->value_count] = *value;
    batch->values[batch->value_count++].place = batch->bytes.len;
    outbox->unsent += value->value.payload.len;
    outbox->text_len += text_len(value);
    return true;
}

bool rd_outbox_append_value(struct rd_outbox *outbox, struct rd_value *value, struct rd_hosted *hosted,
                            enum rd_clearance clearance, struct rd_counter *leaving)
{
    struct rd_outbox_value appended = {
        .value = *value,
        .hosted = hosted,
        .leaving = leaving,
        .clearance = clearance,
    };
    if (clearance == RD_CLEARED) {
        (void)rd_value_hold(value, 0, value->payload.len); /* it was looked for before, or was fetched */
        appended.slice_end = value->payload.len;
        appended.cleared = value->payload.len;
    }
    if (!append(outbox, &appended)) {
        rd_value_let_go(value, 0, appended.slice_end);
        return false;
    }
    if (leaving != NULL)
        rd_counter_add(leaving, 1);
    *value = (struct rd_value){.pin = NULL};
    return true;
}

bool rd_outbox_append_portion(struct rd_outbox *outbox, struct rd_portion *portion, size_t first, size_t len,
                              struct rd_hosted *hosted)
{
    struct rd_slice bytes = rd_slice(portion->bytes.data + first, len);
    if (!append(outbox, &(struct rd_outbox_value){
                            .value.payload = bytes,
                            .hosted = hosted,
                            .clearance = RD_CLEARED,
                            .slice = len,
                            .slice_end = len,
                            .cleared = len,
                            .portion = portion,
                            .portion_begin = 0 - first,
                            .portion_end = len,
                        }))
        return false;
    portion->uses++;
    return true;
}

bool rd_outbox_append_text(struct rd_outbox *outbox, struct rd_slice text, void *memory, atomic_uint *held)
{
    return append(outbox, &(struct rd_outbox_value){
                              .value.payload = text,
                              .memory = memory,
                              .held = held,
                              .clearance = RD_CLEARED_IN_MEMORY,
                              .fetched = UINT64_MAX, /* it is no file's */
                          });
}

static bool batch_is_overdue(const struct rd_outbox_batch *batch, uint64_t now_ms, uint64_t grace_ms)
{
    for (size_t i = batch->values_sent; i < batch->value_count; i++)
        if (batch->values[i].hosted != NULL &&
            rd_hosted_is_overdue(batch->values[i].hosted, now_ms, grace_ms, false))
            return true;
    return false;
}

bool rd_outbox_is_overdue(const struct rd_outbox *outbox, uint64_t now_ms, uint64_t grace_ms)
{
    return batch_is_overdue(&outbox->sending, now_ms, grace_ms) ||
           batch_is_overdue(&outbox->filling, now_ms, grace_ms);
}

/* ---- sending ---------------------------------------------------------------------------------------------- */

/* The next slice. Held first: what is then found in memory stays there. False: it has to be fetched. */
static bool hold_slice(struct rd_outbox_value *value)
{
    if (value->portion != NULL && value->cleared < value->portion_end) {
        value->slice_end = value->portion_end;
        return true;
    }
    size_t left = value->value.payload.len - value->cleared;
    size_t len = left < SLICE_LEN ? left : SLICE_LEN;
    bool stays = rd_value_hold(&value->value, value->cleared, len);
    if (stays &&
        (value->cleared + len <= value->fetched || rd_value_is_in_memory(&value->value, value->cleared, len))) {
        let_slice_go(value);
        value->slice_end += len;
        return true;
    }
    rd_value_let_go(&value->value, value->cleared, len);
    return false;
}

/* The next len bytes of the slice: they may be sent. */
static enum rd_status check(struct rd_outbox_value *value, size_t len)
{
    if (value->clearance == RD_CLEARED_IN_MEMORY && rd_value_is_lost(&value->value))
        return RD_IO_ERROR; /* zeros may stand where no checksum would tell */
    if (value->clearance == RD_CLEARED_VERIFIED) {
        uint32_t crc32 = rd_crc32(value->crc32, rd_slice(bytes_at(value, value->cleared), len));
        if (value->cleared + len == value->value.payload.len && crc32 != value->value.crc32)
            return RD_CORRUPT; /* and so says the next call */
        value->crc32 = crc32;
    }
    value->cleared += len;
    return RD_OK;
}

/* Lets at most len_max bytes more go where everything cleared has been sent and they are in memory. No more than
 * can leave now: a loop that looked at a whole slice would let all others wait for that. */
static enum rd_status clear_some(struct rd_outbox_value *value, size_t len_max)
{
    if (value->cleared == value->value.payload.len || value->sent < value->cleared || len_max == 0)
        return RD_OK;
    if (value->cleared == value->slice_end && !hold_slice(value))
        return RD_OK;
    size_t len = value->slice_end - value->cleared;
    return check(value, len < len_max ? len : len_max);
}

const struct rd_value *rd_outbox_waiting(const struct rd_outbox *outbox, struct rd_hosted **ret_hosted,
                                         uint64_t *ret_first)
{
    const struct rd_outbox_value *value = &outbox->sending.values[outbox->sending.values_sent];
    *ret_hosted = value->hosted;
    *ret_first = value->cleared;
    return &value->value;
}

void rd_outbox_fetched(struct rd_outbox *outbox, uint64_t end, struct rd_portion *portion)
{
    struct rd_outbox_value *value = &outbox->sending.values[outbox->sending.values_sent];
    value->fetched = end;
    if (portion == NULL || value->cleared + portion->bytes.len != end)
        return;
    let_slice_go(value);
    portion->uses++;
    take_portion(value, portion, value->cleared);
}

const struct rd_value *rd_outbox_ahead(const struct rd_outbox *outbox, struct rd_hosted **ret_hosted,
                                       uint64_t *ret_first)
{
    const struct rd_outbox_batch *batch = &outbox->sending;
    if (batch->values_sent == batch->value_count)
        return NULL;
    const struct rd_outbox_value *value = &batch->values[batch->values_sent];
    size_t sent = value->sent - value->portion_begin;
    if (value->portion == NULL || value->next != NULL ||
        sent < value->portion->bytes.len / RD_PORTION_SENT_SHARE ||
        value->portion_end >= value->value.payload.len ||
        rd_value_is_in_memory(&value->value, value->portion_end, SLICE_LEN))
        return NULL;
    *ret_hosted = value->hosted;
    *ret_first = value->portion_end;
    return &value->value;
}

void rd_outbox_fetched_ahead(struct rd_outbox *outbox, const struct rd_value *of, uint64_t first,
                             struct rd_portion *portion)
{
    struct rd_outbox_batch *batch = &outbox->sending;
    struct rd_outbox_value *value = batch->values + batch->values_sent;
    if (batch->values_sent == batch->value_count || !rd_value_is_same(&value->value, of) || value->next != NULL)
        return;
    if (value->portion != NULL && value->portion_end == first) {
        portion->uses++;
        value->next = portion;
    } else if (value->portion == NULL && value->sent == first && value->slice_end == first) {
        rd_outbox_fetched(outbox, first + portion->bytes.len, portion);
    }
}

/* The buffers being filled by one peek. */
struct peek {
    uv_buf_t *buffers; /* borrows; RD_OUTBOX_IOV_MAX of them */
    unsigned count;
    size_t len;     /* bytes in all */
    size_t len_max; /* what is beyond them is left out */
};

static void peek_add(struct peek *peek, const uint8_t *data, size_t len)
{
    if (len > peek->len_max - peek->len)
        len = peek->len_max - peek->len;
    if (len == 0)
        return;
    peek->buffers[peek->count++] = (uv_buf_t){.base = (char *)(uintptr_t)data, .len = len};
    peek->len += len;
}

enum rd_status rd_outbox_peek(struct rd_outbox *outbox, size_t len_max, uv_buf_t *ret_buffers, unsigned *ret_count,
                              size_t *ret_len)
{
    if (batch_is_empty(&outbox->sending)) {
        struct rd_outbox_batch empty = outbox->sending;
        batch_reset(&empty);
        outbox->sending = outbox->filling;
        outbox->filling = empty;
        outbox->committed = 0;
    }
    struct rd_outbox_batch *batch = &outbox->sending;
    struct peek peek = {.buffers = ret_buffers, .len_max = len_max};
    size_t at = batch->bytes_sent;
    outbox->lent = RD_OUTBOX_IOV_MAX;
    bool held = false; /* a value is not cleared to its end: nothing behind it may go */
    for (size_t i = batch->values_sent; i < batch->value_count && !held && peek.count + 2 < RD_OUTBOX_IOV_MAX;
         i++) {
        struct rd_outbox_value *value = &batch->values[i];
        peek_add(&peek, batch->bytes.data + at, value->place - at);
        at = value->place;
        enum rd_status status = i == batch->values_sent ? clear_some(value, len_max - peek.len) : RD_OK;
        if (status != RD_OK && peek.len == 0) /* else what comes before it may still go */
            return status;
        if (outbox->lent == RD_OUTBOX_IOV_MAX && value->hosted != NULL && value->portion == NULL &&
            rd_store_may_lend(value->hosted->store, &value->value))
            outbox->lent = peek.count;
        peek_add(&peek, bytes_at(value, value->sent), value->cleared - value->sent);
        held = value->cleared < value->value.payload.len;
    }
    bool last_value_in = peek.count + 2 < RD_OUTBOX_IOV_MAX && !held;
    if (last_value_in)
        peek_add(&peek, batch->bytes.data + at, batch->bytes.len - at);
    *ret_count = peek.count;
    *ret_len = peek.len;
    return RD_OK;
}

uint64_t rd_outbox_faults(const struct rd_outbox *outbox)
{
    const struct rd_outbox_batch *batch = &outbox->sending;
    size_t end = batch->value_count - batch->values_sent < RD_OUTBOX_IOV_MAX / 2
                     ? batch->value_count
                     : batch->values_sent + RD_OUTBOX_IOV_MAX / 2;
    uint64_t faults = 0;
    for (size_t i = batch->values_sent; i < end; i++)
        faults += rd_value_faults(&batch->values[i].value);
    return faults;
}

void rd_outbox_sent(struct rd_outbox *outbox, size_t len)
{
    struct rd_outbox_batch *batch = &outbox->sending;
    outbox->unsent -= len;
    while (batch->values_sent < batch->value_count) {
        struct rd_outbox_value *value = &batch->values[batch->values_sent];
        size_t before = value->place - batch->bytes_sent;
        if (len < before)
            break;
        batch->bytes_sent += before;
        len -= before;
        size_t left = value->value.payload.len - value->sent;
        if (len < left) {
            value->sent += len;
            if (value->portion != NULL && value->sent == value->portion_end) /* others may use its memory */
                let_slice_go(value);
            return;
        }
        len -= left;
        outbox->text_len -= text_len(value);
        value_deinit(outbox, value);
        batch->values_sent++;
    }
    batch->bytes_sent += len;
    if (batch_is_empty(batch) && batch->bytes.capacity > KEEP_LEN_MAX) /* the next answer may be long in coming */
        batch_reset(batch);
}
