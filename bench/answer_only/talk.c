/* SPDX-License-Identifier: MIT */
#include "bench/answer_only/talk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "protocol/message.h"
#include "protocol/wire.h"

#define CANNED_LEN 65536u /* so much of one answer lies repeated, to leave by one call */

/* An answer, as often as is worth it. */
struct canned {
    uint8_t *bytes;
    size_t len;     /* of one */
    size_t count;   /* how often it is there */
    uint8_t opcode; /* each begins with a frame's header, which is to be filled in; 0: with nothing of the kind */
};

struct bench_dialect {
    uint8_t first_byte; /* of a client's; 0: any */
    size_t head_len;    /* 0: heads are lines */
    bool (*take_head)(struct bench_talk *talk, struct rd_slice head);
    struct canned *canned; /* by enum bench_answer */
};

/* ---- what comes ------------------------------------------------------------------------------------------- */

/* So much is still to come of the request, which is then owed this. */
static void expect(struct bench_talk *talk, enum bench_answer answer, uint64_t skip)
{
    talk->next.answer = answer;
    talk->skip = skip;
    talk->whole = true;
}

static bool take_binary(struct bench_talk *talk, struct rd_slice head)
{
    if (!talk->greeted) {
        talk->greeted = true;
        expect(talk, BENCH_OTHER, 0);
        return true;
    }
    struct rd_wire_header header = rd_wire_load_header(head.data);
    talk->next.id = header.id;
    expect(talk, header.opcode == RD_OPCODE_READ ? BENCH_VALUE : BENCH_STORED, header.body_len);
    return header.opcode == RD_OPCODE_READ || header.opcode == RD_OPCODE_WRITE;
}

/* The digits that a line begins with, or ends with. */
static bool number_of(struct rd_slice line, uint64_t *ret_number)
{
    size_t len = line.len;
    while (len != 0 && (line.data[len - 1] == '\n' || line.data[len - 1] == '\r'))
        len--;
    size_t first = len;
    while (first != 0 && line.data[first - 1] >= '0' && line.data[first - 1] <= '9')
        first--;
    return rd_text_parse_u64(rd_slice(line.data + first, len - first), ret_number);
}

static bool begins_with(struct rd_slice line, const char *text)
{
    size_t len = strlen(text);
    return line.len >= len && memcmp(line.data, text, len) == 0;
}

/* "*3", "$3", "SET", "$16", a key, "$100", a value: the name is a line of its own, the rest is skipped. */
static bool take_redis(struct bench_talk *talk, struct rd_slice line)
{
    uint64_t number = 0;
    if (talk->parts == 0) {
        if (!begins_with(line, "*") || !number_of(line, &number) || number < 2 || number > 3)
            return false;
        talk->parts = (uint32_t)number;
        talk->named = false;
    } else if (begins_with(line, "$")) {
        if (!number_of(line, &number))
            return false;
        talk->parts--;
        if (!talk->named)
            return true;
        talk->skip = number + 2;
        talk->whole = talk->parts == 0;
    } else if (talk->named) {
        return false;
    } else {
        talk->named = true;
        talk->next.answer = begins_with(line, "GET")   ? BENCH_VALUE
                            : begins_with(line, "SET") ? BENCH_STORED
                                                       : BENCH_OTHER;
    }
    return true;
}

/* "get key", or "set key 0 0 100" and a value. */
static bool take_memcached(struct bench_talk *talk, struct rd_slice line)
{
    uint64_t value_len = 0;
    if (begins_with(line, "get "))
        expect(talk, BENCH_VALUE, 0);
    else if (begins_with(line, "set ") && number_of(line, &value_len))
        expect(talk, BENCH_STORED, value_len + 2);
    else
        expect(talk, BENCH_OTHER, 0);
    return true;
}

static bool owe(struct bench_talk *talk, uint64_t end)
{
    if (talk->owed_count == talk->owed_capacity) {
        size_t capacity = talk->owed_capacity == 0 ? 64 : talk->owed_capacity * 2;
        struct bench_owed *owed = realloc(talk->owed, capacity * sizeof *owed);
        if (owed == NULL)
            return false;
        talk->owed = owed;
        talk->owed_capacity = capacity;
    }
    talk->whole = false;
    talk->next.end = end;
    talk->owed[talk->owed_count++] = talk->next;
    return true;
}

/* Takes the next head off the bytes; empty: it has not come whole, and what there is of it was kept. */
static struct rd_slice next_head(struct bench_talk *talk, struct rd_slice *bytes, bool *ret_failed)
{
    size_t len = talk->dialect->head_len - talk->head_len;
    bool whole = bytes->len >= len;
    if (talk->dialect->head_len == 0) {
        const uint8_t *end = memchr(bytes->data, '\n', bytes->len);
        whole = end != NULL;
        len = whole ? (size_t)(end - bytes->data) + 1 : bytes->len;
    }
    struct rd_slice head = rd_slice_take(bytes, len);
    if (whole && talk->head_len == 0)
        return head;
    *ret_failed = head.len > sizeof talk->head - talk->head_len;
    if (*ret_failed)
        return rd_slice(NULL, 0);
    memcpy(talk->head + talk->head_len, head.data, head.len);
    talk->head_len += head.len;
    if (!whole)
        return rd_slice(NULL, 0);
    head = rd_slice(talk->head, talk->head_len);
    talk->head_len = 0;
    return head;
}

static const struct bench_dialect *dialect_of(uint8_t first_byte);

bool bench_talk_take(struct bench_talk *talk, struct rd_slice bytes, uint64_t end)
{
    if (talk->dialect == NULL && bytes.len != 0)
        talk->dialect = dialect_of(bytes.data[0]);
    while (bytes.len != 0) {
        if (talk->skip == 0) {
            bool failed = false;
            struct rd_slice head = next_head(talk, &bytes, &failed);
            if (failed)
                return false;
            if (head.len == 0)
                break;
            if (!talk->dialect->take_head(talk, head))
                return false;
        }
        talk->skip -= rd_slice_take(&bytes, talk->skip).len;
        if (talk->whole && talk->skip == 0 && !owe(talk, end - bytes.len))
            return false;
    }
    return true;
}

/* ---- what is answered ------------------------------------------------------------------------------------- */

static struct canned binary_canned[BENCH_ANSWERS];
static struct canned redis_canned[BENCH_ANSWERS];
static struct canned memcached_canned[BENCH_ANSWERS];

static const struct bench_dialect dialects[] = {
    {(uint8_t)RD_WIRE_MAGIC[0], RD_WIRE_HEADER_LEN, take_binary, binary_canned},
    {'*', 0, take_redis, redis_canned},
    {0, 0, take_memcached, memcached_canned},
};

static const struct bench_dialect *dialect_of(uint8_t first_byte)
{
    const struct bench_dialect *dialect = dialects;
    while (dialect->first_byte != 0 && dialect->first_byte != first_byte)
        dialect++;
    return dialect;
}

/* Before, so many bytes of a value, and after: as often as is worth it. */
static bool can(struct canned *canned, struct rd_slice before, size_t value_len, struct rd_slice after)
{
    canned->len = before.len + value_len + after.len;
    canned->count = canned->len < CANNED_LEN ? CANNED_LEN / canned->len : 1;
    canned->bytes = malloc(canned->len * canned->count);
    if (canned->bytes == NULL)
        return false;
    for (uint8_t *to = canned->bytes; to != canned->bytes + canned->len * canned->count; to += canned->len) {
        memcpy(to, before.data, before.len);
        memset(to + before.len, 'v', value_len);
        memcpy(to + before.len + value_len, after.data, after.len);
    }
    return true;
}

static bool can_text(struct canned *canned, const char *text)
{
    return can(canned, rd_slice(text, strlen(text)), 0, rd_slice("", 0));
}

static bool can_text_value(struct canned *canned, const char *head, size_t value_len, const char *tail)
{
    return can(canned, rd_slice(head, strlen(head)), value_len, rd_slice(tail, strlen(tail)));
}

static bool can_frame(struct canned *canned, uint8_t opcode, size_t body_len)
{
    uint8_t header[RD_WIRE_HEADER_LEN] = {0}; /* filled in each time */
    canned->opcode = opcode;
    return can(canned, rd_slice(header, sizeof header), body_len, rd_slice("", 0));
}

static bool can_hello(struct canned *canned)
{
    struct rd_limits limits = RD_LIMITS_DEFAULT;
    uint8_t hello[RD_WIRE_HELLO_LEN + RD_WIRE_LIMITS_LEN];
    uint8_t *to = rd_wire_put_bytes(hello, rd_slice(RD_WIRE_MAGIC, RD_WIRE_MAGIC_LEN));
    to = rd_wire_put_u16(to, RD_WIRE_VERSION);
    to = rd_wire_put_u16(to, RD_OK);
    to = rd_wire_put_u32(to, RD_WIRE_LIMITS_LEN);
    to = rd_wire_put_u32(to, limits.body_len_max);
    to = rd_wire_put_u32(to, limits.key_len_max);
    to = rd_wire_put_u32(to, limits.batch_count_max);
    to = rd_wire_put_u32(to, limits.in_flight_max);
    to = rd_wire_put_u32(to, limits.stream_window);
    rd_wire_put_u32(to, limits.chunk_len_max);
    return can(canned, rd_slice(hello, sizeof hello), 0, rd_slice("", 0));
}

bool bench_talk_init(uint32_t value_len)
{
    char redis_head[32];
    char memcached_head[64]; /* the key is one of rdrive-bench's: clients look at its length at most */
    snprintf(redis_head, sizeof redis_head, "$%u\r\n", value_len);
    snprintf(memcached_head, sizeof memcached_head, "VALUE key:000000000000 0 %u\r\n", value_len);
    return can_frame(&binary_canned[BENCH_VALUE], RD_OPCODE_READ, RD_WIRE_READ_ANSWER_LEN + value_len) &&
           can_frame(&binary_canned[BENCH_STORED], RD_OPCODE_WRITE, RD_WIRE_WRITE_ANSWER_LEN) &&
           can_hello(&binary_canned[BENCH_OTHER]) &&
           can_text_value(&redis_canned[BENCH_VALUE], redis_head, value_len, "\r\n") &&
           can_text(&redis_canned[BENCH_STORED], "+OK\r\n") &&
           can_text(&redis_canned[BENCH_OTHER], "-ERR GET and SET alone are answered here\r\n") &&
           can_text_value(&memcached_canned[BENCH_VALUE], memcached_head, value_len, "\r\nEND\r\n") &&
           can_text(&memcached_canned[BENCH_STORED], "STORED\r\n") &&
           can_text(&memcached_canned[BENCH_OTHER], "ERROR\r\n");
}

static void fill_header(const struct canned *canned, size_t number, uint64_t id)
{
    rd_wire_store_header(canned->bytes + number * canned->len,
                         (struct rd_wire_header){.body_len = (uint32_t)(canned->len - RD_WIRE_HEADER_LEN),
                                                 .opcode = canned->opcode,
                                                 .id = id});
}

struct rd_slice bench_talk_next(struct bench_talk *talk, uint64_t end)
{
    if (!bench_talk_owes(talk))
        return rd_slice(NULL, 0);
    const struct bench_owed *owed = &talk->owed[talk->owed_first];
    const struct canned *canned = &talk->dialect->canned[owed->answer];
    size_t count_max = talk->owed_count - talk->owed_first;
    if (count_max > canned->count)
        count_max = canned->count;
    size_t count = 0;
    while (count < count_max && owed[count].answer == owed->answer && owed[count].end <= end) {
        if (canned->opcode != 0)
            fill_header(canned, count, owed[count].id);
        count++;
    }
    talk->owed_first += count;
    if (!bench_talk_owes(talk))
        talk->owed_first = talk->owed_count = 0;
    return rd_slice(canned->bytes, count * canned->len);
}

void bench_talk_deinit(struct bench_talk *talk)
{
    free(talk->owed);
}
