/* SPDX-License-Identifier: MIT
 *
 * bit_flips - flips one bit of a store's file, opens it, and looks at every key: the one whose entry was hit may
 * answer `corrupt`, may be gone, or may have an older value; each other one answers as before. What lies in a
 * payload or a checksum is found by rd_store_verify and, where the value lives, by reading it; what lies in a link
 * or a pad is found too, or the store is read-only and names the range. The file is never changed, but in one
 * case: without a companion a last entry with a damaged link looks as a torn write does, and is cut off and kept
 * aside; so is one that only a tombstone follows, since that alone does not bear a chain out. With either goes the
 * rest of its batch.
 *
 *   --flips N     so many, over all kinds of files
 *   --seed N      RD_TEST_SEED where none is given, else the time
 *   --flip K      with --seed: that one alone
 *   --self-test   reads without checksums, and fails where that is not noticed
 */
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/store.h"
#include "tests/crash/disk.h"
#include "tests/crash/layout.h"
#include "tests/crash/request.h"
#include "tests/crash/values.h"

#define FLIPS_DEFAULT   1000u
#define FLIPS_SELF_TEST 200u
#define FLIPS_PER_FILE  25u
#define SHOWN_MAX       20u
#define SECONDS_MAX     60u
#define STREAM_OF_FLIPS UINT64_C(0x466c697073000000)
#define STORE_NAME      "store.rdr"

/* ---- files -------------------------------------------------------------------------------------------- */

enum file_shape { RANDOM_SIZES, FIXED_SIZES, TOMBSTONES, BATCHES, LONG_VALUES, ZEROS, PLACED, SHAPE_COUNT };

static const char *const shape_names[SHAPE_COUNT] = {"random sizes", "values of 100 bytes", "tombstones",
                                                     "batches",      "long values",         "values of zeros",
                                                     "placed values"};

#define KEYS_MAX 64u

/* A file, how it is laid out, and what its keys answer. */
struct subject {
    enum file_shape shape;
    bool companion;  /* PATH.meta */
    bool checkpoint; /* and PATH.index */
    struct image image;
    const struct image_file *file; /* in image */
    struct layout layout;
    uint64_t hashes[KEYS_MAX];
    struct rd_slice values[KEYS_MAX]; /* borrows from file; data NULL: deleted */
    size_t key_count;
};

static void must(enum rd_status status)
{
    if (status != RD_OK)
        die("a store cannot be filled: %s", rd_status_name(status));
}

/* Hashes that no one bit makes one of the others. */
static struct rd_key some_key(struct random *random)
{
    struct random of_key = random_of(0, random_below(random, KEYS_MAX));
    return rd_key_of_hash(random_next(&of_key));
}

static void put(struct rd_store *store, struct random *random, size_t len, bool zeros)
{
    uint8_t *bytes = allocate(len, 1);
    if (!zeros)
        random_fill(random, bytes, len);
    if (len == 1)
        bytes[0] = 1 + (uint8_t)random_below(random, 255);
    struct rd_entry entry = {.key = some_key(random), .payload = rd_slice(bytes, len)};
    struct rd_op op = {.kind = RD_OP_WRITE, .entries = &entry, .entry_count = 1};
    op.placement = rd_store_place(store, entry.payload, op.durability);
    must(rd_store_execute(store, &op));
    rd_placement_destroy(op.placement);
    free(bytes);
}

static void put_batch(struct rd_store *store, struct random *random)
{
    struct rd_entry entries[8];
    uint8_t bytes[8][90];
    size_t count = 2 + random_below(random, 7);
    for (size_t i = 0; i < count; i++) {
        random_fill(random, bytes[i], sizeof bytes[i]);
        entries[i] = (struct rd_entry){.key = some_key(random),
                                       .payload = rd_slice(bytes[i], 2 + random_below(random, 88))};
    }
    must(rd_store_batch_write(store, entries, count, false, NULL));
}

static void fill(struct rd_store *store, struct random *random, enum file_shape shape)
{
    uint64_t count = 40 + random_below(random, 100);
    for (uint64_t i = 0; i < count; i++) {
        bool deletes = shape == TOMBSTONES ? random_one_in(random, 2) : random_one_in(random, 12);
        if (shape == FIXED_SIZES)
            put(store, random, 100, false);
        else if (deletes)
            must(rd_store_delete(store, some_key(random), NULL));
        else if (shape == BATCHES && random_one_in(random, 3))
            put_batch(store, random);
        else if (shape == LONG_VALUES && random_one_in(random, 20))
            put(store, random, 50000 + random_below(random, 250000), random_one_in(random, 3));
        else if (shape == PLACED && random_one_in(random, 10))
            put(store, random, 8000, false);
        else
            put(store, random, 1 + random_below(random, shape == ZEROS ? 600 : 300), false);
        if (shape == ZEROS)
            put(store, random, 2 + random_below(random, 900), true);
    }
}

static struct image_file read_file(const char *folder, const char *name)
{
    char path[4096];
    struct stat found;
    struct image_file file = {.len = 0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    snprintf(file.name, sizeof file.name, "%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &found) != 0)
        die("cannot read %s", path);
    file.len = (size_t)found.st_size;
    file.data = allocate(file.len, 1);
    if (read(fd, file.data, file.len) != found.st_size)
        die("cannot read %s", path);
    close(fd);
    return file;
}

/* What each key answers: its latest entry. */
static void note_keys(struct subject *subject)
{
    for (size_t i = 0; i < subject->layout.count; i++) {
        const struct entry *entry = &subject->layout.entries[i];
        if (!entry->latest || entry->own)
            continue;
        if (subject->key_count == KEYS_MAX)
            die("more keys than were written");
        subject->hashes[subject->key_count] = entry->hash;
        if (entry->kind == ENTRY_VALUE)
            subject->values[subject->key_count] =
                rd_slice(subject->file->data + entry->payload, entry->trailer - entry->payload);
        subject->key_count++;
    }
}

/* Filled, closed in order, read back. */
static void make_subject(struct subject *subject, const char *folder, uint64_t seed, uint64_t number)
{
    struct random random = random_of(seed, number);
    *subject = (struct subject){.shape = (enum file_shape)(number % SHAPE_COUNT),
                                .companion = number / SHAPE_COUNT % 3 != 0,
                                .checkpoint = number / SHAPE_COUNT % 3 == 2};
    char path[4096];
    struct rd_store *store;
    struct rd_store_options options = {.create = true, .durability = RD_DURABILITY_NONE};
    scratch_clear(folder);
    snprintf(path, sizeof path, "%s/%s", folder, STORE_NAME);
    must(rd_store_open(path, &options, &store, NULL));
    store->ahead.placed_len_min = subject->shape == PLACED ? 8000 : UINT64_MAX;
    store->ahead.gap_len_min = 600;
    store->checkpoint_entries = subject->checkpoint ? 1 : UINT64_MAX;
    fill(store, &random, subject->shape);
    rd_store_close(store);
    subject->image.files = allocate(3, sizeof *subject->image.files);
    subject->image.files[subject->image.count++] = read_file(folder, STORE_NAME);
    if (subject->companion)
        subject->image.files[subject->image.count++] = read_file(folder, STORE_NAME ".meta");
    if (subject->checkpoint)
        subject->image.files[subject->image.count++] = read_file(folder, STORE_NAME ".index");
    subject->file = &subject->image.files[0];
    layout_read(&subject->layout, rd_slice(subject->file->data, subject->file->len));
    note_keys(subject);
}

static void subject_deinit(struct subject *subject)
{
    layout_deinit(&subject->layout);
    image_deinit(&subject->image);
}

/* ---- one flip ----------------------------------------------------------------------------------------- */

struct tally {
    size_t flips;
    size_t found_by_read;   /* the key hit answers `corrupt` */
    size_t found_by_verify; /* a problem is named that covers the bit */
    size_t read_only;       /* the store opens so, and names the range */
    size_t cut;             /* the last entry was cut off and kept aside */
};

struct totals {
    struct tally regions[REGION_COUNT];
    size_t shapes[SHAPE_COUNT];
    size_t flips;
    size_t findings;
    char *folder;
    bool unverified; /* a bug that the rig must find */
    bool silent;
};

struct flip {
    const struct subject *subject;
    uint64_t offset;
    const struct entry *hit;
    enum region region;
    struct rd_store *store;
    bool found_by_read;
    bool found_by_verify;
    bool read_only;
    bool cut;
    uint64_t tail;
    char finding[256];
};

static bool wrong(struct flip *flip, const char *what, uint64_t number)
{
    if (flip->finding[0] == '\0')
        snprintf(flip->finding, sizeof flip->finding, "%s %llu", what, (unsigned long long)number);
    return false;
}

/* The one damage that cannot be told from a write that a crash cut off. It is cut at the entry, or at the batch
 * that the entry is in. */
static bool looks_torn(const struct flip *flip, uint64_t tail)
{
    const struct layout *layout = &flip->subject->layout;
    const struct entry *last = &layout->entries[layout->count - 1];
    bool at_end = flip->hit == last || (flip->hit == last - 1 && last->kind == ENTRY_TOMBSTONE);
    if (!at_end || flip->region != REGION_LINK || flip->subject->companion)
        return false;
    const struct entry *first = flip->hit;
    for (const struct entry *entry = layout->entries; entry < flip->hit; entry++)
        if (entry->batch_count >= (size_t)(flip->hit - entry))
            first = entry;
    return tail == first->begin;
}

/* Whether a key may answer otherwise than before: its entry was hit, or cut off. */
static bool is_concerned(const struct flip *flip, uint64_t hash)
{
    const struct layout *layout = &flip->subject->layout;
    for (size_t i = layout->count; i > 0 && flip->cut && layout->entries[i - 1].begin >= flip->tail; i--)
        if (layout->entries[i - 1].hash == hash)
            return true;
    return hash == flip->hit->hash;
}

static bool read_keys(struct flip *flip)
{
    const struct subject *subject = flip->subject;
    for (size_t i = 0; i < subject->key_count; i++) {
        struct rd_value found = {.pin = NULL};
        bool lives = subject->values[i].data != NULL;
        enum rd_status status = rd_store_read(flip->store, rd_key_of_hash(subject->hashes[i]), &found);
        bool same = status == (lives ? RD_OK : RD_KEY_NOT_FOUND) &&
                    (!lives || rd_slice_equal(found.payload, subject->values[i]));
        rd_value_release(&found);
        if (subject->hashes[i] == flip->hit->hash)
            flip->found_by_read = status == RD_CORRUPT;
        if (!same && !is_concerned(flip, subject->hashes[i]))
            return wrong(flip, "a key that was not hit is not as it was: number", i);
    }
    return true;
}

static void verify(struct flip *flip)
{
    static struct rd_verification step; /* its list is long */
    uint64_t from = 0;
    do {
        if (rd_store_verify(flip->store, from, 20000, &step) != RD_OK) {
            wrong(flip, "verify fails at", from);
            return;
        }
        for (size_t i = 0; i < step.problem_count && i < RD_PROBLEMS_MAX; i++) {
            const struct rd_problem *problem = &step.problems[i];
            bool covers = problem->offset < flip->hit->end && problem->offset + problem->len > flip->hit->begin;
            bool astray =
                flip->region == REGION_LINK; /* what it leads to is named, where it was not noticed itself */
            flip->found_by_verify = flip->found_by_verify || covers || astray;
            if (!covers && !astray)
                wrong(flip, "verify names what was not hit, at", problem->offset);
        }
        from = step.next;
    } while (from != 0);
}

/* "bytes A to B of the file are damaged". */
static void look_at_state(struct flip *flip)
{
    struct rd_store_info info;
    rd_store_info(flip->store, &info);
    flip->read_only = info.state == RD_STORE_READ_ONLY;
    unsigned long long begin;
    unsigned long long end;
    bool named = sscanf(info.reason, "bytes %llu to %llu ", &begin, &end) == 2;
    if (flip->read_only && (!named || begin >= flip->hit->end || end <= flip->hit->begin))
        wrong(flip, "read-only, and no range is named that is of the entry at", flip->hit->begin);
    flip->tail = rd_store_file_size(flip->store);
    flip->cut = looks_torn(flip, flip->tail);
}

static bool is_taken_note_of(struct flip *flip)
{
    const struct entry *hit = flip->hit;
    bool noticed = flip->found_by_verify || flip->read_only || flip->cut;
    switch (flip->region) {
    case REGION_PAYLOAD:
    case REGION_PAYLOAD_DEAD:
    case REGION_TOMBSTONE:
    case REGION_CHECKSUM:
        if (hit->kind == ENTRY_VALUE && hit->latest && !flip->found_by_read)
            return wrong(flip, "reading does not find it at", flip->offset);
        return flip->found_by_verify || wrong(flip, "verify does not find it at", flip->offset);
    case REGION_PAD:
    case REGION_LINK:
        return noticed || wrong(flip, "nobody finds it at", flip->offset);
    default:
        return true; /* no checksum covers a key's hash, nor a marker's count; and nobody reads a hole */
    }
}

static bool file_is(const char *folder, const char *name, struct rd_slice bytes)
{
    struct image_file now = read_file(folder, name);
    bool same = rd_slice_equal(rd_slice(now.data, now.len), bytes);
    free(now.data);
    return same;
}

/* The file is as it was, flipped bit and all; what was cut is aside. */
static bool nothing_is_changed(struct flip *flip, const char *folder)
{
    const struct image_file *file = flip->subject->file;
    struct rd_slice kept = rd_slice(file->data, flip->cut ? flip->tail : file->len);
    char aside[64];
    snprintf(aside, sizeof aside, "%s.torn-%zu", STORE_NAME, kept.len);
    bool same = file_is(folder, STORE_NAME, kept) &&
                (!flip->cut || file_is(folder, aside, rd_slice(file->data + kept.len, file->len - kept.len)));
    return same || wrong(flip, "the file was changed, which had bytes:", file->len);
}

static bool run_flip(struct flip *flip, const char *folder, bool unverified)
{
    struct rd_store_options options = {.verify_reads_off = unverified};
    char path[4096];
    struct rd_error error;
    snprintf(path, sizeof path, "%s/%s", folder, STORE_NAME);
    scratch_clear(folder);
    disk_write_out(&flip->subject->image, folder);
    if (rd_store_open(path, &options, &flip->store, &error) != RD_OK) {
        snprintf(flip->finding, sizeof flip->finding, "does not open: %.200s", error.message);
        return false;
    }
    look_at_state(flip);
    bool fine = read_keys(flip);
    verify(flip);
    fine = fine && is_taken_note_of(flip);
    rd_store_close(flip->store);
    return nothing_is_changed(flip, folder) && fine && flip->finding[0] == '\0';
}

/* ---- all of them -------------------------------------------------------------------------------------- */

/* Anywhere in the file, or one time in two in a region that is chosen first: links are few among long values. */
static uint64_t choose_offset(const struct subject *subject, struct random *random)
{
    enum region wanted = (enum region)random_below(random, REGION_COUNT);
    uint64_t offset = random_below(random, subject->file->len);
    if (random_one_in(random, 2))
        return offset;
    for (int tried = 0; tried < 400; tried++) {
        const struct entry *entry = &subject->layout.entries[random_below(random, subject->layout.count)];
        uint64_t at = entry->begin + random_below(random, entry->end - entry->begin);
        if (layout_region_at(&subject->layout, at) == wanted)
            return at;
    }
    return offset;
}

static void count(struct totals *totals, const struct flip *flip)
{
    struct tally *tally = &totals->regions[flip->region];
    totals->flips++;
    totals->shapes[flip->subject->shape]++;
    tally->flips++;
    tally->found_by_read += flip->found_by_read;
    tally->found_by_verify += flip->found_by_verify;
    tally->read_only += flip->read_only;
    tally->cut += flip->cut;
}

static void flip_one(struct totals *totals, const struct subject *subject, uint64_t seed, uint64_t number)
{
    struct random random = random_of(seed ^ STREAM_OF_FLIPS, number);
    struct flip flip = {.subject = subject, .offset = choose_offset(subject, &random)};
    uint8_t bit = (uint8_t)(1u << random_below(&random, 8));
    flip.hit = layout_entry_at(&subject->layout, flip.offset);
    flip.region = layout_region_at(&subject->layout, flip.offset);
    die_names("bit_flips --seed %llu --flip %llu: ", (unsigned long long)seed, (unsigned long long)number);
    die_unless_within(SECONDS_MAX);
    subject->file->data[flip.offset] ^= bit;
    bool fine = run_flip(&flip, totals->folder, totals->unverified);
    subject->file->data[flip.offset] ^= bit;
    count(totals, &flip);
    totals->findings += !fine;
    if (!fine && totals->findings <= SHOWN_MAX && !totals->silent)
        printf("FINDING %s\n  bit %02x of byte %llu, a %s of entry %llu..%llu; %s, with%s%s; again with: "
               "bit_flips --seed %llu --flip %llu\n",
               flip.finding, bit, (unsigned long long)flip.offset, region_names[flip.region],
               (unsigned long long)flip.hit->begin, (unsigned long long)flip.hit->end, shape_names[subject->shape],
               !subject->companion   ? "out companion"
               : subject->checkpoint ? " companion and checkpoint"
                                     : " companion",
               flip.read_only ? "; read-only" : "", (unsigned long long)seed, (unsigned long long)number);
}

static void run(struct totals *totals, uint64_t seed, uint64_t begin, uint64_t end)
{
    for (uint64_t number = begin / FLIPS_PER_FILE; begin < end; number++) {
        struct subject subject;
        die_names("bit_flips --seed %llu, file %llu: ", (unsigned long long)seed, (unsigned long long)number);
        make_subject(&subject, totals->folder, seed, number);
        for (; begin < end && begin / FLIPS_PER_FILE == number; begin++)
            flip_one(totals, &subject, seed, begin);
        subject_deinit(&subject);
    }
}

static void print(const struct totals *totals, uint64_t seed, double seconds)
{
    printf("%-16s %8s %12s %10s %10s %8s\n", "region", "flips", "by reading", "by verify", "read-only", "cut");
    for (int i = 0; i < REGION_COUNT; i++)
        printf("%-16s %8zu %12zu %10zu %10zu %8zu\n", region_names[i], totals->regions[i].flips,
               totals->regions[i].found_by_read, totals->regions[i].found_by_verify, totals->regions[i].read_only,
               totals->regions[i].cut);
    for (int i = 0; i < SHAPE_COUNT; i++)
        printf("%s%s %zu", i == 0 ? "" : ", ", shape_names[i], totals->shapes[i]);
    printf("\nbit_flips: seed %llu: %zu flips, %zu findings; %.1f s\n", (unsigned long long)seed, totals->flips,
           totals->findings, seconds);
}

/* A rig that finds nothing may be one that cannot. */
static int self_test(uint64_t seed)
{
    struct totals totals = {.folder = scratch_create(), .unverified = true, .silent = true};
    run(&totals, seed, 0, FLIPS_SELF_TEST);
    printf("bit_flips --self-test: %zu flips read without checksums, noticed %zu times\n", totals.flips,
           totals.findings);
    scratch_remove(totals.folder);
    return totals.findings != 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    enum { SEED = 1, FLIPS, FLIP, SELF_TEST };
    static const struct option known[] = {{"seed", required_argument, NULL, SEED},
                                          {"flips", required_argument, NULL, FLIPS},
                                          {"flip", required_argument, NULL, FLIP},
                                          {"self-test", no_argument, NULL, SELF_TEST},
                                          {NULL, 0, NULL, 0}};
    uint64_t seed = random_seed();
    uint64_t flips = FLIPS_DEFAULT;
    uint64_t only = UINT64_MAX;
    bool tests_itself = false;
    for (int found; (found = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (found == SEED)
            seed = strtoull(optarg, NULL, 10);
        else if (found == FLIPS)
            flips = strtoull(optarg, NULL, 10);
        else if (found == FLIP)
            only = strtoull(optarg, NULL, 10);
        else if (found == SELF_TEST)
            tests_itself = true;
        else
            return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("RD_TEST_SEED=%llu\n", (unsigned long long)seed);
    if (tests_itself)
        return self_test(seed);
    struct totals totals = {.folder = scratch_create()};
    double began = seconds_now();
    run(&totals, seed, only == UINT64_MAX ? 0 : only, only == UINT64_MAX ? flips : only + 1);
    print(&totals, seed, seconds_now() - began);
    scratch_remove(totals.folder);
    return totals.findings == 0 ? 0 : 1;
}
