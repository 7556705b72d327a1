/* SPDX-License-Identifier: MIT
 *
 * groups.h - what the tests of a file that runs ahead of its tail share: numbered values, one by one and as groups
 * of the writer's, and how long the file is.
 */
#ifndef RD_TESTS_ENGINE_GROUPS_H
#define RD_TESTS_ENGINE_GROUPS_H

#include "tests/unit/engine/fixture.h"

#define GROUP 10u /* values of 4,000 bytes */

UNUSED static uint64_t size_of(const char *path)
{
    struct stat found;
    assert_int_equal(stat(path, &found), 0);
    return (uint64_t)found.st_size;
}

UNUSED static struct rd_key key_number(uint64_t number)
{
    return rd_key_of_hash((number + 1) * UINT64_C(0x9e3779b97f4a7c15));
}

UNUSED static void put_number(struct rd_store *store, uint64_t number)
{
    char text[32];
    put(store, key_number(number), text,
        (size_t)snprintf(text, sizeof text, "value %llu", (unsigned long long)number));
}

/* So many values at once, which the writer takes as one group. */
UNUSED static void put_group_of(struct rd_store *store, uint64_t first, size_t count, size_t len)
{
    static uint8_t value[20000];
    memset(value, 'v', sizeof value);
    assert_true(count <= GROUP && len <= sizeof value);
    struct rd_entry entries[GROUP];
    struct rd_op ops[GROUP];
    struct collector collector;
    collector_init(&collector);
    for (size_t i = 0; i < count; i++) {
        entries[i] = (struct rd_entry){.key = key_number(first + i), .payload = rd_slice(value, len)};
        ops[i] =
            (struct rd_op){.kind = RD_OP_WRITE, .entries = &entries[i], .entry_count = 1, .sink = &collector.sink};
        assert_int_equal(rd_store_submit(store, &ops[i]), RD_OK);
    }
    rd_store_kick(store);
    collector_wait(&collector, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(ops[i].status, RD_OK);
    collector_deinit(&collector);
}

UNUSED static void put_group(struct rd_store *store, uint64_t first)
{
    put_group_of(store, first, GROUP, 4000);
}

UNUSED static void expect_group(struct rd_store *store, uint64_t first)
{
    static uint8_t value[4000];
    memset(value, 'v', sizeof value);
    for (uint64_t number = first; number < first + GROUP; number++)
        expect_bytes(store, key_number(number), value, sizeof value);
}

#endif
