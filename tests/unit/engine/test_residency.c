/* SPDX-License-Identifier: MIT
 *
 * What is known of which pages are in memory: asked once, remembered, doubted, forgotten. On the disk that holds
 * this program, since a temporary folder may be memory itself.
 *
 * What was read may leave again at any time, long before memory is short: of 80 MiB read past any map, some pages
 * were gone within 3 to 5.4 s in 4 rounds of 11, on a virtual machine with 17 GiB of 23 free. Its kernel has
 * DAMON's scheme "pageout" on; that it was this has not been shown. So whatever is to be found has a map of its
 * own meanwhile.
 */
#include <fcntl.h>
#include <libgen.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/residency.h"
#include "tests/unit/engine/fixture.h"

#define FILE_LEN (UINT64_C(80) << 20) /* more than a chunk */
#define PAGE     4096u

#define KEPT_MAX 8

/* A file that nobody has touched through its map, so that the kernel lets go of its pages when it is asked to. */
struct subject {
    char path[4096];
    int fd;
    uint8_t *base;
    struct rd_residency residency;
    struct {
        void *map;
        size_t len;
    } kept[KEPT_MAX]; /* of what was loaded */
    size_t kept_count;
};

/* By touching, as a map that is populated may read on to what is behind. */
static void keep(struct subject *subject, uint64_t first, uint64_t len)
{
    assert_true(subject->kept_count < KEPT_MAX);
    void *map = mmap(NULL, len, PROT_READ, MAP_PRIVATE, subject->fd, (off_t)first);
    assert_ptr_not_equal(map, MAP_FAILED);
    assert_int_equal(madvise(map, len, MADV_RANDOM), 0);
    const volatile uint8_t *bytes = map;
    for (uint64_t at = 0; at < len; at += PAGE)
        (void)bytes[at];
    subject->kept[subject->kept_count].map = map;
    subject->kept[subject->kept_count++].len = len;
}

static void stop_keeping(struct subject *subject)
{
    while (subject->kept_count != 0) {
        subject->kept_count--;
        munmap(subject->kept[subject->kept_count].map, subject->kept[subject->kept_count].len);
    }
}

static void drop(struct subject *subject)
{
    stop_keeping(subject);
    assert_int_equal(fsync(subject->fd), 0);
    assert_int_equal(posix_fadvise(subject->fd, 0, 0, POSIX_FADV_DONTNEED), 0);
}

/* Into the page cache, past the subject's map: whole pages. */
static void load(struct subject *subject, uint64_t first, uint64_t len)
{
    static uint8_t bytes[1 << 20];
    for (uint64_t at = first; at < first + len; at += sizeof bytes) {
        size_t step = first + len - at < sizeof bytes ? (size_t)(first + len - at) : sizeof bytes;
        assert_int_equal(pread(subject->fd, bytes, step, (off_t)at), (ssize_t)step);
    }
    keep(subject, first, len);
}

/* A name for mkstemp or mkdtemp, on the disk that holds this program. */
static void name_on_disk(char *to, size_t len_max)
{
    char folder[2048];
    ssize_t len = readlink("/proc/self/exe", folder, sizeof folder - 1);
    assert_true(len > 0);
    folder[len] = '\0';
    snprintf(to, len_max, "%s/residency-XXXXXX", dirname(folder));
}

static struct subject subject_create(void)
{
    struct subject subject = {.kept_count = 0};
    name_on_disk(subject.path, sizeof subject.path);
    subject.fd = mkstemp(subject.path);
    assert_true(subject.fd >= 0);
    static uint8_t bytes[1 << 20];
    for (uint64_t at = 0; at < FILE_LEN; at += sizeof bytes)
        assert_int_equal(pwrite(subject.fd, bytes, sizeof bytes, (off_t)at), (ssize_t)sizeof bytes);
    assert_int_equal(posix_fadvise(subject.fd, 0, 0, POSIX_FADV_RANDOM),
                     0); /* pread reads no further than asked */
    subject.base = mmap(NULL, FILE_LEN, PROT_READ, MAP_SHARED, subject.fd, 0);
    assert_ptr_not_equal(subject.base, MAP_FAILED);
    rd_residency_expect(subject.base, FILE_LEN, true);
    assert_true(rd_residency_init(&subject.residency, subject.base, FILE_LEN));
    drop(&subject);
    return subject;
}

static void subject_remove(struct subject *subject)
{
    stop_keeping(subject);
    rd_residency_deinit(&subject->residency);
    munmap(subject->base, FILE_LEN);
    close(subject->fd);
    unlink(subject->path);
}

static bool holds(struct subject *subject, uint64_t offset, uint64_t len)
{
    return rd_residency_holds(&subject->residency, offset, len);
}

static void what_is_in_memory_is_told_from_what_is_not(void **state)
{
    (void)state;
    struct subject subject = subject_create();
    assert_false(holds(&subject, 0, 1));
    assert_false(holds(&subject, 0, FILE_LEN));
    load(&subject, 10 * PAGE, PAGE);
    assert_true(holds(&subject, 10 * PAGE, PAGE));
    assert_true(holds(&subject, 10 * PAGE + 5, 1));
    assert_true(holds(&subject, 11 * PAGE - 1, 1));
    assert_false(holds(&subject, 11 * PAGE - 1, 2));
    assert_false(holds(&subject, 10 * PAGE - 1, 2));
    assert_true(holds(&subject, 77, 0));
    load(&subject, 0, FILE_LEN);
    assert_true(holds(&subject, 0, FILE_LEN));
    subject_remove(&subject);
}

/* Across the border of a chunk, and across more pages than one question takes. */
static void long_stretches_are_told_to_the_page(void **state)
{
    (void)state;
    struct subject subject = subject_create();
    uint64_t border = RD_RESIDENCY_CHUNK_LEN;
    load(&subject, border - 600 * PAGE, 1200 * PAGE);
    assert_true(holds(&subject, border - 600 * PAGE, 1200 * PAGE));
    assert_false(holds(&subject, border - 600 * PAGE - 1, 1200 * PAGE));
    assert_false(holds(&subject, border - 600 * PAGE + 1, 1200 * PAGE));
    subject_remove(&subject);
}

static void what_was_there_is_remembered_until_it_is_doubted(void **state)
{
    (void)state;
    struct subject subject = subject_create();
    load(&subject, 0, 100 * PAGE);
    assert_true(holds(&subject, 0, 100 * PAGE));
    drop(&subject);
    assert_true(holds(&subject, 0, 100 * PAGE)); /* and so its reader would wait: that is what doubting is for */

    rd_residency_doubt(1000);
    assert_false(holds(&subject, 0, 100 * PAGE));
    load(&subject, 0, 100 * PAGE);
    assert_true(holds(&subject, 0, 100 * PAGE));
    drop(&subject);
    assert_false(holds(&subject, 0, 100 * PAGE)); /* nothing is remembered meanwhile */

    rd_residency_settle(12000); /* long after, but pages have been found to be gone since */
    assert_false(holds(&subject, 0, PAGE));
    rd_residency_settle(13000);
    load(&subject, 0, PAGE);
    assert_true(holds(&subject, 0, PAGE));
    drop(&subject);
    rd_residency_settle(22999); /* quiet, not for long enough */
    load(&subject, 0, PAGE);
    assert_true(holds(&subject, 0, PAGE));
    rd_residency_settle(23000); /* what had been remembered before is forgotten: */
    assert_false(holds(&subject, 50 * PAGE, PAGE));
    assert_true(holds(&subject, 0, PAGE));
    drop(&subject);
    assert_true(holds(&subject, 0, PAGE)); /* and remembering begins anew */
    subject_remove(&subject);
}

/* What was met was a page of something else: nothing of the store is gone. */
static void doubting_ends_soon_where_nothing_is_gone(void **state)
{
    (void)state;
    struct subject subject = subject_create();
    load(&subject, 0, 100 * PAGE);
    rd_residency_doubt(1000);
    assert_true(holds(&subject, 0, 100 * PAGE));
    rd_residency_settle(2000);
    assert_true(holds(&subject, 0, 100 * PAGE));
    drop(&subject);
    assert_true(holds(&subject, 0, 100 * PAGE)); /* it is remembered again */

    load(&subject, 0, 100 * PAGE);
    rd_residency_doubt(3000);
    drop(&subject);
    assert_false(holds(&subject, 0, 100 * PAGE));
    rd_residency_settle(4000);
    rd_residency_settle(13999);
    load(&subject, 0, 100 * PAGE);
    assert_true(holds(&subject, 0, 100 * PAGE));
    drop(&subject);
    assert_false(holds(&subject, 0, 100 * PAGE)); /* but not where one was */
    rd_residency_settle(14000);
    rd_residency_settle(24000);
    subject_remove(&subject);
}

static void wait_until_held(struct subject *subject, uint64_t offset, uint64_t len)
{
    uint64_t began = now_ms();
    while (!holds(subject, offset, len)) {
        assert_true(now_ms() - began < 60000);
        usleep(1000);
    }
}

static void what_is_wanted_comes(void **state)
{
    (void)state;
    struct subject subject = subject_create();
    rd_residency_want(&subject.residency, 3 * PAGE + 100, 300 * PAGE);
    wait_until_held(&subject, 3 * PAGE + 100, 300 * PAGE);
    subject_remove(&subject);
}

/* A touch alone brings one page. */
static void a_scattered_map_reads_no_more_than_is_touched(void **state)
{
    (void)state;
    struct subject subject = subject_create();
    const volatile uint8_t *bytes = subject.base;
    (void)bytes[500 * PAGE];
    assert_true(holds(&subject, 500 * PAGE, PAGE));
    assert_false(holds(&subject, 499 * PAGE, PAGE));
    assert_false(holds(&subject, 501 * PAGE, PAGE));
    subject_remove(&subject);
}

/* Of the file's maps whose use the kernel counts (not "rr"): how many bytes were used of them. */
static uint64_t counted_bytes(const char *path)
{
    FILE *smaps = fopen("/proc/self/smaps", "r");
    assert_non_null(smaps);
    char line[5000];
    bool ours = false;
    unsigned long long referenced_kb = 0;
    uint64_t bytes = 0;
    while (fgets(line, sizeof line, smaps) != NULL) {
        if (strchr(line, '-') != NULL && strstr(line, "r--s") != NULL)
            ours = strstr(line, path) != NULL;
        if (sscanf(line, "Referenced: %llu kB", &referenced_kb) == 1)
            continue;
        if (strncmp(line, "VmFlags:", 8) == 0 && ours) {
            bytes += strstr(line, " rr ") == NULL ? (uint64_t)referenced_kb << 10 : 0;
            ours = false;
        }
    }
    fclose(smaps);
    return bytes;
}

/* Or the kernel would give up what is read all the time as soon as what is read once. */
static void while_memory_is_short_the_use_of_short_reads_counts(void **state)
{
    (void)state;
    struct subject subject = subject_create();
    load(&subject, 0, 8 << 20);
    assert_true(holds(&subject, 100 * PAGE, 3 * PAGE));
    assert_int_equal(counted_bytes(subject.path), 0);

    rd_residency_doubt(1000);
    assert_true(holds(&subject, 0, 8 << 20)); /* a long one */
    assert_false(holds(&subject, 16 << 20, PAGE));
    assert_int_equal(counted_bytes(subject.path), 0);
    assert_true(holds(&subject, 100 * PAGE, 3 * PAGE));
    uint64_t counted = counted_bytes(subject.path);
    assert_true(counted >= 3 * PAGE && counted <= 64 * PAGE); /* the kernel maps neighbours that are there, too */
    rd_residency_drop(&subject.residency, 0, FILE_LEN);
    assert_int_equal(counted_bytes(subject.path), 0);

    rd_residency_settle(2000);
    rd_residency_settle(20000); /* so that the next test begins without doubt */
    subject_remove(&subject);
}

/* To forget is a hint: in one run of 15 of a slow build one page of 899 had stayed, perhaps since somebody else in
 * the kernel had hold of it. So again, until the pages from the first one on are gone. */
static void forget_to_the_last(struct subject *subject, uint64_t offset, uint64_t len, uint64_t first,
                               uint64_t end)
{
    const volatile uint8_t *bytes = subject->base;
    uint64_t began = now_ms();
    uint64_t left;
    do {
        assert_true(now_ms() - began < 60000);
        rd_residency_forget(&subject->residency, offset, len);
        left = 0;
        for (uint64_t page = first; page < end; page++) {
            if (!holds(subject, page * PAGE, PAGE))
                continue;
            (void)bytes[page * PAGE]; /* or it may have no place in the map any more, where it is looked for */
            left++;
        }
    } while (left != 0);
}

/* Of a page that is in the range in part, somebody else may have the rest. */
static void what_is_forgotten_goes_to_the_page(void **state)
{
    (void)state;
    struct subject subject = subject_create();
    load(&subject, 0, 8 << 20);
    const volatile uint8_t *bytes = subject.base;
    for (uint64_t page = 0; page < 2048; page++)
        (void)bytes[page * PAGE];
    stop_keeping(&subject);                   /* it has a map now, and one alone, or it could not be forgotten */
    assert_true(holds(&subject, 0, 8 << 20)); /* and that is remembered */
    forget_to_the_last(&subject, 100 * PAGE + 1, 900 * PAGE, 101, 1000);
    assert_true(holds(&subject, 100 * PAGE, PAGE));
    assert_true(holds(&subject, 1000 * PAGE, PAGE));
    rd_residency_forget(&subject.residency, 50 * PAGE, PAGE - 1);
    rd_residency_forget(&subject.residency, 50 * PAGE, 0);
    assert_true(holds(&subject, 0, 101 * PAGE));
    subject_remove(&subject);
}

static void a_descent_is_ahead_of_its_reader(void **state)
{
    (void)state;
    struct subject subject = subject_create();
    struct rd_descent descent = {.begun = false};
    uint64_t lowest_asked = UINT64_MAX;
    for (uint64_t end = FILE_LEN - 5; end > 3000; end -= 3000) {
        rd_residency_descend(&subject.residency, &descent, end);
        assert_true(descent.asked <= end - 3000 || descent.asked == 0);
        if (descent.asked < lowest_asked) {
            lowest_asked = descent.asked;
            wait_until_held(&subject, lowest_asked, end - lowest_asked);
        }
    }
    assert_int_equal(lowest_asked, 0);
    subject_remove(&subject);
}

/* ---- long values, looked at for damage ---- */

#define LONG_LEN   (UINT64_C(32) << 20)
#define FAULTS_MAX 512 /* page by page it would be 8,192, less what the kernel reads of what one call asks for */

static struct rd_store *open_plain(const char *path)
{
    return store_open_with(path, (struct rd_store_options){.create = true, .durability = RD_DURABILITY_NONE});
}

static void write_long(const char *path)
{
    uint8_t *bytes = malloc(LONG_LEN);
    assert_non_null(bytes);
    memset(bytes, 'v', LONG_LEN);
    struct rd_store *store = open_plain(path);
    put(store, key_named("long"), bytes, LONG_LEN);
    rd_store_close(store);
    free(bytes);
}

/* In the middle of the value. */
static void change_one_byte(const char *path)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "w", 1, (off_t)(LONG_LEN / 2)), 1);
    close(fd);
}

static long major_faults(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_THREAD, &usage), 0);
    return usage.ru_majflt;
}

static void a_long_value_is_not_verified_page_by_page(void **state)
{
    (void)state;
    char folder[4096];
    name_on_disk(folder, sizeof folder);
    assert_non_null(mkdtemp(folder));
    char *path = rd_path(folder, "store.rdr");
    write_long(path);
    struct rd_store *store = open_plain(path);
    struct rd_value value;
    assert_int_equal(rd_store_find(store, key_named("long"), &value), RD_OK);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    close(fd);
    assert_false(rd_value_is_in_memory(&value, 0, LONG_LEN));
    rd_value_release(&value);
    static struct rd_verification found;
    long before = major_faults();
    assert_int_equal(rd_store_verify(store, 0, UINT64_MAX, &found), RD_OK);
    assert_in_range(major_faults() - before, 0, FAULTS_MAX);
    assert_int_equal(found.entries, 1);
    assert_int_equal(found.problem_count, 0);
    rd_store_close(store);
    change_one_byte(path);
    store = open_plain(path);
    assert_int_equal(rd_store_verify(store, 0, UINT64_MAX, &found), RD_OK);
    assert_int_equal(found.problem_count, 1);
    assert_int_equal(found.problems[0].kind, RD_PROBLEM_PAYLOAD);
    assert_true(found.problems[0].live);
    rd_store_close(store);
    free(path);
    rd_scratch_remove(strdup(folder));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_in_memory_is_told_from_what_is_not),
        cmocka_unit_test(long_stretches_are_told_to_the_page),
        cmocka_unit_test(what_was_there_is_remembered_until_it_is_doubted),
        cmocka_unit_test(doubting_ends_soon_where_nothing_is_gone),
        cmocka_unit_test(what_is_wanted_comes),
        cmocka_unit_test(a_scattered_map_reads_no_more_than_is_touched),
        cmocka_unit_test(while_memory_is_short_the_use_of_short_reads_counts),
        cmocka_unit_test(what_is_forgotten_goes_to_the_page),
        cmocka_unit_test(a_descent_is_ahead_of_its_reader),
        cmocka_unit_test(a_long_value_is_not_verified_page_by_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
