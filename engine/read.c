/* SPDX-License-Identifier: MIT
 *
 * read.c - lookups. A reader enters the epoch, asks the index, pins the mapping that covers what it found, and
 * leaves; the payload itself is looked at outside.
 */
#include <string.h>

#include "engine/record.h"
#include "engine/store.h"

#define LOOK_TRIES       4     /* of a look at several keys, before it holds publishing up */
#define TOUCH_STEP_LEN   4096u /* no page is smaller */
#define CRC_STEP_LEN     ((uint64_t)2 << 20)
#define LINE_LEN         64u
#define PREFETCH_LEN_MAX 512u /* the processor's own prefetching sees to what is longer */
#define APPROACH_LEN     128u /* a payload ends where its trailer begins: most of a short one */
#define BLOCK_COUNT      64u  /* keys whose cache misses overlap */
#define GUESSES_MAX      16u  /* keys with one tag; where there are more, looking at them may wait */

/* trailer_offset came from the index. Fails where the trailer is not what it was when its slot was made: others
 * have changed the file under us, or the slot came from a checkpoint, which spares opening the look at all
 * trailers. */
static inline bool parse(const struct rd_mapping *mapping, uint64_t trailer_offset, uint64_t key_hash,
                         struct rd_record *ret_record)
{
    return rd_record_parse(mapping->base, trailer_offset + RD_TRAILER_LEN, ret_record) && !ret_record->tombstone &&
           ret_record->trailer.key_hash == key_hash;
}

static inline struct rd_value value_of(struct rd_mapping *mapping, const struct rd_record *record)
{
    return (struct rd_value){
        .payload = rd_slice(mapping->base + record->payload_offset, record->payload_len),
        .key_hash = record->trailer.key_hash,
        .offset = record->payload_offset,
        .prev_tail = record->trailer.prev_tail,
        .crc32 = record->trailer.crc32,
        .pin = mapping,
    };
}

bool rd_store_pin(struct rd_store *store, uint64_t trailer_offset, uint64_t key_hash, struct rd_value *ret_value)
{
    struct rd_mapping *mapping = rd_writer_mapping(store);
    struct rd_record record;
    if (!parse(mapping, trailer_offset, key_hash, &record))
        return false;
    *ret_value = value_of(mapping, &record);
    rd_mapping_pin(mapping, rd_seat(), 1); /* outside the epoch: nobody else retires it */
    return true;
}

/* What it means that a key is not there, or its bytes are wrong: zeros stand where the file could not be read. */
static enum rd_status unless_faulted(struct rd_store *store, enum rd_status status)
{
    return rd_store_faulted(store) ? RD_IO_ERROR : status;
}

static RD_COLD enum rd_status not_there(struct rd_store *store)
{
    return unless_faulted(store, RD_KEY_NOT_FOUND);
}

static RD_COLD enum rd_status not_sound(struct rd_store *store, struct rd_mapping *mapping)
{
    rd_mapping_unpin(mapping, 1);
    return unless_faulted(store, RD_CORRUPT);
}

static RD_COLD enum rd_status not_to_be_read(unsigned place)
{
    rd_epoch_exit(place);
    return RD_IO_ERROR;
}

/* Inside the epoch of `place`, which it leaves. trailer_offset: what the index has for the key. */
RD_ALWAYS_INLINE enum rd_status take(struct rd_store *store, struct rd_mapping *mapping, uint64_t trailer_offset,
                                     uint64_t key_hash, unsigned place, struct rd_value *ret_value)
{
    if (trailer_offset != 0)
        rd_mapping_pin(mapping, place, 1);
    rd_epoch_exit(place);
    if (trailer_offset == 0)
        return not_there(store);
    struct rd_record record;
    if (!parse(mapping, trailer_offset, key_hash, &record))
        return not_sound(store, mapping);
    *ret_value = value_of(mapping, &record);
    return RD_OK;
}

/* In one piece, and each field of the result stored once: the processor overlaps the cache misses of reads that
 * follow each other as far as their instructions and stores fit into its queues. Inside the epoch of `place`,
 * which it leaves. */
RD_ALWAYS_INLINE enum rd_status find(struct rd_store *store, struct rd_view *view, uint64_t key_hash,
                                     unsigned place, struct rd_value *ret_value)
{
    if (rd_mapping_is_spent(rd_view_mapping(view)))
        return not_to_be_read(place);
    uint64_t trailer_offset = rd_index_find(&view->index, &view->mapping, key_hash);
    return take(store, rd_view_mapping(view), trailer_offset, key_hash, place, ret_value);
}

enum rd_status rd_store_find(struct rd_store *store, struct rd_key key, struct rd_value *ret_value)
{
    unsigned place = rd_epoch_enter();
    return find(store, rd_reader_view(store), key.hash, place, ret_value);
}

/* Of one key in thousands: another with its tag comes before it. */
static RD_COLD bool guesses_are_in_memory(const struct rd_view *view, uint64_t key_hash)
{
    uint64_t offsets[GUESSES_MAX];
    size_t count = rd_index_guesses(&view->index, key_hash, offsets, GUESSES_MAX);
    struct rd_mapping *mapping = rd_view_mapping(view);
    bool all = count <= GUESSES_MAX;
    for (size_t i = 0; all && i < count; i++)
        all = offsets[i] == 0 || rd_residency_holds(&mapping->residency, offsets[i], RD_TRAILER_LEN);
    return all;
}

/* What looking a key up begins with. */
enum beginning {
    AT_THE_KEY,      /* the guess is the key's */
    IN_THE_INDEX,    /* it is not, or there is none; what the index will look at is in memory */
    AT_WHAT_IS_AWAY, /* it would wait for the disk */
};

/* Inside the epoch. guess: what rd_index_guess tells of the key; the mapping is loaded after it. */
static inline enum beginning judge_guess(struct rd_view *view, uint64_t key_hash, uint64_t guess,
                                         struct rd_mapping **ret_mapping)
{
    struct rd_mapping *mapping = rd_view_mapping(view);
    *ret_mapping = mapping;
    if (guess == 0 || rd_mapping_is_spent(mapping))
        return IN_THE_INDEX;
    if (!rd_residency_holds(&mapping->residency, guess, RD_TRAILER_LEN))
        return AT_WHAT_IS_AWAY;
    if (RD_LIKELY(rd_load_u64le(mapping->base + guess) == key_hash))
        return AT_THE_KEY;
    return guesses_are_in_memory(view, key_hash) ? IN_THE_INDEX : AT_WHAT_IS_AWAY;
}

enum rd_status rd_store_find_now(struct rd_store *store, struct rd_key key, struct rd_value *ret_value)
{
    unsigned place = rd_epoch_enter();
    struct rd_view *view = rd_reader_view(store);
    struct rd_mapping *mapping;
    uint64_t guess = rd_index_guess(&view->index, key.hash);
    switch (judge_guess(view, key.hash, guess, &mapping)) {
    case AT_THE_KEY:
        return take(store, mapping, guess, key.hash, place, ret_value);
    case IN_THE_INDEX:
        return find(store, view, key.hash, place, ret_value);
    case AT_WHAT_IS_AWAY:
        break;
    }
    rd_epoch_exit(place);
    return RD_UNAVAILABLE;
}

static uint64_t offset_in(const struct rd_mapping *mapping, const uint8_t *at)
{
    return (uint64_t)(at - mapping->base);
}

/* Of a long payload what comes next is asked for while the checksum of this is taken. */
static uint32_t crc_of(const struct rd_value *value)
{
    uint32_t crc = 0;
    uint64_t len = value->payload.len;
    for (uint64_t at = 0; at < len; at += CRC_STEP_LEN) {
        uint64_t step = len - at < CRC_STEP_LEN ? len - at : CRC_STEP_LEN;
        uint64_t wanted = len - at < 2 * CRC_STEP_LEN ? len - at : 2 * CRC_STEP_LEN;
        if (value->pin != NULL && wanted > TOUCH_STEP_LEN)
            rd_residency_want(&value->pin->residency, offset_in(value->pin, value->payload.data + at), wanted);
        crc = rd_crc32(crc, rd_slice(value->payload.data + at, (size_t)step));
    }
    return crc;
}

static enum rd_status judge(const struct rd_value *value, uint32_t crc32)
{
    if (crc32 == value->crc32)
        return RD_OK;
    return value->pin != NULL && rd_mapping_faulted(value->pin) ? RD_IO_ERROR : RD_CORRUPT;
}

enum rd_status rd_value_verify(const struct rd_value *value)
{
    return judge(value, crc_of(value));
}

enum rd_status rd_value_take(const struct rd_value *value, uint8_t *to)
{
    memcpy(to, value->payload.data, value->payload.len);
    return judge(value, rd_crc32(0, rd_slice(to, value->payload.len)));
}

enum rd_status rd_value_touch(const struct rd_value *value, uint64_t first, uint64_t len)
{
    const volatile uint8_t *payload = value->payload.data;
    for (uint64_t at = first; at < first + len; at += TOUCH_STEP_LEN)
        (void)payload[at];
    if (len != 0)
        (void)payload[first + len - 1];
    return value->pin != NULL && rd_mapping_faulted(value->pin) ? RD_IO_ERROR : RD_OK;
}

unsigned rd_value_faults(const struct rd_value *value)
{
    return value->pin != NULL ? rd_guard_faults(value->pin->guarded) : 0;
}

static uint64_t clip(const struct rd_value *value, uint64_t first, uint64_t len)
{
    uint64_t left = first < value->payload.len ? value->payload.len - first : 0;
    return len < left ? len : left;
}

bool rd_value_is_in_memory(const struct rd_value *value, uint64_t first, uint64_t len)
{
    return value->pin == NULL ||
           rd_residency_holds(&value->pin->residency, offset_in(value->pin, value->payload.data + first),
                              clip(value, first, len));
}

void rd_value_fetch(const struct rd_value *value, uint64_t first, uint64_t len, uint64_t ahead_len)
{
    if (value->pin != NULL)
        rd_residency_want(&value->pin->residency, offset_in(value->pin, value->payload.data + first),
                          clip(value, first, len + ahead_len));
    (void)!rd_value_touch(value, first, clip(value, first, len)); /* who looks at it next meets a failure */
}

void rd_value_forget(const struct rd_value *value, uint64_t first, uint64_t len)
{
    if (value->pin != NULL)
        rd_residency_forget(&value->pin->residency, offset_in(value->pin, value->payload.data + first),
                            clip(value, first, len));
}

bool rd_value_hold(const struct rd_value *value, uint64_t first, uint64_t len)
{
    if (value->pin == NULL || len == 0)
        return true;
    uint64_t begin = offset_in(value->pin, value->payload.data + first);
    return rd_mapping_hold(value->pin, begin, begin + len);
}

void rd_value_let_go(const struct rd_value *value, uint64_t first, uint64_t len)
{
    if (value->pin == NULL || len == 0)
        return;
    uint64_t begin = offset_in(value->pin, value->payload.data + first);
    rd_mapping_let_go(value->pin, begin, begin + len);
}

bool rd_store_may_lend(const struct rd_store *store, const struct rd_value *value)
{
    uint64_t end = value->offset + value->payload.len;
    end = (end + RD_LARGE_PAGE_LEN - 1) / RD_LARGE_PAGE_LEN * RD_LARGE_PAGE_LEN;
    return end <= atomic_load_explicit(&store->syncer.synced_tail, memory_order_acquire);
}

static enum rd_status read_verified(struct rd_store *store, struct rd_key key, struct rd_value *ret_value)
{
    struct rd_value value;
    enum rd_status status = rd_store_find(store, key, &value);
    if (status != RD_OK)
        return status;
    if (rd_value_verify(&value) != RD_OK) {
        rd_value_release(&value);
        return unless_faulted(store, RD_CORRUPT);
    }
    *ret_value = value;
    return RD_OK;
}

enum rd_status rd_store_read(struct rd_store *store, struct rd_key key, struct rd_value *ret_value)
{
    if (store->verify_reads)
        return read_verified(store, key, ret_value);
    unsigned place = rd_epoch_enter();
    return find(store, rd_reader_view(store), key.hash, place, ret_value);
}

bool rd_store_exists(struct rd_store *store, struct rd_key key)
{
    unsigned place = rd_epoch_enter();
    struct rd_view *view = rd_reader_view(store);
    bool found =
        !rd_mapping_is_spent(rd_view_mapping(view)) && rd_index_find(&view->index, &view->mapping, key.hash) != 0;
    rd_epoch_exit(place);
    return found;
}

struct rd_value rd_value_share(const struct rd_value *value)
{
    rd_mapping_pin(value->pin, rd_seat(), 1);
    return *value;
}

void rd_value_release(struct rd_value *value)
{
    rd_mapping_unpin(value->pin, 1);
    value->pin = NULL;
}

void rd_values_release(struct rd_value *values, size_t count)
{
    size_t i = 0;
    while (i < count) {
        struct rd_mapping *mapping = values[i].pin;
        uint64_t refs = 0;
        for (; i < count && values[i].pin == mapping; i++) {
            values[i].pin = NULL;
            refs++;
        }
        rd_mapping_unpin(mapping, refs);
    }
}

/* ---- several keys ------------------------------------------------------------------------------------- */

/* First all slots of a block are asked for, then all trailers: misses overlap. Inside the epoch. Trailers are what
 * rd_index_guess tells. */
static void approach_block(struct rd_view *view, const struct rd_key *keys, unsigned count, uint64_t *ret_trailers)
{
    struct rd_index_spot spots[BLOCK_COUNT];
    for (unsigned i = 0; i < count; i++)
        rd_index_approach(&view->index, keys[i].hash, &spots[i]);
    const uint8_t *file = rd_view_mapping(view)->base;
    for (unsigned i = 0; i < count; i++) {
        ret_trailers[i] = rd_index_guess_at(&spots[i]);
        __builtin_prefetch(file + ret_trailers[i]);
    }
}

/* Inside the epoch; pins are counted later. A value without one has an offset where there is an entry, but a
 * damaged one. */
static void look_at_block(struct rd_view *view, const struct rd_key *keys, unsigned count,
                          struct rd_value *ret_values)
{
    uint64_t trailers[BLOCK_COUNT];
    approach_block(view, keys, count, trailers);
    struct rd_mapping *mapping = rd_view_mapping(view);
    for (unsigned i = 0; i < count; i++) {
        struct rd_record record;
        if (trailers[i] != 0 && rd_load_u64le(mapping->base + trailers[i]) != keys[i].hash) {
            trailers[i] = rd_index_find(&view->index, &view->mapping, keys[i].hash);
            mapping = rd_view_mapping(view);
        }
        if (trailers[i] != 0 && parse(mapping, trailers[i], keys[i].hash, &record))
            ret_values[i] = value_of(mapping, &record);
        else
            ret_values[i] = (struct rd_value){.pin = NULL, .offset = trailers[i]};
    }
}

static void look(struct rd_store *store, const struct rd_key *keys, size_t count, struct rd_value *ret_values)
{
    struct rd_view *view = rd_reader_view(store);
    for (size_t done = 0; done < count; done += BLOCK_COUNT) {
        unsigned block = count - done < BLOCK_COUNT ? (unsigned)(count - done) : BLOCK_COUNT;
        if (rd_mapping_is_spent(rd_view_mapping(view)))
            memset(ret_values + done, 0, block * sizeof *ret_values); /* not found, which nobody can tell */
        else
            look_at_block(view, keys + done, block, ret_values + done);
    }
}

static void pin_all(struct rd_value *values, size_t count, unsigned place)
{
    size_t i = 0;
    while (i < count) {
        struct rd_mapping *mapping = values[i].pin;
        uint64_t refs = 0;
        for (; i < count && values[i].pin == mapping; i++)
            refs++;
        if (mapping != NULL)
            rd_mapping_pin(mapping, place, refs);
    }
}

/* A look that overlaps a publication is repeated; one that keeps doing so stops publishing for its time. */
static void look_consistently(struct rd_store *store, const struct rd_key *keys, size_t count,
                              struct rd_value *ret_values)
{
    for (int tried = 0; tried < LOOK_TRIES; tried++) {
        uint64_t before = atomic_load_explicit(&store->publications, memory_order_seq_cst);
        if (before % 2 != 0)
            continue;
        look(store, keys, count, ret_values);
        if (atomic_load_explicit(&store->publications, memory_order_seq_cst) == before)
            return;
    }
    pthread_mutex_lock(&store->publish_lock);
    look(store, keys, count, ret_values);
    pthread_mutex_unlock(&store->publish_lock);
}

/* Where not everything was found, that may be since the file could not be read. */
static void blame_file(struct rd_store *store, enum rd_status *statuses, size_t count)
{
    bool all_found = true;
    for (size_t i = 0; i < count && all_found; i++)
        all_found = statuses[i] == RD_OK;
    if (all_found || !rd_store_faulted(store))
        return;
    for (size_t i = 0; i < count; i++)
        if (statuses[i] != RD_OK)
            statuses[i] = RD_IO_ERROR;
}

static void find_all(struct rd_store *store, const struct rd_key *keys, size_t count, struct rd_value *ret_values,
                     enum rd_status *ret_statuses)
{
    unsigned place = rd_epoch_enter();
    look_consistently(store, keys, count, ret_values);
    pin_all(ret_values, count, place);
    rd_epoch_exit(place);
    for (size_t i = 0; i < count; i++) {
        struct rd_value *value = &ret_values[i];
        ret_statuses[i] = value->pin != NULL ? RD_OK : value->offset != 0 ? RD_CORRUPT : RD_KEY_NOT_FOUND;
        if (value->pin == NULL)
            *value = (struct rd_value){.pin = NULL};
    }
}

/* Inside the epoch. guess: what rd_index_guess tells of the key. Who asks verifies the entry next, so its first
 * bytes are asked for. */
static bool entry_is_in_memory(struct rd_view *view, uint64_t key_hash, uint64_t guess, uint64_t payload_len)
{
    struct rd_mapping *mapping;
    struct rd_record record;
    enum beginning beginning = judge_guess(view, key_hash, guess, &mapping);
    if (beginning == AT_WHAT_IS_AWAY || guess == 0 || payload_len == 0 || rd_mapping_is_spent(mapping))
        return beginning != AT_WHAT_IS_AWAY;
    uint64_t trailer = guess;
    if (RD_UNLIKELY(beginning == IN_THE_INDEX)) {
        trailer = rd_index_find(&view->index, &view->mapping, key_hash);
        mapping = rd_view_mapping(view);
    }
    if (trailer == 0 || !rd_record_parse(mapping->base, trailer + RD_TRAILER_LEN, &record))
        return true;
    uint64_t len = record.payload_len < payload_len ? record.payload_len : payload_len;
    if (!rd_residency_holds(&mapping->residency, record.payload_offset, len))
        return false;
    for (uint64_t at = 0; at < len && at < PREFETCH_LEN_MAX; at += LINE_LEN)
        __builtin_prefetch(mapping->base + record.payload_offset + at);
    return true;
}

static bool block_is_in_memory(struct rd_view *view, const struct rd_key *keys, unsigned count,
                               uint64_t payload_len)
{
    uint64_t trailers[BLOCK_COUNT];
    approach_block(view, keys, count, trailers);
    for (unsigned i = 0; i < count; i++)
        if (!entry_is_in_memory(view, keys[i].hash, trailers[i], payload_len))
            return false;
    return true;
}

bool rd_store_holds_in_memory(struct rd_store *store, const struct rd_key *keys, size_t count,
                              uint64_t payload_len)
{
    bool all = true;
    unsigned place = rd_epoch_enter();
    struct rd_view *view = rd_reader_view(store);
    for (size_t done = 0; all && done < count; done += BLOCK_COUNT) {
        unsigned block = count - done < BLOCK_COUNT ? (unsigned)(count - done) : BLOCK_COUNT;
        all = block_is_in_memory(view, keys + done, block, payload_len);
    }
    rd_epoch_exit(place);
    return all;
}

void rd_store_approach(struct rd_store *store, const struct rd_key *keys, size_t count)
{
    uint64_t trailers[BLOCK_COUNT];
    unsigned place = rd_epoch_enter();
    struct rd_view *view = rd_reader_view(store);
    for (size_t done = 0; done < count; done += BLOCK_COUNT) {
        unsigned block = count - done < BLOCK_COUNT ? (unsigned)(count - done) : BLOCK_COUNT;
        approach_block(view, keys + done, block, trailers);
        const uint8_t *file = rd_view_mapping(view)->base;
        for (unsigned i = 0; i < block; i++)
            for (uint64_t back = LINE_LEN; back <= APPROACH_LEN && back < trailers[i]; back += LINE_LEN)
                __builtin_prefetch(file + trailers[i] - back);
    }
    rd_epoch_exit(place);
}

/* Has the kernel begin to read what a look at one key touches: the trailer, or the payload once that is there. */
static void want_entry(struct rd_store *store, uint64_t key_hash, uint64_t payload_len, bool trailer)
{
    unsigned place = rd_epoch_enter();
    struct rd_view *view = rd_reader_view(store);
    struct rd_record record;
    uint64_t offset = rd_index_guess(&view->index, key_hash);
    struct rd_mapping *mapping = rd_view_mapping(view);
    if (rd_mapping_is_spent(mapping))
        offset = 0;
    if (offset != 0 && trailer) {
        rd_residency_want(&mapping->residency, offset, RD_TRAILER_LEN);
    } else if (offset != 0 && rd_load_u64le(mapping->base + offset) == key_hash && /* else it waits when found */
               rd_record_parse(mapping->base, offset + RD_TRAILER_LEN, &record)) {
        uint64_t len = record.payload_len < payload_len ? record.payload_len : payload_len;
        rd_residency_want(&mapping->residency, record.payload_offset, len);
    }
    rd_epoch_exit(place);
}

void rd_store_fetch(struct rd_store *store, const struct rd_key *keys, size_t count, uint64_t payload_len)
{
    for (size_t i = 0; i < count; i++)
        want_entry(store, keys[i].hash, 0, true);
    for (size_t i = 0; i < count && payload_len != 0; i++)
        want_entry(store, keys[i].hash, payload_len, false);
    for (size_t i = 0; i < count; i++) {
        struct rd_value value;
        if (rd_store_find(store, keys[i], &value) != RD_OK)
            continue; /* as whoever wants it will find, too */
        (void)!rd_value_touch(&value, 0, clip(&value, 0, payload_len));
        rd_value_release(&value);
    }
}

void rd_store_batch_find(struct rd_store *store, const struct rd_key *keys, size_t count,
                         struct rd_value *ret_values, enum rd_status *ret_statuses)
{
    find_all(store, keys, count, ret_values, ret_statuses);
    blame_file(store, ret_statuses, count);
}

void rd_store_batch_read(struct rd_store *store, const struct rd_key *keys, size_t count,
                         struct rd_value *ret_values, enum rd_status *ret_statuses)
{
    find_all(store, keys, count, ret_values, ret_statuses);
    for (size_t i = 0; i < count && store->verify_reads; i++) {
        struct rd_value *value = &ret_values[i];
        if (value->pin == NULL || rd_value_verify(value) == RD_OK)
            continue;
        ret_statuses[i] = RD_CORRUPT;
        rd_value_release(value);
        *value = (struct rd_value){.pin = NULL};
    }
    blame_file(store, ret_statuses, count);
}
