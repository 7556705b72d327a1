/* SPDX-License-Identifier: MIT */
#include "engine/barrier.h"

#include <linux/membarrier.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

bool rd_barrier_is_remote;

#if defined(__SANITIZE_THREAD__)
#define KERNEL_BARRIERS 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define KERNEL_BARRIERS 0
#endif
#endif
#ifndef KERNEL_BARRIERS
#define KERNEL_BARRIERS 1
#endif

static long membarrier(int command)
{
    return syscall(SYS_membarrier, command, 0, 0);
}

static void prepare_once(void)
{
    rd_barrier_is_remote = KERNEL_BARRIERS && membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
}

void rd_barrier_prepare(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, prepare_once);
}

bool rd_barrier_run(void)
{
    return !rd_barrier_is_remote || membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0;
}
