/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/feed.h"

#include <stdlib.h>

#include "base/text.h"
#include "protocol/guards.h"
#include "tests/fuzz/dump.h"
#include "tests/fuzz/fuzz.h"

/* Byte by byte takes long: what lies further back is cut in larger pieces. */
#define BYTES_MAX       2048u
#define BYTES_PIECE_LEN 61u

struct feeding {
    const struct fuzz_feed *feed;
    struct rd_decoder *decoder;
    struct fuzz_fed *fed;
    bool in_chunks; /* the log's last line is a run of chunks and has no end yet */
    uint64_t chunks_id;
    bool last_taken; /* a request with close_after was handed out */
    size_t cut_at;   /* pieces so far */
};

struct rd_limits fuzz_limits(bool low)
{
    if (!low)
        return RD_LIMITS_DEFAULT;
    return (struct rd_limits){.body_len_max = 1000,
                              .header_len_max = 400,
                              .key_len_max = 16,
                              .batch_count_max = 4,
                              .stream_threshold = 100,
                              .stream_window = 64,
                              .chunk_len_max = 32,
                              .in_flight_max = 4};
}

enum rd_status fuzz_admit(void *context, const struct rd_asking *asking, size_t len, struct rd_error *ret_error)
{
    (void)context;
    FUZZ_CHECK(rd_operation_find(asking->opcode) != NULL);
    FUZZ_CHECK(len == 0 || len > RD_LIMITS_FEW);
    if (asking->store == NULL || asking->store->len % 2 == 0)
        return RD_OK;
    FUZZ_CHECK(asking->store->len <= RD_TEXT_STORE_NAME_LEN_MAX);
    return rd_error_set(ret_error, RD_FORBIDDEN, 0, "not in a store of %zu letters", asking->store->len);
}

struct rd_slice fuzz_take_cuts(struct rd_slice *input)
{
    return rd_slice_take(input, fuzz_take_u8(input) % 16);
}

/* ---- what comes out --------------------------------------------------------------------------------------- */

/* In its body, in what was made up for it, or in that of a request that was put into it. */
static bool is_owned(struct rd_slice slice, const struct rd_request *request)
{
    if (fuzz_is_inside(slice, rd_slice(request->body, request->body_len)) ||
        fuzz_is_inside(slice, rd_slice(request->detail, sizeof request->detail)))
        return true;
    for (const struct rd_request *part = request->parts; part != NULL; part = part->next)
        if (fuzz_is_inside(slice, rd_slice(part->body, part->body_len)))
            return true;
    return false;
}

static void check_key(const struct rd_message_key *key, const struct rd_request *request,
                      const struct rd_limits *limits)
{
    FUZZ_CHECK(is_owned(key->bytes, request));
    FUZZ_CHECK(key->bytes.len <= limits->key_len_max);
}

static void check_lists(const struct rd_request *request, const struct rd_limits *limits)
{
    FUZZ_CHECK(request->item_count <= limits->batch_count_max && request->look_count <= limits->batch_count_max);
    for (size_t i = 0; i < request->item_count; i++) {
        check_key(&request->items[i].key, request, limits);
        FUZZ_CHECK(is_owned(request->items[i].value, request));
    }
    for (size_t i = 0; i < request->look_count; i++)
        check_key(&request->looks[i].key, request, limits);
    if (request->guards != NULL)
        FUZZ_CHECK(request->guard_first + request->guard_count <= request->guards->count &&
                   request->guards->count <= limits->batch_count_max);
}

static void check_request(const struct rd_request *request, const struct rd_limits *limits)
{
    FUZZ_CHECK((unsigned)request->status < RD_STATUS_COUNT);
    FUZZ_CHECK((request->status == RD_OK) == (request->message == NULL));
    FUZZ_CHECK(request->message == NULL || request->message[0] != '\0');
    if (request->status != RD_OK)
        return; /* its other fields mean nothing */
    FUZZ_CHECK(rd_operation_find(request->opcode) != NULL);
    FUZZ_CHECK(request->streamed == (request->opcode == RD_OPCODE_WRITE_STREAM));
    FUZZ_CHECK(is_owned(request->store, request) && is_owned(request->target_store, request));
    FUZZ_CHECK(request->opcode == RD_OPCODE_PING || is_owned(request->value, request)); /* else it is constant */
    FUZZ_CHECK(is_owned(request->confirm, request) && is_owned(request->settings, request));
    FUZZ_CHECK(is_owned(request->not_versions, request));
    check_key(&request->key, request, limits);
    check_key(&request->target_key, request, limits);
    check_lists(request, limits);
}

static void end_line(struct feeding *feeding)
{
    if (feeding->in_chunks)
        rd_buffer_append_string(&feeding->fed->log, "\n");
    feeding->in_chunks = false;
}

static void take_request(struct feeding *feeding, struct rd_request *request)
{
    FUZZ_CHECK(request != NULL && !feeding->last_taken);
    check_request(request, feeding->feed->limits);
    end_line(feeding);
    fuzz_dump_request(request, &feeding->fed->log);
    feeding->last_taken = request->close_after;
    feeding->fed->continued |= request->opcode == RD_OPCODE_CONTINUE;
    if (feeding->feed->on_request != NULL)
        feeding->feed->on_request(request, feeding->feed->context);
    rd_request_destroy(request);
}

/* Pieces of one chunk depend on the cuts; what they are together does not. */
static void take_chunk(struct feeding *feeding, const struct rd_stream_part *part, struct rd_slice consumed)
{
    FUZZ_CHECK(part->bytes.len != 0 && fuzz_is_inside(part->bytes, consumed));
    if (!feeding->in_chunks || feeding->chunks_id != part->id) {
        end_line(feeding);
        rd_buffer_printf(&feeding->fed->log, "chunk %llu ", (unsigned long long)part->id);
    }
    feeding->in_chunks = true;
    feeding->chunks_id = part->id;
    rd_buffer_append_slice(&feeding->fed->log, part->bytes);
}

static void take_part(struct feeding *feeding, const struct rd_stream_part *part, struct rd_slice consumed)
{
    FUZZ_CHECK(!feeding->last_taken);
    if (part->kind == RD_STREAM_CHUNK) {
        take_chunk(feeding, part, consumed);
        return;
    }
    end_line(feeding);
    FUZZ_CHECK(part->status == RD_OK || part->kind == RD_STREAM_ABORT || part->kind == RD_STREAM_END);
    rd_buffer_printf(&feeding->fed->log, "part %d %llu", (int)part->kind, (unsigned long long)part->id);
    if (part->kind == RD_STREAM_CREDIT)
        rd_buffer_printf(&feeding->fed->log, " %llu", (unsigned long long)part->credit);
    if (part->kind == RD_STREAM_ABORT || part->status != RD_OK) {
        rd_buffer_printf(&feeding->fed->log, " %d", (int)part->status);
        fuzz_dump_slice("message", part->bytes, &feeding->fed->log);
    }
    if (part->condition.kind != RD_MESSAGE_IF_ANYTHING)
        rd_buffer_printf(&feeding->fed->log, " if=%d", (int)part->condition.kind);
    rd_buffer_append_string(&feeding->fed->log, "\n");
}

/* ---- what goes in ----------------------------------------------------------------------------------------- */

static void drain(struct feeding *feeding, struct rd_slice piece)
{
    const struct rd_codec *codec = feeding->feed->codec;
    struct rd_slice input = piece;
    for (;;) {
        struct rd_request *request = NULL;
        enum rd_decode result = codec->decode(feeding->decoder, &input, &request);
        FUZZ_CHECK(fuzz_is_inside(input, piece));
        if (result == RD_DECODE_REQUEST) {
            take_request(feeding, request);
            continue;
        }
        FUZZ_CHECK(request == NULL);
        if (result == RD_DECODE_PART) {
            struct rd_slice consumed = rd_slice(piece.data, piece.len - input.len);
            take_part(feeding, codec->part(feeding->decoder), consumed);
            continue;
        }
        feeding->fed->closed = result == RD_DECODE_CLOSED;
        FUZZ_CHECK(feeding->fed->closed || (input.len == 0 && !feeding->last_taken));
        return;
    }
}

static size_t next_len(struct feeding *feeding, size_t left)
{
    const struct fuzz_feed *feed = feeding->feed;
    size_t len = left;
    if (feed->cut == FUZZ_CUT_BYTES)
        len = feeding->cut_at++ < BYTES_MAX ? 1 : BYTES_PIECE_LEN;
    if (feed->cut == FUZZ_CUT_CHOSEN && feed->cut_lens.len != 0) {
        len = feed->cut_lens.data[feeding->cut_at++ % feed->cut_lens.len];
        len = len == 0 ? left : len < 128 ? len : (len - 127) * 64;
    }
    return len < left ? len : left;
}

static void feed_piece(struct feeding *feeding, struct rd_slice *bytes)
{
    const struct rd_codec *codec = feeding->feed->codec;
    size_t room = 0;
    uint8_t *target = codec->fill_target(feeding->decoder, &room);
    FUZZ_CHECK((target != NULL) == (room != 0));
    size_t len = next_len(feeding, bytes->len);
    if (target != NULL && feeding->feed->cut == FUZZ_CUT_CHOSEN) {
        len = len < room ? len : room;
        memcpy(target, rd_slice_take(bytes, len).data, len);
        codec->fill_done(feeding->decoder, len);
        drain(feeding, rd_slice(bytes->data, 0));
        return;
    }
    struct rd_slice piece = rd_slice_take(bytes, len);
    uint8_t *copy = fuzz_copy(piece);
    drain(feeding, rd_slice(copy, piece.len));
    free(copy);
}

void fuzz_feed(const struct fuzz_feed *feed, struct rd_slice bytes, struct fuzz_fed *ret_fed)
{
    *ret_fed = (struct fuzz_fed){.closed = false};
    rd_buffer_init(&ret_fed->log, 0);
    struct feeding feeding = {.feed = feed, .fed = ret_fed, .decoder = feed->codec->create(feed->limits)};
    FUZZ_CHECK(feeding.decoder != NULL);
    while (bytes.len != 0 && !ret_fed->closed)
        feed_piece(&feeding, &bytes);
    end_line(&feeding);
    ret_fed->mid_request = feed->codec->mid_request(feeding.decoder);
    if (ret_fed->closed) {
        drain(&feeding, rd_slice("more", 4));
        FUZZ_CHECK(ret_fed->closed);
    }
    feed->codec->destroy(feeding.decoder);
}

void fuzz_fed_deinit(struct fuzz_fed *fed)
{
    rd_buffer_deinit(&fed->log);
}

void fuzz_feed_all_ways(struct fuzz_feed *feed, struct rd_slice bytes)
{
    struct fuzz_fed whole;
    feed->cut = FUZZ_CUT_WHOLE;
    fuzz_feed(feed, bytes, &whole);
    feed->on_request = NULL;
    for (int cut = FUZZ_CUT_BYTES; cut < FUZZ_CUT_COUNT; cut++) {
        struct fuzz_fed fed;
        feed->cut = (enum fuzz_cut)cut;
        fuzz_feed(feed, bytes, &fed);
        fuzz_check_same("other cuts give other requests", &whole.log, &fed.log);
        FUZZ_CHECK(fed.closed == whole.closed && (whole.closed || fed.mid_request == whole.mid_request));
        fuzz_fed_deinit(&fed);
    }
    fuzz_fed_deinit(&whole);
}
