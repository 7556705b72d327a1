/* SPDX-License-Identifier: MIT
 *
 * compact.c - has a new file with the live entries of a store take the old one's place (compact.h): the steps,
 * what of it the writer does, and the exchange. Copying is walk.h.
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
#include "engine/walk.h"

#define READY_LEN    (UINT64_C(256) << 10) /* bytes of the old file that the writer may be left to copy */
#define SYNC_LEN     (UINT64_C(4) << 20)   /* unsynced bytes of the new one that it may be left to sync */
#define STEP_LEN     (UINT64_C(64) << 20)  /* bytes of a step, where nobody asks for another length */
#define WALKS_MAX    32u /* then the writer waits for the rest; also where a walk has gained nothing on it */
#define LAST_WALKS   8u  /* without a sync between them */
#define FREE_LEN_MIN (UINT64_C(4) << 20) /* bytes that are left to those who write meanwhile */
#define FREE_SHARE   16u                 /* and such a share of what is to be copied */
#define RETRY_NS     2000000L            /* while a long value lies ahead */

struct rd_compaction {
    struct rd_store *store; /* borrows */
    struct rd_successor successor;
    struct rd_walk walk;
    bool held;       /* the writer keeps to what compact.h says between first and second errand */
    bool in_the_way; /* a long value lies ahead of the old file's tail */
    bool done;
    uint64_t begun_ns; /* monotonic clock */
    int old_fd;        /* owned; of the file whose place was taken; -1: not yet */

    uint64_t left; /* bytes to copy when the last walk was over */
    enum rd_status (*errand)(struct rd_compaction *compaction);
    struct rd_meta meta; /* of the new file */
    struct rd_compacted result;
    struct rd_error error;
};

/* Between two groups, as the writer: the file is what it was, and where it was. A compaction may take hours. */
static enum rd_status check_file(struct rd_compaction *compaction)
{
    struct rd_store *store = compaction->store;
    if (rd_writer_file_is_lost(store))
        return rd_error_set(&compaction->error, RD_IO_ERROR, 0, "others changed %s", store->file.path);
    return rd_successor_check_place(store->io, store->file.path, store->file.fd, &compaction->error);
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
    enum rd_status status = check_file(compaction);
    if (status != RD_OK) /* then what was recorded before is to stay */
        return status;
    compaction->held = true;
    store->compaction_holds = true;
    store->checkpoint = (struct rd_checkpoint){.tail = 0};
    if (rd_ahead_is_landing(&store->ahead)) /* it may go on for long */
        rd_writer_free_region(store);
    if (!rd_writer_is_writable(store)) /* a sync that has failed is not to be asked for again: it might succeed */
        return rd_error_set(&compaction->error, RD_IO_ERROR, 0, "%s is read-only", store->file.path);
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

    rd_discard_forget(&store->discard);
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
    enum rd_status status = rd_walk_as_writer(&compaction->walk);
    if (status != RD_OK)
        return status;
    if (atomic_load_explicit(&rd_writer_index(store)->count, memory_order_relaxed) !=
        atomic_load_explicit(&successor->view->index.count, memory_order_relaxed))
        return rd_walk_fail_chain(&compaction->walk);
    int failed = successor->unsynced_len != 0 ? rd_successor_sync(successor) : 0;
    if (failed != 0)
        return rd_walk_fail(&compaction->walk, failed, "cannot sync");
    failed = rd_writer_settle(store);
    if (failed != 0)
        return rd_error_set(&compaction->error, RD_IO_ERROR, failed, "cannot sync %s", store->file.path);
    describe(compaction);
    if (rd_store_faulted_for_writer(store) ||
        rd_mapping_faulted(atomic_load_explicit(&successor->view->mapping, memory_order_relaxed)))
        return rd_walk_fail(&compaction->walk, EIO, "cannot read what goes to");
    return RD_OK;
}

static enum rd_status exchange(struct rd_compaction *compaction)
{
    struct rd_store *store = compaction->store;
    struct rd_successor *successor = &compaction->successor;
    assert(!store->ahead.active);
    enum rd_status status = check_file(compaction);
    if (status == RD_OK)
        status = complete(compaction);
    if (status != RD_OK)
        return status;
    bool renamed;
    int failed = rd_meta_exchange(store->io, store->file.path, &compaction->meta, successor->file.path, &renamed);
    if (!renamed)
        return rd_walk_fail(&compaction->walk, failed, "cannot rename");
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
    return rd_walk_fail(&compaction->walk, failed, "cannot sync the folder of");
}

/* ---- steps --------------------------------------------------------------------------------------------- */

static enum rd_status check_space(struct rd_compaction *compaction, uint64_t needed)
{
    struct rd_store *store = compaction->store;
    uint64_t free_len;
    if (store->io->free_len(store->io->self, compaction->successor.file.fd, &free_len) != 0)
        return rd_walk_fail(&compaction->walk, errno, "cannot tell the space for");
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
    if (rd_walk_init(&compaction->walk, store, &compaction->successor, &compaction->error) != RD_OK)
        return rd_error_set(ret_error, RD_NO_MEMORY, 0, "no memory to compact %s", store->file.path);
    uint64_t needed = bytes_needed(&info);
    enum rd_status status = rd_successor_begin(&compaction->successor, store->io, store->file.path, store->file.fd,
                                               info.entries, needed, ret_error);
    if (status == RD_OK)
        status = check_space(compaction, needed + needed / FREE_SHARE + FREE_LEN_MIN);
    if (status == RD_OK)
        rd_walk_begin(&compaction->walk);
    else if (compaction->error.status != RD_OK && ret_error != NULL)
        *ret_error = compaction->error;
    return status;
}

enum rd_status rd_compaction_begin(struct rd_store *store, struct rd_compaction **ret_compaction,
                                   struct rd_error *ret_error)
{
    if (store->opened_read_only)
        return rd_error_set(ret_error, RD_UNAVAILABLE, 0, "%s was opened read-only", store->file.path);
    if (rd_store_is_parents(store))
        return rd_error_set(ret_error, RD_UNAVAILABLE, 0, "%s is open in the parent process", store->file.path);
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
    rd_walk_begin(&compaction->walk);
    return RD_OK;
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
        return rd_walk_fail(&compaction->walk, failed, "cannot sync");
    sync_beforehand(compaction);
    for (unsigned i = 0; status == RD_OK && i < LAST_WALKS && rd_walk_left(&compaction->walk) > READY_LEN / 4; i++)
        status = rd_walk_at_once(&compaction->walk);
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
        return rd_walk_fail(&compaction->walk, failed, "cannot sync");
    struct rd_walk *walk = &compaction->walk;
    uint64_t left = rd_walk_left(walk);
    bool gains = walk->count == 1 || left < compaction->left;
    compaction->left = left;
    if (left <= READY_LEN || !gains || walk->count >= WALKS_MAX)
        return finish(compaction);
    rd_walk_begin(walk);
    return RD_OK;
}

enum rd_status rd_compaction_step(struct rd_compaction *compaction, uint64_t bytes_max, uint64_t *ret_bytes,
                                  bool *ret_done, struct rd_error *ret_error)
{
    struct rd_walk *walk = &compaction->walk;
    bool catches_up = walk->count != 0; /* with writers who know no limit */
    walk->passed = 0;
    compaction->error = (struct rd_error){.status = RD_OK};
    enum rd_status status = RD_OK;
    if (!compaction->done) {
        bool over;
        status = check_space(compaction, FREE_LEN_MIN / 2);
        if (status == RD_OK)
            status = rd_walk_on(walk, bytes_max == 0 ? 1 : bytes_max, &over);
        if (status == RD_OK && over)
            status = go_on(compaction);
    }
    if (status != RD_OK) {
        if (ret_error != NULL)
            *ret_error = compaction->error;
        return status;
    }
    *ret_bytes = catches_up ? 0 : walk->passed;
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
    rd_walk_deinit(&compaction->walk);
    if (compaction->held)
        (void)!as_writer(compaction, release); /* of a store that is read-only by now nothing is recorded */
    close_old(compaction);
    rd_successor_end(&compaction->successor);
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
        status = rd_compaction_step(compaction, STEP_LEN, &bytes, &done, ret_error);
    if (status == RD_OK && ret_result != NULL)
        rd_compaction_result(compaction, ret_result);
    rd_compaction_end(compaction);
    return status;
}
