/* SPDX-License-Identifier: MIT */
#include "tests/crash/judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void judge_init(struct judge *judge, const char *keep)
{
    *judge = (struct judge){.folder = scratch_create(), .keep = keep};
}

void judge_deinit(struct judge *judge)
{
    scratch_remove(judge->folder);
}

/* ---- what a state must hold --------------------------------------------------------------------------- */

/* Steps that were answered and whose bytes, with all before them, are as they were written, are to be kept though
 * nobody promised it: what is whole is not cut. */
static size_t whole_steps(const struct workload *workload, uint32_t store, size_t point, const struct image *left)
{
    struct image written;
    enum fate fate;
    struct random random = {0};
    disk_crash(&workload->recorder.log, point, CRASH_KILLED, &random, &written, &fate);
    const struct image_file *full = image_find(&written, workload_store_names[store]);
    const struct image_file *file = image_find(left, workload_store_names[store]);
    size_t same = 0;
    while (full != NULL && file != NULL && same < full->len && same < file->len &&
           full->data[same] == file->data[same])
        same++;
    image_deinit(&written);
    return history_steps_within(&workload->history, store, point, same);
}

static struct bounds bounds_of(const struct workload *workload, uint32_t store,
                               const struct crash_case *crash_case, const struct image *left)
{
    bool power_cut = crash_is_power_cut(crash_case->crash);
    struct bounds bounds = history_bounds(&workload->history, store, crash_case->point, power_cut);
    size_t whole = power_cut ? whole_steps(workload, store, crash_case->point, left) : 0;
    if (whole > bounds.low)
        bounds.low = whole;
    return bounds;
}

/* ---- one state ---------------------------------------------------------------------------------------- */

/* All that belongs to one case. */
struct trial {
    struct judge *judge;
    const struct workload *workload;
    const struct crash_case *crash_case;
    struct random random;
    struct image left;
    struct log log; /* a process that goes on after the crash goes on with this one */
};

/* Makes the state and what comes after it. After a power cut all that is left is on the disk, and a new log
 * begins.
 */
static void make_state(struct trial *trial)
{
    const struct crash_case *crash_case = trial->crash_case;
    const struct log *log = &trial->workload->recorder.log;
    if (crash_is_power_cut(crash_case->crash)) {
        disk_crash(log, crash_case->point, crash_case->crash, &trial->random, &trial->left, &trial->judge->fate);
        log_init(&trial->log, &trial->left);
    } else {
        disk_log_after_kill(log, crash_case->point, crash_case->midway, &trial->random, &trial->log);
        disk_crash(&trial->log, trial->log.count, CRASH_KILLED, &trial->random, &trial->left, &trial->judge->fate);
    }
}

static void put_into_folder(const struct judge *judge, const struct image *image)
{
    scratch_clear(judge->folder);
    disk_write_out(image, judge->folder);
}

/* The files as the crash left them, for whoever looks into a finding. */
static bool report(struct judge *judge, const struct session *session, const char *when, const struct image *left)
{
    snprintf(judge->finding, sizeof judge->finding, "%s%.400s", when, session->finding);
    if (judge->keep != NULL) {
        scratch_clear(judge->keep);
        disk_write_out(left, judge->keep);
    }
    return false;
}

/* After the clean stop of a session that found nothing. */
static bool look_again(struct trial *trial, const struct session *before)
{
    struct session session = {.workload = trial->workload, .folder = trial->judge->folder};
    for (uint32_t i = 0; i < STORE_COUNT; i++)
        session.subjects[i] = (struct subject){
            .bounds = before->subjects[i].bounds, .before = &before->subjects[i], .crashed_at = NEVER};
    return session_run(&session) || report(trial->judge, &session, "after a clean stop: ", &trial->left);
}

static bool image_holds(const struct image *image, const char *store_name, struct rd_slice rest, uint64_t offset)
{
    for (size_t i = 0; i < image->count; i++) {
        const struct image_file *file = &image->files[i];
        bool own = strncmp(file->name, store_name, strlen(store_name)) == 0;
        uint64_t at = strcmp(file->name, store_name) == 0 ? offset : 0;
        if (own && file->len >= at + rest.len && memcmp(file->data + at, rest.data, rest.len) == 0)
            return true;
    }
    return false;
}

/* What the first crash left above the tail outlives the second, in the store's file or aside, where it was on the
 * disk at all. */
static bool torn_ends_outlive(struct trial *trial, struct session *session, const struct session *first,
                              const struct image *left)
{
    if (!crash_is_power_cut(trial->crash_case->crash) && crash_is_power_cut(trial->crash_case->again))
        return true;
    for (uint32_t i = 0; i < STORE_COUNT; i++) {
        const struct subject *subject = &first->subjects[i];
        if (subject->torn.len != 0 && !image_holds(left, subject->name, subject->torn, subject->tail))
            return session_wrong(session, "%s: %zu torn bytes at %llu are gone", subject->name, subject->torn.len,
                                 (unsigned long long)subject->tail);
    }
    return true;
}

/* A second crash somewhere in the session that has just run and that the recorder wrote down. */
static bool crash_again(struct trial *trial, const struct session *first, size_t began_at)
{
    struct judge *judge = trial->judge;
    enum crash again = trial->crash_case->again;
    const struct log *log = &first->recorder->log;
    size_t point = began_at + random_below(&trial->random, log->count - began_at + 1);
    struct session session = {.workload = trial->workload, .folder = judge->folder};
    bool power_cut = crash_is_power_cut(again);
    struct log after;
    struct image left;
    disk_log_after_kill(log, point, !power_cut && random_one_in(&trial->random, 2), &trial->random, &after);
    disk_crash(&after, after.count, again, &trial->random, &left, &judge->fate);
    bool served = true;
    for (uint32_t i = 0; i < STORE_COUNT; i++) {
        const struct subject *before = &first->subjects[i];
        struct subject *subject = &session.subjects[i];
        *subject = (struct subject){.bounds = before->bounds, .crashed_at = point};
        subject->left = image_find(&left, workload_store_names[i]);
        if (before->opened_at < point)
            subject->before = before;
        else if (power_cut && !crash_is_power_cut(trial->crash_case->crash))
            subject->bounds = history_bounds(&trial->workload->history, i, trial->crash_case->point, true);
        served = served && before->opened_at < point;
    }
    judge->before_serve += !served;
    put_into_folder(judge, &left);
    bool fine = torn_ends_outlive(trial, &session, first, &left) && session_run(&session);
    if (!fine)
        report(judge, &session,
               served ? "second crash, after both were open: " : "second crash, while opening: ", &left);
    image_deinit(&left);
    log_deinit(&after);
    return fine;
}

/* trial->log is used up. */
static bool run_recorded(struct trial *trial, struct session *session)
{
    struct recorder recorder;
    size_t began_at = trial->log.count;
    recorder_init(&recorder, trial->log, trial->workload->planted);
    session->recorder = &recorder;
    bool fine = session_run(session) || report(trial->judge, session, "", &trial->left);
    fine = fine && crash_again(trial, session, began_at);
    recorder_deinit(&recorder);
    return fine;
}

bool judge_state(struct judge *judge, const struct workload *workload, const struct crash_case *crash_case,
                 struct random random)
{
    struct trial trial = {.judge = judge, .workload = workload, .crash_case = crash_case, .random = random};
    struct session session = {.workload = workload, .folder = judge->folder};
    judge->finding[0] = '\0';
    make_state(&trial);
    put_into_folder(judge, &trial.left);
    for (uint32_t i = 0; i < STORE_COUNT; i++) {
        session.subjects[i].left = image_find(&trial.left, workload_store_names[i]);
        session.subjects[i].bounds = bounds_of(workload, i, crash_case, &trial.left);
    }
    bool fine;
    if (crash_case->twice) {
        fine = run_recorded(&trial, &session);
    } else {
        log_deinit(&trial.log);
        fine = session_run(&session) || report(judge, &session, "", &trial.left);
        fine = fine && look_again(&trial, &session);
    }
    for (uint32_t i = 0; i < STORE_COUNT; i++)
        judge->cut += session.subjects[i].was_cut;
    image_deinit(&trial.left);
    return fine;
}
