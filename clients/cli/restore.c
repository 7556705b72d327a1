/* SPDX-License-Identifier: MIT
 *
 * restore.c - restore: a store's file is made out of a backup, offline.
 *
 * The backup is copied beside the store's file, and it is the copy that is opened and looked at as a whole: so a
 * bad disk on either side is noticed, and it has companions of its own and a new generation. Only then it takes
 * the old file's place. The old file's companions go before that and the new ones come behind it: at no moment is
 * one beside a file that it does not speak of, and a file without any is a whole store. Until then nothing has
 * happened to the old file, which is locked all the time.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clients/cli/backup_file.h"
#include "clients/cli/progress.h"
#include "clients/cli/run.h"
#include "engine/engine.h"

#define STEP_LEN     (1u << 20)
#define VERIFY_BYTES (UINT64_C(256) << 20) /* at once; longer than a batch that came over the network */

struct restore {
    struct rd_run *run;        /* borrows */
    const char *source;        /* borrows; the backup's path */
    const char *target;        /* borrows; the store's */
    char copy[PATH_MAX];       /* TARGET.restore */
    int source_fd;             /* owned, locked for others that write; -1 */
    int target_fd;             /* owned, locked for all others; -1: there is no such file */
    struct stat owner;         /* whom the file is to belong to: the old one's, or the folder's */
    uint64_t len;              /* bytes of the backup */
    struct rd_store_info info; /* of the new store */
    struct rd_progress progress;
};

static const char *const companions[] = {".meta", ".index"};
#define COMPANION_COUNT (sizeof companions / sizeof companions[0])

static enum rd_status fail(struct restore *restore, const char *path, const char *what)
{
    enum rd_status status = errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? RD_NO_SPACE : RD_IO_ERROR;
    return rd_error_set(&restore->run->error, status, errno, "%s: cannot be %s; nothing was restored", path, what);
}

/* ---- what it is made of ------------------------------------------------------------------------------------ */

/* A run of backup that was ended may have left more than was whole; without a note all of it is the backup. */
static enum rd_status find_len(struct restore *restore, uint64_t size)
{
    struct rd_backup_note note;
    restore->len = size;
    if (!rd_backup_note_load(restore->source, &note))
        return RD_OK;
    if (note.whole_len == RD_BACKUP_NONE || note.whole_len > size)
        return rd_error_set(&restore->run->error, RD_CORRUPT, 0,
                            note.whole_len == RD_BACKUP_NONE
                                ? "%s: the note beside it (.backup) says that it never was complete"
                                : "%s: it has been cut: the note beside it (.backup) tells of more bytes",
                            restore->source);
    restore->len = note.whole_len;
    if (restore->len < size)
        fprintf(stderr,
                "rdrive: restore: %s: %" PRIu64 " bytes at its end, of a backup that was ended, are left out\n",
                restore->source, size - restore->len);
    return RD_OK;
}

static enum rd_status open_source(struct restore *restore, struct stat *ret_file)
{
    restore->source_fd = open(restore->source, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (restore->source_fd < 0 || fstat(restore->source_fd, ret_file) != 0)
        return fail(restore, restore->source, "opened");
    if (!S_ISREG(ret_file->st_mode))
        return rd_error_set(&restore->run->error, RD_NOT_A_STORE, 0, "%s is not a regular file", restore->source);
    if (flock(restore->source_fd, LOCK_SH | LOCK_NB) != 0)
        return rd_error_set(&restore->run->error, RD_UNAVAILABLE, 0, "%s is open in another process",
                            restore->source);
    return find_len(restore, (uint64_t)ret_file->st_size);
}

static void folder_of(const char *path, char ret_folder[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    snprintf(ret_folder, PATH_MAX, "%.*s/", slash != NULL ? (int)(slash - path) : 1, slash != NULL ? path : ".");
}

static enum rd_status examine_folder(struct restore *restore)
{
    char folder[PATH_MAX];
    folder_of(restore->target, folder);
    return stat(folder, &restore->owner) == 0 ? RD_OK : fail(restore, folder, "found");
}

static enum rd_status open_target(struct restore *restore, const struct stat *source)
{
    struct rd_error *error = &restore->run->error;
    struct stat now;
    restore->target_fd = open(restore->target, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (restore->target_fd < 0)
        return errno == ENOENT ? examine_folder(restore) : fail(restore, restore->target, "opened");
    if (fstat(restore->target_fd, &restore->owner) != 0)
        return fail(restore, restore->target, "examined");
    if (!S_ISREG(restore->owner.st_mode))
        return rd_error_set(error, RD_CONFLICT, 0, "%s is not a regular file", restore->target);
    if (restore->owner.st_dev == source->st_dev && restore->owner.st_ino == source->st_ino)
        return rd_error_set(error, RD_CONFLICT, 0, "%s is the store's file itself", restore->source);
    if (flock(restore->target_fd, LOCK_EX | LOCK_NB) != 0 || fstat(restore->target_fd, &restore->owner) != 0 ||
        stat(restore->target, &now) != 0 || now.st_ino != restore->owner.st_ino)
        return rd_error_set(error, RD_UNAVAILABLE, 0, "%s is open in another process; stop that one",
                            restore->target);
    if (restore->owner.st_size != 0 && !restore->run->options->force)
        return rd_error_set(error, RD_CONFLICT, 0, "%s is there; what it holds is gone with --force",
                            restore->target);
    return RD_OK;
}

/* ---- the copy --------------------------------------------------------------------------------------------- */

/* Whether it is the copy, or what opening has left beside it. Names of stores may hold dots: NAME.rdr.restore.rdr
 * is a store, and what has that in front belongs to it. */
static bool is_of_copy(const char *file, const char *copy)
{
    size_t len = strlen(copy);
    if (strncmp(file, copy, len) != 0 || (file[len] != '\0' && file[len] != '.'))
        return false;
    for (const char *at = strstr(file + len, ".rdr"); at != NULL; at = strstr(at + 1, ".rdr"))
        if (at[4] == '\0' || at[4] == '.')
            return false;
    return true;
}

static void discard_copy(const struct restore *restore)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(restore->copy, '/');
    const char *name = slash != NULL ? slash + 1 : restore->copy;
    folder_of(restore->copy, folder);
    DIR *open_folder = opendir(folder);
    const struct dirent *found;
    while (open_folder != NULL && (found = readdir(open_folder)) != NULL)
        if (is_of_copy(found->d_name, name))
            (void)unlinkat(dirfd(open_folder), found->d_name, 0);
    if (open_folder != NULL)
        closedir(open_folder);
}

static enum rd_status write_all(struct restore *restore, int fd, struct rd_slice bytes)
{
    while (bytes.len != 0) {
        ssize_t written = write(fd, bytes.data, bytes.len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return fail(restore, restore->copy, "written");
        (void)rd_slice_take(&bytes, (size_t)written);
    }
    return RD_OK;
}

static enum rd_status copy_bytes(struct restore *restore, int fd)
{
    static uint8_t step[STEP_LEN];
    enum rd_status status = RD_OK;
    uint64_t at = 0;
    while (status == RD_OK && at < restore->len) {
        size_t wanted = restore->len - at < STEP_LEN ? (size_t)(restore->len - at) : STEP_LEN;
        ssize_t got = pread(restore->source_fd, step, wanted, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail(restore, restore->source, "read");
        if (got == 0)
            return rd_error_set(&restore->run->error, RD_CORRUPT, 0, "%s has become shorter meanwhile",
                                restore->source);
        status = write_all(restore, fd, rd_slice(step, (size_t)got));
        at += (uint64_t)got;
        rd_progress_add(&restore->progress, (uint64_t)got);
    }
    return status;
}

static enum rd_status make_copy(struct restore *restore)
{
    discard_copy(restore); /* of a run that was ended */
    int fd = open(restore->copy, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(restore, restore->copy, "made");
    enum rd_status status = copy_bytes(restore, fd);
    if (status == RD_OK && fsync(fd) != 0)
        status = fail(restore, restore->copy, "synced");
    close(fd);
    return status;
}

/* ---- looking at it ---------------------------------------------------------------------------------------- */

/* Bytes 0xFF are what a live store's file ends in at times. */
static enum rd_status check_end(struct restore *restore, uint64_t tail)
{
    uint8_t step[4096];
    for (uint64_t at = tail; at < restore->len;) {
        size_t wanted = restore->len - at < sizeof step ? (size_t)(restore->len - at) : sizeof step;
        ssize_t got = pread(restore->source_fd, step, wanted, (off_t)at);
        if (got <= 0)
            return fail(restore, restore->source, "read");
        for (ssize_t i = 0; i < got; i++)
            if (step[i] != 0xFF)
                return rd_error_set(&restore->run->error, RD_CORRUPT, 0,
                                    "%s is torn: bytes %" PRIu64 " to %" PRIu64
                                    " are no whole entry or batch; nothing was restored",
                                    restore->source, tail, restore->len);
        at += (uint64_t)got;
    }
    return RD_OK;
}

static enum rd_status refuse_damage(struct restore *restore, const struct rd_problem *first, uint64_t count)
{
    static const char *const kinds[] = {
        [RD_PROBLEM_PAYLOAD] = "do not match their checksum",
        [RD_PROBLEM_PAD] = "should be zeros",
        [RD_PROBLEM_BATCH] = "count entries that are not there",
        [RD_PROBLEM_CHAIN] = "cannot be told apart into entries",
    };
    return rd_error_set(&restore->run->error, RD_CORRUPT, 0,
                        "%s is damaged: bytes %" PRIu64 " to %" PRIu64 " %s%s; nothing was restored",
                        restore->source, first->offset, first->offset + first->len, kinds[first->kind],
                        count > 1 ? ", and more (rdrive --file ... verify lists them)" : "");
}

static enum rd_status verify(struct restore *restore, struct rd_store *store)
{
    static struct rd_verification step;
    struct rd_problem first = {.len = 0};
    uint64_t count = 0;
    step.next = 0;
    do {
        enum rd_status status = rd_store_verify(store, step.next, VERIFY_BYTES, &step);
        if (status != RD_OK)
            return rd_error_set(&restore->run->error, status, 0, "%s cannot be read", restore->copy);
        if (step.problem_count != 0) /* oldest last, and that is the one that is named */
            first =
                step.problems[(step.problem_count < RD_PROBLEMS_MAX ? step.problem_count : RD_PROBLEMS_MAX) - 1];
        count += step.problem_count;
        rd_progress_add(&restore->progress, step.bytes);
    } while (step.next != 0);
    return count == 0 ? RD_OK : refuse_damage(restore, &first, count);
}

/* Opening would repair a torn end, and it is only a copy: but then it is not all that the backup is. */
static enum rd_status examine(struct restore *restore)
{
    struct rd_store *store;
    struct rd_error error;
    enum rd_status status = rd_store_open(restore->copy, NULL, &store, &error);
    if (status == RD_NOT_A_STORE)
        return rd_error_set(&restore->run->error, status, 0,
                            "%s is not a store: no entry in it is whole; nothing was restored", restore->source);
    if (status != RD_OK)
        return rd_error_set(&restore->run->error, status, 0, "%s; nothing was restored", error.message);
    status = verify(restore, store);
    if (status == RD_OK)
        status = check_end(restore, rd_store_file_size(store));
    rd_store_info(store, &restore->info);
    rd_store_close(store);
    return status;
}

/* ---- putting it in place ---------------------------------------------------------------------------------- */

static enum rd_status take_over_attributes(struct restore *restore)
{
    int fd = open(restore->copy, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return fail(restore, restore->copy, "opened");
    int failed = rd_file_take_over(restore->target_fd, fd);
    if (failed == 0 && fsync(fd) != 0)
        failed = errno;
    close(fd);
    errno = failed;
    return failed == 0 ? RD_OK : fail(restore, restore->copy, "given to its owner");
}

/* For root, who restores what a daemon's user is to open, and for whose own the old file was. Anybody else's files
 * are their own. */
static enum rd_status give_away(struct restore *restore)
{
    char path[PATH_MAX];
    enum rd_status status = RD_OK;
    if (restore->target_fd >= 0 && (geteuid() == 0 || geteuid() == restore->owner.st_uid))
        status = take_over_attributes(restore);
    if (status != RD_OK || geteuid() != 0)
        return status;
    if (restore->target_fd < 0 && chown(restore->copy, restore->owner.st_uid, restore->owner.st_gid) != 0)
        return fail(restore, restore->copy, "given to its owner");
    for (size_t i = 0; i < COMPANION_COUNT; i++) {
        status = rd_backup_path(restore->copy, companions[i], path, &restore->run->error);
        if (status != RD_OK)
            return status;
        if (chown(path, restore->owner.st_uid, restore->owner.st_gid) != 0 && errno != ENOENT)
            return fail(restore, path, "given to its owner");
    }
    return RD_OK;
}

static enum rd_status take_old_companions(struct restore *restore)
{
    char path[PATH_MAX];
    for (size_t i = 0; i < COMPANION_COUNT; i++) {
        enum rd_status status = rd_backup_path(restore->target, companions[i], path, &restore->run->error);
        if (status != RD_OK)
            return status;
        if (unlink(path) != 0 && errno != ENOENT)
            return fail(restore, path, "removed");
    }
    return rd_backup_sync_folder(restore->target) ? RD_OK : fail(restore, restore->target, "replaced");
}

/* A file that has come to be there meanwhile is somebody's. */
static int take_place(const struct restore *restore)
{
    if (restore->target_fd >= 0)
        return rename(restore->copy, restore->target);
    int result = renameat2(AT_FDCWD, restore->copy, AT_FDCWD, restore->target, RENAME_NOREPLACE);
    return result != 0 && errno == EINVAL ? rename(restore->copy, restore->target) : result;
}

static enum rd_status put_in_place(struct restore *restore)
{
    char from[PATH_MAX];
    char to[PATH_MAX];
    enum rd_status status = take_old_companions(restore);
    if (status != RD_OK)
        return status;
    if (take_place(restore) != 0)
        return fail(restore, restore->target, "replaced");
    bool synced = rd_backup_sync_folder(restore->target);
    for (size_t i = 0; i < COMPANION_COUNT; i++)
        if (rd_backup_path(restore->copy, companions[i], from, NULL) == RD_OK &&
            rd_backup_path(restore->target, companions[i], to, NULL) == RD_OK)
            (void)!rename(from, to); /* without them it opens too */
    if (synced && rd_backup_sync_folder(restore->target))
        return RD_OK;
    return rd_error_set(&restore->run->error, RD_IO_ERROR, errno,
                        "%s is restored, but a power cut may still bring the old file back", restore->target);
}

/* ---- the command ------------------------------------------------------------------------------------------ */

static enum rd_status run(struct restore *restore)
{
    struct stat source;
    enum rd_status status = rd_backup_path(restore->target, ".restore", restore->copy, &restore->run->error);
    if (status == RD_OK)
        status = open_source(restore, &source);
    if (status == RD_OK)
        status = open_target(restore, &source);
    if (status != RD_OK)
        return status;
    rd_progress_begin(&restore->progress, 2 * restore->len, false);
    status = make_copy(restore);
    if (status == RD_OK)
        status = examine(restore);
    rd_progress_end(&restore->progress);
    if (status == RD_OK)
        status = give_away(restore);
    if (status == RD_OK)
        status = put_in_place(restore);
    if (status != RD_OK)
        discard_copy(restore);
    return status;
}

int rd_run_restore(struct rd_run *command, struct rd_backend *backend)
{
    (void)backend;
    struct restore restore = {.run = command,
                              .source = command->options->args[0],
                              .target = command->options->file_path,
                              .source_fd = -1,
                              .target_fd = -1};
    enum rd_status status = run(&restore);
    if (restore.source_fd >= 0)
        close(restore.source_fd);
    if (restore.target_fd >= 0)
        close(restore.target_fd);
    if (status != RD_OK)
        return rd_run_fail(command);
    printf(command->options->json ? "{\"generation\":\"%016" PRIx64 "\",\"tail\":%" PRIu64 ",\"entries\":%" PRIu64
                                    "}\n"
                                  : "generation %016" PRIx64 "\ntail %" PRIu64 "\nentries %" PRIu64 "\n",
           restore.info.generation, restore.info.tail, restore.info.entries);
    return RD_EXIT_DONE;
}
