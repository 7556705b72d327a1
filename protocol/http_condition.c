/* SPDX-License-Identifier: MIT */
#include "protocol/http_condition.h"

#include "base/text.h"

#define CRC_DIGITS        8u
#define OFFSET_DIGITS_MAX 16u
#define GENERATION_DIGITS 16u

struct tag {
    struct rd_slice text; /* between the quotes; borrows */
    bool weak;
    bool ours; /* offset and crc32 are what it says */
    uint64_t offset;
    uint32_t crc32;
};

/* ---- tags -------------------------------------------------------------------------------------------------- */

static void append_offset(uint64_t offset, struct rd_buffer *out)
{
    unsigned digit_count = 1;
    while (digit_count < OFFSET_DIGITS_MAX && offset >> (4 * digit_count) != 0)
        digit_count++;
    rd_text_hex_u64_encode(offset, digit_count, out);
}

void rd_http_append_file_tag(uint64_t generation, uint64_t tail, struct rd_buffer *out)
{
    rd_buffer_append_u8(out, '"');
    rd_text_hex_u64_encode(generation, GENERATION_DIGITS, out);
    rd_buffer_append_u8(out, '-');
    append_offset(tail, out);
    rd_buffer_append_u8(out, '"');
}

void rd_http_append_tag(uint64_t offset, uint32_t crc32, struct rd_buffer *out)
{
    rd_buffer_append_u8(out, '"');
    append_offset(offset, out);
    rd_buffer_append_u8(out, '-');
    rd_text_hex_u64_encode(crc32, CRC_DIGITS, out);
    rd_buffer_append_u8(out, '"');
}

/* Lower case only: tags are compared byte for byte. */
static bool parse_hex(struct rd_slice text, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0)
            return false;
        value = value << 4 | (uint64_t)digit;
    }
    *ret_value = value;
    return text.len != 0;
}

/* text: what stands between the quotes. */
static struct tag parse_tag(struct rd_slice text, bool weak)
{
    struct tag tag = {.text = text, .weak = weak};
    uint64_t crc32 = 0;
    if (text.len < 1 + 1 + CRC_DIGITS || text.len > OFFSET_DIGITS_MAX + 1 + CRC_DIGITS)
        return tag;
    struct rd_slice offset = rd_slice_take(&text, text.len - 1 - CRC_DIGITS);
    bool dash = rd_slice_take(&text, 1).data[0] == '-';
    bool leading_zero = offset.len > 1 && offset.data[0] == '0';
    tag.ours = dash && !leading_zero && parse_hex(offset, &tag.offset) && parse_hex(text, &crc32);
    tag.crc32 = (uint32_t)crc32;
    return tag;
}

static void skip_space(struct rd_slice *text)
{
    while (text->len != 0 && (text->data[0] == ' ' || text->data[0] == '\t'))
        rd_slice_take(text, 1);
}

/* Takes one tag off a list. *ret_any: there was one. False: malformed. */
static bool next_tag(struct rd_slice *list, bool *ret_any, struct tag *ret_tag)
{
    skip_space(list);
    while (list->len != 0 && list->data[0] == ',') { /* empty elements are to be borne */
        rd_slice_take(list, 1);
        skip_space(list);
    }
    *ret_any = list->len != 0;
    if (list->len == 0)
        return true;
    bool weak = list->len >= 2 && list->data[0] == 'W' && list->data[1] == '/';
    if (weak)
        rd_slice_take(list, 2);
    if (list->len == 0 || list->data[0] != '"')
        return false;
    rd_slice_take(list, 1);
    const uint8_t *end = list->len == 0 ? NULL : memchr(list->data, '"', list->len);
    if (end == NULL)
        return false;
    *ret_tag = parse_tag(rd_slice_take(list, (size_t)(end - list->data)), weak);
    rd_slice_take(list, 1);
    skip_space(list);
    return list->len == 0 || list->data[0] == ',';
}

static bool is_star(struct rd_slice list)
{
    return list.len == 1 && list.data[0] == '*';
}

bool rd_http_tags_name(struct rd_slice list, uint64_t offset, uint32_t crc32)
{
    if (is_star(list))
        return true;
    bool any = false;
    struct tag tag = {0};
    while (next_tag(&list, &any, &tag) && any)
        if (tag.ours && tag.offset == offset && tag.crc32 == crc32)
            return true;
    return false;
}

/* What a list comes down to. */
struct tags {
    size_t count;        /* all of them */
    size_t our_count;    /* that may be a version of ours */
    size_t strong_count; /* of these, that are strong */
    struct tag ours;     /* the last of ours */
    struct tag strong;   /* the last of the strong ones of ours */
};

static bool read_tags(struct rd_slice list, const char *header, struct tags *ret_tags,
                      struct rd_http_problem *problem)
{
    struct tags tags = {0};
    bool any = true;
    while (any) {
        struct tag tag = {0};
        if (!next_tag(&list, &any, &tag) || (!any && tags.count == 0))
            return rd_http_problem_set(problem, RD_INVALID_ARGUMENT,
                                       "malformed %s header: \"*\", or tags in double quotes", header);
        tags.count += any;
        tags.our_count += tag.ours;
        if (tag.ours)
            tags.ours = tag;
        if (tag.ours && !tag.weak) {
            tags.strong_count++;
            tags.strong = tag;
        }
    }
    *ret_tags = tags;
    return true;
}

static struct rd_message_condition condition_of(enum rd_message_condition_kind kind, struct tag tag)
{
    return (struct rd_message_condition){.kind = kind, .offset = tag.offset, .crc32 = tag.crc32};
}

/* ---- If-Match, If-None-Match ------------------------------------------------------------------------------- */

static bool take_if_match(struct rd_slice list, struct rd_message_condition *ret_condition,
                          struct rd_http_problem *problem)
{
    struct tags tags;
    if (is_star(list)) {
        ret_condition->kind = RD_MESSAGE_IF_PRESENT;
        return true;
    }
    if (!read_tags(list, "If-Match", &tags, problem))
        return false;
    if (tags.strong_count == 0)
        return rd_http_problem_set(problem, RD_PRECONDITION_FAILED, "If-Match names no version of this server");
    if (tags.strong_count > 1)
        return rd_http_problem_set(problem, RD_INVALID_ARGUMENT, "If-Match may name one version only");
    *ret_condition = condition_of(RD_MESSAGE_IF_VERSION, tags.strong);
    return true;
}

/* Of a request that changes something. */
static bool take_if_absent(struct rd_slice list, struct rd_message_condition *ret_condition,
                           struct rd_http_problem *problem)
{
    if (!is_star(list))
        return rd_http_problem_set(problem, RD_INVALID_ARGUMENT, "If-None-Match must be * here");
    ret_condition->kind = RD_MESSAGE_IF_ABSENT;
    return true;
}

/* One tag is a condition, so that the value need not be looked at; a list, or one beside If-Match, is for encode.
 */
static bool take_if_changed(const struct rd_http_head *head, struct rd_http_conditions *conditions,
                            struct rd_http_problem *problem)
{
    struct tags tags;
    struct rd_slice list = head->if_none_match;
    if (is_star(list)) {
        conditions->not_versions = list;
        return true;
    }
    if (!read_tags(list, "If-None-Match", &tags, problem))
        return false;
    if (tags.our_count == 1 && head->if_match.data == NULL)
        conditions->condition = condition_of(RD_MESSAGE_IF_NOT_VERSION, tags.ours);
    else if (tags.our_count != 0)
        conditions->not_versions = list;
    return true;
}

/* ---- Range, If-Range --------------------------------------------------------------------------------------- */

/* One or more digits; what does not fit becomes UINT64_MAX, which is beyond every value. */
static bool take_number(struct rd_slice *text, uint64_t *ret_value)
{
    uint64_t value = 0;
    size_t count = 0;
    for (; text->len != 0 && text->data[0] >= '0' && text->data[0] <= '9'; count++) {
        uint64_t digit = rd_slice_take(text, 1).data[0] - (uint64_t)'0';
        value = value > (UINT64_MAX - digit) / 10 ? UINT64_MAX : value * 10 + digit;
    }
    *ret_value = value;
    return count != 0;
}

/* A header that is malformed, or asks for several ranges or in another unit, asks for all of the value. */
static struct rd_message_range read_range(struct rd_slice text)
{
    const struct rd_message_range all = {.kind = RD_MESSAGE_RANGE_NONE};
    uint64_t first = 0;
    uint64_t last = UINT64_MAX;
    struct rd_slice unit = rd_slice_take(&text, sizeof "bytes=" - 1);
    if (!rd_http_equals_ignoring_case(unit, "bytes="))
        return all;
    bool from = take_number(&text, &first);
    if (text.len == 0 || rd_slice_take(&text, 1).data[0] != '-')
        return all;
    bool to = take_number(&text, &last);
    if (text.len != 0 || (!from && !to) || (from && to && last < first))
        return all;
    if (!from)
        return (struct rd_message_range){.kind = RD_MESSAGE_RANGE_SUFFIX, .len = last};
    uint64_t len = !to || last - first == UINT64_MAX ? UINT64_MAX : last - first + 1;
    return (struct rd_message_range){.kind = RD_MESSAGE_RANGE_FROM, .first = first, .len = len};
}

static bool has_range(const struct rd_http_head *head)
{
    return head->range.data != NULL && head->range_count == 1;
}

/* If-Range with anything but a strong tag of ours never holds: all of the value, then. */
static void take_range(const struct rd_http_head *head, struct rd_http_conditions *conditions)
{
    if (!has_range(head))
        return;
    if (head->if_range.data != NULL) {
        struct rd_slice list = head->if_range;
        bool any = false;
        struct tag tag = {0};
        if (!next_tag(&list, &any, &tag) || list.len != 0 || !tag.ours || tag.weak)
            return;
        conditions->range_condition = condition_of(RD_MESSAGE_IF_VERSION, tag);
    }
    conditions->range = read_range(head->range);
}

/* ---- backups ----------------------------------------------------------------------------------------------- */

/* Whether this is one strong tag of a file. Its tail says nothing: the file only grows. */
static bool read_file_tag(struct rd_slice list, uint64_t *ret_generation)
{
    bool any = false;
    struct tag tag = {0};
    uint64_t generation = 0;
    uint64_t tail;
    if (!next_tag(&list, &any, &tag) || !any || list.len != 0 || tag.weak)
        return false;
    struct rd_slice digits = rd_slice_take(&tag.text, GENERATION_DIGITS);
    bool good = digits.len == GENERATION_DIGITS && parse_hex(digits, &generation) && generation != 0 &&
                tag.text.len != 0 && rd_slice_take(&tag.text, 1).data[0] == '-' &&
                tag.text.len <= OFFSET_DIGITS_MAX && parse_hex(tag.text, &tail);
    if (good)
        *ret_generation = generation;
    return good;
}

static bool find_for_backup(const struct rd_http_head *head, struct rd_http_conditions *conditions,
                            struct rd_http_problem *problem)
{
    if (head->if_match.data != NULL && !is_star(head->if_match) &&
        !read_file_tag(head->if_match, &conditions->generation))
        return rd_http_problem_set(problem, RD_PRECONDITION_FAILED, "If-Match names no file of this server");
    if (head->method != RD_HTTP_GET || !has_range(head))
        return true;
    if (head->if_range.data == NULL || read_file_tag(head->if_range, &conditions->range_generation))
        conditions->range = read_range(head->range);
    return true;
}

/* ---- the whole --------------------------------------------------------------------------------------------- */

static bool find_for_change(const struct rd_http_head *head, bool rename, struct rd_http_conditions *conditions,
                            struct rd_http_problem *problem)
{
    bool match = head->if_match.data != NULL;
    bool none_match = head->if_none_match.data != NULL;
    if (match && none_match && !rename)
        return rd_http_problem_set(problem, RD_INVALID_ARGUMENT, "If-Match and If-None-Match exclude each other");
    if (match && !take_if_match(head->if_match, &conditions->condition, problem))
        return false;
    return !none_match || take_if_absent(head->if_none_match,
                                         rename ? &conditions->target_condition : &conditions->condition, problem);
}

static bool find_for_read(const struct rd_http_head *head, enum rd_opcode opcode,
                          struct rd_http_conditions *conditions, struct rd_http_problem *problem)
{
    if (head->if_match.data != NULL && !take_if_match(head->if_match, &conditions->condition, problem))
        return false;
    if (head->if_none_match.data != NULL && !take_if_changed(head, conditions, problem))
        return false;
    if (opcode == RD_OPCODE_READ)
        take_range(head, conditions);
    return true;
}

bool rd_http_conditions_find(const struct rd_http_head *head, enum rd_opcode opcode,
                             struct rd_http_conditions *ret_conditions, struct rd_http_problem *problem)
{
    struct rd_http_conditions conditions = {0};
    bool good = true;
    switch (opcode) {
    case RD_OPCODE_WRITE:
    case RD_OPCODE_DELETE:
    case RD_OPCODE_RENAME:
        good = find_for_change(head, opcode == RD_OPCODE_RENAME, &conditions, problem);
        break;
    case RD_OPCODE_READ:
    case RD_OPCODE_METADATA:
        good = find_for_read(head, opcode, &conditions, problem);
        break;
    case RD_OPCODE_BACKUP:
        good = find_for_backup(head, &conditions, problem);
        break;
    default: /* a change that cannot be conditional must not happen unconditionally */
        if (head->method != RD_HTTP_GET && (head->if_match.data != NULL || head->if_none_match.data != NULL))
            return rd_http_problem_set(problem, RD_INVALID_ARGUMENT,
                                       "this request takes neither If-Match nor If-None-Match");
        break;
    }
    if (good)
        *ret_conditions = conditions;
    return good;
}
