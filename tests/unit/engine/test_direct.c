/* SPDX-License-Identifier: MIT
 *
 * Long values that go past the page cache: that their bytes are the ones that were sent, however they lie in
 * either file; that only whole blocks go that way; and what happens where a file system or a disk refuses.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

#include "engine/direct.h"
#include "engine/record.h"
#include "engine/spool.h"
#include "engine/store.h"
#include "tests/unit/engine/fixture.h"

#define MIB       (UINT64_C(1) << 20)
#define LITTLE    (64 * MIB) /* of memory: a value of LONG_LEN is not to stay there */
#define KEPT      (6 * MIB)  /* of a spool, in memory, by that */
#define LONG_LEN  (40 * MIB + 100)
#define FILES_MAX 1024

/* ---- which way bytes go ---- */

struct watcher {
    struct rd_io io;
    atomic_bool direct[FILES_MAX]; /* by descriptor */
    atomic_uint_fast64_t direct_written;
    atomic_uint_fast64_t direct_read;
    atomic_uint_fast64_t dropped; /* from the page cache, of the spool */
    int spool_fd;
    atomic_uint_fast64_t copied; /* inside the kernel, by the page cache */
    int refusal;                 /* errno of set_direct; 0: it works */
    int disk_errno;              /* of what is written directly; 0: it works */
    int spool_errno;             /* of what is written to the spool by the page cache; 0: it works */
    int open_errno;              /* of a file that is opened for reading directly; 0: it works */
};

static int watched_set_direct(void *self, int fd, bool direct)
{
    struct watcher *watcher = self;
    if (watcher->refusal != 0) {
        errno = watcher->refusal;
        return -1;
    }
    assert_in_range(fd, 0, FILES_MAX - 1);
    watcher->direct[fd] = direct;
    return rd_io_system.set_direct(NULL, fd, direct);
}

static void expect_blocks(const void *memory, size_t len, off_t offset)
{
    assert_int_equal((uintptr_t)memory % RD_DIRECT_BLOCK_LEN, 0);
    assert_int_equal(len % RD_DIRECT_BLOCK_LEN, 0);
    assert_int_equal(offset % RD_DIRECT_BLOCK_LEN, 0);
}

static ssize_t watched_pwritev(void *self, int fd, const struct iovec *parts, int part_count, off_t offset)
{
    struct watcher *watcher = self;
    if (watcher->spool_errno != 0 && fd == watcher->spool_fd && !watcher->direct[fd]) {
        errno = watcher->spool_errno;
        return -1;
    }
    if (!watcher->direct[fd])
        return rd_io_system.pwritev(NULL, fd, parts, part_count, offset);
    assert_int_equal(part_count, 1);
    expect_blocks(parts->iov_base, parts->iov_len, offset);
    if (watcher->disk_errno != 0) {
        errno = watcher->disk_errno;
        return -1;
    }
    watcher->direct_written += parts->iov_len;
    return rd_io_system.pwritev(NULL, fd, parts, part_count, offset);
}

static ssize_t watched_pread(void *self, int fd, void *to, size_t len, off_t offset)
{
    struct watcher *watcher = self;
    if (watcher->direct[fd] && offset % RD_DIRECT_BLOCK_LEN != 0) { /* the rest of a read that met the end */
        errno = EINVAL;
        return -1;
    }
    if (watcher->direct[fd]) {
        expect_blocks(to, len, offset);
        watcher->direct_read += len;
    }
    return rd_io_system.pread(NULL, fd, to, len, offset);
}

static ssize_t watched_copy_range(void *self, int from_fd, off_t from_offset, int to_fd, off_t to_offset,
                                  size_t len)
{
    struct watcher *watcher = self;
    assert_false(watcher->direct[from_fd]);
    assert_false(watcher->direct[to_fd]);
    watcher->copied += len;
    return rd_io_system.copy_range(NULL, from_fd, from_offset, to_fd, to_offset, len);
}

static int watched_open(void *self, const char *path, int flags, mode_t mode)
{
    struct watcher *watcher = self;
    if (watcher->open_errno != 0 && (flags & O_DIRECT) != 0) {
        errno = watcher->open_errno;
        return -1;
    }
    return rd_io_system.open(NULL, path, flags, mode);
}

static int watched_drop_cache(void *self, int fd, off_t offset, off_t len)
{
    struct watcher *watcher = self;
    if (fd == watcher->spool_fd)
        watcher->dropped += (uint64_t)len;
    return rd_io_system.drop_cache(NULL, fd, offset, len);
}

static struct watcher *watcher_create(void)
{
    struct watcher *watcher = calloc(1, sizeof *watcher);
    assert_non_null(watcher);
    watcher->io = rd_io_system;
    watcher->io.self = watcher;
    watcher->io.set_direct = watched_set_direct;
    watcher->io.pwritev = watched_pwritev;
    watcher->io.pread = watched_pread;
    watcher->io.copy_range = watched_copy_range;
    watcher->io.drop_cache = watched_drop_cache;
    watcher->io.open = watched_open;
    return watcher;
}

/* ---- transfers ---- */

static uint8_t byte_at(uint64_t at)
{
    return (uint8_t)(at * 7 + (at >> 12) + (at >> 20));
}

static struct rd_datafile open_file(const struct watcher *watcher, const struct place *place, const char *name)
{
    char *path = rd_path(place->folder, name);
    struct rd_datafile file = {.io = &watcher->io, .fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
    assert_true(file.fd >= 0);
    free(path);
    return file;
}

static void write_pattern(struct rd_datafile *file, uint64_t len)
{
    uint8_t *bytes = malloc(len);
    assert_non_null(bytes);
    for (uint64_t at = 0; at < len; at++)
        bytes[at] = byte_at(at);
    assert_int_equal(rd_datafile_write_slice(file, 0, rd_slice(bytes, len)), 0);
    free(bytes);
}

static void expect_copied(const struct rd_datafile *file, uint64_t from_offset, uint64_t len, uint64_t offset)
{
    uint8_t *bytes = malloc(offset + len);
    assert_non_null(bytes);
    assert_int_equal(rd_datafile_read(file, 0, bytes, offset + len, offset + len), 0);
    for (uint64_t at = 0; at < offset; at++)
        assert_int_equal(bytes[at], 0);
    for (uint64_t at = 0; at < len; at++)
        assert_int_equal(bytes[offset + at], byte_at(from_offset + at));
    free(bytes);
}

static void a_copy_has_the_bytes_wherever_they_lie(void **state)
{
    (void)state;
    static const uint64_t offsets[] = {0, 64, 4032, 4096, 4097, 12345};
    static const uint64_t lens[] = {1, 100, 4096, 8191, MIB, MIB + 1, 3 * MIB + 4095};
    struct watcher *watcher = watcher_create();
    struct place place = place_create();
    struct rd_datafile from = open_file(watcher, &place, "from");
    write_pattern(&from, 4 * MIB);
    uint8_t *buffer = rd_direct_take(LITTLE);
    assert_non_null(buffer);
    for (size_t f = 0; f < sizeof offsets / sizeof *offsets; f++) {
        for (size_t t = 0; t < sizeof offsets / sizeof *offsets; t++) {
            for (size_t l = 0; l < sizeof lens / sizeof *lens; l++) {
                struct rd_datafile to = open_file(watcher, &place, "to");
                uint64_t before = watcher->direct_written;
                assert_int_equal(rd_direct_copy(&to, &from, offsets[f], lens[l], offsets[t], buffer), 0);
                expect_copied(&to, offsets[f], lens[l], offsets[t]);
                uint64_t direct = watcher->direct_written - before;
                assert_true(direct + 2 * RD_DIRECT_BLOCK_LEN > lens[l]); /* but at both ends */
                assert_int_equal(ftruncate(to.fd, 0), 0);
                close(to.fd);
            }
        }
    }
    rd_direct_give(buffer);
    close(from.fd);
    place_remove(&place);
    free(watcher);
}

static void a_file_that_is_too_short_is_an_error(void **state)
{
    (void)state;
    struct watcher *watcher = watcher_create();
    struct place place = place_create();
    struct rd_datafile file = open_file(watcher, &place, "file");
    write_pattern(&file, 5000);
    uint8_t *buffer = rd_direct_take(LITTLE);
    assert_non_null(buffer);
    assert_int_equal(rd_direct_read(&file, 4096, buffer, 8192, 5000 - 4096), 0);
    for (uint64_t at = 4096; at < 5000; at++)
        assert_int_equal(buffer[at - 4096], byte_at(at));
    assert_int_not_equal(rd_direct_read(&file, 4096, buffer, 8192, 5000 - 4096 + 1), 0);
    assert_false(watcher->direct[file.fd]);
    rd_direct_give(buffer);
    close(file.fd);
    place_remove(&place);
    free(watcher);
}

/* ---- memory for them ---- */

static void buffers_are_few_and_come_back(void **state)
{
    (void)state;
    uint8_t *taken[8];
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 4; i++) {
            taken[i] = rd_direct_take(LITTLE);
            assert_non_null(taken[i]);
            assert_int_equal((uintptr_t)taken[i] % RD_DIRECT_LEN, 0);
            memset(taken[i], (int)i, RD_DIRECT_LEN);
        }
        assert_null(rd_direct_take(LITTLE));
        uint8_t *more = rd_direct_take(4 * LITTLE); /* a process with more memory may have more */
        assert_non_null(more);
        rd_direct_give(more);
        for (unsigned i = 0; i < 4; i++)
            for (size_t at = 0; at < RD_DIRECT_LEN; at += 4096)
                assert_int_equal(taken[i][at], i);
        for (unsigned i = 0; i < 4; i++)
            rd_direct_give(taken[round % 2 == 0 ? i : 3 - i]);
    }
    taken[0] = rd_direct_take(0);
    taken[1] = rd_direct_take(0);
    assert_true(taken[0] != NULL && taken[1] != NULL && taken[0] != taken[1]);
    assert_null(rd_direct_take(0));
    rd_direct_give(taken[0]);
    rd_direct_give(taken[1]);
}

/* ---- spools, and what is placed from them ---- */

struct scene {
    struct place place;
    struct watcher *watcher;
    struct rd_store *store;
    struct rd_spool *spool;
};

static struct scene scene_in(uint64_t memory_bytes)
{
    struct scene scene = {.place = place_create(), .watcher = watcher_create()};
    scene.store = store_open_with(
        scene.place.path,
        (struct rd_store_options){.create = true, .memory_bytes = memory_bytes, .io = &scene.watcher->io});
    assert_int_equal(rd_spool_create(scene.store, &scene.spool), RD_OK);
    return scene;
}

static void scene_end(struct scene *scene)
{
    rd_spool_destroy(scene->spool);
    rd_store_close(scene->store);
    place_remove(&scene->place);
    free(scene->watcher);
}

/* In pieces of many lengths. */
static enum rd_status fill(struct rd_spool *spool, uint64_t len)
{
    uint8_t *piece = malloc(3 * MIB);
    assert_non_null(piece);
    enum rd_status status = RD_OK;
    uint64_t step = 1;
    for (uint64_t at = 0; at < len && status == RD_OK; at += step) {
        step = (step * 3 + 7) % (3 * MIB);
        step = step < len - at ? step : len - at;
        for (uint64_t i = 0; i < step; i++)
            piece[i] = byte_at(at + i);
        status = rd_spool_append(spool, rd_slice(piece, step));
    }
    free(piece);
    return status;
}

static enum rd_status commit(struct scene *scene, struct rd_placement *placement)
{
    struct rd_entry entry = {.key = rd_key_of_hash(7)};
    struct rd_op op = {
        .kind = RD_OP_STREAM, .entries = &entry, .entry_count = 1, .spool = scene->spool, .placement = placement};
    enum rd_status status = rd_store_execute(scene->store, &op);
    rd_placement_destroy(placement);
    return status;
}

static void expect_long(struct rd_store *store, uint64_t len)
{
    struct rd_value found;
    assert_int_equal(rd_store_read(store, rd_key_of_hash(7), &found), RD_OK);
    assert_int_equal(found.payload.len, len);
    for (uint64_t at = 0; at < len; at++)
        if (found.payload.data[at] != byte_at(at))
            fail_msg("another byte at %llu", (unsigned long long)at);
    rd_value_release(&found);
}

/* What is not placed goes the writer's way. */
static void store_one(uint64_t len, bool placed)
{
    struct scene scene = scene_in(LITTLE);
    put_text(scene.store, "before", "value");
    assert_int_equal(fill(scene.spool, len), RD_OK);
    assert_true(scene.watcher->direct_written + KEPT + RD_DIRECT_LEN >= len);
    assert_true(scene.watcher->direct_written + KEPT <= len);
    struct rd_placement *placement = placed ? rd_spool_place(scene.spool, RD_DURABILITY_DEFAULT) : NULL;
    assert_true(placed == (placement != NULL));
    if (placed) /* but for the slices of 8 MiB at either end */
        assert_true(scene.watcher->direct_read + 16 * MIB >= len && scene.watcher->copied <= 16 * MIB);
    assert_int_equal(commit(&scene, placement), RD_OK);
    put_text(scene.store, "behind", "value");
    for (int opened = 0; opened < 2; opened++) {
        expect_long(scene.store, len);
        expect_text(scene.store, "before", "value");
        expect_text(scene.store, "behind", "value");
        rd_spool_destroy(scene.spool);
        rd_store_close(scene.store);
        scene.store = store_open(scene.place.path);
        assert_int_equal(rd_spool_create(scene.store, &scene.spool), RD_OK);
    }
    scene_end(&scene);
}

static void what_memory_cannot_hold_goes_past_the_page_cache(void **state)
{
    (void)state;
    store_one(LONG_LEN, true);
    store_one(LONG_LEN, false);
    store_one(40 * MIB, true);
    /* A trailer that would cross a sector's end: the value then begins where no block does. */
    uint64_t torn = 40 * MIB + 500;
    assert_true(rd_trailer_may_tear(torn));
    store_one(torn, true);
}

/* Nothing of it goes past the page cache. Ends the scene. */
static void store_by_the_page_cache(struct scene *scene)
{
    assert_int_equal(fill(scene->spool, LONG_LEN), RD_OK);
    struct rd_placement *placement = rd_spool_place(scene->spool, RD_DURABILITY_DEFAULT);
    assert_non_null(placement);
    assert_int_equal(commit(scene, placement), RD_OK);
    assert_int_equal(scene->watcher->direct_written + scene->watcher->direct_read, 0);
    expect_long(scene->store, LONG_LEN);
    scene_end(scene);
}

static void what_memory_can_hold_does_not(void **state)
{
    (void)state;
    struct scene scene = scene_in(64 * LITTLE);
    store_by_the_page_cache(&scene);
}

/* A value that memory can hold, but not twice: what the disk has of the spool goes once it has been copied. */
static void the_spool_of_what_stays_does_not(void **state)
{
    (void)state;
    struct scene scene = scene_in(4 * LITTLE);
    assert_int_equal(fill(scene.spool, LONG_LEN), RD_OK);
    assert_in_range(scene.watcher->direct_written, LONG_LEN - 2 * KEPT - RD_DIRECT_LEN, LONG_LEN - 2 * KEPT);
    scene.watcher->spool_fd = scene.spool->own.fd;
    struct rd_placement *placement = rd_spool_place(scene.spool, RD_DURABILITY_DEFAULT);
    assert_non_null(placement);
    assert_int_equal(scene.watcher->direct_read, 0);
    assert_true(scene.watcher->dropped + 2 * KEPT + 16 * MIB >= LONG_LEN);
    assert_int_equal(commit(&scene, placement), RD_OK);
    expect_long(scene.store, LONG_LEN);
    scene_end(&scene);
}

/* refusal: of the descriptor; disk_errno: of a transfer. */
static void store_refused(int refusal, int disk_errno)
{
    struct scene scene = scene_in(LITTLE);
    scene.watcher->refusal = refusal;
    scene.watcher->disk_errno = disk_errno;
    store_by_the_page_cache(&scene);
}

static void a_file_system_that_cannot_is_used_as_ever(void **state)
{
    (void)state;
    store_refused(EINVAL, 0);
    store_refused(EOPNOTSUPP, 0);
    store_refused(EPERM, 0);
    store_refused(0, EINVAL);
    store_refused(0, EOPNOTSUPP);
}

/* The spool has failed, and the store goes on without its value. */
static void end_refused(struct scene *scene, enum rd_status status)
{
    assert_null(rd_spool_place(scene->spool, RD_DURABILITY_DEFAULT));
    assert_int_equal(commit(scene, NULL), status);
    expect_status(scene->store, rd_key_of_hash(7), RD_KEY_NOT_FOUND);
    put_text(scene->store, "other", "value");
    scene_end(scene);
}

static void a_disk_that_refuses_is_told_of(void **state)
{
    (void)state;
    static const struct {
        int os_errno;
        enum rd_status status;
    } refusals[] = {{EIO, RD_IO_ERROR}, {ENOSPC, RD_NO_SPACE}};
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct scene scene = scene_in(LITTLE);
        scene.watcher->disk_errno = refusals[i].os_errno;
        assert_int_equal(fill(scene.spool, LONG_LEN), refusals[i].status);
        assert_int_equal(rd_spool_append(scene.spool, rd_slice_of_string("more")), RD_IO_ERROR);
        end_refused(&scene, RD_IO_ERROR);
    }
}

/* Its last bytes are written when it is complete. */
static void a_disk_that_is_full_at_the_end_is_told_of(void **state)
{
    (void)state;
    struct scene scene = scene_in(LITTLE);
    assert_int_equal(fill(scene.spool, LONG_LEN), RD_OK);
    scene.watcher->spool_fd = scene.spool->own.fd;
    scene.watcher->spool_errno = ENOSPC;
    end_refused(&scene, RD_NO_SPACE);
}

/* The region is given up, and the writer appends the value. */
static void a_placing_that_fails_loses_nothing(void **state)
{
    (void)state;
    struct scene scene = scene_in(LITTLE);
    assert_int_equal(fill(scene.spool, LONG_LEN), RD_OK);
    scene.watcher->disk_errno = EIO;
    assert_null(rd_spool_place(scene.spool, RD_DURABILITY_DEFAULT));
    scene.watcher->disk_errno = 0;
    assert_int_equal(commit(&scene, NULL), RD_OK);
    expect_long(scene.store, LONG_LEN);
    scene_end(&scene);
}

/* All buffers are in others' hands. */
static void without_a_buffer_the_page_cache_is_the_way(void **state)
{
    (void)state;
    struct scene scene = scene_in(LITTLE);
    uint8_t *taken[4];
    for (unsigned i = 0; i < 4; i++)
        taken[i] = rd_direct_take(LITTLE);
    assert_int_equal(fill(scene.spool, LONG_LEN), RD_OK);
    assert_int_equal(scene.watcher->direct_written, 0);
    assert_int_equal(commit(&scene, rd_spool_place(scene.spool, RD_DURABILITY_DEFAULT)), RD_OK);
    assert_int_equal(scene.watcher->direct_written, 0);
    expect_long(scene.store, LONG_LEN);
    for (unsigned i = 0; i < 4; i++)
        rd_direct_give(taken[i]);
    scene_end(&scene);
}

/* ---- portions ---- */

#define VALUE_LEN (3 * MIB + 4567)

static struct scene scene_with_value(void)
{
    struct scene scene = scene_in(LITTLE);
    put_text(scene.store, "before", "value"); /* so that no block begins where the value does */
    assert_int_equal(fill(scene.spool, VALUE_LEN), RD_OK);
    assert_int_equal(commit(&scene, NULL), RD_OK);
    return scene;
}

static struct rd_value find_value(const struct scene *scene)
{
    struct rd_value value;
    assert_int_equal(rd_store_find(scene->store, rd_key_of_hash(7), &value), RD_OK);
    return value;
}

static void expect_portion(const struct rd_portion *portion, uint64_t first, uint64_t end)
{
    assert_non_null(portion);
    uint64_t len_least = end - first < RD_DIRECT_LEN / 2 ? end - first : RD_DIRECT_LEN / 2;
    assert_in_range(portion->bytes.len, len_least, RD_DIRECT_LEN);
    assert_true(portion->bytes.len <= end - first);
    for (size_t at = 0; at < portion->bytes.len; at++)
        assert_int_equal(portion->bytes.data[at], byte_at(first + at));
}

static void portions_have_the_values_bytes(void **state)
{
    (void)state;
    struct scene scene = scene_with_value();
    struct rd_value value = find_value(&scene);
    assert_int_not_equal(value.offset % RD_DIRECT_BLOCK_LEN, 0);
    unsigned count = 0;
    uint64_t at = 0;
    for (; at < VALUE_LEN; count++) {
        struct rd_portion *portion = rd_value_read_portion(&value, scene.store, at);
        expect_portion(portion, at, VALUE_LEN);
        at += portion->bytes.len;
        rd_portion_release(portion);
    }
    assert_true(at == VALUE_LEN && count == 4);
    struct rd_value part = value; /* as a range of it is asked for */
    part.payload = rd_slice(value.payload.data + 12345, MIB);
    struct rd_portion *portion = rd_value_read_portion(&part, scene.store, 777);
    expect_portion(portion, 12345 + 777, 12345 + MIB);
    portion->uses++;
    rd_portion_release(portion);
    expect_portion(portion, 12345 + 777, 12345 + MIB);
    rd_portion_release(portion);
    rd_portion_release(NULL);
    assert_null(rd_value_read_portion(&part, scene.store, MIB));
    rd_value_release(&value);
    scene_end(&scene);
}

/* Of the newest value, whose bytes the disk may not have yet. */
static void a_portion_has_what_was_just_written(void **state)
{
    (void)state;
    struct scene scene = scene_in(LITTLE);
    uint8_t *bytes = malloc(MIB);
    assert_non_null(bytes);
    for (unsigned round = 1; round < 20; round++) {
        memset(bytes, (int)round, MIB);
        put(scene.store, rd_key_of_hash(7), bytes, MIB - 100 * round);
        struct rd_value value = find_value(&scene);
        struct rd_portion *portion = rd_value_read_portion(&value, scene.store, 0);
        assert_non_null(portion);
        for (size_t at = 0; at < portion->bytes.len; at++)
            assert_int_equal(portion->bytes.data[at], round);
        rd_portion_release(portion);
        rd_value_release(&value);
    }
    free(bytes);
    scene_end(&scene);
}

static void expect_no_portion(struct scene *scene)
{
    struct rd_value value = find_value(scene);
    assert_null(rd_value_read_portion(&value, scene->store, 0));
    assert_null(rd_value_read_portion(&value, scene->store, 0));
    rd_value_release(&value);
    expect_long(scene->store, VALUE_LEN);
    scene_end(scene);
}

static void there_is_none_where_the_file_system_cannot(void **state)
{
    (void)state;
    struct scene scene = scene_with_value();
    scene.watcher->open_errno = EINVAL; /* it says so when the file is opened */
    expect_no_portion(&scene);
}

static void there_is_one_again_once_there_are_descriptors(void **state)
{
    (void)state;
    struct scene scene = scene_with_value();
    struct rd_value value = find_value(&scene);
    scene.watcher->open_errno = EMFILE;
    assert_null(rd_value_read_portion(&value, scene.store, 0));
    scene.watcher->open_errno = 0;
    struct rd_portion *portion = rd_value_read_portion(&value, scene.store, 0);
    expect_portion(portion, 0, VALUE_LEN);
    rd_portion_release(portion);
    rd_value_release(&value);
    scene_end(&scene);
}

static void there_is_none_of_another_file(void **state)
{
    (void)state;
    struct scene scene = scene_with_value();
    char *elsewhere = rd_path(scene.place.folder, "elsewhere");
    assert_int_equal(rename(scene.place.path, elsewhere), 0);
    free(elsewhere);
    rd_file_write(scene.place.path, rd_slice_of_string("not the store"));
    expect_no_portion(&scene);
}

static ssize_t failing_pread(void *self, int fd, void *to, size_t len, off_t offset)
{
    (void)self;
    (void)fd;
    (void)to;
    (void)len;
    (void)offset;
    errno = EIO;
    return -1;
}

/* The map will tell of it, or not, if the page cache has what the disk has lost. */
static void there_is_none_where_the_disk_fails(void **state)
{
    (void)state;
    struct scene scene = scene_with_value();
    scene.watcher->io.pread = failing_pread;
    expect_no_portion(&scene);
}

/* It goes on from the file that compaction has taken away, once it has begun to. */
static void a_value_outlives_compaction(void **state)
{
    (void)state;
    struct scene scene = scene_with_value();
    struct rd_value begun = find_value(&scene);
    rd_portion_release(rd_value_read_portion(&begun, scene.store, 0));
    put_text(scene.store, "before", "another value");
    assert_int_equal(rd_store_compact(scene.store, NULL, NULL), RD_OK);
    struct rd_portion *portion = rd_value_read_portion(&begun, scene.store, MIB);
    expect_portion(portion, MIB, VALUE_LEN);
    rd_portion_release(portion);
    struct rd_value moved = find_value(&scene);
    assert_int_not_equal(moved.offset, begun.offset);
    portion = rd_value_read_portion(&moved, scene.store, MIB);
    expect_portion(portion, MIB, VALUE_LEN);
    rd_portion_release(portion);
    rd_value_release(&moved);
    rd_value_release(&begun);
    scene_end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_has_the_bytes_wherever_they_lie),
        cmocka_unit_test(a_file_that_is_too_short_is_an_error),
        cmocka_unit_test(buffers_are_few_and_come_back),
        cmocka_unit_test(what_memory_cannot_hold_goes_past_the_page_cache),
        cmocka_unit_test(what_memory_can_hold_does_not),
        cmocka_unit_test(the_spool_of_what_stays_does_not),
        cmocka_unit_test(a_file_system_that_cannot_is_used_as_ever),
        cmocka_unit_test(a_disk_that_refuses_is_told_of),
        cmocka_unit_test(a_disk_that_is_full_at_the_end_is_told_of),
        cmocka_unit_test(a_placing_that_fails_loses_nothing),
        cmocka_unit_test(without_a_buffer_the_page_cache_is_the_way),
        cmocka_unit_test(portions_have_the_values_bytes),
        cmocka_unit_test(a_portion_has_what_was_just_written),
        cmocka_unit_test(there_is_none_where_the_file_system_cannot),
        cmocka_unit_test(there_is_one_again_once_there_are_descriptors),
        cmocka_unit_test(there_is_none_of_another_file),
        cmocka_unit_test(there_is_none_where_the_disk_fails),
        cmocka_unit_test(a_value_outlives_compaction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
