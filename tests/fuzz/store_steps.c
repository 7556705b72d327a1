/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/store_steps.h"

#include <stdlib.h>

#include "base/buffer.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/scratch.h"
#include "tests/fuzz/store_model.h"
#include "tests/fuzz/store_shown.h"

#define ITEMS_MAX     4096u /* more than there are bytes of input */
#define VALUE_LEN_MAX (255u * 64u)
#define BATCH_COUNT   3u
#define ALIGN         64u
#define TRAILER_LEN   20u

enum { STEP_WRITE, STEP_BATCH, STEP_DELETE, STEP_RENAME, STEP_BEGIN, STEP_GO_ON, STEP_COMPACT, STEP_REOPEN };

/* A key and what it holds. */
struct item {
    uint64_t hash;
    uint64_t written; /* when, counted from 1; 0: it is not there */
    uint8_t *payload; /* owned */
    size_t len;
    uint32_t crc32; /* as it is stored, which damage may have made another one than the payload's */
};

struct run {
    struct rd_store *store;
    struct rd_store *(*open)(void);
    struct rd_compaction *compaction; /* owned; NULL: none is under way */
    bool undisturbed;                 /* nothing was written since it has begun */
    struct item *items;               /* owned */
    size_t item_count;
    uint64_t now; /* changes so far */
};

/* ---- the model --------------------------------------------------------------------------------------------- */

static struct item *item_of(struct run *run, uint64_t hash)
{
    for (size_t i = 0; i < run->item_count; i++)
        if (run->items[i].hash == hash)
            return &run->items[i];
    FUZZ_CHECK(run->item_count < ITEMS_MAX);
    struct item *item = &run->items[run->item_count++];
    *item = (struct item){.hash = hash};
    return item;
}

static void forget(struct run *run, uint64_t hash)
{
    struct item *item = item_of(run, hash);
    free(item->payload);
    *item = (struct item){.hash = hash};
}

static void note(struct run *run, uint64_t hash, struct rd_slice payload, uint32_t crc32)
{
    uint8_t *copy = fuzz_copy(payload);
    forget(run, hash);
    *item_of(run, hash) =
        (struct item){.hash = hash, .written = ++run->now, .payload = copy, .len = payload.len, .crc32 = crc32};
}

/* A cursor shows the newest first. */
static void note_found(struct run *run)
{
    struct rd_cursor *cursor;
    struct rd_value value;
    uint64_t count = rd_store_len(run->store);
    FUZZ_CHECK(rd_cursor_open(run->store, 0, &cursor) == RD_OK);
    for (uint64_t left = count; rd_cursor_next(cursor, &value); left--) {
        run->now = left - 1;
        note(run, value.key_hash, value.payload, value.crc32);
    }
    rd_cursor_close(cursor);
    run->now = count;
}

static int newest_first(const void *one, const void *other)
{
    const struct item *a = one;
    const struct item *b = other;
    return (a->written < b->written) - (a->written > b->written);
}

static void append_line(struct rd_buffer *out, uint64_t hash, struct rd_slice payload, uint32_t crc32)
{
    rd_buffer_printf(out, "%016llx %zu %08x %08x\n", (unsigned long long)hash, payload.len, rd_crc32(0, payload),
                     crc32);
}

static void show_model(struct run *run, struct rd_buffer *out)
{
    qsort(run->items, run->item_count, sizeof *run->items, newest_first);
    for (size_t i = 0; i < run->item_count && run->items[i].written != 0; i++)
        append_line(out, run->items[i].hash, rd_slice(run->items[i].payload, run->items[i].len),
                    run->items[i].crc32);
}

static void show_store(struct rd_store *store, struct rd_buffer *out)
{
    struct rd_cursor *cursor;
    struct rd_value value;
    FUZZ_CHECK(rd_cursor_open(store, 0, &cursor) == RD_OK);
    while (rd_cursor_next(cursor, &value))
        append_line(out, value.key_hash, value.payload, value.crc32);
    FUZZ_CHECK(rd_cursor_status(cursor) == RD_OK);
    rd_cursor_close(cursor);
}

/* Rule 2. */
static void check(struct run *run)
{
    struct rd_buffer expected;
    struct rd_buffer shown;
    struct rd_buffer lines;
    rd_buffer_init(&expected, 0);
    rd_buffer_init(&shown, 0);
    rd_buffer_init(&lines, 0);
    show_model(run, &expected);
    show_store(run->store, &shown);
    fuzz_check_same("the store does not show what was written", &expected, &shown);
    fuzz_store_show(run->store, &lines);
    rd_buffer_deinit(&lines);
    rd_buffer_deinit(&shown);
    rd_buffer_deinit(&expected);
}

/* ---- writing ----------------------------------------------------------------------------------------------- */

static uint64_t take_hash(struct rd_slice *input)
{
    return FUZZ_MODEL_KEY_BASE + fuzz_take_u8(input) % FUZZ_MODEL_KEY_COUNT;
}

/* len 0: no value that a store can have. */
static struct rd_slice take_payload(uint8_t what, struct rd_slice *input)
{
    static uint8_t payload[VALUE_LEN_MAX];
    size_t len = (size_t)fuzz_take_u8(input) << 2 * (what >> 3 & 3);
    uint8_t first = fuzz_take_u8(input);
    for (size_t i = 0; i < len; i++)
        payload[i] = (uint8_t)(first + i * (first >> 4));
    return rd_slice(payload, len == 1 && first == 0 ? 0 : len);
}

static void write_some(struct run *run, uint8_t what, size_t count, struct rd_slice *input)
{
    struct rd_entry entries[BATCH_COUNT];
    uint64_t first = take_hash(input);
    struct rd_slice payload = take_payload(what, input);
    if (payload.len == 0)
        return;
    for (size_t i = 0; i < count; i++)
        entries[i] = (struct rd_entry){.key = rd_key_of_hash(first + i), .payload = payload};
    if (count == 1)
        FUZZ_CHECK(rd_store_write(run->store, entries[0].key, payload, NULL) == RD_OK);
    else
        FUZZ_CHECK(rd_store_batch_write(run->store, entries, count, false, NULL) == RD_OK);
    for (size_t i = 0; i < count; i++)
        note(run, first + i, payload, rd_crc32(0, payload));
    run->undisturbed = false;
}

static void delete_key(struct run *run, struct rd_slice *input)
{
    struct rd_written written;
    uint64_t hash = take_hash(input);
    FUZZ_CHECK(rd_store_delete(run->store, rd_key_of_hash(hash), &written) == RD_OK);
    FUZZ_CHECK((written.count == 1) == (item_of(run, hash)->written != 0));
    forget(run, hash);
    run->undisturbed = false;
}

static void rename_key(struct run *run, struct rd_slice *input)
{
    uint64_t from = take_hash(input);
    uint64_t to = take_hash(input);
    const struct item *item = item_of(run, from);
    enum rd_status status = rd_store_rename(run->store, rd_key_of_hash(from), rd_key_of_hash(to), NULL);
    struct rd_slice payload = rd_slice(item->payload, item->len);
    if (from == to || item->written == 0 || rd_crc32(0, payload) != item->crc32) {
        FUZZ_CHECK(status == (from == to ? RD_CONFLICT : item->written == 0 ? RD_KEY_NOT_FOUND : RD_CORRUPT));
        return;
    }
    FUZZ_CHECK(status == RD_OK);
    note(run, to, payload, item->crc32);
    forget(run, from);
    run->undisturbed = false;
}

/* ---- compacting -------------------------------------------------------------------------------------------- */

static void give_up(struct run *run)
{
    rd_compaction_end(run->compaction);
    run->compaction = NULL;
}

static void begin(struct run *run)
{
    give_up(run);
    FUZZ_CHECK(rd_compaction_begin(run->store, &run->compaction, NULL) == RD_OK);
    run->undisturbed = true;
}

/* Rule 3: the bytes of a file that holds what lives, from its beginning. */
static uint64_t live_len(struct run *run)
{
    uint64_t end = 0;
    qsort(run->items, run->item_count, sizeof *run->items, newest_first);
    for (size_t i = run->item_count; i-- > 0;)
        if (run->items[i].written != 0)
            end = (end + ALIGN - 1) / ALIGN * ALIGN + run->items[i].len + TRAILER_LEN;
    return end;
}

static void end_done(struct run *run)
{
    struct rd_compacted result;
    struct rd_store_info info;
    rd_compaction_result(run->compaction, &result);
    give_up(run);
    rd_store_info(run->store, &info);
    FUZZ_CHECK(info.state == RD_STORE_OPEN && !info.compacting && info.generation == result.generation);
    if (run->undisturbed)
        FUZZ_CHECK(info.tail == live_len(run));
    check(run);
}

static void go_on(struct run *run, uint64_t len)
{
    bool done;
    uint64_t bytes;
    struct rd_error error = {.status = RD_OK};
    if (run->compaction == NULL)
        return;
    FUZZ_CHECK(rd_compaction_step(run->compaction, len, &bytes, &done, &error) == RD_OK);
    if (done)
        end_done(run);
}

static void compact(struct run *run)
{
    if (run->compaction == NULL)
        begin(run);
    while (run->compaction != NULL)
        go_on(run, UINT64_MAX);
}

/* ---- opening again ----------------------------------------------------------------------------------------- */

static const char *const endings[] = {"", ".meta", ".index", ".compact"};
#define ENDING_COUNT (sizeof endings / sizeof endings[0])

static void reopen(struct run *run)
{
    give_up(run);
    rd_store_close(run->store);
    run->store = run->open();
}

/* The files are put back as they were before whoever had them open could tidy up. */
static void crash(struct run *run)
{
    struct rd_buffer files[ENDING_COUNT];
    bool there[ENDING_COUNT];
    for (size_t i = 0; i < ENDING_COUNT; i++) {
        rd_buffer_init(&files[i], 0);
        there[i] = fuzz_read_file(endings[i], &files[i]);
    }
    give_up(run);
    rd_store_close(run->store);
    for (size_t i = 0; i < ENDING_COUNT; i++) {
        if (there[i])
            fuzz_write_file(endings[i], rd_buffer_slice(&files[i]));
        else
            (void)fuzz_unlink(endings[i]);
        rd_buffer_deinit(&files[i]);
    }
    run->store = run->open();
    FUZZ_CHECK(!fuzz_unlink(".compact")); /* what a compaction has left is nobody's */
}

/* ---- the whole --------------------------------------------------------------------------------------------- */

static void take_step(struct run *run, struct rd_slice *input)
{
    uint8_t what = fuzz_take_u8(input);
    switch (what & 7) {
    case STEP_WRITE:
        write_some(run, what, 1, input);
        break;
    case STEP_BATCH:
        write_some(run, what, BATCH_COUNT, input);
        break;
    case STEP_DELETE:
        delete_key(run, input);
        break;
    case STEP_RENAME:
        rename_key(run, input);
        break;
    case STEP_BEGIN:
        begin(run);
        break;
    case STEP_GO_ON:
        go_on(run, 8u * fuzz_take_u8(input));
        break;
    case STEP_COMPACT:
        compact(run);
        break;
    case STEP_REOPEN:
        if ((what & 8) != 0)
            crash(run);
        else
            reopen(run);
        check(run);
        break;
    }
}

struct rd_store *fuzz_steps_run(struct rd_slice input, struct rd_store *store, struct rd_store *(*open)(void))
{
    struct run run = {.store = store, .open = open, .items = calloc(ITEMS_MAX, sizeof(struct item))};
    FUZZ_CHECK(run.items != NULL);
    note_found(&run);
    while (input.len != 0)
        take_step(&run, &input);
    give_up(&run);
    check(&run);
    for (size_t i = 0; i < run.item_count; i++)
        free(run.items[i].payload);
    free(run.items);
    return run.store;
}
