/* SPDX-License-Identifier: MIT
 *
 * The companion that holds a store's index: its bytes are whatever they are.
 *
 *   input   | choices u8 | edit count u8, edits: at u16, len u8, bytes | how to make a store (store_model.h) |
 *
 * choices: 1 the edited bytes get the checksums that they should have.
 *
 *  1. As it was written, and edited without its checksums, the store shows what it shows without it.
 *  2. Forged, it may hide keys or show others, but nothing is read where nothing is, nothing hangs, and what was
 *     written to the store meanwhile is there once the companion is gone: the file is what counts. */
#include <stdio.h>
#include <stdlib.h>

#include "base/endian.h"
#include "engine/checkpoint.h"
#include "engine/digest.h"
#include "engine/engine.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/scratch.h"
#include "tests/fuzz/store_model.h"
#include "tests/fuzz/store_shown.h"

enum { CHOICE_SEALED = 1 };

#define HEADER_LEN     128u
#define AT_PART_COUNT  80u
#define AT_BODY_HASH   88u
#define AT_HEADER_HASH 120u
#define SLOT_BITS_MAX  20u
#define EDITS_MAX      8u

/* ---- the companion as it should be -------------------------------------------------------------------------- */

static void put(struct rd_index *index, const uint8_t *file, uint64_t key, uint64_t trailer)
{
    bool lost = false;
    rd_index_begin(index);
    FUZZ_CHECK(rd_index_reserve(index, file, key, &lost) == RD_OK);
    rd_index_put(index, file, key, trailer);
}

/* Of the entries up to the recorded tail, from the newest to the oldest: the first of a key decides. */
static uint64_t fill_index(struct rd_index *index, struct rd_slice file)
{
    struct rd_buffer shown;
    uint64_t live_bytes = 0;
    rd_buffer_init(&shown, 0);
    fuzz_file_show(file, &shown);
    rd_buffer_append_u8(&shown, 0);
    for (char *line = (char *)shown.data; *line != '\0'; line = strchr(line, '\n') + 1) {
        unsigned long long key;
        unsigned long long offset;
        unsigned long long len;
        FUZZ_CHECK(sscanf(line, "%llx %llu+%llu", &key, &offset, &len) == 3);
        put(index, file.data, key, offset + len);
        live_bytes += len + 20;
    }
    rd_buffer_deinit(&shown);
    return live_bytes;
}

static void write_checkpoint(const struct fuzz_model *model, const struct rd_meta *meta)
{
    struct rd_epoch epoch;
    struct rd_index index;
    struct rd_checkpoint checkpoint = {.generation = meta->generation,
                                       .tail = meta->durable_tail,
                                       .entry_count = meta->entry_count,
                                       .last_key = meta->last_key,
                                       .last_crc = meta->last_crc};
    rd_epoch_init(&epoch);
    FUZZ_CHECK(rd_index_init(&index, &epoch, 0) == RD_OK);
    checkpoint.live_bytes = fill_index(&index, rd_slice(model->whole.data, meta->durable_tail));
    FUZZ_CHECK(rd_checkpoint_write(fuzz_io(), fuzz_store_path(), &checkpoint, &index, UINT64_MAX) == 0);
    rd_epoch_deinit(&epoch);
    rd_index_deinit(&index);
}

/* ---- and as it is ------------------------------------------------------------------------------------------- */

/* The checksums that a reader of these bytes looks for, as far as there are bytes. */
static void seal(struct rd_buffer *bytes)
{
    uint64_t part_count = rd_load_u64le(bytes->data + AT_PART_COUNT);
    uint64_t table_len = part_count > bytes->len ? bytes->len : (part_count * 2 + 63) / 64 * 64;
    if (HEADER_LEN + table_len < bytes->len) {
        const uint8_t *table = bytes->data + HEADER_LEN;
        struct rd_slice left = rd_slice(table + table_len, bytes->len - HEADER_LEN - table_len);
        uint64_t hash = rd_hash64(0, rd_slice(table, table_len));
        for (uint64_t i = 0; i < part_count && table[2 * i + 1] <= SLOT_BITS_MAX; i++)
            hash = rd_hash64(hash, rd_slice_take(&left, (size_t)8 << table[2 * i + 1]));
        rd_store_u64le(bytes->data + AT_BODY_HASH, hash);
    }
    rd_store_u64le(bytes->data + AT_HEADER_HASH, rd_hash64(0, rd_slice(bytes->data, AT_HEADER_HASH)));
}

static void edit(struct rd_slice *input, struct rd_buffer *bytes)
{
    size_t at = fuzz_take_u16(input) % bytes->len;
    struct rd_slice written = rd_slice_take(input, fuzz_take_u8(input));
    if (written.len > bytes->len - at)
        written.len = bytes->len - at;
    if (written.len != 0)
        memcpy(bytes->data + at, written.data, written.len);
}

static void take_edits(struct rd_slice *input, bool sealed, struct rd_buffer *bytes)
{
    uint8_t count = fuzz_take_u8(input) % (EDITS_MAX + 1);
    for (uint8_t i = 0; i < count; i++)
        edit(input, bytes);
    if (sealed)
        seal(bytes);
}

/* ---- the store beside it ------------------------------------------------------------------------------------ */

static struct rd_store *open_store(bool read_only)
{
    struct rd_store_options options = {.read_only = read_only, .durability = RD_DURABILITY_NONE, .io = fuzz_io()};
    struct rd_store *store = NULL;
    FUZZ_CHECK(rd_store_open(fuzz_store_path(), &options, &store, NULL) == RD_OK);
    return store;
}

static void show(struct rd_buffer *out)
{
    struct rd_store *store = open_store(true);
    fuzz_store_show(store, out);
    rd_store_close(store);
}

static void expect_shown(const struct rd_buffer *expected)
{
    struct rd_buffer shown;
    rd_buffer_init(&shown, 0);
    show(&shown);
    fuzz_check_same("the companion changes what is shown", expected, &shown);
    rd_buffer_deinit(&shown);
}

/* Every way to an entry, whatever it finds; then a few operations. */
static void use(struct rd_store *store, const struct fuzz_model *model)
{
    struct rd_cursor *cursor;
    struct rd_value value;
    struct rd_verification found;
    struct rd_key key = rd_key_of_bytes(rd_slice_of_string("fuzz"));
    for (size_t i = 0; i < model->entry_count; i++) {
        struct rd_key one = rd_key_of_hash(rd_load_u64le(model->whole.data + model->entries[i].end - 20));
        (void)rd_store_exists(store, one);
        if (rd_store_read(store, one, &value) == RD_OK)
            rd_value_release(&value);
    }
    FUZZ_CHECK(rd_cursor_open(store, 0, &cursor) == RD_OK);
    while (rd_cursor_next(cursor, &value))
        (void)!rd_value_verify(&value);
    rd_cursor_close(cursor);
    if (rd_store_read_last_entry(store, &value) == RD_OK)
        rd_value_release(&value);
    FUZZ_CHECK(rd_store_verify(store, 0, UINT64_MAX, &found) == RD_OK);
    FUZZ_CHECK(rd_store_write(store, key, rd_slice_of_string("value"), NULL) == RD_OK);
    for (size_t i = 0; i < model->entry_count && i < 2; i++) {
        struct rd_key one = rd_key_of_hash(rd_load_u64le(model->whole.data + model->entries[i].end - 20));
        enum rd_status status = rd_store_delete(store, one, NULL);
        FUZZ_CHECK(status == RD_OK || status == RD_INVALID_ARGUMENT);
    }
}

static void use_forged(const struct fuzz_model *model)
{
    struct rd_buffer file;
    struct rd_buffer walked;
    struct rd_store *store = open_store(false);
    use(store, model);
    rd_store_close(store);
    fuzz_unlink(".index");
    rd_buffer_init(&file, 0);
    rd_buffer_init(&walked, 0);
    FUZZ_CHECK(fuzz_read_file("", &file));
    fuzz_file_show(rd_buffer_slice(&file), &walked);
    expect_shown(&walked);
    FUZZ_CHECK(memmem(walked.data, walked.len, "+5 ", 3) != NULL); /* what was written */
    rd_buffer_deinit(&walked);
    rd_buffer_deinit(&file);
}

static void run(bool sealed, struct rd_slice *edits, const struct fuzz_model *model)
{
    struct rd_buffer expected;
    struct rd_buffer bytes;
    struct rd_meta meta = fuzz_model_meta(model, model->recorded == model->entry_count);
    rd_buffer_init(&expected, 0);
    rd_buffer_init(&bytes, 0);
    fuzz_write_file("", rd_buffer_slice(&model->whole));
    FUZZ_CHECK(rd_meta_write(fuzz_io(), fuzz_store_path(), &meta, false) == 0);
    show(&expected);
    write_checkpoint(model, &meta);
    expect_shown(&expected);
    FUZZ_CHECK(fuzz_read_file(".index", &bytes));
    take_edits(edits, sealed, &bytes);
    fuzz_write_file(".index", rd_buffer_slice(&bytes));
    if (sealed)
        use_forged(model);
    else
        expect_shown(&expected);
    rd_buffer_deinit(&bytes);
    rd_buffer_deinit(&expected);
}

/* The edits lie in front, so that the rest can be whatever makes a store. */
static struct rd_slice skip_edits(struct rd_slice *input)
{
    struct rd_slice edits = *input;
    uint8_t count = fuzz_take_u8(input) % (EDITS_MAX + 1);
    for (uint8_t i = 0; i < count; i++) {
        (void)fuzz_take_u16(input);
        rd_slice_take(input, fuzz_take_u8(input));
    }
    edits.len -= input->len;
    return edits;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct rd_slice input = rd_slice(data, len);
    struct fuzz_model model;
    bool sealed = (fuzz_take_u8(&input) & CHOICE_SEALED) != 0;
    struct rd_slice edits = skip_edits(&input);
    fuzz_model_take(&input, &model);
    if (model.recorded != 0)
        run(sealed, &edits, &model);
    fuzz_empty_folder();
    fuzz_model_deinit(&model);
    return 0;
}
