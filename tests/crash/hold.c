/* SPDX-License-Identifier: MIT */
#include "tests/crash/hold.h"

void hold_init(struct hold *hold)
{
    *hold = (struct hold){.closed = false};
    pthread_mutex_init(&hold->lock, NULL);
    pthread_cond_init(&hold->changed, NULL);
}

void hold_deinit(struct hold *hold)
{
    pthread_cond_destroy(&hold->changed);
    pthread_mutex_destroy(&hold->lock);
}

void hold_close(struct hold *hold)
{
    pthread_mutex_lock(&hold->lock);
    hold->closed = true;
    hold->missed = false;
    pthread_mutex_unlock(&hold->lock);
}

void hold_await(struct hold *hold)
{
    pthread_mutex_lock(&hold->lock);
    while (!hold->held && !hold->missed)
        pthread_cond_wait(&hold->changed, &hold->lock);
    pthread_mutex_unlock(&hold->lock);
}

void hold_open(struct hold *hold)
{
    pthread_mutex_lock(&hold->lock);
    hold->closed = false;
    pthread_cond_broadcast(&hold->changed);
    pthread_mutex_unlock(&hold->lock);
}

void hold_pass(struct hold *hold)
{
    pthread_mutex_lock(&hold->lock);
    hold->held = hold->closed;
    pthread_cond_broadcast(&hold->changed);
    while (hold->closed)
        pthread_cond_wait(&hold->changed, &hold->lock);
    hold->held = false;
    pthread_mutex_unlock(&hold->lock);
}

void hold_miss(struct hold *hold)
{
    pthread_mutex_lock(&hold->lock);
    hold->missed = true;
    pthread_cond_broadcast(&hold->changed);
    pthread_mutex_unlock(&hold->lock);
}
