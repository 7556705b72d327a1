/* SPDX-License-Identifier: MIT
 *
 * Opening a file: its bytes, and those of its companion, are whatever they are.
 *
 *   input   | choices u8 | [steps] | [companion] | a file's bytes, or how to make one (store_model.h) |
 *
 * choices: 1 the file is made; 2 there is a companion; 4 its bytes are given (64, else 14 bytes say what it
 * records: tail u32, clean u8, the key and checksum that it expects there: one u8 that is even for the right ones,
 * else 8 bytes of a key follow); 16 a u8 says how many bytes of steps follow: what is done to the store once it is
 * open (store_steps.h).
 *
 *  1. Looking changes nothing: a store opened read-only leaves its folder as it was, and one that cannot be opened
 *     leaves its file.
 *  2. What is cut off is kept aside, byte for byte, or is 0xff. What is left shows what a plain walk over it
 * shows.
 *  3. Nothing is cut of a chain that the companion records, nor of whole entries below the first damage.
 *  4. A store that is written to, and compacted meanwhile, shows what was written.
 *  5. What was readable stays so: a second opening shows the same, after a clean stop, after a crash, and without
 *     the companion. So it is after writes, which show as well. */
#include <stdio.h>
#include <stdlib.h>

#include "base/endian.h"
#include "engine/engine.h"
#include "engine/io.h"
#include "engine/meta.h"
#include "engine/recovery.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/scratch.h"
#include "tests/fuzz/store_model.h"
#include "tests/fuzz/store_shown.h"
#include "tests/fuzz/store_steps.h"

enum { CHOICE_MADE = 1, CHOICE_COMPANION = 2, CHOICE_COMPANION_BYTES = 4, CHOICE_CLEAN = 8, CHOICE_STEPS = 16 };

#define META_LEN     64u
#define META_SAYS    16u
#define RESERVED_KEY UINT64_C(0x6472697665000001)

static void expect_file(const char *ending, struct rd_slice expected)
{
    struct rd_buffer bytes;
    rd_buffer_init(&bytes, 0);
    FUZZ_CHECK(fuzz_read_file(ending, &bytes));
    FUZZ_CHECK(rd_slice_equal(rd_buffer_slice(&bytes), expected));
    rd_buffer_deinit(&bytes);
}

/* ---- the companion ----------------------------------------------------------------------------------------- */

struct companion {
    bool there;
    struct rd_meta meta; /* as the engine reads it */
};

static struct rd_meta take_meta(struct rd_slice *input, struct rd_slice file)
{
    struct rd_meta meta = {.generation = 1};
    meta.durable_tail = fuzz_take_u32(input);
    meta.entry_count = fuzz_take_u16(input);
    meta.clean = fuzz_take_u8(input) % 2 == 1;
    if (fuzz_take_u8(input) % 2 == 0)
        fuzz_note_trailer(file, meta.durable_tail, &meta);
    else
        meta.last_key = fuzz_take_u64(input);
    return meta;
}

/* Writes what the choices say; model NULL: the file's bytes were given. */
static void make_companion(uint8_t choices, struct rd_slice given, const struct fuzz_model *model,
                           struct rd_slice file)
{
    if ((choices & CHOICE_COMPANION_BYTES) != 0) {
        fuzz_write_file(".meta", given);
        return;
    }
    bool clean = (choices & CHOICE_CLEAN) != 0;
    struct rd_meta meta = model != NULL ? fuzz_model_meta(model, clean) : take_meta(&given, file);
    FUZZ_CHECK(rd_meta_write(fuzz_io(), fuzz_store_path(), &meta, false) == 0);
}

/* ---- opening ----------------------------------------------------------------------------------------------- */

static enum rd_status open_store(bool read_only, struct rd_store **ret_store)
{
    struct rd_store_options options = {.read_only = read_only, .durability = RD_DURABILITY_NONE, .io = fuzz_io()};
    struct rd_error error = {.status = RD_OK};
    enum rd_status status = rd_store_open(fuzz_store_path(), &options, ret_store, &error);
    FUZZ_CHECK(status == RD_OK || (error.status == status && error.message[0] != '\0'));
    FUZZ_CHECK(status == RD_OK || status == RD_NOT_A_STORE);
    return status;
}

/* Opens, and holds what is shown against `expected`. */
static void expect_shown(const struct rd_buffer *expected)
{
    struct rd_store *store;
    struct rd_buffer shown;
    rd_buffer_init(&shown, 0);
    FUZZ_CHECK(open_store(false, &store) == RD_OK);
    fuzz_store_show(store, &shown);
    rd_store_close(store);
    fuzz_check_same("another opening shows something else", expected, &shown);
    rd_buffer_deinit(&shown);
}

/* True: it opened, and what it shows is in *out. */
static bool look(struct rd_slice file, struct rd_buffer *out)
{
    struct rd_store *store;
    unsigned file_count = fuzz_count_files();
    bool opened = open_store(true, &store) == RD_OK;
    if (opened) {
        fuzz_store_show(store, out);
        rd_store_close(store);
    }
    expect_file("", file);
    FUZZ_CHECK(fuzz_count_files() == file_count);
    return opened;
}

/* Without the bytes 0xFF at its end: these are the file running ahead of its tail. */
static struct rd_slice without_ones(struct rd_slice bytes)
{
    while (bytes.len != 0 && bytes.data[bytes.len - 1] == 0xff)
        bytes.len--;
    return bytes;
}

static bool all_ones(struct rd_slice bytes)
{
    return without_ones(bytes).len == 0;
}

/* Rule 2: `before` is what the file was. */
static void check_cut(struct rd_slice before, uint64_t tail)
{
    char ending[40];
    struct rd_buffer aside;
    FUZZ_CHECK(tail <= before.len);
    struct rd_slice rest = without_ones(rd_slice(before.data + tail, before.len - tail));
    expect_file("", rd_slice(before.data, tail));
    rd_buffer_init(&aside, 0);
    snprintf(ending, sizeof ending, ".torn-%llu", (unsigned long long)tail);
    if (fuzz_read_file(ending, &aside))
        FUZZ_CHECK(rest.len != 0 && rd_slice_equal(rd_buffer_slice(&aside), rest));
    else
        FUZZ_CHECK(rest.len == 0);
    rd_buffer_deinit(&aside);
}

/* Rule 3, of a chain that leads from where the companion says to the beginning. */
static uint64_t recorded_chain(struct rd_slice file, const struct companion *companion)
{
    struct rd_meta found = {.generation = 0};
    uint64_t end = companion->meta.durable_tail;
    fuzz_note_trailer(file, end, &found);
    if (!companion->there || end > file.len || found.last_key != companion->meta.last_key ||
        found.last_crc != companion->meta.last_crc)
        return 0;
    uint64_t links = 0;
    for (; end != 0; links++) {
        uint64_t prev_tail = end < 21 ? end : rd_load_u64le(file.data + end - 12);
        uint64_t payload = end - prev_tail == 21 ? prev_tail : (prev_tail + 63) / 64 * 64;
        if (prev_tail >= end || payload + 20 >= end)
            return 0;
        end = prev_tail;
    }
    return links == companion->meta.entry_count ? companion->meta.durable_tail : 0;
}

static void check_kept(struct rd_slice file, const struct fuzz_model *model, const struct companion *companion,
                       uint64_t kept)
{
    FUZZ_CHECK(kept >= recorded_chain(file, companion));
    if (model == NULL)
        return;
    uint64_t untouched = fuzz_model_untouched(model);
    uint64_t recorded = fuzz_model_recorded_tail(model);
    bool believed = companion->there && recorded <= untouched;
    FUZZ_CHECK(kept >= fuzz_model_whole_below(model, untouched, believed ? model->recorded : 0));
    if (companion->there)
        FUZZ_CHECK(kept >= (recorded < file.len ? recorded : file.len));
}

/* ---- recovery alone, on a block whose bounds are watched --------------------------------------------------- */

static void check_recovery(struct rd_slice file, const struct companion *companion)
{
    struct rd_recovery first = {.tail = UINT64_MAX};
    struct rd_recovery again = {.tail = UINT64_MAX};
    struct rd_recovery_hint hint = {.durable_tail = companion->meta.durable_tail,
                                    .entry_count = companion->meta.entry_count,
                                    .last_key = companion->meta.last_key,
                                    .last_crc = companion->meta.last_crc,
                                    .clean = companion->meta.clean};
    const struct rd_recovery_hint *used = companion->there ? &hint : NULL;
    if (rd_recovery_examine(file, used, &first) != RD_OK) {
        FUZZ_CHECK(first.tail == UINT64_MAX);
        return;
    }
    FUZZ_CHECK(first.tail <= file.len);
    if (first.damaged) {
        FUZZ_CHECK(first.damage_begin < first.damage_end && first.damage_end <= file.len);
        return;
    }
    FUZZ_CHECK(first.rest_end >= first.tail && first.rest_end <= file.len);
    FUZZ_CHECK(all_ones(rd_slice(file.data + first.rest_end, file.len - first.rest_end)));
    FUZZ_CHECK(first.rest_end == first.tail || file.data[first.rest_end - 1] != 0xff);
    uint8_t *copy = fuzz_copy(rd_slice(file.data, first.tail));
    FUZZ_CHECK(rd_recovery_examine(rd_slice(copy, first.tail), used, &again) == RD_OK);
    FUZZ_CHECK(again.tail == first.tail && !again.damaged);
    free(copy);
}

/* ---- writing to what was found (5) -------------------------------------------------------------------------- */

static void write_some(struct rd_store *store)
{
    struct rd_key key = rd_key_of_bytes(rd_slice_of_string("fuzz"));
    struct rd_key other = rd_key_of_bytes(rd_slice_of_string("other"));
    struct rd_entry entries[] = {{.key = other, .payload = rd_slice_of_string("one")},
                                 {.key = key, .payload = rd_slice_of_string("two")}};
    struct rd_value value;
    FUZZ_CHECK(rd_store_write(store, key, rd_slice_of_string("first"), NULL) == RD_OK);
    FUZZ_CHECK(rd_store_batch_write(store, entries, 2, false, NULL) == RD_OK);
    FUZZ_CHECK(rd_store_read(store, key, &value) == RD_OK);
    FUZZ_CHECK(rd_slice_equal(value.payload, entries[1].payload));
    rd_value_release(&value);
    FUZZ_CHECK(rd_store_delete(store, other, NULL) == RD_OK);
    FUZZ_CHECK(!rd_store_exists(store, other));
}

/* All that was shown but for the one key is shown below what is new. */
static void check_only_added(const struct rd_buffer *before, const struct rd_buffer *after)
{
    struct rd_slice old = rd_buffer_slice(before);
    char own[20];
    snprintf(own, sizeof own, "%016llx ", (unsigned long long)rd_key_of_bytes(rd_slice_of_string("fuzz")).hash);
    const uint8_t *end = after->len == 0 ? NULL : memchr(after->data, '\n', after->len);
    FUZZ_CHECK(end != NULL && memcmp(after->data, own, strlen(own)) == 0);
    struct rd_slice rest = rd_slice(end + 1, (size_t)(after->data + after->len - end - 1));
    FUZZ_CHECK(rd_slice_equal(old, rest));
}

/* Whether the bytes of the entry at the file's beginning are not those that were written. */
static bool first_is_damaged(struct rd_slice file)
{
    uint64_t end = file.len;
    while (rd_load_u64le(file.data + end - 12) != 0)
        end = rd_load_u64le(file.data + end - 12);
    return rd_crc32(0, rd_slice(file.data, end - 20)) != rd_load_u32le(file.data + end - 4);
}

/* Each line of what reads is among what is shown. */
static void check_readable(const struct rd_buffer *expected, const struct rd_buffer *shown)
{
    static const char reads[] = " reads\n";
    struct rd_slice left = rd_buffer_slice(expected);
    while (left.len != 0) {
        const uint8_t *end = memchr(left.data, '\n', left.len);
        struct rd_slice line = rd_slice_take(&left, (size_t)(end - left.data) + 1);
        bool is_readable =
            line.len > strlen(reads) && memcmp(line.data + line.len - strlen(reads), reads, strlen(reads)) == 0;
        FUZZ_CHECK(!is_readable || memmem(shown->data, shown->len, line.data, line.len) != NULL);
    }
}

/* Without a companion. Of a first value that is itself a store, and is damaged, it cannot be told that it is one
 * value: then all that reads is shown, what cannot be told is named, and nothing is cut. */
static void expect_shown_alone(const struct rd_buffer *expected)
{
    struct rd_store *store;
    struct rd_store_info info;
    struct rd_buffer file;
    struct rd_buffer looked;
    struct rd_buffer shown;
    rd_buffer_init(&file, 0);
    rd_buffer_init(&looked, 0);
    rd_buffer_init(&shown, 0);
    FUZZ_CHECK(fuzz_read_file("", &file));
    FUZZ_CHECK(look(rd_buffer_slice(&file), &looked));
    FUZZ_CHECK(open_store(false, &store) == RD_OK);
    fuzz_store_show(store, &shown);
    fuzz_check_same("opened read-only it shows something else", &looked, &shown);
    rd_store_info(store, &info);
    rd_store_close(store);
    if (info.state == RD_STORE_OPEN) {
        fuzz_check_same("it shows something else without its companion", expected, &shown);
    } else {
        FUZZ_CHECK(first_is_damaged(rd_buffer_slice(&file)) && info.reason[0] != '\0');
        check_readable(expected, &shown);
        expect_file("", rd_buffer_slice(&file));
    }
    rd_buffer_deinit(&shown);
    rd_buffer_deinit(&looked);
    rd_buffer_deinit(&file);
}

static void reopen(struct rd_store *store, const struct rd_buffer *shown)
{
    struct rd_buffer meta;
    struct rd_buffer after;
    struct rd_buffer walked;
    struct rd_buffer file;
    rd_buffer_init(&meta, 0);
    rd_buffer_init(&after, 0);
    rd_buffer_init(&walked, 0);
    rd_buffer_init(&file, 0);
    FUZZ_CHECK(fuzz_read_file(".meta", &meta));
    write_some(store);
    fuzz_store_show(store, &after);
    check_only_added(shown, &after);
    rd_store_close(store);
    expect_shown(&after); /* after a clean stop */
    fuzz_write_file(".meta", rd_buffer_slice(&meta));
    expect_shown(&after); /* after a crash */
    FUZZ_CHECK(fuzz_unlink(".meta"));
    expect_shown_alone(&after);
    FUZZ_CHECK(fuzz_read_file("", &file));
    fuzz_file_show(rd_buffer_slice(&file), &walked);
    fuzz_check_same("the file is not in good order", &after, &walked);
    rd_buffer_deinit(&file);
    rd_buffer_deinit(&walked);
    rd_buffer_deinit(&after);
    rd_buffer_deinit(&meta);
}

/* ---- the whole --------------------------------------------------------------------------------------------- */

static struct rd_store *open_again(void)
{
    struct rd_store *store;
    FUZZ_CHECK(open_store(false, &store) == RD_OK);
    return store;
}

/* Rule 4. *shown is what the store showed, and what it shows then. */
static struct rd_store *take_steps(struct rd_slice steps, struct rd_store *store, struct rd_buffer *shown)
{
    if (steps.len == 0)
        return store;
    struct rd_store *after = fuzz_steps_run(steps, store, open_again);
    rd_buffer_clear(shown);
    fuzz_store_show(after, shown);
    return after;
}

static void run(struct rd_slice file, const struct fuzz_model *model, const struct companion *companion,
                struct rd_slice steps)
{
    struct rd_store *store;
    struct rd_store_info info;
    struct rd_buffer looked;
    struct rd_buffer shown;
    rd_buffer_init(&looked, 0);
    rd_buffer_init(&shown, 0);
    bool opened = look(file, &looked);
    FUZZ_CHECK((open_store(false, &store) == RD_OK) == opened);
    if (!opened) {
        expect_file("", file);
    } else {
        fuzz_store_show(store, &shown);
        fuzz_check_same("opened read-only it shows something else", &looked, &shown);
        rd_store_info(store, &info);
        if (info.state == RD_STORE_OPEN) {
            struct rd_buffer walked;
            rd_buffer_init(&walked, 0);
            check_cut(file, info.tail);
            check_kept(file, model, companion, info.tail);
            fuzz_file_show(rd_slice(file.data, info.tail), &walked);
            fuzz_check_same("a plain walk shows something else", &shown, &walked);
            rd_buffer_deinit(&walked);
            reopen(take_steps(steps, store, &shown), &shown);
        } else {
            FUZZ_CHECK(info.reason[0] != '\0');
            rd_store_close(store);
            expect_file("", file);
            expect_shown(&shown);
        }
    }
    rd_buffer_deinit(&shown);
    rd_buffer_deinit(&looked);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct rd_slice input = rd_slice(data, len);
    struct companion companion = {.there = false};
    struct fuzz_model model;
    uint8_t choices = fuzz_take_u8(&input);
    bool made = (choices & CHOICE_MADE) != 0;
    size_t given_len = (choices & CHOICE_COMPANION_BYTES) != 0 ? META_LEN : META_SAYS;
    struct rd_slice given = {0};
    struct rd_slice steps = {0};
    if ((choices & CHOICE_STEPS) != 0)
        steps = rd_slice_take(&input, fuzz_take_u8(&input));
    if ((choices & CHOICE_COMPANION) != 0 && (!made || (choices & CHOICE_COMPANION_BYTES) != 0))
        given = rd_slice_take(&input, given_len);
    if (made) {
        fuzz_model_take(&input, &model);
        input = rd_buffer_slice(&model.damaged);
    }
    uint8_t *copy = fuzz_copy(input);
    struct rd_slice file = rd_slice(copy, input.len);
    fuzz_write_file("", file);
    if ((choices & CHOICE_COMPANION) != 0)
        make_companion(choices, given, made ? &model : NULL, file);
    companion.there = rd_meta_read(fuzz_io(), fuzz_store_path(), &companion.meta);
    check_recovery(file, &companion);
    bool of_model = made && (choices & CHOICE_COMPANION_BYTES) == 0;
    run(file, of_model ? &model : NULL, &companion, steps);
    fuzz_empty_folder();
    free(copy);
    if (made)
        fuzz_model_deinit(&model);
    return 0;
}
