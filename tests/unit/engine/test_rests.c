/* SPDX-License-Identifier: MIT
 *
 * Rests while a long value is copied to its place: between the steps of one that memory cannot hold, and none
 * where somebody would have to wait for its end.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "engine/store.h"
#include "tests/unit/engine/fixture.h"

#define MIB        (UINT64_C(1) << 20)
#define LITTLE     (64 * MIB)       /* of memory: a value of LONG_LEN is not to stay there */
#define LONG_LEN   (40 * MIB + 100) /* steps of a MiB, and one of the rest */
#define LONG_RESTS 40u
#define GAP_LEN    (4 * MIB) /* between the tail and such a value, as ahead.c has it */

struct scene {
    struct place place;
    struct rd_store *store;
    unsigned rest_count;
    unsigned held_at; /* the rest of this number lasts until it is let go; 0: none does */
    sem_t held;
    sem_t let_go;
};

static void note_rest(void *context, uint64_t step_ns)
{
    struct scene *scene = context;
    assert_true(step_ns != 0);
    if (++scene->rest_count == scene->held_at) {
        sem_post(&scene->held);
        sem_wait(&scene->let_go);
    }
}

static void begin(struct scene *scene, uint64_t memory_bytes)
{
    *scene = (struct scene){.place = place_create()};
    sem_init(&scene->held, 0, 0);
    sem_init(&scene->let_go, 0, 0);
    scene->store = store_open_with(scene->place.path, (struct rd_store_options){.create = true,
                                                                                .memory_bytes = memory_bytes,
                                                                                .rest = note_rest,
                                                                                .rest_context = scene});
}

static void end(struct scene *scene)
{
    rd_store_close(scene->store);
    place_remove(&scene->place);
    sem_destroy(&scene->held);
    sem_destroy(&scene->let_go);
}

static struct rd_spool *spool_of(struct rd_store *store, uint64_t len)
{
    static uint8_t piece[MIB];
    struct rd_spool *spool;
    assert_int_equal(rd_spool_create(store, &spool), RD_OK);
    for (uint64_t at = 0; at < len; at += MIB) {
        memset(piece, (int)(at / MIB + 1), sizeof piece);
        assert_int_equal(rd_spool_append(spool, rd_slice(piece, len - at < MIB ? len - at : MIB)), RD_OK);
    }
    return spool;
}

static void commit(struct rd_store *store, struct rd_spool *spool, struct rd_placement *placement)
{
    struct rd_entry entry = {.key = rd_key_of_hash(7)};
    struct rd_op op = {
        .kind = RD_OP_STREAM, .entries = &entry, .entry_count = 1, .spool = spool, .placement = placement};
    assert_non_null(placement);
    assert_int_equal(rd_store_execute(store, &op), RD_OK);
    rd_placement_destroy(placement);
    struct rd_value found;
    assert_int_equal(rd_store_read(store, rd_key_of_hash(7), &found), RD_OK);
    assert_int_equal(found.payload.len, rd_spool_len(spool));
    rd_value_release(&found);
}

static unsigned rests_of(uint64_t memory_bytes, uint64_t len)
{
    struct scene scene;
    begin(&scene, memory_bytes);
    struct rd_spool *spool = spool_of(scene.store, len);
    commit(scene.store, spool, rd_spool_place(spool, RD_DURABILITY_DEFAULT));
    rd_spool_destroy(spool);
    end(&scene);
    return scene.rest_count;
}

static void they_are_between_steps_of_what_memory_cannot_hold(void **state)
{
    (void)state;
    assert_int_equal(rests_of(LITTLE, LONG_LEN), LONG_RESTS);
    assert_int_equal(rests_of(LITTLE, LONG_LEN - 100), LONG_RESTS - 1); /* none behind the last */
    assert_int_equal(rests_of(LITTLE, LITTLE / 2), 0);
    assert_int_equal(rests_of(64 * LITTLE, LONG_LEN), 0);
}

static void a_value_that_is_no_spool_has_them_too(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, LITTLE);
    uint8_t *bytes = calloc(1, LONG_LEN);
    assert_non_null(bytes);
    rd_placement_destroy(rd_store_place(scene.store, rd_slice(bytes, LONG_LEN), RD_DURABILITY_DEFAULT));
    assert_int_equal(scene.rest_count, LONG_RESTS);
    free(bytes);
    end(&scene);
}

/* It would find the place taken, and the writer would copy it while everybody waits. */
static void another_long_value_on_its_way_ends_them(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, LITTLE);
    struct rd_spool *first = spool_of(scene.store, LONG_LEN);
    struct rd_spool *second = spool_of(scene.store, LONG_LEN);
    commit(scene.store, first, rd_spool_place(first, RD_DURABILITY_DEFAULT));
    assert_int_equal(scene.rest_count, 0);
    rd_spool_destroy(first);
    commit(scene.store, second, rd_spool_place(second, RD_DURABILITY_DEFAULT));
    assert_int_equal(scene.rest_count, LONG_RESTS);
    rd_spool_destroy(second);
    end(&scene);
}

struct placing {
    struct rd_spool *spool;
    struct rd_placement *placement;
};

static void *place_it(void *argument)
{
    struct placing *placing = argument;
    placing->placement = rd_spool_place(placing->spool, RD_DURABILITY_DEFAULT);
    return NULL;
}

/* written: by others, during the third rest. */
static unsigned rests_beside(uint64_t written)
{
    struct scene scene;
    begin(&scene, LITTLE);
    scene.held_at = 3;
    struct placing placing = {.spool = spool_of(scene.store, LONG_LEN)};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, place_it, &placing), 0);
    sem_wait(&scene.held);
    static char text[MIB / 2];
    memset(text, 'x', sizeof text - 1);
    for (uint64_t at = 0; at < written; at += sizeof text)
        put_text(scene.store, "short", text);
    sem_post(&scene.let_go);
    assert_int_equal(pthread_join(thread, NULL), 0);
    commit(scene.store, placing.spool, placing.placement);
    rd_spool_destroy(placing.spool);
    end(&scene);
    return scene.rest_count;
}

/* Before these reach its place, or they would wait for the rest of the copying. */
static void short_writes_that_come_near_end_them(void **state)
{
    (void)state;
    assert_int_equal(rests_beside(GAP_LEN / 2 + MIB / 2), 3);
    assert_int_equal(rests_beside(MIB / 2), LONG_RESTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_are_between_steps_of_what_memory_cannot_hold),
        cmocka_unit_test(a_value_that_is_no_spool_has_them_too),
        cmocka_unit_test(another_long_value_on_its_way_ends_them),
        cmocka_unit_test(short_writes_that_come_near_end_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
