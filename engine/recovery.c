/* SPDX-License-Identifier: MIT */
#include "engine/recovery.h"

#include <stdlib.h>

#include "engine/digest.h"
#include "engine/engine.h"
#include "engine/record.h"

#define SMALL_FILE_LEN     4096u
#define PREV_TAIL_FROM_END 12u /* a trailer ends in prev_tail u64, crc u32 */
#define ISLAND_WORK_FACTOR                                                                                        \
    16u /* bytes of checksums that the search beyond the trusted tail may cost, per byte                          \
         */

static bool pad_is_zero(struct rd_slice file, const struct rd_record *record)
{
    for (uint64_t at = record->trailer.prev_tail; at < record->payload_offset; at++)
        if (file.data[at] != 0)
            return false;
    return true;
}

static bool checksum_matches(struct rd_slice file, const struct rd_record *record)
{
    struct rd_slice payload = rd_slice(file.data + record->payload_offset, record->payload_len);
    return rd_crc32(0, payload) == record->trailer.crc32;
}

/* ---- backward: where a chain leads -------------------------------------------------------------------- */

struct walk {
    uint64_t lowest;     /* the tail at which it ended; 0: it led to the file's beginning */
    uint64_t lowest_end; /* where the last entry that it took ends */
    uint64_t links;
    bool passed; /* the tail that was looked for is one of its tails */
};

/* Follows prev_tail from `end` for as long as the entries are sound, but for their checksums. One that would begin
 * below look_for and end above it is not: its link is damaged. */
static struct walk walk_down(struct rd_slice file, uint64_t end, uint64_t look_for)
{
    struct walk walk = {.lowest = end, .passed = end == look_for};
    struct rd_record record;
    while (walk.lowest != 0 && rd_record_parse(file.data, walk.lowest, &record) && pad_is_zero(file, &record)) {
        if (walk.lowest > look_for && record.trailer.prev_tail < look_for)
            break;
        walk.lowest_end = walk.lowest;
        walk.lowest = record.trailer.prev_tail;
        walk.links++;
        if (walk.lowest == look_for)
            walk.passed = true;
    }
    return walk;
}

static bool entry_is_whole(struct rd_slice file, uint64_t end, struct rd_record *ret_record)
{
    return rd_record_parse(file.data, end, ret_record) && pad_is_zero(file, ret_record) &&
           checksum_matches(file, ret_record);
}

/* Rule 1. A damaged link into a run of zeros finds "a first entry" there; its checksum tells. */
static bool chain_is_intact(struct rd_slice file, uint64_t end)
{
    struct rd_record record;
    if (!entry_is_whole(file, end, &record))
        return false;
    struct walk walk = walk_down(file, end, 0);
    return walk.lowest == 0 && (walk.lowest_end == end || entry_is_whole(file, walk.lowest_end, &record));
}

static bool any_entry_is_whole(struct rd_slice file, uint64_t end)
{
    struct rd_record record;
    while (end != 0 && rd_record_parse(file.data, end, &record)) {
        if (checksum_matches(file, &record))
            return true;
        end = record.trailer.prev_tail;
    }
    return false;
}

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
        return record->trailer.crc32 == RD_TOMBSTONE_CRC;
    if (record->trailer_offset < from->crc_end)
        return checksum_matches(file, record);
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

/* Rules 0 and 2, from a tail that is beyond doubt. Candidates come in ascending order, so an entry's beginning is
 * known before its end is looked at. */
static enum rd_status follow_forward(struct rd_slice file, uint64_t begin, uint64_t *ret_trusted)
{
    struct prefix prefix;
    prefix_init(&prefix);
    prefix.end = begin;
    struct reached_list list = {0};
    uint64_t payload = rd_record_align(begin) < file.len ? rd_record_align(begin) : file.len;
    uint32_t crc_before = rd_crc32(0, rd_slice(file.data + begin, payload - begin));
    enum rd_status status = reached_add(&list, begin, crc_before) ? RD_OK : RD_NO_MEMORY;
    for (uint64_t end = begin + RD_TOMBSTONE_LEN; status == RD_OK && end <= file.len; end++) {
        uint64_t prev_tail = rd_load_u64le(file.data + end - PREV_TAIL_FROM_END);
        if (prev_tail > end - RD_TOMBSTONE_LEN || prev_tail < begin)
            continue;
        struct reached *from = reached_find(&list, prev_tail);
        struct rd_record record;
        if (from != NULL && rd_record_parse(file.data, end, &record) && pad_is_zero(file, &record) &&
            running_checksum_matches(file, &prefix, from, &record) &&
            !reached_add(&list, end, crc_before_next(file, &prefix, end)))
            status = RD_NO_MEMORY;
    }
    if (status == RD_OK)
        *ret_trusted = list.items[list.count - 1].tail;
    free(list.items);
    return status;
}

/* ---- beyond the trusted tail -------------------------------------------------------------------------- */

/* Rule 4: only payloads are damaged, up to the very end of the file. */
static bool whole_file_is_believable(struct rd_slice file, uint64_t trusted)
{
    struct walk walk = walk_down(file, file.len, trusted);
    if (walk.lowest != 0 || walk.links == 0 || !walk.passed)
        return false;
    return trusted != 0 || any_entry_is_whole(file, file.len);
}

/* Rules 3 and 5: the highest whole entry above the trusted tail, and where its chain leads. */
static bool find_island(struct rd_slice file, uint64_t trusted, uint64_t *ret_end, struct walk *ret_walk)
{
    uint64_t work_left = (file.len - trusted) * ISLAND_WORK_FACTOR;
    for (uint64_t end = file.len; end >= trusted + RD_TOMBSTONE_LEN; end--) {
        uint64_t prev_tail = rd_load_u64le(file.data + end - PREV_TAIL_FROM_END);
        if (prev_tail > end - RD_TOMBSTONE_LEN || prev_tail < trusted || prev_tail == 0)
            continue;
        struct rd_record record;
        if (!rd_record_parse(file.data, end, &record) || !pad_is_zero(file, &record))
            continue;
        if (record.payload_len > work_left)
            return false;
        work_left -= record.payload_len;
        if (!checksum_matches(file, &record))
            continue;
        struct walk walk = walk_down(file, end, trusted);
        /* A tombstone's checksum is the same for all, so its link must be borne out by a further entry. */
        bool borne_out = walk.passed || (walk.lowest > trusted && walk.links > (record.tombstone ? 1 : 0));
        if (borne_out) {
            *ret_end = end;
            *ret_walk = walk;
            return true;
        }
    }
    return false;
}

static bool all_bytes_are(struct rd_slice bytes, uint8_t value)
{
    for (size_t i = 0; i < bytes.len; i++)
        if (bytes.data[i] != value)
            return false;
    return true;
}

/* Rule 6: the end of the file without what runs ahead; a checksum may itself end in 0xFF. */
static bool find_tail_before_extension(struct rd_slice file, uint64_t *ret_tail)
{
    uint64_t end = file.len;
    while (end > 0 && file.data[end - 1] == 0xff)
        end--;
    for (uint64_t tail = end; tail <= end + RD_TRAILER_LEN && tail < file.len; tail++) {
        if (chain_is_intact(file, tail)) {
            *ret_tail = tail;
            return true;
        }
    }
    return false;
}

/* All entries above `begin`, newest first. */
static bool all_are_whole(struct rd_slice file, uint64_t end, uint64_t begin)
{
    struct rd_record record;
    while (end > begin && entry_is_whole(file, end, &record))
        end = record.trailer.prev_tail;
    return end == begin;
}

/* Rule 0. *ret_fits is false where the hint is of another file. */
static enum rd_status examine_with_hint(struct rd_slice file, const struct rd_recovery_hint *hint,
                                        uint64_t *ret_tail, bool *ret_fits)
{
    uint64_t durable = hint->durable_tail;
    struct rd_record last;
    bool same_last =
        durable == 0 || (durable <= file.len && rd_record_parse(file.data, durable, &last) &&
                         last.trailer.key_hash == hint->last_key && last.trailer.crc32 == hint->last_crc);
    *ret_fits = same_last && walk_down(file, durable, 0).lowest == 0;
    if (!*ret_fits)
        return RD_OK;
    if ((hint->clean && durable == file.len) || all_are_whole(file, file.len, durable)) {
        *ret_tail = file.len;
        return RD_OK;
    }
    return follow_forward(file, durable, ret_tail);
}

static enum rd_status examine_alone(struct rd_slice file, struct rd_recovery *recovery)
{
    uint64_t trusted = 0;
    struct walk walk;
    recovery->tail = file.len;
    if (file.len == 0 || chain_is_intact(file, file.len) || find_tail_before_extension(file, &recovery->tail))
        return RD_OK;
    enum rd_status status = follow_forward(file, 0, &trusted);
    if (status != RD_OK)
        return status;
    recovery->tail = trusted;
    if (whole_file_is_believable(file, trusted)) {
        recovery->tail = file.len;
    } else if (find_island(file, trusted, &recovery->tail, &walk)) {
        recovery->damaged = !walk.passed;
        recovery->damage_begin = trusted;
        recovery->damage_end = walk.lowest;
    }
    if (recovery->tail == 0 && file.len >= SMALL_FILE_LEN && !all_bytes_are(file, 0) && !all_bytes_are(file, 0xff))
        return RD_NOT_A_STORE;
    return RD_OK;
}

enum rd_status rd_recovery_examine(struct rd_slice file, const struct rd_recovery_hint *hint,
                                   struct rd_recovery *ret_recovery)
{
    struct rd_recovery recovery = {.tail = 0};
    bool fits = false;
    enum rd_status status = RD_OK;
    if (hint != NULL)
        status = examine_with_hint(file, hint, &recovery.tail, &fits);
    if (status == RD_OK && !fits)
        status = examine_alone(file, &recovery);
    if (status != RD_OK)
        return status;
    recovery.rest_is_extension =
        all_bytes_are(rd_slice(file.data + recovery.tail, file.len - recovery.tail), 0xff);
    *ret_recovery = recovery;
    return RD_OK;
}
