/* SPDX-License-Identifier: MIT */
#include "engine/plan.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "engine/index.h"
#include "engine/record.h"

#define ENTRY_CAPACITY_MIN 64u
#define ENTRY_COUNT_MAX    (1u << 28)
#define LATEST_SLOTS_MIN   128u

static const uint8_t tombstone_byte[1] = {0};

enum rd_status rd_plan_init(struct rd_plan *plan)
{
    *plan = (struct rd_plan){.steps = calloc(RD_PLAN_STEPS_MAX, sizeof *plan->steps)};
    return plan->steps == NULL ? RD_NO_MEMORY : RD_OK;
}

void rd_plan_deinit(struct rd_plan *plan)
{
    free(plan->entries);
    free(plan->steps);
    free(plan->latest);
    *plan = (struct rd_plan){0};
}

void rd_plan_begin(struct rd_plan *plan, uint64_t tail)
{
    plan->entry_count = 0;
    plan->step_count = 0;
    plan->tail = tail;
    plan->latest_mask = 0;
}

/* ---- the latest entry of each key in the group
 * ------------------------------------------------------------------ */

static uint32_t *latest_slot(struct rd_plan *plan, uint64_t key_hash)
{
    uint32_t at = (uint32_t)((key_hash * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & plan->latest_mask;
    while (plan->latest[at] != 0 && plan->entries[plan->latest[at] - 1].key_hash != key_hash)
        at = (at + 1) & plan->latest_mask;
    return &plan->latest[at];
}

/* Uses as much of the table as count entries need, so that a small group clears little. */
static void latest_resize(struct rd_plan *plan, uint32_t count)
{
    uint32_t slots = LATEST_SLOTS_MIN;
    while (slots < 2 * count)
        slots *= 2;
    if (plan->latest_mask >= slots - 1)
        return;
    plan->latest_mask = slots - 1;
    memset(plan->latest, 0, slots * sizeof *plan->latest);
    for (uint32_t i = 0; i < plan->entry_count; i++)
        if (!plan->entries[i].superseded)
            *latest_slot(plan, plan->entries[i].key_hash) = i + 1;
}

static enum rd_status make_room(struct rd_plan *plan, size_t more)
{
    if (more > ENTRY_COUNT_MAX - plan->entry_count)
        return RD_TOO_LARGE;
    uint32_t needed = plan->entry_count + (uint32_t)more;
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
    latest_resize(plan, needed);
    return RD_OK;
}

/* ---- judging
 * ---------------------------------------------------------------------------------------------------- */

static bool is_one_zero_byte(struct rd_slice payload)
{
    return payload.len == 1 && payload.data[0] == 0;
}

struct key_state {
    uint32_t *latest;
    bool in_index;
    bool live; /* as the operation must see it */
};

static struct key_state look_up(struct rd_plan *plan, struct rd_index *index, const uint8_t *file,
                                uint64_t key_hash)
{
    struct key_state state = {.latest = latest_slot(plan, key_hash)};
    if (*state.latest != 0) {
        const struct rd_plan_entry *entry = &plan->entries[*state.latest - 1];
        state.in_index = entry->in_index;
        state.live = !entry->tombstone;
    } else {
        state.in_index = rd_index_lookup(index, file, key_hash) != 0;
        state.live = state.in_index;
    }
    return state;
}

static void add_entry(struct rd_plan *plan, struct key_state state, uint64_t key_hash, struct rd_slice payload,
                      bool tombstone)
{
    struct rd_plan_entry *entry = &plan->entries[plan->entry_count];
    *entry = (struct rd_plan_entry){
        .key_hash = key_hash,
        .payload = tombstone ? rd_slice(tombstone_byte, sizeof tombstone_byte) : payload,
        .prev_tail = plan->tail,
        .payload_offset = tombstone ? plan->tail : rd_record_align(plan->tail),
        .tombstone = tombstone,
        .in_index = state.in_index,
    };
    if (*state.latest != 0)
        plan->entries[*state.latest - 1].superseded = true;
    *state.latest = ++plan->entry_count;
    plan->tail = entry->payload_offset + entry->payload.len + RD_TRAILER_LEN;
}

static enum rd_status check_payloads(const struct rd_op *op)
{
    bool null_is_tombstone = op->kind == RD_OP_BATCH_WRITE && op->allow_null_bytes;
    for (size_t i = 0; i < op->entry_count; i++) {
        struct rd_slice payload = op->entries[i].payload;
        if (payload.len == 0 || (is_one_zero_byte(payload) && !null_is_tombstone))
            return RD_INVALID_ARGUMENT;
    }
    return RD_OK;
}

static void judge_writes(struct rd_plan *plan, struct rd_index *index, const uint8_t *file, struct rd_op *op)
{
    enum { AHEAD = 8 };
    for (size_t i = 0; i < op->entry_count; i++) {
        if (i + AHEAD < op->entry_count)
            rd_index_prefetch(index, op->entries[i + AHEAD].key.hash);
        const struct rd_entry *entry = &op->entries[i];
        struct key_state state = look_up(plan, index, file, entry->key.hash);
        op->replaced = state.live;
        add_entry(plan, state, entry->key.hash, entry->payload, is_one_zero_byte(entry->payload));
    }
    op->count = op->entry_count;
}

static void judge_deletes(struct rd_plan *plan, struct rd_index *index, const uint8_t *file, struct rd_op *op)
{
    for (size_t i = 0; i < op->entry_count; i++) {
        uint64_t key_hash = op->entries[i].key.hash;
        struct key_state state = look_up(plan, index, file, key_hash);
        if (!state.live)
            continue;
        add_entry(plan, state, key_hash, rd_slice(NULL, 0), true);
        op->count++;
    }
}

/* No operation can make the file longer than an index slot can name. */
static bool fits(const struct rd_plan *plan, const struct rd_op *op)
{
    uint64_t most = plan->tail;
    for (size_t i = 0; i < op->entry_count; i++) {
        most += op->entries[i].payload.len + RD_RECORD_ALIGN + RD_TRAILER_LEN + 1;
        if (most > RD_TAIL_MAX)
            return false;
    }
    return true;
}

void rd_plan_add(struct rd_plan *plan, struct rd_index *index, const uint8_t *file, struct rd_op *op)
{
    op->count = 0;
    op->replaced = false;
    op->offset = 0;
    op->crc32 = 0;
    bool writes = op->kind == RD_OP_WRITE || op->kind == RD_OP_BATCH_WRITE;
    uint32_t first = plan->entry_count;
    op->status = writes ? check_payloads(op) : RD_OK;
    if (op->status == RD_OK && !fits(plan, op))
        op->status = RD_NO_SPACE;
    if (op->status == RD_OK)
        op->status = make_room(plan, op->entry_count);
    if (op->status == RD_OK && writes)
        judge_writes(plan, index, file, op);
    else if (op->status == RD_OK)
        judge_deletes(plan, index, file, op);
    op->tail = plan->tail;
    assert(plan->step_count < RD_PLAN_STEPS_MAX);
    plan->steps[plan->step_count++] =
        (struct rd_plan_step){.op = op, .first = first, .count = plan->entry_count - first};
}

enum rd_status rd_plan_reserve(struct rd_plan *plan, struct rd_index *index, const uint8_t *file)
{
    bool grew = true;
    while (grew) {
        grew = false;
        rd_index_begin(index);
        for (uint32_t i = 0; i < plan->entry_count; i++) {
            const struct rd_plan_entry *entry = &plan->entries[i];
            if (entry->superseded || entry->tombstone || entry->in_index)
                continue;
            enum rd_status status = rd_index_reserve(index, file, entry->key_hash, &grew);
            if (status != RD_OK)
                return status;
        }
    }
    return RD_OK;
}
