/* SPDX-License-Identifier: MIT */
#include "engine/thread.h"

#include <signal.h>
#include <stddef.h>

bool rd_thread_start(pthread_t *ret_thread, void *(*run)(void *context), void *context)
{
    static const int kept[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGPROF};
    sigset_t blocked;
    sigset_t before;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        sigdelset(&blocked, kept[i]);
    if (pthread_sigmask(SIG_BLOCK, &blocked, &before) != 0)
        return false;
    bool started = pthread_create(ret_thread, NULL, run, context) == 0; /* has the mask of who starts it */
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}
