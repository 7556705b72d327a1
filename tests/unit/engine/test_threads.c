/* SPDX-License-Identifier: MIT
 *
 * Many threads on one store, blocking and async. Run under ThreadSanitizer too. Failures inside threads are
 * counted and told by the thread that waits, since cmocka's checks belong to one thread.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/store.h"
#include "tests/unit/engine/fixture.h"

#define RUN_MS 1500u

enum { KEYS = 5, BATCH = 8, THREADS_MAX = 8 };

/* ---- a payload that tells whether it is whole ---- */

enum { STAMP_LEN_MAX = 3000 };

static size_t stamp(uint8_t *to, uint64_t key, uint64_t version)
{
    size_t len = 24 + (size_t)(version * 37 % (STAMP_LEN_MAX - 24));
    memset(to, (int)(version & 0xff), len);
    memcpy(to, &key, 8);
    memcpy(to + 8, &version, 8);
    uint64_t sum = key * 31 + version * 7 + len;
    memcpy(to + 16, &sum, 8);
    return len;
}

static bool stamp_is_whole(struct rd_slice payload, uint64_t key, uint64_t *ret_version)
{
    uint8_t expected[STAMP_LEN_MAX];
    uint64_t version;
    if (payload.len < 24)
        return false;
    memcpy(&version, payload.data + 8, 8);
    size_t len = stamp(expected, key, version);
    *ret_version = version;
    return rd_slice_equal(payload, rd_slice(expected, len));
}

/* ---- readers and writers ---- */

struct shared {
    struct rd_store *store;
    atomic_bool stop;
    atomic_uint missed;
    atomic_uint torn;
    atomic_uint backwards;
    atomic_uint uneven;
    atomic_uint failed;
    atomic_uint_fast64_t reads;
    atomic_uint_fast64_t writes;
    atomic_uint_fast64_t versions[KEYS];
    pthread_mutex_t key_locks[KEYS]; /* so that versions reach the store in order */
};

static void *write_keys(void *context)
{
    struct shared *shared = context;
    uint8_t bytes[STAMP_LEN_MAX];
    for (uint64_t i = 0; !atomic_load(&shared->stop); i++) {
        uint64_t key = i % KEYS;
        pthread_mutex_lock(&shared->key_locks[key]);
        uint64_t version = atomic_fetch_add(&shared->versions[key], 1) + 1;
        size_t len = stamp(bytes, key, version);
        struct rd_slice payload = rd_slice(bytes, len);
        if (rd_store_write(shared->store, rd_key_of_hash(key), payload, NULL) != RD_OK)
            atomic_fetch_add(&shared->failed, 1);
        pthread_mutex_unlock(&shared->key_locks[key]);
        atomic_fetch_add(&shared->writes, 1);
    }
    return NULL;
}

static void *read_keys(void *context)
{
    struct shared *shared = context;
    uint64_t seen[KEYS] = {0};
    for (uint64_t i = 0; !atomic_load(&shared->stop); i++) {
        uint64_t key = i % KEYS;
        struct rd_value value;
        uint64_t version = 0;
        if (rd_store_read(shared->store, rd_key_of_hash(key), &value) != RD_OK) {
            atomic_fetch_add(&shared->missed, 1);
            continue;
        }
        if (!stamp_is_whole(value.payload, key, &version))
            atomic_fetch_add(&shared->torn, 1);
        if (version < seen[key])
            atomic_fetch_add(&shared->backwards, 1);
        seen[key] = version;
        rd_value_release(&value);
        atomic_fetch_add(&shared->reads, 1);
    }
    return NULL;
}

static void shared_init(struct shared *shared, struct rd_store *store)
{
    memset((void *)shared, 0, sizeof *shared);
    shared->store = store;
    for (size_t i = 0; i < KEYS; i++)
        pthread_mutex_init(&shared->key_locks[i], NULL);
}

static void shared_check(struct shared *shared)
{
    print_message("    %llu reads, %llu writes\n", (unsigned long long)shared->reads,
                  (unsigned long long)shared->writes);
    assert_int_equal(shared->missed, 0);
    assert_int_equal(shared->torn, 0);
    assert_int_equal(shared->backwards, 0);
    assert_int_equal(shared->uneven, 0);
    assert_int_equal(shared->failed, 0);
    assert_true(shared->reads > 0);
    assert_true(shared->writes > 0);
    for (size_t i = 0; i < KEYS; i++)
        pthread_mutex_destroy(&shared->key_locks[i]);
}

static void run_threads(struct shared *shared, void *(*writer)(void *), unsigned writers, void *(*reader)(void *),
                        unsigned readers)
{
    pthread_t threads[2 * THREADS_MAX];
    unsigned count = 0;
    for (; count < writers + readers; count++)
        assert_int_equal(pthread_create(&threads[count], NULL, count < writers ? writer : reader, shared), 0);
    usleep(RUN_MS * 1000);
    atomic_store(&shared->stop, true);
    while (count > 0)
        pthread_join(threads[--count], NULL);
    shared_check(shared);
}

static void readers_never_miss_and_never_go_back(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    struct shared shared;
    uint8_t bytes[STAMP_LEN_MAX];
    shared_init(&shared, store);
    for (uint64_t key = 0; key < KEYS; key++)
        put(store, rd_key_of_hash(key), bytes, stamp(bytes, key, 0));
    run_threads(&shared, write_keys, 3, read_keys, 4);
    rd_store_close(store);
    place_remove(&place);
}

/* ---- batches are seen whole ---- */

static void *write_batches(void *context)
{
    struct shared *shared = context;
    uint8_t bytes[BATCH][STAMP_LEN_MAX];
    struct rd_entry entries[BATCH];
    for (uint64_t version = 1; !atomic_load(&shared->stop); version++) {
        for (uint64_t key = 0; key < BATCH; key++)
            entries[key] = (struct rd_entry){.key = rd_key_of_hash(key),
                                             .payload = rd_slice(bytes[key], stamp(bytes[key], key, version))};
        if (rd_store_batch_write(shared->store, entries, BATCH, false, NULL) != RD_OK)
            atomic_fetch_add(&shared->failed, 1);
        atomic_fetch_add(&shared->writes, 1);
    }
    return NULL;
}

static void *read_batches(void *context)
{
    struct shared *shared = context;
    struct rd_key keys[BATCH];
    struct rd_value values[BATCH];
    enum rd_status statuses[BATCH];
    for (uint64_t key = 0; key < BATCH; key++)
        keys[key] = rd_key_of_hash(key);
    uint64_t seen = 0;
    while (!atomic_load(&shared->stop)) {
        rd_store_batch_read(shared->store, keys, BATCH, values, statuses);
        uint64_t first = 0;
        for (uint64_t key = 0; key < BATCH; key++) {
            uint64_t version = 0;
            if (statuses[key] != RD_OK)
                atomic_fetch_add(&shared->missed, 1);
            else if (!stamp_is_whole(values[key].payload, key, &version))
                atomic_fetch_add(&shared->torn, 1);
            first = key == 0 ? version : first;
            if (version != first)
                atomic_fetch_add(&shared->uneven, 1);
        }
        if (first < seen)
            atomic_fetch_add(&shared->backwards, 1);
        seen = first;
        rd_values_release(values, BATCH);
        atomic_fetch_add(&shared->reads, 1);
    }
    return NULL;
}

static void batches_are_seen_whole(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    struct shared shared;
    uint8_t bytes[STAMP_LEN_MAX];
    shared_init(&shared, store);
    for (uint64_t key = 0; key < BATCH; key++)
        put(store, rd_key_of_hash(key), bytes, stamp(bytes, key, 0));
    run_threads(&shared, write_batches, 1, read_batches, 3);
    rd_store_close(store);
    place_remove(&place);
}

/* ---- the last entry ---- */

/* Key 0 lies below all others and is never written again; what is last is always one of the rest. */
static void *read_last(void *context)
{
    struct shared *shared = context;
    uint64_t seen = 0;
    while (!atomic_load(&shared->stop)) {
        struct rd_value value;
        if (rd_store_read_last_entry(shared->store, &value) != RD_OK) {
            atomic_fetch_add(&shared->missed, 1);
            continue;
        }
        if (value.key_hash == 0)
            atomic_fetch_add(&shared->missed, 1);
        if (value.offset < seen)
            atomic_fetch_add(&shared->backwards, 1);
        seen = value.offset;
        rd_value_release(&value);
        atomic_fetch_add(&shared->reads, 1);
    }
    return NULL;
}

static void *overwrite_one(void *context)
{
    struct shared *shared = context;
    while (!atomic_load(&shared->stop)) {
        if (rd_store_write(shared->store, rd_key_of_hash(1), rd_slice_of_string("v"), NULL) != RD_OK)
            atomic_fetch_add(&shared->failed, 1);
        atomic_fetch_add(&shared->writes, 1);
    }
    return NULL;
}

static void the_last_entry_is_never_missed_while_it_is_overwritten(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    struct shared shared;
    shared_init(&shared, store);
    put(store, rd_key_of_hash(0), "first", 5);
    put(store, rd_key_of_hash(1), "v", 1);
    run_threads(&shared, overwrite_one, 2, read_last, 3);
    rd_store_close(store);
    place_remove(&place);
}

/* ---- async ---- */

struct submitter {
    struct collector collector; /* first: a sink of its own */
    struct rd_store *store;
    struct rd_op *ops;
    struct rd_entry *entries;
    size_t count;
    uint64_t overloaded;
    bool out_of_order;
};

static void *submit_many(void *context)
{
    struct submitter *submitter = context;
    for (size_t i = 0; i < submitter->count; i++) {
        struct rd_op *op = &submitter->ops[i];
        submitter->entries[i] = (struct rd_entry){.key = rd_key_of_hash((uintptr_t)submitter->ops + i % 100),
                                                  .payload = rd_slice_of_string("some payload")};
        *op = (struct rd_op){.kind = i % 7 == 6 ? RD_OP_DELETE : RD_OP_WRITE,
                             .entries = &submitter->entries[i],
                             .entry_count = 1,
                             .sink = &submitter->collector.sink};
        while (rd_store_submit(submitter->store, op) == RD_OVERLOADED) {
            submitter->overloaded++;
            rd_store_kick(submitter->store);
            sched_yield();
        }
        if (i % 16 == 15)
            rd_store_kick(submitter->store);
    }
    rd_store_kick(submitter->store);
    collector_wait(&submitter->collector, submitter->count);
    const struct rd_op *op = submitter->collector.first;
    for (size_t i = 0; i < submitter->count; i++, op = op == NULL ? NULL : op->next)
        if (op != &submitter->ops[i] || op->status != RD_OK)
            submitter->out_of_order = true;
    return NULL;
}

static void full_queues_refuse_and_accepted_operations_complete_once_in_order(void **state)
{
    (void)state;
    enum { SUBMITTERS = 4, COUNT = 20000 };
    struct place place = place_create();
    struct rd_store *store = store_open_with(
        place.path,
        (struct rd_store_options){.create = true, .queue_count_max = 50, .durability = RD_DURABILITY_NONE});
    struct submitter submitters[SUBMITTERS];
    pthread_t threads[SUBMITTERS];
    for (size_t i = 0; i < SUBMITTERS; i++) {
        collector_init(&submitters[i].collector);
        submitters[i] = (struct submitter){.collector = submitters[i].collector, .store = store, .count = COUNT};
        submitters[i].ops = calloc(COUNT, sizeof *submitters[i].ops);
        submitters[i].entries = calloc(COUNT, sizeof *submitters[i].entries);
    }
    for (size_t i = 0; i < SUBMITTERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, submit_many, &submitters[i]), 0);
    uint64_t overloaded = 0;
    for (size_t i = 0; i < SUBMITTERS; i++) {
        pthread_join(threads[i], NULL);
        assert_false(submitters[i].out_of_order);
        assert_int_equal(submitters[i].collector.count, COUNT);
        overloaded += submitters[i].overloaded;
    }
    print_message("    refused %llu times\n", (unsigned long long)overloaded);
    assert_true(overloaded > 0);
    rd_store_close(store);
    for (size_t i = 0; i < SUBMITTERS; i++) {
        assert_int_equal(submitters[i].collector.count, COUNT);
        collector_deinit(&submitters[i].collector);
        free(submitters[i].ops);
        free(submitters[i].entries);
    }
    place_remove(&place);
}

static void close_completes_what_is_queued(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    for (int kicked = 0; kicked < 2; kicked++) {
        struct place place = place_create();
        struct rd_store *store = store_open(place.path);
        struct collector collector;
        collector_init(&collector);
        struct rd_op *ops = calloc(COUNT, sizeof *ops);
        struct rd_entry *entries = calloc(COUNT, sizeof *entries);
        for (uint64_t i = 0; i < COUNT; i++) {
            entries[i] = (struct rd_entry){.key = rd_key_of_hash(i), .payload = rd_slice_of_string("payload")};
            ops[i] = (struct rd_op){
                .kind = RD_OP_WRITE, .entries = &entries[i], .entry_count = 1, .sink = &collector.sink};
            assert_int_equal(rd_store_submit(store, &ops[i]), RD_OK);
        }
        if (kicked)
            rd_store_kick(store);
        rd_store_close(store);
        assert_int_equal(collector.count, COUNT);
        for (size_t i = 0; i < COUNT; i++)
            assert_int_equal(ops[i].status, RD_OK);
        store = store_open(place.path);
        assert_int_equal(rd_store_len(store), COUNT);
        rd_store_close(store);
        collector_deinit(&collector);
        free(ops);
        free(entries);
        place_remove(&place);
    }
}

/* ---- signals ---- */

static atomic_uint handled;

static void handle(int number)
{
    (void)number;
    atomic_fetch_add(&handled, 1);
}

/* The writer has run in between, and would have handled what was pending. */
static void write_by_the_writer(struct rd_store *store)
{
    struct rd_entry entry = {.key = rd_key_of_hash(1), .payload = rd_slice_of_string("payload")};
    struct rd_op op = {.kind = RD_OP_WRITE, .entries = &entry, .entry_count = 1};
    assert_int_equal(run_async(store, &op), RD_OK);
}

static void the_host_s_signals_are_not_handled_by_the_writer(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    struct sigaction action = {.sa_handler = handle};
    struct sigaction before;
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    sigset_t own;
    sigset_t pending;
    sigemptyset(&own);
    sigaddset(&own, SIGUSR1);
    write_by_the_writer(store);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &own, NULL), 0);
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
    write_by_the_writer(store);
    assert_int_equal(sigpending(&pending), 0);
    assert_true(sigismember(&pending, SIGUSR1));
    assert_int_equal(atomic_load(&handled), 0);
    assert_int_equal(pthread_sigmask(SIG_UNBLOCK, &own, NULL), 0);
    assert_int_equal(atomic_load(&handled), 1);
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
    rd_store_close(store);
    place_remove(&place);
}

/* ---- a thread that is cancelled ---- */

/* Stops the first sync until it is let go on; a point at which a thread can be cancelled. */
struct gate {
    struct rd_io io;
    atomic_bool closed;
    atomic_bool reached;
};

static int sync_at_gate(void *self, int fd)
{
    struct gate *gate = self;
    atomic_store(&gate->reached, true);
    while (atomic_load(&gate->closed)) {
        pthread_testcancel();
        sched_yield();
    }
    return rd_io_system.fdatasync(NULL, fd);
}

/* Its frame is left in order: AddressSanitizer does not tidy up behind one that a cancelled thread leaves. */
static __attribute__((noinline)) void put_the_key(struct rd_store *store)
{
    put_text(store, "cancelled", "is written");
}

static void *write_one_key(void *context)
{
    put_the_key(context);
    pthread_testcancel(); /* at the latest */
    return NULL;
}

/* It may be the writer for that time, and the operation lies on its stack. queued: it waits for the thread that is
 * the writer instead. */
static void cancel_in_a_write(bool queued)
{
    struct place place = place_create();
    struct gate gate = {.io = rd_io_system};
    gate.io.self = &gate;
    gate.io.fdatasync = sync_at_gate;
    struct rd_store *store =
        store_open_with(place.path, (struct rd_store_options){.create = true, .io = &gate.io});
    atomic_store(&gate.reached, false);
    atomic_store(&gate.closed, true);
    pthread_t first;
    pthread_t thread;
    if (queued) {
        assert_int_equal(pthread_create(&first, NULL, write_one_key, store), 0);
        while (!atomic_load(&gate.reached))
            sched_yield();
    }
    assert_int_equal(pthread_create(&thread, NULL, write_one_key, store), 0);
    uint64_t waiting = 0;
    uint64_t bytes;
    while (!atomic_load(&gate.reached) || waiting < (queued ? 2 : 1))
        rd_queue_depth(&store->queue, &waiting, &bytes);
    assert_int_equal(pthread_cancel(thread), 0);
    struct timespec soon;
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_nsec += 100000000;
    soon.tv_sec += soon.tv_nsec / 1000000000;
    soon.tv_nsec %= 1000000000;
    void *result = NULL;
    assert_int_equal(pthread_timedjoin_np(thread, &result, &soon), ETIMEDOUT); /* it stays to the end */
    atomic_store(&gate.closed, false);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, PTHREAD_CANCELED);
    if (queued)
        assert_int_equal(pthread_join(first, NULL), 0);
    expect_text(store, "cancelled", "is written");
    put_text(store, "another", "goes on");
    rd_store_close(store);
    place_remove(&place);
}

static void a_thread_that_is_cancelled_ends_its_write_first(void **state)
{
    (void)state;
    cancel_in_a_write(false);
    cancel_in_a_write(true);
}

/* ---- the index ---- */

/* What rd_store_len has counted is there to be read, whatever splits meanwhile. */
static void *read_while_growing(void *context)
{
    struct shared *shared = context;
    uint64_t random = 1;
    while (!atomic_load(&shared->stop)) {
        uint64_t count = atomic_load(&shared->versions[0]);
        if (count == 0)
            continue;
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        uint64_t key = (random >> 20) % count;
        struct rd_value value;
        if (rd_store_read(shared->store, rd_key_of_hash(key), &value) != RD_OK) {
            atomic_fetch_add(&shared->missed, 1);
            continue;
        }
        if (value.payload.len != sizeof key || memcmp(value.payload.data, &key, sizeof key) != 0)
            atomic_fetch_add(&shared->torn, 1);
        rd_value_release(&value);
        atomic_fetch_add(&shared->reads, 1);
    }
    return NULL;
}

static void put_range(struct rd_store *store, uint64_t first, uint64_t count, uint64_t (*hash_of)(uint64_t))
{
    struct rd_entry *entries = calloc(count, sizeof *entries);
    uint64_t *payloads = calloc(count, sizeof *payloads);
    for (uint64_t i = 0; i < count; i++) {
        payloads[i] = first + i;
        entries[i] = (struct rd_entry){.key = rd_key_of_hash(hash_of == NULL ? first + i : hash_of(first + i)),
                                       .payload = rd_slice(&payloads[i], sizeof *payloads)};
    }
    assert_int_equal(rd_store_batch_write(store, entries, count, false, NULL), RD_OK);
    free(entries);
    free(payloads);
}

static uint64_t index_bytes_per_key(struct rd_store *store)
{
    return atomic_load(&rd_writer_index(store)->bytes) / rd_store_len(store);
}

/* Without what is kept to be used again: that grows by whatever is retired while a reader inside is not running,
 * and on a busy machine that is much. */
static uint64_t bytes_in_use_per_key(struct rd_store *store)
{
    const struct rd_index *index = rd_writer_index(store);
    struct rd_index_part part;
    uint64_t bytes = 0;
    for (size_t at = 0; rd_index_next_part(index, &at, &part);)
        bytes += sizeof(uint64_t) << part.slot_bits;
    return bytes / rd_store_len(store);
}

static void the_index_grows_under_readers(void **state)
{
    (void)state;
    enum { COUNT = SLOW ? 100000 : 300000, STEP = 500 };
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    struct shared shared;
    shared_init(&shared, store);
    pthread_t readers[3];
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_while_growing, &shared), 0);
    for (uint64_t first = 0; first < COUNT; first += STEP) {
        put_range(store, first, STEP, NULL);
        atomic_store(&shared.versions[0], first + STEP);
    }
    usleep(100000);
    atomic_store(&shared.stop, true);
    for (size_t i = 0; i < 3; i++)
        pthread_join(readers[i], NULL);
    shared.writes = COUNT;
    shared_check(&shared);
    assert_int_equal(rd_store_len(store), COUNT);
    print_message("    %llu bytes of index per key\n", (unsigned long long)index_bytes_per_key(store));
    assert_true(bytes_in_use_per_key(store) < 40);
    rd_store_close(store);
    place_remove(&place);
}

static void overwriting_does_not_grow_the_index(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    for (int i = 0; i < 200; i++)
        put_range(store, 0, 3000, NULL);
    assert_int_equal(rd_store_len(store), 3000);
    assert_true(index_bytes_per_key(store) < 40);
    struct rd_key keys[3000];
    for (uint64_t i = 0; i < 3000; i++)
        keys[i] = rd_key_of_hash(i);
    for (int i = 0; i < 100; i++) { /* deleted slots are used again */
        assert_int_equal(rd_store_batch_delete(store, keys, 3000, NULL), RD_OK);
        assert_int_equal(rd_store_len(store), 10 * i);
        put_range(store, 0, 3000, NULL);
        put_range(store, 1000000 + 10 * (uint64_t)i, 10, NULL);
    }
    assert_int_equal(rd_store_len(store), 4000);
    assert_true(index_bytes_per_key(store) < 40);
    rd_store_close(store);
    place_remove(&place);
}

static uint64_t multiples(uint64_t i)
{
    return i << 48 | i >> 16;
}

static uint64_t equal_low_bits(uint64_t i)
{
    return i << 32 | 0xdeadbeef;
}

static uint64_t equal_high_bits(uint64_t i)
{
    return UINT64_C(0xdeadbeef) << 32 | i;
}

static uint64_t from_above(uint64_t i)
{
    return UINT64_MAX - i;
}

static void chosen_hashes_are_as_good_as_any(void **state)
{
    (void)state;
    static uint64_t (*const kinds[])(uint64_t) = {NULL, multiples, equal_low_bits, equal_high_bits, from_above};
    enum { COUNT = 30000 };
    for (size_t kind = 0; kind < sizeof kinds / sizeof kinds[0]; kind++) {
        struct place place = place_create();
        struct rd_store *store = store_open(place.path);
        uint64_t begin = now_ms();
        for (uint64_t first = 0; first < COUNT; first += 1000)
            put_range(store, first, 1000, kinds[kind]);
        for (int again = 0; again < 2; again++) {
            assert_int_equal(rd_store_len(store), COUNT);
            for (uint64_t i = 0; i < COUNT; i++)
                expect_bytes(store, rd_key_of_hash(kinds[kind] == NULL ? i : kinds[kind](i)), &i, sizeof i);
            expect_status(store, rd_key_of_hash(UINT64_C(0x123456789abcdef0)), RD_KEY_NOT_FOUND);
            assert_true(index_bytes_per_key(store) < 40);
            rd_store_close(store);
            store = store_open(place.path);
        }
        assert_true(now_ms() - begin < 10000);
        rd_store_close(store);
        place_remove(&place);
    }
}

/* ---- a host that forks ---- */

/* What `run` returns in a child that begins once the parent has gone on for a while. */
static int in_child(struct rd_store *store, enum rd_status (*run)(struct rd_store *store))
{
    int gate[2];
    assert_int_equal(pipe(gate), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char go;
        close(gate[1]);
        alarm(20);
        _exit(read(gate[0], &go, 1) == 0 ? (int)run(store) : 98);
    }
    close(gate[0]);
    for (int i = 0; i < 100; i++)
        put_text(store, "key", "the parent's value, of some length");
    close(gate[1]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}

static enum rd_status write_one(struct rd_store *store)
{
    return rd_store_write(store, key_named("key"), rd_slice_of_string("the child's"), NULL);
}

static enum rd_status compact_it(struct rd_store *store)
{
    return rd_store_compact(store, NULL, NULL);
}

static enum rd_status close_it(struct rd_store *store)
{
    rd_store_close(store);
    return RD_OK;
}

/* It would write where the parent has written since. */
static void a_child_by_fork_changes_nothing(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    put_text(store, "key", "value");
    assert_int_equal(in_child(store, write_one), RD_UNAVAILABLE);
    assert_int_equal(in_child(store, compact_it), RD_UNAVAILABLE);
    assert_int_equal(in_child(store, close_it), 0);
    assert_int_equal(status_of_open(place.path, false), RD_UNAVAILABLE); /* it is still the parent's */
    expect_text(store, "key", "the parent's value, of some length");
    struct rd_verification found;
    assert_int_equal(rd_store_verify(store, 0, UINT64_MAX, &found), RD_OK);
    assert_int_equal(found.problem_count, 0);
    rd_store_close(store);
    store = store_open(place.path);
    expect_text(store, "key", "the parent's value, of some length");
    assert_int_equal(rd_store_len(store), 1);
    rd_store_close(store);
    place_remove(&place);
}

static void a_child_by_fork_keeps_no_lock(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(20);
        pause();
        _exit(0);
    }
    rd_store_close(store);
    enum rd_status status = status_of_open(place.path, false);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(status, RD_OK);
    place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_never_miss_and_never_go_back),
        cmocka_unit_test(batches_are_seen_whole),
        cmocka_unit_test(the_last_entry_is_never_missed_while_it_is_overwritten),
        cmocka_unit_test(full_queues_refuse_and_accepted_operations_complete_once_in_order),
        cmocka_unit_test(close_completes_what_is_queued),
        cmocka_unit_test(the_host_s_signals_are_not_handled_by_the_writer),
        cmocka_unit_test(a_thread_that_is_cancelled_ends_its_write_first),
        cmocka_unit_test(the_index_grows_under_readers),
        cmocka_unit_test(overwriting_does_not_grow_the_index),
        cmocka_unit_test(chosen_hashes_are_as_good_as_any),
        cmocka_unit_test(a_child_by_fork_changes_nothing),
        cmocka_unit_test(a_child_by_fork_keeps_no_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
