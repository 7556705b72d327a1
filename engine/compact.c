/* SPDX-License-Identifier: MIT
 *
 * compact.c - copies the live entries of a store to a new file and has it take the old one's place (compact.h).
 *
 * A walk goes down the chain, since that is how it is linked, and what it finds is copied upward, since that is
 * how a file is written. So as not to remember every entry, a first pass notes where every SEGMENT_COUNT entries
 * end, and a second one takes segment by segment from the lowest.
 */
#include "engine/compact.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/store.h"
#include "engine/successor.h"

#define SEGMENT_COUNT 65536u
#define BLOCK_COUNT   64u                   /* entries whose index slots are asked for together */
#define PIECE_LEN     (UINT64_C(1) << 20)   /* of a long payload, copied at a time */
#define READY_LEN     (UINT64_C(256) << 10) /* bytes of the old file that the writer may be left to copy */
#define SYNC_LEN      (UINT64_C(4) << 20)   /* unsynced bytes of the new one that it may be left to sync */
#define SYNC_EVERY    (UINT64_C(64) << 20)  /* bytes, so that no sync takes long */
#define WALKS_MAX     32u /* then the writer waits for the rest; also where a walk has gained nothing on it */
#define LAST_WALKS    8u  /* without a sync between them */
#define FREE_LEN_MIN  (UINT64_C(4) << 20) /* bytes that are left to those who write meanwhile */
#define FREE_SHARE    16u                 /* and such a share of what is to be copied */
#define RETRY_NS      2000000L            /* while a long value lies ahead */

struct marks {
    uint64_t *items; /* owned; ends of entries, from the highest to the lowest */
    size_t count;
    size_t capacity;
};

struct rd_compaction {
    struct rd_store *store; /* borrows */
    struct rd_successor successor;
    struct rd_mapping *mapping; /* of the walk that is under way; pins, but as the writer */
    bool as_writer;             /* the walk is the writer's */
    bool held;                  /* the writer keeps to what compact.h says between first and second errand */
    bool in_the_way;            /* a long value lies ahead of the old file's tail */
    bool done;
    uint64_t begun_ns; /* monotonic clock */
    int old_fd;        /* owned; of the file whose place was taken; -1: not yet */

    /* The walk: over entries that end in (begin, end]. */
    unsigned walks; /* that are over */
    uint64_t left;  /* bytes to copy when the last one was over */
    uint64_t begin;
    uint64_t end;
    uint64_t noted_to; /* the first pass has come down to here */
    uint32_t noted;    /* entries since the last mark */
    struct marks marks;
    uint64_t low;   /* all that ends at or below is copied */
    uint64_t *ends; /* owned; of the entries of a segment that are to be copied, from the highest to the lowest */
    uint32_t end_count;
    uint64_t piece_done; /* bytes of the payload of the next one that are copied */

    uint64_t passed; /* bytes that count for the step's limit */
    enum rd_status (*errand)(struct rd_compaction *compaction);
    struct rd_meta meta; /* of the new file */
    struct rd_compacted result;
    struct rd_error error;
};

static enum rd_status fail(struct rd_compaction *compaction, int os_errno, const char *what)
{
    enum rd_status status = os_errno == ENOMEM ? RD_NO_MEMORY : rd_status_of_errno(os_errno);
    return rd_error_set(&compaction->error, status, os_errno, "%s %s.compact", what, compaction->store->file.path);
}

static enum rd_status fail_chain(struct rd_compaction *compaction)
{
    return rd_error_set(&compaction->error, RD_CORRUPT, 0,
                        "the entries of %s cannot all be reached; verify names the range",
                        compaction->store->file.path);
}

static enum rd_status fail_lost(struct rd_compaction *compaction)
{
    return rd_error_set(&compaction->error, RD_IO_ERROR, 0, "others changed %s", compaction->store->file.path);
}

static enum rd_status fail_memory(struct rd_compaction *compaction)
{
    return rd_error_set(&compaction->error, RD_NO_MEMORY, 0, "no memory to compact %s",
                        compaction->store->file.path);
}

/* ---- a walk -------------------------------------------------------------------------------------------- */

static bool add_mark(struct marks *marks, uint64_t end)
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
static enum rd_status begin_walk(struct rd_compaction *compaction)
{
    struct rd_store *store = compaction->store;
    if (compaction->as_writer) {
        compaction->mapping = rd_writer_mapping(store);
        compaction->end = rd_writer_tail(store);
    } else {
        unsigned place = rd_epoch_enter();
        struct rd_view *view = rd_reader_view(store);
        compaction->end = atomic_load_explicit(&view->tail, memory_order_acquire);
        compaction->mapping = rd_view_mapping(view);
        rd_mapping_pin(compaction->mapping, place, 1);
        rd_epoch_exit(place);
    }
    compaction->noted_to = compaction->end;
    compaction->noted = SEGMENT_COUNT;
    compaction->low = compaction->begin;
    return RD_OK;
}

static void end_walk(struct rd_compaction *compaction)
{
    if (!compaction->as_writer)
        rd_mapping_unpin(compaction->mapping, 1);
    compaction->mapping = NULL;
    compaction->begin = compaction->end;
    compaction->walks++;
}

/* The first pass: a mark where a segment ends. */
static enum rd_status note_some(struct rd_compaction *compaction)
{
    struct rd_descent descent = {.begun = false};
    for (unsigned i = 0; i < SEGMENT_COUNT && compaction->noted_to > compaction->begin; i++) {
        struct rd_record record;
        rd_residency_descend(&compaction->mapping->residency, &descent, compaction->noted_to);
        if (!rd_record_parse(compaction->mapping->base, compaction->noted_to, &record) ||
            record.trailer.prev_tail < compaction->begin)
            return fail_chain(compaction);
        if (compaction->noted == SEGMENT_COUNT) {
            compaction->noted = 0;
            if (!add_mark(&compaction->marks, compaction->noted_to))
                return fail_memory(compaction);
        }
        compaction->noted++;
        compaction->noted_to = record.trailer.prev_tail;
        compaction->passed += RD_TRAILER_LEN;
    }
    return RD_OK;
}

/* Of a block of entries those that are to be copied. */
static void choose(struct rd_compaction *compaction, const struct rd_record *records, unsigned count)
{
    unsigned place = compaction->as_writer ? 0 : rd_epoch_enter();
    const struct rd_index *index = &rd_writer_view(compaction->store)->index; /* only we exchange it */
    for (unsigned i = 0; i < count; i++)
        rd_index_prefetch(index, records[i].trailer.key_hash);
    for (unsigned i = 0; i < count; i++) {
        const struct rd_record *record = &records[i];
        bool own = record->trailer.key_hash == RD_RESERVED_KEY_HASH;
        bool wanted = record->tombstone ? compaction->walks != 0
                                        : rd_index_holds(index, record->trailer.key_hash, record->trailer_offset);
        if (wanted && !own)
            compaction->ends[compaction->end_count++] = record->trailer_offset + RD_TRAILER_LEN;
    }
    if (!compaction->as_writer)
        rd_epoch_exit(place);
}

/* The second pass, of the lowest segment that is left. */
static enum rd_status load_segment(struct rd_compaction *compaction)
{
    struct rd_record records[BLOCK_COUNT];
    struct rd_descent descent = {.begun = false};
    uint64_t top = compaction->marks.items[--compaction->marks.count];
    uint64_t end = top;
    while (end > compaction->low) {
        unsigned count = 0;
        for (; count < BLOCK_COUNT && end > compaction->low; count++) {
            rd_residency_descend(&compaction->mapping->residency, &descent, end);
            if (!rd_record_parse(compaction->mapping->base, end, &records[count]))
                return fail_chain(compaction);
            end = records[count].trailer.prev_tail;
        }
        choose(compaction, records, count);
        compaction->passed += count * RD_TRAILER_LEN;
    }
    compaction->low = top;
    return RD_OK;
}

/* The next entry of the segment, or a piece of it. */
static enum rd_status copy_some(struct rd_compaction *compaction)
{
    struct rd_record record;
    struct rd_successor *successor = &compaction->successor;
    const uint8_t *file = compaction->mapping->base;
    if (!rd_record_parse(file, compaction->ends[compaction->end_count - 1], &record))
        return fail_chain(compaction);
    uint64_t left = record.payload_len - compaction->piece_done;
    uint64_t len = left < PIECE_LEN ? left : PIECE_LEN;
    if (len > RD_RESIDENCY_PAGE_LEN)
        rd_residency_want(&compaction->mapping->residency, record.payload_offset + compaction->piece_done,
                          left < 2 * PIECE_LEN ? left : 2 * PIECE_LEN);
    int failed = 0;
    if (!record.tombstone || rd_successor_holds(successor, record.trailer.key_hash))
        failed = rd_successor_append(successor, file, &record, compaction->piece_done, len);
    if (failed != 0)
        return fail(compaction, failed, "cannot write");
    compaction->passed += len + RD_TRAILER_LEN;
    compaction->piece_done += len;
    if (len == left) {
        compaction->piece_done = 0;
        compaction->end_count--;
    }
    if (!compaction->as_writer && successor->unsynced_len >= SYNC_EVERY) {
        failed = rd_successor_sync(successor);
        if (failed != 0)
            return fail(compaction, failed, "cannot sync");
    }
    return RD_OK;
}

/* Goes on with the walk until so many bytes are passed, or it is over. */
static enum rd_status walk_on(struct rd_compaction *compaction, uint64_t passed_max, bool *ret_over)
{
    enum rd_status status = RD_OK;
    *ret_over = false;
    while (status == RD_OK && compaction->passed < passed_max && !*ret_over) {
        if (compaction->noted_to > compaction->begin)
            status = note_some(compaction);
        else if (compaction->end_count != 0)
            status = copy_some(compaction);
        else if (compaction->marks.count != 0)
            status = load_segment(compaction);
        else
            *ret_over = true;
    }
    if (rd_mapping_faulted(compaction->mapping)) /* the next walk may look at another map */
        return fail(compaction, EIO, "cannot read what goes to");
    if (status != RD_OK || !*ret_over)
        return status;
    int failed = rd_successor_flush(&compaction->successor);
    end_walk(compaction);
    return failed == 0 ? RD_OK : fail(compaction, failed, "cannot write");
}

static enum rd_status walk_at_once(struct rd_compaction *compaction)
{
    bool over;
    enum rd_status status = begin_walk(compaction);
    return status != RD_OK ? status : walk_on(compaction, UINT64_MAX, &over);
}

static uint64_t left_to_copy(const struct rd_compaction *compaction)
{
    return rd_store_file_size(compaction->store) - compaction->begin;
}

/* ---- as the writer ------------------------------------------------------------------------------------- */

static enum rd_status run_errand(struct rd_store *store, void *context)
{
    struct rd_compaction *compaction = context;
    (void)store;
    uint64_t begun_ns = rd_monotonic_ns();
    enum rd_status status = compaction->errand(compaction);
    uint64_t pause_us = (rd_monotonic_ns() - begun_ns) / 1000;
    if (pause_us > compaction->result.pause_us)
        compaction->result.pause_us = pause_us;
    return status;
}

static enum rd_status as_writer(struct rd_compaction *compaction,
                                enum rd_status (*errand)(struct rd_compaction *compaction))
{
    struct rd_errand wrapped = {.run = run_errand, .context = compaction};
    struct rd_op op = {.kind = RD_OP_ERRAND, .context = &wrapped};
    compaction->errand = errand;
    enum rd_status status = rd_store_execute(compaction->store, &op);
    if (status != RD_OK && compaction->error.status == RD_OK)
        return rd_error_set(&compaction->error, status, 0, "%s is read-only", compaction->store->file.path);
    return status;
}

/* A region ahead of the old file's tail would be none of the new one's: the next is refused, and the one that
 * there is must have been used first. The companion is brought forward, so that what it says is nearly all of the
 * old file, and surely not that the file is new and empty. That the checkpoint is gone is synced with it: beside
 * the old companion that might pass for one of the new file. */
static enum rd_status hold(struct rd_compaction *compaction)
{
    struct rd_store *store = compaction->store;
    if (rd_writer_file_is_lost(store)) /* then what was recorded before is to stay */
        return fail_lost(compaction);
    compaction->held = true;
    store->compaction_holds = true;
    store->checkpoint = (struct rd_checkpoint){.tail = 0};
    compaction->in_the_way = store->ahead.active;
    if (compaction->in_the_way)
        return RD_OK;
    int failed = rd_writer_settle(store);
    if (failed != 0)
        return rd_error_set(&compaction->error, RD_IO_ERROR, failed, "cannot sync %s", store->file.path);
    rd_store_record(store, false);
    bool recorded = store->meta.durable_tail == store->syncer.synced_tail;
    failed = recorded ? 0 : rd_meta_remove(store->io, store->file.path);
    if (failed != 0)
        return rd_error_set(&compaction->error, RD_IO_ERROR, failed, "cannot replace the companion of %s",
                            store->file.path);
    return RD_OK;
}

static enum rd_status release(struct rd_compaction *compaction)
{
    compaction->held = false;
    compaction->store->compaction_holds = false;
    return RD_OK;
}

/* The new file is the store's from now on, for the writer and for whoever comes to read. */
static void take_over(struct rd_compaction *compaction)
{
    struct rd_store *store = compaction->store;
    struct rd_successor *successor = &compaction->successor;
    struct rd_view *old = rd_writer_view(store);
    struct rd_view *view = successor->view;
    rd_epoch_deinit(&successor->epoch);
    view->index.epoch = &store->epoch;
    view->generation = compaction->meta.generation;
    atomic_store_explicit(&view->tail, successor->tail, memory_order_relaxed);

    uint64_t publication = atomic_load_explicit(&store->publications, memory_order_relaxed);
    pthread_mutex_lock(&store->publish_lock);
    atomic_store_explicit(&store->publications, publication + 1, memory_order_seq_cst);
    atomic_store_explicit(&store->view, view, memory_order_seq_cst);
    atomic_store_explicit(&store->live_bytes, successor->live_bytes, memory_order_relaxed);
    atomic_store_explicit(&store->file_size, successor->file.size, memory_order_relaxed);
    store->entry_count = successor->entry_count;
    rd_syncer_note_synced(store);
    atomic_store_explicit(&store->publications, publication + 2, memory_order_seq_cst);
    pthread_mutex_unlock(&store->publish_lock);

    compaction->old_fd = store->file.fd;
    store->file.fd = successor->file.fd;
    store->file.size = successor->file.size;
    store->meta = compaction->meta;
    successor->view = NULL;
    rd_datafile_forget(&successor->file);
    rd_view_retire(old, &store->epoch, &store->departures);
    store->compaction_holds = false;
    compaction->held = false;
}

/* What is to be said of the new file, which is flushed. Of an empty one that nothing was added to it: that is true
 * until the first append, which has it said anew beforehand, and tells it from the old file. */
static void describe(struct rd_compaction *compaction)
{
    const struct rd_successor *successor = &compaction->successor;
    const struct rd_mapping *mapping = atomic_load_explicit(&successor->view->mapping, memory_order_relaxed);
    struct rd_record last = {.trailer_offset = 0};
    if (successor->tail != 0)
        (void)!rd_record_parse(mapping->base, successor->tail, &last);
    compaction->meta = (struct rd_meta){.generation = rd_meta_new_generation(),
                                        .durable_tail = successor->tail,
                                        .entry_count = successor->entry_count,
                                        .last_key = last.trailer.key_hash,
                                        .last_crc = last.trailer.crc32,
                                        .clean = successor->tail == 0};
}

/* The rest of the old file, and all of it on the disk; the old one too, since the new companion may come to lie
 * beside it. */
static enum rd_status complete(struct rd_compaction *compaction)
{
    struct rd_store *store = compaction->store;
    struct rd_successor *successor = &compaction->successor;
    compaction->as_writer = true;
    enum rd_status status = walk_at_once(compaction);
    compaction->mapping = NULL; /* not pinned */
    compaction->as_writer = false;
    if (status != RD_OK)
        return status;
    if (atomic_load_explicit(&rd_writer_index(store)->count, memory_order_relaxed) !=
        atomic_load_explicit(&successor->view->index.count, memory_order_relaxed))
        return fail_chain(compaction);
    int failed = successor->unsynced_len != 0 ? rd_successor_sync(successor) : 0;
    if (failed != 0)
        return fail(compaction, failed, "cannot sync");
    failed = rd_writer_settle(store);
    if (failed != 0)
        return rd_error_set(&compaction->error, RD_IO_ERROR, failed, "cannot sync %s", store->file.path);
    describe(compaction);
    if (rd_store_faulted_for_writer(store) ||
        rd_mapping_faulted(atomic_load_explicit(&successor->view->mapping, memory_order_relaxed)))
        return fail(compaction, EIO, "cannot read what goes to");
    return RD_OK;
}

static enum rd_status exchange(struct rd_compaction *compaction)
{
    struct rd_store *store = compaction->store;
    struct rd_successor *successor = &compaction->successor;
    assert(!store->ahead.active);
    if (rd_writer_file_is_lost(store))
        return fail_lost(compaction);
    enum rd_status status = complete(compaction);
    if (status != RD_OK)
        return status;
    bool renamed;
    int failed = rd_meta_exchange(store->io, store->file.path, &compaction->meta, successor->file.path, &renamed);
    if (!renamed)
        return fail(compaction, failed, "cannot rename");
    compaction->result.tail_before = rd_writer_tail(store);
    compaction->result.tail = successor->tail;
    compaction->result.entries = atomic_load_explicit(&successor->view->index.count, memory_order_relaxed);
    compaction->result.generation = compaction->meta.generation;
    take_over(compaction);
    if (failed == 0)
        return RD_OK;
    /* Which of the two files a crash would leave is not known: nothing may be added to either. */
    rd_store_make_read_only(store,
                            "syncing the folder failed after compaction: %s; no write is taken until the "
                            "store is reopened",
                            strerror(failed));
    return fail(compaction, failed, "cannot sync the folder of");
}

/* ---- steps --------------------------------------------------------------------------------------------- */

static enum rd_status check_space(struct rd_compaction *compaction, uint64_t needed)
{
    struct rd_store *store = compaction->store;
    uint64_t free_len;
    if (store->io->free_len(store->io->self, compaction->successor.file.fd, &free_len) != 0)
        return fail(compaction, errno, "cannot tell the space for");
    if (free_len >= needed)
        return RD_OK;
    return rd_error_set(&compaction->error, RD_NO_SPACE, ENOSPC,
                        "compacting %s takes %llu bytes and %llu are free", store->file.path,
                        (unsigned long long)needed, (unsigned long long)free_len);
}

/* At most what lives, with a pad each; and never more than there is. */
static uint64_t bytes_needed(const struct rd_store_info *info)
{
    uint64_t live = info->tail - info->dead_bytes + info->entries * (RD_RECORD_ALIGN - 1);
    return live < info->tail ? live : info->tail;
}

static enum rd_status prepare(struct rd_compaction *compaction, struct rd_error *ret_error)
{
    struct rd_store *store = compaction->store;
    struct rd_store_info info;
    rd_store_info(store, &info);
    compaction->done = info.tail == 0;
    compaction->result.generation = info.generation;
    if (compaction->done)
        return RD_OK;
    compaction->ends = malloc(SEGMENT_COUNT * sizeof *compaction->ends);
    if (compaction->ends == NULL)
        return rd_error_set(ret_error, RD_NO_MEMORY, 0, "no memory to compact %s", store->file.path);
    uint64_t needed = bytes_needed(&info);
    enum rd_status status = rd_successor_begin(&compaction->successor, store->io, store->file.path, store->file.fd,
                                               info.entries, needed, ret_error);
    if (status == RD_OK)
        status = check_space(compaction, needed + needed / FREE_SHARE + FREE_LEN_MIN);
    if (status == RD_OK)
        status = begin_walk(compaction);
    if (status != RD_OK && compaction->error.status != RD_OK && ret_error != NULL)
        *ret_error = compaction->error;
    return status;
}

enum rd_status rd_compaction_begin(struct rd_store *store, struct rd_compaction **ret_compaction,
                                   struct rd_error *ret_error)
{
    if (store->opened_read_only)
        return rd_error_set(ret_error, RD_UNAVAILABLE, 0, "%s was opened read-only", store->file.path);
    if (atomic_load_explicit(&store->state, memory_order_acquire) != RD_STORE_OPEN)
        return rd_error_set(ret_error, RD_IO_ERROR, 0, "%s is read-only", store->file.path);
    if (atomic_exchange(&store->compacting, true))
        return rd_error_set(ret_error, RD_OVERLOADED, 0, "%s is being compacted already", store->file.path);
    struct rd_compaction *compaction = calloc(1, sizeof *compaction);
    if (compaction == NULL) {
        atomic_store(&store->compacting, false);
        return rd_error_set(ret_error, RD_NO_MEMORY, 0, "no memory to compact %s", store->file.path);
    }
    compaction->store = store;
    compaction->begun_ns = rd_monotonic_ns();
    compaction->old_fd = -1;
    compaction->successor.file.fd = -1;
    enum rd_status status = prepare(compaction, ret_error);
    if (status != RD_OK)
        rd_compaction_end(compaction);
    else
        *ret_compaction = compaction;
    return status;
}

/* While a long value lies ahead its operation is awaited; what is added meanwhile is copied. */
static enum rd_status wait_for_placement(struct rd_compaction *compaction)
{
    struct timespec pause = {.tv_nsec = RETRY_NS};
    nanosleep(&pause, NULL);
    return begin_walk(compaction);
}

/* The old file goes here and not in the writer: giving up the blocks of a large one takes long. */
static void close_old(struct rd_compaction *compaction)
{
    if (compaction->old_fd >= 0)
        compaction->store->io->close(compaction->store->io->self, compaction->old_fd);
    compaction->old_fd = -1;
}

/* What the writer is about to sync is sent to the disk beforehand, so that it waits for less. A descriptor of its
 * own: a sync that fails here is reported to the writer's as well. */
static void sync_beforehand(struct rd_compaction *compaction)
{
    const struct rd_io *io = compaction->store->io;
    int fd = io->open(io->self, compaction->store->file.path, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)!io->fdatasync(io->self, fd);
    io->close(io->self, fd);
}

static enum rd_status finish(struct rd_compaction *compaction)
{
    rd_checkpoint_remove(compaction->store->io, compaction->store->file.path); /* here, since it may be long */
    sync_beforehand(compaction);
    enum rd_status status = as_writer(compaction, hold);
    if (status != RD_OK)
        return status;
    if (compaction->in_the_way)
        return wait_for_placement(compaction);
    int failed = rd_successor_sync(&compaction->successor);
    if (failed != 0)
        return fail(compaction, failed, "cannot sync");
    sync_beforehand(compaction);
    for (unsigned i = 0; status == RD_OK && i < LAST_WALKS && left_to_copy(compaction) > READY_LEN / 4; i++)
        status = walk_at_once(compaction);
    if (status == RD_OK)
        status = as_writer(compaction, exchange);
    close_old(compaction);
    compaction->done = status == RD_OK;
    return status;
}

/* The walk is over: is it time for the writer to do the rest? */
static enum rd_status go_on(struct rd_compaction *compaction)
{
    struct rd_successor *successor = &compaction->successor;
    int failed = successor->unsynced_len > SYNC_LEN ? rd_successor_sync(successor) : 0;
    if (failed != 0)
        return fail(compaction, failed, "cannot sync");
    uint64_t left = left_to_copy(compaction);
    bool gains = compaction->walks == 1 || left < compaction->left;
    compaction->left = left;
    return left > READY_LEN && gains && compaction->walks < WALKS_MAX ? begin_walk(compaction)
                                                                      : finish(compaction);
}

enum rd_status rd_compaction_step(struct rd_compaction *compaction, uint64_t bytes_max, uint64_t *ret_bytes,
                                  bool *ret_done, struct rd_error *ret_error)
{
    bool catches_up = compaction->walks != 0; /* with writers who know no limit */
    compaction->passed = 0;
    compaction->error = (struct rd_error){.status = RD_OK};
    enum rd_status status = RD_OK;
    if (!compaction->done) {
        bool over;
        status = check_space(compaction, FREE_LEN_MIN / 2);
        if (status == RD_OK)
            status = walk_on(compaction, bytes_max == 0 ? 1 : bytes_max, &over);
        if (status == RD_OK && over)
            status = go_on(compaction);
    }
    if (status != RD_OK) {
        if (ret_error != NULL)
            *ret_error = compaction->error;
        return status;
    }
    *ret_bytes = catches_up ? 0 : compaction->passed;
    *ret_done = compaction->done;
    return RD_OK;
}

void rd_compaction_result(const struct rd_compaction *compaction, struct rd_compacted *ret_result)
{
    *ret_result = compaction->result;
}

static void count(const struct rd_compaction *compaction)
{
    struct rd_compaction_counts *counts = &compaction->store->compactions;
    const struct rd_compacted *result = &compaction->result;
    if (!compaction->done) {
        rd_counter_add(&counts->failed, 1);
        return;
    }
    rd_counter_add(&counts->done, 1);
    if (result->tail < result->tail_before)
        rd_counter_add(&counts->saved_bytes, result->tail_before - result->tail);
    atomic_store_explicit(&counts->last_ns, rd_monotonic_ns() - compaction->begun_ns, memory_order_relaxed);
    atomic_store_explicit(&counts->last_pause_us, result->pause_us, memory_order_relaxed);
}

void rd_compaction_end(struct rd_compaction *compaction)
{
    if (compaction == NULL)
        return;
    struct rd_store *store = compaction->store;
    if (compaction->mapping != NULL)
        rd_mapping_unpin(compaction->mapping, 1);
    if (compaction->held)
        (void)!as_writer(compaction, release); /* of a store that is read-only by now nothing is recorded */
    close_old(compaction);
    rd_successor_end(&compaction->successor);
    free(compaction->marks.items);
    free(compaction->ends);
    count(compaction);
    free(compaction);
    atomic_store(&store->compacting, false);
}

enum rd_status rd_store_compact(struct rd_store *store, struct rd_compacted *ret_result,
                                struct rd_error *ret_error)
{
    struct rd_compaction *compaction;
    enum rd_status status = rd_compaction_begin(store, &compaction, ret_error);
    if (status != RD_OK)
        return status;
    uint64_t bytes;
    bool done = false;
    while (status == RD_OK && !done)
        status = rd_compaction_step(compaction, SYNC_EVERY, &bytes, &done, ret_error);
    if (status == RD_OK && ret_result != NULL)
        rd_compaction_result(compaction, ret_result);
    rd_compaction_end(compaction);
    return status;
}
