/* SPDX-License-Identifier: MIT
 *
 * checkpoints.h - what the tests of a store with a checkpoint share: a store and what it must show, and whether
 * opening it looks at the chain.
 */
#ifndef RD_TESTS_ENGINE_CHECKPOINTS_H
#define RD_TESTS_ENGINE_CHECKPOINTS_H

#include <fcntl.h>
#include <unistd.h>

#include "tests/unit/engine/fixture.h"

#define KEY_COUNT  40000u /* enough for a checkpoint to be written */
#define MORE_KEYS  (3 * KEY_COUNT)
#define VALUE_LEN  8u
#define BATCH      1000u
#define HEADER_LEN 128u

/* ---- a store and what it must show ---- */

/* versions[i] is the version of key i that lives; 0: none does. */
struct world {
    struct place place;
    char *index_path;
    uint32_t *versions;
    uint32_t version;
    uint64_t link_end; /* the last byte of the link of an entry in the middle of what make_checkpoint wrote */
};

UNUSED static struct rd_key key_number(uint64_t number)
{
    return rd_key_of_hash((number + 1) * UINT64_C(0x9e3779b97f4a7c15));
}

UNUSED static void value_of(uint64_t number, uint32_t version, uint8_t to[VALUE_LEN])
{
    uint32_t words[2] = {(uint32_t)number, version};
    memcpy(to, words, VALUE_LEN);
}

UNUSED static struct world world_create(void)
{
    struct world world = {.place = place_create()};
    world.index_path = rd_path(world.place.folder, "store.rdr.index");
    world.versions = calloc(MORE_KEYS, sizeof *world.versions);
    return world;
}

UNUSED static void world_remove(struct world *world)
{
    free(world->versions);
    free(world->index_path);
    place_remove(&world->place);
}

UNUSED static void write_keys(struct world *world, struct rd_store *store, uint64_t first, uint64_t count)
{
    static struct rd_entry entries[BATCH];
    static uint8_t values[BATCH][VALUE_LEN];
    for (uint64_t done = 0; done < count;) {
        size_t batch = count - done < BATCH ? (size_t)(count - done) : BATCH;
        world->version++;
        for (size_t i = 0; i < batch; i++, done++) {
            value_of(first + done, world->version, values[i]);
            world->versions[first + done] = world->version;
            entries[i] =
                (struct rd_entry){.key = key_number(first + done), .payload = rd_slice(values[i], VALUE_LEN)};
        }
        assert_int_equal(rd_store_batch_write(store, entries, batch, false, NULL), RD_OK);
    }
}

UNUSED static void delete_key(struct world *world, struct rd_store *store, uint64_t number)
{
    assert_int_equal(rd_store_delete(store, key_number(number), NULL), RD_OK);
    world->versions[number] = 0;
}

UNUSED static void rename_key(struct world *world, struct rd_store *store, uint64_t from, uint64_t to)
{
    if (from == to || world->versions[from] == 0)
        return;
    uint8_t value[VALUE_LEN];
    world->version++;
    value_of(to, world->version, value);
    put(store, key_number(from), value, VALUE_LEN);
    assert_int_equal(rd_store_rename(store, key_number(from), key_number(to), NULL), RD_OK);
    world->versions[from] = 0;
    world->versions[to] = world->version;
}

UNUSED static void do_anything(struct world *world, struct rd_store *store, unsigned steps)
{
    for (unsigned i = 0; i < steps; i++) {
        uint64_t number = random_below(MORE_KEYS);
        if (random_below(4) == 0)
            delete_key(world, store, number);
        else if (random_below(4) == 0)
            rename_key(world, store, number, random_below(MORE_KEYS));
        else
            write_keys(world, store, number, 1 + random_below(MORE_KEYS - number) % 20);
    }
}

/* Every key, and nothing else. */
UNUSED static void check_world(const struct world *world, struct rd_store *store)
{
    static struct rd_key keys[BATCH];
    static struct rd_value values[BATCH];
    static enum rd_status statuses[BATCH];
    uint64_t live = 0;
    for (uint64_t first = 0; first < MORE_KEYS; first += BATCH) {
        for (size_t i = 0; i < BATCH; i++)
            keys[i] = key_number(first + i);
        rd_store_batch_read(store, keys, BATCH, values, statuses);
        for (size_t i = 0; i < BATCH; i++) {
            uint8_t expected[VALUE_LEN];
            value_of(first + i, world->versions[first + i], expected);
            bool lives = world->versions[first + i] != 0;
            live += lives;
            assert_int_equal(statuses[i], lives ? RD_OK : RD_KEY_NOT_FOUND);
            assert_true(!lives || rd_slice_equal(values[i].payload, rd_slice(expected, VALUE_LEN)));
        }
        rd_values_release(values, BATCH);
    }
    assert_int_equal(rd_store_len(store), live);
}

/* A store that was stopped in order with a checkpoint. */
UNUSED static void make_checkpoint(struct world *world)
{
    struct rd_store *store = store_open(world->place.path);
    write_keys(world, store, 0, KEY_COUNT);
    for (uint64_t number = 0; number < KEY_COUNT; number += 7)
        delete_key(world, store, number);
    struct rd_value value;
    assert_int_equal(rd_store_find(store, key_number(KEY_COUNT / 2), &value), RD_OK);
    world->link_end = value.offset + value.payload.len + 8 + 7;
    rd_value_release(&value);
    rd_store_close(store);
    assert_true(file_exists(world->index_path));
}

/* ---- whether opening looks at the chain ---- */

/* The bits of `difference` change in one byte of a file. */
UNUSED static void change_byte(const char *path, uint64_t offset, uint8_t difference)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    uint8_t byte;
    assert_int_equal(pread(fd, &byte, 1, (off_t)offset), 1);
    byte ^= difference;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
    close(fd);
}

/* A link in the file's middle is broken for the time of an opening that changes nothing. Who follows the chain
 * names the damage, who has the index from a checkpoint cannot know of it. */
UNUSED static bool follows_the_chain(const struct world *world)
{
    struct rd_store_info info;
    change_byte(world->place.path, world->link_end, 0x80);
    struct rd_store *store = store_open_with(world->place.path, (struct rd_store_options){.read_only = true});
    rd_store_info(store, &info);
    rd_store_close(store);
    change_byte(world->place.path, world->link_end, 0x80);
    return strstr(info.reason, "damaged") != NULL;
}

#endif
