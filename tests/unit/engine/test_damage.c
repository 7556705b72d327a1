/* SPDX-License-Identifier: MIT
 *
 * Bits flipped inside a store: in payloads, checksums, key hashes and links. Nothing is ever cut for it; what is
 * not hit stays readable.
 */
#include "engine/record.h"
#include "engine/recovery.h"
#include "tests/unit/engine/model.h"

/* Distinct keys, so that every entry but tombstones' is live. */
static void model_distinct(struct model *model, size_t count, size_t len_min, size_t len_max)
{
    for (size_t i = 0; i < count; i++)
        model_add_random(model, MODEL_HASH + i, len_min + random_below(len_max - len_min + 1));
}

static struct rd_store *open_flipped(const struct place *place, struct model *model, uint64_t bit)
{
    model->bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    write_model(place->path, model, model_tail(model));
    struct rd_store *store = store_open(place->path);
    assert_int_equal(rd_store_file_size(store), model_tail(model));
    return store;
}

static void unflip(struct model *model, uint64_t bit)
{
    model->bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

/* Every bit of the entry's bytes [from, from + len), or `tries` of them. */
static void check_corrupts_its_key_alone(const struct place *place, struct model *model, size_t hit, uint64_t from,
                                         uint64_t len, uint64_t tries)
{
    for (uint64_t i = 0; i < tries; i++) {
        uint64_t bit = from * 8 + (tries == len * 8 ? i : random_below(len * 8));
        struct rd_store *store = open_flipped(place, model, bit);
        struct rd_store_info info;
        rd_store_info(store, &info);
        assert_int_equal(info.state, RD_STORE_OPEN);
        check_store(store, model, model->count, hit);
        struct rd_value value;
        assert_int_equal(rd_store_find(store, rd_key_of_hash(model->entries[hit].hash), &value), RD_OK);
        assert_int_equal(rd_value_verify(&value), RD_CORRUPT);
        rd_value_release(&value);
        rd_store_close(store);
        expect_file(place->path, rd_buffer_slice(&model->bytes));
        unflip(model, bit);
    }
}

static void a_flipped_payload_bit_corrupts_its_key_alone(void **state)
{
    (void)state;
    random_begin();
    struct place place = place_create();
    for (int round = 0; round < 6; round++) {
        struct model model;
        model_init(&model);
        model_distinct(&model, 6, 2, round % 2 == 0 ? 10 : 3000);
        for (size_t hit = 0; hit < model.count; hit++) {
            const struct made *made = &model.entries[hit];
            uint64_t bits = made->payload_len * 8;
            check_corrupts_its_key_alone(&place, &model, hit, made->payload_offset, made->payload_len,
                                         bits < 80 ? bits : 10);
        }
        model_deinit(&model);
    }
    place_remove(&place);
}

static void a_flipped_checksum_bit_corrupts_its_key_alone(void **state)
{
    (void)state;
    random_begin();
    struct place place = place_create();
    struct model model;
    model_init(&model);
    model_distinct(&model, 6, 2, 100);
    for (size_t hit = 0; hit < model.count; hit++)
        check_corrupts_its_key_alone(&place, &model, hit, model.entries[hit].end - 4, 4, 32);
    model_deinit(&model);
    place_remove(&place);
}

/* A value of one byte may become the zero byte that marks a deleted key. */
static void a_value_that_becomes_a_zero_byte_is_corrupt_not_deleted(void **state)
{
    (void)state;
    random_begin();
    struct place place = place_create();
    static const uint8_t one[1] = {0x10};
    for (int pad = 0; pad < 2; pad++) {
        struct model model;
        model_init(&model);
        model_add_random(&model, 1, pad == 0 ? 44 : 50); /* 44 + 20: the next payload needs no pad */
        model_add(&model, 2, rd_slice(one, 1), false);
        model_add_random(&model, 3, 50);
        uint64_t bit = model.entries[1].payload_offset * 8 + 4;
        struct rd_store *store = open_flipped(&place, &model, bit);
        check_store(store, &model, model.count, 1);
        rd_store_close(store);
        model_deinit(&model);
    }
    place_remove(&place);
}

static void a_flipped_key_hash_bit_hides_its_key_alone(void **state)
{
    (void)state;
    random_begin();
    struct place place = place_create();
    struct model model;
    model_init(&model);
    model_distinct(&model, 6, 2, 100);
    for (size_t hit = 0; hit < model.count; hit++) {
        for (uint64_t i = 0; i < 64; i += 7) {
            uint64_t bit = (model.entries[hit].end - 20) * 8 + i;
            uint64_t hash = model.entries[hit].hash;
            struct rd_store *store = open_flipped(&place, &model, bit);
            expect_status(store, rd_key_of_hash(hash), RD_KEY_NOT_FOUND);
            model.entries[hit].hash ^= UINT64_C(1) << i;
            check_store(store, &model, model.count, NONE);
            model.entries[hit].hash = hash;
            rd_store_close(store);
            expect_file(place.path, rd_buffer_slice(&model.bytes));
            unflip(&model, bit);
        }
    }
    model_deinit(&model);
    place_remove(&place);
}

/* ---- links ---- */

static void expect_names_range(struct rd_store *store, uint64_t begin, uint64_t end)
{
    char text[64];
    struct rd_store_info info;
    rd_store_info(store, &info);
    assert_int_equal(info.state, RD_STORE_READ_ONLY);
    snprintf(text, sizeof text, "%llu to %llu ", (unsigned long long)begin, (unsigned long long)end);
    assert_non_null(strstr(info.reason, text));
}

/* The link of entry `hit` is flipped so that its chain is broken: read-only, and only entries inside the range are
 * gone. hit itself may be readable no more. */
static void check_broken_link(const struct place *place, struct model *model, size_t hit, uint64_t bit)
{
    uint64_t hit_begin = model->entries[hit].prev_tail;
    struct rd_store *store = open_flipped(place, model, bit);
    struct rd_recovery recovery;
    assert_int_equal(rd_recovery_examine(rd_buffer_slice(&model->bytes), NULL, &recovery), RD_OK);
    assert_true(recovery.damaged);
    assert_true(recovery.damage_begin <= hit_begin && hit_begin < recovery.damage_end);
    assert_true(recovery.damage_end <= model->entries[hit].end);
    expect_names_range(store, recovery.damage_begin, recovery.damage_end);
    for (size_t i = 0; i < model->count; i++) {
        const struct made *made = &model->entries[i];
        if (i == hit)
            continue;
        assert_true(made->end <= recovery.damage_begin || made->prev_tail >= recovery.damage_end);
        expect_bytes(store, rd_key_of_hash(made->hash), model->bytes.data + made->payload_offset,
                     made->payload_len);
    }
    struct rd_cursor *cursor;
    struct rd_value value;
    uint64_t walked = 0;
    assert_int_equal(rd_cursor_open(store, 0, &cursor), RD_OK);
    while (rd_cursor_next(cursor, &value))
        walked++;
    rd_cursor_close(cursor);
    assert_int_equal(walked, rd_store_len(store));
    assert_true(walked == model->count || walked == model->count - 1);
    assert_int_equal(rd_store_write(store, key_named("k"), rd_slice_of_string("v"), NULL), RD_IO_ERROR);
    assert_int_equal(rd_store_delete(store, rd_key_of_hash(MODEL_HASH), NULL), RD_IO_ERROR);
    rd_store_close(store);
    expect_file(place->path, rd_buffer_slice(&model->bytes));
    unflip(model, bit);
}

/* True where the flipped link leads to another entry's end: the chain is whole, and hit's payload damaged. */
static bool leads_to_another_end(const struct model *model, size_t hit, uint64_t link)
{
    for (size_t i = 0; i < hit; i++)
        if (model->entries[i].end == link || link == 0)
            return true;
    return false;
}

static void check_links(struct model *model, size_t first)
{
    struct place place = place_create();
    for (size_t hit = first; hit + 2 < model->count; hit++) {
        for (uint64_t i = 0; i < 64; i++) {
            uint64_t link = model->entries[hit].prev_tail ^ UINT64_C(1) << i;
            if (!leads_to_another_end(model, hit, link))
                check_broken_link(&place, model, hit, (model->entries[hit].end - 12) * 8 + i);
        }
    }
    place_remove(&place);
}

static void a_flipped_link_bit_makes_the_store_read_only(void **state)
{
    (void)state;
    random_begin();
    for (int round = 0; round < 4; round++) {
        struct model model;
        model_init(&model);
        model_distinct(&model, 7, 2, 60u << round * 2);
        check_links(&model, 0);
        model_deinit(&model);
    }
}

/* Ends at 32, 16, 8 above a multiple of 64: a flip leads to a place that needs no pad, so nothing there looks
 * wrong. */
static void a_flipped_link_to_an_aligned_place_makes_the_store_read_only(void **state)
{
    (void)state;
    random_begin();
    static const size_t lens[] = {64 + 12, 64 + 60, 64 + 52, 64 + 46};
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        struct model model;
        model_init(&model);
        model_distinct(&model, 7, lens[i], lens[i]);
        check_links(&model, 0);
        model_deinit(&model);
    }
}

/* Values of zeros: every pad that a wrong link would need is there, and everywhere "a first entry". Where it is
 * the first one that is hit, that cannot be told from a damaged payload, and costs no other key. */
static void a_flipped_link_among_zeros_makes_the_store_read_only(void **state)
{
    (void)state;
    random_begin();
    static const uint8_t zeros[1000];
    struct model model;
    model_init(&model);
    for (size_t i = 0; i < 7; i++)
        model_add(&model, MODEL_HASH + i, rd_slice(zeros, 200 + random_below(700)), false);
    check_links(&model, 1);
    model_deinit(&model);
}

static void read_only_opens_name_the_damage_too(void **state)
{
    (void)state;
    random_begin();
    struct place place = place_create();
    struct model model;
    model_init(&model);
    model_distinct(&model, 6, 30, 30);
    model.bytes.data[model.entries[2].end - 6] ^= 0x40;
    write_model(place.path, &model, model_tail(&model));
    struct rd_store *store = store_open_with(place.path, (struct rd_store_options){.read_only = true});
    expect_names_range(store, model.entries[1].end, model.entries[2].end);
    assert_int_equal(rd_store_write(store, key_named("k"), rd_slice_of_string("v"), NULL), RD_UNAVAILABLE);
    rd_store_close(store);
    expect_file(place.path, rd_buffer_slice(&model.bytes));
    model_deinit(&model);
    place_remove(&place);
}

/* Damage below and a torn end above: the end is cut and kept, the damaged value stays. */
static void a_damaged_payload_and_a_torn_end(void **state)
{
    (void)state;
    random_begin();
    struct place place = place_create();
    for (size_t hit = 0; hit < 6; hit++) {
        struct model model;
        model_init(&model);
        model_distinct(&model, 8, 2, 300);
        model.bytes.data[model.entries[hit].payload_offset] ^= 0x04;
        uint64_t tail = model.entries[6].end;
        write_model(place.path, &model, tail + random_below(model_tail(&model) - tail));
        struct rd_store *store = store_open(place.path);
        check_store(store, &model, 7, hit);
        rd_store_close(store);
        expect_file(place.path, rd_slice(model.bytes.data, tail));
        model_deinit(&model);
    }
    place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flipped_payload_bit_corrupts_its_key_alone),
        cmocka_unit_test(a_flipped_checksum_bit_corrupts_its_key_alone),
        cmocka_unit_test(a_value_that_becomes_a_zero_byte_is_corrupt_not_deleted),
        cmocka_unit_test(a_flipped_key_hash_bit_hides_its_key_alone),
        cmocka_unit_test(a_flipped_link_bit_makes_the_store_read_only),
        cmocka_unit_test(a_flipped_link_to_an_aligned_place_makes_the_store_read_only),
        cmocka_unit_test(a_flipped_link_among_zeros_makes_the_store_read_only),
        cmocka_unit_test(read_only_opens_name_the_damage_too),
        cmocka_unit_test(a_damaged_payload_and_a_torn_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
