/* SPDX-License-Identifier: MIT
 *
 * long_values.h - values that are put ahead of the tail, and what the file then has to look like.
 */
#ifndef RD_TESTS_ENGINE_LONG_VALUES_H
#define RD_TESTS_ENGINE_LONG_VALUES_H

#include "engine/record.h"
#include "tests/unit/engine/fixture.h"

#define LONG_LEN ((uint64_t)20 << 20)

UNUSED static struct rd_buffer long_value(uint8_t seed)
{
    struct rd_buffer value;
    rd_buffer_init(&value, 0);
    uint8_t *to = rd_buffer_reserve(&value, LONG_LEN);
    assert_non_null(to);
    for (uint64_t i = 0; i < LONG_LEN; i++)
        to[i] = (uint8_t)(seed + i * 7 + (i >> 12));
    rd_buffer_commit(&value, LONG_LEN);
    return value;
}

UNUSED static struct rd_key key(const char *name)
{
    return rd_key_of_bytes(rd_slice_of_string(name));
}

UNUSED static void put_short(struct rd_store *store, uint64_t number)
{
    uint8_t payload[100];
    memset(payload, 's', sizeof payload);
    rd_store_u64le(payload, number);
    struct rd_key short_key = rd_key_of_bytes(rd_slice(payload, 8));
    assert_int_equal(
        rd_store_write(store, rd_key_of_hash(short_key.hash), rd_slice(payload, sizeof payload), NULL), RD_OK);
}

UNUSED static void expect(struct rd_store *store, const char *name, const struct rd_buffer *value)
{
    struct rd_value found;
    assert_int_equal(rd_store_read(store, key(name), &found), RD_OK);
    assert_true(rd_slice_equal(found.payload, rd_buffer_slice(value)));
    assert_int_equal(found.offset % 64, 0);
    rd_value_release(&found);
}

/* Every entry down to 0, each with its checksum and a pad of zeros: what the format, and so the reference, asks
 * for. */
UNUSED static unsigned check_chain(const char *path, unsigned *ret_fillers)
{
    struct rd_buffer file = rd_file_read(path);
    uint64_t end = file.len;
    unsigned count = 0;
    *ret_fillers = 0;
    struct rd_record record = {.payload_len = 0};
    while (end != 0) {
        assert_true(rd_record_parse(file.data, end, &record));
        for (uint64_t at = record.trailer.prev_tail; at < record.payload_offset; at++)
            assert_int_equal(file.data[at], 0);
        end = record.trailer.prev_tail;
        count++;
        if (record.marker)
            continue;
        assert_int_equal(rd_crc32(0, rd_slice(file.data + record.payload_offset, record.payload_len)),
                         record.trailer.crc32);
        *ret_fillers += record.trailer.key_hash == RD_RESERVED_KEY_HASH;
    }
    rd_buffer_deinit(&file);
    return count;
}

#endif
