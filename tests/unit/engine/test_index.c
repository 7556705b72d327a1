/* SPDX-License-Identifier: MIT
 *
 * The index by itself, over a file that is nothing but trailers: what was put is found, what was removed is not,
 * through splits, rebuilds and images, and where its place was found before these; keys that share all that a slot
 * can tell; strays; what it takes of memory; and readers beside a writer that splits.
 */
#include <stdatomic.h>

#include "base/endian.h"
#include "engine/index.h"
#include "engine/record.h"
#include "tests/unit/engine/fixture.h"

#define KEYS_MANY  (SLOW ? 250000u : 700000u) /* segments reach the second window of tags */
#define KEYS_SOME  20000u
#define BATCH      1024u
#define TRAILER_AT 64u /* trailers lie so far apart */

struct world {
    struct rd_epoch epoch;
    struct rd_index index;
    uint8_t *file; /* the n-th trailer at n * TRAILER_AT, from 1 on */
    uint64_t trailer_count;
    struct rd_mapping mapping;
    _Atomic(struct rd_mapping *) to_mapping;
};

static void world_begin(struct world *world, uint64_t trailers_max)
{
    *world = (struct world){.file = calloc(trailers_max + 2, TRAILER_AT)};
    assert_non_null(world->file);
    world->mapping.base = world->file;
    atomic_init(&world->to_mapping, &world->mapping);
    rd_epoch_init(&world->epoch);
    assert_int_equal(rd_index_init(&world->index, &world->epoch, 0), RD_OK);
}

static void world_end(struct world *world)
{
    rd_epoch_deinit(&world->epoch);
    rd_index_deinit(&world->index);
    free(world->file);
}

static uint64_t add_trailer(struct world *world, uint64_t key_hash)
{
    uint64_t offset = ++world->trailer_count * TRAILER_AT;
    rd_store_u64le(world->file + offset, key_hash);
    return offset;
}

static void reserve_all(struct world *world, const uint64_t *hashes, size_t count)
{
    bool lost;
    do {
        lost = false;
        rd_index_begin(&world->index);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(rd_index_reserve(&world->index, world->file, hashes[i], &lost), RD_OK);
    } while (lost);
}

static uint64_t put_key(struct world *world, uint64_t key_hash)
{
    uint64_t offset = add_trailer(world, key_hash);
    reserve_all(world, &key_hash, 1);
    (void)rd_index_put(&world->index, world->file, key_hash, offset);
    return offset;
}

static uint64_t find(struct world *world, uint64_t key_hash)
{
    unsigned place = rd_epoch_enter();
    uint64_t offset = rd_index_find(&world->index, &world->to_mapping, key_hash);
    rd_epoch_exit(place);
    assert_int_equal(offset, rd_index_lookup(&world->index, world->file, key_hash));
    assert_true(offset == 0 || rd_index_holds(&world->index, key_hash, offset));
    assert_true(offset == 0 || rd_index_guess(&world->index, key_hash) != 0);
    return offset;
}

/* The hash that is mixed to this. */
static uint64_t hash_mixed_to(const struct world *world, uint64_t mixed)
{
    /* Of an odd factor the inverse modulo 2^64: each step doubles the bits that are right, 3 at first. */
    uint64_t inverses[2] = {UINT64_C(0x9e3779b97f4a7c15), UINT64_C(0xd6e8feb86659fd93)};
    for (size_t i = 0; i < 2; i++) {
        uint64_t factor = inverses[i];
        for (int step = 0; step < 5; step++)
            inverses[i] *= 2 - factor * inverses[i];
    }
    mixed ^= mixed >> 29 ^ mixed >> 58;
    mixed *= inverses[1];
    mixed ^= mixed >> 32;
    mixed *= inverses[0];
    uint64_t key_hash = mixed ^ world->index.seed;
    return key_hash;
}

/* ---- whose an entry is ---- */

/* All homes of a small index share a few lines, so that others' slots are in sight. */
static void an_entry_is_its_own_keys_alone(void **state)
{
    (void)state;
    struct world world;
    world_begin(&world, 1);
    uint64_t offset = put_key(&world, 7);
    assert_true(rd_index_holds(&world.index, 7, offset));
    unsigned taken_for_it = 0;
    for (uint64_t other = 1000; other < 1500; other++)
        taken_for_it += rd_index_holds(&world.index, other, offset);
    assert_true(taken_for_it <= 2); /* a tag has 15 bits */
    world_end(&world);
}

/* ---- against a table of what must be there ---- */

struct model {
    uint64_t *offsets; /* of key i; 0: it is not there */
    uint64_t live;
};

static uint64_t hash_of(uint64_t number)
{
    return (number + 1) * UINT64_C(0x2545f4914f6cdd1d);
}

static void check_all(struct world *world, const struct model *model, uint64_t keys)
{
    for (uint64_t i = 0; i < keys; i++)
        if (find(world, hash_of(i)) != model->offsets[i])
            fail_msg("key %llu is at %llu, not at %llu", (unsigned long long)i,
                     (unsigned long long)find(world, hash_of(i)), (unsigned long long)model->offsets[i]);
    assert_int_equal(world->index.count, model->live);
}

static void churn(struct world *world, struct model *model, uint64_t keys, uint64_t steps, unsigned removes_in_8)
{
    for (uint64_t step = 0; step < steps; step++) {
        uint64_t i = random_below(keys);
        uint64_t before = model->offsets[i];
        if (random_below(8) < removes_in_8) {
            assert_int_equal(rd_index_remove(&world->index, world->file, hash_of(i)), before);
            model->offsets[i] = 0;
            model->live -= before != 0;
        } else {
            model->offsets[i] = put_key(world, hash_of(i));
            model->live += before == 0;
        }
        if (step % BATCH == 0)
            rd_epoch_collect(&world->epoch);
    }
}

static void what_is_put_is_found_and_what_is_removed_is_not(void **state)
{
    (void)state;
    random_begin();
    struct world world;
    uint64_t steps = 12 * KEYS_SOME;
    struct model model = {.offsets = calloc(KEYS_SOME, sizeof *model.offsets)};
    world_begin(&world, 3 * steps);
    churn(&world, &model, KEYS_SOME, steps, 3);
    check_all(&world, &model, KEYS_SOME);
    churn(&world, &model, KEYS_SOME, steps, 7); /* nearly empty again: deleted slots abound */
    check_all(&world, &model, KEYS_SOME);
    churn(&world, &model, KEYS_SOME, steps, 1);
    check_all(&world, &model, KEYS_SOME);
    free(model.offsets);
    world_end(&world);
}

/* ---- growing ---- */

static void put_batch(struct world *world, struct model *model, uint64_t first)
{
    static uint64_t hashes[BATCH];
    for (uint64_t i = 0; i < BATCH; i++)
        hashes[i] = hash_of(first + i);
    reserve_all(world, hashes, BATCH);
    uint64_t bytes = world->index.bytes;
    for (uint64_t i = 0; i < BATCH; i++) {
        model->offsets[first + i] = add_trailer(world, hashes[i]);
        assert_int_equal(rd_index_put(&world->index, world->file, hashes[i], model->offsets[first + i]), 0);
    }
    assert_int_equal(world->index.bytes, bytes); /* room was reserved for all of them */
    model->live += BATCH;
    rd_epoch_collect(&world->epoch);
}

static void it_grows_step_by_step_within_its_memory(void **state)
{
    (void)state;
    struct world world;
    struct model model = {.offsets = calloc(KEYS_MANY, sizeof *model.offsets)};
    world_begin(&world, KEYS_MANY);
    uint64_t keys = KEYS_MANY / BATCH * BATCH;
    for (uint64_t first = 0; first < keys; first += BATCH) {
        put_batch(&world, &model, first);
        uint64_t per_key = world.index.bytes / model.live;
        if (model.live >= KEYS_SOME && per_key > 40)
            fail_msg("%llu bytes a key at %llu keys", (unsigned long long)per_key, (unsigned long long)model.live);
        if ((first / BATCH & (first / BATCH - 1)) == 0)
            check_all(&world, &model, first + BATCH);
    }
    check_all(&world, &model, keys);
    assert_true(rd_index_depth(&world.index) > 6); /* beyond the first window of tags */
    assert_true(world.index.bytes <= 24 * model.live);
    free(model.offsets);
    world_end(&world);
}

static uint64_t bytes_in_use(const struct world *world)
{
    struct rd_index_part part;
    uint64_t bytes = 0;
    for (size_t at = 0; rd_index_next_part(&world->index, &at, &part);)
        bytes += sizeof(uint64_t) << part.slot_bits;
    return bytes;
}

/* Segments that are split while a reader is inside cannot be used again before it leaves. */
static void what_a_reader_holds_up_is_used_again_when_it_has_left(void **state)
{
    (void)state;
    enum { BEFORE = 8 * BATCH, BESIDE = 96 * BATCH, AFTER = 192 * BATCH };
    struct world world;
    struct model model = {.offsets = calloc(AFTER, sizeof *model.offsets)};
    world_begin(&world, AFTER);
    uint64_t first = 0;
    for (; first < BEFORE; first += BATCH)
        put_batch(&world, &model, first);
    unsigned place = rd_epoch_enter();
    for (; first < BESIDE; first += BATCH)
        put_batch(&world, &model, first);
    rd_epoch_exit(place);
    uint64_t bytes = world.index.bytes;
    assert_true(bytes > bytes_in_use(&world) * 3 / 2);
    for (; first < AFTER; first += BATCH)
        put_batch(&world, &model, first);
    assert_true(world.index.bytes < bytes * 3 / 2); /* twice the keys */
    check_all(&world, &model, AFTER);
    free(model.offsets);
    world_end(&world);
}

/* ---- places found beforehand ---- */

struct judged {
    uint64_t number;
    uint64_t offset;
    uint64_t place;
};

/* Distinct ones, a third of them known already. */
static void judge_batch(struct world *world, const struct model *model, uint64_t first, struct judged *batch)
{
    for (uint64_t i = 0; i < BATCH; i++) {
        batch[i].number = first + i;
        if (first != 0 && i % 3 == 0)
            batch[i].number = random_below(first / BATCH) * BATCH + i;
        struct rd_index_spot spot;
        rd_index_approach(&world->index, hash_of(batch[i].number), &spot);
        batch[i].offset =
            rd_index_lookup_at(&world->index, world->file, &spot, hash_of(batch[i].number), &batch[i].place);
        assert_int_equal(batch[i].offset, model->offsets[batch[i].number]);
    }
}

static void reserve_batch(struct world *world, const struct judged *batch)
{
    static uint64_t hashes[BATCH];
    size_t count = 0;
    for (size_t i = 0; i < BATCH; i++)
        if (batch[i].offset == 0)
            hashes[count++] = hash_of(batch[i].number);
    reserve_all(world, hashes, count);
}

static bool is_replaced(uint64_t place)
{
    const struct rd_segment *segment = rd_slab_side_of((void *)rd_slot_at(place));
    return place != 0 && rd_epoch_is_retired(&segment->retired);
}

static void publish_batch(struct world *world, struct model *model, const struct judged *batch)
{
    for (size_t i = 0; i < BATCH; i++) {
        uint64_t hash = hash_of(batch[i].number);
        uint64_t offset = add_trailer(world, hash);
        if (batch[i].offset == 0)
            rd_index_add(&world->index, hash, batch[i].place, offset);
        else
            assert_int_equal(rd_index_replace(&world->index, world->file, hash, batch[i].place, offset),
                             batch[i].offset);
        model->live += batch[i].offset == 0;
        model->offsets[batch[i].number] = offset;
    }
}

static void remove_some(struct world *world, struct model *model, uint64_t keys)
{
    for (unsigned i = 0; i < BATCH / 8; i++) {
        uint64_t number = random_below(keys);
        assert_int_equal(rd_index_remove(&world->index, world->file, hash_of(number)), model->offsets[number]);
        model->live -= model->offsets[number] != 0;
        model->offsets[number] = 0;
    }
}

/* Segments are replaced between the two, and slots are taken by others. */
static void what_was_judged_is_published_wherever_it_belongs_by_then(void **state)
{
    (void)state;
    random_begin();
    static struct judged batch[BATCH];
    struct world world;
    uint64_t keys = KEYS_MANY / 2 / BATCH * BATCH;
    struct model model = {.offsets = calloc(keys, sizeof *model.offsets)};
    world_begin(&world, keys);
    uint64_t good = 0;
    uint64_t replaced = 0;
    uint64_t taken = 0;
    for (uint64_t first = 0; first < keys; first += BATCH) {
        judge_batch(&world, &model, first, batch);
        reserve_batch(&world, batch);
        for (size_t i = 0; i < BATCH; i++) {
            good += batch[i].place != 0 && !is_replaced(batch[i].place);
            replaced += is_replaced(batch[i].place);
        }
        publish_batch(&world, &model, batch);
        for (size_t i = 0; i < BATCH; i++)
            taken += batch[i].place != 0 && !is_replaced(batch[i].place) &&
                     rd_slot_offset(*rd_slot_at(batch[i].place)) != model.offsets[batch[i].number];
        if (first / BATCH % 4 == 3)
            remove_some(&world, &model, first + BATCH);
        rd_epoch_collect(&world.epoch);
    }
    check_all(&world, &model, keys);
    assert_true(good > replaced && replaced > 0 && taken > 0);
    free(model.offsets);
    world_end(&world);
}

/* ---- places of keys that are alike, in lines that are full ---- */

#define POOL_KEYS  192u /* of two lines, in two segments at most, and six to a tag */
#define POOL_BATCH 64u  /* of one group, */
#define POOL_MORE  16u  /* and so many keys that have segments split */

struct pool {
    uint64_t hashes[POOL_KEYS];
    uint64_t offsets[POOL_KEYS]; /* 0: it is not there */
    unsigned order[POOL_KEYS];
};

static void pool_begin(struct pool *pool, const struct world *world)
{
    uint64_t line = random_below(RD_SEGMENT_SLOTS_USUAL / RD_LINE_SLOTS) * RD_LINE_SLOTS;
    uint64_t tops[2] = {random_next() << 52, random_next() << 52};
    for (unsigned i = 0; i < POOL_KEYS; i++) {
        uint64_t home = (line + i % (2 * RD_LINE_SLOTS)) % RD_SEGMENT_SLOTS_USUAL;
        uint64_t mixed = tops[i / (POOL_KEYS / 2)] | (uint64_t)(i + 1) << 20 | home;
        pool->hashes[i] = hash_mixed_to(world, mixed);
        pool->offsets[i] = 0;
        pool->order[i] = i;
    }
}

static void pool_shuffle(struct pool *pool)
{
    for (unsigned i = 0; i < POOL_KEYS; i++) {
        unsigned other = (unsigned)random_below(POOL_KEYS);
        unsigned moved = pool->order[i];
        pool->order[i] = pool->order[other];
        pool->order[other] = moved;
    }
}

struct pool_change {
    uint64_t place;
    uint64_t offset;
    bool removes;
};

static uint64_t judge_one(const struct world *world, uint64_t hash, uint64_t *ret_place)
{
    struct rd_index_spot spot;
    rd_index_approach(&world->index, hash, &spot);
    return rd_index_lookup_at(&world->index, world->file, &spot, hash, ret_place);
}

static void pool_publish(struct world *world, struct pool *pool, unsigned at, const struct pool_change *change)
{
    uint64_t hash = pool->hashes[at];
    uint64_t offset = change->removes ? 0 : add_trailer(world, hash);
    if (change->removes)
        assert_int_equal(rd_index_remove(&world->index, world->file, hash), change->offset);
    else if (change->offset == 0)
        rd_index_add(&world->index, hash, change->place, offset);
    else
        assert_int_equal(rd_index_replace(&world->index, world->file, hash, change->place, offset),
                         change->offset);
    pool->offsets[at] = offset;
}

/* The keys that come first in its order, and some that nobody changes again. */
static void pool_round(struct world *world, struct pool *pool, uint64_t first)
{
    static uint64_t hashes[POOL_BATCH + POOL_MORE];
    struct pool_change changes[POOL_BATCH];
    uint64_t places[POOL_MORE];
    size_t count = 0;
    pool_shuffle(pool);
    for (unsigned i = 0; i < POOL_BATCH; i++) {
        unsigned at = pool->order[i];
        changes[i].offset = judge_one(world, pool->hashes[at], &changes[i].place);
        assert_int_equal(changes[i].offset, pool->offsets[at]);
        changes[i].removes = changes[i].offset != 0 && random_below(2) == 0;
        if (changes[i].offset == 0)
            hashes[count++] = pool->hashes[at];
    }
    for (unsigned i = 0; i < POOL_MORE; i++) {
        hashes[count++] = hash_of(first + i);
        assert_int_equal(judge_one(world, hash_of(first + i), &places[i]), 0);
    }
    reserve_all(world, hashes, count);
    for (unsigned i = 0; i < POOL_BATCH; i++) {
        if (i % (POOL_BATCH / POOL_MORE) == 0) {
            uint64_t hash = hash_of(first + i / (POOL_BATCH / POOL_MORE));
            rd_index_add(&world->index, hash, places[i / (POOL_BATCH / POOL_MORE)], add_trailer(world, hash));
        }
        pool_publish(world, pool, pool->order[i], &changes[i]);
    }
    rd_epoch_collect(&world->epoch);
}

/* What is promised to one key is taken by another, or the key that had it is removed, within one group. */
static void places_in_full_lines_are_taken_by_their_keys_alone(void **state)
{
    (void)state;
    random_begin();
    static struct pool pool;
    struct world world;
    uint64_t rounds = KEYS_SOME / POOL_MORE;
    world_begin(&world, KEYS_SOME + rounds * (POOL_BATCH + POOL_MORE));
    for (uint64_t i = 0; i < KEYS_SOME / 5; i++) /* segments are of the usual size */
        put_key(&world, hash_of(i));
    pool_begin(&pool, &world);
    for (uint64_t round = 0; round < rounds; round++) {
        pool_round(&world, &pool, KEYS_SOME + round * POOL_MORE);
        for (unsigned i = 0; i < POOL_KEYS; i++)
            assert_int_equal(find(&world, pool.hashes[i]), pool.offsets[i]);
    }
    uint64_t live = KEYS_SOME / 5 + rounds * POOL_MORE;
    for (unsigned i = 0; i < POOL_KEYS; i++)
        live += pool.offsets[i] != 0;
    assert_int_equal(world.index.count, live);
    for (uint64_t i = 0; i < rounds * POOL_MORE; i++)
        assert_true(find(&world, hash_of(KEYS_SOME + i)) != 0);
    world_end(&world);
}

/* While others change the file between judging and publishing, a key may lose its slot to one that is alike. */
static void a_place_that_was_lost_to_a_stray_is_none(void **state)
{
    (void)state;
    struct world world;
    world_begin(&world, 8);
    rd_index_deinit(&world.index);
    assert_int_equal(rd_index_init(&world.index, &world.epoch, RD_SEGMENT_SLOTS_USUAL / 2), RD_OK);
    uint64_t shared = UINT64_C(0x123) << 52;
    uint64_t hashes[3]; /* of one home and one tag */
    uint64_t offsets[2];
    for (uint64_t i = 0; i < 3; i++)
        hashes[i] = hash_mixed_to(&world, shared | (i + 1) << 20);
    for (size_t i = 0; i < 2; i++)
        offsets[i] = put_key(&world, hashes[i]);
    uint64_t place;
    assert_int_equal(judge_one(&world, hashes[0], &place), offsets[0]);
    assert_true(place != 0);
    rd_store_u64le(world.file + offsets[0], hash_mixed_to(&world, ~shared));
    rd_store_u64le(world.file + offsets[1], hashes[2]);
    assert_int_equal(rd_index_remove(&world.index, world.file, hashes[1]), offsets[0]);
    uint64_t offset = add_trailer(&world, hashes[0]);
    assert_int_equal(rd_index_replace(&world.index, world.file, hashes[0], place, offset), 0);
    assert_int_equal(find(&world, hashes[0]), offset);
    world_end(&world);
}

/* ---- keys that a slot cannot tell apart ---- */

static void keys_that_share_all_that_a_slot_tells_are_kept_apart(void **state)
{
    (void)state;
    random_begin();
    struct world world;
    enum { ALIKE = 40 }; /* several lines full, all from one home */
    uint64_t hashes[ALIKE];
    uint64_t offsets[ALIKE];
    world_begin(&world, KEYS_SOME + ALIKE);
    uint64_t shared = random_next() & ~(UINT64_C(0xffff) << 20); /* those bits neither lead anywhere nor tell */
    for (uint64_t i = 0; i < ALIKE; i++) {
        hashes[i] = hash_mixed_to(&world, shared | (i + 1) << 20);
        offsets[i] = put_key(&world, hashes[i]);
    }
    assert_int_equal(find(&world, hash_mixed_to(&world, shared | UINT64_C(0xffff) << 20)), 0);
    assert_int_equal(rd_index_remove(&world.index, world.file, hashes[0]), offsets[0]);
    assert_int_equal(rd_index_remove(&world.index, world.file, hashes[ALIKE - 1]), offsets[ALIKE - 1]);
    for (uint64_t i = 0; i < KEYS_SOME; i++) /* splits and rebuilds */
        put_key(&world, hash_of(i));
    for (size_t i = 1; i < ALIKE - 1; i++)
        assert_int_equal(find(&world, hashes[i]), offsets[i]);
    assert_int_equal(find(&world, hashes[0]), 0);
    assert_int_equal(find(&world, hashes[ALIKE - 1]), 0);
    offsets[0] = put_key(&world, hashes[0]);
    assert_int_equal(find(&world, hashes[0]), offsets[0]);
    world_end(&world);
}

/* ---- trailers that are damaged later ---- */

/* Another in one bit, which the tags tell apart: of 2^15 they do not tell one. */
static uint64_t hash_told_from(const struct world *world, uint64_t key_hash)
{
    struct rd_located in = rd_index_locate(&world->index, rd_mix(world->index.seed, key_hash));
    uint64_t tag = rd_tag_of(in, rd_mix(world->index.seed, key_hash));
    for (;;) {
        uint64_t other = key_hash ^ UINT64_C(1) << random_below(64);
        if (rd_tag_of(in, rd_mix(world->index.seed, other)) != tag)
            return other;
    }
}

static void a_damaged_trailer_is_found_by_its_key_as_a_stray(void **state)
{
    (void)state;
    random_begin();
    struct world world;
    world_begin(&world, 4 * KEYS_SOME);
    for (uint64_t i = 0; i < KEYS_SOME; i++)
        put_key(&world, hash_of(i));
    uint64_t hit = random_below(KEYS_SOME);
    uint64_t offset = find(&world, hash_of(hit));
    uint64_t found_hash = hash_told_from(&world, hash_of(hit));
    rd_store_u64le(world.file + offset, found_hash);
    assert_int_equal(find(&world, hash_of(hit)), offset);
    assert_int_equal(find(&world, found_hash), 0); /* nobody takes it for the key that it says */
    uint64_t newer = add_trailer(&world, hash_of(hit));
    assert_int_equal(rd_index_put(&world.index, world.file, hash_of(hit), newer), offset); /* no room is needed */
    assert_int_equal(find(&world, hash_of(hit)), newer);
    assert_int_equal(world.index.count, KEYS_SOME);
    assert_int_equal(rd_index_remove(&world.index, world.file, hash_of(hit)), newer);
    assert_int_equal(find(&world, hash_of(hit)), 0);
    world_end(&world);
}

/* ---- as an image ---- */

struct image {
    struct rd_index_part part;
    bool fails;
};

static bool fill_from(void *context, void *slots, size_t len)
{
    struct image *image = context;
    memcpy(slots, image->part.slots, len);
    return !image->fails;
}

/* A second index from the parts of the first. Returns whether all of it was taken. */
static bool copy_by_parts(struct world *world, struct rd_epoch *epoch, struct rd_index *copy, uint64_t file_len,
                          bool fails)
{
    rd_epoch_init(epoch);
    assert_int_equal(rd_index_restore(copy, epoch, world->index.seed, rd_index_depth(&world->index)), RD_OK);
    size_t from = 0;
    size_t to = 0;
    enum rd_status status = RD_OK;
    struct image image = {.fails = fails};
    while (status == RD_OK && rd_index_next_part(&world->index, &from, &image.part))
        status = rd_index_restore_part(copy, &to, image.part, file_len, fill_from, &image);
    assert_true(status == RD_OK || status == RD_CORRUPT);
    return status == RD_OK && rd_index_restored(copy, to, world->file, 32);
}

static void an_image_of_it_is_as_good_and_goes_on_growing(void **state)
{
    (void)state;
    random_begin();
    struct world world;
    struct model model = {.offsets = calloc(2 * KEYS_SOME, sizeof *model.offsets)};
    world_begin(&world, 16 * KEYS_SOME);
    churn(&world, &model, 2 * KEYS_SOME, 8 * KEYS_SOME, 2);
    struct world other = world;
    uint64_t file_len = (world.trailer_count + 1) * TRAILER_AT;
    assert_true(copy_by_parts(&world, &other.epoch, &other.index, file_len, false));
    rd_epoch_deinit(&world.epoch);
    rd_index_deinit(&world.index);
    check_all(&other, &model, 2 * KEYS_SOME);
    churn(&other, &model, 2 * KEYS_SOME, 4 * KEYS_SOME, 1);
    check_all(&other, &model, 2 * KEYS_SOME);
    free(model.offsets);
    world_end(&other);
}

static void an_image_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    struct world world;
    struct rd_epoch epoch;
    struct rd_index copy;
    world_begin(&world, KEYS_SOME);
    for (uint64_t i = 0; i < KEYS_SOME; i++)
        put_key(&world, hash_of(i));
    uint64_t file_len = KEYS_SOME * TRAILER_AT + RD_TRAILER_LEN;
    assert_true(copy_by_parts(&world, &epoch, &copy, file_len, false));
    rd_index_deinit(&copy);
    assert_false(copy_by_parts(&world, &epoch, &copy, file_len - 1, false)); /* it names what is not there */
    rd_index_deinit(&copy);
    assert_false(copy_by_parts(&world, &epoch, &copy, file_len, true)); /* cannot be read */
    rd_index_deinit(&copy);
    world_end(&world);
}

/* However few segments and entries there are to tell it by. */
static void an_image_of_another_file_is_refused(void **state)
{
    (void)state;
    static const uint64_t counts[] = {1, 2, 1000, KEYS_SOME};
    random_begin();
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct world world;
        struct rd_epoch epoch;
        struct rd_index copy;
        world_begin(&world, counts[i]);
        for (uint64_t key = 0; key < counts[i]; key++)
            put_key(&world, hash_of(key));
        uint64_t file_len = counts[i] * TRAILER_AT + RD_TRAILER_LEN;
        assert_true(copy_by_parts(&world, &epoch, &copy, file_len, false));
        rd_index_deinit(&copy);
        for (uint64_t offset = TRAILER_AT; offset <= counts[i] * TRAILER_AT; offset += TRAILER_AT)
            rd_store_u64le(world.file + offset, hash_told_from(&world, rd_load_u64le(world.file + offset)));
        assert_false(copy_by_parts(&world, &epoch, &copy, file_len, false));
        rd_index_deinit(&copy);
        world_end(&world);
    }
}

/* ---- beside readers ---- */

/* A key that is not there, and that no slot tells from this one. */
static uint64_t twin_of(const struct world *world, uint64_t key_hash)
{
    return hash_mixed_to(world, rd_mix(world->index.seed, key_hash) ^ UINT64_C(0xffff) << 20);
}

struct reader {
    struct world *world;
    const uint64_t *offsets;
    const atomic_uint_fast64_t *put; /* so many keys are there */
    const atomic_bool *done;
    uint64_t seed;
    uint64_t missed;
    uint64_t invented; /* keys that are not there, but were found */
    uint64_t looks;
};

static void *look_on(void *context)
{
    struct reader *reader = context;
    uint64_t state = reader->seed;
    while (!atomic_load(reader->done)) {
        uint64_t count = atomic_load_explicit(reader->put, memory_order_acquire);
        state = state * UINT64_C(6364136223846793005) + 1;
        if (count == 0)
            continue;
        uint64_t i = (state >> 33) % count;
        unsigned place = rd_epoch_enter();
        uint64_t offset = rd_index_find(&reader->world->index, &reader->world->to_mapping, hash_of(i));
        bool holds = rd_index_holds(&reader->world->index, hash_of(i), reader->offsets[i]);
        rd_epoch_exit(place);
        place = rd_epoch_enter();
        uint64_t twin = twin_of(reader->world, hash_of(i));
        reader->invented += rd_index_find(&reader->world->index, &reader->world->to_mapping, twin) != 0;
        rd_epoch_exit(place);
        reader->missed += offset != reader->offsets[i] || !holds;
        reader->looks++;
    }
    return NULL;
}

static void readers_find_all_keys_while_segments_split(void **state)
{
    (void)state;
    enum { READERS = 3 };
    struct world world;
    struct model model = {.offsets = calloc(KEYS_MANY, sizeof *model.offsets)};
    world_begin(&world, KEYS_MANY);
    atomic_uint_fast64_t put_count = 0;
    atomic_bool done = false;
    struct reader readers[READERS];
    pthread_t threads[READERS];
    for (uint64_t i = 0; i < READERS; i++) {
        readers[i] = (struct reader){
            .world = &world, .offsets = model.offsets, .put = &put_count, .done = &done, .seed = i};
        assert_int_equal(pthread_create(&threads[i], NULL, look_on, &readers[i]), 0);
    }
    for (uint64_t first = 0; first + BATCH <= KEYS_MANY / 2; first += BATCH) {
        put_batch(&world, &model, first);
        atomic_store_explicit(&put_count, first + BATCH, memory_order_release);
    }
    atomic_store(&done, true);
    uint64_t looks = 0;
    for (size_t i = 0; i < READERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(readers[i].missed, 0);
        assert_int_equal(readers[i].invented, 0);
        looks += readers[i].looks;
    }
    assert_true(looks > 0);
    check_all(&world, &model, put_count);
    free(model.offsets);
    world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_is_its_own_keys_alone),
        cmocka_unit_test(what_is_put_is_found_and_what_is_removed_is_not),
        cmocka_unit_test(it_grows_step_by_step_within_its_memory),
        cmocka_unit_test(what_a_reader_holds_up_is_used_again_when_it_has_left),
        cmocka_unit_test(what_was_judged_is_published_wherever_it_belongs_by_then),
        cmocka_unit_test(places_in_full_lines_are_taken_by_their_keys_alone),
        cmocka_unit_test(a_place_that_was_lost_to_a_stray_is_none),
        cmocka_unit_test(keys_that_share_all_that_a_slot_tells_are_kept_apart),
        cmocka_unit_test(a_damaged_trailer_is_found_by_its_key_as_a_stray),
        cmocka_unit_test(an_image_of_it_is_as_good_and_goes_on_growing),
        cmocka_unit_test(an_image_that_does_not_fit_is_refused),
        cmocka_unit_test(an_image_of_another_file_is_refused),
        cmocka_unit_test(readers_find_all_keys_while_segments_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
