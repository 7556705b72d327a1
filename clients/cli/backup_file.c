/* SPDX-License-Identifier: MIT */
#include "clients/cli/backup_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOTE_LEN_MAX 256u
#define NOTE_FORMAT  "rdrive-backup 1\ngeneration %016" PRIx64 "\nwhole %s\nsynced %" PRIu64 "\n"
#define STEP_LEN     4096u

enum rd_status rd_backup_path(const char *path, const char *ending, char ret_path[PATH_MAX],
                              struct rd_error *ret_error)
{
    int len = snprintf(ret_path, PATH_MAX, "%s%s", path, ending);
    if (len > 0 && len < PATH_MAX)
        return RD_OK;
    return rd_error_set(ret_error, RD_INVALID_ARGUMENT, ENAMETOOLONG, "%.100s", path);
}

bool rd_backup_sync_folder(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int len = slash == NULL ? 0 : slash == path ? 1 : (int)(slash - path);
    snprintf(folder, sizeof folder, "%.*s", slash == NULL ? 1 : len, slash == NULL ? "." : path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && fsync(fd) == 0;
    int os_errno = errno;
    if (fd >= 0)
        close(fd);
    errno = os_errno;
    return good;
}

static enum rd_status fail(const char *path, const char *what, struct rd_error *ret_error)
{
    enum rd_status status = errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? RD_NO_SPACE : RD_IO_ERROR;
    return rd_error_set(ret_error, status, errno, "%s: cannot be %s", path, what);
}

/* ---- notes ------------------------------------------------------------------------------------------------ */

static bool parse_note(const char *text, struct rd_backup_note *ret_note)
{
    struct rd_backup_note note = {.whole_len = RD_BACKUP_NONE};
    char whole[24];
    int end = 0;
    if (sscanf(text, "rdrive-backup 1 generation %16" SCNx64 " whole %23s synced %" SCNu64 " %n", &note.generation,
               whole, &note.synced_len, &end) != 3 ||
        text[end] != '\0' || note.generation == 0)
        return false;
    if (strcmp(whole, "none") != 0 && (sscanf(whole, "%" SCNu64 "%n", &note.whole_len, &end) != 1 ||
                                       whole[end] != '\0' || note.whole_len > note.synced_len))
        return false;
    *ret_note = note;
    return true;
}

static bool note_path(const char *path, const char *more, char ret_path[PATH_MAX])
{
    int len = snprintf(ret_path, PATH_MAX, "%s.backup%s", path, more);
    return len > 0 && len < PATH_MAX;
}

bool rd_backup_note_load(const char *path, struct rd_backup_note *ret_note)
{
    char name[PATH_MAX];
    char text[NOTE_LEN_MAX];
    if (!note_path(path, "", name))
        return false;
    int fd = open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    if (len <= 0)
        return false;
    text[len] = '\0';
    return parse_note(text, ret_note);
}

/* Replaces the note at once, or not at all. */
static bool save_note(const char *path, const struct rd_backup_note *note)
{
    char name[PATH_MAX];
    char temporary[PATH_MAX];
    char whole[24] = "none";
    char text[NOTE_LEN_MAX];
    if (!note_path(path, "", name) || !note_path(path, ".new", temporary)) {
        errno = ENAMETOOLONG;
        return false;
    }
    if (note->whole_len != RD_BACKUP_NONE)
        snprintf(whole, sizeof whole, "%" PRIu64, note->whole_len);
    int len = snprintf(text, sizeof text, NOTE_FORMAT, note->generation, whole, note->synced_len);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool good = fd >= 0 && write(fd, text, (size_t)len) == len && fsync(fd) == 0;
    int os_errno = errno;
    if (fd >= 0)
        close(fd);
    errno = os_errno;
    return good && rename(temporary, name) == 0 && rd_backup_sync_folder(path);
}

/* ---- the bytes -------------------------------------------------------------------------------------------- */

/* The lock holds for the file that the descriptor has; its name may have gone to another one by now. */
static bool is_still_at(const char *path, const struct stat *opened)
{
    struct stat now;
    return stat(path, &now) == 0 && now.st_dev == opened->st_dev && now.st_ino == opened->st_ino;
}

static enum rd_status lock(const struct rd_backup_file *file, uint64_t *ret_size, struct rd_error *ret_error)
{
    struct stat opened;
    if (fstat(file->fd, &opened) != 0)
        return fail(file->path, "examined", ret_error);
    if (!S_ISREG(opened.st_mode))
        return rd_error_set(ret_error, RD_CONFLICT, 0, "%s is not a regular file", file->path);
    if (flock(file->fd, LOCK_EX | LOCK_NB) != 0 || !is_still_at(file->path, &opened))
        return rd_error_set(ret_error, RD_UNAVAILABLE, 0, "%s is in use by another process", file->path);
    if (fstat(file->fd, &opened) != 0)
        return fail(file->path, "examined", ret_error);
    *ret_size = (uint64_t)opened.st_size;
    return RD_OK;
}

enum rd_status rd_backup_file_open(struct rd_backup_file *file, const char *path, bool make,
                                   struct rd_error *ret_error)
{
    *file = (struct rd_backup_file){.fd = -1};
    uint64_t size = 0;
    enum rd_status status = rd_backup_path(path, "", file->path, ret_error);
    if (status != RD_OK)
        return status;
    file->fd = open(path, O_RDWR | (make ? O_CREAT : 0) | O_NONBLOCK | O_CLOEXEC, 0600);
    if (file->fd < 0)
        return errno == ENOENT && !make ? RD_OK : fail(path, "opened", ret_error);
    status = lock(file, &size, ret_error);
    if (status != RD_OK) {
        rd_backup_file_close(file);
        return status;
    }
    file->noted = rd_backup_note_load(path, &file->note) && file->note.synced_len <= size;
    file->len = file->noted ? file->note.synced_len : size;
    if (file->noted && file->len < size && ftruncate(file->fd, (off_t)file->len) != 0) {
        status = fail(path, "cut", ret_error);
        rd_backup_file_close(file);
    }
    return status;
}

void rd_backup_file_close(struct rd_backup_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

enum rd_status rd_backup_file_begin(struct rd_backup_file *file, uint64_t generation, struct rd_error *ret_error)
{
    char name[PATH_MAX];
    enum rd_status status = rd_backup_path(file->path, ".backup", name, ret_error);
    if (status != RD_OK)
        return status;
    /* The old note goes first: it must never speak of the new bytes. */
    if ((unlink(name) != 0 && errno != ENOENT) || ftruncate(file->fd, 0) != 0)
        return fail(file->path, "emptied", ret_error);
    file->len = 0;
    file->note = (struct rd_backup_note){.generation = generation, .whole_len = RD_BACKUP_NONE};
    return rd_backup_file_keep(file, false, ret_error);
}

enum rd_status rd_backup_file_append(struct rd_backup_file *file, struct rd_slice bytes,
                                     struct rd_error *ret_error)
{
    while (bytes.len != 0) {
        ssize_t written = pwrite(file->fd, bytes.data, bytes.len, (off_t)file->len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return fail(file->path, "written", ret_error);
        file->len += (uint64_t)written;
        (void)rd_slice_take(&bytes, (size_t)written);
    }
    return RD_OK;
}

bool rd_backup_file_agrees(const struct rd_backup_file *file, uint64_t offset, struct rd_slice bytes)
{
    uint8_t step[STEP_LEN];
    while (bytes.len != 0) {
        size_t wanted = bytes.len < sizeof step ? bytes.len : sizeof step;
        ssize_t got = pread(file->fd, step, wanted, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0 || memcmp(step, bytes.data, (size_t)got) != 0)
            return false;
        offset += (uint64_t)got;
        (void)rd_slice_take(&bytes, (size_t)got);
    }
    return true;
}

enum rd_status rd_backup_file_keep(struct rd_backup_file *file, bool complete, struct rd_error *ret_error)
{
    if (fdatasync(file->fd) != 0)
        return fail(file->path, "synced", ret_error);
    file->note.synced_len = file->len;
    if (complete)
        file->note.whole_len = file->len;
    file->noted = save_note(file->path, &file->note);
    return file->noted ? RD_OK : fail(file->path, "noted in its .backup", ret_error);
}

/* ---- a whole new one -------------------------------------------------------------------------------------- */

struct names {
    char part[PATH_MAX];
    char part_note[PATH_MAX];
    char note[PATH_MAX];
};

static enum rd_status make_names(const char *path, struct names *ret_names, struct rd_error *ret_error)
{
    enum rd_status status = rd_backup_path(path, ".part", ret_names->part, ret_error);
    if (status == RD_OK)
        status = rd_backup_path(path, ".part.backup", ret_names->part_note, ret_error);
    if (status == RD_OK)
        status = rd_backup_path(path, ".backup", ret_names->note, ret_error);
    return status;
}

enum rd_status rd_backup_file_publish(const char *path, struct rd_error *ret_error)
{
    struct names names;
    enum rd_status status = make_names(path, &names, ret_error);
    if (status != RD_OK)
        return status;
    if ((unlink(names.note) != 0 && errno != ENOENT) || !rd_backup_sync_folder(path) ||
        rename(names.part, path) != 0 || !rd_backup_sync_folder(path) ||
        rename(names.part_note, names.note) != 0 || !rd_backup_sync_folder(path))
        return fail(path, "put in place", ret_error);
    return RD_OK;
}

enum rd_status rd_backup_file_settle(const char *path, struct rd_error *ret_error)
{
    struct names names;
    struct rd_backup_note note;
    struct stat file;
    enum rd_status status = make_names(path, &names, ret_error);
    if (status != RD_OK || !rd_backup_note_load(names.part, &note) || note.whole_len == RD_BACKUP_NONE)
        return status;
    struct rd_backup_file part;
    status = rd_backup_file_open(&part, names.part, false, ret_error);
    if (status != RD_OK)
        return status;
    if (part.fd >= 0) {
        if (part.noted && part.len == note.whole_len)
            status = rd_backup_file_publish(path, ret_error);
        rd_backup_file_close(&part);
        return status;
    }
    /* Its bytes have got their name, the note has not. */
    if (stat(path, &file) == 0 && (uint64_t)file.st_size == note.whole_len && access(names.note, F_OK) != 0 &&
        rename(names.part_note, names.note) != 0)
        return fail(path, "put in place", ret_error);
    return RD_OK;
}

void rd_backup_file_discard_part(const char *path)
{
    struct names names;
    if (make_names(path, &names, NULL) != RD_OK)
        return;
    (void)unlink(names.part);
    (void)unlink(names.part_note);
}
