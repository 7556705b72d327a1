/* SPDX-License-Identifier: MIT
 *
 * spare.h - memory that is made ready ahead of its need by a short-lived thread, so that nobody waits for the
 * kernel to clear it, nor for the machine under a virtual one to find it.
 *
 *   NONE --rd_spare_prepare--> UNDER WAY --its thread--> READY --rd_spare_take--> NONE
 *
 * Whoever finds nothing ready does without: nothing here waits, but for rd_spare_end. Where no thread is to be had
 * there is never anything ready.
 *
 * One thread's, its owner's; it stays where it is.
 */
#ifndef RD_ENGINE_SPARE_H
#define RD_ENGINE_SPARE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct rd_spare {
    pthread_t thread;
    bool under_way;       /* or ready, but not taken yet */
    void *(*make)(void);  /* the thread's */
    void *memory;         /* owned; the thread's, until it says so */
    atomic_bool is_ready; /* by the thread, its last word */
};

/* Has `make` called by a thread, where none is under way. False: there is one already, or none could be started.
 */
bool rd_spare_prepare(struct rd_spare *spare, void *(*make)(void));

/* Whether rd_spare_take gives something, be it NULL. */
static inline bool rd_spare_is_ready(const struct rd_spare *spare)
{
    return spare->under_way && atomic_load_explicit(&spare->is_ready, memory_order_acquire);
}

/* Whether its thread is at work. */
static inline bool rd_spare_is_being_made(const struct rd_spare *spare)
{
    return spare->under_way && !atomic_load_explicit(&spare->is_ready, memory_order_acquire);
}

/* What was made ready, the caller's from now on; NULL: it could not be made. */
void *rd_spare_take(struct rd_spare *spare);

/* Waits for what is under way; the same. NULL, too, where there was nothing. Fine on a zeroed one. */
void *rd_spare_end(struct rd_spare *spare);

#endif
