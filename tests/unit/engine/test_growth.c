/* SPDX-License-Identifier: MIT
 *
 * What one put has to do so that the index can grow: where segments split into the next window of tags, which are
 * in the trailers, no put finds many of their pages not mapped yet, neither in a map that is looked at for the
 * first time nor in one that replaces it meanwhile. An index of an image whose segments are about to split. And
 * what happens to a slot between the look at its trailer and the split.
 */
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/endian.h"
#include "engine/index.h"
#include "engine/record.h"
#include "tests/unit/engine/fixture.h"

#define TRAILER_AT  ((uint64_t)1 << 10) /* trailers lie so far apart, so a segment's are on some 2,000 pages */
#define KEYS_BEFORE 50000u              /* no segment leaves the first window yet, */
#define KEYS_MIDST  78000u              /* some have, */
#define KEYS_AFTER  115000u             /* all have */
#define DEPTH_AFTER 6u
/* Of one put: two new segments, what they need of memory, a few trailers. */
#define FAULTS_MAX (SLOW ? 700u : 200u)

struct world {
    struct rd_epoch epoch;
    struct rd_index index;
    int fd;
    uint8_t *written;
    uint64_t trailer_count;
    long faults_max;
};

static const size_t file_len = (KEYS_AFTER + 10) * TRAILER_AT;

static uint8_t *map(const struct world *world, int protection)
{
    uint8_t *file = mmap(NULL, file_len, protection, MAP_SHARED, world->fd, 0);
    assert_true(file != MAP_FAILED);
    assert_int_equal(madvise(file, file_len, MADV_RANDOM), 0); /* as the store has it */
    return file;
}

static void world_begin(struct world *world)
{
    *world = (struct world){.fd = memfd_create("trailers", MFD_CLOEXEC)};
    assert_true(world->fd >= 0);
    assert_int_equal(ftruncate(world->fd, (off_t)file_len), 0);
    world->written = map(world, PROT_READ | PROT_WRITE);
    rd_epoch_init(&world->epoch);
    assert_int_equal(rd_index_init(&world->index, &world->epoch, 0), RD_OK);
}

static void world_end(struct world *world)
{
    rd_epoch_deinit(&world->epoch);
    rd_index_deinit(&world->index);
    munmap(world->written, file_len);
    close(world->fd);
}

static uint64_t hash_of(uint64_t number)
{
    return (number + 1) * UINT64_C(0x2545f4914f6cdd1d);
}

static long faults_so_far(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_THREAD, &usage), 0);
    return usage.ru_minflt;
}

static void put_next(struct world *world, const uint8_t *file)
{
    uint64_t key_hash = hash_of(world->trailer_count);
    uint64_t offset = ++world->trailer_count * TRAILER_AT;
    rd_store_u64le(world->written + offset, key_hash);
    long before = faults_so_far();
    bool lost = false;
    rd_index_begin(&world->index);
    assert_int_equal(rd_index_reserve(&world->index, file, key_hash, &lost), RD_OK);
    assert_false(lost);
    assert_int_equal(rd_index_put(&world->index, file, key_hash, offset), 0);
    rd_epoch_collect(&world->epoch);
    long faults = faults_so_far() - before;
    world->faults_max = faults > world->faults_max ? faults : world->faults_max;
}

static void put_up_to(struct world *world, const uint8_t *file, uint64_t key_count)
{
    world->faults_max = 0;
    while (world->trailer_count < key_count)
        put_next(world, file);
}

static void check_all(const struct world *world)
{
    for (uint64_t i = 0; i < world->trailer_count; i++)
        assert_int_equal(rd_index_lookup(&world->index, world->written, hash_of(i)), (i + 1) * TRAILER_AT);
}

/* The depths of the segment that has the fewest top bits in common and of that which has the most. */
static void depths(const struct rd_index *index, uint32_t *ret_least, uint32_t *ret_most)
{
    struct rd_index_part part;
    *ret_least = UINT32_MAX;
    *ret_most = 0;
    for (size_t at = 0; rd_index_next_part(index, &at, &part);) {
        *ret_least = part.depth < *ret_least ? part.depth : *ret_least;
        *ret_most = part.depth > *ret_most ? part.depth : *ret_most;
    }
}

static void no_put_maps_the_trailers_of_a_whole_segment(void **state)
{
    (void)state;
    struct world world;
    uint32_t least;
    uint32_t most;
    world_begin(&world);
    put_up_to(&world, world.written, KEYS_BEFORE);
    depths(&world.index, &least, &most);
    assert_true(most < DEPTH_AFTER);
    uint8_t *first = map(&world, PROT_READ); /* nobody has looked at anything in it */
    put_up_to(&world, first, KEYS_MIDST);
    assert_in_range(world.faults_max, 1, FAULTS_MAX);
    depths(&world.index, &least, &most);
    assert_true(least < DEPTH_AFTER && most >= DEPTH_AFTER);
    uint8_t *second = map(&world, PROT_READ);
    munmap(first, file_len);
    put_up_to(&world, second, KEYS_AFTER);
    assert_in_range(world.faults_max, 1, FAULTS_MAX);
    depths(&world.index, &least, &most);
    assert_true(least >= DEPTH_AFTER);
    check_all(&world);
    munmap(second, file_len);
    world_end(&world);
}

/* What is promised holds while next tags are foreseen: a group's keys all fit, whatever they meet. */
static void groups_that_make_segments_grow_keep_their_promises(void **state)
{
    (void)state;
    enum { GROUP = 512 };
    struct world world;
    world_begin(&world);
    while (world.trailer_count + GROUP <= KEYS_AFTER) {
        uint64_t first = world.trailer_count;
        bool lost;
        do {
            lost = false;
            rd_index_begin(&world.index);
            for (uint64_t i = first; i < first + GROUP; i++)
                assert_int_equal(rd_index_reserve(&world.index, world.written, hash_of(i), &lost), RD_OK);
        } while (lost);
        for (uint64_t i = first; i < first + GROUP; i++) {
            rd_store_u64le(world.written + (i + 1) * TRAILER_AT, hash_of(i));
            assert_int_equal(rd_index_put(&world.index, world.written, hash_of(i), (i + 1) * TRAILER_AT), 0);
        }
        world.trailer_count += GROUP;
        rd_epoch_collect(&world.epoch);
    }
    check_all(&world);
    world_end(&world);
}

/* ---- an image ---- */

static bool fill_from(void *context, void *slots, size_t len)
{
    const struct rd_index_part *part = context;
    memcpy(slots, part->slots, len);
    return true;
}

/* Its segments have other limits than the image's had, so that some are beyond them at once. */
static void an_image_goes_on_as_gently(void **state)
{
    (void)state;
    struct world world;
    world_begin(&world);
    put_up_to(&world, world.written, KEYS_MIDST);
    struct rd_index old = world.index;
    struct rd_index_part part;
    size_t from = 0;
    size_t to = 0;
    rd_epoch_drain(&world.epoch);
    assert_int_equal(rd_index_restore(&world.index, &world.epoch, old.seed, rd_index_depth(&old)), RD_OK);
    while (rd_index_next_part(&old, &from, &part))
        assert_int_equal(rd_index_restore_part(&world.index, &to, part, file_len, fill_from, &part), RD_OK);
    uint8_t *file = map(&world, PROT_READ);
    assert_true(rd_index_restored(&world.index, to, file, 32));
    put_up_to(&world, file, KEYS_AFTER);
    assert_in_range(world.faults_max, 1, FAULTS_MAX);
    check_all(&world);
    munmap(file, file_len);
    world_end(&world);
    rd_index_deinit(&old);
}

/* ---- what happens meanwhile ---- */

/* Of eight keys that come one goes, and leaves its slot to one of the others. */
static void slots_change_hands_meanwhile(void **state)
{
    (void)state;
    struct world world;
    world_begin(&world);
    put_up_to(&world, world.written, KEYS_BEFORE);
    uint64_t removed = 0;
    for (; world.trailer_count < KEYS_AFTER; removed++) {
        assert_int_equal(rd_index_remove(&world.index, world.written, hash_of(removed)),
                         (removed + 1) * TRAILER_AT);
        put_up_to(&world, world.written, world.trailer_count + 8);
    }
    for (uint64_t i = 0; i < world.trailer_count; i++)
        assert_int_equal(rd_index_lookup(&world.index, world.written, hash_of(i)),
                         i < removed ? 0 : (i + 1) * TRAILER_AT);
    world_end(&world);
}

static uint64_t inverse_of(uint64_t odd)
{
    uint64_t inverse = odd; /* right in its lowest three bits, and in twice as many each time (Newton) */
    for (unsigned i = 0; i < 5; i++)
        inverse *= 2 - odd * inverse;
    return inverse;
}

/* The key whose hash, mixed, is that. */
static uint64_t hash_mixed_to(uint64_t seed, uint64_t mixed)
{
    uint64_t hash = mixed ^ mixed >> 29 ^ mixed >> 58;
    hash *= inverse_of(UINT64_C(0xd6e8feb86659fd93));
    hash ^= hash >> 32;
    hash *= inverse_of(UINT64_C(0x9e3779b97f4a7c15));
    assert_int_equal(rd_mix(seed, hash ^ seed), mixed);
    return hash ^ seed;
}

/* A key takes the slot of one whose trailer was damaged and that cannot be told from it: where it goes in a split
 * is then its own trailer's to tell, whatever was foreseen for the other. */
static void a_slot_goes_with_the_key_that_took_it(void **state)
{
    (void)state;
    enum { TAKEN_COUNT = 4000, NEXT_WINDOW_BITS = 63 - 17 };
    struct world world;
    world_begin(&world);
    put_up_to(&world, world.written, KEYS_MIDST);
    for (uint64_t i = 0; i < TAKEN_COUNT; i++) {
        uint64_t offset = (i + 1) * TRAILER_AT;
        uint64_t mixed = rd_mix(world.index.seed, hash_of(i));
        uint64_t taker = hash_mixed_to(world.index.seed, mixed ^ UINT64_C(1) << NEXT_WINDOW_BITS);
        rd_store_u64le(world.written + offset, hash_mixed_to(world.index.seed, ~mixed)); /* a stray */
        (void)rd_index_put(&world.index, world.written, taker, offset);
        rd_store_u64le(world.written + offset, taker);
    }
    uint64_t live = atomic_load(&world.index.count);
    put_up_to(&world, world.written, KEYS_AFTER);
    assert_int_equal(atomic_load(&world.index.count), live + KEYS_AFTER - KEYS_MIDST);
    for (uint64_t i = 0; i < TAKEN_COUNT; i++) {
        uint64_t mixed = rd_mix(world.index.seed, hash_of(i));
        uint64_t taker = hash_mixed_to(world.index.seed, mixed ^ UINT64_C(1) << NEXT_WINDOW_BITS);
        assert_int_equal(rd_index_lookup(&world.index, world.written, taker), (i + 1) * TRAILER_AT);
    }
    world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_put_maps_the_trailers_of_a_whole_segment),
        cmocka_unit_test(groups_that_make_segments_grow_keep_their_promises),
        cmocka_unit_test(an_image_goes_on_as_gently),
        cmocka_unit_test(slots_change_hands_meanwhile),
        cmocka_unit_test(a_slot_goes_with_the_key_that_took_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
