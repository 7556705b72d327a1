/* SPDX-License-Identifier: MIT
 *
 * The binary protocol as a client meets it: what a server sends, and requests of any fields.
 *
 *   input   | choices u8 | cut count u8, cuts | what a server sends, or the fields of a request |
 *
 * choices: 1 low limits, 2 the connection is greeted already, 4 the bytes are repeated to 20 KiB and more, 8 it is
 * a request.
 *
 *  1. However the bytes are cut, the reader makes the same of them, and once broken it stays so.
 *  2. Its slices lie in the body that it has, which can be taken away; counts are within the limits.
 *  3. An answer that is accepted comes back the same from the server's encoder and another reader.
 *  4. A request that the encoder takes is well-formed to the decoder, with the same fields; of one that it does
 * not take nothing is left in the buffer. */
#include <stdlib.h>

#include "protocol/binary.h"
#include "protocol/binary_client.h"
#include "tests/fuzz/dump.h"
#include "tests/fuzz/feed.h"
#include "tests/fuzz/fuzz.h"

enum { CHOICE_LOW_LIMITS = 1, CHOICE_GREETED = 2, CHOICE_REPEAT = 4, CHOICE_REQUEST = 8 };

#define REPEATED_LEN    (20u << 10)
#define BYTES_MAX       2048u /* as in feed.c */
#define BYTES_PIECE_LEN 61u
#define ITEMS_MAX       4

/* ---- answers ----------------------------------------------------------------------------------------------- */

struct reading {
    struct rd_binary_reader reader;
    enum fuzz_cut cut;
    struct rd_slice cut_lens; /* borrows */
    size_t cut_at;
    struct rd_buffer log;
    bool in_chunks; /* the log's last line is a run of chunks and has no end yet */
    uint64_t chunks_id;
    bool broken;
};

static void end_line(struct reading *reading)
{
    if (reading->in_chunks)
        rd_buffer_append_string(&reading->log, "\n");
    reading->in_chunks = false;
}

static void check_answer(const struct rd_binary_reader *reader, const struct rd_response *response)
{
    struct rd_slice body = rd_slice(reader->body, reader->body == NULL ? 0 : reader->header.body_len);
    FUZZ_CHECK(memchr(response->message, 0, sizeof response->message) != NULL);
    FUZZ_CHECK(response->value.data == NULL || fuzz_is_inside(response->value, body));
    FUZZ_CHECK(response->item_count <= reader->item_count_max && response->store_count <= reader->item_count_max);
    FUZZ_CHECK(response->verification.listed_count <= reader->item_count_max);
    for (size_t i = 0; i < response->item_count; i++)
        FUZZ_CHECK(fuzz_is_inside(response->items[i].value, body));
    for (size_t i = 0; i < response->store_count; i++)
        FUZZ_CHECK(fuzz_is_inside(response->stores[i].name, body) &&
                   fuzz_is_inside(response->stores[i].reason, body));
}

/* Our own server cuts what it says about a store at 1,024 bytes. */
static bool is_longer_than_ours(const struct rd_response *response)
{
    for (size_t i = 0; i < response->store_count; i++)
        if (response->stores[i].reason.len > 1024)
            return true;
    return false;
}

/* Rule 3. Of a read the value follows what encode makes. */
static void check_round_trip(const struct rd_binary_answer *answer)
{
    if (is_longer_than_ours(&answer->response))
        return;
    struct rd_request request = {.opcode = (enum rd_opcode)answer->opcode, .id = answer->id};
    struct rd_binary_reader reader;
    struct rd_binary_answer again;
    struct rd_buffer bytes;
    struct rd_buffer dump;
    struct rd_buffer dump_again;
    rd_buffer_init(&bytes, 0);
    rd_buffer_init(&dump, 0);
    rd_buffer_init(&dump_again, 0);
    size_t follow_len = rd_binary_codec.encode(&request, &answer->response, &bytes);
    rd_buffer_append(&bytes, answer->response.value.data, follow_len);
    struct rd_slice input = rd_buffer_slice(&bytes);
    rd_binary_reader_init(&reader, UINT32_MAX, UINT32_MAX);
    reader.greeted = !answer->hello;
    FUZZ_CHECK(rd_binary_reader_next(&reader, &input, &again) == RD_BINARY_READ_ANSWER);
    FUZZ_CHECK(input.len == 0 && again.id == answer->id && again.opcode == answer->opcode);
    fuzz_dump_response(request.opcode, &answer->response, &dump);
    fuzz_dump_response(request.opcode, &again.response, &dump_again);
    fuzz_check_same("an answer is another one once encoded", &dump, &dump_again);
    rd_binary_reader_deinit(&reader);
    rd_buffer_deinit(&dump_again);
    rd_buffer_deinit(&dump);
    rd_buffer_deinit(&bytes);
}

static void take_answer(struct reading *reading, const struct rd_binary_answer *answer)
{
    end_line(reading);
    check_answer(&reading->reader, &answer->response);
    rd_buffer_printf(&reading->log, "%llu ", (unsigned long long)answer->id);
    fuzz_dump_response((enum rd_opcode)answer->opcode, &answer->response, &reading->log);
    if (reading->cut != FUZZ_CUT_WHOLE)
        return;
    check_round_trip(answer);
    uint8_t *body = rd_binary_reader_take_body(&reading->reader);
    FUZZ_CHECK(reading->reader.body == NULL);
    free(body);
}

static void take_part(struct reading *reading, struct rd_slice consumed)
{
    const struct rd_stream_part *part = rd_binary_reader_part(&reading->reader);
    bool chunk = part->kind == RD_STREAM_CHUNK;
    FUZZ_CHECK(!chunk || (part->bytes.len != 0 && fuzz_is_inside(part->bytes, consumed)));
    if (!chunk || !reading->in_chunks || reading->chunks_id != part->id) {
        end_line(reading);
        rd_buffer_printf(&reading->log, "part %d %llu ", (int)part->kind, (unsigned long long)part->id);
    }
    rd_buffer_append_slice(&reading->log, part->bytes);
    reading->in_chunks = chunk;
    reading->chunks_id = part->id;
    if (!chunk)
        rd_buffer_printf(&reading->log, " %llu %d\n", (unsigned long long)part->credit, (int)part->status);
}

static void drain(struct reading *reading, struct rd_slice piece)
{
    struct rd_slice input = piece;
    for (;;) {
        struct rd_binary_answer answer;
        enum rd_binary_read result = rd_binary_reader_next(&reading->reader, &input, &answer);
        FUZZ_CHECK(fuzz_is_inside(input, piece));
        if (result == RD_BINARY_READ_ANSWER) {
            take_answer(reading, &answer);
        } else if (result == RD_BINARY_READ_PART) {
            take_part(reading, rd_slice(piece.data, piece.len - input.len));
        } else {
            reading->broken = result == RD_BINARY_READ_BROKEN;
            FUZZ_CHECK(reading->broken == (reading->reader.error != NULL));
            FUZZ_CHECK(reading->broken || input.len == 0);
            return;
        }
    }
}

static void read_piece(struct reading *reading, struct rd_slice *bytes)
{
    size_t room = 0;
    size_t len = bytes->len;
    if (reading->cut == FUZZ_CUT_BYTES)
        len = reading->cut_at++ < BYTES_MAX ? 1 : BYTES_PIECE_LEN;
    if (reading->cut == FUZZ_CUT_CHOSEN && reading->cut_lens.len != 0)
        len = 1 + 8u * reading->cut_lens.data[reading->cut_at++ % reading->cut_lens.len];
    uint8_t *target = rd_binary_reader_fill_target(&reading->reader, &room);
    FUZZ_CHECK((target != NULL) == (room != 0));
    if (target != NULL && reading->cut == FUZZ_CUT_CHOSEN) {
        struct rd_slice piece = rd_slice_take(bytes, len < room ? len : room);
        memcpy(target, piece.data, piece.len);
        rd_binary_reader_fill_done(&reading->reader, piece.len);
        drain(reading, rd_slice(bytes->data, 0));
        return;
    }
    struct rd_slice piece = rd_slice_take(bytes, len);
    uint8_t *copy = fuzz_copy(piece);
    drain(reading, rd_slice(copy, piece.len));
    free(copy);
}

static void read_all(struct reading *reading, uint8_t choices, struct rd_slice bytes)
{
    bool low = (choices & CHOICE_LOW_LIMITS) != 0;
    rd_binary_reader_init(&reading->reader, low ? 200 : 1u << 20, low ? 3 : 1000);
    reading->reader.greeted = (choices & CHOICE_GREETED) != 0;
    rd_buffer_init(&reading->log, 0);
    while (bytes.len != 0 && !reading->broken)
        read_piece(reading, &bytes);
    end_line(reading);
    if (reading->broken) {
        rd_buffer_append_string(&reading->log, reading->reader.error);
        drain(reading, rd_slice("more", 4));
        FUZZ_CHECK(reading->broken);
    }
    rd_binary_reader_deinit(&reading->reader);
}

static void run_answers(uint8_t choices, struct rd_slice cut_lens, struct rd_slice bytes)
{
    struct reading whole = {.cut = FUZZ_CUT_WHOLE};
    read_all(&whole, choices, bytes);
    for (int cut = FUZZ_CUT_BYTES; cut < FUZZ_CUT_COUNT; cut++) {
        struct reading reading = {.cut = (enum fuzz_cut)cut, .cut_lens = cut_lens};
        read_all(&reading, choices, bytes);
        fuzz_check_same("other cuts give other answers", &whole.log, &reading.log);
        rd_buffer_deinit(&reading.log);
    }
    rd_buffer_deinit(&whole.log);
}

/* ---- requests ---------------------------------------------------------------------------------------------- */

static struct rd_slice take_bytes(struct rd_slice *input)
{
    return rd_slice_take(input, fuzz_take_u16(input) % 300);
}

static struct rd_message_key take_key(struct rd_slice *input)
{
    if (fuzz_take_u8(input) % 4 == 0)
        return (struct rd_message_key){.hash = fuzz_take_u64(input)};
    return (struct rd_message_key){.bytes = take_bytes(input)};
}

static struct rd_message_condition take_condition(struct rd_slice *input)
{
    static const enum rd_message_condition_kind kinds[] = {
        RD_MESSAGE_IF_ANYTHING, RD_MESSAGE_IF_ANYTHING, RD_MESSAGE_IF_ANYTHING, RD_MESSAGE_IF_ABSENT,
        RD_MESSAGE_IF_PRESENT,  RD_MESSAGE_IF_VERSION,  RD_MESSAGE_IF_VERSION,  RD_MESSAGE_IF_NOT_VERSION};
    struct rd_message_condition condition = {.kind = kinds[fuzz_take_u8(input) % 8]};
    if (condition.kind < RD_MESSAGE_IF_VERSION)
        return condition; /* the others have neither offset nor checksum on the wire */
    condition.offset = fuzz_take_u64(input);
    condition.crc32 = fuzz_take_u32(input);
    return condition;
}

/* Every field that travels with some operation. */
static void take_fields(struct rd_slice *input, struct rd_message_item items[ITEMS_MAX],
                        struct rd_request *request)
{
    static const enum rd_message_durability durabilities[] = {
        RD_MESSAGE_DURABILITY_DEFAULT, RD_MESSAGE_DURABILITY_SYNC, RD_MESSAGE_DURABILITY_NONE};
    request->opcode = (enum rd_opcode)fuzz_take_u8(input);
    request->id = fuzz_take_u64(input);
    request->durability = durabilities[fuzz_take_u8(input) % 3];
    request->condition = take_condition(input);
    request->target_condition = take_condition(input);
    request->store = take_bytes(input);
    request->key = take_key(input);
    request->target_key = take_key(input);
    request->target_store = take_bytes(input);
    request->confirm = take_bytes(input);
    request->settings = take_bytes(input);
    request->range.kind = (enum rd_message_range_kind)(fuzz_take_u8(input) % 3);
    request->range.first = fuzz_take_u64(input);
    request->range.len = fuzz_take_u64(input);
    request->stream_len = fuzz_take_u64(input);
    request->stream_credit = fuzz_take_u64(input);
    request->after_offset = fuzz_take_u64(input);
    request->limit = fuzz_take_u32(input);
    request->verify_from = fuzz_take_u64(input);
    request->verify_bytes_max = fuzz_take_u64(input);
    request->allow_null_bytes = fuzz_take_u8(input) % 2 == 1;
    request->items = items;
    request->item_count = fuzz_take_u8(input) % (ITEMS_MAX + 1);
    for (size_t i = 0; i < request->item_count; i++)
        items[i] = (struct rd_message_item){.key = take_key(input), .value = take_bytes(input)};
    request->value = *input;
}

static void keep_bytes(const struct rd_request *request, void *out)
{
    size_t follow_len = 0;
    if (request->opcode == RD_OPCODE_HELLO)
        return;
    FUZZ_CHECK(request->status == RD_OK);
    FUZZ_CHECK(rd_binary_encode_request(request, out, &follow_len) == RD_OK);
    rd_buffer_append(out, request->value.data, follow_len);
}

/* Rule 4: what does not travel with this operation is not in the bytes, so these are what is held together. */
static void run_request(struct rd_slice input)
{
    struct rd_message_item items[ITEMS_MAX];
    struct rd_request request = {.opcode = RD_OPCODE_NONE};
    struct rd_limits limits = RD_LIMITS_DEFAULT;
    struct rd_buffer bytes;
    struct rd_buffer again;
    struct rd_buffer connection;
    size_t follow_len = 0;
    take_fields(&input, items, &request);
    rd_buffer_init(&bytes, 0);
    rd_buffer_init(&again, 0);
    rd_buffer_init(&connection, 0);
    if (rd_binary_encode_request(&request, &bytes, &follow_len) != RD_OK) {
        FUZZ_CHECK(bytes.len == 0 && follow_len == 0);
    } else {
        struct fuzz_fed fed;
        struct fuzz_feed feed = {
            .codec = &rd_binary_codec, .limits = &limits, .on_request = keep_bytes, .context = &again};
        rd_buffer_append(&bytes, request.value.data, follow_len);
        rd_binary_encode_hello(&connection);
        rd_buffer_append_slice(&connection, rd_buffer_slice(&bytes));
        fuzz_feed(&feed, rd_buffer_slice(&connection), &fed);
        FUZZ_CHECK(!fed.closed && !fed.mid_request);
        fuzz_check_same("what was encoded is decoded as something else", &bytes, &again);
        fuzz_fed_deinit(&fed);
    }
    rd_buffer_deinit(&connection);
    rd_buffer_deinit(&again);
    rd_buffer_deinit(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct rd_slice input = rd_slice(data, len);
    uint8_t choices = fuzz_take_u8(&input);
    struct rd_slice cut_lens = fuzz_take_cuts(&input);
    struct rd_buffer bytes;
    if ((choices & CHOICE_REQUEST) != 0) {
        run_request(input);
        return 0;
    }
    rd_buffer_init(&bytes, 0);
    do
        rd_buffer_append_slice(&bytes, input);
    while ((choices & CHOICE_REPEAT) != 0 && input.len != 0 && bytes.len < REPEATED_LEN);
    run_answers(choices, cut_lens, rd_buffer_slice(&bytes));
    rd_buffer_deinit(&bytes);
    return 0;
}
