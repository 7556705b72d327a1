/* SPDX-License-Identifier: MIT
 *
 * Trailers that the disk has changed below a checkpoint, whose index knows nothing of it: who comes by is told.
 */
#include "engine/record.h"
#include "engine/segment.h"
#include "tests/unit/engine/checkpoints.h"

static struct rd_value find(struct rd_store *store, uint64_t number)
{
    struct rd_value value;
    assert_int_equal(rd_store_find(store, key_number(number), &value), RD_OK);
    struct rd_value where = value;
    rd_value_release(&value);
    return where;
}

static uint64_t trailer_of(struct world *world, uint64_t number)
{
    struct rd_store *store = store_open(world->place.path);
    struct rd_value value = find(store, number);
    rd_store_close(store);
    return value.offset + value.payload.len;
}

static void expect_corrupt(struct rd_store *store, uint64_t number)
{
    struct rd_key keys[3] = {key_number(number - 1), key_number(number), key_number(number + 1)};
    struct rd_value values[3];
    enum rd_status statuses[3];
    expect_status(store, keys[1], RD_CORRUPT);
    assert_int_equal(rd_store_find(store, keys[1], &values[0]), RD_CORRUPT);
    assert_true(rd_store_exists(store, keys[1]));
    rd_store_batch_read(store, keys, 3, values, statuses);
    assert_int_equal(statuses[0], RD_OK);
    assert_int_equal(statuses[1], RD_CORRUPT);
    assert_int_equal(statuses[2], RD_OK);
    assert_null(values[1].payload.data);
    rd_values_release(values, 3);
}

/* A bit of a key's hash, from `bit` on, whose change shows in the tag of the key's slot: of 2^15 one does not, and
 * which ones these are is another matter with each index's seed. */
static unsigned telling_bit(const struct world *world, uint64_t number, unsigned bit)
{
    static const struct rd_located in = {.window = 0}; /* of tags, with fewer than 65,000 keys */
    struct rd_buffer image = rd_file_read(world->index_path);
    uint64_t seed = rd_load_u64le(image.data + 72);
    uint64_t key_hash = key_number(number).hash;
    uint64_t tag = rd_tag_of(in, rd_mix(seed, key_hash));
    rd_buffer_deinit(&image);
    while (rd_tag_of(in, rd_mix(seed, key_hash ^ UINT64_C(1) << bit)) == tag)
        bit = (bit + 1) % 64;
    return bit;
}

static void change_hash(const struct world *world, uint64_t trailer, unsigned bit)
{
    change_byte(world->place.path, trailer + bit / 8, (uint8_t)(1u << bit % 8));
}

/* Not "not found", which would be believed. Each is changed back before the next, so that never more than one of
 * those by which the checkpoint is believed is damaged. */
static void a_changed_hash_is_damage_and_not_absence(void **state)
{
    (void)state;
    struct world world = world_create();
    make_checkpoint(&world);
    for (unsigned nth = 0; nth < 64; nth += 9) {
        uint64_t number = 20000 + 7 * nth + 2;
        uint64_t trailer = trailer_of(&world, number);
        unsigned bit = telling_bit(&world, number, nth);
        change_hash(&world, trailer, bit);
        struct rd_store *store = store_open(world.place.path);
        expect_corrupt(store, number);
        uint64_t live = rd_store_len(store);
        if (nth % 2 == 0) { /* a new value takes the damaged one's place */
            write_keys(&world, store, number, 1);
            assert_int_equal(rd_store_len(store), live);
        } else {
            delete_key(&world, store, number);
            assert_int_equal(rd_store_len(store), live - 1);
        }
        check_world(&world, store);
        rd_store_close(store);
        store = store_open(world.place.path); /* the checkpoint still has the damaged one */
        check_world(&world, store);
        rd_store_close(store);
        change_hash(&world, trailer, bit);
    }
    world_remove(&world);
}

/* The trailers that the first entries of the index's segments name: by these a checkpoint is believed. */
static size_t first_trailers(const struct world *world, uint64_t *ret_trailers, size_t count_max)
{
    struct rd_buffer image = rd_file_read(world->index_path);
    uint64_t part_count = rd_load_u64le(image.data + 80);
    const uint8_t *table = image.data + HEADER_LEN;
    const uint8_t *slots = table + (part_count * 2 + 63) / 64 * 64;
    assert_in_range(part_count, 2, count_max);
    for (uint64_t i = 0; i < part_count; slots += UINT64_C(8) << table[2 * i + 1], i++) {
        const uint8_t *slot = slots;
        while (rd_slot_offset(rd_load_u64le(slot)) == 0)
            slot += 8;
        ret_trailers[i] = rd_slot_offset(rd_load_u64le(slot));
    }
    rd_buffer_deinit(&image);
    return (size_t)part_count;
}

static uint64_t number_at(const struct world *world, uint64_t trailer)
{
    struct rd_buffer file = rd_file_read(world->place.path);
    uint64_t key_hash = rd_load_u64le(file.data + trailer);
    rd_buffer_deinit(&file);
    uint64_t number = 0;
    while (key_number(number).hash != key_hash)
        number++;
    return number;
}

/* Nor is it absence where opening itself comes by; two are more than chance, and the chain is followed. */
static void one_changed_hash_among_those_looked_at_is_damage_too(void **state)
{
    (void)state;
    struct world world = world_create();
    uint64_t trailers[32]; /* opening looks at no more, so at each of these */
    make_checkpoint(&world);
    size_t count = first_trailers(&world, trailers, sizeof trailers / sizeof trailers[0]);
    uint64_t last = number_at(&world, trailers[count - 1]);
    unsigned last_bit = telling_bit(&world, last, 0);
    for (size_t i = 0; i < count - 1; i++) {
        uint64_t number = number_at(&world, trailers[i]);
        unsigned bit = telling_bit(&world, number, (unsigned)i);
        change_hash(&world, trailers[i], bit);
        assert_false(follows_the_chain(&world));
        struct rd_store *store = store_open(world.place.path);
        expect_status(store, key_number(number), RD_CORRUPT);
        rd_store_close(store);
        change_hash(&world, trailers[count - 1], last_bit);
        assert_true(follows_the_chain(&world));
        change_hash(&world, trailers[count - 1], last_bit);
        change_hash(&world, trailers[i], bit);
    }
    world_remove(&world);
}

static enum rd_status move(struct rd_store *store, enum rd_op_kind kind, uint64_t number)
{
    struct rd_entry entries[2] = {{.key = key_number(number)}, {.key = key_named("target")}};
    struct rd_op op = {.kind = kind, .entries = entries, .entry_count = 2};
    return rd_store_execute(store, &op);
}

/* Changes the key in a transaction that wants to know what it held. */
static enum rd_status exchange(struct rd_store *store, uint64_t number, bool deletes)
{
    struct rd_look look = {.key = key_number(number), .value_wanted = true};
    struct rd_entry entry = {.key = key_number(number), .payload = rd_slice_of_string("anything")};
    struct rd_change change = {.deletes = deletes};
    struct rd_op op = {.kind = RD_OP_TRANSACTION,
                       .entries = &entry,
                       .changes = &change,
                       .entry_count = 1,
                       .looks = &look,
                       .look_count = 1};
    enum rd_status status = rd_store_execute(store, &op);
    assert_null(look.value.pin);
    return status;
}

/* Neither "it held nothing" nor, under another key, a value that may be anybody's. */
static void who_takes_a_value_away_is_told_of_its_damage(void **state)
{
    (void)state;
    struct world world = world_create();
    make_checkpoint(&world);
    uint64_t number = 20001;
    change_hash(&world, trailer_of(&world, number), telling_bit(&world, number, 0));
    struct rd_store *store = store_open(world.place.path);
    uint64_t tail = rd_store_file_size(store);
    assert_int_equal(exchange(store, number, false), RD_CORRUPT);
    assert_int_equal(exchange(store, number, true), RD_CORRUPT);
    assert_int_equal(move(store, RD_OP_RENAME, number), RD_CORRUPT);
    assert_int_equal(move(store, RD_OP_COPY, number), RD_CORRUPT);
    assert_int_equal(rd_store_file_size(store), tail);
    expect_corrupt(store, number);
    expect_missing(store, "target");
    write_keys(&world, store, number, 1); /* what does not look is not kept from putting it right */
    check_world(&world, store);
    rd_store_close(store);
    world_remove(&world);
}

static void a_changed_link_is_damage_to_who_comes_by(void **state)
{
    (void)state;
    struct world world = world_create();
    make_checkpoint(&world);
    uint64_t number = 20001;
    uint64_t trailer = trailer_of(&world, number);
    change_byte(world.place.path, trailer + 8 + 7, 0x40);
    struct rd_store *store = store_open(world.place.path);
    expect_corrupt(store, number);
    struct rd_cursor *cursor;
    struct rd_value value;
    assert_int_equal(rd_cursor_open(store, 0, &cursor), RD_OK);
    while (rd_cursor_next(cursor, &value))
        assert_true(value.offset > trailer);
    assert_int_equal(rd_cursor_status(cursor), RD_CORRUPT);
    rd_cursor_close(cursor);
    static struct rd_verification found;
    assert_int_equal(rd_store_verify(store, 0, UINT64_MAX, &found), RD_OK);
    assert_int_equal(found.problem_count, 1);
    assert_int_equal(found.problems[0].kind, RD_PROBLEM_CHAIN);
    rd_store_close(store);
    world_remove(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_changed_hash_is_damage_and_not_absence),
        cmocka_unit_test(one_changed_hash_among_those_looked_at_is_damage_too),
        cmocka_unit_test(who_takes_a_value_away_is_told_of_its_damage),
        cmocka_unit_test(a_changed_link_is_damage_to_who_comes_by),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
