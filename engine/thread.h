/* SPDX-License-Identifier: MIT
 *
 * thread.h - threads of the engine's own. Signals are the host's business: none is handled on these, but for those
 * that a fault raises on the thread that has it, and SIGPROF, which measures it.
 */
#ifndef RD_ENGINE_THREAD_H
#define RD_ENGINE_THREAD_H

#include <pthread.h>
#include <stdbool.h>

#include "base/status.h"

/* Any thread. To be joined. False: none could be started. */
bool rd_thread_start(pthread_t *ret_thread, void *(*run)(void *context), void *context) RD_MUST_CHECK;

#endif
