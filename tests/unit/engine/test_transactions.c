/* SPDX-License-Identifier: MIT
 *
 * Looks, transactions, copies within a store, and syncs on request, as engine.h promises them.
 */
#include "engine/record.h"
#include "tests/unit/engine/faults.h"

struct scene {
    struct place place;
    struct rd_store *store;
};

static struct scene scene_begin(void)
{
    struct scene scene = {.place = place_create()};
    scene.store = store_open(scene.place.path);
    return scene;
}

static void scene_end(struct scene *scene)
{
    rd_store_close(scene->store);
    place_remove(&scene->place);
}

static struct rd_slice text(const char *string)
{
    return rd_slice_of_string(string);
}

static struct rd_entry entry(const char *key, const char *value)
{
    return (struct rd_entry){.key = key_named(key), .payload = text(value)};
}

static struct rd_look look(const char *key, enum rd_condition_kind kind)
{
    return (struct rd_look){.key = key_named(key), .condition.kind = kind, .value_wanted = true};
}

static struct rd_op transaction(const struct rd_entry *entries, struct rd_change *changes, size_t count,
                                struct rd_look *looks, size_t look_count)
{
    return (struct rd_op){.kind = RD_OP_TRANSACTION,
                          .entries = entries,
                          .changes = changes,
                          .entry_count = count,
                          .looks = looks,
                          .look_count = look_count};
}

/* What a look found, which it then gives back. */
static void expect_look(struct rd_look *found, const char *value)
{
    if (value == NULL) {
        assert_null(found->value.payload.data);
        assert_null(found->value.pin);
        return;
    }
    assert_non_null(found->value.payload.data);
    assert_true(rd_slice_equal(found->value.payload, text(value)));
    assert_int_equal(rd_value_verify(&found->value), RD_OK);
    assert_int_equal(found->value.key_hash, found->key.hash);
    rd_value_release(&found->value);
}

/* ---- changes ---- */

static void changes_take_effect_together_each_by_its_own_condition(void **state)
{
    (void)state;
    struct scene scene = scene_begin();
    put_text(scene.store, "there", "old");
    struct rd_entry entries[] = {entry("there", "new"), entry("missing", "x"), entry("fresh", "1"),
                                 entry("there", ""),    entry("missing", ""),  entry("fresh", "2")};
    struct rd_change changes[] = {{.condition.kind = RD_IF_PRESENT},
                                  {.condition.kind = RD_IF_PRESENT},
                                  {.condition.kind = RD_IF_ABSENT},
                                  {.deletes = true},
                                  {.deletes = true},
                                  {.condition.kind = RD_IF_ABSENT}};
    struct rd_op op = transaction(entries, changes, 6, NULL, 0);
    assert_int_equal(rd_store_execute(scene.store, &op), RD_OK);
    static const bool found[] = {true, false, false, true, false, true};
    static const bool applied[] = {true, false, true, true, false, false};
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(changes[i].found, found[i]);
        assert_int_equal(changes[i].applied, applied[i]);
    }
    assert_int_equal(op.count, 3);
    expect_missing(scene.store, "there");
    expect_missing(scene.store, "missing");
    expect_text(scene.store, "fresh", "1");
    assert_int_equal(op.tail, rd_store_file_size(scene.store));
    scene_end(&scene);
}

static void what_changes_nothing_writes_nothing(void **state)
{
    (void)state;
    struct scene scene = scene_begin();
    put_text(scene.store, "k", "v");
    uint64_t tail = rd_store_file_size(scene.store);
    struct rd_entry entries[] = {entry("a", ""), entry("k", "w"), entry("b", "")};
    struct rd_change changes[] = {{.deletes = true}, {.condition.kind = RD_IF_ABSENT}, {.deletes = true}};
    struct rd_op op = transaction(entries, changes, 3, NULL, 0);
    assert_int_equal(rd_store_execute(scene.store, &op), RD_OK);
    assert_int_equal(op.count, 0);
    assert_int_equal(rd_store_file_size(scene.store), tail);
    struct rd_op empty = transaction(NULL, NULL, 0, NULL, 0);
    assert_int_equal(rd_store_execute(scene.store, &empty), RD_OK);
    assert_int_equal(rd_store_file_size(scene.store), tail);
    scene_end(&scene);
}

static void a_value_that_cannot_be_stored_refuses_all(void **state)
{
    (void)state;
    struct scene scene = scene_begin();
    struct rd_entry entries[] = {entry("a", "1"), entry("b", "")};
    struct rd_change changes[2] = {{.deletes = false}};
    struct rd_op op = transaction(entries, changes, 2, NULL, 0);
    assert_int_equal(rd_store_execute(scene.store, &op), RD_INVALID_ARGUMENT);
    entries[1].payload = rd_slice("", 1);
    assert_int_equal(rd_store_execute(scene.store, &op), RD_INVALID_ARGUMENT);
    assert_int_equal(rd_store_file_size(scene.store), 0);
    struct rd_op bare = {.kind = RD_OP_TRANSACTION, .entries = entries, .entry_count = 2};
    assert_int_equal(rd_store_execute(scene.store, &bare), RD_INVALID_ARGUMENT);
    scene_end(&scene);
}

/* A marker where two entries or more are appended, none where it is one, and all of it is there after reopening.
 */
static void only_what_is_appended_is_held_together(void **state)
{
    (void)state;
    struct scene scene = scene_begin();
    struct rd_entry entries[] = {entry("a", "1"), entry("no", ""), entry("b", "2")};
    struct rd_change changes[] = {{.deletes = false}, {.deletes = true}, {.condition.kind = RD_IF_PRESENT}};
    struct rd_op op = transaction(entries, changes, 3, NULL, 0);
    assert_int_equal(rd_store_execute(scene.store, &op), RD_OK);
    uint64_t first_line = RD_RECORD_ALIGN; /* what was to be a marker is a tombstone of nobody's key */
    assert_int_equal(op.offset, first_line);
    assert_int_equal(rd_store_file_size(scene.store), first_line + 1 + RD_TRAILER_LEN);
    changes[2].condition.kind = RD_IF_ABSENT;
    assert_int_equal(rd_store_execute(scene.store, &op), RD_OK);
    rd_store_close(scene.store);
    remove_companion(scene.place.path);
    scene.store = store_open(scene.place.path);
    expect_text(scene.store, "a", "1");
    expect_text(scene.store, "b", "2");
    assert_int_equal(rd_store_len(scene.store), 2);
    scene_end(&scene);
}

/* ---- looks ---- */

static void a_look_shows_what_was_there_before(void **state)
{
    (void)state;
    struct scene scene = scene_begin();
    put_text(scene.store, "k", "old");
    struct rd_entry entries[] = {entry("k", "new"), entry("gone", "x")};
    struct rd_change changes[] = {{.deletes = false}, {.deletes = true}};
    struct rd_look looks[] = {look("k", RD_IF_PRESENT), look("gone", RD_IF_ABSENT), look("k", RD_IF_ANYTHING)};
    looks[2].value_wanted = false;
    struct rd_op op = transaction(entries, changes, 2, looks, 3);
    assert_int_equal(run_async(scene.store, &op), RD_OK);
    expect_look(&looks[0], "old");
    expect_look(&looks[1], NULL);
    expect_look(&looks[2], NULL);
    expect_text(scene.store, "k", "new");
    scene_end(&scene);
}

static void a_look_that_does_not_hold_leaves_everything_alone(void **state)
{
    (void)state;
    struct scene scene = scene_begin();
    struct rd_written first = put_text(scene.store, "k", "v");
    uint64_t tail = rd_store_file_size(scene.store);
    struct rd_entry entries[] = {entry("a", "1"), entry("k", "2")};
    struct rd_change changes[2] = {{.deletes = false}};
    struct rd_condition failing[] = {
        {.kind = RD_IF_ABSENT},
        {.kind = RD_IF_VERSION, .offset = first.offset, .crc32 = first.crc32 + 1},
        {.kind = RD_IF_VERSION, .offset = first.offset + 64, .crc32 = first.crc32},
    };
    for (size_t i = 0; i < sizeof failing / sizeof failing[0]; i++) {
        struct rd_look looks[] = {look("k", RD_IF_PRESENT), look("k", RD_IF_ANYTHING)};
        looks[1].condition = failing[i];
        struct rd_op op = transaction(entries, changes, 2, looks, 2);
        assert_int_equal(rd_store_execute(scene.store, &op), RD_PRECONDITION_FAILED);
        expect_look(&looks[0], NULL);
        expect_look(&looks[1], NULL);
        assert_int_equal(rd_store_file_size(scene.store), tail);
    }
    struct rd_look holds = look("k", RD_IF_VERSION);
    holds.condition.offset = first.offset;
    holds.condition.crc32 = first.crc32;
    struct rd_op op = transaction(entries, changes, 2, &holds, 1);
    assert_int_equal(rd_store_execute(scene.store, &op), RD_OK);
    expect_look(&holds, "v");
    scene_end(&scene);
}

/* A batch of writes that is made only where none of its keys is there. */
static void any_operation_can_look(void **state)
{
    (void)state;
    struct scene scene = scene_begin();
    struct rd_entry entries[] = {entry("a", "1"), entry("b", "2")};
    for (int round = 0; round < 2; round++) {
        struct rd_look looks[] = {look("a", RD_IF_ABSENT), look("b", RD_IF_ABSENT)};
        struct rd_op op = {
            .kind = RD_OP_BATCH_WRITE, .entries = entries, .entry_count = 2, .looks = looks, .look_count = 2};
        assert_int_equal(rd_store_execute(scene.store, &op), round == 0 ? RD_OK : RD_PRECONDITION_FAILED);
        assert_int_equal(op.count, round == 0 ? 2 : 0);
    }
    struct rd_look wanted = look("a", RD_IF_ANYTHING);
    struct rd_op op = {
        .kind = RD_OP_DELETE, .entries = entries, .entry_count = 1, .looks = &wanted, .look_count = 1};
    assert_int_equal(rd_store_execute(scene.store, &op), RD_OK);
    expect_look(&wanted, "1");
    struct rd_op bare = {.kind = RD_OP_DELETE, .entries = entries, .entry_count = 1, .look_count = 1};
    assert_int_equal(rd_store_execute(scene.store, &bare), RD_INVALID_ARGUMENT);
    scene_end(&scene);
}

/* In one group, each operation's look is the value of the one before, which never was anybody's to read. */
static void looks_see_what_the_group_has_planned(void **state)
{
    (void)state;
    enum { COUNT = 100 };
    struct scene scene = scene_begin();
    struct collector collector;
    char values[COUNT][16];
    struct rd_entry entries[COUNT];
    struct rd_change changes[COUNT] = {{.deletes = false}};
    struct rd_look looks[COUNT];
    struct rd_op ops[COUNT];
    collector_init(&collector);
    for (int i = 0; i < COUNT; i++) {
        snprintf(values[i], sizeof values[i], "value %d", i);
        entries[i] = entry("k", values[i]);
        changes[i].deletes = i % 10 == 9;
        looks[i] = look("k", RD_IF_ANYTHING);
        ops[i] = transaction(&entries[i], &changes[i], 1, &looks[i], 1);
        ops[i].sink = &collector.sink;
        assert_int_equal(rd_store_submit(scene.store, &ops[i]), RD_OK);
    }
    rd_store_kick(scene.store);
    collector_wait(&collector, COUNT);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(ops[i].status, RD_OK);
        expect_look(&looks[i], i == 0 || (i - 1) % 10 == 9 ? NULL : values[i - 1]);
    }
    collector_deinit(&collector);
    scene_end(&scene);
}

/* What a look has shown stays, whatever becomes of the key and the map. */
static void a_looked_at_value_is_pinned(void **state)
{
    (void)state;
    struct scene scene = scene_begin();
    size_t len = (size_t)3 << 20;
    uint8_t *value = malloc(len);
    memset(value, 'x', len);
    put(scene.store, key_named("long"), value, len);
    struct rd_entry gone = entry("long", "");
    struct rd_change change = {.deletes = true};
    struct rd_look seen = look("long", RD_IF_ANYTHING);
    struct rd_op op = transaction(&gone, &change, 1, &seen, 1);
    assert_int_equal(rd_store_execute(scene.store, &op), RD_OK);
    expect_missing(scene.store, "long");
    for (int i = 0; i < 20; i++)
        put(scene.store, key_named("other"), value, len);
    assert_int_equal(seen.value.payload.len, len);
    assert_memory_equal(seen.value.payload.data, value, len);
    rd_value_release(&seen.value);
    free(value);
    scene_end(&scene);
}

/* Nothing was replaced, so nothing is shown; with room again, all of it is there. */
static void a_full_disk_shows_nothing(void **state)
{
    (void)state;
    struct place place = place_create();
    struct faults *faults = faults_create();
    struct rd_store *store = open_faulty(faults, place.path, RD_DURABILITY_NONE, 0);
    put_text(store, "k", "old");
    struct rd_entry entries[] = {entry("k", "new"), entry("l", "new")};
    struct rd_change changes[2] = {{.deletes = false}};
    struct rd_look seen = look("k", RD_IF_PRESENT);
    struct rd_op op = transaction(entries, changes, 2, &seen, 1);
    faults->size_max = rd_store_file_size(store) + 8;
    assert_int_equal(run_async(store, &op), RD_NO_SPACE);
    expect_look(&seen, NULL);
    assert_int_equal(op.count, 0);
    expect_text(store, "k", "old");
    faults->size_max = 0;
    assert_int_equal(run_async(store, &op), RD_OK);
    expect_look(&seen, "old");
    rd_store_close(store);
    faults_destroy(faults);
    place_remove(&place);
}

/* ---- random transactions against a model ---- */

enum { KEYS = 8, STEPS = 6, TRANSACTIONS = 3000 };

struct random_transaction {
    struct rd_op op;
    struct rd_entry entries[STEPS];
    struct rd_change changes[STEPS];
    struct rd_look looks[STEPS];
    uint8_t bytes[STEPS];
    unsigned keys[STEPS];
    unsigned looked[STEPS];
};

static struct rd_key numbered(unsigned key)
{
    return rd_key_of_hash(UINT64_C(0x1234567800000000) + key);
}

static void randomise(struct random_transaction *made)
{
    size_t count = random_below(STEPS + 1);
    size_t look_count = random_below(3) == 0 ? random_below(STEPS) : 0;
    *made = (struct random_transaction){
        .op = transaction(made->entries, made->changes, count, made->looks, look_count)};
    for (size_t i = 0; i < count; i++) {
        made->keys[i] = (unsigned)random_below(KEYS);
        made->bytes[i] = (uint8_t)(1 + random_below(255));
        made->entries[i] =
            (struct rd_entry){.key = numbered(made->keys[i]), .payload = rd_slice(&made->bytes[i], 1)};
        made->changes[i].deletes = random_below(3) == 0;
        made->changes[i].condition.kind = (enum rd_condition_kind)random_below(3);
    }
    for (size_t i = 0; i < look_count; i++) {
        made->looked[i] = (unsigned)random_below(KEYS);
        made->looks[i].key = numbered(made->looked[i]);
        made->looks[i].condition.kind = (enum rd_condition_kind)random_below(3);
        made->looks[i].value_wanted = true;
    }
}

static bool holds(enum rd_condition_kind kind, uint8_t value)
{
    return kind == RD_IF_ANYTHING || (kind == RD_IF_PRESENT) == (value != 0);
}

/* model: the byte that is each key's value, 0: none. */
static void check_against_model(struct random_transaction *made, uint8_t model[KEYS])
{
    bool all_hold = true;
    for (size_t i = 0; i < made->op.look_count; i++)
        all_hold = all_hold && holds(made->looks[i].condition.kind, model[made->looked[i]]);
    assert_int_equal(made->op.status, all_hold ? RD_OK : RD_PRECONDITION_FAILED);
    for (size_t i = 0; i < made->op.look_count; i++) {
        uint8_t expected = all_hold ? model[made->looked[i]] : 0;
        assert_int_equal(made->looks[i].value.payload.data != NULL ? made->looks[i].value.payload.data[0] : 0,
                         expected);
        rd_value_release(&made->looks[i].value);
    }
    for (size_t i = 0; i < made->op.entry_count && all_hold; i++) {
        uint8_t *value = &model[made->keys[i]];
        bool deletes = made->changes[i].deletes;
        bool applies = holds(made->changes[i].condition.kind, *value) && (*value != 0 || !deletes);
        assert_int_equal(made->changes[i].found, *value != 0);
        assert_int_equal(made->changes[i].applied, applies);
        if (applies)
            *value = deletes ? 0 : made->bytes[i];
    }
}

static void check_store(struct rd_store *store, const uint8_t model[KEYS])
{
    for (unsigned i = 0; i < KEYS; i++) {
        if (model[i] == 0)
            expect_status(store, numbered(i), RD_KEY_NOT_FOUND);
        else
            expect_bytes(store, numbered(i), &model[i], 1);
    }
}

/* Many at a time, so that they share groups; then all again from the file alone. */
static void random_transactions_do_what_a_model_says(void **state)
{
    (void)state;
    enum { AT_ONCE = 50 };
    struct scene scene = scene_begin();
    uint8_t model[KEYS] = {0};
    struct random_transaction *made = calloc(AT_ONCE, sizeof *made);
    random_begin();
    for (int round = 0; round < TRANSACTIONS / AT_ONCE; round++) {
        struct collector collector;
        collector_init(&collector);
        for (size_t i = 0; i < AT_ONCE; i++) {
            randomise(&made[i]);
            made[i].op.sink = &collector.sink;
            assert_int_equal(rd_store_submit(scene.store, &made[i].op), RD_OK);
        }
        rd_store_kick(scene.store);
        collector_wait(&collector, AT_ONCE);
        for (size_t i = 0; i < AT_ONCE; i++)
            check_against_model(&made[i], model);
        collector_deinit(&collector);
        check_store(scene.store, model);
    }
    free(made);
    rd_store_close(scene.store);
    remove_companion(scene.place.path);
    scene.store = store_open(scene.place.path);
    check_store(scene.store, model);
    scene_end(&scene);
}

/* ---- exchanges by many threads ---- */

enum { THREADS = 4, EXCHANGES = SLOW ? 300 : 3000 };

struct exchanger {
    struct rd_store *store;
    uint32_t first;           /* its own values begin here */
    uint32_t seen[EXCHANGES]; /* what was there before each of them; 0: nothing */
};

static void *exchange(void *context)
{
    struct exchanger *exchanger = context;
    for (uint32_t i = 0; i < EXCHANGES; i++) {
        uint32_t value = exchanger->first + i;
        struct rd_entry put_one = {.key = key_named("k"), .payload = rd_slice(&value, sizeof value)};
        struct rd_change change = {.deletes = false};
        struct rd_look before = look("k", RD_IF_ANYTHING);
        struct rd_op op = transaction(&put_one, &change, 1, &before, 1);
        if (rd_store_execute(exchanger->store, &op) != RD_OK)
            return exchanger;
        if (before.value.payload.data != NULL)
            memcpy(&exchanger->seen[i], before.value.payload.data, sizeof exchanger->seen[i]);
        rd_value_release(&before.value);
    }
    return NULL;
}

/* Each value but the last was seen by exactly one, and nothing by the first. */
static void every_value_is_exchanged_once(void **state)
{
    (void)state;
    struct scene scene = scene_begin();
    static struct exchanger exchangers[THREADS];
    static unsigned times_seen[THREADS * EXCHANGES + 1];
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        exchangers[i] = (struct exchanger){.store = scene.store, .first = i * EXCHANGES + 1};
        assert_int_equal(pthread_create(&threads[i], NULL, exchange, &exchangers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    for (unsigned i = 0; i < THREADS; i++)
        for (unsigned j = 0; j < EXCHANGES; j++)
            times_seen[exchangers[i].seen[j]]++;
    struct rd_value last;
    assert_int_equal(rd_store_read(scene.store, key_named("k"), &last), RD_OK);
    uint32_t left;
    memcpy(&left, last.payload.data, sizeof left);
    rd_value_release(&last);
    for (uint32_t i = 0; i <= THREADS * EXCHANGES; i++)
        assert_int_equal(times_seen[i], i == left ? 0 : 1);
    scene_end(&scene);
}

/* ---- copies, syncs, finding ---- */

static struct rd_op copy_op(struct rd_entry entries[2], const char *from, const char *to)
{
    entries[0] = (struct rd_entry){.key = key_named(from)};
    entries[1] = (struct rd_entry){.key = key_named(to)};
    return (struct rd_op){.kind = RD_OP_COPY, .entries = entries, .entry_count = 2};
}

static void a_copy_leaves_the_old_key_its_value(void **state)
{
    (void)state;
    struct scene scene = scene_begin();
    struct rd_entry entries[2];
    struct rd_written written = put_text(scene.store, "a", "value");
    struct rd_op op = copy_op(entries, "a", "b");
    assert_int_equal(rd_store_execute(scene.store, &op), RD_OK);
    assert_false(op.replaced);
    assert_int_equal(op.count, 1);
    assert_int_equal(op.crc32, written.crc32);
    expect_text(scene.store, "a", "value");
    expect_text(scene.store, "b", "value");
    struct rd_value found;
    assert_int_equal(rd_store_find(scene.store, key_named("b"), &found), RD_OK);
    assert_int_equal(found.offset, op.offset);
    assert_int_equal(found.offset + found.payload.len + RD_TRAILER_LEN, rd_store_file_size(scene.store));
    assert_int_equal(found.prev_tail, written.tail); /* no marker before it */
    rd_value_release(&found);

    put_text(scene.store, "a", "newer");
    op = copy_op(entries, "a", "b");
    op.target_condition.kind = RD_IF_ABSENT;
    assert_int_equal(rd_store_execute(scene.store, &op), RD_PRECONDITION_FAILED);
    op.target_condition.kind = RD_IF_PRESENT;
    assert_int_equal(rd_store_execute(scene.store, &op), RD_OK);
    assert_true(op.replaced);
    expect_text(scene.store, "b", "newer");
    op = copy_op(entries, "a", "a");
    assert_int_equal(rd_store_execute(scene.store, &op), RD_CONFLICT);
    op = copy_op(entries, "none", "b");
    assert_int_equal(rd_store_execute(scene.store, &op), RD_KEY_NOT_FOUND);
    scene_end(&scene);
}

static void a_sync_covers_what_came_before_and_no_more(void **state)
{
    (void)state;
    struct place place = place_create();
    struct faults *faults = faults_create();
    struct rd_store *store = open_faulty(faults, place.path, RD_DURABILITY_NONE, 0);
    put_text(store, "k", "v");
    unsigned before = faults_count(faults, CALL_FDATASYNC);
    uint64_t tail = rd_store_file_size(store);
    for (int i = 0; i < 2; i++) { /* the second finds nothing to do */
        struct rd_op op = {.kind = RD_OP_SYNC};
        assert_int_equal(run_async(store, &op), RD_OK);
        assert_int_equal(op.tail, tail);
        assert_int_equal(faults_count(faults, CALL_FDATASYNC), before + 1);
    }
    struct rd_entry entries[] = {entry("k", "w")};
    struct rd_op writes = {.kind = RD_OP_WRITE, .entries = entries, .entry_count = 1};
    struct rd_op sync = {.kind = RD_OP_SYNC};
    struct collector collector;
    collector_init(&collector);
    writes.sink = sync.sink = &collector.sink;
    assert_int_equal(rd_store_submit(store, &writes), RD_OK);
    assert_int_equal(rd_store_submit(store, &sync), RD_OK);
    rd_store_kick(store);
    collector_wait(&collector, 2);
    assert_int_equal(writes.status, RD_OK);
    assert_int_equal(sync.status, RD_OK);
    assert_int_equal(faults_count(faults, CALL_FDATASYNC), before + 2);
    collector_deinit(&collector);

    put_text(store, "k", "x");
    faults_set(faults, CALL_FDATASYNC, 0, 1, EIO);
    struct rd_op failing = {.kind = RD_OP_SYNC};
    assert_int_equal(run_async(store, &failing), RD_IO_ERROR);
    assert_int_equal(failing.os_errno, EIO);
    struct rd_op refused = {.kind = RD_OP_SYNC};
    assert_int_equal(run_async(store, &refused), RD_IO_ERROR);
    rd_store_close(store);
    faults_destroy(faults);
    place_remove(&place);
}

/* Finding is not reading: a damaged value is there. */
static void batch_find_does_not_touch_payloads(void **state)
{
    (void)state;
    struct scene scene = scene_begin();
    struct rd_written damaged = put_text(scene.store, "damaged", "some value");
    put_text(scene.store, "good", "another");
    rd_store_close(scene.store);
    struct rd_buffer file = rd_file_read(scene.place.path);
    file.data[damaged.offset] ^= 1;
    rd_file_write(scene.place.path, rd_buffer_slice(&file));
    rd_buffer_deinit(&file);
    scene.store = store_open(scene.place.path);

    struct rd_key keys[] = {key_named("damaged"), key_named("good"), key_named("missing")};
    struct rd_value values[3];
    enum rd_status statuses[3];
    rd_store_batch_find(scene.store, keys, 3, values, statuses);
    assert_int_equal(statuses[0], RD_OK);
    assert_int_equal(statuses[1], RD_OK);
    assert_int_equal(statuses[2], RD_KEY_NOT_FOUND);
    assert_int_equal(values[0].offset, damaged.offset);
    assert_int_equal(rd_value_verify(&values[0]), RD_CORRUPT);
    rd_values_release(values, 3);
    rd_store_batch_read(scene.store, keys, 3, values, statuses);
    assert_int_equal(statuses[0], RD_CORRUPT);
    rd_values_release(values, 3);
    scene_end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_take_effect_together_each_by_its_own_condition),
        cmocka_unit_test(what_changes_nothing_writes_nothing),
        cmocka_unit_test(a_value_that_cannot_be_stored_refuses_all),
        cmocka_unit_test(only_what_is_appended_is_held_together),
        cmocka_unit_test(a_look_shows_what_was_there_before),
        cmocka_unit_test(a_look_that_does_not_hold_leaves_everything_alone),
        cmocka_unit_test(any_operation_can_look),
        cmocka_unit_test(looks_see_what_the_group_has_planned),
        cmocka_unit_test(a_looked_at_value_is_pinned),
        cmocka_unit_test(a_full_disk_shows_nothing),
        cmocka_unit_test(random_transactions_do_what_a_model_says),
        cmocka_unit_test(every_value_is_exchanged_once),
        cmocka_unit_test(a_copy_leaves_the_old_key_its_value),
        cmocka_unit_test(a_sync_covers_what_came_before_and_no_more),
        cmocka_unit_test(batch_find_does_not_touch_payloads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
