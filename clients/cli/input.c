/* SPDX-License-Identifier: MIT */
#include "clients/cli/input.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define CHUNK_LEN (64u << 10)

static enum rd_status read_all(int fd, const char *name, struct rd_buffer *out, struct rd_error *ret_error)
{
    for (;;) {
        /* Where the bound is reached, one byte more is asked for, to see whether there is one. */
        size_t room = out->len_max != 0 ? out->len_max - out->len : CHUNK_LEN;
        uint8_t spare;
        uint8_t *to = room == 0 ? &spare : rd_buffer_reserve(out, room < CHUNK_LEN ? room : CHUNK_LEN);
        if (to == NULL)
            return rd_error_set(ret_error, RD_NO_MEMORY, 0, "%s: no memory for it", name);
        ssize_t got = read(fd, to, room == 0 ? 1 : room < CHUNK_LEN ? room : CHUNK_LEN);
        if (got == 0)
            return RD_OK;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return rd_error_set(ret_error, RD_IO_ERROR, errno, "%s: cannot be read", name);
        if (room == 0)
            return rd_error_set(ret_error, RD_TOO_LARGE, 0,
                                "%s: more than %zu bytes, which is the most that is taken", name, out->len_max);
        rd_buffer_commit(out, (size_t)got);
    }
}

enum rd_status rd_input_read(const char *path, struct rd_buffer *out, struct rd_error *ret_error)
{
    if (path == NULL)
        return read_all(STDIN_FILENO, "standard input", out, ret_error);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return rd_error_set(ret_error, RD_IO_ERROR, errno, "%s: cannot be opened", path);
    enum rd_status status = read_all(fd, path, out, ret_error);
    close(fd);
    return status;
}
