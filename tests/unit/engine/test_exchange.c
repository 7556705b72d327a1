/* SPDX-License-Identifier: MIT
 *
 * The moment at which a new file takes the place of the old one: what a crash leaves of it, and what must be known
 * before.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

#include "engine/record.h"
#include "engine/store.h"
#include "tests/unit/engine/faults.h"
#include "tests/unit/engine/fixture.h"

static void path_of(const struct place *place, const char *ending, char ret_path[PATH_MAX])
{
    assert_true(snprintf(ret_path, PATH_MAX, "%s%s", place->path, ending) < PATH_MAX);
}

/* ---- the old file beside the new companion ---- */

static void keep(const struct place *place, const char *ending, const char *kept)
{
    char from[PATH_MAX];
    char to[PATH_MAX];
    path_of(place, ending, from);
    path_of(place, kept, to);
    assert_int_equal(link(from, to), 0);
}

static void bring_back(const struct place *place, const char *ending, const char *kept)
{
    char from[PATH_MAX];
    char to[PATH_MAX];
    path_of(place, kept, from);
    path_of(place, ending, to);
    assert_int_equal(rename(from, to), 0);
}

static void damage(const struct place *place, uint64_t offset)
{
    int fd = open(place->path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "\x5a", 1, (off_t)offset), 1);
    close(fd);
}

/* An empty file's companion says nothing of where an entry ends: it must not be taken for the old file's, whose
 * entries would then be cut at the first that is damaged, and the tombstones behind it with them. */
static void an_old_file_without_entries_stays_so(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    put_text(store, "first", "sound");
    damage(&place, put_text(store, "second", "damaged behind our back").offset);
    put_text(store, "third", "sound, too");
    assert_int_equal(rd_store_delete(store, key_named("second"), NULL), RD_OK);
    assert_int_equal(rd_store_delete(store, key_named("first"), NULL), RD_OK);
    assert_int_equal(rd_store_delete(store, key_named("third"), NULL), RD_OK);
    keep(&place, "", ".kept");
    struct rd_compacted result;
    assert_int_equal(rd_store_compact(store, &result, NULL), RD_OK);
    assert_int_equal(result.tail, 0);
    keep(&place, ".meta", ".kept-meta");
    rd_store_close(store);
    bring_back(&place, "", ".kept");
    bring_back(&place, ".meta", ".kept-meta");
    store = store_open(place.path);
    expect_missing(store, "first");
    assert_int_equal(rd_store_len(store), 0);
    put_text(store, "fourth", "goes on");
    rd_store_close(store);
    store = store_open(place.path);
    expect_text(store, "fourth", "goes on");
    assert_int_equal(rd_store_len(store), 1);
    rd_store_close(store);
    place_remove(&place);
}

/* What is written to a new file without entries is found again after a kill, whatever its companion said before.
 */
static void an_empty_new_file_is_filled_again(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    put_text(store, "gone", "not for long");
    assert_int_equal(rd_store_delete(store, key_named("gone"), NULL), RD_OK);
    struct rd_compacted result;
    assert_int_equal(rd_store_compact(store, &result, NULL), RD_OK);
    put_text(store, "key", "value");
    keep(&place, "", ".kept");
    keep(&place, ".meta", ".kept-meta");
    rd_store_close(store);
    bring_back(&place, "", ".kept");
    bring_back(&place, ".meta", ".kept-meta");
    store = store_open(place.path);
    expect_text(store, "key", "value");
    expect_missing(store, "gone");
    rd_store_close(store);
    place_remove(&place);
}

/* ---- the new file beside the old companion ---- */

static char checkpoint_path[PATH_MAX];
static bool renamed;

static int rename_without_checkpoint(void *self, const char *from, const char *to)
{
    (void)self;
    if (strstr(from, ".compact") != NULL) {
        renamed = true;
        assert_false(file_exists(checkpoint_path));
    }
    return rename(from, to);
}

/* A checkpoint tells where the old file's entries lie. Beside the new file and the old companion it is told from a
 * right one by the old file's length alone, and the new one may be as long. */
static void the_old_checkpoint_is_gone_before(void **state)
{
    (void)state;
    struct place place = place_create();
    path_of(&place, ".index", checkpoint_path);
    renamed = false;
    struct faults *faults = faults_create();
    faults->io.rename = rename_without_checkpoint;
    struct rd_store *store = open_faulty(faults, place.path, RD_DURABILITY_SYNC, 0);
    store->checkpoint_entries = 1;
    put_text(store, "dead", "value");
    put_text(store, "key", "value");
    assert_int_equal(rd_store_delete(store, key_named("dead"), NULL), RD_OK);
    rd_store_close(store);
    assert_true(file_exists(checkpoint_path));
    store = open_faulty(faults, place.path, RD_DURABILITY_SYNC, 0);
    store->checkpoint_entries = 1;
    assert_int_equal(rd_store_compact(store, NULL, NULL), RD_OK);
    assert_true(renamed);
    expect_text(store, "key", "value");
    rd_store_close(store);
    assert_true(file_exists(checkpoint_path)); /* the new file's */
    store = store_open(place.path);
    expect_text(store, "key", "value");
    rd_store_close(store);
    faults_destroy(faults);
    place_remove(&place);
}

static int keep_companion(void *self, const char *path)
{
    (void)self;
    if (strstr(path, ".meta") == NULL)
        return unlink(path);
    errno = EIO;
    return -1;
}

/* A young store's companion says no more than where its first entry ends: beside the new file, whose first entry
 * is another, all would be cut. It must have been replaced or removed before. */
static void a_companion_that_stays_bars_the_exchange(void **state)
{
    (void)state;
    struct place place = place_create();
    struct faults *faults = faults_create();
    faults->io.unlink = keep_companion;
    struct rd_store *store = open_faulty(faults, place.path, RD_DURABILITY_NONE, 0);
    put_text(store, "dead", "a value that was the first");
    put_text(store, "key", "value");
    assert_int_equal(rd_store_delete(store, key_named("dead"), NULL), RD_OK);
    struct rd_store_info before;
    rd_store_info(store, &before);
    faults_set(faults, CALL_FSYNC, 0, FOR_EVER, EIO);
    struct rd_error error = {.status = RD_OK};
    assert_int_equal(rd_store_compact(store, NULL, &error), RD_IO_ERROR);
    assert_non_null(strstr(error.message, "companion"));
    faults_set(faults, CALL_FSYNC, 0, 0, 0);
    struct rd_store_info after;
    rd_store_info(store, &after);
    assert_int_equal(after.state, RD_STORE_OPEN);
    assert_true(after.generation == before.generation && after.tail == before.tail);
    assert_int_equal(rd_store_compact(store, NULL, NULL), RD_OK);
    expect_text(store, "key", "value");
    expect_missing(store, "dead");
    rd_store_close(store);
    faults_destroy(faults);
    place_remove(&place);
}

static int rename_no_companion(void *self, const char *from, const char *to)
{
    (void)self;
    if (strstr(from, ".meta") == NULL)
        return rename(from, to);
    errno = EIO;
    return -1;
}

/* The store does without until it has written as much as calls for one, the new file's own bytes included. */
static void a_companion_that_was_not_written_is_made_up_for(void **state)
{
    (void)state;
    struct place place = place_create();
    char meta_path[PATH_MAX];
    path_of(&place, ".meta", meta_path);
    struct faults *faults = faults_create();
    struct rd_store *store = open_faulty(faults, place.path, RD_DURABILITY_SYNC, 0);
    static const uint8_t bytes[10000] = {1};
    put(store, key_named("key"), bytes, sizeof bytes);
    put_text(store, "dead", "value");
    assert_int_equal(rd_store_delete(store, key_named("dead"), NULL), RD_OK);
    store->writer.record_every_len = sizeof bytes;
    faults->io.rename = rename_no_companion;
    assert_int_equal(rd_store_compact(store, NULL, NULL), RD_OK);
    assert_false(file_exists(meta_path));
    faults->io.rename = rd_io_system.rename;
    put_text(store, "more", "value");
    put_text(store, "still more", "value"); /* what follows the first one's answer is over, too */
    assert_true(file_exists(meta_path));
    rd_store_close(store);
    store = store_open(place.path);
    expect_bytes(store, key_named("key"), bytes, sizeof bytes);
    expect_text(store, "more", "value");
    rd_store_close(store);
    faults_destroy(faults);
    place_remove(&place);
}

static const char *cut_path; /* NULL: nothing is to be cut */
static uint64_t cut_to;

static int cut_and_sync(void *self, int fd)
{
    (void)self;
    (void)fd;
    if (cut_path != NULL)
        assert_int_equal(truncate(cut_path, (off_t)cut_to), 0);
    cut_path = NULL;
    return 0;
}

/* Others cut the file when nearly all of it is copied: the companion is what will tell that something is missing.
 */
static void a_file_that_others_cut_keeps_its_companion(void **state)
{
    (void)state;
    assert_true(rd_guard_install());
    struct place place = place_create();
    char meta_path[PATH_MAX];
    path_of(&place, ".meta", meta_path);
    struct faults *faults = faults_create();
    faults->io.fdatasync = cut_and_sync;
    struct rd_store *store = open_faulty(faults, place.path, RD_DURABILITY_NONE, 0);
    cut_to = put_text(store, "kept", "value").tail;
    put_text(store, "lost", "value");
    rd_store_close(store);
    store = open_faulty(faults, place.path, RD_DURABILITY_NONE, 0); /* which records all of it */
    put_text(store, "more", "value");
    cut_path = place.path;
    assert_int_equal(rd_store_compact(store, NULL, NULL), RD_IO_ERROR);
    assert_null(cut_path);
    assert_true(file_exists(meta_path));
    rd_store_close(store);
    faults_destroy(faults);
    place_remove(&place);
}

/* ---- the name ---- */

/* In the place of a link, or of another file, the new file would not be this store. */
static void only_the_stores_own_name_is_given_to_the_new_file(void **state)
{
    (void)state;
    struct place place = place_create();
    char link_path[PATH_MAX];
    char moved_path[PATH_MAX];
    path_of(&place, ".link", link_path);
    path_of(&place, ".moved", moved_path);
    rd_store_close(store_open(place.path));
    assert_int_equal(symlink(place.path, link_path), 0);
    struct rd_store *store = store_open(link_path);
    put_text(store, "key", "value");
    struct rd_error error = {.status = RD_OK};
    assert_int_equal(rd_store_compact(store, NULL, &error), RD_IO_ERROR);
    assert_int_equal(error.os_errno, ELOOP);
    put_text(store, "more", "value");
    rd_store_close(store);

    store = store_open(place.path);
    expect_text(store, "more", "value");
    assert_int_equal(rename(place.path, moved_path), 0);
    assert_int_equal(rd_store_compact(store, NULL, &error), RD_IO_ERROR);
    int fd = open(place.path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(rd_store_compact(store, NULL, &error), RD_IO_ERROR);
    assert_non_null(strstr(error.message, "another file"));
    put_text(store, "again", "value");
    assert_int_equal(rename(moved_path, place.path), 0);
    assert_int_equal(rd_store_compact(store, NULL, &error), RD_OK);
    expect_text(store, "again", "value");
    rd_store_close(store);
    place_remove(&place);
}

/* ---- a page that cannot be read ---- */

#define PAGE_LEN 4096u
#define LONG_LEN (8u * PAGE_LEN)

static uint64_t unreadable_at; /* the page of the next map that cannot be read; 0: none */
static int empty_fd;

/* Maps no more than is needed, so that the next append needs another map. */
static void *map_tightly(void *self, size_t len, int fd)
{
    (void)self;
    struct stat found;
    assert_int_equal(fstat(fd, &found), 0);
    if (len > (size_t)found.st_size + LONG_LEN + PAGE_LEN) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    char *base = rd_io_system.mmap(NULL, len, fd);
    if (base != MAP_FAILED && unreadable_at != 0)
        assert_true(mmap(base + unreadable_at, PAGE_LEN, PROT_READ, MAP_SHARED | MAP_FIXED, empty_fd, 0) ==
                    base + unreadable_at);
    unreadable_at = 0;
    return base;
}

static void open_empty(const struct place *place)
{
    char path[PATH_MAX];
    path_of(place, ".empty", path);
    empty_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(empty_fd >= 0);
    assert_int_equal(unlink(path), 0);
}

/* The map that a walk looks at may have been replaced when the walk is over: what could not be read there is no
 * less missing. */
static void what_an_earlier_map_could_not_read_is_not_copied(void **state)
{
    (void)state;
    assert_true(rd_guard_install());
    struct place place = place_create();
    static uint8_t bytes[LONG_LEN];
    memset(bytes, 'x', sizeof bytes);
    struct rd_store *store = store_open(place.path);
    struct rd_written written = put(store, key_named("long"), bytes, sizeof bytes);
    rd_store_close(store);

    open_empty(&place);
    struct faults *faults = faults_create();
    faults->io.mmap = map_tightly;
    unreadable_at = (written.offset + 2 * PAGE_LEN) / PAGE_LEN * PAGE_LEN;
    store = open_faulty(faults, place.path, RD_DURABILITY_SYNC, 0);
    struct rd_compaction *compaction;
    assert_int_equal(rd_compaction_begin(store, &compaction, NULL), RD_OK);
    put(store, key_named("longer"), bytes, sizeof bytes); /* this takes another map */
    uint64_t moved;
    bool done = false;
    struct rd_error error = {.status = RD_OK};
    enum rd_status status = RD_OK;
    while (status == RD_OK && !done)
        status = rd_compaction_step(compaction, UINT64_MAX, &moved, &done, &error);
    assert_int_equal(status, RD_IO_ERROR);
    rd_compaction_end(compaction);
    expect_bytes(store, key_named("long"), bytes, sizeof bytes);
    rd_store_close(store);
    close(empty_fd);
    faults_destroy(faults);
    place_remove(&place);
}

/* ---- beside long values ---- */

#define HANDS         3u
#define HAND_KEYS     8u
#define STREAM_LEN    60000u
#define COMPACTIONS   (SLOW ? 12u : 60u)
#define STREAMS_MIN   (SLOW ? 50u : 300u)
#define EXTENDED_FROM 2u /* synced groups: that early the file runs ahead of its tail */

struct beside {
    struct rd_store *store;
    atomic_bool over;
    atomic_uint wrong;
    atomic_uint streams;
};

struct hand {
    struct beside *beside;
    uint64_t first_key;
    uint64_t random;
    uint64_t lens[HAND_KEYS]; /* of what was written last; 0: the key does not live */
};

struct source {
    uint8_t byte;
    uint64_t left;
};

static int64_t read_source(void *context, uint8_t *to, size_t len)
{
    struct source *source = context;
    size_t more = len < source->left ? len : (size_t)source->left;
    memset(to, source->byte, more);
    source->left -= more;
    return (int64_t)more;
}

/* Each key's values are of a byte of its own, which tells them from all others. */
static uint8_t byte_of(const struct hand *hand, unsigned which)
{
    return (uint8_t)(hand->first_key + which + 1);
}

static void change_one(struct hand *hand, unsigned which, uint64_t number)
{
    struct rd_key key = rd_key_of_hash(hand->first_key + which);
    struct rd_store *store = hand->beside->store;
    uint8_t bytes[100];
    enum rd_status status;
    if (number % 4 == 0) {
        status = rd_store_delete(store, key, NULL);
        hand->lens[which] = 0;
    } else if (number % 4 == 1) {
        hand->lens[which] = 2 + number % 90;
        memset(bytes, byte_of(hand, which), sizeof bytes);
        status = rd_store_write(store, key, rd_slice(bytes, hand->lens[which]), NULL);
    } else {
        hand->lens[which] = 300000 + number % STREAM_LEN; /* longer than what stays in memory */
        struct source source = {.byte = byte_of(hand, which), .left = hand->lens[which]};
        status = rd_store_write_stream(store, key, read_source, &source, NULL);
        atomic_fetch_add(&hand->beside->streams, 1);
    }
    if (status != RD_OK)
        atomic_fetch_add(&hand->beside->wrong, 1);
}

static void check_one(struct hand *hand, unsigned which)
{
    struct rd_value value;
    enum rd_status status = rd_store_read(hand->beside->store, rd_key_of_hash(hand->first_key + which), &value);
    bool right = status == (hand->lens[which] == 0 ? RD_KEY_NOT_FOUND : RD_OK);
    if (status == RD_OK) {
        right = right && value.payload.len == hand->lens[which] &&
                value.payload.data[value.payload.len / 2] == byte_of(hand, which);
        rd_value_release(&value);
    }
    if (!right)
        atomic_fetch_add(&hand->beside->wrong, 1);
}

static void *change_and_check(void *context)
{
    struct hand *hand = context;
    while (!atomic_load(&hand->beside->over)) {
        hand->random = hand->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        change_one(hand, (unsigned)(hand->random >> 40) % HAND_KEYS, hand->random >> 33);
        check_one(hand, (unsigned)(hand->random >> 50) % HAND_KEYS);
    }
    return NULL;
}

static void check_hands(struct beside *beside, struct hand *hands)
{
    for (unsigned i = 0; i < HANDS; i++)
        for (unsigned which = 0; which < HAND_KEYS; which++)
            check_one(&hands[i], which);
    assert_int_equal(atomic_load(&beside->wrong), 0);
}

/* Values are placed ahead, given up and committed, the file runs ahead of its tail, and the names change again and
 * again. */
static void long_values_are_whole_beside_compactions(void **state)
{
    (void)state;
    random_begin();
    struct place place = place_create();
    struct beside beside = {
        .store = store_open_with(place.path, (struct rd_store_options){.create = true,
                                                                       .durability = RD_DURABILITY_INTERVAL,
                                                                       .durability_interval_ms = 5})};
    beside.store->ahead.placed_len_min = 300000;
    beside.store->ahead.gap_len_min = 4096;
    beside.store->ahead.slice_len = 65536;
    beside.store->extension.groups_min = EXTENDED_FROM;
    struct hand hands[HANDS] = {{.beside = NULL}};
    pthread_t threads[HANDS];
    for (unsigned i = 0; i < HANDS; i++) {
        hands[i] = (struct hand){.beside = &beside, .first_key = (i + 1) * 16, .random = random_next()};
        assert_int_equal(pthread_create(&threads[i], NULL, change_and_check, &hands[i]), 0);
    }
    unsigned done = 0;
    while (done < COMPACTIONS || atomic_load(&beside.streams) < STREAMS_MIN) {
        struct rd_compacted result;
        assert_int_equal(rd_store_compact(beside.store, &result, NULL), RD_OK);
        done += result.tail_before != 0;
    }
    atomic_store(&beside.over, true);
    for (unsigned i = 0; i < HANDS; i++)
        pthread_join(threads[i], NULL);
    print_message("    %u compactions, %u streams\n", done, atomic_load(&beside.streams));
    check_hands(&beside, hands);
    assert_int_equal(rd_store_compact(beside.store, NULL, NULL), RD_OK);
    check_hands(&beside, hands);
    rd_store_close(beside.store);
    beside.store = store_open(place.path);
    check_hands(&beside, hands);
    rd_store_close(beside.store);
    place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_old_file_without_entries_stays_so),
        cmocka_unit_test(an_empty_new_file_is_filled_again),
        cmocka_unit_test(the_old_checkpoint_is_gone_before),
        cmocka_unit_test(a_companion_that_stays_bars_the_exchange),
        cmocka_unit_test(a_companion_that_was_not_written_is_made_up_for),
        cmocka_unit_test(a_file_that_others_cut_keeps_its_companion),
        cmocka_unit_test(only_the_stores_own_name_is_given_to_the_new_file),
        cmocka_unit_test(what_an_earlier_map_could_not_read_is_not_copied),
        cmocka_unit_test(long_values_are_whole_beside_compactions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
