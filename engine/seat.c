/* SPDX-License-Identifier: MIT */
#include "engine/seat.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static_assert(RD_SEATS == 32, "one bit a seat");

_Thread_local unsigned rd_seat_mine; /* the seat + 1; 0: none */

static _Thread_local bool leaving;  /* the thread's seat was given back for good */
static atomic_uint_least32_t taken; /* bit by seat */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key; /* for its destructor, which runs when a thread ends */
static bool key_is_there; /* constant once the first seat is taken */

static void give_back(void *seat_and_one)
{
    unsigned seat = (unsigned)(uintptr_t)seat_and_one - 1;
    rd_seat_mine = 0;
    leaving = true; /* destructors that run later may still read */
    atomic_fetch_and_explicit(&taken, ~(UINT32_C(1) << seat), memory_order_release);
}

static void prepare(void)
{
    key_is_there = pthread_key_create(&key, give_back) == 0;
}

unsigned rd_seat_take(void)
{
    pthread_once(&once, prepare);
    if (leaving || !key_is_there)
        return RD_SEATS;
    uint_least32_t now = atomic_load_explicit(&taken, memory_order_relaxed);
    while (now != UINT32_MAX) {
        unsigned seat = (unsigned)__builtin_ctz(~now);
        if (!atomic_compare_exchange_weak_explicit(&taken, &now, now | UINT32_C(1) << seat, memory_order_acquire,
                                                   memory_order_relaxed))
            continue;
        void *seat_and_one = (void *)(uintptr_t)(seat + 1); /* not NULL: that one would not be destroyed */
        if (pthread_setspecific(key, seat_and_one) != 0) {
            give_back(seat_and_one);
            return RD_SEATS;
        }
        rd_seat_mine = seat + 1;
        return seat;
    }
    return RD_SEATS;
}
