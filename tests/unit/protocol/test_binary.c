/* SPDX-License-Identifier: MIT
 *
 * test_binary.c - the binary protocol's two halves against each other: every operation there and back, the input
 * cut in every way; malformed, oversized and random input. test_binary_vectors.c holds both against recorded
 * bytes.
 */
#include "tests/unit/protocol/binary_feed.h"

static struct rd_message_item write_items[] = {
    {.key = KEY("a"), .value = TEXT("one")},
    {.key = KEY(""), .value = TEXT("\0\0")},
    {.key = {.hash = 0x0123456789abcdef}, .value = TEXT("\0")},
};
static struct rd_message_item key_items[] = {
    {.key = {.hash = UINT64_MAX}}, {.key = KEY("with \0 inside")}, {.key = KEY("")}};
static uint8_t big_value[100000];

static struct rd_request samples[] = {
    {.opcode = RD_OPCODE_PING},
    {.opcode = RD_OPCODE_METRICS},
    {.opcode = RD_OPCODE_WRITE,
     .store = TEXT("s"),
     .key = KEY("alpha"),
     .value = TEXT("Hello, store!"),
     .durability = RD_MESSAGE_DURABILITY_NONE},
    {.opcode = RD_OPCODE_WRITE, .key = {.hash = 7}, .value = {.data = big_value, .len = sizeof big_value}},
    {.opcode = RD_OPCODE_WRITE, .key = KEY(""), .durability = RD_MESSAGE_DURABILITY_SYNC},
    {.opcode = RD_OPCODE_BATCH_WRITE,
     .store = TEXT("batch"),
     .items = write_items,
     .item_count = 3,
     .allow_null_bytes = true,
     .durability = RD_MESSAGE_DURABILITY_SYNC},
    {.opcode = RD_OPCODE_BATCH_WRITE},
    {.opcode = RD_OPCODE_DELETE, .key = KEY("\xff\xfe/%"), .durability = RD_MESSAGE_DURABILITY_NONE},
    {.opcode = RD_OPCODE_BATCH_DELETE, .store = TEXT("x"), .items = key_items, .item_count = 3},
    {.opcode = RD_OPCODE_READ, .store = TEXT("s"), .key = {.hash = 0xfedcba9876543210}},
    {.opcode = RD_OPCODE_BATCH_READ, .store = TEXT("a long name"), .items = key_items, .item_count = 3},
    {.opcode = RD_OPCODE_EXISTS, .key = KEY("k")},
    {.opcode = RD_OPCODE_METADATA, .key = KEY("k")},
    {.opcode = RD_OPCODE_LAST, .store = TEXT("0123456789012345678901234567890123456789012345678901234567890123")},
    {.opcode = RD_OPCODE_ITERATE, .store = TEXT("s"), .after_offset = 0x123456789abc, .limit = 77},
    {.opcode = RD_OPCODE_WRITE,
     .store = TEXT("s"),
     .key = KEY("alpha"),
     .value = TEXT("v"),
     .condition = {.kind = RD_MESSAGE_IF_ABSENT}},
    {.opcode = RD_OPCODE_DELETE,
     .key = {.hash = 9},
     .condition = {.kind = RD_MESSAGE_IF_VERSION, .offset = 0xfedcba987654, .crc32 = 0xdeadbeef}},
    {.opcode = RD_OPCODE_WRITE_STREAM, .key = KEY("k"), .stream_len = UINT64_MAX, .streamed = true},
    {.opcode = RD_OPCODE_WRITE_STREAM,
     .store = TEXT("s"),
     .key = {.hash = 1},
     .stream_len = (uint64_t)1 << 40,
     .streamed = true,
     .durability = RD_MESSAGE_DURABILITY_NONE,
     .condition = {.kind = RD_MESSAGE_IF_PRESENT}},
    {.opcode = RD_OPCODE_RENAME, .store = TEXT("s"), .key = KEY("from"), .target_key = KEY("")},
    {.opcode = RD_OPCODE_RENAME,
     .key = {.hash = 3},
     .target_key = KEY("to"),
     .durability = RD_MESSAGE_DURABILITY_SYNC,
     .condition = {.kind = RD_MESSAGE_IF_VERSION, .offset = 64, .crc32 = 1},
     .target_condition = {.kind = RD_MESSAGE_IF_ABSENT}},
    {.opcode = RD_OPCODE_RENAME,
     .key = KEY("a"),
     .target_key = {.hash = 4},
     .target_condition = {.kind = RD_MESSAGE_IF_VERSION, .offset = 128, .crc32 = 2}},
    {.opcode = RD_OPCODE_COPY, .store = TEXT("s"), .key = KEY("k"), .target_store = TEXT("other")},
    {.opcode = RD_OPCODE_TRANSFER, .key = {.hash = 5}, .target_store = TEXT("other")},
    {.opcode = RD_OPCODE_READ_STREAM, .store = TEXT("s"), .key = KEY("k"), .stream_credit = 1u << 20},
    {.opcode = RD_OPCODE_READ_STREAM,
     .key = {.hash = 6},
     .range = {.kind = RD_MESSAGE_RANGE_FROM, .first = (uint64_t)1 << 33, .len = UINT64_MAX}},
    {.opcode = RD_OPCODE_READ_STREAM,
     .key = KEY(""),
     .range = {.kind = RD_MESSAGE_RANGE_SUFFIX, .len = 100},
     .stream_credit = UINT64_MAX},
    {.opcode = RD_OPCODE_AUTH, .token_use = RD_MESSAGE_TOKEN_SHOWN, .token = TEXT("any bytes\0\xff")},
    {.opcode = RD_OPCODE_STORES},
    {.opcode = RD_OPCODE_CREATE, .store = TEXT("new"), .settings = TEXT("{\"durability\":\"none\"}")},
    {.opcode = RD_OPCODE_INFO},
    {.opcode = RD_OPCODE_DROP, .store = TEXT("old"), .confirm = TEXT("old")},
    {.opcode = RD_OPCODE_VERIFY,
     .store = TEXT("s"),
     .verify_from = 0x123456789abc,
     .verify_bytes_max = UINT64_C(1) << 40},
    {.opcode = RD_OPCODE_VERIFY},
    {.opcode = RD_OPCODE_REOPEN, .store = TEXT("s")},
    {.opcode = RD_OPCODE_BACKUP},
    {.opcode = RD_OPCODE_BACKUP,
     .store = TEXT("s"),
     .backup_from = UINT64_C(0x123456789abc),
     .backup_generation = UINT64_MAX,
     .stream_credit = 1u << 20},
    {.opcode = RD_OPCODE_COMPACT, .store = TEXT("s")},
};
#define SAMPLE_COUNT (sizeof samples / sizeof samples[0])

static void assert_slice(struct rd_slice got, struct rd_slice wanted)
{
    assert_int_equal(got.len, wanted.len);
    if (wanted.len != 0)
        assert_memory_equal(got.data, wanted.data, wanted.len);
}

static void assert_key(struct rd_message_key got, struct rd_message_key wanted)
{
    assert_int_equal(got.bytes.data == NULL, wanted.bytes.data == NULL);
    assert_slice(got.bytes, wanted.bytes);
    assert_int_equal(got.hash, wanted.hash);
}

static void assert_condition(struct rd_message_condition got, struct rd_message_condition wanted)
{
    assert_int_equal(got.kind, wanted.kind);
    assert_int_equal(got.offset, wanted.offset);
    assert_int_equal(got.crc32, wanted.crc32);
}

static void assert_request(const struct rd_request *got, const struct rd_request *wanted)
{
    assert_int_equal(got->opcode, wanted->opcode);
    assert_int_equal(got->status, RD_OK);
    assert_null(got->message);
    assert_false(got->close_after);
    assert_int_equal(got->id, wanted->id);
    assert_int_equal(got->token_use, wanted->token_use);
    assert_slice(got->token, wanted->token);
    assert_slice(got->store, wanted->store);
    assert_key(got->key, wanted->key);
    assert_slice(got->value, wanted->value);
    assert_int_equal(got->item_count, wanted->item_count);
    for (size_t i = 0; i < wanted->item_count; i++) {
        assert_key(got->items[i].key, wanted->items[i].key);
        assert_slice(got->items[i].value,
                     wanted->opcode == RD_OPCODE_BATCH_WRITE ? wanted->items[i].value : rd_slice(NULL, 0));
    }
    assert_int_equal(got->allow_null_bytes, wanted->allow_null_bytes);
    assert_int_equal(got->durability, wanted->durability);
    assert_condition(got->condition, wanted->condition);
    assert_condition(got->target_condition, wanted->target_condition);
    assert_key(got->target_key, wanted->target_key);
    assert_slice(got->target_store, wanted->target_store);
    assert_int_equal(got->range.kind, wanted->range.kind);
    assert_int_equal(got->range.first, wanted->range.first);
    assert_int_equal(got->range.len, wanted->range.len);
    assert_int_equal(got->streamed, wanted->streamed);
    assert_int_equal(got->stream_len, wanted->stream_len);
    assert_int_equal(got->stream_credit, wanted->stream_credit);
    assert_int_equal(got->after_offset, wanted->after_offset);
    assert_int_equal(got->limit, wanted->limit);
    assert_int_equal(got->verify_from, wanted->verify_from);
    assert_int_equal(got->verify_bytes_max, wanted->verify_bytes_max);
    assert_int_equal(got->backup_from, wanted->backup_from);
    assert_int_equal(got->backup_generation, wanted->backup_generation);
    assert_int_equal(got->verify_whole, wanted->verify_whole);
    assert_slice(got->confirm, wanted->confirm);
    assert_slice(got->settings, wanted->settings);
}

static void test_requests_survive_however_they_are_cut(void **state)
{
    (void)state;
    struct rd_limits limits = RD_LIMITS_DEFAULT;
    struct rd_buffer bytes;
    rd_buffer_init(&bytes, 0);
    rd_binary_encode_hello(&bytes);
    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        samples[i].id = next_random();
        append_request(&bytes, &samples[i]);
    }
    for (enum cut cut = CUT_NOWHERE; cut < CUT_COUNT; cut++) {
        struct requests requests = decode_bytes(rd_buffer_slice(&bytes), cut, &limits);
        assert_int_equal(requests.count, SAMPLE_COUNT + 1);
        assert_int_equal(requests.list[0]->opcode, RD_OPCODE_HELLO);
        assert_int_equal(requests.list[0]->status, RD_OK);
        for (size_t i = 0; i < SAMPLE_COUNT; i++)
            assert_request(requests.list[i + 1], &samples[i]);
        assert_false(requests.mid_request);
        requests_deinit(&requests);
    }
    rd_buffer_deinit(&bytes);
}

static void test_every_operation_on_the_wire_has_a_sample(void **state)
{
    (void)state;
    for (size_t i = 0; i < rd_operation_count; i++) {
        if (!rd_operations[i].on_wire || rd_operations[i].opcode == RD_OPCODE_HELLO)
            continue;
        bool found = false;
        for (size_t j = 0; j < SAMPLE_COUNT; j++)
            found = found || samples[j].opcode == rd_operations[i].opcode;
        if (!found)
            fail_msg("no sample of %s", rd_operations[i].name);
    }
}

static void test_a_stream_cut_at_every_byte_waits_inside_the_request(void **state)
{
    (void)state;
    struct rd_limits limits = RD_LIMITS_DEFAULT;
    struct rd_buffer bytes;
    rd_buffer_init(&bytes, 0);
    rd_binary_encode_hello(&bytes);
    append_request(&bytes, &samples[4]);
    for (size_t len = 0; len <= bytes.len; len++) {
        struct requests requests = decode_bytes(rd_slice(bytes.data, len), CUT_NOWHERE, &limits);
        assert_int_equal(requests.count, len < RD_WIRE_PREAMBLE_LEN ? 0 : len < bytes.len ? 1 : 2);
        assert_int_equal(requests.mid_request, len != 0 && len != RD_WIRE_PREAMBLE_LEN && len != bytes.len);
        assert_false(requests.closed);
        requests_deinit(&requests);
    }
    rd_buffer_deinit(&bytes);
}

/* Every body shortened to every length, and one byte too long: an answer each, and the connection lives on. */
static void test_a_body_cut_at_every_byte_is_refused_alone(void **state)
{
    (void)state;
    struct rd_limits limits = RD_LIMITS_DEFAULT;
    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        if (samples[i].value.len == sizeof big_value)
            continue;
        struct rd_buffer whole;
        rd_buffer_init(&whole, 0);
        append_request(&whole, &samples[i]);
        rd_buffer_append_u8(&whole, 0);
        size_t body_len = whole.len - 1 - RD_WIRE_HEADER_LEN;
        bool open_ended = samples[i].opcode == RD_OPCODE_PING || samples[i].opcode == RD_OPCODE_WRITE ||
                          samples[i].opcode == RD_OPCODE_AUTH;
        for (size_t len = 0; len <= body_len + 1; len++) {
            struct rd_buffer bytes;
            rd_buffer_init(&bytes, 0);
            rd_binary_encode_hello(&bytes);
            append_flagged_frame(&bytes, (uint8_t)samples[i].opcode, whole.data[RD_WIRE_HEADER_FLAGS], 99,
                                 rd_slice(whole.data + RD_WIRE_HEADER_LEN, len));
            append_frame(&bytes, RD_OPCODE_PING, 100, rd_slice("x", 1));
            struct requests requests = decode_bytes(rd_buffer_slice(&bytes), CUT_NOWHERE, &limits);
            assert_int_equal(requests.count, 3);
            assert_int_equal(requests.list[1]->id, 99);
            assert_int_equal(requests.list[1]->opcode, samples[i].opcode);
            if (len == body_len)
                assert_int_equal(requests.list[1]->status, RD_OK);
            else if (!open_ended)
                assert_int_equal(requests.list[1]->status, RD_INVALID_ARGUMENT);
            assert_int_equal(requests.list[2]->id, 100);
            assert_int_equal(requests.list[2]->status, RD_OK);
            requests_deinit(&requests);
            rd_buffer_deinit(&bytes);
        }
        rd_buffer_deinit(&whole);
    }
}

struct malformed {
    const char *name;
    uint8_t opcode;
    enum rd_status status;
    struct rd_slice body;
};

/* limits: keys of 8 bytes, 4 items, bodies of 256 bytes */
static const struct malformed malformed[] = {
    {"unknown operation", 0x7f, RD_UNSUPPORTED, TEXT("anything")},
    {"unknown operation without a body", 0xff, RD_UNSUPPORTED, TEXT("")},
    {"an operation that is never on the wire", 0x80, RD_UNSUPPORTED, TEXT("")},
    {"a hello in a frame", RD_OPCODE_HELLO, RD_UNSUPPORTED, TEXT("")},
    {"operation 0", RD_OPCODE_NONE, RD_UNSUPPORTED, TEXT("")},
    {"between the parts and what is never on the wire", 0x44, RD_UNSUPPORTED, TEXT("")},
    {"a read_stream with an unknown range", RD_OPCODE_READ_STREAM, RD_INVALID_ARGUMENT,
     TEXT("\0\0\0\0\0\0\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")},
    {"a rename whose second key is over the limit", RD_OPCODE_RENAME, RD_TOO_LARGE,
     TEXT("\0\0\0\0\0\0\0\0\x9\0\0\0abcdefghi")},
    {"a copy whose target is longer than its body", RD_OPCODE_COPY, RD_INVALID_ARGUMENT,
     TEXT("\0\0\0\0\0\0\4abc")},
    {"an unknown key form", RD_OPCODE_READ, RD_INVALID_ARGUMENT, TEXT("\0\2abcdefgh")},
    {"a key longer than its body", RD_OPCODE_READ, RD_INVALID_ARGUMENT, TEXT("\0\0\5\0\0\0abcd")},
    {"a key over the limit", RD_OPCODE_READ, RD_TOO_LARGE, TEXT("\0\0\x9\0\0\0abcdefghi")},
    {"a key length of 4 GiB", RD_OPCODE_READ, RD_TOO_LARGE, TEXT("\0\0\xff\xff\xff\xff")},
    {"durability interval", RD_OPCODE_DELETE, RD_INVALID_ARGUMENT, TEXT("\0\2\0\1\0\0\0k")},
    {"durability 4", RD_OPCODE_WRITE, RD_INVALID_ARGUMENT, TEXT("\0\4\0\1\0\0\0kv")},
    {"allow_null_bytes 2", RD_OPCODE_BATCH_WRITE, RD_INVALID_ARGUMENT, TEXT("\0\0\2\0\0\0\0")},
    {"more items than the limit", RD_OPCODE_BATCH_READ, RD_TOO_LARGE, TEXT("\0\5\0\0\0")},
    {"a count of 4 Gi", RD_OPCODE_BATCH_DELETE, RD_TOO_LARGE, TEXT("\0\0\xff\xff\xff\xff")},
    {"a count without its items", RD_OPCODE_BATCH_READ, RD_INVALID_ARGUMENT, TEXT("\0\4\0\0\0\0\0\0\0\0")},
    {"a batch value longer than its body", RD_OPCODE_BATCH_WRITE, RD_INVALID_ARGUMENT,
     TEXT("\0\0\0\1\0\0\0\0\0\0\0\0\xff\xff\xff\xff")},
    {"an item key over the limit", RD_OPCODE_BATCH_WRITE, RD_TOO_LARGE,
     TEXT("\0\0\0\1\0\0\0\0\x9\0\0\0abcdefghi\1\0\0\0v")},
    {"bytes behind the last item", RD_OPCODE_BATCH_READ, RD_INVALID_ARGUMENT, TEXT("\0\1\0\0\0\0\0\0\0\0!")},
    {"a ping of 65 bytes", RD_OPCODE_PING, RD_INVALID_ARGUMENT,
     TEXT("01234567890123456789012345678901234567890123456789012345678901234")},
    {"stores with a body", RD_OPCODE_STORES, RD_INVALID_ARGUMENT, TEXT("?")},
    {"settings longer than their body", RD_OPCODE_CREATE, RD_INVALID_ARGUMENT, TEXT("\0\x9\0\0\0{}")},
    {"a store name longer than its body", RD_OPCODE_INFO, RD_INVALID_ARGUMENT,
     TEXT("\x9"
          "abc")},
};

static void test_malformed_bodies_get_their_status_and_the_connection_lives(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        const struct malformed *row = &malformed[i];
        struct rd_buffer bytes;
        rd_buffer_init(&bytes, 0);
        rd_binary_encode_hello(&bytes);
        append_frame(&bytes, row->opcode, 0xabcdef0123456789 + i, row->body);
        append_frame(&bytes, RD_OPCODE_PING, 2, rd_slice("", 0));
        for (enum cut cut = CUT_NOWHERE; cut < CUT_COUNT; cut++) {
            struct requests requests = decode_bytes(rd_buffer_slice(&bytes), cut, &small_limits);
            if (requests.count != 3 || requests.list[1]->status != row->status)
                fail_msg("%s: %zu requests, status %d", row->name, requests.count, (int)requests.list[1]->status);
            assert_int_equal(requests.list[1]->id, 0xabcdef0123456789 + i);
            assert_non_null(requests.list[1]->message);
            assert_false(requests.list[1]->close_after);
            assert_int_equal(requests.list[2]->status, RD_OK);
            assert_int_equal(requests.list[2]->id, 2);

            struct rd_buffer answer;
            rd_buffer_init(&answer, 0);
            struct rd_response response = {.status = requests.list[1]->status, .message = "no"};
            rd_binary_codec.encode(requests.list[1], &response, &answer);
            struct rd_wire_header header = rd_wire_load_header(answer.data);
            assert_int_equal(header.opcode, row->opcode);
            assert_int_equal(header.status, row->status);
            rd_buffer_deinit(&answer);
            requests_deinit(&requests);
        }
        rd_buffer_deinit(&bytes);
    }
}

static void test_flags_or_status_in_a_request_are_refused(void **state)
{
    (void)state;
    for (int field = 0; field < 2; field++) {
        struct rd_buffer bytes;
        rd_buffer_init(&bytes, 0);
        rd_binary_encode_hello(&bytes);
        append_frame(&bytes, RD_OPCODE_PING, 1, rd_slice("abc", 3));
        bytes.data[RD_WIRE_PREAMBLE_LEN + (field == 0 ? RD_WIRE_HEADER_FLAGS : RD_WIRE_HEADER_STATUS)] = 1;
        append_frame(&bytes, RD_OPCODE_PING, 2, rd_slice("", 0));
        struct requests requests = decode_bytes(rd_buffer_slice(&bytes), CUT_EVERYWHERE, &small_limits);
        assert_int_equal(requests.count, 3);
        assert_int_equal(requests.list[1]->status, RD_INVALID_ARGUMENT);
        assert_int_equal(requests.list[2]->status, RD_OK);
        requests_deinit(&requests);
        rd_buffer_deinit(&bytes);
    }
}

/* Every flag on every operation: those that it has want their block, all others are refused by the header. */
static void test_only_the_flags_of_an_operation_are_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        uint8_t opcode = (uint8_t)samples[i].opcode;
        bool conditional = opcode == RD_OPCODE_WRITE || opcode == RD_OPCODE_WRITE_STREAM ||
                           opcode == RD_OPCODE_DELETE || opcode == RD_OPCODE_RENAME;
        uint8_t known = opcode == RD_OPCODE_RENAME ? 3 : conditional ? 1 : 0;
        for (unsigned bit = 0; bit < 8; bit++) {
            struct rd_buffer bytes;
            rd_buffer_init(&bytes, 0);
            rd_binary_encode_hello(&bytes);
            append_flagged_frame(&bytes, opcode, (uint8_t)(1u << bit), 1, rd_slice("\0\x9", 2));
            append_frame(&bytes, RD_OPCODE_PING, 2, rd_slice("", 0));
            struct requests requests = decode_bytes(rd_buffer_slice(&bytes), CUT_AT_RANDOM, &small_limits);
            assert_int_equal(requests.count, 3);
            assert_int_equal(requests.list[1]->status, RD_INVALID_ARGUMENT);
            const char *wanted = (known >> bit & 1) != 0 ? "a condition's kind" : "flag";
            if (strstr(requests.list[1]->message, wanted) == NULL)
                fail_msg("opcode %x, flag %u: %s", opcode, bit, requests.list[1]->message);
            assert_int_equal(requests.list[2]->status, RD_OK);
            requests_deinit(&requests);
            rd_buffer_deinit(&bytes);
        }
    }
}

static void test_a_body_over_the_limit_is_skipped_or_ends_the_connection(void **state)
{
    (void)state;
    static const uint8_t zeros[1025];
    static const size_t lens[] = {256, 257, 1024, 1025};
    for (size_t i = 0; i < 4; i++) {
        struct rd_buffer bytes;
        rd_buffer_init(&bytes, 0);
        rd_binary_encode_hello(&bytes);
        append_frame(&bytes, RD_OPCODE_WRITE, 5, rd_slice(zeros, lens[i]));
        append_frame(&bytes, RD_OPCODE_PING, 6, rd_slice("", 0));
        for (enum cut cut = CUT_NOWHERE; cut < CUT_COUNT; cut++) {
            struct requests requests = decode_bytes(rd_buffer_slice(&bytes), cut, &small_limits);
            bool closes = lens[i] > 1024;
            assert_int_equal(requests.count, closes ? 2 : 3);
            assert_int_equal(requests.list[1]->status, lens[i] > 256 ? RD_TOO_LARGE : RD_OK);
            assert_int_equal(requests.list[1]->close_after, closes);
            assert_int_equal(requests.closed, closes);
            assert_int_equal(requests.list[1]->id, 5);
            requests_deinit(&requests);
        }
        rd_buffer_deinit(&bytes);
    }
}

/* Somebody who may write in the store "mine" alone. */
struct asked {
    char log[256];
    size_t room; /* bytes that were asked for, and given */
};

static enum rd_status admit(void *context, const struct rd_asking *asking, size_t len, struct rd_error *ret_error)
{
    struct asked *asked = context;
    size_t at = strlen(asked->log);
    char store[80] = "?";
    assert_null(asking->token);
    if (asking->store != NULL)
        snprintf(store, sizeof store, "'%.*s'", (int)asking->store->len, (const char *)asking->store->data);
    snprintf(asked->log + at, sizeof asked->log - at, "%s%s %s %zu", at == 0 ? "" : ", ",
             rd_operation_find(asking->opcode)->name, store, len);
    if (asking->store != NULL && !rd_slice_equal(*asking->store, rd_slice_of_string("mine")))
        return rd_error_set(ret_error, RD_FORBIDDEN, 0, "not there");
    asked->room += len;
    return RD_OK;
}

/* A frame of len bytes of this operation that begins with the bytes, and what is asked before room is made. */
static void expect_asked(enum rd_opcode opcode, struct rd_slice start, size_t len, enum rd_status status,
                         const char *log)
{
    static uint8_t body[5000];
    struct rd_buffer bytes;
    memcpy(body, start.data, start.len);
    rd_buffer_init(&bytes, 0);
    rd_binary_encode_hello(&bytes);
    append_frame(&bytes, (uint8_t)opcode, 5, rd_slice(body, len));
    append_frame(&bytes, RD_OPCODE_PING, 6, rd_slice("", 0));
    for (enum cut cut = CUT_NOWHERE; cut < CUT_COUNT; cut++) {
        struct asked asked = {.room = 0};
        struct rd_limits limits = RD_LIMITS_DEFAULT;
        limits.admit = admit;
        limits.admit_context = &asked;
        struct requests requests = decode_bytes(rd_buffer_slice(&bytes), cut, &limits);
        assert_int_equal(requests.count, 3);
        assert_int_equal(requests.list[1]->id, 5);
        assert_int_equal(requests.list[1]->status, status);
        assert_string_equal(asked.log, log);
        if (status == RD_FORBIDDEN)
            assert_string_equal(requests.list[1]->message, "not there");
        else
            assert_int_equal(asked.room, len > RD_LIMITS_FEW ? len : 0);
        if (status == RD_OK)
            assert_memory_equal(requests.list[1]->body, body, len);
        assert_int_equal(requests.list[2]->id, 6);
        requests_deinit(&requests);
    }
    rd_buffer_deinit(&bytes);
}

/* Before room is made for it: at its header, and behind the name of its store, where it has one. */
static void test_a_long_body_is_asked_for(void **state)
{
    (void)state;
    static const char long_name[] = "\x41mine";
    struct rd_slice mine = rd_slice("\4mine\0\0\1\0\0\0k", 12); /* durability, a key */
    struct rd_slice other = rd_slice("\5mine2\0\0\1\0\0\0k", 13);
    expect_asked(RD_OPCODE_WRITE, mine, 5000, RD_OK, "write ? 0, write 'mine' 5000");
    expect_asked(RD_OPCODE_WRITE, mine, RD_LIMITS_FEW, RD_OK, "");
    expect_asked(RD_OPCODE_WRITE, other, RD_LIMITS_FEW, RD_OK, "");
    expect_asked(RD_OPCODE_WRITE, other, 5000, RD_FORBIDDEN, "write ? 0, write 'mine2' 5000");
    expect_asked(RD_OPCODE_READ, other, 5000, RD_FORBIDDEN, "read ? 0, read 'mine2' 5000");
    expect_asked(RD_OPCODE_BATCH_WRITE, rd_slice("\0", 1), 5000, RD_FORBIDDEN,
                 "batch_write ? 0, batch_write '' 5000");
    expect_asked(RD_OPCODE_READ, rd_slice_of_string(long_name), 5000, RD_INVALID_ARGUMENT,
                 "read ? 0, read ? 5000");
    expect_asked(RD_OPCODE_STORES, mine, 5000, RD_INVALID_ARGUMENT, "stores ? 5000");
}

static void test_hello_of_another_version_is_answered_and_may_be_repeated(void **state)
{
    (void)state;
    struct rd_buffer bytes;
    rd_buffer_init(&bytes, 0);
    for (int i = 0; i < 4; i++)
        rd_binary_encode_hello(&bytes);
    rd_store_u16le(bytes.data + RD_WIRE_PREAMBLE_VERSION, 2);
    bytes.data[RD_WIRE_PREAMBLE_LEN + RD_WIRE_PREAMBLE_RESERVED] = 1;
    bytes.data[2 * RD_WIRE_PREAMBLE_LEN + RD_WIRE_PREAMBLE_FLAGS + 3] = 0x80;
    append_frame(&bytes, RD_OPCODE_PING, 1, rd_slice("", 0));
    struct requests requests = decode_bytes(rd_buffer_slice(&bytes), CUT_AT_RANDOM, &small_limits);
    static const enum rd_status statuses[] = {RD_UNSUPPORTED, RD_INVALID_ARGUMENT, RD_INVALID_ARGUMENT, RD_OK,
                                              RD_OK};
    assert_int_equal(requests.count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(requests.list[i]->opcode, i < 4 ? RD_OPCODE_HELLO : RD_OPCODE_PING);
        assert_int_equal(requests.list[i]->status, statuses[i]);
        assert_false(requests.list[i]->close_after);
    }
    requests_deinit(&requests);
    rd_buffer_deinit(&bytes);
}

static void test_a_wrong_magic_is_answered_and_ends_the_connection(void **state)
{
    (void)state;
    for (size_t at = 0; at < RD_WIRE_MAGIC_LEN; at++) {
        struct rd_buffer bytes;
        rd_buffer_init(&bytes, 0);
        rd_binary_encode_hello(&bytes);
        bytes.data[at] ^= 1;
        append_frame(&bytes, RD_OPCODE_PING, 1, rd_slice("", 0));
        struct requests requests = decode_bytes(rd_buffer_slice(&bytes), CUT_EVERYWHERE, &small_limits);
        assert_int_equal(requests.count, 1);
        assert_true(requests.closed);
        assert_true(requests.list[0]->close_after);
        assert_int_equal(requests.list[0]->opcode, RD_OPCODE_HELLO);
        assert_int_equal(requests.list[0]->status, RD_INVALID_ARGUMENT);
        requests_deinit(&requests);
        rd_buffer_deinit(&bytes);
    }
}

/* Random bytes, half of them behind a good hello and dressed as small frames of known operations. */
static void test_random_bytes_never_stop_the_decoder(void **state)
{
    (void)state;
    for (int round = 0; round < 20000; round++) {
        struct rd_buffer bytes;
        rd_buffer_init(&bytes, 0);
        if (round % 4 != 0)
            rd_binary_encode_hello(&bytes);
        for (int frames = 0; frames < 4; frames++) {
            uint8_t junk[48];
            for (size_t i = 0; i < sizeof junk; i++)
                junk[i] = (uint8_t)(next_random() % (round % 3 == 0 ? 3 : 256));
            struct rd_slice body = rd_slice(junk, next_random() % sizeof junk);
            if (round % 2 == 0)
                append_frame(&bytes, (uint8_t)samples[next_random() % SAMPLE_COUNT].opcode, next_random(), body);
            else
                rd_buffer_append_slice(&bytes, body);
        }
        uint64_t restart = random_state;
        struct requests whole = decode_bytes(rd_buffer_slice(&bytes), CUT_NOWHERE, &small_limits);
        struct requests cut =
            decode_bytes(rd_buffer_slice(&bytes), (enum cut)(restart % CUT_COUNT), &small_limits);
        assert_int_equal(whole.count, cut.count);
        for (size_t i = 0; i < whole.count; i++) {
            assert_int_equal(whole.list[i]->status, cut.list[i]->status);
            assert_int_equal(whole.list[i]->id, cut.list[i]->id);
            assert_int_equal(whole.list[i]->item_count, cut.list[i]->item_count);
        }
        requests_deinit(&whole);
        requests_deinit(&cut);
        rd_buffer_deinit(&bytes);
    }
}

static void test_what_does_not_fit_a_frame_is_not_encoded(void **state)
{
    (void)state;
    struct rd_buffer out;
    rd_buffer_init(&out, 64);
    size_t follow_len = 1;
    rd_buffer_append_u8(&out, 'x');
    struct rd_request huge = {.opcode = RD_OPCODE_WRITE, .key = KEY("k"), .value = {big_value, UINT32_MAX}};
    assert_int_equal(rd_binary_encode_request(&huge, &out, &follow_len), RD_TOO_LARGE);
    struct rd_request named = {.opcode = RD_OPCODE_INFO, .store = {big_value, 256}};
    assert_int_equal(rd_binary_encode_request(&named, &out, &follow_len), RD_INVALID_ARGUMENT);
    struct rd_request conditional = {
        .opcode = RD_OPCODE_READ, .key = KEY("k"), .condition = {.kind = RD_MESSAGE_IF_PRESENT}};
    assert_int_equal(rd_binary_encode_request(&conditional, &out, &follow_len), RD_INVALID_ARGUMENT);
    struct rd_request unwireable = {
        .opcode = RD_OPCODE_WRITE, .key = KEY("k"), .condition = {.kind = RD_MESSAGE_IF_NOT_VERSION}};
    assert_int_equal(rd_binary_encode_request(&unwireable, &out, &follow_len), RD_INVALID_ARGUMENT);
    struct rd_request targeted = {
        .opcode = RD_OPCODE_DELETE, .key = KEY("k"), .target_condition = {.kind = RD_MESSAGE_IF_ABSENT}};
    assert_int_equal(rd_binary_encode_request(&targeted, &out, &follow_len), RD_INVALID_ARGUMENT);
    struct rd_request ranged = {
        .opcode = RD_OPCODE_READ, .key = KEY("k"), .range = {.kind = RD_MESSAGE_RANGE_SUFFIX, .len = 1}};
    assert_int_equal(rd_binary_encode_request(&ranged, &out, &follow_len), RD_INVALID_ARGUMENT);
    struct rd_request never = {.opcode = RD_OPCODE_HEALTH};
    assert_int_equal(rd_binary_encode_request(&never, &out, &follow_len), RD_INVALID_ARGUMENT);
    struct rd_request full = {.opcode = RD_OPCODE_READ, .key = {.bytes = {big_value, 50}}};
    assert_int_equal(rd_binary_encode_request(&full, &out, &follow_len), RD_NO_MEMORY);
    assert_int_equal(out.len, 1);
    assert_int_equal(follow_len, 1);
    rd_buffer_deinit(&out);
}

static int setup(void **state)
{
    (void)state;
    seed_random();
    for (size_t i = 0; i < sizeof big_value; i++)
        big_value[i] = (uint8_t)next_random();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_survive_however_they_are_cut),
        cmocka_unit_test(test_every_operation_on_the_wire_has_a_sample),
        cmocka_unit_test(test_a_stream_cut_at_every_byte_waits_inside_the_request),
        cmocka_unit_test(test_a_body_cut_at_every_byte_is_refused_alone),
        cmocka_unit_test(test_malformed_bodies_get_their_status_and_the_connection_lives),
        cmocka_unit_test(test_flags_or_status_in_a_request_are_refused),
        cmocka_unit_test(test_only_the_flags_of_an_operation_are_taken),
        cmocka_unit_test(test_a_body_over_the_limit_is_skipped_or_ends_the_connection),
        cmocka_unit_test(test_a_long_body_is_asked_for),
        cmocka_unit_test(test_hello_of_another_version_is_answered_and_may_be_repeated),
        cmocka_unit_test(test_a_wrong_magic_is_answered_and_ends_the_connection),
        cmocka_unit_test(test_random_bytes_never_stop_the_decoder),
        cmocka_unit_test(test_what_does_not_fit_a_frame_is_not_encoded),
    };
    return cmocka_run_group_tests_name("binary", tests, setup, NULL);
}
