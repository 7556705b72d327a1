/* SPDX-License-Identifier: MIT */
#include "engine/forward.h"

#include <stdlib.h>
#include <string.h>

#include "engine/digest.h"
#include "engine/engine.h"
#include "engine/sound.h"

#define PREV_TAIL_FROM_END 12u /* a trailer ends in prev_tail u64, crc u32 */

/* ---- checksums of any stretch of the file ------------------------------------------------------------- */

#define COMBINE_LEN_MIN 8192u /* below it reading the bytes is cheaper than combining */

/* The checksum of the file's first `end` bytes, and what appending 2^i zero bytes multiplies a checksum with. From
 * these follows the checksum of any stretch that ends there: crc(AB) = crc(A) * x^(8 |B|) + crc(B). */
struct prefix {
    uint64_t end;
    uint32_t crc;
    uint32_t powers[48];
};

static void prefix_init(struct prefix *prefix)
{
    *prefix = (struct prefix){.powers[0] = RD_CRC32_ZERO_BYTE};
    for (size_t i = 1; i < sizeof prefix->powers / sizeof prefix->powers[0]; i++)
        prefix->powers[i] = rd_crc32_multiply(prefix->powers[i - 1], prefix->powers[i - 1]);
}

/* end: never lower than before. */
static uint32_t prefix_advance(struct prefix *prefix, struct rd_slice file, uint64_t end)
{
    prefix->crc = rd_crc32(prefix->crc, rd_slice(file.data + prefix->end, end - prefix->end));
    prefix->end = end;
    return prefix->crc;
}

/* The checksum of the len bytes before prefix->end, where `before` is that of all bytes before these. */
static uint32_t prefix_without(const struct prefix *prefix, uint32_t before, uint64_t len)
{
    for (size_t i = 0; len != 0; i++, len >>= 1)
        if ((len & 1) != 0)
            before = rd_crc32_multiply(prefix->powers[i], before);
    return prefix->crc ^ before;
}

/* ---- forward: what whole entries reach from 0 --------------------------------------------------------- */

/* A tail that is reached, and how far the checksum of "the payload that starts behind it" has been taken. */
struct reached {
    uint64_t tail;
    uint64_t crc_end;
    uint32_t crc;
    uint32_t crc_before; /* of all the file's bytes before that payload */
};

struct reached_list {
    struct reached *items; /* owned; ascending by tail */
    size_t count;
    size_t capacity;
};

static struct reached *reached_find(struct reached_list *list, uint64_t tail)
{
    size_t low = 0;
    size_t high = list->count;
    if (tail > list->items[high - 1].tail)
        return NULL;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list->items[middle].tail < tail)
            low = middle + 1;
        else
            high = middle;
    }
    return list->items[low].tail == tail ? &list->items[low] : NULL;
}

static bool reached_add(struct reached_list *list, uint64_t tail, uint32_t crc_before)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 64 : list->capacity * 2;
        struct reached *items = realloc(list->items, capacity * sizeof *items);
        if (items == NULL)
            return false;
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] =
        (struct reached){.tail = tail, .crc_end = rd_record_align(tail), .crc_before = crc_before};
    return true;
}

/* The payload's checksum, carried on from the last candidate with the same beginning, or combined where that one
 * is far: a run of zeros makes each of its bytes a candidate for "the first entry ends here", a run of counters
 * makes each tail the beginning of one, and neither must cost a pass over the file each time. */
static bool running_checksum_matches(struct rd_slice file, struct prefix *prefix, struct reached *from,
                                     const struct rd_record *record)
{
    if (record->tombstone)
        return rd_record_is_sound(file.data, record);
    if (record->trailer_offset < from->crc_end)
        return rd_record_is_sound(file.data, record);
    struct rd_slice more = rd_slice(file.data + from->crc_end, record->trailer_offset - from->crc_end);
    if (more.len < COMBINE_LEN_MIN) {
        from->crc = rd_crc32(from->crc, more);
    } else {
        prefix_advance(prefix, file, record->trailer_offset);
        from->crc = prefix_without(prefix, from->crc_before, record->payload_len);
    }
    from->crc_end = record->trailer_offset;
    return from->crc == record->trailer.crc32;
}

/* Of all bytes before the payload that would follow the entry that ends at `end`. */
static uint32_t crc_before_next(struct rd_slice file, struct prefix *prefix, uint64_t end)
{
    uint64_t next = rd_record_align(end) < file.len ? rd_record_align(end) : file.len;
    uint32_t crc = prefix_advance(prefix, file, end - RD_TRAILER_LEN); /* candidates to come end above it */
    return rd_crc32(crc, rd_slice(file.data + prefix->end, next - prefix->end));
}

/* The first byte from `at` on that is not zero, or the file's length. */
static uint64_t skip_zeros(struct rd_slice file, uint64_t at)
{
    while (at + sizeof(uint64_t) <= file.len && rd_load_u64le(file.data + at) == 0)
        at += sizeof(uint64_t);
    while (at < file.len && file.data[at] == 0)
        at++;
    return at;
}

/* From `end` on, where an entry may end: the highest byte of its link is zero. So what has no zeros, or few, costs
 * next to nothing to pass. Nor does a run of zeros, like the hole before a value that was landing: no trailer is
 * all zeros, as it has a key's hash and a checksum. file.len + 1 or more: nowhere. */
static uint64_t next_candidate(struct rd_slice file, uint64_t end)
{
    if (end <= file.len && skip_zeros(rd_slice(file.data, end), end - RD_TRAILER_LEN) == end)
        end = skip_zeros(file, end) + 1;
    uint64_t highest = end - PREV_TAIL_FROM_END + sizeof(uint64_t) - 1;
    if (end > file.len || file.data[highest] == 0)
        return end;
    const uint8_t *zero = memchr(file.data + highest, 0, file.len - highest);
    return zero == NULL ? file.len + 1 : end + (uint64_t)(zero - file.data) - highest;
}

/* Candidates come in ascending order, so an entry's beginning is known before its end is looked at. */
enum rd_status rd_forward_reach(struct rd_slice file, uint64_t begin, uint64_t *ret_end)
{
    struct prefix prefix;
    prefix_init(&prefix);
    prefix.end = begin;
    struct reached_list list = {0};
    uint64_t payload = rd_record_align(begin) < file.len ? rd_record_align(begin) : file.len;
    uint32_t crc_before = rd_crc32(0, rd_slice(file.data + begin, payload - begin));
    enum rd_status status = reached_add(&list, begin, crc_before) ? RD_OK : RD_NO_MEMORY;
    uint64_t end = begin + RD_TOMBSTONE_LEN - 1;
    while (status == RD_OK && (end = next_candidate(file, end + 1)) <= file.len) {
        uint64_t prev_tail = rd_load_u64le(file.data + end - PREV_TAIL_FROM_END);
        if (prev_tail > end - RD_TOMBSTONE_LEN || prev_tail < begin)
            continue;
        struct reached *from = reached_find(&list, prev_tail);
        struct rd_record record;
        if (from != NULL && rd_record_parse(file.data, end, &record) &&
            rd_record_pad_is_zero(file.data, &record) && running_checksum_matches(file, &prefix, from, &record) &&
            !reached_add(&list, end, crc_before_next(file, &prefix, end)))
            status = RD_NO_MEMORY;
    }
    if (status == RD_OK)
        *ret_end = list.items[list.count - 1].tail;
    free(list.items);
    return status;
}
