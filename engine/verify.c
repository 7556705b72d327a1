/* SPDX-License-Identifier: MIT
 *
 * verify.c - looks at every entry of a store, newest first, in steps, beside the writer and the readers: what lies
 * below the tail never changes.
 *
 * A marker counts the entries behind it. A step that began at the tail has seen them all; in any other the count
 * is only held against how many could lie between the marker and the tail.
 *
 * A compaction may come between two steps, and then `from` is a place of another file. So it is held against where
 * the latest steps in this one ended, and where that tells nothing, against all ends that the chain leads through.
 */
#include "engine/sound.h"
#include "engine/store.h"

#define LONG_LEN (UINT64_C(1) << 20)

struct step {
    struct rd_store *store;
    struct rd_view *view;       /* pins */
    struct rd_mapping *mapping; /* pins */
    const uint8_t *file;
    uint64_t tail; /* published when the step began */
    bool at_tail;  /* it began there */
    struct rd_verification *found;
};

static bool is_live(const struct step *step, const struct rd_record *record)
{
    unsigned place = rd_epoch_enter();
    bool live = rd_index_holds(&step->view->index, record->trailer.key_hash, record->trailer_offset);
    rd_epoch_exit(place);
    return live;
}

static void report(struct step *step, struct rd_problem problem)
{
    struct rd_verification *found = step->found;
    if (found->problem_count < RD_PROBLEMS_MAX)
        found->problems[found->problem_count] = problem;
    found->problem_count++;
}

static void check_pad(struct step *step, const struct rd_record *record)
{
    if (rd_record_pad_is_zero(step->file, record))
        return;
    report(step, (struct rd_problem){.kind = RD_PROBLEM_PAD,
                                     .offset = record->trailer.prev_tail,
                                     .len = record->payload_offset - record->trailer.prev_tail,
                                     .key_hash = record->trailer.key_hash});
}

/* A long one goes upward, and further down than was asked for: it is asked for as its checksum is taken. */
static bool is_sound(const struct step *step, const struct rd_record *record)
{
    if (record->payload_len <= LONG_LEN || rd_record_may_be_hole(record))
        return rd_record_is_sound(step->file, record);
    struct rd_value value = {.payload = rd_slice(step->file + record->payload_offset, record->payload_len),
                             .crc32 = record->trailer.crc32,
                             .pin = step->mapping};
    return rd_value_verify(&value) == RD_OK;
}

static void check_payload(struct step *step, const struct rd_record *record)
{
    if (is_sound(step, record))
        return;
    report(step, (struct rd_problem){.kind = record->marker ? RD_PROBLEM_BATCH : RD_PROBLEM_PAYLOAD,
                                     .live = !record->tombstone && is_live(step, record),
                                     .offset = record->payload_offset,
                                     .len = record->payload_len,
                                     .key_hash = record->trailer.key_hash});
}

static void check_marker(struct step *step, const struct rd_record *record)
{
    uint64_t begin = record->trailer_offset + RD_TRAILER_LEN;
    uint64_t count_max = step->at_tail ? step->found->entries - 1 : (step->tail - begin) / RD_TOMBSTONE_LEN;
    if (record->trailer.crc32 <= count_max)
        return;
    report(step, (struct rd_problem){.kind = RD_PROBLEM_BATCH,
                                     .offset = record->payload_offset,
                                     .len = begin - record->payload_offset,
                                     .key_hash = record->trailer.key_hash});
}

/* Bytes [begin, end) that no chain leads through. */
static void report_gap(struct step *step, uint64_t begin, uint64_t end)
{
    report(step, (struct rd_problem){.kind = RD_PROBLEM_CHAIN, .offset = begin, .len = end - begin});
}

/* Looks at the entry that ends at `end`; returns where the next lower one does. */
static uint64_t check_entry(struct step *step, uint64_t end)
{
    struct rd_record record;
    if (!rd_record_parse(step->file, end, &record)) {
        report_gap(step, 0, end);
        return 0;
    }
    step->found->entries++;
    check_pad(step, &record);
    check_payload(step, &record);
    if (record.marker)
        check_marker(step, &record);
    uint64_t below = rd_store_chain_next(step->store, record.trailer.prev_tail);
    if (below != record.trailer.prev_tail)
        report_gap(step, below, record.trailer.prev_tail);
    return below;
}

static void pin(struct step *step)
{
    unsigned place = rd_epoch_enter();
    step->view = rd_reader_view(step->store);
    rd_view_pin(step->view);
    step->tail = atomic_load_explicit(&step->view->tail, memory_order_acquire);
    step->mapping = rd_view_mapping(step->view);
    rd_mapping_pin(step->mapping, place, 1);
    rd_epoch_exit(place);
    step->file = step->mapping->base;
}

static void unpin(struct step *step)
{
    rd_mapping_unpin(step->mapping, 1);
    rd_view_unpin(step->view);
}

/* ---- where a look goes on ------------------------------------------------------------------------------ */

static bool is_resume(const struct rd_view *view, uint64_t from)
{
    for (unsigned i = 0; i < RD_VIEW_RESUMES; i++)
        if (atomic_load_explicit(&view->resumes[i], memory_order_relaxed) == from)
            return true;
    return false;
}

static void note_resume(struct rd_view *view, uint64_t next)
{
    unsigned count = atomic_fetch_add_explicit(&view->resume_count, 1, memory_order_relaxed);
    atomic_store_explicit(&view->resumes[count % RD_VIEW_RESUMES], next, memory_order_relaxed);
}

/* Whether an entry ends there that the chain leads through. */
static bool is_reached(const struct step *step, uint64_t from)
{
    uint64_t end = step->tail;
    struct rd_descent descent = {.begun = false};
    struct rd_record record;
    while (end > from) {
        rd_residency_descend(&step->mapping->residency, &descent, end);
        if (!rd_record_parse(step->file, end, &record))
            return false;
        end = rd_store_chain_next(step->store, record.trailer.prev_tail);
    }
    return end == from;
}

static enum rd_status check_from(const struct step *step, uint64_t from)
{
    if (from > step->tail)
        return RD_INVALID_ARGUMENT;
    return from == 0 || is_resume(step->view, from) || is_reached(step, from) ? RD_OK : RD_CONFLICT;
}

enum rd_status rd_store_verify(struct rd_store *store, uint64_t from, uint64_t bytes_max,
                               struct rd_verification *ret_verification)
{
    struct step step = {.store = store, .found = ret_verification};
    pin(&step);
    enum rd_status status = check_from(&step, from);
    if (status == RD_OK) {
        uint64_t end = from == 0 ? step.tail : from;
        step.at_tail = end == step.tail;
        struct rd_descent descent = {.begun = false};
        *ret_verification = (struct rd_verification){.from = end, .next = end};
        while (end != 0 && ret_verification->bytes < (bytes_max == 0 ? 1 : bytes_max)) {
            rd_residency_descend(&step.mapping->residency, &descent, end);
            end = check_entry(&step, end);
            ret_verification->next = end;
            ret_verification->bytes = ret_verification->from - end;
        }
        note_resume(step.view, end);
    }
    if (rd_mapping_faulted(step.mapping))
        status = RD_IO_ERROR;
    unpin(&step);
    if (status == RD_IO_ERROR)
        (void)rd_store_faulted(store); /* makes it read-only */
    return status;
}
