/* SPDX-License-Identifier: MIT */
#include "engine/walk.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/store.h"

#define SEGMENT_COUNT 65536u
#define BLOCK_COUNT   64u                  /* entries whose index slots are asked for together */
#define PIECE_LEN     (UINT64_C(1) << 20)  /* of a long payload, copied at a time */
#define SYNC_EVERY    (UINT64_C(64) << 20) /* bytes of the new file, so that no sync takes long */

enum rd_status rd_walk_fail(struct rd_walk *walk, int os_errno, const char *what)
{
    enum rd_status status = os_errno == ENOMEM ? RD_NO_MEMORY : rd_status_of_errno(os_errno);
    return rd_error_set(walk->error, status, os_errno, "%s %s.compact", what, walk->store->file.path);
}

enum rd_status rd_walk_fail_chain(struct rd_walk *walk)
{
    return rd_error_set(walk->error, RD_CORRUPT, 0,
                        "the entries of %s cannot all be reached; verify names the range", walk->store->file.path);
}

enum rd_status rd_walk_init(struct rd_walk *walk, struct rd_store *store, struct rd_successor *successor,
                            struct rd_error *error)
{
    *walk = (struct rd_walk){.store = store, .successor = successor, .error = error};
    walk->ends = malloc(SEGMENT_COUNT * sizeof *walk->ends);
    return walk->ends == NULL ? RD_NO_MEMORY : RD_OK;
}

static bool add_mark(struct rd_walk_marks *marks, uint64_t end)
{
    if (marks->count == marks->capacity) {
        size_t capacity = marks->capacity == 0 ? 64 : 2 * marks->capacity;
        uint64_t *items = realloc(marks->items, capacity * sizeof *items);
        if (items == NULL)
            return false;
        marks->items = items;
        marks->capacity = capacity;
    }
    marks->items[marks->count++] = end;
    return true;
}

/* From what was copied up to the published tail, which that map covers. */
void rd_walk_begin(struct rd_walk *walk)
{
    struct rd_store *store = walk->store;
    if (walk->as_writer) {
        walk->mapping = rd_writer_mapping(store);
        walk->end = rd_writer_tail(store);
    } else {
        unsigned place = rd_epoch_enter();
        struct rd_view *view = rd_reader_view(store);
        walk->end = atomic_load_explicit(&view->tail, memory_order_acquire);
        walk->mapping = rd_view_mapping(view);
        rd_mapping_pin(walk->mapping, place, 1);
        rd_epoch_exit(place);
    }
    walk->noted_to = walk->end;
    walk->noted = SEGMENT_COUNT;
    walk->low = walk->begin;
}

static void end(struct rd_walk *walk)
{
    if (!walk->as_writer)
        rd_mapping_unpin(walk->mapping, 1);
    walk->mapping = NULL;
    walk->begin = walk->end;
    walk->count++;
}

/* The first pass: a mark where a segment ends. */
static enum rd_status note_some(struct rd_walk *walk)
{
    struct rd_descent descent = {.begun = false};
    for (unsigned i = 0; i < SEGMENT_COUNT && walk->noted_to > walk->begin; i++) {
        struct rd_record record;
        rd_residency_descend(&walk->mapping->residency, &descent, walk->noted_to);
        if (!rd_record_parse(walk->mapping->base, walk->noted_to, &record) ||
            record.trailer.prev_tail < walk->begin)
            return rd_walk_fail_chain(walk);
        if (walk->noted == SEGMENT_COUNT) {
            walk->noted = 0;
            if (!add_mark(&walk->marks, walk->noted_to))
                return rd_error_set(walk->error, RD_NO_MEMORY, 0, "no memory to compact %s",
                                    walk->store->file.path);
        }
        walk->noted++;
        walk->noted_to = record.trailer.prev_tail;
        walk->passed += RD_TRAILER_LEN;
    }
    return RD_OK;
}

/* Of a block of entries those that are to be copied. */
static void choose(struct rd_walk *walk, const struct rd_record *records, unsigned count)
{
    unsigned place = walk->as_writer ? 0 : rd_epoch_enter();
    const struct rd_index *index = &rd_writer_view(walk->store)->index; /* only we exchange it */
    for (unsigned i = 0; i < count; i++)
        rd_index_prefetch(index, records[i].trailer.key_hash);
    for (unsigned i = 0; i < count; i++) {
        const struct rd_record *record = &records[i];
        bool own = record->trailer.key_hash == RD_RESERVED_KEY_HASH;
        bool wanted = record->tombstone ? walk->count != 0
                                        : rd_index_holds(index, record->trailer.key_hash, record->trailer_offset);
        if (wanted && !own)
            walk->ends[walk->end_count++] = record->trailer_offset + RD_TRAILER_LEN;
    }
    if (!walk->as_writer)
        rd_epoch_exit(place);
}

/* The second pass, of the lowest segment that is left. */
static enum rd_status load_segment(struct rd_walk *walk)
{
    struct rd_record records[BLOCK_COUNT];
    struct rd_descent descent = {.begun = false};
    uint64_t top = walk->marks.items[--walk->marks.count];
    uint64_t end = top;
    while (end > walk->low) {
        unsigned count = 0;
        for (; count < BLOCK_COUNT && end > walk->low; count++) {
            rd_residency_descend(&walk->mapping->residency, &descent, end);
            if (!rd_record_parse(walk->mapping->base, end, &records[count]))
                return rd_walk_fail_chain(walk);
            end = records[count].trailer.prev_tail;
        }
        choose(walk, records, count);
        walk->passed += count * RD_TRAILER_LEN;
    }
    walk->low = top;
    return RD_OK;
}

/* The next entry of the segment, or a piece of it. */
static enum rd_status copy_some(struct rd_walk *walk)
{
    struct rd_record record;
    struct rd_successor *successor = walk->successor;
    const uint8_t *file = walk->mapping->base;
    if (!rd_record_parse(file, walk->ends[walk->end_count - 1], &record))
        return rd_walk_fail_chain(walk);
    uint64_t left = record.payload_len - walk->piece_done;
    uint64_t len = left < PIECE_LEN ? left : PIECE_LEN;
    if (len > RD_RESIDENCY_PAGE_LEN)
        rd_residency_want(&walk->mapping->residency, record.payload_offset + walk->piece_done,
                          left < 2 * PIECE_LEN ? left : 2 * PIECE_LEN);
    int failed = 0;
    if (!record.tombstone || rd_successor_holds(successor, record.trailer.key_hash))
        failed = rd_successor_append(successor, file, &record, walk->piece_done, len);
    if (failed != 0)
        return rd_walk_fail(walk, failed, "cannot write");
    walk->passed += len + RD_TRAILER_LEN;
    walk->piece_done += len;
    if (len == left) {
        walk->piece_done = 0;
        walk->end_count--;
    }
    if (!walk->as_writer && successor->unsynced_len >= SYNC_EVERY) {
        failed = rd_successor_sync(successor);
        if (failed != 0)
            return rd_walk_fail(walk, failed, "cannot sync");
    }
    return RD_OK;
}

enum rd_status rd_walk_on(struct rd_walk *walk, uint64_t passed_max, bool *ret_over)
{
    enum rd_status status = RD_OK;
    *ret_over = false;
    while (status == RD_OK && walk->passed < passed_max && !*ret_over) {
        if (walk->noted_to > walk->begin)
            status = note_some(walk);
        else if (walk->end_count != 0)
            status = copy_some(walk);
        else if (walk->marks.count != 0)
            status = load_segment(walk);
        else
            *ret_over = true;
    }
    if (rd_mapping_faulted(walk->mapping)) /* the next walk may look at another map */
        return rd_walk_fail(walk, EIO, "cannot read what goes to");
    if (status != RD_OK || !*ret_over)
        return status;
    int failed = rd_successor_flush(walk->successor);
    end(walk);
    return failed == 0 ? RD_OK : rd_walk_fail(walk, failed, "cannot write");
}

enum rd_status rd_walk_at_once(struct rd_walk *walk)
{
    bool over;
    rd_walk_begin(walk);
    return rd_walk_on(walk, UINT64_MAX, &over);
}

enum rd_status rd_walk_as_writer(struct rd_walk *walk)
{
    walk->as_writer = true;
    enum rd_status status = rd_walk_at_once(walk);
    walk->mapping = NULL; /* not pinned */
    walk->as_writer = false;
    return status;
}

uint64_t rd_walk_left(const struct rd_walk *walk)
{
    return rd_store_file_size(walk->store) - walk->begin;
}

void rd_walk_deinit(struct rd_walk *walk)
{
    if (walk->mapping != NULL)
        rd_mapping_unpin(walk->mapping, 1);
    free(walk->marks.items);
    free(walk->ends);
}
