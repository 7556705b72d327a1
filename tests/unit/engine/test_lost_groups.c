/* SPDX-License-Identifier: MIT
 *
 * Groups that were not synced in a file that runs ahead of its tail: what a power cut may leave of them comes to
 * what it comes to without the ones above, and what a failed sync leaves in memory alone is not taken for written.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/store.h"
#include "tests/unit/engine/faults.h"
#include "tests/unit/engine/groups.h"

/* ---- a power cut ---- */

#define PAGE_LEN  4096u
#define FILE_LEN  65536u
#define SAFE      3u /* short values that were synced before the group */
#define LOSSES    150u
#define KEYS      (SAFE + 1 + GROUP)
#define PAGES_MAX 64u

/* A store's file and companion while a group that was not synced lies in it, with ones up to FILE_LEN. */
struct left {
    struct rd_buffer file;
    struct rd_buffer meta;
    uint64_t synced; /* below it nothing can be lost */
    uint64_t tail;
};

/* What opening such a file comes to. */
struct outcome {
    enum rd_status opened;
    enum rd_store_state state;
    uint64_t tail;
    enum rd_status reads[KEYS];
};

/* safe: so many short values are synced before. The group's values are so short that each page holds a trailer, or
 * so long that most hold none. */
static struct left leave_group(uint64_t safe, bool long_values)
{
    struct place place = place_create();
    struct faults *faults = faults_create();
    struct rd_store *store = open_faulty(faults, place.path, RD_DURABILITY_NONE, 0);
    store->writer.record_every_len = 1;
    for (uint64_t number = 0; number < safe; number++)
        put_number(store, number);
    struct rd_op sync = {.kind = RD_OP_SYNC};
    assert_int_equal(rd_store_execute(store, &sync), RD_OK);
    struct left left = {.synced = rd_store_file_size(store)};
    put_group_of(store, SAFE + 1, long_values ? 2 : GROUP, long_values ? 20000 : 4000);
    left.tail = rd_store_file_size(store);
    left.file = rd_file_read(place.path);
    assert_int_equal(left.file.len, left.tail);
    static uint8_t ones[FILE_LEN];
    memset(ones, 0xff, sizeof ones);
    rd_buffer_append(&left.file, ones, FILE_LEN - (size_t)left.tail);
    char *meta_path = rd_path(place.folder, "store.rdr.meta");
    left.meta = rd_file_read(meta_path);
    free(meta_path);
    assert_true(left.tail < FILE_LEN);
    rd_store_close(store);
    faults_destroy(faults);
    place_remove(&place);
    return left;
}

static void left_deinit(struct left *left)
{
    rd_buffer_deinit(&left->file);
    rd_buffer_deinit(&left->meta);
}

/* lost: bit i is set where page i never got to the disk, but for what was synced. */
static struct outcome outcome_of(const struct left *left, uint64_t lost, bool with_ones, bool with_companion)
{
    struct place place = place_create();
    struct rd_buffer file;
    rd_buffer_init(&file, 0);
    rd_buffer_append(&file, left->file.data, with_ones ? left->file.len : (size_t)left->tail);
    for (uint64_t at = left->synced; at < file.len; at++)
        if ((lost >> at / PAGE_LEN & 1) != 0)
            file.data[at] = 0;
    rd_file_write(place.path, rd_buffer_slice(&file));
    rd_buffer_deinit(&file);
    char *meta_path = rd_path(place.folder, "store.rdr.meta");
    if (with_companion)
        rd_file_write(meta_path, rd_buffer_slice(&left->meta));
    free(meta_path);
    struct outcome outcome = {.opened = RD_OK};
    struct rd_store *store = NULL;
    struct rd_io io = rd_io_system;
    io.fdatasync = no_sync;
    io.fsync = no_sync;
    outcome.opened = rd_store_open(place.path, &(struct rd_store_options){.io = &io}, &store, NULL);
    for (uint64_t number = 0; outcome.opened == RD_OK && number < KEYS; number++) {
        struct rd_value value;
        outcome.reads[number] = rd_store_read(store, key_number(number), &value);
        if (outcome.reads[number] == RD_OK)
            rd_value_release(&value);
    }
    if (outcome.opened == RD_OK) {
        struct rd_store_info info;
        rd_store_info(store, &info);
        outcome.state = info.state;
        outcome.tail = info.tail;
    }
    rd_store_close(store);
    place_remove(&place);
    return outcome;
}

/* With ones above it a loss comes to what it comes to without them; but for a last value that would be answered as
 * damaged, where nothing tells that it was not synced: it may be cut, and is kept aside. */
static bool is_alike(const struct outcome *with, const struct outcome *without)
{
    bool cut = false;
    for (uint64_t number = 0; number < KEYS; number++) {
        bool here = without->reads[number] == RD_CORRUPT && with->reads[number] == RD_KEY_NOT_FOUND;
        if (with->reads[number] != without->reads[number] && !here)
            return false;
        cut = cut || here;
    }
    return with->opened == without->opened && with->state == without->state &&
           (cut ? with->tail < without->tail : with->tail == without->tail);
}

/* Beside its companion a store loses nothing that was synced, serves nothing else, and goes on. */
static void check_recovered(const struct left *left, const struct outcome *outcome, uint64_t safe)
{
    assert_int_equal(outcome->opened, RD_OK);
    assert_int_equal(outcome->state, RD_STORE_OPEN);
    assert_true(outcome->tail >= left->synced);
    for (uint64_t number = 0; number < KEYS; number++)
        assert_true(outcome->reads[number] == RD_OK ||
                    (number >= safe && outcome->reads[number] == RD_KEY_NOT_FOUND));
}

static void check_loss(const struct left *left, uint64_t safe, uint64_t lost)
{
    for (int with_companion = 0; with_companion < 2; with_companion++) {
        struct outcome with = outcome_of(left, lost, true, with_companion != 0);
        struct outcome without = outcome_of(left, lost, false, with_companion != 0);
        if (!is_alike(&with, &without))
            fail_msg("pages %llx lost, companion %d: opens %d, state %d, tail %llu; without ones %d, %d, %llu",
                     (unsigned long long)lost, with_companion, (int)with.opened, (int)with.state,
                     (unsigned long long)with.tail, (int)without.opened, (int)without.state,
                     (unsigned long long)without.tail);
        if (with_companion != 0)
            check_recovered(left, &with, safe);
    }
}

static void check_losses(uint64_t safe, bool long_values)
{
    struct left left = leave_group(safe, long_values);
    uint64_t all = (UINT64_C(1) << (left.file.len + PAGE_LEN - 1) / PAGE_LEN) - 1;
    uint64_t of_group = (UINT64_C(1) << (left.tail + PAGE_LEN - 1) / PAGE_LEN) - 1;
    check_loss(&left, safe, 0);
    check_loss(&left, safe, of_group);
    check_loss(&left, safe, all);
    for (uint64_t page = 0; page < FILE_LEN / PAGE_LEN; page++) {
        check_loss(&left, safe, UINT64_C(1) << page);
        check_loss(&left, safe, all & ~(UINT64_C(1) << page));
        check_loss(&left, safe, of_group & ~(UINT64_C(1) << page));
    }
    for (unsigned i = 0; i < LOSSES; i++)
        check_loss(&left, safe, random_next() & (i % 2 == 0 ? all : of_group));
    left_deinit(&left);
}

static void a_lost_group_is_lost_alike_with_ones_above_it(void **state)
{
    (void)state;
    random_begin();
    check_losses(SAFE, false);
    check_losses(SAFE, true);
}

/* Then there is no entry in the file at all, and where its companion is missing nothing tells that it is a store.
 */
static void a_first_group_that_is_lost_leaves_an_empty_store(void **state)
{
    (void)state;
    random_begin();
    check_losses(0, false);
    check_losses(0, true);
}

/* ---- a failed sync ---- */

/* A file as the kernel has it in memory, and what stays of that where it is told to forget. */
struct memory {
    const char *path;
    uint64_t durable;
    unsigned asked;
    bool stayed; /* something at the durable tail, or above it */
};

static bool any_in_memory(const char *path, uint64_t from)
{
    size_t len = (size_t)size_of(path);
    unsigned char pages[PAGES_MAX] = {0};
    assert_true(len > from && len <= sizeof pages * PAGE_LEN);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *map = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(map, MAP_FAILED);
    assert_int_equal(mincore(map, len, pages), 0);
    munmap(map, len);
    close(fd);
    bool any = false;
    for (uint64_t page = from / PAGE_LEN; page * PAGE_LEN < len; page++)
        any = any || (pages[page] & 1) != 0;
    return any;
}

/* Again for a while, since the kernel leaves what somebody else looks at in that moment. */
static int watched_drop(void *self, int fd, off_t offset, off_t len)
{
    struct memory *memory = self;
    uint64_t began = now_ms();
    memory->asked++;
    do {
        assert_int_equal(rd_io_system.drop_cache(NULL, fd, offset, len), 0);
        memory->stayed = any_in_memory(memory->path, memory->durable);
    } while (memory->stayed && now_ms() - began < 5000);
    return 0;
}

/* On the disk that holds this program, since a temporary folder may be memory itself. */
static struct place place_on_disk(void)
{
    char folder[4096];
    ssize_t len = readlink("/proc/self/exe", folder, sizeof folder - 32);
    assert_true(len > 0);
    folder[len] = '\0';
    strcpy(strrchr(folder, '/'), "/groups-XXXXXX");
    assert_non_null(mkdtemp(folder));
    struct place place = {.folder = strdup(folder)};
    place.path = rd_path(place.folder, "store.rdr");
    return place;
}

static void write_synced(const char *path, struct rd_slice bytes)
{
    rd_file_write(path, bytes);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(fsync(fd), 0);
    close(fd);
}

/* A group may lie in one piece of memory with what was synced before it. Where its sync fails, the kernel takes it
 * for written; it is gone with the next power cut. */
static void what_was_not_synced_is_read_anew(void **state)
{
    (void)state;
    struct left left = leave_group(SAFE, false);
    struct place place = place_on_disk();
    char *meta_path = rd_path(place.folder, "store.rdr.meta");
    write_synced(place.path, rd_buffer_slice(&left.file));
    write_synced(meta_path, rd_buffer_slice(&left.meta));
    struct memory memory = {.path = place.path, .durable = left.synced};
    struct rd_io io = rd_io_system;
    io.self = &memory;
    io.drop_cache = watched_drop;
    struct rd_store *store = store_open_with(place.path, (struct rd_store_options){.io = &io});
    assert_int_equal(memory.asked, 1);
    assert_false(memory.stayed);
    expect_group(store, SAFE + 1);
    rd_store_close(store);
    free(meta_path);
    left_deinit(&left);
    place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lost_group_is_lost_alike_with_ones_above_it),
        cmocka_unit_test(a_first_group_that_is_lost_leaves_an_empty_store),
        cmocka_unit_test(what_was_not_synced_is_read_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
