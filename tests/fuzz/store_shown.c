/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/store_shown.h"

#include <stdlib.h>

#include "base/endian.h"
#include "tests/fuzz/fuzz.h"

#define RESERVED_KEY  UINT64_C(0x6472697665000001)
#define TRAILER_LEN   20u
#define TOMBSTONE_LEN 21u
#define TOMBSTONE_CRC 0xd202ef8du
#define VERIFY_STEP   1000u

static void append_line(uint64_t key, uint64_t offset, uint64_t len, uint32_t crc32, bool reads,
                        struct rd_buffer *out)
{
    rd_buffer_printf(out, "%016llx %llu+%llu %08x %s\n", (unsigned long long)key, (unsigned long long)offset,
                     (unsigned long long)len, crc32, reads ? "reads" : "corrupt");
}

/* ---- a store ----------------------------------------------------------------------------------------------- */

static bool check_value(struct rd_store *store, const struct rd_value *shown)
{
    struct rd_key key = rd_key_of_hash(shown->key_hash);
    struct rd_value found;
    struct rd_value read;
    FUZZ_CHECK(shown->payload.len != 0 && shown->offset % 64 == 0 && shown->prev_tail <= shown->offset);
    FUZZ_CHECK(shown->offset + shown->payload.len + TRAILER_LEN <= rd_store_file_size(store));
    FUZZ_CHECK(rd_store_exists(store, key));
    FUZZ_CHECK(rd_store_find(store, key, &found) == RD_OK);
    FUZZ_CHECK(found.offset == shown->offset && rd_slice_equal(found.payload, shown->payload));
    rd_value_release(&found);
    bool sound = rd_crc32(0, shown->payload) == shown->crc32;
    enum rd_status status = rd_store_read(store, key, &read);
    FUZZ_CHECK(status == (sound ? RD_OK : RD_CORRUPT));
    if (status == RD_OK) {
        FUZZ_CHECK(read.offset == shown->offset && read.crc32 == shown->crc32);
        rd_value_release(&read);
    }
    return sound;
}

static void check_last(struct rd_store *store, uint64_t newest)
{
    struct rd_value last;
    enum rd_status status = rd_store_read_last_entry(store, &last);
    FUZZ_CHECK(status == (newest == UINT64_MAX ? RD_KEY_NOT_FOUND : RD_OK));
    if (status != RD_OK)
        return;
    FUZZ_CHECK(last.offset == newest);
    rd_value_release(&last);
}

static void check_verification(struct rd_store *store, uint64_t corrupt)
{
    struct rd_verification found;
    uint64_t bytes = 0;
    uint64_t live = 0;
    uint64_t from = 0;
    bool all_listed = true;
    do {
        FUZZ_CHECK(rd_store_verify(store, from, VERIFY_STEP, &found) == RD_OK);
        FUZZ_CHECK((from == 0 || found.from == from) && found.next <= found.from);
        FUZZ_CHECK(found.next < found.from || found.next == 0);
        bytes += found.from - found.next;
        all_listed = all_listed && found.problem_count <= RD_PROBLEMS_MAX;
        for (uint64_t i = 0; i < found.problem_count && i < RD_PROBLEMS_MAX; i++) {
            FUZZ_CHECK(found.problems[i].offset + found.problems[i].len <= rd_store_file_size(store));
            live += found.problems[i].kind == RD_PROBLEM_PAYLOAD && found.problems[i].live;
        }
        from = found.next;
    } while (from != 0);
    FUZZ_CHECK(bytes == rd_store_file_size(store));
    FUZZ_CHECK(!all_listed || live == corrupt);
}

void fuzz_store_show(struct rd_store *store, struct rd_buffer *out)
{
    struct rd_cursor *cursor;
    struct rd_value value;
    uint64_t count = 0;
    uint64_t corrupt = 0;
    uint64_t newest = UINT64_MAX;
    uint64_t above = UINT64_MAX;
    FUZZ_CHECK(rd_cursor_open(store, 0, &cursor) == RD_OK);
    while (rd_cursor_next(cursor, &value)) {
        FUZZ_CHECK(value.offset < above && value.key_hash != RESERVED_KEY);
        above = value.offset;
        newest = count++ == 0 ? value.offset : newest;
        bool reads = check_value(store, &value);
        corrupt += !reads;
        append_line(value.key_hash, value.offset, value.payload.len, value.crc32, reads, out);
    }
    rd_cursor_close(cursor);
    FUZZ_CHECK(rd_store_len(store) == count && rd_store_is_empty(store) == (count == 0));
    check_last(store, newest);
    check_verification(store, corrupt);
}

/* ---- a file (docs/FORMAT.md, "Reading") ------------------------------------------------------------------- */

static bool is_known(const uint64_t *keys, size_t count, uint64_t key)
{
    for (size_t i = 0; i < count; i++)
        if (keys[i] == key)
            return true;
    return false;
}

void fuzz_file_show(struct rd_slice file, struct rd_buffer *out)
{
    uint64_t *keys = calloc(file.len / TOMBSTONE_LEN + 1, sizeof *keys);
    size_t count = 0;
    FUZZ_CHECK(keys != NULL);
    for (uint64_t end = file.len; end != 0;) {
        FUZZ_CHECK(end >= TOMBSTONE_LEN);
        uint64_t trailer = end - TRAILER_LEN;
        uint64_t key = rd_load_u64le(file.data + trailer);
        uint64_t prev_tail = rd_load_u64le(file.data + trailer + 8);
        uint32_t crc32 = rd_load_u32le(file.data + trailer + 16);
        FUZZ_CHECK(prev_tail < trailer);
        uint64_t payload = (prev_tail + 63) / 64 * 64;
        bool zero = file.data[prev_tail] == 0 && crc32 == TOMBSTONE_CRC;
        bool tombstone = end - prev_tail == TOMBSTONE_LEN && (payload != prev_tail || zero);
        FUZZ_CHECK(tombstone || payload < trailer);
        end = prev_tail;
        if (key == RESERVED_KEY || is_known(keys, count, key))
            continue;
        keys[count++] = key;
        if (tombstone)
            continue;
        struct rd_slice bytes = rd_slice(file.data + payload, trailer - payload);
        append_line(key, payload, bytes.len, crc32, rd_crc32(0, bytes) == crc32, out);
    }
    free(keys);
}
