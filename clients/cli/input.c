/* SPDX-License-Identifier: MIT */
#include "clients/cli/input.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_LEN (64u << 10)

enum rd_status rd_input_open(struct rd_input *input, const char *path, struct rd_error *ret_error)
{
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    if (fd < 0)
        return rd_error_set(ret_error, RD_IO_ERROR, errno, "%s: cannot be opened", path);
    struct stat file;
    bool regular = path != NULL && fstat(fd, &file) == 0 && S_ISREG(file.st_mode);
    *input = (struct rd_input){.fd = fd,
                               .name = path != NULL ? path : "standard input",
                               .len = regular && file.st_size > 0 ? (uint64_t)file.st_size : UINT64_MAX};
    return RD_OK;
}

void rd_input_close(struct rd_input *input)
{
    if (input->fd >= 0 && input->fd != STDIN_FILENO)
        close(input->fd);
    input->fd = -1;
}

int64_t rd_input_take(struct rd_input *input, void *to, size_t len)
{
    size_t done = 0;
    while (done < len) {
        ssize_t got = read(input->fd, (uint8_t *)to + done, len - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            input->os_errno = errno;
            return -1;
        }
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (int64_t)done;
}

static enum rd_status read_all(struct rd_input *input, struct rd_buffer *out, struct rd_error *ret_error)
{
    for (;;) {
        uint8_t chunk[CHUNK_LEN];
        int64_t got = rd_input_take(input, chunk, sizeof chunk);
        if (got < 0)
            return rd_error_set(ret_error, RD_IO_ERROR, input->os_errno, "%s: cannot be read", input->name);
        if (out->len_max != 0 && (size_t)got > out->len_max - out->len)
            return rd_error_set(ret_error, RD_TOO_LARGE, 0,
                                "%s: more than %zu bytes, which is the most that is taken", input->name,
                                out->len_max);
        rd_buffer_append(out, chunk, (size_t)got);
        if (out->failed)
            return rd_error_set(ret_error, RD_NO_MEMORY, 0, "%s: no memory for it", input->name);
        if ((size_t)got < sizeof chunk)
            return RD_OK;
    }
}

enum rd_status rd_input_read(const char *path, struct rd_buffer *out, struct rd_error *ret_error)
{
    struct rd_input input;
    enum rd_status status = rd_input_open(&input, path, ret_error);
    if (status != RD_OK)
        return status;
    status = read_all(&input, out, ret_error);
    rd_input_close(&input);
    return status;
}
