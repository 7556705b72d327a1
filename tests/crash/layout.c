/* SPDX-License-Identifier: MIT */
#include "tests/crash/layout.h"

#include <stdlib.h>

#include "base/endian.h"
#include "engine/engine.h"

#define RESERVED_HASH UINT64_C(0x6472697665000001)
#define TOMBSTONE_CRC 0xd202ef8du
#define TRAILER_LEN   20u
#define TOMBSTONE_LEN 21u
#define HASH_LEN      8u
#define LINK_LEN      8u
#define ALIGNMENT     64u
#define HOLE_LEN_MIN  4096u

const char *const region_names[REGION_COUNT] = {"pad",  "payload", "dead payload", "hole",        "tombstone byte",
                                                "hash", "link",    "checksum",     "marker count"};

static struct entry read_entry(struct rd_slice file, uint64_t end)
{
    if (end < TOMBSTONE_LEN)
        die("no entry can end at %llu", (unsigned long long)end);
    struct entry entry = {.end = end, .trailer = end - TRAILER_LEN};
    const uint8_t *trailer = file.data + entry.trailer;
    uint32_t crc = rd_load_u32le(trailer + HASH_LEN + LINK_LEN);
    entry.hash = rd_load_u64le(trailer);
    entry.begin = rd_load_u64le(trailer + HASH_LEN);
    bool own = entry.hash == RESERVED_HASH;
    entry.own = own;
    if (end - entry.begin == TOMBSTONE_LEN && file.data[entry.begin] == 0 && (own || crc == TOMBSTONE_CRC)) {
        entry.kind = own && crc != TOMBSTONE_CRC ? ENTRY_MARKER : ENTRY_TOMBSTONE;
        entry.payload = entry.begin;
        entry.batch_count = entry.kind == ENTRY_MARKER ? crc : 0;
        return entry;
    }
    entry.kind = own ? ENTRY_FILLER : ENTRY_VALUE;
    entry.payload = (entry.begin + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (entry.payload >= entry.trailer)
        die("no entry can lie in %llu to %llu", (unsigned long long)entry.begin, (unsigned long long)end);
    if (rd_crc32(0, rd_slice(file.data + entry.payload, entry.trailer - entry.payload)) != crc)
        die("the entry at %llu is damaged", (unsigned long long)entry.begin);
    return entry;
}

static size_t count_entries(struct rd_slice file)
{
    size_t count = 0;
    for (uint64_t end = file.len; end != 0; end = read_entry(file, end).begin)
        count++;
    return count;
}

static bool has_later(const struct layout *layout, size_t index)
{
    for (size_t i = index + 1; i < layout->count; i++)
        if (layout->entries[i].hash == layout->entries[index].hash)
            return true;
    return false;
}

void layout_read(struct layout *layout, struct rd_slice file)
{
    *layout = (struct layout){.count = count_entries(file)};
    layout->entries = allocate(layout->count, sizeof *layout->entries);
    uint64_t end = file.len;
    for (size_t i = layout->count; i > 0; i--) {
        layout->entries[i - 1] = read_entry(file, end);
        end = layout->entries[i - 1].begin;
    }
    for (size_t i = 0; i < layout->count; i++)
        layout->entries[i].latest = !has_later(layout, i);
}

void layout_deinit(struct layout *layout)
{
    free(layout->entries);
}

const struct entry *layout_entry_at(const struct layout *layout, uint64_t offset)
{
    for (size_t i = 0; i < layout->count; i++)
        if (offset < layout->entries[i].end)
            return &layout->entries[i];
    die("byte %llu lies in no entry", (unsigned long long)offset);
}

enum region layout_region_at(const struct layout *layout, uint64_t offset)
{
    const struct entry *entry = layout_entry_at(layout, offset);
    if (offset < entry->payload)
        return REGION_PAD;
    if (offset >= entry->trailer + HASH_LEN + LINK_LEN)
        return entry->kind == ENTRY_MARKER ? REGION_COUNT_FIELD : REGION_CHECKSUM;
    if (offset >= entry->trailer + HASH_LEN)
        return REGION_LINK;
    if (offset >= entry->trailer)
        return REGION_HASH;
    if (entry->kind == ENTRY_TOMBSTONE || entry->kind == ENTRY_MARKER)
        return REGION_TOMBSTONE;
    if (entry->kind == ENTRY_FILLER && entry->trailer - entry->payload >= HOLE_LEN_MIN)
        return REGION_HOLE;
    return entry->kind == ENTRY_VALUE && entry->latest ? REGION_PAYLOAD : REGION_PAYLOAD_DEAD;
}
