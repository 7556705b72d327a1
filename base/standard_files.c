/* SPDX-License-Identifier: MIT */
#include "base/standard_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static bool hold(int fd, int access)
{
    bool closed = fcntl(fd, F_GETFD) < 0 && errno == EBADF;
    return !closed || open("/dev/null", access) == fd;
}

bool rd_standard_files_hold(const char *program)
{
    if (hold(STDIN_FILENO, O_WRONLY) && hold(STDOUT_FILENO, O_RDONLY) && hold(STDERR_FILENO, O_RDONLY))
        return true;
    fprintf(stderr, "%s: a standard file is closed, and /dev/null cannot stand for it\n", program);
    return false;
}
