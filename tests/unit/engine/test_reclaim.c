/* SPDX-License-Identifier: MIT
 *
 * What readers hold is not taken from them: seats, epochs and pins, with threads that come and go, more of them
 * than seats, values released by other threads than the ones that read them, and maps replaced all the while. Each
 * scenario runs twice: with the kernel's barriers, and in a process whose kernel refuses them. Failures inside
 * threads are counted, since cmocka's checks belong to one thread.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/barrier.h"
#include "engine/epoch.h"
#include "engine/seat.h"
#include "engine/store.h"
#include "tests/unit/engine/fixture.h"

#define RUN_MS     (SLOW ? 1500u : 800u)
#define WRITES_MIN 100 /* that have met readers */
#define WAIT_MS    10000u
#define CROWD      (RD_SEATS + 12) /* threads at once: some stand */
#define ALIVE      UINT64_C(0x600dfeed)
#define LIVES_EACH 40u /* reads before a thread ends and another takes its place */

/* ---- seats ---- */

struct crowd {
    pthread_barrier_t all_seated;
    pthread_barrier_t may_leave;
    atomic_uint by_seat[RD_SEATS + 1];
};

static void *sit_down(void *context)
{
    struct crowd *crowd = context;
    atomic_fetch_add(&crowd->by_seat[rd_seat()], 1);
    pthread_barrier_wait(&crowd->all_seated);
    pthread_barrier_wait(&crowd->may_leave);
    return NULL;
}

static void *tell_seat(void *context)
{
    *(unsigned *)context = rd_seat();
    return NULL;
}

static unsigned seat_of_a_new_thread(void)
{
    unsigned seat = UINT32_MAX;
    pthread_t thread;
    if (pthread_create(&thread, NULL, tell_seat, &seat) == 0)
        pthread_join(thread, NULL);
    return seat;
}

static void a_seat_has_one_thread_and_is_given_back(void **state)
{
    (void)state;
    struct crowd crowd = {0};
    pthread_t threads[CROWD];
    pthread_barrier_init(&crowd.all_seated, NULL, CROWD + 1);
    pthread_barrier_init(&crowd.may_leave, NULL, CROWD + 1);
    for (size_t i = 0; i < CROWD; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sit_down, &crowd), 0);
    pthread_barrier_wait(&crowd.all_seated);
    unsigned mine = rd_seat();
    unsigned seated = 0;
    for (unsigned seat = 0; seat < RD_SEATS; seat++) {
        assert_true(crowd.by_seat[seat] <= 1);
        assert_false(crowd.by_seat[seat] == 1 && seat == mine);
        seated += crowd.by_seat[seat];
    }
    assert_true(seated >= RD_SEATS - 1);
    assert_int_equal(crowd.by_seat[RD_SEATS], CROWD - seated);
    pthread_barrier_wait(&crowd.may_leave);
    for (size_t i = 0; i < CROWD; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 200; i++)
        assert_true(seat_of_a_new_thread() < RD_SEATS);
    pthread_barrier_destroy(&crowd.all_seated);
    pthread_barrier_destroy(&crowd.may_leave);
}

/* ---- barriers: one stores and looks, as readers do; the other stores, has the barrier run, and looks ---- */

enum { ANNOUNCED_MAX = SLOW ? 2000000 : 10000000, RUNS_MAX = ANNOUNCED_MAX };

struct litmus {
    atomic_uint_fast64_t announced;            /* the looker's number */
    alignas(64) atomic_uint_fast64_t replaced; /* the writer's number */
    atomic_bool started;
    atomic_bool done;
    uint64_t *seen;       /* by the looker's number: the writer's that it saw */
    uint64_t *announcing; /* by the writer's number: the looker's that it saw behind the barrier */
};

static void *announce_and_look(void *context)
{
    struct litmus *litmus = context;
    atomic_store(&litmus->started, true);
    for (uint64_t i = 1; i < ANNOUNCED_MAX; i++) {
        rd_barrier_store(&litmus->announced, i);
        litmus->seen[i] = atomic_load_explicit(&litmus->replaced, memory_order_seq_cst);
    }
    atomic_store(&litmus->done, true);
    return NULL;
}

/* Whoever had not announced itself yet when the barrier ran must have seen what was replaced before it. */
static bool barriers_order_both_sides(void)
{
    struct litmus *litmus = aligned_alloc(alignof(struct litmus), sizeof *litmus);
    memset((void *)litmus, 0, sizeof *litmus);
    litmus->seen = calloc(ANNOUNCED_MAX, sizeof *litmus->seen);
    litmus->announcing = calloc(RUNS_MAX, sizeof *litmus->announcing);
    pthread_t looker;
    bool right = pthread_create(&looker, NULL, announce_and_look, litmus) == 0;
    while (right && !atomic_load(&litmus->started))
        sched_yield();
    uint64_t runs = 0;
    while (right && runs + 1 < RUNS_MAX && !atomic_load(&litmus->done)) {
        atomic_store_explicit(&litmus->replaced, ++runs, memory_order_seq_cst);
        right = rd_barrier_run();
        litmus->announcing[runs] = atomic_load_explicit(&litmus->announced, memory_order_seq_cst);
    }
    pthread_join(looker, NULL);
    uint64_t wrong = 0;
    for (uint64_t run = 1; run <= runs; run++) {
        uint64_t next = litmus->announcing[run] + 1; /* later ones cannot have seen less */
        wrong += next < ANNOUNCED_MAX && litmus->seen[next] < run;
    }
    printf("    %llu barriers, %llu looks past one\n", (unsigned long long)runs, (unsigned long long)wrong);
    free(litmus->seen);
    free(litmus->announcing);
    free((void *)litmus);
    return right && runs > 10 && wrong == 0;
}

/* ---- epochs: one writer replaces a node, readers look at it ---- */

struct node {
    struct rd_retired retired;
    atomic_uint_fast64_t alive; /* ALIVE until it is destroyed */
};

struct stage {
    struct rd_epoch epoch;
    _Atomic(struct node *) current;
    atomic_bool stop;
    atomic_uint saw_destroyed;
    atomic_uint_fast64_t looks;
    uint64_t replaced;
    uint64_t destroyed_meanwhile;
};

static atomic_uint_fast64_t nodes_destroyed;

/* Under AddressSanitizer a reader that still holds it is told apart here too. */
static bool destroy_node(struct rd_retired *retired)
{
    struct node *node = (struct node *)((char *)retired - offsetof(struct node, retired));
    atomic_store_explicit(&node->alive, 0, memory_order_relaxed);
    free((void *)node);
    atomic_fetch_add(&nodes_destroyed, 1);
    return true;
}

static struct node *node_create(void)
{
    struct node *node = calloc(1, sizeof *node);
    atomic_init(&node->alive, ALIVE);
    return node;
}

static void *look_for_a_while(void *context)
{
    struct stage *stage = context;
    for (unsigned i = 0; i < LIVES_EACH && !atomic_load(&stage->stop); i++) {
        unsigned place = rd_epoch_enter();
        struct node *node = atomic_load_explicit(&stage->current, memory_order_seq_cst);
        for (int again = 0; again < 50; again++)
            if (atomic_load_explicit(&node->alive, memory_order_relaxed) != ALIVE)
                atomic_fetch_add(&stage->saw_destroyed, 1);
        if (i % 8 == 0)
            sched_yield(); /* inside */
        rd_epoch_exit(place);
        atomic_fetch_add(&stage->looks, 1);
    }
    return NULL;
}

/* Threads that end are followed by others. */
static void *keep_looking(void *context)
{
    struct stage *stage = context;
    while (!atomic_load(&stage->stop)) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, look_for_a_while, stage) == 0)
            pthread_join(thread, NULL);
    }
    return NULL;
}

static void *look_for_ever(void *context)
{
    struct stage *stage = context;
    while (!atomic_load(&stage->stop))
        look_for_a_while(stage);
    return NULL;
}

static void replace_for_a_while(struct stage *stage)
{
    for (uint64_t begin = now_ms(); now_ms() - begin < RUN_MS; stage->replaced++) {
        struct node *old = atomic_load_explicit(&stage->current, memory_order_relaxed);
        atomic_store_explicit(&stage->current, node_create(), memory_order_seq_cst);
        rd_epoch_retire(&stage->epoch, &old->retired, destroy_node);
        rd_epoch_collect(&stage->epoch);
    }
    stage->destroyed_meanwhile = atomic_load(&nodes_destroyed);
}

static bool nothing_is_destroyed_under_a_reader_of(unsigned stayers, unsigned comers)
{
    struct stage stage = {.replaced = 0};
    pthread_t threads[CROWD];
    unsigned count = 0;
    atomic_store(&nodes_destroyed, 0);
    rd_epoch_init(&stage.epoch);
    atomic_init(&stage.current, node_create());
    for (; count < stayers + comers; count++)
        if (pthread_create(&threads[count], NULL, count < stayers ? look_for_ever : keep_looking, &stage) != 0)
            return false;
    replace_for_a_while(&stage);
    atomic_store(&stage.stop, true);
    while (count > 0)
        pthread_join(threads[--count], NULL);
    rd_epoch_collect(&stage.epoch);
    bool all_gone = !rd_epoch_has_retired(&stage.epoch) && atomic_load(&nodes_destroyed) == stage.replaced;
    rd_epoch_deinit(&stage.epoch);
    free((void *)atomic_load(&stage.current));
    printf("    %llu looks, %llu replaced, of these %llu destroyed meanwhile\n", (unsigned long long)stage.looks,
           (unsigned long long)stage.replaced, (unsigned long long)stage.destroyed_meanwhile);
    return stage.saw_destroyed == 0 && all_gone && stage.looks > 0 && stage.destroyed_meanwhile > 0;
}

static bool nothing_is_destroyed_under_a_reader(void)
{
    return nothing_is_destroyed_under_a_reader_of(2, 2) && nothing_is_destroyed_under_a_reader_of(CROWD - 2, 2);
}

/* ---- pins: maps that are replaced with every write ---- */

static atomic_int maps; /* that are there */

/* No room beyond what is asked for, so that every entry needs a larger map. */
static void *map_little(void *self, size_t len, int fd)
{
    if (len >= (size_t)1 << 30) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    void *base = rd_io_system.mmap(self, len, fd);
    if (base != MAP_FAILED)
        atomic_fetch_add(&maps, 1);
    return base;
}

static int unmap(void *self, void *address, size_t len)
{
    atomic_fetch_sub(&maps, 1);
    return rd_io_system.munmap(self, address, len);
}

static bool write_number(struct rd_store *store, uint64_t key)
{
    uint8_t bytes[200] = {0};
    memcpy(bytes, &key, sizeof key);
    return rd_store_write(store, rd_key_of_hash(key), rd_slice(bytes, sizeof bytes), NULL) == RD_OK;
}

/* With 8 keys. */
static struct rd_store *open_cramped(const char *path)
{
    static struct rd_io io;
    struct rd_store *roomy = store_open(path); /* an empty file cannot be mapped without room */
    bool right = true;
    for (uint64_t key = 0; key < 8; key++)
        right = write_number(roomy, key) && right;
    rd_store_close(roomy);
    io = rd_io_system;
    io.fdatasync = no_sync;
    io.fsync = no_sync;
    io.mmap = map_little;
    io.munmap = unmap;
    struct rd_store_options options = {.create = true, .durability = RD_DURABILITY_NONE, .io = &io};
    struct rd_store *store = NULL;
    return right && rd_store_open(path, &options, &store, NULL) == RD_OK ? store : NULL;
}

/* Values pass from the threads that read them to others, through places that each hold one. */
struct exchange {
    struct rd_store *store;
    pthread_mutex_t lock;
    struct rd_value held[64]; /* guarded by lock */
    atomic_bool stop;
    atomic_uint wrong;
    atomic_uint_fast64_t passed;
};

static bool is_right(const struct rd_value *value)
{
    uint64_t number;
    memcpy(&number, value->payload.data, sizeof number);
    return value->payload.len == 200 && number == value->key_hash && rd_value_verify(value) == RD_OK;
}

/* Leaves a value for others and takes what was there. */
static void pass_on(struct exchange *exchange, struct rd_value *value, size_t at)
{
    pthread_mutex_lock(&exchange->lock);
    struct rd_value taken = exchange->held[at];
    exchange->held[at] = *value;
    pthread_mutex_unlock(&exchange->lock);
    *value = taken;
}

static void *read_and_pass_on(void *context)
{
    struct exchange *exchange = context;
    for (unsigned i = 0; i < LIVES_EACH && !atomic_load(&exchange->stop); i++) {
        struct rd_value value;
        uint64_t number = atomic_fetch_add(&exchange->passed, 1);
        if (rd_store_read(exchange->store, rd_key_of_hash(number % 8), &value) != RD_OK) {
            atomic_fetch_add(&exchange->wrong, 1);
            continue;
        }
        struct rd_value shared = rd_value_share(&value);
        pass_on(exchange, &value, number % 64);
        pass_on(exchange, &shared, (number * 7 + 3) % 64);
        for (struct rd_value *got = &value; got != NULL; got = got == &value ? &shared : NULL) {
            if (got->pin != NULL && !is_right(got))
                atomic_fetch_add(&exchange->wrong, 1);
            rd_value_release(got);
        }
    }
    return NULL;
}

static void *keep_reading_and_passing_on(void *context)
{
    struct exchange *exchange = context;
    while (!atomic_load(&exchange->stop)) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, read_and_pass_on, exchange) == 0)
            pthread_join(thread, NULL);
        read_and_pass_on(exchange);
    }
    return NULL;
}

static bool only_one_map_is_left(void)
{
    for (uint64_t begin = now_ms(); now_ms() - begin < WAIT_MS; usleep(1000))
        if (atomic_load(&maps) == 1)
            return true;
    return false;
}

/* A crowd of readers may leave the writer next to nothing of two processors. */
static bool goes_on(uint64_t begin_ms, uint64_t writes)
{
    uint64_t passed_ms = now_ms() - begin_ms;
    return passed_ms < RUN_MS || (writes <= WRITES_MIN && passed_ms < WAIT_MS);
}

/* The first map is pinned from the beginning to the end. */
static bool maps_live_as_long_as_their_pins_of(const char *path, unsigned readers)
{
    struct exchange exchange = {.store = open_cramped(path), .lock = PTHREAD_MUTEX_INITIALIZER};
    struct rd_value first;
    pthread_t threads[CROWD];
    unsigned count = 0;
    if (exchange.store == NULL || rd_store_read(exchange.store, rd_key_of_hash(0), &first) != RD_OK)
        return false;
    for (; count < readers; count++)
        if (pthread_create(&threads[count], NULL, keep_reading_and_passing_on, &exchange) != 0)
            return false;
    uint64_t writes = 0;
    bool right = true;
    for (uint64_t begin = now_ms(); right && goes_on(begin, writes); writes++)
        right = write_number(exchange.store, writes % 8);
    atomic_store(&exchange.stop, true);
    while (count > 0)
        pthread_join(threads[--count], NULL);
    rd_values_release(exchange.held, 64);
    right = right && is_right(&first) && atomic_load(&maps) >= 2;
    rd_value_release(&first);
    right = right && only_one_map_is_left(); /* nothing is written meanwhile */
    rd_store_close(exchange.store);
    printf("    %llu values passed on, %llu writes\n", (unsigned long long)exchange.passed,
           (unsigned long long)writes);
    return right && exchange.wrong == 0 && exchange.passed > 0 && writes > WRITES_MIN && atomic_load(&maps) == 0;
}

static bool maps_live_as_long_as_their_pins(void)
{
    struct place place = place_create();
    bool right = maps_live_as_long_as_their_pins_of(place.path, 3);
    unlink(place.path);
    remove_companion(place.path);
    right = right && maps_live_as_long_as_their_pins_of(place.path, CROWD);
    place_remove(&place);
    return right;
}

/* ---- a value that is released while its thread ends ---- */

static pthread_key_t late_key;

static void release_late(void *value)
{
    rd_value_release(value);
}

static void *read_and_end(void *context)
{
    struct exchange *exchange = context;
    if (rd_store_read(exchange->store, rd_key_of_hash(1), &exchange->held[0]) != RD_OK)
        return NULL;
    pthread_setspecific(late_key, &exchange->held[0]);
    return exchange;
}

/* late_key is older than the seats' own: its destructor may come before or behind theirs. */
static void a_thread_may_release_while_it_ends(void **state)
{
    (void)state;
    struct place place = place_create();
    struct exchange exchange = {.store = open_cramped(place.path)};
    assert_non_null(exchange.store);
    for (int i = 0; i < 100; i++) {
        pthread_t thread;
        void *done = NULL;
        assert_int_equal(pthread_create(&thread, NULL, read_and_end, &exchange), 0);
        assert_int_equal(pthread_join(thread, &done), 0);
        assert_non_null(done);
        assert_null(exchange.held[0].pin);
        assert_true(write_number(exchange.store, 1));
    }
    assert_true(only_one_map_is_left());
    rd_store_close(exchange.store);
    place_remove(&place);
}

/* ---- both kinds of kernel ---- */

/* From now on membarrier is a call that the kernel does not know. */
static bool forbid_membarrier(void)
{
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof steps / sizeof steps[0], .filter = steps};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void holds_without_kernel_barriers(bool (*scenario)(void))
{
    fflush(stdout);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        bool right = forbid_membarrier();
        rd_barrier_prepare();
        right = right && !rd_barrier_is_remote && scenario();
        fflush(stdout);
        _exit(right ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void barriers_hold_without_the_kernel_s(void **state)
{
    (void)state;
    holds_without_kernel_barriers(barriers_order_both_sides);
}

static void barriers_hold(void **state)
{
    (void)state;
    rd_barrier_prepare();
    assert_true(barriers_order_both_sides());
}

static void epochs_hold_without_kernel_barriers(void **state)
{
    (void)state;
    holds_without_kernel_barriers(nothing_is_destroyed_under_a_reader);
}

static void pins_hold_without_kernel_barriers(void **state)
{
    (void)state;
    holds_without_kernel_barriers(maps_live_as_long_as_their_pins);
}

static void epochs_hold(void **state)
{
    (void)state;
    assert_true(nothing_is_destroyed_under_a_reader());
}

static void pins_hold(void **state)
{
    (void)state;
    assert_true(maps_live_as_long_as_their_pins());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* first: they fork, which a process with seated threads must not */
        cmocka_unit_test(barriers_hold_without_the_kernel_s),
        cmocka_unit_test(epochs_hold_without_kernel_barriers),
        cmocka_unit_test(pins_hold_without_kernel_barriers),
        cmocka_unit_test(a_seat_has_one_thread_and_is_given_back),
        cmocka_unit_test(barriers_hold),
        cmocka_unit_test(epochs_hold),
        cmocka_unit_test(pins_hold),
        cmocka_unit_test(a_thread_may_release_while_it_ends),
    };
    if (pthread_key_create(&late_key, release_late) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
