/* SPDX-License-Identifier: MIT */
#include "tests/crash/disk.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE_LEN   4096u
#define SECTOR_LEN 512u
#define SECTORS    (PAGE_LEN / SECTOR_LEN) /* of a page */

const char *const crash_names[CRASH_COUNT] = {"killed", "power cut, ordered", "power cut, any"};
const char *const fate_names[FATE_COUNT] = {"lost",       "landed", "mixed",   "one lost",
                                            "one landed", "torn",   "in order"};

/* ---- an inode's bytes --------------------------------------------------------------------------------- */

struct bytes {
    uint8_t *data; /* owned; zeros from len on */
    size_t len;
    size_t capacity;
};

static void bytes_reserve(struct bytes *bytes, size_t capacity)
{
    if (capacity <= bytes->capacity)
        return;
    size_t more = capacity + capacity / 2 + PAGE_LEN;
    bytes->data = realloc(bytes->data, more);
    if (bytes->data == NULL)
        die("no memory for a file of %zu bytes", more);
    memset(bytes->data + bytes->capacity, 0, more - bytes->capacity);
    bytes->capacity = more;
}

static void bytes_resize(struct bytes *bytes, size_t len)
{
    bytes_reserve(bytes, len);
    if (len < bytes->len)
        memset(bytes->data + len, 0, bytes->len - len);
    bytes->len = len;
}

static void bytes_write(struct bytes *bytes, size_t offset, const uint8_t *from, size_t len)
{
    bytes_reserve(bytes, offset + len);
    if (len != 0)
        memcpy(bytes->data + offset, from, len);
    if (bytes->len < offset + len)
        bytes->len = offset + len;
}

static void bytes_begin(struct bytes *bytes, const struct log *log, uint32_t inode)
{
    *bytes = (struct bytes){.len = 0};
    if (inode < log->base->count)
        bytes_write(bytes, 0, log->base->files[inode].data, log->base->files[inode].len);
    bytes_reserve(bytes, 1);
}

static void bytes_apply(struct bytes *bytes, const struct log *log, const struct event *event)
{
    if (event->kind == EVENT_WRITE)
        bytes_write(bytes, event->offset, log->data.data + event->data_at, event->len);
    else if (event->kind == EVENT_RESIZE)
        bytes_resize(bytes, event->offset);
}

static bool changes(const struct event *event, uint32_t inode)
{
    return event->inode == inode && (event->kind == EVENT_WRITE || event->kind == EVENT_RESIZE);
}

/* Its bytes after the first `count` events, every one of which was done. */
static void bytes_at(struct bytes *bytes, const struct log *log, uint32_t inode, size_t count)
{
    bytes_begin(bytes, log, inode);
    for (size_t i = 0; i < count; i++)
        if (changes(&log->events[i], inode))
            bytes_apply(bytes, log, &log->events[i]);
}

/* ---- what a power cut leaves -------------------------------------------------------------------------- */

struct cut {
    const struct log *log;
    size_t point;
    bool ordered;
    struct random *random;
    size_t metadata_end; /* ordered: names and lengths are as after so many events */
    enum fate fate;
    bool fate_known;
};

static uint64_t between(struct random *random, uint64_t low, uint64_t high)
{
    return low + random_below(random, high - low + 1);
}

/* One of the two ends as often as anything between. */
static uint64_t moment(struct random *random, uint64_t low, uint64_t high)
{
    switch (random_below(random, 4)) {
    case 0:
        return low;
    case 1:
        return high;
    default:
        return between(random, low, high);
    }
}

static bool changes_a_name(const struct event *event)
{
    return event->kind == EVENT_CREATE || event->kind == EVENT_RENAME || event->kind == EVENT_UNLINK;
}

/* Ordered: how many events' names and lengths are on the disk for certain. A sync takes along all that was changed
 * of its file before; what was changed of others before that comes with it, since a journal has one order. */
static size_t metadata_floor(const struct log *log, size_t point)
{
    size_t floor = 0;
    for (size_t i = 0; i < point; i++) {
        const struct event *sync = &log->events[i];
        if (sync->kind != EVENT_SYNC && sync->kind != EVENT_SYNC_FOLDER)
            continue;
        for (size_t k = i; k > floor; k--) {
            const struct event *event = &log->events[k - 1];
            bool taken =
                sync->kind == EVENT_SYNC_FOLDER
                    ? changes_a_name(event)
                    : event->inode == sync->inode && (changes_a_name(event) || changes(event, sync->inode));
            if (taken)
                floor = k;
        }
    }
    return floor;
}

static size_t synced_at(const struct log *log, size_t point, uint32_t inode)
{
    for (size_t i = point; i > 0; i--)
        if (log->events[i - 1].kind == EVENT_SYNC && log->events[i - 1].inode == inode)
            return i;
    return 0;
}

/* For each sector: the number of events whose writes to it are on the disk. */
struct ages {
    size_t *of_sector; /* owned */
    size_t sector_count;
    size_t low; /* synced */
    size_t high;
};

static void set_page(struct ages *ages, size_t page, size_t age)
{
    for (size_t i = page * SECTORS; i < (page + 1) * SECTORS && i < ages->sector_count; i++)
        ages->of_sector[i] = age;
}

static void tear_page(struct ages *ages, size_t page, struct random *random)
{
    size_t one = moment(random, ages->low, ages->high);
    size_t other = moment(random, ages->low, ages->high);
    uint64_t in_front = random_below(random, SECTORS + 1);
    bool scattered = random_one_in(random, 2);
    for (size_t i = 0; i < SECTORS && page * SECTORS + i < ages->sector_count; i++) {
        bool first = scattered ? random_one_in(random, 2) : i < in_front;
        ages->of_sector[page * SECTORS + i] = first ? one : other;
    }
}

/* A page that one of the writes that were not synced went to. */
static size_t some_touched_page(const struct cut *cut, uint32_t inode, size_t low)
{
    size_t seen = 0;
    size_t page = 0;
    for (size_t i = low; i < cut->point; i++) {
        const struct event *event = &cut->log->events[i];
        if (event->kind != EVENT_WRITE || event->inode != inode || event->len == 0)
            continue;
        seen++;
        if (random_one_in(cut->random, seen))
            page = between(cut->random, event->offset / PAGE_LEN, (event->offset + event->len - 1) / PAGE_LEN);
    }
    return page;
}

static void choose_ages(struct cut *cut, uint32_t inode, enum fate fate, struct ages *ages)
{
    struct random *random = cut->random;
    size_t page = some_touched_page(cut, inode, ages->low);
    size_t all = fate == FATE_LOST || fate == FATE_ONE_LANDED ? ages->low : ages->high;
    if (fate == FATE_IN_ORDER)
        all = between(random, ages->low, ages->high);
    for (size_t i = 0; i < ages->sector_count; i++)
        ages->of_sector[i] = all;
    if (fate == FATE_ONE_LOST)
        set_page(ages, page, ages->low);
    if (fate == FATE_ONE_LANDED)
        set_page(ages, page, ages->high);
    if (fate == FATE_TORN)
        tear_page(ages, page, random);
    for (size_t i = 0; fate == FATE_MIXED && i * SECTORS < ages->sector_count; i++) {
        if (random_one_in(random, 8))
            tear_page(ages, i, random);
        else
            set_page(ages, i, moment(random, ages->low, ages->high));
    }
}

/* How long the file is: as after its changes up to metadata_end, or a growth further, stopped at some page. */
static size_t choose_len(const struct cut *cut, uint32_t inode, size_t len, size_t low, size_t metadata_end)
{
    for (size_t i = low; i < cut->point; i++) {
        const struct event *event = &cut->log->events[i];
        if (!changes(event, inode))
            continue;
        size_t next = event->kind == EVENT_RESIZE ? event->offset : event->offset + event->len;
        if (event->kind == EVENT_WRITE && next < len)
            next = len;
        if (i >= metadata_end) {
            size_t pages = next / PAGE_LEN - len / PAGE_LEN;
            bool partly = next > len && pages > 0 && random_one_in(cut->random, 3);
            return partly ? (len / PAGE_LEN + between(cut->random, 1, pages)) * PAGE_LEN : len;
        }
        len = next;
    }
    return len;
}

/* The part of [begin, end) that lies in this sector. */
static bool overlap(size_t sector, size_t begin, size_t end, size_t *ret_begin, size_t *ret_end)
{
    *ret_begin = sector * SECTOR_LEN > begin ? sector * SECTOR_LEN : begin;
    *ret_end = (sector + 1) * SECTOR_LEN < end ? (sector + 1) * SECTOR_LEN : end;
    return *ret_begin < *ret_end;
}

static void apply_write(struct bytes *bytes, const struct ages *ages, const struct log *log, size_t index)
{
    const struct event *event = &log->events[index];
    size_t end = event->offset + event->len;
    size_t from;
    size_t to;
    for (size_t sector = event->offset / SECTOR_LEN; sector * SECTOR_LEN < end; sector++)
        if (index < ages->of_sector[sector] && overlap(sector, event->offset, end, &from, &to))
            memcpy(bytes->data + from, log->data.data + event->data_at + (from - event->offset), to - from);
}

/* A cut that is on the disk leaves zeros, whatever the age of the sector behind it. One that is not, with a
 * journal, leaves whole pages behind it as they were: what was written there later went elsewhere. */
static void apply_cut(struct bytes *bytes, struct ages *ages, const struct cut *cut, size_t index, bool landed)
{
    size_t len = cut->log->events[index].offset;
    size_t whole_page = (len + PAGE_LEN - 1) / PAGE_LEN * SECTORS;
    for (size_t sector = len / SECTOR_LEN; sector < ages->sector_count; sector++) {
        if (cut->ordered && !landed && sector >= whole_page && ages->of_sector[sector] > index)
            ages->of_sector[sector] = index;
        size_t from;
        size_t to;
        if ((landed || index < ages->of_sector[sector]) &&
            overlap(sector, len, ages->sector_count * SECTOR_LEN, &from, &to))
            memset(bytes->data + from, 0, to - from);
    }
}

static size_t longest(const struct cut *cut, uint32_t inode, size_t len, size_t low)
{
    for (size_t i = low; i < cut->point; i++) {
        const struct event *event = &cut->log->events[i];
        if (changes(event, inode) && event->offset + event->len > len)
            len = event->offset + event->len;
    }
    return len;
}

static void cut_power(struct cut *cut, uint32_t inode, struct bytes *bytes)
{
    struct ages ages = {.low = synced_at(cut->log, cut->point, inode), .high = cut->point};
    bytes_at(bytes, cut->log, inode, ages.low);
    size_t len_max = longest(cut, inode, bytes->len, ages.low);
    ages.sector_count = (len_max + SECTOR_LEN - 1) / SECTOR_LEN;
    ages.of_sector = allocate(ages.sector_count, sizeof *ages.of_sector);
    enum fate fate = (enum fate)random_below(cut->random, FATE_COUNT);
    choose_ages(cut, inode, fate, &ages);
    size_t metadata_end = cut->ordered ? cut->metadata_end : moment(cut->random, ages.low, ages.high);
    size_t len = choose_len(cut, inode, bytes->len, ages.low, metadata_end);
    bytes_reserve(bytes, ages.sector_count * SECTOR_LEN);
    bool any = false;
    for (size_t i = ages.low; i < cut->point; i++) {
        const struct event *event = &cut->log->events[i];
        if (!changes(event, inode))
            continue;
        any = true;
        if (event->kind == EVENT_WRITE)
            apply_write(bytes, &ages, cut->log, i);
        else
            apply_cut(bytes, &ages, cut, i, i < metadata_end);
    }
    bytes->len = ages.sector_count * SECTOR_LEN;
    bytes_resize(bytes, len);
    free(ages.of_sector);
    if (any && !cut->fate_known)
        cut->fate = fate;
    cut->fate_known = cut->fate_known || any;
}

/* Where a name leads: with a journal as after metadata_end events, without one each as it comes. */
static void names_after_cut(struct cut *cut, uint32_t ret_leads_to[NAMES_MAX])
{
    const struct log *log = cut->log;
    log_names_at(log, cut->metadata_end, ret_leads_to);
    if (cut->ordered)
        return;
    size_t low = 0;
    for (size_t i = 0; i < cut->point; i++)
        if (log->events[i].kind == EVENT_SYNC_FOLDER)
            low = i + 1;
    uint32_t leads_to[NAMES_MAX];
    for (uint32_t name = 0; name < log->name_count; name++) {
        log_names_at(log, moment(cut->random, low, cut->point), leads_to);
        ret_leads_to[name] = leads_to[name];
    }
}

/* ---- making an image ---------------------------------------------------------------------------------- */

void disk_log_after_kill(const struct log *log, size_t point, bool midway, struct random *random,
                         struct log *ret_log)
{
    log_init_from(ret_log, log, point);
    if (!midway || point == log->count || log->events[point].kind != EVENT_WRITE)
        return;
    struct event event = log->events[point];
    event.len = random_one_in(random, 2) ? between(random, 0, event.len) : between(random, 0, event.len / 64) * 64;
    log_add(ret_log, event);
}

static void image_add(struct image *image, const char *name, struct bytes *bytes)
{
    struct image_file *file = &image->files[image->count++];
    snprintf(file->name, sizeof file->name, "%s", name);
    file->data = bytes->data;
    file->len = bytes->len;
}

/* A second name for one inode, where a rename is half on the disk: a copy. */
static bool add_copy(struct image *image, const char *name, const uint32_t *leads_to, uint32_t inode,
                     const uint32_t *name_of_file)
{
    for (size_t i = 0; i < image->count; i++) {
        if (leads_to[name_of_file[i]] != inode)
            continue;
        struct bytes copy = {.len = 0};
        bytes_write(&copy, 0, image->files[i].data, image->files[i].len);
        image_add(image, name, &copy);
        return true;
    }
    return false;
}

void disk_crash(const struct log *log, size_t point, enum crash crash, struct random *random,
                struct image *ret_image, enum fate *ret_fate)
{
    struct image image = {.files = allocate(NAMES_MAX, sizeof *image.files)};
    struct cut cut = {.log = log,
                      .point = point,
                      .ordered = crash == CRASH_POWER_ORDERED,
                      .random = random,
                      .fate = FATE_LANDED};
    uint32_t leads_to[NAMES_MAX];
    uint32_t name_of_file[NAMES_MAX];
    if (crash_is_power_cut(crash)) {
        cut.metadata_end = moment(random, metadata_floor(log, point), point);
        names_after_cut(&cut, leads_to);
    } else {
        log_names_at(log, point, leads_to);
    }
    for (uint32_t name = 0; name < log->name_count; name++) {
        struct bytes bytes;
        name_of_file[image.count] = name;
        if (leads_to[name] == NO_INODE ||
            add_copy(&image, log->names[name], leads_to, leads_to[name], name_of_file))
            continue;
        if (crash_is_power_cut(crash))
            cut_power(&cut, leads_to[name], &bytes);
        else
            bytes_at(&bytes, log, leads_to[name], point);
        image_add(&image, log->names[name], &bytes);
    }
    *ret_image = image;
    *ret_fate = cut.fate;
}

void disk_write_out(const struct image *image, const char *folder)
{
    for (size_t i = 0; i < image->count; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, image->files[i].name);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0 || write(fd, image->files[i].data, image->files[i].len) != (ssize_t)image->files[i].len)
            die("cannot write %s", path);
        close(fd);
    }
}
