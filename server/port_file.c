/* SPDX-License-Identifier: MIT */
#include "server/port_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"

#define TEXT_LEN_MAX 4096u

static void append_member(struct rd_buffer *text, const char *name, const char *value)
{
    rd_buffer_printf(text, "\"%s\":\"", name);
    for (; *value != '\0'; value++) {
        unsigned char c = (unsigned char)*value;
        if (c == '"' || c == '\\' || c < ' ')
            rd_buffer_printf(text, "\\u%04x", (unsigned)c);
        else
            rd_buffer_append_u8(text, c);
    }
    rd_buffer_append_string(text, "\",");
}

/* Short enough for the kernel to take in one piece; anything else is a failure. */
static bool write_file(const char *path, struct rd_slice text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return false;
    ssize_t written = write(fd, text.data, text.len);
    if (written >= 0 && (size_t)written != text.len)
        errno = ENOSPC;
    int os_errno = errno;
    close(fd);
    errno = os_errno;
    return written >= 0 && (size_t)written == text.len;
}

enum rd_status rd_port_file_write(const char *path, const struct rd_port_file *contents,
                                  struct rd_error *ret_error)
{
    struct rd_buffer text;
    rd_buffer_init(&text, TEXT_LEN_MAX);
    rd_buffer_append_string(&text, "{");
    append_member(&text, "binary", contents->binary);
    append_member(&text, "http", contents->http);
    if (contents->redis[0] != '\0')
        append_member(&text, "redis", contents->redis);
    if (contents->unix_path[0] != '\0')
        append_member(&text, "unix", contents->unix_path);
    rd_buffer_printf(&text, "\"pid\":%ld}\n", (long)getpid());

    char temporary[4200];
    int len = snprintf(temporary, sizeof temporary, "%s.%ld.tmp", path, (long)getpid());
    bool good = !text.failed && (size_t)len < sizeof temporary && write_file(temporary, rd_buffer_slice(&text)) &&
                rename(temporary, path) == 0;
    int os_errno = errno;
    rd_buffer_deinit(&text);
    if (good)
        return RD_OK;
    unlink(temporary);
    return rd_error_set(ret_error, RD_IO_ERROR, os_errno, "port file %s: cannot be written", path);
}
