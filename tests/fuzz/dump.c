/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/dump.h"

#include "base/text.h"
#include "protocol/guards.h"

static bool is_plain(uint8_t c)
{
    return c > 0x20 && c < 0x7f && c != '\\';
}

void fuzz_dump_slice(const char *name, struct rd_slice bytes, struct rd_buffer *out)
{
    rd_buffer_printf(out, " %s=%zu:", name, bytes.len);
    while (bytes.len != 0) {
        size_t plain = 0;
        while (plain < bytes.len && is_plain(bytes.data[plain]))
            plain++;
        rd_buffer_append_slice(out, rd_slice_take(&bytes, plain));
        if (bytes.len != 0) {
            rd_buffer_append_u8(out, '\\');
            rd_text_hex_encode(rd_slice_take(&bytes, 1), out);
        }
    }
}

static void dump_number(const char *name, uint64_t number, struct rd_buffer *out)
{
    if (number != 0)
        rd_buffer_printf(out, " %s=%llu", name, (unsigned long long)number);
}

static void dump_key(const char *name, const struct rd_message_key *key, struct rd_buffer *out)
{
    if (key->bytes.data != NULL)
        fuzz_dump_slice(name, key->bytes, out);
    else if (key->hash != 0)
        rd_buffer_printf(out, " %s=#%016llx", name, (unsigned long long)key->hash);
}

static void dump_condition(const char *name, const struct rd_message_condition *condition, struct rd_buffer *out)
{
    if (condition->kind != RD_MESSAGE_IF_ANYTHING)
        rd_buffer_printf(out, " %s=%d:%llx-%08x", name, (int)condition->kind,
                         (unsigned long long)condition->offset, condition->crc32);
}

static void dump_range(const struct rd_message_range *range, struct rd_buffer *out)
{
    if (range->kind == RD_MESSAGE_RANGE_BETWEEN)
        rd_buffer_printf(out, " range=%lld..%lld", (long long)range->from, (long long)range->to);
    else if (range->kind != RD_MESSAGE_RANGE_NONE)
        rd_buffer_printf(out, " range=%d:%llu+%llu", (int)range->kind, (unsigned long long)range->first,
                         (unsigned long long)range->len);
}

static void dump_if_any(const char *name, struct rd_slice bytes, struct rd_buffer *out)
{
    if (bytes.len != 0)
        fuzz_dump_slice(name, bytes, out);
}

static void dump_change(const struct rd_message_change *change, struct rd_buffer *out)
{
    dump_number("deletes", change->deletes, out);
    dump_condition("if", &change->condition, out);
}

/* What else a transaction has, and what only some codecs ask for. */
static void dump_looks(const struct rd_request *request, struct rd_buffer *out)
{
    for (size_t i = 0; i < request->look_count; i++) {
        rd_buffer_append_string(out, " <");
        dump_key("key", &request->looks[i].key, out);
        dump_condition("if", &request->looks[i].condition, out);
        dump_number("wanted", request->looks[i].value_wanted, out);
        dump_number("key_only", request->looks[i].key_only, out);
        rd_buffer_append_string(out, " >");
    }
    for (size_t i = 0; request->guards != NULL && i < request->guards->count; i++)
        fuzz_dump_slice("guard", request->guards->list[i].key, out);
    dump_number("guard_first", request->guard_first, out);
    dump_number("guard_count", request->guard_count, out);
    dump_number("with_stores", request->with_stores, out);
    dump_number("creates_store", request->creates_store, out);
    for (const struct rd_request *part = request->parts; part != NULL; part = part->next)
        rd_buffer_printf(out, " part=%02x/%x", (unsigned)part->opcode, part->codec_flags);
}

static void dump_asked(const struct rd_request *request, struct rd_buffer *out)
{
    dump_number("token_use", (uint64_t)request->token_use, out);
    dump_if_any("token", request->token, out);
    dump_number("needs_token", request->needs_token, out);
    dump_if_any("store", request->store, out);
    dump_key("key", &request->key, out);
    dump_key("target_key", &request->target_key, out);
    dump_if_any("value", request->value, out);
    dump_if_any("target", request->target_store, out);
    dump_if_any("confirm", request->confirm, out);
    dump_if_any("settings", request->settings, out);
    dump_if_any("not", request->not_versions, out);
    dump_number("durability", (uint64_t)request->durability, out);
    dump_number("allow_null_bytes", request->allow_null_bytes, out);
    dump_condition("if", &request->condition, out);
    dump_condition("target_if", &request->target_condition, out);
    dump_range(&request->range, out);
    dump_condition("range_if", &request->range_condition, out);
    dump_number("streamed", request->streamed, out);
    dump_number("stream_len", request->stream_len, out);
    dump_number("credit", request->stream_credit, out);
    dump_number("file_from", request->backup_from, out);
    dump_number("generation", request->backup_generation, out);
    dump_number("after", request->after_offset, out);
    dump_number("limit", request->limit, out);
    dump_number("verify_from", request->verify_from, out);
    dump_number("verify_bytes_max", request->verify_bytes_max, out);
    dump_number("verify_whole", request->verify_whole, out);
    dump_number("in_background", request->in_background, out);
    for (size_t i = 0; i < request->item_count; i++) {
        rd_buffer_append_string(out, " [");
        dump_key("key", &request->items[i].key, out);
        dump_if_any("value", request->items[i].value, out);
        dump_number("key_only", request->items[i].key_only, out);
        if (request->changes != NULL)
            dump_change(&request->changes[i], out);
        rd_buffer_append_string(out, " ]");
    }
    dump_looks(request, out);
}

void fuzz_dump_request(const struct rd_request *request, struct rd_buffer *out)
{
    rd_buffer_printf(out, "%02x %llu", (unsigned)request->opcode, (unsigned long long)request->id);
    if (request->status == RD_OK)
        dump_asked(request, out);
    else
        rd_buffer_printf(out, " %s (%s)", rd_status_name(request->status), request->message);
    rd_buffer_printf(out, " flags=%x%s\n", request->codec_flags, request->close_after ? " close" : "");
}

/* ---- responses -------------------------------------------------------------------------------------------- */

static void dump_written(const struct rd_response *response, struct rd_buffer *out)
{
    rd_buffer_printf(out, " tail=%llu durability=%d:%u", (unsigned long long)response->tail,
                     (int)response->durability, response->durability_interval_ms);
}

static void dump_version(const struct rd_response *response, struct rd_buffer *out)
{
    rd_buffer_printf(out, " offset=%llu crc=%08x hash=%016llx", (unsigned long long)response->offset,
                     response->crc32, (unsigned long long)response->key_hash);
}

static void dump_limits(const struct rd_response *response, struct rd_buffer *out)
{
    const struct rd_limits *limits = &response->limits;
    rd_buffer_printf(out, " %u %u %u %u %u %u", limits->body_len_max, limits->key_len_max, limits->batch_count_max,
                     limits->in_flight_max, limits->stream_window, limits->chunk_len_max);
}

static void dump_values(const struct rd_response *response, struct rd_buffer *out)
{
    for (size_t i = 0; i < response->item_count; i++) {
        const struct rd_response_item *item = &response->items[i];
        rd_buffer_printf(out, " [%d", (int)item->status);
        if (item->status == RD_OK) {
            rd_buffer_printf(out, " %llu %08x", (unsigned long long)item->offset, item->crc32);
            fuzz_dump_slice("value", item->value, out);
        }
        rd_buffer_append_string(out, "]");
    }
}

static void dump_entries(const struct rd_response *response, struct rd_buffer *out)
{
    for (size_t i = 0; i < response->item_count; i++) {
        const struct rd_response_item *item = &response->items[i];
        rd_buffer_printf(out, " [%016llx %llu %llu %08x]", (unsigned long long)item->key_hash,
                         (unsigned long long)item->offset, (unsigned long long)item->len, item->crc32);
    }
}

static void dump_stores(const struct rd_response *response, struct rd_buffer *out)
{
    for (size_t i = 0; i < response->store_count; i++) {
        const struct rd_response_store *store = &response->stores[i];
        rd_buffer_append_string(out, " [");
        fuzz_dump_slice("name", store->name, out);
        rd_buffer_printf(out, " %llu %llu %llu %llu %d:%u state=%d generation=%016llx marker=%d",
                         (unsigned long long)store->entries, (unsigned long long)store->tail,
                         (unsigned long long)store->file_size, (unsigned long long)store->dead_bytes,
                         (int)store->durability, store->durability_interval_ms, (int)store->state,
                         (unsigned long long)store->generation, store->batch_marker);
        rd_buffer_printf(out, " quotas=%llu,%llu barred=%d compacting=%d", (unsigned long long)store->quota_bytes,
                         (unsigned long long)store->quota_entries, store->writes_barred, store->compacting);
        fuzz_dump_slice("reason", store->reason, out);
        rd_buffer_append_string(out, "]");
    }
}

static void dump_verification(const struct rd_response *response, struct rd_buffer *out)
{
    const struct rd_response_verification *found = &response->verification;
    rd_buffer_printf(out, " %llu..%llu %llu %llu problems=%llu", (unsigned long long)found->from,
                     (unsigned long long)found->next, (unsigned long long)found->entries,
                     (unsigned long long)found->bytes, (unsigned long long)found->problem_count);
    for (size_t i = 0; i < found->listed_count; i++) {
        const struct rd_response_problem *problem = &found->problems[i];
        rd_buffer_printf(out, " [%d %d %llu+%llu %016llx]", (int)problem->kind, problem->live,
                         (unsigned long long)problem->offset, (unsigned long long)problem->len,
                         (unsigned long long)problem->key_hash);
    }
}

static void dump_compaction(const struct rd_response *response, struct rd_buffer *out)
{
    const struct rd_response_compaction *done = &response->compaction;
    rd_buffer_printf(out, " %llu->%llu %llu %016llx %llu", (unsigned long long)done->tail_before,
                     (unsigned long long)done->tail, (unsigned long long)done->entries,
                     (unsigned long long)done->generation, (unsigned long long)done->pause_us);
}

static void dump_streamed(const struct rd_response *response, struct rd_buffer *out)
{
    dump_version(response, out);
    rd_buffer_printf(out, " prev_tail=%llu of=%llu from=%llu len=%zu", (unsigned long long)response->prev_tail,
                     (unsigned long long)response->value_len, (unsigned long long)response->range_first,
                     response->value.len);
}

static void dump_backup(const struct rd_response *response, struct rd_buffer *out)
{
    rd_buffer_printf(out, " generation=%016llx tail=%llu from=%llu len=%zu",
                     (unsigned long long)response->generation, (unsigned long long)response->tail,
                     (unsigned long long)response->range_first, response->value.len);
}

static void dump_write(const struct rd_response *response, struct rd_buffer *out)
{
    dump_version(response, out);
    dump_written(response, out);
    rd_buffer_printf(out, " replaced=%d", response->replaced);
}

static void dump_counted(const struct rd_response *response, struct rd_buffer *out)
{
    dump_written(response, out);
    rd_buffer_printf(out, " count=%llu", (unsigned long long)response->count);
}

static void dump_batch_write(const struct rd_response *response, struct rd_buffer *out)
{
    rd_buffer_printf(out, " offset=%llu", (unsigned long long)response->offset);
    dump_counted(response, out);
}

static void dump_found(const struct rd_response *response, struct rd_buffer *out)
{
    rd_buffer_printf(out, " found=%d", response->found);
}

static void dump_delete(const struct rd_response *response, struct rd_buffer *out)
{
    dump_written(response, out);
    dump_found(response, out);
}

static void dump_copy(const struct rd_response *response, struct rd_buffer *out)
{
    rd_buffer_printf(out, " target=%llu %llu", (unsigned long long)response->target_offset,
                     (unsigned long long)response->target_tail);
}

static void dump_transfer(const struct rd_response *response, struct rd_buffer *out)
{
    dump_copy(response, out);
    rd_buffer_printf(out, " source=%llu", (unsigned long long)response->source_tail);
}

static void dump_read(const struct rd_response *response, struct rd_buffer *out)
{
    dump_version(response, out);
    rd_buffer_printf(out, " prev_tail=%llu", (unsigned long long)response->prev_tail);
    fuzz_dump_slice("value", response->value, out);
}

static void dump_metadata(const struct rd_response *response, struct rd_buffer *out)
{
    dump_version(response, out);
    rd_buffer_printf(out, " prev_tail=%llu len=%llu", (unsigned long long)response->prev_tail,
                     (unsigned long long)response->value_len);
}

/* Of ping and drop, that they succeeded is all. */
static const struct {
    enum rd_opcode opcode;
    void (*dump)(const struct rd_response *response, struct rd_buffer *out);
} rows[] = {
    {RD_OPCODE_HELLO, dump_limits},
    {RD_OPCODE_WRITE, dump_write},
    {RD_OPCODE_WRITE_STREAM, dump_write},
    {RD_OPCODE_RENAME, dump_write},
    {RD_OPCODE_BATCH_WRITE, dump_batch_write},
    {RD_OPCODE_BATCH_DELETE, dump_counted},
    {RD_OPCODE_DELETE, dump_delete},
    {RD_OPCODE_COPY, dump_copy},
    {RD_OPCODE_TRANSFER, dump_transfer},
    {RD_OPCODE_READ, dump_read},
    {RD_OPCODE_READ_STREAM, dump_streamed},
    {RD_OPCODE_BATCH_READ, dump_values},
    {RD_OPCODE_EXISTS, dump_found},
    {RD_OPCODE_METADATA, dump_metadata},
    {RD_OPCODE_LAST, dump_metadata},
    {RD_OPCODE_ITERATE, dump_entries},
    {RD_OPCODE_STORES, dump_stores},
    {RD_OPCODE_CREATE, dump_stores},
    {RD_OPCODE_INFO, dump_stores},
    {RD_OPCODE_REOPEN, dump_stores},
    {RD_OPCODE_VERIFY, dump_verification},
    {RD_OPCODE_BACKUP, dump_backup},
    {RD_OPCODE_COMPACT, dump_compaction},
};

static void dump_told(enum rd_opcode opcode, const struct rd_response *response, struct rd_buffer *out)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].opcode == opcode)
            rows[i].dump(response, out);
}

void fuzz_dump_response(enum rd_opcode opcode, const struct rd_response *response, struct rd_buffer *out)
{
    rd_buffer_printf(out, "%02x status=%d", (unsigned)opcode, (int)response->status);
    if (response->status == RD_OK)
        dump_told(opcode, response, out);
    else
        rd_buffer_printf(out, " (%s)", response->message);
    rd_buffer_append_string(out, "\n");
}
