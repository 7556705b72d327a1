/* SPDX-License-Identifier: MIT */
#include "server/hosted.h"

#include <stdio.h>
#include <stdlib.h>

#include "server/metrics.h"

struct rd_hosted *rd_hosted_create(const char *name)
{
    struct rd_hosted *hosted = calloc(1, sizeof *hosted);
    if (hosted == NULL)
        return NULL;
    snprintf(hosted->name, sizeof hosted->name, "%s", name);
    atomic_init(&hosted->refs, 1);
    atomic_init(&hosted->uses, 0);
    atomic_init(&hosted->state, RD_HOSTED_CREATING);
    pthread_mutex_init(&hosted->reason_lock, NULL);
    return hosted;
}

void rd_hosted_ref(struct rd_hosted *hosted)
{
    atomic_fetch_add(&hosted->refs, 1);
}

void rd_hosted_unref(struct rd_hosted *hosted)
{
    if (hosted == NULL || atomic_fetch_sub(&hosted->refs, 1) != 1)
        return;
    pthread_mutex_destroy(&hosted->reason_lock);
    rd_usages_destroy(atomic_load(&hosted->usages));
    free(hosted);
}

bool rd_hosted_is_listed(const struct rd_hosted *hosted)
{
    enum rd_hosted_state state = rd_hosted_state(hosted);
    return state == RD_HOSTED_SERVING || state == RD_HOSTED_FAILED || state == RD_HOSTED_REOPENING;
}

static void tell_reason(struct rd_hosted *hosted, enum rd_hosted_state state,
                        char ret_reason[RD_HOSTED_REASON_SIZE])
{
    static const char *const states[] = {
        [RD_HOSTED_CREATING] = "is being created",   [RD_HOSTED_SERVING] = "",
        [RD_HOSTED_REOPENING] = "is being reopened", [RD_HOSTED_DROPPING] = "is being dropped",
        [RD_HOSTED_GONE] = "has been dropped",
    };
    if (state != RD_HOSTED_FAILED) {
        snprintf(ret_reason, RD_HOSTED_REASON_SIZE, "%s", states[state]);
        return;
    }
    pthread_mutex_lock(&hosted->reason_lock);
    snprintf(ret_reason, RD_HOSTED_REASON_SIZE, "%s", hosted->reason);
    pthread_mutex_unlock(&hosted->reason_lock);
}

void rd_hosted_set_reason(struct rd_hosted *hosted, const struct rd_error *error)
{
    pthread_mutex_lock(&hosted->reason_lock);
    snprintf(hosted->reason, sizeof hosted->reason, "%s",
             error->message[0] != '\0' ? error->message : rd_status_name(error->status));
    pthread_mutex_unlock(&hosted->reason_lock);
}

void rd_hosted_reason(struct rd_hosted *hosted, char ret_reason[RD_HOSTED_REASON_SIZE])
{
    tell_reason(hosted, rd_hosted_state(hosted), ret_reason);
}

enum rd_status rd_hosted_refuse(struct rd_hosted *hosted, enum rd_hosted_state state, struct rd_error *ret_error)
{
    char reason[RD_HOSTED_REASON_SIZE];
    tell_reason(hosted, state, reason);
    if (state == RD_HOSTED_FAILED)
        return rd_error_set(ret_error, RD_UNAVAILABLE, 0, "store '%s' does not serve: %.150s", hosted->name,
                            reason);
    bool comes = state == RD_HOSTED_CREATING || state == RD_HOSTED_REOPENING;
    return rd_error_set(ret_error, comes ? RD_UNAVAILABLE : RD_STORE_NOT_FOUND, 0, "store '%s' %s", hosted->name,
                        comes ? reason : "has been dropped");
}

/* No uses where the state was SERVING: it has been withdrawn since, and the state tells by now. */
enum rd_status rd_hosted_use(struct rd_hosted *hosted, struct rd_error *ret_error)
{
    for (;;) {
        enum rd_hosted_state state = rd_hosted_state(hosted);
        if (state != RD_HOSTED_SERVING)
            return rd_hosted_refuse(hosted, state, ret_error);
        unsigned uses = atomic_load(&hosted->uses);
        while (uses != 0)
            if (atomic_compare_exchange_weak(&hosted->uses, &uses, uses + 1))
                return RD_OK;
    }
}

void rd_hosted_use_again(struct rd_hosted *hosted)
{
    atomic_fetch_add(&hosted->uses, 1);
}

void rd_hosted_wake(struct rd_hosted *hosted)
{
    struct rd_op *op = hosted->wake_op;
    op->sink->deliver(op->sink, op, op); /* the store may serve again before this returns */
}

void rd_hosted_unuse(struct rd_hosted *hosted)
{
    if (atomic_fetch_sub(&hosted->uses, 1) == 1)
        rd_hosted_wake(hosted);
}

bool rd_hosted_is_overdue(const struct rd_hosted *hosted, uint64_t now_ms, uint64_t grace_ms, bool with_drops)
{
    enum rd_hosted_state state = rd_hosted_state(hosted);
    if (state != RD_HOSTED_REOPENING && !(with_drops && state == RD_HOSTED_DROPPING))
        return false;
    uint64_t since_ms = atomic_load(&hosted->withdrawn_ms);
    return now_ms > since_ms && now_ms - since_ms >= grace_ms;
}
