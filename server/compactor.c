/* SPDX-License-Identifier: MIT */
#include "server/compactor.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "server/log.h"
#include "server/stores.h"

#define STEP_LEN_MIN     (UINT64_C(64) << 10)
#define STEP_LEN_MAX     (UINT64_C(16) << 20)
#define STEPS_PER_SECOND 20u
#define DEAD_BYTES_MIN   (UINT64_C(64) << 20) /* fewer are not worth it, whatever their share */
#define LOOK_EVERY_MS    5000u
#define FAILED_PAUSE_MS  600000u /* before another one is begun unasked */

struct rd_compactor {
    struct rd_stores *stores; /* borrows; constant */
    pthread_t thread;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t wake;  /* job has come, or stopping */
    struct rd_compactor_tuning tuning;
    struct rd_compactor_job *job; /* borrows; waiting to be begun */
    bool working;                 /* on a job, or unasked */
    bool stopping;
};

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* ---- one store ----------------------------------------------------------------------------------------- */

static struct rd_compactor_tuning tuning_of(struct rd_compactor *compactor)
{
    pthread_mutex_lock(&compactor->lock);
    struct rd_compactor_tuning tuning = compactor->tuning;
    pthread_mutex_unlock(&compactor->lock);
    return tuning;
}

static uint64_t step_len(uint64_t rate)
{
    uint64_t len = rate / STEPS_PER_SECOND;
    if (rate == 0 || len > STEP_LEN_MAX)
        return STEP_LEN_MAX;
    return len < STEP_LEN_MIN ? STEP_LEN_MIN : len;
}

/* Returns whether the daemon goes on. */
static bool wait_until(struct rd_compactor *compactor, uint64_t due_us)
{
    struct timespec due = {.tv_sec = (time_t)(due_us / 1000000), .tv_nsec = (long)(due_us % 1000000) * 1000};
    pthread_mutex_lock(&compactor->lock);
    int timed_out = 0;
    while (!compactor->stopping && timed_out == 0)
        timed_out = pthread_cond_timedwait(&compactor->wake, &compactor->lock, &due);
    bool goes_on = !compactor->stopping;
    pthread_mutex_unlock(&compactor->lock);
    return goes_on;
}

static enum rd_status check_wanted(struct rd_compactor *compactor, struct rd_hosted *hosted, uint64_t due_us,
                                   struct rd_error *ret_error)
{
    char reason[RD_HOSTED_REASON_SIZE];
    rd_hosted_reason(hosted, reason);
    if (reason[0] != '\0')
        return rd_error_set(ret_error, RD_UNAVAILABLE, 0, "store '%s' %.100s", hosted->name, reason);
    if (!wait_until(compactor, due_us))
        return rd_error_set(ret_error, RD_UNAVAILABLE, 0, "the server stops");
    return RD_OK;
}

static enum rd_status run_steps(struct rd_compactor *compactor, struct rd_hosted *hosted,
                                struct rd_compaction *compaction, struct rd_error *ret_error)
{
    uint64_t due_us = now_us(); /* of the next step */
    bool done = false;
    enum rd_status status = RD_OK;
    while (status == RD_OK && !done) {
        uint64_t bytes = 0;
        status = check_wanted(compactor, hosted, due_us, ret_error);
        uint64_t rate = tuning_of(compactor).rate;
        if (status == RD_OK)
            status = rd_compaction_step(compaction, step_len(rate), &bytes, &done, ret_error);
        due_us = rate == 0 ? now_us() : due_us + bytes * 1000000 / rate;
    }
    return status;
}

/* The store is in use. Takes the compaction. */
static enum rd_status carry_out(struct rd_compactor *compactor, struct rd_hosted *hosted,
                                struct rd_compaction *compaction, struct rd_compacted *ret_result,
                                struct rd_error *ret_error)
{
    enum rd_status status = run_steps(compactor, hosted, compaction, ret_error);
    if (status == RD_OK)
        rd_compaction_result(compaction, ret_result);
    rd_compaction_end(compaction);
    if (status == RD_OK)
        rd_log_store(RD_LOG_INFO, hosted->name,
                     "is compacted: %llu bytes, before %llu; writes were held up for %llu us",
                     (unsigned long long)ret_result->tail, (unsigned long long)ret_result->tail_before,
                     (unsigned long long)ret_result->pause_us);
    return status;
}

/* What nobody waits for. */
static void tell_failure(const struct rd_hosted *hosted, const struct rd_error *error)
{
    rd_log_store(RD_LOG_WARN, hosted->name, "cannot be compacted: %s", error->message);
}

/* ---- unasked ------------------------------------------------------------------------------------------- */

static bool is_worth_it(uint64_t dead_percent, struct rd_hosted *hosted)
{
    struct rd_store_info info;
    rd_store_info(hosted->store, &info);
    return info.state == RD_STORE_OPEN && info.dead_bytes >= DEAD_BYTES_MIN &&
           info.dead_bytes >= info.tail / 100 * dead_percent;
}

static enum rd_status compact_unasked(struct rd_compactor *compactor, struct rd_hosted *hosted)
{
    struct rd_compaction *compaction;
    struct rd_compacted result;
    struct rd_error error = {.status = RD_OK};
    enum rd_status status = rd_compaction_begin(hosted->store, &compaction, &error);
    if (status == RD_OK)
        status = carry_out(compactor, hosted, compaction, &result, &error);
    if (status != RD_OK && status != RD_UNAVAILABLE)
        tell_failure(hosted, &error);
    return status;
}

/* One store at most. False: it has failed. */
static bool look_around(struct rd_compactor *compactor)
{
    size_t count = 0;
    uint64_t dead_percent = tuning_of(compactor).dead_percent;
    bool begun = dead_percent == 0;
    enum rd_status status = RD_OK;
    struct rd_hosted **list = rd_stores_list(compactor->stores, &count);
    for (size_t i = 0; list != NULL && i < count; i++) {
        if (!begun && rd_hosted_use(list[i], NULL) == RD_OK) {
            begun = is_worth_it(dead_percent, list[i]);
            if (begun)
                status = compact_unasked(compactor, list[i]);
            rd_hosted_unuse(list[i]);
        }
        rd_hosted_unref(list[i]);
    }
    free(list);
    return status == RD_OK || status == RD_UNAVAILABLE;
}

/* ---- the thread ---------------------------------------------------------------------------------------- */

/* Before an op is delivered: who gets the answer may ask again at once. */
static void set_idle(struct rd_compactor *compactor)
{
    pthread_mutex_lock(&compactor->lock);
    compactor->working = false;
    pthread_mutex_unlock(&compactor->lock);
}

static void deliver(struct rd_op *op)
{
    op->next = NULL;
    op->sink->deliver(op->sink, op, op);
}

/* The one who asked has its answer, and the job is gone with it. */
static void go_on_alone(struct rd_compactor *compactor, struct rd_hosted *hosted, struct rd_compaction *compaction)
{
    struct rd_compacted result;
    struct rd_error error = {.status = RD_OK};
    if (carry_out(compactor, hosted, compaction, &result, &error) != RD_OK)
        tell_failure(hosted, &error);
    set_idle(compactor);
    rd_hosted_unuse(hosted);
}

static void run_job(struct rd_compactor *compactor, struct rd_compactor_job *job)
{
    struct rd_hosted *hosted = job->hosted;
    struct rd_compaction *compaction;
    job->error = (struct rd_error){.status = RD_OK};
    enum rd_status status = rd_compaction_begin(hosted->store, &compaction, &job->error);
    if (status == RD_OK && job->in_background) {
        rd_hosted_use_again(hosted);
        deliver(job->op);
        go_on_alone(compactor, hosted, compaction);
        return;
    }
    if (status == RD_OK)
        status = carry_out(compactor, hosted, compaction, &job->result, &job->error);
    job->error.status = status;
    set_idle(compactor);
    deliver(job->op);
}

/* The next job; NULL: it is time to look around, or to end. */
static struct rd_compactor_job *take_job(struct rd_compactor *compactor, uint64_t look_us, bool *ret_stopping)
{
    struct timespec look = {.tv_sec = (time_t)(look_us / 1000000), .tv_nsec = (long)(look_us % 1000000) * 1000};
    pthread_mutex_lock(&compactor->lock);
    int timed_out = 0;
    while (compactor->job == NULL && !compactor->stopping && timed_out == 0) {
        if (compactor->tuning.dead_percent == 0)
            pthread_cond_wait(&compactor->wake, &compactor->lock);
        else
            timed_out = pthread_cond_timedwait(&compactor->wake, &compactor->lock, &look);
    }
    struct rd_compactor_job *job = compactor->job;
    compactor->job = NULL;
    *ret_stopping = compactor->stopping;
    compactor->working = job != NULL || !compactor->stopping;
    pthread_mutex_unlock(&compactor->lock);
    return job;
}

static void *run(void *context)
{
    struct rd_compactor *compactor = context;
    uint64_t look_us = now_us() + LOOK_EVERY_MS * 1000u;
    bool stopping = false;
    for (;;) {
        struct rd_compactor_job *job = take_job(compactor, look_us, &stopping);
        if (job != NULL) {
            run_job(compactor, job);
            continue;
        }
        if (stopping)
            break;
        bool well = look_around(compactor);
        set_idle(compactor);
        look_us = now_us() + (well ? LOOK_EVERY_MS : FAILED_PAUSE_MS) * 1000u;
    }
    return NULL;
}

/* ---- for everybody ------------------------------------------------------------------------------------- */

enum rd_status rd_compactor_create(struct rd_stores *stores, struct rd_compactor_tuning tuning,
                                   struct rd_compactor **ret_compactor)
{
    struct rd_compactor *compactor = calloc(1, sizeof *compactor);
    if (compactor == NULL)
        return RD_NO_MEMORY;
    compactor->stores = stores;
    compactor->tuning = tuning;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&compactor->lock, NULL);
    pthread_cond_init(&compactor->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    if (pthread_create(&compactor->thread, NULL, run, compactor) == 0) {
        *ret_compactor = compactor;
        return RD_OK;
    }
    pthread_cond_destroy(&compactor->wake);
    pthread_mutex_destroy(&compactor->lock);
    free(compactor);
    return RD_NO_MEMORY;
}

void rd_compactor_tune(struct rd_compactor *compactor, struct rd_compactor_tuning tuning)
{
    pthread_mutex_lock(&compactor->lock);
    compactor->tuning = tuning;
    pthread_mutex_unlock(&compactor->lock);
    pthread_cond_signal(&compactor->wake);
}

enum rd_status rd_compactor_submit(struct rd_compactor *compactor, struct rd_compactor_job *job)
{
    enum rd_status status = RD_OK;
    pthread_mutex_lock(&compactor->lock);
    if (compactor->stopping)
        status = RD_UNAVAILABLE;
    else if (compactor->working || compactor->job != NULL)
        status = RD_OVERLOADED;
    else
        compactor->job = job;
    pthread_mutex_unlock(&compactor->lock);
    if (status == RD_OK)
        pthread_cond_signal(&compactor->wake);
    return status;
}

void rd_compactor_stop(struct rd_compactor *compactor)
{
    pthread_mutex_lock(&compactor->lock);
    compactor->stopping = true;
    pthread_mutex_unlock(&compactor->lock);
    pthread_cond_signal(&compactor->wake);
}

void rd_compactor_destroy(struct rd_compactor *compactor)
{
    if (compactor == NULL)
        return;
    rd_compactor_stop(compactor);
    pthread_join(compactor->thread, NULL);
    pthread_cond_destroy(&compactor->wake);
    pthread_mutex_destroy(&compactor->lock);
    free(compactor);
}
