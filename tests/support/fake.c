/* SPDX-License-Identifier: MIT */
#include "tests/support/fake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "protocol/binary.h"

static void send_all(int fd, const void *bytes, size_t len, bool dribble)
{
    size_t done = 0;
    while (done < len) {
        ssize_t sent = send(fd, (const uint8_t *)bytes + done, dribble ? 1 : len - done, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        done += (size_t)sent;
    }
}

static void send_answer(const struct fake_server *fake, int fd, const struct rd_request *request,
                        const struct rd_response *response, size_t len_max)
{
    struct rd_buffer out;
    rd_buffer_init(&out, 0);
    size_t follow_len = rd_binary_codec.encode(request, response, &out);
    if (follow_len != 0 && response->value.data != NULL)
        rd_buffer_append(&out, response->value.data, follow_len);
    send_all(fd, out.data, out.len < len_max ? out.len : len_max, fake->manner == FAKE_DRIBBLE);
    rd_buffer_deinit(&out);
}

static void send_part(int fd, const struct rd_stream_part *part)
{
    struct rd_buffer out;
    rd_buffer_init(&out, 0);
    rd_binary_codec.encode_part(part, &out);
    if (part->kind == RD_STREAM_CHUNK)
        rd_buffer_append(&out, part->bytes.data, part->bytes.len);
    send_all(fd, out.data, out.len, false);
    rd_buffer_deinit(&out);
}

static void download(struct fake_server *fake, int fd, uint64_t credit)
{
    static const uint8_t bytes[64 << 10];
    while (credit != 0 && fake->download_left != 0) {
        size_t len = sizeof bytes < credit ? sizeof bytes : (size_t)credit;
        if (len > fake->download_left)
            len = (size_t)fake->download_left;
        send_part(fd, &(struct rd_stream_part){
                          .kind = RD_STREAM_CHUNK, .id = fake->download_id, .bytes = rd_slice(bytes, len)});
        credit -= len;
        fake->download_left -= len;
        if (fake->manner == FAKE_CUT_DOWNLOAD)
            fake->download_left = 0;
    }
    if (fake->download_left != 0 || fake->download_id == 0)
        return;
    struct rd_stream_part last = {.kind = RD_STREAM_END, .id = fake->download_id};
    if (fake->manner == FAKE_BREAK_DOWNLOAD)
        last = (struct rd_stream_part){.kind = RD_STREAM_ABORT,
                                       .id = fake->download_id,
                                       .status = RD_CORRUPT,
                                       .bytes = rd_slice_of_string("rotten")};
    send_part(fd, &last);
    fake->download_id = 0;
}

/* False: the connection ends here. */
static bool answer(struct fake_server *fake, int fd, struct rd_request *request)
{
    struct rd_response response = {.offset = 64, .tail = 128, .count = 1, .limits = RD_LIMITS_DEFAULT};
    if (request->opcode == RD_OPCODE_HELLO) {
        if (fake->manner == FAKE_REFUSE_HELLO)
            response = (struct rd_response){.status = RD_UNSUPPORTED, .message = "version 7 only"};
        if (fake->manner != FAKE_MUTE)
            send_answer(fake, fd, request, &response, SIZE_MAX);
        return true;
    }
    fake->request_count++;
    fake->last_id = request->id;
    bool tenth = fake->request_count == 10 && fake->connection_count == 1;
    if (fake->manner == FAKE_SILENT)
        return true;
    if (fake->manner == FAKE_GARBAGE && tenth)
        send_all(fd, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 16, false);
    if (fake->manner == FAKE_HALF_ON_TENTH && tenth)
        send_answer(fake, fd, request, &response, 10);
    if ((fake->manner == FAKE_CLOSE_ON_TENTH || fake->manner == FAKE_HALF_ON_TENTH) && tenth)
        return false;
    if (fake->manner == FAKE_FOREIGN_ID)
        request->id += 1000000;
    if (fake->manner == FAKE_OTHER_OPCODE)
        request->opcode = request->opcode == RD_OPCODE_WRITE ? RD_OPCODE_PING : RD_OPCODE_WRITE;
    if (request->opcode == RD_OPCODE_WRITE_STREAM) {
        fake->upload_id = request->id;
        return true;
    }
    if (request->opcode == RD_OPCODE_READ)
        response.value = rd_slice_of_string("of the fake");
    if (rd_opcode_is_download(request->opcode)) {
        response.value = rd_slice(NULL, FAKE_VALUE_LEN);
        response.value_len = FAKE_VALUE_LEN;
        response.generation = FAKE_GENERATION;
        response.range_first = request->backup_from;
        response.tail = request->backup_from + FAKE_VALUE_LEN;
        fake->download_id = request->id;
        fake->download_left = fake->manner == FAKE_LONG_DOWNLOAD ? FAKE_VALUE_LEN + 1 : FAKE_VALUE_LEN;
    }
    send_answer(fake, fd, request, &response, SIZE_MAX);
    if (rd_opcode_is_download(request->opcode))
        download(fake, fd, request->stream_credit);
    return true;
}

static void end_upload(struct fake_server *fake, int fd, enum rd_status status)
{
    struct rd_request request = {
        .opcode = RD_OPCODE_WRITE_STREAM, .codec_flags = RD_OPCODE_WRITE_STREAM, .id = fake->upload_id};
    struct rd_response response = {.status = status, .tail = fake->uploaded_len};
    fake->upload_id = 0;
    send_answer(fake, fd, &request, &response, SIZE_MAX);
}

static void take_part(struct fake_server *fake, int fd, const struct rd_stream_part *part)
{
    bool uploading = part->id == fake->upload_id && fake->upload_id != 0;
    if (part->kind == RD_STREAM_ABORT)
        fake->aborted = true;
    if (part->kind == RD_STREAM_CREDIT) {
        download(fake, fd, part->credit);
    } else if (part->kind == RD_STREAM_ABORT && part->id == fake->download_id) {
        fake->download_id = 0;
        send_part(fd, &(struct rd_stream_part){.kind = RD_STREAM_ABORT, .id = part->id});
    } else if (part->kind == RD_STREAM_CHUNK && uploading && fake->manner == FAKE_REFUSE_STREAM) {
        end_upload(fake, fd, RD_NO_SPACE);
    } else if (part->kind == RD_STREAM_CHUNK && uploading) {
        fake->uploaded_len += part->bytes.len;
        send_part(fd,
                  &(struct rd_stream_part){.kind = RD_STREAM_CREDIT, .id = part->id, .credit = part->bytes.len});
    } else if (part->kind != RD_STREAM_CHUNK && uploading) {
        end_upload(fake, fd, part->kind == RD_STREAM_END ? RD_OK : RD_INVALID_ARGUMENT);
    }
}

static void serve(struct fake_server *fake, int fd)
{
    struct rd_limits limits = RD_LIMITS_DEFAULT;
    struct rd_decoder *decoder = rd_binary_codec.create(&limits);
    static uint8_t bytes[64 << 10];
    bool goes_on = decoder != NULL;
    fake->request_count = 0;
    fake->upload_id = 0;
    fake->download_id = 0;
    while (goes_on) {
        ssize_t got = recv(fd, bytes, sizeof bytes, 0);
        if (got <= 0)
            break;
        struct rd_slice input = rd_slice(bytes, (size_t)got);
        enum rd_decode decoded = RD_DECODE_REQUEST;
        while (goes_on && (decoded == RD_DECODE_REQUEST || decoded == RD_DECODE_PART)) {
            struct rd_request *request;
            decoded = rd_binary_codec.decode(decoder, &input, &request);
            if (decoded == RD_DECODE_PART)
                take_part(fake, fd, rd_binary_codec.part(decoder));
            if (decoded == RD_DECODE_REQUEST) {
                goes_on = answer(fake, fd, request);
                rd_request_destroy(request);
            }
        }
    }
    rd_binary_codec.destroy(decoder);
}

static void *run_fake(void *argument)
{
    struct fake_server *fake = argument;
    for (;;) {
        int fd = accept(fake->listen_fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        fake->connection_count++;
        serve(fake, fd);
        close(fd);
    }
}

void fake_start(struct fake_server *fake)
{
    fake->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fake->listen_fd >= 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    assert_int_equal(bind(fake->listen_fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(fake->listen_fd, (struct sockaddr *)&address, &len), 0);
    fake->port = ntohs(address.sin_port);
    assert_int_equal(listen(fake->listen_fd, 8), 0);
    assert_int_equal(pthread_create(&fake->thread, NULL, run_fake, fake), 0);
}

void fake_stop(struct fake_server *fake)
{
    shutdown(fake->listen_fd, SHUT_RDWR); /* wakes accept */
    pthread_join(fake->thread, NULL);
    close(fake->listen_fd);
}
