/* SPDX-License-Identifier: MIT */
#include "base/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* As many bytes as there are, or len_max. Negative: errno says why. */
static ssize_t read_up_to(int fd, char *to, size_t len_max)
{
    size_t len = 0;
    while (len < len_max) {
        ssize_t got = read(fd, to + len, len_max - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return got;
        if (got == 0)
            break;
        len += (size_t)got;
    }
    return (ssize_t)len;
}

static size_t without_line_end(const char *text, size_t len)
{
    if (len != 0 && text[len - 1] == '\n')
        len--;
    if (len != 0 && text[len - 1] == '\r')
        len--;
    return len;
}

enum rd_status rd_secret_file_read(const char *path, char *to, size_t to_size, struct rd_error *ret_error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return rd_error_set(ret_error, RD_INVALID_ARGUMENT, errno, "cannot open %.150s", path);
    ssize_t got = read_up_to(fd, to, to_size);
    int os_errno = errno;
    close(fd);
    if (got < 0)
        return rd_error_set(ret_error, RD_INVALID_ARGUMENT, os_errno, "cannot read %.150s", path);
    size_t len = without_line_end(to, (size_t)got);
    if ((size_t)got == to_size)
        return rd_error_set(ret_error, RD_INVALID_ARGUMENT, 0, "%.150s is longer than %zu bytes", path,
                            to_size - 1);
    if (len == 0)
        return rd_error_set(ret_error, RD_INVALID_ARGUMENT, 0, "%.150s is empty", path);
    if (memchr(to, '\n', len) != NULL || memchr(to, '\0', len) != NULL)
        return rd_error_set(ret_error, RD_INVALID_ARGUMENT, 0, "%.150s holds more than one line of text", path);
    to[len] = '\0';
    return RD_OK;
}

enum rd_status rd_secret_find(const char *path, const char *environment, char *to, size_t to_size,
                              const char **ret_secret, struct rd_error *ret_error)
{
    if (path == NULL) {
        *ret_secret = environment != NULL && environment[0] != '\0' ? environment : NULL;
        return RD_OK;
    }
    enum rd_status status = rd_secret_file_read(path, to, to_size, ret_error);
    if (status == RD_OK)
        *ret_secret = to;
    return status;
}
