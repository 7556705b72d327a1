/* SPDX-License-Identifier: MIT
 *
 * store.c - opening (lock, recover, load, sync) and closing a store, and what can be said about it.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/record.h"
#include "engine/recovery.h"
#include "engine/spool.h"
#include "engine/store.h"
#include "engine/successor.h"

#define QUEUE_COUNT_DEFAULT 65536u
#define QUEUE_BYTES_DEFAULT (UINT64_C(256) << 20)
#define INTERVAL_MS_DEFAULT 1000u

/* A checkpoint of the index is written for so many entries above the one that there is, or for so many bytes of
 * the file in not quite so few entries, as each of these may lie on a page of its own; and where they are this
 * share of all entries. */
#define CHECKPOINT_ENTRIES     32768u
#define CHECKPOINT_ENTRIES_MIN 1024u
#define CHECKPOINT_BYTES       (UINT64_C(64) << 20)
#define CHECKPOINT_SHARE       64u

enum rd_status rd_status_of_errno(int os_errno)
{
    bool out_of_space = os_errno == ENOSPC || os_errno == EDQUOT || os_errno == EFBIG;
    return out_of_space ? RD_NO_SPACE : RD_IO_ERROR;
}

void rd_store_make_read_only(struct rd_store *store, const char *format, ...)
{
    char reason[sizeof store->reason];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    pthread_mutex_lock(&store->state_lock);
    snprintf(store->reason, sizeof store->reason, "%s", reason);
    pthread_mutex_unlock(&store->state_lock);
    int before = atomic_exchange_explicit(&store->state, RD_STORE_READ_ONLY, memory_order_acq_rel);
    if (before == RD_STORE_OPEN && store->on_failure != NULL)
        store->on_failure(store->on_failure_context, reason);
}

static bool note_fault(struct rd_store *store, bool faulted)
{
    if (faulted && atomic_load_explicit(&store->state, memory_order_relaxed) == RD_STORE_OPEN)
        rd_store_make_read_only(store, "the file cannot be read: others cut it, or the disk fails");
    return faulted;
}

bool rd_store_faulted(struct rd_store *store)
{
    unsigned place = rd_epoch_enter();
    bool faulted = rd_mapping_faulted(rd_view_mapping(rd_reader_view(store)));
    rd_epoch_exit(place);
    return note_fault(store, faulted);
}

bool rd_store_faulted_for_writer(struct rd_store *store)
{
    return note_fault(store, rd_mapping_faulted(rd_writer_mapping(store)));
}

enum rd_status rd_store_map(struct rd_store *store, uint64_t tail, struct rd_error *ret_error)
{
    struct rd_mapping *old = rd_writer_mapping(store);
    if (old != NULL && tail <= old->len)
        return RD_OK;
    struct rd_mapping *mapping;
    enum rd_status status = rd_mapping_create(store->io, store->file.fd, tail, &mapping, ret_error);
    if (status != RD_OK)
        return status;
    rd_residency_expect(mapping->base, mapping->len, true);
    atomic_store_explicit(&rd_writer_view(store)->mapping, mapping, memory_order_seq_cst);
    if (old != NULL)
        rd_mapping_retire(old, &store->epoch);
    return RD_OK;
}

/* ---- opening ------------------------------------------------------------------------------------------ */

static void set_durability(struct rd_store *store, enum rd_durability durability, uint32_t interval_ms)
{
    if (durability == RD_DURABILITY_DEFAULT)
        durability = RD_DURABILITY_SYNC;
    if (durability != RD_DURABILITY_INTERVAL)
        interval_ms = 0;
    else if (interval_ms == 0)
        interval_ms = INTERVAL_MS_DEFAULT;
    atomic_store_explicit(&store->durability, rd_store_durability_word(durability, interval_ms),
                          memory_order_relaxed);
}

void rd_store_tune(struct rd_store *store, const struct rd_store_tuning *tuning)
{
    set_durability(store, tuning->durability, tuning->durability_interval_ms);
    rd_queue_set_bounds(&store->queue,
                        tuning->queue_count_max == 0 ? QUEUE_COUNT_DEFAULT : tuning->queue_count_max,
                        tuning->queue_bytes_max == 0 ? QUEUE_BYTES_DEFAULT : tuning->queue_bytes_max);
    atomic_store_explicit(&store->timed, tuning->timed, memory_order_relaxed);
    atomic_store_explicit(&store->writes_barred, tuning->writes_barred, memory_order_relaxed);
    atomic_store_explicit(&store->quota_bytes, tuning->quota_bytes, memory_order_relaxed);
    atomic_store_explicit(&store->quota_entries, tuning->quota_entries, memory_order_relaxed);
    rd_queue_nudge(&store->queue); /* a shorter interval is one from now on */
}

enum rd_bar rd_store_bars(struct rd_store *store, uint64_t payload_len)
{
    uint64_t quota_bytes = atomic_load_explicit(&store->quota_bytes, memory_order_relaxed);
    uint64_t taken = rd_store_file_size(store);
    if (atomic_load_explicit(&store->writes_barred, memory_order_relaxed))
        return RD_BAR_WRITES;
    bool fits = quota_bytes == 0 || (taken <= quota_bytes && payload_len <= quota_bytes - taken);
    return fits ? RD_BAR_NONE : RD_BAR_BYTES;
}

static uint64_t machine_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES);
    long page_len = sysconf(_SC_PAGESIZE);
    return pages > 0 && page_len > 0 ? (uint64_t)pages * (uint64_t)page_len : 0;
}

static enum rd_status init(struct rd_store *store, const struct rd_store_options *options,
                           struct rd_error *ret_error)
{
    store->io = options->io == NULL ? &rd_io_system : options->io;
    store->file.fd = -1;
    set_durability(store, options->durability, options->durability_interval_ms);
    store->verify_reads = !options->verify_reads_off;
    store->batch_marker = !options->batch_marker_off;
    store->checkpoint_entries = CHECKPOINT_ENTRIES;
    store->opened_read_only = options->read_only;
    store->memory_bytes = options->memory_bytes != 0 ? options->memory_bytes : machine_memory();
    store->rest = options->rest;
    store->rest_context = options->rest_context;
    store->forks = rd_forks();
    struct rd_view *view = rd_forks_prepare() ? rd_view_create() : NULL;
    if (view == NULL)
        return rd_error_set(ret_error, RD_NO_MEMORY, 0, "no memory for a store");
    atomic_init(&store->view, view);
    rd_epoch_init(&store->epoch);
    pthread_mutex_init(&store->writer.role, NULL);
    rd_ahead_init(&store->ahead);
    rd_extension_init(&store->extension);
    rd_syncer_init(&store->syncer);
    rd_discard_init(&store->discard);
    pthread_mutex_init(&store->publish_lock, NULL);
    pthread_mutex_init(&store->state_lock, NULL);
    enum rd_status status = rd_queue_init(
        &store->queue, options->queue_count_max == 0 ? QUEUE_COUNT_DEFAULT : options->queue_count_max,
        options->queue_bytes_max == 0 ? QUEUE_BYTES_DEFAULT : options->queue_bytes_max);
    if (status != RD_OK) {
        rd_view_destroy(view);
        rd_ahead_deinit(&store->ahead);
        pthread_mutex_destroy(&store->writer.role);
        pthread_mutex_destroy(&store->state_lock);
        pthread_mutex_destroy(&store->publish_lock);
        return rd_error_set(ret_error, status, 0, "no memory for a store");
    }
    return RD_OK;
}

static void deinit(struct rd_store *store)
{
    rd_discard_deinit(&store->discard);
    rd_epoch_deinit(&store->epoch);
    rd_departures_wait(&store->departures);
    rd_view_destroy(rd_writer_view(store));
    rd_datafile_close(&store->file);
    rd_queue_deinit(&store->queue);
    rd_ahead_deinit(&store->ahead);
    pthread_mutex_destroy(&store->writer.role);
    pthread_mutex_destroy(&store->state_lock);
    pthread_mutex_destroy(&store->publish_lock);
}

/* What lies behind the tail, up to where a long value was on its way to its place (ahead.h). */
static struct rd_slice torn_end(struct rd_store *store, const struct rd_recovery *recovery)
{
    const uint8_t *file = rd_writer_mapping(store)->base;
    uint64_t end = rd_datafile_find_hole(&store->file, recovery->tail, recovery->rest_end, RD_AHEAD_HOLE_LEN);
    while (end != recovery->rest_end && end > recovery->tail && file[end - 1] == 0)
        end--; /* of the block that the hole begins behind */
    return rd_slice(file + recovery->tail, end - recovery->tail);
}

/* Cuts what is not part of the store, after keeping it aside. What cannot be kept is not cut. */
static enum rd_status repair(struct rd_store *store, const struct rd_recovery *recovery,
                             struct rd_error *ret_error)
{
    uint64_t size = store->file.size;
    if (recovery->damaged) {
        rd_store_make_read_only(store, "bytes %llu to %llu of the file are damaged; entries there cannot be read",
                                (unsigned long long)recovery->damage_begin,
                                (unsigned long long)recovery->damage_end);
        return RD_OK;
    }
    if (size == recovery->tail || store->opened_read_only)
        return RD_OK;
    struct rd_slice torn = torn_end(store, recovery);
    if (torn.len != 0) {
        struct rd_error error;
        if (rd_datafile_keep_aside(&store->file, recovery->tail, torn, &error) != RD_OK) {
            rd_store_make_read_only(store, "a torn end must be cut but cannot be kept aside: %.100s",
                                    error.message);
            return RD_OK;
        }
    }
    int failed = rd_datafile_cut(&store->file, recovery->tail);
    if (failed != 0)
        return rd_error_set(ret_error, RD_IO_ERROR, failed, "cannot cut %s to %llu bytes", store->file.path,
                            (unsigned long long)recovery->tail);
    return RD_OK;
}

void rd_store_record(struct rd_store *store, bool clean)
{
    uint64_t durable_tail = store->syncer.synced_tail;
    struct stat now;
    if (store->io->fstat(store->io->self, store->file.fd, &now) != 0 || (uint64_t)now.st_size < durable_tail)
        return; /* cut by others: what was recorded before still holds, as far as anything does */
    struct rd_record last = {.trailer_offset = 0};
    const uint8_t *file = rd_writer_mapping(store)->base;
    if (durable_tail != 0 && !rd_record_parse(file, durable_tail, &last))
        return; /* changed by others; the old record will not fit either */
    struct rd_meta before = store->meta;
    bool stays = rd_meta_stays_true(&before);
    store->meta.durable_tail = durable_tail;
    store->meta.entry_count = store->syncer.synced_entries;
    store->meta.last_key = last.trailer.key_hash;
    store->meta.last_crc = last.trailer.crc32;
    store->meta.clean = clean;
    if (rd_meta_write(store->io, store->file.path, &store->meta, stays) == 0)
        return;
    if (stays)
        store->meta = before;
    else
        store->meta.durable_tail = 0; /* nothing is recorded */
}

/* Whether the file could be read while it was looked at. */
static enum rd_status check_readable(const struct rd_store *store, struct rd_error *ret_error)
{
    if (!rd_mapping_faulted(rd_writer_mapping(store)))
        return RD_OK;
    return rd_error_set(ret_error, RD_IO_ERROR, EIO, "%s cannot be read", store->file.path);
}

/* The index as it was at some tail, where a companion has it; nothing at all otherwise. One that was left behind
 * where an older copy of the file was put back goes: the file may come to as many entries, the last of them the
 * same. */
static void load_checkpoint(struct rd_store *store, struct rd_recovery_hint *hint)
{
    const uint8_t *file = rd_writer_mapping(store)->base;
    struct rd_checkpoint wanted = {.generation = store->meta.generation,
                                   .tail = store->meta.durable_tail,
                                   .entry_count = store->meta.entry_count};
    enum rd_status status = rd_checkpoint_load(store->io, store->file.path, file, store->file.size, &wanted,
                                               &store->epoch, rd_writer_index(store), &store->checkpoint);
    if (status == RD_CONFLICT && !store->opened_read_only)
        rd_checkpoint_remove(store->io, store->file.path);
    if (status != RD_OK)
        return;
    hint->known_tail = store->checkpoint.tail;
    hint->known_count = store->checkpoint.entry_count;
}

/* What was accepted is served from now on: it has to outlast the next power cut, and so has the absence of what
 * was not accepted. Damaged files are not written to. */
static int make_durable(struct rd_store *store, bool clean, bool foreign_companion)
{
    bool writable = atomic_load_explicit(&store->state, memory_order_relaxed) == RD_STORE_OPEN;
    int failed = 0;
    if (writable && foreign_companion) /* before: it might name as lost what is written behind the end */
        failed = rd_meta_remove(store->io, store->file.path);
    if (failed == 0 && writable && !clean)
        failed = rd_datafile_scrub(&store->file);
    return failed != 0 ? failed : rd_datafile_sync(&store->file);
}

/* Whether opening is going to read the whole file, or hardly any of it. */
static void expect_walk(const struct rd_store *store, bool walk)
{
    const struct rd_mapping *mapping = rd_writer_mapping(store);
    rd_residency_expect(mapping->base, mapping->len, !walk);
}

/* What a companion says of the file, where there is one; a new generation otherwise. After a failed sync the
 * kernel may take pages for clean that the disk never got: what was not recorded as synced is read anew. */
static bool read_hint(struct rd_store *store, struct rd_recovery_hint *ret_hint)
{
    bool found = rd_meta_read(store->io, store->file.path, &store->meta);
    if (!found || !store->meta.clean)
        rd_datafile_read_anew(&store->file, found ? store->meta.durable_tail : 0);
    if (!found) {
        store->meta.generation = rd_meta_new_generation();
        return false;
    }
    *ret_hint = (struct rd_recovery_hint){.durable_tail = store->meta.durable_tail,
                                          .entry_count = store->meta.entry_count,
                                          .first_end = store->meta.first_end,
                                          .last_key = store->meta.last_key,
                                          .last_crc = store->meta.last_crc,
                                          .clean = store->meta.clean};
    load_checkpoint(store, ret_hint);
    return true;
}

/* Finds out what of the file is a store. hint: NULL where there is none. */
static enum rd_status examine(struct rd_store *store, const struct rd_recovery_hint *hint,
                              struct rd_recovery *ret_recovery, struct rd_error *ret_error)
{
    bool clean = hint != NULL && hint->clean;
    expect_walk(store, !clean || hint->known_tail != hint->durable_tail);
    struct rd_slice file = rd_slice(rd_writer_mapping(store)->base, store->file.size);
    enum rd_status status = rd_recovery_examine(file, hint, ret_recovery);
    if (check_readable(store, ret_error) != RD_OK)
        return RD_IO_ERROR;
    if (status == RD_NOT_A_STORE)
        return rd_error_set(ret_error, status, 0,
                            "%s is not a store: no entry in it is whole; it was left as it is", store->file.path);
    if (status != RD_OK)
        return rd_error_set(ret_error, status, 0, "no memory to recover %s", store->file.path);
    return RD_OK;
}

/* What was accepted: its damage, its generation, its entries. */
static enum rd_status adopt(struct rd_store *store, const struct rd_recovery *recovery, struct rd_error *ret_error)
{
    store->damaged = recovery->damaged;
    store->damage_begin = recovery->damage_begin;
    store->damage_end = recovery->damage_end;
    if (recovery->damaged || !recovery->hint_fits)
        store->checkpoint.tail = 0; /* what it holds of the damaged range is not to be shown, or of another file */
    if (!recovery->hint_fits)       /* nothing that the companion says is true of this file */
        store->meta = (struct rd_meta){.generation = rd_meta_new_generation()};
    rd_writer_view(store)->generation = store->meta.generation;
    expect_walk(store, store->checkpoint.tail == 0);
    store->checkpoint_bytes = store->checkpoint.tail != 0 ? store->checkpoint.companion_len : 0;
    enum rd_status status = rd_store_load(store, recovery->tail);
    if (status != RD_OK)
        return rd_error_set(ret_error, status, 0, "cannot load the entries of %s", store->file.path);
    return check_readable(store, ret_error);
}

static enum rd_status recover(struct rd_store *store, struct rd_error *ret_error)
{
    struct rd_recovery recovery;
    struct rd_recovery_hint hint;
    bool has_hint = read_hint(store, &hint);
    enum rd_status status = examine(store, has_hint ? &hint : NULL, &recovery, ret_error);
    if (status == RD_OK)
        status = repair(store, &recovery, ret_error);
    if (status == RD_OK)
        status = adopt(store, &recovery, ret_error);
    if (status != RD_OK)
        return status;
    bool clean = has_hint && hint.clean && recovery.hint_fits;
    int failed = store->opened_read_only ? 0 : make_durable(store, clean, has_hint && !recovery.hint_fits);
    if (failed != 0)
        return rd_error_set(ret_error, RD_IO_ERROR, failed, "cannot sync %s", store->file.path);
    store->syncer.synced_tail = recovery.tail;
    store->syncer.synced_entries = store->entry_count;
    if (!store->opened_read_only && atomic_load_explicit(&store->state, memory_order_relaxed) == RD_STORE_OPEN)
        rd_store_record(store, false);
    atomic_store_explicit(&store->file_size, store->file.size, memory_order_relaxed);
    return RD_OK;
}

enum rd_status rd_store_open(const char *path, const struct rd_store_options *options, struct rd_store **ret_store,
                             struct rd_error *ret_error)
{
    static const struct rd_store_options defaults;
    if (options == NULL)
        options = &defaults;
    uint64_t begun_ns = rd_monotonic_ns();
    struct rd_store *store = aligned_alloc(_Alignof(struct rd_store), sizeof *store);
    if (store == NULL)
        return rd_error_set(ret_error, RD_NO_MEMORY, 0, "no memory for a store");
    memset((void *)store, 0, sizeof *store);
    enum rd_status status = init(store, options, ret_error);
    if (status != RD_OK) {
        free(store);
        return status;
    }
    status = rd_datafile_open(&store->file, store->io, path, options->create, options->read_only, ret_error);
    if (status == RD_OK && !options->read_only)
        rd_successor_remove_leftover(store->io, path);
    if (status == RD_OK)
        status = rd_store_map(store, store->file.size, ret_error);
    if (status == RD_OK)
        status = recover(store, ret_error);
    if (status == RD_OK)
        expect_walk(store, false);
    store->opening_ns = rd_monotonic_ns() - begun_ns; /* all but the writer's beginning, who may look at it */
    if (status == RD_OK && options->read_only && !store->damaged)
        rd_store_make_read_only(store, "opened read-only");
    store->on_failure = options->on_failure; /* what the opening found, the opener reads off the store */
    store->on_failure_context = options->on_failure_context;
    if (status == RD_OK && !options->read_only && rd_writer_start(store) != RD_OK)
        status = rd_error_set(ret_error, RD_NO_MEMORY, 0, "cannot start the writer thread of %s", path);
    if (status != RD_OK) {
        rd_store_close(store);
        return status;
    }
    *ret_store = store;
    return RD_OK;
}

/* Whether following the entries above the checkpoint that there is would take the next opening longer than it is
 * worth: a companion costs two syncs. */
static bool wants_checkpoint(const struct rd_store *store)
{
    uint64_t entries = store->entry_count - store->checkpoint.entry_count;
    uint64_t bytes = store->meta.durable_tail - store->checkpoint.tail;
    return (entries >= store->checkpoint_entries ||
            (entries >= CHECKPOINT_ENTRIES_MIN && bytes >= CHECKPOINT_BYTES)) &&
           entries >= store->entry_count / CHECKPOINT_SHARE;
}

/* Where it fails, the next opening takes longer: nobody need know. */
static void write_checkpoint(struct rd_store *store, uint64_t deadline_ms)
{
    struct rd_checkpoint checkpoint = {.generation = store->meta.generation,
                                       .tail = store->meta.durable_tail,
                                       .entry_count = store->meta.entry_count,
                                       .last_key = store->meta.last_key,
                                       .last_crc = store->meta.last_crc,
                                       .live_bytes =
                                           atomic_load_explicit(&store->live_bytes, memory_order_relaxed)};
    (void)!rd_checkpoint_write(store->io, store->file.path, &checkpoint, rd_writer_index(store), deadline_ms);
}

void rd_store_close(struct rd_store *store)
{
    rd_store_close_by(store, UINT64_MAX);
}

void rd_store_close_by(struct rd_store *store, uint64_t deadline_ms)
{
    if (store == NULL || rd_store_is_parents(store))
        return;
    bool was_writable = store->writer.started;
    rd_writer_stop(store);
    uint64_t tail = rd_store_file_size(store);
    bool synced = !store->syncer.unsynced && store->file.size == tail && store->syncer.synced_tail == tail;
    if (was_writable && synced && atomic_load_explicit(&store->state, memory_order_relaxed) == RD_STORE_OPEN) {
        rd_store_record(store, true);
        bool recorded = store->meta.durable_tail == tail;
        if (recorded && rd_monotonic_ms() < deadline_ms && wants_checkpoint(store))
            write_checkpoint(store, deadline_ms);
    }
    deinit(store);
    free(store);
}

/* ---- submitting --------------------------------------------------------------------------------------- */

static enum rd_status check_writable(const struct rd_store *store)
{
    if (store->opened_read_only || rd_store_is_parents(store))
        return RD_UNAVAILABLE;
    return atomic_load_explicit(&store->state, memory_order_acquire) == RD_STORE_OPEN ? RD_OK : RD_IO_ERROR;
}

enum rd_status rd_store_takes_writes(const struct rd_store *store)
{
    enum rd_status status = check_writable(store);
    bool barred = atomic_load_explicit(&store->writes_barred, memory_order_relaxed);
    return status == RD_OK && barred ? RD_FORBIDDEN : status;
}

static bool has_payload(const struct rd_op *op, size_t i)
{
    return op->kind == RD_OP_WRITE || op->kind == RD_OP_BATCH_WRITE ||
           (op->kind == RD_OP_TRANSACTION && !op->changes[i].deletes);
}

/* One look at all entries: their payloads are counted. False: one names the reserved key. */
static bool count_entries(struct rd_op *op)
{
    uint64_t queued = 0;
    uint64_t total = op->kind == RD_OP_STREAM ? op->spool->len : 0;
    bool reserved = false;
    for (size_t i = 0; i < op->entry_count; i++) {
        const struct rd_entry *entry = &op->entries[i];
        uint64_t len = has_payload(op, i) ? entry->payload.len : 0;
        reserved = reserved || entry->key.hash == RD_RESERVED_KEY_HASH;
        queued += entry->crc32_known ? 0 : len;
        total = len > RD_TAIL_MAX || total > RD_TAIL_MAX ? RD_TAIL_MAX + 1 : total + len;
    }
    op->queued_bytes = queued;
    op->payload_bytes = total;
    return !reserved;
}

static bool entry_count_fits(const struct rd_op *op)
{
    if (op->kind == RD_OP_BATCH_WRITE || op->kind == RD_OP_BATCH_DELETE)
        return op->entry_count == 0 || op->entries != NULL;
    if (op->kind == RD_OP_TRANSACTION)
        return op->entry_count == 0 || op->changes != NULL;
    if (op->kind == RD_OP_SYNC || op->kind == RD_OP_ERRAND)
        return op->entry_count == 0;
    return op->entries != NULL && op->entry_count == (op->kind == RD_OP_RENAME || op->kind == RD_OP_COPY ? 2 : 1);
}

enum rd_status rd_store_admit(struct rd_store *store, struct rd_op *op)
{
    if (op->sink == NULL || (op->entry_count != 0 && op->entries == NULL) ||
        (op->look_count != 0 && op->looks == NULL) || op->durability == RD_DURABILITY_INTERVAL ||
        op->durability > RD_DURABILITY_NONE || op->kind > RD_OP_ERRAND ||
        (op->kind == RD_OP_STREAM && op->spool == NULL) || !entry_count_fits(op) || !count_entries(op))
        return RD_INVALID_ARGUMENT;
    enum rd_status status = check_writable(store);
    if (status != RD_OK)
        return status;
    op->os_errno = 0;
    return RD_OK;
}

enum rd_status rd_store_enqueue(struct rd_store *store, struct rd_op *op, bool wait_for_room)
{
    enum rd_status status = rd_store_admit(store, op);
    return status != RD_OK ? status : rd_queue_put(&store->queue, op, wait_for_room);
}

enum rd_status rd_store_submit(struct rd_store *store, struct rd_op *op)
{
    return rd_store_enqueue(store, op, false);
}

void rd_store_kick(struct rd_store *store)
{
    rd_queue_kick(&store->queue);
}

/* ---- what can be said about it ------------------------------------------------------------------------ */

uint64_t rd_store_len(struct rd_store *store)
{
    unsigned place = rd_epoch_enter();
    uint64_t count = atomic_load_explicit(&rd_reader_view(store)->index.count, memory_order_relaxed);
    rd_epoch_exit(place);
    return count;
}

bool rd_store_is_empty(struct rd_store *store)
{
    return rd_store_len(store) == 0;
}

uint64_t rd_store_file_size(struct rd_store *store)
{
    unsigned place = rd_epoch_enter();
    uint64_t tail = atomic_load_explicit(&rd_reader_view(store)->tail, memory_order_acquire);
    rd_epoch_exit(place);
    return tail;
}

void rd_store_info(struct rd_store *store, struct rd_store_info *ret_info)
{
    struct rd_store_info info = {
        .file_size = atomic_load_explicit(&store->file_size, memory_order_relaxed),
        .batch_marker = store->batch_marker,
        .quota_bytes = atomic_load_explicit(&store->quota_bytes, memory_order_relaxed),
        .quota_entries = atomic_load_explicit(&store->quota_entries, memory_order_relaxed),
        .writes_barred = atomic_load_explicit(&store->writes_barred, memory_order_relaxed),
        .compacting = atomic_load_explicit(&store->compacting, memory_order_relaxed),
        .state = (enum rd_store_state)atomic_load_explicit(&store->state, memory_order_acquire),
    };
    info.durability = rd_store_durability(store, &info.durability_interval_ms);
    unsigned place = rd_epoch_enter();
    const struct rd_view *view = rd_reader_view(store);
    info.entries = atomic_load_explicit(&view->index.count, memory_order_relaxed);
    info.tail = atomic_load_explicit(&view->tail, memory_order_acquire);
    info.generation = view->generation;
    rd_epoch_exit(place);
    uint64_t live = atomic_load_explicit(&store->live_bytes, memory_order_relaxed);
    info.dead_bytes = info.tail > live ? info.tail - live : 0;
    if (info.state == RD_STORE_OPEN && info.writes_barred) {
        info.state = RD_STORE_READ_ONLY;
        snprintf(info.reason, sizeof info.reason, "its settings take no writes");
    } else if (info.state != RD_STORE_OPEN) {
        pthread_mutex_lock(&store->state_lock);
        memcpy(info.reason, store->reason, sizeof info.reason);
        pthread_mutex_unlock(&store->state_lock);
    }
    *ret_info = info;
}

void rd_store_stats(struct rd_store *store, struct rd_store_stats *ret_stats)
{
    struct rd_store_stats stats = {
        .sync_failures = rd_counter_get(&store->counts.sync_failures),
        .appended_bytes = rd_counter_get(&store->counts.appended_bytes),
        .opening_ns = store->opening_ns,
        .checkpoint_bytes = store->checkpoint_bytes,
        .compactions_done = rd_counter_get(&store->compactions.done),
        .compactions_failed = rd_counter_get(&store->compactions.failed),
        .compaction_saved_bytes = rd_counter_get(&store->compactions.saved_bytes),
        .last_compaction_ns = atomic_load_explicit(&store->compactions.last_ns, memory_order_relaxed),
        .last_compaction_pause_us = atomic_load_explicit(&store->compactions.last_pause_us, memory_order_relaxed),
    };
    unsigned place = rd_epoch_enter();
    const struct rd_view *view = rd_reader_view(store);
    stats.index_bytes = atomic_load_explicit(&view->index.bytes, memory_order_relaxed);
    stats.mapped_bytes = atomic_load_explicit(&view->mapping, memory_order_acquire)->len;
    rd_epoch_exit(place);
    rd_distribution_read(&store->counts.group_operations, &stats.group_operations);
    rd_distribution_read(&store->counts.sync_ns, &stats.sync_ns);
    rd_queue_depth(&store->queue, &stats.queue_operations, &stats.queue_bytes);
    *ret_stats = stats;
}
