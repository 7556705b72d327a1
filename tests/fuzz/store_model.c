/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/store_model.h"

#include <stdlib.h>

#include "base/endian.h"
#include "engine/engine.h"
#include "tests/fuzz/fuzz.h"

#define FILE_LEN_MAX  (32u << 10)
#define TRAILER_LEN   20u
#define TOMBSTONE_LEN 21u
#define RESERVED_KEY  UINT64_C(0x6472697665000001)
#define BATCH_LEN_MIN 2u
#define BATCH_LEN_MAX 3u
#define ENDS          0xff
#define VALUE_LEN_MAX (255u * 64u)
#define DAMAGE_COUNT  16

enum { ENTRY_NESTED = 3, ENTRY_TOMBSTONE, ENTRY_DAMAGED, ENTRY_MARKER, ENTRY_RECORD };
enum { DAMAGE_OVERWRITE, DAMAGE_CUT, DAMAGE_FLIP, DAMAGE_ZEROS, DAMAGE_ONES, DAMAGE_APPEND, DAMAGE_KINDS };

/* ---- entries ----------------------------------------------------------------------------------------------- */

struct building {
    struct fuzz_model *model;
    unsigned batch_left; /* entries that the marker still waits for */
};

static void add_entry(struct building *building, uint64_t key, struct rd_slice payload, uint32_t crc32,
                      bool padded)
{
    static const uint8_t zeros[64];
    struct fuzz_model *model = building->model;
    struct rd_buffer *file = &model->whole;
    uint64_t prev_tail = file->len;
    if (padded)
        rd_buffer_append(file, zeros, (size_t)-file->len % 64);
    rd_buffer_append_slice(file, payload);
    rd_buffer_append_u64le(file, key);
    rd_buffer_append_u64le(file, prev_tail);
    rd_buffer_append_u32le(file, crc32);
    FUZZ_CHECK(!file->failed && model->entry_count < FUZZ_MODEL_ENTRIES_MAX);
    model->entries[model->entry_count].end = file->len;
    model->entries[model->entry_count].damaged = key != RESERVED_KEY && crc32 != rd_crc32(0, payload);
    model->entries[model->entry_count++].inside = building->batch_left > 0;
}

static void add_value(struct building *building, uint64_t key, struct rd_slice payload, bool damaged)
{
    if (building->batch_left > 0)
        building->batch_left--;
    add_entry(building, key, payload, rd_crc32(0, payload) ^ (damaged ? 1 : 0), true);
}

static void add_tombstone(struct building *building, uint64_t key)
{
    struct rd_slice zero = rd_slice("", 1);
    if (building->batch_left > 0)
        building->batch_left--;
    add_entry(building, key, zero, rd_crc32(0, zero), false);
}

static void take_value(struct building *building, uint8_t what, struct rd_slice *input)
{
    static uint8_t payload[VALUE_LEN_MAX];
    uint64_t key = FUZZ_MODEL_KEY_BASE + fuzz_take_u8(input) % FUZZ_MODEL_KEY_COUNT;
    size_t len = (size_t)fuzz_take_u8(input) << 2 * (what >> 3 & 3);
    uint8_t first = fuzz_take_u8(input);
    if (len == 0 || (len == 1 && first == 0))
        return; /* no value that a store can have */
    for (size_t i = 0; i < len; i++)
        payload[i] = (uint8_t)(first + i * (first >> 4));
    add_value(building, key, rd_slice(payload, len), (what & 7) == ENTRY_DAMAGED);
}

static void take_nested(struct building *building, struct rd_slice *input)
{
    uint64_t key = FUZZ_MODEL_KEY_BASE + fuzz_take_u8(input) % FUZZ_MODEL_KEY_COUNT;
    struct rd_slice so_far = rd_buffer_slice(&building->model->whole);
    uint8_t *copy = fuzz_copy(so_far);
    if (so_far.len != 0)
        add_value(building, key, rd_slice(copy, so_far.len), false);
    free(copy);
}

static void take_marker(struct building *building, struct rd_slice *input)
{
    uint32_t count = fuzz_take_u8(input) % 2 + BATCH_LEN_MIN;
    if (building->batch_left > 0 || building->model->entry_count + count + 1 > FUZZ_MODEL_ENTRIES_MAX)
        return;
    building->batch_left = count;
    add_entry(building, RESERVED_KEY, rd_slice("", 1), count, false);
}

/* A program that ends inside a batch completes it. */
static void end_batch(struct building *building)
{
    while (building->batch_left > 0)
        add_tombstone(building, FUZZ_MODEL_KEY_BASE);
}

static void take_entries(struct rd_slice *input, struct fuzz_model *model)
{
    struct building building = {.model = model};
    while (input->len != 0 && model->entry_count + BATCH_LEN_MAX < FUZZ_MODEL_ENTRIES_MAX &&
           model->whole.len < FILE_LEN_MAX / 2) {
        uint8_t what = fuzz_take_u8(input);
        if (what == ENDS)
            break;
        switch (what & 7) {
        case ENTRY_NESTED:
            take_nested(&building, input);
            break;
        case ENTRY_TOMBSTONE:
            add_tombstone(&building, FUZZ_MODEL_KEY_BASE + fuzz_take_u8(input) % FUZZ_MODEL_KEY_COUNT);
            break;
        case ENTRY_MARKER:
            take_marker(&building, input);
            break;
        case ENTRY_RECORD:
            if (building.batch_left == 0)
                model->recorded = model->entry_count;
            break;
        default:
            take_value(&building, what, input);
            break;
        }
    }
    end_batch(&building);
}

/* ---- damage ------------------------------------------------------------------------------------------------ */

static void append_repeated(struct rd_buffer *file, uint8_t byte, size_t len)
{
    for (size_t i = 0; i < len; i++)
        rd_buffer_append_u8(file, byte);
}

static void take_damage(struct rd_slice *input, struct rd_buffer *file)
{
    uint8_t kind = fuzz_take_u8(input) % DAMAGE_KINDS;
    if (kind >= DAMAGE_ZEROS) {
        size_t len = fuzz_take_u8(input);
        if (kind == DAMAGE_APPEND)
            rd_buffer_append_slice(file, rd_slice_take(input, len));
        else
            append_repeated(file, kind == DAMAGE_ONES ? 0xff : 0, kind == DAMAGE_ONES ? len : 8 * len);
        return;
    }
    if (file->len == 0)
        return;
    size_t at = fuzz_take_u16(input) % file->len;
    if (kind == DAMAGE_CUT) {
        file->len = at;
    } else if (kind == DAMAGE_FLIP) {
        file->data[at] ^= (uint8_t)(1u << fuzz_take_u8(input) % 8);
    } else {
        struct rd_slice bytes = rd_slice_take(input, fuzz_take_u8(input));
        if (bytes.len > file->len - at)
            bytes.len = file->len - at;
        if (bytes.len != 0)
            memcpy(file->data + at, bytes.data, bytes.len);
    }
}

void fuzz_model_take(struct rd_slice *input, struct fuzz_model *ret_model)
{
    *ret_model = (struct fuzz_model){.entry_count = 0};
    rd_buffer_init(&ret_model->whole, 3 * FILE_LEN_MAX);
    rd_buffer_init(&ret_model->damaged, 3 * FILE_LEN_MAX);
    take_entries(input, ret_model);
    rd_buffer_append_slice(&ret_model->damaged, rd_buffer_slice(&ret_model->whole));
    for (int i = 0; i < DAMAGE_COUNT && input->len != 0; i++)
        take_damage(input, &ret_model->damaged);
    FUZZ_CHECK(!ret_model->damaged.failed);
}

void fuzz_model_deinit(struct fuzz_model *model)
{
    rd_buffer_deinit(&model->whole);
    rd_buffer_deinit(&model->damaged);
}

uint64_t fuzz_model_untouched(const struct fuzz_model *model)
{
    uint64_t at = 0;
    while (at < model->whole.len && at < model->damaged.len && model->whole.data[at] == model->damaged.data[at])
        at++;
    return at;
}

uint64_t fuzz_model_whole_below(const struct fuzz_model *model, uint64_t limit, size_t believed)
{
    uint64_t end = 0;
    for (size_t i = 0; i < model->entry_count && model->entries[i].end <= limit; i++) {
        if (model->entries[i].damaged && i >= believed)
            break;
        if (!model->entries[i].inside)
            end = model->entries[i].end;
    }
    return end;
}

uint64_t fuzz_model_recorded_tail(const struct fuzz_model *model)
{
    return model->recorded == 0 ? 0 : model->entries[model->recorded - 1].end;
}

void fuzz_note_trailer(struct rd_slice file, uint64_t end, struct rd_meta *meta)
{
    if (end < TOMBSTONE_LEN || end > file.len)
        return;
    meta->last_key = rd_load_u64le(file.data + end - TRAILER_LEN);
    meta->last_crc = rd_load_u32le(file.data + end - sizeof(uint32_t));
}

struct rd_meta fuzz_model_meta(const struct fuzz_model *model, bool clean)
{
    struct rd_meta meta = {.generation = 1,
                           .durable_tail = fuzz_model_recorded_tail(model),
                           .entry_count = model->recorded,
                           .clean = clean};
    fuzz_note_trailer(rd_buffer_slice(&model->whole), meta.durable_tail, &meta);
    return meta;
}
