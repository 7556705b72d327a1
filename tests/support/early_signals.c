/* SPDX-License-Identifier: MIT */
#include <poll.h>
#include <stddef.h>

/*
 * ThreadSanitizer keeps a thread's deferred signals in memory that it makes at the thread's first blocking call,
 * and a signal that comes while it does so is put into memory of its own, which nobody looks at again (GCC 12,
 * SigCtx of tsan_interceptors_posix.cpp). A daemon's first blocking call is its event loop's first wait, just
 * behind the port file that tests wait for: of some hundred SIGHUPs sent then one was lost. So the first one is
 * made here, before main.
 */
__attribute__((constructor)) static void make_room_for_signals(void)
{
    (void)poll(NULL, 0, 0);
}
