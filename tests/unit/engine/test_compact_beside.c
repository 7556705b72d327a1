/* SPDX-License-Identifier: MIT
 *
 * Compaction beside threads that write, read and walk, and beside one that gives back memory: nobody notices but
 * by the offsets.
 */
#include <stdatomic.h>

#include "engine/store.h"
#include "tests/unit/engine/fixture.h"

/* A value tells its key, and how often that was written. */
struct stamp {
    uint64_t key;
    uint64_t number;
    uint8_t filling[1000];
};

#define THREADS     3u
#define THREAD_KEYS 64u
#define PATIENCE_MS 60000u

struct beside {
    struct rd_store *store;
    atomic_bool over;
    atomic_uint wrong;
    atomic_uint seen;
};

struct hand {
    struct beside *beside;
    uint64_t first_key;            /* its own, THREAD_KEYS of them */
    uint64_t numbers[THREAD_KEYS]; /* of what was written last; 0: it was deleted */
};

static void write_stamp(struct hand *hand, uint64_t which, uint64_t number)
{
    struct stamp stamp = {.key = hand->first_key + which, .number = number};
    struct rd_slice payload = rd_slice((const uint8_t *)&stamp, sizeof stamp);
    bool deletes = number % 5 == 0;
    enum rd_status status = deletes
                                ? rd_store_delete(hand->beside->store, rd_key_of_hash(stamp.key), NULL)
                                : rd_store_write(hand->beside->store, rd_key_of_hash(stamp.key), payload, NULL);
    if (status != RD_OK)
        atomic_fetch_add(&hand->beside->wrong, 1);
    hand->numbers[which] = deletes ? 0 : number;
}

/* Nobody else writes its keys: it must always find what it has written. */
static void check_stamp(struct hand *hand, uint64_t which)
{
    struct rd_value value;
    struct stamp stamp;
    enum rd_status status = rd_store_read(hand->beside->store, rd_key_of_hash(hand->first_key + which), &value);
    bool right = status == (hand->numbers[which] == 0 ? RD_KEY_NOT_FOUND : RD_OK);
    if (status == RD_OK) {
        memcpy(&stamp, value.payload.data, sizeof stamp);
        right = right && stamp.key == hand->first_key + which && stamp.number == hand->numbers[which];
        rd_value_release(&value);
    }
    if (!right)
        atomic_fetch_add(&hand->beside->wrong, 1);
}

static void *write_and_read(void *context)
{
    struct hand *hand = context;
    for (uint64_t number = 1; !atomic_load(&hand->beside->over); number++) {
        write_stamp(hand, number * 7 % THREAD_KEYS, number);
        check_stamp(hand, number * 13 % THREAD_KEYS);
    }
    return NULL;
}

static void *walk(void *context)
{
    struct beside *beside = context;
    while (!atomic_load(&beside->over)) {
        struct rd_cursor *cursor;
        struct rd_value value;
        if (rd_cursor_open(beside->store, 0, &cursor) != RD_OK) {
            atomic_fetch_add(&beside->wrong, 1);
            break;
        }
        while (rd_cursor_next(cursor, &value)) {
            struct stamp stamp;
            memcpy(&stamp, value.payload.data, sizeof stamp);
            if (stamp.key != value.key_hash)
                atomic_fetch_add(&beside->wrong, 1);
            atomic_fetch_add(&beside->seen, 1);
        }
        if (rd_cursor_status(cursor) != RD_OK)
            atomic_fetch_add(&beside->wrong, 1);
        rd_cursor_close(cursor);
        struct rd_verification found;
        if (rd_store_verify(beside->store, 0, UINT64_MAX, &found) != RD_OK || found.problem_count != 0)
            atomic_fetch_add(&beside->wrong, 1);
    }
    return NULL;
}

static atomic_uint drops;

static int counted_drop(void *self, int fd, off_t offset, off_t len)
{
    atomic_fetch_add(&drops, 1);
    return rd_io_system.drop_cache(self, fd, offset, len);
}

/* Each group passes for synced, and each 64 KiB that dies is given back. */
static struct rd_store *open_and_give_back(const char *path)
{
    static struct rd_io io;
    io = rd_io_system;
    io.fdatasync = no_sync;
    io.fsync = no_sync;
    io.drop_cache = counted_drop;
    struct rd_store *store = store_open_with(
        path, (struct rd_store_options){.create = true, .durability = RD_DURABILITY_SYNC, .io = &io});
    pthread_mutex_lock(&store->writer.role);
    store->discard.died_min = 1;
    pthread_mutex_unlock(&store->writer.role);
    return store;
}

static void nobody_notices_but_by_the_offsets(void **state)
{
    (void)state;
    struct place place = place_create();
    struct beside beside = {.store = open_and_give_back(place.path)};
    struct hand hands[THREADS] = {{.beside = NULL}};
    pthread_t threads[THREADS + 1];
    for (unsigned i = 0; i < THREADS; i++) {
        hands[i].beside = &beside;
        hands[i].first_key = UINT64_C(0xabcd) * (i + 1) << 32;
        write_stamp(&hands[i], 0, 1);
        assert_int_equal(pthread_create(&threads[i], NULL, write_and_read, &hands[i]), 0);
    }
    assert_int_equal(pthread_create(&threads[THREADS], NULL, walk, &beside), 0);
    uint64_t end_ms = now_ms() + (SLOW ? 4000 : 2000);
    unsigned count = 0;
    uint64_t generation = 0;
    for (; now_ms() < end_ms || count < 3 || atomic_load(&drops) == 0; count++) {
        assert_true(now_ms() < end_ms + PATIENCE_MS);
        struct rd_compacted result;
        assert_int_equal(rd_store_compact(beside.store, &result, NULL), RD_OK);
        assert_true(count == 0 || result.generation != generation);
        generation = result.generation;
    }
    atomic_store(&beside.over, true);
    for (unsigned i = 0; i <= THREADS; i++)
        pthread_join(threads[i], NULL);
    print_message("    %u compactions, %u runs given back\n", count, atomic_load(&drops));
    assert_int_equal(atomic_load(&beside.wrong), 0);
    assert_true(atomic_load(&beside.seen) > 0);
    rd_store_close(beside.store);
    beside.store = store_open(place.path);
    for (unsigned i = 0; i < THREADS; i++)
        for (uint64_t which = 0; which < THREAD_KEYS; which++)
            check_stamp(&hands[i], which);
    assert_int_equal(atomic_load(&beside.wrong), 0);
    rd_store_close(beside.store);
    place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_notices_but_by_the_offsets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
