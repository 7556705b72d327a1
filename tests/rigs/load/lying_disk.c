/* SPDX-License-Identifier: MIT
 *
 * lying_disk.c - preloaded into a daemon, it makes every sync a lie: nothing is written, and success is told. A
 * rig that cuts the power has to find that out.
 */
#include <unistd.h>

__attribute__((visibility("default"))) int fdatasync(int fd)
{
    (void)fd;
    return 0;
}

__attribute__((visibility("default"))) int fsync(int fd)
{
    (void)fd;
    return 0;
}
