/* SPDX-License-Identifier: MIT */
#include "server/store_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "protocol/json_settings.h"
#include "server/log.h"

#define SUFFIX         ".rdr"
#define FILE_NAME_SIZE 160

static void make_file_name(const char *name, const char *companion, char ret_file[FILE_NAME_SIZE])
{
    snprintf(ret_file, FILE_NAME_SIZE, "%s" SUFFIX "%s", name, companion);
}

enum rd_status rd_store_files_open_folder(const char *path, int *ret_folder_fd, struct rd_error *ret_error)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return rd_error_set(ret_error, RD_IO_ERROR, errno, "data folder %s: cannot be made", path);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return rd_error_set(ret_error, RD_IO_ERROR, errno, "data folder %s: cannot be opened", path);
    if (faccessat(fd, ".", R_OK | W_OK | X_OK, AT_EACCESS) != 0) {
        int os_errno = errno;
        close(fd);
        return rd_error_set(ret_error, RD_IO_ERROR, os_errno, "data folder %s: cannot be written", path);
    }
    *ret_folder_fd = fd;
    return RD_OK;
}

/* ---- scanning --------------------------------------------------------------------------------------------- */

/* "NAME.rdr" to NAME. */
static bool split_store_file(const char *file, char *ret_name, size_t name_size)
{
    size_t len = strlen(file);
    size_t suffix_len = sizeof SUFFIX - 1;
    if (len <= suffix_len || strcmp(file + len - suffix_len, SUFFIX) != 0)
        return false;
    len -= suffix_len;
    if (len >= name_size || !rd_text_is_store_name(rd_slice(file, len)))
        return false;
    memcpy(ret_name, file, len);
    ret_name[len] = '\0';
    return true;
}

static bool is_store_file(int folder_fd, const char *file)
{
    struct stat stat;
    if (fstatat(folder_fd, file, &stat, AT_SYMLINK_NOFOLLOW) != 0) {
        rd_log(RD_LOG_WARN, "%s: cannot be examined, skipped: %s", file, strerror(errno));
        return false;
    }
    if (S_ISREG(stat.st_mode))
        return true;
    rd_log(RD_LOG_WARN, "%s: %s, not served", file,
           S_ISLNK(stat.st_mode) ? "a symbolic link" : "not a regular file");
    return false;
}

enum rd_status rd_store_files_scan(int folder_fd, bool (*found)(void *context, const char *name), void *context,
                                   struct rd_error *ret_error)
{
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (folder == NULL) {
        int os_errno = errno;
        if (fd >= 0)
            close(fd);
        return rd_error_set(ret_error, RD_IO_ERROR, os_errno, "data folder: cannot be read");
    }
    enum rd_status status = RD_OK;
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(folder);
        if (entry == NULL)
            break;
        char name[FILE_NAME_SIZE];
        if (!split_store_file(entry->d_name, name, sizeof name) || !is_store_file(folder_fd, entry->d_name))
            continue;
        if (!found(context, name)) {
            status = rd_error_set(ret_error, RD_NO_MEMORY, 0, "data folder: no memory for its stores");
            break;
        }
    }
    if (status == RD_OK && errno != 0)
        status = rd_error_set(ret_error, RD_IO_ERROR, errno, "data folder: cannot be read");
    closedir(folder);
    return status;
}

bool rd_store_files_exist(int folder_fd, const char *name)
{
    char file[FILE_NAME_SIZE];
    make_file_name(name, "", file);
    struct stat stat;
    return fstatat(folder_fd, file, &stat, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

enum rd_status rd_store_files_check(int folder_fd, const char *name, const char *data_dir,
                                    struct rd_error *ret_error)
{
    char file[FILE_NAME_SIZE];
    make_file_name(name, "", file);
    struct stat stat;
    if (fstatat(folder_fd, file, &stat, AT_SYMLINK_NOFOLLOW) != 0)
        return rd_error_set(ret_error, RD_IO_ERROR, errno, "cannot open %s/%s", data_dir, file);
    if (!S_ISREG(stat.st_mode))
        return rd_error_set(ret_error, RD_NOT_A_STORE, 0, "%s/%s is not a regular file", data_dir, file);
    return RD_OK;
}

/* ---- settings --------------------------------------------------------------------------------------------- */

static bool write_all(int fd, struct rd_slice bytes)
{
    while (bytes.len != 0) {
        ssize_t written = write(fd, bytes.data, bytes.len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        (void)rd_slice_take(&bytes, (size_t)written);
    }
    return true;
}

/* Whatever has that name goes first: a pipe would hold up who opens it. */
static bool write_file(int folder_fd, const char *file, struct rd_slice bytes)
{
    if (unlinkat(folder_fd, file, 0) != 0 && errno != ENOENT)
        return false;
    int fd = openat(folder_fd, file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    bool good = write_all(fd, bytes) && fsync(fd) == 0;
    int os_errno = errno;
    close(fd);
    errno = os_errno;
    return good;
}

enum rd_status rd_store_files_save_settings(int folder_fd, const char *name, const struct rd_settings *settings,
                                            struct rd_error *ret_error)
{
    char file[FILE_NAME_SIZE];
    char temporary[FILE_NAME_SIZE];
    make_file_name(name, RD_JSON_SETTINGS_SUFFIX, file);
    make_file_name(name, RD_JSON_SETTINGS_SUFFIX ".tmp", temporary);

    bool good;
    if (rd_settings_are_defaults(settings)) {
        good = unlinkat(folder_fd, file, 0) == 0 || errno == ENOENT;
    } else {
        struct rd_buffer text;
        rd_buffer_init(&text, RD_JSON_SETTINGS_LEN_MAX);
        rd_settings_format(settings, &text);
        good = !text.failed && write_file(folder_fd, temporary, rd_buffer_slice(&text)) &&
               renameat(folder_fd, temporary, folder_fd, file) == 0;
        rd_buffer_deinit(&text);
    }
    if (good && fsync(folder_fd) == 0)
        return RD_OK;
    int os_errno = errno;
    return rd_error_set(ret_error, os_errno == ENOSPC ? RD_NO_SPACE : RD_IO_ERROR, os_errno,
                        "%s: cannot be written", file);
}

struct rd_settings rd_store_files_load_settings(int folder_fd, const char *name)
{
    struct rd_settings settings = {.durability = RD_DURABILITY_DEFAULT};
    char file[FILE_NAME_SIZE];
    make_file_name(name, RD_JSON_SETTINGS_SUFFIX, file);
    int fd = openat(folder_fd, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return settings;

    char text[RD_JSON_SETTINGS_LEN_MAX];
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text); /* of a pipe 0 or none: nobody is waited for */
    struct rd_error error = {.message = "cannot be read"};
    if (len <= 0 || rd_settings_parse(rd_slice(text, (size_t)len), &settings, &error) != RD_OK) {
        rd_log(RD_LOG_WARN, "%s: %s; the store runs with durability sync", file, error.message);
        settings = (struct rd_settings){.durability = RD_DURABILITY_SYNC};
    }
    if (fd >= 0)
        close(fd);
    return settings;
}

/* ---- removal ---------------------------------------------------------------------------------------------- */

/* "a.rdr.meta" belongs to "a"; "a.rdr.b.rdr" is a store of its own and "a.rdr.b.rdr.meta" belongs to that: store
 * names may hold dots. */
static bool is_companion(const char *file, const char *store_file)
{
    size_t len = strlen(store_file);
    if (strncmp(file, store_file, len) != 0 || file[len] != '.')
        return false;
    for (const char *at = strstr(file + len, SUFFIX); at != NULL; at = strstr(at + 1, SUFFIX))
        if (at[sizeof SUFFIX - 1] == '\0' || at[sizeof SUFFIX - 1] == '.')
            return false;
    return true;
}

static void remove_companions(int folder_fd, const char *store_file)
{
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (folder == NULL) {
        rd_log(RD_LOG_WARN, "%s.*: cannot be listed, left behind: %s", store_file, strerror(errno));
        if (fd >= 0)
            close(fd);
        return;
    }
    struct dirent *entry;
    while ((entry = readdir(folder)) != NULL)
        if (is_companion(entry->d_name, store_file) && unlinkat(folder_fd, entry->d_name, 0) != 0)
            rd_log(RD_LOG_WARN, "%s: cannot be removed: %s", entry->d_name, strerror(errno));
    closedir(folder);
}

enum rd_status rd_store_files_remove(int folder_fd, const char *name, struct rd_error *ret_error)
{
    char file[FILE_NAME_SIZE];
    make_file_name(name, "", file);
    if (unlinkat(folder_fd, file, 0) != 0 && errno != ENOENT)
        return rd_error_set(ret_error, RD_IO_ERROR, errno, "%s: cannot be removed", file);
    remove_companions(folder_fd, file);
    if (fsync(folder_fd) != 0)
        return rd_error_set(ret_error, RD_IO_ERROR, errno, "data folder: cannot be synced");
    return RD_OK;
}
