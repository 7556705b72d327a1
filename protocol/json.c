/* SPDX-License-Identifier: MIT
 *
 * json.c - responses as JSON text. json_parse.c has the way in. */
#include "protocol/json.h"

#include "base/text.h"

#define LITERAL(out, text) rd_buffer_append(out, text, sizeof text - 1)

/* ---- encoding: parts --------------------------------------------------------------------------------------- */

/* Bytes of the well-formed UTF-8 sequence at the start of text, or 0. */
static size_t utf8_len(struct rd_slice text)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t first = text.data[0];
    size_t len = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf8 ? 4 : 0;
    if (len <= 1 || len > text.len)
        return len <= 1 ? len : 0;
    uint32_t code = first & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((text.data[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (text.data[i] & 0x3f);
    }
    bool surrogate = code >= 0xd800 && code <= 0xdfff;
    return code < least[len] || surrogate || code > 0x10ffff ? 0 : len;
}

static void append_escape(uint8_t c, struct rd_buffer *out)
{
    static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (size_t i = 0; i + 1 < sizeof shorts; i += 2) {
        if ((uint8_t)shorts[i] == c) {
            LITERAL(out, "\\");
            rd_buffer_append_u8(out, (uint8_t)shorts[i + 1]);
            return;
        }
    }
    LITERAL(out, "\\u00");
    rd_text_hex_u64_encode(c, 2, out);
}

void rd_json_append_string(struct rd_slice text, struct rd_buffer *out)
{
    LITERAL(out, "\"");
    while (text.len != 0) {
        size_t plain = 0;
        while (plain < text.len && text.data[plain] >= 0x20 && text.data[plain] < 0x80 &&
               text.data[plain] != '"' && text.data[plain] != '\\')
            plain++;
        rd_buffer_append_slice(out, rd_slice_take(&text, plain));
        if (text.len == 0)
            break;
        size_t len = utf8_len(text);
        if (len > 1)
            rd_buffer_append_slice(out, rd_slice_take(&text, len));
        else if (len == 1)
            append_escape(rd_slice_take(&text, 1).data[0], out);
        else {
            LITERAL(out, "\xef\xbf\xbd");
            rd_slice_take(&text, 1);
        }
    }
    LITERAL(out, "\"");
}

void rd_json_append_durability(enum rd_message_durability durability, uint32_t interval_ms, struct rd_buffer *out)
{
    if (durability == RD_MESSAGE_DURABILITY_INTERVAL) {
        LITERAL(out, "interval:");
        rd_text_u64_encode(interval_ms, out);
        return;
    }
    rd_buffer_append_string(out, durability == RD_MESSAGE_DURABILITY_NONE ? "none" : "sync");
}

/* `before` is the text up to the number: {"tail": */
static void append_number(const char *before, uint64_t value, struct rd_buffer *out)
{
    rd_buffer_append_string(out, before);
    rd_text_u64_encode(value, out);
}

static void append_hash(const char *before, uint64_t hash, unsigned digit_count, struct rd_buffer *out)
{
    rd_buffer_append_string(out, before);
    rd_text_hex_u64_encode(hash, digit_count, out);
}

static void append_state(const struct rd_response_store *store, struct rd_buffer *out)
{
    static const char *const names[] = {
        [RD_MESSAGE_STORE_OPEN] = "open",
        [RD_MESSAGE_STORE_READ_ONLY] = "read_only",
        [RD_MESSAGE_STORE_FAILED] = "failed",
    };
    LITERAL(out, ",\"state\":\"");
    rd_buffer_append_string(out, names[store->state]);
    LITERAL(out, "\"");
    if (store->state != RD_MESSAGE_STORE_OPEN) {
        LITERAL(out, ",\"reason\":");
        rd_json_append_string(store->reason, out);
    }
}

/* ---- encoding: bodies -------------------------------------------------------------------------------------- */

void rd_json_encode_written(const struct rd_response *response, struct rd_buffer *out)
{
    append_number("{\"offset\":", response->offset, out);
    append_number(",\"tail\":", response->tail, out);
    LITERAL(out, "}\n");
}

void rd_json_encode_copied(const struct rd_response *response, struct rd_buffer *out)
{
    append_number("{\"target_offset\":", response->target_offset, out);
    append_number(",\"target_tail\":", response->target_tail, out);
    LITERAL(out, "}\n");
}

void rd_json_encode_transferred(const struct rd_response *response, struct rd_buffer *out)
{
    append_number("{\"target_offset\":", response->target_offset, out);
    append_number(",\"target_tail\":", response->target_tail, out);
    append_number(",\"source_tail\":", response->source_tail, out);
    LITERAL(out, "}\n");
}

void rd_json_encode_deleted(const struct rd_response *response, struct rd_buffer *out)
{
    rd_buffer_append_string(out, response->found ? "{\"deleted\":true" : "{\"deleted\":false");
    append_number(",\"tail\":", response->tail, out);
    LITERAL(out, "}\n");
}

void rd_json_encode_batch_written(const struct rd_response *response, struct rd_buffer *out)
{
    append_number("{\"written\":", response->count, out);
    append_number(",\"tail\":", response->tail, out);
    LITERAL(out, "}\n");
}

void rd_json_encode_batch_deleted(const struct rd_response *response, struct rd_buffer *out)
{
    append_number("{\"deleted\":", response->count, out);
    append_number(",\"tail\":", response->tail, out);
    LITERAL(out, "}\n");
}

void rd_json_encode_batch_values(const struct rd_response *response, struct rd_buffer *out)
{
    LITERAL(out, "{\"values\":[");
    for (size_t i = 0; i < response->item_count && !out->failed; i++) {
        const struct rd_response_item *item = &response->items[i];
        if (i != 0)
            LITERAL(out, ",");
        if (item->status == RD_KEY_NOT_FOUND) {
            LITERAL(out, "{\"found\":false}");
        } else if (item->status != RD_OK) {
            LITERAL(out, "{\"found\":true,\"error\":\"");
            rd_buffer_append_string(out, rd_status_name(item->status));
            LITERAL(out, "\"}");
        } else {
            LITERAL(out, "{\"found\":true,\"value_base64\":\"");
            rd_text_base64_encode(item->value, out);
            append_number("\",\"offset\":", item->offset, out);
            LITERAL(out, "}");
        }
    }
    LITERAL(out, "]}\n");
}

void rd_json_encode_last(const struct rd_response *response, struct rd_buffer *out)
{
    append_hash("{\"key_hash\":\"", response->key_hash, 16, out);
    append_number("\",\"offset\":", response->offset, out);
    append_number(",\"length\":", response->value_len, out);
    append_hash(",\"crc32\":\"", response->crc32, 8, out);
    append_number("\",\"prev_tail\":", response->prev_tail, out);
    LITERAL(out, "}\n");
}

void rd_json_encode_entries(const struct rd_response *response, struct rd_buffer *out)
{
    const struct rd_response_item *item = response->items;
    LITERAL(out, "{\"entries\":[");
    for (size_t i = 0; i < response->item_count && !out->failed; i++, item++) {
        append_hash(i == 0 ? "{\"hash\":\"" : ",{\"hash\":\"", item->key_hash, 16, out);
        append_number("\",\"offset\":", item->offset, out);
        append_number(",\"length\":", item->len, out);
        append_hash(",\"crc32\":\"", item->crc32, 8, out);
        LITERAL(out, "\"}");
    }
    if (!response->more) {
        LITERAL(out, "],\"next\":null}\n");
        return;
    }
    append_number("],\"next\":", response->items[response->item_count - 1].offset, out);
    LITERAL(out, "}\n");
}

void rd_json_encode_store(const struct rd_response *response, struct rd_buffer *out)
{
    if (response->store_count == 0) {
        LITERAL(out, "{}\n");
        return;
    }
    const struct rd_response_store *store = &response->stores[0];
    LITERAL(out, "{\"name\":");
    rd_json_append_string(store->name, out);
    append_number(",\"entries\":", store->entries, out);
    append_number(",\"tail\":", store->tail, out);
    append_number(",\"file_size\":", store->file_size, out);
    append_number(",\"dead_bytes\":", store->dead_bytes, out);
    LITERAL(out, ",\"durability\":\"");
    rd_json_append_durability(store->durability, store->durability_interval_ms, out);
    rd_buffer_append_string(out, store->batch_marker ? "\",\"batch_marker\":true" : "\",\"batch_marker\":false");
    append_number(",\"quota_bytes\":", store->quota_bytes, out);
    append_number(",\"quota_entries\":", store->quota_entries, out);
    rd_buffer_append_string(out, store->writes_barred ? ",\"read_only\":true" : ",\"read_only\":false");
    rd_buffer_append_string(out, store->compacting ? ",\"compacting\":true" : ",\"compacting\":false");
    append_hash(",\"generation\":\"", store->generation, 16, out);
    LITERAL(out, "\"");
    append_state(store, out);
    LITERAL(out, "}\n");
}

void rd_json_encode_stores(const struct rd_response *response, struct rd_buffer *out)
{
    LITERAL(out, "{\"stores\":[");
    for (size_t i = 0; i < response->store_count && !out->failed; i++) {
        const struct rd_response_store *store = &response->stores[i];
        rd_buffer_append_string(out, i == 0 ? "{\"name\":" : ",{\"name\":");
        rd_json_append_string(store->name, out);
        append_number(",\"entries\":", store->entries, out);
        append_number(",\"file_size\":", store->file_size, out);
        append_state(store, out);
        LITERAL(out, "}");
    }
    LITERAL(out, "]}\n");
}

void rd_json_encode_verification(const struct rd_response *response, struct rd_buffer *out)
{
    const struct rd_response_verification *found = &response->verification;
    rd_buffer_append_string(out, found->problem_count == 0 ? "{\"ok\":true" : "{\"ok\":false");
    append_number(",\"entries\":", found->entries, out);
    append_number(",\"bytes\":", found->bytes, out);
    append_number(",\"from\":", found->from, out);
    append_number(",\"next\":", found->next, out);
    append_number(",\"problem_count\":", found->problem_count, out);
    LITERAL(out, ",\"problems\":[");
    for (size_t i = 0; i < found->listed_count && !out->failed; i++) {
        const struct rd_response_problem *problem = &found->problems[i];
        rd_buffer_append_string(out, i == 0 ? "{\"kind\":\"" : ",{\"kind\":\"");
        rd_buffer_append_string(out, rd_message_problem_name(problem->kind));
        rd_buffer_append_string(out, problem->live ? "\",\"live\":true" : "\",\"live\":false");
        append_number(",\"offset\":", problem->offset, out);
        append_number(",\"length\":", problem->len, out);
        append_hash(",\"key_hash\":\"", problem->key_hash, 16, out);
        LITERAL(out, "\"}");
    }
    LITERAL(out, "]}\n");
}

void rd_json_encode_compaction(const struct rd_response *response, struct rd_buffer *out)
{
    const struct rd_response_compaction *compaction = &response->compaction;
    bool shorter = compaction->tail < compaction->tail_before;
    append_number("{\"tail_before\":", compaction->tail_before, out);
    append_number(",\"tail\":", compaction->tail, out);
    append_number(",\"entries\":", compaction->entries, out);
    append_number(",\"reclaimed_bytes\":", shorter ? compaction->tail_before - compaction->tail : 0, out);
    append_number(",\"pause_us\":", compaction->pause_us, out);
    append_hash(",\"generation\":\"", compaction->generation, 16, out);
    LITERAL(out, "\"}\n");
}

void rd_json_encode_error(const char *code, struct rd_slice message, struct rd_buffer *out)
{
    LITERAL(out, "{\"error\":{\"code\":\"");
    rd_buffer_append_string(out, code);
    LITERAL(out, "\",\"message\":");
    rd_json_append_string(message, out);
    LITERAL(out, "}}\n");
}
