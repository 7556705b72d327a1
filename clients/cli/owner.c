/* SPDX-License-Identifier: MIT */
#include "clients/cli/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "protocol/json_settings.h"

static const char *const endings[RD_OWNER_FILES] = {"", ".meta", ".index", RD_JSON_SETTINGS_SUFFIX};

/* Of one of a store's files. False: it would be too long. */
static bool make_path(char ret_path[PATH_MAX], const char *path, size_t file)
{
    return snprintf(ret_path, PATH_MAX, "%s%s", path, endings[file]) < PATH_MAX;
}

struct rd_owner rd_owner_of(const char *path)
{
    struct stat found;
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s/", slash != NULL ? (int)(slash - path) : 1, slash != NULL ? path : ".");
    if (geteuid() != 0 || (lstat(path, &found) != 0 && stat(folder, &found) != 0))
        return (struct rd_owner){.known = false};
    struct rd_owner owner = {.known = found.st_uid != 0, .uid = found.st_uid, .gid = found.st_gid};
    char file[PATH_MAX];
    for (size_t i = 0; i < RD_OWNER_FILES; i++)
        if (make_path(file, path, i) && lstat(file, &found) == 0 && found.st_uid == 0)
            owner.kept[i] = found.st_ino;
    return owner;
}

/* Who owns the folder may have put something else there meanwhile: neither a link nor a file of another name is
 * given away. */
static int give(const struct rd_owner *owner, const char *path, ino_t kept)
{
    struct stat found;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || errno == ELOOP ? 0 : errno;
    int failed = fstat(fd, &found) != 0 ? errno : 0;
    bool ours =
        failed == 0 && S_ISREG(found.st_mode) && found.st_nlink == 1 && found.st_uid == 0 && found.st_ino != kept;
    if (ours && fchown(fd, owner->uid, owner->gid) != 0)
        failed = errno;
    close(fd);
    return failed;
}

void rd_owner_give(const struct rd_owner *owner, const char *path)
{
    char file[PATH_MAX];
    for (size_t i = 0; owner->known && i < RD_OWNER_FILES; i++) {
        int failed = make_path(file, path, i) ? give(owner, file, owner->kept[i]) : 0;
        if (failed != 0)
            fprintf(stderr, "rdrive: %s: cannot be given to user %u: %s\n", file, (unsigned)owner->uid,
                    strerror(failed));
    }
}
