/* SPDX-License-Identifier: MIT
 *
 * cursor.c - walks the chain from the newest entry to the oldest and shows those that are live. Entries are taken
 * in blocks, so that the index lookups that tell what is live overlap.
 */
#include <stdlib.h>

#include "engine/record.h"
#include "engine/store.h"

#define BLOCK_COUNT     64u
#define LAST_TRIES      4   /* of a look at the last entry, before it holds publishing up */
#define START_STEPS_MAX 64u /* entries followed to tell an entry's end from bytes that look like one */
#define START_LEN_MAX   (UINT64_C(1) << 20) /* and bytes whose checksum is taken for it */

struct rd_cursor {
    struct rd_store *store;     /* borrows */
    struct rd_view *view;       /* pins: what is live is asked of the index whose offsets these are */
    struct rd_mapping *mapping; /* pins */
    uint64_t end;               /* the next entry ends here; 0: no more */
    struct rd_descent descent;
    bool broken;                         /* the chain cannot be followed to the file's beginning */
    struct rd_record block[BLOCK_COUNT]; /* live entries that were found ahead */
    unsigned block_count;
    unsigned block_next;
};

static bool is_live(const struct rd_view *view, const struct rd_record *record)
{
    unsigned place = rd_epoch_enter();
    bool live = rd_index_holds(&view->index, record->trailer.key_hash, record->trailer_offset);
    rd_epoch_exit(place);
    return live;
}

/* An entry is real where it is live. A dead one is where its checksum matches and one of the next below is live:
 * leading on proves nothing by itself: a trailer read at the wrong byte, or a run of zeros, may do that too. */
static bool is_real_end(const struct rd_cursor *cursor, const uint8_t *file, uint64_t end)
{
    struct rd_record first;
    if (!rd_record_parse(file, end, &first))
        return false;
    struct rd_record record = first;
    bool live = is_live(cursor->view, &record);
    bool itself = live;
    for (unsigned step = 1; !live && step < START_STEPS_MAX; step++) {
        end = rd_store_chain_next(cursor->store, record.trailer.prev_tail);
        if (end == 0 || !rd_record_parse(file, end, &record))
            return false;
        live = is_live(cursor->view, &record);
    }
    return itself ||
           (live && first.payload_len <= START_LEN_MAX &&
            rd_crc32(0, rd_slice(file + first.payload_offset, first.payload_len)) == first.trailer.crc32);
}

/* The end of the highest entry whose payload starts below before_offset. Where before_offset is an entry's, the
 * entry before it ends in the 64 bytes below; otherwise the chain is walked from its end. */
static uint64_t find_start(const struct rd_cursor *cursor, uint64_t tail, uint64_t before_offset)
{
    const uint8_t *file = cursor->mapping->base;
    if (before_offset == 0 || before_offset > tail)
        return tail;
    uint64_t lowest = before_offset < RD_RECORD_ALIGN ? 0 : before_offset - RD_RECORD_ALIGN + 1;
    uint64_t found = 0;
    unsigned found_count = 0;
    bool aligned = before_offset % RD_RECORD_ALIGN == 0;
    for (uint64_t end = before_offset; aligned && end >= lowest && end >= RD_TOMBSTONE_LEN; end--) {
        if (is_real_end(cursor, file, end)) {
            found = end;
            found_count++;
        }
        if (file[end - 1] != 0)
            break; /* no pad reaches down further */
    }
    if (found_count == 1)
        return found;
    uint64_t end = tail;
    struct rd_record record;
    while (end != 0 && rd_record_parse(file, end, &record) && record.payload_offset >= before_offset)
        end = rd_store_chain_next(cursor->store, record.trailer.prev_tail);
    return end;
}

enum rd_status rd_cursor_open(struct rd_store *store, uint64_t before_offset, struct rd_cursor **ret_cursor)
{
    struct rd_cursor *cursor = calloc(1, sizeof *cursor);
    if (cursor == NULL)
        return RD_NO_MEMORY;
    cursor->store = store;
    unsigned place = rd_epoch_enter();
    cursor->view = rd_reader_view(store);
    rd_view_pin(cursor->view);
    uint64_t tail = atomic_load_explicit(&cursor->view->tail, memory_order_acquire);
    cursor->mapping = rd_view_mapping(cursor->view);
    rd_mapping_pin(cursor->mapping, place, 1);
    rd_epoch_exit(place);
    cursor->end = rd_mapping_is_spent(cursor->mapping) ? 0 : find_start(cursor, tail, before_offset);
    *ret_cursor = cursor;
    return RD_OK;
}

/* False: the chain has ended and the block is empty. */
static bool fill_block(struct rd_cursor *cursor)
{
    const struct rd_index *index = &cursor->view->index;
    const uint8_t *file = cursor->mapping->base;
    struct rd_index_spot spots[BLOCK_COUNT];
    unsigned place = rd_epoch_enter();
    unsigned count = 0;
    while (count < BLOCK_COUNT && cursor->end != 0) {
        struct rd_record *record = &cursor->block[count];
        rd_residency_descend(&cursor->mapping->residency, &cursor->descent, cursor->end);
        if (!rd_record_parse(file, cursor->end, record)) {
            cursor->end = 0;
            cursor->broken = true;
            break;
        }
        rd_index_approach(index, record->trailer.key_hash, &spots[count]);
        cursor->end = rd_store_chain_next(cursor->store, record->trailer.prev_tail);
        count++;
    }
    unsigned live = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct rd_record *record = &cursor->block[i];
        if (rd_index_holds_at(&spots[i], record->trailer_offset))
            cursor->block[live++] = *record;
    }
    rd_epoch_exit(place);
    cursor->block_count = live;
    cursor->block_next = 0;
    return count != 0;
}

bool rd_cursor_next(struct rd_cursor *cursor, struct rd_value *ret_value)
{
    while (cursor->block_next == cursor->block_count)
        if (!fill_block(cursor))
            return false;
    const struct rd_record *record = &cursor->block[cursor->block_next++];
    *ret_value = (struct rd_value){
        .payload = rd_slice(cursor->mapping->base + record->payload_offset, record->payload_len),
        .key_hash = record->trailer.key_hash,
        .offset = record->payload_offset,
        .prev_tail = record->trailer.prev_tail,
        .crc32 = record->trailer.crc32,
    };
    return true;
}

enum rd_status rd_cursor_status(const struct rd_cursor *cursor)
{
    if (rd_mapping_faulted(cursor->mapping))
        return RD_IO_ERROR;
    return cursor->broken ? RD_CORRUPT : RD_OK;
}

void rd_cursor_close(struct rd_cursor *cursor)
{
    if (cursor == NULL)
        return;
    rd_mapping_unpin(cursor->mapping, 1);
    rd_view_unpin(cursor->view);
    free(cursor);
}

static enum rd_status look_at_last(struct rd_store *store, struct rd_value *ret_value)
{
    struct rd_cursor *cursor;
    enum rd_status status = rd_cursor_open(store, 0, &cursor);
    if (status != RD_OK)
        return status;
    struct rd_value value;
    status = RD_OK;
    if (!rd_cursor_next(cursor, &value))
        status = rd_cursor_status(cursor) == RD_OK ? RD_KEY_NOT_FOUND : rd_cursor_status(cursor);
    if (status != RD_OK && rd_store_faulted(store))
        status = RD_IO_ERROR;
    if (status == RD_OK) {
        value.pin = cursor->mapping;
        rd_mapping_pin(value.pin, rd_seat(), 1);
        *ret_value = value;
    }
    rd_cursor_close(cursor);
    return status;
}

/* What is last when the walk begins may be replaced before it is looked at, and the walk would go on below it: a
 * look that overlaps a publication is repeated, and one that keeps doing so stops publishing for its time. */
enum rd_status rd_store_read_last_entry(struct rd_store *store, struct rd_value *ret_value)
{
    for (int tried = 0; tried < LAST_TRIES; tried++) {
        struct rd_value value = {.pin = NULL};
        uint64_t before = atomic_load_explicit(&store->publications, memory_order_seq_cst);
        enum rd_status status = look_at_last(store, &value);
        if (before % 2 == 0 && atomic_load_explicit(&store->publications, memory_order_seq_cst) == before) {
            if (status == RD_OK)
                *ret_value = value;
            return status;
        }
        rd_value_release(&value);
    }
    pthread_mutex_lock(&store->publish_lock);
    enum rd_status status = look_at_last(store, ret_value);
    pthread_mutex_unlock(&store->publish_lock);
    return status;
}
