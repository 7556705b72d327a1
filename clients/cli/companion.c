/* SPDX-License-Identifier: MIT */
#include "clients/cli/companion.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

static bool make_path(const char *path, const char *more, char ret_path[PATH_MAX])
{
    int len = snprintf(ret_path, PATH_MAX, "%s" RD_JSON_SETTINGS_SUFFIX "%s", path, more);
    return len > 0 && len < PATH_MAX;
}

/* Bytes, or negative. */
static ssize_t read_short(const char *path, char to[RD_JSON_SETTINGS_LEN_MAX])
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, to, RD_JSON_SETTINGS_LEN_MAX);
    int os_errno = errno;
    if (fd >= 0)
        close(fd);
    errno = os_errno;
    return len;
}

struct rd_json_settings rd_companion_load(const char *path)
{
    struct rd_json_settings settings = {.durability = RD_MESSAGE_DURABILITY_DEFAULT};
    struct rd_error error = {.message = "cannot be read"};
    char companion[PATH_MAX];
    char text[RD_JSON_SETTINGS_LEN_MAX];
    if (!make_path(path, "", companion))
        return settings; /* nor can there be a store of that name */
    ssize_t len = read_short(companion, text);
    if (len < 0 && errno == ENOENT)
        return settings;
    if (len <= 0 || rd_json_settings_parse(rd_slice(text, (size_t)len), &settings, &error) != RD_OK)
        fprintf(stderr, "rdrive: %s: %s; it is left aside\n", companion, error.message);
    return settings;
}

/* A text that short is written at once or not at all. */
static bool write_synced(const char *path, struct rd_slice text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool good = fd >= 0 && write(fd, text.data, text.len) == (ssize_t)text.len && fsync(fd) == 0;
    int os_errno = errno;
    if (fd >= 0)
        close(fd);
    errno = os_errno;
    return good;
}

enum rd_status rd_companion_save(const char *path, const struct rd_json_settings *settings,
                                 struct rd_error *ret_error)
{
    char companion[PATH_MAX];
    char temporary[PATH_MAX];
    if (!make_path(path, "", companion) || !make_path(path, ".tmp", temporary))
        return rd_error_set(ret_error, RD_INVALID_ARGUMENT, ENAMETOOLONG, "%.100s", path);
    bool good;
    if (rd_json_settings_are_defaults(settings)) {
        good = unlink(companion) == 0 || errno == ENOENT || errno == ENOTDIR;
    } else {
        struct rd_buffer text;
        rd_buffer_init(&text, RD_JSON_SETTINGS_LEN_MAX);
        rd_json_settings_encode(settings, &text);
        good =
            !text.failed && write_synced(temporary, rd_buffer_slice(&text)) && rename(temporary, companion) == 0;
        rd_buffer_deinit(&text);
    }
    if (good)
        return RD_OK;
    return rd_error_set(ret_error, RD_IO_ERROR, errno, "%s: cannot be written", companion);
}
