/* SPDX-License-Identifier: MIT */
#include "clients/cli/newfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of a store without entries; its settings are not the command's. */
static const char *const companions[] = {".meta", ".index"};

bool rd_newfile_make(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* The lock that stores are opened under keeps others from filling the file meanwhile; whoever waits for its name
 * finds that it leads elsewhere. */
static bool is_empty_and_ours(int fd, const char *path)
{
    struct stat opened;
    struct stat now;
    return flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &opened) == 0 && S_ISREG(opened.st_mode) &&
           opened.st_size == 0 && lstat(path, &now) == 0 && now.st_dev == opened.st_dev &&
           now.st_ino == opened.st_ino;
}

void rd_newfile_take_back(const char *path)
{
    char companion[PATH_MAX];
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return;
    if (is_empty_and_ours(fd, path)) {
        for (size_t i = 0; i < sizeof companions / sizeof companions[0]; i++)
            if (snprintf(companion, sizeof companion, "%s%s", path, companions[i]) < (int)sizeof companion)
                (void)unlink(companion);
        (void)unlink(path);
    }
    close(fd);
}
