/* SPDX-License-Identifier: MIT */
#include "tests/crash/session.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ASIDE_TRIES 20

bool session_wrong(struct session *session, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (session->finding[0] == '\0')
        vsnprintf(session->finding, sizeof session->finding, format, args);
    va_end(args);
    return false;
}

static void path_of(const struct session *session, const char *name, char ret_path[4096])
{
    snprintf(ret_path, 4096, "%s/%s", session->folder, name);
}

static int no_sync(void *self, int fd)
{
    (void)self;
    (void)fd;
    return 0;
}

static const struct rd_io *io_of(const struct session *session)
{
    static struct rd_io plain;
    if (session->recorder != NULL)
        return &session->recorder->io;
    plain = rd_io_system;
    plain.fdatasync = no_sync;
    plain.fsync = no_sync;
    return &plain;
}

static size_t note(const struct session *session)
{
    return session->recorder == NULL ? 0 : recorder_note(session->recorder);
}

/* ---- looking ------------------------------------------------------------------------------------------ */

static bool read_key(struct session *session, uint32_t number, uint32_t key)
{
    struct subject *subject = &session->subjects[number];
    struct rd_value found;
    enum rd_status status = rd_store_read(session->stores[number], key_of(key), &found);
    subject->values[key] = ABSENT;
    if (status == RD_KEY_NOT_FOUND)
        return true;
    if (status != RD_OK)
        return session_wrong(session, "%s: key %u answers %s", subject->name, key, rd_status_name(status));
    subject->values[key] = history_find_value(&session->workload->history, found.payload);
    size_t len = found.payload.len;
    rd_value_release(&found);
    if (subject->values[key] == UNKNOWN)
        return session_wrong(session, "%s: key %u has a value of %zu bytes that nobody wrote", subject->name, key,
                             len);
    return true;
}

/* Iteration sees the same keys, and no other. */
static bool walk_keys(struct session *session, uint32_t number)
{
    const struct subject *subject = &session->subjects[number];
    struct rd_cursor *cursor;
    struct rd_value value;
    uint64_t live = 0;
    uint64_t walked = 0;
    for (uint32_t key = 0; key < KEY_COUNT; key++)
        live += subject->values[key] != ABSENT;
    if (rd_cursor_open(session->stores[number], 0, &cursor) != RD_OK)
        return session_wrong(session, "%s: no cursor", subject->name);
    bool ours = true;
    for (; rd_cursor_next(cursor, &value); walked++)
        ours = ours && key_with_hash(value.key_hash) != KEY_COUNT;
    rd_cursor_close(cursor);
    uint64_t counted = rd_store_len(session->stores[number]);
    if (!ours || walked != live || counted != live)
        return session_wrong(session, "%s: %llu keys are read, %llu walked, %llu counted%s", subject->name,
                             (unsigned long long)live, (unsigned long long)walked, (unsigned long long)counted,
                             ours ? "" : ", among them foreign ones");
    return true;
}

static bool is_whole(struct session *session, uint32_t number)
{
    static struct rd_verification found; /* one thread; its list is long */
    struct rd_store_info info;
    rd_store_info(session->stores[number], &info);
    if (info.state != RD_STORE_OPEN)
        return session_wrong(session, "%s opens read-only: %s", session->subjects[number].name, info.reason);
    enum rd_status status = rd_store_verify(session->stores[number], 0, UINT64_MAX, &found);
    if (status != RD_OK || found.problem_count != 0)
        return session_wrong(session, "%s: verify answers %s, %llu problems, the first of kind %d at %llu",
                             session->subjects[number].name, rd_status_name(status),
                             (unsigned long long)found.problem_count, (int)found.problems[0].kind,
                             (unsigned long long)found.problems[0].offset);
    return true;
}

static bool open_store(struct session *session, uint32_t number)
{
    struct subject *subject = &session->subjects[number];
    struct rd_store_options options = workload_options(session->workload, number, io_of(session));
    struct rd_error error;
    char path[4096];
    path_of(session, subject->name, path);
    if (rd_store_open(path, &options, &session->stores[number], &error) != RD_OK) {
        session->stores[number] = NULL;
        return session_wrong(session, "%s does not open: %s", subject->name, error.message);
    }
    workload_make_small(session->stores[number]);
    subject->opened_at = note(session);
    subject->tail = rd_store_file_size(session->stores[number]);
    for (uint32_t key = 0; key < KEY_COUNT; key++)
        if (!read_key(session, number, key))
            return false;
    return walk_keys(session, number) && is_whole(session, number);
}

/* ---- what was kept, what was cut ---------------------------------------------------------------------- */

static bool file_holds(const char *path, struct rd_slice bytes)
{
    bool same = false;
    uint8_t *found = allocate(bytes.len, 1);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t got = pread(fd, found, bytes.len, 0);
        same = got == (ssize_t)bytes.len && rd_slice_equal(rd_slice(found, bytes.len), bytes);
        close(fd);
    }
    free(found);
    return same;
}

static bool is_kept_aside(const struct session *session, const struct subject *subject, struct rd_slice rest)
{
    for (int n = 0; n < ASIDE_TRIES; n++) {
        char aside[128];
        char path[4096];
        int len = snprintf(aside, sizeof aside, "%s.torn-%llu", subject->name, (unsigned long long)subject->tail);
        if (n > 0)
            snprintf(aside + len, sizeof aside - (size_t)len, ".%d", n);
        path_of(session, aside, path);
        if (file_holds(path, rest))
            return true;
    }
    return false;
}

/* Ones at a file's end are how it runs ahead of its tail. */
static struct rd_slice without_ones(struct rd_slice bytes)
{
    while (bytes.len != 0 && bytes.data[bytes.len - 1] == 0xff)
        bytes.len--;
    return bytes;
}

/* Of the file that the crash left, what lies below the tail is there as it was, what lies above is kept aside. */
static bool nothing_is_destroyed(struct session *session, uint32_t number)
{
    struct subject *subject = &session->subjects[number];
    if (subject->left == NULL)
        return true;
    struct rd_slice left = rd_slice(subject->left->data, subject->left->len);
    char path[4096];
    path_of(session, subject->name, path);
    if (subject->tail > left.len)
        return session_wrong(session, "%s is longer than before", subject->name);
    if (!file_holds(path, rd_slice(left.data, (size_t)subject->tail)))
        return session_wrong(session, "%s: bytes below its tail have changed", subject->name);
    struct rd_slice rest = rd_slice(left.data + subject->tail, left.len - (size_t)subject->tail);
    subject->was_cut = rest.len != 0;
    rest = without_ones(rest);
    if (rest.len == 0)
        return true;
    subject->torn = rest;
    if (!is_kept_aside(session, subject, rest))
        return session_wrong(session, "%s: %zu bytes were cut off at %llu and not kept", subject->name, rest.len,
                             (unsigned long long)subject->tail);
    return true;
}

/* ---- against the history ------------------------------------------------------------------------------ */

/* It was served before: its values are those that it showed then, and the further one where that was answered. */
static bool is_as_before(struct session *session, uint32_t number)
{
    const struct subject *subject = &session->subjects[number];
    const struct subject *before = subject->before;
    if (before == NULL)
        return true;
    for (uint32_t key = 1; key < KEY_COUNT; key++)
        if (subject->values[key] != before->values[key])
            return session_wrong(session, "%s: key %u is not as it was served before", subject->name, key);
    bool maybe = before->written_at < subject->crashed_at;
    bool surely = before->answered_at < subject->crashed_at;
    bool old = subject->values[0] == before->values[0];
    bool further = subject->values[0] == session->workload->further;
    if ((old && !surely) || (further && maybe))
        return true;
    return session_wrong(session, "%s: %s", subject->name,
                         surely ? "the further write is lost" : "key 0 is not as it was served before");
}

/* Which numbers of steps the values may be those of; owned by the caller. NULL: none. */
static bool *match(struct session *session, uint32_t number)
{
    const struct history *history = &session->workload->history;
    const struct subject *subject = &session->subjects[number];
    const int32_t *values = subject->before != NULL ? subject->before->values : subject->values;
    size_t low = subject->bounds.low;
    bool *states = allocate(subject->bounds.high + 1, sizeof *states);
    if (history_match(history, number, subject->bounds, values, states) != 0)
        return states;
    struct bounds any = {.low = 0, .high = subject->bounds.high};
    size_t fitting = history_match(history, number, any, values, states);
    size_t count = 0;
    while (fitting != 0 && !states[count])
        count++;
    free(states);
    if (fitting == 0)
        session_wrong(session, "%s: its values are not those after any number of its steps (%zu to %zu would do)",
                      subject->name, low, any.high);
    else
        session_wrong(session, "%s: its values are those after %zu steps, and %zu are promised", subject->name,
                      count, low);
    return NULL;
}

static bool matches_history(struct session *session)
{
    bool *states[STORE_COUNT];
    struct bounds bounds[STORE_COUNT];
    bool fine = true;
    for (uint32_t i = 0; i < STORE_COUNT; i++) {
        bounds[i] = session->subjects[i].bounds;
        states[i] = match(session, i);
        fine = fine && states[i] != NULL;
    }
    if (fine && !history_moves_hold(&session->workload->history, bounds, states))
        fine = session_wrong(session, "a transferred value is in neither store");
    for (uint32_t i = 0; i < STORE_COUNT; i++)
        free(states[i]);
    return fine;
}

/* ---- all of it ---------------------------------------------------------------------------------------- */

static bool write_further(struct session *session, uint32_t number)
{
    struct subject *subject = &session->subjects[number];
    struct rd_entry entry = {.key = key_of(0),
                             .payload = history_bytes(&session->workload->history, session->workload->further)};
    struct rd_op op = {.kind = RD_OP_WRITE, .durability = RD_DURABILITY_SYNC, .entries = &entry, .entry_count = 1};
    subject->written_at = note(session);
    enum rd_status status = rd_store_execute(session->stores[number], &op);
    subject->answered_at = note(session);
    if (status != RD_OK)
        return session_wrong(session, "%s: a further write answers %s", subject->name, rd_status_name(status));
    return true;
}

bool session_run(struct session *session)
{
    bool fine = true;
    for (uint32_t i = 0; i < STORE_COUNT; i++) {
        struct subject *subject = &session->subjects[i];
        subject->name = workload_store_names[i];
        subject->opened_at = subject->written_at = subject->answered_at = NEVER;
    }
    for (uint32_t i = 0; fine && i < STORE_COUNT; i++)
        fine = open_store(session, i) && nothing_is_destroyed(session, i) && is_as_before(session, i);
    fine = fine && matches_history(session);
    for (uint32_t i = 0; fine && i < STORE_COUNT; i++)
        fine = write_further(session, i);
    for (uint32_t i = 0; i < STORE_COUNT; i++)
        rd_store_close(session->stores[i]);
    return fine;
}
