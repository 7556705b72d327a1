/* SPDX-License-Identifier: MIT
 *
 * input.h - values and JSON from a file or from standard input.
 */
#ifndef RD_CLIENTS_CLI_INPUT_H
#define RD_CLIENTS_CLI_INPUT_H

#include "base/buffer.h"
#include "base/status.h"

/* A file, or standard input, that is read once from its beginning to its end. fd is -1 where it is not open. */
struct rd_input {
    int fd;           /* owned, but for standard input */
    const char *name; /* borrows; for messages */
    uint64_t len;     /* bytes, of a regular file; UINT64_MAX: not known */
    int os_errno;     /* of a read that failed; 0: none */
};

/* path NULL: standard input. */
enum rd_status rd_input_open(struct rd_input *input, const char *path, struct rd_error *ret_error) RD_MUST_CHECK;
void rd_input_close(struct rd_input *input);

/* Up to len bytes: how many, fewer only at the end, negative where it failed (input->os_errno). */
int64_t rd_input_take(struct rd_input *input, void *to, size_t len);

/* Appends all of path, or of standard input where path is NULL. RD_TOO_LARGE: more than out->len_max bytes. */
enum rd_status rd_input_read(const char *path, struct rd_buffer *out, struct rd_error *ret_error) RD_MUST_CHECK;

#endif
