/* SPDX-License-Identifier: MIT
 *
 * model.h - a store's bytes as a test makes them itself, entry by entry, and what a store opened on them must
 * show. It shares no code with the engine but the checksum.
 */
#ifndef RD_TESTS_ENGINE_MODEL_H
#define RD_TESTS_ENGINE_MODEL_H

#include "tests/unit/engine/fixture.h"

/* Key hashes count up from here: no number that a file's offset could be. */
#define MODEL_HASH UINT64_C(0xa1b2c3d400000000)

struct made {
    uint64_t hash;
    uint64_t prev_tail;
    uint64_t payload_offset;
    uint64_t payload_len;
    uint64_t end;
    bool tombstone;
};

struct model {
    struct rd_buffer bytes;
    struct made *entries;
    size_t count;
    size_t capacity;
};

UNUSED static void model_init(struct model *model)
{
    *model = (struct model){0};
    rd_buffer_init(&model->bytes, 0);
}

UNUSED static void model_deinit(struct model *model)
{
    rd_buffer_deinit(&model->bytes);
    free(model->entries);
}

UNUSED static uint64_t model_tail(const struct model *model)
{
    return model->bytes.len;
}

UNUSED static void model_add(struct model *model, uint64_t hash, struct rd_slice payload, bool tombstone)
{
    static const uint8_t zeros[64];
    if (model->count == model->capacity) {
        model->capacity = model->capacity == 0 ? 64 : 2 * model->capacity;
        model->entries = realloc(model->entries, model->capacity * sizeof *model->entries);
    }
    struct made *made = &model->entries[model->count++];
    *made = (struct made){.hash = hash, .prev_tail = model->bytes.len, .tombstone = tombstone};
    if (tombstone)
        payload = rd_slice(zeros, 1);
    else
        rd_buffer_append(&model->bytes, zeros, (size_t)-model->bytes.len % 64);
    made->payload_offset = model->bytes.len;
    made->payload_len = payload.len;
    rd_buffer_append_slice(&model->bytes, payload);
    rd_buffer_append_u64le(&model->bytes, hash);
    rd_buffer_append_u64le(&model->bytes, made->prev_tail);
    rd_buffer_append_u32le(&model->bytes, rd_crc32(0, payload));
    made->end = model->bytes.len;
    assert_false(model->bytes.failed);
}

UNUSED static void model_add_random(struct model *model, uint64_t hash, size_t len)
{
    uint8_t *payload = malloc(len);
    random_fill(payload, len);
    if (len == 1 && payload[0] == 0)
        payload[0] = 1;
    model_add(model, hash, rd_slice(payload, len), false);
    free(payload);
}

/* Few keys, so that some entries are dead; about one entry in seven is a tombstone of a key that may not live. */
UNUSED static void model_fill(struct model *model, size_t count, size_t len_max, uint64_t keys)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t hash = MODEL_HASH + random_below(keys);
        if (random_below(7) == 0)
            model_add(model, hash, rd_slice(NULL, 0), true);
        else
            model_add_random(model, hash, 1 + random_below(len_max));
    }
}

/* The last of the first `count` entries that has this key; count where none. */
UNUSED static size_t model_latest(const struct model *model, size_t count, uint64_t hash)
{
    for (size_t i = count; i > 0; i--)
        if (model->entries[i - 1].hash == hash)
            return i - 1;
    return count;
}

UNUSED static size_t model_whole_entries(const struct model *model, uint64_t len)
{
    size_t count = 0;
    while (count < model->count && model->entries[count].end <= len)
        count++;
    return count;
}

#define NONE SIZE_MAX

/* The store shows exactly the first `count` entries, but that the key of entry `corrupt` answers so. Returns how
 * many live. */
UNUSED static uint64_t check_entries(struct rd_store *store, const struct model *model, size_t count,
                                     size_t corrupt)
{
    uint64_t live = 0;
    for (size_t i = 0; i < model->count; i++) {
        const struct made *made = &model->entries[i];
        size_t latest = model_latest(model, count, made->hash);
        if (latest == count || model->entries[latest].tombstone) {
            expect_status(store, rd_key_of_hash(made->hash), RD_KEY_NOT_FOUND);
            continue;
        }
        const struct made *shown = &model->entries[latest];
        if (latest == corrupt)
            expect_status(store, rd_key_of_hash(made->hash), RD_CORRUPT);
        else
            expect_bytes(store, rd_key_of_hash(made->hash), model->bytes.data + shown->payload_offset,
                         shown->payload_len);
        live += latest == i;
    }
    return live;
}

UNUSED static void check_store(struct rd_store *store, const struct model *model, size_t count, size_t corrupt)
{
    assert_int_equal(rd_store_len(store), check_entries(store, model, count, corrupt));
}

/* The file alone. */
UNUSED static void write_model(const char *path, const struct model *model, uint64_t len)
{
    remove_companion(path);
    rd_file_write(path, rd_slice(model->bytes.data, len));
}

#endif
