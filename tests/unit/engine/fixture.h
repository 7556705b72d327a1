/* SPDX-License-Identifier: MIT
 *
 * fixture.h - what the engine's tests share: a scratch folder with a store in it, random numbers from a printed
 * seed, both faces of the write operations, and short forms of common checks. Included by one test program each;
 * failures end the test.
 */
#ifndef RD_TESTS_ENGINE_FIXTURE_H
#define RD_TESTS_ENGINE_FIXTURE_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "engine/engine.h"
#include "engine/io.h"
#include "tests/support/golden.h"

#define UNUSED __attribute__((unused))

/* Sanitizers make each byte that is looked at cost a call: fewer rounds, smaller files, longer limits. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SLOW 1
#else
#define SLOW 0
#endif

/* ---- random numbers (splitmix64) ---- */

static uint64_t random_state;

/* RD_TEST_SEED repeats a run. */
UNUSED static void random_begin(void)
{
    const char *given = getenv("RD_TEST_SEED");
    random_state = given == NULL ? (uint64_t)time(NULL) : strtoull(given, NULL, 10);
    print_message("    RD_TEST_SEED=%llu\n", (unsigned long long)random_state);
}

UNUSED static uint64_t random_next(void)
{
    uint64_t mixed = random_state += UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

UNUSED static uint64_t random_below(uint64_t bound)
{
    return random_next() % bound;
}

UNUSED static void random_fill(uint8_t *to, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[i] = (uint8_t)random_next();
}

UNUSED static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- a folder with a store ---- */

struct place {
    char *folder;
    char *path;
};

UNUSED static struct place place_create(void)
{
    struct place place = {.folder = rd_scratch_create()};
    place.path = rd_path(place.folder, "store.rdr");
    return place;
}

UNUSED static void place_remove(struct place *place)
{
    free(place->path);
    rd_scratch_remove(place->folder);
}

UNUSED static struct rd_store *store_open_with(const char *path, struct rd_store_options options)
{
    struct rd_store *store = NULL;
    struct rd_error error;
    if (rd_store_open(path, &options, &store, &error) != RD_OK)
        fail_msg("%s: %s", path, error.message);
    return store;
}

UNUSED static int no_sync(void *self, int fd)
{
    (void)self;
    (void)fd;
    return 0;
}

/* Durability none and a disk that need not be waited for: the tests that care say so. */
UNUSED static struct rd_store *store_open(const char *path)
{
    static struct rd_io io;
    if (io.open == NULL) {
        io = rd_io_system;
        io.fdatasync = no_sync;
        io.fsync = no_sync;
    }
    return store_open_with(path,
                           (struct rd_store_options){.create = true, .durability = RD_DURABILITY_NONE, .io = &io});
}

UNUSED static enum rd_status status_of_open(const char *path, bool read_only)
{
    struct rd_store_options options = {.read_only = read_only};
    struct rd_store *store = NULL;
    enum rd_status status = rd_store_open(path, &options, &store, NULL);
    if (status == RD_OK)
        rd_store_close(store);
    else
        assert_null(store);
    return status;
}

/* As if the store's file had come from elsewhere: what is torn then was never recorded as synced. */
UNUSED static void remove_companion(const char *path)
{
    char *meta_path = NULL;
    assert_true(asprintf(&meta_path, "%s.meta", path) > 0);
    remove(meta_path);
    free(meta_path);
}

/* ---- short forms ---- */

UNUSED static struct rd_key key_named(const char *name)
{
    return rd_key_of_bytes(rd_slice_of_string(name));
}

UNUSED static struct rd_written put(struct rd_store *store, struct rd_key key, const void *data, size_t len)
{
    struct rd_written written;
    assert_int_equal(rd_store_write(store, key, rd_slice(data, len), &written), RD_OK);
    return written;
}

UNUSED static struct rd_written put_text(struct rd_store *store, const char *key, const char *text)
{
    return put(store, key_named(key), text, strlen(text));
}

UNUSED static void expect_bytes(struct rd_store *store, struct rd_key key, const void *data, size_t len)
{
    struct rd_value value;
    assert_int_equal(rd_store_read(store, key, &value), RD_OK);
    assert_true(rd_slice_equal(value.payload, rd_slice(data, len)));
    rd_value_release(&value);
}

UNUSED static void expect_text(struct rd_store *store, const char *key, const char *text)
{
    expect_bytes(store, key_named(key), text, strlen(text));
}

UNUSED static void expect_status(struct rd_store *store, struct rd_key key, enum rd_status status)
{
    struct rd_value value;
    enum rd_status got = rd_store_read(store, key, &value);
    if (got == RD_OK)
        rd_value_release(&value);
    assert_int_equal(got, status);
}

UNUSED static void expect_missing(struct rd_store *store, const char *key)
{
    expect_status(store, key_named(key), RD_KEY_NOT_FOUND);
    assert_false(rd_store_exists(store, key_named(key)));
}

UNUSED static void expect_file(const char *path, struct rd_slice bytes)
{
    struct rd_buffer file = rd_file_read(path);
    assert_int_equal(file.len, bytes.len);
    assert_true(rd_slice_equal(rd_buffer_slice(&file), bytes));
    rd_buffer_deinit(&file);
}

UNUSED static bool file_exists(const char *path)
{
    struct stat found;
    return stat(path, &found) == 0;
}

/* A folder of its own with those of these files that the other one has, as they are now. */
UNUSED static struct place place_copy(const struct place *place, const char *const *names, size_t count)
{
    struct place copy = place_create();
    for (size_t i = 0; i < count; i++) {
        char *from = rd_path(place->folder, names[i]);
        char *to = rd_path(copy.folder, names[i]);
        if (file_exists(from)) {
            struct rd_buffer bytes = rd_file_read(from);
            rd_file_write(to, rd_buffer_slice(&bytes));
            rd_buffer_deinit(&bytes);
        }
        free(from);
        free(to);
    }
    return copy;
}

/* ---- both faces of a write ---- */

/* A sink that collects, in order, and that one thread waits for. */
struct collector {
    struct rd_sink sink; /* first */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct rd_op *first; /* guarded by lock; linked by context */
    struct rd_op *last;
    uint64_t count;
};

UNUSED static void collector_deliver(struct rd_sink *sink, struct rd_op *first, struct rd_op *last)
{
    struct collector *collector = (struct collector *)sink;
    pthread_mutex_lock(&collector->lock);
    if (collector->last == NULL)
        collector->first = first;
    else
        collector->last->next = first;
    collector->last = last;
    for (const struct rd_op *op = first; op != NULL; op = op->next)
        collector->count++;
    pthread_cond_signal(&collector->wake);
    pthread_mutex_unlock(&collector->lock);
}

UNUSED static void collector_init(struct collector *collector)
{
    *collector = (struct collector){.sink.deliver = collector_deliver};
    pthread_mutex_init(&collector->lock, NULL);
    pthread_cond_init(&collector->wake, NULL);
}

UNUSED static void collector_wait(struct collector *collector, uint64_t count)
{
    pthread_mutex_lock(&collector->lock);
    while (collector->count < count)
        pthread_cond_wait(&collector->wake, &collector->lock);
    pthread_mutex_unlock(&collector->lock);
}

UNUSED static void collector_deinit(struct collector *collector)
{
    pthread_cond_destroy(&collector->wake);
    pthread_mutex_destroy(&collector->lock);
}

UNUSED static enum rd_status run_async(struct rd_store *store, struct rd_op *op)
{
    struct collector collector;
    collector_init(&collector);
    op->sink = &collector.sink;
    enum rd_status status = rd_store_submit(store, op);
    if (status == RD_OK) {
        rd_store_kick(store);
        collector_wait(&collector, 1);
        assert_ptr_equal(collector.first, op);
        status = op->status;
    }
    collector_deinit(&collector);
    return status;
}

/* The blocking call that does what op says; its results go to op. */
UNUSED static enum rd_status run_blocking(struct rd_store *store, struct rd_op *op)
{
    struct rd_written written = {0};
    const struct rd_entry *entries = op->entries;
    enum rd_status status = RD_INVALID_ARGUMENT;
    if (op->kind == RD_OP_WRITE) {
        status = rd_store_write(store, entries->key, entries->payload, &written);
    } else if (op->kind == RD_OP_BATCH_WRITE) {
        status = rd_store_batch_write(store, entries, op->entry_count, op->allow_null_bytes, &written);
    } else if (op->kind == RD_OP_DELETE) {
        status = rd_store_delete(store, entries->key, &written);
    } else {
        struct rd_key *keys = calloc(op->entry_count + 1, sizeof *keys);
        for (size_t i = 0; i < op->entry_count; i++)
            keys[i] = entries[i].key;
        status = rd_store_batch_delete(store, keys, op->entry_count, &written);
        free(keys);
    }
    op->offset = written.offset;
    op->tail = written.tail;
    op->count = written.count;
    op->crc32 = written.crc32;
    op->replaced = written.replaced;
    return status;
}

#endif
