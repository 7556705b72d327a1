/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/scratch.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

static char folder[64];

static void remove_folder(void)
{
    rmdir(folder);
}

static const char *folder_path(void)
{
    if (folder[0] == '\0') {
        bool in_memory = access("/dev/shm", W_OK) == 0;
        snprintf(folder, sizeof folder, "%s/rdrive-fuzz-XXXXXX", in_memory ? "/dev/shm" : "/tmp");
        FUZZ_CHECK(mkdtemp(folder) != NULL);
        atexit(remove_folder);
    }
    return folder;
}

static int no_sync(void *self, int fd)
{
    (void)self;
    (void)fd;
    return 0;
}

const struct rd_io *fuzz_io(void)
{
    static struct rd_io io;
    if (io.open == NULL) {
        io = rd_io_system;
        io.fdatasync = no_sync;
        io.fsync = no_sync;
    }
    return &io;
}

static const char *path_of(const char *ending)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/s.rdr%s", folder_path(), ending);
    return path;
}

const char *fuzz_store_path(void)
{
    static char path[128];
    if (path[0] == '\0')
        snprintf(path, sizeof path, "%s/s.rdr", folder_path());
    return path;
}

void fuzz_write_file(const char *ending, struct rd_slice bytes)
{
    int fd = open(path_of(ending), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FUZZ_CHECK(fd >= 0 && write(fd, bytes.data, bytes.len) == (ssize_t)bytes.len);
    close(fd);
}

bool fuzz_read_file(const char *ending, struct rd_buffer *out)
{
    struct stat found;
    int fd = open(path_of(ending), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    FUZZ_CHECK(fstat(fd, &found) == 0);
    uint8_t *to = rd_buffer_reserve(out, (size_t)found.st_size + 1);
    FUZZ_CHECK(to != NULL && read(fd, to, (size_t)found.st_size) == (ssize_t)found.st_size);
    rd_buffer_commit(out, (size_t)found.st_size);
    close(fd);
    return true;
}

bool fuzz_unlink(const char *ending)
{
    return unlink(path_of(ending)) == 0;
}

/* Calls `each` with the folder and a name in it; returns how many there are. */
static unsigned walk(void (*each)(DIR *dir, const char *name))
{
    unsigned count = 0;
    DIR *dir = opendir(folder_path());
    FUZZ_CHECK(dir != NULL);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        count++;
        if (each != NULL)
            each(dir, entry->d_name);
    }
    closedir(dir);
    return count;
}

static void unlink_in(DIR *dir, const char *name)
{
    FUZZ_CHECK(unlinkat(dirfd(dir), name, 0) == 0);
}

unsigned fuzz_count_files(void)
{
    return walk(NULL);
}

void fuzz_empty_folder(void)
{
    walk(unlink_in);
}
