/* SPDX-License-Identifier: MIT
 *
 * Trailers over the border of two sectors, of which a power cut may keep the second part alone: entries that would
 * pass for whole then are not written there.
 */
#include <unistd.h>

#include "engine/record.h"
#include "tests/unit/engine/fixture.h"

#define ROUNDS 400u

static struct rd_key numbered(uint64_t number)
{
    uint8_t bytes[8];
    rd_store_u64le(bytes, number);
    return rd_key_of_hash(rd_key_of_bytes(rd_slice(bytes, sizeof bytes)).hash);
}

static struct rd_store *open_with(const struct place *place, bool marker)
{
    return store_open_with(
        place->path,
        (struct rd_store_options){.create = true, .durability = RD_DURABILITY_NONE, .batch_marker_off = !marker});
}

/* Values of zeros, of zeros at their end, and tombstones, alone and in batches, of all lengths. */
static void write_some(struct rd_store *store)
{
    static uint8_t bytes[700];
    for (uint64_t i = 0; i < ROUNDS; i++) {
        size_t len = 2 + random_below(sizeof bytes - 2);
        memset(bytes, 0, sizeof bytes);
        if (random_below(3) == 0)
            random_fill(bytes, random_below(len));
        struct rd_key keys[3] = {numbered(random_below(40)), numbered(random_below(40)),
                                 numbered(random_below(40))};
        struct rd_entry entries[2] = {{.key = keys[0], .payload = rd_slice(bytes, len)},
                                      {.key = keys[1], .payload = rd_slice(bytes, 2 + random_below(60))}};
        enum rd_status status = RD_OK;
        switch (random_below(5)) {
        case 0:
            status = rd_store_batch_write(store, entries, 2, false, NULL);
            break;
        case 1:
            status = rd_store_batch_delete(store, keys, 3, NULL);
            break;
        case 2:
            status = rd_store_delete(store, keys[0], NULL);
            break;
        case 3:
            status = rd_store_rename(store, keys[0], keys[1], NULL);
            break;
        default:
            status = rd_store_write(store, keys[0], rd_slice(bytes, len), NULL);
        }
        assert_true(status == RD_OK || status == RD_KEY_NOT_FOUND || status == RD_CONFLICT);
    }
}

/* Bytes of the entry that lie in the sector in which its trailer begins. */
static struct rd_slice lower_part(const struct rd_buffer *file, const struct rd_record *record)
{
    uint64_t border = record->trailer_offset / RD_SECTOR_LEN * RD_SECTOR_LEN;
    uint64_t begin = border > record->payload_offset ? border : record->payload_offset;
    return rd_slice(file->data + begin, record->trailer_offset - begin);
}

static bool all_zero(struct rd_slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        if (bytes.data[i] != 0)
            return false;
    return true;
}

/* Entries that would pass for whole without what lies in the lower sector. *ret_own: the engine's own entries. */
static unsigned count_tearable(const struct rd_buffer *file, unsigned *ret_own)
{
    unsigned count = 0;
    struct rd_record record = {.payload_len = 0};
    *ret_own = 0;
    for (uint64_t end = file->len; end != 0; end = record.trailer.prev_tail) {
        assert_true(rd_record_parse(file->data, end, &record));
        bool own = record.trailer.key_hash == RD_RESERVED_KEY_HASH;
        bool tombstone = own && record.tombstone && !record.marker; /* torn, it deletes what nobody has */
        *ret_own += own && !record.marker;
        count += !tombstone && rd_trailer_may_tear(record.trailer_offset) && all_zero(lower_part(file, &record));
    }
    return count;
}

static void no_trailer_is_written_where_it_could_tear_unnoticed(void **state)
{
    (void)state;
    random_begin();
    for (int marker = 0; marker < 2; marker++) {
        struct place place = place_create();
        struct rd_store *store = open_with(&place, marker == 1);
        write_some(store);
        rd_store_close(store);
        struct rd_buffer file = rd_file_read(place.path);
        unsigned own;
        unsigned tearable = count_tearable(&file, &own);
        assert_int_equal(tearable == 0, marker == 1);
        assert_int_equal(own == 0,
                         marker == 0); /* nor is anything spaced that is to be as the reference writes it */
        rd_buffer_deinit(&file);
        place_remove(&place);
    }
}

/* Of the last entry the lower sector is as it was before: the store is what it was without it. */
static void a_torn_trailer_is_not_believed(void **state)
{
    (void)state;
    static const uint8_t zeros[1000];
    struct place place = place_create();
    char *meta_path = rd_path(place.folder, "store.rdr.meta");
    for (size_t len = 2; len < 600; len++) {
        struct rd_store *store = open_with(&place, true);
        struct rd_buffer meta = rd_file_read(meta_path);
        uint64_t before = put(store, numbered(1), zeros, 100 + len % 64).tail;
        uint64_t offset = put(store, numbered(2), zeros, len).offset;
        uint64_t tail = rd_store_file_size(store);
        rd_store_close(store);
        struct rd_buffer file = rd_file_read(place.path);
        uint64_t border = (tail - RD_TRAILER_LEN) / RD_SECTOR_LEN * RD_SECTOR_LEN + RD_SECTOR_LEN;
        uint64_t begin = border - RD_SECTOR_LEN > before ? border - RD_SECTOR_LEN : before;
        if (border < tail && border > offset)
            memset(file.data + begin, 0, border - begin);
        rd_file_write(place.path, rd_buffer_slice(&file));
        rd_file_write(meta_path, rd_buffer_slice(&meta));
        store = open_with(&place, true);
        assert_int_equal(rd_store_len(store),
                         1 + (rd_store_exists(store, numbered(2)) ? 1 : 0)); /* and no key that nobody wrote */
        rd_store_close(store);
        rd_buffer_deinit(&file);
        rd_buffer_deinit(&meta);
        unlink(place.path);
        unlink(meta_path);
    }
    free(meta_path);
    place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_trailer_is_written_where_it_could_tear_unnoticed),
        cmocka_unit_test(a_torn_trailer_is_not_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
