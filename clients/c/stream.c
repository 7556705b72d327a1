/* SPDX-License-Identifier: MIT
 *
 * stream.c - values of any size through the blocking client: pulled from a function in steps, or handed to one as
 * they come. Memory stays flat: a step here, a window in the server.
 *
 * Credit: the server takes stream_window bytes at once and tells when it can take more; of a value that comes to
 * us READ_WINDOW_LEN bytes may be under way, and what the caller's function has taken is given back in halves of
 * that.
 */
#include <stdlib.h>

#include "clients/c/convert.h"
#include "clients/c/exchange.h"

#define STEP_LEN        (64u << 10)
#define READ_WINDOW_LEN (1u << 20)

struct upload {
    struct rdrive_client *client; /* borrows */
    struct rd_request request;
    struct rd_binary_answer answer;
    bool answered;
    uint64_t credit; /* bytes that may be sent */
};

/* Looks at what came: more credit, or the answer. */
static enum rd_status take_input(struct upload *upload)
{
    bool is_part = false;
    enum rd_status status = rd_exchange_receive(upload->client, &upload->request, &upload->answer, &is_part);
    if (status != RD_OK)
        return status;
    const struct rd_stream_part *part = rd_binary_reader_part(&upload->client->reader);
    if (!is_part)
        upload->answered = true;
    else if (part->kind == RD_STREAM_CREDIT)
        upload->credit = part->credit > UINT64_MAX - upload->credit ? UINT64_MAX : upload->credit + part->credit;
    return RD_OK;
}

static enum rd_status send_part(struct upload *upload, enum rd_stream_part_kind kind, struct rd_slice bytes)
{
    struct rd_stream_part part = {.kind = kind, .id = upload->request.id, .bytes = bytes};
    enum rd_status status = rd_exchange_send_part(upload->client, &part);
    if (status != RD_IO_ERROR)
        return status;
    /* A server that hangs up in the middle may have said why before. */
    struct rd_error sending = upload->client->error;
    while (!upload->answered && take_input(upload) == RD_OK)
        ;
    if (upload->answered && upload->answer.response.status != RD_OK)
        return rd_exchange_refused(upload->client, &upload->answer.response);
    upload->client->error = sending;
    return sending.status;
}

/* Sends the source's bytes, until its end, its failure or an early answer. */
static enum rd_status send_source(struct upload *upload, rdrive_read_fn *read, void *context, uint8_t *step)
{
    for (;;) {
        enum rd_status status = RD_OK;
        while (status == RD_OK && !upload->answered &&
               (upload->credit == 0 || rd_exchange_has_input(upload->client)))
            status = take_input(upload);
        if (status != RD_OK)
            return status;
        if (upload->answered)
            return send_part(upload, RD_STREAM_ABORT, rd_slice(NULL, 0));
        size_t len_max =
            upload->client->limits.chunk_len_max < STEP_LEN ? upload->client->limits.chunk_len_max : STEP_LEN;
        if (len_max > upload->credit)
            len_max = (size_t)upload->credit;
        int64_t got = read(context, step, len_max);
        bool failed = got < 0 || (uint64_t)got > len_max;
        if (failed || got == 0) {
            status = send_part(upload, failed ? RD_STREAM_ABORT : RD_STREAM_END, rd_slice(NULL, 0));
            while (status == RD_OK && !upload->answered)
                status = take_input(upload);
            return status == RD_OK && failed
                       ? rd_error_set(&upload->client->error, (enum rd_status)RDRIVE_ABORTED, 0,
                                      "the source of the value failed; nothing was stored")
                       : status;
        }
        upload->credit -= (uint64_t)got;
        status = send_part(upload, RD_STREAM_CHUNK, rd_slice(step, (size_t)got));
        if (status != RD_OK)
            return status;
    }
}

enum rdrive_status rdrive_write_stream(struct rdrive_client *client, struct rdrive_key key, rdrive_read_fn *read,
                                       void *context, uint64_t len, const struct rdrive_write_options *options,
                                       struct rdrive_written *ret_written)
{
    struct upload upload = {.client = client, .request = rd_exchange_request(client, RD_OPCODE_WRITE_STREAM)};
    upload.request.key = rd_convert_key(key);
    upload.request.stream_len = len;
    rd_exchange_set_options(&upload.request, options);
    uint8_t *step = malloc(STEP_LEN);
    if (step == NULL)
        return rd_exchange_fail(client, RD_NO_MEMORY, "no memory for a stream");
    enum rd_status status = rd_exchange_begin(client, &upload.request);
    if (status != RD_OK)
        goto done;
    upload.credit = client->limits.chunk_len_max != 0 ? client->limits.stream_window : 0;
    status = send_source(&upload, read, context, step);
    if (status == RD_OK && upload.answer.response.status != RD_OK)
        status = rd_exchange_refused(client, &upload.answer.response);
    else if (status == RD_OK && ret_written != NULL)
        rd_convert_to_written(&upload.answer.response, ret_written);
done:
    if (status != RD_OK && !upload.answered)
        rd_exchange_disconnect(client);
    free(step);
    return (enum rdrive_status)status;
}

/* ---- reading ---------------------------------------------------------------------------------------------- */

struct download {
    struct rdrive_client *client; /* borrows */
    struct rd_request request;
    rdrive_write_fn *write;
    void *context;
    uint64_t left; /* bytes that are still to come */
    uint64_t owed; /* bytes of credit that have not been given back */
    bool ended;
    struct rdrive_part *ret_part;     /* read_stream; NULL: not wanted */
    struct rdrive_backup *ret_backup; /* backup; NULL: not wanted */
};

static enum rd_status take_chunk(struct download *download, struct rd_slice bytes)
{
    struct rdrive_client *client = download->client;
    if (bytes.len > download->left)
        return rd_error_set(&client->error, RD_IO_ERROR, 0, "the server sent more bytes than it announced");
    download->left -= bytes.len;
    struct rd_stream_part part = {.kind = RD_STREAM_ABORT, .id = download->request.id};
    if (!download->write(download->context, bytes.data, bytes.len)) {
        enum rd_status status = rd_exchange_send_part(client, &part);
        download->ended = status == RD_OK; /* what is still under way will be skipped */
        return rd_error_set(&client->error, (enum rd_status)RDRIVE_ABORTED, 0,
                            "the value was not taken to its end");
    }
    download->owed += bytes.len;
    if (download->owed < READ_WINDOW_LEN / 2 || download->left == 0)
        return RD_OK;
    part.kind = RD_STREAM_CREDIT;
    part.credit = download->owed;
    download->owed = 0;
    return rd_exchange_send_part(client, &part);
}

static enum rd_status take_part(struct download *download, const struct rd_stream_part *part)
{
    struct rdrive_client *client = download->client;
    switch (part->kind) {
    case RD_STREAM_CHUNK:
        return take_chunk(download, part->bytes);
    case RD_STREAM_END:
        download->ended = true;
        if (download->left != 0)
            return rd_error_set(&client->error, RD_IO_ERROR, 0, "the server sent fewer bytes than it announced");
        return RD_OK;
    case RD_STREAM_ABORT:
        download->ended = true;
        return rd_error_set(&client->error, part->status != RD_OK ? part->status : RD_IO_ERROR, 0,
                            "the server broke the value off: %.*s", (int)part->bytes.len,
                            part->bytes.len != 0 ? (const char *)part->bytes.data : "");
    case RD_STREAM_CREDIT: /* flows the other way */
        break;
    }
    return RD_OK;
}

static enum rd_status receive_value(struct download *download)
{
    struct rdrive_client *client = download->client;
    struct rd_binary_answer answer;
    bool answered = false;
    while (!download->ended) {
        bool is_part = false;
        enum rd_status status = rd_exchange_receive(client, &download->request, &answer, &is_part);
        if (status != RD_OK)
            return status;
        if (is_part != answered)
            return rd_error_set(&client->error, RD_IO_ERROR, 0,
                                "the server sent a part before its answer, or two answers");
        if (is_part) {
            status = take_part(download, rd_binary_reader_part(&client->reader));
            if (status != RD_OK)
                return status;
            continue;
        }
        answered = true;
        if (answer.response.status != RD_OK) {
            download->ended = true;
            return rd_exchange_refused(client, &answer.response);
        }
        download->left = answer.response.value.len;
        if (download->ret_part != NULL)
            rd_convert_to_part(&answer.response, download->ret_part);
        if (download->ret_backup != NULL)
            rd_convert_to_backup(&answer.response, download->ret_backup);
    }
    return RD_OK;
}

static enum rdrive_status run_download(struct download *download)
{
    download->request.stream_credit = READ_WINDOW_LEN;
    enum rd_status status = rd_exchange_begin(download->client, &download->request);
    if (status == RD_OK)
        status = receive_value(download);
    if (status != RD_OK && !download->ended)
        rd_exchange_disconnect(download->client);
    return (enum rdrive_status)status;
}

enum rdrive_status rdrive_read_stream(struct rdrive_client *client, struct rdrive_key key,
                                      const struct rdrive_range *range, rdrive_write_fn *write, void *context,
                                      struct rdrive_part *ret_part)
{
    struct download download = {.client = client,
                                .request = rd_exchange_request(client, RD_OPCODE_READ_STREAM),
                                .write = write,
                                .context = context,
                                .ret_part = ret_part};
    download.request.key = rd_convert_key(key);
    if (range != NULL)
        download.request.range = rd_convert_range(*range);
    return run_download(&download);
}

enum rdrive_status rdrive_backup(struct rdrive_client *client, uint64_t from, uint64_t generation,
                                 rdrive_write_fn *write, void *context, struct rdrive_backup *ret_backup)
{
    struct download download = {.client = client,
                                .request = rd_exchange_request(client, RD_OPCODE_BACKUP),
                                .write = write,
                                .context = context,
                                .ret_backup = ret_backup};
    download.request.backup_from = from;
    download.request.backup_generation = generation;
    return run_download(&download);
}
