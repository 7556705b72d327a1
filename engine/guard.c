/* SPDX-License-Identifier: MIT */
#include "engine/guard.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/engine.h"

#define PLACES_PER_BLOCK 256u

struct block {
    _Atomic(struct block *) next;
    struct rd_guarded places[PLACES_PER_BLOCK];
};

atomic_uint rd_guard_islands;

static struct block first_block;
static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER; /* guards adding */
static struct sigaction previous_action;                          /* constant once the guard is installed */
static uintptr_t page_len;                                        /* likewise */

/* ---- the registry ------------------------------------------------------------------------------------- */

static struct rd_guarded *free_place(struct block *block)
{
    for (unsigned i = 0; i < PLACES_PER_BLOCK; i++)
        if (atomic_load_explicit(&block->places[i].begin, memory_order_relaxed) == 0)
            return &block->places[i];
    return NULL;
}

static struct rd_guarded *find_or_make_place(void)
{
    for (struct block *block = &first_block;; block = atomic_load_explicit(&block->next, memory_order_relaxed)) {
        struct rd_guarded *place = free_place(block);
        if (place != NULL)
            return place;
        if (atomic_load_explicit(&block->next, memory_order_relaxed) != NULL)
            continue;
        struct block *more = calloc(1, sizeof *more);
        if (more == NULL)
            return NULL;
        atomic_store_explicit(&block->next, more, memory_order_release);
    }
}

struct rd_guarded *rd_guard_add(const void *base, size_t len)
{
    pthread_mutex_lock(&registry_lock);
    struct rd_guarded *place = find_or_make_place();
    if (place != NULL) {
        atomic_store_explicit(&place->faults, 0, memory_order_relaxed);
        atomic_store_explicit(&place->islands, 0, memory_order_relaxed);
        atomic_store_explicit(&place->last, 0, memory_order_relaxed);
        atomic_store_explicit(&place->end, (uintptr_t)base + len, memory_order_relaxed);
        atomic_store_explicit(&place->begin, (uintptr_t)base, memory_order_release);
    }
    pthread_mutex_unlock(&registry_lock);
    return place;
}

void rd_guard_remove(struct rd_guarded *guarded)
{
    if (guarded == NULL)
        return;
    unsigned islands = atomic_exchange_explicit(&guarded->islands, 0, memory_order_relaxed);
    atomic_fetch_sub_explicit(&rd_guard_islands, islands, memory_order_relaxed);
    atomic_store_explicit(&guarded->begin, 0, memory_order_release);
}

/* ---- the handler -------------------------------------------------------------------------------------- */

/* Who touches an address inside a map keeps that map alive, so its place cannot change meanwhile. */
static struct rd_guarded *place_of(uintptr_t address)
{
    for (struct block *block = &first_block; block != NULL;
         block = atomic_load_explicit(&block->next, memory_order_acquire)) {
        for (unsigned i = 0; i < PLACES_PER_BLOCK; i++) {
            struct rd_guarded *place = &block->places[i];
            uintptr_t begin = atomic_load_explicit(&place->begin, memory_order_acquire);
            if (begin != 0 && address >= begin &&
                address < atomic_load_explicit(&place->end, memory_order_relaxed))
                return place;
        }
    }
    return NULL;
}

/* Pages in a row are one map to the kernel. */
static void count(struct rd_guarded *place, uintptr_t page)
{
    uintptr_t last = atomic_exchange_explicit(&place->last, page, memory_order_relaxed);
    if (page - last != page_len && last - page != page_len) {
        atomic_fetch_add_explicit(&place->islands, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&rd_guard_islands, 1, memory_order_relaxed);
    }
    atomic_fetch_add_explicit(&place->faults, 1, memory_order_release);
}

/* Not by a fault, but by kill or raise: it comes no second time. */
static bool is_sent(const siginfo_t *info)
{
    return info->si_code <= 0;
}

/* What was there before us has it, and we stay, since a handler may well return, or jump. Without one a fault is
 * repeated as if we had never been there. */
static void pass_on(int number, siginfo_t *info, void *context)
{
    if ((previous_action.sa_flags & SA_SIGINFO) != 0) {
        previous_action.sa_sigaction(number, info, context);
    } else if (previous_action.sa_handler != SIG_DFL && previous_action.sa_handler != SIG_IGN) {
        previous_action.sa_handler(number);
    } else if (previous_action.sa_handler == SIG_DFL || !is_sent(info)) {
        sigaction(number, &previous_action, NULL);
        if (is_sent(info))
            (void)raise(number);
    }
}

static void on_bus_error(int number, siginfo_t *info, void *context)
{
    if (is_sent(info)) {
        pass_on(number, info, context);
        return;
    }
    uintptr_t address = (uintptr_t)info->si_addr;
    struct rd_guarded *place = place_of(address);
    uint8_t *page = (uint8_t *)info->si_addr - address % page_len;
    if (place != NULL &&
        mmap(page, page_len, PROT_READ, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED) {
        count(place, (uintptr_t)page);
        return;
    }
    pass_on(number, info, context);
}

bool rd_guard_install(void)
{
    page_len = (uintptr_t)sysconf(_SC_PAGESIZE);
    struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigemptyset(&action.sa_mask);
    struct sigaction before;
    if (sigaction(SIGBUS, NULL, &before) != 0)
        return false;
    if ((before.sa_flags & SA_SIGINFO) == 0 || before.sa_sigaction != on_bus_error)
        previous_action = before; /* we may be there already */
    return sigaction(SIGBUS, &action, NULL) == 0;
}
