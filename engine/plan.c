/* SPDX-License-Identifier: MIT */
#include "engine/plan.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/ahead.h"
#include "engine/digest.h"
#include "engine/engine.h"
#include "engine/index.h"
#include "engine/record.h"
#include "engine/spool.h"

#define ENTRY_CAPACITY_MIN 64u
#define BLOCK_KEYS         32u
#define ENTRY_COUNT_MAX    (1u << 28)
#define LATEST_SLOTS_MIN   128u
#define LATEST_SLOTS_EACH  4u
#define OWN_ENTRIES_MAX    3u /* that an operation needs beside its own and their spacers: marker, spacer, filler */
#define ONE_WRITE_LEN_MAX                                                                                         \
    ((size_t)64 << 10) /* a longer payload may reach the disk before its trailer is written */

static const uint8_t zeros[RD_SECTOR_LEN];
static const struct rd_slice tombstone_payload = {.data = zeros, .len = 1};
static const struct rd_slice spacer_payload = {.data = zeros, .len = 2};

enum rd_status rd_plan_init(struct rd_plan *plan, const struct rd_datafile *file, bool batch_marker)
{
    *plan =
        (struct rd_plan){.steps = calloc(RD_PLAN_STEPS_MAX, sizeof *plan->steps), .batch_marker = batch_marker};
    rd_trailers_init(&plan->trailers, file);
    return plan->steps == NULL ? RD_NO_MEMORY : RD_OK;
}

void rd_plan_deinit(struct rd_plan *plan)
{
    free(plan->entries);
    free(plan->steps);
    free(plan->latest);
    *plan = (struct rd_plan){0};
}

void rd_plan_begin(struct rd_plan *plan, struct rd_index *index, uint64_t tail)
{
    rd_index_begin(index);
    rd_trailers_forget(&plan->trailers);
    plan->seed = index->seed;
    plan->live = plan->bounded ? atomic_load_explicit(&index->count, memory_order_relaxed) : 0;
    plan->refused = false;
    plan->entry_count = 0;
    plan->step_count = 0;
    plan->tail = tail;
    plan->placed_at = 0;
    plan->placed = false;
    plan->latest_mask = 0;
}

/* ---- the latest entry of each key in the group -------------------------------------------------------- */

/* mixed: as rd_index_approach returns it. */
static uint32_t *latest_slot(struct rd_plan *plan, uint64_t mixed, uint64_t key_hash)
{
    uint32_t at = (uint32_t)(mixed >> 32) & plan->latest_mask;
    while (plan->latest[at] != 0 && plan->entries[plan->latest[at] - 1].key_hash != key_hash)
        at = (at + 1) & plan->latest_mask;
    return &plan->latest[at];
}

static uint32_t *latest_slot_of(struct rd_plan *plan, const struct rd_plan_entry *entry)
{
    return latest_slot(plan, rd_mix(plan->seed, entry->key_hash), entry->key_hash);
}

/* Uses as much of the table as count entries need, so that a small group clears little, and so much that few of
 * their keys meet another: a branch that is guessed wrong costs more than a wider table. */
static void latest_resize(struct rd_plan *plan, uint32_t count)
{
    uint32_t slots = LATEST_SLOTS_MIN;
    while (slots < LATEST_SLOTS_EACH * count && slots < 2 * plan->entry_capacity)
        slots *= 2;
    if (plan->latest_mask >= slots - 1)
        return;
    plan->latest_mask = slots - 1;
    memset(plan->latest, 0, slots * sizeof *plan->latest);
    for (uint32_t i = 0; i < plan->entry_count; i++)
        if (!plan->entries[i].superseded)
            *latest_slot_of(plan, &plan->entries[i]) = i + 1;
}

/* For so many entries more, a spacer before each, and what else an operation needs. */
static enum rd_status make_room(struct rd_plan *plan, size_t more)
{
    if (more > (ENTRY_COUNT_MAX - plan->entry_count) / 2 - OWN_ENTRIES_MAX)
        return RD_TOO_LARGE;
    uint32_t needed = plan->entry_count + 2 * (uint32_t)more + OWN_ENTRIES_MAX;
    uint32_t capacity = plan->entry_capacity < ENTRY_CAPACITY_MIN ? ENTRY_CAPACITY_MIN : plan->entry_capacity;
    while (capacity < needed)
        capacity *= 2;
    if (capacity != plan->entry_capacity) {
        struct rd_plan_entry *entries = realloc(plan->entries, capacity * sizeof *entries);
        if (entries == NULL)
            return RD_NO_MEMORY;
        plan->entries = entries;
        uint32_t *latest = realloc(plan->latest, 2 * (size_t)capacity * sizeof *latest);
        if (latest == NULL)
            return RD_NO_MEMORY;
        plan->latest = latest;
        plan->entry_capacity = capacity;
    }
    latest_resize(plan, plan->entry_count + (uint32_t)more);
    return RD_OK;
}

/* ---- judging ------------------------------------------------------------------------------------------ */

/* A key as an operation must see it: with what the group has planned before. */
struct key_state {
    const struct rd_index_spot *spot;    /* borrows */
    uint32_t *latest;                    /* its slot */
    const struct rd_plan_entry *planned; /* its latest entry in this group, or NULL */
    uint64_t trailer_offset;             /* of its published entry; 0: none */
    uint64_t place;                      /* in the index, if it is known; 0 */
    bool live;
};

/* As rd_index_lookup_at, but for one whose trailer is read, and only where that is what the key's tag leads to. */
static uint64_t find_by_reading(struct rd_plan *plan, const struct rd_index_spot *spot, uint64_t key_hash,
                                uint64_t *ret_place)
{
    uint64_t trailer_offset = rd_index_tagged_at(spot, ret_place);
    bool found = trailer_offset != 0 && rd_trailers_name(&plan->trailers, trailer_offset, key_hash);
    return found ? trailer_offset : 0;
}

/* spot: must stay as long as the state is used. apart: the key's trailer is read, if it has one. */
RD_ALWAYS_INLINE void look_up_at(struct rd_plan *plan, const struct rd_index *index, const uint8_t *file,
                                 const struct rd_index_spot *spot, uint64_t mixed, uint64_t key_hash, bool apart,
                                 struct key_state *state)
{
    state->spot = spot;
    state->latest = latest_slot(plan, mixed, key_hash);
    if (RD_UNLIKELY(*state->latest != 0)) {
        state->planned = &plan->entries[*state->latest - 1];
        state->place = 0;
        state->trailer_offset = state->planned->in_index ? 1 : 0;
        state->live = !state->planned->tombstone;
    } else {
        state->planned = NULL;
        state->trailer_offset = RD_UNLIKELY(apart) ? find_by_reading(plan, spot, key_hash, &state->place) : 0;
        if (RD_LIKELY(state->trailer_offset == 0))
            state->trailer_offset = rd_index_lookup_at(index, file, spot, key_hash, &state->place);
        state->live = state->trailer_offset != 0;
    }
}

static void look_up(struct rd_plan *plan, const struct rd_index *index, const uint8_t *file, uint64_t key_hash,
                    struct rd_index_spot *spot, struct key_state *state)
{
    uint64_t mixed = rd_index_approach(index, key_hash, spot);
    look_up_at(plan, index, file, spot, mixed, key_hash, false, state);
}

/* ---- trailers over the border of two sectors ------------------------------------------------------------ */

/* Whether, of an entry whose trailer ends in another sector than it begins in, the second part alone would pass
 * for whole. What is lost of a link or a checksum is noticed. What is lost of the hash is not, where the checksum
 * matches all the same: the lower sector held nothing of the payload but zeros, or ones where the file runs ahead
 * of its tail (extension.h), or had reached the disk before. */
static bool may_tear_unnoticed(struct rd_slice payload, uint64_t trailer_offset)
{
    if (!rd_trailer_may_tear(trailer_offset))
        return false;
    if (payload.data == NULL || payload.len > ONE_WRITE_LEN_MAX)
        return true;
    size_t len = trailer_offset % RD_SECTOR_LEN;
    if (len > payload.len)
        len = payload.len;
    const uint8_t *lower = payload.data + payload.len - len;
    return memcmp(lower, zeros, len) == 0 || (lower[0] == 0xff && memcmp(lower, lower + 1, len - 1) == 0);
}

/* An entry of the engine's own that nobody looks up. */
static struct rd_plan_entry *add_own(struct rd_plan *plan, struct rd_slice payload, bool tombstone, uint32_t crc32)
{
    struct rd_plan_entry *entry = &plan->entries[plan->entry_count++];
    *entry = (struct rd_plan_entry){
        .key_hash = RD_RESERVED_KEY_HASH,
        .payload = payload,
        .prev_tail = plan->tail,
        .payload_offset = tombstone ? plan->tail : rd_record_align(plan->tail),
        .crc32 = crc32,
        .crc32_known = true,
        .tombstone = tombstone,
        .superseded = true, /* never published */
    };
    plan->tail = entry->payload_offset + entry->payload.len + RD_TRAILER_LEN;
    return entry;
}

/* Moves the tail up where the entry that comes next could tear: a tombstone by one, a value by a line of 64 bytes.
 * A torn spacer deletes what nobody has. */
static RD_COLD void move_up(struct rd_plan *plan, struct rd_slice payload, bool tombstone)
{
    uint64_t payload_offset = tombstone ? plan->tail : rd_record_align(plan->tail);
    if (!plan->batch_marker || !may_tear_unnoticed(payload, payload_offset + payload.len))
        return;
    if (tombstone)
        add_own(plan, tombstone_payload, true, RD_TOMBSTONE_CRC);
    else
        add_own(plan, spacer_payload, false, rd_crc32_of_zeros(spacer_payload.len));
}

RD_ALWAYS_INLINE void make_way(struct rd_plan *plan, struct rd_slice payload, bool tombstone)
{
    uint64_t payload_offset = tombstone ? plan->tail : rd_record_align(plan->tail);
    if (RD_UNLIKELY(rd_trailer_may_tear(payload_offset + payload.len)))
        move_up(plan, payload, tombstone);
}

RD_ALWAYS_INLINE struct rd_plan_entry *add_entry_inline(struct rd_plan *plan, const struct rd_index *index,
                                                        const struct key_state *state, uint64_t key_hash,
                                                        struct rd_slice payload, bool tombstone)
{
    if (tombstone)
        payload = tombstone_payload;
    make_way(plan, payload, tombstone);
    if (RD_UNLIKELY(state->planned != NULL))
        plan->entries[*state->latest - 1].superseded = true;
    bool in_index = state->trailer_offset != 0;
    bool refused = !tombstone && !in_index && !rd_index_promise(index, state->spot);
    struct rd_plan_entry *entry = &plan->entries[plan->entry_count++];
    entry->key_hash = key_hash;
    entry->payload = payload;
    entry->spool = NULL;
    entry->prev_tail = plan->tail;
    entry->payload_offset = tombstone ? plan->tail : rd_record_align(plan->tail);
    entry->place = state->place;
    entry->crc32 = RD_TOMBSTONE_CRC;
    entry->crc32_known = tombstone;
    entry->pinned = false;
    entry->tombstone = tombstone;
    entry->in_index = in_index;
    entry->refused = refused;
    entry->in_place = false;
    entry->superseded = false;
    entry->previous = *state->latest;
    plan->refused |= refused;
    plan->tail = entry->payload_offset + payload.len + RD_TRAILER_LEN;
    *state->latest = plan->entry_count;
    return entry;
}

static struct rd_plan_entry *add_entry(struct rd_plan *plan, const struct rd_index *index,
                                       const struct key_state *state, uint64_t key_hash, struct rd_slice payload,
                                       bool tombstone)
{
    return add_entry_inline(plan, index, state, key_hash, payload, tombstone);
}

/* ---- holding the entries of one operation together ------------------------------------------------------ */

/* Before the entries are judged, since they lie behind it; close_batch fills in how many there are. Returns which
 * entry it is. */
static uint32_t open_batch(struct rd_plan *plan)
{
    make_way(plan, tombstone_payload, true);
    return (uint32_t)(add_own(plan, tombstone_payload, true, 0) - plan->entries);
}

/* A batch of one tombstone needs no marker: it moves down to where the marker was, and lies there as well as that
 * did. */
static void drop_marker(struct rd_plan *plan, uint32_t marker)
{
    plan->tail = plan->entries[marker].prev_tail;
    plan->entry_count--;
    uint32_t *latest = latest_slot_of(plan, &plan->entries[marker + 1]);
    struct rd_plan_entry *entry = &plan->entries[marker];
    *entry = plan->entries[marker + 1];
    entry->prev_tail = plan->tail;
    entry->payload_offset = plan->tail;
    plan->tail += RD_TOMBSTONE_LEN;
    *latest = marker + 1;
}

/* first: the operation's first entry: the marker, or the spacer before it. */
static void close_batch(struct rd_plan *plan, uint32_t first, uint32_t marker)
{
    uint32_t count = plan->entry_count - marker - 1;
    if (count == 0) {
        plan->tail = plan->entries[first].prev_tail;
        plan->entry_count = first;
    } else if (count == 1 && plan->entries[marker + 1].tombstone) {
        drop_marker(plan, marker);
    } else if (count == 1) {
        plan->entries[marker].crc32 = RD_TOMBSTONE_CRC; /* a spacer: lower down the value might not lie as well */
    } else {
        plan->entries[marker].crc32 = count;
    }
}

/* An entry of the engine's own whose bytes are in the file already. */
static void add_dead(struct rd_plan *plan, uint64_t len, uint32_t crc32)
{
    add_own(plan, rd_slice(NULL, len), false, crc32)->in_place = true;
}

/* Zeros from the tail to just before what lies ahead: an entry that closes the gap. */
static void add_filler(struct rd_plan *plan, uint64_t begin)
{
    uint64_t len = begin - RD_TRAILER_LEN - rd_record_align(plan->tail);
    add_dead(plan, len, rd_crc32_of_zeros(len));
}

enum rd_status rd_plan_leap(struct rd_plan *plan, uint64_t begin, uint64_t len, uint32_t crc32)
{
    enum rd_status status = make_room(plan, 0);
    if (status != RD_OK)
        return status;
    add_filler(plan, begin);
    uint64_t pad =
        -(begin + len) % RD_SECTOR_LEN; /* the disk may have these bytes before their trailer is written */
    add_dead(plan, len + pad, rd_crc32(crc32, rd_slice(zeros, (size_t)pad)));
    return RD_OK;
}

/* A value: appended, or committed where it lies ahead. */
static struct rd_plan_entry *add_value(struct rd_plan *plan, const struct rd_index *index,
                                       const struct key_state *state, uint64_t key_hash, struct rd_slice payload)
{
    if (plan->placed_at == 0)
        return add_entry(plan, index, state, key_hash, payload, false);
    add_filler(plan, plan->placed_at);
    struct rd_plan_entry *entry = add_entry(plan, index, state, key_hash, payload, false);
    entry->in_place = true;
    plan->placed = true;
    return entry;
}

/* The payload, place and checksum of a live key's newest value. False where the file was changed by others. */
static bool newest_value(const struct key_state *state, const uint8_t *file, struct rd_plan_entry *ret_value)
{
    if (state->planned != NULL) {
        *ret_value = *state->planned;
        if (!ret_value->crc32_known)
            ret_value->crc32 = rd_crc32(0, ret_value->payload);
        ret_value->crc32_known = true;
        return true;
    }
    struct rd_record record;
    if (!rd_record_parse(file, state->trailer_offset + RD_TRAILER_LEN, &record))
        return false;
    *ret_value = (struct rd_plan_entry){.payload = rd_slice(file + record.payload_offset, record.payload_len),
                                        .payload_offset = record.payload_offset,
                                        .crc32 = record.trailer.crc32,
                                        .pinned = true};
    return true;
}

static enum rd_status check_condition(const struct rd_condition *condition, const struct key_state *state,
                                      const uint8_t *file)
{
    struct rd_plan_entry value;
    bool holds = true;
    switch (condition->kind) {
    case RD_IF_ANYTHING:
        break;
    case RD_IF_ABSENT:
        holds = !state->live;
        break;
    case RD_IF_PRESENT:
        holds = state->live;
        break;
    case RD_IF_VERSION:
        holds = state->live && newest_value(state, file, &value) && value.payload_offset == condition->offset &&
                value.crc32 == condition->crc32;
        break;
    }
    return holds ? RD_OK : RD_PRECONDITION_FAILED;
}

static bool is_one_zero_byte(struct rd_slice payload)
{
    return payload.len == 1 && payload.data[0] == 0;
}

/* Whether a batch_write may hold all these. */
static bool are_values(const struct rd_op *op)
{
    bool null_is_tombstone = op->kind == RD_OP_BATCH_WRITE && op->allow_null_bytes;
    for (size_t i = 0; i < op->entry_count; i++) {
        struct rd_slice payload = op->entries[i].payload;
        if (payload.len <= 1 && (payload.len == 0 || (is_one_zero_byte(payload) && !null_is_tombstone)))
            return false;
    }
    return true;
}

static RD_COLD void judge_other_write(struct rd_plan *plan, const struct rd_index *index,
                                      const struct key_state *state, const struct rd_entry *entry)
{
    if (is_one_zero_byte(entry->payload)) {
        add_entry(plan, index, state, entry->key.hash, entry->payload, true);
        return;
    }
    struct rd_plan_entry *planned = add_value(plan, index, state, entry->key.hash, entry->payload);
    if (entry->crc32_known) {
        planned->crc32 = entry->crc32;
        planned->crc32_known = true;
        planned->pinned = true;
    }
}

/* The index's lines of a block of keys are asked for in one go, so that the waits for them overlap. */
static void approach_block(const struct rd_index *index, const struct rd_entry *entries, size_t count,
                           struct rd_index_spot spots[BLOCK_KEYS], uint64_t mixed[BLOCK_KEYS])
{
    for (size_t i = 0; i < count; i++)
        mixed[i] = rd_index_approach(index, entries[i].key.hash, &spots[i]);
}

/* And so are the trailers that the lines lead to, which may lie anywhere in the file. */
static void approach_trailers(const uint8_t *file, const struct rd_index_spot spots[BLOCK_KEYS], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t trailer_offset = rd_index_guess_at(&spots[i]);
        if (trailer_offset != 0)
            __builtin_prefetch(file + trailer_offset);
    }
}

static enum rd_status judge_writes(struct rd_plan *plan, struct rd_index *index, const uint8_t *file,
                                   struct rd_op *op)
{
    if (!are_values(op))
        return RD_INVALID_ARGUMENT;
    struct rd_index_spot spots[BLOCK_KEYS];
    uint64_t mixed[BLOCK_KEYS];
    bool any_live = op->entry_count > 1; /* of the last block: where all keys are new, there are no trailers */
    for (size_t i = 0; i < op->entry_count; i++) {
        if (i % BLOCK_KEYS == 0) {
            size_t count = op->entry_count - i < BLOCK_KEYS ? op->entry_count - i : BLOCK_KEYS;
            approach_block(index, &op->entries[i], count, spots, mixed);
            if (any_live)
                approach_trailers(file, spots, count);
            any_live = false;
        }
        const struct rd_entry *entry = &op->entries[i];
        struct key_state state;
        look_up_at(plan, index, file, &spots[i % BLOCK_KEYS], mixed[i % BLOCK_KEYS], entry->key.hash,
                   rd_trailers_are_apart(entry->payload.len), &state);
        enum rd_status status = op->kind == RD_OP_WRITE ? check_condition(&op->condition, &state, file) : RD_OK;
        if (status != RD_OK)
            return status;
        op->replaced = state.live;
        any_live |= state.live;
        if (RD_LIKELY(entry->payload.len > 1 && !entry->crc32_known && plan->placed_at == 0))
            add_entry_inline(plan, index, &state, entry->key.hash, entry->payload, false);
        else
            judge_other_write(plan, index, &state, entry);
    }
    op->count = op->entry_count;
    return RD_OK;
}

static enum rd_status judge_deletes(struct rd_plan *plan, struct rd_index *index, const uint8_t *file,
                                    struct rd_op *op)
{
    for (size_t i = 0; i < op->entry_count; i++) {
        uint64_t key_hash = op->entries[i].key.hash;
        struct rd_index_spot spot;
        struct key_state state;
        look_up(plan, index, file, key_hash, &spot, &state);
        enum rd_status status = op->kind == RD_OP_DELETE ? check_condition(&op->condition, &state, file) : RD_OK;
        if (status != RD_OK)
            return status;
        if (!state.live)
            continue;
        add_entry(plan, index, &state, key_hash, rd_slice(NULL, 0), true);
        op->count++;
    }
    return RD_OK;
}

static enum rd_status judge_stream(struct rd_plan *plan, struct rd_index *index, const uint8_t *file,
                                   struct rd_op *op)
{
    struct rd_spool *spool = op->spool;
    enum rd_status status = rd_spool_complete(spool);
    if (status == RD_OK)
        status = rd_placement_loss(op->placement);
    if (status != RD_OK)
        return status;
    if (spool->len == 0 || spool->one_zero_byte)
        return RD_INVALID_ARGUMENT;
    uint64_t key_hash = op->entries[0].key.hash;
    struct rd_index_spot spot;
    struct key_state state;
    look_up(plan, index, file, key_hash, &spot, &state);
    status = check_condition(&op->condition, &state, file);
    if (status != RD_OK)
        return status;
    struct rd_slice payload = spool->own.fd < 0 ? rd_buffer_slice(&spool->memory) : rd_slice(NULL, spool->len);
    struct rd_plan_entry *entry = add_value(plan, index, &state, key_hash, payload);
    entry->spool = spool->own.fd < 0 ? NULL : spool;
    entry->crc32 = spool->crc32;
    entry->crc32_known = true;
    op->replaced = state.live;
    op->count = 1;
    return RD_OK;
}

/* Whether the trailer to which the key's slot leads is the key's own, and not a stray (index.h): the value is
 * another key's then, or this one's and damaged. What the group has planned is the key's own. */
static bool is_own_value(const struct key_state *state, const uint8_t *file, uint64_t key_hash)
{
    struct rd_record record;
    return state->planned != NULL || (rd_record_parse(file, state->trailer_offset + RD_TRAILER_LEN, &record) &&
                                      !record.tombstone && record.trailer.key_hash == key_hash);
}

/* rename, copy: the value under its new key; of rename then a tombstone for the old one, so that the chain never
 * lacks the value. */
static enum rd_status judge_move(struct rd_plan *plan, struct rd_index *index, const uint8_t *file,
                                 struct rd_op *op)
{
    uint64_t from = op->entries[0].key.hash;
    uint64_t to = op->entries[1].key.hash;
    if (from == to)
        return RD_CONFLICT;
    struct rd_index_spot source_spot;
    struct key_state source;
    look_up(plan, index, file, from, &source_spot, &source);
    struct rd_index_spot target_spot;
    struct key_state target;
    look_up(plan, index, file, to, &target_spot, &target);
    struct rd_plan_entry value;
    if (!source.live)
        return op->condition.kind == RD_IF_ANYTHING ? RD_KEY_NOT_FOUND : RD_PRECONDITION_FAILED;
    enum rd_status status = check_condition(&op->condition, &source, file);
    if (status == RD_OK)
        status = check_condition(&op->target_condition, &target, file);
    if (status != RD_OK)
        return status;
    if (!is_own_value(&source, file, from) || !newest_value(&source, file, &value))
        return RD_CORRUPT;
    if (plan->tail + value.payload.len + 4 * (RD_RECORD_ALIGN + RD_TOMBSTONE_LEN) > RD_TAIL_MAX)
        return RD_NO_SPACE;
    bool verified = value.crc32_known || (op->source_verified && op->condition.kind == RD_IF_VERSION);
    if (!verified && rd_crc32(0, value.payload) != value.crc32)
        return RD_CORRUPT;
    struct rd_plan_entry *entry = add_value(plan, index, &target, to, value.payload);
    entry->spool = value.spool;
    entry->crc32 = value.crc32;
    entry->crc32_known = true;
    entry->pinned = value.pinned;
    /* Looked up anew: adding may have given the two keys other slots. */
    if (op->kind == RD_OP_RENAME) {
        look_up(plan, index, file, from, &source_spot, &source);
        add_entry(plan, index, &source, from, rd_slice(NULL, 0), true);
    }
    op->replaced = target.live;
    op->count = 1;
    return RD_OK;
}

/* Notes where the value lies, or will lie: by the time it can be taken from there it may be replaced. */
static enum rd_status judge_look(struct rd_plan *plan, struct rd_index *index, const uint8_t *file,
                                 struct rd_look *look)
{
    struct rd_index_spot spot;
    struct key_state state;
    look_up(plan, index, file, look->key.hash, &spot, &state);
    uint64_t trailer_offset = 0;
    if (state.live && state.planned != NULL)
        trailer_offset = state.planned->payload_offset + state.planned->payload.len;
    else if (state.live)
        trailer_offset = state.trailer_offset;
    bool wanted = look->value_wanted && state.live;
    if (wanted && !is_own_value(&state, file, look->key.hash))
        return RD_CORRUPT;
    look->value = (struct rd_value){.offset = wanted ? trailer_offset : 0};
    return check_condition(&look->condition, &state, file);
}

static enum rd_status judge_looks(struct rd_plan *plan, struct rd_index *index, const uint8_t *file,
                                  struct rd_op *op)
{
    enum rd_status status = RD_OK;
    for (size_t i = 0; i < op->look_count && status == RD_OK; i++)
        status = judge_look(plan, index, file, &op->looks[i]);
    return status;
}

static void judge_change(struct rd_plan *plan, struct rd_index *index, const uint8_t *file,
                         const struct rd_entry *entry, struct rd_change *change)
{
    struct rd_index_spot spot;
    struct key_state state;
    look_up(plan, index, file, entry->key.hash, &spot, &state);
    change->found = state.live;
    change->applied =
        check_condition(&change->condition, &state, file) == RD_OK && (state.live || !change->deletes);
    if (!change->applied)
        return;
    struct rd_plan_entry *planned =
        add_entry(plan, index, &state, entry->key.hash, entry->payload, change->deletes);
    if (entry->crc32_known && !change->deletes) {
        planned->crc32 = entry->crc32;
        planned->crc32_known = true;
        planned->pinned = true;
    }
}

static enum rd_status judge_changes(struct rd_plan *plan, struct rd_index *index, const uint8_t *file,
                                    struct rd_op *op)
{
    for (size_t i = 0; i < op->entry_count; i++) {
        struct rd_slice payload = op->entries[i].payload;
        if (!op->changes[i].deletes && (payload.len == 0 || is_one_zero_byte(payload)))
            return RD_INVALID_ARGUMENT;
    }
    for (size_t i = 0; i < op->entry_count; i++) {
        judge_change(plan, index, file, &op->entries[i], &op->changes[i]);
        op->count += op->changes[i].applied;
    }
    return RD_OK;
}

static enum rd_status judge_sync(struct rd_plan *plan, struct rd_index *index, const uint8_t *file,
                                 struct rd_op *op)
{
    (void)plan;
    (void)index;
    (void)file;
    (void)op;
    return RD_OK;
}

/* ---- quotas ----------------------------------------------------------------------------------------------- */

/* How many more keys live behind the entries from `first` on. */
static int64_t live_gained(const struct rd_plan *plan, uint32_t first)
{
    int64_t gained = 0;
    for (uint32_t i = first; i < plan->entry_count; i++) {
        const struct rd_plan_entry *entry = &plan->entries[i];
        if (entry->key_hash == RD_RESERVED_KEY_HASH)
            continue;
        bool before = entry->previous != 0 ? !plan->entries[entry->previous - 1].tombstone : entry->in_index;
        gained += !entry->tombstone - before;
    }
    return gained;
}

static bool adds_value(const struct rd_plan *plan, uint32_t first)
{
    for (uint32_t i = first; i < plan->entry_count; i++)
        if (plan->entries[i].key_hash != RD_RESERVED_KEY_HASH && !plan->entries[i].tombstone)
            return true;
    return false;
}

/* What the operation whose entries begin at `first` meets; plan->live goes forward where it meets nothing. */
static enum rd_bar check_quotas(struct rd_plan *plan, uint32_t first)
{
    if (plan->entry_count == first)
        return RD_BAR_NONE;
    uint64_t over = adds_value(plan, first) || plan->quota_bytes > RD_TAIL_MAX ? 0 : RD_QUOTA_RESERVE;
    if (plan->tail > plan->quota_bytes + over)
        return RD_BAR_BYTES;
    int64_t gained = live_gained(plan, first);
    uint64_t live = plan->live + (uint64_t)gained;
    if (gained > 0 && live > plan->quota_entries)
        return RD_BAR_ENTRIES;
    plan->live = live;
    return RD_BAR_NONE;
}

/* Backwards, so that each key's slot becomes what it was when its entry was added. */
static void take_back(struct rd_plan *plan, uint32_t first)
{
    while (plan->entry_count > first) {
        const struct rd_plan_entry *entry = &plan->entries[plan->entry_count - 1];
        if (entry->key_hash != RD_RESERVED_KEY_HASH) {
            *latest_slot_of(plan, entry) = entry->previous;
            if (entry->previous != 0)
                plan->entries[entry->previous - 1].superseded = false;
        }
        plan->entry_count--;
    }
}

static RD_COLD void hold_to_quotas(struct rd_plan *plan, struct rd_op *op, uint32_t first, uint64_t tail,
                                   bool placed)
{
    op->bar = check_quotas(plan, first);
    if (op->bar == RD_BAR_NONE)
        return;
    take_back(plan, first);
    plan->tail = tail;
    plan->placed = placed;
    op->count = 0;
    op->replaced = false;
    op->status = RD_NO_SPACE;
}

/* ---- any operation ------------------------------------------------------------------------------------- */

/* No operation can make the file longer than an index slot can name. */
static bool fits(const struct rd_plan *plan, const struct rd_op *op)
{
    uint64_t each = 3 * RD_RECORD_ALIGN + RD_TRAILER_LEN + RD_TOMBSTONE_LEN; /* a spacer takes two lines */
    return op->payload_bytes <= RD_TAIL_MAX && op->entry_count <= ENTRY_COUNT_MAX &&
           plan->tail + op->payload_bytes + op->entry_count * each <= RD_TAIL_MAX;
}

typedef enum rd_status judge_fn(struct rd_plan *plan, struct rd_index *index, const uint8_t *file,
                                struct rd_op *op);

static judge_fn *const judges[] = {
    [RD_OP_WRITE] = judge_writes,   [RD_OP_BATCH_WRITE] = judge_writes,
    [RD_OP_DELETE] = judge_deletes, [RD_OP_BATCH_DELETE] = judge_deletes,
    [RD_OP_STREAM] = judge_stream,  [RD_OP_RENAME] = judge_move,
    [RD_OP_COPY] = judge_move,      [RD_OP_TRANSACTION] = judge_changes,
    [RD_OP_SYNC] = judge_sync,
};

void rd_plan_add(struct rd_plan *plan, struct rd_index *index, const uint8_t *file, struct rd_op *op,
                 uint64_t placed_at)
{
    plan->placed_at = placed_at;
    op->count = 0;
    op->replaced = false;
    op->offset = 0;
    op->crc32 = 0;
    uint32_t first = plan->entry_count;
    uint64_t tail = plan->tail;
    bool placed = plan->placed;
    bool batch = plan->batch_marker && op->entry_count >= 2 && op->kind != RD_OP_COPY;
    bool barred = RD_UNLIKELY(plan->bounded) && plan->writes_barred && op->entry_count != 0;
    op->bar = barred ? RD_BAR_WRITES : RD_BAR_NONE;
    if (barred)
        op->status = RD_FORBIDDEN;
    else
        op->status = fits(plan, op) ? make_room(plan, op->entry_count) : RD_NO_SPACE;
    if (op->status == RD_OK)
        op->status = judge_looks(plan, index, file, op);
    if (op->status == RD_OK) {
        uint32_t marker = batch ? open_batch(plan) : 0;
        uint32_t begun = plan->entry_count;
        op->status = judges[op->kind](plan, index, file, op);
        if (op->status != RD_OK) {
            assert(plan->entry_count == begun); /* it is judged before it adds anything */
            plan->entry_count = first;
            plan->tail = tail;
        } else if (batch) {
            close_batch(plan, first, marker);
        }
    }
    if (RD_UNLIKELY(plan->bounded) && op->status == RD_OK)
        hold_to_quotas(plan, op, first, tail, placed);
    op->tail = plan->tail;
    assert(plan->step_count < RD_PLAN_STEPS_MAX);
    plan->steps[plan->step_count++] =
        (struct rd_plan_step){.op = op, .first = first, .count = plan->entry_count - first};
}

/* refused_alone: for those entries that the index has not promised room for. */
static enum rd_status reserve(struct rd_plan *plan, struct rd_index *index, const uint8_t *file,
                              bool refused_alone, bool *ret_lost)
{
    enum rd_status status = RD_OK;
    for (uint32_t i = 0; status == RD_OK && i < plan->entry_count; i++) {
        const struct rd_plan_entry *entry = &plan->entries[i];
        if (entry->refused || (!refused_alone && !entry->superseded && !entry->tombstone && !entry->in_index))
            status = rd_index_reserve(index, file, entry->key_hash, ret_lost);
    }
    return status;
}

enum rd_status rd_plan_reserve(struct rd_plan *plan, struct rd_index *index, const uint8_t *file)
{
    bool lost = false;
    enum rd_status status = plan->refused ? reserve(plan, index, file, true, &lost) : RD_OK;
    while (status == RD_OK && lost) {
        lost = false;
        rd_index_begin(index);
        status = reserve(plan, index, file, false, &lost);
    }
    return status;
}
