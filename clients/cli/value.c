/* SPDX-License-Identifier: MIT
 *
 * value.c - write and read: values of any size, with flat memory. A value that fits SHORT_LEN goes in one request;
 * only a longer one is a stream, and one that is longer than the server takes at once.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clients/cli/progress.h"
#include "clients/cli/run.h"

#define SHORT_LEN (1u << 20)

/* ---- write ------------------------------------------------------------------------------------------------ */

struct source {
    struct rd_input *input; /* borrows */
    struct rd_slice begin;  /* what has been read already */
    uint64_t left_len;      /* bytes that were announced and not given yet; UINT64_MAX: nothing was announced */
    struct rd_progress progress;
};

static int64_t give(void *context, void *to, size_t len_max)
{
    struct source *source = context;
    if (source->left_len < len_max)
        len_max = (size_t)source->left_len; /* a file that grows meanwhile */
    if (len_max == 0)
        return 0;
    int64_t got;
    if (source->begin.len != 0) {
        struct rd_slice taken = rd_slice_take(&source->begin, len_max);
        memcpy(to, taken.data, taken.len);
        got = (int64_t)taken.len;
    } else {
        got = rd_input_take(source->input, to, len_max);
    }
    if (got == 0 && source->left_len != UINT64_MAX)
        return -1; /* it has become shorter */
    if (got > 0 && source->left_len != UINT64_MAX)
        source->left_len -= (uint64_t)got;
    if (got > 0)
        rd_progress_add(&source->progress, (uint64_t)got);
    return got;
}

/* len: bytes in all; UINT64_MAX: until the input ends. */
static enum rd_status write_long(struct rd_run *run, struct rd_backend *backend, struct rd_slice begin,
                                 uint64_t len, struct rd_response *ret_response)
{
    struct source source = {.input = &run->input, .begin = begin, .left_len = len};
    run->request->opcode = RD_OPCODE_WRITE_STREAM;
    run->request->stream_len = len;
    rd_progress_begin(&source.progress, len, false);
    enum rd_status status =
        backend->calls->write_stream(backend, run->request, give, &source, ret_response, &run->error);
    rd_progress_end(&source.progress);
    if (status != RD_OK && run->input.os_errno != 0)
        rd_error_set(&run->error, RD_IO_ERROR, run->input.os_errno, "%s: cannot be read", run->input.name);
    return status;
}

static enum rd_status write_short(struct rd_run *run, struct rd_backend *backend, struct rd_slice value,
                                  struct rd_response *ret_response)
{
    run->request->value = value;
    enum rd_status status = backend->calls->execute(backend, run->request, ret_response, &run->error);
    return status == RD_TOO_LARGE ? write_long(run, backend, value, value.len, ret_response) : status;
}

static enum rd_status write_input(struct rd_run *run, struct rd_backend *backend, struct rd_response *ret_response)
{
    uint8_t *begin = malloc(SHORT_LEN);
    if (begin == NULL)
        return rd_error_set(&run->error, RD_NO_MEMORY, 0, "no memory to start with");
    int64_t len = rd_input_take(&run->input, begin, SHORT_LEN);
    enum rd_status status;
    if (len < 0) {
        status =
            rd_error_set(&run->error, RD_IO_ERROR, run->input.os_errno, "%s: cannot be read", run->input.name);
    } else if ((size_t)len < SHORT_LEN) {
        status = write_short(run, backend, rd_slice(begin, (size_t)len), ret_response);
    } else {
        status = write_long(run, backend, rd_slice(begin, (size_t)len), run->input.len, ret_response);
    }
    free(begin);
    return status;
}

int rd_run_write(struct rd_run *run, struct rd_backend *backend)
{
    struct rd_response response;
    enum rd_status status = run->input.fd >= 0 ? write_input(run, backend, &response)
                                               : write_short(run, backend, run->request->value, &response);
    if (status != RD_OK)
        return rd_run_fail(run);
    run->command->print(&response, run->options->json);
    return RD_EXIT_DONE;
}

/* ---- read ------------------------------------------------------------------------------------------------- */

struct sink {
    struct rd_buffer *text; /* borrows; NULL: standard output */
    struct rd_progress progress;
    bool begun;
    int os_errno; /* of a write that failed */
};

static bool take(void *context, const void *bytes, size_t len, uint64_t total_len)
{
    struct sink *sink = context;
    if (!sink->begun)
        rd_progress_begin(&sink->progress, total_len, sink->text != NULL || isatty(STDOUT_FILENO) == 1);
    sink->begun = true;
    if (sink->text != NULL) {
        rd_buffer_append(sink->text, bytes, len);
        return !sink->text->failed;
    }
    errno = 0;
    if (fwrite(bytes, 1, len, stdout) != len) {
        sink->os_errno = errno;
        return false;
    }
    rd_progress_add(&sink->progress, len);
    return true;
}

int rd_run_read(struct rd_run *run, struct rd_backend *backend)
{
    struct rd_buffer text;
    rd_buffer_init(&text, 0);
    struct sink sink = {.text = run->options->json ? &text : NULL};
    struct rd_response response;
    enum rd_status status =
        backend->calls->read_stream(backend, run->request, take, &sink, &response, &run->error);
    rd_progress_end(&sink.progress);
    if (sink.os_errno != 0)
        rd_error_set(&run->error, RD_IO_ERROR, sink.os_errno, "cannot write to standard output");
    else if (text.failed)
        rd_error_set(&run->error, RD_NO_MEMORY, 0, "no memory for the value as JSON");
    if (status == RD_OK && run->options->json) {
        response.value = rd_buffer_slice(&text);
        rd_print_json_value(&response);
    }
    rd_buffer_deinit(&text);
    return status == RD_OK ? RD_EXIT_DONE : rd_run_fail(run);
}
