/* SPDX-License-Identifier: MIT
 *
 * writer.c - a store's writer thread: takes what is queued, and for each group
 *
 *   judge (plan) -> reserve index and map -> append -> sync, as durability says -> publish -> complete
 *
 * Until the append nothing has changed; until publish nothing is visible. So each failure has one way back:
 *
 *   judged invalid          that operation fails, the group goes on
 *   no memory, no space     the file is cut back to the published tail; operations are tried one by one
 *   a payload is gone       the same: it lay in another store's map, whose file cannot be read any more
 *   write or sync failed    cut back, the store becomes read-only, everything in the group fails with RD_IO_ERROR
 *
 * Operations complete in the order of submission, whatever becomes of them.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/publish.h"
#include "engine/record.h"
#include "engine/store.h"
#include "engine/thread.h"
#include "engine/writeback.h"

#define GROUP_BYTES_MAX   (UINT64_C(8) << 20)
#define GROUP_ENTRIES_MAX 65536u
#define SHORT_BYTES_MAX   (UINT64_C(64) << 10) /* of a group that is not synced */
#define SHORT_ENTRIES_MAX 128u
#define BLOCK_OPS         16u /* whose memory is fetched at once */
#define RECORD_EVERY_LEN  (UINT64_C(64) << 20)
#define COLLECT_EVERY_MS  100u /* memory that readers hold is looked at so often where nothing is written */

/* What a group is held to does not change under it. */
static void heed_tuning(struct rd_store *store)
{
    rd_syncer_heed_tuning(store);
    bool timed = atomic_load_explicit(&store->timed, memory_order_relaxed);
    store->writer.group_ns = timed ? rd_monotonic_ns() : 0;

    struct rd_plan *plan = &store->writer.plan;
    uint64_t quota_bytes = atomic_load_explicit(&store->quota_bytes, memory_order_relaxed);
    uint64_t quota_entries = atomic_load_explicit(&store->quota_entries, memory_order_relaxed);
    plan->writes_barred = atomic_load_explicit(&store->writes_barred, memory_order_relaxed);
    plan->bounded = plan->writes_barred || quota_bytes != 0 || quota_entries != 0;
    plan->quota_bytes = quota_bytes != 0 ? quota_bytes : UINT64_MAX;
    plan->quota_entries = quota_entries != 0 ? quota_entries : UINT64_MAX;
}

/* ---- completing --------------------------------------------------------------------------------------- */

/* Hands over runs of operations with the same sink. An operation is the caller's as soon as it is delivered; room
 * in the queue is given back before, since who waits for the answer may submit at once. */
static void complete(struct rd_store *store, struct rd_op *first)
{
    uint64_t count = 0;
    uint64_t bytes = 0;
    for (const struct rd_op *op = first; op != NULL; op = op->next) {
        count++;
        bytes += op->queued_bytes;
    }
    rd_queue_done(&store->queue, count, bytes);
    while (first != NULL) {
        struct rd_op *last = first;
        while (last->next != NULL && last->next->sink == first->sink)
            last = last->next;
        struct rd_op *rest = last->next;
        last->next = NULL;
        first->sink->deliver(first->sink, first, last);
        first = rest;
    }
}

/* What failed a condition, or found no key, did so by what lies before it in the group: where that is not going to
 * land, nobody knows what the operation would have met. Nor where the file cannot be read: zeros were judged. */
static void fail_all(struct rd_store *store, struct rd_plan *plan, enum rd_status status, int os_errno)
{
    bool in_doubt = rd_store_faulted_for_writer(store);
    for (uint32_t i = 0; i < plan->step_count; i++) {
        struct rd_op *op = plan->steps[i].op;
        bool judged_for_good = op->status == RD_INVALID_ARGUMENT || (op->status != RD_OK && !in_doubt);
        in_doubt = in_doubt || plan->steps[i].count != 0;
        if (judged_for_good)
            continue;
        op->status = status;
        op->os_errno = os_errno;
        op->count = 0;
        op->replaced = false;
    }
}

/* ---- results ------------------------------------------------------------------------------------------- */

/* What the operation has looked at, now that it lies in the file, whatever replaces it at the same time. */
static void fill_looks(struct rd_store *store, struct rd_op *op)
{
    for (size_t i = 0; i < op->look_count; i++) {
        uint64_t trailer_offset = op->looks[i].value.offset;
        op->looks[i].value = (struct rd_value){.pin = NULL};
        if (op->status == RD_OK && trailer_offset != 0)
            (void)rd_store_pin(store, trailer_offset, op->looks[i].key.hash, &op->looks[i].value);
    }
}

static void fill_results(struct rd_store *store, struct rd_plan *plan, enum rd_durability synced)
{
    for (uint32_t i = 0; i < plan->step_count; i++) {
        const struct rd_plan_step *step = &plan->steps[i];
        struct rd_op *op = step->op;
        op->begun_ns = store->writer.group_ns;
        op->sync_ns = store->syncer.group_ns;
        op->durability_applied =
            synced == RD_DURABILITY_SYNC ? RD_DURABILITY_SYNC : rd_syncer_durability_of(store, op);
        op->durability_interval_ms =
            op->durability_applied == RD_DURABILITY_INTERVAL ? store->syncer.interval_ms : 0;
        fill_looks(store, op);
        if (op->status != RD_OK || step->count == 0)
            continue;
        const struct rd_plan_entry *last = &plan->entries[step->first + step->count - 1];
        if (op->kind == RD_OP_RENAME) { /* behind the value lies the old key's tombstone, perhaps spaced */
            do
                last--;
            while (last->key_hash == RD_RESERVED_KEY_HASH);
        }
        if (last->tombstone)
            continue;
        op->offset = last->payload_offset;
        op->crc32 = last->crc32;
    }
}

/* ---- one group ---------------------------------------------------------------------------------------- */

/* The file is not what it was: it is left alone. */
bool rd_writer_file_is_lost(struct rd_store *store)
{
    if (rd_store_faulted_for_writer(store))
        return true;
    struct stat now;
    if (store->io->fstat(store->io->self, store->file.fd, &now) != 0)
        return false; /* what comes next will fail too */
    uint64_t tail = rd_writer_tail(store);
    bool shorter = (uint64_t)now.st_size < tail;
    if (shorter)
        rd_store_make_read_only(store, "others cut the file to %llu bytes, though it had %llu",
                                (unsigned long long)now.st_size, (unsigned long long)tail);
    else if (now.st_nlink == 0)
        rd_store_make_read_only(store, "others removed the file");
    return shorter || now.st_nlink == 0;
}

/* Of the file, which has been cut, or extended. */
static void show_size(struct rd_store *store)
{
    atomic_store_explicit(&store->file_size, store->file.size, memory_order_relaxed);
}

/* From here on nobody else writes to the file. */
static void end_extending(struct rd_store *store)
{
    if (!store->extension.beside.running)
        return;
    rd_extension_end(&store->extension, &store->file);
    show_size(store);
}

static void fail_store(struct rd_store *store, const char *what, int os_errno)
{
    end_extending(store);
    if (rd_writer_file_is_lost(store))
        return;
    uint64_t tail = rd_writer_tail(store);
    int cut = rd_ahead_evict(&store->ahead, &store->file, tail, RD_IO_ERROR);
    if (cut == 0)
        cut = rd_datafile_cut(&store->file, tail);
    show_size(store);
    rd_store_make_read_only(store, "%s failed: %s%s%s; no write is taken until the store is reopened", what,
                            strerror(os_errno),
                            cut == 0 ? "" : "; cutting the file back failed too: ", cut == 0 ? "" : strerror(cut));
}

int rd_writer_settle(struct rd_store *store)
{
    end_extending(store);
    int failed = rd_syncer_end(store);
    if (failed == 0 && store->syncer.unsynced)
        failed = rd_syncer_sync(store, NULL);
    if (failed != 0)
        fail_store(store, "fdatasync", failed);
    return failed;
}

/* Once in a store's life: what a crash leaves of its first value may look like a store of its own, if that is what
 * the value is. Where it cannot be recorded there is no companion any more, and recovery does without. */
static void record_first_end(struct rd_store *store, const struct rd_plan *plan)
{
    const struct rd_plan_entry *first = &plan->entries[0];
    store->meta.first_end = first->payload_offset + first->payload.len + RD_TRAILER_LEN;
    rd_store_record(store, false);
}

/* ---- running ahead (extension.h) ---------------------------------------------------------------------- */

/* What lies above the tail of a store that is read-only is not ours to cut. */
static bool is_extended(const struct rd_store *store)
{
    bool runs_ahead = store->file.size > rd_writer_tail(store) || store->extension.beside.running;
    return !store->ahead.active && rd_writer_is_writable(store) && runs_ahead;
}

/* Behind the plan, which is in the file and about to be synced. */
static void extend(struct rd_store *store, const struct rd_plan *plan)
{
    uint64_t group_len = plan->tail - rd_writer_tail(store);
    if (!store->ahead.active)
        rd_extension_advance(&store->extension, &store->file, plan->tail, group_len);
}

/* False: the store is read-only now. */
static bool give_up_extension(struct rd_store *store)
{
    end_extending(store);
    if (!is_extended(store))
        return true;
    int failed = rd_datafile_cut(&store->file, rd_writer_tail(store));
    show_size(store);
    if (failed != 0)
        fail_store(store, "cutting the file", failed);
    return failed == 0;
}

/* ---- one group, on its way to the file ---------------------------------------------------------------- */

/* Whether writing failed for what is not the store's fault: the disk is full, or a payload lies in another store's
 * map and that one's file cannot be read any more. */
static bool is_blameless(struct rd_store *store, int os_errno)
{
    return rd_status_of_errno(os_errno) == RD_NO_SPACE || (os_errno == EFAULT && !rd_writer_file_is_lost(store));
}

/* Appends and syncs the plan. RD_OK: publish it. RD_NO_SPACE, RD_NO_MEMORY, RD_IO_ERROR with EFAULT: the file is
 * as it was. RD_IO_ERROR with another: the store is read-only now. */
static enum rd_status append(struct rd_store *store, struct rd_plan *plan, enum rd_durability *ret_synced,
                             int *ret_errno)
{
    uint64_t tail = rd_writer_tail(store);
    enum rd_status status = rd_store_map(store, plan->tail, NULL);
    if (status != RD_OK)
        return status;
    const uint8_t *file = rd_writer_mapping(store)->base;
    status = rd_plan_reserve(plan, rd_writer_index(store), file);
    if (status != RD_OK)
        return status;
    rd_regions_reserve(&store->discard.regions, tail, plan->tail);
    /* Judged on zeros that stand for bytes of the file, or about to write behind an end that is gone. */
    if (rd_syncer_group_wants_sync(store, plan) ? rd_writer_file_is_lost(store)
                                                : rd_store_faulted_for_writer(store)) {
        *ret_errno = EIO;
        return RD_IO_ERROR;
    }
    if (tail == 0)
        record_first_end(store, plan);
    store->writer.encoder.synced = rd_syncer_group_wants_sync(store, plan);
    if (!store->writer.encoder.synced && !store->ahead.active)
        rd_extension_lead(&store->extension, &store->file, tail, plan->tail, plan->entry_count);
    if (plan->tail > store->file.size)
        end_extending(store);
    *ret_errno = rd_encoder_write(&store->writer.encoder, &store->file, plan, tail);
    if (*ret_errno != 0)
        end_extending(store);
    enum rd_status failed = *ret_errno == 0 ? RD_OK : rd_status_of_errno(*ret_errno);
    if (*ret_errno != 0 && is_blameless(store, *ret_errno) &&
        rd_ahead_evict(&store->ahead, &store->file, tail, failed) == 0 &&
        rd_datafile_cut(&store->file, tail) == 0) {
        show_size(store);
        return failed;
    }
    if (*ret_errno != 0) {
        fail_store(store, "writing", *ret_errno);
        return RD_IO_ERROR;
    }
    if (!rd_syncer_group_wants_sync(store, plan)) {
        rd_syncer_note_unsynced(store, plan);
        return RD_OK;
    }
    extend(store, plan);
    *ret_errno = rd_syncer_sync(store, plan);
    if (*ret_errno != 0) {
        fail_store(store, "fdatasync", *ret_errno);
        return RD_IO_ERROR;
    }
    *ret_synced = RD_DURABILITY_SYNC;
    return RD_OK;
}

/* A group that appends nothing is answered too, and not while an answered write waits too long for its sync. */
static enum rd_status sync_if_wanted(struct rd_store *store, const struct rd_plan *plan, int *ret_errno)
{
    *ret_errno = rd_syncer_group_wants_sync(store, plan) ? rd_writer_settle(store) : 0;
    return *ret_errno == 0 ? RD_OK : RD_IO_ERROR;
}

/* What lies ahead is given up; a value that was placed there will be appended like any other. */
static void evict(struct rd_store *store)
{
    int failed = rd_ahead_evict(&store->ahead, &store->file, rd_writer_tail(store), RD_OK);
    if (failed != 0)
        fail_store(store, "cutting the file", failed);
}

/* What has landed stays where it is, dead. A group of its own, of no operation. */
static enum rd_status leap(struct rd_store *store, uint64_t landed, uint32_t crc32)
{
    struct rd_plan *plan = &store->writer.plan;
    enum rd_durability synced;
    int os_errno = 0;
    rd_plan_begin(plan, rd_writer_index(store), rd_writer_tail(store));
    enum rd_status status = rd_writer_is_writable(store) ? RD_OK : RD_IO_ERROR;
    if (status == RD_OK)
        status = rd_plan_leap(plan, store->ahead.begin, landed, crc32);
    if (status == RD_OK)
        status = append(store, plan, &synced, &os_errno);
    if (status == RD_OK)
        rd_publish(store, plan);
    return status;
}

void rd_writer_free_region(struct rd_store *store)
{
    uint64_t landed;
    uint32_t crc32;
    if (!store->ahead.active)
        return;
    if (!rd_ahead_close(&store->ahead, &landed, &crc32)) {
        evict(store);
        return;
    }
    enum rd_status status = leap(store, landed, crc32);
    if (status == RD_OK)
        rd_ahead_release(&store->ahead);
    else if (!rd_writer_is_writable(store))
        rd_ahead_drop(&store->ahead, status);
    else if (rd_ahead_evict(&store->ahead, &store->file, rd_writer_tail(store), status) != 0)
        fail_store(store, "cutting the file", EIO);
}

static bool comes_too_close(const struct rd_store *store, const struct rd_plan *plan)
{
    uint64_t margin = store->ahead.landing ? 2 * store->ahead.hole_len : RD_AHEAD_MARGIN;
    return store->ahead.active && !plan->placed && plan->tail + margin > store->ahead.begin;
}

/* A placing thread asks for a region. A group of its own, so that no tail is planned already. */
static struct rd_op *commit_reservation(struct rd_store *store, struct rd_op *op)
{
    struct rd_op *rest = op->next;
    if (!op->placement->landing && rd_ahead_is_landing(&store->ahead))
        rd_writer_free_region(store);
    if (store->compaction_holds)
        op->status = RD_OVERLOADED;
    else if (rd_writer_is_writable(store) && give_up_extension(store))
        op->status =
            rd_ahead_reserve(&store->ahead, op->placement, rd_writer_tail(store), store->writer.plan.quota_bytes);
    else
        op->status = RD_IO_ERROR;
    op->offset = store->ahead.begin;
    op->next = NULL;
    complete(store, op);
    return rest;
}

/* Another thread has something done between two groups. */
static struct rd_op *commit_errand(struct rd_store *store, struct rd_op *op)
{
    struct rd_op *rest = op->next;
    const struct rd_errand *errand = op->context;
    op->status = rd_writer_is_writable(store) ? errand->run(store, errand->context) : RD_IO_ERROR;
    op->next = NULL;
    complete(store, op);
    return rest;
}

/* A sync is shared by as many as there are. Groups without one are short, so that who waits for the first of them,
 * and for their bytes in the cache, need not wait for the last: loop and writer work side by side. */
static bool is_full(const struct rd_plan *plan, uint64_t tail, bool synced)
{
    return plan->tail - tail >= (synced ? GROUP_BYTES_MAX : SHORT_BYTES_MAX) ||
           plan->entry_count >= (synced ? GROUP_ENTRIES_MAX : SHORT_ENTRIES_MAX);
}

/* What judging the next operations will touch in the index and the map is fetched for all of them at once. */
static void approach_block(const struct rd_store *store, const struct rd_op *op)
{
    struct rd_index_spot spots[BLOCK_OPS];
    unsigned count = 0;
    for (unsigned i = 0; i < BLOCK_OPS && op != NULL && op->kind < RD_OP_RESERVE; i++, op = op->next)
        if (op->entry_count != 0)
            rd_index_approach(rd_writer_index(store), op->entries[0].key.hash, &spots[count++]);
    for (unsigned i = 0; i < count; i++) {
        uint64_t trailer_offset = rd_index_guess_at(&spots[i]);
        if (trailer_offset != 0)
            __builtin_prefetch(rd_writer_mapping(store)->base + trailer_offset);
    }
}

/* Plans the operations from first on, until the group is full, or comes too close to what lies ahead. Returns the
 * first that is left out. */
static struct rd_op *plan_some(struct rd_store *store, struct rd_op *first, uint32_t op_count_max)
{
    struct rd_plan *plan = &store->writer.plan;
    const uint8_t *file = rd_writer_mapping(store)->base;
    uint64_t tail = rd_writer_tail(store);
    rd_plan_begin(plan, rd_writer_index(store), tail);
    bool synced = rd_syncer_is_overdue(store);
    struct rd_op *op = first;
    while (op != NULL && op->kind < RD_OP_RESERVE && plan->step_count < op_count_max &&
           !is_full(plan, tail, synced)) {
        if (plan->step_count % BLOCK_OPS == 0)
            approach_block(store, op);
        synced = synced || rd_syncer_is_asked(store, op);
        bool ready = !plan->placed && rd_ahead_is_ready(&store->ahead, op->placement);
        rd_plan_add(plan, rd_writer_index(store), file, op, ready ? store->ahead.begin : 0);
        op = op->next;
        if (comes_too_close(store, plan))
            break;
    }
    return op;
}

/* Judged again where the file's end is another then. */
static struct rd_op *plan_group(struct rd_store *store, struct rd_op *first, uint32_t op_count_max)
{
    struct rd_op *rest = plan_some(store, first, op_count_max);
    if (!comes_too_close(store, &store->writer.plan))
        return rest;
    rd_writer_free_region(store);
    return plan_some(store, first, op_count_max);
}

static void commit_placement(struct rd_store *store, const struct rd_plan *plan)
{
    for (uint32_t i = 0; i < plan->step_count; i++) {
        const struct rd_plan_step *step = &plan->steps[i];
        bool placed = false;
        for (uint32_t at = step->first; at < step->first + step->count && !placed; at++)
            placed = plan->entries[at].in_place;
        if (placed)
            rd_placement_commit(step->op->placement);
    }
    rd_ahead_release(&store->ahead);
}

/* So that a look after a crash need not go back further. Nobody waits for it: the group has been answered. */
static void record_progress(struct rd_store *store)
{
    if (store->syncer.synced_tail - store->meta.durable_tail >= store->writer.record_every_len &&
        rd_writer_is_writable(store))
        rd_store_record(store, false);
}

/* Where a sync beside the writer has failed, nothing more is answered but with that: its errno value, or 0. */
static int catch_up(struct rd_store *store)
{
    int failed = rd_syncer_catch_up(store);
    if (failed != 0 && rd_writer_is_writable(store))
        fail_store(store, "fdatasync", failed);
    return failed;
}

/* Takes as many operations as one group holds; returns what is left. */
static struct rd_op *commit_group(struct rd_store *store, struct rd_op *first, uint32_t op_count_max,
                                  enum rd_status *ret_status)
{
    *ret_status = RD_OK;
    heed_tuning(store);
    int os_errno = catch_up(store);
    if (rd_ahead_is_abandoned(&store->ahead))
        evict(store);
    else if (rd_ahead_is_late(&store->ahead))
        rd_writer_free_region(store);
    if (first->kind == RD_OP_RESERVE)
        return commit_reservation(store, first);
    if (first->kind == RD_OP_ERRAND)
        return commit_errand(store, first);
    struct rd_plan *plan = &store->writer.plan;
    struct rd_op *rest = plan_group(store, first, op_count_max);
    enum rd_durability synced = RD_DURABILITY_DEFAULT;
    enum rd_status status = RD_OK;
    if (!rd_writer_is_writable(store) || (plan->entry_count == 0 && rd_store_faulted_for_writer(store)))
        status = RD_IO_ERROR;
    else if (plan->entry_count != 0)
        status = append(store, plan, &synced, &os_errno);
    else
        status = sync_if_wanted(store, plan, &os_errno);
    bool apart = status == RD_NO_SPACE || status == RD_NO_MEMORY || (status == RD_IO_ERROR && os_errno == EFAULT);
    bool retry = apart && plan->step_count > 1;
    *ret_status = status;
    if (retry)
        return first;
    if (status == RD_OK && plan->placed)
        commit_placement(store, plan);
    if (status != RD_OK)
        fail_all(store, plan, status, os_errno);
    else if (plan->entry_count != 0)
        rd_publish(store, plan);
    fill_results(store, plan, synced);
    plan->steps[plan->step_count - 1].op->next = NULL;
    complete(store, first);
    record_progress(store);
    if (rd_writer_is_writable(store))
        rd_syncer_begin(store);
    rd_discard_advance(store);
    return rest;
}

static void commit_all(struct rd_store *store, struct rd_op *first)
{
    uint32_t op_count_max = RD_PLAN_STEPS_MAX;
    while (first != NULL) {
        struct rd_op *before = first;
        enum rd_status status;
        first = commit_group(store, first, op_count_max, &status);
        /* A group that found no room is tried again one by one: a small one may still fit. */
        op_count_max = first == before ? 1 : status == RD_OK ? op_count_max : 1;
    }
}

/* ---- the thread --------------------------------------------------------------------------------------- */

/* Nothing else is to be done. */
static void sync_late(struct rd_store *store)
{
    if (rd_writer_is_writable(store))
        (void)!rd_writer_settle(store);
    store->syncer.debt.owed = false; /* a store that is read-only will not be synced any more */
}

static uint64_t earlier(uint64_t a_ms, uint64_t b_ms)
{
    return a_ms == 0 || b_ms < a_ms ? b_ms : a_ms;
}

/* When the thread must look again though nothing is queued; 0: never. */
static uint64_t next_deadline_ms(const struct rd_store *store)
{
    const struct rd_syncer *syncer = &store->syncer;
    uint64_t deadline_ms = 0;
    if (syncer->debt.owed)
        deadline_ms = earlier(deadline_ms, syncer->debt.since_ms + syncer->interval_ms);
    if (rd_epoch_has_retired(&store->epoch))
        deadline_ms = earlier(deadline_ms, rd_monotonic_ms() + COLLECT_EVERY_MS);
    if (is_extended(store))
        deadline_ms = earlier(deadline_ms, rd_extension_pause_ms(&store->extension));
    return deadline_ms;
}

static void *run(void *context)
{
    struct rd_store *store = context;
    struct rd_writer *writer = &store->writer;
    bool closing = false;
    pthread_mutex_lock(&writer->role);
    for (;;) {
        heed_tuning(store);
        uint64_t deadline_ms = next_deadline_ms(store);
        pthread_mutex_unlock(&writer->role);
        struct rd_op *first = rd_queue_take(&store->queue, deadline_ms, &closing);
        pthread_mutex_lock(&writer->role);
        if (first != NULL) {
            commit_all(store, first);
        } else {
            if (closing || rd_syncer_is_overdue(store))
                sync_late(store);
            if (rd_ahead_is_abandoned(&store->ahead))
                evict(store);
            if (is_extended(store) && rd_monotonic_ms() >= rd_extension_pause_ms(&store->extension))
                (void)give_up_extension(store);
            rd_epoch_collect(&store->epoch);
            rd_discard_advance(store);
        }
        if (first == NULL && closing)
            break;
    }
    (void)!rd_syncer_end(store); /* of a store that is read-only */
    evict(store);
    (void)give_up_extension(store);
    pthread_mutex_unlock(&writer->role);
    return NULL;
}

bool rd_writer_commit_here(struct rd_store *store, struct rd_op *op)
{
    struct rd_writer *writer = &store->writer;
    if (pthread_mutex_trylock(&writer->role) != 0)
        return false;
    bool passes = rd_queue_pass(&store->queue, op);
    if (passes) {
        uint64_t awaited_ms = next_deadline_ms(store); /* by the thread, or an earlier one */
        op->next = NULL;
        commit_all(store, op);
        uint64_t deadline_ms = next_deadline_ms(store);
        if (deadline_ms != 0 && (awaited_ms == 0 || deadline_ms < awaited_ms))
            rd_queue_nudge(&store->queue);
    }
    pthread_mutex_unlock(&writer->role);
    return passes;
}

enum rd_status rd_writer_start(struct rd_store *store)
{
    struct rd_writer *writer = &store->writer;
    writer->record_every_len = RECORD_EVERY_LEN;
    enum rd_status status = rd_plan_init(&writer->plan, &store->file, store->batch_marker);
    if (status == RD_OK)
        status = rd_encoder_init(&writer->encoder, rd_writeback_bound(store->memory_bytes));
    if (status == RD_OK && !rd_thread_start(&writer->thread, run, store))
        status = RD_NO_MEMORY;
    writer->started = status == RD_OK;
    return status;
}

void rd_writer_stop(struct rd_store *store)
{
    struct rd_writer *writer = &store->writer;
    if (writer->started) {
        rd_queue_close(&store->queue);
        pthread_join(writer->thread, NULL);
    }
    writer->started = false;
    rd_encoder_deinit(&writer->encoder);
    rd_plan_deinit(&writer->plan);
}
