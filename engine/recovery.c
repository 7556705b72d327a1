/* SPDX-License-Identifier: MIT */
#include "engine/recovery.h"

#include "engine/engine.h"
#include "engine/forward.h"
#include "engine/sound.h"

#define SMALL_FILE_LEN     4096u
#define PAGE_LEN           4096u
#define PREV_TAIL_FROM_END 12u /* a trailer ends in prev_tail u64, crc u32 */
#define CRC_LEN            4u
#define ISLAND_WORK_FACTOR 16u /* bytes of checksums that the search for an island may cost, per byte */
#define DAMAGES_MAX        16u /* damaged payloads that are stepped over, one pass each, before the rest is believed */

/* ---- backward: where a chain leads -------------------------------------------------------------------- */

struct walk {
    uint64_t lowest;     /* the tail at which it ended; 0: it led to the file's beginning */
    uint64_t lowest_end; /* where the last entry that it took ends */
    uint64_t above;      /* passed: where the entry ends that begins at the tail that was looked for */
    uint64_t links;
    bool passed; /* the tail that was looked for is one of its tails */
};

/* Follows the links from `end`; pads and checksums are not looked at. An entry that would begin below look_for and
 * end above it has a damaged link: the walk ends before it. */
static struct walk walk_down(struct rd_slice file, uint64_t end, uint64_t look_for)
{
    struct walk walk = {.lowest = end, .passed = end == look_for};
    struct rd_record record;
    while (walk.lowest != 0 && rd_record_parse(file.data, walk.lowest, &record)) {
        if (walk.lowest > look_for && record.trailer.prev_tail < look_for)
            break;
        walk.lowest_end = walk.lowest;
        walk.lowest = record.trailer.prev_tail;
        walk.links++;
        if (walk.lowest == look_for) {
            walk.passed = true;
            walk.above = walk.lowest_end;
        }
    }
    return walk;
}

static bool entry_is_whole(struct rd_slice file, uint64_t end, struct rd_record *ret_record)
{
    return rd_record_parse(file.data, end, ret_record) && rd_record_pad_is_zero(file.data, ret_record) &&
           rd_record_is_sound(file.data, ret_record);
}

/* All entries from `end` down to `begin`. */
static bool all_are_whole(struct rd_slice file, uint64_t end, uint64_t begin)
{
    struct rd_record record;
    while (end > begin && entry_is_whole(file, end, &record))
        end = record.trailer.prev_tail;
    return end == begin;
}

static bool any_entry_is_whole(struct rd_slice file, uint64_t end)
{
    struct rd_record record;
    while (end != 0 && rd_record_parse(file.data, end, &record)) {
        if (rd_record_is_sound(file.data, &record))
            return true;
        end = record.trailer.prev_tail;
    }
    return false;
}

/* The chain from `end` down to `begin` without a batch that is not whole, and without what lies behind such a
 * one. */
static uint64_t cut_torn_batches(struct rd_slice file, uint64_t end, uint64_t begin)
{
    uint64_t kept = end;
    uint64_t above = 0; /* entries between here and kept */
    struct rd_record record;
    while (end > begin && rd_record_parse(file.data, end, &record)) {
        end = record.trailer.prev_tail;
        if (record.marker && record.trailer.crc32 > above) {
            kept = end;
            above = 0;
        } else {
            above++;
        }
    }
    return kept;
}

/* ---- the end of the file ------------------------------------------------------------------------------ */

static bool all_bytes_are(struct rd_slice bytes, uint8_t value)
{
    for (size_t i = 0; i < bytes.len; i++)
        if (bytes.data[i] != value)
            return false;
    return true;
}

/* Nothing but zeros or ones in any page: what a power cut leaves of a first group, and of what ran ahead of it. */
static bool is_blank(struct rd_slice file)
{
    for (size_t at = 0; at < file.len; at += PAGE_LEN) {
        struct rd_slice page = rd_slice(file.data + at, file.len - at < PAGE_LEN ? file.len - at : PAGE_LEN);
        if (!all_bytes_are(page, 0) && !all_bytes_are(page, 0xff))
            return false;
    }
    return true;
}

/* A chain to the file's beginning whose first and last entries are whole. */
static bool chain_is_plausible(struct rd_slice file, uint64_t end)
{
    struct rd_record record;
    if (!entry_is_whole(file, end, &record))
        return false;
    struct walk walk = walk_down(file, end, 0);
    return walk.lowest == 0 && (walk.lowest_end == end || entry_is_whole(file, walk.lowest_end, &record));
}

/* Where the bytes 0xFF at the file's end begin, if not below begin. */
static uint64_t end_without_ones(struct rd_slice file, uint64_t begin)
{
    uint64_t end = file.len;
    while (end > begin && file.data[end - 1] == 0xff)
        end--;
    return end;
}

/* Rule 6: the file without what runs ahead of it; a checksum may itself end in 0xFF. */
static struct rd_slice without_extension(struct rd_slice file)
{
    uint64_t end = end_without_ones(file, 0);
    for (uint64_t tail = end; tail <= end + CRC_LEN && tail < file.len; tail++)
        if (chain_is_plausible(file, tail))
            return rd_slice(file.data, tail);
    return file;
}

/* ---- beside a companion: rule 0 ----------------------------------------------------------------------- */

/* The entry that was recorded as the last durable one ends where it did. */
static bool hint_names_entry(struct rd_slice file, const struct rd_recovery_hint *hint)
{
    struct rd_record last;
    return hint->durable_tail <= file.len && rd_record_parse(file.data, hint->durable_tail, &last) &&
           last.trailer.key_hash == hint->last_key && last.trailer.crc32 == hint->last_crc;
}

/* The file is the one that was recorded, and its links up to the durable tail are what they were. */
static bool hint_fits(struct rd_slice file, const struct rd_recovery_hint *hint)
{
    uint64_t durable = hint->durable_tail;
    if (durable == 0)
        return !hint->clean || file.len == 0; /* else another file has been put in the place of an empty one */
    if (!hint_names_entry(file, hint))
        return false;
    uint64_t links = 0;
    uint64_t end = durable;
    for (struct rd_record record; end > hint->known_tail && rd_record_parse(file.data, end, &record); links++)
        end = record.trailer.prev_tail;
    return end == hint->known_tail && links + hint->known_count == hint->entry_count;
}

/* Rule 6 above a tail that is beyond doubt: the last entry ends where the ones begin, or a few bytes later; else
 * it is torn. */
static enum rd_status reach_above(struct rd_slice file, uint64_t begin, uint64_t *ret_tail)
{
    uint64_t end = end_without_ones(file, begin);
    uint64_t highest = file.len - end < CRC_LEN ? file.len : end + CRC_LEN;
    for (uint64_t tail = end; tail <= highest; tail++) {
        if (all_are_whole(file, tail, begin)) {
            *ret_tail = tail;
            return RD_OK;
        }
    }
    return rd_forward_reach(rd_slice(file.data, highest), begin, ret_tail);
}

static enum rd_status examine_above(struct rd_slice file, const struct rd_recovery_hint *hint, uint64_t *ret_tail)
{
    uint64_t durable = hint->durable_tail;
    uint64_t tail = file.len;
    if (hint->clean && durable == file.len) {
        *ret_tail = tail;
        return RD_OK;
    }
    uint64_t begin = durable;
    if (durable == 0 && hint->first_end != 0) {
        struct rd_record first;
        bool whole = hint->first_end <= file.len && entry_is_whole(file, hint->first_end, &first) &&
                     first.trailer.prev_tail == 0;
        if (!whole) {
            *ret_tail = 0;
            return RD_OK;
        }
        begin = hint->first_end;
    }
    if (!all_are_whole(file, tail, begin)) {
        enum rd_status status = reach_above(file, begin, &tail);
        if (status != RD_OK)
            return status;
    }
    *ret_tail = cut_torn_batches(file, tail, durable);
    return RD_OK;
}

/* ---- without one: rules 1 to 5 ------------------------------------------------------------------------ */

/* Rule 3: the highest whole entry above the trusted tail, and where its chain leads. recorded: where an entry ends
 * for certain; 0: nowhere. */
static bool find_island(struct rd_slice file, uint64_t trusted, uint64_t recorded, uint64_t *ret_end,
                        struct walk *ret_walk)
{
    uint64_t work_left = (file.len - trusted) * ISLAND_WORK_FACTOR;
    for (uint64_t end = file.len; end >= trusted + RD_TOMBSTONE_LEN; end--) {
        uint64_t prev_tail = rd_load_u64le(file.data + end - PREV_TAIL_FROM_END);
        if (prev_tail > end - RD_TOMBSTONE_LEN || prev_tail < trusted || prev_tail == 0)
            continue;
        struct rd_record record;
        if (!rd_record_parse(file.data, end, &record) || !rd_record_pad_is_zero(file.data, &record))
            continue;
        if (record.payload_len > work_left)
            return false;
        work_left -= record.payload_len;
        if (!rd_record_is_sound(file.data, &record))
            continue;
        struct walk walk = walk_down(file, end, trusted);
        /* A tombstone's checksum is the same for all, so its link must be borne out by a further entry, or by the
         * companion. */
        bool lone = record.tombstone && walk.links == 1 && end != recorded;
        bool borne_out = walk.passed || (walk.lowest > trusted && !lone);
        if (borne_out) {
            *ret_end = end;
            *ret_walk = walk;
            return true;
        }
    }
    return false;
}

/* Rules 2 and 4: the trusted tail, and whether the chain from the file's end passes through it, so that only
 * payloads above it are damaged. Each that is met is stepped over, so that a link behind it is looked at too. */
static enum rd_status step_over_payloads(struct rd_slice file, uint64_t *ret_trusted, bool *ret_believed)
{
    uint64_t trusted = 0;
    uint64_t begin = 0;
    bool believed = false;
    for (unsigned damages = 0; damages <= DAMAGES_MAX; damages++) {
        enum rd_status status = rd_forward_reach(file, begin, &trusted);
        if (status != RD_OK)
            return status;
        struct walk walk = walk_down(file, file.len, trusted);
        believed = walk.passed && walk.lowest == 0 && (trusted != 0 || any_entry_is_whole(file, file.len));
        if (!believed || trusted == file.len)
            break;
        begin = walk.above;
    }
    *ret_trusted = trusted;
    *ret_believed = believed;
    return RD_OK;
}

static enum rd_status examine_alone(struct rd_slice whole_file, uint64_t recorded, struct rd_recovery *recovery)
{
    recovery->tail = whole_file.len;
    if (all_are_whole(whole_file, whole_file.len, 0))
        return RD_OK; /* before rule 6: a checksum may end in 0xff */
    struct rd_slice file = without_extension(whole_file);
    recovery->tail = file.len;
    if (file.len != whole_file.len && all_are_whole(file, file.len, 0))
        return RD_OK;
    uint64_t trusted;
    bool believed;
    struct walk walk;
    enum rd_status status = step_over_payloads(file, &trusted, &believed);
    if (status != RD_OK || believed)
        return status;
    recovery->tail = trusted;
    if (!find_island(file, trusted, recorded, &recovery->tail, &walk)) {
        recovery->tail = cut_torn_batches(file, trusted, 0);
        return RD_OK;
    }
    if (walk.passed && recovery->tail < file.len) /* what is cut must not change what the rest is taken for */
        return examine_alone(rd_slice(file.data, recovery->tail), recorded, recovery);
    recovery->damaged = !walk.passed;
    recovery->damage_begin = trusted;
    recovery->damage_end = walk.lowest;
    return RD_OK;
}

/* Rule 7: what was recorded as durable is not cut, whatever has become of it, ones included. */
static void keep_what_was_durable(struct rd_slice file, const struct rd_recovery_hint *hint,
                                  struct rd_recovery *recovery)
{
    if (recovery->damaged || recovery->tail == file.len || recovery->tail >= hint->durable_tail)
        return;
    recovery->damaged = true;
    recovery->damage_begin = recovery->tail;
    recovery->damage_end = file.len;
}

enum rd_status rd_recovery_examine(struct rd_slice file, const struct rd_recovery_hint *hint,
                                   struct rd_recovery *ret_recovery)
{
    bool fits = hint != NULL && hint_fits(file, hint);
    struct rd_recovery recovery = {.tail = 0, .hint_fits = fits};
    uint64_t recorded = hint != NULL && hint_names_entry(file, hint) ? hint->durable_tail : 0;
    enum rd_status status =
        fits ? examine_above(file, hint, &recovery.tail) : examine_alone(file, recorded, &recovery);
    if (status != RD_OK)
        return status;
    recovery.rest_end = end_without_ones(file, recovery.tail);
    if (hint != NULL && !fits)
        keep_what_was_durable(file, hint, &recovery);
    bool nothing = recovery.rest_end != 0 && recovery.tail == 0 && !recovery.damaged;
    if (nothing && hint == NULL && file.len >= SMALL_FILE_LEN && !is_blank(file))
        return RD_NOT_A_STORE;
    *ret_recovery = recovery;
    return RD_OK;
}
