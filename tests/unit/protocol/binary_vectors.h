/* SPDX-License-Identifier: MIT
 *
 * binary_vectors.h - what a server would answer to each of tests/vectors/binary.json: the tables of
 * test_binary_vectors.c, and everything in it belongs to that. */
#ifndef RD_TESTS_BINARY_VECTORS_H
#define RD_TESTS_BINARY_VECTORS_H

#include "protocol/message.h"

#define ALPHA_HASH 0xbe6903b5f625ab5au
#define BETA_HASH  0x28faff7f97dff641u
#define ALPHA_CRC  0xca97121au
#define BETA_CRC   0x0da62e3cu
#define TEXT(text)                                                                                                \
    {                                                                                                             \
        .data = (const uint8_t *)(text), .len = sizeof(text) - 1                                                  \
    }
#define ALPHA_VALUE TEXT("Hello, store!")
#define BETA_VALUE                                                                                                \
    {                                                                                                             \
        .data = beta_value, .len = sizeof beta_value                                                              \
    }
#define SYNC         .durability = RD_MESSAGE_DURABILITY_SYNC
#define INTERVAL(ms) .durability = RD_MESSAGE_DURABILITY_INTERVAL, .durability_interval_ms = (ms)
#define NONE         .durability = RD_MESSAGE_DURABILITY_NONE

static uint8_t beta_value[40];

static struct rd_response_item read_items[] = {
    {.status = RD_OK, .offset = 0, .crc32 = ALPHA_CRC, .value = ALPHA_VALUE},
    {.status = RD_KEY_NOT_FOUND},
    {.status = RD_OK, .offset = 64, .crc32 = BETA_CRC, .value = BETA_VALUE},
    {.status = RD_CORRUPT},
};
static struct rd_response_item entry_items[] = {
    {.key_hash = BETA_HASH, .offset = 64, .len = 40, .crc32 = BETA_CRC},
    {.key_hash = ALPHA_HASH, .offset = 0, .len = 13, .crc32 = ALPHA_CRC},
};
static struct rd_response_store store_rows[] = {
    {.name = TEXT("default"),
     .entries = 2,
     .tail = 124,
     .file_size = 124,
     SYNC,
     .generation = UINT64_C(0x0123456789abcdef),
     .batch_marker = true,
     .quota_bytes = 4096,
     .quota_entries = 7,
     .compacting = true},
    {.name = TEXT("old"),
     .file_size = 4096,
     INTERVAL(500),
     .state = RD_MESSAGE_STORE_FAILED,
     .reason = TEXT("not a store")},
};
static struct rd_response_store damaged_row = {.name = TEXT("old"),
                                               .entries = 2,
                                               .tail = 124,
                                               .file_size = 124,
                                               SYNC,
                                               .state = RD_MESSAGE_STORE_READ_ONLY,
                                               .reason = TEXT("bytes 0 to 33 are damaged"),
                                               .generation = 7};
static struct rd_response_problem found_problems[] = {
    {.kind = RD_MESSAGE_PROBLEM_PAYLOAD, .live = true, .offset = 128, .len = 40, .key_hash = BETA_HASH},
    {.kind = RD_MESSAGE_PROBLEM_PAD, .offset = 33, .len = 31, .key_hash = BETA_HASH},
    {.kind = RD_MESSAGE_PROBLEM_BATCH, .offset = 32, .len = 1, .key_hash = ALPHA_HASH},
    {.kind = RD_MESSAGE_PROBLEM_CHAIN, .len = 32},
};
static struct rd_response_store new_row = {.name = TEXT("new"), INTERVAL(500), .generation = 7};

#define CHUNK(text)                                                                                               \
    {                                                                                                             \
        .kind = RD_STREAM_CHUNK, .bytes = TEXT(text)                                                              \
    }
#define THE_END                                                                                                   \
    {                                                                                                             \
        .kind = RD_STREAM_END                                                                                     \
    }
static const struct rd_stream_part credit[] = {{.kind = RD_STREAM_CREDIT, .credit = 40}};
static const struct rd_stream_part whole[] = {CHUNK("Hello, "), CHUNK("store!"), THE_END};
static const struct rd_stream_part from_7[] = {CHUNK("stor"), CHUNK("e!"), THE_END};
static const struct rd_stream_part last_8[] = {
    {.kind = RD_STREAM_CHUNK, .bytes = {.data = beta_value + 32, .len = 8}}, THE_END};
static const struct rd_stream_part damaged[] = {
    CHUNK("Hellx, "), {.kind = RD_STREAM_ABORT, .status = RD_CORRUPT, .bytes = TEXT("checksum")}};
static const struct rd_stream_part aborted[] = {CHUNK("Hello"), {.kind = RD_STREAM_ABORT}};

/* What the server would answer, by the vector's name. */
struct answer {
    const char *name;
    struct rd_response response;
};

/* A store's file with the two values in it. */
#define BACKUP_GENERATION UINT64_C(0x0123456789abcdef)
static const uint8_t backup_file[] = {
    0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x2c, 0x20, 0x73, 0x74, 0x6f, 0x72, 0x65, 0x21, 0x5a, 0xab, 0x25, 0xf6, 0xb5,
    0x03, 0x69, 0xbe, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x1a, 0x12, 0x97, 0xca, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07,
    0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19,
    0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x41, 0xf6, 0xdf, 0x97,
    0x7f, 0xff, 0xfa, 0x28, 0x21, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x3c, 0x2e, 0xa6, 0x0d};
static const struct rd_stream_part backup_whole[] = {
    {.kind = RD_STREAM_CHUNK, .bytes = {.data = backup_file, .len = 33}},
    {.kind = RD_STREAM_END},
};
static const struct rd_stream_part backup_new[] = {
    {.kind = RD_STREAM_CHUNK, .bytes = {.data = backup_file + 33, .len = 31}},
    {.kind = RD_STREAM_CHUNK, .bytes = {.data = backup_file + 64, .len = 60}},
    {.kind = RD_STREAM_END},
};
static const struct rd_stream_part backup_nothing[] = {{.kind = RD_STREAM_END}};
static const struct rd_stream_part backup_lost[] = {
    {.kind = RD_STREAM_CHUNK, .bytes = {.data = backup_file, .len = 7}},
    {.kind = RD_STREAM_ABORT, .status = RD_IO_ERROR, .bytes = TEXT("the file cannot be read")},
};

/* And in parts, by the same name. */
struct stream {
    const char *name;
    const struct rd_stream_part *parts;
    size_t part_count;
    bool parts_first; /* before the answer: those of an upload */
};

#define PARTS(list) (list), sizeof(list) / sizeof(list)[0]
#define ALPHA       .crc32 = ALPHA_CRC, .key_hash = ALPHA_HASH
#define BETA        .crc32 = BETA_CRC, .key_hash = BETA_HASH
#define ALPHA_STREAM                                                                                              \
    {                                                                                                             \
        ALPHA, .value_len = 13, .value = ALPHA_VALUE                                                              \
    }

#define METRICS                                                                                                   \
    "# HELP rdrive_stores Stores that are listed, whatever their state.\n# TYPE rdrive_stores gauge\n"            \
    "rdrive_stores 2\n"

static const struct answer answers[] = {
    {"hello",
     {.limits = {.body_len_max = 80u << 20,
                 .key_len_max = 32u << 10,
                 .batch_count_max = 100000,
                 .in_flight_max = 1024,
                 .stream_window = 1u << 20,
                 .chunk_len_max = 256u << 10}}},
    {"ping", {.status = RD_OK}},
    {"metrics", {.value = {.data = (const uint8_t *)METRICS, .len = sizeof METRICS - 1}}},
    {"ping with bytes", {.status = RD_OK}},
    {"auth", {.status = RD_OK}},
    {"auth with a token that is not known", {.status = RD_UNAUTHORIZED, .message = "the token is not known here"}},
    {"read without a token", {.status = RD_UNAUTHORIZED, .message = "this server asks for a token"}},
    {"read that the token does not allow",
     {.status = RD_FORBIDDEN, .message = "the token does not allow read in store 'default'"}},
    {"write", {.offset = 0, .tail = 33, .crc32 = ALPHA_CRC, .key_hash = ALPHA_HASH, SYNC}},
    {"write by hash, durability none",
     {.offset = 64, .tail = 124, .crc32 = BETA_CRC, .key_hash = BETA_HASH, .replaced = true, NONE}},
    {"write of an empty value", {.status = RD_INVALID_ARGUMENT, .message = "Payload cannot be empty."}},
    {"batch_write", {.offset = 64, .tail = 124, .count = 2, INTERVAL(250)}},
    {"batch_write that allows null bytes", {.offset = 124, .tail = 145, .count = 1, SYNC}},
    {"batch_write of nothing", {.tail = 145, SYNC}},
    {"delete", {.tail = 145, .found = true, SYNC}},
    {"delete of a missing key", {.tail = 145, NONE}},
    {"batch_delete", {.tail = 166, .count = 1, SYNC}},
    {"read", {.crc32 = ALPHA_CRC, .key_hash = ALPHA_HASH, .value = ALPHA_VALUE}},
    {"read by hash",
     {.offset = 64, .crc32 = BETA_CRC, .key_hash = BETA_HASH, .prev_tail = 33, .value = BETA_VALUE}},
    {"read of a missing key", {.status = RD_KEY_NOT_FOUND, .message = "no such key"}},
    {"read in a store that does not exist", {.status = RD_STORE_NOT_FOUND, .message = "no store \"nowhere\""}},
    {"batch_read", {.items = read_items, .item_count = 4}},
    {"exists", {.found = true}},
    {"exists, not", {.found = false}},
    {"metadata", {.key_hash = BETA_HASH, .offset = 64, .value_len = 40, .prev_tail = 33, .crc32 = BETA_CRC}},
    {"last", {.key_hash = BETA_HASH, .offset = 64, .value_len = 40, .prev_tail = 33, .crc32 = BETA_CRC}},
    {"last of an empty store", {.status = RD_KEY_NOT_FOUND, .message = "no entry lives"}},
    {"iterate", {.items = entry_items, .item_count = 2}},
    {"iterate, the end", {.status = RD_OK}},
    {"stores", {.stores = store_rows, .store_count = 2}},
    {"create", {.stores = &new_row, .store_count = 1}},
    {"create of a store that exists", {.status = RD_CONFLICT, .message = "the store exists"}},
    {"info", {.stores = store_rows, .store_count = 1}},
    {"drop", {.status = RD_OK}},
    {"verify, a first step of at most 64 bytes",
     {.verification = {.from = 145, .next = 33, .entries = 2, .bytes = 112}}},
    {"verify, the last step, with problems",
     {.verification = {.from = 256,
                       .entries = 3,
                       .bytes = 256,
                       .problem_count = 5,
                       .problems = found_problems,
                       .listed_count = 4}}},
    {"verify from behind the end", {.status = RD_INVALID_ARGUMENT, .message = "from lies behind the store's end"}},
    {"reopen", {.stores = store_rows, .store_count = 1}},
    {"reopen of a store that still cannot be written", {.stores = &damaged_row, .store_count = 1}},
    {"reopen twice at once", {.status = RD_UNAVAILABLE, .message = "store 'default' is being reopened"}},
    {"backup", {.generation = BACKUP_GENERATION, .tail = 33, .value = {.data = backup_file, .len = 33}}},
    {"backup of what is new, with credit given twice",
     {.generation = BACKUP_GENERATION,
      .tail = 124,
      .range_first = 33,
      .value = {.data = backup_file + 33, .len = 91}}},
    {"backup where nothing is new", {.generation = BACKUP_GENERATION, .tail = 124, .range_first = 124}},
    {"backup of another generation",
     {.status = RD_PRECONDITION_FAILED, .message = "store 'default' is of another generation"}},
    {"backup from behind the end", {.status = RD_RANGE_NOT_SATISFIABLE, .message = "the file has 124 bytes"}},
    {"backup whose file can no longer be read",
     {.generation = BACKUP_GENERATION, .tail = 33, .value = {.data = backup_file, .len = 33}}},
    {"compact",
     {.compaction = {.tail_before = 282,
                     .tail = 90,
                     .entries = 2,
                     .generation = UINT64_C(0x0123456789abcdef),
                     .pause_us = 4200}}},
    {"compact while another store is",
     {.status = RD_OVERLOADED, .message = "a store is being compacted; one at a time"}},
    {"write_stream, its length announced", {.tail = 33, ALPHA, SYNC}},
    {"write_stream of unknown length where the key is absent, with credit",
     {.offset = 64, .tail = 124, BETA, NONE}},
    {"write_stream that is refused at once", {.status = RD_STORE_NOT_FOUND, .message = "no store \"nowhere\""}},
    {"write_stream that the client aborts", {.status = RD_INVALID_ARGUMENT, .message = "the stream was aborted"}},
    {"read_stream", ALPHA_STREAM},
    {"read_stream from byte 7 on, with credit given twice",
     {ALPHA, .value_len = 13, .partial = true, .range_first = 7, .value = TEXT("store!")}},
    {"read_stream of the last 8 bytes",
     {.offset = 64,
      BETA,
      .prev_tail = 33,
      .value_len = 40,
      .partial = true,
      .range_first = 32,
      .value = {.data = beta_value + 32, .len = 8}}},
    {"read_stream of a range outside the value",
     {.status = RD_RANGE_NOT_SATISFIABLE, .message = "the value has 13 bytes"}},
    {"read_stream of a damaged value", ALPHA_STREAM},
    {"read_stream that the client aborts", ALPHA_STREAM},
    {"rename", {.offset = 128, .tail = 182, .crc32 = ALPHA_CRC, .key_hash = BETA_HASH, .replaced = true, SYNC}},
    {"rename of one version to a key that is absent",
     {.offset = 128, .tail = 209, .crc32 = BETA_CRC, .key_hash = 0x2d06800538d394c2, NONE}},
    {"rename to a key that must be absent and is not",
     {.status = RD_PRECONDITION_FAILED, .message = "the key is there"}},
    {"copy", {.target_offset = 128, .target_tail = 161}},
    {"copy to the same store", {.status = RD_CONFLICT, .message = "source and target are the same store"}},
    {"transfer", {.target_offset = 64, .target_tail = 124, .source_tail = 145}},
    {"write where the key is absent", {.status = RD_PRECONDITION_FAILED, .message = "the key is there"}},
    {"delete of one version", {.tail = 145, .found = true, SYNC}},
    {"delete where the key is present", {.status = RD_PRECONDITION_FAILED, .message = "the key is absent"}},
};

static const struct stream streams[] = {
    {"write_stream of unknown length where the key is absent, with credit", PARTS(credit), true},
    {"read_stream", PARTS(whole), false},
    {"read_stream from byte 7 on, with credit given twice", PARTS(from_7), false},
    {"read_stream of the last 8 bytes", PARTS(last_8), false},
    {"read_stream of a damaged value", PARTS(damaged), false},
    {"read_stream that the client aborts", PARTS(aborted), false},
    {"backup", PARTS(backup_whole), false},
    {"backup of what is new, with credit given twice", PARTS(backup_new), false},
    {"backup where nothing is new", PARTS(backup_nothing), false},
    {"backup whose file can no longer be read", PARTS(backup_lost), false},
};

#endif
