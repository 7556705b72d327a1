/* SPDX-License-Identifier: MIT */
#include "engine/attributes.h"

#include <errno.h>
#include <limits.h>
#include <linux/limits.h>
#include <linux/xattr.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "engine/datafile.h"
#include "engine/engine.h"

struct taking {
    const struct rd_io *io; /* borrows */
    int from;
    int to;
    char names[XATTR_LIST_MAX + 1]; /* terminated, one behind the other */
    uint8_t value[XATTR_SIZE_MAX];
};

/* As opposed to what is not done here, or not by us, now or ever. */
static bool is_trouble(int failed)
{
    return failed == ENOSPC || failed == EDQUOT || failed == EIO || failed == ENOMEM || failed == EINTR;
}

static bool begins_with(const char *name, const char *beginning)
{
    return strncmp(name, beginning, strlen(beginning)) == 0;
}

static bool is_taken_over(const char *name)
{
    return begins_with(name, XATTR_USER_PREFIX) ||
           (begins_with(name, XATTR_SECURITY_PREFIX) && strcmp(name, XATTR_NAME_IMA) != 0 &&
            strcmp(name, XATTR_NAME_EVM) != 0);
}

/* *ret_taken false: the new file does not have it. 0 or an errno value, and then it is trouble. */
static int take(struct taking *taking, const char *name, bool *ret_taken)
{
    const struct rd_io *io = taking->io;
    ssize_t len = io->fgetxattr(io->self, taking->from, name, taking->value, sizeof taking->value);
    *ret_taken = len >= 0 && io->fsetxattr(io->self, taking->to, name, taking->value, (size_t)len) == 0;
    return *ret_taken || !is_trouble(errno) ? 0 : errno;
}

static int take_all(struct taking *taking)
{
    const struct rd_io *io = taking->io;
    ssize_t len = io->flistxattr(io->self, taking->from, taking->names, sizeof taking->names - 1);
    if (len < 0)
        return is_trouble(errno) ? errno : 0; /* there are none on this file system */
    taking->names[len] = '\0';
    int failed = 0;
    for (const char *name = taking->names; failed == 0 && *name != '\0'; name += strlen(name) + 1) {
        bool taken;
        if (is_taken_over(name))
            failed = take(taking, name, &taken);
    }
    return failed;
}

/* *ret_same false: who may do what is not to be told from the permissions any more. */
static int take_acl(struct taking *taking, bool *ret_same)
{
    const struct rd_io *io = taking->io;
    ssize_t len = io->fgetxattr(io->self, taking->from, XATTR_NAME_POSIX_ACL_ACCESS, NULL, 0);
    if (len >= 0)
        return take(taking, XATTR_NAME_POSIX_ACL_ACCESS, ret_same);
    if (is_trouble(errno))
        return errno;
    bool has_acls = errno == ENODATA;
    int failed = io->fremovexattr(io->self, taking->to, XATTR_NAME_POSIX_ACL_ACCESS) == 0 ? 0 : errno;
    *ret_same = !has_acls || failed == 0 || failed == ENODATA;
    return is_trouble(failed) ? failed : 0;
}

/* Nobody but its owner can open the new file before all of that is as it was. */
static int take_over(struct taking *taking)
{
    const struct rd_io *io = taking->io;
    struct stat old;
    struct stat made;
    if (io->fstat(io->self, taking->from, &old) != 0)
        return errno;
    int failed = rd_datafile_give_away(io, taking->to, &old, old.st_mode & S_IRWXU);
    if (failed == 0 && io->fstat(io->self, taking->to, &made) != 0)
        failed = errno;
    if (failed == 0)
        failed = take_all(taking);
    if (failed != 0)
        return failed;
    bool same = made.st_gid == old.st_gid; /* an ACL speaks of the file's group, too */
    if (same)
        failed = take_acl(taking, &same);
    if (failed != 0 || !same)
        return failed;
    return io->fchmod(io->self, taking->to, old.st_mode & 0777) == 0 ? 0 : errno;
}

int rd_attributes_take_over(const struct rd_io *io, int from, int to)
{
    struct taking *taking = malloc(sizeof *taking);
    if (taking == NULL)
        return ENOMEM;
    taking->io = io;
    taking->from = from;
    taking->to = to;
    int failed = take_over(taking);
    free(taking);
    return failed;
}

int rd_file_take_over(int from, int to)
{
    return rd_attributes_take_over(&rd_io_system, from, to);
}
