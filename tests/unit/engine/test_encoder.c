/* SPDX-License-Identifier: MIT
 *
 * What groups of values of all lengths leave in the file, byte by byte, at every tail modulo 64: short values that
 * are copied into the write buffer, longer ones that are written from where they lie, streams in memory and in
 * files, slices of long ones, and values that lay ahead, mixed with each other and with tombstones. What is to be
 * there is put together here as docs/FORMAT.md draws it, without the encoder's helpers.
 */
#include "engine/record.h"
#include "engine/store.h"
#include "tests/unit/engine/faults.h"

#define IMAGE_LEN_MAX ((size_t)96 << 20)
#define SOURCE_LEN    (((size_t)9 << 20) + 4096)
#define TAILS         64u
#define TAIL_STEP     (SLOW ? 5u : 1u) /* the seed says where it begins */
#define BATCH_MIN     40u
#define BATCH_MAX     160u
#define GROUP_OPS     24u
#define LONG_COUNT    7u

/* ---- what is to be there ---- */

struct image {
    uint8_t *bytes; /* owned; IMAGE_LEN_MAX, zeros above tail */
    uint64_t tail;
};

static void put_le(struct image *image, uint64_t number, unsigned len)
{
    for (unsigned i = 0; i < len; i++)
        image->bytes[image->tail++] = (uint8_t)(number >> 8 * i);
}

static void put_end(struct image *image, uint64_t key_hash, uint64_t prev_tail, uint32_t crc32)
{
    put_le(image, key_hash, 8);
    put_le(image, prev_tail, 8);
    put_le(image, crc32, 4);
}

/* Returns where the payload begins. */
static uint64_t put_value(struct image *image, uint64_t key_hash, struct rd_slice payload)
{
    uint64_t prev_tail = image->tail;
    uint64_t begin = prev_tail + (64 - prev_tail % 64) % 64;
    assert_true(begin + payload.len + 20 <= IMAGE_LEN_MAX);
    memcpy(image->bytes + begin, payload.data, payload.len);
    image->tail = begin + payload.len;
    put_end(image, key_hash, prev_tail, rd_crc32(0, payload));
    return begin;
}

static void put_tombstone(struct image *image, uint64_t key_hash)
{
    uint64_t prev_tail = image->tail;
    image->bytes[image->tail++] = 0;
    put_end(image, key_hash, prev_tail, 0xd202ef8d);
}

/* An entry of zeros that ends at `end`. */
static void put_filler(struct image *image, uint64_t end)
{
    uint64_t begin = image->tail + (64 - image->tail % 64) % 64;
    put_value(image, RD_RESERVED_KEY_HASH, rd_slice(image->bytes + begin, (size_t)(end - 20 - begin)));
    assert_int_equal(image->tail, end);
}

/* ---- a store whose tail is the given one modulo 64 ---- */

struct scene {
    struct place place;
    struct faults *faults;
    struct rd_store *store;
    struct image image;
    uint8_t *source; /* owned; SOURCE_LEN random bytes that values are pieces of */
    uint64_t keys;
};

static struct rd_slice piece(const struct scene *scene, size_t len)
{
    return rd_slice(scene->source + random_below(SOURCE_LEN - len + 1), len);
}

static void scene_begin(struct scene *scene)
{
    random_begin();
    *scene = (struct scene){.image.bytes = malloc(IMAGE_LEN_MAX), .source = malloc(SOURCE_LEN)};
    assert_non_null(scene->image.bytes);
    assert_non_null(scene->source);
    random_fill(scene->source, SOURCE_LEN);
    for (size_t i = 0; i < SOURCE_LEN; i++) /* a value of one byte may lie anywhere */
        if (scene->source[i] == 0)
            scene->source[i] = 1;
}

static void scene_end(struct scene *scene)
{
    free(scene->image.bytes);
    free(scene->source);
}

static void open_at(struct scene *scene, unsigned residue)
{
    scene->place = place_create();
    scene->faults = faults_create();
    struct rd_store_options options = {.create = true, .batch_marker_off = true, .io = &scene->faults->io};
    scene->store = store_open_with(scene->place.path, options);
    memset(scene->image.bytes, 0, IMAGE_LEN_MAX);
    scene->image.tail = 0;
    struct rd_slice first = piece(scene, 64 + (residue + 44) % 64);
    put(scene->store, rd_key_of_hash(1), first.data, first.len);
    put_value(&scene->image, 1, first);
    assert_int_equal(scene->image.tail % 64, residue);
    scene->keys = 2;
}

static void close_and_compare(struct scene *scene)
{
    rd_store_close(scene->store);
    expect_file(scene->place.path, rd_slice(scene->image.bytes, (size_t)scene->image.tail));
    faults_destroy(scene->faults);
    place_remove(&scene->place);
}

/* ---- lengths ---- */

static size_t any_of(const size_t *lens, size_t count)
{
    return lens[random_below(count)];
}
#define ANY_OF(lens) any_of(lens, sizeof(lens) / sizeof *(lens))

/* On both sides of each border: of how a value is copied, of whether it is, of the buffer, of early writing. */
static size_t some_len(void)
{
    static const size_t shortest[] = {1,  2,  3,  4,  7,  8,  9,  12,  15,  16,  17,
                                      31, 44, 45, 63, 64, 65, 66, 126, 127, 128, 1000};
    static const size_t copied[] = {4096, 16300, 16383, 16384};
    static const size_t borrowed[] = {16385, 16386, 20000, 65536, 65537};
    static const size_t early[] = {262143, 262144, 262145, 300001};
    uint64_t kind = random_below(100);
    return kind < 50   ? ANY_OF(shortest)
           : kind < 80 ? ANY_OF(copied)
           : kind < 97 ? ANY_OF(borrowed)
                       : ANY_OF(early);
}

/* ---- one batch ---- */

static size_t make_batch(struct scene *scene, struct rd_entry *entries, size_t count)
{
    static const uint8_t zero[1];
    for (size_t i = 0; i < count; i++) {
        bool tombstone = random_below(10) == 0;
        uint64_t hash = tombstone ? 1 + random_below(scene->keys - 1) : scene->keys++;
        struct rd_slice payload = tombstone ? rd_slice(zero, 1) : piece(scene, some_len());
        entries[i] = (struct rd_entry){.key = rd_key_of_hash(hash), .payload = payload};
        if (tombstone)
            put_tombstone(&scene->image, hash);
        else
            put_value(&scene->image, hash, payload);
    }
    return count;
}

static void batches_of_all_lengths_lie_as_they_should(void **state)
{
    (void)state;
    static struct rd_entry entries[BATCH_MAX];
    struct scene scene;
    scene_begin(&scene);
    for (unsigned i = (unsigned)random_below(TAIL_STEP); i < TAILS; i += TAIL_STEP) {
        open_at(&scene, i);
        for (unsigned batch = 0; batch < 2; batch++) {
            size_t count = make_batch(&scene, entries, BATCH_MIN + random_below(BATCH_MAX - BATCH_MIN));
            struct rd_op op = {.kind = RD_OP_BATCH_WRITE,
                               .entries = entries,
                               .entry_count = count,
                               .allow_null_bytes = true,
                               .durability = batch == 0 ? RD_DURABILITY_NONE : RD_DURABILITY_SYNC};
            assert_int_equal(rd_store_execute(scene.store, &op), RD_OK);
            assert_int_equal(op.tail, scene.image.tail);
        }
        close_and_compare(&scene);
    }
    scene_end(&scene);
}

/* More parts than one call takes: nothing between the long ones, or a few bytes. */
static void more_parts_than_fit_lie_as_they_should(void **state)
{
    (void)state;
    static struct rd_entry entries[3 * RD_ENCODER_PARTS_MAX];
    struct scene scene;
    scene_begin(&scene);
    for (unsigned i = 0; i < TAILS; i += SLOW ? 31 : 9) {
        open_at(&scene, i);
        size_t count = 3 * RD_ENCODER_PARTS_MAX;
        for (size_t at = 0; at < count; at++) {
            struct rd_slice payload = piece(&scene, at % 3 == 1 ? 1 + random_below(80) : 16385 + random_below(64));
            entries[at] = (struct rd_entry){.key = rd_key_of_hash(scene.keys), .payload = payload};
            put_value(&scene.image, scene.keys++, payload);
        }
        assert_int_equal(rd_store_batch_write(scene.store, entries, count, false, NULL), RD_OK);
        close_and_compare(&scene);
    }
    scene_end(&scene);
}

/* ---- a group of operations ---- */

struct group {
    struct rd_op ops[GROUP_OPS];
    struct rd_entry entries[GROUP_OPS];
    struct collector collector;
    unsigned count;
};

static struct rd_spool *spool_of(struct scene *scene, struct rd_slice payload)
{
    struct rd_spool *spool;
    assert_int_equal(rd_spool_create(scene->store, &spool), RD_OK);
    while (payload.len != 0)
        assert_int_equal(rd_spool_append(spool, rd_slice_take(&payload, 65536)), RD_OK);
    return spool;
}

/* A short write as a rule; every third is a stream, which is kept in memory or in a file. */
static void add_op(struct scene *scene, struct group *group, size_t len, bool stream)
{
    struct rd_slice payload = piece(scene, len);
    struct rd_entry *entry = &group->entries[group->count];
    struct rd_op *op = &group->ops[group->count++];
    *entry = (struct rd_entry){.key = rd_key_of_hash(scene->keys), .payload = payload};
    *op = (struct rd_op){.kind = stream ? RD_OP_STREAM : RD_OP_WRITE,
                         .entries = entry,
                         .entry_count = 1,
                         .durability = RD_DURABILITY_SYNC,
                         .sink = &group->collector.sink,
                         .spool = stream ? spool_of(scene, payload) : NULL};
    put_value(&scene->image, scene->keys++, payload);
}

static void run_group(struct scene *scene, struct group *group)
{
    for (unsigned i = 0; i < group->count; i++)
        assert_int_equal(rd_store_submit(scene->store, &group->ops[i]), RD_OK);
    rd_store_kick(scene->store);
    collector_wait(&group->collector, group->count);
    for (unsigned i = 0; i < group->count; i++) {
        assert_int_equal(group->ops[i].status, RD_OK);
        rd_spool_destroy(group->ops[i].spool);
    }
    collector_deinit(&group->collector);
}

static void group_init(struct group *group)
{
    memset((void *)group, 0, sizeof *group);
    collector_init(&group->collector);
}

static void groups_with_streams_lie_as_they_should(void **state)
{
    (void)state;
    struct scene scene;
    struct group group;
    scene_begin(&scene);
    for (unsigned i = (unsigned)random_below(TAIL_STEP); i < TAILS; i += TAIL_STEP) {
        open_at(&scene, i);
        group_init(&group);
        for (unsigned op = 0; op < GROUP_OPS; op++)
            add_op(&scene, &group, some_len(), op % 3 == 2);
        run_group(&scene, &group);
        close_and_compare(&scene);
    }
    scene_end(&scene);
}

/* Values on both sides of a slice, from memory and from a file, between short ones, in one batch or group; one
 * call takes no more than it may. */
static void slices_of_long_values_lie_as_they_should(void **state)
{
    (void)state;
    static const size_t lens[LONG_COUNT] = {5, (8u << 20) - 1, 100, 8u << 20, (8u << 20) + 1, 16384, 9u << 20};
    struct scene scene;
    struct rd_entry entries[LONG_COUNT];
    struct group group;
    scene_begin(&scene);
    unsigned step = SLOW ? 40 : 13;
    for (unsigned i = (unsigned)random_below(step); i < TAILS; i += step) {
        open_at(&scene, i);
        for (unsigned at = 0; at < LONG_COUNT; at++) {
            entries[at] = (struct rd_entry){.key = rd_key_of_hash(scene.keys), .payload = piece(&scene, lens[at])};
            put_value(&scene.image, scene.keys++, entries[at].payload);
        }
        assert_int_equal(rd_store_batch_write(scene.store, entries, LONG_COUNT, false, NULL), RD_OK);
        group_init(&group);
        scene.faults->write_len_max = 1000003;
        add_op(&scene, &group, 77, false);
        add_op(&scene, &group, (8u << 20) + 1 + random_below(64), true);
        add_op(&scene, &group, 16384, false);
        run_group(&scene, &group);
        close_and_compare(&scene);
    }
    scene_end(&scene);
}

/* ---- a value that lay ahead ---- */

/* It is committed by the second operation of a group: its filler closes what the first has left of the gap. */
static void a_value_that_lay_ahead_lies_as_it_should(void **state)
{
    (void)state;
    struct scene scene;
    struct group group;
    scene_begin(&scene);
    for (unsigned i = (unsigned)random_below(TAIL_STEP); i < TAILS; i += TAIL_STEP) {
        open_at(&scene, i);
        scene.store->ahead.placed_len_min = 1024;
        scene.store->ahead.gap_len_min = 65536;
        struct rd_slice payload = piece(&scene, 70000 + random_below(64));
        struct rd_placement *placement = rd_store_place(scene.store, payload, RD_DURABILITY_SYNC);
        assert_non_null(placement);
        uint64_t ahead = scene.store->ahead.begin;
        group_init(&group);
        add_op(&scene, &group, 1 + random_below(200), false);
        put_filler(&scene.image, ahead);
        add_op(&scene, &group, payload.len, false);
        scene.image.tail = ahead;
        assert_int_equal(put_value(&scene.image, scene.keys - 1, payload), ahead);
        group.entries[1].payload = payload;
        group.ops[1].placement = placement;
        for (unsigned op = 2; op < GROUP_OPS; op++)
            add_op(&scene, &group, some_len(), false);
        run_group(&scene, &group);
        assert_int_equal(group.ops[1].offset, ahead);
        rd_placement_destroy(placement);
        close_and_compare(&scene);
    }
    scene_end(&scene);
}

/* ---- where it lies in memory ---- */

/* The writer's calls; what comes from the encoder's buffer is looked at, and what the file runs ahead with. */
struct looker {
    struct rd_io io;
    const struct rd_store *store; /* borrows */
    unsigned parts;
    unsigned elsewhere; /* those whose address is another one than their offset's, modulo RD_RECORD_ALIGN */
};

static bool are_ones(const struct iovec *part)
{
    const uint8_t *bytes = part->iov_base;
    return bytes[0] == 0xff && memcmp(bytes, bytes + 1, part->iov_len - 1) == 0;
}

static ssize_t look_at_parts(void *self, int fd, const struct iovec *parts, int count, off_t offset)
{
    struct looker *looker = self;
    uint64_t at = (uint64_t)offset;
    for (int i = 0; i < count && looker->store != NULL; i++) {
        const uint8_t *base = parts[i].iov_base;
        const uint8_t *buffer = looker->store->writer.encoder.buffer;
        bool own = (base >= buffer && base < buffer + RD_ENCODER_BUFFER_LEN) || are_ones(&parts[i]);
        looker->parts += own;
        looker->elsewhere += own && (uintptr_t)base % RD_RECORD_ALIGN != at % RD_RECORD_ALIGN;
        at += parts[i].iov_len;
    }
    return rd_io_system.pwritev(NULL, fd, parts, count, offset);
}

/* encoder.h says why. */
static void bytes_lie_in_the_buffer_as_in_the_file(void **state)
{
    (void)state;
    static struct rd_entry entries[BATCH_MAX];
    struct scene scene;
    scene_begin(&scene);
    struct looker looker = {.io = rd_io_system};
    looker.io.self = &looker;
    looker.io.pwritev = look_at_parts;
    scene.place = place_create();
    scene.keys = 2;
    struct rd_store *store =
        store_open_with(scene.place.path, (struct rd_store_options){.create = true, .io = &looker.io});
    looker.store = store;
    for (unsigned batch = 0; batch < 20; batch++) {
        scene.image.tail = 0; /* the file is not compared here */
        size_t count = make_batch(&scene, entries, BATCH_MIN + random_below(BATCH_MAX - BATCH_MIN));
        assert_int_equal(rd_store_batch_write(store, entries, count, true, NULL), RD_OK);
    }
    unsigned of_batches = looker.parts;
    for (unsigned i = 0; i < 50; i++) /* each of them, and at least once ones behind the tail */
        put(store, rd_key_of_hash(scene.keys++), "short", 5);
    looker.store = NULL;
    assert_in_range(of_batches, 20, UINT32_MAX);
    assert_in_range(looker.parts - of_batches, 51, UINT32_MAX);
    assert_int_equal(looker.elsewhere, 0);
    rd_store_close(store);
    place_remove(&scene.place);
    scene_end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_of_all_lengths_lie_as_they_should),
        cmocka_unit_test(more_parts_than_fit_lie_as_they_should),
        cmocka_unit_test(groups_with_streams_lie_as_they_should),
        cmocka_unit_test(slices_of_long_values_lie_as_they_should),
        cmocka_unit_test(a_value_that_lay_ahead_lies_as_it_should),
        cmocka_unit_test(bytes_lie_in_the_buffer_as_in_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
