/* SPDX-License-Identifier: MIT */
#include "engine/forks.h"

#include <pthread.h>

atomic_uint_fast32_t rd_forks_now;

static bool prepared; /* constant from the first rd_forks_prepare on */

static void in_child(void)
{
    atomic_fetch_add_explicit(&rd_forks_now, 1, memory_order_relaxed);
}

static void prepare_once(void)
{
    prepared = pthread_atfork(NULL, NULL, in_child) == 0;
}

bool rd_forks_prepare(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, prepare_once);
    return prepared;
}
